"""Finished pieces of work, one line of JSON each, and what they were measured with."""

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "results"

#: Version of what DistilledClassifier does by default. Raised whenever a default
#: changes: lines of older versions stay in the files, and are measured anew.
RECIPE = "6"

#: Stands in place of `RECIPE` where a line owes nothing to any default.
FIXED = "fixed"

_PACKAGES = ("skdistill", "scikit-learn", "numpy", "torch", "lightgbm")


@dataclass(frozen=True)
class Unit:
    """The smallest piece of work that a cut-off run does not lose.

    Parameters
    ----------
    table, teacher, student, setting : str
        What is measured.

    seed : int
        Of split, teacher and student.

    measure : callable
        Does the work and returns a dict of figures.

    recipe : str, default=RECIPE
        `FIXED` where no default of DistilledClassifier plays a part.

    details : dict, default={}
        Written along: lengths, sizes, what was scaled down.
    """

    table: str
    teacher: str
    student: str
    setting: str
    seed: int
    measure: Callable = field(compare=False, repr=False)
    recipe: str = RECIPE
    details: dict = field(default_factory=dict, compare=False)

    @property
    def key(self):
        """What tells this unit from others."""
        return {name: getattr(self, name) for name in KEY}


KEY = ("table", "teacher", "student", "setting", "seed", "recipe")


def path_of(name):
    """File that holds the lines of an experiment."""
    return RESULTS / f"{name}.jsonl"


def read(name):
    """Lines of an experiment as dicts, in the order in which they were finished."""
    path = path_of(name)
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def run(units, name=None):
    """Do what is not done yet.

    Parameters
    ----------
    units : iterable of Unit
        In the order in which they are to be done.

    name : str or None, default=None
        Experiment whose file knows what is done and takes what gets done. None, the
        smoke mode, does everything and writes nothing.

    Returns
    -------
    lines : list of dict
        What was done now.
    """
    done = [] if name is None else [{k: line[k] for k in KEY} for line in read(name)]
    lines = []
    for unit in units:
        if unit.key in done:
            continue
        start = time.perf_counter()
        figures = unit.measure()
        seconds = round(time.perf_counter() - start, 1)
        line = unit.key | {
            "figures": figures, "details": unit.details, "seconds": seconds,
            "machine": machine(), "versions": versions(),
        }  # fmt: skip
        lines.append(line)
        if name is not None:
            append(name, line)
        words = ", ".join(str(unit.key[k]) for k in KEY[:5])
        print(f"{words}: {figures} ({seconds:g} s)", flush=True)
    return lines


def append(name, line):
    """Add a line to the file of an experiment, whole or not at all."""
    path = path_of(name)
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")


def command(name, list_units):
    """Run an experiment as its command line says.

    Parameters
    ----------
    name : str
        Of the experiment and of its file.

    list_units : callable
        (n_seeds, smoke) -> iterable of Unit.
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.reproduce.{name}")
    parser.add_argument("--seeds", type=int, default=1, help="splits (default: 1)")
    parser.add_argument(
        "--smoke", action="store_true", help="tiny sizes, nothing is written"
    )
    args = parser.parse_args()
    run(list_units(args.seeds, args.smoke), None if args.smoke else name)


# -- what it was measured with ---------------------------------------------------------


def machine():
    """Describe the machine in words, and how busy it is: seconds depend on it."""
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return (
        f"{os.cpu_count()} cores, {_gpu()}, OMP_NUM_THREADS {threads}, "
        f"load average {load:.1f}"
    )


def _gpu():
    """Name of the GPU, as far as torch sees one."""
    import torch

    if not torch.cuda.is_available():
        return "no GPU"
    return torch.cuda.get_device_name()


def versions():
    """Versions of what the figures depend on, as far as it is installed."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def cache_folder():
    """Folder for what is large and made again when lost; never committed."""
    default = Path.home() / ".cache" / "skdistill-benchmarks"
    folder = Path(os.environ.get("SKDISTILL_BENCH_CACHE", default))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
