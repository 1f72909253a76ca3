"""Where a model does worst."""

from datetime import datetime, timedelta
from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.metrics import accuracy_score, log_loss

from skdistill.metrics import agreement, bootstrap_interval, total_variation_distance
from skdistill.metrics import worst_slice as worst_slice_
from skdistill.metrics._calibration import equal_mass_bins

worst_slice = partial(worst_slice_, n_resamples=20, random_state=0)


def wrong_at(wrong, n_rows):
    """Labels of a teacher, and of a student that departs on some rows."""
    teacher = np.zeros(n_rows, dtype=int)
    student = teacher.copy()
    student[wrong] = 1
    return teacher, student


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.booleans(), st.integers(0, 3)),
        min_size=3,
        max_size=40,
    )
)
def test_worst_slice_equals_a_search_by_hand(rows):
    rows.append(("a", True, 1))
    by, same, weight = map(np.array, zip(*rows, strict=True))
    scores = {
        label: np.average(same[by == label], weights=weight[by == label])
        for label in "abc"
        if ((by == label) & (weight > 0)).sum() >= 1
    }
    worst = worst_slice(
        agreement, np.ones(len(same)), same, by=by, min_rows=1, sample_weight=weight
    )
    assert worst["score"] == pytest.approx(min(scores.values()))
    assert scores[worst["value"]] == pytest.approx(worst["score"])
    assert worst["n_slices"] == len(scores)
    assert worst["n_rows"] == ((by == worst["value"]) & (weight > 0)).sum()
    np.testing.assert_array_equal(worst["rows"], by == worst["value"])


def test_worst_slice_names_the_class_and_gives_the_interval_of_its_rows():
    y = np.repeat(["cat", "dog", "owl"], 40)
    teacher, student = wrong_at(np.arange(40, 60), 120)
    worst = worst_slice(agreement, teacher, student, by=y)
    assert (worst["column"], worst["value"], worst["score"]) == (None, "dog", 0.5)
    rows = y == "dog"
    expected = bootstrap_interval(
        agreement, teacher[rows], student[rows], n_resamples=20, random_state=0
    )
    assert (worst["low"], worst["high"]) == expected


@pytest.mark.parametrize("make", [np.asarray, pd.Series, list])
def test_worst_slice_takes_whole_numbers_alone_for_labels(make):
    digits = np.repeat(np.arange(10), 30)
    teacher, student = wrong_at(digits == 7, 300)
    worst = worst_slice(agreement, teacher, student, by=make(digits), n_bins=3)
    assert (worst["value"], worst["n_slices"], worst["score"]) == (7, 10, 0)
    worst = worst_slice(agreement, teacher, student, by={"age": digits}, n_bins=2)
    assert (worst["value"], worst["n_slices"]) == ((5, 9), 2)


def test_worst_slice_looks_for_the_largest_loss():
    P = np.tile([0.5, 0.5], (90, 1))
    Q = P + np.repeat([0.1, 0.3, 0.2], 30)[:, None] * [1, -1]
    found = worst_slice(
        total_variation_distance,
        P,
        Q,
        by=np.repeat([7, 8, 9], 30),
        greater_is_better=False,
    )
    assert (found["value"], found["score"]) == (8, pytest.approx(0.3))


@pytest.mark.parametrize("library", ["pandas", "polars", "dict", "array"])
def test_worst_slice_bins_columns_of_numbers_and_takes_others_by_value(library):
    rng = np.random.default_rng(0)
    size = rng.permutation(100.0 + np.arange(200))
    site = rng.choice(["north", "south"], size=200)
    teacher, student = wrong_at(size >= 265, 200)
    if library == "array":
        by, column = np.column_stack([np.zeros(200), size]), 1
    else:
        make = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "dict": dict}[library]
        by, column = make({"site": site, "size": size}), "size"
    worst = worst_slice(agreement, teacher, student, by=by, n_bins=4)
    assert worst["column"] == column
    assert worst["value"] == (250, 299)
    assert (worst["n_rows"], worst["score"]) == (50, pytest.approx(1 - 35 / 50))
    assert worst["n_slices"] == 4 + (1 if library == "array" else 2)
    np.testing.assert_array_equal(worst["rows"], size >= 250)


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_worst_slice_takes_missing_values_as_a_slice(frame):
    teacher, student = wrong_at(np.arange(5), 100)
    numbers = np.arange(100.0)
    numbers[:10] = np.nan
    texts = [None if i < 10 else "there" for i in range(100)]
    for column in (numbers, np.array(texts, dtype=object)):
        worst = worst_slice(
            agreement, teacher, student, by=frame({"a": column}), min_rows=5
        )
        assert worst["value"] is None
        assert (worst["n_rows"], worst["score"]) == (10, 0.5)


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_worst_slice_bins_times(frame):
    days = [datetime(2024, 1, 1) + timedelta(days=i) for i in range(100)]
    teacher, student = wrong_at(np.arange(80, 100), 100)
    worst = worst_slice(
        agreement, teacher, student, by=frame({"day": days}), min_rows=20
    )
    assert worst["value"] == (datetime(2024, 3, 21), datetime(2024, 4, 9))
    assert worst["score"] == 0


def test_worst_slice_takes_series_categories_and_sparse_columns():
    teacher, student = wrong_at(np.arange(50), 100)
    half = np.repeat([1, 0], 50)
    kinds = pd.Series(np.repeat(["x", "y"], 50), dtype="category")
    for by, value in [
        (kinds, "x"),
        (pl.Series("half", half), 1),
        (sparse.csr_array(half[:, None]), 1),
        (half.tolist(), 1),
    ]:
        worst = worst_slice(agreement, teacher, student, by=by)
        assert (worst["value"], worst["score"]) == (value, 0)


def test_worst_slice_leaves_out_slices_of_few_rows():
    by = np.repeat(["few", "many"], [29, 71])
    teacher, student = wrong_at(np.arange(29), 100)
    assert worst_slice(agreement, teacher, student, by=by)["value"] == "many"
    assert worst_slice(agreement, teacher, student, by=by, min_rows=29)["score"] == 0
    weight = np.where(np.arange(100) < 5, 0, 1)  # 24 of the few are left
    worst = worst_slice(
        agreement, teacher, student, by=by, min_rows=25, sample_weight=weight
    )
    assert worst["value"] == "many"


def test_worst_slice_is_quick_on_a_column_of_many_texts():
    names = np.array([f"name {i}" for i in range(20_000)])
    teacher, student = wrong_at([0], 20_000)
    worst = worst_slice(
        agreement, teacher, student, by={"name": names, "all": np.zeros(20_000)}
    )
    assert (worst["column"], worst["n_slices"]) == ("all", 1)


def test_worst_slice_takes_metrics_of_scikit_learn():
    y = np.repeat([0, 1], 50)
    P = np.column_stack([np.linspace(0.9, 0.4, 100), np.linspace(0.1, 0.6, 100)])
    loss = partial(log_loss, labels=[0, 1])
    worst = worst_slice(loss, y, P, by=y, greater_is_better=False)
    assert worst["value"] == 1
    assert worst["score"] == pytest.approx(log_loss(y[50:], P[50:], labels=[0, 1]))
    assert worst_slice(accuracy_score, y, P.argmax(axis=1), by=y)["value"] == 1


def test_worst_slice_skips_slices_where_the_metric_is_undefined():
    def undefined_for_zeros(values, sample_weight):
        return np.nan if not values.any() else values.mean()

    values = np.repeat([0.0, 2.0, 1.0], 30)
    worst = worst_slice(undefined_for_zeros, values, by=values)
    assert (worst["value"], worst["n_slices"]) == (1, 2)


@given(st.lists(st.integers(0, 8), min_size=1, max_size=60), st.integers(1, 6))
def test_equal_mass_bins_keep_order_and_ties_together(values, n_bins):
    bins = equal_mass_bins(np.array(values), np.ones(len(values)), n_bins)
    order = np.argsort(values, kind="stable")
    assert (np.diff(bins[order]) >= 0).all()
    assert len(set(zip(values, bins, strict=True))) == len(set(values))
    assert 0 <= bins.min() <= bins.max() < n_bins


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": np.arange(3)}, "inconsistent numbers of samples"),
        ({"by": np.repeat([0, 1], 20)}, "min_rows=30 rows .* largest slice has 20"),
        ({"by": {"a": np.zeros((40, 2))}}, r"a must have one value .* \(40, 2\)"),
        ({"by": np.zeros((40, 2, 2))}, r"by must have one value .* \(40, 2, 2\)"),
    ],
)
def test_worst_slice_refuses_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        worst_slice(agreement, np.zeros(40), np.zeros(40), **options)
