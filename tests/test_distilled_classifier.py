"""What DistilledClassifier does with teachers, targets, rows and weights."""

import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, clone
from sklearn.datasets import load_iris, load_wine, make_classification
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    StratifiedKFold,
    cross_val_predict,
    train_test_split,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVR, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from skdistill import DistilledClassifier, LogisticStudent, MLPStudent
from skdistill._compat import HAS_CALLBACKS
from skdistill._new_rows import rows_to_draw
from skdistill.soft_targets import kl_rows, temper
from skdistill.transfer import MungeSampler, UnlabelledPool

FIXED = {"alpha": 1.0, "calibrate": None, "transfer": None}


@pytest.fixture(scope="module")
def table():
    X, y = make_classification(
        900, 8, n_informative=6, n_classes=3, class_sep=0.8, random_state=0
    )
    return train_test_split(X, y, test_size=1 / 3, random_state=0, stratify=y)


@pytest.fixture(scope="module")
def fitted(table):
    """A teacher that has seen no row of the tests: fitted on the test half."""
    _, X_other, _, y_other = table
    return GaussianNB().fit(X_other, y_other)


# -- the rule on teachers --------------------------------------------------------------


@pytest.mark.parametrize("wrap", [lambda t: t, FrozenEstimator], ids=["bare", "frozen"])
def test_fitted_teacher_is_used_as_it_is(table, fitted, wrap):
    X, _, y, _ = table
    before, params = fitted.predict_proba(X), pickle.dumps(fitted.get_params())
    small = DistilledClassifier(wrap(fitted), LogisticStudent(), **FIXED).fit(X, y)
    assert_array_equal(fitted.predict_proba(X), before)
    assert pickle.dumps(fitted.get_params()) == params
    assert small.teacher_.predict_proba is not None
    expected = LogisticStudent().fit_soft_targets(X, before, classes=np.arange(3))
    assert_allclose(small.predict_proba(X), expected.predict_proba(X), rtol=1e-10)


@pytest.mark.parametrize("wrap", [lambda t: t, FrozenEstimator], ids=["bare", "frozen"])
def test_fitted_teacher_is_shared_by_clones(fitted, wrap):
    teacher = wrap(fitted)
    small = DistilledClassifier(teacher, LogisticStudent(C=3))
    twin = clone(clone(small))
    assert twin.teacher is teacher
    assert twin.student is not small.student
    assert twin.student.C == 3


def test_unfitted_teacher_is_cloned(table):
    X, _, y, _ = table
    teacher = DecisionTreeClassifier(max_depth=4)
    small = DistilledClassifier(teacher, LogisticStudent(), **FIXED).fit(X, y)
    assert not hasattr(teacher, "tree_")
    assert small.teacher_ is not teacher
    assert clone(small).teacher is not teacher


def test_unfitted_teacher_labels_out_of_fold(table):
    X, _, y, _ = table
    cv = StratifiedKFold(4, shuffle=True, random_state=7)
    teacher = DecisionTreeClassifier(max_depth=5, random_state=0)
    small = DistilledClassifier(teacher, LogisticStudent(), cv=cv, **FIXED).fit(X, y)
    P = cross_val_predict(teacher, X, y, cv=cv, method="predict_proba")
    expected = LogisticStudent().fit_soft_targets(X, P, classes=np.arange(3))
    assert_allclose(small.predict_proba(X), expected.predict_proba(X), rtol=1e-10)
    assert small.n_teacher_rows_ == len(X)


def test_bagging_teacher_labels_out_of_bag(table):
    X, _, y, _ = table
    teacher = RandomForestClassifier(120, random_state=0, oob_score=True)
    small = DistilledClassifier(teacher, LogisticStudent(), **FIXED).fit(X, y)
    P = clone(teacher).fit(X, y).oob_decision_function_
    expected = LogisticStudent().fit_soft_targets(X, P, classes=np.arange(3))
    assert_allclose(small.predict_proba(X), expected.predict_proba(X), rtol=1e-10)
    assert small.n_teacher_rows_ == 0
    # A forest that can keep the votes is asked to, which saves the five fits.
    silent = RandomForestClassifier(120, random_state=0)
    same = DistilledClassifier(silent, LogisticStudent(), **FIXED).fit(X, y)
    assert_allclose(same.predict_proba(X), small.predict_proba(X), rtol=1e-10)


def test_few_bags_fall_back_to_folds(table):
    X, _, y, _ = table
    teacher = BaggingClassifier(
        DecisionTreeClassifier(max_depth=3), 3, oob_score=True, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's on rows in every bag
        small = DistilledClassifier(teacher, LogisticStudent(), **FIXED).fit(X, y)
    assert small.n_teacher_rows_ == len(X)


@pytest.mark.parametrize(
    "teacher",
    [
        VotingClassifier(
            [("a", GaussianNB()), ("b", LogisticRegression())], voting="soft"
        ),
        StackingClassifier(
            [("a", GaussianNB()), ("b", DecisionTreeClassifier(max_depth=3))]
        ),
        make_pipeline(StandardScaler(), LogisticRegression()),
        HistGradientBoostingClassifier(max_iter=10),
    ],
    ids=["voting", "stacking", "pipeline", "boosting"],
)
@pytest.mark.parametrize("is_fitted", [False, True])
def test_any_teacher_distils(table, teacher, is_fitted):
    X, X_other, y, y_other = table
    teacher = clone(teacher)
    if is_fitted:
        teacher.fit(X_other, y_other)
    small = DistilledClassifier(teacher, LogisticStudent(), cv=3, **FIXED).fit(X, y)
    agreement = np.mean(small.predict(X) == small.teacher_.predict(X))
    assert agreement > 0.6


def test_changing_the_teacher_changes_the_student(table, fitted):
    X, X_other, y, y_other = table
    other = LogisticRegression().fit(X_other, y_other)
    a = DistilledClassifier(fitted, LogisticStudent(), **FIXED).fit(X, y)
    b = DistilledClassifier(other, LogisticStudent(), **FIXED).fit(X, y)
    assert np.abs(a.predict_proba(X) - b.predict_proba(X)).max() > 0.01
    # ... each student being nearer to its own teacher
    P, Q = fitted.predict_proba(X), other.predict_proba(X)
    assert kl_rows(P, a.predict_proba(X)).mean() < kl_rows(P, b.predict_proba(X)).mean()
    assert kl_rows(Q, b.predict_proba(X)).mean() < kl_rows(Q, a.predict_proba(X)).mean()


class Oracle(ClassifierMixin, BaseEstimator):
    """A black box without fit: probabilities by a rule, columns in any order."""

    def __init__(self, labels):
        self.labels = labels

    @property
    def classes_(self):
        return np.asarray(self.labels)

    def predict_proba(self, X):
        Z = np.asarray(X)[:, : len(self.labels)]
        P = np.exp(Z - Z.max(axis=1, keepdims=True))
        P /= P.sum(axis=1, keepdims=True)
        # column k belongs to the k-th smallest label, wherever that stands
        return P[:, np.argsort(np.argsort(self.labels))]


def test_object_without_fit_counts_as_fitted(table):
    X, _, _, _ = table
    small = DistilledClassifier(Oracle(["a", "b"]), LogisticStudent(), **FIXED).fit(X)
    assert_array_equal(small.classes_, ["a", "b"])
    assert (
        kl_rows(Oracle(["a", "b"]).predict_proba(X), small.predict_proba(X)).max() < 1
    )


def test_order_of_teacher_classes_never_matters(table):
    X, _, _, _ = table
    a = DistilledClassifier(Oracle(["a", "b", "c"]), LogisticStudent(), **FIXED).fit(X)
    b = DistilledClassifier(Oracle(["c", "a", "b"]), LogisticStudent(), **FIXED).fit(X)
    assert_array_equal(a.classes_, b.classes_)
    assert_allclose(a.predict_proba(X), b.predict_proba(X), rtol=1e-12)


def test_teacher_with_more_classes_keeps_them(table, fitted):
    X, _, y, _ = table
    few = y < 2
    small = DistilledClassifier(fitted, LogisticStudent(), **FIXED).fit(X[few], y[few])
    assert_array_equal(small.classes_, [0, 1, 2])
    assert small.predict_proba(X).shape == (len(X), 3)


def test_teacher_with_fewer_classes_is_an_error(table):
    X, X_other, y, y_other = table
    teacher = GaussianNB().fit(X_other[y_other < 2], y_other[y_other < 2])
    with pytest.raises(ValueError, match=r"teacher's classes lack: \[2\].*\[0, 1\]"):
        DistilledClassifier(teacher, LogisticStudent()).fit(X, y)


def test_class_missing_in_a_fold_keeps_its_column():
    X, y = load_iris(return_X_y=True)
    cv = [(np.flatnonzero(y != k), np.flatnonzero(y == k)) for k in range(3)]
    small = DistilledClassifier(
        GaussianNB(), LogisticStudent(), cv=cv, alpha=0.2, calibrate=None
    ).fit(X, y)
    assert_array_equal(small.classes_, [0, 1, 2])
    # a fifth of the weight says another class, as each fold's teacher must
    assert small.score(X, y) > 0.9


def test_teacher_without_predict_proba_is_refused(table):
    X, _, y, _ = table
    with pytest.raises(TypeError, match=r"predict_proba.*Wrap it: Calibrated"):
        DistilledClassifier(LinearSVC()).fit(X, y)
    # CalibratedClassifierCV would refuse a vote of labels
    with pytest.raises(TypeError, match=r"voting='soft'"):
        DistilledClassifier(VotingClassifier([("a", GaussianNB())])).fit(X, y)


def test_teacher_parameters_of_a_fitted_teacher_cannot_be_set(fitted):
    small = DistilledClassifier(fitted)
    with pytest.raises(ValueError, match="fitted teacher cannot be set"):
        small.set_params(teacher__var_smoothing=1e-3)
    small.set_params(teacher=GaussianNB(), teacher__var_smoothing=1e-3)
    assert small.teacher.var_smoothing == 1e-3


def test_parameters_of_a_fitted_teacher_are_not_listed(fitted):
    listed = DistilledClassifier(fitted, GaussianNB()).get_params()
    assert listed["teacher"] is fitted
    assert "student__priors" in listed
    assert "teacher__priors" not in listed
    assert "teacher__priors" in DistilledClassifier(GaussianNB()).get_params()


def test_other_columns_warn_with_the_remedy(table, fitted):
    X, _, y, _ = table
    named = GaussianNB().fit(pd.DataFrame(X).rename(columns=str), y)
    small = DistilledClassifier(named, LogisticStudent(), **FIXED)
    with (
        pytest.warns(UserWarning, match="Put preprocessing inside the student"),
        pytest.warns(UserWarning, match="feature names"),  # scikit-learn's own
    ):
        small.fit(X)


# -- targets ---------------------------------------------------------------------------


def test_soft_targets_replace_the_teacher(table, fitted):
    X, _, y, _ = table
    P = fitted.predict_proba(X)
    by_teacher = DistilledClassifier(fitted, LogisticStudent(), **FIXED).fit(X, y)
    by_targets = DistilledClassifier(None, LogisticStudent(), **FIXED).fit(
        X, y, soft_targets=P
    )
    assert_allclose(
        by_targets.predict_proba(X), by_teacher.predict_proba(X), rtol=1e-10
    )
    assert by_targets.teacher_ is None
    assert by_targets.n_teacher_rows_ == 0
    # columns by name, in any order
    turned = DistilledClassifier(None, LogisticStudent(), **FIXED).fit(
        X, y, soft_targets=P[:, ::-1], classes=[2, 1, 0]
    )
    assert_allclose(turned.predict_proba(X), by_targets.predict_proba(X), rtol=1e-10)


def test_unfitted_teacher_beside_soft_targets_is_not_fitted(table, fitted):
    X, _, y, _ = table
    small = DistilledClassifier(GaussianNB(), LogisticStudent(), **FIXED)
    small.fit(X, y, soft_targets=fitted.predict_proba(X))
    assert small.teacher_ is None


def test_labels_may_be_left_out(table, fitted):
    X, _, _, _ = table
    small = DistilledClassifier(fitted, LogisticStudent(), random_state=0).fit(X)
    assert small.alpha_ == 1.0
    assert not hasattr(small, "plain_student_")
    assert np.mean(small.predict(X) == fitted.predict(X)) > 0.7
    unnamed = DistilledClassifier(None, LogisticStudent()).fit(
        X, soft_targets=fitted.predict_proba(X)
    )
    assert_array_equal(unnamed.classes_, [0, 1, 2])


def test_alpha_mixes_labels_and_targets(table, fitted):
    X, _, y, _ = table
    P = fitted.predict_proba(X)
    small = DistilledClassifier(
        fitted, LogisticStudent(), alpha=0.3, calibrate=None, transfer=None
    ).fit(X, y)
    expected = LogisticStudent().fit_soft_targets(
        X, 0.3 * P + 0.7 * np.eye(3)[y], classes=np.arange(3)
    )
    assert_allclose(small.predict_proba(X), expected.predict_proba(X), rtol=1e-10)


def test_alpha_zero_is_the_plain_student(table, fitted):
    X, _, y, _ = table
    small = DistilledClassifier(fitted, LogisticStudent(), alpha=0.0).fit(X, y)
    plain = LogisticStudent().fit(X, y)
    assert_allclose(small.predict_proba(X), plain.predict_proba(X), rtol=1e-10)
    assert small.targets_.route == "labels"


def test_temperature_tempers_both_sides(table, fitted):
    X, _, y, _ = table
    small = DistilledClassifier(fitted, LogisticStudent(C=1e6), temperature=3, **FIXED)
    small.fit(X, y)
    soft = LogisticStudent(C=1e6).fit_soft_targets(
        X, temper(fitted.predict_proba(X), 3), classes=np.arange(3)
    )
    # the student answers at T = 1: its soft answers raised to T and normalised
    assert_allclose(
        small.predict_proba(X), temper(soft.predict_proba(X), 1 / 3), atol=1e-6
    )
    assert small.temperature_ == 3


def test_temperature_auto_records_what_it_tried(table, fitted):
    X, _, y, _ = table
    small = DistilledClassifier(
        fitted, LogisticStudent(), temperature="auto", random_state=0
    ).fit(X, y)
    tried = set(small.summary_["temperature"][small.summary_["alpha"] > 0])
    assert tried <= {1.0, 2.0, 4.0}
    assert small.temperature_ in tried


def test_calibration_is_kept_only_where_it_helps(table):
    X, X_other, y, y_other = table
    P = np.full((len(X), 3), 0.05)
    P[np.arange(len(X)), np.where(np.arange(len(X)) % 4 == 0, (y + 1) % 3, y)] = 0.9
    # right in three of four rows but sure of nine in ten: too confident
    small = DistilledClassifier(None, LogisticStudent(), alpha=1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        small.fit(X, y, soft_targets=P)
    assert small.calibration_.kept
    assert small.calibration_.temperature > 1.2
    honest = GaussianNB().fit(X_other, y_other)
    off = DistilledClassifier(honest, LogisticStudent(), alpha=1.0, calibrate=None)
    assert not off.fit(X, y).calibration_.kept


@pytest.mark.parametrize("method", ["temperature", "vector", "isotonic"])
def test_calibration_by_a_method_is_kept(table, fitted, method):
    X, _, y, _ = table
    small = DistilledClassifier(
        fitted, LogisticStudent(), alpha=1.0, calibrate=method, transfer=None
    ).fit(X, y)
    assert small.calibration_.method == method


def test_memorised_targets_warn_once_in_a_search():
    from sklearn.model_selection import GridSearchCV

    X, y = make_classification(
        800, 8, n_informative=5, flip_y=0.2, class_sep=0.7, random_state=0
    )
    teacher = RandomForestClassifier(30, random_state=0).fit(X, y)
    search = GridSearchCV(
        DistilledClassifier(teacher, LogisticStudent(), alpha=0.5, transfer=None),
        {"student__C": [0.1, 1.0]},
        cv=3,
    )
    with pytest.warns(UserWarning, match="trained on") as caught:
        search.fit(X, y)
    assert sum("trained on (X, y)" in str(w.message) for w in caught) == 1
    with pytest.warns(UserWarning, match="Pass the teacher unfitted"):
        DistilledClassifier(teacher, LogisticStudent(), alpha=0.5).fit(X, y)


def test_memorised_targets_are_not_calibrated():
    X, y = make_classification(
        800, 8, n_informative=5, flip_y=0.2, class_sep=0.7, random_state=0
    )
    teacher = RandomForestClassifier(30, random_state=0).fit(X, y)
    small = DistilledClassifier(
        FrozenEstimator(teacher), LogisticStudent(), random_state=0
    )
    with pytest.warns(UserWarning, match="trained on"):
        small.fit(X, y)
    assert not small.calibration_.kept
    notes = small.summary_["note"][small.summary_["model"] == "teacher"]
    assert all(note.startswith("in-sample") for note in notes)


# -- choices ---------------------------------------------------------------------------


def test_summary_shows_what_was_tried_and_chosen(table, fitted):
    X, _, y, _ = table
    small = DistilledClassifier(fitted, LogisticStudent(), random_state=0).fit(X, y)
    summary = pd.DataFrame(small.summary_)
    assert set(summary["model"].str.split(", C=").str[0]) == {
        "teacher", "plain student", "plain student, piecewise", "distilled student",
    }  # fmt: skip
    assert {0.1, 10.0} & set(summary["C"])
    losses = summary[
        (summary["metric"] == "log_loss") & (summary["model"] != "teacher")
    ]
    chosen = losses[losses["chosen"]]
    assert len(chosen) == 1
    assert chosen["alpha"].iloc[0] == small.alpha_
    # the lowest loss, or a simpler student within a standard error of it
    assert chosen["score"].iloc[0] <= losses["score"].min() + losses["se"].max()


def test_weak_teacher_is_not_distilled():
    X, y = make_classification(2000, 6, n_informative=4, class_sep=2, random_state=0)
    teacher = DecisionTreeClassifier(max_depth=1)
    student = LogisticStudent(encoding="linear")
    small = DistilledClassifier(teacher, student, random_state=0).fit(X, y)
    assert small.alpha_ == 0.0
    assert small.targets_.route == "labels"
    assert_allclose(
        small.predict_proba(X), small.plain_student_.predict_proba(X), rtol=1e-12
    )


def test_few_rows_are_not_chosen_on():
    X, y = load_iris(return_X_y=True)
    small = DistilledClassifier(
        GaussianNB(), LogisticStudent(), random_state=0
    ).fit(X, y)  # fmt: skip
    assert (small.alpha_, small.transfer_) == (0.5, "none")
    assert len(small.summary_["score"]) == 0


def test_one_label_everywhere_leaves_no_plain_student(table, fitted):
    X, _, _, _ = table
    small = DistilledClassifier(fitted, LogisticStudent(), random_state=0)
    small.fit(X, np.zeros(len(X), dtype=int))
    assert "plain student" not in small.summary_["model"]
    assert small.alpha_ > 0
    assert_array_equal(small.classes_, fitted.classes_)


def test_choices_are_deterministic(table):
    X, _, y, _ = table
    first, second, other = (
        DistilledClassifier(
            ExtraTreesClassifier(10), MLPStudent((8,), max_steps=100), random_state=seed
        ).fit(X, y)
        for seed in (0, 0, 1)
    )
    assert_array_equal(first.predict_proba(X), second.predict_proba(X))
    assert np.abs(first.predict_proba(X) - other.predict_proba(X)).max() > 1e-6


def test_global_seeds_stay_untouched(table):
    import torch

    X, _, y, _ = table
    np.random.seed(3)
    torch.manual_seed(3)
    expected = np.random.rand(), torch.rand(1).item()
    np.random.seed(3)
    torch.manual_seed(3)
    DistilledClassifier(
        GaussianNB(), MLPStudent((4,), max_steps=20), random_state=0
    ).fit(X, y)
    assert (np.random.rand(), torch.rand(1).item()) == expected


# -- rows ------------------------------------------------------------------------------


class Witness(GaussianNB):
    """A teacher that remembers the kind of rows it was shown."""

    kinds = ()

    def fit(self, X, y, sample_weight=None):
        type(self).kinds += (type(X),)
        return super().fit(X, y, sample_weight)

    def predict_proba(self, X):
        type(self).kinds += (type(X),)
        return super().predict_proba(X)


def test_rows_reach_the_teacher_untouched(table):
    X, _, y, _ = table
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])])
    Witness.kinds = ()
    small = DistilledClassifier(Witness(), LogisticStudent(), **FIXED).fit(frame, y)
    assert set(Witness.kinds) == {pd.DataFrame}
    assert_array_equal(small.feature_names_in_, frame.columns)
    small.predict_proba(frame)


def test_sparse_rows(table):
    X, _, y, _ = table
    X = sparse.csr_matrix(np.where(np.abs(X) > 1, X, 0))
    small = DistilledClassifier(
        LogisticRegression(), alpha=1.0, calibrate=None
    ).fit(X, y)  # fmt: skip
    assert isinstance(small.student_, LogisticStudent)
    assert small.predict_proba(X).shape == (len(y), 3)


@pytest.mark.parametrize("container", [list, pd.Series, np.array])
def test_text_rows(container):
    texts = container(
        ["good great fine", "bad awful poor", "good fine", "awful bad"] * 20
    )
    y = np.array(["pos", "neg", "pos", "neg"] * 20)
    teacher = make_pipeline(TfidfVectorizer(), LogisticRegression())
    small = DistilledClassifier(teacher, random_state=0).fit(texts, y)
    assert_array_equal(small.predict(container(["great", "poor"])), ["pos", "neg"])


def test_missing_values_and_categories():
    rng = np.random.default_rng(0)
    n = 600
    frame = pd.DataFrame(
        {
            "size": np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n)),
            "kind": pd.Categorical(rng.choice(["a", "b", "c"], n)),
        }
    )
    y = (frame["size"].fillna(0.5) + (frame["kind"] == "a") > 0.5).to_numpy()
    teacher = HistGradientBoostingClassifier(categorical_features="from_dtype")
    small = DistilledClassifier(
        teacher, MLPStudent((16,), max_steps=500), random_state=0
    ).fit(frame, y)
    assert small.classes_.dtype == bool
    assert small.score(frame, y) > 0.9


@pytest.mark.parametrize(
    "names", [["no", "yes", "maybe"], [10, -3, 7], [0.5, 1.5, 2.5]]
)
def test_label_kinds(table, names):
    X, _, y, _ = table
    small = DistilledClassifier(
        GaussianNB(), LogisticStudent(), random_state=0, **FIXED
    )
    expected = clone(small).fit(X, y)
    labels = np.sort(names)[y]
    if isinstance(names[0], float):  # scikit-learn takes such labels for a regression
        with pytest.raises(ValueError, match="Unknown label type"):
            small.fit(X, labels)
        return
    small.fit(X, labels)
    assert_array_equal(small.classes_, np.sort(names))
    assert_allclose(small.predict_proba(X), expected.predict_proba(X), rtol=1e-10)


def test_weight_zero_is_a_row_that_is_not_there(table):
    X, _, y, _ = table
    weight = np.ones(len(X))
    weight[:200] = 0
    cv = [
        (np.arange(200, 450), np.arange(450, 600)),
        (np.arange(350, 600), np.arange(350)),
    ]
    small = DistilledClassifier(GaussianNB(), LogisticStudent(), cv=cv, **FIXED)
    with pytest.warns(UserWarning, match="left 100 rows .* no test part of cv"):
        weighted = clone(small).fit(X, y, sample_weight=weight)
    shorter = [(a - 200, b[b >= 200] - 200) for a, b in cv]
    without = clone(small).set_params(cv=shorter).fit(X[200:], y[200:])
    assert_allclose(weighted.predict_proba(X), without.predict_proba(X), atol=1e-6)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_scale_of_weights_leaves_scores_alone(table, fitted, scale):
    X, _, y, _ = table
    weight = np.random.RandomState(0).uniform(0.5, 2, size=len(X))
    # one look: what naive Bayes makes of such weights must not change the rows met
    small = DistilledClassifier(fitted, GaussianNB(), effort="low", random_state=0)
    usual = pd.DataFrame(clone(small).fit(X, y, sample_weight=weight).summary_)
    scaled = pd.DataFrame(small.fit(X, y, sample_weight=scale * weight).summary_)
    assert_allclose(scaled["se"][:2], usual["se"][:2])
    assert_allclose(scaled["score"][:2], usual["score"][:2])


def test_weights_count_like_repeated_rows(table, fitted):
    X, _, y, _ = table
    weight = np.random.RandomState(0).randint(0, 4, len(X))
    small = DistilledClassifier(fitted, LogisticStudent(), alpha=0.7, transfer=None)
    at = np.repeat(np.arange(len(X)), weight)
    repeated = clone(small).set_params(calibrate=None).fit(X[at], y[at])
    unweighted = clone(small).set_params(calibrate=None).fit(X, y)
    weighted = clone(small).set_params(calibrate=None).fit(X, y, sample_weight=weight)
    assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), atol=1e-5)
    assert np.abs(weighted.predict_proba(X) - unweighted.predict_proba(X)).max() > 1e-3


def test_teacher_that_takes_no_weights_warns(table):
    from sklearn.neighbors import KNeighborsClassifier

    X, _, y, _ = table
    small = DistilledClassifier(KNeighborsClassifier(), LogisticStudent(), **FIXED)
    with pytest.warns(UserWarning, match="does not take sample_weight"):
        small.fit(X, y, sample_weight=np.ones(len(X)))


def test_groups_stay_together(table):
    X, _, y, _ = table
    groups = np.arange(len(X)) // 6
    small = DistilledClassifier(
        DecisionTreeClassifier(random_state=0),
        LogisticStudent(),
        cv=GroupKFold(3),
        **FIXED,
    )
    by_name = clone(small).fit(X, y, groups=groups)
    with config_context(enable_metadata_routing=True):
        routed = clone(small).fit(X, y, groups=groups)
    assert_array_equal(by_name.predict_proba(X), routed.predict_proba(X))
    splits = list(GroupKFold(3).split(X, y, groups))
    fixed = clone(small).set_params(cv=splits).fit(X, y)
    assert_array_equal(by_name.predict_proba(X), fixed.predict_proba(X))


@pytest.mark.parametrize("enabled", [False, True])
def test_groups_reach_the_folds_of_cv_auto(table, enabled):
    X, _, y, _ = table
    groups = np.arange(len(X)) % 20
    asked = []

    class Asked(GaussianNB):
        def predict_proba(self, X):
            asked.append(len(X))
            return super().predict_proba(X)

    small = DistilledClassifier(Asked(), LogisticStudent(), random_state=0, **FIXED)
    with config_context(enable_metadata_routing=enabled):
        small.fit(X, y, groups=groups)
    # five folds of four whole groups of thirty rows
    assert asked == [120] * 5


@pytest.mark.parametrize("is_fitted", [False, True])
def test_groups_of_another_length_are_refused(table, fitted, is_fitted):
    X, _, y, _ = table
    small = DistilledClassifier(fitted if is_fitted else GaussianNB())
    with pytest.raises(ValueError, match=r"inconsistent.*\[600, 5\]"):
        small.fit(X, y, groups=np.arange(5))


@pytest.mark.parametrize("enabled", [False, True])
def test_sample_weight_reaches_teacher_and_student(table, enabled):
    X, _, y, _ = table
    weight = np.where(y == 0, 10.0, 1.0)
    teacher = LogisticRegression()
    with config_context(enable_metadata_routing=enabled):
        if enabled:
            teacher.set_fit_request(sample_weight=True)
        small = DistilledClassifier(teacher, LogisticStudent(), **FIXED)
        small.fit(X, y, sample_weight=weight)
    expected = LogisticRegression().fit(X, y, sample_weight=weight)
    assert_allclose(small.teacher_.coef_, expected.coef_)
    # the heavy class gains in the student as it does in the teacher
    plain = DistilledClassifier(LogisticRegression(), LogisticStudent(), **FIXED)
    plain.fit(X, y)
    assert (
        small.predict_proba(X)[:, 0].mean() > plain.predict_proba(X)[:, 0].mean() + 0.1
    )


def test_fit_parameters_reach_the_teacher(table):
    X, _, y, _ = table

    class Asking(GaussianNB):
        def fit(self, X, y, factor=None):
            self.factor_ = factor
            return super().fit(X, y)

    small = DistilledClassifier(Asking(), LogisticStudent(), **FIXED)
    assert small.fit(X, y, factor=3).teacher_.factor_ == 3
    with pytest.raises(TypeError, match=r"got \['factor'\] with a teacher"):
        DistilledClassifier(Asking().fit(X, y), LogisticStudent()).fit(X, y, factor=3)


# -- transfer rows ---------------------------------------------------------------------


def test_transfer_rows_are_labelled_by_the_teacher(table, fitted):
    X, X_other, _, _ = table
    small = DistilledClassifier(fitted, LogisticStudent(), alpha=1.0, calibrate=None)
    small.fit(X, X_transfer=X_other)
    rows = np.concatenate([X, X_other])
    expected = LogisticStudent().fit_soft_targets(
        rows, fitted.predict_proba(rows), classes=np.arange(3)
    )
    assert_allclose(small.predict_proba(X), expected.predict_proba(X), rtol=1e-10)
    assert small.n_transfer_rows_ == len(X_other)
    assert small.transfer_ == "UnlabelledPool"
    pooled = DistilledClassifier(
        fitted, LogisticStudent(), alpha=1.0, calibrate=None,
        transfer=UnlabelledPool(X_other),
    ).fit(X)  # fmt: skip
    assert_allclose(pooled.predict_proba(X), small.predict_proba(X), rtol=1e-10)


def test_transfer_sampler_of_the_user(table, fitted):
    X, _, _, _ = table

    class Shifted:
        def fit(self, X, *, teacher=None):
            self.X, self.teacher = X, teacher
            return self

        def sample(self, n_samples, random_state=None):
            assert self.teacher is not None
            return self.X[:50] + 0.01

    small = DistilledClassifier(
        fitted, LogisticStudent(), transfer=Shifted(), alpha=1.0
    )
    assert small.fit(X).n_transfer_rows_ == 50
    assert small.transfer_ == "Shifted"


@pytest.mark.parametrize(
    ("student", "most"),
    [(SVR(), 5_000), (KernelRidge(), 5_000), (GaussianProcessRegressor(), 600)],
)
def test_drawn_rows_stay_few_for_kernel_machines(table, student, most):
    X, _, _, _ = table
    assert len(X) + rows_to_draw(make_pipeline(StandardScaler(), student), 600) == most
    assert rows_to_draw(student, 6_000) == 0


def test_transfer_sampler_given_is_always_used(table, fitted):
    X, _, y, _ = table
    small = DistilledClassifier(
        fitted, MLPStudent((8,), max_steps=200), transfer=MungeSampler(), alpha=1.0,
        random_state=0,
    ).fit(X, y)  # fmt: skip
    assert small.transfer_ == "MungeSampler"
    assert small.n_transfer_rows_ >= 20_000


@pytest.mark.parametrize(
    ("pool", "match"),
    [
        (np.empty((0, 8)), "at least one row, got 0"),
        (np.zeros((5, 3)), "columns of X"),
        (pd.DataFrame(np.zeros((5, 8))), "same kind as X"),
    ],
)
def test_transfer_rows_of_other_kinds_are_refused(table, fitted, pool, match):
    X, _, y, _ = table
    with pytest.raises(ValueError, match=match):
        DistilledClassifier(fitted, LogisticStudent()).fit(X, y, X_transfer=pool)


def test_transfer_rows_need_a_teacher(table, fitted):
    X, X_other, y, _ = table
    P = fitted.predict_proba(X)
    with pytest.raises(ValueError, match="teacher must be fitted to label"):
        DistilledClassifier(None).fit(X, y, soft_targets=P, X_transfer=X_other)
    with pytest.raises(ValueError, match="Leave one of them out"):
        DistilledClassifier(fitted, transfer=MungeSampler()).fit(X, X_transfer=X_other)


# -- what scikit-learn asks ------------------------------------------------------------


def test_student_works_without_the_teacher(table):
    X, _, y, _ = table
    forest = RandomForestClassifier(100, random_state=0)
    small = DistilledClassifier(
        forest, MLPStudent((8,), max_steps=100), random_state=0, **FIXED
    ).fit(X, y)
    data = pickle.dumps(small.student_)
    assert len(data) < 20_000 < len(pickle.dumps(small))
    assert_array_equal(pickle.loads(data).predict_proba(X), small.predict_proba(X))


def test_pickled_whole_answers_the_same(table, fitted):
    X, _, y, _ = table
    small = DistilledClassifier(fitted, LogisticStudent(), random_state=0).fit(X, y)
    again = pickle.loads(pickle.dumps(small))
    assert_array_equal(again.predict_proba(X), small.predict_proba(X))
    assert_allclose(again.predict_log_proba(X), np.log(again.predict_proba(X)))
    assert_allclose(again.decision_function(X).argmax(axis=1), again.predict(X))


def test_decision_function_is_there_where_the_student_has_it(fitted):
    assert hasattr(DistilledClassifier(fitted, LogisticStudent()), "decision_function")
    assert not hasattr(
        DistilledClassifier(fitted, DecisionTreeClassifier()), "decision_function"
    )


def test_html_repr_shows_teacher_and_student(table, fitted):
    X, _, y, _ = table
    small = DistilledClassifier(fitted, LogisticStudent(), **FIXED)
    for state in (small, small.fit(X, y)):
        html = state._repr_html_()
        assert "GaussianNB" in html
        assert "LogisticStudent" in html


def test_failed_fit_leaves_nothing_that_predicts(table, fitted):
    X, _, y, _ = table
    small = DistilledClassifier(fitted, LogisticStudent(), **FIXED).fit(X, y)
    with pytest.raises(ValueError, match="soft_targets must have"):
        small.fit(X, y, soft_targets=np.ones((3, 3)) / 3)
    with pytest.raises(NotFittedError):
        small.predict(X)


@pytest.mark.skipif(not HAS_CALLBACKS, reason="scikit-learn < 1.9 has no callbacks")
def test_callbacks_are_told_of_every_part(table):
    class Listener:
        def __init__(self):
            self.begun, self.ended = [], []

        def setup(self, estimator, context): ...

        def teardown(self, estimator, context): ...

        def on_fit_task_begin(self, estimator, context):
            self.begun.append(context.task_name)

        def on_fit_task_end(self, estimator, context):
            self.ended.append(context.task_name)

    X, _, y, _ = table
    listener = Listener()
    small = DistilledClassifier(GaussianNB(), LogisticStudent(), random_state=0)
    small.set_callbacks(listener).fit(X, y)
    assert sorted(listener.begun) == sorted(listener.ended)
    for part in (
        "fit",
        "fit teacher",
        "label rows out of fold",
        "choose",
        "fit student",
    ):
        assert part in listener.begun
    # five folds for the targets, four again without the rows to choose by, and three
    # without those of each further look
    assert listener.begun.count("label rows out of fold: step") == 5 + 4 + 3 + 3


def test_verbose_shows_a_bar(table, capsys):
    X, _, y, _ = table
    DistilledClassifier(GaussianNB(), LogisticStudent(), verbose=1).fit(X, y)
    assert "label rows out of fold" in capsys.readouterr().err


# -- bad input -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "params",
    [
        {"alpha": -0.1}, {"alpha": 1.1}, {"alpha": "some"}, {"temperature": 0},
        {"temperature": "hot"}, {"targets": "guess"}, {"calibrate": "isotonic!"},
        {"transfer": "munge"}, {"cv": "three"}, {"n_jobs": 1.5}, {"student": 3},
        {"random_state": "seed"}, {"verbose": -1},
    ],
    ids=str,
)  # fmt: skip
def test_parameters_out_of_range_are_refused(table, fitted, params):
    X, _, y, _ = table
    with pytest.raises(ValueError, match=f"{next(iter(params))}.*must be"):
        DistilledClassifier(fitted, **{"student": LogisticStudent(), **params}).fit(
            X, y
        )


class Broken(GaussianNB):
    """A teacher whose answers are spoilt by a function."""

    def __init__(self, spoil=None):
        super().__init__()
        self.spoil = spoil

    def predict_proba(self, X):
        return self.spoil(super().predict_proba(X))


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda P: np.where(np.eye(len(P), P.shape[1], -3), np.nan, P), "NaN.*row 3"),
        (lambda P: P - 0.5, "between 0 and 1.*softmax"),
        (lambda P: P * 0.9, "sum to 1"),
        (lambda P: P[:, :2], "must have shape"),
        (lambda P: P[:-1], "must have shape"),
        (np.log, "log-probabilities"),
    ],
    ids=["nan", "negative", "sum", "columns", "rows", "logs"],
)
def test_teacher_with_bad_probabilities_is_refused(table, spoil, match):
    X, X_other, y, y_other = table
    teacher = Broken(spoil).fit(X_other, y_other)
    with pytest.raises(ValueError, match=f"teacher Broken.*{match}"):
        DistilledClassifier(teacher, LogisticStudent()).fit(X, y)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"soft_targets": np.ones((5, 3)) / 3}, ValueError, "soft_targets must have"),
        ({"soft_targets": np.ones((600, 4)) / 4}, ValueError, "4 columns but y has 3"),
        (
            {"soft_targets": np.ones((600, 2)) / 2, "classes": [0, 1]},
            ValueError, "labels that",
        ),
        ({"soft_targets": -np.ones((600, 3))}, ValueError, "between 0 and 1"),
        ({"classes": [0, 0, 1]}, ValueError, "distinct"),
        ({"teacher": None}, ValueError, "teacher must be a classifier"),
        ({"teacher": GaussianNB}, TypeError, "instance"),
        ({"teacher": GaussianNB(), "y": None}, ValueError, "requires y to be passed"),
        ({"y": None, "alpha": 0.5}, ValueError, "alpha must be 1 or 'auto'"),
        ({"y": np.zeros(600, int), "teacher": GaussianNB()}, ValueError, "one; got 1"),
        ({"sample_weight": np.zeros(600)}, ValueError, "positive for at least one row"),
        ({"sample_weight": -np.ones(600)}, ValueError, "Negative values"),
        ({"sample_weight": np.ones(5)}, ValueError, "inconsistent"),
        ({"y": np.zeros(5)}, ValueError, "inconsistent"),
        ({"X": np.empty((0, 8)), "y": np.empty(0)}, ValueError, r"0 sample\(s\)"),
        ({"X": [], "y": []}, ValueError, r"0 sample\(s\)"),
        ({"student": LinearSVC()}, ValueError, "no predict_proba. Use"),
        ({"student": LogisticStudent}, TypeError, r"instance of it: LogisticStudent"),
    ],
)  # fmt: skip
def test_input_that_contradicts_itself_is_refused(table, fitted, change, error, match):
    X, _, y, _ = table
    given = {"X": X, "y": y, "teacher": fitted, "student": LogisticStudent(), **change}
    if "soft_targets" in change:
        given["teacher"] = None
    params = {n: given.pop(n) for n in ("teacher", "student", "alpha") if n in given}
    with pytest.raises(error, match=match):
        DistilledClassifier(**params).fit(given.pop("X"), given.pop("y"), **given)


def test_single_row_gets_a_clear_error(fitted):
    with pytest.raises(ValueError, match="got 1 class"):
        DistilledClassifier(GaussianNB(), LogisticStudent()).fit([[1.0, 2.0]], [0])


def test_wine_is_learnt():
    X, y = load_wine(return_X_y=True)
    teacher = make_pipeline(StandardScaler(), LogisticRegression())
    small = DistilledClassifier(teacher, MLPStudent(max_steps=500), random_state=0)
    assert small.fit(X, y).score(X, y) > 0.95


@pytest.mark.parametrize("library", [pd.DataFrame, pl.DataFrame])
def test_named_columns_of_soft_targets_go_by_name(table, fitted, library):
    X, _, y, _ = table
    P, names = fitted.predict_proba(X), [str(c) for c in fitted.classes_]
    small = DistilledClassifier(None, LogisticStudent(), **FIXED)
    y = y.astype(str)
    expected = clone(small).fit(X, y, soft_targets=P).predict_proba(X)
    turned = library({name: P[:, k] for k, name in reversed(list(enumerate(names)))})
    got = clone(small).fit(X, y, soft_targets=turned).predict_proba(X)
    assert_array_equal(got, expected)
    other = library({f"p{k}": P[:, k] for k in range(P.shape[1])})  # by position
    got = clone(small).fit(X, y, soft_targets=other).predict_proba(X)
    assert_array_equal(got, expected)


def test_single_group_leaves_nothing_to_choose_by(table, fitted):
    X, _, y, _ = table
    small = DistilledClassifier(fitted, GaussianNB(), random_state=0)
    small.fit(X, y, groups=np.zeros(len(X)))
    assert len(small.summary_["model"]) == 0 and small.alpha_ == 0.5


def test_few_rows_leave_nothing_to_choose_by_whatever_the_folds(table):
    X, _, y, _ = table
    small = DistilledClassifier(GaussianNB(), GaussianNB(), cv=3, random_state=0)
    small.fit(X[:240], y[:240])
    assert (small.alpha_, small.transfer_) == (0.5, "none")
    assert len(small.summary_["model"]) == 0


def test_warnings_point_to_the_line_that_fits(table, fitted):
    X, _, y, _ = table
    small = DistilledClassifier(fitted, GaussianNB(), alpha=0.5, transfer=None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        small.fit(X, y, X_transfer=X + 100)
        teacher = KNeighborsClassifier()
        DistilledClassifier(teacher, GaussianNB(), alpha=0.5, transfer=None).fit(
            X, y, sample_weight=np.ones(len(X))
        )
    assert [w.filename for w in caught] == [__file__] * 2
    assert "unlike X" in str(caught[0].message)
    assert "does not take sample_weight" in str(caught[1].message)


class Costly(GaussianNB):
    """A teacher that must not be fitted in vain."""

    def fit(self, X, y):
        raise AssertionError("the teacher was fitted")


WORDS = np.array([["a", "x"], ["b", "y"], ["a", "y"], ["b", "x"]] * 10, dtype=object)


@pytest.mark.parametrize("X", [WORDS, WORDS.astype(str)], ids=["object", "str"])
@pytest.mark.parametrize("student", [MLPStudent(), LogisticStudent()])
def test_arrays_of_words_are_refused_before_the_teacher_is_fitted(X, student):
    y = np.tile([0, 1], 20)
    with pytest.raises(ValueError, match="X must hold numbers, got an array with wor"):
        DistilledClassifier(Costly(), student).fit(X, y)
    with pytest.raises(ValueError, match="Pass a data frame, of which"):
        clone(student).fit(X, y)


def test_students_of_ones_own_may_take_arrays_of_words():
    y = (WORDS[:, 0] == "a").astype(int)

    def words_to_numbers(model):
        return make_pipeline(OneHotEncoder(), model)

    small = DistilledClassifier(
        words_to_numbers(LogisticRegression()), words_to_numbers(LogisticStudent())
    ).fit(WORDS, y)
    assert small.score(WORDS, y) == 1


def test_groups_that_cannot_be_told_apart_are_refused():
    X, y = load_iris(return_X_y=True)
    groups = np.array(["a", "b", None] * 50, dtype=object)
    with pytest.raises(ValueError, match=r"types \['NoneType', 'str'\].*say 'none'"):
        DistilledClassifier(Costly(), LogisticStudent()).fit(X, y, groups=groups)


def test_lazy_frames_are_refused():
    X, y = load_iris(return_X_y=True)
    lazy = pl.DataFrame(X).lazy()
    for model in (DistilledClassifier(Costly()), MLPStudent(), LogisticStudent()):
        with pytest.raises(TypeError, match=r"polars LazyFrame.*Pass X.collect\(\)"):
            model.fit(lazy, y)


def test_rows_with_infinity_that_the_models_take_are_distilled():
    X, y = make_classification(300, random_state=0)
    X[3, 0] = np.inf
    boosting = HistGradientBoostingClassifier(max_iter=5)
    small = DistilledClassifier(clone(boosting), boosting, random_state=0).fit(X, y)
    assert small.transfer_ == "none"


class Spread(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return np.array(X["v"].tolist())

    def __sklearn_is_fitted__(self):
        return True


@pytest.mark.parametrize("is_fitted", [True, False])
def test_frames_of_lists_are_passed_on(is_fitted):
    X, y = make_classification(300, random_state=0)
    X = pd.DataFrame({"v": X.tolist()})
    teacher = make_pipeline(Spread(), RandomForestClassifier(10, random_state=0))
    if is_fitted:
        teacher.fit(X[:150], y[:150])
        X, y = X[150:], y[150:]
    tree = make_pipeline(Spread(), DecisionTreeClassifier(max_depth=4))
    assert (
        DistilledClassifier(teacher, tree, random_state=0).fit(X, y).score(X, y) > 0.8
    )


def test_groups_of_rows_of_weight_0_alone_teach_nobody():
    X, y = make_classification(400, random_state=0)
    weight, groups = np.ones(400), np.arange(400) % 2
    weight[::7] = 0
    small = DistilledClassifier(
        GaussianNB(), DecisionTreeClassifier(max_depth=5), random_state=0
    ).fit(X, y, sample_weight=weight, groups=groups)
    assert small.score(X, y) > 0.8


def test_a_generator_of_folds_that_is_used_up_is_named():
    X, y = make_classification(100, random_state=0)
    folds = (fold for fold in list(KFold(3).split(X)))
    small = DistilledClassifier(
        GaussianNB(), DecisionTreeClassifier(), cv=folds, alpha=0.5, transfer=None
    ).fit(X, y)
    with pytest.raises(ValueError, match="A generator serves once"):
        small.fit(X, y)


def test_members_with_words_for_labels_need_no_y():
    X, codes = load_iris(return_X_y=True)
    y = np.array(["a", "b", "c"], dtype=object)[codes]
    known = GaussianNB().fit(X, y)
    small = DistilledClassifier(known, DecisionTreeClassifier(), transfer=None)
    small.set_params(teacher=[known, DecisionTreeClassifier()])
    small.fit(X, soft_targets=known.predict_proba(X))
    assert small.score(X, y) > 0.9


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_soft_targets_are_matched_by_names_that_are_texts(library):
    X, y = load_iris(return_X_y=True)
    P, order = np.eye(3)[y] * 0.7 + 0.1, [2, 0, 1]
    names = [str(k) for k in order]
    if library == "pandas":
        named = pd.DataFrame(P[:, order], columns=names)
    else:
        named = pl.DataFrame(P[:, order], schema=names)
    small = DistilledClassifier(
        None, DecisionTreeClassifier(max_depth=3), alpha=1.0, transfer=None
    ).fit(X, y, soft_targets=named)
    assert small.score(X, y) > 0.9


def test_neighbours_are_not_taught_by_drawn_copies():
    X, y = load_iris(return_X_y=True)
    small = DistilledClassifier(
        GaussianNB(), KNeighborsClassifier(), targets="sample", transfer=None
    )
    with pytest.raises(ValueError, match="targets must name a route"):
        small.fit(X, y)
