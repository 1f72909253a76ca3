"""One SQLite file that many processes and threads read and write at once.

What SQLite leaves open is settled here: a connection never crosses a fork, a damaged
file is set aside, a file that was replaced is opened anew, errors say what to do.
"""

import errno
import os
import sqlite3
import threading
import time
import warnings
import weakref
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path

#: Marks our files among SQLite's ("skdt").
APPLICATION_ID = 0x736B6474

#: Times that an operation is tried while its file is being set aside, and seconds
#: between two tries.
_ATTEMPTS, _PAUSE = 6, 0.01

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
_REFUSED = {
    sqlite3.SQLITE_AUTH,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
}
_OUTSIDE = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOMEM,
}
#: What a process meets, too, while another one renames the file and its logs.
_PASSING = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR}
_OUR_FAULT = (sqlite3.ProgrammingError, sqlite3.NotSupportedError)


class Database:
    """A SQLite file in write-ahead mode, opened by each process for itself.

    Threads of a process share one connection and take turns.

    Parameters
    ----------
    path : str
        The file; made when first used.

    schema : list of str
        Statements that make the tables.

    version : int
        Number of the schema, kept as ``user_version``.

    migrations : dict
        For each version after the first, the statements that make it of the one before.

    timeout : float
        Seconds to wait for other writers.

    rescue : callable
        Takes connections to a damaged file and to a new one, brings over what it can
        and returns the number of rows.
    """

    def __init__(self, path, *, schema, version, migrations, timeout, rescue):
        self.path, self.schema, self.version = path, schema, version
        self.migrations = migrations
        self.timeout, self.rescue = timeout, rescue
        self._connection = self._file_id = None
        self._turn = threading.RLock()
        _OPEN.add(self)

    def run(self, work, *, write=False):
        """Do some work in one transaction, committed when this returns.

        Parameters
        ----------
        work : callable
            Takes the connection. It runs again, on a new file, where the old one turns
            out to be damaged.

        write : bool, default=False
            Whether to keep other writers out from the start.

        Returns
        -------
        result : object
            What `work` returns.
        """
        return self._guarded(lambda: transact(self._connected(), work, write=write))

    def vacuum(self):
        """Give the space of deleted rows back to the disk."""

        def shrink():
            connection = self._connected()
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

        self._guarded(shrink)

    def close(self):
        """Let go of the file; it is opened again when it is used again."""
        with self._turn:
            if self._connection is not None:
                self._connection.close()
            self._connection = self._file_id = None

    def _guarded(self, action):
        """Act; if the file turns out to be damaged, set it aside and act again."""
        with self._turn:
            for attempt in range(_ATTEMPTS):
                try:
                    return action()
                except sqlite3.DatabaseError as error:
                    is_last = attempt == _ATTEMPTS - 1
                    if _code(error) & 0xFF in _PASSING and not is_last:
                        self.close()  # another process may be setting the file aside
                        time.sleep(_PAUSE)
                        continue
                    self._explain(error)
                    if is_last:
                        raise
                    self._set_aside(error)

    # -- opening -----------------------------------------------------------------------

    def _connected(self):
        if self._connection is not None and self._file_id != file_id(self.path):
            self.close()  # another process set the file aside, or the user removed it
        if self._connection is None:
            self._check_path()
            # Names of file and logs are looked up now: nobody may rename one between.
            with holding(f"{self.path}.lock", self.timeout):
                self._connect()
        return self._connection

    def _connect(self):
        connection = sqlite3.connect(
            self.path,
            timeout=self.timeout,
            isolation_level=None,
            check_same_thread=False,
        )
        self._file_id = file_id(self.path)
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def _check_path(self):
        folder = os.path.dirname(self.path)
        if not os.path.isdir(folder):
            raise FileNotFoundError(
                f"The store must lie in a folder that exists, got {self.path!r}. Make "
                f"the folder {folder!r}, or pass another path."
            )
        if os.path.isdir(self.path):
            raise IsADirectoryError(
                f"The store must be a file, got the folder {self.path!r}. Pass the "
                "path of a file in it."
            )

    def _prepare(self, connection):
        """Bring a connection to the state that all work expects."""
        # In one transaction: another process may be making the tables this moment.
        if patiently(lambda: transact(connection, self._is_new), self.timeout):
            # Switching to write-ahead mode does not wait for others by itself.
            patiently(
                lambda: connection.execute("PRAGMA journal_mode = WAL"), self.timeout
            )
            transact(connection, self._make_tables, write=True)
        if _version(connection) < self.version:
            transact(connection, self._migrate, write=True)
        # A commit outlives a power cut too: answers may have been paid for.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA cache_size = -65536")  # KiB

    def _make_tables(self, connection):
        if self._is_new(connection):
            for statement in self.schema:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {self.version}")

    def _migrate(self, connection):
        """Bring the tables of an older version up to date, unless that is done."""
        for number in range(_version(connection) + 1, self.version + 1):
            for statement in self.migrations[number]:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {self.version}")

    def _is_new(self, connection):
        """Tell whether tables are still to be made; raise if they are not ours."""
        application, version, n_tables = (
            connection.execute(query).fetchone()[0]
            for query in (
                "PRAGMA application_id",
                "PRAGMA user_version",
                "SELECT count(*) FROM sqlite_master",
            )
        )
        if application != APPLICATION_ID:
            if n_tables == 0:
                return True
            raise ValueError(
                "The store must be a file of skdistill, got the SQLite database of "
                f"another program, {self.path!r}. Pass another path."
            )
        if version > self.version:
            raise ValueError(
                f"The store must have a schema of version {self.version} or older, got "
                f"version {version} in {self.path!r}: a newer skdistill wrote it. "
                "Upgrade skdistill, or pass another path."
            )
        return False

    # -- what goes wrong ---------------------------------------------------------------

    def _explain(self, error):
        """Raise for what is not the file's content; return for a damaged file."""
        if isinstance(error, _OUR_FAULT):
            raise error
        code = _code(error)
        if code == sqlite3.SQLITE_READONLY_DBMOVED:
            return  # another process has just set it aside
        code &= 0xFF
        if code not in _BUSY | _REFUSED | _OUTSIDE:
            return
        self.close()
        if code in _BUSY:
            raise TimeoutError(
                f"The store {self.path!r} stayed locked by another process for "
                f"{self.timeout} seconds. Try again, or raise timeout=."
            ) from error
        if code in _REFUSED:
            raise PermissionError(
                errno.EACCES,
                f"The store must be writable, and so must its folder ({error}). Change "
                "the permissions, or pass another path",
                self.path,
            ) from error
        raise OSError(f"The store {self.path!r} cannot be used: {error}.") from error

    def _rescue_from(self, aside):
        """Bring over what can be read with the log, and what can be read without."""
        n_rescued = 0
        for how in ("mode=rw", "immutable=1"):
            uri = f"{Path(aside).as_uri()}?{how}"
            with closing(sqlite3.connect(uri, uri=True)) as old:
                work = partial(self.rescue, old)
                n_rescued += transact(self._connection, work, write=True)
        return n_rescued

    def _set_aside(self, error):
        """Rename a damaged file, unless another process already did."""
        damaged = self._file_id
        self.close()
        with holding(f"{self.path}.lock", self.timeout, alone=True):
            if damaged is None or file_id(self.path) != damaged:
                return
            aside = free_name(f"{self.path}.damaged")
            # The log first: SQLite must never find it beside a new file.
            for suffix in ("-wal", "-shm", ""):
                with suppress(FileNotFoundError):  # SQLite removes logs it is done with
                    os.replace(self.path + suffix, aside + suffix)
            self._connect()
            n_rescued = self._rescue_from(aside)
        warnings.warn(
            f"The store {self.path!r} is damaged ({error}). It was set aside as "
            f"{aside!r}, and a new one was begun with the {n_rescued} answers that "
            "could be read: the others will be asked again.",
            UserWarning,
            stacklevel=5,
        )


def _version(connection):
    return connection.execute("PRAGMA user_version").fetchone()[0]


def _code(error):
    """SQLite's extended code of an error; Python's own, of decoding, mean damage."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)


def transact(connection, work, *, write=False):
    """Do some work, and commit it or leave no trace of it."""
    connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
    try:
        result = work(connection)
        connection.execute("COMMIT")
        return result
    except BaseException:
        if connection.in_transaction:
            connection.rollback()
        raise


def file_id(path):
    """What tells a file from another one that takes its name; None if there is none."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def free_name(stem):
    """First of ``stem-1``, ``stem-2``, ... that is not taken."""
    number = 1
    while os.path.exists(f"{stem}-{number}"):
        number += 1
    return f"{stem}-{number}"


def patiently(action, timeout):
    """Try again while others keep a file locked, for so many seconds."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            return action()
        except sqlite3.OperationalError as error:
            if _code(error) & 0xFF not in _BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE)


@contextmanager
def holding(path, timeout, *, alone=False):
    """Hold a lock during a block, with others or alone; an empty SQLite file is it."""
    with closing(
        sqlite3.connect(path, timeout=timeout, isolation_level=None)
    ) as connection:
        connection.execute("BEGIN EXCLUSIVE" if alone else "BEGIN")
        connection.execute("SELECT count(*) FROM sqlite_master")  # locks it
        yield


# -- forks -----------------------------------------------------------------------------

#: Databases of this process, and those that wait for a fork to be over.
_OPEN, _WAITING = weakref.WeakSet(), []


def _before_fork():
    """Close every connection: SQLite's locks do not survive a fork, nor forgive one."""
    for database in list(_OPEN):
        database._turn.acquire()
        _WAITING.append(database)
        database.close()


def _after_fork():
    while _WAITING:
        _WAITING.pop()._turn.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork,
        after_in_child=_after_fork,
    )
