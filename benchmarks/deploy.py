"""What it costs to answer one row, everywhere: ``python -m benchmarks.deploy``.

On `letter` (16 numbers, 26 classes): the teacher, its student (two hidden layers of 64
units) in scikit-learn's form, `load_onnx` and the bare session of onnxruntime on the
same files, and generated C in a loop. One row is asked in turn of each, in this process
and on one thread; first answers are of fresh processes, also in turn. Takes about five
minutes; ``--fast`` one, on few rows and trees.
"""

import argparse
import os
import pickle
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, perf_counter_ns
from typing import NamedTuple

import numpy as np
import onnxruntime
from sklearn.ensemble import ExtraTreesClassifier
from threadpoolctl import threadpool_limits

from benchmarks.datasets import load
from skdistill import DistilledClassifier, MLPStudent
from skdistill.deploy import export_c, export_onnx, load_onnx

HIDDEN = (64, 64)
#: The least that a program with onnxruntime does.
IMPORTS = "import numpy, onnxruntime"
#: What load_onnx may take of the bare session's time, and of the bare start's.
BARS = {"p50": 1.3, "p99": 2.0, "first answer": 1.2}


class Cost(NamedTuple):
    """Costs of one way to answer; None where one was not measured.

    Parameters
    ----------
    p50, p99 : float
        Seconds of one row.

    start : float
        Seconds to the first answer from a fresh process.

    n_bytes : int
        Bytes on disk.
    """

    p50: float | None = None
    p99: float | None = None
    start: float | None = None
    n_bytes: int | None = None


# -- models and files ------------------------------------------------------------------


def fit(n_rows, n_trees):
    """Fit teacher and student.

    Returns
    -------
    teacher, student : fitted classifiers

    X : ndarray of float32 of shape (n_samples, 16)
        The rows.
    """
    X, y = load("letter", n_rows=n_rows)
    teacher = ExtraTreesClassifier(n_trees, n_jobs=2, random_state=0)
    small = DistilledClassifier(
        teacher, MLPStudent(HIDDEN), alpha=0.5, transfer=None, random_state=0
    ).fit(X, y)
    teacher = small.teacher_.set_params(n_jobs=1)
    return teacher, small.student_, np.ascontiguousarray(X, dtype=np.float32)


def write(folder, teacher, student, X):
    """Write every form of the models to disk; return the paths by name."""
    paths = {}
    for name, model in (("teacher", teacher), ("student", student)):
        paths[name] = folder / f"{name}.pickle"
        with open(paths[name], "wb") as file:
            pickle.dump(model, file, protocol=pickle.HIGHEST_PROTOCOL)
    for name, quantize in (("float32", None), ("float16", "float16"), ("int8", "int8")):
        paths[name] = folder / f"{name}.onnx"
        export_onnx(student, paths[name], X=X[:1000], quantize=quantize)
    return paths


def bare_session(path):
    """Session as load_onnx makes it, without load_onnx."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        str(path), options, providers=["CPUExecutionProvider"]
    )


# -- one row ---------------------------------------------------------------------------


def row_calls(teacher, student, paths, row):
    """Ways to answer one row, by name: functions without arguments."""
    calls = {
        "teacher": lambda: teacher.predict_proba(row),
        "student, scikit-learn's form": lambda: student.predict_proba(row),
    }
    for name in ("float32", "float16", "int8"):
        model, run = load_onnx(paths[name]), bare_session(paths[name]).run
        feed = {model.metadata_["inputs"][0]["name"]: row}
        calls[f"load_onnx, {name}"] = lambda ask=model.predict_proba: ask(row)
        calls[f"bare session, {name}"] = lambda run=run, feed=feed: run(
            ["probabilities"], feed
        )
    return calls


def percentiles(calls, rounds, n_calls=500):
    """Median and 99th percentile of the seconds of a call, all taking turns.

    Both are medians over turns: a moment in which the machine is busy is left out.
    """
    times = {name: [] for name in calls}
    for turn in range(rounds + 1):
        for name, call in calls.items():
            n_now = 5 if name == "teacher" else n_calls
            spent = [_nanoseconds(call) for _ in range(n_now)]
            if turn:
                times[name].append(np.percentile(spent, [50, 99]) / 1e9)
    return {
        name: tuple(np.median(spent, axis=0).tolist()) for name, spent in times.items()
    }


def _nanoseconds(call):
    start = perf_counter_ns()
    call()
    return perf_counter_ns() - start


# -- first answers ---------------------------------------------------------------------

_BARE = """
import numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession({path!r}, options)
session.run(["probabilities"], {{{name!r}: numpy.ones((1, 16), "float32")}})
"""
_LOAD = """
import numpy
from skdistill.deploy import load_onnx
load_onnx({path!r}).predict_proba(numpy.ones((1, 16), "float32"))
"""
_PICKLE = """
import numpy, pickle
with open({path!r}, "rb") as file:
    pickle.load(file).predict_proba(numpy.ones((1, 16), "float32"))
"""


def start_codes(paths):
    """Programs that answer one row and end."""
    (name,) = (entry.name for entry in bare_session(paths["float32"]).get_inputs())
    codes = {
        "import numpy": "import numpy",
        IMPORTS: IMPORTS,
        "teacher": _PICKLE.format(path=str(paths["teacher"])),
        "student, scikit-learn's form": _PICKLE.format(path=str(paths["student"])),
    }
    for kind in ("float32", "float16", "int8"):
        path = str(paths[kind])
        codes[f"load_onnx, {kind}"] = _LOAD.format(path=path)
        codes[f"bare session, {kind}"] = _BARE.format(path=path, name=name)
    return codes


def starts(codes, rounds, folder):
    """Seconds of a fresh process, for each turn but the first, which compiles."""
    environment = os.environ | {"PYTHONPYCACHEPREFIX": str(folder / "pycache")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    times = {name: [] for name in codes}
    for turn in range(rounds + 1):
        for name, code in codes.items():
            start = perf_counter()
            command = [sys.executable, "-c", code]
            subprocess.run(command, check=True, env=environment)
            if turn:
                times[name].append(perf_counter() - start)
    return times


# -- C ---------------------------------------------------------------------------------


def c_costs(folder, student, X, rounds):
    """Costs of generated C: a loop over rows, within one program."""
    from benchmarks.export_c import build_timer, sizes, time_row

    compiler = shutil.which("gcc")
    if compiler is None:
        return {}
    programs, n_bytes, rows = {}, {}, X[:1000]
    for dtype in ("float32", "int8"):
        place = folder / dtype
        place.mkdir()
        export_c(student, place / "mlp.h", dtype=dtype)
        shape = (*rows.shape, len(student.classes_), 20)
        code = '#include "mlp.h"\n'
        name = f"C in a loop, {dtype}"
        programs[name] = build_timer(
            place, code, "mlp_predict_proba", "gcc", "-O2", shape
        )
        n_bytes[name] = sizes(place, "mlp", "M4")
    times = time_row(folder, programs, rows, rounds)
    return {
        name: Cost(p50=times[name] / 1e9, n_bytes=n_bytes[name]) for name in programs
    }


# -- the table -------------------------------------------------------------------------


def table(costs):
    """Lay costs out as text, best read with a fixed width."""
    head = f"{'one row, microseconds:':<32}{'p50':>12}{'p99':>12}"
    lines = [f"{head}{'first answer, ms':>20}{'bytes':>14}"]
    for name, cost in costs.items():
        lines.append(
            f"{name:<32}{_shown(cost.p50, 1e6, 2):>12}{_shown(cost.p99, 1e6, 2):>12}"
            f"{_shown(cost.start, 1e3, 0):>20}{_shown(cost.n_bytes, 1, 0):>14}"
        )
    return "\n".join(lines)


def _shown(value, unit, digits):
    return "" if value is None else f"{value * unit:,.{digits}f}"


def verdicts(rows, first):
    """One line for each thing that was asked for."""
    lines = []
    for kind in ("float32", "float16", "int8"):
        what, bare = f"load_onnx, {kind}", f"bare session, {kind}"
        ratios = [
            ("p50", "bare session", rows[what][0] / rows[bare][0]),
            ("p99", "bare session", rows[what][1] / rows[bare][1]),
            ("first answer", "bare session", _paired(first, what, bare)),
            ("first answer", "imports alone", _paired(first, what, IMPORTS)),
        ]
        for name, against, value in ratios:
            met = "yes" if value <= BARS[name] else "no"
            lines.append(
                f"{what:<20}{name:<14}{value:>6.2f} times the {against:<15}"
                f"asked for: <= {BARS[name]}   holds: {met}"
            )
    return "\n".join(lines)


def _paired(times, above, below):
    pairs = zip(times[above], times[below], strict=True)
    return median(a / b for a, b in pairs)


def main(fast=False):
    """Fit, write, measure and print."""
    n_rows, n_trees, rounds = (2_000, 20, 3) if fast else (20_000, 300, 20)
    teacher, student, X = fit(n_rows, n_trees)
    with TemporaryDirectory() as name, threadpool_limits(limits=1):
        folder = Path(name)
        paths = write(folder, teacher, student, X)
        rows = percentiles(row_calls(teacher, student, paths, X[:1].copy()), rounds)
        first = starts(start_codes(paths), rounds, folder)
        files = {
            f"{way}, {kind}": paths[kind].stat().st_size
            for way in ("load_onnx", "bare session")
            for kind in ("float32", "float16", "int8")
        }
        files["teacher"] = paths["teacher"].stat().st_size
        files["student, scikit-learn's form"] = paths["student"].stat().st_size
        costs = {
            name: Cost(
                *rows.get(name, (None, None)), median(first[name]), files.get(name)
            )
            for name in first
        } | c_costs(folder, student, X, rounds)
    print(
        f"Python {platform.python_version()}, numpy {np.__version__}, onnxruntime "
        f"{onnxruntime.__version__}, {os.cpu_count()} CPUs; forest of {n_trees} trees, "
        f"{len(X):,} rows\n\n{table(costs)}\n\n{verdicts(rows, first)}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true", help="few rows, trees and turns")
    main(**vars(parser.parse_args()))
