"""Where the trees of a fitted model split: thresholds by column of its input."""

import json

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.feature_selection import SelectorMixin
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

from skdistill._compat import histogram_splits

#: Attributes that hold models which see the same columns as their owner.
_PARTS = (
    "estimator", "estimator_", "estimators_", "calibrated_classifiers_",
    "best_estimator_", "teacher", "teacher_", "student_", "teachers", "teachers_",
)  # fmt: skip
#: Transformers that change each column by itself, with an inverse, and keep its order.
_SCALERS = (
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)


def split_thresholds(model):
    """Collect the thresholds of all trees within a fitted model.

    Trees are looked for in scikit-learn's trees, forests, boosting and histogram
    boosting, in LightGBM, XGBoost and CatBoost models, and in whatever holds these:
    stacks, votes, bags, calibrated and frozen models, searches, pipelines. Behind
    scaling, imputation, selection and a ColumnTransformer of these, thresholds are
    turned back into those of the columns that came in; behind other transformers
    (one-hot encoding, PCA) they are left out.

    Parameters
    ----------
    model : object
        A fitted model; anything else has no thresholds.

    Returns
    -------
    cuts : dict of int to ndarray
        Sorted thresholds of each column of the model's input that is split.
    """
    pieces = []
    _collect(model, pieces.append)
    return _joined(pieces)


def _joined(pieces):
    """Join thresholds of several trees."""
    parts = {}
    for piece in pieces:
        for feature, cuts in piece.items():
            parts.setdefault(feature, []).append(cuts)
    return {j: np.unique(np.concatenate(cuts)) for j, cuts in sorted(parts.items())}


def _collect(model, emit):
    """Hand each piece of thresholds within a model to `emit`."""
    if isinstance(model, Pipeline):
        cuts = split_thresholds(model.steps[-1][1])
        for _, transformer in reversed(model.steps[:-1]):
            cuts = _before(transformer, cuts)
        emit(cuts)
        return
    if isinstance(model, list | tuple | np.ndarray):
        # an array may have two axes; what a list holds may look like a list itself
        for part in model.ravel() if isinstance(model, np.ndarray) else model:
            _collect(part, emit)
        return
    for read in (_tree, histogram_splits, _lightgbm, _xgboost, _catboost):
        features, thresholds = read(model)
        if len(features):
            emit(_by_feature(features, thresholds))
    if hasattr(model, "estimators_features_"):  # a bag: its parts see some columns
        for part, own in zip(
            model.estimators_, model.estimators_features_, strict=True
        ):
            emit({int(own[j]): cuts for j, cuts in split_thresholds(part).items()})
        return
    for name in _PARTS:
        part = vars(model).get(name) if hasattr(model, "__dict__") else None
        if part is not None and not isinstance(part, str):
            _collect(part, emit)


def _by_feature(features, thresholds):
    """Thresholds of each feature, repeated ones once."""
    order = np.lexsort((thresholds, features))
    features, thresholds = features[order], thresholds[order]
    columns, first = np.unique(features, return_index=True)
    return {
        int(j): np.unique(cuts)
        for j, cuts in zip(columns, np.split(thresholds, first[1:]), strict=True)
    }


# -- kinds of trees: features and thresholds of all their splits -----------------------

_NONE = (np.empty(0, dtype=np.intp), np.empty(0))


def _as_splits(pairs):
    pairs = list(pairs)
    if not pairs:
        return _NONE
    features, thresholds = zip(*pairs, strict=True)
    return np.asarray(features, dtype=np.intp), np.asarray(thresholds, dtype=np.float64)


def _tree(model):
    """Splits of a scikit-learn tree."""
    tree = getattr(model, "tree_", None)
    if not hasattr(tree, "threshold"):
        return _NONE
    inner = tree.feature >= 0
    return tree.feature[inner], tree.threshold[inner]


def _lightgbm(model):
    """Splits of a LightGBM model; those by category are left out."""
    booster = getattr(model, "booster_", None)
    if booster is None:
        return _NONE
    nodes = [tree["tree_structure"] for tree in booster.dump_model()["tree_info"]]
    return _as_splits(
        (node["split_feature"], node["threshold"])
        for node in _walk(nodes, ("left_child", "right_child"))
        if node.get("decision_type") == "<="
    )


def _xgboost(model):
    """Splits of an XGBoost model; those by category are left out."""
    if not hasattr(model, "get_booster") or not model.__sklearn_is_fitted__():
        return _NONE
    booster = model.get_booster()
    names = booster.feature_names or [f"f{j}" for j in range(booster.num_features())]
    position = {name: j for j, name in enumerate(names)}
    roots = map(json.loads, booster.get_dump(dump_format="json"))
    return _as_splits(
        (position[node["split"]], node["split_condition"])
        for node in _walk(list(roots), ("children",))
        if "split" in node and not isinstance(node["split_condition"], list)
    )


def _catboost(model):
    """Splits of a CatBoost model; those by category are left out."""
    if not hasattr(model, "get_borders") or not model.is_fitted():
        return _NONE
    return _as_splits(
        (j, border) for j, borders in model.get_borders().items() for border in borders
    )


def _walk(nodes, links):
    """Yield nodes of trees of dicts, and what hangs below them."""
    nodes = list(nodes)
    while nodes:
        node = nodes.pop()
        yield node
        for link in links:
            below = node.get(link, [])
            nodes.extend(below if isinstance(below, list) else [below])


# -- transformers ----------------------------------------------------------------------


def _before(transformer, cuts):
    """Turn thresholds of what a transformer gives into those of what it gets."""
    if transformer in (None, "passthrough") or not cuts:
        return cuts
    if isinstance(transformer, FunctionTransformer) and transformer.func is None:
        return cuts  # what a ColumnTransformer makes of "passthrough"
    if isinstance(transformer, Pipeline):
        for _, step in reversed(transformer.steps):
            cuts = _before(step, cuts)
        return cuts
    if isinstance(transformer, ColumnTransformer):
        return _before_columns(transformer, cuts)
    if isinstance(transformer, _SCALERS):
        return _before_scaler(transformer, cuts)
    if isinstance(transformer, SelectorMixin):
        return _renumbered(cuts, transformer.get_support(indices=True))
    if isinstance(transformer, SimpleImputer):
        kept = np.ones(transformer.n_features_in_, dtype=bool)
        if not transformer.keep_empty_features:
            statistics = transformer.statistics_
            kept = np.array([value == value for value in statistics])  # not NaN
        return _renumbered(cuts, np.flatnonzero(kept))
    return {}


def _before_scaler(scaler, cuts):
    """Scale thresholds back, column by column."""
    longest = max(map(len, cuts.values()))
    grid = np.zeros((longest, scaler.n_features_in_))
    for j, values in cuts.items():
        grid[:, j] = np.resize(values, longest)
    grid = scaler.inverse_transform(grid)
    return {j: np.unique(grid[: len(values), j]) for j, values in cuts.items()}


def _before_columns(transformer, cuts):
    pieces = []
    names = getattr(transformer, "feature_names_in_", None)
    for name, part, columns in transformer.transformers_:
        given = transformer.output_indices_[name]
        if isinstance(part, str) and part == "drop":
            continue
        own = {
            j - given.start: values
            for j, values in cuts.items()
            if given.start <= j < given.stop
        }
        came_in = _positions(columns, names, transformer.n_features_in_)
        pieces.append(_renumbered(_before(part, own), came_in))
    return _joined(pieces)


def _positions(columns, names, n_features):
    """Positions of the columns that a part of a ColumnTransformer sees."""
    if isinstance(columns, str):
        columns = [columns]
    if isinstance(columns, slice) and isinstance(columns.start or columns.stop, str):
        first, last = (
            None if name is None else int(np.flatnonzero(names == name)[0])
            for name in (columns.start, columns.stop)
        )
        columns = slice(first, None if last is None else last + 1)
    if not isinstance(columns, slice) and len(np.shape(columns)) == 1:
        if any(isinstance(name, str) for name in columns):
            place = {name: j for j, name in enumerate(names)}
            return np.array([place[name] for name in columns], dtype=np.intp)
        columns = np.asarray(columns)
        columns = columns if len(columns) else columns.astype(np.intp)
    return np.atleast_1d(np.arange(n_features)[columns])


def _renumbered(cuts, positions):
    """Thresholds under the numbers that their columns have further up.

    Columns beyond `positions` are of the transformer's making (missing indicators).
    """
    return {
        int(positions[j]): values for j, values in cuts.items() if j < len(positions)
    }
