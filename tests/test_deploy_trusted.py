import importlib
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdistill import DistilledClassifier, LogisticStudent, MLPStudent
from skdistill.deploy import TRUSTED_TYPES
from skdistill.metrics import model_size

io = pytest.importorskip("skops.io")


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:600], y[:600], X[600:]


@pytest.fixture(
    scope="module",
    params=[
        LogisticStudent(),
        MLPStudent((4,), max_steps=50),
        make_pipeline(StandardScaler(), LogisticStudent()),
        Ridge(),
    ],
    ids=lambda student: type(student).__name__,
)
def model(request, digits):
    X, y, _ = digits
    teacher = LogisticRegression(C=0.01, max_iter=300)
    return DistilledClassifier(
        teacher, request.param, alpha=0.5, transfer=None, random_state=0
    ).fit(X, y)


@pytest.mark.parametrize("part", ["whole", "student"])
def test_trusted_types_are_all_that_a_skops_file_of_ours_needs(model, digits, part):
    thing = model if part == "whole" else model.student_
    data = io.dumps(thing)
    assert set(io.get_untrusted_types(data=data)) <= set(TRUSTED_TYPES)
    again = io.loads(data, trusted=list(TRUSTED_TYPES))
    np.testing.assert_array_equal(
        again.predict_proba(digits[2]), thing.predict_proba(digits[2])
    )
    assert again.classes_.tolist() == thing.classes_.tolist()


def test_trusted_types_are_classes_without_hooks_that_unpickling_would_call():
    for name in TRUSTED_TYPES:
        module, kind = name.rsplit(".", 1)
        found = getattr(importlib.import_module(module), kind)
        assert "__reduce__" not in vars(found)


def test_loaded_model_is_whole_and_its_student_ships_alone(model, digits):
    X, y, X_test = digits
    again = io.loads(io.dumps(model), trusted=list(TRUSTED_TYPES))
    clone(again).fit(X, y)  # what was loaded can be fitted anew
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(again)).predict(X_test), model.predict(X_test)
    )
    assert model_size(model.student_, format="skops") < model_size(
        model, format="skops"
    )
