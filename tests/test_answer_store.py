"""The store gives back what it was given, to every process, whatever happens to it."""

import importlib.util
import multiprocessing
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import warnings
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from skdistill.teachers import AnswerStore
from skdistill.teachers._asking import FIRST_CHUNK, ask_once
from skdistill.teachers._owners import is_dead, this_process
from skdistill.teachers._probes import identity
from skdistill.teachers._row_keys import row_keys

ROOT = Path(__file__).resolve().parents[1]
WORKER = ROOT / "tests" / "answer_store_worker.py"
_spec = importlib.util.spec_from_file_location("answer_store_worker", WORKER)
worker = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(worker)
LOGGED = identity("key", worker.LoggedTeacher.classes_, "logged")

needs_fork = pytest.mark.skipif(
    not hasattr(os, "fork"), reason="the system has no fork"
)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "answers.db")


@pytest.fixture
def store(path):
    with AnswerStore(path) as store:
        yield store


def made(n_rows, n_columns=3, seed=0):
    """Keys and distributions."""
    rng = np.random.default_rng(seed)
    keys = row_keys(rng.normal(size=(n_rows, 2)))
    return keys, rng.dirichlet(np.ones(n_columns), n_rows)


# -- answers ---------------------------------------------------------------------------


def test_store_gives_back_every_bit(store):
    keys, P = made(2_500)
    P[0] = [0.1 + 0.2, 5e-324, -0.0]
    store.put_many("a", keys, P)
    order = np.random.default_rng(1).permutation(2_500)
    found, Q = store.get_many("a", [keys[i] for i in order])
    assert found.all()
    assert Q.tobytes() == P[order].tobytes()


def test_store_says_what_it_lacks(store):
    keys, P = made(4)
    found, Q = store.get_many("a", keys)
    assert not found.any()
    assert Q.shape == (4, 0)
    store.put_many("a", keys[1:3], P[1:3])
    found, Q = store.get_many("a", [*keys, keys[2]])
    assert found.tolist() == [False, True, True, False, True]
    assert np.array_equal(Q[[1, 2, 4]], P[[1, 2, 2]])
    assert np.isnan(Q[[0, 3]]).all()


def test_store_keeps_teachers_apart(store):
    keys, P = made(5)
    store.put_many("a", keys, P)
    store.put_many("b", keys[:2], P[:2, :2])
    assert store.get_many("b", keys)[0].sum() == 2
    assert np.array_equal(store.get_many("a", keys)[1], P)


def test_store_never_keeps_missing_answers(store):
    keys, P = made(3)
    P[1, 2] = np.nan
    P[2, 0] = np.inf
    store.put_many("a", keys, P)
    assert store.get_many("a", keys)[0].tolist() == [True, False, False]


def test_store_takes_its_answers_to_another_object(store, path):
    keys, P = made(3)
    store.put_many("a", keys, P)
    twin = pickle.loads(pickle.dumps(store))
    assert np.array_equal(twin.get_many("a", keys)[1], P)
    twin.close()
    twin.close()
    assert twin.get_many("a", keys)[0].all()  # opened again when used again
    twin.close()
    assert len(pickle.dumps(store)) < 300


def test_store_refuses_rows_that_do_not_match(store):
    keys, P = made(3)
    with pytest.raises(ValueError, match=r"one row for each of the 2 keys, got"):
        store.put_many("a", keys[:2], P)


def test_store_counts_and_purges(store):
    keys, P = made(300)
    store.put_many("a", keys, P)
    store.put_many("b", keys[:10], P[:10])
    store.get_many("a", keys)
    store.get_many("c", keys[:7])
    stats = store.stats()
    assert stats["rows"] == stats["rows_asked"] == 310
    assert (stats["hits"], stats["misses"]) == (300, 7)
    assert stats["bytes"] >= P.nbytes
    store.purge("a")
    assert store.stats()["rows"] == 10
    assert store.stats("a")["rows"] == store.stats("a")["rows_asked"] == 0
    assert store.stats("b")["rows"] == 10
    store.purge()
    assert store.stats()["rows"] == 0
    assert store.stats()["bytes"] < stats["bytes"]


def test_store_keeps_notes(store):
    assert store.get_note(b"name") is None
    store.put_note(b"name", b"one")
    store.put_note(b"name", b"two")
    assert store.get_note(b"name") == b"two"


# -- claims ----------------------------------------------------------------------------


def test_claim_keeps_others_out_until_it_ends(store, path):
    keys, P = made(6)
    other = AnswerStore(path)
    with store.claim("a", keys, limit=4) as claim:
        assert claim.keys == keys[:4]
        assert other.claim("b", keys).keys == keys  # another teacher's business
        with other.claim("a", keys) as rest:
            assert rest.keys == keys[4:]
            assert store.claim("a", keys).keys == []
        store.put_many("a", claim.keys, P[:4], claim=claim)
    assert not claim.is_open
    assert other.claim("a", keys).keys == keys[4:]
    other.close()


def test_claim_ends_with_an_error(store):
    keys, _ = made(3)
    with pytest.raises(KeyboardInterrupt), store.claim("a", keys):
        raise KeyboardInterrupt
    assert store.claim("a", keys).keys == keys


def test_claim_expires(path):
    keys, _ = made(3)
    with AnswerStore(path, claim_timeout=0.05) as store:
        store.claim("a", keys)
        assert store.claim("a", keys).keys == []
        time.sleep(0.1)
        assert store.claim("a", keys).keys == keys


@needs_fork
def test_claim_of_a_dead_process_is_void(store, path):
    keys, _ = made(3)
    child = os.fork()
    if child == 0:
        AnswerStore(path).claim("a", keys)
        os._exit(0)
    os.waitpid(child, 0)
    assert store.claim("a", keys).keys == keys


def test_owner_is_told_from_another_with_its_number():
    me = this_process()
    assert not is_dead(me)
    place, pid, started = me.rsplit("|", 2)
    assert not is_dead(f"elsewhere|{2**30}|1")
    if sys.platform == "linux":
        assert is_dead(f"{place}|{pid}|{int(started) - 1}")
        assert is_dead(f"{place}|{2**30}|1")


# -- asking once -----------------------------------------------------------------------


class Asked:
    """Answers positions and remembers which."""

    def __init__(self, P, fail_at=None):
        self.P, self.fail_at, self.chunks = P, fail_at, []

    def __call__(self, positions):
        if len(self.chunks) == self.fail_at:
            raise RuntimeError("no answer today")
        self.chunks.append(positions.tolist())
        return self.P[positions]


def test_ask_once_asks_repeated_rows_once_and_in_order(store):
    keys, P = made(5)
    rows = [3, 1, 3, 0, 1]
    ask = Asked(P[rows])
    Q, n_found = ask_once(store, "a", [keys[i] for i in rows], ask)
    assert ask.chunks == [[0, 1, 3]]
    assert np.array_equal(Q, P[rows])
    assert n_found == 0
    ask = Asked(P)
    Q, n_found = ask_once(store, "a", keys, ask)
    assert ask.chunks == [[2, 4]]
    assert np.array_equal(Q, P)
    assert n_found == 3


def test_ask_once_loses_one_chunk_at_most(store):
    keys, P = made(100)
    with pytest.raises(RuntimeError, match="no answer today"):
        ask_once(store, "a", keys, Asked(P, fail_at=3), chunk_size=20)
    assert store.stats()["rows"] == 60
    ask = Asked(P)
    Q, n_found = ask_once(store, "a", keys, ask, chunk_size=20)
    assert [len(chunk) for chunk in ask.chunks] == [20, 20]
    assert n_found == 60
    assert np.array_equal(Q, P)


def test_ask_once_takes_larger_chunks_while_they_are_short(store):
    keys, P = made(2_000)
    ask = Asked(P)
    ask_once(store, "a", keys, ask)
    sizes = [len(chunk) for chunk in ask.chunks]
    assert sizes == [FIRST_CHUNK, 4 * FIRST_CHUNK, 16 * FIRST_CHUNK, 656]


def test_ask_once_passes_missing_answers_on_and_asks_again(store):
    keys, P = made(4)
    P[2] = np.nan
    Q, _ = ask_once(store, "a", keys, Asked(P))
    assert np.array_equal(Q, P, equal_nan=True)
    ask = Asked(P)
    ask_once(store, "a", keys, ask)
    assert ask.chunks == [[2]]


def test_ask_once_of_many_threads_asks_each_row_once(store):
    keys, P = made(800)
    asked, results = Counter(), []

    def ask(positions):
        asked.update(positions.tolist())
        time.sleep(0.002)
        return P[positions]

    def run():
        results.append(ask_once(store, "a", keys, ask, chunk_size=50)[0])

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(asked.values()) == {1}
    assert len(asked) == 800
    assert len(results) == 6
    assert all(np.array_equal(Q, P) for Q in results)


def test_ask_once_takes_over_where_a_claim_expires(path):
    keys, P = made(3)
    with AnswerStore(path, claim_timeout=0.2) as store:
        store.claim("a", keys[:2])  # and never answered
        Q, _ = ask_once(store, "a", keys, Asked(P))
    assert np.array_equal(Q, P)


# -- processes -------------------------------------------------------------------------


def start(path, log, seed, n_rows, first, last):
    arguments = [path, log, seed, n_rows, first, last]
    return subprocess.Popen(
        [sys.executable, WORKER, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_store_of_four_processes_asks_each_row_once(path, tmp_path):
    log = worker.Log(tmp_path / "log")
    workers = [
        start(path, log.path, seed, 2_500, 500 * seed, 500 * seed + 1_000)
        for seed in range(4)
    ]
    for process in workers:
        out, _ = process.communicate(timeout=120)
        assert (process.returncode, out) == (0, "ready\ndone\n")
    asked = Counter(log.numbers("asked"))
    assert len(asked) == 2_500
    assert set(asked.values()) == {1}


def test_store_survives_kills(path, tmp_path):
    n_rows, log = 3_000, worker.Log(tmp_path / "log")
    X = worker.rows(n_rows)
    keys, truth = row_keys(X), worker.truth(X)
    rng = np.random.default_rng(0)
    for number in range(6):
        process = start(path, log.path, number, n_rows, 0, n_rows)
        assert process.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0, 0.06))
        process.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
        process.communicate()
        with AnswerStore(path) as store:
            found, P = store.get_many(LOGGED, keys)
        assert found[log.numbers("stored")].all()
        assert np.array_equal(P[found].ravel(), truth[found].ravel())
    process = start(path, log.path, 99, n_rows, 0, n_rows)
    assert process.communicate()[0] == "ready\ndone\n"  # it compares with the truth
    asked = Counter(log.numbers("asked"))
    assert len(asked) == n_rows
    assert sum(asked.values()) <= n_rows + 6 * 50  # a chunk for each kill


@needs_fork
def test_store_survives_forks(store):
    keys, P = made(400)
    store.put_many("a", keys[:100], P[:100])

    def work(number):
        part = slice(100 * number, 100 * number + 100)
        store.put_many("a", keys[part], P[part])
        ok = np.array_equal(store.get_many("a", keys[:100])[1], P[:100])
        os._exit(0 if ok else 1)

    context = multiprocessing.get_context("fork")
    children = [context.Process(target=work, args=(number,)) for number in (1, 2, 3)]
    for child in children:
        child.start()
    store.get_many("a", keys)
    store.close()  # must not take the children's log away
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0, 0]
    found, Q = store.get_many("a", keys)
    assert found.all()
    assert np.array_equal(Q, P)


# -- damage ----------------------------------------------------------------------------


def filled(path, n_rows=1_500):
    keys, P = made(n_rows)
    with AnswerStore(path) as store:
        store.put_many("a", keys, P)
    return keys, P


def flip(path, position, bit):
    data = bytearray(Path(path).read_bytes())
    data[position] ^= 1 << bit
    Path(path).write_bytes(data)


def test_store_never_gives_a_wrong_answer_after_a_flipped_bit(path):
    keys, P = filled(path)
    whole = Path(path).read_bytes()
    rng, n_changed = np.random.default_rng(0), 0
    for _ in range(25):
        for leftover in Path(path).parent.iterdir():
            leftover.unlink()
        Path(path).write_bytes(whole)
        flip(path, rng.integers(100, len(whole)), rng.integers(8))  # past the header
        with warnings.catch_warnings(), AnswerStore(path) as store:
            warnings.simplefilter("ignore", UserWarning)
            found, Q = store.get_many("a", keys)
            assert np.array_equal(Q[found].ravel(), P[found].ravel())
            n_changed += not found.all()
            lacking = np.flatnonzero(~found)
            store.put_many("a", [keys[i] for i in lacking], P[lacking])
            found, Q = store.get_many("a", keys)
            assert np.array_equal(Q[found], P[found])
            assert found.mean() > 0.9
    assert n_changed >= 5


def test_store_drops_a_damaged_answer_with_one_warning(path):
    keys, P = filled(path, 40)
    data = Path(path).read_bytes()
    for row in (3, 20):
        flip(path, data.index(P[row].tobytes()), 0)
    with AnswerStore(path) as store:
        with pytest.warns(UserWarning, match=r"damaged answers \(first time: 2\)") as w:
            found, _ = store.get_many("a", keys)
        assert len(w) == 1
        assert np.flatnonzero(~found).tolist() == [3, 20]
        assert store.stats()["rows"] == 38
        store.put_many("a", keys[3:4], P[3:4])
        assert store.get_many("a", keys)[0].sum() == 39


@pytest.mark.parametrize("how", ["garbage", "text", "truncated", "empty"])
def test_store_sets_a_damaged_file_aside(path, how):
    keys, P = filled(path)
    whole = Path(path).read_bytes()
    content = {
        "garbage": np.random.default_rng(0).bytes(5_000),
        "text": b"age,income\n" * 1_000,
        "truncated": whole[: len(whole) // 2],
        "empty": b"",
    }[how]
    Path(path).write_bytes(content)
    with AnswerStore(path) as store, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        store.put_many("a", keys[:5], P[:5])
        found, Q = store.get_many("a", keys)
        store.put_many("a", keys[5:], P[5:])
        assert np.array_equal(store.get_many("a", keys[:5])[1], P[:5])
    assert np.array_equal(Q[found], P[found])
    assert found[:5].all()
    aside = Path(f"{path}.damaged-1")
    assert aside.exists() == (how != "empty")
    assert len(caught) == (how != "empty")
    if how != "empty":
        assert str(aside) in str(caught[0].message)
    if how in ("garbage", "text"):
        assert aside.read_bytes() == content
    # SQLite knows the number of pages, so that a truncated file is no database to it.


def test_store_takes_over_what_can_be_read(path):
    keys, P = filled(path)
    connection = sqlite3.connect(path)
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    data = bytearray(Path(path).read_bytes())
    middle = len(data) // size // 2 * size
    data[middle : middle + size] = bytes(size)
    Path(path).write_bytes(data)
    with AnswerStore(path) as store:
        with pytest.warns(UserWarning, match=r"begun with the \d+ answers that could"):
            found, Q = store.get_many("a", keys)
        assert 0.5 < found.mean() < 1
        assert np.array_equal(Q[found], P[found])
    assert Path(f"{path}.damaged-1").exists()


def in_children(n_children, work):
    """Exit codes of forked processes that do some work at the same time."""
    start, children = time.time() + 0.05, []
    for number in range(n_children):
        child = os.fork()
        if child == 0:
            code = 1
            with suppress(Exception):
                time.sleep(max(0, start - time.time()))
                work(number)
                code = 0
            os._exit(code)
        children.append(child)
    return [os.waitpid(child, 0)[1] for child in children]


@needs_fork
def test_store_is_opened_by_many_at_once(path):
    keys, P = made(6)

    def work(number):
        AnswerStore(path).put_many("a", keys[number : number + 1], P[:1])

    assert in_children(6, work) == 6 * [0]
    with AnswerStore(path) as store:
        assert store.get_many("a", keys)[0].all()


@needs_fork
def test_store_is_set_aside_once_where_many_find_the_damage(path):
    keys, P = filled(path)
    more, Q = made(5, seed=1)
    data = bytearray(Path(path).read_bytes())
    middle = len(data) // 8192 * 4096
    data[middle : middle + 4096] = bytes(4096)
    Path(path).write_bytes(data)

    def work(number):
        warnings.simplefilter("ignore", UserWarning)
        store = AnswerStore(path)
        store.get_many("a", keys)
        store.put_many("a", more[number : number + 1], Q[number : number + 1])

    assert in_children(5, work) == 5 * [0]
    assert not Path(f"{path}.damaged-2").exists()
    with AnswerStore(path) as store:
        found, R = store.get_many("a", keys + more)
    assert found[: len(keys)].mean() > 0.5
    assert found[len(keys) :].all()
    assert np.array_equal(R[found], np.concatenate([P, Q])[found])


def test_store_numbers_what_it_sets_aside(path):
    for number in (1, 2):
        Path(path).write_bytes(b"no database " * 100)
        with AnswerStore(path) as store, pytest.warns(UserWarning, match="set aside"):
            store.stats()
        assert Path(f"{path}.damaged-{number}").exists()


def test_store_notices_that_its_file_was_replaced(store, path):
    keys, P = made(3)
    store.put_many("a", keys, P)
    for name in (path, f"{path}-wal", f"{path}-shm"):
        os.unlink(name)
    assert not store.get_many("a", keys)[0].any()
    store.put_many("a", keys, P)
    with AnswerStore(path) as other:
        assert other.get_many("a", keys)[0].all()


def test_store_drops_a_damaged_note(store, path):
    store.put_note(b"name", b"something to be remembered")
    store.close()
    flip(path, Path(path).read_bytes().index(b"to be remembered"), 2)
    assert store.get_note(b"name") is None


# -- what cannot be a store ------------------------------------------------------------


def test_store_refuses_a_newer_schema(store, path):
    store.stats()
    store.close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 7")
    connection.close()
    with pytest.raises(
        ValueError, match=r"version 3 or older, got version 7 .*Upgrade"
    ):
        store.stats()


def test_store_refuses_the_database_of_another_program(store, path):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE precious (x)")
    connection.commit()
    connection.close()
    before = Path(path).read_bytes()
    with pytest.raises(ValueError, match="database of another program"):
        store.stats()
    assert Path(path).read_bytes() == before


def test_store_refuses_a_missing_folder_and_a_folder(tmp_path):
    missing = AnswerStore(tmp_path / "no" / "answers.db")
    with pytest.raises(FileNotFoundError, match="must lie in a folder that exists"):
        missing.stats()
    with pytest.raises(IsADirectoryError, match="must be a file, got the folder"):
        AnswerStore(tmp_path).stats()


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="the system has no /proc")
def test_store_refuses_a_read_only_folder():
    with pytest.raises(PermissionError, match="must be writable, and so must its"):
        AnswerStore("/proc/self/answers.db").stats()  # even root may not write there


def test_store_says_that_it_stays_locked(path):
    keys, P = filled(path, 3)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with AnswerStore(path, timeout=0.05) as store:
        assert store.get_many("a", keys)[0].all()  # reading needs no lock
        with pytest.raises(TimeoutError, match=r"locked .* for 0.05 seconds"):
            store.put_many("a", keys, P)
    other.close()
