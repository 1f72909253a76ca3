"""CoverageRiskDisplay: how many rows a student may answer, and at what risk."""

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils import check_consistent_length

from skdistill.metrics import clopper_pearson_upper
from skdistill.metrics._checks import (
    check_probabilities,
    check_sample_weight,
    check_table_or_labels,
    to_labels,
)
from skdistill.report._cast import resolve_cast
from skdistill.report._displays import _style
from skdistill.report._displays._models import student_answers, teacher_answers
from skdistill.report._displays._style import (
    axes_for,
    import_pyplot,
    percent,
    text_sizes,
)

#: Below this coverage a curve rests on few rows and does not set the scale.
SMALL_COVERAGE = 0.25


class CoverageRiskDisplay:
    """Disagreement with the teacher against the share of rows the student answers.

    The student answers the rows on which it is surest, and the teacher the others. Each
    point of the line is a threshold of the student's confidence: the share of rows
    above it (coverage), and the share of these on which the student's label is not the
    teacher's (disagreement, the risk of selective classification [1]_). The dashed line
    is an upper bound of the disagreement.

    Use :meth:`from_estimator` or :meth:`from_predictions` to make one.

    Parameters
    ----------
    threshold : ndarray of shape (n_thresholds,)
        Smallest confidence with which the student answers.

    coverage, disagreement : ndarray of shape (n_thresholds,)
        Share of rows that it answers, and share of these on which it differs from its
        teacher; NaN where it answers none.

    bound : ndarray of shape (n_thresholds,), default=None
        Upper bound of the disagreement.

    chosen : float, default=None
        Threshold to mark; infinite where the teacher is to answer everything.

    max_disagreement : float, default=None
        Level to mark.

    bound_label : str, default="upper bound"
        Name of the bound.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes that were drawn into.

    figure_ : matplotlib Figure
        Their figure.

    line_ : matplotlib Line2D
        Disagreement.

    bound_line_ : matplotlib Line2D or None
        Its bound.

    chosen_ : matplotlib Line2D or None
        The chosen threshold.

    References
    ----------
    .. [1] Geifman, El-Yaniv, "Selective classification for deep neural networks",
       NeurIPS 2017.

    Examples
    --------
    >>> from skdistill.report import CoverageRiskDisplay
    >>> display = CoverageRiskDisplay.from_predictions(
    ...     [0, 0, 1, 1], [[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.3, 0.7]]
    ... )
    >>> display.coverage
    array([0.25, 0.5 , 0.75, 1.  ])
    >>> display.disagreement
    array([0.  , 0.  , 0.  , 0.25])
    """

    def __init__(
        self,
        threshold,
        coverage,
        disagreement,
        *,
        bound=None,
        chosen=None,
        max_disagreement=None,
        bound_label="upper bound",
    ):
        self.threshold = threshold
        self.coverage = coverage
        self.disagreement = disagreement
        self.bound = bound
        self.chosen = chosen
        self.max_disagreement = max_disagreement
        self.bound_label = bound_label

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X=None,
        *,
        soft_targets=None,
        sample_weight=None,
        confidence=0.95,
        max_disagreement=None,
        ax=None,
    ):
        """Plot the curve of a CascadeClassifier, or that of a model on rows.

        Parameters
        ----------
        estimator : CascadeClassifier, DistilledClassifier, Pipeline or search
            Fitted. A cascade, or a Pipeline that ends in one, has `curve_`, the
            thresholds that it tried on its held-out rows, and the one that it chose is
            marked. With `by_class` none is: the curve is of one threshold for all.

        X : array-like of shape (n_samples, n_features) or list of str, default=None
            Rows that neither teacher nor student was fitted on; None for a cascade.

        soft_targets : array-like of shape (n_samples, n_classes), default=None
            The teacher's probabilities for X, columns in the order of `classes_`: the
            teacher is not asked.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        confidence : float, default=0.95
            Of the bound at each threshold; a cascade has its own.

        max_disagreement : float, default=None
            Level to mark; None means that of a cascade.

        ax : matplotlib Axes, default=None
            Axes to draw into; None makes a figure.

        Returns
        -------
        display : CoverageRiskDisplay

        Raises
        ------
        ValueError
            If X is missing, or given for a cascade, or the teacher's answers are
            neither given nor to be had.
        """
        import_pyplot(f"{cls.__name__}.from_estimator")
        last = estimator[-1] if isinstance(estimator, Pipeline) else estimator
        is_cascade = hasattr(last, "curve_")
        if is_cascade is not (X is None):
            raise ValueError(
                "X must be given for a model and left out for a cascade, whose curve "
                f"is of its held-out rows, got {estimator!r} and X of type "
                f"{type(X).__name__}. Pass predictions on other rows to "
                "from_predictions."
            )
        if is_cascade:
            if max_disagreement is None:
                max_disagreement = last.max_disagreement
            return cls(
                **{name: np.asarray(last.curve_[name]) for name in _CURVE},
                chosen=None if np.ndim(last.threshold_) else last.threshold_,
                max_disagreement=max_disagreement,
                bound_label=_bound_label(last.confidence),
            ).plot(ax=ax)
        cast = resolve_cast(estimator)
        return cls.from_predictions(
            teacher_answers(cast, X, soft_targets),
            student_answers(cast, X),
            classes=cast.classes,
            sample_weight=sample_weight,
            confidence=confidence,
            max_disagreement=max_disagreement,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls,
        teacher,
        student,
        *,
        classes=None,
        sample_weight=None,
        confidence=0.95,
        max_disagreement=None,
        ax=None,
    ):
        """Plot answers of teacher and student.

        Parameters
        ----------
        teacher : array-like of shape (n_samples,) or (n_samples, n_classes)
            Labels or probabilities.

        student : array-like of shape (n_samples, n_classes)
            Probabilities; the largest of a row is its confidence.

        classes : array-like of shape (n_classes,), default=None
            Labels of the columns; None means their numbers.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows. There is no bound with them: an exact one counts rows.

        confidence : float, default=0.95
            Of the exact bound of Clopper and Pearson at each threshold by itself. It
            does not hold at a threshold that is chosen by looking at the curve:
            CascadeClassifier chooses one whose bound holds.

        max_disagreement : float, default=None
            Level to mark.

        ax : matplotlib Axes, default=None
            Axes to draw into; None makes a figure.

        Returns
        -------
        display : CoverageRiskDisplay
        """
        import_pyplot(f"{cls.__name__}.from_predictions")
        student = check_probabilities(student, "student")
        teacher = check_table_or_labels(teacher)
        check_consistent_length(teacher, student)
        classes = np.arange(student.shape[1]) if classes is None else classes
        differ = to_labels(teacher, classes) != to_labels(student, classes)
        weight = check_sample_weight(sample_weight, len(student))
        curve = _curve(student.max(axis=1), differ, weight)
        bound = None
        if sample_weight is None:
            n = np.rint(curve["coverage"] * len(student))
            k = np.rint(curve["disagreement"] * n)
            bound = clopper_pearson_upper(k, n, confidence=confidence)
        return cls(
            **curve,
            bound=bound,
            max_disagreement=max_disagreement,
            bound_label=_bound_label(confidence),
        ).plot(ax=ax)

    def plot(self, *, ax=None):
        """Draw the picture.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw into; None makes a figure.

        Returns
        -------
        display : CoverageRiskDisplay
            This object.
        """
        ax = axes_for(self, ax, figsize=(5.8, 4.6))
        order = np.argsort(self.coverage, kind="stable")
        coverage, risk = 100 * self.coverage[order], 100 * self.disagreement[order]
        style = _style.STUDENT
        self.line_ = ax.plot(
            coverage, risk, color=style.color, linewidth=1.8, label="disagreement"
        )[0]
        self.bound_line_ = self.chosen_ = None
        if self.bound is not None:
            bound = 100 * self.bound[order]
            self.bound_line_ = ax.plot(
                coverage, bound, color=style.color, linewidth=1, linestyle="--",
                label=self.bound_label,
            )[0]  # fmt: skip
            ax.fill_between(
                coverage, risk, bound, color=style.color, alpha=0.12, linewidth=0
            )
        if self.max_disagreement is not None:
            ax.axhline(
                100 * self.max_disagreement, color=_style.QUIET, linestyle=":",
                label=f"at most {100 * self.max_disagreement:g} %",
            )  # fmt: skip
        if self.chosen is not None:
            self._mark_chosen()
        ax.set(
            xlim=(0, 101), ylim=(0, self._top()),
            xlabel="rows the student answers (%)",
            ylabel="disagreement on these (%)",
        )  # fmt: skip
        ax.legend(fontsize=text_sizes(ax)[1], loc="upper center")
        ax.grid(alpha=0.25)
        return self

    def _mark_chosen(self):
        """Put a star at the chosen threshold."""
        x, y, text = 0.0, 0.0, "no threshold is safe"
        answered = self.threshold >= self.chosen
        if answered.any():
            i = np.flatnonzero(answered)[self.coverage[answered].argmax()]
            x, y = self.coverage[i], self.disagreement[i]
            text = f"chosen: answers {percent(x)} %"
        self.chosen_ = self.ax_.plot(
            100 * x, 100 * y, linestyle="none", marker="*", markersize=15,
            color=_style.TEACHER.color, markeredgecolor="white", label=text, zorder=4,
            clip_on=False,
        )[0]  # fmt: skip

    def _top(self):
        """Upper end of the scale, which leaves room for the legend."""
        enough = self.coverage >= SMALL_COVERAGE
        values = [0.001, self.max_disagreement or 0.0]
        for curve in (self.disagreement, self.bound):
            if curve is not None and enough.any():
                values.append(np.nanmax(curve[enough]))
        return 100 * min(1.5 * max(values), 1.4)


_CURVE = ("threshold", "coverage", "disagreement", "bound")


def _bound_label(confidence):
    return f"{100 * confidence:g} % upper bound at each threshold"


def _curve(sure, differ, weight):
    """Coverage and disagreement at each confidence that occurs, surest first."""
    present = weight > 0
    sure, differ, weight = sure[present], differ[present], weight[present]
    threshold, group = np.unique(-sure, return_inverse=True)
    mass = np.cumsum(np.bincount(group, weights=weight))
    wrong = np.cumsum(np.bincount(group, weights=weight * differ))
    return {
        "threshold": -threshold,
        "coverage": mass / mass[-1],
        "disagreement": wrong / mass,
    }
