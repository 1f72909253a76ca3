"""Where figures come from: versions, settings, and which rows these were."""

import platform
import re
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, version

import numpy as np
from sklearn.base import BaseEstimator

import skdistill

#: Packages that figures depend on; those that are not installed are left out.
PACKAGES = (
    "numpy", "scipy", "scikit-learn", "torch", "skorch", "onnxruntime", "lightgbm",
    "xgboost", "catboost",
)  # fmt: skip
#: What `DistilledClassifier` chose.
CHOICES = ("alpha_", "temperature_", "transfer_", "n_teacher_rows_", "n_transfer_rows_")


def provenance_of(model, rows, *, confidence, n_resamples, random_state):
    """Everything that figures but timings depend on, as JSON values.

    Parameters
    ----------
    model : fitted classifier
        What the report is of.

    rows : Rows
        What it was measured on.

    confidence, n_resamples, random_state : float, int, int
        As given to the report.

    Returns
    -------
    provenance : dict
    """
    return {
        "versions": versions(),
        "model": settings_of(model),
        "classes": [describe(label) for label in rows.classes],
        "n_rows": len(rows),
        "n_rows_left_out": rows.n_left_out,
        "rows": fingerprint(rows.X, rows.labels, rows.weight),
        "n_teacher_rows": rows.n_asked,
        "weighted": rows.weight is not None,
        "confidence": confidence,
        "n_resamples": n_resamples,
        "random_state": describe(random_state),
    }


def versions():
    """Versions of Python, this package and what it stands on, by name."""
    found = {"python": platform.python_version(), "skdistill": skdistill.__version__}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def settings_of(model):
    """Parameters of an estimator, and what it chose, as JSON values.

    Parameters
    ----------
    model : estimator
        Nested parameters are not listed: an estimator among the parameters is written
        as it prints.

    Returns
    -------
    settings : dict
        "class", "parameters" and, of a DistilledClassifier, "chosen".
    """
    settings = {"class": type(model).__name__, "parameters": {}}
    if isinstance(model, BaseEstimator):
        parameters = model.get_params(deep=False)
        settings["parameters"] = {k: describe(v) for k, v in parameters.items()}
    chosen = {
        name: describe(getattr(model, name)) for name in CHOICES if hasattr(model, name)
    }
    return settings | ({"chosen": chosen} if chosen else {})


def describe(value):
    """Return a JSON value that stands for any object, the same in every process."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and np.isfinite(value):
        return value
    # where an object lies in memory says nothing
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def fingerprint(X, y=None, weight=None):
    """Digest of the content of rows, labels and weights, in their order.

    Parameters
    ----------
    X : array-like of length n_samples
        Rows.

    y : ndarray of shape (n_samples,), default=None
        Labels.

    weight : ndarray of shape (n_samples,), default=None
        Weights.

    Returns
    -------
    digest : str or None
        32 hexadecimal digits, whatever the precision or library of the table; None
        where rows hold objects whose value cannot be told.
    """
    from skdistill.teachers._row_keys import row_keys

    try:
        keys = row_keys(X)
    except TypeError:
        return None
    digest = blake2b(b"".join(keys), digest_size=16)
    if y is not None:
        digest.update(repr(y.tolist()).encode())
    if weight is not None:
        digest.update(weight.astype("<f8").tobytes())
    return digest.hexdigest()
