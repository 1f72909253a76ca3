import numpy as np
import pytest
from scipy.stats import ks_2samp
from sklearn.metrics import pairwise_distances

from benchmarks.datasets import load
from skdistill.transfer import MungeSampler


def naive_munge(X, p, s, n_samples, rng):
    """Algorithm 1 row by row, for numbers; one cell at least, the first row is kept."""
    D = pairwise_distances(X)
    np.fill_diagonal(D, np.inf)
    out = []
    for i in rng.integers(len(X), size=n_samples):
        e, other = X[i].copy(), X[D[i].argmin()]
        drawn = rng.random(X.shape[1]) < p
        if not drawn.any():
            drawn[rng.integers(X.shape[1])] = True
        for a in np.flatnonzero(drawn):
            e[a] = rng.normal(other[a], abs(e[a] - other[a]) / s)
        out.append(e)
    return np.array(out)


@pytest.mark.parametrize(("p", "s"), [(0.2, 1.0), (0.8, 3.0)])
def test_munge_sampler_draws_from_the_distribution_of_algorithm_one(p, s):
    rng = np.random.default_rng(0)
    # robustly scaled already, no value beyond 4: the neighbours are the naive ones
    X = rng.uniform(-1, 1, size=(60, 4))
    low, high = np.percentile(X, [25, 75], axis=0)
    X = (X - np.median(X, axis=0)) / ((high - low) / 1.35)
    new = MungeSampler(p=p, s=s).fit(X).sample(20_000, random_state=1)
    expected = naive_munge(X, p, s, 20_000, rng)
    projections = rng.normal(size=(4, 6))
    for a, b in (
        (new, expected),
        (new @ projections, expected @ projections),
        (new[:, :2] * new[:, 2:], expected[:, :2] * expected[:, 2:]),
    ):
        for j in range(a.shape[1]):
            assert ks_2samp(a[:, j], b[:, j]).pvalue > 1e-3


def test_munge_sampler_changes_a_share_p_of_the_cells():
    X = np.random.default_rng(0).normal(size=(300, 40))
    new = MungeSampler(p=0.3).fit(X).sample(300, random_state=0)
    kept = np.array([(X == row).sum(axis=1).max() for row in new])
    assert np.mean(kept) == pytest.approx(0.7 * 40, rel=0.02)


def test_munge_sampler_comes_nearer_as_s_grows():
    X = np.random.default_rng(0).normal(size=(50, 2))
    new = MungeSampler(p=1.0, s=1e9).fit(X).sample(500, random_state=0)
    # every cell became the neighbour's, whose own row is the nearest
    assert pairwise_distances(new, X).min(axis=1).max() < 1e-6


def test_munge_sampler_swaps_what_it_cannot_mix():
    X = (
        np.tile([[0.1, 5.0], [0.7, 6.0]], (20, 1))
        + [[0, 1e-3]] * np.arange(40)[:, None]
    )
    new = MungeSampler(p=0.9).fit(X).sample(500, random_state=0)
    assert set(new[:, 0]) == {0.1, 0.7}


@pytest.mark.parametrize("n_rows", [2, 3, 5, 11])
def test_munge_sampler_searches_in_blocks_of_any_size(n_rows):
    X = np.random.default_rng(0).normal(size=(n_rows, 3))
    new = MungeSampler(block_size=2).fit(X).sample(20, random_state=0)
    assert new.shape == (20, 3)


def test_munge_sampler_returns_no_given_row_after_rounding_to_single_precision():
    # neighbours are one step of single precision apart, so most draws round to a value
    # that is there
    steps = np.float32(1) + np.arange(64, dtype=np.float32) * np.float32(2**-23)
    X = np.c_[steps, np.tile(np.float32([0.25, 0.5]), 32)].astype(np.float32)
    new = MungeSampler(p=0.9).fit(X).sample(50, random_state=0)
    assert not set(map(tuple, new)) & set(map(tuple, X))


def test_munge_sampler_stays_near_real_rows():
    try:
        X, _ = load("letter", n_rows=3_000)
    except ModuleNotFoundError as error:
        pytest.skip(str(error))
    new = MungeSampler().fit(X).sample(2_000, random_state=0)
    assert set(np.unique(new)) <= set(range(16))
    rng = np.random.default_rng(0)
    marginal = np.column_stack([rng.permutation(column) for column in X.T])[:2_000]
    near = pairwise_distances(new, X).min(axis=1).mean()
    assert near < 0.5 * pairwise_distances(marginal, X).min(axis=1).mean()


@pytest.mark.parametrize("params", [{"p": 0}, {"p": 1.1}, {"s": 0}, {"block_size": 1}])
def test_munge_sampler_refuses_bad_parameters(params):
    with pytest.raises(ValueError, match=f"{next(iter(params))!r} parameter of Munge"):
        MungeSampler(**params).fit(np.eye(3))


def test_munge_sampler_mixes_with_any_of_several_neighbours():
    # a row and its two neighbours, in corners whose cells only they have
    X = np.array([[0.0, 0.0], [1.1, 0.1], [0.3, 2.4]])
    start = np.resize(np.random.RandomState(0).permutation(3), 6_000)
    for n_neighbors in (1, 2):
        # at s = 1000 a cell that is drawn anew is all but the neighbour's
        sampler = MungeSampler(p=0.5, s=1e3, n_neighbors=n_neighbors).fit(X)
        new = sampler.sample(6_000, random_state=0)[start == 0]
        taken = np.abs(new[:, np.newaxis] - X).argmin(axis=1)[new != X[0]]
        share = np.mean(taken == 2)
        assert share == pytest.approx({1: 0.0, 2: 0.5}[n_neighbors], abs=0.05)


def test_munge_sampler_takes_no_more_neighbours_than_there_are():
    X = np.random.default_rng(0).normal(size=(4, 3))
    new = MungeSampler(n_neighbors=50).fit(X).sample(100, random_state=0)
    assert new.shape == (100, 3)
    assert np.isfinite(new).all()
