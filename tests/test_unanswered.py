"""Rows that a teacher leaves unanswered: NaN as a whole."""

import warnings

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from skdistill import DistilledClassifier, LogisticStudent
from skdistill.teachers import CachedTeacher


class Reticent(ClassifierMixin, BaseEstimator):
    """A linear model that says nothing of rows whose first value is high."""

    def __init__(self, above=1.0):
        self.above = above

    def fit(self, X, y):
        self.model_ = LogisticRegression().fit(X, y)
        self.classes_ = self.model_.classes_
        return self

    def predict_proba(self, X):
        P = self.model_.predict_proba(X)
        P[X[:, 0] > self.above] = np.nan
        return P


@pytest.fixture(scope="module")
def rows():
    X, y = make_classification(
        900, 6, n_informative=4, n_classes=3, n_clusters_per_class=1, random_state=0
    )
    return X[:400], y[:400], X[400:], y[400:]


@pytest.fixture(scope="module")
def teacher(rows):
    return Reticent().fit(rows[2], rows[3])


def settings(**more):
    return {"alpha": 1.0, "transfer": None, "calibrate": None} | more


def fit(teacher, *args, student=None, random_state=0, more=None, **kwargs):
    student = LogisticStudent() if student is None else student
    model = DistilledClassifier(
        teacher, student, **settings(**(more or {})), random_state=random_state
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The teacher left .* without an answer")
        return model.fit(*args, **kwargs)


def test_unanswered_rows_without_labels_are_left_out(rows, teacher):
    X, other = rows[0], rows[2]
    silent = X[:, 0] > 1.0
    assert 20 < silent.sum() < 200
    model = fit(teacher, X)
    without = fit(teacher, X[~silent])
    assert model.n_unanswered_rows_ == silent.sum()
    assert without.n_unanswered_rows_ == 0
    np.testing.assert_array_equal(
        model.predict_proba(other), without.predict_proba(other)
    )


def test_unanswered_rows_with_labels_teach_by_their_labels(rows, teacher):
    X, y, other, _ = rows
    P = teacher.predict_proba(X)
    silent = np.isnan(P[:, 0])
    filled = np.where(silent[:, None], np.eye(3)[y], P)
    model = fit(teacher, X, y, more={"alpha": 0.7})
    expected = fit(None, X, y, soft_targets=filled, more={"alpha": 0.7})
    np.testing.assert_allclose(
        model.predict_proba(other), expected.predict_proba(other), atol=1e-10
    )


def test_unanswered_rows_count_in_neither_calibration_nor_the_teachers_score(
    rows, teacher
):
    X, y, _, _ = rows
    silent = X[:, 0] > 1.0
    model = fit(teacher, X, y, more={"alpha": "auto", "calibrate": "temperature"})
    answered = fit(
        teacher, X[~silent], y[~silent], more={"alpha": 1.0, "calibrate": "temperature"}
    )
    assert model.calibration_.temperature == pytest.approx(
        answered.calibration_.temperature
    )
    table = model.summary_
    is_teacher = table["model"] == "teacher"
    # as many rows as plain student and teacher met on, without the silent ones
    plain = table["n_rows"][table["model"] == "plain student"]
    assert (table["n_rows"][is_teacher] < plain.min()).all()
    assert np.isfinite(table["score"]).all()


def test_unanswered_rows_of_a_pool_are_left_out(rows, teacher):
    X, y, pool, _ = rows
    silent = pool[:, 0] > 1.0
    model = fit(teacher, X, y, X_transfer=pool)
    without = fit(teacher, X, y, X_transfer=pool[~silent])
    assert model.n_transfer_rows_ == without.n_transfer_rows_ == (~silent).sum()
    assert model.n_unanswered_rows_ > without.n_unanswered_rows_
    np.testing.assert_array_equal(model.predict_proba(X), without.predict_proba(X))


def test_soft_targets_with_unanswered_rows_are_sliced_by_a_search(rows, teacher):
    X, y, other, y_other = rows
    P = teacher.predict_proba(X)
    model = DistilledClassifier(None, LogisticStudent(), **settings(alpha=0.5))
    search = GridSearchCV(model, {"student__C": [0.01, 1.0]}, cv=3)
    with pytest.warns(UserWarning, match="without an answer") as caught:
        search.fit(X, y, soft_targets=P)
    assert len(caught) == 1  # not once a fold
    assert search.best_estimator_.n_unanswered_rows_ == np.isnan(P[:, 0]).sum()
    assert search.score(other, y_other) > 0.6


def test_unanswered_rows_of_an_unfitted_teacher_teach_by_their_labels(rows):
    X, y, other, y_other = rows
    model = fit(Reticent(), X, y, more={"alpha": 0.5, "cv": 3})
    assert model.score(other, y_other) > 0.6


def test_unanswered_rows_are_asked_again_by_a_cached_teacher(rows, teacher, tmp_path):
    X = rows[0]
    cached = CachedTeacher(teacher, tmp_path / "answers.db", key="reticent")
    P = cached.predict_proba(X)
    np.testing.assert_array_equal(np.isnan(P[:, 0]), X[:, 0] > 1.0)
    n_first = cached.n_rows_asked_
    again = cached.predict_proba(X[::-1])
    np.testing.assert_array_equal(again[::-1], P)
    assert cached.n_rows_asked_ - n_first == np.isnan(P[:, 0]).sum()
    cached.store_.close()


def test_teacher_that_answers_nothing_is_refused(rows):
    X, y, other, y_other = rows
    teacher = Reticent(above=-np.inf).fit(other, y_other)
    with pytest.raises(ValueError, match=r"at least one row.*all of its 400 rows"):
        DistilledClassifier(teacher, LogisticStudent()).fit(X, y)


def test_teacher_that_answers_no_row_of_the_pool_adds_nothing(rows, teacher):
    X, y, pool, _ = rows
    silent = pool[pool[:, 0] > 1.0]
    model = fit(teacher, X, y, X_transfer=silent)
    assert model.transfer_ == "none"
    assert model.n_transfer_rows_ == 0


def test_answers_to_rows_that_do_not_count_are_not_enough(rows, teacher):
    X, y, *_ = rows
    answered = X[:, 0] <= teacher.above
    weight = np.where(answered, 0.0, 1.0)
    with pytest.raises(ValueError, match=f"for all of its {int(weight.sum())} rows"):
        fit(teacher, X, y, sample_weight=weight, more={"alpha": 0.5})
