"""What "auto" decides: settings tried on rows that no candidate was fitted on.

The rule is one: the lowest log-loss to the labels (without labels: the lowest
divergence from the teacher) on held-out rows, of which neither the student nor the
teacher of its targets knows. The plain student, fitted on labels only, is a candidate
wherever there are labels, and only a standard error beats it.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from sklearn.model_selection import GroupShuffleSplit, StratifiedShuffleSplit

from skdistill._race import Choice, Race
from skdistill._record import Record
from skdistill._teaching import NoShadowError
from skdistill._training import PLAIN, Settings

#: Share of the rows held out for the choice, and the fewest that can decide anything.
HELD_OUT, MIN_HELD_OUT = 0.2, 50
#: With fewer held-out rows the best of many owes part of its lead to chance, and has to
#: beat the plain student on other rows again.
FEW_HELD_OUT = 500
#: A fold of the teacher serves as held-out part where more than this share of all rows
#: is left to learn from, with answers: not the first of a TimeSeriesSplit, nor of two.
MIN_LEFT = 0.5
#: Fits that a second meeting takes at most: two plain students and the best.
N_AGAIN = 3
#: Weights of the soft targets that are tried, the first with whatever else is tried. It
#: is also the one used where there are too few rows for a choice.
ALPHAS = (0.5, 1.0)
#: Temperatures that are tried besides 1.
TEMPERATURES = (2.0, 4.0)


# -- on which rows ---------------------------------------------------------------------


def held_out_split(rows, seed, known=()):
    """Split row positions into (train, test); test is empty where rows are too few.

    Rows at the positions `known` are kept out of the test part, but for groups of rows.
    """
    n, n_test = len(rows), int(HELD_OUT * len(rows))
    if n_test < MIN_HELD_OUT:
        return np.arange(n), np.arange(0)
    if rows.groups is not None:
        if len(np.unique(np.asarray(rows.groups))) < 2:
            return np.arange(n), np.arange(0)
        split = GroupShuffleSplit(1, test_size=HELD_OUT, random_state=seed)
        return next(split.split(np.zeros(n), groups=rows.groups))
    usual = np.setdiff1d(np.arange(n), known)
    if rows.codes is not None:
        counts = np.bincount(rows.codes[usual], minlength=rows.codes.max() + 1)
        if n_test >= np.count_nonzero(counts):
            # Classes of a single row cannot be split: they stay in training.
            usual = usual[counts[rows.codes[usual]] > 1]
            split = StratifiedShuffleSplit(1, test_size=n_test, random_state=seed)
            test = usual[next(split.split(usual, rows.codes[usual]))[1]]
            return np.setdiff1d(np.arange(n), test), np.sort(test)
    test = np.sort(np.random.RandomState(seed).permutation(usual)[:n_test])
    return np.setdiff1d(np.arange(n), test), test


def can_decide(rows, split):
    """Tell whether the test part of a split can tell a good student from a bad one."""
    test = split[1]
    if len(test) < MIN_HELD_OUT:
        return False
    return rows.weight is None or rows.weight[test].any()


# -- what is tried ---------------------------------------------------------------------


@dataclass(frozen=True)
class Search:
    """What a choice tries: some settings, then changes of the best of them.

    Parameters
    ----------
    start : tuple of Settings
        Tried first, in order of preference at equal loss.

    axes : tuple of (str, tuple)
        A field of Settings and further values for it: in turn, each value is tried in
        the best distilled student so far.

    fallback : Settings
        What to do where rows are too few for a choice.

    penalties : tuple of float, default=()
        Inverse penalties, in order. The best plain and the best distilled student of
        each encoding go from 1 to the next as long as their loss falls.

    has_panel : bool, default=False
        Whether plain students label new rows beside the teacher.
    """

    start: tuple
    axes: tuple
    fallback: Settings
    penalties: tuple = ()
    has_panel: bool = False

    @property
    def n_fits(self):
        """How many students are fitted at most."""
        return self.n_soft + self._n_tried([s for s in self.start if s.is_plain])

    @property
    def n_soft(self):
        """How many of them learn from a teacher."""
        soft = [settings for settings in self.start if not settings.is_plain]
        return self._n_tried(soft) + sum(len(values) for _, values in self.axes)

    @property
    def is_alone(self):
        """Whether some student learns from a teacher, and from no new rows."""
        return any(settings.is_alone for settings in self.start)

    def _n_tried(self, some):
        """How many of one kind are fitted at most, walks along the penalties too."""
        n_walks = len({settings.encoding for settings in some})
        return len(some) + n_walks * max(len(self.penalties) - 1, 0)

    def without_plain(self):
        """Return the same search where labels alone teach nothing."""
        soft = tuple(settings for settings in self.start if not settings.is_plain)
        return replace(self, start=soft)


def plan_search(
    *, alpha, temperature, sources, is_given, has_labels, encodings, penalties,
    is_costly, finish, effort,
):  # fmt: skip
    """Say what is tried.

    A student that costs much to fit is tried with one weight of the soft targets first,
    and never without new rows where there are any; a cheap one with all combinations.

    Parameters
    ----------
    alpha, temperature : float or "auto"
        As the user gave them.

    sources : tuple of str
        Names of the sources of new rows, the most promising first.

    is_given : bool
        Whether the user asked for these rows: then nothing is tried without them.

    has_labels : bool
        Whether labels are known.

    encodings : tuple of str
        Ways in which the student may take numeric columns, its usual one first.

    penalties : tuple of float
        Inverse penalties that may be chosen, in order.

    is_costly : bool
        Whether a fit of the student costs much: a net.

    finish : {"", "shrunk", "tempered"}
        What may be done to a plain student after its fit too.

    effort : {"low", "default", "high"}
        "low" tries the plain student and one other, "high" all combinations.

    Returns
    -------
    search : Search
    """
    T = 1.0 if temperature == "auto" else float(temperature)
    if alpha != "auto":
        alphas = (float(alpha),)
    else:
        alphas = ALPHAS if has_labels else (1.0,)
    if alphas == (0.0,):
        return Search((PLAIN,), (), PLAIN)
    fallback = Settings(alphas[0], T, sources[0] if is_given else "none", encodings[0])
    ways = sources if is_given else (*sources, "none")
    axes = ()
    if effort == "low":
        alphas, ways, encodings = alphas[:1], ways[:1], encodings[:1]
        penalties = ()
    elif is_costly and effort == "default":
        if is_given or not sources:  # beside many drawn rows alpha says little
            axes = (("alpha", alphas[1:]),)
        alphas, ways = alphas[:1], sources or ways
    start = []
    if has_labels and alpha == "auto":
        start = [replace(PLAIN, encoding=encoding) for encoding in encodings]
        if finish and effort != "low":
            start.append(replace(PLAIN, finish=finish))
    start += [
        Settings(a, T, way, encoding)
        for a in alphas
        for way in reversed(ways)  # at equal loss: without new rows
        for encoding in encodings
    ]
    if temperature == "auto":
        axes += (("temperature", TEMPERATURES),)
    axes = tuple((name, values) for name, values in axes if values)
    has_panel = is_costly and not is_given
    return Search(tuple(start), axes, fallback, penalties, has_panel)


# -- the choice ------------------------------------------------------------------------


def decide(
    rows, own, trainer, source, record, search, *, teacher, calibration, note, progress
):  # fmt: skip
    """Choose the settings by held-out rows, where there is a choice and rows enough.

    Parameters
    ----------
    rows : Rows
        All rows.

    own : CrossFitted, Shadow or None
        The teacher's fits, where it, or a clone of it, was fitted here.

    trainer : Trainer
        Fits the candidates.

    source : TransferSource
        Gives new rows.

    record : Record
        Takes the scores.

    search : Search
        What to try.

    teacher : classifier or None
        Fitted on all rows, or used as it is.

    calibration : Calibration
        Of the teacher's probabilities.

    note : str
        What there is to say of the teacher's score.

    progress : FitProgress
        Told of each fit.

    Returns
    -------
    choice : Choice
    """
    if int(HELD_OUT * len(rows)) < MIN_HELD_OUT:
        return Choice(search.fallback)
    if search.n_fits == 1:
        return Choice(search.start[0])
    folds = _own_folds(rows, own)
    split = folds[0] if folds else None
    if split is None or not can_decide(rows, split):
        split = held_out_split(rows, trainer.seed)
    if not can_decide(rows, split):
        return Choice(search.fallback)
    answered = rows.take(split[1]).only_answered()
    if len(answered):
        record.add("teacher", answered, answered.P, note=note)
    start = partial(
        _race_on, rows=rows, own=own, trainer=trainer, source=source, teacher=teacher,
        calibration=calibration,
    )  # fmt: skip
    n_steps = search.n_fits + 2 * (search.n_soft > 1) + N_AGAIN
    with progress.task("choose", n_steps) as step:
        race = start(split, record=record, step=step, alone=search.is_alone)
        if not race.train.has_two_labels():  # few students could be fitted
            search = search.without_plain()
        choice = race.run(search)
        if PLAIN not in race.losses or search.n_soft < 2:
            return choice
        if choice.best == PLAIN:
            beats = False
        elif len(split[1]) >= FEW_HELD_OUT:
            beats = race.beats_again(choice.best)
        else:
            other = _other_split(rows, folds, split, trainer.seed + 1)
            again = None
            if can_decide(rows, other):
                with suppress(NoShadowError):  # then nobody can say
                    again = start(
                        other, record=Record(), step=step, alone=choice.best.is_alone
                    )
            beats = (
                again is None
                or not again.train.has_two_labels()
                or again.meet_again(choice, race)
            )
        return choice if beats else race.choose_plain()


def _own_folds(rows, own):
    """Folds of the teacher that a student can learn from, and be compared on."""
    if own is None or own.splits is None or rows.at is not None:
        return []
    answered = rows.answered
    fewest = MIN_LEFT * len(rows)
    return [fold for fold in own.splits if answered[fold[0]].sum() > fewest]


def _other_split(rows, folds, split, seed):
    """Split with another test part: the second fold, where `split` is the first."""
    if len(folds) > 1 and split is folds[0]:
        return folds[1]
    return held_out_split(rows, seed, split[1])


def _race_on(
    split, *, rows, own, trainer, source, teacher, calibration, record, step, alone
):  # fmt: skip
    """Race on a split of the rows, of whose test part nobody has heard.

    `alone` says whether some student meets no rows but these.
    """
    train, test = split
    learnt = rows.take(train)
    if own is not None:
        where = split if rows.at is None else (rows.at[train], rows.at[test])
        with trainer.costs.clock("teacher fits"):
            teacher, P = own.without(*where, alone=alone)
            learnt = learnt.with_targets(P)
            if calibration.kept and own.labels_unseen and len(learnt.only_answered()):
                # by the same method, without the held-out labels
                calibration = learnt.fit_calibration(calibration.method)
        learnt = learnt.calibrated(calibration)
    return Race(
        trainer, source, learnt, rows.take(test), teacher=teacher,
        calibration=calibration, record=record, step=step,
    )  # fmt: skip
