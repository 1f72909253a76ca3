"""Candidates against each other: fitted on some rows, compared on others."""

from dataclasses import dataclass, field, replace
from functools import reduce

import numpy as np

from skdistill._finish import Finish, fit_finish, shrink_least
from skdistill._pace import FINAL_ROUND, TRIAL
from skdistill._panel import Panel, weigh
from skdistill._training import PLAIN, Settings
from skdistill.soft_targets._arithmetic import mean_and_se
from skdistill.students import MLPStudent, last_step

#: A lead of so many standard errors owes nothing to bad luck of the plain net.
CLEAR = 3.0
#: One of so many, on rows by which nothing was chosen, is taken for real at any time;
#: one of a single standard error only after all rows were looked at.
TOGETHER = 2.0


@dataclass(frozen=True)
class Choice:
    """What was chosen.

    Parameters
    ----------
    best : Settings
        Of the student.

    seats : dict of Settings to float, default={}
        Plain students that label new rows beside the teacher, with their weights.

    finish : Finish
        By which the student's answers fit held-out labels best.
    """

    best: Settings
    seats: dict = field(default_factory=dict)
    finish: Finish = field(default_factory=Finish)


class Race:
    """Settings, tried on the same rows.

    The plain student is what others have to be better than, by a standard error of the
    paired difference; the best with another encoding has to be better than what holds
    by then, in the same way. Where nets were tried for fewer steps, the best (of each
    encoding, where it is not clear which) are fitted for longer before they meet the
    plain student.

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

    record : Record
        Takes the scores.

    step : callable
        Called after each fit.
    """

    def __init__(
        self, trainer, source, train, test, *, teacher, calibration, record, step
    ):
        self.trainer, self.source = trainer, source
        self.train, self.test = train, test
        self.teacher, self.panel = teacher, Panel(calibration)
        self.record, self.step = record, step
        self.losses, self.bare_losses, self.finishes = {}, {}, {}
        self.plain, self.drawn = {}, {"none": None}
        self.seats, self.is_open = {}, False
        # So many rows tell nothing of smaller probabilities, and the zeros of single
        # trees would drown all that differs between them.
        self.least = 0.5 / len(train)

    def run(self, search, *, with_finals=True):
        """Fit what the search names and return the settings of lowest loss.

        Parameters
        ----------
        search : Search
            What to try.

        with_finals : bool, default=True
            Whether the best of short trials are fitted for longer. Where they meet the
            plain student on other rows, that is done there.

        Returns
        -------
        choice : Choice
        """
        has_rivals = search.n_soft > 1
        length = TRIAL if has_rivals else FINAL_ROUND
        for settings in search.start:
            if settings.is_plain:
                self.attempt(settings, length)
        if search.has_panel:
            self.seats = self.take_seats()
        for settings in search.start:
            if not settings.is_plain:
                self.attempt(settings, length)
        for name, values in search.axes:
            best = self.best_of([s for s in self.losses if not s.is_plain])
            for value in values:
                self.attempt(replace(best, **{name: value}), length)
        if search.penalties:
            for kind in self.kinds():
                self.walk(self.best_of(kind), search.penalties, length)
        if has_rivals:
            for settings in self.finalists():
                new = self.drawn[settings.transfer]
                is_short = self.trainer.tries_short(self.train, settings, new)
                if is_short and with_finals:
                    self.attempt(settings, FINAL_ROUND)
                self.is_open |= is_short and not with_finals
        # A teacher, which may be wrong, and more inputs have to earn their place.
        best = self.climb(
            [s for s in self.losses if s == PLAIN],
            [s for s in self.losses if s != PLAIN and not s.encoding],
            [s for s in self.losses if s.encoding],
        )
        return self.choose(best)

    def choose(self, best):
        """Return settings that were tried, with all that was found out about them.

        Shrunk trees that won on other rows than these are shrunk a little at least.
        """
        finish = self.finishes.get(best, Finish())
        if best.finish == "shrunk" and not finish.shrinkage:
            finish, _ = shrink_least(self.plain[PLAIN][0], self.test.X)
        return Choice(best, self.seats, finish)

    def challenger(self, best):
        """Return the best settings other than the plain student's.

        Nets that were only tried for short are no match for plain ones of full length.
        """
        rivals = [s for s in self.losses if s != PLAIN]
        if self.is_open:
            rivals = [s for s in rivals if not s.is_plain]
        if best in rivals:
            return best
        return self.climb(
            [s for s in rivals if not s.encoding], [s for s in rivals if s.encoding]
        )

    def choose_plain(self):
        """Return the plain student, shrunk or tempered where that is better.

        Few held-out rows seldom meet the zeros of trees, which are never honest: a tree
        that gives a class no chance at all is shrunk where that is not worse.
        """
        finished = [
            settings
            for settings in self.losses
            if settings.finish and settings == replace(PLAIN, finish=settings.finish)
        ]
        if not finished:
            return Choice(PLAIN)
        best = self.best_of(finished)
        if not self.beats(best, PLAIN):
            student, _ = self.plain[PLAIN]
            if best.finish != "shrunk" or student.predict_proba(self.test.X).all():
                return Choice(PLAIN)
            if not self.finishes[best].shrinkage:
                self.finishes[best], Q = shrink_least(student, self.test.X)
                self.score(best, Q)
            if self.beats(PLAIN, best):
                return Choice(PLAIN)
        return Choice(best, finish=self.finishes[best])

    def meet(self, best, seats):
        """Fit the plain student and what was chosen on other rows.

        The plain student, which is there anyway, labels new rows for all that do so.

        Parameters
        ----------
        best : Settings
            Of the first race.

        seats : dict of Settings to float
            Plain students that label new rows there, with their weights.

        Returns
        -------
        is_met : bool
            False where no new rows could be drawn for it here.
        """
        self.attempt(PLAIN, FINAL_ROUND)
        if seats:
            plain, _ = self.plain[PLAIN]
            self.panel = self.panel.with_students([(plain, sum(seats.values()))])
        if best not in self.losses:
            self.attempt(best, FINAL_ROUND)
        return best in self.losses

    def beats_again(self, best):
        """Tell whether settings that are not far ahead beat two plain nets, on average.

        Nets of one kind differ by their first weights and by the rows that stop them:
        the one that was met may have had bad luck.

        Parameters
        ----------
        best : Settings
            That have beaten the plain student.

        Returns
        -------
        beats : bool
        """
        is_lucky = isinstance(last_step(self.trainer.make_student()), MLPStudent)
        if not is_lucky or self._lead("losses", best, PLAIN) >= CLEAR:
            return True
        first, _ = self.plain[PLAIN]
        other, _ = self.trainer.fit(
            self.train, PLAIN, length=FINAL_ROUND, seed=self.trainer.seed + 1
        )
        self.score(PLAIN, *(s.predict_proba(self.test.X) for s in (first, other)))
        self.step()
        return self.beats(best, PLAIN)

    # -- candidates --------------------------------------------------------------------

    def attempt(self, settings, length):
        """Fit one candidate and keep its losses; again only where that takes longer."""
        new = self.new_rows(settings.transfer)
        if new is None:
            settings = replace(settings, transfer="none")
        if settings not in self.losses or length is not TRIAL:
            student, _ = self.trainer.fit(self.train, settings, new, length=length)
            Q = student.predict_proba(self.test.X)
            if settings.is_plain:
                self.plain[settings] = student, np.maximum(Q, self.least)
            if settings != PLAIN:
                self.finishes[settings], Q = fit_finish(
                    student, self.test, Q, self.least
                )
            self.score(settings, Q)
        self.step()

    def score(self, settings, *answers):
        """Keep the losses of a candidate, in the mean of the fits that answered."""
        self.bare_losses[settings] = self._mean_losses(answers)
        self.losses[settings] = self._mean_losses(
            [np.maximum(Q, self.least) for Q in answers]
        )
        self.record.add(settings.name, self.test, *answers, settings=settings)

    def _mean_losses(self, answers):
        return np.mean([self.test.losses(Q) for Q in answers], axis=0)

    def walk(self, settings, penalties, length):
        """Change the penalty of settings for as long as their loss falls."""
        usual, best = penalties.index(1.0), settings
        for way in (penalties[usual + 1 :], penalties[:usual][::-1]):
            for C in way:
                other = replace(settings, C=C)
                self.attempt(other, length)
                if self.best_of([best, other]) == best:
                    break
                best = other
            if best != settings:
                return

    def new_rows(self, way):
        """Rows from a source, drawn and labelled once; None where there are none."""
        if way not in self.drawn:
            self.drawn[way] = self.source.rows_for(
                self.trainer.make_student(), self.train, self.teacher, way, self.panel,
                trial=True,
            )  # fmt: skip
        return self.drawn[way]

    def take_seats(self):
        """Let plain students label new rows too, by what they add to the teacher."""
        weights = weigh(self.test, [Q for _, Q in self.plain.values()])
        seats = {s: w for s, w in zip(self.plain, weights, strict=True) if w > 0}
        self.panel = self.panel.with_students(
            (self.plain[s][0], weight) for s, weight in seats.items()
        )
        return seats

    # -- comparisons -------------------------------------------------------------------

    def best_of(self, some):
        """Settings of the lowest mean loss."""
        return min(some, key=lambda s: mean_and_se(self.losses[s], self.test.weight)[0])

    def beats(self, one, other, *races, by=1.0):
        """Tell whether one is better than the other by a standard error, or by more.

        With other races, on their rows and on those of this one in the mean.

        The zeros of a plain tree count in full against it, for to have none is what a
        teacher is good for; where they alone decide, the other may not be worse in
        what is left.
        """
        ahead = self._lead("losses", one, other, *races)
        if PLAIN in (one, other):
            bare = self._lead("bare_losses", one, other, *races)
            return ahead > -1 and bare >= by
        return ahead >= by

    def _lead(self, kind, one, other, *races):
        """By how many standard errors one is better than the other."""
        races = (self, *races)
        losses = [getattr(race, kind) for race in races]
        gains = np.concatenate([some[other] - some[one] for some in losses])
        weight = self.test.weight
        if weight is not None:
            weight = np.concatenate([race.test.weight for race in races])
        gain, se = mean_and_se(gains, weight)
        return gain / max(se, 1e-300)

    def climb(self, *groups):
        """Go from the best of one group to that of the next, where it is better."""
        steps = [self.best_of(group) for group in groups if group]
        return reduce(lambda best, s: s if self.beats(s, best) else best, steps)

    def kinds(self):
        """Return what was tried so far, by encoding and by whether a teacher taught."""
        kinds = {}
        for settings in self.losses:
            kinds.setdefault((settings.is_plain, settings.encoding), []).append(
                settings
            )
        return list(kinds.values())

    def finalists(self):
        """Return the best distilled settings; of each encoding where it is open."""
        soft = [s for s in self.losses if not s.is_plain]
        ends = [s for s in soft if not s.encoding], [s for s in soft if s.encoding]
        if not all(ends):
            return [self.best_of(soft)]
        usual, wide = map(self.best_of, ends)
        if self.beats(wide, usual):
            return [wide]
        return [usual, wide] if self.best_of([usual, wide]) == wide else [usual]
