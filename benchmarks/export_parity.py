"""Random students as ONNX files: ``python -m benchmarks.export_parity 300``.

Fits students of all kinds on random tables, exports each one, and asks the file in
plain ONNX Runtime about new rows: near the training rows, missing, huge, unseen
categories. Prints one line a kind: files that take float64; the largest difference of a
probability from `predict_proba` on rows that float32 holds (of the rounded weights, in
float64, where they are quantised); rows whose label differs though the two largest
probabilities do not tie; rows whose answer alone is not that in the batch bit for bit;
the median of the files' bytes.

Then, for an MLPStudent of 64 and 64 units and for LogisticStudent, on a fifth of some
tables held out: what storing weights in fewer bytes costs.
"""

import argparse
import json
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import onnxruntime
import pandas as pd
from scipy import sparse
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from benchmarks.datasets import load
from skdistill import DistilledClassifier, LogisticStudent, MLPStudent
from skdistill.deploy import export_onnx, load_onnx
from skdistill.deploy._weights import quantized

N_TRAIN, N_TEST, TOLERANCE = 200, 200, 1e-5


class Case(NamedTuple):
    """A fitted student, new rows, and how it is exported."""

    kind: str
    model: object
    X: object
    X_test: object
    quantize: str | None


class Result(NamedTuple):
    """What was found of one file."""

    kind: str
    difference: float
    n_labels_off: int
    n_alone_off: int
    n_bytes: int
    inputs: list


# -- tables ----------------------------------------------------------------------------


def numbers(rng, n_columns, *, missing):
    """Columns of all scales: normal, skewed, whole, constant, far from zero."""
    makers = (
        lambda n: rng.normal(size=n),
        lambda n: 10.0 ** rng.randint(-6, 7) * rng.normal(size=n),
        lambda n: rng.exponential(10.0 ** rng.randint(-3, 4), size=n),
        lambda n: rng.randint(5, size=n).astype(float),
        lambda n: 2000.0 + rng.randint(30, size=n),
        lambda n: 300.0 + 0.1 * rng.normal(size=n),
        lambda n: np.full(n, 7.0),
        lambda n: np.where(rng.random_sample(n) < 0.9, 0.0, rng.normal(size=n)),
    )
    n_rows = N_TRAIN + N_TEST
    at = rng.randint(len(makers), size=n_columns)
    X = np.column_stack([makers[i](n_rows) for i in at])
    if missing:
        X[rng.random_sample(X.shape) < 0.1] = np.nan
    # What float32 holds: the file is to answer these as the model does.
    return X.astype(np.float32).astype(np.float64)


def frame(rng, n_columns, *, missing):
    """Numbers and up to four categorical columns, in any order."""
    X = pd.DataFrame(numbers(rng, n_columns, missing=missing)).add_prefix("n ")
    pools = (list("abcde"), ["yes", "no"], [f"city {i}" for i in range(130)])
    for i in range(rng.randint(1, 5)):
        column = rng.choice(pools[rng.randint(3)], size=len(X)).astype(object)
        if missing:
            column[rng.random_sample(len(X)) < 0.1] = None
        X[f"c{i}"] = pd.Series(column, dtype=object)
    return X[list(rng.permutation(X.columns))]


def soft_targets(rng, X, n_classes):
    """Probabilities of a random linear model of the numbers."""
    Z = X.select_dtypes("number") if isinstance(X, pd.DataFrame) else pd.DataFrame(X)
    Z = Z.fillna(0.0).rank(pct=True).to_numpy() - 0.5
    logits = 6.0 * Z @ rng.normal(size=(Z.shape[1], n_classes))
    P = np.exp(logits - logits.max(axis=1, keepdims=True))
    return P / P.sum(axis=1, keepdims=True)


def labels(rng, n_classes):
    """Sorted names of classes, of all kinds."""
    kinds = [np.arange(n_classes), np.arange(n_classes) * 7 - 3]
    kinds += [np.array([f"class {i:02d}" for i in range(n_classes)])]
    if n_classes == 2:
        kinds += [np.array([False, True])]
    return kinds[rng.randint(len(kinds))]


def with_extremes(rng, X, *, missing):
    """New rows, a tenth of them made extreme."""
    X = X.copy()
    at = rng.choice(len(X), size=len(X) // 10, replace=False)
    for row in at:
        column = rng.randint(X.shape[1])
        values = [3e38, -3e38, 0.0] + [np.nan] * missing
        value = values[rng.randint(len(values))]
        if isinstance(X, pd.DataFrame):
            if X.dtypes.iloc[column].kind == "O":
                value = "never seen"
            X.iloc[row, column] = value
        else:
            X[row, column] = value
    return X


# -- students --------------------------------------------------------------------------


def mlp(rng, **settings):
    """Return an MLPStudent of a random shape, trained for a moment."""
    sizes = [(), (5,), (16,), (64, 64), (33, 7), (8, 8, 8), (128,)][rng.randint(7)]
    acts = ("relu", "relu", "tanh", "logistic", "identity")
    return MLPStudent(
        sizes, activation=acts[rng.randint(5)], max_steps=int(rng.randint(5, 150)),
        encoding=("robust", "piecewise")[rng.randint(2)], random_state=0, **settings,
    )  # fmt: skip


def logistic(rng):
    """Return a LogisticStudent of a random strength and encoding."""
    encoding = ("linear", "piecewise")[rng.randint(2)]
    return LogisticStudent(10.0 ** rng.randint(-2, 3), encoding=encoding)


def own(rng):
    """Return one of our students."""
    return mlp(rng) if rng.random_sample() < 0.6 else logistic(rng)


def foreign(rng):
    """Return a small student out of scikit-learn: classifiers and regressors."""
    return (
        DecisionTreeClassifier(max_depth=4, random_state=0),
        RandomForestClassifier(5, max_depth=5, random_state=0),
        ExtraTreesClassifier(5, max_depth=5, random_state=0),
        HistGradientBoostingClassifier(max_iter=5),
        LogisticRegression(max_iter=500),
        DecisionTreeRegressor(max_depth=4, random_state=0),
        ExtraTreesRegressor(5, max_depth=5, random_state=0),
        HistGradientBoostingRegressor(max_iter=5),
        Ridge(),
    )[rng.randint(9)]


def case(seed):
    """Draw one case and fit it."""
    rng = np.random.RandomState(seed)
    kind = KINDS[seed % len(KINDS)]
    is_mixed = kind in ("own, categories", "Pipeline of columns")
    # scikit-learn's own steps and students take part where nothing is missing.
    missing = kind in _MAY_MISS and bool(rng.randint(2))
    make = frame if is_mixed else numbers
    X = make(rng, rng.randint(1, 13), missing=missing)
    n_classes = (2, 2, 3, 3, 5, 8, 26)[rng.randint(7)]
    P, classes = soft_targets(rng, X, n_classes), labels(rng, n_classes)
    y = classes[P.argmax(axis=1)]
    y[:n_classes] = classes
    head, tail = X[:N_TRAIN], X[N_TRAIN:]
    with warnings.catch_warnings():
        # Short fits, and a teacher that knows the truth: that is meant.
        warnings.simplefilter("ignore")
        model, quantize = _FITS[kind](rng, head, y[:N_TRAIN], P[:N_TRAIN], classes)
    tail = tail.reset_index(drop=True) if is_mixed else tail
    X_test = with_extremes(rng, tail, missing=missing)
    return Case(kind, model, head, X_test, quantize)


def _storage(rng):
    return (None, None, "float16", "int8")[rng.randint(4)]


def _fit_own(rng, X, y, P, classes):
    return own(rng).fit_soft_targets(X, P, classes=classes), _storage(rng)


def _fit_sparse(rng, X, y, P, classes):
    X = sparse.csr_matrix(np.where(rng.random_sample(X.shape) < 0.5, 0.0, X))
    student = LogisticStudent(10.0 ** rng.randint(-2, 3))
    return student.fit_soft_targets(X, P, classes=classes), _storage(rng)


def _distil(rng, student, X, y, P, classes):
    temperature = (1.0, 2.0, 4.0)[rng.randint(3)]
    if rng.random_sample() < 0.2 and len(classes) > 2:  # a class that is never met
        P, keep = P.copy(), y != classes[0]
        P[:, 0] = 0.0
        P, X, y = P / P.sum(axis=1, keepdims=True), X[keep], y[keep]
        P = P[keep]
    model = DistilledClassifier(
        None, student, alpha=1.0, transfer=None, temperature=temperature, random_state=0
    )
    return model.fit(X, y, soft_targets=P, classes=classes)


def _fit_distilled(rng, X, y, P, classes):
    return _distil(rng, own(rng), X, y, P, classes), _storage(rng)


def _fit_foreign(rng, X, y, P, classes):
    return _distil(rng, foreign(rng), X, y, P, classes), None


def _fit_pipeline(rng, X, y, P, classes):
    student = make_pipeline(StandardScaler(), own(rng))
    if rng.randint(2):
        return _distil(rng, student, X, y, P, classes), _storage(rng)
    return student.fit(X, y), _storage(rng)


def _fit_columns(rng, X, y, P, classes):
    text = [name for name in X.columns if name.startswith("c")]
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = make_column_transformer((encoder, text), remainder=StandardScaler())
    return make_pipeline(columns, own(rng)).fit(X, y), _storage(rng)


def _fit_inside(rng, X, y, P, classes):
    if rng.randint(2):
        y = np.resize(classes, len(y))  # each class in each fold
        return CalibratedClassifierCV(own(rng), cv=2).fit(X, y), _storage(rng)
    members = [("a", own(rng)), ("b", make_pipeline(StandardScaler(), own(rng)))]
    return VotingClassifier(members, voting="soft").fit(X, y), _storage(rng)


_FITS = {
    "own, numbers": _fit_own,
    "own, categories": _fit_own,
    "own, sparse": _fit_sparse,
    "own, distilled": _fit_distilled,
    "scikit-learn, distilled": _fit_foreign,
    "Pipeline": _fit_pipeline,
    "Pipeline of columns": _fit_columns,
    "calibrated or voting": _fit_inside,
}
KINDS = tuple(_FITS)
_MAY_MISS = ("own, numbers", "own, categories", "own, distilled")


# -- files -----------------------------------------------------------------------------


def feeds(X, metadata):
    """Rows as a file takes them, read from what it says of itself."""
    found = {}
    for entry in metadata["inputs"]:
        columns = X.iloc[:, entry["columns"]] if hasattr(X, "iloc") else X[
            :, entry["columns"]
        ]  # fmt: skip
        if entry["dtype"] == "string":
            key = metadata["missing"][entry["name"]]
            values = columns.astype(object).where(columns.notna(), key)
            found[entry["name"]] = values.to_numpy(dtype=object)
        else:
            found[entry["name"]] = np.asarray(columns).astype(entry["dtype"])
    return found


def compare(drawn):
    """Export one case and ask its file.

    Returns
    -------
    result : Result
    """
    kind, model, X, X_test, quantize = drawn
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        metadata = export_onnx(model, path, quantize=quantize, X=X)
        data = path.read_bytes()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        data, options, providers=["CPUExecutionProvider"]
    )
    held = json.loads(session.get_modelmeta().custom_metadata_map["skdistill"])
    assert held == metadata
    rows = feeds(X_test, metadata)
    found, P = session.run(["label", "probabilities"], rows)
    reference = quantized(model, quantize)
    with np.errstate(over="ignore", invalid="ignore"):  # sums of 3e38, in checks
        expected = reference.predict_proba(X_test)
        wanted = reference.predict(X_test).astype(found.dtype)
    top = np.sort(expected, axis=1)
    clear = top[:, -1] - top[:, -2] > 2 * TOLERANCE
    alone = [
        session.run(None, {n: v[i : i + 1] for n, v in rows.items()})[1][0]
        for i in range(N_TEST)
    ]
    return Result(
        kind,
        float(np.abs(P - expected).max()),
        int(np.count_nonzero((found != wanted) & clear)),
        sum(not np.array_equal(a, b) for a, b in zip(alone, P, strict=True)),
        len(data),
        [entry["dtype"] for entry in metadata["inputs"]],
    )


def storage(name, n_rows, student):
    """Yield, for each way to store weights: bytes, agreement, accuracy, log-loss."""
    X, y = load(name, n_rows=n_rows)
    X, X_test, y, y_test = train_test_split(
        X, y, test_size=0.2, stratify=y, random_state=0
    )
    fitted = student.fit(X, y).predict(X_test)
    for quantize in (None, "float16", "int8"):
        with TemporaryDirectory() as folder:
            path = Path(folder) / "student.onnx"
            export_onnx(student, path, quantize=quantize, X=X)
            n_bytes, model = path.stat().st_size, load_onnx(path)
        P = model.predict_proba(X_test).astype(np.float64)
        found = model.classes_[P.argmax(axis=1)]
        yield (
            quantize or "float32",
            n_bytes,
            np.mean(found == fitted),
            np.mean(found == y_test),
            log_loss(y_test, P / P.sum(axis=1, keepdims=True)),
        )


def main():
    """Print the two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("n_students", nargs="?", type=int, default=300)
    n_students = parser.parse_args().n_students
    results = [compare(case(seed)) for seed in range(n_students)]
    head = ("students", "float64", "difference", "labels off", "alone off", "bytes")
    print(f"{'kind':<26}" + "".join(f"{name:>12}" for name in head))
    for kind in (*KINDS, "all"):
        of_kind = [r for r in results if kind in (r.kind, "all")]
        if of_kind:
            print(
                f"{kind:<26}{len(of_kind):>12}"
                f"{sum('float64' in r.inputs for r in of_kind):>12}"
                f"{max(r.difference for r in of_kind):>12.1e}"
                f"{sum(r.n_labels_off for r in of_kind):>12}"
                f"{sum(r.n_alone_off for r in of_kind):>12}"
                f"{np.median([r.n_bytes for r in of_kind]):>12,.0f}"
            )

    head = ("bytes", "agreement", "accuracy", "log-loss")
    for name, n_rows, student in (
        ("letter", None, MLPStudent((64, 64), random_state=0)),
        ("letter", None, LogisticStudent()),
        ("california", None, LogisticStudent()),
        ("flights", 20_000, LogisticStudent()),
    ):
        kind = "MLP 64-64" if isinstance(student, MLPStudent) else "logistic"
        title = f"{name}, {kind}"
        print(f"\n{title:<26}" + "".join(f"{column:>12}" for column in head))
        for how, n_bytes, *scores in storage(name, n_rows, student):
            figures = "".join(f"{score:>12.4f}" for score in scores)
            print(f"{how:<26}{n_bytes:>12,}{figures}")


if __name__ == "__main__":
    main()
