"""One request to an OpenAI-compatible server, by the `openai` client.

What goes wrong comes back as a value, not as an exception: the client's exceptions hold
the request, and the request holds the key.
"""

import os

import openai

from skdistill.teachers._chat_reply import Reply, read_reply
from skdistill.teachers._chat_setup import check_key

#: Stands for the key where a server needs none: the client insists on one.
NO_KEY = "none"
#: Statuses that no repetition and no other document can change.
_HOPELESS = {
    401: "the key was refused",
    402: "payment is required",
    403: "access was refused",
    404: "the server does not know the model, or the URL is wrong",
    405: "the URL is wrong",
}
#: Header in which the client counts how often it sent a request again.
_RETRIES = "x-stainless-retry-count"


class ChatClient:
    """Asks one server, and is closed after a request for many rows.

    Parameters
    ----------
    model : str
        Name of the model.

    base_url : str or None
        Where the server is; None lets the client decide (OpenAI, or OPENAI_BASE_URL).

    key_env : str or None
        Environment variable that holds the key.

    timeout : float
        Seconds that one request may take.

    max_retries : int
        How often the client sends a request again.
    """

    def __init__(self, model, *, base_url, key_env, timeout, max_retries):
        check_key(key_env)
        self._model, self._key_env = model, key_env
        self._client = openai.AsyncOpenAI(
            api_key=_key(key_env),
            base_url=base_url,
            timeout=timeout,
            max_retries=max_retries,
        )
        if base_url is not None:  # what the environment says of OpenAI stays there
            self._client.organization = self._client.project = None
            self._client._custom_headers = {}

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        await self._client.close()

    async def ask(self, messages, options):
        """Send one request.

        Parameters
        ----------
        messages : list of dict
            What to say.

        options : dict
            Other parameters of a chat completion.

        Returns
        -------
        reply : Reply
        """
        try:
            # As they are: the client would walk through each message by its types,
            # which costs as much time as sending it.
            response = await self._client.chat.completions.with_raw_response.create(
                model=self._model,
                messages=[],
                extra_body={"messages": messages, **options},
            )
        except openai.APIStatusError as error:
            return self._refusal(error)
        except openai.APIConnectionError as error:  # time-outs are of this kind
            return Reply("failed", attempts=_attempts(error.request))
        return read_reply(response.content, attempts=response.retries_taken + 1)

    def _refusal(self, error):
        """What a status other than success means."""
        status, attempts = error.status_code, _attempts(error.response.request)
        code = getattr(error, "code", None)
        body = error.body if isinstance(error.body, dict) else {}
        said = str(body.get("message", error.message))
        if self._key_env is not None:
            said = said.replace(_key(self._key_env), "[key]")
        said = said[:500]
        if code == "insufficient_quota":  # comes as 429, but waiting does not help
            return Reply("hopeless", attempts=attempts, detail=f"{status}: {said}")
        if status in _HOPELESS:
            detail = f"{status}, {_HOPELESS[status]}: {said}"
            return Reply("hopeless", attempts=attempts, detail=detail)
        if status == 429 or status == 408 or status == 409 or status >= 500:
            return Reply("failed", attempts=attempts)
        kind = "refused" if code in ("content_filter", "moderation") else "rejected"
        return Reply(kind, attempts=attempts, detail=f"{status}: {said}")


def _key(variable):
    return NO_KEY if variable is None else os.environ.get(variable) or NO_KEY


def _attempts(request):
    return int(request.headers.get(_RETRIES, 0)) + 1
