"""export_onnx: a fitted classifier as one file that holds no code."""

import reprlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import product
from numbers import Real

import narwhals.stable.v1 as nw
import numpy as np
import onnx
from sklearn.utils.validation import check_is_fitted

from skdistill._compat import safe_indexing
from skdistill._frames import as_frame, is_text
from skdistill.deploy import _artefact, _parity, _probes
from skdistill.deploy._converters import labels as labels_of
from skdistill.deploy._converters import missing_level
from skdistill.deploy._encoder_graph import Port, fits_single, missing_key
from skdistill.deploy._files import check_target, write_atomically
from skdistill.deploy._graph import Graph
from skdistill.deploy._runtime import OnnxClassifier
from skdistill.deploy._student_graphs import answer, is_ours
from skdistill.deploy._weights import check_quantize, quantized
from skdistill.students._rows import mro_names

#: Largest difference of a probability between file and fitted model.
TOLERANCE = 1e-5

#: Names of what the file answers.
_OUTPUTS = ("label", "probabilities")

#: What to do where a model cannot be written for numbers of 53 bits.
_ONLY_DOUBLE = (
    "Numbers went in as float64 because float32 does not tell the rows of X apart, and "
    "not every operator takes that: take a start off time stamps, or a centre off "
    "coordinates, before fitting."
)

#: Texts to check by where none are given: none, one, unknown and many words.
_TEXTS = ("", "a", "The quick brown fox!", "zzz " * 50, "Ein schöner Tag, 12:30 €")


def export_onnx(
    model, path, *, quantize=None, X=None, report=None, tolerance=TOLERANCE
):
    """Write a fitted classifier as an ONNX file, once it is proved to answer alike.

    The file takes the rows that `model` takes: scaling, encodings, categories and
    missing values are inside. It answers `label` and `probabilities`; classes, names of
    columns, versions and figures of a report stand in its metadata. It is opened with
    :func:`~skdistill.deploy.load_onnx`, which needs neither scikit-learn nor this
    package's students.

    Before the file is there, ONNX's checker has passed it and `load_onnx` has taken it,
    its probabilities are those of `predict_proba` within `tolerance` on rows of X, on
    missing and huge numbers and on unseen categories, and a row's answer is the same
    alone and in a batch, bit for bit. Otherwise nothing is written, and the error shows
    the worst row.

    Parameters
    ----------
    model : fitted classifier
        A DistilledClassifier, of which the student is written; an MLPStudent or
        LogisticStudent; any scikit-learn classifier or Pipeline that skl2onnx knows,
        with our students anywhere in it; a skorch net.

    path : str or path-like
        File to write; one that is there is replaced at once.

    quantize : {None, "float16", "int8"}, default=None
        How the weights of MLPStudent and LogisticStudent are stored. "int8" is one byte
        a weight and one scale for each unit, or for each input where a LogisticStudent
        takes numbers as they come; intercepts stay float32. Answers then are those of
        the rounded weights, and what rounding changed stands in the metadata.

    X : array-like or data frame of shape (n_samples, n_features), default=None
        Rows to check by, 1000 of them at most; training rows will do. None makes rows
        from what our students, trees and forests know of their columns. Needed for all
        others, and for Pipelines.

    report : DistillationReport or dict, default=None
        Figures to keep in the metadata. None keeps the held-out scores of a
        DistilledClassifier.

    tolerance : float, default=1e-5
        Largest difference of a probability from the fitted model's, or, where weights
        are rounded, from those of the rounded model in float64.

    Returns
    -------
    metadata : dict
        What the file says of itself: "max_difference" is the largest difference met,
        "inputs" lists names and dtypes, "quantization_loss" is what rounding changed.

    Raises
    ------
    ValueError
        If the model cannot be written, or does not answer alike.

    TypeError
        If it is no classifier with probabilities, or the report is none.

    FileNotFoundError
        If the folder of the path does not exist.

    NotFittedError
        If it is not fitted.

    ImportError
        If a package that writes it is not installed.

    Notes
    -----
    Numbers go in as float32. Where rounding them to float32 would change the answers,
    as with time stamps, the input is float64. So it is where float32 arithmetic is not
    enough for huge numbers, as in a scaler before a linear model.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> from sklearn.datasets import load_iris
    >>> from skdistill import LogisticStudent
    >>> from skdistill.deploy import export_onnx
    >>> X, y = load_iris(return_X_y=True)
    >>> path = Path(mkdtemp()) / "iris.onnx"
    >>> metadata = export_onnx(LogisticStudent().fit(X, y), path, X=X)
    >>> metadata["inputs"]
    [{'name': 'X', 'dtype': 'float32', 'columns': [0, 1, 2, 3]}]
    >>> metadata["max_difference"] < 1e-6, path.stat().st_size < 2000
    (True, True)
    """
    _check_model(model)
    _check_tolerance(tolerance)
    check_target(path)
    figures, text = _figures(model, report), _text_student(model)
    if text is None:
        proof = _prove_table(model, quantized(model, quantize), X, tolerance)
    else:
        proof = _prove_text(model, text, quantize, X, tolerance)
    metadata = _artefact.plain(
        {
            "format": _artefact.FORMAT,
            "kind": "table" if text is None else "text",
            "classes": model.classes_,
            "classes_dtype": np.asarray(model.classes_).dtype.newbyteorder("=").str,
            "n_features": proof.n_features,
            "feature_names": _names_of(model),
            "inputs": proof.inputs,
            "allow_nan": proof.allow_nan,
            "missing": proof.missing,
            "text": proof.text,
            "quantize": quantize,
            "quantization_loss": proof.loss,
            "tolerance": tolerance,
            "max_difference": proof.answers.max_difference,
            "versions": _artefact.versions("scikit-learn", "numpy", "onnx"),
            "fingerprint": proof.answers.fingerprint,
            "report": figures,
            "created": datetime.now(UTC).date().isoformat(),
        }
    )
    data = _artefact.seal(proof.graph, metadata)
    _check_loaded(data, proof, tolerance)
    write_atomically(path, data)
    return metadata


# -- what comes in ---------------------------------------------------------------------


def _check_model(model):
    """Refuse what is no fitted classifier with one set of classes."""
    names = mro_names(model)
    if "CascadeClassifier" in names:
        raise TypeError(
            "model must be one classifier, got a CascadeClassifier, whose teacher is "
            "asked in Python. Export its student_, and put the loaded file in its "
            "place: CascadeClassifier(FrozenEstimator(load_onnx(path)), teacher)."
        )
    if isinstance(model, type) or not hasattr(model, "fit"):
        raise TypeError(
            f"model must be a fitted classifier, got {model!r}. Pass what fit returned."
        )
    if "NeuralNet" not in names:
        check_is_fitted(model)
    if not hasattr(model, "predict_proba") or not hasattr(model, "classes_"):
        raise TypeError(
            "model must be a classifier with predict_proba and classes_, got "
            f"{type(model).__name__}. Make a regressor the student of a "
            "DistilledClassifier."
        )
    if isinstance(model.classes_, list):
        raise ValueError(
            "model must answer one label a row, got "
            f"{len(model.classes_)} outputs from {type(model).__name__}. Export a "
            "model for each output."
        )
    if len(model.classes_) < 2:
        raise ValueError(
            "model must tell two classes or more apart, got "
            f"{np.asarray(model.classes_).tolist()!r}. Fit it on rows of all classes."
        )


def _check_tolerance(tolerance):
    if (
        not isinstance(tolerance, Real)
        or isinstance(tolerance, bool)
        or not 0 < tolerance <= 1
    ):
        raise ValueError(
            "tolerance must be a difference of probabilities above 0 and up to 1, got "
            f"{tolerance!r}. Leave it out for {TOLERANCE:g}."
        )


def _text_student(model):
    """The NGramStudent that answers for a model, or None."""
    while "DistilledClassifier" in mro_names(model):
        model = model.student_
    return model if "NGramStudent" in mro_names(model) else None


def _table(model, X):
    """Rows to check by: some of X, or made ones."""
    encoder = _probes.front_of(model)
    if type(encoder).__name__.endswith("Vectorizer") or (X is not None and is_text(X)):
        raise TypeError(
            "A model of texts must be an NGramStudent to be exported, got "
            f"{type(model).__name__}. Make NGramStudent() the student."
        )
    if X is not None:
        X = X if hasattr(X, "shape") else np.asarray(X)
        if len(X.shape) != 2:
            raise ValueError(
                f"X must have rows and columns, got shape {X.shape!r}. Pass rows as "
                "predict_proba takes them."
            )
        X = _probes.some_rows(X)
        is_ours = "TableEncoder" in mro_names(encoder)
        return _probes.with_numbers(X, encoder.numeric_) if is_ours else X
    n_features = getattr(model, "n_features_in_", None)
    if n_features is None:
        raise ValueError(
            f"X must be given for {type(model).__name__}, which does not know the "
            "width of its rows. Pass some rows of the training set as X=."
        )
    return _probes.made_rows(model, n_features, _names_of(model))


def _names_of(model):
    names = getattr(model, "feature_names_in_", None)
    return None if names is None else [str(name) for name in names]


def _figures(model, report):
    """What is kept of a report: figures of the models, and the verdict."""
    if report is None:
        return _held_out(model)
    if hasattr(report, "to_dict"):
        whole = report.to_dict()
        report = {name: whole[name] for name in ("verdict", "models", "created")}
    figures = _artefact.plain(report)
    if not isinstance(figures, dict) or not _artefact.is_json(figures):
        raise TypeError(
            "report must be a DistillationReport, or a dict of what JSON can hold, got "
            f"{reprlib.repr(report)}. Turn other objects in it into numbers or text."
        )
    return figures


def _held_out(model):
    """Scores of a DistilledClassifier's choice and of what it was held against."""
    if "Pipeline" in mro_names(model):
        model = model.steps[-1][1]
    summary, scores = getattr(model, "summary_", {}), {}
    fields = [summary.get(name, ()) for name in ("model", "metric", "score", "chosen")]
    for name, metric, score, chosen in zip(*fields, strict=True):
        names = {"student"} if chosen else set()
        # The student without a teacher may be the one that was chosen.
        for kind in sorted(names | ({str(name)} & {"teacher", "plain student"})):
            scores.setdefault(kind, {})[str(metric)] = round(float(score), 5)
    return {"held_out": scores} if scores else {}


# -- the graph -------------------------------------------------------------------------


@dataclass(frozen=True)
class _Proof:
    """A graph, and what was found when it was asked."""

    graph: onnx.ModelProto
    inputs: list
    answers: _parity.Answers
    rows: object
    n_features: int | None
    allow_nan: bool = False
    missing: dict = field(default_factory=dict)
    text: dict | None = None
    loss: dict = field(default_factory=dict)


def _build(model, X, dtype):
    """Write a model of tables.

    Returns
    -------
    graph : onnx.ModelProto

    inputs : list of dict
        As in the metadata.

    missing : dict of str to str
    """
    graph = Graph()
    ports, missing = _declare(graph, model, X, dtype)
    P = answer(graph, model, ports)
    inputs = [
        {"name": port.name, "dtype": port.dtype, "columns": port.columns}
        for port in ports
    ]
    return _finished(graph, P, model.classes_), inputs, missing


def _finished(graph, P, classes):
    """Add the label, the most probable class, and close the graph."""
    names = labels_of(classes)
    label = graph.node("ArgMax", P, axis=1, keepdims=0)
    if names.dtype.kind == "U" or not np.array_equal(names, np.arange(len(names))):
        label = graph.node("Gather", graph.constant(names), label)
    dtype = "string" if names.dtype.kind == "U" else "int64"
    whole = graph.model(
        {
            "label": (label, dtype, None),
            "probabilities": (P, "float32", len(names)),
        }
    )
    try:
        onnx.checker.check_model(whole, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ValueError(
            "The graph of the model must pass ONNX's checker, got: "
            f"{' '.join(str(error).split())[:300]}. Choose another kind of student."
        ) from error
    return whole


def _declare(graph, model, X, dtype):
    """Declare the inputs: one matrix, numbers and categories, or column by column."""
    frame, front = as_frame(X), _probes.front_of(model)
    knows_columns = "TableEncoder" in mro_names(front)
    if knows_columns and front.categorical_ and _is_direct(model):
        ports = [("numeric", dtype, front.numeric_)] if front.numeric_ else []
        ports += [("categorical", "string", front.categorical_)]
        ports = [Port(graph.input(n, d, len(at)), d, at) for n, d, at in ports]
        return ports, {"categorical": missing_key(front)}
    if frame is None or _is_one_matrix(frame, front):
        name = graph.input("X", dtype, X.shape[1])
        return [Port(name, dtype, list(range(X.shape[1])))], {}
    key = missing_key(front) if knows_columns else missing_level(model)
    ports = []
    for i, series in enumerate(frame.iter_columns()):
        kind, name = _column_dtype(series, dtype), str(series.name) or "column"
        while name in _OUTPUTS or name in {port.name for port in ports}:
            name += "_"
        ports.append(Port(graph.input(name, kind, 1), kind, [i], series.name))
    return ports, {port.name: key for port in ports if port.dtype == "string"}


def _is_direct(model):
    """Tell whether rows reach one of our students as they come."""
    front = mro_names(_probes.front_of(model))
    ours = bool(front & {"TableEncoder", "LogisticStudent"})
    return ours and "Pipeline" not in mro_names(model) and is_ours(model)


def _is_one_matrix(frame, front):
    if "ColumnTransformer" in mro_names(front):
        return False
    return all(_column_dtype(s, "float32") != "string" for s in frame.iter_columns())


def _column_dtype(series, dtype):
    is_number = series.dtype.is_numeric() or series.dtype == nw.Boolean
    return dtype if is_number else "string"


# -- the proof -------------------------------------------------------------------------


def _prove_table(model, rounded, X, tolerance):
    """Write the graph in float32, or in float64 where that is needed."""
    real = _table(model, X)
    dtypes, single = _dtypes(rounded, real, tolerance)
    changed, gaps = _extremes(rounded, single)
    loss, failure = _loss(model, rounded, real), None
    for dtype, allow_nan in product(dtypes, (True, False)):
        if not allow_nan and not ("numbers" in gaps and _may_refuse_nan(model, real)):
            continue
        kept = changed if allow_nan else _rows_at(changed, gaps != "numbers")
        rows = [real if dtype == "float64" else single, kept]
        # Where there is a choice, float32 has to leave room for rows not seen here.
        bound = tolerance / 2 if dtype != dtypes[-1] else tolerance
        try:
            graph, inputs, missing = _build(rounded, real, dtype)
            answers = _compare(graph, rounded, rows, inputs, missing, bound)
        except ValueError as error:
            failure = failure or error
            continue
        return _Proof(
            graph, inputs, answers, real, real.shape[1],
            allow_nan and "numbers" in gaps, missing if "texts" in gaps else {},
            loss=loss,
        )  # fmt: skip
    if dtypes == ("float64",):
        raise ValueError(f"{failure} {_ONLY_DOUBLE}") from failure
    raise failure


def _dtypes(model, real, tolerance):
    """Types of the numbers that go in, in the order in which they are tried.

    Returns
    -------
    dtypes : tuple of str

    single : ndarray or data frame
        The rows as float32 holds them.
    """
    front = _probes.front_of(model)
    if "NeuralNet" in mro_names(front) and np.asarray(real).dtype.kind in "iu":
        return ("int64",), real
    single = _probes.as_single(real)
    if "TableEncoder" in mro_names(front) and not fits_single(front):
        return ("float64",), single
    shift = np.abs(_parity.predicted(model, real) - _parity.predicted(model, single))
    # What float32 inputs lose must leave room for what float32 arithmetic does.
    if shift.max() > tolerance / 2:
        return ("float64",), single
    return ("float32", "float64"), single


def _extremes(model, X):
    """Extreme rows that a fitted model answers, and what is missing in them."""
    is_net = "NeuralNet" in mro_names(_probes.front_of(model))
    huge = _probes.HUGE_IN_NETS if is_net else _probes.HUGE
    gap = np.nan if missing_level(model) == "nan" else None
    rows, gaps = _probes.extreme_rows(X, huge, gap)
    accepted = _probes.accepted_rows(model, rows)
    return _rows_at(rows, accepted), gaps[accepted]


def _rows_at(X, mask):
    return safe_indexing(X, np.flatnonzero(mask))


def _may_refuse_nan(model, X):
    """Tell whether a file may refuse missing numbers where the model takes them.

    scikit-learn's trees answer such rows even where they met none in fit, by rules that
    ONNX's trees lack.
    """
    columns = [c for c in _probes.columns_of(X) if isinstance(c, np.ndarray)]
    met = any(np.isnan(c).any() for c in columns if c.dtype.kind == "f")
    return not met and not _is_direct(model)


def _compare(graph, model, rows, inputs, missing, tolerance):
    """Ask the graph, all at once and row by row; raise where it is wrong."""
    session = _parity.open_session(graph.SerializeToString())
    names = dict(
        zip(model.classes_.tolist(), labels_of(model.classes_).tolist(), strict=True)
    )
    found = []
    for X in filter(len, rows):
        feeds = _parity.feeds_of(X, inputs, missing)
        answers = _parity.ask(session, feeds, _parity.predicted(model, X))
        labels = [names[label] for label in _parity.predicted_labels(model, X)]
        _parity.check_answers(answers, np.array(labels), X, tolerance)
        _parity.check_alone(session, feeds, answers)
        found.append(answers)
    return _parity.Answers.join(found)


def _check_loaded(data, proof, tolerance):
    """Refuse bytes that load_onnx does not take, or would answer for otherwise."""
    P = _parity.predicted(OnnxClassifier(data), proof.rows)
    difference = np.abs(P - proof.answers.P[: len(P)]).max()
    if not difference <= tolerance:
        raise ValueError(
            f"load_onnx must feed the rows of X to the model within {tolerance:g}, got "
            f"a difference of {difference:.2g}. Make columns of other objects text or "
            "numbers before fitting."
        )


def _loss(model, rounded, X):
    """What rounding the weights changed, on rows."""
    if rounded is model:
        return {}
    P, Q = _parity.predicted(model, X), _parity.predicted(rounded, X)
    return {
        "max_change": float(np.abs(P - Q).max()),
        "agreement": float(np.mean(P.argmax(axis=1) == Q.argmax(axis=1))),
    }


# -- texts -----------------------------------------------------------------------------


def _prove_text(model, student, quantize, X, tolerance):
    """Write an NGramStudent: its graph answers one text at a time."""
    from skdistill.deploy import _ngram_graph

    check_quantize(quantize)
    rounded = student
    if quantize is not None:
        rounded = _ngram_graph.rounded(student, quantize)
    texts = list(_TEXTS if X is None else _probes.some_rows(list(X)))
    graph = Graph()
    P = _ngram_graph.write_ngrams(graph, rounded)
    whole = _finished(graph, P, model.classes_)
    session = _parity.open_session(whole.SerializeToString())
    expected = _parity.predicted(rounded, texts)
    found = [
        _parity.ask(session, {"ngrams": _ngram_graph.ngram_ids(rounded, text)}, row)
        for text, row in zip(texts, expected[:, np.newaxis], strict=True)
    ]
    answers = _parity.Answers.join(found)
    labels = labels_of(model.classes_)[expected.argmax(axis=1)]
    _parity.check_answers(answers, labels, texts, tolerance)
    return _Proof(
        whole,
        [{"name": "ngrams", "dtype": "int64", "columns": []}],
        answers,
        texts,
        n_features=None,
        text=_ngram_graph.text_settings(rounded),
        loss=_loss(student, rounded, texts),
    )
