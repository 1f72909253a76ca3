"""Bucila, Caruana, Niculescu-Mizil (2006): model compression, in RMSE to the label.

An ensemble selected from a library on 4,000 + 1,000 rows teaches a net of 256 units.
LETTER.p1 tells the letter O from the rest, LETTER.p2 the first half of the alphabet
from the second.
"""

from functools import cache, cached_property, partial

import joblib
import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold, cross_val_predict, train_test_split

from benchmarks.datasets import load
from benchmarks.reproduce._ensemble_selection import (
    EnsembleSelection,
    make_library,
    rmse,
)
from benchmarks.reproduce._records import FIXED, RECIPE, Unit, cache_folder, command
from skdistill import DistilledClassifier, MLPStudent
from skdistill.transfer import MungeSampler

NAME = "bucila"
N_TRAIN, N_FOLDS = 5_000, 3
TEACHER, STUDENT = "ensemble selection", "net of 256 units"


def load_table(name):
    """Read LETTER.p1, LETTER.p2 or Adult with two labels, 0 and 1."""
    if name == "adult":
        X, y = load("adult")
        return X, (y == np.unique(y)[1]).astype(int)
    X, y = load("letter")
    X = pd.DataFrame(X).add_prefix("x")  # as Adult: the library looks for categories
    return X, (y == "O" if name == "letter.p1" else y >= "N").astype(int)


class Split:
    """Rows of one table, split by a seed, and the teacher of that split.

    Parameters
    ----------
    table : {"letter.p1", "letter.p2", "adult"}

    seed : int

    smoke : bool
        A tenth of the rows and a library of one forest.
    """

    def __init__(self, table, seed, smoke):
        X, y = load_table(table)
        n_train = N_TRAIN // 10 if smoke else N_TRAIN
        self.X, self.X_test, self.y, self.y_test = train_test_split(
            X, y, train_size=n_train, stratify=y, random_state=seed
        )
        self.table, self.seed, self.smoke = table, seed, smoke

    def _unfitted(self):
        return EnsembleSelection(make_library(self.smoke), random_state=self.seed)

    def _kept(self, what, make):
        """Make something once and keep it in a file."""
        size = "smoke" if self.smoke else "full"
        path = cache_folder() / f"bucila-{self.table}-{self.seed}-{size}-{what}.joblib"
        if not path.exists():
            joblib.dump(make(), path)
        return joblib.load(path)

    @cached_property
    def teacher(self):
        """Return the teacher, fitted on all training rows."""
        return self._kept("teacher", lambda: self._unfitted().fit(self.X, self.y))

    @cached_property
    def out_of_fold(self):
        """Probabilities of the training rows by teachers that have not seen them."""
        folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=self.seed)
        return self._kept(
            "targets",
            lambda: cross_val_predict(
                self._unfitted(), self.X, self.y, cv=folds, method="predict_proba"
            ),
        )

    def rmse(self, model):
        """RMSE on the test rows."""
        return rmse(model.predict_proba(self.X_test), self.y_test)


# -- what is measured ------------------------------------------------------------------


def make_student(split, **length):
    """Return the student of the paper's size, or a tiny one."""
    if split.smoke:
        return MLPStudent((4,), max_steps=20, random_state=split.seed)
    return MLPStudent((256,), random_state=split.seed, **length)


def measure_teacher(split):
    """RMSE of the teacher, and how many models were selected."""
    teacher = split().teacher
    return {"rmse": split().rmse(teacher), "n_models": len(teacher.models_)}


def measure_plain(split):
    """RMSE of the student on labels."""
    s = split()
    return {"rmse": s.rmse(make_student(s).fit(s.X, s.y))}


def measure_munge(split, **length):
    """RMSE of the paper's way: the teacher labels all rows, real and drawn."""
    s = split()
    small = DistilledClassifier(
        s.teacher, make_student(s, **length), alpha=1.0, calibrate=None,
        transfer=MungeSampler(p=0.2, s=1.0), random_state=s.seed,
    ).fit(s.X)  # fmt: skip
    return {"rmse": s.rmse(small), "n_drawn": int(small.n_transfer_rows_)}


def measure_default(split, effort="default"):
    """RMSE of the student of a DistilledClassifier that is left alone.

    It gets the fitted teacher for rows that it draws, and out-of-fold probabilities
    for the training rows.
    """
    s = split()
    small = DistilledClassifier(
        s.teacher, make_student(s), effort=effort, random_state=s.seed
    ).fit(s.X, s.y, soft_targets=s.out_of_fold)
    chosen = {"alpha": float(small.alpha_), "transfer": str(small.transfer_)}
    return {"rmse": s.rmse(small), **chosen}


def list_units(n_seeds, smoke):
    """List what is to be measured, split by split."""
    for seed in range(n_seeds):
        for table in ("letter.p2", "letter.p1", "adult"):
            split = cache(partial(Split, table, seed, smoke))

            def unit(student, setting, measure, recipe=FIXED, split=split, seed=seed,
                     table=table):  # fmt: skip
                work = partial(measure, split)
                return Unit(table, TEACHER, student, setting, seed, work, recipe)

            yield unit("none", "teacher", measure_teacher)
            yield unit(STUDENT, "plain", measure_plain)
            yield unit(STUDENT, "MUNGE, soft only", measure_munge, RECIPE)
            yield unit(STUDENT, "default", measure_default, RECIPE)
            if table == "letter.p2":
                high = partial(measure_default, effort="high")
                yield unit(STUDENT, "high effort", high, RECIPE)
                longer = partial(measure_munge, max_steps=60_000, early_stopping=False)
                yield unit(STUDENT, "MUNGE, 60,000 steps", longer)


if __name__ == "__main__":
    command(NAME, list_units)
