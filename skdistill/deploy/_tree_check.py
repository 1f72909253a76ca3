"""Trees of a stranger's file: each way down must come to an end.

onnxruntime follows the numbers of nodes as they stand; where they lead back to a node
above, it never returns.
"""

import numpy as np

_NUMBERS = ("treeids", "nodeids", "truenodeids", "falsenodeids")


def check_trees(attributes):
    """Check the nodes of a TreeEnsembleClassifier or -Regressor.

    Parameters
    ----------
    attributes : dict of bytes to ndarray of int64 or list of bytes
        Those attributes of the operator that hold lists.

    Raises
    ------
    ValueError
        If nodes are not lists of equal lengths, if a tree's nodes do not stand
        together, or if following them from a tree's first node may not end at a leaf.
    """
    lists = [attributes.get(f"nodes_{name}".encode(), ()) for name in _NUMBERS]
    modes = attributes.get(b"nodes_modes", ())
    n_nodes = len(modes)
    if n_nodes == 0 or any(len(numbers) != n_nodes for numbers in lists):
        raise _broken("their lists have different lengths")
    tree, node, *children = lists
    if node.min() < 0 or node.max() >= n_nodes:
        raise _broken("a node's number is out of range")
    is_first = np.append(True, tree[1:] != tree[:-1])
    if np.count_nonzero(is_first) != len(np.unique(tree)):
        raise _broken("a tree's nodes do not stand together")
    offset = n_nodes * (np.cumsum(is_first) - 1)
    keys = offset + node
    order = np.argsort(keys)
    keys = keys[order]
    if (keys[1:] == keys[:-1]).any():
        raise _broken("a node comes twice")
    is_branch = np.array([mode != b"LEAF" for mode in modes])
    n_parents = np.zeros(n_nodes, dtype=np.int64)
    for child in children:
        if not ((child >= 0) & (child < n_nodes))[is_branch].all():
            raise _broken("a node leads to one that does not exist")
        wanted = (offset + child)[is_branch]
        place = np.minimum(np.searchsorted(keys, wanted), n_nodes - 1)
        if (keys[place] != wanted).any():
            raise _broken("a node leads to one that does not exist")
        n_parents += np.bincount(order[place], minlength=n_nodes)
    # A way that begins at a node without a parent could only come into a circle at one
    # with two.
    if (n_parents > 1).any() or n_parents[is_first].any():
        raise _broken("nodes lead back to others")


def _broken(what):
    return ValueError(
        f"The trees of the model must be trees, but {what}. Export the model again "
        "with export_onnx."
    )
