"""From a table to the matrix that a student learns from: one encoder for all students.

Everything a fitted encoder knows is a readable attribute: numbers to subtract and
multiply, lists of categories. Exporters write it out without asking the class.
"""

import datetime
from decimal import Decimal
from numbers import Real

import narwhals.stable.v1 as nw
import numpy as np

from skdistill._frames import column_codes, to_float

#: Half-width of the smooth clip: inputs beyond three spreads are squeezed below it.
CLIP = 3.0

#: Bins of a numeric column in the piecewise-linear encoding.
N_BINS = 16

#: Cells that are encoded at a time: a megabyte, which stays in the processor's cache.
BLOCK_CELLS = 131_072

#: Kinds of Python objects: numbers, times, and what is neither number nor category.
_NUMBERS = Real, Decimal, np.bool_
_TIMES = datetime.date, datetime.time, datetime.timedelta
_NO_LEVELS = list, dict, set, np.ndarray, complex

#: Spreads below this count as none, and scaled inputs beyond its inverse are bounded:
#: squares then stay finite.
TINY = 1e-50


class TableEncoder:
    """Encode numeric, categorical and missing values as columns of a float matrix.

    The columns of the result are: numeric columns in their order (missing values at
    the centre), one indicator for each numeric column that had missing values in `fit`,
    then each categorical column's levels. A level that `fit` has not seen is all zeros.

    Parameters
    ----------
    scaling : {"robust", "piecewise", None}, default="robust"
        "robust" centres numeric columns on their weighted median, divides them by a
        spread (:func:`spread`) and squeezes them smoothly into (-3, 3). "piecewise" is
        the piecewise-linear encoding [1]_: a column becomes one column for each of its
        bins (of equal mass, or between all values where they are few), which rises
        from 0 to 1 within the bin; its mean is subtracted.

    max_categories : int, default=100
        Levels of a categorical column that get a column of their own, by weighted
        frequency; rarer ones share one.

    n_bins : int, default=16
        Most bins of a numeric column with ``scaling="piecewise"``.

    Attributes
    ----------
    numeric_ : list of int
        Positions of the numeric columns in the input.

    center_, rate_ : ndarray of shape (n_numeric,)
        A numeric input x becomes ``z = (x - center_) * rate_``. A constant column has
        rate 0.

    clip_ : float or None
        z becomes ``z / sqrt(1 + (z / clip_)**2)``; None leaves it.

    bin_column_, bin_low_, bin_rate_, bin_mean_ : ndarray of shape (n_bins_in_all,)
        With ``scaling="piecewise"``, the numeric inputs `x` (missing ones at `center_`)
        become ``clip((x[bin_column_] - bin_low_) * bin_rate_, 0, 1) - bin_mean_``.

    indicators_ : list of int
        Positions among `numeric_` that have a missing indicator.

    categorical_ : list of int
        Positions of the categorical columns in the input.

    categories_ : list of list
        Levels that have a column of their own, for each categorical column. None
        stands for a missing value.

    infrequent_ : list of list
        Levels that share one column, which follows the column's own levels; empty where
        there is no such column.

    n_features_in_, n_features_out_ : int
        Width of the input and of the result.

    References
    ----------
    .. [1] Gorishniy, Rubachev, Babenko, "On embeddings for numerical features in
       tabular deep learning", NeurIPS 2022, section 3.2.
    """

    def __init__(self, scaling="robust", max_categories=100, n_bins=N_BINS):
        self.scaling = scaling
        self.max_categories = max_categories
        self.n_bins = n_bins

    def fit(self, X, sample_weight):
        """Learn centres, spreads and levels.

        Parameters
        ----------
        X : ndarray of float64 of shape (n_samples, n_features) or narwhals DataFrame
            Missing values are NaN or null; infinite ones are refused by the caller.

        sample_weight : ndarray of shape (n_samples,)
            A row of weight 0 is as if absent, and an integer weight as if the row were
            there that many times.

        Returns
        -------
        self : TableEncoder
        """
        keep = sample_weight > 0
        weight = sample_weight[keep]
        self.n_features_in_ = X.shape[1]
        self.numeric_, self.categorical_ = _column_kinds(X)
        values = self._numeric_values(X)[keep]
        self._fit_numeric(values, weight)
        self.categories_, self.infrequent_ = [], []
        for position in self.categorical_:
            series = _column(X, position)
            series = series if keep.all() else series.filter(keep.tolist())
            own, shared = _fit_levels(*_coded(series), weight, self.max_categories)
            self.categories_.append(own)
            self.infrequent_.append(shared)
        self._build_lookup()
        n_indicators = len(self.indicators_)
        self.n_features_out_ = self._n_scaled + n_indicators + self._n_hot
        return self

    @property
    def _n_scaled(self):
        """Columns of the result that come from numbers."""
        is_binned = self.scaling == "piecewise"
        return len(self.bin_low_) if is_binned else len(self.numeric_)

    def _fit_numeric(self, values, weight):
        n_numeric = values.shape[1]
        self.center_, self.rate_ = np.zeros(n_numeric), np.zeros(n_numeric)
        self.clip_ = CLIP if self.scaling == "robust" else None
        self.indicators_, bins = [], []
        even = weight.size > 0 and weight.min() == weight.max()
        for j in range(n_numeric):
            column = values[:, j]
            missing = np.isnan(column)
            column_weight = None if even else weight
            if missing.any():
                self.indicators_.append(j)
                column = column[~missing]
                column_weight = None if even else weight[~missing]
            level, mass = _distinct(column, column_weight)
            if level.size == 0:
                continue
            center = _quantiles(level, mass, (0.5,))[0]
            width = 1.0 if self.scaling is None else spread(level, mass)
            # A constant column says nothing: at rate 0 no untrained weight ever
            # meets a value other than 0 there.
            if level.size > 1 and width > TINY:
                self.center_[j], self.rate_[j] = center, 1.0 / width
                if self.scaling == "piecewise":
                    bins.append((j, *_bins(level, mass, self.n_bins)))
            elif self.scaling is None:
                self.center_[j], self.rate_[j] = center, 1.0
        if self.scaling == "piecewise":
            self._join_bins(bins)
        # Beyond this, (x - center) * rate could overflow in the quick path.
        self.safe_ = bool(np.all(np.abs(self.center_) < 1.0 / TINY))

    def _join_bins(self, bins):
        """Bins of all columns as flat arrays: one expression encodes a whole row."""
        if not bins and self.numeric_:  # all constant: one column that says nothing
            bins = [(0, np.zeros(1), np.zeros(1), np.zeros(1))]
        columns = [np.full(len(low), j) for j, low, _, _ in bins]
        self.bin_column_ = np.concatenate([np.empty(0, np.intp), *columns])
        self.bin_low_, self.bin_rate_, self.bin_mean_ = (
            np.concatenate([np.empty(0), *(parts[k] for parts in bins)])
            for k in (1, 2, 3)
        )

    def transform(self, X, dtype=np.float64):
        """Encode rows.

        Parameters
        ----------
        X : ndarray of float64 of shape (n_samples, n_features) or narwhals DataFrame

        dtype : dtype, default=np.float64
            Of the result; arithmetic is in float64.

        Returns
        -------
        encoded : ndarray of shape (n_samples, n_features_out_)
        """
        codes = []
        for position, lookup in zip(self.categorical_, self._lookup, strict=True):
            coded, levels = _coded(_column(X, position))
            own = [lookup.get(level, -1) for level in (*levels, None)]
            codes.append(np.array(own, dtype=np.intp)[coded])  # -1, missing: the last
        return self._join(self._numeric_values(X), codes, dtype)

    def encode(self, values, levels):
        """Encode numbers and levels that have been read already.

        Parameters
        ----------
        values : ndarray of float of shape (n_samples, n_numeric)
            Numeric columns, NaN where missing.

        levels : list of list
            For each categorical column the values of the rows, None where missing.

        Returns
        -------
        encoded : ndarray of shape (n_samples, n_features_out_)
        """
        codes = [
            np.array([lookup.get(level, -1) for level in column], dtype=np.intp)
            for column, lookup in zip(levels, self._lookup, strict=True)
        ]
        return self._join(values, codes, np.float64)

    def _join(self, values, codes, dtype):
        """Columns of the result from numbers and from codes of levels, -1 for none."""
        n_samples, n_scaled = len(values), self._n_scaled
        n_numeric = n_scaled + len(self.indicators_)
        if self.scaling is None and n_numeric == n_scaled and not codes:
            return self._filled(values)[0].astype(dtype, copy=False)
        out = np.zeros((n_samples, self.n_features_out_), dtype=dtype)
        n_block = max(1, BLOCK_CELLS // max(n_scaled, 1))
        for start in range(0, n_samples, n_block):
            block = slice(start, start + n_block)
            filled, missing = self._filled(values[block])
            out[block, :n_scaled] = self._scale(filled)
            if self.indicators_:
                out[block, n_scaled:n_numeric] = missing[:, self.indicators_]
        first = n_numeric
        for column, n_levels in zip(codes, self._widths, strict=True):
            known = np.flatnonzero(column >= 0)
            out[known, first + column[known]] = 1.0
            first += n_levels
        return out

    def _filled(self, values):
        """Numbers with the centre where they are missing, and where that is."""
        missing = np.isnan(values)
        if missing.any():
            values = np.where(missing, self.center_, values)
        return values, missing

    def scale(self, values):
        """Scale finite numeric values of sound size: the quick path of `transform`."""
        if self.scaling == "piecewise":
            return self._piecewise(values)
        if self.clip_ is None:
            return values
        z = values - self.center_
        z *= self.rate_
        squared = z * z
        squared *= 1.0 / self.clip_**2
        squared += 1.0
        z /= np.sqrt(squared, out=squared)
        return z

    def _scale(self, values):
        if self.scaling == "piecewise":
            with np.errstate(over="ignore"):
                return self._piecewise(values)
        if self.clip_ is None:
            return values
        with np.errstate(over="ignore"):
            z = values - self.center_
            z *= self.rate_
        # Bounded before squaring: 1e300 squared is infinite, and so is 1e30 in float32.
        # From here on the clip is flat to the last digit, as it is in `scale`.
        np.clip(z, -1e9, 1e9, out=z)
        z /= np.sqrt(1.0 + z * z * (1.0 / self.clip_**2))
        return z

    def _piecewise(self, values):
        """Place of each value within each bin of its column (Gorishniy, equation 1)."""
        z = values.take(self.bin_column_, axis=-1).astype(np.float64, copy=False)
        z -= self.bin_low_
        z *= self.bin_rate_
        np.maximum(z, 0.0, out=z)
        np.minimum(z, 1.0, out=z)
        z -= self.bin_mean_
        return z

    def _numeric_values(self, X):
        if isinstance(X, np.ndarray):
            return X
        values = np.empty((len(X), len(self.numeric_)))
        for j, position in enumerate(self.numeric_):
            values[:, j] = _as_numbers(_column(X, position))
        if np.isinf(values).any():
            raise ValueError(
                "Input X contains infinity or a value too large for dtype('float64'). "
                "Replace infinite values, or mark them as missing (NaN)."
            )
        return values

    def _build_lookup(self):
        """Tables from a level to its column, rebuilt from the readable lists."""
        self._lookup, self._widths = [], []
        for own, shared in zip(self.categories_, self.infrequent_, strict=True):
            lookup = {value: code for code, value in enumerate(own)}
            lookup.update(dict.fromkeys(shared, len(own)))
            self._lookup.append(lookup)
            self._widths.append(len(own) + bool(shared))
        self._n_hot = sum(self._widths)

    def __getstate__(self):
        state = self.__dict__.copy()
        for name in ("_lookup", "_widths", "_n_hot"):
            state.pop(name, None)
        return state

    def __setstate__(self, state):
        self.__dict__.update(state)
        if "categories_" in state:
            self._build_lookup()


def is_plain_table(frame):
    """Tell whether all columns of a narwhals frame are numbers or truth values."""
    return all(_is_numeric(series) for series in frame.iter_columns())


# -- columns ---------------------------------------------------------------------------


def _column_kinds(X):
    if isinstance(X, np.ndarray):
        return list(range(X.shape[1])), []
    numeric = [_is_numeric(series) for series in X.iter_columns()]
    return (
        [i for i, is_number in enumerate(numeric) if is_number],
        [i for i, is_number in enumerate(numeric) if not is_number],
    )


def _column(frame, position):
    # Not frame[name]: a name that is an integer would be taken for a row.
    return frame.get_column(frame.columns[position])


def _is_numeric(series):
    dtype = series.dtype
    if dtype.is_numeric() or dtype == nw.Boolean:
        return True
    if dtype in (nw.Object, nw.Unknown):
        kinds = {type(value) for value in _present(series)}
        is_time = any(issubclass(k, _TIMES) or k.__name__ == "Period" for k in kinds)
        is_nested = any(issubclass(kind, _NO_LEVELS) for kind in kinds)
        is_number = bool(kinds) and all(issubclass(kind, _NUMBERS) for kind in kinds)
        dtype = ", ".join(sorted(kind.__name__ for kind in kinds))
    else:
        is_time, is_nested, is_number = dtype.is_temporal(), dtype.is_nested(), False
    if is_time or is_nested:
        way = "Make columns of its parts." if is_nested else _OF_TIMES
        raise TypeError(
            f"Column {series.name!r} must hold numbers or categories, got {dtype}. "
            f"{way}"
        )
    return is_number


_OF_TIMES = (
    "Turn dates and durations into numbers first, e.g. days since a start or the hour "
    "of the day."
)


def _as_numbers(series):
    dtype = series.dtype
    if dtype.is_numeric() or dtype == nw.Boolean:
        return to_float(series)
    if dtype == nw.Object:
        try:
            missing = series.is_null().to_list()
            values = zip(series.to_list(), missing, strict=True)
            return np.array([np.nan if gone else float(v) for v, gone in values])
        except (TypeError, ValueError):
            pass
    raise ValueError(
        f"Column {series.name!r} must hold numbers as it did in fit, got {dtype}. "
        "Convert it, or fit again on data of this kind."
    )


def _coded(series):
    """Codes of a column's values, -1 where missing, and the level of each code."""
    if series.dtype.is_numeric() or series.dtype == nw.Boolean:
        # 1, 1.0 and True are one level; NaN is missing
        values = to_float(series)
        codes, present = np.full(len(values), -1, dtype=np.intp), ~np.isnan(values)
        levels, codes[present] = np.unique(values[present], return_inverse=True)
        return codes, levels.tolist()
    codes, values = column_codes(series)
    return codes, [_plain(value) for value in values]


def _present(series):
    """Values of a column of Python objects that are not missing."""
    missing = series.is_null().to_list()
    return [v for v, gone in zip(series.to_list(), missing, strict=True) if not gone]


def _plain(value):
    """Return a value as str, bool, int or float: what any format can store."""
    if type(value) in (str, bool, int):
        return value
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return None if value != value else value
    return value if isinstance(value, str | bool | int) else str(value)


def _fit_levels(codes, levels, weight, max_categories):
    """Levels with a column of their own, and those that share one."""
    table = {}
    # Two values may be one level; the last place stands for missing values.
    same = [table.setdefault(level, len(table)) for level in (*levels, None)]
    codes = np.array(same)[codes]
    mass = np.bincount(codes, weights=weight, minlength=len(table))
    met = np.bincount(codes, minlength=len(table)) > 0
    table = {level: at for level, at in table.items() if met[at]}
    # Sorted by type and value, so that the order of the rows leaves no trace.
    # Not `v or 0` in place of None: an empty text is a text.
    level = sorted(
        table, key=lambda v: (v is None, isinstance(v, str), 0 if v is None else v)
    )
    if len(level) <= max_categories:
        return level, []
    order = sorted(range(len(level)), key=lambda i: (-mass[table[level[i]]], i))
    own = sorted(order[: max_categories - 1])
    shared = sorted(order[max_categories - 1 :])
    return [level[i] for i in own], [level[i] for i in shared]


# -- weighted statistics ---------------------------------------------------------------


def _distinct(values, weight):
    """Sorted distinct values and the weight of each; None weights count rows.

    Working on distinct values makes integer weights and repeated rows give the same
    statistics bit for bit.
    """
    if weight is None:
        level, mass = np.unique(values, return_counts=True)
        return level, mass.astype(np.float64)
    order = np.argsort(values, kind="stable")
    values, weight = values[order], weight[order]
    if values.size == 0:
        return values, weight
    start = np.flatnonzero(np.r_[True, values[1:] != values[:-1]])
    return values[start], np.add.reduceat(weight, start)


def _quantiles(level, mass, at):
    """Weighted quantiles (averaged inverted distribution function) of sorted values."""
    cumulative = np.cumsum(mass)
    total = cumulative[-1]
    result = []
    for q in at:
        i = int(np.searchsorted(cumulative, q * total * (1 - 1e-12)))
        tie = cumulative[i] <= q * total * (1 + 1e-12) and i + 1 < level.size
        result.append(0.5 * level[i] + 0.5 * level[i + 1] if tie else level[i])
    return result


def _bins(level, mass, n_bins):
    """Lower edge, inverse width and mean place of the bins of one column.

    Parameters
    ----------
    level, mass : ndarray of shape (n_distinct,)
        Sorted distinct values, two at least, and their weights.

    n_bins : int
        Most bins.

    Returns
    -------
    low, rate, mean : ndarray of shape (<= n_bins,)
        Every value lies between the first bin's lower edge and the last bin's upper.
    """
    edges = level
    if level.size > n_bins + 1:
        inner = np.arange(1, n_bins) / n_bins
        capped = np.minimum(mass, _heaviest(mass, n_bins))
        edges = np.unique([level[0], *_quantiles(level, capped, inner), level[-1]])
    edges = edges[np.append(True, np.diff(edges) > TINY)]
    share = mass / mass.sum()
    with np.errstate(over="ignore"):
        width = np.diff(edges)
        usable = np.isfinite(width)  # between values near both ends of the floats
        low, rate = edges[:-1][usable], 1.0 / width[usable]
        # Walked bin by bin: a column may have very many values.
        mean = [
            np.dot(share, np.clip((level - at) * per, 0.0, 1.0))
            for at, per in zip(low, rate, strict=True)
        ]
    return low, rate, np.array(mean)


def _heaviest(mass, n_bins):
    """Mass up to which a value counts, so that none takes more than one bin.

    Without it a column that is mostly zero would have hardly any bins for the rest.
    """
    falling = np.sort(mass)[::-1]
    rest = falling.sum() - np.append(0.0, np.cumsum(falling[: n_bins - 1]))
    share = rest / np.arange(n_bins, 0, -1)
    # The first value that fits into a bin of what the heavier ones leave over.
    return share[np.argmax(falling[:n_bins] <= share * (1 + 1e-12))]


def spread(level, mass):
    """Spread of a column: interquartile, or a wider one where that says nothing.

    Parameters
    ----------
    level, mass : ndarray of shape (n_distinct,)
        Sorted distinct values and their weights.

    Returns
    -------
    spread : float
        About the standard deviation for a normal column. Values far away, such as codes
        for what is missing (-999), widen it fivefold at most. Columns that are mostly
        one value (0/1, counts, sparse) have no or a tiny interquartile range: they take
        their standard deviation.
    """
    low, high, bottom, top = _quantiles(level, mass, (0.25, 0.75, 0.02, 0.98))
    with np.errstate(over="ignore"):
        quartile = (high - low) / 1.349
        tail = (top - bottom) / 4.107
    # Half of the wider range: a column with a heavy mode and a broad rest is not
    # squeezed as a whole into the flat part of the clip.
    if quartile > 0:
        return max(quartile, min(tail / 2, 5 * quartile))
    scale = max(abs(level[0]), abs(level[-1]), TINY)
    share = mass / mass.sum()
    unit = level / scale
    mean = float(np.dot(share, unit))
    return scale * float(np.sqrt(np.dot(share, (unit - mean) ** 2)))
