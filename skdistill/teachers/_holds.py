"""Money set aside before it is spent, in the store, where every process sees it."""

import time
import uuid
from typing import NamedTuple

from skdistill.teachers._outcomes import sum_spent
from skdistill.teachers._owners import is_dead, this_process


class Grant(NamedTuple):
    """What came of asking for money.

    Parameters
    ----------
    calls, cost : float
        What was set aside; nothing where a limit forbids it.

    reason : str or None
        Name of that limit.

    may_come : bool
        Whether others hold what they may give back.
    """

    calls: int = 0
    cost: float = 0.0
    reason: str | None = None
    may_come: bool = False


class Hold:
    """Calls and money that one run has set aside and not spent yet.

    What is spent, as the outcomes say, and what all runs hold never exceed the limits
    together. The hold of a process that died is void, as its claims are.

    Parameters
    ----------
    store : AnswerStore
        Where the outcomes are.

    fingerprints : list of str
        Identities whose outcomes count. Runs with the same first one share the limits.

    max_calls, max_cost : float
        Limits; infinity for none.
    """

    def __init__(self, store, fingerprints, max_calls, max_cost):
        self.store, self.fingerprints = store, fingerprints
        self.max_calls, self.max_cost = max_calls, max_cost
        self.id = uuid.uuid4().hex

    @property
    def is_limited(self):
        """Whether there is a limit to keep."""
        return min(self.max_calls, self.max_cost) < float("inf")

    def extend(self, calls, cost, *, ahead):
        """Set more aside.

        Parameters
        ----------
        calls, cost : float
            What is needed now.

        ahead : (float, float)
            What is taken beyond that to come less often, half of the rest at most.

        Returns
        -------
        grant : Grant
        """

        def take(connection):
            own, others = self._held(connection)
            spent = sum_spent(connection, self.fingerprints)
            limits = self.max_calls, self.max_cost
            taken = zip(limits, spent, own, others, strict=True)
            room = [limit - sum(parts) for limit, *parts in taken]
            reason = None
            if calls > room[0]:
                reason = "max_calls"
            # sums of small floats: a limit is not missed by their rounding
            elif cost - room[1] > 1e-12 * self.max_cost:
                reason = "max_cost"
            if reason is not None:
                return Grant(0, 0.0, reason, any(others))
            more = [
                max(min(wish, (left - need) / 2), 0.0)
                for wish, left, need in zip(ahead, room, (calls, cost), strict=True)
            ]
            grant = Grant(calls + int(more[0]), cost + more[1])
            self._write(connection, own[0] + grant.calls, own[1] + grant.cost)
            return grant

        return self.store._database.run(take, write=True)

    def give_back(self, calls, cost):
        """Let others have what is set aside and not needed."""
        if self.is_limited and (calls or cost):
            self.store._database.run(
                lambda connection: self.spend(connection, calls, cost), write=True
            )

    def spend(self, connection, calls, cost):
        """Hold less, in the transaction in which it is spent or given back."""
        connection.execute(
            "UPDATE holds SET calls = calls - ?, cost = cost - ?, expires = ? "
            "WHERE id = ?",
            (calls, cost, self._expires(), self.id),
        )

    def release(self):
        """Hold nothing any more."""
        if self.is_limited:
            self.store._database.run(
                lambda connection: connection.execute(
                    "DELETE FROM holds WHERE id = ?", (self.id,)
                ),
                write=True,
            )

    def _held(self, connection):
        """Calls and cost that this run holds, and those of others who live."""
        own, others, void, now = (0, 0.0), [0, 0.0], [], time.time()
        for id_, owner, expires, *held in connection.execute(
            "SELECT id, owner, expires, calls, cost FROM holds WHERE account = ?",
            (self.fingerprints[0],),
        ).fetchall():
            if id_ == self.id:
                own = tuple(held)
            elif expires < now or is_dead(owner):
                void.append((id_,))
            else:
                # a hold that an answer overdrew frees nothing for others
                others[0] += max(held[0], 0)
                others[1] += max(held[1], 0.0)
        connection.executemany("DELETE FROM holds WHERE id = ?", void)
        return own, others

    def _write(self, connection, calls, cost):
        connection.execute(
            "INSERT OR REPLACE INTO holds VALUES (?, ?, ?, ?, ?, ?)",
            (
                self.id,
                self.fingerprints[0],
                this_process(),
                self._expires(),
                calls,
                cost,
            ),
        )

    def _expires(self):
        return time.time() + self.store.claim_timeout
