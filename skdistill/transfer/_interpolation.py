"""SMOTE-like rows between two rows; mixup where the two are any."""

from numbers import Integral, Real

import numpy as np

from skdistill._compat import Interval
from skdistill.transfer._base import N_ATTEMPTS, TableSampler


class InterpolationSampler(TableSampler):
    """Draw new rows between a row and one of its nearest neighbours.

    As in SMOTE [1]_: for a row e, one of its nearest other rows e' and one random share
    t, a new row is e + t (e' - e). With ``n_neighbors=None`` e' is any row, as in mixup
    [2]_, where the teacher labels the mixed row instead of its labels being mixed.

    Columns whose values are whole numbers, ordered categories and dates take the
    observed value next to the mixed one; each category and each cell of a column of two
    values is e' 's with probability t; a cell that is missing in either row stays as it
    is in e. No row equals a given one: such a row is drawn again, in the end between
    any two rows.

    Parameters
    ----------
    n_neighbors : int or None, default=5
        Neighbours that e' is drawn from. None: any other row.

    concentration : float, default=1.0
        t is drawn from Beta(concentration, concentration): uniform at 1, near one of
        the two rows below it, near their middle above.

    block_size : int, default=100_000
        Neighbours are searched within random blocks of at most so many rows, exactly:
        up to ``n_samples * block_size`` distances.

    Attributes
    ----------
    n_rows_ : int
        Number of rows given.

    References
    ----------
    .. [1] Chawla, Bowyer, Hall, Kegelmeyer, "SMOTE: synthetic minority over-sampling
       technique", JAIR 2002.
    .. [2] Zhang, Cisse, Dauphin, Lopez-Paz, "mixup: beyond empirical risk
       minimization", ICLR 2018, equation 1.

    Examples
    --------
    >>> import numpy as np
    >>> from skdistill.transfer import InterpolationSampler
    >>> X = np.random.default_rng(0).normal(size=(50, 3))
    >>> InterpolationSampler().fit(X).sample(200, random_state=0).shape
    (200, 3)
    """

    _parameter_constraints = {
        "n_neighbors": [Interval(Integral, 1, None, closed="left"), None],
        "concentration": [Interval(Real, 0, None, closed="neither")],
        "block_size": [Interval(Integral, 2, None, closed="left")],
    }

    def __init__(self, n_neighbors=5, *, concentration=1.0, block_size=100_000):
        self.n_neighbors = n_neighbors
        self.concentration = concentration
        self.block_size = block_size

    def _fit(self, teacher):
        self._neighbours = None
        if self.n_neighbors is not None and len(self._distinct) > 1:
            self._neighbours = self._search(self.n_neighbors)

    def _draw(self, rows, attempt, rng):
        values = self._table.values
        if self._neighbours is None or attempt >= N_ATTEMPTS // 2:
            mates = rng.randint(len(values), size=len(rows))
        else:
            rank = rng.randint(self._neighbours.shape[1], size=len(rows))
            mates = self._neighbours[self._twin[rows], rank]
        e, other = values[rows], values[mates]
        share = rng.beta(self.concentration, self.concentration, size=(len(rows), 1))
        new = e + share * (other - e)
        swapped = np.flatnonzero(self._table.nominal)
        is_mate = rng.random_sample((len(rows), swapped.size)) < share
        new[:, swapped] = np.where(is_mate, other[:, swapped], e[:, swapped])
        return np.where(np.isnan(e) | np.isnan(other), e, new)
