"""The file: what it says of itself, and the digest at its end."""

import hashlib
import json
import math
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import onnx

from skdistill import __version__

#: Keys of the two entries of metadata.
METADATA, DIGEST = "skdistill", "skdistill.digest"

#: Number of the format of the metadata.
FORMAT = 1


def seal(model, metadata):
    """Turn a model into the bytes of a file.

    Parameters
    ----------
    model : onnx.ModelProto
        Not changed.

    metadata : dict
        Anything that JSON can hold.

    Returns
    -------
    data : bytes
        The model with its metadata and, last of all, a digest of what is before it.
    """
    text = json.dumps(plain(metadata), separators=(",", ":"), allow_nan=False)
    body = model.SerializeToString() + _entry(METADATA, text)
    return body + _entry(DIGEST, hashlib.sha256(body).hexdigest())


def _entry(key, value):
    # Protobuf joins messages by putting their bytes one behind the other.
    pair = onnx.StringStringEntryProto(key=key, value=value)
    return onnx.ModelProto(metadata_props=[pair]).SerializeToString()


def plain(value):
    """Return numpy's numbers and arrays as Python's own; what is not finite as None."""
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def is_json(value):
    """Tell whether JSON can hold a value."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def versions(*packages):
    """Versions of this package and of others, those that are installed."""
    found = {"skdistill": __version__}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
