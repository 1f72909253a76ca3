"""MLPStudent: a small net that trains in torch and answers in numpy."""

import warnings
from numbers import Integral, Real

import numpy as np
from sklearn.utils import check_random_state

from skdistill._compat import Interval, StrOptions, fit_context
from skdistill.soft_targets import one_hot
from skdistill.students._base import (
    check_classes,
    check_labels,
    check_weight,
    label_codes,
)
from skdistill.students._layers import check_hidden_sizes, draw_layers
from skdistill.students._net_student import ACTIVATIONS, NetStudent, run_layers
from skdistill.students._settings import FEW_ROWS, STREAM_ROWS, resolve
from skdistill.students._table import TableEncoder
from skdistill.students._training_rows import training_rows


class MLPStudent(NetStudent):
    """Multi-layer perceptron that learns from labels or from soft targets.

    Numeric, categorical and missing values are handled inside: numeric columns are
    scaled robustly and squeezed smoothly into (-3, 3), categories become columns of
    their own, and missing values get an indicator. Training runs in torch, through a
    skorch net: AdamW with warm-up and cosine, averaged weights, and an early stop on
    rows held back. The fitted student is plain arrays, answers without torch, and gives
    a row the same answer alone or among others.

    Up to 200 rows are fitted in float64, all at once and without holding rows back.

    Parameters
    ----------
    hidden_layer_sizes : array-like of int, default=(64, 64)
        Number of units of each hidden layer. Empty means a linear model.

    activation : {"identity", "logistic", "tanh", "relu"}, default="relu"
        Of the hidden layers.

    encoding : {"auto", "robust", "piecewise"}, default="auto"
        How numeric columns enter the net. "robust" is one input a column, scaled and
        squeezed; "piecewise" is one for each of a column's bins [2]_, which fits jumps
        better: worth trying where trees are good. "auto" is "robust"; in a
        DistilledClassifier it is whichever does better on held-out rows.

    n_bins : int, default=16
        Most bins of a column with ``encoding="piecewise"``.

    learning_rate : float or "auto", default="auto"
        Highest learning rate of AdamW. "auto" is .01, and .02 from 10,000 rows; a
        DistilledClassifier does not count the rows that it draws.

    weight_decay : float or "auto", default="auto"
        Decoupled weight decay of AdamW [1]_, on weights and not on intercepts. "auto"
        is 1000 divided by the number of rows, within .03 and 5; nets whose widest
        hidden layer has fewer than 64 units overfit less and take less in proportion.

    batch_size : int or "auto", default="auto"
        Rows of one gradient step. "auto" is 128, and 256 from 10,000 rows. Up to 200
        rows are always one batch.

    max_steps : int or "auto", default="auto"
        Gradient steps at most. "auto" is 300 up to 200 rows, then four times the number
        of rows within 2,000 and 10,000, and 16,000 from 100,000 rows.

    early_stopping : bool, default=True
        Whether to hold rows back, to stop where their loss no longer falls, and to keep
        the weights at which it was lowest. Rows that are equal stay on one side, unless
        there are 200 different ones or fewer. Rows are never held back out of 200 or
        fewer, nor where `validation` is given.

    validation_fraction : float, default=0.1
        Part of the rows that is held back, 10,000 rows at most.

    patience : int, default=1500
        Gradient steps without a lower validation loss after which training stops.

    ema_decay : float, default=0.999
        Decay per step of the exponential moving average of the weights, which is what
        is evaluated and kept. 0 keeps the weights themselves.

    max_categories : int, default=100
        Levels of a categorical column that get a column of their own; rarer ones share
        one.

    warm_start : bool, default=False
        Whether `fit` goes on from the last fit's weights (and its scaling of inputs).

    callbacks : list of skorch callbacks, default=None
        Added to the net: those that watch the history (loss, steps) or end training, as
        one does that raises KeyboardInterrupt. An epoch is what lies between two
        evaluations. Scores of batches, checkpoints and schedules of the learning rate
        are refused.

    device : str, default="auto"
        Where to train: a torch device such as "cpu" or "cuda:0". "auto" takes a GPU
        where there is one and the net is large enough to gain; few rows take the CPU.

    random_state : int, RandomState instance or None, default=None
        Seeds initial weights, rows held back and order of rows.

    verbose : int, default=0
        Above 0, skorch shows each epoch.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels.

    coefs_ : list of ndarray
        Weights (n_in, n_out) of each layer, float64.

    intercepts_ : list of ndarray
        Intercepts (n_out,) of each layer, float64.

    encoder_ : TableEncoder
        What turns a row into the first layer's input.

    net_ : StudentNet
        The skorch net of the last fit, with its `history`. It is left out of pickles
        and copies.

    n_steps_ : int
        Gradient steps taken, in `fit` or in all calls of `partial_fit`.

    n_features_in_ : int
        Number of features seen in `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features, where they are all strings.

    See Also
    --------
    LogisticStudent : The linear student, which takes sparse rows too.

    References
    ----------
    .. [1] Loshchilov, Hutter, "Decoupled weight decay regularization", ICLR 2019.
    .. [2] Gorishniy, Rubachev, Babenko, "On embeddings for numerical features in
       tabular deep learning", NeurIPS 2022.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skdistill import MLPStudent
    >>> X, y = load_iris(return_X_y=True)
    >>> student = MLPStudent((16,), random_state=0).fit(X, y)
    >>> student.score(X, y) > 0.95
    True

    On soft targets, one probability for each class:

    >>> P = student.predict_proba(X)
    >>> small = MLPStudent((4,), random_state=0)
    >>> small.fit_soft_targets(X, P, classes=student.classes_).predict(X[:3])
    array([0, 0, 0])
    """

    _parameter_constraints: dict = {
        **NetStudent._parameter_constraints,
        "learning_rate": [
            StrOptions({"auto"}),
            Interval(Real, 0, None, closed="neither"),
        ],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "encoding": [StrOptions({"auto", "robust", "piecewise"})],
        "n_bins": [Interval(Integral, 1, None, closed="left")],
        "max_categories": [Interval(Integral, 2, None, closed="left")],
        "warm_start": ["boolean"],
        "device": [str],
    }

    def __init__(
        self,
        hidden_layer_sizes=(64, 64),
        *,
        activation="relu",
        encoding="auto",
        n_bins=16,
        learning_rate="auto",
        weight_decay="auto",
        batch_size="auto",
        max_steps="auto",
        early_stopping=True,
        validation_fraction=0.1,
        patience=1500,
        ema_decay=0.999,
        max_categories=100,
        warm_start=False,
        callbacks=None,
        device="auto",
        random_state=None,
        verbose=0,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.encoding = encoding
        self.n_bins = n_bins
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_steps = max_steps
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.ema_decay = ema_decay
        self.max_categories = max_categories
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    # -- fit ---------------------------------------------------------------------------

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, sample_weight=None):
        """Fit on labels.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows. Missing values are NaN or null; columns of a data frame that hold no
            numbers are categories.

        y : array-like of shape (n_samples,)
            Labels.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of rows; only their proportions matter.

        Returns
        -------
        self : MLPStudent
        """
        return self._fit_labels(X, y, sample_weight)

    @fit_context(prefer_skip_nested_validation=False)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Take one pass over rows at a constant learning rate.

        The first call fixes the scaling of inputs, so it should hold rows of all kinds.
        After `fit`, or after loading, the optimiser starts afresh from `coefs_`.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows, as in `fit`.

        y : array-like of shape (n_samples,)
            Labels.

        classes : array-like of shape (n_classes,), default=None
            All labels that will ever come; needed in the first call only.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of rows; only their proportions within the call matter.

        Returns
        -------
        self : MLPStudent
        """
        first = not self.__sklearn_is_fitted__()
        classes = self._all_classes(classes, first)
        X, y = self._check_rows(X, y, reset=first)
        P = one_hot(label_codes(check_labels(y), classes), len(classes))
        weight = check_weight(sample_weight, X)
        if first:
            self.encoder_ = self._fit_encoder(X, weight)
            is_flat = not np.any(self.encoder_.rate_)
            if is_flat and self.encoder_.numeric_ and self.encoding != "piecewise":
                warnings.warn(
                    f"All {len(self.encoder_.numeric_)} numeric columns are constant "
                    "in the first call of partial_fit, which fixes their scaling: they "
                    "will never count. Begin with a call of many rows.",
                    UserWarning,
                    stacklevel=2,
                )
        self._take_pass(self._prepared(X, P, weight, few=False), first)
        self.classes_ = classes
        self._set_quick()
        return self

    def _all_classes(self, classes, first):
        if first and classes is None:
            raise ValueError(
                "classes must be given in the first call of partial_fit, got None. "
                "Pass all labels that will ever come, e.g. np.unique(y)."
            )
        if first:
            return check_classes(np.unique(classes))
        if classes is not None and not np.array_equal(
            np.unique(classes), self.classes_
        ):
            raise ValueError(
                "classes must be those of the first call of partial_fit, "
                f"{self.classes_.tolist()!r}, got {np.asarray(classes).tolist()!r}. "
                "Leave them out, or begin again with a new MLPStudent."
            )
        return self.classes_

    def _take_pass(self, rows, first):
        from skdistill.students._torch import Plan

        net = self.__dict__.get("net_")
        if first or net is None or net.plan.annealed:
            n_taken = 0 if first else self.n_steps_
            plan = Plan(1, None, ema_decay=self.ema_decay, annealed=False)
            # A stream does not say how many rows will come.
            settings = resolve(self, STREAM_ROWS, self._hidden_sizes())
            rng = check_random_state(self.random_state)
            net = self._make_net(rows, None, settings, plan, rng, warm=not first)
            net.n_steps_ = n_taken
        self._run(net, rows)

    def _begin_fit(self):
        return not self._is_warm() and super()._begin_fit()

    def _is_warm(self):
        return self.warm_start and self.__sklearn_is_fitted__()

    def _new_encoder(self):
        scaling = "robust" if self.encoding == "auto" else self.encoding
        return TableEncoder(scaling, self.max_categories, self.n_bins)

    def _fit_encoder(self, X, weight):
        if self._is_warm():
            new, kept = _encoding_of(self._new_encoder()), _encoding_of(self.encoder_)
            if new != kept:
                raise ValueError(
                    "encoding, n_bins and max_categories must be those of the net that "
                    f"training goes on from, {kept!r}, got {new!r}. Fit with "
                    "warm_start=False to begin again."
                )
        return self.encoder_ if self._is_warm() else super()._fit_encoder(X, weight)

    def _fit_encoded(self, X, P, weight, classes, validation, temperature=1.0):
        warm = self._is_warm()
        if warm and not np.array_equal(classes, self.classes_):
            raise ValueError(
                "y must have the classes of the last fit where warm_start=True, "
                f"{self.classes_.tolist()!r}, got {classes.tolist()!r}. Set "
                "warm_start=False to begin again."
            )
        rng = check_random_state(self.random_state)
        few = np.count_nonzero(weight) <= FEW_ROWS
        rows, held = self._prepared(X, P, weight, few), None
        settings = resolve(self, len(rows.X), self._hidden_sizes())
        if validation is None:
            rows, held = self._set_aside(rows, few, rng)
        elif self.early_stopping:
            held = self._prepared(*validation, few)
        plan = self._plan(settings, len(rows.X), held is not None, temperature)
        net = self._make_net(rows, held, settings, plan, rng, warm=warm)
        self._run(net, rows)

    def _plan(self, settings, n_rows, validated, temperature):
        from skdistill.students._torch import Plan

        n_steps = settings.n_steps
        return Plan(
            n_steps=n_steps,
            # About a pass where that is short: small tables overfit fast.
            n_between=min(n_steps, 100, max(10, n_rows // settings.batch_size)),
            n_warmup=min(200, n_steps // 10),
            patience=self.patience if validated else None,
            ema_decay=self.ema_decay,
            temperature=temperature,
        )

    def _prepared(self, X, P, weight, few):
        dtype = np.float64 if few else np.float32
        return training_rows(self.encoder_.transform(X, dtype), P, weight, merge=few)

    def _initial_layers(self, rows, rng, warm, temperature):
        sizes = [rows.X.shape[1], *self._hidden_sizes(), rows.target.shape[1]]
        if warm:
            fitted = [len(coef) for coef in self.coefs_] + [rows.target.shape[1]]
            if fitted != sizes:
                raise ValueError(
                    "hidden_layer_sizes must be those of the net that training goes on "
                    f"from, {tuple(fitted[1:-1])!r}, got {self.hidden_layer_sizes!r}. "
                    "Fit with warm_start=False to begin again."
                )
            return self.coefs_, self.intercepts_
        return draw_layers(sizes, self.activation, rows.target, temperature, rng)

    def _hidden_sizes(self):
        return check_hidden_sizes(self.hidden_layer_sizes)

    def _make_net(self, rows, held, settings, plan, rng, *, warm):
        from skdistill.students import _torch

        coefs, intercepts = self._initial_layers(rows, rng, warm, plan.temperature)
        dtype = rows.X.dtype
        work = settings.batch_size * sum(coef.size for coef in coefs)
        device = _torch.resolve_device(self.device, work)
        if dtype == np.float64:  # few rows, and not every device has such numbers
            device = "cpu"
        if held is not None:
            held = _torch.to_tensors(held.X, held.target, dtype=dtype, device=device)
        return _torch.make_net(
            coefs,
            intercepts,
            activation=self.activation,
            plan=plan,
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            batch_size=settings.batch_size,
            shuffle=dtype == np.float32,  # few rows are one batch, in canonical order
            dtype=dtype,
            device=device,
            seed=int(rng.randint(np.iinfo(np.int32).max)),
            callbacks=self.callbacks,
            verbose=self.verbose,
            validation=held,
        )

    def _run(self, net, rows):
        """Train on rows and take over the weights."""
        from skdistill.students import _torch

        X, target = _torch.to_tensors(
            rows.X, rows.target, dtype=rows.X.dtype, device=net.device
        )
        net.weighted = not rows.is_even
        work = net.batch_size * sum(a * b for a, b in net.module_.shapes)
        with _torch.bounded_threads(work):
            net.partial_fit(X, target)
        # The rows held back are not kept alive by the net.
        net.train_split = None
        self.coefs_, self.intercepts_ = net.kept_layers()
        self.n_steps_ = net.n_steps_
        self.net_ = net

    # -- answers -----------------------------------------------------------------------

    def _widest(self):
        return max(max(coef.shape) for coef in self.coefs_)

    def _logits(self, X):
        return run_layers(X, self.coefs_, self.intercepts_, self.activation)


def _encoding_of(encoder):
    """What decides how an encoder turns rows into inputs."""
    n_bins = encoder.n_bins if encoder.scaling == "piecewise" else None
    return encoder.scaling, n_bins, encoder.max_categories
