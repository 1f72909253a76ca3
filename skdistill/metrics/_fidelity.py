"""How like its teacher a student answers."""

import numpy as np
from scipy.special import rel_entr
from sklearn.utils import check_consistent_length, column_or_1d

from skdistill.metrics._checks import (
    check_probabilities,
    check_sample_weight,
    check_table_or_labels,
    effective_rows,
    to_labels,
)
from skdistill.metrics._intervals import wilson_interval
from skdistill.soft_targets import kl_rows

# -- labels ----------------------------------------------------------------------------


def agreement(teacher, student, *, classes=None, sample_weight=None):
    """Share of rows on which teacher and student give the same label.

    Known as top-1 agreement or fidelity [1]_.

    Parameters
    ----------
    teacher, student : array-like of shape (n_samples,) or (n_samples, n_classes)
        Labels, or probabilities (or other scores), whose largest column is the label.

    classes : array-like of shape (n_classes,), default=None
        Labels of the columns; needed where one side are labels and the other
        probabilities.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows.

    Returns
    -------
    agreement : float
        Between 0 and 1, higher is more alike.

    References
    ----------
    .. [1] Stanton et al., "Does knowledge distillation really work?", NeurIPS 2021.

    Examples
    --------
    >>> from skdistill.metrics import agreement
    >>> agreement([[0.9, 0.1], [0.4, 0.6]], [[0.6, 0.4], [0.7, 0.3]])
    0.5
    """
    same = same_label(teacher, student, classes)
    weight = check_sample_weight(sample_weight, len(same))
    return float(np.average(same, weights=weight))


def agreement_interval(
    teacher, student, *, classes=None, sample_weight=None, confidence=0.95
):
    r"""Interval of :func:`agreement`, by Wilson's score method.

    Parameters
    ----------
    teacher, student : array-like of shape (n_samples,) or (n_samples, n_classes)
        Labels or probabilities, as in :func:`agreement`.

    classes : array-like of shape (n_classes,), default=None
        Labels of the columns; needed where one side are labels and the other
        probabilities.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows. Rows of unequal weight tell less than as many equal ones:
        they count as :math:`(\sum w)^2 / \sum w^2` rows [1]_.

    confidence : float, default=0.95
        Probability, over samples of rows, that the interval holds the agreement on all
        rows there are; in (0, 1).

    Returns
    -------
    low, high : float
        Ends of the interval.

    See Also
    --------
    wilson_interval : The interval of a rate.

    References
    ----------
    .. [1] Kish, "Survey sampling", 1965, section 11.7.

    Examples
    --------
    >>> from skdistill.metrics import agreement_interval
    >>> low, high = agreement_interval(["a", "b"] * 50, ["a", "b"] * 49 + ["a", "c"])
    >>> round(low, 3), round(high, 3)
    (0.946, 0.998)
    """
    same = same_label(teacher, student, classes)
    weight = check_sample_weight(sample_weight, len(same))
    n = effective_rows(weight)
    return wilson_interval(
        n * np.average(same, weights=weight), n, confidence=confidence
    )


def top_k_agreement(P, Q, *, k=5, sample_weight=None):
    """Share of rows on which the teacher's label is among the student's k likeliest.

    With k = 1 it is :func:`agreement`, but for ties. It is the top-k accuracy [1]_ of
    the student where the teacher's labels are the truth.

    Parameters
    ----------
    P, Q : array-like of shape (n_samples, n_classes)
        Probabilities of teacher and student, columns in the same order.

    k : int, default=5
        Number of classes of the student that count, from 1 to `n_classes`.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows.

    Returns
    -------
    agreement : float
        Between 0 and 1. Ties count by what breaking them at random would give on
        average [2]_, whatever the order of columns: a student that finds all classes
        equally likely has ``k / n_classes``.

    References
    ----------
    .. [1] Russakovsky et al., "ImageNet large scale visual recognition challenge",
       International Journal of Computer Vision, 2015.
    .. [2] McSherry, Najork, "Computing information retrieval performance measures
       efficiently in the presence of tied scores", ECIR 2008.

    Examples
    --------
    >>> from skdistill.metrics import top_k_agreement
    >>> P, Q = [[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]], [[0.4, 0.5, 0.1], [0.5, 0.4, 0.1]]
    >>> top_k_agreement(P, Q, k=2)
    0.5
    """
    P, Q, weight = _check_pair(P, Q, sample_weight)
    n_classes = P.shape[1]
    if not (k == int(k) and 1 <= k <= n_classes):
        raise ValueError(
            f"k must be a whole number from 1 to the number of classes, {n_classes}, "
            f"got {k!r}. With all classes the agreement is always 1."
        )
    ordered = np.sort(Q, axis=1)
    last = ordered[:, [n_classes - k]]  # the k-th largest: who is tied with it shares
    n_above, n_tied = (Q > last).sum(axis=1), (last == Q).sum(axis=1)
    chance = np.where(last < Q, 1.0, 0.0)
    chance[last == Q] = np.repeat((k - n_above) / n_tied, n_tied)
    is_top = P == P.max(axis=1, keepdims=True)
    among = (chance * is_top).sum(axis=1) / is_top.sum(axis=1)
    return float(np.average(among, weights=weight))


def agreement_by_case(
    teacher,
    student,
    y_true=None,
    *,
    classes=None,
    sure_from=0.9,
    sample_weight=None,
    confidence=0.95,
):
    """Agreement where the teacher is right, wrong, sure and unsure.

    A student should follow a teacher that is right; where the teacher is wrong or
    unsure, a departure may be a gain [1]_.

    Parameters
    ----------
    teacher, student : array-like of shape (n_samples,) or (n_samples, n_classes)
        Labels or probabilities, as in :func:`agreement`.

    y_true : array-like of shape (n_samples,), default=None
        Labels; the cases "teacher_right" and "teacher_wrong" need them.

    classes : array-like of shape (n_classes,), default=None
        Labels of the columns; needed where some of `teacher`, `student` and `y_true`
        are labels and others probabilities. Without them labels count as positions of
        columns, 0, 1, ...

    sure_from : float, default=0.9
        The teacher is sure where its largest probability is at least this. The cases
        "teacher_sure" and "teacher_unsure" need its probabilities.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows.

    confidence : float, default=0.95
        Of the intervals; see :func:`agreement_interval`.

    Returns
    -------
    cases : dict of str to dict
        "all", "teacher_right", "teacher_wrong", "teacher_sure" and "teacher_unsure", as
        far as they can be told; each holds "agreement" (NaN where there are no rows),
        "low" and "high" (ends of its interval) and "n_rows" (rows of positive weight).
        Made for ``pandas.DataFrame(cases).T``.

    References
    ----------
    .. [1] Nagarajan et al., "On student-teacher deviations in distillation: does it pay
       to disobey?", NeurIPS 2023.

    Examples
    --------
    >>> from skdistill.metrics import agreement_by_case
    >>> P, Q = [[0.9, 0.1], [0.4, 0.6]], [[0.6, 0.4], [0.7, 0.3]]
    >>> cases = agreement_by_case(P, Q, [0, 0])
    >>> cases["teacher_right"]["agreement"], cases["teacher_wrong"]["agreement"]
    (1.0, 0.0)
    """
    same = same_label(teacher, student, classes)
    teacher = check_table_or_labels(teacher)
    masks = {"all": np.ones(len(same), dtype=bool)}
    if y_true is not None:
        if classes is None and teacher.ndim == 2:
            classes = np.arange(teacher.shape[1])
        right = same_label(teacher, column_or_1d(y_true), classes)
        masks |= {"teacher_right": right, "teacher_wrong": ~right}
    if teacher.ndim == 2:
        sure = check_probabilities(teacher, "teacher").max(axis=1) >= sure_from
        masks |= {"teacher_sure": sure, "teacher_unsure": ~sure}
    weight = check_sample_weight(sample_weight, len(same))
    return {
        name: _rate(same[mask], weight[mask], confidence)
        for name, mask in masks.items()
    }


def _rate(same, weight, confidence):
    n = effective_rows(weight)
    rate = np.average(same, weights=weight) if n > 0 else np.nan
    low, high = wilson_interval(n * rate if n > 0 else 0.0, n, confidence=confidence)
    return {
        "agreement": float(rate),
        "low": low,
        "high": high,
        "n_rows": int((weight > 0).sum()),
    }


def same_label(teacher, student, classes=None):
    """Tell on which rows teacher and student give the same label, (n_samples,)."""
    teacher, student = check_table_or_labels(teacher), check_table_or_labels(student)
    check_consistent_length(teacher, student)
    if not len(teacher):
        raise ValueError(
            "teacher and student must have answers for one row or more, got none. Pass "
            "the answers for the rows to compare on."
        )
    if classes is None and teacher.ndim != student.ndim:
        raise ValueError(
            "classes must be given where one of teacher and student are labels and the "
            f"other probabilities, got shapes {teacher.shape!r} and {student.shape!r}. "
            "Pass classes=model.classes_."
        )
    if teacher.ndim == student.ndim == 2 and teacher.shape != student.shape:
        raise ValueError(
            "teacher and student must have the same columns, got shapes "
            f"{teacher.shape!r} and {student.shape!r}. Align the columns by class."
        )
    return to_labels(teacher, classes) == to_labels(student, classes)


# -- probabilities ---------------------------------------------------------------------


def mean_kl_divergence(P, Q, *, sample_weight=None):
    r"""Mean Kullback-Leibler divergence of a student from its teacher, in nats.

    The mean over rows of :math:`\sum_k p_k \log(p_k / q_k)`: what predicting Q costs,
    in log-loss, where the truth is P [1]_.

    Parameters
    ----------
    P : array-like of shape (n_samples, n_classes)
        Teacher's probabilities.

    Q : array-like of shape (n_samples, n_classes)
        Student's probabilities, columns in the same order; values below 1e-15 count as
        that, so that the result is finite.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows.

    Returns
    -------
    divergence : float
        0 or more; 0 where both are equal.

    References
    ----------
    .. [1] Kullback, Leibler, "On information and sufficiency", Annals of Mathematical
       Statistics, 1951.

    Examples
    --------
    >>> from skdistill.metrics import mean_kl_divergence
    >>> round(mean_kl_divergence([[0.5, 0.5]], [[0.25, 0.75]]), 4)
    0.1438
    """
    P, Q, weight = _check_pair(P, Q, sample_weight)
    # A floored Q sums to a hair more than 1: rounding must not show as less than 0.
    return max(float(np.average(kl_rows(P, Q), weights=weight)), 0.0)


def jensen_shannon_divergence(P, Q, *, sample_weight=None):
    r"""Mean Jensen-Shannon divergence of student and teacher, in nats.

    The mean over rows of half the Kullback-Leibler divergences of both from their
    middle [1]_. Symmetric, and finite where one side says never.

    Parameters
    ----------
    P, Q : array-like of shape (n_samples, n_classes)
        Probabilities of teacher and student, columns in the same order.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows.

    Returns
    -------
    divergence : float
        Between 0 (equal) and log 2 = 0.693 (nothing in common).

    References
    ----------
    .. [1] Lin, "Divergence measures based on the Shannon entropy", IEEE Transactions on
       Information Theory, 1991, section IV.

    Examples
    --------
    >>> from skdistill.metrics import jensen_shannon_divergence
    >>> round(jensen_shannon_divergence([[1.0, 0.0]], [[0.0, 1.0]]), 4)
    0.6931
    """
    P, Q, weight = _check_pair(P, Q, sample_weight)
    M = (P + Q) / 2
    rows = (rel_entr(P, M) + rel_entr(Q, M)).sum(axis=1) / 2
    return max(float(np.average(rows, weights=weight)), 0.0)


def total_variation_distance(P, Q, *, sample_weight=None):
    r"""Mean total variation distance of student and teacher.

    The mean over rows of :math:`\frac{1}{2} \sum_k |p_k - q_k|` [1]_: the largest
    difference in the probability of any set of classes.

    Parameters
    ----------
    P, Q : array-like of shape (n_samples, n_classes)
        Probabilities of teacher and student, columns in the same order.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows.

    Returns
    -------
    distance : float
        Between 0 (equal) and 1 (nothing in common).

    References
    ----------
    .. [1] Levin, Peres, "Markov chains and mixing times", 2017, proposition 4.2.

    Examples
    --------
    >>> from skdistill.metrics import total_variation_distance
    >>> round(total_variation_distance([[0.7, 0.3]], [[0.5, 0.5]]), 4)
    0.2
    """
    P, Q, weight = _check_pair(P, Q, sample_weight)
    rows = np.abs(P - Q).sum(axis=1) / 2
    return float(np.average(rows, weights=weight))


def brier_to_teacher(P, Q, *, sample_weight=None):
    r"""Mean squared distance of the student's probabilities from the teacher's.

    The Brier score [1]_, :math:`\sum_k (q_k - p_k)^2` a row, with the teacher's
    probabilities in the place of outcomes.

    Parameters
    ----------
    P, Q : array-like of shape (n_samples, n_classes)
        Probabilities of teacher and student, columns in the same order.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows.

    Returns
    -------
    score : float
        Between 0 (equal) and 2 (both sure, of different classes).

    References
    ----------
    .. [1] Brier, "Verification of forecasts expressed in terms of probability", Monthly
       Weather Review, 1950, equation 2.

    Examples
    --------
    >>> from skdistill.metrics import brier_to_teacher
    >>> round(brier_to_teacher([[0.7, 0.3]], [[0.5, 0.5]]), 4)
    0.08
    """
    P, Q, weight = _check_pair(P, Q, sample_weight)
    rows = ((Q - P) ** 2).sum(axis=1)
    return float(np.average(rows, weights=weight))


def _check_pair(P, Q, sample_weight):
    P = check_probabilities(P, "P")
    Q = check_probabilities(Q, "Q", n_samples=len(P), n_classes=P.shape[1])
    return P, Q, check_sample_weight(sample_weight, len(P))
