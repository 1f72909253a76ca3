from itertools import pairwise

import numpy as np
import pytest
from scipy.special import expit

from skdistill.deploy._pruning import (
    activations,
    prune_units,
    split_first_layer,
    weight_bytes,
)


def relu(Z):
    return np.maximum(Z, 0.0)


def answers(layers, Z, act=relu):
    coefs, intercepts = layers
    hidden = activations(coefs, intercepts, Z, act)
    return hidden[-1] @ coefs[-1] + intercepts[-1]


@pytest.fixture
def net():
    rng = np.random.default_rng(0)
    sizes = (20, 16, 8, 3)
    coefs = [rng.normal(size=shape) for shape in pairwise(sizes)]
    return coefs, [rng.normal(size=n) for n in sizes[1:]]


@pytest.fixture
def rows():
    return np.random.default_rng(1).normal(size=(300, 20))


@pytest.mark.parametrize(
    ("quantize", "expected"),
    [
        (None, 4 * (320 + 128 + 24) + 4 * 27),
        ("float16", 2 * 472 + 4 * 27),
        ("int8", 472 + 8 * 27),
    ],
)
def test_weight_bytes_counts_weights_factors_and_biases(net, quantize, expected):
    assert weight_bytes(*net, quantize) == expected


def test_prune_units_first_drops_what_says_nothing(net, rows):
    coefs, _ = net
    coefs[1][[2, 5]] = 0.0  # nobody listens to these
    coefs[0][:, 7] = 0.0  # and this one always says the same
    before = answers(net, rows)
    most = weight_bytes(*net, None) - 3 * 4 * (20 + 8 + 1)
    pruned = prune_units(*net, rows, most, None, act=relu)
    assert [coef.shape for coef in pruned[0]] == [(20, 13), (13, 8), (8, 3)]
    np.testing.assert_allclose(answers(pruned, rows), before, atol=1e-10)


@pytest.mark.parametrize("quantize", [None, "float16", "int8"])
def test_prune_units_keeps_to_the_bytes(net, rows, quantize):
    for share in (0.9, 0.5, 0.2):
        most = share * weight_bytes(*net, quantize)
        pruned = prune_units(*net, rows, most, quantize, act=relu)
        assert weight_bytes(*pruned, quantize) <= most


def test_prune_units_leaves_the_net_and_its_least_units(net, rows):
    kept = [coef.copy() for coef in net[0]]
    pruned = prune_units(*net, rows, 1, None, act=relu)
    assert [coef.shape for coef in pruned[0]] == [(20, 2), (2, 2), (2, 3)]
    for coef, before in zip(net[0], kept, strict=True):
        np.testing.assert_array_equal(coef, before)


def test_prune_units_moves_the_mean_into_the_next_layer(net, rows):
    pruned = prune_units(*net, rows, 0.8 * weight_bytes(*net, None), None, act=relu)
    gap = answers(pruned, rows).mean(axis=0) - answers(net, rows).mean(axis=0)
    # exact up to the units after, which are no linear ones
    assert np.abs(gap).max() < 0.5 * answers(net, rows).std()


def test_prune_units_works_with_activations_that_write_in_place(net, rows):
    out = prune_units(
        *net, rows, 0.7 * weight_bytes(*net, None), None,
        act=lambda z: expit(z, out=z),
    )  # fmt: skip
    assert np.isfinite(answers(out, rows)).all()


def test_split_first_layer_is_exact_where_the_rank_suffices(rows):
    rng = np.random.default_rng(2)
    first = rng.normal(size=(20, 4)) @ rng.normal(size=(4, 16))
    net = [first, rng.normal(size=(16, 3))], [rng.normal(size=16), rng.normal(size=3)]
    most = 4 * (20 * 4 + 4 * 16 + 16 * 3 + 4 + 16 + 3)
    split = split_first_layer(*net, rows, most, None)
    assert [coef.shape for coef in split[0]] == [(20, 4), (4, 16), (16, 3)]
    np.testing.assert_allclose(answers(split, rows), answers(net, rows), atol=1e-9)


def test_split_first_layer_is_best_for_the_rows(net, rows):
    rows = rows * np.geomspace(10, 0.01, 20)  # few columns carry all
    most = weight_bytes(*net, None) - 4 * 100
    coefs, _ = split_first_layer(*net, rows, most, None)
    rank = coefs[0].shape[1]
    product = rows @ (coefs[0] @ coefs[1])
    singular = np.linalg.svd(rows @ net[0][0], compute_uv=False)
    np.testing.assert_allclose(
        np.sum((rows @ net[0][0] - product) ** 2), np.sum(singular[rank:] ** 2)
    )


def test_split_first_layer_is_none_where_nothing_fits(net, rows):
    assert split_first_layer(*net, rows, 100, None) is None
