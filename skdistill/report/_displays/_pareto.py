"""ParetoDisplay: what a model costs against how often it errs."""

from collections.abc import Mapping

import numpy as np

from skdistill._labelling import encode
from skdistill.metrics import measure_latency, model_size
from skdistill.metrics._checks import check_sample_weight, effective_rows
from skdistill.report._cast import PLAIN, STUDENT, Member, resolve_cast
from skdistill.report._displays import _style
from skdistill.report._displays._search import COSTS, read_search
from skdistill.report._displays._style import axes_for, import_pyplot, text_sizes
from skdistill.report._figures import LOG_LOSS_EPS
from skdistill.soft_targets import log_loss_rows, teacher_probabilities

#: Label of what models are compared by.
METRICS = {
    "accuracy": "error (share of rows)",
    "log_loss": "log-loss (nats)",
}


class ParetoDisplay:
    """Cost of models, on a log scale, against their error.

    The models that no other beats, being cheaper and no worse or better and no dearer,
    are joined by a line, the Pareto front [1]_: one of them is the model to take,
    whatever a second or a byte is worth. The chosen one has a star.

    Use :meth:`from_estimator` for a fitted search or a DistilledClassifier, and
    :meth:`from_models` for models that are measured here.

    Parameters
    ----------
    cost : array-like of shape (n_models,)
        Cost of each model, above 0.

    error : array-like of shape (n_models,)
        Error of each model, lower is better.

    names : list of str, default=None
        Names of the models; None leaves them unnamed.

    chosen : int, default=None
        Position of the chosen model.

    standard_error : array-like of shape (n_models,), default=None
        Standard errors of the errors, drawn as bars.

    comparable : array-like of bool of shape (n_models,), default=None
        False for models that were measured on less than the others, such as those that
        successive halving gave up early: they are drawn small and are not of the front.

    cost_label, error_label : str
        Labels of the axes. As `cost_label`, "latency" and "size" stand for those costs
        with their units.

    Attributes
    ----------
    front : ndarray of int
        Positions of the models on the front, cheapest first.

    ax_ : matplotlib Axes
        Axes that were drawn into.

    figure_ : matplotlib Figure
        Their figure.

    points_ : matplotlib PathCollection
        Comparable models.

    line_ : matplotlib Line2D
        The front.

    chosen_ : matplotlib Line2D or None
        The star.

    text_ : list of matplotlib Annotation
        Names. They find their places when the figure is drawn; one without room is not
        shown.

    References
    ----------
    .. [1] Deb, "Multi-objective optimization using evolutionary algorithms", 2001,
       section 2.4.

    Examples
    --------
    >>> from skdistill.report import ParetoDisplay
    >>> display = ParetoDisplay(
    ...     [1e-5, 1e-4, 1e-3, 1e-3], [0.2, 0.1, 0.05, 0.15], cost_label="latency"
    ... )
    >>> display.front
    array([0, 1, 2])
    """

    def __init__(
        self,
        cost,
        error,
        *,
        names=None,
        chosen=None,
        standard_error=None,
        comparable=None,
        cost_label="cost",
        error_label="error",
    ):
        self.cost = np.asarray(cost, dtype=float)
        self.error = np.asarray(error, dtype=float)
        self.names = names
        self.chosen = chosen
        self.standard_error = standard_error
        self.comparable = (
            np.ones(len(self.cost), dtype=bool)
            if comparable is None
            else np.asarray(comparable, dtype=bool)
        )
        self.cost_label = cost_label
        self.error_label = error_label
        self._check()

    def _check(self):
        shape = self.cost.shape
        if len(shape) != 1 or not shape[0] or self.error.shape != shape:
            raise ValueError(
                "cost and error must have one entry a model, and one at least, got "
                f"shapes {shape!r} and {self.error.shape!r}. Give both for each model."
            )
        if not (np.isfinite(self.cost) & (self.cost > 0)).all():
            bad = self.cost[~(np.isfinite(self.cost) & (self.cost > 0))][0]
            raise ValueError(
                f"cost must be above 0 and finite, got {bad!r}. Costs stand on a log "
                "scale; those of scorers are negative and change sign here."
            )
        if self.names is not None and len(self.names) != shape[0]:
            raise ValueError(
                f"names must have one entry for each of the {shape[0]} models, got "
                f"{len(self.names)}. Leave it out for points without names."
            )

    @property
    def front(self):
        """Positions of the models that no comparable one beats, cheapest first."""
        at = np.flatnonzero(self.comparable & np.isfinite(self.error))
        at = at[np.lexsort([self.error[at], self.cost[at]])]
        front, best = [], (np.inf, np.inf)
        for i in at:
            point = (self.error[i], self.cost[i])
            # Cheapest first: on the front is what errs less, or is the last one again.
            if point[0] < best[0] or point == best:
                front.append(i)
                best = point
        return np.array(front, dtype=int)

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X=None,
        y=None,
        *,
        cost="latency",
        metric=None,
        names=None,
        sample_weight=None,
        label="auto",
        ax=None,
    ):
        """Plot the candidates of a search, or the models of a DistilledClassifier.

        Parameters
        ----------
        estimator : fitted search, DistilledClassifier or Pipeline
            A search has `cv_results_` of a scorer of the cost and one of something to
            be good at; nothing is measured again. The models of a DistilledClassifier,
            its student, teacher and plain student, are measured on X and y.

        X, y : array-like, default=None
            Rows and labels that no model was fitted on; for a DistilledClassifier.

        cost : str, default="latency"
            Name of the search's scorer that gives the negative of a cost; "latency" or
            "size" for a DistilledClassifier.

        metric : str, default=None
            Name of the search's scorer of what to be good at. None means the only one
            that is no cost, or "score", the name in a search with a single scorer. For
            a DistilledClassifier "accuracy", which None means, or "log_loss".

        names : list of str, default=None
            Names of the candidates. None means the parameters that differ among them.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows; for a DistilledClassifier.

        label : {"auto", "front", "all"} or None, default="auto"
            Which models are named; "front" includes the chosen one. "auto" means all
            of up to eight, else the front.

        ax : matplotlib Axes, default=None
            Axes to draw into; None makes a figure.

        Returns
        -------
        display : ParetoDisplay

        Raises
        ------
        ValueError
            If a search lacks the scorers, or X and y are not given for a model.

        Notes
        -----
        A search's error is ``1 - score`` where scores lie between 0 and 1, as accuracy
        does, and ``-score`` elsewhere: scikit-learn's losses are negative. Bars are
        standard errors over folds. Candidates that failed are left out; of a halving
        search only those of the last iteration are compared.
        """
        import_pyplot(f"{cls.__name__}.from_estimator")
        if hasattr(estimator, "cv_results_"):
            display = cls(**read_search(estimator, cost, metric, names))
            return display.plot(label=label, ax=ax)
        if X is None or y is None:
            raise ValueError(
                "X and y must be given for a model that is no fitted search, got "
                f"{estimator!r} alone. Pass rows that no model was fitted on."
            )
        cast = resolve_cast(estimator)
        members = dict(cast.members)
        if PLAIN in members and cast.is_one(PLAIN, STUDENT):
            del members[PLAIN]
        return cls.from_models(
            members,
            X,
            y,
            cost=cost,
            metric="accuracy" if metric is None else metric,
            chosen=STUDENT,
            sample_weight=sample_weight,
            label=label,
            ax=ax,
        )

    @classmethod
    def from_models(
        cls,
        models,
        X,
        y,
        *,
        cost="latency",
        metric="accuracy",
        chosen=None,
        sample_weight=None,
        label="auto",
        ax=None,
    ):
        """Measure fitted models and plot.

        Parameters
        ----------
        models : dict or list of fitted classifiers
            Models with `predict_proba`, by name or in a list; those of a list are named
            after their class.

        X : array-like of shape (n_samples, n_features) or list of str
            Rows that no model was fitted on.

        y : array-like of shape (n_samples,)
            Their labels.

        cost : {"latency", "size"} or array-like of shape (n_models,), default="latency"
            "latency" is the median time of a call with one row in seconds, "size" the
            bytes of the pickle; or costs that are known already.

        metric : {"accuracy", "log_loss"}, default="accuracy"
            What models are compared by; the error is the share of wrong rows, or the
            log-loss in nats.

        chosen : str or int, default=None
            Name or position of the chosen model.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        label : {"auto", "front", "all"} or None, default="auto"
            Which models are named; "front" includes the chosen one. "auto" means all
            of up to eight, else the front.

        ax : matplotlib Axes, default=None
            Axes to draw into; None makes a figure.

        Returns
        -------
        display : ParetoDisplay

        Raises
        ------
        ValueError
            If `cost`, `metric` or `chosen` is not among what is allowed.

        Notes
        -----
        Bars are standard errors of the mean over rows.
        """
        import_pyplot(f"{cls.__name__}.from_models")
        if not isinstance(models, Mapping):
            models = _by_class(models)
        members = {
            name: model if isinstance(model, Member) else Member(model)
            for name, model in models.items()
        }
        names = list(members)
        errors = [
            _error_of(member, X, y, metric, sample_weight)
            for member in members.values()
        ]
        cost_label = cost if isinstance(cost, str) else "cost"
        if isinstance(cost, str):
            cost = [_cost_of(member, X, cost) for member in members.values()]
        display = cls(
            cost,
            [error for error, _ in errors],
            names=names,
            chosen=_position(chosen, names),
            standard_error=[se for _, se in errors],
            cost_label=cost_label,
            error_label=METRICS[metric],
        )
        return display.plot(label=label, ax=ax)

    def plot(self, *, label="auto", ax=None):
        """Draw the picture.

        Parameters
        ----------
        label : {"auto", "front", "all"} or None, default="auto"
            Which models are named; "front" includes the chosen one. "auto" means all
            of up to eight, else the front.

        ax : matplotlib Axes, default=None
            Axes to draw into; None makes a figure.

        Returns
        -------
        display : ParetoDisplay
            This object.
        """
        if label not in ("auto", "front", "all", None):
            raise ValueError(
                f"label must be 'auto', 'front', 'all' or None, got {label!r}. 'auto' "
                "names as many models as are easily read."
            )
        ax = axes_for(self, ax, figsize=(6.4, 4.6))
        front, shown = self.front, self.comparable & np.isfinite(self.error)
        self._draw_points(front, shown)
        self.chosen_ = None
        if self.chosen is not None:
            self.chosen_ = ax.plot(
                self.cost[self.chosen], self.error[self.chosen], linestyle="none",
                marker="*", markersize=15, color=_style.TEACHER.color,
                markeredgecolor="white", label="chosen", zorder=4,
            )[0]  # fmt: skip
        self._label_axes()
        # Not loc="best": that one moves when names do, which keep clear of it.
        ax.legend(fontsize=text_sizes(ax)[1], loc=self._emptiest_corner())
        self._write_names(label, front, shown)
        return self

    def _draw_points(self, front, shown):
        """Draw the front as a line, other models as points, and bars."""
        ax, grey = self.ax_, _style.QUIET
        rest = np.setdiff1d(np.flatnonzero(shown), front)
        if self.standard_error is not None:
            ax.errorbar(
                self.cost[shown], self.error[shown],
                yerr=np.asarray(self.standard_error)[shown], fmt="none", ecolor=grey,
                elinewidth=0.8, zorder=1.5,
            )  # fmt: skip
        self.line_ = ax.step(
            self.cost[front], self.error[front], where="post",
            color=_style.STUDENT.color, marker="o", markersize=6, linewidth=1.5,
            label="Pareto front", zorder=3,
        )[0]  # fmt: skip
        self.points_ = ax.scatter(
            self.cost[rest], self.error[rest], s=28, facecolors="white",
            edgecolors=grey, linewidths=1.2, zorder=2.5,
            label="beaten by another" if len(rest) else None,
        )  # fmt: skip
        if not self.comparable.all():
            ax.scatter(
                self.cost[~self.comparable], self.error[~self.comparable], s=12,
                color=grey, marker="x", linewidths=0.8, label="given up early",
                zorder=2,
            )  # fmt: skip

    def _label_axes(self):
        from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

        ax = self.ax_
        label, unit = COSTS.get(self.cost_label, (f"{self.cost_label} (log scale)", ""))
        ax.set(xscale="log", xlabel=label, ylabel=self.error_label)
        ax.margins(x=0.12, y=0.15)
        decades = np.ptp(np.log10(self.cost))
        # Few decades need marks between the powers of ten, many have no room for them.
        subs = (1.0, 2.0, 5.0) if decades < 1.5 else (1.0,)
        ax.xaxis.set_major_locator(LogLocator(subs=subs, numticks=7))
        ax.xaxis.set_major_formatter(EngFormatter(unit=unit))
        ax.xaxis.set_minor_formatter(NullFormatter())
        if self.error[np.isfinite(self.error)].min() >= 0:
            ax.set_ylim(bottom=max(0, ax.get_ylim()[0]))
        ax.grid(alpha=0.25)

    def _emptiest_corner(self):
        """Quarter of the axes with the fewest points, at a tie one off the front."""
        ax, known = self.ax_, np.isfinite(self.error)
        points = np.column_stack([self.cost, self.error])[known]
        x, y = ax.transAxes.inverted().transform(ax.transData.transform(points)).T
        right, upper = x > 0.5, y > 0.5
        corners = {
            "upper right": right & upper,
            "lower left": ~right & ~upper,
            "upper left": ~right & upper,
            "lower right": right & ~upper,
        }
        return min(corners, key=lambda corner: corners[corner].sum())

    def _write_names(self, label, front, shown):
        """Write names beside points, the chosen one's first and then the front's."""
        self.text_ = []
        if self.names is None or label is None:
            return
        from skdistill.report._displays._labels import NamePlacer

        if label == "auto":
            label = "all" if shown.sum() <= 8 else "front"
        order = [] if self.chosen is None else [self.chosen]
        order += [i for i in front if i not in order]
        if label == "all":
            order += [i for i in np.flatnonzero(shown) if i not in order]
        size = text_sizes(self.ax_)[1]
        for i in order:
            name = self.ax_.annotate(
                self.names[i], (self.cost[i], self.error[i]), (0, 0),
                textcoords="offset points", va="bottom", fontsize=size, zorder=5,
                arrowprops={"arrowstyle": "-", "color": _style.QUIET, "lw": 0.6},
            )  # fmt: skip
            name.set_in_layout(False)
            self.text_.append(name)
        points = np.column_stack([self.cost, self.error])[np.isfinite(self.error)]
        steps = np.column_stack([self.cost, self.error])[np.repeat(front, 2)]
        steps[1:-1, 0] = np.append(steps[2:-1, 0], steps[-1, 0])
        self.ax_.add_artist(NamePlacer(self.text_, points, radius=5, path=steps))


# -- what is drawn ---------------------------------------------------------------------


def _by_class(models):
    """Name models after their class, and number those of one class."""
    classes = [type(model).__name__ for model in models]
    named = {}
    for i, (name, model) in enumerate(zip(classes, models, strict=True)):
        number = classes[: i + 1].count(name)
        named[name if classes.count(name) == 1 else f"{name} {number}"] = model
    return named


def _position(chosen, names):
    if chosen is None or (not isinstance(chosen, str) and 0 <= chosen < len(names)):
        return chosen
    if chosen not in names:
        raise ValueError(
            f"chosen must be one of {names!r} or the position of one, got {chosen!r}. "
            "Leave it out to mark none."
        )
    return names.index(chosen)


def _error_of(member, X, y, metric, sample_weight):
    """Mean loss of a model and its standard error."""
    if metric not in METRICS:
        raise ValueError(
            f"metric must be one of {list(METRICS)!r}, got {metric!r}. For other "
            "scores pass costs and errors to ParetoDisplay itself."
        )
    classes = np.asarray(member.classes)
    P = teacher_probabilities(member, X, classes=classes, teacher_classes=classes)
    codes = encode(y, classes)
    if metric == "log_loss":
        losses = log_loss_rows(P, codes, eps=LOG_LOSS_EPS)
    else:
        losses = (P.argmax(axis=1) != codes).astype(float)
    weight = check_sample_weight(sample_weight, len(losses))
    mean = np.average(losses, weights=weight)
    variance = np.average((losses - mean) ** 2, weights=weight)
    return mean, np.sqrt(variance / effective_rows(weight))


def _cost_of(member, X, cost):
    if cost == "latency":
        return measure_latency(member, X, max_seconds=1.0)["p50"]
    if cost == "size":
        return sum(model_size(part) for part in (*member.steps, member.model))
    raise ValueError(
        f"cost must be one of {list(COSTS)!r} or an array of costs, got {cost!r}. Pass "
        "costs that you measured yourself as an array."
    )
