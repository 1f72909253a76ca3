"""distillation_report: what a person should know before a student ships."""

import json
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from skdistill._leak_check import looks_memorised
from skdistill.report import _layout, _provenance
from skdistill.report._cast import PLAIN, STUDENT, TEACHER, resolve_cast
from skdistill.report._costs import costs_of, may_time_teacher
from skdistill.report._figures import (
    compare,
    disagreements,
    gaps_closed,
    pairs_of,
)
from skdistill.report._rows import ask_all
from skdistill.report._verdict import Evidence, held_out_words, verdict, warnings_of


def distillation_report(
    model,
    X,
    y=None,
    *,
    teacher=None,
    plain=None,
    artefact=None,
    soft_targets=None,
    classes=None,
    sample_weight=None,
    confidence=0.95,
    n_resamples=1000,
    n_disagreements=20,
    time_teacher="auto",
    max_seconds=2.0,
    random_state=0,
):
    """Say what a student kept of its teacher, what it lost, and what it costs.

    Use rows that neither teacher nor student was fitted on. The teacher is asked once
    about each row, through the store of its answers where `model` has one (`memory=`),
    and, in addition, for timing.

    Parameters
    ----------
    model : fitted classifier
        A :class:`~skdistill.DistilledClassifier`, alone, found by a search, or at the
        end of a Pipeline, whose steps then count for the latency and size of teacher
        and student alike. Any other classifier is a student, and `teacher` or
        `soft_targets` must be given with it.

    X : array-like of shape (n_samples, n_features) or list of str
        Rows as `model` takes them.

    y : array-like of shape (n_samples,), default=None
        Labels. Without them the report is of fidelity and cost only.

    teacher : fitted classifier, default=None
        In place of the one that `model` holds. It gets X as given, and so do `plain`
        and `artefact`, whatever steps `model` has.

    plain : fitted classifier, default=None
        The same student fitted on labels only, where `model` keeps none.

    artefact : fitted classifier, default=None
        What was exported of the student: anything with `predict_proba` and `classes_`.

    soft_targets : array-like of shape (n_samples, n_classes), default=None
        The teacher's probabilities for X, before any calibration: it is not asked. Rows
        with NaN are left out of the whole report, and counted.

    classes : array-like of shape (n_classes,), default=None
        Labels of the columns of `soft_targets`, or of a teacher that has no
        `classes_`. None means those of `model`, and of the teacher.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows. Rows of weight 0 count as absent; McNemar's test, which
        counts rows, is left out.

    confidence : float, default=0.95
        Nominal coverage of every interval, in (0, 1).

    n_resamples : int, default=1000
        Resamples of the bootstrap; their time grows with the rows.

    n_disagreements : int, default=20
        Rows of greatest disagreement to list.

    time_teacher : bool or "auto", default="auto"
        Whether to call the teacher for timing. "auto" does not where `soft_targets` are
        given, nor where the teacher may spend money (it, or a part of it, has
        `max_cost` or `max_calls`).

    max_seconds : float, default=2.0
        Each model is timed for about so long on single rows, and again on batches; at
        least one call is made of each. 0 times nothing.

    random_state : int, RandomState instance or None, default=0
        Seed of the bootstrap.

    Returns
    -------
    report : DistillationReport

    Raises
    ------
    TypeError
        If a model gives no probabilities.

    ValueError
        If there are neither a teacher nor `soft_targets`, no row is left, or labels
        and classes do not fit.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from sklearn.model_selection import train_test_split
    >>> from skdistill import DistilledClassifier, LogisticStudent
    >>> from skdistill.report import distillation_report
    >>> X, y = load_digits(return_X_y=True)
    >>> X, X_test, y, y_test = train_test_split(X, y, random_state=0)
    >>> small = DistilledClassifier(
    ...     RandomForestClassifier(random_state=0),
    ...     LogisticStudent(),
    ...     alpha=0.5,
    ...     transfer=None,
    ...     random_state=0,
    ... ).fit(X, y)
    >>> report = distillation_report(small, X_test, y_test, max_seconds=0.1)
    >>> [record["model"] for record in report.models]
    ['teacher', 'teacher, calibrated', 'student']
    """
    _check_choices(n_disagreements, time_teacher, max_seconds)
    cast = resolve_cast(model, teacher=teacher, plain=plain, artefact=artefact)
    rows = ask_all(
        cast, X, y=y, soft_targets=soft_targets, classes=classes,
        sample_weight=sample_weight,
    )  # fmt: skip
    models, differences = compare(
        rows.answers, rows.reference, rows.codes, rows.weight, pairs_of(rows.answers),
        confidence=confidence, n_resamples=n_resamples, random_state=random_state,
    )  # fmt: skip
    if time_teacher == "auto":
        time_teacher = soft_targets is None and may_time_teacher(cast)
    costs = costs_of(cast, rows.X, max_seconds=max_seconds, time_teacher=time_teacher)
    models = [record | costs[record["model"]] for record in models]
    gaps = gaps_closed(models)
    evidence = Evidence(
        models=models,
        differences=differences,
        gap_closed=gaps,
        reference=rows.reference,
        n_rows=len(rows),
        n_unanswered=rows.n_unanswered,
        confidence=confidence,
        plain_is_student=cast.is_one(PLAIN, STUDENT),
        by_labels_alone=getattr(cast.distilled, "alpha_", None) == 0,
        memorised=rows.codes is not None
        and looks_memorised(rows.answers[TEACHER], rows.codes, rows.X),
        teacher_jobs=_jobs(cast),
        held_out=held_out_words(getattr(cast.distilled, "summary_", None)),
    )
    return DistillationReport(
        models=models,
        differences=differences,
        gap_closed=gaps,
        verdict=verdict(evidence),
        warnings=warnings_of(evidence),
        provenance=_provenance.provenance_of(
            model if cast.distilled is None else cast.distilled, rows,
            confidence=confidence, n_resamples=n_resamples, random_state=random_state,
        ),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        rows=replace(rows, X=None),  # a report does not carry the data along
        n_disagreements=n_disagreements,
    )  # fmt: skip


def _check_choices(n_disagreements, time_teacher, max_seconds):
    if not (time_teacher == "auto" or isinstance(time_teacher, bool)):
        raise ValueError(
            f"time_teacher must be True, False or 'auto', got {time_teacher!r}. False "
            "never calls the teacher for timing."
        )
    for name, value in {
        "n_disagreements": n_disagreements,
        "max_seconds": max_seconds,
    }.items():
        if not value >= 0:
            raise ValueError(
                f"{name} must be 0 or more, got {value!r}. 0 leaves that part out."
            )


@dataclass(frozen=True, eq=False, repr=False)
class DistillationReport:
    """Figures, words and pictures of one distillation.

    Made by :func:`distillation_report`. It prints as text, and as a table in a
    notebook.

    Parameters
    ----------
    models : list of dict
        A record of figures for each model: "teacher", "teacher, calibrated" (where
        calibration is in use), "student", "plain student", "artefact". None stands for
        what is not known or does not apply.

        - "accuracy", "log_loss" (nats), "ece" (expected calibration error): to labels;
        - "agreement" (share of rows with the same label), "kl" (mean divergence in
          nats): to the teacher as it taught, that is calibrated where it was;
        - "p50", "p99": seconds for one row, over "n_timed_calls"; "rows_per_second" in
          batches of up to 1,000 rows, on one thread;
        - "n_bytes": size when pickled; "n_parameters": weights, or nodes of trees;
        - "teacher_rows": rows that the teacher was asked about to make the model.

        "_low" and "_high" are the ends of intervals: Wilson's for shares, the paired
        bootstrap's for the others. The calibration error has none: resampling
        overstates it.

    differences : list of dict
        Figures of "model" minus those of "against", by paired bootstrap. "retention" is
        the ratio of their accuracies, "mcnemar_p" the p-value of McNemar's exact test
        that both are right equally often, "n_discordant" the number of rows on which
        just one of them is right, "largest_gap" the largest difference of two
        probabilities.

    gap_closed : dict
        Part of the way from the plain student to the teacher that the student went, in
        "accuracy" and, to the raw teacher, in "log_loss"; None where there is no gap.

    verdict : str
        What all this says, in words, with its evidence.

    warnings : list of str
        Reasons not to trust it.

    provenance : dict
        Versions, settings of the model, classes, and a fingerprint of the rows.

    created : str
        Date and time, in UTC.

    rows : Rows
        Positions, labels and weights of the rows, and what each model answers.

    n_disagreements : int
        Rows to list in `disagreements`.

    See Also
    --------
    distillation_report : Makes one.
    """

    models: list
    differences: list
    gap_closed: dict
    verdict: str
    warnings: list
    provenance: dict
    created: str
    rows: object
    n_disagreements: int

    # -- frames ------------------------------------------------------------------------

    @property
    def frame(self):
        """Figures of the models, a row each, named by the index.

        A pandas DataFrame; without pandas a dict of lists, with "model" among them.
        """
        return _frame(self.models, index="model")

    @property
    def disagreements(self):
        """Rows on which teacher and student are furthest apart, furthest first.

        "row" is the position in X; "y", "teacher" and "student" are labels;
        "total_variation" is the distance, in [0, 1]; "teacher_proba[label]" and
        "student_proba[label]" are probabilities. A pandas DataFrame; without pandas a
        dict of lists.
        """
        return _frame(self._disagreements())

    def _disagreements(self):
        rows = self.rows
        return disagreements(
            rows.answers[rows.reference], rows.answers[STUDENT], labels=rows.labels,
            rows=rows.at, classes=rows.classes, n_most=self.n_disagreements,
        )  # fmt: skip

    # -- other forms -------------------------------------------------------------------

    def to_dict(self):
        """Everything as dicts, lists, strings and numbers, ready for JSON.

        Returns
        -------
        report : dict
        """
        found = {
            "verdict": self.verdict,
            "warnings": self.warnings,
            "models": self.models,
            "differences": self.differences,
            "gap_closed": self.gap_closed,
            "disagreements": self._disagreements(),
            "provenance": self.provenance,
            "created": self.created,
        }
        return deepcopy(found)  # what the caller changes stays theirs

    def to_json(self, **kwargs):
        """Everything as JSON.

        Parameters
        ----------
        **kwargs : dict
            Passed to :func:`json.dumps`, such as ``indent=2``.

        Returns
        -------
        text : str
        """
        return json.dumps(self.to_dict(), allow_nan=False, **kwargs)

    def to_markdown(self):
        """Verdict and tables in Markdown.

        Returns
        -------
        text : str
        """
        return _layout.as_markdown(self)

    def __str__(self):
        return _layout.as_text(self)

    __repr__ = __str__

    def _repr_html_(self):
        return _layout.as_html(self)

    def plot(self):
        """Draw fidelity and, where labels are known, reliability, side by side.

        Returns
        -------
        figure : matplotlib Figure
        """
        from skdistill.report._displays import FidelityDisplay, ReliabilityDisplay
        from skdistill.report._displays._style import import_pyplot

        plt = import_pyplot("DistillationReport.plot")
        rows = self.rows
        n_axes = 1 if rows.codes is None else 2
        figure, axes = plt.subplots(
            1, n_axes, figsize=(5.6 * n_axes, 5.0), layout="constrained", squeeze=False
        )
        common = {
            "classes": rows.classes,
            "sample_weight": rows.weight,
            "confidence": self.provenance["confidence"],
        }
        FidelityDisplay.from_predictions(
            rows.answers[rows.reference], rows.answers[STUDENT], ax=axes[0, 0], **common
        )
        if n_axes == 2:
            shown = (TEACHER, rows.reference, STUDENT, PLAIN)
            ReliabilityDisplay.from_predictions(
                rows.labels, {k: P for k, P in rows.answers.items() if k in shown},
                ax=axes[0, 1], **common,
            )  # fmt: skip
        return figure


def _frame(records, index=None):
    """Records as a pandas frame, or as lists where pandas is not installed."""
    names = records[0] if records else ()
    columns = {name: [record[name] for record in records] for name in names}
    try:
        import pandas as pd
    except ImportError:
        return columns
    frame = pd.DataFrame(columns)
    return frame if index is None else frame.set_index(index)


def _jobs(cast):
    """Number of jobs that the teacher's parameters ask for, None for none."""
    teacher = cast.members.get(TEACHER)
    return None if teacher is None else getattr(teacher.model, "n_jobs", None)
