"""What each calibration is worth: ``python -m benchmarks.calibration``.

Prints, for teachers on real tables, the log-loss (in nats) on 25 % test rows: as the
teacher is, by each method alone, and by what "auto" takes. Methods are fitted to
out-of-fold answers on the other rows.
"""

import argparse

import numpy as np
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks.datasets import load
from skdistill.soft_targets import (
    METHODS,
    calibrate,
    log_loss_rows,
    out_of_fold,
    probability_floor,
    teacher_probabilities,
)

TABLES = ("adult", "california", "letter", "magic", "phoneme", "satimage")
N_ROWS = 8_000


def encoded(model):
    """Put a model behind one-hot columns and scaled, imputed numbers."""
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    categories = OneHotEncoder(handle_unknown="ignore", min_frequency=5)
    columns = make_column_transformer(
        (categories, make_column_selector(dtype_include="category")),
        (numbers, make_column_selector(dtype_exclude="category")),
    )
    return make_pipeline(columns, model)


def make_teachers(is_frame):
    """Return a forest, boosting, and a stack of both with a linear model."""
    forest = RandomForestClassifier(300, random_state=0)
    linear = LogisticRegression(max_iter=1_000)
    linear = encoded(linear) if is_frame else make_pipeline(StandardScaler(), linear)
    boosting = HistGradientBoostingClassifier(
        categorical_features="from_dtype" if is_frame else None, random_state=0
    )
    forest = encoded(forest) if is_frame else forest
    parts = [("forest", forest), ("boosting", boosting), ("linear", linear)]
    stack = StackingClassifier(parts, LogisticRegression(max_iter=1_000))
    return {"forest": forest, "boosting": boosting, "stack": stack}


def compare(teacher, X, codes, X_test, test_codes):
    """Return test log-losses by method, and the name of what "auto" takes."""
    classes = np.unique(codes)
    folds = StratifiedKFold(5, shuffle=True, random_state=0).split(codes, codes)
    P, _ = out_of_fold(teacher, X, codes, classes=classes, splits=list(folds))
    Q = teacher_probabilities(teacher.fit(X, codes), X_test, classes=classes)
    found = {name: calibrate(P, codes, method=name) for name in (*METHODS, "auto")}
    floor = probability_floor(P)
    losses = {
        name: log_loss_rows(f(Q), test_codes, eps=floor).mean()
        for name, f in found.items()
    }
    raw = log_loss_rows(Q, test_codes, eps=floor).mean()
    return {"none": raw, **losses}, found["auto"].method


def main():
    """Print the table, one line a pair of table and teacher."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="*", default=TABLES)
    tables = parser.parse_args().tables
    names = ("none", *METHODS, "auto")
    print(f"{'table':<12}{'teacher':<10}" + "".join(f"{n:>12}" for n in names))
    for name in tables:
        X, y = load(name)
        if len(y) > N_ROWS:
            X, y = load(name, n_rows=N_ROWS)
        codes = np.unique(y, return_inverse=True)[1]
        X, X_test, codes, test_codes = train_test_split(
            X, codes, test_size=0.25, random_state=0, stratify=codes
        )
        for kind, teacher in make_teachers(hasattr(X, "iloc")).items():
            losses, taken = compare(teacher, X, codes, X_test, test_codes)
            figures = "".join(f"{losses[n]:>12.4f}" for n in names)
            print(f"{name:<12}{kind:<10}{figures}  {taken}", flush=True)


if __name__ == "__main__":
    main()
