"""Pictures of what was kept, what was lost and what it costs.

They follow scikit-learn's plotting contract: a class method computes and plots, the
object holds what is drawn, and `plot` draws it again, into other axes if wanted.
matplotlib is imported when something is drawn.
"""

from skdistill.report._displays._coverage_risk import CoverageRiskDisplay
from skdistill.report._displays._fidelity import FidelityDisplay
from skdistill.report._displays._pareto import ParetoDisplay
from skdistill.report._displays._reliability import ReliabilityDisplay

__all__ = [
    "CoverageRiskDisplay",
    "FidelityDisplay",
    "ParetoDisplay",
    "ReliabilityDisplay",
]
