"""Refit policies: on tables made by hand, and in real searches."""

import copy
import pickle
import re

import numpy as np
import pandas as pd
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.datasets import load_digits, make_classification
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    cross_val_predict,
)
from sklearn.tree import DecisionTreeClassifier

from skdistill import DistilledClassifier, LogisticStudent
from skdistill.metrics import fidelity_scorers, latency_scorer, size_scorer
from skdistill.model_selection import BudgetError, best_under, cheapest_within
from skdistill.teachers import AnswerStore


def results(**columns):
    """Table of a search; columns are means, or folds where they are lists of lists."""
    table = {}
    for name, values in columns.items():
        values = np.asarray(values, dtype=float)
        if values.ndim == 2:
            for i, fold in enumerate(values.T):
                table[f"split{i}_test_{name}"] = fold
            values = values.mean(axis=1)
        table[f"mean_test_{name}"] = values
    n_candidates = len(next(iter(table.values())))
    return {**table, "params": [{"rung": i} for i in range(n_candidates)]}


STUDENTS = results(
    accuracy=[0.80, 0.95, 0.90, 0.85],
    latency=[-10e-6, -90e-6, -40e-6, -20e-6],
    size=[-1e3, -50e3, -90e3, -20e3],
)


# -- best_under ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budgets", "index"),
    [
        ({"latency": 50e-6}, 2),
        ({"latency": 40e-6}, 2),  # a budget may be used up
        ({"latency": 39e-6}, 3),
        ({"size": 64_000}, 1),
        ({"latency": 50e-6, "size": 64_000}, 3),
        ({"latency": np.float32(1.0), "size": np.int64(10**9)}, 1),
    ],
)
def test_best_under_takes_the_best_that_fits(budgets, index):
    assert best_under(**budgets)(STUDENTS) == index


def test_best_under_takes_budgets_by_the_name_of_a_scorer():
    table = results(auc=[0.7, 0.8], accuracy=[0.9, 0.8], p99=[-1.0, -3.0])
    assert best_under(p99=2, metric="auc")(table) == 0
    assert best_under(p99=3, metric="auc")(table) == 1
    assert best_under(p99=3, metric="accuracy")(table) == 0


def test_best_under_prefers_the_cheaper_of_equals_then_the_first():
    table = results(score=[1.0, 1.0, 1.0], size=[-30, -20, -20])
    assert best_under(size=40)(table) == 1


def test_best_under_leaves_out_failed_candidates():
    table = results(
        accuracy=[0.99, 0.98, 0.5, 0.4], size=[np.nan, -10, -10, -10], auc=[0] * 4
    )
    table["mean_test_accuracy"][1] = np.nan
    assert best_under(size=20, metric="accuracy")(table) == 2


def test_best_under_takes_a_data_frame():
    table = pd.DataFrame(STUDENTS)
    assert best_under(latency=50e-6)(table) == 2


@given(
    st.lists(
        st.tuples(
            st.one_of(st.just(np.nan), st.floats(-5, 5)),
            st.floats(1e-7, 1.0),
            st.integers(1, 10**7),
        ),
        min_size=1,
        max_size=8,
    ),
    st.floats(1e-7, 1.0),
    st.integers(1, 10**7),
)
@settings(max_examples=200)
def test_best_under_equals_a_loop(candidates, latency, size):
    score, seconds, n_bytes = (np.array(column) for column in zip(*candidates))  # noqa: B905
    table = results(score=score, latency=-seconds, size=-n_bytes)
    policy = best_under(latency=latency, size=size)
    fitting = [
        (-s, max(t / latency, b / size), i)
        for i, (s, t, b) in enumerate(candidates)
        if not np.isnan(s) and t <= latency and b <= size
    ]
    if fitting:
        assert policy(table) == min(fitting)[2]
    elif np.isnan(score).all():
        with pytest.raises(ValueError, match="finite scores"):
            policy(table)
    else:
        with pytest.raises(BudgetError) as caught:
            policy(table)
        # What the message says to allow is enough, for the candidate that it names.
        nearest = int(re.search(r"is candidate (\d+),", str(caught.value))[1])
        relaxed = re.search(r"Relax to (.*), or add", str(caught.value))[1]
        limits = {"latency": latency, "size": size}
        limits |= {k: float(v) for k, v in re.findall(r"(\w+)=([^,]+)", relaxed)}
        assert seconds[nearest] <= limits["latency"]
        assert n_bytes[nearest] <= limits["size"]
        overshoot = [max(t / latency, b / size) for _, t, b in candidates]
        assert overshoot[nearest] == np.min(np.array(overshoot)[~np.isnan(score)])


def test_best_under_names_the_nearest_miss():
    with pytest.raises(BudgetError) as caught:
        best_under(latency=8e-6, size=64_000)(STUDENTS)
    assert str(caught.value) == (
        "No candidate is within latency <= 8e-06 s and size <= 64,000 bytes. The "
        "nearest of 4 is candidate 0, rung=0: latency 1e-05 s is 25 % over, size 1,000 "
        "bytes fits; its accuracy is 0.8. Relax to latency=1e-05, or add cheaper "
        "candidates. The results are in cv_results_ of this error."
    )


def test_best_under_says_how_far_a_far_miss_is():
    with pytest.raises(BudgetError, match=r"1,000 bytes is 100 times the limit"):
        best_under(size=10)(STUDENTS)


def test_budget_error_keeps_the_results_and_can_be_pickled():
    with pytest.raises(BudgetError) as caught:
        best_under(size=10)(STUDENTS)
    assert best_under(size=64_000)(caught.value.cv_results_) == 1
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert again.cv_results_["params"] == STUDENTS["params"]


def test_budget_error_shortens_a_long_candidate():
    table = {**STUDENTS, "params": [{"student": "x " * 500}] * 4}
    with pytest.raises(BudgetError, match=r"student='x x .* \.\.\.: size"):
        best_under(size=10)(table)


@pytest.mark.parametrize(
    ("params", "error", "match"),
    [
        ({}, ValueError, r"must be given a limit, got none\."),
        ({"latency": 0}, ValueError, r"latency must be above 0, got 0\."),
        ({"size": -1.0}, ValueError, r"size must be above 0, got -1\.0\."),
        ({"size": float("nan")}, ValueError, r"size must be above 0, got nan\."),
        ({"energy": "2 J"}, TypeError, r"energy must be a number, got '2 J'\."),
        ({"size": True}, TypeError, r"size must be a number, got True\."),
    ],
)
def test_best_under_refuses_bad_limits(params, error, match):
    with pytest.raises(error, match=match):
        best_under(**params)


def test_policy_says_which_scorers_there_are():
    table = results(accuracy=[1.0], size=[-1.0])
    match = r"a scorer called 'latency', got \['accuracy', 'size'\]"
    with pytest.raises(ValueError, match=match):
        best_under(latency=1.0)(table)
    with pytest.raises(ValueError, match="a scorer called 'auc'"):
        best_under(size=1.0, metric="auc")(table)
    table = results(accuracy=[1.0], auc=[1.0], size=[-1.0], latency=[-1.0])
    with pytest.raises(ValueError, match=r"one of \['accuracy', 'auc'\], got None"):
        cheapest_within(cost="size")(table)


def test_policy_refuses_costs_that_are_positive():
    table = results(accuracy=[1.0, 1.0], size=[-1.0, 300.0])
    with pytest.raises(ValueError, match=r"'size' must give the negative .* 300\.0\."):
        best_under(size=1_000)(table)


def test_policy_says_when_all_failed():
    table = results(accuracy=[np.nan, 0.9], size=[-1.0, np.nan])
    match = r"finite scores \(accuracy, size\), got none of 2\. .*error_score='raise'"
    for policy in (best_under(size=10), cheapest_within(cost="size")):
        with pytest.raises(ValueError, match=match):
            policy(table)


# -- cheapest_within -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tolerance", "cost", "index"),
    [
        (0.0, "latency", 1),
        (0.049, "latency", 1),
        (0.051, "latency", 2),
        (0.051, "size", 1),  # the best one is the smallest of both
        (0.11, "size", 3),
        (0.2, "size", 0),
    ],
)
def test_cheapest_within_tolerance(tolerance, cost, index):
    assert cheapest_within(tolerance=tolerance, cost=cost)(STUDENTS) == index


# Means .9, .88 and .875 (the best one's standard error is .1 / sqrt(3) / sqrt(2)).
FOLDS = results(
    accuracy=[[0.8, 0.9, 1.0], [0.78, 0.88, 0.98], [0.95, 0.875, 0.8]],
    latency=[-9, -5, -1],
)


def test_cheapest_within_one_standard_error_of_the_best():
    se = np.std([0.8, 0.9, 1.0], ddof=1) / np.sqrt(3)
    assert se == pytest.approx(0.1 / np.sqrt(3))
    assert cheapest_within()(FOLDS) == 2  # .025 below, within .058
    assert cheapest_within(rule="1se")(FOLDS) == 2
    narrow = {**FOLDS, "split0_test_accuracy": np.array([0.89, 0.87, 0.87])}
    narrow |= {"split2_test_accuracy": np.array([0.91, 0.89, 0.88])}
    assert cheapest_within()(narrow) == 0  # standard error .0058


def test_cheapest_within_paired_rule_cancels_what_folds_share():
    # The second is .02 below on each fold: a difference without any doubt. The third's
    # differences spread over .15, with a mean of .025.
    assert cheapest_within(rule="paired")(FOLDS) == 2
    two = {key: values[:2] for key, values in FOLDS.items()}
    assert cheapest_within(rule="1se")(two) == 1
    assert cheapest_within(rule="paired")(two) == 0


def test_cheapest_within_allows_the_larger_of_tolerance_and_rule():
    two = {key: values[:2] for key, values in FOLDS.items()}
    assert cheapest_within(tolerance=0.01, rule="paired")(two) == 0
    assert cheapest_within(tolerance=0.021, rule="paired")(two) == 1
    assert cheapest_within(tolerance=0.001, rule="1se")(two) == 1
    assert cheapest_within(tolerance=0.001)(two) == 0  # no rule beside a tolerance


def test_cheapest_within_prefers_the_better_of_equal_costs():
    table = results(accuracy=[0.9, 0.95, 1.0], latency=[-1.0, -1.0, -2.0])
    assert cheapest_within(tolerance=0.2)(table) == 1


@pytest.mark.parametrize(
    ("params", "error", "match"),
    [
        ({"rule": "2se"}, ValueError, r"rule must be .*, got '2se'\."),
        ({"rule": None}, ValueError, r"a tolerance or a rule, got None for both\."),
        ({"tolerance": -0.1}, ValueError, r"must not be below 0, got -0\.1\."),
        ({"tolerance": "1 %"}, TypeError, r"must be a number, got '1 %'\."),
    ],
)
def test_cheapest_within_refuses_bad_rules(params, error, match):
    with pytest.raises(error, match=match):
        cheapest_within(**params)


def test_cheapest_within_needs_two_folds_for_a_standard_error():
    table = results(accuracy=[[0.9], [0.8]], latency=[-2, -1])
    with pytest.raises(ValueError, match=r"at least 2 folds .*, got 1\."):
        cheapest_within()(table)
    assert cheapest_within(tolerance=0.2)(table) == 1


# -- both ------------------------------------------------------------------------------

POLICIES = [
    best_under(latency=50e-6, size=64_000, metric="accuracy"),
    cheapest_within(tolerance=0.06, rule="paired", metric="accuracy"),
    cheapest_within(rule="1se", cost="size"),
]


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_policy_is_written_as_it_was_made_and_survives_pickling(policy):
    assert eval(repr(policy)) == policy
    assert pickle.loads(pickle.dumps(policy)) == policy
    assert copy.deepcopy(policy) == policy


def test_policy_looks_at_the_last_iteration_only():
    table = {**STUDENTS, "iter": np.array([0, 0, 1, 1])}
    assert best_under(size=100_000)(STUDENTS) == 1
    assert best_under(size=100_000)(table) == 2
    assert cheapest_within(tolerance=0.0)(table) == 2
    match = "1 of earlier iterations would fit, but halving dropped"
    with pytest.raises(BudgetError, match=match):
        best_under(size=2_000)(table)


# -- in searches -----------------------------------------------------------------------

TREES = {"max_leaf_nodes": [2, 4, 8, 16, 32, 64]}


def leaves(tree, X, y):
    return -tree.get_n_leaves()


SCORING = {"accuracy": make_scorer(accuracy_score), "leaves": leaves}


@pytest.fixture(scope="module")
def rows():
    return make_classification(
        600, n_informative=6, n_classes=3, flip_y=0.05, random_state=0
    )


@pytest.mark.parametrize(
    "make_search", [GridSearchCV, lambda *a, **k: RandomizedSearchCV(*a, n_iter=6, **k)]
)
def test_best_under_in_a_search(rows, make_search):
    tree = DecisionTreeClassifier(random_state=0)
    policy = best_under(leaves=20, metric="accuracy")
    search = make_search(tree, TREES, scoring=SCORING, refit=policy, cv=3)
    search.fit(*rows)
    fits = -search.cv_results_["mean_test_leaves"] <= 20
    scores = np.where(fits, search.cv_results_["mean_test_accuracy"], -1)
    assert search.best_index_ == scores.argmax()
    assert search.best_estimator_.get_n_leaves() <= 20
    assert 0 < fits.sum() < len(fits)
    clone(search).fit(*rows)


def test_cheapest_within_in_a_search(rows):
    tree = DecisionTreeClassifier(random_state=0)
    policy = cheapest_within(tolerance=0.05, cost="leaves")
    search = GridSearchCV(tree, TREES, scoring=SCORING, refit=policy, cv=3).fit(*rows)
    found = search.cv_results_
    near = found["mean_test_accuracy"] >= found["mean_test_accuracy"].max() - 0.05
    assert search.best_index_ == np.flatnonzero(near)[0]
    assert near.sum() > 1


def test_search_that_finds_nothing_ends_in_a_budget_error(rows):
    tree = DecisionTreeClassifier(random_state=0)
    search = GridSearchCV(
        tree, TREES, scoring=SCORING, refit=best_under(leaves=1), cv=3
    )
    with pytest.raises(BudgetError, match="candidate 0, max_leaf_nodes=2") as caught:
        search.fit(*rows)
    assert best_under(leaves=2)(caught.value.cv_results_) == 0


def test_search_goes_on_past_a_failing_candidate(rows):
    tree = DecisionTreeClassifier(random_state=0)
    grid = {"max_leaf_nodes": [-5, 4]}
    search = GridSearchCV(
        tree, grid, scoring=SCORING, refit=best_under(leaves=20), cv=3
    )
    with pytest.warns(Warning, match=r"fits failed|non-finite"):
        search.fit(*rows)
    assert search.best_params_ == {"max_leaf_nodes": 4}


def halve(rows, policy, scoring):
    search = HalvingGridSearchCV(
        DecisionTreeClassifier(random_state=0), TREES, scoring=scoring, refit=policy,
        cv=3, factor=3, random_state=0, return_train_score=False,
    )  # fmt: skip
    return search.fit(*rows)


def test_halving_minds_the_budget_by_the_scoring_of_a_policy(rows):
    policy = best_under(leaves=6, metric="accuracy")
    search = halve(rows, policy, policy.scoring(SCORING))
    found = search.cv_results_
    assert found["iter"].max() > 0
    assert search.best_index_ == policy(found)
    assert search.best_params_["max_leaf_nodes"] == 4
    assert -found["mean_test_leaves"][search.best_index_] <= 6
    # What is over the budget ranks below all that fits, the more so the more it is.
    over = -found["mean_test_leaves"] > 6
    assert found["mean_test_score"][over].max() < -1e6 * 0.3
    assert found["mean_test_score"][~over].min() > 0


def test_halving_without_it_drops_what_fits(rows):
    def blind(tree, X, y):
        scores = {name: scorer(tree, X, y) for name, scorer in SCORING.items()}
        return {**scores, "score": scores["accuracy"]}

    policy = best_under(leaves=3, metric="accuracy")
    search = halve(rows, policy, blind)
    with pytest.raises(BudgetError, match=r"1 of earlier iterations would fit"):
        policy(search.cv_results_)


def test_halving_scoring_of_cheapest_within_goes_by_the_metric(rows):
    policy = cheapest_within(tolerance=0.1, cost="leaves")
    search = halve(rows, policy, policy.scoring(SCORING))
    found = search.cv_results_
    assert np.array_equal(found["mean_test_score"], found["mean_test_accuracy"])
    index = policy(found)
    assert found["iter"][index] == found["iter"].max()


def test_policy_scoring_refuses_a_scorer_called_score():
    with pytest.raises(ValueError, match="must not have one called 'score'"):
        best_under(leaves=3).scoring({"score": leaves, "leaves": leaves})


def test_policy_scoring_refuses_scorers_without_the_costs():
    with pytest.raises(ValueError, match=r"called 'size', got \['accuracy'\]"):
        best_under(size=3).scoring({"accuracy": "accuracy"})


# -- with students ---------------------------------------------------------------------

STUDENTS_OF_DIGITS = [
    LogisticStudent(),
    *(DecisionTreeClassifier(max_leaf_nodes=n) for n in (4, 16, 64)),
]


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(n_class=4, return_X_y=True)
    X, y = X[:300], y[:300]
    teacher = ExtraTreesClassifier(30, random_state=0)
    return X, y, cross_val_predict(teacher, X, y, cv=3, method="predict_proba")


@pytest.fixture(params=[False, True], ids=["routing off", "routing on"])
def routing(request):
    with sklearn.config_context(enable_metadata_routing=request.param):
        yield request.param


def student_search(digits, routing, policy, make_scoring=dict, search=GridSearchCV):
    X, y, P = digits
    small = DistilledClassifier(
        None, alpha=0.5, transfer=None, calibrate=None, random_state=0
    )
    if routing:
        small.set_fit_request(soft_targets=True)
    fidelity = fidelity_scorers() if routing else fidelity_scorers(X, P)
    scoring = {**fidelity, "latency": latency_scorer, "size": size_scorer}
    grid = {"student": STUDENTS_OF_DIGITS}
    return search(
        small, grid, scoring=make_scoring(scoring), refit=policy, cv=2, n_jobs=2
    ).fit(X, y, soft_targets=P)


def test_best_under_finds_the_most_faithful_student_that_fits(digits, routing):
    policy = best_under(latency=10.0, size=9_000, metric="agreement")
    search = student_search(digits, routing, policy)
    found = search.cv_results_
    size, agreement = -found["mean_test_size"], found["mean_test_agreement"]
    assert size.min() < 9_000 < size.max()
    assert search.best_index_ == np.where(size <= 9_000, agreement, -1).argmax()
    assert search.best_estimator_.student_.classes_.tolist() == [0, 1, 2, 3]
    assert (found["mean_test_latency"] < 0).all()


def test_cheapest_within_finds_the_smallest_student_that_is_as_faithful(
    digits, routing
):
    policy = cheapest_within(rule="paired", cost="size", metric="agreement")
    search = student_search(digits, routing, policy)
    folds = np.column_stack(
        [search.cv_results_[f"split{i}_test_agreement"] for i in range(2)]
    )
    best = folds.mean(axis=1).argmax()
    behind = folds[best] - folds
    # Of two numbers a and b the standard error of the mean is |a - b| / 2.
    near = behind.mean(axis=1) <= np.abs(behind[:, 0] - behind[:, 1]) / 2 + 1e-12
    size = -search.cv_results_["mean_test_size"]
    assert search.best_index_ == np.where(near, size, np.inf).argmin()


def test_halving_over_students_ends_within_the_budget(digits, routing):
    policy = best_under(size=9_000, metric="agreement")
    search = student_search(
        digits, routing, policy, policy.scoring,
        lambda *a, **k: HalvingGridSearchCV(*a, factor=2, random_state=0, **k),
    )  # fmt: skip
    found = search.cv_results_
    assert found["iter"].max() >= 1
    assert search.best_index_ == policy(found)
    assert found["mean_test_score"][search.best_index_] > 0
    assert -found["mean_test_size"][search.best_index_] <= 9_000


def test_search_with_all_scorers_asks_the_teacher_once_per_row(digits, tmp_path):
    X, y, _ = digits
    teacher = ExtraTreesClassifier(10, random_state=0).fit(X[:100], y[:100])
    X, y = np.vstack([X[100:], X[100:150]]), np.append(y[100:], y[100:150])
    small = DistilledClassifier(
        teacher, alpha=0.5, transfer=None, calibrate=None, random_state=0,
        memory=tmp_path / "answers.db",
    )  # fmt: skip
    scoring = {**fidelity_scorers(), "latency": latency_scorer, "size": size_scorer}
    policy = best_under(latency=10.0, size=9_000, metric="agreement")
    grid = {"student": STUDENTS_OF_DIGITS}
    search = GridSearchCV(small, grid, scoring=scoring, refit=policy, cv=3)
    search.fit(X, y)
    asked = AnswerStore(small.memory).stats()["rows_asked"]
    assert asked == len(np.unique(X, axis=0)) < len(X)


def test_policy_scoring_passes_weights_on(rows):
    X, y = rows
    policy = best_under(size=10**9, metric="accuracy")
    scoring = policy.scoring({"accuracy": "accuracy", "size": size_scorer})
    tree = DecisionTreeClassifier(max_leaf_nodes=4, random_state=0).fit(X, y)
    weight = (y == 1).astype(float)
    scores = scoring(tree, X, y, sample_weight=weight)
    assert scores["score"] == scores["accuracy"] == tree.score(X, y, weight)
    assert scores["score"] != tree.score(X, y)
    # A search would warn if it thought that the weights were ignored.
    GridSearchCV(tree, {}, scoring=scoring, refit=policy, cv=2).fit(
        X, y, sample_weight=weight
    )
