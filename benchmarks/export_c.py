"""What exported C costs: ``python -m benchmarks.export_c``.

On `letter`, an MLPStudent of two hidden layers of 64 units as float32 and int8: time of
a row beside loops written by hand at the same compiler flags, bytes on two
microcontrollers, and what int8 costs in log-loss and agreement. A tree, a forest and a
logistic student stand beside it.

Compilers that are not there leave their columns empty.
"""

import argparse
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.tree import DecisionTreeClassifier

from benchmarks.datasets import load
from skdistill import LogisticStudent, MLPStudent
from skdistill.deploy import export_c

FLAGS = (("gcc", "-O2"), ("gcc", "-O3"), ("clang", "-O2"), ("clang", "-O3"))
CORES = {
    "M0": ("-mcpu=cortex-m0", "-mthumb"),
    "M4": ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"),
}

TIMER = """
#include <stdio.h>
#include <time.h>
static float rows[@n@][@d@], p[@k@];
int main(int argc, char **argv)
{
    struct timespec from, to;
    double best = 1e30;
    float sum = 0.0f;
    int i, turn;
    FILE *file = fopen(argv[argc - 1], "rb");
    if (!file || fread(rows, sizeof rows, 1, file) != 1) return 1;
    for (turn = 0; turn < @turns@; turn++) {
        double spent;
        clock_gettime(CLOCK_MONOTONIC, &from);
        for (i = 0; i < @n@; i++) {
            @call@(rows[i], p);
            sum += p[0];
        }
        clock_gettime(CLOCK_MONOTONIC, &to);
        spent = (double)(to.tv_sec - from.tv_sec) * 1e9;
        spent += (double)(to.tv_nsec - from.tv_nsec);
        best = spent < best ? spent : best;
    }
    printf("%.9g %.9g\\n", (double)sum, best / @n@);
    return 0;
}
"""

#: As one would write the student by hand, with the tables of the generated header. The
#: first adds each input's share to all sums, the second sums up one unit at a time.
BY_HAND = """
#include <math.h>
#include "mlp.h"
static inline void layer(const float *in, int n_in, const float *w, const float *b,
                         int n_out, int relu, float *out)
{
    int i, j;
#if @by_unit@
    for (j = 0; j < n_out; j++) {
        float sum = b[j];
        for (i = 0; i < n_in; i++) sum += in[i] * w[i * n_out + j];
        out[j] = sum;
    }
#else
    for (j = 0; j < n_out; j++) out[j] = b[j];
    for (i = 0; i < n_in; i++) {
        for (j = 0; j < n_out; j++) out[j] += in[i] * w[i * n_out + j];
    }
#endif
    if (relu) {
        for (j = 0; j < n_out; j++) out[j] = out[j] > 0.0f ? out[j] : 0.0f;
    }
}
static void by_hand(const float *x, float *p)
{
    float z[16], a[64], b[64], top, sum = 0.0f;
    int i;
    for (i = 0; i < 16; i++) {
        z[i] = (x[i] - mlp_center[i]) * mlp_rate[i];
        z[i] /= sqrtf(1.0f + z[i] * z[i] / 9.0f);
    }
    layer(z, 16, mlp_weights_0, mlp_bias_0, 64, 1, a);
    layer(a, 64, mlp_weights_1, mlp_bias_1, 64, 1, b);
    layer(b, 64, mlp_weights_2, mlp_bias_2, 26, 0, p);
    top = p[0];
    for (i = 1; i < 26; i++) top = p[i] > top ? p[i] : top;
    for (i = 0; i < 26; i++) {
        p[i] = expf(p[i] - top);
        sum += p[i];
    }
    for (i = 0; i < 26; i++) p[i] /= sum;
}
"""


def students(X, y, n_trees=10):
    """Fit the students to be exported."""
    return {
        "mlp": MLPStudent((64, 64), random_state=0).fit(X, y),
        "logistic": LogisticStudent().fit(X, y),
        "tree": DecisionTreeClassifier(max_leaf_nodes=512, random_state=0).fit(X, y),
        "forest": ExtraTreesClassifier(n_trees, max_leaf_nodes=256, random_state=0).fit(
            X, y
        ),
    }


def filled(template, **words):
    """Put words for ``@word@``."""
    for key, word in words.items():
        template = template.replace(f"@{key}@", str(word))
    return template


def build_timer(folder, code, call, compiler, flag, shape):
    """Compile a program that times a function on rows; return its path."""
    n_rows, n_columns, n_classes, turns = shape
    timer = filled(TIMER, n=n_rows, d=n_columns, k=n_classes, call=call, turns=turns)
    source = folder / "timer.c"
    source.write_text("#define _POSIX_C_SOURCE 199309L\n" + code + timer)
    program = folder / f"{call}_{compiler}{flag}_{abs(hash(code))}"
    # Unused functions of the header are of no concern here.
    command = [compiler, "-std=c99", flag, "-w", f"-I{folder}", source, "-o", program]
    subprocess.run([*command, "-lm"], check=True)
    return program


def time_row(folder, programs, rows, rounds):
    """Nanoseconds a row of each program: median over rounds in which all take turns.

    In a round a program counts by the fastest of its passes over the rows, so that
    other work on the machine is left out.
    """
    rows.astype(np.float32).tofile(folder / "rows")
    times = {name: [] for name in programs}
    for turn in range(rounds + 1):
        for name, program in programs.items():
            done = subprocess.run(
                [program, folder / "rows"], check=True, capture_output=True, text=True
            )
            if turn:
                times[name].append(float(done.stdout.split()[1]))
    return {name: median(values) for name, values in times.items()}


def sizes(folder, name, core):
    """Bytes of flash of a program that asks the header one row, linked and whole.

    The C library's and the compiler's functions that it needs are included; start-up
    code is not.
    """
    upper = name.upper()
    source = (
        f'#include "{name}.h"\n'
        f"float row[{upper}_N_FEATURES], p[{upper}_N_CLASSES];\nvolatile int best;\n"
        f"void _start(void);\n"
        f"void _start(void) {{ best = {name}_predict_proba(row, p); }}\n"
    )
    return linked(folder, source, core)


def linked(folder, source, core, flags=()):
    """Bytes of flash of a program without start-up code."""
    if shutil.which("arm-none-eabi-gcc") is None:
        return None
    (folder / "bare.c").write_text(source)
    link = ("-nostartfiles", "--specs=nosys.specs", "--specs=nano.specs")
    compiler = ("arm-none-eabi-gcc", "-std=c99", "-w", "-Os", f"-I{folder}")
    target = (*CORES[core], "-ffunction-sections", "-Wl,--gc-sections")
    files = (folder / "bare.c", "-lm", "-o", folder / "bare")
    subprocess.run([*compiler, *target, *flags, *link, *files], check=True)
    done = subprocess.run(
        ["arm-none-eabi-size", folder / "bare"],
        check=True,
        capture_output=True,
        text=True,
    )
    text, data = map(int, done.stdout.splitlines()[1].split()[:2])
    return text + data


def answers(folder, name, rows, n_classes):
    """Probabilities of rows by a generated header."""
    from skdistill.deploy._c._proof import compile_and_run, find_compiler

    text = (folder / f"{name}.h").read_text()
    return compile_and_run(find_compiler(), text, name, rows, n_classes, folder)[0]


PEER = """
#include <stdio.h>
#include "@file@"
int main(int argc, char **argv)
{
    float x[@d@];
    @real@ v[@d@], p[@k@];
    int i;
    FILE *in = fopen(argv[argc - 2], "rb"), *out = fopen(argv[argc - 1], "wb");
    while (fread(x, sizeof x, 1, in) == 1) {
        for (i = 0; i < @d@; i++) v[i] = x[i];
        @call@;
        for (i = 0; i < @k@; i++) x[0] = (float)p[i], fwrite(x, sizeof *x, 1, out);
    }
    return fclose(out);
}
"""


def peers(tree, folder):
    """C of other packages for a tree: file, call, kind of number, compiler's flags."""
    made = {}
    if find_spec("m2cgen"):
        import m2cgen

        sys.setrecursionlimit(100_000)
        (folder / "m2cgen.h").write_text(m2cgen.export_to_c(tree))
        made["m2cgen"] = ("m2cgen.h", "score(v, p)", "double", ())
    if find_spec("emlearn"):
        import emlearn

        model = emlearn.convert(tree, method="inline", dtype="float")
        model.save(name="em", file=str(folder / "emlearn.h"))
        call = "em_predict_proba(v, @d@, p, @k@)"
        flags = (f"-I{emlearn.includedir}",)
        made["emlearn"] = ("emlearn.h", call, "float", flags)
    return made


def report_peers(folder, tree, X):
    """Print what other packages make of the tree, where they are installed."""
    n_columns, n_classes = X.shape[1], len(tree.classes_)
    X.astype(np.float32).tofile(folder / "rows")
    for name, (file, call, real, flags) in peers(tree, folder).items():
        words = {"call": call, "file": file, "real": real}
        words |= {"d": n_columns, "k": n_classes}
        (folder / "peer.c").write_text(filled(PEER, **words))
        command = ["gcc", "-w", *flags, folder / "peer.c", "-o", folder / "peer", "-lm"]
        subprocess.run(command, check=True)
        files = (folder / "rows", folder / "answers")
        subprocess.run([folder / "peer", *files], check=True)
        P = np.fromfile(files[1], dtype=np.float32).reshape(-1, n_classes)
        gap = np.abs(P - tree.predict_proba(X)).max()
        source = (
            f'#include "{file}"\n{real} v[{n_columns}], p[{n_classes}];\n'
            + filled(f"void _start(void) {{ {call}; }}\n", d=n_columns, k=n_classes)
        )
        print(
            f"\ntree by {name}: {linked(folder, source, 'M4', flags)} bytes on M4, "
            f"largest difference of a probability {gap:.1e}"
        )


def exported_names(models):
    """Pairs of name and kind of number of all headers."""
    return [(name, dtype) for name in models for dtype in ("float32", "int8")]


def header_name(name, dtype):
    """Name of the header of a student."""
    return name if dtype == "float32" else f"{name}_int8"


def report_quality(folder, models, X, y):
    """Print bytes and what int8 costs, on rows that no student has seen."""
    print("| student | dtype | flash M0 | flash M4 | RAM | log-loss | agreement |")
    print("|---|---|---|---|---|---|---|")
    for name, dtype in exported_names(models):
        model, header = models[name], header_name(name, dtype)
        P = answers(folder, header, X.astype(np.float32), len(model.classes_))
        P = P.astype(np.float64)
        truth = model.predict_proba(X)
        change = log_loss(y, P / P.sum(axis=1, keepdims=True)) - log_loss(y, truth)
        agree = np.mean(P.argmax(axis=1) == truth.argmax(axis=1))
        flash = [sizes(folder, header, core) for core in CORES]
        ram = stack_of(folder, header)
        print(
            f"| {name} | {dtype} | {flash[0]} | {flash[1]} | {ram} | "
            f"{log_loss(y, truth):.4f} {change:+.5f} | {agree:.4f} |"
        )


def stack_of(folder, name):
    """Bytes of stack that a row takes on a Cortex-M4, by the compiler's own count."""
    if shutil.which("arm-none-eabi-gcc") is None:
        return None
    # All functions are inlined into the one that the last program calls.
    flags = ("-std=c99", "-O2", "-fstack-usage", f"-I{folder}", *CORES["M4"])
    target = folder / "stack.o"
    subprocess.run(
        ["arm-none-eabi-gcc", *flags, "-c", folder / "bare.c", "-o", target],
        check=True,
    )
    lines = target.with_suffix(".su").read_text().splitlines()
    return sum(int(line.split("\t")[1]) for line in lines)


def report_time(folder, models, X, *, turns, rounds):
    """Print the time of a row, and the ratio to the faster loop by hand."""
    print("\n| compiler | " + " | ".join(timed_names(models)) + " | ratio |")
    print("|---" * (len(timed_names(models)) + 2) + "|")
    for compiler, flag in FLAGS:
        if shutil.which(compiler) is None:
            continue
        programs = {}
        for name in timed_names(models):
            if name.startswith("by hand"):
                code = filled(BY_HAND, by_unit=int(name.endswith("units")))
                call, n_classes = "by_hand", 26
            else:
                code, call = f'#include "{name}.h"\n', f"{name}_predict_proba"
                n_classes = len(models[name.removesuffix("_int8")].classes_)
            shape = len(X), X.shape[1], n_classes, turns
            programs[name] = build_timer(folder, code, call, compiler, flag, shape)
        times = time_row(folder, programs, X, rounds)
        by_hand = min(t for name, t in times.items() if name.startswith("by hand"))
        cells = " | ".join(f"{t:.0f} ns" for t in times.values())
        print(f"| {compiler} {flag} | {cells} | {times['mlp'] / by_hand:.2f} |")


def timed_names(models):
    """Names of what is timed."""
    headers = [header_name(*pair) for pair in exported_names(models)]
    return ["by hand", "by hand, units", *headers]


def main(argv=None):
    """Fit, export, and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--turns", type=int, default=20)
    options = parser.parse_args(argv)
    X, y = load("letter")
    X, X_test, y, y_test = train_test_split(
        X, y, test_size=0.2, stratify=y, random_state=0
    )
    models = students(X, y)
    with TemporaryDirectory() as place:
        folder = Path(place)
        for name, dtype in exported_names(models):
            path = folder / f"{header_name(name, dtype)}.h"
            export_c(models[name], path, dtype=dtype, X=X)
        report_quality(folder, models, X_test, y_test)
        report_peers(folder, models["tree"], X_test)
        report_time(folder, models, X_test, turns=options.turns, rounds=options.rounds)


if __name__ == "__main__":
    sys.exit(main())
