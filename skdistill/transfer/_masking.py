"""New texts out of given ones: words left out, words put in, short runs of words."""

from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skdistill._compat import Interval, fit_context
from skdistill.transfer._base import CHUNK, N_ATTEMPTS, check_n_samples
from skdistill.transfer._texts import check_texts, like, plain, words_of


class MaskingSampler(BaseEstimator):
    """Draw new texts: words masked, words replaced, runs of a few words alone.

    The augmentation of Tang et al. [1]_: each word of a text is masked with probability
    `p_mask`, or else replaced with probability `p_replace`; then, with probability
    `p_ngram`, only a run of one to `max_ngram` words is kept. The paper replaces a word
    by one of the same part of speech, which takes a tagger for the language; here it is
    a word drawn from all given texts, as often as it occurs there.

    Words are what stands between spaces, with the punctuation on it; in scripts that
    are written without spaces each character is one. No text is empty or equals a given
    one up to spaces.

    Parameters
    ----------
    p_mask : float in [0, 1], default=0.1
        Probability that a word is masked.

    p_replace : float in [0, 1], default=0.1
        Probability that it is replaced; at most ``1 - p_mask``.

    p_ngram : float in [0, 1], default=0.25
        Probability that a text is cut down to a run of words.

    mask_token : str, default=""
        What stands for a masked word; the empty string leaves it out. For a teacher
        that was trained with one, such as ``"[MASK]"``.

    max_ngram : int, default=5
        Most words of such a run.

    Attributes
    ----------
    n_rows_ : int
        Number of texts given.

    References
    ----------
    .. [1] Tang, Lu, Liu, Mou, Vechtomova, Lin, "Distilling task-specific knowledge from
       BERT into simple neural networks", arXiv:1903.12136, 2019, section 3.3.

    Examples
    --------
    >>> from skdistill.transfer import MaskingSampler
    >>> texts = ["a fine dress in a fine colour", "too large and too long for me"]
    >>> new = MaskingSampler().fit(texts).sample(100, random_state=0)
    >>> len(new), set(new) & set(texts)
    (100, set())
    """

    _parameter_constraints = {
        "p_mask": [Interval(Real, 0, 1, closed="both")],
        "p_replace": [Interval(Real, 0, 1, closed="both")],
        "p_ngram": [Interval(Real, 0, 1, closed="both")],
        "mask_token": [str],
        "max_ngram": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self, p_mask=0.1, p_replace=0.1, p_ngram=0.25, *, mask_token="", max_ngram=5
    ):
        self.p_mask = p_mask
        self.p_replace = p_replace
        self.p_ngram = p_ngram
        self.mask_token = mask_token
        self.max_ngram = max_ngram

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, *, teacher=None):
        """Learn the words of the texts.

        Parameters
        ----------
        X : list, tuple, Series or 1-d array of str of shape (n_samples,)
            Texts.

        teacher : object, default=None
            Not used.

        Returns
        -------
        self : MaskingSampler

        Raises
        ------
        TypeError
            If X is no sequence of str.

        ValueError
            If no text has a word, or ``p_mask + p_replace`` is above 1.
        """
        check_texts(X)
        if self.p_mask + self.p_replace > 1:
            raise ValueError(
                "p_mask + p_replace must be at most 1, got "
                f"{self.p_mask!r} + {self.p_replace!r}. Lower one of them."
            )
        pairs = [words_of(text) for text in X]
        lengths = np.fromiter(map(len, pairs), np.intp, len(pairs))
        if not lengths.any():
            raise ValueError("X must have a word in some text, got none. Drop X.")
        self._X = X
        self._known = {plain(text) for text in X}
        words, spaces = zip(*(pair for text in pairs for pair in text), strict=True)
        self._words, self._word = _coded(words)
        self._spaces, self._space = _coded(spaces)
        self._start, self._length = np.cumsum(lengths) - lengths, lengths
        self.n_rows_ = len(pairs)
        return self

    def sample(self, n_samples, random_state=None):
        """Draw new texts.

        Parameters
        ----------
        n_samples : int
            Number of texts. Fewer come back only where the texts leave no room for new
            ones (a word or two each).

        random_state : int, RandomState instance or None, default=None
            Seed of the draw.

        Returns
        -------
        X : list, tuple, Series or array of str of shape (<= n_samples,)
            Texts in what `fit` was given.
        """
        check_is_fitted(self, "n_rows_")
        check_n_samples(n_samples)
        rng = check_random_state(random_state)
        written = np.flatnonzero(self._length)
        rows = np.resize(rng.permutation(written), n_samples)
        new = np.empty(n_samples, dtype=object)
        fresh = np.zeros(n_samples, dtype=bool)
        for attempt in range(N_ATTEMPTS):
            todo = np.flatnonzero(~fresh)
            if not todo.size:
                break
            if attempt >= N_ATTEMPTS // 2:  # these texts have nothing new in them
                rows[todo] = written[rng.randint(len(written), size=todo.size)]
            for part in np.split(todo, range(CHUNK, todo.size, CHUNK)):
                new[part] = self._draw(rows[part], rng)
                fresh[part] = [
                    bool(t) and plain(t) not in self._known for t in new[part]
                ]
        return like(self._X, new[fresh], rows[fresh])

    def _draw(self, rows, rng):
        """Draw one text from each of some given ones; "" where no word is left."""
        length = self._length[rows]
        owner = np.repeat(np.arange(len(rows)), length)
        place = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
        at = self._start[rows][owner] + place
        word, u = self._word[at], rng.random_sample(len(at))
        masked = u < self.p_mask
        swapped = np.flatnonzero(~masked & (u < self.p_mask + self.p_replace))
        word[swapped] = self._word[rng.randint(len(self._word), size=swapped.size)]
        # The run of words that is kept: all of them where there is no cut.
        is_cut = rng.random_sample(len(rows)) < self.p_ngram
        n_kept = np.where(is_cut, rng.randint(1, self.max_ngram + 1, len(rows)), length)
        n_kept = np.minimum(n_kept, length)
        first = rng.randint(0, length - n_kept + 1)
        kept = (place >= first[owner]) & (place < (first + n_kept)[owner])
        is_empty = np.bincount(owner[kept & ~masked], minlength=len(rows)) == 0
        if not self.mask_token:
            kept &= ~masked
        pieces = self._words[word]
        pieces[masked] = self.mask_token
        pieces = (pieces + self._spaces[self._space[at]])[kept]
        ends = np.cumsum(np.bincount(owner[kept], minlength=len(rows)))
        return [
            "" if empty else "".join(pieces[low:high]).rstrip()
            for low, high, empty in zip([0, *ends[:-1]], ends, is_empty, strict=True)
        ]


def _coded(strings):
    """Distinct strings as an array of objects, and the position of each there."""
    table = {}
    codes = [table.setdefault(string, len(table)) for string in strings]
    distinct = np.empty(len(table), dtype=object)
    distinct[:] = list(table)
    return distinct, np.asarray(codes, dtype=np.int32)
