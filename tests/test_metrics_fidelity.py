"""How like its teacher a student answers: against independent computations."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy
from sklearn.metrics import accuracy_score, brier_score_loss, top_k_accuracy_score

from skdistill.metrics import (
    agreement,
    agreement_by_case,
    agreement_interval,
    brier_to_teacher,
    jensen_shannon_divergence,
    mean_kl_divergence,
    top_k_agreement,
    total_variation_distance,
)

DISTANCES = {
    mean_kl_divergence: lambda p, q: entropy(p, np.maximum(q, 1e-15)),
    jensen_shannon_divergence: lambda p, q: jensenshannon(p, q) ** 2,
    # The largest difference in the probability of any set of classes.
    total_variation_distance: lambda p, q: max(
        abs(sum(p[list(A)]) - sum(q[list(A)]))
        for A in np.ndindex(*[2] * len(p))
        for A in [np.flatnonzero(A)]
    ),
    brier_to_teacher: lambda p, q: sum((a - b) ** 2 for a, b in zip(p, q, strict=True)),
}


@st.composite
def pairs(draw, min_classes=2):
    """Probabilities of teacher and student with ties, zeros and unused classes."""
    n_rows, n_classes = draw(st.integers(1, 8)), draw(st.integers(min_classes, 5))
    votes = st.lists(st.integers(0, 3), min_size=n_classes, max_size=n_classes)
    rows = st.lists(votes.filter(any), min_size=n_rows, max_size=n_rows)

    def shares():
        V = np.array(draw(rows), dtype=float)
        return V / V.sum(axis=1, keepdims=True)

    weight = draw(st.lists(st.integers(0, 3), min_size=n_rows, max_size=n_rows))
    weight[0] += 1
    return shares(), shares(), np.array(weight)


# -- probabilities ---------------------------------------------------------------------


@pytest.mark.parametrize("metric", DISTANCES, ids=lambda metric: metric.__name__)
@given(data=pairs())
def test_distance_equals_an_independent_computation(metric, data):
    P, Q, weight = data
    rows = [DISTANCES[metric](p, q) for p, q in zip(P, Q, strict=True)]
    rows = np.nan_to_num(rows)  # jensenshannon: root of -1e-17 where p = q
    expected = sum(w * row for w, row in zip(weight, rows, strict=True)) / weight.sum()
    found = metric(P, Q, sample_weight=weight)
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert metric(P, P) == 0
    copies = np.repeat(np.arange(len(P)), weight)
    assert metric(P[copies], Q[copies]) == pytest.approx(found, rel=1e-9, abs=1e-12)


@given(data=pairs())
def test_distances_keep_the_known_inequalities(data):
    P, Q, _ = data
    for p, q in zip(P[:, None], Q[:, None], strict=True):
        tv, js = total_variation_distance(p, q), jensen_shannon_divergence(p, q)
        assert 0 <= tv <= 1
        assert 0 <= js <= np.log(2) * tv + 1e-12  # Lin, theorem 3
        assert mean_kl_divergence(p, q) >= 2 * tv**2 - 1e-12  # Pinsker
        assert 0 <= brier_to_teacher(p, q) <= 2 + 1e-12


def test_brier_to_teacher_is_the_brier_score_where_the_teacher_is_sure():
    rng = np.random.default_rng(0)
    y, Q = rng.integers(2, size=50), rng.dirichlet(np.ones(2), size=50)
    expected = 2 * brier_score_loss(y, Q[:, 1])  # both columns count
    assert brier_to_teacher(np.eye(2)[y], Q) == pytest.approx(expected, rel=1e-12)


def test_mean_kl_divergence_is_finite_where_the_student_says_never():
    far = mean_kl_divergence([[0.5, 0.5]], [[1.0, 0.0]])
    assert far == pytest.approx(0.5 * np.log(0.5) + 0.5 * np.log(0.5 / 1e-15))


# -- labels ----------------------------------------------------------------------------


def test_agreement_equals_the_accuracy_on_the_teachers_labels():
    rng = np.random.default_rng(0)
    P, Q = rng.dirichlet(np.ones(3), size=500), rng.dirichlet(np.ones(3), size=500)
    weight = rng.random(500)
    expected = accuracy_score(P.argmax(1), Q.argmax(1), sample_weight=weight)
    assert agreement(P, Q, sample_weight=weight) == pytest.approx(expected, rel=1e-12)


def test_agreement_takes_labels_on_either_side():
    P = np.random.default_rng(0).dirichlet(np.ones(3), size=50)
    classes = np.array(["a", "b", "c"])
    labels = classes[P.argmax(axis=1)]
    other = np.where(np.arange(50) < 10, "z", labels)
    assert agreement(labels, other) == pytest.approx(0.8)
    assert agreement(P, other, classes=classes) == pytest.approx(0.8)
    assert agreement(other, pd.DataFrame(P), classes=classes) == pytest.approx(0.8)


@given(data=pairs(min_classes=3), k=st.integers(1, 3))
def test_top_k_agreement_equals_the_mean_over_all_ways_to_break_ties(data, k):
    P, Q, weight = data
    orders = list(permutations(range(P.shape[1])))
    rows = []
    for p, q in zip(P, Q, strict=True):
        hits = []
        for order in orders:  # among equals the earlier in this order wins
            ranked = sorted(order, key=lambda c, q=q: -q[c])
            hits += [c in ranked[:k] for c in np.flatnonzero(p == p.max())]
        rows.append(np.mean(hits))
    expected = np.average(rows, weights=weight)
    found = top_k_agreement(P, Q, k=k, sample_weight=weight)
    assert found == pytest.approx(expected, abs=1e-12)


def test_top_k_agreement_equals_the_top_k_accuracy_of_scikit_learn():
    rng = np.random.default_rng(0)
    P, Q = rng.dirichlet(np.ones(6), size=300), rng.dirichlet(np.ones(6), size=300)
    for k in range(1, 6):
        expected = top_k_accuracy_score(P.argmax(axis=1), Q, k=k)
        assert top_k_agreement(P, Q, k=k) == pytest.approx(expected, rel=1e-12)
    assert top_k_agreement(P, Q, k=1) == pytest.approx(agreement(P, Q))
    assert top_k_agreement(P, Q, k=6) == 1


def test_agreement_by_case_tells_right_from_wrong_and_sure_from_unsure():
    classes = np.array(["a", "b"])
    P = np.array([[0.95, 0.05], [0.05, 0.95], [0.6, 0.4], [0.4, 0.6], [0.9, 0.1]])
    y = np.array(["a", "a", "a", "b", "b"])
    student = np.array(["a", "a", "b", "b", "a"])
    weight = np.array([1.0, 2.0, 1.0, 3.0, 1.0])
    cases = agreement_by_case(P, student, y, classes=classes, sample_weight=weight)
    rates = {name: case["agreement"] for name, case in cases.items()}
    assert rates == pytest.approx(
        {
            "all": 5 / 8,
            "teacher_right": 4 / 5,
            "teacher_wrong": 1 / 3,
            "teacher_sure": 2 / 4,
            "teacher_unsure": 3 / 4,
        }
    )
    assert [case["n_rows"] for case in cases.values()] == [5, 3, 2, 3, 2]
    wrong = [1, 4]
    expected = agreement_interval(
        P[wrong], student[wrong], classes=classes, sample_weight=weight[wrong]
    )
    assert (cases["teacher_wrong"]["low"], cases["teacher_wrong"]["high"]) == expected


def test_agreement_by_case_leaves_out_what_cannot_be_told():
    assert list(agreement_by_case([0, 1], [0, 0])) == ["all"]
    cases = agreement_by_case(["a", "b"], ["a", "a"], ["a", "b"])
    assert list(cases) == ["all", "teacher_right", "teacher_wrong"]
    assert np.isnan(cases["teacher_wrong"]["agreement"])
    assert cases["teacher_wrong"]["n_rows"] == 0
    assert (cases["teacher_wrong"]["low"], cases["teacher_wrong"]["high"]) == (0, 1)


def test_agreement_by_case_takes_labels_as_columns_where_no_classes_are_given():
    P, Q = np.eye(3), np.eye(3)[[0, 2, 2]]
    cases = agreement_by_case(P, Q, [0, 1, 1], sure_from=1.0)
    assert cases["teacher_right"]["agreement"] == 0.5
    assert cases["teacher_wrong"]["agreement"] == 1
    assert cases["teacher_unsure"]["n_rows"] == 0


# -- bad input -------------------------------------------------------------------------

P2 = np.full((4, 2), 0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: agreement(P2, P2[:3]), "inconsistent numbers of samples"),
        (lambda: agreement(P2, [0, 1, 0, 1]), "classes must be given where one"),
        (lambda: agreement(P2, np.eye(4)), r"same columns, got shapes \(4, 2\) and"),
        (
            lambda: agreement(P2, list("abcd"), classes=list("abc")),
            "one label for each column",
        ),
        (lambda: agreement(P2, P2 * np.nan), "NaN"),
        (lambda: agreement(P2, P2, sample_weight=[1, 2]), "each of the 4 rows, got 2"),
        (lambda: agreement(P2, P2, sample_weight=[0] * 4), "not zero for all rows"),
        (lambda: agreement(P2, P2, sample_weight=[1, 1, 1, -1]), "not negative"),
        (lambda: top_k_agreement(P2, P2, k=3), r"from 1 to the number of classes, 2"),
        (lambda: top_k_agreement(P2, P2, k=1.5), r"whole number .* got 1.5"),
        (lambda: agreement_by_case(2 * P2, P2), "teacher must sum to 1 in each row"),
        (lambda: agreement_by_case(P2, P2, [0, 1]), "inconsistent numbers of samples"),
    ],
)
def test_agreements_refuse_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("metric", DISTANCES, ids=lambda metric: metric.__name__)
@pytest.mark.parametrize(
    ("P", "Q", "message"),
    [
        (P2, 2 * P2, "Q must sum to 1 in each row"),
        (P2, P2[:3], r"Q must have shape .* \(4, 2\), got"),
        (P2, P2 * np.nan, "Q must be finite"),
        ([0.5], [0.5], r"P must have shape \(n_samples, n_"),
        (P2[:0], P2[:0], "at least one row, got 0 rows"),
    ],
)
def test_distances_refuse_bad_input(metric, P, Q, message):
    with pytest.raises(ValueError, match=message):
        metric(P, Q)


def test_agreement_needs_a_row():
    with pytest.raises(ValueError, match="answers for one row or more, got none"):
        agreement([], [])
