"""Print what NGramStudent is worth on texts: ``python -m benchmarks.ngram [SET ...]``.

One line a set and a model: accuracy and log-loss on a quarter held out, seconds of
fitting, microseconds of one text (median over distinct texts), kilobytes. The other
model is logistic regression on tf-idf of words and of characters, the better of three
penalties on the held-out texts, which is in its favour. "net" is NGramStudent with a
hidden layer, "int8" the exported student with its table rounded. ``--labels N`` draws N
labelled texts; ``--rows N`` times a fit on N texts instead. benchmarks/datasets.py says
where the sets come from.
"""

import argparse
import pickle
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline, make_union
from threadpoolctl import threadpool_limits

from benchmarks.datasets import load
from skdistill import NGramStudent
from skdistill.deploy import export_onnx, load_onnx

SETS = ("sentences", "fine_foods", "vader", "clothing", "clothing_recommend")
PENALTIES = (1.0, 4.0, 16.0)
#: Texts that are answered one by one.
N_ALONE = 500


def features():
    """Return tf-idf of words and of characters within words."""
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    characters = TfidfVectorizer(
        analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2
    )
    return make_union(words, characters)


def linear(X, y, X_test, y_test):
    """Fit logistic regression with each penalty; return the best and its seconds."""
    union = features()
    start = perf_counter()
    A = union.fit_transform(X)
    spent = perf_counter() - start
    B, found = union.transform(X_test), []
    for C in PENALTIES:
        start = perf_counter()
        model = LogisticRegression(C=C, max_iter=300).fit(A, y)
        seconds = spent + perf_counter() - start
        loss = log_loss(y_test, model.predict_proba(B))
        found.append((loss, seconds, make_pipeline(union, model)))
    return min(found, key=lambda entry: entry[0])[:0:-1]


def alone(model, texts):
    """Median microseconds of one text."""
    times = []
    for text in texts[:N_ALONE]:
        start = perf_counter()
        model.predict_proba([text])
        times.append(perf_counter() - start)
    return 1e6 * float(np.median(times))


def line(name, model, seconds, n_bytes, X, y):
    """Line of the table."""
    P = model.predict_proba(X).astype(np.float64)
    P /= P.sum(axis=1, keepdims=True)  # float32 sums to 1 roughly
    accuracy = np.mean(model.classes_[P.argmax(axis=1)] == y)
    spent = f"{seconds:6.1f} s" if seconds is not None else " " * 8
    return (
        f"{name:<28} {accuracy:.3f}  {log_loss(y, P):.3f}  {spent}  "
        f"{alone(model, X):6.0f} us  {n_bytes / 1000:7.0f} kB"
    )


def compare(name, n_labels=None):
    """Print the lines of a set."""
    X, y = load(name)
    X, X_test, y, y_test = train_test_split(
        X, y, test_size=0.25, stratify=y, random_state=0
    )
    if n_labels is not None:
        X, _, y, _ = train_test_split(
            X, y, train_size=n_labels, stratify=y, random_state=1
        )
    model, seconds = linear(X, y, X_test, y_test)
    n_bytes = len(pickle.dumps(model))
    print(line(f"{name}, tf-idf", model, seconds, n_bytes, X_test, y_test), flush=True)
    for kind, hidden in (("net", (32,)), ("student", "auto")):
        start = perf_counter()
        student = NGramStudent(hidden, random_state=0).fit(X, y)
        seconds, n_bytes = perf_counter() - start, len(pickle.dumps(student))
        print(line(f"{name}, {kind}", student, seconds, n_bytes, X_test, y_test))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "student.onnx"
        export_onnx(student, path, quantize="int8", X=X_test)
        small, n_bytes = load_onnx(path), path.stat().st_size
    print(line(f"{name}, int8", small, None, n_bytes, X_test, y_test), flush=True)


def time_fit(n_rows):
    """Print the seconds of a fit on many texts, made by joining words of real ones."""
    X, y = load("clothing_recommend")
    rng = np.random.RandomState(0)
    words = [text.split() for text in X]
    chosen = rng.randint(len(X), size=n_rows)
    texts = []
    for row in chosen:
        begin = rng.randint(max(1, len(words[row]) - 20))
        texts.append(" ".join(words[row][begin : begin + 20]))
    start = perf_counter()
    student = NGramStudent(random_state=0).fit(texts, y[chosen])
    print(
        f"{n_rows} texts of 20 words: {perf_counter() - start:.0f} s, "
        f"{student.n_steps_} steps, {len(student.table_)} rows"
    )


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", default=SETS, metavar="SET")
    parser.add_argument("--labels", type=int, default=None)
    parser.add_argument("--rows", type=int, default=None)
    options = parser.parse_args()
    with threadpool_limits(1):
        if options.rows is not None:
            time_fit(options.rows)
            return
        for name in options.sets:
            compare(name, options.labels)


if __name__ == "__main__":
    main()
