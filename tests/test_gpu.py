"""What a GPU changes: where nets are trained, and nothing else."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier

from skdistill import DistilledClassifier, MLPStudent, NGramStudent
from skdistill.students import _torch

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a CUDA device"
)


#: Loads a student where no GPU is to be seen, and prints what it answers.
LOAD = """
import pickle, sys
import numpy as np
import torch
assert not torch.cuda.is_available()
with open(sys.argv[1], "rb") as file:
    small, X = pickle.load(file)
np.save(sys.argv[2], small.predict_proba(X))
"""


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X.astype(np.float32), y


def soft_targets(X, y):
    """A forest's probabilities."""
    return RandomForestClassifier(random_state=0).fit(X, y).predict_proba(X)


def student(**kwargs):
    kwargs = {"device": "cuda", "max_steps": 400, "random_state": 0} | kwargs
    return MLPStudent((32,), **kwargs)


def skorch_net(device="cuda"):
    return NeuralNetClassifier(
        torch.nn.Linear, module__in_features=64, module__out_features=10,
        criterion=torch.nn.CrossEntropyLoss, optimizer=torch.optim.Adam, lr=0.01,
        max_epochs=30, device=device, verbose=0,
    )  # fmt: skip


def test_a_net_of_the_gpu_is_as_good_as_one_of_the_cpu(digits):
    X, y = digits
    P = soft_targets(X, y)
    scores = {}
    for device in ("cpu", "cuda"):
        small = DistilledClassifier(
            None, student(device=device, max_steps=1500), transfer=None, random_state=0
        ).fit(X[::2], y[::2], soft_targets=P[::2])
        scores[device] = small.score(X[1::2], y[1::2])
    assert min(scores.values()) > 0.93
    assert abs(scores["cpu"] - scores["cuda"]) < 0.02


def test_a_net_of_the_gpu_repeats_itself(digits):
    one, two = (student().fit(*digits) for _ in range(2))
    for a, b in zip(one.coefs_, two.coefs_, strict=True):
        assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    other = student(random_state=1).fit(*digits)
    assert not np.allclose(one.coefs_[0], other.coefs_[0])


def test_training_on_the_gpu_leaves_torchs_seeds_alone(digits):
    torch.manual_seed(7)
    before = torch.rand(3, device="cuda")
    torch.manual_seed(7)
    DistilledClassifier(
        RandomForestClassifier(10), skorch_net(), transfer=None, effort="low",
        random_state=0,
    ).fit(*digits)  # fmt: skip
    student().fit(*digits)
    assert_array_equal(torch.rand(3, device="cuda").cpu(), before.cpu())


def test_auto_takes_the_gpu_for_large_nets_only(digits, monkeypatch):
    X, y = digits
    kwargs = {"device": "auto", "max_steps": 50}
    small = student(**kwargs).fit(X, y)
    assert next(small.net_.module_.parameters()).device.type == "cpu"
    monkeypatch.setattr(_torch, "GPU_WORK", 0)
    large = student(**kwargs).fit(X, y)
    assert next(large.net_.module_.parameters()).device.type == "cuda"


@pytest.mark.parametrize("mode", [{}, {"validation_fraction": 0.2}, {"ema_decay": 0}])
def test_partial_fit_and_warm_start_go_on_on_the_gpu(mode, digits):
    X, y = digits
    net = student(warm_start=True, **mode).fit(X, y)
    first = net.n_steps_
    net.partial_fit(X, y)
    assert net.n_steps_ > first
    assert net.fit(X, y).score(X, y) > 0.95


@pytest.mark.parametrize("make", [student, skorch_net])
def test_a_student_of_the_gpu_answers_on_machines_without(make, digits, tmp_path):
    X, y = digits
    small = DistilledClassifier(
        RandomForestClassifier(20, random_state=0), make(), transfer=None,
        effort="low", random_state=0,
    ).fit(X, y)  # fmt: skip
    (tmp_path / "small.pkl").write_bytes(pickle.dumps((small, X)))
    subprocess.run(
        [sys.executable, "-c", LOAD, tmp_path / "small.pkl", tmp_path / "P.npy"],
        check=True,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
    )
    P = small.predict_proba(X)
    assert_allclose(np.load(tmp_path / "P.npy"), P, rtol=1e-3, atol=1e-5)


def test_a_skorch_net_on_the_gpu_learns_soft_targets(digits):
    X, y = digits
    small = DistilledClassifier(
        RandomForestClassifier(50, random_state=0), skorch_net(), random_state=0
    ).fit(X, y)
    P = small.predict_proba(X)
    assert P.dtype == np.float64
    assert_allclose(P.sum(axis=1), 1)
    assert small.score(X, y) > 0.9
    net = small.student_.estimator_
    assert next(net.module_.parameters()).device.type == "cuda"


def test_a_search_trains_on_the_gpu(digits):
    X, y = digits
    small = DistilledClassifier(
        RandomForestClassifier(20, random_state=0),
        make_pipeline(StandardScaler(), student()), alpha=0.5, transfer=None,
    )  # fmt: skip
    grid = {"student__mlpstudent__hidden_layer_sizes": [(8,), (32,)]}
    search = GridSearchCV(small, grid, cv=2).fit(X, y)
    assert search.best_score_ > 0.85


def test_an_ngram_student_trains_beside_a_gpu():
    texts = ["a good film", "a bad film", "good and kind", "bad and dull"] * 30
    y = np.array(["good", "bad"] * 60)
    assert NGramStudent(random_state=0).fit(texts, y).score(texts, y) == 1.0
