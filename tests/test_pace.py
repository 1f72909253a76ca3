"""How many gradient steps a net takes on new rows."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdistill import LogisticStudent, MLPStudent
from skdistill._new_rows import encodings_to_try
from skdistill._pace import BUDGET, FINAL_ROUND, TO_KEEP, TRIAL, Pace, is_too_dear

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


def test_last_fit_takes_what_is_left_and_its_least_in_any_case():
    n_plain = 2_000
    pace = pace_after(n_plain)
    usual = pace.steps(MLPStudent(), MANY, "", TO_KEEP)
    assert usual == TO_KEEP.times * n_plain
    # all fits but the last have taken this many steps of the plain net
    price, left = pace._price(""), 4_000
    pace.spend(
        "",
        (BUDGET * n_plain - n_plain - pace._encoding_cost("", MANY)) / price - left,
        0,
    )
    assert pace.steps(MLPStudent(), MANY, "", TO_KEEP) == pytest.approx(left, abs=1)
    before = pace.steps(MLPStudent(), MANY, "", FINAL_ROUND)
    pace.spend("", 10 * n_plain, MANY)
    assert pace.steps(MLPStudent(), MANY, "", TO_KEEP) == TO_KEEP.least
    assert pace.steps(MLPStudent(), MANY, "", FINAL_ROUND) == before


@pytest.mark.parametrize("n_plain", [4_000, 8_000])
def test_last_fit_is_no_shorter_than_the_round_that_it_won(n_plain):
    pace = pace_after(n_plain)
    pace.spend("", 100 * n_plain, MANY)
    final = pace.steps(MLPStudent(), MANY, "", FINAL_ROUND)
    assert pace.steps(MLPStudent(), MANY, "", TO_KEEP) == final > TO_KEEP.least


def test_what_was_spent_does_not_count_with_high_effort():
    pace = pace_after(2_000, is_bounded=False)
    pace.spend("", 10**9, MANY)
    assert pace.steps(MLPStudent(), MANY, "", TO_KEEP) == TO_KEEP.most


def test_encoding_is_too_dear_where_it_makes_a_narrow_net_wide():
    assert not is_too_dear(MLPStudent((64, 64)), 10, 160)
    assert is_too_dear(MLPStudent((64, 64)), 60, 960)
    assert not is_too_dear(MLPStudent((64, 2_000, 2_000)), 60, 960)  # wide anyhow
    assert is_too_dear(MLPStudent(()), 1_000, 160_000)


@pytest.mark.parametrize("library", ["numpy", "pandas"])
def test_piecewise_inputs_are_not_tried_where_they_are_too_dear(library):
    X = np.random.RandomState(0).standard_normal((500, 60))
    frame = X if library == "numpy" else pd.DataFrame(X)
    net = MLPStudent((64, 64))
    assert encodings_to_try(net, frame) == ("",)
    assert encodings_to_try(net, frame, effort="high") == ("", "piecewise")
    assert encodings_to_try(LogisticStudent(), frame) == ("", "piecewise")
    if library == "pandas":  # whatever a column holds is counted
        odd = [("a", 1), "b", None, 2.5, pd.Timestamp(0)] * 100
        assert encodings_to_try(net, frame.assign(odd=odd)) == ("",)
    # columns of two values stay one input each
    assert encodings_to_try(net, (frame > 0).astype(int)) == ("", "piecewise")
