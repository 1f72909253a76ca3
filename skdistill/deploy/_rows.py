"""From the rows that a user passes to the arrays that a graph takes.

numpy alone: data frames are read through their own methods, and what is wrong is said
in scikit-learn's words without importing it.
"""

import sys
import warnings
from numbers import Real

import numpy as np

#: Name that stands in messages.
OWNER = "OnnxClassifier"

_RESHAPE = (
    "Reshape your data either using array.reshape(-1, 1) if your data has a single "
    "feature or array.reshape(1, -1) if it contains a single sample."
)
#: Largest float32; asking numpy takes a millisecond of the time to the first answer.
_LARGEST = float.fromhex("0x1.fffffep+127")


def feeds(X, content):
    """Check rows and cut them into the inputs of the graph.

    Parameters
    ----------
    X : array-like or data frame of shape (n_samples, n_features)
        Rows: what `numpy.asarray` takes, or a data frame of pandas, polars or pyarrow.

    content : Content
        What the file says of the model.

    Returns
    -------
    feed : dict of str to ndarray of shape (n_samples, n_columns)

    Raises
    ------
    TypeError
        If names of columns are of mixed types.

    ValueError
        If rows are not as they were in fit.
    """
    frame = _read_frame(X)
    names, table = (None, _read_array(X)) if frame is None else frame
    _check_names(names, content.names)
    is_matrix = isinstance(table, np.ndarray)
    n_features = table.shape[1] if is_matrix else len(table)
    if n_features != content.n_features:
        raise ValueError(
            f"X has {n_features} features, but {OWNER} is expecting "
            f"{content.n_features} features as input."
        )
    n_samples = len(table if is_matrix else table[0])
    if n_samples == 0:
        raise ValueError(
            f"Found array with 0 sample(s) (shape={(0, n_features)}) while a minimum "
            f"of 1 is required by {OWNER}."
        )
    return {entry.name: _fill(entry, table, content) for entry in content.inputs}


def is_sparse(X):
    """Tell whether X is a sparse matrix or array of scipy."""
    sparse = sys.modules.get("scipy.sparse")
    return sparse is not None and sparse.issparse(X)


def check_texts(X):
    """Return texts as a list, each of them a str.

    Raises
    ------
    ValueError
        If X is a single str, holds anything else, or nothing.
    """
    if isinstance(X, str):
        raise ValueError(
            "Iterable over raw text documents expected, string object received."
        )
    is_list = isinstance(X, list | tuple) or len(getattr(X, "shape", ())) == 1
    texts = list(X) if is_list else [X]
    for text in texts:
        if not isinstance(text, str):
            raise ValueError(
                f"X must hold one str for each row, got {_kind(text)} in "
                f"{_kind(X)}. Pass a list of texts."
            )
    if not texts:
        raise ValueError(
            "Found array with 0 sample(s) (shape=(0,)) while a minimum of 1 is "
            f"required by {OWNER}."
        )
    return texts


def _kind(value):
    return f"{type(value).__module__}.{type(value).__name__}".removeprefix("builtins.")


# -- tables ----------------------------------------------------------------------------


def _read_frame(X):
    """Names and columns of a data frame, or None where X is none.

    Libraries are looked up among the modules that are loaded: X comes from one of them.

    Returns
    -------
    names : list
        Of columns, of any type.

    table : ndarray of shape (n_samples, n_features) or list of array-like
        A matrix where all columns are numpy's numbers, else the columns.
    """
    pandas, polars, arrow = map(sys.modules.get, ("pandas", "polars", "pyarrow"))
    if pandas and isinstance(X, pandas.Series):
        raise ValueError(
            f"Expected a 2-dimensional container but got {type(X)} instead. Pass a "
            "DataFrame containing a single row (i.e. single sample) or a single "
            "column (i.e. single feature) instead."
        )
    if pandas and isinstance(X, pandas.DataFrame):
        dtypes = X.dtypes.tolist()
        if all(isinstance(t, np.dtype) and t.kind in "fiub" for t in dtypes):
            same = len(set(dtypes)) == 1
            return X.columns.tolist(), X.to_numpy(None if same else np.float64)
        return X.columns.tolist(), [column for _, column in X.items()]
    if polars and isinstance(X, polars.DataFrame):
        return X.columns, X.get_columns()
    if arrow and isinstance(X, arrow.Table | arrow.RecordBatch):
        return X.schema.names, [_decoded(column, arrow) for column in X.columns]
    return None


def _decoded(column, arrow):
    is_dictionary = arrow.types.is_dictionary(column.type)
    return column.cast(column.type.value_type) if is_dictionary else column


def _read_array(X):
    """Matrix of numbers, or list of columns where X holds objects or text."""
    X = np.asarray(X)
    if X.ndim < 2:
        what = "1D array" if X.ndim else "scalar array"
        raise ValueError(
            f"Expected 2D array, got {what} instead:\narray={X}.\n{_RESHAPE}"
        )
    if X.ndim > 2:
        raise ValueError(
            f"Found array with dim {X.ndim}, while dim <= 2 is required by {OWNER}."
        )
    if X.dtype.kind == "c":
        raise ValueError(f"Complex data not supported\n{X}\n")
    if X.dtype.kind in "fiub" or X.shape[1] == 0:
        return X
    return list(X.T)


def _check_names(names, known):
    """Compare names of columns with those of fit, as scikit-learn does."""
    kinds = sorted({type(name).__qualname__ for name in names or ()})
    if len(kinds) > 1 and "str" in kinds:
        raise TypeError(
            "Feature names are only supported if all input features have string "
            f"names, but your input has {kinds} as feature name / column name types. "
            "If you want feature names to be stored and validated, you must convert "
            "them all to strings, by using X.columns = X.columns.astype(str) for "
            "example. Otherwise you can remove feature / column names from your input "
            "data, or convert them all to a non-string data type."
        )
    has_names = kinds == ["str"]
    if has_names and known is None:
        _warn(f"X has feature names, but {OWNER} was fitted without feature names")
    elif known is not None and not has_names:
        _warn(
            f"X does not have valid feature names, but {OWNER} was fitted with "
            "feature names"
        )
    elif has_names and names != known:
        raise ValueError(_difference(names, known))


def _warn(text):
    # Six frames up is who called predict_proba.
    warnings.warn(text, UserWarning, stacklevel=6)


def _difference(names, known):
    message = "The feature names should match those that were passed during fit.\n"
    unseen, gone = sorted(set(names) - set(known)), sorted(set(known) - set(names))
    for title, found in (
        ("Feature names unseen at fit time:\n", unseen),
        ("Feature names seen at fit time, yet now missing:\n", gone),
    ):
        if found:
            more = "- ...\n" if len(found) > 5 else ""
            message += title + "".join(f"- {name}\n" for name in found[:5]) + more
    if not unseen and not gone:
        message += "Feature names must be in the same order as they were in fit.\n"
    return message


# -- inputs of the graph ---------------------------------------------------------------


def _fill(entry, table, content):
    """Array of one input, with the dtype that the graph takes."""
    is_matrix = isinstance(table, np.ndarray)
    if entry.dtype == "string":
        columns = [table[:, i] if is_matrix else table[i] for i in entry.columns]
        texts = [_texts(column, entry.missing) for column in columns]
        return np.array(texts, dtype=object).T
    if is_matrix:
        is_whole = entry.columns == list(range(table.shape[1]))
        values = table if is_whole else table[:, entry.columns]
    else:
        values = np.column_stack(
            [_numbers(table[i], _label(i, content)) for i in entry.columns]
        )
    if entry.dtype == "int64":
        return _whole_numbers(values, entry)
    return _floats(values, np.dtype(entry.dtype), content.allow_nan)


def _label(position, content):
    return position if content.names is None else content.names[position]


def _floats(values, dtype, allow_nan):
    """Check and cast numbers; an overflow of the cast counts as infinity."""
    if values.dtype != np.float32:
        with np.errstate(over="ignore"):  # of long double
            values = values.astype(np.float64, copy=False)
    if not allow_nan and np.isnan(values).any():
        raise ValueError(
            f"Input X contains NaN.\n{OWNER} does not accept missing values encoded "
            "as NaN natively: the model that was exported did not. Replace them as "
            "they were replaced in training."
        )
    too_large = np.isinf(values)
    if dtype == np.float32 and values.dtype == np.float64:
        too_large = np.abs(values) > _LARGEST
    if too_large.any():
        raise ValueError(
            f"Input X contains infinity or a value too large for {dtype!r}."
        )
    return values.astype(dtype, copy=False)


def _whole_numbers(values, entry):
    if values.dtype.kind == "f":
        # 2 ** 63 is the first that does not fit.
        is_whole = (np.abs(values) < 2.0**63) & (values == np.rint(values))
        if not is_whole.all():
            raise ValueError(
                f"Input {entry.name!r} must hold whole numbers as it did in fit, got "
                f"{values[~is_whole][0]!r}. Convert it, or fit again on data of this "
                "kind."
            )
    return values.astype(np.int64)


def _numbers(column, name):
    """Numeric array of a column, NaN where missing."""
    values = np.asarray(column)
    if values.dtype.kind in "fiub":
        return values
    if values.dtype.kind == "O":
        try:
            return np.array([_number(v) for v in values.tolist()], dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            pass
    raise ValueError(
        f"Column {name!r} must hold numbers as it did in fit, got {column.dtype}. "
        "Convert it, or fit again on data of this kind."
    )


def _number(value):
    if isinstance(value, str | bytes):
        raise TypeError("text is not converted to numbers")
    return np.nan if _is_missing(value) else float(value)


def _texts(column, marker):
    """List of str for a column of categories; `marker` stands for missing ones."""
    values = np.asarray(column)
    if values.dtype.kind in "fiub":
        values = values.astype(np.float64)
    texts = [_text(value) for value in values.tolist()]
    if marker is None and None in texts:
        raise ValueError(
            "Input X contains NaN in a column of categories that had none in fit. "
            "Replace missing values as they were replaced in training."
        )
    return [marker if text is None else text for text in texts]


def _text(value):
    """Level of a category as it stands in the graph; None where missing.

    1, 1.0 and True are one level, and so are 0.0 and -0.0.
    """
    if isinstance(value, str):
        return value
    if _is_missing(value):
        return None
    return repr(float(value) + 0.0) if isinstance(value, Real) else str(value)


def _is_missing(value):
    # Not a number differs from itself; pandas.NA does not even say.
    return value is None or type(value).__name__ == "NAType" or value != value
