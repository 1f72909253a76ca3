"""What samplers of texts share: their words, what tells them apart, their kind."""

import re

import narwhals.stable.v1 as nw
import numpy as np

from skdistill._frames import is_text

#: Scripts that put no space between words: Thai and Lao, Burmese, Khmer, kana, Han.
_SPACELESS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff"
)
#: A word and the space behind it.
_WORD = re.compile(rf"([{_SPACELESS}]|[^\s{_SPACELESS}]+)(\s*)")


def check_texts(X):
    """Check that X is a sequence of str.

    Raises
    ------
    TypeError
        If it is not.
    """
    if not is_text(X) or not all(isinstance(text, str) for text in X):
        raise TypeError(
            f"X must be a sequence of str for a sampler of texts, got "
            f"{type(X).__name__}. Pass texts, or use MungeSampler for tables."
        )


def words_of(text):
    """Words of a text, each with the space behind it: list of (str, str)."""
    return _WORD.findall(text)


def plain(text):
    """Text without what only spaces tell apart."""
    return " ".join(text.split())


def like(X, texts, start):
    """Texts in a sequence of the kind of X; `start` are positions of as many texts."""
    if isinstance(X, list | tuple):
        return type(X)(texts)
    if isinstance(X, np.ndarray):
        return texts if X.dtype == object else texts.astype(X.dtype.kind)
    series = nw.from_native(X, series_only=True)
    if series.dtype in (nw.Categorical, nw.Enum):  # that know no other texts
        series = series.cast(nw.String)
    new = nw.maybe_reset_index(series[start])
    return nw.to_native(new.scatter(np.arange(len(texts)), texts.tolist()))
