"""Does choosing which texts to ask beat asking any? Strategies at equal calls.

    python -m benchmarks.selection [--seeds 3] [--rows 6000]

A pool without labels, a teacher that costs (a linear model on words and character
n-grams, fitted on all rows: it stands for one that knows), a student (TF-IDF and
LogisticStudent, on soft targets). The student begins with 100 random answers and
chooses the next ones by itself: up to 200, 400 and 800. Printed are, on rows set aside,
accuracy and cross-entropy from the teacher in nats, and the paired difference from
asking at random.
"""

import argparse

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline, make_union

from benchmarks.datasets import load
from skdistill import LogisticStudent
from skdistill.transfer import select_for_labelling

TEXTS = ("sentences", "clothing", "clothing_recommend", "fine_foods", "vader")
STRATEGIES = ("random", "uncertainty", "disagreement", "diversity", "auto")
BUDGETS = (100, 200, 400, 800)
#: Members of the committee, each fitted on a bootstrap sample of the answers.
N_MEMBERS = 4


def make_teacher():
    """Return a linear model on words and character n-grams."""
    return make_pipeline(
        make_union(
            TfidfVectorizer(sublinear_tf=True, min_df=2),
            TfidfVectorizer(
                analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, min_df=2
            ),
        ),
        LogisticRegression(C=5.0, max_iter=500),
    )


def fit_student(X, P, classes):
    """Fit the student on answers."""
    return LogisticStudent().fit_soft_targets(X, P, classes=classes)


def run(X, P, X_test, P_test, y_test, classes, strategy, seed):
    """Ask in rounds; return accuracy and cross-entropy after each."""
    rng = np.random.RandomState(seed)
    known = rng.permutation(len(P))[: BUDGETS[0]]
    scores = []
    for budget in (*BUDGETS[1:], None):
        student = fit_student(X[known], P[known], classes)
        Q = student.predict_proba(X_test)
        right = np.mean(classes[Q.argmax(axis=1)] == y_test)
        loss = -np.mean((P_test * np.log(np.maximum(Q, 1e-12))).sum(axis=1))
        scores.append((right, loss))
        if budget is None:
            return np.array(scores)
        if strategy == "disagreement":
            draws = [rng.choice(known, len(known)) for _ in range(N_MEMBERS)]
            student = [fit_student(X[draw], P[draw], classes) for draw in draws]
        rest = np.setdiff1d(np.arange(len(P)), known)
        chosen = select_for_labelling(
            student, X[rest], budget - len(known), strategy=strategy, random_state=rng
        )
        known = np.append(known, rest[chosen])


def compare(name, *, n_seeds, n_rows):
    """Return scores of shape (n_strategies, n_seeds, n_budgets, 2) on one text set."""
    X, y = load(name)
    if len(y) > n_rows:
        X, y = load(name, n_rows=n_rows)
    teacher = make_teacher().fit(X, y)
    result = []
    for seed in range(n_seeds):
        X_pool, X_test, _, y_test = train_test_split(
            X, y, test_size=0.25, stratify=y, random_state=seed
        )
        vectors = TfidfVectorizer(sublinear_tf=True, min_df=2).fit(X_pool)
        data = (
            vectors.transform(X_pool), teacher.predict_proba(X_pool),
            vectors.transform(X_test), teacher.predict_proba(X_test),
            y_test, teacher.classes_,
        )  # fmt: skip
        result.append([run(*data, strategy, seed) for strategy in STRATEGIES])
    return np.swapaxes(result, 0, 1)


def main(arguments=None):
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=6_000)
    parser.add_argument("--texts", nargs="+", default=TEXTS, choices=TEXTS)
    given = parser.parse_args(arguments)
    heads = "".join(f"{f'{budget} answers':>18}" for budget in BUDGETS)
    for name in given.texts:
        scores = compare(name, n_seeds=given.seeds, n_rows=given.rows)
        print(f"{name}: accuracy / cross-entropy, mean of {given.seeds} splits")
        print(f"{'':14}{heads}")
        for strategy, one in zip(STRATEGIES, scores, strict=True):
            cells = [f"{a:.3f} / {loss:.3f}" for a, loss in one.mean(axis=0)]
            print(f"{strategy:14}" + "".join(f"{cell:>18}" for cell in cells))
        gain = (scores[-1] - scores[0])[:, 1:, 0]
        print(
            f"auto against random: {gain.mean():+.3f} accuracy, better in "
            f"{np.sum(gain > 0)} of {gain.size} pairs\n"
        )


if __name__ == "__main__":
    main()
