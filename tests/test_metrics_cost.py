"""What a model costs."""

import gc
import pickle
import time

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_info

from skdistill.metrics import measure_latency, model_size


class Sleeper:
    """Answers after a while; remembers what it was asked and with how many threads."""

    def __init__(self, seconds=0.0):
        self.seconds = seconds
        self.asked, self.threads, self.collects = [], set(), set()

    def predict_proba(self, X):
        self.asked.append(X)
        self.threads |= {pool["num_threads"] for pool in threadpool_info()}
        self.threads.add(torch.get_num_threads())
        self.collects.add(gc.isenabled())
        time.sleep(self.seconds)

    predict = predict_proba


def test_measure_latency_measures_what_a_call_takes():
    found = measure_latency(Sleeper(0.02), np.eye(3), n_calls=10, n_warmup=1)
    assert found["n_calls"] == 10
    assert 0.02 <= found["p50"] <= found["p90"] <= found["p99"]
    assert found["p50"] < 2  # seconds, not milliseconds
    assert 0.5 <= found["rows_per_second"] <= 1 / 0.02


@pytest.mark.parametrize("batch_size", [1, 2, 3, 8])
def test_measure_latency_asks_batches_of_equal_size_in_turn(batch_size):
    model, X = Sleeper(0.002), np.arange(5)[:, None]
    found = measure_latency(model, X, batch_size=batch_size, n_calls=7, n_warmup=0)
    asked = np.concatenate(model.asked).ravel()
    assert {len(batch) for batch in model.asked} == {batch_size}
    assert found["rows_per_second"] <= batch_size / 0.002
    begins = range(0, 5, batch_size)
    once = [(begin + i) % 5 for begin in begins for i in range(batch_size)]
    np.testing.assert_array_equal(asked, np.resize(once, 7 * batch_size))


def test_measure_latency_warms_up_for_a_tenth_of_the_time_at_most():
    model = Sleeper(0.01)
    found = measure_latency(model, np.eye(2), n_warmup=1000, max_seconds=0.1)
    assert 1 <= len(model.asked) - found["n_calls"] <= 2


@pytest.mark.parametrize("enabled", [True, False])
def test_measure_latency_turns_the_collector_off_and_leaves_it_as_it_was(enabled):
    was_enabled = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        model = Sleeper()
        measure_latency(model, np.eye(2), n_calls=2)
        assert model.collects == {False}
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if was_enabled else gc.disable)()


@pytest.mark.parametrize(
    "X",
    [
        np.arange(6.0).reshape(3, 2),
        pd.DataFrame({"a": [1, 2, 3]}),
        sparse.csr_array(np.eye(3)),
        ["one", "two", "three"],
    ],
)
def test_measure_latency_asks_one_row_at_a_time_in_turn(X):
    model = Sleeper()
    measure_latency(model, X, n_calls=5, n_warmup=0, method="predict")
    assert len(model.asked) == 5
    for i, row in enumerate(model.asked):
        assert type(row) is type(X)
        if isinstance(X, list):
            assert row == [X[i % 3]]
        else:
            assert row.shape == (1, X.shape[1])
    assert model.asked[3] is model.asked[0]


def test_measure_latency_holds_libraries_to_one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        model = Sleeper()
        measure_latency(model, np.eye(2), n_calls=2)
        assert model.threads == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_measure_latency_stops_when_time_is_up():
    found = measure_latency(
        Sleeper(0.01), np.eye(2), n_calls=10_000, n_warmup=0, max_seconds=0.05
    )
    assert 1 <= found["n_calls"] <= 6


def test_model_size_equals_the_length_of_the_pickle():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 500))
    model = LogisticRegression(max_iter=20).fit(X, X[:, 0] > 0)
    for thing in (model, {"big": np.zeros(300_000)}, np.asfortranarray(X), None):
        assert model_size(thing) == len(pickle.dumps(thing, pickle.HIGHEST_PROTOCOL))


@pytest.mark.parametrize(
    ("X", "options", "message"),
    [
        (np.eye(2)[:0], {}, "at least one call to time, got 0 rows"),
        (np.eye(2), {"n_calls": 0}, "n_calls=0"),
        (np.eye(2), {"batch_size": 0}, "batch_size=0"),
    ],
)
def test_measure_latency_refuses_bad_input(X, options, message):
    with pytest.raises(ValueError, match=message):
        measure_latency(DummyClassifier(), X, **options)
