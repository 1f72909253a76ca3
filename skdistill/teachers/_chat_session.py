"""A ChatTeacher at work: what is known, what is asked, what it comes to."""

import json
import math
from collections import Counter
from contextlib import contextmanager

from tqdm.auto import tqdm

from skdistill.teachers._chat_estimate import estimate_run
from skdistill.teachers._chat_methods import METHODS, Method
from skdistill.teachers._chat_questions import Questions
from skdistill.teachers._chat_scoring import option_orders
from skdistill.teachers._chat_setup import (
    Identity,
    Terms,
    check_address,
    check_limits,
    check_method,
    check_options,
    key_variable,
    make_prompt,
    read_classes,
    read_prices,
)
from skdistill.teachers._holds import Hold

#: Under this name finding out what a server takes is claimed.
_PROBING = "probing a chat server"
#: Stands for a method where the budget forbade to look for one.
_NO_METHOD = b"null"


class ChatSession:
    """One request to a ChatTeacher, with its parameters as they are now.

    Parameters
    ----------
    teacher : ChatTeacher
        Its parameters are read.

    store : AnswerStore
        Where the answers are.

    Attributes
    ----------
    labels : list
        Labels in the order given.

    stopped : str or None
        Name of the limit that ended the request before its time.
    """

    def __init__(self, teacher, store):
        check_limits(teacher.max_cost, teacher.prices)
        check_options(teacher.request_options)
        check_address(teacher.base_url)
        self.teacher, self.store, self.stopped = teacher, store, None
        self.labels, descriptions = read_classes(teacher.classes)
        check_method(teacher.method, teacher.codes, self.labels)
        self._prompt = make_prompt(
            self.labels, descriptions, teacher.instruction, teacher.codes
        )
        self._orders = option_orders(len(self.labels), teacher.n_orders)
        self._identity = Identity(teacher, self._prompt, self.labels)
        self._terms = _terms(teacher)

    # -- what is known -----------------------------------------------------------------

    def known_method(self):
        """Method that the server is known to take; None before it was asked."""
        note = self.store.get_note(self._identity.note)
        return None if note is None else Method.from_json(json.loads(note))

    def account(self):
        """What the store says of this teacher."""
        return self.store.inspect(self._names())

    def _names(self):
        """Identities of its questions, by all methods; first those about the server."""
        names = [
            self._identity.of_order(method, order)
            for method in METHODS
            for order in self._orders
        ]
        return [self._identity.of_probe, *names]

    def estimate(self, documents):
        """What a request for some texts would take."""
        teacher, method = self.teacher, self.known_method()
        needs = dict.fromkeys(documents, range(teacher.n_orders))
        if method is not None:
            needs = self._questions(method).needs(list(documents))
        asked = [(documents[key], orders) for key, orders in needs.items() if orders]
        return {"rows_known": len(documents) - len(asked)} | estimate_run(
            self._terms,
            self._prompt,
            method,
            asked,
            wanted=teacher.method,
            n_samples=teacher.n_samples,
            max_tokens=teacher.max_tokens,
            account=self.account(),
        )

    def _questions(self, method):
        return Questions(
            self.store,
            self._orders,
            [self._identity.of_order(method.name, order) for order in self._orders],
            self._identity.of_rows(method.name),
            self.teacher.retry_failures,
        )

    # -- what is asked -----------------------------------------------------------------

    def answer(self, documents, keys):
        """Ask about the texts that the store does not know, and read all answers.

        Parameters
        ----------
        documents : dict of bytes to str
            Distinct texts by key.

        keys : list of bytes of length n_samples
            Keys of the rows.

        Returns
        -------
        answers : Answers
        """
        teacher = self.teacher
        method = self.known_method() or self._find_method()
        if method is None:  # no money to find out
            return self._questions(Method("none")).read(keys)
        questions = self._questions(method)
        needs = questions.needs(list(documents))
        asked = {key: documents[key] for key, orders in needs.items() if orders}
        if asked:
            self._run(method, questions, asked)
        return questions.read(
            keys,
            n_samples=None if method.name == "logprobs" else method.n_samples,
            smoothing=teacher.smoothing,
            average=teacher.average,
        )

    def _find_method(self):
        """Find out what the server takes, once for all; None without money."""
        name = self._identity.note
        note = self.store.once(
            _PROBING, name, find=lambda: self.store.get_note(name), make=self._probe
        )
        return None if note == _NO_METHOD else Method.from_json(json.loads(note))

    def _probe(self):
        """Ask the server, and note what it takes."""
        teacher, name = self.teacher, self._identity.note
        with self._new_run() as (engine, run):
            method, outcome, refused = engine.run_blocking(
                lambda: run.probe(
                    teacher.method,
                    n_samples=teacher.n_samples,
                    max_tokens=teacher.max_tokens,
                )
            )
            if outcome.calls:
                entry = self._identity.of_probe, name, outcome
                self.store.put_outcomes([entry], hold=run.hold)
        if method is None and run.stopped in ("max_calls", "max_cost"):
            return _NO_METHOD
        if method is None:
            raise _probe_error(teacher, run, refused)
        note = json.dumps(method.to_json()).encode()
        self.store.put_note(name, note)
        return note

    def _run(self, method, questions, documents):
        """Ask about rows until all are answered or a limit is reached."""
        counts, cost = Counter(), 0.0
        bar = tqdm(
            total=len(documents),
            desc=self._terms.model,
            disable=not self.teacher.verbose,
        )
        with bar, self._new_run() as (engine, run):

            def step(outcome):
                nonlocal cost
                counts[outcome.outcome] += 1
                cost += outcome.cost
                bar.set_postfix(dict(counts), cost=f"{cost:.4g}", refresh=False)
                bar.update()

            engine.run_blocking(
                lambda: run.answer(method, documents, questions, step=step)
            )
        if run.error is not None:
            raise _server_error(run.error)

    @contextmanager
    def _new_run(self):
        """A run and its module, with what it sets aside; the rest is freed after it."""
        engine, terms = _engine(), self._terms
        hold = Hold(self.store, self._names(), terms.max_calls, terms.max_cost)
        run = engine.ChatRun(terms, self._prompt, self.store, hold)
        try:
            yield engine, run
        finally:
            hold.release()
            self.stopped = run.stopped


def describe_missing(answers, session):
    """Say how many rows have no answer, and why; None where all have one."""
    missing = Counter(answers.outcomes)
    n_rows, n_answered = missing.total(), missing.pop("answered", 0)
    if not missing:
        return None
    kinds = ", ".join(f"{name}: {n}" for name, n in sorted(missing.items()))
    text = (
        f"{n_rows - n_answered} of {n_rows} rows have no usable answer from "
        f"{session.teacher.model!r} ({kinds}): their probabilities are NaN."
    )
    if session.stopped is not None:
        return f"{text} {session.stopped} ended the run; what was answered is stored."
    return f"{text} They are stored as such; retry_failures says which to ask again."


def _terms(teacher):
    return Terms(
        model=teacher.model,
        base_url=teacher.base_url,
        key_env=key_variable(teacher.base_url, teacher.api_key_env),
        options=teacher.request_options or {},
        timeout=teacher.timeout,
        max_retries=teacher.max_retries,
        concurrency=teacher.concurrency,
        requests_per_minute=teacher.requests_per_minute,
        deadline=teacher.deadline,
        max_failures=teacher.max_failures,
        max_calls=math.inf if teacher.max_calls is None else teacher.max_calls,
        max_cost=math.inf if teacher.max_cost is None else teacher.max_cost,
        prices=read_prices(teacher.prices),
        min_label_mass=teacher.min_label_mass,
    )


def _engine():
    """Module that asks; it needs the client, which is imported when it is used."""
    try:
        from skdistill.teachers import _chat_run
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "ChatTeacher needs the openai client, which is not installed. Install it "
            "with: pip install 'skdistill[llm]'."
        ) from error
    return _chat_run


def _probe_error(teacher, run, refused):
    """Error of a server that cannot be used."""
    if run.error is not None:
        return _server_error(run.error)
    said = f" It refused a request: {refused}." if refused else ""
    return ConnectionError(
        f"The server must answer {teacher.model!r} with method={teacher.method!r}, got "
        f"no usable reply.{said} Check that it runs at base_url="
        f"{teacher.base_url!r}, or try another method."
    )


def _server_error(detail):
    """Error of a server that refuses for good."""
    kind = ConnectionError if detail.startswith("40") else PermissionError
    kind = PermissionError if detail.startswith(("401", "402", "403")) else kind
    return kind(
        f"The server must take the requests, got {detail}. Check model=, base_url= and "
        "the key in the environment; what was answered before is stored."
    )
