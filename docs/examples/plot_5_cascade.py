"""
Ask the teacher when unsure
===========================

The student answers where it is safe to, the teacher elsewhere. How often they may
differ is set beforehand; how many rows the student then answers is what it comes to.
"""

# %%

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

from skdistill import DistilledClassifier, LogisticStudent
from skdistill.cascade import CascadeClassifier

X, y = load_digits(return_X_y=True)
X, X_new, y, y_new = train_test_split(X, y, test_size=1200, random_state=0)
X_new, X_test, y_new, y_test = train_test_split(
    X_new, y_new, test_size=400, random_state=0
)
student = DistilledClassifier(
    RandomForestClassifier(random_state=0),
    LogisticStudent(),
    alpha=0.5,
    transfer=None,
    random_state=0,
).fit(X, y)

# %%
# The threshold is found on rows that neither has seen. They need no labels: what counts
# is whether student and teacher agree.

limits = [0.02, 0.03, 0.05, 0.1]
cascades = {
    limit: CascadeClassifier(student, max_disagreement=limit, random_state=0).fit(X_new)
    for limit in limits
}
teacher = student.teacher_
same = student.predict(X_test) == teacher.predict(X_test)
rows = []
for limit, cascade in cascades.items():
    answered = ~cascade.defers(X_test)
    rows.append(
        {
            "allowed": limit,
            "disagreement on test rows": 1 - same[answered].mean(),
            "student answers": answered.mean(),
            "accuracy": cascade.score(X_test, y_test),
        }
    )
pd.DataFrame(rows).set_index("allowed").round(3)

# %%
# For comparison, the accuracies of the two alone.

{"student": student.score(X_test, y_test), "teacher": teacher.score(X_test, y_test)}

# %%
# ``curve_`` has disagreement against coverage on the rows of ``fit``. The bound is what
# the rate may be at 95 % confidence: with few rows, at the left, it is large whatever
# was seen.

curve, cascade = cascades[0.03].curve_, cascades[0.03]
fig, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
ax.plot(curve["coverage"], curve["disagreement"], color="#0072B2", label="observed")
ax.plot(curve["coverage"], curve["bound"], color="#0072B2", ls="--", label="95 % bound")
ax.axhline(0.03, color="#D55E00", lw=1, label="allowed")
ax.axvline(cascade.coverage_, color="0.5", lw=1, ls=":", label="chosen")
ax.set(
    xlabel="share of rows that the student answers",
    ylabel="disagreement with the teacher",
    xlim=(0, 1),
    ylim=(0, 0.1),
)
ax.legend(loc="upper center", ncols=2, frameon=False)
ax.grid(alpha=0.3)
