"""What a student kept of its teacher's score."""

import numpy as np


def retention(student, teacher, *, greater_is_better=True):
    """Part of a teacher's score that its student keeps.

    Student over teacher for scores, teacher over student for losses: 1 is parity, more
    means that the student is better.

    Parameters
    ----------
    student, teacher : float or array-like
        Scores of the same kind on the same rows; arrays of one shape for several
        tables or splits.

    greater_is_better : bool, default=True
        False for losses.

    Returns
    -------
    retention : float or ndarray
        NaN where it is undefined: where a score is negative or the divisor is 0.

    Examples
    --------
    >>> from skdistill.metrics import retention
    >>> retention(0.95, 1.0)
    0.95
    """
    student, teacher = _check_scores(student=student, teacher=teacher)
    part, whole = (student, teacher) if greater_is_better else (teacher, student)
    return _divide(part, whole, (part >= 0) & (whole > 0))


def gap_closed(plain, student, teacher, *, greater_is_better=True):
    """Part of the way from the plain student to the teacher that distillation went.

    ``(student - plain) / (teacher - plain)``: 0 means no better than labels alone, 1 as
    good as the teacher, more means better than it, less than 0 means harm.

    Parameters
    ----------
    plain, student, teacher : float or array-like
        Scores of the same student fitted on labels, of the distilled student, and of
        the teacher; arrays of one shape for several tables or splits.

    greater_is_better : bool, default=True
        False for losses.

    Returns
    -------
    gap_closed : float or ndarray
        NaN where it is undefined: where the teacher is no better than the plain
        student, there is no gap to close.

    Examples
    --------
    >>> from skdistill.metrics import gap_closed
    >>> round(gap_closed(plain=0.90, student=0.94, teacher=0.95), 4)
    0.8
    >>> gap_closed(plain=0.95, student=0.96, teacher=0.95)
    nan
    """
    plain, student, teacher = _check_scores(
        plain=plain, student=student, teacher=teacher
    )
    sign = 1 if greater_is_better else -1
    gap = sign * (teacher - plain)
    return _divide(sign * (student - plain), gap, gap > 0)


def _check_scores(**scores):
    arrays = {
        name: np.asarray(value, dtype=np.float64) for name, value in scores.items()
    }
    if len({array.shape for array in arrays.values()}) > 1:
        shapes = {name: array.shape for name, array in arrays.items()}
        raise ValueError(
            f"{', '.join(scores)} must be numbers or arrays of one shape, got shapes "
            f"{shapes!r}. Give one score for each table or split."
        )
    return arrays.values()


def _divide(part, whole, defined):
    ratio = np.divide(part, whole, out=np.full(part.shape, np.nan), where=defined)
    return ratio if ratio.ndim else float(ratio)
