"""The threshold of a cascade: what is tested, in what order, and what it guarantees."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import beta, binom

from skdistill.cascade._threshold import (
    Plan,
    count,
    coverage_risk,
    find,
    lowest_safe,
    plan,
    rows_needed,
    why_none_is_safe,
)

LIMIT, ERROR = 0.05, 0.1


@st.composite
def scored_rows(draw, most=60):
    """Scores, many of them tied, and disagreements."""
    n = draw(st.integers(0, most))
    score = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.25, 0.5, 1.0]))
    scores = draw(st.lists(score, min_size=n, max_size=n))
    differs = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    return np.array(scores, dtype=float), np.array(differs, dtype=bool)


@pytest.mark.parametrize("limit", [0.5, 0.05, 0.01, 0.001])
@pytest.mark.parametrize("error", [0.5, 0.05, 0.001])
def test_rows_needed_is_the_least_number_that_can_pass(limit, error):
    n = rows_needed(limit, error)
    assert binom.cdf(0, n, limit) <= error < binom.cdf(0, n - 1, limit)


def test_rows_needed_at_the_defaults():
    assert rows_needed(0.01, 1 - 0.95) == 299


@given(scored_rows(), st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_count_is_that_of_a_loop(rows, thresholds):
    scores, differs = rows
    n_answered, n_differ = count(scores, differs, np.array(thresholds))
    for i, threshold in enumerate(thresholds):
        assert n_answered[i] == (scores >= threshold).sum()
        assert n_differ[i] == differs[scores >= threshold].sum()


def test_count_leaves_out_rows_without_a_score():
    n_answered, n_differ = count(
        np.array([np.nan, 0.5, 1.0]), np.array([True, True, False]), np.zeros(1)
    )
    assert (n_answered[0], n_differ[0]) == (2, 1)


@given(
    st.lists(st.floats(0, 1), max_size=50),
    st.integers(0, 20_000),
    st.floats(0.001, 0.5),
    st.floats(0.001, 0.5),
)
def test_plan_falls_to_zero_and_spends_the_error_once(pilot, n_rows, limit, error):
    tests = plan(np.array(pilot), n_rows, limit, error)
    assert (np.diff(tests.thresholds) < 0).all()
    assert tests.thresholds[-1] == 0
    assert (tests.errors >= 0).all()
    assert_allclose(tests.errors.sum(), error, rtol=1e-12)


@pytest.mark.parametrize(("n_rows", "n_starts"), [(300, 1), (1_000, 1), (3_000, 3)])
def test_plan_starts_more_than_once_where_rows_allow(n_rows, n_starts):
    pilot = np.random.RandomState(0).uniform(size=1_000)
    tests = plan(pilot, n_rows, 0.01, 0.05)
    started = np.flatnonzero(tests.errors)
    assert len(started) == n_starts
    # enough rows are expected above the first threshold for a test to pass there
    share = (pilot >= tests.thresholds[started[0]]).mean()
    assert share * n_rows >= min(n_rows, rows_needed(0.01, 0.05 / n_starts)) * 0.99


def _lowest_safe_by_hand(scores, differs, tests, limit):
    """The same sequence in the words of the paper: bounds, not p-values."""
    best, budget = np.inf, 0.0
    for threshold, added in zip(*tests, strict=True):
        budget += added
        n, d = (scores >= threshold).sum(), differs[scores >= threshold].sum()
        upper = 1.0 if d == n else beta.ppf(1 - budget, d + 1, n - d)
        if budget > 0 and upper <= limit:
            best = threshold
        else:
            budget = 0.0
    return best


@settings(max_examples=50)
@given(scored_rows(most=200), st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_lowest_safe_is_that_of_clopper_pearson_bounds(rows, pilot):
    scores, differs = rows
    differs &= scores < 0.3
    tests = plan(np.array(pilot), len(scores), 0.2, 0.3)
    safe = lowest_safe(scores, differs, tests, 0.2)
    assert safe.threshold == _lowest_safe_by_hand(scores, differs, tests, 0.2)
    if np.isfinite(safe.threshold):
        answered = scores >= safe.threshold
        assert differs[answered].mean() <= safe.bound <= 0.2
    else:
        assert np.isnan(safe.bound)


def test_lowest_safe_hands_on_the_error_of_tests_that_pass():
    scores = np.repeat([1.0, 0.5], [60, 40])
    differs = np.zeros(100, bool)
    differs[60] = True
    # One disagreement among 100 rows passes at .037, so with both errors only.
    assert 0.02 < binom.cdf(1, 100, LIMIT) < 0.05
    both = Plan(np.array([1.0, 0.5]), np.array([0.05, 0.02]))
    assert lowest_safe(scores, differs, both, LIMIT).threshold == 0.5
    differs[:10] = True  # now the first test fails, and takes its error with it
    differs[10:60] = False
    assert lowest_safe(scores, differs, both, LIMIT).threshold == np.inf


def test_lowest_safe_goes_on_after_a_failure_where_a_test_starts_anew():
    scores = np.repeat([1.0, 0.5], [20, 480])
    differs = np.zeros(500, bool)
    differs[:5] = True
    tests = Plan(np.array([1.0, 0.5]), np.array([0.05, 0.05]))
    assert lowest_safe(scores, differs, tests, LIMIT).threshold == 0.5


def test_lowest_safe_has_no_answer_without_rows():
    tests = plan(np.array([0.2, 0.9]), 0, LIMIT, ERROR)
    empty = np.zeros(0), np.zeros(0, bool)
    assert lowest_safe(*empty, tests, LIMIT).threshold == np.inf


# -- the guarantee ---------------------------------------------------------------------

# Local rate of disagreement at a score of 1 - u, for u uniform.
LOCAL = {
    "rises at the end": lambda u: 0.35 * u**12,
    "never near zero": lambda u: 0.003 + 0.2 * u**10,
    "just unsafe": lambda u: np.full_like(u, 0.0101),
    "steps": lambda u: np.where((40 * u).astype(int) % 2, 0.019, 0.001),
    "unsafe at the top": lambda u: np.where(u < 0.3, 0.011, 0.0099),
}
N_DRAWS, N_ROWS = 500, 2_000


def _draws(local):
    """Scores and disagreements of fresh rows, and the true rate by share answered."""
    rng = np.random.RandomState(0)
    grid = (np.arange(100_000) + 0.5) / 100_000
    risk = np.cumsum(local(grid)) / np.arange(1, 100_001)
    for _ in range(N_DRAWS):
        u = rng.uniform(size=N_ROWS)
        yield 1 - u, rng.uniform(size=N_ROWS) < local(u), risk


def _is_violated(threshold, risk):
    if np.isinf(threshold):
        return False
    return risk[min(int((1 - threshold) * len(risk)), len(risk) - 1)] > 0.01 + 1e-9


@pytest.mark.parametrize("name", sorted(LOCAL))
def test_find_violates_the_limit_as_rarely_as_it_says(name):
    violations = sum(
        _is_violated(find(s[:200], s[200:], d[200:], 0.01, 0.05).threshold, risk)
        for s, d, risk in _draws(LOCAL[name])
    )
    assert violations <= binom.ppf(0.975, N_DRAWS, 0.05)


def test_a_threshold_without_the_guarantee_violates_the_limit_half_of_the_time():
    violations = 0
    for scores, differs, risk in _draws(LOCAL["rises at the end"]):
        n_answered, n_differ = count(scores, differs, scores)
        fine = n_differ <= 0.01 * n_answered
        violations += _is_violated(scores[fine].min(), risk)
    assert violations > 0.3 * N_DRAWS


def test_find_covers_most_of_what_could_be_answered():
    draws = list(_draws(LOCAL["rises at the end"]))[:100]
    covered = [
        1 - find(s[:200], s[200:], d[200:], 0.01, 0.05).threshold for s, d, _ in draws
    ]
    best = (0.01 * 13 / 0.35) ** (1 / 12)  # where the mean of the local rate is .01
    assert np.mean(covered) > 0.93 * best


# -- what is told ----------------------------------------------------------------------


@given(scored_rows(), st.integers(0, 20))
def test_coverage_risk_has_rates_and_bounds_of_each_threshold(rows, n_never):
    scores, differs = rows
    thresholds = np.array([1.0, 0.6, 0.25, 0.0])
    n_rows = len(scores) + n_never
    curve = coverage_risk(scores, differs, thresholds, n_rows=n_rows, confidence=0.9)
    reached = [t for t in thresholds if (scores >= t).any()]
    assert_array_equal(curve["threshold"], reached)
    for i, threshold in enumerate(reached):
        answered = scores >= threshold
        n, d = answered.sum(), differs[answered].sum()
        assert_allclose(curve["coverage"][i], n / n_rows)
        assert_allclose(curve["disagreement"][i], d / n)
        upper = 1.0 if d == n else beta.ppf(0.9, d + 1, n - d)
        assert_allclose(curve["bound"][i], upper, rtol=1e-6)


def test_why_none_is_safe_tells_few_rows_from_much_disagreement():
    few = why_none_is_safe(100, np.zeros(100, bool), 0.01, 0.05)
    assert "100 rows were compared" in few and "299 are needed" in few
    much = why_none_is_safe(1_000, np.ones(1_000, bool), 0.01, 0.05)
    assert "disagree on 1000 of 1000 rows" in much
