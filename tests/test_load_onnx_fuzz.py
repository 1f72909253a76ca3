"""Thousands of damaged and hostile files: only ValueErrors, or an answer."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

pytest.importorskip("onnx", reason="needs onnx")
# 1.20 and 1.23 were seen to crash on forests whose numbers were changed here.
pytest.importorskip("onnxruntime", "1.26", reason="needs onnxruntime >= 1.26")
pytest.importorskip("skl2onnx", reason="needs skl2onnx")

from skdistill import MLPStudent, NGramStudent
from skdistill.deploy import export_onnx

WORKER = Path(__file__).with_name("load_onnx_worker.py")
N_CASES = 4_000
#: Kinds of change of which some files must still load and answer; of the others none.
SOME_ANSWER = {"flip, right digest", "overwrite, right digest", "rewire", "say"}


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    """Folder of sound files of all kinds."""
    folder = tmp_path_factory.mktemp("seeds")
    X, y = load_iris(return_X_y=True)
    frame = pd.DataFrame(X.copy(), columns=list("abcd"))
    frame["e"] = np.where(X[:, 0] > 5.5, "red", "blue")
    frame.loc[::9, "e"] = None
    texts = [f"{'good' if label else 'bad'} text {label}" for label in y]
    mlp = MLPStudent((8,), max_steps=30, random_state=0)
    for name, model, rows, quantize in (
        ("mlp", mlp, X, "int8"),
        ("frame", mlp, frame, None),
        ("forest", RandomForestClassifier(3, max_depth=3, random_state=0), X, None),
        ("text", NGramStudent(random_state=0), texts, "int8"),
        ("pipeline", make_pipeline(StandardScaler(), LogisticRegression()), X, None),
    ):
        path = folder / f"{name}.onnx"
        export_onnx(model.fit(rows, y), path, X=rows, quantize=quantize)
    return folder


@pytest.mark.parametrize("seed", [0, 1])
def test_load_onnx_survives_damaged_and_hostile_files(seeds, seed, tmp_path):
    before = sorted(seeds.iterdir())
    done = subprocess.run(
        [sys.executable, WORKER, seeds, str(N_CASES), str(seed), tmp_path / "case"],
        capture_output=True,
        text=True,
        timeout=900,
        env={**os.environ, "PYTHONPATH": str(WORKER.parents[1])},
    )
    # a crash, a hang, an error of another kind: the file is tmp_path / "case"
    assert done.returncode == 0, f"{done.stdout[-500:]}\n{done.stderr[-5000:]}"
    assert not done.stderr
    assert sorted(seeds.iterdir()) == before and len(list(tmp_path.iterdir())) == 1
    counts, answered = Counter(), Counter()
    for change, outcome, n_files in json.loads(done.stdout):
        counts[change] += n_files
        answered[change] += n_files * (outcome == "answered")
    assert sum(counts.values()) == N_CASES and min(counts.values()) > 50
    assert {change for change, n_files in answered.items() if n_files} == SOME_ANSWER
