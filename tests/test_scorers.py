"""Scorers in searches and cross-validation, with metadata routing on and off."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    cross_val_predict,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from skdistill import DistilledClassifier, LogisticStudent
from skdistill.metrics import (
    agreement,
    brier_to_teacher,
    fidelity_scorers,
    jensen_shannon_divergence,
    latency_scorer,
    mean_kl_divergence,
    measure_latency,
    model_size,
    size_scorer,
    total_variation_distance,
)
from skdistill.teachers import AnswerStore, CachedTeacher

BOTH_ROUTINGS = pytest.mark.parametrize("routing", [False, True])
GRID = {"student__C": [0.01, 1.0, 100.0]}
METRICS = {
    "agreement": agreement,
    "neg_mean_kl_divergence": lambda *a, **k: -mean_kl_divergence(*a, **k),
    "neg_jensen_shannon_divergence": lambda *a, **k: (
        -jensen_shannon_divergence(*a, **k)
    ),
    "neg_total_variation_distance": lambda *a, **k: -total_variation_distance(*a, **k),
    "neg_brier_to_teacher": lambda *a, **k: -brier_to_teacher(*a, **k),
}


class Counting(LogisticRegression):
    """A teacher that counts the rows it is asked about, over all its copies."""

    def __init__(self, asked=None):
        super().__init__(max_iter=1000)
        self.asked = asked

    def predict_proba(self, X):
        self.asked.append(len(X))
        self.last_request_ = np.asarray(X)  # a note, by which it is no other teacher
        return super().predict_proba(X)

    def decision_function(self, X):
        return super().decision_function(X)


@pytest.fixture(params=[2, 3], ids=["binary", "3 classes"])
def table(request):
    X, codes = make_classification(
        400, 6, n_informative=5, n_redundant=1, n_classes=request.param, random_state=0
    )
    return X, np.array(["ant", "bee", "cat"])[codes]


def student_of(teacher, **params):
    defaults = {"alpha": 0.5, "transfer": None, "calibrate": None, "random_state": 0}
    return DistilledClassifier(teacher, LogisticStudent(), **{**defaults, **params})


def counting_teacher(X, y):
    teacher = Counting(asked=[]).fit(X[:200], y[:200])
    teacher.asked.clear()
    return teacher


# -- one call --------------------------------------------------------------------------


def test_fidelity_scorers_equal_the_metrics(table):
    X, y = table
    teacher = RandomForestClassifier(20, random_state=0).fit(X[:200], y[:200])
    small = student_of(teacher).fit(X[200:], y[200:])
    P, Q = teacher.predict_proba(X), small.predict_proba(X)
    weight = np.random.default_rng(0).random(len(X))
    scorers = fidelity_scorers()
    assert list(scorers) == list(METRICS)
    for name, metric in METRICS.items():
        assert scorers[name](small, X, y) == pytest.approx(metric(P, Q), rel=1e-12)
        assert scorers[name](small, X) == scorers[name](small, X, y)
        found = scorers[name](small, X, y, sample_weight=weight)
        assert found == pytest.approx(metric(P, Q, sample_weight=weight), rel=1e-12)


def test_fidelity_scorers_take_soft_targets_before_they_ask(table):
    X, y = table
    teacher = counting_teacher(X, y)
    small = student_of(teacher).fit(X[200:], y[200:])
    teacher.asked.clear()
    P = np.random.default_rng(0).dirichlet(np.ones(len(small.classes_)), size=len(X))
    scorer = fidelity_scorers()["neg_mean_kl_divergence"]
    expected = -mean_kl_divergence(P, small.predict_proba(X))
    assert scorer(small, X, soft_targets=P) == pytest.approx(expected)
    turned = scorer(
        small, X, soft_targets=P[:, ::-1], classes=small.classes_[::-1].tolist()
    )
    assert turned == pytest.approx(expected)
    assert fidelity_scorers(X, P)["neg_mean_kl_divergence"](small, X) == scorer(
        small, X, soft_targets=P
    )
    assert teacher.asked == []


def test_fidelity_scorers_fill_in_a_class_that_a_student_lacks():
    X, codes = make_classification(
        300, 6, n_informative=5, n_redundant=1, n_classes=3, random_state=0
    )
    few = LogisticRegression().fit(X[codes > 0], codes[codes > 0])
    P = np.random.default_rng(0).dirichlet(np.ones(3), size=len(X))
    Q = np.column_stack([np.zeros(len(X)), few.predict_proba(X)])
    found = fidelity_scorers()["neg_total_variation_distance"](
        few, X, soft_targets=P, classes=[0, 1, 2]
    )
    assert found == pytest.approx(-total_variation_distance(P, Q))


def test_fidelity_scorers_show_the_teacher_what_it_sees_inside_a_pipeline(table):
    X, y = table
    scaled = StandardScaler().fit_transform(X)
    teacher = LogisticRegression().fit(scaled, y)
    pipe = make_pipeline(StandardScaler(), student_of(teacher)).fit(X, y)
    P, Q = teacher.predict_proba(scaled), pipe.predict_proba(X)
    scorer = fidelity_scorers()["neg_mean_kl_divergence"]
    assert scorer(pipe, X) == pytest.approx(-mean_kl_divergence(P, Q))
    search = GridSearchCV(pipe, {"distilledclassifier__alpha": [1.0]}, cv=2).fit(X, y)
    P = teacher.predict_proba(search.best_estimator_[0].transform(X))
    expected = -mean_kl_divergence(P, search.predict_proba(X))
    assert scorer(search, X) == pytest.approx(expected)


# -- searches --------------------------------------------------------------------------


@BOTH_ROUTINGS
def test_plain_teacher_is_asked_each_row_once_by_the_scorers(table, routing):
    X, y = table
    teacher, X, y = counting_teacher(X, y), X[200:], y[200:]
    with sklearn.config_context(enable_metadata_routing=routing):
        search = GridSearchCV(
            student_of(teacher),
            GRID,
            cv=KFold(4),
            scoring={"accuracy": "accuracy", **fidelity_scorers()},
            refit="agreement",
            return_train_score=True,
            error_score="raise",
        ).fit(X, y)
    by_fit = 3 * 4 * 150 + 200
    assert sum(teacher.asked) == by_fit + len(X)
    for name in METRICS:
        scores = search.cv_results_[f"mean_test_{name}"]
        assert np.isfinite(scores).all()
        # less regularised students are closer to the teacher
        assert scores.argmax() > 0


@BOTH_ROUTINGS
@pytest.mark.parametrize("wrap", [False, True], ids=["memory", "CachedTeacher"])
def test_store_is_asked_before_the_teacher(table, routing, wrap, tmp_path):
    X, y = table
    teacher, X, y = counting_teacher(X, y), X[200:], y[200:]
    path = str(tmp_path / "answers.db")
    if wrap:
        small = student_of(CachedTeacher(teacher, path, key="it"))
    else:
        small = student_of(teacher, memory=path)
    with sklearn.config_context(enable_metadata_routing=routing):
        # scikit-learn 1.6.0 with routing wants params, if none
        found = cross_validate(
            small,
            X,
            y,
            cv=KFold(4),
            scoring=fidelity_scorers(),
            params={},
            error_score="raise",
        )
    store = AnswerStore(path)
    assert store.stats()["rows_asked"] == len(X)
    store.close()
    for fold, (train, test) in enumerate(KFold(4).split(X)):
        part = student_of(teacher).fit(X[train], y[train])
        P, Q = teacher.predict_proba(X[test]), part.predict_proba(X[test])
        for name, metric in METRICS.items():
            score = found[f"test_{name}"][fold]
            assert score == pytest.approx(metric(P, Q), abs=1e-9)


def test_store_is_asked_before_the_teacher_by_all_workers(table, tmp_path):
    X, y = table
    teacher = RandomForestClassifier(20, random_state=0).fit(X[:200], y[:200])
    X, y = X[200:], y[200:]
    small = student_of(teacher, memory=str(tmp_path / "answers.db"))
    options = {
        "cv": KFold(4),
        "scoring": {**fidelity_scorers(), "size": size_scorer},
        "refit": "neg_mean_kl_divergence",
        "error_score": "raise",
    }
    search = GridSearchCV(small, GRID, n_jobs=2, **options).fit(X, y)
    store = AnswerStore(small.memory)
    assert store.stats()["rows_asked"] == len(X)
    store.close()
    alone = GridSearchCV(student_of(teacher), GRID, **options).fit(X, y)
    for name in METRICS:
        np.testing.assert_allclose(
            search.cv_results_[f"mean_test_{name}"],
            alone.cv_results_[f"mean_test_{name}"],
            rtol=1e-9,
        )


def test_routed_soft_targets_weights_and_classes_reach_the_scorers(table):
    X, y = table
    teacher = counting_teacher(X, y)
    weight = np.random.default_rng(0).random(len(X))
    P = cross_val_predict(
        RandomForestClassifier(20, random_state=0), X, y, method="predict_proba"
    )
    with sklearn.config_context(enable_metadata_routing=True):
        turned, labels = P[:, ::-1], np.unique(y)[::-1]
        params = {"soft_targets": turned, "classes": labels, "sample_weight": weight}
        requests = dict.fromkeys(params, True)
        small = student_of(teacher).set_fit_request(**requests)
        search = GridSearchCV(
            small,
            GRID,
            cv=KFold(4),
            scoring={**fidelity_scorers(), "latency": latency_scorer},
            refit="agreement",
            error_score="raise",
        ).fit(X, y, **params)
        scores = cross_validate(
            small, X, y, params=params, cv=KFold(4), scoring=fidelity_scorers()
        )
        whole = search.score(X, y, **params)
    assert teacher.asked == []
    assert whole == agreement(P, search.predict_proba(X), sample_weight=weight)
    for fold, (train, test) in enumerate(KFold(4).split(X)):
        part = student_of(teacher).fit(
            X[train], y[train], sample_weight=weight[train], soft_targets=P[train]
        )
        Q = part.predict_proba(X[test])
        for name, metric in METRICS.items():
            expected = metric(P[test], Q, sample_weight=weight[test])
            # the same fit up to the order in which columns were summed
            assert scores[f"test_{name}"][fold] == pytest.approx(expected, rel=1e-6)
            found = search.cv_results_[f"split{fold}_test_{name}"][1]
            assert found == pytest.approx(expected, rel=1e-6)


def test_given_soft_targets_serve_a_search_without_routing_or_teacher(table):
    X, y = table
    P = cross_val_predict(
        RandomForestClassifier(20, random_state=0), X, y, method="predict_proba"
    )
    frame = pd.DataFrame(X).add_prefix("f")
    search = GridSearchCV(
        make_pipeline(StandardScaler(), student_of(None)),
        {"distilledclassifier__student__C": [0.1, 1.0]},
        cv=KFold(4),
        scoring=fidelity_scorers(frame, P),
        refit="neg_brier_to_teacher",
        error_score="raise",
        n_jobs=2,
    ).fit(frame, y, distilledclassifier__soft_targets=P)
    Q = search.predict_proba(frame)
    assert search.score(frame) == pytest.approx(-brier_to_teacher(P, Q))


def test_given_soft_targets_do_not_serve_other_rows(table):
    X, y = table
    teacher = RandomForestClassifier(5, random_state=0).fit(X[:200], y[:200])
    scorers = fidelity_scorers(X[10:], teacher.predict_proba(X[10:]))
    with pytest.raises(ValueError, match=r"got 10 others \(first: row 0\)"):
        scorers["agreement"](teacher, X)


@BOTH_ROUTINGS
def test_scorers_take_part_where_there_are_no_labels(table, routing):
    X, y = table
    teacher = FrozenEstimator(
        RandomForestClassifier(20, random_state=0).fit(X[:200], y[:200])
    )
    with sklearn.config_context(enable_metadata_routing=routing):
        search = GridSearchCV(
            student_of(teacher, alpha=1.0),
            GRID,
            cv=KFold(3),
            scoring={**fidelity_scorers(), "size": size_scorer},
            refit="neg_mean_kl_divergence",
            error_score="raise",
        ).fit(X)
    assert search.score(X) < 0


def test_single_scorer_serves_as_scoring(table):
    X, y = table
    teacher = RandomForestClassifier(20, random_state=0).fit(X[:200], y[:200])
    for scorer in (fidelity_scorers()["agreement"], latency_scorer, size_scorer):
        search = GridSearchCV(
            student_of(teacher), GRID, cv=2, scoring=scorer, error_score="raise"
        )
        search.fit(X[200:], y[200:], sample_weight=np.ones(200))
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_scorers_take_weights_of_a_search_without_routing(table):
    X, y = table
    teacher = RandomForestClassifier(20, random_state=0).fit(X[:200], y[:200])
    search = GridSearchCV(
        student_of(teacher),
        GRID,
        cv=2,
        scoring={**fidelity_scorers(), "latency": latency_scorer, "size": size_scorer},
        refit="agreement",
        error_score="raise",
    )
    search.fit(X[200:], y[200:], sample_weight=np.arange(200) % 3)
    assert np.isfinite(search.cv_results_["mean_test_latency"]).all()


def test_teacher_fitted_in_each_fold_is_the_one_that_answers(table):
    X, y = table
    small = student_of(DecisionTreeClassifier(max_depth=3, random_state=0), cv=2)
    found = cross_validate(
        small,
        X,
        y,
        cv=KFold(2),
        scoring=fidelity_scorers(),
        return_estimator=True,
        error_score="raise",
    )
    for fitted, score, (_, test) in zip(
        found["estimator"], found["test_agreement"], KFold(2).split(X), strict=True
    ):
        P = fitted.teacher_.predict_proba(X[test])
        assert score == agreement(P, fitted.predict_proba(X[test]))


def test_scorers_are_not_misled_by_another_scorers_positive_class(table):
    X, y = table
    X, y = X[y != "cat"], y[y != "cat"]
    teacher = RandomForestClassifier(20, random_state=0).fit(X[:200], y[:200])
    brier = make_scorer(
        brier_score_loss,
        greater_is_better=False,
        response_method="predict_proba",
        pos_label="ant",
    )
    scoring = {"brier": brier, **fidelity_scorers()}
    found = cross_validate(student_of(teacher), X, y, cv=KFold(2), scoring=scoring)
    assert (found["test_agreement"] > 0.7).all()


# -- what the scorers remember ---------------------------------------------------------


def test_scorers_forget_a_teacher_that_is_fitted_again(table):
    X, y = table
    teacher = counting_teacher(X, y)
    small = student_of(teacher).fit(X[200:], y[200:])
    scorer = fidelity_scorers()["neg_mean_kl_divergence"]
    before = scorer(small, X)
    teacher.asked.clear()
    assert scorer(small, X) == before
    assert teacher.asked == []
    teacher.fit(X[:100], y[:100])
    expected = -mean_kl_divergence(teacher.predict_proba(X), small.predict_proba(X))
    assert scorer(small, X) == pytest.approx(expected, rel=1e-12)
    assert expected < before - 1e-3


def test_scorers_do_not_keep_a_teacher_alive(table):
    X, y = table
    scorer = fidelity_scorers()["agreement"]
    teacher = RandomForestClassifier(5, random_state=0).fit(X[:200], y[:200])
    small = student_of(teacher).fit(X[200:], y[200:])
    del teacher
    scorer(small, X)
    assert len(scorer._recent._of_teacher) == 1
    del small
    assert len(scorer._recent._of_teacher) == 0


def test_scorers_keep_a_bounded_number_of_answers(table, monkeypatch):
    X, y = table
    monkeypatch.setattr("skdistill.metrics._scorers.MAX_ROWS", 100)
    teacher = counting_teacher(X, y)
    small = student_of(teacher).fit(X[200:], y[200:])
    teacher.asked.clear()
    scorer = fidelity_scorers()["agreement"]
    first = scorer(small, X)
    scorer(small, X[-100:])
    assert teacher.asked == [400]
    assert scorer(small, X) == first
    assert teacher.asked == [400, 300]


@pytest.mark.parametrize(
    "copied", [clone, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))]
)
def test_scorers_can_be_cloned_and_pickled(table, copied):
    X, y = table
    teacher = RandomForestClassifier(5, random_state=0).fit(X[:200], y[:200])
    small = student_of(teacher).fit(X[200:], y[200:])
    P = teacher.predict_proba(X)
    for scorers in (fidelity_scorers(), fidelity_scorers(X, P)):
        scoring = {**scorers, "latency": latency_scorer, "size": size_scorer}
        search = GridSearchCV(small, GRID, scoring=scoring, refit="agreement")
        twins = copied(search).scoring
        for name in METRICS:
            assert twins[name](small, X) == scoring[name](small, X)
            assert repr(twins[name]) == f"fidelity_scorers()[{name!r}]"
        assert twins["latency"] is latency_scorer
        assert twins["size"] is size_scorer


# -- cost ------------------------------------------------------------------------------


def test_size_scorer_weighs_the_student_without_its_teacher(table):
    X, y = table
    teacher = RandomForestClassifier(100, random_state=0).fit(X[:200], y[:200])
    small = student_of(teacher).fit(X[200:], y[200:])
    assert size_scorer(small, X, y) == -model_size(small.student_)
    assert size_scorer(teacher, X) == -model_size(teacher)
    pipe = make_pipeline(StandardScaler(), student_of(teacher)).fit(X, y)
    alone = model_size(make_pipeline(pipe[0], pipe[-1].student_))
    assert -size_scorer(pipe, X) == pytest.approx(alone, rel=0.05)
    search = GridSearchCV(pipe, {"distilledclassifier__alpha": [1.0]}, cv=2).fit(X, y)
    assert -size_scorer(search, X) == pytest.approx(alone, rel=0.05)


def test_latency_scorer_times_the_student(table):
    X, y = table
    teacher = RandomForestClassifier(200, random_state=0).fit(X[:200], y[:200])
    small = student_of(teacher).fit(X[200:], y[200:])
    slow, quick = latency_scorer(teacher, X, y), latency_scorer(small, X, y)
    assert slow < quick < 0  # 200 trees against one product of small matrices
    measured = measure_latency(small.student_, X, n_calls=200)["p50"]
    assert 0.05 < -quick / measured < 20


# -- bad input -------------------------------------------------------------------------


class WithoutClasses:
    """A teacher that does not name its columns."""

    def predict_proba(self, X):
        return np.full((len(X), 2), 0.5)


def test_fidelity_scorers_say_what_is_missing(table):
    X, y = table
    P = np.full((len(X), len(np.unique(y))), 1 / len(np.unique(y)))
    small = student_of(None).fit(X, y, soft_targets=P)
    scorer = fidelity_scorers()["agreement"]
    with pytest.raises(ValueError, match=r"no fitted teacher_ to ask, got None with D"):
        scorer(small, X)
    with pytest.raises(ValueError, match=r"got None with LogisticRegression"):
        scorer(LogisticRegression().fit(X, y), X)
    with pytest.raises(ValueError, match="X and soft_targets must be given together"):
        fidelity_scorers(X)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        fidelity_scorers(X, P[1:])
    with pytest.raises(ValueError, match=r"soft_targets must have shape"):
        scorer(small, X, soft_targets=P[:, :1].repeat(5, axis=1))


def test_fidelity_scorers_need_the_classes_of_a_teacher_without_them():
    X, y = make_classification(100, 4, random_state=0)
    small = student_of(WithoutClasses()).fit(X, y, classes=[0, 1])
    scorer = fidelity_scorers()["neg_total_variation_distance"]
    with pytest.raises(ValueError, match="classes must reach the scorer"):
        scorer(small, X)
    expected = -total_variation_distance(np.full((100, 2), 0.5), small.predict_proba(X))
    assert scorer(small, X, classes=[0, 1]) == pytest.approx(expected)
