"""What a model costs: seconds and bytes."""

import gc
import importlib
import pickle
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
from threadpoolctl import threadpool_limits

from skdistill._compat import num_samples, safe_indexing


def measure_latency(
    model,
    X,
    *,
    batch_size=1,
    method="predict_proba",
    n_calls=1000,
    n_warmup=20,
    max_seconds=10.0,
):
    """Time that a model takes to answer, in seconds per call.

    Batches of rows of X are asked in turn. Numerical libraries (BLAS, OpenMP, torch
    where it is loaded) are held to one thread and Python's garbage collector is off
    while calls are timed; a model's own `n_jobs` is left as it is.

    Parameters
    ----------
    model : fitted estimator
        What to time.

    X : {array-like, DataFrame, sparse matrix} of shape (n_samples, n_features) or \
            list of str
        Rows.

    batch_size : int, default=1
        Rows in a call. Where X has fewer, or a number that it does not divide, a batch
        goes on with the first rows.

    method : str, default="predict_proba"
        Method that is called.

    n_calls : int, default=1000
        Number of timed calls.

    n_warmup : int, default=20
        Number of calls before them that are not timed.

    max_seconds : float, default=10.0
        No call is begun after so many seconds of timed calls, and no warming up after a
        tenth of that: a slow model is timed on fewer calls, at least on one.

    Returns
    -------
    latency : dict
        "p50", "p90" and "p99": median and further percentiles in seconds per call;
        "rows_per_second": rows answered in a second of timed calls; "n_calls": calls
        timed.

    Raises
    ------
    ValueError
        If there is no row, or `n_calls` or `batch_size` is less than 1.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skdistill.metrics import measure_latency
    >>> X, y = load_iris(return_X_y=True)
    >>> model = LogisticRegression(max_iter=1000).fit(X, y)
    >>> latency = measure_latency(model, X, n_calls=50)
    >>> sorted(latency)
    ['n_calls', 'p50', 'p90', 'p99', 'rows_per_second']
    >>> latency["p50"] <= latency["p99"]
    True
    """
    n_rows = num_samples(X)
    if n_rows == 0 or not (n_calls >= 1 and batch_size >= 1):
        raise ValueError(
            "X, n_calls and batch_size must give at least one call to time, got "
            f"{n_rows} rows, n_calls={n_calls!r} and batch_size={batch_size!r}. Pass "
            "some rows of the test set."
        )
    ask = getattr(model, method)
    # Cut before the clock runs: taking a row of a frame may cost more than the answer.
    batches = [
        safe_indexing(X, np.arange(start, start + batch_size) % n_rows)
        for start in range(0, min(n_rows, n_calls * batch_size), batch_size)
    ]
    with _one_thread(), _no_collection():
        _time_calls(ask, batches, n_calls=n_warmup, max_seconds=max_seconds / 10)
        times = _time_calls(ask, batches, n_calls=n_calls, max_seconds=max_seconds)
    p50, p90, p99 = np.percentile(times, [50, 90, 99]).tolist()
    return {
        "p50": p50,
        "p90": p90,
        "p99": p99,
        "rows_per_second": batch_size * len(times) / sum(times),
        "n_calls": len(times),
    }


def _time_calls(ask, batches, *, n_calls, max_seconds):
    """Seconds of each call, until there are enough or time is up."""
    times, stop = [], perf_counter() + max_seconds
    while len(times) < n_calls:
        batch = batches[len(times) % len(batches)]
        begin = perf_counter()
        ask(batch)
        end = perf_counter()
        times.append(end - begin)
        if end > stop:
            break
    return times


def model_size(model, *, format="pickle"):
    """Number of bytes that a model takes in a file.

    Parameters
    ----------
    model : object
        Any object for "pickle", else a fitted model that the format can hold.

    format : {"pickle", "skops", "onnx", "onnx-float16", "onnx-int8"} or callable, \
            default="pickle"
        "pickle" and "skops" count and write nothing. The others make the file in a
        temporary folder: those of :func:`~skdistill.deploy.export_onnx`, or a callable
        ``format(model, path)`` of your own; all files that it makes count. Models that
        export_onnx checks by rows need ``partial(export_onnx, X=X)`` here.

    Returns
    -------
    size : int
        Bytes.

    Raises
    ------
    ValueError
        If there is no such format, or it cannot hold the model.

    Examples
    --------
    >>> from skdistill.metrics import model_size
    >>> model_size(list(range(1000))) < model_size(list(range(2000)))
    True
    >>> model_size("model", format=lambda model, path: path.write_text(model))
    5
    """
    if callable(format):
        return _written_size(model, format)
    if format not in _FORMATS:
        raise ValueError(
            f"format must be one of {tuple(_FORMATS)!r} or a callable that writes a "
            f"model to a path, got {format!r}."
        )
    return _FORMATS[format](model)


def _pickled_size(model):
    counter = _ByteCounter()
    pickle.Pickler(counter, protocol=pickle.HIGHEST_PROTOCOL).dump(model)
    return counter.n_bytes


def _skops_size(model):
    import skops.io

    return len(skops.io.dumps(model))


def _onnx_size(model, quantize):
    # The room above this one: looked up only when somebody asks for its files.
    deploy = importlib.import_module("skdistill.deploy")
    return _written_size(model, partial(deploy.export_onnx, quantize=quantize))


def _written_size(model, write):
    with TemporaryDirectory() as folder:
        write(model, Path(folder) / "model")
        return sum(file.stat().st_size for file in Path(folder).iterdir())


_FORMATS = {
    "pickle": _pickled_size,
    "skops": _skops_size,
    "onnx": partial(_onnx_size, quantize=None),
    "onnx-float16": partial(_onnx_size, quantize="float16"),
    "onnx-int8": partial(_onnx_size, quantize="int8"),
}


class _ByteCounter:
    """A file that only counts what is written to it."""

    def __init__(self):
        self.n_bytes = 0

    def write(self, data):
        n_bytes = memoryview(data).nbytes
        self.n_bytes += n_bytes
        return n_bytes


@contextmanager
def _one_thread():
    torch = sys.modules.get("torch")
    n_threads = None if torch is None else torch.get_num_threads()
    with threadpool_limits(limits=1):
        if torch is not None:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            if torch is not None:
                torch.set_num_threads(n_threads)


@contextmanager
def _no_collection():
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
