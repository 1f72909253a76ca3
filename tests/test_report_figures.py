"""Figures of a report, each against an independent computation."""

import numpy as np
import pytest
from scipy.stats import binomtest, entropy
from sklearn.metrics import accuracy_score, log_loss

from skdistill.metrics import (
    agreement,
    expected_calibration_error,
    gap_closed,
    mean_kl_divergence,
    retention,
)
from skdistill.report._figures import (
    DIFFERENCE_KEYS,
    MODEL_KEYS,
    compare,
    disagreements,
    gaps_closed,
    pairs_of,
)

N, K = 160, 3
RNG = np.random.RandomState(0)
CODES = RNG.randint(K, size=N)
WEIGHT = RNG.rand(N) + 0.1


def probabilities(sureness, seed):
    """Probabilities that lean to the labels, with zeros and ties among them."""
    rng = np.random.RandomState(seed)
    P = rng.dirichlet(np.ones(K), size=N)
    P[np.arange(N), CODES] += sureness * rng.rand(N)
    P[rng.rand(N) < 0.1] = [0.5, 0.5, 0.0]
    return P / P.sum(axis=1, keepdims=True)


ANSWERS = {
    "teacher": probabilities(3, 1),
    "student": probabilities(2, 2),
    "plain student": probabilities(1, 3),
}
SETTINGS = {"confidence": 0.9, "n_resamples": 50, "random_state": 5}


def compared(codes=CODES, weight=None, answers=ANSWERS, **more):
    reference = "teacher, calibrated" if "teacher, calibrated" in answers else "teacher"
    models, differences = compare(
        answers, reference, codes, weight, pairs_of(answers), **(SETTINGS | more)
    )
    by_name = {record["model"]: record for record in models}
    by_pair = {(d["model"], d["against"]): d for d in differences}
    return by_name, by_pair


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_compare_gives_the_figures_of_the_metrics(weight):
    by_name, by_pair = compared(weight=weight)
    for name, P in ANSWERS.items():
        record = by_name[name]
        expected = {
            "accuracy": accuracy_score(CODES, P.argmax(axis=1), sample_weight=weight),
            "log_loss": log_loss(CODES, P, sample_weight=weight),
            "ece": expected_calibration_error(CODES, P, sample_weight=weight),
            "ece_debiased": expected_calibration_error(
                CODES, P, sample_weight=weight, debiased=True
            ),
        }
        if name != "teacher":
            T = ANSWERS["teacher"]
            expected["agreement"] = agreement(T, P, sample_weight=weight)
            expected["kl"] = mean_kl_divergence(T, P, sample_weight=weight)
            rows = entropy(T, np.maximum(P, 1e-15), axis=1)
            assert record["kl"] == pytest.approx(np.average(rows, weights=weight))
        for key, value in expected.items():
            assert record[key] == pytest.approx(value, rel=1e-12), (name, key)
    assert by_name["teacher"]["kl"] is None
    student, plain = by_name["student"], by_name["plain student"]
    pair = by_pair["student", "plain student"]
    for key in ("accuracy", "log_loss", "agreement", "kl"):
        assert pair[key] == pytest.approx(student[key] - plain[key])
    assert pair["retention"] == pytest.approx(
        retention(student["accuracy"], plain["accuracy"])
    )


def test_compare_gives_wilson_intervals_of_shares():
    by_name, _ = compared()
    for name, record in by_name.items():
        right = int((ANSWERS[name].argmax(axis=1) == CODES).sum())
        found = binomtest(right, N).proportion_ci(0.9, method="wilson")
        ends = record["accuracy_low"], record["accuracy_high"]
        assert ends == pytest.approx((found.low, found.high))
    same = (ANSWERS["teacher"].argmax(1) == ANSWERS["student"].argmax(1)).sum()
    found = binomtest(int(same), N).proportion_ci(0.9, method="wilson")
    student = by_name["student"]
    ends = student["agreement_low"], student["agreement_high"]
    assert ends == pytest.approx((found.low, found.high))


def test_compare_counts_effective_rows_where_weights_differ():
    equal, _ = compared(weight=np.full(N, 2.0))
    none, _ = compared()
    keys = ("accuracy", "accuracy_low", "accuracy_high", "log_loss", "kl_high")
    for key in keys:
        assert equal["student"][key] == pytest.approx(none["student"][key])
    skewed, _ = compared(weight=np.where(np.arange(N) < 20, 1.0, 1e-9))
    few = skewed["student"]
    share = few["accuracy"]
    found = binomtest(round(20 * share), 20).proportion_ci(0.9, method="wilson")
    assert few["accuracy_low"] == pytest.approx(found.low, abs=1e-6)


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_compare_bootstraps_pairs_of_rows(weight):
    by_name, by_pair = compared(weight=weight)
    rng, drawn = np.random.RandomState(5), []
    for _ in range(50):
        rows = rng.randint(N, size=N)
        w = None if weight is None else weight[rows]
        losses, shares = {}, {}
        for name, P in ANSWERS.items():
            losses[name] = log_loss(
                CODES[rows], P[rows], labels=range(K), sample_weight=w
            )
            shares[name] = accuracy_score(
                CODES[rows], P[rows].argmax(axis=1), sample_weight=w
            )
        drawn.append(
            (
                losses["student"],
                losses["student"] - losses["teacher"],
                shares["student"] - shares["plain student"],
                shares["student"] / shares["teacher"],
            )
        )
    low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
    of_teacher = by_pair["student", "teacher"]
    found = [
        (by_name["student"], "log_loss"),
        (of_teacher, "log_loss"),
        (by_pair["student", "plain student"], "accuracy"),
        (of_teacher, "retention"),
    ]
    assert [record[f"{key}_low"] for record, key in found] == pytest.approx(low)
    assert [record[f"{key}_high"] for record, key in found] == pytest.approx(high)


def test_compare_tests_by_mcnemar_where_rows_count_alike():
    _, by_pair = compared()
    right = {name: P.argmax(axis=1) == CODES for name, P in ANSWERS.items()}
    only = (right["student"] & ~right["teacher"]).sum()
    other = (right["teacher"] & ~right["student"]).sum()
    expected = binomtest(int(only), int(only + other)).pvalue
    assert by_pair["student", "teacher"]["mcnemar_p"] == pytest.approx(expected)
    assert by_pair["student", "teacher"]["n_discordant"] == only + other
    _, weighted = compared(weight=WEIGHT)
    assert weighted["student", "teacher"]["mcnemar_p"] is None
    assert weighted["student", "teacher"]["n_discordant"] == only + other


def test_compare_without_labels_knows_fidelity_only():
    by_name, by_pair = compared(codes=None)
    with_labels, _ = compared()
    record = by_name["student"]
    assert record["accuracy"] is record["log_loss_low"] is record["ece"] is None
    for key in ("agreement", "agreement_low", "kl"):
        assert record[key] == with_labels["student"][key]
    pair = by_pair["student", "plain student"]
    assert pair["accuracy"] is pair["mcnemar_p"] is pair["retention"] is None
    assert pair["kl"] == pytest.approx(record["kl"] - by_name["plain student"]["kl"])


def test_compare_is_to_the_teacher_as_it_taught():
    answers = ANSWERS | {"teacher, calibrated": probabilities(5, 4)}
    answers["artefact"] = np.roll(answers["student"], 1, axis=0)
    by_name, by_pair = compared(answers=answers)
    assert by_name["student"]["kl"] == pytest.approx(
        mean_kl_divergence(answers["teacher, calibrated"], answers["student"])
    )
    assert by_name["teacher"]["kl"] is by_name["teacher, calibrated"]["kl"] is None
    assert list(by_pair) == [
        ("student", "teacher"),
        ("student", "teacher, calibrated"),
        ("student", "plain student"),
        ("artefact", "student"),
    ]
    largest = np.abs(answers["artefact"] - answers["student"]).max()
    assert by_pair["artefact", "student"]["largest_gap"] == largest


def test_compare_of_equal_models_is_exactly_nothing():
    answers = ANSWERS | {"plain student": ANSWERS["student"].copy()}
    _, by_pair = compared(answers=answers, weight=WEIGHT)
    pair = by_pair["student", "plain student"]
    for key in ("accuracy", "log_loss", "agreement", "kl"):
        assert pair[key] == pair[f"{key}_low"] == pair[f"{key}_high"] == 0
    assert pair["retention_low"] == pair["retention_high"] == 1


def test_compare_says_none_where_a_figure_is_undefined():
    wrong = np.roll(np.eye(K)[CODES], 1, axis=1)
    by_name, by_pair = compared(answers=ANSWERS | {"teacher": wrong})
    assert by_name["teacher"]["accuracy"] == 0
    assert by_pair["student", "teacher"]["retention"] is None
    assert by_pair["student", "teacher"]["retention_low"] is None


def test_compare_gives_complete_records_of_python_numbers():
    by_name, by_pair = compared()
    for records, keys in ((by_name, MODEL_KEYS), (by_pair, DIFFERENCE_KEYS)):
        for record in records.values():
            assert tuple(record) == keys
            assert {type(value) for value in record.values()} <= {
                str, int, float, type(None),
            }  # fmt: skip


def test_gaps_closed_equal_the_metric():
    by_name, _ = compared(
        answers=ANSWERS | {"teacher, calibrated": probabilities(6, 7)}
    )
    found = gaps_closed(list(by_name.values()))
    for key, figure, teacher, better in (
        ("accuracy", "accuracy", "teacher", True),
        ("log_loss", "log_loss", "teacher", False),
        ("log_loss_calibrated", "log_loss", "teacher, calibrated", False),
    ):
        scores = [
            by_name[name][figure] for name in ("plain student", "student", teacher)
        ]
        assert found[key] == gap_closed(*scores, greater_is_better=better)
    same = [record | {"model": name} for name, record in by_name.items()]
    for record in same:
        record["accuracy"] = 0.9
    assert gaps_closed(same)["accuracy"] is None
    assert set(gaps_closed(same[:2]).values()) == {None}


def test_disagreements_come_furthest_first():
    P, Q = np.eye(3)[[0, 1, 2, 0]], np.full((4, 3), 1 / 3)
    Q[1] = [0.0, 0.9, 0.1]
    Q[3] = [0.0, 0.0, 1.0]
    classes = np.array(["a", "b", "c"])
    records = disagreements(
        P, Q, labels=classes[[0, 1, 2, 0]], rows=np.array([5, 7, 8, 9]),
        classes=classes, n_most=3,
    )  # fmt: skip
    assert [r["row"] for r in records] == [9, 5, 8]
    assert records[0] == {
        "row": 9, "y": "a", "teacher": "a", "student": "c", "total_variation": 1.0,
        "teacher_proba[a]": 1.0, "teacher_proba[b]": 0.0, "teacher_proba[c]": 0.0,
        "student_proba[a]": 0.0, "student_proba[b]": 0.0, "student_proba[c]": 1.0,
    }  # fmt: skip
    assert records[1]["total_variation"] == pytest.approx(2 / 3)
    without = disagreements(
        P, Q, labels=None, rows=np.arange(4), classes=classes, n_most=10
    )
    assert len(without) == 4 and "y" not in without[0]
