"""Proof, before a file is kept, that it answers as the fitted model does."""

import hashlib
import warnings
from dataclasses import dataclass
from numbers import Real

import numpy as np

from skdistill._frames import as_frame, to_float

#: Rows that are asked one by one, and compared bit for bit to their batch.
N_ALONE = 200


@dataclass(frozen=True)
class Answers:
    """What a file answered, and what it should have.

    Parameters
    ----------
    labels, P : ndarray
        Of the file.

    expected : ndarray of shape (n_samples, n_classes)
        Of the fitted model.
    """

    labels: np.ndarray
    P: np.ndarray
    expected: np.ndarray

    @classmethod
    def join(cls, parts):
        """Put answers to several sets of rows one behind the other."""
        fields = ("labels", "P", "expected")
        return cls(*(np.concatenate([getattr(p, f) for p in parts]) for f in fields))

    @property
    def differences(self):
        """Largest difference of each row."""
        return np.abs(self.P - self.expected).max(axis=1)

    @property
    def max_difference(self):
        """Largest difference of all; infinite where an answer is no number."""
        worst = self.differences.max()
        return float(worst) if np.isfinite(worst) else np.inf

    @property
    def fingerprint(self):
        """SHA-256 of the file's probabilities, as hex digits."""
        P = np.ascontiguousarray(self.P, dtype="<f4")
        return hashlib.sha256(P.tobytes()).hexdigest()


def open_session(data):
    """Open the bytes of a file in ONNX Runtime, on one thread.

    Raises
    ------
    ValueError
        If it has no way to run the graph.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is raised, too
    try:
        return onnxruntime.InferenceSession(
            data, options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # its errors have no class in common but this one
        raise ValueError(
            "The model must be written in operators that ONNX Runtime has, got: "
            f"{' '.join(str(error).split())[:300]}. Choose another kind of student."
        ) from error


def feeds_of(X, inputs, missing):
    """Bring rows into the form of a file's inputs.

    Parameters
    ----------
    X : ndarray or data frame of shape (n_samples, n_features)

    inputs : list of dict
        Name, dtype and columns of each, as in the metadata.

    missing : dict of str to str
        For each input of text what stands for a missing cell.

    Returns
    -------
    feeds : dict of str to ndarray
    """
    frame, feeds = as_frame(X), {}
    for entry in inputs:
        name, dtype, columns = entry["name"], entry["dtype"], entry["columns"]
        if frame is None:
            feeds[name] = np.asarray(X)[:, columns].astype(dtype)
            continue
        series = [frame.get_column(frame.columns[i]) for i in columns]
        if dtype == "string":
            cells = [_texts(column, missing[name]) for column in series]
            feeds[name] = np.array(cells, dtype=object).T
        else:
            cells = [_numbers(column) for column in series]
            feeds[name] = np.column_stack(cells).astype(dtype)
    return feeds


def _numbers(series):
    return series.to_numpy() if series.dtype.is_numeric() else to_float(series)


def _texts(series, missing):
    nulls = series.is_null().to_list()
    return [
        missing if gone or value != value else _text(value)
        for value, gone in zip(series.to_list(), nulls, strict=True)
    ]


def _text(value):
    if isinstance(value, np.generic):
        value = value.item()
    return repr(float(value) + 0.0) if isinstance(value, Real) else str(value)


def ask(session, feeds, expected):
    """Answer rows by a session.

    Parameters
    ----------
    session : onnxruntime.InferenceSession

    feeds : dict of str to ndarray

    expected : ndarray of shape (n_samples, n_classes)
        Probabilities of the fitted model.

    Returns
    -------
    answers : Answers

    Raises
    ------
    ValueError
        If the graph does not run.
    """
    try:
        labels, P = session.run(["label", "probabilities"], feeds)
    except Exception as error:  # onnxruntime's own have no common base
        reason = " ".join(str(error).split())[-200:]
        raise ValueError(
            "The model cannot be written as ONNX: its graph does not run, onnxruntime "
            f"says {reason!r}. Take a student, or steps, that skl2onnx supports."
        ) from error
    return Answers(np.asarray(labels), P.astype(np.float64), expected)


def predicted(model, X):
    """Probabilities of a fitted model as float64, in silence."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(model.predict_proba(X), dtype=np.float64)


def predicted_labels(model, X):
    """Labels of a fitted model as a list, in silence."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(model.predict(X)).tolist()


def check_answers(answers, expected_labels, X, tolerance):
    """Refuse answers that differ from the fitted model's.

    Parameters
    ----------
    answers : Answers

    expected_labels : ndarray of shape (n_samples,)
        `predict` of the fitted model, as the file would give them.

    X : array-like
        Rows, for the message.

    tolerance : float
        Largest difference of a probability.

    Raises
    ------
    ValueError
        If a probability differs by more, or a label differs where the two largest
        probabilities are further apart than the tolerance allows.
    """
    worst = answers.max_difference
    if not worst <= tolerance:
        row = int(np.argmax(np.nan_to_num(answers.differences, nan=np.inf)))
        raise ValueError(
            f"The exported model must answer as the fitted one within {tolerance:g}, "
            f"got {answers.P[row].tolist()!r} in place of "
            f"{answers.expected[row].tolist()!r} for row {shown_row(X, row)}."
        )
    top = np.sort(answers.expected, axis=1)
    clear = top[:, -1] - top[:, -2] > 2 * tolerance if top.shape[1] > 1 else True
    wrong = (answers.labels != expected_labels) & clear
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            "predict of the fitted model must be its most probable class, as it is in "
            f"the file, got {expected_labels[row]!r} where the file says "
            f"{answers.labels[row]!r} for row {shown_row(X, row)}. Put a "
            "CalibratedClassifierCV around the model."
        )


def check_alone(session, feeds, answers):
    """Refuse a graph in which a row's answer depends on its batch.

    Parameters
    ----------
    session : onnxruntime.InferenceSession

    feeds : dict of str to ndarray

    answers : Answers
        To all rows at once.

    Raises
    ------
    ValueError
        With the first row that does not agree bit for bit.
    """
    n_rows = len(answers.P)
    for row in range(min(n_rows, N_ALONE)):
        alone = {name: values[row : row + 1] for name, values in feeds.items()}
        P = session.run(["probabilities"], alone)[0][0]
        if not np.array_equal(P, answers.P[row]):
            raise ValueError(
                "A row must get the same answer alone as in a batch, got "
                f"{P.tolist()!r} and {answers.P[row].tolist()!r} for row {row}. "
                "Choose another kind of student."
            )


def shown_row(X, row):
    """A row of X as text for a message."""
    frame = as_frame(X)
    if frame is not None:
        cells = {name: frame.get_column(name)[row] for name in frame.columns[:20]}
        return f"{row}, {cells!r}"
    if isinstance(X, list):
        return f"{row}, {X[row][:200]!r}"
    return f"{row}, {np.asarray(X)[row][:20].tolist()!r}"
