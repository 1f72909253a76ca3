"""Seconds and memory of answering: one row, a batch, a million rows."""

import pickle

import numpy as np

from benchmarks import peers

from .common import FAST, N_ROWS, STUDENTS, Fitted, letter, teacher

N_BATCH, N_MANY = 10_000, 50_000 if FAST else 1_000_000


class PredictStudent(Fitted):
    params = (STUDENTS, (1, N_ROWS // 10))
    param_names = ("student", "rows")

    def setup(self, cache, name, rows):
        self.model, self.X = cache.student(name), cache.data.X_test[:rows].copy()
        self.model.predict_proba(self.X)

    def time_predict_proba(self, cache, name, rows):
        self.model.predict_proba(self.X)


class PredictTeacher:
    params = (1, N_ROWS // 10)
    param_names = ("rows",)
    timeout = 600

    def setup(self, rows):
        X, X_test, y, _ = letter()
        # Fitted here, on part of the rows: a pickle of the whole takes longer to load.
        self.model = teacher().set_params(bootstrap=False, oob_score=False)
        self.model.fit(X[:4_000], y[:4_000])
        self.X = X_test[:rows].copy()
        self.model.predict_proba(self.X)

    def time_predict_proba(self, rows):
        self.model.predict_proba(self.X)


class PredictRow(Fitted):
    """One row, as an array or a DataFrame; what scikit-learn and skorch take for it."""

    params = (
        "MLPStudent",
        "MLPClassifier",
        "skorch",
        "LogisticStudent",
        "LogisticRegression",
        "DistilledClassifier",
        "MLPStudent, DataFrame",
        "MLPStudent, categories",
        "MLPClassifier, DataFrame",
    )
    param_names = ("model",)

    def setup(self, cache, name):
        self.model, self.row = pickle.loads(cache.rows[name])
        self.model.predict_proba(self.row)

    def time_predict_proba(self, cache, name):
        self.model.predict_proba(self.row)


class PredictBatch(Fitted):
    """10,000 rows; the students, and their arithmetic in numpy without any check."""

    params = (
        "MLPStudent",
        "MLPStudent's arithmetic",
        "LogisticStudent",
        "LogisticStudent's arithmetic",
    )
    param_names = ("model",)

    def setup(self, cache, name):
        X = cache.data.X
        students = cache.student("mlp"), cache.student("logistic")
        X = np.resize(X, (N_BATCH, X.shape[1]))
        self.answer = peers.batch_answers(*students, X)[name]

    def time_predict_proba(self, cache, name):
        self.answer()


class PredictMany(Fitted):
    """Far more rows than fit the cache: memory beside the result is bounded."""

    params = ("float64", "float32")
    param_names = ("dtype",)

    def setup(self, cache, dtype):
        X = cache.data.X
        self.model = cache.student("mlp")
        self.X = np.resize(X, (N_MANY, X.shape[1])).astype(dtype)

    def time_predict_proba(self, cache, dtype):
        self.model.predict_proba(self.X)

    def peakmem_predict_proba(self, cache, dtype):
        self.model.predict_proba(self.X)
