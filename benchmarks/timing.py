"""Fair comparisons on a machine that others use too."""

import subprocess
import sys
from pathlib import Path
from statistics import median
from time import perf_counter


def seconds(function, number=1):
    """Seconds of one call, on average over `number` calls in a row."""
    start = perf_counter()
    for _ in range(number):
        function()
    return (perf_counter() - start) / number


def interleaved(functions, *, rounds, number=1):
    """Time functions in turn, so that a busy moment meets them all.

    Parameters
    ----------
    functions : dict of str to callable
        What to time.

    rounds : int
        How often each gets its turn, after one that does not count.

    number : int, default=1
        Calls in a turn.

    Returns
    -------
    times : dict of str to list of float
        Seconds of one call, for each round.
    """
    times = {name: [] for name in functions}
    for turn in range(rounds + 1):
        for name, function in functions.items():
            spent = seconds(function, number)
            if turn:
                times[name].append(spent)
    return times


def ratio(times, above, below):
    """Median over rounds of the ratio of two times."""
    pairs = zip(times[above], times[below], strict=True)
    return median(a / b for a, b in pairs)


def peak_growth(module, function):
    """Bytes that a call needs at its peak beyond what was resident (Linux only).

    Parameters
    ----------
    module : str
        Where the function is.

    function : str
        Name of a function that warms up and returns what to call. It runs in a fresh
        process.
    """
    code = (
        f"from {module} import {function} as make; "
        "from benchmarks.timing import resident, reset_peak; "
        "call = make(); reset_peak(); before = resident('VmRSS'); kept = call(); "
        "print(resident('VmHWM') - before)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return int(done.stdout)


def resident(field):
    """Memory of this process in bytes: "VmRSS" now, "VmHWM" at its peak."""
    # Not getrusage: its peak is handed down from the process that started this one.
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return 1024 * int(line.split()[1])
    raise OSError(f"/proc/self/status has no field {field!r}.")


def reset_peak():
    """Let the peak begin again at what is resident now."""
    Path("/proc/self/clear_refs").write_text("5")
