import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from benchmarks.datasets import load
from skdistill.transfer import MaskingSampler

LETTERS = list("abcdefghijklmnopqrstuvwxyz")


def texts_of(n_texts=40, n_words=12, seed=0):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(LETTERS, n_words)) for _ in range(n_texts)]


ONLY = {"p_mask": 0.0, "p_replace": 0.0, "p_ngram": 0.0}


def test_masking_sampler_masks_a_share_of_the_words():
    texts = texts_of(300, 40)
    sampler = MaskingSampler(**ONLY | {"p_mask": 0.3}, mask_token="[MASK]").fit(texts)
    new = [text.split() for text in sampler.sample(300, random_state=0)]
    assert {len(words) for words in new} == {40}
    masked = np.mean([word == "[MASK]" for words in new for word in words])
    assert masked == pytest.approx(0.3, abs=0.02)
    # what is not masked stands where it stood
    given = [text.split() for text in texts]
    for words in new[:20]:
        assert any(
            all(a in (b, "[MASK]") for a, b in zip(words, text, strict=True))
            for text in given
        )


def test_masking_sampler_leaves_masked_words_out():
    texts = texts_of(300, 40)
    new = MaskingSampler(**ONLY | {"p_mask": 0.3}).fit(texts).sample(300, 0)
    lengths = [len(text.split()) for text in new]
    assert np.mean(lengths) == pytest.approx(28, abs=1)
    assert not any("  " in text or text != text.strip() for text in new)


def test_masking_sampler_replaces_words_as_often_as_they_occur():
    texts = ["x y " * 20, "x " * 60]
    new = MaskingSampler(**ONLY | {"p_replace": 1.0}).fit(texts).sample(500, 0)
    words = " ".join(new).split()
    assert words.count("y") / len(words) == pytest.approx(0.2, abs=0.02)


def test_masking_sampler_cuts_runs_out_of_texts():
    texts = texts_of(50, 12)
    new = MaskingSampler(**ONLY | {"p_ngram": 1.0}, max_ngram=3).fit(texts)
    new = new.sample(3_000, random_state=0)
    assert all(any(text in given for given in texts) for text in new)
    lengths = np.bincount([len(text.split()) for text in new])
    np.testing.assert_allclose(lengths[1:] / 3_000, 1 / 3, atol=0.03)
    half = MaskingSampler(**ONLY | {"p_ngram": 0.5, "p_mask": 0.2}).fit(texts)
    share = np.mean([len(t.split()) <= 5 for t in half.sample(2_000, random_state=0)])
    assert share == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize("mask_token", ["", "[MASK]"])
def test_masking_sampler_returns_no_given_and_no_empty_text(mask_token):
    texts = ["good", "bad dress", "good dress", "a  good\ndress", "bad dress ", ""]
    sampler = MaskingSampler(0.5, 0.3, mask_token=mask_token).fit(texts)
    new = sampler.sample(400, random_state=0)
    plain = {" ".join(text.split()) for text in texts}
    assert len(new) == 400
    assert not plain & {" ".join(text.split()) for text in new}
    assert all(text.replace("[MASK]", "").strip() for text in new)


def test_masking_sampler_returns_fewer_texts_where_no_new_one_exists():
    texts = ["good", "bad"]
    assert MaskingSampler().fit(texts).sample(50, random_state=0) == []


def test_masking_sampler_keeps_spaces_and_punctuation():
    new = MaskingSampler(0.3, 0.0, 0.0).fit(["One, two;\n\tthree! Four?"]).sample(60, 0)
    assert "One, two;\n\tFour?" in new
    assert "One, three! Four?" in new


def test_masking_sampler_takes_scripts_without_spaces_character_by_character():
    text = "我喜欢这个 dress 很好"
    new = MaskingSampler(**ONLY | {"p_mask": 0.2}).fit([text]).sample(200, 0)
    assert "我欢这个 dress 很好" in new
    assert all("dress" in t or "d" not in t for t in new)


@pytest.mark.parametrize(
    "kind",
    [
        list,
        tuple,
        np.array,
        lambda texts: np.array(texts, dtype=object),
        lambda texts: pd.Series(texts, name="review", index=range(5, 45)),
        lambda texts: pd.Series(texts, dtype="string"),
        lambda texts: pd.Series(texts, dtype=object),
    ],
)
@pytest.mark.parametrize("n_samples", [0, 70])
def test_masking_sampler_returns_the_kind_that_came_in(kind, n_samples):
    X = kind(texts_of())
    new = MaskingSampler().fit(X).sample(n_samples, random_state=0)
    assert type(new) is type(X)
    assert len(new) == n_samples
    expected = MaskingSampler().fit(texts_of()).sample(n_samples, random_state=0)
    assert list(new) == expected
    if isinstance(X, np.ndarray):
        assert new.dtype.kind == X.dtype.kind
    if isinstance(X, pd.Series):
        assert new.dtype == X.dtype
        assert new.name == X.name
        assert list(new.index) == list(range(n_samples))


def test_masking_sampler_is_a_function_of_its_seed():
    sampler = MaskingSampler().fit(texts_of())
    first = sampler.sample(30, random_state=1)
    assert first == sampler.sample(30, random_state=1)
    assert first == clone(sampler).fit(texts_of()).sample(30, random_state=1)
    assert first == pickle.loads(pickle.dumps(sampler)).sample(30, random_state=1)
    assert first != sampler.sample(30, random_state=2)


def test_masking_sampler_draws_from_real_reviews():
    try:
        X, _ = load("clothing", n_rows=500)
    except ModuleNotFoundError as error:
        pytest.skip(str(error))
    new = MaskingSampler().fit(X).sample(5_000, random_state=0)
    assert len(new) == 5_000
    assert not set(new) & set(X)
    assert {w for t in new for w in t.split()} <= {w for t in X for w in t.split()}


@pytest.mark.parametrize(
    ("X", "params", "error", "message"),
    [
        (np.eye(3), {}, TypeError, "for a sampler of texts, got ndarray"),
        (["a b", None], {}, TypeError, "for a sampler of texts, got list"),
        ([], {}, TypeError, "sequence of str"),
        (["", " "], {}, ValueError, "must have a word in some text"),
        (["a"], {"p_mask": 0.7, "p_replace": 0.5}, ValueError, r"got 0\.7 \+ 0\.5"),
        (["a"], {"p_mask": 1.5}, ValueError, "'p_mask' parameter of MaskingSampler"),
        (["a"], {"max_ngram": 0}, ValueError, "'max_ngram' parameter of Masking"),
        (["a"], {"mask_token": None}, ValueError, "'mask_token' parameter of Masking"),
    ],
)
def test_masking_sampler_refuses_what_it_cannot_mask(X, params, error, message):
    with pytest.raises(error, match=message):
        MaskingSampler(**params).fit(X)


def test_masking_sampler_samples_only_once_fitted():
    with pytest.raises(NotFittedError):
        MaskingSampler().sample(3)


def test_masking_takes_texts_of_a_category():
    X = pd.Series(["a b c d", "e f g h"], dtype="category")
    new = MaskingSampler().fit(X).sample(4, random_state=0)
    assert len(new) == 4
    assert not set(new) & set(X)


@pytest.mark.parametrize("n_samples", [-1, 2.5])
def test_masking_refuses_a_number_of_texts(n_samples):
    sampler = MaskingSampler().fit(["a b c d", "e f g h"])
    with pytest.raises(ValueError, match="n_samples must be a whole number"):
        sampler.sample(n_samples)
