"""CascadeClassifier: the student where it is safe, the teacher elsewhere."""

import warnings
from math import ceil
from numbers import Real

import numpy as np
from sklearn.base import clone
from sklearn.utils import check_consistent_length, check_random_state, indexable

from skdistill._answers import StudentHolder
from skdistill._compat import (
    HasMethods,
    Interval,
    StrOptions,
    fit_context,
    num_samples,
    safe_indexing,
)
from skdistill.cascade._certainty import CERTAINTIES, View
from skdistill.cascade._gate import RangeDetector
from skdistill.cascade._parts import (
    FitRows,
    SharedParts,
    absent,
    check_rows,
    is_ready,
    joint_classes,
    read_answers,
    takes_missing,
    teacher_of,
)
from skdistill.cascade._threshold import coverage_risk, find, plan, why_none_is_safe
from skdistill.metrics import measure_latency
from skdistill.soft_targets import align_columns, check_soft_targets

#: One row in so many fixes the thresholds that are tested on the others.
PILOT_EVERY = 10


class CascadeClassifier(SharedParts, StudentHolder):
    """Let a student answer where it is safe, and ask the teacher elsewhere.

    The student answers a row if its score, how sure it is, reaches a threshold; all
    other rows of a call are **deferred**: the teacher is asked about them, and about no
    others. The threshold is found on rows that neither has seen, such that with
    probability `confidence` over the draw of these rows::

        P(student's label differs from the teacher's | student answers)
            <= max_disagreement

    for any student, any teacher and any number of rows, as long as future rows come
    from where these came from.

    A student or teacher that is fitted already is used as it is, by `fit` and by clones
    of this object, and `fit` only looks for the threshold. One that is not is cloned
    and fitted on a part of the rows, and the threshold is found on the rest.

    Parameters
    ----------
    student : classifier
        Small classifier with `predict_proba`, fitted or not.

    teacher : classifier, default=None
        The classifier to ask where the student is not safe, with `predict_proba`,
        fitted or not. None means the `teacher_` of the student, a
        :class:`~skdistill.DistilledClassifier`.

    max_disagreement : float, default=0.01
        Largest probability, in (0, 1), that the student's label differs from the
        teacher's where the student answers.

    confidence : float, default=0.95
        Probability, in (0, 1), that this holds.

    certainty : {"probability", "margin", "entropy"}, default="probability"
        How sure the student is, in [0, 1]: its largest probability, by how much that
        exceeds the second, or 1 minus the entropy of its answer over that of the
        uniform one.

    by_class : bool, default=False
        Find a threshold for each class: then `max_disagreement` holds where the student
        answers *with this class*, for all classes at once. Each class takes an equal
        part of the error 1 - `confidence` and needs rows of its own: it is deferred
        where they do not suffice.

    detector : outlier detector, "range" or None, default=None
        Rows that it finds unlike those it was fitted on are deferred. Any scikit-learn
        outlier detector with `decision_function` (negative for outliers), fitted or
        not; "range" flags numbers beyond the range of their column, widened by a tenth
        at both ends, unknown categories, and rows of missing values only where it was
        fitted on no such row. One that is not fitted is fitted on the part that a
        student or teacher is fitted on, or where both are fitted on a tenth of the
        rows: better fit it on the student's training rows.

    calibration_size : float, default=0.2
        Share of the rows, in (0, 1), that is kept for the threshold where student or
        teacher are fitted here.

    student_cost, teacher_cost : float, default=0.0 and 1.0
        Cost of a row, in any unit, for `cost_`. By default the unit is a row of the
        teacher and the student is free.

    measure : bool, default=False
        Whether `fit` times student and teacher on single rows, for `latency_`. It takes
        about a second each, and asks the teacher: leave it where calls are paid for.

    random_state : int, RandomState instance or None, default=None
        Seeds which rows are used for what, and every `random_state` parameter that is
        None of what is fitted here.

    Attributes
    ----------
    threshold_ : float or ndarray of shape (n_classes,)
        Least score at which the student answers; infinity where no threshold is safe.
        With `by_class` one for each class that the student may answer.

    coverage_ : float
        Share of the calibration rows that the student answers.

    bound_ : float or ndarray of shape (n_classes,)
        Clopper-Pearson bound of the disagreement at the threshold, at the confidence
        with which it was tested: not above `max_disagreement`. NaN where no threshold
        is safe.

    n_calibration_rows_ : int
        Rows on which student and teacher were compared.

    n_abstained_ : int
        Rows left out as the teacher gave no answer (NaN).

    curve_ : dict of ndarrays
        Coverage against disagreement, for a display: "threshold", "coverage",
        "disagreement" and "bound", which holds for each threshold by itself. With
        `by_class` too, it is that of one threshold for all classes.

    cost_ : float
        Expected cost of a row: the student's, and the teacher's where it is asked.

    latency_ : dict or None
        Median seconds of a single row of "student" and "teacher", and the "cascade"
        expected from them on average. None unless `measure`.

    student_, teacher_, detector_ : estimator
        What is asked. `detector_` is None where there is none.

    classes_ : ndarray of shape (n_classes,)
        Sorted class labels.

    n_features_in_ : int
        Number of features seen during fit, where rows have any.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features, where X has names that are all strings.

    Notes
    -----
    A tenth of the calibration rows, on which the teacher is not asked, fixes the
    thresholds to be tested, from the most certain rows to all; then Learn then Test
    [1]_ (a sequence of exact binomial tests on the other rows) decides. Without a
    single disagreement the student is found safe from ``log(1 - confidence) / log(1 -
    max_disagreement)`` tested rows on, 299 at the defaults; a useful coverage takes
    some thousand.

    Rows count alike: the guarantee holds for exchangeable rows and has no weights.
    Rows that student or teacher were fitted on make them look more alike than they are.

    References
    ----------
    .. [1] Angelopoulos, Bates, Candes, Jordan, Lei, "Learn then test: calibrating
       predictive algorithms to achieve risk control", 2021.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from skdistill import LogisticStudent
    >>> from skdistill.cascade import CascadeClassifier
    >>> X, y = make_classification(6000, n_informative=3, class_sep=1.5, random_state=1)
    >>> teacher = RandomForestClassifier(random_state=0).fit(X[:2000], y[:2000])
    >>> student = LogisticStudent().fit(X[:2000], y[:2000])
    >>> cascade = CascadeClassifier(student, teacher, random_state=0)
    >>> cascade.fit(X[2000:4000])
    CascadeClassifier(...)
    >>> bool(cascade.coverage_ > 0.9)
    True
    >>> asked = cascade.defers(X[4000:])
    >>> same = student.predict(X[4000:]) == teacher.predict(X[4000:])
    >>> bool(same[~asked].mean() > 0.99)
    True
    """

    _parameter_constraints = {
        "student": "no_validation",  # _check_parts says more
        "teacher": "no_validation",
        "max_disagreement": [Interval(Real, 0, 1, closed="neither")],
        "confidence": [Interval(Real, 0, 1, closed="neither")],
        "certainty": [StrOptions({"probability", "margin", "entropy"})],
        "by_class": ["boolean"],
        "detector": [HasMethods("fit"), StrOptions({"range"}), None],
        "calibration_size": [Interval(Real, 0, 1, closed="neither")],
        "student_cost": [Interval(Real, 0, None, closed="left")],
        "teacher_cost": [Interval(Real, 0, None, closed="left")],
        "measure": ["boolean"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        student,
        teacher=None,
        *,
        max_disagreement=0.01,
        confidence=0.95,
        certainty="probability",
        by_class=False,
        detector=None,
        calibration_size=0.2,
        student_cost=0.0,
        teacher_cost=1.0,
        measure=False,
        random_state=None,
    ):
        self.student = student
        self.teacher = teacher
        self.max_disagreement = max_disagreement
        self.confidence = confidence
        self.certainty = certainty
        self.by_class = by_class
        self.detector = detector
        self.calibration_size = calibration_size
        self.student_cost = student_cost
        self.teacher_cost = teacher_cost
        self.measure = measure
        self.random_state = random_state

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None, *, soft_targets=None, **params):
        """Find the threshold, after fitting what is not fitted.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or list of str
            Rows that are new to a student and teacher that are fitted.

        y : array-like of shape (n_samples,), default=None
            Labels, for a student or teacher that is not fitted; the threshold needs
            none.

        soft_targets : array-like of shape (n_samples, n_classes), default=None
            The fitted teacher's probabilities for X, columns in the order of its
            `classes_`: it is not called then. Rows of NaN are left out. They are passed
            on to a student that is fitted here and takes them.

        **params : dict
            Parameters of the `fit` of student and teacher, dealt out by metadata
            routing.

        Returns
        -------
        self : CascadeClassifier
            The fitted estimator.

        Raises
        ------
        ValueError
            If inputs contradict each other.

        TypeError
            If student or teacher give no probabilities, or the detector no scores.

        Warns
        -----
        UserWarning
            If no threshold is safe: then all rows go to the teacher.
        """
        self._forget()
        waiting = self._check_parts(y, soft_targets)
        X, y = check_rows(self, X, y)
        routed = self._route(waiting, params)
        rng = check_random_state(self.random_state)
        seed = rng.randint(2**30)

        # Who is not fitted learns from one part of the rows; the rest is new to all.
        n_rows = num_samples(X)
        n_new = min(ceil(self.calibration_size * n_rows), n_rows - 1)
        order = rng.permutation(n_rows)
        train, new = np.split(order, [n_rows - n_new if waiting else 0])
        if soft_targets is not None:
            soft_targets = np.asarray(soft_targets)
            check_consistent_length(X, soft_targets)
            train = train[~absent(soft_targets)[train]]
        rows = FitRows(X, y, train, soft_targets, routed, seed)
        teacher = self._fit_or_take("teacher", rows)
        student = self._fit_or_take("student", rows)
        self.teacher_ = teacher_of(student) if teacher is None else teacher
        self.classes_ = joint_classes(student, self.teacher_, y if waiting else None)
        self._is_aligned = np.array_equal(student.classes_, self.classes_)

        # The pilot rows fix what is tested, and the gate; the other rows test it.
        pilot, test = np.split(new, [len(new) // PILOT_EVERY])
        self.detector_ = self._fit_detector(X, train if waiting else pilot)
        seen, tested = (self._look(student, X, rows) for rows in (pilot, test))
        codes, told = self._read_teacher(X, test[tested.is_inlier], soft_targets)
        self.n_abstained_ = int((~told).sum())
        self.n_calibration_rows_ = int(told.sum())
        asked = tested.take(np.flatnonzero(tested.is_inlier)[told])
        self._find_threshold(
            seen.take(np.flatnonzero(seen.is_inlier)), asked, asked.codes != codes,
            n_tested=len(test) - self.n_abstained_, n_answerable=len(student.classes_),
        )  # fmt: skip

        # What it comes to.
        answered = self._is_safe(tested.scores, tested.codes) & tested.is_inlier
        self.coverage_ = float(answered.mean()) if len(test) else 0.0
        deferred = 1 - self.coverage_
        self.cost_ = self.student_cost + deferred * self.teacher_cost
        self.latency_ = None
        if self.measure:
            self.latency_ = _time_both(student, self.teacher_, X, deferred)
        self._is_quick = (
            self.certainty == "probability" and not self.by_class and self._is_aligned
            and self.detector_ is None
        )  # fmt: skip
        self._met_no_missing = takes_missing(student) and not takes_missing(self)
        # Last: from here on the estimator answers.
        self.student_ = student
        return self

    # -- answers -----------------------------------------------------------------------

    def predict_proba(self, X):
        """Probabilities of the classes, by the student or by the teacher.

        The teacher is asked once, about the deferred rows only. Where it gives no
        answer (NaN), the student's stands.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or list of str
            Rows.

        Returns
        -------
        P : ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`.
        """
        P = self._ask_student(self._student_for(X), X)
        if self._is_quick and len(P) == 1 and P.max() >= self.threshold_:
            return P  # a sure row alone is worth a short way
        deferred = self._defers(X, P)
        return self._with_teacher(X, P, deferred) if deferred.any() else P

    def defers(self, X):
        """Tell which rows go to the teacher; it is not asked.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or list of str
            Rows.

        Returns
        -------
        deferred : ndarray of bool of shape (n_samples,)
        """
        return self._defers(X, self._ask_student(self._student_for(X), X))

    def _ask_student(self, student, X):
        P = np.asarray(student.predict_proba(X))
        if self._is_aligned:
            return P
        return align_columns(P, np.asarray(student.classes_), self.classes_)

    def _defers(self, X, P):
        safe = self._is_safe(CERTAINTIES[self.certainty](P), P.argmax(axis=1))
        return ~(safe & self._is_inlier(X)) if self.detector_ is not None else ~safe

    def _is_safe(self, scores, codes):
        """Tell which rows the student is sure enough of; never one without a score."""
        return scores >= (self.threshold_[codes] if self.by_class else self.threshold_)

    def _is_inlier(self, X):
        return np.asarray(self.detector_.decision_function(X)).ravel() >= 0

    def _with_teacher(self, X, P, deferred):
        """Put the teacher's answers in the place of the student's."""
        rows = np.flatnonzero(deferred)
        X = X if deferred.all() else safe_indexing(indexable(X)[0], rows)
        answers, told = self._ask_teacher(X, len(rows))
        P = P.copy()
        P[rows[told]] = answers
        return P

    def _ask_teacher(self, X, n_samples):
        teacher = self.teacher_
        return read_answers(
            teacher.predict_proba(X),
            n_samples=n_samples,
            labels=teacher.classes_,
            classes=self.classes_,
            name=f"The probabilities of the teacher {type(teacher).__name__}",
        )

    # -- the steps of fit --------------------------------------------------------------

    def _forget(self):
        """Drop what an earlier fit left: after a failed one nothing predicts."""
        for name in [n for n in vars(self) if n.endswith("_") and n[0] != "_"]:
            delattr(self, name)

    def _fit_detector(self, X, rows):
        """Return the detector, fitted on some rows if it is not yet."""
        detector = RangeDetector() if self.detector == "range" else self.detector
        if detector is not None and not is_ready(detector):
            if not len(rows):
                raise ValueError(
                    "detector must be fitted where there are fewer than "
                    f"{PILOT_EVERY} rows, got {detector!r} and {num_samples(X)} rows. "
                    "Fit it on the student's training rows."
                )
            detector = clone(detector).fit(safe_indexing(X, rows))
        if detector is not None and not hasattr(detector, "decision_function"):
            raise TypeError(
                f"detector must have decision_function, got {detector!r}. "
                "LocalOutlierFactor has it with novelty=True."
            )
        return detector

    def _look(self, student, X, rows):
        """Let student and gate judge some rows."""
        if not len(rows):
            return View(np.zeros(0), np.zeros(0, np.intp), np.zeros(0, bool))
        X = safe_indexing(X, rows)
        P = self._ask_student(student, X)
        check_soft_targets(
            P,
            n_samples=len(rows),
            n_classes=len(self.classes_),
            name=f"The probabilities of the student {type(student).__name__}",
        )
        is_inlier = np.ones(len(rows), bool)
        if self.detector_ is not None:
            is_inlier = self._is_inlier(X)
        return View(CERTAINTIES[self.certainty](P), P.argmax(axis=1), is_inlier)

    def _read_teacher(self, X, rows, soft_targets):
        """Column of the teacher's label of some rows, and which it answered."""
        if not len(rows):
            return np.zeros(0, np.intp), np.zeros(0, bool)
        if soft_targets is None:
            P, told = self._ask_teacher(safe_indexing(X, rows), len(rows))
        else:
            P, told = read_answers(
                soft_targets[rows],
                n_samples=len(rows),
                labels=self.teacher_.classes_,
                classes=self.classes_,
                name="soft_targets",
            )
        return P.argmax(axis=1), told

    def _find_threshold(self, pilot, tested, differs, *, n_tested, n_answerable):
        """Set the threshold and its bound, for all classes or for each."""
        limit, error = self.max_disagreement, 1 - self.confidence
        tests = plan(pilot.scores, len(differs), limit, error)
        self.curve_ = coverage_risk(
            tested.scores, differs, tests.thresholds, n_rows=n_tested,
            confidence=self.confidence,
        )  # fmt: skip
        if self.by_class:
            error /= n_answerable
            of_class = [
                (pilot.codes == k, tested.codes == k) for k in range(len(self.classes_))
            ]
            found = [
                find(pilot.scores[p], tested.scores[t], differs[t], limit, error)
                for p, t in of_class
            ]
            self.threshold_, self.bound_ = map(np.array, zip(*found, strict=True))
            n_compared = int(max(t.sum() for _, t in of_class))
        else:
            self.threshold_, self.bound_ = find(
                pilot.scores, tested.scores, differs, limit, error
            )
            n_compared = len(differs)
        if not np.isfinite(self.threshold_).any():
            of_a_class = " of the most frequent class" if self.by_class else ""
            why = why_none_is_safe(n_compared, differs, limit, error, of_a_class)
            warnings.warn(why, UserWarning, stacklevel=4)


def _time_both(student, teacher, X, deferred):
    """Median seconds of a row of each, and what is expected of the two together."""
    times = {
        name: measure_latency(model, X, max_seconds=1.0)["p50"]
        for name, model in (("student", student), ("teacher", teacher))
    }
    return {**times, "cascade": times["student"] + deferred * times["teacher"]}
