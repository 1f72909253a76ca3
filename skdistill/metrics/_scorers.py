"""Scorers for searches and cross-validation: fidelity, latency, size."""

import threading
import weakref
from functools import partial

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils import check_consistent_length
from sklearn.utils.metadata_routing import MetadataRequest

from skdistill._answers import StudentAnswers
from skdistill._compat import BaseScorer, num_samples, safe_indexing
from skdistill._memory import remembering
from skdistill.metrics._cost import measure_latency, model_size
from skdistill.metrics._fidelity import (
    agreement,
    brier_to_teacher,
    jensen_shannon_divergence,
    mean_kl_divergence,
    total_variation_distance,
)
from skdistill.soft_targets import (
    align_columns,
    check_soft_targets,
    teacher_probabilities,
)
from skdistill.teachers import CachedTeacher
from skdistill.teachers._cached import FittedParts
from skdistill.teachers._row_keys import row_keys

#: Rows of which one set of scorers keeps a teacher's answers at hand.
MAX_ROWS = 1 << 17

_METRICS = {
    "agreement": agreement,
    "neg_mean_kl_divergence": mean_kl_divergence,
    "neg_jensen_shannon_divergence": jensen_shannon_divergence,
    "neg_total_variation_distance": total_variation_distance,
    "neg_brier_to_teacher": brier_to_teacher,
}


def fidelity_scorers(X=None, soft_targets=None, *, classes=None):
    """Scorers that compare a student with its teacher, by name.

    Made for ``scoring=`` of a search or of `cross_validate`, alone or beside others:
    ``{**fidelity_scorers(), "accuracy": "accuracy", "latency": latency_scorer}``.

    Each scorer is ``scorer(estimator, X, y=None, *, soft_targets=None, classes=None,
    sample_weight=None)`` and needs no labels. What the teacher says of the rows comes
    from, in this order:

    1. `soft_targets` of the call. With metadata routing on, the scorers request them,
       along with `classes` and `sample_weight`: what `fit` of the search gets, they
       get.
    2. The rows and answers given here, by content of the row. It is the way for soft
       targets where routing is off: then scikit-learn passes none to scorers.
    3. The estimator's fitted `teacher_`. One with `memory`, or a CachedTeacher, is
       looked up in its store. Another is asked once for each distinct row, and these
       scorers keep its answers (of up to 131072 rows) as long as it stays as it is; a
       worker of a parallel search starts without them, so give the estimator a
       `memory` there.

    Probabilities are compared as the teacher gives them, not as `calibration_` made
    them, so that candidates with different calibrations are measured alike.

    Parameters
    ----------
    X : array-like of length n_samples, default=None
        Rows whose soft targets are known: as scorers get them, before the steps of a
        Pipeline.

    soft_targets : array-like of shape (n_samples, n_classes), default=None
        The teacher's probabilities for these rows. Of equal rows the first one counts.

    classes : array-like of shape (n_classes,), default=None
        Labels of the columns of `soft_targets`; None means `classes_` of the estimator.

    Returns
    -------
    scorers : dict of str to callable
        "agreement", and "neg_mean_kl_divergence", "neg_jensen_shannon_divergence",
        "neg_total_variation_distance" and "neg_brier_to_teacher": greater is better.

    See Also
    --------
    latency_scorer, size_scorer : Scorers of cost.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from sklearn.model_selection import cross_validate
    >>> from skdistill import DistilledClassifier, LogisticStudent
    >>> from skdistill.metrics import fidelity_scorers
    >>> X, y = load_iris(return_X_y=True)
    >>> teacher = RandomForestClassifier(random_state=0).fit(X[::2], y[::2])
    >>> small = DistilledClassifier(teacher, LogisticStudent(), alpha=0.5)
    >>> scores = cross_validate(small, X[1::2], y[1::2], scoring=fidelity_scorers())
    >>> bool(scores["test_agreement"].mean() > 0.9)
    True
    """
    if (X is None) != (soft_targets is None):
        raise ValueError(
            "X and soft_targets must be given together, or neither, got "
            f"X={type(X).__name__} and soft_targets={type(soft_targets).__name__}. "
            "Pass the rows along with what the teacher says of them."
        )
    given = None if X is None else _GivenAnswers(X, soft_targets, classes)
    recent = _RecentAnswers()
    return {name: _FidelityScorer(name, given, recent) for name in _METRICS}


class _FidelityScorer(BaseScorer):
    """Scorer of one metric between a student and its teacher."""

    def __init__(self, name, given, recent):
        sign = -1 if name.startswith("neg_") else 1
        super().__init__(_METRICS[name], sign, {}, "predict_proba")
        self._name, self._given, self._recent = name, given, recent
        self._metadata_request = MetadataRequest(owner="fidelity scorer")
        for param in ("soft_targets", "classes", "sample_weight"):
            self._metadata_request.score.add_request(param=param, alias=True)

    def __call__(self, estimator, X, y=None, **params):
        return self._score(None, estimator, X, y, **params)

    def _score(
        self,
        method_caller,
        estimator,
        X,
        y=None,
        *,
        soft_targets=None,
        classes=None,
        sample_weight=None,
    ):
        own = np.asarray(estimator.classes_)
        columns, P = self._teacher_says(estimator, X, soft_targets, classes)
        # scikit-learn's shared call cuts two columns to one, of whichever class another
        # scorer took for the positive one.
        if method_caller is None or len(own) == 2:
            Q = estimator.predict_proba(X)
        else:
            Q = method_caller(estimator, "predict_proba", X)
        Q = check_soft_targets(
            Q, n_samples=len(P), n_classes=len(own), name="predict_proba"
        )
        if len(own) < len(columns):  # a student fitted on few rows may lack a class
            Q = align_columns(Q, own, columns)
        else:  # ties are broken as `predict` breaks them
            P = align_columns(P, columns, own)
        return self._sign * self._score_func(P, Q, sample_weight=sample_weight)

    def _teacher_says(self, estimator, X, soft_targets, classes):
        """Labels of the columns, and the teacher's probabilities of rows."""
        own = np.asarray(estimator.classes_)
        if soft_targets is not None:
            columns = own if classes is None else np.asarray(classes)
            return columns, check_soft_targets(
                soft_targets, n_samples=num_samples(X), n_classes=len(columns)
            )
        if self._given is not None:
            return self._given(X, own)
        return own, self._recent.ask(estimator, X, classes)

    def __repr__(self):
        return f"fidelity_scorers()[{self._name!r}]"


# -- what the teacher says -------------------------------------------------------------


class _GivenAnswers:
    """Soft targets of known rows, by content of the row."""

    def __init__(self, X, soft_targets, classes):
        P = np.asarray(soft_targets, dtype=np.float64)
        check_consistent_length(X, P)
        self._classes = classes
        # Arrays, not a dict: joblib maps large ones into workers without a copy.
        self._keys, first = np.unique(_as_array(row_keys(X)), return_index=True)
        self._P = P[first]

    def __call__(self, X, own_classes):
        """Labels of the columns, and probabilities of rows."""
        keys = _as_array(row_keys(X))
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        unknown = np.flatnonzero(self._keys[at] != keys)
        if len(unknown):
            raise ValueError(
                "X must hold rows whose soft targets were given to fidelity_scorers, "
                f"got {len(unknown)} others (first: row {unknown[0]}). Give all rows "
                "that are to be scored."
            )
        columns = own_classes if self._classes is None else np.asarray(self._classes)
        P = check_soft_targets(self._P[at], n_samples=len(keys), n_classes=len(columns))
        return columns, P


def _as_array(keys):
    # Fixed-size bytes; a dtype of the void kind has no order in NumPy.
    return np.array([key.hex() for key in keys], dtype="S32")


class _RecentAnswers:
    """Answers of fitted teachers, by content of the row, kept while these live."""

    def __init__(self):
        self._of_teacher, self._lock = {}, threading.Lock()

    def __reduce__(self):
        """Copies, in other processes above all, begin without answers."""
        return type(self), ()

    def ask(self, estimator, X, teacher_classes):
        """Probabilities of an estimator's teacher, in the order of `classes_`."""
        estimator, X = _innermost(estimator, X)
        teacher = getattr(estimator, "teacher_", None)
        if teacher is None:
            raise ValueError(
                "soft_targets must reach the scorer where the estimator has no fitted "
                f"teacher_ to ask, got None with {type(estimator).__name__}. Pass them "
                "as fidelity_scorers(X, soft_targets), or turn on metadata routing and "
                "request them: set_fit_request(soft_targets=True)."
            )
        if isinstance(estimator, StudentAnswers) and teacher is estimator._teacher:
            teacher = remembering(estimator)
        teacher_classes = getattr(teacher, "classes_", teacher_classes)
        if teacher_classes is None:
            raise ValueError(
                "classes must reach the scorer for a teacher without classes_, got "
                f"None with {type(teacher).__name__}. Pass fidelity_scorers(X, "
                "soft_targets, classes=...), or give the teacher that attribute."
            )
        ask = partial(
            teacher_probabilities,
            teacher,
            classes=estimator.classes_,
            teacher_classes=np.asarray(teacher_classes),
        )
        return ask(X) if isinstance(teacher, CachedTeacher) else self._once(ask, X)

    def _once(self, ask, X):
        """Ask about the rows that have not been asked about yet."""
        (teacher,), keys = ask.args, row_keys(X)
        with self._lock:
            parts, known = self._known(teacher)
            new = {key: row for row, key in enumerate(keys) if key not in known}
            if new:
                with parts.asking(teacher):
                    P = ask(safe_indexing(X, list(new.values())))
                known.update(zip(new, P, strict=True))
            P = np.array([known[key] for key in keys])
            for key in list(known)[: max(len(known) - MAX_ROWS, 0)]:
                del known[key]
        return P

    def _known(self, teacher):
        """Fitted parts of a teacher, and its answers by key since it has these."""
        number = id(teacher)
        _, parts, known = self._of_teacher.get(number, (None, None, None))
        if parts is None or not parts.are_of(teacher):
            parts, known = FittedParts(teacher), {}

        def forget(_, of_teacher=self._of_teacher):
            of_teacher.pop(number, None)

        self._of_teacher[number] = weakref.ref(teacher, forget), parts, known
        return parts, known


def _innermost(estimator, X):
    """Estimator that has the teacher, inside Pipelines and searches; rows it sees."""
    while True:
        if isinstance(estimator, Pipeline):
            if len(estimator) > 1:
                X = estimator[:-1].transform(X)
            estimator = estimator[-1]
        elif hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        else:
            return estimator, X


# -- cost ------------------------------------------------------------------------------


class _CostScorer:
    """Base of scorers of what a model costs; labels and weights do not matter."""

    def __call__(self, estimator, X, y=None, **params):
        return -self._cost(_shipped(estimator), X)

    def _accept_sample_weight(self):
        # Asked by searches of scikit-learn >= 1.8, which warn where the answer is no.
        return True


class _LatencyScorer(_CostScorer):
    """Scorer of latency: minus the median seconds in which a model answers one row.

    ``latency_scorer(estimator, X, y=None)``, for ``scoring=``. Of a DistilledClassifier
    the `student_` is timed, in a Pipeline with the steps before it: what would be
    shipped. At most 200 calls or half a second; see
    :func:`~skdistill.metrics.measure_latency`. Times of a search with ``n_jobs > 1``
    include the wait for a busy machine: compare latencies with ``n_jobs=1``.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skdistill.metrics import latency_scorer
    >>> X, y = load_iris(return_X_y=True)
    >>> -0.1 < latency_scorer(LogisticRegression(max_iter=1000).fit(X, y), X) < 0
    True
    """

    def _cost(self, model, X):
        return measure_latency(model, X, n_calls=200, n_warmup=10, max_seconds=0.5)[
            "p50"
        ]

    def __repr__(self):
        return "latency_scorer"

    def __reduce__(self):
        return "latency_scorer"


class _SizeScorer(_CostScorer):
    """Scorer of size: minus the bytes that a model takes when pickled.

    ``size_scorer(estimator, X, y=None)``, for ``scoring=``. Of a DistilledClassifier it
    is the size of `student_`, in a Pipeline with the steps before it: what would be
    shipped. See :func:`~skdistill.metrics.model_size`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skdistill.metrics import size_scorer
    >>> X, y = load_iris(return_X_y=True)
    >>> size_scorer(LogisticRegression(max_iter=1000).fit(X, y), X) < -100
    True
    """

    def _cost(self, model, X):
        return float(model_size(model))

    def __repr__(self):
        return "size_scorer"

    def __reduce__(self):
        return "size_scorer"


def _shipped(model):
    """Part of a fitted model that answers: the student alone, without its teacher."""
    if hasattr(model, "best_estimator_"):
        return _shipped(model.best_estimator_)
    if isinstance(model, Pipeline):
        name, last = model.steps[-1]
        return Pipeline([*model.steps[:-1], (name, _shipped(last))])
    return model.student_ if isinstance(model, StudentAnswers) else model


latency_scorer = _LatencyScorer()
size_scorer = _SizeScorer()
