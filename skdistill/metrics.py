"""What a student kept of its teacher, what it lost, and what it costs.

Array functions; those on rows take `sample_weight`. Fidelity (agreement, divergence)
says how like the teacher a student is, which is no proof that either is right: read it
next to accuracy and log-loss, never instead of them.
"""

import pickle
import sys
from contextlib import contextmanager
from time import perf_counter

import numpy as np
from sklearn.utils import check_array, check_consistent_length, column_or_1d
from threadpoolctl import threadpool_limits

from skdistill._compat import num_samples, safe_indexing
from skdistill.soft_targets import check_soft_targets, kl_rows

__all__ = [
    "agreement",
    "expected_calibration_error",
    "gap_closed",
    "mean_kl_divergence",
    "model_size",
    "retention",
    "single_row_latency",
]


# -- fidelity --------------------------------------------------------------------------


def agreement(teacher, student, *, classes=None, sample_weight=None):
    """Share of rows on which teacher and student give the same label.

    Known as top-1 agreement or fidelity [1]_.

    Parameters
    ----------
    teacher, student : array-like of shape (n_samples,) or (n_samples, n_classes)
        Labels, or probabilities (or other scores), whose largest column is the label.

    classes : array-like of shape (n_classes,), default=None
        Labels of the columns; needed where one side are labels and the other
        probabilities.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows.

    Returns
    -------
    agreement : float
        Between 0 and 1, higher is more alike.

    References
    ----------
    .. [1] Stanton et al., "Does knowledge distillation really work?", NeurIPS 2021.

    Examples
    --------
    >>> from skdistill.metrics import agreement
    >>> agreement([[0.9, 0.1], [0.4, 0.6]], [[0.6, 0.4], [0.7, 0.3]])
    0.5
    """
    teacher, student = _table_or_labels(teacher), _table_or_labels(student)
    check_consistent_length(teacher, student)
    if classes is None and teacher.ndim != student.ndim:
        raise ValueError(
            "classes must be given where one of teacher and student are labels and the "
            f"other probabilities, got shapes {teacher.shape!r} and {student.shape!r}. "
            "Pass classes=model.classes_."
        )
    if teacher.ndim == student.ndim == 2 and teacher.shape != student.shape:
        raise ValueError(
            "teacher and student must have the same columns, got shapes "
            f"{teacher.shape!r} and {student.shape!r}. Align the columns by class."
        )
    same = _to_labels(teacher, classes) == _to_labels(student, classes)
    return float(np.average(same, weights=_check_weight(sample_weight, len(same))))


def mean_kl_divergence(P, Q, *, sample_weight=None):
    r"""Mean Kullback-Leibler divergence of a student from its teacher, in nats.

    The mean over rows of :math:`\sum_k p_k \log(p_k / q_k)`: what predicting Q costs,
    in log-loss, where the truth is P [1]_.

    Parameters
    ----------
    P : array-like of shape (n_samples, n_classes)
        Teacher's probabilities.

    Q : array-like of shape (n_samples, n_classes)
        Student's probabilities, columns in the same order; values below 1e-15 count as
        that, so that the result is finite.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows.

    Returns
    -------
    divergence : float
        0 or more; 0 where both are equal.

    References
    ----------
    .. [1] Kullback, Leibler, "On information and sufficiency", Annals of Mathematical
       Statistics, 1951.

    Examples
    --------
    >>> from skdistill.metrics import mean_kl_divergence
    >>> round(mean_kl_divergence([[0.5, 0.5]], [[0.25, 0.75]]), 4)
    0.1438
    """
    P = _check_probabilities(P, "P")
    Q = _check_probabilities(Q, "Q", n_samples=len(P), n_classes=P.shape[1])
    weight = _check_weight(sample_weight, len(P))
    # A floored Q sums to a hair more than 1: rounding must not show as less than 0.
    return max(float(np.average(kl_rows(P, Q), weights=weight)), 0.0)


# -- calibration -----------------------------------------------------------------------


def expected_calibration_error(
    y_true, P, *, classes=None, n_bins=15, sample_weight=None
):
    """Mean distance between how sure a classifier is and how often it is right.

    Rows are sorted by the probability of the predicted class into bins of equal mass
    (equal-mass bins are less biased than equally wide ones [2]_); the distance of mean
    probability and accuracy is averaged over the bins [1]_.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels.

    P : array-like of shape (n_samples, n_classes)
        Probabilities.

    classes : array-like of shape (n_classes,), default=None
        Labels of the columns; None means the sorted labels of `y_true`.

    n_bins : int, default=15
        Number of bins. Rows of the same probability share a bin, so there may be
        fewer.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows.

    Returns
    -------
    error : float
        Between 0 and 1. A perfectly calibrated classifier has more than 0 on a finite
        sample, about ``0.4 * sqrt(n_bins / n_samples)`` at an accuracy of one half.

    References
    ----------
    .. [1] Guo et al., "On calibration of modern neural networks", ICML 2017,
       equation 3.
    .. [2] Roelofs et al., "Mitigating bias in calibration error estimation", AISTATS
       2022.

    Examples
    --------
    >>> from skdistill.metrics import expected_calibration_error
    >>> P = [[0.8, 0.2], [0.8, 0.2], [0.8, 0.2], [0.8, 0.2]]
    >>> round(expected_calibration_error([0, 0, 0, 1], P), 4)
    0.05
    """
    y_true = column_or_1d(y_true)
    classes = np.unique(y_true) if classes is None else np.asarray(classes)
    P = _check_probabilities(P, "P", n_samples=len(y_true), n_classes=len(classes))
    if not n_bins >= 1:
        raise ValueError(
            f"n_bins must be at least 1, got {n_bins!r}. 15 is the usual number."
        )
    unknown = set(y_true.tolist()) - set(classes.tolist())
    if unknown:
        raise ValueError(
            f"y_true must hold labels of the classes {classes.tolist()!r} only, got "
            f"also {sorted(unknown, key=str)!r}. Pass classes=model.classes_."
        )
    weight = _check_weight(sample_weight, len(y_true))
    confidence = P.max(axis=1)
    right = classes[P.argmax(axis=1)] == y_true
    # The middle of the mass that rows of the same confidence hold says their bin.
    _, group = np.unique(confidence, return_inverse=True)
    mass = np.bincount(group, weights=weight)
    middle = (np.cumsum(mass) - mass / 2) / mass.sum()
    bin_of_row = np.minimum((middle * n_bins).astype(int), n_bins - 1)[group]
    gaps = np.bincount(bin_of_row, weights=weight * (right - confidence))
    return float(np.abs(gaps).sum() / mass.sum())


# -- what was kept ---------------------------------------------------------------------


def retention(student, teacher, *, greater_is_better=True):
    """Part of a teacher's score that its student keeps.

    Student over teacher for scores, teacher over student for losses: 1 is parity, more
    means that the student is better.

    Parameters
    ----------
    student, teacher : float or array-like
        Scores of the same kind on the same rows; arrays of one shape for several
        tables or splits.

    greater_is_better : bool, default=True
        False for losses.

    Returns
    -------
    retention : float or ndarray
        NaN where it is undefined: where a score is negative or the divisor is 0.

    Examples
    --------
    >>> from skdistill.metrics import retention
    >>> retention(0.95, 1.0)
    0.95
    """
    student, teacher = _check_scores(student=student, teacher=teacher)
    part, whole = (student, teacher) if greater_is_better else (teacher, student)
    return _divide(part, whole, (part >= 0) & (whole > 0))


def gap_closed(plain, student, teacher, *, greater_is_better=True):
    """Part of the way from the plain student to the teacher that distillation went.

    ``(student - plain) / (teacher - plain)``: 0 means no better than labels alone, 1 as
    good as the teacher, more means better than it, less than 0 means harm.

    Parameters
    ----------
    plain, student, teacher : float or array-like
        Scores of the same student fitted on labels, of the distilled student, and of
        the teacher; arrays of one shape for several tables or splits.

    greater_is_better : bool, default=True
        False for losses.

    Returns
    -------
    gap_closed : float or ndarray
        NaN where it is undefined: where the teacher is no better than the plain
        student, there is no gap to close.

    Examples
    --------
    >>> from skdistill.metrics import gap_closed
    >>> round(gap_closed(plain=0.90, student=0.94, teacher=0.95), 4)
    0.8
    >>> gap_closed(plain=0.95, student=0.96, teacher=0.95)
    nan
    """
    plain, student, teacher = _check_scores(
        plain=plain, student=student, teacher=teacher
    )
    sign = 1 if greater_is_better else -1
    gap = sign * (teacher - plain)
    return _divide(sign * (student - plain), gap, gap > 0)


# -- cost ------------------------------------------------------------------------------


def single_row_latency(
    model, X, *, method="predict_proba", n_calls=1000, n_warmup=20, max_seconds=10.0
):
    """Time that a model takes to answer one row, in seconds.

    Rows of X are asked one at a time, in turn. Numerical libraries (BLAS, OpenMP, torch
    where it is loaded) are held to one thread; a model's own `n_jobs` is left as it is.

    Parameters
    ----------
    model : fitted estimator
        What to time.

    X : {array-like, DataFrame, sparse matrix} of shape (n_samples, n_features) or \
            list of str
        Rows.

    method : str, default="predict_proba"
        Method that is called.

    n_calls : int, default=1000
        Number of timed calls.

    n_warmup : int, default=20
        Number of calls before them that are not timed.

    max_seconds : float, default=10.0
        No call is begun after so many seconds of timed calls: a slow model is timed on
        fewer calls, at least on one.

    Returns
    -------
    latency : dict
        "p50" and "p99": median and 99th percentile in seconds; "n_calls": calls timed.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skdistill.metrics import single_row_latency
    >>> X, y = load_iris(return_X_y=True)
    >>> model = LogisticRegression(max_iter=1000).fit(X, y)
    >>> sorted(single_row_latency(model, X, n_calls=50))
    ['n_calls', 'p50', 'p99']
    """
    n_rows = num_samples(X)
    if n_rows == 0 or not n_calls >= 1:
        raise ValueError(
            "X and n_calls must give at least one call to time, got "
            f"{n_rows} rows and n_calls={n_calls!r}. Pass some rows of the test set."
        )
    ask = getattr(model, method)
    rows = [safe_indexing(X, [i]) for i in range(min(n_rows, n_calls))]
    times = []
    with _one_thread():
        for i in range(n_warmup):
            ask(rows[i % len(rows)])
        stop = perf_counter() + max_seconds
        while len(times) < n_calls:
            row = rows[len(times) % len(rows)]
            begin = perf_counter()
            ask(row)
            end = perf_counter()
            times.append(end - begin)
            if end > stop:
                break
    p50, p99 = np.percentile(times, [50, 99])
    return {"p50": float(p50), "p99": float(p99), "n_calls": len(times)}


def model_size(model):
    """Number of bytes that a model takes when pickled; nothing is written.

    Parameters
    ----------
    model : object
        What to pickle.

    Returns
    -------
    size : int
        Bytes.

    Examples
    --------
    >>> from skdistill.metrics import model_size
    >>> model_size(list(range(1000))) < model_size(list(range(2000)))
    True
    """
    counter = _ByteCounter()
    pickle.Pickler(counter, protocol=pickle.HIGHEST_PROTOCOL).dump(model)
    return counter.n_bytes


class _ByteCounter:
    """A file that only counts what is written to it."""

    def __init__(self):
        self.n_bytes = 0

    def write(self, data):
        n_bytes = memoryview(data).nbytes
        self.n_bytes += n_bytes
        return n_bytes


@contextmanager
def _one_thread():
    torch = sys.modules.get("torch")
    n_threads = None if torch is None else torch.get_num_threads()
    with threadpool_limits(limits=1):
        if torch is not None:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            if torch is not None:
                torch.set_num_threads(n_threads)


# -- checks ----------------------------------------------------------------------------


def _table_or_labels(values):
    values = np.asarray(values)
    if values.ndim == 2 and values.shape[1] > 1:
        return check_array(values)
    return column_or_1d(values)


def _to_labels(values, classes):
    if values.ndim == 1:
        return values
    codes = values.argmax(axis=1)
    if classes is None:
        return codes
    classes = np.asarray(classes)
    if classes.shape != values.shape[1:]:
        raise ValueError(
            "classes must have one label for each column, got shape "
            f"{classes.shape!r} for {values.shape[1]} columns. Pass classes=model."
            "classes_."
        )
    return classes[codes]


def _check_probabilities(P, name, *, n_samples=None, n_classes=None):
    shape = np.shape(P)
    if n_samples is None:
        if len(shape) != 2 or shape[1] < 2:
            raise ValueError(
                f"{name} must have shape (n_samples, n_classes), got {shape!r}. Pass "
                "the output of predict_proba."
            )
        n_samples, n_classes = shape
    if n_samples == 0:
        raise ValueError(f"{name} must have at least one row, got 0 rows. Give rows.")
    return check_soft_targets(P, n_samples=n_samples, n_classes=n_classes, name=name)


def _check_weight(sample_weight, n_samples):
    if sample_weight is None:
        return np.ones(n_samples)
    weight = column_or_1d(sample_weight, dtype=np.float64)
    if weight.shape != (n_samples,):
        raise ValueError(
            f"sample_weight must have one entry for each of the {n_samples} rows, got "
            f"{len(weight)}. Leave it out for equal weights."
        )
    if not np.isfinite(weight).all() or weight.min() < 0 or weight.sum() <= 0:
        raise ValueError(
            "sample_weight must be finite, not negative and not zero for all rows, got "
            f"values from {weight.min()!r} to {weight.max()!r}. Leave it out for equal "
            "weights."
        )
    return weight


def _check_scores(**scores):
    arrays = {
        name: np.asarray(value, dtype=np.float64) for name, value in scores.items()
    }
    if len({array.shape for array in arrays.values()}) > 1:
        shapes = {name: array.shape for name, array in arrays.items()}
        raise ValueError(
            f"{', '.join(scores)} must be numbers or arrays of one shape, got shapes "
            f"{shapes!r}. Give one score for each table or split."
        )
    return arrays.values()


def _divide(part, whole, defined):
    ratio = np.divide(part, whole, out=np.full(part.shape, np.nan), where=defined)
    return ratio if ratio.ndim else float(ratio)
