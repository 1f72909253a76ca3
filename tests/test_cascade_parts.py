"""Student and teacher of a cascade: their classes, and answers that are missing."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import SVC

from skdistill.cascade._parts import (
    absent,
    check_student,
    is_ready,
    joint_classes,
    read_answers,
    teacher_of,
)

X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0, 0, 1, 1])
LABELS = np.array(["a", "b"])


class Knows:
    """A model that has classes, and nothing else."""

    def __init__(self, *classes):
        self.classes_ = np.array(classes)

    def predict_proba(self, X):
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))


def test_is_ready_means_fitted():
    fitted = GaussianNB().fit(X, y)
    assert is_ready(fitted) and is_ready(FrozenEstimator(fitted)) and is_ready(Knows(1))
    for part in (None, "range", GaussianNB, GaussianNB(), RandomForestClassifier()):
        assert not is_ready(part)


def test_check_student_takes_what_has_probabilities_or_will():
    for student in (GaussianNB(), Knows(0, 1), SVC(probability=True)):
        check_student(student)
    for student in (GaussianNB, object(), "GaussianNB", None):
        with pytest.raises(TypeError, match="student must be a classifier"):
            check_student(student)
    with pytest.raises(TypeError, match="CalibratedClassifierCV"):
        check_student(SVC().fit(X, y))


def test_joint_classes_are_those_of_the_side_that_knows_more():
    assert_array_equal(joint_classes(Knows(2, 0), Knows(0, 1, 2)), [0, 1, 2])
    assert_array_equal(joint_classes(Knows("b", "a"), Knows("a")), ["a", "b"])
    assert_array_equal(joint_classes(Knows(0), Knows(0), np.array([0, 3])), [0, 3])
    with pytest.raises(ValueError, match=r"got \['a', 'b'\] and \[0, 1\]"):
        joint_classes(Knows("a", "b"), Knows(0, 1))
    with pytest.raises(TypeError, match="teacher must have classes_"):
        joint_classes(Knows(0, 1), object())


def test_teacher_of_a_student_that_keeps_none():
    with pytest.raises(ValueError, match="teacher must be given"):
        teacher_of(GaussianNB())


def test_read_answers_leaves_out_rows_of_nan_and_sorts_columns():
    P = np.array([[0.25, 0.75], [np.nan, np.nan], [1.0, 0.0]])
    kept, told = read_answers(
        P, n_samples=3, labels=LABELS[::-1], classes=LABELS, name="P"
    )
    assert_array_equal(told, [True, False, True])
    assert_array_equal(kept, [[0.75, 0.25], [0.0, 1.0]])


def test_read_answers_takes_one_column_for_two_classes():
    P = np.array([0.25, np.nan])
    kept, told = read_answers(P, n_samples=2, labels=LABELS, classes=LABELS, name="P")
    assert_array_equal(kept, [[0.75, 0.25]])
    assert_array_equal(told, [True, False])


@pytest.mark.parametrize(
    ("P", "match"),
    [
        (np.ones((2, 3)) / 3, r"shape .* \(2, 2\), got \(2, 3\)"),
        (np.ones((1, 2)) / 2, r"\(2, 2\), got \(1, 2\)"),
        (np.array([[np.nan, 1.0], [0.5, 0.5]]), "finite"),
        (np.array([[0.5, 0.7], [0.5, 0.5]]), "sum to 1"),
    ],
)
def test_read_answers_refuses_what_is_no_answer(P, match):
    with pytest.raises(ValueError, match=match):
        read_answers(P, n_samples=2, labels=LABELS, classes=LABELS, name="P")


def test_absent_means_that_all_of_a_row_is_nan():
    P = [[np.nan, np.nan], [np.nan, 0.0], [1.0, 0.0]]
    assert_array_equal(absent(P), [True, False, False])
    assert_array_equal(absent(np.array([[1, 0]])), [False])
