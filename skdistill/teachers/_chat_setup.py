"""From the parameters of a ChatTeacher to what asking needs; nothing is sent here."""

import os
import re
import shutil
import tempfile
import weakref
from dataclasses import dataclass
from hashlib import blake2b
from numbers import Integral, Real
from urllib.parse import urlsplit

import numpy as np

from skdistill.teachers._chat_prompt import DEFAULT_INSTRUCTION, Prompt
from skdistill.teachers._chat_scoring import MOST_LETTERS
from skdistill.teachers._probes import identity
from skdistill.teachers._row_keys import encode
from skdistill.teachers._store import AnswerStore

#: Where the key is if nothing is said and the server is OpenAI's own.
DEFAULT_KEY_ENV = "OPENAI_API_KEY"

#: Parameters of a request that may hold a secret, or that the methods set.
_RESERVED = {
    "extra_body",
    "extra_headers",
    "logprobs",
    "messages",
    "model",
    "n",
    "stream",
    "top_logprobs",
}


@dataclass(frozen=True)
class Prices:
    """Prices of a million tokens.

    Attributes
    ----------
    prompt, completion : float
        In any currency.
    """

    prompt: float = 0.0
    completion: float = 0.0

    def cost(self, prompt_tokens, completion_tokens):
        """Cost of so many tokens."""
        return (
            prompt_tokens * self.prompt + completion_tokens * self.completion
        ) / 1_000_000


@dataclass(frozen=True)
class Terms:
    """Where and within which limits to ask; ChatTeacher describes each part."""

    model: str
    base_url: str | None
    key_env: str | None
    options: dict
    timeout: float
    max_retries: int
    concurrency: int
    requests_per_minute: float | None
    deadline: float | None
    max_failures: int
    max_calls: float
    max_cost: float
    prices: object
    min_label_mass: float


# -- what is asked ---------------------------------------------------------------------


def read_classes(classes):
    """Labels and descriptions, as given.

    Parameters
    ----------
    classes : list of labels, or dict of label to description
        At least two distinct labels, all strings or all integers.

    Returns
    -------
    labels : list of str or of int

    descriptions : tuple of str
        Empty where there is none.
    """
    labels = list(classes) if isinstance(classes, dict | list | tuple) else None
    if isinstance(classes, np.ndarray):
        labels = classes.tolist()
    if labels is None or not (_all(labels, str) or _all(labels, Integral)):
        raise TypeError(
            "classes must be a list of labels, or a dict of label to description, with "
            f"labels that are all strings or all integers, got {classes!r}."
        )
    if len(labels) < 2 or len(set(labels)) < len(labels):
        raise ValueError(
            f"classes must hold at least two distinct labels, got {classes!r}."
        )
    descriptions = [""] * len(labels)
    if isinstance(classes, dict):
        descriptions = ["" if text is None else text for text in classes.values()]
        if not _all(descriptions, str):
            raise TypeError(
                "classes must describe labels by strings or None, got "
                f"{classes!r}. Pass a list of labels where there is nothing to say."
            )
    return labels, tuple(descriptions)


def _all(values, kind):
    return all(isinstance(value, kind) for value in values)


def read_prices(prices):
    """Prices of a million tokens; free where they are not given."""
    if prices is None:
        return Prices()
    if len(prices) != 2 or not all(
        isinstance(price, Real) and 0 <= price < np.inf for price in prices
    ):
        raise ValueError(
            "prices must be two numbers of at least 0, for a million tokens of prompt "
            f"and of reply, got {prices!r}."
        )
    return Prices(*map(float, prices))


def check_limits(max_cost, prices):
    """Raise where money is limited and nothing has a price."""
    if max_cost is not None and prices is None:
        raise ValueError(
            f"prices must be given where max_cost is, got max_cost={max_cost!r} and "
            "prices=None. Pass the prices of a million tokens of prompt and of reply."
        )


def check_method(method, codes, labels):
    """Raise where a reply could not tell the labels apart.

    Parameters
    ----------
    method, codes : str
        As ChatTeacher takes them.

    labels : list of str or int
        As given.
    """
    n_labels = len(labels)
    folded = {str(label).strip().casefold() for label in labels}
    if len(folded) < n_labels:
        raise ValueError(
            "classes must differ in more than capitals and spaces, which replies take "
            f"no care of, got {labels!r}. Rename some."
        )
    if method == "logprobs" and codes == "letters" and n_labels > MOST_LETTERS:
        raise ValueError(
            f"method must not be 'logprobs' with more than {MOST_LETTERS} labels, got "
            f"{n_labels}: there are no more codes of one token. Use 'auto', "
            "codes='labels', or two steps, group first."
        )


def check_options(options):
    """Raise where the options of a request are not the user's to set."""
    reserved = sorted(_RESERVED & set(options or ()))
    if reserved:
        raise ValueError(
            f"request_options must not hold {sorted(_RESERVED)!r}, got {reserved!r}. "
            "The class has parameters for what it sets; a key belongs into the "
            "environment."
        )


# -- who is asked ----------------------------------------------------------------------


class Identity:
    """Under which names the answers of one teacher are stored.

    Parameters
    ----------
    teacher : ChatTeacher
        Its parameters are read now.

    prompt : Prompt
        All of its questions but the documents.

    labels : list
        Labels as given.
    """

    def __init__(self, teacher, prompt, labels):
        self._labels = labels
        self._content = [
            teacher.model,
            teacher.key,
            prompt.template,
            teacher.request_options or {},
            teacher.max_tokens,
        ]
        self._n_samples = teacher.n_samples
        self._server = [teacher.base_url, teacher.method, teacher.n_samples]

    def of_order(self, method, order):
        """Fingerprint of questions asked by one method in one order of the options."""
        return self._named("order", method, list(order))

    def of_rows(self, method):
        """Name under which rows are claimed."""
        return self._named("rows", method)

    @property
    def of_probe(self):
        """Fingerprint of the questions about the server."""
        return identity("chat", self._labels, [*self._content, "probe"])

    @property
    def note(self):
        """Name of the note on what the server takes: another one is asked anew."""
        content = encode([self.of_probe, *self._server])
        return blake2b(content, digest_size=16).digest()

    def _named(self, kind, method, *more):
        n_samples = self._n_samples if method == "samples" else 1
        content = [*self._content, kind, method, n_samples, *more]
        return identity("chat", self._labels, content)


def make_prompt(labels, descriptions, instruction, codes):
    """All of the questions but the documents."""
    if instruction is None:
        instruction = DEFAULT_INSTRUCTION
    names = tuple(map(str, labels))
    return Prompt(instruction, names, descriptions, are_names=codes == "labels")


#: Temporary stores of this process, by path.
_TEMPORARY = weakref.WeakValueDictionary()


def temporary_store(lent=None):
    """Store in a temporary file that goes with the object.

    Parameters
    ----------
    lent : str, default=None
        Path of the temporary store of another object, maybe in another process: it is
        used as long as it is there.

    Returns
    -------
    store : AnswerStore
    """
    if lent in _TEMPORARY:
        return _TEMPORARY[lent]
    if lent is not None and os.path.isdir(os.path.dirname(lent)):
        return AnswerStore(lent)
    folder = tempfile.mkdtemp(prefix="skdistill-")
    store = AnswerStore(os.path.join(folder, "answers.db"))
    weakref.finalize(store, _discard, store._database, folder, os.getpid())
    _TEMPORARY[store.path] = store
    return store


def _discard(database, folder, pid):
    if os.getpid() == pid:  # a fork has a copy of the object, but not of the file
        database.close()
        shutil.rmtree(folder, ignore_errors=True)


# -- where the server is ---------------------------------------------------------------


def check_address(base_url):
    """Raise where the URL is none, or shows a secret.

    Parameters
    ----------
    base_url : str or None
        As ChatTeacher takes it.

    Raises
    ------
    ValueError
        If it is no URL of a server, or holds a password or a query.
    """
    if base_url is None:
        return
    parts = urlsplit(base_url)
    if parts.username or parts.password or parts.query:
        raise ValueError(  # and does not show it
            "base_url must be free of user names, passwords and queries. Put the key "
            "into an environment variable and name that as api_key_env=."
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(
            f"base_url must begin with http:// or https://, got {base_url!r}. Most "
            "servers want it to end in /v1."
        )


def key_variable(base_url, key_env):
    """Name of the variable that holds the key; None where no key is sent.

    OpenAI's own variable is for OpenAI: another server gets a key only where the user
    names the variable.
    """
    return DEFAULT_KEY_ENV if key_env is None and base_url is None else key_env


def check_key(variable):
    """Raise where a key is needed and there is none, or none that can be sent."""
    if variable is None:
        return
    key = os.environ.get(variable, "")
    if key and not re.fullmatch("[!-~]+", key):
        raise ValueError(  # and does not show it
            f"The environment variable {variable!r} must hold a key of plain letters, "
            "digits and marks, got a space, a line break or another character that no "
            "request can carry. Set it again without."
        )
    if not key:
        raise ValueError(
            f"The environment variable {variable!r} must hold the key, got nothing. "
            "Set it outside the program, or name another one as api_key_env=; a local "
            "server, given as base_url=, needs none."
        )
