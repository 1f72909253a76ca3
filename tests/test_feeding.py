"""Feeding soft targets, or labels, to any estimator."""

import pickle
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import sparse
from scipy.special import logsumexp, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.discriminant_analysis import (
    LinearDiscriminantAnalysis,
    QuadraticDiscriminantAnalysis,
)
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    Perceptron,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import (
    BernoulliNB,
    CategoricalNB,
    ComplementNB,
    GaussianNB,
    MultinomialNB,
)
from sklearn.neighbors import (
    KNeighborsClassifier,
    KNeighborsRegressor,
    RadiusNeighborsClassifier,
)
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler, TargetEncoder
from sklearn.svm import SVC, SVR, LinearSVC
from sklearn.tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
)
from sklearn.utils.fixes import parse_version

from skdistill.soft_targets import kl_rows, one_hot
from skdistill.students import (
    Feed,
    LogisticStudent,
    MLPStudent,
    check_student,
    fit_on_labels,
    fit_student,
)
from skdistill.students._copies import MAX_DRAWS

with warnings.catch_warnings():
    # They import matplotlib, whose older releases use deprecated names of pyparsing.
    warnings.simplefilter("ignore")
    import catboost
    import lightgbm
    import xgboost

HAS_MLP_WEIGHTS = parse_version(sklearn.__version__) >= parse_version("1.7")

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


# name, student, route, class that is fed, whether weights are used
TABLE = [
    (LogisticRegression(), "expand", "LogisticRegression", True),
    (SGDClassifier(loss="log_loss"), "expand", "SGDClassifier", True),
    (
        SGDClassifier(loss="modified_huber", alpha=0.05, average=True),
        "expand",
        "SGDClassifier",
        True,
    ),
    (DecisionTreeClassifier(max_depth=4), "regress", "DecisionTreeRegressor", True),
    (
        ExtraTreeClassifier(max_depth=4, max_features=None),
        "regress",
        "ExtraTreeRegressor",
        True,
    ),
    (RandomForestClassifier(5), "regress", "RandomForestRegressor", True),
    (ExtraTreesClassifier(5), "regress", "ExtraTreesRegressor", True),
    (
        DecisionTreeClassifier(criterion="entropy", max_depth=4),
        "expand",
        "DecisionTreeClassifier",
        True,
    ),
    (
        RandomForestClassifier(5, criterion="log_loss"),
        "expand",
        "RandomForestClassifier",
        True,
    ),
    (
        GradientBoostingClassifier(n_estimators=5),
        "expand",
        "GradientBoostingClassifier",
        True,
    ),
    (
        HistGradientBoostingClassifier(max_iter=15),
        "expand",
        "HistGradientBoostingClassifier",
        True,
    ),
    (GaussianNB(), "expand", "GaussianNB", True),
    (BernoulliNB(), "expand", "BernoulliNB", True),
    (KNeighborsClassifier(5), "regress", "KNeighborsRegressor", False),
    (RadiusNeighborsClassifier(2.5), "regress", "RadiusNeighborsRegressor", False),
    (
        BaggingClassifier(DecisionTreeClassifier(max_depth=3), n_estimators=5),
        "expand",
        "BaggingClassifier",
        True,
    ),
    (Ridge(), "regress_logits", "Ridge", True),
    (LinearRegression(), "regress_logits", "LinearRegression", True),
    (KernelRidge(kernel="rbf"), "regress_logits", "KernelRidge", True),
    (SVR(), "regress_logits", "SVR", True),
    (KNeighborsRegressor(5), "regress", "KNeighborsRegressor", False),
    (DecisionTreeRegressor(max_depth=4), "regress", "DecisionTreeRegressor", True),
    (RandomForestRegressor(5), "regress", "RandomForestRegressor", True),
    (
        GradientBoostingRegressor(n_estimators=5),
        "regress",
        "GradientBoostingRegressor",
        True,
    ),
    (
        HistGradientBoostingRegressor(max_iter=5),
        "regress",
        "HistGradientBoostingRegressor",
        True,
    ),
    (LightGBM(), "expand", "LGBMClassifier", True),
    (XGBoost(), "expand", "XGBClassifier", True),
    (CatBoost(), "expand", "CatBoostClassifier", True),
    (
        MLPClassifier((8,), max_iter=30),
        "expand" if HAS_MLP_WEIGHTS else "sample",
        "MLPClassifier",
        True,
    ),
]
if HAS_MLP_WEIGHTS:  # MLPRegressor takes weights from the same release on
    TABLE.append(
        (
            MLPRegressor(hidden_layer_sizes=(8,), max_iter=10),
            "regress_logits",
            "MLPRegressor",
            True,
        )
    )


@pytest.fixture(scope="module")
def rows():
    made = {}
    for n_classes in (2, 4):
        X, P = linear_truth(300, n_classes)
        made[n_classes] = (
            X,
            P,
            labels_of(n_classes),
            linear_truth(80, n_classes, seed=5),
        )
    return made


# -- every line of the table -----------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize(("student", "route", "fed", "weighs"), TABLE, ids=name_of)
def test_fit_student_feeds_every_kind(
    rows, student, route, fed, weighs, n_classes, weighted
):
    X, P, classes, (X_new, P_new) = rows[n_classes]
    weight = weights_of(len(X)) if weighted else None
    if weighted and not weighs:
        with pytest.raises(ValueError, match=r"sample_weight must not vary"):
            fit_student(clone(student), X, P, classes=classes, sample_weight=weight)
        return
    fitted, feed = fit_student(
        clone(student), X, P, classes=classes, sample_weight=weight, random_state=0
    )
    assert isinstance(feed, Feed)
    assert (feed.route, feed.estimator, feed.n_rows) == (route, fed, len(X))
    assert len(X) * 0.9 <= feed.n_rows_fed <= len(X) * max(n_classes, MAX_DRAWS + 1)
    assert type(student).__name__ in feed.reason
    assert fitted.classes_.tolist() == classes.tolist()
    Q = fitted.predict_proba(X_new)
    assert Q.shape == P_new.shape
    np.testing.assert_allclose(Q.sum(axis=1), 1.0, atol=1e-6)
    assert (Q >= 0).all()
    # it learned the teacher: closer to it than the teacher's mean is
    assert kl_rows(P_new, Q, eps=1e-3).mean() < kl_rows(P_new, P.mean(axis=0)).mean()
    assert set(fitted.predict(X_new)) <= set(classes.tolist())
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(fitted)).predict_proba(X_new), Q
    )
    # the same seed gives the same student
    again, _ = fit_student(
        clone(student), X, P, classes=classes, sample_weight=weight, random_state=0
    )
    np.testing.assert_array_equal(again.predict_proba(X_new), Q)
    # and a clone is an unfitted student that takes labels
    relearned = clone(fitted).fit(X, classes[P.argmax(axis=1)])
    assert relearned.predict_proba(X_new).shape == P_new.shape


@pytest.mark.parametrize(
    "student",
    [MultinomialNB(), ComplementNB(), CategoricalNB(min_categories=10)],
    ids=name_of,
)
def test_fit_student_feeds_naive_bayes_of_counts(student):
    X, P = linear_truth(300, 4)
    counts = np.clip(np.round(2 * X + 4), 0, 9).astype(int)
    classes = labels_of(4)
    fitted, feed = fit_student(student, counts, P, classes=classes, random_state=0)
    assert feed.route == "expand"
    Q = fitted.predict_proba(counts)
    np.testing.assert_allclose(Q.sum(axis=1), 1.0, atol=1e-9)
    assert (Q.argmax(axis=1) == P.argmax(axis=1)).mean() > 0.5


def test_students_import_no_torch():
    code = (
        "import sys, skdistill.students as s; s.fit_student; s.check_student; "
        "bad = {'torch', 'skorch', 'lightgbm', 'xgboost', 'catboost', 'matplotlib'}; "
        "sys.exit(', '.join(bad & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# -- classes that are missing ----------------------------------------------------------


@pytest.mark.parametrize(
    "student",
    [
        LogisticRegression(),
        DecisionTreeClassifier(max_depth=3),
        HistGradientBoostingClassifier(max_iter=5),
        KNeighborsClassifier(),
        Ridge(),
        SVR(),
        GaussianNB(),
        LightGBM(),
        XGBoost(),
        CatBoost(),
    ],
    ids=name_of,
)
@pytest.mark.parametrize("missing", [(1,), (0, 3)], ids=str)
def test_fit_student_class_never_met_gets_zero(student, missing):
    X, P = linear_truth(300, 4)
    P[:, missing] = 0
    P /= P.sum(axis=1, keepdims=True)
    fitted, _ = fit_student(clone(student), X, P, classes=labels_of(4), random_state=0)
    Q = fitted.predict_proba(X)
    assert fitted.classes_.tolist() == list("abcd")
    assert (Q[:, missing] == 0).all()
    np.testing.assert_allclose(Q.sum(axis=1), 1, atol=1e-6)
    assert kl_rows(P, Q, eps=1e-3).mean() < kl_rows(P, P.mean(axis=0)).mean()


@pytest.mark.parametrize(
    "student",
    [
        LogisticRegression(),
        DecisionTreeClassifier(max_depth=3),
        make_pipeline(SelectKBest(k=2), LogisticRegression()),
        HistGradientBoostingClassifier(max_iter=5),
        Ridge(),
        LightGBM(),
    ],
    ids=name_of,
)
def test_fit_student_one_class_everywhere_most_probable(student):
    X, P = linear_truth(300, 4)
    P = 0.9 * np.eye(4)[2] + 0.1 * P
    fitted, _ = fit_student(clone(student), X, P, classes=labels_of(4), random_state=0)
    assert fitted.predict_proba(X).argmax(axis=1).tolist() == [2] * 300
    np.testing.assert_allclose(
        fitted.predict_proba(X).mean(axis=0), P.mean(axis=0), atol=0.05
    )


@pytest.mark.parametrize(
    "classes",
    [
        np.array([0, 1]),
        np.array([-1, 1]),
        np.array([False, True]),
        np.array([1.0, 2.0]),
    ],
    ids=str,
)
def test_fit_student_labels_keep_their_type(classes):
    X, P = linear_truth(200, 2)
    for student in (LogisticRegression(), LightGBM(), XGBoost(), CatBoost(), Ridge()):
        fitted, _ = fit_student(student, X, P, classes=classes, random_state=0)
        assert fitted.classes_.dtype == classes.dtype
        assert fitted.predict(X).dtype == classes.dtype
        np.testing.assert_array_equal(
            fitted.predict(X), classes[fitted.predict_proba(X).argmax(axis=1)]
        )


# -- labels only -----------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "student",
    [
        LogisticRegression(),
        DecisionTreeClassifier(min_samples_leaf=5, random_state=0),
        RandomForestClassifier(5, random_state=0),
        HistGradientBoostingClassifier(max_iter=5, random_state=0),
        GaussianNB(),
        SGDClassifier(loss="log_loss", random_state=0),
        make_pipeline(
            StandardScaler(), SelectKBest(k=3), DecisionTreeClassifier(random_state=0)
        ),
        make_pipeline(StandardScaler(), make_pipeline(StandardScaler(), GaussianNB())),
        AdaBoostClassifier(n_estimators=3, random_state=0),
    ],
    ids=name_of,
)
def test_fit_on_labels_equals_plain_fit(student, weighted):
    X, P = linear_truth(300, 4)
    classes = labels_of(4)
    y = classes[P.argmax(axis=1)]
    weight = weights_of(300) if weighted else None
    ours = fit_on_labels(
        clone(student), X, y, classes=classes, sample_weight=weight, random_state=7
    )
    params, last, prefix = {}, student, ""
    while isinstance(last, Pipeline):
        prefix += last.steps[-1][0] + "__"
        last = last.steps[-1][1]
    if weighted:
        params[prefix + "sample_weight"] = weight
    plain = clone(student).fit(X, y, **params)
    np.testing.assert_array_equal(ours.predict_proba(X), plain.predict_proba(X))
    assert type(ours) is type(plain)


@pytest.mark.parametrize(
    "student",
    [
        Ridge(),
        DecisionTreeRegressor(),
        KNeighborsRegressor(),
        LightGBM(),
        XGBoost(),
        CatBoost(),
        make_pipeline(StandardScaler(), Ridge()),
    ],
    ids=name_of,
)
@pytest.mark.parametrize("n_classes", [2, 4])
def test_fit_on_labels_serves_regressors_and_boosters(student, n_classes):
    X, P = linear_truth(400, n_classes)
    classes = labels_of(n_classes)
    y = classes[P.argmax(axis=1)]
    fitted = fit_on_labels(clone(student), X, y, classes=classes, random_state=0)
    assert fitted.classes_.tolist() == classes.tolist()
    np.testing.assert_allclose(fitted.predict_proba(X).sum(axis=1), 1, atol=1e-6)
    assert (fitted.predict(X) == y).mean() > 0.8


@pytest.mark.parametrize(
    "student", [LogisticRegression(), LightGBM(), Ridge()], ids=name_of
)
def test_fit_on_labels_class_without_rows_gets_zero(student):
    X, P = linear_truth(300, 4)
    y = labels_of(4)[:3][P[:, :3].argmax(axis=1)]
    fitted = fit_on_labels(clone(student), X, y, classes=labels_of(4), random_state=0)
    assert fitted.classes_.tolist() == list("abcd")
    assert (fitted.predict_proba(X)[:, 3] == 0).all()


def test_fit_student_one_hot_targets_equal_labels():
    X, P = linear_truth(300, 4)
    classes = labels_of(4)
    codes = P.argmax(axis=1)
    for student in (LogisticRegression(), GaussianNB(), LightGBM()):
        soft, feed = fit_student(
            clone(student), X, one_hot(codes, 4), classes=classes, random_state=0
        )
        assert feed.n_rows_fed == 300
        hard = fit_on_labels(clone(student), X, classes[codes], classes=classes)
        np.testing.assert_allclose(
            soft.predict_proba(X), hard.predict_proba(X), atol=1e-12
        )


# -- Pipelines and containers ----------------------------------------------------------


def test_fit_student_pipeline_keeps_its_steps():
    X, P = linear_truth(400, 4)
    student = Pipeline(
        [
            ("scale", StandardScaler()),
            ("inner", Pipeline([("pick", SelectKBest(k=3)), ("clf", LightGBM())])),
        ]
    )
    fitted, feed = fit_student(student, X, P, classes=labels_of(4), random_state=0)
    assert isinstance(fitted, Pipeline)
    assert (feed.route, feed.estimator) == ("expand", "LGBMClassifier")
    # transformers saw each row once
    np.testing.assert_allclose(fitted["scale"].mean_, X.mean(axis=0))
    assert fitted["inner"]["pick"].get_support().sum() == 3
    assert fitted.classes_.tolist() == list("abcd")
    assert (
        fitted.predict(X).tolist()
        == fitted.classes_[fitted.predict_proba(X).argmax(axis=1)].tolist()
    )
    clone(fitted).fit(X, labels_of(4)[P.argmax(axis=1)])
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(fitted)).predict_proba(X), fitted.predict_proba(X)
    )


def test_fit_student_pipeline_equals_its_parts():
    X, P = linear_truth(400, 4)
    whole, _ = fit_student(
        make_pipeline(StandardScaler(), LogisticRegression()),
        X,
        P,
        classes=labels_of(4),
    )
    scaler = StandardScaler().fit(X)
    part, _ = fit_student(
        LogisticRegression(), scaler.transform(X), P, classes=labels_of(4)
    )
    np.testing.assert_array_equal(
        whole.predict_proba(X), part.predict_proba(scaler.transform(X))
    )


def test_fit_student_pipeline_uses_memory(tmp_path):
    X, P = linear_truth(300, 4)
    calls = []

    class Counted(StandardScaler):
        def fit(self, X, y=None, sample_weight=None):
            calls.append(len(X))
            return super().fit(X, y, sample_weight)

    globals()["Counted"] = Counted  # joblib pickles the step by name
    Counted.__qualname__ = "Counted"
    for _ in range(2):
        student = Pipeline(
            [("scale", Counted()), ("clf", LogisticRegression())], memory=str(tmp_path)
        )
        fitted, _ = fit_student(student, X, P, classes=labels_of(4))
        assert fitted.predict_proba(X).shape == (300, 4)
    assert calls == [300]


def test_fit_student_pipeline_of_mixed_data_frame():
    X, P = linear_truth(400, 2)
    frame = pd.DataFrame(X[:, :3], columns=list("uvw"))
    frame["town"] = np.where(X[:, 3] > 0, "north", "south")
    before = frame.copy()
    columns = ColumnTransformer(
        [("one", OneHotEncoder(), ["town"]), ("scale", StandardScaler(), list("uvw"))]
    )
    encoded = ColumnTransformer(
        [("t", TargetEncoder(), ["town"]), ("s", "passthrough", ["u"])]
    )
    for student in (
        make_pipeline(columns, LogisticRegression()),
        make_pipeline(columns, DecisionTreeClassifier(max_depth=3)),
        make_pipeline(encoded, HistGradientBoostingClassifier(max_iter=5)),
    ):
        fitted, _ = fit_student(student, frame, P, classes=labels_of(2), random_state=0)
        assert fitted.predict_proba(frame).shape == (400, 2)
        assert fitted.feature_names_in_.tolist() == ["u", "v", "w", "town"]
    pd.testing.assert_frame_equal(frame, before)


def test_fit_student_data_frame_gives_feature_names():
    X, P = linear_truth(300, 4)
    frame = pd.DataFrame(X, columns=list("uvwxyz"))
    for student in (LogisticRegression(), DecisionTreeClassifier(), Ridge(), XGBoost()):
        fitted, _ = fit_student(student, frame, P, classes=labels_of(4))
        assert list(fitted.feature_names_in_) == list("uvwxyz")
        assert fitted.n_features_in_ == 6
        fitted.predict_proba(frame)


@pytest.mark.parametrize(
    "kind", [sparse.csr_matrix, sparse.csc_array, sparse.coo_matrix]
)
def test_fit_student_sparse_rows_stay_sparse(kind):
    X, P = linear_truth(300, 4)
    X[np.abs(X) < 0.5] = 0
    for student in (LogisticRegression(), DecisionTreeClassifier(max_depth=3), Ridge()):
        dense, _ = fit_student(
            clone(student), X, P, classes=labels_of(4), random_state=0
        )
        thin, _ = fit_student(
            clone(student), kind(X), P, classes=labels_of(4), random_state=0
        )
        np.testing.assert_allclose(
            thin.predict_proba(sparse.csr_matrix(X)), dense.predict_proba(X), atol=1e-3
        )


def test_fit_student_list_of_str():
    texts = ["good film", "bad film", "fine good", "awful bad"] * 20
    P = np.tile([[0.1, 0.9], [0.8, 0.2], [0.2, 0.8], [0.95, 0.05]], (20, 1))
    student = make_pipeline(TfidfVectorizer(), LogisticRegression(C=100))
    fitted, _ = fit_student(student, texts, P, classes=labels_of(2))
    np.testing.assert_allclose(fitted.predict_proba(texts), P, atol=0.02)


def test_fit_student_missing_values_pass_through():
    X, P = linear_truth(400, 4)
    X[::5, 0] = np.nan
    for student in (
        HistGradientBoostingClassifier(max_iter=5),
        DecisionTreeClassifier(max_depth=3),
        LightGBM(),
        XGBoost(),
    ):
        fitted, _ = fit_student(student, X, P, classes=labels_of(4), random_state=0)
        assert np.isfinite(fitted.predict_proba(X)).all()


# -- native ----------------------------------------------------------------------------


class Recorder(ClassifierMixin, BaseEstimator):
    """Somebody's native student: answers the mean soft target."""

    def fit_soft_targets(self, X, soft_targets, *, classes, sample_weight=None):
        self.classes_ = np.asarray(classes)
        self.mean_ = np.average(soft_targets, axis=0, weights=sample_weight)
        return self

    def predict_proba(self, X):
        return np.tile(self.mean_, (len(X), 1))


class Weightless(Recorder):
    def fit_soft_targets(self, X, soft_targets, *, classes):
        return super().fit_soft_targets(X, soft_targets, classes=classes)


def test_fit_student_native_protocol_is_open():
    X, P = linear_truth(100, 4)
    weight = weights_of(100)
    fitted, feed = fit_student(
        Recorder(), X, P, classes=labels_of(4), sample_weight=weight
    )
    assert isinstance(fitted, Recorder)
    assert (feed.route, feed.n_rows_fed) == ("native", 100)
    np.testing.assert_allclose(fitted.mean_, np.average(P, axis=0, weights=weight))


def test_fit_student_native_answers_at_temperature_one():
    X, _ = linear_truth(100, 4)
    P = np.full((100, 4), [0.6, 0.2, 0.15, 0.05])
    fitted, _ = fit_student(Recorder(), X, P, classes=labels_of(4), temperature=3.0)
    np.testing.assert_allclose(fitted.predict_proba(X), P, atol=1e-9)


def test_fit_student_native_without_weights_refuses_them():
    X, P = linear_truth(100, 4)
    fit_student(Weightless(), X, P, classes=labels_of(4), sample_weight=np.ones(100))
    with pytest.raises(ValueError, match=r"sample_weight must not vary.*Weightless"):
        fit_student(
            Weightless(), X, P, classes=labels_of(4), sample_weight=weights_of(100)
        )


def test_adapter_clone_learns_soft_targets():
    X, P = linear_truth(300, 4)
    fitted, _ = fit_student(
        DecisionTreeClassifier(max_depth=3, random_state=0), X, P, classes=labels_of(4)
    )
    again = clone(fitted).fit_soft_targets(X, P, classes=labels_of(4))
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    assert isinstance(clone(fitted).estimator, DecisionTreeClassifier)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_fit_student_own_students_are_native(weighted, temperature):
    X, P = linear_truth(600, 4)
    weight = weights_of(600) if weighted else None
    for student in (
        LogisticStudent(C=1e4),
        make_pipeline(StandardScaler(), LogisticStudent(C=1e4)),
        MLPStudent((16,), max_steps=1500, early_stopping=False),
    ):
        fitted, feed = fit_student(
            student,
            X,
            P,
            classes=labels_of(4),
            sample_weight=weight,
            temperature=temperature,
            random_state=0,
        )
        assert (feed.route, feed.n_rows_fed) == ("native", 600)
        assert fitted.classes_.tolist() == list("abcd")
        assert kl_rows(P, fitted.predict_proba(X)).mean() < 0.02


def test_fit_student_native_student_equals_its_expansion():
    X, P = linear_truth(400, 4)
    P = np.maximum(P, 0.02)  # nothing is truncated
    P /= P.sum(axis=1, keepdims=True)
    Q = [
        fit_student(LogisticStudent(), X, P, classes=labels_of(4), targets=targets)[0]
        for targets in ("native", "expand")
    ]
    np.testing.assert_allclose(Q[0].predict_proba(X), Q[1].predict_proba(X), atol=1e-5)


def test_fit_student_passes_validation_rows_to_native_students():
    X, P = linear_truth(100, 4)

    class Stopping(Recorder):
        def fit_soft_targets(
            self, X, soft_targets, *, classes, sample_weight=None, validation=None
        ):
            self.held_ = validation
            return super().fit_soft_targets(X, soft_targets, classes=classes)

    held = X[:7], P[:7], np.array([1.0, 1, 1, 0, 1, 1, 1])
    common = {"classes": labels_of(4), "validation": held}
    fitted, _ = fit_student(Stopping(), X, P, **common)
    np.testing.assert_array_equal(fitted.held_[0], np.delete(X[:7], 3, axis=0))
    fit_student(Recorder(), X, P, **common)  # ignored where it cannot be used


# -- refusals --------------------------------------------------------------------------

REFUSED = [
    (AdaBoostClassifier(), r"AdaBoostClassifier.*HistGradientBoostingClassifier"),
    (LinearDiscriminantAnalysis(), r"LinearDisc.*no sample_weight.*targets='sample'"),
    (QuadraticDiscriminantAnalysis(), r"QuadraticDisc.*no sample_weight.*GaussianNB"),
    (GaussianProcessClassifier(), r"GaussianProcessClassifier.*KernelRidge"),
    (LinearSVC(), r"LinearSVC.*no predict_proba.*loss='log_loss'"),
    (SGDClassifier(), r"SGDClassifier.*no predict_proba.*loss='log_loss'"),
    (Perceptron(), r"Perceptron.*no predict_proba.*loss='log_loss'"),
    (RidgeClassifier(), r"RidgeClassifier.*no predict_proba.*Use Ridge"),
    (SVC(), r"SVC.*inner folds.*KernelRidge"),
    (GridSearchCV(LogisticRegression(), {"C": [1]}), r"GridSearchCV.*inner folds"),
    (LogisticRegressionCV(), r"LogisticRegressionCV.*inner folds"),
    (CalibratedClassifierCV(GaussianNB()), r"CalibratedClassifierCV.*inner folds"),
    (StackingClassifier([("a", GaussianNB())]), r"StackingClassifier.*inner folds"),
    (StandardScaler(), r"StandardScaler.*no classifier.*fit_soft_targets"),
    pytest.param(object(), r"object.*no classifier.*fit_soft_targets", id="object"),
]


@pytest.mark.parametrize(("student", "match"), REFUSED, ids=name_of)
def test_check_student_refuses(student, match):
    with pytest.raises(ValueError, match=match):
        check_student(student, "auto", None, 4)
    X, P = linear_truth(30, 4)
    if hasattr(student, "fit"):
        with pytest.raises(ValueError, match=match):
            fit_student(
                make_pipeline(StandardScaler(), student), X, P, classes=labels_of(4)
            )


@pytest.mark.parametrize(
    ("student", "targets", "match"),
    [
        (
            LogisticRegression(),
            "native",
            r"\['expand', 'sample'\]\), got 'native'",
        ),
        (LogisticRegression(), "regress", r"LogisticRegression can take"),
        (DecisionTreeClassifier(criterion="entropy"), "regress", r"can take"),
        (Ridge(), "expand", r"\['regress', 'regress_logits'\]"),
        (Ridge(), "sample", r"can take"),
        (KNeighborsClassifier(), "expand", r"\['regress'\]"),
        # A row's neighbours would be its own copies.
        (KNeighborsClassifier(), "sample", r"\['regress'\]"),
        (GridSearchCV(LogisticRegression(), {"C": [1]}), "sample", r"\(none\)"),
        (Recorder(), "regress", r"Recorder can take"),
        (LogisticRegression(), "expnd", r"targets must be 'auto' or one of"),
        (LogisticRegression(), None, r"targets must be 'auto' or one of"),
    ],
    ids=name_of,
)
def test_check_student_refuses_routes_it_cannot_take(student, targets, match):
    with pytest.raises(ValueError, match=match):
        check_student(student, targets, None, 4)


@pytest.mark.parametrize(
    ("student", "targets"),
    [
        (DecisionTreeClassifier(max_depth=4), "expand"),
        (RandomForestClassifier(5), "expand"),
        (LogisticRegression(), "sample"),
        (QuadraticDiscriminantAnalysis(), "sample"),
        (Ridge(), "regress"),
        (DecisionTreeRegressor(max_depth=4), "regress_logits"),
        (AdaBoostClassifier(n_estimators=5), "expand"),
        (LightGBM(), "sample"),
    ],
    ids=name_of,
)
def test_fit_student_takes_the_route_it_is_told(rows, student, targets):
    X, P, classes, (X_new, P_new) = rows[4]
    fitted, feed = fit_student(
        clone(student), X, P, classes=classes, targets=targets, random_state=0
    )
    assert feed.route == targets
    assert f"targets={targets!r}" in feed.reason
    Q = fitted.predict_proba(X_new)
    assert kl_rows(P_new, Q, eps=0.01).mean() < kl_rows(P_new, P.mean(axis=0)).mean()


def test_fit_student_forced_expansion_of_a_tree_equals_regression():
    X, P = linear_truth(400, 4)
    P[P < 0.02] = 0  # nothing is truncated
    P /= P.sum(axis=1, keepdims=True)
    tree = DecisionTreeClassifier(min_samples_leaf=10, random_state=0)
    Q = [
        fit_student(clone(tree), X, P, classes=labels_of(4), targets=targets)[0]
        for targets in ("expand", "regress")
    ]
    np.testing.assert_allclose(Q[0].predict_proba(X), Q[1].predict_proba(X), atol=1e-9)


def test_check_student_refuses_classes():
    with pytest.raises(TypeError, match=r"got the class Ridge\. .*Ridge\(\.\.\.\)"):
        check_student(Ridge, "auto", None, 4)


def test_fit_student_refuses_weights_of_zero_only():
    X, P = linear_truth(50, 4)
    with pytest.raises(ValueError, match=r"sample_weight must be positive"):
        fit_student(Ridge(), X, P, classes=labels_of(4), sample_weight=np.zeros(50))


def test_fit_on_labels_refuses_students_without_probabilities():
    X, P = linear_truth(50, 4)
    y = labels_of(4)[P.argmax(axis=1)]
    with pytest.raises(ValueError, match=r"LinearSVC must have predict_proba"):
        fit_on_labels(LinearSVC(), X, y, classes=labels_of(4))
    with pytest.raises(ValueError, match=r"sample_weight must not vary"):
        fit_on_labels(
            KNeighborsClassifier(),
            X,
            y,
            classes=labels_of(4),
            sample_weight=weights_of(50),
        )


# -- metadata routing ------------------------------------------------------------------


@pytest.mark.parametrize(
    "student",
    [
        SVR(),
        BaggingClassifier(DecisionTreeClassifier(max_depth=3)),
        LogisticRegression(),
        make_pipeline(StandardScaler(), LightGBM()),
    ],
    ids=name_of,
)
def test_fit_student_weights_need_no_routing(student):
    X, P = linear_truth(200, 4)
    y = labels_of(4)[P.argmax(axis=1)]
    common = {"classes": labels_of(4), "sample_weight": weights_of(200)}
    Q = []
    for enabled in (False, True):
        with sklearn.config_context(enable_metadata_routing=enabled):
            soft, _ = fit_student(clone(student), X, P, random_state=0, **common)
            hard = fit_on_labels(clone(student), X, y, random_state=0, **common)
        Q.append((soft.predict_proba(X), hard.predict_proba(X)))
    np.testing.assert_array_equal(Q[0], Q[1])


# -- seeds -----------------------------------------------------------------------------


def test_fit_student_seeds_every_depth_and_nothing_else():
    X, P = linear_truth(200, 4)
    student = make_pipeline(
        StandardScaler(),
        BaggingClassifier(DecisionTreeClassifier(random_state=5), n_estimators=2),
    )
    before = np.random.get_state()[1].copy()
    fitted, _ = fit_student(student, X, P, classes=labels_of(4), random_state=0)
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    params = fitted.get_params()
    assert params["baggingclassifier__random_state"] is not None
    assert params["baggingclassifier__estimator__random_state"] == 5


def test_fit_logits_scale_undoes_shrinkage():
    X, P = linear_truth(600, 4, scale=2)
    fitted, _ = fit_student(
        Ridge(alpha=600), X, P, classes=labels_of(4), random_state=0
    )
    assert fitted.scale_ > 1.3
    at_one = softmax(fitted.estimator_.predict(X), axis=1)
    assert kl_rows(P, fitted.predict_proba(X)).mean() < kl_rows(P, at_one).mean()
    # the scale is where the derivative of the soft loss vanishes on new rows
    X_val, P_val = linear_truth(2_000, 4, seed=6, scale=2)
    fitted, _ = fit_student(
        Ridge(alpha=600), X, P, classes=labels_of(4), validation=(X_val, P_val, None)
    )
    Z = fitted.estimator_.predict(X_val)

    def loss(s):
        return (logsumexp(s * Z, axis=1) - s * (P_val * Z).sum(axis=1)).mean()

    s = fitted.scale_
    assert loss(s) < min(loss(0.99 * s), loss(1.01 * s))


def test_convergence_warnings_of_the_student_come_through():
    X, P = linear_truth(200, 4)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit_student(LogisticRegression(max_iter=2), X, P, classes=labels_of(4))
    assert any(issubclass(w.category, ConvergenceWarning) for w in caught)
