"""Encoded rows on their way into a net: weights folded in, some held back."""

from dataclasses import dataclass

import numpy as np

from skdistill.students._settings import FEW_ROWS

#: More validation rows than this make a better choice no more, but cost time.
MAX_VALIDATION_ROWS = 10_000


@dataclass(frozen=True)
class TrainingRows:
    """Encoded rows, and targets that sum to each row's weight (1 on average)."""

    X: np.ndarray
    target: np.ndarray
    is_even: bool

    def take(self, mask):
        """Return the rows of a mask."""
        return TrainingRows(self.X[mask], self.target[mask], self.is_even)


def training_rows(X, P, weight, *, merge=False):
    """Fold weights into targets; rows of no weight are dropped.

    With `merge` rows come in a canonical order, equal ones as one with the sum of their
    weights: weighing a row, repeating it and reordering rows then leave no trace.
    """
    keep = weight > 0
    if not keep.all():
        X, P, weight = X[keep], P[keep], weight[keep]
    target = P * weight[:, np.newaxis]
    if merge:
        X, group = np.unique(X, axis=0, return_inverse=True)
        target = np.zeros((len(X), P.shape[1]))
        np.add.at(target, group.ravel(), P * weight[:, np.newaxis])
    mass = target.sum(axis=1)
    target *= len(X) / mass.sum()
    is_even = bool(np.ptp(mass) <= 1e-9 * mass.max())
    return TrainingRows(X, target.astype(X.dtype, copy=False), is_even)


def hold_out(rows, fraction, rng):
    """Mask of the rows for validation: whole groups of equal rows, in random order.

    Where there are few groups, each is needed to learn from: then single rows.
    """
    X = np.ascontiguousarray(rows.X + 0.0)  # makes -0.0 equal to 0.0
    words = X.view(np.uint32)
    mark = np.zeros(len(X), dtype=np.uint64)
    for column in range(words.shape[1]):
        odd = np.uint64(rng.randint(2**31)) << np.uint64(33) | np.uint64(
            2 * rng.randint(2**31) + 1
        )
        mark += words[:, column].astype(np.uint64) * odd
    _, group, count = np.unique(mark, return_inverse=True, return_counts=True)
    if len(count) <= FEW_ROWS:
        group, count = rng.permutation(len(X)), np.ones(len(X), dtype=int)
    room = min(fraction * len(X), MAX_VALIDATION_ROWS)
    small = count <= room
    chosen = small & (np.cumsum(np.where(small, count, 0)) <= room)
    # A class's last rows stay where they can be learnt from.
    left = rows.target[~chosen[group]].sum(axis=0)
    lost = rows.target[:, left == 0].any(axis=1)
    chosen[group[lost]] = False
    return chosen[group]
