"""A process of its own that asks a cached teacher; tests start several and kill some.

``python answer_store_worker.py STORE LOG SEED N_ROWS FIRST LAST``: asks rows FIRST to
LAST of the table that `rows` draws, in an order of its own, and appends to LOG one line
for each row that reached the teacher ("asked 17") and one for each that the store has
acknowledged ("stored 17").
"""

import os
import sys
import time

import numpy as np

from skdistill.teachers import AnswerStore, CachedTeacher

N_CLASSES = 3


def rows(n_rows):
    """Rows that carry their number in the first column."""
    X = np.random.default_rng(0).normal(size=(n_rows, 5))
    X[:, 0] = np.arange(n_rows)
    return X


def truth(X):
    """What the teacher says: the same for a row in every batch, to the last bit."""
    scores = np.exp(np.stack([np.sin(X[:, 1] * (k + 1)) for k in range(N_CLASSES)], 1))
    return scores / scores.sum(axis=1, keepdims=True)


class Log:
    """Lines appended by many processes, each whole."""

    def __init__(self, path):
        self.path = path

    def add(self, word, numbers):
        text = "".join(f"{word} {int(number)}\n" for number in numbers)
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, text.encode())
        os.close(file)

    def numbers(self, word):
        if not os.path.exists(self.path):
            return []
        with open(self.path) as file:
            pairs = [line.split() for line in file]
        return [int(number) for kind, number in pairs if kind == word]


class LoggedTeacher:
    """Slow teacher that writes down which rows reach it."""

    classes_ = np.arange(N_CLASSES)

    def __init__(self, log, seconds):
        self.log, self.seconds = log, seconds

    def predict_proba(self, X):
        self.log.add("asked", X[:, 0])
        time.sleep(self.seconds)
        return truth(X)


class LoggedStore(AnswerStore):
    """Store that writes down what it acknowledged."""

    log = None

    def put_many(self, fingerprint, keys, P, *, claim=None):
        super().put_many(fingerprint, keys, P, claim=claim)
        self.log.add("stored", [self.number[key] for key in keys])


def main(path, log, seed, n_rows, first, last):
    from skdistill.teachers._row_keys import row_keys

    log, X = Log(log), rows(int(n_rows))
    store = LoggedStore(path)
    store.log, store.number = log, dict(zip(row_keys(X), range(len(X)), strict=True))
    teacher = LoggedTeacher(log, seconds=0.002)
    cached = CachedTeacher(teacher, store, key="logged", chunk_size=50)
    order = np.random.default_rng(int(seed)).permutation(
        np.arange(int(first), int(last))
    )
    print("ready", flush=True)
    P = cached.predict_proba(X[order])
    assert np.array_equal(P, truth(X[order]))
    print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
