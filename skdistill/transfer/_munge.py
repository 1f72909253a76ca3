"""MUNGE: mix a row with its nearest neighbour, cell by cell."""

from numbers import Integral, Real

import numpy as np

from skdistill._compat import Interval
from skdistill.transfer._base import CellSampler


class MungeSampler(CellSampler):
    """Draw new rows near given ones, each a mixture of a row and its neighbour.

    MUNGE [1]_: for a row e and its nearest other row e', each attribute is, with
    probability `p`, drawn anew from a normal distribution around the neighbour's
    value whose standard deviation is the distance of the two values over `s`
    (continuous), or taken from the neighbour (categories). Small `p` keeps rows near
    the data.

    Columns whose values are whole numbers, ordered categories and dates take observed
    values only; categories and columns of two values are swapped, never mixed; a
    missing cell stays missing. No row equals a given one: where nothing was drawn anew
    one attribute is, and a row that comes out as a given one is tried again, with the
    next nearest neighbour.

    Parameters
    ----------
    p : float in (0, 1], default=0.2
        Probability that an attribute is drawn anew.

    s : float, default=1.0
        Local variance parameter: standard deviations are divided by it.

    n_neighbors : int, default=1
        The neighbour is one of so many nearest other rows, drawn for each new row. 1 is
        the paper's; more make new rows of one row more diverse.

    block_size : int, default=100_000
        Neighbours are searched within random blocks of at most so many rows, exactly:
        up to ``n_samples * block_size`` distances.

    Attributes
    ----------
    n_rows_ : int
        Number of rows given.

    Notes
    -----
    Algorithm 1 of the paper changes e and e' at once and in place, so that a row that
    is the neighbour of others is changed again for each of them. Here every new row
    starts from the data as they are and e alone is kept: rows do not depend on their
    order, and `p` is the share of attributes that change.

    References
    ----------
    .. [1] Bucila, Caruana, Niculescu-Mizil, "Model compression", KDD 2006, algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> from skdistill.transfer import MungeSampler
    >>> X = np.random.default_rng(0).normal(size=(50, 3))
    >>> MungeSampler().fit(X).sample(200, random_state=0).shape
    (200, 3)
    """

    _parameter_constraints = {
        "p": [Interval(Real, 0, 1, closed="right")],
        "s": [Interval(Real, 0, None, closed="neither")],
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "block_size": [Interval(Integral, 2, None, closed="left")],
    }

    def __init__(self, p=0.2, s=1.0, *, n_neighbors=1, block_size=100_000):
        self.p = p
        self.s = s
        self.n_neighbors = n_neighbors
        self.block_size = block_size

    def _n_mates(self):
        return self.n_neighbors

    def _redraw(self, e, other, drawn, rng):
        i, j = np.nonzero(drawn)
        noise = np.where(self._table.nominal[j], 0.0, rng.standard_normal(j.size))
        e[i, j] = other[i, j] + noise * np.abs(e[i, j] - other[i, j]) / self.s
