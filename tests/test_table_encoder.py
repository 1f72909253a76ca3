"""TableEncoder: from mixed tables to columns of numbers."""

import pickle

import narwhals.stable.v1 as nw
import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skdistill.students._table import (
    BLOCK_CELLS,
    CLIP,
    TableEncoder,
    is_plain_table,
    spread,
)


def frame(native):
    return nw.from_native(native, eager_only=True)


def ones(n):
    return np.ones(n)


# -- numbers ---------------------------------------------------------------------------


def test_encoder_centres_scales_and_clips_as_documented():
    rng = np.random.RandomState(0)
    X = rng.standard_normal((2001, 2)) * [1.0, 1e4] + [5.0, -3e4]
    encoder = TableEncoder().fit(X, ones(2001))
    assert_allclose(encoder.center_, np.median(X, axis=0))
    quartiles = np.quantile(X, [0.25, 0.75], axis=0, method="averaged_inverted_cdf")
    assert_allclose(1 / encoder.rate_, (quartiles[1] - quartiles[0]) / 1.349)
    z = (X - encoder.center_) * encoder.rate_
    expected = z / np.sqrt(1 + (z / CLIP) ** 2)
    assert_allclose(encoder.transform(X), expected, rtol=1e-13)
    assert_allclose(encoder.scale(X), encoder.transform(X), rtol=1e-14)


def test_encoder_bounds_values_far_out():
    X = np.linspace(0, 1, 50)[:, np.newaxis]
    encoder = TableEncoder().fit(X, ones(50))
    far = np.array([[1e300], [-1e300], [1e30]])
    for dtype in (np.float32, np.float64):
        z = encoder.transform(far, dtype)
        assert z.dtype == dtype
        assert_allclose(z.ravel(), [CLIP, -CLIP, CLIP], rtol=1e-6)


def test_encoder_without_scaling_leaves_numbers():
    X = np.random.RandomState(0).standard_normal((30, 3)) * 1e3
    encoder = TableEncoder(scaling=None).fit(X, ones(30))
    assert_array_equal(encoder.transform(X), X)


def test_encoder_gives_constant_columns_rate_zero():
    X = np.column_stack([np.full(20, 7.0), np.arange(20.0)])
    encoder = TableEncoder().fit(X, ones(20))
    assert encoder.rate_[0] == 0
    assert_array_equal(encoder.transform(np.array([[1e9, 0.0]]))[:, 0], [0.0])


def test_encoder_puts_missing_at_centre_with_indicator():
    X = np.array([[1.0, 0.0], [2.0, 1.0], [np.nan, 2.0], [4.0, 3.0]])
    encoder = TableEncoder().fit(X, ones(4))
    assert encoder.indicators_ == [0]
    assert encoder.n_features_out_ == 3
    Z = encoder.transform(X)
    assert Z[2, 0] == 0
    assert_array_equal(Z[:, 2], [0, 0, 1, 0])
    # missing in a column that had none in fit: the centre, and no column to tell
    assert_array_equal(
        encoder.transform(np.array([[2.0, np.nan]]))[:, 1:], [[0.0, 0.0]]
    )


def test_encoder_handles_a_column_that_is_all_missing():
    X = np.column_stack([np.full(5, np.nan), np.arange(5.0)])
    Z = TableEncoder().fit(X, ones(5)).transform(X)
    assert np.isfinite(Z).all()


def test_encoder_weights_equal_repeated_rows_exactly():
    rng = np.random.RandomState(0)
    X = rng.standard_normal((60, 3))
    X[rng.rand(60, 3) < 0.1] = np.nan
    weight = rng.randint(0, 4, 60).astype(float)
    table = pd.DataFrame(X).assign(c=rng.choice(list("abcdefg"), 60))
    repeated = table.loc[np.repeat(np.arange(60), weight.astype(int))]
    repeated.columns = table.columns = ["x", "y", "z", "c"]
    one = TableEncoder(max_categories=4).fit(frame(table), weight)
    two = TableEncoder(max_categories=4).fit(frame(repeated), ones(len(repeated)))
    assert_array_equal(one.center_, two.center_)
    assert_array_equal(one.rate_, two.rate_)
    assert one.categories_ == two.categories_
    assert one.infrequent_ == two.infrequent_
    assert one.indicators_ == two.indicators_


@pytest.mark.parametrize("factor", [0.5, 3.0, 1e-9])
def test_encoder_ignores_the_scale_of_weights(factor):
    rng = np.random.RandomState(1)
    X, weight = rng.standard_normal((200, 2)), rng.rand(200)
    one, two = TableEncoder().fit(X, weight), TableEncoder().fit(X, factor * weight)
    assert_allclose(one.center_, two.center_, rtol=1e-12)
    assert_allclose(one.rate_, two.rate_, rtol=1e-12)


def test_spread_is_the_standard_deviation_of_a_normal_column():
    level = np.sort(np.random.RandomState(0).standard_normal(100_000) * 3)
    assert_allclose(spread(level, np.ones(len(level))), 3.0, rtol=0.02)


def test_spread_of_mostly_one_value_is_the_standard_deviation():
    level, mass = np.array([0.0, 1.0]), np.array([95.0, 5.0])
    assert_allclose(spread(level, mass), np.sqrt(0.05 * 0.95))


# -- categories ------------------------------------------------------------------------


def mixed(library):
    columns = {
        "size": [1.0, 2.0, None, 4.0],
        "colour": ["red", None, "blue", "red"],
        "old": [True, False, True, True],
    }
    return library.DataFrame(columns)


@pytest.mark.parametrize("library", [pd, pl], ids=["pandas", "polars"])
def test_encoder_writes_one_column_per_level(library):
    encoder = TableEncoder().fit(frame(mixed(library)), ones(4))
    assert encoder.numeric_ == [0, 2]
    assert encoder.categorical_ == [1]
    assert encoder.categories_ == [["blue", "red", None]]
    Z = encoder.transform(frame(mixed(library)))
    assert Z.shape == (4, encoder.n_features_out_) == (4, 6)
    assert_array_equal(Z[:, 3:], [[0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0]])


def test_encoder_gives_the_same_from_pandas_and_polars():
    one = TableEncoder().fit(frame(mixed(pd)), ones(4))
    two = TableEncoder().fit(frame(mixed(pl)), ones(4))
    assert_array_equal(one.transform(frame(mixed(pl))), two.transform(frame(mixed(pd))))


def test_encoder_takes_pandas_categories_of_numbers_as_categories():
    table = pd.DataFrame({"code": pd.Categorical([3, 1, 3, 2])})
    encoder = TableEncoder().fit(frame(table), ones(4))
    assert encoder.categories_ == [[1, 2, 3]]
    plain = pd.DataFrame({"code": [2, 9]})
    assert_array_equal(encoder.transform(frame(plain)), [[0, 1, 0], [0, 0, 0]])


def test_encoder_writes_zeros_for_an_unseen_level():
    encoder = TableEncoder().fit(frame(pd.DataFrame({"c": ["a", "b"]})), ones(2))
    assert_array_equal(encoder.transform(frame(pd.DataFrame({"c": ["new"]}))), [[0, 0]])


def test_encoder_takes_an_empty_text_as_a_level():
    X = frame(pd.DataFrame({"t": pd.Series(["b", "", None, "a"], dtype=object)}))
    encoder = TableEncoder().fit(X, ones(4))
    assert encoder.categories_ == [["", "a", "b", None]]
    assert_array_equal(encoder.transform(X), np.eye(4)[[2, 0, 3, 1]])


def test_encoder_lets_rare_levels_share_a_column():
    column = ["a"] * 5 + ["b"] * 4 + ["c"] * 2 + ["d"]
    encoder = TableEncoder(max_categories=3).fit(
        frame(pd.DataFrame({"c": column})), ones(12)
    )
    assert encoder.categories_ == [["a", "b"]]
    assert encoder.infrequent_ == [["c", "d"]]
    Z = encoder.transform(frame(pd.DataFrame({"c": ["a", "c", "d", "new"]})))
    assert_array_equal(Z, [[1, 0, 0], [0, 0, 1], [0, 0, 1], [0, 0, 0]])


def test_encoder_reads_columns_whose_names_are_integers():
    table = pd.DataFrame({0: [1.0, 2.0], 1: ["a", "b"]})
    encoder = TableEncoder().fit(frame(table), ones(2))
    assert encoder.categorical_ == [1]


def test_is_plain_table_knows_numbers_in_object_columns():
    assert is_plain_table(frame(pd.DataFrame({"a": np.array([1, 2.5], dtype=object)})))
    assert not is_plain_table(frame(pd.DataFrame({"a": ["x", "y"]})))


def test_encoder_refuses_dates_with_a_remedy():
    table = pd.DataFrame({"day": pd.to_datetime(["2020-01-01", "2020-01-02"])})
    with pytest.raises(TypeError, match=r"'day' must hold numbers.*days since"):
        TableEncoder().fit(frame(table), ones(2))


def test_encoder_refuses_infinity_in_a_frame():
    table = pd.DataFrame({"a": [1.0, np.inf], "c": ["x", "y"]})
    with pytest.raises(ValueError, match="contains infinity"):
        TableEncoder().fit(frame(table), ones(2))


def test_encoder_refuses_text_where_numbers_were():
    encoder = TableEncoder().fit(frame(mixed(pd)), ones(4))
    changed = mixed(pd).assign(size=["one", "two", "three", "four"])
    with pytest.raises(ValueError, match="'size' must hold numbers"):
        encoder.transform(frame(changed))


def test_encoder_survives_pickle():
    encoder = TableEncoder(max_categories=2).fit(frame(mixed(pd)), ones(4))
    again = pickle.loads(pickle.dumps(encoder))
    assert_array_equal(
        again.transform(frame(mixed(pd))), encoder.transform(frame(mixed(pd)))
    )


# -- piecewise-linear encoding ---------------------------------------------------------


def test_piecewise_encoder_places_values_within_bins():
    X = np.arange(1001.0)[:, np.newaxis]
    encoder = TableEncoder("piecewise", n_bins=4).fit(X, ones(1001))
    edges = [0, 250, 500, 750, 1000]
    assert_allclose(np.append(encoder.bin_low_, 1000), edges)
    # Gorishniy et al. 2022, equation 1, and centred
    expected = np.stack(
        [np.interp(X[:, 0], edges[k : k + 2], [0, 1]) for k in range(4)]
    )
    Z = encoder.transform(X)
    assert_allclose(Z, (expected - expected.mean(axis=1, keepdims=True)).T, atol=1e-12)
    assert_allclose(encoder.scale(X), Z, rtol=1e-14)


def test_piecewise_encoder_ends_at_the_outermost_values():
    encoder = TableEncoder("piecewise").fit(np.arange(50.0)[:, np.newaxis], ones(50))
    far = np.array([[-1e300], [1e300], [-1.0], [49.0]])
    Z = encoder.transform(far) + encoder.bin_mean_
    assert_array_equal(Z[0], np.zeros(16))
    assert_array_equal(Z[1], np.ones(16))
    assert_array_equal(Z[0], Z[2])
    assert_array_equal(Z[1], Z[3])


def test_piecewise_encoder_has_an_edge_at_each_of_few_values():
    X = np.array([0.0, 0.0, 1.0, 5.0, 5.0])[:, np.newaxis]
    encoder = TableEncoder("piecewise").fit(X, ones(5))
    assert_array_equal(encoder.bin_low_, [0, 1])
    assert_array_equal(
        encoder.transform(X) + encoder.bin_mean_,
        [[0, 0], [0, 0], [1, 0], [1, 1], [1, 1]],
    )


def test_piecewise_encoder_leaves_bins_for_what_is_not_zero():
    rng = np.random.RandomState(0)
    X = np.where(rng.uniform(size=2000) < 0.95, 0.0, rng.exponential(size=2000))
    encoder = TableEncoder("piecewise", n_bins=8).fit(X[:, np.newaxis], ones(2000))
    assert len(encoder.bin_low_) == 8
    assert encoder.bin_low_[0] == 0
    inside = np.histogram(X[X > 0], np.append(encoder.bin_low_[1:], X.max()))[0]
    assert inside.min() > 0.8 * inside.mean()


def test_piecewise_encoder_weighs_as_if_rows_were_repeated():
    rng = np.random.RandomState(0)
    X = np.column_stack([rng.standard_normal(300), rng.poisson(1.0, 300)])
    weight = rng.randint(0, 4, size=300)
    one = TableEncoder("piecewise").fit(X, weight.astype(float))
    two = TableEncoder("piecewise").fit(
        np.repeat(X, weight, axis=0), ones(weight.sum())
    )
    assert_array_equal(one.bin_low_, two.bin_low_)
    assert_allclose(one.transform(X), two.transform(X), atol=1e-12)


def test_piecewise_encoder_leaves_out_constant_columns():
    X = np.column_stack([np.full(20, 7.0), np.arange(20.0)])
    encoder = TableEncoder("piecewise").fit(X, ones(20))
    assert set(encoder.bin_column_) == {1}
    assert encoder.transform(X).shape == (20, encoder.n_features_out_)


def test_piecewise_encoder_survives_extreme_columns():
    X = np.array([[-1.7e308, 0.0], [0.0, 1e-320], [1.7e308, 2e-320]])
    with np.errstate(over="ignore"):
        encoder = TableEncoder("piecewise").fit(X, ones(3))
    assert np.isfinite(encoder.transform(X)).all()


def test_piecewise_encoder_takes_missing_values_and_categories():
    encoder = TableEncoder("piecewise").fit(frame(mixed(pd)), ones(4))
    Z = encoder.transform(frame(mixed(pd)))
    assert Z.shape == (4, encoder.n_features_out_) == (4, 2 + 1 + 1 + 3)
    assert_array_equal(Z[:, 3], [0, 0, 1, 0])


def test_piecewise_encoder_of_constant_columns_has_one_that_says_nothing():
    encoder = TableEncoder("piecewise").fit(np.ones((20, 3)), ones(20))
    Z = encoder.transform(np.array([[1.0, 2.0, -1e9]]))
    assert_array_equal(Z, [[0.0]])
    assert encoder.n_features_out_ == 1


@pytest.mark.parametrize("scaling", ["robust", "piecewise", None])
@pytest.mark.parametrize("library", [pd, pl], ids=["pandas", "polars"])
def test_encoder_writes_many_rows_as_it_writes_each(scaling, library):
    rng = np.random.RandomState(0)
    columns = {f"x{j}": rng.standard_normal(5_000) for j in range(20)}
    columns["x3"][::7] = np.nan
    texts = np.array(["a", "b", None, "c"])[rng.randint(4, size=5_000)].tolist()
    table = library.DataFrame({**columns, "text": texts})
    encoder = TableEncoder(scaling).fit(frame(table), ones(5_000))
    assert 5_000 * encoder.n_features_out_ > BLOCK_CELLS or scaling != "piecewise"
    Z = encoder.transform(frame(table))
    for row in (0, 2_499, 4_999):
        assert_array_equal(encoder.transform(frame(table[row : row + 1])), Z[[row]])
    numbers = np.column_stack(list(columns.values()))
    assert_array_equal(encoder.encode(numbers, [texts]), Z)


def test_encoder_counts_values_that_are_one_level_together():
    # a level is a text or a number: other objects are their text
    class Kind:
        def __str__(self):
            return "kind"

    values = [Kind(), "kind", Kind(), "other", "third"]
    table = frame(pd.DataFrame({"a": pd.Series(values, dtype=object)}))
    encoder = TableEncoder(max_categories=2).fit(table, ones(5))
    assert encoder.categories_ == [["kind"]]
    assert encoder.infrequent_ == [["other", "third"]]
    hot = [[1, 0], [1, 0], [1, 0], [0, 1], [0, 1]]
    assert_array_equal(encoder.transform(table), hot)
