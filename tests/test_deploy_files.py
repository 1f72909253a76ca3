"""The way a file comes into place."""

import os

import pytest

from skdistill.deploy._files import check_target, write_atomically


def test_write_atomically_replaces_and_leaves_no_draft(tmp_path):
    path = tmp_path / "model.onnx"
    write_atomically(path, b"old")
    write_atomically(str(path), b"new")
    assert path.read_bytes() == b"new" and os.listdir(tmp_path) == ["model.onnx"]


def test_write_atomically_keeps_the_old_file_where_it_fails(tmp_path, monkeypatch):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["model.onnx"]


def test_check_target_says_what_is_wrong_before_the_work(tmp_path):
    check_target(tmp_path / "model.onnx")
    with pytest.raises(FileNotFoundError, match=r"folder of path .*Create the folder"):
        check_target(str(tmp_path / "gone" / "model.onnx"))
    with pytest.raises(IsADirectoryError, match="Add a file's name"):
        check_target(tmp_path)
