"""Data, teacher and students that the benchmarks share."""

import os
from typing import NamedTuple

import numpy as np

FAST = os.environ.get("SKDISTILL_BENCH") == "fast"
N_ROWS, N_TREES = (1_500, 20) if FAST else (20_000, 300)
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
    from sklearn.model_selection import train_test_split

    from benchmarks.datasets import load

    X, y = load("letter", n_rows=N_ROWS)
    return train_test_split(X, y, test_size=0.2, stratify=y, random_state=0)


def teacher():
    """Return a large forest, unfitted."""
    from sklearn.ensemble import ExtraTreesClassifier

    return ExtraTreesClassifier(N_TREES, bootstrap=True, oob_score=True, random_state=0)


def labelled():
    """Label the rows out of bag: what every student here learns from."""
    import warnings

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
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.tree import DecisionTreeClassifier

    from skdistill import LogisticStudent, MLPStudent

    return {
        "mlp": lambda: MLPStudent((64, 64), max_steps=300 if FAST else "auto"),
        "logistic": lambda: LogisticStudent(),
        "tree": lambda: DecisionTreeClassifier(max_leaf_nodes=512),
        "hist_gradient_boosting": lambda: HistGradientBoostingClassifier(
            max_iter=10 if FAST else 50
        ),
    }[name]()


def distil(name, data):
    """Fit a student on soft targets with all settings fixed: one fit."""
    from skdistill import DistilledClassifier

    return DistilledClassifier(
        None, student(name), alpha=0.5, transfer=None, random_state=0
    ).fit(data.X, data.y, soft_targets=data.soft_targets)
