"""What a student says of rows, and how sure it is, in [0, 1]."""

from typing import NamedTuple

import numpy as np
from scipy.special import entr


class View(NamedTuple):
    """What the student says of some rows: how sure it is, of what, and of which."""

    scores: np.ndarray
    codes: np.ndarray
    is_inlier: np.ndarray

    def take(self, rows):
        """Return the same for some of the rows."""
        return View(*(values[rows] for values in self))


def _probability(P):
    """Largest probability."""
    return P.max(axis=1)


def _margin(P):
    """By how much the largest probability exceeds the second."""
    ranked = np.sort(P, axis=1)
    return ranked[:, -1] - (ranked[:, -2] if P.shape[1] > 1 else 0)


def _entropy(P):
    """1 minus the entropy over that of the uniform distribution."""
    most = np.log(max(P.shape[1], 2))
    return np.maximum(1 - entr(P).sum(axis=1) / most, 0)  # rounding is below 0


#: By the name that the user gives.
CERTAINTIES = {"probability": _probability, "margin": _margin, "entropy": _entropy}
