"""NGramStudent without hidden layers: a logit for each n-gram and class.

That is logistic regression on weighed n-grams. It is solved to its optimum, which for
up to some ten thousands of texts is more than gradient steps come to.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from skdistill.students._logistic import Solution, solve_logistic
from skdistill.students._training_rows import MAX_VALIDATION_ROWS

#: Inverse penalties that are tried, from the middle one until the loss rises.
PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
FIRST = 3

#: Up to so many texts each text is held back once, in so many parts, and the columns
#: that are solved for are as many as the texts; beyond, one part is held back.
FEW_TEXTS, N_PARTS = 1_000, 5

#: Trials learn from no more texts than have so many n-grams, times logits.
TRIAL_CELLS = 2e7

#: Gradient at which a trial and the fit end, and iterations at most.
TRIAL_TOL, TOL, MAX_ITER = 1e-3, 3e-4, 1000

#: Texts of the mean answer that every n-gram is taken to occur in besides its own.
PRIOR_TEXTS = 2.0


@dataclass(frozen=True)
class Logits:
    """What each row of the table says.

    Parameters
    ----------
    table : ndarray of shape (n_rows, n_logits)
        With one logit for two classes, else with one for each.

    intercept : ndarray of shape (n_logits,)

    C : float
        Inverse penalty.

    n_iter : int
        Iterations of the solver.
    """

    table: np.ndarray
    intercept: np.ndarray
    C: float
    n_iter: int


@dataclass(frozen=True)
class Bags:
    """Texts to learn from.

    Parameters
    ----------
    X : csr_matrix of shape (n_texts, n_rows)
        Weight of each row of the table in each text.

    P : ndarray of shape (n_texts, n_classes)
        Soft targets.

    weight : ndarray of shape (n_texts,)
    """

    X: sparse.csr_matrix
    P: np.ndarray
    weight: np.ndarray

    def take(self, rows):
        """Some of the texts."""
        return Bags(self.X[rows], self.P[rows], self.weight[rows])


def fit_logits(bags, C, *, held, fraction, rng):
    """Fit logits of n-grams.

    Parameters
    ----------
    bags : Bags

    C : float or "auto"
        Inverse penalty; "auto" takes the one with the lowest loss on texts held back.

    held : Bags or None
        Texts to choose by. None holds some of `bags` back for that, and learns from all
        of them in the end.

    fraction : float
        Part of many texts that is held back.

    rng : RandomState

    Returns
    -------
    logits : Logits
    """
    near = None
    if C == "auto":
        if held is None:
            trials = [Trial(*parts) for parts in _splits(bags, fraction, rng)]
        else:
            trials = [Trial(_at_most(bags, rng), held)]
        C = _lowest(lambda C: sum(trial.loss(C) for trial in trials))
        if len(trials) == 1:
            near = trials[0].found[C]
    logits = _solve(bags, C, TOL, near)
    if logits.n_iter >= MAX_ITER:
        warnings.warn(
            f"NGramStudent stopped after {MAX_ITER} iterations, before its solver came "
            f"to the optimum for C={C!r}. Lower C, or leave it on 'auto'.",
            ConvergenceWarning,
            stacklevel=2,
        )
    return logits


def informative(bags):
    """Factor of each row: how far the answers to its texts are from the mean answer.

    The root of the spread of ``log P(class | n-gram) - log P(class)`` over the classes,
    of mean square 1. N-grams that tell classes apart are penalised less for it, as in
    naive Bayes with a discriminative model on top (Wang, Manning, ACL 2012).

    Parameters
    ----------
    bags : Bags

    Returns
    -------
    factor : ndarray of shape (n_rows,)
    """
    weight = bags.weight / bags.weight.mean()
    prior = weight @ bags.P / weight.sum()
    known = prior > 0
    prior, P = prior[known], bags.P[:, known] * weight[:, np.newaxis]
    X = bags.X
    has = sparse.csr_matrix((np.ones(X.nnz), X.indices, X.indptr), shape=X.shape)
    counts = has.T @ P + PRIOR_TEXTS * prior
    says = np.log(counts / counts.sum(axis=1, keepdims=True)) - np.log(prior)
    factor = np.sqrt(prior @ says.T**2) ** 0.5
    size = np.sqrt(np.mean(factor**2))
    return factor / size if size > 0 else np.ones(len(factor))


class Trial:
    """Texts to learn from and texts held back, for one penalty after the other.

    Parameters
    ----------
    start, held : Bags
    """

    def __init__(self, start, held):
        self.start, self.held, self.found = start, held, {}

    def loss(self, C):
        """Sum of the losses of the texts held back, in nats."""
        near = next(reversed(self.found.values()), None)
        logits = self.found[C] = _solve(self.start, C, TRIAL_TOL, near)
        Z = self.held.X @ logits.table + logits.intercept
        if Z.shape[1] == 1:
            Z = np.hstack([np.zeros_like(Z), Z])
        Z -= Z.max(axis=1, keepdims=True)
        gain = np.einsum("ij,ij->i", self.held.P, Z)
        return self.held.weight @ (np.log(np.exp(Z).sum(axis=1)) - gain)


# -- helpers ---------------------------------------------------------------------------


def _solve(bags, C, tol, near=None):
    factor = informative(bags)
    X, back = bags.X @ sparse.diags(factor), None
    if len(bags.P) <= FEW_TEXTS:
        (X, back), near = _turned(X), None
    elif near is not None:
        coef = near.table / np.where(factor > 0, factor, np.inf)[:, np.newaxis]
        near = Solution(coef, near.intercept)
    found = solve_logistic(
        X, bags.P, bags.weight / bags.weight.mean(), C,
        tol=tol, max_iter=MAX_ITER, memory=10, near=near,
    )  # fmt: skip
    table = found.coef if back is None else back(found.coef)
    return Logits(table * factor[:, np.newaxis], found.intercept, C, found.n_iter)


def _turned(X):
    """Texts in the space that they span, where the penalty is the same.

    Returns
    -------
    Z : ndarray of shape (n_texts, n_directions)
        With the inner products that X has.

    back : callable
        Weights of these directions -> weights of the columns of X.
    """
    values, vectors = np.linalg.eigh((X @ X.T).toarray())
    some = values > 1e-10 * max(values[-1], 1e-300)
    root, vectors = np.sqrt(values[some]), vectors[:, some]
    return vectors * root, lambda coef: X.T @ ((vectors / root) @ coef)


def _lowest(loss_of):
    """Walk along `PENALTIES` to where the loss is lowest."""
    losses = {}

    def loss_at(i):
        if i not in losses:
            losses[i] = loss_of(PENALTIES[i]) if 0 <= i < len(PENALTIES) else np.inf
        return losses[i]

    best, lowest = FIRST, loss_at(FIRST)
    step = 1 if loss_at(FIRST + 1) < lowest else -1
    while loss_at(best + step) < loss_at(best):
        best += step
    return PENALTIES[best]


def _splits(bags, fraction, rng):
    """Pairs of texts to learn from, and texts held back."""
    n_texts = len(bags.P)
    order = rng.permutation(n_texts)
    if n_texts <= FEW_TEXTS:
        parts = np.array_split(order, min(N_PARTS, n_texts))
    else:
        parts = [order[: min(round(fraction * n_texts), MAX_VALIDATION_ROWS)]]
    for part in parts:
        rest = np.setdiff1d(order, part)
        if len(rest):
            yield _at_most(bags.take(rest), rng), bags.take(part)


def _at_most(bags, rng):
    n_texts, n_classes = bags.P.shape
    cells = bags.X.nnz * (1 if n_classes == 2 else n_classes)
    if cells <= TRIAL_CELLS:
        return bags
    n_kept = max(int(n_texts * TRIAL_CELLS / cells), FEW_TEXTS)
    return bags.take(np.sort(rng.permutation(n_texts)[:n_kept]))
