"""Where the time of a fit goes."""

from time import sleep

import pytest

from skdistill._costs import Costs


def test_costs_count_a_part_within_another_once():
    costs = Costs()
    with costs.clock("outer"):
        sleep(0.02)
        with costs.clock("inner"):
            sleep(0.08)
            with costs.clock("outer"):
                sleep(0.02)
    assert list(costs.seconds) == ["outer", "inner"]
    assert costs.seconds["inner"] >= 0.08
    # more than the two sleeps of its own, and the inner part is not in it
    assert costs.seconds["outer"] >= 0.04
    with costs.clock("whole"):
        with costs.clock("part"):
            sleep(0.05)
    assert costs.seconds["whole"] < costs.seconds["part"]


def test_costs_are_counted_where_something_fails():
    costs = Costs()
    with pytest.raises(KeyError), costs.clock("outer"), costs.clock("inner"):
        raise KeyError
    assert list(costs.seconds) == ["inner", "outer"]
