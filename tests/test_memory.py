"""`memory=`: in a search the teacher is asked each distinct row once."""

import pickle
import shutil

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedKFold,
    cross_validate,
    train_test_split,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skdistill import DistilledClassifier, LogisticStudent
from skdistill.teachers import AnswerStore
from skdistill.transfer import MungeSampler

FIXED = {"alpha": 0.7, "calibrate": None, "transfer": None, "random_state": 0}
GRID = {"student__C": [0.1, 1.0, 10.0]}


class CountingTeacher(GaussianNB):
    """Counts fits, and the rows that it is asked about."""

    n_fits, n_rows = 0, 0

    def fit(self, X, y, sample_weight=None):
        type(self).n_fits += 1
        return super().fit(X, y, sample_weight)

    def predict_proba(self, X):
        type(self).n_rows += len(X)
        return super().predict_proba(X)


@pytest.fixture
def table():
    X, y = make_classification(
        600, 8, n_informative=6, n_classes=3, class_sep=0.9, random_state=0
    )
    return train_test_split(X, y, test_size=0.5, random_state=0, stratify=y)


@pytest.fixture
def counting(table):
    _, X_other, _, y_other = table
    teacher = CountingTeacher().fit(X_other, y_other)
    CountingTeacher.n_fits = CountingTeacher.n_rows = 0
    return teacher


@pytest.mark.parametrize("as_store", [False, True])
@pytest.mark.parametrize("wrap", [lambda t: t, FrozenEstimator], ids=["bare", "frozen"])
def test_search_asks_each_row_once(table, counting, tmp_path, wrap, as_store):
    X, _, y, _ = table
    X = np.concatenate([X, X[:50]])  # fifty rows are there twice
    y = np.concatenate([y, y[:50]])
    path = tmp_path / "answers.db"
    memory = AnswerStore(path) if as_store else path
    small = DistilledClassifier(
        wrap(counting), LogisticStudent(), memory=memory, **FIXED
    )
    search = GridSearchCV(small, GRID, cv=5).fit(X, y)
    stats = AnswerStore(path).stats()
    assert stats["rows_asked"] == 300
    assert CountingTeacher.n_rows - 300 <= 32  # the probes, counted apart
    plain = GridSearchCV(small.set_params(memory=None), GRID, cv=5).fit(X, y)
    assert_array_equal(
        search.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"]
    )
    assert CountingTeacher.n_fits == 0


def test_processes_share_the_answers(table, tmp_path):
    X, X_other, y, y_other = table
    forest = RandomForestClassifier(50, random_state=0).fit(X_other, y_other)
    path = tmp_path / "answers.db"
    small = DistilledClassifier(forest, LogisticStudent(), memory=path, **FIXED)
    search = GridSearchCV(small, GRID, cv=4, n_jobs=2).fit(X, y)
    assert AnswerStore(path).stats()["rows_asked"] == len(X)
    alone = GridSearchCV(small.set_params(memory=None), GRID, cv=4).fit(X, y)
    assert_allclose(
        search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"]
    )
    assert search.best_estimator_.teacher_ is forest


def test_workers_are_not_sent_the_weights(table, tmp_path):
    X, X_other, y, y_other = table
    forest = RandomForestClassifier(100, random_state=0).fit(X_other, y_other)
    weights = len(pickle.dumps(forest))
    small = DistilledClassifier(
        forest, LogisticStudent(), memory=tmp_path / "answers.db", **FIXED
    )
    twin = clone(small)
    sent = pickle.dumps(twin)
    assert len(sent) < weights / 50
    received = pickle.loads(sent)
    assert_array_equal(
        received.fit(X, y).predict_proba(X), clone(small).fit(X, y).predict_proba(X)
    )
    # With each task goes the search, which holds the original: it is light too.
    search = GridSearchCV(small, GRID, cv=2)
    assert len(pickle.dumps(search)) < weights / 50
    # What is fitted is whole: it does not need the folder.
    assert len(pickle.dumps(twin.fit(X, y))) > weights
    assert len(pickle.dumps(small.fit(X, y))) > weights


def test_synthetic_rows_are_asked_once_too(table, counting, tmp_path):
    X, _, y, _ = table
    path = tmp_path / "answers.db"
    small = DistilledClassifier(
        counting, LogisticStudent(), memory=path,
        **{**FIXED, "transfer": MungeSampler()},
    )  # fmt: skip
    GridSearchCV(small, GRID, cv=3, refit=False).fit(X, y)
    once = AnswerStore(path).stats()["rows_asked"]
    GridSearchCV(small, {"student__C": [0.3, 3.0]}, cv=3, refit=False).fit(X, y)
    assert AnswerStore(path).stats()["rows_asked"] == once


def test_out_of_fold_answers_are_shared(table, tmp_path):
    X, _, y, _ = table
    CountingTeacher.n_fits = CountingTeacher.n_rows = 0
    cv = StratifiedKFold(4, shuffle=True, random_state=0)
    small = DistilledClassifier(
        CountingTeacher(), LogisticStudent(), cv=cv, memory=tmp_path / "a.db", **FIXED
    )
    first = clone(small).fit(X, y)
    assert CountingTeacher.n_fits == 5
    assert first.n_teacher_rows_ == len(X)
    second = clone(small).set_params(student__C=0.1).fit(X, y)
    assert CountingTeacher.n_fits == 6  # on all rows: for teacher_
    assert second.n_teacher_rows_ == 0
    assert_array_equal(
        clone(small).fit(X, y).predict_proba(X), first.predict_proba(X)
    )  # fmt: skip
    # Anything that the answers depend on makes others of them.
    for other, labels in (
        (clone(small).set_params(teacher__var_smoothing=1e-3), y),
        (clone(small).set_params(cv=3), y),
        (clone(small), np.roll(y, 1)),
    ):
        assert other.fit(X, labels).n_teacher_rows_ == len(X)
    assert clone(small).fit(X[::-1], y[::-1]).n_teacher_rows_ == len(X)
    weighted = clone(small).fit(X, y, sample_weight=np.arange(1, len(X) + 1.0))
    assert weighted.n_teacher_rows_ == len(X)


def test_second_session_asks_nothing(table, counting, tmp_path):
    X, _, y, _ = table
    small = DistilledClassifier(
        counting, LogisticStudent(), memory=str(tmp_path / "a.db"), **FIXED
    )
    first = cross_validate(small, X, y, cv=3)["test_score"]
    small = pickle.loads(pickle.dumps(small.set_params(memory=None)))
    small.set_params(memory=str(tmp_path / "a.db"))
    before = CountingTeacher.n_rows
    assert_array_equal(cross_validate(small, X, y, cv=3)["test_score"], first)
    assert CountingTeacher.n_rows - before <= 32  # at most: who it is


def test_another_teacher_gets_its_own_answers(table, counting, tmp_path):
    X, X_other, y, y_other = table
    other = GaussianNB(var_smoothing=0.5).fit(X_other, y_other)
    small = DistilledClassifier(
        counting, LogisticStudent(), memory=tmp_path / "a.db", **FIXED
    ).fit(X, y)
    changed = clone(small).set_params(teacher=other).fit(X, y)
    expected = clone(changed).set_params(memory=None).fit(X, y)
    assert_array_equal(changed.predict_proba(X), expected.predict_proba(X))
    assert np.abs(changed.predict_proba(X) - small.predict_proba(X)).max() > 1e-3


def test_memory_of_another_kind_is_refused(table, counting):
    X, _, y, _ = table
    with pytest.raises(ValueError, match=r"memory.*must be"):
        DistilledClassifier(counting, LogisticStudent(), memory=3).fit(X, y)


def test_memory_taken_away_leaves_no_trace(table, tmp_path):
    X, X_other, y, y_other = table
    forest = RandomForestClassifier(50, random_state=0).fit(X_other, y_other)
    folder = tmp_path / "folder"
    folder.mkdir()
    small = DistilledClassifier(
        forest, LogisticStudent(), memory=folder / "answers.db", **FIXED
    )
    waiting = clone(small).set_params(memory=None)
    GridSearchCV(small, GRID, cv=2, n_jobs=2).fit(X, y)
    shutil.rmtree(folder)
    small.set_params(memory=None)
    # Nobody looks for the store, or for a teacher beside it, any more.
    for without in (small, waiting):
        assert len(pickle.dumps(clone(without))) > len(pickle.dumps(forest))
        search = GridSearchCV(without, GRID, cv=2, n_jobs=2, error_score="raise")
        assert search.fit(X, y).best_score_ > 0.5


def test_kinds_of_nested_teachers_are_told_apart(table, tmp_path):
    X, _, y, _ = table
    store = tmp_path / "a.db"
    for member in (RandomForestClassifier, ExtraTreesClassifier):
        teacher = OneVsRestClassifier(member(20, bootstrap=True, random_state=0))
        small = DistilledClassifier(teacher, LogisticStudent(), **FIXED)
        kept = clone(small).set_params(memory=store).fit(X, y)
        assert kept.n_teacher_rows_ == len(X)
        expected = small.fit(X, y).predict_proba(X)
        assert_array_equal(kept.predict_proba(X), expected)


def test_teacher_without_a_name_has_no_memory(table, tmp_path):
    X, _, y, _ = table
    teacher = make_pipeline(FunctionTransformer(lambda X: X), GaussianNB())
    small = DistilledClassifier(teacher, LogisticStudent(), **FIXED)
    small.fit(X, y)
    with pytest.raises(TypeError, match="memory must be None for a teacher"):
        small.set_params(memory=tmp_path / "a.db").fit(X, y)
