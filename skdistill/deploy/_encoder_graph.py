"""TableEncoder as a graph: what it subtracts, multiplies and looks up.

A number keeps the digits that matter: a centre is subtracted in two parts, so that
single precision loses next to nothing where values lie close to it.
"""

from dataclasses import dataclass

import numpy as np
import onnx

from skdistill.deploy._graph import ML

#: Scaled inputs are bounded here before they are squared, as in TableEncoder.
BOUND = 1e9

#: What a centre may lose by rounding, in scaled units, before it is split in two.
NEGLIGIBLE = 1e-9


@dataclass(frozen=True)
class Port:
    """A tensor that brings some columns of the table.

    Parameters
    ----------
    name : str
        Of the tensor.

    dtype : {"float32", "float64", "int64", "string"}

    columns : list of int
        Positions in the table.

    label : str or None, default=None
        Name of the column, where a data frame's columns come one by one.
    """

    name: str
    dtype: str
    columns: list
    label: str | None = None


@dataclass(frozen=True)
class Encoded:
    """Rows as a matrix, to be met by the weights of a first layer.

    Parameters
    ----------
    name : str
        Of the tensor.

    offset : ndarray of shape (n_columns,)
        To be added to the tensor's columns to get those of the encoder: cheaper in an
        intercept, ``offset @ weights``, than row by row.

    dtype : {"float32", "float64"}, default="float32"
        float64 where rows come in it and nothing bounds their values.
    """

    name: str
    offset: np.ndarray
    dtype: str = "float32"


def encode(graph, encoder, ports):
    """Add an encoder.

    Parameters
    ----------
    graph : Graph

    encoder : TableEncoder or None
        None takes numbers as they are.

    ports : list of Port
        Where the columns of the table are.

    Returns
    -------
    encoded : Encoded
    """
    if encoder is None:
        width = sum(len(port.columns) for port in ports)
        numbers, dtype = select(graph, ports, list(range(width)))
        if dtype == "int64":
            numbers, dtype = _as_float(graph, numbers, dtype), "float32"
        return Encoded(numbers, np.zeros(width), dtype)
    blocks, offset, to = [], np.zeros(encoder.n_features_out_), "float32"
    if encoder.numeric_:
        numbers, dtype = select(graph, ports, encoder.numeric_)
        if dtype == "int64":
            numbers, dtype = cast(graph, numbers, "float64"), "float64"
        to = dtype if encoder.scaling is None else "float32"
        missing = graph.node("IsNaN", numbers)
        scaled, shift = _scaled(graph, encoder, numbers, missing, dtype)
        offset[: len(shift)] = shift
        blocks.append(scaled)
        if encoder.indicators_:
            flags = _take(graph, missing, encoder.indicators_, len(encoder.numeric_))
            blocks.append(cast(graph, flags, to))
    if encoder.categorical_:
        text, _ = select(graph, ports, encoder.categorical_)
        blocks.append(cast(graph, _one_hot(graph, encoder, text), to))
    name = blocks[0] if len(blocks) == 1 else graph.node("Concat", *blocks, axis=1)
    return Encoded(name, offset, to)


def select(graph, ports, columns):
    """Bring columns of the table together.

    Parameters
    ----------
    graph : Graph

    ports : list of Port

    columns : list of int
        Positions in the table.

    Returns
    -------
    name : str
        Tensor of shape (N, len(columns)).

    dtype : str
        Numbers of several types become floats.
    """
    parts = []
    for port in ports:
        wanted = [port.columns.index(c) for c in columns if c in port.columns]
        if wanted:
            parts.append((_take(graph, port.name, wanted, len(port.columns)), port))
    order = [c for port in ports for c in columns if c in port.columns]
    dtypes = {port.dtype for _, port in parts}
    dtype = dtypes.pop() if len(dtypes) == 1 else _common(dtypes)
    names = [
        name if port.dtype == dtype else cast(graph, name, dtype)
        for name, port in parts
    ]
    name = names[0] if len(names) == 1 else graph.node("Concat", *names, axis=1)
    back = [order.index(c) for c in columns]
    return _take(graph, name, back, len(columns)), dtype


def _common(dtypes):
    return "float64" if dtypes & {"float64", "int64"} else "float32"


def _take(graph, name, columns, width):
    """Some of a tensor's columns; the tensor itself where that is all of them."""
    if columns == list(range(width)):
        return name
    at = graph.constant(np.array(columns, dtype=np.int64))
    return graph.node("Gather", name, at, axis=1)


def cast(graph, name, dtype="float32"):
    """Turn a tensor into floats."""
    is_double = dtype == "float64"
    to = onnx.TensorProto.DOUBLE if is_double else onnx.TensorProto.FLOAT
    return graph.node("Cast", name, to=to)


def _as_float(graph, name, dtype):
    return name if dtype == "float32" else cast(graph, name, "float32")


# -- numbers ---------------------------------------------------------------------------


def _scaled(graph, encoder, numbers, missing, dtype):
    """Numeric columns, scaled; and the offset that is left to the first layer."""
    if encoder.scaling == "piecewise":
        return _piecewise(graph, encoder, numbers, missing, dtype)
    zeros = np.zeros(len(encoder.center_))
    if encoder.clip_ is None:
        # The model takes values as they are; near their centre they need fewer digits.
        z = _affine(graph, numbers, encoder.center_, np.ones_like(zeros), dtype)
        return _fill(graph, missing, z, zeros, dtype), encoder.center_
    z = _affine(graph, numbers, encoder.center_, encoder.rate_, dtype)
    z = _clip(graph, z, -BOUND, BOUND, dtype)
    z = _fill(graph, missing, z, zeros)
    # z / sqrt(1 + (z / clip)**2)
    squared = graph.node("Mul", z, z)
    squared = graph.node("Mul", squared, _float(graph, 1.0 / encoder.clip_**2))
    squared = graph.node("Add", squared, _float(graph, 1.0))
    # Not Sqrt: older runtimes approximate it, and otherwise at the end of a vector.
    return graph.node("Mul", z, graph.node("Pow", squared, _float(graph, -0.5))), zeros


def _piecewise(graph, encoder, numbers, missing, dtype):
    n_numeric = len(encoder.numeric_)
    columns = encoder.bin_column_.tolist()
    wide = _take(graph, numbers, columns, n_numeric)
    z = _affine(graph, wide, encoder.bin_low_, encoder.bin_rate_, dtype)
    z = _clip(graph, z, 0, 1, dtype)
    # Where a missing value stands: at the centre, in each bin of its column.
    with np.errstate(over="ignore"):
        place = (encoder.center_[columns] - encoder.bin_low_) * encoder.bin_rate_
    missing = _take(graph, missing, columns, n_numeric)
    z = _fill(graph, missing, z, np.clip(place, 0.0, 1.0))
    return z, -encoder.bin_mean_


def _affine(graph, x, center, rate, dtype):
    """Write (x - center) * rate with centres and rates that have float64's digits."""
    high = center.astype(dtype)
    low = center - high.astype(np.float64)
    z = graph.node("Sub", x, graph.constant(high)) if high.any() else x
    if np.any(np.abs(low * rate) > NEGLIGIBLE):
        z = graph.node("Sub", z, graph.constant(low.astype(dtype)))
    if np.all(rate == 1):
        return z
    return graph.node("Mul", z, graph.constant(rate.astype(dtype)))


def _clip(graph, z, low, high, dtype):
    """Bound values and bring them to single precision."""
    ends = [graph.constant(np.array(end, dtype=dtype)) for end in (low, high)]
    return _as_float(graph, graph.node("Clip", z, *ends), dtype)


def _fill(graph, missing, z, values, dtype="float32"):
    values = graph.constant(np.asarray(values, dtype=dtype))
    return graph.node("Where", missing, values, z)


def _float(graph, values):
    return graph.constant(np.asarray(values, dtype=np.float32))


def fits_single(encoder):
    """Tell whether float32 can hold an encoder's centres, rates and edges.

    Parameters
    ----------
    encoder : TableEncoder

    Returns
    -------
    fits : bool
    """
    parts = [encoder.center_, encoder.rate_]
    if encoder.scaling == "piecewise":
        parts += [encoder.bin_low_, encoder.bin_rate_]
    info = np.finfo(np.float32)
    sizes = np.abs(np.concatenate(parts))
    return bool(np.all((sizes == 0) | ((sizes > info.tiny) & (sizes < info.max))))


# -- categories ------------------------------------------------------------------------


def _one_hot(graph, encoder, text):
    """Columns of the levels: true where a cell holds the level."""
    codes, column_of, code_of = [], [], []
    missing = missing_key(encoder)
    for j, lookup in enumerate(level_codes(encoder)):
        cell = _take(graph, text, [j], len(encoder.categorical_))
        keys = [level_key(level, missing) for level in lookup]
        codes.append(
            graph.node(
                "LabelEncoder", cell, domain=ML, keys_strings=keys,
                values_int64s=list(lookup.values()), default_int64=-1,
            )
        )  # fmt: skip
        width = max(lookup.values()) + 1
        column_of += [j] * width
        code_of += range(width)
    code = codes[0] if len(codes) == 1 else graph.node("Concat", *codes, axis=1)
    code = _take(graph, code, column_of, len(codes))
    return graph.node("Equal", code, graph.constant(np.array(code_of, dtype=np.int64)))


def level_codes(encoder):
    """For each categorical column its levels and the column that each one gets."""
    return [
        {level: code for code, level in enumerate(own)}
        | dict.fromkeys(shared, len(own))
        for own, shared in zip(encoder.categories_, encoder.infrequent_, strict=True)
    ]


def level_key(level, missing):
    """Text that stands for a level in the graph.

    Parameters
    ----------
    level : str, float, int, bool or None
        1, 1.0 and True are one level; None is a missing value.

    missing : str
        Text for None.

    Returns
    -------
    key : str
    """
    if level is None:
        return missing
    return level if isinstance(level, str) else repr(float(level) + 0.0)


def missing_key(encoder):
    """Text for missing cells that is no level of any column."""
    levels = {level for lookup in level_codes(encoder) for level in lookup}
    key = "<missing>"
    while key in levels:
        key = f"<{key}>"
    return key


def check_levels(encoder):
    """Refuse columns in which two levels would be the same text.

    Raises
    ------
    ValueError
        If a text level reads like a number that is a level too.
    """
    for position, lookup in zip(
        encoder.categorical_, level_codes(encoder), strict=True
    ):
        keys = [level_key(level, None) for level in lookup]
        twice = sorted({key for key in keys if key and keys.count(key) > 1})
        if twice:
            raise ValueError(
                f"Levels of the categorical column at position {position} must differ "
                f"as text, got numbers and texts that are both {twice!r}. Make the "
                "column all text before fitting."
            )
