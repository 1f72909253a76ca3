"""Student and teacher of a cascade: used as they are, or fitted where they are not."""

from typing import NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.utils import get_tags, indexable
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    process_routing,
)
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import has_fit_parameter, validate_data

from skdistill._compat import (
    check_y,
    clone_parametrized,
    num_samples,
    routing_enabled,
    safe_indexing,
)
from skdistill._labelling import check_teacher, is_fitted, with_seed
from skdistill.cascade._gate import RangeDetector
from skdistill.soft_targets import align_columns, check_soft_targets, is_row_aligned

_PARTS = ("student", "teacher", "detector")


class SharedParts:
    """Mixin of estimators whose parts, once fitted, are used as they are.

    Clones share fitted parts by reference, as if they were frozen, and their parameters
    can be neither read nor set from outside.
    """

    def _fitted_parts(self):
        """Parts that are fitted already, by name."""
        parts = {name: getattr(self, name) for name in _PARTS}
        return {name: part for name, part in parts.items() if is_ready(part)}

    def __sklearn_clone__(self):
        """Clone all parameters, but share fitted parts like frozen ones."""
        shared = self._fitted_parts()
        bare = type(self).__new__(type(self))
        vars(bare).update(vars(self), **dict.fromkeys(shared))
        twin = clone_parametrized(bare)
        vars(twin).update(shared)
        return twin

    def get_params(self, deep=True):
        """Get parameters, but none of a fitted part: those cannot be set.

        Parameters
        ----------
        deep : bool, default=True
            Whether to list ``student__...`` and the like, of parts that are not fitted.

        Returns
        -------
        params : dict
            Values by name.
        """
        params = super().get_params(deep=deep)
        if deep:
            fitted = self._fitted_parts()
            for name in [n for n in params if _owner(n) in fitted]:
                del params[name]
        return params

    def set_params(self, **params):
        """Set parameters; those of a fitted part cannot be set.

        Parameters
        ----------
        **params : dict
            Parameters of this estimator and of its parts.

        Returns
        -------
        self : estimator
            The same object.

        Raises
        ------
        ValueError
            For parameters of a part that is fitted: it is used as it is.
        """
        refused = sorted(
            name
            for name in params
            if _owner(name) in _PARTS
            and is_ready(params.get(_owner(name), getattr(self, _owner(name))))
        )
        if refused:
            raise ValueError(
                "Parameters of a fitted student, teacher or detector cannot be set, "
                f"got {refused!r}: what is fitted is used as it is. Pass one that is "
                "not fitted, to have it fitted with other parameters."
            )
        return super().set_params(**params)

    # -- what is fitted here -----------------------------------------------------------

    def _check_parts(self, y, soft_targets):
        """Check student and teacher; list those that are fitted here."""
        check_student(self.student)
        if self.teacher is not None:
            if isinstance(self.teacher, type):
                raise TypeError(
                    "teacher must be an instance of a classifier, got the class "
                    f"{self.teacher.__name__}. Pass {self.teacher.__name__}()."
                )
            check_teacher(self.teacher)
        parts = {"student": self.student, "teacher": self.teacher}
        waiting = [n for n, p in parts.items() if p is not None and not is_ready(p)]
        # a DistilledClassifier learns from a fitted teacher without labels
        needs_y = "teacher" in waiting or not hasattr(self.student, "teacher")
        if waiting and needs_y and y is None:
            raise ValueError(
                f"An unfitted {waiting[0]} requires y to be passed, but the target y "
                "is None. Pass labels, or a student and a teacher that are fitted."
            )
        if soft_targets is not None and "teacher" in waiting:
            raise ValueError(
                "soft_targets must come from the teacher that will answer, got them "
                f"with a teacher that is not fitted: {self.teacher!r}. Pass the fitted "
                "teacher, or leave soft_targets out."
            )
        return waiting

    def _fit_or_take(self, name, rows):
        """Return student or teacher as it is, or a clone fitted on some rows."""
        model = getattr(self, name)
        if model is None or is_ready(model):
            return model
        model = with_seed(clone(model), rows.seed)
        model.fit(
            safe_indexing(rows.X, rows.train),
            None if rows.y is None else rows.y[rows.train],
            **rows.fit_params(name, model, self.teacher),
        )
        check = {"student": check_student, "teacher": check_teacher}[name]
        check(model)
        return model

    def _route(self, waiting, params):
        """Deal out fit parameters to the parts that are fitted here."""
        if not routing_enabled():
            if params:
                raise TypeError(
                    "fit parameters of student and teacher are dealt out by metadata "
                    f"routing, which is off, got {sorted(params)!r}. Turn it on with "
                    "sklearn.set_config(enable_metadata_routing=True), or leave them "
                    "out."
                )
            return {name: {} for name in waiting}
        routed = process_routing(self, "fit", **params)
        named = self._routed_parts()
        return {n: dict(routed[n]["fit"]) if n in named else {} for n in waiting}

    def _routed_parts(self):
        """Student and teacher, where they are fitted here and can be asked."""
        parts = {"student": self.student, "teacher": self.teacher}
        return {
            name: part
            for name, part in parts.items()
            if hasattr(part, "get_metadata_routing") and not is_ready(part)
        }

    # -- what scikit-learn asks --------------------------------------------------------

    def get_metadata_routing(self):
        """Get metadata routing of this object.

        Returns
        -------
        routing : MetadataRouter
            `soft_targets` is this object's own; a student and a teacher that are not
            fitted get what they request.
        """
        router = MetadataRouter(owner=self).add_self_request(self)
        for name, part in self._routed_parts().items():
            to_fit = MethodMapping().add(caller="fit", callee="fit")
            router.add(**{name: part}, method_mapping=to_fit)
        return router

    def __sklearn_tags__(self):
        """Input that student, teacher and detector take."""
        tags = super().__sklearn_tags__()
        detector = RangeDetector() if self.detector == "range" else self.detector
        parts = [p for p in (self.student, self.teacher, detector) if p is not None]
        try:
            inputs = [get_tags(part).input_tags for part in parts]
        except (AttributeError, TypeError):  # no scikit-learn estimator
            return tags
        for name in ("allow_nan", "sparse", "string", "categorical"):
            setattr(tags.input_tags, name, all(getattr(t, name) for t in inputs))
        return tags


class FitRows(NamedTuple):
    """Rows, and which of them student and teacher are fitted on."""

    X: object
    y: np.ndarray | None
    train: np.ndarray
    soft_targets: np.ndarray | None
    routed: dict
    seed: int

    def fit_params(self, name, model, teacher):
        """Fit parameters of the student or teacher, cut to its rows."""
        n_rows = num_samples(self.X)
        params = {
            key: safe_indexing(value, self.train)
            if is_row_aligned(value, n_rows)
            else value
            for key, value in self.routed[name].items()
        }
        takes = has_fit_parameter(model, "soft_targets")
        if name == "student" and takes and self.soft_targets is not None:
            params["soft_targets"] = self.soft_targets[self.train]
            if teacher is not None:
                params["classes"] = teacher.classes_
        return params


def takes_missing(estimator):
    """Tell whether an estimator says that it takes missing values."""
    try:
        return get_tags(estimator).input_tags.allow_nan
    except (AttributeError, TypeError):  # no scikit-learn estimator
        return False


def _owner(name):
    """Part that a nested parameter belongs to, "" for the estimator's own."""
    part, nested, _ = name.partition("__")
    return part if nested else ""


def is_ready(part):
    """Tell whether something is a model that is fitted already."""
    if part is None or isinstance(part, str | type):
        return False
    is_model = hasattr(part, "fit") or hasattr(part, "predict_proba")
    return is_model and is_fitted(part)


def check_rows(estimator, X, y):
    """Check lengths and labels; X stays what it is, in a form that can be indexed."""
    if num_samples(X) == 0:
        raise ValueError(
            "Found array with 0 sample(s) while a minimum of 1 is required by "
            "CascadeClassifier. Pass some rows."
        )
    validate_data(estimator, X, skip_check_array=True)
    X, y = indexable(X, y)
    if y is not None:
        y = check_y(y, estimator=estimator)
        check_classification_targets(y)
    return X, y


def check_student(student):
    """Raise a TypeError that shows the way out if a student gives no probabilities."""
    if isinstance(student, type) or not (
        hasattr(student, "predict_proba")
        # some have it only once they are fitted, and are checked again then
        or (hasattr(type(student), "predict_proba") and not is_ready(student))
    ):
        raise TypeError(
            "student must be a classifier with predict_proba, fitted or with a fit "
            f"method, got {student!r}. Wrap one that has decision_function only in "
            "CalibratedClassifierCV."
        )


def teacher_of(student):
    """Return the fitted teacher that a distilled student keeps."""
    teacher = getattr(student, "teacher_", None)
    if teacher is None:
        raise ValueError(
            "teacher must be given where the student keeps none, got teacher=None and "
            f"student={student!r}. Pass the fitted teacher; a DistilledClassifier "
            "keeps the one that labelled its rows."
        )
    return teacher


def joint_classes(student, teacher, y=None):
    """Labels of both, sorted; one side may know fewer.

    Parameters
    ----------
    student, teacher : fitted classifier
        Have `classes_`.

    y : ndarray or None
        Labels that one of them was fitted on a part of.

    Returns
    -------
    classes : ndarray of shape (n_classes,)
    """
    small, large = sorted(
        (_labels(student, "student"), _labels(teacher, "teacher")), key=len
    )
    if not set(small.tolist()) <= set(large.tolist()):
        raise ValueError(
            "student and teacher must have the same classes, got "
            f"{np.asarray(student.classes_).tolist()!r} and "
            f"{np.asarray(teacher.classes_).tolist()!r}. Fit both on labels of the "
            "same kind (undo a LabelEncoder)."
        )
    return np.unique(large if y is None else np.concatenate([large, y]))


def _labels(model, name):
    labels = getattr(model, "classes_", None)
    if labels is None or np.ndim(labels) != 1:
        raise TypeError(
            f"{name} must have classes_, one label for each column of predict_proba, "
            f"got {model!r}. Set the attribute, or wrap the model in a class that has "
            "it."
        )
    return np.asarray(labels)


def read_answers(P, *, n_samples, labels, classes, name):
    """Check probabilities of a teacher that may have given no answer to some rows.

    Parameters
    ----------
    P : array-like of shape (n_samples, n_labels)
        Probabilities; a row of NaN is no answer.

    n_samples : int
        Number of rows.

    labels, classes : ndarray
        Labels of the columns of `P` and of the result.

    name : str
        How to call `P` in error messages.

    Returns
    -------
    P : ndarray of shape (n_told, n_classes)
        Of the rows that were answered.

    told : ndarray of bool of shape (n_samples,)
        Which they are.
    """
    P = np.asarray(P)
    told = ~absent(P)
    n_lost = n_samples - len(P)  # of another length: the check below says so
    P = check_soft_targets(
        P[told], n_samples=told.sum() + n_lost, n_classes=len(labels), name=name
    )
    return align_columns(P, np.asarray(labels), classes), told


def absent(P):
    """Tell which rows of a table of probabilities are no answer: all NaN."""
    P = np.asarray(P)
    if P.dtype.kind != "f" or P.size == 0:
        return np.zeros(len(P), dtype=bool)
    return np.isnan(P.reshape(len(P), -1)).all(axis=1)
