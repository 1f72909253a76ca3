"""From tokens and texts to probabilities: by hand, and never by guessing."""

import math

import numpy as np
import pytest
from scipy.special import softmax

from skdistill.teachers._chat_scoring import (
    LETTERS,
    average_orders,
    code_in_text,
    code_in_verdict,
    correct_prior,
    neutral_answer,
    option_codes,
    option_orders,
    score_token,
    smooth,
)

CODES = ["A", "B", "C"]
LABELS = ["good", "bad", "so-so"]


def logs(**tokens):
    return [(token, math.log(p)) for token, p in tokens.items()]


# -- codes and orders ------------------------------------------------------------------


def test_option_codes_are_letters_then_numbers():
    assert option_codes(3) == CODES
    assert "".join(option_codes(25)) == LETTERS
    assert "I" not in LETTERS
    assert option_codes(26)[-1] == "26"


@pytest.mark.parametrize(
    ("n_options", "n_orders"), [(2, 1), (2, 2), (3, 4), (5, 2), (7, 14)]
)
def test_option_orders_are_permutations_and_differ(n_options, n_orders):
    orders = option_orders(n_options, n_orders)
    assert len(set(orders)) == n_orders
    assert all(sorted(order) == list(range(n_options)) for order in orders)


@pytest.mark.parametrize("n_options", [2, 3, 6])
def test_option_orders_in_pairs_favour_no_place(n_options):
    orders = np.array(option_orders(n_options, 2))
    places = np.argsort(orders, axis=1)
    assert (places.mean(axis=0) == (n_options - 1) / 2).all()


def test_option_orders_refuse_more_than_there_are():
    with pytest.raises(ValueError, match=r"n_orders must be at most 2 with 2 labels"):
        option_orders(2, 3)
    with pytest.raises(ValueError, match=r"at most 6 with 3 labels, got 8"):
        option_orders(3, 8)


# -- tokens ----------------------------------------------------------------------------


def test_score_token_merges_the_forms_of_a_code():
    tokens = {"A": 0.3, " A": 0.2, "a": 0.05, "(A": 0.05, "B.": 0.1, "\u0120C": 0.04}
    masses, label, missing = score_token(logs(**tokens, The=0.2), CODES)
    assert masses == pytest.approx([0.6, 0.1, 0.04])
    assert label == pytest.approx(0.74)
    assert missing == pytest.approx(0.06)


def test_score_token_counts_a_token_once_and_skips_nonsense():
    given = [
        *logs(A=0.5, B=0.25),
        ("A", math.log(0.5)),
        ("C", math.nan),
        ("D", -9999.0),
    ]
    masses, label, missing = score_token(given, CODES[:2])
    assert masses == pytest.approx([0.5, 0.25])
    assert (label, missing) == pytest.approx((0.75, 0.25))


def test_score_token_bounds_what_is_not_shown():
    masses, label, missing = score_token(logs(A=0.6, The=0.2), CODES)
    # half of the lesser of: the least likely token, and a share of what is missing
    assert masses == pytest.approx([0.6, 0.05, 0.05])
    assert (label, missing) == pytest.approx((0.6, 0.2))
    masses, *_ = score_token(logs(A=0.7, The=0.01), CODES)
    assert masses[1:] == pytest.approx([0.005, 0.005])


def test_score_token_of_rounded_logs_never_gives_zero():
    masses, label, missing = score_token([("A", 0.0)], CODES)
    assert label == 1.0
    assert missing == 0.0
    assert (masses > 0).all()
    assert masses[1:].max() < 1e-9


def test_score_token_takes_the_beginning_of_one_name():
    names = ["negative", "neutral", "Positive"]
    tokens = {"pos": 0.2, " Pos": 0.1, "POSITIVE": 0.1, "neg": 0.2, "ne": 0.15}
    tokens |= {"neutral": 0.05, "n": 0.05, "posh": 0.05, "positively": 0.05}
    masses, label, missing = score_token(logs(**tokens), names, are_names=True)
    assert masses == pytest.approx([0.2, 0.05, 0.4])
    assert label == pytest.approx(0.65)
    assert missing == pytest.approx(0.05)


def test_score_token_of_nothing_is_nothing():
    masses, label, missing = score_token([], CODES)
    assert not masses.any()
    assert (label, missing) == (0.0, 1.0)


# -- texts -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("B", 1),
        (" b.\n", 1),
        ("**C**", 2),
        ("B) bad", 1),
        ("B: bad", 1),
        ("B. The writer is angry.", 1),
        ("Bad", 1),
        ("so-so", 2),
        ("Sure! Let me see.\n\nThe answer is B.", 1),
        ("Answer: **C**", 2),
        ("I would go with option (A).", 0),
        ("A good question. The label should be B", 1),
        ("", None),
        ("A good question.", None),
        ("It depends.", None),
        ("A or B", None),
        ("A, B or C?", None),
        ("The answer is A. No, the answer is B.", None),
        ("Not bad", None),
        ("B-side", None),
        ("BA", None),
        ("The answer is Absolutely clear", None),
    ],
)
def test_code_in_text_finds_one_answer_or_none(text, place):
    assert code_in_text(text, CODES, LABELS) == place


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("Good", 0),
        ("The answer is **So-so**.", 2),
        ("BAD: it broke", 1),
        ("(good)", 0),
        ("It is bad.", None),
        ("The answer is good, or bad", None),
        ("The answer is goodness", None),
    ],
)
def test_code_in_text_finds_names(text, place):
    assert code_in_text(text, LABELS, LABELS) == place


def test_code_in_text_takes_numbers_apart():
    codes = option_codes(30)
    labels = [f"kind {n}" for n in codes]
    assert code_in_text("12", codes, labels) == 11
    assert code_in_text("The answer is 30.", codes, labels) == 29
    assert code_in_text("1 of the 2", codes, labels) is None


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"answer": "B"}', 1),
        ('```json\n{"answer": "bad", "why": "angry"}\n```', 1),
        ('{"answer": 7}', None),
        ('{"answer": null}', None),
        ('{"verdict": "B"}', None),
        ('{"answer": B}', None),
        ("[1]", None),
        ("B", 1),
    ],
)
def test_code_in_verdict_reads_json(text, place):
    assert code_in_verdict(text, CODES, LABELS) == place


# -- arithmetic ------------------------------------------------------------------------


def test_smooth_is_laplace():
    shares = np.array([[0.8, 0.2, 0.0], [1.0, 0.0, 0.0]])
    P = smooth(shares, [10, 1], 0.5)
    assert pytest.approx([8.5 / 11.5, 2.5 / 11.5, 0.5 / 11.5]) == P[0]
    assert pytest.approx([1.5 / 2.5, 0.5 / 2.5, 0.5 / 2.5]) == P[1]


def test_average_orders_cancels_a_factor_of_the_place():
    truth = np.array([[0.7, 0.3], [0.2, 0.8]])
    favour = np.array([3.0, 1.0])
    masses = np.stack([0.9 * truth * favour, 0.5 * truth * favour[::-1]])
    np.testing.assert_allclose(average_orders(masses), truth)
    P = average_orders(masses, "probability")
    first, second = truth * favour, truth * favour[::-1]
    expected = (
        first / first.sum(axis=1, keepdims=True)
        + second / second.sum(axis=1, keepdims=True)
    ) / 2
    np.testing.assert_allclose(P, expected)


@pytest.mark.parametrize("how", ["log", "probability"])
def test_average_orders_needs_every_order(how):
    masses = np.full((2, 2, 3), 0.2)
    masses[1, 0] = np.nan
    P = average_orders(masses, how)
    assert np.isnan(P[0]).all()
    assert pytest.approx([1 / 3] * 3) == P[1]


def test_correct_prior_gives_a_neutral_answer_the_prior():
    P = np.array([[0.7, 0.3], [0.9, 0.1]])
    Q = correct_prior(P, P[0], np.array([0.4, 0.6]))
    assert pytest.approx([0.4, 0.6]) == Q[0]
    odds = (0.9 / 0.1) / (0.7 / 0.3) * (0.4 / 0.6)
    assert Q[1, 0] / Q[1, 1] == pytest.approx(odds)


@pytest.mark.parametrize("n_options", [2, 5, 40])
@pytest.mark.parametrize("weighted", [False, True])
def test_without_the_neutral_answer_the_mean_is_the_prior(n_options, weighted):
    rng = np.random.default_rng(n_options)
    liking = 4 * rng.normal(size=n_options)
    P = softmax(2 * rng.normal(size=(300, n_options)) + liking, axis=1)
    prior = rng.dirichlet(np.full(n_options, 5.0))
    weight = rng.uniform(size=300) if weighted else None
    neutral = neutral_answer(P, prior, weight)
    assert neutral.sum() == pytest.approx(1)
    mean = np.average(correct_prior(P, neutral, prior), axis=0, weights=weight)
    np.testing.assert_allclose(mean, prior, atol=1e-7)
    # what batch calibration divides by leaves part of the liking
    plain = correct_prior(P, np.average(P, axis=0, weights=weight), prior)
    off = np.abs(np.average(plain, axis=0, weights=weight) - prior).max()
    assert off > 1e-3


def test_neutral_answer_counts_weights_as_copies():
    P = softmax(np.random.default_rng(0).normal(size=(20, 3)), axis=1)
    weight = np.arange(20) % 3
    prior = np.array([0.2, 0.3, 0.5])
    np.testing.assert_allclose(
        neutral_answer(P, prior, weight),
        neutral_answer(np.repeat(P, weight, axis=0), prior),
        rtol=1e-6,
    )


def test_neutral_answer_of_an_option_that_no_row_allows_is_finite():
    P = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    neutral = neutral_answer(P, np.array([0.5, 0.5]))
    Q = correct_prior(P, neutral, np.array([0.5, 0.5]))
    assert np.isfinite(neutral).all()
    np.testing.assert_allclose(Q, P)
