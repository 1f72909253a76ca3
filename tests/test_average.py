import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    cross_val_predict,
    train_test_split,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from benchmarks.datasets import load
from skdistill import DistilledClassifier
from skdistill.teachers import AveragedTeacher, CachedTeacher


class Counting(ClassifierMixin, BaseEstimator):
    """Class frequencies; counts fits and rows asked, over all clones."""

    fits, asked = 0, 0

    def fit(self, X, y, sample_weight=None):
        Counting.fits += 1
        self.weight_ = sample_weight
        self.classes_, counts = np.unique(y, return_counts=True)
        self.frequencies_ = counts / counts.sum()
        return self

    def predict_proba(self, X):
        Counting.asked += len(X)
        return np.tile(self.frequencies_, (len(X), 1))


class Stub:
    """Somebody else's fitted classifier: no scikit-learn estimator."""

    def __init__(self, P, classes):
        self.P, self.classes_ = np.asarray(P), np.asarray(classes)

    def predict_proba(self, X):
        return self.P[: len(X)]


@pytest.fixture(autouse=True)
def _no_counts():
    Counting.fits = Counting.asked = 0


@pytest.fixture(scope="module")
def table():
    X, y = make_classification(
        900, 8, n_classes=3, n_informative=6, flip_y=0.1, random_state=0
    )
    return train_test_split(X, np.array(["a", "b", "c"])[y], random_state=0)


@pytest.fixture(scope="module")
def members(table):
    X, _, y, _ = table
    return [GaussianNB().fit(X, y), LogisticRegression().fit(X, y)]


@parametrize_with_checks(
    [
        AveragedTeacher(
            [LogisticRegression(), DecisionTreeClassifier(max_depth=3, random_state=0)]
        ),
        AveragedTeacher(
            [LogisticRegression(), DecisionTreeClassifier(max_depth=3, random_state=0)],
            weights="log_score",
        ),
    ]
)
def test_averaged_teacher_is_a_scikit_learn_classifier(estimator, check):
    check(estimator)


# -- the mean --------------------------------------------------------------------------


def test_average_of_fitted_members_needs_no_fit(table, members):
    _, X, _, _ = table
    both = AveragedTeacher(members, weights=[1, 3])
    expected = 0.25 * members[0].predict_proba(X) + 0.75 * members[1].predict_proba(X)
    np.testing.assert_allclose(both.predict_proba(X), expected, rtol=1e-12)
    expected = both.classes_[expected.argmax(axis=1)]
    np.testing.assert_array_equal(both.predict(X), expected)
    assert both.n_features_in_ == 8
    assert not hasattr(both, "feature_names_in_")


def test_average_of_unfitted_members_is_a_soft_vote(table):
    X, X_test, y, _ = table
    parts = [GaussianNB(), RandomForestClassifier(10, random_state=0)]
    both = AveragedTeacher(parts).fit(X, y)
    vote = VotingClassifier(list(zip("ab", parts, strict=True)), voting="soft")
    expected = vote.fit(X, y).predict_proba(X_test)
    np.testing.assert_allclose(both.predict_proba(X_test), expected, rtol=1e-12)
    assert not hasattr(parts[0], "classes_")


def test_average_matches_columns_by_label():
    one = Stub([[0.1, 0.2, 0.7]], ["c", "a", "b"])
    two = Stub([[0.3, 0.3, 0.4]], ["a", "b", "c"])
    both = AveragedTeacher([one, two])
    assert both.classes_.tolist() == ["a", "b", "c"]
    np.testing.assert_allclose(both.predict_proba([[0]]), [[0.25, 0.5, 0.25]])
    assert both.predict([[0]]) == ["b"]


def test_average_refuses_fitted_members_of_different_classes():
    one, two = Stub([[0.5, 0.5]], [0, 1]), Stub([[0.2, 0.3, 0.5]], [0, 1, 2])
    with pytest.raises(ValueError, match=r"same classes, got \[0, 1\], \[0, 1, 2\]\."):
        AveragedTeacher([one, two]).predict_proba([[0]])
    with pytest.raises(ValueError, match=r"y has labels .* lack: \[7\]"):
        AveragedTeacher([one, GaussianNB()]).fit([[0.0], [1.0]], [0, 7])


def test_average_gives_a_class_that_an_unfitted_member_lacks_its_column():
    known = Stub([[0.2, 0.3, 0.5]] * 4, [0, 1, 2])
    X = np.arange(4.0)[:, None]
    both = AveragedTeacher([known, Counting()]).fit(X, [0, 0, 0, 1])
    assert both.classes_.tolist() == [0, 1, 2]
    np.testing.assert_allclose(both.predict_proba(X)[0], [0.475, 0.275, 0.25])


def test_average_leaves_rows_of_nan_to_the_others():
    one = Stub([[0.2, 0.8], [np.nan, np.nan], [np.nan, 1.0]], [0, 1])
    two = Stub([[0.4, 0.6], [0.1, 0.9], [np.nan, np.nan]], [0, 1])
    both, X = AveragedTeacher([one, two], weights=[0.25, 0.75]), np.zeros((3, 1))
    expected = [[0.35, 0.65], [0.1, 0.9], [np.nan, np.nan]]
    np.testing.assert_allclose(both.predict_proba(X), expected)
    with pytest.raises(ValueError, match=r"no answer in 1 of 3 rows \(first: row 2\)"):
        both.predict(X)


def test_average_asks_no_member_of_weight_zero():
    mute = Stub(None, [0, 1])
    both = AveragedTeacher([mute, Stub([[0.4, 0.6]], [0, 1])], weights=[0, 1])
    np.testing.assert_allclose(both.predict_proba([[0]]), [[0.4, 0.6]])


def test_average_takes_a_single_column_for_the_second_class():
    both = AveragedTeacher([Stub([[0.7]], [0, 1]), Stub([[0.5, 0.5]], [0, 1])])
    np.testing.assert_allclose(both.predict_proba([[0]]), [[0.4, 0.6]])


@pytest.mark.parametrize(
    ("P", "message"),
    [([[0.4, 0.4]], "Stub must sum to 1"), ([["x", "y"]], "Stub must be an array")],
)
def test_average_names_the_member_whose_answer_is_wrong(P, message):
    with pytest.raises(ValueError, match=message):
        AveragedTeacher([Stub(P, [0, 1])]).predict_proba([[0]])


@pytest.mark.parametrize("kind", [pd.DataFrame, sparse.csr_array, list])
def test_average_passes_rows_on_in_their_form(kind):
    y = np.tile([0, 1], 20)
    if kind is list:
        X = [f"word{label} text" for label in y]
        member = make_pipeline(CountVectorizer(), LogisticRegression())
    else:
        X = np.random.default_rng(0).random((40, 3)) + y[:, None]
        X = X if kind is sparse.csr_array else pd.DataFrame(X, columns=list("abc"))
        X = kind(X)
        member = LogisticRegression()
    both = AveragedTeacher([member, clone(member)], weights="log_score").fit(X, y)
    assert both.score(X, y) > 0.7
    if kind is pd.DataFrame:
        assert both.feature_names_in_.tolist() == ["a", "b", "c"]


# -- weights ---------------------------------------------------------------------------


def test_log_score_weights_come_from_answers_out_of_fold(table):
    X, _, y, _ = table
    # in-sample a grown tree has log-loss 0 and would get all the weight
    parts = [DecisionTreeClassifier(random_state=0), LogisticRegression()]
    cv = KFold(4, shuffle=True, random_state=0)
    both = AveragedTeacher(parts, weights="log_score", cv=cv).fit(X, y)
    P, Q = (cross_val_predict(p, X, y, cv=cv, method="predict_proba") for p in parts)
    grid = np.linspace(0, 1, 201)
    losses = [log_loss(y, w * P + (1 - w) * Q) for w in grid]
    assert both.weights_[0] == pytest.approx(grid[np.argmin(losses)], abs=0.006)
    w = both.weights_
    expected = w[0] * P + w[1] * Q
    np.testing.assert_allclose(both.oob_decision_function_, expected, rtol=1e-9)


def test_log_score_uses_out_of_bag_votes_that_are_there(table):
    X, _, y, _ = table
    forest = RandomForestClassifier(100, oob_score=True, random_state=0)
    both = AveragedTeacher([forest, Counting()], weights="log_score").fit(X, y)
    assert Counting.fits == 1 + 5
    votes = clone(forest).fit(X, y).oob_decision_function_
    w, other = both.weights_[0], both.oob_decision_function_ - both.weights_[0] * votes
    np.testing.assert_allclose(other, (1 - w) / 3, atol=0.02)  # class frequencies


@pytest.mark.parametrize(("weights", "n_fits"), [(None, 2), ("log_score", 12)])
def test_fit_counts_what_the_notes_say(weights, n_fits):
    X, y = np.zeros((50, 1)), np.tile([0, 1], 25)
    AveragedTeacher([Counting(), Counting()], weights=weights).fit(X, y)
    assert Counting.fits == n_fits


def test_log_score_weights_count_a_weight_of_two_as_two_rows(table, members):
    _, X, _, y = table
    weight = 1 + np.arange(len(y)) % 2
    twice = np.repeat(np.arange(len(y)), weight)
    both = AveragedTeacher(members, weights="log_score")
    found = clone(both).fit(X, y, sample_weight=weight).weights_
    np.testing.assert_allclose(found, both.fit(X[twice], y[twice]).weights_, atol=1e-6)


def test_log_score_warns_of_members_that_know_the_rows_by_heart():
    X, y = make_classification(
        800, 8, n_informative=5, flip_y=0.2, class_sep=0.7, random_state=0
    )
    forest = RandomForestClassifier(30, random_state=0).fit(X, y)
    linear = LogisticRegression().fit(X, y)
    both = AveragedTeacher([linear, forest], weights="log_score")
    with pytest.warns(UserWarning, match=r"in the list at \[1\].*favour them") as told:
        both.fit(X, y)
    with warnings.catch_warnings():  # clones have said it already
        warnings.simplefilter("error")
        clone(both).fit(X, y)
    assert len(told) == 1
    AveragedTeacher([linear, forest], weights=[1, 1]).fit(X, y)  # nothing to favour


def test_log_score_mixes_fitted_and_unfitted_members(table, members):
    X, _, y, _ = table
    both = AveragedTeacher([members[0], Counting()], weights="log_score").fit(X, y)
    assert both.teachers_[0] is members[0]
    assert 0.7 < both.weights_[0] < 1
    with pytest.raises(NotFittedError, match="unfitted members, or weights to find"):
        AveragedTeacher(members, weights="log_score").predict_proba(X)


def test_sample_weight_goes_to_the_members_that_take_it():
    X, y = np.zeros((20, 1)), np.tile([0, 1], 10)
    weight = np.arange(20.0)
    both = AveragedTeacher([Counting()]).fit(X, y, sample_weight=weight)
    np.testing.assert_array_equal(both.teachers_[0].weight_, weight)


def test_metadata_routing_gives_each_member_what_it_requests():
    X, y = np.zeros((20, 1)), np.tile([0, 1], 10)
    with config_context(enable_metadata_routing=True):
        asks = Counting().set_fit_request(sample_weight=True)
        silent = Counting().set_fit_request(sample_weight=False)
        both = AveragedTeacher([asks, silent]).fit(X, y, sample_weight=np.ones(20))
    assert both.teachers_[0].weight_ is not None
    assert both.teachers_[1].weight_ is None


def test_random_state_seeds_members_that_have_none(table):
    X, X_test, y, _ = table
    both = AveragedTeacher([RandomForestClassifier(5)], random_state=3)
    P = clone(both).fit(X, y).predict_proba(X_test)
    np.testing.assert_array_equal(clone(both).fit(X, y).predict_proba(X_test), P)


# -- clones ----------------------------------------------------------------------------


def test_clones_share_fitted_members_and_clone_the_others(table, members, tmp_path):
    X, _, y, _ = table
    frozen = FrozenEstimator(members[1])
    cached = CachedTeacher(members[0], tmp_path / "answers.db", key="a")
    parts = [members[0], frozen, cached, GaussianNB()]
    twin = clone(AveragedTeacher(parts, weights=[1, 2, 3, 4]))
    assert all(twin.teachers[at] is parts[at] for at in range(3))
    assert twin.teachers[3] is not parts[3]
    assert twin.weights == [1, 2, 3, 4]
    assert twin.fit(X, y).teachers_[:3] == parts[:3]


def test_members_survive_a_search_and_a_pickle(table, members):
    X, X_test, y, _ = table
    search = GridSearchCV(
        AveragedTeacher(members), {"weights": [[1, 0], [0, 1]]}, cv=3, n_jobs=2
    ).fit(X, y)
    at = search.best_index_
    assert search.best_estimator_.teachers_[at] is members[at]
    both = AveragedTeacher(members, weights="log_score").fit(X, y)
    copy = pickle.loads(pickle.dumps(both))
    np.testing.assert_array_equal(
        copy.predict_proba(X_test), both.predict_proba(X_test)
    )


@pytest.mark.parametrize(
    ("teachers", "error", "message"),
    [
        ([], TypeError, r"must be a list of at least one classifier, got \[\]"),
        (GaussianNB(), TypeError, r"must be a list .* got GaussianNB\(\)"),
        ([GaussianNB], TypeError, r"got the class GaussianNB\. Pass GaussianNB\(\)"),
        ([LinearSVC()], TypeError, "CalibratedClassifierCV"),
    ],
)
def test_fit_refuses_what_are_no_teachers(teachers, error, message):
    with pytest.raises(error, match=message):
        AveragedTeacher(teachers).fit([[0.0], [1.0]], [0, 1])


def test_fit_refuses_parameters_that_no_member_can_get():
    with pytest.raises(TypeError, match=r"sample_weight only, got \['colour'\]"):
        AveragedTeacher([GaussianNB()]).fit([[0.0], [1.0]], [0, 1], colour="red")


# -- a real table ----------------------------------------------------------------------


def test_log_score_is_better_than_members_and_equal_weights_on_a_real_table():
    X, y = load("satimage", n_rows=3_000)
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.5, random_state=0)
    parts = [
        RandomForestClassifier(50, random_state=0),
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
        GaussianNB(),
    ]
    found = AveragedTeacher(parts, weights="log_score", random_state=0).fit(X, y)
    equal = AveragedTeacher(found.teachers_)
    losses = [log_loss(y_test, part.predict_proba(X_test)) for part in found.teachers_]
    loss = log_loss(y_test, found.predict_proba(X_test))
    assert loss < min(losses)
    assert loss < log_loss(y_test, equal.predict_proba(X_test)) - 0.05


def test_list_of_fitted_and_unfitted_where_labels_lack_a_class():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 3)), rng.integers(2, size=300)
    more = y.copy()
    more[0] = 2
    fitted = DecisionTreeClassifier(max_depth=3).fit(X, more)
    small = DistilledClassifier([fitted, GaussianNB()], GaussianNB(), transfer=None)
    small.fit(X[1:], y[1:])
    assert_array_equal(small.classes_, [0, 1, 2])
    assert small.predict_proba(X).shape == (300, 3)
