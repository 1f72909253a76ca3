"""Which unlabelled rows to ask the teacher next, where each answer costs."""

from numbers import Integral

import numpy as np
from scipy import sparse
from scipy.special import entr
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import normalize
from sklearn.utils import check_random_state

from skdistill._compat import num_samples
from skdistill._frames import is_text
from skdistill.soft_targets._checks import align_columns
from skdistill.transfer._table import Table

STRATEGIES = ("auto", "uncertainty", "disagreement", "diversity", "random")
#: "auto" draws out of so many uncertain rows, in multiples of those it picks.
UNCERTAIN_SHARE = 5


def select_for_labelling(
    student, pool, budget, *, strategy="auto", points=None, random_state=None
):
    """Choose the unlabelled rows that are most worth a call of the teacher.

    Made for a loop: fit a student on the answers so far, choose rows, ask the teacher,
    fit again. Leave out of `pool` what has been asked already.

    Parameters
    ----------
    student : fitted classifier or list of fitted classifiers
        Fitted on the rows asked so far. Several (fitted on resampled rows, say) are a
        committee: their mean counts, and "disagreement" needs them.

    pool : array-like of shape (n_pool, n_features) or list of str
        Unlabelled rows.

    budget : int
        How many rows to choose; all of them where the pool has fewer.

    strategy : {"auto", "uncertainty", "disagreement", "diversity", "random"}, \
            default="auto"
        "uncertainty" takes the rows of largest entropy; "disagreement" those where the
        members of a committee differ most (mutual information of answer and member
        [1]_); "diversity" rows that are far from each other (k-means++ seeding [2]_);
        "auto" draws half of the rows at random; the other half are far from each other,
        drawn in proportion to their entropy out of five times as many of the largest
        entropy, in the manner of [3]_. "random" is what the others have to beat.

    points : {ndarray, sparse matrix} of shape (n_pool, n_dimensions), default=None
        Where rows lie, for distances: embeddings, say. None takes what the steps of a
        Pipeline before its last make of the rows; else hashed words of texts, or
        the distances by which samplers find neighbours in tables.

    random_state : int, RandomState instance or None, default=None
        Seed of draws and of ties.

    Returns
    -------
    positions : ndarray of int of shape (min(budget, n_pool),)
        Positions in the pool, each once.

    Raises
    ------
    ValueError
        If the strategy is unknown, the budget less than one, "disagreement" comes with
        one student, or `points` has not one row for each row of the pool.

    Notes
    -----
    ``python -m benchmarks.selection`` compares the strategies on real texts. Rows near
    the border between classes raise accuracy but are not what a student will meet:
    probabilities come out too flat where there is nothing else. A first student is
    often wrong about what it is unsure of. Hence the random half.

    References
    ----------
    .. [1] Houlsby, Huszar, Ghahramani, Lengyel, "Bayesian active learning for
       classification and preference learning", 2011, equation 2.
    .. [2] Arthur, Vassilvitskii, "k-means++: the advantages of careful seeding", 2007.
    .. [3] Ash, Zhang, Krishnamurthy, Langford, Agarwal, "Deep batch active learning by
       diverse, uncertain gradient lower bounds", ICLR 2020.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skdistill import LogisticStudent
    >>> from skdistill.transfer import select_for_labelling
    >>> X, y = load_digits(return_X_y=True)
    >>> student = LogisticStudent().fit(X[:50], y[:50])
    >>> next_rows = select_for_labelling(student, X[50:], 20, random_state=0)
    >>> next_rows.shape
    (20,)
    """
    students = list(student) if isinstance(student, list | tuple) else [student]
    n_rows = num_samples(pool)
    _check(strategy, budget, students, points, n_rows)
    budget, rng = min(budget, n_rows), check_random_state(random_state)
    if strategy == "random":
        return rng.permutation(n_rows)[:budget]
    if strategy == "diversity":
        points = _points(students[0], pool, points)
        return _far_apart(points, np.ones(n_rows), budget, rng)
    score = _uncertainty(students, pool, is_shared=strategy != "disagreement")
    # Ties, of a tree say, in an order of their own rather than that of the pool.
    order = np.lexsort((rng.uniform(size=n_rows), -score))
    if strategy != "auto":
        return order[:budget]
    n_picked = (budget + 1) // 2
    some = np.sort(order[: UNCERTAIN_SHARE * n_picked])
    points = _points(students[0], pool, points)[some]
    picked = some[_far_apart(points, score[some], n_picked, rng)]
    rest = np.setdiff1d(np.arange(n_rows), picked)
    return np.append(picked, rng.permutation(rest)[: budget - n_picked])


def _check(strategy, budget, students, points, n_rows):
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy must be one of {STRATEGIES!r}, got {strategy!r}.")
    if not isinstance(budget, Integral) or budget < 1:
        raise ValueError(
            f"budget must be a number of rows, at least 1, got {budget!r}."
        )
    if n_rows == 0:
        raise ValueError("pool must have at least one row, got 0 rows.")
    if strategy == "disagreement" and len(students) < 2:
        raise ValueError(
            "student must be a list of at least two for strategy='disagreement', got "
            f"{len(students)}. Fit several on resampled rows, or take 'auto'."
        )
    if points is not None and num_samples(points) != n_rows:
        raise ValueError(
            f"points must have one row for each of the {n_rows} rows of pool, got "
            f"{num_samples(points)}. Embed the same rows."
        )


def _uncertainty(students, pool, *, is_shared):
    """Entropy of the mean answer of each row, in nats.

    Without what the members are unsure of by themselves where it is not `is_shared`:
    what is left is their disagreement.
    """
    answers = [one.predict_proba(pool) for one in students]
    labels = [getattr(one, "classes_", None) for one in students]
    if all(own is not None for own in labels):  # a member may lack a class
        classes = np.unique(np.concatenate(labels))
        pairs = zip(answers, labels, strict=True)
        answers = [align_columns(P, own, classes) for P, own in pairs]
    answers = np.stack(answers)
    score = entr(answers.mean(axis=0)).sum(axis=1)
    return score if is_shared else score - entr(answers).sum(axis=2).mean(axis=0)


def _points(student, pool, points):
    """Return a point for each row, of length 1 where it was given by text or user."""
    student = getattr(student, "student_", student)
    if points is None:
        if isinstance(student, Pipeline) and len(student) > 1:
            points = student[:-1].transform(pool)
        elif is_text(pool):
            points = HashingVectorizer().transform(pool)
        elif sparse.issparse(pool):
            points = pool
        else:
            return Table(pool).points()
    if sparse.issparse(points):
        return normalize(sparse.csr_array(points))
    return normalize(np.asarray(points, dtype=np.float64))


def _far_apart(points, weight, n_points, rng):
    """Draw points, each in proportion to weight times squared distance to the others.

    The seeding of k-means++ with weights, the heaviest point first. Where nothing is
    left to draw by (all points are doubles), the heaviest ones follow.
    """
    squares = (points * points).sum(axis=1)
    distance = np.full(len(weight), np.inf)
    chosen = [int(np.argmax(weight))]
    for n_chosen in range(1, n_points):
        center = points[[chosen[-1]]]
        center = center.toarray() if sparse.issparse(points) else center
        apart = squares + squares[chosen[-1]] - 2.0 * (points @ center[0])
        distance = np.minimum(distance, np.maximum(apart, 0.0))
        distance[chosen] = 0.0  # and not what rounding left of it
        mass = np.cumsum(distance * weight)
        if mass[-1] <= 0:
            rest = np.argsort(-weight, kind="stable")
            rest = rest[~np.isin(rest, chosen)]
            return np.append(chosen, rest[: n_points - n_chosen])
        # In (0, total]: never a row without mass, whatever is rounded.
        chosen.append(int(np.searchsorted(mass, (1.0 - rng.uniform()) * mass[-1])))
    return np.array(chosen)
