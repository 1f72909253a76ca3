"""A classifier that fits any kind of rows in a moment, to look at what they tell."""

from scipy import sparse
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import make_pipeline

from skdistill._frames import is_text, numeric_view


def quick_model(X, seed):
    """Return a model that fits in a moment on such rows, and the rows for it.

    Parameters
    ----------
    X : array-like
        Tables, sparse matrices and lists of str are understood.

    seed : int
        Seed of the model.

    Returns
    -------
    model : unfitted classifier or None
        None for any other kind of rows.

    X : array-like
        The rows as the model takes them.
    """
    linear = SGDClassifier(loss="log_loss", random_state=seed)
    if is_text(X):
        return make_pipeline(HashingVectorizer(n_features=2**14), linear), X
    if sparse.issparse(X):
        return linear, X
    table = numeric_view(X)
    if table is None:
        return None, X
    return ExtraTreesClassifier(30, random_state=seed), table
