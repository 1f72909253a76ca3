"""What became of questions is kept, counted, sent away and taken back."""

import os
import sqlite3

import numpy as np
import pytest

from skdistill.teachers import AnswerStore, CachedTeacher
from skdistill.teachers._outcomes import Outcome
from skdistill.teachers._row_keys import row_keys

KEYS = row_keys([f"row {number}" for number in range(6)])

ANSWERED = Outcome(
    "answered",
    np.array([0.1 + 0.2, 5e-324]),
    attempts=2,
    calls=1,
    prompt_tokens=100,
    completion_tokens=1,
    cost=0.25,
    label_mass=0.75,
    missing_mass=0.125,
)
FAILED = Outcome("failed", attempts=3, calls=1)
REFUSED = Outcome("refused", attempts=1, calls=1, prompt_tokens=100, cost=0.2)

#: The tables as the first version of the schema made them.
FIRST_SCHEMA = """
CREATE TABLE teachers (id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE,
    rows_asked INTEGER NOT NULL DEFAULT 0);
CREATE TABLE answers (teacher INTEGER NOT NULL, key BLOB NOT NULL, record BLOB NOT NULL,
    PRIMARY KEY (teacher, key)) WITHOUT ROWID;
CREATE TABLE claims (id TEXT PRIMARY KEY, teacher INTEGER NOT NULL, owner TEXT NOT NULL,
    expires REAL NOT NULL, keys BLOB NOT NULL);
CREATE TABLE notes (name BLOB PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID;
PRAGMA application_id = 0x736B6474;
PRAGMA user_version = 1;
"""


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "answers.db")


@pytest.fixture
def store(path):
    with AnswerStore(path) as store:
        yield store


def fill(store, teacher="a"):
    entries = zip([teacher] * 3, KEYS, [ANSWERED, FAILED, REFUSED], strict=False)
    store.put_outcomes(list(entries))


def same(first, second):
    """Whether two outcomes are one, to the last bit."""
    answers = [
        None if each.answer is None else each.answer.tobytes()
        for each in (first, second)
    ]
    return answers[0] == answers[1] and repr(first.row) == repr(second.row)


def test_outcomes_come_back_as_they_went(store):
    fill(store)
    found = store.get_outcomes("a", KEYS)
    assert list(found) == KEYS[:3] or set(found) == set(KEYS[:3])
    for key, outcome in zip(KEYS, [ANSWERED, FAILED, REFUSED], strict=False):
        assert same(found[key], outcome)
    assert store.get_outcomes("b", KEYS) == {}
    is_found, P = store.get_many("a", KEYS)
    assert is_found.tolist() == [True] + [False] * 5
    assert P[0].tobytes() == ANSWERED.answer.tobytes()


def test_outcomes_of_one_row_add_up(store):
    fill(store)
    store.put_outcomes([("a", KEYS[1], FAILED), ("a", KEYS[2], ANSWERED)])
    found = store.get_outcomes("a", KEYS)
    assert (found[KEYS[1]].attempts, found[KEYS[1]].calls) == (6, 2)
    now = found[KEYS[2]]
    assert (now.outcome, now.attempts, now.prompt_tokens) == ("answered", 3, 200)
    assert now.cost == pytest.approx(0.45)
    assert now.label_mass == 0.75


def test_outcomes_are_counted_by_kind(store):
    fill(store)
    fill(store, "b")
    store.put_outcomes(
        [("b", KEYS[4], Outcome("probed", attempts=1, calls=1, cost=1.0))]
    )
    counts = store.inspect("a")
    assert counts["outcomes"] == {"answered": 1, "failed": 1, "refused": 1}
    assert (counts["attempts"], counts["calls"]) == (6, 3)
    assert (counts["prompt_tokens"], counts["completion_tokens"]) == (200, 1)
    assert counts["cost"] == pytest.approx(0.45)
    assert store.inspect(["a", "b"]) == store.inspect()
    assert store.inspect()["calls"] == 7
    assert store.inspect("nobody")["outcomes"] == {}
    assert store.stats("a")["rows_asked"] == 3


def test_outcomes_must_be_of_a_known_kind():
    with pytest.raises(ValueError, match=r"outcome must be one of \['answered'"):
        Outcome("perhaps")


def test_outcomes_of_a_kind_can_be_purged(store):
    fill(store)
    fill(store, "b")
    store.purge("a", outcome=["failed", "refused"])
    assert store.inspect("a")["outcomes"] == {"answered": 1}
    assert store.get_many("a", KEYS)[0].sum() == 1
    store.purge(outcome="answered")
    assert store.get_many("a", KEYS)[0].sum() == 0
    assert store.inspect()["outcomes"] == {"failed": 1, "refused": 1}
    store.purge("b")
    assert store.inspect()["outcomes"] == {}
    assert store.get_outcomes("b", KEYS) == {}


def test_outcome_without_its_answer_is_asked_again(store, path):
    fill(store)
    store.close()
    connection = sqlite3.connect(path)
    (record,) = connection.execute("SELECT record FROM answers").fetchone()
    bent = record[:-1] + bytes([record[-1] ^ 1])
    connection.execute("UPDATE answers SET record = ?", (bent,))
    connection.commit()
    connection.close()
    assert set(store.get_outcomes("a", KEYS)) == set(KEYS[1:3])


def test_answers_without_an_outcome_count_as_answered(store):
    store.put_many("a", KEYS[:2], [[0.5, 0.5], [0.25, 0.75]])
    found = store.get_outcomes("a", KEYS)
    assert found[KEYS[1]].outcome == "answered"
    assert found[KEYS[1]].answer.tolist() == [0.25, 0.75]


# -- other versions, damage ------------------------------------------------------------


def test_store_of_the_first_schema_is_brought_up_to_date(path):
    with AnswerStore(path) as store:
        store.put_many("a", KEYS[:2], [[0.5, 0.5], [0.25, 0.75]])
        store.put_note(b"name", b"note")
    new = sqlite3.connect(path)
    tables = {
        name: new.execute(f"SELECT * FROM {name}").fetchall()
        for name in ("teachers", "answers", "notes")
    }
    new.close()
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(path + suffix):
            os.remove(path + suffix)
    old = sqlite3.connect(path)
    old.executescript(FIRST_SCHEMA)
    for name, rows in tables.items():
        marks = ",".join("?" * len(rows[0]))
        old.executemany(f"INSERT INTO {name} VALUES ({marks})", rows)
    old.commit()
    old.close()
    with AnswerStore(path) as store:
        assert store.get_many("a", KEYS)[1][1].tolist() == [0.25, 0.75]
        assert store.get_note(b"name") == b"note"
        fill(store, "b")
    with AnswerStore(path) as store:
        assert store.inspect("b")["outcomes"] == {
            "answered": 1,
            "failed": 1,
            "refused": 1,
        }
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (3,)
    connection.close()


def test_outcomes_are_rescued_from_a_damaged_file(path):
    keys = row_keys([f"row {number}" for number in range(3_000)])
    with AnswerStore(path) as store:
        store.put_outcomes([("a", key, ANSWERED) for key in keys])
    size = os.path.getsize(path)
    with open(path, "r+b") as file:
        file.seek(size // 2)
        file.write(b"\x00" * 20_000)
    with AnswerStore(path) as store, pytest.warns(UserWarning, match="is damaged"):
        store.purge("nobody")  # reads all pages
        store.stats()
    with AnswerStore(path) as store:
        counts, rows = store.inspect("a"), store.stats("a")["rows"]
    assert 0 < rows < 3_000
    assert 0 < counts["calls"] <= 3_000


# -- Parquet ---------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path):
    pytest.importorskip("pyarrow")
    return tmp_path / "answers.parquet"


def test_parquet_takes_everything_to_another_store(store, file, tmp_path):
    fill(store)
    fill(store, "b")
    store.put_many("c", KEYS[:2], [[0.5, 0.25, 0.25]] * 2)
    store.put_note(b"\x00name", b"\xffnote")
    assert store.export_parquet(file) == 8
    with AnswerStore(tmp_path / "other.db") as other:
        assert other.import_parquet(file) == 4
        assert other.import_parquet(file) == 0
        for teacher in "abc":
            expected = store.get_outcomes(teacher, KEYS)
            found = other.get_outcomes(teacher, KEYS)
            assert set(found) == set(expected)
            assert all(same(found[key], expected[key]) for key in expected)
            assert other.inspect(teacher) == store.inspect(teacher)
        assert other.get_note(b"\x00name") == b"\xffnote"


def test_parquet_is_a_table_that_others_read(store, file):
    import pyarrow.parquet as pq

    fill(store)
    fill(store, "b")
    assert store.export_parquet(file, "b") == 3
    table = pq.read_table(file).to_pandas().set_index("outcome")
    assert set(table["fingerprint"]) == {"b"}
    assert set(table["key"]) == set(KEYS[:3])
    assert table.loc["answered", "answer"].tolist() == ANSWERED.answer.tolist()
    assert table.loc["answered", "cost"] == 0.25
    assert table.loc["failed", "answer"] is None
    assert table.loc["failed", "attempts"] == 3


def test_parquet_of_nothing_is_a_file_too(store, file):
    assert store.export_parquet(file) == 0
    assert store.import_parquet(file) == 0


def test_import_never_replaces_an_answer(store, file, tmp_path):
    fill(store)
    store.export_parquet(file)
    with AnswerStore(tmp_path / "other.db") as other:
        mine = Outcome("answered", np.array([0.5, 0.5]), calls=1, cost=9.0)
        other.put_outcomes([("a", KEYS[0], mine), ("a", KEYS[1], REFUSED)])
        assert other.import_parquet(file) == 0
        found = other.get_outcomes("a", KEYS)
        assert same(found[KEYS[0]], mine)
        assert found[KEYS[1]].outcome == "refused"
        assert found[KEYS[2]].outcome == "refused"
        other.put_outcomes([("b", KEYS[0], FAILED)])
        fill(store, "b")
        store.export_parquet(file)
        assert other.import_parquet(file) == 1
        assert same(other.get_outcomes("b", KEYS)[KEYS[0]], ANSWERED)


def test_import_refuses_other_files(store, file):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"x": [1]}), file)
    with pytest.raises(ValueError, match=r"must be a Parquet file that export_parquet"):
        store.import_parquet(file)
    fill(store)
    store.export_parquet(file)
    table = pq.read_table(file)
    outcome = table.schema.get_field_index("outcome")
    for word in ("perhaps", "answered"):
        column = pa.array([word] * 3)
        pq.write_table(table.set_column(outcome, "outcome", column), file)
        with pytest.raises(ValueError, match=r"where the outcome is 'answered'"):
            store.import_parquet(file)
    with AnswerStore(store.path) as again:
        assert again.inspect()["calls"] == 3  # all or nothing


def test_imported_answers_serve_a_cached_teacher(store, file, tmp_path):
    class Constant:
        classes_ = np.array([0, 1])

        def predict_proba(self, X):
            return np.tile([0.25, 0.75], (len(X), 1))

    class Broken(Constant):
        def predict_proba(self, X):
            raise AssertionError("asked again")

    X = np.arange(6.0).reshape(3, 2)
    P = CachedTeacher(Constant(), store, key="k").predict_proba(X)
    store.export_parquet(file)
    with AnswerStore(tmp_path / "other.db") as other:
        other.import_parquet(file)
        again = CachedTeacher(Broken(), other, key="k").predict_proba(X)
    assert np.array_equal(again, P)
