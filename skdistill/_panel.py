"""Who labels new rows: the teacher, and plain students that add to what it knows."""

from dataclasses import dataclass, replace

import numpy as np

from skdistill.teachers._opinion_pool import log_score_weights, pool

#: Least weight of the teacher. Held-out rows are few, and it is the teacher's student.
TEACHER_SHARE = 0.5


@dataclass(frozen=True)
class Panel:
    """The calibrated teacher, and students beside it.

    Parameters
    ----------
    calibration : callable
        Of the teacher's probabilities.

    members : tuple of (fitted classifier, float), default=()
        Students with the teacher's columns, and their weights; the teacher has the rest
        of 1.
    """

    calibration: object
    members: tuple = ()

    def with_students(self, members):
        """Return the same panel with other students."""
        return replace(self, members=tuple(members))

    def __call__(self, X, P):
        """Probabilities of rows, given the teacher's answers to them."""
        P = self.calibration(P)
        if not self.members:
            return P
        students, weights = zip(*self.members, strict=True)
        answers = [P, *(student.predict_proba(X) for student in students)]
        return pool(answers, [1.0 - sum(weights), *weights])


def weigh(rows, answers):
    """Weights of students beside the teacher: those of the highest log score.

    Parameters
    ----------
    rows : Rows
        With labels and calibrated answers of the teacher, unseen by all.

    answers : list of ndarray of shape (n_rows, n_classes)
        The students' probabilities.

    Returns
    -------
    weights : ndarray of shape (n_students,)
        Together at most a half.
    """
    if not answers or not len(rows.only_answered()):
        return np.zeros(len(answers))
    at = np.arange(len(rows)), rows.codes
    weights = log_score_weights([P[at] for P in (rows.P, *answers)], rows.weight)[1:]
    return weights * min(1.0, (1.0 - TEACHER_SHARE) / max(weights.sum(), 1e-12))
