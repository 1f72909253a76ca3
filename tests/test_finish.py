"""What is done to students after their fit: trees are shrunk, boosting is tempered."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from skdistill import DistilledClassifier, LogisticStudent, MLPStudent
from skdistill._choice import plan_search
from skdistill._finish import Finish, fit_finish
from skdistill._record import NO_TEACHER
from skdistill._training import Rows
from skdistill.soft_targets import log_loss_rows, one_hot, temper
from skdistill.students import (
    STRENGTHS,
    can_shrink,
    fit_student,
    shrink,
    shrunk_answers,
)


@pytest.fixture(scope="module")
def table():
    X, y = make_classification(
        2400, 8, n_informative=5, n_classes=3, n_clusters_per_class=2, flip_y=0.2,
        random_state=1,
    )  # fmt: skip
    return train_test_split(X, y, test_size=0.5, random_state=0)


def by_hand(tree, x, strength):
    """Answer of one row: the sum of the formula, node after node."""
    node, rows = 0, tree.weighted_n_node_samples
    rows = rows / rows[0] * tree.n_node_samples[0]
    answer = tree.value[0].copy()
    while tree.children_left[node] >= 0:
        goes_left = np.float32(x[tree.feature[node]]) <= tree.threshold[node]
        children = tree.children_left if goes_left else tree.children_right
        child = children[node]
        answer += (tree.value[child] - tree.value[node]) / (1 + strength / rows[node])
        node = child
    return answer


def noisy_targets(y, rng):
    P = 0.6 * one_hot(y, 3) + 0.4 * rng.dirichlet(np.ones(3), size=len(y))
    return P / P.sum(axis=1, keepdims=True)


STUDENTS = {
    "tree": DecisionTreeClassifier(random_state=0),
    "entropy": DecisionTreeClassifier(criterion="entropy", random_state=0),
    "regressor": DecisionTreeRegressor(random_state=0),
    "forest": RandomForestClassifier(3, random_state=0),
    "extra": ExtraTreesClassifier(3, criterion="log_loss", random_state=0),
    "pipeline": make_pipeline(StandardScaler(), DecisionTreeClassifier(random_state=0)),
}


def distilled(key, X, y):
    """A student on soft targets: a regressor, copies of rows, in a Pipeline or not."""
    P = noisy_targets(y, np.random.RandomState(0))
    student = copy.deepcopy(STUDENTS[key])
    return fit_student(student, X, P, classes=np.arange(3), random_state=0)[0]


# -- the formula -----------------------------------------------------------------------


@pytest.mark.parametrize("strength", [0.5, 20.0])
@pytest.mark.parametrize(
    "model",
    [
        DecisionTreeClassifier(max_depth=6, random_state=0),
        DecisionTreeRegressor(max_depth=6, random_state=0),
    ],
)
def test_a_leaf_answers_the_sum_of_the_formula(table, model, strength):
    X, X_test, y, _ = table
    weight = np.random.RandomState(0).uniform(0.1, 3.0, len(y))
    model.fit(X, y if hasattr(model, "predict_proba") else one_hot(y, 3), weight)
    expected = [by_hand(model.tree_, x, strength).ravel() for x in X_test[:50]]
    shrink(model, strength)
    answer = getattr(model, "predict_proba", model.predict)
    assert_allclose(answer(X_test[:50]), expected, atol=1e-12)


def test_a_stump_by_hand():
    X, y = np.arange(4.0)[:, np.newaxis], np.array([0, 0, 0, 1])
    tree = DecisionTreeClassifier().fit(X, y)
    shrink(tree, 4.0)  # the root has 4 rows: half of each step remains
    assert_allclose(
        tree.predict_proba(X), [[0.875, 0.125]] * 3 + [[0.375, 0.625]], atol=1e-12
    )


@pytest.mark.parametrize("key", STUDENTS)
def test_from_what_it_was_to_the_answer_for_all(table, key):
    X, X_test, y, _ = table
    student = distilled(key, X, y)
    before = student.predict_proba(X_test)
    unshrunk = copy.deepcopy(student)
    shrink(unshrunk, 0.0)
    assert_allclose(unshrunk.predict_proba(X_test), before, atol=1e-12)
    shrink(student, 1e12)
    after = student.predict_proba(X_test)
    assert_allclose(after, np.broadcast_to(after[0], after.shape), atol=1e-6)
    assert_allclose(after.sum(axis=1), 1)


@pytest.mark.parametrize("key", STUDENTS)
def test_looking_at_strengths_changes_nothing(table, key):
    X, X_test, y, _ = table
    student = distilled(key, X, y)
    before = student.predict_proba(X_test)
    answers = shrunk_answers(student, X_test)
    assert_array_equal(student.predict_proba(X_test), before)
    assert len(answers) == len(STRENGTHS)
    for strength, Q in zip(STRENGTHS, answers, strict=True):
        other = pickle.loads(pickle.dumps(student))
        shrink(other, strength)
        assert_array_equal(other.predict_proba(X_test), Q)
        assert_array_equal(pickle.loads(pickle.dumps(other)).predict_proba(X_test), Q)
    assert not np.allclose(answers[0], answers[3])


def test_only_proportions_of_weights_count(table):
    X, X_test, y, _ = table
    weight = np.random.RandomState(0).uniform(0.5, 2.0, len(y))
    answers = []
    for factor in (1.0, 1024.0):
        tree = DecisionTreeClassifier(max_depth=8, random_state=0)
        tree.fit(X, y, factor * weight)
        shrink(tree, 10.0)
        answers.append(tree.predict_proba(X_test))
    assert_allclose(*answers, atol=1e-12)


@pytest.mark.parametrize(
    "student, can",
    [(student, True) for student in STUDENTS.values()]
    + [
        (DecisionTreeClassifier(monotonic_cst=np.eye(8)[0]), False),
        (HistGradientBoostingClassifier(), False),
        (BaggingClassifier(), False),
        (LogisticRegression(), False),
        (LogisticStudent(), False),
        (MLPStudent(), False),
    ],
)
def test_what_can_be_shrunk(student, can):
    assert can_shrink(student) is can


def test_forests_that_fill_the_memory_are_left_alone(table, monkeypatch):
    X, _, y, _ = table
    student = distilled("pipeline", X, y)
    n_values = 3 * student[-1].estimator_.tree_.node_count
    monkeypatch.setattr("skdistill.students._shrinkage.MAX_VALUES", n_values)
    assert can_shrink(student)
    monkeypatch.setattr("skdistill.students._shrinkage.MAX_VALUES", n_values - 1)
    assert not can_shrink(student)


# -- the choice ------------------------------------------------------------------------


def grown(table):
    X, X_test, y, y_test = table
    tree = DecisionTreeClassifier(random_state=0).fit(X, y)
    rows = Rows(X_test, y_test, one_hot(y_test, 3))
    return tree, rows, tree.predict_proba(X_test)


def test_each_half_is_shown_by_the_strength_of_the_other(table):
    tree, rows, Q = grown(table)
    least = 0.5 / 1200
    finish, shown = fit_finish(tree, rows, Q, least)
    answers = shrunk_answers(tree, rows.X)
    losses = np.array([rows.losses(np.maximum(A, least)) for A in answers])
    assert finish == Finish(shrinkage=STRENGTHS[losses.mean(axis=1).argmin()])
    assert finish.shrinkage > 0
    for own in (0, 1):
        best = losses[:, 1 - own :: 2].mean(axis=1).argmin()
        assert_array_equal(shown[own::2], answers[best][own::2])
    # in weighted rows the other half may count for nothing
    weight = np.zeros(len(rows))
    weight[::2] = 1.0
    blind = Rows(rows.X, rows.codes, rows.P, weight)
    finish, shown = fit_finish(tree, blind, Q, least)
    assert finish == Finish()
    assert_array_equal(shown, Q)


def test_the_mean_of_trees_gets_a_temperature_too(table):
    X, X_test, y, y_test = table
    forest = RandomForestClassifier(20, random_state=0).fit(X, y)
    rows = Rows(X_test, y_test, one_hot(y_test, 3))
    Q, least = forest.predict_proba(X_test), 0.5 / 1200
    finish, shown = fit_finish(forest, rows, Q, least)
    # each strength with the temperature that suits it: the best of all pairs
    losses = {}
    for strength, A in zip(STRENGTHS, shrunk_answers(forest, X_test), strict=True):
        for T in np.geomspace(0.2, 5, 161):
            tempered = np.maximum(temper(A, T), least)
            losses[strength, T] = rows.losses(tempered).mean()
    strength, T = min(losses, key=losses.get)
    assert finish.shrinkage == strength
    assert_allclose(finish.temperature, T, rtol=0.03)
    assert finish.temperature != 1
    bare = rows.losses(np.maximum(Q, least)).mean()
    assert losses[strength, T] <= rows.losses(np.maximum(shown, least)).mean() < bare
    before = copy.deepcopy(forest)
    shrink(before, strength)
    finished = finish.apply(forest)
    assert_allclose(
        finished.predict_proba(X_test),
        temper(before.predict_proba(X_test), finish.temperature),
        atol=1e-9,
    )
    assert_array_equal(finished.classes_, [0, 1, 2])


def test_a_tree_that_is_best_as_it_is_stays(table):
    _, rows, _ = grown(table)
    sure = DecisionTreeClassifier(random_state=0).fit(rows.X, rows.codes)
    Q = sure.predict_proba(rows.X)
    finish, shown = fit_finish(sure, rows, Q, 1e-4)  # its own rows: never so sure again
    assert finish == Finish()
    assert_array_equal(shown, Q)


def test_without_labels_by_the_answers_of_the_teacher(table):
    tree, rows, Q = grown(table)
    teacher = RandomForestClassifier(50, min_samples_leaf=5, random_state=0)
    P = teacher.fit(table[0], table[2]).predict_proba(rows.X)
    finish, _ = fit_finish(tree, Rows(rows.X, None, P), Q, 1e-4)
    assert finish.shrinkage > 0


def test_plain_trees_are_tried_shrunk_too_where_effort_is_not_low():
    settings = {
        "alpha": "auto", "temperature": 1.0, "sources": (), "is_given": False,
        "has_labels": True, "encodings": ("",), "penalties": (),
        "is_costly": False, "finish": "shrunk",
    }  # fmt: skip
    names = [s.name for s in plan_search(**settings, effort="default").start]
    assert names[:2] == ["plain student", "plain student, shrunk"]
    assert names[2:] == ["distilled student"] * 2
    names = [s.name for s in plan_search(**settings, effort="low").start]
    assert names == ["plain student", "distilled student"]


# -- in the whole ----------------------------------------------------------------------


@pytest.mark.parametrize("key", ["tree", "forest", "pipeline"])
def test_grown_students_are_shrunk(table, key):
    X, X_test, y, y_test = table
    labels = np.array(["low", "mid", "high"])[y]
    teacher = ExtraTreesClassifier(100, min_samples_leaf=3, random_state=0)
    teacher.fit(X, labels)
    small = DistilledClassifier(
        teacher, STUDENTS[key], transfer=None, random_state=0
    ).fit(X, labels)
    assert small.student_shrinkage_ in STRENGTHS[1:]
    assert (small.student_temperature_ == 1) == (key != "forest")
    assert "plain student, shrunk" in small.summary_["model"]
    # what it is, less its shrinkage, is worse
    bare = DistilledClassifier(
        teacher, STUDENTS[key], alpha=small.alpha_, transfer=None,
        calibrate="auto", random_state=0,
    ).fit(X, labels)  # fmt: skip
    assert bare.student_shrinkage_ == 0
    codes = np.searchsorted(small.classes_, np.array(["low", "mid", "high"])[y_test])
    losses = [
        log_loss_rows(np.maximum(m.predict_proba(X_test), 1e-3), codes).mean()
        for m in (small, bare)
    ]
    assert losses[0] < losses[1]
    # the plain student is scikit-learn's own
    own = copy.deepcopy(STUDENTS[key]).fit(X, labels)
    assert_array_equal(
        small.plain_student_.predict_proba(X_test), own.predict_proba(X_test)
    )


def test_labels_and_shrinkage_may_be_better_than_a_teacher(table):
    X, X_test, y, y_test = table
    stumps = RandomForestClassifier(50, max_depth=1, random_state=0)
    student = RandomForestClassifier(20, random_state=0)
    small = DistilledClassifier(stumps, student, random_state=0).fit(X, y)
    assert (small.alpha_, small.transfer_) == (0, "none")
    assert small.student_shrinkage_ > 0
    summary = small.summary_
    assert (summary["note"][summary["chosen"]] == NO_TEACHER).all()
    assert (summary["model"][summary["chosen"]] == "plain student, shrunk").all()
    losses = [
        log_loss_rows(np.maximum(m.predict_proba(X_test), 1e-3), y_test).mean()
        for m in (small, small.plain_student_)
    ]
    assert losses[0] < losses[1]


@pytest.mark.parametrize("pipeline", [False, True])
def test_boosting_is_tempered(pipeline, tmp_path):
    X, y = make_classification(
        2400, 8, n_informative=5, n_classes=3, n_clusters_per_class=2, flip_y=0,
        random_state=1,
    )  # fmt: skip
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.5, random_state=0)
    student = HistGradientBoostingClassifier(
        max_iter=10, max_leaf_nodes=8, random_state=0
    )
    student = make_pipeline(StandardScaler(), student) if pipeline else student
    teacher = ExtraTreesClassifier(100, min_samples_leaf=3, random_state=0)
    small = DistilledClassifier(teacher, student, random_state=0).fit(X, y)
    # ten small steps leave boosting too modest
    assert small.student_temperature_ < 1
    assert "plain student, tempered" in small.summary_["model"]
    losses = [
        log_loss_rows(m.predict_proba(X_test), y_test).mean()
        for m in (small, small.plain_student_)
    ]
    assert losses[0] < losses[1]
    own = copy.deepcopy(student).fit(X, y)
    assert_array_equal(
        small.plain_student_.predict_proba(X_test), own.predict_proba(X_test)
    )
    again = pickle.loads(pickle.dumps(small.student_))
    assert_array_equal(again.predict_proba(X_test), small.predict_proba(X_test))
    pytest.importorskip("onnxruntime")
    from skdistill.deploy import export_onnx, load_onnx

    export_onnx(small, tmp_path / "boosting.onnx", X=X_test)
    answers = load_onnx(tmp_path / "boosting.onnx").predict_proba(
        X_test.astype(np.float32)
    )
    assert_allclose(answers, small.predict_proba(X_test), atol=1e-5)


def test_finishes_of_frames_weights_and_searches(table):
    X, _, y, _ = table
    X = pd.DataFrame(X, columns=list("abcdefgh"))
    X.iloc[::17, 2] = np.nan
    y, weight = np.array(["low", "mid", "high"])[y], np.ones(len(y))
    weight[::5] = 0
    small = DistilledClassifier(
        RandomForestClassifier(100, random_state=0), RandomForestClassifier(3),
        random_state=0,
    )  # fmt: skip
    small.fit(X, y, sample_weight=weight)
    assert "plain student, shrunk" in small.summary_["model"]
    held_out = small.student_shrinkage_, small.student_temperature_
    assert held_out[0] >= 0
    assert held_out[1] <= 1
    same = clone(small).fit(X, y, sample_weight=weight)
    assert (same.student_shrinkage_, same.student_temperature_) == held_out
    assert_array_equal(same.predict_proba(X), small.predict_proba(X))
    search = GridSearchCV(small, {"student__n_estimators": [1, 3]}, cv=2, n_jobs=2)
    search.fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert_array_equal(search.best_estimator_.classes_, ["high", "low", "mid"])


def test_shrunk_trees_are_exported(table, tmp_path):
    pytest.importorskip("onnxruntime")
    from skdistill.deploy import export_onnx, load_onnx

    X, X_test, y, _ = table
    student = distilled("forest", X, y)
    shrink(student, 10.0)
    export_onnx(student, tmp_path / "forest.onnx", X=X_test)
    answers = load_onnx(tmp_path / "forest.onnx").predict_proba(
        X_test.astype(np.float32)
    )
    assert_allclose(answers, student.predict_proba(X_test), atol=1e-5)


@pytest.mark.parametrize("seed", [0, 1, 3])
def test_zeros_that_no_held_out_row_meets_are_shrunk_away(seed):
    """Where a weak teacher loses to labels alone, these still want a finish."""
    X, y = make_classification(
        3000, 6, n_informative=4, flip_y=0.05, class_sep=1.5, random_state=seed
    )
    X, X_test, y, y_test = train_test_split(X, y, train_size=1000, random_state=seed)
    small = DistilledClassifier(
        GaussianNB(), RandomForestClassifier(20), transfer=None, random_state=0
    ).fit(X, y)
    assert small.alpha_ == 0
    assert small.student_shrinkage_ > 0
    summary = pd.DataFrame(small.summary_)
    chosen = summary[summary["chosen"] & (summary["metric"] == "log_loss")]
    assert chosen["model"].tolist() == ["plain student, shrunk"]
    plain = log_loss(y_test, small.plain_student_.predict_proba(X_test))
    assert log_loss(y_test, small.predict_proba(X_test)) < 0.5 * plain
