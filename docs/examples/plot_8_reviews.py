"""
A sentence encoder, and few labels
==================================

A sentence encoder of 23 million parameters, with a head fitted on all labels, teaches a
student that gets 200 labels and many texts without. The task: of which department of a
shop is a review of clothes?
"""

# %%
# The encoder's answers come out of a file that is committed with the benchmarks (hashes
# of texts and probabilities, out of fold where it has seen the label); ``encoder()`` of
# the same module is the encoder itself.

import sys
from pathlib import Path

for root in (Path.cwd(), *Path.cwd().parents):  # the top of the repository
    if (root / "benchmarks").is_dir():
        sys.path.insert(0, str(root))
        break

import numpy as np

from benchmarks.text_teachers import encoder_answers

texts, labels, P, is_test = encoder_answers()
train, test = np.flatnonzero(~is_test), np.flatnonzero(is_test)
classes = np.unique(labels)
len(train), len(test), classes.tolist()

# %%

from sklearn.model_selection import train_test_split

from skdistill import DistilledClassifier, NGramStudent


class Encoder:
    """The fitted encoder, whose answers are known."""

    classes_ = classes

    def predict_proba(self, X):
        answers = dict(zip(texts, P, strict=True))
        return np.stack([answers[text] for text in X])


few, rest = train_test_split(
    train, train_size=200, stratify=labels[train], random_state=0
)
X_few, X_rest = [texts[row] for row in few], [texts[row] for row in rest]
small = DistilledClassifier(Encoder(), NGramStudent(), alpha=0.5, random_state=0)
small.fit(X_few, labels[few], X_transfer=X_rest)

# %%
# Beside it the same student on the 200 labels alone, and on all labels: where the last
# one beats the transformer, there is nothing to distil.

import pandas as pd
from sklearn.metrics import accuracy_score, log_loss

X_train, X_test = [texts[row] for row in train], [texts[row] for row in test]
plain = NGramStudent(random_state=0).fit(X_few, labels[few])
full = NGramStudent(random_state=0).fit(X_train, labels[train])
answers = {
    "teacher: encoder, all labels": P[test],
    "student: 200 labels and the teacher": small.predict_proba(X_test),
    "student: 200 labels": plain.predict_proba(X_test),
    "student: all labels": full.predict_proba(X_test),
}
pd.DataFrame(
    {
        name: {
            "accuracy": accuracy_score(labels[test], classes[Q.argmax(axis=1)]),
            "log-loss (nats)": log_loss(labels[test], Q),
        }
        for name, Q in answers.items()
    }
).T.round(3)

# %%
# What is shipped: the exported student with one byte a weight, and how long one review
# takes it.

from tempfile import TemporaryDirectory

from skdistill.deploy import export_onnx, load_onnx
from skdistill.metrics import measure_latency

with TemporaryDirectory() as folder:
    path = Path(folder) / "student.onnx"
    export_onnx(small, path, quantize="int8", X=X_test[:100])
    shipped, n_bytes = load_onnx(path), path.stat().st_size
{
    "kilobytes": round(n_bytes / 1000),
    "milliseconds a review": round(1e3 * measure_latency(shipped, X_test)["p50"], 3),
    "accuracy": round(accuracy_score(labels[test], shipped.predict(X_test)), 3),
}
