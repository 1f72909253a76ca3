"""The harness of published figures: mechanics at tiny sizes, and the page's tables."""

import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier

from benchmarks.reproduce import (
    _ensemble_selection,
    _mnist,
    _records,
    _worker,
    bucila,
    dao,
    hinton_mnist,
    peers,
    tables,
)

EXPERIMENTS = ("hinton_mnist", "dao", "bucila", "peers")


@pytest.fixture
def results(tmp_path, monkeypatch):
    """An empty folder of results."""
    monkeypatch.setattr(_records, "RESULTS", tmp_path / "results")
    return tmp_path / "results"


@pytest.fixture
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SKDISTILL_BENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def tiny_mnist(tmp_path, monkeypatch):
    """Ten kinds of noisy images in files of the idx format."""
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 256, size=(10, 784))
    for part, n in (("train", 300), ("t10k", 100)):
        y = np.arange(n, dtype=np.uint8) % 10
        X = np.clip(kinds[y] + rng.integers(-40, 41, size=(n, 784)), 0, 255)
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(
            bytes(16) + X.astype(np.uint8).tobytes()
        )
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(bytes(8) + y.tobytes())
    monkeypatch.setenv("SKDISTILL_MNIST", str(tmp_path))
    return tmp_path


# -- records ---------------------------------------------------------------------------


def make_unit(setting, measure=lambda: {"auc": 0.5}, **params):
    return _records.Unit("t", "forest", "tree", setting, 0, measure, **params)


def test_run_skips_what_is_done_and_keeps_what_was_done_before_a_crash(results):
    calls = []

    def fail():
        raise KeyboardInterrupt

    def measure():
        calls.append(1)
        return {"auc": 0.5}

    first, second = make_unit("a", measure), make_unit("b", fail)
    with pytest.raises(KeyboardInterrupt):
        _records.run([first, second], "x")
    assert [line["setting"] for line in _records.read("x")] == ["a"]
    _records.run([first, make_unit("b", measure)], "x")
    assert [line["setting"] for line in _records.read("x")] == ["a", "b"]
    assert len(calls) == 2


def test_run_measures_anew_when_the_recipe_changes(results):
    _records.run([make_unit("default", recipe="old")], "x")
    assert len(_records.run([make_unit("default", recipe="new")], "x")) == 1
    assert _records.run([make_unit("default", recipe="new")], "x") == []


def test_run_writes_nothing_in_smoke_mode(results):
    assert len(_records.run([make_unit("a")])) == 1
    assert not results.exists()


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_committed_lines_are_whole_and_no_piece_was_done_twice(name):
    lines = _records.read(name)
    keys = [tuple(line[k] for k in _records.KEY) for line in lines]
    assert len(set(keys)) == len(keys)
    for line in lines:
        assert {"figures", "details", "seconds", "machine", "versions"} <= set(line)
        assert line["figures"]
        assert "scikit-learn" in line["versions"]


# -- tables ----------------------------------------------------------------------------


def test_page_shows_what_the_command_prints():
    page = tables.PAGE.read_text()
    assert tables.fill(page) == page


def test_fill_says_which_place_is_missing():
    with pytest.raises(ValueError, match=r"'\.\. table hinton-errors'"):
        tables.fill("A page without tables.\n")


def test_means_take_current_lines_over_seeds(results):
    for seed, auc, recipe in (
        (0, 0.7, _records.RECIPE),
        (1, 0.9, _records.RECIPE),
        (0, 0.1, "outdated"),
    ):
        unit = _records.Unit(
            "t", "forest", "tree", "default", seed, lambda auc=auc: {"auc": auc}, recipe
        )
        _records.run([unit], "x")
    mean = tables.Means("x", "auc")
    assert mean("t", "forest", "tree", "default") == pytest.approx(0.8)
    assert mean.n_seeds("t", "forest", "tree", "default") == 2
    assert np.isnan(mean("t", "forest", "tree", "plain"))


def test_share_is_the_same_for_losses_and_for_gains():
    of_gains = tables.share(0.854, 0.926, 0.933, higher_is_better=True)
    assert tables.share(146, 74, 67) == of_gains == "0.91"
    assert tables.share(np.nan, 74, 67) == tables.ABSENT


def test_share_is_undefined_where_the_teacher_is_no_better():
    assert tables.share(67, 74, 67) == "undefined"
    assert tables.share(0.9, 0.95, 0.8, higher_is_better=True) == "undefined"


def test_peers_table_shows_a_failure(results):
    _records.run([make_unit("distilled", lambda: {"failure": 'no "luck"'})], "peers")
    assert "failed: no 'luck'" in tables.peers()


# -- MNIST -----------------------------------------------------------------------------


def test_load_mnist_says_where_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("SKDISTILL_MNIST", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="npm install --ignore-scripts"):
        _mnist.load_mnist("train")


def test_shift_moves_each_image_as_a_whole_within_reach():
    rng = np.random.default_rng(0)
    X = np.zeros((400, 28, 28))
    X[:, 4:24, 4:24] = rng.random((400, 20, 20))  # black on four sides, as MNIST
    moved = _mnist.shift(X.reshape(400, -1), rng).reshape(X.shape)
    seen = set()
    for image, other in zip(X, moved, strict=True):
        moves = [
            (down, right)
            for down, right in np.ndindex(5, 5)
            if np.array_equal(np.roll(image, (2 - down, 2 - right), (0, 1)), other)
        ]
        assert len(moves) == 1
        seen.add(moves[0])
    assert len(seen) == 25


def test_moving_layer_moves_in_training_only():
    torch = pytest.importorskip("torch")
    layer = hinton_mnist._moving_layer()
    X = torch.zeros(200, 28, 28)
    X[:, 10, 12] = 1.0
    X = X.view(200, -1)
    assert torch.equal(layer.eval()(X), X)
    rows, columns = np.divmod(layer.train()(X).argmax(1).numpy(), 28)
    assert set(rows) == set(range(8, 13))
    assert set(columns) == set(range(10, 15))


def test_shifted_logits_change_the_answer_where_the_bias_is_large_enough():
    P = np.array([[0.9, 0.1], [0.6, 0.4]])
    bias = np.array([0.0, 1.0])  # log(.9 / .1) = 2.2, log(.6 / .4) = .41
    assert hinton_mnist.shifted_logits(P, bias).argmax(axis=1).tolist() == [0, 1]


def test_hinton_runs_at_tiny_sizes(tiny_mnist, cache_folder):
    lines = _records.run(hinton_mnist.list_units(1, smoke=True))
    errors = {
        (line["student"], line["setting"]): line["figures"]["errors"] for line in lines
    }
    assert errors["net 30-30", "plain"] == 0  # ten kinds are easily told apart
    assert all(0 <= n <= 100 for n in errors.values())
    omitted = lines[4]["figures"]
    assert omitted["errors_with_bias"] <= omitted["errors"]


# -- tables of numbers -----------------------------------------------------------------


def test_dao_runs_at_tiny_sizes():
    lines = _records.run(dao.list_units(1, smoke=True))
    assert {line["setting"] for line in lines} == {
        "teacher", "plain", "out of bag, soft only", "default",
    }  # fmt: skip
    assert all(0.5 < line["figures"]["auc"] <= 1 for line in lines)


def test_kept_forest_is_grown_once_and_answers_as_any_other():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(80, 3)), np.arange(80) % 2
    dao.KeptForest.forget()
    first, second = (dao.KeptForest(5, random_state=0).fit(X, y) for _ in range(2))
    assert first.estimators_ is second.estimators_
    other = dao.KeptForest(5, random_state=1).fit(X, y)
    assert other.estimators_ is not first.estimators_
    dao.KeptForest.forget()
    again = dao.KeptForest(5, random_state=0).fit(X, y)
    assert again.estimators_ is not first.estimators_
    np.testing.assert_array_equal(again.predict_proba(X), first.predict_proba(X))


@pytest.mark.parametrize("table", ["letter.p2", "adult"])
def test_bucila_runs_at_tiny_sizes(table, cache_folder):
    units = [u for u in bucila.list_units(1, smoke=True) if u.table == table]
    lines = _records.run(units)
    longer = ["high effort", "MUNGE, 60,000 steps"] if table == "letter.p2" else []
    assert [line["setting"] for line in lines] == [
        "teacher", "plain", "MUNGE, soft only", "default", *longer,
    ]  # fmt: skip
    assert all(0 < line["figures"]["rmse"] < 1 for line in lines)


def test_select_finds_the_mixture_of_lowest_error():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 500)
    # Two models that err in opposite ways are best half and half; the third is noise.
    error = rng.normal(scale=0.3, size=500)
    p = np.stack([y + error, y - error, rng.random(500)])
    answers = np.stack([1 - p, p], axis=2)
    counts = _ensemble_selection.select(answers, y, n_rounds=10)
    assert counts[0] == counts[1] > 0
    assert counts[2] == 0


def test_ensemble_selection_leaves_a_useless_model_out():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(300, 2)), columns=["a", "b"])
    y = np.where(X["a"] > 0, "yes", "no")
    (forest,) = _ensemble_selection.make_library(smoke=True)
    library = [DummyClassifier(strategy="uniform"), forest]
    model = _ensemble_selection.EnsembleSelection(library).fit(X, y)
    assert len(model.models_) == 1
    assert np.mean(model.predict(X) == y) > 0.95
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)


# -- peers -----------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:'force_all_finite':FutureWarning")  # LightGBM 4.5
def test_peers_run_at_tiny_sizes(monkeypatch):
    monkeypatch.delenv("SKDISTILL_PEERS_PYTHON", raising=False)
    pytest.importorskip("lightgbm")
    lines = _records.run(peers.list_units(1, smoke=True))
    columns = {"accuracy", "log_loss", "ece", "p50", "bytes", "fit_seconds"}
    assert len(lines) == 6
    for line in lines:
        assert set(line["figures"]) == columns
        assert line["figures"]["accuracy"] > 0.3  # six classes


def test_run_elsewhere_brings_answers_back(tmp_path, monkeypatch):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, json, pathlib, pandas as pd\n"
        "folder = pathlib.Path(sys.argv[2])\n"
        "test = pd.read_pickle(folder / 'test.pickle')\n"
        "assert 'target' not in test\n"
        "pd.DataFrame({'a': 0.25, 'b': 0.75}, index=test.index).to_csv("
        "folder / 'answers.csv')\n"
        "(folder / 'cost.json').write_text(json.dumps({'note': sys.argv[1]}))\n"
    )
    monkeypatch.setattr(_worker, "SCRIPT", script)
    table = pd.DataFrame({"x": [1.0, 2.0], "target": ["a", "b"]})
    P, cost = _worker.run_elsewhere(sys.executable, "peer", table, table, tmp_path)
    assert P.to_numpy().tolist() == [[0.25, 0.75]] * 2
    assert cost == {"note": "peer"}


def test_run_elsewhere_tells_why_a_peer_failed(tmp_path):
    table = pd.DataFrame({"x": [1.0, 2.0], "target": ["a", "b"]})
    with pytest.raises(RuntimeError, match="nobody"):
        _worker.run_elsewhere(sys.executable, "nobody", table, table, tmp_path)


def test_median_latency_is_of_single_rows():
    shapes = []
    p50 = _worker.median_latency(lambda X: shapes.append(X.shape), np.zeros((9, 2)))
    assert p50 > 0
    assert set(shapes) == {(1, 2)}
    assert len(shapes) == 201
