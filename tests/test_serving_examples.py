"""The examples in docs/serving: run as a reader would run them."""

import http.client
import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import load_iris

pytest.importorskip("onnx", reason="needs onnx")
pytest.importorskip("onnxruntime", reason="needs onnxruntime")

from skdistill import MLPStudent
from skdistill.deploy import export_onnx, load_onnx

ROOT = Path(__file__).parents[1]
SERVING = ROOT / "docs" / "serving"
PATHS = [str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, PATHS))}
X, y = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[y]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("serving") / "student.onnx"
    student = MLPStudent((8,), max_steps=100, random_state=0).fit(X, NAMES)
    export_onnx(student, path, X=X, quantize="int8")
    return path


# -- HTTP ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def address(path):
    command = [sys.executable, SERVING / "serve.py", path, "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, env=ENVIRONMENT, text=True
    ) as server:
        yield urlsplit(server.stdout.readline().strip()).netloc
        server.terminate()


def _ask(address, method, target, body=None, headers=None):
    connection = http.client.HTTPConnection(address, timeout=30)
    connection.request(method, target, body=body, headers=headers or {})
    response = connection.getresponse()
    content = json.loads(response.read())
    connection.close()
    return response.status, content


def test_server_answers_as_load_onnx(path, address):
    model = load_onnx(path)
    status, answers = _ask(
        address, "POST", "/predict", json.dumps({"rows": X.tolist()})
    )
    assert status == 200
    # JSON holds each float as it is
    assert np.array_equal(answers["probabilities"], model.predict_proba(X))
    assert answers["labels"] == model.predict(X).tolist()
    status, said = _ask(address, "GET", "/model")
    assert (status, said["classes"]) == (200, model.classes_.tolist())


@pytest.mark.parametrize(
    "body, text",
    [
        (b'{"rows": [[1, 2]]}', "X has 2 features, but OnnxClassifier is expecting 4"),
        (b'{"rows": [1, 2, 3, 4]}', "Reshape your data"),
        (b'{"rows": [[1, 2, 3, 1e999]]}', "contains infinity"),
        (b'{"rows": [["a", 2, 3, 4]]}', "must hold numbers"),
        (b'{"rows": [[1], [2, 3]]}', "inhomogeneous"),
        (b'{"rows": null}', "Expected 2D array"),
        (b'{"row": []}', "KeyError"),
        (b"[]", "TypeError"),
        (b"{", "JSONDecodeError"),
        (b"[" * 200_000, "RecursionError"),
        (b"\xff", "UnicodeDecodeError"),
        (b"", "Pass 1 to"),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_server_says_what_is_wrong_with_rows(address, body, text):
    status, answer = _ask(address, "POST", "/predict", body)
    assert status == 400 and text in answer["error"]


@pytest.mark.parametrize("length", [(1 << 20) + 1, 10**30, -1, "ten"])
def test_server_waits_for_no_body_that_is_too_large(address, length):
    headers = {"Content-Length": str(length)}
    status, answer = _ask(address, "POST", "/predict", headers=headers)
    assert status == 400 and "Pass 1 to" in answer["error"]


# -- the browser -----------------------------------------------------------------------

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.skipif(
    not (SERVING / "web" / "node_modules").exists(),
    reason="needs onnxruntime-web: npm install in docs/serving/web",
)
def test_browser_answers_as_load_onnx(path, tmp_path):
    rows = tmp_path / "rows.json"
    rows.write_text(json.dumps({"input": "X", "rows": X.tolist()}))
    command = ["node", SERVING / "web" / "ask.mjs", path, rows]
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        env={**ENVIRONMENT, "CHROMIUM": CHROMIUM},
    )
    assert done.returncode == 0, done.stderr
    answers, model = json.loads(done.stdout), load_onnx(path)
    # WebAssembly sums in another order
    assert_allclose(answers["probabilities"], model.predict_proba(X), atol=1e-6)
    assert answers["labels"] == model.predict(X).tolist()


# -- MLflow ----------------------------------------------------------------------------


@pytest.mark.skipif(find_spec("mlflow") is None, reason="needs mlflow")
@pytest.mark.filterwarnings("ignore")
def test_mlflow_keeps_model_and_signature(path, tmp_path, monkeypatch):
    import mlflow

    monkeypatch.chdir(tmp_path)
    # A store in a database needs the whole of MLflow; the small package is enough here.
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    store = (tmp_path / "runs").as_uri()
    frame = pd.DataFrame(X.copy(), columns=list("abcd"))
    frame["colour"] = np.where(X[:, 0] > 5.5, "red", "blue")
    student = MLPStudent((8,), max_steps=100, random_state=0).fit(frame, y)
    mixed = tmp_path / "mixed.onnx"
    export_onnx(student, mixed, X=frame)
    for file, rows in ((path, X), (mixed, frame)):
        model = load_onnx(file)
        done = subprocess.run(
            [sys.executable, SERVING / "log_to_mlflow.py", file, store],
            check=True,
            capture_output=True,
            text=True,
            env={**ENVIRONMENT, "MLFLOW_ALLOW_FILE_STORE": "true"},
        )
        mlflow.set_tracking_uri(store)
        loaded = mlflow.pyfunc.load_model(done.stdout.split()[-1])
        assert loaded.metadata.signature is not None
        answers = loaded.predict(rows)
        assert list(answers) == [str(label) for label in model.classes_]
        assert_allclose(answers, model.predict_proba(rows), atol=1e-7)
        with pytest.raises(mlflow.exceptions.MlflowException):
            loaded.predict(rows[["a"]] if rows is frame else rows[:, :2])
