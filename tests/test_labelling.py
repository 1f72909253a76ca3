import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from skdistill._labelling import (
    check_teacher,
    encode,
    fit_parameters,
    is_fitted,
    make_splits,
    other_columns,
    resolve_classes,
)

X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
y = (X[:, 0] > 0).astype(int)


# -- is it fitted? ---------------------------------------------------------------------


class Foreign:
    """Somebody else's model: no scikit-learn estimator, no fit."""

    def predict_proba(self, X):
        return np.full((len(X), 2), 0.5)


class ForeignWithClasses(Foreign):
    classes_ = (0, 1)


class FitsItself(Foreign):
    """Not of scikit-learn, but it can be fitted."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self


class SaysSo(ClassifierMixin, BaseEstimator):
    """Keeps its state where check_is_fitted does not look."""

    def fit(self, X, y):
        self._done = True
        return self

    def __sklearn_is_fitted__(self):
        return hasattr(self, "_done")


class Grumpy(FitsItself):
    """Raises what it likes when asked for classes too early."""

    @property
    def classes_(self):
        if not hasattr(self, "_classes"):
            raise RuntimeError("not yet")
        return self._classes

    @classes_.setter
    def classes_(self, classes):
        self._classes = classes


def skorch_net():
    skorch = pytest.importorskip("skorch")
    from torch import nn

    module = nn.Sequential(nn.Linear(3, 2), nn.Softmax(dim=-1))
    return skorch.NeuralNetClassifier(module, max_epochs=1, verbose=0)


def lightgbm_classifier():
    lightgbm = pytest.importorskip("lightgbm")
    return lightgbm.LGBMClassifier(n_estimators=2, verbose=-1)


def xgboost_classifier():
    return pytest.importorskip("xgboost").XGBClassifier(n_estimators=2)


def catboost_classifier():
    catboost = pytest.importorskip("catboost")
    return catboost.CatBoostClassifier(2, verbose=0, allow_writing_files=False)


@pytest.mark.parametrize(
    "make",
    [
        LogisticRegression,
        lambda: make_pipeline(StandardScaler(), LogisticRegression()),
        lambda: make_pipeline(FunctionTransformer(), LogisticRegression()),
        lambda: GridSearchCV(LogisticRegression(), {"C": [1.0]}),
        lambda: VotingClassifier([("a", LogisticRegression())], voting="soft"),
        lambda: StackingClassifier([("a", LogisticRegression())]),
        SaysSo,
        FitsItself,
        Grumpy,
        skorch_net,
        lightgbm_classifier,
        xgboost_classifier,
        catboost_classifier,
    ],
)
def test_is_fitted_is_true_after_fit_only(make):
    teacher = make()
    assert not is_fitted(teacher)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        teacher.fit(X, y)
    assert is_fitted(teacher)


def test_is_fitted_looks_into_a_frozen_estimator():
    assert not is_fitted(FrozenEstimator(LogisticRegression()))
    assert is_fitted(FrozenEstimator(LogisticRegression().fit(X, y)))
    assert is_fitted(FrozenEstimator(FrozenEstimator(ForeignWithClasses())))
    assert not is_fitted(FrozenEstimator(FitsItself()))


@pytest.mark.parametrize("teacher", [Foreign(), ForeignWithClasses()])
def test_is_fitted_takes_what_cannot_be_fitted_as_it_is(teacher):
    assert is_fitted(teacher)


@pytest.mark.parametrize("teacher", ["forest", 3, object()])
def test_is_fitted_refuses_what_is_no_classifier(teacher):
    with pytest.raises(TypeError, match=r"fitted or with a fit method, got .* Frozen"):
        is_fitted(teacher)


def test_check_teacher_shows_the_way_to_probabilities():
    check_teacher(LogisticRegression())
    with pytest.raises(TypeError, match=r"got LinearSVC\(\).*Calibrated"):
        check_teacher(LinearSVC())


# -- weights ---------------------------------------------------------------------------

TREE = DecisionTreeClassifier(max_depth=2)
TREE_PIPELINE = make_pipeline(StandardScaler(), TREE)


@pytest.mark.parametrize(
    ("teacher", "name"),
    [
        (TREE, "sample_weight"),
        (TREE_PIPELINE, "decisiontreeclassifier__sample_weight"),
        (
            make_pipeline(TREE_PIPELINE),
            "pipeline__decisiontreeclassifier__sample_weight",
        ),
        (GridSearchCV(TREE, {"max_depth": [1]}), "sample_weight"),
        (
            GridSearchCV(TREE_PIPELINE, {"decisiontreeclassifier__max_depth": [1]}),
            "decisiontreeclassifier__sample_weight",
        ),
        (VotingClassifier([("a", TREE), ("b", "drop")]), "sample_weight"),
        (StackingClassifier([("a", TREE)]), "sample_weight"),
    ],
)
def test_fit_parameters_reach_the_classifier_inside(teacher, name):
    weight = np.arange(40.0)
    params = fit_parameters(teacher, weight, {})
    assert list(params) == [name]
    assert params[name] is weight
    teacher.fit(X, y, **params)


@pytest.mark.parametrize(
    "teacher",
    [
        KNeighborsClassifier(),
        make_pipeline(StandardScaler(), KNeighborsClassifier()),
        VotingClassifier([("a", TREE), ("b", KNeighborsClassifier())]),
        VotingClassifier([("a", TREE_PIPELINE)]),
        StackingClassifier([("a", TREE)], final_estimator=KNeighborsClassifier()),
    ],
)
def test_fit_parameters_warn_where_weights_are_lost(teacher):
    name = type(teacher).__name__
    with pytest.warns(UserWarning, match=f"The teacher {name} does not take sample_w"):
        assert fit_parameters(teacher, np.ones(40), {"a": 1}) == {"a": 1}


def test_fit_parameters_keep_what_the_caller_named():
    given = {"sample_weight": "mine", "other": 1}
    params = fit_parameters(TREE, np.ones(40), given)
    assert params == given
    params["other"] = 2
    assert given["other"] == 1
    assert fit_parameters(KNeighborsClassifier(), None, {"a": 1}) == {"a": 1}


# -- columns ---------------------------------------------------------------------------


def named(frame_type, names):
    frame = pd.DataFrame(X[:, : len(names)], columns=list(names))
    return pl.from_pandas(frame) if frame_type is pl.DataFrame else frame


@pytest.mark.parametrize("frame_type", [pd.DataFrame, pl.DataFrame])
def test_other_columns_compares_names(frame_type):
    teacher = LogisticRegression().fit(named(frame_type, "abc"), y)
    assert other_columns(teacher, named(frame_type, "abc")) is None
    assert other_columns(FrozenEstimator(teacher), named(frame_type, "abc")) is None
    text = other_columns(teacher, named(frame_type, "acb"))
    assert "trained on columns ['a', 'b', 'c'], got columns ['a', 'c', 'b']" in text
    assert "inside the student" in text
    assert "got an array without column names" in other_columns(teacher, X)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_other_columns_compares_numbers_of_columns(kind):
    teacher = LogisticRegression().fit(kind(X), y)
    assert other_columns(teacher, kind(X)) is None
    assert "trained on 3 columns, got 2 columns" in other_columns(
        teacher, kind(X[:, :2])
    )


def test_other_columns_stays_readable_for_wide_tables():
    wide = pd.DataFrame(np.ones((2, 500))).rename(columns="column{}".format)
    teacher = LogisticRegression().fit(wide, [0, 1])
    text = other_columns(teacher, wide.iloc[:, :400])
    assert "'column9'] and 490 more, got" in text
    assert len(text) < 1_000


def test_other_columns_says_nothing_of_text_or_of_foreign_teachers():
    assert other_columns(LogisticRegression().fit(X, y), ["some", "text"]) is None
    assert other_columns(Foreign(), X) is None


# -- classes ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("classes", "labels", "codes"),
    [
        (["a", "b", "c"], ["c", "a", "c"], [2, 0, 2]),
        ([10, 20], [20, 20, 10], [1, 1, 0]),
        ([False, True], [True, False], [1, 0]),
    ],
)
def test_encode_gives_the_column_of_each_label(classes, labels, codes):
    found = encode(np.array(labels), np.array(classes))
    np.testing.assert_array_equal(found, codes)


@pytest.mark.parametrize(
    ("classes", "labels", "lacking"),
    [
        (["a", "b"], ["a", "z", "z"], r"\['z'\]"),
        ([1, 2], ["1", "2"], r"\['1', '2'\]"),
        ([0, 1], [0.0, np.nan], r"\[nan\]"),
        (["a"], np.array(["b", 1], dtype=object), r"\['b', 1\]"),
    ],
)
def test_encode_lists_both_sets_of_labels(classes, labels, lacking):
    with pytest.raises(ValueError, match=rf"lack: {lacking}; the classes are \["):
        encode(np.array(labels), np.array(classes))


def classes_of(teacher_classes=None, classes=None, y=None, soft_targets=None):
    if teacher_classes is not None:
        teacher_classes = np.asarray(teacher_classes)
    y = None if y is None else np.asarray(y)
    return [
        c.tolist() for c in resolve_classes(teacher_classes, classes, y, soft_targets)
    ]


P3 = np.full((4, 3), 1 / 3)


@pytest.mark.parametrize(
    ("given", "expected", "columns"),
    [
        # a fitted teacher's classes, whatever y holds
        ({"teacher_classes": ["a", "b"], "y": ["a"] * 4}, "ab", "ab"),
        ({"teacher_classes": ["b", "a"]}, "ab", "ba"),
        ({"teacher_classes": ["a", "b", "c"], "soft_targets": P3}, "abc", "abc"),
        (
            {"teacher_classes": ["b", "c", "a"], "classes": ["b", "c", "a"],
             "soft_targets": P3},
            "abc", "bca",
        ),
        # without a teacher: classes, else the labels of y, else numbers
        ({"classes": ["c", "a", "b"], "soft_targets": P3}, "abc", "cab"),
        ({"classes": ["c", "a", "b"], "y": list("aabb"), "soft_targets": P3}, "abc",
         "cab"),
        ({"y": list("cabc"), "soft_targets": P3}, "abc", "abc"),
        ({"y": list("aabb")}, "ab", "ab"),
        ({"soft_targets": P3}, [0, 1, 2], [0, 1, 2]),
        # one column of a binary problem
        ({"soft_targets": np.full(4, 0.5)}, [0, 1], [0, 1]),
        ({"y": list("aabb"), "soft_targets": np.full((4, 1), 0.5)}, "ab", "ab"),
    ],
)  # fmt: skip
def test_resolve_classes_follows_the_rule(given, expected, columns):
    assert classes_of(**given) == [list(expected), list(columns)]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"y": list("aabb"), "soft_targets": P3},
            "3 columns but y has 2 labels",
        ),
        (
            {"classes": ["a", "b"], "soft_targets": P3},
            "each of the 2 classes",
        ),
        ({"classes": ["a", "a", "b"], "soft_targets": P3}, "list of distinct labels"),
        ({"classes": [["a", "b", "c"]], "soft_targets": P3}, "list of distinct labels"),
        (
            {"teacher_classes": ["a", "b"], "classes": ["a", "c"]},
            "must hold the",
        ),
        (
            {"teacher_classes": ["c", "a", "b"], "soft_targets": P3},
            "must be given with soft_targets where the teacher's",
        ),
        ({"teacher_classes": ["a", "b"], "soft_targets": P3}, "each of the 2 classes"),
        ({"y": ["a"] * 4}, r"greater than one; got 1 class \(\['a'\]\)"),
        ({"soft_targets": np.ones((4, 3, 2))}, "soft_targets"),
    ],
)
def test_resolve_classes_refuses_contradictions(given, message):
    with pytest.raises(ValueError, match=message):
        classes_of(**given)


# -- folds -----------------------------------------------------------------------------


def splits_of(codes, *, cv="auto", groups=None, seed=0):
    codes = np.asarray(codes)
    rows = np.zeros((len(codes), 1))
    params = {} if groups is None else {"groups": groups}
    splits = make_splits(cv, rows, codes, codes, split_params=params, seed=seed)
    for train, test in splits:
        assert len(train)
        assert len(test)
        assert not set(train) & set(test)
    tested = np.concatenate([test for _, test in splits])
    np.testing.assert_array_equal(np.sort(tested), np.arange(len(codes)))
    return splits


@pytest.mark.parametrize(
    ("codes", "n_folds"),
    [
        ([0, 1] * 20, 5),
        ([0] * 3 + [1] * 2, 3),
        ([0] * 30 + [1], 5),  # a class of one row: in no fold's training rows once
        ([0, 1, 2, 3], 4),
        ([0, 1], 2),
        (range(40), 5),
    ],
)
def test_make_splits_has_at_most_five_folds_and_survives_small_classes(codes, n_folds):
    assert len(splits_of(codes)) == n_folds


def test_make_splits_keeps_the_share_of_each_class():
    codes = np.repeat([0, 1], [80, 20])
    for _, test in splits_of(codes):
        assert np.sum(codes[test]) == 4


def test_make_splits_is_a_function_of_its_seed():
    codes = [0, 1] * 20
    first, again, other = (splits_of(codes, seed=s)[0][1].tolist() for s in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    ("groups", "n_folds"),
    [
        (np.repeat(np.arange(10), 4), 5),
        (np.repeat(["p", "q"], [39, 1]), 2),
        (pd.Series(np.repeat([1, 2, 3], [20, 10, 10])), 3),
    ],
)
def test_make_splits_keeps_groups_whole(groups, n_folds):
    splits = splits_of([0, 1] * 20, groups=groups)
    assert len(splits) <= n_folds
    for train, test in splits:
        assert not set(np.asarray(groups)[train]) & set(np.asarray(groups)[test])


def test_make_splits_keeps_groups_whole_where_every_row_is_a_class():
    groups = np.repeat([0, 1, 2], 2)
    for train, test in splits_of(range(6), groups=groups):
        assert not set(groups[train]) & set(groups[test])


def test_make_splits_refuses_a_single_group():
    with pytest.raises(ValueError, match="at least 2 groups, got 1"):
        splits_of([0, 1] * 5, groups=np.ones(10))


def test_make_splits_passes_a_splitter_and_its_folds_on():
    codes = np.array([0, 1] * 5)
    assert len(splits_of(codes, cv=2)) == 2
    splits = splits_of(codes, cv=KFold(10))
    np.testing.assert_array_equal(splits[3][1], [3])
    given = [(np.arange(5), np.arange(5, 10)), (np.arange(5, 10), np.arange(5))]
    assert splits_of(codes, cv=given) == given
