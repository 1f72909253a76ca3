import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline

from skdistill import DistilledClassifier, LogisticStudent, NGramStudent
from skdistill.transfer import select_for_labelling


class Fixed:
    """Answers what it is told to."""

    def __init__(self, P):
        self.P = np.asarray(P, dtype=float)

    def predict_proba(self, X):
        return self.P[: len(X)]


def sure(p):
    return np.column_stack([p, 1 - np.asarray(p)])


STRATEGIES = ["auto", "uncertainty", "diversity", "random"]


def test_select_uncertainty_takes_the_largest_entropy_first():
    P = sure([0.99, 0.5, 0.8, 0.6, 0.05])
    chosen = select_for_labelling(
        Fixed(P), np.zeros((5, 1)), 3, strategy="uncertainty", random_state=0
    )
    np.testing.assert_array_equal(chosen, [1, 3, 2])


def test_select_disagreement_is_blind_to_what_all_members_are_unsure_of():
    unsure, split = sure([0.5, 0.9, 0.9]), sure([0.5, 0.1, 0.8])
    chosen = select_for_labelling(
        [Fixed(unsure), Fixed(split)], np.zeros((3, 1)), 2, strategy="disagreement"
    )
    np.testing.assert_array_equal(chosen, [1, 2])


def test_select_diversity_takes_one_row_of_each_cluster():
    rng = np.random.default_rng(0)
    centers = np.repeat(np.arange(4) * 100.0, 50)
    points = (centers + rng.normal(size=200))[:, None]
    chosen = select_for_labelling(
        Fixed(sure(np.full(200, 0.5))), points, 4, strategy="diversity", random_state=0
    )
    assert sorted(centers[chosen]) == [0, 100, 200, 300]


def test_select_auto_avoids_twins_that_uncertainty_takes():
    texts = ["the same words again"] * 20 + [f"word{k} other{k}" for k in range(20)]
    p = np.r_[np.full(20, 0.5), np.full(20, 0.55)]
    auto, greedy = (
        select_for_labelling(Fixed(sure(p)), texts, 10, strategy=name, random_state=0)
        for name in ("auto", "uncertainty")
    )
    assert (greedy < 20).all()
    # the picked half: among the 25 most uncertain are 5 that are not twins
    assert (auto[:5] < 20).sum() == 1


def test_select_takes_texts_in_any_sequence():
    pool = [f"word{n % 7} word{n % 5} of {n}" for n in range(40)]
    student = make_pipeline(TfidfVectorizer(), LogisticStudent())
    student.fit(pool, [n % 2 for n in range(40)])
    asked = DistilledClassifier(student, NGramStudent(max_steps=5), random_state=0)
    asked.fit(pool)
    expected = select_for_labelling(asked, pool, 6, random_state=0)
    for form in (tuple, np.array, pd.Series, pl.Series):
        found = select_for_labelling(asked, form(pool), 6, random_state=0)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("form", [np.asarray, pd.DataFrame, sparse.csr_array])
def test_select_gives_distinct_positions_and_follows_its_seed(strategy, form):
    rng = np.random.default_rng(0)
    pool = form(np.round(rng.normal(size=(80, 3))))  # with doubles
    P = rng.dirichlet([1, 1, 1], size=80)

    def select(seed):
        return select_for_labelling(
            Fixed(P) if not sparse.issparse(pool) else FixedSparse(P),
            pool, 30, strategy=strategy, random_state=seed,
        )  # fmt: skip

    chosen = select(0)
    assert np.unique(chosen).size == 30
    assert chosen.min() >= 0
    assert chosen.max() < 80
    np.testing.assert_array_equal(chosen, select(0))


class FixedSparse(Fixed):
    def predict_proba(self, X):
        return self.P[: X.shape[0]]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_select_more_than_there_are_takes_all(strategy):
    pool = np.zeros((7, 2))  # all alike
    chosen = select_for_labelling(
        Fixed(sure(np.linspace(0.1, 0.9, 7))), pool, 100, strategy=strategy
    )
    np.testing.assert_array_equal(np.sort(chosen), np.arange(7))


def test_select_uses_the_steps_of_a_pipeline_and_works_in_a_loop():
    texts = [f"{a} {b}" for a in "abcdefgh" * 5 for b in ("good day", "bad night")]
    y = ["good" in text for text in texts]
    teacher = make_pipeline(TfidfVectorizer(), RandomForestClassifier(random_state=0))
    teacher.fit(texts, y)
    known = [0, 1, 2, 3]
    for _ in range(3):
        model = DistilledClassifier(
            teacher, make_pipeline(TfidfVectorizer(), LogisticStudent()), random_state=0
        ).fit([texts[i] for i in known])
        rest = np.setdiff1d(np.arange(len(texts)), known)
        chosen = select_for_labelling(
            model, [texts[i] for i in rest], 4, random_state=0
        )
        known += rest[chosen].tolist()
    assert len(set(known)) == 16


def test_select_takes_points_of_the_users_own():
    points = np.zeros((10, 2))
    points[7] = [1, 0]
    points[:7] = points[8:] = [0, 1]
    pool = np.random.default_rng(0).normal(size=(10, 1))
    chosen = select_for_labelling(
        Fixed(sure(np.full(10, 0.5))), pool, 2, strategy="diversity", points=points
    )
    assert 7 in chosen


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strategy": "margin"}, "strategy must be one of .*got 'margin'"),
        ({"budget": 0}, "budget must be .*got 0"),
        ({"budget": 1.5}, r"budget must be .*got 1\.5"),
        ({"pool": np.empty((0, 2))}, "pool must have at least one row"),
        ({"strategy": "disagreement"}, "list of at least two.*got 1"),
        ({"points": np.eye(3)}, "one row for each of the 5 rows of pool, got 3"),
    ],
)
def test_select_refuses_what_it_cannot_do(arguments, message):
    given = {"student": Fixed(sure([0.5] * 5)), "pool": np.zeros((5, 2)), "budget": 2}
    with pytest.raises(ValueError, match=message):
        select_for_labelling(**(given | arguments))


def test_members_of_a_committee_may_know_other_classes():
    X, y = make_classification(
        400, 5, n_informative=4, n_redundant=0, n_classes=3, n_clusters_per_class=1,
        random_state=0,
    )  # fmt: skip
    members = [
        GaussianNB().fit(X[:99][y[:99] != k], y[:99][y[:99] != k]) for k in (2, 0)
    ]
    whole = [Whole(member) for member in members]
    chosen, expected = (
        select_for_labelling(some, X[99:], 5, strategy="disagreement", random_state=0)
        for some in (members, whole)
    )
    assert_array_equal(chosen, expected)


class Whole(ClassifierMixin, BaseEstimator):
    """Answers for three classes, of which its model knows two."""

    def __init__(self, model):
        self.model = model
        self.classes_ = np.arange(3)

    def __sklearn_is_fitted__(self):
        return True

    def predict_proba(self, X):
        P = np.zeros((len(X), 3))
        P[:, self.model.classes_] = self.model.predict_proba(X)
        return P
