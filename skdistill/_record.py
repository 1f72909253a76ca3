"""Held-out scores of a fit, and what they say."""

from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from skdistill._training import PLAIN
from skdistill.soft_targets._arithmetic import mean_and_se

#: Half-width of a 95 % interval of a mean, in standard errors.
Z95 = 1.959964

#: What entries of the teacher are called.
TEACHER = "teacher"
#: Said of the plain student where nothing was better.
NO_HELP = "distillation did not help here: nothing beats this by a standard error"
#: Said of a plain student that takes its inputs, or is finished, in another way.
NO_TEACHER = "distillation did not help here: no student of the teacher does better"


@dataclass(frozen=True)
class Entry:
    """Scores of each row by one model."""

    model: str
    scores: dict  # metric to ndarray of shape (n_rows,)
    weight: np.ndarray | None
    settings: object
    note: str

    def joined(self, other):
        """Return an entry with the rows of another one too."""
        scores = {
            metric: np.concatenate([values, other.scores[metric]])
            for metric, values in self.scores.items()
        }
        weight = self.weight
        if weight is not None:
            weight = np.concatenate([weight, other.weight])
        return replace(self, scores=scores, weight=weight)

    def scored(self):
        """Yield a mean for each metric, with its standard error."""
        for metric, values in self.scores.items():
            score, se = mean_and_se(values, self.weight)
            yield self.model, metric, score, se, len(values), self.settings, self.note


class Record:
    """Held-out scores, one entry a score, for `summary_`."""

    COLUMNS = (
        "model", "metric", "score", "se", "low", "high", "n_rows", "alpha",
        "temperature", "transfer", "encoding", "C", "chosen", "note",
    )  # fmt: skip

    def __init__(self):
        self._entries = {}  # by settings; the teacher's by its name

    def add(self, model, rows, *answers, settings=None, note=""):
        """Score probabilities on rows, in the mean where there are several fits'.

        What is added later with the same settings takes the place of earlier scores.
        """
        losses = np.mean([rows.losses(Q) for Q in answers], axis=0)
        scores = {"kl_to_teacher" if rows.codes is None else "log_loss": losses}
        if rows.codes is not None:
            right = [Q.argmax(axis=1) == rows.codes for Q in answers]
            scores["accuracy"] = np.mean(right, axis=0)
        self._entries[settings or model] = Entry(
            model, scores, rows.weight, settings, note
        )

    def extend(self, other, some):
        """Take scores on other rows to those of the same settings, or model, here."""
        for key in some:
            if key in self._entries and key in other._entries:
                self._entries[key] = self._entries[key].joined(other._entries[key])

    def has(self, settings):
        """Tell whether a student with these settings was tried."""
        return settings in self._entries

    @staticmethod
    def _kind(name):
        """Type of a column without entries."""
        if name in ("model", "metric", "transfer", "encoding", "note"):
            return str
        return {"chosen": bool, "n_rows": int}.get(name, float)

    def as_dict(self, chosen):
        """Columns as arrays; entries of the chosen settings are marked."""
        table = []
        entries = chain.from_iterable(e.scored() for e in self._entries.values())
        for model, metric, score, se, n_rows, settings, note in entries:
            way = (np.nan, np.nan, "", "", np.nan)
            if settings is not None:
                way = (
                    settings.alpha, settings.temperature, settings.transfer,
                    settings.encoding, np.nan if settings.C is None else settings.C,
                )  # fmt: skip
            is_chosen = settings is not None and settings == chosen
            if is_chosen and chosen.is_plain:
                note = NO_HELP if chosen == PLAIN else NO_TEACHER
            low, high = score - Z95 * se, score + Z95 * se
            if metric == "accuracy":
                low, high = max(low, 0.0), min(high, 1.0)
            table.append(
                (model, metric, score, se, low, high, n_rows, *way, is_chosen, note)
            )
        columns = zip(*table, strict=True) if table else ((),) * len(self.COLUMNS)
        return {
            name: np.asarray(column, dtype=None if table else self._kind(name))
            for name, column in zip(self.COLUMNS, columns, strict=True)
        }
