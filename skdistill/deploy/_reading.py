"""From a file to checked bytes and checked metadata, before anything runs.

The digest at the end tells a damaged file; it does not tell who wrote it. So everything
after it takes the file for a stranger's.
"""

import hashlib
import json
import os
import re
import reprlib
import stat
from typing import NamedTuple

import numpy as np

from skdistill.deploy._wire import scan

#: Bytes of a file at most, unless the caller says otherwise.
MAX_BYTES = 1 << 28

#: Last entry of the metadata, up to its value: 64 hexadecimal digits.
DIGEST_KEY = "skdistill.digest"
_DIGEST_ENTRY = b"\x72\x54\x0a\x10" + DIGEST_KEY.encode() + b"\x12\x40"
_METADATA_KEY = b"skdistill"

#: Version of the metadata that is understood.
FORMAT = 1

#: Bytes of JSON at most, and classes, columns and inputs at most.
_MAX_METADATA, _MAX_ITEMS = 1 << 24, 1 << 20

#: What an input of the graph takes, and onnxruntime's name for it.
INPUT_TYPES = {
    "float32": "tensor(float)",
    "float64": "tensor(double)",
    "int64": "tensor(int64)",
    "string": "tensor(string)",
}


class Input(NamedTuple):
    """One input of the graph.

    Parameters
    ----------
    name : str
        Name in the graph.

    dtype : str
        One of `INPUT_TYPES`.

    columns : list of int
        Positions in X.

    missing : str or None
        What stands for a missing cell, for an input of strings.
    """

    name: str
    dtype: str
    columns: list
    missing: str | None


class Content(NamedTuple):
    """What a file says of its model, checked.

    Parameters
    ----------
    metadata : dict
        All of it.

    classes : ndarray of shape (n_classes,)
        Labels, with the dtype that they had in fit.

    inputs : list of Input

    n_features : int or None
        None for text.

    names : list of str or None
        Names of features.

    allow_nan : bool

    text : dict or None
        Settings of the n-grams.
    """

    metadata: dict
    classes: np.ndarray
    inputs: list
    n_features: int | None
    names: list | None
    allow_nan: bool
    text: dict | None


# -- bytes -----------------------------------------------------------------------------


def read_file(path, max_bytes):
    """Bytes of a file, if it is one and no larger than it may be.

    Raises
    ------
    FileNotFoundError
        If there is none.

    ValueError
        If it is no regular file, or larger than `max_bytes`.
    """
    found = os.stat(path)
    # Checked before it is opened: opening a pipe would wait for somebody to write.
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(
            f"path must be a file, got {os.fspath(path)!r}, which is a folder or a "
            "device. Pass the file that export_onnx wrote."
        )
    with open(path, "rb") as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise ValueError(
            f"The file must have at most {max_bytes} bytes, got one of "
            f"{max(found.st_size, len(data))}. Pass a larger max_bytes if you trust it."
        )
    return data


def check_digest(data):
    """Check that the bytes are those that were written.

    Raises
    ------
    ValueError
        If they are not, or were not written by `export_onnx`.
    """
    n_digits = 2 * hashlib.sha256().digest_size
    body = data[: -(len(_DIGEST_ENTRY) + n_digits)]
    entry, digest = data[len(body) : -n_digits], data[-n_digits:]
    if entry != _DIGEST_ENTRY:
        raise ValueError(
            "The file must end with the digest that export_onnx writes, got one "
            f"without ({len(data)} bytes). It is cut short, or comes from elsewhere: "
            "export the model again with export_onnx."
        )
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise ValueError(
            "The file must match the digest at its end, got other content "
            f"({len(data)} bytes). It is damaged: copy or export it again."
        )


def read_content(data):
    """Check the bytes of an artefact; return what they say of the model.

    Parameters
    ----------
    data : bytes
        All of the file.

    Returns
    -------
    content : Content

    Raises
    ------
    ValueError
        If anything is not as `export_onnx` writes it.
    """
    check_digest(data)
    entries = scan(data)
    alien = set(entries) - {_METADATA_KEY, DIGEST_KEY.encode()}
    if alien or _METADATA_KEY not in entries:
        raise _invalid("keys", ["skdistill", DIGEST_KEY], sorted(entries))
    return _check(_parse(entries[_METADATA_KEY]))


# -- metadata --------------------------------------------------------------------------


def _parse(text):
    if len(text) > _MAX_METADATA:
        raise _invalid("length", f"at most {_MAX_METADATA} bytes", len(text))
    try:
        metadata = json.loads(text.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise _invalid("text", "JSON", text[:100]) from error
    if not isinstance(metadata, dict):
        raise _invalid("text", "a JSON object", text[:100])
    return metadata


def _refuse_constant(name):
    raise ValueError(f"{name} is no number in JSON")


def _check(metadata):
    if metadata.get("format") != FORMAT or isinstance(metadata["format"], bool):
        raise ValueError(
            f"The file must have format {FORMAT}, got "
            f"{reprlib.repr(metadata.get('format'))}. Load it with the version of "
            "skdistill that wrote it, or export the model again."
        )
    kind = metadata.get("kind")
    if kind not in ("table", "text"):
        raise _invalid("kind", "'table' or 'text'", kind)
    allow_nan = metadata.get("allow_nan")
    if type(allow_nan) is not bool:
        raise _invalid("allow_nan", "true or false", allow_nan)
    n_features, names, text = None, None, None
    if kind == "table":
        n_features, names = _check_features(metadata)
    else:
        text = metadata.get("text")
        if not isinstance(text, dict):
            raise _invalid("text", "settings of n-grams", text)
    return Content(
        metadata=metadata,
        classes=_check_classes(metadata),
        inputs=_check_inputs(metadata, n_features),
        n_features=n_features,
        names=names,
        allow_nan=allow_nan,
        text=text,
    )


def _check_features(metadata):
    n_features, names = metadata.get("n_features"), metadata.get("feature_names")
    if type(n_features) is not int or not 0 < n_features <= _MAX_ITEMS:
        raise _invalid("n_features", f"an integer from 1 to {_MAX_ITEMS}", n_features)
    if names is not None and (
        not isinstance(names, list)
        or not all(isinstance(name, str) for name in names)
        or len(names) != n_features
    ):
        raise _invalid("feature_names", f"null or {n_features} strings", names)
    return n_features, names


def _check_classes(metadata):
    """Labels as an array; the dtype is looked up, never built from what the file says.

    A label that was an object stays str, bool, int or float.
    """
    labels, name = metadata.get("classes"), metadata.get("classes_dtype")
    dtype, kinds = _label_type(name)
    if (
        not isinstance(labels, list)
        or not 2 <= len(labels) <= _MAX_ITEMS
        or not all(type(label) in kinds for label in labels)
        or len(set(labels)) != len(labels)
    ):
        raise _invalid("classes", f"two or more distinct labels of {name!r}", labels)
    try:
        with np.errstate(over="ignore"):
            classes = np.array(labels, dtype=dtype)
    except OverflowError as error:
        raise _invalid("classes", f"numbers of dtype {name!r}", labels) from error
    if classes.tolist() != labels:
        raise _invalid("classes", f"labels that fit dtype {name!r}", labels)
    return classes


def _label_type(name):
    match = re.fullmatch(r"[<|=]?U([1-9]\d{0,4})", name) if type(name) is str else None
    if match:
        return np.dtype(f"U{match[1]}"), (str,)
    if type(name) is not str or name not in _LABEL_TYPES:
        raise _invalid("classes_dtype", "the name of a dtype of labels", name)
    return _LABEL_TYPES[name]


def _label_types():
    types = {}
    for names, kinds in (
        ("int8 int16 int32 int64 uint8 uint16 uint32 uint64", (int,)),
        ("float32 float64", (int, float)),
        ("bool", (bool,)),
        ("object", (str, bool, int, float)),
    ):
        for dtype in map(np.dtype, names.split()):
            types[dtype.name] = types[dtype.str] = (dtype, kinds)
    return types


_LABEL_TYPES = _label_types()


def _check_inputs(metadata, n_features):
    inputs, missing = metadata.get("inputs"), metadata.get("missing")
    if not isinstance(inputs, list) or not 1 <= len(inputs) <= _MAX_ITEMS:
        raise _invalid("inputs", "a list of inputs", inputs)
    if not isinstance(missing, dict) or not all(
        isinstance(marker, str) for marker in missing.values()
    ):
        raise _invalid("missing", "a string for each input of strings", missing)
    checked = [_check_input(entry, missing, n_features) for entry in inputs]
    names = [entry.name for entry in checked]
    if len(set(names)) != len(names):
        raise _invalid("inputs", "inputs with distinct names", names)
    if n_features is None and [entry.dtype for entry in checked] != ["int64"]:
        raise _invalid("inputs", "one input of int64 for text", inputs)
    return checked


def _check_input(entry, missing, n_features):
    if not isinstance(entry, dict):
        raise _invalid("inputs", "a list of objects", entry)
    name, dtype, columns = (entry.get(key) for key in ("name", "dtype", "columns"))
    if type(name) is not str or type(dtype) is not str or dtype not in INPUT_TYPES:
        raise _invalid("inputs", f"a name and one of {list(INPUT_TYPES)!r}", entry)
    if (
        not isinstance(columns, list)
        or bool(columns) != (n_features is not None)
        or len(columns) > _MAX_ITEMS
        or not all(type(i) is int and 0 <= i < n_features for i in columns)
    ):
        raise _invalid("inputs", f"columns from 0 to below {n_features}", columns)
    return Input(name, dtype, columns, missing.get(name))


def _invalid(field, allowed, got):
    return ValueError(
        f"{field} in the metadata of the file must be {allowed}, got "
        f"{reprlib.repr(got)}. Export the model again with export_onnx."
    )
