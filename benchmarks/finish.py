"""Students whose finish matters: grown trees, and boosting of few rounds.

``python -m benchmarks.finish [TABLES]`` distils a forest into them with default
settings, on rows and with scores as in `benchmarks.recipe`, and prints accuracy /
log-loss / calibration error and the pickled size of the plain student and of the
student, and the finish: strength of shrinkage and temperature. The last lines count
over all tables.
"""

import argparse
import warnings

import numpy as np
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder
from sklearn.tree import DecisionTreeClassifier

from benchmarks.recipe import TABLES, figures_of, make_teacher, rows
from skdistill import DistilledClassifier
from skdistill.metrics import model_size

STUDENTS = {
    "grown tree": DecisionTreeClassifier(),
    "5 grown trees": RandomForestClassifier(5),
    "boosting, 30 x 8": HistGradientBoostingClassifier(max_iter=30, max_leaf_nodes=8),
}


def make_student(name, X):
    """Return a student by name; categories of a frame become codes."""
    if not hasattr(X, "iloc"):
        return STUDENTS[name]
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    categories = make_column_selector(dtype_include=["category"])
    encode = make_column_transformer((codes, categories), remainder="passthrough")
    return make_pipeline(encode, STUDENTS[name])


def measure(table, name):
    """Fit one pair; figures on test rows, and the finish."""
    X, X_test, y, y_test = rows(table, 0)
    small = DistilledClassifier(
        make_teacher("forest", X), make_student(name, X), random_state=0
    ).fit(X, y)
    figures = figures_of(small, X_test, y_test)
    for model, fitted in (("plain", small.plain_student_), ("student", small.student_)):
        figures[f"{model}_kb"] = model_size(fitted) / 1e3
    return figures, finish_of(small)


def finish_of(small):
    """Tell in short what was done to a student after its fit."""
    done = []
    if small.student_shrinkage_:
        done.append(f"s = {small.student_shrinkage_:g}")
    if small.student_temperature_ != 1:
        done.append(f"T = {small.student_temperature_:.2f}")
    return ", ".join(done)


def line(table, name, figures, finish):
    """Return one line of the table."""
    scores = "".join(
        f"{figures[m + '_accuracy']:>8.3f}/{figures[m + '_log_loss']:.3f}"
        f"/{figures[m + '_ece']:.3f}{figures[m + '_kb']:>7,.0f}"
        for m in ("plain", "student")
    )
    weight = "labels" if figures["alpha"] == 0 else f"{figures['alpha']:g}"
    return f"{table:<11} {name:<17}{scores}   {weight:<7} {finish}"


def counts(name, all_figures):
    """Return what holds over all tables for one student."""
    gains = np.array([f["plain_log_loss"] - f["student_log_loss"] for f in all_figures])
    errors = np.array([f["plain_ece"] - f["student_ece"] for f in all_figures])
    right = [f["student_accuracy"] - f["plain_accuracy"] for f in all_figures]
    return (
        f"{name}: lower log-loss on {np.sum(gains > 0)}, higher on {np.sum(gains < 0)} "
        f"of {len(gains)} tables; calibration error lower on {np.sum(errors > 0)}, "
        f"higher on {np.sum(errors < 0)}; accuracy {np.mean(right):+.3f} on average"
    )


def main():
    """Print the table, a line a student and table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", nargs="*", default=TABLES)
    found = {name: [] for name in STUDENTS}
    print(
        f"{'table':<11} {'student':<17}{'plain':>20}{'kB':>7}"
        f"{'student':>20}{'kB':>7}   targets finish"
    )
    for table in parser.parse_args().tables:
        for name in STUDENTS:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                figures, finish = measure(table, name)
            found[name].append(figures)
            print(line(table, name, figures, finish), flush=True)
    print(*(counts(name, of_one) for name, of_one in found.items()), sep="\n")


if __name__ == "__main__":
    main()
