"""How many gradient steps a net takes on new rows."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdistill import MLPStudent
from skdistill._pace import FINAL_ROUND, TO_KEEP, TRIAL, Pace

MANY = 150_000


def plain_net(n_steps, n_inputs=8):
    net = MLPStudent((64, 64))
    shapes = (n_inputs, 64), (64, 64), (64, 2)
    net.coefs_, net.n_steps_ = [np.zeros(shape) for shape in shapes], n_steps
    return net


def pace_after(n_steps, **kwargs):
    pace = Pace(**kwargs)
    pace.note("", plain_net(n_steps))
    return pace


@pytest.mark.parametrize("length", [TRIAL, FINAL_ROUND, TO_KEEP])
def test_steps_follow_the_plain_net_between_bounds(length):
    middle = int((length.least + length.most) / 2 / length.times)
    for n_plain, expected in (
        (10, length.least), (middle, length.times * middle), (10**6, length.most),
    ):  # fmt: skip
        n_steps = pace_after(n_plain).steps(MLPStudent(), MANY, "", length)
        assert n_steps == pytest.approx(expected, abs=1)


def test_steps_are_those_of_the_number_of_rows_where_these_are_fewer():
    assert pace_after(10_000).steps(MLPStudent(), 600, "", TO_KEEP) == 2400


def test_wide_nets_take_fewer_steps():
    pace = pace_after(4_000)
    narrow = pace.steps(MLPStudent(), MANY, "", TO_KEEP)
    pace.note("piecewise", plain_net(2_000, n_inputs=1_000))
    wide = pace.steps(MLPStudent(), MANY, "piecewise", TO_KEEP)
    assert wide < narrow / 2
    assert pace.steps(MLPStudent(), MANY, "", TO_KEEP) == narrow


def test_without_a_plain_net_or_with_high_effort_steps_are_the_most():
    for pace in (Pace(), pace_after(10, is_bounded=False)):
        assert pace.steps(MLPStudent(), MANY, "", TO_KEEP) == TO_KEEP.most
    pace = Pace()
    pace.note("", LogisticRegression())  # no net: sets no pace
    assert pace.steps(MLPStudent(), MANY, "", TRIAL) == TRIAL.most


def test_steps_of_others_and_those_that_the_user_set_are_left_alone():
    pace = pace_after(1_000)
    assert pace.steps(MLPStudent(max_steps=77), MANY, "", TO_KEEP) is None
    assert pace.steps(LogisticRegression(), MANY, "", TO_KEEP) is None
    behind = make_pipeline(StandardScaler(), MLPStudent())
    assert pace.steps(behind, MANY, "", TO_KEEP) == TO_KEEP.least
