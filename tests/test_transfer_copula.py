import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp, norm, spearmanr

from skdistill.transfer import GaussianCopulaSampler

R = np.array([[1.0, 0.7, -0.4], [0.7, 1.0, 0.0], [-0.4, 0.0, 1.0]])


def normal_rows(n_rows, seed=0):
    return np.random.default_rng(seed).multivariate_normal(np.zeros(3), R, n_rows)


@pytest.mark.parametrize("strength", [1.0, 0.3])
def test_copula_sampler_keeps_margins_and_rank_correlations(strength):
    Z = normal_rows(4_000)
    X = np.c_[np.exp(Z[:, 0]), Z[:, 1] ** 3, norm.cdf(Z[:, 2])]
    sampler = GaussianCopulaSampler(strength).fit(X)
    np.testing.assert_allclose(sampler.correlation_, R, atol=0.05)
    new = sampler.sample(20_000, random_state=0)
    for j in range(3):
        assert ks_2samp(new[:, j], X[:, j]).pvalue > 1e-3
    expected = spearmanr(X).statistic
    np.testing.assert_allclose(spearmanr(new).statistic, expected, atol=0.03)
    assert new.min() >= X.min()
    assert new.max() <= X.max()


def test_copula_sampler_undoes_what_coarse_columns_hide():
    Z = normal_rows(8_000)
    X = np.c_[Z[:, 0], np.digitize(Z[:, 1], [-0.5, 0.8]), np.digitize(Z[:, 2], [0.3])]
    sampler = GaussianCopulaSampler().fit(X)
    # the plain correlation of the scores would be .62, far outside
    np.testing.assert_allclose(sampler.correlation_, R, atol=0.05)
    new = sampler.sample(20_000, random_state=0)
    for j in (1, 2):
        seen, counts = np.unique(X[:, j], return_counts=True)
        drawn = [(new[:, j] == value).mean() for value in seen]
        np.testing.assert_allclose(drawn, counts / len(X), atol=0.015)


def test_copula_sampler_orders_categories_by_the_other_columns():
    rng = np.random.default_rng(0)
    level = rng.integers(5, size=3_000)
    names = np.array(["d", "a", "e", "b", "c"])[level]  # alphabet says nothing
    X = pd.DataFrame(
        {
            "x": level + rng.normal(scale=0.3, size=3_000),
            "z": level + rng.normal(scale=0.3, size=3_000),
            "name": pd.Categorical(names),
        }
    )
    new = GaussianCopulaSampler().fit(X).sample(5_000, random_state=0)
    means = new.groupby("name", observed=True)["x"].mean()
    np.testing.assert_allclose(means[["d", "a", "e", "b", "c"]], range(5), atol=0.25)


def test_copula_sampler_goes_as_far_as_its_strength():
    X = np.random.default_rng(0).normal(size=(2_000, 1))
    # one column: a new score is sqrt(1 - s^2) z + s g
    step = {}
    for strength in (0.1, 0.5):
        sampler = GaussianCopulaSampler(strength).fit(np.c_[X, np.arange(2_000) * 1e9])
        new = sampler.sample(2_000, random_state=0)
        step[strength] = new
        rows = np.random.RandomState(0).permutation(2_000)
        apart = np.corrcoef(new[:, 0], X[rows, 0])[0, 1]
        assert apart == pytest.approx(np.sqrt(1 - strength**2), abs=0.02)


def test_copula_sampler_gives_a_repeated_value_its_share():
    rng = np.random.default_rng(0)
    x = np.where(rng.random(3_000) < 0.4, 0.0, rng.exponential(size=3_000))
    new = GaussianCopulaSampler().fit(np.c_[x, rng.normal(size=3_000)])
    drawn = new.sample(10_000, random_state=0)[:, 0]
    assert (drawn == 0).mean() == pytest.approx((x == 0).mean(), abs=0.02)


def test_copula_sampler_bears_columns_that_say_the_same():
    x = np.random.default_rng(0).normal(size=200)
    X = np.c_[x, x, -x, np.ones(200)]
    sampler = GaussianCopulaSampler().fit(X)
    assert np.linalg.eigvalsh(sampler.correlation_).min() > -1e-9
    np.testing.assert_allclose(np.diag(sampler.correlation_), 1)
    new = sampler.sample(500, random_state=0)
    assert np.corrcoef(new[:, 0], new[:, 1])[0, 1] > 0.95
    assert np.corrcoef(new[:, 0], new[:, 2])[0, 1] < -0.95


def test_copula_sampler_shrinks_what_few_rows_cannot_tell():
    X = np.random.default_rng(0).normal(size=(20, 40))
    R = GaussianCopulaSampler().fit(X).correlation_
    raw = np.corrcoef(X, rowvar=False)
    away = ~np.eye(40, dtype=bool)
    assert np.abs(R[away]).mean() < 0.5 * np.abs(raw[away]).mean()


@pytest.mark.parametrize("strength", [0, 1.5])
def test_copula_sampler_refuses_bad_parameters(strength):
    with pytest.raises(ValueError, match="'strength' parameter of GaussianCopula"):
        GaussianCopulaSampler(strength).fit(np.eye(3))
