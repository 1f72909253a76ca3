"""Asking a teacher each distinct row once, over all processes that share a store."""

import time

import numpy as np

from skdistill.teachers._store import FIRST_PAUSE, LONGEST_PAUSE

#: Rows of the first chunk, and of the largest one.
FIRST_CHUNK, LARGEST_CHUNK = 64, 16_384
#: A chunk that takes fewer seconds than this is followed by a larger one.
SHORT_CHUNK = 1.0


def ask_once(store, fingerprint, keys, ask, *, chunk_size="auto"):
    """Answers for rows: those stored are read, the others asked and stored.

    Rows that another process is asking are waited for, not asked again; they are taken
    over where that process dies or its claim expires. A chunk is stored before the next
    one is asked, so that a crash loses one at most.

    Parameters
    ----------
    store : AnswerStore
        Where answers are kept.

    fingerprint : str
        Identity of the teacher.

    keys : list of bytes of length n_samples
        Keys of the rows; rows with the same key are asked once.

    ask : callable
        Takes an increasing array of positions, returns probabilities of shape
        (n_positions, n_columns).

    chunk_size : int or "auto", default="auto"
        Most rows asked at once; "auto" begins with 64 and goes on with four times as
        many as long as a chunk takes less than a second.

    Returns
    -------
    P : ndarray of shape (n_samples, n_columns)

    n_found : int
        Rows that came out of the store.
    """
    number = {}
    inverse = np.array([number.setdefault(key, len(number)) for key in keys], np.intp)
    distinct, first = list(number), np.unique(inverse, return_index=True)[1]
    found, P = store.get_many(fingerprint, distinct)
    n_found = int(found[inverse].sum())
    size = FIRST_CHUNK if chunk_size == "auto" else chunk_size
    missing, pause = np.flatnonzero(~found), FIRST_PAUSE
    while len(missing):
        wanted = [distinct[row] for row in missing]
        with store.claim(fingerprint, wanted, limit=size) as claim:
            if claim.keys:
                rows = np.array([number[key] for key in claim.keys])
                start = time.perf_counter()
                answers = ask(first[rows])
                is_short = time.perf_counter() - start < SHORT_CHUNK
                store.put_many(fingerprint, claim.keys, answers, claim=claim)
                P = _filled(P, rows, answers)
                missing = np.setdiff1d(missing, rows, assume_unique=True)
                if chunk_size == "auto" and is_short:
                    size = min(4 * size, LARGEST_CHUNK)
                continue
        # Everything left is being asked, or was answered, by somebody else.
        found, answers = store.get_many(fingerprint, wanted)
        if found.any():
            P = _filled(P, missing[found], answers[found])
            n_found += int(np.isin(inverse, missing[found]).sum())
            missing, pause = missing[~found], FIRST_PAUSE
        else:
            time.sleep(pause)
            pause = min(1.5 * pause, LONGEST_PAUSE)
    return P[inverse], n_found


def _filled(P, rows, answers):
    """Answers with some rows filled in; the first of these give the width."""
    if P.shape[1] == 0:
        P = np.full((len(P), answers.shape[1]), np.nan)
    P[rows] = answers
    return P
