"""A teacher fitted here: out of bag, out of fold, and without some rows."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.datasets import make_classification
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import PredefinedSplit, ShuffleSplit, TimeSeriesSplit
from sklearn.tree import DecisionTreeClassifier

from skdistill import DistilledClassifier, LogisticStudent
from skdistill._progress import FitProgress
from skdistill._teaching import TeacherFit, cross_fit, failed_folds, label_part

X, Y = make_classification(300, 6, n_informative=4, n_classes=3, random_state=0)
TRAIN, TEST = np.arange(60, 300), np.arange(60)


def fit_on(teacher, y, cv="auto"):
    return cross_fit(
        TeacherFit(teacher, X, y, {}),
        Y,
        classes=np.arange(3),
        cv=cv,
        split_params={},
        n_jobs=None,
        seed=0,
        progress=FitProgress(LogisticRegression(), X, y),
    )


@pytest.mark.parametrize(
    "teacher",
    [
        DecisionTreeClassifier(random_state=0),
        RandomForestClassifier(100, random_state=0),
    ],
    ids=["folds", "bags"],
)
def test_without_knows_nothing_of_the_held_out_labels(teacher):
    """Targets that students are chosen by stay when the held-out labels change."""
    folds = np.array_split(np.arange(300), 5)
    cv = [(np.setdiff1d(np.arange(300), f), f) for f in folds]
    cv = "auto" if isinstance(teacher, RandomForestClassifier) else cv
    other = Y.copy()
    other[TEST] = (other[TEST] + 1) % 3
    first, second = (fit_on(teacher, y, cv) for y in (Y, other))
    # The ordinary targets of the other rows do change: that is the leak.
    assert np.abs(first.P[TRAIN] - second.P[TRAIN]).max() > 0
    fitted, P = first.without(TRAIN, TEST)
    same, Q = second.without(TRAIN, TEST)
    assert_array_equal(P, Q)
    assert_array_equal(fitted.predict_proba(X), same.predict_proba(X))
    assert P.shape == (240, 3)
    assert np.isfinite(P).all()


@pytest.mark.parametrize(
    ("teacher", "groups"),
    [
        (DecisionTreeClassifier(random_state=0), None),
        (DecisionTreeClassifier(random_state=0), np.arange(300) // 3),
        (RandomForestClassifier(100, random_state=0), None),
        (RandomForestClassifier(100, random_state=0), np.arange(300) // 3),
    ],
    ids=["folds", "folds of groups", "bags", "bags hold groups apart"],
)
def test_part_is_labelled_by_fits_on_others_of_it(teacher, groups):
    """Not by the held-out rows, nor by a row's own label, nor that of its group."""
    settings = {
        "codes": Y, "classes": np.arange(3), "n_jobs": None, "seed": 0,
        "progress": FitProgress(LogisticRegression(), X, Y),
    }  # fmt: skip

    def label(y, X=X):
        fit = TeacherFit(teacher, X, y, {})
        return label_part(fit, TRAIN, groups=groups, **settings)

    own, other = label(Y), Y.copy()
    assert np.isfinite(own.P[TRAIN]).all()
    assert np.isnan(own.P[TEST]).all()
    other[TEST] = (other[TEST] + 1) % 3
    assert_array_equal(own.P, label(other).P)
    # what a group tells by a column of its own stays among its rows
    number = np.arange(300) // 3 if groups is not None else np.arange(300)
    telling = np.column_stack([X, number, number % 7])
    assert (label(Y, telling).P[TRAIN].argmax(axis=1) == Y[TRAIN]).mean() < 0.95
    is_bag = isinstance(teacher, RandomForestClassifier) and groups is None
    assert own.n_asked == (0 if is_bag else len(TRAIN))


def test_teacher_of_the_first_split_is_fitted_once():
    class Counting(DecisionTreeClassifier):
        n_fits = 0

        def fit(self, X, y, **params):
            type(self).n_fits += 1
            return super().fit(X, y, **params)

    own = fit_on(Counting(random_state=0), Y, cv=5)
    assert Counting.n_fits == 6
    train, test = own.splits[0]
    own.without(train, test)
    assert Counting.n_fits == 6 + 4
    # a split of the caller's own: every fold again, and a teacher
    own.without(TRAIN, TEST)
    assert Counting.n_fits >= 6 + 4 + 5


# -- fits that fail --------------------------------------------------------------------


class Needy(LogisticRegression):
    """Learns nothing unless it sees one certain row."""

    def fit(self, X, y, sample_weight=None):
        super().fit(X, y)
        if 99.0 not in X[:, -1]:
            self.coef_ *= -1
        return self


@pytest.fixture
def marked():
    marked = X.copy()
    marked[7, -1] = 99.0
    return marked


def test_failed_folds_are_those_that_chance_does_not_explain():
    codes = np.arange(300) % 3
    splits = [(None, np.arange(start, start + 60)) for start in range(0, 300, 60)]
    P = np.full((300, 3), 0.1)
    P[np.arange(300), codes] = 0.8
    assert failed_folds(P, codes, splits) == []
    worse = P.copy()
    worse[:5] = np.roll(worse[:5], 1, axis=1)
    assert failed_folds(worse, codes, splits) == []
    worse[:45] = [0.1, 0.1, 0.8]
    assert failed_folds(worse, codes, splits) == [0]
    worse[60:] = [0.1, 0.1, 0.8]  # all are bad: then that is how it is
    assert failed_folds(worse, codes, splits) == []
    P[:60] = np.nan  # nobody answered
    assert failed_folds(P, codes, splits) == []


def test_answers_of_a_failed_fit_are_left_out(marked):
    own = cross_fit(
        TeacherFit(Needy(), marked, Y, {}), Y, classes=np.arange(3), cv="auto",
        split_params={}, n_jobs=None, seed=0,
        progress=FitProgress(LogisticRegression(), X, Y),
    )  # fmt: skip
    lost = np.isnan(own.P).any(axis=1)
    assert own.n_failed == 1
    assert lost.sum() == 60 and lost[7]
    assert_array_equal(np.sort(own.splits[-1][1]), np.flatnonzero(lost))
    train, test = own.splits[0]
    _, P = own.without(train, test)
    assert np.isnan(P).any(axis=1).sum() == 60  # its inner fit fails too
    # whoever draws folds by hand may have reasons for such a difference
    folds = cross_fit(
        TeacherFit(Needy(), marked, Y, {}), Y, classes=np.arange(3), cv=5,
        split_params={}, n_jobs=None, seed=0,
        progress=FitProgress(LogisticRegression(), X, Y),
    )  # fmt: skip
    assert folds.n_failed == 0
    assert np.isfinite(folds.P).all()


def test_a_failed_fold_does_not_spoil_calibration(marked, tmp_path):
    def fit(teacher):
        small = DistilledClassifier(
            teacher, LogisticStudent(), memory=tmp_path / "answers.db", random_state=0
        )
        return small.fit(marked, Y)

    honest = fit(LogisticRegression())
    for _ in range(2):  # the second time from the store
        with pytest.warns(UserWarning, match="failed in 1 of 5 folds"):
            small = fit(Needy())
        assert small.calibration_.temperature == pytest.approx(
            honest.calibration_.temperature, rel=0.3
        )
        assert small.alpha_ == honest.alpha_


def test_two_folds_know_nothing_of_the_held_out_labels():
    """With two folds the only teacher of the rest learnt from the held-out rows."""
    cv = [(np.arange(150), np.arange(150, 300)), (np.arange(150, 300), np.arange(150))]
    train, test = cv[0]
    other = Y.copy()
    other[test] = (other[test] + 1) % 3
    tree = DecisionTreeClassifier(random_state=0)
    first, second = (fit_on(tree, y, cv) for y in (Y, other))
    assert np.abs(first.P[train] - second.P[train]).max() > 0
    (_, P), (_, Q) = (own.without(train, test) for own in (first, second))
    assert_array_equal(P, Q)
    assert np.isfinite(P).all()
    own = DecisionTreeClassifier(random_state=0).fit(X[train], Y[train])
    assert np.abs(P - own.predict_proba(X[train])).max() > 0  # nor do rows teach it


@pytest.mark.parametrize("how", ["cv", "groups"])
def test_noise_is_not_learnt_through_two_folds(how):
    rng = np.random.default_rng(0)
    Z, z = rng.normal(size=(800, 1)), rng.integers(2, size=800)
    params = {"cv": 2} if how == "cv" else {}
    given = {"groups": np.arange(800) % 2} if how == "groups" else {}
    small = DistilledClassifier(
        ExtraTreesClassifier(30, random_state=0), DecisionTreeClassifier(),
        transfer=None, random_state=0, **params,
    ).fit(Z, z, **given)  # fmt: skip
    at = small.summary_["model"] == "distilled student"
    at &= small.summary_["metric"] == "accuracy"
    assert at.any()
    assert (np.abs(small.summary_["score"][at] - 0.5) < 0.12).all()


@pytest.mark.filterwarnings("ignore:The number of unique classes")
def test_classes_of_two_rows_each():
    pairs = np.arange(300) // 2
    small = DistilledClassifier(
        DecisionTreeClassifier(max_depth=9), DecisionTreeClassifier(), random_state=0
    ).fit(X, pairs)
    assert small.predict_proba(X).shape == (300, 150)


@pytest.mark.parametrize(
    "cv, n_left",
    [
        (ShuffleSplit(1, test_size=0.5, random_state=0), 300),
        (PredefinedSplit(np.r_[[-1] * 300, [0] * 300]), 300),
        (TimeSeriesSplit(5), 100),
        ([(list(range(300)), list(range(300, 600)))], 300),
    ],
    ids=["shuffle", "predefined", "time", "lists"],
)
def test_folds_that_label_some_rows_only(cv, n_left):
    Z, z = np.vstack([X, X + 0.01]), np.tile(Y, 2)
    small = DistilledClassifier(
        LogisticRegression(), DecisionTreeClassifier(max_leaf_nodes=8), cv=cv,
        calibrate="temperature", random_state=0,
    )  # fmt: skip
    with pytest.warns(UserWarning, match=f"left {n_left} rows .*no test part of cv"):
        small.fit(Z, z)
    assert small.n_unanswered_rows_ == n_left
    assert len(set(small.summary_["score"])) > 4  # candidates differ
    scored = small.summary_["n_rows"][small.summary_["model"] == "teacher"]
    assert (scored > 0).all()


def test_rows_that_an_unfitted_teacher_leaves_out_are_counted():
    class Abstains(LogisticRegression):
        def predict_proba(self, X):
            P = super().predict_proba(X)
            P[X[:, 0] > 1.5] = np.nan
            return P

    n = int((X[:, 0] > 1.5).sum())
    assert n > 0
    small = DistilledClassifier(
        Abstains(), LogisticStudent(), alpha=0.5, transfer=None, random_state=0
    )
    with pytest.warns(UserWarning, match=f"left {n} rows without an answer"):
        small.fit(X, Y)
    assert small.n_unanswered_rows_ == n


def test_score_out_of_bag_of_the_users_own_stays():
    def score(y, P):
        return 7.0

    forest = RandomForestClassifier(100, oob_score=score, random_state=0)
    small = DistilledClassifier(forest, LogisticStudent(), transfer=None)
    assert small.fit(X, Y).teacher_.oob_score_ == 7.0
    assert small.n_teacher_rows_ == 0
