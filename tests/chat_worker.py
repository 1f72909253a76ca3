"""A process of its own that asks a chat teacher; tests start several and kill some.

``python chat_worker.py URL STORE N_ROWS SEED``: asks about so many documents in an
order of its own, one order of the options, and prints "done" at the end.
"""

import sys

import numpy as np

from skdistill.teachers._chat import ChatTeacher

LABELS = ["good", "bad", "neither"]


def documents(n_rows):
    """Texts that carry their number."""
    return [f"document {number}" for number in range(n_rows)]


def teacher(url, path, **params):
    """Teacher that costs money, on one store."""
    return ChatTeacher(
        "loopback", LABELS, base_url=url, path=path, n_orders=1, prices=(1.0, 2.0),
        **params,
    )  # fmt: skip


def main(url, path, n_rows, seed):
    texts = documents(int(n_rows))
    order = np.random.default_rng(int(seed)).permutation(len(texts))
    print("ready", flush=True)
    teacher(url, path).predict_proba([texts[i] for i in order])
    print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
