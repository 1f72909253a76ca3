import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn.base import clone

from skdistill.transfer import UnlabelledPool, check_pool


def test_unlabelled_pool_is_shared_by_clones():
    rows = np.ones((4, 2))
    pool = UnlabelledPool(rows)
    assert clone(pool).X is rows


def test_unlabelled_pool_draws_without_repetition():
    pool = UnlabelledPool(pd.DataFrame({"a": range(10)})).fit(pd.DataFrame({"a": [1]}))
    drawn = pool.sample(6, random_state=0)
    assert drawn["a"].is_unique
    assert len(drawn) == 6
    pd.testing.assert_frame_equal(drawn, pool.sample(6, random_state=0))
    assert pool.sample(99) is pool.X


@pytest.mark.parametrize(
    ("X", "pool"),
    [
        (np.eye(2), np.ones((5, 2))),
        (sparse.csr_array(np.eye(2)), sparse.csr_array(np.ones((1, 2)))),
        (["a", "b"], ["c"]),
        (pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [2, 3]})),
    ],
)
def test_check_pool_takes_rows_of_the_same_kind(X, pool):
    assert check_pool(X, pool) is None


@pytest.mark.parametrize(
    ("X", "pool", "message"),
    [
        (np.eye(2), np.empty((0, 2)), "at least one row, got 0 rows"),
        (np.eye(2), np.eye(3), r"got shape \(3, 3\) where X has shape \(2, 2\)"),
        (np.eye(2), pd.DataFrame({"a": [1]}), r"same kind as X \(ndarray\), got Data"),
        (pd.DataFrame({"a": [1]}), np.eye(1), r"same kind as X \(DataFrame\), got nd"),
        (
            pd.DataFrame({"a": [1], "b": [2]}),
            pd.DataFrame({"b": [1], "a": [2]}),
            r"in their order, \['a', 'b'\], got \['b', 'a'\] \(first difference: col",
        ),
        (
            pd.DataFrame(np.eye(300)).add_prefix("c"),
            pd.DataFrame(np.eye(300)[:, :299]).add_prefix("c"),
            r"'c9'\] and 290 more, got .*'c9'\] and 289 more\. Select",
        ),
        (pl.DataFrame({"a": [1]}), pl.DataFrame({"b": [1]}), "must have the columns"),
    ],
)
def test_check_pool_refuses_other_rows(X, pool, message):
    with pytest.raises(ValueError, match=message):
        check_pool(X, pool)


@pytest.mark.parametrize("n_samples", [-1, 2.5, None])
def test_pool_refuses_a_number_of_rows(n_samples):
    with pytest.raises(ValueError, match="n_samples must be a whole number"):
        UnlabelledPool(np.zeros((5, 2))).sample(n_samples)
