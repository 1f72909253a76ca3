"""What makes two rows the same: a key of 128 bits from the content of each.

Equal rows get equal keys wherever they stand, in whatever batch and process. Where two
forms of a value might mean different things to a teacher (a category and a text, a
null and a NaN of polars) the keys differ: that costs one more question, never a wrong
answer.
"""

import math
import struct
from datetime import date, time, timedelta
from decimal import Decimal
from hashlib import blake2b
from itertools import pairwise

import narwhals.stable.v1 as nw
import numpy as np
from scipy import sparse

from skdistill._frames import as_frame

KEY_BYTES = 16

#: Rows made canonical at a time: bounds the memory of a copy in double precision.
_BLOCK_ROWS = 1 << 14
#: Integers up to this one are exact in double precision.
_LARGEST_EXACT = 1 << 53

#: What NumPy keeps for NaT.
_NO_TIME = np.iinfo(np.int64).min

_WHOLE = (int, np.integer, np.bool_)
_NUMBERS = (*_WHOLE, float, np.floating)
#: Types, and names of pandas' types, of which `str` shows everything.
_PLAIN = (date, time, timedelta, Decimal, np.datetime64, np.timedelta64)
_PLAIN_OF_PANDAS = {"Interval", "NAType", "NaTType", "Period"}


def row_keys(X):
    """Key of each row's content.

    Numbers count by value, whatever their precision: float32 and float64, integer and
    bool, 0.0 and -0.0 give one key, and so do all NaNs. Sparse rows count by their
    non-zero entries. Columns of a data frame count with their names, their order and
    their kind (number, bool, category, other values, each kind of time); categories by
    value, not by code; pandas and polars alike.

    Parameters
    ----------
    X : array, sparse matrix, data frame, Series or list of length n_samples
        Rows: numbers, text, or objects made of these.

    Returns
    -------
    keys : list of bytes of length n_samples
        16 bytes each (BLAKE2b).

    Raises
    ------
    TypeError
        If a row holds something whose value cannot be told.
    """
    layout, records = _canonical(X)
    person = _digest(layout)
    return [
        blake2b(record, digest_size=KEY_BYTES, person=person).digest()
        for record in records
    ]


def row_layout(X):
    """Key of what the rows are: their kind, width and columns, not their content."""
    return _digest(_canonical(X)[0])


def _digest(data):
    return blake2b(data, digest_size=KEY_BYTES).digest()


def _canonical(X):
    """Layout of the rows as bytes, and an iterator over the bytes of each row."""
    frame = as_frame(X)
    if frame is not None:
        return _frame(frame)
    if sparse.issparse(X):
        return _sparse(X)
    if isinstance(X, list | tuple):
        return _sequence(X)
    if hasattr(X, "to_list"):  # a Series
        return b"values", map(encode, X.to_list())
    if isinstance(X, np.ndarray) or hasattr(X, "__array__"):
        return _array(np.asarray(X))
    raise TypeError(
        "X must be an array, a sparse matrix, a data frame or a list to be looked up "
        f"in a store, got {type(X).__name__}. Convert it."
    )


# -- arrays and lists ------------------------------------------------------------------


def _sequence(X):
    if not all(isinstance(row, str) for row in X):
        try:
            values = np.asarray(X)
        except ValueError:  # rows of different lengths
            values = np.empty(0, dtype=object)
        if values.dtype.kind in "biuf":
            return _array(values)
    return b"values", map(encode, X)


def _array(X):
    if X.ndim == 0:
        raise TypeError(f"X must hold rows, got the scalar {X!r}. Pass a list of rows.")
    kind = X.dtype.kind
    width = str(X.shape[1:]).encode()
    if kind in "biuf" and X.dtype.itemsize <= 8:
        return b"numbers" + width, _number_records(_flat(X))
    if kind in "mM":
        times = _flat(X).view(np.int64)
        return X.dtype.str.encode() + width, _slices(times)
    if kind in "OUST":
        layout = b"values" if X.ndim == 1 else b"values" + width
        return layout, map(encode, X.tolist())
    raise TypeError(
        "X must hold numbers of at most 64 bits, text or times to be looked up in a "
        f"store, got dtype {X.dtype}. Convert it to float64."
    )


def _flat(X):
    return X.reshape(len(X), math.prod(X.shape[1:]))


def _number_records(X):
    for start in range(0, len(X), _BLOCK_ROWS):
        nearest, rest = _split(X[start : start + _BLOCK_ROWS])
        yield from _records(nearest, rest)


def _split(values):
    """Doubles nearest to numbers, and what those miss of large integers, or None."""
    with np.errstate(invalid="ignore"):  # what a signalling NaN would warn of
        nearest = values.astype(np.float64)
        nearest += 0.0  # one zero
    nearest[np.isnan(nearest)] = np.nan  # and one NaN
    if values.dtype.kind not in "iu" or values.dtype.itemsize < 8:
        return nearest, None
    large = np.abs(nearest) >= _LARGEST_EXACT
    if not large.any():
        return nearest, None
    pairs = zip(values[large].tolist(), nearest[large].tolist(), strict=True)
    rest = np.zeros(values.shape, dtype=np.int64)
    rest[large] = [exact - int(rounded) for exact, rounded in pairs]
    return nearest, rest


def _records(fixed, rest):
    """Bytes of the rows of a matrix, and of those rows of `rest` that are not zero."""
    if rest is None:
        yield from _slices(fixed)
        return
    for record, more in zip(_slices(fixed), rest, strict=True):
        yield record + more.tobytes() if more.any() else record


def _slices(matrix):
    data, n_rows = matrix.tobytes(), len(matrix)
    width = len(data) // max(n_rows, 1)
    return (data[i * width : (i + 1) * width] for i in range(n_rows))


# -- sparse matrices -------------------------------------------------------------------

_ENTRY = np.dtype([("column", np.int64), ("nearest", "f8"), ("rest", np.int64)])


def _sparse(X):
    if X.ndim != 2:
        raise TypeError(
            f"X must have rows and columns, got a sparse array of shape {X.shape!r}. "
            "Reshape it."
        )
    return b"sparse" + str(X.shape[1:]).encode(), _sparse_records(X)


def _sparse_records(X):
    X = X.tocsr(copy=True)
    X.sum_duplicates()
    X.eliminate_zeros()
    X.sort_indices()
    entries = np.zeros(X.nnz, dtype=_ENTRY)
    entries["column"] = X.indices
    nearest, rest = _split(X.data)
    entries["nearest"] = nearest
    if rest is not None:
        entries["rest"] = rest
    data, ends = entries.tobytes(), (X.indptr * _ENTRY.itemsize).tolist()
    return (data[start:end] for start, end in pairwise(ends))


# -- data frames -----------------------------------------------------------------------


def _frame(frame):
    names = frame.columns
    kinds = [_kind(series.dtype) for series in frame.iter_columns()]
    layout = encode(["frame", *zip(names, kinds, strict=True)])
    return layout, _frame_records(frame, kinds)


def _kind(dtype):
    """Kind of a column: the same for any part of its rows."""
    if dtype in (nw.Int128, nw.UInt128, nw.Decimal):
        return "values"
    if dtype.is_numeric():
        return "number"
    if dtype == nw.Boolean:
        return "bool"
    if dtype in (nw.Categorical, nw.Enum):
        return "category"
    if dtype in (nw.Datetime, nw.Date, nw.Duration):
        return str(dtype)
    # Object and String are one: which it is, narwhals tells from the values at hand.
    return "values"


def _frame_records(frame, kinds):
    columns, rests = [np.empty((len(frame), 0), dtype=np.uint8)], {}
    for position, (series, kind) in enumerate(
        zip(frame.iter_columns(), kinds, strict=True)
    ):
        if kind in ("number", "bool"):
            values, rest = _split(_numbers(series))
            missing = series.is_null().to_numpy().astype(np.uint8)
            columns += [_as_bytes(values), missing[:, None]]
            if rest is not None:
                rests[position] = rest
        elif kind in ("category", "values"):
            columns.append(_value_digests(series))
        else:
            columns.append(_as_bytes(_times(series)))
    rest = None
    if rests:
        rest = np.zeros((len(frame), len(kinds)), dtype=np.int64)
        rest[:, list(rests)] = np.column_stack(list(rests.values()))
    return _records(np.hstack(columns), rest)


def _numbers(series):
    """Values of a column of numbers, 0 for missing ones."""
    filled = series.fill_null(False if series.dtype == nw.Boolean else 0).to_numpy()
    if filled.dtype.kind in "biuf":
        return filled
    kind = np.uint64 if series.dtype == nw.UInt64 else np.int64
    return filled.astype(kind if series.dtype.is_integer() else np.float64)


def _times(series):
    """Values of a column of times in units of its dtype, a far one for missing ones."""
    if series.implementation.is_polars():  # early polars 1 cannot give NumPy's times
        return series.cast(nw.Int64).fill_null(_NO_TIME).to_numpy()
    return np.ascontiguousarray(series.to_numpy()).view(np.int64)


def _as_bytes(values):
    return np.ascontiguousarray(values).view(np.uint8).reshape(len(values), -1)


def _value_digests(series):
    """16 bytes for each value of a column: its digest, one for all missing values."""
    known = {}
    digests = []
    missing = series.is_null().to_list()
    for value, is_missing in zip(series.to_list(), missing, strict=True):
        value = None if is_missing else value
        if not isinstance(value, str):  # only strings may share a slot: 1 == Decimal(1)
            digests.append(_digest(encode(value)))
            continue
        digest = known.get(value)
        if digest is None:
            digest = known[value] = _digest(encode(value))
        digests.append(digest)
    return np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, KEY_BYTES)


# -- single values ---------------------------------------------------------------------


def encode(value):
    """Bytes of a value made of text, numbers, times, None, lists and dicts.

    Parameters
    ----------
    value : object
        Tuples count as lists, arrays as lists of their values, numpy's scalars as
        Python's; numbers count by value.

    Returns
    -------
    data : bytes
        Different for different values, also where one is a part of another.

    Raises
    ------
    TypeError
        If the value is of another type, whose content cannot be seen.
    """
    if isinstance(value, str):
        return _tagged(b"s", value.encode("utf-8", "surrogatepass"))
    if isinstance(value, _NUMBERS):
        return _encode_number(value)
    if value is None:
        return b"0"
    if isinstance(value, bytes):
        return _tagged(b"b", value)
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return _tagged(b"l", b"".join(map(encode, value)))
    if isinstance(value, dict):
        items = sorted((encode(key), encode(item)) for key, item in value.items())
        return _tagged(b"d", b"".join(key + item for key, item in items))
    if isinstance(value, _PLAIN) or type(value).__name__ in _PLAIN_OF_PANDAS:
        return _tagged(b"o", encode(type(value).__name__) + encode(str(value)))
    raise TypeError(
        "Rows to be looked up in a store must hold numbers, text, times, or lists and "
        f"dicts of these, got {type(value).__name__}. Convert it."
    )


def _encode_number(value):
    if isinstance(value, _WHOLE):
        value = int(value)
        if abs(value) >= _LARGEST_EXACT:
            return _tagged(b"i", str(value).encode())
    value = float(value) + 0.0
    if value.is_integer() and abs(value) >= _LARGEST_EXACT:
        return _tagged(b"i", str(int(value)).encode())
    return b"f" + struct.pack("<d", value if value == value else np.nan)


def _tagged(tag, data):
    return b"%b%d:%b" % (tag, len(data), data)
