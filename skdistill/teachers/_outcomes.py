"""What became of each question put to a teacher that costs money, and what it cost."""

from dataclasses import dataclass

import numpy as np

from skdistill.teachers._store_rows import (
    DOUBLE,
    PUT_ANSWER,
    batches,
    person_of,
    read,
    sealed,
    teacher_id,
)

#: A usable answer; a reply that holds none; the model or its filter refused; the server
#: refused the request as such; no reply came; a question about the server itself.
OUTCOMES = ("answered", "unusable", "refused", "rejected", "failed", "probed")

_COUNTS = ("attempts", "calls", "prompt_tokens", "completion_tokens", "cost")
_COLUMNS = ("outcome", *_COUNTS, "label_mass", "missing_mass")

# A row that is asked again keeps what it cost before.
_PUT_OUTCOME = (
    f"INSERT INTO outcomes (teacher, key, {', '.join(_COLUMNS)}) VALUES (?, ?"
    f"{', ?' * len(_COLUMNS)}) ON CONFLICT DO UPDATE SET outcome = excluded.outcome, "
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in _COUNTS)
    + ", label_mass = excluded.label_mass, missing_mass = excluded.missing_mass"
)
#: An outcome from elsewhere never replaces an answer, nor one of its own kind.
MERGE_OUTCOME = (
    f"INSERT INTO outcomes (teacher, key, {', '.join(_COLUMNS)}) VALUES (?, ?"
    f"{', ?' * len(_COLUMNS)}) ON CONFLICT DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS)
    + " WHERE excluded.outcome = 'answered' AND outcomes.outcome <> 'answered'"
)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of one question.

    Attributes
    ----------
    outcome : str
        One of `OUTCOMES`.

    answer : ndarray of shape (n_columns,) or None
        What was answered; None without a usable answer.

    attempts : int
        Requests sent, those included that the client sent again.

    calls : int
        Requests that were to be answered, each counted once.

    prompt_tokens, completion_tokens : int
        As the server counted them.

    cost : float
        In the unit of the prices given.

    label_mass, missing_mass : float
        Probability of the labels, and of everything that the reply did not show; NaN
        where there is no usable answer.
    """

    outcome: str
    answer: np.ndarray | None = None
    attempts: int = 0
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    label_mass: float = np.nan
    missing_mass: float = np.nan

    def __post_init__(self):
        if self.outcome not in OUTCOMES:
            raise ValueError(
                f"outcome must be one of {list(OUTCOMES)!r}, got {self.outcome!r}."
            )

    @property
    def row(self):
        """Values of the columns in the store."""
        return tuple(getattr(self, name) for name in _COLUMNS)


def write_outcomes(connection, entries):
    """Keep outcomes, and the answers that some of them hold.

    Parameters
    ----------
    connection : sqlite3.Connection
        In a transaction.

    entries : list of (str, bytes, Outcome)
        Fingerprint, key and outcome of each question.
    """
    for fingerprint, key, outcome in entries:
        teacher = teacher_id(connection, fingerprint, create=True)
        connection.execute(_PUT_OUTCOME, (teacher, key, *outcome.row))
        if outcome.answer is not None:
            data = np.ascontiguousarray(outcome.answer, dtype=DOUBLE).tobytes()
            record = sealed(person_of(fingerprint), key, data)
            connection.execute(PUT_ANSWER, (teacher, key, record))
        connection.execute(
            "UPDATE teachers SET rows_asked = rows_asked + 1 WHERE id = ?", (teacher,)
        )


def read_outcomes(connection, fingerprint, keys):
    """Outcomes by key; answers that fail their checksum count as never given.

    Parameters
    ----------
    connection : sqlite3.Connection
        In a transaction.

    fingerprint : str
        Identity of the teacher.

    keys : list of bytes
        Keys of rows.

    Returns
    -------
    outcomes : dict
        Without the keys of which nothing is known.
    """
    answers, _ = read(connection, fingerprint, keys)
    outcomes = {
        key: Outcome("answered", np.frombuffer(data, dtype=DOUBLE))
        for key, data in answers.items()
    }
    teacher = teacher_id(connection, fingerprint)
    for part in batches(keys) if teacher is not None else ():
        marks = ",".join("?" * len(part))
        for key, outcome, *values in connection.execute(
            f"SELECT key, {', '.join(_COLUMNS)} FROM outcomes WHERE teacher = ? AND "
            f"key IN ({marks})",
            (teacher, *part),
        ):
            if outcome not in OUTCOMES or (outcome == "answered") != (key in answers):
                continue
            values = [np.nan if value is None else value for value in values]
            answer = outcomes[key].answer if key in answers else None
            outcomes[key] = Outcome(outcome, answer, *values)
    return outcomes


def count_outcomes(connection, fingerprints):
    """Sum up the outcomes of some teachers.

    Parameters
    ----------
    connection : sqlite3.Connection
        In a transaction.

    fingerprints : list of str or None
        Identities of teachers; None means all.

    Returns
    -------
    counts : dict
        ``outcomes``: a dict of counts by outcome; the sums of attempts, calls, tokens
        and costs.
    """
    which, values = chosen(fingerprints)
    sums = ", ".join(f"coalesce(sum({name}), 0)" for name in _COUNTS)
    of_these = f"FROM outcomes WHERE teacher IN (SELECT id FROM teachers{which})"
    totals = connection.execute(f"SELECT {sums} {of_these}", values).fetchone()
    by_outcome = connection.execute(
        f"SELECT outcome, count(*) {of_these} GROUP BY outcome ORDER BY outcome", values
    )
    return {"outcomes": dict(by_outcome)} | dict(zip(_COUNTS, totals, strict=True))


def sum_spent(connection, fingerprints):
    """Calls and cost of some teachers' questions.

    Parameters
    ----------
    connection : sqlite3.Connection
        In a transaction.

    fingerprints : list of str
        Identities of teachers.

    Returns
    -------
    calls : int

    cost : float
    """
    which, values = chosen(fingerprints)
    return connection.execute(
        "SELECT coalesce(sum(calls), 0), coalesce(sum(cost), 0.0) FROM outcomes "
        f"WHERE teacher IN (SELECT id FROM teachers{which})",
        values,
    ).fetchone()


def delete_outcomes(connection, fingerprints, outcomes=None):
    """Forget some teachers' outcomes, of some kinds where these are given.

    Parameters
    ----------
    connection : sqlite3.Connection
        In a transaction.

    fingerprints : list of str or None
        Identities of teachers; None means all.

    outcomes : list of str, default=None
        Kinds of outcomes to forget; None means all, and answers go with them.
    """
    which, values = chosen(fingerprints)
    of_these = f"teacher IN (SELECT id FROM teachers{which})"
    if outcomes is None or "answered" in outcomes:
        connection.execute(f"DELETE FROM answers WHERE {of_these}", values)
    if outcomes is None:
        connection.execute(f"DELETE FROM outcomes WHERE {of_these}", values)
        connection.execute(f"UPDATE teachers SET rows_asked = 0{which}", values)
        return
    marks = ",".join("?" * len(outcomes))
    connection.execute(
        f"DELETE FROM outcomes WHERE {of_these} AND outcome IN ({marks})",
        (*values, *outcomes),
    )


def chosen(fingerprints):
    """Clause and values that choose among the teachers; None chooses all."""
    if fingerprints is None:
        return "", ()
    return f" WHERE fingerprint IN ({','.join('?' * len(fingerprints))})", fingerprints
