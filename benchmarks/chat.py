"""A ChatTeacher against a loopback server: what kills cost, and how fast it is.

``python -m benchmarks.chat kills [N_KILLS N_ROWS]`` kills a run of 5,000 rows 50 times
(-9) and counts what was paid; ``python -m benchmarks.chat speed [N_ROWS]`` asks 10,000
rows of a server that takes 50 ms, at concurrency 8 and in one order of the options,
without faults and with 10 % of them. Both print figures.
"""

import json
import multiprocessing
import pickle
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline

from skdistill import DistilledClassifier, LogisticStudent
from skdistill.teachers._chat import ChatTeacher

TESTS = Path(__file__).resolve().parents[1] / "tests"
LABELS = ["good", "bad", "neither"]
CONCURRENCY, SECONDS = 8, 0.05


class Server:
    """The tests' server in a process of its own."""

    def __init__(self, log, seconds, faults=0.0):
        self.log = Path(log)
        self._process = subprocess.Popen(
            [sys.executable, TESTS / "chat_server.py", log, str(seconds), str(faults)],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.url = self._process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._process.kill()
        self._process.communicate()

    def served(self):
        """Documents and behaviours of the requests served, probes apart."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [(document, how) for document, how in lines if document not in LABELS]


def teacher(url, path=None):
    """Teacher that asks one question a row."""
    return ChatTeacher(
        "loopback", LABELS, base_url=url, path=path, n_orders=1, prices=(1.0, 2.0)
    )


def texts(n_rows):
    """Documents that carry their number, as the worker of the tests asks them."""
    return [f"document {number}" for number in range(n_rows)]


def student(taught_by, documents):
    """Student fitted on the answers, as bytes."""
    small = DistilledClassifier(
        taught_by,
        make_pipeline(TfidfVectorizer(), LogisticStudent()),
        alpha=1.0,
        calibrate=None,
        transfer=None,
        random_state=0,
    ).fit(documents)
    return pickle.dumps(small.student_.predict_proba(documents))


def start_worker(url, path, n_rows, seed):
    """A process that asks about all rows in an order of its own.

    A fork of this one, which has everything imported: starting 50 interpreters would
    take longer than all the rest.
    """
    worker = multiprocessing.get_context("fork").Process(
        target=ask, args=(url, path, n_rows, seed)
    )
    worker.start()
    return worker


def ask(url, path, n_rows, seed):
    """Ask about all rows."""
    documents = texts(n_rows)
    order = np.random.default_rng(seed).permutation(n_rows)
    teacher(url, path).predict_proba([documents[at] for at in order])


def kills(n_kills=50, n_rows=5_000):
    """Kill a run again and again, and finish it."""
    from skdistill.teachers import _chat_run  # noqa: F401, for all forks

    documents, rng = texts(n_rows), np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/answers.db"
        with Server(f"{folder}/log", seconds=0.005) as server:
            # so much is left of the rows that each kill comes in the middle of work
            share = 0.9 * n_rows / n_kills
            for seed in range(n_kills):
                target = len(server.served()) + rng.integers(1, 2 * share)
                worker = start_worker(server.url, path, n_rows, seed)
                while len(server.served()) < target and worker.is_alive():
                    time.sleep(0.01)
                worker.kill()
                worker.join()
            at_last_kill = len(server.served())
            start_worker(server.url, path, n_rows, n_kills).join()
            paid = Counter(document for document, _ in server.served())
            ours = teacher(server.url, path)
            P, small = ours.predict_proba(documents), student(ours, documents)
            account = ours.account_
        with Server(f"{folder}/log2", seconds=0.0) as server:
            undisturbed = teacher(server.url)
            same = np.array_equal(P, undisturbed.predict_proba(documents))
            same_student = small == student(undisturbed, documents)
    again = paid.total() - n_rows
    print(
        f"{n_kills} kills over {n_rows} rows ({at_last_kill} requests before the last "
        f"kill): rows answered {account['outcomes']['answered']}, requests "
        f"{paid.total()}, paid again {again} ({again / n_kills:.2f} a kill, at most "
        f"{CONCURRENCY} under way), most for one row {max(paid.values())}; store equal "
        f"to an undisturbed run: {same}, student equal: {same_student}"
    )


def speed(n_rows=10_000):
    """Time a run without faults and one with."""
    documents = texts(n_rows)
    ideal = SECONDS * n_rows / CONCURRENCY
    for faults in (0.0, 0.1):
        with (
            tempfile.TemporaryDirectory() as folder,
            Server(f"{folder}/log", SECONDS, faults) as server,
        ):
            ours = teacher(server.url, f"{folder}/answers.db")
            ours.predict_proba(["warm up"])  # imports, and finds the method
            start, busy = time.perf_counter(), time.process_time()
            P = ours.predict_proba(documents)
            wall = time.perf_counter() - start
            busy = time.process_time() - busy
            served = server.served()
            paid = Counter(document for document, how in served if how == "answer")
            n_faults = sum(how != "answer" for _, how in served)
            ours.store_.close()
        print(
            f"{n_rows} rows, {SECONDS * 1e3:.0f} ms, concurrency {CONCURRENCY}, faults "
            f"{faults:.0%} ({n_faults} requests): {wall:.1f} s, {wall / ideal:.2f} of "
            f"latency x rows / concurrency; client {busy / n_rows * 1e3:.1f} ms CPU a "
            f"row; rows lost {int(np.isnan(P[:, 0]).sum())}, paid twice "
            f"{sum(n > 1 for n in paid.values())}"
        )


if __name__ == "__main__":
    name, *numbers = sys.argv[1:]
    {"kills": kills, "speed": speed}[name](*map(int, numbers))
