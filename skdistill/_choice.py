"""What "auto" decides: settings tried on rows that no candidate was fitted on.

The rule is one: the lowest log-loss to the labels (without labels: the lowest
divergence from the teacher) on held-out rows, of which neither the student nor the
teacher of its targets knows. The plain student, fitted on labels only, is a candidate
wherever there are labels, and only a standard error beats it.
"""

from dataclasses import dataclass, replace
from functools import partial

from skdistill._held_out import (
    HELD_OUT,
    MIN_HELD_OUT,
    can_decide,
    held_out_split,
    other_splits,
    own_folds,
)
from skdistill._race import CLEAR, TOGETHER, Choice, Race
from skdistill._record import TEACHER, Record
from skdistill._teaching import NoShadowError
from skdistill._training import PLAIN, Settings

#: With fewer held-out rows the best of many owes its lead, or the plain student its
#: own, to chance: the two meet on other rows too.
FEW_HELD_OUT = 500
#: Fits that a meeting takes at most.
N_AGAIN = 2
#: Weights of the soft targets that are tried, the first with whatever else is tried. It
#: is also the one used where there are too few rows for a choice.
ALPHAS = (0.5, 1.0)
#: Temperatures that are tried besides 1.
TEMPERATURES = (2.0, 4.0)


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
    folds = own_folds(rows, own)
    split = folds[0] if folds else None
    if split is None or not can_decide(rows, split):
        split = held_out_split(rows, trainer.seed)
    if not can_decide(rows, split):
        return Choice(search.fallback)
    answered = rows.take(split[1]).only_answered()
    if len(answered):
        record.add(TEACHER, answered, answered.P, note=note)
    start = partial(
        _race_on, rows=rows, own=own, trainer=trainer, source=source, teacher=teacher,
        calibration=calibration,
    )  # fmt: skip
    others, meets = [], PLAIN in search.start and search.n_soft > 1
    if meets and len(split[1]) < FEW_HELD_OUT:
        others = other_splits(rows, folds, split, trainer.seed + 1)
    n_steps = search.n_fits + 2 * (search.n_soft > 1) + N_AGAIN * max(len(others), 1)
    with progress.task("choose", n_steps) as step:
        race = start(split, record=record, step=step, alone=search.is_alone)
        if not race.train.has_two_labels():  # few students could be fitted
            search, others = search.without_plain(), []
        choice = race.run(search, with_finals=not others)
        if PLAIN not in race.losses or search.n_soft < 2:
            return choice
        if len(split[1]) < FEW_HELD_OUT:
            start = partial(start, step=step)
            return _meet_on_others(race, choice, start, others, own)
        beats = choice.best != PLAIN and race.beats_again(choice.best)
        return choice if beats else race.choose_plain()


def _meet_on_others(race, choice, start, splits, own):
    """Let the best and the plain student meet on other rows until it is clear.

    On the first rows the best was chosen among many: it is taken where that alone does
    not explain its lead on all rows, or where its lead on the others is clear. If that
    never comes, a standard error on the others decides; one behind ends it at once.
    What did not lead at first may catch up.

    Parameters
    ----------
    race : Race
        Has been run.

    choice : Choice
        Its outcome.

    start : callable
        Gives a Race on a split.

    splits : list of (train, test) index arrays
        With test parts that share no row with that of `race`, nor with each other.

    own : CrossFitted, Shadow or None
        As for `decide`.

    Returns
    -------
    choice : Choice
    """
    best, met = race.challenger(choice.best), []
    for split in splits:
        again = _meet(start, split, best, race.seats, own)
        if again is None:
            continue
        race.record.extend(again.record, (TEACHER, PLAIN, best))
        met.append(again)
        one, *more = met
        if one.beats(best, PLAIN, *more, by=TOGETHER):
            return race.choose(best)
        if race.beats(best, PLAIN, *met, by=CLEAR):
            return race.choose(best)
        if one.beats(PLAIN, best, *more):
            return race.choose_plain()
    if not met:  # nobody else can say
        return choice if choice.best != PLAIN else race.choose_plain()
    one, *more = met
    return race.choose(best) if one.beats(best, PLAIN, *more) else race.choose_plain()


def _meet(start, split, best, seats, own):
    """Fit the best and the plain student on a split; None where that cannot be."""
    try:
        again = start(split, record=Record(), alone=best.is_alone)
        told = again.test
        if own is not None and not own.labels_unseen:  # a clone has not met them
            told = told.with_targets(own.answers_of(again.teacher, told.X))
            told = told.calibrated(again.panel.calibration)
    except NoShadowError:
        return None
    told = told.only_answered()
    if len(told):
        again.record.add(TEACHER, told, told.P)
    if not again.train.has_two_labels():
        return None
    return again if again.meet(best, seats) else None


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
