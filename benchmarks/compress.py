"""What a student loses when its file must fit into fewer bytes.

    python -m benchmarks.compress [--table letter] [--seed 0]

An MLPStudent((64, 64)) is fitted on the calibrated targets of ExtraTrees, rounded to
int8 and compressed. Beside it stands a student that was fitted anew with the hidden
layers that compression came to. Accuracy and log-loss are on test rows.
"""

import argparse
import os

import numpy as np
from sklearn.base import clone
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.model_selection import train_test_split

from benchmarks.datasets import load
from skdistill import DistilledClassifier, MLPStudent
from skdistill.deploy import compress
from skdistill.metrics import model_size

SHARES = (0.8, 0.6, 0.5, 0.4)


def score(name, model, X, y):
    """Print one line."""
    P = model.predict_proba(X)
    codes = np.searchsorted(model.classes_, y)
    loss = -np.log(np.maximum(P[np.arange(len(y)), codes], 1e-15)).mean()
    n_bytes = model_size(model, format="onnx-int8")
    sizes = "-".join(map(str, np.ravel(model.hidden_layer_sizes)))
    accuracy = np.mean(P.argmax(axis=1) == codes)
    print(
        f"{name:34} {sizes:>10} {n_bytes:8,d} {accuracy:9.4f} {loss:9.4f}", flush=True
    )
    return n_bytes


def main(arguments=None):
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", default="letter")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    X, y = load(given.table)
    X, X_test, y, y_test = train_test_split(
        X, y, test_size=0.25, stratify=y, random_state=given.seed
    )
    teacher = ExtraTreesClassifier(200, n_jobs=1, random_state=given.seed)
    student = MLPStudent((64, 64), encoding="robust")
    model = DistilledClassifier(
        teacher, student, alpha=0.5, transfer=None, random_state=given.seed
    ).fit(X, y)
    # The teacher's out-of-fold answers are gone; the student's own are calibrated.
    fitted = model.student_
    print(f"{'':34} {'hidden':>10} {'bytes':>8} {'accuracy':>9} {'log-loss':>9}")
    whole = score("distilled, weights in int8", fitted, X_test, y_test)
    for share in SHARES:
        small = compress(
            fitted, X, max_bytes=int(share * whole), max_loss_increase=1.0,
            random_state=given.seed,
        )  # fmt: skip
        score(f"compressed to {share:.0%}", small, X_test, y_test)
        anew = clone(model).set_params(
            student__hidden_layer_sizes=small.hidden_layer_sizes
        )
        score("  fitted anew, same layers", anew.fit(X, y).student_, X_test, y_test)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
