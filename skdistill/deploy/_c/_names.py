"""Names of the user's in C: as identifiers, in comments and in strings."""

import re

#: Names in comments are cut at this length.
LONGEST = 60

#: Characters besides letters and digits that a string takes as they are.
_PLAIN = " _-.,:;+()<>="


class Identifiers:
    """Hands out identifiers, each once.

    Parameters
    ----------
    prefix : str
        What all of them begin with.
    """

    def __init__(self, prefix):
        self.prefix = prefix
        self._used = set()

    def new(self, *words):
        """Join words to an identifier in capitals that nothing else has."""
        parts = (re.sub(r"[^A-Za-z0-9]+", "_", str(w)).strip("_") for w in words)
        stem = "_".join([self.prefix, *parts]).upper()[:LONGEST]
        name, number = stem, 1
        while name in self._used:
            number += 1
            name = f"{stem}_{number}"
        self._used.add(name)
        return name


def in_comment(value):
    """Return a value as one line of plain ASCII that cannot end a comment."""
    text = ascii(value)
    if len(text) > LONGEST:
        text = text[: LONGEST - 3] + "..."
    # A backslash could join lines, and ??/ is one where trigraphs are on.
    text = re.sub(r"\?(?=\?)", "? ", text.replace("\\", "|"))
    text = text.replace("@", "(at)")  # a mark of our own templates
    return text.replace("*/", "* /").replace("/*", "/ *")


def in_string(value):
    """Return a value as a C string literal of UTF-8 bytes."""
    data = str(value).encode("utf-8", "replace")
    # Three octal digits end an escape by themselves, whatever follows.
    return '"' + "".join(map(_in_string, data)) + '"'


def _in_string(byte):
    character = chr(byte)
    is_plain = byte < 128 and (character.isalnum() or character in _PLAIN)
    return character if is_plain else f"\\{byte:03o}"
