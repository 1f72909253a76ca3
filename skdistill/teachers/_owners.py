"""Who holds a claim, and whether they still live."""

import functools
import os
import platform

_PROC = "/proc/self"


def this_process():
    """Name this process among all that may share a file: place, number, start.

    Returns
    -------
    owner : str
        The start tells a process from a later one with the same number.
    """
    pid = os.getpid()
    return f"{_place()}|{pid}|{_started(pid)}"


def is_dead(owner):
    """Tell whether a process is known to be gone; False where nobody can tell."""
    place, pid, started = owner.rsplit("|", 2)
    if place != _place() or os.name != "posix":
        return False
    pid = int(pid)
    try:
        os.kill(pid, 0)  # sends nothing, only asks
    except ProcessLookupError:
        return True
    except PermissionError:  # somebody else's: it lives
        return False
    return _started(pid) != started or _is_zombie(pid)


@functools.cache
def _place():
    """Where process numbers mean the same: the host and, on Linux, the container."""
    try:
        space = os.readlink(f"{_PROC}/ns/pid")
    except OSError:  # no Linux
        space = ""
    return f"{platform.node()}/{space}"


def _started(pid):
    """Start of a process in the kernel's ticks, on Linux; "" elsewhere."""
    fields = _stat(pid)
    return fields[19] if fields else ""


def _is_zombie(pid):
    fields = _stat(pid)
    return bool(fields) and fields[0] == "Z"


def _stat(pid):
    """Fields of /proc/<pid>/stat after the name, which may hold spaces."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []
