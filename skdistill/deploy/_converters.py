"""Everything else goes through skl2onnx, which is taught our students here."""

import copy
import warnings

import numpy as np
from onnx import TensorProto, helper
from sklearn.pipeline import Pipeline

from skdistill.deploy._boosting_graph import write_boosting
from skdistill.deploy._encoder_graph import Port, select
from skdistill.deploy._graph import ML, ML_OPSET, OPSET, Graph
from skdistill.deploy._student_graphs import write, write_scores
from skdistill.students._rows import mro_names

#: Operator sets that skl2onnx may use; float64 thresholds of trees need the newer one.
TARGET, TARGET_FLOAT64 = {"": OPSET, ML: ML_OPSET}, {"": OPSET, ML: 3}

_OPTIONS = {
    "zipmap": [True, False, "columns"],
    "output_class_labels": [False, True],
    "nocl": [False, True],
    "raw_scores": [False, True],
}
#: Operators in which a row's answer depends on its batch, in the last digits; skl2onnx
#: writes plain arithmetic instead.
_DEPENDENT = {"LinearClassifier", "LinearRegressor", "Scaler"}

_registered = []


def splice_estimator(graph, estimator, ports):
    """Add an estimator by skl2onnx.

    Parameters
    ----------
    graph : Graph

    estimator : fitted classifier or regressor

    ports : list of Port
        What it takes: one matrix, or the columns of a data frame.

    Returns
    -------
    answer : str
        Probabilities of a classifier, predictions of a regressor.

    Raises
    ------
    ValueError
        If skl2onnx has no way to write some part of it.
    """
    # Columns without a name of text are told apart by position, as scikit-learn does.
    names = [
        port.label if isinstance(port.label, str) and port.label else f"x{i}"
        for i, port in enumerate(ports)
    ]
    model = convert(estimator, names, ports)
    # In order: skl2onnx changes names that are no identifiers.
    inputs = [entry.name for entry in model.graph.input]
    feeds = {name: port.name for name, port in zip(inputs, ports, strict=True)}
    return graph.splice(model, feeds)[-1]


def convert(estimator, names, ports):
    """Convert an estimator by skl2onnx.

    Parameters
    ----------
    estimator : fitted estimator

    names : list of str
        Of the inputs.

    ports : list of Port
        Their types and widths.

    Returns
    -------
    model : onnx.ModelProto
    """
    from skl2onnx import convert_sklearn
    from skl2onnx.common import exceptions

    register()
    types = [
        (name, _type_of(port)([None, len(port.columns)]))
        for name, port in zip(names, ports, strict=True)
    ]
    is_double = any(port.dtype == "float64" for port in ports)
    estimator = _without_idle_steps(estimator)
    kinds = {type(part).__name__ for part in _parts(estimator)}
    if any(getattr(part, "add_indicator", False) for part in _parts(estimator)):
        raise ValueError(
            "Imputers must be without add_indicator to be exported, as skl2onnx leaves "
            "the indicators out. Our students take missing values by themselves: leave "
            "the imputer out."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = convert_sklearn(
                estimator,
                initial_types=types,
                target_opset=TARGET_FLOAT64 if is_double else TARGET,
                options=_options_for(estimator),
                black_op=_DEPENDENT,
            )
        if is_double:
            ours = {"HistGradientBoostingClassifier", "HistGradientBoostingRegressor"}
            _round_for_trees(model.graph, but_regressors=bool(kinds & ours))
        return model
    except (
        exceptions.MissingConverter,
        exceptions.MissingShapeCalculator,
        AttributeError,
        NotImplementedError,
        RuntimeError,
        TypeError,
    ) as error:
        reason = " ".join(str(error).split()).partition(". ")[0][:200]
        raise ValueError(
            f"{type(estimator).__name__} cannot be written as ONNX: skl2onnx says "
            f"{reason!r}. Take a student, or steps, that it supports."
        ) from error
    except ValueError as error:
        if not str(error).startswith("Unable to create node"):
            raise
        raise ValueError(
            f"{type(estimator).__name__} cannot be written as ONNX by this release of "
            "skl2onnx, which hands numpy's numbers to protobuf >= 7. Install "
            "skl2onnx>=1.20, or protobuf<7."
        ) from error


def _without_idle_steps(estimator):
    """Leave out the steps of a Pipeline that pass rows on as they are."""
    if type(estimator) is not Pipeline:
        return estimator
    steps = [s for s in estimator.steps if s[1] not in (None, "passthrough")]
    return estimator if len(steps) == len(estimator.steps) else Pipeline(steps)


def _round_for_trees(graph, but_regressors):
    """Round what trees of scikit-learn look at to float32, as they do themselves.

    Parameters
    ----------
    graph : onnx.GraphProto
        Whose numbers are float64.

    but_regressors : bool
        Whether to leave regressors alone: boosting on histograms, which does not round,
        consists of them.
    """
    nodes = []
    for node in graph.node:
        is_tree = node.op_type == "TreeEnsembleClassifier" or (
            node.op_type == "TreeEnsembleRegressor" and not but_regressors
        )
        if is_tree:
            single, double = f"{node.name}_single", f"{node.name}_double"
            nodes += [
                helper.make_node(
                    "Cast", node.input[:1], [single], to=TensorProto.FLOAT
                ),
                helper.make_node("Cast", [single], [double], to=TensorProto.DOUBLE),
            ]
            node.input[0] = double
        nodes.append(copy.deepcopy(node))
    del graph.node[:]
    graph.node.extend(nodes)


def _options_for(estimator):
    """Options for skl2onnx: no ZipMap; scores from Pipelines that are calibrated."""
    options = {}
    if hasattr(estimator, "classes_"):
        options[id(estimator)] = {"zipmap": False}
    for part in _parts(estimator):
        for calibrated in getattr(part, "calibrated_classifiers_", ()):
            steps = getattr(calibrated.estimator, "steps", None)
            if steps and hasattr(steps[-1][1], "decision_function"):
                options[id(steps[-1][1])] = {"zipmap": False, "raw_scores": True}
    return options or None


def _parts(estimator):
    """An estimator and the fitted ones that it holds in its steps and members."""
    yield estimator
    members = [step for _, step in getattr(estimator, "steps", ())]
    members += [step for _, step, _ in getattr(estimator, "transformers_", ())]
    ensemble = getattr(estimator, "estimators_", [])
    members += ensemble.ravel().tolist() if hasattr(ensemble, "ravel") else ensemble
    members += [c.estimator for c in getattr(estimator, "calibrated_classifiers_", ())]
    for name in ("student_", "estimator_", "best_estimator_"):
        members += [getattr(estimator, name)] if hasattr(estimator, name) else []
    if "FrozenEstimator" in mro_names(estimator):
        members.append(estimator.estimator)
    for member in members:
        yield from _parts(member)


def missing_level(estimator):
    """Text of a missing cell in what skl2onnx writes of encoders.

    Parameters
    ----------
    estimator : fitted estimator

    Returns
    -------
    text : str
        As Python shows the missing value that its encoders met: None or NaN.
    """
    for part in _parts(estimator):
        levels = getattr(part, "categories_", [])
        if any(level is None for of_column in levels for level in of_column):
            return "None"
    return "nan"


def _type_of(port):
    from skl2onnx.common import data_types

    return {
        "float32": data_types.FloatTensorType,
        "float64": data_types.DoubleTensorType,
        "int64": data_types.Int64TensorType,
        "string": data_types.StringTensorType,
    }[port.dtype]


# -- what skl2onnx is taught -----------------------------------------------------------


def register():
    """Teach skl2onnx our students, once; what it writes wrongly or not at all, too."""
    if _registered:
        return
    from skl2onnx import update_registered_converter
    from skl2onnx.shape_calculators.imputer import (
        calculate_sklearn_imputer_output_shapes as imputer_shapes,
    )
    from sklearn.ensemble import (
        HistGradientBoostingClassifier,
        HistGradientBoostingRegressor,
        VotingClassifier,
    )
    from sklearn.frozen import FrozenEstimator
    from sklearn.impute import SimpleImputer

    from skdistill import DistilledClassifier, LogisticStudent, MLPStudent
    from skdistill.students._adapter import SoftStudentAdapter

    for kind in (
        DistilledClassifier,
        LogisticStudent,
        MLPStudent,
        SoftStudentAdapter,
        FrozenEstimator,
        VotingClassifier,
        HistGradientBoostingClassifier,
    ):
        update_registered_converter(
            kind,
            f"Skdistill{kind.__name__}",
            _classifier_shapes,
            _convert_classifier,
            options=_OPTIONS,
        )
    update_registered_converter(
        HistGradientBoostingRegressor,
        "SkdistillHistGradientBoostingRegressor",
        _regressor_shapes,
        _convert_regressor,
    )
    update_registered_converter(
        SimpleImputer, "SkdistillSimpleImputer", imputer_shapes, _convert_imputer
    )
    _registered.append(True)


def _classifier_shapes(operator):
    from skl2onnx.common.data_types import Int64TensorType, StringTensorType

    estimator = operator.raw_operator
    if not hasattr(estimator, "classes_"):
        raise NotImplementedError(
            f"{type(estimator).__name__} is written around classifiers only"
        )
    classes = labels(estimator.classes_)
    label = StringTensorType if classes.dtype.kind == "U" else Int64TensorType
    n_rows = operator.inputs[0].get_first_dimension()
    operator.outputs[0].type = label([n_rows])
    operator.outputs[1].type = _number_type(operator)([n_rows, len(classes)])


def _regressor_shapes(operator):
    n_rows = operator.inputs[0].get_first_dimension()
    operator.outputs[0].type = _number_type(operator)([n_rows, 1])


def _number_type(operator):
    """Type of an operator's numbers: what skl2onnx's own ones then expect."""
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    is_double = any(isinstance(v.type, DoubleTensorType) for v in operator.inputs)
    return DoubleTensorType if is_double else FloatTensorType


def _convert_classifier(scope, operator, container):
    estimator = operator.raw_operator
    graph, ports = _ContainerGraph(scope, container), _ports(operator)
    scores = container.get_options(estimator, {"raw_scores": False})["raw_scores"]
    scores = scores and hasattr(estimator, "decision_function")
    if "HistGradient" in type(estimator).__name__:
        answer = write_boosting(graph, estimator, ports, as_scores=scores)
    else:
        answer = (write_scores if scores else write)(graph, estimator, ports)
    code = graph.node("ArgMax", answer, axis=1, keepdims=0)
    label = graph.node("Gather", graph.constant(labels(estimator.classes_)), code)
    graph.finish(label, operator.outputs[0])
    graph.finish(answer, operator.outputs[1])


def _convert_regressor(scope, operator, container):
    graph = _ContainerGraph(scope, container)
    answer = write_boosting(graph, operator.raw_operator, _ports(operator))
    graph.finish(answer, operator.outputs[0])


def _convert_imputer(scope, operator, container):
    """Fill numbers that come as float64, too: ONNX's own Imputer takes float32 only."""
    from skl2onnx.common.data_types import DoubleTensorType
    from skl2onnx.operator_converters.imputer_op import convert_sklearn_imputer

    imputer = operator.raw_operator
    if not any(isinstance(v.type, DoubleTensorType) for v in operator.inputs):
        convert_sklearn_imputer(scope, operator, container)
        return
    graph, values = _ContainerGraph(scope, container), imputer.statistics_
    if imputer.missing_values == imputer.missing_values or np.isnan(values).any():
        raise NotImplementedError(
            "SimpleImputer fills NaN by numbers only, where numbers come as float64"
        )
    x, _ = select(graph, _ports(operator), list(range(len(values))))
    missing, values = graph.node("IsNaN", x), graph.constant(values.astype(np.float64))
    graph.finish(graph.node("Where", missing, values, x), operator.outputs[0])


def labels(classes):
    """Class labels as a graph holds them: int64 or str.

    Raises
    ------
    ValueError
        If they are neither whole numbers nor text.
    """
    classes = np.asarray(classes)
    is_text = classes.dtype.kind == "U" or all(isinstance(c, str) for c in classes)
    if is_text:
        return classes.astype(str)
    try:
        whole = classes.astype(np.int64)
    except (TypeError, ValueError, OverflowError):
        whole = None
    if whole is None or not np.array_equal(whole, classes):
        raise ValueError(
            "Class labels must be all text or all whole numbers to be exported, got "
            f"{classes.tolist()[:10]!r}. Encode y with a LabelEncoder before fitting."
        )
    return whole


def _ports(operator):
    """Inputs of an operator; positions count through them in order."""
    ports, start, n_inputs = [], 0, len(operator.inputs)
    for variable in operator.inputs:
        shape = variable.type.shape
        width = shape[1] if len(shape) > 1 else None
        if width is None:
            # skl2onnx does not always know, but a single matrix has what was fitted.
            width = operator.raw_operator.n_features_in_ if n_inputs == 1 else 1
        dtype = {
            "FloatTensorType": "float32",
            "DoubleTensorType": "float64",
            "StringTensorType": "string",
        }.get(type(variable.type).__name__, "int64")
        columns = list(range(start, start + width))
        label = variable.raw_name if n_inputs > 1 else None
        ports.append(Port(variable.full_name, dtype, columns, label))
        start += width
    return ports


class _ContainerGraph(Graph):
    """Writes into the model that skl2onnx is making."""

    def __init__(self, scope, container):
        super().__init__()
        self._scope, self._container = scope, container

    def _name(self, kind):
        return self._scope.get_unique_variable_name(kind)

    def _prefix(self, n_parts):
        return self._name("part") + "_"

    def _keep_node(self, node):
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        self._container.add_node(
            node.op_type,
            list(node.input),
            list(node.output),
            op_domain=node.domain,
            name=self._scope.get_unique_operator_name(node.op_type),
            **attributes,
        )

    def _keep_constant(self, tensor):
        self._container.initializers.append(tensor)

    def finish(self, name, variable):
        """Give a result the name, and the type, that skl2onnx expects."""
        from skl2onnx.common.data_types import guess_proto_type

        to = guess_proto_type(variable.type)
        node = helper.make_node("Cast", [name], [variable.full_name], to=to)
        if type(variable.type).__name__ == "StringTensorType":
            node = helper.make_node("Identity", [name], [variable.full_name])
        self._keep_node(node)
