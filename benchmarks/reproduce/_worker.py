"""Peers that want an environment of their own: fit there, answer here.

Run as a script by the Python of that environment, with the name of a peer and a folder;
it imports nothing of this project. `run_elsewhere` is the other end.
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

#: Seconds that AutoGluon may take for its models, and again for its students.
LIMIT = 150
TARGET = "target"
SCRIPT = Path(__file__)


def median_latency(predict_proba, X, n_calls=200, max_seconds=5.0):
    """Median seconds that a model takes for one row.

    Parameters
    ----------
    predict_proba : callable

    X : ndarray or DataFrame
        Its first rows are asked in turn.

    n_calls : int, default=200
        Calls at most.

    max_seconds : float, default=5.0
        No call is begun after so many seconds.

    Returns
    -------
    p50 : float
    """
    rows = [X[i : i + 1] for i in range(min(len(X), 50))]
    predict_proba(rows[0])
    seconds = []
    while len(seconds) < n_calls and sum(seconds) < max_seconds:
        row = rows[len(seconds) % len(rows)]
        start = time.perf_counter()
        predict_proba(row)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def run_elsewhere(python, peer, train, test, folder):
    """Let a peer learn and answer in another environment.

    Parameters
    ----------
    python : str
        Interpreter of that environment.

    peer : {"autogluon", "imodels"}

    train, test : DataFrame
        Rows with their labels in the column "target".

    folder : path-like
        Where rows and answers are exchanged.

    Returns
    -------
    P : DataFrame
        Probabilities of the test rows, one column a class.

    cost : dict
        "fit_seconds", "p50", "bytes", "note".

    Raises
    ------
    RuntimeError
        If the peer fails; the message is the last line that it printed.
    """
    folder = Path(folder)
    train.to_pickle(folder / "train.pickle")
    test.drop(columns=TARGET).to_pickle(folder / "test.pickle")
    done = subprocess.run(
        [python, str(SCRIPT), peer, str(folder)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no output"]
        raise RuntimeError(lines[-1][:300])
    import pandas as pd

    cost = json.loads((folder / "cost.json").read_text())
    return pd.read_csv(folder / "answers.csv", index_col=0), cost


# -- the other side --------------------------------------------------------------------


def fit_autogluon(train, test, folder):
    """Fit AutoGluon's models, distil them, and take its best student."""
    from autogluon.tabular import TabularPredictor

    path = str(folder / "models")
    predictor = TabularPredictor(label=TARGET, path=path, eval_metric="log_loss")
    predictor.fit(train, time_limit=LIMIT, num_cpus=1, verbosity=0)
    students = predictor.distill(time_limit=LIMIT, verbosity=0)
    board = predictor.leaderboard(silent=True).set_index("model")
    best = board.loc[students, "score_val"].idxmax()

    def predict_proba(X):
        return predictor.predict_proba(X, model=best)

    alone = predictor.clone_for_deployment(str(folder / "alone"), model=best)
    n_bytes = sum(f.stat().st_size for f in Path(alone).rglob("*") if f.is_file())
    return predict_proba, n_bytes, best


def fit_imodels(train, test, folder):
    """Distil a forest into a hierarchical-shrinkage tree by imodels' own class."""
    import pickle

    import pandas as pd
    from imodels import DistilledRegressor, HSTreeRegressor
    from sklearn.ensemble import ExtraTreesRegressor

    y = train[TARGET]
    classes = sorted(y.unique())
    model = DistilledRegressor(
        teacher=ExtraTreesRegressor(300, random_state=0),
        student=HSTreeRegressor(max_leaf_nodes=64),
    )
    X = train.drop(columns=TARGET).to_numpy(float)
    model.fit(X, (y == classes[1]).to_numpy(float))

    def predict_proba(X):
        p = model.predict(X.to_numpy(float)).clip(0, 1)
        return pd.DataFrame({classes[0]: 1 - p, classes[1]: p}, index=X.index)

    return predict_proba, len(pickle.dumps(model.student)), "HSTree of 64 leaves"


def main(peer, folder):
    """Fit, answer, measure; leave the results in the folder."""
    import pandas as pd

    folder = Path(folder)
    train = pd.read_pickle(folder / "train.pickle")
    test = pd.read_pickle(folder / "test.pickle")
    fit = {"autogluon": fit_autogluon, "imodels": fit_imodels}[peer]
    start = time.perf_counter()
    predict_proba, n_bytes, note = fit(train, test, folder)
    seconds = time.perf_counter() - start
    predict_proba(test).to_csv(folder / "answers.csv")
    cost = {
        "fit_seconds": seconds, "p50": median_latency(predict_proba, test),
        "bytes": n_bytes, "note": note,
    }  # fmt: skip
    (folder / "cost.json").write_text(json.dumps(cost))


if __name__ == "__main__":
    main(*sys.argv[1:])
