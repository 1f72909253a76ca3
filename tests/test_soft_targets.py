import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import make_classification
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import (
    GroupKFold,
    StratifiedKFold,
    cross_val_predict,
    train_test_split,
)
from sklearn.utils.validation import _num_samples

from benchmarks.datasets import load
from skdistill.soft_targets import (
    Calibration,
    align_columns,
    calibrate,
    check_soft_targets,
    fit_temperature,
    kl_rows,
    log_loss_rows,
    mix,
    one_hot,
    out_of_bag,
    out_of_fold,
    probability_floor,
    teacher_probabilities,
    temper,
)


def draw(n_rows, n_classes, seed=0, scale=2.0):
    """Probabilities and labels drawn from them."""
    rng = np.random.default_rng(seed)
    P = softmax(rng.normal(scale=scale, size=(n_rows, n_classes)), axis=1)
    codes = (P.cumsum(axis=1) > rng.random((n_rows, 1))).argmax(axis=1)
    return P, codes


# -- checking and alignment ------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.asarray, np.float32, pd.DataFrame, list])
def test_check_soft_targets_takes_array_likes_and_normalises(kind):
    P, _ = draw(20, 3)
    checked = check_soft_targets(kind(P), n_samples=20, n_classes=3)
    assert checked.dtype == np.float64
    np.testing.assert_allclose(checked.sum(axis=1), 1.0, rtol=1e-15)
    np.testing.assert_allclose(checked, P, atol=1e-7)


def test_check_soft_targets_leaves_the_input_untouched():
    P = np.array([[0.5004, 0.5], [1.0003, -0.0003]])
    before = P.copy()
    checked = check_soft_targets(P, n_samples=2, n_classes=2)
    np.testing.assert_array_equal(P, before)
    assert checked.min() >= 0


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_check_soft_targets_completes_a_binary_column(shape):
    P = check_soft_targets(
        np.reshape([0.0, 0.25, 0.5, 1.0], shape), n_samples=4, n_classes=2
    )
    np.testing.assert_array_equal(P, [[1, 0], [0.75, 0.25], [0.5, 0.5], [0, 1]])


@pytest.mark.parametrize(
    ("P", "message"),
    [
        ([[0.5, 0.5]], r"must have shape \(n_samples, n_classes\) = \(2, 2\), got"),
        ([[0.2, 0.3, 0.5]] * 2, r"got \(2, 3\)\. Pass one row"),
        ([0.5, 0.5, 0.5], r"got \(3,\)"),
        (np.full((2, 2, 1), 0.5), r"got \(2, 2, 1\)"),
        ([[0.5, 0.5], [np.nan, 1.0]], r"got NaN or infinity in 1 of 2 rows .*row 1\)"),
        ([[np.inf, -np.inf], [0.5, 0.5]], "must be finite"),
        ([0.5, np.nan], "must be finite"),
        ([[0.5, 0.5], [1.5, -0.5]], r"between 0 and 1, got -0\.5 in row 1"),
        ([[3.0, 1.0], [0.5, 0.5]], r"between 0 and 1, got 3\.0 in row 0"),
        ([0.5, 1.2], r"between 0 and 1, got 1\.2 in row 1"),
        ([[0.5, 0.5], [0.3, 0.3]], r"must sum to 1 .* got 0\.6 in row 1"),
        ([["a", "b"], ["c", "d"]], "does not convert to float. Pass the output"),
        ([[0.5], [0.2, 0.8]], "does not convert to float"),
        (sparse.csr_matrix(np.eye(2)), "does not convert to float"),
        (None, "must have shape|does not convert"),
    ],
)
def test_check_soft_targets_refuses_what_are_no_probabilities(P, message):
    with pytest.raises(ValueError, match=message):
        check_soft_targets(P, n_samples=2, n_classes=2)


def test_check_soft_targets_says_whose_probabilities_they_are():
    with pytest.raises(ValueError, match=r"^What my teacher says must have shape"):
        check_soft_targets(
            np.eye(3), n_samples=2, n_classes=3, name="What my teacher says"
        )


def test_align_columns_moves_columns_by_label():
    P = np.array([[0.1, 0.2, 0.7]])
    aligned = align_columns(P, np.array(["c", "a", "b"]), np.array(["a", "b", "c"]))
    np.testing.assert_array_equal(aligned, [[0.2, 0.7, 0.1]])


def test_align_columns_gives_a_class_that_is_absent_a_column_of_zeros():
    aligned = align_columns(np.array([[0.4, 0.6]]), np.array([3, 1]), np.arange(5))
    np.testing.assert_array_equal(aligned, [[0, 0.6, 0, 0.4, 0]])


@pytest.mark.parametrize("labels", [["a", "d"], [0, 1]])
def test_align_columns_refuses_a_label_without_a_column(labels):
    with pytest.raises(ValueError, match=r"must be among \['a', 'b'\], got"):
        align_columns(np.eye(2), np.array(labels), np.array(["a", "b"]))


# -- arithmetic on distributions -------------------------------------------------------


def test_temper_is_the_softmax_of_logits_over_temperature():
    Z = np.random.default_rng(0).normal(size=(50, 4))
    for T in (0.3, 2.0, 7.0):
        np.testing.assert_allclose(
            temper(softmax(Z, axis=1), T), softmax(Z / T, axis=1), rtol=1e-12
        )


def test_temper_at_one_changes_nothing():
    P = np.array([[1.0, 0.0], [1e-20, 1 - 1e-20]])
    np.testing.assert_array_equal(temper(P, 1), P)


@pytest.mark.parametrize("T", [1e9, np.inf])
def test_temper_goes_to_uniform(T):
    P = np.array([[1.0, 0.0, 0.0], [0.2, 0.3, 0.5]])
    np.testing.assert_allclose(temper(P, T), np.full((2, 3), 1 / 3), atol=1e-7)


def test_temper_goes_to_the_largest_class_as_the_temperature_falls():
    P = np.array([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4]])
    np.testing.assert_allclose(temper(P, 1e-4), [[0, 1, 0], [0.5, 0, 0.5]], atol=1e-12)


def test_temper_counts_a_zero_as_eps():
    P = np.array([[1.0, 0.0]])
    np.testing.assert_allclose(temper(P, 2.0, eps=1e-4)[0, 1], 0.01 / 1.01, rtol=1e-12)


@pytest.mark.parametrize("T", [0, -1.0, np.nan])
def test_temper_refuses_what_is_no_temperature(T):
    with pytest.raises(ValueError, match=r"temperature must be greater than 0, got"):
        temper(np.eye(2), T)


def test_mix_is_exact_for_cross_entropy():
    P, codes = draw(200, 5)
    Q, _ = draw(200, 5, seed=1)
    alpha, log_q = 0.3, np.log(Q)
    mixed = -(mix(P, one_hot(codes, 5), alpha) * log_q).sum(axis=1)
    soft, hard = -(P * log_q).sum(axis=1), -log_q[np.arange(200), codes]
    np.testing.assert_allclose(mixed, alpha * soft + (1 - alpha) * hard, rtol=1e-13)


def test_mix_at_its_ends_is_one_side_alone():
    P, codes = draw(10, 3)
    Y = one_hot(codes, 3)
    np.testing.assert_array_equal(mix(P, Y, 0), Y)
    np.testing.assert_array_equal(mix(P, Y, 1), P)
    np.testing.assert_array_equal(mix(P, None, 0.5), P)


def test_kl_rows_is_zero_where_p_is_zero_and_finite_where_q_is():
    P = np.array([[1.0, 0.0], [0.5, 0.5], [0.5, 0.5]])
    Q = np.array([[0.5, 0.5], [0.5, 0.5], [1.0, 0.0]])
    far = np.log(0.5) - 0.5 * np.log(1e-15)
    np.testing.assert_allclose(kl_rows(P, Q), [np.log(2), 0.0, far], rtol=1e-12)


def test_log_loss_rows_average_to_the_log_loss_of_scikit_learn():
    P, codes = draw(300, 4)
    expected = log_loss(codes, P, labels=range(4))
    assert log_loss_rows(P, codes).mean() == pytest.approx(expected, rel=1e-12)


# -- asking a teacher ------------------------------------------------------------------


class Recorder(ClassifierMixin, BaseEstimator):
    """Answers class frequencies of what it was fitted on, and keeps that."""

    def fit(self, X, y, sample_weight=None, note=None):
        self.X_, self.weight_, self.note_ = X, sample_weight, note
        self.classes_, counts = np.unique(y, return_counts=True)
        if len(self.classes_) < 2:
            raise ValueError("needs two classes")
        self.frequencies_ = counts / counts.sum()
        return self

    def predict_proba(self, X):
        return np.tile(self.frequencies_, (_num_samples(X), 1))


def test_teacher_probabilities_come_in_the_order_of_the_classes():
    X, y = make_classification(60, random_state=0)
    teacher = LogisticRegression().fit(X, np.where(y == 1, "a", "b"))
    P = teacher_probabilities(teacher, X, classes=np.array(["a", "b", "z"]))
    np.testing.assert_allclose(P[:, :2], teacher.predict_proba(X), rtol=1e-15)
    assert not P[:, 2].any()


def test_teacher_probabilities_name_the_teacher_that_gives_none():
    class Broken(Recorder):
        def predict_proba(self, X):
            return np.full((len(X), 2), np.nan)

    teacher = Broken().fit(np.zeros((4, 1)), [0, 0, 1, 1])
    with pytest.raises(ValueError, match="probabilities of the teacher Broken must be"):
        teacher_probabilities(teacher, np.zeros((4, 1)), classes=np.arange(2))


@pytest.mark.parametrize(
    "teacher",
    [
        RandomForestClassifier(60, oob_score=True, random_state=0),
        ExtraTreesClassifier(60, oob_score=True, bootstrap=True, random_state=0),
        BaggingClassifier(n_estimators=60, oob_score=True, random_state=0),
    ],
)
def test_out_of_bag_gives_probabilities_of_every_row(teacher):
    X, y = make_classification(300, flip_y=0.2, random_state=0)
    teacher.fit(X, np.where(y == 1, "a", "b"))
    P = out_of_bag(teacher, n_samples=300, classes=np.array(["a", "b"]))
    np.testing.assert_allclose(P.sum(axis=1), 1.0)
    in_bag = teacher.score(X, np.where(y == 1, "a", "b"))
    assert np.mean(P.argmax(axis=1) == 1 - y) < in_bag - 0.05  # y = 1 is column 0


@pytest.mark.filterwarnings("ignore:Some inputs do not have OOB scores")
@pytest.mark.parametrize("kind", [RandomForestClassifier, BaggingClassifier])
def test_out_of_bag_is_none_where_a_row_was_in_every_bag(kind):
    X, y = make_classification(100, random_state=0)
    with np.errstate(invalid="ignore"):
        teacher = kind(n_estimators=2, oob_score=True, random_state=0).fit(X, y)
    assert out_of_bag(teacher, n_samples=100, classes=np.arange(2)) is None


def test_out_of_bag_is_none_without_bags():
    X, y = make_classification(30, random_state=0)
    teacher = RandomForestClassifier(5, random_state=0).fit(X, y)
    assert out_of_bag(teacher, n_samples=30, classes=np.arange(2)) is None


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_out_of_fold_equals_cross_val_predict(n_jobs):
    X, y = make_classification(120, n_classes=3, n_informative=5, random_state=0)
    y = np.array(["x", "a", "m"])[y]
    cv = StratifiedKFold(4, shuffle=True, random_state=0)
    teacher = RandomForestClassifier(5, random_state=0)
    told = []
    P, first = out_of_fold(
        teacher, X, y, classes=np.unique(y), splits=list(cv.split(X, y)),
        n_jobs=n_jobs, step=lambda: told.append(1),
    )  # fmt: skip
    expected = cross_val_predict(teacher, X, y, cv=cv, method="predict_proba")
    np.testing.assert_allclose(P, expected, rtol=1e-12)
    assert len(told) == 4
    train, test = next(cv.split(X, y))
    same = RandomForestClassifier(5, random_state=0).fit(X[train], y[train])
    np.testing.assert_array_equal(first.predict(X[test]), same.predict(X[test]))
    assert not hasattr(teacher, "classes_")


def test_out_of_fold_keeps_groups_together():
    groups = np.repeat(np.arange(10), 6)
    X, y = np.c_[groups].astype(float), np.tile([0, 1], 30)
    splits = list(GroupKFold(5).split(X, y, groups))
    _, first = out_of_fold(Recorder(), X, y, classes=np.arange(2), splits=splits)
    assert not set(first.X_[:, 0]) & set(groups[splits[0][1]])


def test_out_of_fold_gives_a_class_that_a_fold_lacks_probability_zero():
    X, y = np.arange(9.0)[:, None], np.array([0, 0, 0, 1, 1, 1, 1, 1, 2])
    splits = [(np.arange(8), np.array([8])), (np.arange(1, 9), np.arange(8))]
    P, _ = out_of_fold(Recorder(), X, y, classes=np.arange(3), splits=splits)
    np.testing.assert_allclose(P[8], [3 / 8, 5 / 8, 0])
    np.testing.assert_allclose(P[0], [2 / 8, 5 / 8, 1 / 8])


def test_out_of_fold_answers_where_a_fold_has_one_class_only():
    X, y = np.arange(6.0)[:, None], np.array(["a", "a", "a", "b", "b", "b"])
    splits = [(np.arange(3), np.arange(3, 6)), (np.arange(3, 6), np.arange(3))]
    P, _ = out_of_fold(Recorder(), X, y, classes=np.unique(y), splits=splits)
    np.testing.assert_array_equal(P, [[0, 1]] * 3 + [[1, 0]] * 3)


def test_out_of_fold_averages_repeated_rows_and_marks_absent_ones():
    X, y = np.arange(6.0)[:, None], np.array([0, 1, 0, 1, 1, 0])
    splits = [([0, 1, 2, 3], [4]), ([0, 1, 3], [4, 5])]
    P, _ = out_of_fold(
        Recorder(), X, y, classes=np.arange(2),
        splits=[tuple(map(np.array, split)) for split in splits],
    )  # fmt: skip
    np.testing.assert_allclose(P[4], [(1 / 2 + 1 / 3) / 2, (1 / 2 + 2 / 3) / 2])
    np.testing.assert_allclose(P[5], [1 / 3, 2 / 3])
    assert np.isnan(P[:4]).all()


def test_out_of_fold_slices_fit_parameters_that_have_one_entry_a_row():
    X, y = np.arange(8.0)[:, None], np.tile([0, 1], 4)
    train, test = np.array([0, 1, 2, 3, 7]), np.array([4, 5, 6])
    params = {"sample_weight": np.arange(8.0), "note": "abcdefgh"}
    _, first = out_of_fold(
        Recorder(), X, y, classes=np.arange(2), splits=[(train, test)],
        fit_params=params,
    )  # fmt: skip
    np.testing.assert_array_equal(first.weight_, [0, 1, 2, 3, 7])
    assert first.note_ == "abcdefgh"  # eight letters, but no array


@pytest.mark.parametrize("kind", [pd.DataFrame, sparse.csr_array, list])
def test_out_of_fold_passes_rows_on_in_their_form(kind):
    y = np.tile([0, 1], 4)
    X = [f"text {i}" for i in range(8)] if kind is list else kind(np.eye(8))
    splits = [(np.arange(4), np.arange(4, 8))]
    _, first = out_of_fold(Recorder(), X, y, classes=np.arange(2), splits=splits)
    assert type(first.X_) is type(X)


# -- calibration -----------------------------------------------------------------------


@pytest.mark.parametrize("truth", [0.4, 0.8, 1.5, 4.0])
def test_fit_temperature_recovers_the_one_that_was_used(truth):
    P, codes = draw(20_000, 4)
    # tempering by 1 / T makes T the remedy
    found = fit_temperature(temper(P, 1 / truth), codes)
    assert found == pytest.approx(truth, rel=0.05)


def test_fit_temperature_finds_the_minimum_of_the_log_loss():
    P, codes = draw(500, 3, seed=3)
    weight = np.random.default_rng(0).random(500)
    Z = 3 * np.log(P)

    def loss(T):
        own = log_softmax(Z / T, axis=1)[np.arange(500), codes]
        return -np.average(own, weights=weight)

    expected = minimize_scalar(loss, bounds=(0.05, 20), method="bounded").x
    found = fit_temperature(softmax(Z, axis=1), codes, sample_weight=weight)
    assert found == pytest.approx(expected, rel=1e-3)
    assert loss(found) <= loss(expected) + 1e-12


def test_fit_temperature_stays_within_bounds():
    codes = np.arange(60) % 3
    right, wrong = one_hot(codes, 3), one_hot((codes + 1) % 3, 3)
    assert fit_temperature(0.8 * right + 0.2 / 3, codes) == pytest.approx(
        0.05, rel=1e-3
    )
    assert fit_temperature(0.8 * wrong + 0.2 / 3, codes) == pytest.approx(20, rel=1e-3)
    assert fit_temperature(np.full((60, 3), 1 / 3), codes) == 1.0


def test_fit_temperature_counts_a_weight_of_two_as_two_rows():
    P, codes = draw(300, 3)
    weight = 1 + np.arange(300) % 2
    found = fit_temperature(P, codes, sample_weight=weight)
    twice = np.repeat(np.arange(300), weight)
    assert found == pytest.approx(fit_temperature(P[twice], codes[twice]), rel=1e-5)


def test_calibrate_keeps_a_temperature_that_helps():
    P, codes = draw(2_000, 3)
    sharp = temper(P, 0.4)
    calibration = calibrate(sharp, codes)
    assert calibration.kept
    assert calibration.loss_after < calibration.loss_before
    Q = calibration(sharp)
    np.testing.assert_allclose(Q.sum(axis=1), 1.0)
    np.testing.assert_allclose(Q, temper(sharp, calibration.temperature), rtol=1e-9)
    fresh, fresh_codes = draw(2_000, 3, seed=1)
    before = log_loss_rows(temper(fresh, 0.4), fresh_codes).mean()
    assert log_loss_rows(calibration(temper(fresh, 0.4)), fresh_codes).mean() < before


def test_calibrate_mostly_leaves_honest_probabilities_alone():
    kept, temperatures = [], []
    for seed in range(40):
        P, codes = draw(400, 3, seed=seed)
        calibration = calibrate(P, codes)
        kept.append(calibration.kept)
        temperatures.append(calibration.temperature)
        if not calibration.kept:
            assert calibration(P) is P
    assert np.mean(kept) < 0.5
    np.testing.assert_allclose(temperatures, 1.0, atol=0.35)


def test_calibrate_always_keeps_it_when_told_to():
    seeds = (seed for seed in range(40) if not calibrate(*draw(400, 3, seed)).kept)
    calibration = calibrate(*draw(400, 3, next(seeds)), always=True)
    assert calibration.kept
    assert calibration.temperature != 1.0


def test_calibrate_treats_weight_zero_as_a_row_that_is_gone():
    P, codes = draw(500, 3)
    P = temper(P, 0.5)
    gone = np.arange(500) % 3 == 0
    weight = np.where(gone, 0.0, 2.0)
    with_zeros = calibrate(P, codes, sample_weight=weight)
    without = calibrate(P[~gone], codes[~gone])
    assert with_zeros.temperature == pytest.approx(without.temperature, rel=1e-9)
    assert with_zeros.loss_after == pytest.approx(without.loss_after, rel=1e-9)


@pytest.mark.parametrize("n_rows", [1, 2, 3])
def test_calibrate_survives_a_handful_of_rows(n_rows):
    P, codes = draw(n_rows, 3)
    calibration = calibrate(P, codes)
    assert np.isfinite([calibration.temperature, calibration.loss_before]).all()


def test_calibration_that_is_not_kept_changes_nothing():
    P, _ = draw(5, 3)
    assert Calibration(temperature=3.0)(P) is P


def test_probability_floor_is_half_a_vote_of_a_forest():
    votes = np.random.default_rng(0).multinomial(50, [0.02, 0.1, 0.88], size=200)
    assert probability_floor(votes / 50) == pytest.approx(1 / 100)
    assert probability_floor(np.eye(2)) == pytest.approx(0.05)  # never above .1 / K


def test_calibrate_gives_a_vote_of_zero_half_a_vote():
    # Right nine times of ten, and sure of it: without a floor the loss is infinite.
    codes = np.arange(100) % 2
    P = one_hot(np.where(np.arange(100) % 10 == 0, 1 - codes, codes), 2)
    calibration = calibrate(P, codes)
    assert calibration.kept
    np.testing.assert_allclose(calibration(P).max(axis=1), 0.9, atol=1e-4)


def test_calibrate_sharpens_a_forest_on_real_rows():
    # METHODS: averaged votes are underconfident, T < 1 and a log-loss well below.
    X, y = _load("letter", 6_000)
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.25, random_state=0)
    teacher = ExtraTreesClassifier(50, random_state=0)
    classes, codes = np.unique(y, return_inverse=True)
    splits = list(StratifiedKFold(3, shuffle=True, random_state=0).split(X, y))
    P, _ = out_of_fold(teacher, X, y, classes=classes, splits=splits)
    calibration = calibrate(P, codes)
    Q = teacher.fit(X, y).predict_proba(X_test)
    test_codes = np.searchsorted(classes, y_test)
    raw = log_loss_rows(Q, test_codes, eps=calibration.eps).mean()
    assert calibration.temperature < 0.6
    assert log_loss_rows(calibration(Q), test_codes).mean() < 0.6 * raw


def _load(name, n_rows):
    try:
        return load(name, n_rows=n_rows)
    except ModuleNotFoundError as error:
        pytest.skip(str(error))
