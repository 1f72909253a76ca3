"""A table of any kind as one float matrix, and back."""

import narwhals.stable.v1 as nw
import numpy as np
from scipy import sparse

from skdistill._frames import as_frame, column_codes, is_discrete, shown, to_float

#: Categories of a column that get an axis each when distances are measured; more than
#: that share as many axes.
MAX_AXES = 16


class Table:
    """A table as one float matrix, with what is needed to turn new rows back.

    Parameters
    ----------
    X : {ndarray, DataFrame} of shape (n_samples, n_features)
        Numbers and, in a data frame, categories and dates. Missing cells are welcome.

    Attributes
    ----------
    values : ndarray of shape (n_samples, n_features)
        Cells; categories as codes, NaN for missing.

    numeric : ndarray of bool of shape (n_features,)
        Columns whose cells stand for themselves.

    nominal : ndarray of bool of shape (n_features,)
        Columns that can be swapped, not mixed: categories, and any two values.

    observed : dict of int to ndarray
        Sorted values of the columns that have an order and gaps: whole numbers,
        ordered categories, dates.

    Raises
    ------
    TypeError
        If X is no table (sparse, text).

    ValueError
        If X has not two dimensions or holds infinite values.
    """

    def __init__(self, X):
        self._X = X
        frame = as_frame(X)
        if frame is None:
            _check_array(X)
            self._levels = [None] * X.shape[1]
            # what new cells are rounded to before they are compared with given ones
            is_float = np.full(X.shape[1], X.dtype.kind == "f")
            self._rounded = {X.dtype: slice(None)} if is_float.any() else {}
        else:
            self._levels = [_levels(series) for series in frame.iter_columns()]
            kinds = [_float_type(series) for series in frame.iter_columns()]
            is_float = np.array([kind is not None for kind in kinds], dtype=bool)
            self._rounded = {
                kind: np.flatnonzero([other == kind for other in kinds])
                for kind in set(kinds) - {None, np.dtype(np.float64)}
            }
        self.values = self.encode(X)
        if np.isinf(self.values).any():
            raise ValueError(
                "X must be finite or missing (NaN) to sample new rows near it, got "
                "infinity. Replace infinite values, or pass transfer=None."
            )
        self.numeric = np.array([levels is None for levels in self._levels])
        self.nominal, self.observed = np.zeros(len(self.numeric), dtype=bool), {}
        for j, levels in enumerate(self._levels):
            seen = unique(self.values[:, j])
            if len(seen) <= 2 or (levels is not None and not levels.ordered):
                self.nominal[j] = True
            elif not is_float[j] or np.array_equal(seen, np.rint(seen)):
                self.observed[j] = seen

    def __len__(self):
        return len(self.values)

    def encode(self, X):
        """Turn rows of the same kind into floats; categories not seen are missing.

        Raises
        ------
        TypeError
            If X is of another kind.

        ValueError
            If X has other columns.
        """
        frame, own = as_frame(X), as_frame(self._X)
        if (frame is None) != (own is None):
            raise TypeError(
                "Both tables must be of the same kind, got "
                f"{type(self._X).__name__} and {type(X).__name__}. Convert one of them."
            )
        if frame is None:
            if np.shape(X)[1:] != self._X.shape[1:]:
                raise ValueError(
                    "Both tables must have the same columns, got shapes "
                    f"{self._X.shape!r} and {np.shape(X)!r}."
                )
            return np.array(X, dtype=np.float64)
        if frame.columns != own.columns:
            raise ValueError(
                "Both tables must have the same columns in the same order, got "
                f"{shown(own.columns)} and {shown(frame.columns)}."
            )
        pairs = zip(frame.iter_columns(), self._levels, strict=True)
        columns = [
            to_float(series) if levels is None else levels.encode(series)
            for series, levels in pairs
        ]
        return np.column_stack(columns).astype(np.float64, copy=False)

    def to_native(self, rows, start):
        """Turn new rows into the kind that came in.

        Parameters
        ----------
        rows : ndarray of shape (n_new, n_features)
            New rows, with the missing cells of those that they started from.

        start : ndarray of int of shape (n_new,)
            Positions of those.
        """
        frame = as_frame(self._X)
        if frame is None and self._X.dtype.kind == "f":
            return rows.astype(self._X.dtype)
        if frame is None:
            columns = zip(self._X.T, self.values.T, rows.T, strict=True)
            return np.column_stack([_observed(*three) for three in columns])
        new = nw.maybe_reset_index(frame[start])
        columns = zip(new.iter_columns(), frame.iter_columns(), strict=True)
        new = new.with_columns(
            _with_values(column, original, self.values[:, j], rows[:, j])
            for j, (column, original) in enumerate(columns)
        )
        return nw.to_native(new)

    def snap(self, rows):
        """Make every cell of new rows one that its column can hold, in place."""
        for j, seen in self.observed.items():
            column = rows[:, j]
            at = np.clip(np.searchsorted(seen, column), 1, len(seen) - 1)
            low, high = seen[at - 1], seen[at]
            snapped = np.where(column - low <= high - column, low, high)
            rows[:, j] = np.where(np.isnan(column), np.nan, snapped)
        for dtype, columns in self._rounded.items():
            rows[:, columns] = rows[:, columns].astype(dtype)
        return rows

    def points(self, rows=None):
        """Rows as points: unit spread for numbers, Hamming distance for categories.

        Parameters
        ----------
        rows : ndarray of shape (n_rows, n_features), default=None
            Cells as in `values`; None for those.
        """
        rows = self.values if rows is None else rows
        parts = [np.empty((len(rows), 0))]
        for own, column, nominal in zip(
            self.values.T, rows.T, self.nominal, strict=True
        ):
            seen = unique(own)
            if len(seen) < 2:
                continue
            if nominal:
                parts.append(_category_points(column, seen))
                continue
            low, middle, high = np.nanpercentile(own, [25, 50, 75])
            scaled = (column - middle) / ((high - low) / 1.35 or np.nanstd(own))
            parts.append(np.clip(np.nan_to_num(scaled), -4.0, 4.0)[:, None])
        return np.hstack(parts, dtype=np.float32, casting="same_kind")


class _Levels:
    """Values of a column that are no numbers, each with its code.

    Parameters
    ----------
    values : list
        Distinct values, in the order of their codes.

    ordered : bool
        Whether that order means something.
    """

    def __init__(self, values, ordered):
        self.ordered = ordered
        self._codes = {value: float(code) for code, value in enumerate(values)}

    def encode(self, series):
        """Codes of a column's cells, NaN for missing and unknown ones."""
        codes, values = column_codes(series)
        known = [self._codes.get(value, np.nan) for value in values]
        return np.array([*known, np.nan])[codes]  # code -1 is missing: the last


def _levels(series):
    """Levels of a column, None where it holds numbers."""
    if series.dtype.is_numeric():
        return None
    values = column_codes(series)[1]
    if series.dtype.is_temporal():
        return _Levels(sorted(values), ordered=True)
    native = series.to_native()
    dtype = native.dtype if hasattr(native, "dtype") else native.type
    if is_discrete(series) and (
        series.dtype == nw.Enum or getattr(dtype, "ordered", False)
    ):
        seen = set(values)
        order = [v for v in series.cat.get_categories().to_list() if v in seen]
        return _Levels(order, ordered=True)
    return _Levels(values, ordered=False)


def _check_array(X):
    if sparse.issparse(X) or not hasattr(X, "dtype") or X.dtype.kind not in "fiub":
        raise TypeError(
            "X must be a numeric array or a data frame to sample new rows near it, "
            f"got {type(X).__name__}. Pass transfer=None, unlabelled rows as "
            "X_transfer=, or your own sampler."
        )
    if X.ndim != 2:
        raise ValueError(f"X must have two dimensions, got {X.ndim}. Reshape it.")


def unique(column):
    """Return sorted distinct values, without missing ones."""
    return np.unique(column[~np.isnan(column)])


def row_hashes(values):
    """One number for each row of a float matrix; equal rows, equal numbers.

    Two different rows of a million share one with probability 3e-8: what asks for equal
    rows here can live with that.

    Returns
    -------
    hashes : ndarray of uint64 of shape (n_rows,)
    """
    cells = np.where(np.isnan(values), np.nan, values + 0.0)  # one NaN, one zero
    cells = cells.view(np.uint64)
    # Whole numbers differ in their high bits only, and products carry upwards: fold
    # down, multiply (by the golden ratio's bits), fold down again.
    cells ^= cells >> np.uint64(32)
    cells *= np.uint64(0x9E3779B97F4A7C15)
    cells ^= cells >> np.uint64(32)
    weights = np.random.RandomState(0).randint(
        2**63, size=cells.shape[1], dtype=np.uint64
    )
    cells *= weights | np.uint64(1)
    return cells.sum(axis=1, dtype=np.uint64)


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
    kind = _float_type(original)
    if kind is not None:
        given = np.flatnonzero(~np.isnan(new))
        return start.scatter(given, new[given].astype(kind))
    return nw.maybe_reset_index(_observed(original, codes, new))


def _observed(column, codes, new):
    """Cells of a column whose codes are the new ones: each from a row that has it."""
    seen, first = np.unique(codes, return_index=True)  # NaN stands last in both
    return column[first[np.searchsorted(seen, new)]]


def _float_type(series):
    """NumPy's type of a column of floats, None where it holds anything else."""
    if not series.dtype.is_float():
        return None
    return np.dtype(str(series.dtype).lower())
