"""How sure a classifier is: against independent computations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from scipy.stats import foldnorm

from skdistill.metrics import classwise_calibration_error, expected_calibration_error

ERRORS = (expected_calibration_error, classwise_calibration_error)
BOTH = pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)


def draw(n_rows, n_classes=3, seed=0):
    """Probabilities, and labels drawn from them: perfect calibration."""
    rng = np.random.default_rng(seed)
    P = softmax(rng.normal(size=(n_rows, n_classes)), axis=1)
    codes = (P.cumsum(axis=1) > rng.random((n_rows, 1))).argmax(axis=1)
    return P, codes


def naive(sure, right, n_bins, strategy="quantile", norm="l1", debiased=False):
    """Bins of rows that all differ in probability, one after the other."""
    order = sorted(range(len(sure)), key=lambda i: sure[i])
    bins = [[] for _ in range(n_bins)]
    for place, i in enumerate(order):
        by_mass = int(n_bins * (place + 0.5) / len(order))
        by_width = min(int(sure[i] * n_bins), n_bins - 1)
        bins[by_mass if strategy == "quantile" else by_width].append(i)
    terms, sizes = [], []
    for rows in bins:
        n = len(rows)
        if n < (2 if debiased else 1):
            continue
        accuracy, mean = np.mean(right[rows]), np.mean(sure[rows])
        d, v = abs(accuracy - mean), accuracy * (1 - accuracy) / (n - 1 or np.inf)
        if norm == "l2":
            terms.append(d**2 - v * debiased)
        elif debiased and v > 0:
            terms.append(2 * d - foldnorm(d / np.sqrt(v), scale=np.sqrt(v)).mean())
        else:
            terms.append(d)
        sizes.append(n)
    total = max(np.average(terms, weights=sizes), 0)
    return np.sqrt(total) if norm == "l2" else total


@pytest.mark.parametrize(("n_rows", "n_bins"), [(1_000, 15), (37, 5), (30, 15), (9, 1)])
@pytest.mark.parametrize("strategy", ["quantile", "uniform"])
@pytest.mark.parametrize("norm", ["l1", "l2"])
@pytest.mark.parametrize("debiased", [False, True])
def test_calibration_errors_equal_a_plain_loop(
    n_rows, n_bins, strategy, norm, debiased
):
    P, codes = draw(n_rows)
    options = {"strategy": strategy, "norm": norm, "debiased": debiased}
    found = expected_calibration_error(
        codes, P, n_bins=n_bins, classes=range(3), **options
    )
    expected = naive(P.max(axis=1), P.argmax(axis=1) == codes, n_bins, **options)
    assert found == pytest.approx(expected, abs=1e-9)
    found = classwise_calibration_error(
        codes, P, n_bins=n_bins, classes=range(3), **options
    )
    each = [naive(P[:, k], codes == k, n_bins, **options) for k in range(3)]
    assert found == pytest.approx(np.mean(each), abs=1e-9)


@BOTH
@pytest.mark.parametrize("strategy", ["quantile", "uniform"])
@given(
    weight=st.lists(st.integers(0, 3), min_size=20, max_size=20), random=st.randoms()
)
@settings(max_examples=50)
def test_calibration_errors_count_weights_as_copies_in_any_order(
    error, strategy, weight, random
):
    P, codes = draw(20)
    P = np.round(P, 1) / np.round(P, 1).sum(axis=1, keepdims=True)  # with ties
    weight[0] += 1
    rows = np.repeat(np.arange(20), weight).tolist()
    random.shuffle(rows)
    options = {"n_bins": 4, "classes": range(3), "strategy": strategy}
    copies = error(codes[rows], P[rows], **options)
    weighted = error(codes, P, sample_weight=weight, **options)
    assert weighted == pytest.approx(copies, abs=1e-12)


@BOTH
def test_debiased_errors_do_not_depend_on_the_scale_of_weights(error):
    P, codes = draw(200)
    weight = np.random.default_rng(0).random(200)
    found = error(codes, P, debiased=True, sample_weight=weight)
    scaled = error(codes, P, debiased=True, sample_weight=100 * weight)
    assert scaled == pytest.approx(found, rel=1e-9)
    equal = error(codes, P, debiased=True, sample_weight=np.full(200, 7.0))
    assert equal == pytest.approx(error(codes, P, debiased=True), rel=1e-9)


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_debiased_error_is_nearer_the_truth(norm):
    # Sure by half of what it should be beyond chance: its error is known.
    rng, truth = np.random.default_rng(0), []
    plain, debiased = [], []
    for _ in range(300):
        p = rng.uniform(0.5, 1, size=300)
        right = rng.random(300) < (p + 0.75) / 2
        P, y = np.column_stack([1 - p, p]), right.astype(int)
        gap = np.abs((0.75 - p) / 2)
        truth.append(gap.mean() if norm == "l1" else np.sqrt((gap**2).mean()))
        options = {"n_bins": 10, "norm": norm, "classes": [0, 1]}
        plain.append(expected_calibration_error(y, P, **options))
        debiased.append(expected_calibration_error(y, P, debiased=True, **options))
    plain_bias = np.mean(plain) - np.mean(truth)
    debiased_bias = np.mean(debiased) - np.mean(truth)
    assert plain_bias > 0.008
    assert abs(debiased_bias) < plain_bias / 2


@BOTH
def test_calibration_errors_are_small_for_the_truth(error):
    P, codes = draw(50_000)
    assert error(codes, P) < 0.012
    # Of 15 bins of a perfect classifier: sqrt(2) - 1 of what chance adds goes.
    assert error(codes, P, debiased=True) < 0.8 * error(codes, P)


def test_expected_calibration_error_is_the_error_rate_of_the_sure():
    P, codes = draw(5_000)
    sure = np.eye(3)[P.argmax(axis=1)]
    found = expected_calibration_error(codes, sure)
    assert found == pytest.approx(np.mean(P.argmax(axis=1) != codes), rel=1e-9)


def test_classwise_calibration_error_sees_what_lies_beside_the_largest_column():
    # Right about the likeliest class, wrong about how the rest divides.
    y = np.repeat([0, 1], [60, 40])
    P = np.tile([0.6, 0.0, 0.4], (100, 1))
    options = {"classes": [0, 1, 2]}
    assert expected_calibration_error(y, P, **options) == pytest.approx(0, abs=1e-12)
    found = classwise_calibration_error(y, P, **options)
    assert found == pytest.approx((0 + 0.4 + 0.4) / 3)


@BOTH
def test_calibration_errors_know_labels_by_their_classes(error):
    P, codes = draw(300)
    labels = np.array(["a", "b", "c"])[codes]
    expected = error(codes, P)
    assert error(labels, P) == expected
    turned = error(labels, P[:, ::-1], classes=["c", "b", "a"])
    assert turned == pytest.approx(expected, rel=1e-12)


@BOTH
def test_debiased_errors_are_undefined_where_every_bin_holds_one_row(error):
    P, codes = draw(5)
    assert np.isnan(error(codes, P, n_bins=5, debiased=True, classes=range(3)))


P2 = np.full((4, 2), 0.5)


@BOTH
@pytest.mark.parametrize(
    ("y", "options", "message"),
    [
        ([0, 1], {}, r"\(2, 2\), got \(4, 2\)"),
        ([0, 1, 1, 0], {"n_bins": 0}, "n_bins must"),
        ([0, 1, 5, 0], {"classes": [0, 1]}, r"classes \[0, 1\] only, got also \[5\]"),
        ([0, 1, 1, 0], {"strategy": "mass"}, r"\['quantile', 'uniform'\], got 'mass'"),
        ([0, 1, 1, 0], {"norm": 2}, r"norm must be one of \['l1', 'l2'\], got 2"),
        ([0, 1, 1, 0], {"sample_weight": [1]}, "each of the 4 rows"),
    ],
)
def test_calibration_errors_refuse_bad_input(error, y, options, message):
    with pytest.raises(ValueError, match=message):
        error(y, P2, **options)
