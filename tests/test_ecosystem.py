"""DistilledClassifier inside scikit-learn: searches, pipelines, ensembles, pickles."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits, make_classification
from sklearn.ensemble import (
    BaggingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    cross_val_predict,
    cross_validate,
    train_test_split,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from skdistill import DistilledClassifier, LogisticStudent, MLPStudent
from skdistill.transfer import UnlabelledPool

FIXED = {"alpha": 0.7, "calibrate": None, "transfer": None}
NET = MLPStudent((8,), max_steps=300, random_state=0)


@pytest.fixture(scope="module")
def table():
    X, y = make_classification(
        800, 8, n_informative=6, n_classes=3, class_sep=0.9, random_state=0
    )
    return train_test_split(X, y, test_size=0.5, random_state=0, stratify=y)


class CountingTeacher(GaussianNB):
    """Counts the rows that it is asked about, in all copies of this process."""

    n_rows, n_fits = 0, 0

    def fit(self, X, y, sample_weight=None):
        type(self).n_fits += 1
        return super().fit(X, y, sample_weight)

    def predict_proba(self, X):
        type(self).n_rows += len(X)
        return super().predict_proba(X)


@pytest.fixture
def counting(table):
    _, X_other, _, y_other = table
    teacher = CountingTeacher().fit(X_other, y_other)
    CountingTeacher.n_rows = CountingTeacher.n_fits = 0
    return teacher


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_grid_search_over_student_sizes(table, n_jobs):
    X, X_other, y, y_other = table
    teacher = GaussianNB().fit(X_other, y_other)
    search = GridSearchCV(
        DistilledClassifier(FrozenEstimator(teacher), NET, random_state=0, **FIXED),
        {"student__hidden_layer_sizes": [(2,), (16,)]},
        cv=3,
        n_jobs=n_jobs,
        scoring="neg_log_loss",
    ).fit(X, y)
    scores = search.cv_results_["mean_test_score"]
    assert scores[1] > scores[0]
    assert search.best_estimator_.student_.hidden_layer_sizes == (16,)
    assert search.best_estimator_.teacher_.estimator is teacher


def test_grid_search_over_whole_students(table):
    X, X_other, y, y_other = table
    teacher = GaussianNB().fit(X_other, y_other)
    search = GridSearchCV(
        DistilledClassifier(teacher, random_state=0, **FIXED),
        {"student": [NET, LogisticStudent(), DecisionTreeClassifier(max_depth=3)]},
        cv=2,
    ).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_fitted_teacher_is_never_refitted_in_a_search(table, counting):
    X, _, y, _ = table
    GridSearchCV(
        DistilledClassifier(counting, LogisticStudent(), **FIXED),
        {"student__C": [0.1, 1.0]},
        cv=3,
    ).fit(X, y)
    assert CountingTeacher.n_fits == 0
    assert CountingTeacher.n_rows == 2 * 2 * len(X) + len(X)


def test_soft_targets_are_sliced_by_searches(table, counting):
    X, _, y, _ = table
    P = counting.predict_proba(X)
    CountingTeacher.n_rows = 0
    small = DistilledClassifier(counting, LogisticStudent(), **FIXED)
    grid = {"student__C": [0.1, 1.0]}
    for search in (
        GridSearchCV(small, grid, cv=3),
        HalvingGridSearchCV(small, grid, cv=3, min_resources=150, random_state=0),
    ):
        search.fit(X, y, soft_targets=P)
        assert search.best_score_ > 0.5
    cross_validate(small, X, y, cv=3, params={"soft_targets": P})
    piped = make_pipeline(StandardScaler(), small)
    piped.fit(X, y, distilledclassifier__soft_targets=P)
    assert CountingTeacher.n_rows == 0
    assert CountingTeacher.n_fits == 0
    apart = DistilledClassifier(None, LogisticStudent(), **FIXED)
    apart = GridSearchCV(apart, grid, cv=3, n_jobs=2)
    assert apart.fit(X, y, soft_targets=P).best_score_ > 0.5


def test_soft_targets_are_routed_where_routing_is_on(table, counting):
    X, _, y, _ = table
    P = counting.predict_proba(X)
    CountingTeacher.n_rows = 0
    with config_context(enable_metadata_routing=True):
        small = DistilledClassifier(counting, LogisticStudent(), **FIXED)
        small.set_fit_request(soft_targets=True)
        search = GridSearchCV(small, {"student__C": [0.1, 1.0]}, cv=3)
        search.fit(X, y, soft_targets=P)
        scores = cross_validate(small, X, y, cv=3, params={"soft_targets": P})
    assert CountingTeacher.n_rows == 0
    assert scores["test_score"].mean() > 0.5


def test_teachers_in_a_grid_are_frozen(table):
    X, X_other, y, y_other = table
    good = GaussianNB().fit(X_other, y_other)
    bad = GaussianNB().fit(X_other, np.random.RandomState(0).permutation(y_other))
    search = GridSearchCV(
        DistilledClassifier(None, LogisticStudent(), alpha=1.0, calibrate=None),
        {"teacher": [FrozenEstimator(bad), FrozenEstimator(good)]},
        cv=3,
    ).fit(X, y)
    assert search.best_params_["teacher"].estimator is good
    assert search.best_estimator_.teacher_.estimator is good


@pytest.mark.parametrize("is_fitted", [True, False])
def test_cross_validate_with_several_scorers(table, is_fitted):
    X, X_other, y, y_other = table
    teacher = GaussianNB()
    if is_fitted:
        teacher.fit(X_other, y_other)
    scores = cross_validate(
        DistilledClassifier(teacher, LogisticStudent(), **FIXED),
        X,
        y,
        cv=3,
        scoring=["accuracy", "neg_log_loss", "roc_auc_ovr"],
        n_jobs=2,
    )
    assert all(
        np.isfinite(scores[f"test_{s}"]).all() for s in ("accuracy", "roc_auc_ovr")
    )
    assert scores["test_neg_log_loss"].mean() > -np.log(3)


def test_pipeline_before_and_inside(table):
    X, _, y, _ = table
    small = DistilledClassifier(
        LogisticRegression(),
        make_pipeline(StandardScaler(), NET),
        random_state=0,
        **FIXED,
    )
    piped = make_pipeline(StandardScaler(), clone(small)).fit(X, y)
    inside = small.fit(X, y)
    assert piped.score(X, y) > 0.6
    assert inside.score(X, y) > 0.6
    assert inside.student_.steps[0][1].n_samples_seen_ == len(X)


def test_pipeline_before_a_fitted_teacher_warns(table):
    import pandas as pd

    X, X_other, y, y_other = table
    frame = pd.DataFrame(X_other).rename(columns=str)
    teacher = LogisticRegression().fit(frame, y_other)
    piped = make_pipeline(
        StandardScaler(), DistilledClassifier(teacher, LogisticStudent(), **FIXED)
    )
    with (
        pytest.warns(UserWarning, match="Put preprocessing inside the student"),
        pytest.warns(UserWarning, match="valid feature names"),
    ):
        piped.fit(X, y)


def test_calibrated_classifier_around_it(table):
    X, _, y, _ = table
    small = DistilledClassifier(
        GaussianNB(), LogisticStudent(), random_state=0, **FIXED
    )
    calibrated = CalibratedClassifierCV(small, cv=3).fit(X, y)
    assert calibrated.score(X, y) > 0.6
    frozen = CalibratedClassifierCV(FrozenEstimator(small.fit(X, y)))
    assert_allclose(frozen.fit(X, y).predict_proba(X).sum(axis=1), 1)


def test_ensembles_of_distilled_classifiers(table):
    X, _, y, _ = table
    small = DistilledClassifier(
        GaussianNB(), LogisticStudent(), random_state=0, **FIXED
    )
    for ensemble in (
        VotingClassifier([("a", small), ("b", GaussianNB())], voting="soft"),
        StackingClassifier([("a", small), ("b", GaussianNB())], cv=3),
    ):
        assert ensemble.fit(X, y).score(X, y) > 0.6


def test_bagging_of_students_of_a_fitted_teacher(table):
    X, X_other, y, y_other = table
    # no seed of its own, which an ensemble would set
    teacher = RandomForestClassifier(20).fit(X_other, y_other)
    small = DistilledClassifier(teacher, LogisticStudent(), **FIXED)
    bagged = BaggingClassifier(small, 3, random_state=0).fit(X, y)
    assert all(member.teacher is teacher for member in bagged.estimators_)
    assert teacher.random_state is None
    assert len({member.random_state for member in bagged.estimators_}) == 3


def test_cross_val_predict_labels_once_for_many(table):
    X, _, y, _ = table
    P = cross_val_predict(GaussianNB(), X, y, method="predict_proba")
    search = GridSearchCV(
        DistilledClassifier(None, NET, random_state=0, **FIXED),
        {"student__hidden_layer_sizes": [(4,), (8, 8)]},
        cv=2,
    ).fit(X, y, soft_targets=P)
    assert search.best_estimator_.teacher_ is None


def test_pool_is_not_sliced_by_searches(table):
    """An array as long as X would be; a wrapper never is."""
    X, X_other, y, y_other = table
    teacher = GaussianNB().fit(X_other, y_other)
    assert len(X) == len(X_other)
    small = DistilledClassifier(teacher, LogisticStudent(), **FIXED)
    grid = {"student__C": [1.0]}
    pool = UnlabelledPool(X_other)
    whole = GridSearchCV(small.set_params(transfer="auto"), grid, cv=2)
    cv_rows = []

    class Recording(LogisticStudent):
        def fit_soft_targets(self, X, *args, **kwargs):
            cv_rows.append(len(X))
            return super().fit_soft_targets(X, *args, **kwargs)

    whole.set_params(estimator__student=Recording())
    whole.fit(X, y, X_transfer=pool)
    assert cv_rows == [600, 600, 800]
    cv_rows.clear()
    whole.fit(X, y, X_transfer=X_other)
    assert cv_rows == [400, 400, 800]
    cv_rows.clear()
    by_constructor = GridSearchCV(
        DistilledClassifier(
            teacher, Recording(), alpha=0.7, calibrate=None, transfer=pool
        ),
        grid,
        cv=2,
    ).fit(X, y)
    assert cv_rows == [600, 600, 800]
    assert by_constructor.best_estimator_.transfer is pool


def test_digits_student_pickles_small():
    X, y = load_digits(return_X_y=True)
    forest = RandomForestClassifier(200, random_state=0)
    small = DistilledClassifier(
        forest, MLPStudent((32,), max_steps=1500), random_state=0, **FIXED
    ).fit(X[:1200], y[:1200])
    data = pickle.dumps(small.student_)
    assert len(data) < len(pickle.dumps(small.teacher_)) / 100
    again = pickle.loads(data)
    assert_array_equal(again.predict_proba(X), small.predict_proba(X))
    assert again.score(X[1200:], y[1200:]) > 0.85


@pytest.mark.parametrize(
    "student",
    [
        MLPStudent((8,), max_steps=50),
        LogisticStudent(),
        LogisticRegression(),
        make_pipeline(StandardScaler(), LogisticStudent()),
    ],
    ids=["mlp", "logistic", "sklearn", "pipeline"],
)
def test_skops_round_trip_of_the_student(table, student, tmp_path):
    from skops import io

    X, _, y, _ = table
    small = DistilledClassifier(GaussianNB(), student, random_state=0, **FIXED).fit(
        X, y
    )
    path = tmp_path / "student.skops"
    io.dump(small.student_, path)
    # The user guide lists these names; all are classes of this package.
    unknown = io.get_untrusted_types(file=path)
    assert all(name.startswith("skdistill.") for name in unknown)
    assert set(unknown) <= {
        "skdistill.students._mlp.MLPStudent",
        "skdistill.students._logistic.LogisticStudent",
        "skdistill.students._table.TableEncoder",
    }
    again = io.load(path, trusted=unknown)
    assert_array_equal(again.predict_proba(X), small.student_.predict_proba(X))
