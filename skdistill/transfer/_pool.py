"""Unlabelled rows of the user's own."""

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from skdistill._compat import num_samples, safe_indexing
from skdistill._frames import as_frame, is_text, kind_of, shown
from skdistill.transfer._base import check_n_samples


class UnlabelledPool(BaseEstimator):
    """Unlabelled rows of the user's own as a transfer set.

    Given as ``transfer=UnlabelledPool(rows)``, or to `fit` as `X_transfer`, it says the
    same as the rows themselves, and nothing on the way slices it: GridSearchCV and
    cross_validate cut every fit parameter that happens to have as many rows as X.
    Clones share the rows.

    Parameters
    ----------
    X : array-like of shape (n_rows, n_features) or list of str
        Rows of the same kind and with the same columns as the training rows.

    Examples
    --------
    >>> import numpy as np
    >>> from skdistill.transfer import UnlabelledPool
    >>> UnlabelledPool(np.zeros((5, 2))).fit(np.ones((3, 2))).sample(4).shape
    (4, 2)
    """

    def __init__(self, X):
        self.X = X

    def __sklearn_clone__(self):
        """Return itself: rows are never changed, a copy would only cost memory."""
        return self

    def __sklearn_is_fitted__(self):
        return True

    def fit(self, X, *, teacher=None):
        """Check that the pool has the columns of X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or list of str
            Training rows.

        teacher : object, default=None
            Not used.

        Returns
        -------
        self : UnlabelledPool

        Raises
        ------
        ValueError
            If the pool is empty or has other columns.
        """
        check_pool(X, self.X)
        return self

    def sample(self, n_samples, random_state=None):
        """Draw rows of the pool without repetition.

        Parameters
        ----------
        n_samples : int
            Number of rows; all of them come back, in their order, if they are fewer.

        random_state : int, RandomState instance or None, default=None
            Seed of the draw.

        Returns
        -------
        X : array-like of shape (<= n_samples, n_features)
        """
        check_n_samples(n_samples)
        n_rows = num_samples(self.X)
        if n_samples >= n_rows:
            return self.X
        rng = check_random_state(random_state)
        return safe_indexing(self.X, rng.permutation(n_rows)[:n_samples])


def check_pool(X, pool):
    """Check unlabelled rows against the training rows.

    Parameters
    ----------
    X : array-like
        Training rows.

    pool : array-like
        Unlabelled rows.

    Raises
    ------
    ValueError
        If the pool is empty, of another kind, or has other columns.
    """
    if num_samples(pool) == 0:
        raise ValueError(
            "X_transfer must have at least one row, got 0 rows. Leave it out if there "
            "are no unlabelled rows."
        )
    frame, own = as_frame(pool), as_frame(X)
    same = kind_of(pool) == kind_of(X) or (is_text(pool) and is_text(X))
    if same and own is not None:
        same = frame.implementation == own.implementation
    if not same:
        raise ValueError(
            f"X_transfer must be of the same kind as X ({type(X).__name__}), got "
            f"{type(pool).__name__}. Convert one of them."
        )
    if own is not None:
        if frame.columns != own.columns:
            pairs = zip(own.columns, frame.columns, strict=False)
            at = next((k for k, (a, b) in enumerate(pairs) if a != b), None)
            where = "" if at is None else f" (first difference: column {at})"
            raise ValueError(
                "X_transfer must have the columns of X in their order, "
                f"{shown(own.columns)}, got {shown(frame.columns)}{where}. Select the "
                "same columns: X_transfer[X.columns]."
            )
        return
    width, own = np.shape(pool)[1:2], np.shape(X)[1:2]
    if width != own:
        raise ValueError(
            "X_transfer must have the columns of X, got shape "
            f"{np.shape(pool)!r} where X has shape {np.shape(X)!r}. Select the same "
            "columns in the same order."
        )
