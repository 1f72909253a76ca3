"""C of trees: tables of nodes and a loop."""

import numpy as np

from skdistill.deploy._c._net_source import HEAD, softmax_source
from skdistill.deploy._c._program import LARGEST
from skdistill.deploy._c._text import fill, real

_LEAF = """
/* Walk down one tree; returns the row of its leaf. */
static inline int @n@_leaf(const float *x, int node)
{
    while (node >= 0) {
        int at = @feature@[node];
        float v = x[@column@];
        node = @goes_left@ ? @left@[node] : @right@[node];
    }
    return ~node;
}
"""

_SCALE = """
/* Divide by the sum, in place; returns the place of the largest. */
static inline int @n@_normalise(float *p)
{
    int i, best = 0;
    float sum = 0.0f;
    for (i = 0; i < @k@; i++) sum += p[i];
    sum = 1.0f / sum;
    for (i = 0; i < @k@; i++) {
        p[i] *= sum;
        if (p[i] > p[best]) best = i;
    }
    return best;
}
"""

_BODY = """    int i, k;
    for (i = 0; i < @d@; i++) {
        if (@bad@) {
            for (k = 0; k < @k@; k++) p[k] = 0.0f;
            return -1;
        }
    }
    for (k = 0; k < @k@; k++) p[k] = 0.0f;
    for (i = 0; i < @n_trees@; i++) {
        const @value@ *leaf = @values@ + @k@ * @n@_leaf(x, @roots@[i]);
        for (k = 0; k < @k@; k++) p[k] += @share@;
    }
@power@    return @n@_@finish@(p);
}
"""

_POWER = """    @n@_normalise(p);
    for (k = 0; k < @k@; k++) {
        if (p[k] > 0.0f) p[k] = powf(p[k], @exponent@);
    }
"""


def tree_source(trees, interface, tables):
    """Write trees.

    Parameters
    ----------
    trees : Trees

    interface : Interface

    tables : Tables
        Takes the arrays.

    Returns
    -------
    functions : str
        C of the functions, `NAME_predict_proba` the last.

    n_stack : int
        Bytes of the arrays on the stack: none.
    """
    feature, column, goes_left = trees.feature, "at", "v <= @threshold@[node]"
    if interface.allow_nan and trees.missing_left.any():
        # The last bit says where a missing number goes: no comparison holds for it.
        feature, column = 2 * feature + trees.missing_left, "at / 2"
        goes_left = "(at % 2 ? !(v > @threshold@[node]) : v <= @threshold@[node])"
    is_root = trees.values.dtype == np.uint8
    share = "(float)(leaf[k] * leaf[k])" if is_root else "leaf[k]"
    above = f"x[i] > {real(LARGEST)} || x[i] < {real(-LARGEST)}"
    is_softmax = trees.finish == "softmax"
    power = ""
    if trees.power != 1:
        power = fill(_POWER, exponent=real(trees.power))
    template = "".join([_LEAF, softmax_source() if is_softmax else _SCALE, HEAD, _BODY])
    functions = fill(
        template,
        goes_left=goes_left,
        column=column,
        power=power,
        share=share,
        bad=above if interface.allow_nan else f"x[i] != x[i] || {above}",
        finish=trees.finish,
        value="uint8_t" if is_root else "float",
        n_trees=len(trees.roots),
        roots=tables.add("roots", trees.roots),
        feature=tables.add("feature", feature),
        threshold=tables.add("threshold", trees.threshold),
        left=tables.add("left", trees.left),
        right=tables.add("right", trees.right),
        values=tables.add("values", trees.values),
        n=tables.name,
        d=interface.n_features,
        k=len(interface.classes),
    )
    return functions, 0
