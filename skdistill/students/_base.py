"""What our own students share: checks of the input, and the way a row is answered."""

from contextlib import suppress

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
from skdistill.students._quick import is_quick_array, is_sound, read_frame
from skdistill.students._table import is_plain_table

#: Numbers in the widest layer of one block of a large prediction: bounds the memory,
#: and stays in the cache.
BLOCK_SIZE = 1 << 17

#: Stands for "y is not part of this call", where None would be a mistake of the user.
_ABSENT = object()


class SoftTargetClassifier(ClassifierMixin, BaseEstimator):
    """Base of the students that learn from soft targets themselves.

    A subclass has `_fit_encoded` (learn from checked rows, with `encoder_` fitted),
    `_logits` (answer rows that are encoded already, in a new array), `_widest` (of its
    layers) and `_new_encoder`, and names the kinds of sparse input it takes in
    `_accept_sparse`.
    """

    _accept_sparse = False

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

    def _fit_soft(
        self, X, soft_targets, classes, sample_weight, validation=None, **training
    ):
        classes = check_classes(classes)
        X = self._check_rows(X, reset=self._begin_fit())
        P = check_soft_targets(
            soft_targets, n_samples=num_samples(X), n_classes=len(classes)
        )
        weight = check_weight(sample_weight, X)
        return self._fit_checked(X, P, weight, classes, validation, **training)

    def _begin_fit(self):
        """Forget the last fit; tell whether the input's width and names are new.

        From here on a fit that fails leaves an unfitted object, not half of two fits.
        """
        self.__dict__.pop("_quick_width", None)
        return True

    def _fit_checked(self, X, P, weight, classes, validation=None, **training):
        """Fit encoder and model; only then does anything answer as fitted."""
        self.encoder_ = self._fit_encoder(X, weight)
        if validation is not None:
            validation = self._check_validation(validation, len(classes))
        self._fit_encoded(X, P, weight, classes, validation, **training)
        self.classes_ = classes
        self._set_quick()
        return self

    def _fit_encoder(self, X, weight):
        if sparse.issparse(X):
            return None
        return self._new_encoder().fit(X, weight)

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

    def _set_quick(self):
        """Say which rows skip validation: arrays by width, data frames by names.

        A model fitted on a data frame validates every array: scikit-learn's warning on
        missing feature names must not be lost.
        """
        encoder = self.encoder_
        names = getattr(self, "feature_names_in_", None)
        self._quick_names = None if names is None else names.tolist()
        self._n_block = max(1, BLOCK_SIZE // self._widest())
        quick = encoder is None or (encoder.safe_ and not encoder.categorical_)
        self._quick_width = self.n_features_in_ if quick and names is None else -1

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
        refuse_words(self, X)
        if frame is not None and frame.implementation.is_pandas():
            X = _without_na(frame.to_native())
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
        if sparse.issparse(X) and self.encoder_.scaling is not None:
            return self.encoder_.transform(X.toarray())
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
        if is_quick_array(X, width) and is_sound(X, self._n_block):
            encoder = self.encoder_
            if X.shape[0] == 1 and not (encoder and encoder.indicators_):
                # On one dimension the same arithmetic takes a sixth less.
                return self._logits(self._encode_sound(X[0]))[np.newaxis]
            return self._in_blocks(X, self._encode_sound)
        if self._quick_names is not None:
            found = read_frame(X, self._quick_names, self.encoder_)
            if found is not None:
                return self._answer_frame(*found)
        return self._in_blocks(self._check_rows(X, reset=False), self._encode)

    def _answer_frame(self, values, levels):
        if levels:
            return self._logits(self.encoder_.encode(values, levels))
        sound = self.encoder_.safe_ and is_sound(values, self._n_block)
        return self._in_blocks(values, self._encode_sound if sound else self._encode)

    def _encode_sound(self, X):
        """Encode finite numbers of sound size."""
        encoder = self.encoder_
        if encoder is None:
            return X
        return encoder.transform(X) if encoder.indicators_ else encoder.scale(X)

    def _in_blocks(self, X, encode):
        """Logits of checked rows, in bounded memory besides the result."""
        n_samples, n_block = X.shape[0], self._n_block
        if n_samples <= n_block:
            return self._logits(encode(X))
        out = None
        for start in range(0, n_samples, n_block):
            z = self._logits(encode(X[start : start + n_block]))
            if out is None:
                out = np.empty((n_samples, z.shape[1]))
            out[start : start + n_block] = z
        return out

    def predict_proba(self, X):
        """Probabilities of the classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), data frame or list of str
            Rows, as in `fit`.

        Returns
        -------
        P : ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`; rows sum to 1.
        """
        z = self._two_sided(self._decision(X))
        if z.shape[0] == 1:
            # The same arithmetic on one dimension: reductions cost half.
            row = z[0]
            row -= np.maximum.reduce(row)
            np.exp(row, out=row)
            row /= np.add.reduce(row)
            return z
        z -= np.maximum.reduce(z, axis=1)[:, np.newaxis]
        np.exp(z, out=z)
        z /= np.add.reduce(z, axis=1)[:, np.newaxis]
        return z

    def predict_log_proba(self, X):
        """Logarithms of the probabilities of the classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), data frame or list of str
            Rows, as in `fit`.

        Returns
        -------
        log_P : ndarray of shape (n_samples, n_classes)
            Finite also where a probability is too small for a float.
        """
        z = self._two_sided(self._decision(X))
        z -= z.max(axis=1, keepdims=True)
        z -= np.log(np.exp(z).sum(axis=1, keepdims=True))
        return z

    def predict(self, X):
        """Most probable class of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), data frame or list of str
            Rows, as in `fit`.

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


def refuse_words(student, X):
    """Raise an error that shows the way out if an array holds words."""
    if not isinstance(X, np.ndarray) or X.ndim != 2 or X.dtype.kind not in "OUS":
        return
    with suppress(TypeError):  # scikit-learn says what is wrong with those
        try:
            X.astype(np.float64)
        except ValueError as error:
            raise ValueError(
                f"X must hold numbers, got an array with words ({error}). Pass a data "
                f"frame, of which {type(student).__name__} takes text and categorical "
                "columns, or encode them, as by OneHotEncoder in a Pipeline."
            ) from error


def check_weight(sample_weight, X):
    """Return weights of the rows of X, not all zero; ones for None."""
    n_samples = num_samples(X)
    if sample_weight is None:
        return np.ones(n_samples)
    # Ahead of scikit-learn's own check, which knows no remedy.
    given = np.asarray(sample_weight)
    if given.ndim == 1 and not given.any():
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


def _without_na(X):
    """Return a frame with NaN for what is missing in columns of objects.

    scikit-learn cannot read pandas.NA there.
    """
    if np.dtype(object) not in X.dtypes.tolist():
        return X
    return X.where(X.notna(), np.nan)
