"""Tokenising and hashing that student, exporter and runtime share."""

import base64
import copy
import pickle
import subprocess
import sys
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skdistill._ngrams import (
    CACHED_LENGTH,
    N_BUCKETS,
    NGramEncoder,
    check_settings,
    decode_buckets,
    encode_buckets,
    hash_texts,
    words_of,
)

OPEN = {
    "version": 1, "words": 2, "characters": [3, 4], "max_length": 1000,
    "n_rows": None, "buckets": None,
}  # fmt: skip


def closed(buckets, **changes):
    """Settings in which these buckets have rows."""
    buckets = np.asarray(buckets)
    packed = encode_buckets(buckets)
    return OPEN | {"n_rows": len(buckets), "buckets": packed} | changes


def bucket(text):
    """Where a run of characters falls, computed apart from the encoder."""
    return zlib.crc32(text.encode()) % N_BUCKETS


# -- words -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I don't LIKE it!!", ["i", "don't", "like", "it", "!", "!"]),
        ("x_y 3.5", ["x", "_", "y", "3", ".", "5"]),
        ("我喜欢书。", ["我", "喜", "欢", "书", "。"]),
        ("カメラは", ["カ", "メ", "ラ", "は"]),
        ("e\u0301te\u0301", ["été"]),  # composed
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),  # vowel signs stay inside words
        ("한국어 문장", ["한국어", "문장"]),
        ("\ufb01ne \uff37ide", ["fine", "wide"]),  # ligature and full width
        ("good👍🏽", ["good", "👍", "🏽"]),
        ("a\x00b \ud800", ["a", "\x00", "b", "\ud800"]),
        (" \t\n\u3000", []),
        ("", []),
    ],
)
def test_words_of_knows_scripts_and_signs(text, words):
    assert words_of(text, 1000) == words


def test_words_of_looks_at_the_first_characters_only():
    assert words_of("one two three", 7) == ["one", "two"]


# -- rows ------------------------------------------------------------------------------


def test_encoder_hashes_words_runs_and_characters_by_crc32():
    runs = [" good", " good tea", " tea", "<go", "goo", "ood", "od>", "<goo", "good",
            "ood>", "<te", "tea", "ea>", "<tea", "tea>"]  # fmt: skip
    expected = sorted({0, *map(bucket, runs)})
    assert_array_equal(NGramEncoder(OPEN).rows("Good tea"), expected)


def test_encoder_runs_of_three_words():
    encoder = NGramEncoder(OPEN | {"words": 3, "characters": [0, 0]})
    runs = [" a", " b", " c", " d", " a b", " b c", " c d", " a b c", " b c d"]
    assert_array_equal(encoder.rows("a b c d"), sorted({0, *map(bucket, runs)}))


def test_encoder_hashes_characters_of_several_bytes_as_utf8():
    encoder = NGramEncoder(OPEN | {"characters": [3, 3]})
    expected = sorted({0, *map(bucket, [" été", "<ét", "été", "té>"])})
    assert_array_equal(encoder.rows("été"), expected)


def test_encoder_numbers_the_rows_of_chosen_buckets_and_drops_others():
    chosen = np.sort([bucket(" good"), bucket("tea>"), bucket(" elsewhere")])
    rows = NGramEncoder(closed(chosen)).rows("good tea")
    expected = np.flatnonzero(chosen != bucket(" elsewhere")) + 1
    assert_array_equal(rows, [0, *expected])
    assert rows.dtype == np.int64


def test_encoder_takes_a_text_for_a_set():
    encoder = NGramEncoder(OPEN | {"words": 1})
    assert_array_equal(encoder.rows("tea cup tea tea"), encoder.rows("cup tea"))


def test_encoder_gives_row_0_to_a_text_of_nothing():
    assert_array_equal(NGramEncoder(OPEN).rows(" "), [0])
    assert_array_equal(NGramEncoder(closed([7])).rows("unknown"), [0])


def test_encoder_answers_long_words_and_its_memory_alike():
    word = "ab" * CACHED_LENGTH  # too long to be remembered
    encoder = NGramEncoder(OPEN)
    first = encoder.rows(f"{word} tea")
    assert_array_equal(first, encoder.rows(f"{word} tea"))
    assert bucket(f" {word} tea") in first
    assert encoder._word.cache_info().currsize == 1  # "tea"


@settings(max_examples=200)
@given(st.text(alphabet=st.characters(), max_size=60))
def test_encoder_gives_sorted_distinct_rows_for_any_text(text):
    rows = NGramEncoder(OPEN).rows(text)
    assert rows[0] == 0 and (np.diff(rows) > 0).all() and rows[-1] < N_BUCKETS
    assert_array_equal(hash_texts([text], OPEN)[0], rows)


def test_encoder_answers_a_text_of_a_million_characters():
    encoder = NGramEncoder(OPEN | {"max_length": 20_000})
    text = "tea cup " * 125_000
    assert_array_equal(encoder.rows(text), encoder.rows(text[:20_000]))


def test_encoder_survives_pickle_and_copy():
    encoder = NGramEncoder(closed([bucket(" tea")]))
    assert_array_equal(encoder.rows("tea"), [0, 1])
    for twin in (pickle.loads(pickle.dumps(encoder)), copy.deepcopy(encoder)):
        assert_array_equal(twin.rows("tea"), [0, 1])
    assert len(pickle.dumps(encoder)) < 300  # not the memory of words


def test_ngrams_import_numpy_and_the_standard_library_only():
    code = (
        "import sys, skdistill._ngrams; "
        "heavy = {'sklearn', 'scipy', 'pandas', 'torch'}; "
        "print(sorted(heavy.intersection(sys.modules)))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "[]"


def test_hashes_do_not_depend_on_the_process():
    code = (
        "from skdistill._ngrams import *; "
        f"print(hash_texts(['Good tea, été'], {OPEN!r})[0].tolist())"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={"PYTHONHASHSEED": "7"},
    )  # fmt: skip
    assert out.stdout.strip() == str(hash_texts(["Good tea, été"], OPEN)[0].tolist())


# -- settings --------------------------------------------------------------------------


@given(st.sets(st.integers(1, N_BUCKETS - 1), max_size=300))
def test_buckets_survive_packing(chosen):
    buckets = np.array(sorted(chosen), dtype=np.int64)
    assert_array_equal(decode_buckets(encode_buckets(buckets), len(buckets)), buckets)


def test_packed_buckets_take_less_than_three_bytes_each():
    rng = np.random.RandomState(0)
    buckets = np.unique(rng.randint(1, N_BUCKETS, size=60_000))
    assert len(encode_buckets(buckets)) < 3 * len(buckets)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "version"),
        ({"version": True}, "version"),
        ({"words": 0}, "words"),
        ({"words": 1.0}, "words"),
        ({"words": 10**9}, "words"),
        ({"characters": [5, 3]}, "characters"),
        ({"characters": [0, 3]}, "characters"),
        ({"characters": [1, 10**9]}, "characters"),
        ({"characters": 3}, "characters"),
        ({"characters": ["3", "5"]}, "characters"),
        ({"max_length": 0}, "max_length"),
        ({"max_length": 10**12}, "max_length"),
        ({"n_rows": 3}, "n_rows and buckets"),
        ({"n_rows": -1, "buckets": ""}, "n_rows"),
        ({"n_rows": 10**12, "buckets": ""}, "n_rows"),
        ({"n_rows": 3, "buckets": [1, 2, 3]}, "buckets must be a str"),
        ({"more": 1}, "keys"),
    ],
)
def test_check_settings_refuses_what_no_student_has(change, message):
    with pytest.raises(ValueError, match=message):
        check_settings(OPEN | change)


@pytest.mark.parametrize("wrong", [None, [], "settings"])
def test_check_settings_refuses_anything_but_a_dict(wrong):
    with pytest.raises(TypeError, match="must be a dict"):
        check_settings(wrong)


def packed(data):
    return base64.b64encode(zlib.compress(data)).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense!",
        "é",
        packed(b""),
        packed(bytes(8)),  # both buckets 0
        packed(b"\x01\x00" + bytes(6)),  # the same bucket twice
        packed(b"\x01\x01" + bytes(4) + b"\xff\xff"),  # beyond the last bucket
        packed(b"\x01\x01" + bytes(7)),  # one byte too many
        packed(bytes(10**7)),  # a small text of ten million zeros
        encode_buckets(np.array([1, 2]))[:-8],
        base64.b64encode(zlib.compress(b"\x01\x01" + bytes(6))[:-2]).decode(),
    ],
)
def test_decode_buckets_refuses_damage(text):
    with pytest.raises(ValueError, match="Export the student again"):
        decode_buckets(text, 2)
