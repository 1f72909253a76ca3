"""NGramStudent as a graph, from the row numbers of one text to its probabilities."""

import copy

import numpy as np

from skdistill.deploy._weights import store, stored_as


def write_ngrams(graph, student):
    """Add a fitted NGramStudent.

    The graph answers one text at a time: texts have different numbers of n-grams, and
    an answer then cannot depend on its neighbours.

    Parameters
    ----------
    graph : Graph
        Gets the input "ngrams", a vector of int64: `ngram_ids`.

    student : NGramStudent
        Fitted, and rounded already where its weights are stored in fewer bytes.

    Returns
    -------
    probabilities : str
        Tensor of shape (1, n_classes).
    """
    from skdistill.deploy._student_graphs import matrix

    how = stored_as(student)
    numbers = graph.input("ngrams", "int64")
    rows = graph.node("Gather", matrix(graph, student.table_, how), numbers, axis=0)
    total = graph.node("ReduceSum", rows, graph.constant(np.zeros(1, np.int64)))
    n_rows = graph.node("Cast", graph.node("Size", numbers), to=1)
    cur = graph.node("Div", total, graph.node("Sqrt", n_rows))
    last = len(student.coefs_) - 1
    layers = zip(student.coefs_, student.intercepts_, strict=True)
    for layer, (coef, intercept) in enumerate(layers):
        bias = graph.constant(intercept.astype(np.float32))
        cur = graph.node("Gemm", cur, matrix(graph, coef, how), bias)
        if layer < last:
            cur = graph.node("Relu", cur)
    return graph.node("Softmax", cur, axis=1)


def rounded(student, quantize):
    """Copy a fitted NGramStudent with the weights that a file will have.

    Parameters
    ----------
    student : NGramStudent

    quantize : {"float16", "int8"}

    Returns
    -------
    rounded : NGramStudent
    """
    changed = copy.copy(student)
    changed.table_ = store(student.table_, quantize).values.astype(np.float32)
    changed.coefs_ = [store(coef, quantize).values for coef in student.coefs_]
    changed._stored_as = quantize
    return changed


def ngram_ids(student, text):
    """Input of the graph for one text: a vector of int64, never empty."""
    return student.encoder_.rows(text)


def text_settings(student):
    """Settings for :class:`skdistill._ngrams.NGramEncoder`, for the metadata."""
    return student.encoder_.settings
