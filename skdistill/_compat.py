"""Every private scikit-learn name that the package uses, and nothing else.

A release of scikit-learn that moves one of these breaks this file alone.
"""

from sklearn.base import _clone_parametrized as clone_parametrized
from sklearn.base import _fit_context as fit_context
from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
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


__all__ = [
    "HAS_CALLBACKS",
    "CallbackSupportMixin",
    "HasMethods",
    "Interval",
    "StrOptions",
    "callback_context",
    "check_sample_weight",
    "check_y",
    "clone_parametrized",
    "fit_context",
    "get_feature_names",
    "num_features",
    "num_samples",
    "routing_enabled",
    "safe_indexing",
]
