"""Texts to numbers: words, characters within words, and their hashes.

NGramStudent, the exporter and the runtime of exported students all go through here, so
that a text meets the same rows of the table wherever it is answered. numpy and the
standard library are enough.
"""

import base64
import binascii
import re
import unicodedata
import zlib
from functools import lru_cache

import numpy as np

#: Hashes are taken modulo this. With far more buckets than rows of a table, an n-gram
#: that was never seen in training hardly ever falls upon a row.
N_BUCKETS = 1 << 24

#: Rows of a table at most: what `decode_buckets` unpacks is bounded by it.
MAX_ROWS = 1 << 22

#: Distinct words that an encoder remembers, and the length up to which it does.
CACHE_SIZE, CACHED_LENGTH = 1 << 16, 32

VERSION = 1

# Spelt out instead of `\w`: what Python calls a letter changes with its version, and
# leaves out the vowel signs of many scripts.
_MARKS = (
    "\x00-\x1f!-/:-@\\[-`{-\xa9\xab-\xb4\xb6-\xb9\xbb-\xbf\xd7\xf7"
    "\u2010-\u2bff\u3000-\u303f\ufe10-\ufe1f\ufe30-\ufe6b\uff01-\uff0f"
    "\U0001f000-\U0001faff"
)
#: Scripts in which a character is about a word: kana and ideographs.
_SYLLABLES = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_LETTER = f"[^\\s{_MARKS}{_SYLLABLES}]"
_find_words = re.compile(
    f"{_LETTER}+(?:['\u2019]{_LETTER}+)*|[{_SYLLABLES}]|[^\\s]"
).findall


def words_of(text, max_length):
    """Words, signs and single ideographs of a text, in lower case.

    Parameters
    ----------
    text : str
        Any text; what is unpaired or not printable counts as letters or signs.

    max_length : int
        Characters that are looked at.

    Returns
    -------
    words : list of str
    """
    text = text[:max_length]
    if not text.isascii():  # one spelling of what looks the same
        text = unicodedata.normalize("NFKC", text)
    return _find_words(text.lower())


def _as_bytes(text):
    return text.encode("utf-8", "surrogatepass")


class NGramEncoder:
    """Turns texts into row numbers of a table, by hashed n-grams.

    Every word has a bucket, as have its runs of characters (with a mark at its
    beginning and end) and its runs with the words that follow. The hash is CRC-32 over
    UTF-8, which is the same on all machines. A text is a set: what occurs twice counts
    once.

    Parameters
    ----------
    settings : dict
        As :func:`check_settings` describes it. Where "n_rows" is None, no bucket has
        been chosen yet and the number of a bucket stands for its row.
    """

    def __init__(self, settings):
        self.__setstate__({"settings": check_settings(settings)})

    def __getstate__(self):
        """Pickle and copy the settings only."""
        return {"settings": self.settings}

    def __setstate__(self, state):
        """Make the look-up of rows, and an empty memory of words."""
        self.settings = settings = state["settings"]
        self._n_words = settings["words"]
        self._sizes = settings["characters"]
        self._max_length = settings["max_length"]
        if settings["n_rows"] is None:
            self._find = _same
        else:
            kept = decode_buckets(settings["buckets"], settings["n_rows"]).tolist()
            self._find = dict(zip(kept, range(1, len(kept) + 1), strict=True)).get
        self._word = lru_cache(CACHE_SIZE)(self._read_word)

    def rows(self, text):
        """Row numbers of one text.

        Parameters
        ----------
        text : str

        Returns
        -------
        rows : ndarray of int64 of shape (n_rows,)
            Distinct and sorted. Row 0 belongs to every text, so there is one at least.
        """
        words = words_of(text, self._max_length)
        if not words:
            return np.zeros(1, dtype=np.int64)
        read, find = self._word, self._find
        entries = [
            read(word) if len(word) <= CACHED_LENGTH else self._read_word(word)
            for word in words
        ]
        codes, hashes, parts = zip(*entries, strict=True)
        found = [_ROW_OF_ALL, *parts]
        for n_before in range(1, min(self._n_words, len(words))):
            # Runs of words go on from the hashes of what came before.
            hashes = list(map(zlib.crc32, codes[n_before:], hashes[:-1]))
            rows = [row for number in hashes if (row := find(number % N_BUCKETS))]
            found.append(_pack(rows))
        rows = np.frombuffer(b"".join(found), dtype=_ROW)
        # What comes twice counts once; np.unique takes three times as long.
        rows = np.sort(rows)
        is_new = np.empty(len(rows), dtype=bool)
        is_new[0] = True
        np.not_equal(rows[1:], rows[:-1], out=is_new[1:])
        return rows[is_new].astype(np.int64)

    def _read_word(self, word):
        """Bytes and hash of a word, and the rows of it and its characters, packed."""
        code = _as_bytes(f" {word}")
        own = zlib.crc32(code)
        numbers = [own, *_character_hashes(word, *self._sizes)]
        rows = {self._find(number % N_BUCKETS) for number in numbers} - {None}
        return code, own, _pack(list(rows))


#: Row numbers on their way from words to texts: joining bytes is quick.
_ROW = np.dtype(np.int32)


def _pack(rows):
    return np.array(rows, dtype=_ROW).tobytes()


_ROW_OF_ALL = _pack([0])


def _same(bucket):
    """Row of a bucket where none has been chosen: 0 is every text's already."""
    return bucket or 1


def _character_hashes(word, shortest, longest):
    """Hashes of the runs of characters of a word between its marks."""
    marked = f"<{word}>"
    # The whole is left out: it would say what the word's own bucket says.
    sizes = range(max(shortest, 1), min(longest, len(marked) - 1) + 1)
    if marked.isascii():
        code, take = marked.encode("ascii"), bytes
    else:
        code, take = [_as_bytes(letter) for letter in marked], b"".join
    return [
        zlib.crc32(take(code[start : start + size]))
        for size in sizes
        for start in range(len(marked) - size + 1)
    ]


def hash_texts(texts, settings):
    """Row numbers of each text: what the graph of an exported student takes.

    Whoever answers more than once keeps a :class:`NGramEncoder`, which remembers words.

    Parameters
    ----------
    texts : iterable of str

    settings : dict
        As :func:`check_settings` describes it.

    Returns
    -------
    rows : list of ndarray of int64
    """
    encoder = NGramEncoder(settings)
    return [encoder.rows(text) for text in texts]


# -- settings --------------------------------------------------------------------------


def check_settings(settings):
    """Check settings that may come from a stranger's file.

    Parameters
    ----------
    settings : dict
        With these keys and no others:

        version : 1
        words : int in [1, 5]
            Longest run of words.
        characters : list of two int in [0, 10]
            Shortest and longest run of characters; [0, 0] for none.
        max_length : int in [1, 10_000_000]
            Characters of a text that are looked at.
        n_rows : int or None
            Number of buckets that have a row.
        buckets : str or None
            These buckets, as :func:`encode_buckets` packs them. Their rows are 1, 2,
            and so on.

    Returns
    -------
    settings : dict
        The same.

    Raises
    ------
    TypeError
        If it is no dict.

    ValueError
        If a key is missing, unknown or out of bounds. The buckets are unpacked, within
        bounds, by :func:`decode_buckets` only.
    """
    if not isinstance(settings, dict):
        raise TypeError(
            f"settings of n-grams must be a dict, got {type(settings).__name__}. Take "
            "them from a fitted NGramStudent."
        )
    if set(settings) != _KEYS:
        raise ValueError(
            f"settings of n-grams must have the keys {sorted(_KEYS)!r}, got "
            f"{sorted(map(str, settings))!r}. Take them from a fitted NGramStudent."
        )
    _check_number(settings["version"], "version", VERSION, VERSION)
    _check_number(settings["words"], "words", 1, 5)
    _check_number(settings["max_length"], "max_length", 1, 10_000_000)
    sizes = settings["characters"]
    if not isinstance(sizes, list | tuple) or len(sizes) != 2:
        raise ValueError(
            f"characters must be two integers, got {sizes!r}. Pass [0, 0] for none."
        )
    for size in sizes:
        _check_number(size, "characters", 0, 10)
    if sizes[0] > sizes[1] or (sizes[0] == 0) != (sizes[1] == 0):
        raise ValueError(
            "characters must be a shortest and a longest size of at least 1, got "
            f"{list(sizes)!r}. Pass [0, 0] for none."
        )
    n_rows, buckets = settings["n_rows"], settings["buckets"]
    if (n_rows is None) != (buckets is None):
        raise ValueError(
            "n_rows and buckets must both be given or both be None, got "
            f"n_rows={n_rows!r}. Take them from a fitted NGramStudent."
        )
    if n_rows is not None:
        _check_number(n_rows, "n_rows", 0, MAX_ROWS)
        if not isinstance(buckets, str):
            raise ValueError(
                f"buckets must be a str, got {type(buckets).__name__}. Take it from a "
                "fitted NGramStudent."
            )
    return settings


_KEYS = {"version", "words", "characters", "max_length", "n_rows", "buckets"}


def _check_number(value, name, low, high):
    if type(value) is not int or not low <= value <= high:
        raise ValueError(
            f"{name} in the settings of n-grams must be an integer from {low} to "
            f"{high}, got {value!r}. Take the settings from a fitted NGramStudent."
        )


def encode_buckets(buckets):
    """Pack sorted, distinct buckets into text: gaps, compressed, in base 64.

    Parameters
    ----------
    buckets : ndarray of int of shape (n_rows,)

    Returns
    -------
    packed : str
        About three bytes a bucket.
    """
    gaps = np.diff(buckets, prepend=0).astype("<u4")
    # High bytes, nearly all zero, stand together: they compress to nothing.
    planes = gaps.view(np.uint8).reshape(-1, 4).T.tobytes()
    return base64.b64encode(zlib.compress(planes, 9)).decode("ascii")


def decode_buckets(packed, n_rows):
    """Undo :func:`encode_buckets`, in memory bounded by `n_rows`.

    Parameters
    ----------
    packed : str

    n_rows : int
        Number of buckets.

    Returns
    -------
    buckets : ndarray of int64 of shape (n_rows,)
        Strictly increasing, each above 0 and below `N_BUCKETS`.

    Raises
    ------
    ValueError
        If the text holds anything else.
    """
    unpacker = zlib.decompressobj()
    try:
        data = base64.b64decode(packed, validate=True)
        # One byte too many would mean more rows; max_length=0 would mean no bound.
        planes = unpacker.decompress(data, 4 * n_rows + 1)
    except (binascii.Error, ValueError, zlib.error):  # ValueError: not ASCII
        planes = None
    if planes is None or len(planes) != 4 * n_rows or not unpacker.eof:
        raise ValueError(
            f"buckets must be {n_rows} packed numbers, got text that holds something "
            "else: the file is damaged. Export the student again."
        )
    gaps = np.frombuffer(planes, np.uint8).reshape(4, n_rows).T.copy().view("<u4")
    buckets = np.cumsum(gaps.ravel(), dtype=np.int64)
    if n_rows and (gaps.min() < 1 or buckets[-1] >= N_BUCKETS):
        raise ValueError(
            f"buckets must be distinct numbers from 1 to {N_BUCKETS - 1}, got others: "
            "the file is damaged. Export the student again."
        )
    return buckets
