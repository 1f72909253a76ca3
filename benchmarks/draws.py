"""How rows are drawn and labelled for a net: ``python -m benchmarks.draws``.

Teachers that remember their training rows answer to rows nearby with the label that
they remember. Prints accuracy / log-loss on validation rows, a third of the rows that
`benchmarks.recipe` trains on, of a net fitted on real rows and ten new ones for each:
drawn near (a fifth of the cells, one neighbour or any of eight) or far (most cells);
labelled by the teacher of all rows, by this teacher and plain nets (the panel of the
default recipe), or by a teacher that has not seen the row that a new one started from,
nor its neighbour. Takes about a quarter of an hour.
"""

import argparse

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import (
    StratifiedKFold,
    cross_val_predict,
    train_test_split,
)

from benchmarks.recipe import make_teacher, rows
from skdistill import MLPStudent
from skdistill._compat import safe_indexing
from skdistill._frames import concat_rows
from skdistill._panel import Panel, weigh
from skdistill._training import Rows
from skdistill.soft_targets import calibrate, log_loss_rows
from skdistill.transfer import MungeSampler

PAIRS = (
    ("phoneme", "stack", "piecewise"),
    ("california", "stack", "piecewise"),
    ("magic", "stack", "robust"),
    ("spam", "boosting", "piecewise"),
    ("adult", "boosting", "piecewise"),
    ("satimage", "forest", "robust"),
    ("letter", "forest", "robust"),
)
N_PER_ROW = 10
NEAR, NEAR_8, FAR = (
    MungeSampler(p=0.2),
    MungeSampler(p=0.2, n_neighbors=8),
    MungeSampler(p=0.8),
)


class Lesson:
    """Rows to learn from, a teacher and its calibrated answers, and validation rows."""

    def __init__(self, table, teacher, encoding, seed):
        X, _, y, _ = rows(table, 0)
        y = np.unique(y, return_inverse=True)[1]
        self.X, self.X_val, self.y, self.y_val = train_test_split(
            X, y, test_size=1 / 3, stratify=y, random_state=seed
        )
        self.encoding, self.seed = encoding, seed
        self.classes = np.unique(y)
        self.teacher = make_teacher(teacher, X).fit(self.X, self.y)
        self.folds = StratifiedKFold(5, shuffle=True, random_state=seed)
        P = cross_val_predict(
            self.teacher, self.X, self.y, cv=self.folds, method="predict_proba"
        )
        self.calibration = calibrate(P, self.y)
        self.known = Rows(self.X, self.y, self.calibration(P))
        self.targets = self.known.targets(0.5)
        self.panel = self._seat_panel()

    def _seat_panel(self):
        """Teacher and plain nets of both encodings, weighted by a fifth of the rows."""
        parts = train_test_split(
            np.arange(len(self.y)), test_size=0.2, stratify=self.y,
            random_state=self.seed,
        )  # fmt: skip
        learnt, held = (self.known.take(part) for part in parts)
        nets = [self._net(encoding) for encoding in ("robust", "piecewise")]
        answers = [n.fit(learnt.X, learnt.codes).predict_proba(held.X) for n in nets]
        weights = weigh(held, answers)
        nets = [net.fit(self.X, self.y) for net in nets]
        return Panel(self.calibration).with_students(zip(nets, weights, strict=True))

    def draw(self, sampler, label=None):
        """Rows around all, and the answers of the teacher of all (or of a panel)."""
        n_drawn = N_PER_ROW * len(self.y)
        X = clone(sampler).fit(self.X).sample(n_drawn, random_state=self.seed)
        P = self.teacher.predict_proba(X)
        return X, self.calibration(P) if label is None else label(X, P)

    def draw_unseen(self, sampler):
        """Rows around each fold's, and the answers of a teacher without the fold."""
        drawn, answers = None, []
        for train, held in self.folds.split(self.X, self.y):
            teacher = clone(self.teacher)
            teacher.fit(safe_indexing(self.X, train), self.y[train])
            fold = clone(sampler).fit(safe_indexing(self.X, held))
            new = fold.sample(N_PER_ROW * len(held), random_state=self.seed)
            answers.append(self.calibration(teacher.predict_proba(new)))
            drawn = new if drawn is None else concat_rows(drawn, new)
        return drawn, np.concatenate(answers)

    def plain(self):
        """Score of the net fitted on labels."""
        return self._score(self._net().fit(self.X, self.y))

    def learn(self, X, P):
        """Score of the net fitted on real rows and on these."""
        net = self._net().set_params(early_stopping=False)
        X, P = concat_rows(self.X, X), np.concatenate([self.targets, P])
        return self._score(net.fit_soft_targets(X, P, classes=self.classes))

    def _net(self, encoding=None):
        encoding = encoding or self.encoding
        return MLPStudent((64, 64), encoding=encoding, random_state=self.seed)

    def _score(self, model):
        P = model.predict_proba(self.X_val)
        right = (P.argmax(axis=1) == self.y_val).mean()
        return f"{right:.3f}/{log_loss_rows(P, self.y_val).mean():.3f}"

    def cells(self):
        """Yield the cells of a line, one after the other."""
        yield self._score(self.teacher)
        yield self.plain()
        yield from (self.learn(*self.draw(sampler)) for sampler in (NEAR, NEAR_8, FAR))
        for sampler in (NEAR_8, FAR):
            yield self.learn(*self.draw(sampler, self.panel))
        yield from (self.learn(*self.draw_unseen(sampler)) for sampler in (NEAR, FAR))


def main():
    """Print the table, line by line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=len(PAIRS))
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    heads = (
        "teacher", "plain", "near", "of 8", "far", "of 8, panel", "far, panel",
        "near, unseen", "far, unseen",
    )  # fmt: skip
    head = "".join(f"{name:>13}" for name in heads)
    print(f"{'table':<11}{'teacher':<9}{head}")
    for table, teacher, encoding in PAIRS[: arguments.pairs]:
        print(f"{table:<11}{teacher:<9}", end="", flush=True)
        for cell in Lesson(table, teacher, encoding, arguments.seed).cells():
            print(f"{cell:>13}", end="", flush=True)
        print()


if __name__ == "__main__":
    main()
