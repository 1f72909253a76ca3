"""A file of teachers' answers: each row is asked once, over all processes and days."""

import os
import sqlite3
import threading
import time
import uuid
import warnings
from hashlib import blake2b

import numpy as np

from skdistill.teachers._database import Database
from skdistill.teachers._owners import is_dead, this_process
from skdistill.teachers._row_keys import KEY_BYTES

SCHEMA_VERSION = 1

_SCHEMA = [
    "CREATE TABLE teachers (id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE, "
    "rows_asked INTEGER NOT NULL DEFAULT 0)",
    "CREATE TABLE answers (teacher INTEGER NOT NULL, key BLOB NOT NULL, record BLOB "
    "NOT NULL, PRIMARY KEY (teacher, key)) WITHOUT ROWID",
    "CREATE TABLE claims (id TEXT PRIMARY KEY, teacher INTEGER NOT NULL, owner TEXT "
    "NOT NULL, expires REAL NOT NULL, keys BLOB NOT NULL)",
    "CREATE TABLE notes (name BLOB PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID",
]
_PUT_ANSWER = "INSERT OR REPLACE INTO answers VALUES (?, ?, ?)"
_PUT_NOTE = "INSERT OR REPLACE INTO notes VALUES (?, ?)"

#: Stands for the fingerprint in the checksum of a note.
_NOTES = "notes"

#: Seconds between looks at what another process is doing: first and longest.
FIRST_PAUSE, LONGEST_PAUSE = 0.005, 0.5

#: Bytes of the checksum in front of every record.
_CHECK_BYTES = 8
#: Keys looked up by one statement.
_KEYS_PER_QUERY = 1000
#: How doubles are kept, whatever the machine.
_DOUBLE = np.dtype("<f8")


class AnswerStore:
    """Teachers' probabilities on disk, one row an answer, shared by processes.

    A file of SQLite in write-ahead mode (not for network drives). An answer is found by
    the key of its row (:func:`~skdistill.teachers._row_keys.row_keys`) and the
    fingerprint of its teacher; it is kept as raw float64 with a checksum of its own, so
    that a flipped bit becomes a question asked again, never a wrong answer. What
    `put_many` returned from survives a killed process and a power cut.

    A file that is damaged, or no database at all, is renamed to ``<path>.damaged-1``
    (-2, ...) with a warning; a new one is begun with the answers that can still be
    read. ``<path>.lock``, always empty, keeps processes from opening it meanwhile.

    Parameters
    ----------
    path : str or path-like
        The file; it is made when first used, in a folder that exists.

    timeout : float, default=60.0
        Seconds to wait for other writers.

    claim_timeout : float, default=600.0
        Seconds after which rows that a process claimed, and has not answered, may be
        asked by another one. Longer than the teacher needs for one chunk of rows. The
        claims of a process of the same host that died are void at once.

    Examples
    --------
    >>> import tempfile
    >>> from skdistill.teachers import AnswerStore
    >>> keys = [b"a key of a row, ", b"and another one."]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with AnswerStore(f"{folder}/answers.db") as store:
    ...         store.put_many("teacher", keys[:1], [[0.25, 0.75]])
    ...         found, P = store.get_many("teacher", keys)
    >>> found
    array([ True, False])
    >>> P
    array([[0.25, 0.75],
           [ nan,  nan]])
    """

    def __init__(self, path, *, timeout=60.0, claim_timeout=600.0):
        self.path = os.path.abspath(os.fspath(path))
        self.timeout, self.claim_timeout = timeout, claim_timeout
        self._hits = self._misses = 0
        self._counting = threading.Lock()
        self._warned = False
        self._database = Database(
            self.path,
            schema=_SCHEMA,
            version=SCHEMA_VERSION,
            timeout=timeout,
            rescue=_rescue,
        )

    def __repr__(self):
        return f"{type(self).__name__}({self.path!r})"

    def __reduce__(self):
        return _reopen, (type(self), self.path, self.timeout, self.claim_timeout)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self):
        """Let go of the file; it is opened again when it is used again."""
        self._database.close()

    # -- answers -----------------------------------------------------------------------

    def get_many(self, fingerprint, keys):
        """Look up answers.

        Parameters
        ----------
        fingerprint : str
            Identity of the teacher.

        keys : list of bytes of length n_samples
            Keys of rows.

        Returns
        -------
        found : ndarray of bool of shape (n_samples,)
            Whether the answer is there.

        P : ndarray of shape (n_samples, n_columns)
            Answers, NaN where there is none; without columns if none is found.
        """
        answers, damaged = self._database.run(
            lambda connection: _read(connection, fingerprint, keys)
        )
        if damaged:
            self._drop(fingerprint, damaged)
        rows = [answers.get(key) for key in keys]
        found = np.array([row is not None for row in rows], dtype=bool)
        n_found = int(found.sum())
        with self._counting:
            self._hits += n_found
            self._misses += len(keys) - n_found
        width = len(next(iter(answers.values()), b"")) // _DOUBLE.itemsize
        P = np.full((len(keys), width), np.nan)
        if n_found:
            values = b"".join(row for row in rows if row is not None)
            P[found] = np.frombuffer(values, dtype=_DOUBLE).reshape(n_found, width)
        return found, P

    def put_many(self, fingerprint, keys, P, *, claim=None):
        """Keep answers, all or none of them; they are safe when this returns.

        Answers that hold NaN or infinity are left out.

        Parameters
        ----------
        fingerprint : str
            Identity of the teacher.

        keys : list of bytes of length n_samples
            Keys of rows.

        P : array-like of shape (n_samples, n_columns)
            Answers.

        claim : Claim, default=None
            Claim on these rows; it ends.
        """
        P = np.ascontiguousarray(P, dtype=_DOUBLE)
        if P.ndim != 2 or len(P) != len(keys):
            raise ValueError(
                f"P must have one row for each of the {len(keys)} keys, got shape "
                f"{P.shape!r}. Pass one row of probabilities for each row asked."
            )
        person, data = _person(fingerprint), P.tobytes()
        width = P.shape[1] * _DOUBLE.itemsize
        records = sorted(
            (keys[i], _sealed(person, keys[i], data[i * width : (i + 1) * width]))
            for i in np.flatnonzero(np.isfinite(P).all(axis=1)).tolist()
        )

        def write(connection):
            teacher = _teacher_id(connection, fingerprint, create=True)
            connection.executemany(
                _PUT_ANSWER, ((teacher, key, record) for key, record in records)
            )
            connection.execute(
                "UPDATE teachers SET rows_asked = rows_asked + ? WHERE id = ?",
                (len(keys), teacher),
            )
            if claim is not None:
                connection.execute("DELETE FROM claims WHERE id = ?", (claim.id,))

        self._database.run(write, write=True)
        if claim is not None:
            claim.is_open = False

    def _drop(self, fingerprint, keys):
        """Delete answers that fail their checksum, and say so once."""
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"The store {self.path!r} holds damaged answers (first time: "
                f"{len(keys)}). They were dropped and will be asked again. Check the "
                "disk.",
                UserWarning,
                stacklevel=3,
            )

        def delete(connection):
            _, damaged = _read(connection, fingerprint, keys)
            teacher = _teacher_id(connection, fingerprint)
            connection.executemany(
                "DELETE FROM answers WHERE teacher = ? AND key = ?",
                ((teacher, key) for key in damaged),
            )

        self._database.run(delete, write=True)

    # -- claims ------------------------------------------------------------------------

    def claim(self, fingerprint, keys, *, limit=None):
        """Claim rows, so that no other process asks them at the same time.

        Parameters
        ----------
        fingerprint : str
            Identity of the teacher.

        keys : list of bytes
            Distinct keys of rows.

        limit : int, default=None
            Most rows to claim; None means all.

        Returns
        -------
        claim : Claim
            Holds in `keys` those that are neither answered nor claimed by somebody who
            lives. Use it in a ``with`` block: what is not answered by its end is free
            again.
        """
        claim = Claim(self)

        def take(connection):
            teacher = _teacher_id(connection, fingerprint, create=True)
            taken = _claimed(connection, teacher)
            free = [key for key in keys if key not in taken][:limit]
            answers, _ = _read(connection, fingerprint, free)
            granted = [key for key in free if key not in answers]
            if granted:
                expires = time.time() + self.claim_timeout
                connection.execute(
                    "INSERT INTO claims VALUES (?, ?, ?, ?, ?)",
                    (claim.id, teacher, this_process(), expires, b"".join(granted)),
                )
            return granted

        claim.keys = self._database.run(take, write=True)
        claim.is_open = bool(claim.keys)
        return claim

    def release(self, claim):
        """Give up a claim: others may ask its rows.

        Parameters
        ----------
        claim : Claim
            As `claim` returned it.
        """
        if claim.is_open:
            self._database.run(
                lambda connection: connection.execute(
                    "DELETE FROM claims WHERE id = ?", (claim.id,)
                ),
                write=True,
            )
            claim.is_open = False

    def once(self, name, key, *, find, make):
        """Do something that one process must do while the others wait for the result.

        Parameters
        ----------
        name : str
            Kind of thing.

        key : bytes
            Which one, 16 bytes.

        find : callable
            Returns the result if it is there already, else None.

        make : callable
            Makes the result, such that `find` finds it from then on.

        Returns
        -------
        result : object
        """
        pause = FIRST_PAUSE
        while (result := find()) is None:
            with self.claim(name, [key]) as claim:
                if claim.keys:
                    result = find()  # another process may just have made it
                    return make() if result is None else result
            time.sleep(pause)
            pause = min(1.5 * pause, LONGEST_PAUSE)
        return result

    def get_note(self, name):
        """Look up what was noted beside the answers.

        Parameters
        ----------
        name : bytes
            What it is about.

        Returns
        -------
        data : bytes or None
            None where nothing was noted, or the note is damaged.
        """
        row = self._database.run(
            lambda connection: connection.execute(
                "SELECT record FROM notes WHERE name = ?", (name,)
            ).fetchone()
        )
        return None if row is None else _opened(_person(_NOTES), name, row[0])

    def put_note(self, name, data):
        """Note something beside the answers.

        Parameters
        ----------
        name : bytes
            What it is about; an older note of this name goes.

        data : bytes
            The note.
        """
        record = _sealed(_person(_NOTES), name, data)
        self._database.run(
            lambda connection: connection.execute(_PUT_NOTE, (name, record)),
            write=True,
        )

    # -- housekeeping ------------------------------------------------------------------

    def stats(self, fingerprint=None):
        """What the store holds, and how often it was of use.

        Parameters
        ----------
        fingerprint : str, default=None
            Identity of a teacher; None means all.

        Returns
        -------
        stats : dict
            ``rows`` stored and ``rows_asked`` of the teacher over all processes;
            ``bytes`` of the whole file; ``hits`` and ``misses`` of this object.
        """
        which, values = "", ()
        if fingerprint is not None:
            which, values = " WHERE fingerprint = ?", (fingerprint,)

        def count(connection):
            (asked,) = connection.execute(
                f"SELECT coalesce(sum(rows_asked), 0) FROM teachers{which}", values
            ).fetchone()
            (rows,) = connection.execute(
                "SELECT count(*) FROM answers WHERE teacher IN "
                f"(SELECT id FROM teachers{which})",
                values,
            ).fetchone()
            return {"rows": rows, "rows_asked": asked}

        counts = self._database.run(count)
        size = sum(
            os.path.getsize(file)
            for file in (self.path, f"{self.path}-wal")
            if os.path.exists(file)
        )
        return {**counts, "bytes": size, "hits": self._hits, "misses": self._misses}

    def purge(self, fingerprint=None):
        """Delete answers, and give the space back.

        Parameters
        ----------
        fingerprint : str, default=None
            Identity of the teacher whose answers go; None means all.
        """
        which, values = "", ()
        if fingerprint is not None:
            which, values = " WHERE fingerprint = ?", (fingerprint,)

        def delete(connection):
            connection.execute(
                "DELETE FROM answers WHERE teacher IN "
                f"(SELECT id FROM teachers{which})",
                values,
            )
            connection.execute(f"UPDATE teachers SET rows_asked = 0{which}", values)

        self._database.run(delete, write=True)
        self._database.vacuum()


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


def _reopen(kind, path, timeout, claim_timeout):
    return kind(path, timeout=timeout, claim_timeout=claim_timeout)


# -- in a transaction ------------------------------------------------------------------


def _teacher_id(connection, fingerprint, *, create=False):
    if create:
        connection.execute(
            "INSERT OR IGNORE INTO teachers (fingerprint) VALUES (?)", (fingerprint,)
        )
    row = connection.execute(
        "SELECT id FROM teachers WHERE fingerprint = ?", (fingerprint,)
    ).fetchone()
    return None if row is None else row[0]


def _read(connection, fingerprint, keys):
    """Answers by key as bytes, and the keys of those that fail their checksum."""
    answers, damaged = {}, []
    teacher = _teacher_id(connection, fingerprint)
    if teacher is None:
        return answers, damaged
    person = _person(fingerprint)
    ordered = sorted(set(keys))  # neighbours lie on the same page
    for start in range(0, len(ordered), _KEYS_PER_QUERY):
        part = ordered[start : start + _KEYS_PER_QUERY]
        marks = ",".join("?" * len(part))
        for key, record in connection.execute(
            f"SELECT key, record FROM answers WHERE teacher = ? AND key IN ({marks})",
            (teacher, *part),
        ):
            data = _opened(person, key, record)
            if data is None:
                damaged.append(key)
            else:
                answers[key] = data
    return answers, damaged


def _claimed(connection, teacher):
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


def _rescue(old, new):
    """Take over what can be read of a damaged file; return the number of answers."""
    n_rescued = 0
    for fingerprint, key, record in _from_both_ends(
        old,
        "SELECT fingerprint, key, record FROM answers JOIN teachers ON teachers.id = "
        "answers.teacher ORDER BY answers.teacher {0}, key {0}",
    ):
        if _opened(_person(fingerprint), key, record) is not None:
            teacher = _teacher_id(new, fingerprint, create=True)
            n_rescued += new.execute(
                "INSERT OR IGNORE INTO answers VALUES (?, ?, ?)", (teacher, key, record)
            ).rowcount
    for name, record in _from_both_ends(
        old, "SELECT name, record FROM notes ORDER BY name {0}"
    ):
        if _opened(_person(_NOTES), name, record) is not None:
            new.execute(_PUT_NOTE, (name, record))
    return n_rescued


def _from_both_ends(connection, query):
    """Rows up to the first damage, from the front and from the back."""
    for order in ("ASC", "DESC"):
        try:
            yield from connection.execute(query.format(order))
        except sqlite3.DatabaseError:  # here the damage begins
            continue


# -- records ---------------------------------------------------------------------------


def _person(text):
    """Fingerprint in the form that a checksum takes in."""
    return blake2b(text.encode(), digest_size=16).digest()


def _sealed(person, key, data):
    """Checksum of fingerprint, key and data, then the data."""
    check = blake2b(key + data, digest_size=_CHECK_BYTES, person=person).digest()
    return check + data


def _opened(person, key, record):
    """Data of a record, None if anything about it has changed."""
    if type(record) is not bytes or type(key) is not bytes:
        return None
    data = record[_CHECK_BYTES:]
    check = blake2b(key + data, digest_size=_CHECK_BYTES, person=person).digest()
    return data if check == record[:_CHECK_BYTES] else None
