"""How often a search with many scorers asks the teacher: run as a module.

A fitted forest of 300 trees teaches 20 students on 5 folds of `letter`. The students
are scored by accuracy, fidelity to the teacher, latency and size, and the best within a
budget is refitted. Fits and scorers together should ask the teacher about each distinct
row once.
"""

import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.tree import DecisionTreeClassifier

from benchmarks.datasets import load
from skdistill import DistilledClassifier, LogisticStudent, MLPStudent
from skdistill.metrics import fidelity_scorers, latency_scorer, size_scorer
from skdistill.model_selection import best_under
from skdistill.teachers import AnswerStore

STUDENTS = [
    *(LogisticStudent(C, tol=1e-4) for C in (0.1, 1.0)),
    *(DecisionTreeClassifier(max_leaf_nodes=2**k) for k in range(5, 13)),
    *(MLPStudent((n,), max_steps=500) for n in (8, 16, 24, 32, 48)),
    *(MLPStudent((n, n), max_steps=500) for n in (8, 16, 24, 32, 48)),
]


class CountedForest(RandomForestClassifier):
    """Forest that counts the rows it is asked about."""

    n_rows_asked = 0

    def predict_proba(self, X):
        """Probabilities of the classes, counted."""
        self.n_rows_asked += len(X)
        return super().predict_proba(X)


def search_students(teacher, X, y, memory):
    """Search all students with a teacher, and return the search and its seconds."""
    small = DistilledClassifier(
        teacher, alpha=1.0, calibrate=None, transfer=None, memory=memory,
        random_state=0,
    )  # fmt: skip
    search = GridSearchCV(
        small,
        {"student": STUDENTS},
        scoring={
            "accuracy": "accuracy",
            **fidelity_scorers(),
            "latency": latency_scorer,
            "size": size_scorer,
        },
        refit=best_under(latency=1e-3, size=64_000, metric="agreement"),
        cv=5,
    )
    start = time.perf_counter()
    search.fit(X, y)
    return search, time.perf_counter() - start


def main():
    """Print the rows asked, and what was found."""
    # It was, which does not matter here: what counts are the questions.
    warnings.filterwarnings("ignore", message="The fitted teacher looks as if")
    X, y = load("letter")
    n_distinct = len(np.unique(X, axis=0))
    n_mentions = len(STUDENTS) * 5 * len(X) + len(X)
    forest = CountedForest(300, random_state=0, n_jobs=1).fit(X, y)
    print(f"letter, {len(X)} rows, {n_distinct} distinct; forest of 300 trees")
    print(
        f"{len(STUDENTS)} students x 5 folds; rows fitted on and scored: {n_mentions}"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "answers.db")
        search, seconds = search_students(forest, X, y, path)
        stored = AnswerStore(path).stats()["rows_asked"]
    print(
        f"with memory=: {seconds:.0f} s, rows asked {stored}, rows that reached the "
        f"forest {forest.n_rows_asked} (with those that tell one teacher from another)"
    )
    found, best = search.cv_results_, search.best_index_
    print(
        f"within 1 ms and 64 kB: {search.best_params_['student']}, agreement "
        f"{found['mean_test_agreement'][best]:.4f}, "
        f"{-1e6 * found['mean_test_latency'][best]:.0f} us, "
        f"{-found['mean_test_size'][best]:.0f} bytes; largest agreement of all "
        f"{found['mean_test_agreement'].max():.4f}"
    )


if __name__ == "__main__":
    main()
