"""A file of teachers' answers: each row is asked once, over all processes and days."""

import os
import threading
import time
import warnings

import numpy as np

from skdistill.teachers._claims import Claim, claimed
from skdistill.teachers._database import Database
from skdistill.teachers._outcomes import (
    count_outcomes,
    delete_outcomes,
    read_outcomes,
    write_outcomes,
)
from skdistill.teachers._owners import this_process
from skdistill.teachers._store_files import export_rows, import_rows
from skdistill.teachers._store_rows import (
    DOUBLE,
    MIGRATIONS,
    NOTES,
    PUT_ANSWER,
    PUT_NOTE,
    SCHEMA,
    SCHEMA_VERSION,
    opened,
    person_of,
    read,
    rescue,
    sealed,
    teacher_id,
)

#: Seconds between looks at what another process is doing: first and longest.
FIRST_PAUSE, LONGEST_PAUSE = 0.005, 0.5


class AnswerStore:
    """Teachers' probabilities on disk, one row an answer, shared by processes.

    A file of SQLite in write-ahead mode (not for network drives). An answer is found by
    the key of its row (:func:`~skdistill.teachers._row_keys.row_keys`) and the
    fingerprint of its teacher; it is kept as raw float64 with a checksum of its own, so
    that a flipped bit becomes a question asked again, never a wrong answer. What
    `put_many` returned from survives a killed process and a power cut. Questions that
    cost money have an outcome besides, answered or not: see `inspect`.

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
            schema=SCHEMA,
            version=SCHEMA_VERSION,
            migrations=MIGRATIONS,
            timeout=timeout,
            rescue=rescue,
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
            lambda connection: read(connection, fingerprint, keys)
        )
        if damaged:
            self._drop(fingerprint, damaged)
        rows = [answers.get(key) for key in keys]
        found = np.array([row is not None for row in rows], dtype=bool)
        n_found = int(found.sum())
        with self._counting:
            self._hits += n_found
            self._misses += len(keys) - n_found
        width = len(next(iter(answers.values()), b"")) // DOUBLE.itemsize
        P = np.full((len(keys), width), np.nan)
        if n_found:
            values = b"".join(row for row in rows if row is not None)
            P[found] = np.frombuffer(values, dtype=DOUBLE).reshape(n_found, width)
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
        P = np.ascontiguousarray(P, dtype=DOUBLE)
        if P.ndim != 2 or len(P) != len(keys):
            raise ValueError(
                f"P must have one row for each of the {len(keys)} keys, got shape "
                f"{P.shape!r}. Pass one row of probabilities for each row asked."
            )
        person, data = person_of(fingerprint), P.tobytes()
        width = P.shape[1] * DOUBLE.itemsize
        records = sorted(
            (keys[i], sealed(person, keys[i], data[i * width : (i + 1) * width]))
            for i in np.flatnonzero(np.isfinite(P).all(axis=1)).tolist()
        )

        def write(connection):
            teacher = teacher_id(connection, fingerprint, create=True)
            connection.executemany(
                PUT_ANSWER, ((teacher, key, record) for key, record in records)
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
            _, damaged = read(connection, fingerprint, keys)
            teacher = teacher_id(connection, fingerprint)
            connection.executemany(
                "DELETE FROM answers WHERE teacher = ? AND key = ?",
                ((teacher, key) for key in damaged),
            )

        self._database.run(delete, write=True)

    # -- outcomes ----------------------------------------------------------------------

    def put_outcomes(self, entries, *, hold=None):
        """Keep what became of questions, all or none; safe when this returns.

        Parameters
        ----------
        entries : list of (str, bytes, Outcome)
            Fingerprint of the teacher, key of the row, and what became of it. Attempts,
            tokens and costs add up with those of earlier attempts.

        hold : Hold, default=None
            What was set aside for them: they come out of it.
        """

        def write(connection):
            write_outcomes(connection, entries)
            if hold is not None and hold.is_limited:
                calls = sum(outcome.calls for *_, outcome in entries)
                cost = sum(outcome.cost for *_, outcome in entries)
                hold.spend(connection, calls, cost)

        self._database.run(write, write=True)

    def get_outcomes(self, fingerprint, keys):
        """Look up what became of questions.

        Parameters
        ----------
        fingerprint : str
            Identity of the teacher.

        keys : list of bytes
            Keys of rows.

        Returns
        -------
        outcomes : dict
            An Outcome for each key of which something is known.
        """
        return self._database.run(
            lambda connection: read_outcomes(connection, fingerprint, keys)
        )

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
            teacher = teacher_id(connection, fingerprint, create=True)
            taken = claimed(connection, teacher)
            free = [key for key in keys if key not in taken][:limit]
            answers, _ = read(connection, fingerprint, free)
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
        return None if row is None else opened(person_of(NOTES), name, row[0])

    def put_note(self, name, data):
        """Note something beside the answers.

        Parameters
        ----------
        name : bytes
            What it is about; an older note of this name goes.

        data : bytes
            The note.
        """
        record = sealed(person_of(NOTES), name, data)
        self._database.run(
            lambda connection: connection.execute(PUT_NOTE, (name, record)),
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

    def inspect(self, fingerprint=None):
        """What became of the questions, and what they cost.

        Answers that `put_many` kept are not among them.

        Parameters
        ----------
        fingerprint : str or list of str, default=None
            Identities of teachers; None means all.

        Returns
        -------
        counts : dict
            ``outcomes``, a dict of counts by outcome ("answered", "unusable",
            "refused", "rejected", "failed", and "probed" for questions about the server
            itself); ``attempts``, ``calls``, ``prompt_tokens``, ``completion_tokens``
            and ``cost``, sums over all processes and days.
        """
        fingerprints = as_list(fingerprint)
        return self._database.run(
            lambda connection: count_outcomes(connection, fingerprints)
        )

    def purge(self, fingerprint=None, *, outcome=None):
        """Delete answers and outcomes, and give the space back.

        Parameters
        ----------
        fingerprint : str or list of str, default=None
            Identities of the teachers whose answers go; None means all.

        outcome : str or list of str, default=None
            Only what came out like that: "failed", say, to have those rows asked again.
            None means all.
        """
        fingerprints = as_list(fingerprint)
        self._database.run(
            lambda connection: delete_outcomes(
                connection, fingerprints, as_list(outcome)
            ),
            write=True,
        )
        self._database.vacuum()

    def export_parquet(self, path, fingerprint=None):
        """Write outcomes and answers to a Parquet file (needs pyarrow).

        A row a question: fingerprint, key, outcome, attempts, calls, tokens, cost,
        masses and the answer. Neither rows nor replies are in it: a key tells nothing.

        Parameters
        ----------
        path : str or path-like
            The file.

        fingerprint : str or list of str, default=None
            Identities of teachers; None means all.

        Returns
        -------
        n_rows : int
        """
        path, fingerprints = os.fspath(path), as_list(fingerprint)

        def write(connection):
            notes = {
                name: data
                for name, record in connection.execute("SELECT name, record FROM notes")
                if (data := opened(person_of(NOTES), name, record)) is not None
            }
            return export_rows(connection, notes, path, fingerprints)

        return self._database.run(write)

    def import_parquet(self, path):
        """Take over what `export_parquet` wrote, all or nothing; answers here stay.

        Parameters
        ----------
        path : str or path-like
            The file.

        Returns
        -------
        n_answers : int
            Answers that are new here.

        Raises
        ------
        ValueError
            If the file is of another kind.
        """

        def take(connection):
            n_answers, notes = import_rows(connection, os.fspath(path))
            for name, data in notes.items():
                record = sealed(person_of(NOTES), name, data)
                connection.execute(
                    "INSERT OR IGNORE INTO notes VALUES (?, ?)", (name, record)
                )
            return n_answers

        return self._database.run(take, write=True)


def as_list(names):
    """A name or a list of names as a list; None as it is."""
    return [names] if isinstance(names, str) else names


def _reopen(kind, path, timeout, claim_timeout):
    return kind(path, timeout=timeout, claim_timeout=claim_timeout)
