"""Temperature of fitted students, taken into the numbers that they answer by."""

from skdistill._compat import scale_boosting
from skdistill.students._adapter import model_of
from skdistill.students._rows import mro_names

_BOOSTING = "HistGradientBoostingClassifier"


def can_temper(student):
    """Tell whether a student, fitted or not, can take a temperature into itself.

    A net or n-gram student of ours, or histogram-based boosting of scikit-learn's.
    """
    model = model_of(student)
    return hasattr(model, "_divide_logits") or is_boosting(student)


def is_boosting(student):
    """Tell whether a student is histogram-based boosting of scikit-learn's."""
    return _BOOSTING in mro_names(model_of(student))


def divide_logits(student, temperature):
    """Make a student's answers more modest (temperature above 1) or more sure."""
    model = model_of(student)
    if is_boosting(model):
        scale_boosting(model, 1 / temperature)
    else:
        model._divide_logits(temperature)
