import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from scipy.stats import ks_2samp
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import pairwise_distances

from benchmarks.datasets import load
from skdistill.transfer import MungeSampler, UnlabelledPool, check_pool


def mixed_table(n_rows=200, seed=0):
    """Every kind of column that a pandas table of ours may have."""
    rng = np.random.default_rng(seed)
    some = rng.random(n_rows) < 0.2
    words = np.array(["x", "y", "z"])[rng.integers(3, size=n_rows)]
    floats = rng.normal(size=n_rows)
    return pd.DataFrame(
        {
            "float": floats,
            "single": rng.normal(size=n_rows).astype(np.float32),
            "missing": np.where(some, np.nan, rng.normal(size=n_rows)),
            "nullable": pd.array(floats, dtype="Float64"),
            "count": rng.poisson(5, size=n_rows),
            "small": rng.integers(200, size=n_rows).astype(np.uint8),
            "nullable_count": pd.array(rng.integers(9, size=n_rows), dtype="Int64"),
            "category": pd.Categorical(words, categories=list("zyxw")),
            "string": pd.array(words, dtype="string"),
            "word": np.where(some, None, words),
            "yes": rng.random(n_rows) < 0.5,
            "day": pd.Timestamp("2020-01-01")
            + pd.to_timedelta(rng.integers(9, size=n_rows), unit="D"),
            "constant": 3.5,
            "nothing": np.nan,
        }
    ).mask(lambda t: pd.DataFrame({c: some & (c == "nullable") for c in t}))


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


# -- the rule --------------------------------------------------------------------------


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


# -- what it must never do -------------------------------------------------------------


def keys(table):
    return set(map(tuple, table))


@pytest.mark.parametrize("kind", ["numbers", "whole numbers", "categories"])
def test_munge_sampler_returns_no_given_row(kind):
    rng = np.random.default_rng(0)
    X = {
        "numbers": rng.normal(size=(200, 2)),
        "whole numbers": rng.integers(6, size=(200, 4)).astype(float),
        "categories": rng.integers(4, size=(300, 6)),
    }[kind]
    if kind == "categories":
        X = pd.DataFrame(X).rename(columns="c{}".format).astype(str).astype("category")
    new = MungeSampler().fit(X).sample(2_000, random_state=0)
    assert len(new) == 2_000
    assert not keys(np.asarray(X)) & keys(np.asarray(new))


def test_munge_sampler_finds_new_rows_in_a_crowded_categorical_table():
    # 110 of 128 possible rows are there, each three times: twins and near neighbours
    # offer nothing, farther ones do.
    grid = np.array(np.meshgrid(*[[0.0, 1.0]] * 7)).reshape(7, -1).T
    rng = np.random.default_rng(0)
    rng.shuffle(grid)
    X = np.repeat(grid[:110], 3, axis=0)
    new = MungeSampler(p=0.5).fit(X).sample(200, random_state=0)
    assert len(new) >= 50
    assert keys(new) <= keys(grid[110:])


@pytest.mark.parametrize(
    "X",
    [
        np.array([[0, 0], [0, 1], [1, 0], [1, 1]]),
        np.ones((5, 3)),
        np.full((5, 3), np.nan),
        pd.DataFrame({"a": ["x", "y", "y"]}),
    ],
)
def test_munge_sampler_returns_nothing_where_no_new_row_exists(X):
    new = MungeSampler().fit(X).sample(10, random_state=0)
    assert type(new) is type(X)
    assert new.shape == (0, X.shape[1])


def test_munge_sampler_keeps_discrete_columns_on_observed_values():
    X = mixed_table()
    new = MungeSampler(p=0.6).fit(X).sample(1_000, random_state=0)
    for name in X.columns:
        if name not in {"float", "single", "missing", "nullable"}:
            assert set(new[name].dropna()) <= set(X[name].dropna()), name
    assert len(set(new["float"]) - set(X["float"])) > 100


def test_munge_sampler_keeps_numbers_as_large_as_an_identifier():
    rng = np.random.default_rng(0)
    X = np.c_[rng.permutation(10**9 + np.arange(500)), rng.integers(9, size=500)]
    new = MungeSampler(p=0.5).fit(X).sample(1_000, random_state=0)
    assert new.dtype == X.dtype
    assert set(new[:, 0]) <= set(X[:, 0])


# -- kinds of tables -------------------------------------------------------------------


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_munge_sampler_keeps_columns_dtypes_and_missing_cells(library):
    X = mixed_table()
    if library != "pandas":
        X = pl.from_pandas(X)
        X = X if library == "polars" else X.to_arrow()
    new = MungeSampler(p=0.3).fit(X).sample(400, random_state=0)
    assert type(new) is type(X)
    if library == "pyarrow":
        assert new.schema == X.schema
        return
    assert list(new.columns) == list(X.columns)
    assert list(new.dtypes) == list(X.dtypes)
    missing = {
        name: np.mean([v is None or v != v for v in np.asarray(new[name], dtype=object)
                       if v is not pd.NA] or [1.0])
        for name in ("nothing", "constant")
    }  # fmt: skip
    assert missing == {"nothing": 1.0, "constant": 0.0}


def test_munge_sampler_keeps_the_missing_pattern_of_the_copied_row():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 4))
    X[:50, 1] = np.nan
    X[25:75, 3] = np.nan
    X[:, 0] = np.arange(100) / 7  # tells which row was copied where it is kept
    new = MungeSampler(p=0.3).fit(X).sample(2_000, random_state=0)
    copied = np.isin(new[:, 0], X[:, 0])
    assert copied.mean() > 0.5
    source = np.searchsorted(X[:, 0], new[copied, 0])
    np.testing.assert_array_equal(np.isnan(new[copied]), np.isnan(X[source]))
    nullable = mixed_table()
    drawn = MungeSampler().fit(nullable).sample(400, random_state=0)
    assert drawn["nullable"].isna().mean() == pytest.approx(0.2, abs=0.1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.uint8, bool])
@pytest.mark.parametrize("order", ["C", "F"])
def test_munge_sampler_keeps_the_dtype_of_an_array(dtype, order):
    X = np.random.default_rng(0).integers(2 if dtype is bool else 50, size=(80, 9))
    X = np.asarray(X, dtype=dtype, order=order)
    new = MungeSampler().fit(X).sample(100, random_state=0)
    assert new.dtype == X.dtype
    assert not keys(new) & keys(X)


def test_munge_sampler_returns_no_given_row_after_rounding_to_single_precision():
    # neighbours are one step of single precision apart, so most draws round to a value
    # that is there
    steps = np.float32(1) + np.arange(64, dtype=np.float32) * np.float32(2**-23)
    X = np.c_[steps, np.tile(np.float32([0.25, 0.5]), 32)].astype(np.float32)
    new = MungeSampler(p=0.9).fit(X).sample(50, random_state=0)
    assert not keys(new) & keys(X)


def test_munge_sampler_takes_one_column_and_equal_rows():
    X = np.repeat(np.random.default_rng(0).normal(size=(20, 1)), 5, axis=0)
    new = MungeSampler().fit(X).sample(300, random_state=0)
    assert new.shape == (300, 1)
    assert not keys(new) & keys(X)


@pytest.mark.parametrize("n_rows", [2, 3, 5, 11])
def test_munge_sampler_searches_in_blocks_of_any_size(n_rows):
    X = np.random.default_rng(0).normal(size=(n_rows, 3))
    new = MungeSampler(block_size=2).fit(X).sample(20, random_state=0)
    assert new.shape == (20, 3)


def test_munge_sampler_starts_from_a_plain_index():
    X = mixed_table().set_index(pd.Index(range(1000, 1200)))
    new = MungeSampler().fit(X).sample(30, random_state=0)
    assert new.index.tolist() == list(range(30))


def test_munge_sampler_stays_near_real_rows():
    X, _ = _load("letter", 3_000)
    new = MungeSampler().fit(X).sample(2_000, random_state=0)
    assert set(np.unique(new)) <= set(range(16))
    rng = np.random.default_rng(0)
    marginal = np.column_stack([rng.permutation(column) for column in X.T])[:2_000]
    near = pairwise_distances(new, X).min(axis=1).mean()
    assert near < 0.5 * pairwise_distances(marginal, X).min(axis=1).mean()


# -- seeds and errors ------------------------------------------------------------------


def test_munge_sampler_is_a_function_of_its_seed():
    X = mixed_table()
    sampler = MungeSampler().fit(X)
    first = sampler.sample(50, random_state=3)
    pd.testing.assert_frame_equal(first, sampler.sample(50, random_state=3))
    again = clone(sampler).fit(X).sample(50, random_state=np.random.RandomState(3))
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(sampler.sample(50, random_state=4))


def test_munge_sampler_takes_columns_named_by_numbers():
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 3)), columns=[2, 0, 1])
    new = MungeSampler().fit(X).sample(10, random_state=0)
    expected = MungeSampler().fit(X.to_numpy()).sample(10, random_state=0)
    pd.testing.assert_frame_equal(new, pd.DataFrame(expected, columns=[2, 0, 1]))


def test_munge_sampler_leaves_its_input_alone():
    X = mixed_table()
    before = X.copy(deep=True)
    MungeSampler().fit(X).sample(50, random_state=0)
    pd.testing.assert_frame_equal(X, before)


def test_munge_sampler_draws_no_rows_when_asked_for_none():
    assert MungeSampler().fit(np.eye(4)).sample(0, random_state=0).shape == (0, 4)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (np.ones((1, 3)), ValueError, "at least 2 samples .* got 1 sample"),
        (
            np.array([[1.0, np.inf], [2.0, 3.0]]),
            ValueError,
            "must be finite or missing",
        ),
        (np.arange(5.0), ValueError, "must have two dimensions, got 1"),
        (sparse.csr_array(np.eye(3)), TypeError, "numeric array or a data frame"),
        (["some", "text"], TypeError, "got list. Pass transfer=None"),
        (np.array([["a"], ["b"]]), TypeError, "numeric array or a data frame"),
    ],
)
def test_munge_sampler_refuses_what_is_no_table(X, error, message):
    with pytest.raises(error, match=message):
        MungeSampler().fit(X)


@pytest.mark.parametrize("params", [{"p": 0}, {"p": 1.1}, {"s": 0}, {"block_size": 1}])
def test_munge_sampler_refuses_bad_parameters(params):
    with pytest.raises(ValueError, match=f"{next(iter(params))!r} parameter of Munge"):
        MungeSampler(**params).fit(np.eye(3))


def test_munge_sampler_samples_only_once_fitted():
    with pytest.raises(NotFittedError):
        MungeSampler().sample(3)


# -- pools -----------------------------------------------------------------------------


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


def _load(name, n_rows):
    try:
        return load(name, n_rows=n_rows)
    except ModuleNotFoundError as error:
        pytest.skip(str(error))
