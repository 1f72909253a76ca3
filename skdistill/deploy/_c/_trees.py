"""Decision trees and forests as tables of nodes."""

import numpy as np
from scipy.special import softmax
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)

from skdistill.deploy._c._program import Trees
from skdistill.students._adapter import POWER_EPS

_FORESTS = (
    RandomForestClassifier,
    ExtraTreesClassifier,
    RandomForestRegressor,
    ExtraTreesRegressor,
)
TREES = (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
    *_FORESTS,
)

#: Score of a class that a student of logits never met.
NEVER = -1e6


def read_trees(estimator, adapter, scaling):
    """Read fitted trees.

    Parameters
    ----------
    estimator : tree or forest of scikit-learn

    adapter : SoftStudentAdapter or None
        What makes probabilities of a regressor's answers.

    scaling : tuple (center, rate) of ndarray, or None
        Of scalers before the trees.

    Returns
    -------
    trees : Trees
    """
    members = estimator.estimators_ if isinstance(estimator, _FORESTS) else [estimator]
    parts, values, n_nodes, n_leaves = [], [], 0, 0
    for member in members:
        part = _read_tree(member.tree_, n_nodes, n_leaves)
        parts.append(part[:-1])
        leaves = _leaf_values(member.tree_, part[-1])
        values.append(leaves)
        n_nodes, n_leaves = n_nodes + len(part[1]), n_leaves + len(leaves)
    roots, feature, threshold, missing_left, left, right = map(
        np.concatenate, zip(*parts, strict=True)
    )
    values, finish, power = _answers(np.concatenate(values), adapter, len(members))
    values, row_of_leaf = np.unique(
        values.astype(np.float32), axis=0, return_inverse=True
    )
    row_of_leaf = row_of_leaf.ravel()
    return Trees(
        roots=_at_rows(roots, row_of_leaf),
        feature=feature,
        threshold=_single_thresholds(threshold, feature, scaling),
        missing_left=missing_left,
        left=_at_rows(left, row_of_leaf),
        right=_at_rows(right, row_of_leaf),
        values=values,
        finish=finish,
        power=power,
    )


def _read_tree(tree, first_node, first_leaf):
    """Inner nodes of one tree, numbered from `first_node`; ``~number`` for leaves."""
    is_leaf = tree.children_left < 0
    inner = np.flatnonzero(~is_leaf)
    leaves = np.flatnonzero(is_leaf)
    number = np.empty(tree.node_count, dtype=np.intp)
    number[inner] = first_node + np.arange(len(inner))
    number[leaves] = ~(first_leaf + np.arange(len(leaves)))
    return (
        number[:1],
        tree.feature[inner],
        tree.threshold[inner],
        tree.missing_go_to_left[inner].astype(bool),
        number[tree.children_left[inner]],
        number[tree.children_right[inner]],
        leaves,
    )


def _leaf_values(tree, leaves):
    """Answers of leaves, (n_leaves, n_classes or n_outputs)."""
    values = tree.value[leaves]
    if tree.n_outputs > 1:  # a regressor of several columns
        return values[:, :, 0]
    return values[:, 0, :]


def _at_rows(references, row_of_leaf):
    references = references.copy()
    at_leaf = references < 0
    references[at_leaf] = ~row_of_leaf[~references[at_leaf]]
    return references


def _answers(values, adapter, n_trees):
    """Leaf values for all classes, and what is left to do with their sum."""
    if adapter is None:
        return _normalised(values), "normalise", 1.0
    n_classes, columns = len(adapter.classes_), adapter.columns_
    if adapter.kind_ == "logits":
        if values.shape[1] == 1:
            values = np.column_stack([-values, values])
        scores = np.full((len(values), n_classes), NEVER)
        # Softmax of T times the scores is the answer raised to the power T.
        scores[:, columns] = adapter.temperature_ * adapter.scale_ * values
        if n_trees == 1:
            return softmax(scores, axis=1), "normalise", 1.0
        return scores / n_trees, "softmax", 1.0
    if adapter.kind_ == "classifier":
        values = _normalised(values)
    elif values.shape[1] == 1:
        values = np.column_stack([1 - values, values])
    Q = np.zeros((len(values), n_classes))
    Q[:, columns] = np.clip(values, 0.0, None)
    if n_trees == 1:
        P = _normalised(Q)
        # A single leaf is the whole answer: raised to the power T here and now.
        P[:, columns] = np.maximum(P[:, columns], POWER_EPS) ** adapter.temperature_
        return _normalised(P), "normalise", 1.0
    return Q, "normalise", adapter.temperature_


def _normalised(values):
    return values / values.sum(axis=1, keepdims=True)


# -- thresholds ------------------------------------------------------------------------


def _single_thresholds(threshold, feature, scaling):
    """Largest float32 that goes left: trees compare float32 with float64."""
    if scaling is None:
        return _rounded_down(threshold)
    center, rate = (part[feature] for part in scaling)
    with np.errstate(over="ignore"):
        single = (threshold / rate + center).astype(np.float32)

    def goes_left(x):
        return ((x.astype(np.float64) - center) * rate).astype(np.float32) <= threshold

    # Scaling rounds too: the exact place is a few floats away at most.
    for _ in range(8):
        single = np.where(goes_left(single), single, np.nextafter(single, -np.inf))
    for _ in range(16):
        above = np.nextafter(single, np.float32(np.inf))
        single = np.where(goes_left(above), above, single)
    return single


def _rounded_down(threshold):
    with np.errstate(over="ignore"):
        single = threshold.astype(np.float32)
    is_above = single > threshold
    single[is_above] = np.nextafter(single[is_above], np.float32(-np.inf))
    return single
