"""What "auto" decides: settings tried on rows that no candidate was fitted on.

The rule is one: the lowest log-loss to the labels (without labels: the lowest
divergence from the teacher) on held-out rows, of which neither the student nor the
teacher of its targets knows. The plain student, fitted on labels only, is a candidate
wherever there are labels, and only a standard error beats it.
"""

from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
from sklearn.model_selection import GroupShuffleSplit, StratifiedShuffleSplit

from skdistill._training import PLAIN, Settings
from skdistill.soft_targets._arithmetic import mean_and_se

#: Share of the rows held out for the choice, and the fewest that can decide anything.
HELD_OUT, MIN_HELD_OUT = 0.2, 50
#: Weights of the soft targets that are tried, the first with whatever else is tried. It
#: is also the one used where there are too few rows for a choice.
ALPHAS = (0.5, 1.0)
#: Temperatures that are tried besides 1.
TEMPERATURES = (2.0, 4.0)


# -- on which rows ---------------------------------------------------------------------


def held_out_split(rows, seed):
    """Split row positions into (train, test); test is empty where rows are too few."""
    n, n_test = len(rows), int(HELD_OUT * len(rows))
    if n_test < MIN_HELD_OUT:
        return np.arange(n), np.arange(0)
    if rows.groups is not None:
        split = GroupShuffleSplit(1, test_size=HELD_OUT, random_state=seed)
        return next(split.split(np.zeros(n), groups=rows.groups))
    usual = np.arange(n)
    if rows.codes is not None:
        counts = np.bincount(rows.codes)
        if n_test >= np.count_nonzero(counts):
            # Classes of a single row cannot be split: they stay in training.
            usual = np.flatnonzero(counts[rows.codes] > 1)
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
    """

    start: tuple
    axes: tuple
    fallback: Settings

    @property
    def n_fits(self):
        """How many students are fitted at most."""
        return len(self.start) + sum(len(values) for _, values in self.axes)

    @property
    def n_soft(self):
        """How many of them learn from a teacher."""
        return self.n_fits - sum(settings.is_plain for settings in self.start)

    def without_plain(self):
        """Return the same search where labels alone teach nothing."""
        soft = tuple(settings for settings in self.start if not settings.is_plain)
        return replace(self, start=soft)


def plan_search(
    *, alpha, temperature, sources, is_given, has_labels, encodings, is_costly, effort
):
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

    is_costly : bool
        Whether a fit of the student costs much: a net.

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
    elif is_costly and effort == "default":
        axes = (("alpha", alphas[1:]),)
        alphas, ways = alphas[:1], sources or ways
    start = []
    if has_labels and alpha == "auto":
        start = [replace(PLAIN, encoding=encoding) for encoding in encodings]
    start += [
        Settings(a, T, way, encoding)
        for a in alphas
        for way in reversed(ways)  # at equal loss: without new rows
        for encoding in encodings
    ]
    if temperature == "auto":
        axes += (("temperature", TEMPERATURES),)
    return Search(tuple(start), tuple((field, v) for field, v in axes if v), fallback)


# -- the choice ------------------------------------------------------------------------


def decide(
    rows, own, trainer, source, record, search, *, teacher, calibration, in_sample,
    progress,
):  # fmt: skip
    """Choose the settings by held-out rows, where there is a choice and rows enough.

    Parameters
    ----------
    rows : Rows
        All rows.

    own : CrossFitted or None
        The teacher's fits, where it was fitted here.

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

    in_sample : bool
        Whether the teacher may have seen the rows: its score then tells nothing.

    progress : FitProgress
        Told of each fit.

    Returns
    -------
    best : Settings
    """
    if search.n_fits == 1:
        few = int(HELD_OUT * len(rows)) < MIN_HELD_OUT
        return search.fallback if few else search.start[0]
    split = None
    if own is not None and own.splits is not None and rows.at is None:
        split = own.splits[0]
    if split is None or not can_decide(rows, split):
        split = held_out_split(rows, trainer.seed)
    if not can_decide(rows, split):
        return search.fallback
    train, test = split
    learnt, held = rows.take(train), rows.take(test)
    note = "in-sample: the teacher may have seen these rows" if in_sample else ""
    answered = held.only_answered()
    if len(answered):
        record.add("teacher", answered, answered.P, note=note)
    if own is not None:
        where = split if rows.at is None else (rows.at[train], rows.at[test])
        with trainer.costs.clock("teacher fits"):
            teacher, P = own.without(*where)
            learnt = learnt.with_targets(P)
            if calibration.kept:  # by the same method, without the held-out labels
                calibration = learnt.fit_calibration(calibration.method)
        learnt = learnt.calibrated(calibration)
    if not learnt.has_two_labels():  # few students could be fitted
        search = search.without_plain()
    with progress.task("choose", search.n_fits + 2 * (search.n_soft > 1)) as step:
        return choose(
            trainer, source, learnt, held, teacher, calibration, search, record, step
        )


def choose(trainer, source, train, test, teacher, calibration, search, record, step):
    """Fit the candidates on `train` and return the settings of lowest loss on `test`.

    The plain student is what others have to be better than, by a standard error of the
    paired difference; the best with another encoding has to be better than what holds
    by then, in the same way. Where nets were tried for fewer steps, the best (of each
    encoding, where it is not clear which) are fitted in full before they meet the plain
    student.

    Parameters
    ----------
    trainer : Trainer
        Fits the candidates.

    source : TransferSource
        Gives the new rows that some candidates use.

    train, test : Rows
        Rows to fit on and rows to decide on.

    teacher : classifier or None
        Labels the new rows; best one that has not seen `test`.

    calibration : Calibration
        Of the teacher's probabilities.

    search : Search
        What to try.

    record : Record
        Takes the scores.

    step : callable
        Called after each fit.

    Returns
    -------
    best : Settings
    """
    losses, drawn = {}, {"none": None}
    # So many rows tell nothing of smaller probabilities, and the zeros of a single tree
    # would drown all that does differ.
    floor = 0.5 / len(train)
    has_rivals = search.n_soft > 1

    def attempt(settings, *, again=False):
        way = settings.transfer
        if way not in drawn:
            drawn[way] = source.rows_for(
                trainer.make_student(), train, teacher, way, calibration, trial=True
            )
        if drawn[way] is None:  # nothing to add
            settings = replace(settings, transfer="none")
        if settings not in losses or again:
            is_trial = has_rivals and not again
            student, _ = trainer.fit(train, settings, drawn[way], trial=is_trial)
            Q = np.maximum(student.predict_proba(test.X), floor)
            losses[settings] = test.losses(Q)
            record.add(settings.name, test, Q, settings=settings)
        step()

    def best_of(some):
        return min(some, key=lambda s: mean_and_se(losses[s], test.weight)[0])

    def beats(one, other):
        gain, se = mean_and_se(losses[other] - losses[one], test.weight)
        return gain > 0 and gain >= se

    def climb(*groups):
        # A teacher, which may be wrong, and more inputs have to earn their place.
        steps = [best_of(group) for group in groups if group]
        return reduce(lambda best, s: s if beats(s, best) else best, steps)

    def finalists():
        soft = [s for s in losses if not s.is_plain]
        ends = [s for s in soft if not s.encoding], [s for s in soft if s.encoding]
        if not all(ends):
            return [best_of(soft)]
        usual, wide = map(best_of, ends)
        if beats(wide, usual):
            return [wide]
        return [usual, wide] if best_of([usual, wide]) == wide else [usual]

    for settings in search.start:
        attempt(settings)
    for field, values in search.axes:
        best = best_of([s for s in losses if not s.is_plain])
        for value in values:
            attempt(replace(best, **{field: value}))
    if has_rivals:
        for settings in finalists():
            if trainer.tries_short(train, drawn[settings.transfer]):
                attempt(settings, again=True)
    return climb(
        [s for s in losses if s == PLAIN],
        [s for s in losses if s != PLAIN and not s.encoding],
        [s for s in losses if s.encoding],
    )
