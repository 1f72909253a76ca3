"""Programs of whole numbers: int8 weights, int16 activations, int32 sums."""

from dataclasses import replace

import numpy as np

from skdistill.deploy._c._program import Step, WholeLayer, WholeNet
from skdistill.deploy._c._reference import activate, layer_sums
from skdistill.deploy._weights import quantize_int8

#: Largest magnitude of an activation, where the layer is not very wide.
MOST = 32_767

#: Intercepts take up to this much of a 32-bit sum; products get the rest.
_BIAS_ROOM = 2**29
_PRODUCT_ROOM = 2**31 - 1 - _BIAS_ROOM

#: Activations may grow beyond what the calibration rows show by this factor: a bit of
#: sixteen, for rows that are unlike them.
MARGIN = 2.0

#: Numbers may reach so much further than the 1 of a category: it keeps seven bits.
WIDEST = 256.0


def quantize_net(net, interface, rows):
    """Make a net of whole numbers.

    Parameters
    ----------
    net : Net

    interface : Interface

    rows : ndarray of float32 of shape (n_samples, n_features)
        Show how large activations become.

    Returns
    -------
    whole : WholeNet
    """
    net = _with_bounded_inputs(net, rows)
    first, *others = net.layers
    # Of the levels of a category one counts.
    spare = sum(category.n_codes - 1 for category in interface.categories)
    largest = _largest_activation(len(first.weights) - spare)
    is_linear = net.inputs.kind == "linear"
    unit = (net.inputs.bound if is_linear else net.inputs.clip or 1.0) / largest
    layers, steps = [_whole_layer(first, unit, largest)], []
    for layer, sums in zip(others, layer_sums(net, interface, rows), strict=False):
        largest = _largest_activation(len(layer.weights))
        own = _range(sums, net.activation) / largest
        steps.append(_step(layers[-1], own, net.activation))
        layers.append(_whole_layer(layer, own, largest))
    return WholeNet(net.inputs, unit, tuple(layers), tuple(steps), net.activation)


def _with_bounded_inputs(net, rows):
    """Scale and bound linear inputs, so that all their weights fit one 8-bit scale."""
    inputs, first = net.inputs, net.layers[0]
    if inputs.kind != "linear":
        return net
    center = inputs.center[0].astype(np.float64)
    reach = np.abs(rows[:, inputs.columns] - center) * inputs.rate
    reach = np.where(np.isfinite(reach), reach, 0.0).max(axis=0, initial=0.0)
    # Columns as they come differ by orders of magnitude, and so do their weights: each
    # column takes so much of its own that the largest is the same in all.
    numbers, others = np.split(np.abs(first.weights).max(axis=1), [len(reach)])
    share = MARGIN * float((reach * numbers).max(initial=0.0))
    # What stands for categories is 1 and cannot be scaled.
    common = max(others.max(initial=0.0) or share, share / WIDEST) or 1.0
    gain = np.where(numbers > 0, numbers / common, 1.0)
    weights = first.weights.copy()
    weights[: len(reach)] /= gain[:, np.newaxis]
    return replace(
        net,
        inputs=replace(
            inputs,
            rate=(inputs.rate * gain).astype(np.float32),
            bound=max(share / common, 1.0),
        ),
        layers=(replace(first, weights=weights), *net.layers[1:]),
    )


def _largest_activation(n_terms):
    """Magnitude that keeps every possible sum of products within 32 bits."""
    largest = min(MOST, _PRODUCT_ROOM // (127 * max(n_terms, 1)))
    if largest < 127:
        raise ValueError(
            f"dtype must be 'float32' for a layer of {n_terms} inputs, got 'int8': "
            "sums of so many products do not fit 32 bits. Make the student smaller."
        )
    return largest


def _range(sums, activation):
    """Largest activation to be told apart."""
    if activation in ("tanh", "logistic"):
        return 1.0
    return MARGIN * float(np.abs(activate(sums, activation)).max(initial=0.0)) or 1.0


def _whole_layer(layer, unit, largest):
    weights, scale = quantize_int8(layer.weights)
    # A column of tiny weights beside a large intercept takes a coarser step, at which
    # the intercept fits.
    scale = np.maximum(scale, np.abs(layer.bias) / (unit * _BIAS_ROOM))
    scale = scale.astype(np.float32)
    weights = np.rint(layer.weights / scale).astype(np.int8)
    worth = scale.astype(np.float64) * unit
    bias = np.clip(np.rint(layer.bias / worth), -_BIAS_ROOM, _BIAS_ROOM)
    return WholeLayer(weights, bias.astype(np.int32), largest, worth.astype(np.float32))


def _step(layer, unit, activation):
    """Multiplication that takes sums of one layer to inputs of the next."""
    if activation in ("tanh", "logistic"):
        return Step(None, 0, unit)
    ratio = layer.scale.astype(np.float64) / unit
    # Factors of 30 bits at most, times sums of 31: the product fits 62.
    shift = int(np.clip(np.floor(30 - np.log2(ratio.max())), 1, 62))
    factor = np.minimum(np.rint(ratio * 2.0**shift), 2**31 - 1)
    return Step(factor.astype(np.int32), shift, unit)


def quantize_trees(trees):
    """Keep leaves as square roots of probabilities, in 8 bits.

    Raises
    ------
    ValueError
        If leaves are logits.
    """
    if trees.finish != "normalise":
        raise ValueError(
            "dtype must be 'float32' for a forest that answers logits, got 'int8'."
        )
    P = trees.values / trees.values.sum(axis=1, keepdims=True)
    return replace(trees, values=np.rint(255 * np.sqrt(P)).astype(np.uint8))
