"""Rows with soft targets, on their way to a student."""

import warnings
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from sklearn.utils import get_tags

from skdistill._compat import safe_indexing
from skdistill.soft_targets import temper


@dataclass(frozen=True)
class Rows:
    """Rows and what a student is to learn of them.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...)
        Rows in the form that the student takes.

    P : ndarray of shape (n_samples, n_classes)
        Soft targets; each row sums to 1.

    weight : ndarray of shape (n_samples,) or None
        Weights of the rows.
    """

    X: object
    P: np.ndarray
    weight: np.ndarray | None = None

    def __len__(self):
        return len(self.P)

    def take(self, at):
        """Return the rows at given positions."""
        weight = None if self.weight is None else self.weight[at]
        return Rows(take(self.X, at), self.P[at], weight)

    @property
    def mass(self):
        """Weight of each row."""
        return np.ones(len(self)) if self.weight is None else self.weight

    @property
    def is_uniform(self):
        """Whether all rows weigh alike."""
        return self.weight is None or np.ptp(self.weight) == 0

    @property
    def met(self):
        """Columns of the classes that some row has a probability of."""
        return np.flatnonzero(self.P.any(axis=0))

    def without_weightless(self):
        """Drop rows of weight zero: they count as absent."""
        if self.weight is None or self.weight.all():
            return self
        return self.take(np.flatnonzero(self.weight))

    def tempered(self, temperature):
        """Soften the targets."""
        return replace(self, P=temper(self.P, temperature))

    def reweighted(self, class_weight, classes):
        """Fold class weights into targets and weights: :math:`w_i p_{ik} c_k`.

        Parameters
        ----------
        class_weight : dict, list, str or None
            As the student takes it. A str starting with "balanced" gives each class
            the same total weight, counted in probabilities and not in rows.

        classes : ndarray of shape (n_classes,)
            Labels of the columns.
        """
        if class_weight is None:
            return self
        if isinstance(class_weight, str):
            total = self.mass @ self.P
            fair = total.sum() / len(self.met)
            factor = fair / np.where(total > 0, total, fair)
        elif isinstance(class_weight, dict):
            factor = np.array([class_weight.get(c, 1.0) for c in classes.tolist()])
        else:
            factor = np.asarray(class_weight, dtype=np.float64)
        Q = self.P * factor
        total = Q.sum(axis=1)
        P = np.divide(Q, total[:, None], where=total[:, None] > 0, out=self.P.copy())
        return replace(self, P=P, weight=self.mass * total).without_weightless()

    def hard_labels(self, classes):
        """Most probable label of each row, for whatever needs a label.

        Where one class is the most probable everywhere, a row takes the class that it
        has more of than the average row: a label that never changes says nothing.
        """
        codes = self.P.argmax(axis=1)
        if len(codes) and np.ptp(codes) == 0:
            relative = (self.P - self.P.mean(axis=0)).argmax(axis=1)
            codes = relative if np.ptp(self.P, axis=0).any() else codes
        return classes[codes]


def take(X, at):
    """Rows at given positions; X is never converted to another container."""
    if sparse.issparse(X) and X.format not in ("csr", "csc"):
        X = X.tocsr()  # the other formats cannot be indexed
    return safe_indexing(X, at)


def tags_of(estimator):
    """scikit-learn's tags of an estimator; None for what has none."""
    with warnings.catch_warnings():
        # Third parties with tags of the old kind: nothing that a user can mend.
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return get_tags(estimator)
        except AttributeError:
            return None


def mro_names(estimator):
    """Names of an estimator's classes: third parties are recognised, not imported."""
    return {cls.__name__ for cls in type(estimator).__mro__}
