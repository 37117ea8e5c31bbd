"""
Tests for :mod:`itsjustintv.journal.sqlite.broadcasts`.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from sqlite3 import Connection
from time import process_time
from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.journal.sqlite import broadcasts, reads, writes
from itsjustintv.journal.sqlite.database import create
from itsjustintv.journal.sqlite.migrations import STEPS
from itsjustintv.model import CHANNEL_UPDATE, STREAM_OFFLINE, Action, State, Verdict, rfc3339
from tests.journal.sqlite.values import accept
from tests.journal.values import attempt, deliveries, event

NOW = 1_800_000_000.0
DAY = 86400.0


class BroadcastCase(SynchronousTestCase):
    """
    A database with what the test puts into it.
    """

    def setUp(self) -> None:
        self.connection = create(Path(self.mktemp()).absolute() / "journal.db")
        self.addCleanup(self.connection.close)

    def post(self, connection: Connection, name: str, at: float = NOW, **more: Any) -> None:
        """
        Accept something about a post.
        """
        values = {"started_at": rfc3339(at), "received_at": at, **more}
        if "event_type" in more:
            values |= {"stream_id": "", "started_at": "", "keys": (f"message of {name}",)}
        found = event(name, **values)
        about = [evolve(each, broadcast=name) for each in deliveries(found, "a")]
        accept(connection, found, about, at + DAY, at)

    def end(self, name: str, state: State = State.DELIVERED, at: float = NOW, **more: Any) -> None:
        """
        End a delivery by an attempt.
        """
        writes.prepare(self.connection, name, b"{}", None, at)
        tried = attempt(state is State.DELIVERED, place="p", **more)
        writes.settle(self.connection, name, state, "", at, tried)


class RetentionTests(BroadcastCase):
    """
    What is removed when.
    """

    def left(self) -> tuple[int, int, int]:
        """
        How many deliveries, broadcasts and posts there are.
        """
        return tuple(  # type: ignore[return-value]
            self.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - our own words
            for table in ("deliveries", "broadcasts", "posts")
        )

    def purge(self, at: float) -> None:
        while writes.purge(self.connection, at - 7 * DAY, at, 1):
            pass

    def test_live_post_is_kept(self) -> None:
        """
        The post of a broadcast that goes on outlives its deliveries; it can be edited after weeks.
        """
        self.post(self.connection, "e1")
        self.end("e1-1", remote="m1")
        self.purge(NOW + 20 * DAY)
        self.assertEqual(self.left(), (0, 1, 1))
        self.post(self.connection, "e2", NOW + 20 * DAY, event_type=STREAM_OFFLINE, occurred_at=NOW + 20 * DAY)
        self.assertEqual(broadcasts.standing(self.connection, "e2-1").post.remote, "m1")  # type: ignore[union-attr]

    def test_ended_post_is_removed(self) -> None:
        """
        A week after the end the broadcast and its posts are removed, and what was removed stays counted; one whose end
        was never reported is removed after another month.
        """
        self.post(self.connection, "e1")
        self.end("e1-1", remote="m1")
        self.post(self.connection, "e2", NOW + 60, event_type=STREAM_OFFLINE, occurred_at=NOW + 60)
        self.end("e2-1", at=NOW + 60)
        self.post(self.connection, "e3", NOW, broadcaster_id="7")
        self.end("e3-1", State.SUPERSEDED, remote="m1")
        self.purge(NOW + 6 * DAY)
        self.assertEqual(self.left(), (3, 2, 1))
        self.purge(NOW + 8 * DAY)
        self.assertEqual(self.left(), (0, 1, 0))
        account = reads.accounting(self.connection)
        self.assertEqual((account.wanted, account.superseded, account.imbalance), (3, 1, 0))
        self.purge(NOW + 40 * DAY)
        self.assertEqual(self.left(), (0, 0, 0))


class SizeTests(BroadcastCase):
    """
    A large journal.
    """

    def test_no_question_scans(self) -> None:
        """
        Every statement about broadcasts, posts and places finds its rows by an index, and takes no time among 200,000
        deliveries.
        """
        self.post(self.connection, "e1")
        self.connection.execute(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)"
            " INSERT INTO deliveries (id, event_id, streamer, destination, accepted_at, next_attempt_at, state,"
            " finished_at) SELECT 'x' || i, 'e1', 'cool', 'a', 0, 0, 'delivered', ? FROM n",
            (NOW,),
        )
        self.connection.execute("UPDATE numbers SET value = value + 200000 WHERE name = 'wanted'")
        seen: list[str] = []
        self.connection.set_trace_callback(seen.append)
        before = process_time()
        self.end("e1-1", remote="m1")
        self.post(self.connection, "e2", NOW + 1, event_type=CHANNEL_UPDATE, occurred_at=NOW + 1)
        broadcasts.standing(self.connection, "e2-1")
        writes.prepare(self.connection, "e2-1", b"{}", None, NOW, action=Action.EDIT, shown="s")
        writes.settle(
            self.connection, "e2-1", State.DEAD, "", NOW, attempt(place="p", verdict=Verdict.DESTINATION_GONE)
        )
        reads.load(self.connection, "e2-1")
        broadcasts.resume(self.connection, "e1", NOW)
        broadcasts.live(self.connection)
        broadcasts.forget_places(self.connection, ["p"])
        self.assertEqual(broadcasts.purge(self.connection, NOW + 99 * DAY, 5), 0)
        took = process_time() - before
        self.connection.set_trace_callback(None)
        self.assertLess(took, 1.0)
        scans = []
        for statement in {each for each in seen if not each.startswith("--")}:
            plan = self.connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
            scans += [(row["detail"], statement) for row in plan if row["detail"].startswith("SCAN deliveries")]
        self.assertEqual(scans, [])
        self.assertTrue(any("deliveries_of_broadcast" in str(self.plan(each)) for each in seen))

    def plan(self, statement: str) -> list[str]:
        if statement.startswith("--"):
            return []
        return [row["detail"] for row in self.connection.execute(f"EXPLAIN QUERY PLAN {statement}")]


class OldFileTests(SynchronousTestCase):
    """
    Journals of the version before broadcasts, and of the one before refreshes.
    """

    def test_posts_of_before_run_on(self) -> None:
        """
        A creation of the version before refreshes, which waits for its attempt, is delivered and has none.
        """
        path = Path(self.mktemp()).absolute() / "journal.db"
        path.parent.mkdir()
        old = sqlite3.connect(path, isolation_level=None)
        for step in STEPS[:6]:
            old.executescript(step)
        old.execute("PRAGMA user_version = 6")
        old.execute("PRAGMA journal_mode = WAL")
        old.execute(
            "INSERT INTO events (id, message_id, stream_id, broadcaster_id, broadcaster_login, broadcaster_name, type,"
            " started_at, received_at) VALUES ('e1', 'm', 's', '1', 'l', 'n', 'live', '2026-01-02T03:04:05Z', 1000)"
        )
        old.execute(
            "INSERT INTO broadcasts (id, broadcaster_id, streamer, started_at, seen_at, stream_ids, at)"
            " VALUES ('e1', '1', 'cool', '2026-01-02T03:04:05Z', 1000, '[\"s\"]', 1000)"
        )
        old.execute(
            "INSERT INTO deliveries (id, event_id, streamer, destination, accepted_at, next_attempt_at, state, body,"
            " broadcast, shown) VALUES ('e1-1', 'e1', 'cool', 'a', 1000, 1000, 'pending', x'7b7d', 'e1', 's1')"
        )
        old.execute("UPDATE numbers SET value = 1 WHERE name = 'wanted'")
        old.close()
        connection = create(path)
        self.addCleanup(connection.close)
        after = writes.settle(connection, "e1-1", State.DELIVERED, "", NOW, attempt(ok=True, place="p", remote="m1"))
        self.assertEqual((after.state, after.refreshes), (State.DELIVERED, ()))
        account = reads.accounting(connection)
        self.assertEqual((account.wanted, account.delivered, account.imbalance), (1, 1, 0))

    def test_runs_on(self) -> None:
        """
        It is upgraded with what waits in it: deliveries without a broadcast, which create.
        """
        path = Path(self.mktemp()).absolute() / "journal.db"
        path.parent.mkdir()
        old = sqlite3.connect(path, isolation_level=None)
        for step in STEPS[:5]:
            old.executescript(step)
        old.execute("PRAGMA user_version = 5")
        old.execute("PRAGMA journal_mode = WAL")
        old.execute(
            "INSERT INTO events (id, message_id, stream_id, broadcaster_id, broadcaster_login, broadcaster_name, type,"
            " started_at, received_at) VALUES ('e1', 'm', 's', '1', 'l', 'n', 'live', '2026-01-02T03:04:05Z', 1000)"
        )
        old.execute(
            "INSERT INTO deliveries (id, event_id, streamer, destination, accepted_at, next_attempt_at, state, body)"
            " VALUES ('e1-1', 'e1', 'cool', 'a', 1000, 1000, 'pending', x'7b7d')"
        )
        old.execute("UPDATE numbers SET value = 1 WHERE name = 'wanted'")
        old.close()
        connection = create(path)
        self.addCleanup(connection.close)
        delivery = reads.load(connection, "e1-1")
        assert delivery is not None
        self.assertEqual((delivery.broadcast, delivery.action, delivery.body), ("", Action.CREATE, b"{}"))
        after = writes.settle(connection, "e1-1", State.SUPERSEDED, "", NOW, attempt(place="p"))
        self.assertEqual(after.state, State.SUPERSEDED)
        account = reads.accounting(connection)
        self.assertEqual((account.superseded, account.imbalance), (1, 0))
        self.assertEqual(reads.event(connection, "e1").event_type, "stream.online")
