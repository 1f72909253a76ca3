"""What models are worth on the same rows: figures, paired differences, intervals.

Arrays go in, records (dicts of numbers) come out; None stands for what is not known.
"""

import numpy as np

from skdistill.metrics import (
    bootstrap_interval,
    expected_calibration_error,
    gap_closed,
    mcnemar_test,
    retention,
    wilson_interval,
)
from skdistill.report._cast import ARTEFACT, CALIBRATED, PLAIN, STUDENT, TEACHER
from skdistill.soft_targets import kl_rows, log_loss_rows

#: scikit-learn's floor of a probability in the log-loss.
LOG_LOSS_EPS = float(np.finfo(np.float64).eps)


def compare(
    answers, reference, codes, weight, pairs, *, confidence, n_resamples, random_state
):
    """Score models on the same rows, and subtract their scores in pairs.

    Parameters
    ----------
    answers : dict of str to ndarray of shape (n_samples, n_classes)
        Probabilities of each model.

    reference : str
        Name of the model that agreement and divergence are to.

    codes : ndarray of int of shape (n_samples,) or None
        Column of each row's label.

    weight : ndarray of shape (n_samples,) or None
        Positive weights of the rows.

    pairs : list of (str, str)
        Names of the models whose figures are subtracted: first minus second.

    confidence : float
        Of all intervals.

    n_resamples : int
        Resamples of the bootstrap. They are drawn once: all figures of one resample
        are of the same rows, so differences are paired.

    random_state : int, RandomState instance or None
        Seed of the resamples.

    Returns
    -------
    models : list of dict
        A record for each model, with the keys MODEL_KEYS.

    differences : list of dict
        A record for each pair, with the keys DIFFERENCE_KEYS.
    """
    rows = _row_figures(answers, reference, codes)
    found = _bootstrap(
        rows, pairs, weight, confidence=confidence, n_resamples=n_resamples,
        random_state=random_state,
    )  # fmt: skip
    # Weighted rows tell as much as fewer rows of equal weight.
    n = len(answers[reference])
    n = n if weight is None else weight.sum() ** 2 / (weight**2).sum()

    models = []
    for model, P in answers.items():
        record = dict.fromkeys(MODEL_KEYS) | {"model": model}
        for name in ("log_loss", "kl"):
            record |= _spread(name, found.get((model, name)))
        for name in ("accuracy", "agreement"):
            if (model, name) in found:
                share = found[model, name][0]
                ends = wilson_interval(min(share, 1.0) * n, n, confidence=confidence)
                record |= _spread(name, (share, *ends))
        if codes is not None:
            for key, debiased in (("ece", False), ("ece_debiased", True)):
                error = expected_calibration_error(
                    codes, P, classes=np.arange(P.shape[1]), debiased=debiased,
                    sample_weight=weight,
                )  # fmt: skip
                record[key] = error if np.isfinite(error) else None
        models.append(record)

    differences = []
    for pair in pairs:
        record = dict(zip(("model", "against"), pair, strict=True))
        for name in ("accuracy", "retention", "log_loss", "agreement", "kl"):
            record |= _spread(name, found.get((pair, name)))
        record["mcnemar_p"] = record["n_discordant"] = None
        if codes is not None:
            right = [rows[model, "accuracy"] > 0 for model in pair]
            record["n_discordant"] = int((right[0] != right[1]).sum())
            if weight is None:  # the test counts whole rows
                record["mcnemar_p"] = mcnemar_test(*right)
        P, Q = (answers[model] for model in pair)
        record["largest_gap"] = float(np.abs(P - Q).max())
        differences.append({key: record[key] for key in DIFFERENCE_KEYS})
    return models, differences


def pairs_of(answers):
    """Name the pairs of models whose figures are subtracted, first minus second."""
    pairs = [(STUDENT, TEACHER), (STUDENT, CALIBRATED), (STUDENT, PLAIN)]
    pairs.append((ARTEFACT, STUDENT))
    return [pair for pair in pairs if set(pair) <= set(answers)]


def gaps_closed(models):
    """Part of the way from the plain student to the teacher, by name of the figure.

    Parameters
    ----------
    models : list of dict
        Records of the models.

    Returns
    -------
    gaps : dict
        "accuracy", "log_loss" (to the teacher as it is) and "log_loss_calibrated";
        None where something is not known or there is no gap.
    """
    by_name = {record["model"]: record for record in models}

    def closed(figure, teacher, greater_is_better):
        names = (PLAIN, STUDENT, teacher)
        scores = [by_name.get(name, {}).get(figure) for name in names]
        if None in scores:
            return None
        part = gap_closed(*scores, greater_is_better=greater_is_better)
        return part if np.isfinite(part) else None

    return {
        "accuracy": closed("accuracy", TEACHER, True),
        "log_loss": closed("log_loss", TEACHER, False),
        "log_loss_calibrated": closed("log_loss", CALIBRATED, False),
    }


def _with_interval(*names):
    return tuple(f"{name}{end}" for name in names for end in ("", "_low", "_high"))


MODEL_KEYS = (
    "model",
    *_with_interval("accuracy", "log_loss"),
    "ece",
    "ece_debiased",
    *_with_interval("agreement", "kl"),
)
DIFFERENCE_KEYS = (
    "model",
    "against",
    *_with_interval("accuracy"),
    "mcnemar_p",
    "n_discordant",
    *_with_interval("retention", "log_loss", "agreement", "kl"),
    "largest_gap",
)


def _spread(name, values):
    """Put a figure and the ends of its interval under their names; None for NaN."""
    keys = _with_interval(name)
    if values is None:
        return dict.fromkeys(keys)
    numbers = [float(value) for value in values]
    return {
        key: number if np.isfinite(number) else None
        for key, number in zip(keys, numbers, strict=True)
    }


def _row_figures(answers, reference, codes):
    """Figures of each model row by row; their weighted means are the model's."""
    rows, P_reference = {}, answers[reference]
    label = P_reference.argmax(axis=1)
    for model, P in answers.items():
        guess = P.argmax(axis=1)
        if codes is not None:
            rows[model, "accuracy"] = (guess == codes).astype(float)
            rows[model, "log_loss"] = log_loss_rows(P, codes, eps=LOG_LOSS_EPS)
        if model not in (TEACHER, CALIBRATED):
            rows[model, "agreement"] = (guess == label).astype(float)
            # rounding must not show as less than 0
            rows[model, "kl"] = np.maximum(kl_rows(P_reference, P), 0.0)
    return rows


def _bootstrap(rows, pairs, weight, *, confidence, n_resamples, random_state):
    """Means, paired differences and ratios of accuracies, each as (value, low, high).

    Keys are (model, figure) and (pair, figure).
    """
    column = {key: k for k, key in enumerate(rows)}
    gaps = [
        (pair, name)
        for pair in pairs
        for name in ("accuracy", "log_loss", "agreement", "kl")
        if all((model, name) in column for model in pair)
    ]
    ratios = [(pair, "retention") for pair, name in gaps if name == "accuracy"]
    minuend, subtrahend = (
        [column[pair[side], name] for pair, name in gaps] for side in (0, 1)
    )
    part, whole = (
        [column[pair[side], "accuracy"] for pair, _ in ratios] for side in (0, 1)
    )

    def statistics(values, sample_weight):
        # Not a BLAS product: its last bits depend on where arrays lie in memory.
        means = np.einsum("i,ij->j", sample_weight, values) / sample_weight.sum()
        kept = retention(means[part], means[whole])
        return np.concatenate([means, means[minuend] - means[subtrahend], kept])

    values = np.column_stack(list(rows.values()))
    exact = statistics(values, np.ones(len(values)) if weight is None else weight)
    low, high = bootstrap_interval(
        statistics, values, sample_weight=weight, confidence=confidence,
        n_resamples=n_resamples, random_state=random_state,
    )  # fmt: skip
    keys = [*rows, *gaps, *ratios]
    return dict(zip(keys, zip(exact, low, high, strict=True), strict=True))


def disagreements(P_teacher, P_student, *, labels, rows, classes, n_most):
    """List the rows on which teacher and student are furthest apart.

    The distance is total variation, the share of probability that lies elsewhere.

    Parameters
    ----------
    P_teacher, P_student : ndarray of shape (n_samples, n_classes)
        Probabilities.

    labels : ndarray of shape (n_samples,) or None
        True labels.

    rows : ndarray of int of shape (n_samples,)
        Positions of the rows in what the user gave.

    classes : ndarray of shape (n_classes,)
        Labels of the columns.

    n_most : int
        Number of rows, furthest apart first; ties in their order.

    Returns
    -------
    records : list of dict
    """
    distance = np.abs(P_teacher - P_student).sum(axis=1) / 2
    # Rounded, so that ties are ties.
    order = np.argsort(-distance.round(12), kind="stable")[:n_most]
    sides = {"teacher": P_teacher[order], "student": P_student[order]}
    columns = {"row": rows[order].tolist()}
    if labels is not None:
        columns["y"] = labels[order].tolist()
    for side, P in sides.items():
        columns[side] = classes[P.argmax(axis=1)].tolist()
    columns["total_variation"] = distance[order].tolist()
    for side, P in sides.items():
        for k, label in enumerate(classes.tolist()):
            columns[f"{side}_proba[{label}]"] = P[:, k].tolist()
    return [
        dict(zip(columns, record, strict=True))
        for record in zip(*columns.values(), strict=True)
    ]
