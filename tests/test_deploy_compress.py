import pickle

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression

from skdistill import DistilledClassifier, LogisticStudent, MLPStudent
from skdistill.deploy import CompressionError, compress
from skdistill.metrics import model_size

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:1200], y[:1200], X[1200:], y[1200:]


@pytest.fixture(scope="module")
def student(digits):
    X, y, _, _ = digits
    return MLPStudent((48, 32), max_steps=2000, random_state=0).fit(X, y)


def log_loss(model, X, y):
    P = model.predict_proba(X)
    return -np.log(P[np.arange(len(y)), y]).mean()


def test_compress_meets_the_bytes_and_holds_the_loss(digits, student):
    X, _, X_test, y_test = digits
    before = model_size(student, format="onnx-int8")
    small = compress(
        student, X, max_bytes=int(0.7 * before), max_loss_increase=0.1, n_steps=800,
        random_state=0,
    )  # fmt: skip
    assert model_size(small, format="onnx-int8") <= 0.7 * before
    assert small.score(X_test, y_test) > student.score(X_test, y_test) - 0.02
    steps = small.compression_
    assert steps["step"][0] == "as fitted"
    assert steps["kept"].all()
    assert steps["bytes"][-1] == model_size(small, format="onnx-int8")
    assert (steps["loss"] <= steps["loss"][0] + 0.1).all()
    assert (np.diff(steps["bytes"]) < 0).all()


def test_compress_leaves_the_student_and_returns_what_the_file_holds(digits, student):
    X = digits[0]
    kept = student.predict_proba(X)
    small = compress(student, X, max_bytes=10**6, random_state=0)
    np.testing.assert_array_equal(student.predict_proba(X), kept)
    for coef in small.coefs_:  # at most 255 different values a column
        for column in coef.T:
            assert np.unique(np.rint(127 * column / np.abs(column).max())).size <= 255
            np.testing.assert_allclose(
                127 * column / np.abs(column).max(),
                np.rint(127 * column / np.abs(column).max()),
                atol=1e-4,
            )
    assert small.hidden_layer_sizes == student.hidden_layer_sizes


def test_compress_is_deterministic(digits, student):
    X = digits[0]
    size = int(0.8 * model_size(student, format="onnx-int8"))
    one, other = (
        compress(
            student, X, max_bytes=size, max_loss_increase=1.0, n_steps=100,
            random_state=0,
        )
        for _ in range(2)
    )  # fmt: skip
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))


def test_compress_with_labels_judges_by_labels(digits, student):
    X, y, _, _ = digits
    by_label = compress(student, X, y=y, max_bytes=10**6, random_state=0)
    by_target = compress(student, X, max_bytes=10**6, random_state=0)
    rng = np.random.RandomState(0)
    rng.randint(2**31 - 1)
    held = rng.permutation(len(X))[: len(X) // 5]
    assert by_label.compression_["loss"][0] == pytest.approx(
        log_loss(student, X[held], y[held])
    )
    assert by_label.compression_["loss"][0] != by_target.compression_["loss"][0]


def test_compress_asks_the_teacher_of_a_distilled_classifier(digits):
    X, y, X_test, y_test = digits
    teacher = RandomForestClassifier(50, random_state=0).fit(X[:600], y[:600])
    model = DistilledClassifier(
        teacher, MLPStudent((32,), max_steps=500), alpha=1.0, transfer=None,
        random_state=0,
    ).fit(X[600:], y[600:])  # fmt: skip
    half = int(0.8 * model_size(model.student_, format="onnx-float16"))
    small = compress(
        model, X[600:], max_bytes=half, quantize="float16", max_loss_increase=0.5,
        n_steps=200, random_state=0,
    )  # fmt: skip
    targets = model.calibration_(teacher.predict_proba(X[600:]))
    same = compress(
        model.student_, X[600:], soft_targets=targets, max_bytes=half,
        quantize="float16", max_loss_increase=0.5, n_steps=200, random_state=0,
    )  # fmt: skip
    np.testing.assert_array_equal(
        small.predict_proba(X_test), same.predict_proba(X_test)
    )
    assert small.score(X_test, y_test) > 0.8


def test_compress_raises_with_the_smallest_student_that_holds(digits, student):
    X = digits[0]
    with pytest.raises(
        CompressionError, match=r"max_bytes must be within .*got 2500"
    ) as info:
        compress(
            student, X, max_bytes=2500, max_loss_increase=1e-4, n_steps=20,
            random_state=0,
        )  # fmt: skip
    held = info.value.student
    steps = held.compression_
    assert not steps["kept"][-1]
    sizes = model_size(held, format="onnx-int8"), model_size(held, format="onnx")
    assert steps["bytes"][steps["kept"]][-1] in sizes
    # what catches ValueError catches it, and a worker sends it home whole
    again = pickle.loads(pickle.dumps(info.value))
    assert isinstance(again, ValueError)
    assert str(again) == str(info.value)
    np.testing.assert_array_equal(again.student.predict(X), held.predict(X))


@pytest.mark.parametrize(
    ("make", "arguments", "error", "match"),
    [
        (lambda s: LogisticStudent(), {}, TypeError, "MLPStudent.*got LogisticStudent"),
        (lambda s: MLPStudent(), {}, NotFittedError, "not fitted"),
        (None, {"max_bytes": 0}, ValueError, "max_bytes must be .*got 0"),
        (None, {"quantize": "int4"}, ValueError, "quantize must be one of"),
        (None, {"max_loss_increase": -1}, ValueError, "max_loss_increase must"),
        (None, {"n_steps": 0}, ValueError, "n_steps must be at least 1"),
        (None, {"rows": 100}, ValueError, "at least 250 rows.*got 100"),
        (None, {"y": [0] * 7}, ValueError, r"one label out of .*got shape \(7,\)"),
        (None, {"y": [99] * 1200}, ValueError, "one label out of"),
        (
            None, {"soft_targets": np.ones((3, 10)) / 10}, ValueError,
            "soft_targets must have shape",
        ),
    ],
)  # fmt: skip
def test_compress_refuses_bad_input(digits, student, make, arguments, error, match):
    given = {"max_bytes": 5000, **arguments}
    X = digits[0][: given.pop("rows", 1200)]
    model = student if make is None else make(student)
    with pytest.raises(error, match=match):
        compress(model, X, **given)


def test_compress_needs_targets_where_a_model_has_no_teacher(digits):
    X, y, _, _ = digits
    P = LogisticRegression(max_iter=2000).fit(X, y).predict_proba(X)
    model = DistilledClassifier(
        None, MLPStudent((8,), max_steps=50), alpha=1.0, transfer=None, random_state=0
    ).fit(X, soft_targets=P)
    with pytest.raises(ValueError, match="soft_targets must be given"):
        compress(model, X, max_bytes=5000)
