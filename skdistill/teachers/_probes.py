"""Who a teacher is: told from its answers on a few rows that a store keeps.

Hashes of a fitted model change when it is pickled and loaded; its answers do not.
"""

import io
import json
import uuid
from hashlib import sha256

import numpy as np
from scipy import sparse

from skdistill._compat import safe_indexing
from skdistill._frames import as_frame
from skdistill.teachers._row_keys import encode, row_keys

#: Rows that a teacher is asked to tell it from others, and most where answers are hard.
N_PROBES, MOST_PROBES = 32, 256
#: Rows with an answer other than 0 or 1 that a fingerprint needs.
FEWEST_SOFT = 8
#: Decimals of the answers that count.
DECIMALS = 6


def choose_probes(X, keys):
    """Up to 256 distinct rows of X, whatever the order they come in.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...)
        Rows.

    keys : list of bytes of length n_samples
        Their keys: a hash is as good as a draw.

    Returns
    -------
    probes : array-like
        Rows of X.
    """
    position = {key: i for i, key in enumerate(keys)}
    return safe_indexing(X, [position[key] for key in sorted(position)[:MOST_PROBES]])


def fingerprint_of(ask, probes, *, n_probes, classes):
    """Fingerprint of a teacher by its answers, rounded to 1e-6.

    Where fewer than 8 of 32 answers are anything but 0 or 1, all probes are asked: hard
    answers tell little. If that still holds, the fingerprint is drawn by lot, so that
    nobody else is ever taken for this teacher.

    Parameters
    ----------
    ask : callable
        Takes rows, returns probabilities of shape (n, n_columns).

    probes : array-like
        Rows to ask.

    n_probes : int
        Their number.

    classes : array-like or None
        Labels of the columns.

    Returns
    -------
    fingerprint : str

    n_asked : int
        Rows that the teacher was asked.
    """
    first = np.arange(min(n_probes, N_PROBES))
    P, rest = _rounded(ask(safe_indexing(probes, first))), n_probes - len(first)
    if _count_soft(P) < FEWEST_SOFT and rest:
        others = safe_indexing(probes, np.arange(len(first), n_probes))
        P = np.concatenate([P, _rounded(ask(others))])
    if _count_soft(P) < FEWEST_SOFT:
        return f"alone-{uuid.uuid4().hex}", len(P)
    return identity("answers", classes, P.astype("<f8").tobytes()), len(P)


def identity(kind, classes, content):
    """Fingerprint of a teacher from what it is known by, and the labels it gives."""
    labels = None if classes is None else list(classes)
    return f"{kind}-{sha256(encode([labels, content])).hexdigest()}"


def _rounded(P):
    return np.round(P, DECIMALS) + 0.0  # one zero


def _count_soft(P):
    return int(((P > 0) & (P < 1)).any(axis=1).sum())


# -- rows on disk, without pickle ------------------------------------------------------


def dump_rows(X):
    """Serialise rows, so that `load_rows` gives the same kind of rows back.

    Parameters
    ----------
    X : array, sparse matrix, data frame of pandas or polars, Series or list
        Few rows.

    Returns
    -------
    data : bytes

    Raises
    ------
    TypeError
        If the rows would not come back equal.
    """
    try:
        kind, body = _dump(X)
        data = kind.encode() + b":" + body
        if row_keys(load_rows(data)) == row_keys(X):
            return data
        problem = "they would come back changed"
    except (AttributeError, ImportError, TypeError, ValueError) as error:
        problem = str(error)
    raise TypeError(
        "key must be given for a teacher of such rows, got None: probe rows of type "
        f"{type(X).__name__} cannot be kept in the store ({problem}). Pass a name for "
        "this very teacher as key=."
    )


def load_rows(data):
    """Rows that `dump_rows` serialised."""
    kind, _, body = data.partition(b":")
    return _LOADERS[kind.decode()](body)


def _dump(X):
    frame = as_frame(X)
    if frame is not None and frame.implementation.is_polars():
        return "polars", _bytes_of(X.write_ipc)
    if frame is not None and frame.implementation.is_pandas():
        return "pandas", _dump_pandas(X)
    if sparse.issparse(X):
        return "sparse", _bytes_of(lambda file: sparse.save_npz(file, X.tocsr()))
    if isinstance(X, list | tuple):
        return "list", _to_json(list(X))
    if isinstance(X, np.ndarray) and X.dtype.kind == "O":
        return "objects", _to_json(X.tolist())
    if isinstance(X, np.ndarray):
        return "array", _bytes_of(lambda file: np.save(file, X, allow_pickle=False))
    if type(X).__module__.partition(".")[0] == "pandas":
        return "pandas series", _dump_pandas(X.to_frame("values"))
    if type(X).__module__.partition(".")[0] == "polars":
        return "polars series", _bytes_of(X.to_frame("values").write_ipc)
    raise TypeError(f"rows of type {type(X).__name__} have no safe form")


def _bytes_of(write):
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def _to_json(values):
    return json.dumps(values, default=lambda scalar: scalar.item()).encode()


def _load_array(body):
    return np.load(io.BytesIO(body), allow_pickle=False)


def _load_objects(body):
    rows = json.loads(body)
    if isinstance(rows[0], list):
        return np.array(rows, dtype=object)
    values = np.empty(len(rows), dtype=object)
    values[:] = rows
    return values


def _load_polars(body):
    import polars as pl

    return pl.read_ipc(io.BytesIO(body))


def _dump_pandas(X):
    columns = [
        [name, *_dump_pandas_column(X.iloc[:, position])]
        for position, name in enumerate(X.columns)
    ]
    return _to_json(columns)


def _dump_pandas_column(column):
    """Dtype and values of a column; of categories the codes and what they stand for."""
    if str(column.dtype) != "category":
        missing = column.isna()
        plain = column.dtype.kind in "biufO" or str(column.dtype).startswith("str")
        values = column.to_list() if plain else column.astype(str).to_list()
        values = [None if no else v for v, no in zip(values, missing, strict=True)]
        return [str(column.dtype), values]
    parts = column.cat.categories
    inner = _dump_pandas_column(parts.to_series())
    return ["category", column.cat.codes.to_list(), *inner, bool(column.cat.ordered)]


def _load_pandas(body):
    import pandas as pd

    columns = {name: _load_pandas_column(*rest) for name, *rest in json.loads(body)}
    return pd.DataFrame(columns)


def _load_pandas_column(dtype, values, *of_category):
    import pandas as pd

    if dtype != "category":
        return pd.Series(values, dtype=dtype)
    *inner, ordered = of_category
    categories = pd.Index(_load_pandas_column(*inner))
    return pd.Series(
        pd.Categorical.from_codes(values, categories=categories, ordered=ordered)
    )


_LOADERS = {
    "array": _load_array,
    "list": json.loads,
    "objects": _load_objects,
    "pandas": _load_pandas,
    "pandas series": lambda body: _load_pandas(body)["values"],
    "polars": _load_polars,
    "polars series": lambda body: _load_polars(body)["values"],
    "sparse": lambda body: sparse.load_npz(io.BytesIO(body)),
}
