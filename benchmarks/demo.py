"""Turn a slow forest on a real table into a student: ``make demo``.

Prints one table, saves a plot and the student in ``build/demo``.
"""

import math
import pickle
import time
from pathlib import Path

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split

from benchmarks.datasets import load
from skdistill import DistilledClassifier
from skdistill.metrics import (
    agreement,
    expected_calibration_error,
    measure_latency,
    model_size,
)

FOLDER = Path("build") / "demo"
N_TREES = 300
#: Colours that stay apart for colour-blind readers (Okabe and Ito), and in print.
STYLES = {
    "teacher": ("#000000", "s"),
    "teacher, calibrated": ("#999999", "D"),
    "distilled student": ("#0072B2", "o"),
    "labels only": ("#D55E00", "^"),
}


def fit(X, y):
    """Fit the slow teacher and the default student: all settings on "auto"."""
    teacher = ExtraTreesClassifier(N_TREES, n_jobs=-1, random_state=0)
    return DistilledClassifier(teacher, random_state=0).fit(X, y)


def worth(P, y, P_teacher, classes):
    """Return what probabilities are worth on test rows."""
    return {
        "accuracy": accuracy_score(y, classes[P.argmax(axis=1)]),
        "log-loss": log_loss(y, P, labels=classes),
        "agreement": agreement(P_teacher, P),
        "ECE": expected_calibration_error(y, P, classes=classes),
    }


def cost(model, X):
    """Return what a model costs: seconds for one row, bytes on disk."""
    latency = measure_latency(model, X)
    return {"p50": latency["p50"], "p99": latency["p99"], "bytes": model_size(model)}


def table(results):
    """Lay results out as text, best read with a fixed width."""
    lines = [
        f"{'':<20}{'accuracy':>9}{'log-loss':>9}{'agreement':>10}{'ECE':>6}"
        f"{'one row: p50':>14}{'p99':>11}{'on disk':>13}",
        f"{'':<20}{'':>9}{'nats':>9}{'':>10}{'':>6}{'us':>14}{'us':>11}{'bytes':>13}",
    ]
    for name, r in results.items():
        lines.append(
            f"{name:<20}{r['accuracy']:>9.4f}{r['log-loss']:>9.4f}"
            f"{r['agreement']:>10.4f}{r['ECE']:>6.3f}"
            f"{1e6 * r['p50']:>14,.1f}{1e6 * r['p99']:>11,.1f}{r['bytes']:>13,}"
        )
    return "\n".join(lines)


def verdict(results):
    """Say in one sentence what was gained and what was lost."""
    big, small = results["teacher, calibrated"], results["distilled student"]
    plain = results["labels only"]

    def against(other):
        points = 100 * (small["accuracy"] - other["accuracy"])
        nats = small["log-loss"] - other["log-loss"]
        return (
            f"{abs(points):.1f} points of accuracy {_side(points)} and "
            f"{abs(nats):.3f} nats of log-loss {_side(nats)}"
        )

    return (
        f"The distilled student is {big['bytes'] / small['bytes']:,.0f} times smaller "
        f"than its teacher and answers one row {big['p50'] / small['p50']:,.0f} times "
        f"faster; on test rows it is {against(big)} its calibrated teacher, and "
        f"{against(plain)} the same student on labels only."
    )


def _side(difference):
    return "above" if difference >= 0 else "below"


def plot(results, P, y, classes):
    """Draw log-loss against latency, and calibration; return the figure."""
    import matplotlib.pyplot as plt

    fig, (left, right) = plt.subplots(
        1, 2, figsize=(10, 4.4), layout="constrained", width_ratios=(1.15, 1)
    )
    for name, (colour, marker) in STYLES.items():
        r = results[name]
        left.plot(
            1e6 * r["p50"],
            r["log-loss"],
            marker,
            color=colour,
            markersize=11,
            label=name,
        )
        slow = name.startswith("teacher")
        left.annotate(
            f"{name}, {_size(r['bytes'])}",
            (1e6 * r["p50"], r["log-loss"]),
            # Lower where a student may have the same loss: long names would meet.
            xytext=(8, -18) if slow else (10, 0),
            textcoords="offset points",
            ha="right" if slow else "left",
            va="center",
            color=colour if colour != "#999999" else "#555555",
            fontsize=9.5,
        )
        confidence, correct = _reliability(P[name], y, classes)
        right.plot(confidence, correct, marker=marker, color=colour, label=name, ms=6)
    left.set(
        xscale="log",
        xlabel="one row, median of predict_proba (µs, log scale)",
        ylabel="log-loss on test rows (nats)",
        title="Left and down is better",
    )
    left.margins(x=0.12, y=0.15)
    left.set_ylim(bottom=0)
    right.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle=":")
    right.set(
        xlabel="probability of the answer, mean of a bin",
        ylabel="share of answers that are right",
        title="On the dotted line is calibrated",
        xlim=(0, 1.02),
        ylim=(0, 1.02),
    )
    right.legend(frameon=False, loc="lower right")
    for ax in (left, right):
        ax.grid(alpha=0.25)
        ax.spines[["top", "right"]].set_visible(False)
    fig.suptitle("letter: an extra-trees forest and its student", fontsize=12)
    return fig


def _reliability(P, y, classes, n_bins=10):
    """Mean confidence and accuracy in bins of equally many rows."""
    order = np.argsort(P.max(axis=1), kind="stable")
    right = classes[P.argmax(axis=1)] == y
    bins = np.array_split(order, n_bins)
    return (
        [P.max(axis=1)[rows].mean() for rows in bins],
        [right[rows].mean() for rows in bins],
    )


def _size(n_bytes):
    power = min(int(math.log10(n_bytes)) // 3, 3)
    return f"{n_bytes / 1000**power:.3g} {('bytes', 'kB', 'MB', 'GB')[power]}"


def main():
    """Run the demonstration."""
    X, y = load("letter")
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.25, stratify=y, random_state=0
    )
    print(
        f"letter: {X.shape[1]} numbers, {len(np.unique(y))} classes; "
        f"{len(y_train):,} rows to learn from, {len(y_test):,} to test.\n"
        f"Fitting a forest of {N_TREES} trees, out of fold too, and its student ..."
    )
    start = time.perf_counter()
    small = fit(X_train, y_train)
    print(f"done in {time.perf_counter() - start:.0f} s.\n")

    models = {
        "teacher": small.teacher_.set_params(n_jobs=1),
        "distilled student": small.student_,
        "labels only": small.plain_student_,
    }
    P = {name: model.predict_proba(X_test) for name, model in models.items()}
    costs = {name: cost(model, X_test) for name, model in models.items()}
    # The student learned from calibrated probabilities: they are what it is held to.
    P["teacher, calibrated"] = small.calibration_(P["teacher"])
    costs["teacher, calibrated"] = costs["teacher"]
    results = {
        name: worth(P[name], y_test, P["teacher"], small.classes_) | costs[name]
        for name in STYLES
    }
    print(table(results))
    print(
        f"\nChosen on held-out training rows: alpha {small.alpha_:g}, transfer rows "
        f"{small.transfer_!r}.\n\n{verdict(results)}\n"
    )

    FOLDER.mkdir(parents=True, exist_ok=True)
    plot(results, P, y_test, small.classes_).savefig(FOLDER / "letter.png", dpi=150)
    with open(FOLDER / "student.pickle", "wb") as file:
        pickle.dump(small.student_, file)
    print(f"Saved: {FOLDER / 'letter.png'}, {FOLDER / 'student.pickle'}")


if __name__ == "__main__":
    main()
