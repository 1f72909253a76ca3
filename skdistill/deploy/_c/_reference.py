"""Programs run in numpy, operation for operation as the C does it.

Whole numbers come out equal to the last bit, and so do floats where the compiler fuses
no multiplication with an addition.
"""

from itertools import pairwise

import numpy as np

from skdistill.deploy._c._program import Net, Trees
from skdistill.deploy._c._read import code_of

_ONE, _HALF = np.float32(1.0), np.float32(0.5)


def run(program, interface, rows):
    """Probabilities of rows.

    Parameters
    ----------
    program : Net, WholeNet or Trees

    interface : Interface

    rows : ndarray of float32 of shape (n_samples, n_features)
        Categories by their codes.

    Returns
    -------
    P : ndarray of float32 of shape (n_samples, n_classes)
        Zeros where the C function refuses a row.
    """
    rows = np.asarray(rows, dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        if isinstance(program, Trees):
            P = _run_trees(program, rows)
        else:
            P = _softmax(logits(program, interface, rows))
    P[refused(interface, rows)] = 0.0
    return P


def refused(interface, rows):
    """Tell which rows the C function refuses: infinite, or missing where it may not."""
    codes = [category.position for category in interface.categories]
    numbers = np.delete(rows, codes, axis=1)
    bad = np.isinf(numbers) if interface.allow_nan else ~np.isfinite(numbers)
    return bad.any(axis=1)


# -- nets ------------------------------------------------------------------------------


def logits(program, interface, rows):
    """Logits of a Net or a WholeNet, float32."""
    if isinstance(program, Net):
        *_, last = layer_sums(program, interface, rows)
        return last
    whole = _whole_sums(program, interface, rows)
    return whole.astype(np.float32) * program.layers[-1].scale


def layer_sums(net, interface, rows):
    """Sums of each layer of a Net, before the activation."""
    first, *others = net.layers
    sums = np.repeat(first.bias[np.newaxis], len(rows), axis=0)
    for value, row in first_terms(net.inputs, interface, rows):
        sums += value[:, np.newaxis] * first.weights[row]
    yield sums
    for layer in others:
        units = activate(sums, net.activation)
        sums = np.repeat(layer.bias[np.newaxis], len(rows), axis=0)
        for i, weights in enumerate(layer.weights):
            sums += units[:, i, np.newaxis] * weights
        yield sums


def first_terms(inputs, interface, rows):
    """Pairs of values and rows of the first layer's weights, in the order of the C.

    Yields
    ------
    value : ndarray of float32 of shape (n_samples,)

    row : int or ndarray of int of shape (n_samples,)
    """
    columns = [rows[:, position] for position in inputs.columns]
    for j, x in enumerate(columns):
        missing = np.isnan(x)
        if inputs.indicator[j] >= 0:
            yield missing.astype(np.float32), int(inputs.indicator[j])
        if inputs.kind == "bins":
            x = np.where(missing, inputs.center[0, j], x)
            yield from _ramps(inputs, j, x)
    if inputs.kind != "bins":
        for j, x in enumerate(columns):
            z = _scaled(inputs, j, x)
            yield np.where(np.isnan(x), np.float32(0.0), z), j
    for category in interface.categories:
        codes = code_of(category, rows[:, category.position])
        yield (codes >= 0).astype(np.float32), category.row + np.maximum(codes, 0)


def _scaled(inputs, j, x):
    z = ((x - inputs.center[0, j]) - inputs.center[1, j]) * inputs.rate[j]
    z = np.clip(z, np.float32(-inputs.bound), np.float32(inputs.bound))
    if inputs.clip is None:
        return z
    return z / np.sqrt(_ONE + z * z * np.float32(1.0 / inputs.clip**2))


def _ramps(inputs, j, x):
    for b in range(inputs.start[j], inputs.start[j + 1]):
        u = ((x - inputs.low[0, b]) - inputs.low[1, b]) * inputs.bin_rate[b]
        yield np.where(u > 0, np.minimum(u, _ONE), np.float32(0.0)), b


def activate(z, activation):
    """Activation of float32, by the C's own exponential."""
    if activation == "relu":
        return np.maximum(z, np.float32(0.0))
    if activation == "tanh":
        e = exp(np.float32(-2.0) * np.abs(z))
        return np.copysign((_ONE - e) / (_ONE + e), z)
    if activation == "logistic":
        e = exp(-np.abs(z))
        return np.where(z < 0, e, _ONE) / (_ONE + e)
    return z


def exp(v):
    """Exponential of float32 up to 0, as the C computes it."""
    v = np.maximum(v, np.float32(-87.0))
    k = np.trunc(v * np.float32(1.44269504) - _HALF)
    # ln 2 in two parts, the first of few bits: k times it is exact.
    r = (v - k * np.float32(0.693359375)) + k * np.float32(2.12194440e-4)
    q = np.float32(1.0 / 720.0)
    for denominator in (120.0, 24.0, 6.0, 2.0, 1.0, 1.0):
        q = q * r + np.float32(1.0 / denominator)
    return q * np.ldexp(_ONE, k.astype(np.int32))


def _softmax(z):
    if z.shape[1] == 1:
        z = np.concatenate([np.zeros_like(z), z], axis=1)
    P = exp(z - z.max(axis=1, keepdims=True))
    return P * (_ONE / _running_sum(P))


def _running_sum(P):
    total = np.zeros((len(P), 1), dtype=P.dtype)
    for column in P.T:
        total[:, 0] += column
    return total


# -- nets of whole numbers -------------------------------------------------------------


def rounded(v, largest):
    """Nearest whole numbers, half away from zero, within a largest magnitude."""
    bound = np.float32(largest)
    v = np.clip(v, -bound, bound)
    return np.trunc(v + np.copysign(_HALF, v)).astype(np.int64)


def _whole_sums(net, interface, rows):
    first = net.layers[0]
    sums = np.repeat(first.bias[np.newaxis].astype(np.int64), len(rows), axis=0)
    per_unit = np.float32(1.0 / net.unit)
    for value, row in first_terms(net.inputs, interface, rows):
        whole = rounded(value * per_unit, first.largest)
        sums += whole[:, np.newaxis] * first.weights[row]
    for (layer, after), step in zip(pairwise(net.layers), net.steps, strict=True):
        units = _next_units(sums, layer, step, net.activation, after.largest)
        sums = after.bias + units @ after.weights.astype(np.int64)
    return sums


def _next_units(sums, layer, step, activation, largest):
    if step.factor is None:
        z = activate(sums.astype(np.float32) * layer.scale, activation)
        return rounded(z * np.float32(1.0 / step.unit), largest)
    size = np.abs(sums) * step.factor + (1 << (step.shift - 1)) >> step.shift
    size = np.minimum(size, largest)
    return np.where(sums > 0, size, 0 if activation == "relu" else -size)


# -- trees -----------------------------------------------------------------------------


def leaf_rows(trees, rows):
    """Row of `values` that each tree gives, (n_samples, n_trees)."""
    found = np.empty((len(rows), len(trees.roots)), dtype=np.intp)
    for t, root in enumerate(trees.roots):
        node = np.full(len(rows), root)
        while (node >= 0).any():
            active = np.flatnonzero(node >= 0)
            at = node[active]
            x = rows[active, trees.feature[at]]
            left = np.where(
                np.isnan(x), trees.missing_left[at], x <= trees.threshold[at]
            )
            node[active] = np.where(left, trees.left[at], trees.right[at])
        found[:, t] = ~node
    return found


def _run_trees(trees, rows):
    total = np.zeros((len(rows), trees.values.shape[1]), dtype=np.float32)
    for leaves in leaf_rows(trees, rows).T:
        values = trees.values[leaves]
        # Square roots are kept in 8 bits: small probabilities stay apart.
        is_root = values.dtype == np.uint8
        total += values.astype(np.float32) ** 2 if is_root else values
    if trees.finish == "softmax":
        return _softmax(total)
    P = total * (_ONE / _running_sum(total))
    if trees.power != 1:
        P = np.where(P > 0, P ** np.float32(trees.power), np.float32(0.0))
        P *= _ONE / _running_sum(P)
    return P
