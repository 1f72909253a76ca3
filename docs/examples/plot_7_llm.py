"""
A language model without labels
===============================

A language model of 135 million parameters sorts sentences of reviews into praise and
complaint, without a single label. A student of a few hundred kilobytes learns from its
answers. Where the student is unsure, a cascade asks the model.
"""

# %%
# The sentences are of reviews of food and clothes, from packages of data sets. The
# model's answers take a while on one core, so they come out of a file that is committed
# with the benchmarks: hashes of texts and log-odds. ``language_model()`` of the same
# module is the model itself.

import sys
from pathlib import Path

for root in (Path.cwd(), *Path.cwd().parents):  # the top of the repository
    if (root / "benchmarks").is_dir():
        sys.path.insert(0, str(root))
        break

import numpy as np

from benchmarks.text_teachers import asked, look_up

texts = asked("food")[:4_000] + asked("clothes")[:2_000]
positive = look_up(texts)
len(texts), positive.mean().round(2)

# %%
# ``positive`` is what the model says before anything is corrected. It likes the word
# "positive": the mean answer to all texts is divided out, no labels are needed. What is
# left is far too modest, and a student that learns from answers near one half stays
# near one half; so it is sharpened by a temperature.

from skdistill.soft_targets import temper

raw = np.column_stack([1 - positive, positive])
corrected = raw / raw.mean(axis=0)
corrected /= corrected.sum(axis=1, keepdims=True)
soft_targets = temper(corrected, 0.2)

# %%
# The student reads words and letters. A third of the sentences is kept apart.

from sklearn.model_selection import train_test_split

from skdistill import DistilledClassifier, NGramStudent

X, X_new, P, P_new = train_test_split(texts, soft_targets, random_state=0)
X_new, X_test, P_new, P_test = train_test_split(
    X_new, P_new, test_size=0.5, random_state=0
)
small = DistilledClassifier(None, NGramStudent(), alpha=1.0, random_state=0)
small.fit(X, soft_targets=P, classes=["complaint", "praise"])

# %%
# How often it agrees with the model, and where it does not: sentences that turn on a
# small word are hard for a model that counts words.

import pandas as pd

agrees = small.predict_proba(X_test).argmax(axis=1) == P_test.argmax(axis=1)
turned = [
    bool({"not", "but", "however", "don't", "isn't"} & set(text.lower().split()))
    for text in X_test
]
sure = P_test.max(axis=1) > 0.9
pd.DataFrame(
    {"turns on a word": turned, "model is sure": sure, "agrees": agrees}
).groupby(["turns on a word", "model is sure"])["agrees"].agg(["mean", "size"]).round(3)

# %%
# A cascade lets the student answer where it may be trusted to agree, and asks the model
# elsewhere. It finds the threshold on sentences that the student has not seen.


class Model:
    """The language model, whose answers are known."""

    classes_ = small.classes_

    def predict_proba(self, X):
        answers = dict(zip(texts, soft_targets, strict=True))
        return np.stack([answers[text] for text in X])


from skdistill.cascade import CascadeClassifier

rows = []
for allowed in (0.1, 0.15):
    cascade = CascadeClassifier(
        small.student_, Model(), max_disagreement=allowed, random_state=0
    ).fit(X_new)
    kept = ~cascade.defers(X_test)
    rows.append(
        {
            "may disagree": allowed,
            "student answers": kept.mean(),
            "does disagree": 1 - agrees[kept].mean() if kept.any() else np.nan,
            "model asked, of 1,000": 1000 * (1 - kept.mean()),
        }
    )
pd.DataFrame(rows).set_index("may disagree").round(3)

# %%
# What an answer of the student costs. The model takes about a tenth of a second for one
# text on one core (``python -m benchmarks.texts --part cost``).

from skdistill.metrics import measure_latency, model_size

latency = measure_latency(small.student_, X_test, n_calls=200)
{
    "milliseconds a text": round(1e3 * latency["p50"], 3),
    "kilobytes": round(model_size(small.student_) / 1000),
}
