"""The quick check of rows: whatever comes, nobody can tell that it is there."""

import copy
import tempfile
import threading
import tracemalloc
import warnings
from functools import cache

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn import config_context
from sklearn.exceptions import NotFittedError

from skdistill import DistilledClassifier, LogisticStudent, MLPStudent
from skdistill.students import _base, _quick

NAMES = ["alpha", "beta", "gamma"]
STUDENTS = {
    "mlp": lambda: MLPStudent((6,), max_steps=20, random_state=0),
    "logistic": lambda: LogisticStudent(C=0.1),
}
FITTED_ON = ("array", "array with holes", "frame", "frame with holes", "categories")
FRAME_MODELS = st.sampled_from([*FITTED_ON[2:], *FITTED_ON[2:], *FITTED_ON])


# -- models, each with a twin that validates everything --------------------------------


def _table():
    rng = np.random.RandomState(0)
    X = rng.standard_normal((60, 3)) * [1, 10, 0.1]
    return X, np.arange(60) % 3


def _training_rows(kind):
    X, y = _table()
    if "holes" in kind:
        X[::7, 1] = np.nan
    if "array" in kind:
        return X, y
    X = pd.DataFrame(X, columns=NAMES)
    if kind == "categories":
        X["beta"] = pd.Categorical(np.array(["red", "green", "blue"])[y])
    return X, y


@cache
def _model(name, distilled, kind):
    X, y = _training_rows(kind)
    student = STUDENTS[name]()
    if not distilled:
        return student.fit(X, y)
    return DistilledClassifier(
        None, student, alpha=1.0, calibrate=None, transfer=None, random_state=0
    ).fit(X, soft_targets=np.eye(3)[y] * 0.7 + 0.1)


def _slow_twin(model):
    """Copy that knows no good common case."""
    twin = copy.deepcopy(model)
    student = getattr(twin, "student_", twin)
    student._quick_width, student._quick_names = -1, None
    return twin


@cache
def _twins(name, distilled, in_blocks, kind):
    model = copy.deepcopy(_model(name, distilled, kind))
    slow = _slow_twin(model)
    if in_blocks:
        getattr(model, "student_", model)._n_block = 2
    return model, slow


def _outcome(model, method, X):
    """Answer or error, and all warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            answer, error = getattr(model, method)(X), None
        except Exception as err:  # any: it is compared
            answer, error = None, (type(err), str(err))
    return answer, error, [(w.category, str(w.message)) for w in caught]


def _assert_same(model, slow, method, X):
    answer, error, warned = _outcome(model, method, X)
    expected, expected_error, expected_warned = _outcome(slow, method, X)
    assert error == expected_error
    assert warned == expected_warned
    if error is None and method == "predict":
        assert_array_equal(answer, expected)
    elif error is None:
        assert answer.dtype == expected.dtype
        assert_allclose(answer, expected, rtol=1e-12, atol=1e-12)


# -- rows of all kinds -----------------------------------------------------------------

NUMBERS = st.floats(-50, 50)
EDGES = st.sampled_from(
    [0.0, -0.0, 5e-324, 1e-200, 3.5e38, 1e90, -1e99, 1e101, -1e154, 1e308]
)
SPECIALS = st.sampled_from([np.nan, np.inf, -np.inf])
ROWS = st.sampled_from([1, 1, 1, 2, 5, 0])


@st.composite
def matrices(draw):
    """Sound numbers for the most part; in some, edges or what is no number."""
    n_rows = draw(ROWS)
    n_columns = draw(st.sampled_from([3] * 10 + [2, 4]))
    cells = draw(
        st.sampled_from([NUMBERS, NUMBERS, NUMBERS | EDGES, NUMBERS | SPECIALS])
    )
    n_cells = n_rows * n_columns
    values = draw(st.lists(cells, min_size=n_cells, max_size=n_cells))
    return np.array(values, dtype=np.float64).reshape(n_rows, n_columns)


class Subclass(np.ndarray):
    pass


def _memmap(X):
    if X.size == 0:
        return X
    with tempfile.TemporaryFile() as file:
        mapped = np.memmap(file, X.dtype, "w+", shape=X.shape)
        mapped[...] = X
        return mapped


def _read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


def _strided(X):
    wide = np.full((2 * X.shape[0], 3 * X.shape[1]), np.nan)
    wide[::2, ::3] = X
    return wide[::2, ::3]


def _as(dtype):
    def convert(X):
        if np.dtype(dtype).kind in "iub":
            X = np.clip(np.nan_to_num(X), 0, 100)
        return X.astype(dtype)

    return convert


def _hole_in_object(X):
    X = X.astype(object)
    X.flat[:1] = None
    return X


ARRAYS = {
    "C": lambda X: X,
    "F": np.asfortranarray,
    "strided": _strided,
    "reversed": lambda X: X[::-1, ::-1][::-1, ::-1],
    "backwards": lambda X: X[::-1, ::-1],
    "broadcast": lambda X: np.broadcast_to(X[:1], (3 * len(X[:1]), X.shape[1])),
    "read-only": _read_only,
    "memmap": _memmap,
    "matrix": np.matrix,
    "subclass": lambda X: X.view(Subclass),
    "masked": lambda X: np.ma.masked_array(X, mask=np.isnan(X)),
    "masked cell": lambda X: np.ma.masked_array(X, mask=X == X.max(initial=0)),
    "recarray": lambda X: np.rec.array(X),
    "list": lambda X: X.tolist(),
    "tuple": lambda X: tuple(map(tuple, X)),
    "array of rows": lambda X: list(X),
    "one dimension": lambda X: X.ravel(),
    "three dimensions": lambda X: X[np.newaxis],
    "no dimension": lambda X: np.float64(1.0),
    "None": lambda X: None,
    "text": lambda X: "abc",
    "list of str": lambda X: ["abc", "def"],
    "dict": lambda X: dict(enumerate(X.T)),
    "object with None": _hole_in_object,
    "ragged": lambda X: [[1.0, 2.0, 3.0], [1.0]],
    "csr": sparse.csr_matrix,
    "csr array": sparse.csr_array,
    "csc": sparse.csc_matrix,
    "coo": sparse.coo_array,
} | {
    dtype: _as(dtype)
    for dtype in (
        "float32", ">f8", "<f4", "float16", "longdouble", "int64", "int8", "uint64",
        "bool", "complex128", "object", "U32",
    )
}  # fmt: skip

COLUMNS = {
    "same": lambda names: names,
    "permuted": lambda names: names[::-1],
    "renamed": lambda names: ["ALPHA", *names[1:]],
    "duplicated": lambda names: [names[0], *names[:-1]],
    "numpy strings": lambda names: [np.str_(name) for name in names],
    "one numpy string": lambda names: [np.str_(names[0]), *names[1:]],
    "integers": lambda names: list(range(len(names))),
    "mixed": lambda names: [0, *names[1:]],
    "missing name": lambda names: [None, *names[1:]],
    "not a name": lambda names: [pd.NA, *names[1:]],
    "levels": lambda names: pd.MultiIndex.from_tuples([(n, n) for n in names]),
    "categories": lambda names: pd.CategoricalIndex(names),
    "objects": lambda names: pd.Index(names, dtype=object),
}

CELLS = {
    "as they are": lambda s: s,
    "float32": lambda s: s.astype("float32"),
    "float16": lambda s: s.astype("float16"),
    "longdouble": lambda s: s.astype("longdouble"),
    "int64": lambda s: s.fillna(0).clip(-9, 9).astype("int64"),
    "large int64": lambda s: pd.Series(2**62 + np.arange(len(s)), s.index),
    "uint64": lambda s: pd.Series(np.uint64(2**63) + np.arange(len(s)).astype("u8")),
    "bool": lambda s: s > 0,
    "complex": lambda s: s.astype(complex),
    "object": lambda s: s.astype(object),
    "None": lambda s: pd.Series([None] * len(s), dtype=object),
    "mixed": lambda s: pd.Series(([1.0, "red", None, 2] * 2)[: len(s)], dtype=object),
    "nullable": lambda s: s.astype("Float64"),
    "nullable int": lambda s: s.fillna(0).clip(-9, 9).astype("int8").astype("Int64"),
    "NA": lambda s: pd.Series([pd.NA] * len(s), dtype="Int64"),
    "sparse": lambda s: s.astype(pd.SparseDtype("float64", 0.0)),
    "categories of numbers": lambda s: s.astype("category"),
    "text": lambda s: pd.Series(["red", "green"] * 3)[: len(s)],
    "text that is new": lambda s: pd.Series(["pink"] * len(s), dtype=str),
    "text objects": lambda s: pd.Series(["red"] * len(s), dtype=object),
    "numpy text": lambda s: pd.Series([np.str_("red")] * len(s), dtype=object),
    "categories": lambda s: pd.Series(["blue", None] * 3)[: len(s)].astype("category"),
    "dates": lambda s: pd.Series(pd.date_range("2020", periods=len(s))),
    "no dates": lambda s: pd.Series([pd.NaT] * len(s)),
    "digits": lambda s: pd.Series(["1.5"] * len(s), dtype=object),
}


class SubFrame(pd.DataFrame):
    @property
    def _constructor(self):
        return SubFrame


def _spoilt(draw, kind, cells, width):
    """Kinds of cells for each column: as in fit but for two columns at most."""
    kinds = ["as they are"] * width
    if kind == "categories":
        kinds[1] = draw(st.sampled_from(["text", "categories", "text that is new"]))
    odd = st.tuples(st.integers(0, width - 1), st.sampled_from(sorted(cells)))
    for position, other in draw(st.lists(odd, max_size=draw(st.integers(0, 2)))):
        kinds[position] = other
    return kinds


@st.composite
def pandas_frames(draw):
    """A kind of training rows, and a frame."""
    kind = draw(FRAME_MODELS)
    X = draw(matrices())
    names = [*NAMES, "delta"][: X.shape[1]]
    cells = _spoilt(draw, kind, CELLS, len(names))
    with np.errstate(all="ignore"):
        parts = [
            CELLS[cell](pd.Series(column)).reset_index(drop=True)
            for cell, column in zip(cells, X.T, strict=True)
        ]
    frame = pd.concat(parts, axis=1)
    order = draw(st.sampled_from(["same"] * 30 + sorted(COLUMNS)))
    frame.columns = COLUMNS[order](names)
    shape = draw(st.integers(0, 30))
    if shape == 0:
        frame = frame[list(frame.columns)[::-1]]
    elif shape == 1:
        frame = SubFrame(frame)
    elif shape == 2:
        frame = frame.iloc[:, 0]
    elif shape == 3:
        frame = frame.iloc[:, [0, 1, 1]]
    return kind, frame


POLARS_CELLS = {
    "as they are": lambda s: s,
    "float32": lambda s: s.cast(pl.Float32, strict=False),
    "int64": lambda s: pl.Series(range(len(s)), dtype=pl.Int64),
    "large": lambda s: pl.Series([2**62 + 1] * len(s), dtype=pl.Int64),
    "bool": lambda s: s > 0,
    "null": lambda s: pl.Series([None] * len(s), dtype=pl.Float64),
    "nothing": lambda s: pl.Series([None] * len(s)),
    # Old releases of polars cannot slice such columns.
    "object": lambda s: pl.Series([1.5], dtype=pl.Object) if len(s) == 1 else s,
    "text": lambda s: pl.Series(["red"] * len(s)),
    "text that is new": lambda s: pl.Series(["pink"] * len(s)),
    "null text": lambda s: pl.Series([None] * len(s), dtype=pl.String),
    "categories": lambda s: pl.Series(["blue"] * len(s), dtype=pl.Categorical),
    "enum": lambda s: pl.Series(["red"] * len(s), dtype=pl.Enum(["red", "x"])),
    "decimal": lambda s: pl.Series(["1.5"] * len(s)).cast(pl.Decimal(10, 2)),
    "lists": lambda s: pl.Series([[1.0]] * len(s), dtype=pl.List(pl.Float64)),
}


@st.composite
def polars_frames(draw):
    """A kind of training rows, and a frame."""
    kind = draw(FRAME_MODELS)
    X = draw(matrices())
    orders = [NAMES] * 20 + [NAMES[::-1], ["ALPHA", "beta", "gamma"]]
    names = [*draw(st.sampled_from(orders)), "delta"][: X.shape[1]]
    cells = _spoilt(draw, kind, POLARS_CELLS, len(names))
    frame = pl.DataFrame(
        {
            name: POLARS_CELLS[cell](pl.Series(values))
            for name, cell, values in zip(names, cells, X.T, strict=True)
        }
    )
    return kind, frame.lazy() if draw(st.integers(0, 30)) == 0 else frame


@st.composite
def arrays(draw):
    """A kind of training rows, and rows that are no frame."""
    kind = draw(st.sampled_from(["array", "array", "array with holes", *FITTED_ON]))
    X = draw(matrices())
    usual = ["C", "F", "float32", "strided", "read-only", "broadcast"]
    form = draw(st.sampled_from([*usual, *usual, *usual, *sorted(ARRAYS)]))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # numpy's own, on making a matrix
        return kind, ARRAYS[form](X)


MODELS = st.tuples(
    st.sampled_from(sorted(STUDENTS)), st.booleans(), st.booleans()
)  # student, within a DistilledClassifier, in blocks of two rows
METHODS = st.sampled_from(
    ["predict_proba", "predict_proba", "predict_log_proba", "predict"]
)
FUZZ = settings(max_examples=1000, derandomize=True)


@FUZZ
@given(MODELS, METHODS, arrays())
def test_quick_check_of_arrays_is_never_seen(model, method, rows):
    _assert_same(*_twins(*model, rows[0]), method, rows[1])


@FUZZ
@given(MODELS, METHODS, pandas_frames())
def test_quick_check_of_pandas_frames_is_never_seen(model, method, rows):
    _assert_same(*_twins(*model, rows[0]), method, rows[1])


@FUZZ
@given(MODELS, METHODS, polars_frames())
def test_quick_check_of_polars_frames_is_never_seen(model, method, rows):
    _assert_same(*_twins(*model, rows[0]), method, rows[1])


# -- what it must let pass -------------------------------------------------------------

GOOD = {
    "array": [
        np.ones((1, 3)),
        np.ones((1, 3), np.float32),
        np.asfortranarray(np.ones((5, 3))),
        np.ones((4, 6))[:, ::2],
    ],
    "array with holes": [np.ones((2, 3))],
    "frame": [
        pd.DataFrame(np.ones((1, 3)), columns=NAMES),
        pd.DataFrame({"alpha": [1], "beta": [np.nan], "gamma": np.float32([2])}),
        pd.DataFrame(np.ones((9, 3)), columns=NAMES).iloc[2:7],
        pl.DataFrame({"alpha": [1], "beta": [2.5], "gamma": [np.nan]}),
    ],
    "categories": [
        _training_rows("categories")[0].iloc[[3]],
        pd.DataFrame({"alpha": [1.0], "beta": [None], "gamma": [2]}),
        pl.DataFrame({"alpha": [1.0], "beta": ["red"], "gamma": [2]}),
    ],
}


@pytest.mark.parametrize("name", STUDENTS)
@pytest.mark.parametrize(
    ("kind", "X"), [(kind, X) for kind, rows in GOOD.items() for X in rows]
)
def test_students_answer_good_rows_without_validation(name, kind, X, monkeypatch):
    model = _model(name, False, kind)
    expected = model.predict_proba(X)
    monkeypatch.setattr(type(model), "_check_rows", None)
    assert_array_equal(model.predict_proba(X), expected)


@pytest.mark.parametrize("name", STUDENTS)
def test_students_know_no_good_rows_before_fit_and_after_one_that_failed(name):
    X, y = _training_rows("array")
    student = STUDENTS[name]()
    with pytest.raises(NotFittedError):
        student.predict_proba(X)
    student.fit(X, y)
    with pytest.raises(ValueError, match="at least two classes"):
        student.fit(X, np.zeros(60))
    with pytest.raises(NotFittedError):
        student.predict_proba(X)


def test_student_fitted_again_goes_by_the_new_rows():
    student = LogisticStudent().fit(*_training_rows("frame"))
    student.fit(*_training_rows("array"))
    frame, _ = _training_rows("frame")
    with pytest.warns(UserWarning, match="X has feature names"):
        student.predict_proba(frame)
    student.predict_proba(frame.to_numpy())


def test_quick_check_finds_what_is_too_large_in_any_block():
    X = np.ones((10, 3))
    assert _quick.is_sound(X, 3)
    X[7, 1] = np.inf
    assert not _quick.is_sound(X, 3)


@pytest.mark.parametrize("name", STUDENTS)
def test_quick_check_takes_a_setting_that_refuses_nothing(name):
    model, slow = _twins(name, False, False, "array")
    with config_context(assume_finite=True):
        for value in (np.nan, np.inf, 1e160, 1.0):
            X = np.full((2, 3), value)
            _assert_same(model, slow, "predict_proba", X)


# -- the same answer, everywhere -------------------------------------------------------


@pytest.mark.parametrize("kind", FITTED_ON)
@pytest.mark.parametrize("name", STUDENTS)
@pytest.mark.parametrize("distilled", [False, True])
def test_answer_is_the_same_alone_and_in_a_batch(name, kind, distilled):
    model = copy.deepcopy(_model(name, distilled, kind))
    getattr(model, "student_", model)._n_block = 7
    X, _ = _training_rows(kind)
    rows = (
        [X[i : i + 1] for i in range(60)]
        if isinstance(X, np.ndarray)
        else [X.iloc[[i]] for i in range(60)]
    )
    P = model.predict_proba(X)
    alone = np.vstack([model.predict_proba(row) for row in rows])
    assert_allclose(alone, P, rtol=0, atol=1e-12)
    assert_allclose(P.sum(axis=1), 1, rtol=0, atol=1e-14)


@pytest.mark.parametrize("kind", ["array", "frame"])
@pytest.mark.parametrize("name", STUDENTS)
def test_predictions_leave_rows_and_model_as_they_were(name, kind):
    model = copy.deepcopy(_model(name, False, kind))
    before = copy.deepcopy(vars(model))
    X, _ = _training_rows(kind)
    given = X.copy()
    for method in ("predict_proba", "predict_log_proba", "predict"):
        getattr(model, method)(X)
        getattr(model, method)(X[:1])
    assert np.asarray(X).tobytes() == np.asarray(given).tobytes()
    for key, value in before.items():
        if key not in ("encoder_", "net_"):
            assert str(vars(model)[key]) == str(value)


@pytest.mark.parametrize("distilled", [False, True])
@pytest.mark.parametrize("name", STUDENTS)
def test_answers_of_many_threads_are_those_of_one(name, distilled):
    model = _model(name, distilled, "array")
    X = np.random.RandomState(0).standard_normal((4, 50, 3))
    expected = [
        [model.predict_proba(row[np.newaxis]) for row in rows]
        + [model.predict_proba(X[i])]
        for i, rows in enumerate(X)
    ]
    start, wrong = threading.Barrier(4), []

    def ask(i):
        start.wait()
        for _ in range(20):
            answers = [model.predict_proba(row[np.newaxis]) for row in X[i]]
            answers.append(model.predict_proba(X[i]))
            wrong.extend(
                not np.array_equal(a, b)
                for a, b in zip(answers, expected[i], strict=True)
            )

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wrong) == 4 * 20 * 51
    assert not any(wrong)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("name", "distilled"), [("mlp", False), ("mlp", True), ("logistic", False)]
)
def test_memory_beside_the_result_does_not_grow_with_rows(
    name, distilled, dtype, order
):
    model = _model(name, distilled, "array")
    X = np.full((200_000, 3), 0.5, dtype=dtype, order=order)
    model.predict_proba(X[:10])
    tracemalloc.start()
    P = model.predict_proba(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    block = 8 * _base.BLOCK_SIZE
    # Two columns over all rows: the largest logit, the sum, and blocks of all layers.
    assert peak < P.nbytes + 2 * P.nbytes / 3 + 6 * block
