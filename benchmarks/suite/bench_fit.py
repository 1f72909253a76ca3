"""Seconds and memory of fitting: students, and nets of one shape by several hands."""

from benchmarks import peers

from .common import FAST, STUDENTS, distil, labelled, one_thread, student

NETS = (
    "MLPStudent, steps",
    "bare torch",
    "MLPStudent, epochs",
    "skorch",
    "MLPClassifier",
    "skorch net as a student",
)


def fit(name, targets, data):
    """Fit a student on labels, or within a DistilledClassifier on soft targets."""
    if targets == "soft targets":
        return distil(name, data)
    return student(name).fit(data.X, data.y)


class Fit:
    params = (STUDENTS, ("labels", "soft targets"))
    param_names = ("student", "targets")
    timeout = 600

    def setup_cache(self):
        return labelled()

    def setup(self, data, name, targets):
        if name == "mlp":  # the others are measured without torch
            one_thread()

    def time_fit(self, data, name, targets):
        fit(name, targets, data)

    def peakmem_fit(self, data, name, targets):
        fit(name, targets, data)


class FitNet:
    """Nets of one shape: "steps" and "bare torch" do the same, and so do the others."""

    params = NETS
    param_names = ("net",)
    timeout = 600

    def setup_cache(self):
        return labelled()

    def setup(self, data, name):
        one_thread()
        n_steps, n_epochs = (100, 1) if FAST else (1_000, 16)
        self.fit = peers.fits(
            data.X, data.y, data.soft_targets, n_steps=n_steps, n_epochs=n_epochs
        )[name]

    def time_fit(self, data, name):
        self.fit()
