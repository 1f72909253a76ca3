"""Texts as tokens: disarmed, cut where they are too long, in batches of one length."""

import numpy as np

#: Tokenisers without a limit state one beyond this.
_NO_LIMIT = 1_000_000


def encode_plain(tokenizer, texts):
    """Token numbers of texts that are data: none of them is a special token.

    ``<|im_end|>`` in a text becomes the letters that it is made of.

    Parameters
    ----------
    tokenizer : transformers tokenizer
        Splits the texts.

    texts : list of str
        Texts.

    Returns
    -------
    rows : list of list of int
        Without the tokens that a tokenizer puts around a text.
    """
    if not texts:
        return []
    rows = tokenizer(
        texts, add_special_tokens=False, split_special_tokens=True, verbose=False
    )["input_ids"]
    # a tokenizer may not know of split_special_tokens
    special = special_tokens(tokenizer)
    return [[token for token in row if token not in special] for row in rows]


def special_tokens(tokenizer):
    """Numbers of the tokens that no text may hold; the one for unknown words may."""
    added = tokenizer.added_tokens_decoder
    special = {number for number, token in added.items() if token.special}
    return (special | set(tokenizer.all_special_ids)) - {tokenizer.unk_token_id}


def encode_for_encoder(tokenizer, texts, max_length, seconds=None):
    """Inputs of an encoder, texts in the frame of special tokens that it expects.

    Parameters
    ----------
    tokenizer : transformers tokenizer
        Splits the texts.

    texts : list of str
        Texts, which are cut.

    max_length : int or None
        Most tokens of a row, its frame included.

    seconds : list of str, default=None
        Second text of each row, which is not cut.

    Returns
    -------
    inputs : dict of str to list of list of int
        What the tokenizer makes of each row: `input_ids`, and more.

    truncated : ndarray of bool of shape (n_texts,)
    """
    pairs = (texts,) if seconds is None else (texts, seconds)
    how = {"split_special_tokens": True, "verbose": False}
    inputs = dict(tokenizer(*pairs, **how))
    lengths = np.array([len(row) for row in inputs["input_ids"]])
    truncated = lengths > (np.inf if max_length is None else max_length)
    for row in np.flatnonzero(truncated):
        one = tokenizer(
            *(pair[row] for pair in pairs),
            truncation=True if seconds is None else "only_first",
            max_length=max_length,
            **how,
        )
        for name, value in one.items():
            inputs[name][row] = value
    return inputs, truncated


def longest_text(tokenizer, config, stated=None):
    """Most tokens that a model takes, by all who have a say; None for no limit."""
    limits = [
        tokenizer.model_max_length,
        getattr(config, "max_position_embeddings", None),
        stated,
    ]
    limits = [limit for limit in limits if limit is not None and limit < _NO_LIMIT]
    return min(limits, default=None)


def sorted_batches(lengths, batch_size):
    """Rows in batches of similar length, so that little is padded.

    The longest come first: what does not fit into memory fails at once.

    Parameters
    ----------
    lengths : array-like of int of shape (n_samples,)
        Lengths of the rows.

    batch_size : int
        Most rows of a batch.

    Returns
    -------
    batches : list of ndarray of int
        Positions of rows.
    """
    order = np.argsort(np.asarray(lengths), kind="stable")[::-1]
    return [order[a : a + batch_size] for a in range(0, len(order), batch_size)]


def pad(rows, value, side):
    """Rows of one length.

    Parameters
    ----------
    rows : list of list of int
        Numbers.

    value : int
        What the gaps are filled with.

    side : {"left", "right"}
        Where the gaps are.

    Returns
    -------
    table : ndarray of int64 of shape (n_rows, longest)

    mask : ndarray of int64 of shape (n_rows, longest)
        1 where there is a number of the row, 0 in the gaps.
    """
    width = max(map(len, rows))
    table = np.full((len(rows), width), value, dtype=np.int64)
    mask = np.zeros((len(rows), width), dtype=np.int64)
    for at, row in enumerate(rows):
        place = slice(width - len(row), None) if side == "left" else slice(len(row))
        table[at, place], mask[at, place] = row, 1
    return table, mask
