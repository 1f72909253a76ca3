"""Generated C, compiled and run beside the fitted model."""

import shutil
import subprocess
from pathlib import Path

import numpy as np

#: Compilers to look for, in this order.
COMPILERS = ("cc", "gcc", "clang")

_FLAGS = ("-std=c99", "-O1", "-x", "c")

_DRIVER = """#include <stdio.h>
#include "@n@.h"
int main(int argc, char **argv)
{
    float x[@d@], p[@k@];
    FILE *rows = argc == 3 ? fopen(argv[1], "rb") : NULL;
    FILE *answers = argc == 3 ? fopen(argv[2], "wb") : NULL;
    if (!rows || !answers) return 1;
    while (fread(x, sizeof x, 1, rows) == 1) {
        @n@_predict_proba(x, p);
        if (fwrite(p, sizeof p, 1, answers) != 1) return 1;
    }
    return fclose(rows) | fclose(answers);
}
"""


def find_compiler():
    """Path of a C compiler, or None."""
    return next(filter(None, map(shutil.which, COMPILERS)), None)


def compile_and_run(compiler, text, name, rows, n_classes, folder):
    """Answer rows by a generated header, and run its self-test.

    Parameters
    ----------
    compiler : str
        Path of a C compiler.

    text : str
        The header.

    name : str
        What its functions begin with.

    rows : ndarray of float32 of shape (n_samples, n_features)

    n_classes : int

    folder : Path
        Where files may be left.

    Returns
    -------
    P : ndarray of float32 of shape (n_samples, n_classes)

    self_test : str
        What the self-test printed; empty where it passed.

    Raises
    ------
    RuntimeError
        If the compiler or the program fails.
    """
    header, driver = folder / f"{name}.h", folder / "driver.c"
    header.write_text(text, encoding="ascii")
    words = {"@n@": name, "@d@": str(rows.shape[1]), "@k@": str(n_classes)}
    code = _DRIVER
    for key, word in words.items():
        code = code.replace(key, word)
    driver.write_text(code, encoding="ascii")
    _compile(compiler, driver, folder / "driver", [])
    _compile(compiler, header, folder / "selftest", [f"-D{name.upper()}_SELF_TEST"])
    rows.astype(np.float32).tofile(folder / "rows")
    _run([folder / "driver", folder / "rows", folder / "answers"])
    P = np.fromfile(folder / "answers", dtype=np.float32).reshape(-1, n_classes)
    done = subprocess.run(
        [folder / "selftest"], capture_output=True, text=True, check=False
    )
    return P, "" if done.returncode == 0 else done.stdout


def _compile(compiler, source, program, flags):
    _run([compiler, *_FLAGS, *flags, source, "-lm", "-o", program])


def _run(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = "\n".join(done.stderr.splitlines()[:20])
        raise RuntimeError(
            f"{Path(command[0]).name!r} failed on the generated C (exit status "
            f"{done.returncode}), nothing was written:\n{said}"
        )


def version_of(compiler):
    """First line of what a compiler says of itself, e.g. "cc 12.2.0"."""
    done = subprocess.run(
        [compiler, "-dumpversion"], capture_output=True, text=True, check=False
    )
    return f"{Path(compiler).name} {done.stdout.strip()}".strip()
