"""The finish of a student: one number, fitted to rows that it has not met."""

from dataclasses import dataclass

import numpy as np

from skdistill.soft_targets._arithmetic import mean_and_se
from skdistill.soft_targets._temperature import halves_temperature
from skdistill.students import (
    STRENGTHS,
    can_shrink,
    can_temper,
    divide_logits,
    is_boosting,
    shrink,
    shrunk_answers,
)


@dataclass(frozen=True)
class Finish:
    """What is done to a fitted student without another fit; by default nothing.

    Parameters
    ----------
    temperature : float, default=1.0
        By which the logits of a net of ours or of boosting are divided.

    shrinkage : float, default=0.0
        Strength with which the leaves of trees are drawn to the nodes above.
    """

    temperature: float = 1.0
    shrinkage: float = 0.0

    def apply(self, student):
        """Take it into a student, for good, and return that."""
        if self.temperature != 1:
            student = divide_logits(student, self.temperature)
        if self.shrinkage:
            shrink(student, self.shrinkage)
        return student


def plain_finish(student):
    """What a plain student is tried with besides, in a word; "" for nothing.

    A plain net has stopped where its own held-out rows were fitted best.
    """
    if can_shrink(student):
        return "shrunk"
    return "tempered" if is_boosting(student) else ""


def fit_finish(student, rows, Q, least):
    """Fit the finish to rows, and show what it does to rows it was not fitted to.

    Parameters
    ----------
    student : fitted classifier
        Left as it is.

    rows : Rows
        That the student has not met.

    Q : ndarray of shape (n_rows, n_classes)
        Its probabilities of them.

    least : float
        Smaller probabilities count as this one.

    Returns
    -------
    finish : Finish
        Fitted to all rows; none where the next has no lower loss than `Q`.

    Q : ndarray of shape (n_rows, n_classes)
        Each half of the rows (every other one) by the finish of the other half.
    """
    if can_temper(student) and rows.codes is not None:
        T, Q = halves_temperature(Q, rows.codes, sample_weight=rows.weight)
        return Finish(temperature=T), Q
    if can_shrink(student):
        return _fit_shrinkage(student, rows, Q, least)
    return Finish(), Q


def _fit_shrinkage(student, rows, Q, least):
    answers = np.stack(shrunk_answers(student, rows.X))
    losses = np.stack([rows.losses(np.maximum(A, least)) for A in answers])

    def best(at):
        weight = None if rows.weight is None else rows.weight[at]
        return int(np.argmin([mean_and_se(loss[at], weight)[0] for loss in losses]))

    halves = np.arange(0, len(rows), 2), np.arange(1, len(rows), 2)
    if rows.weight is not None and not all(rows.weight[at].any() for at in halves):
        return Finish(), Q
    shrunk, loss = Q.copy(), losses[0].copy()
    for own, other in (halves, halves[::-1]):
        strength = best(other)
        shrunk[own], loss[own] = answers[strength, own], losses[strength, own]
    gain, _ = mean_and_se(losses[0] - loss, rows.weight)
    if gain <= 0:
        return Finish(), Q
    return Finish(shrinkage=STRENGTHS[best(np.arange(len(rows)))]), shrunk
