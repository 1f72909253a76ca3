"""
The best student within a budget
================================

A student has to answer within 100 microseconds and fit into 40 kB. Which one is it, and
what would a larger budget buy?
"""

# %%
# The teacher labels the rows once, out of fold. The ladder lists students that suit the
# data, from a linear one over trees to nets.

import pandas as pd
from sklearn.datasets import load_digits
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.model_selection import GridSearchCV, cross_val_predict

from skdistill import DistilledClassifier, MLPStudent
from skdistill.metrics import fidelity_scorers, latency_scorer, size_scorer
from skdistill.model_selection import (
    BudgetError,
    best_under,
    cheapest_within,
    student_ladder,
)

X, y = load_digits(return_X_y=True)
soft_targets = cross_val_predict(
    ExtraTreesClassifier(100, random_state=0), X, y, cv=5, method="predict_proba"
)
ladder = student_ladder(X, y)
for student in ladder:
    if isinstance(student, MLPStudent):
        student.set_params(max_steps=500)  # a page like this has no time for more
ladder.names

# %%
# Every candidate is scored by accuracy, by fidelity to the teacher, by latency and by
# size; ``refit`` says which of them is kept.

policy = best_under(latency=100e-6, size=40_000, metric="accuracy")
search = GridSearchCV(
    DistilledClassifier(None, alpha=0.5, transfer=None, random_state=0),
    {"student": ladder},
    scoring={
        "accuracy": "accuracy",
        "agreement": fidelity_scorers(X, soft_targets)["agreement"],
        "latency": latency_scorer,
        "size": size_scorer,
    },
    refit=policy,
    cv=3,
).fit(X, y, soft_targets=soft_targets)

found = search.cv_results_
table = pd.DataFrame(
    {
        "accuracy": found["mean_test_accuracy"].round(3),
        "agreement": found["mean_test_agreement"].round(3),
        "latency (us)": (-1e6 * found["mean_test_latency"]).round(),
        "size (kB)": (-found["mean_test_size"] / 1000).round(1),
    },
    index=ladder.names,
)
table

# %%
# The star is the one that was chosen. Whoever has other budgets will want one of the
# students on the front; all others are beaten by one of these at no higher cost.

import matplotlib.pyplot as plt

from skdistill.report import ParetoDisplay

fig, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained", sharey=True)
for cost, ax in zip(["latency", "size"], axes, strict=True):
    ParetoDisplay.from_estimator(
        search, cost=cost, metric="accuracy", names=ladder.names, ax=ax
    )
axes[1].set_ylabel("")
ladder.names[search.best_index_]

# %%
# Another budget needs no other search: a policy works on results that are there. How
# small can the student be, if it may be worse than the best one by no more than a
# standard error over the folds?

smallest = cheapest_within(rule="1se", cost="size", metric="accuracy")
table.iloc[[smallest(found)]]

# %%
# Where nothing fits, the error names the nearest miss.

try:
    best_under(latency=1e-6, size=40_000, metric="accuracy")(found)
except BudgetError as error:
    print(error)
