"""Many questions at once: claimed, asked, stored as soon as each is answered."""

import time
from collections import Counter, deque
from concurrent.futures import wait
from contextlib import asynccontextmanager
from functools import partial

import anyio
from anyio import to_thread
from anyio.from_thread import start_blocking_portal

from skdistill.teachers._asking import FIRST_PAUSE, LONGEST_PAUSE
from skdistill.teachers._chat_account import Breaker, Budget, Pace
from skdistill.teachers._chat_client import ChatClient
from skdistill.teachers._chat_methods import (
    ask_question,
    find_method,
    outcome_of,
    tally,
)
from skdistill.teachers._chat_reply import Reply
from skdistill.teachers._outcomes import Outcome

#: Rows that are claimed at once, for each request under way, and questions for which
#: money is set aside at once.
_CLAIMED_AHEAD, _PAID_AHEAD = 4, 16
#: Seconds between looks for an interrupt.
_WATCH = 0.2


def run_blocking(function):
    """Await a function in an event loop of its own thread, and return its result.

    It works where the caller's thread runs a loop already, as in a notebook.
    """
    try:
        with start_blocking_portal() as portal:
            future = portal.start_task_soon(function)
            # An interrupt that reaches another thread, or Windows, wakes nobody.
            while not wait([future], timeout=_WATCH).done:
                continue
            return future.result()
    except BaseExceptionGroup as group:
        error = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None


class ChatRun:
    """One request for many rows.

    Parameters
    ----------
    terms : Terms
        Where and within which limits to ask.

    prompt : Prompt
        All of the questions but the documents.

    store : AnswerStore
        Where the answers go.

    hold : Hold
        What the run sets aside; the caller releases it.

    Attributes
    ----------
    stopped : str or None
        Name of the limit that ended the run before its time.

    error : str or None
        What the server said for good.
    """

    def __init__(self, terms, prompt, store, hold):
        self.terms, self.prompt, self.store, self.hold = terms, prompt, store, hold
        self.stopped = self.error = None
        self._budget = Budget(hold, _PAID_AHEAD * terms.concurrency)
        self._pace = Pace(terms.requests_per_minute)
        self._breaker = Breaker(terms.max_failures)
        self._client = None

    # -- what the server takes ---------------------------------------------------------

    async def probe(self, wanted, *, n_samples, max_tokens):
        """Find the method that the server takes.

        Returns
        -------
        method : Method or None
            None where none works, or the budget forbids to ask.

        outcome : Outcome
            What finding out came to.

        refused : str
            What the server said last in refusing a request.
        """
        terms, sent = self.terms, []

        async def send(method, messages):
            bound = method.bound(messages, terms.prices)
            async with self._held(1, bound) as spend:
                if spend is None:
                    return Reply("failed", attempts=0)
                reply = await self._send(messages, method.options(self.prompt))
                sent.append(tally(method, [reply], messages, terms.prices))
                spend(1, sent[-1]["cost"])
                return reply

        async with self._new_client() as self._client:
            method, refused = await find_method(
                wanted,
                send,
                self.prompt,
                n_samples=n_samples,
                max_tokens=max_tokens,
                min_label_mass=terms.min_label_mass,
            )
        total = sum((Counter(each) for each in sent), Counter())
        return method, Outcome("probed", **total), refused

    # -- rows --------------------------------------------------------------------------

    async def answer(self, method, documents, questions, *, step):
        """Ask about rows until all are answered or a limit is reached.

        Parameters
        ----------
        method : Method
            How to ask.

        documents : dict
            Texts by key.

        questions : Questions
            What is still to be asked of a row.

        step : callable
            Called with an Outcome after each row.
        """
        self._method, self._documents = method, documents
        self._questions, self._step = questions, step
        self._queue, self._pending = deque(), []
        self._claims, self._left = [], Counter()
        self._feeding, self._committing = anyio.Lock(), anyio.Lock()
        terms, seconds = self.terms, self.terms.deadline
        self._end = None if seconds is None else time.monotonic() + seconds
        last = None if seconds is None else seconds + terms.timeout
        async with self._new_client() as self._client:
            try:
                with anyio.move_on_after(last) as scope:
                    await self._until_done(deque(documents))
            finally:
                with anyio.CancelScope(shield=True):
                    for claim in self._claims:
                        await to_thread.run_sync(self.store.release, claim)
        if scope.cancelled_caught:
            self.stopped = self.stopped or "deadline"

    async def _until_done(self, waiting):
        """Ask rows that can be claimed; wait for the others, or take them over."""
        pause = FIRST_PAUSE
        while waiting and self.stopped is None:
            self._waiting, self._contested = waiting, []
            n_before = len(waiting)
            async with anyio.create_task_group() as workers:
                for _ in range(min(self.terms.concurrency, n_before)):
                    workers.start_soon(self._work)
            needs = await to_thread.run_sync(self._questions.needs, self._contested)
            waiting = deque(key for key in self._contested if needs[key])
            await self._budget.give_back()  # who has those rows may need it
            if len(waiting) < n_before:
                pause = FIRST_PAUSE
            elif self.stopped is None:
                self._stop_when_late()
                await anyio.sleep(pause)
                pause = min(1.5 * pause, LONGEST_PAUSE)

    async def _work(self):
        while (row := await self._next()) is not None:
            key, orders, claim = row
            await self._ask_row(key, orders)
            await self._done_with(claim)

    async def _next(self):
        """Next row to ask about, claimed; None where there is none, or no more time."""
        self._stop_when_late()
        async with self._feeding:
            while self.stopped is None and not self._queue and self._waiting:
                size = _CLAIMED_AHEAD * self.terms.concurrency
                part = [self._waiting.popleft() for _ in range(size) if self._waiting]
                await self._claim(part)
            if self.stopped is not None or not self._queue:
                return None
            return self._queue.popleft()

    async def _claim(self, keys):
        claim = await to_thread.run_sync(self._questions.claim, keys)
        granted = set(claim.keys)
        self._claims.append(claim)
        self._left[claim.id] = len(claim.keys)
        self._contested += [key for key in keys if key not in granted]
        # Another process may have answered since these rows were looked up.
        needs = await to_thread.run_sync(self._questions.needs, claim.keys)
        for key in claim.keys:
            if needs[key]:
                self._queue.append((key, needs[key], claim))
            else:
                await self._done_with(claim)

    async def _done_with(self, claim):
        self._left[claim.id] -= 1
        if not self._left[claim.id]:
            self._claims.remove(claim)
            await to_thread.run_sync(self.store.release, claim)

    async def _ask_row(self, key, orders):
        """Put the questions of one row, until one has no usable answer."""
        for order in orders:
            outcome = await self._question(self._documents[key], order)
            if outcome is None:
                return
            with anyio.CancelScope(shield=True):  # it is paid for
                await self._commit((self._questions.fingerprints[order], key, outcome))
            if outcome.outcome != "answered":
                break
        self._step(outcome)

    async def _question(self, document, order):
        """Put one question; None where it was not put, or never will be answered."""
        terms, method, prompt = self.terms, self._method, self.prompt
        order = self._questions.orders[order]
        messages = method.messages(prompt, document, order)
        bound = method.bound(messages, terms.prices)
        async with self._held(method.n_requests, bound) as spend:
            if spend is None:
                return None
            options = method.options(prompt)
            replies = await ask_question(method, self._send, messages, options)
            if replies[-1].kind == "hopeless":
                return None
            outcome = outcome_of(
                method,
                replies,
                messages,
                prompt,
                order,
                prices=terms.prices,
                min_label_mass=terms.min_label_mass,
            )
            spend(outcome.calls, outcome.cost)
        self._breaker.note(outcome.outcome in ("failed", "rejected"))
        if self._breaker.is_open:
            self._stop("max_failures")
        return outcome

    async def _commit(self, entry):
        """Return when an entry is safe on disk, together with others that wait."""
        self._pending.append(entry)
        async with self._committing:
            if entry not in self._pending:  # the one before took it along
                return
            entries, self._pending = self._pending, []
            put = partial(self.store.put_outcomes, entries, hold=self.hold)
            await to_thread.run_sync(put)

    # -- limits ------------------------------------------------------------------------

    def _new_client(self):
        terms = self.terms
        return ChatClient(
            terms.model,
            base_url=terms.base_url,
            key_env=terms.key_env,
            timeout=terms.timeout,
            max_retries=terms.max_retries,
        )

    async def _send(self, messages, options):
        await self._pace.wait()
        reply = await self._client.ask(messages, options | self.terms.options)
        if reply.kind == "hopeless":
            self.error = reply.detail
            self._stop("error")
        return reply

    @asynccontextmanager
    async def _held(self, calls, cost):
        """Set money aside; yields a function to say what was spent, None for none."""
        reason = await self._budget.hold(calls, cost)
        if reason is not None:
            self._stop(reason)
            yield None
            return
        spent = [(0, 0.0)]
        try:
            yield lambda *values: spent.append(values)
        finally:
            with anyio.CancelScope(shield=True):
                await self._budget.settle(calls, cost, *spent[-1])

    def _stop(self, reason):
        self.stopped = self.stopped or reason

    def _stop_when_late(self):
        if self._end is not None and time.monotonic() > self._end:
            self._stop("deadline")
