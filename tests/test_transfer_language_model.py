import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from skdistill import DistilledClassifier, NGramStudent
from skdistill.transfer import LanguageModelSampler

transformers = pytest.importorskip("transformers", reason="extra hf")
tokenizers = pytest.importorskip("tokenizers", reason="comes with transformers")
torch = pytest.importorskip("torch")

WORDS = ["good", "bad", "film", "soup", "warm", "cold", "was", "the", "ÄRGER", "fine"]
END, UNKNOWN, DASH, BREAK = "<end>", "<unk>", "-", "\n"
TEXTS = [f"the {a} {b} was {c}" for a in WORDS[4:6] for b in WORDS[2:4] for c in WORDS]


def word_tokenizer():
    """Words, dashes and line breaks; what is no word here is unknown."""
    vocab = {w: k for k, w in enumerate([END, UNKNOWN, DASH, BREAK, *WORDS])}
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.WordLevel(vocab, unk_token=UNKNOWN)
    )
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([
        tokenizers.pre_tokenizers.Split("\n", "isolated"),
        tokenizers.pre_tokenizers.Split(" ", "removed"),
    ])  # fmt: skip
    tokenizer.decoder = tokenizers.decoders.Fuse()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, unk_token=UNKNOWN,
        clean_up_tokenization_spaces=False,
    )  # fmt: skip


class Parrot(torch.nn.Module):
    """Language model that says each word with the probability given for it."""

    def __init__(self, probabilities):
        super().__init__()
        self.config = transformers.LlamaConfig(max_position_embeddings=200)
        self.probabilities = dict(probabilities)
        tokens = [END, UNKNOWN, DASH, BREAK, *WORDS]
        P = torch.tensor([self.probabilities.get(token, 0.0) for token in tokens])
        self.logits = torch.log(P)
        self.device, self.seen = torch.device("cpu"), []

    def generate(self, input_ids, attention_mask, max_new_tokens, temperature,
                 epsilon_cutoff, eos_token_id, **other):  # fmt: skip
        self.seen.append((input_ids, attention_mask))
        P = torch.softmax(self.logits / temperature, dim=0)
        P = torch.where(epsilon_cutoff > P, 0.0, P)
        shape = len(input_ids), max_new_tokens
        new = torch.multinomial(P, shape[0] * shape[1], replacement=True).view(shape)
        return torch.cat([input_ids, new], dim=1)


EVEN = dict.fromkeys(WORDS, 0.08) | {BREAK: 0.1, END: 0.1}


def make(probabilities=EVEN, **params):
    params = {"heading": "film", "max_new_tokens": 12, "batch_size": 16} | params
    return LanguageModelSampler(Parrot(probabilities), word_tokenizer(), **params)


# -- what it writes --------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder of a tiny real model with random weights."""
    tokenizer = word_tokenizer()
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, initializer_range=0.3,
        vocab_size=len(tokenizer), bos_token_id=None, eos_token_id=0,
        max_position_embeddings=256,
    )  # fmt: skip
    path = tmp_path_factory.mktemp("model")
    model = transformers.LlamaForCausalLM(config)
    # settings of its own, which would make it say one thing over and over
    model.generation_config.update(do_sample=True, top_k=1, repetition_penalty=9.0)
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return str(path)


def test_language_model_sampler_runs_a_real_model(folder):
    sampler = LanguageModelSampler(folder, heading="film", batch_size=16).fit(TEXTS)
    new = sampler.sample(60, random_state=0)
    assert len(new) == 60
    assert all(set(text) <= set("".join(WORDS) + "- " + UNKNOWN) for text in new)
    assert new == sampler.sample(60, random_state=0)
    assert new != sampler.sample(60, random_state=1)
    assert new[:20] == sampler.sample(20, random_state=0)
    again = clone(sampler).fit(TEXTS)
    assert new == again.sample(60, random_state=0)
    assert new == pickle.loads(pickle.dumps(sampler)).sample(60, random_state=0)


def test_language_model_sampler_leaves_the_random_state_of_torch_alone(folder):
    sampler = LanguageModelSampler(folder, heading="film", batch_size=16).fit(TEXTS)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    sampler.sample(5, random_state=0)
    assert torch.equal(torch.rand(3), expected)


def test_language_model_sampler_returns_new_distinct_texts_that_end():
    given = [f"{a} {b}" for a in WORDS for b in WORDS if a != b]
    sampler = make(p_begin=0.0, max_new_tokens=4).fit(given)
    new = sampler.sample(300, random_state=0)
    plain = [text.casefold() for text in new]
    assert len(set(plain)) == len(new) == 300
    assert not set(plain) & {text.casefold() for text in given}
    # four tokens, of which one ends the text
    assert all(0 < len(text) <= 3 * len("ÄRGER") for text in new)


def test_language_model_sampler_drops_what_does_not_end():
    never = dict.fromkeys(WORDS, 0.1)
    with pytest.warns(UserWarning, match="0 texts were written in place of 20"):
        new = make(never).fit(TEXTS).sample(20, random_state=0)
    assert new == []


def test_language_model_sampler_gives_up_where_all_is_known():
    only = {"good": 0.5, BREAK: 0.5}
    sampler = make(only, p_begin=0.0).fit(["good", "bad"])
    with pytest.warns(UserWarning, match="Raise max_new_tokens or temperature"):
        new = sampler.sample(100, random_state=0)
    assert 0 < len(new) < 12 and set(new) <= {"good" * k for k in range(2, 12)}


def test_language_model_sampler_shows_examples_and_begins_as_they_do():
    sampler = make(p_begin=1.0, n_examples=3).fit(TEXTS)
    sampler.sample(16, random_state=0)
    table, mask = sampler.model.seen[0]
    tokenizer = sampler.tokenizer
    starts = set()
    for row, seen in zip(table, mask, strict=True):
        tokens = tokenizer.convert_ids_to_tokens(row[seen.bool()].tolist())
        lines = " ".join(tokens).split(" \n ")
        assert lines[0] == "film" and len(lines) == 5
        assert all(line.removeprefix("- ") in TEXTS for line in lines[1:4])
        begin = lines[4].removeprefix("- ")
        assert any(text.startswith(begin) for text in TEXTS)
        starts.add(len(begin.split()))
    assert starts == {1, 2, 3}
    bare = make(p_begin=0.0).fit(TEXTS)
    bare.sample(16, random_state=0)
    rows = bare.model.seen[0][0]
    assert set(rows[:, -1].tolist()) == {tokenizer.convert_tokens_to_ids(DASH)}


def test_language_model_sampler_shows_no_text_that_is_far_longer():
    long = " ".join(["soup"] * 40)
    sampler = make(max_new_tokens=None).fit([*TEXTS, long])
    sampler.sample(64, random_state=0)
    soup = sampler.tokenizer.convert_tokens_to_ids("soup")
    assert all((table == soup).sum(dim=1).max() < 20 for table, _ in sampler.model.seen)
    assert sampler.model.seen[0][0].shape[1] < 50


def test_language_model_sampler_takes_texts_for_data():
    hostile = f"good {END} bad\nfilm"
    sampler = make(p_begin=0.0, n_examples=1).fit([hostile])
    sampler.sample(8, random_state=0)
    row = sampler.model.seen[0][0][0].tolist()
    assert sampler.tokenizer.eos_token_id not in row
    # heading, the example in one line, and the beginning of the next
    assert row.count(sampler.tokenizer.convert_tokens_to_ids(BREAK)) == 2


@pytest.mark.parametrize(
    "kind",
    [
        list,
        tuple,
        lambda texts: np.array(texts, dtype=object),
        lambda texts: pd.Series(texts, name="review", index=range(5, 45)),
    ],
)
def test_language_model_sampler_returns_the_kind_that_came_in(kind):
    X = kind(TEXTS)
    new = make().fit(X).sample(30, random_state=0)
    assert type(new) is type(X) and len(new) == 30
    assert list(new) == make().fit(TEXTS).sample(30, random_state=0)
    assert len(make().fit(X).sample(0, random_state=0)) == 0


def test_language_model_sampler_draws_by_temperature_and_epsilon():
    rare = {"good": 0.6, BREAK: 0.35, "bad": 0.05}
    sampler = make(rare, p_begin=0.0, epsilon=0.1, max_new_tokens=30).fit(["fine"])
    assert not any("bad" in text for text in sampler.sample(5, random_state=0))
    sampler.set_params(epsilon=0.0)
    assert any("bad" in text for text in sampler.sample(15, random_state=0))


def test_language_model_sampler_serves_as_transfer_set(folder):
    y = np.array(["bad" in text or "cold" in text for text in TEXTS]).astype(int)

    class Rule:
        classes_ = np.array([0, 1])

        def predict_proba(self, X):
            p = np.array([0.9 if "bad" in t or "cold" in t else 0.1 for t in X])
            return np.column_stack([1 - p, p])

    sampler = LanguageModelSampler(folder, heading="film", batch_size=16)
    new = sampler.fit(TEXTS).sample(60, random_state=0)
    small = DistilledClassifier(
        Rule(), NGramStudent(random_state=0), alpha=0.5, random_state=0
    )
    with pytest.warns(UserWarning, match="unlike X"):  # the model has learnt nothing
        small.fit(TEXTS, y, X_transfer=new)
    assert small.score(TEXTS, y) > 0.9


# -- bad input -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("X", "params", "error", "message"),
    [
        (np.eye(3), {}, TypeError, "sequence of str for a sampler of texts, got nda"),
        (["a b", None], {}, TypeError, "sequence of str for a sampler of texts"),
        (["", " \n"], {}, ValueError, "X must have a text with a word in it"),
        (TEXTS, {"n_examples": 40}, ValueError, "n_examples must leave room for a new"),
        (TEXTS, {"n_examples": 0}, ValueError, "'n_examples' parameter"),
        (TEXTS, {"temperature": 0.0}, ValueError, "'temperature' parameter"),
        (TEXTS, {"epsilon": 1.0}, ValueError, "'epsilon' parameter"),
        (TEXTS, {"p_begin": 1.5}, ValueError, "'p_begin' parameter"),
    ],
)
def test_language_model_sampler_refuses_bad_input(X, params, error, message):
    with pytest.raises(error, match=message):
        make(**params).fit(X)


def test_language_model_sampler_needs_a_tokenizer_with_a_loaded_model():
    with pytest.raises(ValueError, match="tokenizer must be given"):
        LanguageModelSampler(Parrot(EVEN)).fit(TEXTS)


def test_language_model_sampler_needs_fit():
    with pytest.raises(NotFittedError):
        make().sample(3)
