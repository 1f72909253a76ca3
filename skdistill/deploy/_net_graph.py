"""A skorch net as a graph, through torch's own exporter."""

import inspect
import io
import warnings

import numpy as np
import onnx

from skdistill.deploy._encoder_graph import select
from skdistill.deploy._graph import IR_VERSION, OPSET
from skdistill.deploy._student_graphs import row_sums

#: What `predict_proba` of a net answers, by its criterion.
_ANSWERS = {
    "CrossEntropyLoss": "logits",
    "NLLLoss": "probabilities",
    "BCEWithLogitsLoss": "logit",
}


def answers_of(net):
    """What the module of a net that was fitted on labels answers.

    Parameters
    ----------
    net : skorch.NeuralNet

    Returns
    -------
    answers : {"logits", "probabilities", "logit"}

    Raises
    ------
    ValueError
        If its criterion does not say.
    """
    criterion = type(net.criterion_).__name__
    if criterion not in _ANSWERS:
        raise ValueError(
            f"A net to be exported must have one of the criteria {sorted(_ANSWERS)!r}, "
            f"which say what its module answers, got {criterion!r}. Make it the "
            "student of a DistilledClassifier, or set such a criterion."
        )
    return _ANSWERS[criterion]


def write_net(graph, net, ports, answers):
    """Add a fitted skorch net.

    Parameters
    ----------
    graph : Graph

    net : skorch.NeuralNet

    ports : list of Port
        Where the columns of its rows are; all of them numbers.

    answers : {"logits", "probabilities", "logit", "probability"}
        What its module answers, the singular for the second of two classes.

    Returns
    -------
    probabilities : str
        Tensor of shape (N, n_classes).
    """
    width = sum(len(port.columns) for port in ports)
    x, dtype = select(graph, ports, list(range(width)))
    wanted = input_dtype(net, dtype)
    if wanted != dtype:
        x = graph.node("Cast", x, to=onnx.helper.np_dtype_to_tensor_dtype(wanted))
    model = exported(net.module_, width, wanted)
    (input_info,) = model.graph.input
    z = graph.splice(model, {input_info.name: x})[0]
    if wanted == "float64":
        z = graph.node("Cast", z, to=onnx.TensorProto.FLOAT)
    if answers == "logits":
        return graph.node("Softmax", z, axis=1)
    if answers == "probabilities":
        width = model.graph.output[0].type.tensor_type.shape.dim[1].dim_value
        return graph.node("Div", z, row_sums(graph, z, width))
    column = graph.constant(np.array([-1, 1], dtype=np.int64))
    z = graph.node("Reshape", z, column)
    if answers == "logit":
        first = graph.node("Sigmoid", graph.node("Neg", z))
        return graph.node("Concat", first, graph.node("Sigmoid", z), axis=1)
    one = graph.constant(np.float32(1))
    return graph.node("Concat", graph.node("Sub", one, z), z, axis=1)


def input_dtype(net, given):
    """Type of the rows that the module of a net takes.

    Parameters
    ----------
    net : skorch.NeuralNet

    given : {"float32", "float64", "int64"}
        Type of the rows that come in.

    Returns
    -------
    dtype : np.dtype
        Integers stay what they are where a module embeds them.
    """
    import torch

    kinds = (torch.nn.Embedding, torch.nn.EmbeddingBag)
    if given == "int64" and any(isinstance(m, kinds) for m in net.module_.modules()):
        return np.dtype("int64")
    floats = [p.dtype for p in net.module_.parameters() if p.is_floating_point()]
    return np.dtype(str(floats[0]).removeprefix("torch.") if floats else "float32")


def exported(module, width, dtype):
    """Trace a module.

    Parameters
    ----------
    module : torch.nn.Module
        Takes one matrix; of several answers the first counts.

    width : int
        Columns of its rows.

    dtype : np.dtype
        Of its rows.

    Returns
    -------
    model : onnx.ModelProto
        With one input and at least one output.

    Raises
    ------
    ImportError
        If torch's exporter lacks a package.
    """
    import torch

    rows = torch.zeros((2, width), dtype=getattr(torch, dtype.name))
    was_training, device = module.training, _device_of(module)
    file = io.BytesIO()
    # The exporter that traces needs no package but onnx; newer torch has to be asked.
    legacy = {"dynamo": False} if _knows_dynamo(torch.onnx.export) else {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module.cpu().eval(),
                (rows,),
                file,
                input_names=["X"],
                dynamic_axes={"X": {0: "N"}},
                opset_version=OPSET,
                **legacy,
            )
    except ModuleNotFoundError as error:
        raise ImportError(
            f"The exporter of torch {torch.__version__} needs the package "
            f"{error.name!r}, which is not installed. Run `pip install {error.name}`."
        ) from error
    finally:
        module.to(device).train(was_training)
    model = onnx.load_from_string(file.getvalue())
    model.ir_version = IR_VERSION
    return model


def _knows_dynamo(export):
    return "dynamo" in inspect.signature(export).parameters


def _device_of(module):
    return next((p.device for p in module.parameters()), "cpu")
