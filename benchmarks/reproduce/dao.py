"""Dao, Kamath, Syrgkanis, Mackey (2021), section 5: forests of few trees, in AUC.

A forest of 500 trees teaches forests of 1, 5, 10 and 40 on 70 % of the rows; the rest
is the test. A forest of stumps is the weak teacher that must do no harm. The paper
takes soft targets from ten folds; a forest has them out of bag, at a tenth of the cost.
"""

from functools import cache, partial

import joblib
import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import OrdinalEncoder

from benchmarks.datasets import load
from benchmarks.reproduce._records import FIXED, RECIPE, Unit, command
from skdistill import DistilledClassifier

NAME = "dao"
N_TREES = 500
STUDENTS = (1, 5, 10, 40)
WEAK, STRONG = "stumps", "forest"


class KeptForest(RandomForestClassifier):
    """A forest that is not grown again for the same rows, labels and parameters.

    Of one split the students share their teacher; what is kept goes with `forget`.
    """

    _kept = {}

    def fit(self, X, y, sample_weight=None):
        """Grow the forest, or take over one that was grown on the same."""
        params = self.get_params()
        key = joblib.hash((X, y, sample_weight, params))
        if key not in self._kept:
            self._kept[key] = vars(super().fit(X, y, sample_weight)).copy()
        vars(self).update(self._kept[key])
        return self

    @classmethod
    def forget(cls):
        """Free the memory."""
        cls._kept.clear()


def make_forest(kind, n_trees, seed):
    """Return the unfitted teacher of a kind."""
    depth = 1 if kind == WEAK else None
    return KeptForest(n_trees, max_depth=depth, oob_score=True, random_state=seed)


class Split:
    """Rows of one table, split by a seed, and what the teachers say of them.

    Parameters
    ----------
    table : {"magic", "adult"}

    seed : int

    n_rows : int or None
        Rows drawn from the table; None takes all.

    n_trees : int
        Of the teacher.
    """

    def __init__(self, table, seed, n_rows, n_trees):
        X, y = load(table, n_rows=n_rows)
        if not isinstance(X, np.ndarray):  # categories by number: trees do not mind
            words = X.select_dtypes("category").columns
            codes = OrdinalEncoder(encoded_missing_value=-1).fit_transform(X[words])
            X = X.astype(dict.fromkeys(words, float), errors="ignore").assign(
                **dict(zip(words, codes.T, strict=True))
            )
            X = X.to_numpy(np.float64)
        self.X, self.X_test, y, y_test = train_test_split(
            X, y, test_size=0.3, stratify=y, random_state=seed
        )
        self.classes, self.y = np.unique(y, return_inverse=True)
        self.y_test = np.searchsorted(self.classes, y_test)
        self.table, self.seed, self.n_rows = table, seed, n_rows
        self.n_trees = n_trees

    def teacher(self, kind):
        """Return the unfitted teacher."""
        return make_forest(kind, self.n_trees, self.seed)

    def judge(self, model):
        """Area under the ROC curve and log-loss (nats) on the test rows."""
        p = model.predict_proba(self.X_test)[:, 1]
        # A forest of few trees answers 0 and 1, where the log-loss knows no bounds.
        least = 1 / (2 * len(self.y))
        loss = log_loss(self.y_test, np.clip(p, least, 1 - least))
        return {"auc": roc_auc_score(self.y_test, p), "log_loss": loss}


# -- what is measured ------------------------------------------------------------------


def measure_teacher(split, kind):
    """Figures of the teacher."""
    s = split()
    return s.judge(s.teacher(kind).fit(s.X, s.y))


def measure_plain(split, n_trees):
    """Figures of the student on labels."""
    s = split()
    student = RandomForestClassifier(n_trees, random_state=s.seed)
    return s.judge(student.fit(s.X, s.y))


def measure_fixed(split, kind, n_trees):
    """Figures of the student on the teacher's out-of-bag probabilities alone."""
    s = split()
    student = RandomForestClassifier(n_trees, random_state=s.seed)
    small = DistilledClassifier(
        s.teacher(kind), student, alpha=1.0, calibrate=None, transfer=None,
        random_state=s.seed,
    ).fit(s.X, s.y)  # fmt: skip
    return s.judge(small)


def measure_default(split, kind, n_trees):
    """Figures of the student of a DistilledClassifier that is left alone."""
    s = split()
    student = RandomForestClassifier(n_trees, random_state=s.seed)
    small = DistilledClassifier(s.teacher(kind), student, random_state=s.seed)
    small.fit(s.X, s.y)
    chosen = {
        "alpha": small.alpha_, "transfer": small.transfer_,
        "shrinkage": small.student_shrinkage_,
    }  # fmt: skip
    return s.judge(small) | chosen


def list_units(n_seeds, smoke):
    """List what is to be measured: split by split, so that teachers are shared."""
    sizes = (600, 100) if smoke else (None, N_TREES)
    for seed in range(n_seeds):
        for table in ("magic",) if smoke else ("magic", "adult"):
            KeptForest.forget()
            split = cache(partial(Split, table, seed, *sizes))
            yield from _units_of(split, table, STRONG, seed, STUDENTS)
            if table == "magic":
                yield from _units_of(split, table, WEAK, seed, (10,))


def _units_of(split, table, kind, seed, students):
    def unit(student, setting, measure, recipe=FIXED):
        return Unit(table, kind, student, setting, seed, measure, recipe)

    yield unit("none", "teacher", partial(measure_teacher, split, kind))
    for k in students:
        name = f"forest of {k}"
        if kind == STRONG:
            yield unit(name, "plain", partial(measure_plain, split, k))
        fixed = partial(measure_fixed, split, kind, k)
        yield unit(name, "out of bag, soft only", fixed)
        default = partial(measure_default, split, kind, k)
        yield unit(name, "default", default, RECIPE)


if __name__ == "__main__":
    command(NAME, list_units)
