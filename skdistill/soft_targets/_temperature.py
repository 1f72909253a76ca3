"""Temperature: one number that makes probabilities more modest or more sure."""

import numpy as np

from skdistill.soft_targets._arithmetic import (
    log_loss_rows,
    log_ratios,
    power,
    temper,
)
from skdistill.soft_targets._checks import check_labelled

#: Inverse temperatures between which a calibration is sought.
POWER_BOUNDS = (1 / 20, 20.0)


def fit_temperature(P, codes, *, sample_weight=None, eps=1e-12):
    """Temperature of lowest log-loss to labels, by bounded one-dimensional search.

    Parameters
    ----------
    P : array-like of shape (n_samples, n_classes)
        Probabilities of rows that their teacher was not fitted on.

    codes : array-like of int of shape (n_samples,)
        Column of each row's label.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows; rows of weight zero count for nothing.

    eps : float, default=1e-12
        Smaller probabilities count as this one.

    Returns
    -------
    temperature : float
        Between .05 and 20.

    Raises
    ------
    ValueError
        If there are no rows of positive weight, or `P` does not hold probabilities, or
        `codes` is of another length or names a column that `P` lacks.

    TypeError
        If `codes` are not integers.

    References
    ----------
    Guo et al., "On calibration of modern neural networks", ICML 2017.
    """
    P, codes, sample_weight = check_labelled(P, codes, sample_weight)
    return temperature_of(P, codes, sample_weight, eps)


def temperature_of(P, codes, weight, eps=1e-12):
    """Return the temperature for rows that were checked."""
    return 1.0 / fit_power(log_ratios(P, eps), codes, weight)


def modest_temperature(P, codes, weight):
    """Temperature as if there were two rows more, of which one is narrowly missed.

    Where a model is right in all of a few rows, no temperature is low enough for the
    likelihood alone. Targets give 1 / (n + 2) to the next best class, as those of
    Platt (1999) do with two classes.
    """
    if P.shape[1] == 1:
        return 1.0
    logits, rows = log_ratios(P, 1e-12), np.arange(len(P))
    others = logits.copy()
    others[rows, codes] = -np.inf
    n = len(P) if weight is None else weight.sum() ** 2 / (weight**2).sum()
    own = logits[rows, codes]
    own += (others.max(axis=1) - own) / (n + 2)
    return 1.0 / fit_power(logits, codes, weight, own=own)


def halves_temperature(P, codes, *, sample_weight=None):
    """Temperature for probabilities, and what it does to rows it was not fitted on.

    Parameters
    ----------
    P : ndarray of shape (n_samples, n_classes)
        Probabilities of rows that their model was not fitted on.

    codes : ndarray of int of shape (n_samples,)
        Column of each row's label.

    sample_weight : ndarray of shape (n_samples,), default=None
        Weights of the rows.

    Returns
    -------
    temperature : float
        Fitted on all rows; 1 where the next does not have a lower log-loss.

    P : ndarray of shape (n_samples, n_classes)
        Each half of the rows (every other one) by the temperature of the other half.
    """
    tempered, even = np.array(P), np.arange(len(P)) % 2 == 0
    for half in (even, ~even):
        weight = None if sample_weight is None else sample_weight[half]
        if not half.any() or (weight is not None and not weight.any()):
            return 1.0, P
        T = modest_temperature(P[half], codes[half], weight)
        tempered[~half] = temper(P[~half], T)
    gain = log_loss_rows(P, codes) - log_loss_rows(tempered, codes)
    if np.average(gain, weights=sample_weight) <= 0:
        return 1.0, P
    return modest_temperature(P, codes, sample_weight), tempered


def fit_power(logits, codes, weight, own=None):
    """Inverse temperature of lowest log-loss, by Newton's method within a bracket.

    The loss, log sum_k exp(beta z_k) - beta z_y, is convex in beta: its slope is the
    mean of z under the tempered distribution minus z_y, its curvature the variance.
    `own` may stand for z_y.
    """
    if own is None:
        own = logits[np.arange(len(codes)), codes]
    (low, high), beta = POWER_BOUNDS, 1.0
    for _ in range(100):
        Q = power(logits, beta)
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


def probability_floor(P):
    """Half the smallest positive probability: 1 / (2 n_trees) for a grown forest.

    A vote share of zero says "none of n_trees", not "impossible"; half a vote keeps its
    logarithm finite and in scale.
    """
    smallest = P.min(where=P > 0, initial=1.0)
    return float(np.clip(smallest / 2, 1e-12, 0.1 / P.shape[1]))
