"""Seconds and memory of fitting: students, and nets of one shape by several hands."""

import warnings

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.tree import DecisionTreeClassifier

from benchmarks import peers
from benchmarks.datasets import load
from skdistill import DistilledClassifier, LogisticStudent, MLPStudent
from skdistill._compat import safe_indexing
from skdistill.students import shrunk_answers

from .common import FAST, STUDENTS, distil, labelled, letter, one_thread, student

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


class FitTable:
    """A net that meets many rows: of categories, or of numbers that become wide."""

    params = ("categories", "piecewise")
    param_names = ("table",)
    timeout = 600

    def setup(self, table):
        one_thread()
        n_rows, n_steps = (1_000, 20) if FAST else (30_000, 300)
        name, encoding = {
            "categories": ("adult", "auto"), "piecewise": ("ring", "piecewise"),
        }[table]  # fmt: skip
        X, y = load(name, n_rows=1_000)
        rows = np.random.RandomState(0).randint(len(y), size=n_rows)
        self.X, self.y = safe_indexing(X, rows), y[rows]
        self.student = MLPStudent(
            (64, 64), encoding=encoding, max_steps=n_steps, early_stopping=False
        )

    def time_fit(self, table):
        self.student.fit(self.X, self.y)

    def peakmem_fit(self, table):
        self.student.fit(self.X, self.y)


class Shrink:
    """A forest as student: its fit, and a look at all strengths of shrinkage."""

    params = (1, 40)
    param_names = ("n_trees",)
    timeout = 600

    def setup(self, n_trees):
        X, _, y, _ = letter()
        cut = len(y) // 5
        self.X, self.y, self.held = X[cut:], y[cut:], X[:cut]
        self.forest = RandomForestClassifier(n_trees, random_state=0)
        self.forest.fit(self.X, self.y)

    def time_fit(self, n_trees):
        self.forest.fit(self.X, self.y)

    def time_all_strengths(self, n_trees):
        shrunk_answers(self.forest, self.held)

    def peakmem_all_strengths(self, n_trees):
        shrunk_answers(self.forest, self.held)


class Choose:
    """A linear student whose inputs are chosen, and whose penalty is or is given."""

    params = (1.0, "auto")
    param_names = ("C",)
    timeout = 600

    def setup_cache(self):
        return labelled()

    def time_fit(self, data, C):
        small = DistilledClassifier(None, LogisticStudent(C), random_state=0)
        small.fit(data.X, data.y, soft_targets=data.soft_targets)


class Shadow:
    """A fitted teacher on its own rows, with a clone to see what it remembers."""

    params = ("bare", "frozen")
    param_names = ("teacher",)
    timeout = 600

    def setup_cache(self):
        data = labelled()
        return data, RandomForestClassifier(50, random_state=0).fit(data.X, data.y)

    def time_fit(self, cached, teacher):
        data, forest = cached
        forest = FrozenEstimator(forest) if teacher == "frozen" else forest
        student = DecisionTreeClassifier(max_leaf_nodes=64)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it knows the rows
            DistilledClassifier(forest, student, random_state=0).fit(data.X, data.y)
