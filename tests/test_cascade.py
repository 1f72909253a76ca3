"""CascadeClassifier: who answers, who is asked, and what is promised."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.stats import binom
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import make_classification
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
)
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from skdistill import DistilledClassifier, LogisticStudent, MLPStudent
from skdistill.cascade import CascadeClassifier

NAMES = [f"x{i}" for i in range(6)]
NONE_IS_SAFE = "ignore:No threshold is safe:UserWarning"


class Asked(ClassifierMixin, BaseEstimator):
    """A fitted teacher that notes the rows of each call, and may abstain."""

    def __init__(self, teacher, abstains=None):
        self.teacher = teacher
        self.abstains = abstains
        self.calls = []

    @property
    def classes_(self):
        return self.teacher.classes_

    def __sklearn_is_fitted__(self):
        return True

    def predict_proba(self, X):
        self.calls.append(np.asarray(X))
        P = self.teacher.predict_proba(X)
        if self.abstains is not None:
            P[self.abstains(np.asarray(X))] = np.nan
        return P


class Rank(ClassifierMixin, BaseEstimator):
    """Student or teacher of simulated rows (certainty, label): each reads a column."""

    classes_ = np.array([0, 1])

    def __init__(self, is_teacher):
        self.is_teacher = is_teacher

    def predict_proba(self, X):
        if self.is_teacher:
            return np.column_stack([1 - X[:, 1], X[:, 1]])
        return np.column_stack([1 + X[:, 0], 1 - X[:, 0]]) / 2


@pytest.fixture(scope="module")
def table():
    """Rows, string labels, and two parts: what is trained on, and what is new."""
    X, codes = make_classification(
        4_000, 6, n_informative=4, n_redundant=0, class_sep=1.5, random_state=1
    )
    return X, np.array(["no", "yes"])[codes]


@pytest.fixture(scope="module")
def models(table):
    X, y = table
    teacher = RandomForestClassifier(20, random_state=0).fit(X[:1_000], y[:1_000])
    return LogisticStudent().fit(X[:1_000], y[:1_000]), teacher


@pytest.fixture(scope="module")
def cascade(table, models):
    return _cascade(*models).fit(table[0][1_000:2_500])


def _cascade(student, teacher, **params):
    params = {"max_disagreement": 0.05, "random_state": 0, **params}
    return CascadeClassifier(student, teacher, **params)


# -- scikit-learn's checks -------------------------------------------------------------

COMPOSITIONS = [
    CascadeClassifier(LogisticRegression(), GaussianNB()),
    CascadeClassifier(
        LogisticStudent(),
        RandomForestClassifier(5, random_state=0),
        max_disagreement=0.3,
        by_class=True,
    ),
    CascadeClassifier(
        DecisionTreeClassifier(max_depth=3, random_state=0),
        LogisticRegression(),
        max_disagreement=0.3,
        certainty="margin",
        detector="range",
    ),
    CascadeClassifier(
        DistilledClassifier(GaussianNB(), LogisticStudent()),
        max_disagreement=0.3,
        certainty="entropy",
    ),
    CascadeClassifier(
        MLPStudent((8,), max_steps=100, random_state=0),
        HistGradientBoostingClassifier(max_iter=10),
        max_disagreement=0.3,
    ),
    CascadeClassifier(
        make_pipeline(StandardScaler(), LogisticRegression()),
        GaussianNB(),
        max_disagreement=0.3,
        detector=IsolationForest(n_estimators=10, random_state=0),
    ),
]


@pytest.mark.filterwarnings(NONE_IS_SAFE)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:divide by zero encountered in log")
@parametrize_with_checks(COMPOSITIONS)
def test_cascade_passes_check(estimator, check):
    check(estimator)


# -- who answers -----------------------------------------------------------------------


def test_cascade_lets_the_student_answer_where_it_is_sure(cascade, table, models):
    X = table[0][2_500:]
    student, teacher = models
    P = student.predict_proba(X)
    deferred = cascade.defers(X)
    assert_array_equal(deferred, P.max(axis=1) < cascade.threshold_)
    assert 0.1 < deferred.mean() < 0.9
    expected = np.where(deferred[:, None], teacher.predict_proba(X), P)
    assert_array_equal(cascade.predict_proba(X), expected)
    assert_array_equal(cascade.predict(X), cascade.classes_[expected.argmax(axis=1)])
    with np.errstate(divide="ignore"):
        assert_array_equal(cascade.predict_log_proba(X), np.log(expected))


def test_cascade_answers_a_row_alone_as_in_a_batch(cascade, table):
    X = table[0][2_500:2_700]
    alone = np.vstack([cascade.predict_proba(row[None]) for row in X])
    assert_allclose(alone, cascade.predict_proba(X), rtol=1e-12)


def test_cascade_asks_the_teacher_once_about_the_deferred_rows_only(table, models):
    X = table[0]
    teacher = Asked(models[1])
    cascade = _cascade(models[0], teacher).fit(X[1_000:2_500])
    # A tenth of the rows fixes what is tested, without the teacher.
    assert [len(rows) for rows in teacher.calls] == [1_350]
    teacher.calls.clear()
    deferred = cascade.defers(X[2_500:])
    assert teacher.calls == []
    cascade.predict(X[2_500:])
    assert len(teacher.calls) == 1
    assert_array_equal(teacher.calls[0], X[2_500:][deferred])
    teacher.calls.clear()
    cascade.predict(X[2_500:][~deferred])
    assert teacher.calls == []


def test_cascade_does_not_ask_in_fit_where_soft_targets_are_given(
    table, models, cascade
):
    X = table[0][1_000:2_500]
    teacher = Asked(models[1])
    P = models[1].predict_proba(X)
    given = _cascade(models[0], teacher).fit(X, soft_targets=P)
    assert teacher.calls == []
    assert given.threshold_ == cascade.threshold_


def test_cascade_leaves_out_rows_without_an_answer(table, models):
    X = table[0][1_000:2_500]
    teacher = Asked(models[1], abstains=lambda X: X[:, 0] > 1)
    cascade = _cascade(models[0], teacher).fit(X)
    lost = int((teacher.calls[0][:, 0] > 1).sum())
    assert cascade.n_abstained_ == lost > 0
    assert cascade.n_calibration_rows_ == 1_350 - lost
    P = models[1].predict_proba(X)
    P[X[:, 0] > 1] = np.nan
    given = _cascade(models[0], models[1]).fit(X, soft_targets=P)
    assert given.threshold_ == cascade.threshold_
    assert given.n_abstained_ == lost


def test_cascade_keeps_the_students_answer_where_the_teacher_has_none(table, models):
    X = table[0]
    teacher = Asked(models[1])
    cascade = _cascade(models[0], teacher).fit(X[1_000:2_500])
    teacher.abstains = lambda X: X[:, 0] > 0
    P = cascade.predict_proba(X[2_500:])
    left = cascade.defers(X[2_500:]) & (X[2_500:, 0] > 0)
    assert left.any()
    assert_array_equal(P[left], models[0].predict_proba(X[2_500:])[left])
    assert np.isfinite(P).all()


def test_cascade_defers_all_rows_where_too_few_were_compared(table, models):
    X = table[0]
    cascade = CascadeClassifier(*models, random_state=0)
    with pytest.warns(UserWarning, match="270 rows were compared.* 299 are needed"):
        cascade.fit(X[1_000:1_300])
    assert cascade.threshold_ == np.inf
    assert (cascade.coverage_, cascade.cost_) == (0, 1)
    assert np.isnan(cascade.bound_)
    assert cascade.defers(X[:50]).all()
    assert_array_equal(cascade.predict_proba(X[:50]), models[1].predict_proba(X[:50]))


def test_cascade_defers_all_rows_where_the_student_is_never_safe(table, models):
    X, y = table
    flipped = LogisticStudent().fit(X[:1_000], y[:1_000][::-1])
    with pytest.warns(UserWarning, match="disagree on .* of 1350 rows") as caught:
        cascade = CascadeClassifier(flipped, models[1], random_state=0).fit(
            X[1_000:2_500]
        )
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert cascade.threshold_ == np.inf


@pytest.mark.parametrize("certainty", ["probability", "margin", "entropy"])
def test_cascade_orders_rows_by_certainty(certainty, table, models):
    X = table[0]
    cascade = _cascade(*models, certainty=certainty).fit(X[1_000:2_500])
    P = models[0].predict_proba(X[2_500:])
    sure = P.max(axis=1)
    deferred = cascade.defers(X[2_500:])
    # With two classes all three rank the rows alike.
    assert sure[deferred].max() < sure[~deferred].min()
    assert 0 < cascade.threshold_ < 1


def test_cascade_knows_a_class_that_the_student_lacks(table):
    X, y = table
    y = np.where(X[:, 0] > 2, "rare", y)
    some = y[:1_000] != "rare"
    student = LogisticStudent().fit(X[:1_000][some], y[:1_000][some])
    teacher = RandomForestClassifier(20, random_state=0).fit(X[:1_000], y[:1_000])
    cascade = _cascade(student, teacher, max_disagreement=0.1).fit(X[1_000:2_500])
    assert_array_equal(cascade.classes_, ["no", "rare", "yes"])
    P = cascade.predict_proba(X[2_500:])
    deferred = cascade.defers(X[2_500:])
    assert_array_equal(P[deferred], teacher.predict_proba(X[2_500:][deferred]))
    assert (P[~deferred, 1] == 0).all() and (~deferred).any()


# -- what is promised ------------------------------------------------------------------


def _simulated(rng, n_rows):
    """Rows whose student differs at a rate that rises as its certainty falls."""
    u = rng.uniform(size=n_rows)
    return np.column_stack([1 - u, rng.uniform(size=n_rows) < 0.4 * u**6])


@pytest.mark.filterwarnings(NONE_IS_SAFE)
def test_cascade_violates_its_limit_as_rarely_as_it_says():
    rng, limit, violations, covered = np.random.RandomState(0), 0.02, 0, []
    for draw in range(500):
        cascade = CascadeClassifier(
            Rank(False), Rank(True), max_disagreement=limit, confidence=0.9,
            random_state=draw,
        ).fit(_simulated(rng, 1_000))  # fmt: skip
        if np.isfinite(cascade.threshold_):
            # the student's largest probability is 1 - u / 2
            u = min(1.0, 2 * (1 - cascade.threshold_))
            violations += 0.4 * u**6 / 7 > limit
            covered.append(u)
    assert violations <= binom.ppf(0.975, 500, 0.1)
    assert np.mean(covered) > 0.9 * (7 * limit / 0.4) ** (1 / 6)


def test_cascade_bound_is_that_of_the_rows_answered(table, models, cascade):
    curve = cascade.curve_
    at = np.flatnonzero(curve["threshold"] == cascade.threshold_)
    assert len(at) == 1
    assert_allclose(curve["coverage"][at], cascade.coverage_)
    # a single start hands the whole error on: the bound is that of the curve
    assert_allclose(curve["bound"][at], cascade.bound_)
    assert cascade.bound_ <= 0.05 < curve["disagreement"][-1]
    assert (np.diff(curve["coverage"]) >= 0).all()
    assert (np.diff(curve["threshold"]) < 0).all()


def test_cascade_answers_more_where_more_is_allowed(table, models):
    X = table[0][1_000:2_500]
    coverages = [
        _cascade(*models, max_disagreement=a).fit(X).coverage_ for a in (0.03, 0.1, 0.9)
    ]
    assert coverages == sorted(coverages)
    assert coverages[-1] == 1


def test_cascade_by_class_keeps_the_limit_in_each_class(table, models):
    X = table[0]
    student = models[0]
    cascade = _cascade(*models, by_class=True).fit(X[1_000:2_500])
    assert cascade.threshold_.shape == cascade.bound_.shape == (2,)
    P = student.predict_proba(X[2_500:])
    deferred = cascade.defers(X[2_500:])
    assert_array_equal(deferred, P.max(axis=1) < cascade.threshold_[P.argmax(axis=1)])
    assert (cascade.bound_ <= 0.05).all()
    # each class by itself is what a cascade on its rows finds, with half the error
    assert cascade.coverage_ < _cascade(*models).fit(X[1_000:2_500]).coverage_ + 0.05


def test_cascade_by_class_defers_a_class_without_rows(table):
    X, y = table
    y = np.where(X[:, 0] > 2.5, "rare", y)
    teacher = RandomForestClassifier(20, random_state=0).fit(X[:1_000], y[:1_000])
    student = LogisticStudent().fit(X[:1_000], y[:1_000])
    cascade = _cascade(student, teacher, by_class=True, max_disagreement=0.1).fit(
        X[1_000:2_500]
    )
    assert cascade.threshold_[1] == np.inf
    assert np.isfinite(cascade.threshold_[[0, 2]]).all()


def test_cascade_cost_is_the_students_and_a_part_of_the_teachers(table, models):
    cascade = _cascade(*models, student_cost=0.5, teacher_cost=20.0)
    cascade.fit(table[0][1_000:2_500])
    assert_allclose(cascade.cost_, 0.5 + 20 * (1 - cascade.coverage_))
    assert cascade.latency_ is None


def test_cascade_latency_is_measured_on_demand(table, models):
    cascade = _cascade(*models, measure=True).fit(table[0][1_000:2_500])
    times = cascade.latency_
    assert times["student"] < times["cascade"] < times["teacher"]
    assert_allclose(
        times["cascade"], times["student"] + (1 - cascade.coverage_) * times["teacher"]
    )


@pytest.mark.parametrize("seed", range(5))
def test_cascade_compares_row_by_row_where_rows_are_few(seed):
    # With fewer than ten rows none is set apart, and all are asked in another order.
    agrees = np.tile([[0.9, 0.0], [0.3, 1.0]], (4, 1))
    cascade = CascadeClassifier(
        Rank(True), Rank(True), max_disagreement=0.5, random_state=seed
    ).fit(agrees)
    assert cascade.curve_["disagreement"].max() == 0


def test_cascade_by_class_says_whose_rows_are_too_few(table, models):
    cascade = CascadeClassifier(*models, by_class=True, random_state=0)
    with pytest.warns(UserWarning, match="rows of the most frequent class were"):
        cascade.fit(table[0][1_000:1_300])
    assert cascade.coverage_ == 0


# -- rows unlike any seen --------------------------------------------------------------


@pytest.mark.parametrize("fitted", [True, False])
def test_cascade_defers_what_the_detector_flags(fitted, table, models):
    X = table[0]
    detector = IsolationForest(n_estimators=20, contamination=0.1, random_state=0)
    if fitted:
        detector.fit(X[:1_000])
    cascade = _cascade(*models, detector=detector).fit(X[1_000:2_500])
    assert (cascade.detector_ is detector) == fitted
    flagged = cascade.detector_.predict(X[2_500:]) == -1
    deferred = cascade.defers(X[2_500:])
    unsure = models[0].predict_proba(X[2_500:]).max(axis=1) < cascade.threshold_
    assert_array_equal(deferred, flagged | unsure)
    assert (flagged & ~unsure).any()
    # flagged rows are not compared, and count as deferred
    assert cascade.n_calibration_rows_ < 1_350
    assert cascade.curve_["coverage"].max() < 1


def test_cascade_defers_all_rows_where_all_are_flagged(table, models):
    X = table[0]
    detector = IsolationForest(random_state=0).fit(X[:100] + 100)
    cascade = _cascade(*models, detector=detector)
    with pytest.warns(UserWarning, match="0 rows were compared"):
        cascade.fit(X[1_000:2_500])
    assert cascade.defers(X[:9]).all()
    assert len(cascade.curve_["coverage"]) == 0


def test_cascade_detector_is_fitted_on_the_training_part(table):
    X, y = table
    cascade = _cascade(
        LogisticStudent(), GaussianNB(), detector="range", max_disagreement=0.3
    ).fit(X, y)
    far = np.full((1, 6), 100.0)
    assert cascade.defers(far).all()
    assert not cascade.defers(np.zeros((1, 6)) + X[cascade.defers(X) == 0][:1]).any()
    low, high = X.min(axis=0), X.max(axis=0)
    assert (cascade.detector_.high_ <= high + 0.1 * (high - low)).all()


def test_cascade_refuses_a_detector_without_scores(table, models):
    with pytest.raises(TypeError, match="novelty=True"):
        _cascade(*models, detector=LocalOutlierFactor()).fit(table[0][1_000:2_000])
    with pytest.raises(ValueError, match="fewer than 10 rows"):
        _cascade(*models, detector="range").fit(table[0][:5])


# -- fitted and unfitted parts ---------------------------------------------------------


def test_cascade_uses_fitted_parts_as_they_are(cascade, models):
    assert cascade.student_ is models[0]
    assert cascade.teacher_ is models[1]


@pytest.mark.parametrize("frozen", [True, False])
def test_cascade_clones_share_fitted_parts(frozen, models):
    if frozen:
        models = [FrozenEstimator(m) for m in models]
    twin = clone(_cascade(*models, detector=IsolationForest()))
    assert twin.student is models[0] and twin.teacher is models[1]
    assert not hasattr(twin, "student_")


def test_cascade_fits_unfitted_parts_on_other_rows_than_it_compares_on(table):
    X, y = table
    cascade = _cascade(GaussianNB(), LogisticRegression(), calibration_size=0.25)
    cascade.fit(X, y)
    assert cascade.student_.class_count_.sum() == 3_000
    assert cascade.n_calibration_rows_ == 900
    assert not hasattr(cascade.student, "classes_")


def test_cascade_takes_the_teacher_of_a_distilled_student(table, models):
    X = table[0]
    student = DistilledClassifier(
        models[1], LogisticStudent(), alpha=1.0, calibrate=None, transfer=None
    )
    fitted = clone(student).fit(X[1_000:2_000])
    cascade = _cascade(fitted, None).fit(X[2_000:])
    assert cascade.teacher_ is models[1] and cascade.student_ is fitted
    # an unfitted one learns without labels from its fitted teacher
    both = _cascade(student, None).fit(X[1_000:])
    assert both.teacher_ is models[1]
    assert both.n_calibration_rows_ == 540
    assert both.student_ is not student


def test_cascade_hands_soft_targets_to_a_student_that_learns_from_them(table, models):
    X = table[0][1_000:]
    teacher = Asked(models[1])
    P = models[1].predict_proba(X)
    P[::7] = np.nan
    student = DistilledClassifier(
        None, LogisticStudent(), alpha=1.0, calibrate=None, transfer=None
    )
    cascade = _cascade(student, teacher).fit(X, soft_targets=P)
    assert teacher.calls == []
    assert cascade.n_abstained_ > 0
    assert cascade.coverage_ > 0.3


def test_cascade_is_the_same_for_the_same_seed(table):
    X, y = table
    fits = [
        _cascade(MLPStudent((4,), max_steps=50), GaussianNB(), max_disagreement=0.2)
        .fit(X, y)
        .predict_proba(X)
        for _ in range(2)
    ]
    assert_array_equal(*fits)


def test_cascade_survives_pickling(cascade, table):
    twin = pickle.loads(pickle.dumps(cascade))
    assert_array_equal(twin.predict_proba(table[0]), cascade.predict_proba(table[0]))


def test_cascade_forgets_a_fit_that_failed(table, models):
    X = table[0]
    cascade = _cascade(*models).fit(X[1_000:2_500])
    with pytest.raises(ValueError, match="soft_targets must have shape"):
        cascade.fit(X[1_000:2_500], soft_targets=np.ones((1_500, 3)) / 3)
    with pytest.raises(NotFittedError):
        cascade.predict(X)
    with pytest.raises(NotFittedError):
        cascade.defers(X)


# -- where scikit-learn uses it --------------------------------------------------------


def test_cascade_is_searched_in_two_processes(table, models):
    X, y = table
    search = GridSearchCV(
        _cascade(*models), {"max_disagreement": [0.05, 0.2]}, cv=2, n_jobs=2
    ).fit(X[1_000:], y[1_000:])
    assert search.best_estimator_.student_ is not None
    assert search.best_score_ > 0.85
    grown = GridSearchCV(
        _cascade(LogisticStudent(), models[1], max_disagreement=0.2),
        {"student__C": [0.01, 1.0]},
        cv=2,
    ).fit(X[1_000:], y[1_000:])
    assert grown.best_estimator_.teacher_ is models[1]


def test_cascade_ends_a_pipeline(table):
    X, y = table
    model = make_pipeline(
        StandardScaler(),
        _cascade(LogisticStudent(), GaussianNB(), max_disagreement=0.2),
    )
    assert model.fit(X, y).score(X, y) > 0.85


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_cascade_gives_data_frames_to_its_parts(frame, table):
    X, y = table
    X = frame(dict(zip(NAMES, X.T, strict=True)))
    student = LogisticStudent().fit(X[:1_000], y[:1_000])
    teacher = GaussianNB().fit(X[:1_000], y[:1_000])
    cascade = _cascade(student, teacher, detector="range", max_disagreement=0.2)
    cascade.fit(X[1_000:2_500])
    assert_array_equal(cascade.feature_names_in_, NAMES)
    # no warning on lost names, with some rows deferred and some not
    deferred = cascade.defers(X[2_500:])
    assert 0 < deferred.mean() < 1
    assert len(cascade.predict(X[2_500:])) == 1_500
    assert cascade.predict(X[2_500:2_501]).shape == (1,)


@pytest.mark.parametrize(
    "kind", [sparse.csr_array, sparse.csc_matrix, sparse.coo_array]
)
def test_cascade_takes_sparse_rows(kind, table):
    X, y = table
    X = np.where(np.abs(X) < 0.3, 0, X)
    teacher = LogisticRegression(C=0.001).fit(sparse.csr_array(X[:1_000]), y[:1_000])
    student = LogisticStudent().fit(sparse.csr_array(X[:1_000]), y[:1_000])
    cascade = _cascade(student, teacher).fit(kind(X[1_000:2_500]))
    dense = _cascade(student, teacher).fit(sparse.csr_array(X[1_000:2_500]))
    assert cascade.threshold_ == dense.threshold_
    assert_array_equal(
        cascade.predict(kind(X[2_500:])), dense.predict(sparse.csr_array(X[2_500:]))
    )


def test_cascade_takes_texts():
    rng = np.random.RandomState(0)
    words = np.array([["bad", "poor"], ["good", "fine"]])
    y = rng.randint(2, size=1_200)
    texts = [" ".join([*words[k][rng.randint(2, size=2)], "film"]) for k in y]
    student = make_pipeline(TfidfVectorizer(), LogisticStudent()).fit(texts, y)
    teacher = make_pipeline(TfidfVectorizer(), GaussianNBOnDense()).fit(texts, y)
    cascade = _cascade(student, teacher).fit(texts[:600])
    assert cascade.coverage_ > 0.5
    assert_array_equal(cascade.predict(texts[600:]), y[600:])


class GaussianNBOnDense(GaussianNB):
    def fit(self, X, y):
        return super().fit(X.toarray(), y)

    def predict_proba(self, X):
        return super().predict_proba(X.toarray())


def test_cascade_routes_fit_parameters_to_unfitted_parts(table):
    X, y = table
    weight = np.random.RandomState(0).randint(0, 3, size=len(y)).astype(float)
    with config_context(enable_metadata_routing=True):
        student = GaussianNB().set_fit_request(sample_weight=True)
        teacher = LogisticRegression().set_fit_request(sample_weight=False)
        cascade = _cascade(student, teacher).fit(X, y, sample_weight=weight)
        plain = _cascade(student, teacher).fit(X, y)
        order = np.random.RandomState(0)
        order.randint(2**30)
        train = order.permutation(len(y))[:3_200]
        assert_allclose(cascade.student_.class_count_.sum(), weight[train].sum())
        assert_array_equal(cascade.teacher_.coef_, plain.teacher_.coef_)
        fitted = _cascade(cascade.student_, cascade.teacher_)
        with pytest.raises(TypeError, match="unexpected"):
            fitted.fit(X, sample_weight=weight)
    with pytest.raises(TypeError, match="metadata routing, which is off"):
        _cascade(student, teacher).fit(X, y, sample_weight=weight)


# -- what is refused -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "error", "match"),
    [
        ({"student": LogisticRegression}, TypeError, "student must be a classifier"),
        ({"student": LinearSVC()}, TypeError, "student must be .*CalibratedClassifier"),
        ({"teacher": GaussianNB}, TypeError, "teacher must be an instance"),
        ({"teacher": LinearSVC()}, TypeError, "teacher must have predict_proba"),
        ({"teacher": None}, ValueError, "teacher must be given"),
        ({"max_disagreement": 0.0}, ValueError, "max_disagreement"),
        ({"confidence": 1.0}, ValueError, "confidence"),
        ({"certainty": "guess"}, ValueError, "certainty"),
        ({"detector": "box"}, ValueError, "detector"),
    ],
)
def test_cascade_refuses_parameters(params, error, match, table, models):
    X, y = table
    cascade = _cascade(*models).set_params(**params)
    with pytest.raises(error, match=match):
        cascade.fit(X[1_000:2_500], y[1_000:2_500])


def test_cascade_refuses_classes_of_another_kind(table, models):
    X, y = table
    other = GaussianNB().fit(X[:500], y[:500] == "yes")
    with pytest.raises(ValueError, match=r"same classes.*undo a LabelEncoder"):
        _cascade(other, models[1]).fit(X[1_000:2_500])


def test_cascade_asks_for_what_unfitted_parts_need(table, models):
    X, y = table
    with pytest.raises(ValueError, match="requires y to be passed"):
        _cascade(LogisticStudent(), models[1]).fit(X)
    with pytest.raises(ValueError, match="soft_targets must come from the teacher"):
        _cascade(models[0], GaussianNB()).fit(X, y, soft_targets=np.ones((4_000, 2)))


def test_cascade_keeps_parameters_of_fitted_parts(models):
    cascade = _cascade(*models)
    assert not [n for n in cascade.get_params() if n.startswith("teacher__")]
    with pytest.raises(ValueError, match="fitted student, teacher or detector"):
        cascade.set_params(teacher__n_estimators=5)
    cascade.set_params(teacher=GaussianNB(), teacher__var_smoothing=0.1)
    assert cascade.teacher.var_smoothing == 0.1


def test_cascade_refuses_missing_values_that_the_teacher_cannot_take(table):
    X, y = table
    student = LogisticStudent().fit(X[:1_000], y[:1_000])
    teacher = GaussianNB().fit(X[:1_000], y[:1_000])
    cascade = _cascade(student, teacher, max_disagreement=0.3).fit(X[1_000:2_500])
    with pytest.raises(ValueError, match="NaN"):
        cascade.predict(np.where(X < 0, np.nan, X))


def test_cascade_curve_reaches_the_coverage_of_rows_with_an_answer(table, models):
    X, y = make_classification(3000, random_state=0, class_sep=2)
    teacher = RandomForestClassifier(30, random_state=0).fit(X[:800], y[:800])
    student = LogisticStudent().fit(X[:800], y[:800])
    P = teacher.predict_proba(X[800:])
    P[::3] = np.nan
    cascade = _cascade(student, teacher, max_disagreement=0.3)
    cascade.fit(X[800:], soft_targets=P)
    assert cascade.n_abstained_ > 100
    assert cascade.curve_["coverage"].max() == cascade.coverage_ == 1.0
