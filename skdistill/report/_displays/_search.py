"""What a search knows of its candidates, for the ParetoDisplay."""

import numpy as np
from sklearn.base import BaseEstimator

#: Label and unit of the costs that this package measures.
COSTS = {
    "latency": ("latency of a call (seconds, log scale)", "s"),
    "size": ("size (bytes, log scale)", "B"),
}
#: Longer names of candidates are cut.
MAX_NAME = 44


def read_search(search, cost, metric, names):
    """Read costs and errors of the candidates of a search.

    Parameters
    ----------
    search : fitted search
        With `cv_results_`.

    cost : str
        Name of the scorer that gives the negative of a cost.

    metric : str or None
        Name of the scorer of what to be good at.

    names : list of str or None
        Names of the candidates.

    Returns
    -------
    params : dict
        Parameters of a ParetoDisplay.
    """
    results = search.cv_results_
    found = [
        k.removeprefix("mean_test_") for k in results if k.startswith("mean_test_")
    ]
    if metric is None:
        # "score" is what a search with one scorer has; beside others it may be a score
        # that minds a budget, made for halving.
        others = [name for name in found if name not in (cost, "score", *COSTS)]
        metric = others[0] if len(others) == 1 else "score"
    for parameter, name in (("cost", cost), ("metric", metric)):
        if name not in found:
            raise ValueError(
                f"{parameter} must name one of the search's scorers {found!r}, got "
                f"{name!r}. Search with scoring={{'accuracy': ..., 'latency': ...}}, "
                "with the scorers of skdistill.metrics for the costs."
            )
    score, cost_score = (
        np.asarray(results[f"mean_test_{name}"], dtype=float) for name in (metric, cost)
    )
    iteration = np.asarray(results.get("iter", np.zeros(len(score))))
    measured = np.isfinite(score) & np.isfinite(cost_score)
    known = score[measured]
    share = known.size and known.min() >= 0 and known.max() <= 1
    if names is None:
        names = _names_of(results["params"])
    n_folds = sum(
        key.startswith("split") and key.endswith(f"_test_{metric}") for key in results
    )
    # ddof=1: the folds are a sample. scikit-learn's std_test_* is not of one.
    spread = np.asarray(results[f"std_test_{metric}"]) / np.sqrt(max(n_folds - 1, 1))
    kept = np.flatnonzero(measured)
    best = getattr(search, "best_index_", None)
    return {
        "cost": -cost_score[kept],
        "error": (1 - score if share else -score)[kept],
        "names": [names[i] for i in kept],
        "chosen": kept.tolist().index(best) if best in kept else None,
        "standard_error": spread[kept],
        "comparable": (iteration == iteration.max())[kept],
        "cost_label": cost,
        "error_label": f"1 - {metric} (share)" if share else _loss_label(metric),
    }


def _loss_label(metric):
    label = metric.removeprefix("neg_").replace("_", " ")
    return f"{label} (nats)" if label == "log loss" else label


def _names_of(params):
    """Name candidates by the parameters in which they differ."""
    columns = {}
    for key in dict.fromkeys(key for candidate in params for key in candidate):
        values = [candidate.get(key) for candidate in params]
        texts = [_describe(value, values) for value in values]
        if len(set(texts)) > 1:
            # An estimator says what it is; a number needs the name of its parameter.
            columns[key] = [
                text
                if isinstance(value, BaseEstimator)
                else f"{key.split('__')[-1]}={text}"
                for text, value in zip(texts, values, strict=True)
            ]
    names = []
    for i, candidate in enumerate(params):
        words = [column[i] for key, column in columns.items() if key in candidate]
        names.append(_cut(", ".join(words)))
    return names


def _describe(value, values):
    """Describe a value; an estimator by what sets it apart from others of its class."""
    if not isinstance(value, BaseEstimator):
        return _cut(" ".join(repr(value).split()))
    alike = [v.get_params(deep=False) for v in values if type(v) is type(value)]
    own = value.get_params(deep=False)
    words = [
        f"{name}={own[name]!r}"
        for name in own
        if len({repr(params[name]) for params in alike}) > 1
    ]
    return f"{type(value).__name__}({', '.join(words)})"


def _cut(name):
    """Take out the middle of a long name: both ends tell names apart."""
    if len(name) <= MAX_NAME:
        return name
    half = (MAX_NAME - 1) // 2
    return f"{name[:half]}\u2026{name[-half:]}"
