"""Recognise rows that need no validation; leave all others to scikit-learn.

A check here costs a microsecond (array) or twenty (data frame), where scikit-learn's
takes sixty and a thousand. It only ever says yes to rows that scikit-learn would let
pass unchanged and in silence, so every error and warning stays scikit-learn's own.
"""

import sys

import numpy as np

#: A sum of squares below this means: finite, and sound to square again after scaling.
SOUND = 1e200

_FLOATS = (np.dtype(np.float64), np.dtype(np.float32))


def is_quick_array(X, width):
    """Tell whether X is a plain array of floats, `width` columns wide, with rows."""
    return (
        type(X) is np.ndarray
        and X.dtype in _FLOATS
        and X.ndim == 2
        and X.shape[1] == width
        and X.shape[0] > 0
    )


def is_sound(X, n_block):
    """Tell whether all values are finite and small enough to be squared.

    Parameters
    ----------
    X : ndarray of float of shape (n_samples, n_features)

    n_block : int
        Rows looked at at once: an array that is not C-contiguous is copied by the way.
    """
    if X.shape[0] <= n_block:
        return float(np.vdot(X, X)) < SOUND  # float32 cannot be compared to it
    blocks = (X[i : i + n_block] for i in range(0, X.shape[0], n_block))
    return all(float(np.vdot(block, block)) < SOUND for block in blocks)


def read_frame(X, names, encoder):
    """Numbers and levels of a data frame that is as it was in fit, or None.

    Parameters
    ----------
    X : object
        Recognised are pandas frames with columns of numpy's own numbers and, for one
        row, columns of text; and polars frames of one row.

    names : list of str
        The columns of fit, in order.

    encoder : TableEncoder
        Knows which of them are numbers.

    Returns
    -------
    values : ndarray of float64 of shape (n_samples, n_numeric)
        NaN where missing; never infinite.

    levels : list of list
        For each categorical column its values: str, or None where missing.
    """
    kind = type(X)
    if kind is _frame_type("pandas"):
        found = _read_pandas(X, names, encoder)
    elif kind is _frame_type("polars"):
        found = _read_polars(X, names, encoder)
    else:
        return None
    if found is None or np.isinf(found[0]).any():
        return None
    return found


def _frame_type(library):
    """DataFrame of a library that somebody has imported already."""
    return getattr(sys.modules.get(library), "DataFrame", _Absent)


class _Absent:
    """Type of nothing."""


def _read_pandas(X, names, encoder):
    columns = X.columns.tolist()
    # Types first: a name may be something that cannot be compared, like pandas.NA.
    if set(map(type, columns)) != {str} or columns != names or len(X) == 0:
        return None
    dtypes = X.dtypes.tolist()
    if not all(_is_number(dtypes[position]) for position in encoder.numeric_):
        return None
    if not encoder.categorical_:
        return X.to_numpy(dtype=np.float64), []
    if len(X) > 1:
        return None
    return _split_row(X.to_numpy(dtype=object)[0].tolist(), encoder)


def _is_number(dtype):
    """Tell whether values are numpy's own numbers (not sparse, nullable, complex)."""
    return isinstance(dtype, np.dtype) and dtype.kind in "fiu" and dtype.itemsize <= 8


def _read_polars(X, names, encoder):
    if X.height != 1 or X.columns != names:
        return None
    return _split_row(X.row(0), encoder)


def _split_row(row, encoder):
    """Numbers and levels of one row, or None where a value is of another kind."""
    numbers = [row[position] for position in encoder.numeric_]
    levels = [row[position] for position in encoder.categorical_]
    if not set(map(type, numbers)) <= {float, int}:
        return None
    for i, level in enumerate(levels):
        if type(level) is float and level != level:
            levels[i] = None
        elif level is not None and type(level) is not str:
            return None
    values = np.array([numbers], dtype=np.float64)
    return values, [[level] for level in levels]
