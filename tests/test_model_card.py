import hashlib

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier

from skdistill import (
    DistilledClassifier,
    LogisticStudent,
    MLPStudent,
    distillation_report,
)

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from skdistill.deploy import export_onnx, model_card


@pytest.fixture(scope="module")
def digits():
    return load_digits(return_X_y=True)


@pytest.fixture(scope="module")
def model(digits):
    X, y = digits
    teacher = RandomForestClassifier(30, random_state=0)
    return DistilledClassifier(teacher, LogisticStudent(), random_state=0).fit(
        X[:1000], y[:1000]
    )


def test_model_card_says_what_the_file_says(model, tmp_path):
    path = tmp_path / "digits.onnx"
    about = export_onnx(model, path, quantize="int8")
    card = model_card(path, purpose="Read digits.", license="MIT")
    assert (tmp_path / "digits.onnx.md").read_text() == card
    assert card.startswith("# digits\n")
    assert "classifier of 10 classes" in card
    assert f"{path.stat().st_size:,} bytes, weights in int8" in card
    assert hashlib.sha256(path.read_bytes()).hexdigest() in card
    assert f"{about['max_difference']:.2g} (allowed: 1e-05)" in card
    assert f"{about['quantization_loss']['agreement']:.1%} of the labels" in card
    for text in ("Read digits.", "MIT", "`0`, `1`", "load_onnx('digits.onnx')"):
        assert text in card
    assert card.count("Not stated.") == 1  # training data; limits are always stated


def test_model_card_shows_held_out_scores_or_the_report(model, digits, tmp_path):
    X, y = digits
    path = tmp_path / "digits.onnx"
    about = export_onnx(model, path)
    card = model_card(path)
    for scores in about["report"]["held_out"].values():
        assert str(scores["log_loss"]) in card
    report = distillation_report(model, X[1000:], y[1000:], time_teacher=False)
    assert report.verdict in model_card(path, report=report)
    export_onnx(model, path, report=report)
    assert report.verdict in model_card(path)


def test_model_card_lists_columns_and_escapes_their_names(tmp_path):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(300, 60))).add_prefix("column ")
    X = X.rename(columns={"column 0": "a|b`\nc"})
    X["color"] = pd.Categorical(rng.choice(["red", "blue"], 300))
    student = MLPStudent((4,), max_steps=20, random_state=0).fit(X, X["column 1"] > 0)
    export_onnx(student, tmp_path / "m.onnx")
    card = model_card(tmp_path / "m.onnx", name="two\nlines")
    assert card.startswith("# two lines\n")
    assert "`a\\|b' c`" in card
    assert "and 10 more" in card
    assert "| categorical | string | `color` |" in card
    assert "`False`, `True`" in card


def test_model_card_refuses_what_is_no_artefact(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="must end with the digest"):
        model_card(tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx.md").exists()
