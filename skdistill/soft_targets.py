"""What a teacher says: its probabilities, made honest and ready for a student.

Pure functions on arrays of shape (n_samples, n_classes) whose rows are probability
distributions. A teacher is called in two of them only, :func:`teacher_probabilities`
and :func:`out_of_fold`.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import rel_entr
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.utils.parallel import Parallel, delayed

from skdistill._compat import num_samples, safe_indexing

#: Largest deviation of a row's sum from 1 that counts as rounding (float16 output).
ROW_SUM_TOLERANCE = 1e-3
#: Inverse temperatures between which a calibration is sought.
POWER_BOUNDS = (1 / 20, 20.0)


# -- checking and alignment ------------------------------------------------------------


def check_soft_targets(soft_targets, *, n_samples, n_classes, name="soft_targets"):
    """Check probabilities and return them as normalised float64.

    Parameters
    ----------
    soft_targets : array-like of shape (n_samples, n_classes)
        Probabilities. In the binary case a column of shape (n_samples,) or
        (n_samples, 1) holds the probability of the second class.

    n_samples, n_classes : int
        The shape that is expected.

    name : str, default="soft_targets"
        How to call the array in error messages.

    Returns
    -------
    soft_targets : ndarray of shape (n_samples, n_classes)
        Rows sum to 1 exactly up to rounding.

    Raises
    ------
    ValueError
        If the shape differs, or a value is missing or outside [0, 1], or a row does not
        sum to 1; deviations up to 1e-3 count as rounding.
    """
    try:
        P = np.asarray(soft_targets, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} must be an array of probabilities of shape ({n_samples}, "
            f"{n_classes}), got {type(soft_targets).__name__} that does not convert to "
            "float. Pass the output of the teacher's predict_proba."
        ) from error
    one_column = n_classes == 2 and P.shape in {(n_samples,), (n_samples, 1)}
    if one_column:
        P = P.reshape(n_samples, 1)
    elif P.shape != (n_samples, n_classes):
        raise ValueError(
            f"{name} must have shape (n_samples, n_classes) = ({n_samples}, "
            f"{n_classes}), got {P.shape!r}. Pass one row for each row of X and one "
            "column for each class."
        )
    finite = np.isfinite(P).all(axis=1)
    if not finite.all():
        rows = np.flatnonzero(~finite)
        raise ValueError(
            f"{name} must be finite, got NaN or infinity in {rows.size} of {n_samples} "
            f"rows (first: row {rows[0]}). Leave these rows out, or ask the teacher "
            "again."
        )
    low, high = P.min(initial=0.0), P.max(initial=1.0)
    if low < -ROW_SUM_TOLERANCE or high > 1 + ROW_SUM_TOLERANCE:
        bad = float(low if low < -ROW_SUM_TOLERANCE else high)
        row = int(np.flatnonzero((bad == P).any(axis=1))[0])
        raise ValueError(
            f"{name} must lie between 0 and 1, got {bad!r} in row {row}. Pass "
            "probabilities, not scores or log-probabilities: scipy.special.softmax "
            "turns scores into probabilities, a division by the row sums turns counts "
            "into them."
        )
    P = np.clip(P, 0.0, 1.0)
    if one_column:
        return np.column_stack([1.0 - P, P])
    total = P.sum(axis=1, keepdims=True)
    off = np.abs(total - 1.0).ravel()
    if off.max(initial=0.0) > ROW_SUM_TOLERANCE:
        row = int(off.argmax())
        raise ValueError(
            f"{name} must sum to 1 in each row (within {ROW_SUM_TOLERANCE}), got "
            f"{float(total[row, 0])!r} in row {row}. Divide each row by its sum if the "
            "values are unnormalised probabilities."
        )
    P /= total
    return P


def align_columns(P, from_classes, to_classes):
    """Reorder columns from one list of classes to another, by label.

    Parameters
    ----------
    P : ndarray of shape (n_samples, len(from_classes))
        Probabilities.

    from_classes, to_classes : ndarray
        Labels of the columns of `P` and of the result. Every label of `from_classes`
        must stand in `to_classes`; other labels of `to_classes` get zeros.

    Returns
    -------
    P : ndarray of shape (n_samples, len(to_classes))

    Raises
    ------
    ValueError
        If `from_classes` has a label that `to_classes` lacks.
    """
    if np.array_equal(from_classes, to_classes):
        return P
    position = {label: k for k, label in enumerate(np.asarray(to_classes).tolist())}
    labels = np.asarray(from_classes).tolist()
    if not position.keys() >= set(labels):
        raise ValueError(
            f"The classes of the probabilities must be among {list(position)!r}, got "
            f"{labels!r}. Give labels of the same set and type on both sides."
        )
    aligned = np.zeros((P.shape[0], len(position)), dtype=P.dtype)
    aligned[:, [position[label] for label in labels]] = P
    return aligned


# -- arithmetic on distributions -------------------------------------------------------


def one_hot(codes, n_classes):
    """Hard labels as distributions.

    Parameters
    ----------
    codes : ndarray of int of shape (n_samples,)
        Column of each row's label.

    n_classes : int
        Number of columns.

    Returns
    -------
    P : ndarray of shape (n_samples, n_classes)
        One 1 in each row.
    """
    P = np.zeros((len(codes), n_classes))
    P[np.arange(len(codes)), codes] = 1.0
    return P


def temper(P, temperature, *, eps=1e-12):
    r"""Soften or sharpen distributions: :math:`p_k^{1/T} / \sum_j p_j^{1/T}`.

    It is the softmax of logits divided by T [1]_, written for probabilities; T -> inf
    makes every row uniform, T = 1 changes nothing.

    Parameters
    ----------
    P : ndarray of shape (n_samples, n_classes)
        Probabilities.

    temperature : float
        T > 0; infinity is allowed.

    eps : float, default=1e-12
        Smaller probabilities count as this one (only where T is not 1).

    Returns
    -------
    P : ndarray of shape (n_samples, n_classes)

    References
    ----------
    .. [1] Hinton, Vinyals, Dean, "Distilling the knowledge in a neural network", 2015,
       equation 1.
    """
    if not temperature > 0:
        raise ValueError(
            f"temperature must be greater than 0, got {temperature!r}. 1 changes "
            "nothing, larger values soften."
        )
    if temperature == 1:
        return P
    return _power(_log_ratios(P, eps), 1.0 / temperature)


def _log_ratios(P, eps):
    """Logits up to a constant a row: log-probabilities, the largest of a row is 0."""
    logits = np.log(np.maximum(P, eps))
    logits -= logits.max(axis=1, keepdims=True)
    return logits


def _power(logits, beta):
    """Softmax of beta * logits, where the largest of a row is 0."""
    P = logits * beta
    np.exp(P, out=P)
    P /= P.sum(axis=1, keepdims=True)
    return P


def mix(soft, hard, alpha):
    """Weighted mean ``alpha * soft + (1 - alpha) * hard`` of two sets of targets.

    Cross-entropy is linear in its target, so fitting on the mixture is exactly the
    weighted sum of the soft and the hard loss.

    Parameters
    ----------
    soft, hard : ndarray of shape (n_samples, n_classes)
        Teacher's probabilities; one-hot labels, or None for none.

    alpha : float in [0, 1]
        Weight of the SOFT targets: 1 is soft only, 0 is labels only.

    Returns
    -------
    P : ndarray of shape (n_samples, n_classes)
    """
    if hard is None or alpha == 1:
        return soft
    if alpha == 0:
        return hard
    return alpha * soft + (1.0 - alpha) * hard


def log_loss_rows(P, codes, *, eps=1e-15):
    """Negative log-probability of each row's label, in nats, shape (n_samples,)."""
    return -np.log(np.maximum(P[np.arange(len(codes)), codes], eps))


def kl_rows(P, Q, *, eps=1e-15):
    """Kullback-Leibler divergence KL(P || Q) of each row in nats, (n_samples,)."""
    return rel_entr(P, np.maximum(Q, eps)).sum(axis=1)


# -- asking a teacher ------------------------------------------------------------------


def teacher_probabilities(teacher, X, *, classes, teacher_classes=None):
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


def _label_fold(teacher, X, y, train, test, classes, fit_params, keep):
    n_samples = num_samples(X)
    sliced = {
        key: safe_indexing(value, train) if is_row_aligned(value, n_samples) else value
        for key, value in fit_params.items()
    }
    y_train = safe_indexing(y, train)
    if len(np.unique(y_train)) == 1:  # most classifiers refuse, the answer is plain
        teacher = DummyClassifier(strategy="prior")
        sliced = {}
    teacher.fit(safe_indexing(X, train), y_train, **sliced)
    P = teacher_probabilities(teacher, safe_indexing(X, test), classes=classes)
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


# -- calibration -----------------------------------------------------------------------


@dataclass(frozen=True)
class Calibration:
    """Temperature that makes a teacher's probabilities fit the labels.

    Parameters
    ----------
    temperature : float
        T of :func:`temper`; below 1 sharpens, above 1 softens.

    eps : float
        Smaller probabilities count as this one.

    loss_before, loss_after : float
        Mean log-loss in nats with the floor alone, and cross-validated with the
        temperature.

    kept : bool
        Whether it is in use.
    """

    temperature: float = 1.0
    eps: float = 1e-12
    loss_before: float = np.nan
    loss_after: float = np.nan
    kept: bool = False

    def __call__(self, P):
        """Calibrate probabilities of shape (n_samples, n_classes)."""
        if not self.kept:
            return P
        return _power(_log_ratios(P, self.eps), 1.0 / self.temperature)


def fit_temperature(P, codes, *, sample_weight=None, eps=1e-12):
    """Temperature of lowest log-loss to labels, by bounded one-dimensional search.

    Parameters
    ----------
    P : ndarray of shape (n_samples, n_classes)
        Probabilities of rows that their teacher was not fitted on.

    codes : ndarray of int of shape (n_samples,)
        Column of each row's label.

    sample_weight : ndarray of shape (n_samples,), default=None
        Weights of the rows.

    eps : float, default=1e-12
        Smaller probabilities count as this one.

    Returns
    -------
    temperature : float
        Between .05 and 20.

    References
    ----------
    Guo et al., "On calibration of modern neural networks", ICML 2017.
    """
    return 1.0 / _fit_power(_log_ratios(P, eps), codes, sample_weight)


def _fit_power(logits, codes, weight, start=1.0):
    """Inverse temperature of lowest log-loss, by Newton's method within a bracket.

    The loss, log sum_k exp(beta z_k) - beta z_y, is convex in beta: its slope is the
    mean of z under the tempered distribution minus z_y, its curvature the variance.
    """
    own = logits[np.arange(len(codes)), codes]
    (low, high), beta = POWER_BOUNDS, start
    for _ in range(100):
        Q = _power(logits, beta)
        Q *= logits
        mean = Q.sum(axis=1)
        slope = np.average(mean - own, weights=weight)
        square = np.einsum("ij,ij->i", Q, logits)
        curvature = np.average(square - mean**2, weights=weight)
        step = slope / max(curvature, 1e-300)
        if abs(step) <= 1e-6 * beta or high <= (1 + 1e-6) * low:
            break
        low, high = (low, beta) if slope > 0 else (beta, high)
        beta = beta - step if low < beta - step < high else np.sqrt(low * high)
    return float(beta)


def calibrate(P, codes, *, sample_weight=None, always=False, n_splits=5):
    """Fit a temperature and keep it only if cross-validated log-loss falls.

    Parameters
    ----------
    P : ndarray of shape (n_samples, n_classes)
        Probabilities of rows that their teacher was not fitted on.

    codes : ndarray of int of shape (n_samples,)
        Column of each row's label.

    sample_weight : ndarray of shape (n_samples,), default=None
        Weights of the rows; rows of weight zero count for nothing.

    always : bool, default=False
        Keep it whatever the cross-validated log-loss says.

    n_splits : int, default=5
        Folds of the check, always the same for so many rows.

    Returns
    -------
    calibration : Calibration
    """
    if sample_weight is not None:
        P, codes = P[sample_weight > 0], codes[sample_weight > 0]
        sample_weight = sample_weight[sample_weight > 0]
    eps = probability_floor(P)
    logits = _log_ratios(P, eps)
    beta = _fit_power(logits, codes, sample_weight)
    before = log_loss_rows(_power(logits, 1.0), codes)
    after = before.copy()
    fold_of_row = np.random.RandomState(0).permutation(len(codes)) % n_splits
    for fold in range(min(n_splits, len(codes)) if len(codes) > 1 else 0):
        test = fold_of_row == fold
        weight = None if sample_weight is None else sample_weight[~test]
        without = _fit_power(logits[~test], codes[~test], weight, start=beta)
        after[test] = log_loss_rows(_power(logits[test], without), codes[test])
    loss_before = float(np.average(before, weights=sample_weight))
    loss_after = float(np.average(after, weights=sample_weight))
    kept = bool(always or loss_after < loss_before)
    return Calibration(1.0 / beta if kept else 1.0, eps, loss_before, loss_after, kept)


def probability_floor(P):
    """Half the smallest positive probability: 1 / (2 n_trees) for a grown forest.

    A vote share of zero says "none of n_trees", not "impossible"; half a vote keeps its
    logarithm finite and in scale.
    """
    smallest = P.min(where=P > 0, initial=1.0)
    return float(np.clip(smallest / 2, 1e-12, 0.1 / P.shape[1]))
