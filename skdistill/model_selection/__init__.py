"""Choosing a student: by budget, and from a ladder of students.

The policies are callables for the `refit` parameter of scikit-learn's searches.
"""

from skdistill.model_selection._ladder import student_ladder
from skdistill.model_selection._policies import (
    BudgetError,
    best_under,
    cheapest_within,
)

__all__ = ["BudgetError", "best_under", "cheapest_within", "student_ladder"]
