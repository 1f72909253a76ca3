"""A second teacher for a fitted one: of the same kind, fitted without held-out rows.

A teacher that was fitted on the rows at hand remembers the labels of the held-out ones
too, and tells them by what it answers to rows nearby: students of such answers look
better on the held-out rows than they are. A clone that is fitted on the other rows (a
*shadow model*, Shokri et al. 2017, "Membership inference attacks against machine
learning models") shows what the teacher would say of rows that it has not seen.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator

from skdistill._compat import safe_indexing
from skdistill._held_out import can_decide
from skdistill._labelling import is_fitted, weight_parameter, with_seed
from skdistill._leak_check import looks_memorised
from skdistill._teaching import NoShadowError, TeacherFit
from skdistill._training import Rows
from skdistill.soft_targets import log_loss_rows
from skdistill.soft_targets._arithmetic import mean_and_se

#: Between what a shadow loses on rows that it was fitted on (0) and on others (1), a
#: teacher that was fitted on these others too stays below the first; or below the
#: second, and within two standard errors of 0. Over 21 tables forests and boosting came
#: to .15 at most on their own rows, and to .35 at least on rows that were new to them,
#: also where they had learnt from four times as many; stacks, which remember less, to
#: .40 at most and .90 at least.
SEEN_SHARE, NEAR_SHARE = 0.25, 0.5
#: Who loses less than this share on rows that it has seen remembers much of them.
MUCH = 0.5
#: What is said of a teacher's score on rows that it has seen, and of its shadow's.
IN_SAMPLE = "in-sample: the teacher may have seen these rows"
BY_SHADOW = "by a clone of the teacher that has not seen these rows"


@dataclass(frozen=True)
class Look:
    """What was found out about a teacher's memory.

    Parameters
    ----------
    rows : Rows
        To go on with: held-out ones with the shadow's answers, where there is one.

    honest : Rows
        Those with answers of somebody who has not seen their labels.

    shadow : Shadow or None, default=None
        Teaches the candidates where the teacher knows the held-out rows.

    is_memorised : bool, default=False
        Whether the targets look learnt by heart: little more than labels.

    note : str, default=""
        What there is to say of the teacher's held-out score.
    """

    rows: Rows
    honest: Rows
    shadow: object = None
    is_memorised: bool = False
    note: str = ""


class Shadow:
    """Clones of a fitted teacher, each fitted on some of the rows.

    Parameters
    ----------
    teacher : fitted classifier
        Stays as it is.

    fit : TeacherFit
        Fits a clone.

    ask : callable
        (teacher, X) -> its probabilities.

    progress : FitProgress
        Told of each fit.

    costs : Costs
        Takes the time of the fits.

    targets : ndarray of shape (n_samples, n_classes) or None
        Probabilities that were given for all rows, and that the last student learns of
        them; None where the teacher gives them too.

    label : callable
        (fit, train) -> CrossFitted that has labelled the rows `train` by fits on others
        of them.

    Attributes
    ----------
    n_asked : int
        Rows that clones labelled like this.
    """

    #: As of a CrossFitted: not by folds.
    splits = None

    def __init__(self, teacher, fit, *, ask, progress, costs, targets, label):
        self.teacher, self.ask, self.targets = teacher, ask, targets
        self._fit, self._progress, self._costs = fit, progress, costs
        self._label, self._kept, self.n_asked = label, {}, 0

    @property
    def labels_unseen(self):
        """Whether a training row's answer is by somebody who has not met its label."""
        return self.targets is not None

    def without(self, train, test, *, alone):
        """Teacher for the rows `train` that knows nothing of `test`, and its answers.

        Targets that were given are most likely out-of-fold answers of a teacher like
        this one. Those come from fits that saw the labels of `test`, and a student that
        learns from little else has heard of the rows it is judged by: clones label
        `train` in their place.

        Parameters
        ----------
        train, test : ndarray of int
            Disjoint positions.

        alone : bool
            Whether some student learns from `train` without many new rows.

        Returns
        -------
        teacher : classifier
            Fitted on `train`.

        P : ndarray of shape (len(train), n_classes)
        """
        teacher = self.fitted_on(train)
        if self.targets is None:
            return teacher, self.answers_of(teacher, safe_indexing(self._fit.X, train))
        P = self.targets[train]
        if alone:
            with suppress(Exception):  # as clones of somebody else's class may fail
                own = self._label(self._fit, train)
                self.n_asked += own.n_asked
                P = np.where(np.isnan(P).any(axis=1)[:, None], np.nan, own.P[train])
        return teacher, P

    def answers_of(self, clone, X):
        """Probabilities by a clone.

        Raises
        ------
        NoShadowError
            If it gives none: a category, say, that its rows lack.
        """
        try:
            return self.ask(clone, X)
        except Exception as error:
            raise NoShadowError(
                "A clone of the fitted teacher could not answer rows of X. Pass "
                "FrozenEstimator(teacher): then none is asked."
            ) from error

    def fitted_on(self, train):
        """Return a clone that is fitted on rows at given positions, once.

        Raises
        ------
        NoShadowError
            If it cannot be fitted like this.
        """
        key = train.tobytes()
        if key not in self._kept:
            with (
                self._costs.clock("teacher fits"),
                self._progress.task("fit shadow teacher") as step,
            ):
                try:
                    self._kept[key] = self._fit(train)
                except Exception as error:
                    raise NoShadowError(
                        "A clone of the fitted teacher could not be fitted on a part "
                        "of (X, y). Pass FrozenEstimator(teacher): then none is fitted."
                    ) from error
                step()
        return self._kept[key]


def find_shadow(teacher, X, y, *, weight, ask, seed, progress, costs, targets, label):
    """Return what can shadow a fitted teacher, or None; nothing is fitted yet.

    Parameters
    ----------
    teacher : fitted classifier

    X, y : array-like
        All rows, and their labels.

    weight : ndarray of shape (n_samples,) or None
        Weights of all rows.

    ask, progress, costs, targets, label
        As for Shadow.

    seed : int
        Seeds the clones.

    Returns
    -------
    shadow : Shadow or None
    """
    bare = unfitted_clone(teacher)
    if bare is None:
        return None
    name = None if weight is None else weight_parameter(bare)
    params = {} if name is None else {name: weight}
    fit = TeacherFit(with_seed(bare, seed), X, y, params)
    return Shadow(
        teacher, fit, ask=ask, progress=progress, costs=costs, targets=targets,
        label=label,
    )  # fmt: skip


def unfitted_clone(teacher):
    """Clone that knows nothing of what a fitted teacher knows; None where none is.

    There is none of a frozen teacher, of one whose clones share what it knows, and of
    anything that is no scikit-learn estimator. Of an average it averages clones.
    """
    from skdistill.teachers import AveragedTeacher

    if isinstance(teacher, AveragedTeacher):
        members = [unfitted_clone(member) for member in teacher.teachers]
        if any(member is None for member in members):
            return None
        weights = getattr(teacher, "weights_", teacher.weights)
        return AveragedTeacher(members, weights=weights)
    if isinstance(teacher, FrozenEstimator) or not hasattr(teacher, "fit"):
        return None
    try:
        bare = clone(teacher)
        return None if is_fitted(bare) else bare
    except Exception:  # somebody else's class may raise anything
        return None


def look_for_memory(rows, shadow, split):
    """Find out whether a teacher has seen the labels, with the help of a shadow.

    Parameters
    ----------
    rows : Rows
        With the teacher's answers, or with given targets.

    shadow : Shadow or None
        Fitted here, where there are rows enough for a choice.

    split : tuple of ndarray
        Positions in `rows` to learn from, and held out.

    Returns
    -------
    look : Look
    """
    if not can_decide(rows, split):
        shadow = None
    answers = None
    if shadow is not None:
        try:
            answers = _answers_of_shadow(rows, shadow, split)
        except NoShadowError:
            shadow = None
    if shadow is not None and shadow.targets is None:
        if answers is None:
            return Look(rows, honest=rows)
        P = rows.P.copy()
        P[split[1]] = answers.unseen
        rows = rows.with_targets(P)
        return Look(rows, rows.take(split[1]), shadow, answers.is_much, BY_SHADOW)
    known = rows.only_answered()
    used = None if answers is None else shadow
    if looks_memorised(known.P, known.codes, known.X):
        return Look(rows, rows.take(np.arange(0)), used, True, IN_SAMPLE)
    return Look(rows, rows, used)


class Remembered(NamedTuple):
    """What a shadow says in place of a teacher that knows the held-out rows."""

    unseen: np.ndarray
    is_much: bool


def _answers_of_shadow(rows, shadow, split):
    """Compare teacher and shadow; None where the teacher has not seen held-out rows."""
    learnt, told = map(rows.take, split)
    if shadow.targets is not None:
        told = told.with_targets(shadow.ask(shadow.teacher, told.X))
    train = split[0] if rows.at is None else rows.at[split[0]]
    teacher = shadow.fitted_on(train)
    unseen = told.with_targets(shadow.answers_of(teacher, told.X))
    seen = learnt.with_targets(shadow.answers_of(teacher, learnt.X))
    if not all(len(some.only_answered()) for some in (told, unseen, seen)):
        raise NoShadowError("Teacher or clone answers no row of a part.")
    if not has_seen(told, unseen, seen):
        return None
    (low, _), (high, _) = (_loss(some, len(learnt)) for some in (seen, unseen))
    return Remembered(unseen.P, low < MUCH * high)


def has_seen(told, unseen, seen):
    """Tell whether a teacher answers like one that has seen the rows.

    Parameters
    ----------
    told : Rows
        With the teacher's answers.

    unseen : Rows
        The same rows, with answers of a shadow that has not seen them.

    seen : Rows
        Rows that the shadow was fitted on, with its answers.

    Returns
    -------
    seen : bool
    """
    (low, _), (high, high_se), (own, se) = (
        _loss(some, len(seen)) for some in (seen, unseen, told)
    )
    memory = high - low
    near = max(SEEN_SHARE * memory, min(2 * se, NEAR_SHARE * memory))
    return bool(memory > high_se and own - low <= near)


def _loss(rows, n_rows):
    """Mean log-loss and its standard error; no probability counts as 0."""
    rows = rows.only_answered()
    P = np.maximum(rows.P, 0.5 / n_rows)
    return mean_and_se(log_loss_rows(P, rows.codes), rows.weight)
