"""What models cost: bounded timing, bytes, parameters."""

import threading
import time

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.ensemble import (
    AdaBoostClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from skorch import NeuralNetClassifier
from torch import nn

from skdistill import MLPStudent, NGramStudent
from skdistill.metrics import model_size
from skdistill.report._cast import Cast, Member
from skdistill.report._costs import (
    COST_KEYS,
    TIMING_KEYS,
    cost_of,
    costs_of,
    count_parameters,
    has_budget,
    may_time_teacher,
)
from skdistill.students._adapter import SoftStudentAdapter

X, y = make_classification(
    200, 5, n_informative=3, n_classes=3, n_clusters_per_class=1, random_state=0
)
LINEAR = LogisticRegression().fit(X, y)
TREE = DecisionTreeClassifier(max_depth=3, random_state=0).fit(X, y)


class Slow:
    """Takes a while for each row, and counts."""

    def __init__(self, seconds):
        self.seconds, self.n_rows = seconds, 0

    def predict_proba(self, X):
        self.n_rows += len(X)
        time.sleep(self.seconds * len(X))
        return np.full((len(X), 3), 1 / 3)


class Paid(LogisticRegression):
    """A teacher with a limit on what it may spend."""

    max_cost = 5.0


# -- seconds ---------------------------------------------------------------------------


def test_cost_of_knows_everything_about_a_small_model():
    cost = cost_of(Member(LINEAR), X, max_seconds=0.05, timed=True)
    assert tuple(cost) == COST_KEYS
    assert 0 < cost["p50"] <= cost["p99"]
    assert cost["rows_per_second"] > 1 / cost["p50"]  # a batch is cheaper
    assert cost["n_timed_calls"] > 1
    assert cost["n_bytes"] == model_size(LINEAR)
    assert cost["n_parameters"] == 3 * 5 + 3
    assert cost["teacher_rows"] is None


def test_cost_of_counts_the_steps_in_front():
    scaler = StandardScaler().fit(X)
    cost = cost_of(Member(LINEAR, (scaler,)), X, max_seconds=0, timed=True)
    assert cost["n_bytes"] == model_size(LINEAR) + model_size(scaler)
    steps = (Waiting(),)
    timed = cost_of(Member(LINEAR, steps), X, max_seconds=0.05, timed=True)
    assert timed["p50"] > 0.002


class Waiting:
    """A transformer that takes two milliseconds."""

    def transform(self, X):
        time.sleep(0.002)
        return X


def test_cost_of_asks_a_slow_model_few_rows():
    slow = Slow(0.02)
    cost = cost_of(Member(slow), X, max_seconds=0.1, timed=True)
    assert cost["p50"] == pytest.approx(0.02, rel=0.9)
    # single rows, some for warming up, and batches that fit the time: no 200 at once
    assert slow.n_rows < 40
    assert cost["rows_per_second"] < 60


@pytest.mark.parametrize("limits", [(0, True), (1.0, False)])
def test_cost_of_times_nothing_where_it_must_not(limits):
    slow = Slow(0)
    cost = cost_of(Member(slow), X, max_seconds=limits[0], timed=limits[1])
    assert slow.n_rows == 0
    assert [cost[key] for key in TIMING_KEYS] == [None] * 4
    assert cost["n_bytes"] == model_size(slow)


def test_costs_of_shares_what_is_shared():
    members = {
        "teacher": Member(TREE),
        "student": Member(LINEAR),
        "plain student": Member(LINEAR),
    }
    costs = costs_of(Cast(members), X, max_seconds=0.02, time_teacher=False)
    assert costs["teacher"]["p50"] is None and costs["student"]["p50"] is not None
    assert costs["teacher, calibrated"] == costs["teacher"]
    assert costs["plain student"]["p50"] == costs["student"]["p50"]
    assert costs["plain student"]["teacher_rows"] == 0
    without = costs_of(
        Cast({"student": Member(LINEAR)}), X, max_seconds=0, time_teacher=True
    )
    assert set(without["teacher"].values()) == {None}


# -- money -----------------------------------------------------------------------------


def test_has_budget_finds_a_limit_in_any_part():
    assert has_budget(Paid())
    assert has_budget(make_pipeline(StandardScaler(), Paid()))
    assert has_budget(FrozenEstimator(make_pipeline(StandardScaler(), Paid())))
    assert has_budget(VotingClassifier([("a", Paid()), ("b", GaussianNB())]))
    assert not has_budget(LINEAR)
    assert may_time_teacher(Cast({"teacher": Member(LINEAR)}))
    assert not may_time_teacher(Cast({"teacher": Member(Paid())}))
    assert not may_time_teacher(Cast({}))


def test_cost_of_gives_no_size_of_what_is_elsewhere():
    paid = Paid().fit(X, y)
    assert cost_of(Member(paid), X, max_seconds=0, timed=False)["n_bytes"] is None


def test_cost_of_gives_no_size_of_what_is_no_data():
    slow = Slow(0)
    slow.lock = threading.Lock()
    assert cost_of(Member(slow), X, max_seconds=0, timed=False)["n_bytes"] is None


# -- parameters ------------------------------------------------------------------------


def n_nodes(trees):
    return sum(tree.tree_.node_count for tree in trees)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_count_parameters_of_linear_models_and_nets():
    assert count_parameters(LINEAR) == 18
    assert count_parameters(FrozenEstimator(make_pipeline(LINEAR))) == 18
    for net in (
        MLPClassifier((4,), max_iter=5, random_state=0),
        MLPStudent((4,), max_steps=5, random_state=0),
    ):
        assert count_parameters(net.fit(X, y)) == (5 * 4 + 4) + (4 * 3 + 3)


def test_count_parameters_of_text_students_count_the_embeddings():
    student = NGramStudent(embedding_size=4, hidden_layer_sizes=(3,), random_state=0)
    student.fit(["a b", "b c"] * 10, [0, 1] * 10)
    assert count_parameters(student) == student.table_.size + (4 * 3 + 3) + (3 * 2 + 2)


def test_count_parameters_of_trees():
    assert count_parameters(TREE) == TREE.tree_.node_count
    forest = ExtraTreesClassifier(5, random_state=0).fit(X, y)
    assert count_parameters(forest) == n_nodes(forest.estimators_)
    boosting = GradientBoostingClassifier(n_estimators=4, random_state=0).fit(X, y)
    assert count_parameters(boosting) == n_nodes(boosting.estimators_.ravel())
    ada = AdaBoostClassifier(n_estimators=3, random_state=0).fit(X, y)
    assert count_parameters(ada) == n_nodes(ada.estimators_)
    hist = HistGradientBoostingClassifier(max_iter=2, max_leaf_nodes=4).fit(X, y)
    # 2 steps x 3 classes x (4 leaves + 3 splits)
    assert count_parameters(hist) == 2 * 3 * 7


def test_count_parameters_of_mixtures():
    forest = ExtraTreesClassifier(3, random_state=0)
    vote = VotingClassifier([("a", forest), ("b", LogisticRegression())]).fit(X, y)
    trees = n_nodes(vote.named_estimators_["a"].estimators_)
    assert count_parameters(vote) == trees + 18
    stack = StackingClassifier([("b", LogisticRegression())]).fit(X, y)
    final = stack.final_estimator_
    assert count_parameters(stack) == 18 + final.coef_.size + final.intercept_.size


def test_count_parameters_of_skorch_nets():
    net = NeuralNetClassifier(nn.Linear(5, 3)).initialize()
    assert count_parameters(net) == 18
    adapter = SoftStudentAdapter.around(net, "net", np.arange(3))
    assert count_parameters(adapter) == 18


def test_count_parameters_of_searches():
    search = GridSearchCV(LogisticRegression(), {"C": [1.0]}, cv=2).fit(X, y)
    assert count_parameters(search) == 18


def test_count_parameters_says_when_it_does_not_know():
    assert count_parameters(GaussianNB().fit(X, y)) is None
    vote = VotingClassifier([("a", GaussianNB()), ("b", LogisticRegression())])
    assert count_parameters(vote.fit(X, y)) is None
