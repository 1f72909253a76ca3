"""What was lost: a report in numbers and words, and pictures.

matplotlib is imported when something is drawn, pandas when a frame is made.
"""

from skdistill.report._displays import (
    CoverageRiskDisplay,
    FidelityDisplay,
    ParetoDisplay,
    ReliabilityDisplay,
)
from skdistill.report._report import DistillationReport, distillation_report

__all__ = [
    "CoverageRiskDisplay",
    "DistillationReport",
    "FidelityDisplay",
    "ParetoDisplay",
    "ReliabilityDisplay",
    "distillation_report",
]
