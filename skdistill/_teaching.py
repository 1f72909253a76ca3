"""A teacher that is fitted here: on all rows, and without the rows that it labels."""

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.base import clone

from skdistill._compat import num_samples, safe_indexing
from skdistill._labelling import check_teacher, make_splits
from skdistill.soft_targets import is_row_aligned, out_of_bag, out_of_fold

#: Fewer bagged estimators than this leave too few votes, or none, out of bag.
MIN_BAGGED = 100


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
        if out_of_bag and _bags_enough(teacher):
            teacher.set_params(oob_score=True)
        if at is None:
            return teacher.fit(self.X, self.y, **self.params)
        n_samples = num_samples(self.X)
        params = {
            key: safe_indexing(value, at) if is_row_aligned(value, n_samples) else value
            for key, value in self.params.items()
        }
        return teacher.fit(safe_indexing(self.X, at), self.y[at], **params)


def _bags_enough(teacher):
    params = teacher.get_params(deep=False)
    return (
        "oob_score" in params
        and params.get("bootstrap") is True
        and not params.get("warm_start")
        and params.get("n_estimators", 0) >= MIN_BAGGED
    )


@dataclass(frozen=True)
class CrossFitted:
    """A teacher fitted on all rows, and what it says of each without having seen it.

    Attributes
    ----------
    teacher : fitted classifier
        Fitted on all rows.

    P : ndarray of shape (n_samples, n_classes)
        Out-of-bag or out-of-fold probabilities; NaN in a row that no split labels.

    split : (train, test) or None
        Positions of the first split.

    n_asked : int
        Rows for which a teacher was asked.
    """

    teacher: object
    P: np.ndarray
    split: tuple | None
    n_asked: int
    _fit: TeacherFit
    _first: object = None

    def teacher_without(self, train):
        """Return a teacher that has seen the rows `train` and no others."""
        if self.split is not None and train is self.split[0]:
            return self._first
        return self._fit(train)


def cross_fit(fit, codes, *, classes, cv, split_params, n_jobs, seed, progress):
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

    Returns
    -------
    fitted : CrossFitted
    """
    from_bags = isinstance(cv, str) and split_params.get("groups") is None
    with progress.task("fit teacher") as step, warnings.catch_warnings():
        if from_bags:  # a row in every bag: answered by cross-fitting below
            warnings.filterwarnings(
                "ignore", "Some inputs do not have OOB", UserWarning
            )
        teacher = fit(out_of_bag=from_bags)
        check_teacher(teacher)
        step()
    if from_bags:
        P = out_of_bag(teacher, n_samples=num_samples(fit.X), classes=classes)
        if P is not None:
            return CrossFitted(teacher, P, None, 0, fit)
    splits = make_splits(cv, fit.X, fit.y, codes, split_params=split_params, seed=seed)
    with progress.task("label rows out of fold", len(splits)) as step:
        P, first = out_of_fold(
            fit.teacher, fit.X, fit.y, classes=classes, splits=splits,
            fit_params=fit.params, n_jobs=n_jobs, step=step,
        )  # fmt: skip
    n_asked = sum(len(test) for _, test in splits)
    return CrossFitted(teacher, P, splits[0], n_asked, fit, first)
