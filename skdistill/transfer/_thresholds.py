"""New rows between the split thresholds of a teacher made of trees."""

from numbers import Integral, Real

import numpy as np

from skdistill._compat import Interval
from skdistill.transfer._base import CellSampler
from skdistill.transfer._splits import split_thresholds
from skdistill.transfer._table import unique


class ThresholdSampler(CellSampler):
    """Draw new rows in the middle of the steps of a teacher made of trees.

    The answers of trees change at their split thresholds only, so that midpoints
    between thresholds say all there is to know of a column [1]_. For a row e and its
    nearest other row e', each number is, with probability `p`, moved to the midpoint
    between two neighbouring thresholds, drawn from those that lie between the two
    rows' values and the next one to each side. The paper draws each column by itself
    from all midpoints; `p` and the neighbour keep rows near the data.

    Categories, columns of two values and numbers that no tree looks at are taken from
    e'; columns whose values are whole numbers take the observed value nearest to the
    midpoint; a missing cell stays missing. No row equals a given one.

    Parameters
    ----------
    p : float in (0, 1], default=0.2
        Probability that an attribute is drawn anew.

    block_size : int, default=100_000
        Neighbours are searched within random blocks of at most so many rows, exactly:
        up to ``n_samples * block_size`` distances.

    Attributes
    ----------
    n_rows_ : int
        Number of rows given.

    n_thresholds_ : ndarray of int of shape (n_features,)
        Thresholds found within the range of each column.

    Notes
    -----
    `fit` needs ``teacher=``, fitted. Its trees are found in scikit-learn's trees,
    forests and boosting, in LightGBM, XGBoost and CatBoost models, and within stacks,
    votes, bags, calibrated, frozen and cached models, searches and pipelines; behind a
    transformer that makes new columns (one-hot encoding, PCA) they do not count. Where
    no column of numbers has a threshold, `fit` raises ValueError: use
    :class:`MungeSampler`.

    References
    ----------
    .. [1] Cohen, Foster, Lebanon, Alexander, "Universal approximation functions for
       fast learning to rank", SIGIR 2018.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from skdistill.transfer import ThresholdSampler
    >>> X, y = load_iris(return_X_y=True)
    >>> teacher = RandomForestClassifier(random_state=0).fit(X, y)
    >>> ThresholdSampler().fit(X, teacher=teacher).sample(200, random_state=0).shape
    (200, 4)
    """

    _parameter_constraints = {
        "p": [Interval(Real, 0, 1, closed="right")],
        "block_size": [Interval(Integral, 2, None, closed="left")],
    }

    def __init__(self, p=0.2, *, block_size=100_000):
        self.p = p
        self.block_size = block_size

    def _fit(self, teacher):
        if teacher is None:
            raise ValueError(
                "ThresholdSampler needs a fitted teacher, got teacher=None. Pass "
                "fit(X, teacher=...), or use MungeSampler."
            )
        found = split_thresholds(teacher)
        self._cuts, self._midpoints = {}, {}
        mixed = self._table.numeric & ~self._table.nominal
        self.n_thresholds_ = np.zeros(len(mixed), dtype=np.intp)
        for j in np.flatnonzero(mixed):
            seen = unique(self._table.values[:, j])
            cuts = found.get(j, np.empty(0))
            cuts = cuts[(seen[0] <= cuts) & (cuts < seen[-1])]
            self.n_thresholds_[j] = len(cuts)
            if len(cuts):
                ends = np.concatenate([seen[:1], cuts, seen[-1:]])
                self._cuts[j], self._midpoints[j] = cuts, (ends[:-1] + ends[1:]) / 2
        if not self._cuts:
            raise ValueError(
                "teacher must hold trees that split columns of numbers in X, got "
                f"{type(teacher).__name__}, in which no such threshold was found. Use "
                "MungeSampler."
            )
        super()._fit(teacher)

    def _redraw(self, e, other, drawn, rng):
        for j in range(e.shape[1]):
            rows = np.flatnonzero(drawn[:, j])
            if j not in self._cuts:
                e[rows, j] = other[rows, j]
                continue
            # from which step to which: a threshold itself belongs to the step below
            ends = np.searchsorted(self._cuts[j], [e[rows, j], other[rows, j]])
            low = np.maximum(ends.min(axis=0) - 1, 0)
            high = np.minimum(ends.max(axis=0) + 1, len(self._cuts[j]))
            e[rows, j] = self._midpoints[j][rng.randint(low, high + 1)]
