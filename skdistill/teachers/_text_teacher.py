"""What the teachers of texts share: reading texts, and correcting raw answers."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from skdistill._compat import validate_parameter_constraints
from skdistill.soft_targets import calibrate
from skdistill.teachers._chat_scoring import correct_prior, neutral_answer
from skdistill.teachers._row_keys import row_keys

#: Labelled rows that a calibration takes at least.
FEWEST_LABELLED = 50


class TextTeacher(ClassifierMixin, BaseEstimator):
    """Base of the teachers of texts, whose raw answers need no fit.

    A subclass has `classes_`, the parameter `prior`, and `predict_proba`, which passes
    raw answers through `_corrected`. Its `fit` ends in `_learn_correction`. What must
    not go into pickles it keeps as `_held`.
    """

    def predict(self, X):
        """Most probable label of each text.

        Parameters
        ----------
        X : list of str of length n_samples
            Texts.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Labels out of `classes_`.

        Raises
        ------
        ValueError
            If some text has no usable answer.
        """
        P = self.predict_proba(X)
        silent = np.flatnonzero(np.isnan(P[:, 0]))
        if len(silent):
            raise ValueError(
                f"X must have an answer in each row to be labelled, got none in "
                f"{len(silent)} of {len(P)} rows (first: row {silent[0]}). Use "
                "predict_proba, which gives NaN there, or leave these rows out."
            )
        return self.classes_.take(P.argmax(axis=1))

    # -- correction --------------------------------------------------------------------

    def _learn_correction(self, P, neutral, codes, weight):
        """Keep the prior of raw answers and, given enough labels, a calibration.

        Parameters
        ----------
        P : ndarray of shape (n_samples, n_classes)
            Raw answers.

        neutral : "batch", ndarray of shape (n_classes,) or None
            What the model says for want of evidence: found out of P, or given; None
            leaves the prior as it is.

        codes : ndarray of int of shape (n_samples,) or None
            Position of each row's label.

        weight : ndarray of shape (n_samples,) or None
            Weights of the rows.

        Returns
        -------
        self : TextTeacher
        """
        self.prior_ = read_prior(self.prior, self.classes_, codes, weight)
        if isinstance(neutral, str):
            neutral = neutral_answer(P, self.prior_, weight)
        self.neutral_ = neutral
        vars(self).pop("calibration_", None)
        if codes is not None and len(codes) >= FEWEST_LABELLED:
            P = self._corrected(P)  # by the prior alone, as yet
            self.calibration_ = calibrate(P, codes, sample_weight=weight)
        return self

    def _corrected(self, P):
        """Raw answers with what `fit` found; as they are where it found nothing."""
        if getattr(self, "neutral_", None) is not None:
            P = correct_prior(P, self.neutral_, self.prior_)
        calibration = getattr(self, "calibration_", None)
        return P if calibration is None else calibration(P)

    # -- what scikit-learn asks --------------------------------------------------------

    def _check_params(self):
        """Check the parameters, which may have been set anew since the last call."""
        validate_parameter_constraints(
            self._parameter_constraints,
            self.get_params(deep=False),
            caller_name=type(self).__name__,
        )

    def __getstate__(self):
        """State without what is held open or loaded."""
        return {k: v for k, v in super().__getstate__().items() if k != "_held"}

    def __sklearn_tags__(self):
        """Texts in one dimension; nothing needs to be fitted."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.requires_fit = False
        return tags


def documents_by_key(X):
    """Distinct texts by key, and the keys of all rows.

    Parameters
    ----------
    X : list, array or Series of str
        Texts.

    Returns
    -------
    documents : dict of bytes to str

    keys : list of bytes of length n_samples
    """
    texts = X.tolist() if hasattr(X, "tolist") else X
    texts = texts.to_list() if hasattr(texts, "to_list") else texts
    if isinstance(texts, str) or not isinstance(texts, list | tuple):
        raise TypeError(
            f"X must be a list, an array or a Series of texts, got {type(X).__name__}. "
            "Pass one column of a data frame."
        )
    if not texts:
        raise ValueError("X must hold at least 1 sample, got 0 samples.")
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(
                f"X must hold texts, got {text!r} in row {row}. Leave out missing ones."
            )
    texts = [str(text) for text in texts]
    keys = row_keys(texts)
    return dict(zip(keys, texts, strict=True)), keys


def read_prior(prior, classes, codes, weight):
    """Probabilities of the labels: as given, else shares of labels, else equal.

    Parameters
    ----------
    prior : dict or None
        Probability of each label.

    classes : ndarray of shape (n_classes,)
        Labels.

    codes : ndarray of int of shape (n_samples,) or None
        Position of each row's label.

    weight : ndarray of shape (n_samples,) or None
        Weights of the rows.

    Returns
    -------
    prior : ndarray of shape (n_classes,)

    Raises
    ------
    ValueError
        If `prior` has other labels, or a probability that is not above 0.
    """
    if prior is None and codes is None:
        return np.full(len(classes), 1.0 / len(classes))
    if prior is None:
        # a label that is absent here is rare, not impossible
        counts = np.bincount(codes, weight, minlength=len(classes)) + 0.5
        return counts / counts.sum()
    if set(prior) != set(classes.tolist()) or not all(v > 0 for v in prior.values()):
        raise ValueError(
            f"prior must give each label a probability above 0, got {prior!r} for the "
            f"labels {classes.tolist()!r}."
        )
    given = np.array([prior[label] for label in classes.tolist()], float)
    return given / given.sum()
