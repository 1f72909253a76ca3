"""Checks that metrics on rows share."""

import numpy as np
from sklearn.utils import check_array, column_or_1d

from skdistill.soft_targets import check_soft_targets


def check_table_or_labels(values):
    values = np.asarray(values)
    if values.ndim == 2 and values.shape[1] > 1:
        return check_array(values)
    return column_or_1d(values)


def to_labels(values, classes):
    if values.ndim == 1:
        return values
    codes = values.argmax(axis=1)
    if classes is None:
        return codes
    classes = np.asarray(classes)
    if classes.shape != values.shape[1:]:
        raise ValueError(
            "classes must have one label for each column, got shape "
            f"{classes.shape!r} for {values.shape[1]} columns. Pass classes=model."
            "classes_."
        )
    return classes[codes]


def check_probabilities(P, name, *, n_samples=None, n_classes=None):
    shape = np.shape(P)
    if n_samples is None:
        if len(shape) != 2 or shape[1] < 2:
            raise ValueError(
                f"{name} must have shape (n_samples, n_classes), got {shape!r}. Pass "
                "the output of predict_proba."
            )
        n_samples, n_classes = shape
    if n_samples == 0:
        raise ValueError(f"{name} must have at least one row, got 0 rows. Give rows.")
    return check_soft_targets(P, n_samples=n_samples, n_classes=n_classes, name=name)


def check_sample_weight(sample_weight, n_samples):
    if sample_weight is None:
        return np.ones(n_samples)
    weight = column_or_1d(sample_weight, dtype=np.float64)
    if weight.shape != (n_samples,):
        raise ValueError(
            f"sample_weight must have one entry for each of the {n_samples} rows, got "
            f"{len(weight)}. Leave it out for equal weights."
        )
    if not np.isfinite(weight).all() or weight.min() < 0 or weight.sum() <= 0:
        raise ValueError(
            "sample_weight must be finite, not negative and not zero for all rows, got "
            f"values from {weight.min()!r} to {weight.max()!r}. Leave it out for equal "
            "weights."
        )
    return weight


def effective_rows(weight):
    """Number of equal rows that tell as much: Kish's (sum w)^2 / sum w^2.

    Exactly the number of rows where weights are equal; 0 where all are 0.
    """
    total = weight.sum()
    return float(total**2 / (weight @ weight)) if total > 0 else 0.0
