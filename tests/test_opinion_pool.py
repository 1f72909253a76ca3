import numpy as np
import pytest
from scipy.optimize import minimize

from skdistill.teachers._opinion_pool import (
    TOLERANCE,
    check_weights,
    log_score_weights,
    pool,
)


def draw(n_rows, n_members, seed=0):
    """Probabilities that members gave to each row's label."""
    return list(np.random.default_rng(seed).beta(2, 1, size=(n_members, n_rows)))


def test_pool_is_the_weighted_mean():
    P, Q = np.array([[0.2, 0.8]]), np.array([[0.6, 0.4]])
    np.testing.assert_allclose(pool([P, Q], [0.25, 0.75]), [[0.5, 0.5]])


def test_pool_takes_rows_that_some_do_not_answer_from_the_others():
    P = np.array([[0.2, 0.8], [np.nan, np.nan], [0.1, 0.9], [np.nan, np.nan]])
    Q = np.array([[0.6, 0.4], [0.3, 0.7], [np.nan, np.nan], [np.nan, np.nan]])
    R = np.array([[0.0, 1.0], [0.9, 0.1], [np.nan, np.nan], [np.nan, np.nan]])
    pooled = pool([P, Q, R], [0.5, 0.25, 0.25])
    expected = [[0.25, 0.75], [0.6, 0.4], [0.1, 0.9], [np.nan, np.nan]]
    np.testing.assert_allclose(pooled, expected)


def test_check_weights_normalises_and_defaults_to_equal_ones():
    np.testing.assert_allclose(check_weights([1, 3], 2), [0.25, 0.75])
    np.testing.assert_allclose(check_weights(None, 4), [0.25] * 4)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0], r"one entry for each of the 2 teachers, got shape \(1,\)"),
        ([[1.0, 1.0]], "got shape"),
        ([1.0, -0.1], r"not negative, .* got \[1\.0, -0\.1\]"),
        ([0.0, 0.0], "one of them positive"),
        ([np.nan, 1.0], "must be finite"),
    ],
)
def test_check_weights_refuses_what_are_no_weights(weights, message):
    with pytest.raises(ValueError, match=message):
        check_weights(weights, 2)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_members", [2, 5])
def test_log_score_weights_have_the_highest_log_score(n_members, weighted):
    scores = draw(400, n_members)
    v = np.random.default_rng(1).random(400) if weighted else np.ones(400)
    p = np.stack(scores)

    def loss(w):
        return -np.average(np.log(w @ p), weights=v)

    other = minimize(
        loss,
        np.full(n_members, 1 / n_members),
        method="SLSQP",
        bounds=[(0, 1)] * n_members,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
    )
    found = log_score_weights(scores, v if weighted else None)
    assert found.sum() == pytest.approx(1)
    assert loss(found) <= other.fun + 2 * TOLERANCE


def test_log_score_weights_of_a_better_member_are_one():
    good, bad = np.full(50, 0.9), np.full(50, 0.2)
    np.testing.assert_array_equal(log_score_weights([bad, good]), [0, 1])


def test_log_score_weights_of_equals_are_equal():
    np.testing.assert_allclose(log_score_weights([np.full(9, 0.3)] * 3), [1 / 3] * 3)


def test_log_score_weights_mix_members_that_know_different_things():
    # each is sure and right in one half, and has no idea in the other
    half = np.repeat([0.99, 0.5], 100)
    np.testing.assert_allclose(log_score_weights([half, half[::-1]]), 0.5, atol=0.01)


def test_log_score_weights_use_rows_that_all_answer_and_that_count():
    scores = [np.array([0.9, 0.1, np.nan, 0.1]), np.array([0.5, 0.9, 0.9, np.nan])]
    weight = np.array([1.0, 0.0, 1.0, 1.0])
    np.testing.assert_array_equal(log_score_weights(scores, weight), [1, 0])
    with pytest.raises(ValueError, match="needs rows that all teachers answer, got no"):
        log_score_weights([np.array([np.nan, 0.1]), np.array([0.1, np.nan])])


def test_log_score_weights_bear_labels_that_are_impossible_to_some_or_all():
    scores = [np.array([0.0, 0.0, 0.9]), np.array([0.0, 0.5, 0.5])]
    weights = log_score_weights(scores)
    # maximum of log(w_1 / 2) + log(.9 - .4 w_1)
    np.testing.assert_array_equal(weights, [0, 1])
