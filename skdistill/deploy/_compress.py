"""compress: the same student in fewer bytes, with the teacher's targets in the loop."""

import copy
from numbers import Integral, Real

import numpy as np
from scipy.special import softmax
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skdistill._compat import num_samples
from skdistill.deploy._fine_tuning import fine_tune
from skdistill.deploy._pruning import prune_units, split_first_layer, weight_bytes
from skdistill.deploy._weights import check_quantize, store
from skdistill.metrics import model_size
from skdistill.soft_targets import (
    check_soft_targets,
    log_loss_rows,
    teacher_probabilities,
)
from skdistill.students._mlp import MLPStudent
from skdistill.students._net_student import ACTIVATIONS

#: Share of the rows that are held out to judge each step, and the fewest that can.
HELD_OUT, MIN_HELD_OUT = 0.2, 50
#: Each round takes away at most this share of the bytes of the weights.
LARGEST_CUT = 0.4


def compress(
    model,
    X,
    *,
    max_bytes,
    y=None,
    soft_targets=None,
    quantize="int8",
    max_loss_increase=0.01,
    n_steps=5000,
    random_state=None,
):
    """Make a fitted MLPStudent smaller, step by step, until its file fits.

    First its weights are rounded as the file will store them. While the file is too
    large, rounds follow, each of which takes away up to 40 % of the bytes: units are
    pruned from the hidden layers, or the first layer is split into two narrow ones,
    whichever does better once it was trained on (for int8 with the rounding in the loop
    [1]_). A step is kept only if the loss on held-out rows stays within
    `max_loss_increase` of the student's own.

    Parameters
    ----------
    model : MLPStudent or DistilledClassifier
        Fitted. It is left as it is.

    X : array-like or data frame of shape (n_samples, n_features)
        Rows to train and to judge on, a fifth of them held out; labels are not needed.
        The more the better, and best such as the teacher was not fitted on.

    max_bytes : int
        Size that the ONNX file of the result must not exceed, its metadata included.

    y : array-like of shape (n_samples,), default=None
        Labels. With them held-out losses are log-losses to the labels; without them
        cross-entropies to the soft targets.

    soft_targets : array-like of shape (n_samples, n_classes), default=None
        Probabilities of the teacher for X, columns in the order of the model's
        `classes_`. None asks the teacher of a DistilledClassifier, which must have one,
        and calibrates its answers; for a student alone, its own answers are the
        targets.

    quantize : {"int8", "float16", None}, default="int8"
        How the file stores weights: pass the same to
        :func:`~skdistill.deploy.export_onnx`.

    max_loss_increase : float, default=0.01
        How much the held-out loss may grow in all, in nats.

    n_steps : int, default=5000
        Gradient steps after each change.

    random_state : int, RandomState instance or None, default=None
        Seed of the held-out rows and of training.

    Returns
    -------
    student : MLPStudent
        Its weights are what the file will hold, rounding included, so that file and
        student answer alike. `compression_` lists the steps: a dict of arrays "step",
        "hidden_layer_sizes", "bytes", "loss" (held out, in nats) and "kept".

    Raises
    ------
    TypeError
        If the model holds no MLPStudent.

    ValueError
        If there are too few rows, or a parameter is out of range.

    CompressionError
        If no step within `max_loss_increase` leads to `max_bytes`: a ValueError that
        has the smallest student that holds as `student`.

    References
    ----------
    .. [1] Jacob et al., "Quantization and training of neural networks for efficient
       integer-arithmetic-only inference", CVPR 2018.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skdistill import MLPStudent
    >>> from skdistill.deploy import compress
    >>> X, y = load_digits(return_X_y=True)
    >>> student = MLPStudent((32,), max_steps=300, random_state=0).fit(X, y)
    >>> small = compress(student, X, max_bytes=5_000, n_steps=200, random_state=0)
    >>> small.hidden_layer_sizes[0] < 32
    True
    """
    student = _student_of(model)
    check_quantize(quantize)
    _check_numbers(max_bytes, max_loss_increase, n_steps)
    P = _targets(model, student, X, soft_targets)
    codes = None if y is None else _codes(y, student.classes_, len(P))
    rng = check_random_state(random_state)
    work = _Workshop(student, X, P, codes, quantize, n_steps, rng)
    return work.run(max_bytes, max_loss_increase)


class CompressionError(ValueError):
    """No step within the allowed loss leads to the bytes that were asked for.

    Attributes
    ----------
    student : MLPStudent
        The smallest that is within the allowed loss.
    """

    def __init__(self, message, student=None):
        super().__init__(message)
        self.student = student


class _Workshop:
    """Rows, targets and settings that all steps share, and the steps taken."""

    def __init__(self, student, X, P, codes, quantize, n_steps, rng):
        self.student, self.quantize, self.n_steps = student, quantize, n_steps
        self.seed = int(rng.randint(2**31 - 1))
        order = rng.permutation(len(P))
        n_held = int(HELD_OUT * len(P))
        if n_held < MIN_HELD_OUT:
            raise ValueError(
                f"X must have at least {int(MIN_HELD_OUT / HELD_OUT)} rows, a fifth of "
                f"which judges each step, got {len(P)}. Pass more rows; they need no "
                "labels."
            )
        Z = student._encode(student._check_rows(X, reset=False))
        held, train = order[:n_held], order[n_held:]
        self.train, self.held = (Z[train], P[train]), (Z[held], P[held])
        self.held_codes = None if codes is None else codes[held]
        self.act = ACTIVATIONS[student.activation]
        self.steps = []

    def run(self, max_bytes, max_loss_increase):
        """Take steps until the file fits."""
        student = self._with((self.student.coefs_, self.student.intercepts_))
        allowed = self._loss(student) + max_loss_increase
        size = self._note("as fitted", student, None, kept=True)
        step, smaller = self._rounded_student(allowed)
        while smaller is not None:
            kept = self._loss(smaller) <= allowed
            n_bytes = self._note(step, smaller, self.quantize, kept=kept)
            if not kept:
                break
            student, size = smaller, n_bytes
            if size <= max_bytes:
                return self._with_steps(student)
            step, smaller = self._smaller(student, size - max_bytes)
        raise CompressionError(
            f"max_bytes must be within reach at a held-out loss of {allowed:.4f} nats "
            f"(max_loss_increase={max_loss_increase!r}), got {max_bytes!r}; the "
            f"smallest student that holds takes {size} bytes. It is this error's "
            "`student`. Allow more bytes or more loss.",
            self._with_steps(student),
        )

    def _rounded_student(self, allowed):
        """Return the student as the file stores it, trained on where that costs."""
        name = f"weights in {self.quantize or 'float32'}"
        layers = self.student.coefs_, self.student.intercepts_
        student = self._rounded(layers)
        if self._loss(student) <= allowed:
            return name, student
        return f"{name}, trained on", self._tuned(layers)

    def _smaller(self, student, excess):
        """Return a way to the next size and the student; None where there is none."""
        layers = student.coefs_, student.intercepts_
        now = weight_bytes(*layers, self.quantize)
        target = max(now - excess, (1.0 - LARGEST_CUT) * now)
        asked = (self.train[0], target, self.quantize)
        ways = {"units pruned": prune_units(*layers, *asked, act=self.act)}
        if student.activation == "relu":
            ways["first layer split"] = split_first_layer(*layers, *asked)
        tuned = {
            name: self._tuned(way)
            for name, way in ways.items()
            if way is not None and weight_bytes(*way, self.quantize) < now
        }
        if not tuned:
            return "", None
        return min(tuned.items(), key=lambda way: self._loss(way[1]))

    def _tuned(self, layers):
        layers = fine_tune(
            self.student, *layers, self.train, self.held, n_steps=self.n_steps,
            rounded=self.quantize == "int8", seed=self.seed,
        )  # fmt: skip
        return self._rounded(layers)

    def _rounded(self, layers):
        coefs, intercepts = layers
        coefs = [store(coef, self.quantize).values for coef in coefs]
        return self._with((coefs, [as_float32(bias) for bias in intercepts]))

    def _loss(self, student):
        """Mean loss on held-out rows in nats."""
        Z, P = self.held
        Q = softmax(student._two_sided(student._logits(Z)), axis=1)
        if self.held_codes is not None:
            return float(log_loss_rows(Q, self.held_codes).mean())
        return float(-(P * np.log(np.maximum(Q, 1e-15))).sum(axis=1).mean())

    def _with(self, layers):
        """Return the student with other layers."""
        student = copy.copy(self.student)
        student.__dict__.pop("net_", None)
        student.coefs_, student.intercepts_ = layers
        student.hidden_layer_sizes = tuple(c.shape[1] for c in layers[0][:-1])
        student._set_quick()
        return student

    def _note(self, step, student, quantize, *, kept):
        """Write a step down, and return the bytes of the file."""
        n_bytes = file_bytes(student, quantize)
        sizes = "-".join(map(str, student.hidden_layer_sizes))
        self.steps.append((step, sizes, n_bytes, self._loss(student), kept))
        return n_bytes

    def _with_steps(self, student):
        names = ("step", "hidden_layer_sizes", "bytes", "loss", "kept")
        columns = zip(*self.steps, strict=True)
        student.compression_ = {
            name: np.asarray(column)
            for name, column in zip(names, columns, strict=True)
        }
        return student


def as_float32(values):
    """Round numbers to float32, in float64."""
    return values.astype(np.float32).astype(np.float64)


def file_bytes(student, quantize):
    """Size of the ONNX file of a student."""
    return model_size(student, format=f"onnx-{quantize}" if quantize else "onnx")


# -- what comes in ---------------------------------------------------------------------


def _student_of(model):
    student = getattr(model, "student_", model)
    if not isinstance(student, MLPStudent):
        raise TypeError(
            "model must be a fitted MLPStudent or a DistilledClassifier with one, got "
            f"{type(student).__name__}. A LogisticStudent is small already: "
            "export_onnx(model, path, quantize='int8') stores its weights in a byte "
            "each; a tree is made smaller by max_leaf_nodes."
        )
    check_is_fitted(student)
    return student


def _check_numbers(max_bytes, max_loss_increase, n_steps):
    if not isinstance(max_bytes, Integral) or max_bytes < 1:
        raise ValueError(f"max_bytes must be a number of bytes, got {max_bytes!r}.")
    if not isinstance(max_loss_increase, Real) or not max_loss_increase >= 0:
        raise ValueError(
            "max_loss_increase must be a number of nats, at least 0, got "
            f"{max_loss_increase!r}."
        )
    if not isinstance(n_steps, Integral) or n_steps < 1:
        raise ValueError(f"n_steps must be at least 1, got {n_steps!r}.")


def _targets(model, student, X, soft_targets):
    """Return soft targets for X: given, the teacher's, or the student's own."""
    if soft_targets is not None:
        return check_soft_targets(
            soft_targets, n_samples=num_samples(X), n_classes=len(student.classes_)
        )
    teacher = getattr(model, "teacher_", None)
    if model is student:
        return student.predict_proba(X)
    if teacher is None:
        raise ValueError(
            "soft_targets must be given for a model that was fitted without a teacher, "
            "got None. Pass the teacher's probabilities for X, or the student alone: "
            "compress(model.student_, ...)."
        )
    P = teacher_probabilities(teacher, X, classes=student.classes_)
    return model.calibration_(P)


def _codes(y, classes, n_rows):
    y = np.asarray(y)
    codes = np.searchsorted(classes, y)
    codes = np.minimum(codes, len(classes) - 1)
    if y.shape != (n_rows,) or not np.array_equal(classes[codes], y):
        raise ValueError(
            f"y must hold one label out of {classes.tolist()!r} for each of the "
            f"{n_rows} rows, got shape {y.shape!r} with other labels or another length."
        )
    return codes
