"""Soft targets as labelled copies of rows: weights, settings, early stopping."""

import functools
import warnings

import numpy as np
import pytest
import sklearn
from scipy.special import softmax
from sklearn.discriminant_analysis import (
    LinearDiscriminantAnalysis,
    QuadraticDiscriminantAnalysis,
)
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import SGDClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.fixes import parse_version

from skdistill.soft_targets import kl_rows
from skdistill.students import fit_student
from skdistill.students._adapter import SoftStudentAdapter
from skdistill.students._copies import MAX_DRAWS, draw, expand
from skdistill.students._routes import TOLERANCE
from skdistill.students._rows import Rows

with warnings.catch_warnings():
    # They import matplotlib, whose older releases use deprecated names of pyparsing.
    warnings.simplefilter("ignore")
    import catboost
    import lightgbm
    import xgboost

HAS_X_VAL = parse_version(sklearn.__version__) >= parse_version("1.7")

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    # LightGBM's own, under some releases of scikit-learn
    "ignore:X does not have valid feature names:UserWarning",
    "ignore:'force_all_finite' was renamed:FutureWarning",
    "ignore:The .* classes from which it inherits use `_get_tags`:FutureWarning",
)


def linear_truth(n_samples, n_classes, *, n_features=6, seed=0, scale=1.0):
    """Rows, and the true posterior of a linear model."""
    W = scale * np.random.RandomState(99).normal(size=(n_features, n_classes))
    X = np.random.RandomState(seed).normal(size=(n_samples, n_features))
    return X, softmax(X @ W, axis=1)


def labels_of(n_classes):
    return np.array(["no", "yes"]) if n_classes == 2 else np.array(list("abcdefgh"))[:4]


def weights_of(n_samples, seed=1):
    return np.random.RandomState(seed).uniform(0.5, 2.0, n_samples)


def LightGBM(**params):
    return lightgbm.LGBMClassifier(
        **{"n_estimators": 15, "n_jobs": 1, "verbose": -1} | params
    )


def XGBoost(**params):
    return xgboost.XGBClassifier(**{"n_estimators": 15, "n_jobs": 1} | params)


def CatBoost(**params):
    quiet = {"verbose": 0, "allow_writing_files": False, "thread_count": 1}
    return catboost.CatBoostClassifier(**quiet | {"n_estimators": 15} | params)


def name_of(value):
    return type(value).__name__ if hasattr(value, "fit") else str(value)


# -- copies ----------------------------------------------------------------------------


@pytest.mark.parametrize("tolerance", [0.0, TOLERANCE, 0.2])
def test_expand_weights_sum_to_those_of_rows(tolerance):
    _, P = linear_truth(500, 4, scale=3)
    weight = weights_of(500)
    copies = expand(Rows(None, P, weight), tolerance)
    np.testing.assert_allclose(
        np.bincount(copies.at, copies.weight), weight, rtol=1e-12
    )
    kept = np.zeros_like(P)
    kept[copies.at, copies.codes] = P[copies.at, copies.codes]
    lost = set(np.flatnonzero(1 - kept.sum(axis=1) > tolerance + 1e-12))
    assert not lost
    assert (np.diff(copies.at) >= 0).all()


def test_expand_keeps_the_last_row_of_a_class():
    P = np.full((50, 3), [0.995, 0.003, 0.002])
    P[7] = [0.994, 0.004, 0.002]
    copies = expand(Rows(None, P), 0.01)
    assert len(copies) == 52
    assert copies.at[copies.codes == 1].tolist() == [7]
    assert copies.at[copies.codes == 2].tolist() == [0]


def test_draw_meets_probabilities():
    _, P = linear_truth(4_000, 4)
    rng = np.random.RandomState(0)
    copies = draw(Rows(None, P), rng)
    counts = np.zeros_like(P)
    np.add.at(counts, (copies.at, copies.codes), 1)
    assert (counts.sum(axis=1) == MAX_DRAWS).all()
    # stratified: no count is further from its expectation than one draw
    assert np.abs(counts - MAX_DRAWS * P).max() < 1.0 + 1e-9
    np.testing.assert_allclose(
        counts.mean(axis=0) / MAX_DRAWS, P.mean(axis=0), atol=0.01
    )


def test_draw_prefers_heavy_rows():
    _, P = linear_truth(2_000, 4)
    weight = weights_of(2_000)
    copies = draw(Rows(None, P, weight), np.random.RandomState(0))
    drawn = np.bincount(copies.at, minlength=2_000)
    assert np.abs(drawn - MAX_DRAWS * weight / weight.mean()).max() <= 1.0


def test_fit_student_sample_serves_students_without_weights():
    X, P = linear_truth(3_000, 4)
    X_new, P_new = linear_truth(1_000, 4, seed=4)
    for student in (LinearDiscriminantAnalysis(), QuadraticDiscriminantAnalysis()):
        fitted, feed = fit_student(
            student, X, P, classes=labels_of(4), targets="sample", random_state=0
        )
        assert (feed.route, feed.n_rows_fed) == ("sample", 30_000)
        assert kl_rows(P_new, fitted.predict_proba(X_new)).mean() < 0.1


# -- settings that count rows ----------------------------------------------------------


def test_fit_student_min_samples_leaf_counts_rows():
    X, P = linear_truth(400, 4)
    for criterion in ("gini", "entropy"):
        tree = DecisionTreeClassifier(
            criterion=criterion, min_samples_leaf=25, random_state=0
        )
        fitted, _ = fit_student(tree, X, P, classes=labels_of(4))
        inner = getattr(fitted, "estimator_", fitted)
        sizes = np.bincount(inner.apply(X))
        assert sizes[sizes > 0].min() >= 25
        assert sizes[sizes > 0].min() < 50


def test_fit_student_gives_settings_back():
    X, P = linear_truth(400, 4)
    trees = DecisionTreeClassifier(criterion="entropy", min_samples_leaf=25)
    boosting = HistGradientBoostingClassifier(min_samples_leaf=13, max_iter=3)
    for student in (trees, boosting, LightGBM(min_child_samples=13)):
        before = student.get_params()
        fitted, _ = fit_student(student, X, P, classes=labels_of(4))
        given = fitted.estimator if isinstance(fitted, SoftStudentAdapter) else fitted
        assert given.get_params() == before


@pytest.mark.parametrize("make", [LightGBM, CatBoost, HistGradientBoostingClassifier])
def test_fit_student_scales_smallest_leaf_of_boosting(make):
    name = {LightGBM: "min_child_samples", CatBoost: "min_data_in_leaf"}.get(
        make, "min_samples_leaf"
    )
    X, P = linear_truth(500, 4)
    extra = {"grow_policy": "Depthwise"} if make is CatBoost else {}
    seen = {}

    class Spy(type(make())):
        def fit(self, X, y, **params):
            seen["value"] = self.get_params()[name]
            return super().fit(X, y, **params)

    student = Spy(**(make(**extra).get_params() | {name: 10}))
    _, feed = fit_student(student, X, P, classes=labels_of(4))
    assert seen["value"] == round(10 * feed.n_rows_fed / 500) > 15


# -- early stopping --------------------------------------------------------------------


def stopping_spy(base, seen):
    class Spy(base):
        @functools.wraps(base.fit)
        def fit(self, X, y, **params):
            seen.update(params, X=X, n_fed=len(y), settings=self.get_params())
            return super().fit(X, y, **params)

    return Spy


def held_rows(seen):
    if "X_val" in seen:
        return seen["X_val"]
    if "eval_X" in seen:
        return seen["eval_X"][0]
    held = seen["eval_set"]
    if isinstance(held, catboost.Pool):
        return held.get_features()
    return held[0][0]


STOPPING = [
    pytest.param(
        HistGradientBoostingClassifier,
        {"early_stopping": True, "max_iter": 30},
        marks=pytest.mark.skipif(not HAS_X_VAL, reason="X_val since 1.7"),
    ),
    (
        lightgbm.LGBMClassifier,
        {"n_estimators": 30, "early_stopping_round": 5, "verbose": -1, "n_jobs": 1},
    ),
    (
        xgboost.XGBClassifier,
        {"n_estimators": 30, "early_stopping_rounds": 5, "n_jobs": 1},
    ),
    (
        catboost.CatBoostClassifier,
        {
            "n_estimators": 30,
            "early_stopping_rounds": 5,
            "verbose": 0,
            "allow_writing_files": False,
        },
    ),
]


@pytest.mark.parametrize("given", [False, True], ids=["own", "validation"])
@pytest.mark.parametrize(("base", "params"), STOPPING)
def test_fit_student_stops_early_on_whole_rows(base, params, given):
    X, P = linear_truth(600, 4)
    X_val, P_val = linear_truth(150, 4, seed=8)
    P[:, 2] = 0  # a class that only the rows to stop by have met
    P /= P.sum(axis=1, keepdims=True)
    validation = (X_val, P_val, weights_of(150)) if given else None
    seen = {}
    fitted, _ = fit_student(
        stopping_spy(base, seen)(**params),
        X,
        P,
        classes=labels_of(4),
        validation=validation,
        random_state=0,
    )
    held = {tuple(row) for row in np.asarray(held_rows(seen), dtype=np.float32)}
    trained = {tuple(row) for row in np.asarray(seen["X"], dtype=np.float32)}
    assert not held & trained
    if given:
        assert held == {tuple(row) for row in X_val.astype(np.float32)}
        assert len(trained) == 600
    else:
        assert len(held) == 60
        assert len(trained) == 540
    assert fitted.predict_proba(X).shape == (600, 4)


def test_fit_student_hist_auto_stops_by_rows_and_not_by_copies():
    X, P = linear_truth(4_000, 4)
    seen = {}
    spy = stopping_spy(HistGradientBoostingClassifier, seen)
    _, feed = fit_student(spy(max_iter=3), X, P, classes=labels_of(4), random_state=0)
    assert feed.n_rows_fed > 10_000  # "auto" would stop early on copies
    assert seen["settings"]["early_stopping"] is False


@pytest.mark.parametrize(
    ("student", "switched"),
    [
        (
            GradientBoostingClassifier(n_estimators=3, n_iter_no_change=2),
            "n_iter_no_ch",
        ),
        (SGDClassifier(loss="log_loss", early_stopping=True), "early_stopping"),
        (
            RandomForestClassifier(20, criterion="entropy", oob_score=True),
            "oob_score",
        ),
        pytest.param(
            MLPClassifier((4,), max_iter=3, early_stopping=True), "early_stopping"
        ),
    ],
    ids=name_of,
)
def test_fit_student_switches_off_leaking_splits(student, switched):
    X, P = linear_truth(300, 4)
    with pytest.warns(UserWarning, match=rf"{switched}.* is switched off"):
        fit_student(student, X, P, classes=labels_of(4), random_state=0)


def test_fit_student_booster_of_few_rows_does_not_stop_early():
    X, P = linear_truth(15, 2)
    for student in (
        LightGBM(early_stopping_round=3, min_child_samples=2),
        XGBoost(early_stopping_rounds=3),
        CatBoost(early_stopping_rounds=3),
    ):
        with pytest.warns(UserWarning, match=r"early_stopping_round.* is switched off"):
            fitted, _ = fit_student(student, X, P, classes=labels_of(2), random_state=0)
        assert fitted.predict_proba(X).shape == (15, 2)


def test_fit_student_pipeline_transforms_validation_rows():
    X, P = linear_truth(400, 4)
    X_val, P_val = linear_truth(100, 4, seed=3)
    seen = {}
    spy = stopping_spy(lightgbm.LGBMClassifier, seen)
    student = make_pipeline(
        StandardScaler(),
        spy(early_stopping_round=5, n_estimators=20, verbose=-1, n_jobs=1),
    )
    fitted, _ = fit_student(
        student, X, P, classes=labels_of(4), validation=(X_val, P_val, None)
    )
    expected = {tuple(row) for row in fitted[0].transform(X_val)}
    assert {tuple(row) for row in held_rows(seen)} == expected
