"""Feeding soft targets to any estimator, and labels to the same estimator.

Which route a student takes stands in the table of `_rules`; what a route does stands in
`_routes` and `_nets`. Here the two meet, behind the steps of Pipelines.
"""

import inspect
from dataclasses import dataclass, replace

import numpy as np
from sklearn import config_context
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state

from skdistill._compat import num_samples
from skdistill.soft_targets import one_hot
from skdistill.students import _copies, _routes
from skdistill.students._adapter import SoftStudentAdapter
from skdistill.students._copies import BOOSTERS
from skdistill.students._rows import Rows, mro_names
from skdistill.students._rules import (
    answers_probabilities,
    decide,
    find_rule,
    is_a_classifier,
    is_native,
    last_step,
    takes_weights,
)


@dataclass(frozen=True)
class Feed:
    """How a student was fed, and why.

    Parameters
    ----------
    route : {"native", "expand", "regress", "regress_logits", "sample", "labels"}
        Way that the targets took.

    reason : str
        Why this one, in a sentence.

    estimator : str
        Name of the class that was fitted.

    n_rows : int
        Rows with a weight above zero.

    n_rows_fed : int
        Rows that the estimator was fitted on: labelled copies count each.
    """

    route: str
    reason: str
    estimator: str
    n_rows: int
    n_rows_fed: int


# -- what the other rooms call ---------------------------------------------------------


def check_student(student, targets, sample_weight, n_classes):
    """Refuse a student that cannot be fed, before anything costly happens.

    Parameters
    ----------
    student : estimator
        Unfitted student.

    targets : str
        "auto" or the name of a route.

    sample_weight : ndarray of shape (n_samples,) or None
        Weights of the rows.

    n_classes : int
        Number of classes.

    Raises
    ------
    ValueError
        If it cannot be fed, cannot take this route, or would ignore weights. The
        message names the student and what would work.

    TypeError
        If it is a class.
    """
    if isinstance(student, type):
        raise TypeError(
            f"student must be an estimator, got the class {student.__name__}. Make an "
            f"instance of it: {student.__name__}(...)."
        )
    student = last_step(student)
    route, _ = decide(student, targets)
    if route == "native" and not is_native(student):
        from skdistill.students._nets import check_net

        check_net(student, n_classes)
    if sample_weight is not None and not _minds_weights(student, route):
        _refuse_weights(student, sample_weight)


def takes_validation(student, n_samples):
    """Tell whether a student stops early, and by rows that it can be given.

    Parameters
    ----------
    student : estimator
        Unfitted student.

    n_samples : int
        Rows that it is to be fitted on.

    Returns
    -------
    takes_validation : bool
    """
    student = last_step(student)
    if is_native(student):
        takes = inspect.signature(student.fit_soft_targets).parameters
        return "validation" in takes and bool(getattr(student, "early_stopping", False))
    if "NeuralNet" in mro_names(student):
        return student.train_split is not None
    return hasattr(student, "get_params") and _copies.takes_validation(
        student, n_samples
    )


def fit_student(
    student,
    X,
    P,
    *,
    classes,
    sample_weight=None,
    targets="auto",
    temperature=1.0,
    validation=None,
    random_state=None,
):
    """Fit a student on soft targets.

    Parameters
    ----------
    student : estimator
        Fresh and unfitted; its settings may be changed. Every `random_state` parameter
        that is None, at any depth, is set from `random_state`.

    X : array-like of shape (n_samples, n_features) or list of str
        Rows, passed on untouched.

    P : ndarray of shape (n_samples, n_classes)
        Soft targets at temperature 1, rows summing to 1.

    classes : ndarray of shape (n_classes,)
        Sorted labels of the columns of `P`.

    sample_weight : ndarray of shape (n_samples,), default=None
        Weights of the rows. A row of weight 0 counts as absent.

    targets : {"auto", "native", "expand", "regress", "regress_logits", "sample"}, \
            default="auto"
        Route; "auto" follows the table in the user guide.

    temperature : float, default=1.0
        Targets are tempered with it, and the answers raised to its power: both sides of
        the loss are tempered, and predictions are at temperature 1.

    validation : tuple (X, P, sample_weight or None), default=None
        Rows for early stopping, for students that can use them. Never trained on.

    random_state : int, RandomState instance or None, default=None
        Seed.

    Returns
    -------
    classifier : fitted classifier
        With `classes_` equal to `classes` and normalised `predict_proba`.

    feed : Feed
        How it was fed and why.

    Raises
    ------
    ValueError
        As :func:`check_student`.
    """
    classes = np.asarray(classes)
    check_student(student, targets, sample_weight, len(classes))
    rng = _seed(student, random_state)
    rows = _checked_rows(X, P, sample_weight)
    if validation is not None:
        validation = Rows(*validation).without_weightless().tempered(temperature)
    rows = rows.tempered(temperature)
    with _weights_pass():
        return _fit(student, rows, classes, targets, temperature, validation, rng)


def fit_on_labels(student, X, y, *, classes, sample_weight=None, random_state=None):
    """Fit a student on labels: what a user gets without a teacher.

    A classifier is fitted as it is. A regressor gets one-hot targets by the route that
    its kind takes, so do skorch nets; boosters get integer codes.

    Parameters
    ----------
    student : estimator
        Fresh and unfitted; its settings may be changed. Every `random_state` parameter
        that is None, at any depth, is set from `random_state`.

    X : array-like of shape (n_samples, n_features) or list of str
        Rows, passed on untouched.

    y : array-like of shape (n_samples,)
        Labels out of `classes`.

    classes : ndarray of shape (n_classes,)
        Sorted labels to answer.

    sample_weight : ndarray of shape (n_samples,), default=None
        Weights of the rows.

    random_state : int, RandomState instance or None, default=None
        Seed.

    Returns
    -------
    classifier : fitted classifier
        With `classes_` equal to `classes` and normalised `predict_proba`.

    Raises
    ------
    ValueError
        If the student has no `predict_proba` or would ignore weights.
    """
    classes = np.asarray(classes)
    codes = np.searchsorted(classes, y)
    rng = _seed(student, random_state)
    rows = _checked_rows(X, one_hot(codes, len(classes)), sample_weight)
    last = last_step(student)
    as_it_is = hasattr(last, "fit") and is_a_classifier(last)
    if not as_it_is or mro_names(last) & (BOOSTERS | {"NeuralNet"}):
        check_student(student, "auto", rows.weight, len(classes))
        with _weights_pass():
            return _fit(student, rows, classes, "auto", 1.0, None, rng)[0]
    if not answers_probabilities(last):
        raise ValueError(
            f"The student {type(last).__name__} must have predict_proba, got an "
            f"estimator without it. {find_rule(last).remedy}."
        )
    if rows.weight is not None and not takes_weights(last):
        _refuse_weights(last, rows.weight)
    with _weights_pass():
        return _fit_labels(student, rows, classes)


# -- steps -----------------------------------------------------------------------------


def _fit(student, rows, classes, targets, temperature, validation, rng):
    """Feed a student, or the last step of a Pipeline behind its fitted others."""
    if isinstance(student, Pipeline):
        rows, validation = _fit_transformers(student, rows, classes, validation)
        name, last = student.steps[-1]
        last, feed = _fit(last, rows, classes, targets, temperature, validation, rng)
        student.steps = [*student.steps[:-1], (name, last)]
        return student, feed
    route, reason = decide(student, targets)
    if "BaseWeightBoosting" in mro_names(student):
        reason += "; not exact, as its loss is not linear in the target"
    classifier, n_fed = _run(
        route, student, rows, classes, validation, temperature, rng
    )
    feed = Feed(route, reason, _name_of_fed(classifier), len(rows), n_fed)
    if route == "native" and _routes.takes_temperature(student):
        return classifier, feed
    return _at_temperature(classifier, classes, temperature), feed


def _run(route, student, rows, classes, validation, temperature, rng):
    if route == "native":
        if is_native(student):
            return _routes.fit_native(
                student, rows, classes=classes, validation=validation,
                temperature=temperature,
            )  # fmt: skip
        from skdistill.students._nets import fit_net

        return fit_net(student, rows, classes=classes, validation=validation, rng=rng)
    if route == "expand":
        return _routes.fit_expanded(
            student, rows, classes=classes, validation=validation, rng=rng
        )
    if route == "regress":
        return _routes.fit_probabilities(student, rows, classes=classes)
    if route == "regress_logits":
        return _routes.fit_logits(
            student, rows, classes=classes, validation=validation, rng=rng
        )
    return _routes.fit_sampled(student, rows, classes=classes, rng=rng)


def _fit_transformers(pipeline, rows, classes, validation):
    """Fit all but the last step, in place, on the rows as they are.

    Transformers that look at y (SelectKBest, TargetEncoder) get the most probable
    label. A Pipeline whose last step passes rows through keeps `memory` at work.
    """
    name, _ = pipeline.steps[-1]
    head = Pipeline(
        [*pipeline.steps[:-1], (name, "passthrough")],
        memory=pipeline.memory,
        verbose=pipeline.verbose,
    )
    X = head.fit_transform(rows.X, rows.hard_labels(classes))
    pipeline.steps = [*head.steps[:-1], pipeline.steps[-1]]
    if validation is not None:
        validation = replace(validation, X=head.transform(validation.X))
    return replace(rows, X=X), validation


def _fit_labels(student, rows, classes):
    """Fit a classifier, or a Pipeline ending in one, on labels as they are."""
    if isinstance(student, Pipeline):
        rows, _ = _fit_transformers(student, rows, classes, None)
        name, last = student.steps[-1]
        last = _fit_labels(last, rows, classes)
        student.steps = [*student.steps[:-1], (name, last)]
        return student
    params = {} if rows.weight is None else {"sample_weight": rows.weight}
    if not takes_weights(student):
        params = {}
    student.fit(rows.X, classes[rows.P.argmax(axis=1)], **params)
    return _routes.as_classifier(student, classes)


def _at_temperature(classifier, classes, temperature):
    """Make a classifier of tempered targets answer at temperature 1."""
    if temperature == 1:
        return classifier
    if not isinstance(classifier, SoftStudentAdapter):
        classifier = SoftStudentAdapter.around(classifier, "classifier", classes)
    classifier.temperature_ = float(temperature)
    return classifier


def _name_of_fed(classifier):
    if isinstance(classifier, SoftStudentAdapter):
        classifier = classifier.estimator_
    if isinstance(classifier, MultiOutputRegressor):
        classifier = classifier.estimator
    return type(classifier).__name__


def _checked_rows(X, P, sample_weight):
    if sample_weight is not None:
        sample_weight = np.asarray(sample_weight, dtype=np.float64)
        if not (sample_weight > 0).any():
            raise ValueError(
                "sample_weight must be positive for at least one row, got none of "
                f"{num_samples(X)} rows. Leave it out to weigh all rows alike."
            )
    return Rows(X, P, sample_weight).without_weightless()


def _seed(student, random_state):
    """Set every `random_state` that is None, at any depth; return the source."""
    rng = check_random_state(random_state)
    if random_state is None or not hasattr(student, "get_params"):
        return rng
    unset = sorted(
        name
        for name, value in student.get_params(deep=True).items()
        if name.rpartition("__")[2] == "random_state" and value is None
    )
    if unset:
        student.set_params(**{name: rng.randint(2**31 - 1) for name in unset})
    return rng


def _weights_pass():
    """Let weights reach what a meta-estimator holds, without its having to ask.

    Metadata routing is about what a user passes; these weights are the soft targets.
    """
    return config_context(enable_metadata_routing=False)


def _minds_weights(student, route):
    if route == "sample":  # heavier rows are drawn more often
        return True
    if route == "native":
        if not is_native(student):
            return True  # folded into the targets
        return "sample_weight" in inspect.signature(student.fit_soft_targets).parameters
    return takes_weights(student)


def _refuse_weights(student, sample_weight):
    weight = np.asarray(sample_weight)
    weight = weight[weight > 0]  # rows of weight 0 are dropped
    if weight.size and np.ptp(weight) == 0:
        return
    raise ValueError(
        f"sample_weight must not vary for a student that ignores it, got weights for "
        f"{type(student).__name__}. Leave them out, or use a student whose fit takes "
        "sample_weight."
    )
