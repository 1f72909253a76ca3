"""LogisticStudent: soft cross-entropy with an L2 penalty, by L-BFGS."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import skops.io
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.special import softmax
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

from skdistill import LogisticStudent


@parametrize_with_checks(
    [
        LogisticStudent(),
        LogisticStudent(fit_intercept=False),
        # Many columns for the few rows of the checks: held by a stronger penalty.
        LogisticStudent(C=0.1, encoding="piecewise"),
    ]
)
def test_logistic_student_passes_the_common_checks(estimator, check):
    check(estimator)


# -- exactness -------------------------------------------------------------------------


def expanded(X, P, weight):
    """Rows (x_i, k) of weight w_i p_ik: what a classifier of labels can be fed."""
    at = np.repeat(np.arange(len(P)), P.shape[1])
    return X[at], np.tile(np.arange(P.shape[1]), len(P)), (P * weight[:, None]).ravel()


def reference(X, P, weight, C, fit_intercept):
    model = LogisticRegression(
        C=C, fit_intercept=fit_intercept, solver="newton-cg", tol=1e-12, max_iter=1000
    )
    rows, labels, weights = expanded(X, P, weight)
    with warnings.catch_warnings():  # its line search may stop at the last digits
        warnings.simplefilter("ignore")
        return model.fit(rows, labels, weights)


@pytest.mark.parametrize("kind", ["dense", "sparse"])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("C", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_logistic_student_equals_logistic_regression_on_expanded_rows(
    n_classes, C, fit_intercept, kind
):
    rng = np.random.RandomState(0)
    X = rng.standard_normal((300, 5)) @ rng.standard_normal((5, 5)) + 1.0
    if kind == "sparse":
        X = sparse.csr_matrix(X * (rng.rand(*X.shape) < 0.5))
    P = rng.dirichlet(np.ones(n_classes), 300)
    weight = rng.rand(300) * (rng.rand(300) < 0.9)
    student = LogisticStudent(C=C, fit_intercept=fit_intercept)
    student.fit_soft_targets(X, P, classes=np.arange(n_classes), sample_weight=weight)
    expected = reference(X, P, weight, C, fit_intercept)
    assert_allclose(student.predict_proba(X), expected.predict_proba(X), atol=1e-5)
    assert_allclose(student.coef_, expected.coef_, atol=1e-4)
    assert_allclose(student.intercept_, expected.intercept_, atol=1e-4)


@pytest.mark.parametrize("load", [load_wine, load_breast_cancer])
def test_logistic_student_converges_on_unscaled_real_data(load):
    X, y = load(return_X_y=True)
    student = LogisticStudent(1.0).fit(X, y)
    gradient = _gradient(student, X, y)
    # of the sum over rows, in the columns' own units
    assert np.abs(gradient / X.std(axis=0)[:, None]).max() < 1e-3


def _gradient(student, X, y):
    """Gradient of the objective in the weights, written out independently."""
    Q = student.predict_proba(X)
    Y = (y[:, None] == student.classes_).astype(float)
    residual = Q - Y
    if len(student.classes_) == 2:
        residual = residual[:, 1:]
    return X.T @ residual + student.coef_.T / student.C


def test_logistic_student_does_not_change_with_a_shift_of_columns():
    X, y = load_wine(return_X_y=True)
    shift = 1e3 * np.random.RandomState(0).standard_normal(X.shape[1])
    one = LogisticStudent().fit(X, y)
    two = LogisticStudent().fit(X + shift, y)
    assert_allclose(one.predict_proba(X), two.predict_proba(X + shift), atol=1e-5)
    assert_allclose(one.coef_, two.coef_, atol=1e-4)


def test_logistic_student_coef_answers_on_original_columns():
    X, y = load_digits(return_X_y=True)
    student = LogisticStudent(C=0.1).fit(X, y)
    z = X @ student.coef_.T + student.intercept_
    assert_allclose(student.decision_function(X), z, rtol=1e-10, atol=1e-10)
    assert_allclose(student.predict_proba(X), softmax(z, axis=1), atol=1e-12)


def test_logistic_student_fits_sparse_as_dense():
    X, y = load_digits(return_X_y=True)
    one = LogisticStudent(C=0.01).fit(X, y)
    two = LogisticStudent(C=0.01).fit(sparse.csr_matrix(X), y)
    assert_allclose(one.predict_proba(X), two.predict_proba(X), atol=1e-5)
    assert_allclose(
        two.predict_proba(sparse.csr_array(X)), two.predict_proba(X), atol=1e-12
    )


def test_logistic_student_matches_a_linear_truth():
    rng = np.random.RandomState(0)
    W, b = rng.standard_normal((6, 4)), rng.standard_normal(4)
    X, X_new = rng.standard_normal((12_000, 6)), rng.standard_normal((4_000, 6))
    P, P_new = softmax(X @ W + b, axis=1), softmax(X_new @ W + b, axis=1)
    Q = LogisticStudent().fit_soft_targets(X, P, classes=range(4)).predict_proba(X_new)
    assert (P_new * np.log(P_new / Q)).sum(axis=1).mean() < 1e-5


def test_logistic_student_weights_equal_repeated_rows():
    X, y = load_wine(return_X_y=True)
    weight = np.random.RandomState(0).randint(0, 4, len(y))
    one = LogisticStudent().fit(X, y, sample_weight=weight)
    two = LogisticStudent().fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    assert_allclose(one.predict_proba(X), two.predict_proba(X), atol=1e-6)


# -- tables ----------------------------------------------------------------------------


def table(n=300, seed=0):
    rng = np.random.RandomState(seed)
    data = pd.DataFrame(
        {
            "x": rng.standard_normal(n),
            "c": rng.choice(["a", "b", "c"], n),
            "y": np.where(rng.rand(n) < 0.2, np.nan, rng.standard_normal(n)),
        }
    )
    logit = data["x"] + 2 * (data["c"] == "a") - data["y"].isna()
    return data, (rng.rand(n) < 1 / (1 + np.exp(-logit))).astype(int)


def test_logistic_student_learns_from_categories_and_missing_values():
    data, y = table()
    student = LogisticStudent(C=10).fit(data, y)
    assert student.coef_.shape == (1, student.encoder_.n_features_out_) == (1, 6)
    # the truth: +1 for x, +2 for level "a" against the rest, -1 for missing y
    slope, _, missing, *hot = student.coef_[0]
    assert slope == pytest.approx(1.0, abs=0.5)
    assert missing == pytest.approx(-1.0, abs=0.8)
    assert hot[0] - np.mean(hot[1:]) == pytest.approx(2.0, abs=0.8)


def test_logistic_student_answers_sparse_rows_after_rows_with_missing_values():
    X, y = load_wine(return_X_y=True)
    holes = X.copy()
    holes[::7, 2] = np.nan
    student = LogisticStudent().fit(holes, y)
    assert_allclose(
        student.predict_proba(sparse.csr_matrix(X)),
        student.predict_proba(X),
        atol=1e-10,
    )


def test_logistic_student_fitted_on_sparse_refuses_missing_values():
    X, y = load_wine(return_X_y=True)
    student = LogisticStudent().fit(sparse.csr_matrix(X), y)
    X[0, 0] = np.nan
    with pytest.raises(ValueError, match="contains NaN"):
        student.predict(X)


# -- behaviour -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "labels", [["b", "a"], [True, False], [10, -3], [2.0, 1.0]], ids=str
)
def test_logistic_student_keeps_the_kind_of_labels(labels):
    X, y = load_breast_cancer(return_X_y=True)
    y = np.array(labels)[y]
    student = LogisticStudent().fit(X, y)
    assert_array_equal(student.classes_, np.unique(y))
    assert student.predict(X).dtype == y.dtype
    assert student.score(X, y) > 0.9


def test_logistic_student_binary_decision_is_the_log_odds():
    X, y = load_breast_cancer(return_X_y=True)
    student = LogisticStudent().fit(X, y)
    log_p = student.predict_log_proba(X)
    assert_allclose(
        student.decision_function(X), log_p[:, 1] - log_p[:, 0], rtol=1e-6, atol=1e-8
    )


def test_logistic_student_warns_where_iterations_run_out():
    X, y = load_digits(return_X_y=True)
    with pytest.warns(ConvergenceWarning, match=r"max_iter=3.*Raise max_iter"):
        student = LogisticStudent(max_iter=3).fit(X, y)
    assert student.n_iter_ == 3


def test_logistic_student_survives_pickle_and_clone():
    X, y = load_wine(return_X_y=True)
    student = LogisticStudent(C=0.5).fit(X, y)
    again = pickle.loads(pickle.dumps(student))
    assert_array_equal(again.predict_proba(X), student.predict_proba(X))
    assert clone(student).C == 0.5
    with pytest.raises(NotFittedError):
        clone(student).predict(X)


def test_logistic_student_is_stored_by_skops_without_code():
    X, y = table()
    student = LogisticStudent().fit(X, y)
    data = skops.io.dumps(student)
    own = [
        "skdistill.students._logistic.LogisticStudent",
        "skdistill.students._table.TableEncoder",
    ]
    assert skops.io.get_untrusted_types(data=data) == own
    again = skops.io.loads(data, trusted=own)
    assert_array_equal(again.predict_proba(X), student.predict_proba(X))


def test_logistic_student_ignores_validation_rows():
    X, y = load_wine(return_X_y=True)
    P = np.eye(3)[y]
    one = LogisticStudent().fit_soft_targets(X, P, classes=[0, 1, 2])
    two = LogisticStudent().fit_soft_targets(
        X, P, classes=[0, 1, 2], validation=(X[:9], P[::-1][:9])
    )
    assert_array_equal(one.coef_, two.coef_)


# -- bad input -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "params",
    [
        {"C": 0},
        {"C": -1.0},
        {"C": "1"},
        {"fit_intercept": 2},
        {"tol": 0},
        {"max_iter": 0},
        {"max_categories": 1},
    ],
    ids=str,
)
def test_logistic_student_refuses_parameters_out_of_range(params):
    X, y = load_wine(return_X_y=True)
    with pytest.raises(ValueError, match=f"The '{next(iter(params))}' parameter"):
        LogisticStudent(**params).fit(X, y)


def test_logistic_student_refuses_one_class():
    with pytest.raises(ValueError, match="at least two classes, got one class"):
        LogisticStudent().fit(np.eye(3), [1, 1, 1])


def test_logistic_student_refuses_infinity():
    with pytest.raises(ValueError, match="contains infinity"):
        LogisticStudent().fit([[np.inf], [0.0]], [0, 1])


def test_logistic_student_that_failed_to_fit_again_answers_nothing():
    X, y = load_wine(return_X_y=True)
    student = LogisticStudent().fit(X, y)
    with pytest.raises(ValueError, match="at least two classes"):
        student.fit(X[:, :2], np.zeros(len(X)))
    with pytest.raises(NotFittedError):
        student.predict(X)


def test_piecewise_student_is_additive_and_fits_steps():
    rng = np.random.RandomState(0)
    X = rng.uniform(-1, 1, size=(3000, 2))
    truth = np.where(np.abs(X[:, 0]) > 0.5, 3.0, -3.0) + X[:, 1]
    y = rng.uniform(size=3000) < 1 / (1 + np.exp(-truth))
    linear, additive = LogisticStudent(), LogisticStudent(encoding="piecewise")
    assert additive.fit(X, y).score(X, y) > linear.fit(X, y).score(X, y) + 0.2
    # What one column adds to the logit does not depend on the other.
    low, high = np.array([[-0.5, 0.1]]), np.array([[0.5, 0.1]])
    step = additive.decision_function(high) - additive.decision_function(low)
    low[0, 1] = high[0, 1] = -0.9
    again = additive.decision_function(high) - additive.decision_function(low)
    assert_allclose(step, again, rtol=1e-9)


def test_piecewise_student_answers_sparse_rows_as_it_answers_dense_ones():
    X, y = load_breast_cancer(return_X_y=True)
    student = LogisticStudent(encoding="piecewise").fit(X, y)
    assert_allclose(
        student.predict_proba(sparse.csr_matrix(X)), student.predict_proba(X), rtol=1e-9
    )


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])
def test_logistic_student_refuses_numbers_whose_squares_overflow(kind):
    X = np.random.RandomState(0).randn(100, 3)
    X[:, 1] *= 1e160
    with pytest.raises(ValueError, match=r"squares are finite .* in 1 of its 3 col"):
        LogisticStudent().fit(kind(X), np.arange(100) % 2)


def test_logistic_student_takes_pandas_na_among_objects():
    X = pd.DataFrame({"a": pd.Series([1.0, pd.NA, 2.0] * 50, dtype=object)})
    Z = pd.DataFrame({"a": [1.0, np.nan, 2.0] * 50})
    y = np.arange(150) % 2
    assert_allclose(
        LogisticStudent().fit(X, y).predict_proba(X),
        LogisticStudent().fit(Z, y).predict_proba(Z),
    )
