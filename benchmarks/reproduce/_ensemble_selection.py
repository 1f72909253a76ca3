"""Ensemble selection (Caruana et al., 2004): the teacher of Bucila's experiments."""

import warnings
from functools import partial

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import (
    AdaBoostClassifier,
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier


def rmse(P, is_second):
    """Root of the mean squared error of a second column to labels 0 and 1."""
    return float(np.sqrt(np.mean((P[:, 1] - is_second) ** 2)))


class EnsembleSelection(ClassifierMixin, BaseEstimator):
    """Mean of the models of a library that do best together on rows held back.

    Models are added one at a time and may be added again; each time the one is taken
    with which the mean has the lowest root mean squared error. Two classes.

    Parameters
    ----------
    library : list of classifier
        Unfitted.

    n_rounds : int, default=100
        Additions; the best of the means on the way is kept.

    validation_fraction : float, default=0.2
        Part of the rows held back from the library.

    random_state : int, default=0
        Of that split.
    """

    def __init__(self, library, n_rounds=100, validation_fraction=0.2, random_state=0):
        self.library = library
        self.n_rounds = n_rounds
        self.validation_fraction = validation_fraction
        self.random_state = random_state

    def fit(self, X, y):
        """Fit the library and select from it."""
        self.classes_, codes = np.unique(y, return_inverse=True)
        X_fit, X_held, y_fit, held = train_test_split(
            X, codes, test_size=self.validation_fraction, stratify=codes,
            random_state=self.random_state,
        )  # fmt: skip
        with warnings.catch_warnings():
            # Of course: the nets of the library have a fixed length.
            warnings.simplefilter("ignore", ConvergenceWarning)
            models = [clone(model).fit(X_fit, y_fit) for model in self.library]
        answers = np.stack([model.predict_proba(X_held) for model in models])
        counts = select(answers, held, self.n_rounds)
        chosen = np.flatnonzero(counts)
        self.models_ = [models[i] for i in chosen]
        self.weights_ = counts[chosen] / counts.sum()
        return self

    def predict_proba(self, X):
        """Weighted mean of what the selected models answer."""
        answers = [model.predict_proba(X) for model in self.models_]
        return np.tensordot(self.weights_, np.stack(answers), axes=1)

    def predict(self, X):
        """Class of highest probability."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def select(answers, is_second, n_rounds):
    """Greedy selection with replacement.

    Parameters
    ----------
    answers : ndarray of shape (n_models, n_rows, 2)

    is_second : ndarray of shape (n_rows,)
        Labels 0 and 1.

    n_rounds : int

    Returns
    -------
    counts : ndarray of int of shape (n_models,)
        How often each model is in the best of the means met.
    """
    counts = np.zeros(len(answers), dtype=int)
    total = np.zeros(answers.shape[1:])
    best, best_counts = np.inf, counts
    for n in range(1, n_rounds + 1):
        errors = [rmse((total + answer) / n, is_second) for answer in answers]
        i = int(np.argmin(errors))
        counts[i] += 1
        total += answers[i]
        if errors[i] < best:
            best, best_counts = errors[i], counts.copy()
    return best_counts


def make_library(smoke=False):
    """Return unfitted forests, boosting, neighbours, kernels and nets."""
    if smoke:
        return [_on_table(RandomForestClassifier(20, random_state=0))]
    scaled = partial(_on_table, scale=True)
    tree = DecisionTreeClassifier(max_depth=10, random_state=0)
    boosted = AdaBoostClassifier(tree, n_estimators=150, random_state=0)
    return [
        _on_table(RandomForestClassifier(300, random_state=0)),
        _on_table(ExtraTreesClassifier(300, random_state=0)),
        _on_table(HistGradientBoostingClassifier(max_iter=300, random_state=0)),
        _on_table(
            HistGradientBoostingClassifier(
                learning_rate=0.05, max_leaf_nodes=8, random_state=0
            )
        ),
        _on_table(CalibratedClassifierCV(boosted, cv=2, ensemble=False)),
        *(scaled(KNeighborsClassifier(k, weights="distance")) for k in (4, 15)),
        *(
            scaled(CalibratedClassifierCV(SVC(C=C, gamma=g), cv=3, ensemble=False))
            for C, g in ((1, 0.02), (3, 0.2), (10, 0.1), (10, 0.2), (30, 0.4))
        ),
        *(
            scaled(
                MLPClassifier(
                    (256,), alpha=alpha, max_iter=150, tol=0, n_iter_no_change=150,
                    random_state=0,
                )
            )
            for alpha in (0.003, 0.03, 1.0)
        ),
    ]  # fmt: skip


def _on_table(model, scale=False):
    """Put a model behind the encoding of categories, missing cells and scales."""
    numbers = (
        make_pipeline(SimpleImputer(), StandardScaler()) if scale else "passthrough"
    )
    encoder = make_column_transformer(
        (
            OneHotEncoder(handle_unknown="ignore", sparse_output=False),
            make_column_selector(dtype_include="category"),
        ),
        remainder=numbers,
    )
    return make_pipeline(encoder, model)
