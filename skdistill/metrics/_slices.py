"""Where a model does worst: a metric on each part of the rows."""

import narwhals.stable.v1 as nw
import numpy as np
from scipy import sparse
from sklearn.utils import check_consistent_length

from skdistill._frames import as_frame, column_codes, is_discrete
from skdistill.metrics._calibration import equal_mass_bins
from skdistill.metrics._checks import check_sample_weight
from skdistill.metrics._intervals import bootstrap_interval


def worst_slice(
    metric,
    *arrays,
    by,
    min_rows=30,
    n_bins=5,
    greater_is_better=True,
    sample_weight=None,
    confidence=0.95,
    n_resamples=1000,
    random_state=None,
):
    """Part of the rows, by class or by the value of a column, where a metric is worst.

    A mean hides what happens to few rows [1]_. The metric is computed on each slice: on
    the rows of each value of a column, or of each of `n_bins` bins of about equal size
    where a column holds more different numbers or times than that. One array of whole
    numbers by itself is taken for labels and never binned.

    Parameters
    ----------
    metric : callable
        ``metric(*arrays, sample_weight=w)`` that returns a float; every metric on rows
        of this module, and most of scikit-learn's.

    *arrays : array-like of shape (n_samples, ...)
        What the metric takes.

    by : DataFrame, dict or array-like of shape (n_samples,) or (n_samples, n_columns)
        Columns to slice by: labels for a slice per class, rows of features, or a dict
        of such columns, ``{"class": y, **X[["age", "site"]]}``. Missing values are a
        slice of their own.

    min_rows : int, default=30
        Slices of fewer rows (of positive weight) are not looked at.

    n_bins : int, default=5
        Number of bins of a column of numbers.

    greater_is_better : bool, default=True
        False for losses and distances: the worst slice is then that of the largest.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows.

    confidence : float, default=0.95
        Of the bootstrap interval.

    n_resamples : int, default=1000
        Number of resamples for the interval.

    random_state : int, RandomState instance or None, default=None
        Seeds the interval.

    Returns
    -------
    worst : dict
        - "column": name or position of the column, None where `by` is one array;
        - "value": its value in the slice, None for missing ones, or a pair of the
          smallest and the largest value in a bin;
        - "score": the metric there; "low" and "high": ends of its interval;
        - "n_rows": rows of positive weight in it; "rows": ndarray of bool of shape
          (n_samples,), which rows;
        - "n_slices": number of slices that were compared.

    Raises
    ------
    ValueError
        If no slice has `min_rows` rows.

    Notes
    -----
    The worst of many slices looks worse than it is: it was picked for its score, and
    the interval does not know that. Look at `n_slices`, and at the same slice of other
    rows.

    References
    ----------
    .. [1] Chung et al., "Slice Finder: automated data slicing for model validation",
       ICDE 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from skdistill.metrics import agreement, worst_slice
    >>> site = np.repeat(["north", "south"], 50)
    >>> teacher, student = np.ones(100), np.arange(100) % 10 > 2 * (site == "north")
    >>> worst = worst_slice(agreement, teacher, student, by={"site": site})
    >>> worst["column"], worst["value"], worst["score"], worst["n_rows"]
    ('site', 'north', 0.7, 50)
    """
    arrays = [np.asarray(array) for array in arrays]
    columns = _columns(by)
    check_consistent_length(*arrays, *(values for _, values in columns))
    weight = check_sample_weight(sample_weight, len(columns[0][1]))
    sign, worst, n_slices, largest = 1 if greater_is_better else -1, None, 0, 0
    for name, values in columns:
        group, labels = _groups(values, weight, n_bins, _is_binned(values, name))
        n_rows = np.bincount(group[weight > 0], minlength=len(labels))
        largest = max(largest, n_rows.max(initial=0))
        for number in np.flatnonzero(n_rows >= max(min_rows, 1)):
            rows = group == number
            score = metric(*(a[rows] for a in arrays), sample_weight=weight[rows])
            if np.isnan(score):  # undefined on such rows
                continue
            n_slices += 1
            if worst is None or sign * score < sign * worst["score"]:
                worst = {
                    "column": name,
                    "value": labels[number],
                    "score": float(score),
                    "n_rows": int(n_rows[number]),
                    "rows": rows,
                }
    if worst is None:
        raise ValueError(
            f"by must give a slice of at least min_rows={min_rows!r} rows on which the "
            f"metric is defined, got none: the largest slice has {largest} rows. Lower "
            "min_rows, or pass more rows."
        )
    rows = worst["rows"]
    low, high = bootstrap_interval(
        metric,
        *(a[rows] for a in arrays),
        sample_weight=weight[rows],
        confidence=confidence,
        n_resamples=n_resamples,
        random_state=random_state,
    )
    return worst | {"low": low, "high": high, "n_slices": n_slices}


# -- columns and their slices ----------------------------------------------------------


def _columns(by):
    """Names and values (narwhals Series, or array) of the columns to slice by."""
    frame = as_frame(by)
    if frame is not None:
        return list(zip(frame.columns, frame.iter_columns(), strict=True))
    if isinstance(by, dict):
        return [(name, _one_column(values, name)) for name, values in by.items()]
    if sparse.issparse(by):
        by = by.toarray()
    if np.ndim(by) == 2:
        by = np.asarray(by)
        return [(k, by[:, k]) for k in range(by.shape[1])]
    return [(None, _one_column(by, "by"))]


def _one_column(values, name):
    series = nw.from_native(values, series_only=True, pass_through=True)
    if isinstance(series, nw.Series):
        return series
    values = np.asarray(values)
    if values.ndim != 1:
        raise ValueError(
            f"{name} must have one value for each row, got shape {values.shape!r}. "
            "Pass a DataFrame or a 2-d array for several columns."
        )
    return values


def _groups(values, weight, n_bins, is_binned):
    """Number of the slice of each row, and what the rows of each slice have in common.

    Slice 0 holds missing values.
    """
    codes, table = _codes(values)
    known = codes >= 0
    if not is_binned or len(table) <= n_bins or not weight[known].any():
        return codes + 1, [None, *table]
    by_value = sorted(range(len(table)), key=table.__getitem__)
    rank = np.empty(len(table), dtype=np.intp)
    rank[by_value] = np.arange(len(table))
    group = np.zeros(len(codes), dtype=np.intp)
    group[known] = 1 + equal_mass_bins(rank[codes[known]], weight[known], n_bins)
    labels = [None] * (n_bins + 1)
    for number in np.unique(group[known]):
        ranks = rank[codes[group == number]]
        labels[number] = table[by_value[ranks.min()]], table[by_value[ranks.max()]]
    return group, labels


def _is_binned(values, name):
    """Tell whether a column may be binned: numbers and times, but not labels alone."""
    if isinstance(values, nw.Series):
        is_whole, is_ordered = values.dtype.is_integer(), not is_discrete(values)
    else:
        kind = values.dtype.kind
        is_whole, is_ordered = kind in "iu", kind in "iufmM"
    return is_ordered and not (is_whole and name is None)


def _codes(values):
    """Code of each value in order of appearance, -1 for missing ones; the values."""
    if isinstance(values, nw.Series):
        return column_codes(values)
    table = {}
    codes = [
        -1 if value is None or value != value else table.setdefault(value, len(table))
        for value in values.tolist()
    ]
    return np.asarray(codes, dtype=np.intp), list(table)
