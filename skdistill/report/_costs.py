"""What models cost: seconds, bytes, parameters."""

import pickle

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from skdistill._compat import boosted_trees, num_samples
from skdistill.metrics import measure_latency, model_size
from skdistill.report._cast import ARTEFACT, CALIBRATED, PLAIN, STUDENT, TEACHER
from skdistill.students import last_step

#: Rows and timed calls of a batch, at most.
BATCH_ROWS, BATCH_CALLS = 1_000, 20

COST_KEYS = (
    "p50", "p99", "n_timed_calls", "rows_per_second", "n_bytes", "n_parameters",
    "teacher_rows",
)  # fmt: skip
TIMING_KEYS = COST_KEYS[:4]


def costs_of(cast, X, *, max_seconds, time_teacher):
    """Measure all models of the report.

    Parameters
    ----------
    cast : Cast
        The models.

    X : array-like of shape (n_samples, n_features) or list of str
        Rows as they are given.

    max_seconds : float
        See :func:`cost_of`.

    time_teacher : bool
        Whether the teacher may be called for timing.

    Returns
    -------
    costs : dict of dict
        With the keys COST_KEYS, by name of the model; None for what is not known.
    """
    costs = {TEACHER: dict.fromkeys(COST_KEYS)}
    for name, member in cast.members.items():
        if name == PLAIN and cast.is_one(PLAIN, STUDENT):
            costs[name] = dict(costs[STUDENT])
            continue
        timed = time_teacher or name != TEACHER
        costs[name] = cost_of(member, X, max_seconds=max_seconds, timed=timed)
    costs[CALIBRATED] = costs[TEACHER]  # calibrating costs next to nothing
    asked = getattr(cast.distilled, "n_teacher_rows_", None)
    for name, n_rows in ((STUDENT, asked), (ARTEFACT, asked), (PLAIN, 0)):
        if name in costs:
            costs[name]["teacher_rows"] = n_rows
    return costs


def may_time_teacher(cast):
    """Tell whether timing the teacher costs nothing but time."""
    return TEACHER in cast.members and not has_budget(cast.members[TEACHER].model)


def cost_of(member, X, *, max_seconds, timed):
    """Measure one model of the report.

    Parameters
    ----------
    member : Member
        The model and the transformers that its rows pass: they count in all.

    X : array-like of shape (n_samples, n_features) or list of str
        Rows as they are given.

    max_seconds : float
        About as long is each of two timings, one call at least; 0 for none.

    timed : bool
        Whether the model may be called for timing.

    Returns
    -------
    cost : dict
        With the keys COST_KEYS; None for what is not known.
    """
    cost = dict.fromkeys(COST_KEYS)
    if timed and max_seconds > 0:
        cost |= _seconds(member, X, max_seconds)
    if not has_budget(member.model):
        cost["n_bytes"] = _bytes((*member.steps, member.model))
    cost["n_parameters"] = count_parameters(member.model)
    return cost


def _seconds(member, X, max_seconds):
    single = measure_latency(member, X, max_seconds=max_seconds)
    # Of a model that needs seconds for a row no thousand rows are asked.
    most = min(BATCH_ROWS, num_samples(X))
    size = int(np.clip(max_seconds / single["p50"], 1, most))
    while True:
        batch = _time_batches(member, X, size, n_calls=1, max_seconds=0)
        if size == most or 10 * batch["p50"] > max_seconds:
            break
        size = min(10 * size, most)
    batch = _time_batches(member, X, size, n_calls=BATCH_CALLS, max_seconds=max_seconds)
    return {
        "p50": single["p50"],
        "p99": single["p99"],
        "n_timed_calls": single["n_calls"],
        "rows_per_second": batch["rows_per_second"],
    }


def _time_batches(member, X, batch_size, **limits):
    return measure_latency(member, X, batch_size=batch_size, n_warmup=0, **limits)


def _bytes(parts):
    """Size of pickled parts; None where one of them, a client say, is no data."""
    try:
        return sum(model_size(part) for part in parts)
    except (pickle.PicklingError, TypeError, AttributeError):
        return None


def has_budget(model):
    """Tell whether a model, or a part of it, spends money: it has a limit for that."""
    if hasattr(model, "max_cost") or hasattr(model, "max_calls"):
        return True
    if isinstance(model, BaseEstimator):
        return any(map(has_budget, model.get_params(deep=False).values()))
    return isinstance(model, list | tuple) and any(map(has_budget, model))


def count_parameters(model):
    """Count the numbers that a model learnt, or the nodes of its trees.

    Parameters
    ----------
    model : fitted classifier
        Linear models, nets of scikit-learn, skorch and this package, trees, and
        ensembles of these are understood. Of a Pipeline the last step counts.

    Returns
    -------
    n_parameters : int or None
        Weights and intercepts, nodes of trees; None where the kind is not known.
    """
    if isinstance(model, FrozenEstimator):
        return count_parameters(model.estimator)
    if isinstance(model, Pipeline):
        return count_parameters(last_step(model))
    if hasattr(model, "coefs_"):
        table = getattr(model, "table_", ())  # embeddings of n-grams
        parts = [table, *model.coefs_, *model.intercepts_]
        return sum(int(np.size(part)) for part in parts)
    if hasattr(model, "coef_"):
        intercept = getattr(model, "intercept_", ())
        return int(model.coef_.size) + int(np.size(intercept))
    if hasattr(model, "tree_"):
        return int(model.tree_.node_count)
    trees = boosted_trees(model)
    if trees is not None:
        return sum(len(tree.nodes) for trees_of_step in trees for tree in trees_of_step)
    if hasattr(model, "module_"):
        return sum(int(part.numel()) for part in model.module_.parameters())
    if hasattr(model, "estimators_"):
        parts = model.estimators_  # a table of trees in gradient boosting, else a list
        parts = parts.ravel().tolist() if isinstance(parts, np.ndarray) else [*parts]
        if hasattr(model, "final_estimator_"):
            parts.append(model.final_estimator_)
        return _total(parts)
    for name in ("estimator_", "best_estimator_"):
        if hasattr(model, name):
            return count_parameters(getattr(model, name))
    return None


def _total(parts):
    counts = [count_parameters(part) for part in parts]
    return None if None in counts else sum(counts)
