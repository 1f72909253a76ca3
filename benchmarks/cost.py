"""What fitting students costs, in plain fits: ``python -m benchmarks.cost``.

Tables, rows and students are those of `benchmarks.recipe`; the teacher is boosting.
The plain fit is the mean of three. Run it on a quiet machine: it takes minutes.
"""

import argparse
import time
import warnings

import numpy as np

from benchmarks.recipe import N_TRAIN, TABLES, make_teacher, rows
from skdistill import DistilledClassifier, MLPStudent


def plain_seconds(X, y, n_fits=3):
    """Seconds of one plain fit; the first, which loads torch, is not counted."""
    taken = []
    for seed in range(n_fits + 1):
        start = time.perf_counter()
        MLPStudent((64, 64), random_state=seed).fit(X, y)
        taken.append(time.perf_counter() - start)
    return float(np.mean(taken[1:]))


def main():
    """Print the table, line by line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", nargs="*", default=TABLES)
    parser.add_argument(
        "--rows", type=int, default=N_TRAIN, help="to train on, at most"
    )
    arguments, ratios = parser.parse_args(), []
    heads = f"{'table':<11}{'plain':>10}{'students':>10}{'ratio':>7}"
    print(heads + f"{'plain steps':>14}{'last':>8}")
    for table in arguments.tables:
        X, _, y, _ = rows(table, 0, arguments.rows)
        plain = plain_seconds(X, y)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            small = DistilledClassifier(
                make_teacher("boosting", X), MLPStudent((64, 64)), random_state=0
            ).fit(X, y)
        students = small.fit_seconds_["students"]
        ratios.append(students / plain)
        steps = small.plain_student_.n_steps_, small.student_.n_steps_
        print(
            f"{table:<11}{plain:>8.1f} s{students:>8.1f} s{ratios[-1]:>7.1f}"
            f"{steps[0]:>14,}{steps[1]:>8,}",
            flush=True,
        )
    low, middle, high = np.percentile(ratios, [0, 50, 100])
    print(f"ratio: median {middle:.1f}, {low:.1f} to {high:.1f}")


if __name__ == "__main__":
    main()
