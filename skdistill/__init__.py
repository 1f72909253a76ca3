"""Turn a slow, accurate classifier into a small, fast one that keeps its probabilities.

Importing the package imports nothing else: each name is loaded on first use.
"""

import importlib

__version__ = "0.1.0.dev0"

_HOME = {
    "CascadeClassifier": "skdistill.cascade",
    "DistilledClassifier": "skdistill._distilled",
    "LogisticStudent": "skdistill.students",
    "MLPStudent": "skdistill.students",
    "NGramStudent": "skdistill.students",
    "distillation_report": "skdistill.report",
}
_ROOMS = (
    "cascade", "deploy", "metrics", "model_selection", "report", "soft_targets",
    "students", "teachers", "transfer",
)  # fmt: skip

__all__ = [
    "CascadeClassifier",
    "DistilledClassifier",
    "LogisticStudent",
    "MLPStudent",
    "NGramStudent",
    "__version__",
    "distillation_report",
]


def __getattr__(name):
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    if name in _ROOMS:
        return importlib.import_module(f"skdistill.{name}")
    raise AttributeError(f"module 'skdistill' has no attribute {name!r}")


def __dir__():
    return sorted([*__all__, *_ROOMS])
