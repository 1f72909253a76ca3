"""A teacher that stays on disk until it is asked."""

import os
import pickle
import tempfile
from functools import lru_cache
from hashlib import sha256

from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import get_tags

#: What can be known of a teacher without loading it.
_FACTS = ("classes_", "n_features_in_", "feature_names_in_")
_INPUT_TAGS = (
    "allow_nan",
    "categorical",
    "one_d_array",
    "pairwise",
    "positive_only",
    "sparse",
    "string",
    "three_d_array",
    "two_d_array",
)
_CLASSIFIER_TAGS = ("multi_class", "multi_label", "poor_score")


class TeacherFile(ClassifierMixin, BaseEstimator):
    """Fitted classifier of which only labels and names are in memory.

    It is loaded from its file when it is asked. The file holds a pickle: it is the
    user's own model on the user's own disk, and it is loaded only if its digest is the
    one that was noted when it was written.

    Parameters
    ----------
    path : str
        Where the pickle is.

    digest : str
        SHA-256 of the file.

    facts : dict
        The teacher's `classes_` and names of features, and its input tags.
    """

    def __init__(self, path, digest, facts):
        self.path, self.digest, self.facts = path, digest, facts

    def __getattr__(self, name):
        if name in _FACTS and name in self.__dict__.get("facts", ()):
            return self.facts[name]
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")

    def __sklearn_is_fitted__(self):
        return True

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        for name, value in self.facts.get("input_tags", {}).items():
            setattr(tags.input_tags, name, value)
        for name, value in self.facts.get("classifier_tags", {}).items():
            setattr(tags.classifier_tags, name, value)
        return tags

    def fit(self, X, y):
        """Do nothing: the teacher is fitted."""
        return self

    def predict_proba(self, X):
        """Probabilities of the classes, by the teacher, which is loaded now.

        Parameters
        ----------
        X : array-like of length n_samples
            Rows.

        Returns
        -------
        P : ndarray of shape (n_samples, n_classes)
        """
        return _load(self.path, self.digest).predict_proba(X)


def write_teacher(teacher, path):
    """Write a teacher beside a store, whole or not at all.

    Parameters
    ----------
    teacher : fitted classifier
        What to write.

    path : str
        File that comes to hold the pickle.

    Returns
    -------
    teacher : TeacherFile
    """
    data = pickle.dumps(teacher, protocol=pickle.HIGHEST_PROTOCOL)
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=folder)
    try:
        with open(handle, "wb") as file:
            file.write(data)
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise
    facts = {name: getattr(teacher, name) for name in _FACTS if hasattr(teacher, name)}
    return TeacherFile(path, sha256(data).hexdigest(), facts | known_tags(teacher))


def known_tags(teacher):
    """What a teacher's tags say of rows and labels, field by field; {} without tags.

    Returns
    -------
    tags : dict of dicts
        ``input_tags`` and ``classifier_tags``.
    """
    try:
        tags = get_tags(teacher)
    except (AttributeError, TypeError):  # no scikit-learn estimator
        return {}
    parts = {"input_tags": _INPUT_TAGS, "classifier_tags": _CLASSIFIER_TAGS}
    return {
        part: {name: getattr(getattr(tags, part), name) for name in names}
        for part, names in parts.items()
        if getattr(tags, part) is not None
    }


@lru_cache(maxsize=2)
def _load(path, digest):
    """Load a teacher once in this process."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"The teacher must lie beside its store, got no file {path!r}. Make a new "
            "reference from the teacher."
        ) from error
    if sha256(data).hexdigest() != digest:
        raise ValueError(
            f"The teacher's file must be as it was written, got other content in "
            f"{path!r}. It was not loaded. Make a new reference from the teacher."
        )
    return pickle.loads(data)
