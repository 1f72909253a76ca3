"""Answers of a store as a Parquet file, to be kept, sent and looked into."""

import base64
import json
from itertools import islice

import numpy as np

from skdistill.teachers._outcomes import MERGE_OUTCOME, OUTCOMES, Outcome, chosen
from skdistill.teachers._row_keys import KEY_BYTES
from skdistill.teachers._store_rows import DOUBLE, opened, person_of, sealed, teacher_id

#: Rows of one group of the file, which bounds the memory of both ways.
_GROUP_ROWS = 10_000
#: Under this name the file's metadata hold the notes of the store.
_METADATA = b"skdistill"

_SELECT = (
    "SELECT fingerprint, key, coalesce(outcome, 'answered'), attempts, calls, "
    "prompt_tokens, completion_tokens, cost, label_mass, missing_mass, record FROM "
    # every key once: those with an outcome, and answers that came without one
    "(SELECT teacher, key FROM outcomes UNION SELECT teacher, key FROM answers) "
    "LEFT JOIN outcomes USING (teacher, key) LEFT JOIN answers USING (teacher, key) "
    "JOIN teachers ON teachers.id = teacher"
)


def export_rows(connection, notes, path, fingerprints):
    """Write outcomes and answers; those that fail their checksum stay behind.

    Parameters
    ----------
    connection : sqlite3.Connection
        In a transaction.

    notes : dict
        Names and data of notes that go along.

    path : str
        The file.

    fingerprints : list of str or None
        Identities of teachers; None means all.

    Returns
    -------
    n_rows : int
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    metadata = {_coded(name): _coded(data) for name, data in notes.items()}
    schema = _schema(pa).with_metadata({_METADATA: json.dumps(metadata)})
    which, values = chosen(fingerprints)
    cursor = connection.execute(f"{_SELECT}{which} ORDER BY teacher, key", values)
    n_rows = 0
    with pq.ParquetWriter(path, schema) as writer:
        while rows := list(islice(cursor, _GROUP_ROWS)):
            rows = [row for row in map(_exported, rows) if row is not None]
            columns = list(zip(*rows, strict=True)) or [()] * len(schema)
            writer.write_table(pa.table(list(map(list, columns)), schema=schema))
            n_rows += len(rows)
    return n_rows


def import_rows(connection, path):
    """Take over outcomes and answers; what is answered already stays.

    Parameters
    ----------
    connection : sqlite3.Connection
        In a transaction.

    path : str
        A file that `export_rows` wrote.

    Returns
    -------
    n_answers : int
        Answers that were not there.

    notes : dict
        Names and data of notes that came along.

    Raises
    ------
    ValueError
        If the file is of another kind, or a row of it makes no sense.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    n_answers = 0
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        metadata = (schema.metadata or {}).get(_METADATA)
        if metadata is None or schema.remove_metadata() != _schema(pa):
            raise ValueError(
                "path must be a Parquet file that export_parquet wrote, got "
                f"{path!r} with the columns {schema.names!r}."
            )
        for batch in file.iter_batches(batch_size=_GROUP_ROWS):
            for row in batch.to_pylist():
                n_answers += _import_row(connection, row, path)
    notes = json.loads(metadata)
    return n_answers, {_decoded(name): _decoded(data) for name, data in notes.items()}


def _schema(pa):
    numbers = {"attempts": pa.int64(), "calls": pa.int64()}
    numbers |= {"prompt_tokens": pa.int64(), "completion_tokens": pa.int64()}
    numbers |= dict.fromkeys(["cost", "label_mass", "missing_mass"], pa.float64())
    return pa.schema(
        {
            "fingerprint": pa.string(),
            "key": pa.binary(KEY_BYTES),
            "outcome": pa.string(),
            **numbers,
            "answer": pa.list_(pa.float64()),
        }
    )


def _exported(row):
    """Values of one row of the file; None where a checksum does not fit."""
    fingerprint, key, outcome, *numbers, record = row
    if record is None:
        return None if outcome == "answered" else (*row[:-1], None)
    data = opened(person_of(fingerprint), key, record)
    if data is None:
        return None
    return fingerprint, key, outcome, *numbers, np.frombuffer(data, dtype=DOUBLE)


def _import_row(connection, row, path):
    """Take over one row; return the number of answers that are new, 0 or 1."""
    fingerprint, key, answer = row["fingerprint"], row["key"], row["answer"]
    if row["outcome"] not in OUTCOMES or (row["outcome"] == "answered") != bool(answer):
        raise ValueError(
            f"path must hold answers where the outcome is 'answered' and nowhere else, "
            f"got outcome {row['outcome']!r} with answer {answer!r} in {path!r}."
        )
    teacher = teacher_id(connection, fingerprint, create=True)
    if row["attempts"] is not None:
        fields = {name: row[name] for name in Outcome.__dataclass_fields__}
        connection.execute(MERGE_OUTCOME, (teacher, key, *Outcome(**fields).row))
    if not answer:
        return 0
    data = np.asarray(answer, dtype=DOUBLE).tobytes()
    return connection.execute(
        "INSERT OR IGNORE INTO answers VALUES (?, ?, ?)",
        (teacher, key, sealed(person_of(fingerprint), key, data)),
    ).rowcount


def _coded(data):
    return base64.b64encode(data).decode()


def _decoded(text):
    return base64.b64decode(text)
