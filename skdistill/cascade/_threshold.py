"""From which score on is a student safe: a threshold with a finite-sample guarantee.

Pure functions on arrays. The thresholds that are tested, their order and the error that
each may make are fixed by `plan` before any disagreement is seen, on pilot rows that no
test uses; `lowest_safe` then tests them.
"""

from math import ceil, log, log1p
from typing import NamedTuple

import numpy as np
from scipy.special import bdtr

from skdistill.metrics import clopper_pearson_upper

#: Thresholds in a sequence, at evenly spaced shares of the pilot rows.
N_THRESHOLDS = 100
#: A test is planned with so many times the rows that can just pass: how many will lie
#: above a threshold is not known when the sequence is fixed.
SLACK = 1.3
#: Three tests may begin the sequence where the first has a share below this; the last
#: of them is the share after it. With fewer rows one begins it, at a half at least.
FIRST_SHARE, LAST_START, ONLY_START = 0.2, 0.75, 0.5


class Plan(NamedTuple):
    """Tests in their order, from the most certain rows to all rows.

    Parameters
    ----------
    thresholds : ndarray of shape (n_tests,)
        Falling; the last is 0, so that all rows are answered.

    errors : ndarray of shape (n_tests,)
        What each test adds to the error that it and its successors may make; the sum
        is the error of the whole sequence.
    """

    thresholds: np.ndarray
    errors: np.ndarray


class Safe(NamedTuple):
    """The threshold that was found safe.

    Parameters
    ----------
    threshold : float
        Least score of a row that is answered; infinity where no threshold is safe.

    bound : float
        Upper bound of the rate of disagreement there; NaN where no threshold is safe.
    """

    threshold: float = np.inf
    bound: float = np.nan


def rows_needed(max_disagreement, error):
    """Least number of rows on which a test can pass: (1 - max_disagreement)^n <= error.

    Parameters
    ----------
    max_disagreement : float
        Rate to stay below, in (0, 1).

    error : float
        Probability with which the test may err, in (0, 1).

    Returns
    -------
    n_rows : int
        With so many and not one disagreement the test passes.
    """
    return ceil(log(error) / log1p(-max_disagreement))


def find(pilot, scores, differs, max_disagreement, error):
    """Find the threshold: plan the tests on pilot rows, and do them on others.

    Parameters
    ----------
    pilot : ndarray of shape (n_pilot,)
        Scores of the pilot rows.

    scores, differs : ndarray of shape (n_rows,)
        Scores of the other rows, and whether student and teacher differ there.

    max_disagreement, error : float
        Rate to stay below, and error of all tests together; in (0, 1).

    Returns
    -------
    safe : Safe
    """
    tests = plan(pilot, len(scores), max_disagreement, error)
    return lowest_safe(scores, differs, tests, max_disagreement)


def plan(pilot, n_rows, max_disagreement, error):
    """Fix which thresholds are tested, in what order and with what error.

    Nothing here depends on a disagreement, nor on the rows that will be tested, but for
    their number.

    Parameters
    ----------
    pilot : ndarray of shape (n_pilot,)
        Scores in [0, 1] of rows that are not tested.

    n_rows : int
        Number of rows that are tested.

    max_disagreement : float
        Rate to stay below, in (0, 1).

    error : float
        Error of all tests together, in (0, 1).

    Returns
    -------
    plan : Plan
    """
    shares = np.linspace(0, 1, N_THRESHOLDS + 1)[1:]
    thresholds = np.zeros(N_THRESHOLDS)
    if len(pilot):
        thresholds[:-1] = np.quantile(pilot, 1 - shares[:-1], method="lower")
    starts = _starts(n_rows, max_disagreement, error)
    errors = np.zeros(N_THRESHOLDS)
    np.add.at(errors, np.searchsorted(shares, starts), error / len(starts))
    # Where scores are tied, several shares have one threshold: it is tested once.
    thresholds, test = np.unique(-thresholds, return_inverse=True)
    return Plan(-thresholds, np.bincount(test, weights=errors))


def _starts(n_rows, max_disagreement, error):
    """Shares of the rows at which a sequence begins.

    One start among the most certain rows is lost to a single early disagreement, one at
    a half misses students that are safe on few rows only; where there are rows enough,
    three share the error.
    """
    n_rows = max(n_rows, 1)
    first = SLACK * rows_needed(max_disagreement, error / 3) / n_rows
    if first <= FIRST_SHARE:
        return [first, (first * LAST_START) ** 0.5, LAST_START]
    alone = SLACK * rows_needed(max_disagreement, error) / n_rows
    return [min(1.0, max(alone, ONLY_START))]


def lowest_safe(scores, differs, plan, max_disagreement):
    r"""Find the lowest threshold at which the student is proved to be safe.

    Fixed-sequence testing [1]_ with the exact binomial test: threshold t is safe if
    :math:`P(Bin(n_t, a) \le d_t) \le e`, for d disagreements on the n rows that score t
    or more, a the `max_disagreement`, and e what the planned errors have come to since
    the last test that failed: the fallback procedure [2]_. This is the same as a
    Clopper-Pearson bound of confidence 1 - e that is at most a.

    Why the sum of the errors bounds the probability that any unsafe threshold passes:
    when the first unsafe one passes, all unsafe ones before it have failed, so its e is
    at most the sum of the errors planned since the unsafe one before it, which no data
    have a part in; these sums add up to no more than the whole.

    Parameters
    ----------
    scores : ndarray of shape (n_rows,)
        How sure the student is, in [0, 1].

    differs : ndarray of bool of shape (n_rows,)
        Whether student and teacher give different labels.

    plan : Plan
        The tests. It must not depend on these rows.

    max_disagreement : float
        Rate to stay below, in (0, 1).

    Returns
    -------
    safe : Safe

    References
    ----------
    .. [1] Angelopoulos, Bates, Candes, Jordan, Lei, "Learn then test: calibrating
       predictive algorithms to achieve risk control", 2021, section 2.3.
    .. [2] Wiens, Dmitrienko, "The fallback procedure for evaluating a single family of
       hypotheses", Journal of Biopharmaceutical Statistics, 2005.
    """
    n_answered, n_differ = count(scores, differs, plan.thresholds)
    p_values = bdtr(n_differ, n_answered, max_disagreement)
    safe, error = Safe(), 0.0
    tests = zip(plan.thresholds, plan.errors, p_values, strict=True)
    for i, (threshold, added, p_value) in enumerate(tests):
        error += added
        if error == 0 or p_value > error:
            error = 0.0
        else:
            bound = clopper_pearson_upper(
                n_differ[i], n_answered[i], confidence=1 - error
            )
            safe = Safe(float(threshold), bound)
    return safe


def count(scores, differs, thresholds):
    """Count the rows that score a threshold or more, and the disagreements among them.

    Parameters
    ----------
    scores : ndarray of shape (n_rows,)
        How sure the student is.

    differs : ndarray of bool of shape (n_rows,)
        Whether student and teacher give different labels.

    thresholds : ndarray of shape (n_thresholds,)
        Any order.

    Returns
    -------
    n_answered, n_differ : ndarray of int of shape (n_thresholds,)
    """
    order = np.argsort(-scores, kind="stable")
    n_answered = np.searchsorted(-scores[order], -thresholds, side="right")
    n_differ = np.concatenate([[0], np.cumsum(differs[order])])[n_answered]
    return n_answered, n_differ.astype(np.intp)


def coverage_risk(scores, differs, thresholds, *, n_rows, confidence):
    """Trade disagreement against coverage: both at each of some thresholds.

    Parameters
    ----------
    scores, differs : ndarray of shape (n_tested,)
        As in :func:`count`.

    thresholds : ndarray of shape (n_thresholds,)
        Where to look.

    n_rows : int
        Number of rows of which a share is covered: those tested, and those that the
        student may never answer.

    confidence : float
        Of the bound.

    Returns
    -------
    curve : dict of ndarrays
        "threshold"; "coverage", the share of rows answered; "disagreement", the share
        of the answered rows that differ; "bound", its Clopper-Pearson bound, which
        holds for each threshold by itself. Thresholds that no row reaches are left
        out.
    """
    n_answered, n_differ = count(scores, differs, thresholds)
    some = n_answered > 0
    thresholds, n_answered, n_differ = (
        values[some] for values in (thresholds, n_answered, n_differ)
    )
    return {
        "threshold": thresholds,
        "coverage": n_answered / max(n_rows, 1),
        "disagreement": n_differ / n_answered,
        "bound": clopper_pearson_upper(n_differ, n_answered, confidence=confidence),
    }


def why_none_is_safe(n_compared, differs, max_disagreement, error, whose=""):
    """Say why no threshold passed: too few rows, or too much disagreement.

    Parameters
    ----------
    n_compared : int
        Number of rows of the largest test.

    differs : ndarray of bool of shape (n_rows,)
        Whether student and teacher differ, on all rows.

    max_disagreement, error : float
        What was asked of that test.

    whose : str, default=""
        Says which rows the largest test had.

    Returns
    -------
    text : str
        For a warning.
    """
    needed = rows_needed(max_disagreement, error)
    if n_compared < needed:
        why = (
            f"{n_compared} rows{whose} were compared, and even without a disagreement "
            f"{needed} are needed. Pass more rows: somewhat more than that, and some "
            "thousand for a useful coverage"
        )
    else:
        why = (
            f"student and teacher disagree on {differs.sum()} of {len(differs)} rows, "
            "and too often where the student is most certain. Train a better student, "
            "try another certainty, or allow more"
        )
    return (
        f"No threshold is safe at max_disagreement={max_disagreement!r}, so all rows "
        f"go to the teacher: {why}."
    )
