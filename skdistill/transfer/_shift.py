"""Whether a pool of unlabelled rows looks like the training rows."""

import numpy as np
from sklearn import config_context
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from skdistill._compat import num_samples, safe_indexing
from skdistill._frames import concat_rows
from skdistill._quick_model import quick_model
from skdistill.transfer._pool import check_pool

#: Folds in which the classifier answers, and the fewest rows of each side it needs.
N_FOLDS, MIN_ROWS = 3, 30


def pool_shift(X, pool, *, max_rows=1_000, random_state=0):
    """Tell how well a classifier tells unlabelled rows from training rows.

    A classifier two-sample test [1]_: a quick model (trees for tables, a linear model
    on hashed words for texts) learns which side a row is from, and answers out of fold.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features) or list of str
        Training rows.

    pool : array-like of shape (n_pool, n_features) or list of str
        Unlabelled rows of the same kind.

    max_rows : int, default=1_000
        Rows looked at of each side, a random part where there are more.

    random_state : int, default=0
        Seed of that part and of the model.

    Returns
    -------
    auc : float
        Area under the ROC curve: .5 where the two look alike, 1 where every row gives
        its side away. NaN where a side has fewer than 30 rows, or the rows are of a
        kind that no quick model takes.

    Raises
    ------
    ValueError
        If the pool is empty, of another kind than X, or has other columns.

    References
    ----------
    .. [1] Lopez-Paz, Oquab, "Revisiting classifier two-sample tests", ICLR 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from skdistill.transfer import pool_shift
    >>> rng = np.random.default_rng(0)
    >>> X, alike = rng.normal(size=(2, 500, 4))
    >>> pool_shift(X, alike) < 0.6, pool_shift(X, alike + 3) > 0.95
    (True, True)
    """
    check_pool(X, pool)
    rng = np.random.RandomState(random_state)
    sides = [
        safe_indexing(rows, rng.permutation(num_samples(rows))[:max_rows])
        for rows in (X, pool)
    ]
    counts = [num_samples(side) for side in sides]
    if min(counts) < MIN_ROWS:
        return np.nan
    model, rows = quick_model(concat_rows(*sides), random_state)
    if model is None:
        return np.nan
    is_pool = np.repeat([0, 1], counts)
    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=random_state)
    # What the user routes to teacher and splitter does not concern the quick model.
    with config_context(enable_metadata_routing=False):
        P = cross_val_predict(model, rows, is_pool, cv=folds, method="predict_proba")
    return float(roc_auc_score(is_pool, P[:, 1]))
