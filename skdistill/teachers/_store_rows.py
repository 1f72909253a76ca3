"""What a store of answers keeps: its tables, sealed records, and work on them.

Every function here runs inside a transaction of
:class:`~skdistill.teachers._database.Database`.
"""

import sqlite3
from hashlib import blake2b

import numpy as np

SCHEMA_VERSION = 3

_FIRST_SCHEMA = (
    "CREATE TABLE teachers (id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE, "
    "rows_asked INTEGER NOT NULL DEFAULT 0)",
    "CREATE TABLE answers (teacher INTEGER NOT NULL, key BLOB NOT NULL, record BLOB "
    "NOT NULL, PRIMARY KEY (teacher, key)) WITHOUT ROWID",
    "CREATE TABLE claims (id TEXT PRIMARY KEY, teacher INTEGER NOT NULL, owner TEXT "
    "NOT NULL, expires REAL NOT NULL, keys BLOB NOT NULL)",
    "CREATE TABLE notes (name BLOB PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID",
)
#: What each later version of the schema adds.
MIGRATIONS = {
    2: (
        "CREATE TABLE outcomes (teacher INTEGER NOT NULL, key BLOB NOT NULL, outcome "
        "TEXT NOT NULL, attempts INTEGER NOT NULL, calls INTEGER NOT NULL, "
        "prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, cost REAL "
        "NOT NULL, label_mass REAL, missing_mass REAL, PRIMARY KEY (teacher, key)) "
        "WITHOUT ROWID",
    ),
    3: (
        "CREATE TABLE holds (id TEXT PRIMARY KEY, account TEXT NOT NULL, owner TEXT "
        "NOT NULL, expires REAL NOT NULL, calls INTEGER NOT NULL, cost REAL NOT NULL)",
    ),
}
SCHEMA = (*_FIRST_SCHEMA, *MIGRATIONS[2], *MIGRATIONS[3])

PUT_ANSWER = "INSERT OR REPLACE INTO answers VALUES (?, ?, ?)"
PUT_NOTE = "INSERT OR REPLACE INTO notes VALUES (?, ?)"

#: Stands for the fingerprint in the checksum of a note.
NOTES = "notes"

#: Bytes of the checksum in front of every record.
_CHECK_BYTES = 8
#: Keys looked up by one statement.
_KEYS_PER_QUERY = 1000
#: How doubles are kept, whatever the machine.
DOUBLE = np.dtype("<f8")


def teacher_id(connection, fingerprint, *, create=False):
    """Number of a teacher in this file; None where it has none and gets none."""
    if create:
        connection.execute(
            "INSERT OR IGNORE INTO teachers (fingerprint) VALUES (?)", (fingerprint,)
        )
    row = connection.execute(
        "SELECT id FROM teachers WHERE fingerprint = ?", (fingerprint,)
    ).fetchone()
    return None if row is None else row[0]


def read(connection, fingerprint, keys):
    """Answers by key as bytes, and the keys of those that fail their checksum."""
    answers, damaged = {}, []
    teacher = teacher_id(connection, fingerprint)
    if teacher is None:
        return answers, damaged
    person = person_of(fingerprint)
    for part in batches(keys):
        marks = ",".join("?" * len(part))
        for key, record in connection.execute(
            f"SELECT key, record FROM answers WHERE teacher = ? AND key IN ({marks})",
            (teacher, *part),
        ):
            data = opened(person, key, record)
            if data is None:
                damaged.append(key)
            else:
                answers[key] = data
    return answers, damaged


def batches(keys):
    """Distinct keys in parts that one statement looks up, neighbours together."""
    ordered = sorted(set(keys))  # neighbours lie on the same page
    for start in range(0, len(ordered), _KEYS_PER_QUERY):
        yield ordered[start : start + _KEYS_PER_QUERY]


def rescue(old, new):
    """Take over what can be read of a damaged file; return the number of answers."""
    n_rescued = 0
    for fingerprint, key, record in _from_both_ends(
        old,
        "SELECT fingerprint, key, record FROM answers JOIN teachers ON teachers.id = "
        "answers.teacher ORDER BY answers.teacher {0}, key {0}",
    ):
        if opened(person_of(fingerprint), key, record) is not None:
            teacher = teacher_id(new, fingerprint, create=True)
            n_rescued += new.execute(
                "INSERT OR IGNORE INTO answers VALUES (?, ?, ?)", (teacher, key, record)
            ).rowcount
    for fingerprint, _, *values in _from_both_ends(
        old,
        "SELECT fingerprint, outcomes.* FROM outcomes JOIN teachers ON teachers.id = "
        "outcomes.teacher ORDER BY outcomes.teacher {0}, key {0}",
    ):
        teacher = teacher_id(new, fingerprint, create=True)
        new.execute(
            f"INSERT OR IGNORE INTO outcomes VALUES (?{', ?' * len(values)})",
            (teacher, *values),
        )
    for name, record in _from_both_ends(
        old, "SELECT name, record FROM notes ORDER BY name {0}"
    ):
        if opened(person_of(NOTES), name, record) is not None:
            new.execute(PUT_NOTE, (name, record))
    return n_rescued


def _from_both_ends(connection, query):
    """Rows up to the first damage, from the front and from the back."""
    for order in ("ASC", "DESC"):
        try:
            yield from connection.execute(query.format(order))
        except sqlite3.DatabaseError:  # here the damage begins
            continue


# -- records ---------------------------------------------------------------------------


def person_of(text):
    """Fingerprint in the form that a checksum takes in."""
    return blake2b(text.encode(), digest_size=16).digest()


def sealed(person, key, data):
    """Checksum of fingerprint, key and data, then the data."""
    check = blake2b(key + data, digest_size=_CHECK_BYTES, person=person).digest()
    return check + data


def opened(person, key, record):
    """Data of a record, None if anything about it has changed."""
    if type(record) is not bytes or type(key) is not bytes:
        return None
    data = record[_CHECK_BYTES:]
    check = blake2b(key + data, digest_size=_CHECK_BYTES, person=person).digest()
    return data if check == record[:_CHECK_BYTES] else None
