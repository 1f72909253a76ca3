"""Rows that are unlike any seen before: they go to the teacher, however sure one is."""

import narwhals.stable.v1 as nw
import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from skdistill._frames import as_frame, is_discrete, is_text, to_float

#: By what part of a column's range a value may lie outside it.
WIDENED = 0.1


class RangeDetector(OutlierMixin, BaseEstimator):
    """Outlier detector by the range of each column.

    A row is an outlier if one of its numbers lies outside the range met in fit, widened
    by a tenth of its width at both ends, or one of its categories was not met. Missing
    values are no outliers, but a row that has nothing to compare is one, unless fit met
    such a row: nothing says that it is like those.

    Attributes
    ----------
    low_, high_ : ndarray of shape (n_numeric,)
        Ends of the widened ranges; NaN where a column held no number.

    levels_ : dict of sets
        Values of each column of a data frame that holds categories.

    has_blank_ : bool
        Whether fit met a row of missing values only.
    """

    def fit(self, X, y=None):
        """Note the ranges.

        Parameters
        ----------
        X : ndarray or DataFrame of shape (n_samples, n_features)
            Rows.

        y : Ignored
            Not used.

        Returns
        -------
        self : RangeDetector
        """
        if is_text(X):
            raise TypeError(
                "detector='range' takes tables of numbers and categories, got "
                f"{type(X).__name__} of str. Pass a detector of your own, or None."
            )
        numbers, words = self._columns(X, reset=True)
        low, high = _ends(numbers)
        margin = WIDENED * (high - low)
        self.low_, self.high_ = low - margin, high + margin
        self.levels_ = {series.name: set(_values(series)) - {None} for series in words}
        self.has_blank_ = not self._compare(numbers, words)[1].all()
        return self

    def decision_function(self, X):
        """Score rows: 1 for those within all ranges, -1 for outliers.

        Parameters
        ----------
        X : ndarray or DataFrame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        score : ndarray of shape (n_samples,)
        """
        check_is_fitted(self)
        numbers, words = self._columns(X, reset=False)
        outside, inside = self._compare(numbers, words)
        is_outlier = outside if self.has_blank_ else outside | ~inside
        return np.where(is_outlier, -1.0, 1.0)

    def __sklearn_tags__(self):
        """Tables with holes and categories."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.categorical = True
        return tags

    def _compare(self, numbers, words):
        """Which rows have a value unlike those met, and which have one like them."""
        outside = ((numbers < self.low_) | (numbers > self.high_)).any(axis=1)
        inside = ((numbers >= self.low_) & (numbers <= self.high_)).any(axis=1)
        for series in words:
            values, known = _values(series), self.levels_[series.name]
            outside |= [not (value is None or value in known) for value in values]
            inside |= [value in known for value in values]
        return outside, inside

    def _columns(self, X, *, reset):
        """Numbers as a matrix, and columns of categories."""
        frame = None if isinstance(X, np.ndarray) else as_frame(X)
        if frame is None:
            return validate_data(
                self, X, reset=reset, dtype=np.float64, ensure_all_finite="allow-nan"
            ), []
        validate_data(self, X, reset=reset, skip_check_array=True)
        series = list(frame.iter_columns())
        numbers = [to_float(s) for s in series if _is_number(s.dtype)]
        matrix = np.column_stack(numbers) if numbers else np.empty((len(frame), 0))
        return matrix, [s for s in series if is_discrete(s)]


def _is_number(dtype):
    return dtype.is_numeric() or dtype == nw.Boolean


def _values(series):
    """List a column's values, None where they are missing."""
    pairs = zip(series.to_list(), series.is_null().to_list(), strict=True)
    return [None if missing else value for value, missing in pairs]


def _ends(numbers):
    """Least and largest number of each column, NaN where there is none."""
    empty = np.isnan(numbers).all(axis=0)
    low, high = np.full(len(empty), np.nan), np.full(len(empty), np.nan)
    low[~empty] = np.nanmin(numbers[:, ~empty], axis=0)
    high[~empty] = np.nanmax(numbers[:, ~empty], axis=0)
    return low, high
