"""FidelityDisplay: where a student answers like its teacher, and where it does not."""

import numpy as np
from sklearn.metrics import confusion_matrix
from sklearn.utils import check_consistent_length

from skdistill.metrics import agreement, agreement_interval
from skdistill.metrics._checks import (
    check_sample_weight,
    check_table_or_labels,
    to_labels,
)
from skdistill.report._cast import resolve_cast
from skdistill.report._displays._models import (
    student_answers,
    teacher_answers,
)
from skdistill.report._displays._style import (
    AMOUNTS,
    QUIET,
    STUDENT,
    TEACHER,
    axes_for,
    import_pyplot,
    percent,
    text_sizes,
)

#: More rows than this are counted in hexagons: as points they would hide each other.
MAX_POINTS = 2000
KINDS = ("auto", "probabilities", "labels")


class FidelityDisplay:
    """Picture of how like its teacher a student answers.

    With two classes each row is a point: the teacher's probability of the second class
    against the student's; many rows are counted in hexagons. With more classes, or with
    labels only, it is a table of the teacher's labels against the student's in which
    the colour shows disagreement only, as agreement would outshine it. No labels of the
    rows are needed. The title says the agreement, the share of rows with the same label
    [1]_, with Wilson's interval [2]_: how alike both are is no proof that either is
    right.

    Use :meth:`from_estimator` or :meth:`from_predictions` to make one.

    Parameters
    ----------
    confusion : ndarray of shape (n_classes, n_classes)
        Weight of the rows by the teacher's label (rows of the table) and the student's
        (columns).

    classes : ndarray of shape (n_classes,)
        Labels.

    agreement : float
        Share of rows with the same label, in [0, 1].

    interval : tuple of float
        Ends of its interval.

    n_samples : int
        Number of rows.

    confidence : float, default=0.95
        Nominal coverage of the interval.

    probabilities : ndarray of shape (n_samples, 2), default=None
        Probability that the teacher and the student give to the second of two classes,
        or, of more, to the teacher's label. None where only labels are known.

    same : ndarray of bool of shape (n_samples,), default=None
        Whether the labels are the same; needed with `probabilities`.

    sample_weight : ndarray of shape (n_samples,), default=None
        Weights of the rows in hexagons.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes that were drawn into.

    figure_ : matplotlib Figure
        Their figure.

    im_ : matplotlib AxesImage, PolyCollection or None
        Table or hexagons.

    points_ : list of matplotlib PathCollection
        Rows with the same label and rows with different ones, where rows are points.

    text_ : ndarray of object of shape (n_classes, n_classes) or None
        Texts in the cells of the table, None where a cell has none; None where there
        is no table.

    colorbar_ : matplotlib Colorbar or None
        Scale of the colours.

    References
    ----------
    .. [1] Stanton et al., "Does knowledge distillation really work?", NeurIPS 2021.
    .. [2] Wilson, "Probable inference, the law of succession, and statistical
       inference", Journal of the American Statistical Association, 1927.

    Examples
    --------
    >>> from skdistill.report import FidelityDisplay
    >>> display = FidelityDisplay.from_predictions(
    ...     ["cat", "cat", "dog", "owl"], ["cat", "dog", "dog", "owl"]
    ... )
    >>> display.agreement
    0.75
    >>> display.confusion
    array([[1., 1., 0.],
           [0., 1., 0.],
           [0., 0., 1.]])
    """

    def __init__(
        self,
        confusion,
        *,
        classes,
        agreement,
        interval,
        n_samples,
        confidence=0.95,
        probabilities=None,
        same=None,
        sample_weight=None,
    ):
        self.confusion = confusion
        self.classes = classes
        self.agreement = agreement
        self.interval = interval
        self.n_samples = n_samples
        self.confidence = confidence
        self.probabilities = probabilities
        self.same = same
        self.sample_weight = sample_weight

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        *,
        soft_targets=None,
        sample_weight=None,
        confidence=0.95,
        kind="auto",
        ax=None,
    ):
        """Ask teacher and student about rows and plot; no labels are needed.

        Parameters
        ----------
        estimator : DistilledClassifier, Pipeline or search
            Fitted; a Pipeline or search ends in a DistilledClassifier. With
            `soft_targets` any classifier will do as the student.

        X : array-like of shape (n_samples, n_features) or list of str
            Rows that neither teacher nor student was fitted on.

        soft_targets : array-like of shape (n_samples, n_classes), default=None
            The teacher's probabilities for X, columns in the order of `classes_`: the
            teacher is not asked. Otherwise `teacher_` answers as it is, uncalibrated.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        confidence : float, default=0.95
            Nominal coverage of the interval, in (0, 1).

        kind : {"auto", "probabilities", "labels"}, default="auto"
            What is drawn; "auto" means probabilities for two classes, else labels.

        ax : matplotlib Axes, default=None
            Axes to draw into; None makes a figure.

        Returns
        -------
        display : FidelityDisplay

        Raises
        ------
        TypeError
            If the estimator has no probabilities.

        ValueError
            If the teacher's answers are neither given nor to be had.
        """
        import_pyplot(f"{cls.__name__}.from_estimator")
        cast = resolve_cast(estimator)
        return cls.from_predictions(
            teacher_answers(cast, X, soft_targets),
            student_answers(cast, X),
            classes=cast.classes,
            sample_weight=sample_weight,
            confidence=confidence,
            kind=kind,
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
        kind="auto",
        ax=None,
    ):
        """Plot answers of teacher and student.

        Parameters
        ----------
        teacher, student : array-like of shape (n_samples,) or (n_samples, n_classes)
            Labels or probabilities.

        classes : array-like of shape (n_classes,), default=None
            Labels of the columns; needed where one side are labels and the other
            probabilities. None means the labels that occur, or the number of each
            column.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows. The interval then has the effective number of rows,
            ``sum(w) ** 2 / sum(w ** 2)``.

        confidence : float, default=0.95
            Nominal coverage of the interval, in (0, 1).

        kind : {"auto", "probabilities", "labels"}, default="auto"
            What is drawn; "auto" means probabilities for two classes where both sides
            are probabilities, else labels.

        ax : matplotlib Axes, default=None
            Axes to draw into; None makes a figure.

        Returns
        -------
        display : FidelityDisplay

        Raises
        ------
        ValueError
            If the sides do not fit each other, or `kind` needs probabilities that are
            not there.
        """
        import_pyplot(f"{cls.__name__}.from_predictions")
        options = {"classes": classes, "sample_weight": sample_weight}
        share = agreement(teacher, student, **options)
        interval = agreement_interval(
            teacher, student, confidence=confidence, **options
        )
        teacher = check_table_or_labels(teacher)
        student = check_table_or_labels(student)
        weight = check_sample_weight(sample_weight, len(teacher))
        classes = _classes_of(teacher, student, classes)
        labels = to_labels(teacher, classes), to_labels(student, classes)
        probabilities = None
        if teacher.ndim == student.ndim == 2:
            # Of two classes the second; of more, the one that the teacher chose.
            column = 1 if len(classes) == 2 else teacher.argmax(axis=1)
            rows = np.arange(len(teacher))
            probabilities = np.column_stack(
                [teacher[rows, column], student[rows, column]]
            )
        display = cls(
            confusion_matrix(*labels, labels=classes, sample_weight=weight).astype(
                float
            ),
            classes=classes,
            agreement=share,
            interval=interval,
            n_samples=int((weight > 0).sum()),
            confidence=confidence,
            probabilities=probabilities,
            same=labels[0] == labels[1],
            sample_weight=None if sample_weight is None else weight,
        )
        return display.plot(kind=kind, ax=ax)

    def plot(self, *, kind="auto", ax=None):
        """Draw the picture.

        Parameters
        ----------
        kind : {"auto", "probabilities", "labels"}, default="auto"
            What is drawn; "auto" means probabilities for two classes where both sides
            are probabilities, else labels.

        ax : matplotlib Axes, default=None
            Axes to draw into; None makes a figure.

        Returns
        -------
        display : FidelityDisplay
            This object.
        """
        if kind not in KINDS:
            raise ValueError(
                f"kind must be one of {KINDS!r}, got {kind!r}. 'auto' is what suits "
                "the number of classes."
            )
        if kind == "probabilities" and self.probabilities is None:
            raise ValueError(
                "kind must be 'labels' or 'auto' where teacher or student are labels, "
                f"got {kind!r}. Pass probabilities of both."
            )
        if kind == "auto":
            binary = len(self.classes) == 2 and self.probabilities is not None
            kind = "probabilities" if binary else "labels"
        axes_for(self, ax, figsize=(5.6, 5.0))
        self.im_ = self.text_ = self.colorbar_ = None
        self.points_ = []
        if kind == "labels":
            self._draw_table()
        else:
            self._draw_probabilities()
        low, high = self.interval
        self.ax_.set_title(
            f"same label on {percent(self.agreement)} % of {self.n_samples:,} rows\n"
            f"{100 * self.confidence:g} % interval {percent(low)} to {percent(high)} %",
            fontsize=text_sizes(self.ax_)[0],
        )
        return self

    # -- probabilities -----------------------------------------------------------------

    def _draw_probabilities(self):
        ax = self.ax_
        ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        if len(self.probabilities) > MAX_POINTS:
            self._draw_hexagons()
        else:
            self._draw_points()
        ax.plot([0, 1], [0, 1], color=QUIET, linestyle="--", linewidth=1, zorder=1.5)
        if len(self.classes) == 2:
            self._mark_quadrants()
            what = f"probability of class {self.classes[1]}"
        else:
            what = "probability of the teacher's label"
        ax.set(xlabel=f"{what}, by the teacher", ylabel=f"{what}, by the student")

    def _draw_points(self):
        present = self._present()
        for style, label, rows in (
            (STUDENT, "same label", present & self.same),
            (TEACHER, "different labels", present & ~self.same),
        ):
            points = self.ax_.scatter(
                *self.probabilities[rows].T, s=16, color=style.color,
                marker=style.marker, alpha=0.6, linewidths=0, label=label,
            )  # fmt: skip
            self.points_.append(points)
        if len(self.classes) != 2:  # else the quadrants say it
            self.ax_.legend(loc="best", fontsize=text_sizes(self.ax_)[1])

    def _draw_hexagons(self):
        from matplotlib.colors import LogNorm

        weight, present = self.sample_weight, self._present()
        by_weight = {}
        if weight is not None:
            by_weight = {"C": weight[present], "reduce_C_function": np.sum}
        self.im_ = self.ax_.hexbin(
            *self.probabilities[present].T, gridsize=32, extent=(0, 1, 0, 1), mincnt=1,
            norm=LogNorm(), cmap=AMOUNTS, linewidths=0.2, **by_weight,
        )  # fmt: skip
        self.colorbar_ = self.figure_.colorbar(
            self.im_, ax=self.ax_, shrink=0.8,
            label="rows" if weight is None else "weight of rows",
        )  # fmt: skip

    def _present(self):
        """Tell which rows have a weight."""
        if self.sample_weight is None:
            return np.ones(len(self.same), dtype=bool)
        return self.sample_weight > 0

    def _mark_quadrants(self):
        """Shade where the labels differ, and say how many rows lie there."""
        from matplotlib.patheffects import withStroke

        # The words lie on the points, as thin as can be: those are the worst rows.
        outline = [withStroke(linewidth=2, foreground="white")]
        ax, total = self.ax_, self.confusion.sum()
        for x, y, t, s in ((0, 0.5, 0, 1), (0.5, 0, 1, 0)):
            ax.fill_between(
                [x, x + 0.5], y, y + 0.5, color=TEACHER.color, alpha=0.08, linewidth=0,
                zorder=0,
            )  # fmt: skip
            side = "left" if t == 0 else "right"
            ax.text(
                0.02 if t == 0 else 0.98,
                0.98 if t == 0 else 0.02,
                f"teacher {self.classes[t]}, student {self.classes[s]}:\n"
                f"{percent(self.confusion[t, s] / total)} % of rows",
                ha=side, va="top" if t == 0 else "bottom", multialignment=side,
                fontsize=text_sizes(ax)[1], zorder=5, path_effects=outline,
            )  # fmt: skip

    # -- labels ------------------------------------------------------------------------

    def _draw_table(self):
        from matplotlib.colors import ListedColormap

        ax, n_classes = self.ax_, len(self.classes)
        total = self.confusion.sum(axis=1, keepdims=True)
        share = np.divide(
            100 * self.confusion, total, out=np.zeros((n_classes,) * 2), where=total > 0
        )
        same = np.eye(n_classes, dtype=bool)
        elsewhere = np.ma.masked_where(same | (share == 0), share)
        largest = elsewhere.max() if elsewhere.count() else 1.0
        ax.imshow(np.ma.masked_where(~same, share), cmap=ListedColormap(["#E4E4E4"]))
        self.im_ = ax.imshow(elsewhere, cmap=AMOUNTS, vmin=0, vmax=largest)
        self.colorbar_ = self.figure_.colorbar(
            self.im_, ax=ax, shrink=0.8, label="share of the teacher's label (%)"
        )
        cell = _cell_points(ax, n_classes)
        _name_ticks(ax, self.classes, cell)
        ax.set(xlabel="label by the student", ylabel="label by the teacher")
        self.text_ = np.full((n_classes, n_classes), None)
        if cell >= 16:  # a smaller cell has no room for three characters
            self._write_cells(share, largest, min(0.4 * cell, 10))

    def _write_cells(self, share, largest, fontsize):
        for i, j in np.argwhere(share > 0):
            dark = i != j and share[i, j] > largest / 2
            self.text_[i, j] = self.ax_.text(
                j, i, _short_percent(share[i, j]), ha="center", va="center",
                fontsize=fontsize, color="white" if dark else "black",
            )  # fmt: skip


# -- what is drawn ---------------------------------------------------------------------


def _classes_of(teacher, student, classes):
    """Labels of both sides, checked to be labels."""
    check_consistent_length(teacher, student)
    tables = [side for side in (teacher, student) if side.ndim == 2]
    labels = [side for side in (teacher, student) if side.ndim == 1]
    for side in labels:
        if side.dtype.kind == "f" and (side % 1 != 0).any():
            raise ValueError(
                "teacher and student must be labels or have a column for each class, "
                f"got one column of numbers such as {side[side % 1 != 0][0]!r}. Pass "
                "the output of predict or of predict_proba."
            )
    if classes is None:
        return np.arange(tables[0].shape[1]) if tables else np.unique(labels)
    classes = np.asarray(classes)
    unknown = set(np.concatenate([*labels, classes[:0]]).tolist()) - set(
        classes.tolist()
    )
    if unknown:
        raise ValueError(
            f"teacher and student must hold labels of the classes {classes.tolist()!r} "
            f"only, got also {sorted(unknown, key=str)!r}. Pass classes=model.classes_."
        )
    return classes


def _short_percent(value):
    """Three characters or fewer, and never "0" for something that is there."""
    if value >= 9.95:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 0.05 else "<.1"


def _cell_points(ax, n_cells):
    """Side of a cell in points, as the axes are now; a layout may take some off."""
    box = ax.get_window_extent()
    pixels = min(box.width, box.height) / n_cells
    return 0.85 * pixels * 72 / ax.figure.dpi


def _name_ticks(ax, classes, cell):
    """Name as many classes as have room."""
    fontsize = float(min(max(0.75 * cell, 6), 10))
    step = max(1, int(np.ceil(1.1 * fontsize / cell)))
    ticks = np.arange(0, len(classes), step)
    names = [str(name) for name in classes[ticks]]
    # About .6 of the size is what a character takes; longer names stand upright.
    upright = max(map(len, names)) * 0.6 * fontsize > 0.9 * step * cell
    ax.set_xticks(ticks, names, rotation=90 if upright else 0, fontsize=fontsize)
    ax.set_yticks(ticks, names, fontsize=fontsize)
