"""What `DistilledClassifier.fit` is given: checked, named and made ready."""

import warnings
from contextlib import contextmanager

import numpy as np
from scipy import sparse
from sklearn.base import clone
from sklearn.utils import Bunch, indexable
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, validate_data

from skdistill._compat import check_y, num_samples
from skdistill._frames import as_frame, is_text, shown
from skdistill._labelling import check_teacher, fit_parameters, is_fitted, with_seed
from skdistill._new_rows import automatic_samplers
from skdistill.students import LogisticStudent, MLPStudent, NGramStudent
from skdistill.students._base import check_weight, refuse_words
from skdistill.transfer import UnlabelledPool, check_pool, pool_shift

#: From this area under the ROC curve on, a pool counts as unlike the training rows.
OTHER_POOL_AUC = 0.9

#: Warnings given to the clones of one estimator.
_GIVEN = set()


def check_request(teacher, *, y, soft_targets, alpha):
    """Check that labels can come from somewhere, before anything is asked or fitted.

    Returns
    -------
    as_it_is : bool
        Whether the teacher is fitted, and so used as it is.
    """
    if teacher is None:
        if soft_targets is None:
            raise ValueError(
                "teacher must be a classifier with predict_proba, got None. Pass one, "
                "or the probabilities of one as soft_targets= to fit."
            )
    elif isinstance(teacher, type):
        raise TypeError(
            "teacher must be an instance of a classifier, got the class "
            f"{teacher.__name__}. Pass {teacher.__name__}()."
        )
    as_it_is = teacher is not None and is_fitted(teacher)
    if as_it_is or soft_targets is None:
        check_teacher(teacher)
    if y is not None:
        return as_it_is
    if not as_it_is and soft_targets is None:
        raise ValueError(
            "An unfitted teacher requires y to be passed, but the target y is None: "
            f"{type(teacher).__name__} is fitted by DistilledClassifier. Pass labels, "
            "a fitted teacher, or soft_targets=."
        )
    if alpha != "auto" and alpha < 1:
        raise ValueError(
            f"alpha must be 1 or 'auto' where y is None, got {alpha!r}: there are no "
            "labels to give the other part of the weight to. Pass y, or alpha=1."
        )
    return as_it_is


def check_rows(estimator, X, y, sample_weight):
    """Check lengths, labels and weights; X stays what it is.

    Returns
    -------
    X : array-like
        The same rows, in a form that can be indexed.

    y, sample_weight : ndarray of shape (n_samples,) or None
    """
    as_frame(X)  # refuses what only looks like one
    if num_samples(X) == 0:
        raise ValueError(
            "Found array with 0 sample(s) while a minimum of 1 is required by "
            "DistilledClassifier. Pass some rows."
        )
    validate_data(estimator, X, skip_check_array=True)
    X, y, sample_weight = indexable(X, y, sample_weight)
    if y is not None:
        y = check_y(y, estimator=estimator)
        check_classification_targets(y)
    weight = None if sample_weight is None else check_weight(sample_weight, X)
    return X, y, weight


def check_groups(groups, X):
    """Check that each row has a group, of one kind with the others."""
    if groups is None:
        return
    check_consistent_length(X, groups)
    try:
        np.unique(np.asarray(groups))
    except TypeError as error:
        kinds = sorted({type(group).__name__ for group in groups})
        raise ValueError(
            "groups must be of one kind, to be told apart, got values of the types "
            f"{shown(kinds)}. Give rows without a group one of their own, say 'none'."
        ) from error


def teacher_labels(teacher, classes):
    """Labels of a fitted teacher's columns: `classes_`, else what the caller says."""
    labels = getattr(teacher, "classes_", None)
    if labels is None:
        labels = classes
    if labels is None:
        raise ValueError(
            "classes must be given for a teacher without classes_, got None with "
            f"{type(teacher).__name__}. Pass classes=, the label of each column of its "
            "predict_proba."
        )
    if isinstance(labels, list) and labels and isinstance(labels[0], np.ndarray):
        raise ValueError(
            f"teacher must answer one label a row, got {len(labels)} outputs from "
            f"{type(teacher).__name__}. Distil each output by itself."
        )
    return np.asarray(labels)


def labels_of_members(teacher, y):
    """Labels of an unfitted average whose fitted members know more than `y` has."""
    from skdistill.teachers import AveragedTeacher

    if not isinstance(teacher, AveragedTeacher):
        return None
    fitted = [m for m in teacher.teachers if is_fitted(m) and hasattr(m, "classes_")]
    labels = [np.asarray(m.classes_) for m in fitted]
    if y is not None:
        labels.append(np.unique(y))
    if len({some.dtype.kind for some in labels}) > 1:  # a word on it comes from `fit`
        return None
    return np.unique(np.concatenate(labels)) if fitted else None


def route_by_name(teacher, sample_weight, params):
    """Deal out fit parameters where metadata routing is off.

    Returns
    -------
    routed : Bunch
        ``teacher.fit`` and ``splitter.split``, as `process_routing` gives them.
    """
    params = dict(params)
    groups = params.pop("groups", None)
    if teacher is None or is_fitted(teacher):
        if params:
            raise TypeError(
                "fit parameters are for a teacher that is fitted here, got "
                f"{sorted(params)!r} with a teacher that is fitted already, or None. "
                "Leave them out."
            )
    else:
        params = fit_parameters(teacher, sample_weight, params)
    return Bunch(
        teacher=Bunch(fit=params),
        splitter=Bunch(split={} if groups is None else {"groups": groups}),
    )


def fresh_student(student, X, seed):
    """Clone of the student, or the default one for such rows, with seeds set."""
    if student is not None:
        return with_seed(clone(student, safe=False), seed)
    if sparse.issparse(X):
        return LogisticStudent()
    if is_text(X):
        return NGramStudent(random_state=seed)
    return MLPStudent(random_state=seed)


def refuse_rows(student, X):
    """Refuse rows that the student could not take, before the teacher is asked."""
    if isinstance(student, MLPStudent | LogisticStudent):
        refuse_words(student, X)


def resolve_samplers(transfer, X_transfer, X, student, *, can_ask):
    """Where new rows come from.

    Parameters
    ----------
    transfer : "auto", UnlabelledPool, sampler or None
        The constructor's say.

    X_transfer : array-like, UnlabelledPool or None
        The say of `fit`.

    X : array-like
        Training rows.

    student : estimator
        Decides whether drawn rows are worth while.

    can_ask : bool
        Whether there is, or will be, a fitted teacher to label them.

    Returns
    -------
    samplers : dict of str to UnlabelledPool or sampler

    is_given : bool
        Whether the user asked for these rows.
    """
    if isinstance(transfer, type):
        raise TypeError(
            f"transfer must be a sampler, got the class {transfer.__name__}. Pass an "
            f"instance: {transfer.__name__}()."
        )
    is_given = not isinstance(transfer, str | None)
    if X_transfer is not None:
        if is_given:
            raise ValueError(
                "transfer must be 'auto' or None where X_transfer is given, got "
                f"{transfer!r}. Leave one of them out."
            )
        is_pool = isinstance(X_transfer, UnlabelledPool)
        transfer = X_transfer if is_pool else UnlabelledPool(X_transfer)
        is_given = True
    if isinstance(transfer, UnlabelledPool):
        (pool,) = indexable(transfer.X)  # rows of some sparse kinds cannot be taken
        if pool is not transfer.X:
            transfer = UnlabelledPool(pool)
        check_pool(X, transfer.X)
    if not can_ask and is_given:
        raise ValueError(
            "teacher must be fitted to label the rows of X_transfer or of a transfer "
            "sampler, got one that is not, or None, with soft_targets. Pass the fitted "
            "teacher along with its soft_targets."
        )
    if transfer == "auto":
        return (automatic_samplers(X, student) if can_ask else {}), False
    return {type(transfer).__name__: transfer} if is_given else {}, is_given


def n_unanswered(P):
    """Count the rows that a teacher left unanswered."""
    return int(np.isnan(P).any(axis=1).sum())


def check_answers(rows, teacher):
    """Check that the teacher answered some of the training rows that count."""
    counts = np.ones(len(rows), bool) if rows.weight is None else rows.weight > 0
    n_rows = np.count_nonzero(counts)
    if n_rows and not (rows.answered & counts).any():
        raise ValueError(
            "The teacher must answer at least one row of X, got NaN for all of its "
            f"{n_rows} rows{_why_unanswered(teacher)}. Ask it for one row by hand: "
            "teacher.predict_proba(X[:1])."
        )


@contextmanager
def silent_on_unanswered_rows():
    """Leave out what a teacher says of rows without an answer: `fit` sums it up."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"\d+ of \d+ rows have no usable answer")
        yield


def unanswered_text(n_rows, teacher, has_folds):
    """Text of the warning on rows without an answer, empty where there are none."""
    if n_rows == 0:
        return ""
    how = "NaN, or in no test part of cv" if has_folds else "NaN"
    return (
        f"The teacher left {n_rows} rows without an answer ({how})"
        f"{_why_unanswered(teacher)}. Training rows among them teach by their labels "
        "alone, rows without labels are left out."
    )


def _why_unanswered(teacher):
    """Limit that ended what a teacher was asked last, where it says so."""
    limit = getattr(teacher, "stopped_", None)
    return "" if limit is None else f": its {limit} ended the run"


def is_worth_a_look(estimator):
    """Tell whether to look for a leak.

    Where nothing depends on the answer, one look is enough for all clones of an
    estimator: in a search they have the same teacher.
    """
    is_first = _is_first_look(estimator, "looked")
    choices = (estimator.alpha, estimator.temperature, estimator.transfer)
    return is_first or estimator.calibrate is not None or "auto" in choices


def _is_first_look(estimator, kind):
    token = (getattr(estimator, "_clone_token", None), kind)
    is_first = not estimator._is_clone or token not in _GIVEN
    _GIVEN.add(token)
    return is_first


def other_pool(estimator, X, samplers):
    """Text of the warning on a pool that is unlike X, empty where it is not.

    One look is enough for all clones of an estimator.
    """
    pools = [s.X for s in samplers.values() if isinstance(s, UnlabelledPool)]
    if not pools or not _is_first_look(estimator, "looked at the pool"):
        return ""
    auc = pool_shift(X, pools[0])
    if not auc >= OTHER_POOL_AUC:
        return ""
    return (
        "X_transfer is unlike X: a quick classifier tells their rows apart with an "
        f"area under the ROC curve of {auc:.2f} (.50 if they were alike). A student "
        "learns most from rows like those that it will meet. Try without them, and "
        "compare on labelled rows that were set aside."
    )


def warn_once(estimator, kind, text):
    """Warn, if there is something to say: in a search once, not in each fold."""
    if text and _is_first_look(estimator, kind):
        # of `fit`, of what wraps it, and of its caller
        warnings.warn(text, UserWarning, stacklevel=4)


def failed_text(own):
    """Text of the warning on folds that the teacher failed in; empty without any."""
    if not own.n_failed:
        return ""
    return (
        f"The teacher's fit failed in {own.n_failed} of {len(own.splits)} folds: it is "
        "wrong far more often there than elsewhere. Rows of these folds teach by their "
        "labels alone. Look whether the teacher is stable: fit it with other seeds, a "
        "smaller learning rate, or without classes of a few rows."
    )


def leak_text(soft_targets, look):
    """Text of the warning on targets that look memorised; empty where they do not."""
    if not look.is_memorised:
        return ""
    remedy = (
        "Pass the teacher unfitted (it then labels rows out of fold), or unlabelled "
        "rows that it was not trained on as X_transfer="
    )
    if soft_targets is not None:
        return (
            "soft_targets look memorised: they are right on rows that another model "
            "finds ambiguous, as if their teacher had been trained on (X, y). Such "
            "targets teach little more than labels. Use out-of-fold probabilities "
            '(cross_val_predict(..., method="predict_proba")). '
            f"{remedy} beside a fitted teacher."
        )
    if look.shadow is not None:
        return (
            "The fitted teacher looks as if it had been trained on (X, y): it answers "
            "as a clone of it answers to rows that the clone was fitted on. Such "
            "targets teach little more than labels, so this clone, which has not seen "
            f"the held-out rows, taught the students that were compared. {remedy}."
        )
    return (
        "The fitted teacher looks as if it had been trained on (X, y): it is right on "
        "rows that another model finds ambiguous. Such targets teach little more than "
        f"labels. {remedy}. If these rows are new to the teacher, it is simply very "
        "good: ignore this."
    )
