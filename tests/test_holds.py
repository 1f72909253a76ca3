"""Money set aside in a store, by several runs at once."""

import math
import os

import numpy as np
import pytest

from skdistill.teachers import AnswerStore
from skdistill.teachers._holds import Hold
from skdistill.teachers._outcomes import Outcome

NAMES = ["the account", "its questions"]
NOTHING = 0, 0.0


@pytest.fixture
def store(tmp_path):
    with AnswerStore(tmp_path / "answers.db") as store:
        yield store


def held(store):
    """Sums over all holds in the store."""
    query = "SELECT coalesce(sum(calls), 0), coalesce(sum(cost), 0.0) FROM holds"
    return store._database.run(lambda connection: connection.execute(query).fetchone())


def spend(store, hold, calls, cost, key=b"0123456789abcdef"):
    outcome = Outcome("answered", np.array([0.5, 0.5]), calls=calls, cost=cost)
    store.put_outcomes([(NAMES[1], key, outcome)], hold=hold)


def test_hold_refuses_what_exceeds_a_limit(store):
    hold = Hold(store, NAMES, 10, 1.0)
    assert hold.extend(10, 0.5, ahead=NOTHING) == (10, 0.5, None, False)
    assert hold.extend(1, 0.1, ahead=NOTHING).reason == "max_calls"
    hold.give_back(5, 0.0)
    assert hold.extend(1, 0.6, ahead=NOTHING).reason == "max_cost"
    assert held(store) == (5, 0.5)


def test_hold_counts_what_was_spent_and_what_others_hold(store):
    first, second = (Hold(store, NAMES, 10, math.inf) for _ in range(2))
    first.extend(6, 0.0, ahead=NOTHING)
    spend(store, first, 4, 0.0)
    assert held(store) == (2, 0.0)
    assert second.extend(5, 0.0, ahead=NOTHING) == (0, 0.0, "max_calls", True)
    assert second.extend(4, 0.0, ahead=NOTHING).reason is None
    first.release()
    assert held(store) == (4, 0.0)
    assert second.extend(3, 0.0, ahead=NOTHING) == (0, 0.0, "max_calls", False)
    assert second.extend(2, 0.0, ahead=NOTHING).reason is None


def test_hold_takes_half_of_the_rest_ahead_at_most(store):
    hold = Hold(store, NAMES, 101, 8.0)
    assert hold.extend(1, 2.0, ahead=(1000, 1000.0))[:2] == (51, 5.0)
    assert Hold(store, NAMES, 101, math.inf).extend(1, 2.0, ahead=(3, 4.0))[:2] == (
        4,
        6.0,
    )


def test_hold_of_a_dead_process_is_void(store):
    lost = Hold(store, NAMES, 10, math.inf)
    pid = os.fork()
    if not pid:
        lost.extend(10, 0.0, ahead=NOTHING)
        os._exit(0)
    os.waitpid(pid, 0)
    assert held(store) == (10, 0.0)
    hold = Hold(store, NAMES, 10, math.inf)
    assert hold.extend(10, 0.0, ahead=NOTHING).reason is None
    assert held(store) == (10, 0.0)


def test_hold_that_was_overdrawn_frees_nothing_for_others(store):
    first, second = (Hold(store, NAMES, math.inf, 1.0) for _ in range(2))
    first.extend(1, 0.2, ahead=NOTHING)
    spend(store, first, 1, 0.7)  # more than was said
    assert second.extend(1, 0.4, ahead=NOTHING).reason == "max_cost"
    assert second.extend(1, 0.3, ahead=NOTHING).reason is None


def test_hold_without_limits_writes_nothing(store):
    hold = Hold(store, NAMES, math.inf, math.inf)
    assert not hold.is_limited
    hold.give_back(1, 1.0)
    hold.release()
    spend(store, hold, 1, 0.1)
    assert held(store) == NOTHING


def test_holds_of_other_accounts_do_not_count(store):
    Hold(store, NAMES, 10, math.inf).extend(10, 0.0, ahead=NOTHING)
    other = Hold(store, ["another account"], 10, math.inf)
    assert other.extend(10, 0.0, ahead=NOTHING).reason is None
