"""Numbers as people read them."""

import pytest

from skdistill.report._words import (
    amount,
    bytes_,
    count,
    fraction,
    gap,
    percent,
    seconds,
    two_digits,
)

RECORD = {"x": 0.99412, "x_low": 0.9906, "x_high": 0.9971}
NO_ENDS = {"x": -0.00004, "x_low": None, "x_high": None}
UNKNOWN = {"x": None, "x_low": None, "x_high": None}


def test_shares_and_amounts_come_with_their_intervals():
    assert percent(RECORD, "x") == "99.4 % [99.1, 99.7]"
    assert amount(RECORD, "x") == "0.994 [0.991, 0.997]"
    assert gap(RECORD, "x", 2) == "+0.99 [+0.99, +1.00]"
    assert amount(NO_ENDS, "x") == "0.000"  # not -0.000
    assert gap(NO_ENDS, "x") == "+0.000"
    for write in (percent, amount, gap):
        assert write(UNKNOWN, "x") == "unknown"


@pytest.mark.parametrize(
    ("number", "words"),
    [(1, "1.0"), (9.94, "9.9"), (9.96, "10"), (99.6, "100"), (4_870, "4,900"),
     (995, "1,000"), (1_234_567, "1,200,000")],
)  # fmt: skip
def test_two_digits(number, words):
    assert two_digits(number) == words


def test_fraction_says_less_and_more():
    assert fraction(0.029, 5.95e-6, "latency") == "1/4,900 of its latency"
    assert fraction(1.0, 2.0, "size") == "2.0 times its size"
    assert fraction(3.0, 3.0, "size") == "about all of its size"


@pytest.mark.parametrize(
    ("value", "words"),
    [(1.66e-5, "16.6 us"), (0.029, "29 ms"), (2.0, "2 s"), (9.9999e-4, "1 ms"),
     (3e-10, "0.3 ns"), (None, "")],
)  # fmt: skip
def test_seconds(value, words):
    assert seconds(value) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [(12, "12 bytes"), (42_137, "42.1 kB"), (999_999, "1 MB"), (2.5e9, "2.5 GB"),
     (None, "")],
)  # fmt: skip
def test_bytes(value, words):
    assert bytes_(value) == words


def test_count():
    assert count(1234.6) == "1,235" and count(0) == "0" and count(None) == ""
