"""Soft targets as labelled copies of rows, and what copies do to a student's settings.

A row with probabilities (.7, .3) becomes a copy of class 0 and weight .7 and one of
class 1 and weight .3. Settings that count rows would then count copies, and a student
that sets rows aside for itself would be scored on copies of rows that it learned from.
"""

import importlib
import warnings
from dataclasses import dataclass

import numpy as np
import sklearn
from sklearn.model_selection import train_test_split
from sklearn.utils.fixes import parse_version
from sklearn.utils.validation import has_fit_parameter

from skdistill.students._rows import mro_names, take

#: Labels drawn for each row: at most so many, and about so many in all.
MAX_DRAWS, MAX_DRAWN_ROWS = 10, 100_000
#: Share of the rows set aside for early stopping, and the fewest rows to do it with.
STOPPING_FRACTION, MIN_STOPPING_ROWS = 0.1, 20
#: "auto" of HistGradientBoosting stops early above this number of rows.
AUTO_STOPPING_ROWS = 10_000

#: HistGradientBoosting takes validation rows from this release on.
HAS_X_VAL = parse_version(sklearn.__version__) >= parse_version("1.7")

#: Boosters that want integer codes for labels.
BOOSTERS = frozenset({"LGBMModel", "XGBModel", "CatBoost"})
#: Trees whose smallest leaf can be stated as a weight.
_WEIGHED_LEAVES = {"BaseDecisionTree", "BaseForest", "BaseGradientBoosting"}
#: They set a penalty against the mean loss of the rows they visit in one step.
_MEAN_LOSS = {"BaseSGDClassifier", "BaseMultilayerPerceptron"}
#: Parameters that count rows, at any depth.
_ROW_COUNTS = {
    "min_samples_leaf",
    "min_samples_split",
    "max_samples",
    "min_child_samples",
    "min_data_in_leaf",
    "min_data",
    "min_data_per_leaf",
}
#: Parameters that make a booster stop early, as LightGBM, XGBoost and CatBoost call it.
_BOOSTER_STOPPING = (
    "early_stopping_rounds",
    "early_stopping_round",
    "early_stopping",
    "n_iter_no_change",
    "od_wait",
    "od_pval",
)


@dataclass(frozen=True)
class Copies:
    """Labelled copies of rows.

    Parameters
    ----------
    at : ndarray of int of shape (n_copies,)
        Position of the row.

    codes : ndarray of int of shape (n_copies,)
        Column of the class.

    weight : ndarray of shape (n_copies,) or None
        Weight of the copy.
    """

    at: np.ndarray
    codes: np.ndarray
    weight: np.ndarray | None

    def __len__(self):
        return len(self.at)

    def where(self, mask):
        """Return the copies that a mask marks."""
        weight = None if self.weight is None else self.weight[mask]
        return Copies(self.at[mask], self.codes[mask], weight)


def expand(rows, tolerance):
    """Turn soft targets into weighted labels.

    Parameters
    ----------
    rows : Rows
        Rows with soft targets.

    tolerance : float
        In each row the smallest probabilities whose sum stays within it are dropped,
        and the rest normalised. A class never loses its last row.

    Returns
    -------
    copies : Copies
        Copies of a row are adjacent, and their weights sum to the row's.
    """
    P = rows.P
    order = np.argsort(P, axis=1, kind="stable")
    dropped = np.cumsum(np.take_along_axis(P, order, axis=1), axis=1) <= tolerance
    keep = np.ones(P.shape, dtype=bool)
    np.put_along_axis(keep, order, ~dropped, axis=1)
    keep &= P > 0
    lost = np.flatnonzero(P.any(axis=0) & ~keep.any(axis=0))
    keep[P[:, lost].argmax(axis=0), lost] = True
    Q = np.where(keep, P, 0.0)
    Q *= (rows.mass / Q.sum(axis=1))[:, np.newaxis]
    at, codes = np.nonzero(keep)
    return Copies(at, codes, Q[at, codes])


def draw(rows, rng):
    """Draw labels from soft targets.

    A row's draws are spread evenly over its distribution from one random offset
    (stratified), so that d draws meet a class d p times up to one; heavier rows are
    drawn more often.

    Parameters
    ----------
    rows : Rows
        Rows with soft targets.

    rng : RandomState
        Source of the draws.

    Returns
    -------
    copies : Copies
        Without weights.
    """
    n_draws = int(np.clip(MAX_DRAWN_ROWS // max(len(rows), 1), 1, MAX_DRAWS))
    share = rows.mass / rows.mass.mean()
    counts = np.floor(n_draws * share + rng.uniform(size=len(rows))).astype(int)
    at = np.repeat(np.arange(len(rows)), counts)
    nth = np.arange(len(at)) - np.repeat(np.cumsum(counts) - counts, counts)
    level = (nth + rng.uniform(size=len(rows))[at]) / counts[at]
    upper = np.cumsum(rows.P, axis=1)[:, :-1]  # the last bound is 1: never passed
    return Copies(at, (upper[at] <= level[:, np.newaxis]).sum(axis=1), None)


# -- settings that count rows ----------------------------------------------------------


def settings_for_copies(student, n_samples, n_copies, *, uniform):
    """Values of a student's settings that mean on copies what they meant on rows.

    Parameters
    ----------
    student : estimator
        Not changed.

    n_samples, n_copies : int
        Numbers of rows and of copies.

    uniform : bool
        Whether all rows weigh alike: then the weight of a leaf counts its rows.

    Returns
    -------
    changes : dict
        For `set_params`.
    """
    params = student.get_params(deep=True)
    changes = {}
    for name, value in params.items():
        kind = name.rpartition("__")[2]
        smallest = 2 if kind == "min_samples_split" else 1
        if kind in _ROW_COUNTS and _is_count(value) and value > smallest:
            changes[name] = max(smallest, round(value * n_copies / n_samples))
    can_weigh = uniform and bool(mro_names(student) & _WEIGHED_LEAVES)
    if can_weigh and "min_samples_leaf" in changes:
        # Half a row less than the limit: sums of weights are rounded.
        fraction = (params["min_samples_leaf"] - 0.5) / n_samples
        if fraction <= 0.5:
            changes["min_samples_leaf"] = 1
            changes["min_weight_fraction_leaf"] = max(
                fraction, params["min_weight_fraction_leaf"]
            )
    return changes


def weight_factor(student, n_samples, n_copies):
    """Factor of the copies' weights that keeps the meaning of a student's penalty."""
    by_batches = getattr(student, "solver", "sgd") != "lbfgs"
    if by_batches and mro_names(student) & _MEAN_LOSS:
        return n_copies / n_samples
    return 1.0


def _is_count(value):
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


# -- early stopping --------------------------------------------------------------------


def takes_validation(student, n_samples):
    """Whether a student stops early and can be given whole rows to do it by."""
    params = student.get_params(deep=False)
    names = mro_names(student)
    if names & BOOSTERS:
        callbacks = params.get("callbacks") or ()
        return any(_asks(params.get(name)) for name in _BOOSTER_STOPPING) or any(
            "EarlyStopping" in mro_names(callback) for callback in callbacks
        )
    if "BaseHistGradientBoosting" not in names or params["validation_fraction"] is None:
        return False
    return HAS_X_VAL and _hist_stops(params["early_stopping"], n_samples)


def _asks(value):
    return value is not None and value > 0  # LightGBM reads 0 and less as never


def _hist_stops(early_stopping, n_samples):
    if isinstance(early_stopping, str):
        return n_samples > AUTO_STOPPING_ROWS
    return early_stopping


def rows_set_aside(student, n_samples, rng):
    """Mark whole rows to stop early by; None where there are too few."""
    if n_samples < MIN_STOPPING_ROWS:
        return None
    fraction = student.get_params(deep=False).get("validation_fraction")
    _, at = train_test_split(
        np.arange(n_samples),
        test_size=STOPPING_FRACTION if fraction is None else fraction,
        random_state=rng,
    )
    aside = np.zeros(n_samples, dtype=bool)
    aside[at] = True
    return aside


def stopping_settings(student, n_samples, *, has_validation):
    """Settings under which no student scores copies of a row by one another.

    Parameters
    ----------
    student : estimator
        Not changed. Switching off what its user asked for warns.

    n_samples : int
        Number of rows.

    has_validation : bool
        Whether the student is given rows to stop by.

    Returns
    -------
    changes : dict
        For `set_params`.
    """
    params, names = student.get_params(deep=True), mro_names(student)
    if names & BOOSTERS:
        off = {name: None for name in _BOOSTER_STOPPING if _asks(params.get(name))}
        if has_validation or not off:
            return {}
    elif "BaseHistGradientBoosting" in names:
        asked = _hist_stops(params["early_stopping"], n_samples)
        if has_validation or not asked or params["validation_fraction"] is None:
            return {"early_stopping": bool(asked)}  # no longer "auto"
        off = {"early_stopping": False}
        if params["early_stopping"] == "auto":  # not what the user asked for
            return off
    else:
        off = {
            name: False
            for name, value in params.items()
            if name.rpartition("__")[2] in ("early_stopping", "oob_score")
            and value
            and value != "auto"
        }
        if "BaseGradientBoosting" in names and params["n_iter_no_change"]:
            off["n_iter_no_change"] = None
    if off:
        warnings.warn(
            f"The student {type(student).__name__} sets rows aside itself, which would "
            "put weighted copies of one row on both sides of that split: "
            f"{', '.join(sorted(off))} is switched off. Limit its size or number of "
            "iterations, or use a student that stops early on whole rows: "
            "HistGradientBoostingClassifier (scikit-learn >= 1.7), a LightGBM, XGBoost "
            "or CatBoost classifier, or MLPStudent.",
            UserWarning,
            stacklevel=2,
        )
    return off


def evaluation_params(student, X, codes, y, weight):
    """Fit parameters that hand a student its rows for early stopping.

    Parameters
    ----------
    student : estimator
        HistGradientBoosting or a booster.

    X : array-like of shape (n_copies, ...)
        Copies of rows.

    codes, y : ndarray of shape (n_copies,)
        Their labels, as integer codes for boosters, and as labels.

    weight : ndarray of shape (n_copies,) or None
        Their weights.

    Returns
    -------
    params : dict
    """
    names = mro_names(student)
    if "LGBMModel" in names:
        given = {"eval_set": [(X, codes)]}
        if has_fit_parameter(student, "eval_X"):  # LightGBM >= 4.7
            given = {"eval_X": (X,), "eval_y": (codes,)}
        return given | {"eval_sample_weight": [weight]}
    if "XGBModel" in names:
        weights = None if weight is None else [weight]
        return {
            "eval_set": [(X, codes)],
            "sample_weight_eval_set": weights,
            "verbose": False,
        }
    if "CatBoost" in names:
        pool = importlib.import_module("catboost").Pool
        kinds = ("cat_features", "text_features", "embedding_features")
        params = student.get_params()
        kept = {kind: params[kind] for kind in kinds if params.get(kind) is not None}
        return {"eval_set": pool(X, codes, weight=weight, **kept)}
    return {"X_val": X, "y_val": y, "sample_weight_val": weight}


def copies_of(X, copies, n_samples):
    """Rows of X for each copy; X itself where each row has one."""
    if len(copies) == n_samples and np.array_equal(copies.at, np.arange(n_samples)):
        return X
    return take(X, copies.at)
