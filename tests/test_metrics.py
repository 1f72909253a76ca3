import pickle
import time

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from scipy.special import softmax
from scipy.stats import entropy
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from threadpoolctl import threadpool_info

from skdistill.metrics import (
    agreement,
    expected_calibration_error,
    gap_closed,
    mean_kl_divergence,
    model_size,
    retention,
    single_row_latency,
)


def draw(n_rows, n_classes=3, seed=0):
    rng = np.random.default_rng(seed)
    P = softmax(rng.normal(size=(n_rows, n_classes)), axis=1)
    codes = (P.cumsum(axis=1) > rng.random((n_rows, 1))).argmax(axis=1)
    return P, codes


# -- fidelity --------------------------------------------------------------------------


def test_agreement_equals_the_accuracy_on_the_teachers_labels():
    P, _ = draw(500)
    Q, _ = draw(500, seed=1)
    weight = np.random.default_rng(0).random(500)
    expected = accuracy_score(P.argmax(1), Q.argmax(1), sample_weight=weight)
    assert agreement(P, Q, sample_weight=weight) == pytest.approx(expected, rel=1e-12)


def test_agreement_takes_labels_on_either_side():
    P, _ = draw(50)
    classes = np.array(["a", "b", "c"])
    labels = classes[P.argmax(axis=1)]
    other = np.where(np.arange(50) < 10, "z", labels)
    assert agreement(labels, other) == pytest.approx(0.8)
    assert agreement(P, other, classes=classes) == pytest.approx(0.8)
    assert agreement(other, pd.DataFrame(P), classes=classes) == pytest.approx(0.8)


def test_mean_kl_divergence_equals_the_entropy_of_scipy():
    P, _ = draw(200)
    Q, _ = draw(200, seed=1)
    P[0] = [1, 0, 0]
    weight = np.random.default_rng(0).random(200)
    expected = np.average(entropy(P, Q, axis=1), weights=weight)
    found = mean_kl_divergence(P, Q, sample_weight=weight)
    assert found == pytest.approx(expected, rel=1e-12)
    assert mean_kl_divergence(P, P) == 0


def test_mean_kl_divergence_is_finite_where_the_student_says_never():
    far = mean_kl_divergence([[0.5, 0.5]], [[1.0, 0.0]])
    assert far == pytest.approx(0.5 * np.log(0.5) + 0.5 * np.log(0.5 / 1e-15))


# -- calibration -----------------------------------------------------------------------


def naive_ece(codes, P, n_bins):
    """Equal-mass bins of rows that all differ in confidence."""
    order = sorted(range(len(P)), key=lambda i: max(P[i]))
    bins = [[] for _ in range(n_bins)]
    for place, i in enumerate(order):
        bins[int(n_bins * (place + 0.5) / len(order))].append(i)
    total = 0.0
    for rows in bins:
        right = sum(int(np.argmax(P[i]) == codes[i]) for i in rows)
        total += abs(right - sum(max(P[i]) for i in rows))
    return total / len(P)


@pytest.mark.parametrize(("n_rows", "n_bins"), [(1_000, 15), (37, 5), (7, 15), (9, 1)])
def test_expected_calibration_error_equals_a_plain_loop(n_rows, n_bins):
    P, codes = draw(n_rows)
    found = expected_calibration_error(codes, P, n_bins=n_bins, classes=range(3))
    assert found == pytest.approx(naive_ece(codes, P, n_bins), abs=1e-12)


@given(st.lists(st.integers(0, 3), min_size=20, max_size=20), st.randoms())
def test_expected_calibration_error_counts_weights_as_copies_in_any_order(
    weight, random
):
    P, codes = draw(20)
    P = np.round(P, 1) / np.round(P, 1).sum(axis=1, keepdims=True)  # with ties
    weight[0] += 1
    rows = np.repeat(np.arange(20), weight)
    random.shuffle(rows_list := rows.tolist())
    copies = expected_calibration_error(
        codes[rows_list], P[rows_list], n_bins=4, classes=range(3)
    )
    weighted = expected_calibration_error(
        codes, P, n_bins=4, classes=range(3), sample_weight=weight
    )
    assert weighted == pytest.approx(copies, abs=1e-12)


def test_expected_calibration_error_is_small_for_the_truth_and_large_for_the_sure():
    P, codes = draw(50_000)
    assert expected_calibration_error(codes, P) < 0.012
    sure = np.eye(3)[P.argmax(axis=1)]
    accuracy = np.mean(P.argmax(axis=1) == codes)
    found = expected_calibration_error(codes, sure)
    assert found == pytest.approx(1 - accuracy, rel=1e-9)


def test_expected_calibration_error_knows_labels_by_their_classes():
    P, codes = draw(300)
    labels = np.array(["a", "b", "c"])[codes]
    expected = expected_calibration_error(codes, P)
    assert expected_calibration_error(labels, P) == expected
    turned = expected_calibration_error(labels, P[:, ::-1], classes=["c", "b", "a"])
    assert turned == pytest.approx(expected, rel=1e-12)


# -- what was kept ---------------------------------------------------------------------


def test_retention_is_a_ratio_in_the_direction_of_better():
    assert retention(0.9, 0.8) == pytest.approx(1.125)
    assert retention(0.4, 0.3, greater_is_better=False) == pytest.approx(0.75)
    assert np.isnan(retention(0.5, 0.0))
    assert np.isnan(retention(-0.1, 0.5))
    np.testing.assert_allclose(retention([0.5, 0.5], [1.0, 0.0]), [0.5, np.nan])


def test_gap_closed_says_the_share_of_the_way():
    assert gap_closed(0.8, 0.85, 0.9) == pytest.approx(0.5)
    assert gap_closed(0.8, 0.75, 0.9) == pytest.approx(-0.5)
    assert gap_closed(0.5, 0.2, 0.3, greater_is_better=False) == pytest.approx(1.5)
    errors = {"plain": 146, "student": 74, "teacher": 67}  # Hinton's MNIST
    found = gap_closed(**errors, greater_is_better=False)
    assert found == pytest.approx(72 / 79)


@pytest.mark.parametrize("teacher", [0.8, 0.7, np.nan])
def test_gap_closed_is_undefined_where_there_is_no_gap(teacher):
    assert np.isnan(gap_closed(0.8, 0.9, teacher))
    assert isinstance(gap_closed(0.8, 0.9, teacher), float)
    found = gap_closed([0.8, 0.8], [0.9, 0.9], [teacher, 1.0])
    np.testing.assert_allclose(found, [np.nan, 0.5])


# -- cost ------------------------------------------------------------------------------


class Sleeper:
    """Answers after a while; remembers what it was asked and with how many threads."""

    def __init__(self, seconds=0.0, slow_every=None):
        self.seconds, self.slow_every = seconds, slow_every
        self.asked, self.threads = [], set()

    def predict_proba(self, X):
        self.asked.append(X)
        self.threads |= {pool["num_threads"] for pool in threadpool_info()}
        self.threads.add(torch.get_num_threads())
        time.sleep(self.seconds)

    predict = predict_proba


def test_single_row_latency_measures_what_a_call_takes():
    found = single_row_latency(Sleeper(0.02), np.eye(3), n_calls=10, n_warmup=1)
    assert found["n_calls"] == 10
    assert 0.02 <= found["p50"] <= found["p99"]
    assert found["p50"] < 2  # seconds, not milliseconds


@pytest.mark.parametrize(
    "X",
    [
        np.arange(6.0).reshape(3, 2),
        pd.DataFrame({"a": [1, 2, 3]}),
        sparse.csr_array(np.eye(3)),
        ["one", "two", "three"],
    ],
)
def test_single_row_latency_asks_one_row_at_a_time_in_turn(X):
    model = Sleeper()
    single_row_latency(model, X, n_calls=5, n_warmup=0, method="predict")
    assert len(model.asked) == 5
    for i, row in enumerate(model.asked):
        assert type(row) is type(X)
        if isinstance(X, list):
            assert row == [X[i % 3]]
        else:
            assert row.shape == (1, X.shape[1])
    assert model.asked[3] is model.asked[0]


def test_single_row_latency_holds_libraries_to_one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        model = Sleeper()
        single_row_latency(model, np.eye(2), n_calls=2)
        assert model.threads == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_single_row_latency_stops_when_time_is_up():
    found = single_row_latency(
        Sleeper(0.01), np.eye(2), n_calls=10_000, n_warmup=0, max_seconds=0.05
    )
    assert 1 <= found["n_calls"] <= 6


def test_model_size_equals_the_length_of_the_pickle():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 500))
    model = LogisticRegression(max_iter=20).fit(X, X[:, 0] > 0)
    for thing in (model, {"big": np.zeros(300_000)}, np.asfortranarray(X), None):
        assert model_size(thing) == len(pickle.dumps(thing, pickle.HIGHEST_PROTOCOL))


# -- bad input -------------------------------------------------------------------------

P2 = np.full((4, 2), 0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: agreement(P2, P2[:3]), "inconsistent numbers of samples"),
        (lambda: agreement(P2, [0, 1, 0, 1]), "classes must be given where one"),
        (lambda: agreement(P2, np.eye(4)), r"same columns, got shapes \(4, 2\) and"),
        (
            lambda: agreement(P2, list("abcd"), classes=list("abc")),
            "one label for each column",
        ),
        (lambda: agreement(P2, P2 * np.nan), "NaN"),
        (lambda: mean_kl_divergence(P2, 2 * P2), "Q must sum to 1 in each row"),
        (lambda: mean_kl_divergence(P2, P2[:3]), r"Q must have shape .* \(4, 2\), got"),
        (
            lambda: mean_kl_divergence([0.5], [0.5]),
            r"P must have shape \(n_samples, n_",
        ),
        (lambda: mean_kl_divergence(P2[:0], P2[:0]), "at least one row, got 0 rows"),
        (lambda: expected_calibration_error([0, 1], P2), r"\(2, 2\), got \(4, 2\)"),
        (lambda: expected_calibration_error([0, 1, 1, 0], P2, n_bins=0), "n_bins must"),
        (
            lambda: expected_calibration_error([0, 1, 5, 0], P2, classes=[0, 1]),
            r"classes \[0, 1\] only, got also \[5\]",
        ),
        (lambda: agreement(P2, P2, sample_weight=[1, 2]), "each of the 4 rows, got 2"),
        (lambda: agreement(P2, P2, sample_weight=[0] * 4), "not zero for all rows"),
        (lambda: agreement(P2, P2, sample_weight=[1, 1, 1, -1]), "not negative"),
        (lambda: gap_closed([1, 2], 1, 2), r"arrays of one shape, got shapes"),
        (
            lambda: single_row_latency(DummyClassifier(), P2[:0]),
            "at least one call to time, got 0 rows",
        ),
    ],
)
def test_metrics_refuse_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
