"""Models of transformers: loaded once a process, and what they say of batches."""

import copy
import inspect
import json
import os
import threading
from collections import OrderedDict
from contextlib import contextmanager
from functools import cache
from hashlib import blake2b
from pathlib import Path

import numpy as np

from skdistill.teachers._transformers_tokens import pad, sorted_batches

#: Kinds of work, and the class of transformers that loads a model for each.
AUTO_MODELS = {
    "causal": "AutoModelForCausalLM",
    "classification": "AutoModelForSequenceClassification",
    "entailment": "AutoModelForSequenceClassification",
    "embedding": "AutoModel",
}
#: Models that one process keeps, and bytes of embeddings that it keeps of each.
MOST_MODELS, MEMO_BYTES = 2, 1 << 26

_LOADED, _LOADING = OrderedDict(), threading.Lock()


# -- loading ---------------------------------------------------------------------------


class Loaded:
    """A model in evaluation mode, its tokenizer, and the embeddings it gave.

    Parameters
    ----------
    model : transformers model
        Any.

    tokenizer : transformers tokenizer
        Its own.

    folder : Path or None
        Where it was read from.
    """

    def __init__(self, model, tokenizer, folder=None):
        self.model, self.tokenizer, self.folder = model.eval(), tokenizer, folder
        self.memo, self.lock = OrderedDict(), threading.Lock()

    @property
    def pad_token(self):
        """Number for gaps; where a model has none any will do, for it is masked."""
        number = self.tokenizer.pad_token_id
        return 0 if number is None else number

    def read_json(self, name):
        """Content of a file beside the model; {} where there is none."""
        path = None if self.folder is None else self.folder / name
        if path is None or not path.is_file():
            return {}
        return json.loads(path.read_text(encoding="utf-8"))


def load_model(path, task, options, device, dtype):
    """Read a model and its tokenizer, once in this process.

    Parameters
    ----------
    path : str
        Folder, or name at the hub.

    task : str
        Key of `AUTO_MODELS`.

    options : dict
        For ``from_pretrained`` of model and tokenizer alike.

    device, dtype : str
        Where the model goes, and its precision.

    Returns
    -------
    loaded : Loaded
    """

    def load():
        import transformers

        with _quiet():
            tokenizer = transformers.AutoTokenizer.from_pretrained(path, **options)
            model = getattr(transformers, AUTO_MODELS[task]).from_pretrained(
                path, dtype=dtype, **options
            )
        folder = Path(path) if Path(path).is_dir() else None
        return Loaded(model.to(device), tokenizer, folder)

    return _kept(repr((path, task, sorted(options.items()), device, dtype)), load)


def _kept(key, make):
    """Find a model that was made before, or make it; the last few are kept."""
    with _LOADING:
        if key not in _LOADED:
            _LOADED[key] = make()
            while len(_LOADED) > MOST_MODELS:
                _LOADED.popitem(last=False)
        _LOADED.move_to_end(key)
        return _LOADED[key]


def wrap_model(model, tokenizer):
    """Take a model that the user loaded, with what was remembered of it.

    Parameters
    ----------
    model : transformers model
        Used where it is, as it is.

    tokenizer : transformers tokenizer
        Its own.

    Returns
    -------
    loaded : Loaded
    """
    if tokenizer is None:
        raise ValueError(
            "tokenizer must be given with a model that is loaded already, got None. "
            "Pass AutoTokenizer.from_pretrained(...), or the model's name."
        )
    # what is kept holds both objects, so their numbers are nobody else's
    key = (id(model), id(tokenizer))
    return _kept(key, lambda: Loaded(model, tokenizer))


def is_reference(model):
    """Tell whether a model is named, not loaded."""
    return isinstance(model, str | os.PathLike)


@cache
def _read_config(path, options):
    import transformers

    return transformers.AutoConfig.from_pretrained(path, **dict(options))


def load_config(path, options):
    """Read the configuration of a model, once in this process."""
    return _read_config(path, tuple(sorted(options.items())))


@contextmanager
def _quiet():
    """Hold back the bars that transformers draws while it loads."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def find_task(config):
    """What a model is made for, by its configuration.

    Parameters
    ----------
    config : transformers configuration
        Of the model.

    Returns
    -------
    task : str
        Key of `AUTO_MODELS`.
    """
    architecture = (getattr(config, "architectures", None) or [""])[0]
    if architecture.endswith("ForSequenceClassification"):
        is_nli = entailment_column(config) is not None
        return "entailment" if is_nli else "classification"
    if architecture.endswith(("ForCausalLM", "LMHeadModel")):
        return "causal"
    if architecture.endswith("Model"):
        return "embedding"
    raise ValueError(
        "task must be given for this model, got 'auto' and the architecture "
        f"{architecture!r}. Pass one of {list(AUTO_MODELS)!r}."
    )


def entailment_column(config):
    """Column of "entailment" among the outputs of a model; None where there is none."""
    names = (config.id2label or {}).items()
    found = [at for at, name in names if str(name).lower().startswith("entail")]
    return int(found[0]) if found else None


def resolve_device(device):
    """Name of the device; "auto" takes a GPU where there is one."""
    import torch

    if device != "auto":
        return device
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


# -- encoders --------------------------------------------------------------------------


def run_encoder(loaded, inputs, batch_size, read, progress):
    """Ask an encoder in batches of similar length.

    Parameters
    ----------
    loaded : Loaded
        Model and tokenizer.

    inputs : dict of str to list of list of int
        Tokens of each row, and what goes with them.

    batch_size : int
        Most rows at once.

    read : callable
        From the model's output and the mask to a tensor with a row for each row.

    progress : callable
        Is told the number of rows done.

    Returns
    -------
    values : ndarray of float32 of shape (n_rows, width)
    """
    import torch

    values = None
    device, fills = loaded.model.device, {"input_ids": loaded.pad_token}
    for rows in sorted_batches([len(row) for row in inputs["input_ids"]], batch_size):
        batch = {
            name: pad([table[row] for row in rows], fills.get(name, 0), "right")[0]
            for name, table in inputs.items()
        }
        batch = {name: torch.from_numpy(t).to(device) for name, t in batch.items()}
        with torch.inference_mode():
            part = read(loaded.model(**batch), batch["attention_mask"])
        part = part.float().cpu().numpy()
        if values is None:
            values = np.empty((len(inputs["input_ids"]), part.shape[1]), np.float32)
        values[rows] = part
        progress(len(rows))
    return values


def class_logits(output, mask):
    """Logits of a classification head."""
    return output.logits


def pooled(how, normalize):
    """Make a function from an encoder's output to one vector a row.

    Parameters
    ----------
    how : {"mean", "cls", "last"}
        Mean over the tokens, the first, or the last one.

    normalize : bool
        Whether vectors get unit length.

    Returns
    -------
    read : callable
    """
    import torch

    def read(output, mask):
        states = output.last_hidden_state
        if how == "cls":
            vectors = states[:, 0]
        elif how == "last":
            last = mask.sum(dim=1) - 1
            vectors = states[torch.arange(len(states), device=states.device), last]
        else:
            share = mask.unsqueeze(-1).to(states.dtype)
            vectors = (states * share).sum(dim=1) / share.sum(dim=1)
        return torch.nn.functional.normalize(vectors, dim=1) if normalize else vectors

    return read


def with_memo(loaded, kind, texts, embed):
    """Embeddings of texts, of which those that were asked before are remembered.

    The folds of a search ask about the same texts again and again.

    Parameters
    ----------
    loaded : Loaded
        Holds the memo.

    kind : str
        How texts are embedded; others count as unknown.

    texts : list of str
        Texts.

    embed : callable
        From a list of distinct texts to an array with a row for each.

    Returns
    -------
    vectors : ndarray of shape (n_texts, width)
    """
    keys = [blake2b(f"{kind}\n{text}".encode("utf-8", "surrogatepass")).digest()
            for text in texts]  # fmt: skip
    with loaded.lock:
        known = {key: loaded.memo[key] for key in keys if key in loaded.memo}
    new = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
    if new:
        known |= zip(new, embed(list(new.values())), strict=True)
    vectors = np.stack([known[key] for key in keys])
    with loaded.lock:
        loaded.memo.update((key, known[key].copy()) for key in new)
        for _ in range(len(loaded.memo) - max(MEMO_BYTES // vectors[0].nbytes, 1)):
            loaded.memo.popitem(last=False)
    return vectors


# -- causal models ---------------------------------------------------------------------


class PromptReader:
    """Causal language model that has read what all prompts begin with.

    The beginning is read once, and its keys and values are put before each batch.
    Models whose memory is of another kind (a sliding window, a recurrent state) read
    each prompt in whole.

    Parameters
    ----------
    loaded : Loaded
        Model and tokenizer.

    prefix : list of int
        Tokens that all prompts begin with.
    """

    def __init__(self, loaded, prefix):
        self.model, self._pad, self._prefix = loaded.model, loaded.pad_token, prefix
        takes = inspect.signature(self.model.forward).parameters
        self._memory = "cache" if "cache" in takes else "past_key_values"
        self._takes_positions = "position_ids" in takes
        self._takes_keep = "logits_to_keep" in takes
        self._past = self._read_prefix() if prefix else None

    def _read_prefix(self):
        """Keys and values of the prefix; None where they cannot serve several rows."""
        import torch
        from transformers import cache_utils

        ids = torch.tensor([self._prefix], device=self.model.device)
        with torch.inference_mode():
            past = self.model(input_ids=ids, use_cache=True).get(self._memory)
        layers = getattr(past, "layers", ())
        plain = getattr(cache_utils, "DynamicLayer", None)
        is_plain = bool(layers) and all(type(layer) is plain for layer in layers)
        return past if is_plain else None

    def log_probabilities(self, rows, words):
        """Logarithm of the probability that a prompt goes on with each of some words.

        Parameters
        ----------
        rows : list of list of int
            Tokens of each prompt after the prefix, at least one.

        words : list of tuple of int
            Tokens of each word.

        Returns
        -------
        logs : ndarray of shape (n_rows, n_words)
        """
        import torch

        whole = rows if self._past is not None else [self._prefix + row for row in rows]
        # padding on the left: the last token of all rows is in the last column
        table, mask = map(torch.from_numpy, pad(whole, self._pad, "left"))
        table, mask = table.to(self.model.device), mask.to(self.model.device)
        logs = np.empty((len(rows), len(words)))
        with torch.inference_mode():
            past = self._repeated(len(rows))
            if past is not None:
                seen = mask.new_ones((len(rows), len(self._prefix)))
                mask = torch.cat([seen, mask], dim=1)
            first, past = self._step(table, mask, past, keep=1)
            for head in dict.fromkeys(word[:-1] for word in words):
                after = self._after(head, table, mask, past)
                for at, word in enumerate(words):
                    if word[:-1] == head:
                        logs[:, at] = first[:, 0, word[0]].cpu().numpy()
                        for place, token in enumerate(word[1:]):
                            logs[:, at] += after[:, place, token].cpu().numpy()
        return logs

    def _repeated(self, n_rows):
        """The prefix's keys and values, for a batch."""
        if self._past is None:
            return None
        past = copy.deepcopy(self._past)
        past.batch_repeat_interleave(n_rows)
        return past

    def _after(self, head, table, mask, past):
        """What may come after each token of the head of a word."""
        import torch

        if not head:
            return None
        more = torch.tensor([head], device=table.device).expand(len(table), -1)
        mask = torch.cat([mask, torch.ones_like(more)], dim=1)
        if past is None:
            table = torch.cat([table, more], dim=1)
            return self._step(table, mask, None, keep=len(head))[0]
        return self._step(more, mask, copy.deepcopy(past), keep=len(head))[0]

    def _step(self, ids, mask, past, keep):
        """Log-probabilities after the last `keep` tokens, and the memory with them."""
        import torch

        inputs = {"input_ids": ids, "attention_mask": mask}
        inputs["use_cache"] = past is not None
        if past is not None:
            inputs[self._memory] = past
        if self._takes_positions:
            places = (mask.cumsum(dim=1) - 1).clamp(min=0)
            inputs["position_ids"] = places[:, -ids.shape[1] :]
        if self._takes_keep:
            inputs["logits_to_keep"] = keep
        logits = self.model(**inputs).logits[:, -keep:].float()
        return torch.log_softmax(logits, dim=-1), past
