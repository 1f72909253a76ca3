import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.datasets import load_digits, make_classification
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from benchmarks.datasets import load
from skdistill._leak_check import looks_memorised


def halves(X, codes, n_rows=None):
    rows = np.random.RandomState(0).permutation(len(codes))[:n_rows]
    return train_test_split(X[rows], codes[rows], random_state=0, stratify=codes[rows],
                            test_size=0.5)  # fmt: skip


def table(name):
    if name == "digits":
        return halves(*load_digits(return_X_y=True))
    try:
        X, y = load(name)
    except ModuleNotFoundError as error:
        pytest.skip(str(error))
    return halves(X, np.unique(y, return_inverse=True)[1], n_rows=4_000)


MEMORISING = [
    RandomForestClassifier(50, random_state=0),
    ExtraTreesClassifier(50, random_state=0),
    make_pipeline(StandardScaler(), KNeighborsClassifier(1)),
    make_pipeline(StandardScaler(), SVC(gamma=10.0, C=1e6)),
]
HONEST = [
    make_pipeline(StandardScaler(), LogisticRegression()),
    make_pipeline(StandardScaler(), KNeighborsClassifier(15)),
]


def answers(teacher, X, n_classes):
    """Probabilities, or decisions of a machine that gives none."""
    if hasattr(teacher, "predict_proba"):
        return teacher.predict_proba(X)
    return np.eye(n_classes)[teacher.predict(X)]


@pytest.mark.parametrize("name", ["letter", "magic", "phoneme", "digits"])
def test_looks_memorised_tells_own_rows_from_others(name):
    X, X_new, codes, codes_new = table(name)
    n_classes = codes.max() + 1
    for teacher in MEMORISING:
        teacher.fit(X, codes)
        assert looks_memorised(answers(teacher, X, n_classes), codes, X)
        assert not looks_memorised(answers(teacher, X_new, n_classes), codes_new, X_new)


@pytest.mark.parametrize("name", ["letter", "magic", "phoneme"])
def test_looks_memorised_clears_a_teacher_that_cannot_memorise(name):
    X, _, codes, _ = table(name)
    for teacher in HONEST:
        assert not looks_memorised(teacher.fit(X, codes).predict_proba(X), codes, X)


def test_looks_memorised_flags_deep_boosting_and_clears_shallow():
    X, _, codes, _ = table("magic")
    deep = HistGradientBoostingClassifier(
        max_iter=200, max_leaf_nodes=127, early_stopping=False, random_state=0
    )
    shallow = HistGradientBoostingClassifier(max_iter=30, max_depth=3, random_state=0)
    assert looks_memorised(deep.fit(X, codes).predict_proba(X), codes, X)
    assert not looks_memorised(shallow.fit(X, codes).predict_proba(X), codes, X)


def test_looks_memorised_clears_a_teacher_that_is_right_where_it_is_easy():
    X = np.random.default_rng(0).normal(size=(2_000, 4))
    codes = (X[:, 0] > 0).astype(int)
    P = np.c_[X[:, 0] <= 0, X[:, 0] > 0].astype(float)
    near = np.abs(X[:, 0]) < 0.01  # about one row in a hundred is a toss-up
    P[near] = 0.5 + (P[near] - 0.5) * 0.01
    P[near & (X[:, 1] > 0)] = P[near & (X[:, 1] > 0), ::-1]
    assert 0 < np.sum(P.argmax(axis=1) != codes) < 20
    assert not looks_memorised(P, codes, X)


def test_looks_memorised_is_a_function_of_its_seed():
    X, y = make_classification(8_000, flip_y=0.2, random_state=0)
    P = np.eye(2)[y]
    assert [looks_memorised(P, y, X, seed=seed) for seed in (0, 0, 1)] == [True] * 3


# -- kinds of rows ---------------------------------------------------------------------


def noisy_labels(n_rows=600):
    """Numbers of two classes, a third of the labels are wrong."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, 4))
    codes = (X[:, 0] > 0).astype(int)
    honest = 0.25 + 0.5 * np.eye(2)[codes]
    flip = rng.random(n_rows) < 1 / 3
    return X, np.where(flip, 1 - codes, codes), honest


def as_text(X):
    return [" ".join("up" if v > 0 else "down" + str(j) for j, v in enumerate(row))
            for row in X]  # fmt: skip


def with_holes(X):
    X = X.copy()
    X[::3, 1] = np.nan
    return X


def as_categories(X):
    frame = pd.DataFrame(X).rename(columns="x{}".format)
    frame["x1"] = pd.Series(np.where(X[:, 1] > 0, "up", "down")).astype("category")
    frame.loc[::5, "x1"] = None
    return frame


@pytest.mark.parametrize(
    "kind",
    [np.asarray, as_text, with_holes, as_categories, sparse.csr_array, np.float32],
)
def test_looks_memorised_understands_every_kind_of_rows(kind):
    X, codes, honest = noisy_labels()
    assert looks_memorised(np.eye(2)[codes], codes, kind(X))
    assert not looks_memorised(honest, codes, kind(X))


def test_looks_memorised_understands_what_a_pipeline_memorised():
    X, codes, _ = noisy_labels()
    frame = as_categories(X)
    forest = make_pipeline(OrdinalEncoder(), RandomForestClassifier(random_state=0))
    assert looks_memorised(forest.fit(frame, codes).predict_proba(frame), codes, frame)
    words = as_text(X.round(2))
    texts = [f"{w} {a:.2f} {b:.2f}" for w, (a, b) in zip(words, X[:, 2:], strict=True)]
    own = make_pipeline(TfidfVectorizer(), KNeighborsClassifier(1)).fit(texts, codes)
    assert looks_memorised(own.predict_proba(texts), codes, texts)


@pytest.mark.parametrize(
    "X", [[{"a": 1}] * 600, np.zeros((600, 2, 2)), np.array([["a", "b"]] * 600)]
)
def test_looks_memorised_says_no_where_it_cannot_look(X):
    _, codes, _ = noisy_labels()
    assert not looks_memorised(np.eye(2)[codes], codes, X)


@pytest.mark.parametrize("codes", [[0], [0, 1], [1] * 50, list(range(30))])
def test_looks_memorised_says_no_where_there_is_too_little_to_see(codes):
    X = np.random.default_rng(0).normal(size=(len(codes), 2))
    assert not looks_memorised(np.eye(30)[codes], np.array(codes), X)


def test_looks_memorised_survives_classes_of_a_single_row():
    X, codes, _ = noisy_labels()
    codes[:2] = [2, 3]
    assert looks_memorised(np.eye(4)[codes], codes, X)


def test_looks_memorised_forgives_errors_that_nobody_could_learn_by_heart():
    # 200 rows are there twice, with both labels: the best memory fails on half of them.
    X, codes, _ = noisy_labels(1_200)
    X, codes = np.vstack([X, X[:200]]), np.append(codes, 1 - codes[:200])
    P = DecisionTreeClassifier(random_state=0).fit(X, codes).predict_proba(X)
    assert np.sum(P.argmax(axis=1) != codes) == 200
    assert looks_memorised(P, codes, X)
    assert looks_memorised(P, codes, [str(row) for row in X])
    elsewhere = np.arange(1_400) % 7 == 0  # wrong as often, on other rows
    P = np.eye(2)[np.where(elsewhere, 1 - codes, codes)]
    assert np.sum(P.argmax(axis=1) != codes) == 200
    assert not looks_memorised(P, codes, X)
