"""How much of `letter` a student may answer: ``python -m benchmarks.cascade [seeds]``.

A forest of 300 trees teaches nets of two widths on 70 % of the rows; on 20 % the
threshold of a cascade is found, on the last 10 % it is put to the test. Prints a line
for each net, allowed disagreement and seed. Takes about five minutes a seed.
"""

import sys

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.model_selection import train_test_split

from benchmarks.datasets import load
from skdistill import DistilledClassifier, MLPStudent
from skdistill.cascade import CascadeClassifier
from skdistill.metrics import agreement, measure_latency

WIDTHS = (64, 128)
LIMITS = (0.01, 0.02)
#: Single rows that are timed.
N_TIMED = 500


def three_parts(table, seed):
    """Rows to learn from, to find the threshold on, and to test."""
    X, y = load(table)
    X, X_test, y, y_test = train_test_split(
        X, y, test_size=0.1, stratify=y, random_state=seed
    )
    X, X_new, y, _ = train_test_split(
        X, y, test_size=2 / 9, stratify=y, random_state=seed
    )
    return X, y, X_new, X_test, y_test


def mean_seconds(model, X):
    """Seconds of a single row on average: in a cascade the median tells nothing."""
    return 1 / measure_latency(model, X, n_calls=len(X))["rows_per_second"]


def measure(table, width, seed):
    """Yield a line of figures for each limit."""
    X, y, X_new, X_test, y_test = three_parts(table, seed)
    forest = ExtraTreesClassifier(300, random_state=seed)
    student = DistilledClassifier(
        forest, MLPStudent((width, width)), random_state=seed
    ).fit(X, y)
    teacher = student.teacher_
    timed = np.random.RandomState(seed).permutation(len(X_test))[:N_TIMED]
    alone = {
        name: mean_seconds(model, X_test[timed])
        for name, model in (("student", student), ("teacher", teacher))
    }
    labels = teacher.predict(X_test)
    for limit in LIMITS:
        cascade = CascadeClassifier(
            student, teacher, max_disagreement=limit, random_state=seed
        ).fit(X_new)
        answered = ~cascade.defers(X_test)
        differs = student.predict(X_test) != labels
        both = mean_seconds(cascade, X_test[timed])
        yield {
            "width": width,
            "seed": seed,
            "limit": limit,
            "agreement": agreement(labels, student.predict(X_test)),
            "rows": cascade.n_calibration_rows_,
            "coverage": answered.mean(),
            "disagreement": differs[answered].mean(),
            "student": student.score(X_test, y_test),
            "teacher": teacher.score(X_test, y_test),
            "cascade": cascade.score(X_test, y_test),
            "student us": 1e6 * alone["student"],
            "teacher us": 1e6 * alone["teacher"],
            "cascade us": 1e6 * both,
            "of teacher": both / alone["teacher"],
        }


def main(n_seeds=1, table="letter"):
    """Print the table."""
    print(f"{table}; accuracies and coverage on test rows, microseconds of a row")
    is_first = True
    for seed in range(n_seeds):
        for width in WIDTHS:
            for line in measure(table, width, seed):
                if is_first:
                    print(" | ".join(line))
                    is_first = False
                print(" | ".join(f"{value:.4g}" for value in line.values()), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
