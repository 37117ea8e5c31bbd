"""
Copies a journal into one file: consistent while it is in use, verified, and complete or not there.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from glob import escape
from pathlib import Path
from sqlite3 import Connection
from tempfile import mkstemp

from itsjustintv.errors import JournalUnavailable
from itsjustintv.journal.sqlite.disk_space import full_disk_problem, space_problem
from itsjustintv.journal.sqlite.file_presence import COMPANIONS, companion
from itsjustintv.journal.sqlite.migrations import check
from itsjustintv.support.files import sync_directory
from itsjustintv.support.regular_files import require_regular

__all__ = ["copy", "open_read_only", "verified_copy"]

# Seconds.
_BUSY_TIMEOUT = 5.0


def copy(source: Path, target: Path, *, replace: bool = False) -> int:
    """
    Copy a journal of any known version into a single file of mode 0600. Blocks.

    :param replace: whether the target may exist.
    :return: the version.
    :raises JournalUnavailable: the source is not a journal or is damaged, the target exists or cannot be written; the
        target is unchanged.
    :raises sqlite3.Error: the source cannot be read.
    """
    if not replace and os.path.lexists(target):
        raise JournalUnavailable(f"{target} exists already and was not changed: name another file")
    with verified_copy(source, target) as (temporary, version):
        with _writing(target):
            if replace:
                require_regular(target)
                temporary.replace(target)
            else:
                _place(temporary, target)
            sync_directory(target.parent)
        return version


@contextmanager
def verified_copy(source: Path, target: Path) -> Iterator[tuple[Path, int]]:
    """
    Make a verified copy on stable storage, next to the target under a temporary name. It is removed at the end unless
    it was renamed.

    :return: its path and version.
    :raises JournalUnavailable: as :func:`copy`.
    :raises sqlite3.Error: the source cannot be read.
    """
    if not source.exists():
        raise JournalUnavailable(f"there is no journal at {source}: check storage.path, or start itsjustintv once")
    with closing(open_read_only(source)) as reading:
        version = check(reading, source)
        if not version:
            raise JournalUnavailable(f"{source} is empty: it is not a journal of itsjustintv")
        size = reading.execute("PRAGMA page_count").fetchone()[0] * reading.execute("PRAGMA page_size").fetchone()[0]
        with _writing(target):
            _sweep(target)
            missing = space_problem(target, size)
            if missing is not None:
                raise JournalUnavailable(missing)
            descriptor, name = mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")  # mode 0600
            # Marks it as in use, see _sweep.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        temporary = Path(name)
        try:
            with _writing(target), closing(sqlite3.connect(temporary, isolation_level=None)) as writing:
                writing.execute("PRAGMA journal_mode = OFF")
                reading.backup(writing)
                # Not WAL, so that the copy needs no other file.
                writing.execute("PRAGMA journal_mode = DELETE")
                found = [row[0] for row in writing.execute("PRAGMA integrity_check(1)")]
            if found != ["ok"]:
                raise JournalUnavailable(f"{source} is damaged ({found[0]}): nothing was written")
            with _writing(target):
                os.fsync(descriptor)
            yield temporary, version
        finally:
            _remove(temporary)
            os.close(descriptor)


def open_read_only(path: Path) -> Connection:
    """
    Open a database that exists, for reading.

    :raises sqlite3.Error: it cannot be opened or read.
    :raises OSError: it is not a regular file.
    """
    require_regular(path)
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_TIMEOUT, isolation_level=None
    )
    connection.row_factory = sqlite3.Row
    return connection


def _place(temporary: Path, target: Path) -> None:
    try:
        # Fails if a file has appeared there.
        os.link(temporary, target)
    except FileExistsError:
        raise JournalUnavailable(f"{target} exists already and was not changed: name another file") from None
    except OSError:
        # Some file systems have no links.
        temporary.replace(target)


def _sweep(target: Path) -> None:
    """
    Remove incomplete copies of processes that were killed.
    """
    for left in target.parent.glob(f".{escape(target.name)}.*.tmp"):
        try:
            descriptor = os.open(left, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:  # another user's, or not a file
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(left)
        except BlockingIOError:
            pass
        finally:
            os.close(descriptor)


def _remove(database: Path) -> None:
    """
    Remove a database, and the files that SQLite leaves next to it when the disk is full.
    """
    for ending in ("", *COMPANIONS):
        companion(database, ending).unlink(missing_ok=True)


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_BUSY}:
            raise
        reason = full_disk_problem(target) or f"{target} cannot be written: {error}"
        raise JournalUnavailable(reason) from error
    except OSError as error:
        reason = (
            full_disk_problem(target, error) or f"{target} cannot be written: {(error.strerror or str(error)).lower()}"
        )
        raise JournalUnavailable(reason) from error
