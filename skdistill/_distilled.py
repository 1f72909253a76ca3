"""DistilledClassifier: the only place that sees the whole way."""

import os
from functools import partial
from numbers import Integral, Real

from sklearn.base import clone
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.utils import (
    Bunch,
    check_random_state,
    get_tags,
)
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    process_routing,
)

from skdistill import _choice, _input, _labelling
from skdistill._answers import StudentAnswers
from skdistill._compat import (
    CallbackSupportMixin,
    HasMethods,
    Interval,
    StrOptions,
    fit_context,
    num_samples,
    routing_enabled,
)
from skdistill._costs import Costs
from skdistill._finish import plain_finish
from skdistill._held_out import held_out_split
from skdistill._last_fit import fit_chosen
from skdistill._memory import remembering
from skdistill._new_rows import (
    TransferSource,
    encodings_to_try,
    is_net,
    penalties_to_try,
)
from skdistill._pace import Pace
from skdistill._progress import FitProgress
from skdistill._record import Record
from skdistill._shadow import Look, find_shadow, look_for_memory
from skdistill._shared_teacher import SharedTeacher
from skdistill._teaching import TeacherFit, cross_fit, label_part
from skdistill._training import PLAIN, Rows, Trainer
from skdistill.soft_targets import (
    METHODS,
    Calibration,
    align_columns,
    check_soft_targets,
    teacher_probabilities,
)
from skdistill.students import MLPStudent, check_student

#: Fewer labelled rows than this cannot tell a good temperature from a bad one.
MIN_CALIBRATION_ROWS = 100

_ROUTES = {"auto", "native", "expand", "regress", "regress_logits", "sample"}


class DistilledClassifier(CallbackSupportMixin, SharedTeacher, StudentAnswers):
    """Classifier that learns from another classifier's probabilities.

    A **teacher**, any classifier with `predict_proba`, labels the training rows with
    probabilities (soft targets), and a small **student** is fitted on them. The fitted
    `student_` works alone: it is the thing to ship.

    A teacher that is fitted already is used as it is, by `fit` and by every clone of
    this object (in GridSearchCV, cross_validate, a Pipeline). Where settings are
    chosen, a clone of it may be fitted besides, to find out whether it knows the
    held-out rows; never of one in a :class:`~sklearn.frozen.FrozenEstimator`. A teacher
    that is not fitted is cloned, fitted on the rows that `fit` gets, and labels them
    out of bag or out of fold.

    Parameters
    ----------
    teacher : classifier, list of classifiers or None
        Fitted, frozen or unfitted classifier with `predict_proba`. A list answers with
        the mean of its members' probabilities, each of which may be fitted or not; see
        :class:`~skdistill.teachers.AveragedTeacher`. None is allowed where `fit` is
        given `soft_targets`.

    student : estimator, default=None
        What to fit: a scikit-learn classifier or regressor, a Pipeline that ends in
        one, a skorch net, a LightGBM, XGBoost or CatBoost classifier, or any object
        with ``fit_soft_targets(X, soft_targets, *, classes, sample_weight=None)``.
        None means ``MLPStudent()``, ``LogisticStudent()`` for sparse rows, and
        ``NGramStudent()`` for a list of str.

    temperature : float or "auto", default=1.0
        T > 0. Targets are tempered, ``p ** (1 / T)`` normalised, and the student's
        answer is raised to T again, so both sides of the loss are tempered [1]_ and
        predictions are at T = 1. "auto" tries 1, 2 and 4 on held-out rows.

    alpha : float or "auto", default="auto"
        Weight of the SOFT targets in [0, 1]: 1 is soft only, 0 is labels only. "auto"
        chooses among .5, 1 and the plain student (0) by held-out log-loss, and takes
        the plain one unless another is better by a standard error; without y it is 1.
        Where the student's `encoding` (MLPStudent, LogisticStudent) or `C`
        (LogisticStudent) is "auto", it is chosen along.

    targets : {"auto", "native", "expand", "regress", "regress_logits", "sample"}, \
            default="auto"
        How the student is fed soft targets; see the user guide's table. What was done,
        and why, is in `targets_`.

    cv : int, splitter, iterable or "auto", default="auto"
        How an unfitted teacher labels its own training rows. "auto" uses out-of-bag
        probabilities if the teacher has them, else stratified 5-fold (whole groups
        where `groups` are given).

    calibrate : {"auto", "temperature", "vector", "isotonic"} or None, default="auto"
        Calibration of the teacher, fitted on rows that it was not fitted on. "auto"
        compares one temperature, vector scaling, isotonic curves (where rows are many)
        and none by cross-validated log-loss, and takes the simplest that no richer one
        beats by a standard error; any other method is kept always; None does nothing.
        See :func:`~skdistill.soft_targets.calibrate`.

    transfer : {"auto"}, sampler or None, default="auto"
        Where more rows for the teacher to label come from. A sampler has ``fit(X, *,
        teacher=None)`` and ``sample(n_samples, random_state=None)``. "auto" tries
        :class:`~skdistill.transfer.MungeSampler` in two strengths on held-out rows
        where the student and the kind of rows admit it. With `X_transfer`, "auto" means
        none.

    effort : {"low", "default", "high"}, default="default"
        How much is tried where `alpha` or `transfer` is "auto": "low" is the plain
        student and one distilled one, "high" all combinations; see Notes.

    memory : str, path-like, AnswerStore or None, default=None
        File that keeps the teacher's answers, by content of the row: over all
        candidates, folds and processes of a search a fitted teacher is asked each
        distinct row once, and workers are sent its whereabouts, not its weights. An
        unfitted teacher's out-of-fold answers are kept too. See
        :class:`~skdistill.teachers.CachedTeacher`.

    n_jobs : int, default=None
        Number of folds in which the teacher is fitted at once.

    random_state : int, RandomState instance or None, default=None
        Seeds folds, held-out rows, samplers, and every `random_state` parameter of
        teacher and student that is None.

    verbose : int, default=0
        1 shows a progress bar. With scikit-learn >= 1.9, `set_callbacks` takes its
        callbacks too.

    Attributes
    ----------
    student_ : classifier
        The fitted student; `classes_` and normalised `predict_proba`.

    teacher_ : classifier or None
        The teacher that is fitted on all rows, or the given one. None where only its
        `soft_targets` were given.

    classes_ : ndarray of shape (n_classes,)
        Sorted class labels; those of a fitted teacher.

    targets_ : Feed
        How the student was fed and why.

    summary_ : dict of ndarrays
        Held-out scores of teacher, plain student and distilled students, one entry a
        score, and which settings were chosen. Made for ``pandas.DataFrame(summary_)``.
        Scores are in nats except accuracy; `n_rows` says on how many rows, for not all
        met on the same ones where rows are few.

    alpha_, temperature_, transfer_ : float, float, str
        What `alpha`, `temperature` and `transfer` came to.

    student_temperature_ : float
        What the logits of a net, boosting or a forest were divided by to fit held-out
        labels. 1 is not at all.

    student_shrinkage_ : float
        Strength, in rows, with which the leaves of a tree or forest of scikit-learn's
        were drawn to the nodes above them (hierarchical shrinkage). 0 is not at all.

    calibration_ : Calibration
        How the teacher's probabilities were calibrated: a function of them.

    n_teacher_rows_, n_transfer_rows_ : int
        Rows that the teacher was asked about, out-of-bag votes and answers that
        `memory` had apart; rows without labels that the student was fitted on.

    n_unanswered_rows_ : int
        Rows that the teacher left unanswered (NaN as a whole). Training rows among them
        are learnt from by their label alone; those without a label are left out.

    fit_seconds_ : dict of str to float
        Seconds that `fit` spent on "teacher fits", "teacher answers", "new rows" (drawn
        for the teacher to label) and "students".

    plain_student_ : classifier
        The same student fitted on the labels of the same rows; where it was a
        candidate.

    n_features_in_ : int
        Number of features seen during fit, where rows have any.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features, where X has names that are all strings.

    Notes
    -----
    **Cost.** With everything on "auto", an unfitted teacher is fitted 1 + 5 times for
    its targets and 4 times more for a choice by rows of which it knows nothing (twice
    in all if it has out-of-bag probabilities). It labels ten new rows for each training
    row (five for trees; for nets 20,000 at least) twice for the choice, and once for
    the student, thirty if that is an MLPStudent. On 80 % of the rows, up to 9
    MLPStudents or 8 others are fitted (2 with low effort; 17 and 8 with high), with
    steps in proportion to the plain one's, and on all rows the winner and the plain
    students. Below 2,500 rows the best and the plain student meet on up to two further
    splits: up to 8 more fits of the teacher and 4 of students. Of a fitted teacher a
    clone is fitted once (below 2,500 rows up to three times), and where
    `soft_targets` are given 5 more times each if students without new rows are tried,
    unless it is frozen, its clones cannot be fitted on `X` and `y` alone, or `effort`
    is "low". With `alpha`, `temperature` and `transfer` fixed there is one fit of the
    student, and none of the teacher beyond its targets. `fit_seconds_` says where the
    time went.

    Choices are made where at least 250 rows are given; with fewer, alpha is .5
    without transfer rows. Transfer rows weigh the mean weight of the training rows:
    with thirty for each training row they carry 30 / 31 of the loss. Those that "auto"
    draws for a net are labelled by the teacher and the plain students together, with
    weights from held-out rows, the teacher's at least one half. A `student_` that is an
    MLPStudent and met five times as many as training rows has ``early_stopping=False``.

    References
    ----------
    .. [1] Hinton, Vinyals, Dean, "Distilling the knowledge in a neural network", 2015.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from skdistill import DistilledClassifier, LogisticStudent
    >>> X, y = load_iris(return_X_y=True)
    >>> small = DistilledClassifier(
    ...     RandomForestClassifier(random_state=0), LogisticStudent(), random_state=0
    ... ).fit(X, y)
    >>> small.predict_proba(X[:1]).round(1)
    array([[1., 0., 0.]])
    """

    _parameter_constraints = {
        "teacher": "no_validation",  # _check_teacher and check_teacher say more
        "student": [HasMethods("fit"), HasMethods("fit_soft_targets"), None],
        "temperature": [
            Interval(Real, 0, None, closed="neither"),
            StrOptions({"auto"}),
        ],
        "alpha": [Interval(Real, 0, 1, closed="both"), StrOptions({"auto"})],
        "targets": [StrOptions(_ROUTES)],
        "cv": ["cv_object", StrOptions({"auto"})],
        "calibrate": [StrOptions({"auto", *METHODS}), None],
        "transfer": [StrOptions({"auto"}), HasMethods(["fit", "sample"]), None],
        "effort": [StrOptions({"low", "default", "high"})],
        "memory": [str, os.PathLike, HasMethods(["get_many", "put_many"]), None],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        teacher,
        student=None,
        *,
        temperature=1.0,
        alpha="auto",
        targets="auto",
        cv="auto",
        calibrate="auto",
        transfer="auto",
        effort="default",
        memory=None,
        n_jobs=None,
        random_state=None,
        verbose=0,
    ):
        self.teacher = teacher
        self.student = student
        self.temperature = temperature
        self.alpha = alpha
        self.targets = targets
        self.cv = cv
        self.calibrate = calibrate
        self.transfer = transfer
        self.effort = effort
        self.memory = memory
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X,
        y=None,
        *,
        sample_weight=None,
        soft_targets=None,
        classes=None,
        X_transfer=None,
        **params,
    ):
        """Label the rows by the teacher and fit the student.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or list of str
            Training rows, passed on untouched to teacher and student.

        y : array-like of shape (n_samples,), default=None
            Labels. None is allowed with a fitted teacher or with `soft_targets`.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of rows, for teacher (if it is fitted here), student, calibration
            and choices. A row of weight 0 counts as absent.

        soft_targets : array-like of shape (n_samples, n_classes), default=None
            The teacher's probabilities for X, columns in the order of `classes_` or of
            `classes`, NaN in rows without an answer: the teacher is not called on these
            rows for the last student, and not fitted. Out-of-fold ones tell of the
            labels of other rows: where settings are chosen, give the fitted teacher
            too, of which clones then label them for the choice.
            GridSearchCV and cross_validate slice it along with X.

        classes : array-like of shape (n_classes,), default=None
            Labels of the columns of `soft_targets`, or of a teacher that has no
            `classes_`.

        X_transfer : array-like of shape (n_transfer, n_features) or UnlabelledPool, \
                default=None
            Unlabelled rows, labelled by the teacher. GridSearchCV and cross_validate
            slice an array that is as long as X; they leave an
            :class:`~skdistill.transfer.UnlabelledPool` whole.

        **params : dict
            Parameters of the `fit` of an unfitted teacher; `groups` go to the splitter.
            With metadata routing, whatever teacher and splitter request.

        Returns
        -------
        self : DistilledClassifier
            The fitted estimator.

        Raises
        ------
        ValueError
            If inputs contradict each other; the message says what was expected, what
            came and what to do.

        TypeError
            If the teacher gives no probabilities.
        """
        self._forget()
        use_as_it_is = _input.check_request(
            self._teacher, y=y, soft_targets=soft_targets, alpha=self.alpha
        )
        X, y, weight = _input.check_rows(self, X, y, sample_weight)
        routed = self._route(weight, params)
        groups = routed.splitter.split.get("groups")
        _input.check_groups(groups, X)
        given = _input.teacher_labels(self._teacher, classes) if use_as_it_is else None
        known = given if use_as_it_is else _input.labels_of_members(self._teacher, y)
        self.classes_, columns = _labelling.resolve_classes(
            known, classes, y, soft_targets
        )
        codes = None if y is None else _labelling.encode(y, self.classes_)
        seed = check_random_state(self.random_state).randint(2**30)
        make_student = partial(_input.fresh_student, self.student, X, seed)
        check_student(make_student(), self.targets, weight, len(self.classes_))
        _input.refuse_rows(make_student(), X)
        samplers, is_given = _input.resolve_samplers(
            self.transfer, X_transfer, X, make_student(),
            can_ask=use_as_it_is or soft_targets is None,
        )  # fmt: skip
        _input.warn_once(self, "pool", _input.other_pool(self, X, samplers))
        progress, costs = FitProgress(self, X, y, self.verbose), Costs()
        self.fit_seconds_ = costs.seconds

        # What the teacher says of these rows.
        self.n_teacher_rows_ = self.n_unanswered_rows_ = 0
        own = None
        if soft_targets is None and not use_as_it_is:
            with costs.clock("teacher fits"):
                own = self._cross_fit(X, y, codes, routed, seed, progress)
            P = own.P
            self.n_unanswered_rows_ += own.n_unanswered
            _input.warn_once(self, "folds", _input.failed_text(own))
        else:
            if soft_targets is None:
                text = _labelling.other_columns(self._teacher, X)
                _input.warn_once(self, "columns", text)
            soft_targets = _labelling.in_order(soft_targets, columns)
            with costs.clock("teacher answers"):
                P = self._targets_of_others(X, soft_targets, given, columns, progress)
        rows = Rows(X, codes, P, weight, groups)
        _input.check_answers(rows, self._teacher)
        rows = rows.teaching()

        def ask(teacher, X):
            is_named = teacher is not self._teacher and hasattr(teacher, "classes_")
            with costs.clock("teacher answers"):
                return self._ask(teacher, X, None if is_named else given)

        # Whether it may have seen the labels, and what it says where it has not.
        transfer = None if is_given else self.transfer
        is_open = "auto" in (self.alpha, self.temperature, transfer)
        look = Look(rows, honest=rows)
        if own is None and codes is not None and _input.is_worth_a_look(self):
            shadow = None
            if use_as_it_is and is_open and self.effort != "low":
                shadow = find_shadow(
                    self.teacher_, X, y, weight=weight, ask=ask, seed=seed,
                    progress=progress, costs=costs,
                    targets=None if soft_targets is None else P,
                    label=partial(
                        label_part, codes=codes, classes=self.classes_, groups=groups,
                        n_jobs=self.n_jobs, seed=seed, progress=progress,
                    ),
                )  # fmt: skip
            look = look_for_memory(rows, shadow, held_out_split(rows, seed))
            own, rows = look.shadow, look.rows
            _input.warn_once(self, "leak", _input.leak_text(soft_targets, look))

        # Probabilities that fit the labels, before anybody learns from them.
        self.calibration_, n_honest = Calibration(), len(look.honest.only_answered())
        enough = self.calibrate != "auto" or n_honest >= MIN_CALIBRATION_ROWS
        wanted = self.calibrate is not None and enough
        if wanted and codes is not None and n_honest:
            self.calibration_ = look.honest.fit_calibration(self.calibrate)
        rows = rows.calibrated(self.calibration_)

        # Settings, tried on rows that no candidate is fitted on.
        source = TransferSource(
            samplers, ask=ask, seed=seed, is_given=is_given, costs=costs
        )
        trainer = Trainer(
            make_student, classes=self.classes_, targets=self.targets, seed=seed,
            costs=costs, pace=Pace(is_bounded=self.effort != "high"),
        )  # fmt: skip
        record = Record()
        search = _choice.plan_search(
            alpha=self.alpha, temperature=self.temperature, sources=tuple(samplers),
            is_given=is_given, has_labels=codes is not None,
            encodings=(
                encodings_to_try(make_student(), X, self.effort) if is_open else ("",)
            ),
            penalties=penalties_to_try(make_student()) if is_open else (),
            is_costly=is_net(make_student()), finish=plain_finish(make_student()),
            effort=self.effort,
        )  # fmt: skip
        choice = _choice.decide(
            rows, own, trainer, source, record, search, teacher=self.teacher_,
            calibration=self.calibration_, note=look.note, progress=progress,
        )  # fmt: skip
        if own is not None:
            self.n_teacher_rows_ += own.n_asked
        fitted = fit_chosen(
            choice, rows, trainer, source, teacher=self.teacher_,
            calibration=self.calibration_, with_plain=record.has(PLAIN),
            progress=progress,
        )  # fmt: skip
        self._take_over(fitted, choice, record)
        unanswered = _input.unanswered_text(
            self.n_unanswered_rows_, self._teacher, has_folds=own and own.splits
        )
        _input.warn_once(self, "unanswered", unanswered)
        progress.end()
        return self

    # -- what comes in -----------------------------------------------------------------

    def _forget(self):
        """Drop what an earlier fit left: after a failed one nothing predicts."""
        for name in [n for n in vars(self) if n.endswith("_") and n[0] != "_"]:
            delattr(self, name)

    # -- the teacher's part ------------------------------------------------------------

    def _ask(self, teacher, X, teacher_classes):
        """Ask a teacher for probabilities in the order of `classes_`, and count."""
        if teacher is self._teacher:
            teacher = remembering(self)
        known = getattr(teacher, "n_rows_asked_", None)
        with _input.silent_on_unanswered_rows():
            P = teacher_probabilities(
                teacher, X, classes=self.classes_, teacher_classes=teacher_classes,
                allow_abstentions=True,
            )  # fmt: skip
        self.n_teacher_rows_ += (
            len(P) if known is None else teacher.n_rows_asked_ - known
        )
        self.n_unanswered_rows_ += _input.n_unanswered(P)
        return P

    def _cross_fit(self, X, y, codes, routed, seed, progress):
        """Fit the teacher on all rows, and label each by one that has not seen it."""
        teacher = _input.with_seed(clone(self._teacher), seed)
        own = cross_fit(
            TeacherFit(teacher, X, y, routed.teacher.fit), codes, classes=self.classes_,
            cv=self.cv, split_params=routed.splitter.split, n_jobs=self.n_jobs,
            seed=seed, progress=progress, memory=self.memory,
        )  # fmt: skip
        self.teacher_ = own.teacher
        return own

    def _targets_of_others(self, X, soft_targets, teacher_classes, columns, progress):
        """Probabilities that were given, or those of a teacher used as it is."""
        self.teacher_ = None if teacher_classes is None else self._teacher
        if soft_targets is not None:
            P = check_soft_targets(
                soft_targets, n_samples=num_samples(X), n_classes=len(columns),
                allow_abstentions=True,
            )  # fmt: skip
            self.n_unanswered_rows_ += _input.n_unanswered(P)
            return align_columns(P, columns, self.classes_)
        with progress.task("label rows") as step:
            P = self._ask(self._teacher, X, teacher_classes)
            step()
        return P

    # -- the student's part ------------------------------------------------------------

    def _take_over(self, fitted, choice, record):
        """Keep what was fitted, and what was chosen."""
        best, new, self.targets_ = choice.best, fitted.new, fitted.feed
        if fitted.plain_student is not None:
            self.plain_student_ = fitted.plain_student
        self.alpha_, self.temperature_ = best.alpha, best.temperature
        self.student_temperature_ = choice.finish.temperature
        self.student_shrinkage_ = choice.finish.shrinkage
        self.transfer_ = "none" if new is None else best.transfer
        self.n_transfer_rows_ = 0 if new is None else len(new.P)
        self.summary_ = record.as_dict(best)
        self._met_no_missing = not get_tags(self).input_tags.allow_nan
        # Last: from here on the estimator answers.
        self.student_ = fitted.student

    # -- what scikit-learn asks --------------------------------------------------------

    def _route(self, sample_weight, params):
        """Deal out fit parameters to the teacher and the splitter."""
        if not routing_enabled():
            return _input.route_by_name(self._teacher, sample_weight, params)
        if sample_weight is not None:
            params = {**params, "sample_weight": sample_weight}
        routed = process_routing(self, "fit", **params)
        teacher = routed["teacher"]["fit"] if self._routes_to_teacher() else {}
        splitter = routed["splitter"]["split"]
        return Bunch(teacher=Bunch(fit=teacher), splitter=Bunch(split=splitter))

    def _routes_to_teacher(self):
        teacher = self._teacher
        routes = hasattr(teacher, "get_metadata_routing")
        return routes and not _labelling.is_fitted(teacher)

    def get_metadata_routing(self):
        """Get metadata routing of this object.

        Returns
        -------
        routing : MetadataRouter
            Parameters of `fit` are this object's own; the teacher's `fit` and the
            splitter's `split` get what they request.
        """
        is_splitter = hasattr(self.cv, "split") and not isinstance(self.cv, str)
        splitter = self.cv if is_splitter else StratifiedGroupKFold()
        to_split = MethodMapping().add(caller="fit", callee="split")
        router = MetadataRouter(owner=self).add_self_request(self)
        router.add(splitter=splitter, method_mapping=to_split)
        if self._routes_to_teacher():
            to_fit = MethodMapping().add(caller="fit", callee="fit")
            router.add(teacher=self._teacher, method_mapping=to_fit)
        return router

    def __sklearn_tags__(self):
        """Input that both teacher and student take."""
        tags = super().__sklearn_tags__()
        parts = [MLPStudent() if self.student is None else self.student]
        if self._teacher is not None:
            parts.append(self._teacher)
        inputs = []
        for part in parts:
            try:
                inputs.append(get_tags(part).input_tags)
            except (AttributeError, TypeError):  # no scikit-learn estimator
                return tags
        for name in ("allow_nan", "sparse", "string", "categorical"):
            setattr(tags.input_tags, name, all(getattr(t, name) for t in inputs))
        if self.student is None:  # then sparse rows get a LogisticStudent
            tags.input_tags.sparse = all(t.sparse for t in inputs[1:])
        return tags
