"""How a server is asked: log-probabilities, else several replies, else one verdict."""

import re
from dataclasses import asdict, dataclass, replace

import numpy as np

from skdistill.teachers._chat_prompt import count_bytes
from skdistill.teachers._chat_reply import alternatives_of, text_of
from skdistill.teachers._chat_scoring import (
    MOST_LETTERS,
    code_in_text,
    code_in_verdict,
    score_token,
)
from skdistill.teachers._outcomes import Outcome

#: Names of the methods, the best first.
METHODS = ("logprobs", "samples", "verdict")
#: Alternatives to ask for, and what servers are content with that allow fewer.
_MOST_ALTERNATIVES, _FEW_ALTERNATIVES = 20, 5
#: Most tokens of a reply.
_REPLY_TOKENS = {"logprobs": 1, "samples": 32, "verdict": 64}
#: Options that a question can do without; tried where the server names one in refusing.
_DISPENSABLE = ("response_format", "temperature", "n")
#: Requests that finding out what a server takes may need.
_MOST_TRIES = 6
#: Tokens that a chat template adds at most, by and large.
_TEMPLATE_TOKENS = 64
#: Bytes of a token, where a server does not say how many it read.
BYTES_PER_TOKEN = 4


@dataclass(frozen=True)
class Method:
    """One way of asking, with what the server was found to take.

    Attributes
    ----------
    name : {"logprobs", "samples", "verdict"}
        Which way.

    n_samples : int
        Replies to one question.

    max_tokens : int
        Most tokens of a reply.

    n_alternatives : int
        Alternatives asked for.

    is_batched : bool
        Whether one request brings all replies.

    dropped : tuple of str
        Options that the server refuses.
    """

    name: str
    n_samples: int = 1
    max_tokens: int = 1
    n_alternatives: int = _MOST_ALTERNATIVES
    is_batched: bool = True
    dropped: tuple = ()

    @property
    def n_requests(self):
        """Requests that one question takes."""
        return 1 if self.is_batched else self.n_samples

    def options(self, prompt):
        """Parameters of a request."""
        limit = "max_tokens"
        if limit in self.dropped:  # what reasoning models call it
            limit = "max_completion_tokens"
        options = {limit: self.max_tokens}
        if self.name == "logprobs":
            options |= {"logprobs": True, "top_logprobs": self.n_alternatives}
        if self.name == "samples" and self.is_batched and self.n_samples > 1:
            options["n"] = self.n_samples
        if self.name == "samples":
            options["temperature"] = 1.0
        if self.name == "verdict":
            options |= {"temperature": 0.0, "response_format": prompt.schema()}
        return {k: v for k, v in options.items() if k not in self.dropped}

    def bound(self, messages, prices):
        """Cost of one question that is never exceeded: a token is a byte or more."""
        prompt_tokens = count_bytes(messages) + _TEMPLATE_TOKENS
        replies = self.n_samples * self.max_tokens
        return prices.cost(prompt_tokens * self.n_requests, replies)

    def messages(self, prompt, document, order):
        """Messages of one question."""
        return prompt.messages(document, order, as_json=self.name == "verdict")

    def to_json(self):
        """All of it, as JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_json(cls, data):
        """Method of which `to_json` gave the parts."""
        return cls(**{**data, "dropped": tuple(data["dropped"])})


def new_method(name, n_samples, max_tokens):
    """Method as it is first tried."""
    return Method(
        name,
        n_samples=n_samples if name == "samples" else 1,
        max_tokens=_REPLY_TOKENS[name] if max_tokens is None else max_tokens,
    )


# -- one question ----------------------------------------------------------------------


async def ask_question(method, send, messages, options):
    """Put one question, in as many requests as it takes; a bad reply ends it.

    Parameters
    ----------
    method : Method
        How.

    send : callable
        Takes messages and options, returns a Reply, is awaited.

    messages : list of dict
        What to say.

    options : dict
        Parameters of the requests.

    Returns
    -------
    replies : list of Reply
    """
    replies = []
    for _ in range(method.n_requests):
        replies.append(await send(messages, options))
        if replies[-1].kind != "ok":
            break
    return replies


def judge(method, replies, prompt, order, *, min_label_mass):
    """Read the answer off the replies to one question.

    Returns
    -------
    outcome : str
        "answered", or what stands in the way.

    answer : ndarray of shape (n_labels,) or None
        Weights in the order of the labels: masses of their codes, or shares of replies.

    label_mass, missing_mass : float
        Probability of the labels, and of what the replies do not show.
    """
    bad = {"malformed": "unusable"}
    if replies[-1].kind != "ok":
        kind = replies[-1].kind
        return bad.get(kind, kind), None, np.nan, np.nan
    choices = [choice for reply in replies for choice in reply.choices]
    if method.name == "logprobs":
        alternatives = alternatives_of(choices[0])
        masses, label_mass, missing_mass = score_token(
            alternatives, prompt.codes(order), are_names=prompt.are_names
        )
    else:
        masses, label_mass = _count(method, choices, prompt, order)
        missing_mass = 1.0 - label_mass
    # "not >=", so that nothing at all is never enough
    if not label_mass >= max(min_label_mass, np.finfo(float).tiny):
        return "unusable", None, label_mass, missing_mass
    answer = np.empty(len(order))
    answer[list(order)] = masses  # from places to labels
    return "answered", answer, label_mass, missing_mass


def _count(method, choices, prompt, order):
    """Shares of usable replies by place, and the share of usable ones."""
    find = code_in_verdict if method.name == "verdict" else code_in_text
    codes, names = prompt.codes(order), prompt.names(order)
    places = [
        None
        if choice["message"].get("refusal")
        else find(text_of(choice), codes, names)
        for choice in choices[: method.n_samples]
    ]
    usable = [place for place in places if place is not None]
    counts = np.bincount(usable, minlength=len(order)).astype(float)
    return counts / max(len(usable), 1), len(usable) / method.n_samples


def tally(method, replies, messages, prices):
    """What a question came to: attempts, calls, tokens and cost.

    Where a server that answered does not count, four bytes are taken for a token.
    """
    guess = count_bytes(messages) // BYTES_PER_TOKEN + 1
    prompt_tokens = completion_tokens = 0
    for reply in replies:
        has_answered = reply.kind in ("ok", "malformed", "refused")
        if reply.prompt_tokens is not None:
            prompt_tokens += reply.prompt_tokens
        elif has_answered:
            prompt_tokens += guess
        if reply.completion_tokens is not None:
            completion_tokens += reply.completion_tokens
        elif has_answered:
            completion_tokens += method.max_tokens * max(len(reply.choices), 1)
    return {
        "attempts": sum(reply.attempts for reply in replies),
        "calls": len(replies),
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "cost": prices.cost(prompt_tokens, completion_tokens),
    }


# -- what a server takes ---------------------------------------------------------------


async def find_method(wanted, send, prompt, *, n_samples, max_tokens, min_label_mass):
    """Find the best method that a server takes, by asking about a made-up document.

    Parameters
    ----------
    wanted : {"auto", "logprobs", "samples", "verdict"}
        Which to try.

    send : callable
        Takes a Method and messages, returns a Reply, is awaited.

    prompt : Prompt
        All of the question but the document.

    n_samples : int
        Replies to one question of the method "samples".

    max_tokens : int or None
        Most tokens of a reply.

    min_label_mass : float
        Least probability that the labels must have.

    Returns
    -------
    method : Method or None
        None where none works.

    refused : str
        What the server said last in refusing a request.
    """
    order = tuple(range(len(prompt.labels)))
    document = prompt.descriptions[0] or prompt.labels[0]
    names, refused = METHODS if wanted == "auto" else (wanted,), ""
    if wanted == "auto" and not prompt.are_names and len(order) > MOST_LETTERS:
        names = METHODS[1:]
    for name in names:
        method = new_method(name, n_samples, max_tokens)
        method, reply = await _negotiate(method, send, prompt, document, order)
        refused = reply.detail or refused
        if reply.kind in ("failed", "hopeless"):
            break
        if method is None or reply.kind != "ok":
            continue
        replies = [reply]
        if len(reply.choices) < method.n_samples:  # the server ignores "n"
            method = replace(method, is_batched=False)
            messages = method.messages(prompt, document, order)
            for _ in range(method.n_samples - 1):
                replies.append(await send(method, messages))
        outcome, *_ = judge(
            method, replies, prompt, order, min_label_mass=min_label_mass
        )
        if outcome == "answered":
            return method, refused
    return None, refused


async def _negotiate(method, send, prompt, document, order):
    """Ask until the server takes the request, without what it refuses.

    Returns
    -------
    method : Method or None
        None where nothing is left to do without.

    reply : Reply
        The last one.
    """
    for _ in range(_MOST_TRIES):
        reply = await send(method, method.messages(prompt, document, order))
        if reply.kind != "rejected":
            break
        method = _simpler(method, method.options(prompt), reply.detail)
        if method is None:
            break
    return method, reply


def _simpler(method, options, refused):
    """Method without the option that the server names in refusing; None if that fails.

    The names are looked for where the server mentions them: there is no standard.
    """
    if "top_logprobs" in refused and method.n_alternatives > _FEW_ALTERNATIVES:
        return replace(method, n_alternatives=_FEW_ALTERNATIVES)
    if "max_completion_tokens" in refused and "max_tokens" in options:
        return replace(method, dropped=(*method.dropped, "max_tokens"))
    words = re.findall(r"[A-Za-z_]+", refused)
    for name in _DISPENSABLE:
        if name in options and name in words:
            is_batched = method.is_batched and name != "n"
            dropped = (*method.dropped, name)
            return replace(method, dropped=dropped, is_batched=is_batched)
    return None


def outcome_of(method, replies, messages, prompt, order, *, prices, min_label_mass):
    """Outcome of one question, with what it cost."""
    kind, answer, label_mass, missing_mass = judge(
        method, replies, prompt, order, min_label_mass=min_label_mass
    )
    return Outcome(
        kind,
        answer,
        label_mass=label_mass,
        missing_mass=missing_mass,
        **tally(method, replies, messages, prices),
    )
