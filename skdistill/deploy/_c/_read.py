"""From a fitted model to a program, and rows as the program takes them."""

import warnings
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from scipy.special import softmax
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    RobustScaler,
    StandardScaler,
)
from sklearn.utils.validation import check_is_fitted

from skdistill._distilled import DistilledClassifier
from skdistill._frames import as_frame, to_float
from skdistill.deploy._c._program import (
    FAR,
    LARGEST,
    Category,
    Inputs,
    Interface,
    Layer,
    Net,
    split_float,
)
from skdistill.deploy._c._trees import TREES, read_trees
from skdistill.students._adapter import SoftStudentAdapter
from skdistill.students._logistic import LogisticStudent
from skdistill.students._mlp import MLPStudent
from skdistill.students._table import TINY

_SCALERS = (StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler)


@dataclass(frozen=True)
class Source:
    """A fitted model, taken apart.

    Parameters
    ----------
    model : classifier
        As the user gave it.

    student : estimator
        The innermost: our own students know how to answer categories by their codes.

    interface : Interface

    program : Net or Trees

    factor : float
        By which the student's logits are multiplied: 1 but for linear students that
        learnt at a temperature.

    reach : float
        Magnitude of the numbers up to which the program has to follow the model: sums
        of linear inputs, and scaled numbers, run out of single precision beyond it.
    """

    model: object
    student: object
    interface: Interface
    program: object
    factor: float
    reach: float

    def rows(self, X):
        """Rows as the C function takes them: float32, codes for categories."""
        frame = None if isinstance(X, np.ndarray) else as_frame(X)
        if self.interface.categories:
            return self._coded(X, frame)
        X = X.toarray() if sparse.issparse(X) else X
        if frame is not None:
            X = np.column_stack([to_float(column) for column in frame.iter_columns()])
        with np.errstate(over="ignore"):
            return np.asarray(X, dtype=np.float64).astype(np.float32)

    def _coded(self, X, frame):
        if frame is None:
            raise TypeError(
                "X must be a data frame, as the model was fitted on one with "
                f"categories, got {type(X).__name__}. Pass rows as in fit."
            )
        encoder = self.student.encoder_
        encoded = encoder.transform(frame)
        rows = np.empty((len(encoded), self.interface.n_features), dtype=np.float32)
        rows[:, encoder.numeric_] = encoder._numeric_values(frame)
        end = encoded.shape[1]
        for category in reversed(self.interface.categories):
            block = encoded[:, end - category.n_codes : end]
            known = block.any(axis=1)
            rows[:, category.position] = np.where(known, block.argmax(axis=1), -1)
            end -= category.n_codes
        return rows

    def answers(self, rows):
        """Probabilities of the fitted model for rows as the C function takes them."""
        if not self.interface.categories:
            # Checks of scikit-learn sum up rows, and hostile ones are huge.
            huge = np.errstate(over="ignore", invalid="ignore")
            with warnings.catch_warnings(), huge:
                # Fitted on a frame of numbers: the positions are the same.
                warnings.filterwarnings("ignore", message="X does not have valid feat")
                return self.model.predict_proba(rows.astype(np.float64))
        encoder = self.student.encoder_
        levels = [
            [_level(category, code) for code in rows[:, category.position]]
            for category in self.interface.categories
        ]
        values = rows[:, encoder.numeric_].astype(np.float64)
        z = self.factor * self.student._logits(encoder.encode(values, levels))
        return softmax(np.c_[np.zeros(len(z)), z] if z.shape[1] == 1 else z, axis=1)


def code_of(category, values):
    """Whole codes of floats: -1 for what is no code, as the C function has it."""
    known = (values >= 0) & (values < category.n_codes)
    known &= values == np.floor(values)
    codes = np.where(known, values, -1).astype(np.intp)
    return np.where(np.isnan(values), category.missing, codes)


class _Unseen:
    """A level that no model knows."""


def _level(category, value):
    code = code_of(category, np.array([value]))[0]
    if code < 0:
        return _Unseen
    return [*category.levels, *category.infrequent[:1]][code]


def read_model(model):
    """Take a fitted model apart.

    Parameters
    ----------
    model : classifier
        A student, a Pipeline that ends in one, or a DistilledClassifier.

    Returns
    -------
    source : Source

    Raises
    ------
    TypeError
        If there is no C for a part of the model.

    NotFittedError
        If it is not fitted.
    """
    check_is_fitted(model)
    inner, scalers, adapter = model, [], None
    while True:
        if isinstance(inner, DistilledClassifier):
            inner = inner.student_
        elif isinstance(inner, FrozenEstimator):
            inner = inner.estimator
        elif hasattr(inner, "best_estimator_"):
            inner = inner.best_estimator_
        elif isinstance(inner, SoftStudentAdapter):
            adapter, inner = inner, inner.estimator_
        elif isinstance(inner, Pipeline):
            scalers += [step for _, step in inner.steps[:-1] if _does_something(step)]
            inner = inner.steps[-1][1]
        else:
            break
    scaling = _joint_scaling(scalers, inner)
    factor = _factor_of(inner, adapter)
    if factor is not None:
        program, categories = _read_net(inner, scaling, factor)
        allow_nan = inner.encoder_ is not None
    elif isinstance(inner, TREES):
        program, categories = read_trees(inner, adapter, scaling), ()
        allow_nan = bool(model.__sklearn_tags__().input_tags.allow_nan)
    else:
        raise TypeError(
            "model must be an MLPStudent, a LogisticStudent, a decision tree or a "
            "forest of them, alone, behind scalers in a Pipeline, or in a "
            f"DistilledClassifier, got {_described(inner, adapter)}. Distil to one of "
            "these, or use export_onnx."
        )
    names = getattr(model, "feature_names_in_", None)
    interface = Interface(
        n_features=model.n_features_in_,
        feature_names=None if names is None else names.tolist(),
        classes=np.asarray(model.classes_).tolist(),
        categories=categories,
        allow_nan=allow_nan,
    )
    is_linear = isinstance(program, Net) and program.inputs.kind == "linear"
    reach = 1e15 if is_linear or scaling is not None else LARGEST
    return Source(model, inner, interface, program, factor or 1.0, reach)


def _factor_of(inner, adapter):
    """By what the logits of our own students are multiplied, or None for others."""
    if not isinstance(inner, MLPStudent | LogisticStudent):
        return None
    if adapter is None:
        return 1.0
    # What it adds are the classes that its classifier has not met.
    is_whole = len(inner.classes_) == len(adapter.classes_)
    return adapter.temperature_ if adapter.kind_ == "classifier" and is_whole else None


def _described(inner, adapter):
    name = type(inner).__name__
    return name if adapter is None else f"{name} that answers {adapter.kind_}"


# -- scalers ---------------------------------------------------------------------------


def _does_something(step):
    return step is not None and not isinstance(step, str)


def _joint_scaling(scalers, inner):
    """Centre and rate of all scalers together: they give ``(x - centre) * rate``."""
    if not scalers:
        return None
    center, rate = 0.0, 1.0
    for step in scalers:
        if type(step) not in _SCALERS or getattr(step, "clip", False):
            clipping = ", clip=True" if getattr(step, "clip", False) else ""
            raise TypeError(
                "Steps before the student must be among "
                f"{[kind.__name__ for kind in _SCALERS]!r}, without clipping, got "
                f"{type(step).__name__}{clipping}. Our students scale by themselves; "
                "use export_onnx for other steps."
            )
        own_center, own_rate = _scaling_of(step)
        center, rate = center + own_center / rate, rate * own_rate
    n_features = scalers[0].n_features_in_
    return np.broadcast_to(center, n_features), np.broadcast_to(rate, n_features)


def _scaling_of(step):
    if isinstance(step, MinMaxScaler):
        return -step.min_ / step.scale_, step.scale_
    center = getattr(step, "mean_", None)
    if isinstance(step, StandardScaler) and not step.with_mean:
        center = None
    if isinstance(step, RobustScaler):
        center = step.center_
    scale = step.scale_
    return (
        0.0 if center is None else center,
        1.0 if scale is None else 1.0 / scale,
    )


# -- nets ------------------------------------------------------------------------------


def _read_net(student, scaling, factor):
    if isinstance(student, MLPStudent):
        layers = list(zip(student.coefs_, student.intercepts_, strict=True))
        activation = student.activation
    else:
        bias = np.broadcast_to(student.intercept_, len(student.coef_))
        layers, activation = [(student.coef_.T, bias)], "identity"
    *inner, (last, bias) = layers
    layers = [*inner, (factor * last, factor * bias)]
    (weights, bias), encoder = layers[0], student.encoder_
    inputs, offset = _inputs_of(encoder, student.n_features_in_, scaling)
    # What the encoder subtracts from its columns moves into the first intercepts.
    layers[0] = weights, bias + offset @ weights[: len(offset)]
    if inputs.kind == "linear":
        inputs = replace(inputs, bound=_sound_bound(layers))
    layers = tuple(
        Layer(np.asarray(W, dtype=np.float32), np.asarray(b, dtype=np.float32))
        for W, b in layers
    )
    return Net(inputs, layers, activation), _categories_of(encoder)


def _inputs_of(encoder, n_features, scaling):
    """Inputs, and what has to be added to the columns that they give."""
    if encoder is None:
        center, rate, columns = np.zeros(n_features), None, np.arange(n_features)
    else:
        center, rate, columns = encoder.center_, encoder.rate_, encoder.numeric_
    columns = np.asarray(columns, dtype=np.intp)
    outer = np.zeros(len(columns)), np.ones(len(columns))
    if scaling is not None:
        outer = tuple(part[columns] for part in scaling)
    kind = "linear"
    if encoder is not None and encoder.scaling == "piecewise":
        kind = "bins"
    elif encoder is not None and encoder.clip_ is not None:
        kind = "smooth"
    own_rate = rate if kind == "smooth" else np.ones(len(columns))
    inputs = Inputs(
        kind=kind,
        columns=columns,
        center=split_float(outer[0] + center / outer[1]),
        rate=_single(own_rate * outer[1]),
        bound=FAR,
        indicator=_indicator_rows(encoder, len(columns)),
        clip=encoder.clip_ if kind == "smooth" else None,
    )
    if kind == "bins":
        return _with_bins(inputs, encoder, outer), -encoder.bin_mean_
    return inputs, center if kind == "linear" else np.zeros(0)


def _with_bins(inputs, encoder, outer):
    center, rate = (part[encoder.bin_column_] for part in outer)
    count = np.bincount(encoder.bin_column_, minlength=len(inputs.columns))
    return replace(
        inputs,
        start=np.concatenate([[0], np.cumsum(count)]),
        low=split_float(center + encoder.bin_low_ / rate),
        bin_rate=_single(encoder.bin_rate_ * rate),
    )


def _indicator_rows(encoder, n_columns):
    rows = np.full(n_columns, -1)
    if encoder is not None and encoder.indicators_:
        rows[encoder.indicators_] = _n_scaled(encoder) + np.arange(
            len(encoder.indicators_)
        )
    return rows


def _categories_of(encoder):
    if encoder is None:
        return ()
    categories, row = [], _n_scaled(encoder) + len(encoder.indicators_)
    for position, own, shared in zip(
        encoder.categorical_, encoder.categories_, encoder.infrequent_, strict=True
    ):
        categories.append(Category(position, own, shared, row))
        row += categories[-1].n_codes
    return tuple(categories)


def _n_scaled(encoder):
    is_binned = encoder.scaling == "piecewise"
    return len(encoder.bin_low_) if is_binned else len(encoder.numeric_)


def _sound_bound(layers):
    """Bound of linear inputs that keeps all sums finite in single precision."""
    gain = np.ones(1)
    for weights, _ in reversed(layers):
        gain = np.abs(weights) @ np.broadcast_to(gain, weights.shape[1])
    return min(LARGEST, 0.1 * LARGEST / max(float(gain.sum()), TINY))


def _single(values):
    return np.clip(values, -LARGEST, LARGEST).astype(np.float32)
