"""Rows that only the teacher labels: where they come from and how many are drawn."""

from dataclasses import dataclass

import numpy as np
from sklearn.base import clone

from skdistill._compat import num_samples
from skdistill._frames import as_frame
from skdistill.students import last_step, takes_validation
from skdistill.transfer import MungeSampler, UnlabelledPool

#: Rows drawn for each training row, by kind of student, and limits of their number.
DRAWN_PER_ROW_NET, DRAWN_PER_ROW_TREE = 10, 5
MIN_DRAWN_NET, MAX_DRAWN = 20_000, 200_000
#: Rows that a kernel machine meets at most by our doing: it costs their square or cube.
MAX_KERNEL_ROWS = 5_000

#: Share of the rows kept for a student's own early stopping, and the fewest rows with
#: which any are.
STOPPING_SHARE, MIN_STOPPING_ROWS = 0.1, 500

_LINEAR = {
    "LogisticStudent", "LogisticRegression", "LogisticRegressionCV", "SGDClassifier",
    "Ridge", "RidgeCV", "LinearRegression", "Lasso", "ElasticNet", "GaussianNB",
    "MultinomialNB", "BernoulliNB", "ComplementNB", "CategoricalNB",
}  # fmt: skip
_NETS = {"MLPStudent", "MLPClassifier", "MLPRegressor", "NeuralNet"}
_KERNELS = {"BaseLibSVM", "KernelRidge"}
_GAUSSIAN_PROCESSES = {"GaussianProcessRegressor", "GaussianProcessClassifier"}


@dataclass(frozen=True)
class NewRows:
    """Rows that only the teacher labelled.

    `held` are positions of training rows for early stopping: no new row was drawn from
    them, so that a student cannot look good there by knowing their neighbours.
    """

    X: object
    P: np.ndarray
    held: np.ndarray


class TransferSource:
    """Where more rows for the teacher come from: a pool, a sampler or nowhere.

    Parameters
    ----------
    sampler : UnlabelledPool, object with `fit` and `sample`, or None
        Source of the rows.

    ask : callable
        (teacher, X) -> probabilities as the student is to learn them.

    seed : int
        Seed of the draws.

    is_given : bool
        Whether the user asked for this source, or "auto" found it.
    """

    def __init__(self, sampler, *, ask, seed, is_given):
        self.sampler, self.ask, self.seed = sampler, ask, seed
        self.is_given = is_given
        self._pool_answers = {}

    @property
    def name(self):
        """What the record calls it."""
        return "none" if self.sampler is None else type(self.sampler).__name__

    def rows_for(self, student, rows, teacher):
        """Label new rows for a student that is to be fitted on `rows`.

        Returns
        -------
        new : NewRows or None
            None where there is nothing to add.
        """
        if self.sampler is None:
            return None
        rng = np.random.RandomState(self.seed)
        held = np.arange(0)
        if len(rows) >= MIN_STOPPING_ROWS and takes_validation(student, len(rows)):
            n_held = int(STOPPING_SHARE * len(rows))
            held = np.sort(rng.permutation(len(rows))[:n_held])
        if isinstance(self.sampler, UnlabelledPool):
            X = self.sampler.X
            if id(teacher) not in self._pool_answers:  # asked once per teacher
                self._pool_answers[id(teacher)] = self.ask(teacher, X)
            return NewRows(X, self._pool_answers[id(teacher)], held)
        sampler = clone(self.sampler, safe=False)
        sampler.fit(rows.without(held).X, teacher=teacher)
        n_drawn = rows_to_draw(student, len(rows) - len(held))
        if n_drawn == 0 and self.is_given:  # asked for with a student that seldom gains
            n_drawn = len(rows) - len(held)
        X = sampler.sample(n_drawn, random_state=rng)
        if num_samples(X) == 0:
            return None
        return NewRows(X, self.ask(teacher, X), held)


def automatic_sampler(X, student):
    """Sampler that transfer="auto" tries, or None where none suits rows and student."""
    is_table = as_frame(X) is not None or (
        isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype.kind in "fiub"
    )
    if not is_table or num_samples(X) < 2 or rows_to_draw(student, num_samples(X)) == 0:
        return None
    return MungeSampler()


def rows_to_draw(student, n_rows):
    """Number of transfer rows worth drawing for a student.

    Most of the gain is used up at ten rows for each training row (Bucila et al. 2006,
    figure 5, and measured again for this package). Linear students gain next to
    nothing, and Gaussian processes cannot bear more rows: 0.
    """
    student = last_step(student)
    names = {c.__name__ for c in type(student).__mro__}
    if names & (_LINEAR | _GAUSSIAN_PROCESSES):
        return 0
    if names & _KERNELS:
        return max(0, min(DRAWN_PER_ROW_NET * n_rows, MAX_KERNEL_ROWS - n_rows))
    if names & _NETS or hasattr(student, "fit_soft_targets"):
        return min(max(DRAWN_PER_ROW_NET * n_rows, MIN_DRAWN_NET), MAX_DRAWN)
    return min(DRAWN_PER_ROW_TREE * n_rows, MAX_DRAWN)
