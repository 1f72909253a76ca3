"""The default recipe at the edges: few or many rows, classes, columns, a rare class.

``python -m benchmarks.extremes`` does what is not done yet, a line of JSON a pair, and
prints the table; ``--table`` only prints it, ``--write`` puts it into the guide. Scores
are of test rows, as in `benchmarks.recipe`, whose students these are.
"""

import argparse
import warnings
from functools import partial

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from benchmarks.datasets import load
from benchmarks.recipe import (
    PAGE,
    STUDENTS,
    figures_of,
    make_student,
    make_teacher,
    shown,
    with_table,
)
from benchmarks.reproduce._records import RECIPE, Unit, read, run
from skdistill import DistilledClassifier

NAME = "extremes"
BEGIN, END = ".. extremes table", ".. end of extremes table"
N_TEST = 5_000


def few_rows():
    """500 rows of mixed types."""
    X, y = load("adult")
    return _split(X, y, 500), "boosting"


def rare_class():
    """20,000 rows, of which 200 have the second label."""
    X, y = load("adult")
    rare = y == np.unique(y)[1]
    rng = np.random.RandomState(0)
    kept = rng.permutation(np.flatnonzero(rare))[: int(0.01 * (~rare).sum())]
    rows = np.sort(np.concatenate([np.flatnonzero(~rare), kept]))
    return _split(X.iloc[rows], y[rows], 20_000), "boosting"


def many_classes():
    """Flights by destination: 100 classes or so, of categories and times."""
    X, _ = load("flights")
    y = X["dest"].astype(str).to_numpy()
    X = X.drop(columns=["dest", "distance"])
    names, counts = np.unique(y, return_counts=True)
    rows = np.isin(y, names[counts >= 50])
    return _split(X[rows], y[rows], 20_000), "forest"


def many_columns():
    """Reviews as counts of 1,500 words."""
    texts, y = load("fine_foods")
    X = CountVectorizer(max_features=1_500).fit_transform(texts).toarray()
    return _split(X.astype(np.float64), y, 3_500), "forest"


def many_rows():
    """200,000 flights, late or not."""
    X, y = load("flights")
    return _split(X, y, 200_000), "boosting"


CASES = {
    "500 rows": few_rows,
    "1 % rare class": rare_class,
    "1,500 columns": many_columns,
    "many classes": many_classes,
    "200,000 rows": many_rows,
}


def _split(X, y, n_train):
    """Training and test rows: X_train, X_test, y_train, y_test."""
    return train_test_split(
        X, y, train_size=n_train, test_size=min(N_TEST, len(y) - n_train), stratify=y,
        random_state=0,
    )  # fmt: skip


def teacher_of(case, name, X):
    """Teacher by name; the forest of many classes is smaller and takes codes."""
    if case != "many classes":
        return make_teacher(name, X)
    forest = RandomForestClassifier(100, min_samples_leaf=2, random_state=0)
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    return make_pipeline(codes, forest)


def measure(case, student):
    """Fit one pair and score teacher, plain student and student on test rows."""
    (X, X_test, y, y_test), name = CASES[case]()
    small = DistilledClassifier(
        teacher_of(case, name, X), make_student(student, X), random_state=0
    ).fit(X, y)
    return figures_of(small, X_test, y_test) | {
        "n_train": len(y), "n_classes": len(small.classes_),
        "n_transfer": small.n_transfer_rows_,
    }  # fmt: skip


def units():
    """All pairs, the cheap ones first."""
    for case in CASES:
        for student in STUDENTS:
            yield Unit(case, "", student, "default", 0, partial(measure, case, student))


def report():
    """Lines of the table."""
    lines = [line for line in read(NAME) if line["recipe"] == RECIPE]
    text = [
        f"{'case':<15}{'classes':>8} {'student':<9}{'teacher':>12}{'plain':>13}"
        f"{'distilled':>14}  {'ECE: t':>6} {'s':>5} {'z':>5}  chosen"
    ]
    return text + [
        f"{line['table']:<15}{line['figures']['n_classes']:>8} {line['student']:<9}"
        f"{shown(line['figures'])}"
        for line in lines
    ]


def page(text):
    """Return the page of the guide with the table between its marks."""
    return with_table(text, report(), BEGIN, END)


def main():
    """Measure what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", action="store_true", help="only print the table")
    parser.add_argument("--write", action="store_true", help="put it into the guide")
    arguments = parser.parse_args()
    if not (arguments.table or arguments.write):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run(units(), NAME)
    if arguments.write:
        PAGE.write_text(page(PAGE.read_text()))
    print("\n".join(report()))


if __name__ == "__main__":
    main()
