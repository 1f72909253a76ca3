"""Probabilities as they come: checked, normalised, columns in the order asked for."""

import numpy as np

from skdistill._compat import check_sample_weight

#: Largest deviation of a row's sum from 1 that counts as rounding (float16 output).
ROW_SUM_TOLERANCE = 1e-3


def check_soft_targets(
    soft_targets, *, n_samples, n_classes, name="soft_targets", allow_abstentions=False
):
    """Check probabilities and return them as normalised float64.

    Parameters
    ----------
    soft_targets : array-like of shape (n_samples, n_classes)
        Probabilities. In the binary case a column of shape (n_samples,) or
        (n_samples, 1) holds the probability of the second class.

    n_samples, n_classes : int
        The shape that is expected.

    name : str, default="soft_targets"
        How to call the array in error messages.

    allow_abstentions : bool, default=False
        Whether rows of NaN only pass: those that the teacher left unanswered.

    Returns
    -------
    soft_targets : ndarray of shape (n_samples, n_classes)
        Rows sum to 1 exactly up to rounding, or are NaN as a whole.

    Raises
    ------
    ValueError
        If the shape differs, or a value is missing or outside [0, 1], or a row does not
        sum to 1; deviations up to 1e-3 count as rounding.
    """
    P = as_float64(soft_targets, name, f"({n_samples}, {n_classes})")
    if n_classes == 2 and P.shape in {(n_samples,), (n_samples, 1)}:
        P = P.reshape(n_samples, 1)
    elif P.shape != (n_samples, n_classes):
        raise ValueError(
            f"{name} must have shape (n_samples, n_classes) = ({n_samples}, "
            f"{n_classes}), got {P.shape!r}. Pass one row for each row of X and one "
            "column for each class."
        )
    abstained = np.isnan(P).all(axis=1) & allow_abstentions
    finite = np.isfinite(P).all(axis=1) | abstained
    if not finite.all():
        rows = np.flatnonzero(~finite)
        raise ValueError(
            f"{name} must be finite, got NaN or infinity in {rows.size} of {n_samples} "
            f"rows (first: row {rows[0]}). Leave these rows out, or ask the teacher "
            "again."
        )
    if abstained.any():
        checked = np.full((n_samples, n_classes), np.nan)
        rows = np.flatnonzero(~abstained)
        checked[rows] = _check_values(P[rows], n_classes, name, rows)
        return checked
    return _check_values(P, n_classes, name, range(n_samples))


def as_float64(values, name, shape):
    """Convert probabilities to a float64 array; say what is wrong if that fails."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} must be an array of probabilities of shape {shape}, got "
            f"{type(values).__name__} that does not convert to float. Pass the output "
            "of the teacher's predict_proba."
        ) from error


def check_codes(codes, *, n_samples, n_classes):
    """Check the columns of the labels and return them as an array of integers.

    Parameters
    ----------
    codes : array-like of int of shape (n_samples,)
        Column of each row's label.

    n_samples, n_classes : int
        Their number, and how many columns there are.

    Returns
    -------
    codes : ndarray of intp of shape (n_samples,)

    Raises
    ------
    TypeError
        If they are not integers.

    ValueError
        If the shape differs, or a code is no column.
    """
    codes = np.asarray(codes)
    if codes.shape != (n_samples,):
        raise ValueError(
            f"codes must have shape (n_samples,) = ({n_samples},), got "
            f"{codes.shape!r}. Pass one code for each row of the probabilities."
        )
    if codes.dtype.kind not in "iu":
        raise TypeError(
            "codes must be integers, the column of each row's label, got "
            f"{codes.dtype} (first: {codes.tolist()[0]!r}). Turn labels into codes by "
            "np.searchsorted(classes, y), and leave rows without a label out."
        )
    bad = np.flatnonzero((codes < 0) | (codes >= n_classes))
    if bad.size:
        raise ValueError(
            f"codes must lie between 0 and {n_classes - 1}, a column of the "
            f"probabilities each, got {int(codes[bad[0]])!r} in row {bad[0]}. Turn "
            "labels into codes by np.searchsorted(classes, y)."
        )
    return codes.astype(np.intp, copy=False)


def check_labelled(P, codes, weight):
    """Check probabilities, labels and weights; leave rows of weight zero out.

    Parameters
    ----------
    P : array-like of shape (n_samples, n_classes)
        Probabilities.

    codes : array-like of int of shape (n_samples,)
        Column of each row's label.

    weight : array-like of shape (n_samples,) or None
        Weights of the rows.

    Returns
    -------
    P, codes, weight : ndarray
        The rows that count; None where there are no weights.

    Raises
    ------
    ValueError
        If they contradict each other, `P` does not hold probabilities, or no row
        counts.

    TypeError
        If `codes` are not integers.
    """
    P = as_float64(P, "P", "(n_samples, n_classes)")
    if P.ndim != 2 or not P.size:
        raise ValueError(
            "P must have shape (n_samples, n_classes), with one row at least, got "
            f"{P.shape!r}. Two classes have two columns: np.column_stack([1 - p, p])."
        )
    # Checked only: rows that sum to 1 stay what they are to the last bit.
    check_soft_targets(P, n_samples=len(P), n_classes=P.shape[1], name="P")
    codes = check_codes(codes, n_samples=len(P), n_classes=P.shape[1])
    if weight is None:
        return P, codes, None
    weight = check_sample_weight(weight, P)
    counts = weight > 0
    if not counts.any():
        raise ValueError(
            "sample_weight must be greater than 0 in one row at least, got none in "
            f"{len(P)} rows. Pass None to weight all rows alike."
        )
    return P[counts], codes[counts], weight[counts]


def _check_values(P, n_classes, name, rows):
    """Check finite values, and return both columns of normalised ones.

    `rows` holds the number of each row in what the user gave.
    """
    low, high = P.min(initial=0.0), P.max(initial=1.0)
    if low < -ROW_SUM_TOLERANCE or high > 1 + ROW_SUM_TOLERANCE:
        bad = float(low if low < -ROW_SUM_TOLERANCE else high)
        row = int(rows[np.flatnonzero((bad == P).any(axis=1))[0]])
        raise ValueError(
            f"{name} must lie between 0 and 1, got {bad!r} in row {row}. Pass "
            "probabilities, not scores or log-probabilities: scipy.special.softmax "
            "turns scores into probabilities, a division by the row sums turns counts "
            "into them."
        )
    P = np.clip(P, 0.0, 1.0)
    if P.shape[1] < n_classes:  # the second of two classes
        return np.column_stack([1.0 - P, P])
    total = P.sum(axis=1, keepdims=True)
    off = np.abs(total - 1.0).ravel()
    if off.max(initial=0.0) > ROW_SUM_TOLERANCE:
        worst = int(off.argmax())
        raise ValueError(
            f"{name} must sum to 1 in each row (within {ROW_SUM_TOLERANCE}), got "
            f"{float(total[worst, 0])!r} in row {int(rows[worst])}. Divide each row by "
            "its sum if the values are unnormalised probabilities."
        )
    P /= total
    return P


def align_columns(P, from_classes, to_classes):
    """Reorder columns from one list of classes to another, by label.

    Parameters
    ----------
    P : ndarray of shape (n_samples, len(from_classes))
        Probabilities.

    from_classes, to_classes : ndarray
        Labels of the columns of `P` and of the result. Every label of `from_classes`
        must stand in `to_classes`; other labels of `to_classes` get zeros.

    Returns
    -------
    P : ndarray of shape (n_samples, len(to_classes))

    Raises
    ------
    ValueError
        If `from_classes` has a label that `to_classes` lacks.
    """
    if np.array_equal(from_classes, to_classes):
        return P
    position = {label: k for k, label in enumerate(np.asarray(to_classes).tolist())}
    labels = np.asarray(from_classes).tolist()
    if not position.keys() >= set(labels):
        raise ValueError(
            f"The classes of the probabilities must be among {list(position)!r}, got "
            f"{labels!r}. Give labels of the same set and type on both sides."
        )
    aligned = np.zeros((P.shape[0], len(position)), dtype=P.dtype)
    aligned[:, [position[label] for label in labels]] = P
    return aligned
