"""Histogram-based boosting as a graph of one tree ensemble.

skl2onnx 1.20 rounds thresholds to the nearest float32, which sends rows at an edge the
other way, and hands numpy's own integers to protobuf 7, which refuses them.
"""

import numpy as np
import onnx

from skdistill._compat import boosted_trees, boosting_baseline, boosting_link
from skdistill.deploy._encoder_graph import select
from skdistill.deploy._graph import ML


def write_boosting(graph, model, ports, *, as_scores=False):
    """Add a HistGradientBoosting model.

    Parameters
    ----------
    graph : Graph

    model : fitted HistGradientBoostingClassifier or HistGradientBoostingRegressor

    ports : list of Port
        Where the columns of its rows are.

    as_scores : bool, default=False
        Whether a classifier answers its decision function, one column a class, with
        both signs for two classes.

    Returns
    -------
    answer : str
        Probabilities of shape (N, n_classes), or predictions of shape (N, 1).

    Raises
    ------
    ValueError
        If it has categorical features, whose splits ONNX's trees lack.
    """
    if model.is_categorical_ is not None:
        raise ValueError(
            f"{type(model).__name__} must be fitted without categorical_features to be "
            "exported, as ONNX's trees have no splits by category. Put a "
            "OneHotEncoder before it, in a Pipeline, and set categorical_features=None."
        )
    x, dtype = select(graph, ports, list(range(model.n_features_in_)))
    if dtype == "int64":
        x, dtype = graph.node("Cast", x, to=onnx.TensorProto.FLOAT), "float32"
    baseline = boosting_baseline(model)
    z = graph.node(
        "TreeEnsembleRegressor", x, domain=ML, n_targets=len(baseline),
        **_attributes(boosted_trees(model), baseline, dtype),
    )  # fmt: skip
    if not hasattr(model, "classes_"):
        return graph.node("Exp", z) if boosting_link(model) == "LogLink" else z
    if len(baseline) > 1:
        return z if as_scores else graph.node("Softmax", z, axis=1)
    both = graph.node("Concat", graph.node("Neg", z), z, axis=1)
    return both if as_scores else graph.node("Sigmoid", both)


def _attributes(stages, baseline, dtype):
    """Describe the trees: a row of a list for each node."""
    nodes = np.concatenate([tree.nodes for stage in stages for tree in stage])
    sizes = [len(tree.nodes) for stage in stages for tree in stage]
    tree_of = np.repeat(np.arange(len(sizes)), sizes)
    place = np.concatenate([np.arange(size) for size in sizes])
    target = tree_of % len(baseline)
    leaf = nodes["is_leaf"].astype(bool)
    lists = {
        "nodes_treeids": tree_of,
        "nodes_nodeids": place,
        "nodes_featureids": np.where(leaf, 0, nodes["feature_idx"]),
        "nodes_truenodeids": np.where(leaf, 0, nodes["left"]),
        "nodes_falsenodeids": np.where(leaf, 0, nodes["right"]),
        "nodes_missing_value_tracks_true": np.where(
            leaf, 0, nodes["missing_go_to_left"]
        ),
        "target_treeids": tree_of[leaf],
        "target_nodeids": place[leaf],
        "target_ids": target[leaf],
    }
    numbers = {
        "nodes_values": np.where(leaf, 0.0, nodes["num_threshold"]),
        "target_weights": nodes["value"][leaf],
        "base_values": baseline,
    }
    modes = ["LEAF" if is_leaf else "BRANCH_LEQ" for is_leaf in leaf]
    attributes = {name: values.tolist() for name, values in lists.items()}
    attributes["nodes_modes"] = modes
    if dtype == "float64":
        for name, values in numbers.items():
            tensor = onnx.numpy_helper.from_array(values.astype(np.float64), name)
            attributes[f"{name}_as_tensor"] = tensor
        return attributes
    numbers["nodes_values"] = below(numbers["nodes_values"])
    return attributes | {name: values.tolist() for name, values in numbers.items()}


def below(thresholds):
    """Round down to float32: then ``x <= t`` holds for the same float32 x."""
    with np.errstate(over="ignore"):
        single = thresholds.astype(np.float32)
    above = single > thresholds
    single[above] = np.nextafter(single[above], np.float32(-np.inf))
    return single.astype(np.float64)
