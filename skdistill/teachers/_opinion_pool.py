"""Pooling opinions: the weighted mean of several answers, and weights for it."""

import numpy as np

#: The mean log score found is at most this far from the highest, in nats.
TOLERANCE = 1e-4
#: Steps at most; the usual hundred take milliseconds.
MAX_STEPS = 20_000
#: Smaller weights become 0 if they are falling: they would cost a member's answer.
MIN_WEIGHT = 0.01


def pool(answers, weights):
    """Weighted mean of probabilities, row by row of those who answered.

    Parameters
    ----------
    answers : iterable of ndarray of shape (n_samples, n_classes)
        Probabilities of each member; NaN in rows that it does not answer.

    weights : ndarray of shape (n_members,)
        Weights of the members.

    Returns
    -------
    P : ndarray of shape (n_samples, n_classes)
        NaN in rows that nobody answers.
    """
    total, mass = 0.0, 0.0
    for P, weight in zip(answers, weights, strict=True):
        answered = np.isfinite(P).all(axis=1, keepdims=True)
        total = total + np.where(answered, weight * P, 0.0)
        mass = mass + weight * answered
    with np.errstate(invalid="ignore"):
        return total / mass


def check_weights(weights, n_members):
    """Check weights of members and return them with sum 1; None means equal ones."""
    if weights is None:
        return np.full(n_members, 1.0 / n_members)
    weights = np.asarray(weights, dtype=np.float64)
    if weights.shape != (n_members,):
        raise ValueError(
            f"weights must have one entry for each of the {n_members} teachers, got "
            f"shape {weights.shape!r}. Pass None for equal weights."
        )
    if not (np.isfinite(weights).all() and weights.min() >= 0 and weights.max() > 0):
        raise ValueError(
            "weights must be finite and not negative, and one of them positive, got "
            f"{weights.tolist()!r}. Pass 0 to leave a teacher out."
        )
    return weights / weights.sum()


def log_score_weights(scores, sample_weight=None):
    """Weights of the mixture with the highest mean log score, by EM.

    The score sum_i v_i log sum_m w_m p_im is concave in w. A step multiplies each
    weight by its slope, sum_i v_i p_im / sum_j w_j p_ij, and never lowers the score;
    the largest slope minus 1 bounds what is still to be gained.

    Parameters
    ----------
    scores : sequence of ndarray of shape (n_samples,)
        Probability that each member gave to each row's label; NaN where it gave none.
        Only rows that all members answer count.

    sample_weight : ndarray of shape (n_samples,), default=None
        Weights of the rows.

    Returns
    -------
    weights : ndarray of shape (n_members,)
        They sum to 1; small ones are 0.
    """
    p = np.column_stack(scores)
    v = np.ones(len(p)) if sample_weight is None else sample_weight
    counts = np.isfinite(p).all(axis=1) & (v > 0)
    if not counts.any():
        raise ValueError(
            "weights='log_score' needs rows that all teachers answer, got none among "
            f"{len(p)}. Leave out the teacher that abstains, or give weights."
        )
    # a label that is impossible to all of them says nothing about weights
    p, v = np.maximum(p[counts], 1e-12), v[counts] / v[counts].sum()
    w = np.full(p.shape[1], 1.0 / p.shape[1])
    for _ in range(MAX_STEPS):
        slope = (v / (p @ w)) @ p
        if slope.max() <= 1 + TOLERANCE:
            break
        w *= slope
    w[(w < MIN_WEIGHT) & (slope < 1)] = 0.0
    return w / w.sum()
