"""New texts by a language model that is shown given ones."""

import warnings
from functools import lru_cache
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from tqdm.auto import tqdm

from skdistill._compat import Interval, StrOptions, fit_context
from skdistill.teachers import _transformers_models as models
from skdistill.teachers._transformers_tokens import encode_plain, longest_text, pad
from skdistill.transfer._texts import check_texts, like, plain, words_of

#: Share of the given texts that are short enough to be shown.
SHOWN = 0.95
#: Words of a given text that a new one may begin with.
MOST_BEGUN = 3
#: Texts that are asked for in place of each that is wanted, before it is given up.
N_ATTEMPTS = 8


class LanguageModelSampler(BaseEstimator):
    """Have a language model write texts like the given ones.

    The model sees some given texts, one a line, and writes the next line. Without
    labels and without a pool of real texts that is a transfer set: a student learns
    from a teacher's answers to such texts what it learns from real ones [1]_. The model
    is not fitted here, as there; it sees examples in place of that. A small one serves,
    and it may be the teacher itself. Writing a text costs several times what a
    classification of it does, so draw texts once, keep them, and pass them as
    ``X_transfer=``.

    No text equals a given one or another new one but for case and spaces. Texts that do
    not end before `max_new_tokens` are dropped.

    Parameters
    ----------
    model : str, path or transformers model
        A causal language model: a folder, a name at the hub, or the loaded model.

    tokenizer : transformers tokenizer, default=None
        That of a model which is given loaded.

    heading : str, default="Texts of one kind, one a line:"
        What stands above the examples. Saying what they are helps.

    n_examples : int, default=5
        Given texts that are shown, drawn anew for each text.

    p_begin : float in [0, 1], default=0.3
        Probability that a text begins as a given one does, with one to three of its
        words.

    temperature : float, default=1.0
        Divides the model's logits: higher is more varied, lower more usual.

    epsilon : float in [0, 1), default=3e-4
        Tokens that are less probable than this are not drawn [2]_.

    max_new_tokens : int, default=None
        Most tokens of a text. None is as many as the longest text shown has; of the
        given texts the 5 % with the most tokens are not shown.

    batch_size : int, default=32
        Texts that are written at once.

    model_options : dict, default=None
        For ``from_pretrained`` of model and tokenizer.

    device : str, default="auto"
        Device of torch; "auto" takes a GPU where there is one.

    dtype : {"float32", "bfloat16", "float16", "auto"}, default="float32"
        Precision of the weights; "auto" is that of the file.

    verbose : int or bool, default=0
        Whether a bar shows progress.

    Attributes
    ----------
    n_rows_ : int
        Number of texts given.

    See Also
    --------
    MaskingSampler : Makes new texts of given ones without a model.
    skdistill.teachers.TransformersTeacher : Has a language model classify texts.

    Notes
    -----
    The same `random_state` gives the same texts on the same machine; another one may
    round otherwise, and one token that differs changes the rest of a text.

    References
    ----------
    .. [1] Tang, Lu, Lin, "Natural language generation for effective knowledge
       distillation", DeepLo 2019, section 3.
    .. [2] Hewitt, Manning, Liang, "Truncation sampling as language model desmoothing",
       Findings of EMNLP 2022, section 4.

    Examples
    --------
    >>> from skdistill.transfer import LanguageModelSampler
    >>> sampler = LanguageModelSampler(
    ...     "HuggingFaceTB/SmolLM2-135M-Instruct", heading="Sentences from reviews:"
    ... )
    >>> new = sampler.fit(texts).sample(1_000, random_state=0)  # doctest: +SKIP
    """

    _parameter_constraints = {
        "model": "no_validation",
        "tokenizer": "no_validation",
        "heading": [str],
        "n_examples": [Interval(Integral, 1, None, closed="left")],
        "p_begin": [Interval(Real, 0, 1, closed="both")],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "epsilon": [Interval(Real, 0, 1, closed="left")],
        "max_new_tokens": [Interval(Integral, 1, None, closed="left"), None],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "model_options": [dict, None],
        "device": [str],
        "dtype": [StrOptions({"auto", "float32", "float16", "bfloat16"})],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        model,
        tokenizer=None,
        *,
        heading="Texts of one kind, one a line:",
        n_examples=5,
        p_begin=0.3,
        temperature=1.0,
        epsilon=3e-4,
        max_new_tokens=None,
        batch_size=32,
        model_options=None,
        device="auto",
        dtype="float32",
        verbose=0,
    ):
        self.model = model
        self.tokenizer = tokenizer
        self.heading = heading
        self.n_examples = n_examples
        self.p_begin = p_begin
        self.temperature = temperature
        self.epsilon = epsilon
        self.max_new_tokens = max_new_tokens
        self.batch_size = batch_size
        self.model_options = model_options
        self.device = device
        self.dtype = dtype
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, *, teacher=None):
        """Take the texts that new ones shall be like.

        Parameters
        ----------
        X : list, tuple, Series or 1-d array of str of shape (n_samples,)
            Texts.

        teacher : object, default=None
            Not used.

        Returns
        -------
        self : LanguageModelSampler

        Raises
        ------
        TypeError
            If X is no sequence of str.

        ValueError
            If no text has a word, or the examples are too long for the model.
        """
        check_texts(X)
        # a line break within a text would end it
        lines = list(dict.fromkeys(filter(None, map(plain, X))))
        if not lines:
            raise ValueError("X must have a text with a word in it, got none. Drop X.")
        loaded = self._loaded()
        lengths = np.array([len(t) for t in encode_plain(loaded.tokenizer, lines)])
        most = np.quantile(lengths, SHOWN, method="higher")
        self._lines = [t for t, n in zip(lines, lengths, strict=True) if n <= most]
        self._most_tokens = self.max_new_tokens or int(most) + 2  # a dash, and the end
        self._check_room(loaded, int(most))
        self._X, self._known = X, {line.casefold() for line in lines}
        self.n_rows_ = len(X)
        return self

    def _check_room(self, loaded, longest):
        """Raise where the examples and a new text are more than the model takes."""
        room = longest_text(loaded.tokenizer, loaded.model.config)
        heading = len(encode_plain(loaded.tokenizer, [self.heading])[0])
        # each line has a dash and an end; the new one may begin as a given one does
        needed = heading + (self.n_examples + 1) * (longest + 3) + self._most_tokens
        if room is not None and needed > room:
            raise ValueError(
                f"n_examples must leave room for a new text, got "
                f"n_examples={self.n_examples!r} of up to {longest} tokens each for a "
                f"model that takes {room}. Show fewer examples, or cut the texts."
            )

    def sample(self, n_samples, random_state=None):
        """Have new texts written.

        Parameters
        ----------
        n_samples : int
            Number of texts. Fewer come back, with a warning, where most of what the
            model writes does not end or is known already.

        random_state : int, RandomState instance or None, default=None
            Seed of the draw.

        Returns
        -------
        X : list, tuple, Series or array of str of shape (<= n_samples,)
            Texts in what `fit` was given.
        """
        check_is_fitted(self, "n_rows_")
        rng = check_random_state(random_state)
        loaded, new = self._loaded(), {}
        most = N_ATTEMPTS * -(-n_samples // self.batch_size)  # batches
        with tqdm(total=n_samples, disable=not self.verbose, desc="texts") as bar:
            for _ in range(most):
                if len(new) >= n_samples:
                    break
                for text in self._write(loaded, rng):
                    if text and text.casefold() not in self._known:
                        new.setdefault(text.casefold(), text)
                bar.update(min(len(new), n_samples) - bar.n)
        texts = list(new.values())[:n_samples]
        if len(texts) < n_samples:
            warnings.warn(
                f"{len(texts)} texts were written in place of {n_samples}: of "
                f"{most * self.batch_size} attempts the others did not end or were "
                "known. Raise max_new_tokens or temperature, or ask for fewer.",
                stacklevel=2,
            )
        array = np.empty(len(texts), dtype=object)
        array[:] = texts
        return like(self._X, array, np.zeros(len(texts), dtype=int))

    def _write(self, loaded, rng):
        """One batch of texts; "" for those that did not end."""
        import torch

        begun, rows = self._prompts(loaded.tokenizer, rng)
        table, mask = map(torch.from_numpy, pad(rows, loaded.pad_token, "left"))
        device = loaded.model.device
        ends = _line_ends(loaded.tokenizer)
        devices = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices), torch.inference_mode():
            torch.manual_seed(rng.randint(np.iinfo(np.int32).max))
            # all that a model's own settings may change is stated
            written = loaded.model.generate(
                input_ids=table.to(device), attention_mask=mask.to(device),
                do_sample=True, num_beams=1, temperature=float(self.temperature),
                epsilon_cutoff=float(self.epsilon), top_k=0, top_p=1.0,
                repetition_penalty=1.0, max_new_tokens=self._most_tokens,
                pad_token_id=loaded.pad_token, eos_token_id=sorted(ends),
            )[:, table.shape[1] :].tolist()  # fmt: skip
        return [
            plain(begin + _first_line(loaded.tokenizer, row, ends))
            if not ends.isdisjoint(row)
            else ""
            for begin, row in zip(begun, written, strict=True)
        ]

    def _prompts(self, tokenizer, rng):
        """Beginnings of new texts, and the tokens of what the model is shown."""
        begun, shown = [], []
        for _ in range(self.batch_size):
            n_shown = min(self.n_examples, len(self._lines))
            lines = rng.choice(len(self._lines), n_shown, replace=False)
            begin = ""
            if rng.random_sample() < self.p_begin:
                words = words_of(self._lines[rng.randint(len(self._lines))])
                words = words[: rng.randint(1, MOST_BEGUN + 1)]
                begin = " " + "".join(word + space for word, space in words).rstrip()
            examples = [f"- {self._lines[line]}" for line in lines]
            begun.append(begin)
            shown.append("\n".join([self.heading, *examples, f"-{begin}"]))
        start = tokenizer("")["input_ids"]
        return begun, [start + row for row in encode_plain(tokenizer, shown)]

    # -- the model ---------------------------------------------------------------------

    def _loaded(self):
        if not models.is_reference(self.model):
            return models.wrap_model(self.model, self.tokenizer)
        return models.load_model(
            str(self.model), "causal", self.model_options or {},
            models.resolve_device(self.device), self.dtype,
        )  # fmt: skip

    def __sklearn_clone__(self):
        """Clones share a loaded model."""
        return type(self)(**self.get_params(deep=False))


@lru_cache(maxsize=2)
def _line_ends(tokenizer):
    """Tokens that end a line: all with a line break in them, and the text's end."""
    tokens = tokenizer.batch_decode([[number] for number in range(len(tokenizer))])
    ends = {number for number, text in enumerate(tokens) if "\n" in text}
    return frozenset(ends | {tokenizer.eos_token_id} - {None})


def _first_line(tokenizer, row, ends):
    """What was written before the first line break."""
    end = next(at for at, token in enumerate(row) if token in ends)
    text = tokenizer.decode(row[: end + 1], skip_special_tokens=True)
    return text.partition("\n")[0]
