"""How each kind of model is asked: from texts to scores of the labels."""

from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax, logsumexp

from skdistill.teachers import _transformers_models as models
from skdistill.teachers._transformers_prompt import make_prompt
from skdistill.teachers._transformers_tokens import (
    encode_for_encoder,
    longest_text,
    sorted_batches,
)


@dataclass(frozen=True)
class Scores:
    """What a model says of texts.

    Attributes
    ----------
    logs : ndarray of shape (n_orders, n_samples, n_classes)
        Logarithms of probabilities up to a constant a row.

    label_mass : ndarray of shape (n_samples,)
        Probability of all labels, before they are normalised.

    truncated : ndarray of bool of shape (n_samples,)
        Which texts were cut.
    """

    logs: np.ndarray
    label_mass: np.ndarray
    truncated: np.ndarray


class CausalAsker:
    """Scores words, or codes, as continuations of a prompt.

    Parameters
    ----------
    loaded : Loaded
        Model and tokenizer.

    wording : Wording
        What to ask.

    n_orders : int
        Orders of the options.

    chat : bool or "auto"
        Whether to fill in the tokenizer's chat template.

    max_length : int or None
        Most tokens of a text.

    batch_size : int
        Texts at once.
    """

    def __init__(self, loaded, wording, *, n_orders, chat, max_length, batch_size):
        self._loaded, self._batch_size = loaded, batch_size
        tokenizer = loaded.tokenizer
        fill = _chat_template(tokenizer) if self._is_chat(chat) else None
        orders = wording.orders(n_orders)
        self._prompts = [make_prompt(wording, o, tokenizer, fill) for o in orders]
        self._readers = [models.PromptReader(loaded, p.prefix) for p in self._prompts]
        self._n_labels = len(wording.words)
        self._longest = self._room(max_length)

    def _is_chat(self, chat):
        has_template = getattr(self._loaded.tokenizer, "chat_template", None)
        if chat is True and not has_template:
            raise ValueError(
                "chat must be False or 'auto' for this model, got True: its tokenizer "
                "has no chat template."
            )
        return bool(has_template) if chat == "auto" else chat

    def _room(self, max_length):
        """Most tokens of a text, by what the prompt leaves."""
        limit = longest_text(self._loaded.tokenizer, self._loaded.model.config)
        if limit is None:
            return max_length
        room = limit - max(prompt.n_tokens for prompt in self._prompts)
        if room < 1:
            raise ValueError(
                f"prompt and examples must leave room for a text, got {-room} tokens "
                f"more than the {limit} that the model takes. Shorten them."
            )
        return room if max_length is None else min(room, max_length)

    def ask(self, texts, progress):
        """Score texts in all orders of the options."""
        answers = [
            self._ask(texts, prompt, reader, progress)
            for prompt, reader in zip(self._prompts, self._readers, strict=True)
        ]
        logs = np.stack([logs for logs, _ in answers])
        mass = np.exp(logsumexp(logs, axis=2)).mean(axis=0)
        truncated = np.logical_or.reduce([cut for _, cut in answers])
        return Scores(logs, np.minimum(mass, 1.0), truncated)

    def _ask(self, texts, prompt, reader, progress):
        rows, truncated = prompt.rows(self._loaded.tokenizer, texts, self._longest)
        logs = np.empty((len(rows), len(prompt.words)))
        for batch in sorted_batches([len(row) for row in rows], self._batch_size):
            batch_rows = [rows[at] for at in batch]
            logs[batch] = reader.log_probabilities(batch_rows, prompt.words)
            progress(len(batch))
        by_label = [
            logsumexp(logs[:, prompt.labels == label], axis=1)
            for label in range(self._n_labels)
        ]
        return np.column_stack(by_label), truncated


def _chat_template(tokenizer):
    """Make the function that fills in the chat template of a tokenizer."""

    def fill(turns):
        return tokenizer.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=True
        )

    return fill


class ClassificationAsker:
    """Reads the columns of a classification head.

    Parameters
    ----------
    loaded : Loaded
        Model and tokenizer.

    columns : list of int
        Outputs of the model that are labels.

    max_length : int or None
        Most tokens of a text.

    batch_size : int
        Texts at once.
    """

    def __init__(self, loaded, columns, *, max_length, batch_size):
        self._loaded, self._columns = loaded, columns
        self._longest = _encoder_limit(loaded, max_length)
        self._batch_size = batch_size

    def ask(self, texts, progress):
        """Score texts."""
        inputs, truncated = encode_for_encoder(
            self._loaded.tokenizer, texts, self._longest
        )
        logits = models.run_encoder(
            self._loaded, inputs, self._batch_size, models.class_logits, progress
        )
        logs = log_softmax(logits.astype(np.float64), axis=1)[:, self._columns]
        mass = np.minimum(np.exp(logs).sum(axis=1), 1.0)
        return Scores(logs[None], mass, truncated)


class EntailmentAsker:
    """Asks whether a text entails a hypothesis, one for each label.

    Parameters
    ----------
    loaded : Loaded
        Model and tokenizer; the model has a column "entailment".

    hypotheses : list of str
        One for each label.

    max_length : int or None
        Most tokens of a text and a hypothesis.

    batch_size : int
        Pairs at once.
    """

    def __init__(self, loaded, hypotheses, *, max_length, batch_size):
        self._loaded, self._hypotheses = loaded, hypotheses
        self._longest = _encoder_limit(loaded, max_length)
        self._batch_size = batch_size
        self._column = models.entailment_column(loaded.model.config)
        if self._column is None:
            raise ValueError(
                "model must have an output named 'entailment' for task='entailment', "
                f"got {loaded.model.config.id2label!r}."
            )

    def ask(self, texts, progress):
        """Score texts: softmax over the labels' logits of entailment."""
        n_labels = len(self._hypotheses)
        pairs = [text for text in texts for _ in self._hypotheses]
        inputs, truncated = encode_for_encoder(
            self._loaded.tokenizer, pairs, self._longest, self._hypotheses * len(texts)
        )
        logits = models.run_encoder(
            self._loaded, inputs, self._batch_size, models.class_logits, progress
        ).astype(np.float64)
        entailed = np.exp(log_softmax(logits, axis=1)[:, self._column])
        mass = entailed.reshape(len(texts), n_labels).sum(axis=1)
        logs = logits[:, self._column].reshape(1, len(texts), n_labels)
        truncated = truncated.reshape(len(texts), n_labels).any(axis=1)
        return Scores(logs, np.minimum(mass, 1.0), truncated)


class Embedder:
    """Makes a vector of each text.

    Parameters
    ----------
    loaded : Loaded
        Model and tokenizer. What a sentence-transformers folder says of pooling,
        length and normalisation holds.

    pooling : {"auto", "mean", "cls", "last"}
        How the vectors of tokens become one.

    max_length : int or None
        Most tokens of a text.

    batch_size : int
        Texts at once.
    """

    def __init__(self, loaded, *, pooling, max_length, batch_size):
        self._loaded, self._batch_size = loaded, batch_size
        stated = loaded.read_json("sentence_bert_config.json").get("max_seq_length")
        self._longest = _encoder_limit(loaded, max_length, stated)
        parts = loaded.read_json("modules.json")
        kinds = {part["type"].rpartition(".")[2]: part["path"] for part in parts}
        self._normalize = "Normalize" in kinds
        if pooling == "auto":
            how = loaded.read_json(f"{kinds.get('Pooling', '')}/config.json")
            pooling = _stated_pooling(how)
        self._pooling = pooling

    def ask(self, texts, progress):
        """Embed texts.

        Returns
        -------
        vectors : ndarray of float32 of shape (n_texts, width)

        truncated : ndarray of bool of shape (n_texts,)
        """
        inputs, truncated = encode_for_encoder(
            self._loaded.tokenizer, texts, self._longest
        )
        position = {text: at for at, text in enumerate(texts)}

        def embed(new):
            rows = [position[text] for text in new]
            part = {name: [table[r] for r in rows] for name, table in inputs.items()}
            read = models.pooled(self._pooling, self._normalize)
            return models.run_encoder(
                self._loaded, part, self._batch_size, read, progress
            )

        kind = f"{self._pooling} {self._normalize} {self._longest}"
        return models.with_memo(self._loaded, kind, texts, embed), truncated


def _stated_pooling(config):
    """Pooling that a sentence-transformers folder states; the mean where it does not.

    Raises
    ------
    ValueError
        If it states one that is not known here.
    """
    known = {
        "pooling_mode_mean_tokens": "mean",
        "pooling_mode_cls_token": "cls",
        "pooling_mode_lasttoken": "last",
    }
    stated = [name for name, on in config.items() if name in known and on is True]
    others = {
        name
        for name, on in config.items()
        if name.startswith("pooling_") and on is True
    }
    if not others:
        return "mean"
    if len(stated) != 1 or others != set(stated):
        raise ValueError(
            "pooling must be given for this model, got 'auto' and a folder that states "
            f"{sorted(others)!r}. Pass 'mean', 'cls' or 'last'."
        )
    return known[stated[0]]


def _encoder_limit(loaded, max_length, stated=None):
    """Most tokens of a row of an encoder, by model and user."""
    limit = longest_text(loaded.tokenizer, loaded.model.config, stated)
    limits = [n for n in (limit, max_length) if n is not None]
    return min(limits, default=None)
