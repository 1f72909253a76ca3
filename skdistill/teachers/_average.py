"""AveragedTeacher: several classifiers that answer as one."""

import warnings
from numbers import Integral

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils import check_random_state, get_tags
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    process_routing,
)
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import indexable

from skdistill._compat import (
    StrOptions,
    check_sample_weight,
    check_y,
    clone_parametrized,
    fit_context,
    num_samples,
    routing_enabled,
    safe_indexing,
)
from skdistill._labelling import (
    check_teacher,
    encode,
    fit_parameters,
    is_fitted,
    make_splits,
    share_fitted,
    with_seed,
)
from skdistill._leak_check import looks_memorised
from skdistill.soft_targets import (
    align_columns,
    check_soft_targets,
    out_of_bag,
    out_of_fold,
)
from skdistill.teachers._opinion_pool import check_weights, log_score_weights, pool


class AveragedTeacher(ClassifierMixin, BaseEstimator):
    r"""Classifier that answers with the weighted mean of others' probabilities.

    The linear opinion pool :math:`p = \sum_m w_m p_m`. Its log score is at least the
    weighted mean of its members' scores, and often better than the best of them.

    Members that are fitted are used as they are, by `fit` and by clones, which share
    them; so are FrozenEstimator and CachedTeacher. Others are cloned and fitted by
    `fit`. Where all are fitted and weights need no labels, there is nothing to fit.

    Parameters
    ----------
    teachers : list of classifiers
        Fitted, frozen or unfitted classifiers with `predict_proba`. Columns are matched
        by label; fitted members must know the same classes.

    weights : array-like of shape (n_teachers,) or "log_score", default=None
        Weights of the members, normalised to sum 1; None weights all alike. With
        "log_score", `fit` finds those of the highest mean log score to labels
        [1]_ [2]_: on out-of-bag (with ``oob_score=True``) or out-of-fold answers of
        members that are fitted here, and on the answers of the others to the rows that
        `fit` gets, which should be new to them. A member of weight 0 is never asked.

    cv : int, splitter, iterable or "auto", default="auto"
        Out-of-fold answers for "log_score"; "auto" is stratified 5-fold.

    n_jobs : int, default=None
        Number of folds fitted at once.

    random_state : int, RandomState instance or None, default=None
        Seeds folds, and every `random_state` of an unfitted member that is None.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Sorted labels: those of fitted members, else those of `y`.

    teachers_ : list of fitted classifiers
        The members, in the order given.

    weights_ : ndarray of shape (n_teachers,)
        Weights that sum to 1.

    oob_decision_function_ : ndarray of shape (n_samples, n_classes)
        The weighted mean of the answers that "log_score" weights come from; NaN in a
        row that nobody answered.

    n_features_in_, feature_names_in_ : int, ndarray
        The first member's, where it has them.

    See Also
    --------
    sklearn.ensemble.VotingClassifier : Refits all members, weights must be given.

    Notes
    -----
    A member may abstain: a row of NaN counts as no answer, and the others' weights are
    scaled up. Weights by log score come from rows that all members answer.

    **Cost.** `fit` fits each unfitted member once, with "log_score" 1 + 5 times (once
    if it has out-of-bag probabilities). As the teacher of a DistilledClassifier with
    ``cv="auto"``, the same pass yields both weights and targets (an ensemble with
    `oob_decision_function_` is not fitted once more for each fold): 6 fits a member,
    and 6 more where settings are chosen; equal weights cost 6 and 4.

    References
    ----------
    .. [1] Smyth, Wolpert, "Linearly combining density estimators via stacking", Machine
       Learning 36, 1999.
    .. [2] Geweke, Amisano, "Optimal prediction pools", Journal of Econometrics 164,
       2011.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skdistill.teachers import AveragedTeacher
    >>> X, y = load_iris(return_X_y=True)
    >>> forest = RandomForestClassifier(random_state=0).fit(X, y)
    >>> linear = LogisticRegression(max_iter=1000).fit(X, y)
    >>> both = AveragedTeacher([forest, linear])  # nothing to fit
    >>> both.predict_proba(X[50:51]).round(2)
    array([[0.  , 0.93, 0.07]])
    """

    _parameter_constraints = {
        "teachers": "no_validation",  # _check_teachers says more
        "weights": ["array-like", StrOptions({"log_score"}), None],
        "cv": ["cv_object", StrOptions({"auto"})],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }
    #: With metadata routing weights are asked for: nobody can do it for a list.
    __metadata_request__fit = {"sample_weight": True}

    def __init__(
        self, teachers, *, weights=None, cv="auto", n_jobs=None, random_state=None
    ):
        self.teachers = teachers
        self.weights = weights
        self.cv = cv
        self.n_jobs = n_jobs
        self.random_state = random_state

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, *, sample_weight=None, **params):
        """Fit the members that are not fitted, and find weights.

        Parameters
        ----------
        X : array-like of length n_samples
            Rows, passed on untouched.

        y : array-like of shape (n_samples,)
            Labels; a fitted member must know them all.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of rows, for members that are fitted here and for "log_score".

        **params : dict
            With metadata routing, what unfitted members request.

        Returns
        -------
        self : AveragedTeacher
        """
        _check_teachers(self.teachers)
        X, y = indexable(X, y)
        y = check_y(y, estimator=self)
        check_classification_targets(y)
        if sample_weight is not None:
            sample_weight = check_sample_weight(sample_weight, X)
        classes = _common_classes(self.teachers)
        classes = np.unique(y) if classes is None else classes
        codes = encode(y, classes)
        seed = check_random_state(self.random_state).randint(2**30)
        fit_params = self._route(sample_weight, params)

        teachers = share_fitted(self.teachers)
        for teacher, own in zip(teachers, fit_params, strict=True):
            if own is not None:
                with_seed(teacher, seed).fit(X, y, **own)
                check_teacher(teacher)
        if isinstance(self.weights, str):
            answers = self._new_answers(
                teachers, X, y, codes, classes, fit_params, seed
            )
            scores = [P[np.arange(len(y)), codes] for P in answers]
            self.weights_ = log_score_weights(scores, sample_weight)
            self.oob_decision_function_ = pool(answers, self.weights_)
        else:
            self.weights_ = check_weights(self.weights, len(teachers))
            vars(self).pop("oob_decision_function_", None)  # of an earlier fit
        self.teachers_, self._classes = teachers, classes
        return self

    def _new_answers(self, teachers, X, y, codes, classes, fit_params, seed):
        """Answers of each member to rows of whose labels it should know nothing."""
        answers, splits, memorised = [], None, []
        for at, (teacher, own) in enumerate(zip(teachers, fit_params, strict=True)):
            if own is None:
                P = answer_rows(teacher, X, classes)
                if _has_seen(P, codes, X):
                    memorised.append(at)
            else:
                P = out_of_bag(teacher, n_samples=len(y), classes=classes)
            if P is None:
                splits = splits or make_splits(
                    self.cv, X, y, codes, split_params={}, seed=seed
                )
                P, _ = out_of_fold(
                    teacher, X, y, classes=classes, splits=splits, fit_params=own,
                    n_jobs=self.n_jobs,
                )  # fmt: skip
            answers.append(P)
        told = vars(self).setdefault("_leaks", [])
        if memorised and memorised not in told:
            told.append(memorised)
            warnings.warn(_leak_text(memorised), UserWarning, stacklevel=4)
        return answers

    # -- answers -----------------------------------------------------------------------

    def predict_proba(self, X):
        """Weighted mean of the members' probabilities.

        Parameters
        ----------
        X : array-like of length n_samples
            Rows, passed on untouched.

        Returns
        -------
        P : ndarray of shape (n_samples, n_classes)
            NaN in rows that no member answers.
        """
        teachers, weights, classes = self._members()
        asked = np.flatnonzero(weights)
        answers = (answer_rows(teachers[at], X, classes) for at in asked)
        return pool(answers, weights[asked])

    def predict(self, X):
        """Most probable class of each row.

        Parameters
        ----------
        X : array-like of length n_samples
            Rows.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Labels out of `classes_`.

        Raises
        ------
        ValueError
            If no member answers some row.
        """
        P = self.predict_proba(X)
        silent = np.flatnonzero(np.isnan(P[:, 0]))
        if len(silent):
            raise ValueError(
                f"teachers must answer each row, got no answer in {len(silent)} of "
                f"{len(P)} rows (first: row {silent[0]}). Leave these rows out, or ask "
                "again."
            )
        return self.classes_.take(P.argmax(axis=1))

    def _members(self):
        """Members, weights and classes: found by `fit`, or given complete."""
        if hasattr(self, "weights_"):
            return self.teachers_, self.weights_, self._classes
        if not self.__sklearn_is_fitted__():
            raise NotFittedError(
                f"This {type(self).__name__} instance is not fitted yet: it has "
                "unfitted members, or weights to find. Call 'fit' with appropriate "
                "arguments first."
            )
        weights = check_weights(self.weights, len(self.teachers))
        return self.teachers, weights, _common_classes(self.teachers)

    @property
    def classes_(self):
        """Sorted labels of the columns."""
        return self._members()[2]

    @property
    def n_features_in_(self):
        """Number of features that the first member was fitted on."""
        return self._members()[0][0].n_features_in_

    @property
    def feature_names_in_(self):
        """Names of the features that the first member was fitted on."""
        return self._members()[0][0].feature_names_in_

    # -- what scikit-learn asks --------------------------------------------------------

    def __sklearn_is_fitted__(self):
        """Tell whether it can answer: fitted, or made of what needs no fit."""
        if hasattr(self, "weights_"):
            return True
        _check_teachers(self.teachers)
        return not isinstance(self.weights, str) and all(map(is_fitted, self.teachers))

    def __sklearn_clone__(self):
        """Clone all parameters, but share fitted members like frozen ones."""
        bare = type(self)(**{**self.get_params(deep=False), "teachers": None})
        twin = clone_parametrized(bare)
        twin.teachers = share_fitted(self.teachers)
        twin._leaks = vars(self).setdefault("_leaks", [])  # told once in a search
        return twin

    def _route(self, sample_weight, params):
        """Fit parameters of each member; None for one that is used as it is."""
        if routing_enabled():
            if sample_weight is not None:
                params = {**params, "sample_weight": sample_weight}
            routed = process_routing(self, "fit", **params)
            return [
                None if is_fitted(teacher) else dict(routed[f"teacher_{at}"]["fit"])
                for at, teacher in enumerate(self.teachers)
            ]
        if params:
            raise TypeError(
                f"fit takes sample_weight only, got {sorted(params)!r}. Other fit "
                "parameters go to members by metadata routing: "
                "sklearn.set_config(enable_metadata_routing=True)."
            )
        return [
            None if is_fitted(teacher) else fit_parameters(teacher, sample_weight, {})
            for teacher in self.teachers
        ]

    def get_metadata_routing(self):
        """Get metadata routing of this object.

        Returns
        -------
        routing : MetadataRouter
            ``teacher_0``, ``teacher_1`` ... are the members that `fit` fits.
        """
        router = MetadataRouter(owner=self).add_self_request(self)
        to_fit = MethodMapping().add(caller="fit", callee="fit")
        for at, teacher in enumerate(self.teachers):
            if not is_fitted(teacher) and hasattr(teacher, "get_metadata_routing"):
                router.add(**{f"teacher_{at}": teacher}, method_mapping=to_fit)
        return router

    def __sklearn_tags__(self):
        """Input that all members take."""
        tags = super().__sklearn_tags__()
        try:
            inputs = [get_tags(teacher).input_tags for teacher in self.teachers]
        except (AttributeError, TypeError):  # no scikit-learn estimators
            return tags
        for name in ("allow_nan", "sparse", "string", "categorical"):
            setattr(tags.input_tags, name, all(getattr(t, name) for t in inputs))
        return tags


def _check_teachers(teachers):
    if not isinstance(teachers, list | tuple) or len(teachers) == 0:
        raise TypeError(
            f"teachers must be a list of at least one classifier, got {teachers!r}. "
            "Pass [first, second]."
        )
    for teacher in teachers:
        if isinstance(teacher, type):
            raise TypeError(
                "teachers must be instances of classifiers, got the class "
                f"{teacher.__name__}. Pass {teacher.__name__}()."
            )
        check_teacher(teacher)


def _common_classes(teachers):
    """Sorted classes that all fitted members know; None where none is fitted."""
    known = []
    for teacher in filter(is_fitted, teachers):
        labels = getattr(teacher, "classes_", None)
        if labels is None:
            raise ValueError(
                "Fitted teachers must have classes_, the labels of their columns, got "
                f"{type(teacher).__name__} without. Set the attribute."
            )
        known.append(np.unique(labels))
    if not known:
        return None
    if any(set(labels.tolist()) != set(known[0].tolist()) for labels in known):
        sets = ", ".join(repr(labels.tolist()) for labels in known)
        raise ValueError(
            f"Fitted teachers must know the same classes, got {sets}. Fit them on rows "
            "of the same classes, with labels of one type."
        )
    return known[0]


def answer_rows(teacher, X, classes):
    """Ask a member, check what it answers, and align it to `classes`.

    Parameters
    ----------
    teacher : fitted classifier
        A member.

    X : array-like of length n_samples
        Rows, passed on untouched.

    classes : ndarray of shape (n_classes,)
        Labels of the result's columns.

    Returns
    -------
    P : ndarray of shape (n_samples, n_classes)
        Rows of NaN where the member abstains.
    """
    own = np.asarray(teacher.classes_)
    answer = np.asarray(teacher.predict_proba(X))
    # anything but rows of floats is for the check to refuse
    is_table = answer.ndim == 2 and answer.dtype.kind == "f"
    silent = np.isnan(answer).any(axis=1) if is_table else np.zeros(len(answer), bool)
    P = np.full((num_samples(X), len(classes)), np.nan)
    checked = check_soft_targets(
        answer[~silent],
        n_samples=len(P) - np.count_nonzero(silent),
        n_classes=len(own),
        name=f"The probabilities of the teacher {type(teacher).__name__}",
    )
    P[~silent] = align_columns(checked, own, classes)
    return P


def _has_seen(P, codes, X):
    """Tell whether a fitted member looks as if it had been trained on these rows."""
    answered = np.flatnonzero(np.isfinite(P).all(axis=1))
    if len(answered) == 0:
        return False
    X = X if len(answered) == len(P) else safe_indexing(X, answered)
    return looks_memorised(P[answered], codes[answered], X)


def _leak_text(memorised):
    return (
        "Fitted teachers look as if they had been trained on (X, y), in the list at "
        f"{memorised!r}: they are right on rows that another model finds ambiguous. "
        "weights='log_score' would favour them for that. Pass them unfitted, fit on "
        "rows that are new to all, or give weights. If these rows are new to them, "
        "they are simply very good: ignore this."
    )
