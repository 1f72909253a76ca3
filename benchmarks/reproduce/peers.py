"""Peers side by side: one split, one machine, one run.

AutoGluon and imodels want an environment of their own. Make one outside the repository,
`pip install "autogluon.tabular[lightgbm,catboost]" torch imodels` in it, and set
SKDISTILL_PEERS_PYTHON to its interpreter; without that they are left out.
"""

import os
import tempfile
import time
from functools import cache, partial

import numpy as np
import pandas as pd
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from benchmarks.datasets import load
from benchmarks.peers import torch_module
from benchmarks.reproduce._records import FIXED, RECIPE, Unit, command
from benchmarks.reproduce._worker import TARGET, median_latency, run_elsewhere
from skdistill import DistilledClassifier, MLPStudent
from skdistill.metrics import expected_calibration_error, model_size
from skdistill.soft_targets import out_of_bag

NAME = "peers"
TABLES = (
    "satimage", "magic", "letter", "phoneme", "ring", "california", "spam", "penbased",
    "banana", "texture",
)  # fmt: skip
N_TREES, MAX_TRAIN = 300, 8_000
TEACHER = f"extra trees, {N_TREES}"


class Contest:
    """One table, one split, one teacher.

    Parameters
    ----------
    table : str
        Of numbers only.

    seed : int

    smoke : bool
        Few rows, small models.
    """

    def __init__(self, table, seed, smoke):
        X, y = load(table)
        n_train = 400 if smoke else min(MAX_TRAIN, 3 * len(y) // 4)
        self.X, self.X_test, self.y, self.y_test = train_test_split(
            X, y, train_size=n_train, test_size=len(y) // 4, stratify=y,
            random_state=seed,
        )  # fmt: skip
        self.seed, self.smoke = seed, smoke
        self.classes = np.unique(y)
        self._teacher = None

    def forest(self):
        """Return the unfitted teacher; it bags, so that it labels its own rows."""
        return ExtraTreesClassifier(
            100 if self.smoke else N_TREES, bootstrap=True, random_state=self.seed
        )

    def fitted_forest(self):
        """Return the fitted teacher of those peers that cannot fit their own."""
        if self._teacher is None:
            forest = self.forest().set_params(oob_score=True)
            self._teacher = forest.fit(self.X, self.y)
        return self._teacher

    def targets(self):
        """Out-of-bag probabilities of the training rows."""
        forest = self.fitted_forest()
        return out_of_bag(forest, n_samples=len(self.y), classes=self.classes)

    def student(self):
        """Return the student that all nets here are: two layers of 64 units."""
        steps = {"max_steps": 50} if self.smoke else {}
        return MLPStudent((64, 64), random_state=self.seed, **steps)

    def judge(self, P):
        """Accuracy, log-loss (nats) and calibration error on the test rows."""
        y = self.y_test
        return {
            "accuracy": float(accuracy_score(y, self.classes[P.argmax(axis=1)])),
            "log_loss": float(log_loss(y, P, labels=self.classes)),
            "ece": float(expected_calibration_error(y, P, classes=self.classes)),
        }


# -- what is measured ------------------------------------------------------------------


def measure(contest, fit):
    """Fit here, and judge what comes out.

    Parameters
    ----------
    contest : callable
        Returns the Contest.

    fit : callable
        Contest -> (fitted model, function from rows to probabilities).
    """
    contest = contest()
    contest.fitted_forest()  # not part of the time that a student takes
    start = time.perf_counter()
    model, predict_proba = fit(contest)
    seconds = time.perf_counter() - start
    return contest.judge(predict_proba(contest.X_test)) | {
        "p50": median_latency(predict_proba, contest.X_test),
        "bytes": int(model_size(model)),
        "fit_seconds": round(seconds, 1),
    }


def measure_elsewhere(contest, peer):
    """Let a peer fit in its own environment; a failure is a figure too."""
    c = contest()
    names = [f"x{i}" for i in range(c.X.shape[1])]
    train, test = (
        pd.DataFrame(X, columns=names).assign(**{TARGET: y})
        for X, y in ((c.X, c.y), (c.X_test, c.y_test))
    )
    with tempfile.TemporaryDirectory() as folder:
        python = os.environ["SKDISTILL_PEERS_PYTHON"]
        try:
            P, cost = run_elsewhere(python, peer, train, test, folder)
        except RuntimeError as error:
            return {"failure": str(error)}
    # Read from text: columns come as str, and the classes may be numbers.
    P = P[[str(label) for label in c.classes]].to_numpy()
    outside = int(((P < 0) | (P > 1)).any(axis=1).sum())
    if outside:  # a student that is a regressor may say 1.15
        cost["note"] += f"; {outside} answers outside [0, 1]"
    P = P.clip(0, 1) / P.clip(0, 1).sum(axis=1, keepdims=True)
    cost["fit_seconds"] = round(cost["fit_seconds"], 1)
    return c.judge(P) | cost


def fit_forest(contest):
    """Fit the teacher itself."""
    forest = contest.forest().fit(contest.X, contest.y)
    return forest, forest.predict_proba


def fit_default(contest):
    """Fit a DistilledClassifier that is left alone, its teacher included."""
    small = DistilledClassifier(
        contest.forest(), contest.student(), random_state=contest.seed
    ).fit(contest.X, contest.y)
    return small.student_, small.student_.predict_proba


def fit_plain(contest):
    """Fit the student on the labels."""
    student = contest.student().fit(contest.X, contest.y)
    return student, student.predict_proba


def fit_argmax(contest):
    """Fit the student on the teacher's decisions: distillation without knowledge."""
    decisions = contest.classes[contest.targets().argmax(axis=1)]
    student = contest.student().fit(contest.X, decisions)
    present = np.searchsorted(contest.classes, student.classes_)

    def predict_proba(X):
        P = np.zeros((len(X), len(contest.classes)))
        P[:, present] = student.predict_proba(X)
        return P

    return student, predict_proba


def fit_skorch(contest):
    """Fit a skorch net on soft targets, as its users do: 50 passes of AdamW."""
    import torch
    from skorch import NeuralNet

    torch.manual_seed(contest.seed)
    X, P = contest.X, contest.targets()
    scaler = StandardScaler().fit(X)
    net = NeuralNet(
        torch_module,
        module__n_in=X.shape[1],
        module__n_out=P.shape[1],
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.AdamW,
        lr=0.001,
        max_epochs=1 if contest.smoke else 50,
        train_split=None,
        verbose=0,
    ).fit(scaler.transform(X).astype(np.float32), P.astype(np.float32))

    def predict_proba(X):
        rows = scaler.transform(X).astype(np.float32)
        return net.forward(rows).double().softmax(1).numpy()

    return net, predict_proba


def fit_lightgbm(contest):
    """Fit LightGBM's defaults on the labels: small and fast without any teacher."""
    from lightgbm import LGBMClassifier

    model = LGBMClassifier(n_jobs=1, verbose=-1, random_state=contest.seed)
    model.fit(contest.X, contest.y)
    return model, model.booster_.predict if len(contest.classes) > 2 else partial(
        _two_columns, model.booster_
    )


def _two_columns(booster, X):
    p = booster.predict(X)
    return np.column_stack([1 - p, p])


def list_units(n_seeds, smoke):
    """List what is to be measured, table by table."""
    here = (
        ("none", "the teacher itself", fit_forest, FIXED),
        ("MLPStudent 64-64", "skdistill, default", fit_default, RECIPE),
        ("MLPStudent 64-64", "labels", fit_plain, FIXED),
        ("MLPStudent 64-64", "teacher's decisions", fit_argmax, FIXED),
        ("skorch net 64-64", "soft targets", fit_skorch, FIXED),
        ("LightGBM", "labels", fit_lightgbm, FIXED),
    )
    elsewhere = ()
    if "SKDISTILL_PEERS_PYTHON" in os.environ and not smoke:
        elsewhere = ("autogluon", "imodels")
    for seed in range(n_seeds):
        for table in ("satimage",) if smoke else TABLES:
            contest = cache(partial(Contest, table, seed, smoke))
            for student, setting, fit, recipe in here:
                work = partial(measure, contest, fit)
                yield Unit(table, TEACHER, student, setting, seed, work, recipe)
            for peer in elsewhere:
                if peer == "imodels" and len(contest().classes) > 2:
                    continue
                work = partial(measure_elsewhere, contest, peer)
                yield Unit(table, "its own", peer, "distilled", seed, work, FIXED)


if __name__ == "__main__":
    command(NAME, list_units)
