"""Files as export_onnx writes them, made by hand for the tests of load_onnx."""

import hashlib
import json

import numpy as np
from onnx import TensorProto, helper, numpy_helper

DIGEST = b"\x72\x54\x0a\x10skdistill.digest\x12\x40"
TYPES = {
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "int64": TensorProto.INT64,
    "string": TensorProto.STRING,
}


def sealed(body):
    """Bytes with the digest at their end."""
    return body + DIGEST + hashlib.sha256(body).hexdigest().encode()


def entry(key, value):
    """One more entry of metadata_props."""
    inner = b"\x0a" + _sized(key) + b"\x12" + _sized(value)
    return b"\x72" + _sized(inner)


def _sized(data):
    size, prefix = len(data), b""
    while size > 0x7F:
        prefix += bytes([size & 0x7F | 0x80])
        size >>= 7
    return prefix + bytes([size]) + data


def metadata(**changes):
    """Metadata of a model of four numbers and three classes."""
    return {
        "format": 1,
        "kind": "table",
        "classes": [0, 1, 2],
        "classes_dtype": "int64",
        "n_features": 4,
        "feature_names": None,
        "inputs": [{"name": "X", "dtype": "float32", "columns": [0, 1, 2, 3]}],
        "allow_nan": False,
        "missing": {},
        "text": None,
        "quantize": None,
        "tolerance": 1e-5,
        "max_difference": 1e-7,
        "versions": {"skdistill": "0.1"},
        "fingerprint": "0" * 64,
        "report": {},
        "created": "2026-11-25",
    } | changes


def graph(nodes, inputs=(("X", "float32", 4),), n_classes=3, constants=(), opset=13):
    """Bytes of a model without metadata; `nodes` end in "probabilities"."""
    infos = [
        helper.make_tensor_value_info(name, TYPES[dtype], ["N", *width])
        for name, dtype, *width in inputs
    ]
    outputs = [
        helper.make_tensor_value_info("label", TensorProto.INT64, ["N"]),
        helper.make_tensor_value_info(
            "probabilities", TensorProto.FLOAT, ["N", n_classes]
        ),
    ]
    label = helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0)
    tensors = [
        numpy_helper.from_array(np.asarray(values), name) for name, values in constants
    ]
    model = helper.make_model(
        helper.make_graph([*nodes, label], "g", infos, outputs, tensors),
        opset_imports=[
            helper.make_opsetid("", opset),
            helper.make_opsetid("ai.onnx.ml", 2),
        ],
        ir_version=7,
        producer_name="skdistill",
    )
    return model.SerializeToString()


def linear(n_features=4, n_classes=3, seed=0, inputs=None):
    """A softmax of one layer: its bytes, and a function that answers in float64."""
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(n_features, n_classes)).astype(np.float32)
    b = rng.normal(size=n_classes).astype(np.float32)
    nodes = [
        helper.make_node("Gemm", ["X", "W", "b"], ["z"]),
        helper.make_node("Softmax", ["z"], ["probabilities"], axis=1),
    ]
    body = graph(nodes, [("X", "float32", n_features)], n_classes, [("W", W), ("b", b)])

    def answer(X):
        z = np.asarray(X, dtype=np.float64) @ W.astype(float) + b.astype(float)
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    return body, answer


def file_of(body, **changes):
    """All of a file: the graph, its metadata, the digest."""
    text = json.dumps(metadata(**changes)).encode()
    return sealed(body + entry(b"skdistill", text))
