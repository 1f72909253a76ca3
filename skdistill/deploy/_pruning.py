"""Smaller layers that answer much like the ones they come from: pure functions.

A net is a list of weights (n_in, n_out) and a list of biases (n_out,).
"""

import numpy as np

#: Fewest units of a hidden layer.
MIN_UNITS = 2


def weight_bytes(coefs, intercepts, quantize):
    """Bytes of the numbers of a net as an artefact stores them.

    Parameters
    ----------
    coefs, intercepts : list of ndarray
        Or of their shapes' stand-ins: only `shape` and `size` are looked at.

    quantize : {None, "float16", "int8"}
        How weights are stored; int8 has a float32 factor for each column. Biases are
        float32.

    Returns
    -------
    n_bytes : int
    """
    each = {None: 4, "float16": 2, "int8": 1}[quantize]
    per_column = 8 if quantize == "int8" else 4
    return sum(
        each * coef.size + per_column * intercept.size
        for coef, intercept in zip(coefs, intercepts, strict=True)
    )


def activations(coefs, intercepts, Z, act):
    """Outputs of the hidden layers for encoded rows, a list of (n_rows, n_units)."""
    outputs = []
    for coef, intercept in zip(coefs[:-1], intercepts[:-1], strict=True):
        Z = act(Z @ coef + intercept)
        outputs.append(Z)
    return outputs


def prune_units(coefs, intercepts, Z, max_bytes, quantize, *, act):
    """Take units out of hidden layers until the numbers fit into some bytes.

    Each time the unit goes that explains least of its next layer's input for the bytes
    that it takes: ``var(a_j) |w_j|^2`` with a_j its output and w_j its outgoing
    weights, as a share of the sum over its layer. Its mean output goes into the next
    layer's biases.

    Parameters
    ----------
    coefs, intercepts : list of ndarray
        The net; left as they are.

    Z : ndarray of shape (n_rows, n_in)
        Encoded rows.

    max_bytes : float
        Of weights and biases.

    quantize : {None, "float16", "int8"}
        How weights are stored.

    act : callable
        Activation of hidden layers; may write into its argument.

    Returns
    -------
    coefs, intercepts : list of ndarray
        As small as asked, or of `MIN_UNITS` units a layer where that is not enough.
    """
    coefs, intercepts = list(coefs), list(intercepts)
    outputs = activations(coefs, intercepts, Z, act)
    means = [output.mean(axis=0) for output in outputs]
    shares = []
    for layer, output in enumerate(outputs):
        effect = output.var(axis=0) * (coefs[layer + 1] ** 2).sum(axis=1)
        shares.append(effect / max(effect.sum(), np.finfo(float).tiny))
    while weight_bytes(coefs, intercepts, quantize) > max_bytes:
        costs = [
            _unit_bytes(coefs[layer], coefs[layer + 1], quantize)
            for layer in range(len(shares))
        ]
        open_layers = [k for k, share in enumerate(shares) if len(share) > MIN_UNITS]
        if not open_layers:
            break
        layer = min(open_layers, key=lambda k: shares[k].min() / costs[k])
        unit = int(shares[layer].argmin())
        intercepts[layer + 1] = (
            intercepts[layer + 1] + means[layer][unit] * coefs[layer + 1][unit]
        )
        coefs[layer] = np.delete(coefs[layer], unit, axis=1)
        intercepts[layer] = np.delete(intercepts[layer], unit)
        coefs[layer + 1] = np.delete(coefs[layer + 1], unit, axis=0)
        shares[layer] = np.delete(shares[layer], unit)
        means[layer] = np.delete(means[layer], unit)
    return coefs, intercepts


def _unit_bytes(coef, following, quantize):
    each = {None: 4, "float16": 2, "int8": 1}[quantize]
    return each * (len(coef) + following.shape[1]) + (8 if quantize == "int8" else 4)


def split_first_layer(coefs, intercepts, Z, max_bytes, quantize):
    """Put a narrow layer ahead of the first: its weights become a product of two.

    ``W ~ V U`` is the best of its rank for the rows, in the least squares of ``Z W``.
    The narrow layer would be linear; with biases that keep it above zero on all rows
    a rectified one does the same, and training goes on from there.

    Parameters
    ----------
    coefs, intercepts : list of ndarray
        A net of rectified units; left as they are.

    Z : ndarray of shape (n_rows, n_in)
        Encoded rows.

    max_bytes : float
        Of weights and biases.

    quantize : {None, "float16", "int8"}
        How weights are stored.

    Returns
    -------
    coefs, intercepts : list of ndarray, or None
        None where no rank of at least `MIN_UNITS` fits.
    """
    first, rest = coefs[0], coefs[1:]
    for rank in range(min(first.shape) - 1, MIN_UNITS - 1, -1):
        sizes = [np.empty((len(first), rank)), np.empty((rank, first.shape[1])), *rest]
        biases = [np.empty(rank), *intercepts]
        if weight_bytes(sizes, biases, quantize) <= max_bytes:
            break
    else:
        return None
    _, _, directions = np.linalg.svd(Z @ first, full_matrices=False)
    onward = directions[:rank]  # (rank, n_out), orthonormal
    inward = first @ onward.T
    low, high = _range(Z @ inward)
    bias = 0.25 * (high - low) - low
    return (
        [inward, onward, *rest],
        [bias, intercepts[0] - bias @ onward, *intercepts[1:]],
    )


def _range(values):
    return values.min(axis=0), values.max(axis=0)
