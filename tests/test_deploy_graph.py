"""The builder of graphs: what is kept, what is named how, what is spliced in."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx writes the graphs")
onnxruntime = pytest.importorskip("onnxruntime", reason="it runs the graphs")

from skdistill.deploy._graph import Graph  # noqa: E402


def run(model, **feeds):
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, feeds)


def doubled(offset=0.0):
    graph = Graph()
    x = graph.input("X", "float32", 2)
    z = graph.node("Mul", x, graph.constant(np.float32(2)))
    z = graph.node("Add", z, graph.constant(np.float32(offset)))
    return graph.model({"y": (z, "float32", 2)})


ROWS = np.array([[1.0, -3.0], [0.5, 0.0]], dtype=np.float32)


def test_graph_computes_and_declares_the_oldest_operator_sets():
    model = doubled(1.0)
    np.testing.assert_array_equal(run(model, X=ROWS)[0], 2 * ROWS + 1)
    assert [(e.domain, e.version) for e in model.opset_import] == [("", 13)]
    assert model.ir_version == 7


def test_graph_drops_what_no_output_needs_and_keeps_equal_constants_once():
    graph = Graph()
    x = graph.input("X", "float32", 2)
    graph.node("Exp", graph.node("Add", x, graph.constant(np.full(2, 9.0, "f4"))))
    one = graph.constant(np.ones(2, dtype=np.float32))
    assert graph.constant(np.ones(2, dtype=np.float32)) == one
    assert graph.constant(np.ones((1, 2), dtype=np.float32)) != one
    y = graph.node("Add", graph.node("Mul", x, one), one)
    model = graph.model({"y": (y, "float32", 2)})
    assert [node.op_type for node in model.graph.node] == ["Mul", "Add"]
    assert [tensor.name for tensor in model.graph.initializer] == [one]
    np.testing.assert_array_equal(run(model, X=ROWS)[0], ROWS + 1)


def test_graph_never_names_a_spliced_tensor_like_an_input():
    graph = Graph()
    names = [graph.input(name, "float32", 2) for name in ("p1_y", "p1__X")]
    (doubles,) = graph.splice(doubled(), {"X": names[0]})
    total = graph.node("Add", doubles, names[1])
    feeds = dict.fromkeys(names, ROWS)
    found = run(graph.model({"y": (total, "float32", 2)}), **feeds)[0]
    np.testing.assert_array_equal(found, 3 * ROWS)


def test_graph_never_names_a_tensor_like_an_input():
    graph = Graph()
    names = [graph.input(name, "float32", 1) for name in ("c1", "t2", "c3")]
    total = graph.node("Sum", *names, graph.constant(np.float32(1)))
    model = graph.model({"y": (total, "float32", 1)})
    feeds = dict.fromkeys(names, ROWS[:, :1])
    np.testing.assert_array_equal(run(model, **feeds)[0], 3 * ROWS[:, :1] + 1)


def test_graph_gives_one_tensor_to_two_outputs_and_an_input_to_one():
    graph = Graph()
    x = graph.input("X", "float32", 2)
    y = graph.node("Neg", x)
    outputs = {"a": (y, "float32", 2), "b": (y, "float32", 2), "c": (x, "float32", 2)}
    a, b, c = run(graph.model(outputs), X=ROWS)
    np.testing.assert_array_equal(a, -ROWS)
    np.testing.assert_array_equal(b, -ROWS)
    np.testing.assert_array_equal(c, ROWS)


def test_splice_joins_models_whose_names_clash():
    graph = Graph()
    x = graph.input("X", "float32", 2)
    for offset in (1.0, 5.0):
        (x,) = graph.splice(doubled(offset), {"X": x})
    model = graph.model({"y": (x, "float32", 2)})
    np.testing.assert_array_equal(run(model, X=ROWS)[0], 2 * (2 * ROWS + 1) + 5)


def test_graph_holds_text():
    graph = Graph()
    at = graph.input("at", "int64")
    y = graph.node("Gather", graph.constant(np.array(["ä", "b"])), at)
    model = graph.model({"y": (y, "string", None)})
    assert run(model, at=np.array([1, 0]))[0].tolist() == ["b", "ä"]
