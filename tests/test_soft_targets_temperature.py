import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from skdistill.soft_targets import (
    fit_temperature,
    log_loss_rows,
    one_hot,
    probability_floor,
    temper,
)
from skdistill.soft_targets._temperature import halves_temperature


def draw(n_rows, n_classes, seed=0, scale=2.0):
    """Probabilities and labels drawn from them."""
    rng = np.random.default_rng(seed)
    P = softmax(rng.normal(scale=scale, size=(n_rows, n_classes)), axis=1)
    codes = (P.cumsum(axis=1) > rng.random((n_rows, 1))).argmax(axis=1)
    return P, codes


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


def test_probability_floor_is_half_a_vote_of_a_forest():
    votes = np.random.default_rng(0).multinomial(50, [0.02, 0.1, 0.88], size=200)
    assert probability_floor(votes / 50) == pytest.approx(1 / 100)
    assert probability_floor(np.eye(2)) == pytest.approx(0.05)  # never above .1 / K


def test_halves_temperature_finds_the_temperature_and_holds_out():
    rng = np.random.RandomState(0)
    P = rng.dirichlet([0.5, 0.5, 0.5], size=4000)
    codes = (rng.random_sample(4000)[:, None] > P.cumsum(axis=1)).sum(axis=1)
    T, tempered = halves_temperature(temper(P, 2.0), codes)
    assert T == pytest.approx(0.5, rel=0.1)
    assert_allclose(tempered, P, atol=0.05)
    # labels of one half do not touch this half
    other = np.array(codes)
    other[:400:2] = (other[:400:2] + 1) % 3
    _, changed = halves_temperature(temper(P, 2.0), other)
    assert_allclose(changed[::2], tempered[::2])


@pytest.mark.parametrize("n_rows", [40, 400])
@pytest.mark.parametrize("weighted", [False, True])
def test_halves_temperature_is_modest_where_all_rows_are_right(n_rows, weighted):
    rng = np.random.RandomState(0)
    P = np.sort(rng.dirichlet([1.0, 1.0, 6.0], size=n_rows), axis=1)
    codes = np.full(n_rows, 2)
    weight = np.full(n_rows, 3.0) if weighted else None
    T, tempered = halves_temperature(P, codes, sample_weight=weight)
    assert fit_temperature(P, codes) == pytest.approx(0.05)  # likelihood alone: no end
    assert 0.1 < T < 1
    # about as sure as one who may miss one row in n + 2
    for Q, n in ((temper(P, T), n_rows), (tempered, n_rows / 2)):
        missed = 1 - Q.max(axis=1).mean()
        assert 0.3 / (n + 2) < missed < 10 / (n + 2)


def test_halves_temperature_leaves_what_fits():
    rng = np.random.RandomState(0)
    P = rng.dirichlet([1.0, 1.0], size=60)
    noise = rng.randint(2, size=60)  # labels that one temperature cannot explain twice
    T, same = halves_temperature(P, noise)
    loss = log_loss_rows(same, noise).mean()
    assert loss <= log_loss_rows(P, noise).mean()
    one_sided = np.where(np.arange(60) % 2 == 0, 1.0, 0.0)  # one half weighs nothing
    T, same = halves_temperature(P, noise, sample_weight=one_sided)
    assert T == 1.0 and same is P


@pytest.mark.parametrize(
    "P, codes, weight, error, said",
    [
        ([[0.5, 0.5]], [2], None, ValueError, "between 0 and 1"),
        ([[0.5, 0.5]], [0, 1], None, ValueError, "one code for each row"),
        ([[0.5, 0.5]], ["a"], None, TypeError, "integers"),
        ([[0.5, 0.9]], [0], None, ValueError, "sum to 1"),
        ([[2.0, -1.0]], [0], None, ValueError, "lie between 0 and 1"),
        ([0.5, 0.5], [0, 1], None, ValueError, "two columns|Two classes"),
        ([[np.nan, 0.5]], [0], None, ValueError, "finite"),
        ([[0.5, 0.5]], [0], [0.0], ValueError, "greater than 0|non-zero"),
    ],
)
def test_temperature_refuses_what_are_no_labelled_probabilities(
    P, codes, weight, error, said
):
    with pytest.raises(error, match=said):
        fit_temperature(P, codes, sample_weight=weight)


def test_temperature_takes_lists_and_leaves_rows_of_weight_zero_out():
    rng = np.random.RandomState(0)
    P = rng.dirichlet([1, 1], size=50)
    codes = (rng.random_sample(50) < P[:, 1]).astype(int)
    found = fit_temperature(P.tolist(), codes.tolist())
    assert found == fit_temperature(P, codes)
    weight = np.r_[np.ones(50), np.zeros(50)]
    twice = np.concatenate([P, P[::-1]]), np.concatenate([codes, 1 - codes])
    assert fit_temperature(*twice, sample_weight=weight) == pytest.approx(found)
