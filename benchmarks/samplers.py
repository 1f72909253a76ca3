"""Print what samplers of transfer rows do: ``python -m benchmarks.samplers``.

A sampler is fitted on a random half of a real table; the other half is what real new
rows look like. Times are the processor's, on one thread. Takes about three minutes.
"""

from itertools import chain
from time import process_time

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits

from benchmarks.datasets import load
from skdistill._frames import concat_rows
from skdistill.transfer import (
    GaussianCopulaSampler,
    InterpolationSampler,
    MaskingSampler,
    MungeSampler,
    ThresholdSampler,
    off_manifold_rate,
)
from skdistill.transfer._table import Table, row_hashes

TABLES = {
    "letter": ExtraTreesClassifier(100, random_state=0),
    "california": HistGradientBoostingClassifier(random_state=0),
    "adult": HistGradientBoostingClassifier(random_state=0),
}
SAMPLERS = (
    MungeSampler(),
    MungeSampler(p=0.2, n_neighbors=8),
    MungeSampler(p=0.8),
    InterpolationSampler(),
    InterpolationSampler(n_neighbors=None),
    GaussianCopulaSampler(),
    GaussianCopulaSampler(strength=0.3),
    ThresholdSampler(),
)
N_ROWS = 100_000
#: Rows and columns of tables in which neighbours are searched.
SIZES = ((20_000, 20), (100_000, 5), (100_000, 20), (100_000, 100))
LINE = "{:32}  {:>8}  {:>9}  {:>7}  {:>8}  {:>8}"


def measure(sampler, X, teacher=None):
    """Fit and sample: seconds of the fit, rows per second, rows drawn."""
    start = process_time()
    sampler.fit(X, teacher=teacher)
    fitted = process_time()
    rows = sampler.sample(N_ROWS, random_state=0)
    return fitted - start, len(rows) / (process_time() - fitted), rows


def shares(X, rows):
    """Rows that are given rows, and the share of different ones among the others."""
    table = Table(concat_rows(X, rows))
    hashes = row_hashes(table.values)
    given, new = hashes[: len(hashes) - len(rows)], hashes[len(hashes) - len(rows) :]
    return np.isin(new, given).sum(), len(np.unique(new)) / len(new)


def tables():
    """Yield a line for each table and sampler."""
    for name, teacher in TABLES.items():
        X, y = load(name)
        X, X_rest, y, _ = train_test_split(X, y, test_size=0.5, random_state=0)
        teacher.fit(X, y)
        yield f"{name}, {X.shape[0]:,} x {X.shape[1]}", *[""] * 5
        rate = off_manifold_rate(X, X_rest)
        yield "  other real rows", "", "", "", "", f"{rate:.3f}"
        for sampler in SAMPLERS:
            seconds, speed, rows = measure(sampler, X, teacher)
            n_given, different = shares(X, rows)
            rate = off_manifold_rate(X, rows)
            what = repr(sampler).replace("Sampler", "").replace("n_neighbors", "n")
            yield (
                f"  {what}", f"{seconds:.2f} s", f"{speed:,.0f}", str(n_given),
                f"{different:.3f}", f"{rate:.3f}",
            )  # fmt: skip


def texts():
    """Yield the line of texts."""
    X, _ = load("clothing")
    seconds, speed, rows = measure(MaskingSampler(), X)
    n_given = len(set(rows) & set(X))
    different = len(set(rows)) / len(rows)
    yield f"clothing, {len(X):,} texts", *[""] * 5
    yield (
        "  Masking()", f"{seconds:.2f} s", f"{speed:,.0f}", str(n_given),
        f"{different:.3f}", "",
    )  # fmt: skip


def searches():
    """Yield seconds of a fit whose time is the search of neighbours."""
    rng = np.random.default_rng(0)
    for n_rows, n_columns in SIZES:
        X = rng.standard_normal((n_rows, n_columns))
        seconds = []
        for sampler in (MungeSampler(), MungeSampler(block_size=10_000)):
            start = process_time()
            sampler.fit(X)
            seconds.append(f"{process_time() - start:.1f} s")
        yield f"  {n_rows:,} x {n_columns}", *seconds


def main():
    """Measure everything and print the tables."""
    with threadpool_limits(1):
        print(LINE.format("", "fit", "rows/s", "given", "distinct", "off"))
        for line in chain(tables(), texts()):
            print(LINE.format(*line).rstrip())
        print()
        print("{:32}  {:>8}  {:>16}".format("neighbours", "fit", "blocks of 10,000"))
        for line in searches():
            print("{:32}  {:>8}  {:>16}".format(*line))


if __name__ == "__main__":
    main()
