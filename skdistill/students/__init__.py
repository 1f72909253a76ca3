"""Students: what learns from soft targets, and how anything is fed with them.

Own students are loaded on first use. Nothing here imports torch.
"""

import importlib

from skdistill.students._feeding import (
    Feed,
    check_student,
    fit_on_labels,
    fit_student,
    takes_validation,
)
from skdistill.students._rules import last_step
from skdistill.students._settings import auto_rate, auto_steps
from skdistill.students._shrinkage import (
    STRENGTHS,
    can_shrink,
    n_trees,
    shrink,
    shrunk_answers,
)
from skdistill.students._tempering import can_temper, divide_logits, is_boosting

_HOME = {
    "LogisticStudent": "skdistill.students._logistic",
    "MLPStudent": "skdistill.students._mlp",
    "NGramStudent": "skdistill.students._ngram",
}

__all__ = [
    "STRENGTHS",
    "Feed",
    "LogisticStudent",
    "MLPStudent",
    "NGramStudent",
    "auto_rate",
    "auto_steps",
    "can_shrink",
    "can_temper",
    "check_student",
    "divide_logits",
    "fit_on_labels",
    "fit_student",
    "is_boosting",
    "last_step",
    "n_trees",
    "shrink",
    "shrunk_answers",
    "takes_validation",
]


def __getattr__(name):
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'skdistill.students' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
