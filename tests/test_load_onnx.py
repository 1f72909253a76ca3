"""OnnxClassifier: what goes in, what comes out, and where it may stand."""

import importlib.util
import json
import pickle
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone, is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

pytest.importorskip("onnx", reason="needs onnx")
pytest.importorskip("onnxruntime", reason="needs onnxruntime")
from onnx import helper

from skdistill import LogisticStudent, MLPStudent
from skdistill.deploy import OnnxClassifier, export_onnx, load_onnx
from skdistill.deploy import _runtime as runtime

_spec = importlib.util.spec_from_file_location(
    "deploy_files", Path(__file__).with_name("deploy_files.py")
)
files = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(files)

X, y = load_iris(return_X_y=True)
NAMES = ["a", "b", "c", "d"]


@cache
def _linear_file():
    return files.linear()[0]


def _linear(**changes):
    """Model of four numbers by hand; tests of mechanics need no export."""
    return OnnxClassifier(files.file_of(_linear_file(), **changes))


def _answer(rows):
    return files.linear()[1](rows)


# -- what comes out --------------------------------------------------------------------


@cache
def _exported(kind, tmp):
    labels = np.array(["setosa", "versicolor", "virginica"])[y]
    model, rows = {
        "logistic": (LogisticStudent(), X),
        "mlp": (MLPStudent((8,), max_steps=100, random_state=0), X),
        "frame": (MLPStudent((8,), max_steps=100, random_state=0), _frame()),
    }[kind]
    model.fit(rows, labels if kind == "mlp" else y)
    path = tmp / f"{kind}.onnx"
    export_onnx(model, path, X=rows)
    return SimpleNamespace(model=model, rows=rows, path=path, y=labels)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    return lambda kind: _exported(kind, folder)


def _frame():
    frame = pd.DataFrame(X.copy(), columns=NAMES)
    frame["colour"] = np.where(X[:, 0] > 5.5, "red", "blue")
    frame.loc[::9, "colour"] = None
    frame.loc[::7, "b"] = np.nan
    return frame


@pytest.mark.parametrize("kind", ["logistic", "mlp", "frame"])
def test_load_onnx_answers_as_the_fitted_model(exported, kind):
    case = exported(kind)
    model = load_onnx(case.path)
    expected = case.model.predict_proba(case.rows)
    P = model.predict_proba(case.rows)
    assert_allclose(P, expected, rtol=0, atol=1e-5)
    assert_allclose(P.sum(axis=1), 1, atol=1e-5)
    assert_array_equal(model.predict(case.rows), case.model.predict(case.rows))
    assert model.predict(case.rows).dtype == case.model.classes_.dtype
    assert_array_equal(model.classes_, case.model.classes_)
    assert model.n_features_in_ == case.model.n_features_in_
    truth = case.y if kind == "mlp" else y
    assert model.score(case.rows, truth) == case.model.score(case.rows, truth)
    names = getattr(case.model, "feature_names_in_", None)
    assert_array_equal(getattr(model, "feature_names_in_", None), names)


def test_load_onnx_answers_a_row_as_in_its_batch(exported):
    model = load_onnx(exported("mlp").path)
    P = model.predict_proba(X)
    rows = [model.predict_proba(X[i : i + 1]) for i in range(len(X))]
    assert_array_equal(np.concatenate(rows), P)


def test_load_onnx_answers_many_rows_in_blocks(monkeypatch):
    many = np.random.RandomState(0).standard_normal((2 * runtime.N_BLOCK + 7, 4))
    model = _linear()
    P = model.predict_proba(many)
    assert P.shape == (len(many), 3)
    assert_allclose(P, _answer(many), atol=1e-5)
    monkeypatch.setattr(runtime, "N_BLOCK", 100)
    assert_array_equal(model.predict_proba(many), P)


def test_score_weighs_rows():
    model, weight = _linear(), np.arange(len(X))
    hit = weight % 3 > 0
    labels = np.where(hit, model.predict(X), -1)
    assert model.score(X, labels) == pytest.approx(hit.mean())
    weighted = (hit * weight).sum() / weight.sum()
    assert model.score(X, labels, sample_weight=weight) == pytest.approx(weighted)


def test_metadata_is_that_of_the_file():
    model = _linear(report={"accuracy": 0.5})
    assert model.metadata_["report"] == {"accuracy": 0.5}
    assert model.metadata_["format"] == 1


def test_load_onnx_refuses_threads_that_are_none(tmp_path):
    path = tmp_path / "a.onnx"
    path.write_bytes(files.file_of(files.linear()[0]))
    assert_allclose(
        load_onnx(path, n_threads=2).predict_proba(X), _answer(X), atol=1e-5
    )
    for n_threads in (0, -1, 1.0, True, None):
        with pytest.raises(ValueError, match="n_threads must be an integer"):
            load_onnx(path, n_threads=n_threads)


def test_load_onnx_refuses_large_files(tmp_path):
    path = tmp_path / "a.onnx"
    path.write_bytes(files.file_of(files.linear()[0]))
    size = path.stat().st_size
    assert load_onnx(str(path), max_bytes=size).score(X, y) <= 1
    with pytest.raises(ValueError, match=f"at most {size - 1} bytes"):
        load_onnx(path, max_bytes=size - 1)
    with pytest.raises(FileNotFoundError):
        load_onnx(tmp_path / "none")


# -- arrays ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda X: X,
        lambda X: X.astype(np.float32),
        lambda X: X.astype(np.float16),
        lambda X: X.astype(np.longdouble),
        lambda X: np.asfortranarray(X),
        lambda X: np.asfortranarray(X.astype(np.float32)),
        lambda X: np.repeat(X, 2, axis=1)[:, ::2],
        lambda X: np.repeat(X.astype(np.float32), 2, axis=1)[:, ::2],
        lambda X: X.astype(">f8"),
        lambda X: X.astype(">f4"),
        lambda X: X.tolist(),
        lambda X: X.astype(object),
        lambda X: np.ma.masked_array(X),
        lambda X: sparse.csr_matrix(X),
        lambda X: sparse.coo_array(X),
    ],
)
def test_predict_proba_takes_rows_of_all_kinds(change):
    P = _linear().predict_proba(change(X))
    assert_allclose(P, _answer(X), atol=2e-3)  # float16 has three digits
    assert P.dtype == np.float32 and type(P) is np.ndarray


def test_predict_proba_takes_integers_and_truth_values():
    whole = np.array([[1, 0, 1, 1], [0, 0, 1, 0]])
    for dtype in (np.int64, np.uint8, bool):
        P = _linear().predict_proba(whole.astype(dtype))
        assert_allclose(P, _answer(whole), atol=1e-6)


def test_predict_proba_does_not_change_rows():
    rows = X.copy()
    rows.flags.writeable = False
    _linear().predict_proba(rows)
    assert_array_equal(rows, X)


CELLS = st.floats(width=32) | st.sampled_from([1e18, -4e18, 1e30, 3.4e38, 5e-324])


@given(
    st.lists(st.lists(CELLS, min_size=4, max_size=4), min_size=0, max_size=3),
    st.sampled_from(["f4", "f8", ">f8", "i8"]),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=300)
def test_a_quick_look_changes_no_answer(cells, dtype, allow_nan, fortran):
    model, slow = _linear(allow_nan=allow_nan), _linear(allow_nan=allow_nan)
    slow._quick = (None, -1, None)
    with np.errstate(all="ignore"):
        rows = np.array(cells, dtype="f8").reshape(-1, 4).astype(dtype)
    rows = np.asfortranarray(rows) if fortran else rows
    got, expected = (_outcome(m, rows) for m in (model, slow))
    if isinstance(expected, tuple):
        assert got == expected
    else:
        assert_array_equal(got, expected)


def _outcome(model, rows):
    try:
        return model.predict_proba(rows)
    except ValueError as error:
        return type(error), str(error)


def _words(call):
    """Kind and text of an error."""
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    return caught.type, str(caught.value)


def _with(value):
    rows = X.copy()
    rows[3, 2] = value
    return rows


@pytest.mark.parametrize(
    "rows",
    [
        X[:, :3],
        np.hstack([X, X]),
        X[0],
        X[0, 0],
        X[:0],
        X + 1j,
        X[0].tolist(),
        pd.Series(X[0]),
        _with(np.inf),
        _with(-np.inf),
        pd.DataFrame(_with(np.inf)),
        pd.DataFrame({"a": [1.0], 2: [1.0], "c": [1.0], "d": [1.0]}),
    ],
    ids=lambda rows: f"{type(rows).__name__}{getattr(rows, 'shape', '')}",
)
def test_predict_proba_refuses_rows_in_scikit_learns_words(rows):
    model, own = _linear(), GaussianNB().fit(X, y)
    kind, text = _words(lambda: model.predict_proba(rows))
    expected_kind, expected = _words(lambda: own.predict_proba(rows))
    expected = expected.replace("GaussianNB", "OnnxClassifier")
    expected = expected.replace("dtype('float64')", "dtype('float32')")
    assert (kind, text) == (expected_kind, expected)


def test_predict_proba_refuses_more_than_two_dimensions():
    with pytest.raises(ValueError, match="Found array with dim 3, while dim <= 2 is"):
        _linear().predict_proba(X[np.newaxis])


def test_predict_proba_refuses_missing_values_where_fit_had_none():
    for rows in (_with(np.nan), _with(np.nan).tolist(), pd.DataFrame(_with(np.nan))):
        with pytest.raises(ValueError, match=r"Input X contains NaN\.\nOnnxClassifier"):
            _linear().predict_proba(rows)
    allowed = _linear(allow_nan=True)
    assert np.isnan(allowed.predict_proba(_with(np.nan))[3]).all()
    with pytest.raises(ValueError, match="contains infinity"):
        allowed.predict_proba(_with(np.inf))


@pytest.mark.parametrize("value", [3.5e38, -1e39, 1e300])
def test_predict_proba_counts_what_float32_cannot_hold_as_infinity(value):
    for rows in (_with(value), _with(value).tolist(), pd.DataFrame(_with(value))):
        with pytest.raises(ValueError, match=r"too large for dtype\('float32'\)"):
            _linear().predict_proba(rows)
    P = _linear().predict_proba(_with(3.4e38))  # large, and sound
    assert_array_equal(P[:3], _linear().predict_proba(X)[:3])


def test_predict_proba_refuses_text_among_numbers():
    for rows in (X.astype(str), [*X.astype(object).tolist(), ["x"] * 4]):
        with pytest.raises(ValueError, match="must hold numbers as it did in fit"):
            _linear().predict_proba(rows)
    with pytest.raises(ValueError, match="Column 0 must hold numbers"):
        _linear().predict_proba(np.full((2, 4), "2020-01-01", dtype="M8[D]"))


def test_float64_models_take_float64():
    body = files.graph(
        [
            helper.make_node("Sub", ["X", "origin"], ["small"]),
            helper.make_node("Cast", ["small"], ["single"], to=1),
            helper.make_node("Softmax", ["single"], ["probabilities"], axis=1),
        ],
        [("X", "float64", 3)],
        constants=[("origin", np.full(3, 1.7e9))],
    )
    entry = {"name": "X", "dtype": "float64", "columns": [0, 1, 2]}
    model = OnnxClassifier(files.file_of(body, n_features=3, inputs=[entry]))
    stamps = 1.7e9 + np.array([[0.0, 1.0, 2.0], [5.0, 0.0, 0.0]])
    e = np.exp(stamps - 1.7e9)
    assert_allclose(
        model.predict_proba(stamps), e / e.sum(axis=1, keepdims=True), atol=1e-6
    )
    assert model.predict_proba(np.full((1, 3), 1e39)).shape == (1, 3)


# -- data frames -----------------------------------------------------------------------


def _table(**columns):
    base = {"a": [1, 2, 3], "flag": [True, False, True], "b": [0.5, 1.5, -2.5]}
    return pd.DataFrame(base | {"colour": ["red", "blue", None]} | columns)


def _mixed(**changes):
    """Two numbers and a truth value as floats, and one column of categories."""
    nodes = [
        helper.make_node(
            "LabelEncoder", ["C"], ["code"], domain="ai.onnx.ml",
            keys_strings=["red", "blue", "1.0", "?"],
            values_floats=[1.0, 2.0, 3.0, 4.0], default_float=0.0,
        ),
        helper.make_node("Concat", ["X", "code"], ["all"], axis=1),
        helper.make_node("MatMul", ["all", "W"], ["z"]),
        helper.make_node("Softmax", ["z"], ["probabilities"], axis=1),
    ]  # fmt: skip
    W = np.array([[0.1, 0.2, 0.3], [1, 0, -1], [0.5, 0.2, 0], [-0.3, 0, 0.4]])
    body = files.graph(
        nodes,
        [("X", "float32", 3), ("C", "string", 1)],
        constants=[("W", W.astype(np.float32))],
    )
    said = {
        "feature_names": ["a", "flag", "b", "colour"],
        "inputs": [
            {"name": "X", "dtype": "float32", "columns": [2, 0, 1]},
            {"name": "C", "dtype": "string", "columns": [3]},
        ],
        "missing": {"C": "?"},
    }
    return OnnxClassifier(files.file_of(body, **said | changes)), W


def _by_hand(numbers, codes):
    _, W = _mixed()
    z = np.column_stack([np.asarray(numbers, float), codes]) @ W
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


NUMBERS = [[0.5, 1, 1], [1.5, 2, 0], [-2.5, 3, 1]]


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t,
        lambda t: t.astype({"colour": "category"}),
        lambda t: t.astype({"colour": object, "a": "int8", "b": "float32"}),
        lambda t: t.convert_dtypes(),
        lambda t: t.astype({"a": object, "flag": object}),
        lambda t: t.set_index(np.array([5, 5, 7])),
        pl.from_pandas,
        lambda t: pl.from_pandas(t).with_columns(pl.col("colour").cast(pl.Categorical)),
        lambda t: pl.from_pandas(t).with_columns(pl.col("b").cast(pl.Decimal(10, 2))),
        lambda t: pa.Table.from_pandas(t, preserve_index=False),
        lambda t: pa.Table.from_pandas(
            t.astype({"colour": "category"}), preserve_index=False
        ),
        lambda t: pa.RecordBatch.from_pandas(t, preserve_index=False),
    ],
)
def test_predict_proba_reads_data_frames_by_column(change):
    model, _ = _mixed()
    P = model.predict_proba(change(_table()))
    assert_allclose(P, _by_hand(NUMBERS, [1, 2, 4]), atol=1e-6)


def test_predict_proba_takes_levels_that_are_numbers_as_one():
    model, _ = _mixed()
    for level in (1, 1.0, True, np.float32(1), np.int8(1), "1.0"):
        P = model.predict_proba(_table(colour=[level] * 3))
        assert_allclose(P, _by_hand(NUMBERS, [3, 3, 3]), atol=1e-6)
        as_objects = pd.Series([level, "red", np.nan], dtype=object)
        P = model.predict_proba(_table(colour=as_objects))
        assert_allclose(P, _by_hand(NUMBERS, [3, 1, 4]), atol=1e-6)


def test_predict_proba_takes_unseen_levels():
    model, _ = _mixed()
    P = model.predict_proba(_table(colour=["", "grün \x00", "\U0001f600"]))
    assert_allclose(P, _by_hand(NUMBERS, [0, 0, 0]), atol=1e-6)


def test_predict_proba_reads_missing_numbers_of_frames():
    model, _ = _mixed(allow_nan=True)
    table = _table(a=pd.array([1, None, 3], dtype="Int64"))
    for frame in (table, pl.from_pandas(table), pa.Table.from_pandas(table)):
        P = model.predict_proba(frame)
        assert_array_equal(np.isnan(P).all(axis=1), [False, True, False])
    with pytest.raises(ValueError, match="Input X contains NaN"):
        _mixed()[0].predict_proba(table)


def test_predict_proba_refuses_missing_levels_where_fit_had_none():
    model, _ = _mixed(missing={})
    assert model.predict_proba(_table(colour=["red"] * 3)).shape == (3, 3)
    with pytest.raises(ValueError, match="column of categories that had none in fit"):
        model.predict_proba(_table())


@pytest.mark.parametrize(
    "column",
    [
        pd.date_range("2020", periods=3),
        ["x", "y", "z"],
        [[1], [2], [3]],
        [b"1", b"2", b"3"],
        pd.Series([10**400, 1, 1], dtype=object),
    ],
    ids=lambda column: str(column[0])[:10],
)
def test_predict_proba_names_columns_that_hold_no_numbers(column):
    with pytest.raises(ValueError, match="Column 'a' must hold numbers as it did"):
        _mixed()[0].predict_proba(_table(a=column))


def test_predict_proba_refuses_names_in_scikit_learns_words():
    named = pd.DataFrame(X, columns=NAMES)
    model, own = _linear(feature_names=NAMES), GaussianNB().fit(named, y)
    for columns in (["a", "b", "c", "e"], ["b", "a", "c", "d"], list("opqr")):
        for frame in (
            named.set_axis(columns, axis=1),
            pl.DataFrame(X, schema=columns),
        ):
            kind, text = _words(lambda frame=frame: model.predict_proba(frame))
            expected = _words(lambda frame=frame: own.predict_proba(frame))
            assert (kind, text) == expected
    wide = {f"x{i}": [1.0] for i in range(9)}
    assert _words(lambda: model.predict_proba(pd.DataFrame(wide))) == _words(
        lambda: own.predict_proba(pd.DataFrame(wide))
    )


def test_predict_proba_warns_on_names_in_scikit_learns_words():
    named = pd.DataFrame(X, columns=NAMES)
    own = GaussianNB().fit(named, y)
    model = _linear(feature_names=NAMES)
    assert_allclose(model.predict_proba(named), _answer(X), atol=1e-6)
    for rows in (X, X.astype(np.float32), X.tolist(), named.set_axis(range(4), axis=1)):
        with pytest.warns(UserWarning, match="X does not have valid") as caught:
            P = model.predict_proba(rows)
        assert_allclose(P, _answer(X), atol=1e-6)
        assert caught[0].filename == __file__
        with pytest.warns(UserWarning, match="X does not have valid") as expected:
            own.predict_proba(rows)
        name, text = type(own).__name__, str(expected[0].message)
        assert str(caught[0].message) == text.replace(name, "OnnxClassifier")
    with pytest.warns(UserWarning, match="X has feature names, but OnnxClassifier was"):
        _linear().predict_proba(named)


def test_predict_proba_takes_whole_numbers_for_integer_inputs():
    nodes = [
        helper.make_node("Cast", ["n"], ["f"], to=1),
        helper.make_node("MatMul", ["f", "W"], ["z"]),
        helper.make_node("Softmax", ["z"], ["probabilities"], axis=1),
    ]
    W = np.array([[0.1, 0.2, 0.4]], dtype=np.float32)
    body = files.graph(nodes, [("n", "int64", 1)], constants=[("W", W)])
    entry = {"name": "n", "dtype": "int64", "columns": [0]}
    said = {"n_features": 1, "feature_names": ["n"], "inputs": [entry]}
    model = OnnxClassifier(files.file_of(body, **said))
    expected = np.exp([[0.3, 0.6, 1.2]]) / np.exp([[0.3, 0.6, 1.2]]).sum()
    for column in ([3], [3.0], pd.array([3], dtype="Int8")):
        P = model.predict_proba(pd.DataFrame({"n": column}))
        assert_allclose(P, expected, atol=1e-6)
    for value in (2.5, np.nan, np.inf, 1e300, 2.0**63):
        with pytest.raises(ValueError, match="'n' must hold whole numbers as it did"):
            model.predict_proba(pd.DataFrame({"n": [value]}))


# -- sparse rows -----------------------------------------------------------------------


def test_sparse_rows_are_made_dense_block_by_block(monkeypatch):
    rows = sparse.random(50, 4, density=0.5, format="csr", random_state=0)
    sizes, model, whole = [], _linear(), rows.toarray()
    monkeypatch.setattr(runtime, "N_BLOCK", 20)
    make_dense = type(rows).toarray

    def counted(part):
        sizes.append(part.shape[0])
        return make_dense(part)

    monkeypatch.setattr(type(rows), "toarray", counted)
    assert_allclose(model.predict_proba(rows), _answer(whole), atol=1e-6)
    assert sizes == [20, 20, 10]
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        model.predict_proba(rows[:0])
    with pytest.raises(ValueError, match="X has 3 features"):
        model.predict_proba(rows[:, :3])


# -- texts -----------------------------------------------------------------------------


@cache
def _texts_model():
    from skdistill import _ngrams

    settings = {
        "version": 1, "words": 1, "characters": [0, 0], "max_length": 100,
        "n_rows": None, "buckets": None,
    }  # fmt: skip
    good, bad = (
        int(_ngrams.hash_texts([word], settings)[0].max()) for word in ("good", "bad")
    )
    kept = np.array(sorted((good, bad)))
    settings |= {"n_rows": 2, "buckets": _ngrams.encode_buckets(kept)}
    table = np.zeros((3, 2), dtype=np.float32)
    table[1 + int(good > bad)] = [0, 3]
    table[1 + int(bad > good)] = [3, 0]
    nodes = [
        helper.make_node("Gather", ["table", "ngrams"], ["found"]),
        helper.make_node("ReduceMean", ["found"], ["z"], axes=[0], keepdims=1),
        helper.make_node("Softmax", ["z"], ["probabilities"], axis=1),
    ]
    body = files.graph(nodes, [("ngrams", "int64")], 2, constants=[("table", table)])
    said = {
        "kind": "text", "n_features": None, "text": settings,
        "classes": ["minus", "plus"], "classes_dtype": "<U5",
        "inputs": [{"name": "ngrams", "dtype": "int64", "columns": []}],
    }  # fmt: skip
    return OnnxClassifier(files.file_of(body, **said))


@pytest.mark.parametrize("kind", [list, tuple, np.array, pd.Series, pl.Series])
def test_text_models_take_texts_in_any_sequence(kind):
    model = _texts_model()
    texts = ["good", "very bad", "", "good bad good"]
    P = model.predict_proba(kind(texts))
    share = 1 / (1 + np.exp(-3 / 2))  # row 0 belongs to every text
    assert_allclose(P[:, 1], [share, 1 - share, 0.5, 0.5], atol=1e-6)
    assert_array_equal(model.predict(kind(texts[:2])), ["plus", "minus"])
    assert not hasattr(model, "n_features_in_")
    assert_array_equal(model.predict_proba(texts[1:2]), P[1:2])


@pytest.mark.parametrize("texts", [[], (), np.array([], dtype=str)], ids=repr)
def test_text_models_want_one_text_at_least(texts):
    with pytest.raises(ValueError, match=r"Found array with 0 sample\(s\)"):
        _texts_model().predict_proba(texts)


@pytest.mark.parametrize(
    "texts", [["a", 1], [None], [b"a"], X, pd.DataFrame({"t": ["a"]}), 3], ids=str
)
def test_text_models_refuse_what_is_no_text(texts):
    with pytest.raises(ValueError, match="X must hold one str for each row, got"):
        _texts_model().predict_proba(texts)
    with pytest.raises(ValueError, match="Iterable over raw text documents expected"):
        _texts_model().predict("one text")


def test_text_settings_of_a_stranger_are_checked():
    model = _texts_model()
    said = json.loads(json.dumps(model.metadata_))
    said["text"]["max_length"] = 10**12
    with pytest.raises(ValueError, match=r"max_length in the settings"):
        OnnxClassifier(files.file_of(_graph_of(model), **said))


def _graph_of(model):
    import onnx

    whole = onnx.load_from_string(model._bytes)
    del whole.metadata_props[:]
    return whole.SerializeToString()


# -- graphs that are not what they say -------------------------------------------------


def test_load_onnx_holds_the_graph_against_its_metadata():
    entry = {"name": "Y", "dtype": "float32", "columns": [0, 1, 2, 3]}
    with pytest.raises(ValueError, match="must have the inputs"):
        _linear(inputs=[entry])
    with pytest.raises(ValueError, match="must have the inputs"):
        _linear(inputs=[entry | {"name": "X", "dtype": "float64"}])
    with pytest.raises(ValueError, match="must answer the rows, but onnx"):
        _linear(inputs=[entry | {"name": "X", "columns": [0, 1]}])
    with pytest.raises(ValueError, match=r"must answer \(1, 4\) probabilities"):
        _linear(classes=[0, 1, 2, 3])


def test_load_onnx_refuses_a_graph_that_answers_other_rows():
    node = helper.make_node("ReduceMean", ["X"], ["z"], axes=[0], keepdims=1)
    tail = helper.make_node("Softmax", ["z"], ["probabilities"], axis=1)
    body = files.graph([node, tail], n_classes=4)
    with pytest.raises(ValueError, match=r"must answer \(3, 4\) probabilities"):
        OnnxClassifier(files.file_of(body, classes=[0, 1, 2, 3]))


def test_load_onnx_refuses_a_graph_that_onnxruntime_refuses():
    body = files.graph([helper.make_node("Gemm", ["X"], ["probabilities"])])
    with pytest.raises(ValueError, match="must be one that onnxruntime takes"):
        OnnxClassifier(files.file_of(body))
    with pytest.raises(ValueError, match="must have an output 'probabilities'"):
        import onnx

        model = onnx.load_from_string(files.linear()[0])
        del model.graph.output[1]
        OnnxClassifier(files.file_of(model.SerializeToString()))


def test_load_onnx_takes_no_other_format():
    # "ORTM" at byte 4 is how onnxruntime knows its own format, which nothing scans
    body = b"\x12\x08xxORTMyy" + files.linear()[0].replace(b"\x12\x09skdistill", b"", 1)
    assert body[4:8] == b"ORTM"
    model = OnnxClassifier(files.file_of(body))
    assert_allclose(model.predict_proba(X), _answer(X), atol=1e-5)


def test_predict_proba_turns_errors_of_onnxruntime_into_value_errors():
    nodes = [
        helper.make_node("Cast", ["X"], ["position"], to=7),
        helper.make_node("Gather", ["table", "position"], ["rows"]),
        helper.make_node("ReduceSum", ["rows", "axes"], ["z"], keepdims=0),
        helper.make_node("Softmax", ["z"], ["probabilities"], axis=1),
    ]
    constants = [("table", np.eye(3, dtype=np.float32)), ("axes", np.array([1]))]
    model = OnnxClassifier(files.file_of(files.graph(nodes, constants=constants)))
    assert model.predict_proba(np.ones((1, 4))).shape == (1, 3)
    for rows in (np.full((1, 4), 7.0), [[7, 7, 7, 7]]):
        with pytest.raises(ValueError, match="but onnxruntime raised InvalidArgument"):
            model.predict_proba(rows)


# -- as an estimator -------------------------------------------------------------------


def test_pickle_holds_the_bytes_of_the_file(tmp_path):
    data = files.file_of(files.linear()[0])
    model = OnnxClassifier(data, n_threads=2)
    text = pickle.dumps(model)
    assert data in text and len(text) < len(data) + 200
    loaded = pickle.loads(text)
    assert loaded.n_threads == 2
    assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    damaged = text.replace(b"probabilities", b"probabilitjes")
    with pytest.raises(ValueError, match="must match the digest"):
        pickle.loads(damaged)


def test_parameters_are_the_number_of_threads():
    model = _linear()
    assert model.get_params() == {"n_threads": 1}
    twin = clone(model)
    assert twin is not model
    assert twin.set_params(n_threads=2) is twin
    assert (twin.get_params(), model.get_params()) == (
        {"n_threads": 2},
        {"n_threads": 1},
    )
    assert_array_equal(twin.predict_proba(X), model.predict_proba(X))
    with pytest.raises(ValueError, match="Invalid parameter 'depth' for estimator"):
        model.set_params(depth=3)
    with pytest.raises(ValueError, match="n_threads must be"):
        model.set_params(n_threads=0)
    assert model.get_params() == {"n_threads": 1}


def test_tags_are_those_of_a_fitted_classifier():
    model = _linear()
    assert is_classifier(model)
    check_is_fitted(model)
    tags = get_tags(model)
    assert tags.classifier_tags.multi_class
    assert not tags.input_tags.allow_nan and not tags.input_tags.string
    assert get_tags(_linear(allow_nan=True)).input_tags.allow_nan
    assert get_tags(_texts_model()).input_tags.string
    assert get_tags(_mixed()[0]).input_tags.categorical
    assert repr(model) == "OnnxClassifier(4 features, 3 classes)"
    assert repr(_texts_model()) == "OnnxClassifier(text, 2 classes)"


def test_onnx_classifier_stands_where_a_fitted_classifier_may(exported):
    model = load_onnx(exported("logistic").path)
    assert model.fit(X, y) is model
    scaled = make_pipeline(StandardScaler(with_mean=False, with_std=False), model)
    frozen = FrozenEstimator(model)
    expected = model.score(X, y)
    assert expected > 0.9
    assert scaled.fit(X, y).score(X, y) == pytest.approx(expected)
    assert frozen.score(X, y) == expected
    assert cross_val_score(model, X, y, cv=3).mean() == pytest.approx(expected)
    for name in ("accuracy", "neg_log_loss", "roc_auc_ovr", "neg_brier_score"):
        if name == "neg_brier_score" and len(np.unique(y)) > 2:
            continue
        assert np.isfinite(get_scorer(name)(model, X, y))
    calibrated = CalibratedClassifierCV(frozen).fit(X, y)
    assert calibrated.score(X, y) > 0.9
    search = GridSearchCV(scaled, {"onnxclassifier__n_threads": [1, 2]}, cv=2, n_jobs=2)
    assert search.fit(X, y).best_score_ == pytest.approx(expected, abs=0.05)


def test_threads_share_a_model():
    model = _linear()
    rng = np.random.RandomState(0)
    batches = [rng.standard_normal((1 + i % 5, 4)) for i in range(40)]
    expected = [model.predict_proba(batch) for batch in batches]
    wrong = []

    def ask():
        for _ in range(20):
            for batch, P in zip(batches, expected, strict=True):
                if not np.array_equal(model.predict_proba(batch), P):
                    wrong.append(batch)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# -- what is imported ------------------------------------------------------------------

#: Runs with hardly anything to import: whatever else is asked for does not exist.
ALONE = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {refused!r}:
            raise ModuleNotFoundError(f"{{name}} is not for this test", name=name)

sys.meta_path.insert(0, Refuse())
from skdistill.deploy import load_onnx
model = load_onnx({path!r})
print(model.predict_proba({rows}).shape, model.score({rows}, {labels}))
import pickle
pickle.loads(pickle.dumps(model)).predict({rows})
found = {{name.split(".")[0] for name in sys.modules}} - set(sys.stdlib_module_names)
print(sorted(name for name in found if not name.startswith("_")))
"""
REFUSED = (
    "joblib", "narwhals", "onnx", "pandas", "polars", "pyarrow", "scipy", "skl2onnx",
    "sklearn", "skorch", "threadpoolctl", "torch",
)  # fmt: skip


@pytest.mark.parametrize("kind", ["table", "text"])
def test_load_onnx_needs_numpy_and_onnxruntime_alone(tmp_path, kind):
    path = tmp_path / "a.onnx"
    model = _linear() if kind == "table" else _texts_model()
    path.write_bytes(model._bytes)
    rows = "[[1, 2, 3, 4]]" if kind == "table" else "['good']"
    code = ALONE.format(refused=REFUSED, path=str(path), rows=rows, labels=["plus"])
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    shape, found = done.stdout.splitlines()
    assert shape.startswith(f"(1, {len(model.classes_)})")
    # what onnxruntime itself imports of what may be installed is its own
    allowed = {"numpy", "onnxruntime", "skdistill"}
    assert allowed <= set(eval(found)) <= allowed | _onnxruntime_imports()


def _onnxruntime_imports():
    code = (
        "import sys, numpy, onnxruntime; "
        "print({name.split('.')[0] for name in sys.modules})"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return set(eval(done.stdout))
