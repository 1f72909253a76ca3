"""What came back from a chat server, taken apart without trust in its form."""

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Reply:
    """What came back from one request.

    Attributes
    ----------
    kind : {"ok", "malformed", "refused", "rejected", "failed", "hopeless"}
        Readable; answered, but not in the protocol; refused by a filter; refused as a
        request; not answered; never to be answered.

    choices : list of dict
        The choices of a readable reply.

    attempts : int
        Requests sent.

    prompt_tokens, completion_tokens : int or None
        As the server says.

    detail : str
        For "rejected" and "hopeless", what the server said, without the key.
    """

    kind: str
    choices: tuple = ()
    attempts: int = 1
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    detail: str = ""


def read_reply(content, attempts):
    """Take the body of a reply apart.

    Parameters
    ----------
    content : bytes
        What should be a chat completion in JSON.

    attempts : int
        Requests sent.

    Returns
    -------
    reply : Reply
    """
    try:
        data = json.loads(content)
        choices = tuple(
            choice for choice in data["choices"] if isinstance(choice["message"], dict)
        )
        usage = data.get("usage") or {}
        tokens = (usage.get("prompt_tokens"), usage.get("completion_tokens"))
    except (ValueError, TypeError, KeyError, AttributeError):
        return Reply("malformed", attempts=attempts)
    tokens = [n if isinstance(n, int) and n >= 0 else None for n in tokens]
    if not choices:
        return Reply("malformed", (), attempts, *tokens)
    if all(_is_refusal(choice) for choice in choices):
        return Reply("refused", choices, attempts, *tokens)
    return Reply("ok", choices, attempts, *tokens)


def _is_refusal(choice):
    return (
        bool(choice["message"].get("refusal"))
        or choice.get("finish_reason") == "content_filter"
    )


def text_of(choice):
    """Text of a choice; "" where there is none."""
    content = choice["message"].get("content")
    return content if isinstance(content, str) else ""


def alternatives_of(choice):
    """First token of a choice and its alternatives, with log-probabilities.

    Returns
    -------
    alternatives : list of (str, float)
        Empty where the server gave none.
    """
    try:
        first = choice["logprobs"]["content"][0]
        found = [first, *(first.get("top_logprobs") or [])]
        return [(str(each["token"]), float(each["logprob"])) for each in found]
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        return []
