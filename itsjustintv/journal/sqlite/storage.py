"""
The place of the journal as an SQLite database: a path.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from attrs import frozen
from zope.interface import implementer

from itsjustintv.journal.history import BackupContents
from itsjustintv.journal.interfaces import Committed, IJournal, IJournalStorage, IOfflineJournal
from itsjustintv.journal.legacy_files import Imported, LegacyFiles
from itsjustintv.journal.sqlite.backup import copy
from itsjustintv.journal.sqlite.database import create, explained, lock, lock_file
from itsjustintv.journal.sqlite.journal import SQLiteJournal
from itsjustintv.journal.sqlite.offline_journal import SQLiteOfflineJournal
from itsjustintv.journal.sqlite.restore import read_contents, restore
from itsjustintv.journal.sqlite.writes import import_legacy
from itsjustintv.support.clocks import SteadyClock
from itsjustintv.support.files import is_locked

__all__ = ["SQLiteStorage"]


@implementer(IJournalStorage)
@frozen
class SQLiteStorage:
    """
    A path, and the functions for what is there.
    """

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def journal(self, reactor: Any, clock: SteadyClock, legacy: LegacyFiles, committed: Committed) -> IJournal:
        return SQLiteJournal(self.path, reactor, reactor, legacy, committed=committed, steady=clock)

    def offline(self, now: Callable[[], float]) -> IOfflineJournal:
        return SQLiteOfflineJournal.open(self.path, now)

    def exists(self) -> bool:
        with explained(self.path):
            return self.path.exists()

    def file(self) -> Path | None:
        return self.path

    def is_in_use(self) -> bool | None:
        return is_locked(lock_file(self.path))

    def import_legacy(self, legacy: LegacyFiles, now: float) -> Imported | None:
        descriptor = lock(self.path)
        try:
            with explained(self.path), closing(create(self.path)) as connection, connection:
                connection.execute("BEGIN IMMEDIATE")
                return import_legacy(connection, legacy, now)
        finally:
            os.close(descriptor)

    def back_up(self, target: Path) -> BackupContents:
        with explained(self.path):
            copy(self.path, target)
        return read_contents(target)

    def read_backup(self, source: Path) -> BackupContents:
        return read_contents(source)

    def restore(self, source: Path, stamp: str) -> Sequence[Path]:
        return restore(source, self.path, stamp)
