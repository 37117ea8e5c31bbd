"""
The journal for the command line.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.errors import JournalUnavailable, OperationRefused
from itsjustintv.journal.history import DeliveryHistory, EventHistory
from itsjustintv.journal.sqlite import reads, writes
from itsjustintv.journal.sqlite.database import create
from itsjustintv.journal.sqlite.offline_journal import SQLiteOfflineJournal
from itsjustintv.model import State
from tests.journal.sqlite.values import accept
from tests.journal.values import attempt, deliveries, event


class OfflineJournalTests(SynchronousTestCase):
    """
    A journal that a daemon has open, and what a command opens on the same file.
    """

    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute() / "journal.db"
        self.connection = create(self.path)
        self.addCleanup(self.connection.close)
        for number, destination in enumerate("aba", 1):
            news = event(f"e{number}")
            accept(self.connection, news, deliveries(news, destination), 9999.0, 1000.0)
        self.journal = SQLiteOfflineJournal.open(self.path, lambda: 5000.0)

    def end(self, name: str, state: State, now: float = 1001.0) -> None:
        writes.prepare(self.connection, name, b"{}", None, 1000.0)
        writes.settle(self.connection, name, state, "why", now, attempt(ok=state is State.DELIVERED))

    def ids(self, *states: State, **narrower: Any) -> list[str]:
        return [delivery.id for delivery in self.journal.list(*states, **narrower)]

    def test_lists_the_newest_first(self) -> None:
        """
        Deliveries are listed newest first, no more than asked for.
        """
        self.assertEqual(self.ids(), ["e3-1", "e2-1", "e1-1"])
        self.assertEqual(self.ids(limit=1), ["e3-1"])

    def test_lists_what_is_asked_for(self) -> None:
        """
        State, destination and streamer narrow the list, alone and together.
        """
        self.end("e3-1", State.DEAD, now=1001.0)
        self.end("e2-1", State.DEAD, now=1002.0)
        self.assertEqual(self.ids(State.DEAD), ["e2-1", "e3-1"])
        self.assertEqual(self.ids(State.ACCEPTED), ["e1-1"])
        self.assertEqual(self.ids(destination="a"), ["e3-1", "e1-1"])
        self.assertEqual(self.ids(State.DEAD, destination="a", streamer="cool"), ["e3-1"])
        self.assertEqual(self.ids(streamer="another"), [])

    def test_shows_everything(self) -> None:
        """
        A delivery is shown with its event and its attempts.
        """
        self.end("e1-1", State.DEAD)
        delivery = reads.get(self.connection, "e1-1")
        assert delivery is not None
        history = DeliveryHistory(delivery=delivery, finished_at=1001.0, attempts=(attempt(),))
        self.assertEqual(self.journal.show("e1-1"), EventHistory(event=event("e1"), deliveries=(history,)))

    def test_unknown(self) -> None:
        """
        A delivery that does not exist is named in the refusal.
        """
        for ask in (self.journal.show, self.journal.retry, self.journal.cancel):
            self.assertIn("nothing-1", str(self.assertRaises(OperationRefused, ask, "nothing-1")))

    def test_retry(self) -> None:
        """
        What ended undelivered is pending again, due now, and the accounts still balance.
        """
        for state in (State.DEAD, State.EXPIRED, State.FILTERED, State.CANCELLED):
            self.end("e1-1", state)
            revived = self.journal.retry("e1-1")
            self.assertEqual((revived.state, revived.attempts, revived.next_attempt_at), (State.PENDING, 0, 5000.0))
        accounting = self.journal.accounting()
        self.assertEqual((accounting.imbalance, accounting.pending, accounting.accepted), (0, 1, 2))

    def test_retry_needs_an_end_without_success(self) -> None:
        """
        What was delivered, or is still on its way, is not sent again.
        """
        self.end("e1-1", State.DELIVERED)
        self.assertIn("delivered", str(self.assertRaises(OperationRefused, self.journal.retry, "e1-1")))
        self.assertIn("accepted", str(self.assertRaises(OperationRefused, self.journal.retry, "e2-1")))
        self.assertEqual(reads.signals(self.connection), 0)

    def test_resend(self) -> None:
        """
        What was delivered stays so, and a further delivery of the same event is wanted and due at once; one at a time.
        """
        self.end("e1-1", State.DELIVERED)
        again = self.journal.resend("e1-1")
        self.assertEqual(again, reads.get(self.connection, "e1-2"))
        self.assertEqual((again.event_id, again.body, again.attempts, again.accepted_at), ("e1", b"{}", 0, 5000.0))
        accounting = self.journal.accounting()
        self.assertEqual((accounting.imbalance, accounting.wanted), (0, 4))
        self.assertEqual((accounting.delivered, accounting.pending), (1, 1))
        self.assertIn("as e1-2", str(self.assertRaises(OperationRefused, self.journal.resend, "e1-1")))
        writes.settle(self.connection, "e1-2", State.DEAD, "exhausted", 5001.0, attempt())
        self.connection.commit()
        self.assertIn("retry e1-2", str(self.assertRaises(OperationRefused, self.journal.resend, "e1-2")))
        self.assertIn("accepted already", str(self.assertRaises(OperationRefused, self.journal.resend, "e2-1")))
        self.assertEqual(self.journal.resend("e1-1").id, "e1-3")
        self.assertEqual(self.journal.accounting().delivered, 1)

    def test_cancel(self) -> None:
        """
        What has not ended is cancelled with a reason; once.
        """
        cancelled = self.journal.cancel("e1-1")
        self.assertEqual(cancelled, reads.get(self.connection, "e1-1"))
        self.assertEqual((cancelled.state, cancelled.reason), (State.CANCELLED, "cancelled by the operator"))
        self.assertIn("cancelled", str(self.assertRaises(OperationRefused, self.journal.cancel, "e1-1")))
        accounting = self.journal.accounting()
        self.assertEqual((accounting.imbalance, accounting.cancelled), (0, 1))

    def test_small_numbers(self) -> None:
        """
        Numbers are kept at the present time, listed by kind and forgotten.
        """
        self.journal.remember_all("ids", {"a": 1, "b": 2})
        self.journal.forget("ids", ["a"])
        self.assertEqual([(key, value) for key, (value, _) in self.journal.recall_all("ids").items()], [("b", 2)])

    def test_writes_are_signalled(self) -> None:
        """
        Every change made for an operator raises the signal, looking does not.
        """
        self.journal.cancel("e1-1")
        self.journal.retry("e1-1")
        self.journal.list()
        self.journal.show("e1-1")
        self.assertEqual(reads.signals(self.connection), 2)

    def test_without_a_daemon(self) -> None:
        """
        A command works on a journal that nobody has open.
        """
        self.connection.close()
        self.journal.cancel("e1-1")
        self.assertEqual(self.ids(State.CANCELLED), ["e1-1"])

    def test_creates_nothing(self) -> None:
        """
        Where there is no journal, the refusal says where it looked, and nothing appears there.
        """
        missing = self.path.parent / "elsewhere" / "journal.db"
        error = self.assertRaises(JournalUnavailable, SQLiteOfflineJournal.open, missing, lambda: 0.0)
        self.assertIn(str(missing), str(error))
        self.assertFalse(missing.parent.exists())

    def test_older_version(self) -> None:
        """
        A journal that is still to be upgraded is left to the daemon.
        """
        self.connection.execute("PRAGMA user_version = 1")
        error = self.assertRaises(JournalUnavailable, self.journal.accounting)
        self.assertIn("start itsjustintv once", str(error))

    def test_an_empty_file(self) -> None:
        """
        An empty file is no journal either, nor one of an older version.
        """
        empty = self.path.with_name("empty.db")
        empty.touch()
        error = self.assertRaises(JournalUnavailable, SQLiteOfflineJournal.open, empty, lambda: 0.0)
        self.assertEqual(str(error), f"{empty} is empty: it is not a journal of itsjustintv")

    def test_lists_without_pictures(self) -> None:
        """
        A list carries the payloads but not the pictures.
        """
        writes.prepare(self.connection, "e1-1", b"{}", b"png", 1000.0)
        loaded = reads.load(self.connection, "e1-1")
        assert loaded is not None
        self.assertEqual(list(self.journal.list(State.PENDING)), [evolve(loaded, picture=None)])
