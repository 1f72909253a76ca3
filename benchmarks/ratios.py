"""Print what the package costs against bare tools: ``python -m benchmarks.ratios``.

One table of ratios, each of two things timed in turn in this process, on one thread;
memory is of fresh processes. Takes about four minutes on one core.
"""

import os
import platform
from statistics import median
from time import perf_counter
from typing import NamedTuple

import numpy as np
import torch
from sklearn.ensemble import ExtraTreesClassifier
from threadpoolctl import threadpool_limits

from benchmarks import peers
from benchmarks.datasets import load
from benchmarks.peers import distilled, student
from benchmarks.timing import interleaved, peak_growth, ratio
from skdistill import MLPStudent

#: Gradient steps and epochs of the nets whose training is timed.
N_STEPS, N_EPOCHS = 1_000, 16
#: Rows of the training whose memory is measured, and of the largest prediction.
N_MEMORY_ROWS, N_MANY_ROWS = 200_000, 1_000_000


class Line(NamedTuple):
    """One line of the table.

    Parameters
    ----------
    what, against : str
        The two that are compared.

    times : tuple of str
        What each took.

    figure, bar : float
        What came out and what is asked for.

    at_least : bool
        Whether the figure should not be below the bar, or not above it.

    unit : str
        "x" for ratios.
    """

    what: str
    against: str
    times: tuple
    figure: float
    bar: float
    at_least: bool
    unit: str = "x"

    def verdict(self):
        """Say whether the bar is met."""
        met = self.figure >= self.bar if self.at_least else self.figure <= self.bar
        return "yes" if met else "no"


# -- prediction ------------------------------------------------------------------------


def _took(times, what, against, unit):
    name = {1e6: "us", 1e3: "ms", 1: "s"}[unit]
    return tuple(f"{median(times[n]) * unit:.3g} {name}" for n in (what, against))


def faster(times, what, against, bar, unit):
    """Line on how many times faster `what` is than `against`."""
    took, figure = _took(times, what, against, unit), ratio(times, against, what)
    return Line(what, against, took, figure, bar, True)


def slower(times, what, against, bar, unit):
    """Line on how many times the time of `against` `what` takes."""
    took, figure = _took(times, what, against, unit), ratio(times, what, against)
    return Line(what, against, took, figure, bar, False)


def one_row(models):
    """Answer one row, and what a DistilledClassifier adds to it."""
    calls = {
        name: lambda model=model, row=row: model.predict_proba(row)
        for name, (model, row) in models.items()
    }
    times = interleaved(calls, rounds=40, number=50)
    yield faster(times, "MLPStudent", "MLPClassifier", 5, 1e6)
    yield faster(times, "MLPStudent", "skorch", 12, 1e6)
    yield faster(times, "MLPStudent, DataFrame", "MLPClassifier, DataFrame", 5, 1e6)
    yield faster(times, "LogisticStudent", "LogisticRegression", 5, 1e6)
    what, against = "DistilledClassifier", "its student"
    pairs = zip(times[what], times[against], strict=True)
    added = 1e6 * median(a - b for a, b in pairs)
    took = _took(times, what, against, 1e6)
    yield Line(what, against, took, added, 2, False, "us more")


def batch(models, X):
    """Answer many rows."""
    students = (models[name][0] for name in ("MLPStudent", "LogisticStudent"))
    times = interleaved(peers.batch_answers(*students, X), rounds=60)
    for name in ("MLPStudent", "LogisticStudent"):
        yield slower(times, name, f"{name}'s arithmetic", 1.2, 1e3)


# -- training --------------------------------------------------------------------------


class TimedStudent(MLPStudent):
    """Student that keeps the time of its own fits."""

    spent = []

    def fit_soft_targets(self, X, soft_targets, **params):
        """Fit, and keep the seconds."""
        start = perf_counter()
        super().fit_soft_targets(X, soft_targets, **params)
        self.spent.append(perf_counter() - start)
        return self


def training(X, y, P):
    """Fit nets to the same length."""
    calls = peers.fits(X, y, P, n_steps=N_STEPS, n_epochs=N_EPOCHS)
    times = interleaved(calls, rounds=5)
    yield slower(times, "MLPStudent, steps", "bare torch", 1.3, 1)
    yield faster(times, "MLPStudent, epochs", "skorch", 2.3, 1)
    yield faster(times, "MLPStudent, epochs", "MLPClassifier", 1, 1)
    yield faster(times, "skorch net as a student", "skorch", 1, 1)


def overhead(X, y, P):
    """Fit a DistilledClassifier around a default student, and time both."""
    for labels, what in ((y, "with y"), (None, "without y")):
        classes = None if labels is not None else np.unique(y)
        model = distilled(TimedStudent(random_state=0))
        start = perf_counter()
        model.fit(X, labels, soft_targets=P, classes=classes)
        total, own = perf_counter() - start, TimedStudent.spent[-1]
        yield Line(
            f"DistilledClassifier, {what}", "its student's own fit",
            (f"{total:.3g} s", f"{own:.3g} s"), 100 * (total / own - 1), 5, False,
            "% more",
        )  # fmt: skip


# -- memory ----------------------------------------------------------------------------


def _synthetic(n_rows):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_rows, peers.N_FEATURES))
    y = rng.integers(0, peers.N_CLASSES, n_rows)
    return X, y


def _soft_targets(n_rows):
    return np.random.default_rng(1).dirichlet(np.ones(peers.N_CLASSES), n_rows)


def plain_fit():
    """Return a call that fits an MLPStudent on labels."""
    X, y = _synthetic(N_MEMORY_ROWS)
    student(20).fit(X[:1000], y[:1000])
    return lambda: student(100).fit(X, y)


def distilled_fit():
    """Return a call that fits it within a DistilledClassifier on soft targets."""
    X, y = _synthetic(N_MEMORY_ROWS)
    P = _soft_targets(len(X))
    few = slice(None, 1000)
    distilled(student(20)).fit(X[few], y[few], soft_targets=P[few])
    return lambda: distilled(student(100)).fit(X, y, soft_targets=P)


def many_rows():
    """Return a call that answers a million rows."""
    X, y = _synthetic(N_MANY_ROWS)
    model = student(20).fit(X[:1000], y[:1000])
    model.predict_proba(X[:5000])
    return lambda: model.predict_proba(X)


def memory():
    """Peaks of fresh processes, beyond what was there before the call."""
    here = "benchmarks.ratios"
    fit, plain = (peak_growth(here, name) for name in ("distilled_fit", "plain_fit"))
    yield Line(
        f"DistilledClassifier, {N_MEMORY_ROWS:,} rows: peak", "MLPStudent on labels",
        (f"{fit / 1e6:.0f} MB", f"{plain / 1e6:.0f} MB"), fit / plain, 2, False,
    )  # fmt: skip
    result = 8 * N_MANY_ROWS * peers.N_CLASSES
    many = peak_growth(here, "many_rows")
    yield Line(
        f"MLPStudent, {N_MANY_ROWS:,} rows: peak", "the result alone",
        (f"{many / 1e6:.0f} MB", f"{result / 1e6:.0f} MB"), many / result, 1.2, False,
    )  # fmt: skip


# -- table -----------------------------------------------------------------------------


def table(groups):
    """Lay groups of lines out as text, best read with a fixed width."""
    rows = [("", "against", "took", "against", "ratio", "asked for", "holds")]
    for title, lines in groups:
        rows += [
            (title, *[""] * 6),
            *(("  " + row[0], *row[1:]) for row in map(_cells, lines)),
        ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    )


def _cells(line):
    unit = line.unit if line.unit == "x" else f" {line.unit}"
    sign = ">=" if line.at_least else "<="
    figure, bar = f"{line.figure:.3g}{unit}", f"{sign} {line.bar:g}{unit}"
    return line.what, line.against, *line.times, figure, bar, line.verdict()


def machine():
    """Name the machine and the versions that the figures belong to."""
    import sklearn

    return (
        f"{platform.machine()}, {os.cpu_count()} cores, one thread used; Python "
        f"{platform.python_version()}, numpy {np.__version__}, scikit-learn "
        f"{sklearn.__version__}, torch {torch.__version__}"
    )


def measure():
    """Measure everything."""
    X, y = load("letter")
    forest = ExtraTreesClassifier(100, bootstrap=True, oob_score=True, random_state=0)
    P = forest.fit(X, y).oob_decision_function_
    models = peers.one_row_models(X, y, P)
    yield "One row", one_row(models)
    yield "10,000 rows", batch(models, X[:10_000].copy())
    yield "Training", training(X, y, P)
    yield "What DistilledClassifier adds to a fit", overhead(X, y, P)
    yield "Memory", memory()


def main():
    """Measure everything and print the table."""
    torch.set_num_threads(1)
    print(machine())
    with threadpool_limits(1):
        print(table([(title, list(lines)) for title, lines in measure()]))


if __name__ == "__main__":
    main()
