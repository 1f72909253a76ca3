"""C of nets: float32, or whole numbers."""

from itertools import pairwise

import numpy as np

from skdistill.deploy._c._program import LARGEST, WholeNet
from skdistill.deploy._c._reference import rounded
from skdistill.deploy._c._text import fill, real

_EXP = """
/* e to the power v for v between -87 and 0, to about 2e-7 of itself. */
static inline float @n@_exp(float v)
{
    union { uint32_t bits; float value; } power;
    float q, r;
    const int32_t k = (int32_t)(v * 1.44269504f - 0.5f);
    r = (v - (float)k * 0.693359375f) + (float)k * 2.12194440e-4f;
    q = @c0@ * r + @c1@;
    q = q * r + @c2@;
    q = q * r + @c3@;
    q = q * r + 0.5f;
    q = q * r + 1.0f;
    q = q * r + 1.0f;
    power.bits = (uint32_t)(k + 127) << 23;
    return q * power.value;
}
"""

_SOFTMAX = """
/* Logits to probabilities, in place; returns the place of the largest. */
static inline int @n@_softmax(float *p)
{
    int i, best = 0;
    float top, sum = 0.0f;
    for (i = 1; i < @k@; i++) {
        if (p[i] > p[best]) best = i;
    }
    top = p[best];
    for (i = 0; i < @k@; i++) {
        const float v = p[i] - top;
        p[i] = v > -87.0f ? v : -87.0f;
    }
    for (i = 0; i < @k@; i++) p[i] = @n@_exp(p[i]);
    for (i = 0; i < @k@; i++) sum += p[i];
    sum = 1.0f / sum;
    for (i = 0; i < @k@; i++) p[i] *= sum;
    return best;
}
"""

_ADD = """
/* One input's share of all sums of a layer. */
static inline void @n@_add(@sum@ *sum, @value@ v, const @weight@ *weights, int n)
{
    int i;
    for (i = 0; i < n; i++) sum[i] += v * weights[i];
}
"""

_ACTIVATIONS = {
    "identity": "",
    "relu": """
static inline float @n@_activate(float v)
{
    return v > 0.0f ? v : 0.0f;
}
""",
    "tanh": """
static inline float @n@_activate(float v)
{
    const float u = v < 0.0f ? 2.0f * v : -2.0f * v;
    const float e = @n@_exp(u > -87.0f ? u : -87.0f);
    const float size = (1.0f - e) / (1.0f + e);
    return v < 0.0f ? -size : size;
}
""",
    "logistic": """
static inline float @n@_activate(float v)
{
    const float u = v < 0.0f ? v : -v;
    const float e = @n@_exp(u > -87.0f ? u : -87.0f);
    return (v < 0.0f ? e : 1.0f) / (1.0f + e);
}
""",
}

_ROUND = """
/* Nearest whole number, at most `largest` in magnitude. */
static inline int32_t @n@_round(float v, float largest)
{
    v = v > largest ? largest : v;
    v = v < -largest ? -largest : v;
    return (int32_t)(v < 0.0f ? v - 0.5f : v + 0.5f);
}
"""

_NEXT = {
    "relu": """
/* Sums of a layer to inputs of the next: relu, and a fixed-point factor. */
static inline void @n@_next(const int32_t *sum, const int32_t *factor, int shift,
                            int32_t largest, int n, int16_t *out)
{
    int i;
    for (i = 0; i < n; i++) {
        int64_t v = sum[i] > 0 ? (int64_t)sum[i] * factor[i] : 0;
        v = (v + ((int64_t)1 << (shift - 1))) >> shift;
        out[i] = (int16_t)(v < largest ? v : largest);
    }
}
""",
    "identity": """
/* Sums of a layer to inputs of the next by a fixed-point factor. */
static inline void @n@_next(const int32_t *sum, const int32_t *factor, int shift,
                            int32_t largest, int n, int16_t *out)
{
    int i;
    for (i = 0; i < n; i++) {
        int64_t v = (int64_t)(sum[i] < 0 ? -sum[i] : sum[i]) * factor[i];
        v = (v + ((int64_t)1 << (shift - 1))) >> shift;
        v = v < largest ? v : largest;
        out[i] = (int16_t)(sum[i] < 0 ? -v : v);
    }
}
""",
}

_NEXT_FLOAT = """
/* Sums of a layer to inputs of the next, through the activation. */
static inline void @n@_next(const int32_t *sum, const float *scale, float largest,
                            int n, int16_t *out)
{
    int i;
    for (i = 0; i < n; i++) {
        float v = @n@_activate((float)sum[i] * scale[i]);
        out[i] = (int16_t)@n@_round(v * largest, largest);
    }
}
"""

#: Loads and stores each sum a quarter as often; they add up in the same order.
_ADD_4 = """
/* The shares of four inputs. */
static inline void @n@_add_4(float *sum, const float *v, const float *weights, int n)
{
    const float a = v[0], b = v[1], c = v[2], d = v[3];
    int i;
    for (i = 0; i < n; i++) {
        float s = sum[i] + a * weights[i];
        s += b * weights[i + n];
        s += c * weights[i + 2 * n];
        sum[i] = s + d * weights[i + 3 * n];
    }
}
"""

_CODE = """
/* A category's code, -1 for what is none: nothing else is ever an index. */
static inline int @n@_code(float v, int n_codes, int missing)
{
    int code;
    if (v != v) return missing;
    if (!(v >= 0.0f && v < (float)n_codes)) return -1;
    code = (int)v;
    return (float)code == v ? code : -1;
}
"""

_FIRST = """
/* The first layer, input by input; returns -1 for a row that cannot be answered. */
static inline int @n@_first(const float *x, @sum@ *sum)
{
@locals@    int i@more@;
    for (i = 0; i < @width@; i++) sum[i] = @bias@[i];
@numbers@@categories@    return 0;
}
"""


def net_source(net, interface, tables):
    """Write a net.

    Parameters
    ----------
    net : Net or WholeNet

    interface : Interface

    tables : Tables
        Takes the arrays.

    Returns
    -------
    functions : str
        C of the functions, `NAME_predict_proba` the last.

    n_stack : int
        Bytes of the arrays on the stack.
    """
    whole, n, activation = isinstance(net, WholeNet), tables.name, net.activation
    kinds = ("int32_t", "int32_t", "int8_t") if whole else ("float", "float", "float")
    words = dict(zip(("sum", "value", "weight"), kinds, strict=True), n=n)
    names = [
        (tables.add(f"weights_{i}", layer.weights), tables.add(f"bias_{i}", layer.bias))
        for i, layer in enumerate(net.layers)
    ]
    parts = [
        fill(_EXP, c0=real(1 / 720), c1=real(1 / 120), c2=real(1 / 24), c3=real(1 / 6)),
        _SOFTMAX,
        _ADD,
    ]
    n_layers = len(net.layers)
    if n_layers > 1 and not (whole and activation in _NEXT):
        parts.append(_ACTIVATIONS[activation])
    if whole:
        parts.append(_ROUND)
    if interface.categories:
        parts.append(_CODE)
    if not whole:
        parts.append(_ADD_4)
    if whole and n_layers > 1:
        parts.append(_NEXT.get(activation, _NEXT_FLOAT))
    parts.append(_first(net, interface, tables, names[0], words))
    body, n_stack = (_whole_body if whole else _float_body)(net, tables, names, words)
    if net.inputs.kind != "bins":
        n_stack += (2 if whole else 4) * len(net.inputs.columns)
    parts.append(body)
    n_classes = len(interface.classes)
    return fill("".join(parts), k=n_classes, **words), n_stack


def softmax_source():
    """Template of the softmax, with the exponential that it needs."""
    series = {"c0": 1 / 720, "c1": 1 / 120, "c2": 1 / 24, "c3": 1 / 6}
    return fill(_EXP, **{key: real(value) for key, value in series.items()}) + _SOFTMAX


# -- first layer -----------------------------------------------------------------------


def _first(net, interface, tables, names, words):
    weights, bias = names
    width = net.layers[0].weights.shape[1]
    inputs = net.inputs
    if isinstance(net, WholeNet):
        per_unit = np.float32(1.0 / net.unit)
        largest = net.layers[0].largest
        cast = "" if inputs.kind == "bins" else "(int16_t)"
        one = str(int(rounded(np.float32(1.0) * per_unit, largest)))

        def term(v):
            return f"{cast}@n@_round({v} * {real(per_unit)}, {real(largest)})"
    else:
        one = "1.0f"

        def term(v):
            return v

    def add(v, row):
        return f"@n@_add(sum, {v}, {weights} + {width} * {row}, {width});"

    lines, declared = _number_lines(inputs, interface, tables, add, term, one), ""
    if lines and inputs.kind != "bins":
        n_columns = len(inputs.columns)
        kind = "int16_t" if isinstance(net, WholeNet) else "float"
        declared = f"    {kind} z[{n_columns}];\n"
        lines += _layer_lines("z", n_columns, weights, width, "sum", words)
    categories = []
    for category in interface.categories:
        code = f"@n@_code(x[{category.position}], {category.n_codes}, "
        categories += [
            f"    i = {code}{category.missing});",
            f"    if (i >= 0) {add(one, f'({category.row} + i)')}",
        ]
    return fill(
        _FIRST,
        locals=declared,
        more=", b" if inputs.kind == "bins" and len(inputs.columns) else "",
        width=width,
        bias=bias,
        numbers="".join(f"{line}\n" for line in lines),
        categories="".join(f"{line}\n" for line in categories),
    )


def _number_lines(inputs, interface, tables, add, term, one):
    n_columns = len(inputs.columns)
    if n_columns == 0:
        return []
    at = "i"
    if interface.categories:
        at = f"{tables.add('columns', inputs.columns)}[i]"
    lines = [f"    for (i = 0; i < {n_columns}; i++) {{", f"        float v = x[{at}];"]
    lines += _missing_lines(inputs, interface, tables, add, one)
    lines.append(f"        if (v > {real(LARGEST)} || v < {real(-LARGEST)}) return -1;")
    if inputs.kind == "bins":
        lines += _bin_lines(inputs, tables, add, term)
    else:
        lines += _scale_lines(inputs, tables)
        lines.append(f"        z[i] = {term('v')};")
    return [*lines, "    }"]


def _missing_lines(inputs, interface, tables, add, one):
    if not interface.allow_nan:
        return ["        if (v != v) return -1;"]
    lines = ["        if (v != v) {"]
    if (inputs.indicator >= 0).any():
        table = tables.add("indicator", inputs.indicator)
        lines.append(f"            if ({table}[i] >= 0)")
        lines.append(f"                {add(one, f'{table}[i]')}")
    if inputs.kind == "bins":
        lines.append(f"            v = {tables.add('center', inputs.center[0])}[i];")
    else:
        lines += ["            z[i] = 0;", "            continue;"]
    return [*lines, "        }"]


def _scale_lines(inputs, tables):
    lines, bound = [], real(inputs.bound)
    for suffix, center in zip(("center", "center_rest"), inputs.center, strict=True):
        if center.any():
            lines.append(f"        v -= {tables.add(suffix, center)}[i];")
    if (inputs.rate != 1).any():
        lines.append(f"        v *= {tables.add('rate', inputs.rate)}[i];")
    lines.append(f"        v = v > {bound} ? {bound} : v;")
    lines.append(f"        v = v < -{bound} ? -{bound} : v;")
    if inputs.clip is not None:
        flat = real(1.0 / inputs.clip**2)
        lines.append(f"        v /= sqrtf(1.0f + v * v * {flat});")
    return lines


def _bin_lines(inputs, tables, add, term):
    start, rate = tables.add("start", inputs.start), inputs.bin_rate
    low = f"(v - {tables.add('low', inputs.low[0])}[b])"
    if inputs.low[1].any():
        low = f"({low} - {tables.add('low_rest', inputs.low[1])}[b])"
    return [
        f"        for (b = {start}[i]; b < {start}[i + 1]; b++) {{",
        f"            float u = {low} * {tables.add('bin_rate', rate)}[b];",
        "            if (!(u > 0.0f)) break;",
        "            u = u < 1.0f ? u : 1.0f;",
        f"            {add(term('u'), 'b')}",
        "        }",
    ]


# -- all layers ------------------------------------------------------------------------

HEAD = """
/* Probabilities of the @k@ classes into `p`.
 * Returns the most probable class, or -1 and zeros in `p` where the row cannot be
 * answered: see "Rows" above. */
static inline int @n@_predict_proba(const float *x, float *p)
{
"""

_REFUSE = """    if (@n@_first(x, @first@) < 0) {
        for (i = 0; i < @k@; i++) p[i] = 0.0f;
        return -1;
    }
"""

_ODDS = """    p[1] = p[0];
    p[0] = 0.0f;
"""


def _float_body(net, tables, names, words):
    sizes = [layer.weights.shape[1] for layer in net.layers]
    units = [f"h{i}" for i in range(len(sizes) - 1)] + ["p"]
    lines = [f"    float h{i}[{size}];" for i, size in enumerate(sizes[:-1])]
    lines += ["    int i;", fill(_REFUSE, first=units[0]).rstrip("\n")]
    for i, (n_in, n_out) in enumerate(pairwise(sizes), start=1):
        h, sums = units[i - 1], units[i]
        if net.activation != "identity":
            lines.append(
                f"    for (i = 0; i < {n_in}; i++) {h}[i] = @n@_activate({h}[i]);"
            )
        lines += _dense_lines(h, n_in, names[i], n_out, sums, words)
    return _closed(lines, sizes), 4 * sum(sizes[:-1])


def _whole_body(net, tables, names, words):
    sizes = [layer.weights.shape[1] for layer in net.layers]
    lines = [f"    int32_t sum[{max(sizes)}];"]
    if len(sizes) > 1:
        lines.append(f"    int16_t in[{max(sizes[:-1])}];")
    lines += ["    int i;", fill(_REFUSE, first="sum").rstrip("\n")]
    for i, (n_in, n_out) in enumerate(pairwise(sizes), start=1):
        largest, step = net.layers[i].largest, net.steps[i - 1]
        if step.factor is not None:
            factor = tables.add(f"factor_{i}", step.factor)
            how = f"{factor}, {step.shift}, {largest}"
        else:
            scale = tables.add(f"scale_{i - 1}", net.layers[i - 1].scale)
            how = f"{scale}, {real(largest)}"
        lines.append(f"    @n@_next(sum, {how}, {n_in}, in);")
        lines += _dense_lines("in", n_in, names[i], n_out, "sum", words)
    scale = tables.add(f"scale_{len(sizes) - 1}", net.layers[-1].scale)
    last = f"p[i] = (float)sum[i] * {scale}[i];"
    lines.append(f"    for (i = 0; i < {sizes[-1]}; i++) {last}")
    n_stack = 4 * max(sizes) + 2 * max(sizes[:-1], default=0)
    return _closed(lines, sizes), n_stack


def _dense_lines(units, n_in, tables, n_out, sums, words):
    weights, bias = tables
    return [
        f"    for (i = 0; i < {n_out}; i++) {sums}[i] = {bias}[i];",
        *_layer_lines(units, n_in, weights, n_out, sums, words),
    ]


def _layer_lines(units, n_in, weights, n_out, sums, words):
    """Lines that add all inputs' shares of a layer."""
    if words["sum"] == "int32_t":
        # After relu about half of the inputs are 0 and cost nothing.
        share = f"@n@_add(sum, {units}[i], {weights} + {n_out} * i, {n_out});"
        return [
            f"    for (i = 0; i < {n_in}; i++) {{",
            f"        if ({units}[i]) {share}",
            "    }",
        ]
    n_fours = n_in - n_in % 4
    lines = []
    if n_fours:
        share = f"@n@_add_4({sums}, {units} + i, {weights} + {n_out} * i, {n_out});"
        lines.append(f"    for (i = 0; i < {n_fours}; i += 4) {share}")
    for i in range(n_fours, n_in):
        row = f"{weights} + {n_out * i}"
        lines.append(f"    @n@_add({sums}, {units}[{i}], {row}, {n_out});")
    return lines


def _closed(lines, sizes):
    odds = _ODDS if sizes[-1] == 1 else ""
    return f"{HEAD}{chr(10).join(lines)}\n{odds}    return @n@_softmax(p);\n}}\n"
