"""What surrounds the package: its metadata, what importing it costs, its README."""

import importlib
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.datasets import NAMES, load

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
README = (ROOT / "README.md").read_text()

#: Top-level packages that plain `import skdistill` has no business to load.
HEAVY = {"torch", "skorch", "sklearn", "scipy", "numpy", "pandas", "matplotlib", "onnx"}


def modules_after(code):
    """Names of the modules that a fresh interpreter holds after running `code`."""
    report = "import json, sys; print(json.dumps(sorted(sys.modules)))"
    answer = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return set(json.loads(answer.stdout.splitlines()[-1]))


# -- imports ---------------------------------------------------------------------------


def test_import_loads_nothing_heavy():
    loaded = modules_after("import skdistill; dir(skdistill); skdistill.__version__")
    assert "skdistill" in loaded
    assert not {name.partition(".")[0] for name in loaded} & HEAVY


@pytest.mark.parametrize(
    "code",
    [
        "from skdistill import DistilledClassifier, LogisticStudent, MLPStudent",
        "import skdistill.metrics, skdistill.transfer, skdistill.soft_targets",
    ],
)
def test_names_load_without_the_training_libraries(code):
    loaded = {name.partition(".")[0] for name in modules_after(code)}
    assert "sklearn" in loaded
    assert not loaded & {"torch", "skorch", "matplotlib", "onnx"}


def test_logistic_student_never_needs_torch():
    code = (
        "from sklearn.datasets import load_iris\n"
        "from skdistill import LogisticStudent\n"
        "X, y = load_iris(return_X_y=True)\n"
        "LogisticStudent().fit(X, y).predict(X)"
    )
    assert not modules_after(code) & {"torch", "skorch"}


@pytest.mark.parametrize("module", ["skdistill", "skdistill.deploy"])
def test_public_names_are_listed_and_found(module):
    module = importlib.import_module(module)
    for name in module.__all__:
        assert name in dir(module)
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        module.nonsense  # noqa: B018


# -- metadata --------------------------------------------------------------------------


def expanded_groups():
    """Return dependency groups with those that they include written out."""
    groups = PROJECT["dependency-groups"]

    def expand(name):
        for entry in groups[name]:
            if isinstance(entry, dict):
                yield from expand(entry["include-group"])
            else:
                yield entry

    return {name: set(expand(name)) for name in groups}


def expanded_extras():
    """Return extras with those that they name as ``skdistill[...]`` written out."""
    extras = PROJECT["project"]["optional-dependencies"]

    def expand(name):
        for entry in extras[name]:
            if found := re.fullmatch(r"skdistill\[(.+)\]", entry):
                for other in found[1].split(","):
                    yield from expand(other)
            else:
                yield entry

    return {name: set(expand(name)) for name in extras}


@pytest.mark.parametrize("name", sorted(PROJECT["dependency-groups"]))
def test_extra_equals_dependency_group(name):
    assert expanded_extras()[name] == expanded_groups()[name]


@pytest.mark.parametrize("file", ["constraints.txt", "constraints-oldest.txt"])
def test_constraints_pin_what_is_tested(file):
    pinned = dict(
        line.split("==")
        for line in (ROOT / file).read_text().splitlines()
        if line and not line.startswith("#")
    )
    needed = {*PROJECT["project"]["dependencies"], *expanded_groups()["test"]}
    for requirement in needed:
        name, floor = requirement.split(">=")
        assert name in pinned, f"{name} is free in {file}"
        assert version(pinned[name]) >= version(floor)


# Not torch: see the head of constraints-oldest.txt.
@pytest.mark.parametrize(
    "name", ["joblib", "numpy", "scikit-learn", "scipy", "skorch", "threadpoolctl"]
)
def test_floor_is_what_the_oldest_run_installs(name):
    (floor,) = (
        requirement.removeprefix(f"{name}>=")
        for requirement in PROJECT["project"]["dependencies"]
        if requirement.startswith(f"{name}>=")
    )
    text = (ROOT / "constraints-oldest.txt").read_text()
    oldest = re.search(rf"^{name}==(\S+)$", text, re.MULTILINE)[1]
    assert version(oldest)[:2] == version(floor)[:2]


def version(text):
    """Return a version of three numbers."""
    numbers = [int(part) for part in re.findall(r"\d+", text)[:3]]
    return (*numbers, 0, 0, 0)[:3]


def test_changelog_knows_the_version():
    import skdistill

    assert f"({skdistill.__version__})" in (ROOT / "CHANGELOG.md").read_text()


# -- README ----------------------------------------------------------------------------


def python_blocks(text):
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.mark.slow
def test_readme_code_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = python_blocks(README)
    assert blocks
    space = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), space)
    assert space["small"].score(space["X_test"], space["y_test"]) > 0.95


def test_readme_names_every_make_target():
    targets = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.M)[1]
    for target in set(targets.split()) - {"setup"}:
        assert f"`make {target}`" in README


# -- data ------------------------------------------------------------------------------

SHAPES = {
    "adult": (48_842, 14, 2),
    "california": (20_640, 8, 3),
    "letter": (20_000, 16, 26),
    "magic": (19_020, 10, 2),
    "mpls_stops": (51_920, 9, 2),
    "phoneme": (5_404, 5, 2),
    "satimage": (6_435, 36, 6),
    "spam": (4_597, 57, 2),
}


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_load_gives_the_whole_table(name):
    X, y = load(name)
    assert (*X.shape, len(np.unique(y))) == SHAPES[name]
    assert len(y) == len(X)


def test_load_marks_categories_and_missing_cells():
    X, _ = load("adult")
    kinds = X.dtypes.map(lambda dtype: isinstance(dtype, pd.CategoricalDtype))
    assert kinds.sum() == 8
    assert X["occupation"].isna().sum() == 2_809
    assert not (X == "?").any(axis=None)


def test_load_draws_rows_by_seed():
    first, again = load("phoneme", n_rows=50), load("phoneme", n_rows=50)
    other = load("phoneme", n_rows=50, random_state=1)
    assert np.array_equal(first.X, again.X)
    assert not np.array_equal(first.X, other.X)


def test_load_refuses_unknown_names_and_too_many_rows():
    with pytest.raises(ValueError, match=r"name must be one of .*, got 'mnist'\."):
        load("mnist")
    with pytest.raises(ValueError, match="n_rows must be at most 5404"):
        load("phoneme", n_rows=10_000)
    assert "letter" in NAMES
