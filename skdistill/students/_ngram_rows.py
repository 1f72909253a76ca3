"""Texts on their way into an NGramStudent: checked, merged, hashed, weighed."""

from array import array
from dataclasses import dataclass
from numbers import Integral

import numpy as np
from scipy import sparse

from skdistill._ngrams import NGramEncoder, encode_buckets
from skdistill.students._settings import FEW_ROWS

#: Characters of a text that are looked at: a bound on the time of one answer.
MAX_LENGTH = 50_000


def check_texts(X):
    """Return texts as a list of str; refuse everything else.

    Parameters
    ----------
    X : list, tuple, 1-d array or Series of str

    Returns
    -------
    texts : list of str

    Raises
    ------
    TypeError
        If X is a single text, a table, or holds anything but texts.

    ValueError
        If X is empty or a text is missing.
    """
    if isinstance(X, str | bytes):
        raise TypeError(
            f"X must be a list of texts, got a single {type(X).__name__}. Put it in a "
            "list: [text]."
        )
    if not isinstance(X, list):
        X = _as_list(X)
    if not X:
        raise ValueError(
            "Found array with 0 sample(s) while a minimum of 1 is required by "
            "NGramStudent. Pass some texts."
        )
    for text in X:
        if not isinstance(text, str):
            _refuse_cell(X)
    return X


def _as_list(X):
    n_dimensions = len(getattr(X, "shape", (0,)))
    is_table = n_dimensions != 1 or hasattr(X, "columns")
    if is_table or not (isinstance(X, tuple) or hasattr(X, "__array__")):
        shape = getattr(X, "shape", None)
        described = "" if shape is None else f" of shape {tuple(shape)!r}"
        raise TypeError(
            "X must be a list, one-dimensional array or Series of texts, got "
            f"{type(X).__name__}{described}. Of a table pass the column of texts, and "
            "of columns of several kinds make a ColumnTransformer."
        )
    return list(X) if isinstance(X, tuple) else np.asarray(X, dtype=object).tolist()


def _refuse_cell(X):
    row, cell = next((i, c) for i, c in enumerate(X) if not isinstance(c, str))
    is_nan = isinstance(cell, float) and cell != cell
    if cell is None or is_nan or type(cell).__name__ in ("NAType", "NaTType"):
        raise ValueError(
            f"X must hold texts, got a missing one in row {row}: {cell!r}. Leave such "
            "rows out, or put an empty text there, e.g. by fillna('')."
        )
    raise TypeError(
        f"X must hold texts (str), got {type(cell).__name__} in row {row}. Decode "
        "bytes; numbers are for MLPStudent."
    )


def merge_texts(texts, P, weight):
    """Merge equal texts; drop those of no weight.

    A text that comes twice then counts as one of twice the weight, in the counts of
    n-grams too, and is never both trained on and held back. Few texts come sorted, so
    that the order of rows leaves no trace.

    Parameters
    ----------
    texts : list of str

    P : ndarray of shape (n_samples, n_classes)
        Soft targets.

    weight : ndarray of shape (n_samples,)

    Returns
    -------
    texts : list of str
        Distinct.

    P : ndarray of shape (n_texts, n_classes)

    weight : ndarray of shape (n_texts,)
    """
    keep = np.flatnonzero(weight > 0)
    distinct = dict.fromkeys(texts[row] for row in keep)
    distinct = list(distinct) if len(distinct) > FEW_ROWS else sorted(distinct)
    place = {text: i for i, text in enumerate(distinct)}
    group = np.array([place[texts[row]] for row in keep])
    mass = np.zeros((len(distinct), P.shape[1]))
    np.add.at(mass, group, P[keep] * weight[keep, np.newaxis])
    total = mass.sum(axis=1)
    return distinct, mass / total[:, np.newaxis], total


@dataclass(frozen=True)
class HashedTexts:
    """Row numbers or buckets of many texts, one behind the other.

    Parameters
    ----------
    numbers : ndarray of int of shape (n_numbers,)
        Of each text 0 first, then those of its n-grams, increasing.

    starts : ndarray of int64 of shape (n_texts + 1,)
        Where a text begins, and the next one ends.
    """

    numbers: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, texts, encoder):
        """Hash texts."""
        numbers, sizes = array("i"), []
        for text in texts:
            rows = encoder.rows(text)
            numbers.frombytes(rows.astype(np.int32).tobytes())
            sizes.append(len(rows))
        starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        return cls(np.frombuffer(numbers, dtype=np.int32), starts)

    def with_rows(self, buckets):
        """Put the rows of chosen buckets in their place, and drop all others."""
        place = np.searchsorted(buckets, self.numbers)
        known = np.zeros(len(self.numbers), dtype=bool)
        if len(buckets):
            known = buckets[np.minimum(place, len(buckets) - 1)] == self.numbers
        place = np.where(known, place + 1, 0)
        known |= self.numbers == 0
        before = np.concatenate([[0], np.cumsum(known)])
        return HashedTexts(place[known].astype(np.int32), before[self.starts])

    def matrix(self, factor):
        """Sparse matrix (n_texts, n_rows) of the factor of each row over sqrt(n).

        n is the number of rows of a text.
        """
        n_each = np.diff(self.starts)
        data = factor[self.numbers] / np.repeat(np.sqrt(n_each), n_each)
        return sparse.csr_matrix(
            (data, self.numbers, self.starts),
            shape=(len(n_each), len(factor)),
        )


def open_settings(words, characters):
    """Settings of an encoder before buckets are chosen."""
    return {
        "version": 1,
        "words": int(words),
        "characters": [0, 0] if characters is None else [int(n) for n in characters],
        "max_length": MAX_LENGTH,
        "n_rows": None,
        "buckets": None,
    }


def check_lengths(char_ngrams):
    """Return the shortest and longest run of characters, or None for none."""
    if char_ngrams is None:
        return None
    lengths = list(char_ngrams)
    are_whole = all(isinstance(n, Integral) for n in lengths)
    if len(lengths) != 2 or not are_whole or not 1 <= lengths[0] <= lengths[1] <= 10:
        raise ValueError(
            "char_ngrams must be two whole numbers, shortest and longest, with 1 <= "
            f"shortest <= longest <= 10, got {char_ngrams!r}. Pass None for none."
        )
    return lengths


def choose_buckets(hashed, min_texts, n_buckets):
    """Choose the buckets that get a row: those that most texts fall upon.

    Parameters
    ----------
    hashed : HashedTexts

    min_texts : int
        Texts that must fall upon a bucket.

    n_buckets : int
        Buckets at most.

    Returns
    -------
    buckets : ndarray of int32 of shape (n_rows,)
        Increasing.

    counts : ndarray of int of shape (n_rows,)
        How many texts fall upon each.
    """
    buckets, counts = np.unique(hashed.numbers, return_counts=True)
    buckets, counts = buckets[1:], counts[1:]  # 0 is every text's
    often = counts >= min_texts
    buckets, counts = buckets[often], counts[often]
    if len(buckets) > n_buckets:
        most = np.sort(np.argsort(-counts, kind="stable")[:n_buckets])
        buckets, counts = buckets[most], counts[most]
    return buckets, counts


def rarity(counts, n_texts):
    """Factor of each row: inverse document frequency, of mean square 1.

    The first is that of row 0, which every text has.
    """
    idf = 1.0 + np.log((1.0 + n_texts) / (1.0 + np.concatenate([[n_texts], counts])))
    return idf / np.sqrt(np.mean(idf**2))


def closed_encoder(settings, buckets):
    """Encoder that knows which buckets have rows."""
    packed = encode_buckets(buckets)
    return NGramEncoder(settings | {"n_rows": len(buckets), "buckets": packed})
