import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import log_loss

from skdistill.soft_targets import kl_rows, log_loss_rows, mix, one_hot, temper
from skdistill.soft_targets._arithmetic import mean_and_se


def draw(n_rows, n_classes, seed=0, scale=2.0):
    """Probabilities and labels drawn from them."""
    rng = np.random.default_rng(seed)
    P = softmax(rng.normal(scale=scale, size=(n_rows, n_classes)), axis=1)
    codes = (P.cumsum(axis=1) > rng.random((n_rows, 1))).argmax(axis=1)
    return P, codes


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


def test_mean_and_se_are_those_of_the_sample_and_of_copies():
    values = np.random.default_rng(0).normal(size=50)
    mean, se = mean_and_se(values)
    assert mean == pytest.approx(values.mean())
    assert se == pytest.approx(values.std(ddof=1) / np.sqrt(50))
    scaled = mean_and_se(values, np.full(50, 1e300))
    assert scaled == pytest.approx((mean, se))
    weight = np.r_[np.ones(25), np.zeros(25)]
    assert mean_and_se(values, weight) == pytest.approx(mean_and_se(values[:25]))
