"""Numbers as people read them."""

import math


def percent(record, key):
    """Share with its interval: "99.4 % [99.1, 99.7]"."""
    value, low, high = (_times_100(record[f"{key}{end}"]) for end in _ENDS)
    return "unknown" if value is None else f"{value} %{_interval(low, high)}"


def amount(record, key, digits=3):
    """Amount with its interval: "0.098 [0.090, 0.107]"."""
    return _with_ends(record, key, digits, "")


def gap(record, key, digits=3):
    """Difference, with sign and interval: "-0.080 [-0.091, -0.070]"."""
    return _with_ends(record, key, digits, "+")


_ENDS = ("", "_low", "_high")


def _with_ends(record, key, digits, sign):
    value, low, high = (_rounded(record[f"{key}{end}"], digits, sign) for end in _ENDS)
    return "unknown" if value is None else f"{value}{_interval(low, high)}"


def _rounded(value, digits, sign):
    if value is None:
        return None
    # + 0.0: a zero has no sign
    return f"{round(value, digits) + 0.0:{sign}.{digits}f}"


def _interval(low, high):
    return "" if low is None or high is None else f" [{low}, {high}]"


def _times_100(share):
    return None if share is None else f"{100 * share:.1f}"


def fraction(whole, part, word):
    """How much less or more: "1/4,900 of its latency", "2.3 times its latency"."""
    times = whole / part
    if 0.95 < times < 1.05:
        return f"about all of its {word}"
    if times > 1:
        return f"1/{two_digits(times)} of its {word}"
    return f"{two_digits(1 / times)} times its {word}"


def two_digits(number):
    """Positive number of 1 or more, rounded to two digits: "4,900", "1.3"."""
    if number < 9.95:
        return f"{number:.1f}"
    scale = 10 ** (math.floor(math.log10(number)) - 1)
    return f"{round(number / scale) * scale:,.0f}"


def seconds(value):
    """Time with a unit: "16.6 us"."""
    return _scaled(value, ((1, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns")))


def bytes_(value):
    """Size with a unit, of 1,000 each: "42.1 kB"."""
    return _scaled(value, ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "bytes")))


def _scaled(value, units):
    if value is None:
        return ""
    # What rounds up to a thousand of a unit is one of the next.
    scale, unit = next((u for u in units if value >= 0.9995 * u[0]), units[-1])
    return f"{value / scale:.3g} {unit}"


def count(value):
    """Whole number with thousands apart."""
    return "" if value is None else f"{value:,.0f}"
