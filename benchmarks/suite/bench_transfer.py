"""Seconds and memory of drawing transfer rows."""

import numpy as np

from .common import FAST

N_ROWS, N_DRAWN = (1_000, 2_000) if FAST else (20_000, 200_000)
N_COLUMNS = 50
SAMPLERS = ("munge", "munge of 8", "interpolation", "mixup", "copula", "thresholds")


def sampler(name):
    from skdistill.transfer import (
        GaussianCopulaSampler,
        InterpolationSampler,
        MungeSampler,
        ThresholdSampler,
    )

    return {
        "munge": lambda: MungeSampler(),
        "munge of 8": lambda: MungeSampler(n_neighbors=8),
        "interpolation": lambda: InterpolationSampler(),
        "mixup": lambda: InterpolationSampler(n_neighbors=None),
        "copula": lambda: GaussianCopulaSampler(),
        "thresholds": lambda: ThresholdSampler(),
    }[name]()


def table():
    """Numbers, whole numbers and missing cells."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_ROWS, N_COLUMNS))
    X[:, ::3] = np.rint(4 * X[:, ::3])
    X[:, 1][rng.random(N_ROWS) < 0.2] = np.nan
    return X


def teacher(X):
    from sklearn.ensemble import HistGradientBoostingClassifier

    y = X[:, 0] + X[:, 2] > 0
    return HistGradientBoostingClassifier(max_iter=2 if FAST else 50).fit(X, y)


class Samplers:
    params = SAMPLERS
    param_names = ("sampler",)
    timeout = 600

    def setup_cache(self):
        X = table()
        return X, teacher(X)

    def setup(self, cache, name):
        self.X, self.teacher = cache
        self.fitted = sampler(name).fit(self.X, teacher=self.teacher)

    def time_fit(self, cache, name):
        sampler(name).fit(self.X, teacher=self.teacher)

    def time_sample(self, cache, name):
        self.fitted.sample(N_DRAWN, random_state=0)

    def peakmem_sample(self, cache, name):
        self.fitted.sample(N_DRAWN, random_state=0)


class Neighbours:
    """The search that most samplers' fits spend their time on."""

    params = ((1_000,) if FAST else (20_000, 100_000), (8, 20, 100))
    param_names = ("n_rows", "n_columns")
    timeout = 600

    def setup(self, n_rows, n_columns):
        from skdistill.transfer import MungeSampler

        self.X = np.random.default_rng(0).normal(size=(n_rows, n_columns))
        self.sampler = MungeSampler()

    def time_fit(self, n_rows, n_columns):
        self.sampler.fit(self.X)

    def peakmem_fit(self, n_rows, n_columns):
        self.sampler.fit(self.X)

    time_fit.number = 1
    time_fit.repeat = (1, 3, 60.0)


class OffManifold:
    timeout = 600

    def setup(self):
        self.X, self.X_new = np.split(table(), 2)

    def time_off_manifold_rate(self):
        from skdistill.transfer import off_manifold_rate

        off_manifold_rate(self.X, self.X_new)


class Texts:
    timeout = 600

    def setup(self):
        from skdistill.transfer import MaskingSampler

        rng = np.random.default_rng(0)
        words = np.array([f"word{k}" for k in range(5_000)])
        self.texts = [" ".join(rng.choice(words, 60)) for _ in range(N_ROWS)]
        self.fitted = MaskingSampler().fit(self.texts)

    def time_fit(self):
        self.fitted.fit(self.texts)

    def time_sample(self):
        self.fitted.sample(N_DRAWN, random_state=0)

    def peakmem_sample(self):
        self.fitted.sample(N_DRAWN, random_state=0)
