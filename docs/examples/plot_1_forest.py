"""
Distil a forest into a tree
===========================

Three hundred trees read handwritten digits; a single one, of a hundred leaves, learns
from their probabilities.
"""

# %%
# The teacher is passed unfitted. It is fitted on the training rows and labels them out
# of fold, so that its targets are no copy of the labels.

from sklearn.datasets import load_digits
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.model_selection import train_test_split
from sklearn.tree import DecisionTreeClassifier

from skdistill import DistilledClassifier

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.4, stratify=y, random_state=0
)
small = DistilledClassifier(
    teacher=ExtraTreesClassifier(300, random_state=0),
    student=DecisionTreeClassifier(max_leaf_nodes=100),
    random_state=0,
).fit(X_train, y_train)

# %%
# What was tried on held-out rows, and what was chosen:

import pandas as pd

pd.DataFrame(small.summary_)

# %%
# On test rows, next to the teacher and to the same tree fitted on labels only. Labels
# make a tree that is certain of everything, and every mistake is then a costly one; the
# distilled tree gives probabilities worth having.

from sklearn.metrics import accuracy_score, log_loss

from skdistill.metrics import agreement, model_size

models = {
    "teacher": small.teacher_,
    "distilled student": small.student_,
    "labels only": small.plain_student_,
}
P = {name: model.predict_proba(X_test) for name, model in models.items()}
pd.DataFrame(
    {
        name: {
            "accuracy": accuracy_score(y_test, small.classes_[P[name].argmax(axis=1)]),
            "log-loss (nats)": log_loss(y_test, P[name]),
            "agreement with the teacher": agreement(P["teacher"], P[name]),
            "size (kB)": model_size(model) / 1000,
        }
        for name, model in models.items()
    }
).T.round(3)

# %%
# Where teacher and student differ, the teacher is often unsure itself:

import matplotlib.pyplot as plt

differ = P["teacher"].argmax(axis=1) != P["distilled student"].argmax(axis=1)
sure = P["teacher"].max(axis=1)

fig, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
ax.hist(
    [sure[~differ], sure[differ]],
    bins=15,
    density=True,
    color=["#0072B2", "#E69F00"],
    label=["same answer", "different answers"],
)
ax.set(
    xlabel="largest probability that the teacher gives",
    ylabel="density of test rows",
)
_ = ax.legend(frameon=False)
