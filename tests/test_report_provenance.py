"""Where figures come from, the same in every process."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import sparse
from sklearn.linear_model import LogisticRegression

import skdistill
from skdistill import DistilledClassifier, LogisticStudent
from skdistill.report._provenance import describe, fingerprint, settings_of, versions


class Anything:
    """Prints as where it lies in memory."""


def test_versions_are_those_installed():
    found = versions()
    assert found["skdistill"] == skdistill.__version__
    assert found["scikit-learn"] == sklearn.__version__
    assert found["numpy"] == np.__version__
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))


def test_settings_are_parameters_and_choices():
    X = np.random.RandomState(0).rand(60, 3)
    y = (X[:, 0] > 0.5).astype(int)
    teacher = LogisticRegression().fit(X, y)
    model = DistilledClassifier(
        teacher, LogisticStudent(C=2.0), alpha=0.5, transfer=None, calibrate=None
    ).fit(X, y)
    found = settings_of(model)
    assert found["class"] == "DistilledClassifier"
    assert found["parameters"]["student"] == "LogisticStudent(C=2.0)"
    assert found["parameters"]["alpha"] == found["chosen"]["alpha_"] == 0.5
    assert found["chosen"]["n_teacher_rows_"] == 60
    json.dumps(found, allow_nan=False)
    assert settings_of(Anything()) == {"class": "Anything", "parameters": {}}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (True, True),
        (np.int64(3), 3),
        (np.str_("a"), "a"),
        (0.5, 0.5),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        ((1, 2), "(1, 2)"),
    ],
)
def test_describe_gives_json(value, shown):
    assert describe(value) == shown


def test_describe_says_nothing_of_memory():
    assert describe(Anything()).endswith("Anything object>")
    assert describe(np.random.RandomState(0)) == "RandomState(MT19937)"


def test_fingerprint_is_of_the_content():
    X = np.random.RandomState(0).rand(20, 3).astype(np.float32)
    y, weight = np.arange(20) % 2, np.ones(20)
    known = fingerprint(X, y, weight)
    assert len(known) == 32 and known == fingerprint(X.astype(np.float64), y, weight)
    others = [
        fingerprint(X),
        fingerprint(X, y),
        fingerprint(X[::-1], y, weight),
        fingerprint(X, 1 - y, weight),
        fingerprint(X, y, 2 * weight),
        fingerprint(pd.DataFrame(X), y, weight),
        fingerprint(sparse.csr_array(X), y, weight),
        fingerprint(["a", "b"]),
    ]
    assert len({known, *others}) == 9
    assert fingerprint([Anything(), Anything()]) is None


def test_fingerprint_is_the_same_in_another_process():
    code = (
        "import numpy as np; from skdistill.report._provenance import fingerprint; "
        "print(fingerprint(['one', 'two'], np.array(['a', 'b'])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == fingerprint(["one", "two"], np.array(["a", "b"]))
