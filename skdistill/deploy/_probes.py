"""Rows on which an artefact has to answer as the fitted model does."""

import sys

import narwhals.stable.v1 as nw
import numpy as np
from scipy import sparse

from skdistill._compat import num_samples, safe_indexing
from skdistill._frames import as_frame, to_float
from skdistill.deploy._parity import predicted
from skdistill.students._rows import mro_names

#: Rows of X that are looked at, and rows that are made where there are none; cells at
#: most, as sparse rows may be very wide.
MAX_ROWS, N_MADE, MAX_CELLS = 1000, 200, 2_000_000

#: Columns that are made extreme one by one.
MAX_COLUMNS = 20

#: The largest round number that float32 holds, and one that leaves room for the sums of
#: a net, which computes in float32 throughout.
HUGE, HUGE_IN_NETS = 3e38, 1e30

#: Kinds of scikit-learn whose thresholds say where columns lie.
_TREES = {"BaseDecisionTree", "BaseForest", "BaseGradientBoosting"}

#: A text that no table holds.
UNSEEN = "no such level"


def first_of(model):
    """Return the estimator in a model that meets the rows first.

    Returns
    -------
    estimator : student or any other estimator
    """
    while True:
        names = mro_names(model)
        if "DistilledClassifier" in names:
            model = model.student_
        elif "SoftStudentAdapter" in names:
            model = model.estimator_
        elif "FrozenEstimator" in names:
            model = model.estimator
        elif "BaseSearchCV" in names:
            model = model.best_estimator_
        elif "Pipeline" in names:
            model = model.steps[0][1]
        else:
            return model


def front_of(model):
    """What in a model meets the rows first: a student's encoder, or another estimator.

    Returns
    -------
    front : TableEncoder or estimator
    """
    first = first_of(model)
    if mro_names(first) & {"MLPStudent", "LogisticStudent"}:
        return first if first.encoder_ is None else first.encoder_
    return first


def some_rows(X):
    """Rows of X, spread evenly, that are enough for a check."""
    n_rows, width = num_samples(X), X.shape[1] if hasattr(X, "shape") else 1
    most = min(MAX_ROWS, max(10, MAX_CELLS // max(width, 1)))
    if n_rows > most:
        X = safe_indexing(X, np.linspace(0, n_rows - 1, most).astype(int))
    return X.toarray() if sparse.issparse(X) else X


def made_rows(model, n_features, names):
    """Make rows from what a fitted model knows of its columns.

    Parameters
    ----------
    model : fitted classifier

    n_features : int

    names : list of str or None
        Of the columns, where the model was fitted on a data frame.

    Returns
    -------
    X : ndarray or data frame of shape (N_MADE, n_features)
        Numbers around each column's centre and at the edges of its bins, or beside the
        thresholds of trees; levels drawn from those of each categorical column.

    Raises
    ------
    ValueError
        If the model knows too little of its columns.
    """
    rng, front = np.random.RandomState(0), front_of(model)
    kinds = mro_names(front)
    if "LogisticStudent" in kinds:  # fitted on sparse rows, where most cells are zero
        wide = rng.standard_normal((N_MADE, n_features))
        return wide * 10.0 ** rng.randint(-1, 3, size=(N_MADE, 1))
    if kinds & _TREES:
        return _beside_thresholds(front, n_features, rng)
    if "TableEncoder" not in kinds:
        raise ValueError(
            f"X must be given for a model that begins with a {type(front).__name__}, "
            "which does not say what its columns hold. Pass some rows of the training "
            "set as X=."
        )
    numbers = _numbers(front, getattr(first_of(model), "coef_", None), rng)
    if not front.categorical_:
        return numbers if names is None else make_frame(list(numbers.T), names)
    columns = [None] * n_features
    for j, position in enumerate(front.numeric_):
        columns[position] = numbers[:, j]
    for position, own, shared in zip(
        front.categorical_, front.categories_, front.infrequent_, strict=True
    ):
        levels = [*own, *shared]
        columns[position] = [levels[i] for i in rng.randint(len(levels), size=N_MADE)]
    # Without names it was a data frame all the same, whose names were no text.
    return make_frame(columns, range(n_features) if names is None else names)


def _beside_thresholds(front, n_features, rng):
    """Draw numbers at the thresholds of trees, and their neighbours in float32."""
    members = np.ravel(getattr(front, "estimators_", front)).tolist()
    feature, threshold = (
        np.concatenate([getattr(member.tree_, name) for member in members])
        for name in ("feature", "threshold")
    )
    numbers = rng.standard_normal((N_MADE, n_features))
    for column in np.unique(feature[feature >= 0]):
        with np.errstate(over="ignore"):
            at = threshold[feature == column].astype(np.float32)
        x = np.clip(rng.choice(at, N_MADE), -np.float32(HUGE), np.float32(HUGE))
        toward = rng.choice(np.float32([-np.inf, 0.0, np.inf]), N_MADE)
        numbers[:, column] = np.where(toward == 0, x, np.nextafter(x, toward))
    return numbers


def _numbers(encoder, coef, rng):
    rate, width = encoder.rate_, np.ones_like(encoder.rate_)
    if encoder.scaling is None:
        # It knows the middle of a column and no spread: what moves a logit by one.
        rate = np.abs(coef[:, : len(encoder.numeric_)]).max(axis=0)
        width = np.maximum(np.abs(encoder.center_), 1.0)
    width = np.divide(1.0, rate, where=rate > 1.0 / HUGE_IN_NETS, out=width)
    shape = (N_MADE, len(encoder.numeric_))
    numbers = encoder.center_ + 1.5 * width * rng.standard_normal(shape)
    if encoder.scaling == "piecewise":
        # Half of the rows stand near an edge, where float32 and float64 may part.
        for j in range(shape[1]):
            edges = encoder.bin_low_[encoder.bin_column_ == j]
            if edges.size:
                numbers[::2, j] = rng.choice(edges, size=len(numbers[::2]))
    return numbers


def make_frame(columns, names):
    """Build a data frame, by pandas where it is there, else by polars."""
    table = dict(zip(names, columns, strict=True))
    if "polars" in sys.modules and "pandas" not in sys.modules:
        import polars

        return polars.DataFrame(table, strict=False)
    try:
        import pandas
    except ModuleNotFoundError as error:
        raise ValueError(
            "X must be given for a model of data frames where pandas is not installed. "
            "Pass some rows as X=."
        ) from error
    return pandas.DataFrame(
        {
            # Left to itself, pandas makes text of it, and NaN of None.
            name: values
            if isinstance(values, np.ndarray)
            else pandas.Series(values, dtype=object)
            for name, values in table.items()
        }
    )


def with_numbers(X, positions):
    """Make floats of columns that hold numbers as Python objects.

    Parameters
    ----------
    X : array-like or data frame

    positions : list of int
        Of the columns that a model takes for numbers.

    Returns
    -------
    X : array-like or data frame
        The same, where there are no such columns.
    """
    frame = as_frame(X)
    if frame is None or not frame.implementation.is_pandas():
        return X
    objects = [i for i in positions if X.dtypes.iloc[i].kind == "O"]
    if objects:
        X = X.copy()
    for i in objects:
        column = X.iloc[:, i]
        X.isetitem(i, column.where(column.notna(), np.nan).astype(np.float64))
    return X


def columns_of(X):
    """Columns of rows: float64 arrays, integer arrays, and lists of other values."""
    frame = as_frame(X)
    if frame is None:
        return list(np.asarray(X).T)
    columns = []
    for series in frame.iter_columns():
        if series.dtype == nw.Boolean and series.null_count():
            columns.append(to_float(series))
        elif series.dtype.is_numeric() or series.dtype == nw.Boolean:
            columns.append(series.to_numpy())
        else:
            columns.append(series.to_list())
    return columns


def like(X, columns):
    """Put columns together as an array or data frame of the kind of X."""
    frame = as_frame(X)
    if frame is None:
        return np.column_stack(columns)
    if frame.implementation.is_polars():
        import polars

        return polars.DataFrame(
            dict(zip(frame.columns, columns, strict=True)), strict=False
        )
    return make_frame(columns, X.columns.tolist())


def as_single(X):
    """Round the numbers of rows to what float32 holds; they stay float64."""
    return like(X, [_single(column) for column in columns_of(X)])


def _single(column):
    if not isinstance(column, np.ndarray) or column.dtype == np.float32:
        return column
    column = column.astype(np.float64)
    with np.errstate(over="ignore"):
        single = column.astype(np.float32).astype(np.float64)
    return np.where(np.isinf(single), np.sign(column) * HUGE, single)


def extreme_rows(X, huge=HUGE, gap=None):
    """Change the first rows of X: missing and huge numbers, unseen categories.

    Parameters
    ----------
    X : ndarray or data frame
        Columns of whole numbers stay as they are.

    huge : float, default=3e38
        Magnitude of huge numbers.

    gap : None or NaN, default=None
        What a missing category is in a pandas frame: scikit-learn's encoders tell the
        two apart.

    Returns
    -------
    X : ndarray or data frame
        Some rows for all columns at once, and for each of the first columns alone.

    gaps : ndarray of str of shape (n_rows,)
        "numbers" or "texts" where such cells are missing, else "".
    """
    columns = columns_of(X)
    is_pandas = hasattr(X, "iloc")
    every = (huge, -huge, 0.0, 1.0, -1e-30, np.nan, UNSEEN, None)
    plans = [(value, range(len(columns))) for value in every]
    for j in range(min(len(columns), MAX_COLUMNS)):
        plans += [(value, [j]) for value in (huge, -huge, np.nan, UNSEEN, None)]
    plans = [
        (value, [j for j in at if _takes(columns[j], value)]) for value, at in plans
    ]
    plans = [(value, at) for value, at in plans if at]
    source = np.arange(len(plans)) % len(columns[0])
    changed = [
        c[source] if isinstance(c, np.ndarray) else [c[i] for i in source]
        for c in columns
    ]
    for row, (value, at) in enumerate(plans):
        for j in at:
            changed[j][row] = gap if value is None and is_pandas else value
    gaps = ["texts" if v is None else "numbers" if v != v else "" for v, _ in plans]
    return like(X, changed), np.array(gaps, dtype=str)


def _takes(column, value):
    """Tell whether a column can hold a value: floats take floats, lists texts."""
    if isinstance(column, np.ndarray):
        return column.dtype.kind == "f" and isinstance(value, float)
    return not isinstance(value, float)


def accepted_rows(model, X):
    """Tell which rows a fitted model answers with numbers, and which it refuses.

    Parameters
    ----------
    model : fitted classifier

    X : ndarray or data frame

    Returns
    -------
    accepted : ndarray of bool of shape (n_samples,)
    """
    n_rows = num_samples(X)
    try:
        return np.isfinite(predicted(model, X)).all(axis=1)
    except (TypeError, ValueError):
        if n_rows == 1:
            return np.zeros(1, dtype=bool)
    rows = (safe_indexing(X, np.array([i])) for i in range(n_rows))
    return np.concatenate([accepted_rows(model, row) for row in rows])
