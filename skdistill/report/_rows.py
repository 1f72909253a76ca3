"""The rows of a report, and what every model answers about them."""

from dataclasses import dataclass

import numpy as np
from sklearn.utils import check_consistent_length, column_or_1d

from skdistill._compat import num_samples, safe_indexing
from skdistill._labelling import encode
from skdistill.metrics._checks import check_sample_weight
from skdistill.report._cast import CALIBRATED, TEACHER
from skdistill.soft_targets import align_columns, check_soft_targets


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows that all models were asked about, and their answers.

    Parameters
    ----------
    X : array-like of length n_samples or None
        Rows that are left, as they were given; None once they are no longer needed.

    at : ndarray of int of shape (n_samples,)
        Their positions among the rows that were given.

    answers : dict of str to ndarray of shape (n_samples, n_classes)
        Probabilities of each model by name, the teacher's first.

    classes : ndarray of shape (n_classes,)
        Labels of the columns.

    codes : ndarray of int of shape (n_samples,) or None
        Column of each row's label.

    weight : ndarray of shape (n_samples,) or None
        Positive weights.

    n_left_out, n_unanswered : int
        Rows that are not among them, and those of these that the teacher did not
        answer.

    n_asked : int
        Rows that the teacher was asked about here.
    """

    X: object
    at: np.ndarray
    answers: dict
    classes: np.ndarray
    codes: np.ndarray | None
    weight: np.ndarray | None
    n_left_out: int
    n_unanswered: int
    n_asked: int

    def __len__(self):
        return len(self.at)

    @property
    def labels(self):
        """Label of each row, None where they are not known."""
        return None if self.codes is None else self.classes[self.codes]

    @property
    def reference(self):
        """Name of the model that the student was to be like."""
        return CALIBRATED if CALIBRATED in self.answers else TEACHER


def ask_all(cast, X, *, y=None, soft_targets=None, classes=None, sample_weight=None):
    """Ask every model about the same rows, the teacher once.

    Parameters
    ----------
    cast : Cast
        The models.

    X, y, soft_targets, classes, sample_weight : object
        As :func:`~skdistill.report.distillation_report` takes them.

    Returns
    -------
    rows : Rows
    """
    check_consistent_length(X, y, soft_targets, sample_weight)
    n_given, weight = num_samples(X), None
    at = np.arange(n_given)
    if sample_weight is not None:
        weight = check_sample_weight(sample_weight, n_given)
        at = np.flatnonzero(weight)
    views = _Views(X, at)

    columns, n_asked = _teacher_columns(cast, soft_targets, classes), 0
    if soft_targets is not None:
        P = np.asarray(soft_targets, dtype=np.float64)[at]
    else:
        P, n_asked = _ask_teacher(cast.members[TEACHER], views)
    answered = ~np.isnan(P.reshape(len(P), -1)).any(axis=1)
    if not answered.any():
        raise ValueError(
            "X must have a row that the teacher answers, got NaN for all of its "
            f"{len(P)} rows. Pass other rows, or other soft_targets."
        )
    if not answered.all():
        at, P = at[answered], P[answered]
        views = views.take(answered)

    tables = {TEACHER: (_checked(P, columns, "teacher"), columns)}
    if cast.calibration is not None:
        P = align_columns(tables[TEACHER][0], columns, cast.classes)
        calibrated = cast.calibration(P)
        if not np.array_equal(P, calibrated):
            tables[CALIBRATED] = (calibrated, cast.classes)
    for name, member in cast.members.items():
        if name != TEACHER:
            P = member.model.predict_proba(views.of(member))
            own = np.asarray(member.classes)
            tables[name] = (_checked(P, own, name), own)

    classes = _union([labels for _, labels in tables.values()])
    return Rows(
        X=views.X,
        at=at,
        answers={
            name: align_columns(P, labels, classes)
            for name, (P, labels) in tables.items()
        },
        classes=classes,
        codes=None if y is None else encode(column_or_1d(y)[at], classes),
        weight=None if weight is None else weight[at],
        n_left_out=n_given - len(at),
        n_unanswered=int((~answered).sum()),
        n_asked=n_asked,
    )


class _Views:
    """Rows as each model takes them; transformers see them once."""

    def __init__(self, X, at):
        self.X = X if len(at) == num_samples(X) else safe_indexing(X, at)
        self._seen = {}

    def of(self, member):
        """Rows behind the transformers of a model."""
        key = tuple(map(id, member.steps))
        if key not in self._seen:
            self._seen[key] = member.transform(self.X)
        return self._seen[key]

    def take(self, mask):
        """Views of some of the rows."""
        at = np.flatnonzero(mask)
        some = _Views(self.X, at)
        some._seen = {key: safe_indexing(X, at) for key, X in self._seen.items()}
        return some


def _teacher_columns(cast, soft_targets, classes):
    """Labels of the columns of the teacher's probabilities."""
    if soft_targets is None and TEACHER not in cast.members:
        raise ValueError(
            "teacher or soft_targets must be given where the model holds no teacher, "
            f"got teacher=None for {type(cast.members['student'].model).__name__}. "
            "Pass the fitted teacher, or its probabilities for X."
        )
    if classes is not None:
        return np.asarray(classes)
    if soft_targets is not None:
        return cast.classes
    own = cast.members[TEACHER].classes
    if own is None:
        raise ValueError(
            "classes must be given for a teacher without classes_, got None for "
            f"{type(cast.members[TEACHER].model).__name__}. Pass the label of each of "
            "its columns."
        )
    return np.asarray(own)


def _ask_teacher(member, views):
    """Answers of the teacher, and how many rows it was asked about."""
    known = getattr(member.asked, "n_rows_asked_", None)
    P = np.asarray(member.asked.predict_proba(views.of(member)), dtype=np.float64)
    n_asked = len(P) if known is None else member.asked.n_rows_asked_ - known
    return P, n_asked


def _checked(P, columns, name):
    return check_soft_targets(
        P,
        n_samples=num_samples(P),
        n_classes=len(columns),
        name=f"The probabilities of the {name}",
    )


def _union(label_sets):
    """Sorted labels of all models: one may know a class that another lacks."""
    try:
        return np.asarray(sorted(set().union(*(own.tolist() for own in label_sets))))
    except TypeError as error:
        got = [own.tolist() for own in label_sets]
        raise ValueError(
            f"All models must have labels of one type, got {got!r}. Give classes_ of "
            "the same type on all sides."
        ) from error
