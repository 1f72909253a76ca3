"""ReliabilityDisplay: how sure models are, and how often they are right."""

from collections.abc import Mapping

import numpy as np
from sklearn.utils import Bunch, column_or_1d

from skdistill.metrics import expected_calibration_error, wilson_interval
from skdistill.metrics._calibration import equal_mass_bins
from skdistill.metrics._checks import check_probabilities, check_sample_weight
from skdistill.report._cast import PLAIN, STUDENT, TEACHER, resolve_cast
from skdistill.report._displays._models import (
    answers,
    student_answers,
    teacher_answers,
)
from skdistill.report._displays._style import (
    QUIET,
    axes_for,
    import_pyplot,
    styles_of,
    text_sizes,
)

#: Part of the height of the axes that the histogram takes.
STRIP = 0.17
N_BARS = 25
#: Bins with n_bins="auto": as many as the metric's, if each gets so many rows.
MOST_BINS, ROWS_OF_BIN = 15, 25


class ReliabilityDisplay:
    """Reliability diagram of several models in one axes.

    Rows are sorted by confidence, the probability of the predicted class, into bins of
    equal mass. Each point is one bin: its mean confidence, and its accuracy with
    Wilson's interval [2]_. Points above the diagonal are more often right than they
    claim (under-confident), points below less often [1]_. The legend says the expected
    calibration error (ECE), the mean distance from the diagonal over the bins. A
    histogram of the confidences stands beneath.

    Rows of equal confidence share a bin. A bin that this leaves with less than half of
    its mass is drawn together with its neighbour; the ECE, which is that of
    :func:`~skdistill.metrics.expected_calibration_error`, counts it by itself.

    Use :meth:`from_estimator` or :meth:`from_predictions` to make one.

    Parameters
    ----------
    curves : dict of Bunch
        For each model, by name: arrays of shape (n_bins,) `confidence`, `accuracy`,
        `low` and `high` (ends of the interval of the accuracy) and `share` (of the
        mass); `error`, the ECE; `row_confidence` and `row_weight`, arrays of shape
        (n_samples,).

    confidence : float, default=0.95
        Nominal coverage of the intervals.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes that were drawn into.

    figure_ : matplotlib Figure
        Their figure.

    errorbars_ : dict of matplotlib ErrorbarContainer
        Points, line and intervals of each model, by name.

    histogram_ax_ : matplotlib Axes
        Axes of the histogram, inside `ax_`.

    legend_ : matplotlib Legend
        Names and errors.

    References
    ----------
    .. [1] Niculescu-Mizil, Caruana, "Predicting good probabilities with supervised
       learning", ICML 2005.
    .. [2] Wilson, "Probable inference, the law of succession, and statistical
       inference", Journal of the American Statistical Association, 1927.

    Examples
    --------
    >>> from skdistill.report import ReliabilityDisplay
    >>> y = [0, 0, 0, 1, 1, 1, 1, 0]
    >>> teacher = [[0.7, 0.3]] * 4 + [[0.4, 0.6]] * 4
    >>> student = [[0.9, 0.1]] * 4 + [[0.2, 0.8]] * 4
    >>> display = ReliabilityDisplay.from_predictions(
    ...     y, {"teacher": teacher, "student": student}
    ... )
    >>> display.curves["student"].accuracy
    array([0.75, 0.75])
    >>> round(float(display.curves["student"].error), 3)
    0.1
    """

    def __init__(self, curves, *, confidence=0.95):
        self.curves = curves
        self.confidence = confidence

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y,
        *,
        soft_targets=None,
        plain=False,
        n_bins="auto",
        sample_weight=None,
        confidence=0.95,
        ax=None,
    ):
        """Ask teacher and student about labelled rows and plot.

        Parameters
        ----------
        estimator : DistilledClassifier, Pipeline or search
            Fitted; a Pipeline or search ends in a DistilledClassifier. With
            `soft_targets` any classifier will do as the student.

        X : array-like of shape (n_samples, n_features) or list of str
            Rows that neither teacher nor student was fitted on.

        y : array-like of shape (n_samples,)
            Their labels.

        soft_targets : array-like of shape (n_samples, n_classes), default=None
            The teacher's probabilities for X, columns in the order of `classes_`: the
            teacher is not asked. Otherwise `teacher_` answers as it is, uncalibrated.

        plain : bool, default=False
            Whether to show `plain_student_` too.

        n_bins : int or "auto", default="auto"
            Number of bins; rows of the same confidence share one, so there may be
            fewer. "auto" is 15, as in the metric, or fewer where 15 would hold less
            than 25 rows each.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        confidence : float, default=0.95
            Nominal coverage of the intervals, in (0, 1).

        ax : matplotlib Axes, default=None
            Axes to draw into; None makes a figure.

        Returns
        -------
        display : ReliabilityDisplay

        Raises
        ------
        TypeError
            If the estimator has no probabilities.

        ValueError
            If the teacher's answers are neither given nor to be had, or there is no
            plain student.
        """
        import_pyplot(f"{cls.__name__}.from_estimator")
        cast = resolve_cast(estimator)
        P = {
            TEACHER: teacher_answers(cast, X, soft_targets),
            STUDENT: student_answers(cast, X),
        }
        if plain:
            if PLAIN not in cast.members:
                raise ValueError(
                    "plain must be False where no plain student was fitted, got "
                    f"plain={plain!r}. Fit with alpha='auto' and labels, which makes "
                    "it a candidate."
                )
            P[PLAIN] = answers(cast, PLAIN, X)
        return cls.from_predictions(
            y,
            P,
            classes=cast.classes,
            n_bins=n_bins,
            sample_weight=sample_weight,
            confidence=confidence,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true,
        probabilities,
        *,
        classes=None,
        n_bins="auto",
        sample_weight=None,
        confidence=0.95,
        ax=None,
    ):
        """Plot probabilities of one model or several.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Labels.

        probabilities : dict of array-like of shape (n_samples, n_classes)
            Probabilities by name of the model. "teacher", "student" and "plain
            student" have colours of their own.

        classes : array-like of shape (n_classes,), default=None
            Labels of the columns; None means the sorted labels of `y_true`.

        n_bins : int or "auto", default="auto"
            Number of bins; rows of the same confidence share one, so there may be
            fewer. "auto" is 15, as in the metric, or fewer where 15 would hold less
            than 25 rows each.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows. Each interval then has the effective number of rows
            of its bin, ``sum(w) ** 2 / sum(w ** 2)``.

        confidence : float, default=0.95
            Nominal coverage of the intervals, in (0, 1).

        ax : matplotlib Axes, default=None
            Axes to draw into; None makes a figure.

        Returns
        -------
        display : ReliabilityDisplay
        """
        import_pyplot(f"{cls.__name__}.from_predictions")
        if not isinstance(probabilities, Mapping) or not probabilities:
            raise TypeError(
                "probabilities must be a dict of arrays by name of the model, got "
                f"{type(probabilities).__name__}. Pass {{'teacher': P, 'student': Q}}."
            )
        y_true = column_or_1d(y_true)
        if n_bins == "auto":
            n_bins = int(np.clip(len(y_true) // ROWS_OF_BIN, 2, MOST_BINS))
        classes = np.unique(y_true) if classes is None else np.asarray(classes)
        curves = {
            name: _curve(
                y_true, P, classes, n_bins, sample_weight, confidence, name=name
            )
            for name, P in probabilities.items()
        }
        return cls(curves, confidence=confidence).plot(ax=ax)

    def plot(self, *, ax=None):
        """Draw the picture.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw into; None makes a figure.

        Returns
        -------
        display : ReliabilityDisplay
            This object.
        """
        ax = axes_for(self, ax, figsize=(5.6, 5.0))
        low = self._lower_end()
        ax.plot(
            [low, 1], [low, 1], color=QUIET, linewidth=1, zorder=1.5,
            label="perfectly calibrated",
        )  # fmt: skip
        styles = styles_of(self.curves)
        self.errorbars_ = {}
        for name, curve in self.curves.items():
            style = styles[name]
            self.errorbars_[name] = ax.errorbar(
                curve.confidence, curve.accuracy,
                # lists: older matplotlib asks an array of one value for a number
                yerr=[
                    (curve.accuracy - curve.low).tolist(),
                    (curve.high - curve.accuracy).tolist(),
                ],
                label=f"{name}, ECE {curve.error:.3f}", color=style.color,
                marker=style.marker, linestyle=style.linestyle, markersize=5,
                linewidth=1.5, elinewidth=0.8, capsize=2,
            )  # fmt: skip
        span = 1 - low
        floor = low - span * STRIP / (1 - STRIP)
        ax.set(
            xlim=(low - 0.01 * span, 1 + 0.02 * span), ylim=(floor, 1 + 0.02 * span),
            xlabel="confidence (probability)",
            ylabel="accuracy (share of rows)",
        )  # fmt: skip
        ax.set_yticks(
            [tick for tick in ax.get_yticks() if low - 1e-9 <= tick <= 1 + 1e-9]
        )
        self._draw_histogram(low, styles)
        self._write_legend()
        return self

    def _lower_end(self):
        """Where both axes begin: the tenth below everything that is drawn."""
        lowest = min(
            min(curve.low.min(), curve.row_confidence.min())
            for curve in self.curves.values()
        )
        return min(np.floor(10 * lowest) / 10, 0.9)

    def _draw_histogram(self, low, styles):
        """Draw confidences of rows in a strip at the foot of the axes.

        Inside the axes, because a second one beneath would need room that the caller's
        grid of axes has not.
        """
        self.histogram_ax_ = strip = self.ax_.inset_axes([0, 0, 1, STRIP * 0.9])
        edges = np.linspace(low, 1, N_BARS + 1)
        for name, curve in self.curves.items():
            style = styles[name]
            strip.hist(
                curve.row_confidence, bins=edges, weights=curve.row_weight,
                histtype="step", color=style.color, linestyle=style.linestyle,
                linewidth=1.2,
            )  # fmt: skip
        strip.set(xlim=self.ax_.get_xlim(), xticks=[], yticks=[], facecolor="#F4F4F4")
        strip.text(
            0.01, 0.92, "rows by confidence", transform=strip.transAxes, va="top",
            fontsize=text_sizes(self.ax_)[1], color=QUIET,
        )  # fmt: skip
        for side in ("left", "right", "bottom"):
            strip.spines[side].set_visible(False)
        strip.spines["top"].set_color("#B0B0B0")

    def _write_legend(self):
        """Put names above the axes: curves may lie on either side of the diagonal."""
        ax = self.ax_
        inches = ax.get_window_extent().width / ax.figure.dpi
        self.legend_ = ax.legend(
            fontsize=text_sizes(ax)[1], loc="lower center", bbox_to_anchor=(0.5, 1.0),
            ncols=2 if inches > 3.5 else 1, frameon=False, borderaxespad=0.2,
        )  # fmt: skip


def _curve(y_true, P, classes, n_bins, sample_weight, confidence, *, name):
    """Bins of equal mass of one model, as the metric has them."""
    P = check_probabilities(
        P, f"probabilities[{name!r}]", n_samples=len(y_true), n_classes=len(classes)
    )
    error = expected_calibration_error(
        y_true, P, classes=classes, n_bins=n_bins, sample_weight=sample_weight
    )
    weight = check_sample_weight(sample_weight, len(y_true))
    sure, right = P.max(axis=1), classes[P.argmax(axis=1)] == y_true
    present = weight > 0
    sure, right, weight = sure[present], right[present], weight[present]
    bins = _drawn_bins(sure, weight, n_bins)
    mass = np.bincount(bins, weights=weight)
    effective = mass**2 / np.bincount(bins, weights=weight**2)
    accuracy = np.bincount(bins, weights=weight * right) / mass
    accuracy = np.clip(accuracy, 0, 1)  # rounding
    low, high = wilson_interval(accuracy * effective, effective, confidence=confidence)
    return Bunch(
        confidence=np.bincount(bins, weights=weight * sure) / mass,
        accuracy=accuracy,
        low=low,
        high=high,
        share=mass / mass.sum(),
        error=error,
        row_confidence=sure,
        row_weight=weight / weight.sum(),
    )


def _drawn_bins(values, weight, n_bins):
    """Number of the bin of each row, without gaps; equal values share a bin.

    Ties can leave a bin next to nothing, and a point with a wild interval: one of less
    than half the mass that a bin should have joins the one below it.
    """
    _, bins = np.unique(equal_mass_bins(values, weight, n_bins), return_inverse=True)
    opens = np.bincount(bins, weights=weight) >= 0.5 * weight.sum() / n_bins
    if not opens[0]:  # there is none below: it takes the one above
        opens[:2] = True, False
    return (np.cumsum(opens) - 1)[bins]
