"""ChatTeacher: a language model behind a chat server, each answer paid for once."""

import os
import threading
import warnings
from numbers import Integral, Real

import numpy as np

from skdistill._compat import (
    Interval,
    StrOptions,
    check_sample_weight,
    clone_parametrized,
)
from skdistill._labelling import encode
from skdistill.teachers._chat_session import ChatSession, describe_missing
from skdistill.teachers._chat_setup import read_classes, temporary_store
from skdistill.teachers._store import AnswerStore
from skdistill.teachers._text_teacher import TextTeacher, documents_by_key


class ChatTeacher(TextTeacher):
    r"""Zero-shot classifier of texts by a language model behind a chat server.

    Any server that speaks the chat-completions protocol will do, asked by the `openai`
    client. Each option has a code of one token; its probability is read off the
    log-probabilities of the reply's first token. Where a server gives none, several
    replies are counted, or one verdict in JSON is taken; the first request finds out.

    Every answer is stored as soon as it arrives, and used from there: a process that
    dies loses what was under way, and no row is paid for twice. Questions without a
    usable answer are stored as such, and give rows of NaN, with one warning.

    Given a model and classes there is nothing to fit; `fit` corrects the prior and
    calibrates.

    Parameters
    ----------
    model : str
        Name of the model.

    classes : list of labels, or dict of label to description
        Labels, strings or integers; the model sees their names and descriptions.

    instruction : str, default=None
        What to decide; None asks which label fits the document best.

    codes : {"letters", "labels"}, default="letters"
        What the model replies with: a letter for each option, or the label itself, of
        which the first token counts. Small models do better with labels, and so do
        labels that are letters themselves.

    path : str, path-like or AnswerStore, default=None
        File of the answers, made when first used. None keeps them in a temporary file
        as long as this object and its clones live (the workers of a search use it too):
        give a path for what costs money.

    base_url : str, default=None
        Where the server is, such as ``"http://localhost:8000/v1"``. None lets the
        client decide: OpenAI's own, or what OPENAI_BASE_URL says.

    api_key_env : str, default=None
        Name of the environment variable that holds the key. None is OPENAI_API_KEY
        where `base_url` is None, and no key elsewhere: a key goes nowhere unasked.

    key : str, default=None
        Name for this very teacher, to keep its answers apart from those of another
        one with the same model and prompt.

    method : {"auto", "logprobs", "samples", "verdict"}, default="auto"
        "auto" takes the first that the server can do. With letters, log-probabilities
        are for 25 labels at most. Servers show the 20 likeliest tokens at most; a label
        that is not among them gets a small probability, bounded by what is missing.

    n_orders : int, default=2
        Orders in which the options are shown, each a question of its own. Models
        favour places: two orders cancel out most of it.

    average : {"log", "probability"}, default="log"
        How orders are averaged.

    n_samples : int, default=10
        Replies to a question of the method "samples".

    smoothing : float, default=1.0
        Laplace's a in (count + a) / (r + a K), for "samples" and "verdict".

    min_label_mass : float, default=0.1
        Replies that give the labels together less than this are unusable.

    max_tokens : int, default=None
        Most tokens of a reply; None is 1, 32 and 64, by method. Models that think aloud
        need more.

    request_options : dict, default=None
        Further fields of each request, such as ``{"seed": 0}``.

    concurrency : int, default=8
        Most requests under way.

    requests_per_minute : float, default=None
        Most requests a minute; None for no limit.

    timeout : float, default=60.0
        Seconds that one request may take.

    max_retries : int, default=4
        How often the client sends a request again (429, 5xx, lost connections,
        time-outs; it waits as long as Retry-After says).

    deadline : float, default=None
        Seconds after which a call of `predict_proba` puts no more questions. Those
        under way are waited for, `timeout` seconds at most.

    max_failures : int, default=20
        Questions in a row without a reply after which no more are put.

    max_calls, max_cost : int and float, default=None
        Most requests, and most money, over all processes and days that share the store.
        Neither is ever exceeded. A request that the client repeats counts once.

    prices : (float, float), default=None
        Prices of a million tokens of prompt and of reply, in any currency.

    retry_failures : bool or "unanswered", default="unanswered"
        Which questions without a usable answer are put again in a later call: those to
        which no reply came, all (True), or none (False).

    prior : dict of label to float, default=None
        Probabilities of the labels for `fit`; None takes the shares of `y`, or equal
        ones without `y`.

    verbose : int or bool, default=0
        Whether a bar shows progress and cost.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Sorted labels.

    method_ : str
        The method in use, known after the first request.

    label_mass_, missing_mass_ : ndarray of shape (n_samples,)
        Of the rows of the last request: probability of the labels before they are
        normalised (the share of usable replies without log-probabilities), and of what
        the replies do not show. Means over the orders.

    outcomes_ : ndarray of str of shape (n_samples,)
        Of the rows of the last request: "answered", "unusable" (a reply without an
        answer), "refused" (by the model or a filter), "rejected" (the server does not
        take this request), "failed" (no reply) or "not asked".

    account_ : dict
        Counts by outcome, attempts, calls, tokens and cost of this teacher, over all
        processes and days that share the store.

    stopped_ : str or None
        Name of the limit that ended the last request before its time.

    store_ : AnswerStore
        Where the answers are.

    prior_, neutral_, calibration_ : ndarray, ndarray, callable
        What `fit` found.

    See Also
    --------
    CachedTeacher : Keeps the answers of other teachers; this one does so itself.

    Notes
    -----
    **Identity.** Answers are found by model, prompt, labels and descriptions, order of
    the options, method and its number of replies, `request_options`, `max_tokens` and
    `key`. The URL is not part of it: a model may move. Name the teacher by `key` where
    two servers mean different models by one name.

    **Documents are data.** Each stands between marks that are drawn anew for every
    request, and what looks like the role markers of a chat template is broken by a
    space. That makes it hard for a text to pass for an instruction, not impossible.

    **The key** is read from the environment when it is used, and kept nowhere.

    Examples
    --------
    Nothing is sent to find out what a run would take:

    >>> from skdistill.teachers import ChatTeacher
    >>> teacher = ChatTeacher(
    ...     "small-model",
    ...     {"good": "the writer is content", "bad": "the writer is not"},
    ...     base_url="http://localhost:8000/v1",
    ...     prices=(0.15, 0.60),
    ... )
    >>> estimate = teacher.dry_run(["Lovely.", "It broke.", "Lovely."])
    >>> estimate["rows"], estimate["calls"]  # two texts, two orders, one probe
    (2, 5)
    """

    _parameter_constraints = {
        "model": [str],
        "classes": "no_validation",  # _check_classes says more
        "instruction": [str, None],
        "codes": [StrOptions({"letters", "labels"})],
        "path": [str, os.PathLike, AnswerStore, None],
        "base_url": [str, None],
        "api_key_env": [str, None],
        "key": [str, None],
        "method": [StrOptions({"auto", "logprobs", "samples", "verdict"})],
        "n_orders": [Interval(Integral, 1, None, closed="left")],
        "average": [StrOptions({"log", "probability"})],
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "smoothing": [Interval(Real, 0, None, closed="neither")],
        "min_label_mass": [Interval(Real, 0, 1, closed="both")],
        "max_tokens": [Interval(Integral, 1, None, closed="left"), None],
        "request_options": [dict, None],
        "concurrency": [Interval(Integral, 1, None, closed="left")],
        "requests_per_minute": [Interval(Real, 0, None, closed="neither"), None],
        "timeout": [Interval(Real, 0, None, closed="neither")],
        "max_retries": [Interval(Integral, 0, None, closed="left")],
        "deadline": [Interval(Real, 0, None, closed="neither"), None],
        "max_failures": [Interval(Integral, 1, None, closed="left")],
        "max_calls": [Interval(Integral, 0, None, closed="left"), None],
        "max_cost": [Interval(Real, 0, None, closed="left"), None],
        "prices": [tuple, list, None],
        "retry_failures": ["boolean", StrOptions({"unanswered"})],
        "prior": [dict, None],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        model,
        classes,
        *,
        instruction=None,
        codes="letters",
        path=None,
        base_url=None,
        api_key_env=None,
        key=None,
        method="auto",
        n_orders=2,
        average="log",
        n_samples=10,
        smoothing=1.0,
        min_label_mass=0.1,
        max_tokens=None,
        request_options=None,
        concurrency=8,
        requests_per_minute=None,
        timeout=60.0,
        max_retries=4,
        deadline=None,
        max_failures=20,
        max_calls=None,
        max_cost=None,
        prices=None,
        retry_failures="unanswered",
        prior=None,
        verbose=0,
    ):
        self.model = model
        self.classes = classes
        self.instruction = instruction
        self.codes = codes
        self.path = path
        self.base_url = base_url
        self.api_key_env = api_key_env
        self.key = key
        self.method = method
        self.n_orders = n_orders
        self.average = average
        self.n_samples = n_samples
        self.smoothing = smoothing
        self.min_label_mass = min_label_mass
        self.max_tokens = max_tokens
        self.request_options = request_options
        self.concurrency = concurrency
        self.requests_per_minute = requests_per_minute
        self.timeout = timeout
        self.max_retries = max_retries
        self.deadline = deadline
        self.max_failures = max_failures
        self.max_calls = max_calls
        self.max_cost = max_cost
        self.prices = prices
        self.retry_failures = retry_failures
        self.prior = prior
        self.verbose = verbose

    def fit(self, X, y=None, *, sample_weight=None):
        """Correct the prior and, with at least 50 labelled rows, calibrate.

        Rows are asked about if the store does not know them; those without an answer
        count for nothing.

        Parameters
        ----------
        X : list of str of length n_samples
            Texts.

        y : array-like of shape (n_samples,), default=None
            Labels; without them the prior is corrected to `prior`, or to equal shares.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        self : ChatTeacher

        Raises
        ------
        ValueError
            If no row has an answer, or `y` has labels that `classes` lacks.
        """
        P = self._ask(X)
        answered = ~np.isnan(P[:, 0])
        if not answered.any():
            raise ValueError(
                f"X must have rows with an answer, got none in {len(P)} rows. See "
                "outcomes_ and account_ for what came back."
            )
        weight = None
        if sample_weight is not None:
            weight = check_sample_weight(sample_weight, X)[answered]
        codes = None if y is None else encode(np.asarray(y), self.classes_)[answered]
        return self._learn_correction(P[answered], "batch", codes, weight)

    def predict_proba(self, X):
        """Probabilities of the labels, out of the store or by the server.

        Parameters
        ----------
        X : list of str of length n_samples
            Texts; an array or a Series of texts will do.

        Returns
        -------
        P : ndarray of shape (n_samples, n_classes)
            NaN in rows without a usable answer.

        Raises
        ------
        ConnectionError, PermissionError
            If the server cannot be asked at all.
        """
        P = self._ask(X)
        answered = ~np.isnan(P[:, 0])
        P[answered] = self._corrected(P[answered])
        return P

    def dry_run(self, X):
        """Say what a request would take, without sending anything.

        Parameters
        ----------
        X : list of str of length n_samples
            Texts.

        Returns
        -------
        estimate : dict
            ``rows`` to ask about, ``rows_known`` by the store, ``calls``,
            ``prompt_tokens`` and ``completion_tokens`` (four bytes a token, or the mean
            of earlier calls), ``cost``, and ``seconds`` at least where
            `requests_per_minute` is given. ``method`` is the one that is counted on:
            where the server was not asked yet, the best one, which is the cheapest. The
            limits are not looked at.
        """
        documents, _ = documents_by_key(X)
        return self._session().estimate(documents)

    # -- asking ------------------------------------------------------------------------

    def _ask(self, X):
        """Probabilities before any correction, in the order of `classes_`."""
        session = self._session()
        documents, keys = documents_by_key(X)
        answers = session.answer(documents, keys)
        self.label_mass_, self.missing_mass_ = answers.label_mass, answers.missing_mass
        self.outcomes_, self.stopped_ = np.array(answers.outcomes), session.stopped
        missing = describe_missing(answers, session)
        if missing:
            warnings.warn(missing, UserWarning, stacklevel=3)
        return answers.P[:, np.argsort(session.labels, kind="stable")]

    # -- shared state ------------------------------------------------------------------

    def _session(self):
        """All that follows from the parameters, which may have been set anew."""
        self._check_params()
        return ChatSession(self, self.store_)

    @property
    def store_(self):
        """Where the answers are."""
        held = self.__dict__.get("_held")
        if held is None or held[0] is not self.path:
            with _OPENING:
                held = self.__dict__.get("_held")
                if held is None or held[0] is not self.path:
                    lent = self.__dict__.get("_lent")
                    held = self.path, _open_store(self.path, lent)
                    self.__dict__["_held"] = held
        return held[1]

    @property
    def account_(self):
        """Counts, tokens and cost over all processes and days that share the store."""
        return self._session().account()

    @property
    def method_(self):
        """Name of the method in use."""
        method = self._session().known_method()
        if method is None:
            raise AttributeError(
                "method_ is known after the first request, and none was made yet."
            )
        return method.name

    def __getstate__(self):
        """State without the open store; a temporary one is lent as long as it lives."""
        state = super().__getstate__()
        if self.path is None:  # the workers of a search buy nothing twice
            state["_lent"] = self.store_.path
        return state

    def __sklearn_clone__(self):
        """Clones have no calibration, and share the store: nothing is paid twice."""
        twin = clone_parametrized(self)
        if self.path is None:
            twin.__dict__["_held"] = None, self.store_
        return twin

    # -- what scikit-learn asks --------------------------------------------------------

    @property
    def classes_(self):
        """Sorted labels."""
        return np.sort(read_classes(self.classes)[0])

    def __sklearn_is_fitted__(self):
        """Tell that a model and classes are all that is needed."""
        return True


#: Two threads must not open the temporary store of one object twice.
_OPENING = threading.Lock()


def _open_store(path, lent):
    if path is None:
        return temporary_store(lent)
    return path if isinstance(path, AnswerStore) else AnswerStore(path)
