"""Learning rates of plain nets where rows are many: ``python -m benchmarks.rates``.

12,000 labelled rows of each table, 3,000 others to compare on; the mean of two seeds.
"""

import argparse

import numpy as np
from sklearn.model_selection import train_test_split

from benchmarks.datasets import load
from skdistill import MLPStudent
from skdistill.soft_targets import log_loss_rows

TABLES = (
    "letter", "magic", "adult", "california", "diamonds", "storms", "surveys",
    "mpls_stops",
)  # fmt: skip
RATES = (0.01, 0.02, 0.03)
N_TRAIN, N_TEST, SPLIT = 12_000, 3_000, 7


def scores(rate, hidden, X, X_test, y, y_test, n_seeds):
    """Mean accuracy and log-loss of nets that differ in their seeds."""
    found = []
    for seed in range(n_seeds):
        net = MLPStudent(hidden, learning_rate=rate, random_state=seed).fit(X, y)
        P = net.predict_proba(X_test)
        codes = np.searchsorted(net.classes_, y_test)
        right = np.mean(P.argmax(axis=1) == codes)
        found.append((right, log_loss_rows(P, codes).mean()))
    return np.mean(found, axis=0)


def main(arguments=None):
    """Print a line for each table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", nargs="*", default=TABLES)
    parser.add_argument("--hidden", type=int, nargs="*", default=[64, 64])
    parser.add_argument("--seeds", type=int, default=2)
    given = parser.parse_args(arguments)
    print(f"{'table':<11}" + "".join(f"{rate:>15g}" for rate in RATES))
    for table in given.tables:
        X, y = load(table)
        rows = train_test_split(
            X, y, train_size=N_TRAIN, test_size=N_TEST, stratify=y, random_state=SPLIT
        )
        found = [scores(rate, given.hidden, *rows, given.seeds) for rate in RATES]
        cells = (f"{right:>8.3f} {loss:.4f}" for right, loss in found)
        print(f"{table:<11}" + "".join(cells), flush=True)


if __name__ == "__main__":
    main()
