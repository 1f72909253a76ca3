"""Seconds of measuring: metrics on test rows, intervals, and scorers in a search."""

import numpy as np

from .common import FAST

N_ROWS, N_CLASSES = (500, 5) if FAST else (5_000, 26)


def probabilities(seed):
    return np.random.default_rng(seed).dirichlet(np.ones(N_CLASSES), N_ROWS)


class Metrics:
    params = (
        "agreement",
        "top_k_agreement",
        "mean_kl_divergence",
        "jensen_shannon_divergence",
        "total_variation_distance",
        "brier_to_teacher",
        "expected_calibration_error",
        "classwise_calibration_error",
    )
    param_names = ("metric",)

    def setup(self, name):
        from skdistill import metrics

        self.metric, self.options = getattr(metrics, name), {}
        self.P, self.Q = probabilities(0), probabilities(1)
        if name.endswith("calibration_error"):
            self.P = self.P.argmax(axis=1)
            self.options = {"classes": np.arange(N_CLASSES)}

    def time_metric(self, name):
        self.metric(self.P, self.Q, **self.options)


class Intervals:
    timeout = 600

    def setup(self):
        rng = np.random.default_rng(0)
        self.right = (rng.random((2, N_ROWS)) < 0.9).astype(float)
        self.P, self.Q = probabilities(0), probabilities(1)
        self.table = rng.normal(size=(N_ROWS, 16))

    def time_bootstrap_interval(self):
        from skdistill.metrics import bootstrap_interval

        bootstrap_interval(
            lambda a, b, sample_weight: np.average(a - b, weights=sample_weight),
            *self.right,
            random_state=0,
        )

    def time_worst_slice(self):
        from skdistill.metrics import agreement, worst_slice

        worst_slice(agreement, self.P, self.Q, by=self.table, random_state=0)


class Search:
    timeout = 600

    def setup(self):
        from sklearn.linear_model import LogisticRegression

        rng = np.random.default_rng(0)
        self.X = rng.normal(size=(N_ROWS, 16))
        self.y = (self.X @ rng.normal(size=(16, 3))).argmax(axis=1)
        self.P = LogisticRegression().fit(self.X, self.y).predict_proba(self.X)
        self.model = LogisticRegression(C=0.1).fit(self.X, self.y)

    def time_fidelity_scorers_given(self):
        from skdistill.metrics import fidelity_scorers

        for scorer in fidelity_scorers(self.X, self.P).values():
            scorer(self.model, self.X)

    def time_fidelity_scorers_routed(self):
        from skdistill.metrics import fidelity_scorers

        for scorer in fidelity_scorers().values():
            scorer(self.model, self.X, soft_targets=self.P)
