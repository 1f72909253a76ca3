"""Seconds and bytes of NGramStudent on real reviews."""

import pickle

from benchmarks.datasets import load
from skdistill import NGramStudent

from .common import FAST, one_thread

N_TEXTS = 300 if FAST else 10_000


class NGram:
    timeout = 600

    def setup_cache(self):
        one_thread()
        X, y = load("clothing_recommend", n_rows=N_TEXTS)
        return X, y, NGramStudent(random_state=0).fit(X, y)

    def setup(self, cache):
        self.X, self.y, self.student = cache

    def time_fit(self, cache):
        one_thread()
        NGramStudent(random_state=0).fit(self.X, self.y)

    def time_fit_net(self, cache):
        one_thread()
        NGramStudent((32,), max_steps=100, random_state=0).fit(self.X, self.y)

    def time_one_text(self, cache):
        self.student.predict_proba(self.X[:1])

    def time_many_texts(self, cache):
        self.student.predict_proba(self.X)

    def track_bytes(self, cache):
        return len(pickle.dumps(self.student))
