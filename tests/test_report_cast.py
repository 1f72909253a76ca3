"""Who a report is about: found inside pipelines and searches."""

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Perceptron
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from skdistill import DistilledClassifier, LogisticStudent
from skdistill.report._cast import bare, resolve_cast
from skdistill.teachers import CachedTeacher

X, y = make_classification(300, 6, n_informative=4, random_state=0)
FOREST = RandomForestClassifier(10, random_state=0)


def distilled(**params):
    settings = {"alpha": 0.5, "transfer": None, "random_state": 0} | params
    return DistilledClassifier(FOREST, LogisticStudent(), **settings)


def test_cast_of_a_distilled_classifier():
    model = distilled(alpha="auto").fit(X, y)
    cast = resolve_cast(model)
    models = {name: member.model for name, member in cast.members.items()}
    assert models == {
        "teacher": model.teacher_,
        "student": model.student_,
        "plain student": model.plain_student_,
    }
    assert cast.distilled is model and cast.calibration is model.calibration_


def test_cast_through_pipelines_and_searches():
    inner = make_pipeline(MinMaxScaler(), distilled())
    search = GridSearchCV(inner, {"distilledclassifier__alpha": [0.5]}, cv=2)
    outer = make_pipeline(StandardScaler(), search).fit(X, y)
    cast = resolve_cast(FrozenEstimator(outer))
    best = outer[-1].best_estimator_
    assert cast.distilled is best[-1]
    rows = cast.members["student"].transform(X)
    expected = best[:-1].transform(outer[:-1].transform(X))
    np.testing.assert_array_equal(rows, expected)
    for name in ("teacher", "student"):
        np.testing.assert_array_equal(
            cast.members[name].predict_proba(X),
            cast.members[name].model.predict_proba(expected),
        )


def test_cast_of_what_is_handed_over_sees_rows_as_given():
    model = make_pipeline(StandardScaler(), distilled()).fit(X, y)
    other = LogisticRegression().fit(X, y)
    cast = resolve_cast(model, teacher=other, plain=other, artefact=model)
    assert cast.members["student"].steps
    for name in ("teacher", "plain student", "artefact"):
        assert cast.members[name].transform(X) is X
    assert cast.calibration is None  # that was fitted for another teacher
    assert cast.is_one("teacher", "plain student")
    assert not cast.is_one("teacher", "student")
    assert not resolve_cast(model).is_one("plain student", "student")


def test_cast_takes_any_classifier_as_student():
    teacher, student = FOREST.fit(X, y), LogisticRegression().fit(X, y)
    cast = resolve_cast(student, teacher=teacher)
    assert cast.members["student"].model is student and cast.distilled is None


def test_cast_asks_through_the_store_and_times_the_teacher_itself(tmp_path):
    forest = RandomForestClassifier(10, random_state=0).fit(X[:150], y[:150])
    frozen = FrozenEstimator(forest)
    model = DistilledClassifier(
        frozen, LogisticStudent(), alpha=0.5, transfer=None, memory=tmp_path / "a.db"
    ).fit(X[150:], y[150:])
    member = resolve_cast(model).members["teacher"]
    assert isinstance(member.asked, CachedTeacher)
    assert member.model is forest
    cached = CachedTeacher(frozen, tmp_path / "b.db")
    assert bare(FrozenEstimator(cached)) is forest
    given = resolve_cast(model, teacher=cached).members["teacher"]
    assert given.asked is cached and given.model is forest


@pytest.mark.parametrize(
    ("model", "more", "error", "message"),
    [
        (distilled(), {}, NotFittedError, "not fitted"),
        (Perceptron().fit(X, y), {}, TypeError, "model must be a fitted classifier"),
        (object(), {}, TypeError, "model must be .* got <object"),
        (
            DummyClassifier().fit(X, y),
            {"artefact": object()},
            TypeError,
            "artefact must be",
        ),
        (
            DummyClassifier().fit(X, y),
            {"teacher": Perceptron().fit(X, y)},
            TypeError,
            "teacher must have predict_proba",
        ),
        (
            DummyClassifier().fit(X, y),
            {"plain": LogisticRegression()},
            NotFittedError,
            "not fitted",
        ),
    ],
)
def test_cast_says_what_is_wrong(model, more, error, message):
    with pytest.raises(error, match=message):
        resolve_cast(model, **more)
