"""MLPStudent: trained in torch, answering from plain arrays."""

import copy
import datetime
import io
import pickle
import signal
import subprocess
import sys
import threading
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pytest
import skops.io
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import softmax
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import (
    load_breast_cancer,
    load_digits,
    load_iris,
    load_wine,
    make_classification,
)
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from skorch import NeuralNet
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EpochScoring,
    EpochTimer,
    Freezer,
    LRScheduler,
)
from skorch.history import History

from skdistill import MLPStudent
from skdistill.soft_targets import temper
from skdistill.students._settings import FEW_ROWS
from skdistill.students._training_rows import hold_out, training_rows


@parametrize_with_checks(
    [
        MLPStudent(),
        MLPStudent((8,), activation="tanh", early_stopping=False),
        MLPStudent((8,), encoding="piecewise"),
    ]
)
def test_mlp_student_passes_the_common_checks(estimator, check):
    check(estimator)


def quick(hidden=(16,), **params):
    """Student of a few steps, for what does not depend on how well it learns."""
    return MLPStudent(hidden, **{"max_steps": 60, "random_state": 0, **params})


@pytest.fixture(scope="module")
def digits():
    return load_digits(return_X_y=True)


# -- how well it learns ----------------------------------------------------------------


def test_mlp_student_is_no_worse_than_mlp_classifier(digits):
    X_train, X_test, y_train, y_test = train_test_split(*digits, random_state=0)
    student = MLPStudent(random_state=0).fit(X_train, y_train)
    peer = make_pipeline(
        StandardScaler(), MLPClassifier((64, 64), max_iter=200, random_state=0)
    ).fit(X_train, y_train)
    # 450 test rows: two of them are .0044
    assert student.score(X_test, y_test) >= peer.score(X_test, y_test) - 0.005
    assert log_loss(y_test, student.predict_proba(X_test)) <= log_loss(
        y_test, peer.predict_proba(X_test)
    )


def test_mlp_student_matches_a_linear_truth():
    rng = np.random.RandomState(0)
    W, b = rng.standard_normal((6, 4)), rng.standard_normal(4)
    X, X_new = rng.standard_normal((12_000, 6)), rng.standard_normal((8_000, 6))
    P, P_new = softmax(X @ W + b, axis=1), softmax(X_new @ W + b, axis=1)
    student = MLPStudent(random_state=0).fit_soft_targets(X, P, classes=range(4))
    Q = student.predict_proba(X_new)
    assert (P_new * np.log(P_new / Q)).sum(axis=1).mean() < 0.01
    y_new = (P_new.cumsum(axis=1) < rng.rand(8_000, 1)).sum(axis=1)
    assert _calibration_error(Q, y_new) < _calibration_error(P_new, y_new) + 0.01


def _calibration_error(Q, y, n_bins=15):
    """Mean gap between confidence and accuracy over bins of equal mass."""
    confidence, correct = Q.max(axis=1), Q.argmax(axis=1) == y
    bins = np.array_split(np.argsort(confidence), n_bins)
    gaps = [abs(confidence[b].mean() - correct[b].mean()) for b in bins]
    return np.average(gaps, weights=[len(b) for b in bins])


def test_mlp_student_of_labels_equals_that_of_one_hot_targets(digits):
    X, y = digits
    one = quick().fit(X, y)
    two = quick().fit_soft_targets(X, np.eye(10)[y], classes=np.arange(10))
    assert_array_equal(one.predict_proba(X), two.predict_proba(X))


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_mlp_student_answers_as_its_net(activation, digits):
    X, y = digits
    student = quick((12, 7), activation=activation, ema_decay=0).fit(X, y)
    student.set_params(early_stopping=False).fit(X, y)
    Z = torch.as_tensor(student.encoder_.transform(X, np.float32))
    with torch.no_grad():
        z = student.net_.module_(Z).numpy()
    assert_allclose(student.decision_function(X), z, atol=1e-4)


@pytest.mark.parametrize("early_stopping", [True, False])
@pytest.mark.parametrize("ema_decay", [0, 0.5, 0.99])
def test_mlp_student_learns_with_any_average_of_weights(
    ema_decay, early_stopping, digits
):
    X, y = digits
    student = quick(ema_decay=ema_decay, early_stopping=early_stopping, max_steps=400)
    assert student.fit(X, y).score(X, y) > 0.97
    assert student.partial_fit(X, y).score(X, y) > 0.97


@pytest.mark.parametrize("temperature", [1.0, 5.0])
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_dense_net_writes_the_gradient_of_autograd(activation, temperature):
    from skdistill.students._torch import DenseNet, SoftCrossEntropy

    rng = np.random.RandomState(0)
    shapes = [(5, 7), (7, 4), (4, 3)]
    net = DenseNet(
        [rng.standard_normal(s) for s in shapes],
        [rng.standard_normal(s[1]) for s in shapes],
        activation,
        torch.float64,
        temperature,
    )
    X = torch.as_tensor(rng.standard_normal((11, 5)))
    target = torch.as_tensor(rng.dirichlet(np.ones(3), 11) * rng.rand(11, 1))
    loss = SoftCrossEntropy()(net(X), target)
    scaled = torch.autograd.grad(loss, [net.weight, net.bias])
    expected = [temperature * part for part in scaled]
    net.bind()
    expected_loss = float(loss.detach())
    assert float(net.step(X, target, weighted=True)) == pytest.approx(expected_loss)
    assert_allclose(net.weight.grad, expected[0], atol=1e-12)
    assert_allclose(net.bias.grad, expected[1], atol=1e-12)


def test_mlp_student_of_hot_targets_answers_at_temperature_one(digits):
    X, y = digits
    P = quick(max_steps=400).fit(X, y).predict_proba(X)
    student = quick((16,), max_steps=1500)
    student.fit_soft_targets(
        X, temper(P, 20.0), classes=np.arange(10), temperature=20.0
    )
    Q = student.predict_proba(X)
    assert np.mean(Q.argmax(axis=1) == P.argmax(axis=1)) > 0.97
    assert abs(Q.max(axis=1).mean() - P.max(axis=1).mean()) < 0.05


# -- weights and splits ----------------------------------------------------------------


def test_mlp_student_weights_equal_repeated_rows_exactly_on_few_rows():
    X, y = load_iris(return_X_y=True)
    weight = np.random.RandomState(0).randint(0, 3, len(y))
    one = quick().fit(X, y, sample_weight=weight)
    two = quick().fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    assert_array_equal(one.predict_proba(X), two.predict_proba(X))


@pytest.mark.parametrize("n_rows", [FEW_ROWS, 600])
def test_mlp_student_takes_rows_of_weight_zero_as_absent(n_rows, digits):
    X, y = digits[0][:n_rows], digits[1][:n_rows]
    weight = np.ones(n_rows)
    weight[::5] = 0
    one = quick().fit(X, y, sample_weight=weight)
    two = quick().fit(X[weight > 0], y[weight > 0])
    assert_allclose(one.predict_proba(X), two.predict_proba(X), rtol=1e-12)


def test_mlp_student_ignores_the_scale_of_weights(digits):
    X, y = digits
    weight = np.random.RandomState(0).rand(len(y))
    one = quick().fit(X, y, sample_weight=weight)
    two = quick().fit(X, y, sample_weight=4 * weight)
    assert_allclose(one.predict_proba(X), two.predict_proba(X), atol=1e-4)


def test_mlp_student_learns_from_weights(digits):
    X, y = digits
    favoured = np.where(y == 3, 50.0, 1.0)
    even, odd = quick().fit(X, y), quick().fit(X, y, sample_weight=favoured)
    assert (odd.predict(X) == 3).sum() > (even.predict(X) == 3).sum()


def test_hold_out_keeps_equal_rows_together():
    rng = np.random.RandomState(0)
    X = rng.randint(0, 8, (2000, 4)).astype(np.float32)  # some 500 distinct rows
    X[:, 0] *= -0.0  # 0.0 and -0.0 are the same number
    X[::2, 0] *= -1.0
    rows = training_rows(X, np.eye(2)[rng.randint(0, 2, 2000)], np.ones(2000))
    held = hold_out(rows, 0.2, rng)
    assert 0 < held.sum() <= 400
    inside = {tuple(row) for row in X[held] + 0.0}
    outside = {tuple(row) for row in X[~held] + 0.0}
    assert not inside & outside


def test_hold_out_takes_the_fraction_and_follows_the_seed():
    X = np.random.RandomState(0).standard_normal((5000, 3)).astype(np.float32)
    rows = training_rows(X, np.eye(2)[np.arange(5000) % 2], np.ones(5000))
    masks = [hold_out(rows, 0.1, np.random.RandomState(seed)) for seed in (0, 0, 1)]
    assert [mask.sum() for mask in masks] == [500, 500, 500]
    assert_array_equal(masks[0], masks[1])
    assert (masks[0] & masks[2]).sum() < 100  # 50 are expected to coincide


def test_hold_out_leaves_each_class_rows_to_learn_from():
    X = np.arange(300, dtype=np.float32)[:, np.newaxis]
    P = np.eye(2)[np.zeros(300, dtype=int)]
    P[7] = [0, 1]
    for seed in range(30):
        held = hold_out(
            training_rows(X, P, np.ones(300)), 0.5, np.random.RandomState(seed)
        )
        assert not held[7]
        assert held.any()


def test_mlp_student_keeps_the_weights_of_lowest_validation_loss(digits):
    X, y = digits
    P = np.eye(10)[y]
    student = MLPStudent((32,), max_steps=2000, patience=300, random_state=0)
    student.fit_soft_targets(
        X[:900], P[:900], classes=np.arange(10), validation=(X[900:], P[900:])
    )
    history = student.net_.history
    assert log_loss(y[900:], student.predict_proba(X[900:])) == pytest.approx(
        min(history[:, "valid_loss"]), rel=1e-4
    )
    assert student.n_steps_ == history[-1, "step"] <= 2000


def test_mlp_student_stops_where_nothing_improves(digits):
    X, y = digits
    noise = np.random.RandomState(0).randint(0, 10, len(y))
    student = MLPStudent((64,), patience=200, max_steps=5000, random_state=0)
    assert student.fit(X, noise).n_steps_ < 1500
    student.set_params(early_stopping=False, max_steps=300)
    assert student.fit(X, noise).n_steps_ == 300
    assert "valid_loss" not in student.net_.history[-1]


def test_mlp_student_weighs_validation_rows(digits):
    X, y = digits
    P = np.eye(10)[y]
    weight = (np.arange(len(y)) < 950).astype(float)
    fits = [
        quick().fit_soft_targets(
            X[:900], P[:900], classes=np.arange(10), validation=validation
        )
        for validation in (
            (X[900:], P[900:], weight[900:]),
            (X[900:950], P[900:950]),
        )
    ]
    losses = [fit.net_.history[:, "valid_loss"] for fit in fits]
    assert_allclose(losses[0], losses[1], rtol=1e-6)


# -- tables ----------------------------------------------------------------------------


def table(library, n=600):
    rng = np.random.RandomState(0)
    x, kind = rng.standard_normal(n), rng.choice(["a", "b", "c"], n)
    hole = rng.rand(n) < 0.3
    y = (x + 2 * (kind == "a") - 2 * hole > 0.3).astype(int)
    size = [None if gone else float(v) for gone, v in zip(hole, x, strict=True)]
    return library.DataFrame({"x": x, "kind": kind, "size": size}), y


@pytest.mark.parametrize("library", [pd, pl], ids=["pandas", "polars"])
def test_mlp_student_learns_from_categories_and_missing_values(library):
    X, y = table(library)
    student = MLPStudent((16,), max_steps=600, random_state=0).fit(X, y)
    assert student.score(X, y) > 0.95
    assert_array_equal(student.feature_names_in_, ["x", "kind", "size"])


def test_mlp_student_gives_the_same_from_pandas_and_polars():
    X, y = table(pd)
    Z, _ = table(pl)
    assert_array_equal(
        quick().fit(X, y).predict_proba(Z), quick().fit(Z, y).predict_proba(X)
    )


def test_mlp_student_fitted_on_categories_wants_a_frame():
    X, y = table(pd)
    student = quick().fit(X, y)
    with pytest.raises(TypeError, match="must be a data frame"):
        student.predict(X.to_numpy())
    with pytest.raises(ValueError, match="feature names"):
        student.predict(X.rename(columns={"x": "w"}))


def test_mlp_student_fitted_on_a_frame_warns_about_arrays():
    X, y = load_iris(return_X_y=True, as_frame=True)
    student = quick().fit(X, y)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        student.predict_proba(X.to_numpy())


# -- answers ---------------------------------------------------------------------------


def test_mlp_student_answers_a_row_alone_as_in_a_batch(digits):
    X, y = digits
    student = quick((64, 64)).fit(X, y)
    P = student.predict_proba(X)
    alone = np.vstack([student.predict_proba(row[np.newaxis]) for row in X[:200]])
    assert_allclose(alone, P[:200], rtol=0, atol=1e-12)
    assert_allclose(P.sum(axis=1), 1, atol=1e-14)


def test_mlp_student_answers_long_inputs_in_blocks():
    X, y = load_iris(return_X_y=True)
    student = quick().fit(X, y)
    many = np.tile(X, (1000, 1))  # three blocks
    P = student.predict_proba(many)
    assert_allclose(P, np.tile(P[:150], (1000, 1)), atol=1e-12)


def test_mlp_student_quick_path_equals_the_checked_one(digits):
    X, y = digits
    student = quick().fit(X, y)
    assert_allclose(
        student.predict_proba(X), student.predict_proba(X.tolist()), atol=1e-13
    )


def test_mlp_student_answers_float32_rows_as_float64(digits):
    X, y = digits
    student = quick().fit(X / 16, y)
    P = student.predict_proba(X / 16)
    assert_allclose(student.predict_proba((X / 16).astype(np.float32)), P, atol=1e-6)


def test_mlp_student_log_proba_is_finite_far_out():
    X, y = load_iris(return_X_y=True)
    student = MLPStudent((8,), random_state=0).fit(X, y)
    student.coefs_[-1] = student.coefs_[-1] * 1e4
    assert np.isfinite(student.predict_log_proba(X)).all()
    assert (student.predict_proba(X) == 0).any()


def test_mlp_student_binary_decision_is_the_log_odds():
    X, y = load_breast_cancer(return_X_y=True)
    student = quick().fit(X, y)
    log_p = student.predict_log_proba(X)
    assert_allclose(student.decision_function(X), log_p[:, 1] - log_p[:, 0], atol=1e-10)


@pytest.mark.parametrize(
    "labels", [["b", "a"], [True, False], [10, -3], [2.0, 1.0]], ids=str
)
def test_mlp_student_keeps_the_kind_of_labels(labels):
    X, y = load_breast_cancer(return_X_y=True)
    y = np.array(labels)[y]
    student = quick(max_steps=200).fit(X, y)
    assert_array_equal(student.classes_, np.unique(y))
    assert student.predict(X).dtype == y.dtype
    assert student.score(X, y) > 0.9


def test_mlp_student_learns_many_classes(digits):
    X, y = digits
    y = 10 * y + (X[:, 20] > 8)  # 20 classes
    student = MLPStudent((64,), max_steps=1000, random_state=0).fit(X, y)
    assert len(student.classes_) == len(np.unique(y))
    assert student.score(X, y) > 0.9


def test_mlp_student_answers_from_several_threads(digits):
    X, y = digits
    student, wrong = quick().fit(X, y), []
    expected = student.predict_proba(X)

    def ask():
        for _ in range(10):
            wrong.append(not np.array_equal(student.predict_proba(X), expected))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wrong) == 40
    assert not any(wrong)


# -- state -----------------------------------------------------------------------------


@pytest.mark.parametrize("n_rows", [150, 900])
def test_mlp_student_is_deterministic_and_touches_no_global_seed(n_rows, digits):
    X, y = digits[0][:n_rows], digits[1][:n_rows]
    np.random.seed(3)
    torch.manual_seed(3)
    threads = torch.get_num_threads()
    numpy_state, torch_state = np.random.get_state()[1], torch.get_rng_state()
    one = quick().fit(X, y)
    assert_array_equal(np.random.get_state()[1], numpy_state)
    assert_array_equal(torch.get_rng_state(), torch_state)
    assert torch.get_num_threads() == threads
    np.random.seed(4)
    torch.manual_seed(4)
    assert_array_equal(quick().fit(X, y).predict_proba(X), one.predict_proba(X))
    other = quick(random_state=1).fit(X, y)
    assert not np.array_equal(other.predict_proba(X), one.predict_proba(X))


def test_mlp_student_restores_the_number_of_threads_after_an_error(digits):
    class Fails(Callback):
        def on_epoch_end(self, net, **kwargs):
            raise RuntimeError("from the callback")

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(RuntimeError, match="from the callback"):
            quick(callbacks=[Fails()]).fit(*digits)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_mlp_student_drops_the_net_where_it_is_copied(digits):
    X, y = digits
    student = quick((64, 64)).fit(X, y)
    data = pickle.dumps(student)
    n_numbers = sum(a.size for a in student.coefs_ + student.intercepts_)
    assert len(data) < 8 * n_numbers + 6000
    for again in (pickle.loads(data), copy.deepcopy(student)):
        assert not hasattr(again, "net_")
        assert_array_equal(again.predict_proba(X), student.predict_proba(X))
    assert student.net_.history


def test_mlp_student_loads_and_predicts_without_torch(digits, tmp_path):
    X, y = digits
    student = quick().fit(X, y)
    (tmp_path / "student.pkl").write_bytes(pickle.dumps(student))
    np.save(tmp_path / "X.npy", X[:5])
    code = """
import pickle, sys
import numpy as np
student = pickle.load(open("student.pkl", "rb"))
np.save("P.npy", student.predict_proba(np.load("X.npy")))
assert not {"torch", "skorch"} & set(sys.modules)
"""
    root = __file__.rpartition("/tests/")[0]
    subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {root!r})\n" + code],
        cwd=tmp_path,
        check=True,
    )
    assert_array_equal(np.load(tmp_path / "P.npy"), student.predict_proba(X[:5]))


def test_mlp_student_arrays_are_all_it_answers_from(digits):
    X, y = digits
    student = quick((16, 8)).fit(X, y)
    assert [c.shape for c in student.coefs_] == [(64, 16), (16, 8), (8, 10)]
    assert [b.shape for b in student.intercepts_] == [(16,), (8,), (10,)]
    assert {a.dtype for a in student.coefs_ + student.intercepts_} == {np.dtype(float)}
    h = student.encoder_.transform(X)
    for coef, intercept in zip(student.coefs_, student.intercepts_, strict=True):
        z = h @ coef + intercept
        h = np.maximum(z, 0)
    assert_allclose(student.predict_proba(X), softmax(z, axis=1), atol=1e-12)


def test_mlp_student_without_hidden_layers_is_linear(digits):
    X, y = digits
    student = quick((), max_steps=300).fit(X, y)
    assert [c.shape for c in student.coefs_] == [(64, 10)]
    assert student.score(X, y) > 0.9


def test_mlp_student_failing_to_fit_again_answers_nothing(digits):
    X, y = digits
    student = quick().fit(X, y)
    with pytest.raises(ValueError, match="at least two classes"):
        student.fit(X[:, :3], np.zeros(len(X)))
    with pytest.raises(NotFittedError):
        student.predict(X)


# -- going on --------------------------------------------------------------------------


def test_mlp_student_partial_fit_learns_from_a_stream(digits):
    X, y = digits
    student = MLPStudent((32,), random_state=0)
    scores = []
    for start in [*range(0, 1500, 300)] * 6:
        part = slice(start, start + 300)
        student.partial_fit(X[part], y[part], classes=np.arange(10))
        scores.append(student.score(X[1500:], y[1500:]))
    assert scores[-1] > 0.85
    assert scores[-1] > scores[0]
    assert student.n_steps_ == 30 * 3  # batches of 128, 128 and 44 rows


def test_mlp_student_partial_fit_goes_on_from_loaded_arrays(digits):
    X, y = digits
    student = quick(max_steps=500).fit(X[:900], y[:900])
    before = log_loss(y[900:], student.predict_proba(X[900:]))
    again = pickle.loads(pickle.dumps(student))
    for _ in range(10):
        again.partial_fit(X[900:], y[900:])
    assert log_loss(y[900:], again.predict_proba(X[900:])) < before
    assert again.n_steps_ == student.n_steps_ + 10 * 8
    # the pass after fit starts where fit ended, with a fresh optimiser too
    one, two = pickle.loads(pickle.dumps(student)), student
    one.partial_fit(X, y)
    two.partial_fit(X, y)
    assert_array_equal(one.predict_proba(X), two.predict_proba(X))


def test_mlp_student_partial_fit_keeps_its_optimiser_between_calls(digits):
    X, y = digits
    student = quick().partial_fit(X, y, classes=np.arange(10))
    net = student.net_
    assert student.partial_fit(X, y).net_ is net


def test_mlp_student_partial_fit_takes_one_row():
    X, y = load_iris(return_X_y=True)
    with pytest.warns(UserWarning, match="All 4 numeric columns are constant in"):
        student = quick().partial_fit(X[:1], y[:1], classes=[0, 1, 2])
    assert student.partial_fit(X[1:2], y[1:2]).n_steps_ == 2


def test_mlp_student_partial_fit_checks_classes():
    X, y = load_iris(return_X_y=True)
    student = quick()
    with pytest.raises(ValueError, match="classes must be given in the first call"):
        student.partial_fit(X, y)
    with pytest.raises(ValueError, match=r"among the classes \[0, 1\], got \[2\]"):
        student.partial_fit(X, y, classes=[0, 1])
    with pytest.raises(NotFittedError):
        student.predict(X)
    student.partial_fit(X[:100], y[:100], classes=[1, 0])
    assert_array_equal(student.classes_, [0, 1])
    with pytest.raises(ValueError, match=r"of the first call.*got \[0, 2\]"):
        student.partial_fit(X[:100], y[:100], classes=[0, 2])


def test_mlp_student_warm_start_goes_on(digits):
    X, y = digits
    cold = quick(max_steps=100).fit(X, y)
    warm = quick(max_steps=100, warm_start=True).fit(X, y)
    assert_array_equal(warm.predict_proba(X), cold.predict_proba(X))
    for _ in range(4):
        warm.fit(X, y)
    assert log_loss(y, warm.predict_proba(X)) < log_loss(y, cold.predict_proba(X))
    with pytest.raises(ValueError, match="warm_start=False to begin again"):
        warm.fit(X, y % 5)
    warm.set_params(hidden_layer_sizes=(8, 8))
    with pytest.raises(ValueError, match=r"net that training goes on from, \(16,\)"):
        warm.fit(X, y)
    assert warm.score(X, y) > 0.5  # the refused fits changed nothing


# -- skorch, devices, routing ----------------------------------------------------------


def test_mlp_student_calls_skorch_callbacks(digits):
    class Counts(Callback):
        epochs = batches = 0

        def on_epoch_end(self, net, **kwargs):
            self.epochs += 1

        def on_batch_end(self, net, training, **kwargs):
            self.batches += training

    counts = Counts()
    student = quick(callbacks=[counts], early_stopping=False).fit(*digits)
    assert counts.batches == student.n_steps_ == 60
    assert counts.epochs == len(student.net_.history)
    plain = quick(early_stopping=False).fit(*digits)
    assert_array_equal(student.predict_proba(digits[0]), plain.predict_proba(digits[0]))


def test_mlp_student_shows_epochs_only_where_asked(digits, capsys):
    quick().fit(*digits)
    assert capsys.readouterr().out == ""
    quick(verbose=1).fit(*digits)
    assert "valid_loss" in capsys.readouterr().out


@pytest.mark.parametrize("device", ["cuda", "mps", "abacus"])
def test_mlp_student_refuses_a_device_that_is_not_there(device, digits, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ValueError, match=rf"device must be 'auto'.*got '{device}'"):
        quick(device=device).fit(*digits)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_mlp_student_trains_on_a_gpu(digits):
    X, y = digits
    student = MLPStudent(device="cuda", max_steps=1000, random_state=0).fit(X, y)
    assert student.score(X, y) > 0.98
    assert student.partial_fit(X, y).score(X, y) > 0.98


def test_mlp_student_routes_sample_weight(digits):
    X, y = digits
    weight = np.random.RandomState(0).rand(len(y))
    with config_context(enable_metadata_routing=True):
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipe = make_pipeline(scaler, quick().set_fit_request(sample_weight=True))
        pipe.fit(X, y, sample_weight=weight)
    alone = quick().fit(StandardScaler().fit_transform(X), y, sample_weight=weight)
    assert_allclose(
        pipe.predict_proba(X), alone.predict_proba(StandardScaler().fit_transform(X))
    )


# -- bad input -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "params",
    [
        {"hidden_layer_sizes": 8},
        {"activation": "sine"},
        {"learning_rate": 0.0},
        {"weight_decay": -1.0},
        {"batch_size": 0},
        {"batch_size": "big"},
        {"max_steps": 0},
        {"early_stopping": "maybe"},
        {"validation_fraction": 1.0},
        {"patience": 0},
        {"ema_decay": 1.0},
        {"max_categories": 1},
        {"warm_start": "no"},
        {"callbacks": "print"},
        {"device": 1},
        {"random_state": "zero"},
    ],
    ids=str,
)
def test_mlp_student_refuses_parameters_out_of_range(params):
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match=f"The '{next(iter(params))}' parameter"):
        MLPStudent(**params).fit(X, y)


@pytest.mark.parametrize("sizes", [(0,), (8, -1), (2.5,), ("8",), [[8, 8]]], ids=str)
def test_mlp_student_refuses_sizes_of_layers_that_are_none(sizes):
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match="hidden_layer_sizes must be integers"):
        MLPStudent(sizes).fit(X, y)


def _spoil(P, row, values):
    P = P.copy()
    P[row] = values
    return P


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda P: _spoil(P, 3, [np.nan, 0.5, 0.5]), "must be finite.*row 3"),
        (lambda P: _spoil(P, 4, [-0.5, 1.0, 0.5]), ".*-0.5.*row 4"),
        (lambda P: _spoil(P, 0, [0.5, 0.2, 0.2]), "must sum to 1 .*row 0"),
        (lambda P: P[:, :2], r"must have shape .* \(150, 3\), got \(150, 2\)"),
        (lambda P: P[:-1], r"must have shape .* \(150, 3\), got \(149, 3\)"),
        (lambda P: "abc", "must be an array of probabilities"),
    ],
    ids=["nan", "negative", "sum", "columns", "rows", "text"],
)
def test_mlp_student_refuses_what_are_no_probabilities(spoil, message):
    X, y = load_iris(return_X_y=True)
    P = np.eye(3)[y]
    with pytest.raises(ValueError, match=f"soft_targets {message}"):
        quick().fit_soft_targets(X, spoil(P), classes=[0, 1, 2])
    with pytest.raises(ValueError, match=f"soft targets in validation {message}"):
        quick().fit_soft_targets(X, P, classes=[0, 1, 2], validation=(X, spoil(P)))


@pytest.mark.parametrize(
    ("classes", "error", "message"),
    [
        (None, TypeError, "classes must be an array.*got None"),
        ([2, 1, 0], ValueError, r"must be sorted and distinct, got \[2, 1, 0\]"),
        ([0, 1, 1], ValueError, "must be sorted and distinct"),
        ([5], ValueError, "at least two labels"),
    ],
    ids=str,
)
def test_mlp_student_refuses_bad_classes(classes, error, message):
    X, y = load_iris(return_X_y=True)
    with pytest.raises(error, match=message):
        quick().fit_soft_targets(X, np.eye(3)[y], classes=classes)


def test_mlp_student_refuses_bad_rows_and_weights():
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match="at least two classes, got one class"):
        quick().fit(X, np.ones(150))
    with pytest.raises(ValueError, match=r"weights? must"):
        quick().fit(X, y, sample_weight=np.zeros(150))
    with pytest.raises(ValueError, match=r"[Nn]egative values in data"):
        quick().fit(X, y, sample_weight=np.r_[-1.0, np.ones(149)])
    with pytest.raises(ValueError, match="contains infinity"):
        quick().fit(np.where(X > 7, np.inf, X), y)
    student = quick().fit(X, y)
    with pytest.raises(ValueError, match="contains infinity"):
        student.predict(np.full((1, 4), np.inf))


@pytest.mark.parametrize(
    ("validation", "error", "message"),
    [
        ([1, 2], TypeError, "must be a tuple .*got list"),
        ((1,), TypeError, "got a tuple of length 1"),
        ((np.ones((2, 3)), np.eye(3)[:2]), ValueError, "X has 3 features"),
        ((np.ones((2, 4)), np.eye(3)), ValueError, "in validation must have shape"),
        (
            (np.ones((3, 4)), np.eye(3), np.zeros(3)),
            ValueError,
            "weights? must",
        ),
    ],
    ids=["list", "short", "features", "rows", "weights"],
)
def test_mlp_student_refuses_bad_validation(validation, error, message):
    X, y = load_iris(return_X_y=True)
    with pytest.raises(error, match=message):
        quick().fit_soft_targets(
            X, np.eye(3)[y], classes=[0, 1, 2], validation=validation
        )


@pytest.mark.parametrize(
    ("given", "n_rows", "expected"),
    [("auto", 9_999, 0.01), ("auto", 10_000, 0.02), (0.005, 10_000, 0.005)],
)
def test_learning_rate_goes_with_the_rows(given, n_rows, expected):
    X = np.linspace(-1, 1, n_rows)[:, None]
    student = MLPStudent((2,), learning_rate=given, max_steps=1, random_state=0)
    student.fit(X, X[:, 0] > 0)
    assert student.net_.lr == expected
    assert student.learning_rate == given


def test_mlp_student_clones_and_sets_parameters():
    student = MLPStudent((4,), learning_rate=0.1)
    assert clone(student).get_params() == student.get_params()
    assert student.set_params(patience=7).patience == 7


def test_mlp_student_pickles_through_any_protocol():
    X, y = load_wine(return_X_y=True)
    student = quick().fit(X, y)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        file = io.BytesIO()
        pickle.dump(student, file, protocol)
        file.seek(0)
        assert_array_equal(pickle.load(file).predict(X), student.predict(X))


@pytest.mark.parametrize("library", [pd, pl], ids=["pandas", "polars"])
def test_mlp_student_is_stored_by_skops_without_code(library):
    X, y = table(library)
    student = quick().fit(X, y)
    data = skops.io.dumps(student)
    own = [
        "skdistill.students._mlp.MLPStudent",
        "skdistill.students._table.TableEncoder",
    ]
    assert skops.io.get_untrusted_types(data=data) == own
    again = skops.io.loads(data, trusted=own)
    assert_array_equal(again.predict_proba(X), student.predict_proba(X))


def test_ctrl_c_ends_the_fit_with_an_error(digits):
    X, y = digits

    def interrupt(*args):
        raise KeyboardInterrupt

    net = quick(max_steps=100_000, early_stopping=False)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 1.0, 1.0)
        with pytest.raises(KeyboardInterrupt):
            net.fit(X, y)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert not hasattr(net, "coefs_")


@pytest.mark.parametrize(
    "where",
    [(History, "record"), (EpochTimer, "on_epoch_end"), (NeuralNet, "get_iterator")],
    ids=["between epochs", "in skorch's own callback", "before the first epoch"],
)
def test_ctrl_c_is_never_taken_for_the_end_of_training(digits, monkeypatch, where):
    X, y = digits
    owner, name = where

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(owner, name, interrupt)
    with pytest.raises(KeyboardInterrupt):
        quick(max_steps=200).fit(X, y)


def test_mlp_student_callback_may_end_training(digits):
    class Enough(Callback):
        def on_epoch_end(self, net, **kwargs):
            raise KeyboardInterrupt  # skorch's way

    X, y = digits
    net = quick(max_steps=5_000, callbacks=[Enough()]).fit(X, y)
    assert net.n_steps_ < 5_000


def test_mlp_student_warm_start_looks_at_what_matters(digits):
    X, y = digits
    warm = quick(max_steps=50, warm_start=True).fit(X, y)
    warm.set_params(n_bins=8).fit(X, y)  # for piecewise inputs, which it has not
    with pytest.raises(ValueError, match="max_categories must be those of the net"):
        warm.set_params(max_categories=3).fit(X, y)


@pytest.mark.parametrize("share", [0.03, 0.1, 0.2])
def test_mlp_student_survives_codes_for_what_is_missing(share):
    X, y = make_classification(
        1200, 8, n_informative=6, n_redundant=0, class_sep=1.2, random_state=3
    )
    X = np.where(np.random.RandomState(0).rand(*X.shape) < share, -99999.0, X)
    student = MLPStudent(random_state=0).fit(X[:900], y[:900])
    assert student.score(X[900:], y[900:]) > 0.74


@pytest.mark.parametrize("temperature", [0, -1.0, np.nan, np.inf, "a", None])
def test_mlp_student_refuses_a_temperature(temperature, digits):
    with pytest.raises(ValueError, match="temperature must be a finite number above"):
        quick().fit_soft_targets(
            digits[0], np.eye(10)[digits[1]], classes=range(10), temperature=temperature
        )


def test_mlp_student_says_that_training_diverged(digits):
    with pytest.raises(ValueError, match=r"Training diverged within \d+ steps"):
        MLPStudent(weight_decay=1e4, random_state=0).fit(*load_wine(return_X_y=True))
    stream = MLPStudent(weight_decay=1e5, random_state=0)
    with pytest.raises(ValueError, match=r"Training diverged within \d+ steps"):
        for _ in range(5):
            stream.partial_fit(*digits, classes=range(10))


def test_mlp_student_keeps_to_a_decay_that_a_large_rate_allows():
    X, y = load_wine(return_X_y=True)
    assert MLPStudent(learning_rate=0.5, random_state=0).fit(X, y).score(X, y) > 0.95


def test_mlp_student_learns_each_of_few_different_rows():
    code = np.repeat(np.arange(95), 3)
    y = np.random.RandomState(7).randint(0, 2, 95)[code]
    X = pd.DataFrame({"code": [f"k{i}" for i in code]})
    scores = [MLPStudent(random_state=s).fit(X, y).score(X, y) for s in range(5)]
    assert min(scores) > 0.95


@pytest.mark.parametrize("kind", ["decimal", "fraction", "sparse", "bool_"])
def test_mlp_student_takes_all_kinds_of_numbers_for_numbers(kind):
    x = np.random.RandomState(0).randn(300).round(3)
    column = {
        "decimal": lambda: [Decimal(f"{v:.3f}") for v in x],
        "fraction": lambda: [Fraction(int(v * 1000), 1000) for v in x],
        "sparse": lambda: pd.arrays.SparseArray(x),
        "bool_": lambda: pd.Series(list(np.array(x > 0)), dtype=object),
    }[kind]()
    X = pd.DataFrame({"a": column})
    student = quick(max_steps=300).fit(X, x > 0)
    assert not student.encoder_.categorical_
    assert student.score(X, x > 0) > 0.97


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (datetime.date(2020, 1, 1), "Turn dates and durations into numbers"),
        (datetime.timedelta(1), "Turn dates and durations into numbers"),
        ([1, 2], "Make columns of its parts"),
        (1j, "Make columns of its parts"),
    ],
)
def test_mlp_student_refuses_cells_that_are_no_levels(cell, message):
    X = pd.DataFrame({"when": pd.Series([cell] * 30, dtype=object)})
    with pytest.raises(TypeError, match=rf"Column 'when' must hold.*{message}"):
        quick().fit(X, np.arange(30) % 2)


@pytest.mark.parametrize(
    "callback",
    [
        EpochScoring(lambda net, X, y: 1.0, name="s", use_caching=False),
        Checkpoint(dirname="never"),
        ("rate", LRScheduler()),
        Freezer("*"),
    ],
)
def test_mlp_student_refuses_callbacks_that_would_do_nothing(callback, digits):
    with pytest.raises(ValueError, match="callbacks must only watch the history"):
        quick(callbacks=[callback]).fit(*digits)


def test_mlp_student_takes_a_tuple_of_callbacks(digits):
    quick(callbacks=(EpochTimer(),)).fit(*digits)
