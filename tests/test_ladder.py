"""The ladder of students: what stands on it for which data, and that all of it fits."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from benchmarks.datasets import load
from skdistill import (
    DistilledClassifier,
    LogisticStudent,
    MLPStudent,
    NGramStudent,
)
from skdistill.model_selection import student_ladder
from skdistill.students import last_step


def columns(n_rows, n_classes=2, n_columns=5):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n_rows, n_columns)), np.arange(n_rows) % n_classes


def hurried(students):
    """Nets that take a few steps only: whether they fit is the question, not how."""
    for student in students:
        if isinstance(last_step(student), MLPStudent):
            last_step(student).set_params(max_steps=20)
    return students


def mixed_table():
    """All that a pandas frame can hold: categories, text, bools, NA in each of them."""
    rng = np.random.default_rng(0)
    n = 300
    X = pd.DataFrame(
        {
            "whole": pd.array(rng.integers(0, 5, n), dtype="Int64"),
            "number": rng.normal(size=n),
            "category": pd.Categorical(rng.choice(list("xyz"), n)),
            "text": rng.choice(["u", "v"], n).astype(object),
            "flag": rng.random(n) < 0.5,
        }
    )
    y = np.where((X["number"] > 0) ^ (X["category"] == "x"), "yes", "no")
    X.loc[::7, "whole"] = pd.NA
    X.loc[::5, "number"] = np.nan
    X.loc[::9, "category"] = np.nan
    X.loc[::8, "text"] = None
    return X, y


def sparse_rows():
    documents, y = load("clothing", n_rows=400)
    return TfidfVectorizer(max_features=300).fit_transform(documents), y


def missing_numbers():
    X, y = columns(300)
    y = (X[:, 0] > 0).astype(int)
    X[::3, 0] = np.nan
    return X, y


DATA = {
    "numbers": lambda: load("satimage", n_rows=600),
    "missing numbers": missing_numbers,
    "pandas": mixed_table,
    "pandas, whole names": lambda: (
        mixed_table()[0].set_axis(range(5), axis=1),
        mixed_table()[1],
    ),
    "polars": lambda: (pl.from_pandas(mixed_table()[0]), mixed_table()[1]),
    "numeric frame": lambda: (mixed_table()[0][["whole", "number"]], mixed_table()[1]),
    "sparse": sparse_rows,
    "text": lambda: load("clothing", n_rows=300),
}


@pytest.mark.parametrize("name", DATA)
def test_student_ladder_can_be_climbed(name):
    X, y = DATA[name]()
    ladder = hurried(student_ladder(X, y, random_state=0))
    assert len(ladder) == len(set(ladder.names)) >= 5
    classes = np.unique(y)
    # Unsure teacher: whoever looks at the targets does not find labels in them.
    P = np.full((len(y), len(classes)), 1 / len(classes))
    for student in ladder:
        small = DistilledClassifier(
            None, student, alpha=0.5, transfer=None, calibrate=None, random_state=0
        )
        small.fit(X, y, soft_targets=P)
        assert np.isfinite(small.predict_proba(X)).all()
        assert not hasattr(student, "classes_")  # the ladder stays unfitted


def kinds_of(ladder):
    return [type(last_step(student)).__name__ for student in ladder]


def test_student_ladder_goes_from_linear_over_trees_to_nets():
    ladder = student_ladder(*columns(20_000, n_classes=3))
    assert ladder.names == [
        "logistic",
        "tree, 16 leaves",
        "tree, 64 leaves",
        "tree, 256 leaves",
        "tree, 1024 leaves",
        "forest, 5 x 64 leaves",
        "forest, 10 x 256 leaves",
        "forest, 20 x 512 leaves",
        "boosting, 20 rounds",
        "boosting, 100 rounds",
        "net, 8",
        "net, 16",
        "net, 32",
        "net, 32-32",
        "net, 64-64",
        "net, 128-128",
    ]
    assert not any(isinstance(student, Pipeline) for student in ladder)
    for name, student in zip(ladder.names, ladder, strict=True):
        if leaves := getattr(student, "max_leaf_nodes", None):
            assert "boosting" in name or f"{leaves} leaves" in name


def test_student_ladder_grows_with_the_rows():
    sizes = [len(student_ladder(*columns(n))) for n in (40, 300, 3_000, 100_000)]
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize("n_classes", [2, 10, 26, 200])
def test_student_ladder_has_a_leaf_for_each_class(n_classes):
    ladder = student_ladder(*columns(10_000, n_classes))
    for student in ladder:
        params = student.get_params()
        if "max_iter" in params and "max_leaf_nodes" in params:
            trees = params["max_iter"] * (1 if n_classes == 2 else n_classes)
            assert trees <= 300
        elif params.get("max_leaf_nodes"):
            assert params["max_leaf_nodes"] >= n_classes
    assert ("boosting, 20 rounds" in ladder.names) == (n_classes <= 15)


def test_student_ladder_puts_categories_into_our_students_as_they_are():
    ladder = student_ladder(*mixed_table())
    for student in ladder:
        own = isinstance(student, LogisticStudent | MLPStudent)
        assert own or isinstance(student, Pipeline)
    assert kinds_of(ladder)[0] == "LogisticStudent"


def test_student_ladder_knows_sparse_rows_and_text():
    X, y = sparse_rows()
    assert kinds_of(student_ladder(X, y))[:4] == ["LogisticStudent"] * 3 + [
        "MultinomialNB"
    ]
    signed = student_ladder(-X, y)
    assert "MultinomialNB" not in kinds_of(signed)  # it counts
    wide = sparse.hstack([X] * 20, format="csr")
    assert "MLPStudent" not in kinds_of(student_ladder(wide, y))
    words = student_ladder(["a b", "b c", "c d"], [0, 1, 0])
    assert kinds_of(words)[:4] == ["LogisticStudent"] * 4
    hashed = [s for s in words if isinstance(s, NGramStudent)]
    vectorised = [s for s in words if not isinstance(s, NGramStudent)]
    assert all(isinstance(student[0], TfidfVectorizer) for student in vectorised)
    sizes = [(len(s.hidden_layer_sizes), s.n_buckets) for s in hashed]
    assert sizes == sorted(set(sizes)) and len(sizes) == 4


def test_student_ladder_counts_classes_of_soft_targets():
    X, y = columns(2_000, n_classes=20)
    P = np.eye(20)[y]
    assert student_ladder(X, P).names == student_ladder(X, y).names
    assert student_ladder(X, P).names != student_ladder(X, y % 2).names


def test_student_ladder_lists_the_kinds_asked_for():
    X, y = columns(500)
    assert student_ladder(X, y, kinds="linear").names == ["logistic"]
    both = student_ladder(X, y, kinds=("net", "linear"))
    assert set(kinds_of(both)) == {"LogisticStudent", "MLPStudent"}
    assert both.names[0] == "logistic"  # always from small to large


def test_student_ladder_passes_the_seed_on():
    ladder = student_ladder(*columns(500), random_state=7)
    seeds = [s.get_params().get("random_state", 7) for s in ladder]
    assert seeds == [7] * len(ladder)


@pytest.mark.parametrize(
    ("X", "y", "params", "error", "match"),
    [
        (np.zeros((4, 2)), [0, 1, 0, 1], {"kinds": "trees"}, ValueError, "some of"),
        (np.zeros((4, 2)), [0, 1, 0, 1], {"kinds": []}, ValueError, r"got \[\]"),
        (["a"] * 2, [0, 1], {"kinds": ["tree"]}, ValueError, "'linear', 'net'"),
        (np.zeros((4, 2)), [0, 1], {}, ValueError, "each of the 4 rows of X, got 2"),
        (np.zeros((4, 2, 2)), [0, 1] * 2, {}, TypeError, r"ndarray of shape"),
        ([[1, "a"], [2, "b"]], [0, 1], {}, TypeError, "X must be a table of numbers"),
    ],
)
def test_student_ladder_refuses(X, y, params, error, match):
    with pytest.raises(error, match=match):
        student_ladder(X, y, **params)


def test_student_ladder_is_a_grid():
    X, y = missing_numbers()
    ladder = student_ladder(X, y, kinds=["linear", "tree"], random_state=0)
    small = DistilledClassifier(None, alpha=0.5, transfer=None, random_state=0)
    search = GridSearchCV(small, {"student": ladder}, cv=2, n_jobs=2)
    P = np.full((len(y), 2), 0.5)
    search.fit(X, y, soft_targets=P)
    assert len(search.cv_results_["params"]) == len(ladder)
    assert search.best_estimator_.student_.classes_.tolist() == [0, 1]
    assert clone(search).param_grid["student"].names == ladder.names


def test_ladder_takes_texts_that_know_pandas_na():
    rng = np.random.RandomState(0)
    words = rng.choice(["a", "b", "c"], size=300).astype(object)
    words[::9] = None
    X = pd.DataFrame({"x": rng.randn(300), "c": pd.array(words, dtype="string")})
    y = rng.randint(2, size=300)
    students = student_ladder(X, y, kinds=("tree", "boosting"))
    for student in students:
        assert student.fit(X, y).predict_proba(X).shape == (300, 2)
