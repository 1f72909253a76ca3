"""Equal rows have equal keys and others have others, in every form that rows take."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from skdistill.teachers._row_keys import KEY_BYTES, encode, row_keys, row_layout

NUMBERS = st.one_of(
    st.floats(width=32),
    st.floats(),
    st.sampled_from([0.0, -0.0, np.nan, -np.nan, np.inf, 1.0]),
)
LARGE = st.integers(-(2**63), 2**63 - 1)
VALUES = st.recursive(
    st.one_of(st.none(), st.text(max_size=3), st.binary(max_size=2), LARGE, NUMBERS),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


def matrices(cells):
    """Matrices of three columns with many repeated rows."""
    few = st.lists(st.lists(cells, min_size=3, max_size=3), min_size=1, max_size=4)
    return few.flatmap(lambda rows: st.lists(st.sampled_from(rows), min_size=2))


def groups(items):
    """Number of the first item that is the same, for each item."""
    return [items.index(item) for item in items]


# -- numbers ---------------------------------------------------------------------------


@settings(max_examples=200)
@given(matrices(NUMBERS))
def test_row_keys_of_floats_are_equal_where_rows_are(rows):
    X = np.array(rows)
    same = (X[:, None, :] == X[None]) | (np.isnan(X)[:, None, :] & np.isnan(X)[None])
    keys = row_keys(X)
    assert np.array_equal([[a == b for b in keys] for a in keys], same.all(axis=2))


@settings(max_examples=200)
@given(matrices(LARGE))
def test_row_keys_of_integers_are_equal_where_rows_are(rows):
    assert groups(row_keys(np.array(rows, dtype=np.int64))) == groups(rows)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "i8", "u2", ">f8", ">i4"])
def test_row_keys_do_not_depend_on_precision(dtype):
    X = np.array([[1, 0], [3, 100]])
    assert row_keys(X.astype(dtype)) == row_keys(X.astype(float))
    assert row_keys(np.asfortranarray(X.astype(dtype))) == row_keys(X.tolist())


def test_row_keys_of_bool_are_those_of_numbers():
    assert row_keys(np.array([[True, False]])) == row_keys(np.array([[1.0, -0.0]]))


def test_row_keys_tell_large_integers_apart_and_match_floats_where_exact():
    large = np.array([[2**53], [2**53 + 1], [2**63 - 1], [-(2**63)], [2**60]])
    keys = row_keys(large)
    assert len(set(keys)) == 5
    floats = row_keys(large.astype(float))
    assert [keys[i] == floats[i] for i in range(5)] == [True, False, False, True, True]
    assert row_keys(np.array([[2**64 - 1]], dtype=np.uint64)) != row_keys([[2.0**64]])


@pytest.mark.parametrize(
    "X",
    [
        np.random.default_rng(0).normal(size=(40_000, 3)),
        sparse.random(50, 9, 0.3, "csr", random_state=0),
        pd.DataFrame({"a": [1.0, np.nan, 2], "b": ["x", None, "y"]}),
        pl.DataFrame({"a": [1.0, None, 2], "b": ["x", None, "y"]}),
        np.array([[1, "a"], [None, 2.5], ["b", np.nan]], dtype=object),
    ],
    ids=["array", "sparse", "pandas", "polars", "objects"],
)
def test_row_keys_do_not_depend_on_the_rows_around(X):
    keys = row_keys(X)
    assert all(type(key) is bytes and len(key) == KEY_BYTES for key in keys)
    n_rows = len(keys)
    order = np.random.default_rng(1).permutation(n_rows)[: n_rows // 2 + 1]
    part = X.iloc[order] if isinstance(X, pd.DataFrame) else X[order]
    assert row_keys(part) == [keys[i] for i in order]
    assert row_layout(part) == row_layout(X)


def test_row_keys_know_the_width_and_the_shape():
    X = np.zeros((2, 4))
    forms = [X, np.zeros((2, 3)), X.reshape(2, 2, 2), sparse.csr_array(X)]
    assert len({row_keys(form)[0] for form in forms}) == 4
    assert len({row_layout(form) for form in forms}) == 4
    assert row_keys(np.zeros((2, 0))) == 2 * row_keys(np.zeros((1, 0)))
    assert row_keys(X[:0]) == []


# -- sparse ----------------------------------------------------------------------------


@settings(max_examples=100)
@given(matrices(st.sampled_from([0.0, 0.0, 1.0, -2.5, np.nan])))
def test_row_keys_of_sparse_rows_are_equal_where_rows_are(rows):
    texts = [str([cell + 0.0 for cell in row]) for row in rows]
    assert groups(row_keys(sparse.csr_matrix(rows))) == groups(texts)


def test_row_keys_of_sparse_rows_do_not_depend_on_how_they_are_written():
    tidy = sparse.csr_array(np.array([[0.0, 2.0, 3.0], [1.0, 0.0, 0.0]]))
    untidy = sparse.csr_array(
        ([3.0, 0.5, 1.5, 1.0, 0.0], [2, 1, 1, 0, 2], [0, 3, 5]), shape=(2, 3)
    )
    before = untidy.copy()
    keys = row_keys(tidy)
    assert row_keys(untidy) == keys
    assert np.array_equal(untidy.indices, before.indices)
    for form in (tidy.tocsc(), tidy.tocoo(), sparse.csr_matrix(tidy)):
        assert row_keys(form) == keys
    assert row_keys(tidy.astype(np.float32)) == keys


# -- frames ----------------------------------------------------------------------------


def test_row_keys_take_categories_by_value():
    values = ["b", "a", None, "b"]
    one = pd.DataFrame({"c": pd.Categorical(values, categories=["a", "b"])})
    other = pd.DataFrame({"c": pd.Categorical(values, categories=["b", "z", "a"])})
    assert row_keys(one) == row_keys(other)
    assert groups(row_keys(one)) == groups(values)
    assert not set(row_keys(one)) & set(row_keys(one.astype(object)))


def test_row_keys_hold_names_order_and_kinds_of_columns():
    X = pd.DataFrame({"a": [1, 0], "b": [2.0, 3.0]})
    forms = [
        X, X[["b", "a"]], X.rename(columns={"a": "c"}), X.astype({"a": bool}),
        X.to_numpy(), X.astype({"a": object}), X.set_axis([0, 1], axis=1),
    ]  # fmt: skip
    assert len({row_keys(form)[0] for form in forms}) == len(forms)
    assert row_keys(X.astype({"a": "float32"})) == row_keys(X)
    assert row_keys(X.set_index(pd.Index([7, 8]))) == row_keys(X)


def test_row_keys_of_pandas_and_polars_agree():
    when = [dt.datetime(2020, 1, 1), None, dt.datetime(2021, 5, 5, 12)]
    columns = {"n": [1.5, None, -0.0], "t": ["x", None, "ü"], "b": [True, False, True]}
    ours = pd.DataFrame(columns).assign(w=np.array(when, dtype="M8[us]"))
    theirs = pl.DataFrame({**columns, "w": when})
    keys = row_keys(ours)
    assert row_keys(theirs) == keys
    assert len(set(keys)) == 3


def test_row_keys_tell_null_and_nan_of_polars_apart():
    null, nan = row_keys(pl.DataFrame({"a": [None, float("nan")]}))
    assert null != nan


@pytest.mark.parametrize(
    "column",
    [
        pd.array([1, None, 2**60 + 1, 2**60], dtype="Int64"),
        pd.array([True, None, False, None], dtype="boolean"),
        pd.array(["s", None, "t", "nan"], dtype="string"),
        pd.Categorical([3, 1, None, 2], ordered=True),
        pd.to_datetime(["2020-01-01", None, "2021-01-01", "2021-01-02"]),
        pd.to_datetime(["2020-01-01", None, "2021-01-01", "2021-01-02"], utc=True),
        pd.to_timedelta([1, None, 2, 3], unit="s"),
        pd.cut([1, 2, 3, np.nan], 3),
        ["a", 1, None, (1, "b")],
        np.array([1, 2, 2**64 - 1, 2**64 - 2], dtype=np.uint64),
    ],
    ids=lambda column: str(getattr(column, "dtype", "mixed"))[:12],
)
def test_row_keys_see_every_value_of_a_column(column):
    X = pd.DataFrame({"a": column})
    keys = row_keys(X)
    assert len(set(keys)) == len(X) - (X["a"].isna().sum() > 1)
    assert [row_keys(X.iloc[[i]])[0] for i in range(len(X))] == keys


# -- text and objects ------------------------------------------------------------------


def test_row_keys_of_text_are_the_same_in_every_container():
    texts = ["a", "b", "", "ü\ud800"]
    keys = row_keys(texts)
    assert len(set(keys)) == 4
    assert row_keys(tuple(texts)) == keys
    assert row_keys(np.array(texts, dtype=object)) == keys
    assert row_keys(pd.Series(texts[:3])) == keys[:3]
    assert row_keys(pl.Series(texts[:3])) == keys[:3]
    assert row_keys(np.array(texts[:3])) == keys[:3]


@settings(max_examples=300)
@given(VALUES, VALUES)
def test_encode_is_equal_where_values_are(one, other):
    def plain(value):
        """Text that shows type and value, numbers by value."""
        if isinstance(value, list):
            return [plain(item) for item in value]
        if isinstance(value, int | float):
            exact = value == value and abs(value) != np.inf
            return f"number {int(value) if exact and value == int(value) else value}"
        return f"{type(value).__name__} {value!r}"

    same = str(plain(one)).replace("-nan", "nan") == str(plain(other))
    assert (encode(one) == encode(other)) == same


def test_encode_sees_where_parts_end():
    pairs = [(["ab", "c"], ["a", "bc"]), ([["a"], "b"], [["a", "b"]]), ("1", 1)]
    for one, other in pairs:
        assert encode(one) != encode(other)
    assert encode({"a": 1, "b": [2]}) == encode({"b": [2], "a": 1.0})
    assert encode(np.float32(0.5)) == encode(0.5)
    assert encode(True) == encode(1)


@pytest.mark.parametrize(
    ("X", "words"),
    [
        (np.zeros((2, 2), dtype=complex), "got dtype complex128"),
        ([object()], "got object. Convert it."),
        ({"a": 1}, "got dict. Convert it."),
        (np.array(3.0), "got the scalar"),
    ],
)
def test_row_keys_refuse_what_they_cannot_see(X, words):
    with pytest.raises(TypeError, match=words):
        row_keys(X)
