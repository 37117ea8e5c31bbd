"""
Opening the file.
"""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from stat import S_IMODE

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.errors import JournalUnavailable
from itsjustintv.journal.sqlite import database, history_reads, reads
from itsjustintv.journal.sqlite.backup import copy
from itsjustintv.journal.sqlite.database import create, explain, lock
from itsjustintv.journal.sqlite.migrations import STEPS, migrate


class CreateTests(SynchronousTestCase):
    """
    The first and every other start.
    """

    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute() / "state" / "journal.db"

    def assert_refused(self, reason: str) -> None:
        error = self.assertRaises(JournalUnavailable, create, self.path)
        self.assertIn(str(self.path), str(error))
        self.assertIn(reason, str(error))
        self.assertNotIn("\n", str(error))

    def test_for_this_user_only(self) -> None:
        """
        The directory and the files are closed to others, whatever the umask.
        """
        self.addCleanup(os.umask, os.umask(0))
        connection = create(self.path)
        self.addCleanup(connection.close)
        connection.execute("UPDATE numbers SET value = 1 WHERE name = 'probes'")
        self.assertEqual(S_IMODE(self.path.parent.stat().st_mode), 0o700)
        files = {file.name: S_IMODE(file.stat().st_mode) for file in self.path.parent.iterdir()}
        self.assertEqual(files, dict.fromkeys(("journal.db", "journal.db-wal", "journal.db-shm"), 0o600))

    def test_commits_are_durable(self) -> None:
        """
        The log is written ahead and synced with every commit.
        """
        connection = create(self.path)
        self.addCleanup(connection.close)
        self.assertEqual(connection.execute("PRAGMA journal_mode").fetchone()[0], "wal")
        self.assertEqual(connection.execute("PRAGMA synchronous").fetchone()[0], 2)

    def test_not_a_database(self) -> None:
        """
        A file of another kind is left alone, and the sentence says which.
        """
        self.path.parent.mkdir(parents=True)
        self.path.write_bytes(b"something else\n" * 100)
        self.assert_refused("is not a journal")
        self.assertEqual(self.path.read_bytes(), b"something else\n" * 100)

    def test_damaged(self) -> None:
        """
        A journal whose tables cannot be read is refused.
        """
        create(self.path).close()
        content = self.path.read_bytes()
        self.path.write_bytes(content[:100] + b"\xff" * (len(content) - 100))
        self.assert_refused("is damaged")

    def test_another_programs_database(self) -> None:
        """
        Another program's database is refused and not changed.
        """
        self.path.parent.mkdir(parents=True)
        other = sqlite3.connect(self.path)
        other.execute("CREATE TABLE theirs (x)")
        other.close()
        self.assert_refused("another program")

    def test_newer_version(self) -> None:
        """
        A journal from the future is refused in one sentence.
        """
        connection = create(self.path)
        connection.execute(f"PRAGMA user_version = {len(STEPS) + 1}")
        connection.close()
        self.assert_refused("newer itsjustintv")

    def test_no_directory(self) -> None:
        """
        A path through something that is no directory is refused.
        """
        self.path.parent.parent.mkdir(parents=True)
        self.path.parent.write_text("a file")
        self.assert_refused("cannot be used")

    def test_a_directory(self) -> None:
        """
        A directory in the place of the file is refused.
        """
        self.path.mkdir(parents=True)
        self.assert_refused("cannot be used: it is a directory, use a regular file")

    def test_lock_without_a_directory(self) -> None:
        """
        A lock file that cannot be created is reported the same way.
        """
        self.path.parent.parent.mkdir(parents=True)
        self.path.parent.write_text("a file")
        self.assertRaises(JournalUnavailable, lock, self.path)

    def test_lock_that_cannot_be_had(self) -> None:
        """
        A filesystem without locks is no place for a journal, and it is not called busy.
        """

        def no_locks(descriptor: int, operation: int) -> None:
            raise OSError(37, "No locks available")

        self.patch(database, "flock", no_locks)
        error = self.assertRaises(JournalUnavailable, lock, self.path)
        self.assertIn("no locks available", str(error))

    def test_memory_only(self) -> None:
        """
        Without write-ahead logging there is no journal.
        """
        connection = sqlite3.connect(":memory:")
        self.addCleanup(connection.close)
        self.patch(sqlite3, "connect", lambda *args, **kwargs: connection)
        self.assert_refused("local disk")

    def test_an_empty_file(self) -> None:
        """
        It is begun anew, and a line says so: it may have been in use.
        """
        self.path.parent.mkdir(parents=True)
        self.path.touch()
        with capturedLogs() as events:
            create(self.path).close()
        self.assertEqual(
            [each["log_format"] for each in events],
            ["{path} is empty: a new journal was created there; if it was in use before, restore a backup"],
        )

    def test_a_log_without_its_database(self) -> None:
        """
        Where a log has something and the database is missing or empty nothing is begun: SQLite would remove the log.
        """
        connection = create(self.path)
        self.addCleanup(connection.close)
        log = self.path.with_name("journal.db-wal")
        connection.execute("UPDATE numbers SET value = 1 WHERE name = 'probes'")
        content = log.read_bytes()
        self.path.unlink()
        self.assert_refused("is missing or empty, but")
        self.path.touch()
        self.assert_refused("is missing or empty, but")
        self.assertEqual(log.read_bytes(), content)

    def test_a_log_of_another_database(self) -> None:
        """
        A backup that was copied into place beside an old log is not opened: SQLite would apply that log to it.
        """
        connection = create(self.path)
        self.addCleanup(connection.close)
        backup = self.path.with_name("backup.db")
        copy(self.path, backup)
        connection.execute("UPDATE numbers SET value = 1 WHERE name = 'probes'")
        backup.replace(self.path)
        before = self.path.read_bytes()
        self.assert_refused("-wal belongs to another journal than")
        self.assertEqual(self.path.read_bytes(), before)

    def test_what_is_not_a_regular_file(self) -> None:
        """
        Neither a named pipe nor a device is taken for a journal, or for its lock.
        """
        self.path.parent.mkdir(parents=True)
        os.mkfifo(self.path)
        self.assert_refused("cannot be used: it is a named pipe, use a regular file")
        os.mkfifo(self.path.with_name("journal.db.lock"))
        self.assertIn("named pipe", str(self.assertRaises(JournalUnavailable, lock, self.path)))

    def test_unexpected_errors_are_explained(self) -> None:
        """
        An error nobody foresaw still names the file and what it said.
        """
        text = explain(self.path, ValueError("surprise"))
        self.assertIn(str(self.path), text)
        self.assertIn("surprise", text)


class MigrateTests(SynchronousTestCase):
    """
    From version to version.
    """

    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute() / "journal.db"
        self.connection = create(self.path)
        self.addCleanup(self.connection.close)

    def version(self) -> int:
        value: int = self.connection.execute("PRAGMA user_version").fetchone()[0]
        return value

    def test_missing_steps_are_made_in_order(self) -> None:
        """
        An older journal is brought up step by step and keeps what it holds.
        """
        self.connection.execute("UPDATE numbers SET value = 7 WHERE name = 'wanted'")
        steps = (
            *STEPS,
            "CREATE TABLE more (x ANY) STRICT",
            "INSERT INTO more SELECT value FROM numbers WHERE name = 'wanted'",
        )
        migrate(self.connection, self.path, steps)
        self.assertEqual(self.version(), len(STEPS) + 2)
        self.assertEqual(self.connection.execute("SELECT x FROM more").fetchone()[0], 7)
        migrate(self.connection, self.path, steps)
        self.assertEqual(self.connection.execute("SELECT count(*) FROM more").fetchone()[0], 1)

    def test_what_was_announced_before_the_third_key_is_known_by_it(self) -> None:
        """
        A journal of version 1 keeps its events, none of them recovered, and knows their broadcasts by the new key, for
        as long as by the others.
        """
        old = sqlite3.connect(self.path.with_name("old.db"), isolation_level=None)
        self.addCleanup(old.close)
        old.row_factory = sqlite3.Row
        migrate(old, self.path, STEPS[:1])
        row = "INSERT INTO events VALUES (?, ?, ?, '42', 'tanuki', 'Tanuki', 'live', '2026-01-02T04:00:00Z', 1000)"
        old.execute(row, ("e1", "m1", "7001"))
        old.execute(row, ("e2", "m2", "7001"))
        old.execute(row, ("e3", "m3", "7003"))
        old.executemany("INSERT INTO keys VALUES (?, ?)", [("message:m1", 8200.0), ("message:m2", 8300.0)])
        migrate(old, self.path)
        self.assertEqual(
            {event.id: event.recovered for event in reads.events(old)}, dict.fromkeys(("e1", "e2", "e3"), False)
        )
        added = [pair for pair in reads.seen(old, 0.0) if not pair[0].startswith("message:")]
        self.assertEqual(added, [("stream:42:7001", 8300.0)])

    def test_a_delivery_of_before_belongs_to_no_trace(self) -> None:
        """
        A journal of version 2 is upgraded where it is: its deliveries stay as they are, and continue no trace.
        """
        old = sqlite3.connect(self.path.with_name("old.db"), isolation_level=None)
        self.addCleanup(old.close)
        old.row_factory = sqlite3.Row
        migrate(old, self.path, STEPS[:2])
        old.execute("INSERT INTO events VALUES ('e1', 'm1', '7', '42', 'tanuki', 'Tanuki', 'live', '', 1000, 0)")
        old.execute(
            "INSERT INTO deliveries (id, event_id, streamer, destination, accepted_at, next_attempt_at, state)"
            " VALUES ('e1-1', 'e1', 'tanuki', 'tanuki', 1000, 1000, 'accepted')"
        )
        migrate(old, self.path)
        [(_, delivery)] = reads.unprepared(old, 1000.0, 10)
        self.assertEqual((delivery.id, delivery.accepted_at, delivery.trace), ("e1-1", 1000.0, ""))

    def test_titles_are_taken_from_the_payloads_of_before(self) -> None:
        """
        In a journal of version 4 an event gets title and category of its first payload that has them, as they were
        shown; a delivery without a payload, or with another program's, gives none and stays as it is.
        """
        old = sqlite3.connect(self.path.with_name("old.db"), isolation_level=None)
        self.addCleanup(old.close)
        old.row_factory = sqlite3.Row
        migrate(old, self.path, STEPS[:4])
        payload = {"timestamp": "2026-01-02T03:04:06Z", "stream": {"title": "Töpfern \U0001f3fa", "game_name": "Art"}}
        bodies = {
            "e1": [
                b"",
                b"not JSON",
                json.dumps(payload, ensure_ascii=False).encode(),
                b'{"stream": {"title": "late"}}',
            ],
            "e2": [b'{"title": "of the original program"}', b'{"stream": 7}', b"[]"],
            "e3": [b'{"stream": {"title": null, "game_name": "Chess"}}'],
            "e4": [],
        }
        for name, all_of_it in bodies.items():
            old.execute(
                "INSERT INTO events VALUES (?, ?, '7', '42', 'tanuki', 'Tanuki', 'live', '', 1000, 0)", (name, name)
            )
            old.executemany(
                "INSERT INTO deliveries (id, event_id, streamer, destination, accepted_at, next_attempt_at, state,"
                " body, finished_at) VALUES (?, ?, 'tanuki', ?, 1000, 1000, 'cancelled', ?, 1001)",
                [(f"{name}-{number}", name, f"d{number}", body) for number, body in enumerate(all_of_it, 1)],
            )
        migrate(old, self.path)
        found = {name: history_reads.event(old, name) for name in bodies}
        self.assertEqual(
            {name: (each.title, each.category) for name, each in found.items() if each is not None},
            {"e1": ("Töpfern \U0001f3fa", "Art"), "e2": ("", ""), "e3": ("", "Chess"), "e4": ("", "")},
        )
        self.assertEqual(
            {name: [one.delivery.body for one in each.deliveries] for name, each in found.items() if each is not None},
            bodies,
        )
        self.assertEqual(old.execute("PRAGMA integrity_check").fetchone()[0], "ok")

    def test_a_step_that_fails_leaves_the_version_before_it(self) -> None:
        """
        A step is all or nothing.
        """
        steps = (*STEPS, "CREATE TABLE one (x)", "CREATE TABLE two (x); CREATE TABLE two (x)")
        self.assertRaises(sqlite3.OperationalError, migrate, self.connection, self.path, steps)
        self.assertEqual(self.version(), len(STEPS) + 1)
        tables = {row["name"] for row in self.connection.execute("SELECT name FROM sqlite_schema")}
        self.assertIn("one", tables)
        self.assertNotIn("two", tables)
