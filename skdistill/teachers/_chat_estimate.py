"""What a run would take, by counting; nothing is sent."""

from skdistill.teachers._chat_methods import BYTES_PER_TOKEN, new_method
from skdistill.teachers._chat_prompt import count_bytes

#: Calls in the store after which their mean says what the next one takes.
_ENOUGH_CALLS = 20


def estimate_run(
    terms, prompt, method, asked, *, wanted, n_samples, max_tokens, account
):
    """Estimate calls, tokens, cost and time of a run.

    Parameters
    ----------
    terms : Terms
        Prices and pace.

    prompt : Prompt
        All of the questions but the documents.

    method : Method or None
        How the server is asked; None where that is not known yet.

    asked : list of (str, sequence)
        Documents, and the orders in which each is to be asked about.

    wanted : str
        Method that the user wants, taken to be the first one for "auto".

    n_samples, max_tokens : int, int or None
        Parameters of a method that is not known yet.

    account : dict
        What the store says of earlier calls.

    Returns
    -------
    estimate : dict
        ``method``, ``rows``, ``calls``, ``prompt_tokens``, ``completion_tokens``,
        ``cost`` and ``seconds`` (0.0 without a limit of the pace).
    """
    n_probes = int(method is None)
    if method is None:
        name = "logprobs" if wanted == "auto" else wanted
        method = new_method(name, n_samples, max_tokens)
    first = tuple(range(len(prompt.labels)))
    n_questions = sum(len(orders) for _, orders in asked)
    calls = n_questions * method.n_requests + n_probes
    if account["calls"] >= _ENOUGH_CALLS:
        prompt_tokens = calls * account["prompt_tokens"] / account["calls"]
        completion_tokens = calls * account["completion_tokens"] / account["calls"]
    else:
        frame = count_bytes(method.messages(prompt, "", first))
        text = sum(len(document.encode()) * len(orders) for document, orders in asked)
        bytes_read = calls * frame + text * method.n_requests
        prompt_tokens = bytes_read / BYTES_PER_TOKEN
        completion_tokens = (n_questions + n_probes) * method.n_samples
        completion_tokens *= method.max_tokens
    per_minute = terms.requests_per_minute
    return {
        "method": method.name,
        "rows": len(asked),
        "calls": calls,
        "prompt_tokens": round(prompt_tokens),
        "completion_tokens": round(completion_tokens),
        "cost": terms.prices.cost(prompt_tokens, completion_tokens),
        "seconds": 60.0 * calls / per_minute if per_minute else 0.0,
    }
