"""The verdict: what the figures say in words, each sentence with its evidence."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from skdistill.report._cast import ARTEFACT, CALIBRATED, PLAIN, STUDENT, TEACHER
from skdistill.report._words import amount, bytes_, fraction, gap, percent, seconds

#: Bootstrap intervals of fewer rows are too narrow, and so are those of a difference
#: where fewer rows tell two models apart: resamples repeat what is there.
FEW_ROWS, FEW_DISCORDANT = 100, 10


@dataclass(frozen=True)
class Evidence:
    """What a verdict rests on.

    Parameters
    ----------
    models, differences : list of dict
        Records of the report.

    reference : str
        Name of the model that fidelity is to.

    n_rows : int
        Rows of the report.

    gap_closed : dict
        Part of the way from the plain student to the teacher, by figure.

    n_unanswered : int
        Rows that the teacher did not answer.

    confidence : float
        Nominal coverage of the intervals.

    plain_is_student : bool
        Whether the plain student was chosen.

    by_labels_alone : bool
        Whether the student, whatever else it differs in, learnt from labels alone.

    memorised : bool
        Whether the rows look like the teacher's training rows.

    teacher_jobs : int or None
        The teacher's `n_jobs`.

    held_out : str
        What held-out training rows said, "" for nothing.
    """

    models: list
    differences: list
    reference: str
    n_rows: int
    gap_closed: dict = field(default_factory=dict)
    n_unanswered: int = 0
    confidence: float = 0.95
    plain_is_student: bool = False
    by_labels_alone: bool = False
    memorised: bool = False
    teacher_jobs: int | None = None
    held_out: str = ""

    @cached_property
    def by_name(self):
        """Records of the models by name."""
        return {record["model"]: record for record in self.models}

    @cached_property
    def by_pair(self):
        """Records of differences by (model, against)."""
        return {(d["model"], d["against"]): d for d in self.differences}

    @property
    def has_labels(self):
        """Whether labels were known."""
        return self.by_name[STUDENT]["accuracy"] is not None


def verdict(evidence):
    """Say in a few sentences what was kept, at what cost, and whether it helped.

    Parameters
    ----------
    evidence : Evidence
        The figures.

    Returns
    -------
    text : str
    """
    sentences = [
        "Beware: these rows look like the teacher's training rows."
        if evidence.memorised
        else "",
        _what_was_kept(evidence),
        _whether_it_helped(evidence),
        _how_much_of_the_gap(evidence),
        _how_calibrated(evidence) if evidence.has_labels else "",
        _how_alike(evidence) if evidence.has_labels else "",
        _artefact(evidence),
        evidence.held_out,
        f"(Intervals: {100 * evidence.confidence:g} %, {evidence.n_rows:,} rows.)",
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def warnings_of(evidence):
    """List reasons not to trust the figures.

    Parameters
    ----------
    evidence : Evidence
        The figures.

    Returns
    -------
    warnings : list of str
    """
    teacher = evidence.by_name[TEACHER]
    warnings = []
    if evidence.memorised:
        warnings.append(
            "These rows look like rows that the teacher was trained on: its accuracy "
            "on them says little about new rows, and so does what the student keeps of "
            "it. Use rows that neither has seen."
        )
    if evidence.n_unanswered:
        given = evidence.n_rows + evidence.n_unanswered
        warnings.append(
            f"The teacher did not answer {evidence.n_unanswered:,} of {given:,} rows: "
            "they are left out of every figure."
        )
    if evidence.n_rows < FEW_ROWS:
        warnings.append(
            f"Only {evidence.n_rows} rows: bootstrap intervals of fewer than "
            f"{FEW_ROWS} rows are too narrow. Use more rows."
        )
    n_discordant = evidence.by_pair[STUDENT, TEACHER]["n_discordant"]
    if n_discordant is not None and n_discordant < FEW_DISCORDANT:
        warnings.append(
            f"Just one of student and teacher is right on {n_discordant} rows: the "
            f"interval of their difference is too narrow with fewer than "
            f"{FEW_DISCORDANT}. Use more rows."
        )
    if evidence.teacher_jobs not in (None, 1) and teacher["p50"] is not None:
        warnings.append(
            f"The teacher has n_jobs={evidence.teacher_jobs}: for a single row, "
            "handing out the work may take longer than the work. Set n_jobs=1 for its "
            "best latency."
        )
    return warnings


# -- sentences -------------------------------------------------------------------------


def _what_was_kept(evidence):
    teacher, student = evidence.by_name[TEACHER], evidence.by_name[STUDENT]
    costs = _costs(teacher, student)
    if not evidence.has_labels:
        return (
            f"Student and teacher give the same label on "
            f"{percent(student, 'agreement')} of the rows, mean divergence "
            f"{amount(student, 'kl')} nats{costs}. Without labels nothing is known "
            "about accuracy."
        )
    return (
        f"The student keeps {percent(evidence.by_pair[STUDENT, TEACHER], 'retention')} "
        f"of the teacher's accuracy ({student['accuracy']:.4f} of "
        f"{teacher['accuracy']:.4f}){costs}."
    )


def _costs(teacher, student):
    """Latency and size against the teacher's, where both are known."""
    parts = [
        f"{fraction(teacher[key], student[key], word)} "
        f"({write(student[key])}{unit} instead of {write(teacher[key])})"
        for key, word, write, unit in (
            ("p50", "latency", seconds, " for one row"),
            ("n_bytes", "size", bytes_, ""),
        )
        if teacher[key] and student[key]
    ]
    return f", at {' and '.join(parts)}" if parts else ""


def _how_calibrated(evidence):
    student = evidence.by_name[STUDENT]
    others = {TEACHER: "the teacher", CALIBRATED: "the calibrated teacher"}
    others = {k: words for k, words in others.items() if k in evidence.by_name}
    losses = " and ".join(
        f"{gap(evidence.by_pair[STUDENT, name], 'log_loss')} against {words}"
        for name, words in others.items()
    )
    errors = " and ".join(
        f"{evidence.by_name[name]['ece']:.3f} for {words}"
        for name, words in others.items()
    )
    return (
        f"The student's log-loss is {amount(student, 'log_loss')} nats, {losses}; its "
        f"calibration error is {student['ece']:.3f}, {errors}."
    )


def _how_alike(evidence):
    student = evidence.by_name[STUDENT]
    return (
        f"Both give the same label on {percent(student, 'agreement')} of the rows, "
        f"mean divergence {amount(student, 'kl')} nats."
    )


def _whether_it_helped(evidence):
    if PLAIN not in evidence.by_name:
        return (
            "What distillation itself is worth is not known: give the same student "
            "fitted on labels only as plain=."
        )
    if evidence.plain_is_student:
        return (
            "Distillation did not help here: on held-out training rows labels alone "
            "were as good, and the plain student is the student."
        )
    pair = evidence.by_pair[STUDENT, PLAIN]
    figures = {"accuracy": 1, "log_loss": -1}
    words = {"accuracy": "accuracy", "log_loss": "log-loss", "agreement": "agreement",
             "kl": "divergence from the teacher"}  # fmt: skip
    if not evidence.has_labels:
        figures = {"agreement": 1, "kl": -1}
    better = [words[k] for k, sign in figures.items() if _side(pair, k) == sign]
    worse = [words[k] for k, sign in figures.items() if _side(pair, k) == -sign]
    by = " and ".join(f"{words[k]} {gap(pair, k)}" for k in figures)
    against = f"against the same student on labels only, {by}."
    if evidence.by_labels_alone:
        return (
            "Distillation did not help here: on held-out training rows labels alone "
            "were as good. What sets the student apart is how it takes its inputs, or "
            f"what was done to it after its fit: {against}"
        )
    if better and worse:
        return (
            f"Distillation helped in {better[0]} and did harm in {worse[0]}: {against}"
        )
    if better:
        return f"Distillation helped: {against}"
    if worse:
        return f"Distillation did not help here, it did harm: {against}"
    return (
        f"Distillation did not help here, within what so many rows can tell: {against}"
    )


def _how_much_of_the_gap(evidence):
    """What part of the teacher's lead was gained, where there is a lead."""
    is_known = PLAIN in evidence.by_name and evidence.has_labels
    if not is_known or evidence.plain_is_student:
        return ""
    words = {
        "accuracy": "in accuracy",
        "log_loss": "in log-loss",
        "log_loss_calibrated": "in log-loss of the calibrated teacher",
    }
    gaps = {k: evidence.gap_closed.get(k) for k in words}
    parts = [
        f"{round(100 * gaps[k])} % {words[k]}" for k in words if gaps[k] is not None
    ]
    if not parts:
        return "There was nothing to gain: the teacher is no better than labels alone."
    return f"Of the teacher's lead over labels alone it gains {', '.join(parts)}."


def _side(pair, figure):
    """Sign of a difference whose interval leaves out 0; 0 where it does not."""
    return int(pair[f"{figure}_low"] > 0) - int(pair[f"{figure}_high"] < 0)


def _artefact(evidence):
    if ARTEFACT not in evidence.by_name:
        return ""
    pair = evidence.by_pair[ARTEFACT, STUDENT]
    return (
        "The artefact's probabilities differ from the student's by "
        f"{pair['largest_gap']:.2g} at most."
    )


def held_out_words(summary):
    """What held-out training rows said, in words.

    Parameters
    ----------
    summary : dict of ndarrays or None
        `summary_` of a DistilledClassifier.

    Returns
    -------
    text : str
        "" where nothing was held out.
    """
    if not summary or not len(summary["metric"]):
        return ""
    for metric, words in {
        "log_loss": "log-loss",
        "kl_to_teacher": "divergence from the teacher",
    }.items():
        at = np.flatnonzero(np.asarray(summary["metric"]) == metric)
        if len(at):
            return f"Held-out training rows said, in {words}: {_best(summary, at)}."
    return ""


def _best(summary, at):
    """List the lowest score of each kind of model; of a chosen one, its own."""
    best = {}
    for i in at:
        name, chosen = str(summary["model"][i]), bool(summary["chosen"][i])
        entry = (not chosen, float(summary["score"][i]), float(summary["se"][i]))
        best[name] = min(best.get(name, entry), entry)
    return ", ".join(
        f"{name}{'' if missed else ' (chosen)'} {score:.3f} +- {se:.3f}"
        for name, (missed, score, se) in best.items()
    )
