"""
Puts a backup in the place of the journal.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from itsjustintv.errors import JournalUnavailable
from itsjustintv.journal.history import BackupContents
from itsjustintv.journal.sqlite.backup import open_read_only, verified_copy
from itsjustintv.journal.sqlite.database import explained, lock, lock_file
from itsjustintv.journal.sqlite.file_presence import COMPANIONS, companion
from itsjustintv.journal.sqlite.migrations import STEPS, check
from itsjustintv.support.files import make_private, sync_directory

__all__ = ["read_contents", "restore"]


def read_contents(path: Path) -> BackupContents:
    """
    Read what a backup holds. Blocks.

    :raises JournalUnavailable: it is not a journal of a known version, or cannot be read.
    """
    with _explained(path), closing(open_read_only(path)) as connection:
        version = check(connection, path)
        if not version:
            raise JournalUnavailable(f"{path} is empty: it is not a journal of itsjustintv")
        unfinished, everything = connection.execute(
            "SELECT count(*) FILTER (WHERE state IN ('accepted', 'pending')), count(*) FROM deliveries"
        ).fetchone()
        newest = connection.execute("SELECT max(received_at) FROM events").fetchone()[0]
        return BackupContents(
            unfinished=unfinished, deliveries=everything, newest=newest, is_outdated=version < len(STEPS)
        )


def restore(source: Path, path: Path, stamp: str) -> Sequence[Path]:
    """
    Put a backup in the place of a journal. What is there stays under other names. Blocks.

    :param stamp: what tells these names apart.
    :return: the names.
    :raises JournalInUse: a daemon runs.
    :raises JournalUnavailable: the source cannot be used, or the journal not be written; the journal is unchanged.
    """
    with explained(path):
        if path.is_symlink():
            path = path.resolve()
        missing = [each for each in (path.parent, *path.parent.parents) if not each.exists()]
        make_private(path.parent)
        if missing:
            _give_to_owner(missing[-1].parent, *missing)
    held = lock(path)
    try:
        with explained(path):
            _give_to_owner(path.parent, lock_file(path))
        with _explained(source):
            if path.exists() and source.samefile(path):
                raise JournalUnavailable(f"{source} is the journal itself: name a file that itsjustintv backup wrote")
        with _explained(source), verified_copy(source, path) as (temporary, _):
            with explained(path):
                _give_to_owner(path.parent, temporary)
                aside = []
                for ending in ("", *COMPANIONS, "-journal"):
                    file = companion(path, ending)
                    if os.path.lexists(file):
                        aside.append(_link_aside(file, companion(path, f".{stamp}{ending}")))
                # SQLite would roll the copy back with this file, which an upgrade leaves that was killed.
                companion(path, "-journal").unlink(missing_ok=True)
                # There is a journal at every moment, or a daemon would create a new one. It refuses an old log.
                temporary.replace(path)
                for ending in COMPANIONS:
                    companion(path, ending).unlink(missing_ok=True)
                sync_directory(path.parent)
            return aside
    finally:
        os.close(held)


@contextmanager
def _explained(source: Path) -> Iterator[None]:
    """
    Describe a failure of the backup, as :func:`~itsjustintv.journal.sqlite.database.explained` does of the journal.
    """
    try:
        with explained(source):
            if not source.exists():
                raise JournalUnavailable(f"there is no file {source}: name one that itsjustintv backup wrote")
            yield
    except JournalUnavailable as error:
        raise JournalUnavailable(
            str(error)
            .replace("set storage.path to another file", "name one that itsjustintv backup wrote")
            .replace("restore it from a backup, or move it away to start a new one", "name an older backup")
        ) from error


def _link_aside(file: Path, aside: Path) -> Path:
    """
    Give a file another name; it has its own too, where the file system has links.
    """
    try:
        os.link(file, aside, follow_symlinks=False)
    except OSError:
        file.replace(aside)
    return aside


def _give_to_owner(folder: Path, *files: Path) -> None:
    """
    Give files to the owner of their folder, if this is root.
    """
    if os.geteuid() == 0:
        about = folder.stat()
        for file in files:
            os.chown(file, about.st_uid, about.st_gid)
