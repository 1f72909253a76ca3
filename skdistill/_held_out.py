"""Rows that are held out to choose by, and rows to choose by again."""

from functools import reduce

import numpy as np
from sklearn.model_selection import GroupShuffleSplit, StratifiedShuffleSplit

from skdistill._labelling import make_splits

#: Share of the rows held out for the choice, and the fewest that can decide anything.
HELD_OUT, MIN_HELD_OUT = 0.2, 50
#: A fold of the teacher serves as held-out part where more than this share of all rows
#: is left to learn from, with answers: not the first of a TimeSeriesSplit, nor of two.
MIN_LEFT = 0.5
#: Further splits, of twice as many rows: with them each row is held out once.
N_OTHERS = 2


def held_out_split(rows, seed):
    """Split row positions into (train, test); test is empty where rows are too few."""
    n, n_test = len(rows), int(HELD_OUT * len(rows))
    if n_test < MIN_HELD_OUT:
        return np.arange(n), np.arange(0)
    if rows.groups is not None:
        if len(np.unique(np.asarray(rows.groups))) < 2:
            return np.arange(n), np.arange(0)
        split = GroupShuffleSplit(1, test_size=HELD_OUT, random_state=seed)
        return next(split.split(np.zeros(n), groups=rows.groups))
    if rows.codes is not None:
        counts = np.bincount(rows.codes)
        if n_test >= np.count_nonzero(counts):
            # Classes of a single row cannot be split: they stay in training.
            usual = np.flatnonzero(counts[rows.codes] > 1)
            split = StratifiedShuffleSplit(1, test_size=n_test, random_state=seed)
            test = usual[next(split.split(usual, rows.codes[usual]))[1]]
            return np.setdiff1d(np.arange(n), test), np.sort(test)
    test = np.sort(np.random.RandomState(seed).permutation(n)[:n_test])
    return np.setdiff1d(np.arange(n), test), test


def own_folds(rows, own):
    """Folds of the teacher that a student can learn from, and be compared on."""
    if own is None or own.splits is None or rows.at is not None:
        return []
    answered = rows.answered
    fewest = MIN_LEFT * len(rows)
    return [fold for fold in own.splits if answered[fold[0]].sum() > fewest]


def other_splits(rows, folds, split, seed):
    """Splits whose test parts share no row with that of `split`, nor with each other.

    Parameters
    ----------
    rows : Rows
        With labels.

    folds : list of (train, test) index arrays
        The teacher's: if `split` is the first of several, the next serve too.

    split : tuple of ndarray
        Positions to learn from, and held out.

    seed : int

    Returns
    -------
    splits : list of (train, test) index arrays
        Each with a test part that can decide.
    """
    if len(folds) > 1 and split is folds[0]:
        splits = _merged(folds[1:], MIN_LEFT * len(rows))
    else:
        splits = _folds_of_rest(rows, split[1], seed)
    others, seen = [], split[1]
    for train, test in splits:
        fresh = train, np.setdiff1d(test, seen)  # folds of a ShuffleSplit overlap
        if can_decide(rows, fresh):
            others.append(fresh)
            seen = np.union1d(seen, fresh[1])
    return others


def _merged(folds, fewest):
    """Take two folds for one, where more than so many rows are left to learn from."""
    pairs = [folds[i : i + 2] for i in range(0, 2 * N_OTHERS, 2)]
    merged = [
        (
            reduce(np.intersect1d, [train for train, _ in pair]),
            np.unique(np.concatenate([test for _, test in pair])),
        )
        for pair in pairs
        if pair
    ]
    if all(len(train) > fewest for train, _ in merged):
        return merged
    return folds[:N_OTHERS]


def _folds_of_rest(rows, known, seed):
    """Fold the rows that are not known."""
    everywhere = np.arange(len(rows))
    at = np.setdiff1d(everywhere, known)
    rest = rows.take(at)
    params = {}
    if rest.groups is not None:
        if len(np.unique(np.asarray(rest.groups))) < 2:
            return []
        params["groups"] = rest.groups
    folds = make_splits(
        "auto", rest.codes, None, rest.codes, split_params=params, seed=seed,
        n_folds=N_OTHERS,
    )  # fmt: skip
    return [(np.setdiff1d(everywhere, at[test]), at[test]) for _, test in folds]


def can_decide(rows, split):
    """Tell whether the test part of a split can tell a good student from a bad one."""
    test = split[1]
    if len(test) < MIN_HELD_OUT:
        return False
    return rows.weight is None or rows.weight[test].any()
