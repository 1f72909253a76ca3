"""What holds for every sampler of tables."""

import pickle
from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.tree import DecisionTreeClassifier

from skdistill import DistilledClassifier
from skdistill.transfer import (
    GaussianCopulaSampler,
    InterpolationSampler,
    MungeSampler,
    ThresholdSampler,
)

SAMPLERS = [
    MungeSampler(p=0.3),
    InterpolationSampler(),
    InterpolationSampler(n_neighbors=None),
    GaussianCopulaSampler(),
    GaussianCopulaSampler(strength=0.3),
    ThresholdSampler(p=0.3),
]
every_sampler = pytest.mark.parametrize("sampler", SAMPLERS, ids=repr)
# ThresholdSampler, the last, refuses tables in which no column has a threshold.
every_other_sampler = pytest.mark.parametrize("sampler", SAMPLERS[:-1], ids=repr)


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
            "grade": pd.Categorical(words, categories=list("zwxy"), ordered=True),
            "string": pd.array(words, dtype="string"),
            "word": np.where(some, None, words),
            "yes": rng.random(n_rows) < 0.5,
            "day": pd.Timestamp("2020-01-01")
            + pd.to_timedelta(rng.integers(9, size=n_rows), unit="D"),
            "constant": 3.5,
            "nothing": np.nan,
        }
    ).mask(lambda t: pd.DataFrame({c: some & (c == "nullable") for c in t}))


CONTINUOUS = {"float", "single", "missing", "nullable"}


def stump(X):
    """Build a teacher that is one tree, which splits every column of numbers."""
    columns = list(X.T) if isinstance(X, np.ndarray) else [X[c] for c in X.columns]
    pairs = [
        (j, cut)
        for j, column in enumerate(columns)
        if getattr(column.dtype, "kind", "O") in "fiu"
        for cut in np.nanquantile(np.append(column, 0.0), [0.1, 0.3, 0.5, 0.6, 0.9])
    ]
    feature, threshold = map(np.array, zip(*pairs, strict=True))
    return SimpleNamespace(tree_=SimpleNamespace(feature=feature, threshold=threshold))


def fit(sampler, X, numbers=None):
    """Fit a clone of a sampler; `numbers` is X as pandas holds it."""
    teacher = stump(X if numbers is None else numbers)
    return clone(sampler).fit(X, teacher=teacher)


def keys(table):
    return set(map(tuple, np.asarray(table)))


# -- what it must never do -------------------------------------------------------------


@pytest.mark.parametrize("kind", ["numbers", "whole numbers", "categories"])
@every_sampler
def test_sampler_returns_no_given_row(sampler, kind):
    rng = np.random.default_rng(0)
    X = {
        "numbers": rng.normal(size=(200, 2)),
        "whole numbers": rng.integers(6, size=(200, 4)).astype(float),
        "categories": rng.integers(4, size=(300, 6)),
    }[kind]
    if kind == "categories":
        X = pd.DataFrame(X).rename(columns="c{}".format).astype(str).astype("category")
        X["number"] = rng.integers(3, size=300)  # for the thresholds
    new = fit(sampler, X).sample(2_000, random_state=0)
    assert len(new) == 2_000
    assert not keys(X) & keys(new)


@every_sampler
def test_sampler_finds_new_rows_in_a_crowded_table(sampler):
    # 110 of 128 possible rows are there, each three times, beside a column of three
    # values: twins and near neighbours offer little, farther ones do.
    grid = np.array(np.meshgrid(*[[0.0, 1.0]] * 6, [0.0, 1.0, 2.0])).reshape(7, -1).T
    np.random.default_rng(0).shuffle(grid)
    X = np.repeat(grid[:170], 3, axis=0)
    new = fit(sampler, X).sample(200, random_state=0)
    assert len(new) >= 50
    assert keys(new) <= keys(grid[170:])


@pytest.mark.parametrize(
    "X",
    [
        np.array([[0, 0], [0, 1], [1, 0], [1, 1]]),
        np.ones((5, 3)),
        np.full((5, 3), np.nan),
        pd.DataFrame({"a": ["x", "y", "y"]}),
    ],
)
@every_other_sampler
def test_sampler_returns_nothing_where_no_new_row_exists(sampler, X):
    new = clone(sampler).fit(X).sample(10, random_state=0)
    assert type(new) is type(X)
    assert new.shape == (0, X.shape[1])


@every_sampler
def test_sampler_keeps_discrete_columns_on_observed_values(sampler):
    X = mixed_table()
    new = fit(sampler, X).sample(1_000, random_state=0)
    for name in set(X.columns) - CONTINUOUS:
        assert set(new[name].dropna()) <= set(X[name].dropna()), name
        if X[name].nunique() > 1:
            assert new[name].nunique() > 1, name
    assert np.isin(new["float"], X["float"], invert=True).sum() > 100


@every_sampler
def test_sampler_keeps_numbers_as_large_as_an_identifier(sampler):
    rng = np.random.default_rng(0)
    X = np.c_[rng.permutation(10**9 + np.arange(500)), rng.integers(9, size=500)]
    new = fit(sampler, X).sample(1_000, random_state=0)
    assert new.dtype == X.dtype
    assert set(new[:, 0]) <= set(X[:, 0])


# -- kinds of tables -------------------------------------------------------------------


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
@every_sampler
def test_sampler_keeps_columns_dtypes_and_missing_cells(sampler, library):
    given = X = mixed_table()
    if library != "pandas":
        X = pl.from_pandas(X)
        X = X if library == "polars" else X.to_arrow()
    new = fit(sampler, X, given).sample(400, random_state=0)
    assert type(new) is type(X)
    if library == "pyarrow":
        assert new.schema == X.schema
        return
    assert list(new.columns) == list(X.columns)
    assert list(new.dtypes) == list(X.dtypes)
    if library == "polars":
        new = new.to_pandas()
    shares = new.isna().mean()
    assert shares["nothing"] == 1.0
    for name in ("missing", "word", "nullable"):
        assert shares[name] == pytest.approx(0.2, abs=0.07)
    assert not shares.drop(["nothing", "missing", "word", "nullable"]).any()


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_munge_sampler_mixes_ordered_categories(library):
    # With p = 1 a swapped row is its neighbour, and so known: only cells that can be
    # mixed make a new one.
    grades = ["worst", "bad", "good", "best"]
    n_new = {}
    for ordered in (False, True):
        dtype = pd.CategoricalDtype(grades, ordered=ordered)
        X = pd.DataFrame(
            {"place": [0, 0, 8, 8], "grade": pd.Series(grades, dtype=dtype)}
        )
        if library == "polars":
            kind = pl.Enum(grades) if ordered else pl.Categorical
            X = pl.from_pandas(X).with_columns(pl.col("grade").cast(kind))
        elif library == "pyarrow":
            X = pa.Table.from_pandas(X)
        n_new[ordered] = len(MungeSampler(p=1.0).fit(X).sample(50, random_state=0))
    assert n_new == {False: 0, True: 50}


@every_sampler
def test_sampler_keeps_the_missing_pattern_of_given_rows(sampler):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 4))
    X[:50, 1] = np.nan
    X[25:75, 3] = np.nan
    new = fit(sampler, X).sample(2_000, random_state=0)
    patterns, counts = np.unique(np.isnan(new), axis=0, return_counts=True)
    assert keys(patterns) == keys(np.isnan(X))
    np.testing.assert_allclose(counts / 2_000, 0.25, atol=0.02)


@pytest.mark.parametrize(
    "dtype", [np.float16, np.float32, np.float64, np.int32, np.uint8]
)
@pytest.mark.parametrize("order", ["C", "F"])
@every_sampler
def test_sampler_keeps_the_dtype_of_an_array(sampler, dtype, order):
    X = np.random.default_rng(0).integers(50, size=(80, 9))
    X = np.asarray(X, dtype=dtype, order=order)
    new = fit(sampler, X).sample(100, random_state=0)
    assert new.dtype == X.dtype
    assert len(new) == 100
    assert not keys(new) & keys(X)


@every_other_sampler
def test_sampler_takes_an_array_of_truth_values(sampler):
    X = np.random.default_rng(0).random((80, 9)) < 0.5
    new = clone(sampler).fit(X).sample(100, random_state=0)
    assert new.dtype == bool
    assert len(new) == 100
    assert not keys(new) & keys(X)


@every_sampler
def test_sampler_takes_one_column_and_equal_rows(sampler):
    X = np.repeat(np.random.default_rng(0).normal(size=(20, 1)), 5, axis=0)
    new = fit(sampler, X).sample(300, random_state=0)
    assert new.shape == (300, 1)
    assert not keys(new) & keys(X)


@every_sampler
def test_sampler_starts_from_a_plain_index(sampler):
    X = mixed_table().set_index(pd.Index(range(1000, 1200)))
    new = fit(sampler, X).sample(30, random_state=0)
    assert new.index.tolist() == list(range(30))


# -- seeds, copies and errors ----------------------------------------------------------


@every_sampler
def test_sampler_is_a_function_of_its_seed(sampler):
    X = mixed_table()
    fitted = fit(sampler, X)
    first = fitted.sample(50, random_state=3)
    pd.testing.assert_frame_equal(first, fitted.sample(50, random_state=3))
    again = fit(sampler, X).sample(50, random_state=np.random.RandomState(3))
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(fitted.sample(50, random_state=4))


@every_sampler
def test_sampler_survives_pickling(sampler):
    fitted = fit(sampler, mixed_table())
    again = pickle.loads(pickle.dumps(fitted))
    pd.testing.assert_frame_equal(again.sample(9, 0), fitted.sample(9, 0))


@every_sampler
def test_sampler_takes_columns_named_by_numbers(sampler):
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 3)), columns=[2, 0, 1])
    new = fit(sampler, X).sample(10, random_state=0)
    expected = fit(sampler, X.to_numpy()).sample(10, random_state=0)
    pd.testing.assert_frame_equal(new, pd.DataFrame(expected, columns=[2, 0, 1]))


@every_sampler
def test_sampler_leaves_its_input_alone(sampler):
    X = mixed_table()
    before = X.copy(deep=True)
    fit(sampler, X).sample(50, random_state=0)
    pd.testing.assert_frame_equal(X, before)


@every_sampler
def test_sampler_draws_no_rows_when_asked_for_none(sampler):
    X = np.arange(12.0).reshape(4, 3)
    assert fit(sampler, X).sample(0, random_state=0).shape == (0, 3)


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
@every_sampler
def test_sampler_refuses_what_is_no_table(sampler, X, error, message):
    with pytest.raises(error, match=message):
        clone(sampler).fit(X)


@every_sampler
def test_sampler_samples_only_once_fitted(sampler):
    with pytest.raises(NotFittedError):
        clone(sampler).sample(3)


@every_other_sampler
def test_sampler_takes_decimal_numbers(sampler):
    rng = np.random.default_rng(0)
    X = pl.DataFrame(
        {
            "a": [Decimal(25 * int(v)).scaleb(-2) for v in rng.integers(9, size=200)],
            "b": [Decimal(25 * int(v)).scaleb(-2) for v in rng.integers(40, size=200)],
            "c": rng.normal(size=200),
        }
    )
    new = sampler.fit(X).sample(300, random_state=0)
    assert new.schema == X.schema
    assert not set(X.rows()) & set(new.rows())
    assert set(new["a"]) <= set(X["a"]) and set(new["b"]) <= set(X["b"])


@every_other_sampler
def test_sampler_takes_half_precision_in_a_frame(sampler):
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(80, 3)).astype(np.float16))
    new = sampler.fit(X).sample(100, random_state=0)
    assert (new.dtypes == np.float16).all()
    given = {tuple(row) for row in X.to_numpy().tolist()}
    assert not given & {tuple(row) for row in new.to_numpy().tolist()}


@every_other_sampler
def test_sampler_keeps_whole_numbers_of_an_array_beyond_double_precision(sampler):
    rng = np.random.default_rng(0)
    X = 1_700_000_000_000_000_000 + 2 * rng.integers(10**12, size=(200, 2)) + 1
    X[::5, 1] = np.iinfo(np.int64).max
    new = sampler.fit(X).sample(200, random_state=0)
    assert new.dtype == X.dtype
    for column, own in zip(new.T, X.T, strict=True):
        assert set(column.tolist()) <= set(own.tolist())


@pytest.mark.parametrize("n_samples", [2.5, -1, "3"])
def test_sampler_says_how_many_rows_it_may_be_asked_for(n_samples):
    sampler = MungeSampler().fit(np.random.default_rng(0).normal(size=(20, 2)))
    with pytest.raises(ValueError, match="n_samples must be a whole number"):
        sampler.sample(n_samples)


def test_sampler_that_is_no_instance():
    X, y = np.random.default_rng(0).normal(size=(50, 2)), np.arange(50) % 2
    small = DistilledClassifier(
        DecisionTreeClassifier().fit(X, y), transfer=MungeSampler
    )
    with pytest.raises(TypeError, match=r"Pass an instance: MungeSampler\(\)"):
        small.fit(X, y)
