"""
The journal as a service: real threads, a real file, and the real reactor.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from sqlite3 import Connection
from threading import Event as ThreadEvent
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyObject

from itsjustintv.errors import JournalInUse, JournalUnavailable
from itsjustintv.journal.interfaces import IJournal
from itsjustintv.journal.legacy_files import LegacyFiles
from itsjustintv.journal.sqlite.database import connect
from itsjustintv.journal.sqlite.journal import SQLiteJournal
from itsjustintv.journal.sqlite.offline_journal import SQLiteOfflineJournal
from itsjustintv.model import Due, Owner, State
from tests.journal.values import attempt, deliveries, event

#: Starts a journal on a file and says what happened.
START = """
import sys
from pathlib import Path
from twisted.internet import reactor
from itsjustintv.errors import JournalInUse
from itsjustintv.journal.sqlite.journal import SQLiteJournal
try:
    SQLiteJournal(Path(sys.argv[1]), reactor, reactor).startService()
except JournalInUse as error:
    print(error)
"""


class JournalCase(TestCase):
    """
    A journal whose time is the test's, and whose connections are opened through ``prepare_connection``.
    """

    timeout = 20

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.rightNow = 1000.0
        self.path = Path(self.mktemp()).absolute() / "state" / "journal.db"
        self.prepare_connection: Callable[[Connection], object] = lambda connection: None
        self.statements: list[str] = []
        self.journal = self.make()

    def make(self, **changes: Any) -> SQLiteJournal:
        journal = SQLiteJournal(self.path, reactor, self.clock, connect=self.connect, **changes)
        self.addCleanup(lambda: journal.stopService() if journal.running else None)
        return journal

    def connect(self, path: Path) -> Connection:
        connection = connect(path, busy_timeout=0.05)
        self.prepare_connection(connection)
        connection.set_trace_callback(self.statements.append)
        return connection

    def accept(self, name: str = "e1", *destinations: str) -> Deferred[bool]:
        news = event(name, received_at=self.clock.seconds())
        return self.journal.accept(news, deliveries(news, *(destinations or ("a",))), self.clock.seconds() + 7200)

    async def block(self) -> ThreadEvent:
        """
        Keep the writer busy until the event that is returned is set.
        """
        entered: Deferred[None] = Deferred()
        release = ThreadEvent()

        def busy(connection: Connection) -> None:
            reactor.callFromThread(entered.callback, None)  # type: ignore[attr-defined]
            release.wait(10)

        self.journal._write(busy)
        await entered
        return release


class LifeTests(JournalCase):
    """
    Start, stop, and what can be wrong at start.
    """

    def test_interfaces(self) -> None:
        """
        The journal provides what it says it does.
        """
        verifyObject(IJournal, self.journal)

    async def test_whole_life(self) -> None:
        """
        An event goes from its acceptance to its end and is there after a restart.
        """
        self.journal.startService()
        self.assertIsNone(self.journal.problem())
        self.assertTrue(await self.accept("e1", "a", "b"))
        self.assertFalse(await self.accept("e1", "a", "b"))
        self.assertEqual(len(await self.journal.seen(1000.0)), 3)
        await self.journal.hold("e1-2", 1005.0, "no tags")
        ((_, delivery),) = await self.journal.unprepared(1000.0, 9)
        self.assertTrue(await self.journal.prepare(delivery.id, b"{}", b"png", 1001.0))
        self.assertEqual(await self.journal.destinations(), ["a"])
        owner = Owner("1337", "cool_user", frozenset({"cool"}))
        self.assertEqual(await self.journal.owners("b".__eq__), {"a": owner})
        self.assertEqual(await self.journal.owners(lambda _: False), {"a": owner, "b": owner})
        self.assertEqual(await self.journal.due("a", None, 9), [Due(1001.0, "e1-1")])
        loaded = await self.journal.load("e1-1")
        assert loaded is not None
        self.assertEqual(loaded.picture, b"png")
        settled = await self.journal.settle("e1-1", State.DELIVERED, "delivered", 1002.0, attempt(ok=True))
        await self.journal.remember("followers", "1337", 5, 1002.0)
        await self.journal.remember_all("ids", {"a": 1, "b": 2}, 1002.0)
        await self.journal.forget("ids", ["a"])
        await self.journal.stopService()

        self.journal.startService()
        (outcome,) = await self.journal.outcomes(9)
        self.assertEqual(outcome.delivery, settled)
        self.assertEqual(await self.journal.recall("followers", "1337"), (5, 1002.0))
        self.assertEqual(await self.journal.recall_all("ids"), {"b": (2, 1002.0)})
        accounting = await self.journal.accounting()
        self.assertEqual((accounting.imbalance, accounting.delivered, accounting.accepted), (0, 1, 1))

    async def test_nothing_is_left_running(self) -> None:
        """
        After a stop, as often as one likes, there are no timers, no log beside the file, and the lock is free.
        """
        self.journal.startService()
        await self.accept()
        await self.journal.stopService()
        await self.journal.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual({file.name for file in self.path.parent.iterdir()}, {"journal.db", "journal.db.lock"})
        other = self.make()
        other.startService()

    async def test_stop_waits_for_what_was_asked(self) -> None:
        """
        Writes that are queued when the service stops are committed and answered, later ones refused.
        """
        self.journal.startService()
        release = await self.block()
        accepted = [self.accept(f"e{number}") for number in range(3)]
        stopping = self.journal.stopService()
        self.assertFalse(stopping.called)
        late = self.accept("late")
        release.set()
        await stopping
        self.assertEqual([self.successResultOf(one) for one in accepted], [True, True, True])
        self.failureResultOf(late, JournalUnavailable)

    async def test_closed(self) -> None:
        """
        A journal that is not running refuses everything and says so.
        """
        for refused in (self.accept(), self.journal.accounting()):
            self.failureResultOf(refused, JournalUnavailable)
        self.assertIn("closed", str(self.journal.problem()))
        await self.journal.stopService()

    def test_second_process_is_refused(self) -> None:
        """
        Another process cannot start on the same file, and hears why in one sentence.
        """
        self.journal.startService()
        said = subprocess.check_output([sys.executable, "-c", START, str(self.path)], text=True)
        self.assertIn(str(self.path), said)
        self.assertIn("in use", said)
        self.assertEqual(said.count("\n"), 1)

    def test_second_journal_is_refused(self) -> None:
        """
        Neither can another journal of the same process.
        """
        self.journal.startService()
        other = self.make()
        self.assertRaises(JournalInUse, other.startService)
        self.assertFalse(other.running)

    def test_failed_start_leaves_no_lock(self) -> None:
        """
        A start that fails raises at once, and can be repeated when its cause is gone.
        """
        self.path.parent.mkdir(parents=True)
        self.path.write_bytes(b"something else\n" * 100)
        self.assertRaises(JournalUnavailable, self.journal.startService)
        self.assertFalse(self.journal.running)
        self.path.unlink()
        self.journal.startService()

    async def test_takes_over_from_the_original(self) -> None:
        """
        A new journal takes over what the legacy left, and says how much and what it could not read.
        """
        self.path.parent.mkdir(parents=True)
        cache = self.path.with_name("cache.json")
        cache.write_text(f'[{{"key": "{"0" * 64}", "expires_at": "2026-01-02T05:04:05Z"}}, null]')
        legacy = LegacyFiles(cache, self.path.with_name("retry_state.json"), lambda streamer, url: None)
        self.journal = self.make(legacy=legacy)
        with capturedLogs() as logged:
            self.journal.startService()
            await self.journal.stopService()
            self.journal.startService()
        self.assertEqual([entry["log_level"] for entry in logged], [LogLevel.warn, LogLevel.info])
        self.assertEqual(logged[1]["keys"], 1)
        self.assertEqual(len(await self.journal.seen(1000.0)), 1)


class HungDiskTests(JournalCase):
    """
    A disk that never answers.
    """

    async def test_a_stop_does_not_wait_for_ever(self) -> None:
        """
        After some seconds the stop ends with a line, and leaves the connections to the end of the process.
        """
        self.journal.startService()
        release = await self.block()
        stopped = self.journal.stopService()
        self.assertFalse(stopped.called)
        with capturedLogs() as events:
            self.clock.advance(4)
        self.assertTrue(stopped.called)
        self.assertEqual([each["seconds"] for each in events], [4.0])
        release.set()
        self.journal._writing._thread.join()  # type: ignore[union-attr]
        self.journal._release()


class CommitTests(JournalCase):
    """
    Many share a commit.
    """

    async def test_what_waits_shares_a_commit(self) -> None:
        """
        Everything that is asked while a commit runs is the next commit, however much it is.
        """
        self.journal.startService()
        await self.accept()
        release = await self.block()
        accepted = [self.accept(f"more{number}") for number in range(500)]
        self.statements.clear()
        release.set()
        self.assertEqual(set(await gatherResults(accepted)), {True})
        # One for the operation that kept the writer busy, one for all the others.
        self.assertEqual(self.statements.count("COMMIT"), 2)

    async def test_alone_it_does_not_wait(self) -> None:
        """
        A write on a quiet journal is a commit of its own.
        """
        self.journal.startService()
        await self.accept("e0")
        self.statements.clear()
        for number in range(1, 4):
            await self.accept(f"e{number}")
        self.assertEqual(self.statements.count("COMMIT"), 3)

    async def test_cancelled_answer(self) -> None:
        """
        Cancelling abandons the answer; the write happens.
        """
        self.journal.startService()
        release = await self.block()
        abandoned = self.accept("e1")
        abandoned.cancel()
        self.failureResultOf(abandoned, CancelledError)
        release.set()
        self.assertFalse(await self.accept("e1"))

    async def test_too_many_wait(self) -> None:
        """
        Beyond the limit operations are refused at once, until there is room again.
        """
        self.journal = self.make(limit=3)
        self.journal.startService()
        await self.accept("e0")
        release = await self.block()
        waiting = [self.accept("e1"), self.accept("e2")]
        self.failureResultOf(self.accept("e3"), JournalUnavailable)
        release.set()
        await gatherResults(waiting)
        self.assertTrue(await self.accept("e3"))

    async def test_a_defect_reaches_its_caller_only(self) -> None:
        """
        An operation that fails for a reason of its own fails as it did; the journal is well.
        """
        self.journal.startService()
        await self.assertFailure(self.journal.settle("nothing-1", State.DEAD, "", 1001.0), LookupError)
        self.assertIsNone(self.journal.problem())


class HealingTests(JournalCase):
    """
    A full disk, and room again.
    """

    def fill(self) -> None:
        """
        Let the disk be full from the next connection on.
        """

        def limit(connection: Connection) -> None:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {pages}")

        self.prepare_connection = limit

    def free(self) -> None:
        self.prepare_connection = lambda connection: None

    def too_large(self) -> Deferred[None]:
        return self.journal.remember("k" * 100_000, "key", 1, 1000.0)

    async def probes(self) -> int:
        """
        How often the journal has probed, what it has just asked for included.
        """
        value: int = await self.journal._write(
            lambda connection: connection.execute("SELECT value FROM numbers WHERE name = 'probes'").fetchone()[0]
        )
        return value

    async def fail(self) -> None:
        self.fill()
        self.journal.startService()
        await self.assertFailure(self.too_large(), JournalUnavailable)

    async def test_refuses_and_heals_with_the_next_write(self) -> None:
        """
        While the disk is full writes are refused and the problem is known; a write that works ends it. Each is said
        once.
        """
        with capturedLogs() as logged:
            await self.fail()
            await self.assertFailure(self.too_large(), JournalUnavailable)
            self.assertIn("full", str(self.journal.problem()))
            self.assertEqual((await self.journal.accounting()).wanted, 0)
            self.free()
            self.assertTrue(await self.accept())
        self.assertIsNone(self.journal.problem())
        self.assertEqual([entry["log_level"] for entry in logged], [LogLevel.error, LogLevel.info])

    async def test_heals_without_traffic(self) -> None:
        """
        With nobody writing, the journal finds out by itself that it can write again.
        """
        await self.fail()
        self.free()
        self.clock.advance(5.0)
        self.assertEqual(await self.probes(), 1)
        self.assertIsNone(self.journal.problem())

    async def test_goes_on_probing(self) -> None:
        """
        A probe that fails is followed by another.
        """
        self.journal.startService()
        await self.accept()
        self.path.rename(self.path.with_name("aside"))
        await self.assertFailure(self.accept("e2"), JournalUnavailable)
        self.clock.advance(5.0)
        await self.assertFailure(self.accept("e2"), JournalUnavailable)
        self.assertIsNotNone(self.journal.problem())
        self.path.with_name("aside").rename(self.path)
        self.clock.advance(5.0)
        await self.journal._write(lambda connection: None)
        self.assertIsNone(self.journal.problem())

    async def test_does_not_probe_while_well(self) -> None:
        """
        A journal that works is left in peace.
        """
        self.journal.startService()
        await self.accept()
        self.clock.advance(5.0)
        self.assertEqual(await self.probes(), 0)


class RetentionTests(JournalCase):
    """
    What is old goes by itself.
    """

    async def test_old_deliveries_go(self) -> None:
        """
        What ended longer ago than is kept is removed, in as many steps as it takes, and stays counted.
        """
        self.journal = self.make(keep=1000.0, at_once=2)
        self.journal.startService()
        for number in range(5):
            await self.accept(f"e{number}")
            await self.journal.settle(f"e{number}-1", State.FILTERED, "", 1000.0)
        await self.accept("unfinished")
        self.clock.advance(3600.0)
        while await self.journal.load("e4-1") is not None:
            await self.journal._write(lambda connection: None)
        accounting = await self.journal.accounting()
        self.assertEqual((accounting.imbalance, accounting.filtered, accounting.accepted), (0, 5, 1))

    async def test_a_defect_does_not_end_it(self) -> None:
        """
        A removal that fails is logged, and tried again an hour later.
        """
        self.journal.startService()
        await self.journal._write(lambda connection: connection.execute("ALTER TABLE events RENAME TO elsewhere"))
        self.clock.advance(3600.0)
        await self.journal._write(lambda connection: connection.execute("ALTER TABLE elsewhere RENAME TO events"))
        self.assertEqual(len(self.flushLoggedErrors()), 1)
        self.assertTrue(all(loop.running for loop in self.journal._loops))


class ChangedTests(JournalCase):
    """
    Somebody else writes.
    """

    async def test_only_an_operator_is_heard(self) -> None:
        """
        An operator's command is noticed once; what the daemon itself writes is not.
        """
        self.journal.startService()
        await self.accept()
        self.assertFalse(await self.journal.changed())
        SQLiteOfflineJournal.open(self.path, self.clock.seconds).cancel("e1-1")
        self.assertTrue(await self.journal.changed())
        self.assertFalse(await self.journal.changed())
        await self.accept("e2")
        self.assertFalse(await self.journal.changed())

    async def test_what_was_written_before_the_start_is_not_news(self) -> None:
        """
        What an operator did while the daemon was down is simply how things are.
        """
        self.journal.startService()
        await self.accept()
        await self.journal.stopService()
        SQLiteOfflineJournal.open(self.path, self.clock.seconds).cancel("e1-1")
        self.journal.startService()
        self.assertFalse(await self.journal.changed())
