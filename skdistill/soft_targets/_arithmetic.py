"""Arithmetic on distributions: one a row, of shape (n_samples, n_classes)."""

import numpy as np
from scipy.special import rel_entr


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
    return power(log_ratios(P, eps), 1.0 / temperature)


def log_ratios(P, eps):
    """Logits up to a constant a row: log-probabilities, the largest of a row is 0."""
    logits = np.log(np.maximum(P, eps))
    logits -= logits.max(axis=1, keepdims=True)
    return logits


def power(logits, beta):
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


def mean_and_se(values, weight=None):
    """Weighted mean of per-row values, and its standard error."""
    # scaled, so that no square runs out of range
    weight = np.ones(len(values)) if weight is None else weight / weight.max()
    mean = np.average(values, weights=weight)
    spread = np.average((values - mean) ** 2, weights=weight)
    effective = weight.sum() ** 2 / (weight**2).sum()
    return float(mean), float(np.sqrt(spread / max(effective - 1, 1)))
