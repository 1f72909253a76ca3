"""Claims on rows: who asks them now, so that nobody else does."""

import time
import uuid

from skdistill.teachers._owners import is_dead
from skdistill.teachers._row_keys import KEY_BYTES


class Claim:
    """Rows that one caller may ask; free again at the end of a ``with`` block.

    Attributes
    ----------
    keys : list of bytes
        Keys of the rows; empty where nothing was granted.

    is_open : bool
        Whether it still holds.
    """

    def __init__(self, store):
        self.store, self.id = store, uuid.uuid4().hex
        self.keys, self.is_open = [], False

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.store.release(self)


def claimed(connection, teacher):
    """Keys that somebody claims who lives; claims that are void are deleted."""
    taken, void, now = set(), [], time.time()
    for id_, owner, expires, keys in connection.execute(
        "SELECT id, owner, expires, keys FROM claims WHERE teacher = ?", (teacher,)
    ):
        if expires < now or is_dead(owner):
            void.append((id_,))
        else:
            taken.update(
                keys[i : i + KEY_BYTES] for i in range(0, len(keys), KEY_BYTES)
            )
    connection.executemany("DELETE FROM claims WHERE id = ?", void)
    return taken
