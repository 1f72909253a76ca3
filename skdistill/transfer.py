"""Transfer sets: more rows for the teacher to label.

A sampler is a small seeded estimator: ``fit(X, *, teacher=None)``, then
``sample(n_samples, random_state=None)`` returns new rows of the same kind as X. Any
object with these two methods can be given as ``transfer=``.
"""

from numbers import Integral, Real

import narwhals.stable.v1 as nw
import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skdistill._compat import Interval, fit_context, num_samples, safe_indexing
from skdistill._frames import (
    as_frame,
    column_codes,
    is_discrete,
    row_keys,
    shown,
    to_float,
)

#: Neighbours kept for each row: the farther ones serve where near ones give no new row.
N_NEIGHBOURS = 8
#: Rows worked on at once while sampling: bounds the memory besides the result.
CHUNK = 20_000
#: Categories of a column that get an axis each when distances are measured; more than
#: that share as many axes.
MAX_AXES = 16


class MungeSampler(BaseEstimator):
    """Draw new rows near given ones, each a mixture of a row and its neighbour.

    MUNGE [1]_: for a row e and its nearest other row e', each attribute is, with
    probability `p`, drawn anew from a normal distribution around the neighbour's
    value whose standard deviation is the distance of the two values over `s`
    (continuous), or taken from the neighbour (categories). Small `p` keeps rows near
    the data.

    Columns whose values are whole numbers take observed values only; categories and
    columns of two values are swapped, never mixed; a missing cell stays missing. No row
    equals a given one: where nothing was drawn anew one attribute is, and a row that
    comes out as a given one is tried again, with the next nearest neighbour.

    Parameters
    ----------
    p : float in (0, 1], default=0.2
        Probability that an attribute is drawn anew.

    s : float, default=1.0
        Local variance parameter: standard deviations are divided by it.

    block_size : int, default=10_000
        Neighbours are searched within random blocks of one to two times so many rows,
        which bounds the search to ``2 * n_samples * block_size`` distances.

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
        "block_size": [Interval(Integral, 2, None, closed="left")],
    }

    def __init__(self, p=0.2, s=1.0, *, block_size=10_000):
        self.p = p
        self.s = s
        self.block_size = block_size

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, *, teacher=None):
        """Learn the columns and each row's nearest other rows.

        Parameters
        ----------
        X : {ndarray, DataFrame} of shape (n_samples, n_features)
            A table. Missing cells and, in a data frame, categories are welcome.

        teacher : object, default=None
            Not used; samplers that look at the teacher have it here.

        Returns
        -------
        self : MungeSampler

        Raises
        ------
        TypeError
            If X is no table (sparse, text).

        ValueError
            If X has fewer than two rows or holds infinite values.
        """
        self._table = _Table.from_native(X)
        self.n_rows_ = len(self._table.values)
        if self.n_rows_ < 2:
            raise ValueError(
                f"X must have at least 2 samples to have neighbours, got "
                f"{self.n_rows_} sample. Give more rows, or transfer=None."
            )
        # Equal rows are one point: a row must not be its twin's neighbour.
        self._known = {}
        self._twin = np.fromiter(
            (
                self._known.setdefault(key, len(self._known))
                for key in row_keys(self._table.values)
            ),
            np.intp,
            self.n_rows_,
        )
        distinct = np.unique(self._twin, return_index=True)[1]
        points = self._table.points()[distinct]
        self._neighbours = distinct[_nearest(points, self.block_size)]
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
        rng = check_random_state(random_state)
        rows = np.resize(rng.permutation(self.n_rows_), n_samples)
        new = np.empty((n_samples, self._table.values.shape[1]))
        fresh = np.zeros(n_samples, dtype=bool)
        width = self._neighbours.shape[1]
        for attempt in range(2 * width):
            todo = np.flatnonzero(~fresh)
            if attempt >= width:  # these rows have nothing new around them
                rows[todo] = rng.randint(self.n_rows_, size=todo.size)
            for part in np.split(todo, range(CHUNK, todo.size, CHUNK)):
                new[part] = self._munge(rows[part], attempt % width, rng)
                keys = row_keys(new[part])
                fresh[part] = [key not in self._known for key in keys]
            if fresh.all():
                break
        return self._table.to_native(new[fresh], rows[fresh])

    def _munge(self, rows, rank, rng):
        """Mix rows with their neighbours of the given rank."""
        values, nominal = self._table.values, self._table.nominal
        e, other = values[rows], values[self._neighbours[self._twin[rows], rank]]
        differ = ~(np.isnan(e) | np.isnan(other)) & (e != other)
        drawn = (rng.random_sample(e.shape) < self.p) & differ
        # A row in which nothing was drawn would come back as it was: draw one cell.
        same = np.flatnonzero(~drawn.any(axis=1))
        pick = (rng.random_sample((same.size, e.shape[1])) * differ[same]).argmax(
            axis=1
        )
        drawn[same, pick] = differ[same, pick]
        i, j = np.nonzero(drawn)
        noise = np.where(nominal[j], 0.0, rng.standard_normal(j.size))
        e[i, j] = other[i, j] + noise * np.abs(e[i, j] - other[i, j]) / self.s
        return self._table.snap(e)


class UnlabelledPool(BaseEstimator):
    """Unlabelled rows of the user's own as a transfer set.

    Given as ``transfer=UnlabelledPool(rows)``, or to `fit` as `X_transfer`, it says the
    same as the rows themselves, and nothing on the way slices it: GridSearchCV and
    cross_validate cut every fit parameter that happens to have as many rows as X.
    Clones share the rows.

    Parameters
    ----------
    X : array-like of shape (n_rows, n_features) or list of str
        Rows of the same kind and with the same columns as the training rows.

    Examples
    --------
    >>> import numpy as np
    >>> from skdistill.transfer import UnlabelledPool
    >>> UnlabelledPool(np.zeros((5, 2))).fit(np.ones((3, 2))).sample(4).shape
    (4, 2)
    """

    def __init__(self, X):
        self.X = X

    def __sklearn_clone__(self):
        """Return itself: rows are never changed, a copy would only cost memory."""
        return self

    def __sklearn_is_fitted__(self):
        return True

    def fit(self, X, *, teacher=None):
        """Check that the pool has the columns of X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or list of str
            Training rows.

        teacher : object, default=None
            Not used.

        Returns
        -------
        self : UnlabelledPool

        Raises
        ------
        ValueError
            If the pool is empty or has other columns.
        """
        check_pool(X, self.X)
        return self

    def sample(self, n_samples, random_state=None):
        """Draw rows of the pool without repetition.

        Parameters
        ----------
        n_samples : int
            Number of rows; all of them come back, in their order, if they are fewer.

        random_state : int, RandomState instance or None, default=None
            Seed of the draw.

        Returns
        -------
        X : array-like of shape (<= n_samples, n_features)
        """
        n_rows = num_samples(self.X)
        if n_samples >= n_rows:
            return self.X
        rng = check_random_state(random_state)
        return safe_indexing(self.X, rng.permutation(n_rows)[:n_samples])


class _Table:
    """A table as one float matrix, with what is needed to turn rows back.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_features)
        Cells; categories as codes, NaN for missing.

    discrete : ndarray of bool of shape (n_features,)
        Columns of categories.

    single : ndarray of bool of shape (n_features,)
        Columns that hold single precision.

    to_native : callable
        (values of new rows, position of the row that each started from) -> rows of the
        kind that came in.
    """

    def __init__(self, values, discrete, single, to_native):
        if np.isinf(values).any():
            raise ValueError(
                "X must be finite or missing (NaN) to sample new rows near it, got "
                "infinity. Replace infinite values, or pass transfer=None."
            )
        self.values, self.single, self.to_native = values, single, to_native
        self.nominal, self.observed = discrete.copy(), {}
        for j in np.flatnonzero(~discrete):
            seen = _unique(values[:, j])
            if len(seen) <= 2:
                self.nominal[j] = True
            elif np.array_equal(seen, np.rint(seen)):
                self.observed[j] = seen

    @classmethod
    def from_native(cls, X):
        frame = as_frame(X)
        if frame is not None:
            return cls._from_frame(frame)
        if sparse.issparse(X) or not hasattr(X, "dtype") or X.dtype.kind not in "fiub":
            raise TypeError(
                "X must be a numeric array or a data frame to sample new rows near it, "
                f"got {type(X).__name__}. Pass transfer=None, unlabelled rows as "
                "X_transfer=, or your own sampler."
            )
        if X.ndim != 2:
            raise ValueError(f"X must have two dimensions, got {X.ndim}. Reshape it.")
        dtype, width = X.dtype, X.shape[1]
        return cls(
            np.array(X, dtype=np.float64),
            np.zeros(width, dtype=bool),
            np.full(width, dtype == np.float32),
            lambda rows, _: rows.astype(dtype),
        )

    @classmethod
    def _from_frame(cls, frame):
        columns, discrete, single = [], [], []
        for series in frame.iter_columns():
            discrete.append(is_discrete(series) or not series.dtype.is_numeric())
            single.append(series.dtype == nw.Float32)
            if discrete[-1]:
                codes = column_codes(series)[0]
                columns.append(np.where(codes < 0, np.nan, codes))
            else:
                columns.append(to_float(series))
        values = np.column_stack(columns).astype(np.float64, copy=False)

        def to_native(rows, start):
            new = nw.maybe_reset_index(frame[start])
            columns = zip(new.iter_columns(), frame.iter_columns(), strict=True)
            new = new.with_columns(
                _with_values(column, original, values[:, j], rows[:, j])
                for j, (column, original) in enumerate(columns)
            )
            return nw.to_native(new)

        return cls(values, np.asarray(discrete), np.asarray(single), to_native)

    def snap(self, rows):
        """Make every cell of new rows one that its column can hold."""
        for j, seen in self.observed.items():
            column = rows[:, j]
            at = np.clip(np.searchsorted(seen, column), 1, len(seen) - 1)
            low, high = seen[at - 1], seen[at]
            snapped = np.where(column - low <= high - column, low, high)
            rows[:, j] = np.where(np.isnan(column), np.nan, snapped)
        rows[:, self.single] = rows[:, self.single].astype(np.float32)
        return rows

    def points(self):
        """Rows as points: unit spread for numbers, Hamming distance for categories."""
        parts = [np.empty((len(self.values), 0))]
        for j, column in enumerate(self.values.T):
            seen = _unique(column)
            if len(seen) < 2:
                continue
            if self.nominal[j]:
                parts.append(_category_points(column, seen))
                continue
            low, middle, high = np.nanpercentile(column, [25, 50, 75])
            scaled = (column - middle) / ((high - low) / 1.35 or np.nanstd(column))
            parts.append(np.clip(np.nan_to_num(scaled), -4.0, 4.0)[:, None])
        return np.hstack(parts, dtype=np.float32, casting="same_kind")


def _unique(column):
    """Return sorted distinct values, without missing ones."""
    return np.unique(column[~np.isnan(column)])


def _category_points(column, seen):
    """Points at distance 1 from each other, about 1 where they are more than the axes.

    Missing values lie in the middle.
    """
    corners = np.eye(len(seen))
    if len(seen) > MAX_AXES:
        corners = np.random.RandomState(0).standard_normal((len(seen), MAX_AXES))
        corners /= np.linalg.norm(corners, axis=1, keepdims=True)
    corners = np.vstack([corners / np.sqrt(2), np.zeros(corners.shape[1])])
    at = np.where(np.isnan(column), len(seen), np.searchsorted(seen, column))
    return corners[at]


def _nearest(points, block_size):
    """Positions of each point's nearest others, searched within random blocks.

    Returns
    -------
    neighbours : ndarray of int of shape (n_points, <= N_NEIGHBOURS)
        Nearest first; no column where there is one point only.
    """
    n_blocks = max(len(points) // block_size, 1)
    width = min(N_NEIGHBOURS, len(points) // n_blocks - 1)
    neighbours = np.empty((len(points), width), dtype=np.intp)
    if width:
        order = np.random.RandomState(0).permutation(len(points))
        for block in np.array_split(order, n_blocks):
            search = NearestNeighbors(n_neighbors=width).fit(points[block])
            # without an argument a row is not its own neighbour
            neighbours[block] = block[search.kneighbors(return_distance=False)]
    return neighbours


def _with_values(start, original, codes, new):
    """Give a column new values without changing its dtype.

    Parameters
    ----------
    start : Series of length n_new
        The column in the rows that the new ones started from.

    original : Series of length n_samples
        The column that `fit` was given.

    codes : ndarray of shape (n_samples,)
        The same as numbers.

    new : ndarray of shape (n_new,)
        New values as numbers.
    """
    if original.dtype.is_float():
        given = np.flatnonzero(~np.isnan(new))
        single = original.dtype == nw.Float32
        cells = new[given].astype(np.float32 if single else np.float64)
        return start.scatter(given, cells)
    # Observed values only: taken from a row that has them. NaN stands last in both.
    seen, first = np.unique(codes, return_index=True)
    return nw.maybe_reset_index(original[first[np.searchsorted(seen, new)]])


def check_pool(X, pool):
    """Check unlabelled rows against the training rows.

    Parameters
    ----------
    X : array-like
        Training rows.

    pool : array-like
        Unlabelled rows.

    Raises
    ------
    ValueError
        If the pool is empty, of another kind, or has other columns.
    """
    if num_samples(pool) == 0:
        raise ValueError(
            "X_transfer must have at least one row, got 0 rows. Leave it out if there "
            "are no unlabelled rows."
        )
    frame, own = as_frame(pool), as_frame(X)
    if (frame is None) != (own is None):
        raise ValueError(
            f"X_transfer must be of the same kind as X ({type(X).__name__}), got "
            f"{type(pool).__name__}. Convert one of them."
        )
    if own is not None:
        if frame.columns != own.columns:
            pairs = zip(own.columns, frame.columns, strict=False)
            at = next((k for k, (a, b) in enumerate(pairs) if a != b), None)
            where = "" if at is None else f" (first difference: column {at})"
            raise ValueError(
                "X_transfer must have the columns of X in their order, "
                f"{shown(own.columns)}, got {shown(frame.columns)}{where}. Select the "
                "same columns: X_transfer[X.columns]."
            )
        return
    width, own = np.shape(pool)[1:2], np.shape(X)[1:2]
    if width != own:
        raise ValueError(
            "X_transfer must have the columns of X, got shape "
            f"{np.shape(pool)!r} where X has shape {np.shape(X)!r}. Select the same "
            "columns in the same order."
        )
