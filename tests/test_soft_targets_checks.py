import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from skdistill.soft_targets import align_columns, check_soft_targets


@pytest.mark.parametrize("kind", [np.asarray, np.float32, pd.DataFrame, list])
def test_check_soft_targets_takes_array_likes_and_normalises(kind):
    P = np.random.default_rng(0).dirichlet([1, 1, 1], size=20)
    checked = check_soft_targets(kind(P), n_samples=20, n_classes=3)
    assert checked.dtype == np.float64
    np.testing.assert_allclose(checked.sum(axis=1), 1.0, rtol=1e-15)
    np.testing.assert_allclose(checked, P, atol=1e-7)


def test_check_soft_targets_leaves_the_input_untouched():
    P = np.array([[0.5004, 0.5], [1.0003, -0.0003]])
    before = P.copy()
    checked = check_soft_targets(P, n_samples=2, n_classes=2)
    np.testing.assert_array_equal(P, before)
    assert checked.min() >= 0


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_check_soft_targets_completes_a_binary_column(shape):
    P = check_soft_targets(
        np.reshape([0.0, 0.25, 0.5, 1.0], shape), n_samples=4, n_classes=2
    )
    np.testing.assert_array_equal(P, [[1, 0], [0.75, 0.25], [0.5, 0.5], [0, 1]])


@pytest.mark.parametrize(
    ("P", "message"),
    [
        ([[0.5, 0.5]], r"must have shape \(n_samples, n_classes\) = \(2, 2\), got"),
        ([[0.2, 0.3, 0.5]] * 2, r"got \(2, 3\)\. Pass one row"),
        ([0.5, 0.5, 0.5], r"got \(3,\)"),
        (np.full((2, 2, 1), 0.5), r"got \(2, 2, 1\)"),
        ([[0.5, 0.5], [np.nan, 1.0]], r"got NaN or infinity in 1 of 2 rows .*row 1\)"),
        ([[np.inf, -np.inf], [0.5, 0.5]], "must be finite"),
        ([0.5, np.nan], "must be finite"),
        ([[0.5, 0.5], [1.5, -0.5]], r"between 0 and 1, got -0\.5 in row 1"),
        ([[3.0, 1.0], [0.5, 0.5]], r"between 0 and 1, got 3\.0 in row 0"),
        ([0.5, 1.2], r"between 0 and 1, got 1\.2 in row 1"),
        ([[0.5, 0.5], [0.3, 0.3]], r"must sum to 1 .* got 0\.6 in row 1"),
        ([["a", "b"], ["c", "d"]], "does not convert to float. Pass the output"),
        ([[0.5], [0.2, 0.8]], "does not convert to float"),
        (sparse.csr_matrix(np.eye(2)), "does not convert to float"),
        (None, "must have shape|does not convert"),
    ],
)
def test_check_soft_targets_refuses_what_are_no_probabilities(P, message):
    with pytest.raises(ValueError, match=message):
        check_soft_targets(P, n_samples=2, n_classes=2)


def test_check_soft_targets_says_whose_probabilities_they_are():
    with pytest.raises(ValueError, match=r"^What my teacher says must have shape"):
        check_soft_targets(
            np.eye(3), n_samples=2, n_classes=3, name="What my teacher says"
        )


def test_align_columns_moves_columns_by_label():
    P = np.array([[0.1, 0.2, 0.7]])
    aligned = align_columns(P, np.array(["c", "a", "b"]), np.array(["a", "b", "c"]))
    np.testing.assert_array_equal(aligned, [[0.2, 0.7, 0.1]])


def test_align_columns_gives_a_class_that_is_absent_a_column_of_zeros():
    aligned = align_columns(np.array([[0.4, 0.6]]), np.array([3, 1]), np.arange(5))
    np.testing.assert_array_equal(aligned, [[0, 0.6, 0, 0.4, 0]])


@pytest.mark.parametrize("labels", [["a", "d"], [0, 1]])
def test_align_columns_refuses_a_label_without_a_column(labels):
    with pytest.raises(ValueError, match=r"must be among \['a', 'b'\], got"):
        align_columns(np.eye(2), np.array(labels), np.array(["a", "b"]))
