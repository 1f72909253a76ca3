"""What happens to several teachers in a list: to one, see test_distilled_classifier."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.naive_bayes import GaussianNB

from skdistill import DistilledClassifier, LogisticStudent
from skdistill.teachers import AveragedTeacher

FIXED = {"alpha": 1.0, "calibrate": None, "transfer": None}


@pytest.fixture(scope="module")
def table():
    X, y = make_classification(
        900, 8, n_informative=6, n_classes=3, class_sep=0.8, random_state=0
    )
    return train_test_split(X, y, test_size=1 / 3, random_state=0, stratify=y)


@pytest.fixture
def pair(table):
    _, X, _, y = table
    return [GaussianNB().fit(X, y), LogisticRegression().fit(X, y)]


def test_a_list_of_fitted_teachers_teaches_its_mean(table, pair):
    X, X_other, _, _ = table
    small = DistilledClassifier(pair, LogisticStudent(), random_state=0, **FIXED)
    small.fit(X)
    P = (pair[0].predict_proba(X_other) + pair[1].predict_proba(X_other)) / 2
    assert_allclose(small.teacher_.predict_proba(X_other), P, rtol=1e-12)
    mean = (pair[0].predict_proba(X) + pair[1].predict_proba(X)) / 2
    alone = DistilledClassifier(None, LogisticStudent(), random_state=0, **FIXED)
    alone.fit(X, soft_targets=mean, classes=small.classes_)
    assert_allclose(
        small.predict_proba(X_other), alone.predict_proba(X_other), rtol=1e-9
    )
    assert small.n_teacher_rows_ == len(X)


def test_clones_share_the_fitted_teachers_of_a_list(table, pair):
    mixed = [pair[0], FrozenEstimator(pair[1]), LogisticRegression()]
    twin = clone(DistilledClassifier(mixed, LogisticStudent()))
    assert twin.teacher[0] is pair[0]
    assert twin.teacher[1] is mixed[1]
    assert twin.teacher[2] is not mixed[2]
    assert clone(DistilledClassifier(pair, LogisticStudent())).teacher is pair


@pytest.mark.parametrize("memory", [False, True])
def test_a_search_asks_the_fitted_teachers_of_a_list(table, pair, memory, tmp_path):
    X, X_other, y, _ = table
    small = DistilledClassifier(
        pair, LogisticStudent(), memory=str(tmp_path / "a.db") if memory else None,
        random_state=0, **FIXED,
    )  # fmt: skip
    search = GridSearchCV(small, {"student__C": [0.1, 1.0]}, cv=3, n_jobs=2).fit(X, y)
    best = search.best_estimator_
    assert best.n_teacher_rows_ == (0 if memory else len(X))
    assert [type(one) for one in best.teacher] == [GaussianNB, LogisticRegression]
    copy = pickle.loads(pickle.dumps(best))
    np.testing.assert_array_equal(
        copy.predict_proba(X_other), best.predict_proba(X_other)
    )


@pytest.mark.parametrize(
    ("weights", "n_choosing"),
    [(None, 4 + 2 * 4), ("log_score", 6 + 2 * 6)],  # and up to two further looks
    ids=["equal", "score"],
)
@pytest.mark.parametrize("alpha", [0.5, "auto"])
def test_unfitted_teachers_of_a_list_are_fitted_as_often_as_is_said(
    table, weights, n_choosing, alpha
):
    class Counting(GaussianNB):
        fits = 0

        def fit(self, X, y, sample_weight=None):
            Counting.fits += 1
            return super().fit(X, y, sample_weight)

    X, _, y, _ = table
    teacher = AveragedTeacher([Counting(), LogisticRegression()], weights=weights)
    DistilledClassifier(
        teacher, LogisticStudent(), alpha=alpha, transfer=None, random_state=0
    ).fit(X, y)
    assert Counting.fits == 6 + (n_choosing if alpha == "auto" else 0)


def test_parameters_of_a_list_of_teachers_cannot_be_set(pair):
    small = DistilledClassifier(pair, LogisticStudent())
    assert not [name for name in small.get_params() if name.startswith("teacher__")]
    with pytest.raises(ValueError, match="Parameters of a list of teachers cannot be"):
        small.set_params(teacher__C=1.0)


def test_metadata_routing_goes_through_a_list_of_teachers(table):
    X, _, y, _ = table
    weight = np.random.default_rng(0).integers(1, 3, len(y)).astype(float)
    with config_context(enable_metadata_routing=True):
        bayes = GaussianNB().set_fit_request(sample_weight=True)
        other = GaussianNB().set_fit_request(sample_weight=False)
        small = DistilledClassifier([bayes, other], LogisticStudent(), **FIXED)
        small.set_fit_request(sample_weight=True).fit(X, y, sample_weight=weight)
    weighted, plain = small.teacher_.teachers_
    assert_allclose(weighted.class_count_, np.bincount(y, weights=weight))
    assert_allclose(plain.class_count_, np.bincount(y))
