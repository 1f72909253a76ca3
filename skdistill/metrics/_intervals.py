"""How sure a figure is: intervals and a test for rates and for statistics of rows."""

import numpy as np
from scipy.special import bdtr, betaincinv, ndtri
from sklearn.utils import check_consistent_length, check_random_state, column_or_1d

from skdistill.metrics._checks import check_sample_weight


def wilson_interval(n_successes, n, *, confidence=0.95):
    """Two-sided interval of a rate by Wilson's score method.

    It stays within [0, 1] and does not shrink to a point at 0 or `n` successes, where
    the usual mean plus or minus two standard errors does [1]_, [2]_.

    Parameters
    ----------
    n_successes, n : float or array-like
        Successes among `n` trials; fractions are allowed, such as those of an
        effective number of weighted rows.

    confidence : float, default=0.95
        Probability, over samples, that the interval holds the true rate; in (0, 1).

    Returns
    -------
    low, high : float or ndarray
        Ends of the interval; 0 and 1 where `n` is 0.

    References
    ----------
    .. [1] Wilson, "Probable inference, the law of succession, and statistical
       inference", Journal of the American Statistical Association, 1927.
    .. [2] Brown, Cai, DasGupta, "Interval estimation for a binomial proportion",
       Statistical Science, 2001, equation 4.

    Examples
    --------
    >>> from skdistill.metrics import wilson_interval
    >>> low, high = wilson_interval(99, 100)
    >>> round(low, 3), round(high, 3)
    (0.946, 0.998)
    """
    k, n = _check_counts(n_successes, n, "n_successes")
    z2 = ndtri(0.5 + _check_confidence(confidence) / 2) ** 2
    some = np.where(n > 0, n, 1.0)
    centre = (k + z2 / 2) / (some + z2)
    half = np.sqrt(z2 * (k * (some - k) / some + z2 / 4)) / (some + z2)
    # Rounding must not move the ends off 0 and 1 where they lie there exactly.
    low = np.where((n > 0) & (k > 0), np.maximum(centre - half, 0.0), 0.0)
    high = np.where((n > 0) & (k < n), np.minimum(centre + half, 1.0), 1.0)
    return _unwrap(low), _unwrap(high)


def clopper_pearson_upper(n_failures, n, *, confidence=0.95):
    """One-sided exact upper bound of a rate, by Clopper and Pearson.

    The true rate is at most this with probability `confidence` or more, whatever the
    rate and `n` are [1]_: a quantile of the Beta(k + 1, n - k) distribution.

    Parameters
    ----------
    n_failures, n : int or array-like of int
        Failures among `n` independent trials.

    confidence : float, default=0.95
        One-sided confidence, in (0, 1).

    Returns
    -------
    upper : float or ndarray
        1 where all trials fail, or where there are none.

    References
    ----------
    .. [1] Clopper, Pearson, "The use of confidence or fiducial limits illustrated in
       the case of the binomial", Biometrika, 1934.

    Examples
    --------
    >>> from skdistill.metrics import clopper_pearson_upper
    >>> round(clopper_pearson_upper(0, 300), 4)  # about 3 / n, the "rule of three"
    0.0099
    """
    k, n = _check_counts(n_failures, n, "n_failures")
    confidence = _check_confidence(confidence)
    all_fail = k == n
    inside = betaincinv(k + 1, np.where(all_fail, 1.0, n - k), confidence)
    return _unwrap(np.where(all_fail, 1.0, inside))


def bootstrap_interval(
    statistic,
    *arrays,
    sample_weight=None,
    confidence=0.95,
    n_resamples=1000,
    random_state=None,
):
    """Two-sided percentile bootstrap interval of a statistic of rows.

    Rows are drawn with replacement, the same rows of all arrays: figures of two models
    on the same rows are compared in pairs [1]_. A resample is given to the statistic
    as weights, the number of times that each row was drawn, so any metric that takes
    `sample_weight` will do and no array is copied.

    Parameters
    ----------
    statistic : callable
        ``statistic(*arrays, sample_weight=w)`` with `w` of shape (n_samples,), which
        returns a float, or an array for several statistics of the same draws (cheaper
        than one call each: drawing takes most of the time). It is called `n_resamples`
        times, so prepare what does not depend on the weights, such as the losses of
        rows, before. Every metric on rows of this module fits.

    *arrays : array-like of shape (n_samples, ...)
        What the statistic takes; rows where `sample_weight` is 0 are left out.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows. All rows are drawn with the same probability and keep
        their weight: a weight says how much a row counts, not how often it was seen.

    confidence : float, default=0.95
        Nominal coverage, in (0, 1). Means of a hundred rows or more come within a point
        or two of it (an exponential one of 150 rows: 88 % where 90 % were asked); a
        statistic that is biased on few rows, such as a calibration error, is covered
        less often.

    n_resamples : int, default=1000
        Number of resamples.

    random_state : int, RandomState instance or None, default=None
        Seeds the draws; the same int gives the same draws to every statistic of as
        many rows.

    Returns
    -------
    low, high : float or ndarray
        Quantiles of the statistic over resamples; an array where the statistic is one.
        NaN where the statistic is undefined on some resample.

    References
    ----------
    .. [1] Efron, Tibshirani, "An introduction to the bootstrap", 1993, section 13.3.

    Examples
    --------
    >>> import numpy as np
    >>> from skdistill.metrics import bootstrap_interval
    >>> def difference(a, b, sample_weight):
    ...     return np.average(a - b, weights=sample_weight)
    >>> right_a = np.arange(400) % 10 > 0  # right on 90 % of the rows
    >>> right_b = np.arange(400) % 5 > 0  # on 80 %, never where a is wrong
    >>> low, high = bootstrap_interval(
    ...     difference, right_a.astype(float), right_b.astype(float), random_state=0
    ... )
    >>> round(low, 2), round(high, 2)
    (0.07, 0.13)
    """
    arrays = [np.asarray(a) for a in arrays]
    check_consistent_length(*arrays)
    if not arrays or len(arrays[0]) == 0 or not n_resamples >= 2:
        raise ValueError(
            "bootstrap_interval needs arrays of at least one row and n_resamples of at "
            f"least 2, got {[len(a) for a in arrays]!r} rows and "
            f"n_resamples={n_resamples!r}. Pass what the statistic takes."
        )
    tail = (1 - _check_confidence(confidence)) / 2
    weight = check_sample_weight(sample_weight, len(arrays[0]))
    present = weight > 0
    arrays, weight = [a[present] for a in arrays], weight[present]
    n, rng = len(weight), check_random_state(random_state)
    values = []
    for _ in range(n_resamples):
        counts = np.bincount(rng.randint(n, size=n), minlength=n)
        values.append(statistic(*arrays, sample_weight=counts * weight))
    low, high = np.quantile(values, [tail, 1 - tail], axis=0)
    return _unwrap(low), _unwrap(high)


def mcnemar_test(right_a, right_b):
    """Two-sided exact test that two models are right equally often on the same rows.

    Only rows where one is right and the other wrong tell them apart; under the
    hypothesis each side wins such a row with probability one half [1]_.

    Parameters
    ----------
    right_a, right_b : array-like of bool of shape (n_samples,)
        Whether each model is right on each row.

    Returns
    -------
    p_value : float
        Small where the difference is more than chance; 1 where the models are right on
        the same rows.

    References
    ----------
    .. [1] McNemar, "Note on the sampling error of the difference between correlated
       proportions or percentages", Psychometrika, 1947; here with exact binomial tails.

    Examples
    --------
    >>> from skdistill.metrics import mcnemar_test
    >>> mcnemar_test([True] * 8 + [False] * 2, [False] * 6 + [True] * 2 + [False] * 2)
    0.03125
    """
    right_a, right_b = (
        _check_right(right_a, "right_a"),
        _check_right(right_b, "right_b"),
    )
    check_consistent_length(right_a, right_b)
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    # Both tails are equal at one half; where they meet they would count a case twice.
    return float(min(1.0, 2 * bdtr(min(only_a, only_b), only_a + only_b, 0.5)))


# -- checks ----------------------------------------------------------------------------


def _check_counts(k, n, name):
    k, n = np.broadcast_arrays(np.asarray(k, dtype=float), np.asarray(n, dtype=float))
    if not ((k >= 0) & (k <= n) & np.isfinite(n)).all():
        raise ValueError(
            f"{name} must lie between 0 and n, and n be finite, got {name}={k!r} and "
            f"n={n!r}. Count {name[2:]} among the n rows."
        )
    return k, n


def _check_confidence(confidence):
    if not 0 < confidence < 1:
        raise ValueError(
            f"confidence must lie strictly between 0 and 1, got {confidence!r}. 0.95 "
            "is the usual value."
        )
    return confidence


def _check_right(right, name):
    right = column_or_1d(right)
    if not np.isin(right, [0, 1]).all():
        raise ValueError(
            f"{name} must hold True and False (or 1 and 0), got {right.dtype} values "
            f"such as {right[~np.isin(right, [0, 1])][0]!r}. Pass y_pred == y_true."
        )
    return right.astype(bool)


def _unwrap(values):
    """Give a float for a single figure, an array for several."""
    return float(values) if np.ndim(values) == 0 else np.asarray(values)
