"""What limits the questions to a server: money, pace, time and patience."""

import math
import time

import anyio


class Budget:
    """Calls and money that may still be spent; never more, whatever is under way.

    Parameters
    ----------
    max_calls, max_cost : float
        Limits; infinity for none.

    calls, cost : float
        What was spent before.
    """

    def __init__(self, max_calls=math.inf, max_cost=math.inf, *, calls=0, cost=0.0):
        self.max_calls, self.max_cost = max_calls, max_cost
        self.calls, self.cost = calls, cost
        self._held_calls, self._held_cost = 0, 0.0
        self._changed = anyio.Condition()

    async def hold(self, calls, cost):
        """Set aside what a question costs at most; wait for others if need be.

        Returns
        -------
        reason : str or None
            Name of the limit that forbids it for good; None if it is set aside.
        """
        async with self._changed:
            while reason := self._exceeded(calls, cost):
                if not self._held_calls:
                    return reason
                await self._changed.wait()  # what others need less comes back
            self._held_calls += calls
            self._held_cost += cost
            return None

    async def settle(self, held_calls, held_cost, calls, cost):
        """Replace what was set aside by what it came to."""
        async with self._changed:
            self._held_calls -= held_calls
            self._held_cost -= held_cost
            self.calls += calls
            self.cost += cost
            self._changed.notify_all()

    def _exceeded(self, calls, cost):
        if self.calls + self._held_calls + calls > self.max_calls:
            return "max_calls"
        # sums of small floats: a limit is not missed by their rounding
        if (self.cost + self._held_cost + cost) * (1 - 1e-12) > self.max_cost:
            return "max_cost"
        return None


class Pace:
    """Requests spread evenly over time.

    Parameters
    ----------
    per_minute : float or None
        Most requests a minute; None for no limit.
    """

    def __init__(self, per_minute):
        self._interval = 60.0 / per_minute if per_minute else 0.0
        self._next = 0.0

    async def wait(self):
        """Wait for the next turn."""
        now = time.monotonic()
        turn = max(now, self._next)
        self._next = turn + self._interval
        if turn > now:
            await anyio.sleep(turn - now)


class Breaker:
    """Opens after so many failures in a row: the server is down.

    Parameters
    ----------
    limit : int
        Failures in a row that open it.
    """

    def __init__(self, limit):
        self._limit, self._in_a_row = limit, 0

    def note(self, has_failed):
        """Take note of a question that failed or did not."""
        self._in_a_row = self._in_a_row + 1 if has_failed else 0

    @property
    def is_open(self):
        """Whether to stop asking."""
        return self._in_a_row >= self._limit
