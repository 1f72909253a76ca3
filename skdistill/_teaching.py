"""A teacher that is fitted here: on all rows, and without the rows that it labels."""

import pickle
import warnings
from dataclasses import dataclass
from hashlib import blake2b

import joblib
import numpy as np
from sklearn.base import clone

from skdistill._compat import num_samples, safe_indexing
from skdistill._labelling import check_teacher, make_splits
from skdistill.soft_targets import out_of_bag, out_of_fold
from skdistill.soft_targets._asking import fit_on_part


class NoShadowError(Exception):
    """A clone of a fitted teacher cannot say what is asked: nobody knows here."""


#: Fewer bagged estimators than this leave too few votes, or none, out of bag.
MIN_BAGGED = 100
#: Where folds are drawn by chance, one that the teacher gets wrong by so many standard
#: errors more often than the median fold, and so much more often, was not learnt: the
#: fit failed, as boosting of many small classes does at times.
FAILED_SE, FAILED_BY = 6.0, 0.1


@dataclass(frozen=True)
class TeacherFit:
    """How an unfitted teacher is fitted.

    Parameters
    ----------
    teacher : unfitted classifier
        Cloned for each fit.

    X : array-like of shape (n_samples, ...)
        Rows, never converted.

    y : ndarray of shape (n_samples,)
        Labels.

    params : dict
        Passed to the teacher's fit; values with one entry a row are sliced.
    """

    teacher: object
    X: object
    y: np.ndarray
    params: dict

    def __call__(self, at=None, *, out_of_bag=False):
        """Fit a clone on all rows, or on those at given positions.

        Parameters
        ----------
        at : ndarray of int, default=None
            Positions; None means all.

        out_of_bag : bool, default=False
            Ask a bagging teacher to keep its out-of-bag votes: they cost no fit.

        Returns
        -------
        teacher : fitted classifier
        """
        teacher = clone(self.teacher)
        if out_of_bag and _bags_enough(teacher) and not teacher.oob_score:
            teacher.set_params(oob_score=True)
        if at is None:
            return teacher.fit(self.X, self.y, **self.params)
        return fit_on_part(teacher, self.X, self.y, at, self.params)


def _bags_enough(teacher):
    params = teacher.get_params(deep=False)
    return (
        "oob_score" in params
        and params.get("bootstrap") is True
        and not params.get("warm_start")
        and params.get("n_estimators", 0) >= MIN_BAGGED
    )


class CrossFitted:
    """A teacher fitted on all rows, and what it says of each without having seen it.

    Parameters
    ----------
    fit : TeacherFit
        How the teacher is fitted.

    classes : ndarray of shape (n_classes,)
        Labels of the columns.

    n_jobs : int or None
        Number of folds fitted at once.

    progress : FitProgress
        Told of each fit.

    memory : str, path-like, AnswerStore or None
        Where out-of-fold probabilities are kept.

    codes : ndarray of int of shape (n_samples,)
        Column of each row's label.

    is_by_chance : bool
        Whether folds are drawn by chance: answers of a fit that failed are left out
        then.

    seed : int
        Seed of further folds.

    Attributes
    ----------
    teacher : fitted classifier
        Fitted on all rows.

    P : ndarray of shape (n_samples, n_classes)
        Out-of-bag or out-of-fold probabilities; NaN in a row that no split labels.

    splits : list of (train, test) or None
        Positions, those of fits that failed last; None where votes are out of bag.

    n_failed : int
        Number of these.

    n_unanswered : int
        Rows without an answer, other than those of fits that failed.

    n_asked : int
        Rows for which a teacher was asked.
    """

    #: Whether a training row's answer is by somebody who has not met its label.
    labels_unseen = True

    def __init__(
        self, fit, *, classes, n_jobs, progress, memory, codes, is_by_chance, seed
    ):
        self._fit, self._classes, self._n_jobs = fit, classes, n_jobs
        self._progress, self._memory, self._codes = progress, memory, codes
        self._is_by_chance, self._seed = is_by_chance, seed
        self.splits, self._first = None, None
        self.n_asked = self.n_failed = self.n_unanswered = 0

    def fit_all(self, *, from_bags):
        """Fit on all rows; `P` is then None unless votes are out of bag."""
        self.teacher, self.P = self._fit_with_votes(None, from_bags=from_bags)
        check_teacher(self.teacher)
        return self

    def label_rows(self, splits):
        """Label all rows out of fold."""
        self.P, self._first = self._out_of_fold(splits)
        self.n_unanswered = int(np.isnan(self.P).any(axis=1).sum())
        failed = self._failed(self.P, splits)
        self.n_failed = len(failed)
        if 0 in failed:
            self._first = None
        rest = [number for number in range(len(splits)) if number not in failed]
        self.splits = [splits[number] for number in [*rest, *failed]]
        return self

    def _failed(self, P, splits):
        """Leave out the answers of fits that failed; return the numbers of these."""
        failed = failed_folds(P, self._codes, splits) if self._is_by_chance else []
        for number in failed:
            P[splits[number][1]] = np.nan
        return failed

    def label_among(self, at, groups):
        """Label the rows at given positions by fits on others of these rows.

        Out of bag, or out of fold; `P` is NaN in all other rows.
        """
        if groups is None and _bags_enough(self._fit.teacher):
            _, votes = self._fit_with_votes(at, from_bags=True)
            if votes is not None:
                self.P = np.full((num_samples(self._fit.X), votes.shape[1]), np.nan)
                self.P[at] = votes
                return self
        return self.label_rows(self._folds_among(at, groups))

    def _folds_among(self, at, groups=None):
        """Folds of the rows at given positions."""
        X, y, codes = safe_indexing(self._fit.X, at), self._fit.y[at], self._codes[at]
        params = {} if groups is None else {"groups": safe_indexing(groups, at)}
        splits = make_splits("auto", X, y, codes, split_params=params, seed=self._seed)
        return [(at[fitted], at[asked]) for fitted, asked in splits]

    def without(self, train, test, **_):
        """Teacher and probabilities for the rows `train` that know nothing of `test`.

        Out-of-fold probabilities of a row come from teachers that saw the labels of all
        other folds: a student fitted on them has heard of the rows it is judged by.

        Parameters
        ----------
        train, test : ndarray of int
            Disjoint positions.

        **_
            What a Shadow takes besides.

        Returns
        -------
        teacher : classifier
            Fitted on `train`.

        P : ndarray of shape (len(train), n_classes)
        """
        if self.splits is None:
            teacher, P = self._fit_with_votes(train, from_bags=True)
            return teacher, self.P[train] if P is None else P
        inner = [
            (np.setdiff1d(fitted, test), np.setdiff1d(asked, test))
            for fitted, asked in self.splits
        ]
        inner = [
            (fitted, asked)
            for fitted, asked in inner
            # all rows that are left may be of weight 0, which are not in `train`
            if len(asked) and np.isin(fitted, train).any()
        ]
        inner += self._more_folds(inner, train)
        P, _ = self._out_of_fold(inner)
        self._failed(P, inner)
        is_first = self._first is not None and train is self.splits[0][0]
        teacher = self._first if is_first else self._fit(train)
        return teacher, P[train]

    def _more_folds(self, inner, train):
        """Folds for rows of `train` that only fits on held-out rows have labelled."""
        met, now = (
            np.unique(np.concatenate([np.arange(0), *(asked for _, asked in splits)]))
            for splits in (self.splits, inner)
        )
        at = np.intersect1d(train, np.setdiff1d(met, now))
        if len(at) < 2:
            return []
        rest = np.setdiff1d(train, at)
        folds = self._folds_among(at)
        return [(np.union1d(rest, fitted), asked) for fitted, asked in folds]

    def _fit_with_votes(self, at, *, from_bags):
        """Fit, and return the out-of-bag probabilities if there are any."""
        with self._progress.task("fit teacher") as step, warnings.catch_warnings():
            # A row in every bag: answered by cross-fitting then.
            warnings.filterwarnings("ignore", "Some inputs do not have OOB")
            teacher = self._fit(at, out_of_bag=from_bags)
            step()
        if not from_bags:
            return teacher, None
        n_samples = num_samples(self._fit.X) if at is None else len(at)
        return teacher, out_of_bag(teacher, n_samples=n_samples, classes=self._classes)

    def _out_of_fold(self, splits):
        """Out-of-fold probabilities, from the store where it has them."""
        if self._memory is None:
            return self._ask_folds(splits)
        from skdistill.teachers import AnswerStore

        memory = self._memory
        store = memory if hasattr(memory, "get_note") else AnswerStore(memory)
        key = self._content_of(splits)
        shape = num_samples(self._fit.X), len(self._classes)
        first = []

        def find():
            data = store.get_note(b"out of fold:" + key)
            if data is None:
                return None
            return np.frombuffer(data, "<f8").reshape(shape).copy()

        def make():
            P, teacher = self._ask_folds(splits)
            first.append(teacher)
            store.put_note(b"out of fold:" + key, P.astype("<f8").tobytes())
            return P

        P = store.once("out of fold", key, find=find, make=make)
        return P, (first[0] if first else None)

    def _ask_folds(self, splits):
        self.n_asked += sum(len(asked) for _, asked in splits)
        fit = self._fit
        with self._progress.task("label rows out of fold", len(splits)) as step:
            return out_of_fold(
                fit.teacher, fit.X, fit.y, classes=self._classes, splits=splits,
                fit_params=fit.params, n_jobs=self._n_jobs, step=step,
            )  # fmt: skip

    def _content_of(self, splits):
        """Key of all that out-of-fold probabilities come from, 16 bytes."""
        from skdistill.teachers._row_keys import row_keys

        fit = self._fit
        params = {
            # of an estimator its kind: what it holds comes by names of its own
            name: type(value) if hasattr(value, "get_params") else value
            for name, value in fit.teacher.get_params(deep=True).items()
        }
        rest = [type(fit.teacher), params, fit.y, fit.params, splits, self._classes]
        try:
            content = joblib.hash(rest).encode() + b"".join(row_keys(fit.X))
        except pickle.PicklingError as error:
            raise TypeError(
                "memory must be None for a teacher that cannot be pickled (a lambda, "
                f"say), for its content is the key of what is kept: {error}. Name the "
                "function, or leave memory out."
            ) from error
        return blake2b(content, digest_size=16).digest()


def failed_folds(P, codes, splits):
    """Return the numbers of folds that are wrong far more often than the others.

    Parameters
    ----------
    P : ndarray of shape (n_samples, n_classes)
        Out-of-fold probabilities.

    codes : ndarray of int of shape (n_samples,)
        Column of each row's label.

    splits : list of (train, test) index arrays
        Drawn by chance.

    Returns
    -------
    failed : list of int
    """
    wrong, answered = P.argmax(axis=1) != codes, np.isfinite(P).all(axis=1)
    tests = [test[answered[test]] for _, test in splits]
    if not tests or not all(map(len, tests)):
        return []
    errors, sizes = np.array([[wrong[t].mean(), len(t)] for t in tests]).T
    usual = np.median(errors)
    se = np.sqrt(np.maximum(usual * (1 - usual), 1 / sizes) / sizes)
    failed = errors - usual > np.maximum(FAILED_SE * se, FAILED_BY)
    return np.flatnonzero(failed).tolist()


def label_part(fit, at, *, codes, groups, **settings):
    """Label some rows by fits on others of them: out of bag, or out of fold.

    Parameters
    ----------
    fit : TeacherFit
        How the teacher is fitted.

    at : ndarray of int
        Positions of the rows.

    codes : ndarray of int of shape (n_samples,)
        Column of the label of each row, of the others too.

    groups : array-like of shape (n_samples,) or None
        Groups of all rows: those of one are labelled by fits on others.

    **settings
        As for CrossFitted.

    Returns
    -------
    own : CrossFitted
        Its `P` has their probabilities.
    """
    own = CrossFitted(
        fit, codes=codes, is_by_chance=groups is None, memory=None, **settings
    )
    return own.label_among(at, groups)


def cross_fit(
    fit, codes, *, classes, cv, split_params, n_jobs, seed, progress, memory=None
):
    """Fit a teacher and label its own rows out of bag or out of fold.

    Parameters
    ----------
    fit : TeacherFit
        How the teacher is fitted.

    codes : ndarray of int of shape (n_samples,)
        Column of each row's label.

    classes : ndarray of shape (n_classes,)
        Labels of the columns.

    cv : "auto", int, splitter or iterable
        "auto" prefers out-of-bag votes where rows have no groups.

    split_params : dict
        Passed to the splitter's `split`.

    n_jobs : int or None
        Number of folds fitted at once.

    seed : int
        Seed of the folds.

    progress : FitProgress
        Told of each fit.

    memory : str, path-like, AnswerStore or None, default=None
        Where out-of-fold probabilities are kept.

    Returns
    -------
    own : CrossFitted
    """
    is_by_chance = isinstance(cv, str) and split_params.get("groups") is None
    own = CrossFitted(
        fit, classes=classes, n_jobs=n_jobs, progress=progress, memory=memory,
        codes=codes, is_by_chance=is_by_chance, seed=seed,
    )  # fmt: skip
    own.fit_all(from_bags=is_by_chance)
    if own.P is None:
        own.label_rows(
            make_splits(cv, fit.X, fit.y, codes, split_params=split_params, seed=seed)
        )
    return own
