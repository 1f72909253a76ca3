"""Weights in fewer bytes: bounds of the rounding, and models with rounded weights."""

import copy

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from skdistill import DistilledClassifier, LogisticStudent, MLPStudent
from skdistill.deploy._weights import (
    check_quantize,
    quantize_int8,
    quantized,
    store,
    stored_as,
)

X, y = load_iris(return_X_y=True)
W = np.random.default_rng(0).normal(size=(30, 7)) * np.logspace(-6, 6, 7)


# -- matrices --------------------------------------------------------------------------


def test_quantize_int8_is_within_half_a_step_of_each_column():
    whole, scale = quantize_int8(W)
    assert whole.dtype == np.int8 and scale.dtype == np.float32
    assert whole.shape == W.shape and scale.shape == (7,)
    # Half a step, and what float32 steps lose of the largest weight.
    step = np.abs(W).max(axis=0) / 127
    assert np.all(np.abs(whole * scale.astype(np.float64) - W) <= step * 0.50001)


def test_quantize_int8_uses_all_of_each_column_and_is_symmetric():
    whole, _ = quantize_int8(W)
    np.testing.assert_array_equal(np.abs(whole).max(axis=0), 127)
    np.testing.assert_array_equal(quantize_int8(-W)[0], -whole)


def test_quantize_int8_is_idempotent():
    whole, scale = quantize_int8(W)
    again, scale_again = quantize_int8(whole * scale.astype(np.float64))
    np.testing.assert_array_equal(again, whole)
    np.testing.assert_array_equal(scale_again, scale)


@pytest.mark.parametrize("shape", [(3, 2), (0, 4), (5, 0)])
def test_quantize_int8_of_zeros_and_of_nothing(shape):
    whole, scale = quantize_int8(np.zeros(shape))
    assert whole.shape == shape and not whole.any()
    np.testing.assert_array_equal(scale, np.ones(shape[1]))


def test_store_values_are_what_the_bytes_stand_for():
    for how, tolerance in ((None, 2**-24), ("float16", 2**-11)):
        weights = store(np.clip(W, -6e4, 6e4)[:, 2:], how)
        assert weights.stored.dtype == np.dtype(how or "float32")
        np.testing.assert_allclose(
            weights.values, np.clip(W, -6e4, 6e4)[:, 2:], rtol=tolerance, atol=1e-7
        )


def test_store_refuses_weights_beyond_the_type():
    with pytest.raises(ValueError, match=r"at most 65504 .* float16, got 1e\+06"):
        store(np.array([[1e6]]), "float16")
    with pytest.raises(ValueError, match="stored as float32"):
        store(np.array([[1e39]]), None)
    with pytest.raises(ValueError, match="stored as int8, got nan"):
        store(np.array([[np.nan]]), "int8")


def test_store_by_input_has_a_scale_for_each_row():
    weights, turned = store(W, "int8", by_input=True), store(W.T, "int8")
    np.testing.assert_array_equal(weights.values, turned.values.T)
    assert weights.stored.shape == W.shape and weights.scale.shape == (30, 1)


def test_check_quantize_names_what_is_allowed():
    with pytest.raises(ValueError, match=r"'float16', 'int8'.*got 'int4'"):
        check_quantize("int4")


# -- models ----------------------------------------------------------------------------


@pytest.mark.parametrize("quantize", ["float16", "int8"])
def test_quantized_student_has_the_weights_of_the_file(quantize):
    student = MLPStudent((6,), max_steps=5, random_state=0).fit(X, y)
    before = copy.deepcopy(student.coefs_)
    rounded = quantized(student, quantize)
    for coef, kept, new in zip(student.coefs_, before, rounded.coefs_, strict=True):
        np.testing.assert_array_equal(coef, kept)  # the given one is left alone
        np.testing.assert_array_equal(new, store(coef, quantize).values)
    assert stored_as(rounded) == quantize and stored_as(student) is None


def test_quantized_finds_students_at_any_depth_and_shares_the_teacher():
    inner = DistilledClassifier(
        DecisionTreeClassifier(), LogisticStudent(), alpha=1.0, transfer=None
    )
    model = make_pipeline(StandardScaler(), inner).fit(X, y)
    rounded = quantized(model, "int8")
    was, now = model[-1].student_, rounded[-1].student_
    kept = store(was.coef_.T, "int8", by_input=True).values.T
    np.testing.assert_array_equal(now.coef_, kept)
    assert not np.array_equal(was.coef_, now.coef_)
    assert rounded[-1].teacher_ is model[-1].teacher_
    np.testing.assert_array_equal(rounded[0].mean_, model[0].mean_)


def test_quantized_without_a_student_says_what_it_needs():
    with pytest.raises(ValueError, match="DecisionTreeClassifier without one"):
        quantized(DecisionTreeClassifier().fit(X, y), "int8")
    tree = DecisionTreeClassifier().fit(X, y)
    assert quantized(tree, None) is tree


def test_quantized_rounds_a_student_that_stands_in_two_places():
    model = DistilledClassifier(
        DecisionTreeClassifier(), LogisticStudent(), alpha=1.0, transfer=None
    ).fit(X, y)
    model.plain_student_ = model.student_  # as where the plain one was chosen
    rounded = quantized(model, "int8")
    assert stored_as(rounded.student_) == "int8"
    assert rounded.plain_student_ is rounded.student_


@pytest.mark.parametrize("labels", [y, y > 0])
def test_quantized_linear_student_keeps_columns_of_all_magnitudes(labels):
    rows = X * [1e-5, 1.0, 1e5, 1.0] + [0.0, 1e3, 0.0, 0.0]
    student = LogisticStudent().fit(rows, labels)
    rounded = quantized(student, "int8")
    # A 254th of each share of a logit; of all numbers at once it would be up to 1.
    change = np.abs(rounded.predict_proba(rows) - student.predict_proba(rows)).max()
    assert change < 0.02
    again = quantized(rounded, "int8")
    np.testing.assert_array_equal(again.coef_, rounded.coef_)
    np.testing.assert_array_equal(again.intercept_, rounded.intercept_)
