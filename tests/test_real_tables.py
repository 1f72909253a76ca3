"""What the package promises, on real tables. Slow: the teachers are."""

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split

from benchmarks.datasets import load
from skdistill import DistilledClassifier, MLPStudent
from skdistill.metrics import agreement, expected_calibration_error, mean_kl_divergence

pytestmark = pytest.mark.slow


def test_letter_student_beats_the_plain_one_and_is_nearer_to_the_teacher():
    X, y = load("letter")
    X, X_test, y, y_test = train_test_split(
        X, y, test_size=0.25, random_state=0, stratify=y
    )
    small = DistilledClassifier(
        ExtraTreesClassifier(300, random_state=0), MLPStudent((64, 64)), random_state=0
    ).fit(X, y)
    teacher, plain = small.teacher_, small.plain_student_
    P, Q, R = (m.predict_proba(X_test) for m in (teacher, small, plain))
    labels = small.classes_
    # The same training rows, the same net, the same seed: only the targets differ.
    assert accuracy_score(y_test, labels[Q.argmax(1)]) >= accuracy_score(
        y_test, labels[R.argmax(1)]
    )
    assert log_loss(y_test, Q, labels=labels) < log_loss(y_test, R, labels=labels)
    assert agreement(P, Q) > agreement(P, R)
    calibrated = small.calibration_(P)
    assert mean_kl_divergence(calibrated, Q) < mean_kl_divergence(calibrated, R)
    # An underconfident forest is put right on the way.
    assert log_loss(y_test, Q, labels=labels) < log_loss(y_test, P, labels=labels)
    errors = [expected_calibration_error(y_test, A, classes=labels) for A in (P, Q)]
    assert errors[1] < errors[0]


def test_adult_student_with_categories_and_missing_values():
    X, y = load("adult", n_rows=8_000)
    X, X_test, y, y_test = train_test_split(
        X, y, test_size=0.25, random_state=0, stratify=y
    )
    teacher = HistGradientBoostingClassifier(
        categorical_features="from_dtype", random_state=0
    )
    small = DistilledClassifier(teacher, random_state=0).fit(X, y)
    Q, R = small.predict_proba(X_test), small.plain_student_.predict_proba(X_test)
    loss, plain = (log_loss(y_test, P, labels=small.classes_) for P in (Q, R))
    prior = log_loss(y_test, np.tile(np.mean(Q, axis=0), (len(Q), 1)))
    assert loss < 0.75 * prior
    # never knowingly worse: within one standard error of the plain student
    rows = np.arange(len(y_test)), np.searchsorted(small.classes_, y_test)
    difference = np.log(R[rows]) - np.log(Q[rows])
    assert loss - plain < difference.std() / np.sqrt(len(difference))
