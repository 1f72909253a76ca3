"""Batches cut from whole tensors, for skorch.

Imported inside functions only: this module imports torch and skorch.
"""

import math

import numpy as np
import torch
from skorch.dataset import Dataset
from torch.utils.data import DataLoader, Subset

#: Rows that are gathered at a time, in bytes.
BLOCK_BYTES = 1_000_000


class TensorBatches:
    """Batches cut from whole tensors, in place of rows collated one by one.

    For skorch's ``iterator_train`` and ``iterator_valid``. A data set that is not made
    of arrays and tensors alone goes to torch's own DataLoader.

    Parameters
    ----------
    dataset : skorch.dataset.Dataset, Subset of one, or any torch Dataset
        Its X and y may be arrays, tensors, and tuples, lists and dicts of these.

    batch_size : int
        Rows in a batch.

    shuffle : bool, default=False
        Whether each pass takes the rows in a new random order.

    generator : torch.Generator, default=None
        Source of that order.

    n_batches : int, default=None
        Batches in one pass. None ends a pass with the data, the last batch being
        smaller; a number goes on where the last pass ended, in full batches only.
    """

    def __init__(
        self, dataset, batch_size=1, *, shuffle=False, generator=None, n_batches=None
    ):
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.generator = generator
        self.n_batches = n_batches
        self._parts = _whole_tensors(dataset)
        self._stream = None

    def __len__(self):
        if self.n_batches is not None:
            return self.n_batches
        return math.ceil(len(self.dataset) / self.batch_size)

    def __iter__(self):
        if self._parts is None:
            yield from DataLoader(
                self.dataset,
                batch_size=self.batch_size,
                shuffle=self.shuffle,
                generator=self.generator,
            )
        elif self.n_batches is None:
            yield from self._one_pass(drop_last=False)
        else:
            if self._stream is None:
                self._stream = self._endless()
            for _ in range(self.n_batches):
                yield next(self._stream)

    def _endless(self):
        while True:
            yield from self._one_pass(drop_last=len(self.dataset) >= self.batch_size)

    def _one_pass(self, drop_last):
        n_rows, size = len(self.dataset), self.batch_size
        end = n_rows // size * size if drop_last else n_rows
        if not self.shuffle:
            yield from _cut(self._parts, end, size)
            return
        device = None if self.generator is None else self.generator.device
        order = torch.randperm(n_rows, generator=self.generator, device=device)[:end]
        # Gathered some batches at a time: wide rows would not stay in the cache, and
        # the copy of a whole pass would be new memory each time.
        n_block = size * max(1, BLOCK_BYTES // max(1, size * _row_bytes(self._parts)))
        for rows in order.split(n_block):
            block = _map(
                lambda t, at=rows: t.index_select(0, at.to(t.device)), self._parts
            )
            yield from _cut(block, len(rows), size)


def _cut(parts, end, size):
    """Batches of the first rows of tensors, as views."""
    for start in range(0, end, size):
        stop = min(start + size, end)
        yield _map(lambda t, a=start, b=stop: t[a:b], parts)


def _row_bytes(parts):
    """Bytes of one row of all tensors."""
    sizes = []
    _map(lambda t: sizes.append(t[:1].numel() * t.element_size()), parts)
    return sum(sizes)


def _whole_tensors(dataset):
    """X and y of a data set as tensors, or None where it is not made of arrays."""
    index = None
    while isinstance(dataset, Subset):
        chosen = np.asarray(dataset.indices)
        index = chosen if index is None else chosen[index]
        dataset = dataset.dataset
    if (
        not isinstance(dataset, Dataset)
        or type(dataset).transform is not Dataset.transform
        or type(dataset).__getitem__ is not Dataset.__getitem__
    ):
        return None
    y = dataset.y
    if y is None:
        y = torch.zeros((len(dataset), 1))
    try:
        parts = _map(torch.as_tensor, (dataset.X, y))
    except (TypeError, ValueError, RuntimeError):
        return None
    if index is not None:
        index = torch.as_tensor(index)
        parts = _map(lambda t: t.index_select(0, index.to(t.device)), parts)
    return parts


def _map(function, data):
    if isinstance(data, torch.Tensor | np.ndarray):
        return function(data)
    if isinstance(data, dict):
        return {key: _map(function, value) for key, value in data.items()}
    if isinstance(data, tuple | list):
        return tuple(_map(function, value) for value in data)
    raise TypeError(f"Not made of arrays: {type(data).__name__}.")
