"""Pieces of C that all programs are made of."""

import numpy as np

#: C types of whole numbers, smallest first.
_WHOLE = (np.uint8, np.int8, np.uint16, np.int16, np.int32)

_TYPES = {np.dtype(kind): f"{np.dtype(kind).name}_t" for kind in _WHOLE} | {
    np.dtype(np.float32): "float"
}

_WIDTH = 84


def real(value):
    """Return a float as a C literal of single precision."""
    value = np.float32(value)
    if np.isnan(value):
        return "NAN"
    if np.isinf(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    text = f"{value:.9g}"
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


def narrow(values):
    """Whole numbers in the smallest type that holds them."""
    values = np.asarray(values)
    low, high = values.min(initial=0), values.max(initial=0)
    for kind in _WHOLE:
        limits = np.iinfo(kind)
        if limits.min <= low and high <= limits.max:
            return values.astype(kind)
    raise ValueError(
        f"Tables must hold whole numbers of 32 bits, got {low} to {high}. Make the "
        "student smaller."
    )


class Tables:
    """Constant arrays of a program, and the bytes that they take.

    Parameters
    ----------
    name : str
        What their names begin with.
    """

    def __init__(self, name):
        self.name = name
        self.n_bytes = 0
        self._texts = []

    def add(self, suffix, values):
        """Define an array, flat and of the values' own type; return its name."""
        values = np.asarray(values)
        if values.dtype.kind in "iub" and values.dtype not in _TYPES:
            values = narrow(values)
        self.n_bytes += values.nbytes
        name = f"{self.name}_{suffix}"
        self._texts.append(array(_TYPES[values.dtype], name, values.ravel()))
        return name

    def text(self):
        """C of all arrays so far."""
        return "\n".join(self._texts)


def array(kind, name, values):
    """C of a constant array."""
    is_real = np.asarray(values).dtype.kind == "f"
    items = [real(v) if is_real else str(int(v)) for v in values]
    return f"static const {kind} {name}[{len(items)}] = {{\n{wrapped(items)}\n}};\n"


def wrapped(items):
    """List items over lines, after one another."""
    lines, line = [], "   "
    for i, item in enumerate(items):
        item += "," if i < len(items) - 1 else ""
        if len(line) + 1 + len(item) > _WIDTH:
            lines.append(line)
            line = "   "
        line += f" {item}"
    return "\n".join([*lines, line])


def fill(template, **words):
    """Put words for ``@word@`` in a template: braces are C's own."""
    for key, word in words.items():
        template = template.replace(f"@{key}@", str(word))
    return template
