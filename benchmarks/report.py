"""A report on `letter` with a forest of 300 trees: ``python -m benchmarks.report``.

Prints the report, the seconds that it took, and whether a second one agrees on
everything but time. ``--quick`` fits the student with fixed settings and few steps:
the report costs the same.
"""

import argparse
from time import perf_counter

from sklearn.ensemble import ExtraTreesClassifier
from sklearn.model_selection import train_test_split

from benchmarks.datasets import load
from skdistill import DistilledClassifier, MLPStudent
from skdistill.report import distillation_report
from skdistill.report._costs import TIMING_KEYS

N_TREES = 300
#: Seconds that a report may take on a quiet machine.
MOST_SECONDS = 20


def fit(X, y, *, quick):
    """Fit the forest, its student and the same student on labels."""
    forest = ExtraTreesClassifier(N_TREES, n_jobs=2, random_state=0)
    if not quick:
        small = DistilledClassifier(forest, random_state=0).fit(X, y)
        plain = None
    else:
        forest.set_params(bootstrap=True, oob_score=True)
        student = MLPStudent((64, 64), max_steps=2000, random_state=0)
        small = DistilledClassifier(
            forest, student, alpha=0.5, transfer=None, random_state=0
        ).fit(X, y)
        plain = student.fit(X, y)
    small.teacher_.set_params(n_jobs=1)  # its best for a single row
    return small, plain


def without_timing(report):
    """Everything in a report that two runs must agree on."""
    found = report.to_dict()
    del found["created"], found["verdict"]  # the verdict tells latencies
    for record in found["models"]:
        for key in TIMING_KEYS:
            del record[key]
    return found


def main():
    """Make the report twice."""
    parser = argparse.ArgumentParser(description="A report on letter, timed.")
    parser.add_argument("--quick", action="store_true", help="fit a lesser student")
    options = parser.parse_args()
    X, y = load("letter")
    X, X_test, y, y_test = train_test_split(
        X, y, test_size=0.25, stratify=y, random_state=0
    )
    small, plain = fit(X, y, quick=options.quick)
    reports, seconds = [], []
    for _ in range(2):
        start = perf_counter()
        reports.append(distillation_report(small, X_test, y_test, plain=plain))
        seconds.append(perf_counter() - start)
    print(reports[0])
    agree = without_timing(reports[0]) == without_timing(reports[1])
    print(
        f"\nOne report took {seconds[0]:.1f} s, another {seconds[1]:.1f} s (at most "
        f"{MOST_SECONDS} s wanted on a quiet machine). They agree on everything but "
        f"time: {'yes' if agree else 'no'}."
    )


if __name__ == "__main__":
    main()
