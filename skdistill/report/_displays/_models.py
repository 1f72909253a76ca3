"""Answers of teacher and student, for the displays."""

from skdistill._compat import num_samples
from skdistill.report._cast import STUDENT, TEACHER
from skdistill.soft_targets import check_soft_targets, teacher_probabilities


def answers(cast, name, X):
    """Ask one model of a cast; columns as in the student's classes."""
    member = cast.members[name]
    model = member.model if member.asked is None else member.asked
    return teacher_probabilities(model, member.transform(X), classes=cast.classes)


def teacher_answers(cast, X, soft_targets):
    """Probabilities of the teacher, given or asked for."""
    if soft_targets is not None:
        return check_soft_targets(
            soft_targets, n_samples=num_samples(X), n_classes=len(cast.classes)
        )
    teacher = cast.members.get(TEACHER)
    if teacher is None or teacher.classes is None:
        raise ValueError(
            "soft_targets must be given where the estimator holds no teacher that "
            f"knows its classes, got soft_targets=None and the teacher "
            f"{teacher and teacher.model!r}. Pass the teacher's probabilities for X, "
            f"columns in the order {cast.classes.tolist()!r}."
        )
    return answers(cast, TEACHER, X)


def student_answers(cast, X):
    """Probabilities of the student."""
    return answers(cast, STUDENT, X)
