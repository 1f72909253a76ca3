"""What our own students share: checks of the input, and the way a row is answered."""

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from skdistill._compat import check_sample_weight, num_samples
from skdistill._frames import as_frame
from skdistill.soft_targets import check_soft_targets, one_hot
from skdistill.students._table import TableEncoder, is_plain_table

#: Numbers in one block of a large prediction: bounds the memory, stays in the cache.
BLOCK_SIZE = 1 << 18

#: A sum of squares below this means: finite, and sound to square again after scaling.
SOUND = 1e200

#: Stands for "y is not part of this call", where None would be a mistake of the user.
_ABSENT = object()

_QUICK_TYPES = (np.dtype(np.float64), np.dtype(np.float32))


class SoftTargetClassifier(ClassifierMixin, BaseEstimator):
    """Base of the students that learn from soft targets themselves.

    A subclass has `_fit_encoded` (learn from checked rows, with `encoder_` fitted) and
    `_logits` (answer rows that are encoded already), names the kinds of sparse input
    it takes in `_accept_sparse`, and the scaling of its inputs in `_scaling`.
    """

    _accept_sparse = False
    _scaling = "robust"

    def _fit_labels(self, X, y, sample_weight):
        X, y = self._check_rows(X, y, reset=self._begin_fit())
        classes, codes = np.unique(check_labels(y), return_inverse=True)
        if len(classes) < 2:
            raise ValueError(
                "y must hold at least two classes, got one class: "
                f"{classes.tolist()!r}. Add rows of another class, or pass soft "
                "targets and classes to fit_soft_targets."
            )
        weight = check_weight(sample_weight, X)
        return self._fit_checked(X, one_hot(codes, len(classes)), weight, classes)

    def _fit_soft(self, X, soft_targets, classes, sample_weight, validation=None):
        classes = check_classes(classes)
        X = self._check_rows(X, reset=self._begin_fit())
        P = check_soft_targets(
            soft_targets, n_samples=num_samples(X), n_classes=len(classes)
        )
        weight = check_weight(sample_weight, X)
        return self._fit_checked(X, P, weight, classes, validation)

    def _begin_fit(self):
        """Forget the last fit; tell whether the input's width and names are new.

        From here on a fit that fails leaves an unfitted object, not half of two fits.
        """
        self.__dict__.pop("_quick_width", None)
        return True

    def _fit_checked(self, X, P, weight, classes, validation=None):
        """Fit encoder and model; only then does anything answer as fitted."""
        self.encoder_ = self._fit_encoder(X, weight)
        if validation is not None:
            validation = self._check_validation(validation, len(classes))
        self._fit_encoded(X, P, weight, classes, validation)
        self.classes_ = classes
        self._set_quick_width()
        return self

    def _fit_encoder(self, X, weight):
        if sparse.issparse(X):
            return None
        encoder = TableEncoder(
            scaling=self._scaling, max_categories=self.max_categories
        )
        return encoder.fit(X, weight)

    def _check_validation(self, validation, n_classes):
        if not isinstance(validation, tuple) or len(validation) not in (2, 3):
            raise TypeError(
                "validation must be a tuple (X, soft_targets) or (X, soft_targets, "
                f"sample_weight), got {_describe(validation)}. Pass None to let the "
                "student set rows aside itself."
            )
        X, P, weight = (*validation, None)[:3]
        X = self._check_rows(X, reset=False)
        P = check_soft_targets(
            P,
            n_samples=num_samples(X),
            n_classes=n_classes,
            name="The soft targets in validation",
        )
        return X, P, check_weight(weight, X)

    def _set_quick_width(self):
        """Width of the arrays that skip validation, or -1 for none.

        A model fitted on a data frame validates every array: scikit-learn's warning on
        missing feature names must not be lost.
        """
        encoder = self.encoder_
        quick = not hasattr(self, "feature_names_in_") and (
            encoder is None
            or (encoder.safe_ and not encoder.categorical_ and not encoder.indicators_)
        )
        self._quick_width = self.n_features_in_ if quick else -1

    # -- input -------------------------------------------------------------------------

    def _check_rows(self, X, y=_ABSENT, *, reset):
        """Validate rows, and y where it is given, as scikit-learn does.

        Returns
        -------
        X : ndarray of float64, sparse CSR matrix or narwhals DataFrame
            A frame only where the model knows, or meets in `fit`, categories.

        y : array-like
            Only where y is given.
        """
        asked = {} if y is _ABSENT else {"y": y}
        categorical = not reset and self.encoder_ and self.encoder_.categorical_
        frame = None if isinstance(X, np.ndarray) else as_frame(X)
        if categorical and frame is None:
            raise TypeError(
                f"X must be a data frame, as {type(self).__name__} was fitted on one "
                f"with categorical columns, got {type(X).__name__}. Pass the columns "
                "under the names they had in fit."
            )
        if frame is not None and (categorical or (reset and not is_plain_table(frame))):
            return self._check_mixed(X, frame, asked, reset)
        # A model fitted on sparse rows knows no centres to put for missing values.
        refuse_nan = sparse.issparse(X) or (not reset and self.encoder_ is None)
        return validate_data(
            self,
            X,
            **asked,
            reset=reset,
            accept_sparse=self._accept_sparse,
            dtype=np.float64,
            ensure_all_finite=True if refuse_nan else "allow-nan",
        )

    def _check_mixed(self, X, frame, asked, reset):
        validate_data(self, X, **asked, reset=reset, skip_check_array=True)
        if len(frame) == 0:
            raise ValueError(
                f"Found array with 0 sample(s) (shape={frame.shape!r}) while a minimum "
                f"of 1 is required by {type(self).__name__}."
            )
        if not asked:
            return frame
        check_consistent_length(frame, asked["y"])
        return frame, asked["y"]

    def _encode(self, X):
        """Encode validated rows."""
        if self.encoder_ is None:
            return X
        if sparse.issparse(X):
            # No value is missing in sparse rows: the indicators' columns are empty.
            shape = (X.shape[0], self.encoder_.n_features_out_)
            return sparse.csr_matrix((X.data, X.indices, X.indptr), shape=shape)
        return self.encoder_.transform(X)

    # -- answers -----------------------------------------------------------------------

    def _decision(self, X):
        """Logits of shape (n_samples, n_columns) for rows as the user gives them."""
        try:
            width = self._quick_width
        except AttributeError:
            check_is_fitted(self)
            raise
        if (
            type(X) is np.ndarray
            and X.dtype in _QUICK_TYPES
            and X.ndim == 2
            and X.shape[1] == width
            and X.shape[0] > 0
            and float(np.vdot(X, X)) < SOUND
        ):
            if X.shape[0] * width <= BLOCK_SIZE:
                if self.encoder_ is not None:
                    X = self.encoder_.scale(X)
                return self._logits(X)
            return self._in_blocks(X)
        return self._in_blocks(self._check_rows(X, reset=False))

    def _in_blocks(self, X):
        n_samples = X.shape[0]
        step = max(1, BLOCK_SIZE // max(1, X.shape[1]))
        if n_samples <= step:
            return self._logits(self._encode(X))
        first = self._logits(self._encode(X[:step]))
        out = np.empty((n_samples, first.shape[1]))
        out[:step] = first
        for start in range(step, n_samples, step):
            part = X[start : start + step]
            out[start : start + step] = self._logits(self._encode(part))
        return out

    def predict_proba(self, X):
        """Probabilities of the classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        P : ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`; rows sum to 1.
        """
        z = self._two_sided(self._decision(X))
        if z.shape[0] == 1:
            # The same arithmetic on one dimension: reductions cost half.
            row = z[0]
            row = np.exp(row - np.maximum.reduce(row))
            row /= np.add.reduce(row)
            return row[np.newaxis]
        z = z - np.maximum.reduce(z, axis=1)[:, np.newaxis]
        np.exp(z, out=z)
        z /= np.add.reduce(z, axis=1)[:, np.newaxis]
        return z

    def predict_log_proba(self, X):
        """Logarithms of the probabilities of the classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        log_P : ndarray of shape (n_samples, n_classes)
            Finite also where a probability is too small for a float.
        """
        z = self._two_sided(self._decision(X))
        z = z - z.max(axis=1, keepdims=True)
        return z - np.log(np.exp(z).sum(axis=1, keepdims=True))

    def predict(self, X):
        """Most probable class of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Labels out of `classes_`.
        """
        z = self._two_sided(self._decision(X))
        return self.classes_.take(z.argmax(axis=1))

    def _two_sided(self, z):
        """One column of logits per class."""
        if z.shape[1] > 1:
            return z
        return np.concatenate([np.zeros_like(z), z], axis=1)

    def __sklearn_is_fitted__(self):
        """Tell whether all of a fit has happened."""
        return "_quick_width" in self.__dict__

    def __sklearn_tags__(self):
        """Missing values are taken; sparse input where the subclass says so."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = False
        tags.input_tags.sparse = bool(self._accept_sparse)
        return tags


# -- checks ----------------------------------------------------------------------------


def _describe(value):
    kind = type(value).__name__
    return f"a {kind} of length {len(value)}" if isinstance(value, tuple) else kind


def check_labels(y):
    """Return labels as one dimension; refuse what is not a classification target."""
    y = column_or_1d(y, warn=True)
    check_classification_targets(y)
    return y


def label_codes(y, classes):
    """Position of each label in sorted `classes`; refuse labels that are not there."""
    known = np.isin(y, classes)
    if not known.all():
        raise ValueError(
            f"y must hold labels among the classes {classes.tolist()!r}, got "
            f"{np.unique(y[~known]).tolist()!r} too. Begin again with a new student "
            "and all classes."
        )
    return np.searchsorted(classes, y)


def check_classes(classes):
    """Return `classes` as a sorted array of at least two distinct labels."""
    if classes is None:
        raise TypeError(
            "classes must be an array of the labels of the soft targets' columns, got "
            "None. Pass the teacher's classes_."
        )
    classes = np.asarray(classes)
    if classes.ndim != 1 or len(classes) < 2:
        raise ValueError(
            "classes must be a list of at least two labels, got "
            f"{classes.tolist()!r}. One class leaves nothing to learn."
        )
    if not np.array_equal(np.unique(classes), classes):
        raise ValueError(
            f"classes must be sorted and distinct, got {classes.tolist()!r}. Sort them "
            "with np.unique and put the columns of the soft targets in the same order."
        )
    return classes


def check_weight(sample_weight, X):
    """Return weights of the rows of X, not all zero; ones for None."""
    n_samples = num_samples(X)
    if sample_weight is None:
        return np.ones(n_samples)
    # Ahead of scikit-learn's own check, which knows no remedy.
    if np.ndim(sample_weight) == 1 and not np.any(np.asarray(sample_weight)):
        raise ValueError(
            "sample_weight must be positive for at least one row, got zeros only. "
            "Leave it out to weigh all rows alike."
        )
    return check_sample_weight(
        sample_weight,
        np.empty((n_samples, 0)),
        dtype=np.float64,
        ensure_non_negative=True,
    )
