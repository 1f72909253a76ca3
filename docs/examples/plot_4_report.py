"""
What was lost, in one call
==========================

A forest of 300 trees became a single one. Should it be shipped? The report says what
was kept, what was lost and what is saved; four pictures show where.
"""

# %%
# Both are fitted on the same rows; everything below is measured on others.

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.model_selection import train_test_split
from sklearn.tree import DecisionTreeClassifier

from skdistill import DistilledClassifier, MLPStudent
from skdistill.report import (
    CoverageRiskDisplay,
    FidelityDisplay,
    ParetoDisplay,
    ReliabilityDisplay,
    distillation_report,
)

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.4, stratify=y, random_state=0
)
forest = ExtraTreesClassifier(300, random_state=0)
small = DistilledClassifier(
    teacher=forest, student=DecisionTreeClassifier(max_leaf_nodes=100), random_state=0
).fit(X_train, y_train)

# %%
# The verdict, its evidence, and a table:

report = distillation_report(small, X_test, y_test, max_seconds=0.5)
report

# %%
# The rows on which teacher and student are furthest apart are worth a look: the best
# reason not to ship stands there, if there is one.

report.disagreements[["row", "y", "teacher", "student", "total_variation"]].head()

# %%

worst = report.disagreements["row"].to_numpy()[:6]
fig, axes = plt.subplots(1, 6, figsize=(9, 2), layout="constrained")
for ax, row in zip(axes, worst, strict=True):
    ax.imshow(X_test[row].reshape(8, 8), cmap="gray_r")
    ax.set(title=f"a {y_test[row]}", xticks=[], yticks=[])

# %%
# Which labels differ, and how far can the probabilities be trusted? In the table only
# disagreement has a colour. In the reliability diagram the forest lies above the
# diagonal: it is right more often than it says. The tree lies below.

fig, axes = plt.subplots(1, 2, figsize=(11, 4.9), layout="constrained")
FidelityDisplay.from_estimator(small, X_test, ax=axes[0])
_ = ReliabilityDisplay.from_estimator(small, X_test, y_test, plain=True, ax=axes[1])

# %%
# So a tree is no student for these rows, however fast it is. A small net learns
# from the same forest.

net = DistilledClassifier(
    teacher=forest,
    student=MLPStudent((32,), max_steps=800),  # a page like this has no time for more
    alpha=0.5,
    transfer=None,
    random_state=0,
).fit(X_train, y_train)
_ = ParetoDisplay.from_models(
    {"forest": small.teacher_, "tree": small.student_, "net": net.student_},
    X_test,
    y_test,
    chosen="net",
)

# %%
# Could a student answer the rows of which it is sure, and leave the others to the
# forest? The rightmost points are students that answer everything.

fig, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
for model, name, ax in zip([small, net], ["tree", "net"], axes, strict=True):
    CoverageRiskDisplay.from_estimator(model, X_test, max_disagreement=0.02, ax=ax)
    ax.set_title(name)
