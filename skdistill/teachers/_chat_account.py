"""What limits the questions to a server: money, pace, time and patience."""

import time
from functools import partial

import anyio
from anyio import to_thread

from skdistill.teachers._store import FIRST_PAUSE, LONGEST_PAUSE


class Budget:
    """Calls and money that may still be spent; never more, whoever else spends.

    Parameters
    ----------
    hold : Hold
        What is set aside in the store, some of it ahead of need.

    n_ahead : int
        For how many questions more is set aside at once.
    """

    def __init__(self, hold, n_ahead):
        self._hold, self._n_ahead = hold, n_ahead
        self._free_calls, self._free_cost, self._n_open = 0, 0.0, 0
        self._changed = anyio.Condition()

    async def hold(self, calls, cost):
        """Set aside what a question costs at most; wait for others if need be.

        Returns
        -------
        reason : str or None
            Name of the limit that forbids it for good; None if it is set aside.
        """
        if not self._hold.is_limited:
            return None
        pause = FIRST_PAUSE
        async with self._changed:
            while calls > self._free_calls or cost > self._free_cost:
                grant = await self._extend(calls, cost)
                if grant.reason is None:
                    self._free_calls += grant.calls
                    self._free_cost = max(self._free_cost + grant.cost, cost)
                    continue
                if not self._n_open and not grant.may_come:
                    return grant.reason
                # what others need less comes back, here or in another process
                await self._give_back()
                with anyio.move_on_after(pause if grant.may_come else None):
                    await self._changed.wait()
                pause = min(1.5 * pause, LONGEST_PAUSE)
            self._free_calls -= calls
            self._free_cost -= cost
            self._n_open += 1
            return None

    async def settle(self, held_calls, held_cost, calls, cost):
        """Replace what was set aside by what it came to."""
        async with self._changed:
            self._n_open -= 1
            self._free_calls += held_calls - calls
            self._free_cost += held_cost - cost
            self._changed.notify_all()

    async def give_back(self):
        """Let others have what is set aside and not in use."""
        async with self._changed:
            await self._give_back()

    async def _extend(self, calls, cost):
        needed = max(calls - self._free_calls, 0), max(cost - self._free_cost, 0.0)
        ahead = self._n_ahead * calls, self._n_ahead * cost
        work = partial(self._hold.extend, *needed, ahead=ahead)
        return await to_thread.run_sync(work)

    async def _give_back(self):
        free = self._free_calls, self._free_cost
        self._free_calls, self._free_cost = 0, 0.0
        await to_thread.run_sync(self._hold.give_back, *free)


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
