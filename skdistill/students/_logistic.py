"""LogisticStudent: multinomial logistic regression on soft targets."""

import warnings
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from numbers import Integral, Real

import numpy as np
from scipy import sparse
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import ThreadpoolController

from skdistill._compat import Interval, StrOptions, fit_context
from skdistill.students._base import SoftTargetClassifier
from skdistill.students._table import TableEncoder

#: A gradient below this one, though above `tol`, moves no probability that matters.
WORTH_A_WARNING = 1e-5

#: Up to so many products of two numbers in one look at all rows, further threads of the
#: linear algebra would mostly wait for each other.
MOST_SERIAL = 100_000_000

#: Up to so many dense columns are decorrelated before the solver starts.
MAX_DECORRELATED = 1000


class LogisticStudent(SoftTargetClassifier):
    r"""Logistic regression that learns from labels or from soft targets.

    It minimises

    .. math::
        \frac{1}{2C} \lVert W \rVert^2
        - \sum_i w_i \sum_k p_{ik} \log \operatorname{softmax}_k(W x_i + b),

    the objective of scikit-learn's LogisticRegression on rows :math:`(x_i, k)` of
    weight :math:`w_i p_{ik}`, at the cost of n rows instead of K n. Columns are centred
    and scaled inside the solver only: unscaled data converge, and the objective is that
    of the columns as they are.

    Dense rows pass an encoder: categories of a data frame become columns of their own,
    missing numbers are replaced by the column's median and get an indicator.

    Parameters
    ----------
    C : float or "auto", default="auto"
        Inverse strength of the L2 penalty, which leaves the intercept out. "auto" is
        1.0, scikit-learn's default; in a DistilledClassifier it is whichever power of
        ten from .01 to 1,000 does best on held-out rows.

    encoding : {"auto", "linear", "piecewise"}, default="auto"
        How numeric columns of dense rows enter: as they are, or each through a
        piecewise-linear function of its own, which makes the student an additive model
        [1]_. "auto" is "linear"; in a DistilledClassifier it is whichever does better
        on held-out rows. Sparse rows are always linear.

    n_bins : int, default=16
        Most pieces of a column with ``encoding="piecewise"``.

    fit_intercept : bool, default=True
        Whether to fit an intercept.

    tol : float, default=1e-8
        The solver stops where no entry of the gradient of the mean loss, in columns
        scaled to equal curvature, exceeds it. A DistilledClassifier that chooses C
        fits with 1e-4 at least: what was compared is what is kept.

    max_iter : int, default=2000
        Iterations of the solver at most.

    max_categories : int, default=100
        Levels of a categorical column that get a column of their own; rarer ones share
        one.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels.

    coef_ : ndarray of shape (1, n_columns) or (n_classes, n_columns)
        Weights of the columns that the encoder gives, or of X's own where they are
        plain numbers. One row for two classes.

    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercepts.

    n_iter_ : int
        Iterations that the solver took.

    encoder_ : TableEncoder or None
        What turns a row into columns; None after a fit on sparse rows.

    n_features_in_ : int
        Number of features seen in `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features, where they are all strings.

    See Also
    --------
    MLPStudent : The student that is not linear.

    References
    ----------
    .. [1] Hastie, Tibshirani, "Generalized additive models", Statistical Science, 1986.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skdistill import LogisticStudent
    >>> X, y = load_iris(return_X_y=True)
    >>> student = LogisticStudent().fit(X, y)
    >>> student.predict_proba(X[:1]).round(2)
    array([[0.98, 0.02, 0.  ]])

    On soft targets, one probability for each class:

    >>> P = student.predict_proba(X)
    >>> student.fit_soft_targets(X, P, classes=[0, 1, 2]).predict(X[:3])
    array([0, 0, 0])
    """

    _accept_sparse = "csr"

    _parameter_constraints: dict = {
        "C": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "fit_intercept": ["boolean"],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "max_categories": [Interval(Integral, 2, None, closed="left")],
        "encoding": [StrOptions({"auto", "linear", "piecewise"})],
        "n_bins": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        C="auto",
        *,
        encoding="auto",
        n_bins=16,
        fit_intercept=True,
        tol=1e-8,
        max_iter=2000,
        max_categories=100,
    ):
        self.C = C
        self.encoding = encoding
        self.n_bins = n_bins
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_iter = max_iter
        self.max_categories = max_categories

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, sample_weight=None):
        """Fit on labels.

        Parameters
        ----------
        X : {array-like, sparse matrix, data frame} of shape (n_samples, n_features)
            Rows. Missing values are NaN or null; columns of a data frame that hold no
            numbers are categories.

        y : array-like of shape (n_samples,)
            Labels.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of rows.

        Returns
        -------
        self : LogisticStudent
        """
        return self._fit_labels(X, y, sample_weight)

    @fit_context(prefer_skip_nested_validation=False)
    def fit_soft_targets(
        self, X, soft_targets, *, classes, sample_weight=None, validation=None
    ):
        """Fit on probabilities, by soft cross-entropy.

        Parameters
        ----------
        X : {array-like, sparse matrix, data frame} of shape (n_samples, n_features)
            Rows, as in `fit`.

        soft_targets : array-like of shape (n_samples, n_classes)
            Probabilities of the classes; rows sum to 1.

        classes : array-like of shape (n_classes,)
            Labels of the columns, sorted.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of rows.

        validation : tuple, default=None
            Checked and left alone: a convex problem needs no early stop.

        Returns
        -------
        self : LogisticStudent
        """
        return self._fit_soft(X, soft_targets, classes, sample_weight, validation)

    def _new_encoder(self):
        scaling = "piecewise" if self.encoding == "piecewise" else None
        return TableEncoder(scaling, self.max_categories, self.n_bins)

    def _fit_encoded(self, X, P, weight, classes, validation):
        X = self._encode(X)
        keep = weight > 0
        if not keep.all():
            X, P, weight = X[np.flatnonzero(keep)], P[keep], weight[keep]
        found = solve_logistic(
            X, P, weight, 1.0 if self.C == "auto" else self.C,
            fit_intercept=self.fit_intercept, tol=self.tol, max_iter=self.max_iter,
        )  # fmt: skip
        if found.is_cut and found.gradient > max(self.tol, WORTH_A_WARNING):
            warnings.warn(
                f"LogisticStudent stopped after max_iter={self.max_iter!r} iterations "
                f"with a gradient of {found.gradient:.1e}, above tol="
                f"{self.tol!r}. Raise max_iter, or lower C.",
                ConvergenceWarning,
                stacklevel=2,
            )
        self.n_iter_ = found.n_iter
        self.intercept_ = found.intercept
        self.coef_ = np.ascontiguousarray(found.coef.T)

    def _widest(self):
        return max(self.coef_.shape)

    def _logits(self, X):
        coef = self.coef_.T
        # On one dense row half the time of the operator @.
        z = X @ coef if sparse.issparse(X) else np.dot(X, coef)
        z += self.intercept_
        return z

    def decision_function(self, X):
        """Logits of the classes.

        Parameters
        ----------
        X : {array-like, sparse matrix, data frame} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        scores : ndarray of shape (n_samples,) or (n_samples, n_classes)
            Logits; for two classes the log-odds of the second.
        """
        z = self._decision(X)
        return z.ravel() if z.shape[1] == 1 else z


# -- problem ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Solution:
    """Weights of a penalised logistic regression, and how the solver came to them."""

    coef: np.ndarray  # (n_columns, n_logits)
    intercept: np.ndarray | int  # (n_logits,); 0 without an intercept
    n_iter: int = 0
    gradient: float = 0.0  # largest magnitude
    is_cut: bool = False  # whether max_iter ended it


def solve_logistic(
    X, P, weight, C, *, fit_intercept=True, tol, max_iter, memory=20, near=None
):  # fmt: skip
    """Minimise soft cross-entropy with an L2 penalty, by L-BFGS.

    Parameters
    ----------
    X : {ndarray, CSR matrix} of shape (n_samples, n_columns)

    P : ndarray of shape (n_samples, n_classes)
        Soft targets.

    weight : ndarray of shape (n_samples,)
        Above 0.

    C : float
        Inverse strength of the penalty, for the sum of losses.

    fit_intercept : bool, default=True

    tol : float
        Largest magnitude of the gradient, per unit of weight, at the end.

    max_iter : int

    memory : int, default=20
        Steps that the solver remembers.

    near : Solution, default=None
        Of a problem alike, to start from. None starts from zeros.

    Returns
    -------
    solution : Solution
        With one logit for two classes, else with one for each.
    """
    with _few_threads(X, P):
        problem = _Problem.of(X, P, weight, C, fit_intercept)
        found = minimize(
            problem.loss_and_gradient,
            problem.start(near),
            jac=True,
            method="L-BFGS-B",
            options={
                "maxiter": max_iter,
                "maxfun": 20 * max_iter,
                "gtol": tol,
                "ftol": 0.0,
                "maxcor": memory,
            },
        )
    coef, intercept = problem.original(found.x)
    gradient = float(np.abs(found.jac).max())
    n_iter = max(1, int(found.nit))
    return Solution(coef, intercept, n_iter, gradient, found.status == 1)


def _few_threads(X, P):
    """One thread for the linear algebra where more would not pay."""
    if not sparse.issparse(X) and X.size * P.shape[1] > MOST_SERIAL:
        return nullcontext()
    return _controller().limit(limits=1, user_api="blas")


@cache
def _controller():
    """What sets numpy's and scipy's threads; looking for them takes milliseconds."""
    return ThreadpoolController()


@dataclass(frozen=True)
class _Problem:
    """The objective over U, with weights ``W = basis @ U``, per unit of total weight.

    In that basis the curvature of the loss at the prior is about 1 in all directions,
    which is what the solver needs. `X` holds the rows in it: centred already where they
    are dense, and to be centred by `center` where they are sparse.
    """

    X: object  # (n_samples, n_columns)
    P: np.ndarray
    weight: np.ndarray  # sums to 1
    ridge: float  # 1 / (C * total weight)
    mean: np.ndarray  # of the columns as they came; zeros without an intercept
    basis: object  # (n_columns, n_columns), diagonal for sparse rows
    center: np.ndarray | None
    fit_intercept: bool
    n_logits: int

    @classmethod
    def of(cls, X, P, weight, C, fit_intercept):
        """Precondition the problem; see the class."""
        total = weight.sum()
        weight, ridge = weight / total, 1.0 / (C * total)
        # Two classes need one column of logits, as in LogisticRegression: two columns
        # would share the penalty and halve it.
        n_logits = 1 if P.shape[1] == 2 else P.shape[1]
        prior = weight @ P
        curvature = max(float(np.mean(prior * (1 - prior))), 1e-3)
        mean = np.asarray(weight @ X) if fit_intercept else np.zeros(X.shape[1])
        center = None
        if sparse.issparse(X):
            with np.errstate(over="ignore", invalid="ignore"):
                variance = np.asarray(weight @ X.multiply(X)) - mean**2
            basis = _diagonal_basis(variance, curvature, ridge)
            center = basis @ mean
        else:
            X = X - mean
            basis = _basis(X, weight, curvature, ridge)
        targets = P[:, 1:] if n_logits == 1 else P
        return cls(
            X @ basis,
            targets,
            weight,
            ridge,
            mean,
            basis,
            center,
            fit_intercept,
            n_logits,
        )

    def start(self, near):
        """Where the solver starts: at a solution, for a diagonal basis, or at zeros."""
        if near is None or not sparse.issparse(self.basis):
            return np.zeros((self.X.shape[1] + self.fit_intercept) * self.n_logits)
        U = near.coef / self.basis.diagonal()[:, np.newaxis]
        intercept = near.intercept + self.mean @ near.coef
        return np.append(U, intercept) if self.fit_intercept else U.ravel()

    def loss_and_gradient(self, u):
        """Objective and gradient at the solver's vector."""
        U, intercept = self._parts(u)
        coef = self.basis @ U
        z = self.X @ U + intercept
        if self.center is not None:
            z -= self.center @ U
        log_norm, residual = _log_norm(z)
        loss = self.weight @ (log_norm - np.einsum("ij,ij->i", self.P, z))
        loss += 0.5 * self.ridge * np.sum(coef**2)
        residual -= self.P
        residual *= self.weight[:, np.newaxis]
        total = residual.sum(axis=0)
        gradient = self.X.T @ residual + self.ridge * (self.basis.T @ coef)
        if self.center is not None:
            gradient -= np.outer(self.center, total)
        parts = [gradient.ravel(), total] if self.fit_intercept else [gradient.ravel()]
        return loss, np.concatenate(parts)

    def _parts(self, u):
        split = self.X.shape[1] * self.n_logits
        U = u[:split].reshape(-1, self.n_logits)
        return U, (u[split:] if self.fit_intercept else 0)

    def original(self, u):
        """Weights and intercept of the columns as they came."""
        U, intercept = self._parts(u)
        coef = self.basis @ U
        return coef, intercept - self.mean @ coef


def _diagonal_basis(variance, curvature, ridge):
    """Scale of each column at which its weights meet a curvature of 1."""
    _check_finite(variance)
    return sparse.diags(1.0 / np.sqrt(curvature * np.maximum(variance, 0.0) + ridge))


def _basis(X, weight, curvature, ridge):
    """Basis in which centred dense columns meet a curvature of 1 and no correlation."""
    with np.errstate(over="ignore"):
        variance = weight @ (X * X)
    _check_finite(variance)
    scale = 1.0 / np.sqrt(curvature * variance + ridge)
    if len(scale) > MAX_DECORRELATED:
        return sparse.diags(scale)
    scaled = X * (np.sqrt(curvature * weight)[:, np.newaxis] * scale)
    hessian = scaled.T @ scaled
    hessian[np.diag_indices_from(hessian)] += ridge * scale**2
    values, vectors = np.linalg.eigh(hessian)
    values = np.maximum(values, 1e-9 * values[-1])
    return scale[:, np.newaxis] * vectors / np.sqrt(values)


def _check_finite(variance):
    if not np.isfinite(variance).all():
        raise ValueError(
            "X must hold numbers whose squares are finite (below some 1e150) for a "
            f"LogisticStudent, got larger ones in {(~np.isfinite(variance)).sum()} of "
            f"its {len(variance)} columns. Scale these columns."
        )


def _log_norm(z):
    """Logarithm of the normaliser of each row, and the probabilities."""
    if z.shape[1] == 1:
        # The first class's logit is 0.
        log_norm = np.logaddexp(0.0, z)
        return log_norm[:, 0], np.exp(z - log_norm)
    top = z.max(axis=1, keepdims=True)
    Q = np.exp(z - top)
    norm = Q.sum(axis=1, keepdims=True)
    Q /= norm
    return (top + np.log(norm))[:, 0], Q
