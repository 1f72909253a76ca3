"""A small builder of ONNX graphs: constants and operators in, names of tensors out."""

import numpy as np
import onnx
from onnx import compose, helper, numpy_helper

#: Versions of the operator sets: the oldest that have what the graphs here need.
OPSET, ML_OPSET = 13, 2

#: Version of the file format that came with these.
IR_VERSION = 7

#: Domain of the operators for tables and strings.
ML = "ai.onnx.ml"

_TYPES = {
    "float32": onnx.TensorProto.FLOAT,
    "float64": onnx.TensorProto.DOUBLE,
    "int64": onnx.TensorProto.INT64,
    "string": onnx.TensorProto.STRING,
}


class Graph:
    """Nodes and constants of one graph, in the order in which they were added.

    Operators that no output needs are dropped at the end, so that a part may offer more
    than is asked of it.
    """

    def __init__(self):
        self._nodes, self._constants, self._inputs = [], [], []
        self._known, self._n_names, self._n_parts = {}, 0, 0
        self._opsets = {"": OPSET}

    # -- what a graph is made of -------------------------------------------------------

    def input(self, name, dtype, width=None):
        """Declare an input with one row for each sample; a vector where width is None.

        Returns
        -------
        name : str
        """
        shape = ["N"] if width is None else ["N", width]
        info = helper.make_tensor_value_info(name, _TYPES[dtype], shape)
        self._inputs.append(info)
        return name

    def constant(self, values):
        """Add an array, once if it comes twice; return its name."""
        values = np.asarray(values)
        key = (values.dtype.str, values.shape, _bytes(values))
        if key not in self._known:
            name = self._known[key] = self._name("c")
            self._keep_constant(_tensor(values, name))
        return self._known[key]

    def node(self, op, *inputs, domain="", n_outputs=1, **attributes):
        """Add an operator.

        Parameters
        ----------
        op : str
            Name of the operator.

        *inputs : str
            Names of tensors.

        domain : str, default=""
            Operator set.

        n_outputs : int, default=1
            Number of results.

        **attributes : object
            Attributes of the operator.

        Returns
        -------
        name : str or list of str
            Of the result or results.
        """
        if domain:
            self._opsets.setdefault(domain, ML_OPSET)
        outputs = [self._name("t") for _ in range(n_outputs)]
        self._keep_node(
            helper.make_node(op, inputs, outputs, domain=domain, **attributes)
        )
        return outputs[0] if n_outputs == 1 else outputs

    def splice(self, model, feeds):
        """Add all of another model.

        Parameters
        ----------
        model : onnx.ModelProto
            Its operator sets may be newer than those of this graph.

        feeds : dict of str to str
            For each of its inputs the name of a tensor here.

        Returns
        -------
        outputs : list of str
            Names of its outputs, in order.
        """
        for entry in model.opset_import:
            known = self._opsets.get(entry.domain, 0)
            self._opsets[entry.domain] = max(known, entry.version)
        self._n_parts += 1
        prefix = self._prefix(self._n_parts)
        graph = compose.add_prefix(model, prefix).graph
        for name, source in feeds.items():
            self._keep_node(helper.make_node("Identity", [source], [prefix + name]))
        for tensor in graph.initializer:
            self._keep_constant(tensor)
        for node in graph.node:
            self._keep_node(node)
        return [entry.name for entry in graph.output]

    # -- where it is kept --------------------------------------------------------------

    def _name(self, kind):
        taken = {info.name for info in self._inputs}
        while True:
            self._n_names += 1
            name = f"{kind}{self._n_names}"
            if name not in taken:
                return name

    def _prefix(self, n_parts):
        prefix = f"p{n_parts}_"
        while any(info.name.startswith(prefix) for info in self._inputs):
            prefix += "_"
        return prefix

    def _keep_node(self, node):
        self._nodes.append(node)

    def _keep_constant(self, tensor):
        self._constants.append(tensor)

    # -- the whole ---------------------------------------------------------------------

    def model(self, outputs):
        """Close the graph.

        Parameters
        ----------
        outputs : dict of str to (str, str, int or None)
            For each output its tensor here, its dtype, and its width as in `input`.

        Returns
        -------
        model : onnx.ModelProto
        """
        infos = []
        for name, (source, dtype, width) in outputs.items():
            self._keep_node(helper.make_node("Identity", [source], [name]))
            shape = ["N"] if width is None else ["N", width]
            infos.append(helper.make_tensor_value_info(name, _TYPES[dtype], shape))
        nodes, used = _needed(self._nodes, set(outputs))
        domains = {node.domain for node in nodes} | {""}
        graph = helper.make_graph(
            _without_identities(nodes, set(outputs)),
            "skdistill",
            self._inputs,
            infos,
            [tensor for tensor in self._constants if tensor.name in used],
        )
        return helper.make_model(
            graph,
            producer_name="skdistill",
            ir_version=IR_VERSION,
            opset_imports=[
                helper.make_opsetid(domain, version)
                for domain, version in self._opsets.items()
                if domain in domains
            ],
        )


def _bytes(values):
    return tuple(values.ravel()) if values.dtype.kind in "OU" else values.tobytes()


def _tensor(values, name):
    if values.dtype.kind in "OU":
        text = [str(value).encode() for value in values.ravel()]
        return helper.make_tensor(name, _TYPES["string"], values.shape, text)
    return numpy_helper.from_array(np.ascontiguousarray(values), name)


def _sources(node):
    """Names that a node reads, within the graphs among its attributes too."""
    names = set(node.input)
    for attribute in node.attribute:
        for inner in attribute.g.node:
            names |= _sources(inner)
    return names


def _needed(nodes, wanted):
    """Nodes that lead to the wanted tensors, and all the names that they read."""
    kept, used = [], set(wanted)
    for node in reversed(nodes):
        if used.intersection(node.output):
            kept.append(node)
            used |= _sources(node)
    return kept[::-1], used


def _without_identities(nodes, outputs):
    """Give the results that are only passed on the names that they get in the end."""
    renamed = {
        node.input[0]: node.output[0]
        for node in nodes
        if node.op_type == "Identity" and node.output[0] in outputs
    }
    made_here = {name for node in nodes for name in node.output}
    shared = [
        name
        for name in renamed
        if name not in made_here or sum(name in _sources(n) for n in nodes) > 1
    ]
    for name in shared:
        del renamed[name]
    kept = [n for n in nodes if not (n.op_type == "Identity" and n.input[0] in renamed)]
    for node in kept:
        for i, name in enumerate(node.output):
            node.output[i] = renamed.get(name, name)
    return kept
