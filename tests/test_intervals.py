"""How sure a figure is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, binomtest

from skdistill.metrics import (
    agreement,
    agreement_interval,
    bootstrap_interval,
    clopper_pearson_upper,
    expected_calibration_error,
    mcnemar_test,
    retention,
    wilson_interval,
)


def mean(values, sample_weight):
    return np.average(values, weights=sample_weight)


# -- rates -----------------------------------------------------------------------------


@given(st.integers(1, 500), st.floats(0, 1), st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_wilson_interval_equals_scipy(n, share, confidence):
    k = round(share * n)
    expected = binomtest(k, n).proportion_ci(confidence, method="wilson")
    found = wilson_interval(k, n, confidence=confidence)
    assert found == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize("rate", [0.02, 0.3, 0.9])
def test_wilson_interval_covers_at_the_stated_rate(rate):
    n = 200
    k = np.arange(n + 1)
    low, high = wilson_interval(k, n, confidence=0.95)
    covered = (low <= rate) & (rate <= high)
    drawn = np.random.default_rng(0).binomial(n, rate, size=20_000)
    # Its actual coverage swings around the nominal one by a point or so (Brown et al.)
    assert 0.93 <= covered[drawn].mean() <= 0.98


def test_wilson_interval_is_closed_at_the_ends_and_knows_nothing_without_rows():
    assert wilson_interval(0, 10)[0] == 0
    assert wilson_interval(10, 10)[1] == 1
    assert wilson_interval(0, 0) == (0, 1)
    low, high = wilson_interval([0, 5], [10, 10])
    assert low.shape == high.shape == (2,)


@given(st.integers(0, 400), st.floats(0, 1), st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_clopper_pearson_upper_equals_scipy(n, share, confidence):
    k = round(share * n)
    found = clopper_pearson_upper(k, n, confidence=confidence)
    expected = beta.ppf(confidence, k + 1, n - k) if k < n else 1.0
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("rate", [0.01, 0.2])
def test_clopper_pearson_upper_is_exceeded_no_more_often_than_stated(rate):
    n = 300
    upper = clopper_pearson_upper(np.arange(n + 1), n, confidence=0.95)
    drawn = np.random.default_rng(0).binomial(n, rate, size=20_000)
    assert np.mean(upper[drawn] < rate) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 20_000)


def test_agreement_interval_is_wilsons_of_equal_rows():
    teacher = np.arange(80) % 4
    student = np.where(np.arange(80) < 8, 9, teacher)
    expected = wilson_interval(72, 80, confidence=0.9)
    assert agreement_interval(teacher, student, confidence=0.9) == expected
    scaled = agreement_interval(
        teacher, student, confidence=0.9, sample_weight=np.full(80, 0.1)
    )
    assert scaled == pytest.approx(expected, rel=1e-12)


def test_agreement_interval_is_wider_where_few_rows_carry_the_weight():
    teacher, student = np.zeros(100), np.arange(100) % 2
    weight = np.where(np.arange(100) < 10, 1.0, 0.0)
    found = agreement_interval(teacher, student, sample_weight=weight)
    assert found == pytest.approx(wilson_interval(5, 10))
    low, high = agreement_interval(teacher, student, sample_weight=1 + 9 * weight)
    plain = agreement_interval(teacher, student)
    assert high - low > plain[1] - plain[0]


def test_agreement_interval_covers_at_the_stated_rate_with_weights():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(2000):
        same, weight = rng.random(150) < 0.8, rng.exponential(size=150)
        low, high = agreement_interval(np.ones(150), same, sample_weight=weight)
        hits += low <= 0.8 <= high
    assert 0.93 <= hits / 2000 <= 0.97


# -- bootstrap -------------------------------------------------------------------------


def test_bootstrap_interval_covers_the_mean_at_the_stated_rate():
    rng = np.random.default_rng(0)
    hits, n_draws = 0, 300
    for _ in range(n_draws):
        values = rng.exponential(size=150)
        low, high = bootstrap_interval(
            mean, values, confidence=0.9, n_resamples=200, random_state=rng.integers(99)
        )
        hits += low <= 1 <= high
    band = 3 * np.sqrt(0.9 * 0.1 / n_draws)
    # A percentile interval of a skewed mean of 150 rows falls a point or two short.
    assert 0.88 - band <= hits / n_draws <= 0.9 + band


def test_bootstrap_interval_covers_a_paired_difference_at_the_stated_rate():
    rng = np.random.default_rng(1)
    hits, widths, n_draws = 0, [], 300
    for _ in range(n_draws):
        easy = rng.random(200)
        a, b = (easy < 0.9).astype(float), (easy < 0.84).astype(float)
        low, high = bootstrap_interval(
            lambda a, b, sample_weight: mean(a - b, sample_weight),
            a,
            b,
            n_resamples=200,
            random_state=rng.integers(99),
        )
        hits += low <= 0.06 <= high
        widths.append(high - low)
    band = 3 * np.sqrt(0.95 * 0.05 / n_draws)
    assert 0.93 - band <= hits / n_draws <= 0.95 + band
    # As of the difference of each row, sd .24; unpaired it would be .13 wide.
    assert np.mean(widths) == pytest.approx(2 * 1.96 * 0.2375 / np.sqrt(200), rel=0.05)


def test_bootstrap_interval_equals_resampling_rows_by_hand():
    rng = np.random.default_rng(0)
    teacher, student = rng.integers(3, size=60), rng.integers(3, size=60)
    found = bootstrap_interval(
        agreement, teacher, student, n_resamples=200, random_state=7
    )
    state = np.random.RandomState(7)
    rows = [state.randint(60, size=60) for _ in range(200)]
    values = [np.mean(teacher[r] == student[r]) for r in rows]
    assert found == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])), abs=1e-12)


def test_bootstrap_interval_of_several_statistics_shares_the_draws():
    values = np.random.default_rng(0).normal(size=50)

    def both(values, sample_weight):
        return [mean(values, sample_weight), mean(values**2, sample_weight)]

    low, high = bootstrap_interval(both, values, random_state=0)
    alone = bootstrap_interval(mean, values, random_state=0)
    assert (low[0], high[0]) == pytest.approx(alone)
    assert low.shape == high.shape == (2,)


def test_bootstrap_interval_drops_rows_of_weight_zero_and_keeps_the_other_weights():
    values = np.random.default_rng(0).normal(size=40)
    weight = np.repeat([0.0, 1.0, 3.0, 2.0], 10)
    found = bootstrap_interval(mean, values, sample_weight=weight, random_state=0)
    kept = bootstrap_interval(
        mean, values[10:], sample_weight=weight[10:], random_state=0
    )
    assert found == kept
    assert found != bootstrap_interval(mean, values[10:], random_state=0)


def test_bootstrap_interval_takes_any_metric_on_rows():
    rng = np.random.default_rng(0)
    P = rng.dirichlet(np.ones(3), size=100)
    low, high = bootstrap_interval(
        lambda y, P, sample_weight: expected_calibration_error(
            y, P, classes=range(3), sample_weight=sample_weight
        ),
        rng.integers(3, size=100),
        P,
        n_resamples=50,
        random_state=0,
    )
    assert 0 < low < high < 1


def test_bootstrap_interval_is_undefined_where_the_statistic_is():
    def kept(student, teacher, sample_weight):
        return retention(mean(student, sample_weight), mean(teacher, sample_weight))

    low, high = bootstrap_interval(
        kept, np.ones(5), np.array([1.0, 0, 0, 0, 0]), random_state=0
    )
    assert np.isnan(low)
    assert np.isnan(high)


# -- test ------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=80))
def test_mcnemar_test_equals_the_binomial_test_of_scipy(pairs):
    a, b = np.array(pairs).T
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    expected = 1.0
    if only_a + only_b:
        expected = binomtest(only_a, only_a + only_b, 0.5).pvalue
    assert mcnemar_test(a, b) == pytest.approx(expected, rel=1e-9)
    assert mcnemar_test(b, a) == mcnemar_test(a, b)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: wilson_interval(5, 4), "n_successes must lie between 0 and n"),
        (lambda: wilson_interval(np.nan, 4), "n_successes must lie between 0 and n"),
        (
            lambda: wilson_interval(1, 4, confidence=1),
            "strictly between 0 and 1, got 1",
        ),
        (lambda: clopper_pearson_upper(-1, 4), "Count failures among the n rows"),
        (lambda: bootstrap_interval(mean), "arrays of at least one row"),
        (lambda: bootstrap_interval(mean, []), r"got \[0\] rows"),
        (lambda: bootstrap_interval(mean, [1.0], n_resamples=1), "n_resamples=1"),
        (lambda: bootstrap_interval(mean, [1, 2], sample_weight=[1]), "each of the 2"),
        (lambda: mcnemar_test([0.5, 1], [0, 1]), r"right_a must hold True and False"),
        (lambda: mcnemar_test([0, 1], [0]), "inconsistent numbers of samples"),
    ],
)
def test_intervals_refuse_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
