r"""Vector scaling: each class gets powers and a factor of its own.

.. math:: q_k \propto p_k^{a_k}\, g^{m_k}\, e^{b_k},\qquad
   g = \left(\prod\nolimits_j p_j\right)^{1/K}

Probabilities give logits up to a constant a row only, and vector scaling [1]_ depends
on the constant that is taken. With the power of the geometric mean the fit chooses:
m = -a is vector scaling of centred logits, m = 0 that of log-probabilities (diagonal
Dirichlet calibration, in the binary case beta calibration [2]_), and equal a with m =
b = 0 is a temperature.

.. [1] Guo et al., "On calibration of modern neural networks", ICML 2017.
.. [2] Kull et al., "Beyond temperature scaling: obtaining well-calibrated multiclass
   probabilities with Dirichlet calibration", NeurIPS 2019.
"""

import numpy as np
from scipy.optimize import minimize

from skdistill.soft_targets._arithmetic import power

#: Each parameter's squared distance from temperature scaling costs as much as if half
#: of it were the loss of one row: nothing on a thousand rows, a brake on a dozen.
PENALTY = 1.0
#: L-BFGS stops where a step lowers the mean loss by less, in nats.
TOLERANCE = 1e-7


def scale_by_vectors(logs, vectors):
    """Calibrated probabilities.

    Parameters
    ----------
    logs : ndarray of shape (n_samples, n_classes)
        Logarithms of probabilities.

    vectors : ndarray of shape (3, n_classes)
        a, m and b.

    Returns
    -------
    P : ndarray of shape (n_samples, n_classes)
    """
    a, m, b = vectors
    Z = logs * a
    Z += logs.mean(axis=1, keepdims=True) * m
    Z += b
    Z -= Z.max(axis=1, keepdims=True)
    return power(Z, 1.0)


def fit_vectors(logs, codes, weight, beta):
    """Vectors of lowest log-loss to labels, by L-BFGS from a temperature.

    Parameters
    ----------
    logs : ndarray of shape (n_samples, n_classes)
        Logarithms of probabilities.

    codes : ndarray of int of shape (n_samples,)
        Column of each row's label.

    weight : ndarray of shape (n_samples,) or None
        Weights of the rows; their scale is of no consequence.

    beta : float
        Inverse temperature: start of all a, and what they are drawn to.

    Returns
    -------
    vectors : ndarray of shape (3, n_classes)
    """
    n_samples, n_classes = logs.shape
    centre, rows = logs.mean(axis=1), np.arange(n_samples)
    share = np.ones(n_samples) if weight is None else weight
    share = share / share.sum()
    temperature_only = np.zeros((3, n_classes))
    temperature_only[0] = beta

    def loss_and_gradient(flat):
        vectors = flat.reshape(3, n_classes)
        away = vectors - temperature_only
        Q = scale_by_vectors(logs, vectors)
        own = np.maximum(Q[rows, codes], np.finfo(float).tiny)
        loss = -share @ np.log(own) + PENALTY / 2 * (away**2).sum() / n_samples
        Q[rows, codes] -= 1.0
        Q *= share[:, None]
        gradient = np.stack([np.einsum("ij,ij->j", Q, logs), centre @ Q, Q.sum(axis=0)])
        gradient += PENALTY * away / n_samples
        return loss, gradient.ravel()

    found = minimize(
        loss_and_gradient, temperature_only.ravel(), jac=True, method="L-BFGS-B",
        options={"ftol": TOLERANCE},
    )  # fmt: skip
    return found.x.reshape(3, n_classes)
