"""NGramStudent: solved or trained on bags of n-grams, answering from plain arrays."""

import copy
import pickle
import subprocess
import sys
import zlib

import numpy as np
import pandas as pd
import polars as pl
import pytest
import skops.io
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.special import softmax
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline, make_union
from sklearn.utils import estimator_checks
from skorch.callbacks import Callback

from benchmarks.datasets import load
from skdistill import DistilledClassifier, NGramStudent
from skdistill.soft_targets import one_hot
from skdistill.students import fit_student
from skdistill.students._ngram_linear import PENALTIES, Bags, informative
from skdistill.students._ngram_rows import (
    HashedTexts,
    check_texts,
    choose_buckets,
    merge_texts,
    rarity,
)

TEXTS = ["good soup", "very good bread", "bad soup", "very bad bread"]
ODD = [
    "", " \t\n", "\0", "\ud800", "👍🏽👨\u200d👩\u200d👧", "e\u0301" * 9,
    "好 хорошо جيد", "word " * 20_000, "a" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize(
    "check",
    [
        # Those of scikit-learn's common checks that bring no table of numbers.
        estimator_checks.check_do_not_raise_errors_in_init_or_set_params,
        estimator_checks.check_estimator_cloneable,
        estimator_checks.check_estimator_repr,
        estimator_checks.check_estimator_tags_renamed,
        estimator_checks.check_get_params_invariance,
        estimator_checks.check_mixin_order,
        estimator_checks.check_no_attributes_set_in_init,
        estimator_checks.check_parameters_default_constructible,
        estimator_checks.check_set_params,
        estimator_checks.check_valid_tag_types,
    ],
)
def test_ngram_student_passes_the_common_checks(check):
    check("NGramStudent", NGramStudent())


def quick(**params):
    """Linear student, as it is for two classes by default."""
    return NGramStudent(**{"random_state": 0, **params})


def small_net(**params):
    """Net of a few steps, for what does not depend on how well it learns."""
    return quick(**{"hidden_layer_sizes": (32,), "max_steps": 60, **params})


both = pytest.mark.parametrize("make", [quick, small_net])


def made(n_samples, seed=0):
    """Distinct made texts of two classes, told apart by two of five words."""
    rng = np.random.RandomState(seed)
    y = rng.randint(2, size=n_samples)
    opinion = np.array([["bad", "poor"], ["good", "fine"]])[
        y, rng.randint(2, size=n_samples)
    ]
    X = [f"{word} food at table {i}" for i, word in enumerate(opinion)]
    return X, y


@pytest.fixture(scope="module")
def reviews():
    X, y = load("clothing_recommend", n_rows=6000)
    return train_test_split(X, y, test_size=0.5, stratify=y, random_state=0)


# -- how well it learns ----------------------------------------------------------------


@pytest.mark.parametrize(("hidden", "margin"), [("auto", 0.0), ((32,), 0.03)])
def test_ngram_student_comes_near_tfidf_and_logistic_regression(
    reviews, hidden, margin
):
    A, B, a, b = reviews
    features = make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), min_df=2),
    )
    linear = make_pipeline(features, LogisticRegression(C=4.0, max_iter=300)).fit(A, a)
    student = NGramStudent(hidden, random_state=0).fit(A, a)
    assert student.score(B, b) > linear.score(B, b) - 0.015
    ours, theirs = (log_loss(b, m.predict_proba(B)) for m in (student, linear))
    assert ours < theirs + margin


def test_ngram_student_learns_from_soft_targets_without_labels(reviews):
    A, B, _, b = reviews
    features = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    teacher = make_pipeline(features, LogisticRegression(C=4.0)).fit(B, b)
    P = teacher.predict_proba(A)
    student = NGramStudent(random_state=0).fit_soft_targets(A, P, classes=[0, 1])
    Q = student.predict_proba(A)
    assert np.mean(Q.argmax(axis=1) == P.argmax(axis=1)) > 0.93
    assert np.abs(P - Q).mean() < 0.06


def test_ngram_student_is_fed_natively():
    X, y = made(60)
    student, feed = fit_student(
        quick(), X, one_hot(y, 2), classes=np.array([0, 1]), random_state=0
    )
    assert feed.route == "native"
    assert student.predict(["good", "bad"]).tolist() == [1, 0]


def test_ngram_student_in_a_distilled_classifier():
    X, y = made(60)
    teacher = make_pipeline(TfidfVectorizer(), LogisticRegression())
    model = DistilledClassifier(
        teacher, quick(), alpha=0.5, transfer=None, random_state=0
    ).fit(X, y)
    assert type(model.student_) is NGramStudent
    assert model.predict(["good", "bad"]).tolist() == [1, 0]


@pytest.mark.parametrize("form", [tuple, np.array, pd.Series, pl.Series])
def test_ngram_student_is_the_default_for_texts_in_any_sequence(form):
    X, y = made(60)
    pool, _ = made(30)
    teacher = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(X, y)
    model = DistilledClassifier(teacher, random_state=0)
    model.fit(form(X), X_transfer=pool)
    assert type(model.student_) is NGramStudent
    assert model.n_transfer_rows_ == len(pool)


def test_ngram_student_is_the_solution_of_its_penalised_problem():
    X, y = made(250)
    P = one_hot(y, 2) * 0.7 + 0.15
    student = quick(C=10.0).fit_soft_targets(X, P, classes=[0, 1])
    assert (student.C_, student.net_) == (10.0, None)
    bags = _bags_of(student, X, P)
    factor = informative(bags)
    A = bags.X @ sparse.diags(factor)
    reference = LogisticRegression(C=10.0, tol=1e-8, max_iter=1000).fit(
        sparse.vstack([A, A]), np.repeat([0, 1], 250), sample_weight=P.T.ravel()
    )
    assert_allclose(
        student.predict_proba(X), reference.predict_proba(A), rtol=0, atol=2e-3
    )


def _bags_of(student, X, P):
    """Bags of texts as a fit on them sees them."""
    hashed = HashedTexts.of(X, student.encoder_)
    counts = np.bincount(hashed.numbers)[1:]
    return Bags(hashed.matrix(rarity(counts, len(X))), P, np.ones(len(X)))


def test_ngram_student_answers_few_texts_as_if_they_were_many(monkeypatch):
    X, y = made(250)
    few = quick(C=10.0).fit(X, y)
    monkeypatch.setattr("skdistill.students._ngram_linear.FEW_TEXTS", 10)
    many = quick(C=10.0).fit(X, y)
    assert_allclose(few.predict_proba(X), many.predict_proba(X), rtol=0, atol=1e-3)


@pytest.mark.parametrize("few", [1000, 10])
def test_ngram_student_takes_the_penalty_that_serves_texts_held_back(few, monkeypatch):
    monkeypatch.setattr("skdistill.students._ngram_linear.FEW_TEXTS", few)
    monkeypatch.setattr("skdistill.students._ngram_linear.TRIAL_CELLS", 5_000)
    X, y = made(300)
    noise = np.random.RandomState(1).randint(2, size=300)
    sure, unsure = quick().fit(X, y), quick().fit(X, noise)
    assert unsure.C_ <= PENALTIES[1]
    assert sure.C_ == PENALTIES[-1]
    # By given texts: what it learns is wrong there, or right.
    for told, C in ((1 - y, PENALTIES[0]), (y, PENALTIES[-1])):
        chosen = quick().fit_soft_targets(
            X, one_hot(y, 2), classes=[0, 1], validation=(X, one_hot(told, 2))
        )
        assert chosen.C_ == C


def test_ngram_student_says_when_its_solver_was_cut_short(monkeypatch):
    monkeypatch.setattr("skdistill.students._ngram_linear.MAX_ITER", 2)
    X, y = made(60)
    with pytest.warns(ConvergenceWarning, match=r"C=1000.0. Lower C"):
        quick(C=1000.0).fit(X, y)


def test_ngram_student_is_linear_but_for_very_many_classes(monkeypatch):
    X, y = made(60)
    assert quick().fit(X, y).table_.shape[1] == 1
    codes = np.arange(60) % 3
    three = quick().fit(X, codes)
    assert (three.table_.shape[1], len(three.coefs_)) == (3, 1)
    # No more numbers than a net's table: a third of the rows, two numbers each.
    small = quick(hidden_layer_sizes=(), n_buckets=90, embedding_size=2).fit(X, codes)
    assert small.table_.shape == (61, 3)
    monkeypatch.setattr("skdistill.students._ngram.MOST_LOGITS", 2)
    assert len(quick().fit(X, codes).coefs_) == 1  # few texts: linear in any case
    monkeypatch.setattr("skdistill.students._ngram.FEW_ROWS", 10)
    net = quick(max_steps=60).fit(X, codes)
    assert (net.table_.shape[1], len(net.coefs_), net.C_) == (16, 2, None)


def test_informative_is_about_how_far_answers_are_from_the_mean():
    X = sparse.csr_matrix(np.array([[1.0, 1, 0], [1, 0, 1], [1, 1, 0], [1, 0, 1]]))
    P = np.array([[1.0, 0, 0], [0.2, 0.8, 0], [1.0, 0, 0], [0.2, 0.8, 0]])
    factor = informative(Bags(X, P, np.ones(4)))
    assert factor[0] == 0 and (factor[1:] > 0).all()
    assert_allclose(np.mean(factor**2), 1)
    same = informative(Bags(X, np.full((4, 2), 0.5), np.ones(4)))
    assert_array_equal(same, 1)


def test_ngram_student_stops_early():
    X, y = made(400)
    student = NGramStudent((32,), random_state=0).fit(X, y)
    assert {"valid_loss", "step"} <= set(student.net_.history[-1])
    # What it learns makes the answers to these texts worse from the first step on.
    against = (X, one_hot(1 - y, 2))
    stopped = NGramStudent((32,), patience=20, random_state=0).fit_soft_targets(
        X, one_hot(y, 2), classes=[0, 1], validation=against
    )
    assert 20 <= stopped.n_steps_ < 60


def test_ngram_student_keeps_the_weights_of_the_lowest_loss_on_given_rows():
    X, y = made(300)
    more, z = made(100, seed=1)
    P = one_hot(z, 2) * 0.8 + 0.1
    student = small_net(max_steps=300).fit_soft_targets(
        X, one_hot(y, 2), classes=[0, 1], validation=(more, P)
    )
    loss = -np.mean(np.sum(P * student.predict_log_proba(more), axis=1))
    assert_allclose(loss, min(student.net_.history[:, "valid_loss"]), rtol=1e-5)


# -- invariants ------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", [(8, 4), ()])
def test_ngram_student_answers_as_its_arrays_say(hidden):
    X, y = made(300)
    student = small_net(hidden_layer_sizes=hidden).fit(X, y)
    text = "Good food, at last"
    rows = student.encoder_.rows(text)
    h = student.table_[rows].astype(np.float64).sum(axis=0) / np.sqrt(len(rows))
    for coef, intercept in zip(student.coefs_, student.intercepts_, strict=True):
        z = h @ coef + intercept
        h = np.maximum(z, 0)
    assert_allclose(student.predict_proba([text])[0], softmax(z), atol=1e-6)
    assert_allclose(student.decision_function([text])[0], z[1] - z[0], atol=1e-5)


@both
def test_ngram_student_weighing_is_repeating(make):
    X, y = made(30)
    weight = np.random.RandomState(0).randint(0, 4, size=30)
    again = [text for text, n in zip(X, weight, strict=True) for _ in range(n)]
    weighed = make().fit(X, y, sample_weight=weight)
    repeated = make().fit(again, np.repeat(y, weight))
    assert_allclose(weighed.predict_proba(X), repeated.predict_proba(X), rtol=1e-7)


@both
def test_ngram_student_does_not_mind_scale_of_weights_or_order_of_few_rows(make):
    X, y = made(30)
    P = make().fit(X, y).predict_proba(X)
    scaled = make().fit(X, y, sample_weight=np.full(30, 7.0))
    assert_allclose(scaled.predict_proba(X), P, rtol=1e-7)
    turned = make().fit(X[::-1], y[::-1])
    assert_allclose(turned.predict_proba(X), P, rtol=1e-7)


@pytest.mark.parametrize("n_samples", [40, 300])
def test_ngram_student_is_the_same_with_the_same_seed(n_samples):
    X, y = made(n_samples)
    linear = quick().fit(X, y).predict_proba(X)
    assert_array_equal(quick().fit(X, y).predict_proba(X), linear)
    first = small_net().fit(X, y).predict_proba(X)
    assert_array_equal(small_net().fit(X, y).predict_proba(X), first)
    other = small_net(random_state=1).fit(X, y).predict_proba(X)
    assert np.abs(other - first).max() > 0


@both
def test_ngram_student_labels_are_only_names(make):
    X, y = made(40)
    P = make().fit(X, y).predict_proba(X)
    named = make().fit(X, np.array(["no", "yes"])[y])
    assert named.classes_.tolist() == ["no", "yes"]
    assert_array_equal(named.predict_proba(X), P)


@both
def test_ngram_student_on_one_hot_targets_is_the_fit_on_labels(make):
    X, y = made(300)
    soft = make().fit_soft_targets(X, one_hot(y, 2), classes=[0, 1])
    assert_array_equal(soft.predict_proba(X), make().fit(X, y).predict_proba(X))


def test_ngram_student_learns_tempered_targets_at_temperature_1():
    X, _ = made(60)
    P = np.full((60, 2), 0.5)
    P[:, 1] = np.where([("good" in x or "fine" in x) for x in X], 0.9, 0.1)
    P[:, 0] = 1 - P[:, 1]
    flat = np.sqrt(P) / np.sqrt(P).sum(axis=1, keepdims=True)
    for student in (quick(), small_net(max_steps=600, weight_decay=0.0)):
        student.fit_soft_targets(X, flat, classes=[0, 1], temperature=2.0)
        assert np.abs(student.predict_proba(X) - P).mean() < 0.05


@both
def test_ngram_student_gives_a_text_the_same_answer_alone_and_among_others(make):
    X, y = made(300)
    student = make().fit(X, y)
    texts = X[:20] + ODD
    P = student.predict_proba(texts)
    alone = np.vstack([student.predict_proba([text]) for text in texts])
    assert_allclose(alone, P, rtol=1e-12, atol=1e-15)
    assert np.isfinite(P).all()
    assert_allclose(P.sum(axis=1), 1)


def test_ngram_student_answers_in_blocks(monkeypatch):
    X, y = made(300)
    student = quick().fit(X, y)
    P = student.predict_proba(X)
    monkeypatch.setattr("skdistill.students._ngram.BLOCK_SIZE", 100)
    assert_allclose(student.predict_proba(X), P, rtol=1e-12)


@both
def test_ngram_student_passes_over_what_it_never_met(make):
    X, y = made(300)
    student = make().fit(X, y)
    assert_array_equal(
        student.predict_proba(["good unheardof"]), student.predict_proba(["good"])
    )
    assert_array_equal(student.predict_proba([""]), student.predict_proba(["\u4e00"]))


def test_ngram_student_without_common_ngrams_answers_the_prior():
    student = NGramStudent(min_texts=2, random_state=0)
    student.fit(["abc", "xyz", "123"], [0, 1, 1])
    assert len(student.table_) == 1
    assert_allclose(student.predict_proba(["abc"]), [[1 / 3, 2 / 3]], atol=0.05)


@pytest.mark.parametrize("n_classes", [2, 5])
def test_ngram_student_takes_many_classes(n_classes):
    words = ["red", "green", "blue", "white", "black"][:n_classes]
    X = [f"the {word} one, number {i}" for i in range(12) for word in words]
    y = np.tile(words, 12)
    student = NGramStudent(random_state=0).fit(X, y)
    assert student.predict_proba(X).shape == (len(X), n_classes)
    assert student.score(X, y) > 0.9


def test_ngram_student_table_is_bounded_and_pruned_by_use():
    X, y = made(300)
    assert len(quick(n_buckets=50).fit(X, y).table_) == 51
    whole = quick(min_texts=1).fit(X, y)
    pruned = quick(min_texts=10).fit(X, y)
    assert len(pruned.table_) < len(whole.table_) / 5
    assert len(pickle.dumps(pruned)) < 100_000


@pytest.mark.parametrize(
    "script",
    [
        ("这本书很好看", "这本书不好看"),  # no spaces
        ("отличная книга", "ужасная книга"),
        ("كتاب رائع", "كتاب سيئ"),
        ("หนังสือดีมาก", "หนังสือแย่มาก"),
    ],
)
def test_ngram_student_learns_in_any_script(script):
    good, bad = script
    X = [f"{text} {i}" for i in range(15) for text in (good, bad)]
    y = [1, 0] * 15
    student = NGramStudent(random_state=0).fit(X, y)
    assert student.predict([good, bad]).tolist() == [1, 0]


# -- what goes in ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "container",
    [
        list, tuple, np.array, pd.Series, pl.Series,
        lambda X: np.array(X, dtype=object),
        lambda X: pd.Series(X, index=range(100, 100 + len(X)), dtype="category"),
    ],
)  # fmt: skip
def test_ngram_student_takes_texts_in_any_row(container):
    y = [1, 1, 0, 0]
    expected = quick().fit(TEXTS, y).predict_proba(TEXTS)
    student = quick().fit(container(TEXTS), y)
    assert_array_equal(student.predict_proba(container(TEXTS)), expected)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        ("one text", TypeError, "Put it in a list"),
        (b"one text", TypeError, "Put it in a list"),
        ([], ValueError, "0 sample"),
        ([b"a", b"b"], TypeError, "got bytes in row 0"),
        ([1, 2], TypeError, "got int in row 0"),
        (np.ones(2), TypeError, "got float in row 0"),
        (["a", None], ValueError, "missing one in row 1"),
        (["a", np.nan], ValueError, "missing one in row 1"),
        (pd.Series(["a", pd.NA], dtype="string"), ValueError, "missing one in row 1"),
        (pl.Series(["a", None]), ValueError, "missing one in row 1"),
        ([["a"], ["b"]], TypeError, "got list in row 0"),
        (np.array([["a"], ["b"]]), TypeError, r"ndarray of shape \(2, 1\)"),
        (pd.DataFrame({"text": ["a", "b"]}), TypeError, "pass the column"),
        ({"a", "b"}, TypeError, "got set"),
        ((text for text in TEXTS), TypeError, "got generator"),
    ],
)
def test_ngram_student_refuses_what_is_no_row_of_texts(X, error, message):
    with pytest.raises(error, match=message):
        quick().fit(X, [0, 1])
    student = quick().fit(TEXTS, [1, 1, 0, 0])
    if not hasattr(X, "send"):  # a generator is spent
        with pytest.raises(error, match=message):
            student.predict(X)


def test_ngram_student_refuses_wrong_targets():
    with pytest.raises(ValueError, match="at least two classes"):
        quick().fit(TEXTS, [1, 1, 1, 1])
    with pytest.raises(ValueError, match="y to be passed"):
        quick().fit(TEXTS, None)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        quick().fit(TEXTS, [0, 1])
    with pytest.raises(ValueError, match="sum to 1"):
        quick().fit_soft_targets(TEXTS, np.ones((4, 2)), classes=[0, 1])
    with pytest.raises(TypeError, match="validation must be a tuple"):
        quick().fit_soft_targets(
            TEXTS, np.full((4, 2), 0.5), classes=[0, 1], validation=[TEXTS]
        )


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"char_ngrams": (5, 3)}, "char_ngrams"),
        ({"char_ngrams": (3,)}, "char_ngrams"),
        ({"char_ngrams": (3, 50)}, "char_ngrams"),
        ({"word_ngrams": 9}, "word_ngrams"),
        ({"n_buckets": 0}, "n_buckets"),
        ({"hidden_layer_sizes": (0,)}, "hidden_layer_sizes"),
        ({"hidden_layer_sizes": "none"}, "hidden_layer_sizes"),
        ({"C": 0.0}, "C"),
    ],
)
def test_ngram_student_refuses_wrong_settings(params, message):
    with pytest.raises(ValueError, match=message):
        quick(**params).fit(TEXTS, [1, 1, 0, 0])


# -- as an estimator -------------------------------------------------------------------


def test_ngram_student_asks_to_be_fitted():
    with pytest.raises(NotFittedError):
        NGramStudent().predict(TEXTS)


def test_ngram_student_is_not_fitted_after_a_fit_that_failed():
    student = quick().fit(TEXTS, [1, 1, 0, 0])
    with pytest.raises(ValueError, match="n_buckets"):
        student.set_params(n_buckets=0).fit(TEXTS, [1, 1, 0, 0])
    student.set_params(n_buckets=50)
    with pytest.raises(ValueError, match="at least two classes"):
        student.fit(TEXTS, [1, 1, 1, 1])
    with pytest.raises(NotFittedError):
        student.predict(TEXTS)


@both
def test_ngram_student_clones_and_copies(make):
    student = make(embedding_size=4).fit(TEXTS, [1, 1, 0, 0])
    assert clone(student).get_params() == student.get_params()
    P = student.predict_proba(TEXTS)
    assert_array_equal(copy.deepcopy(student).predict_proba(TEXTS), P)
    assert not hasattr(copy.deepcopy(student), "net_")


def test_ngram_student_is_searched_and_piped():
    X, y = made(60)
    search = GridSearchCV(quick(), {"n_buckets": [20, 8000]}, cv=2, n_jobs=2)
    assert search.fit(X, y).best_score_ > 0.6
    pipe = make_pipeline(quick()).fit(X, y)
    assert pipe.predict(["good", "bad"]).tolist() == [1, 0]
    with config_context(enable_metadata_routing=True):
        asked = quick().set_fit_request(sample_weight=True)
        asked.set_score_request(sample_weight=False)
        GridSearchCV(asked, {"n_buckets": [20]}, cv=2).fit(
            X, y, sample_weight=np.ones(60)
        )


@both
def test_ngram_student_answers_without_torch_from_a_pickle(make, tmp_path):
    student = make().fit(TEXTS, [1, 1, 0, 0])
    path = tmp_path / "student.pkl"
    path.write_bytes(pickle.dumps(student))
    code = (
        "import pickle, sys; "
        f"m = pickle.load(open({str(path)!r}, 'rb')); "
        f"print(m.predict({TEXTS!r}).tolist(), 'torch' in sys.modules)"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == f"{student.predict(TEXTS).tolist()} False"


@both
def test_ngram_student_survives_skops(make):
    student = make().fit(TEXTS, [1, 1, 0, 0])
    data = skops.io.dumps(student)
    trusted = skops.io.get_untrusted_types(data=data)
    assert trusted == [
        "skdistill._ngrams.NGramEncoder", "skdistill.students._ngram.NGramStudent",
    ]  # fmt: skip
    loaded = skops.io.loads(data, trusted=trusted)
    assert_array_equal(loaded.predict_proba(TEXTS), student.predict_proba(TEXTS))


def test_ngram_student_lets_go_of_the_texts_it_was_trained_on():
    X, y = made(300)
    net = small_net().fit(X, y).net_
    assert net.module_.bags is None
    assert net.train_split is None
    assert net.history[-1]["step"] == 60


def test_ngram_student_calls_back():
    seen = []

    class Watch(Callback):
        def on_epoch_end(self, net, **kwargs):
            seen.append(net.history[-1]["train_loss"])

    X, y = made(300)
    small_net(callbacks=[Watch()]).fit(X, y)
    assert len(seen) > 1 and seen[-1] < seen[0]


# -- parts -----------------------------------------------------------------------------


def test_merge_texts_adds_weights_and_drops_zeros():
    P = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [0.0, 1.0]])
    texts, Q, weight = merge_texts(["b", "a", "c", "b"], P, np.array([1.0, 2, 0, 3]))
    assert texts == ["a", "b"]
    assert_allclose(Q, [[0, 1], [0.25, 0.75]])
    assert_allclose(weight, [2, 4])


def test_choose_buckets_keeps_what_most_texts_have():
    hashed = HashedTexts(
        np.array([0, 5, 7, 0, 5, 9, 0, 5, 7, 11]), np.array([0, 3, 6, 10])
    )
    buckets, counts = choose_buckets(hashed, 2, 100)
    assert (buckets.tolist(), counts.tolist()) == ([5, 7], [3, 2])
    buckets, _ = choose_buckets(hashed, 1, 3)
    assert buckets.tolist() == [5, 7, 9]
    rows = hashed.with_rows(np.array([5, 7]))
    assert rows.numbers.tolist() == [0, 1, 2, 0, 1, 0, 1, 2]
    assert rows.starts.tolist() == [0, 3, 5, 8]


def test_hashed_texts_matrix_divides_by_the_root_of_their_length():
    hashed = HashedTexts(np.array([0, 1, 2, 3, 0]), np.array([0, 4, 5]))
    matrix = hashed.matrix(np.array([1.0, 2, 3, 4]))
    assert_allclose(matrix.toarray(), [[0.5, 1, 1.5, 2], [1, 0, 0, 0]])


def test_rarity_weighs_rare_ngrams_more():
    factor = rarity(np.array([10, 1]), 10)
    assert factor[0] == factor[1] < factor[2]
    assert_allclose(np.mean(factor**2), 1)


def test_check_texts_returns_lists_as_they_are():
    assert check_texts(TEXTS) is TEXTS


def test_ngram_student_hashes_as_crc32_says():
    student = quick(char_ngrams=None, word_ngrams=1).fit(
        ["tea", "tea", "cup"], [0, 1, 1]
    )
    buckets = sorted(zlib.crc32(word) % (1 << 24) for word in (b" tea", b" cup"))
    row = buckets.index(zlib.crc32(b" tea") % (1 << 24)) + 1
    assert student.encoder_.rows("tea").tolist() == [0, row]


def test_ngram_student_of_many_classes_and_few_texts_learns():
    names = [f"word{i}" for i in range(120)]
    texts = [f"{name} {other}" for name in names for other in ("one", "two")][:200]
    y = np.repeat(np.arange(120), 2)[:200]
    student = NGramStudent(random_state=0).fit(texts, y)
    assert student.hidden_layer_sizes == "auto"
    assert len(student.coefs_) == 1
    assert student.score([f"{name} three" for name in names[:100]], range(100)) > 0.9


@pytest.mark.parametrize(
    "lengths", [(3.5, 5), ("3", "5"), (3, 11), (5, 3), (3,), (0, 2)]
)
def test_ngram_student_refuses_lengths_by_name(lengths):
    with pytest.raises(ValueError, match="char_ngrams must be two whole numbers"):
        NGramStudent(char_ngrams=lengths).fit(["a b", "c d"], [0, 1])


@pytest.mark.parametrize("temperature", [0, -1.0, np.nan])
def test_ngram_student_refuses_a_temperature(temperature):
    with pytest.raises(ValueError, match="temperature must be a finite number above"):
        NGramStudent().fit_soft_targets(
            ["a b", "c d"], np.eye(2), classes=[0, 1], temperature=temperature
        )
