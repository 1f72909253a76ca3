"""TransformersTeacher: a model of Hugging Face as a classifier of texts."""

from numbers import Integral

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.utils.metaestimators import available_if
from tqdm.auto import tqdm

from skdistill._compat import (
    HasMethods,
    Interval,
    StrOptions,
    check_sample_weight,
    clone_parametrized,
)
from skdistill._labelling import encode
from skdistill.teachers import _transformers_models as models
from skdistill.teachers._chat_scoring import average_orders
from skdistill.teachers._text_teacher import TextTeacher, documents_by_key
from skdistill.teachers._transformers_askers import (
    CausalAsker,
    ClassificationAsker,
    Embedder,
    EntailmentAsker,
)
from skdistill.teachers._transformers_setup import (
    classification_columns,
    hypotheses_of,
    read_labels,
    wording_of,
)

#: Texts that say nothing: what a model answers to them is its bias [Zhao 2021].
CONTENT_FREE = ("N/A", "[MASK]", "")

_DTYPES = {"auto", "float32", "float16", "bfloat16"}


def _is_embedding(self):
    return self.task_ == "embedding"


class TransformersTeacher(TextTeacher):
    r"""Classifier of texts by a model of Hugging Face that runs on this machine.

    Four kinds of models can teach:

    - *classification*: a model with a classification head answers as it is;
    - *entailment*: a model of natural language inference says how far a text entails
      the description of each label [1]_; it needs no labelled texts;
    - *causal*: a language model is shown a prompt, and the probabilities of the
      labels' words, or of one-token codes, as its continuation are read off; it needs
      no labelled texts either;
    - *embedding*: a sentence encoder makes vectors, and a head is fitted on them.

    A model that is given counts as fitted, but for the last kind. `fit` corrects its
    prior and calibrates it; it never changes the model's weights.

    Parameters
    ----------
    model : str, path-like or transformers model
        Folder, or name at the hub. It is loaded when first asked, once in a process,
        and shared by clones; pickles hold the name, not the weights. A model that is
        loaded already is shared by clones and goes into pickles.

    classes : list or dict, default=None
        *causal*: dict of label to the word (or list of words) that means it, or, with
        `codes`, to its description; a list of labels is its own words. *entailment*:
        dict of label to description; a list describes itself. *classification*: dict of
        label to the model's name of it; a list names the outputs by column; None takes
        the model's names. *embedding*: None, labels come from `fit`.

    task : str, default="auto"
        "classification", "entailment", "causal" or "embedding". "auto" goes by the
        architecture that the model's configuration states.

    tokenizer : transformers tokenizer, default=None
        For a model that is loaded already.

    model_options : dict, default=None
        For ``from_pretrained`` of model and tokenizer, such as
        ``{"gguf_file": "model.Q4_1.gguf"}`` or ``{"revision": "..."}``.

    prompt : str, default=None
        *causal*: what is asked. ``{text}`` stands for the text, ``{options}`` for the
        labels' words or codes. None asks which label fits the text.

    answer : str, default=None
        *causal*: how the answer begins; its next token is read. None is "The label is".

    examples : list of (text, label), default=None
        *causal*: texts with their labels, shown before each text.

    chat : bool or "auto", default="auto"
        *causal*: whether to fill in the tokenizer's chat template; "auto" does where
        there is one.

    codes : bool, default=False
        *causal*: score codes ("A", "B") in place of words. Small models do not
        understand them.

    n_orders : int, default=2
        *causal*: orders in which ``{options}`` are shown, each at the cost of one more
        pass. Models favour places: two orders cancel out most of it.

    average : {"log", "probability"}, default="log"
        How orders are averaged.

    hypothesis : str, default="This text is about {}."
        *entailment*: ``{}`` stands for the description of a label.

    pooling : {"auto", "mean", "cls", "last"}, default="auto"
        *embedding*: how the tokens' vectors become one. "auto" is what a
        sentence-transformers folder states, else the mean.

    head : classifier, default=None
        *embedding*: fitted on the vectors. None is ``LogisticRegression(C=10,
        max_iter=1000)``.

    prior_correction : {"auto", "batch", "contextual"} or None, default="auto"
        What `fit` divides out: the answer without which those to its rows are `prior_`
        on average ("batch", after [2]_, whose mean answer is nearly that), or the mean
        answer to texts that say nothing ("contextual" [3]_). "auto" is "batch" for
        *causal* and *entailment*, else None.

    prior : dict of label to float, default=None
        Probabilities of the labels that `fit` puts in; None takes the shares of `y`, or
        equal ones without `y`.

    max_length : int, default=None
        Most tokens of a text; longer ones are cut at the end. None is what the model
        takes.

    batch_size : int, default=16
        Texts that go through the model at once.

    device : str, default="auto"
        Device of torch; "auto" takes a GPU where there is one.

    dtype : {"float32", "bfloat16", "float16", "auto"}, default="float32"
        Precision of the weights; "auto" is that of the file.

    verbose : int or bool, default=0
        Whether a bar shows progress.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Sorted labels.

    task_ : str
        What `task` came to.

    label_mass_, missing_mass_ : ndarray of shape (n_samples,)
        Of the rows of the last request: probability of all labels before they are
        normalised, mean over the orders, and 1 minus that. A small label mass says that
        the model would have said something else. *entailment*: sum of the labels'
        probabilities of being entailed, 1 at most.

    truncated_ : ndarray of bool of shape (n_samples,)
        Of the rows of the last request: which were cut.

    neutral_, prior_, calibration_ : ndarray, ndarray, callable
        What `fit` found; not *embedding*.

    head_ : classifier
        The fitted head of *embedding*.

    See Also
    --------
    ChatTeacher : A language model behind a server.
    CachedTeacher : Keeps the answers of this one on disk.

    Notes
    -----
    A row's answer does not depend on the rows that it comes with, but for rounding: on
    a CPU in single precision probabilities of one row alone and in a batch differ by
    less than 1e-5; in half precision by about 1e-2.

    Texts are data: no text can form a special token such as ``<|im_end|>``, which is
    read as the letters that it is made of. What a text says can still sway the model.

    References
    ----------
    .. [1] Yin, Hay, Roth, "Benchmarking zero-shot text classification", EMNLP 2019.
    .. [2] Zhou et al., "Batch calibration", ICLR 2024, equation 4.
    .. [3] Zhao et al., "Calibrate before use", ICML 2021, section 5.

    Examples
    --------
    Nothing is loaded before a text is asked about:

    >>> from skdistill.teachers import TransformersTeacher
    >>> teacher = TransformersTeacher(
    ...     "HuggingFaceTB/SmolLM2-135M-Instruct",
    ...     {0: "negative", 1: "positive"},
    ...     task="causal",
    ...     prompt="Is the sentiment of this review {options}?\n\nReview: {text}",
    ...     answer="The sentiment is",
    ... )
    >>> teacher.classes_
    array([0, 1])
    """

    _parameter_constraints = {
        "model": "no_validation",
        "classes": "no_validation",  # read_labels says more
        "task": [StrOptions({"auto", *models.AUTO_MODELS})],
        "tokenizer": "no_validation",
        "model_options": [dict, None],
        "prompt": [str, None],
        "answer": [str, None],
        "examples": [list, tuple, None],
        "chat": ["boolean", StrOptions({"auto"})],
        "codes": ["boolean"],
        "n_orders": [Interval(Integral, 1, None, closed="left")],
        "average": [StrOptions({"log", "probability"})],
        "hypothesis": [str],
        "pooling": [StrOptions({"auto", "mean", "cls", "last"})],
        "head": [HasMethods(["fit", "predict_proba"]), None],
        "prior_correction": [StrOptions({"auto", "batch", "contextual"}), None],
        "prior": [dict, None],
        "max_length": [Interval(Integral, 1, None, closed="left"), None],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "device": [str],
        "dtype": [StrOptions(_DTYPES)],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        model,
        classes=None,
        *,
        task="auto",
        tokenizer=None,
        model_options=None,
        prompt=None,
        answer=None,
        examples=None,
        chat="auto",
        codes=False,
        n_orders=2,
        average="log",
        hypothesis="This text is about {}.",
        pooling="auto",
        head=None,
        prior_correction="auto",
        prior=None,
        max_length=None,
        batch_size=16,
        device="auto",
        dtype="float32",
        verbose=0,
    ):
        self.model = model
        self.classes = classes
        self.task = task
        self.tokenizer = tokenizer
        self.model_options = model_options
        self.prompt = prompt
        self.answer = answer
        self.examples = examples
        self.chat = chat
        self.codes = codes
        self.n_orders = n_orders
        self.average = average
        self.hypothesis = hypothesis
        self.pooling = pooling
        self.head = head
        self.prior_correction = prior_correction
        self.prior = prior
        self.max_length = max_length
        self.batch_size = batch_size
        self.device = device
        self.dtype = dtype
        self.verbose = verbose

    def fit(self, X, y=None, *, sample_weight=None):
        """Correct the prior and, with at least 50 labelled rows, calibrate.

        A model that embeds gets its head fitted instead, which needs `y`.

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
        self : TransformersTeacher

        Raises
        ------
        ValueError
            If `y` has labels that `classes` lacks, or is missing where it is needed.
        """
        weight = None
        if sample_weight is not None:
            weight = check_sample_weight(sample_weight, X)
        if self.task_ == "embedding":
            return self._fit_head(X, y, weight)
        codes = None if y is None else encode(np.asarray(y), self.classes_)
        return self._learn_correction(self._raw(X), self._neutral(), codes, weight)

    def _fit_head(self, X, y, weight):
        if y is None:
            raise ValueError(
                "y must be given to fit the head of a model that embeds, got None. "
                "Pass labels."
            )
        head = self.head
        if head is None:
            head = LogisticRegression(C=10, max_iter=1000)
        weights = {} if weight is None else {"sample_weight": weight}
        self.head_ = clone(head).fit(self.transform(X), y, **weights)
        return self

    def _neutral(self):
        """What `fit` divides out, as far as it is known before."""
        how = self.prior_correction
        if how == "auto":
            how = "batch" if self.task_ in ("causal", "entailment") else None
        if how == "contextual":
            return self._raw(list(CONTENT_FREE)).mean(axis=0)
        return how

    def predict_proba(self, X):
        """Probabilities of the labels.

        Parameters
        ----------
        X : list of str of length n_samples
            Texts; an array or a Series of texts will do.

        Returns
        -------
        P : ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`.
        """
        if self.task_ == "embedding":
            self._check_head()
            return np.asarray(self.head_.predict_proba(self.transform(X)), float)
        return self._corrected(self._raw(X))

    @available_if(_is_embedding)
    def transform(self, X):
        """Vectors of texts, where the model embeds.

        Parameters
        ----------
        X : list of str of length n_samples
            Texts.

        Returns
        -------
        vectors : ndarray of float32 of shape (n_samples, width)
        """
        vectors, self._truncated = self._ask(X)
        self._label_mass = np.ones(len(vectors))
        return vectors

    # -- asking ------------------------------------------------------------------------

    def _raw(self, X):
        """Probabilities before any correction, in the order of `classes_`."""
        scores = self._ask(X)
        self._label_mass, self._truncated = scores.label_mass, scores.truncated
        logs = scores.logs - scores.logs.max(axis=2, keepdims=True)
        # a floor far below all that counts keeps the logarithms of means finite
        P = average_orders(np.exp(np.maximum(logs, -500.0)), self.average)
        labels = read_labels(self.classes, self.task_, self._config)[0]
        return P[:, np.argsort(labels, kind="stable")]

    def _ask(self, X):
        """Ask the model about each distinct text once."""
        documents, keys = documents_by_key(X)
        position = {key: at for at, key in enumerate(documents)}
        rows = np.array([position[key] for key in keys])
        asker = self._asker()
        with tqdm(total=None, disable=not self.verbose, desc="texts") as bar:
            answer = asker.ask(list(documents.values()), bar.update)
        if isinstance(answer, tuple):
            return tuple(part[rows] for part in answer)
        return type(answer)(
            answer.logs[:, rows], answer.label_mass[rows], answer.truncated[rows]
        )

    def _asker(self):
        """What asks the model, made again where a parameter is another one."""
        params = self.get_params(deep=False)
        held = self.__dict__.get("_held")
        if held is None or any(held[0][name] is not params[name] for name in params):
            self._check_params()
            held = self.__dict__["_held"] = params, self._make_asker()
        return held[1]

    def _make_asker(self):
        task, loaded = self.task_, self._loaded()
        limits = {"max_length": self.max_length, "batch_size": self.batch_size}
        if task == "embedding":
            return Embedder(loaded, pooling=self.pooling, **limits)
        labels, meanings = read_labels(self.classes, task, self._config)
        if task == "classification":
            columns = classification_columns(self._config, labels, meanings)
            return ClassificationAsker(loaded, columns, **limits)
        if task == "entailment":
            hypotheses = hypotheses_of(self.hypothesis, meanings)
            return EntailmentAsker(loaded, hypotheses, **limits)
        wording = wording_of(self, labels, meanings)
        return CausalAsker(
            loaded, wording, n_orders=self.n_orders, chat=self.chat, **limits
        )

    # -- the model ---------------------------------------------------------------------

    def _loaded(self):
        if not models.is_reference(self.model):
            return models.wrap_model(self.model, self.tokenizer)
        return models.load_model(
            str(self.model), self.task_, self.model_options or {},
            models.resolve_device(self.device), self.dtype,
        )  # fmt: skip

    @property
    def _config(self):
        """Configuration of the model, which is read without its weights."""
        if not models.is_reference(self.model):
            return self.model.config
        return models.load_config(str(self.model), self.model_options or {})

    @property
    def task_(self):
        """What kind of model it is."""
        return self.task if self.task != "auto" else models.find_task(self._config)

    @property
    def classes_(self):
        """Sorted labels."""
        if self.task_ == "embedding":
            self._check_head()
            return self.head_.classes_
        # none of the causal kind needs the configuration
        config = self._config if self.task_ == "classification" else None
        return np.sort(read_labels(self.classes, self.task_, config)[0])

    @property
    def label_mass_(self):
        """Probability of the labels in the rows of the last request."""
        return self._of_last("_label_mass")

    @property
    def missing_mass_(self):
        """Probability of anything but the labels in the rows of the last request."""
        return 1.0 - self._of_last("_label_mass")

    @property
    def truncated_(self):
        """Which rows of the last request were cut."""
        return self._of_last("_truncated")

    def _of_last(self, name):
        if name not in vars(self):
            raise AttributeError(
                f"{name[1:]}_ is known after the first request, and none was made yet."
            )
        return vars(self)[name]

    # -- what scikit-learn asks --------------------------------------------------------

    def _check_head(self):
        if not hasattr(self, "head_"):
            raise NotFittedError(
                f"This {type(self).__name__} instance is not fitted yet: its head "
                "learns from labels. Call 'fit' with appropriate arguments first."
            )

    def __sklearn_is_fitted__(self):
        """Tell whether it can answer: always, but for a head without a fit."""
        return hasattr(self, "head_") or self.task_ != "embedding"

    def __sklearn_clone__(self):
        """Clones have neither head nor calibration, and share a loaded model."""
        bare = type(self)(**{**self.get_params(deep=False), **_NO_OBJECTS})
        twin = clone_parametrized(bare)
        twin.model, twin.tokenizer = self.model, self.tokenizer
        twin.head = None if self.head is None else clone(self.head)
        return twin

    def __sklearn_tags__(self):
        """Texts in one dimension; a head needs a fit."""
        tags = super().__sklearn_tags__()
        tags.requires_fit = self.task == "embedding"
        return tags


#: Parameters that are shared or cloned by hand: copying a model may take minutes.
_NO_OBJECTS = {"model": "", "tokenizer": None, "head": None}
