"""What a search over 20 students costs with `memory=`: run as a module, prints a table.

A fitted forest of 300 trees teaches 20 students on 5 folds of `letter`, in three ways:
without memory, with it, and, as the yardstick, the same students on labels only plus a
single pass of the teacher over the rows.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GridSearchCV

from benchmarks.datasets import load
from skdistill import DistilledClassifier, MLPStudent
from skdistill.teachers import AnswerStore

WIDTHS = [(w,) for w in (8, 12, 16, 20, 24, 28, 32, 36, 40, 44)]
GRID = {"hidden_layer_sizes": [*WIDTHS, *((a, a) for (a,) in WIDTHS)]}
STEPS = 1_000


def timed(fit):
    """Seconds that a call takes."""
    start = time.perf_counter()
    fit()
    return time.perf_counter() - start


def main(jobs=(1, 2)):
    """Print the table, a line for each number of jobs."""
    X, y = load("letter")
    n_distinct = len(np.unique(X, axis=0))
    forest = RandomForestClassifier(300, random_state=0, n_jobs=1).fit(X, y)
    student = MLPStudent(max_steps=STEPS, random_state=0)
    small = DistilledClassifier(
        forest, student, alpha=1.0, calibrate=None, transfer=None, random_state=0
    )
    grid = {f"student__{name}": values for name, values in GRID.items()}
    one_pass = timed(lambda: forest.predict_proba(X))
    print(f"letter, {len(X)} rows, {n_distinct} distinct; forest of 300 trees")
    print(f"one pass of the teacher: {one_pass:.1f} s")
    for n_jobs in jobs:
        options = {"cv": 5, "refit": False, "n_jobs": n_jobs, "scoring": "neg_log_loss"}
        plain = timed(lambda o=options: GridSearchCV(student, GRID, **o).fit(X, y))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "answers.db")
            remembering = small.set_params(memory=path)
            search = GridSearchCV(remembering, grid, **options)
            with_memory = timed(lambda s=search: s.fit(X, y))
            asked = AnswerStore(path).stats()["rows_asked"]
        without = timed(
            lambda o=options: GridSearchCV(
                small.set_params(memory=None), grid, **o
            ).fit(X, y)
        )
        yardstick = one_pass + plain
        print(
            f"n_jobs={n_jobs}: labels only {plain:.1f} s, memory= {with_memory:.1f} s "
            f"({with_memory / yardstick:.2f} of labels only and one pass; rows asked "
            f"{asked}), without memory {without:.1f} s ({without / yardstick:.2f})"
        )


if __name__ == "__main__":
    main([int(n) for n in sys.argv[1:]] or (1, 2))
