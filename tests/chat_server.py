"""A loopback server of the chat-completions protocol, with faults and a log.

It answers as a language model might that sorts documents into labels: the log-odds of
each label come from a hash of the document, plus a bias for the place of the option.
``python chat_server.py LOG SECONDS FAULTS`` runs one as a process of its own, prints
its URL and serves until it is killed; FAULTS is the share of requests that fail once.
"""

import asyncio
import json
import math
import re
import sys
import threading
from dataclasses import dataclass, field
from hashlib import blake2b

#: Faults after which a client that asks again gets an answer.
PASSING = ("429", "500", "cut", "cut_body")
_STATUS = {
    "400": (400, {"message": "this request makes no sense"}),
    "400_filter": (400, {"message": "filtered", "code": "content_filter"}),
    "400_logprobs": (400, {"message": "'logprobs' is not supported with this model"}),
    "401": (401, {"message": "bad key"}),
    "404": (404, {"message": "no such model"}),
    "429": (429, {"message": "too fast"}),
    "quota": (429, {"message": "pay first", "code": "insufficient_quota"}),
    "500": (500, {"message": "the server is confused"}),
}


@dataclass
class Question:
    """One request, read."""

    body: dict
    attempt: int
    authorization: str
    head: str
    document: str = ""
    options: dict = field(default_factory=dict)

    def __post_init__(self):
        text = self.body["messages"][-1]["content"]
        fence = re.search(r"^\[([0-9a-f]{16})\]$", text, re.MULTILINE)[0]
        self.document = text.split(f"{fence}\n")[1].removesuffix("\n")
        listed = text.split("Labels:\n")[1].split("\n\nDocument:")[0]
        self.options = {}
        for line in listed.splitlines():
            coded = re.match(r"([A-Z]|\d+): (.*)", line)
            code, name = coded.groups() if coded else (line.split(" (")[0], line)
            self.options[code] = name


def uniform(*parts):
    """A number in [0, 1) that depends on nothing but the parts."""
    data = json.dumps(parts).encode()
    return int.from_bytes(blake2b(data, digest_size=7).digest()) / 2**56


def model(document, names, bias=0.0):
    """Probabilities of the options by place."""
    scores = [
        math.log(uniform(document, name.split(" (")[0]) + 1e-3) + bias * place
        for place, name in enumerate(names)
    ]
    total = sum(map(math.exp, scores))
    return [math.exp(score) / total for score in scores]


class ChatServer:
    """Server in a thread; use it as a context manager.

    Parameters
    ----------
    behave : callable, default=None
        Takes a Question, returns the name of a behaviour: "answer" or one of those in
        `_reply` and `_STATUS`.

    delay : float, default=0.0
        Seconds that a reply takes.

    bias : float, default=0.0
        Log-odds that each place has over the one before it.

    mass : float, default=0.9
        Probability of the codes together.

    log : str, default=None
        File to which each request served is appended.
    """

    def __init__(self, behave=None, *, delay=0.0, bias=0.0, mass=0.9, log=None):
        self.behave, self.delay, self.bias, self.mass = behave, delay, bias, mass
        self.served, self.n_open, self.most_open = [], 0, 0
        self._attempts, self._log = {}, None if log is None else open(log, "a")
        self._started = threading.Event()

    def __enter__(self):
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *error):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        if self._log is not None:
            self._log.close()

    def paid(self):
        """Documents of which an answer was sent in full, probes apart."""
        return [q.document for q, behaviour in self.served if behaviour not in _UNPAID]

    async def _serve(self):
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/v1"
        self._tasks = set()
        self._started.set()
        await self._stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connection(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        try:
            while await self._request(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone
        finally:
            self._tasks.discard(asyncio.current_task())
            writer.close()

    async def _request(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(
            line.lower().split(": ", 1) for line in head.splitlines()[1:] if line
        )
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        authorization = re.search(r"(?i)authorization: (.*)\r", head)[1]
        question = Question(body, 0, authorization, head)
        identity = json.dumps([question.document, question.options])
        question.attempt = self._attempts[identity] = (
            self._attempts.get(identity, -1) + 1
        )
        behaviour = self.behave(question) if self.behave else "answer"
        self.n_open += 1
        self.most_open = max(self.most_open, self.n_open)
        try:
            return await self._respond(writer, question, behaviour)
        finally:
            self.n_open -= 1

    async def _respond(self, writer, question, behaviour):
        if behaviour == "cut":
            self._note(question, behaviour)
            return False
        await asyncio.sleep(3600 if behaviour == "hang" else self.delay)
        status, data = _STATUS.get(behaviour, (200, None))
        if behaviour == "echo_key":
            status, data = 401, {"message": f"bad key {question.authorization}"}
        text = json.dumps(
            {"error": data} if data else self._reply(question, behaviour)
        ).encode()
        if behaviour == "malformed":
            text = text[: len(text) // 2]
        length = len(text) + (100 if behaviour == "cut_body" else 0)
        extra = "Retry-After: 0.02\r\n" if behaviour == "429" else ""
        self._note(question, behaviour)
        writer.write(
            f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n"
            f"Content-Length: {length}\r\n{extra}\r\n".encode()
            + text
        )
        await writer.drain()
        return behaviour != "cut_body"

    def _note(self, question, behaviour):
        self.served.append((question, behaviour))
        if self._log is not None:
            self._log.write(json.dumps([question.document, behaviour]) + "\n")
            self._log.flush()

    # -- replies -----------------------------------------------------------------------

    def _reply(self, question, behaviour):
        body, codes = question.body, list(question.options)
        P = model(question.document, question.options.values(), self.bias)
        n = 1 if behaviour == "ignore_n" else body.get("n", 1)
        choices = [
            self._choice(question, behaviour, codes, P, number) for number in range(n)
        ]
        reply = {"object": "chat.completion", "choices": choices, "usage": None}
        if behaviour == "no_choices":
            reply["choices"] = []
        if behaviour != "no_usage":
            prompt = sum(len(m["content"]) for m in body["messages"]) // 4
            reply["usage"] = {"prompt_tokens": prompt, "completion_tokens": n}
        return reply

    def _choice(self, question, behaviour, codes, P, number):
        draw = uniform(question.document, codes, number, question.attempt)
        place = next((k for k in range(len(P)) if draw < sum(P[: k + 1])), len(P) - 1)
        if question.body.get("logprobs"):
            place = P.index(max(P))
        code = codes[place]
        text = {
            "chatter": f"Sure! Let me see.\n\nThe answer is {code}.",
            "mumble": "It depends on how you look at it.",
            "label": [*question.options.values()][place].split(" (")[0],
            "refusal": None,
        }.get(behaviour, code)
        if "response_format" in question.body and behaviour != "mumble":
            text = json.dumps({"answer": code})
        message = {"role": "assistant", "content": text}
        if behaviour == "refusal":
            message["refusal"] = "I'm sorry, I cannot judge that."
        finish = "content_filter" if behaviour == "filter" else "stop"
        choice = {"index": number, "message": message, "finish_reason": finish}
        if question.body.get("logprobs") and behaviour not in _NO_LOGPROBS:
            choice["logprobs"] = self._logprobs(question, behaviour, codes, P)
        return choice

    def _logprobs(self, question, behaviour, codes, P):
        mass = self.mass
        top = {}
        for code, p in zip(codes, P, strict=True):  # in several forms
            top[code], top[f" {code[:3]}"] = 0.7 * p * mass, 0.2 * p * mass
            top[code.swapcase()] = 0.1 * p * mass
        top["The"], top["**"] = 0.6 * (1 - mass), 0.3 * (1 - mass)
        if behaviour in ("chatter", "mumble"):
            top = {"Sure": 0.9, "The": 0.08, "A": 0.01}
        if behaviour == "null_logprobs":
            return {"content": None}
        ranked = sorted(top.items(), key=lambda item: -item[1])
        kept = 1 if behaviour == "partial" else question.body["top_logprobs"]
        alternatives = [
            {"token": token, "logprob": math.log(p)} for token, p in ranked[:kept]
        ]
        return {"content": [{**alternatives[0], "top_logprobs": alternatives}]}


_NO_LOGPROBS = ("no_logprobs", "ignore_n", "label")
_UNPAID = (*_STATUS, "cut", "cut_body", "hang", "echo_key")


def flaky(share):
    """Behaviour of a server that fails each question once with some probability."""

    def behave(question):
        draw = uniform("fault", question.document, [*question.options.values()])
        if question.attempt == 0 and draw < share:
            return PASSING[int(draw / share * len(PASSING))]
        return "answer"

    return behave


if __name__ == "__main__":
    log, seconds, faults = sys.argv[1:]
    with ChatServer(flaky(float(faults)), delay=float(seconds), log=log) as server:
        print(server.url, flush=True)
        threading.Event().wait()
