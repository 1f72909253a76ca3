"""Hierarchical shrinkage: the answer of a node is drawn to those of the nodes above.

A tree that is grown far answers from leaves of a few rows. Shrinking keeps its splits,
its size and its speed, and changes the numbers in its nodes only, in place.
"""

import numpy as np

from skdistill.students._adapter import model_of
from skdistill.students._rows import mro_names

#: Strengths that are worth a try, in rows; 0 leaves a tree as it is.
STRENGTHS = (0.0, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
#: Forests with more numbers in their nodes (400 MB) are not tried: a look copies them.
MAX_VALUES = 50_000_000

_TREES = {"BaseDecisionTree", "BaseForest"}


def can_shrink(student):
    """Tell whether a student, fitted or not, is a tree or a forest of scikit-learn's.

    Bounds of monotonic trees would not outlast it. A fitted forest may be too large.
    """
    model = model_of(student)
    is_bounded = getattr(model, "monotonic_cst", None) is not None
    if is_bounded or not mro_names(model) & _TREES:
        return False
    if not hasattr(model, "n_outputs_"):  # not fitted
        return True
    return sum(tree.value.size for tree in _trees_of(student)) <= MAX_VALUES


def shrink(student, strength):
    r"""Draw the answer of each node to those above it, for good.

    With the nodes :math:`t_0, ..., t_L` from root to leaf, :math:`N` rows and mean
    target :math:`v` of each, the leaf answers

    .. math:: v(t_0) + \sum_{l=1}^{L} \frac{v(t_l) - v(t_{l-1})}{1 + s / N(t_{l-1})}.

    Parameters
    ----------
    student : fitted estimator
        One that `can_shrink`. Changed in place.

    strength : float
        s, in rows of mean weight.

    References
    ----------
    Agarwal, Tan, Ronen, Singh, Yu, "Hierarchical shrinkage: improving the accuracy and
    interpretability of tree-based methods", ICML 2022, equation 1.
    """
    for tree in _trees_of(student):
        _shrink(tree, tree.value.copy(), strength)


def shrunk_answers(student, X, strengths=STRENGTHS):
    """Probabilities of rows at each strength; the student stays as it is.

    Parameters
    ----------
    student : fitted classifier
        One that `can_shrink`.

    X : array-like of shape (n_samples, n_features)

    strengths : sequence of float

    Returns
    -------
    answers : list of ndarray of shape (n_samples, n_classes)
    """
    trees = _trees_of(student)
    values = [tree.value.copy() for tree in trees]
    answers = []
    for strength in strengths:
        for tree, value in zip(trees, values, strict=True):
            _shrink(tree, value, strength)
        answers.append(student.predict_proba(X))
    for tree, value in zip(trees, values, strict=True):
        tree.value[:] = value
    return answers


def n_trees(student):
    """Count the trees of a fitted student that `can_shrink`."""
    return len(_trees_of(student))


def _trees_of(student):
    model = model_of(student)
    return [tree.tree_ for tree in getattr(model, "estimators_", [model])]


def _shrink(tree, value, strength):
    """Write shrunk values into a tree; `value` is what its nodes held before."""
    rows = tree.weighted_n_node_samples
    rows = rows * (tree.n_node_samples[0] / rows[0])
    shrunk = tree.value  # a view
    shrunk[0] = value[0]
    for parents, children in _levels(tree):
        share = rows[parents] / (rows[parents] + strength)
        step = (value[children] - value[parents]) * share[:, np.newaxis, np.newaxis]
        shrunk[children] = shrunk[parents] + step


def _levels(tree):
    """Yield (parents, children), level after level from the root."""
    left, right = tree.children_left, tree.children_right
    nodes = np.zeros(1, dtype=np.intp)
    while True:
        inner = nodes[left[nodes] >= 0]
        if len(inner) == 0:
            return
        nodes = np.concatenate([left[inner], right[inner]])
        yield np.concatenate([inner, inner]), nodes
