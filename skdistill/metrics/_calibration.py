"""How sure a classifier is, and how often it is right."""

import numpy as np
from scipy.special import erf
from sklearn.utils import column_or_1d

from skdistill.metrics._checks import check_probabilities, check_sample_weight

_NORMS, _STRATEGIES = ("l1", "l2"), ("quantile", "uniform")


def expected_calibration_error(
    y_true,
    P,
    *,
    classes=None,
    n_bins=15,
    strategy="quantile",
    norm="l1",
    debiased=False,
    sample_weight=None,
):
    r"""Mean distance between how sure a classifier is and how often it is right.

    Rows are sorted into bins by the probability of the predicted class; the distance
    :math:`d_b` of mean probability and accuracy is averaged over the bins [1]_.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels.

    P : array-like of shape (n_samples, n_classes)
        Probabilities.

    classes : array-like of shape (n_classes,), default=None
        Labels of the columns; None means the sorted labels of `y_true`.

    n_bins : int, default=15
        Number of bins.

    strategy : {"quantile", "uniform"}, default="quantile"
        Bins of equal mass, which are less biased [2]_ (rows of the same probability
        share a bin, so there may be fewer), or equally wide ones, as in [1]_.

    norm : {"l1", "l2"}, default="l1"
        Mean of :math:`|d_b|`, or root of the mean of :math:`d_b^2`.

    debiased : bool, default=False
        Take off what chance alone adds. With :math:`v_b = a_b (1 - a_b) / (n_b - 1)`,
        the variance of the accuracy :math:`a_b` of a bin of :math:`n_b` rows,
        :math:`d_b^2` becomes :math:`d_b^2 - v_b`, the debiased estimator of section 5
        of [3]_; :math:`|d_b|` becomes :math:`2 |d_b| - E|N(d_b, v_b)|`, less the bias
        that it would have if it were the truth. The former is unbiased but for the
        root; the latter takes two fifths off what chance adds for a perfect
        classifier, and more where there is an error to find. A sum below 0 counts as
        0. Bins of a single row are left out: nothing tells chance from error there.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows. For `debiased`, :math:`n_b` is the effective number of
        rows, :math:`(\sum w)^2 / \sum w^2`.

    Returns
    -------
    error : float
        Between 0 and 1; NaN if debiased where no bin has two rows. Unless debiased, a
        perfectly calibrated classifier has more than 0 on a finite sample, about
        ``0.4 * sqrt(n_bins / n_samples)`` at an accuracy of one half.

    References
    ----------
    .. [1] Guo et al., "On calibration of modern neural networks", ICML 2017,
       equation 3.
    .. [2] Roelofs et al., "Mitigating bias in calibration error estimation", AISTATS
       2022.
    .. [3] Kumar, Liang, Ma, "Verified uncertainty calibration", NeurIPS 2019.

    Examples
    --------
    >>> from skdistill.metrics import expected_calibration_error
    >>> P = [[0.8, 0.2], [0.8, 0.2], [0.8, 0.2], [0.8, 0.2]]
    >>> round(expected_calibration_error([0, 0, 0, 1], P), 4)
    0.05
    """
    codes, P, weight = _check(y_true, P, classes, sample_weight)
    sure, right = P.max(axis=1), P.argmax(axis=1) == codes
    _check_options(n_bins, strategy, norm)
    return _binned_error(sure, right, weight, n_bins, strategy, norm, debiased)


def classwise_calibration_error(
    y_true,
    P,
    *,
    classes=None,
    n_bins=15,
    strategy="quantile",
    norm="l1",
    debiased=False,
    sample_weight=None,
):
    """Mean over classes of the calibration error of a class's own probability.

    Other than :func:`expected_calibration_error` it looks at all columns, not only at
    that of the predicted class: each is compared with how often its class occurs [1]_.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels.

    P : array-like of shape (n_samples, n_classes)
        Probabilities.

    classes : array-like of shape (n_classes,), default=None
        Labels of the columns; None means the sorted labels of `y_true`.

    n_bins : int, default=15
        Number of bins for each class.

    strategy, norm, debiased : {"quantile", "uniform"}, {"l1", "l2"}, bool
        As in :func:`expected_calibration_error`.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows.

    Returns
    -------
    error : float
        Between 0 and 1; NaN if debiased where no bin of a class has two rows. All
        classes count alike, those without a row too.

    References
    ----------
    .. [1] Kull et al., "Beyond temperature scaling: obtaining well-calibrated
       multiclass probabilities with Dirichlet calibration", NeurIPS 2019.

    Examples
    --------
    >>> from skdistill.metrics import classwise_calibration_error
    >>> P = [[0.8, 0.2], [0.8, 0.2], [0.8, 0.2], [0.8, 0.2]]
    >>> round(classwise_calibration_error([0, 0, 0, 1], P), 4)
    0.05
    """
    codes, P, weight = _check(y_true, P, classes, sample_weight)
    _check_options(n_bins, strategy, norm)
    errors = [
        _binned_error(P[:, k], codes == k, weight, n_bins, strategy, norm, debiased)
        for k in range(P.shape[1])
    ]
    return float(np.mean(errors))


# -- bins ------------------------------------------------------------------------------


def _binned_error(sure, right, weight, n_bins, strategy, norm, debiased):
    """Calibration error of the probability `sure` of the event `right`."""
    if strategy == "quantile":
        bins = equal_mass_bins(sure, weight, n_bins)
    else:
        bins = np.minimum((sure * n_bins).astype(int), n_bins - 1)
    mass = np.bincount(bins, weights=weight, minlength=n_bins)
    gap = np.bincount(bins, weights=weight * (right - sure), minlength=n_bins)
    used = mass > 0
    mass, gap = mass[used], gap[used]
    distance = np.abs(gap / mass)
    if debiased:
        square = np.bincount(bins, weights=weight**2, minlength=n_bins)[used]
        hits = np.bincount(bins, weights=weight * right, minlength=n_bins)[used]
        n_rows = mass**2 / square
        known = n_rows > 1 + 1e-9
        mass, distance, n_rows = mass[known], distance[known], n_rows[known]
        accuracy = np.clip(hits[known] / mass, 0.0, 1.0)
        variance = accuracy * (1 - accuracy) / (n_rows - 1)
        if not known.any():
            return np.nan
    else:
        variance = np.zeros_like(distance)
    if norm == "l2":
        mean = np.average(distance**2 - variance, weights=mass)
        return float(np.sqrt(max(mean, 0.0)))
    expected = _mean_of_folded_normal(distance, variance)
    return max(float(np.average(2 * distance - expected, weights=mass)), 0.0)


def equal_mass_bins(values, weight, n_bins):
    """Bin of each row, from 0 to n_bins - 1: bins of about equal weight, by value.

    Rows of the same value share a bin, that of the middle of the mass they hold.
    """
    _, group = np.unique(values, return_inverse=True)
    mass = np.bincount(group, weights=weight)
    middle = (np.cumsum(mass) - mass / 2) / mass.sum()
    return np.minimum((middle * n_bins).astype(int), n_bins - 1)[group]


def _mean_of_folded_normal(mean, variance):
    """Mean of |N(mean, variance)|; |mean| where the variance is 0."""
    some = variance > 0
    sd = np.sqrt(np.where(some, variance, 1.0))
    ratio = mean / (np.sqrt(2) * sd)
    folded = sd * np.sqrt(2 / np.pi) * np.exp(-(ratio**2)) + mean * erf(ratio)
    return np.where(some, folded, np.abs(mean))


# -- checks ----------------------------------------------------------------------------


def _check(y_true, P, classes, sample_weight):
    """Column of each row's label, probabilities, weights."""
    y_true = column_or_1d(y_true)
    classes = np.unique(y_true) if classes is None else np.asarray(classes)
    P = check_probabilities(P, "P", n_samples=len(y_true), n_classes=len(classes))
    column = {label: k for k, label in enumerate(classes.tolist())}
    codes = np.array([column.get(label, -1) for label in y_true.tolist()])
    if (codes < 0).any():
        unknown = set(y_true[codes < 0].tolist())
        raise ValueError(
            f"y_true must hold labels of the classes {classes.tolist()!r} only, got "
            f"also {sorted(unknown, key=str)!r}. Pass classes=model.classes_."
        )
    return codes, P, check_sample_weight(sample_weight, len(y_true))


def _check_options(n_bins, strategy, norm):
    """Check how a calibration error is to be computed."""
    if not n_bins >= 1:
        raise ValueError(
            f"n_bins must be at least 1, got {n_bins!r}. 15 is the usual number."
        )
    for name, value, allowed in (
        ("strategy", strategy, _STRATEGIES),
        ("norm", norm, _NORMS),
    ):
        if value not in allowed:
            raise ValueError(
                f"{name} must be one of {list(allowed)!r}, got {value!r}. Leave it out "
                f"for {allowed[0]!r}."
            )
