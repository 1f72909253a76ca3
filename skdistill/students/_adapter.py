"""The one thin wrapper that makes a classifier of whatever a student was fitted as."""

import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skdistill.soft_targets import temper
from skdistill.students._rows import tags_of
from skdistill.students._rules import last_step

#: Smaller answers count as this one where a temperature other than 1 is undone.
POWER_EPS = 1e-12


def model_of(student):
    """Return the estimator inside Pipelines and adapters, fitted where they are."""
    model = last_step(student)
    while isinstance(model, SoftStudentAdapter):
        model = last_step(getattr(model, "estimator_", model.estimator))
    return model


def _scores_all_classes(adapter):
    """Whether an adapter's estimator is a classifier that scores every class."""
    estimator = getattr(adapter, "estimator_", adapter.estimator)
    columns = getattr(adapter, "columns_", None)
    whole = columns is None or len(columns) == len(adapter.classes_)
    kind = getattr(adapter, "kind_", "classifier")
    return kind == "classifier" and whole and hasattr(estimator, "decision_function")


class SoftStudentAdapter(ClassifierMixin, BaseEstimator):
    """Classifier around a fitted regressor, net, or classifier of other columns.

    Feeding puts a student in this adapter only where the student alone is not a
    classifier that answers all classes at temperature 1: a regressor of probabilities
    or log-probabilities, a skorch net, a classifier that met only some of the classes
    or integer codes for them, or a student that was fitted on tempered targets.

    Parameters
    ----------
    estimator : estimator
        What to fit: anything that can be a student.

    Attributes
    ----------
    estimator_ : estimator
        The fitted estimator.

    kind_ : {"classifier", "probabilities", "logits", "net"}
        What `estimator_` answers: `predict_proba`; probabilities or centred
        log-probabilities by `predict`; outputs of a skorch net.

    classes_ : ndarray of shape (n_classes,)
        Labels of the columns of `predict_proba`.

    columns_ : ndarray of int
        Position in `classes_` of each column that `estimator_` answers. Other classes
        get probability 0.

    scale_ : float
        Factor of the log-probabilities (kind "logits"), fitted on held-out rows.

    temperature_ : float
        T that the targets were tempered with; answers are raised to the power T.

    default_ : ndarray of shape (n_classes,)
        Answer where a regressor gives none (all clipped at 0, or no neighbour).

    net_output_ : NetOutput or None
        How rows go into the net and what its module answers (kind "net").

    n_features_in_ : int
        Number of features, where `estimator_` knows it.

    feature_names_in_ : ndarray of str
        Names of features, where `estimator_` knows them.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.neighbors import KNeighborsRegressor
    >>> from skdistill.students._adapter import SoftStudentAdapter
    >>> X, y = load_iris(return_X_y=True)
    >>> student = SoftStudentAdapter(KNeighborsRegressor(10)).fit(X, y)
    >>> student.predict_proba(X[70:71])
    array([[0. , 0.6, 0.4]])
    """

    def __init__(self, estimator):
        self.estimator = estimator

    @classmethod
    def around(
        cls,
        estimator,
        kind,
        classes,
        *,
        columns=None,
        scale=1.0,
        temperature=1.0,
        default=None,
        net_output=None,
        original=None,
    ):
        """Wrap an estimator that is fitted already; see the class's attributes.

        `original` is the student as it was given, before feeding changed its settings
        or its kind: what clones fit.
        """
        n_classes = len(classes)
        self = cls(estimator if original is None else original)
        self.estimator_ = estimator
        self.kind_ = kind
        self.classes_ = np.asarray(classes)
        self.columns_ = np.arange(n_classes) if columns is None else columns
        self.scale_ = float(scale)
        self.temperature_ = float(temperature)
        if default is None:
            default = np.full(n_classes, 1 / n_classes)
        self.default_ = default
        self.net_output_ = net_output
        return self

    def fit(self, X, y, sample_weight=None):
        """Fit a clone of `estimator` on labels.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or list of str
            Rows.

        y : array-like of shape (n_samples,)
            Labels.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of rows.

        Returns
        -------
        self : SoftStudentAdapter
        """
        from skdistill.students._feeding import fit_on_labels

        fitted = fit_on_labels(
            clone(self.estimator),
            X,
            y,
            classes=np.unique(y),
            sample_weight=sample_weight,
        )
        return self._take_over(fitted)

    def fit_soft_targets(self, X, soft_targets, *, classes, sample_weight=None):
        """Fit a clone of `estimator` on soft targets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or list of str
            Rows.

        soft_targets : ndarray of shape (n_samples, n_classes)
            Probabilities.

        classes : ndarray of shape (n_classes,)
            Sorted labels of the columns.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of rows.

        Returns
        -------
        self : SoftStudentAdapter
        """
        from skdistill.students._feeding import fit_student

        fitted, _ = fit_student(
            clone(self.estimator),
            X,
            soft_targets,
            classes=classes,
            sample_weight=sample_weight,
        )
        return self._take_over(fitted)

    def _take_over(self, fitted):
        if not isinstance(fitted, SoftStudentAdapter):
            fitted = self.around(fitted, "classifier", fitted.classes_)
        state = {k: v for k, v in vars(fitted).items() if k != "estimator"}
        self.__dict__.update(state)
        return self

    def predict_proba(self, X):
        """Probabilities of the classes, at temperature 1.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or list of str
            Rows in the form that `estimator_` takes.

        Returns
        -------
        P : ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`; rows sum to 1.
        """
        check_is_fitted(self)
        answer = {
            "classifier": self._from_classifier,
            "probabilities": self._from_probabilities,
            "logits": self._from_logits,
            "net": self._from_net,
        }[self.kind_]
        P = answer(X)
        if self.temperature_ == 1:
            return P
        # temper(P, 1 / T) is P ** T normalised, in logarithms; a class that the
        # estimator never met stays at zero.
        met = np.zeros(P.shape[1], dtype=bool)
        met[self.columns_] = True
        P[:, met] = temper(P[:, met], 1 / self.temperature_, eps=POWER_EPS)
        return P

    @available_if(_scores_all_classes)
    def decision_function(self, X):
        """Scores of the wrapped classifier, raised to temperature 1 like its answers.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or list of str
            Rows in the form that `estimator_` takes.

        Returns
        -------
        scores : ndarray of shape (n_samples,) or (n_samples, n_classes)
        """
        return self.temperature_ * self.estimator_.decision_function(X)

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
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    # -- answers by kind ---------------------------------------------------------------

    def _from_classifier(self, X):
        Q = np.asarray(self.estimator_.predict_proba(X), dtype=np.float64)
        return self._normalised(self._all_columns(Q))

    def _from_probabilities(self, X):
        Q = np.asarray(self.estimator_.predict(X), dtype=np.float64)
        if _is_one_column(Q):  # two classes: the second one's probability
            Q = np.column_stack([1 - Q.ravel(), Q.ravel()])
        return self._normalised(self._all_columns(Q))

    def _from_logits(self, X):
        Z = np.asarray(self.estimator_.predict(X), dtype=np.float64)
        if _is_one_column(Z):
            Z = np.column_stack([-Z.ravel(), Z.ravel()])
        return self._all_columns(softmax(self.scale_ * Z, axis=1))

    def _from_net(self, X):
        return self._all_columns(self.net_output_.probabilities(self.estimator_, X))

    def _all_columns(self, Q):
        if len(self.columns_) == 1:  # one class met: nets answer two columns even then
            Q = np.ones((len(Q), 1))
        if Q.shape[1] == len(self.classes_) and np.array_equal(
            self.columns_, np.arange(Q.shape[1])
        ):
            return Q
        P = np.zeros((Q.shape[0], len(self.classes_)))
        P[:, self.columns_] = Q
        return P

    def _normalised(self, Q):
        Q = np.clip(Q, 0.0, None)  # keeps NaN: a row without an answer
        total = Q.sum(axis=1, keepdims=True)
        silent = ~(total > 0).ravel()
        with np.errstate(invalid="ignore", divide="ignore"):
            P = Q / total
        P[silent] = self.default_
        return P

    # -- what scikit-learn asks --------------------------------------------------------

    @property
    def n_features_in_(self):
        """Number of features of the wrapped estimator."""
        return self.estimator_.n_features_in_

    @property
    def feature_names_in_(self):
        """Feature names of the wrapped estimator."""
        return self.estimator_.feature_names_in_

    def __sklearn_is_fitted__(self):
        """Tell whether an estimator is fitted inside."""
        return hasattr(self, "estimator_")

    def __sklearn_tags__(self):
        """Take over what the wrapped estimator says of its input, field by field."""
        tags = super().__sklearn_tags__()
        inner = tags_of(self.estimator)
        if inner is not None:
            for field in ("sparse", "allow_nan", "string", "categorical"):
                setattr(tags.input_tags, field, getattr(inner.input_tags, field))
        return tags


def _is_one_column(values):
    return values.ndim == 1 or values.shape[1] == 1
