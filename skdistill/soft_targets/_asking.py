"""Asking a teacher: for any rows, out of bag, or out of fold."""

import numpy as np
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.pipeline import Pipeline
from sklearn.utils.parallel import Parallel, delayed

from skdistill._compat import num_samples, safe_indexing
from skdistill.soft_targets._checks import align_columns, check_soft_targets


def teacher_probabilities(
    teacher, X, *, classes, teacher_classes=None, allow_abstentions=False
):
    """Call a teacher's predict_proba, check the answer and align it to `classes`.

    Parameters
    ----------
    teacher : fitted classifier
        Anything with `predict_proba`.

    X : array-like
        Rows in the form that the teacher takes; passed on untouched.

    classes : ndarray of shape (n_classes,)
        Labels of the result's columns; the teacher's labels are among them.

    teacher_classes : ndarray, default=None
        Labels of the teacher's columns; None means ``teacher.classes_``.

    allow_abstentions : bool, default=False
        Whether the teacher may leave rows unanswered: NaN as a whole.

    Returns
    -------
    P : ndarray of shape (n_samples, n_classes)
    """
    if teacher_classes is None:
        teacher_classes = np.asarray(teacher.classes_)
    P = check_soft_targets(
        teacher.predict_proba(X),
        n_samples=num_samples(X),
        n_classes=len(teacher_classes),
        name=f"The probabilities of the teacher {type(teacher).__name__}",
        allow_abstentions=allow_abstentions,
    )
    return align_columns(P, teacher_classes, classes)


def out_of_bag(teacher, *, n_samples, classes):
    """Out-of-bag probabilities of a fitted bagging teacher, or None.

    None where the teacher keeps none, or some row was in every bag (few estimators).
    """
    P = getattr(teacher, "oob_decision_function_", None)
    if P is None or not np.isfinite(P).all() or (P.sum(axis=1) <= 0).any():
        return None
    P = check_soft_targets(
        P / P.sum(axis=1, keepdims=True),
        n_samples=n_samples,
        n_classes=len(teacher.classes_),
        name="The out-of-bag probabilities of the teacher",
    )
    return align_columns(P, np.asarray(teacher.classes_), classes)


def out_of_fold(
    teacher, X, y, *, classes, splits, fit_params=None, n_jobs=None, step=None
):
    """Label each row by a clone of the teacher that was not fitted on it.

    Cross-fitting as in Dao et al. [1]_: targets that the teacher memorised teach little
    more than labels do.

    Parameters
    ----------
    teacher : unfitted classifier
        Cloned for each split.

    X : array-like of shape (n_samples, ...)
        Rows, taken by position and never converted.

    y : ndarray of shape (n_samples,)
        Labels.

    classes : ndarray of shape (n_classes,)
        Labels of the result's columns. A class that a fold's training rows lack gets
        probability zero there.

    splits : list of (train, test) index arrays
        Rows that stand in several test parts get the mean of their answers; rows that
        stand in none get NaN.

    fit_params : dict, default=None
        Passed to the teacher's fit; values with one entry a row are sliced.

    n_jobs : int, default=None
        Number of folds fitted at once.

    step : callable, default=None
        Called after each fold.

    Returns
    -------
    P : ndarray of shape (n_samples, n_classes)
        Out-of-fold probabilities.

    first : fitted classifier
        The teacher of the first split; it has not seen that split's test rows.

    References
    ----------
    .. [1] Dao et al., "Knowledge distillation as semiparametric inference", ICLR 2021.
    """
    n_samples = num_samples(X)
    total, times, first = np.zeros((n_samples, len(classes))), np.zeros(n_samples), None
    answers = Parallel(n_jobs=n_jobs, return_as="generator")(
        delayed(_label_fold)(
            clone(teacher), X, y, train, test, classes, fit_params or {}, number == 0
        )
        for number, (train, test) in enumerate(splits)
    )
    for (_, test), (P, fitted) in zip(splits, answers, strict=True):
        total[test] += P
        times[test] += 1
        first = fitted if first is None else first
        if step is not None:
            step()
    with np.errstate(invalid="ignore"):
        total /= times[:, None]
    return total, first


class _Relabelled:
    """Fitted classifier of codes that answers by labels."""

    def __init__(self, fitted, classes):
        self.estimator_, self.classes_ = fitted, classes

    def predict_proba(self, X):
        """Probabilities of the labels."""
        return self.estimator_.predict_proba(X)


def fit_on_part(teacher, X, y, at, params):
    """Fit a teacher on some of the rows, which may lack a class.

    XGBoost wants integers from 0 on without a gap: where a class is missing it gets
    such ones.

    Parameters
    ----------
    teacher : unfitted classifier
        Also at the end of a Pipeline.

    X : array-like of shape (n_samples, ...)
        All rows.

    y : array-like of shape (n_samples,)
        Labels.

    at : ndarray of int
        Positions of the rows to fit on.

    params : dict
        Passed to `fit`; values with one entry a row are sliced.

    Returns
    -------
    fitted : classifier
        `teacher` itself, or one that speaks of the labels instead of codes, or one
        that knows a single label.
    """
    n_samples = num_samples(X)
    params = {
        key: safe_indexing(value, at) if is_row_aligned(value, n_samples) else value
        for key, value in params.items()
    }
    X, y = safe_indexing(X, at), np.asarray(safe_indexing(y, at))
    met, codes = np.unique(y, return_inverse=True)
    if len(met) == 1:  # most classifiers refuse, the answer is plain
        return DummyClassifier(strategy="prior").fit(X, y)
    last = teacher.steps[-1][1] if isinstance(teacher, Pipeline) else teacher
    wants_codes = "XGBModel" in {kind.__name__ for kind in type(last).__mro__}
    if wants_codes and y.dtype.kind in "iu" and met[-1] >= len(met):
        return _Relabelled(teacher.fit(X, codes, **params), met)
    return teacher.fit(X, y, **params)


def _label_fold(teacher, X, y, train, test, classes, fit_params, keep):
    teacher = fit_on_part(teacher, X, y, train, fit_params)
    P = teacher_probabilities(
        teacher, safe_indexing(X, test), classes=classes, allow_abstentions=True
    )
    return P, teacher if keep else None


def is_row_aligned(value, n_samples):
    """Tell whether a fit parameter has one entry a row (scikit-learn's own rule)."""
    if isinstance(value, str | bytes | dict) or not (
        hasattr(value, "__len__") or hasattr(value, "shape")
    ):
        return False
    try:
        return num_samples(value) == n_samples
    except TypeError:
        return False
