"""Who is compared: teacher, student, plain student and exported artefact."""

from dataclasses import dataclass

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skdistill._answers import StudentAnswers
from skdistill._labelling import check_teacher
from skdistill._memory import remembering

TEACHER, CALIBRATED = "teacher", "teacher, calibrated"
STUDENT, PLAIN, ARTEFACT = "student", "plain student", "artefact"


@dataclass(frozen=True, eq=False)
class Member:
    """One model, with the transformers that its rows pass on the way to it.

    `asked` answers for the model where its answers are stored, and is the model itself
    elsewhere.
    """

    model: object
    steps: tuple = ()
    asked: object = None

    @property
    def classes(self):
        """Labels of the model's columns, None where it has none to show."""
        return getattr(self.model, "classes_", None)

    def transform(self, X):
        """Take rows through the transformers before the model."""
        for step in self.steps:
            X = step.transform(X)
        return X

    def predict_proba(self, X):
        """Answer rows as they are given: what is timed."""
        return self.model.predict_proba(self.transform(X))


@dataclass(frozen=True, eq=False)
class Cast:
    """All models of a report.

    Parameters
    ----------
    members : dict of str to Member
        Models by the names of their rows in the report.

    distilled : DistilledClassifier or None
        What fitted the student, where the report was given that.

    calibration : callable or None
        How the student's teacher was calibrated.
    """

    members: dict
    distilled: object = None
    calibration: object = None

    @property
    def classes(self):
        """Labels of the student's columns."""
        return np.asarray(self.members[STUDENT].classes)

    def is_one(self, name, other):
        """Tell whether two names stand for one and the same model."""
        if name not in self.members or other not in self.members:
            return False
        return self.members[name].model is self.members[other].model


def resolve_cast(model, *, teacher=None, plain=None, artefact=None):
    """Find teacher, student and plain student in what the user has.

    What `model` holds gets the rows as the steps in front of it transform them; what is
    handed over beside it gets them as they are given.

    Parameters
    ----------
    model : fitted estimator
        A DistilledClassifier, alone or inside a search or at the end of a Pipeline, or
        any other classifier (a CascadeClassifier), which is the student then.

    teacher, plain, artefact : fitted classifier or None
        In place of those that `model` holds.

    Returns
    -------
    cast : Cast
    """
    steps, distilled = _find(model)
    members, calibration = {}, None
    if teacher is not None:
        members[TEACHER] = Member(bare(teacher), asked=teacher)
    if distilled is None:
        _check_answers(model, "model")
        members[STUDENT] = Member(model)
        own = getattr(model, "teacher_", None)  # of a CascadeClassifier
        if teacher is None and own is not None:
            members[TEACHER] = Member(bare(own), asked=own)
    else:
        check_is_fitted(distilled)
        if teacher is None:
            calibration = distilled.calibration_
            if distilled.teacher_ is not None:
                members[TEACHER] = _own_teacher(distilled, steps)
        members[STUDENT] = Member(distilled.student_, steps)
        own_plain = getattr(distilled, "plain_student_", None)
        if plain is None and own_plain is not None:
            members[PLAIN] = Member(own_plain, steps)
    for name, given, word in (
        (PLAIN, plain, "plain"),
        (ARTEFACT, artefact, "artefact"),
    ):
        if given is not None:
            _check_answers(given, word)
            members[name] = Member(given)
    if TEACHER in members:
        check_teacher(members[TEACHER].model)
    return Cast(members, distilled, calibration)


def _find(model):
    """Transformers in front of a DistilledClassifier, and that, or None."""
    if isinstance(model, StudentAnswers):
        return (), model
    if isinstance(model, FrozenEstimator):
        return _find(model.estimator)
    if hasattr(model, "best_estimator_"):
        return _find(model.best_estimator_)
    if isinstance(model, Pipeline):
        steps, found = _find(model.steps[-1][1])
        return ((model[:-1], *steps) if len(model.steps) > 1 else steps), found
    return (), None


def _own_teacher(distilled, steps):
    """Return the teacher of a DistilledClassifier, behind the store that it has."""
    teacher = distilled.teacher_
    asked = remembering(distilled) if teacher is distilled._teacher else teacher
    return Member(bare(teacher), steps, asked)


def bare(model):
    """Return a model out of what freezes it or stores its answers."""
    from skdistill.teachers import CachedTeacher

    while True:
        if isinstance(model, FrozenEstimator):
            model = model.estimator
        elif isinstance(model, CachedTeacher):
            model = model.teacher
        else:
            return model


def _check_answers(model, name):
    if hasattr(model, "__sklearn_tags__"):
        check_is_fitted(model)
    if not hasattr(model, "predict_proba") or not hasattr(model, "classes_"):
        raise TypeError(
            f"{name} must be a fitted classifier with predict_proba and classes_, got "
            f"{model!r}. Pass a fitted DistilledClassifier, a Pipeline or search that "
            "holds one, or a classifier with probabilities."
        )
