"""Rows of a report: who is asked what, how often, and which rows are left."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_classification
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skdistill import DistilledClassifier, LogisticStudent
from skdistill.report._cast import resolve_cast
from skdistill.report._rows import ask_all
from skdistill.soft_targets import Calibration

X, y = make_classification(
    200, 6, n_informative=4, n_classes=3, n_clusters_per_class=1, random_state=0
)
NAMES = np.array(["ant", "bee", "cat"])[y]
TEACHER = RandomForestClassifier(10, random_state=0).fit(X[:100], NAMES[:100])
STUDENT = LogisticRegression().fit(X[:100], NAMES[:100])


class Counting:
    """Teacher without scikit-learn's conventions, which counts rows."""

    def __init__(self, model, order=None):
        self.model, self.order, self.n_rows = model, order, 0
        if order is None:
            self.classes_ = model.classes_

    def predict_proba(self, X):
        self.n_rows += len(X)
        P = self.model.predict_proba(X)
        return P if self.order is None else P[:, self.order]


def test_ask_all_asks_the_teacher_once_a_row():
    teacher = Counting(TEACHER)
    rows = ask_all(resolve_cast(STUDENT, teacher=teacher), X, y=NAMES)
    assert teacher.n_rows == rows.n_asked == len(rows) == 200
    np.testing.assert_allclose(rows.answers["teacher"], TEACHER.predict_proba(X))
    np.testing.assert_allclose(rows.answers["student"], STUDENT.predict_proba(X))
    assert list(rows.answers) == ["teacher", "student"]
    np.testing.assert_array_equal(rows.labels, NAMES)


def test_ask_all_takes_soft_targets_instead():
    teacher = Counting(TEACHER)
    P = TEACHER.predict_proba(X)
    P[[3, 7], 1] = np.nan
    rows = ask_all(resolve_cast(STUDENT, teacher=teacher), X, y=NAMES, soft_targets=P)
    assert teacher.n_rows == rows.n_asked == 0
    assert (len(rows), rows.n_left_out, rows.n_unanswered) == (198, 2, 2)
    assert set(range(200)) - set(rows.at.tolist()) == {3, 7}
    np.testing.assert_allclose(rows.answers["teacher"], P[rows.at])
    np.testing.assert_allclose(
        rows.answers["student"], STUDENT.predict_proba(X[rows.at])
    )
    np.testing.assert_array_equal(rows.labels, NAMES[rows.at])


class Silent(Counting):
    """Teacher that does not answer some rows of a frame."""

    def predict_proba(self, X):
        P = super().predict_proba(X.to_numpy())
        P[(X[0] > 1).to_numpy()] = np.nan
        return P


def test_ask_all_leaves_out_rows_that_the_teacher_does_not_answer():
    frame = pd.DataFrame(X)
    student = make_pipeline(FunctionTransformer(), LogisticRegression())
    student.fit(frame, NAMES)
    rows = ask_all(resolve_cast(student, teacher=Silent(TEACHER)), frame)
    kept = np.flatnonzero(X[:, 0] <= 1)
    np.testing.assert_array_equal(rows.at, kept)
    assert rows.n_unanswered == 200 - len(kept) > 0
    assert rows.codes is None and rows.labels is None
    pd.testing.assert_frame_equal(rows.X, frame.iloc[kept])


def test_ask_all_leaves_out_rows_without_weight():
    weight = np.ones(200)
    weight[10:20] = 0
    teacher = Counting(TEACHER)
    rows = ask_all(resolve_cast(STUDENT, teacher=teacher), X, sample_weight=weight)
    assert teacher.n_rows == 190 and rows.n_left_out == 10 and rows.n_unanswered == 0
    assert (rows.weight > 0).all() and not set(rows.at) & set(range(10, 20))


def test_ask_all_aligns_columns_by_label():
    teacher = Counting(TEACHER, order=[2, 0, 1])
    columns = TEACHER.classes_[[2, 0, 1]]
    rows = ask_all(resolve_cast(STUDENT, teacher=teacher), X, classes=columns)
    np.testing.assert_allclose(rows.answers["teacher"], TEACHER.predict_proba(X))
    with pytest.raises(ValueError, match="classes must be given for a teacher without"):
        ask_all(resolve_cast(STUDENT, teacher=teacher), X)


def test_ask_all_knows_classes_that_the_student_lacks():
    few = NAMES != "cat"
    student = LogisticRegression().fit(X[few], NAMES[few])
    rows = ask_all(resolve_cast(student, teacher=TEACHER), X, y=NAMES)
    assert rows.classes.tolist() == ["ant", "bee", "cat"]
    assert (rows.answers["student"][:, 2] == 0).all()


def test_ask_all_calibrates_like_the_fit_did():
    model = DistilledClassifier(
        TEACHER, LogisticStudent(), alpha=0.5, transfer=None, calibrate="temperature"
    ).fit(X[100:], NAMES[100:])
    assert model.calibration_.kept
    rows = ask_all(resolve_cast(model), X)
    P = TEACHER.predict_proba(X)
    np.testing.assert_allclose(rows.answers["teacher"], P)
    np.testing.assert_allclose(
        rows.answers["teacher, calibrated"], model.calibration_(P)
    )
    assert rows.reference == "teacher, calibrated"
    model.calibration_ = Calibration()
    rows = ask_all(resolve_cast(model), X)
    assert rows.reference == "teacher" and "teacher, calibrated" not in rows.answers


def test_ask_all_transforms_once():
    class Counted(FunctionTransformer):
        n_calls = 0

        def transform(self, X):
            Counted.n_calls += 1
            return super().transform(X)

    model = make_pipeline(
        Counted(),
        DistilledClassifier(TEACHER, LogisticStudent(), alpha=0.5, transfer=None),
    ).fit(X, NAMES)
    Counted.n_calls = 0
    ask_all(resolve_cast(model), X)
    assert Counted.n_calls == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"y": NAMES[:5]}, "inconsistent numbers of samples"),
        ({"y": np.repeat("dog", 200)}, "labels that the teacher's classes lack.*dog"),
        ({"soft_targets": np.full((200, 3), np.nan)}, "must have a row that the teach"),
        ({"soft_targets": np.full((200, 3), 0.5)}, "must sum to 1"),
        ({"soft_targets": np.full((200, 2), 0.5)}, "must have shape"),
        ({"sample_weight": np.zeros(200)}, "sample_weight must be"),
    ],
)
def test_ask_all_says_what_is_wrong(given, message):
    with pytest.raises(ValueError, match=message):
        ask_all(resolve_cast(STUDENT, teacher=TEACHER), X, **given)


def test_ask_all_needs_a_teacher():
    with pytest.raises(ValueError, match="teacher or soft_targets must be given"):
        ask_all(resolve_cast(STUDENT), X)


def test_ask_all_refuses_labels_of_two_types():
    numbers = DummyClassifier().fit(X, y)
    with pytest.raises(ValueError, match="labels of one type"):
        ask_all(resolve_cast(STUDENT, teacher=numbers), X)
