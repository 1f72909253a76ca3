"""scikit-learn's common checks over many compositions of teacher and student.

Failures are expected only where scikit-learn's own part fails the same check alone;
each has its sentence.
"""

import pytest
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import has_fit_parameter

from skdistill import DistilledClassifier, LogisticStudent, MLPStudent

# What scikit-learn's own parts warn of in its own checks.
pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:divide by zero encountered in log"),
]

net = MLPStudent((8,), max_steps=200, random_state=0)
linear = LogisticStudent()

COMPOSITIONS = [
    DistilledClassifier(LogisticRegression(), linear),
    DistilledClassifier(LogisticRegression(), net),
    DistilledClassifier(GaussianNB(), linear, temperature=2.0),
    DistilledClassifier(GaussianNB(), LogisticRegression(), targets="expand"),
    DistilledClassifier(GaussianNB(), GaussianNB(), alpha=1.0),
    DistilledClassifier(LogisticRegression(), DecisionTreeClassifier(random_state=0)),
    DistilledClassifier(
        DecisionTreeClassifier(max_depth=5, random_state=0), linear, calibrate=None
    ),
    DistilledClassifier(
        RandomForestClassifier(10, random_state=0),
        DecisionTreeClassifier(max_depth=4, random_state=0),
    ),
    DistilledClassifier(
        ExtraTreesClassifier(10, random_state=0), net, alpha=0.7, transfer=None
    ),
    DistilledClassifier(
        HistGradientBoostingClassifier(max_iter=10),
        HistGradientBoostingClassifier(max_iter=5),
    ),
    DistilledClassifier(LogisticRegression(), Ridge()),
    DistilledClassifier(GaussianNB(), make_pipeline(StandardScaler(), linear)),
    DistilledClassifier(LogisticRegression(), ExtraTreesClassifier(5, random_state=0)),
    DistilledClassifier(
        LogisticRegression(),
        MLPClassifier((16,), max_iter=200, tol=0, n_iter_no_change=200, random_state=0),
    ),
    DistilledClassifier(GaussianNB(), random_state=0, alpha=0.0),
]


WEIGHTS = "check_sample_weight_equivalence_on_dense_data"
SPARSE_WEIGHTS = "check_sample_weight_equivalence_on_sparse_data"


def expected_failures(estimator):
    """Checks that fail because scikit-learn's own part fails them alone, and why."""
    parts = {type(estimator.teacher).__name__, type(estimator.student).__name__}
    if "RandomForestClassifier" in parts:
        why = "a forest draws its bootstrap samples by row, so repeating a row is not "
        why += "the same as weighing it"
        return {WEIGHTS: why, SPARSE_WEIGHTS: why}
    if "HistGradientBoostingClassifier" in parts:
        return {WEIGHTS: "histogram boosting bins features without looking at weights"}
    if "MLPClassifier" in parts and not has_fit_parameter(
        MLPClassifier, "sample_weight"
    ):
        why = "MLPClassifier takes no weights before scikit-learn 1.7: labels are drawn"
        return {WEIGHTS: why, SPARSE_WEIGHTS: why}
    if "Pipeline" in parts:
        return {WEIGHTS: "a Pipeline gives weights to its last step, not to its scaler"}
    return {}


@parametrize_with_checks(COMPOSITIONS, expected_failed_checks=expected_failures)
def test_distilled_classifier_passes_check(estimator, check):
    check(estimator)


def test_there_are_a_dozen_compositions():
    kinds = {(type(d.teacher), type(d.student)) for d in COMPOSITIONS}
    assert len(kinds) >= 12
