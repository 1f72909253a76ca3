"""load_onnx: a classifier out of a file, with numpy and onnxruntime alone."""

import numpy as np

from skdistill.deploy._reading import (
    INPUT_TYPES,
    MAX_BYTES,
    read_content,
    read_file,
)
from skdistill.deploy._rows import OWNER, check_texts, feeds, is_sparse

#: Rows that the graph is given at once: bounds the memory of what lies between.
N_BLOCK = 4096

#: A sum of squares below this means: finite, and within float32.
_SOUND = 1e37

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
_ANSWER = ["probabilities"]


def load_onnx(path, *, n_threads=1, max_bytes=MAX_BYTES):
    """Load what `export_onnx` wrote, without trust in it.

    Nothing in the file is run but arithmetic on tensors: operators are held against a
    list, no other file is opened, and a file that is cut short, damaged or from
    elsewhere is refused. numpy and onnxruntime are enough.

    Parameters
    ----------
    path : str or path-like
        The file.

    n_threads : int, default=1
        Threads that share the work of one call. A small model is fastest with one;
        calls from several threads run side by side anyway.

    max_bytes : int, default=268_435_456
        Largest file that is read.

    Returns
    -------
    model : OnnxClassifier

    Raises
    ------
    FileNotFoundError
        If there is no such file.

    ValueError
        If it is not as `export_onnx` writes it, or too large.

    Notes
    -----
    The digest tells damage, not who wrote a file. Whoever may write files may also make
    one that is right in form, answers nonsense or takes long to answer. onnxruntime
    before 1.26 can be made to crash by a forest that was written for it.
    """
    return OnnxClassifier(read_file(path, max_bytes), n_threads=n_threads)


class OnnxClassifier:
    """A classifier as `export_onnx` wrote it, answered by onnxruntime.

    It is fitted and stays so: `fit` learns nothing. It goes wherever scikit-learn takes
    a fitted classifier (Pipeline, FrozenEstimator, scorers, calibration), and does not
    need scikit-learn itself. A pickle holds the bytes of the file, which are checked
    again when it is loaded. Threads may share it.

    Parameters
    ----------
    content : bytes
        A file as `export_onnx` writes it; :func:`load_onnx` reads one.

    n_threads : int, default=1
        Threads that share the work of one call.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels.

    n_features_in_ : int
        Number of features; absent for models of text.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features, where the model was fitted with them.

    metadata_ : dict
        What the file says of the model: versions, figures of the report, tolerance.

    See Also
    --------
    load_onnx : Reads a file.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_iris
    >>> from skdistill import LogisticStudent
    >>> from skdistill.deploy import export_onnx, load_onnx
    >>> X, y = load_iris(return_X_y=True)
    >>> student = LogisticStudent().fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "student.onnx"
    ...     _ = export_onnx(student, path)
    ...     model = load_onnx(path)
    >>> bool((model.predict(X) == student.predict(X)).all())
    True
    """

    def __init__(self, content, *, n_threads=1):
        self._bytes = content
        self._content = read_content(content)
        self.metadata_ = self._content.metadata
        self.classes_ = self._content.classes
        if self._content.n_features is not None:
            self.n_features_in_ = self._content.n_features
        if self._content.names is not None:
            self.feature_names_in_ = np.array(self._content.names, dtype=object)
        self._encoder = _text_encoder(self._content.text)
        self._quick = _quick_input(self._content)
        self._start(n_threads)

    def _start(self, n_threads):
        self._session = open_session(self._bytes, n_threads)
        self.n_threads = n_threads
        _check_graph(self._session, self._content)
        self._try_out()

    def _try_out(self):
        """Answer rows of zeros: the first calls take long, and shapes must be right."""
        if self._encoder is not None:
            self._answer_rows({self._content.inputs[0].name: np.zeros(1, np.int64)}, 1)
            return
        if any(entry.dtype == "string" for entry in self._content.inputs):
            return  # an encoder may refuse categories that it has not met
        for n_rows in (1, 3):
            feed = {entry.name: _blank(entry, n_rows) for entry in self._content.inputs}
            self._answer_rows(feed, n_rows)

    # -- answers -----------------------------------------------------------------------

    def predict_proba(self, X):
        """Probabilities of the classes.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix of shape (n_samples, n_features), \
                or list of str
            Rows, as they were in fit. Data frames of pandas, polars and pyarrow are
            read by column; sparse rows are made dense, some at a time.

        Returns
        -------
        P : ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`; float32, or float64 where the model was
            exported so.
        """
        name, width, dtype = self._quick
        # Nearly all calls: rows that need no more than a look. They go the whole way
        # here, as each function in between would cost a tenth of the answer.
        if (
            type(X) is np.ndarray
            and X.dtype in _FLOATS
            and X.ndim == 2
            and X.shape[1] == width
            and 0 < X.shape[0] <= N_BLOCK
            and np.vdot(X, X) < _SOUND
        ):
            if X.dtype is not dtype:
                X = X.astype(dtype)
            try:
                return self._session.run(_ANSWER, {name: X})[0]
            except Exception as error:
                raise _failed(error) from error
        return self._answer(X)

    def predict(self, X):
        """Most probable class of each row.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix of shape (n_samples, n_features), \
                or list of str
            Rows, as in `predict_proba`.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Labels out of `classes_`.
        """
        return self.classes_.take(self.predict_proba(X).argmax(axis=1))

    def score(self, X, y, sample_weight=None):
        """Accuracy.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix of shape (n_samples, n_features), \
                or list of str
            Rows, as in `predict_proba`.

        y : array-like of shape (n_samples,)
            True labels.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of rows.

        Returns
        -------
        accuracy : float
        """
        return float(np.average(self.predict(X) == y, weights=sample_weight))

    def _answer(self, X):
        if self._encoder is not None:
            return self._answer_texts(check_texts(X))
        if is_sparse(X):
            X = X.tocsr()
            # Rows are cut first: as a whole they may not fit memory once dense.
            starts = range(0, max(X.shape[0], 1), N_BLOCK)
            dense = (X[start : start + N_BLOCK].toarray() for start in starts)
            return np.concatenate([self._answer(rows) for rows in dense])
        feed = feeds(X, self._content)
        n_samples = len(next(iter(feed.values())))
        if n_samples <= N_BLOCK:
            return self._answer_rows(feed, n_samples)
        P = []
        for start in range(0, n_samples, N_BLOCK):
            block = {name: rows[start : start + N_BLOCK] for name, rows in feed.items()}
            P.append(self._answer_rows(block, min(N_BLOCK, n_samples - start)))
        return np.concatenate(P)

    def _answer_texts(self, texts):
        """Ask text by text: the graph takes the n-grams of one."""
        name = self._content.inputs[0].name
        find = self._encoder.rows
        return np.concatenate(
            [self._answer_rows({name: find(text)}, 1) for text in texts]
        )

    def _answer_rows(self, feed, n_rows):
        try:
            P = self._session.run(_ANSWER, feed)[0]
        except Exception as error:
            raise _failed(error) from error
        if P.shape != (n_rows, len(self.classes_)):
            raise ValueError(
                f"The model must answer {(n_rows, len(self.classes_))!r} "
                f"probabilities, got {P.shape!r}. Export it again with export_onnx."
            )
        return P

    # -- as an estimator ---------------------------------------------------------------

    def fit(self, X=None, y=None, **params):
        """Do nothing: the model is fitted already, as a FrozenEstimator is.

        Parameters
        ----------
        X, y, **params : object
            Ignored.

        Returns
        -------
        self : OnnxClassifier
        """
        return self

    def get_params(self, deep=True):
        """Parameters that can be set.

        Parameters
        ----------
        deep : bool, default=True
            Ignored.

        Returns
        -------
        params : dict
            "n_threads".
        """
        return {"n_threads": self.n_threads}

    def set_params(self, **params):
        """Set parameters.

        Parameters
        ----------
        **params : dict
            "n_threads".

        Returns
        -------
        self : OnnxClassifier

        Raises
        ------
        ValueError
            If there is another.
        """
        n_threads = params.pop("n_threads", self.n_threads)
        if params:
            raise ValueError(
                f"Invalid parameter {next(iter(params))!r} for estimator {self!r}. "
                "Valid parameters are: ['n_threads']."
            )
        if n_threads != self.n_threads:
            self._start(n_threads)
        return self

    def __sklearn_clone__(self):
        """Copy that shares the session: there is nothing to forget."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def __sklearn_is_fitted__(self):
        return True

    def __sklearn_tags__(self):
        """Tags of a classifier; scikit-learn is there when it asks for them."""
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        content = self._content
        return Tags(
            estimator_type="classifier",
            target_tags=TargetTags(required=False),
            classifier_tags=ClassifierTags(multi_class=len(self.classes_) > 2),
            input_tags=InputTags(
                two_d_array=content.text is None,
                sparse=content.text is None,
                string=content.text is not None,
                categorical=any(entry.dtype == "string" for entry in content.inputs),
                allow_nan=content.allow_nan,
            ),
        )

    def __reduce__(self):
        return _rebuild, (self._bytes, self.n_threads)

    def __repr__(self):
        what = "text" if self._content.text else f"{self.n_features_in_} features"
        return f"{OWNER}({what}, {len(self.classes_)} classes)"


def _rebuild(content, n_threads):
    return OnnxClassifier(content, n_threads=n_threads)


# -- the session -----------------------------------------------------------------------


def open_session(content, n_threads=1):
    """Give checked bytes to onnxruntime.

    Parameters
    ----------
    content : bytes
        A model that `read_content` let pass.

    n_threads : int, default=1
        Threads that share the work of one call.

    Returns
    -------
    session : onnxruntime.InferenceSession

    Raises
    ------
    ValueError
        If onnxruntime does not take it.
    """
    if not isinstance(n_threads, int) or isinstance(n_threads, bool) or n_threads < 1:
        raise ValueError(
            f"n_threads must be an integer of at least 1, got {n_threads!r}. Pass 1 "
            "for a small model."
        )
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4  # errors are raised, not written to the terminal
    # Else onnxruntime takes bytes that look like its own format for that.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    # A thread that waits for work shall not keep a core busy.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(
            content,
            options,
            providers=["CPUExecutionProvider"],
            enable_fallback=0,  # it would print, and try the same again
        )
    except Exception as error:
        raise ValueError(
            "The model must be one that onnxruntime takes, got "
            f"{type(error).__name__}: {error}. Export it again with export_onnx, or "
            "install a newer onnxruntime."
        ) from error


def _failed(error):
    return ValueError(
        f"The model must answer the rows, but onnxruntime raised "
        f"{type(error).__name__}: {error}. Check the rows; if they are as in fit, "
        "export the model again."
    )


def _check_graph(session, content):
    """Hold the graph's inputs and outputs against what the metadata says of them."""
    found = {entry.name: entry.type for entry in session.get_inputs()}
    said = {entry.name: INPUT_TYPES[entry.dtype] for entry in content.inputs}
    if found != said:
        raise ValueError(
            f"The graph must have the inputs {said!r} that its metadata names, got "
            f"{found!r}. Export it again with export_onnx."
        )
    outputs = {entry.name: entry.type for entry in session.get_outputs()}
    if outputs.get(_ANSWER[0]) not in ("tensor(float)", "tensor(double)"):
        raise ValueError(
            "The graph must have an output 'probabilities' of floats, got "
            f"{outputs!r}. Export it again with export_onnx."
        )


def _blank(entry, n_rows):
    shape = (n_rows, len(entry.columns))
    if entry.dtype == "string":
        return np.full(shape, "", dtype=object)
    return np.zeros(shape, dtype=entry.dtype)


def _quick_input(content):
    """Name, width and dtype of the only input; no array has the width -1.

    A model that knows names of columns looks at every array: scikit-learn's warning on
    missing names must not be lost.
    """
    entry = content.inputs[0]
    width = -1
    if (
        content.names is None
        and len(content.inputs) == 1
        and entry.dtype in ("float32", "float64")
        and entry.columns == list(range(content.n_features))
    ):
        width = content.n_features
    dtype = np.dtype(entry.dtype) if width > 0 else None
    return entry.name, width, dtype


def _text_encoder(settings):
    if settings is None:
        return None
    from skdistill._ngrams import NGramEncoder

    return NGramEncoder(settings)
