"""Transfer sets: more rows for the teacher to label.

A sampler is a small seeded estimator: ``fit(X, *, teacher=None)``, then
``sample(n_samples, random_state=None)`` returns new rows of the same kind as X. Any
object with these two methods can be given as ``transfer=``.
"""

from skdistill.transfer._copula import GaussianCopulaSampler
from skdistill.transfer._interpolation import InterpolationSampler
from skdistill.transfer._language_model import LanguageModelSampler
from skdistill.transfer._manifold import off_manifold_rate
from skdistill.transfer._masking import MaskingSampler
from skdistill.transfer._munge import MungeSampler
from skdistill.transfer._pool import UnlabelledPool, check_pool
from skdistill.transfer._selection import select_for_labelling
from skdistill.transfer._shift import pool_shift
from skdistill.transfer._thresholds import ThresholdSampler

__all__ = [
    "GaussianCopulaSampler",
    "InterpolationSampler",
    "LanguageModelSampler",
    "MaskingSampler",
    "MungeSampler",
    "ThresholdSampler",
    "UnlabelledPool",
    "check_pool",
    "off_manifold_rate",
    "pool_shift",
    "select_for_labelling",
]
