"""A fitted teacher that may know the rows, and the clone that shows what it knows."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_digits, make_classification
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import cross_val_predict, train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import DecisionTreeClassifier

from skdistill import DistilledClassifier, LogisticStudent, MLPStudent
from skdistill._shadow import BY_SHADOW, IN_SAMPLE, has_seen, unfitted_clone
from skdistill._training import Rows
from skdistill.teachers import AveragedTeacher, CachedTeacher

FITS = []


class Counted(ExtraTreesClassifier):
    """Forest that tells how it is fitted."""

    def fit(self, X, y, sample_weight=None):
        FITS.append((len(y), None if sample_weight is None else sample_weight.copy()))
        return super().fit(X, y, sample_weight)


class Picky(ExtraTreesClassifier):
    """Forest whose fit needs what nobody else knows."""

    def fit(self, X, y, sample_weight=None, *, secret=None):
        if secret is None:
            raise RuntimeError("no secret")
        return super().fit(X, y, sample_weight)


@pytest.fixture
def fits():
    FITS.clear()
    return FITS


@pytest.fixture(scope="module")
def noisy():
    """Rows of which a third has a label by chance: half to fit on, half to test."""
    X, y = make_classification(
        2400, 8, n_informative=5, flip_y=0.35, class_sep=1.0, random_state=0
    )
    return train_test_split(X, y, test_size=0.5, random_state=0, stratify=y)


def distil(teacher, X, y, student=None, soft_targets=None, **params):
    student = LogisticStudent() if student is None else student
    small = DistilledClassifier(teacher, student, random_state=0, **params)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The fitted teacher looks")
        return small.fit(X, y, soft_targets=soft_targets)


def teacher_notes(small):
    return set(small.summary_["note"][small.summary_["model"] == "teacher"])


# -- what a shadow is ------------------------------------------------------------------


def rows_of(*probabilities):
    """Rows of class 0, and what somebody says of that."""
    p = np.array(probabilities)
    return Rows(p[:, None], np.zeros(len(p), dtype=int), np.column_stack([p, 1 - p]))


@pytest.mark.parametrize(
    ("own", "expected"), [(0.9, True), (0.8, True), (0.75, False), (0.5, False)]
)
def test_has_seen_compares_with_what_the_shadow_says(own, expected):
    told, unseen, seen = (rows_of(*[p] * 40) for p in (own, 0.5, 0.9))
    assert has_seen(told, unseen, seen) == expected
    # who says no less of new rows than of its own has nothing to remember
    assert not has_seen(told, unseen, rows_of(*[0.4] * 40))
    assert not has_seen(told, rows_of(*[0.999, 0.6] * 20), rows_of(*[0.8] * 40))


def test_has_seen_allows_for_chance_half_of_the_way():
    unseen, seen = rows_of(*[0.5] * 40), rows_of(*[0.9] * 40)
    exact, scattered = rows_of(*[0.75] * 40), rows_of(*([0.99] * 35 + [0.12] * 5))
    assert not has_seen(exact, unseen, seen)
    assert has_seen(scattered, unseen, seen)
    beyond = rows_of(*([0.99] * 32 + [0.1] * 8))
    assert not has_seen(beyond, unseen, seen)


def test_unfitted_clone_knows_nothing(noisy):
    X, _, y, _ = noisy
    forest = Counted(3, random_state=1).fit(X, y)
    bare = unfitted_clone(make_pipeline(forest).fit(X, y))
    assert not hasattr(bare[-1], "classes_")
    assert bare[-1].random_state == 1
    average = AveragedTeacher([forest, GaussianNB().fit(X, y)], weights=[3, 1])
    bare = unfitted_clone(average)
    assert not hasattr(bare.teachers[0], "classes_")
    assert list(bare.weights) == [3, 1]


class Answers:
    """Somebody else's classifier, with nothing but answers."""

    classes_ = np.array([0, 1])

    def predict_proba(self, X):
        return np.full((len(X), 2), 0.5)


class ZeroShot(ClassifierMixin, BaseEstimator):
    """Knows without a fit, which would cost money."""

    def fit(self, X, y):
        raise AssertionError("not to be fitted")

    def __sklearn_is_fitted__(self):
        return True


@pytest.mark.parametrize(
    "kind", ["frozen", "frozen member", "cached", "answers", "zero-shot", "last step"]
)
def test_unfitted_clone_is_none_of_who_keeps_what_it_knows(noisy, kind, tmp_path):
    X, _, y, _ = noisy
    forest = Counted(3, random_state=1).fit(X, y)
    frozen = FrozenEstimator(forest)
    teacher = {
        "frozen": frozen,
        "frozen member": AveragedTeacher([forest, frozen]),
        "cached": CachedTeacher(forest, tmp_path / "answers.db"),
        "answers": Answers(),
        "zero-shot": ZeroShot(),
        "last step": make_pipeline(FunctionTransformer(), ZeroShot()),
    }[kind]
    assert unfitted_clone(teacher) is None


# -- when it is fitted -----------------------------------------------------------------


def test_teacher_of_the_same_rows_is_shadowed(noisy, fits):
    X, X_test, y, y_test = noisy
    teacher = Counted(100, random_state=0).fit(X, y)
    before = pickle.dumps(teacher)
    with pytest.warns(UserWarning, match="has not seen the held-out rows"):
        small = DistilledClassifier(teacher, LogisticStudent(), random_state=0).fit(
            X, y
        )
    # few rows: best and plain student meet on others, up to twice
    assert [n for n, _ in fits] in ([1200, 960, 720], [1200, 960, 720, 720])
    assert small.teacher_ is teacher
    assert pickle.dumps(teacher) == before
    assert teacher_notes(small) == {BY_SHADOW}
    assert small.fit_seconds_["teacher fits"] > 0
    # what the summary says of the teacher is what new rows say of it
    summary = pd.DataFrame(small.summary_)
    told = summary[(summary["model"] == "teacher") & (summary["metric"] == "log_loss")]
    told = told.iloc[0]
    P = small.calibration_(teacher.predict_proba(X_test))
    assert abs(told["score"] - log_loss(y_test, P)) < 4 * told["se"]
    assert log_loss(y, teacher.predict_proba(X)) < 0.01
    again = distil(teacher, X, y)
    assert_array_equal(again.predict_proba(X_test), small.predict_proba(X_test))


@pytest.mark.parametrize(
    "make",
    [
        lambda: HistGradientBoostingClassifier(random_state=0),
        lambda: RandomForestClassifier(50, random_state=0),
        lambda: [
            RandomForestClassifier(50, random_state=0),
            HistGradientBoostingClassifier(random_state=0),
        ],
    ],
    ids=["boosting", "forest", "list"],
)
def test_shadow_tells_own_rows_from_others(noisy, make):
    X, X_other, y, y_other = noisy
    made = make()
    parts = made if isinstance(made, list) else [made]
    for part in parts:
        part.fit(X, y)
    assert teacher_notes(distil(made, X, y)) == {BY_SHADOW}
    assert teacher_notes(distil(made, X_other, y_other)) == {""}


def test_better_teacher_is_not_taken_for_one_that_has_seen_the_rows():
    """Fitted on four times as many rows, and far better than a shadow can be."""
    X, y = load_digits(return_X_y=True)
    X_teacher, X, y_teacher, y = train_test_split(
        X, y, test_size=0.2, random_state=0, stratify=y
    )
    teacher = ExtraTreesClassifier(200, random_state=0).fit(X_teacher, y_teacher)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small = DistilledClassifier(teacher, LogisticStudent(), random_state=0).fit(
            X, y
        )
    assert teacher_notes(small) == {""}


def test_who_remembers_little_is_shadowed_in_silence(noisy):
    """Its targets are not labels, but they have heard of the held-out rows."""
    X, _, y, _ = noisy
    teacher = RandomForestClassifier(100, min_samples_leaf=5, random_state=0).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small = DistilledClassifier(teacher, LogisticStudent(), random_state=0).fit(
            X, y
        )
    assert teacher_notes(small) == {BY_SHADOW}


def test_who_cannot_remember_is_left_alone(noisy):
    X, _, y, _ = noisy
    assert teacher_notes(distil(GaussianNB().fit(X, y), X, y)) == {""}


@pytest.mark.parametrize(
    "params",
    [{"effort": "low"}, {"alpha": 0.5, "transfer": None}],
    ids=["low effort", "nothing to choose"],
)
def test_no_shadow_where_it_is_not_worth_a_fit(noisy, fits, params):
    X, _, y, _ = noisy
    teacher = Counted(30, random_state=0).fit(X, y)
    distil(teacher, X, y, **params)
    assert len(fits) == 1


@pytest.mark.parametrize("kind", ["frozen", "picky"])
def test_without_a_shadow_the_summary_says_in_sample(noisy, fits, kind):
    X, _, y, _ = noisy
    if kind == "frozen":
        teacher = FrozenEstimator(Counted(30, random_state=0).fit(X, y))
    else:
        teacher = Picky(30, random_state=0).fit(X, y, secret=1)
    with pytest.warns(UserWarning, match="another model finds ambiguous"):
        small = DistilledClassifier(teacher, LogisticStudent(), random_state=0).fit(
            X, y
        )
    assert teacher_notes(small) == {IN_SAMPLE}
    assert not small.calibration_.kept
    assert len(fits) == (kind == "frozen")


# -- what it is good for ---------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_held_out_scores_of_students_are_what_new_rows_say(seed):
    """A forest hands on the labels of held-out rows, and its students look good."""
    X, y = make_classification(
        4000, 4, n_informative=3, n_redundant=0, flip_y=0.4, random_state=seed
    )
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.5, random_state=seed)
    teacher = RandomForestClassifier(50, random_state=0).fit(X, y)

    def optimism(teacher):
        """Test loss less the held-out one, in standard errors of that."""
        small = distil(teacher, X, y, RandomForestClassifier(5))
        summary = pd.DataFrame(small.summary_)
        chosen = summary[summary["chosen"] & (summary["metric"] == "log_loss")]
        new = log_loss(y_test, small.predict_proba(X_test))
        return (new - chosen["score"].item()) / chosen["se"].item()

    assert optimism(teacher) < 2.5
    assert optimism(FrozenEstimator(teacher)) > 3  # nobody could know better


def test_calibration_comes_from_rows_that_the_shadow_has_not_seen(noisy):
    X, X_test, y, y_test = noisy
    teacher = HistGradientBoostingClassifier(max_iter=300, random_state=0).fit(X, y)
    small = distil(teacher, X, y, calibrate="temperature")
    assert small.calibration_.kept
    raw = teacher.predict_proba(X_test)
    assert log_loss(y_test, small.calibration_(raw)) < 0.8 * log_loss(y_test, raw)


def test_given_targets_stay_and_the_shadow_labels_new_rows(noisy, fits):
    X, _, y, _ = noisy
    forest = RandomForestClassifier(100, oob_score=True, random_state=0).fit(X, y)
    teacher = Counted(100, random_state=0).fit(X, y)
    small = DistilledClassifier(
        teacher, DecisionTreeClassifier(max_leaf_nodes=16), random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the targets are honest
        small.fit(X, y, soft_targets=forest.oob_decision_function_)
    assert fits[1][0] == 960
    assert teacher_notes(small) == {""}
    held = small.summary_["score"][small.summary_["model"] == "teacher"][0]
    assert held > 0.4  # of the targets, where the teacher knows the labels


# -- targets that were given -----------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2, 5])
def test_out_of_fold_targets_do_not_tell_of_held_out_labels(seed):
    """Those of other rows come from fits that saw the labels of held-out ones."""
    X, y = make_classification(
        4000, 4, n_informative=3, n_redundant=0, flip_y=0.4, random_state=seed
    )
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.5, random_state=seed)
    teacher = KNeighborsClassifier(3).fit(X, y)
    P = cross_val_predict(teacher, X, y, cv=5, method="predict_proba")

    def distilled(teacher):
        """Test loss, and by how many standard errors the held-out one was lower."""
        small = DistilledClassifier(
            teacher, ExtraTreesClassifier(20), calibrate=None, transfer=None,
            random_state=0,
        ).fit(X, y, soft_targets=P)  # fmt: skip
        summary = pd.DataFrame(small.summary_)
        chosen = summary[summary["chosen"] & (summary["metric"] == "log_loss")]
        new = log_loss(y_test, small.predict_proba(X_test))
        return new, (new - chosen["score"].item()) / chosen["se"].item()

    new, optimism = distilled(teacher)
    blind, blind_optimism = distilled(FrozenEstimator(teacher))
    assert optimism < 2 < 3 < blind_optimism  # nobody could know better
    assert new < 0.97 * blind


@pytest.mark.parametrize(
    ("params", "n_folds"),
    [
        ({}, 5),
        ({"transfer": None}, 5),
        ({"alpha": 0.5, "transfer": None}, 0),
        ({"effort": "low"}, 0),
    ],
)
def test_clones_label_rows_where_these_are_all_that_some_students_meet(
    noisy, fits, params, n_folds
):
    X, _, y, _ = noisy
    teacher = Counted(30, random_state=0).fit(X, y)
    P = cross_val_predict(teacher, X, y, cv=2, method="predict_proba")
    fits.clear()
    tree = DecisionTreeClassifier(max_leaf_nodes=16)
    distil(teacher, X, y, tree, soft_targets=P, **params)
    n_clones = [n_rows for n_rows, _ in fits].count(768)
    assert n_clones in ((n_folds, 2 * n_folds) if n_folds else (0,))  # or met again
    assert len(fits) <= 2 * (n_folds + 1)


def test_no_clone_labels_rows_that_mean_little_beside_new_ones(noisy, fits):
    X, _, y, _ = noisy
    teacher = Counted(30, random_state=0).fit(X, y)
    P = cross_val_predict(teacher, X, y, cv=2, method="predict_proba")
    fits.clear()
    net = MLPStudent((4,), max_steps=50)
    distil(teacher, X, y, net, soft_targets=P)
    assert {n_rows for n_rows, _ in fits} == {960, 720}  # whole training parts only


def test_given_targets_have_to_do_where_clones_fail_on_folds(noisy):
    X, _, y, _ = noisy

    class Hungry(KNeighborsClassifier):
        def fit(self, X, y):
            if len(y) < 900:
                raise RuntimeError("too few rows")
            return super().fit(X, y)

    P = cross_val_predict(KNeighborsClassifier(), X, y, cv=2, method="predict_proba")
    tree = DecisionTreeClassifier(max_leaf_nodes=16)
    small = distil(Hungry().fit(X, y), X, y, tree, soft_targets=P)
    blind = distil(KNeighborsClassifier().fit(X, y), X, y, tree, soft_targets=P)
    assert small.summary_["score"].size
    assert not np.array_equal(small.summary_["score"], blind.summary_["score"])


# -- kinds of rows ---------------------------------------------------------------------


def test_shadow_gets_the_weights_of_its_rows(noisy, fits):
    X, _, y, _ = noisy
    weight = np.random.RandomState(0).randint(0, 3, len(y)).astype(float)
    teacher = Counted(30, random_state=0).fit(X, y, weight)
    with pytest.warns(UserWarning, match="has not seen"):
        DistilledClassifier(teacher, LogisticStudent(), random_state=0).fit(
            X, y, sample_weight=weight
        )
    n_rows, weights = fits[1]
    n_counted = np.count_nonzero(weight)
    assert n_rows == n_counted - int(0.2 * n_counted)
    assert len(weights) == n_rows
    assert set(weights) == {1.0, 2.0}


def test_frames_and_string_labels(noisy):
    X, X_test, y, y_test = noisy
    names = [f"x{i}" for i in range(X.shape[1])]
    frame, frame_test = (
        pd.DataFrame(part, columns=names).assign(
            kind=pd.Categorical(np.where(part[:, 0] > 0, "up", "down"))
        )
        for part in (X, X_test)
    )
    labels = np.array(["no", "yes"])
    teacher = HistGradientBoostingClassifier(
        categorical_features="from_dtype", random_state=0
    ).fit(frame, labels[y])
    small = distil(teacher, frame, labels[y])
    assert teacher_notes(small) == {BY_SHADOW}
    assert small.score(frame_test, labels[y_test]) > 0.6
    assert_array_equal(small.classes_, labels)


def test_texts():
    rng = np.random.RandomState(0)
    words = np.array([f"word{i}" for i in range(400)])
    y = rng.randint(2, size=900)
    texts = [
        " ".join(rng.choice(words[200 * k : 200 * k + 300], 6)) for k in y
    ]  # they share a half
    forest = make_pipeline(CountVectorizer(), ExtraTreesClassifier(50, random_state=0))
    student = make_pipeline(CountVectorizer(), LogisticRegression())
    small = distil(forest.fit(texts, y), texts, y, student)
    assert teacher_notes(small) == {BY_SHADOW}


def test_class_that_the_shadow_has_not_met(noisy):
    X, _, y, _ = noisy
    y = y.copy()
    y[0] = 2  # a single row: it stays in training
    teacher = ExtraTreesClassifier(50, random_state=0).fit(X, y)
    small = distil(teacher, X, y)
    assert_array_equal(small.classes_, [0, 1, 2])
    assert_allclose(small.predict_proba(X).sum(axis=1), 1)
    # a class of the teacher's that no row has
    small = distil(teacher, X[1:], y[1:])
    assert_array_equal(small.classes_, [0, 1, 2])
    assert teacher_notes(small) == {BY_SHADOW}


class Unnamed(BaseEstimator):
    """Teacher that does not say what its columns are."""

    def __init__(self, depth=12):
        self.depth = depth

    def fit(self, X, y):
        self.tree_ = DecisionTreeClassifier(max_depth=self.depth).fit(X, y)
        return self

    def predict_proba(self, X):
        return self.tree_.predict_proba(X)


def test_shadow_of_a_teacher_without_classes(noisy):
    X, _, y, _ = noisy
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The fitted teacher looks")
        small = DistilledClassifier(
            Unnamed().fit(X, y), LogisticStudent(), random_state=0
        ).fit(X, y, classes=[0, 1])
    assert teacher_notes(small) == {BY_SHADOW}


@pytest.mark.parametrize("from_call", [1, 4])
def test_shadow_that_cannot_answer_is_none(noisy, from_call):
    """A clone may lack what its rows lack; at the first split, or at the second."""

    class Lacking(ExtraTreesClassifier):
        n_calls = 0

        def predict_proba(self, X):
            if len(self.estimators_) and self.n_rows < 1200:
                type(self).n_calls += 1
                if type(self).n_calls >= from_call:
                    raise ValueError("Found unknown categories")
            return super().predict_proba(X)

        def fit(self, X, y, sample_weight=None):
            self.n_rows = len(X)
            return super().fit(X, y, sample_weight)

    X, _, y, _ = noisy
    teacher = Lacking(100, random_state=0).fit(X, y)
    tree = DecisionTreeClassifier(max_leaf_nodes=32)
    small = distil(teacher, X, y, tree, transfer=None, alpha="auto")
    assert Lacking.n_calls >= from_call
    assert teacher_notes(small) == {IN_SAMPLE if from_call == 1 else BY_SHADOW}
    assert small.predict_proba(X).shape == (1200, 2)
