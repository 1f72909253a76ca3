"""How many new rows are farther from real rows than these from each other."""

from numbers import Real

import numpy as np
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import check_random_state

from skdistill.transfer._table import Table, row_hashes


def off_manifold_rate(X, X_new, *, quantile=0.95, max_rows=5_000, random_state=0):
    """Share of new rows that are farther from the real ones than those from each other.

    With d(x) the distance of a row to the nearest real row other than itself and q the
    `quantile` of d over the distinct real rows, the rate is the share of new rows with
    ``d(x) > q``. Fresh real rows score about ``1 - quantile``; a sampler that stays
    nearer to given rows than these are to each other scores less.

    Parameters
    ----------
    X : {ndarray, DataFrame} of shape (n_samples, n_features)
        Real rows, at least two different ones.

    X_new : {ndarray, DataFrame} of shape (n_new, n_features)
        New rows of the same kind and with the same columns.

    quantile : float in (0, 1), default=0.95
        Quantile of the real rows' distances beyond which a new row is off.

    max_rows : int, default=5_000
        Real and new rows of which the distance is looked up; a random part of them
        where there are more. All real rows are looked among.

    random_state : int, RandomState instance or None, default=0
        Seed of that part.

    Returns
    -------
    rate : float
        Between 0 and 1.

    Raises
    ------
    TypeError
        If the tables are of different kinds, or no tables.

    ValueError
        If `quantile` is not between 0 and 1, `max_rows` not positive, the columns
        differ, X has fewer than two different rows, or X_new none.

    Notes
    -----
    Distances are those by which samplers find neighbours: numbers divided by their
    interquartile range over 1.35 and clipped at 4, 1 for two different categories, a
    missing cell in the middle. The idea is the precision of [1]_ (how many new points
    lie within the balls around real ones), with one radius for all.

    References
    ----------
    .. [1] Kynkaanniemi, Karras, Laine, Lehtinen, Aila, "Improved precision and recall
       metric for assessing generative models", NeurIPS 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from skdistill.transfer import MungeSampler, off_manifold_rate
    >>> X = np.random.default_rng(0).normal(size=(500, 3))
    >>> near = MungeSampler().fit(X).sample(500, random_state=0)
    >>> off_manifold_rate(X, near) < 0.1 < off_manifold_rate(X, near + 9)
    True
    """
    if not (isinstance(quantile, Real) and 0 < quantile < 1):
        raise ValueError(f"quantile must be between 0 and 1, got {quantile!r}.")
    if max_rows < 1:
        raise ValueError(f"max_rows must be at least 1, got {max_rows!r}.")
    table = Table(X)
    distinct = np.unique(row_hashes(table.values), return_index=True)[1]
    new = table.encode(X_new)
    if len(distinct) < 2 or not len(new):
        raise ValueError(
            "X must have at least 2 different rows and X_new at least one, got "
            f"{len(distinct)} and {len(new)}."
        )
    rng = check_random_state(random_state)
    real = table.points()[distinct]
    search = NearestNeighbors(n_neighbors=2).fit(real)

    def distances(points, rank):
        some = rng.permutation(len(points))[:max_rows]
        return search.kneighbors(points[some])[0][:, rank]

    # the nearest real row of a real row is itself
    q = np.quantile(distances(real, 1), quantile)
    return float(np.mean(distances(table.points(new), 0) > q))
