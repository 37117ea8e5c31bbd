"""
Group commit and what goes wrong with it, against a real file, without threads.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.errors import AmbiguousId, JournalUnavailable
from itsjustintv.journal.sqlite import reads, writes
from itsjustintv.journal.sqlite.connections import Reader, Writer
from itsjustintv.journal.sqlite.database import connect, create

#: Holds the right to write until it is told to let go.
HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


def remember(key: str, value: int = 1) -> Callable[[Connection], None]:
    """
    An operation that writes something small.
    """
    return partial(writes.remember, kind="k", key=key, value=value, now=1.0)


def defect(connection: Connection) -> None:
    """
    An operation that fails for a reason of its own, after it has written.
    """
    remember("defect")(connection)
    raise ZeroDivisionError


class WriterTests(SynchronousTestCase):
    """
    A writer on a new journal; ``prepare_connection`` sees every connection it opens.
    """

    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute() / "journal.db"
        create(self.path).close()
        self.statements: list[str] = []
        self.opened = 0
        self.prepare_connection: Callable[[Connection], object] = lambda connection: None
        self.writable = True
        self.writer = Writer(self.path, self.connect)
        self.reader = Reader(self.path, partial(connect, self.path))
        self.addCleanup(self.writer.close)
        self.addCleanup(self.reader.close)

    def connect(self) -> Connection:
        self.opened += 1
        connection = connect(self.path, writable=self.writable, busy_timeout=0.05)
        self.prepare_connection(connection)
        connection.set_trace_callback(self.statements.append)
        return connection

    def known(self) -> set[str]:
        (rows,) = self.reader.perform([lambda connection: connection.execute("SELECT key FROM known").fetchall()])
        assert isinstance(rows, list)
        return {row["key"] for row in rows}

    def assert_refused(self, results: Any, reason: str) -> None:
        for result in results:
            assert isinstance(result, Failure)
            result.trap(JournalUnavailable)
            self.assertIn(reason, result.getErrorMessage())
            self.assertIn(str(self.path), result.getErrorMessage())
        self.assertIn(reason, str(self.writer.problem))

    def assert_works(self) -> None:
        self.assertEqual(self.writer.perform([remember("healed")]), [None])
        self.assertIsNone(self.writer.problem)
        self.assertEqual(self.known(), {"healed"})

    def test_a_batch_is_one_commit(self) -> None:
        """
        Operations that wait together share one transaction, and each gets its own result.
        """
        results = self.writer.perform(
            [remember("a"), lambda connection: reads.recall(connection, "k", "a"), remember("b")]
        )
        self.assertEqual(results, [None, (1, 1.0), None])
        self.assertEqual(self.statements.count("COMMIT"), 1)
        self.assertEqual(self.known(), {"a", "b"})

    def test_a_failure_does_not_touch_its_neighbours(self) -> None:
        """
        An operation that fails is taken back alone, whether Python or a constraint stopped it.
        """

        def constraint(connection: Connection) -> None:
            remember("constraint")(connection)
            connection.execute("UPDATE states SET held = -1")

        results = self.writer.perform([remember("a"), defect, constraint, remember("b")])
        self.assertEqual([results[0], results[3]], [None, None])
        for result, kind in zip(results[1:3], (ZeroDivisionError, sqlite3.IntegrityError), strict=True):
            assert isinstance(result, Failure)
            result.trap(kind)
        self.assertEqual(self.known(), {"a", "b"})
        self.assertEqual(self.statements.count("COMMIT"), 1)
        self.assertIsNone(self.writer.problem)

    def test_a_neighbour_of_a_failure_happens_once(self) -> None:
        """
        What was done before another operation failed is not done again with the rest.
        """
        results = self.writer.perform([writes.probe, defect, writes.probe])
        self.assertEqual([results[0], results[2]], [None, None])
        query = "SELECT value FROM numbers WHERE name = 'probes'"
        (probes,) = self.reader.perform([lambda connection: connection.execute(query).fetchone()["value"]])
        self.assertEqual(probes, 2)

    def test_full_disk(self) -> None:
        """
        When the disk is full the whole batch fails and nothing of it is kept; when there is room again, it goes on.
        """

        def limit(connection: Connection) -> None:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {pages + 2}")

        self.prepare_connection = limit
        large = partial(writes.remember, kind="k" * 100_000, key="large", value=1, now=1.0)
        self.assert_refused(self.writer.perform([remember("a"), large, remember("b")]), "is full")
        self.assertEqual(self.known(), set())
        self.prepare_connection = lambda connection: None
        self.assert_works()
        self.assertEqual(self.opened, 2)

    def test_read_only(self) -> None:
        """
        A journal that cannot be written refuses, and heals when it can be.
        """
        self.writable = False
        self.assert_refused(self.writer.perform([remember("a")]), "cannot be written")
        self.writable = True
        self.assert_works()

    def test_locked_by_another_process(self) -> None:
        """
        When another process writes for longer than the busy timeout the batch is refused; when it ends, all is well.
        """
        with subprocess.Popen(
            [sys.executable, "-c", HOLD, str(self.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as other:
            assert other.stdout is not None
            self.assertEqual(other.stdout.readline(), b"held\n")
            self.assert_refused(self.writer.perform([remember("a"), remember("b")]), "another process")
            self.assertEqual(self.known(), set())
            other.communicate()
        self.assert_works()

    def test_damaged(self) -> None:
        """
        A file that is no database any more is reported as such.
        """
        self.path.write_bytes(b"not a database, " * 1024)
        self.assert_refused(self.writer.perform([remember("a")]), "is not a journal")

    def test_file_that_disappears(self) -> None:
        """
        When the file is moved away under the daemon nothing is accepted into it, until it is back.
        """
        self.writer.perform([remember("healed")])
        aside = self.path.rename(self.path.with_name("aside"))
        for _ in range(2):
            self.assert_refused(self.writer.perform([remember("a")]), "was deleted or moved away while in use")
        aside.rename(self.path)
        self.assert_works()

    def test_file_that_disappears_during_a_transaction(self) -> None:
        """
        Nothing of the batch is stored, not even in the file that was moved away.
        """
        self.writer.perform([remember("healed")])
        aside = self.path.with_name("aside")
        results = self.writer.perform([remember("a"), lambda _: self.path.rename(aside)])
        self.assert_refused(results, "was deleted or moved away while in use")
        aside.rename(self.path)
        self.assert_works()

    def test_file_that_is_replaced(self) -> None:
        """
        Another journal under the same name is not written to.
        """
        self.writer.perform([remember("a")])
        self.path.rename(self.path.with_name("aside"))
        create(self.path.with_name("other")).close()
        self.path.with_name("other").rename(self.path)
        for _ in range(2):
            self.assert_refused(self.writer.perform([remember("b")]), "was replaced")

    def test_rolled_back_from_within(self) -> None:
        """
        When the database takes the transaction back by itself, no operation of the batch is reported as kept.
        """

        def broken(connection: Connection) -> None:
            connection.execute("ROLLBACK")
            raise ZeroDivisionError

        self.assert_refused(self.writer.perform([remember("a"), broken, remember("b")]), "cannot be used")
        self.assertEqual(self.known(), set())
        self.assert_works()

    def test_reader_writes_nothing(self) -> None:
        """
        The reader's connection refuses to write, and goes on reading.
        """
        (result,) = self.reader.perform([remember("a")])
        assert isinstance(result, Failure)
        result.trap(JournalUnavailable)
        self.assertEqual(self.known(), set())

    def test_reader_survives_a_defect(self) -> None:
        """
        A question that fails takes none of the others with it.
        """

        def wrong(connection: Connection) -> None:
            raise ZeroDivisionError

        first, second = self.reader.perform([wrong, reads.signals])
        assert isinstance(first, Failure)
        first.trap(ZeroDivisionError)
        self.assertEqual(second, 0)

    def test_reader_survives_an_ambiguous_id(self) -> None:
        """
        The question after one about a mistyped id is answered, by the same connection.
        """

        def ambiguous(connection: Connection) -> None:
            raise AmbiguousId("e1", ("e1-1", "e1-2"))

        first, second = self.reader.perform([ambiguous, reads.signals])
        assert isinstance(first, Failure)
        first.trap(AmbiguousId)
        self.assertEqual(second, 0)
