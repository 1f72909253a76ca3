import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.metrics import pairwise_distances

from skdistill.transfer import _neighbours
from skdistill.transfer._neighbours import nearest


def distances(points, neighbours):
    steps = points[:, None].astype(np.float64) - points[neighbours]
    return np.sqrt((steps**2).sum(axis=2))


def expected_distances(points, width):
    D = pairwise_distances(points.astype(np.float64))
    np.fill_diagonal(D, np.inf)
    return np.sort(D, axis=1)[:, :width]


@pytest.mark.parametrize("n_points", [2, 9, 100, 700])
@pytest.mark.parametrize("width", [1, 8])
@pytest.mark.parametrize("n_dimensions", [2, 6, 7, 40])
def test_nearest_finds_all_nearest_others(n_points, width, n_dimensions, monkeypatch):
    # small tiles: several of each kind, a short one at the end, sorting on the way
    monkeypatch.setattr(_neighbours, "N_QUERIES", 32)
    monkeypatch.setattr(_neighbours, "N_OTHERS", 96)
    points = np.random.default_rng(0).normal(size=(n_points, n_dimensions))
    points = points.astype(np.float32)
    width = min(width, n_points - 1)
    neighbours = nearest(points, width, 10_000)
    assert neighbours.shape == (n_points, width)
    assert not (neighbours == np.arange(n_points)[:, None]).any()
    expected = expected_distances(points, width)
    np.testing.assert_allclose(distances(points, neighbours), expected, rtol=1e-5)


@pytest.mark.parametrize("n_dimensions", [3, 12])
def test_nearest_bears_many_equal_distances(n_dimensions, monkeypatch):
    monkeypatch.setattr(_neighbours, "N_QUERIES", 32)
    monkeypatch.setattr(_neighbours, "N_OTHERS", 96)
    points = np.random.default_rng(0).integers(2, size=(500, n_dimensions))
    points = points.astype(np.float32)
    neighbours = nearest(points, 8, 10_000)
    assert all(len(set(line)) == 8 for line in neighbours)
    assert not (neighbours == np.arange(500)[:, None]).any()
    expected = expected_distances(points, 8)
    np.testing.assert_allclose(distances(points, neighbours), expected, atol=1e-6)


def test_nearest_ranks_points_that_are_far_away_and_close_together():
    # the matrix product alone, in single precision, cannot tell these apart
    points = 4 + 1e-3 * np.random.default_rng(0).normal(size=(60, 20))
    points = np.vstack([points, -points]).astype(np.float32)
    neighbours = nearest(points, 1, 10_000)
    found, expected = distances(points, neighbours), expected_distances(points, 1)
    assert np.median(found / expected) < 1.5


@pytest.mark.parametrize(("n_points", "block_size"), [(11, 4), (200, 50), (5, 2)])
def test_nearest_stays_within_blocks(n_points, block_size):
    points = np.random.default_rng(0).normal(size=(n_points, 3)).astype(np.float32)
    neighbours = nearest(points, 3, block_size)
    groups = {frozenset([i, *line]) for i, line in enumerate(neighbours)}
    while True:  # join what shares a point
        a, b = next(
            ((a, b) for a in groups for b in groups if a != b and a & b), (None, None)
        )
        if a is None:
            break
        groups -= {a, b}
        groups.add(a | b)
    assert max(map(len, groups)) <= max(block_size, 3)


def test_nearest_finds_nobody_for_one_point():
    assert nearest(np.zeros((1, 3), dtype=np.float32), 8, 100).shape == (1, 0)


def test_more_neighbours_than_a_tile_has_points():
    points = np.random.default_rng(0).normal(size=(2500, 8)).astype(np.float32)
    found = nearest(points, 2100, 10_000)
    D = pairwise_distances(points[:3].astype(np.float64), points.astype(np.float64))
    for i in range(3):
        assert i not in found[i]
        farthest = np.sort(np.delete(D[i], i))[2099]
        assert_allclose(D[i, found[i]].max(), farthest, rtol=1e-5)
