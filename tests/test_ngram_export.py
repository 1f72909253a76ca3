"""NGramStudent as an ONNX file: the same hashes, the same answers."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

pytest.importorskip("onnx", reason="writes the files")
onnxruntime = pytest.importorskip("onnxruntime", reason="answers them")

from skdistill import DistilledClassifier, NGramStudent  # noqa: E402
from skdistill._ngrams import NGramEncoder  # noqa: E402
from skdistill.deploy import export_onnx, load_onnx  # noqa: E402
from skdistill.deploy._graph import Graph  # noqa: E402
from skdistill.deploy._ngram_graph import (  # noqa: E402
    ngram_ids,
    rounded,
    text_settings,
    write_ngrams,
)

ODD = [
    "", " ", " \t\r\n\u3000", "\0", "a\0b", "\ud800", "\udfff\ud800 good", "👍🏽",
    "👨\u200d👩\u200d👧 good", "e\u0301" * 9, "ガガ", "好 хорошо جيد good", "ภาษาไทย",
    "\u202egood", "ß İ ﬁ Ǆ", "good " * 200_000, "g" * 1_000_000, "a\u0301" * 500_000,
]  # fmt: skip


@pytest.fixture(scope="module", params=[(8,), ()], ids=["net", "linear"])
def student(request):
    rng = np.random.RandomState(0)
    y = rng.randint(3, size=250)
    words = np.array(["bad", "fair", "good"])[y]
    X = [f"{word} food at table {i}, 好" for i, word in enumerate(words)]
    labels = np.array(["no", "so", "yes"])[y]
    return NGramStudent(request.param, max_steps=150, random_state=0).fit(X, labels)


@pytest.mark.parametrize("quantize", [None, "float16", "int8"])
def test_export_answers_as_the_student_on_odd_texts(student, quantize, tmp_path):
    path = tmp_path / "student.onnx"
    metadata = export_onnx(student, path, quantize=quantize, X=ODD)
    assert metadata["max_difference"] < 1e-6
    expected = student if quantize is None else rounded(student, quantize)
    model = load_onnx(path)
    texts = [*ODD, "Good food!", "bad food", "unheardof"]
    assert_allclose(
        model.predict_proba(texts), expected.predict_proba(texts), atol=1e-6
    )
    assert_array_equal(model.predict(texts), expected.predict(texts))
    assert model.classes_.tolist() == ["no", "so", "yes"]


@pytest.mark.parametrize(("quantize", "n_bytes"), [("float16", 2), ("int8", 1)])
def test_export_rounds_the_table_with_little_change(
    student, quantize, n_bytes, tmp_path
):
    path = tmp_path / "student.onnx"
    export_onnx(student, path)
    whole = path.stat().st_size
    metadata = export_onnx(student, path, quantize=quantize)
    saved = whole - path.stat().st_size
    notes = 250  # names and scales that are in one file only
    assert saved > 0.9 * (4 - n_bytes) * student.table_.size - notes
    assert metadata["quantization_loss"]["max_change"] < 0.02


def test_export_has_rows_for_what_was_met_only(student, tmp_path):
    path = tmp_path / "student.onnx"
    export_onnx(student, path, quantize="int8")
    size, n_rows = path.stat().st_size, len(student.table_)
    assert size < n_rows * (16 + 3) + 6000


def test_export_of_a_distilled_classifier_writes_its_student(tmp_path):
    X = [f"{word} tea {i}" for i in range(30) for word in ("good", "bad")]
    P = np.tile([[0.1, 0.9], [0.8, 0.2]], (30, 1))
    model = DistilledClassifier(
        None, NGramStudent(max_steps=60), alpha=1.0, transfer=None, random_state=0
    ).fit(X, soft_targets=P, classes=[0, 1])
    export_onnx(model, tmp_path / "tea.onnx")
    loaded = load_onnx(tmp_path / "tea.onnx")
    assert_allclose(loaded.predict_proba(X), model.predict_proba(X), atol=1e-6)


def test_settings_of_a_file_hash_as_the_student_does(student):
    encoder = NGramEncoder(text_settings(student))
    for text in ODD[:-3]:
        assert_array_equal(encoder.rows(text), ngram_ids(student, text))
    assert text_settings(student)["n_rows"] + 1 == len(student.table_)


def test_graph_is_plain_arithmetic_on_one_vector(student):
    graph = Graph()
    P = write_ngrams(graph, rounded(student, "int8"))
    model = graph.model({"probabilities": (P, "float32", 3)})
    kinds = {node.op_type for node in model.graph.node}
    assert kinds <= {
        "Gather", "ReduceSum", "Size", "Cast", "Sqrt", "Div", "Mul", "Gemm", "Relu",
        "Softmax", "Identity",
    }  # fmt: skip
    assert [entry.name for entry in model.graph.input] == ["ngrams"]
    session = onnxruntime.InferenceSession(model.SerializeToString())
    table, rows = rounded(student, "int8").table_, np.array([0, 3, 5])
    h = table[rows].sum(axis=0) / np.sqrt(3)
    for coef, intercept in zip(
        rounded(student, "int8").coefs_, student.intercepts_, strict=True
    ):
        z = h @ coef + intercept
        h = np.maximum(z, 0)
    expected = np.exp(z) / np.exp(z).sum()
    assert_allclose(session.run(None, {"ngrams": rows})[0][0], expected, atol=1e-6)
