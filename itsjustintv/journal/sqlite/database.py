"""
The database file: opening, locking and upgrading it, and its errors in an operator's words.
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
from itsjustintv.journal.sqlite.disk_space import full_disk_problem
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

#: Primary result codes (sqlite.org, "Result and Error Codes") of errors of a statement, not of the storage.
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
    sqlite3.SQLITE_CORRUPT: "{path} is damaged: restore it from a backup, or move it away to start a new one",
    sqlite3.SQLITE_NOTADB: "{path} is not a journal of itsjustintv: set storage.path to another file",
    sqlite3.SQLITE_CANTOPEN: "{path} cannot be opened: it must exist, and this user must own it and its directory",
    sqlite3.SQLITE_IOERR: "reading or writing {path} failed ({name}): check the disk",
}


#: Codes that SQLite also has for a full disk: for the index of its log, and where a sync or truncation fails.
_MAYBE_FULL = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}


def _primary(error: BaseException) -> int | None:
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def concerns_storage(error: BaseException) -> bool:
    """
    Whether an error is one of the file, not of the statement.
    """
    code = _primary(error)
    return code is not None and code not in _STATEMENT


def explain(path: Path, error: BaseException) -> str:
    """
    Describe a failure of the file in one sentence, with what to do.
    """
    code = _primary(error)
    if code in _MAYBE_FULL or isinstance(error, OSError):
        full = full_disk_problem(path, error)
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
    Turn errors of SQLite and the system into one sentence for an operator.

    :raises JournalUnavailable: instead.
    """
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise JournalUnavailable(explain(path, error)) from error


def connect(path: Path, *, writable: bool = True, busy_timeout: float = BUSY_TIMEOUT) -> Connection:
    """
    Open a database that exists. A commit is on stable storage when it returns.

    :param busy_timeout: seconds to wait for another process that is writing.
    :raises sqlite3.Error: it cannot be opened.
    :raises OSError: it is not a regular file, or cannot be examined.
    """
    require_regular(path)
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={'rw' if writable else 'ro'}",
        uri=True,
        timeout=busy_timeout,
        isolation_level=None,
        # Each is used by one thread at a time, but one of the daemon's is closed by another thread.
        check_same_thread=False,
    )
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
        # A commit touches pages all over the file: what does not fit into the cache (16 MiB) is read again for each,
        # and a log that is copied seldom (16 MiB) copies a page less often.
        connection.execute("PRAGMA cache_size = -16384")
        connection.execute("PRAGMA wal_autocheckpoint = 4000")
        # The index of the keys, see dedup_keys.py.
        connection.execute("PRAGMA temp_store = MEMORY")
        # The log of a burst does not stay that large for ever.
        connection.execute("PRAGMA journal_size_limit = 67108864")
    except BaseException:
        connection.close()
        raise
    return connection


def create(path: Path) -> Connection:
    """
    Open the database and upgrade it to the newest version; create it and its folder when they are missing.

    :raises JournalUnavailable: it cannot be used, naming path and cause.
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
                    "{path} is empty: a new journal was created there; if it was in use before, restore a backup",
                    path=str(path),
                )
        connection = connect(path)
        try:
            _back_up_old(connection, path)
            migrate(connection, path)
            if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
                raise JournalUnavailable(f"{path} is on a filesystem without shared memory: put it on a local disk")
        except BaseException:
            connection.close()
            raise
        return connection


def _require_no_orphan(path: Path) -> None:
    """
    Refuse a log without its database, which SQLite would remove although it may have everything that was accepted; and
    a log next to another database, to which SQLite would apply it.
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
                f"{log} belongs to another journal than {path} and would damage it: move {log} away, or use"
                " itsjustintv restore"
            )
        return
    raise JournalUnavailable(
        f"{path} is missing or empty, but {log} exists and may hold accepted events: put back the file that belongs to"
        f" it, restore a backup, or move {log} away to start a new journal"
    )


def _back_up_old(connection: Connection, path: Path) -> None:
    """
    Copy a journal that is about to be upgraded, and log it.
    """
    version = check(connection, path)
    if not 0 < version < len(STEPS):
        return
    kept = companion(path, f".v{version}-backup")
    try:
        copy(path, kept, replace=True)
    except (JournalUnavailable, sqlite3.Error, OSError) as error:
        reason = str(error) if isinstance(error, JournalUnavailable) else explain(path, error)
        raise JournalUnavailable(f"cannot copy {path} before its upgrade: {reason}") from error
    _log.info(
        "upgrading the journal {path} from version {old} to version {new}; {kept} is a copy of the old one",
        path=str(path),
        old=version,
        new=len(STEPS),
        kept=str(kept),
    )


def lock_file(path: Path) -> Path:
    """
    The path of a database's lock.
    """
    return companion(path, ".lock")


def lock(path: Path) -> int:
    """
    Lock a database for this daemon. The lock ends with the process, however that ends.

    :return: the descriptor that holds the lock; closing it releases the lock.
    :raises JournalInUse: another process holds it.
    :raises JournalUnavailable: the lock file cannot be used.
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
