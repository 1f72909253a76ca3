"""What a student kept of its teacher's score."""

import numpy as np
import pytest

from skdistill.metrics import gap_closed, retention


def test_retention_is_a_ratio_in_the_direction_of_better():
    assert retention(0.9, 0.8) == pytest.approx(1.125)
    assert retention(0.4, 0.3, greater_is_better=False) == pytest.approx(0.75)
    assert np.isnan(retention(0.5, 0.0))
    assert np.isnan(retention(-0.1, 0.5))
    np.testing.assert_allclose(retention([0.5, 0.5], [1.0, 0.0]), [0.5, np.nan])


def test_gap_closed_says_the_share_of_the_way():
    assert gap_closed(0.8, 0.85, 0.9) == pytest.approx(0.5)
    assert gap_closed(0.8, 0.75, 0.9) == pytest.approx(-0.5)
    assert gap_closed(0.5, 0.2, 0.3, greater_is_better=False) == pytest.approx(1.5)
    errors = {"plain": 146, "student": 74, "teacher": 67}  # Hinton's MNIST
    found = gap_closed(**errors, greater_is_better=False)
    assert found == pytest.approx(72 / 79)


@pytest.mark.parametrize("teacher", [0.8, 0.7, np.nan])
def test_gap_closed_is_undefined_where_there_is_no_gap(teacher):
    assert np.isnan(gap_closed(0.8, 0.9, teacher))
    assert isinstance(gap_closed(0.8, 0.9, teacher), float)
    found = gap_closed([0.8, 0.8], [0.9, 0.9], [teacher, 1.0])
    np.testing.assert_allclose(found, [np.nan, 0.5])


def test_scores_must_have_one_shape():
    with pytest.raises(ValueError, match=r"arrays of one shape, got shapes"):
        gap_closed([1, 2], 1, 2)
