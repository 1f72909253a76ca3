"""How a fitted student answers for the estimator that fitted it."""

from math import isfinite

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import assert_all_finite
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

#: From so many numbers on, what a check costs beside the answer is its memory.
MANY_CELLS = 1 << 16


def _student_has(method):
    def check(self):
        student = getattr(self, "student_", self.student)
        return student is None or hasattr(student, method)  # the default ones have it

    return check


class StudentHolder(ClassifierMixin, BaseEstimator):
    """Base of estimators that hold a fitted `student_`.

    A subclass has `predict_proba`, which gets the student from `_student_for`. It sets
    `classes_`, `_met_no_missing` (whether rows with missing values are refused) and,
    last of all, `student_`.
    """

    def predict(self, X):
        """Most probable class of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or list of str
            Rows.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Labels out of `classes_`.
        """
        P = self.predict_proba(X)
        return self.classes_.take(P.argmax(axis=1))

    def predict_log_proba(self, X):
        """Logarithms of the probabilities of the classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or list of str
            Rows.

        Returns
        -------
        log_P : ndarray of shape (n_samples, n_classes)
        """
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def _student_for(self, X):
        """Return the fitted student, if it may be asked about such rows.

        Where the teacher takes no missing values, the student met none, and would
        answer such rows by accident. Only arrays are looked at: to look through a data
        frame takes as long as an answer.
        """
        try:
            student = self.student_
        except AttributeError:
            check_is_fitted(self)
            raise
        if self._met_no_missing and type(X) is np.ndarray and X.dtype.kind == "f":
            # A sum of squares that is finite takes a microsecond and clears all cells;
            # of many cells that do not lie in order it would make a copy.
            if X.size > MANY_CELLS or not isfinite(np.vdot(X, X)):
                assert_all_finite(X, input_name="X")
        return student

    def __sklearn_is_fitted__(self):
        """Tell whether all of a fit has happened."""
        return "student_" in vars(self)


class StudentAnswers(StudentHolder):
    """Base of estimators whose fitted `student_` alone answers."""

    def predict_proba(self, X):
        """Probabilities of the classes, by the student.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or list of str
            Rows.

        Returns
        -------
        P : ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`; rows sum to 1.
        """
        return self._student_for(X).predict_proba(X)

    def predict_log_proba(self, X):
        """Logarithms of the probabilities of the classes, by the student.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or list of str
            Rows.

        Returns
        -------
        log_P : ndarray of shape (n_samples, n_classes)
        """
        student = self._student_for(X)
        if hasattr(student, "predict_log_proba"):
            return student.predict_log_proba(X)
        return super().predict_log_proba(X)

    @available_if(_student_has("decision_function"))
    def decision_function(self, X):
        """Scores of the student, where it has them.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        scores : ndarray of shape (n_samples,) or (n_samples, n_classes)
        """
        return self._student_for(X).decision_function(X)
