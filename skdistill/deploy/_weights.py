"""Weights in fewer bytes: pure functions of arrays, for all kinds of artefact."""

import copy
from dataclasses import dataclass

import numpy as np

#: Largest magnitude of a quantised weight: symmetric, so -128 is not used.
LARGEST = 127

#: Ways to store weights.
QUANTIZATIONS = (None, "float16", "int8")


def quantize_int8(W):
    """Round weights to whole multiples of one step for each output column.

    Parameters
    ----------
    W : ndarray of shape (n_in, n_out)
        Finite weights.

    Returns
    -------
    whole : ndarray of int8 of shape (n_in, n_out)
        Within -127 and 127; the weights are about ``whole * scale``.

    scale : ndarray of float32 of shape (n_out,)
        Step of each column: a 127th of its largest magnitude; 1 where all are zero.

    Notes
    -----
    Weights that are such multiples already come back unchanged.

    Examples
    --------
    >>> import numpy as np
    >>> from skdistill.deploy._weights import quantize_int8
    >>> whole, scale = quantize_int8(np.array([[1.0, 0.0], [-2.0, 0.5]]))
    >>> whole
    array([[  64,    0],
           [-127,  127]], dtype=int8)
    """
    W = np.asarray(W, dtype=np.float64)
    largest = np.abs(W).max(axis=0, initial=0.0)
    scale = (largest / LARGEST).astype(np.float32)
    scale[scale == 0] = 1.0
    whole = np.rint(W / scale.astype(np.float64))
    return np.clip(whole, -LARGEST, LARGEST).astype(np.int8), scale


@dataclass(frozen=True)
class StoredWeights:
    """A matrix of weights as a file keeps it.

    Parameters
    ----------
    stored : ndarray of shape (n_in, n_out)
        int8, float16, float32 or float64.

    scale : ndarray of float32 of shape (n_out,) or (n_in, 1) or None
        Factor of each column, or of each row; None stands for 1.
    """

    stored: np.ndarray
    scale: np.ndarray | None = None

    @property
    def values(self):
        """The weights that these bytes stand for, as float64."""
        values = self.stored.astype(np.float64)
        return values if self.scale is None else values * self.scale


def store(W, quantize, *, by_input=False):
    """Choose the bytes of a matrix of weights.

    Parameters
    ----------
    W : ndarray of shape (n_in, n_out)
        Weights.

    quantize : {"float64", "float32", "float16", "int8"} or None
        None keeps float32.

    by_input : bool, default=False
        Whether "int8" has one scale for each row, not for each column.

    Returns
    -------
    weights : StoredWeights

    Raises
    ------
    ValueError
        If a weight is too large for the type, or no number.
    """
    is_whole = quantize == "int8"
    dtype = np.dtype("float32" if is_whole else quantize or "float32")
    largest = np.abs(W).max(initial=0.0)
    if not largest <= np.finfo(dtype).max:
        raise ValueError(
            f"Weights must be at most {np.finfo(dtype).max:g} in magnitude to be "
            f"stored as {quantize or dtype.name}, got {largest:g}. Scale the columns "
            "of X before fitting, e.g. by a StandardScaler in a Pipeline."
        )
    if not is_whole:
        return StoredWeights(np.asarray(W).astype(dtype))
    if not by_input:
        return StoredWeights(*quantize_int8(W))
    whole, scale = quantize_int8(W.T)
    return StoredWeights(np.ascontiguousarray(whole.T), scale[:, np.newaxis])


def check_quantize(quantize):
    """Refuse what is no way to store weights.

    Raises
    ------
    ValueError
        If `quantize` is none of None, "float16" and "int8".
    """
    if quantize not in QUANTIZATIONS:
        raise ValueError(
            f"quantize must be one of {QUANTIZATIONS!r}, got {quantize!r}. None keeps "
            "float32 weights."
        )


# -- models ----------------------------------------------------------------------------


def stored_as(student):
    """How the weights of a student are to be stored; see `quantized`."""
    return getattr(student, "_stored_as", None)


def quantized(model, quantize):
    """Copy a model with the weights of our students in it rounded.

    Parameters
    ----------
    model : fitted estimator
        Holds an MLPStudent or LogisticStudent, at any depth.

    quantize : {None, "float16", "int8"}
        None gives the model itself.

    Returns
    -------
    rounded : fitted estimator
        Answers in float64, with exactly the weights that a file will have. Teachers are
        left out of the copy.

    Raises
    ------
    ValueError
        If there is no such student in it.
    """
    check_quantize(quantize)
    if quantize is None:
        return model
    rounded, shared = {}, {}
    _round_students(model, quantize, rounded, shared)
    if not rounded:
        raise ValueError(
            f"quantize={quantize!r} needs an MLPStudent or a LogisticStudent in the "
            f"model, got {type(model).__name__} without one. Leave quantize=None."
        )
    # What deepcopy finds in its memory it takes for copied already. A student that is
    # shared too, as the plain one where that was chosen, is rounded all the same.
    return copy.deepcopy(model, shared | rounded)


def _round_students(part, quantize, rounded, shared):
    """Collect, by identity, rounded copies of students, and what need not be copied."""
    kinds = {cls.__name__ for cls in type(part).__mro__}
    if kinds & {"MLPStudent", "LogisticStudent"}:
        if hasattr(part, "classes_") and id(part) not in rounded:
            rounded[id(part)] = _rounded(part, quantize)
        return
    if isinstance(part, dict):
        inner = list(part.values())
    elif isinstance(part, list | tuple):
        inner = part
    elif "student_" in getattr(part, "__dict__", ()):
        inner = [part.student_]
        others = [v for name, v in vars(part).items() if name != "student_"]
        shared.update((id(value), value) for value in others)  # the teacher
    elif "BaseEstimator" in kinds or hasattr(part, "predict_proba"):
        inner = list(vars(part).values())
    else:
        return
    for value in inner:
        _round_students(value, quantize, rounded, shared)


def takes_raw_numbers(student):
    """Tell whether a LogisticStudent's weights meet numbers as they come.

    Their magnitudes then differ as those of the columns do, by orders.
    """
    return student.encoder_ is None or student.encoder_.scaling is None


def _rounded(student, quantize):
    rounded = copy.copy(student)
    if hasattr(student, "coefs_"):
        rounded.coefs_ = [store(coef, quantize).values for coef in student.coefs_]
    else:
        by_input = takes_raw_numbers(student)
        coef = store(student.coef_.T, quantize, by_input=by_input).values.T
        rounded.coef_ = np.ascontiguousarray(coef)
        if by_input and student.encoder_ is not None:
            # In the middle of its columns the student answers as before.
            center = student.encoder_.center_
            lost = (student.coef_ - coef)[:, : len(center)] @ center
            rounded.intercept_ = student.intercept_ + lost
    rounded._stored_as = quantize
    return rounded
