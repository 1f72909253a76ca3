"""Data, teacher and students that the benchmarks share."""

import os
import pickle
import warnings
from typing import NamedTuple

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
from sklearn.model_selection import train_test_split
from sklearn.tree import DecisionTreeClassifier

from benchmarks import peers
from benchmarks.datasets import load
from skdistill import DistilledClassifier, LogisticStudent, MLPStudent

FAST = os.environ.get("SKDISTILL_BENCH") == "fast"
N_ROWS, N_TREES = (1_000, 20) if FAST else (20_000, 300)
STUDENTS = ("mlp", "logistic", "tree", "hist_gradient_boosting")


class Labelled(NamedTuple):
    """Training and test rows with the teacher's answers on both."""

    X: np.ndarray
    y: np.ndarray
    soft_targets: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    P_test: np.ndarray


def letter():
    """Return `letter`, a fifth of it held out: X_train, X_test, y_train, y_test."""
    X, y = load("letter", n_rows=N_ROWS)
    return train_test_split(X, y, test_size=0.2, stratify=y, random_state=0)


def teacher():
    """Return a large forest, unfitted."""
    return ExtraTreesClassifier(N_TREES, bootstrap=True, oob_score=True, random_state=0)


def labelled():
    """Label the rows out of bag: what every student here learns from."""
    X, X_test, y, y_test = letter()
    with warnings.catch_warnings():
        # A small forest has a few rows in every bag; they get equal probabilities.
        warnings.filterwarnings("ignore", message="Some inputs do not have OOB")
        warnings.filterwarnings("ignore", message="invalid value encountered")
        fitted = teacher().fit(X, y)
    P = np.nan_to_num(fitted.oob_decision_function_, nan=1 / len(fitted.classes_))
    return Labelled(X, y, P, X_test, y_test, fitted.predict_proba(X_test))


def student(name):
    """Return a student by its name in `STUDENTS`, unfitted."""
    return {
        "mlp": lambda: MLPStudent((64, 64), max_steps=100 if FAST else "auto"),
        "logistic": lambda: LogisticStudent(),
        "tree": lambda: DecisionTreeClassifier(max_leaf_nodes=512),
        "hist_gradient_boosting": lambda: HistGradientBoostingClassifier(
            max_iter=2 if FAST else 50
        ),
    }[name]()


def distil(name, data):
    """Fit a student on soft targets with all settings fixed: one fit."""
    return DistilledClassifier(
        None, student(name), alpha=0.5, transfer=None, random_state=0
    ).fit(data.X, data.y, soft_targets=data.soft_targets)


def one_thread():
    """Let torch take one thread; numpy's are set before the suite starts."""
    import torch

    torch.set_num_threads(1)


class Cache(NamedTuple):
    """Data and fitted models; each is unpickled where it is asked for."""

    data: Labelled
    students: dict
    rows: dict

    def student(self, name):
        """Return a fitted student by its name in `STUDENTS`."""
        return pickle.loads(self.students[name])


class Fitted:
    """Base of the benchmarks of fitted models: all share what is fitted here, once."""

    timeout = 600

    def setup_cache(self):
        one_thread()
        data = labelled()
        students = {name: distil(name, data).student_ for name in STUDENTS}
        rows = peers.one_row_models(data.X, data.y, data.soft_targets)
        return Cache(
            data,
            {name: pickle.dumps(model) for name, model in students.items()},
            {name: pickle.dumps(pair) for name, pair in rows.items()},
        )
