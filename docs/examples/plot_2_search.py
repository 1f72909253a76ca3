"""
Search for a student
====================

Label once, search many: the teacher's out-of-fold answers are computed once and sliced
by the search, whatever the number of candidates.
"""

# %%

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.tree import DecisionTreeClassifier

from skdistill import DistilledClassifier, LogisticStudent, MLPStudent

X, y = load_digits(return_X_y=True)
soft_targets = cross_val_predict(
    ExtraTreesClassifier(200, random_state=0), X, y, cv=5, method="predict_proba"
)

# %%
# ``alpha`` and ``transfer`` are fixed for the search, so that each candidate costs one
# fit a fold.

students = {
    "tree, 64 leaves": DecisionTreeClassifier(max_leaf_nodes=64),
    "logistic": LogisticStudent(),
    "net, 8": MLPStudent((8,)),
    "net, 32": MLPStudent((32,)),
}
search = GridSearchCV(
    DistilledClassifier(None, alpha=0.5, transfer=None, random_state=0),
    {"student": list(students.values())},
    scoring="neg_log_loss",
    cv=3,
).fit(X, y, soft_targets=soft_targets)

results = pd.DataFrame(
    {
        "log-loss (nats)": -search.cv_results_["mean_test_score"],
        "fold to fold": search.cv_results_["std_test_score"],
    },
    index=list(students),
)
results.round(3)

# %%

fig, ax = plt.subplots(figsize=(6, 2.6), layout="constrained")
ax.errorbar(
    results["log-loss (nats)"],
    results.index,
    xerr=results["fold to fold"],
    fmt="o",
    color="#0072B2",
    capsize=3,
)
ax.set(xlabel="log-loss to the labels, mean and standard deviation of 3 folds (nats)")
ax.invert_yaxis()
ax.grid(axis="x", alpha=0.3)

# %%
# The best one is fitted once more with ``alpha`` on "auto", which also compares it with
# the same student on labels only.

best = search.best_estimator_.set_params(alpha="auto")
best.fit(X, y, soft_targets=soft_targets)
pd.DataFrame(best.summary_)
