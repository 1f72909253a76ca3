"""The default recipe against the plain student, over tables, teachers and students.

``python -m benchmarks.recipe`` does what is not done yet, a line of JSON a pair, and
prints the table; ``--table`` only prints it, ``--write`` puts it into the guide. Every
figure is of test rows that neither teacher nor student nor any choice has seen.
``--part "500 rows"`` is about the same tables with so many training rows, ``--part
unseen`` about tables that were listed before anything was fitted on them; the guide
says what was changed since for what they showed. ``--part "unseen, 500 rows"`` is both.
``--part fitted`` gives these to teachers first, which come fitted on the rows that the
student is fitted on. ``--part "other teachers"`` has teachers of other kinds, on every
third table of both lists and the last.
"""

import argparse
import tempfile
import warnings
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import norm
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from benchmarks.datasets import load
from benchmarks.reproduce._records import RECIPE, Unit, read, run
from skdistill import DistilledClassifier, LogisticStudent, MLPStudent
from skdistill.metrics import expected_calibration_error, gap_closed
from skdistill.soft_targets import log_loss_rows

NAME = "recipe"
TABLES = (
    "phoneme", "california", "ring", "marketing", "banana", "adult", "mpls_stops",
    "spam", "magic", "satimage", "letter", "penbased", "texture", "optdigits",
)  # fmt: skip
UNSEEN = (
    "credit", "churn", "telephone", "lending", "developers", "diamonds", "jobs",
    "twonorm", "page_blocks", "chess", "splice", "segment", "storms", "surveys",
)  # fmt: skip
TEACHERS = ("boosting", "forest", "stack")
OTHER_TEACHERS = ("svm", "neighbors", "nets", "bayes", "lightgbm", "voting")
STUDENTS = ("net", "tree", "logistic")
PAGE = Path(__file__).parents[1] / "docs" / "user_guide" / "recipe.rst"
N_TRAIN, N_TEST = 4_000, 5_000


class Part(NamedTuple):
    """Tables, rows to train on, and the marks around what is printed on the page.

    Teachers may be fitted before the student is, on the same rows.
    """

    tables: tuple
    n_rows: int
    begin: str
    end: str
    is_fitted: bool = False
    teachers: tuple = TEACHERS


#: By the setting that their lines carry.
PARTS = {
    "default": Part(TABLES, N_TRAIN, ".. recipe table", ".. end of table"),
    "500 rows": Part(TABLES, 500, ".. small tables", ".. end of small tables"),
    "unseen, 500 rows": Part(
        UNSEEN, 500, ".. small unseen tables", ".. end of small unseen tables"
    ),
    "unseen": Part(UNSEEN, N_TRAIN, ".. unseen tables", ".. end of unseen tables"),
    "fitted": Part(
        UNSEEN, N_TRAIN, ".. fitted teachers", ".. end of fitted teachers", True
    ),
    "other teachers": Part(
        TABLES[::3] + UNSEEN[::3] + UNSEEN[-1:],
        N_TRAIN,
        ".. other teachers",
        ".. end of other teachers",
        teachers=OTHER_TEACHERS,
    ),
}


# -- what is measured ------------------------------------------------------------------


def make_teacher(name, X):
    """Teacher by name, for an array or a frame with categories."""
    is_frame = hasattr(X, "iloc")
    boosting = HistGradientBoostingClassifier(
        random_state=0, **({"categorical_features": "from_dtype"} if is_frame else {})
    )
    if name == "boosting":
        return boosting
    if name == "forest":
        return _on_numbers(RandomForestClassifier(300, random_state=0), is_frame)
    if name in OTHER_TEACHERS:
        return _on_numbers(_other_teacher(name), is_frame)
    trees = _on_numbers(ExtraTreesClassifier(200, random_state=0), is_frame)
    linear = LogisticRegression(max_iter=1000)
    linear = _on_numbers(make_pipeline(StandardScaler(), linear), is_frame)
    members = [("trees", trees), ("boosting", boosting), ("linear", linear)]
    return StackingClassifier(members, LogisticRegression(max_iter=1000), cv=4)


def _other_teacher(name):
    """Teacher of another kind than forests, boosting and stacks of them, for arrays."""
    if name == "bayes":
        return GaussianNB()
    if name == "lightgbm":
        from lightgbm import LGBMClassifier

        return LGBMClassifier(n_estimators=300, verbose=-1, n_jobs=1, random_state=0)
    if name == "voting":
        forest = ExtraTreesClassifier(200, random_state=0)
        boosting = HistGradientBoostingClassifier(random_state=0)
        return VotingClassifier([("a", forest), ("b", boosting)], voting="soft")
    if name == "svm":
        model = CalibratedClassifierCV(SVC(C=10.0), ensemble=False)
    elif name == "neighbors":
        model = KNeighborsClassifier(15, weights="distance")
    else:
        net = MLPClassifier((200,), max_iter=100, random_state=0)
        model = BaggingClassifier(net, 5, random_state=0)
    return make_pipeline(StandardScaler(), model)


def _on_numbers(model, is_frame):
    """One-hot encode categories, where there are any, and fill gaps."""
    if not is_frame:
        return model
    categories = make_column_selector(dtype_include=["category"])
    numbers = make_column_selector(dtype_exclude=["category"])
    one_hot = OneHotEncoder(
        handle_unknown="infrequent_if_exist", min_frequency=5, sparse_output=False
    )
    encode = make_column_transformer((one_hot, categories), (SimpleImputer(), numbers))
    return make_pipeline(encode, model)


def make_student(name, X):
    """Student by name, with default settings."""
    if name == "net":
        return MLPStudent((64, 64))
    if name == "logistic":
        return LogisticStudent()
    tree = DecisionTreeClassifier(max_leaf_nodes=64)
    if not hasattr(X, "iloc"):
        return tree
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    categories = make_column_selector(dtype_include=["category"])
    encode = make_column_transformer((codes, categories), remainder="passthrough")
    return make_pipeline(encode, tree)


@cache
def rows(table, seed, n_rows=N_TRAIN):
    """Training and test rows: X_train, X_test, y_train, y_test."""
    X, y = load(table)
    n_train = min(n_rows, int(0.7 * len(y)))
    return train_test_split(
        X, y, train_size=n_train, test_size=min(N_TEST, len(y) - n_train),
        stratify=y, random_state=seed,
    )  # fmt: skip


@lru_cache(maxsize=1)
def fitted_teacher(table, teacher, seed, n_rows):
    """Teacher that has seen the training rows."""
    X, _, y, _ = rows(table, seed, n_rows)
    return make_teacher(teacher, X).fit(X, y)


def measure(table, teacher, student, seed, n_rows, is_fitted, memory):
    """Fit one pair and score teacher, plain student and student on test rows."""
    X, X_test, y, y_test = rows(table, seed, n_rows)
    if is_fitted:
        model, memory = fitted_teacher(table, teacher, seed, n_rows), None
    else:
        model = make_teacher(teacher, X)
    small = DistilledClassifier(
        model, make_student(student, X), memory=memory, random_state=seed
    ).fit(X, y)
    return figures_of(small, X_test, y_test)


def figures_of(small, X_test, y_test):
    """Scores of teacher, plain student and student on test rows, and what was chosen.

    Parameters
    ----------
    small : fitted DistilledClassifier
        With its teacher, and a plain student.

    X_test, y_test : array-like
        Rows that nobody has seen, and their labels.

    Returns
    -------
    figures : dict
    """
    codes = np.searchsorted(small.classes_, y_test)
    models = {
        "teacher": small.teacher_, "plain": small.plain_student_, "student": small,
    }  # fmt: skip
    figures, loss, right = {}, {}, {}
    for name, model in models.items():
        P = model.predict_proba(X_test)
        loss[name], right[name] = log_loss_rows(P, codes), P.argmax(axis=1) == codes
        error = expected_calibration_error(y_test, P, classes=small.classes_)
        figures |= {
            f"{name}_accuracy": right[name].mean(),
            f"{name}_log_loss": loss[name].mean(),
            f"{name}_ece": error,
        }
    for name in ("teacher", "student"):  # paired differences from the plain student
        gain = loss["plain"] - loss[name]
        won = right[name].astype(float) - right["plain"]
        figures |= {
            f"{name}_loss_gain": gain.mean(), f"{name}_loss_gain_se": _se(gain),
            f"{name}_accuracy_gain": won.mean(), f"{name}_accuracy_gain_se": _se(won),
        }  # fmt: skip
    figures = {name: round(float(value), 5) for name, value in figures.items()}
    seconds = {k: round(v, 1) for k, v in small.fit_seconds_.items()}
    return figures | {
        "alpha": small.alpha_, "transfer": small.transfer_, "seconds": seconds,
        "encoding": getattr(small.student_, "encoding", ""), "n_test": len(codes),
        "shrinkage": small.student_shrinkage_,
        "C": getattr(small.student_, "C", None),
    }  # fmt: skip


def _se(values):
    return values.std(ddof=1) / np.sqrt(len(values))


def units(seeds, folder, setting="default"):
    """All pairs; students of one teacher share its out-of-fold answers."""
    part = PARTS[setting]
    for seed in range(seeds):
        for table in part.tables:
            for teacher in part.teachers:
                memory = f"{folder}/{table}-{teacher}-{seed}-{part.n_rows}.db"
                for student in STUDENTS:
                    pair = table, teacher, student
                    how = part.n_rows, part.is_fitted, memory
                    work = partial(measure, *pair, seed, *how)
                    yield Unit(*pair, setting, seed, work)


# -- what is printed -------------------------------------------------------------------


def report(setting="default"):
    """Lines of the table, of the first split, and of what follows from all splits."""
    tables = PARTS[setting].tables
    lines = [line for line in read(NAME) if line["recipe"] == RECIPE]
    lines = [line for line in lines if line["setting"] == setting]
    lines.sort(key=lambda line: (tables.index(line["table"]), line["seed"]))
    text = [
        f"{'table':<11}{'teacher':<10}{'student':<9}{'teacher':>12}{'plain':>13}"
        f"{'distilled':>14}  {'ECE: t':>6} {'s':>5} {'z':>5}  chosen"
    ]
    text += [
        f"{line['table']:<11}{line['teacher']:<10}{line['student']:<9}"
        f"{shown(line['figures'])}"
        for line in lines
        if line["seed"] == 0
    ]
    for student in STUDENTS:
        pairs = [x["figures"] for x in lines if x["student"] == student]
        text += harm(student, pairs) + gains(pairs)
    return text + harm("all students", [line["figures"] for line in lines])


def shown(f):
    """Scores of teacher, plain student and student, and what was chosen, in short."""
    scores = "".join(
        f"{f[m + '_accuracy']:>7.3f}/{f[m + '_log_loss']:.3f}"
        for m in ("teacher", "plain", "student")
    )
    errors = f"{f['teacher_ece']:>6.3f} {f['student_ece']:.3f}"
    return f"{scores}  {errors} {_z(f):>5.1f}  {_way(f)}"


def _way(f):
    """What was chosen, in short."""
    way = "plain" if f["alpha"] == 0 else f"{f['alpha']:g}"
    if f["transfer"] != "none":
        way += ", " + f["transfer"].removeprefix("MungeSampler")
    if f.get("shrinkage"):
        way += f", shrunk {f['shrinkage']:g}"
    if isinstance(f.get("C"), float):
        way += f", C={f['C']:g}"
    return way + (", piecewise" if f["encoding"] == "piecewise" else "")


def _z(f):
    """Gain over plain in log-loss, in standard errors; 0 where they are the same."""
    se = f["student_loss_gain_se"]
    return f["student_loss_gain"] / se if se else 0.0


def harm(name, pairs):
    """Lines on what was made worse, over all pairs of one student or of all."""
    if not pairs:
        return []
    z = np.array([_z(f) for f in pairs])
    # Holm: the smallest p-value of "worse than plain" against 5 % over all pairs.
    worse = np.sort(norm.cdf(z))
    holm = np.cumprod(worse <= 0.05 / np.arange(len(worse), 0, -1)).sum()
    calibrated = np.mean([f["student_ece"] <= f["teacher_ece"] for f in pairs])
    return [
        "",
        f"{name}, {len(pairs)} pairs: worse than plain in log-loss after Holm "
        f"{holm:.0f},",
        f"  worse by more than a standard error {np.mean(z < -1):.0%}, ECE at most the "
        f"teacher's {calibrated:.0%}",
    ]


def gains(pairs):
    """Lines on the gap closed, over all pairs of one student."""
    text = []
    for metric, gain, up in (
        ("accuracy", "accuracy", True),
        ("log_loss", "loss", False),
    ):
        ahead = [
            f for f in pairs
            if f[f"teacher_{gain}_gain"] > f[f"teacher_{gain}_gain_se"]
        ]  # fmt: skip
        shares = [
            gap_closed(
                *(f[f"{m}_{metric}"] for m in ("plain", "student", "teacher")),
                greater_is_better=up,
            )
            for f in ahead
        ]
        if shares:
            low, middle, high = np.percentile(shares, [25, 50, 75])
            name = metric.replace("_", "-")
            text.append(
                f"  {name}: {len(ahead)} teachers ahead by more than a standard error; "
                f"gap closed {middle:.2f} ({low:.2f} to {high:.2f})"
            )
    return text


def page(text):
    """Return the page of the guide with the tables between their marks."""
    for setting, part in PARTS.items():
        text = with_table(text, report(setting), part.begin, part.end)
    return text


def with_table(text, lines, begin, end):
    """Return a page with other lines between two marks."""
    before, rest = text.split(begin)
    after = rest.split(end)[1]
    block = "\n".join(f"   {line}".rstrip() for line in lines)
    return f"{before}{begin}\n\n.. code-block:: text\n\n{block}\n\n{end}{after}"


def main():
    """Measure what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--part", choices=PARTS, default="default")
    parser.add_argument("--table", action="store_true", help="only print the table")
    parser.add_argument("--write", action="store_true", help="put it into the guide")
    arguments = parser.parse_args()
    if not (arguments.table or arguments.write):
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run(units(arguments.seeds, folder, arguments.part), NAME)
    if arguments.write:
        PAGE.write_text(page(PAGE.read_text()))
    print("\n".join(report(arguments.part)))


if __name__ == "__main__":
    main()
