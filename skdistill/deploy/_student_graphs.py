"""Our students as graphs: from the columns of a table to probabilities."""

import numpy as np

from skdistill.deploy._encoder_graph import cast, check_levels, encode
from skdistill.deploy._weights import store, stored_as, takes_raw_numbers
from skdistill.students._adapter import POWER_EPS
from skdistill.students._rows import mro_names

#: Operators of the hidden layers.
ACTIVATIONS = {"identity": None, "logistic": "Sigmoid", "tanh": "Tanh", "relu": "Relu"}


def is_ours(estimator):
    """Tell whether a student is written here, not by skl2onnx."""
    return _writer_of(estimator) is not None


def write(graph, estimator, ports):
    """Add a fitted student.

    Parameters
    ----------
    graph : Graph

    estimator : fitted student of a kind that `is_ours`

    ports : list of Port
        Where the columns of its rows are.

    Returns
    -------
    probabilities : str
        Tensor of shape (N, n_classes).
    """
    return _writer_of(estimator)(graph, estimator, ports)


def write_scores(graph, estimator, ports):
    """Add the decision function of a fitted student, one column a class.

    Two classes have the log-odds of the second with both signs.

    Returns
    -------
    scores : str
        Tensor of shape (N, n_classes).
    """
    names, factor = mro_names(estimator), 1.0
    while not names & {"MLPStudent", "LogisticStudent"}:
        if "SoftStudentAdapter" in names:
            factor *= estimator.temperature_
            estimator = estimator.estimator_
        elif "DistilledClassifier" in names:
            estimator = estimator.student_
        elif "FrozenEstimator" in names:
            estimator = estimator.estimator
        else:
            raise ValueError(
                "A classifier around a student must take its probabilities, or its "
                "decision function where it is an MLPStudent or a LogisticStudent, "
                f"got {type(estimator).__name__}. Export the student alone."
            )
        names = mro_names(estimator)
    z, dtype = _logits_of(graph, estimator, ports)
    if len(estimator.classes_) == 2:
        second = z
        if "MLPStudent" in names:
            difference = np.array([[-1.0], [1.0]], dtype=np.float32)
            second = graph.node("MatMul", z, graph.constant(difference))
        z = graph.node("Concat", graph.node("Neg", second), second, axis=1)
    if factor == 1:
        return z
    return graph.node("Mul", z, graph.constant(np.array(factor, dtype=dtype)))


def _writer_of(estimator):
    names = mro_names(estimator)
    return next((WRITERS[name] for name in WRITERS if name in names), None)


# -- layers ----------------------------------------------------------------------------


def _distilled(graph, model, ports):
    return answer(graph, model.student_, ports)


def _own(graph, student, ports):
    z, dtype = _logits_of(graph, student, ports)
    if "LogisticStudent" in mro_names(student) and len(student.coef_) == 1:
        # Of two classes the first one's logit is 0.
        z = graph.node("Concat", graph.node("Sub", z, z), z, axis=1)
    if dtype == "float64":
        # Logits of huge numbers are out of float32's range, their differences are not.
        z = graph.node("Sub", z, graph.node("ReduceMax", z, axes=[1]))
        z = cast(graph, z)
    return graph.node("Softmax", z, axis=1)


def _logits_of(graph, student, ports):
    """Add a student up to its last layer; return the tensor and its dtype."""
    if student.encoder_ is not None:
        check_levels(student.encoder_)
    encoded = encode(graph, student.encoder_, ports)
    if "LogisticStudent" in mro_names(student):
        return _logistic(graph, student, encoded), encoded.dtype
    act, cur = ACTIVATIONS[student.activation], encoded.name
    offset, last = encoded.offset, len(student.coefs_) - 1
    layers = zip(student.coefs_, student.intercepts_, strict=True)
    for layer, (coef, intercept) in enumerate(layers):
        if layer == 0:
            intercept = intercept + offset @ coef
        cur = _dense(graph, cur, coef, intercept, stored_as(student))
        if layer < last and act is not None:
            cur = graph.node(act, cur)
    return cur, "float32"


def _logistic(graph, student, encoded):
    coef, name = student.coef_.T, encoded.name
    intercept = student.intercept_ + encoded.offset @ coef
    # Raw values may be large; a bounded one keeps the sums of a row finite.
    heaviest = np.abs(coef).sum(axis=0).max(initial=0.0)
    raw = takes_raw_numbers(student)
    if raw and heaviest > 1 and encoded.dtype == "float32":
        bound = np.float32(np.finfo(np.float32).max / heaviest / 2)
        ends = graph.constant(-bound), graph.constant(bound)
        name = graph.node("Clip", name, *ends)
    how = stored_as(student)
    return _dense(graph, name, coef, intercept, how, encoded.dtype, by_input=raw)


def _dense(graph, x, coef, intercept, how, dtype="float32", *, by_input=False):
    bias = graph.constant(np.asarray(intercept, dtype=dtype))
    weights = matrix(graph, coef, how, dtype, by_input=by_input)
    return graph.node("Gemm", x, weights, bias)


def matrix(graph, W, how, dtype="float32", *, by_input=False):
    """Add a matrix of weights that is stored in fewer bytes.

    Parameters
    ----------
    graph : Graph

    W : ndarray of shape (n_in, n_out)
        Weights, rounded already where `how` is not None.

    how : {None, "float16", "int8"}

    dtype : {"float32", "float64"}, default="float32"
        Of the tensor.

    by_input : bool, default=False
        As in `store`.

    Returns
    -------
    name : str
        Tensor of shape (n_in, n_out).
    """
    weights = store(W, how or dtype, by_input=by_input)
    name = graph.constant(weights.stored)
    # Not DequantizeLinear: a runtime folds Cast and Mul into a constant when it loads
    # the file, and only then a row's answer does not depend on its batch.
    if how is not None:
        name = cast(graph, name, dtype)
    if weights.scale is not None:
        name = graph.node("Mul", name, graph.constant(weights.scale.astype(dtype)))
    return name


def row_sums(graph, x, width):
    """Add up columns; ReduceSum would do it in another order for one row alone."""
    return graph.node("MatMul", x, graph.constant(np.ones((width, 1), np.float32)))


# -- adapter ---------------------------------------------------------------------------


def _adapter(graph, adapter, ports):
    P = _ADAPTED[adapter.kind_](graph, adapter, ports)
    if adapter.temperature_ == 1:
        return P
    # P ** T normalised; a class that was never met stays at zero. Not by logarithms: a
    # runtime computes them otherwise at the end of a vector than within it.
    floor = graph.constant(np.float32(POWER_EPS))
    P = graph.node("Max", _columns(graph, P, adapter), floor)
    P = graph.node("Div", P, graph.node("ReduceMax", P, axes=[1]))
    P = graph.node("Pow", P, graph.constant(np.float32(adapter.temperature_)))
    total = row_sums(graph, P, len(adapter.columns_))
    return _all_columns(graph, graph.node("Div", P, total), adapter)


def _from_classifier(graph, adapter, ports):
    P = answer(graph, adapter.estimator_, ports)
    return _normalised(graph, _all_columns(graph, P, adapter), adapter)


def _from_probabilities(graph, adapter, ports):
    Q, width = _prediction(graph, adapter, ports)
    if width == 1:
        one = graph.constant(np.float64(1))
        Q = graph.node("Concat", graph.node("Sub", one, Q), Q, axis=1)
    # Divided by the largest, any row fits into single precision.
    Q = graph.node("Max", Q, graph.constant(np.float64(0)))
    top = graph.node("ReduceMax", Q, axes=[1])
    floor = graph.constant(np.finfo(np.float64).tiny)
    Q = cast(graph, graph.node("Div", Q, graph.node("Max", top, floor)))
    return _normalised(graph, _all_columns(graph, Q, adapter), adapter)


def _from_logits(graph, adapter, ports):
    Z, width = _prediction(graph, adapter, ports)
    if width == 1:
        Z = graph.node("Concat", graph.node("Neg", Z), Z, axis=1)
    Z = graph.node("Mul", Z, graph.constant(np.float64(adapter.scale_)))
    Z = cast(graph, graph.node("Sub", Z, graph.node("ReduceMax", Z, axes=[1])))
    return _all_columns(graph, graph.node("Softmax", Z, axis=1), adapter)


def _from_net(graph, adapter, ports):
    from skdistill.deploy._net_graph import write_net

    output = adapter.net_output_
    P = write_net(graph, adapter.estimator_, ports, output.answers)
    return _all_columns(graph, P, adapter)


_ADAPTED = {
    "classifier": _from_classifier,
    "probabilities": _from_probabilities,
    "logits": _from_logits,
    "net": _from_net,
}


def _prediction(graph, adapter, ports):
    """Answer of a regressor as float64 of two dimensions, and its width."""
    from skdistill.deploy._converters import splice_estimator

    # Two classes are taught as one column.
    width = len(adapter.columns_) if len(adapter.columns_) > 2 else 1
    Z = cast(graph, splice_estimator(graph, adapter.estimator_, ports), "float64")
    shape = graph.constant(np.array([-1, width], dtype=np.int64))
    return graph.node("Reshape", Z, shape), width


def _columns(graph, P, adapter):
    if len(adapter.columns_) == len(adapter.classes_):
        return P
    met = np.asarray(adapter.columns_, dtype=np.int64)
    return graph.node("Gather", P, graph.constant(met), axis=1)


def _all_columns(graph, Q, adapter):
    """Put each column in its class's place; other classes get zeros."""
    columns, n_classes = np.asarray(adapter.columns_), len(adapter.classes_)
    if np.array_equal(columns, np.arange(n_classes)):
        return Q
    first = graph.node("Gather", Q, graph.constant(np.zeros(1, np.int64)), axis=1)
    zeros = graph.node("Mul", first, graph.constant(np.float32(0)))
    if len(columns) == 1:  # one class met: certain, whatever was answered
        Q = graph.node("Add", zeros, graph.constant(np.float32(1)))
    # A column of zeros at the end stands for the classes that were never met.
    place = np.full(n_classes, len(columns), dtype=np.int64)
    place[columns] = np.arange(len(columns))
    Q = graph.node("Concat", Q, zeros, axis=1)
    return graph.node("Gather", Q, graph.constant(place), axis=1)


def _normalised(graph, Q, adapter):
    """Clip at zero and divide by the sum; a row without an answer gets the default."""
    zero = graph.constant(np.float32(0))
    Q = graph.node("Max", Q, zero)
    total = row_sums(graph, Q, len(adapter.classes_))
    default = graph.constant(adapter.default_.astype(np.float32))
    answered = graph.node("Greater", total, zero)
    return graph.node("Where", answered, graph.node("Div", Q, total), default)


# -- any estimator ---------------------------------------------------------------------


def _frozen(graph, frozen, ports):
    return answer(graph, frozen.estimator, ports)


def _searched(graph, search, ports):
    return answer(graph, search.best_estimator_, ports)


def _voting(graph, model, ports):
    """Weighted mean of the members' probabilities."""
    if model.voting != "soft":
        raise ValueError(
            "VotingClassifier must have voting='soft' to be exported, got "
            f"{model.voting!r}: votes are no probabilities. Set voting='soft'."
        )
    given = (
        model.weights if model.weights is not None else np.ones(len(model.estimators))
    )
    pairs = zip(given, model.estimators, strict=True)
    weights = np.array([w for w, (_, member) in pairs if member != "drop"], dtype=float)
    parts = [
        graph.node("Mul", answer(graph, member, ports), graph.constant(np.float32(w)))
        for w, member in zip(weights / weights.sum(), model.estimators_, strict=True)
    ]
    return graph.node("Sum", *parts)


def _net(graph, net, ports):
    from skdistill.deploy._net_graph import answers_of, write_net

    return write_net(graph, net, ports, answers_of(net))


WRITERS = {
    "DistilledClassifier": _distilled,
    "MLPStudent": _own,
    "LogisticStudent": _own,
    "SoftStudentAdapter": _adapter,
    "NeuralNet": _net,
    "FrozenEstimator": _frozen,
    "BaseSearchCV": _searched,
    "VotingClassifier": _voting,
}


def answer(graph, estimator, ports):
    """Add any fitted classifier: our writers, and skl2onnx for all others.

    Returns
    -------
    probabilities : str
        Tensor of shape (N, n_classes).
    """
    if is_ours(estimator):
        return write(graph, estimator, ports)
    from skdistill.deploy._converters import splice_estimator

    return cast(graph, splice_estimator(graph, estimator, ports))
