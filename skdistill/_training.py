"""Rows, ways to fit a student on them, and the fit itself."""

from dataclasses import dataclass, replace

import numpy as np

from skdistill._compat import safe_indexing
from skdistill._frames import concat_rows
from skdistill._pace import FINAL_ROUND, TO_KEEP, TRIAL
from skdistill.soft_targets import calibrate, kl_rows, log_loss_rows, mix, one_hot
from skdistill.students import (
    Feed,
    LogisticStudent,
    MLPStudent,
    auto_rate,
    fit_on_labels,
    fit_student,
    last_step,
)

#: Gradient at which a linear student ends that is only compared: that takes far fewer
#: iterations, and its loss on other rows hardly differs. One whose `C` was chosen that
#: way ends there at last too: where little is penalised, to end early is what held-out
#: rows have found good.
TRIAL_TOL = 1e-4


@dataclass(frozen=True)
class Settings:
    """One way to fit the student.

    Parameters
    ----------
    alpha : float
        Weight of the soft targets of training rows.

    temperature : float
        Of both sides of the loss.

    transfer : str
        Source of new rows, "none" for none.

    encoding : str
        How the student takes numeric columns; "" as it does by itself.

    finish : {"", "shrunk", "tempered"}
        What may be done to a plain student after its fit; to those of a teacher it is
        always done.

    C : float or None, default=None
        Inverse penalty of a linear student; None leaves it alone.
    """

    alpha: float
    temperature: float = 1.0
    transfer: str = "none"
    encoding: str = ""
    finish: str = ""
    C: float | None = None

    @property
    def is_plain(self):
        """Whether the student learns from labels only."""
        return self.alpha == 0

    @property
    def is_alone(self):
        """Whether the student learns from a teacher, and from no new rows."""
        return self.alpha > 0 and self.transfer == "none"

    @property
    def name(self):
        """What the record calls a student fitted like this."""
        if not self.is_plain:
            return "distilled student"
        penalty = "" if self.C is None else f"C={self.C:g}"
        words = ["plain student", self.encoding, self.finish, penalty]
        return ", ".join(filter(None, words))


#: The student without a teacher, and without anything else of ours.
PLAIN = Settings(0.0)


@dataclass(frozen=True)
class Rows:
    """Training rows with what is known of each.

    `codes` is None without labels; `P` holds the teacher's probabilities. `at` holds
    positions among the rows that `fit` was given, None where these are all of them.
    """

    X: object
    codes: np.ndarray | None
    P: np.ndarray
    weight: np.ndarray | None = None
    groups: object = None
    at: np.ndarray | None = None

    def __len__(self):
        return len(self.P)

    def take(self, at):
        """Return the rows at given positions."""
        return Rows(
            safe_indexing(self.X, at),
            None if self.codes is None else self.codes[at],
            self.P[at],
            None if self.weight is None else self.weight[at],
            None if self.groups is None else safe_indexing(self.groups, at),
            at if self.at is None else self.at[at],
        )

    @property
    def answered(self):
        """Mask of the rows for which there are probabilities of the teacher."""
        return np.isfinite(self.P).all(axis=1)

    def teaching(self):
        """Return the rows that say something, by label or teacher; none of weight 0."""
        counts = self.answered if self.codes is None else np.ones(len(self), bool)
        if self.weight is not None and self.weight.any():
            counts = counts & (self.weight > 0)
        return self if counts.all() else self.take(np.flatnonzero(counts))

    def only_answered(self):
        """Return the rows for which there are probabilities of the teacher."""
        answered = self.answered
        return self if answered.all() else self.take(np.flatnonzero(answered))

    def with_targets(self, P):
        """Return the same rows with other probabilities."""
        return replace(self, P=P)

    def fit_calibration(self, method):
        """Fit a calibration of the teacher's probabilities to the labels."""
        rows = self.only_answered()
        return calibrate(rows.P, rows.codes, sample_weight=rows.weight, method=method)

    def calibrated(self, calibration):
        """Return the same rows with calibrated probabilities."""
        P, answered = np.array(self.P), self.answered
        P[answered] = calibration(P[answered])
        return self.with_targets(P)

    def without(self, at):
        """Return the rows at all other positions."""
        return self.take(np.setdiff1d(np.arange(len(self)), at))

    def has_two_labels(self):
        """Tell whether rows that count have labels to tell apart."""
        if self.codes is None:
            return False
        codes = self.codes if self.weight is None else self.codes[self.weight > 0]
        return len(codes) > 0 and bool(np.ptp(codes))

    def targets(self, alpha):
        """Mix the teacher's probabilities with the labels, where there are any.

        A row that the teacher left unanswered has its label alone.
        """
        if self.codes is None:
            return mix(self.P, None, alpha)
        hard = one_hot(self.codes, self.P.shape[1])
        return mix(np.where(self.answered[:, None], self.P, hard), hard, alpha)

    def losses(self, Q):
        """Log-loss of each row, or divergence from the teacher without labels."""
        if self.codes is None:
            return kl_rows(self.P, Q)
        return log_loss_rows(Q, self.codes)


class Trainer:
    """Fits students that differ in their settings and in nothing else.

    Parameters
    ----------
    make_student : callable
        Returns a fresh, seeded student.

    classes : ndarray of shape (n_classes,)
        Labels of the columns.

    targets : str
        Route by which the student is fed.

    seed : int
        Seed of whatever a route draws.

    costs : Costs
        Takes the time of the fits.

    pace : Pace
        Says how long nets learn.
    """

    def __init__(self, make_student, *, classes, targets, seed, costs, pace):
        self.make_student = make_student
        self.classes = classes
        self.targets = targets
        self.seed = seed
        self.costs = costs
        self.pace = pace

    def tries_short(self, rows, settings, new):
        """Tell whether a trial takes fewer steps than the final round."""
        n_steps = [
            self._steps(self.make_student(), rows, settings, new, length)
            for length in (TRIAL, FINAL_ROUND)
        ]
        return None not in n_steps and n_steps[0] < n_steps[1]

    def _steps(self, student, rows, settings, new, length):
        if new is None:  # then it stops early by itself
            return None
        n_rows = len(rows) + len(new.P)
        return self.pace.steps(student, n_rows, settings.encoding, length)

    def fit(self, rows, settings, new=None, *, length=TO_KEEP, seed=None):
        """Fit a student on rows, and on new rows where there are some.

        Parameters
        ----------
        rows : Rows
            To fit on.

        settings : Settings
            How.

        new : NewRows or None, default=None
            More rows, labelled by the teacher.

        length : Length, default=TO_KEEP
            Bounds the steps of a net of ours that meets new rows.

        seed : int, default=None
            Seed of the student, in place of the one it has.

        Returns
        -------
        student : fitted classifier

        feed : Feed
            How it was fed and why.
        """
        with self.costs.clock("students"):
            return self._fit(rows, settings, new, length, seed)

    def _fit(self, rows, settings, new, length, seed):
        student = self.make_student()
        last = last_step(student)
        if seed is not None:
            last.set_params(random_state=seed)
        if settings.encoding:
            last.set_params(encoding=settings.encoding)
        if settings.C is not None:
            last.set_params(C=settings.C)
        is_trial = length is not TO_KEEP or settings.C is not None
        if is_trial and isinstance(last, LogisticStudent):
            last.set_params(tol=max(last.tol, TRIAL_TOL))
        if settings.is_plain:
            fitted = fit_on_labels(
                student, rows.X, self.classes[rows.codes], classes=self.classes,
                sample_weight=rows.weight, random_state=self.seed,
            )  # fmt: skip
            self.pace.note(settings.encoding, fitted)
            return fitted, Feed(
                route="labels",
                reason="alpha is 0: labels only, as without a teacher",
                estimator=type(last).__name__,
                n_rows=len(rows),
                n_rows_fed=len(rows),
            )
        validation = None
        n_steps = self._steps(student, rows, settings, new, length)
        if n_steps is not None:
            last.set_params(max_steps=n_steps)
            n_rows = len(rows) + len(new.P)
            self.pace.spend(settings.encoding, n_steps, n_rows)
        if new is not None and new.is_drawn and isinstance(last, MLPStudent):
            # Rows that are drawn around a few real ones do not make them many.
            if last.learning_rate == "auto":
                last.set_params(learning_rate=auto_rate(len(rows)))
        if new is not None and new.is_many:
            last.set_params(early_stopping=False)
        elif new is not None and len(new.held):
            held, rows = rows.take(new.held), rows.without(new.held)
            validation = (held.X, held.targets(settings.alpha), held.weight)
        X, P, weight = rows.X, rows.targets(settings.alpha), rows.weight
        if new is not None:
            X, P = concat_rows(X, new.X), np.concatenate([P, new.P])
            if weight is not None:  # a new row weighs what a row weighs in the mean
                weight = np.append(weight, np.full(len(new.P), weight.mean()))
        return fit_student(
            student, X, P, classes=self.classes, sample_weight=weight,
            targets=self.targets, temperature=settings.temperature,
            validation=validation, random_state=self.seed,
        )  # fmt: skip
