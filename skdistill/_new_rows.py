"""Rows that only the teacher labels: where they come from and how many are drawn."""

from dataclasses import dataclass

import numpy as np
from sklearn.base import clone

from skdistill._compat import num_samples, safe_indexing
from skdistill._frames import as_frame, column_codes, is_discrete
from skdistill._pace import is_too_dear
from skdistill.students import (
    LogisticStudent,
    MLPStudent,
    last_step,
    takes_validation,
)
from skdistill.transfer import MungeSampler, UnlabelledPool
from skdistill.transfer._table import Table

#: Rows drawn for each training row, by kind of student (a net that is only compared
#: with others makes do with fewer), and limits of their number.
DRAWN_PER_ROW_NET, DRAWN_PER_ROW_TRIAL, DRAWN_PER_ROW_TREE = 30, 10, 5
MIN_DRAWN_NET, MAX_DRAWN = 20_000, 200_000
#: Cells of drawn rows at most (400 MB), and of rows with piecewise-linear inputs (256).
MAX_DRAWN_CELLS, MAX_ENCODED_CELLS = 50_000_000, 64_000_000
#: Rows whose values are counted to know how wide an encoded table is.
ROWS_TO_COUNT = 10_000
#: Settings of the MungeSampler that are tried. Near rows keep most cells of a row; far
#: ones change most, so that a teacher that remembers its training rows does not answer
#: with the label it remembers.
STRENGTHS = ({"p": 0.8}, {"p": 0.2, "n_neighbors": 8})
#: Inverse penalties of linear students. Values of columns may be of any size, soft
#: targets need less of a penalty than labels, and piecewise-linear inputs more.
PENALTIES = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)
#: Rows that a kernel machine meets at most by our doing: it costs their square or cube.
MAX_KERNEL_ROWS = 5_000

#: Share of the rows kept for a student's own early stopping, and the fewest rows with
#: which any are. A net of ours that meets so many new rows for each real one learns to
#: the end of its schedule instead, from all rows: on letter and satimage that was
#: better in five of six fits.
STOPPING_SHARE, MIN_STOPPING_ROWS = 0.1, 500
MANY_NEW_ROWS = 5

_LINEAR = {
    "LogisticStudent", "LogisticRegression", "LogisticRegressionCV", "SGDClassifier",
    "Ridge", "RidgeCV", "LinearRegression", "Lasso", "ElasticNet", "GaussianNB",
    "MultinomialNB", "BernoulliNB", "ComplementNB", "CategoricalNB",
}  # fmt: skip
_NETS = {"MLPStudent", "NGramStudent", "MLPClassifier", "MLPRegressor", "NeuralNet"}
_KERNELS = {"BaseLibSVM", "KernelRidge"}
_GAUSSIAN_PROCESSES = {"GaussianProcessRegressor", "GaussianProcessClassifier"}


@dataclass(frozen=True)
class NewRows:
    """Rows without labels, as the teacher (or a panel) answers them.

    `held` are positions of training rows for early stopping: no new row was drawn from
    them, so that a student cannot look good there by knowing their neighbours. None
    asks a net of ours to learn to the end of its schedule. `is_drawn` tells rows that
    were made from training rows from those that somebody has collected.
    """

    X: object
    P: np.ndarray
    held: np.ndarray | None
    is_drawn: bool

    @property
    def is_many(self):
        """Whether there are too many to stop early for."""
        return self.held is None


class TransferSource:
    """Where more rows for the teacher come from: a pool, samplers or nowhere.

    Parameters
    ----------
    samplers : dict of str to UnlabelledPool or object with `fit` and `sample`
        Sources of rows by name, the most promising first; may be empty.

    ask : callable
        (teacher, X) -> the teacher's probabilities.

    seed : int
        Seed of the draws.

    is_given : bool
        Whether the user asked for these rows, or "auto" found them.

    costs : Costs
        Takes the time of drawing rows.
    """

    def __init__(self, samplers, *, ask, seed, is_given, costs):
        self.samplers, self.ask, self.seed = samplers, ask, seed
        self.is_given, self.costs = is_given, costs
        self._pool_answers = {}

    def rows_for(self, student, rows, teacher, name, panel, *, trial=False):
        """Label new rows for a student that is to be fitted on `rows`.

        Parameters
        ----------
        student : estimator
            Unfitted.

        rows : Rows
            Training rows.

        teacher : classifier
            Labels the new rows.

        name : str
            Which source to take, "none" for none.

        panel : callable
            (X, answers of the teacher) -> probabilities to learn.

        trial : bool, default=False
            Whether the student is only compared with others.

        Returns
        -------
        new : NewRows or None
            None where there is nothing to add.
        """
        if name not in self.samplers:
            return None
        sampler = self.samplers[name]
        rng = np.random.RandomState(self.seed)
        if isinstance(sampler, UnlabelledPool):
            held = _rows_to_stop_by(student, len(rows), num_samples(sampler.X), rng)
            if id(teacher) not in self._pool_answers:  # asked once per teacher
                self._pool_answers[id(teacher)] = self.ask(teacher, sampler.X)
            P = self._pool_answers[id(teacher)]
            return _answered(sampler.X, P, panel, held, is_drawn=False)
        n_drawn = rows_to_draw(student, len(rows), n_columns(rows.X), trial=trial)
        if n_drawn == 0 and self.is_given:  # asked for with a student that seldom gains
            n_drawn = len(rows)
        held = _rows_to_stop_by(student, len(rows), n_drawn, rng)
        start = rows if held is None else rows.without(held)
        with self.costs.clock("new rows"):
            sampler = clone(sampler, safe=False)
            sampler.fit(start.X, teacher=teacher)
            X = sampler.sample(n_drawn, random_state=rng)
        if num_samples(X) == 0:
            return None
        return _answered(X, self.ask(teacher, X), panel, held, is_drawn=True)


def _rows_to_stop_by(student, n_rows, n_new, rng):
    """Positions of the rows for early stopping; None where a net needs none."""
    if n_rows < MIN_STOPPING_ROWS or not takes_validation(student, n_rows):
        return np.arange(0)
    if isinstance(last_step(student), MLPStudent) and n_new >= MANY_NEW_ROWS * n_rows:
        return None
    return np.sort(rng.permutation(n_rows)[: int(STOPPING_SHARE * n_rows)])


def _answered(X, P, panel, held, *, is_drawn):
    """New rows without those that the teacher left unanswered; None if none is left."""
    at = np.flatnonzero(np.isfinite(P).all(axis=1))
    if len(at) == 0:
        return None
    if len(at) < len(P):
        X, P = safe_indexing(X, at), P[at]
    return NewRows(X, panel(X, P), held, is_drawn)


def automatic_samplers(X, student):
    """Samplers that transfer="auto" tries, by name; none where none suits.

    How far new rows may lie from the data differs by table and teacher, so two
    strengths are tried: one that changes most cells, and one that changes a fifth.
    """
    is_table = as_frame(X) is not None or (
        isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype.kind in "fiub"
    )
    if (
        not is_table
        or num_samples(X) < 2
        or rows_to_draw(student, num_samples(X), n_columns(X)) == 0
    ):
        return {}
    try:
        Table(X)
    except (TypeError, ValueError):  # infinity, or cells that are no single values
        return {}
    samplers = [MungeSampler(**strength) for strength in STRENGTHS]
    return {_name(sampler): sampler for sampler in samplers}


def _name(sampler):
    """Name of a sampler of ours: what is not by default in it."""
    usual = type(sampler)().get_params()
    said = {k: v for k, v in sampler.get_params().items() if k == "p" or v != usual[k]}
    text = ", ".join(f"{name}={value}" for name, value in said.items())
    return f"{type(sampler).__name__}({text})"


def n_columns(X):
    """Width of a table; 1 for anything else."""
    shape = np.shape(X) if as_frame(X) is None else as_frame(X).shape
    return max(shape[1], 1) if len(shape) == 2 else 1


def n_numeric_columns(X):
    """Number of columns of a table that hold numbers; 0 for anything else."""
    frame = as_frame(X)
    if frame is not None:
        return sum(series.dtype.is_numeric() for series in frame.iter_columns())
    is_numeric = isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype.kind in "fiu"
    return X.shape[1] if is_numeric else 0


def encodings_to_try(student, X, effort="default"):
    """Ways in which a student may take numeric columns, its usual one first.

    The piecewise-linear one is left out where the encoded rows would fill the memory,
    and unless effort is "high" where a net would get so wide that it could learn for a
    few steps only.
    """
    # Behind other steps of a Pipeline nobody knows how many columns arrive.
    if not isinstance(student, MLPStudent | LogisticStudent):
        return ("",)
    if student.encoding != "auto":
        return ("",)
    n_rows = num_samples(X)
    n_rows += rows_to_draw(student, n_rows, n_columns(X), trial=True)
    n_cells = n_rows * n_numeric_columns(X) * student.n_bins
    if not 0 < n_cells <= MAX_ENCODED_CELLS:
        return ("",)
    if isinstance(student, MLPStudent) and effort != "high":
        if is_too_dear(student, *_widths(X, student)):
            return ("",)
    return "", "piecewise"


def penalties_to_try(student):
    """Inverse penalties for a student, in order; none where none is to be chosen."""
    last = last_step(student)
    has_penalty = isinstance(last, LogisticStudent) and last.C == "auto"
    return PENALTIES if has_penalty else ()


def _widths(X, student):
    """Inputs that a table becomes as usual, and with the piecewise-linear encoding."""
    step = max(1, num_samples(X) // ROWS_TO_COUNT)
    frame = as_frame(X)
    if frame is None:
        columns = (np.unique(column).size for column in X[::step].T)
        n_levels = [(True, size) for size in columns]
    else:
        columns = frame.gather_every(step).iter_columns()
        n_levels = [
            (not is_discrete(series), len(column_codes(series)[1]))
            for series in columns
        ]
    usual = piecewise = 0
    for is_numeric, size in n_levels:
        hot = min(size, student.max_categories)
        usual += 1 if is_numeric else hot
        piecewise += min(max(size - 1, 1), student.n_bins) if is_numeric else hot
    return usual, piecewise


def is_net(student):
    """Tell whether fitting the student costs much."""
    student = last_step(student)
    names = {c.__name__ for c in type(student).__mro__}
    return bool(names & _NETS) or (
        hasattr(student, "fit_soft_targets") and not names & _LINEAR
    )


def rows_to_draw(student, n_rows, n_columns=1, *, trial=False):
    """Number of transfer rows worth drawing for a student.

    Trees have used up the gain at five rows for each training row, nets most of it at
    ten (Bucila et al. 2006, figure 5) and more at thirty, where rows lie far from the
    training rows. Linear students gain next to nothing, and Gaussian processes cannot
    bear more rows: 0.
    """
    student = last_step(student)
    names = {c.__name__ for c in type(student).__mro__}
    if names & (_LINEAR | _GAUSSIAN_PROCESSES):
        return 0
    if names & _KERNELS:
        return max(0, min(DRAWN_PER_ROW_NET * n_rows, MAX_KERNEL_ROWS - n_rows))
    most = min(MAX_DRAWN, max(MAX_DRAWN_CELLS // n_columns, n_rows))
    if is_net(student):
        few = max(DRAWN_PER_ROW_TRIAL * n_rows, MIN_DRAWN_NET)
        if trial or not isinstance(student, MLPStudent):
            return min(few, most)
        room = MAX_ENCODED_CELLS // (n_columns * student.n_bins) - n_rows
        return min(max(few, min(DRAWN_PER_ROW_NET * n_rows, room)), most)
    return min(DRAWN_PER_ROW_TREE * n_rows, most)
