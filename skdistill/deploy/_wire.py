"""A look at an ONNX file before anything else reads it: protobuf's bytes, and no more.

Only what a classifier's graph is made of is let through; what is not named below is
refused. So nothing that a file holds can make a reader open another file (external
data), run what is hidden in functions and subgraphs, or begin a loop without an end.
"""

import math
import re
from typing import NamedTuple

import numpy as np

from skdistill.deploy._tree_check import check_trees

#: Fields of all kinds, and operators, at most: what is looked at takes bounded time.
MAX_FIELDS, MAX_NODES = 4_000_000, 20_000

# What protobuf writes before a value says how long it is.
_VARINT, _EIGHT, _SIZED, _FOUR = 0, 1, 2, 5
_WIRES = {"int": _VARINT, "double": _EIGHT, "bytes": _SIZED, "float": _FOUR}

#: Messages of onnx.proto: number, name and kind of the fields that are let through. A
#: star stands before those that may come again and again.
_MESSAGES = {
    "ModelProto": {
        1: ("ir_version", "int"),
        2: ("producer_name", "bytes"),
        3: ("producer_version", "bytes"),
        4: ("domain", "bytes"),
        5: ("model_version", "int"),
        6: ("doc_string", "bytes"),
        7: ("graph", "GraphProto"),
        8: ("opset_import", "*OperatorSetIdProto"),
        14: ("metadata_props", "*StringStringEntryProto"),
    },
    "OperatorSetIdProto": {1: ("domain", "bytes"), 2: ("version", "int")},
    "StringStringEntryProto": {1: ("key", "bytes"), 2: ("value", "bytes")},
    "GraphProto": {
        1: ("node", "*NodeProto"),
        2: ("name", "bytes"),
        5: ("initializer", "*TensorProto"),
        10: ("doc_string", "bytes"),
        11: ("input", "*ValueInfoProto"),
        12: ("output", "*ValueInfoProto"),
        13: ("value_info", "*ValueInfoProto"),
    },
    "NodeProto": {
        1: ("input", "*bytes"),
        2: ("output", "*bytes"),
        3: ("name", "bytes"),
        4: ("op_type", "bytes"),
        5: ("attribute", "*AttributeProto"),
        6: ("doc_string", "bytes"),
        7: ("domain", "bytes"),
    },
    "AttributeProto": {
        1: ("name", "bytes"),
        2: ("f", "float"),
        3: ("i", "int"),
        4: ("s", "bytes"),
        5: ("t", "TensorProto"),
        7: ("floats", "*float"),
        8: ("ints", "*int"),
        9: ("strings", "*bytes"),
        13: ("doc_string", "bytes"),
        20: ("type", "int"),
    },
    "TensorProto": {
        1: ("dims", "*int"),
        2: ("data_type", "int"),
        4: ("float_data", "*float"),
        5: ("int32_data", "*int"),
        6: ("string_data", "*bytes"),
        7: ("int64_data", "*int"),
        8: ("name", "bytes"),
        9: ("raw_data", "bytes"),
        10: ("double_data", "*double"),
        11: ("uint64_data", "*int"),
        12: ("doc_string", "bytes"),
    },
    "ValueInfoProto": {
        1: ("name", "bytes"),
        2: ("type", "TypeProto"),
        3: ("doc_string", "bytes"),
    },
    "TypeProto": {1: ("tensor_type", "TypeProto.Tensor"), 6: ("denotation", "bytes")},
    "TypeProto.Tensor": {1: ("elem_type", "int"), 2: ("shape", "TensorShapeProto")},
    "TensorShapeProto": {1: ("dim", "*Dimension")},
    "Dimension": {
        1: ("dim_value", "int"),
        2: ("dim_param", "bytes"),
        3: ("denotation", "bytes"),
    },
}
#: Fields that have a name of their own when they are refused.
_REFUSED = {
    ("ModelProto", 20): "training information",
    ("ModelProto", 25): "local functions",
    ("GraphProto", 15): "sparse weights",
    ("AttributeProto", 6): "a graph within an operator",
    ("AttributeProto", 11): "graphs within an operator",
    ("TensorProto", 13): "external data",
    ("TensorProto", 14): "external data",
}
#: Values of which only the place is kept, and a pattern that passes many of them in one
#: step. The patterns never step back, so they need no memory.
_PASSED = {
    ("AttributeProto", "floats"): re.compile(rb"(?:\x3d.{4})++", re.DOTALL),
    ("AttributeProto", "ints"): re.compile(rb"(?:\x40[\x80-\xff]{0,9}+[\x00-\x7f])++"),
    ("TensorProto", "float_data"): None,
    ("TensorProto", "double_data"): None,
    ("TensorProto", "int32_data"): None,
    ("TensorProto", "int64_data"): None,
    ("TensorProto", "uint64_data"): None,
    ("TensorProto", "string_data"): None,
    ("TensorProto", "raw_data"): None,
}

#: Operators that are let through: arithmetic on tensors, the layers of usual nets, and
#: scikit-learn's models. None loops, draws random numbers or reads a file; those whose
#: result is as large as a number in the file says are left out.
OPERATORS = {
    "": frozenset(
        """
        Abs Add And ArgMax ArgMin AveragePool BatchNormalization Cast Ceil Celu Clip
        Concat Constant Conv Cos CumSum DequantizeLinear Div Dropout Elu Equal Erf Exp
        Flatten Floor GRU Gather GatherElements GatherND Gelu Gemm GlobalAveragePool
        GlobalMaxPool Greater GreaterOrEqual HardSigmoid HardSwish Hardmax Identity
        InstanceNormalization IsInf IsNaN LSTM LayerNormalization LeakyRelu Less
        LessOrEqual Log LogSoftmax LpNormalization MatMul Max MaxPool Mean Min Mish Mod
        Mul Neg Not Or PRelu Pow RNN Reciprocal ReduceL1 ReduceL2 ReduceLogSum
        ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum
        ReduceSumSquare Relu Reshape Round ScatterElements ScatterND Selu Shape Sigmoid
        Sign Sin Size Slice Softmax Softplus Softsign Split Sqrt Squeeze Sub Sum Tan
        Tanh ThresholdedRelu TopK Transpose Unsqueeze Where Xor
        """.split()
    ),
    "ai.onnx.ml": frozenset(
        """
        ArrayFeatureExtractor Binarizer CategoryMapper Imputer LabelEncoder
        LinearClassifier LinearRegressor Normalizer OneHotEncoder SVMClassifier
        SVMRegressor Scaler TreeEnsembleClassifier TreeEnsembleRegressor
        """.split()
    ),
}
_TREES = ("TreeEnsembleClassifier", "TreeEnsembleRegressor")


def scan(data):
    """Check the bytes of an ONNX model, field by field.

    Parameters
    ----------
    data : bytes
        All of the file.

    Returns
    -------
    metadata : dict of bytes to bytes
        The model's `metadata_props`.

    Raises
    ------
    ValueError
        If the bytes are no ONNX model, or one that holds more than tensors and the
        operators in `OPERATORS`.
    """
    try:
        model = _Reader(data).message("ModelProto", 0, len(data))
    except IndexError as error:
        raise _broken("a field goes on after the end") from error
    for entry in model.get("opset_import", ()):
        _check_domain(entry.get("domain", b""))
    if "graph" not in model:
        raise _broken("there is no graph")
    _check_graph(model["graph"], data)
    entries = [
        (entry.get("key", b""), entry.get("value", b""))
        for entry in model.get("metadata_props", ())
    ]
    metadata = dict(entries)
    if len(metadata) < len(entries):
        raise _broken("a key of its metadata comes twice")
    return metadata


# -- reading ---------------------------------------------------------------------------


class _Reader:
    """Turns bytes into dicts of fields by name, and counts them."""

    def __init__(self, data):
        self._data = data
        self._n_left = MAX_FIELDS

    def message(self, kind, start, stop):
        """Read one message.

        Returns
        -------
        fields : dict
            int, bytes, dict for a message within, or a list of these. Of values that
            are passed over: begin, end and whether they are packed.
        """
        known, fields = _FIELDS[kind], {"n_bytes": stop - start}
        while start < stop:
            begin = start
            tag, start = self._varint(start)
            field = known.get(tag >> 3)
            if field is None:
                raise _unknown(kind, tag >> 3)
            value, start = self._value(tag & 7, start)  # a size where it is no integer
            if start > stop:
                raise _broken(f"a field is longer than the {kind} around it")
            if field.passed:
                # Numbers may also come packed, as one field of bytes.
                packed = tag & 7 == _SIZED
                if not packed and tag & 7 != field.wire:
                    raise _broken(f"{kind}.{field.name} is of another type")
                if field.run and not packed:
                    match = field.run.match(self._data, start, stop)
                    start = match.end() if match else start
                begin = start - value if packed else begin
                fields.setdefault(field.name, []).append((begin, start, packed))
                continue
            if tag & 7 != field.wire:
                raise _broken(f"{kind}.{field.name} is of another type")
            if field.message:
                value = self.message(field.message, start - value, start)
            elif field.wire == _SIZED:
                value = self._data[start - value : start]
            if field.repeated:
                fields.setdefault(field.name, []).append(value)
            elif field.name in fields:
                # Readers would merge the two, or take one of them.
                raise _broken(f"{kind}.{field.name} comes twice")
            else:
                fields[field.name] = value
        return fields

    def _value(self, wire, start):
        """Integer or size of a field, and where the next one begins."""
        self._n_left -= 1
        if self._n_left < 0:
            raise ValueError(
                f"The model must have at most {MAX_FIELDS} fields, got more. Export a "
                "smaller model."
            )
        if wire == _VARINT:
            return self._varint(start)
        if wire == _SIZED:
            size, start = self._varint(start)
        elif wire in (_FOUR, _EIGHT):
            size = 4 if wire == _FOUR else 8
        else:
            raise _broken(f"there is a field of type {wire}")
        if size > len(self._data) - start:
            raise _broken("a field goes on after the end")
        return size, start + size

    def _varint(self, start):
        """Integer in groups of seven bits, the lowest first."""
        value = self._data[start]
        if value < 0x80:
            return value, start + 1
        value &= 0x7F
        for place in range(1, 10):
            group = self._data[start + place]
            value |= (group & 0x7F) << 7 * place
            if group < 0x80:
                return value, start + place + 1
        raise _broken("an integer has more than ten bytes")


class _Field(NamedTuple):
    name: str
    wire: int
    message: str | None
    repeated: bool
    passed: bool
    run: re.Pattern | None


def _field(message, name, kind):
    plain = kind.lstrip("*")
    return _Field(
        name=name,
        wire=_WIRES.get(plain, _SIZED),
        message=plain if plain in _MESSAGES else None,
        repeated=kind != plain,
        passed=(message, name) in _PASSED,
        run=_PASSED.get((message, name)),
    )


_FIELDS = {
    message: {
        number: _field(message, name, kind) for number, (name, kind) in fields.items()
    }
    for message, fields in _MESSAGES.items()
}


# -- what is in there ------------------------------------------------------------------


def _check_domain(domain):
    if domain.decode(errors="replace") not in OPERATORS:
        raise ValueError(
            f"The model must use the operator sets {sorted(OPERATORS)!r} only, got "
            f"{domain[:100]!r}. Export it with export_onnx."
        )


def _check_graph(graph, data):
    nodes = graph.get("node", ())
    if len(nodes) > MAX_NODES:
        raise ValueError(
            f"The model must have at most {MAX_NODES} operators, got {len(nodes)}. "
            "Export a smaller model."
        )
    for node in nodes:
        domain = node.get("domain", b"")
        _check_domain(domain)
        name = node.get("op_type", b"").decode(errors="replace")
        if name not in OPERATORS[domain.decode()]:
            raise ValueError(
                f"The model must be made of operators that load_onnx knows, got "
                f"{name[:100]!r}. They are listed in skdistill.deploy._wire.OPERATORS."
            )
        attributes = node.get("attribute", ())
        for attribute in attributes:
            if "t" in attribute:
                _check_tensor(attribute["t"])
        if name in _TREES:
            check_trees({a.get("name", b""): _values(a, data) for a in attributes})
    for tensor in graph.get("initializer", ()):
        _check_tensor(tensor)


def _values(attribute, data):
    """Strings or integers of an attribute."""
    if "strings" in attribute:
        return attribute["strings"]
    places = attribute.get("ints", ())
    parts = [_integers(data[i:j], packed) for i, j, packed in places]
    return np.concatenate([np.empty(0, dtype=np.int64), *parts])


def _integers(data, packed):
    """Integers out of their groups of seven bits, all at once.

    Unpacked ones have the field's tag before each of them.
    """
    data = np.frombuffer(data, dtype=np.uint8)
    ends = np.flatnonzero(data < 0x80)  # of integers, and tags
    if packed:
        starts = np.append(0, ends[:-1] + 1) if len(ends) else ends
    else:
        starts, ends = ends[::2] + 1, ends[1::2]
    values = np.zeros(len(ends), dtype=np.uint64)
    for place in range(min(10, np.max(ends - starts, initial=0) + 1)):
        group = data[np.minimum(starts + place, ends)].astype(np.uint64) & 0x7F
        values |= np.where(starts + place <= ends, group << np.uint64(7 * place), 0)
    return values.view(np.int64)


def _check_tensor(tensor):
    """Check that a tensor is no larger than the bytes that are there for it."""
    # Negative sizes are written as very large ones. Two numbers may share a byte.
    if math.prod(tensor.get("dims", ())) > 2 * tensor["n_bytes"]:
        raise _broken("a tensor's shape is larger than its content")


def _broken(what):
    return ValueError(
        f"The file must be an ONNX model as export_onnx writes it, but {what}. Export "
        "the model again."
    )


def _unknown(kind, number):
    what = _REFUSED.get((kind, number), f"field {number} of {kind}")
    return ValueError(
        f"The model must hold nothing but tensors and plain operators, got {what}. "
        "Export it with export_onnx."
    )
