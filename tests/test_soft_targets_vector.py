import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import logit, softmax
from sklearn.linear_model import LogisticRegression

from skdistill.soft_targets import calibrate, temper
from skdistill.soft_targets._vector import PENALTY, fit_vectors, scale_by_vectors


def draw(n_rows, n_classes, seed=0):
    """Probabilities and labels drawn from them."""
    rng = np.random.default_rng(seed)
    P = rng.dirichlet(np.ones(n_classes), size=n_rows)
    return P, (P.cumsum(axis=1) > rng.random((n_rows, 1))).argmax(axis=1)


def penalised_loss(flat, logs, codes, weight, beta):
    """The definition, written another way: every term of every row by itself."""
    a, m, b = flat.reshape(3, -1)
    Z = [
        [a[k] * row[k] + m[k] * row.mean() + b[k] for k in range(len(a))]
        for row in logs
    ]
    own = np.log(softmax(Z, axis=1))[np.arange(len(codes)), codes]
    away = np.concatenate([a - beta, m, b])
    return -np.average(own, weights=weight) + PENALTY / 2 * away @ away / len(codes)


def test_vectors_of_a_temperature_temper():
    P, _ = draw(50, 4)
    vectors = np.stack([np.full(4, 1 / 3), np.zeros(4), np.zeros(4)])
    Q = scale_by_vectors(np.log(P), vectors)
    np.testing.assert_allclose(Q, temper(P, 3.0), rtol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_vectors_have_the_lowest_penalised_loss(weighted):
    P, codes = draw(80, 3)
    logs, weight = np.log(P), np.random.default_rng(1).random(80) if weighted else None
    found = fit_vectors(logs, codes, weight, 1.2)
    args = (logs, codes, weight, 1.2)
    other = minimize(penalised_loss, found.ravel() + 0.1, args=args, method="BFGS")
    assert penalised_loss(found.ravel(), *args) == pytest.approx(other.fun, abs=1e-6)


def test_vectors_in_the_binary_case_are_beta_calibration():
    # Kull et al. 2017: a logistic regression on the logarithms of p and 1 - p
    P, codes = draw(20_000, 2)
    bent = temper(P, 0.5) * [1.0, 3.0]
    bent /= bent.sum(axis=1, keepdims=True)
    Q = scale_by_vectors(np.log(bent), fit_vectors(np.log(bent), codes, None, 1.0))
    beta = LogisticRegression(C=np.inf, tol=1e-8).fit(np.log(bent), codes)
    expected = beta.predict_proba(np.log(bent))
    np.testing.assert_allclose(Q, expected, atol=3e-3)


def test_vectors_that_made_the_labels_are_found():
    P, _ = draw(20_000, 3)
    vectors = np.array([[0.5, 1.0, 1.5], [0.3, 0.0, -0.3], [0.5, 0.0, -0.5]])
    truth = scale_by_vectors(np.log(P), vectors)
    spin = np.random.default_rng(1).random((20_000, 1))
    codes = (truth.cumsum(axis=1) > spin).argmax(axis=1)
    calibration = calibrate(P, codes)
    assert calibration.method == "vector"
    assert np.abs(calibration(P) - truth).mean() < 0.01
    assert np.abs(calibrate(P, codes, method="temperature")(P) - truth).mean() > 0.03


def test_vectors_do_not_depend_on_the_scale_of_weights():
    P, codes = draw(200, 3)
    weight = np.random.default_rng(0).random(200)
    found = fit_vectors(np.log(P), codes, weight, 1.0)
    again = fit_vectors(np.log(P), codes, 1e-6 * weight, 1.0)
    np.testing.assert_allclose(found, again, rtol=1e-6)


def test_vectors_stay_near_the_temperature_where_rows_are_few():
    P, _ = draw(4, 3)
    vectors = fit_vectors(np.log(P), np.zeros(4, dtype=int), None, 1.0)
    assert np.abs(vectors - [[1.0], [0.0], [0.0]]).max() < 5  # without: infinity
    Q = scale_by_vectors(np.log(P), vectors)
    assert Q[:, 0].max() < 1 - 1e-6


def test_vectors_survive_a_class_without_rows_and_sure_probabilities():
    P, codes = draw(300, 4)
    codes = np.where(codes == 3, 0, codes)
    logs = np.log(np.maximum(temper(P, 0.02), 1e-12))
    Q = scale_by_vectors(logs, fit_vectors(logs, codes, None, 0.05))
    assert np.isfinite(Q).all()
    assert logit(Q[:, 3]).max() < 0
