"""
Checks that the files of an open journal are still those at its path: what is written to a file that was deleted or
moved away is lost when the process ends.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from sqlite3 import Connection

from attrs import define, field

from itsjustintv.errors import JournalUnavailable

__all__ = ["COMPANIONS", "Absent", "FilePresence", "companion", "identity", "logged"]

#: Files that SQLite has next to a database in use: the log of what is committed but not yet copied, and its index.
COMPANIONS = ("-wal", "-shm")

# The header of a database in WAL mode (sqlite.org, "Database File Format", offset 18). A copy made by itsjustintv
# backup or VACUUM INTO has another one.
_LOGGED = b"\x02\x02"

# The first bytes of a log (sqlite.org, "The WAL File Format").
_MAGIC = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")


class Absent(JournalUnavailable):
    """
    A file of the journal is no longer at its path.
    """


def companion(path: Path, ending: str) -> Path:
    """
    Name a file next to the database; if its path is a symbolic link, next to the link's target, as SQLite does.
    """
    # Unlike Path.is_symlink this raises nothing where this user lacks permission.
    real = path.resolve() if os.path.islink(path) else path  # noqa: PTH114
    return real.with_name(f"{real.name}{ending}")


def identity(path: Path) -> tuple[int, int]:
    """
    The device and inode of the file at a path.

    :raises OSError: there is none.
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
    The files of a journal as they were when it was opened. Every method blocks as long as a ``stat`` does.

    :ivar saved: a text for the operator after :meth:`save` succeeded; otherwise empty.
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
        Record a database and files next to it. A connection must be open, so that SQLite itself does not remove them.

        :raises OSError: one of them does not exist.
        """
        files = [path, *(companion(path, ending) for ending in endings)]
        log = companion(path, "-wal")
        # SQLite locks the database and the index, so closing another descriptor of the log releases no lock.
        descriptor = os.open(log, os.O_RDONLY | os.O_CLOEXEC) if log in files else None
        # Closing a descriptor of the database releases the locks that SQLite has on it: it stays open while they are
        # needed.
        database = os.open(path, os.O_RDONLY | os.O_CLOEXEC) if descriptor is not None else None
        presence = cls(path, {each: identity(each) for each in files}, descriptor, database)
        presence._database = _stamp(path)
        return presence

    def close(self) -> None:
        """
        Close the descriptors; to be called after the last connection is closed.
        """
        descriptors, self._log, self._open = (self._log, self._open), None, None
        for descriptor in descriptors:
            if descriptor is not None:
                os.close(descriptor)

    def problem(self) -> str | None:
        """
        Name a file that is no longer at its path, and what to do.
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
        Check that a write would go to the files at their paths.

        :raises Absent: it would not.
        """
        problem = self.problem()
        if problem is not None:
            raise Absent(problem)
        self.saved = ""

    def require_durable(self) -> None:
        """
        Check that what was just committed survives the process.

        :raises Absent: it does not.
        """
        self.require()
        start = b"" if self._log is None else os.pread(self._log, 4, 0)
        # An empty log has nothing to lose.
        if start and start not in _MAGIC:
            raise Absent(f"{companion(self._path, '-wal')} was emptied while in use: restart itsjustintv")
        self._database = _stamp(self._path)

    def save(self, connection: Connection) -> None:
        """
        Copy what only a deleted log has into the database, where a restart finds it, unless another process may have
        written to that database.

        :param connection: one that has the deleted log open, and no transaction.
        """
        log = companion(self._path, "-wal")
        if self.saved or log not in self._files or not self._may_save(log):
            return
        busy, frames, copied = connection.execute("PRAGMA wal_checkpoint(FULL)").fetchone()
        if not busy and frames == copied:
            self.saved = f"; all accepted events are in {self._path}"

    def _may_save(self, log: Path) -> bool:
        try:
            if identity(self._path) != self._files[self._path] or _stamp(self._path) != self._database:
                return False
            # If it is not empty, another process has started a log of its own.
            return log.stat().st_size == 0
        except FileNotFoundError:
            return self._path.exists()
        except OSError:
            return False


def _stamp(path: Path) -> tuple[int, int]:
    about = path.stat()
    return about.st_mtime_ns, about.st_size
