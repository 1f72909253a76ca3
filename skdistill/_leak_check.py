"""Whether a fitted teacher knows these rows by heart.

Probabilities of rows that a teacher memorised are close to the labels and teach little
more than labels do. Nothing in the probabilities alone tells: a confident right answer
may be honest. What tells is a teacher that is right where the neighbourhood of a row
says otherwise.
"""

import numpy as np
from sklearn import config_context
from sklearn.model_selection import cross_val_predict

from skdistill._compat import num_samples, safe_indexing
from skdistill._frames import is_text, numeric_view, row_keys
from skdistill._quick_model import quick_model

#: Folds in which the independent model answers.
N_FOLDS = 3
#: Rows looked at first, and where these leave a doubt; rows among which their twins are
#: sought, at most.
FIRST_ROWS, MAX_ROWS, MAX_TWINS = 1_000, 5_000, 100_000
#: A teacher whose error is below this share of an independent model's looks memorised:
#: over eight tables and three sizes, forests, nearest neighbours and deep boosting came
#: to .047 at most on their own training rows, the best honest teacher to .40 on others,
ERROR_SHARE = 0.07
#: provided that it is right on at least so many rows that the other model gets wrong
#: (of the first rows: enough to be sure).
MIN_SURPRISES, SURE_SURPRISES = 10, 60
#: Above this share nothing but contradictory labels could explain the errors away.
DOUBTFUL_SHARE = 0.5


def looks_memorised(P, codes, X, *, seed=0):
    """Tell whether probabilities for (X, y) look learnt by heart.

    Compares the teacher's errors with the cross-validated errors of a quick model on
    the same rows: an honest teacher makes a fair share of them, one that saw the
    answers makes next to none.

    Parameters
    ----------
    P : ndarray of shape (n_samples, n_classes)
        The teacher's probabilities.

    codes : ndarray of int of shape (n_samples,)
        Column of each row's label.

    X : array-like
        The rows. Tables, sparse matrices and lists of str are understood; for anything
        else the answer is False.

    seed : int, default=0
        Seed of the rows drawn and of the quick model.

    Returns
    -------
    memorised : bool
    """
    pool = np.random.RandomState(seed).permutation(num_samples(X))[:MAX_TWINS]
    if len(pool) > FIRST_ROWS:
        answer = _compare(P, codes, X, pool, FIRST_ROWS, SURE_SURPRISES, seed)
        if answer is not None:
            return answer
    return bool(_compare(P, codes, X, pool, MAX_ROWS, MIN_SURPRISES, seed))


def _compare(P, codes, X, pool, n_rows, min_surprises, seed):
    """Compare errors on some rows; None where they are too few to tell."""
    rows = pool[:n_rows]
    wrong, counts = P[rows].argmax(axis=1) != codes[rows], np.bincount(codes[rows])
    # The quick model is seldom worse than the most frequent class: most honest
    # teachers are cleared here, without any fit.
    at_most = len(rows) - counts.max()
    if at_most < min_surprises:
        return None
    if wrong.sum() > DOUBTFUL_SHARE * at_most:
        return False
    usual = counts[codes[rows]] >= N_FOLDS  # every fold needs some rows of each class
    rows, wrong = rows[usual], wrong[usual]
    model, X_rows = quick_model(safe_indexing(X, rows), seed)
    if model is None or np.unique(codes[rows]).size < 2:
        return False
    # What the user routes to teacher and splitter does not concern the quick model.
    with config_context(enable_metadata_routing=False):
        quick = cross_val_predict(model, X_rows, codes[rows], cv=N_FOLDS)
    quick_wrong = quick != codes[rows]
    if np.count_nonzero(quick_wrong & ~wrong) < min_surprises:
        return None
    if _far_better(wrong, quick_wrong):
        return True
    if not _far_better(wrong, quick_wrong, DOUBTFUL_SHARE):
        return False
    # Nobody can know both labels of one row by heart: such rows tell nothing.
    twins = _contradicted(safe_indexing(X, pool), codes[pool])[: len(usual)][usual]
    return _far_better(wrong[~twins], quick_wrong[~twins])


def _far_better(wrong, quick_wrong, share=ERROR_SHARE):
    surprises = np.count_nonzero(quick_wrong & ~wrong)
    return bool(surprises >= MIN_SURPRISES and wrong.sum() <= share * quick_wrong.sum())


def _contradicted(X, codes):
    """Rows that are there again with another label, as a mask."""
    if is_text(X):
        keys = np.asarray(X).tolist()
    else:
        table = numeric_view(X)
        if table is None:
            return np.zeros(len(codes), dtype=bool)
        keys = row_keys(table)
    labels = {}
    for key, code in zip(keys, codes.tolist(), strict=True):
        labels.setdefault(key, set()).add(code)
    return np.array([len(labels[key]) > 1 for key in keys])
