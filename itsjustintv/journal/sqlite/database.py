"""
The file: how it is opened, who may open it, and what its errors mean to an operator.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from sqlite3 import Connection

from twisted.logger import Logger

from itsjustintv.errors import JournalInUse, JournalUnavailable
from itsjustintv.journal.sqlite.backup import copy
from itsjustintv.journal.sqlite.disk_space import lacking
from itsjustintv.journal.sqlite.file_presence import companion, logged
from itsjustintv.journal.sqlite.migrations import STEPS, check, migrate
from itsjustintv.support.files import make_private, sync_directory
from itsjustintv.support.regular_files import require_regular

_log = Logger()

__all__ = [
    "BUSY_TIMEOUT",
    "concerns_storage",
    "connect",
    "create",
    "explain",
    "explained",
    "lock",
    "lock_file",
]

#: Seconds to wait for another process that is writing.
BUSY_TIMEOUT = 5.0

#: Primary result codes (sqlite.org, "Result and Error Codes") that say: this statement is wrong, the storage is not.
_STATEMENT = {
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_TOOBIG,
    sqlite3.SQLITE_RANGE,
}

_MEANING = {
    sqlite3.SQLITE_FULL: "the disk that holds {path} is full: free some space",
    sqlite3.SQLITE_READONLY: "{path} cannot be written: make the file and its directory writable for this user",
    sqlite3.SQLITE_BUSY: "another process has been writing to {path} for too long: end it",
    sqlite3.SQLITE_LOCKED: "another process has been writing to {path} for too long: end it",
    sqlite3.SQLITE_CORRUPT: "{path} is damaged: restore it from a backup, or move it away to begin anew",
    sqlite3.SQLITE_NOTADB: "{path} is not a journal of itsjustintv: set storage.path to another file",
    sqlite3.SQLITE_CANTOPEN: "{path} cannot be opened: it must exist, and this user must own it and its directory",
    sqlite3.SQLITE_IOERR: "reading or writing {path} failed ({name}): check the disk",
}


#: Codes that SQLite has for a disk without room, too: for the index of its log, and for what only fails when it is
#: synced or truncated.
_MAYBE_FULL = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}


def _primary(error: BaseException) -> int | None:
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def concerns_storage(error: BaseException) -> bool:
    """
    Whether an error says something about the file, and not about the statement that met it.
    """
    code = _primary(error)
    return code is not None and code not in _STATEMENT


def explain(path: Path, error: BaseException) -> str:
    """
    Say in one sentence what went wrong with the file and what to do about it.
    """
    code = _primary(error)
    if code in _MAYBE_FULL or isinstance(error, OSError):
        full = lacking(path, error)
        if full is not None:
            return full
    meaning = _MEANING.get(code or 0)
    if meaning is not None:
        return meaning.format(path=path, name=getattr(error, "sqlite_errorname", ""))
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename and str(error.filename) != str(path) else ""
        return f"{path} cannot be used: {(error.strerror or str(error)).lower()}{where}"
    return f"{path} cannot be used: {error}"


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """
    Turn what SQLite and the system raise into one sentence for an operator.

    :raises JournalUnavailable: instead.
    """
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise JournalUnavailable(explain(path, error)) from error


def connect(path: Path, *, writable: bool = True, busy_timeout: float = BUSY_TIMEOUT) -> Connection:
    """
    Open a database that exists. A commit through this connection is on stable storage when it returns.

    :param busy_timeout: seconds to wait for another process that is writing.
    :raises sqlite3.Error: when it cannot be opened.
    :raises OSError: when it is not a regular file, or the system does not say what it is.
    """
    require_regular(path)
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={'rw' if writable else 'ro'}",
        uri=True,
        timeout=busy_timeout,
        isolation_level=None,
        # Each is used by one thread at a time; one of the daemon's is closed by another than opened it.
        check_same_thread=False,
    )
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
        # A commit touches pages all over the file, since ids and keys are random: what does not fit into the cache is
        # read again for each of them (16 MiB), and what is copied from the log seldom is copied less often (16 MiB).
        connection.execute("PRAGMA cache_size = -16384")
        connection.execute("PRAGMA wal_autocheckpoint = 4000")
        # The index of the keys, see keys.py.
        connection.execute("PRAGMA temp_store = MEMORY")
        # The log of a burst is not kept on the disk for ever.
        connection.execute("PRAGMA journal_size_limit = 67108864")
    except BaseException:
        connection.close()
        raise
    return connection


def create(path: Path) -> Connection:
    """
    Open the database, creating it and its directory when they are missing, and bring it to the newest version.

    :raises JournalUnavailable: when this cannot be done, naming path and cause.
    """
    with explained(path):
        make_private(path.parent)
        require_regular(path)
        _require_no_orphan(path)
        try:
            # SQLite gives its companions, -wal and -shm, the mode of the database.
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            sync_directory(path.parent)
        except FileExistsError:
            if not path.stat().st_size:
                _log.warn(
                    "{path} was empty, the journal begins anew: if it had been in use, restore a backup", path=str(path)
                )
        connection = connect(path)
        try:
            _keep_old(connection, path)
            migrate(connection, path)
            if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
                raise JournalUnavailable(f"{path} is on a filesystem without shared memory: put it on a local disk")
        except BaseException:
            connection.close()
            raise
        return connection


def _require_no_orphan(path: Path) -> None:
    """
    See that no log is beside a database that is not there, since SQLite would remove it and it may have all that was
    accepted; nor beside one that it does not belong to, since SQLite would apply it.
    """
    log = companion(path, "-wal")
    if not (log.exists() and log.stat().st_size):
        return
    if path.exists() and path.stat().st_size:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            belongs = logged(descriptor)
        finally:
            os.close(descriptor)
        if not belongs:
            raise JournalUnavailable(
                f"{log} does not belong to {path}, which was copied there beside it, and would destroy it: move {log}"
                " away, or use itsjustintv restore"
            )
        return
    raise JournalUnavailable(
        f"{path} is missing or empty, but {log} is not and may have all that was accepted: put the file back that"
        f" belongs to it, restore a backup, or move {log} away to begin anew"
    )


def _keep_old(connection: Connection, path: Path) -> None:
    """
    Keep a copy of a journal that is about to be upgraded, and say so.
    """
    version = check(connection, path)
    if not 0 < version < len(STEPS):
        return
    kept = companion(path, f".v{version}-backup")
    try:
        copy(path, kept, replace=True)
    except (JournalUnavailable, sqlite3.Error, OSError) as error:
        reason = str(error) if isinstance(error, JournalUnavailable) else explain(path, error)
        raise JournalUnavailable(f"{path} is not upgraded, because no copy of it can be kept: {reason}") from error
    _log.info(
        "the journal {path} is upgraded from version {old} to version {new}; {kept} is a copy of what it was",
        path=str(path),
        old=version,
        new=len(STEPS),
        kept=str(kept),
    )


def lock_file(path: Path) -> Path:
    """
    Where the lock of a database is.
    """
    return companion(path, ".lock")


def lock(path: Path) -> int:
    """
    Become the only daemon on this database. The lock ends with the process, however that ends.

    :return: the descriptor that holds the lock; closing it gives the lock up.
    :raises JournalInUse: when another process holds it.
    :raises JournalUnavailable: when the lock file cannot be used.
    """
    with explained(path):
        make_private(path.parent)
        require_regular(lock_file(path))
        descriptor = os.open(lock_file(path), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            flock(descriptor, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise JournalInUse(
                f"{path} is in use by another itsjustintv: stop that one, or set storage.path to another file"
            ) from None
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor
