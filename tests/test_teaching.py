"""A teacher fitted here: out of bag, out of fold, and without some rows."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from skdistill._progress import FitProgress
from skdistill._teaching import TeacherFit, cross_fit

X, Y = make_classification(300, 6, n_informative=4, n_classes=3, random_state=0)
TRAIN, TEST = np.arange(60, 300), np.arange(60)


def fit_on(teacher, y, cv="auto"):
    return cross_fit(
        TeacherFit(teacher, X, y, {}),
        Y,
        classes=np.arange(3),
        cv=cv,
        split_params={},
        n_jobs=None,
        seed=0,
        progress=FitProgress(LogisticRegression(), X, y),
    )


@pytest.mark.parametrize(
    "teacher",
    [
        DecisionTreeClassifier(random_state=0),
        RandomForestClassifier(100, random_state=0),
    ],
    ids=["folds", "bags"],
)
def test_without_knows_nothing_of_the_held_out_labels(teacher):
    """Targets that students are chosen by stay when the held-out labels change."""
    folds = np.array_split(np.arange(300), 5)
    cv = [(np.setdiff1d(np.arange(300), f), f) for f in folds]
    cv = "auto" if isinstance(teacher, RandomForestClassifier) else cv
    other = Y.copy()
    other[TEST] = (other[TEST] + 1) % 3
    first, second = (fit_on(teacher, y, cv) for y in (Y, other))
    # The ordinary targets of the other rows do change: that is the leak.
    assert np.abs(first.P[TRAIN] - second.P[TRAIN]).max() > 0
    fitted, P = first.without(TRAIN, TEST)
    same, Q = second.without(TRAIN, TEST)
    assert_array_equal(P, Q)
    assert_array_equal(fitted.predict_proba(X), same.predict_proba(X))
    assert P.shape == (240, 3)
    assert np.isfinite(P).all()


def test_teacher_of_the_first_split_is_fitted_once():
    class Counting(DecisionTreeClassifier):
        n_fits = 0

        def fit(self, X, y, **params):
            type(self).n_fits += 1
            return super().fit(X, y, **params)

    own = fit_on(Counting(random_state=0), Y, cv=5)
    assert Counting.n_fits == 6
    train, test = own.splits[0]
    own.without(train, test)
    assert Counting.n_fits == 6 + 4
    # a split of the caller's own: every fold again, and a teacher
    own.without(TRAIN, TEST)
    assert Counting.n_fits >= 6 + 4 + 5
