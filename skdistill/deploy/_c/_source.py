"""The whole header: what a firmware developer reads, tables, functions, self-test."""

import sklearn

import skdistill
from skdistill.deploy._c._names import Identifiers, in_comment, in_string
from skdistill.deploy._c._net_source import net_source
from skdistill.deploy._c._program import Trees, WholeNet
from skdistill.deploy._c._text import Tables, array, fill, real, wrapped
from skdistill.deploy._c._tree_source import tree_source

#: Bytes of instructions beside the tables: about what -Os gives for a Cortex-M4.
_CODE_BYTES = {"trees": 400, "net": 1_000}
#: Saved registers and loop variables, beside the arrays on the stack.
_FRAME_BYTES = 128

_SOURCE = """/* @title@
 *
@about@
 */
#ifndef @GUARD@
#define @GUARD@

#include <limits.h>
#include <math.h>
#include <stdint.h>

#if INT_MAX < 2147483647
#error "@n@ needs an int of 32 bits"
#endif
#ifdef __FAST_MATH__
#error "compile @n@ without -ffast-math: missing and infinite inputs would go unseen"
#endif

@interface@
/* ---- tables ---- */

@tables@
/* ---- functions ---- */
@functions@
/* The most probable class of a row, or -1 where it cannot be answered. */
static inline int @n@_predict(const float *x)
{
    float p[@k@];
    return @n@_predict_proba(x, p);
}

@test@
#endif
"""

_TEST = """/* ---- self-test: rows and the probabilities of the fitted model ---- */

#ifdef @N@_SELF_TEST
#include <stdio.h>

@rows@
@answers@
int main(void)
{
    float p[@k@], worst = 0.0f;
    int i, j, failed = 0;
    for (i = 0; i < @n_rows@; i++) {
        int best = @n@_predict_proba(@n@_test_rows + @d@ * i, p), is_bad = best < 0;
        is_bad |= best != @n@_predict(@n@_test_rows + @d@ * i);
        for (j = 0; j < @k@; j++) {
            float gap = p[j] - @n@_test_answers[@k@ * i + j];
            gap = gap < 0.0f ? -gap : gap;
            if (!(gap <= @tolerance@)) is_bad = 1;
            worst = gap > worst ? gap : worst;
        }
        if (is_bad) {
            printf("row %d is wrong: %s\\n", i, best < 0 ? "-" : @n@_classes[best]);
        }
        failed += is_bad;
    }
    printf("@n@: %d of @n_rows@ rows wrong, largest difference %.1e\\n", failed,
           (double)worst);
    return failed != 0;
}
#endif
"""


def write_source(program, interface, name, rows, answers, *, tolerance, kind):
    """Write a program as one header.

    Parameters
    ----------
    program : Net, WholeNet or Trees

    interface : Interface

    name : str
        What everything in the header begins with.

    rows : ndarray of float32 of shape (n_rows, n_features)
        Of the self-test.

    answers : ndarray of shape (n_rows, n_classes)
        What it expects.

    tolerance : float
        Largest difference that it lets pass.

    kind : str
        Name of the student.

    Returns
    -------
    text : str
        With ``@proof@`` where the outcome of the proof goes.

    n_flash, n_ram : int
        Estimates of bytes.
    """
    tables, names = Tables(name), Identifiers(name)
    write = tree_source if isinstance(program, Trees) else net_source
    functions, n_stack = write(program, interface, tables)
    n_code = _CODE_BYTES["trees" if isinstance(program, Trees) else "net"]
    n_flash, n_ram = tables.n_bytes + n_code, n_stack + _FRAME_BYTES
    guard = names.new("h")
    words = {"n": name, "d": interface.n_features, "k": len(interface.classes)}
    test = fill(
        _TEST,
        N=name.upper(),
        rows=array("float", f"{name}_test_rows", rows.ravel()),
        answers=array("float", f"{name}_test_answers", answers.ravel()),
        n_rows=len(rows),
        tolerance=real(tolerance),
        **words,
    )
    stored = "int8" if isinstance(program, WholeNet) else "float32"
    text = fill(
        _SOURCE,
        title=f"{name}: {kind} of skdistill {skdistill.__version__} "
        f"(scikit-learn {sklearn.__version__}) as C99",
        about=_about(interface, name, tables.n_bytes, n_code, n_ram, stored),
        GUARD=guard,
        interface=_interface(interface, name, names),
        tables=tables.text(),
        functions=functions.lstrip("\n"),
        test=test,
        **words,
    )
    return text, n_flash, n_ram


_ABOUT = """Use: #include this file in one C or C++ source file, then
  float p[@N@_N_CLASSES];
  int best = @n@_predict_proba(row, p);
It allocates nothing, changes no global, and calls only sqrtf and powf, where at all.

Rows: @d@ floats, in the order of enum @n@_feature.
@rules@

Flash: about @flash@ bytes (tables @tables@, code about @code@ on a Cortex-M4 at -Os;
a core without FPU adds the compiler's float routines, about 2 kB).
RAM: about @ram@ bytes of stack, and the caller's row and probabilities.

Self-test: cc -std=c99 -D@N@_SELF_TEST -x c @n@.h -lm -o selftest && ./selftest
@proof@"""


def _about(interface, name, n_tables, n_code, n_ram, stored):
    rules = ["Infinite numbers are refused: the functions return -1."]
    if interface.allow_nan:
        rules.append("NaN stands for a missing number.")
    else:
        rules.append("NaN is refused too.")
    if interface.categories:
        rules.append("Categories are passed as the codes below; any other number, e.g.")
        rules.append("-1, is a level that the model never saw.")
    text = fill(
        _ABOUT,
        rules="\n".join(rules),
        flash=n_tables + n_code,
        tables=n_tables,
        code=n_code,
        ram=n_ram,
        n=name,
        N=name.upper(),
        d=interface.n_features,
    )
    return "\n".join(f" * {line}".rstrip() for line in text.split("\n"))


# -- names -----------------------------------------------------------------------------


def _interface(interface, name, names):
    parts = [
        f"#define {names.new('n_features')} {interface.n_features}",
        f"#define {names.new('n_classes')} {len(interface.classes)}",
        "",
    ]
    given = interface.feature_names
    features = range(interface.n_features) if given is None else given
    parts.append("/* Places in a row. */")
    parts.append(
        _enum(
            f"{name}_feature",
            [(names.new("x", f), i, f) for i, f in enumerate(features)],
        )
    )
    for category in interface.categories:
        feature = features[category.position]
        parts.append(f"/* Codes of {in_comment(feature)}. */")
        parts.append(_enum(None, _codes(category, feature, names)))
    parts.append("/* Places in the probabilities. */")
    classes = [(names.new("y", c), i, c) for i, c in enumerate(interface.classes)]
    parts.append(_enum(f"{name}_class", classes))
    labels = [in_string(label) for label in interface.classes]
    parts.append(
        f"static const char *const {name}_classes[{len(labels)}] = {{\n"
        f"{wrapped(labels)}\n}};\n"
    )
    return "\n".join(parts)


def _codes(category, feature, names):
    members = [
        (names.new("x", feature, "missing" if level is None else level), code, level)
        for code, level in enumerate(category.levels)
    ]
    if category.infrequent:
        shared = names.new("x", feature, "infrequent")
        members.append((shared, len(category.levels), category.infrequent))
    return members


def _enum(tag, members):
    lines = [
        f"    {identifier} = {value}{',' if i < len(members) - 1 else ''} "
        f"/* {in_comment(meaning)} */"
        for i, (identifier, value, meaning) in enumerate(members)
    ]
    return f"enum{f' {tag}' if tag else ''} {{\n" + "\n".join(lines) + "\n};\n"
