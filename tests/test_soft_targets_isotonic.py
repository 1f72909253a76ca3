import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression

from skdistill.soft_targets import calibrate
from skdistill.soft_targets._isotonic import PRIOR_ROWS, fit_curves, follow_curves


def column(p):
    return np.column_stack([1 - np.asarray(p), p])


def draw(n_rows, curve, seed=0):
    """Binary probabilities p, and labels that are 1 with probability curve(p)."""
    rng = np.random.default_rng(seed)
    p = rng.random(n_rows)
    return column(p), (rng.random(n_rows) < curve(p)).astype(int)


def test_curve_through_few_values_is_drawn_to_them_by_prior_rows():
    p = np.repeat([0.1, 0.5, 0.8], [100, 200, 300])
    codes = np.r_[np.arange(100) < 30, np.arange(200) < 120, np.arange(300) < 297]
    ((x, y),) = fit_curves(column(p), codes.astype(int), None)
    np.testing.assert_allclose(expit(x), [0.1, 0.5, 0.8])
    expected = [
        (30 + PRIOR_ROWS * 0.1) / (100 + PRIOR_ROWS),
        (120 + PRIOR_ROWS * 0.5) / (200 + PRIOR_ROWS),
        (297 + PRIOR_ROWS * 0.8) / (300 + PRIOR_ROWS),
    ]
    np.testing.assert_allclose(expit(y), expected)


def test_curve_is_near_isotonic_regression_where_rows_are_many():
    P, codes = draw(50_000, lambda p: 0.1 + 0.8 * p**2)
    Q = follow_curves(P, fit_curves(P, codes, None))
    other = IsotonicRegression().fit_transform(P[:, 1], codes)
    assert np.abs(Q[:, 1] - other).mean() < 0.01


def test_curves_rise_and_never_reach_zero_or_one():
    P, codes = draw(500, lambda p: p > 0.5)
    grid = column(np.linspace(0, 1, 1_001))
    Q = follow_curves(grid, fit_curves(P, codes, None))
    assert (np.diff(Q[:, 1]) >= 0).all()
    assert 0 < Q.min()
    assert Q.max() < 1
    np.testing.assert_allclose(Q.sum(axis=1), 1.0)


def test_curves_have_fewer_ties_than_isotonic_regression():
    P, codes = draw(2_000, lambda p: p**2)
    Q = follow_curves(P, fit_curves(P, codes, None))
    steps = IsotonicRegression().fit_transform(P[:, 1], codes)
    assert len(np.unique(Q[:, 1])) > 20 * len(np.unique(steps))


def test_curves_of_many_classes_are_normalised():
    rng = np.random.default_rng(0)
    P = rng.dirichlet(np.ones(4), size=3_000)
    codes = (P.cumsum(axis=1) > rng.random((3_000, 1))).argmax(axis=1)
    curves = fit_curves(P, codes, None)
    assert len(curves) == 4
    Q = follow_curves(P, curves)
    np.testing.assert_allclose(Q.sum(axis=1), 1.0)
    np.testing.assert_allclose(Q, P, atol=0.12)  # honest before, honest after


def test_curves_take_a_weight_of_two_as_two_rows_up_to_the_prior():
    P, codes = draw(4_000, lambda p: p**2)
    weight = 1.0 + np.arange(4_000) % 2
    twice = np.repeat(np.arange(4_000), weight.astype(int))
    Q = follow_curves(P, fit_curves(P, codes, weight))
    again = follow_curves(P, fit_curves(P[twice], codes[twice], None))
    np.testing.assert_allclose(Q, again, atol=0.03)
    scaled = follow_curves(P, fit_curves(P, codes, 1e6 * weight))
    np.testing.assert_allclose(Q, scaled, rtol=1e-9)


@pytest.mark.parametrize("p", [0.3, 0.0, 1.0])
def test_curve_through_equal_probabilities_is_flat(p):
    P, codes = column(np.full(100, p)), np.arange(100) % 2
    Q = follow_curves(P, fit_curves(P, codes, None))
    expected = (50 + PRIOR_ROWS * p) / (100 + PRIOR_ROWS)
    np.testing.assert_allclose(Q[:, 1], expected, atol=1e-9)


def test_calibrate_finds_a_curve_that_no_temperature_follows():
    def curve(p):
        return 0.2 + 0.6 * p**2  # labels of which some are wrong

    P, codes = draw(4_000, curve)
    calibration = calibrate(P, codes)
    assert calibration.method == "isotonic"
    fresh, _ = draw(4_000, curve, seed=1)
    off = np.abs(calibration(fresh)[:, 1] - curve(fresh[:, 1]))
    assert off.mean() < 0.03
    assert calibration.losses["isotonic"] < calibration.losses["vector"]
    assert np.isfinite(logit(calibration(column([0.0, 1.0])))).all()


def test_no_zeros_among_very_many_sure_rows():
    rng = np.random.default_rng(0)
    p = rng.random(300_000)
    p[:135_000], p[135_000:270_000] = 1.0, 1.0 - 1e-12
    codes = (rng.random(len(p)) < p).astype(int)
    P = np.column_stack([1 - p, p])
    Q = calibrate(P, codes, method="isotonic")(P)
    assert Q.min() > 0 and np.isfinite(Q).all()
