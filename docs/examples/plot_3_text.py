"""
Documents, most of them unlabelled
==================================

Lists of str go to teacher and student untouched, so each may read them in its own way.
Here a committee of three text classifiers is fitted on a few labelled paragraphs and
labels many others, from which one small model of single words learns.
"""

# %%
# scikit-learn ships no documents, so these are made: the paragraphs of its own
# documentation strings, to be sorted by the module that they come from.

import inspect

import sklearn.cluster
import sklearn.ensemble
import sklearn.linear_model
import sklearn.metrics
import sklearn.preprocessing

texts, labels = [], []
for module in (
    sklearn.cluster,
    sklearn.ensemble,
    sklearn.linear_model,
    sklearn.metrics,
    sklearn.preprocessing,
):
    for name in module.__all__:
        doc = inspect.getdoc(getattr(module, name)) or ""
        for paragraph in doc.split("\n\n"):
            if len(paragraph.split()) >= 12:
                texts.append(paragraph)
                labels.append(module.__name__.removeprefix("sklearn."))
len(texts)

# %%

from sklearn.ensemble import ExtraTreesClassifier, VotingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import ComplementNB
from sklearn.pipeline import make_pipeline

from skdistill import DistilledClassifier, LogisticStudent

teacher = VotingClassifier(
    [
        (
            "letters",
            make_pipeline(
                TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5)),
                LogisticRegression(C=10, max_iter=1000),
            ),
        ),
        ("words", make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), ComplementNB())),
        (
            "forest",
            make_pipeline(TfidfVectorizer(), ExtraTreesClassifier(200, random_state=0)),
        ),
    ],
    voting="soft",
)
student = make_pipeline(TfidfVectorizer(), LogisticStudent())

train, test, y_train, y_test = train_test_split(
    texts, labels, stratify=labels, random_state=0
)
labelled, unlabelled, y_labelled, _ = train_test_split(
    train, y_train, train_size=600, stratify=y_train, random_state=0
)
small = DistilledClassifier(teacher, student, random_state=0)
small.fit(labelled, y_labelled, X_transfer=unlabelled)

# %%

import pandas as pd
from sklearn.metrics import log_loss

from skdistill.metrics import model_size

models = {
    "teacher": small.teacher_,
    "distilled student": small.student_,
    "labels only": small.plain_student_,
}
pd.DataFrame(
    {
        name: {
            "accuracy": model.score(test, y_test),
            "log-loss (nats)": log_loss(y_test, model.predict_proba(test)),
            "size (kB)": model_size(model) / 1000,
        }
        for name, model in models.items()
    }
).T.round(3)
