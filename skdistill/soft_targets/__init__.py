"""What a teacher says: its probabilities, made honest and ready for a student.

Pure functions on arrays of shape (n_samples, n_classes) whose rows are probability
distributions. A teacher is called in two of them only, :func:`teacher_probabilities`
and :func:`out_of_fold`.
"""

from skdistill.soft_targets._arithmetic import (
    kl_rows,
    log_loss_rows,
    mix,
    one_hot,
    temper,
)
from skdistill.soft_targets._asking import (
    is_row_aligned,
    out_of_bag,
    out_of_fold,
    teacher_probabilities,
)
from skdistill.soft_targets._calibration import METHODS, Calibration, calibrate
from skdistill.soft_targets._checks import align_columns, check_soft_targets
from skdistill.soft_targets._temperature import fit_temperature, probability_floor

__all__ = [
    "METHODS",
    "Calibration",
    "align_columns",
    "calibrate",
    "check_soft_targets",
    "fit_temperature",
    "is_row_aligned",
    "kl_rows",
    "log_loss_rows",
    "mix",
    "one_hot",
    "out_of_bag",
    "out_of_fold",
    "probability_floor",
    "teacher_probabilities",
    "temper",
]
