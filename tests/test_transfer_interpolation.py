import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import pairwise_distances

from skdistill.transfer import InterpolationSampler


def pairs_around(new, X):
    """Shares t and pairs (e, e') of the segment that each new row is on."""
    i, j = np.triu_indices(len(X), 1)
    way = X[j] - X[i]
    t = ((new[:, None] - X[i]) * way).sum(axis=2) / (way**2).sum(axis=1)
    off = np.abs(new[:, None] - X[i] - t[..., None] * way).max(axis=2)
    at = off.argmin(axis=1)
    assert off.min(axis=1).max() < 1e-9
    return t[np.arange(len(new)), at], i[at], j[at]


def test_interpolation_sampler_stays_between_a_row_and_a_near_one():
    X = np.random.default_rng(0).uniform(-1, 1, size=(30, 3))
    # equally spread columns: the neighbours are those of the rows as they are
    X = (X - np.median(X, axis=0)) / np.subtract(*np.percentile(X, [75, 25], axis=0))
    new = InterpolationSampler(n_neighbors=2).fit(X).sample(400, random_state=0)
    t, i, j = pairs_around(new, X)
    assert t.min() > 0
    assert t.max() < 1
    D = pairwise_distances(X)
    rank = D.argsort(axis=1).argsort(axis=1)
    assert np.minimum(rank[i, j], rank[j, i]).max() == 2
    assert len(set(zip(i, j, strict=True))) > 25


def test_interpolation_sampler_mixes_any_two_rows_without_neighbours():
    X = np.random.default_rng(0).normal(size=(12, 4))
    new = InterpolationSampler(n_neighbors=None).fit(X).sample(2_000, random_state=0)
    _, i, j = pairs_around(new, X)
    assert len(set(zip(i, j, strict=True))) == 12 * 11 / 2


@pytest.mark.parametrize(("concentration", "variance"), [(1.0, 1 / 12), (0.2, 1 / 5.6)])
def test_interpolation_sampler_draws_shares_from_a_beta_distribution(
    concentration, variance
):
    X = np.array([[0.1, 0.2], [1.3, 2.1], [9.4, 1.2]])
    sampler = InterpolationSampler(n_neighbors=None, concentration=concentration)
    t, _, _ = pairs_around(sampler.fit(X).sample(20_000, random_state=0), X)
    # the variance of Beta(c, c) is 1 / (4 (2 c + 1))
    assert t.mean() == pytest.approx(0.5, abs=0.02)
    assert t.var() == pytest.approx(variance, rel=0.05)


def test_interpolation_sampler_swaps_categories_in_the_share_of_the_numbers():
    x = np.array([0.1, 1.1, 50.1, 51.1])
    X = pd.DataFrame({"x": x, "c": pd.Categorical(list("abcd"))})
    new = InterpolationSampler(n_neighbors=1).fit(X).sample(20_000, random_state=0)
    near = new[new["x"] < 1.1]
    assert set(near["c"]) == {"a", "b"}
    share = (near["c"] == "b").groupby(np.floor(4 * (near["x"] - 0.1))).mean()
    # P(b | t) = t from a's side and from b's
    np.testing.assert_allclose(share, [1 / 8, 3 / 8, 5 / 8, 7 / 8], atol=0.03)


def test_interpolation_sampler_swaps_columns_of_two_values():
    X = np.c_[np.tile([0.1, 0.7], 20), np.random.default_rng(0).normal(size=40)]
    new = InterpolationSampler(n_neighbors=None).fit(X).sample(500, random_state=0)
    assert set(new[:, 0]) == {0.1, 0.7}


def test_interpolation_sampler_keeps_a_cell_whose_mate_is_missing():
    x = np.random.default_rng(0).uniform(size=30)
    X = np.c_[x, 1 + 2 * x]
    X[::3, 1] = np.nan
    new = InterpolationSampler(n_neighbors=None).fit(X).sample(3_000, random_state=0)
    given = ~np.isnan(new[:, 1])
    kept = np.isin(new[:, 1], X[:, 1]) & given
    # two rows of three have the cell, and so has one mate of three not
    assert given.mean() == pytest.approx(2 / 3, abs=0.03)
    assert kept[given].mean() == pytest.approx(1 / 3, abs=0.03)
    mixed = new[given & ~kept]
    np.testing.assert_allclose(mixed[:, 1], 1 + 2 * mixed[:, 0])


@pytest.mark.parametrize(
    "params", [{"n_neighbors": 0}, {"concentration": 0}, {"block_size": 1}]
)
def test_interpolation_sampler_refuses_bad_parameters(params):
    with pytest.raises(ValueError, match=f"{next(iter(params))!r} parameter of Interp"):
        InterpolationSampler(**params).fit(np.eye(3))
