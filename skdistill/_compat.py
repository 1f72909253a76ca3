"""Every private scikit-learn name that the package uses, and nothing else.

A release of scikit-learn that moves one of these breaks this file alone.
"""

import numpy as np
from sklearn.base import _clone_parametrized as clone_parametrized
from sklearn.base import _fit_context as fit_context
from sklearn.metrics._scorer import _BaseScorer as BaseScorer
from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils.metadata_routing import _routing_enabled as routing_enabled
from sklearn.utils.validation import _check_sample_weight as check_sample_weight
from sklearn.utils.validation import _check_y as check_y
from sklearn.utils.validation import _get_feature_names as get_feature_names
from sklearn.utils.validation import _num_features as num_features
from sklearn.utils.validation import _num_samples as num_samples

try:  # scikit-learn >= 1.9
    from sklearn.callback import CallbackSupportMixin

    HAS_CALLBACKS = True
except ImportError:
    HAS_CALLBACKS = False

    class CallbackSupportMixin:
        """Stand-in where scikit-learn has no callbacks yet."""


def callback_context(estimator):
    """Root of the tasks that scikit-learn's callbacks are told of, None without them.

    The context is closed by the decorator :func:`fit_context`.
    """
    if not HAS_CALLBACKS:
        return None
    return estimator._init_callback_context(max_subtasks=None)


def boosted_trees(model):
    """Trees of a histogram-based booster, a list a step; None for other models."""
    return getattr(model, "_predictors", None)


def boosting_baseline(model):
    """What a histogram-based booster starts from, of shape (n_trees_per_step,)."""
    return np.asarray(model._baseline_prediction).ravel()


def scale_boosting(model, factor):
    """Multiply all that the logits of a histogram-based booster are summed of."""
    for tree in (tree for stage in model._predictors for tree in stage):
        tree.nodes["value"] *= factor
    model._baseline_prediction = model._baseline_prediction * factor


def boosting_link(model):
    """Name of the link between a histogram-based booster's trees and its answer."""
    return type(model._loss.link).__name__


def histogram_splits(model):
    """Features and thresholds of all splits by number of a HistGradientBoosting model.

    Returns
    -------
    features : ndarray of int of shape (n_splits,)
        Columns of the model's input; none where the model is of another kind.

    thresholds : ndarray of float of shape (n_splits,)
    """
    features, thresholds = [np.empty(0, dtype=np.intp)], [np.empty(0)]
    for stage in getattr(model, "_predictors", ()):
        for nodes in (tree.nodes for tree in stage):
            inner = nodes[(nodes["is_leaf"] == 0) & (nodes["is_categorical"] == 0)]
            features.append(inner["feature_idx"].astype(np.intp))
            thresholds.append(inner["num_threshold"].astype(np.float64))
    features, thresholds = np.concatenate(features), np.concatenate(thresholds)
    categorical = getattr(model, "is_categorical_", None)
    if len(features) and categorical is not None:
        # columns of categories stand first within
        order = np.argsort(~categorical, kind="stable")
        features = order[features]
    return features, thresholds


__all__ = [
    "HAS_CALLBACKS",
    "BaseScorer",
    "CallbackSupportMixin",
    "HasMethods",
    "Interval",
    "StrOptions",
    "boosted_trees",
    "boosting_baseline",
    "boosting_link",
    "callback_context",
    "check_sample_weight",
    "check_y",
    "clone_parametrized",
    "fit_context",
    "get_feature_names",
    "histogram_splits",
    "num_features",
    "num_samples",
    "routing_enabled",
    "safe_indexing",
    "scale_boosting",
    "validate_parameter_constraints",
]
