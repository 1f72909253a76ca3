"""NGramStudent: a classifier of texts by hashed n-grams, small enough to ship."""

from numbers import Integral, Real

import numpy as np
from scipy import sparse
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_consistent_length, check_is_fitted
from threadpoolctl import threadpool_limits

from skdistill._compat import Interval, StrOptions, fit_context
from skdistill._ngrams import NGramEncoder
from skdistill.students._base import _ABSENT
from skdistill.students._layers import check_hidden_sizes, draw_layers
from skdistill.students._net_student import NetStudent, run_layers
from skdistill.students._ngram_linear import Bags, fit_logits
from skdistill.students._ngram_rows import (
    HashedTexts,
    check_lengths,
    check_texts,
    choose_buckets,
    closed_encoder,
    merge_texts,
    open_settings,
    rarity,
)
from skdistill.students._settings import FEW_ROWS, Settings
from skdistill.students._training_rows import training_rows

#: Rows of the table that are looked up at once: bounds the memory of a prediction.
BLOCK_SIZE = 1 << 17

#: Classes up to which "auto" means a logit for each.
MOST_LOGITS = 100

#: Spread of the initial embeddings.
SPREAD = 0.05


class NGramStudent(NetStudent):
    """Classifier of texts that learns from labels or from soft targets.

    A text is the set of its words, of runs of words, and of runs of characters within
    words. Each is hashed to a bucket, and the buckets that most training texts fall
    upon get a row in a table. The rows of a text are added up and divided by the square
    root of their number. No language is assumed: ideographs and kana count as words,
    accents are composed, case is folded, and runs of characters serve languages that
    inflect.

    A row holds a logit for each class, and the sum is the answer: a logistic
    regression, solved to its optimum, in which n-grams that tell classes apart are
    penalised less [3]_. Or, for very many classes, a row is an embedding, and a small
    net answers [1]_ [2]_. It is trained in torch, through skorch, on the CPU: AdamW
    with warm-up and cosine, averaged weights, and an early stop on texts held back. The
    fitted student is plain arrays and answers without torch.

    Parameters
    ----------
    hidden_layer_sizes : array-like of int or "auto", default="auto"
        Number of units of each hidden layer (ReLU) behind the table. Empty means the
        linear student, whose rows are logits. "auto" is that up to 100 classes or 200
        texts, and (32,) for more.

    embedding_size : int, default=16
        Numbers in a row of the table of a net. A row of a linear student has one for
        two classes, and else one for each class.

    n_buckets : int, default=65536
        Rows of the table at most. A linear student of more than `embedding_size`
        classes has fewer, and no more numbers in all than a net's table. With
        ``quantize="int8"`` an exported student takes a byte for each number, and about
        three for each row besides; fewer where the training texts have fewer n-grams.

    word_ngrams : int, default=2
        Longest run of words, 5 at most.

    char_ngrams : tuple (shortest, longest) or None, default=(3, 5)
        Runs of characters within a word and the marks at its ends, 10 at most. None
        leaves them out.

    min_texts : int or "auto", default="auto"
        Distinct training texts that an n-gram must occur in to get a row. "auto" is 1
        up to 200 texts, and 2 from there.

    C : float or "auto", default="auto"
        Inverse strength of the L2 penalty of a linear student, for the sum of the
        losses of the texts. "auto" tries powers of about 3 on texts held back: one
        part in five after the other up to 1,000 texts, `validation_fraction` of more,
        or those of `validation`; it learns from all texts in the end. The parameters
        below are those of a net, but for `validation_fraction` and `random_state`.

    learning_rate : float, default=0.002
        Highest learning rate of AdamW; a third of it for the table.

    weight_decay : float or "auto", default="auto"
        Decoupled weight decay of the table; it is .05 in the layers. "auto" falls
        with the root of the number of texts: 30 up to 1,600, 9 for 17,000.

    batch_size : int or "auto", default="auto"
        Texts of one gradient step. "auto" is 128, and 256 from 50,000 texts. Up to 200
        texts are always one batch.

    max_steps : int or "auto", default="auto"
        Gradient steps at most. "auto" is ten passes over the texts, within 300 and
        6,000 steps.

    early_stopping : bool, default=True
        Whether to hold texts back, to stop where their loss no longer falls, and to
        keep the weights at which it was lowest. Texts are never held back out of 200 or
        fewer, nor where `validation` is given.

    validation_fraction : float, default=0.1
        Part of the distinct texts that is held back, 10,000 at most.

    patience : int, default=1000
        Gradient steps without a lower validation loss after which training stops.

    ema_decay : float, default=0.999
        Decay per step of the exponential moving average of the weights, which is what
        is evaluated and kept. 0 keeps the weights themselves.

    callbacks : list of skorch callbacks, default=None
        Added to the net: those that watch the history or end training. An epoch is what
        lies between two evaluations.

    random_state : int, RandomState instance or None, default=None
        Seeds initial weights, texts held back and order of texts.

    verbose : int, default=0
        Above 0, skorch shows each epoch.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels.

    encoder_ : NGramEncoder
        Turns a text into the numbers of its rows.

    table_ : ndarray of float32 of shape (n_rows, n_numbers)
        Embeddings, or logits of a linear student. The first belongs to every text.

    coefs_, intercepts_ : list of ndarray
        Weights (n_in, n_out) and intercepts (n_out,) of each layer, float64.

    C_ : float or None
        The inverse penalty of a linear student.

    net_ : BagStudentNet or None
        The skorch net of the last fit, with its `history`; None for a linear student.
        It is left out of pickles and copies.

    n_steps_ : int
        Gradient steps taken, or iterations of a linear student's solver (L-BFGS).

    See Also
    --------
    LogisticStudent : Behind a TfidfVectorizer the linear student of counted words.

    Notes
    -----
    N-grams that no training text has are passed over; a text of nothing else gets about
    the mean answer. Characters beyond the first 50,000 of a text are not looked at.

    References
    ----------
    .. [1] Joulin, Grave, Bojanowski, Mikolov, "Bag of tricks for efficient text
       classification", EACL 2017.
    .. [2] Ye, Khabsa, Lewis, Wang, Ren, Jaech, "Sparse distillation: speeding up text
       classification by using bigger student models", NAACL 2022.
    .. [3] Wang, Manning, "Baselines and bigrams: simple, good sentiment and topic
       classification", ACL 2012.

    Examples
    --------
    >>> from skdistill import NGramStudent
    >>> X = ["good soup", "very good bread", "bad soup", "very bad bread"] * 5
    >>> y = [1, 1, 0, 0] * 5
    >>> student = NGramStudent(random_state=0).fit(X, y)
    >>> student.predict(["good tea", "bad tea"])
    array([1, 0])

    On soft targets, one probability for each class:

    >>> P = student.predict_proba(X)
    >>> small = NGramStudent((8,), embedding_size=4, random_state=0)
    >>> small.fit_soft_targets(X, P, classes=[0, 1]).predict(["a good tea"])
    array([1])
    """

    _parameter_constraints: dict = {
        **NetStudent._parameter_constraints,
        "hidden_layer_sizes": [StrOptions({"auto"}), "array-like"],
        "embedding_size": [Interval(Integral, 1, None, closed="left")],
        "n_buckets": [Interval(Integral, 1, 1 << 22, closed="both")],
        "word_ngrams": [Interval(Integral, 1, 5, closed="both")],
        "char_ngrams": [tuple, list, None],
        "min_texts": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "C": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        hidden_layer_sizes="auto",
        *,
        embedding_size=16,
        n_buckets=65536,
        word_ngrams=2,
        char_ngrams=(3, 5),
        min_texts="auto",
        C="auto",
        learning_rate=0.002,
        weight_decay="auto",
        batch_size="auto",
        max_steps="auto",
        early_stopping=True,
        validation_fraction=0.1,
        patience=1000,
        ema_decay=0.999,
        callbacks=None,
        random_state=None,
        verbose=0,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.embedding_size = embedding_size
        self.n_buckets = n_buckets
        self.word_ngrams = word_ngrams
        self.char_ngrams = char_ngrams
        self.min_texts = min_texts
        self.C = C
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_steps = max_steps
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.ema_decay = ema_decay
        self.callbacks = callbacks
        self.random_state = random_state
        self.verbose = verbose

    # -- fit ---------------------------------------------------------------------------

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, sample_weight=None):
        """Fit on labels.

        Parameters
        ----------
        X : list, tuple, 1-d array or Series of str of shape (n_samples,)
            Texts. Missing ones are an error.

        y : array-like of shape (n_samples,)
            Labels.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of texts; only their proportions matter.

        Returns
        -------
        self : NGramStudent
        """
        return self._fit_labels(X, y, sample_weight)

    def _fit_checked(self, X, P, weight, classes, validation=None, temperature=1.0):
        settings = open_settings(self.word_ngrams, check_lengths(self.char_ngrams))
        texts, P, weight = merge_texts(X, P, weight)
        few = len(texts) <= FEW_ROWS
        hidden_sizes = self._hidden_sizes(len(classes), few)
        held = None
        if validation is not None:
            validation = self._check_validation(validation, len(classes))
        # The table: which n-grams have a row, and how much each says by itself.
        hashed = HashedTexts.of(texts, NGramEncoder(settings))
        least = (1 if few else 2) if self.min_texts == "auto" else self.min_texts
        n_most = self.n_buckets
        if not hidden_sizes and len(classes) > self.embedding_size:
            n_most = max(n_most * self.embedding_size // len(classes), 1)
        buckets, counts = choose_buckets(hashed, least, n_most)
        factor = rarity(counts, len(texts))
        encoder = closed_encoder(settings, buckets)
        start = Bags(hashed.with_rows(buckets).matrix(factor), P, weight)
        del hashed
        if validation is not None:
            more, P, weight = merge_texts(*validation)
            held = Bags(HashedTexts.of(more, encoder).matrix(factor), P, weight)

        rng = check_random_state(self.random_state)
        if hidden_sizes:
            table = self._train(start, held, hidden_sizes, few, temperature, rng)
        else:
            table = self._solve(start, held, temperature, rng)
        # What an n-gram says by itself is folded into its row.
        self.table_ = (table * factor[:, np.newaxis]).astype(np.float32)
        self.encoder_ = encoder
        self.classes_ = classes
        self._quick_width = -1  # marks the end of a fit; see the base class
        return self

    def _hidden_sizes(self, n_classes, few):
        if isinstance(self.hidden_layer_sizes, str):
            return [] if few or n_classes <= MOST_LOGITS else [32]
        return check_hidden_sizes(self.hidden_layer_sizes)

    def _solve(self, start, held, temperature, rng):
        """Fit a linear student; return its table."""
        with threadpool_limits(1, user_api="blas"):  # more only wait for each other
            logits = fit_logits(
                start, self.C, held=held, fraction=self.validation_fraction, rng=rng
            )
        # Two classes have one column: half of it is for the second, half against
        # the first.
        n_logits = logits.table.shape[1]
        spread = np.array([[-0.5, 0.5]]) if n_logits == 1 else np.eye(n_logits)
        self.coefs_ = [temperature * spread]
        self.intercepts_ = [temperature * (logits.intercept @ spread)]
        self.C_, self.n_steps_, self.net_ = logits.C, logits.n_iter, None
        return logits.table

    def _train(self, start, held, hidden_sizes, few, temperature, rng):
        """Train a net; return its table."""
        from skdistill.students import _ngram_net
        from skdistill.students._torch import Plan, bounded_threads

        # What is trained on, and what is held back.
        bags, dtype = start.X, np.float64 if few else np.float32
        rows = _numbered(start, 0, dtype)
        if held is None:
            rows, held = self._set_aside(rows, few, rng)
        elif self.early_stopping:
            bags = sparse.vstack([bags, held.X], format="csr")
            held = _numbered(held, len(start.P), dtype)
        else:
            held = None
        n_texts, n_in = len(rows.X), self.embedding_size
        settings = self._resolve(n_texts, few)
        n_steps, batch_size = settings.n_steps, settings.batch_size
        table = rng.uniform(-SPREAD, SPREAD, size=(bags.shape[1], n_in))
        sizes = [n_in, *hidden_sizes, rows.target.shape[1]]
        coefs, intercepts = draw_layers(sizes, "relu", rows.target, temperature, rng)
        plan = Plan(
            n_steps=n_steps,
            n_between=min(n_steps, 100, max(5, n_texts // batch_size // 2)),
            n_warmup=min(100, n_steps // 10),
            patience=None if held is None else self.patience,
            ema_decay=self.ema_decay,
            temperature=temperature,
        )
        with bounded_threads(0):
            net = _ngram_net.train(
                bags.astype(dtype), table, coefs, intercepts, rows, held,
                plan=plan, lr=settings.learning_rate, batch_size=batch_size,
                weight_decay=(settings.weight_decay, 0.05), shuffle=not few,
                seed=int(rng.randint(np.iinfo(np.int32).max)),
                callbacks=self.callbacks, verbose=self.verbose,
            )  # fmt: skip
        self.coefs_, self.intercepts_, table = net.kept_layers()
        self.C_, self.n_steps_, self.net_ = None, net.n_steps_, net
        return table

    def _resolve(self, n_texts, few):
        """Length and strength of training for a number of texts."""
        batch_size, n_steps = self.batch_size, self.max_steps
        decay = self.weight_decay
        if few:
            batch_size = n_texts
        elif batch_size == "auto":
            batch_size = 256 if n_texts >= 50_000 else 128
        if n_steps == "auto":
            passes = 10 * n_texts // batch_size
            n_steps = min(max(passes, 300), 6000)
        if decay == "auto":
            decay = min(1200.0 / n_texts**0.5, 30.0)
        return Settings(n_steps, self.learning_rate, batch_size, decay)

    # -- input -------------------------------------------------------------------------

    def _check_rows(self, X, y=_ABSENT, *, reset):
        texts = check_texts(X)
        if y is _ABSENT:
            return texts
        if y is None:
            raise ValueError(
                "NGramStudent requires y to be passed, but the target y is None."
            )
        check_consistent_length(texts, y)
        return texts, y

    # -- answers -----------------------------------------------------------------------

    def _decision(self, X):
        if "_quick_width" not in self.__dict__:
            check_is_fitted(self)
        texts = check_texts(X)
        if len(texts) == 1:
            return self._logits(self._embed(texts[0]))[np.newaxis]
        Z = np.empty((len(texts), len(self.classes_)))
        for start, block in _blocks(texts, self.encoder_):
            Z[start : start + len(block.starts) - 1] = self._logits(self._sums(block))
        return Z

    def _embed(self, text):
        rows = self.encoder_.rows(text)
        total = self.table_.take(rows, axis=0).sum(axis=0, dtype=np.float64)
        total /= len(rows) ** 0.5
        return total

    def _sums(self, block):
        rows = self.table_.take(block.numbers, axis=0)
        total = np.add.reduceat(rows, block.starts[:-1], axis=0, dtype=np.float64)
        return total / np.sqrt(np.diff(block.starts))[:, np.newaxis]

    def _logits(self, Z):
        return run_layers(Z, self.coefs_, self.intercepts_, "relu")

    def __sklearn_tags__(self):
        """Texts are taken, and nothing else."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.input_tags.allow_nan = False
        return tags


# -- helpers ---------------------------------------------------------------------------


def _numbered(bags, first, dtype):
    """Training rows whose X are the numbers of texts."""
    numbers = np.arange(first, first + len(bags.P), dtype=np.float64)[:, np.newaxis]
    rows = training_rows(numbers, bags.P, bags.weight)
    return type(rows)(rows.X, rows.target.astype(dtype), rows.is_even)


def _blocks(texts, encoder):
    """Hash texts, as many at once as the memory of a prediction allows."""
    start, found, size = 0, [], 0
    for i, text in enumerate(texts):
        found.append(encoder.rows(text))
        size += len(found[-1])
        if size >= BLOCK_SIZE or i == len(texts) - 1:
            starts = np.cumsum([0, *map(len, found)])
            yield start, HashedTexts(np.concatenate(found), starts)
            start, found, size = i + 1, [], 0
