"""What "auto" decides: settings tried on rows that no candidate was fitted on.

The candidates are few and the rule is one: the lowest log-loss to the labels (without
labels: the lowest divergence from the teacher) on held-out rows, of which neither the
student nor the teacher of its targets knows. The plain student, fitted on labels only,
is one of them wherever there are labels, and wins ties.
"""

from dataclasses import dataclass, replace

import numpy as np
from sklearn.model_selection import GroupShuffleSplit, StratifiedShuffleSplit

from skdistill._compat import safe_indexing
from skdistill._frames import concat_rows
from skdistill.soft_targets import kl_rows, log_loss_rows, mix, one_hot
from skdistill.students import Feed, fit_on_labels, fit_student, last_step

#: Share of the rows held out for the choice, and the fewest that can decide anything.
HELD_OUT, MIN_HELD_OUT = 0.2, 50
#: Weights of the soft targets that are tried, and the one used without a choice.
ALPHAS, FALLBACK_ALPHA = (0.5, 1.0), 0.5
#: Temperatures that are tried besides 1.
TEMPERATURES = (2.0, 4.0)


@dataclass(frozen=True)
class Settings:
    """One way to fit the student."""

    alpha: float
    temperature: float = 1.0
    transfer: str = "none"

    @property
    def is_plain(self):
        """Whether the student learns from labels only."""
        return self.alpha == 0

    @property
    def name(self):
        """What the record calls a student fitted like this."""
        return "plain student" if self.is_plain else "distilled student"


#: The student without a teacher.
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

    def labelled(self):
        """Return the rows that the teacher has labelled: all but those without P."""
        has_label = np.isfinite(self.P).all(axis=1)
        return self if has_label.all() else self.take(np.flatnonzero(has_label))

    def with_targets(self, P):
        """Return the same rows with other probabilities."""
        return replace(self, P=P)

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
        """Mix the teacher's probabilities with the labels, where there are any."""
        hard = None if self.codes is None else one_hot(self.codes, self.P.shape[1])
        return mix(self.P, hard, alpha)

    def losses(self, Q):
        """Log-loss of each row, or divergence from the teacher without labels."""
        if self.codes is None:
            return kl_rows(self.P, Q)
        return log_loss_rows(Q, self.codes)


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
    """

    def __init__(self, make_student, *, classes, targets, seed):
        self.make_student = make_student
        self.classes = classes
        self.targets = targets
        self.seed = seed

    def fit(self, rows, settings, new=None):
        """Fit a student on rows, and on new rows where there are some.

        Returns
        -------
        student : fitted classifier

        feed : Feed
            How it was fed and why.
        """
        student = self.make_student()
        if settings.is_plain:
            fitted = fit_on_labels(
                student, rows.X, self.classes[rows.codes], classes=self.classes,
                sample_weight=rows.weight, random_state=self.seed,
            )  # fmt: skip
            return fitted, Feed(
                route="labels",
                reason="alpha is 0: labels only, as without a teacher",
                estimator=type(last_step(student)).__name__,
                n_rows=len(rows),
                n_rows_fed=len(rows),
            )
        validation = None
        if new is not None and len(new.held):
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


class Record:
    """Held-out scores, one entry a score, for `summary_`."""

    COLUMNS = (
        "model", "metric", "score", "se", "n_rows", "alpha", "temperature", "transfer",
        "chosen", "note",
    )  # fmt: skip

    def __init__(self):
        self._entries = []

    def add(self, model, rows, Q, *, settings=None, note=""):
        """Score probabilities on rows."""
        losses = rows.losses(Q)
        scores = {"kl_to_teacher" if rows.codes is None else "log_loss": losses}
        if rows.codes is not None:
            scores["accuracy"] = (Q.argmax(axis=1) == rows.codes).astype(float)
        for metric, values in scores.items():
            mean, se = mean_and_se(values, rows.weight)
            self._entries.append((model, metric, mean, se, len(rows), settings, note))

    def has(self, settings):
        """Tell whether a student with these settings was tried."""
        return any(entry[5] == settings for entry in self._entries)

    def as_dict(self, chosen):
        """Columns as arrays; entries of the chosen settings are marked."""
        table = []
        for model, metric, score, se, n_rows, settings, note in self._entries:
            way = (np.nan, np.nan, "")
            if settings is not None:
                way = (settings.alpha, settings.temperature, settings.transfer)
            is_chosen = settings is not None and settings == chosen
            table.append((model, metric, score, se, n_rows, *way, is_chosen, note))
        columns = zip(*table, strict=True) if table else ((),) * len(self.COLUMNS)
        return {
            name: np.asarray(column)
            for name, column in zip(self.COLUMNS, columns, strict=True)
        }


def list_candidates(*, alpha, temperature, transfer, sampler_is_given, has_labels):
    """List the settings to try, in order of preference at equal loss.

    Parameters
    ----------
    alpha : float or "auto"
        Weight of the soft targets.

    temperature : float or "auto"
        "auto" starts at 1.

    transfer : str
        Name of the source of new rows, "none" for none.

    sampler_is_given : bool
        Whether the user asked for these rows: then nothing is tried without them.

    has_labels : bool
        Whether labels are known.

    Returns
    -------
    candidates : list of Settings
    """
    T = 1.0 if temperature == "auto" else float(temperature)
    alphas = (float(alpha),) if alpha != "auto" else ALPHAS if has_labels else (1.0,)
    ways = dict.fromkeys((transfer,) if sampler_is_given else ("none", transfer))
    soft = [Settings(a, T, way) for a in alphas if a > 0 for way in ways]
    with_plain = alpha == 0 or (alpha == "auto" and has_labels)
    return [PLAIN] * with_plain + soft


def decide(
    rows, own, trainer, source, record, *, teacher, calibration, alpha, temperature,
    in_sample, progress,
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

    teacher : classifier or None
        Fitted on all rows, or used as it is.

    calibration : Calibration
        Of the teacher's probabilities.

    alpha, temperature : float or "auto"
        As the user gave them.

    in_sample : bool
        Whether the teacher may have seen the rows: its score then tells nothing.

    progress : FitProgress
        Told of each fit.

    Returns
    -------
    best : Settings
    """
    candidates = list_candidates(
        alpha=alpha,
        temperature=temperature,
        transfer=source.name,
        sampler_is_given=source.is_given,
        has_labels=rows.codes is not None,
    )
    further = TEMPERATURES if temperature == "auto" else ()
    if len(candidates) == 1 and (not further or candidates[0].is_plain):
        return candidates[0]
    split = None
    if own is not None and own.splits is not None and rows.at is None:
        split = own.splits[0]
    if split is None or not can_decide(rows, split):
        split = held_out_split(rows, trainer.seed)
    if not can_decide(rows, split):
        return without_choice(candidates, alpha)
    train, test = split
    learnt, held = rows.take(train), rows.take(test)
    note = "in-sample: the teacher may have seen these rows" if in_sample else ""
    record.add("teacher", held, held.P, note=note)
    if own is not None:
        where = split if rows.at is None else (rows.at[train], rows.at[test])
        teacher, P = own.without(*where)
        learnt = learnt.with_targets(calibration(P))
    if not learnt.has_two_labels():  # labels alone teach nothing, and few could fit
        candidates = [settings for settings in candidates if not settings.is_plain]
    with progress.task("choose", len(candidates) + len(further)) as step:
        return choose(
            trainer, source, learnt, held, teacher, candidates, further, record, step
        )


def without_choice(candidates, alpha):
    """Settings for rows that are too few to choose on.

    With alpha="auto" labels and soft targets weigh alike; what the user fixed stays.
    """
    soft = [settings for settings in candidates if not settings.is_plain]
    if not soft:
        return candidates[0]
    usual = [s for s in soft if s.alpha == FALLBACK_ALPHA]
    return (usual if alpha == "auto" and usual else soft)[0]


def choose(
    trainer, source, train, test, teacher, candidates, temperatures, record, step
):
    """Fit every candidate on `train` and return the one of lowest loss on `test`.

    A distilled student has to be better than the plain one by a standard error of the
    paired difference; otherwise the plain one is returned.

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

    candidates : list of Settings
        In order of preference at equal loss.

    temperatures : sequence of float
        Further temperatures, tried with the best of the candidates.

    record : Record
        Takes the scores.

    step : callable
        Called after each fit.

    Returns
    -------
    best : Settings
    """
    new = None
    if any(settings.transfer != "none" for settings in candidates):
        new = source.rows_for(trainer.make_student(), train, teacher)
        if new is None:
            candidates = list(
                dict.fromkeys(replace(s, transfer="none") for s in candidates)
            )
    losses = {}

    def attempt(settings):
        used = None if settings.transfer == "none" else new
        student, _ = trainer.fit(train, settings, used)
        Q = student.predict_proba(test.X)
        losses[settings] = test.losses(Q)
        record.add(settings.name, test, Q, settings=settings)
        step()

    def best_of(some):
        return min(some, key=lambda s: mean_and_se(losses[s], test.weight)[0])

    for settings in candidates:
        attempt(settings)
    best = best_of(losses)
    if not best.is_plain:
        for temperature in temperatures:
            attempt(replace(best, temperature=temperature))
        best = best_of(losses)
    if PLAIN in losses and best != PLAIN:
        # A tie goes to the labels: less that can go wrong.
        gain, se = mean_and_se(losses[PLAIN] - losses[best], test.weight)
        if gain < se:
            return PLAIN
    return best


def mean_and_se(values, weight=None):
    """Weighted mean of per-row values and its standard error."""
    # scaled, so that no square runs out of range
    weight = np.ones(len(values)) if weight is None else weight / weight.max()
    mean = np.average(values, weights=weight)
    spread = np.average((values - mean) ** 2, weights=weight)
    effective = weight.sum() ** 2 / (weight**2).sum()
    return float(mean), float(np.sqrt(spread / max(effective - 1, 1)))
