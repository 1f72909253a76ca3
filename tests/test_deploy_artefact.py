"""Bytes of a file: metadata and digest."""

import hashlib
import json

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx writes the files")

from skdistill.deploy import _artefact  # noqa: E402

MODEL = onnx.ModelProto(ir_version=7, producer_name="test")


def test_seal_ends_in_the_digest_of_all_before_it():
    data = _artefact.seal(MODEL, {"format": 1})
    tail = b"\x72\x54\x0a\x10skdistill.digest\x12\x40"
    body, _, digest = data.rpartition(tail)
    assert hashlib.sha256(body).hexdigest().encode() == digest


def test_seal_is_still_a_model_with_both_entries():
    read = onnx.load_from_string(_artefact.seal(MODEL, {"a": [1, "ü"]}))
    assert read.producer_name == "test"
    keys = [entry.key for entry in read.metadata_props]
    assert keys == ["skdistill", "skdistill.digest"]
    assert json.loads(read.metadata_props[0].value) == {"a": [1, "ü"]}
    assert not MODEL.metadata_props


def test_plain_turns_numpy_into_what_json_holds():
    value = {
        "a": np.arange(2),
        "b": (np.float32(0.5), np.bool_(True), np.nan),
        3: {"c": np.array(["x"], dtype=object)},
    }
    assert _artefact.plain(value) == {
        "a": [0, 1],
        "b": [0.5, True, None],
        "3": {"c": ["x"]},
    }


def test_versions_leave_out_what_is_not_installed():
    found = _artefact.versions("numpy", "no-such-package-of-ours")
    assert found["numpy"] == np.__version__ and set(found) == {"numpy", "skdistill"}


def test_is_json_refuses_objects_and_what_is_not_finite():
    assert _artefact.is_json({"a": [1, "x", None, {"b": 2.5}]})
    for value in ({"a": {1}}, {"a": np.float32(1)}, {"a": float("nan")}, object()):
        assert not _artefact.is_json(value)
