"""What a student kept of its teacher, what it lost, and what it costs.

Array functions; those on rows take `sample_weight`. Fidelity (agreement, divergence)
says how like the teacher a student is, which is no proof that either is right: read it
next to accuracy and log-loss, never instead of them. Scorers for searches stand beside
them.
"""

from skdistill.metrics._calibration import (
    classwise_calibration_error,
    expected_calibration_error,
)
from skdistill.metrics._cost import measure_latency, model_size
from skdistill.metrics._fidelity import (
    agreement,
    agreement_by_case,
    agreement_interval,
    brier_to_teacher,
    jensen_shannon_divergence,
    mean_kl_divergence,
    top_k_agreement,
    total_variation_distance,
)
from skdistill.metrics._intervals import (
    bootstrap_interval,
    clopper_pearson_upper,
    mcnemar_test,
    wilson_interval,
)
from skdistill.metrics._scorers import fidelity_scorers, latency_scorer, size_scorer
from skdistill.metrics._scores import gap_closed, retention
from skdistill.metrics._slices import worst_slice

__all__ = [
    "agreement",
    "agreement_by_case",
    "agreement_interval",
    "bootstrap_interval",
    "brier_to_teacher",
    "classwise_calibration_error",
    "clopper_pearson_upper",
    "expected_calibration_error",
    "fidelity_scorers",
    "gap_closed",
    "jensen_shannon_divergence",
    "latency_scorer",
    "mcnemar_test",
    "mean_kl_divergence",
    "measure_latency",
    "model_size",
    "retention",
    "size_scorer",
    "top_k_agreement",
    "total_variation_distance",
    "wilson_interval",
    "worst_slice",
]
