import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import pairwise_distances

from benchmarks.datasets import load
from skdistill.transfer import (
    GaussianCopulaSampler,
    MungeSampler,
    off_manifold_rate,
)


def test_off_manifold_rate_is_the_share_beyond_the_quantile():
    rng = np.random.default_rng(0)
    X, new = rng.uniform(-1, 1, size=(400, 3)), rng.uniform(-1.3, 1.3, size=(300, 3))
    spread = np.subtract(*np.percentile(X, [75, 25], axis=0)) / 1.35
    own = pairwise_distances(X / spread)
    np.fill_diagonal(own, np.inf)
    q = np.quantile(own.min(axis=1), 0.9)
    expected = (pairwise_distances(new / spread, X / spread).min(axis=1) > q).mean()
    assert off_manifold_rate(X, new, quantile=0.9) == pytest.approx(expected, abs=0.01)
    part = off_manifold_rate(X, new, quantile=0.9, max_rows=200)
    assert part == pytest.approx(expected, abs=0.1)
    assert part != expected


def test_off_manifold_rate_of_real_rows_is_what_the_quantile_leaves():
    X = np.random.default_rng(0).normal(size=(8_000, 4))
    rate = off_manifold_rate(X[:4_000], X[4_000:])
    assert rate == pytest.approx(0.05, abs=0.015)


def test_off_manifold_rate_tells_near_from_far_on_a_real_table():
    try:
        X, _ = load("adult", n_rows=3_000)
    except ModuleNotFoundError as error:
        pytest.skip(str(error))
    near = MungeSampler().fit(X).sample(2_000, random_state=0)
    far = GaussianCopulaSampler().fit(X).sample(2_000, random_state=0)
    assert off_manifold_rate(X, near) < 0.05 < off_manifold_rate(X, far)


def test_off_manifold_rate_does_not_count_a_row_as_its_own_neighbour_or_twin():
    X = np.repeat(np.arange(40.0)[:, None] ** 2, 3, axis=0)
    # were twins neighbours, every new row would be off
    assert off_manifold_rate(X, X + 0.25) < 0.2


def test_off_manifold_rate_takes_an_unknown_category_for_a_missing_one():
    X = pd.DataFrame({"c": list("ab") * 50, "x": np.arange(100.0) // 2})
    new = X.head(10)
    known = off_manifold_rate(X, new)
    unknown = off_manifold_rate(X, new.assign(c="z"))
    missing = off_manifold_rate(X, new.assign(c=None))
    assert known == 0
    assert unknown == missing == 1


@pytest.mark.parametrize(
    ("X", "X_new", "params", "error", "message"),
    [
        (np.eye(3), np.eye(2), {}, ValueError, r"got shapes \(3, 3\) and \(2, 2\)"),
        (np.eye(3), np.empty((0, 3)), {}, ValueError, "at least one, got 3 and 0"),
        (np.ones((3, 2)), np.eye(2), {}, ValueError, "got 1 and 2"),
        (np.eye(2), pd.DataFrame(np.eye(2)), {}, TypeError, "got ndarray and DataF"),
        (
            pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"b": [1]}), {}, ValueError,
            r"got \['a'\] and \['b'\]",
        ),
        (["a"], ["b"], {}, TypeError, "numeric array or a data frame"),
        (np.eye(2), np.eye(2), {"quantile": 1}, ValueError, "between 0 and 1, got 1"),
        (np.eye(2), np.eye(2), {"max_rows": 0}, ValueError, "at least 1, got 0"),
    ],
)  # fmt: skip
def test_off_manifold_rate_refuses_what_it_cannot_compare(
    X, X_new, params, error, message
):
    with pytest.raises(error, match=message):
        off_manifold_rate(X, X_new, **params)
