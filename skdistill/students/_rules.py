"""The table that ``targets="auto"`` follows: which student takes which route, and why.

`RULES` is read from top to bottom: the first line that names one of the student's
classes (its own or a base) and whose condition holds decides. Estimators are recognised
by the names of their classes, so that no third party is imported to look.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from skdistill.students._rows import mro_names, tags_of

#: Ways that soft targets can take.
ROUTES = ("native", "expand", "regress", "regress_logits", "sample")


@dataclass(frozen=True)
class Rule:
    """One line of the table.

    Parameters
    ----------
    kinds : frozenset of str
        Names of classes; empty for any.

    route : str
        A route; "refuse" to take none under "auto"; "never" to take none at all.

    reason : str
        Why; of a refusal, what is in the way.

    remedy : str
        Of a refusal: what would work.

    when : callable
        student -> bool; a further condition.
    """

    kinds: frozenset
    route: str
    reason: str
    remedy: str = ""
    when: Callable = lambda student: True

    def holds(self, student):
        """Tell whether this line is about a student."""
        names = mro_names(student)
        return (not self.kinds or bool(self.kinds & names)) and self.when(student)


# -- conditions ------------------------------------------------------------------------


def is_native(student):
    """Whether it learns from soft targets by itself."""
    return hasattr(student, "fit_soft_targets")


def _is_own(student):
    """scikit-learn's own class: a subclass may have changed what it learns."""
    return type(student).__module__.startswith("sklearn.")


def _is_gini(student):
    return _is_own(student) and student.criterion == "gini"


def takes_weights(student):
    """Whether its `fit` takes `sample_weight`."""
    return has_fit_parameter(student, "sample_weight")


def answers_probabilities(student):
    """Whether it has `predict_proba`, with the settings that it has."""
    return hasattr(student, "predict_proba")


def is_a_classifier(student):
    """Whether scikit-learn calls it a classifier."""
    return _estimator_type(student) == "classifier"


def is_a_regressor(student):
    """Whether scikit-learn calls it a regressor."""
    return _estimator_type(student) == "regressor"


def _estimator_type(student):
    tags = tags_of(student)
    return None if tags is None else tags.estimator_type


# -- the table -------------------------------------------------------------------------


def _rule(kinds, route, reason, remedy="", when=lambda student: True):
    return Rule(frozenset(kinds.split()), route, reason, remedy, when)


#: A row's nearest neighbours decide: many copies of one row would be its own.
_BY_NEIGHBOURS = {"NeighborsBase", "BaseLabelPropagation"}
_INNER_FOLDS = (
    "its inner folds would put weighted copies of one row on both sides of each split"
)

RULES = (
    # What learns from soft targets itself.
    _rule("", "native", "it has fit_soft_targets", when=is_native),
    _rule(
        "NeuralNet", "native",
        "a skorch net takes float targets of one column a class: soft cross-entropy "
        "replaces its criterion",
    ),
    # What must not be fed.
    _rule(
        "BaseSearchCV LogisticRegressionCV", "never", _INNER_FOLDS,
        "Search around the DistilledClassifier: GridSearchCV(DistilledClassifier(...), "
        "{'student__...': ...})",
    ),
    _rule(
        "CalibratedClassifierCV BaseThresholdClassifier", "never", _INNER_FOLDS,
        "Use the estimator inside it as the student, and put the wrapper around the "
        "DistilledClassifier",
    ),
    _rule(
        "StackingClassifier", "never", _INNER_FOLDS,
        "Use it as the teacher, or a VotingClassifier of distilled students",
    ),
    _rule(
        "BaseWeightBoosting", "refuse",
        "it reweights rows by whether their label is met, which is not linear in the "
        "target: weighted copies of rows do not stand for probabilities",
        "Use HistGradientBoostingClassifier or GradientBoostingClassifier, or set "
        "targets='expand' to do it nevertheless",
        when=is_a_classifier,
    ),
    # What predicts no probabilities.
    _rule(
        "SVC NuSVC", "never",
        "its probabilities come from inner folds, which would put copies of one row on "
        "both sides of each split",
        "Use SVR or KernelRidge, which are fed log-probabilities, or LogisticStudent",
    ),
    _rule(
        "RidgeClassifier RidgeClassifierCV", "refuse", "it has no predict_proba",
        "Use Ridge, which is fed log-probabilities, or LogisticRegression",
        when=_is_own,
    ),
    _rule(
        "BaseSGDClassifier LinearSVC", "refuse", "it has no predict_proba",
        "Use SGDClassifier with loss='log_loss' or 'modified_huber', or "
        "LogisticRegression",
        when=lambda student: not answers_probabilities(student),
    ),
    _rule(
        "", "refuse", "it has no predict_proba",
        "Choose a loss that gives it probabilities, or another estimator, such as "
        "LogisticRegression, HistGradientBoostingClassifier or MLPStudent",
        when=lambda student: is_a_classifier(student)
        and not answers_probabilities(student),
    ),
    # One row each: squared error on probabilities.
    _rule(
        "DecisionTreeClassifier ExtraTreeClassifier RandomForestClassifier "
        "ExtraTreesClassifier", "regress",
        "Gini impurity of labels and squared error of probabilities choose the same "
        "splits, and each row stays one row",
        when=_is_gini,
    ),
    _rule(
        "KNeighborsClassifier RadiusNeighborsClassifier", "regress",
        "it takes no weights; the mean probability of neighbours is its vote",
        when=_is_own,
    ),
    # Weighted copies: exact where the loss is linear in the target.
    _rule(
        "BaseHistGradientBoosting BaseGradientBoosting LGBMModel XGBModel CatBoost",
        "expand",
        "log-loss is linear in the target: weighted copies of rows are the soft loss",
        when=is_a_classifier,
    ),
    _rule(
        "LogisticRegression BaseSGDClassifier", "expand",
        "its loss is linear in the target: weighted copies of rows are the soft loss",
        when=is_a_classifier,
    ),
    _rule(
        "BaseDecisionTree BaseForest", "expand",
        "its impurity counts weights of labels, which are linear in the target",
        when=is_a_classifier,
    ),
    _rule(
        "GaussianNB _BaseDiscreteNB", "expand",
        "it adds up weights, so weighted copies of rows are soft counts and moments",
    ),
    _rule(
        "MLPClassifier", "expand",
        "log-loss is linear in the target: weighted copies of rows are the soft loss",
        when=takes_weights,
    ),
    _rule(
        "MLPClassifier", "sample",
        "it takes weights from scikit-learn 1.7 on: labels are drawn from the soft "
        "targets",
    ),
    # Regressors.
    _rule(
        "LinearModel _BaseRidge KernelRidge BaseLibSVM LinearSVR BaseSGDRegressor "
        "MLPRegressor GaussianProcessRegressor _PLS", "regress_logits",
        "it fits sums of features or kernels, which live on the scale of "
        "log-probabilities; one scale is fitted afterwards on held-out rows",
        when=is_a_regressor,
    ),
    _rule(
        "", "regress",
        "it fits local means, and a mean of probabilities is one",
        when=is_a_regressor,
    ),
    # Anybody else's classifier.
    _rule(
        "", "expand",
        "it takes weights: weighted copies of rows are exact if its loss is linear in "
        "the target",
        when=lambda student: is_a_classifier(student) and takes_weights(student),
    ),
    _rule(
        "LinearDiscriminantAnalysis QuadraticDiscriminantAnalysis", "refuse",
        "its fit takes no sample_weight",
        "Use LogisticStudent or GaussianNB, or set targets='sample'",
    ),
    _rule(
        "GaussianProcessClassifier", "refuse", "its fit takes no sample_weight",
        "Use KernelRidge or GaussianProcessRegressor, which are fed log-probabilities, "
        "or set targets='sample'",
    ),
    _rule(
        "", "refuse", "its fit takes no sample_weight",
        "Use a classifier that does, such as LogisticRegression, "
        "HistGradientBoostingClassifier or RandomForestClassifier, a regressor, or set "
        "targets='sample'",
        when=is_a_classifier,
    ),
    _rule(
        "", "refuse",
        "it is no classifier, regressor, Pipeline ending in one, or skorch net",
        "Use one of these, or give it the method fit_soft_targets(X, soft_targets, *, "
        "classes, sample_weight=None)",
    ),
)  # fmt: skip


def last_step(student):
    """Return the estimator at the end of (nested) Pipelines."""
    while isinstance(student, Pipeline):
        student = student.steps[-1][1]
    return student


def find_rule(student):
    """First line of the table that is about a student (not a Pipeline)."""
    return next(rule for rule in RULES if rule.holds(student))


def possible_routes(student):
    """Routes that a student can take when it is told to, in the order of `ROUTES`."""
    rule = find_rule(student)
    if rule.route == "native" and not is_native(student):
        return ["native"]
    if rule.route == "never":
        return []
    labels = is_a_classifier(student) and answers_probabilities(student)
    regresses = is_a_regressor(student)
    can = {
        "native": is_native(student),
        "expand": labels and takes_weights(student),
        "regress": regresses or rule.route == "regress",
        "regress_logits": regresses,
        # Among several copies of a row, its neighbours would be these copies.
        "sample": labels and not mro_names(student) & _BY_NEIGHBOURS,
    }
    return [route for route in ROUTES if can[route]]


def decide(student, targets="auto"):
    """Route that a student takes, and why.

    Parameters
    ----------
    student : estimator
        Not a Pipeline.

    targets : str
        "auto" or one of `ROUTES`.

    Returns
    -------
    route, reason : str

    Raises
    ------
    ValueError
        If the student cannot be fed, or not by this route.
    """
    name = type(student).__name__
    if targets == "auto":
        rule = find_rule(student)
        if rule.route in ("refuse", "never"):
            raise ValueError(
                f"The student {name} cannot be fed soft targets: {rule.reason}. "
                f"{rule.remedy}."
            )
        return rule.route, f"{name}: {rule.reason}"
    if targets not in ROUTES:
        raise ValueError(
            f"targets must be 'auto' or one of {list(ROUTES)!r}, got {targets!r}. Use "
            "'auto' to let the kind of student decide."
        )
    possible = possible_routes(student)
    if targets not in possible:
        allowed = f"one of {possible!r}" if possible else "none"
        raise ValueError(
            f"targets must name a route that the student {name} can take ({allowed}), "
            f"got {targets!r}. Use targets='auto' or another student."
        )
    return targets, f"{name}: targets={targets!r} was asked for"
