"""Rows that a program is tried on."""

import numpy as np

from skdistill.deploy._c._program import LARGEST, Trees

#: Rows drawn where the user gives none.
N_PROBES = 500


def draw_rows(source):
    """Draw rows from what a model knows of its columns.

    Parameters
    ----------
    source : Source

    Returns
    -------
    rows : ndarray of float32 of shape (500, n_features)
        Numbers around centres, within and beyond bins, at and beside thresholds; all
        levels; missing values where the model takes them.
    """
    rng = np.random.RandomState(0)
    interface, program = source.interface, source.program
    rows = np.zeros((N_PROBES, interface.n_features), dtype=np.float32)
    if isinstance(program, Trees):
        _draw_at_thresholds(rows, program, rng)
    else:
        _draw_around_centers(rows, program, rng)
    for category in interface.categories:
        rows[:, category.position] = rng.randint(-1, category.n_codes, N_PROBES)
    if interface.allow_nan:
        rows[rng.uniform(size=rows.shape) < 0.02] = np.nan
    return rows


def _draw_at_thresholds(rows, trees, rng):
    for column in np.unique(trees.feature):
        at = np.unique(trees.threshold[trees.feature == column])
        # A node that asks only whether a number is missing has an infinite threshold.
        at = np.clip(at, -LARGEST / 2, LARGEST / 2)
        x = rng.choice(at, len(rows))
        toward = np.float32(np.inf) * rng.choice([-1, 1], len(rows))
        beside = np.nextafter(x, toward.astype(np.float32))
        rows[:, column] = np.where(rng.uniform(size=len(rows)) < 0.5, x, beside)


def _draw_around_centers(rows, net, rng):
    inputs = net.inputs
    for j, position in enumerate(inputs.columns):
        if inputs.kind == "bins":
            rows[:, position] = _draw_from_bins(inputs, j, len(rows), rng)
            continue
        rate = float(inputs.rate[j])
        if inputs.kind == "linear":
            # What moves the logits by about 1.
            rate *= float(np.abs(net.layers[0].weights[j]).max())
        distance = rng.standard_normal(len(rows)) * (1.0 / rate if rate else 1.0)
        rows[:, position] = np.clip(inputs.center[0, j] + distance, -LARGEST, LARGEST)


def _draw_from_bins(inputs, j, n_rows, rng):
    bins = slice(inputs.start[j], inputs.start[j + 1])
    low, rate = inputs.low[0, bins], inputs.bin_rate[bins]
    if not rate.any():
        return inputs.center[0, j] + rng.standard_normal(n_rows)
    b = rng.randint(len(low), size=n_rows)
    return low[b] + rng.uniform(-0.2, 1.2, n_rows) / rate[b]


def hostile_rows(source, row):
    """Spoil a row in all the ways that a sensor or a bug can.

    Parameters
    ----------
    source : Source

    row : ndarray of float32 of shape (n_features,)

    Returns
    -------
    rows : ndarray of float32 of shape (n, n_features)
        Huge and tiny numbers, missing ones where they are taken, codes that are none.
    """
    interface, reach = source.interface, source.reach
    codes = {category.position: category for category in interface.categories}
    numbers = [i for i in range(interface.n_features) if i not in codes]
    spoilt = []
    for value in (0.0, 1e12, -1e12, reach, -reach, 1e-40, np.nan):
        if np.isnan(value) and not interface.allow_nan:
            continue
        whole = row.copy()
        whole[numbers] = value
        spoilt.append(whole)
    for position, category in codes.items():
        for value in (-1, category.n_codes, 0.5, 1e30, -LARGEST, np.nan, np.inf):
            changed = row.copy()
            changed[position] = value
            spoilt.append(changed)
    return np.array(spoilt, dtype=np.float32)
