"""Out-of-fold targets that are given: with the fitted teacher beside them, or alone.

Answers of other rows come from fits that saw the labels of held-out ones. Where the
teacher is there, clones of it label the rows again for the choice; alone nobody can.
Shows by how much the held-out log-loss of the chosen student was too low, in its
standard errors, and the log-loss on test rows.
"""

import argparse
import warnings

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.recipe import rows
from skdistill import DistilledClassifier, MLPStudent

TABLES = ("phoneme", "magic", "california", "banana")
N_ROWS = 2_000


def make_teachers():
    """Teachers of numbers, by name."""
    return {
        "neighbours": make_pipeline(StandardScaler(), KNeighborsClassifier(5)),
        "forest": ExtraTreesClassifier(300, random_state=0),
    }


def make_students():
    """Students that meet no rows but the given ones, by name."""
    return {
        "net": MLPStudent((64, 64)),
        "forest of 20": RandomForestClassifier(20),
    }


def compare(table, teacher, student):
    """Figures with the teacher, and alone: (optimism, test log-loss) each."""
    X, X_test, y, y_test = rows(table, 0, N_ROWS)
    P = cross_val_predict(teacher, X, y, cv=5, method="predict_proba")
    for given in (teacher.fit(X, y), None):
        small = DistilledClassifier(given, student, transfer=None, random_state=0).fit(
            X, y, soft_targets=P
        )
        s = small.summary_
        at = np.flatnonzero(s["chosen"] & (s["metric"] == "log_loss"))[0]
        new = log_loss(y_test, small.predict_proba(X_test), labels=small.classes_)
        yield (new - s["score"][at]) / s["se"][at], new, small.alpha_


def main():
    """Print the table, line by line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", nargs="*", default=TABLES)
    heads = ("with the teacher", "alone")
    print(f"{'':<36}" + "".join(f"{head:>29}" for head in heads))
    heads = ("table", "teacher", "student")
    print("{:<12}{:<12}{:<12}".format(*heads), end="")
    print(2 * f"{'optimism, SE':>14}{'log-loss':>9}{'alpha':>6}")
    better, optimism = [], []
    for table in parser.parse_args().tables:
        for name, teacher in make_teachers().items():
            for kind, student in make_students().items():
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    pair = list(compare(table, teacher, student))
                better.append([new for _, new, _ in pair])
                optimism.append([ahead for ahead, *_ in pair])
                print(f"{table:<12}{name:<12}{kind:<12}", end="")
                print("".join("{:>14.1f}{:>9.3f}{:>6}".format(*one) for one in pair))
    print("median optimism: {:.1f} and {:.1f} SE".format(*np.median(optimism, axis=0)))
    ours, alone = np.array(better).T
    ratio = np.exp(np.log(ours / alone).mean())
    print(
        f"log-loss lower with the teacher on {np.sum(ours < alone)} of {len(ours)}, "
        f"higher on {np.sum(ours > alone)}; ratio {ratio:.3f}"
    )


if __name__ == "__main__":
    main()
