"""The finish of a student: a number or two, fitted to rows that it has not met."""

from dataclasses import dataclass

import numpy as np

from skdistill.soft_targets import temper
from skdistill.soft_targets._arithmetic import mean_and_se
from skdistill.soft_targets._temperature import halves_temperature, modest_temperature
from skdistill.students import (
    STRENGTHS,
    can_shrink,
    can_temper,
    divide_logits,
    is_boosting,
    n_trees,
    shrink,
    shrunk_answers,
)


@dataclass(frozen=True)
class Finish:
    """What is done to a fitted student without another fit; by default nothing.

    Parameters
    ----------
    temperature : float, default=1.0
        By which the logits of a net, of boosting or of a forest are divided.

    shrinkage : float, default=0.0
        Strength with which the leaves of trees are drawn to the nodes above.
    """

    temperature: float = 1.0
    shrinkage: float = 0.0

    def apply(self, student):
        """Take it into a student, for good, and return that."""
        if self.shrinkage:
            shrink(student, self.shrinkage)
        if self.temperature != 1:
            student = divide_logits(student, self.temperature)
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
    if can_shrink(student):
        return _fit_trees(student, rows, Q, least)
    if can_temper(student) and rows.codes is not None:
        T, Q = halves_temperature(Q, rows.codes, sample_weight=rows.weight)
        return Finish(temperature=T), Q
    return Finish(), Q


def shrink_least(student, X):
    """Return the least shrinkage that is tried, and the answers of trees after it."""
    least = min(filter(None, STRENGTHS))
    return Finish(shrinkage=least), shrunk_answers(student, X, [least])[0]


def _fit_trees(student, rows, Q, least):
    """Fit the strength of shrinkage and, for the mean of several trees, a temperature.

    The mean of trees that differ is more modest than each of them.
    """
    answers = np.stack(shrunk_answers(student, rows.X))
    tempers = rows.codes is not None and n_trees(student) > 1
    halves = [np.arange(start, len(rows), 2) for start in (0, 1)]
    if rows.weight is not None and not all(rows.weight[at].any() for at in halves):
        return Finish(), Q

    def loss(some, A):
        return mean_and_se(some.losses(np.maximum(A, least)), some.weight)[0]

    def fit(some, answers):
        """Find the finish of the lowest loss on some rows."""
        tried = []
        for strength, A in zip(STRENGTHS, answers, strict=True):
            T = modest_temperature(A, some.codes, some.weight) if tempers else 1.0
            tried.append((loss(some, _tempered(A, T)), Finish(T, strength)))
        return min(tried, key=lambda pair: pair[0])[1]

    shown = Q.copy()
    for own, other in (halves, halves[::-1]):
        finish = fit(rows.take(other), answers[:, other])
        A = answers[STRENGTHS.index(finish.shrinkage)][own]
        shown[own] = _tempered(A, finish.temperature)
    if loss(rows, shown) >= loss(rows, Q):
        return Finish(), Q
    return fit(rows, answers), shown


def _tempered(P, temperature):
    return P if temperature == 1 else temper(P, temperature)
