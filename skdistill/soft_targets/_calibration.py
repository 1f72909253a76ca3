"""Calibration: probabilities that fit the labels, by the simplest method that does."""

from dataclasses import dataclass, field

import numpy as np

from skdistill.soft_targets._arithmetic import (
    log_loss_rows,
    log_ratios,
    mean_and_se,
    power,
)
from skdistill.soft_targets._checks import check_labelled
from skdistill.soft_targets._isotonic import fit_curves, follow_curves
from skdistill.soft_targets._temperature import probability_floor, temperature_of
from skdistill.soft_targets._vector import fit_vectors, scale_by_vectors

#: Methods from the simplest to the richest.
METHODS = ("temperature", "vector", "isotonic")
#: Curves are tried where there are so many rows, and so many of each class.
MIN_ISOTONIC_ROWS, MIN_ISOTONIC_CLASS_ROWS = 1_000, 50


@dataclass(frozen=True, eq=False)
class Calibration:
    """What makes a teacher's probabilities fit the labels; a function of them.

    Parameters
    ----------
    method : {"none", "temperature", "vector", "isotonic"}
        What is in use.

    temperature : float
        T of :func:`temper`; below 1 sharpens, above 1 softens. The other methods
        refine it.

    eps : float
        Smaller probabilities count as this one.

    vectors : ndarray of shape (3, n_classes) or None
        Of "vector": for each class the powers of its probability and of the geometric
        mean of all, and the logarithm of a factor.

    curves : tuple of ndarray of shape (2, n_points) or None
        Of "isotonic": log-odds before, at temperature T, and after, of each class; in
        the binary case of the second.

    losses : dict
        Cross-validated mean log-loss in nats of each method that was tried.

    Examples
    --------
    >>> import numpy as np
    >>> from skdistill.soft_targets import Calibration
    >>> soften = Calibration("temperature", temperature=2.0)
    >>> soften(np.array([[0.9, 0.1]])).round(2)
    array([[0.75, 0.25]])
    """

    method: str = "none"
    temperature: float = 1.0
    eps: float = 1e-12
    vectors: np.ndarray | None = None
    curves: tuple | None = field(default=None, repr=False)
    losses: dict = field(default_factory=dict)

    @property
    def kept(self):
        """Whether anything is in use."""
        return self.method != "none"

    @property
    def loss_before(self):
        """Mean log-loss without calibration (but with the floor), in nats."""
        return self.losses.get("none", np.nan)

    @property
    def loss_after(self):
        """Cross-validated mean log-loss of the method in use, in nats."""
        return self.losses.get(self.method, np.nan)

    def __call__(self, P):
        """Calibrate probabilities of shape (n_samples, n_classes)."""
        if self.method == "none":
            return P
        if self.method == "vector":
            return scale_by_vectors(np.log(np.maximum(P, self.eps)), self.vectors)
        P = power(log_ratios(P, self.eps), 1.0 / self.temperature)
        return P if self.curves is None else follow_curves(P, self.curves)


def calibrate(P, codes, *, sample_weight=None, method="auto", n_splits=5):
    """Fit a calibration to labels, by the simplest method that is good enough.

    The methods are, from the simplest: none; one temperature [1]_; vector scaling (of
    each class a power of its probability, one of the geometric mean of all, and a
    factor, all drawn a little to the temperature); isotonic (of each class any rising
    curve of its log-odds at the temperature, rows then normalised). With "auto" a
    richer method replaces a simpler one where its cross-validated log-loss is lower by
    more than one standard error of the paired difference.

    Parameters
    ----------
    P : array-like of shape (n_samples, n_classes)
        Probabilities of rows that their teacher was not fitted on.

    codes : array-like of int of shape (n_samples,)
        Column of each row's label.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows; rows of weight zero count for nothing.

    method : {"auto", "temperature", "vector", "isotonic"}, default="auto"
        "auto" tries all, isotonic where there are at least 1000 rows and 50 of each
        class. Any other is kept whatever the cross-validated log-loss says.

    n_splits : int, default=5
        Folds of the comparison, always the same for the same labels.

    Returns
    -------
    calibration : Calibration

    Raises
    ------
    ValueError
        If there is no such method, or there are no rows of positive weight, or `P` does
        not hold probabilities, or `codes` is of another length or names a column that
        `P` lacks.

    TypeError
        If `codes` are not integers.

    References
    ----------
    .. [1] Guo et al., "On calibration of modern neural networks", ICML 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from skdistill.soft_targets import calibrate
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.dirichlet([1, 1, 1], size=2000)
    >>> codes = (truth.cumsum(axis=1) > rng.random((2000, 1))).argmax(axis=1)
    >>> modest = truth**0.5 / (truth**0.5).sum(axis=1, keepdims=True)
    >>> calibration = calibrate(modest, codes)
    >>> calibration.method, round(calibration.temperature, 1)
    ('temperature', 0.5)
    """
    if method != "auto" and method not in METHODS:
        raise ValueError(
            f"method must be 'auto' or one of {list(METHODS)!r}, got {method!r}. "
            "'auto' takes the simplest that is good enough."
        )
    P, codes, sample_weight = check_labelled(P, codes, sample_weight)
    tried = (method,)
    if method == "auto":
        tried = METHODS if _enough_for_curves(codes, P.shape[1]) else METHODS[:-1]
    eps = probability_floor(P)
    losses = _cross_validate(P, codes, sample_weight, eps, tried, n_splits)
    if method == "auto":
        method = _simplest(losses, sample_weight)
    means = {name: mean_and_se(row, sample_weight)[0] for name, row in losses.items()}
    return _fit(method, P, codes, sample_weight, eps, losses=means)


def _enough_for_curves(codes, n_classes):
    fewest = np.bincount(codes, minlength=n_classes).min()
    return len(codes) >= MIN_ISOTONIC_ROWS and fewest >= MIN_ISOTONIC_CLASS_ROWS


def _simplest(losses, weight):
    """Name of the simplest method that no richer one beats by a standard error."""
    best = "none"
    for name in losses:  # from the simplest to the richest
        gain, se = mean_and_se(losses[best] - losses[name], weight)
        if gain > se:
            best = name
    return best


def _cross_validate(P, codes, weight, eps, methods, n_splits):
    """Log-loss of each row by each method, fitted without the row; first by none."""
    none = log_loss_rows(power(log_ratios(P, eps), 1.0), codes)
    losses = {"none": none} | {name: none.copy() for name in methods}
    fold_of_row = _folds(codes, n_splits)
    for fold in range(min(n_splits, len(codes)) if len(codes) > 1 else 0):
        test = fold_of_row == fold
        part = P[~test], codes[~test], None if weight is None else weight[~test], eps
        temperature = temperature_of(*part)
        for name in methods:
            fitted = _fit(name, *part, temperature=temperature)
            losses[name][test] = log_loss_rows(fitted(P[test]), codes[test])
    return losses


def _folds(codes, n_splits):
    """Number of each row's fold: shuffled, and stratified by label."""
    order = np.random.RandomState(0).permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    fold_of_row = np.empty(len(codes), dtype=int)
    fold_of_row[order] = np.arange(len(codes)) % n_splits
    return fold_of_row


def _fit(method, P, codes, weight, eps, *, temperature=None, losses=None):
    """Fit one method to all rows given."""
    parts = {"eps": eps, "losses": losses or {}}
    if method == "none":
        return Calibration(**parts)
    if temperature is None:
        temperature = temperature_of(P, codes, weight, eps)
    parts["temperature"] = temperature
    if method == "vector":
        logs = np.log(np.maximum(P, eps))
        parts["vectors"] = fit_vectors(logs, codes, weight, 1.0 / temperature)
    if method == "isotonic":
        tempered = power(log_ratios(P, eps), 1.0 / temperature)
        parts["curves"] = fit_curves(tempered, codes, weight)
    return Calibration(method, **parts)
