"""A cached teacher answers as the teacher does, and asks it each row once."""

import copy
import multiprocessing
import os
import pickle
import threading
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import get_tags

from skdistill import DistilledClassifier, LogisticStudent
from skdistill.teachers import AnswerStore, CachedTeacher
from skdistill.teachers._probes import MOST_PROBES, N_PROBES, dump_rows, load_rows
from skdistill.teachers._teacher_file import _load

IRIS = load_iris(return_X_y=True)
N_DISTINCT = 149  # of 150 flowers


class Watched:
    """Wrapper of a fitted teacher that sees what reaches it."""

    def __init__(self, teacher):
        self.teacher, self.classes_ = teacher, teacher.classes_
        self.seen = []

    def predict_proba(self, X):
        self.seen.append(X)
        return self.teacher.predict_proba(X)

    @property
    def n_seen(self):
        return sum(len(X) if isinstance(X, list) else X.shape[0] for X in self.seen)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "answers.db")


@pytest.fixture(scope="module")
def logistic():
    X, y = load_breast_cancer(return_X_y=True)
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y), X, y


@pytest.fixture(scope="module")
def flowers():
    return LogisticRegression(max_iter=1_000).fit(*IRIS)


# -- answers ---------------------------------------------------------------------------


def test_cached_teacher_answers_as_the_teacher(logistic, path):
    teacher, X, y = logistic
    watched = Watched(teacher)
    cached = CachedTeacher(watched, path)
    P = teacher.predict_proba(X)
    order = np.random.default_rng(0).permutation(len(X))
    assert np.allclose(cached.predict_proba(X[order]), P[order], rtol=0, atol=1e-15)
    n_before = watched.n_seen
    assert np.allclose(cached.predict_proba(X), P, rtol=0, atol=1e-15)
    assert np.array_equal(cached.predict(X), teacher.predict(X))
    assert cached.score(X, y) == teacher.score(X, y)
    assert watched.n_seen == n_before == len(X) + cached.n_probe_rows_
    assert cached.n_rows_asked_ == len(X)
    assert cached.n_probe_rows_ == N_PROBES
    assert cached.n_hits_ == 3 * len(X)


def test_cached_teacher_asks_repeated_rows_once(flowers, path):
    watched = Watched(flowers)
    cached = CachedTeacher(watched, path, key="iris")
    P = cached.predict_proba(np.repeat(IRIS[0], 3, axis=0))
    assert watched.n_seen == cached.n_rows_asked_ == N_DISTINCT
    assert cached.n_probe_rows_ == 0
    assert np.allclose(P[::3], flowers.predict_proba(IRIS[0]), rtol=0, atol=1e-15)


def table():
    X = pd.DataFrame({"x": IRIS[0][:, 2], "c": pd.cut(IRIS[0][:, 3], 4)})
    X["c"] = X["c"].astype(str).astype("category")
    X.loc[::7, "x"] = np.nan
    return X


def text():
    words = np.array(["red", "green", "blue", "round", "square", "", "ü"])
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(words, 6)) for _ in range(150)]


def on_table():
    trees = HistGradientBoostingClassifier(
        max_iter=5, categorical_features="from_dtype", max_leaf_nodes=4
    )
    return trees.fit(table(), IRIS[1])


def on_polars():
    step = make_column_transformer((OneHotEncoder(), ["c"]), remainder="drop")
    return make_pipeline(step, MultinomialNB()).fit(pl.from_pandas(table()), IRIS[1])


def on_text():
    return make_pipeline(TfidfVectorizer(), MultinomialNB()).fit(text(), IRIS[1])


def on_sparse():
    return MultinomialNB().fit(sparse.csr_array(IRIS[0]), IRIS[1])


KINDS = {
    "pandas": (on_table, table),
    "polars": (on_polars, lambda: pl.from_pandas(table())),
    "list of str": (on_text, text),
    "array of str": (on_text, lambda: np.array(text())),
    "Series of str": (on_text, lambda: pd.Series(text())),
    "csr_array": (on_sparse, lambda: sparse.csr_array(IRIS[0])),
    "csr_matrix": (on_sparse, lambda: sparse.csr_matrix(IRIS[0])),
    "coo_matrix": (on_sparse, lambda: sparse.coo_matrix(IRIS[0])),
}


@pytest.mark.parametrize("kind", KINDS)
def test_cached_teacher_passes_rows_on_in_their_kind(kind, path):
    make_teacher, make_rows = KINDS[kind]
    teacher, X = make_teacher(), make_rows()
    watched = Watched(teacher)
    cached = CachedTeacher(watched, path, chunk_size=40)
    P = cached.predict_proba(X)
    assert np.allclose(P, teacher.predict_proba(X), rtol=0, atol=1e-12)
    kinds = {type(X.tocsr() if kind == "coo_matrix" else X)}
    assert {type(rows) for rows in watched.seen} == kinds
    n_seen = watched.n_seen
    assert np.array_equal(cached.predict_proba(X), P)
    assert watched.n_seen == n_seen == cached.n_rows_asked_ + cached.n_probe_rows_
    if kind == "pandas":
        assert all((rows.dtypes == X.dtypes).all() for rows in watched.seen)


def test_cached_teacher_never_keeps_missing_answers(flowers, path):
    class Moody(Watched):
        def predict_proba(self, X):
            P = super().predict_proba(X)
            P[X[:, 0] > 6] = np.nan
            return P

    X = IRIS[0]
    moody = Moody(flowers)
    cached = CachedTeacher(moody, path, key="moody")
    large = X[:, 0] > 6
    assert np.array_equal(np.isnan(cached.predict_proba(X)[:, 0]), large)
    moody.seen.clear()
    cached.predict_proba(X)
    assert moody.n_seen == len(np.unique(X[large], axis=0))


def test_cached_teacher_passes_errors_on_and_frees_its_rows(flowers, path):
    class Failing(Watched):
        n_left = 2

        def predict_proba(self, X):
            if self.n_left == 0:
                raise KeyboardInterrupt
            self.n_left -= 1
            return super().predict_proba(X)

    failing = Failing(flowers)
    cached = CachedTeacher(failing, path, key="iris", chunk_size=30)
    with pytest.raises(KeyboardInterrupt):
        cached.predict_proba(IRIS[0])
    assert cached.store_.stats()["rows"] == 60
    failing.n_left = 99
    cached.predict_proba(IRIS[0])
    assert failing.n_seen == N_DISTINCT


def test_cached_teacher_makes_two_columns_of_one(logistic, path):
    class OneColumn(Watched):
        def predict_proba(self, X):
            return super().predict_proba(X)[:, 1]

    teacher, X, _ = logistic
    P = CachedTeacher(OneColumn(teacher), path).predict_proba(X)
    assert np.allclose(P, teacher.predict_proba(X), rtol=0, atol=1e-15)


def test_cached_teacher_leaves_errors_of_the_input_to_the_teacher(flowers, path):
    cached = CachedTeacher(flowers, path)
    with pytest.raises(ValueError, match="0 sample"):
        cached.predict_proba(IRIS[0][:0])
    with pytest.raises(ValueError, match="X has 2 features"):
        cached.predict_proba(IRIS[0][:, :2])
    assert cached.predict_proba(IRIS[0]).shape == (150, 3)


# -- who the teacher is ----------------------------------------------------------------


def test_cached_teacher_knows_a_teacher_after_a_round_trip(logistic, path):
    teacher, X, _ = logistic
    P = CachedTeacher(teacher, path).predict_proba(X)
    watched = Watched(pickle.loads(pickle.dumps(teacher)))
    cached = CachedTeacher(watched, path)
    assert np.array_equal(cached.predict_proba(X), P)
    assert (cached.n_rows_asked_, cached.n_probe_rows_) == (0, N_PROBES)


@pytest.mark.parametrize(
    "fit",
    [
        lambda X, y: LogisticRegression(C=0.01, max_iter=1_000).fit(X, y),
        lambda X, y: RandomForestClassifier(10, random_state=0).fit(X, y),
        lambda X, y: DecisionTreeClassifier(random_state=0).fit(X, y),
    ],
    ids=["logistic", "forest", "tree"],
)
def test_cached_teacher_keeps_refitted_teachers_apart(fit, path):
    X, y = IRIS
    halves = [fit(X[start::2], y[start::2]) for start in (0, 1)]
    for _ in range(2):
        for teacher in halves:
            P = CachedTeacher(teacher, path).predict_proba(X)
            assert np.allclose(P, teacher.predict_proba(X), rtol=0, atol=1e-15)


def test_cached_teacher_notices_a_new_fit_in_place(path):
    X, y = IRIS
    inner = LogisticRegression(max_iter=1_000)
    teacher = make_pipeline(StandardScaler(), inner).fit(X, y)
    cached = CachedTeacher(FrozenEstimator(teacher), path)
    cached.predict_proba(X)
    teacher.fit(X[::2], y[::2])
    P = cached.predict_proba(X)
    assert np.allclose(P, teacher.predict_proba(X), rtol=0, atol=1e-15)


class Counting(LogisticRegression):
    """Teacher that notes what it is asked, as one behind a server does."""

    n_asked_ = 0

    def predict_proba(self, X):
        self.n_asked_ += len(X)
        self.last_ = np.array(X)
        if len(X) == 1:
            raise ConnectionError("the server is down")
        return super().predict_proba(X)


def test_cached_teacher_does_not_take_a_request_for_a_new_fit(path):
    X, y = IRIS
    teacher = Counting(max_iter=1_000).fit(X, y)
    cached = CachedTeacher(teacher, path)
    for part in (X[:75], X[75:], X):
        cached.predict_proba(part)
    teacher.predict_proba(X[:50])  # nor one past the store
    assert cached.n_probe_rows_ == N_PROBES
    assert cached.n_rows_asked_ == N_DISTINCT
    assert cached.n_hits_ == len(X)
    assert teacher.n_asked_ == N_DISTINCT + N_PROBES + 50
    with pytest.raises(ConnectionError):
        cached.predict_proba(X[:1] + 9)
    assert cached.n_rows_asked_ == N_DISTINCT + 1
    # a fit is still noticed
    teacher.fit(X[::2], y[::2])
    P = cached.predict_proba(X)
    assert cached.n_rows_asked_ == N_DISTINCT
    assert np.allclose(P, teacher.predict_proba(X), rtol=0, atol=1e-15)


def test_cached_teacher_notices_another_teacher(flowers, path):
    other = LogisticRegression(C=0.01, max_iter=1_000).fit(*IRIS)
    cached = pickle.loads(pickle.dumps(CachedTeacher(flowers, path)))
    cached.set_params(teacher=other)
    CachedTeacher(flowers, path).predict_proba(IRIS[0])
    P = cached.predict_proba(IRIS[0])
    assert np.allclose(P, other.predict_proba(IRIS[0]), rtol=0, atol=1e-15)


def test_cached_teacher_keeps_labels_apart(flowers, path):
    renamed = copy.copy(flowers)
    renamed.classes_ = np.array([2, 1, 0])
    for key in (None, "same"):
        first = CachedTeacher(flowers, path, key=key)
        second = CachedTeacher(renamed, path, key=key)
        first.predict_proba(IRIS[0])
        assert second.n_hits_ == 0
        assert np.array_equal(second.predict(IRIS[0]), renamed.predict(IRIS[0]))


def test_cached_teacher_with_hard_answers_is_known_to_its_copies_only(path):
    X, y = load_breast_cancer(return_X_y=True)
    tree = DecisionTreeClassifier(random_state=0).fit(X, y)
    cached = CachedTeacher(tree, path)
    cached.predict_proba(X)
    assert cached.n_probe_rows_ == MOST_PROBES
    copied = pickle.loads(pickle.dumps(cached))
    copied.predict_proba(X)
    assert (copied.n_rows_asked_, copied.n_probe_rows_) == (0, 0)
    stranger = CachedTeacher(pickle.loads(pickle.dumps(tree)), path)
    stranger.predict_proba(X)
    assert stranger.n_rows_asked_ == len(X)
    named = CachedTeacher(tree, path, key="tree")
    named.predict_proba(X)
    again = CachedTeacher(pickle.loads(pickle.dumps(tree)), path, key="tree")
    again.predict_proba(X)
    assert (again.n_rows_asked_, again.n_probe_rows_) == (0, 0)


def test_cached_teacher_asks_for_a_key_where_rows_cannot_be_kept(flowers, path):
    class Any(Watched):
        def predict_proba(self, X):
            return np.full((len(X), 3), 1 / 3)

    X = [{"a": b"bytes"}, {"a": b"other"}]
    with pytest.raises(TypeError, match=r"key must be given .*Pass a name"):
        CachedTeacher(Any(flowers), path).predict_proba(X)
    P = CachedTeacher(Any(flowers), path, key="any").predict_proba(X)
    assert np.allclose(P, 1 / 3)


def test_cached_teacher_asks_for_a_key_where_it_cannot_answer_others_rows(path):
    shapes = make_pipeline(TfidfVectorizer(vocabulary=["a"]), MultinomialNB())
    shapes.fit(text(), IRIS[1])

    class Numbers(Watched):
        def predict_proba(self, X):
            return super().predict_proba(np.array([[float(x)] * 4 for x in X]))

    CachedTeacher(shapes, path).predict_proba(text())
    numbers = Numbers(LogisticRegression(max_iter=1_000).fit(*IRIS))
    with pytest.raises(ValueError, match="cannot answer the probe rows"):
        CachedTeacher(numbers, path).predict_proba(["1", "2"])
    assert CachedTeacher(numbers, path, key="n").predict_proba(["1"]).shape == (1, 3)


@pytest.mark.parametrize(
    "X",
    [
        table(),
        table().assign(
            n=pd.array([1, None, 2**60 + 1] * 50, dtype="Int64"),
            b=pd.array([True, None, False] * 50, dtype="boolean"),
            s=pd.array(["nan", None, ""] * 50, dtype="string"),
            d=pd.date_range("2020-01-01", periods=150, tz="Europe/Berlin"),
            o=["a", 1, None] * 50,
            k=pd.Categorical([3, 1, None] * 50, ordered=True),
        ),
        pl.from_pandas(table()),
        sparse.csc_matrix(IRIS[0]),
        np.array([["a", 1], [None, 2.5]], dtype=object),
        [["a", 1], ["b", None]],
        pl.Series(["a", None]),
    ],
    ids=["table", "kinds", "polars", "sparse", "objects", "list", "series"],
)
def test_dump_rows_keeps_kind_and_values(X):
    back = load_rows(dump_rows(X))
    assert type(back) is type(X.tocsr() if sparse.issparse(X) else X)
    if isinstance(X, pd.DataFrame):
        pd.testing.assert_frame_equal(back, X)
    elif isinstance(X, pl.DataFrame | pl.Series):
        assert back.equals(X)
    elif sparse.issparse(X):
        assert abs(back - X).nnz == 0
    else:
        assert np.array_equal(np.asarray(back, object), np.asarray(X, object))


# -- processes and threads -------------------------------------------------------------


def test_cached_teacher_of_many_threads_asks_each_row_once(logistic, path):
    teacher, X, _ = logistic
    watched = Watched(teacher)
    cached = CachedTeacher(watched, path, chunk_size=40)
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(cached.predict_proba(X)))
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert watched.n_seen == len(X) + N_PROBES
    assert len(results) == 5
    P = teacher.predict_proba(X)
    assert all(np.allclose(Q, P, rtol=0, atol=1e-15) for Q in results)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_cached_teacher_is_probed_once_over_processes(logistic, path):
    teacher, X, _ = logistic
    cached = CachedTeacher(teacher, path, chunk_size=40)
    data = pickle.dumps(cached)
    context = multiprocessing.get_context("fork")
    counts = context.SimpleQueue()

    def work():
        twin = pickle.loads(data)
        twin.predict_proba(X)
        counts.put((twin.n_rows_asked_, twin.n_probe_rows_))

    workers = [context.Process(target=work) for _ in range(4)]
    for process in workers:
        process.start()
    for process in workers:
        process.join()
    asked, probed = np.sum([counts.get() for _ in workers], axis=0)
    assert (asked, probed) == (len(X), N_PROBES)
    cached.predict_proba(X)
    assert (cached.n_rows_asked_, cached.n_probe_rows_) == (0, 0)


def test_reference_holds_no_weights_and_loads_on_a_miss(path):
    X, y = load_breast_cancer(return_X_y=True)
    forest = RandomForestClassifier(50, random_state=0).fit(
        pd.DataFrame(X).add_prefix("c"), y
    )
    frame = pd.DataFrame(X).add_prefix("c")
    cached = CachedTeacher(forest, path)
    cached.predict_proba(frame[:400])
    reference = cached.reference()
    data = pickle.dumps(reference)
    assert len(data) < 5_000 < 100_000 < len(pickle.dumps(cached))
    twin = pickle.loads(data)
    assert np.array_equal(twin.classes_, forest.classes_)
    assert np.array_equal(twin.feature_names_in_, forest.feature_names_in_)
    assert twin.n_features_in_ == 30
    assert get_tags(twin).input_tags == get_tags(cached).input_tags
    _load.cache_clear()
    P = twin.predict_proba(frame[:400])
    assert _load.cache_info().misses == 0  # nothing was loaded yet
    assert (twin.n_rows_asked_, twin.n_probe_rows_) == (0, 0)
    assert np.allclose(P, forest.predict_proba(frame[:400]), rtol=0, atol=1e-15)
    twin.predict_proba(frame)
    assert _load.cache_info().misses == 1
    assert twin.n_rows_asked_ == len(X) - 400
    cached.predict_proba(frame)
    assert cached.n_rows_asked_ == 400
    assert reference.reference() is reference
    assert cached.reference().teacher is reference.teacher


def test_reference_loads_only_what_was_written(flowers, path):
    reference = CachedTeacher(flowers, path, key="iris").reference()
    file = Path(reference.teacher.path)
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]
    _load.cache_clear()
    file.write_bytes(pickle.dumps("something else"))
    with pytest.raises(ValueError, match="must be as it was written"):
        reference.predict_proba(IRIS[0])
    file.unlink()
    with pytest.raises(FileNotFoundError, match="must lie beside its store"):
        reference.predict_proba(IRIS[0])


# -- scikit-learn ----------------------------------------------------------------------


def test_cached_teacher_survives_clone_whole(flowers, path):
    cached = CachedTeacher(flowers, path)
    assert clone(cached) is cached
    assert clone(FrozenEstimator(cached)).estimator is cached
    assert copy.copy(cached).teacher is flowers
    assert cached.fit(IRIS[0], IRIS[1][::-1]) is cached
    assert cached.__sklearn_is_fitted__()
    assert np.array_equal(cached.classes_, flowers.classes_)
    assert cached.n_features_in_ == 4
    assert not hasattr(cached, "feature_names_in_")


def test_cached_teacher_refuses_an_unfitted_teacher(path):
    cached = CachedTeacher(LogisticRegression(), path)
    assert not hasattr(cached, "classes_")
    for act in (cached.predict_proba, cached.fit, lambda X: cached.reference()):
        with pytest.raises(NotFittedError, match="an unfitted LogisticRegr"):
            act(IRIS[0])
    assert not Path(path).exists()


def test_cached_teacher_refuses_what_it_cannot_ask(flowers, path):
    X = IRIS[0]
    both = MultiOutputClassifier(flowers).fit(X, np.column_stack([IRIS[1], IRIS[1]]))
    with pytest.raises(ValueError, match="must answer one label a row, got 2 outputs"):
        CachedTeacher(both, path).predict_proba(X)
    from sklearn.svm import LinearSVC

    with pytest.raises(TypeError, match="must have predict_proba"):
        CachedTeacher(LinearSVC().fit(*IRIS), path).predict_proba(X)


def test_cached_teacher_does_not_set_parameters_of_the_teacher(flowers, path):
    cached = CachedTeacher(flowers, path)
    assert set(cached.get_params()) == {"teacher", "path", "key", "chunk_size"}
    with pytest.raises(ValueError, match=r"cannot be set, got \['teacher__C'\]"):
        cached.set_params(teacher__C=2.0)
    assert cached.set_params(key="iris").key == "iris"


def test_cached_teacher_copies_tags_field_by_field(path):
    teacher = on_table()
    tags = get_tags(CachedTeacher(teacher, path))
    assert tags.input_tags.allow_nan
    assert not tags._skip_test
    frozen = get_tags(CachedTeacher(FrozenEstimator(teacher), path))
    assert frozen.input_tags == tags.input_tags
    assert not frozen._skip_test
    assert (
        get_tags(CachedTeacher(Watched(teacher), path)).estimator_type == "classifier"
    )


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("as_reference", [False, True])
def test_cached_teacher_is_asked_each_row_once_in_a_search(n_jobs, as_reference, path):
    X, y = load_breast_cancer(return_X_y=True)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    teacher = LogisticRegression().fit(X, y)
    cached = CachedTeacher(teacher, AnswerStore(path))
    given = cached.reference() if as_reference else cached
    search = GridSearchCV(
        DistilledClassifier(
            given, LogisticStudent(), alpha=1.0, calibrate=None, transfer=None
        ),
        {"student__C": [0.01, 1.0, 100.0]},
        cv=3,
        n_jobs=n_jobs,
    )
    with warnings.catch_warnings():  # the teacher was fitted on these very rows
        warnings.filterwarnings("ignore", "The fitted teacher looks as if", UserWarning)
        search.fit(X, y)
    stats = cached.store_.stats()
    assert stats["rows"] == stats["rows_asked"] == len(X)
    assert search.best_estimator_.teacher_ is given
    if n_jobs == 1:
        assert (given.n_rows_asked_, given.n_probe_rows_) == (len(X), N_PROBES)


def test_cached_teacher_may_stand_in_a_grid_of_teachers(flowers, path):
    other = LogisticRegression(C=0.01, max_iter=1_000).fit(*IRIS)
    watched = [Watched(flowers), Watched(other)]
    teachers = [CachedTeacher(w, path, key=f"{i}") for i, w in enumerate(watched)]
    student = LogisticStudent()
    search = GridSearchCV(
        DistilledClassifier(teachers[0], student, alpha=1.0, calibrate=None),
        {"teacher": teachers},
        cv=3,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The fitted teacher looks as if", UserWarning)
        search.fit(*IRIS)
    assert [w.n_seen for w in watched] == [N_DISTINCT, N_DISTINCT]
    scores = cross_validate(teachers[1], *IRIS, cv=3)["test_score"]
    assert np.mean(scores) == pytest.approx(other.score(*IRIS))
    assert watched[1].n_seen == N_DISTINCT


def test_cached_teacher_keeps_recent_requests_at_hand(tmp_path):
    """A request that comes again needs no store; what it returns is the caller's."""
    X = np.random.default_rng(0).normal(size=(40, 3))
    teacher = LogisticRegression().fit(X, X[:, 0] > 0)
    cached = CachedTeacher(teacher, tmp_path / "answers.db", key="a")
    expected = teacher.predict_proba(X)
    cached.predict_proba(X)[:] = 7.0
    reads = []
    cached.store_.get_many = lambda *args: reads.append(args)
    again = cached.predict_proba(X)
    np.testing.assert_allclose(again, expected, rtol=1e-12)
    again[:] = 7.0
    np.testing.assert_allclose(cached.predict_proba(X), expected, rtol=1e-12)
    assert reads == []
    assert cached.n_hits_ == 2 * len(X)


@pytest.mark.parametrize("chunk_size", [0, -1, 2.5, "x", None, True])
def test_cached_teacher_refuses_a_size_of_chunks(chunk_size, flowers, tmp_path):
    cached = CachedTeacher(flowers, tmp_path / "a.db", "k", chunk_size=chunk_size)
    with pytest.raises(ValueError, match="chunk_size must be 'auto' or a number"):
        cached.predict_proba(IRIS[0])


class Abstaining(GaussianNB):
    def predict_proba(self, X):
        P = super().predict_proba(X)
        P[::2] = np.nan
        return P


def test_cached_teacher_predicts_no_class_for_rows_without_an_answer(tmp_path):
    cached = CachedTeacher(Abstaining().fit(*IRIS), tmp_path / "a.db", "k")
    with pytest.raises(ValueError, match=r"got no answer in \d+ of 150 rows"):
        cached.predict(IRIS[0])
