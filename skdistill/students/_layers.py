"""Layers of a small net: their sizes, and the weights they begin with."""

from itertools import pairwise

import numpy as np


def check_hidden_sizes(hidden_layer_sizes):
    """Return the units of each hidden layer as a list of int.

    Raises
    ------
    ValueError
        If they are anything but integers of at least 1.
    """
    sizes = np.asarray(hidden_layer_sizes)
    if sizes.size == 0:
        return []
    if sizes.ndim > 1 or sizes.dtype.kind not in "iu" or sizes.min() < 1:
        raise ValueError(
            "hidden_layer_sizes must be integers of at least 1, got "
            f"{hidden_layer_sizes!r}. Pass one number for each hidden layer, "
            "e.g. (64, 64)."
        )
    return sizes.ravel().tolist()


def draw_layers(sizes, activation, target, temperature, rng):
    """Draw the weights that training begins with.

    Parameters
    ----------
    sizes : list of int
        Width of the input, of each hidden layer, and of the output.

    activation : {"identity", "logistic", "tanh", "relu"}
        Of the hidden layers.

    target : ndarray of shape (n_samples, n_classes)
        Soft targets, times the rows' weights.

    temperature : float
        By which logits will be divided.

    rng : RandomState

    Returns
    -------
    coefs, intercepts : list of ndarray
        Of each layer.
    """
    coefs = [
        _draw_weights(n_in, n_out, activation, rng) for n_in, n_out in pairwise(sizes)
    ]
    intercepts = [np.zeros(n_out) for n_out in sizes[1:]]
    # Before the first step all rows get about the answer that is best for all.
    prior = target.sum(axis=0, dtype=np.float64) / target.sum()
    intercepts[-1] += temperature * np.log(np.maximum(prior, 1e-3))
    return coefs, intercepts


def _draw_weights(n_in, n_out, activation, rng):
    """Uniform weights that keep the variance of signals (He; Glorot)."""
    gain = 6.0 / n_in if activation == "relu" else 6.0 / (n_in + n_out)
    bound = np.sqrt(gain)
    return rng.uniform(-bound, bound, size=(n_in, n_out))
