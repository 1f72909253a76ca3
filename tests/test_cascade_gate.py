"""The range detector: what is unlike any row seen."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.exceptions import NotFittedError

from skdistill.cascade._gate import RangeDetector

X = np.array([[0.0, 10.0], [1.0, 30.0], [0.5, 20.0]])


def test_range_detector_flags_numbers_beyond_the_widened_range():
    detector = RangeDetector().fit(X)
    rows = np.array([[-0.1, 8.0], [1.1, 32.0], [-0.11, 20], [0.5, 32.1], [0.5, 20.0]])
    assert_array_equal(detector.decision_function(rows), [1, 1, -1, -1, 1])


def test_range_detector_lets_missing_values_pass():
    holes = np.array([[np.nan, 10.0], [np.nan, 30.0]])
    detector = RangeDetector().fit(holes)
    rows = [[np.nan, 20.0], [1e9, 20.0], [np.nan, 99.0]]
    # nothing is known of a column that was always missing
    assert_array_equal(detector.decision_function(np.array(rows)), [1, 1, -1])


def test_range_detector_flags_rows_without_anything_to_compare():
    holes = np.array([[np.nan, 10.0], [np.nan, 30.0]])
    detector = RangeDetector().fit(holes)
    rows = [[np.nan, np.nan], [1e9, np.nan], [np.nan, 20.0]]
    assert_array_equal(detector.decision_function(np.array(rows)), [-1, -1, 1])
    assert not detector.has_blank_


def test_range_detector_lets_empty_rows_pass_where_fit_met_one():
    detector = RangeDetector().fit(np.array([[1.0], [np.nan], [2.0]]))
    rows = np.array([[np.nan], [1.5], [9.0]])
    assert_array_equal(detector.decision_function(rows), [1, 1, -1])
    assert detector.has_blank_


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_range_detector_flags_unknown_categories(frame):
    table = frame({"size": [1.0, 2.0, None], "colour": ["red", None, "blue"]})
    detector = RangeDetector().fit(table)
    rows = frame({"size": [1.5, None, 9.0, 1.0], "colour": [None, "red", "red", "x"]})
    assert_array_equal(detector.decision_function(rows), [1, 1, -1, -1])


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
@pytest.mark.parametrize("has_blank", [False, True])
def test_range_detector_knows_empty_rows_of_data_frames(frame, has_blank):
    table = {"size": [1.0, 2.0, None], "colour": ["red", None, "blue"]}
    if has_blank:
        table = {name: [*column, None] for name, column in table.items()}
    detector = RangeDetector().fit(frame(table))
    rows = frame({"size": [None, 1.5, None], "colour": [None, None, "blue"]})
    expected = [1 if has_blank else -1, 1, 1]
    assert_array_equal(detector.decision_function(rows), expected)


def test_range_detector_knows_pandas_categories_by_value():
    table = pd.DataFrame({"colour": pd.Categorical(["red", "blue"])})
    rows = pd.DataFrame({"colour": pd.Categorical(["pink", "red", None])})
    scores = RangeDetector().fit(table).decision_function(rows)
    assert_array_equal(scores, [-1, 1, -1])


def test_range_detector_refuses_what_has_no_columns():
    with pytest.raises(TypeError, match="got list of str"):
        RangeDetector().fit(["a text", "another"])
    with pytest.raises(TypeError, match="dense data is required"):
        RangeDetector().fit(sparse.csr_array(X))
    with pytest.raises(NotFittedError):
        RangeDetector().decision_function(X)


def test_range_detector_knows_truth_values():
    frame = pd.DataFrame({"size": [1.0, 2.0, 3.0], "old": [False, False, False]})
    detector = RangeDetector().fit(frame)
    asked = pd.DataFrame({"size": [2.0, 2.0], "old": [False, True]})
    assert detector.decision_function(asked).tolist() == [1, -1]
