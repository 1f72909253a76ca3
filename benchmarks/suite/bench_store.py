"""Seconds of keeping and finding a teacher's answers, and rows asked in a grid."""

import tempfile
from pathlib import Path

import numpy as np

from .common import FAST

N_KEYS = 5_000 if FAST else 100_000
N_FEATURES, N_CLASSES = 16, 26


def rows():
    return np.random.default_rng(0).normal(size=(N_KEYS, N_FEATURES))


def answers():
    return np.random.default_rng(1).dirichlet(np.ones(N_CLASSES), N_KEYS)


class Constant:
    """Teacher that costs nothing: what remains is the store's own time."""

    classes_ = np.arange(N_CLASSES)

    def predict_proba(self, X):
        return np.full((len(X), N_CLASSES), 1 / N_CLASSES)


class Store:
    timeout = 600

    def setup(self):
        from skdistill.teachers import AnswerStore, CachedTeacher
        from skdistill.teachers._row_keys import row_keys

        self.folder = tempfile.TemporaryDirectory()
        self.X, self.P = rows(), answers()
        self.keys = row_keys(self.X)
        self.empty = AnswerStore(Path(self.folder.name) / "empty.db")
        self.full = AnswerStore(Path(self.folder.name) / "full.db")
        self.full.put_many("teacher", self.keys, self.P)
        self.cached = CachedTeacher(Constant(), self.full, key="constant")
        self.cached.predict_proba(self.X)

    def teardown(self):
        self.empty.close()
        self.full.close()
        self.folder.cleanup()

    def time_row_keys(self):
        from skdistill.teachers._row_keys import row_keys

        row_keys(self.X)

    def time_put_many(self):
        self.empty.put_many("teacher", self.keys, self.P)

    def time_get_many(self):
        self.full.get_many("teacher", self.keys)

    def time_cached_predict_proba(self):
        self.cached.predict_proba(self.X)

    def peakmem_cached_predict_proba(self):
        self.cached.predict_proba(self.X)

    def track_bytes_per_row(self):
        stats = self.full.stats()
        return stats["bytes"] / stats["rows"]

    time_put_many.number = 1  # into an empty file
    time_put_many.repeat = 3
    track_bytes_per_row.unit = "bytes"


class RowsAsked:
    """Rows that reach the teacher in a grid of students, for each distinct row."""

    timeout = 600

    def track_rows_asked_in_a_grid(self):
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import GridSearchCV

        from skdistill import DistilledClassifier, LogisticStudent
        from skdistill.teachers import CachedTeacher

        X = rows()[: N_KEYS // 10]
        y = (X[:, 0] > 0).astype(int)
        with tempfile.TemporaryDirectory() as folder:
            cached = CachedTeacher(
                LogisticRegression().fit(-X, y), f"{folder}/answers.db", key="teacher"
            )
            distilled = DistilledClassifier(
                cached, LogisticStudent(), alpha=1.0, calibrate=None, transfer=None
            )
            grid = {"student__C": [0.1, 1.0, 10.0]}
            GridSearchCV(distilled, grid, cv=3).fit(X, y)
            asked = cached.store_.stats()["rows_asked"]
            cached.store_.close()
        return asked / len(X)

    track_rows_asked_in_a_grid.unit = "times (1 is right)"
