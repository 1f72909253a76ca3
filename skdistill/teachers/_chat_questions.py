"""Which questions a chat teacher has put, and which are left, by what a store knows."""

from dataclasses import dataclass

import numpy as np

from skdistill.teachers._chat_scoring import average_orders, smooth

#: Outcomes of questions to which no reply came: asking again pays nothing twice.
UNANSWERED = ("failed",)


@dataclass(frozen=True)
class Answers:
    """What is known of some rows.

    Attributes
    ----------
    P : ndarray of shape (n_samples, n_labels)
        Probabilities in the order of the labels; NaN where a question of the row has no
        usable answer.

    label_mass, missing_mass : ndarray of shape (n_samples,)
        Means over the orders; NaN where nothing was asked.

    outcomes : list of str of length n_samples
        "answered", what stands in the way, or "not asked".
    """

    P: np.ndarray
    label_mass: np.ndarray
    missing_mass: np.ndarray
    outcomes: list


class Questions:
    """The questions of one teacher, one a row and order of the options.

    Parameters
    ----------
    store : AnswerStore
        Where the outcomes are.

    orders : list of tuple of int
        Orders of the options.

    fingerprints : list of str
        Identity of the teacher in each order.

    row : str
        Under this name rows are claimed, whatever is missing of them.

    retry : bool or "unanswered"
        Which questions without an answer are put again.
    """

    def __init__(self, store, orders, fingerprints, row, retry):
        self.store, self.orders, self.fingerprints = store, orders, fingerprints
        self.row, self.retry = row, retry

    def claim(self, keys):
        """Claim rows, so that nobody else asks about them."""
        return self.store.claim(self.row, keys)

    def needs(self, keys):
        """Orders in which a row is still to be asked about, by key.

        None where one question has no usable answer and will not be put again: the row
        is lost, and the others would be paid for nothing.
        """
        known = [self.store.get_outcomes(name, keys) for name in self.fingerprints]
        return {key: self._needed([each.get(key) for each in known]) for key in keys}

    def read(self, keys, *, n_samples=None, smoothing=1.0, average="log"):
        """Look up the answers to rows.

        Parameters
        ----------
        keys : list of bytes of length n_samples
            Keys of rows.

        n_samples : int, default=None
            Replies to a question where shares of replies were stored.

        smoothing : float, default=1.0
            Laplace's, for shares of replies.

        average : {"log", "probability"}, default="log"
            How orders are averaged.

        Returns
        -------
        answers : Answers
        """
        shape = len(self.orders), len(keys)
        weights = np.full((*shape, len(self.orders[0])), np.nan)
        masses = np.full((2, *shape), np.nan)
        worst = ["answered"] * len(keys)
        for at, name in enumerate(self.fingerprints):
            known = self.store.get_outcomes(name, keys)
            for row, key in enumerate(keys):
                outcome = known.get(key)
                if outcome is None:
                    worst[row] = "not asked" if worst[row] == "answered" else worst[row]
                    continue
                masses[:, at, row] = outcome.label_mass, outcome.missing_mass
                if outcome.answer is None:
                    worst[row] = outcome.outcome
                else:
                    weights[at, row] = outcome.answer
        if n_samples is not None:
            n_replies = np.rint(masses[0] * n_samples)
            weights = np.stack(
                [
                    smooth(shares, n, smoothing)
                    for shares, n in zip(weights, n_replies, strict=True)
                ]
            )
        return Answers(
            average_orders(weights, average), *_mean_known(masses), outcomes=worst
        )

    def _needed(self, outcomes):
        open_ = [at for at, each in enumerate(outcomes) if not self._is_settled(each)]
        is_lost = any(
            each is not None and each.answer is None
            for at, each in enumerate(outcomes)
            if at not in open_
        )
        return [] if is_lost else open_

    def _is_settled(self, outcome):
        if outcome is None:
            return False
        if outcome.answer is not None:
            return True
        if self.retry == "unanswered":
            return outcome.outcome not in UNANSWERED
        return not self.retry


def _mean_known(values):
    """Means over the second axis of what is not NaN."""
    known = ~np.isnan(values)
    counts = known.sum(axis=1)
    sums = np.where(known, values, 0.0).sum(axis=1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
