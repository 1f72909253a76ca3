"""export_onnx: every kind of student as a file that answers as the student does."""

import json
import os

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose
from scipy import sparse
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris, load_wine
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MinMaxScaler,
    OneHotEncoder,
    PolynomialFeatures,
    StandardScaler,
)
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from benchmarks.datasets import load
from skdistill import (
    CascadeClassifier,
    DistilledClassifier,
    LogisticStudent,
    MLPStudent,
)

onnx = pytest.importorskip("onnx", reason="onnx writes the files")
onnxruntime = pytest.importorskip("onnxruntime", reason="it answers for the files")
pytest.importorskip("skl2onnx", reason="it writes scikit-learn's own models")

from benchmarks import export_parity  # noqa: E402
from skdistill.deploy import _rows, _runtime, export_onnx, load_onnx  # noqa: E402
from skdistill.deploy._boosting_graph import below  # noqa: E402
from skdistill.deploy._weights import quantized  # noqa: E402

X, y = load_wine(return_X_y=True)
X = X.astype(np.float32).astype(np.float64)  # what the files are to answer exactly


def session_of(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        path.read_bytes(), options, providers=["CPUExecutionProvider"]
    )


def ask(path, rows):
    """Labels and probabilities of a file, fed by what it says of itself."""
    session = session_of(path)
    held = session.get_modelmeta().custom_metadata_map["skdistill"]
    return session.run(None, export_parity.feeds(rows, json.loads(held)))


def distilled(student, rows=X, labels=y, teacher=None, **settings):
    """Student of a forest's probabilities."""
    teacher = teacher or RandomForestClassifier(10, random_state=0)
    teacher.fit(rows, labels)
    model = DistilledClassifier(
        teacher, student, alpha=1.0, transfer=None, calibrate=None, random_state=0,
        **settings,
    )  # fmt: skip
    return model.fit(rows, labels)


def mixed_frame(n_rows=120):
    rng = np.random.RandomState(0)
    text = rng.choice(["red", "blue", None], size=n_rows)
    frame = pd.DataFrame(
        {
            "colour": pd.Series(text, dtype=object),
            "size": rng.normal(5, 2, size=n_rows).astype(np.float32).astype(float),
            "grade": pd.Categorical(rng.randint(3, size=n_rows)),
            "flag": rng.randint(2, size=n_rows).astype(bool),
        }
    )
    frame.loc[::7, "size"] = np.nan
    return frame, np.where(frame["size"].fillna(0) + frame["flag"] > 5, "yes", "no")


# -- parity ----------------------------------------------------------------------------


@pytest.mark.slow
def test_random_students_answer_alike_alone_and_in_batches():
    """A fifth of what ``python -m benchmarks.export_parity 300`` looks at."""
    for seed in range(64):
        found = export_parity.compare(export_parity.case(seed))
        assert found.difference <= export_parity.TOLERANCE, (seed, found)
        assert found.n_labels_off == found.n_alone_off == 0, (seed, found)


@pytest.mark.parametrize("kind", export_parity.KINDS)
def test_a_student_of_each_kind_answers_alike(kind):
    seed = export_parity.KINDS.index(kind) + 8
    found = export_parity.compare(export_parity.case(seed))
    assert found.kind == kind and found.difference <= export_parity.TOLERANCE
    assert found.n_labels_off == found.n_alone_off == 0


@pytest.mark.slow
def test_sizes_and_loss_of_weights_on_letter(tmp_path):
    rows, labels = load("letter")
    train, test = np.arange(len(rows)) % 5 > 0, np.arange(len(rows)) % 5 == 0
    student = MLPStudent((64, 64), random_state=0, max_steps=2000)
    student.fit(rows[train], labels[train])
    path, answers, losses = tmp_path / "letter.onnx", {}, {}
    for quantize, most in ((None, 32_000), ("float16", 18_000), ("int8", 11_000)):
        export_onnx(student, path, quantize=quantize, X=rows[train])
        assert path.stat().st_size <= most
        found, P = ask(path, rows[test])
        answers[quantize] = found
        P = P.astype(np.float64)
        P /= P.sum(axis=1, keepdims=True)
        losses[quantize] = log_loss(labels[test], P)
    assert np.mean(answers["int8"] == answers[None]) >= 0.997
    assert abs(losses["int8"] - losses[None]) <= 0.002
    assert np.mean(answers["float16"] == answers[None]) >= 0.9995


@pytest.mark.parametrize("quantize", [None, "float16", "int8"])
def test_own_student_answers_in_the_weights_that_it_was_asked_for(tmp_path, quantize):
    student = MLPStudent((16,), max_steps=50, random_state=0).fit(X, y)
    path = tmp_path / "m.onnx"
    metadata = export_onnx(student, path, quantize=quantize, X=X)
    wanted = quantized(student, quantize).predict_proba(X)
    np.testing.assert_allclose(ask(path, X)[1], wanted, atol=2e-6)
    stored = {t.data_type for t in onnx.load(path).graph.initializer if len(t.dims) > 1}
    names = {None: "FLOAT", "float16": "FLOAT16", "int8": "INT8"}
    assert stored == {onnx.TensorProto.DataType.Value(names[quantize])}
    loss = metadata["quantization_loss"]
    assert (loss == {}) == (quantize is None)
    if quantize == "int8":
        change = np.abs(wanted - student.predict_proba(X)).max()
        assert loss["max_change"] == pytest.approx(change, rel=1e-6) and change > 1e-4


@pytest.mark.parametrize("student", [MLPStudent((8,), max_steps=30), LogisticStudent()])
@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("with_rows", [True, False])
def test_frames_with_categories_keep_them(tmp_path, student, library, with_rows):
    frame, labels = mixed_frame()
    frame["grade"] = frame["grade"].astype(str if library == "polars" else "category")
    given = pl.from_pandas(frame) if library == "polars" else frame
    student.fit(given, labels)
    path = tmp_path / "m.onnx"
    metadata = export_onnx(student, path, X=given if with_rows else None)
    assert [i["columns"] for i in metadata["inputs"]] == [[1, 3], [0, 2]]
    assert metadata["feature_names"] == ["colour", "size", "grade", "flag"]
    fed = frame.astype({"flag": float})
    if library == "pandas":
        grade = fed["grade"].astype(float).map(repr)
        fed = fed.assign(grade=grade.astype(object))
    fed.loc[3, "colour"] = "never seen"
    asked = fed if library == "pandas" else pl.from_pandas(fed)
    if library == "pandas":
        asked = frame.astype({"colour": object})
        asked.loc[3, "colour"] = "never seen"
    found, P = ask(path, fed)
    np.testing.assert_allclose(P, student.predict_proba(asked), atol=1e-6)
    assert found.tolist() == student.predict(asked).tolist()


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_truth_values_that_are_missing_are_missing_numbers(tmp_path, library):
    cells = [True, None, False] * 40
    frame = pd.DataFrame({"a": pd.array(cells, dtype="boolean"), "b": np.arange(120.0)})
    frame = pl.from_pandas(frame) if library == "polars" else frame
    student = LogisticStudent().fit(frame, np.arange(120) % 3 == 1)
    export_onnx(student, tmp_path / "m.onnx", X=frame)
    found = load_onnx(tmp_path / "m.onnx").predict_proba(frame)
    np.testing.assert_allclose(found, student.predict_proba(frame), atol=1e-6)


def test_levels_that_read_alike_are_refused(tmp_path):
    frame = pd.DataFrame({"a": pd.Series([1.0, "1.0", "x"] * 10, dtype=object)})
    student = LogisticStudent().fit(frame, [0, 1, 0] * 10)
    with pytest.raises(ValueError, match=r"position 0 must differ as text.*'1\.0'"):
        export_onnx(student, tmp_path / "m.onnx")


def test_sparse_fitted_student_takes_dense_rows_and_no_missing_ones(tmp_path):
    rows = sparse.csr_matrix(np.where(X > X.mean(axis=0), X, 0))
    student, path = LogisticStudent().fit(rows, y), tmp_path / "m.onnx"
    metadata = export_onnx(student, path, X=rows)
    assert metadata["allow_nan"] is False
    P = ask(path, rows.toarray())[1]
    np.testing.assert_allclose(P, student.predict_proba(rows), atol=2e-6)


@pytest.mark.parametrize(
    "labels, dtype",
    [
        (np.array(["b", "c", "a"])[y], "tensor(string)"),
        (np.array(["b", "c", "a"], dtype=object)[y], "tensor(string)"),
        (y * 10 - 5, "tensor(int64)"),
        (y.astype(float), "tensor(int64)"),
        (y > 0, "tensor(int64)"),
        (y.astype(">i2"), "tensor(int64)"),
        (np.array(['a"b', "", "\u65e5\n"])[y], "tensor(string)"),
    ],
)
def test_labels_of_all_kinds(tmp_path, labels, dtype):
    student, path = LogisticStudent().fit(X, labels), tmp_path / "m.onnx"
    metadata = export_onnx(student, path)
    assert session_of(path).get_outputs()[0].type == dtype
    wanted = student.predict(X)
    wanted = wanted if dtype == "tensor(string)" else wanted.astype(int)
    assert ask(path, X)[0].tolist() == wanted.tolist()
    assert metadata["classes"] == student.classes_.tolist()
    native = student.classes_.dtype.newbyteorder("=")
    assert np.array(metadata["classes"], dtype=metadata["classes_dtype"]).dtype == (
        native
    )
    np.testing.assert_array_equal(load_onnx(path).classes_, student.classes_)


# -- adapters, scikit-learn, nets ------------------------------------------------------


@pytest.mark.parametrize("temperature", [1.0, 3.0])
@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize(
    "student, targets",
    [
        (DecisionTreeRegressor(max_depth=3, random_state=0), "regress"),
        (DecisionTreeRegressor(max_depth=3, random_state=0), "regress_logits"),
        (Ridge(), "regress_logits"),
        (HistGradientBoostingClassifier(max_iter=5), "expand"),
        (LogisticStudent(), "native"),
    ],
)
def test_adapted_students_answer_alike(tmp_path, student, targets, binary, temperature):
    labels, path = (y > 0 if binary else y), tmp_path / "m.onnx"
    model = distilled(student, labels=labels, targets=targets, temperature=temperature)
    export_onnx(model, path, X=X)
    np.testing.assert_allclose(ask(path, X)[1], model.predict_proba(X), atol=5e-6)


def test_adapter_of_some_classes_answers_zero_for_the_others(tmp_path):
    P = np.zeros((len(X), 4))
    P[:, [1, 3]] = [[0.3, 0.7]]
    P[y > 0] = [0, 0.9, 0, 0.1]
    model, path = DistilledClassifier(
        None, LogisticRegression(max_iter=2000), alpha=1.0, transfer=None
    ), tmp_path / "m.onnx"  # fmt: skip
    model.fit(X, soft_targets=P, classes=list("abcd"))
    export_onnx(model, path, X=X)
    found = ask(path, X)[1]
    np.testing.assert_allclose(found, model.predict_proba(X), atol=1e-5)
    assert not found[:, [0, 2]].any()


def test_our_students_convert_inside_anything(tmp_path):
    mlp = MLPStudent((6,), max_steps=20, random_state=0)
    path = tmp_path / "m.onnx"
    models = [
        make_pipeline(StandardScaler(), mlp),
        make_pipeline(StandardScaler(), distilled(mlp)),
        CalibratedClassifierCV(make_pipeline(StandardScaler(), LogisticStudent())),
        CalibratedClassifierCV(FrozenEstimator(LogisticStudent().fit(X, y))),
        CalibratedClassifierCV(mlp, cv=2),
    ]
    for model in models:
        model.fit(X, y)
        export_onnx(model, path, X=X)
        np.testing.assert_allclose(ask(path, X)[1], model.predict_proba(X), atol=1e-5)


def test_column_transformer_takes_each_column_by_name(tmp_path):
    frame, labels = mixed_frame()
    frame = frame.drop(columns="grade").rename(columns={"colour": "label"})
    frame["c 1"] = frame.pop("size").fillna(0)
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["label"]),
        (StandardScaler(), ["c 1"]),
    )
    model = make_pipeline(columns, LogisticStudent()).fit(frame, labels)
    path = tmp_path / "m.onnx"
    metadata = export_onnx(model, path, X=frame, quantize="int8")
    assert [i["columns"] for i in metadata["inputs"]] == [[0], [1], [2]]
    wanted = quantized(model, "int8").predict_proba(frame)
    np.testing.assert_allclose(ask(path, frame)[1], wanted, atol=1e-5)
    with pytest.raises(ValueError, match="begins with a ColumnTransformer"):
        export_onnx(model, path)


@pytest.mark.parametrize("names", [["", "label"], ["p1_", "p1_variable"], [3, 5]])
def test_column_transformer_takes_names_of_all_kinds(tmp_path, names):
    frame = pd.DataFrame({"a": ["u", "v", "w"] * 20, "b": np.arange(60.0)})
    frame.columns = names
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), [0]),
        (StandardScaler(), [1]),
    )
    model = make_pipeline(columns, LogisticStudent()).fit(frame, np.arange(60) % 2)
    export_onnx(model, tmp_path / "m.onnx", X=frame)
    found = load_onnx(tmp_path / "m.onnx").predict_proba(frame)
    np.testing.assert_allclose(found, model.predict_proba(frame), atol=1e-6)


@pytest.mark.parametrize("missing", [None, np.nan])
@pytest.mark.parametrize("around", [False, True])
def test_missing_categories_reach_an_encoder_as_it_met_them(tmp_path, missing, around):
    cells = np.array(["u", "v", missing], dtype=object)[np.arange(90) % 3]
    frame = pd.DataFrame({"a": pd.Series(cells, dtype=object), "b": np.arange(90.0)})
    labels = (np.arange(90) % 3 == 2).astype(int)
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = make_column_transformer((encoder, ["a"]), remainder="passthrough")
    if around:
        model = distilled(make_pipeline(clone(columns), Ridge()), frame, labels,
                          make_pipeline(columns, DecisionTreeClassifier()))  # fmt: skip
    else:
        model = make_pipeline(columns, LogisticStudent()).fit(frame, labels)
    export_onnx(model, tmp_path / "m.onnx", X=frame)
    found = load_onnx(tmp_path / "m.onnx").predict_proba(frame)
    np.testing.assert_allclose(found, model.predict_proba(frame), atol=1e-5)


def test_a_search_is_exported_as_what_it_found(tmp_path):
    search = GridSearchCV(MLPStudent(max_steps=20), {"activation": ["relu", "tanh"]})
    path = tmp_path / "m.onnx"
    export_onnx(search.fit(X, y), path, quantize="int8")
    wanted = quantized(search, "int8").predict_proba(X)
    np.testing.assert_allclose(ask(path, X)[1], wanted, atol=2e-6)


def test_boosting_splits_float32_rows_where_scikit_learn_does(tmp_path):
    # Halves of 0.1 are thresholds that float32 rounds up: 0.15 is one of the rows.
    rows = np.repeat(np.arange(40) * np.float32(0.1), 5).astype(np.float64)[:, None]
    labels = (np.arange(200) // 5) % 3
    model = HistGradientBoostingClassifier(min_samples_leaf=2, max_iter=20)
    model.fit(rows, labels)
    edges = np.unique(
        np.concatenate([t.nodes["num_threshold"] for s in model._predictors for t in s])
    )
    asked = np.unique(np.concatenate([edges.astype("f4"), np.nextafter(
        edges.astype("f4"), np.float32(9))])).astype(np.float64)[:, None]  # fmt: skip
    path = tmp_path / "m.onnx"
    export_onnx(model, path, X=rows)
    np.testing.assert_allclose(
        ask(path, asked)[1], model.predict_proba(asked), atol=1e-5
    )


def test_below_is_the_largest_float32_that_is_not_above():
    t = np.array([0.15, -0.15, 1.0, 2.45, 1e300, -1e300])
    single = below(t)
    assert np.all(single <= t) and np.all(single == single.astype(np.float32))
    with np.errstate(over="ignore"):
        above = np.nextafter(single.astype(np.float32), np.float32(np.inf))
    assert np.all(above > t)


def test_boosting_with_categorical_features_names_the_way_out(tmp_path):
    rows = np.column_stack([np.arange(60) % 4, np.arange(60.0)])
    model = HistGradientBoostingClassifier(categorical_features=[0], max_iter=2)
    model.fit(rows, np.arange(60) % 2)
    with pytest.raises(ValueError, match="OneHotEncoder"):
        export_onnx(model, tmp_path / "m.onnx", X=rows)


def test_trees_that_met_no_missing_values_refuse_them_in_the_file(tmp_path):
    model = RandomForestClassifier(5, random_state=0).fit(X, y)
    assert export_onnx(model, tmp_path / "m.onnx", X=X)["allow_nan"] is False


@pytest.mark.parametrize("criterion", ["CrossEntropyLoss", "NLLLoss"])
def test_nets_go_through_torch(tmp_path, criterion):
    torch = pytest.importorskip("torch")
    skorch = pytest.importorskip("skorch")
    last = [torch.nn.Softmax(dim=1)] if criterion == "NLLLoss" else []
    layers = [torch.nn.Linear(13, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU()]
    layers += [torch.nn.Dropout(0.5), torch.nn.Linear(8, 3), *last]
    net = skorch.NeuralNetClassifier(
        torch.nn.Sequential(*layers), max_epochs=2, verbose=0,
        criterion=getattr(torch.nn, criterion), classes=[0, 1, 2],
    )  # fmt: skip
    rows = StandardScaler().fit_transform(X).astype(np.float32)
    path = tmp_path / "m.onnx"
    for model in (net.fit(rows, y.astype(np.int64)), distilled(net, rows)):
        export_onnx(model, path, X=rows)
        np.testing.assert_allclose(
            ask(path, rows)[1], model.predict_proba(rows), atol=2e-6
        )
    with pytest.raises(ValueError, match="X must be given for NeuralNetClassifier"):
        export_onnx(net, path)


# -- numbers that float32 cannot hold --------------------------------------------------


@pytest.mark.parametrize(
    "model",
    [
        HistGradientBoostingClassifier(max_iter=3),
        make_pipeline(StandardScaler(), LogisticRegression()),
        DistilledClassifier(
            DecisionTreeClassifier(max_depth=3),
            HistGradientBoostingClassifier(),
            alpha=1.0,
            transfer=None,
        ),
    ],
)
def test_rows_are_asked_for_where_made_ones_would_prove_nothing(tmp_path, model):
    seconds = 1.7e9 + 1e4 * np.random.RandomState(0).normal(size=(300, 1))
    model.fit(seconds, (seconds[:, 0] > 1.7e9).astype(int))
    with pytest.raises(ValueError, match="X must be given for a model that begins"):
        export_onnx(model, tmp_path / "m.onnx")
    export_onnx(model, tmp_path / "m.onnx", X=seconds)
    found = load_onnx(tmp_path / "m.onnx").predict_proba(seconds)
    np.testing.assert_allclose(found, model.predict_proba(seconds), atol=1e-5)


def test_a_step_that_takes_no_float64_says_why_it_met_one(tmp_path):
    seconds = 1.7e9 + 1e4 * np.random.RandomState(0).normal(size=(300, 1))
    model = make_pipeline(StandardScaler(), PolynomialFeatures(2), LogisticStudent())
    model.fit(seconds, (seconds[:, 0] > 1.7e9).astype(int))
    with pytest.raises(ValueError, match=r"double.*take a start off time stamps"):
        export_onnx(model, tmp_path / "m.onnx", X=seconds)


def test_imputer_before_time_stamps_fills_float64(tmp_path):
    rows = 1.7e9 + 1e4 * np.random.RandomState(0).normal(size=(300, 2))
    labels = (rows[:, 0] > 1.7e9).astype(int)
    rows[::5] = np.nan
    frame = pd.DataFrame(rows, columns=["a", "b"])
    columns = make_column_transformer((SimpleImputer(strategy="median"), ["b", "a"]))
    for table, first in ((rows, SimpleImputer()), (frame, columns)):
        model = make_pipeline(first, LogisticStudent()).fit(table, labels)
        about = export_onnx(model, tmp_path / "m.onnx", X=table)
        assert {entry["dtype"] for entry in about["inputs"]} == {"float64"}
        found = load_onnx(tmp_path / "m.onnx").predict_proba(table)
        np.testing.assert_allclose(found, model.predict_proba(table), atol=1e-5)


@pytest.mark.parametrize(
    "student",
    [
        MLPStudent((8,), max_steps=30, random_state=0),
        MLPStudent((8,), encoding="piecewise", max_steps=30, random_state=0),
        LogisticStudent(),
        LogisticStudent(encoding="piecewise"),
        make_pipeline(StandardScaler(), LogisticRegression()),
    ],
)
def test_time_stamps_are_exported_as_float64(tmp_path, student):
    seconds = 1.7e9 + np.random.RandomState(0).random_sample(len(X)) * 86_400
    rows = np.column_stack([seconds, X[:, :3]])
    labels = (seconds > np.median(seconds)).astype(int)
    student.fit(rows, labels)
    path = tmp_path / "m.onnx"
    metadata = export_onnx(student, path, X=rows)
    assert [i["dtype"] for i in metadata["inputs"]] == ["float64"]
    found = ask(path, rows)[1]
    np.testing.assert_allclose(found, student.predict_proba(rows), atol=1e-5)
    single = student.predict_proba(rows.astype(np.float32).astype(np.float64))
    assert np.abs(found - single).max() > 5e-6  # float32 would not do


def test_columns_beyond_float32_are_exported_as_float64(tmp_path):
    rows = X * np.where(np.arange(13) < 2, 1e60, 1.0)
    student, path = MLPStudent((8,), max_steps=20).fit(rows, y), tmp_path / "m.onnx"
    assert export_onnx(student, path)["inputs"][0]["dtype"] == "float64"
    np.testing.assert_allclose(
        ask(path, rows)[1], student.predict_proba(rows), atol=1e-6
    )


@pytest.mark.parametrize("encoding", ["linear", "piecewise"])
def test_huge_rows_are_as_certain_as_in_the_fitted_model(tmp_path, encoding):
    student, path = LogisticStudent(encoding=encoding).fit(X, y), tmp_path / "m.onnx"
    export_onnx(student, path)
    rows = np.where(np.eye(13, dtype=bool), 3e38, X[:13])
    rows = np.vstack([rows, -rows, np.full((1, 13), 3e38), np.full((1, 13), -3e38)])
    rows = rows.astype(np.float32).astype(np.float64)
    np.testing.assert_allclose(
        ask(path, rows)[1], student.predict_proba(rows), atol=1e-6
    )


# -- the file --------------------------------------------------------------------------


def test_file_has_all_keys_of_the_metadata_and_no_foreign_domain(tmp_path):
    model, path = distilled(LogisticStudent()), tmp_path / "m.onnx"
    metadata = export_onnx(model, path, quantize="int8")
    held = {e.key: e.value for e in onnx.load(path).metadata_props}
    assert json.loads(held["skdistill"]) == metadata
    assert set(metadata) == {
        "format", "kind", "classes", "classes_dtype", "n_features", "feature_names",
        "inputs", "allow_nan", "missing", "text", "quantize", "quantization_loss",
        "tolerance", "max_difference", "versions", "fingerprint", "report", "created",
    }  # fmt: skip
    assert metadata["kind"] == "table" and metadata["n_features"] == 13
    assert {e.domain for e in onnx.load(path).opset_import} <= {"", "ai.onnx.ml"}
    assert max(e.version for e in onnx.load(path).opset_import) == 13


def test_two_exports_of_one_model_have_one_fingerprint(tmp_path):
    student = MLPStudent((4,), max_steps=10, random_state=0).fit(X, y)
    first, second = (
        export_onnx(student, tmp_path / f"{i}.onnx", X=X) for i in range(2)
    )
    other = export_onnx(student, tmp_path / "q.onnx", X=X, quantize="int8")
    assert first["fingerprint"] == second["fingerprint"] != other["fingerprint"]
    assert (tmp_path / "0.onnx").read_bytes() == (tmp_path / "1.onnx").read_bytes()


def test_report_is_kept_or_else_the_held_out_scores(tmp_path):
    model = DistilledClassifier(
        DecisionTreeClassifier(max_depth=3), LogisticStudent(), random_state=0,
        transfer=None, cv=2, effort="low",
    ).fit(np.tile(X, (2, 1)), np.tile(y, 2))  # fmt: skip
    path = tmp_path / "m.onnx"
    scores = export_onnx(model, path)["report"]["held_out"]
    assert set(scores) == {"teacher", "plain student", "student"}
    assert set(scores["student"]) == {"log_loss", "accuracy"}
    summary = pd.DataFrame(model.summary_)
    summary = summary[summary["metric"] == "log_loss"]
    for name, of_model in (
        ("student", summary["chosen"].astype(bool)),
        ("plain student", summary["model"] == "plain student"),
        ("teacher", summary["model"] == "teacher"),
    ):
        assert round(summary["score"][of_model].iloc[-1], 5) == scores[name]["log_loss"]
    assert export_onnx(model, path, report={"a": np.float64(1)})["report"] == {"a": 1.0}


def test_nothing_is_written_where_the_file_would_not_answer_alike(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(b"old")
    student = MLPStudent((8,), max_steps=30, random_state=0).fit(X, y)
    with pytest.raises(
        ValueError, match=r"within 1e-12, got \[.*\] in place of .* row"
    ):
        export_onnx(student, path, tolerance=1e-12)
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["m.onnx"]


def test_a_file_that_load_onnx_would_feed_wrongly_is_not_written(tmp_path, monkeypatch):
    right = _rows.feeds
    monkeypatch.setattr(
        _runtime, "feeds", lambda rows, content: right(rows[::-1], content)
    )
    frame = pd.DataFrame(X).add_prefix("x")
    with pytest.raises(ValueError, match="load_onnx must feed the rows of X"):
        export_onnx(LogisticStudent().fit(frame, y), tmp_path / "m.onnx", X=frame)
    assert os.listdir(tmp_path) == []


def test_models_that_cannot_be_exported_say_why(tmp_path):
    path = tmp_path / "m.onnx"
    cases = [
        (Ridge().fit(X, y), TypeError, "got Ridge. Make a regressor the student"),
        (LogisticStudent(), NotFittedError, "not fitted"),
        (LogisticStudent, TypeError, "must be a fitted classifier"),
        (SVC().fit(X, y), TypeError, "predict_proba"),
        (RandomForestClassifier(2).fit(X, np.c_[y, y]), ValueError, "2 outputs"),
        (distilled(KNeighborsRegressor(3)), ValueError, "."),
    ]
    for model, error, words in cases:
        with pytest.raises(error, match=words):
            export_onnx(model, path)
    student = LogisticStudent().fit(X, y)
    settings = [
        ({"quantize": "int4"}, ValueError, "got 'int4'"),
        ({"tolerance": 0}, ValueError, "above 0 and up to 1, got 0"),
        ({"tolerance": np.nan}, ValueError, "got nan"),
        ({"tolerance": "a"}, ValueError, "got 'a'"),
        ({"report": "good"}, TypeError, "must be a DistillationReport.*got 'good'"),
        ({"report": {"by": student}}, TypeError, "dict of what JSON can hold"),
        ({"X": X[0]}, ValueError, r"rows and columns, got shape \(13,\)"),
        ({"X": X[:0]}, ValueError, "0 sample"),
    ]
    for setting, error, words in settings:
        with pytest.raises(error, match=words):
            export_onnx(student, path, **setting)
    with pytest.raises(FileNotFoundError, match="Create the folder first"):
        export_onnx(student, tmp_path / "gone" / "m.onnx")
    with pytest.raises(ValueError, match=r"two classes or more apart, got \[1\.0\]"):
        export_onnx(DecisionTreeClassifier().fit(X, np.ones(len(X))), path)
    with pytest.raises(ValueError, match="whole numbers"):
        halves = LogisticStudent().fit_soft_targets(
            X, np.eye(3)[y], classes=[0.5, 1.5, 2.5]
        )
        export_onnx(halves, path)
    assert not path.exists()


def test_cascade_names_the_way_out(tmp_path):
    rows, labels = load_iris(return_X_y=True)
    cascade = CascadeClassifier(
        LogisticStudent().fit(rows, labels),
        RandomForestClassifier(5, random_state=0).fit(rows, labels),
        max_disagreement=0.3,
    ).fit(rows, labels)
    with pytest.raises(TypeError, match=r"Export its student_, .*load_onnx"):
        export_onnx(cascade, tmp_path / "m.onnx")


def test_text_pipelines_point_to_the_text_student(tmp_path):
    texts, labels = ["a good day", "a bad night"] * 10, [0, 1] * 10
    model = make_pipeline(TfidfVectorizer(), LogisticStudent()).fit(texts, labels)
    for rows in (None, texts):
        with pytest.raises(TypeError, match="must be an NGramStudent"):
            export_onnx(model, tmp_path / "m.onnx", X=rows)


@pytest.mark.parametrize("quantize", [None, "int8"])
def test_text_student_answers_one_text_a_call(tmp_path, quantize):
    from skdistill import NGramStudent

    texts, labels = ["a good day", "so bad a night"] * 60, ["+", "-"] * 60
    student = NGramStudent(random_state=0).fit(texts, labels)
    path = tmp_path / "m.onnx"
    metadata = export_onnx(student, path, X=texts, quantize=quantize)
    assert metadata["kind"] == "text" and metadata["n_features"] is None
    assert metadata["text"] and metadata["max_difference"] <= 1e-5
    found, P = session_of(path).run(None, {"ngrams": student.encoder_.rows(texts[0])})
    assert found.tolist() == student.predict(texts[:1]).tolist()
    change = metadata["quantization_loss"].get("max_change", 0.0)
    wanted = student.predict_proba(texts[:1])
    np.testing.assert_allclose(P, wanted, atol=1e-5 + change)


def test_encoder_that_refuses_unknown_categories_refuses_them_in_the_file(tmp_path):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=200), "c": rng.choice(["u", "v"], 200)})
    front = make_column_transformer((OneHotEncoder(), ["c"]), remainder="passthrough")
    model = make_pipeline(front, LogisticStudent()).fit(X, X["a"] > 0)
    export_onnx(model, tmp_path / "model.onnx", X=X)
    loaded = load_onnx(tmp_path / "model.onnx")
    np.testing.assert_allclose(
        loaded.predict_proba(X), model.predict_proba(X), atol=1e-6
    )
    with pytest.raises(ValueError, match="Unknown Category"):
        loaded.predict_proba(X.assign(c="w"))


@pytest.mark.parametrize("levels", [[0.0, 1.0, 2.0], [0, 1, 2], [False, True, True]])
def test_zero_and_minus_zero_are_one_level(levels, tmp_path):
    k = np.arange(300) % 3
    X = pd.DataFrame({"c": pd.Categorical(np.array(levels)[k])})
    student = LogisticStudent().fit(X, k == 0)
    export_onnx(student, tmp_path / "m.onnx", X=X)
    Z = pd.DataFrame({"c": [0.0, -0.0, 1.0]})
    P = load_onnx(tmp_path / "m.onnx").predict_proba(Z)
    assert_allclose(P, student.predict_proba(Z), atol=1e-5)


@pytest.mark.parametrize("kind", ["floats", "integers", "gaps", "beside categories"])
@pytest.mark.parametrize("student", [LogisticStudent(), MLPStudent((4,), max_steps=50)])
def test_numbers_in_columns_of_objects_are_exported_as_numbers(student, kind, tmp_path):
    rng = np.random.RandomState(0)
    values = rng.randint(9, size=300) if kind == "integers" else rng.randn(300)
    values = values.astype(object)
    if kind in ("gaps", "beside categories"):
        values[::5] = None
    X = pd.DataFrame({"a": values})
    if kind == "beside categories":
        X["c"] = pd.Categorical(rng.choice(["x", "y"], size=300))
    model = clone(student).fit(X, rng.randint(2, size=300))
    export_onnx(model, tmp_path / "m.onnx", X=X)
    P = load_onnx(tmp_path / "m.onnx").predict_proba(X)
    assert_allclose(P, model.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize("table", [load_iris, load_wine])
@pytest.mark.parametrize("scaler", [StandardScaler(), MinMaxScaler()])
def test_trees_behind_a_scaler_round_as_scikit_learn_does(scaler, table, tmp_path):
    X, y = table(return_X_y=True)
    forest = RandomForestClassifier(10, random_state=0)
    model = make_pipeline(clone(scaler), forest).fit(X, y)
    export_onnx(model, tmp_path / "m.onnx", X=X)
    P = load_onnx(tmp_path / "m.onnx").predict_proba(X)
    assert_allclose(P, model.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize("idle", ["passthrough", None])
def test_steps_that_do_nothing_are_left_out(idle, tmp_path):
    X, y = load_iris(return_X_y=True)
    model = make_pipeline(idle, MLPStudent((4,), max_steps=50, random_state=0))
    export_onnx(model.fit(X, y), tmp_path / "m.onnx", X=X)
    P = load_onnx(tmp_path / "m.onnx").predict_proba(X)
    assert_allclose(P, model.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize("last", [LogisticStudent(), LogisticRegression(max_iter=500)])
def test_indicators_of_imputers_are_refused_by_name(last, tmp_path):
    X, y = load_iris(return_X_y=True)
    X[::7, 1] = np.nan
    model = make_pipeline(SimpleImputer(add_indicator=True), last).fit(X, y)
    with pytest.raises(ValueError, match="Imputers must be without add_indicator"):
        export_onnx(model, tmp_path / "m.onnx", X=X)
