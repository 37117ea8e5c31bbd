"""
Tests for :mod:`itsjustintv.journal.sqlite.connections` and :mod:`itsjustintv.journal.sqlite.dedup_keys`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.journal.operation_thread import NotBatchable
from itsjustintv.journal.sqlite import dedup_keys, reads
from itsjustintv.journal.sqlite.connections import Writer
from itsjustintv.journal.sqlite.database import connect, create
from itsjustintv.journal.sqlite.writes import AcceptEvent
from tests.journal.values import deliveries, event


def accepting(name: str, at: float = 1000.0, destinations: str = "ab", **changes: Any) -> AcceptEvent:
    """
    The operation that keeps an event until 100 seconds later.
    """
    news = event(name, received_at=at, **changes)
    return AcceptEvent(news, deliveries(news, *destinations), at + 100, at)


class TogetherTests(SynchronousTestCase):
    """
    Events that are kept in one go.
    """

    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute() / "journal.db"
        self.connection = create(self.path)
        self.addCleanup(self.connection.close)
        self.writer = Writer(self.path, partial(connect, self.path))
        self.addCleanup(self.writer.close)

    def contents(self, connection: Connection) -> object:
        return (
            sorted(reads.seen(connection, 0.0)),
            sorted(reads.events(connection), key=lambda one: one.id),
            reads.unprepared(connection, 9999.0, 999),
            reads.accounting(connection),
        )

    def test_news_take_a_statement_for_each_table(self) -> None:
        """
        Ten events in one batch take no more executions of statements than one of each kind for every row.
        """
        calls: list[str] = []
        self.connection.set_trace_callback(calls.append)
        with self.connection:
            self.connection.execute("BEGIN")
            AcceptEvent.perform_all(self.connection, [accepting(f"e{number}") for number in range(10)])
        self.assertEqual(sum("UPDATE numbers" in call for call in calls), 1)
        self.assertEqual(sum(call.startswith("SELECT") for call in calls), 1)

    def test_a_duplicate_among_news_is_alone_refused(self) -> None:
        """
        One event that is known already, in the same batch or before, changes nothing for its neighbours.
        """
        self.assertEqual(self.writer.perform([accepting("e1")]), [True])
        results = self.writer.perform(
            [
                accepting("e2"),
                accepting("again1", stream_id="stream of e1"),
                accepting("e3"),
                accepting("again3", message_id="message of e3"),
            ]
        )
        self.assertEqual(results, [True, False, True, False])
        self.assertEqual([one.id for one in reads.events(self.connection)], ["e1", "e2", "e3"])
        self.assertEqual(reads.accounting(self.connection).wanted, 6)
        self.assertEqual(reads.accounting(self.connection).imbalance, 0)

    def test_a_defect_among_news_is_its_own(self) -> None:
        """
        An event whose id is taken fails alone, and its keys are free for another one.
        """
        first, taken, last = self.writer.perform(
            [accepting("e1"), accepting("e1", message_id="m", stream_id="s"), accepting("e2")]
        )
        self.assertEqual((first, last), (True, True))
        self.assertIsInstance(taken, Failure)
        self.assertEqual(self.writer.perform([accepting("e3", message_id="m", stream_id="s")]), [True])

    def test_nothing_of_a_batch_that_was_not_committed_is_known(self) -> None:
        """
        What is sent again after the journal could not be written is news.
        """
        aside = self.path.rename(self.path.with_name("aside"))
        for result in self.writer.perform([accepting("e1"), accepting("e2")]):
            self.assertIsInstance(result, Failure)
        aside.rename(self.path)
        self.assertEqual(self.writer.perform([accepting("e1"), accepting("e2")]), [True, True])

    @given(
        st.lists(
            st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.sampled_from([0, 1, 99, 100])), max_size=6),
            max_size=5,
        )
    )
    def test_together_is_as_alone(self, batches: list[list[tuple[int, int, int]]]) -> None:
        """
        Whatever arrives in whatever batches, the answers and the journal are those of one event after the other.
        """
        number, now = 0, 1000.0
        places = [Path(self.mktemp()).absolute() / "journal.db" for _ in "ab"]
        views = [create(place) for place in places]
        together, alone = [Writer(place, partial(connect, place)) for place in places]
        try:
            for batch in batches:
                asked = []
                for message, stream, later in batch:
                    now, number = now + later, number + 1
                    asked.append(accepting(f"e{number:03}", now, message_id=f"m{message}", stream_id=f"s{stream}"))
                one_by_one = [result for one in asked for result in alone.perform([one])]
                self.assertEqual(together.perform(asked), one_by_one)
            self.assertEqual(*[self.contents(view) for view in views])
        finally:
            for each in (*views, together, alone):
                each.close()

    def test_nothing_of_a_duplicate_is_merged(self) -> None:
        """
        Whoever gives news and duplicates at once is told to give them one by one.
        """
        asked = [accepting("e1"), accepting("e2", stream_id="stream of e1")]
        self.assertRaises(NotBatchable, AcceptEvent.perform_all, self.connection, asked)


class KeysTests(SynchronousTestCase):
    """
    The index in memory and the rows on the disk.
    """

    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute() / "journal.db"
        self.connection = create(self.path)
        self.addCleanup(self.connection.close)

    def test_another_connection_knows_what_was_committed(self) -> None:
        """
        A key is known after a restart, until its latest expiry.
        """
        self.assertTrue(dedup_keys.claim(self.connection, [("k", 1100.0)], 1000.0))
        self.assertTrue(dedup_keys.claim(self.connection, [("k", 1200.0)], 1100.0))
        other = connect(self.path)
        self.addCleanup(other.close)
        for connection in (self.connection, other):
            self.assertTrue(dedup_keys.known(connection, ["other", "k"], 1199.0))
            self.assertFalse(dedup_keys.known(connection, ["other", "k"], 1200.0))
            self.assertFalse(dedup_keys.claim(connection, [("k", 1300.0)], 1199.0))

    def test_what_is_taken_back_is_not_known(self) -> None:
        """
        A key that was added in a transaction that is taken back is not known any more.
        """
        dedup_keys.add(self.connection, [("before", 1100.0)])
        self.connection.execute("BEGIN")
        dedup_keys.add(self.connection, [("k", 1100.0)])
        self.assertTrue(dedup_keys.known(self.connection, ["k"], 1000.0))
        self.connection.execute("ROLLBACK")
        self.assertFalse(dedup_keys.known(self.connection, ["k"], 1000.0))
        self.assertTrue(dedup_keys.known(self.connection, ["before"], 1000.0))

    def test_only_the_expired_are_removed(self) -> None:
        """
        What has expired goes, so many at a time; a key that was added again stays with its new expiry.
        """
        dedup_keys.add(self.connection, [("a", 1100.0), ("b", 1200.0), ("c", 1100.0)])
        dedup_keys.add(self.connection, [("a", 1300.0)])
        self.assertEqual([dedup_keys.purge(self.connection, 1100.0, 1) for _ in range(3)], [1, 1, 0])
        self.assertEqual(sorted(reads.seen(self.connection, 0.0)), [("a", 1300.0), ("b", 1200.0)])
        self.assertTrue(dedup_keys.known(self.connection, ["a"], 1200.0))
        self.assertFalse(dedup_keys.known(self.connection, ["c"], 0.0))
