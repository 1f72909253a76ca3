"""Steps between a teacher and its labels: which classes, which folds, which columns."""

import warnings

import numpy as np
from sklearn.base import clone
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    StratifiedGroupKFold,
    StratifiedKFold,
    check_cv,
)
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from skdistill._compat import get_feature_names, num_features, num_samples
from skdistill._frames import as_frame, shown

#: Folds of the out-of-fold labelling with cv="auto".
N_FOLDS = 5


# -- the teacher -----------------------------------------------------------------------


def is_fitted(teacher):
    """Tell whether a teacher is used as it is.

    `__sklearn_is_fitted__` decides, else scikit-learn's check_is_fitted, else a
    `classes_` attribute; an object with none of these is fitted by us if it can be.

    Raises
    ------
    TypeError
        If the object has neither a fitted state nor a fit method.
    """
    while isinstance(teacher, FrozenEstimator):  # it holds objects of any kind
        teacher = teacher.estimator
    if hasattr(teacher, "__sklearn_is_fitted__"):
        return bool(teacher.__sklearn_is_fitted__())
    if hasattr(teacher, "__sklearn_tags__") and hasattr(teacher, "fit"):
        try:
            check_is_fitted(teacher)
        except NotFittedError:
            return _has_classes(teacher)
        # a skorch net older than 1.4 is born with attributes that look fitted
        return bool(getattr(teacher, "initialized_", True))
    if hasattr(teacher, "fit"):  # somebody else's, which check_is_fitted refuses
        return _has_classes(teacher)
    if _has_classes(teacher) or hasattr(teacher, "predict_proba"):
        return True
    raise TypeError(
        "teacher must be a classifier with predict_proba, fitted or with a fit method, "
        f"got {teacher!r}. Pass a fitted model as FrozenEstimator(model)."
    )


def _has_classes(teacher):
    try:
        return getattr(teacher, "classes_", None) is not None
    except Exception:  # a property of somebody else's class may raise anything
        return False


def share_fitted(teachers):
    """Return the same list with fitted teachers as they are, and others cloned."""
    return [
        teacher if is_fitted(teacher) else clone(teacher, safe=False)
        for teacher in teachers
    ]


def with_seed(estimator, seed):
    """Set every `random_state` parameter that is None."""
    if hasattr(estimator, "get_params") and not isinstance(estimator, type):
        names = [
            name
            for name, value in estimator.get_params(deep=True).items()
            if value is None and name.rpartition("__")[2] == "random_state"
        ]
        if names:
            estimator.set_params(**dict.fromkeys(names, seed))
    return estimator


def check_teacher(teacher):
    """Raise a TypeError that shows the way out if a teacher gives no probabilities."""
    if hasattr(teacher, "predict_proba"):
        return
    if not is_fitted(teacher) and hasattr(type(teacher), "predict_proba"):
        return  # a stack, say, has it once it is fitted, and is checked again then
    if hasattr(teacher, "decision_function"):
        remedy = (
            "Wrap it: CalibratedClassifierCV(teacher) adds probabilities to a "
            "classifier that has decision_function only (for a fitted one, "
            "CalibratedClassifierCV(FrozenEstimator(teacher)))."
        )
    else:
        remedy = (
            "Pass a classifier that has it (VotingClassifier has it with "
            "voting='soft'), or one with decision_function inside "
            "CalibratedClassifierCV."
        )
    raise TypeError(f"teacher must have predict_proba, got {teacher!r}. {remedy}")


def fit_parameters(teacher, sample_weight, params):
    """Fit parameters of a teacher, with the weights where it takes them.

    Parameters
    ----------
    teacher : unfitted classifier
        May be a Pipeline, a search, a vote or a stack: the weights go to the classifier
        inside.

    sample_weight : ndarray of shape (n_samples,) or None
        Weights of the rows.

    params : dict
        Other fit parameters; weights that are named among them stay.

    Returns
    -------
    params : dict
    """
    if sample_weight is None:
        return dict(params)
    name = weight_parameter(teacher)
    if name is not None:
        return {name: sample_weight, **params}
    warnings.warn(
        f"The teacher {type(teacher).__name__} does not take sample_weight: the "
        "weights are used for calibration, choices and the student only. Use a teacher "
        "that takes weights, or one that is fitted already.",
        UserWarning,
        stacklevel=6,
    )
    return dict(params)


def weight_parameter(estimator):
    """Name under which the fit of an estimator takes sample weights, None for none."""
    if isinstance(estimator, VotingClassifier | StackingClassifier):
        parts = [part for _, part in estimator.estimators if part != "drop"]
        parts.append(getattr(estimator, "final_estimator", None))
        names = {weight_parameter(part) for part in parts if part is not None}
        return "sample_weight" if names == {"sample_weight"} else None
    if has_fit_parameter(estimator, "sample_weight"):
        return "sample_weight"
    if hasattr(estimator, "steps"):  # Pipeline: weights go to its last step
        name, last = estimator.steps[-1]
        inner = weight_parameter(last)
        return None if inner is None else f"{name}__{inner}"
    if hasattr(estimator, "refit") and hasattr(estimator, "estimator"):  # a search
        return weight_parameter(estimator.estimator)
    return None


def other_columns(teacher, X):
    """Say how a fitted teacher's columns differ from those of X; None if they do not.

    Only names and numbers of columns can tell; a scaler that keeps both goes unseen.
    """
    expected = getattr(teacher, "feature_names_in_", None)
    n_expected = getattr(teacher, "n_features_in_", None)
    try:
        names, width = get_feature_names(X), num_features(X)
    except TypeError:  # text
        return None
    if expected is not None and names is None:
        want, got = f"columns {shown(expected)}", "an array without column names"
    elif expected is not None and list(names) != list(expected):
        want, got = f"columns {shown(expected)}", f"columns {shown(names)}"
    elif n_expected is not None and n_expected != width:
        want, got = f"{n_expected} columns", f"{width} columns"
    else:
        return None
    return (
        f"The fitted teacher {type(teacher).__name__} was trained on {want}, got "
        f"{got}. A step in front of DistilledClassifier (a scaler in a Pipeline, say) "
        "feeds the teacher other values than it learnt from. Put preprocessing inside "
        "the student: DistilledClassifier(teacher, make_pipeline(StandardScaler(), "
        "student))."
    )


# -- classes ---------------------------------------------------------------------------


def encode(y, classes):
    """Column of each label, or a ValueError that lists both sets.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        Labels.

    classes : ndarray of shape (n_classes,)
        Labels of the columns.

    Returns
    -------
    codes : ndarray of int of shape (n_samples,)
    """
    column = {label: k for k, label in enumerate(classes.tolist())}
    codes = np.fromiter((column.get(v, -1) for v in y.tolist()), np.intp, len(y))
    if (codes < 0).any():
        lacking = _distinct(y[codes < 0])
        raise ValueError(
            f"y has labels that the teacher's classes lack: {lacking}; the classes are "
            f"{classes.tolist()!r}, the labels of y are {_distinct(y)!r}. Give "
            "y in the labels that the teacher was trained on (undo a LabelEncoder), or "
            "leave out these rows. Inside StackingClassifier, VotingClassifier or "
            'cross_val_predict(method="predict_proba"), which number the labels, pass '
            "the teacher unfitted, or fit it on numbers."
        )
    return codes


def _distinct(y):
    """Distinct labels, sorted where they can be."""
    labels = list(dict.fromkeys(y.tolist()))
    try:
        return sorted(labels)
    except TypeError:  # labels of several types
        return labels


def resolve_classes(teacher_classes, classes, y, soft_targets):
    """Labels of the student's columns, sorted, and those of the given columns.

    Parameters
    ----------
    teacher_classes : ndarray or None
        Labels of a fitted teacher's columns.

    classes : array-like or None
        What the caller says of the columns of `soft_targets`.

    y : ndarray or None
        Labels of the rows.

    soft_targets : array-like or None
        Given probabilities.

    Returns
    -------
    classes : ndarray of shape (n_classes,)
        Sorted labels.

    columns : ndarray of shape (n_classes,)
        The same labels in the order of the columns of `soft_targets`.
    """
    if classes is not None:
        columns = np.asarray(classes)
        if columns.ndim != 1 or len(np.unique(columns)) != len(columns):
            raise ValueError(
                "classes must be a list of distinct labels, one for each column, got "
                f"{classes!r}. Remove repeated labels."
            )
        if teacher_classes is not None and set(columns.tolist()) != set(
            teacher_classes.tolist()
        ):
            raise ValueError(
                "classes must hold the teacher's classes, "
                f"{teacher_classes.tolist()!r} in any order, got {columns.tolist()!r}. "
                "Leave classes out to use the teacher's."
            )
    elif teacher_classes is not None:
        columns = teacher_classes
        if soft_targets is not None and not np.array_equal(columns, np.unique(columns)):
            raise ValueError(
                "classes must be given with soft_targets where the teacher's classes "
                f"are not sorted, got classes_ = {columns.tolist()!r}. Pass "
                "classes=teacher.classes_ if the columns have the teacher's order."
            )
    else:
        columns = _classes_from_labels(y, soft_targets)
    if soft_targets is not None:
        width = np.shape(soft_targets)[1:] or (1,)
        binary_column = len(columns) == 2 and width == (1,)
        if width != (len(columns),) and not binary_column:
            raise ValueError(
                f"soft_targets must have one column for each of the {len(columns)} "
                f"classes {columns.tolist()!r}, got shape {np.shape(soft_targets)!r}. "
                "Name the columns with classes=."
            )
    if len(columns) < 2:
        raise ValueError(
            "The number of classes has to be greater than one; got "
            f"{len(columns)} class ({columns.tolist()!r}). Give rows of at least two "
            "classes, or a fitted teacher that knows more."
        )
    return np.unique(columns), columns


def in_order(soft_targets, columns):
    """Put the columns of a data frame that are named by the classes in their order."""
    frame, labels = as_frame(soft_targets), np.asarray(columns).tolist()
    if frame is not None and set(frame.columns) == set(map(str, labels)):
        labels = list(map(str, labels))  # some libraries have names of text only
    if frame is None or frame.columns == labels or set(frame.columns) != set(labels):
        return soft_targets
    return frame[:, [frame.columns.index(label) for label in labels]].to_native()


def _classes_from_labels(y, soft_targets):
    if soft_targets is None:
        return np.unique(y)
    shape = np.shape(soft_targets)
    width = shape[1] if len(shape) == 2 else 2
    width = 2 if width == 1 else width
    if y is None:
        return np.arange(width)
    labels = np.unique(y)
    if len(labels) == width:
        return labels
    raise ValueError(
        f"soft_targets have {width} columns but y has {len(labels)} labels "
        f"({labels.tolist()!r}), so the columns have no names. Pass classes=, the "
        "label of each column."
    )


# -- folds -----------------------------------------------------------------------------


def make_splits(cv, X, y, codes, *, split_params, seed, n_folds=N_FOLDS):
    """List of (train, test) positions in which a teacher labels rows out of fold.

    "auto" means stratified folds (of whole groups where there are groups), fewer than
    asked for where classes are small.

    Parameters
    ----------
    cv : int, splitter, iterable or "auto"
        As given to DistilledClassifier.

    X, y : array-like
        Rows and labels.

    codes : ndarray of int of shape (n_samples,)
        Column of each label.

    split_params : dict
        Passed to the splitter: `groups`.

    seed : int
        Seed of the folds of "auto".

    n_folds : int, default=5
        Their number.

    Returns
    -------
    splits : list of (train, test) index arrays
    """
    if not isinstance(cv, str):
        folds = check_cv(cv, y, classifier=True).split(X, y, **split_params)
        splits = [(np.asarray(a), np.asarray(b)) for a, b in folds if len(b)]
        if not splits:
            raise ValueError(
                f"cv must give at least one fold with rows to label, got none of "
                f"{type(cv).__name__}. A generator serves once: pass a list of folds."
            )
        return splits
    n_rows, most = num_samples(X), int(np.bincount(codes).max())
    groups = split_params.get("groups")
    if groups is not None:
        n_folds = min(n_folds, len(np.unique(np.asarray(groups))))
        if n_folds < 2:
            raise ValueError(
                f"groups must hold at least 2 groups, got {n_folds}. Leave groups out, "
                "or pass a fitted teacher."
            )
    if most < 2:  # every row is a class of its own
        kind = KFold if groups is None else GroupKFold
        return list(kind(min(n_folds, n_rows)).split(codes, groups=groups))
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    folds = kind(min(n_folds, most), shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A class smaller than the number of folds is in some folds only: its column
        # is zero where a fold's teacher has not met it.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        splits = folds.split(np.zeros(n_rows), codes, **split_params)
        # whole groups may leave nothing for a fold
        return [(train, test) for train, test in splits if len(test)]
