"""From what a chat model replies to probabilities of labels: pure functions.

A label is asked for by a code of one token, or by its name. Its probability is read off
the likeliest first tokens of the reply, or counted over several replies.
"""

import json
import math
import re

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

#: "I" is left out: replies that are no answer begin with it ("I think", "I'm sorry").
LETTERS = "ABCDEFGHJKLMNOPQRSTUVWXYZ"

#: What tokenisers and models put around a code: spaces, quotes, brackets, marks.
_AROUND = " \t\r\n\"'`*_()[]{}<>.,:;#\u0120\u010a\u2581"

#: Letters of a name that a first token must have to stand for it.
_FEWEST_LETTERS = 2

#: Least probability, and most that a prior moves log-odds beyond the ratio of means.
_SMALLEST, _FARTHEST = 1e-300, 20.0

#: Most labels that have letters as codes.
MOST_LETTERS = len(LETTERS)


def option_codes(n_options):
    """Codes of the options: letters up to 25 of them, else numbers.

    Parameters
    ----------
    n_options : int
        Number of labels.

    Returns
    -------
    codes : list of str of length n_options
    """
    if n_options <= MOST_LETTERS:
        return list(LETTERS[:n_options])
    return [str(number) for number in range(1, n_options + 1)]


def option_orders(n_options, n_orders):
    """Orders in which the options are shown, such that no place is favoured.

    Each second order is the one before it reversed: a bias that is linear in the place
    cancels out over the two. The pairs are rotations of each other.

    Parameters
    ----------
    n_options, n_orders : int
        Numbers of labels and of orders.

    Returns
    -------
    orders : list of tuple of int
        Positions of labels, the one shown first at the front.

    Raises
    ------
    ValueError
        If there are not so many different orders of this kind.
    """
    n_pairs = (n_orders + 1) // 2
    orders = []
    for pair in range(n_pairs):
        start = round(pair * n_options / n_pairs) % n_options
        order = tuple((start + k) % n_options for k in range(n_options))
        orders += [order, order[::-1]]
    orders = orders[:n_orders]
    if len(set(orders)) < n_orders:
        most = 2 if n_options == 2 else 2 * n_options
        raise ValueError(
            f"n_orders must be at most {most} with {n_options} labels, got "
            f"{n_orders!r}: there are no more rotations, forward and backward."
        )
    return orders


# -- log-probabilities -----------------------------------------------------------------


def score_token(alternatives, codes, *, are_names=False):
    """Probabilities of codes as the first token of a reply.

    The forms of a code (``"A"``, ``" A"``, ``"a"``, ``"(A"``) are merged by logsumexp.
    Names may be longer than a token: one that only a single name begins with counts.
    A code that is not among the alternatives has at most the probability of the least
    likely one, and at most its share of what is missing; it gets half of that bound.

    Parameters
    ----------
    alternatives : list of (str, float)
        Tokens and their log-probabilities; a token that comes twice counts once.

    codes : list of str
        Codes of the options.

    are_names : bool, default=False
        Whether the codes are names of labels.

    Returns
    -------
    masses : ndarray of shape (n_codes,)
        Probability of each code; they sum to 1 only where nothing else is likely.

    label_mass : float
        Sum over the codes that are among the alternatives.

    missing_mass : float
        Probability of all tokens that are not among the alternatives.
    """
    logs = {
        token: value for token, value in alternatives if value <= 0 and value > -1e3
    }
    folded = [code.casefold() for code in codes]
    by_code = [[] for _ in codes]
    for token, value in logs.items():
        k = _place(token.strip(_AROUND).casefold(), folded, are_names)
        if k is not None:
            by_code[k].append(value)
    masses = np.exp([np.logaddexp.reduce(values or [-np.inf]) for values in by_code])
    label_mass = min(float(masses.sum()), 1.0)
    missing_mass = max(1.0 - math.fsum(map(math.exp, logs.values())), 0.0)
    absent = masses == 0
    if absent.any() and logs:
        least = math.exp(min(logs.values()))
        # never 0: rounded log-probabilities may sum to 1 without the absent codes
        bound = max(min(least, missing_mass / absent.sum()), 1e-12)
        masses[absent] = bound / 2
    return masses, label_mass, missing_mass


def _place(token, codes, are_names):
    """Place of the code that a token is, or of the only name that it begins."""
    if token in codes:
        return codes.index(token)
    if not are_names or len(token) < _FEWEST_LETTERS:
        return None
    begun = [k for k, name in enumerate(codes) if name.startswith(token)]
    return begun[0] if len(begun) == 1 else None


# -- texts -----------------------------------------------------------------------------


def code_in_text(text, codes, labels):
    """Find the option that a reply names, never by guessing.

    A reply counts if all of it is a code or a label, or if one code stands where an
    answer stands (at the front before a mark, in brackets, after words such as "answer
    is") and no other code stands anywhere.

    Parameters
    ----------
    text : str
        The reply.

    codes, labels : list of str
        Codes and names of the options; the same where names are the codes.

    Returns
    -------
    position : int or None
        None where the reply names no option, or several.
    """
    bare = text.strip(_AROUND)
    named = {label.casefold(): k for k, label in enumerate(labels)}
    named |= {code.casefold(): k for k, code in enumerate(codes)}
    if bare.casefold() in named:
        return named[bare.casefold()]
    either = "|".join(re.escape(each) for each in sorted(codes, key=len, reverse=True))
    if codes == labels:
        either = f"(?i:{either})"
    code = rf"({either})(?![A-Za-z0-9'])"
    places = (
        rf"^\W*{code}(?=\s*[).:,;*\n\]]|\s+-\s)",
        rf"[(\[*]{code}[)\]*]",
        rf"(?i:answer|option|label|choice|verdict)(?i:\s+is|\s+should\s+be)?[\s:*\"'(]*{code}",
    )
    found = {match.casefold() for place in places for match in re.findall(place, text)}
    # "A" before a word in small letters is an article
    elsewhere = re.findall(rf"(?<![A-Za-z0-9'])(?!A [a-z]){code}", text)
    if len(found) != 1 or {each.casefold() for each in elsewhere} - found:
        return None
    return [each.casefold() for each in codes].index(found.pop())


def code_in_verdict(text, codes, labels):
    """Find the option that a reply in JSON names: ``{"answer": "B"}``.

    Parameters
    ----------
    text : str
        The reply; there may be words around the object. Where there is no object, the
        text counts as `code_in_text` reads it.

    codes, labels : list of str
        Codes and names of the options.

    Returns
    -------
    position : int or None
        None where the reply names no option.
    """
    found = re.search(r"\{[^{}]*\}", text)
    if found is None:
        return code_in_text(text, codes, labels)
    try:
        answer = json.loads(found[0])["answer"]
    except (ValueError, KeyError):
        return None
    return code_in_text(answer, codes, labels) if isinstance(answer, str) else None


def smooth(shares, n_replies, smoothing):
    """Probabilities from the shares of replies, with Laplace's smoothing.

    p_k = (count_k + a) / (r + a K)

    Parameters
    ----------
    shares : ndarray of shape (n_samples, n_options)
        Shares of the usable replies.

    n_replies : ndarray of shape (n_samples,)
        Numbers r of usable replies.

    smoothing : float
        The a of the formula.

    Returns
    -------
    P : ndarray of shape (n_samples, n_options)
    """
    n_replies = np.asarray(n_replies, dtype=np.float64)[:, None]
    counts = shares * n_replies
    return (counts + smoothing) / (n_replies + smoothing * shares.shape[1])


# -- over orders and rows --------------------------------------------------------------


def average_orders(masses, how="log"):
    """One distribution from the answers to several orders of the options.

    Parameters
    ----------
    masses : ndarray of shape (n_orders, n_samples, n_options)
        Non-negative weights, columns in the order of the labels; NaN where a question
        has no answer.

    how : {"log", "probability"}, default="log"
        Mean of log-probabilities, in which a factor that belongs to a place cancels
        out if each label stands there; or mean of probabilities.

    Returns
    -------
    P : ndarray of shape (n_samples, n_options)
        NaN in rows where any order lacks an answer.
    """
    P = masses / masses.sum(axis=2, keepdims=True)
    if how == "log":
        P = np.exp(np.log(P).mean(axis=0))
    else:
        P = P.mean(axis=0)
    return P / P.sum(axis=1, keepdims=True)


def neutral_answer(P, prior, weight=None):
    """Answer that stands for no evidence: without it, a batch is the prior on average.

    It is the m for which the mean of `correct_prior(P, m, prior)` over the rows is the
    prior. The mean of P, which batch calibration divides by, is that in the first
    order only: it leaves part of a strong liking for one option.

    Parameters
    ----------
    P : ndarray of shape (n_samples, n_options)
        Probabilities of a batch of rows.

    prior : ndarray of shape (n_options,)
        Probabilities of the labels in such a batch.

    weight : ndarray of shape (n_samples,) or None
        Weights of the rows.

    Returns
    -------
    neutral : ndarray of shape (n_options,)
        Sums to 1.
    """
    logs = np.log(np.maximum(P, _SMALLEST))
    weight = np.ones(len(P)) if weight is None else weight
    weight = weight / weight.sum()

    def loss(shift):  # convex; its gradient is mean minus prior
        Q = logs + shift
        total = logsumexp(Q, axis=1)
        mean = weight @ np.exp(Q - total[:, None])
        return weight @ total - prior @ shift, mean - prior

    start = np.log(prior / np.maximum(weight @ P, _SMALLEST))
    # an option that no row gives a chance cannot be lifted to its prior
    bounds = [(at - _FARTHEST, at + _FARTHEST) for at in start]
    shift = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=bounds,
        options={"gtol": 1e-10, "ftol": 0.0, "maxiter": 1000},
    ).x  # fmt: skip
    logs = np.log(prior) - shift
    return np.exp(logs - logsumexp(logs))


def correct_prior(P, neutral, prior):
    """Take out what a model says for want of evidence, and put in a prior.

    log q_k = log p_k - log neutral_k + log prior_k

    Parameters
    ----------
    P : ndarray of shape (n_samples, n_options)
        Probabilities.

    neutral : ndarray of shape (n_options,)
        Answer that says nothing, of `neutral_answer` or to texts that say nothing.

    prior : ndarray of shape (n_options,)
        Probabilities of the labels in such a batch.

    Returns
    -------
    Q : ndarray of shape (n_samples, n_options)
    """
    Q = P * (prior / neutral)
    return Q / Q.sum(axis=1, keepdims=True)
