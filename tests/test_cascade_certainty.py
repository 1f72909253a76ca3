"""How sure a student is: three measures in [0, 1]."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import entropy

from skdistill.cascade._certainty import CERTAINTIES, View

P = np.array([[1.0, 0.0, 0.0], [0.5, 0.3, 0.2], [1 / 3, 1 / 3, 1 / 3]])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("probability", [1, 0.5, 1 / 3]),
        ("margin", [1, 0.2, 0]),
        ("entropy", [1, 1 - entropy([0.5, 0.3, 0.2]) / np.log(3), 0]),
    ],
)
def test_certainty_of_three_rows(name, expected):
    assert_allclose(CERTAINTIES[name](P), expected, atol=1e-12)


@given(
    st.sampled_from(sorted(CERTAINTIES)),
    st.integers(1, 9),
    st.integers(0, 2**31 - 1),
    st.sampled_from([0.1, 1.0, 100.0]),
)
def test_certainty_lies_between_0_and_1(name, n_classes, seed, concentration):
    rng = np.random.RandomState(seed)
    P = rng.dirichlet(np.full(n_classes, concentration), size=5)
    scores = CERTAINTIES[name](P)
    assert (scores >= 0).all() and (scores <= 1 + 1e-12).all()


def test_view_takes_rows():
    view = View(np.arange(3.0), np.arange(3), np.array([True, False, True]))
    part = view.take(np.array([2, 0]))
    assert_array_equal(part.scores, [2, 0])
    assert_array_equal(part.is_inlier, [True, True])
