"""Seconds of answering, one row at a time and in a batch, of teacher and students."""

from .common import N_ROWS, STUDENTS, distil, labelled, letter, teacher


class PredictStudent:
    params = (STUDENTS, (1, N_ROWS // 10))
    param_names = ("student", "rows")
    timeout = 600

    def setup_cache(self):
        data = labelled()
        models = {name: distil(name, data).student_ for name in STUDENTS}
        return models, data.X_test

    def setup(self, cache, name, rows):
        models, X = cache
        self.model, self.X = models[name], X[:rows].copy()
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
