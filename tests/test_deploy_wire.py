"""What is refused before onnxruntime sees a byte."""

import hashlib
import importlib.util
import json
import os
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="needs onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from skdistill.deploy import _wire  # noqa: E402
from skdistill.deploy._reading import (  # noqa: E402
    check_digest,
    read_content,
    read_file,
)

_spec = importlib.util.spec_from_file_location(
    "deploy_files", Path(__file__).with_name("deploy_files.py")
)
files = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(files)


def _model():
    return onnx.load_from_string(files.linear()[0])


def _scan(model):
    return _wire.scan(model.SerializeToString())


# -- the wire format -------------------------------------------------------------------


def test_scan_returns_metadata_of_a_sound_model():
    model = _model()
    helper.set_model_props(model, {"a": "1", "b": "x" * 1000})
    assert _scan(model) == {b"a": b"1", b"b": b"x" * 1000}


def test_scan_refuses_external_data(tmp_path):
    model, secret = _model(), tmp_path / "secret"
    secret.write_bytes(bytes(48))
    (W, _) = model.graph.initializer
    W.ClearField("raw_data")
    W.data_location = TensorProto.EXTERNAL
    W.external_data.add(key="location", value=str(secret))
    with pytest.raises(ValueError, match="got external data"):
        _scan(model)


def test_scan_refuses_external_data_within_an_attribute():
    model = _model()
    tensor = numpy_helper.from_array(np.zeros(3, np.float32), "t")
    tensor.external_data.add(key="location", value="/etc/passwd")
    node = helper.make_node("Constant", [], ["c"], value=tensor)
    model.graph.node.append(node)
    with pytest.raises(ValueError, match="got external data"):
        _scan(model)


def test_scan_refuses_a_data_location_without_a_file():
    model = _model()
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    with pytest.raises(ValueError, match="got external data"):
        _scan(model)


@pytest.mark.parametrize("operator", ["Loop", "Scan", "If", "RandomNormal", "Expand"])
def test_scan_refuses_operators_that_it_does_not_know(operator):
    model = _model()
    model.graph.node[0].op_type = operator
    with pytest.raises(ValueError, match=f"got '{operator}'"):
        _scan(model)


def test_scan_refuses_a_graph_within_an_operator():
    model = _model()
    inner = helper.make_graph([], "inner", [], [])
    model.graph.node[0].attribute.append(helper.make_attribute("body", inner))
    with pytest.raises(ValueError, match="a graph within an operator"):
        _scan(model)


def test_scan_refuses_local_functions_and_training():
    model = _model()
    model.functions.add(name="f", domain="own")
    with pytest.raises(ValueError, match="local functions"):
        _scan(model)
    model = _model()
    model.training_info.add()
    with pytest.raises(ValueError, match="training information"):
        _scan(model)


def test_scan_refuses_sparse_weights():
    model = _model()
    model.graph.sparse_initializer.add()
    with pytest.raises(ValueError, match="sparse weights"):
        _scan(model)


@pytest.mark.parametrize("where", ["node", "opset"])
def test_scan_refuses_foreign_operator_sets(where):
    model = _model()
    if where == "node":
        model.graph.node[0].domain = "com.microsoft"
    else:
        model.opset_import.add(domain="com.microsoft", version=1)
    with pytest.raises(ValueError, match=r"got b'com\.microsoft'"):
        _scan(model)


@pytest.mark.parametrize("dims", [[4, 30], [1 << 40, 3], [-1, 3], [1 << 62, 1 << 62]])
def test_scan_refuses_shapes_larger_than_the_content(dims):
    model = _model()
    model.graph.initializer[0].dims[:] = dims
    with pytest.raises(ValueError, match="shape is larger than its content"):
        _scan(model)


def test_scan_refuses_fields_that_come_twice():
    # protobuf merges messages that come twice: what is read depends on the reader
    data = files.linear()[0]
    with pytest.raises(ValueError, match="graph comes twice"):
        _wire.scan(data + b"\x3a\x00")
    twice = files.entry(b"a", b"1") + files.entry(b"a", b"2")
    with pytest.raises(ValueError, match="key of its metadata comes twice"):
        _wire.scan(data + twice)


def test_scan_refuses_unknown_fields_and_old_groups():
    data = files.linear()[0]
    with pytest.raises(ValueError, match="field 99 of ModelProto"):
        _wire.scan(data + b"\x98\x06\x01")
    with pytest.raises(ValueError, match="field of type 3"):
        _wire.scan(data + b"\x0b")


def test_scan_refuses_wrong_types():
    with pytest.raises(ValueError, match=r"ModelProto\.ir_version is of another type"):
        _wire.scan(b"\x0a\x00")
    with pytest.raises(ValueError, match="there is no graph"):
        _wire.scan(b"")


@pytest.mark.parametrize("data", [b"\x80" * 20, b"\x08" + b"\x80" * 20])
def test_scan_refuses_endless_integers(data):
    with pytest.raises(ValueError, match="more than ten bytes"):
        _wire.scan(data)


def test_scan_refuses_every_truncation():
    data = files.linear()[0] + files.entry(b"k", b"v")
    ends = set()
    for stop in range(len(data)):
        try:
            _wire.scan(data[:stop])
        except ValueError:
            continue
        ends.add(stop)
    # Cut between two of the model's own fields it is a model still, if it has a graph.
    kinds = {_wire.scan(data[:stop]).keys() == set() for stop in ends}
    assert len(ends) <= 3 and kinds == {True}


def test_scan_bounds_fields_and_nodes(monkeypatch):
    model = _model()
    monkeypatch.setattr(_wire, "MAX_NODES", 2)
    with pytest.raises(ValueError, match="at most 2 operators, got 3"):
        _scan(model)
    monkeypatch.setattr(_wire, "MAX_FIELDS", 20)
    with pytest.raises(ValueError, match="at most 20 fields"):
        _scan(model)


def test_scan_passes_runs_of_numbers_in_one_step(monkeypatch):
    model = _model()
    node = model.graph.node[0]
    node.attribute.append(helper.make_attribute("a", [1, -1, 2**40] * 1000))
    node.attribute.append(helper.make_attribute("b", [0.5, -1e9] * 1000))
    monkeypatch.setattr(_wire, "MAX_FIELDS", 120)
    assert _scan(model) == {}


def test_scan_takes_packed_numbers():
    inner = b"\x0a\x01a" + b"\x42\x03\x01\x02\x03" + b"\xa0\x01\x07"  # AttributeProto
    node = b"\x22\x04Relu" + b"\x2a" + bytes([len(inner)]) + inner
    graph = b"\x0a" + bytes([len(node)]) + node
    assert _wire.scan(b"\x3a" + bytes([len(graph)]) + graph) == {}


# -- trees -----------------------------------------------------------------------------

#: Two trees: a node with a leaf and a node with two leaves, and one leaf.
TREES = {
    "nodes_treeids": [4, 4, 4, 4, 4, 7],
    "nodes_nodeids": [0, 1, 2, 3, 4, 0],
    "nodes_truenodeids": [1, 0, 3, 0, 0, 0],
    "nodes_falsenodeids": [2, 0, 4, 0, 0, 0],
    "nodes_modes": ["BRANCH_LEQ", "LEAF", "BRANCH_LT", "LEAF", "LEAF", "LEAF"],
}


def _scan_trees(**changes):
    node = helper.make_node(
        "TreeEnsembleClassifier", ["X"], ["a", "probabilities"],
        domain="ai.onnx.ml", **TREES | changes,
    )  # fmt: skip
    return _wire.scan(files.graph([node]))


def test_scan_takes_trees():
    assert _scan_trees() == {}
    # children may stand before their parents, and numbers need no order
    assert _scan_trees(nodes_nodeids=[0, 1, 2, 4, 3, 0]) == {}


@pytest.mark.parametrize(
    "changes, text",
    [
        ({"nodes_truenodeids": [1, 0, 0, 0, 0, 0]}, "lead back"),
        ({"nodes_truenodeids": [1, 0, 2, 0, 0, 0]}, "lead back"),
        ({"nodes_falsenodeids": [1, 0, 4, 0, 0, 0]}, "lead back"),
        ({"nodes_truenodeids": [3, 0, 3, 0, 0, 0]}, "lead back"),
        ({"nodes_truenodeids": [5, 0, 3, 0, 0, 0]}, "does not exist"),
        ({"nodes_truenodeids": [-1, 0, 3, 0, 0, 0]}, "does not exist"),
        ({"nodes_truenodeids": [2**63 - 1, 0, 3, 0, 0, 0]}, "does not exist"),
        ({"nodes_modes": ["BRANCH_LEQ"] * 6}, "lead back|does not exist"),
        ({"nodes_nodeids": [0, 1, 2, 3, 3, 0]}, "comes twice"),
        ({"nodes_nodeids": [0, 1, 2, 3, 6, 0]}, "out of range"),
        ({"nodes_nodeids": [0, 1, 2, 3, -4, 0]}, "out of range"),
        ({"nodes_treeids": [4, 4, 7, 4, 4, 7]}, "do not stand together"),
        ({"nodes_treeids": [4, 4, 4, 4, 4]}, "different lengths"),
        ({"nodes_modes": ["LEAF"]}, "different lengths"),
    ],
    ids=repr,
)
def test_scan_refuses_trees_that_are_none(changes, text):
    with pytest.raises(ValueError, match=f"must be trees, but .*({text})"):
        _scan_trees(**changes)


def test_scan_refuses_trees_without_nodes():
    node = helper.make_node(
        "TreeEnsembleRegressor", ["X"], ["probabilities"], domain="ai.onnx.ml"
    )
    with pytest.raises(ValueError, match="different lengths"):
        _wire.scan(files.graph([node]))


@pytest.mark.parametrize("kind", ["AttributeProto", "TensorProto"])
def test_integers_are_read_as_protobuf_reads_them(kind):
    rng = np.random.default_rng(0)
    values = [0, 127, 128, 300, -1, 2**63 - 1, -(2**63)]
    values += rng.integers(-(2**63), 2**63 - 1, 200).tolist()
    # unpacked in the one, packed in the other
    is_tensor = kind == "TensorProto"
    data = (
        TensorProto(int64_data=values)
        if is_tensor
        else helper.make_attribute("a", values)
    ).SerializeToString()
    fields = _wire._Reader(data).message(kind, 0, len(data))
    ((start, stop, packed),) = fields["int64_data" if is_tensor else "ints"]
    assert packed == is_tensor
    assert _wire._integers(data[start:stop], packed).tolist() == values


# -- file and digest -------------------------------------------------------------------


def test_read_file_refuses_what_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "none", 100)
    with pytest.raises(ValueError, match="path must be a file"):
        read_file(tmp_path, 100)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="path must be a file"):
        read_file(tmp_path / "pipe", 100)


def test_read_file_refuses_large_files_unread(tmp_path):
    path = tmp_path / "large"
    with open(path, "wb") as file:
        file.truncate(1 << 40)  # a hole: nothing is on the disk
    with pytest.raises(ValueError, match=f"at most 100 bytes, got one of {1 << 40}"):
        read_file(path, 100)
    os.truncate(path, 100)
    assert read_file(path, 100) == bytes(100)


def test_check_digest_sees_every_flipped_byte():
    data = files.file_of(files.linear()[0])
    check_digest(data)
    for position in range(0, len(data), 7):
        damaged = bytearray(data)
        damaged[position] ^= 0x10
        with pytest.raises(ValueError, match=r"digest"):
            check_digest(bytes(damaged))


def test_check_digest_says_what_is_wrong():
    body = files.linear()[0]
    with pytest.raises(ValueError, match="must end with the digest"):
        check_digest(body)
    with pytest.raises(ValueError, match="must end with the digest"):
        check_digest(b"")
    data = files.sealed(body)
    with pytest.raises(ValueError, match="must end with the digest"):
        check_digest(data[:-1])
    with pytest.raises(ValueError, match="must match the digest"):
        check_digest(data[1:])


def test_digest_entry_is_what_onnx_reads():
    body = files.file_of(files.linear()[0])
    (digest,) = (
        entry.value
        for entry in onnx.load_from_string(body).metadata_props
        if entry.key == "skdistill.digest"
    )
    assert digest == hashlib.sha256(body[:-86]).hexdigest()


# -- metadata --------------------------------------------------------------------------


def _content(**changes):
    return read_content(files.file_of(files.linear()[0], **changes))


@pytest.mark.parametrize(
    "classes, dtype",
    [
        ([0, 1, 2], "int64"),
        ([0, 1, 2], "<i4"),
        ([-1, 0, 200], "int16"),
        (["a", "b", "ß"], "<U1"),
        (["a", "b", ""], "U20"),
        (["a", 1, 2.5], "object"),
        ([0.5, 1.0, 2.0], "float64"),
        ([False, True], "bool"),
        ([False, True], "|b1"),
    ],
)
def test_classes_have_the_dtype_of_fit(classes, dtype):
    got = _content(classes=classes, classes_dtype=dtype).classes
    assert got.tolist() == classes
    assert got.dtype == np.dtype(dtype)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2},
        {"format": True},
        {"format": None},
        {"kind": "image"},
        {"classes": [0]},
        {"classes": [0, 0, 1]},
        {"classes": [0, 1, "2"]},
        {"classes": [0, 1, True]},
        {"classes": [0, 1, 2.0]},
        {"classes": [0, 1, 2**70]},
        {"classes": [0, 1, 300], "classes_dtype": "int8"},
        {"classes": ["a", "bc"], "classes_dtype": "<U1"},
        {"classes": ["a", "a\0"], "classes_dtype": "<U2"},
        {"classes": [0.5, 1e300], "classes_dtype": "float32"},
        {"classes": [[0], [1]], "classes_dtype": "object"},
        {"classes": {"0": 1}},
        {"classes_dtype": "V8"},
        {"classes_dtype": "O,O"},
        {"classes_dtype": "M8[s]"},
        {"classes_dtype": "U0"},
        {"classes_dtype": "<U999999"},
        {"classes_dtype": ["int64"]},
        {"n_features": 0},
        {"n_features": 4.0},
        {"n_features": 10**12},
        {"feature_names": ["a"]},
        {"feature_names": [1, 2, 3, 4]},
        {"feature_names": "abcd"},
        {"inputs": []},
        {"inputs": {}},
        {"inputs": ["X"]},
        {"inputs": [{"name": "X", "dtype": "object", "columns": [0]}]},
        {"inputs": [{"name": "X", "dtype": ["float32"], "columns": [0]}]},
        {"inputs": [{"name": 1, "dtype": "float32", "columns": [0]}]},
        {"inputs": [{"name": "X", "dtype": "float32", "columns": [4]}]},
        {"inputs": [{"name": "X", "dtype": "float32", "columns": [-1]}]},
        {"inputs": [{"name": "X", "dtype": "float32", "columns": [0.0]}]},
        {"inputs": [{"name": "X", "dtype": "float32", "columns": []}]},
        {"inputs": [{"name": "X", "dtype": "float32", "columns": [0]}] * 2},
        {"missing": None},
        {"missing": {"X": 1}},
        {"allow_nan": 1},
        {"kind": "text"},
        {"kind": "text", "text": {"words": 1}},
    ],
    ids=repr,
)
def test_metadata_of_another_form_is_refused(changes):
    with pytest.raises(ValueError, match=r"must .*got"):
        _content(**changes)


def _with_text(text):
    return files.sealed(files.linear()[0] + files.entry(b"skdistill", text))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"{" * 10_000,
        b"[" * 1_000_000,
        b'{"format": NaN}',
        b'{"format": ' + b"9" * 100_000 + b"}",
        json.dumps(files.metadata()).encode("utf-16"),
    ],
    ids=lambda text: repr(text[:12]),
)
def test_metadata_that_is_no_json_object_is_refused(text):
    with pytest.raises(ValueError, match="metadata of the file must be"):
        read_content(_with_text(text))


def test_metadata_lacking_a_field_is_refused():
    for key in files.metadata():
        if key in ("format", "kind", "classes", "classes_dtype", "n_features",
                   "inputs", "allow_nan", "missing"):  # fmt: skip
            said = {k: v for k, v in files.metadata().items() if k != key}
            with pytest.raises(ValueError, match=r"must .*got None"):
                read_content(_with_text(json.dumps(said).encode()))


def test_metadata_keys_are_ours_only():
    body = files.linear()[0]
    text = json.dumps(files.metadata()).encode()
    # onnxruntime takes settings of the session from this one, if told so
    alien = files.entry(b"ort_config", b"{}")
    data = files.sealed(body + alien + files.entry(b"skdistill", text))
    with pytest.raises(ValueError, match="keys in the metadata"):
        read_content(data)
    with pytest.raises(ValueError, match="keys in the metadata"):
        read_content(files.sealed(body))
