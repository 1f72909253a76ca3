"""The ways soft targets reach an estimator that was written for labels or numbers.

Each route fits a student on `Rows` and returns ``(classifier, n_rows_fed)``. Which one
a student takes is decided in `_feeding`.
"""

import importlib
import inspect

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp
from sklearn.base import clone
from sklearn.model_selection import train_test_split
from sklearn.multioutput import MultiOutputRegressor
from sklearn.utils.validation import has_fit_parameter

from skdistill.students._adapter import SoftStudentAdapter
from skdistill.students._copies import (
    BOOSTERS,
    copies_of,
    draw,
    evaluation_params,
    expand,
    rows_set_aside,
    settings_for_copies,
    stopping_settings,
    takes_validation,
    weight_factor,
)
from skdistill.students._rows import mro_names, tags_of, take

#: Probability mass of a row that may be dropped when it is expanded.
TOLERANCE = 0.01
#: Probabilities below this one count as it before their logarithm is regressed.
LOGIT_EPS = 1e-3
#: Part, and largest number, of the rows on which the scale of logits is fitted.
SCALE_FRACTION, MAX_SCALE_ROWS, MIN_SCALE_ROWS = 0.2, 5_000, 20
#: The scale is sought in this range.
SCALE_RANGE = 0.05, 20.0

#: Parameters that weigh classes, as scikit-learn and CatBoost call them.
CLASS_WEIGHTS = ("class_weight", "class_weights")
#: Regressors that make of probabilities what the classifier makes of labels.
TWINS = {
    "DecisionTreeClassifier": ("sklearn.tree", "DecisionTreeRegressor"),
    "ExtraTreeClassifier": ("sklearn.tree", "ExtraTreeRegressor"),
    "RandomForestClassifier": ("sklearn.ensemble", "RandomForestRegressor"),
    "ExtraTreesClassifier": ("sklearn.ensemble", "ExtraTreesRegressor"),
    "KNeighborsClassifier": ("sklearn.neighbors", "KNeighborsRegressor"),
    "RadiusNeighborsClassifier": ("sklearn.neighbors", "RadiusNeighborsRegressor"),
}


# -- native ----------------------------------------------------------------------------


def fit_native(student, rows, *, classes, validation, temperature):
    """Let a student learn from soft targets itself, by its `fit_soft_targets`."""
    takes = inspect.signature(student.fit_soft_targets).parameters
    params = {}
    if rows.weight is not None and "sample_weight" in takes:
        params["sample_weight"] = rows.weight
    if validation is not None and "validation" in takes:
        params["validation"] = (validation.X, validation.P, validation.weight)
    if takes_temperature(student):
        params["temperature"] = temperature
    student.fit_soft_targets(rows.X, rows.P, classes=classes, **params)
    return as_classifier(student, classes), len(rows)


def takes_temperature(student):
    """Tell whether a student undoes the temperature of its targets itself."""
    method = getattr(student, "fit_soft_targets", None)
    return method is not None and "temperature" in inspect.signature(method).parameters


# -- labelled copies -------------------------------------------------------------------


def fit_expanded(student, rows, *, classes, validation, rng, tolerance=TOLERANCE):
    r"""Fit on rows (x_i, class k) of weight :math:`w_i p_{ik}`.

    Exact wherever the loss is linear in the target (cross-entropy, Gini, counts): the
    objective, its gradient and its Hessian are those of the soft loss.
    """
    original = clone(student)
    rows = _with_class_weight(student, rows, classes)
    copies = expand(rows, tolerance)
    if validation is not None:
        validation = validation.X, expand(validation, tolerance)
    return _fit_copies(student, original, rows, copies, classes, validation, rng)


def fit_sampled(student, rows, *, classes, rng):
    """Fit on labels that are drawn from the soft targets."""
    original = clone(student)
    rows = _with_class_weight(student, rows, classes)
    return _fit_copies(student, original, rows, draw(rows, rng), classes, None, rng)


def _fit_copies(student, original, rows, copies, classes, validation, rng):
    """Fit on copies of rows; `validation` is a pair (X, copies of its rows) or None."""
    n_samples, n_copies = len(rows), len(copies)
    copied = n_copies > n_samples
    codes_only = bool(mro_names(student) & BOOSTERS)
    if takes_validation(student, n_samples):
        copies, validation = _split_copies(student, rows, copies, validation, rng)
    else:
        validation = None

    # Settings that mean on copies what they meant on rows; class weights are in them.
    before = student.get_params(deep=True)
    changes = {name: None for name in CLASS_WEIGHTS if before.get(name) is not None}
    if copied or codes_only or validation is not None:
        changes |= stopping_settings(
            student, n_samples, has_validation=validation is not None
        )
    if copied:
        changes |= settings_for_copies(
            student, n_samples, n_copies, uniform=rows.is_uniform
        )
    student.set_params(**changes)

    # Labels and weights of the copies, for training and for early stopping.
    met, y = np.unique(copies.codes, return_inverse=True)
    params = {}
    if copies.weight is not None and (copied or rows.weight is not None):
        factor = weight_factor(student, n_samples, n_copies) if copied else 1.0
        params["sample_weight"] = copies.weight * factor
    if validation is not None:
        params |= _evaluation(student, *validation, classes, met)
    X = copies_of(rows.X, copies, n_samples)
    student.fit(X, y if codes_only else classes[met][y], **params)
    if not codes_only:  # what was learned stays, the settings are the user's again
        student.set_params(**{name: before[name] for name in changes})
    answer = as_classifier(student, classes, columns=met, original=original)
    return answer, len(copies)


def _split_copies(student, rows, copies, validation, rng):
    """Copies to train on and (X, copies) to stop by: no row has copies in both."""
    if validation is not None:
        return copies, validation
    aside = rows_set_aside(student, len(rows), rng)
    if aside is None:
        return copies, None
    held = aside[copies.at]
    return copies.where(~held), (rows.X, copies.where(held))


def _evaluation(student, X, copies, classes, met):
    """Fit parameters that hand over the copies to stop by, of classes that are met."""
    copies = copies.where(np.isin(copies.codes, met))
    return evaluation_params(
        student,
        take(X, copies.at),
        np.searchsorted(met, copies.codes),
        classes[copies.codes],
        copies.weight,
    )


def _with_class_weight(student, rows, classes):
    """Fold a student's class weights into the rows, where they keep their meaning."""
    params = student.get_params(deep=False)
    for name in CLASS_WEIGHTS:
        rows = rows.reweighted(params.get(name), classes)
    return rows


# -- regression ------------------------------------------------------------------------


def fit_probabilities(student, rows, *, classes):
    """Fit a regressor, or the regressor that a classifier's twin is, on P."""
    original = clone(student)
    if type(student).__name__ in TWINS:
        student, rows = twin(student, rows, classes)
    columns = _columns(rows)
    P = rows.P[:, columns]
    regressor = _regressor_of(student, rows, P[:, 1] if len(columns) == 2 else P)
    answer = SoftStudentAdapter.around(
        regressor,
        "probabilities",
        classes,
        columns=columns,
        default=np.average(rows.P, axis=0, weights=rows.weight),
        original=original,
    )
    return answer, len(rows)


def twin(student, rows, classes):
    r"""Make the regressor that learns from P what a classifier learns from labels.

    Gini impurity of a node is K times the mean variance of its probabilities, plus a
    term that no split changes, so that both choose the same splits; thresholds on
    impurity are divided by K.

    Parameters
    ----------
    student : classifier
        Named in `TWINS`.

    rows : Rows
        Rows with soft targets.

    classes : ndarray of shape (n_classes,)
        Labels of the columns.

    Returns
    -------
    regressor : unfitted estimator

    rows : Rows
        With the student's class weights folded in.
    """
    module, name = TWINS[type(student).__name__]
    regressor = getattr(importlib.import_module(module), name)()
    params = student.get_params(deep=False)
    rows = rows.reweighted(params.pop("class_weight", None), classes)
    params.pop("outlier_label", None)  # rows without neighbours get the mean of P
    if "criterion" in params:
        params["criterion"] = "squared_error"
        for threshold in ("ccp_alpha", "min_impurity_decrease"):
            params[threshold] /= max(2, len(rows.met))
    return regressor.set_params(**params), rows


def fit_logits(student, rows, *, classes, validation, rng):
    """Fit a regressor on centred log-probabilities, then one scale on other rows.

    Least squares pulls logits towards their mean (Ba and Caruana 2014 match logits
    likewise); the scale that minimises cross-entropy to the soft targets undoes it.
    """
    original = clone(student)
    columns = _columns(rows)
    if validation is None:
        train, validation = _split_for_scale(rows, rng)
        scale = 1.0
        if validation is not None:
            trial = _regressor_of(clone(student), train, _logits(train.P[:, columns]))
            scale = fit_scale(trial.predict(validation.X), validation, columns)
        regressor = _regressor_of(student, rows, _logits(rows.P[:, columns]))
    else:
        regressor = _regressor_of(student, rows, _logits(rows.P[:, columns]))
        scale = fit_scale(regressor.predict(validation.X), validation, columns)
    answer = SoftStudentAdapter.around(
        regressor, "logits", classes, columns=columns, scale=scale, original=original
    )
    return answer, len(rows)


def _columns(rows):
    """Columns to regress: those of the classes that were met."""
    return rows.met if len(rows.met) > 1 else np.arange(rows.P.shape[1])


def _logits(P):
    """Centred log-probabilities; one column, half the log-odds, for two classes."""
    Z = np.log(np.maximum(P, LOGIT_EPS))
    Z -= Z.mean(axis=1, keepdims=True)
    return Z[:, 1] if Z.shape[1] == 2 else Z


def _split_for_scale(rows, rng):
    n_test = min(int(SCALE_FRACTION * len(rows)), MAX_SCALE_ROWS)
    if n_test < MIN_SCALE_ROWS:
        return rows, None
    train, test = train_test_split(
        np.arange(len(rows)), test_size=n_test, random_state=rng
    )
    return rows.take(np.sort(train)), rows.take(np.sort(test))


def fit_scale(Z, rows, columns):
    """Factor of logits whose softmax has the lowest cross-entropy to soft targets.

    Parameters
    ----------
    Z : ndarray of shape (n_samples, n_columns) or (n_samples,)
        Answers of a regressor of logits.

    rows : Rows
        The rows that it answered; it was not fitted on them.

    columns : ndarray of int of shape (n_columns,)
        Classes that the regressor knows.

    Returns
    -------
    scale : float
    """
    Z = np.asarray(Z, dtype=np.float64)
    if Z.ndim == 1 or Z.shape[1] == 1:
        Z = np.column_stack([-Z.ravel(), Z.ravel()])
    P = rows.P[:, columns]
    fit, mass = (P * Z).sum(axis=1), P.sum(axis=1)

    def loss(log_scale):
        s = np.exp(log_scale)
        return np.dot(rows.mass, mass * logsumexp(s * Z, axis=1) - s * fit)

    found = minimize_scalar(loss, bounds=np.log(SCALE_RANGE), method="bounded")
    return float(np.exp(found.x))


def _regressor_of(student, rows, target):
    """Fit a regressor, one for each column where it takes a single one."""
    params = {}
    if rows.weight is not None and has_fit_parameter(student, "sample_weight"):
        params["sample_weight"] = rows.weight
    if target.ndim == 2 and not _takes_columns(student):
        student = MultiOutputRegressor(student)
    return student.fit(rows.X, target, **params)


def _takes_columns(student):
    # MLPRegressor does, but its tags do not say so.
    names = mro_names(student)
    tags = tags_of(student)
    return "MLPRegressor" in names or (
        tags is not None and tags.target_tags.multi_output
    )


# -- what comes back -------------------------------------------------------------------


def as_classifier(fitted, classes, *, columns=None, original=None):
    """Return a fitted classifier of some of the classes as one of all of them.

    Parameters
    ----------
    fitted : fitted classifier
        With `predict_proba`.

    classes : ndarray of shape (n_classes,)
        Labels that the result answers.

    columns : ndarray of int, default=None
        Position in `classes` of each column that `fitted` answers. None reads its
        `classes_`.

    original : estimator, default=None
        The unfitted student, for clones.

    Returns
    -------
    classifier : fitted classifier
        `fitted` itself where it answers `classes` already.
    """
    known = getattr(fitted, "classes_", None)
    if known is not None and _same_labels(known, classes):
        return fitted
    if columns is None:
        columns = np.arange(len(classes))
        if known is not None:
            columns = np.flatnonzero(np.isin(classes, known))
    return SoftStudentAdapter.around(
        fitted, "classifier", classes, columns=columns, original=original
    )


def _same_labels(a, b):
    """Tell whether labels agree in kind too: 0 and False compare equal."""
    return np.array_equal(a, b) and np.asarray(a).dtype.kind == b.dtype.kind
