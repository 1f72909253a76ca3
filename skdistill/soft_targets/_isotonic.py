"""Isotonic calibration: any rising curve from log-odds to log-odds, class by class.

A step function, as isotonic regression [1]_ is, gives ties and zeros, and students
learn from both. So each step is one point of a broken line [2]_, at the mean log-odds
of its rows, and its height is the share of labels drawn to the mean probability as if
:data:`PRIOR_ROWS` more rows had said so: steps of many rows stay where they are, steps
of a few hardly bend the line, and no probability is 0.

.. [1] Zadrozny, Elkan, "Transforming classifier scores into accurate multiclass
   probability estimates", KDD 2002.
.. [2] Oron, Flournoy, "Centered isotonic regression", Statistics in Biopharmaceutical
   Research, 2017.
"""

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.special import expit, logit

#: Rows by which a step's height is drawn to the probability that it had before. On real
#: teachers 20 are better than 10 by a hair, on teachers that are far off 5 are.
PRIOR_ROWS = 10.0
#: Log-odds are taken of probabilities that are as far from 0 and 1 at least.
TINY = 1e-12


def follow_curves(P, curves):
    """Calibrated probabilities.

    Parameters
    ----------
    P : ndarray of shape (n_samples, n_classes)
        Probabilities.

    curves : tuple of ndarray of shape (2, n_points)
        Log-odds before and after: of each class, in the binary case of the second.

    Returns
    -------
    P : ndarray of shape (n_samples, n_classes)
        The answers for the classes, normalised.
    """
    odds = _log_odds(P, len(curves))
    Q = np.column_stack(
        [expit(np.interp(z, *curve)) for z, curve in zip(odds, curves, strict=True)]
    )
    if len(curves) == 1:
        return np.column_stack([1.0 - Q, Q])
    return Q / Q.sum(axis=1, keepdims=True)


def fit_curves(P, codes, weight):
    """Rising curves that fit the labels, each class against the rest.

    Parameters
    ----------
    P : ndarray of shape (n_samples, n_classes)
        Probabilities, with the right temperature as far as a temperature can be right.

    codes : ndarray of int of shape (n_samples,)
        Column of each row's label.

    weight : ndarray of shape (n_samples,) or None
        Weights of the rows; their scale is of no consequence.

    Returns
    -------
    curves : tuple of ndarray of shape (2, n_points)
    """
    weight = np.ones(len(codes)) if weight is None else weight / weight.mean()
    columns = [1] if P.shape[1] == 2 else range(P.shape[1])
    return tuple(
        _fit_curve(z, codes == column, weight)
        for column, z in zip(columns, _log_odds(P, len(columns)), strict=True)
    )


def _log_odds(P, n_curves):
    P = P[:, 1:] if n_curves == 1 else P
    return logit(np.clip(P, TINY, 1 - TINY)).T


def _fit_curve(z, is_class, weight):
    """Centres and heights of the steps of isotonic regression, in log-odds."""
    z, row = np.unique(z, return_inverse=True)  # rows with equal odds are one point
    mass = np.bincount(row, weights=weight)
    share = np.bincount(row, weights=weight * is_class) / mass
    centre, height, mass = _steps(z, share, mass)
    height = (mass * height + PRIOR_ROWS * expit(centre)) / (mass + PRIOR_ROWS)
    # small steps are drawn further than large ones: they may not rise any more
    centre, height, _ = _steps(centre, height, mass)
    return np.stack([centre, logit(np.clip(height, TINY, 1 - TINY))])


def _steps(x, y, mass):
    """Mean x, height and mass of each step that isotonic regression makes of y."""
    found = isotonic_regression(y, weights=mass)
    first = found.blocks[:-1]
    centre = np.add.reduceat(x * mass, first) / found.weights
    return centre, found.x[first], found.weights
