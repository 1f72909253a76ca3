"""Gaussian copula: the columns' own distributions, and how they go together."""

from numbers import Real

import numpy as np
from scipy.special import ndtr, ndtri
from sklearn.covariance import ledoit_wolf_shrinkage

from skdistill._compat import Interval
from skdistill.transfer._base import TableSampler


class GaussianCopulaSampler(TableSampler):
    """Draw new rows from a Gaussian copula with the columns' own distributions.

    Each cell has a normal score, by its rank in its column [1]_. The correlations of
    the scores, shrunk towards none [2]_, give normal vectors, and each of these a row
    whose cells have the same ranks: numbers lie between observed ones, all other
    columns take observed values. Categories without an order are ordered by where their
    rows lie along the first principal axis of the table.

    `strength` is how far a new row goes from a given one: with normal scores z of that
    row and a drawn vector g, the new scores are ``sqrt(1 - strength**2) z + strength
    g``, whose distribution is the same for every strength. At 1 the row that it started
    from is forgotten, but for its missing cells, which stay missing.

    Parameters
    ----------
    strength : float in (0, 1], default=1.0
        Share of what is new in a row's scores.

    Attributes
    ----------
    n_rows_ : int
        Number of rows given.

    correlation_ : ndarray of shape (n_features, n_features)
        Correlations of the normal scores.

    Notes
    -----
    A category of probability P(a < Z <= b) scores ``E[Z | a < Z <= b]``, so that the
    scores of a coarse column vary less than normal ones, by a factor v. Correlations of
    two columns are their scores' covariance over the product of their v, which to first
    order undoes what the coarseness took away; eigenvalues below zero are then cut off.

    References
    ----------
    .. [1] Nelsen, "An introduction to copulas", 2006, section 2.3 (Sklar's theorem).
    .. [2] Ledoit, Wolf, "A well-conditioned estimator for large-dimensional covariance
       matrices", J. Multivariate Analysis 2004.

    Examples
    --------
    >>> import numpy as np
    >>> from skdistill.transfer import GaussianCopulaSampler
    >>> X = np.random.default_rng(0).normal(size=(50, 3))
    >>> GaussianCopulaSampler().fit(X).sample(200, random_state=0).shape
    (200, 3)
    """

    _parameter_constraints = {"strength": [Interval(Real, 0, 1, closed="right")]}

    def __init__(self, strength=1.0):
        self.strength = strength

    def _fit(self, teacher):
        values = self._table.values
        axis = _first_axis(self._table.points())
        self._margins = [
            _Margin(column, axis if nominal else None, j in self._table.observed)
            for j, (column, nominal) in enumerate(
                zip(values.T, self._table.nominal, strict=True)
            )
        ]
        scores = np.column_stack(
            [m.scores(x) for m, x in zip(self._margins, values.T, strict=True)]
        )
        self.correlation_ = _correlation(scores)
        spread, axes = np.linalg.eigh(self.correlation_)
        self._root = axes * np.sqrt(np.maximum(spread, 0.0))

    def _draw(self, rows, attempt, rng):
        new = self._table.values[rows]
        scores = self.strength * rng.standard_normal(new.shape) @ self._root.T
        kept = np.sqrt(1 - self.strength**2)
        for j, margin in enumerate(self._margins):
            column = new[:, j]
            if kept:
                scores[:, j] += kept * margin.draw_scores(column, rng)
            drawn = margin.values(ndtr(scores[:, j]))
            new[:, j] = np.where(np.isnan(column), np.nan, drawn)
        return new


class _Margin:
    """Distribution of one column.

    Parameters
    ----------
    column : ndarray of shape (n_samples,)
        Cells.

    axis : ndarray of shape (n_samples,) or None
        What orders the values of the column, by their means; None: they have an order.

    is_coarse : bool
        Whether an ordered column takes observed values only.
    """

    def __init__(self, column, axis, is_coarse):
        given = ~np.isnan(column)
        self._seen, code, counts = np.unique(
            column[given], return_inverse=True, return_counts=True
        )
        self._place = np.arange(len(self._seen))
        if axis is not None:
            means = np.bincount(code, axis[given], len(self._seen)) / counts
            self._place[np.argsort(means, kind="stable")] = np.arange(len(means))
        self._is_stepped = is_coarse or axis is not None
        shares = np.empty(len(self._seen))
        shares[self._place] = counts / max(counts.sum(), 1)
        # ranks of the values in their order: from which level to which
        ends = np.minimum(np.cumsum([0.0, *shares]), 1.0)
        ends[-1] = 1.0
        self._lower, self._upper = ends[:-1], ends[1:]
        self._half = 0.5 / max(counts.sum(), 1)

    def _places(self, column):
        return self._place[np.searchsorted(self._seen, column)]

    def scores(self, column):
        """E[Z | a < Z <= b] for each cell, 0 where it is missing."""
        scores = np.zeros(len(column))
        given = ~np.isnan(column)
        at = self._places(column[given])
        low, high = (_density(ndtri(level)) for level in (self._lower, self._upper))
        scores[given] = ((low - high) / (self._upper - self._lower))[at]
        return scores

    def draw_scores(self, column, rng):
        """Normal score of each cell, at random where several cells are equal."""
        level = rng.random_sample(len(column))
        given = ~np.isnan(column)
        at = self._places(column[given])
        level[given] = self._lower[at] + level[given] * (self._upper - self._lower)[at]
        return ndtri(np.clip(level, 1e-12, 1 - 1e-12))

    def values(self, level):
        """Values at given levels of the distribution."""
        if not len(self._seen):
            return np.full(len(level), np.nan)
        if self._is_stepped:
            at = np.minimum(np.searchsorted(self._upper, level), len(self._seen) - 1)
            return self._seen[np.argsort(self._place)][at]
        # A value that many rows have keeps its share; between values it is linear.
        knots = np.column_stack([self._lower + self._half, self._upper - self._half])
        levels = np.maximum.accumulate(knots.ravel())  # in spite of rounding
        return np.interp(level, levels, np.repeat(self._seen, 2))


def _density(z):
    """Standard normal density; 0 at infinity."""
    return np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)


def _first_axis(points):
    """Each point's place along the first principal axis."""
    centred = points - points.mean(axis=0)
    if not centred.shape[1]:
        return np.zeros(len(points))
    return centred @ np.linalg.eigh(centred.T @ centred)[1][:, -1]


def _correlation(scores):
    """Shrunk correlation of normal scores whose coarseness is allowed for."""
    n_rows, n_columns = scores.shape
    spread = (scores**2).mean(axis=0)
    varies = spread > 0
    R = np.eye(n_columns)
    if n_rows < 2 or varies.sum() < 2:
        return R
    scores = scores[:, varies]
    shrinkage = ledoit_wolf_shrinkage(scores, assume_centered=True)
    S = scores.T @ scores / n_rows / np.outer(spread[varies], spread[varies])
    S = np.clip(S, -1.0, 1.0) * (1 - shrinkage)
    np.fill_diagonal(S, 1.0)
    values, axes = np.linalg.eigh(S)
    S = (axes * np.maximum(values, 0.0)) @ axes.T
    scale = np.sqrt(np.diag(S))
    R[np.ix_(varies, varies)] = S / np.outer(scale, scale)
    return R
