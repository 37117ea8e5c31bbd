"""
Whether the files of an open journal are still the ones at its path: what is written to a file that was deleted or moved
away is gone with the process.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from sqlite3 import Connection

from attrs import define, field

from itsjustintv.errors import JournalUnavailable

__all__ = ["COMPANIONS", "Absent", "FilePresence", "companion", "identity", "logged"]

#: What SQLite has beside a database in use: the log of what is committed and not yet in the database, and its index.
COMPANIONS = ("-wal", "-shm")

# What the header of a database says while a log belongs to it (sqlite.org, "Database File Format", offset 18). A copy
# that itsjustintv backup or VACUUM INTO has made says otherwise.
_LOGGED = b"\x02\x02"

# The first bytes of a log (sqlite.org, "The WAL File Format").
_MAGIC = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")


class Absent(JournalUnavailable):
    """
    A file of the journal is no longer at its path.
    """


def companion(path: Path, ending: str) -> Path:
    """
    Name a file beside the database; when its path is a symbolic link, beside what that leads to, as SQLite does.
    """
    # Unlike Path.is_symlink this raises nothing where this user may not look.
    real = path.resolve() if os.path.islink(path) else path  # noqa: PTH114
    return real.with_name(f"{real.name}{ending}")


def identity(path: Path) -> tuple[int, int]:
    """
    Which file a path stands for at the moment.

    :raises OSError: when there is none.
    """
    status = path.stat()
    return status.st_dev, status.st_ino


def logged(descriptor: int) -> bool:
    """
    Whether a log belongs to the database that is open as a descriptor.
    """
    return os.pread(descriptor, len(_LOGGED), 18) == _LOGGED


@define(eq=False)
class FilePresence:
    """
    The files of a journal as they were when it was opened. Everything here blocks as long as a ``stat`` does.

    :ivar saved: what became of what only a log that was deleted had, for the operator; empty while nothing did.
    """

    _path: Path
    _files: Mapping[Path, tuple[int, int]]
    _log: int | None = None
    _open: int | None = None
    _database: tuple[int, int] | None = field(default=None, init=False)
    _names: Sequence[tuple[str, tuple[int, int]]] = field(init=False)
    saved: str = field(default="", init=False)

    def __attrs_post_init__(self) -> None:
        self._names = [(str(path), known) for path, known in self._files.items()]

    @classmethod
    def of(cls, path: Path, endings: Sequence[str] = ()) -> FilePresence:
        """
        Take note of a database and of files beside it. A connection must be open that keeps them from being removed in
        good order.

        :raises OSError: one of them is not there.
        """
        files = [path, *(companion(path, ending) for ending in endings)]
        log = companion(path, "-wal")
        # SQLite locks the database and the index, so closing another descriptor of the log lets go of nothing.
        descriptor = os.open(log, os.O_RDONLY | os.O_CLOEXEC) if log in files else None
        # To close a descriptor of the database gives up the locks that SQLite has on it: it stays open as long as they
        # are needed.
        database = os.open(path, os.O_RDONLY | os.O_CLOEXEC) if descriptor is not None else None
        presence = cls(path, {each: identity(each) for each in files}, descriptor, database)
        presence._database = _stamp(path)
        return presence

    def close(self) -> None:
        """
        Let go of the files; to be called after the last connection is closed.
        """
        descriptors, self._log, self._open = (self._log, self._open), None, None
        for descriptor in descriptors:
            if descriptor is not None:
                os.close(descriptor)

    def problem(self) -> str | None:
        """
        Say which file is not at its path any more, and what to do about it.
        """
        for path, known in self._names:
            try:
                about = os.stat(path)  # noqa: PTH116 - for every commit, and a Path takes five times as long
            except OSError:
                return f"{path} was deleted or moved away while in use: restart itsjustintv{self.saved}"
            if (about.st_dev, about.st_ino) != known:
                return f"{path} was replaced while in use: restart itsjustintv{self.saved}"
        if self._open is not None and not logged(self._open):
            return f"{self._path} was overwritten while in use: stop itsjustintv, then restore a backup"
        return None

    def require(self) -> None:
        """
        Make sure that what is written now is written to the files at their paths.

        :raises Absent: it would not be.
        """
        problem = self.problem()
        if problem is not None:
            raise Absent(problem)
        self.saved = ""

    def require_kept(self) -> None:
        """
        Make sure that what was just committed would survive the process.

        :raises Absent: it would not.
        """
        self.require()
        start = b"" if self._log is None else os.pread(self._log, 4, 0)
        # One without a byte has nothing to lose.
        if start and start not in _MAGIC:
            raise Absent(f"{companion(self._path, '-wal')} was emptied while in use: restart itsjustintv")
        self._database = _stamp(self._path)

    def save(self, connection: Connection) -> None:
        """
        Bring what only a deleted log has into the database, where a restart finds it, unless something else may have
        been written to that database.

        :param connection: one that has the deleted log open, and no transaction.
        """
        log = companion(self._path, "-wal")
        if self.saved or log not in self._files or not self._may_save(log):
            return
        busy, frames, copied = connection.execute("PRAGMA wal_checkpoint(FULL)").fetchone()
        if not busy and frames == copied:
            self.saved = f"; all that was accepted is in {self._path}"

    def _may_save(self, log: Path) -> bool:
        try:
            if identity(self._path) != self._files[self._path] or _stamp(self._path) != self._database:
                return False
            # Another process may have begun a log of its own, which says otherwise.
            return log.stat().st_size == 0
        except FileNotFoundError:
            return self._path.exists()
        except OSError:
            return False


def _stamp(path: Path) -> tuple[int, int]:
    about = path.stat()
    return about.st_mtime_ns, about.st_size
