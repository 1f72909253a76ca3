"""Looking into tables: arrays and data frames of any library that narwhals knows."""

import narwhals.stable.v1 as nw
import numpy as np
from scipy import sparse

#: What stands for a missing value, and for infinity, where a tree looks at a table.
MISSING, LARGE = -1e6, 1e30

#: Columns whose values pandas itself can number.
TEXTS_OR_CATEGORIES = (nw.String, nw.Categorical, nw.Enum)


def as_frame(X):
    """Return X as a narwhals frame, or None where X is no data frame."""
    if nw.dependencies.is_polars_lazyframe(X):
        raise TypeError(
            "X must be rows that are there, got a polars LazyFrame, which is a query. "
            "Pass X.collect()."
        )
    if nw.dependencies.is_pandas_dataframe(X):
        X = _dense(X)
    frame = nw.from_native(X, eager_only=True, pass_through=True)
    return frame if isinstance(frame, nw.DataFrame) else None


def _dense(X):
    """A pandas frame without sparse columns, which narwhals does not know."""
    at = [i for i, d in enumerate(X.dtypes) if type(d).__name__ == "SparseDtype"]
    if at:
        X = X.copy()
    for i in at:
        X.isetitem(i, X.iloc[:, i].sparse.to_dense())
    return X


def shown(names, most=10):
    """List names for a message, and count those that would make it unreadable."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{names[:most]!r}{more}"


def is_text(X):
    """Tell whether X is a sequence of str: a list, a Series or a 1-d array."""
    if isinstance(X, list | tuple):
        return bool(X) and isinstance(X[0], str)
    if len(getattr(X, "shape", ())) != 1 or not len(X):  # polars has no ndim
        return False
    return isinstance(np.asarray(X[:1]).tolist()[0], str)


def is_discrete(series):
    """Tell whether a frame's column holds categories (text, categorical, bool)."""
    dtype = series.dtype
    return not (dtype.is_numeric() or dtype.is_temporal())


def column_codes(series):
    """Integer codes of a column's values in order of appearance, -1 for missing.

    Returns
    -------
    codes : ndarray of int of shape (n_samples,)

    values : list
        The value of each code.
    """
    if series.implementation.is_pandas() and series.dtype in TEXTS_OR_CATEGORIES:
        import pandas as pd

        codes, values = pd.factorize(nw.to_native(series))
        return codes.astype(np.intp, copy=False), values.tolist()
    table = {}
    codes = [
        -1 if missing or value != value else table.setdefault(value, len(table))
        for value, missing in zip(
            series.to_list(), series.is_null().to_list(), strict=True
        )
    ]
    return np.asarray(codes, dtype=np.intp), list(table)


def numeric_view(X):
    """Return a float array that stands for a table, or None where X is none.

    Categories become their codes and missing values a number of their own: good enough
    for a tree to look at, not for anything else.
    """
    frame = as_frame(X)
    if frame is not None:
        try:
            columns = [
                column_codes(series)[0] if is_discrete(series) else to_float(series)
                for series in frame.iter_columns()
                if not series.dtype.is_temporal()
            ]
        except TypeError:  # cells that are lists
            return None
        view = np.column_stack(columns).astype(np.float64) if columns else None
    else:
        view = _as_matrix(X)
    if view is None:
        return None
    # Trees see single precision, and no infinity.
    return np.clip(np.nan_to_num(view, nan=MISSING), -LARGE, LARGE)


def _as_matrix(X):
    """Return X as a float matrix, or None where it is none."""
    if sparse.issparse(X):
        return None
    try:
        view = np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    return view if view.ndim == 2 else None


def to_float(series):
    """Return a numeric column as float64 with NaN for missing values."""
    if series.dtype.is_integer() and not series.null_count():
        # Arrow refuses to cast whole numbers that a float holds by rounding only.
        return series.to_numpy().astype(np.float64)
    return series.cast(nw.Float64).to_numpy().astype(np.float64, copy=False)


def row_keys(values):
    """List one hashable key for each row of a float matrix; equal rows, equal keys."""
    values = np.where(np.isnan(values), np.nan, values + 0.0)  # one NaN, one zero
    values = np.ascontiguousarray(values)
    whole_row = np.dtype((np.void, values.dtype.itemsize * values.shape[1]))
    return values.view(whole_row)[:, 0].tolist()


def concat_rows(X, *more):
    """Stack rows of the same kind: arrays, sparse matrices, frames, lists.

    Texts may come in several kinds of sequences; they become a list then.

    Raises
    ------
    TypeError
        If the kinds differ.

    ValueError
        If the columns differ.
    """
    parts = [X, *(part for part in more if part is not None)]
    if len(parts) == 1:
        return X
    frames = [as_frame(part) for part in parts]
    if all(frame is not None for frame in frames):
        return _concat_frames(frames)
    kinds = {kind_of(part) for part in parts}
    if len(kinds) > 1 and all(map(is_text, parts)):
        lists = [np.asarray(part, dtype=object).tolist() for part in parts]
        return [text for texts in lists for text in texts]
    if len(kinds) > 1:
        raise TypeError(
            f"Rows to be stacked must be of the same kind, got {sorted(kinds)!r}. "
            "Convert one of them."
        )
    if sparse.issparse(X):
        return sparse.vstack(parts, format="csr")
    if isinstance(X, list | tuple):
        return [row for part in parts for row in part]
    return np.concatenate([np.asarray(part) for part in parts])


def kind_of(X):
    """Name what kind of rows X holds, for two tables to be stacked."""
    if as_frame(X) is not None:
        return "data frame"
    if sparse.issparse(X):
        return "sparse"
    return "list" if isinstance(X, list | tuple) else "array"


def _concat_frames(frames):
    names, first = frames[0].columns, frames[0]
    if any(set(frame.columns) != set(names) for frame in frames):
        got = [frame.columns for frame in frames]
        raise ValueError(
            f"Rows to be stacked must have the same columns, got {got!r}. Select the "
            "same columns."
        )
    if len({frame.implementation for frame in frames}) > 1:
        got = [str(frame.implementation) for frame in frames]
        raise TypeError(
            f"Data frames to be stacked must be of one library, got {got!r}. Convert "
            "one of them."
        )
    # by column, not by name: in pandas a name may be an integer
    frames = [frame.select(*map(frame.get_column, names)) for frame in frames]
    if first.implementation.is_pandas():
        return _concat_pandas([nw.to_native(frame) for frame in frames])
    # Whole numbers in one part and not in another: both become floats.
    mixed = [
        name
        for name in names
        if len({frame.schema[name] for frame in frames}) > 1
        and all(frame.schema[name].is_numeric() for frame in frames)
    ]
    if mixed:
        floats = [nw.col(name).cast(nw.Float64) for name in mixed]
        frames = [frame.with_columns(*floats) for frame in frames]
    return nw.to_native(nw.concat(frames, how="vertical"))


def _concat_pandas(frames):
    import pandas as pd
    from pandas.api.types import union_categoricals

    # A part of a column in which all is missing has no categories of any type.
    frames = [frame.copy(deep=False) for frame in frames]
    for name in frames[0].columns:
        known = [f for f in frames if len(getattr(f[name].dtype, "categories", ()))]
        for frame in frames:
            if known and not len(getattr(frame[name].dtype, "categories", [None])):
                frame[name] = frame[name].astype(known[0][name].dtype)
    stacked = pd.concat(frames, ignore_index=True)
    for name in stacked.columns:
        parts = [frame[name] for frame in frames]
        if all(isinstance(part.dtype, pd.CategoricalDtype) for part in parts) and (
            not isinstance(stacked[name].dtype, pd.CategoricalDtype)
        ):
            # pandas keeps the dtype only where all parts have the same categories
            stacked[name] = union_categoricals(parts)
    return stacked
