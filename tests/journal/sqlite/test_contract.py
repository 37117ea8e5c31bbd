"""
SQLite does what every journal must do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from itsjustintv.journal.interfaces import IJournal, IOfflineJournal
from itsjustintv.journal.sqlite.journal import SQLiteJournal
from itsjustintv.journal.sqlite.storage import SQLiteStorage
from itsjustintv.support.clocks import SteadyClock
from tests.journal.contract import JournalContract
from tests.journal.post_contract import PostContract


class SQLiteContractTests(JournalContract, PostContract, TestCase):
    """
    The contract on a file.
    """

    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute() / "journal.db"
        super().setUp()

    def make_journal(self, reactor: Any, clock: Clock, steady: SteadyClock) -> IJournal:
        return SQLiteJournal(self.path, reactor, clock, steady=steady)

    def open_offline(self, now: float) -> IOfflineJournal:
        return SQLiteStorage(self.path).offline(lambda: now)

    def break_storage(self) -> None:
        self.aside = self.path.rename(self.path.with_name("aside.db"))

    def repair_storage(self) -> None:
        self.aside.rename(self.path)
