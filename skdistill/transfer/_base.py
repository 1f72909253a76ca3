"""What samplers of tables share: known rows, and drawing until a row is new."""

from numbers import Integral

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skdistill._compat import fit_context
from skdistill.transfer._neighbours import nearest
from skdistill.transfer._table import Table, row_hashes

#: Rows worked on at once while sampling: bounds the memory besides the result.
CHUNK = 20_000
#: Neighbours kept for each row: the farther ones serve where near ones give no new row.
N_NEIGHBOURS = 8
#: Times that a row is drawn before it is given up: around its own row, then around any.
N_ATTEMPTS = 4 * N_NEIGHBOURS


def check_n_samples(n_samples):
    """Check the number of rows to draw.

    Raises
    ------
    ValueError
        If it is none.
    """
    if not isinstance(n_samples, Integral) or n_samples < 0:
        raise ValueError(
            f"n_samples must be a whole number of at least 0, got {n_samples!r}."
        )


class TableSampler(BaseEstimator):
    """Base of samplers of tables.

    A subclass has `_fit(teacher)`, which may look at `self._table`, and
    `_draw(rows, attempt, rng)`, which returns new rows as floats, each with the missing
    cells of the row it started from.
    """

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, *, teacher=None):
        """Learn from the rows that new ones shall be like.

        Parameters
        ----------
        X : {ndarray, DataFrame} of shape (n_samples, n_features)
            A table. Missing cells and, in a data frame, categories are welcome.

        teacher : object, default=None
            The fitted teacher, for samplers that look at it.

        Returns
        -------
        self : object
            The fitted sampler.

        Raises
        ------
        TypeError
            If X is no table (sparse, text).

        ValueError
            If X has fewer than two rows or holds infinite values.
        """
        self._table = Table(X)
        if len(self._table) < 2:
            raise ValueError(
                f"X must have at least 2 samples to have neighbours, got "
                f"{len(self._table)} sample. Give more rows, or transfer=None."
            )
        # Equal rows are one point: a row must not be its twin's neighbour.
        self._known, self._distinct, self._twin = np.unique(
            row_hashes(self._table.values), return_index=True, return_inverse=True
        )
        self._fit(teacher)
        self.n_rows_ = len(self._table)
        return self

    def sample(self, n_samples, random_state=None):
        """Draw new rows.

        Parameters
        ----------
        n_samples : int
            Number of rows. Fewer come back only where the data leave no room for new
            rows (a few discrete columns).

        random_state : int, RandomState instance or None, default=None
            Seed of the draw.

        Returns
        -------
        X : {ndarray, DataFrame} of shape (<= n_samples, n_features)
            Rows of the kind that `fit` was given, none of which it was given.
        """
        check_is_fitted(self, "n_rows_")
        check_n_samples(n_samples)
        rng = check_random_state(random_state)
        rows = np.resize(rng.permutation(self.n_rows_), n_samples)
        new = np.empty((n_samples, self._table.values.shape[1]))
        fresh = np.zeros(n_samples, dtype=bool)
        for attempt in range(N_ATTEMPTS):
            todo = np.flatnonzero(~fresh)
            if not todo.size:
                break
            if attempt >= N_ATTEMPTS // 2:  # these rows have nothing new around them
                rows[todo] = rng.randint(self.n_rows_, size=todo.size)
            for part in np.split(todo, range(CHUNK, todo.size, CHUNK)):
                new[part] = self._table.snap(self._draw(rows[part], attempt, rng))
                fresh[part] = ~self._is_known(new[part])
        return self._table.to_native(new[fresh], rows[fresh])

    def _is_known(self, rows):
        """Tell which rows were given to `fit`."""
        hashes = row_hashes(rows)
        at = np.minimum(np.searchsorted(self._known, hashes), len(self._known) - 1)
        return self._known[at] == hashes

    def _search(self, n_neighbours):
        """Find each distinct row's nearest other rows.

        Returns
        -------
        neighbours : ndarray of int of shape (n_distinct, <= n_neighbours)
            Rows, nearest first; `self._twin` says which line belongs to a row.
        """
        points = self._table.points()[self._distinct]
        return self._distinct[nearest(points, n_neighbours, self.block_size)]


class CellSampler(TableSampler):
    """Base of samplers that draw some cells of a row anew, given its neighbour's.

    A subclass has the parameters `p` and `block_size`, and `_redraw(e, other, drawn,
    rng)`, which changes the drawn cells of e in place.
    """

    def _fit(self, teacher):
        self._neighbours = self._search(max(N_NEIGHBOURS, self._n_mates()))

    def _n_mates(self):
        """Say among how many nearest rows a row's neighbour is drawn."""
        return 1

    def _draw(self, rows, attempt, rng):
        """Change cells of rows, towards neighbours that are farther at each attempt."""
        e = self._table.values[rows]
        n_neighbours = self._neighbours.shape[1]
        if n_neighbours == 0:  # all rows are equal
            return e
        rank, n_mates = attempt, min(self._n_mates(), n_neighbours)
        if n_mates > 1:
            rank = rank + rng.randint(n_mates, size=len(rows))
        mates = self._neighbours[self._twin[rows], rank % n_neighbours]
        other = self._table.values[mates]
        differ = ~(np.isnan(e) | np.isnan(other)) & (e != other)
        drawn = (rng.random_sample(e.shape) < self.p) & differ
        # A row in which nothing was drawn would come back as it was: draw one cell.
        same = np.flatnonzero(~drawn.any(axis=1))
        pick = (rng.random_sample((same.size, e.shape[1])) * differ[same]).argmax(
            axis=1
        )
        drawn[same, pick] = differ[same, pick]
        self._redraw(e, other, drawn, rng)
        return e
