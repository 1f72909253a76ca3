import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import make_classification
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.validation import _num_samples

from skdistill.soft_targets import out_of_bag, out_of_fold, teacher_probabilities
from skdistill.soft_targets._asking import _Relabelled
from skdistill.transfer._splits import split_thresholds


class Recorder(ClassifierMixin, BaseEstimator):
    """Answers class frequencies of what it was fitted on, and keeps that."""

    def fit(self, X, y, sample_weight=None, note=None):
        self.X_, self.weight_, self.note_ = X, sample_weight, note
        self.classes_, counts = np.unique(y, return_counts=True)
        if len(self.classes_) < 2:
            raise ValueError("needs two classes")
        self.frequencies_ = counts / counts.sum()
        return self

    def predict_proba(self, X):
        return np.tile(self.frequencies_, (_num_samples(X), 1))


def test_teacher_probabilities_come_in_the_order_of_the_classes():
    X, y = make_classification(60, random_state=0)
    teacher = LogisticRegression().fit(X, np.where(y == 1, "a", "b"))
    P = teacher_probabilities(teacher, X, classes=np.array(["a", "b", "z"]))
    np.testing.assert_allclose(P[:, :2], teacher.predict_proba(X), rtol=1e-15)
    assert not P[:, 2].any()


def test_teacher_probabilities_name_the_teacher_that_gives_none():
    class Broken(Recorder):
        def predict_proba(self, X):
            return np.full((len(X), 2), np.nan)

    teacher = Broken().fit(np.zeros((4, 1)), [0, 0, 1, 1])
    with pytest.raises(ValueError, match="probabilities of the teacher Broken must be"):
        teacher_probabilities(teacher, np.zeros((4, 1)), classes=np.arange(2))


@pytest.mark.parametrize(
    "teacher",
    [
        RandomForestClassifier(60, oob_score=True, random_state=0),
        ExtraTreesClassifier(60, oob_score=True, bootstrap=True, random_state=0),
        BaggingClassifier(n_estimators=60, oob_score=True, random_state=0),
    ],
)
def test_out_of_bag_gives_probabilities_of_every_row(teacher):
    X, y = make_classification(300, flip_y=0.2, random_state=0)
    teacher.fit(X, np.where(y == 1, "a", "b"))
    P = out_of_bag(teacher, n_samples=300, classes=np.array(["a", "b"]))
    np.testing.assert_allclose(P.sum(axis=1), 1.0)
    in_bag = teacher.score(X, np.where(y == 1, "a", "b"))
    assert np.mean(P.argmax(axis=1) == 1 - y) < in_bag - 0.05  # y = 1 is column 0


@pytest.mark.filterwarnings("ignore:Some inputs do not have OOB scores")
@pytest.mark.parametrize("kind", [RandomForestClassifier, BaggingClassifier])
def test_out_of_bag_is_none_where_a_row_was_in_every_bag(kind):
    X, y = make_classification(100, random_state=0)
    with np.errstate(invalid="ignore"):
        teacher = kind(n_estimators=2, oob_score=True, random_state=0).fit(X, y)
    assert out_of_bag(teacher, n_samples=100, classes=np.arange(2)) is None


def test_out_of_bag_is_none_without_bags():
    X, y = make_classification(30, random_state=0)
    teacher = RandomForestClassifier(5, random_state=0).fit(X, y)
    assert out_of_bag(teacher, n_samples=30, classes=np.arange(2)) is None


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_out_of_fold_equals_cross_val_predict(n_jobs):
    X, y = make_classification(120, n_classes=3, n_informative=5, random_state=0)
    y = np.array(["x", "a", "m"])[y]
    cv = StratifiedKFold(4, shuffle=True, random_state=0)
    teacher = RandomForestClassifier(5, random_state=0)
    told = []
    P, first = out_of_fold(
        teacher, X, y, classes=np.unique(y), splits=list(cv.split(X, y)),
        n_jobs=n_jobs, step=lambda: told.append(1),
    )  # fmt: skip
    expected = cross_val_predict(teacher, X, y, cv=cv, method="predict_proba")
    np.testing.assert_allclose(P, expected, rtol=1e-12)
    assert len(told) == 4
    train, test = next(cv.split(X, y))
    same = RandomForestClassifier(5, random_state=0).fit(X[train], y[train])
    np.testing.assert_array_equal(first.predict(X[test]), same.predict(X[test]))
    assert not hasattr(teacher, "classes_")


def test_out_of_fold_keeps_groups_together():
    groups = np.repeat(np.arange(10), 6)
    X, y = np.c_[groups].astype(float), np.tile([0, 1], 30)
    splits = list(GroupKFold(5).split(X, y, groups))
    _, first = out_of_fold(Recorder(), X, y, classes=np.arange(2), splits=splits)
    assert not set(first.X_[:, 0]) & set(groups[splits[0][1]])


def test_out_of_fold_gives_a_class_that_a_fold_lacks_probability_zero():
    X, y = np.arange(9.0)[:, None], np.array([0, 0, 0, 1, 1, 1, 1, 1, 2])
    splits = [(np.arange(8), np.array([8])), (np.arange(1, 9), np.arange(8))]
    P, _ = out_of_fold(Recorder(), X, y, classes=np.arange(3), splits=splits)
    np.testing.assert_allclose(P[8], [3 / 8, 5 / 8, 0])
    np.testing.assert_allclose(P[0], [2 / 8, 5 / 8, 1 / 8])


def test_out_of_fold_answers_where_a_fold_has_one_class_only():
    X, y = np.arange(6.0)[:, None], np.array(["a", "a", "a", "b", "b", "b"])
    splits = [(np.arange(3), np.arange(3, 6)), (np.arange(3, 6), np.arange(3))]
    P, _ = out_of_fold(Recorder(), X, y, classes=np.unique(y), splits=splits)
    np.testing.assert_array_equal(P, [[0, 1]] * 3 + [[1, 0]] * 3)


@pytest.mark.parametrize("in_pipeline", [False, True])
def test_out_of_fold_gives_xgboost_codes_without_a_gap(in_pipeline):
    xgboost = pytest.importorskip("xgboost")
    rng = np.random.RandomState(0)
    X, y = rng.standard_normal((61, 2)), np.r_[np.repeat([0, 2, 5], 20), 4]
    X[:, 0] += 3 * y
    boosting = xgboost.XGBClassifier(n_estimators=5, n_jobs=1)
    if in_pipeline:
        boosting = make_pipeline(StandardScaler(), boosting)
    classes, rows = np.array([0, 2, 4, 5]), np.arange(61)
    splits = [(rows[rows % 3 != k], rows[rows % 3 == k]) for k in range(3)]
    P, first = out_of_fold(boosting, X, y, classes=classes, splits=splits)
    assert (classes[P[:60].argmax(axis=1)] == y[:60]).mean() > 0.9
    assert P[60, 2] == 0  # nobody else has its label
    assert np.array_equal(first.classes_, [0, 2, 5])


def test_out_of_fold_averages_repeated_rows_and_marks_absent_ones():
    X, y = np.arange(6.0)[:, None], np.array([0, 1, 0, 1, 1, 0])
    splits = [([0, 1, 2, 3], [4]), ([0, 1, 3], [4, 5])]
    P, _ = out_of_fold(
        Recorder(), X, y, classes=np.arange(2),
        splits=[tuple(map(np.array, split)) for split in splits],
    )  # fmt: skip
    np.testing.assert_allclose(P[4], [(1 / 2 + 1 / 3) / 2, (1 / 2 + 2 / 3) / 2])
    np.testing.assert_allclose(P[5], [1 / 3, 2 / 3])
    assert np.isnan(P[:4]).all()


def test_out_of_fold_slices_fit_parameters_that_have_one_entry_a_row():
    X, y = np.arange(8.0)[:, None], np.tile([0, 1], 4)
    train, test = np.array([0, 1, 2, 3, 7]), np.array([4, 5, 6])
    params = {"sample_weight": np.arange(8.0), "note": "abcdefgh"}
    _, first = out_of_fold(
        Recorder(), X, y, classes=np.arange(2), splits=[(train, test)],
        fit_params=params,
    )  # fmt: skip
    np.testing.assert_array_equal(first.weight_, [0, 1, 2, 3, 7])
    assert first.note_ == "abcdefgh"  # eight letters, but no array


@pytest.mark.parametrize("kind", [pd.DataFrame, sparse.csr_array, list])
def test_out_of_fold_passes_rows_on_in_their_form(kind):
    y = np.tile([0, 1], 4)
    X = [f"text {i}" for i in range(8)] if kind is list else kind(np.eye(8))
    splits = [(np.arange(4), np.arange(4, 8))]
    _, first = out_of_fold(Recorder(), X, y, classes=np.arange(2), splits=splits)
    assert type(first.X_) is type(X)


def test_thresholds_of_a_teacher_that_speaks_of_codes():
    X = np.random.default_rng(0).normal(size=(200, 2))
    tree = DecisionTreeClassifier(max_depth=2).fit(X, X[:, 0] > 0)
    found = split_thresholds(_Relabelled(tree, np.array([0, 2])))
    assert found.keys() == split_thresholds(tree).keys() and found
