"""Temperature of fitted students, taken into the numbers that they answer by."""

from sklearn.pipeline import Pipeline

from skdistill._compat import scale_boosting
from skdistill.students._adapter import SoftStudentAdapter, model_of
from skdistill.students._copies import BOOSTERS
from skdistill.students._rows import mro_names
from skdistill.students._rules import last_step

_HISTOGRAMS, _NET = "HistGradientBoostingClassifier", "MLPClassifier"


def can_temper(student):
    """Tell whether a student, fitted or not, can take a temperature into itself.

    A net or n-gram student of ours, scikit-learn's MLPClassifier, or boosting:
    scikit-learn's histogram-based, LightGBM, XGBoost, CatBoost.
    """
    model = model_of(student)
    is_net = hasattr(model, "_divide_logits") or _NET in mro_names(model)
    return is_net or is_boosting(student)


def is_boosting(student):
    """Tell whether a student is a booster that can take a temperature."""
    model = model_of(student)
    names = mro_names(model)
    return _HISTOGRAMS in names or (
        bool(names & BOOSTERS) and hasattr(model, "predict_proba")
    )


def divide_logits(student, temperature):
    """Make a student's answers more modest (temperature above 1) or more sure.

    Parameters
    ----------
    student : fitted classifier
        One that `can_temper`, or a forest. Changed in place.

    temperature : float

    Returns
    -------
    student : fitted classifier
        The same one. Only a booster of another library and a forest come in an adapter
        that raises their answers to a power, where they were not in one already.
    """
    model = model_of(student)
    if _HISTOGRAMS in mro_names(model):
        scale_boosting(model, 1 / temperature)
    elif hasattr(model, "_divide_logits"):
        model._divide_logits(temperature)
    elif _NET in mro_names(model):
        for layers in (model.coefs_, model.intercepts_):
            layers[-1] /= temperature
    else:
        adapter = last_step(student)
        if not isinstance(adapter, SoftStudentAdapter):
            adapter = SoftStudentAdapter.around(model, "classifier", model.classes_)
            student = _with_last_step(student, adapter)
        adapter.temperature_ /= temperature
    return student


def _with_last_step(student, last):
    if not isinstance(student, Pipeline):
        return last
    name, step = student.steps[-1]
    student.steps[-1] = name, _with_last_step(step, last)
    return student
