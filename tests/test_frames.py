import datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse

from skdistill._frames import (
    as_frame,
    column_codes,
    concat_rows,
    is_text,
    numeric_view,
    to_float,
)

TABLE = {
    "number": [1.5, None, 3.0],
    "count": [1, 2, 3],
    "word": ["b", None, "b"],
    "yes": [True, False, True],
}


def frame_of(library, table=TABLE):
    if library == "pandas":
        return pd.DataFrame(table)
    if library == "pandas-nullable":
        return pd.DataFrame(table).convert_dtypes()
    frame = pl.DataFrame(table)
    return frame if library == "polars" else frame.to_arrow()


LIBRARIES = ["pandas", "pandas-nullable", "polars", "pyarrow"]


@pytest.mark.parametrize("library", LIBRARIES)
def test_as_frame_knows_frames_of_every_library(library):
    assert as_frame(frame_of(library)).columns == list(TABLE)


@pytest.mark.parametrize("X", [np.eye(2), [[1, 2]], ["a"], sparse.csr_array(np.eye(2))])
def test_as_frame_is_none_for_everything_else(X):
    assert as_frame(X) is None


def test_as_frame_refuses_queries():
    with pytest.raises(TypeError, match=r"Pass X.collect\(\)"):
        as_frame(pl.LazyFrame(TABLE))


@pytest.mark.parametrize(
    ("X", "expected"),
    [
        (["a", "b"], True),
        (np.array(["a", "b"]), True),
        (np.array(["a", "b"], dtype=object), True),
        (pd.Series(["a", "b"]), True),
        (pl.Series(["a", "b"]), True),
        (pl.Series([1, 2]), False),
        ([], False),
        ([[1.0]], False),
        (np.array([["a"]]), False),
        (np.arange(3), False),
        (pd.DataFrame({"x": ["a"]}), False),
    ],
)
def test_is_text_tells_documents_from_tables(X, expected):
    assert is_text(X) is expected


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    ("name", "codes", "values"),
    [("word", [0, -1, 0], ["b"]), ("yes", [0, 1, 0], [True, False])],
)
def test_column_codes_come_in_order_of_appearance(library, name, codes, values):
    found, table = column_codes(as_frame(frame_of(library))[name])
    np.testing.assert_array_equal(found, codes)
    assert table == values


@pytest.mark.parametrize(
    "values",
    [
        pd.array(["x", pd.NA, "y", "x"], dtype="string"),
        pd.Series(["x", np.nan, "y", "x"], dtype=object),
        pd.Series(["x", None, "y", "x"], dtype=object),
        pd.Categorical(["x", None, "y", "x"], categories=["y", "x", "never"]),
    ],
)
def test_column_codes_know_every_kind_of_missing_value(values):
    column = as_frame(pd.DataFrame({"c": values}))["c"]
    np.testing.assert_array_equal(column_codes(column)[0], [0, -1, 1, 0])


@pytest.mark.parametrize("library", LIBRARIES)
def test_numeric_view_of_a_frame_is_finite(library):
    view = numeric_view(frame_of(library))
    np.testing.assert_array_equal(
        view, [[1.5, 1, 0, 0], [-1e6, 2, -1, 1], [3.0, 3, 0, 0]]
    )


def test_numeric_view_leaves_times_out():
    day = datetime.datetime(2020, 1, 1)
    frame = pl.DataFrame({"t": [day, day], "x": [1.0, 2.0]})
    np.testing.assert_array_equal(numeric_view(frame), [[1.0], [2.0]])
    assert numeric_view(frame.select("t")) is None


def test_numeric_view_of_an_array_holds_no_infinity_that_a_tree_refuses():
    X = np.array([[np.inf, 1e300], [-np.inf, np.nan]])
    view = numeric_view(X)
    assert np.isfinite(view.astype(np.float32)).all()
    assert np.isinf(X).sum() == 2  # the input is left alone


@pytest.mark.parametrize(
    "X", [["a", "b"], sparse.csr_array(np.eye(2)), np.ones(3), [["a"], ["b"]]]
)
def test_numeric_view_is_none_where_there_is_no_table(X):
    assert numeric_view(X) is None


# -- stacking --------------------------------------------------------------------------


@pytest.mark.parametrize("library", LIBRARIES)
def test_concat_rows_keeps_library_dtypes_and_columns(library):
    frame = frame_of(library)
    both = concat_rows(frame, None, frame)
    assert type(both) is type(frame)
    own, stacked = as_frame(frame), as_frame(both)
    assert stacked.schema == own.schema
    assert stacked["count"].to_list() == [1, 2, 3, 1, 2, 3]
    assert stacked["word"].is_null().to_list() == [False, True, False] * 2
    if library.startswith("pandas"):
        pd.testing.assert_series_equal(both.dtypes, frame.dtypes)
        assert both.index.tolist() == list(range(6))


def test_concat_rows_orders_columns_by_the_first_frame():
    first = pd.DataFrame({"a": [1], "b": [2]}, index=[7])
    second = pd.DataFrame({"b": [4], "a": [3]})
    both = concat_rows(first, second)
    pd.testing.assert_frame_equal(both, pd.DataFrame({"a": [1, 3], "b": [2, 4]}))


def test_frames_may_have_columns_named_by_numbers():
    frame = pd.DataFrame({2: [1.0, 2.0], 0: ["a", "b"]})
    np.testing.assert_array_equal(numeric_view(frame), [[1, 0], [2, 1]])
    both = concat_rows(frame, frame[[0, 2]])
    pd.testing.assert_frame_equal(both, pd.concat([frame] * 2, ignore_index=True))


def test_concat_rows_unites_categories():
    frames = [pd.DataFrame({"c": pd.Categorical(list(v))}) for v in ("ab", "cb")]
    both = concat_rows(*frames)
    assert both["c"].tolist() == ["a", "b", "c", "b"]
    assert set(both["c"].cat.categories) == set("abc")


def test_concat_rows_makes_floats_of_whole_numbers_next_to_floats():
    both = concat_rows(pl.DataFrame({"x": [1, 2]}), pl.DataFrame({"x": [0.5]}))
    assert both["x"].to_list() == [1.0, 2.0, 0.5]


def test_concat_rows_stacks_arrays_lists_and_sparse_rows():
    X = np.arange(6, dtype=np.float32).reshape(3, 2)
    both = concat_rows(X, X[:1])
    assert both.dtype == np.float32
    np.testing.assert_array_equal(both, np.vstack([X, X[:1]]))
    assert concat_rows(["a"], ("b", "c")) == ["a", "b", "c"]
    both = concat_rows(sparse.csc_array(X), sparse.csr_array(X))
    assert both.format == "csr"
    np.testing.assert_array_equal(both.toarray(), np.vstack([X, X]))


@pytest.mark.parametrize("first", [list, tuple, np.array, pd.Series, pl.Series])
@pytest.mark.parametrize("second", [list, tuple, np.array, pd.Series, pl.Series])
def test_concat_rows_takes_texts_in_any_mix_of_sequences(first, second):
    stacked = concat_rows(first(["a", "b"]), second(["c"]))
    assert list(stacked) == ["a", "b", "c"]
    assert is_text(stacked)


def test_concat_rows_returns_the_rows_themselves_without_more():
    X = np.eye(2)
    assert concat_rows(X, None) is X


@pytest.mark.parametrize(
    ("first", "second", "error", "message"),
    [
        (np.eye(2), [[1.0, 2.0]], TypeError, r"same kind, got \['array', 'list'\]"),
        (np.eye(2), frame_of("pandas"), TypeError, r"'array', 'data frame'"),
        (frame_of("pandas"), frame_of("polars"), TypeError, "must be of one library"),
        (
            frame_of("polars"),
            frame_of("polars").select("word"),
            ValueError,
            r"must have the same columns, got .*\['word'\]",
        ),
    ],
)
def test_concat_rows_refuses_rows_of_another_kind(first, second, error, message):
    with pytest.raises(error, match=message):
        concat_rows(first, second)


def test_whole_numbers_that_no_float_holds_are_rounded():
    pa = pytest.importorskip("pyarrow")
    values = [2**60 + 1, 2**61 + 3, 5]
    series = as_frame(pa.table({"a": values})).get_column("a")
    assert to_float(series).tolist() == [float(v) for v in values]


def test_parts_in_which_a_category_is_missing_are_stacked():
    one = pd.DataFrame({"c": pd.Categorical(["a", "b"])})
    two = pd.DataFrame({"c": pd.Categorical([None, None])})
    both = concat_rows(one, two)
    assert both["c"].cat.categories.tolist() == ["a", "b"]
    assert both["c"].isna().tolist() == [False, False, True, True]
