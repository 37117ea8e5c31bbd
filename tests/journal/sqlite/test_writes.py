"""
What the journal keeps, driven without threads.
"""

from __future__ import annotations

from pathlib import Path
from sqlite3 import Connection, IntegrityError

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.journal.sqlite import dedup_keys, history_reads, reads, writes
from itsjustintv.journal.sqlite.database import create
from itsjustintv.model import UNDELIVERED, Due, Outcome, State
from tests.journal.sqlite.values import accept
from tests.journal.values import attempt, deliveries, event


class OperationsCase(SynchronousTestCase):
    """
    A journal with nothing in it.
    """

    def setUp(self) -> None:
        self.path = Path(self.mktemp()) / "journal.db"
        self.connection: Connection = create(self.path)
        self.addCleanup(self.connection.close)

    def accept(self, name: str, *destinations: str, at: float = 1000.0) -> bool:
        news = event(name, received_at=at)
        return accept(self.connection, news, deliveries(news, *destinations), at + 7200, at)

    def pending(self, name: str, destination: str = "a", at: float = 1000.0, picture: bytes | None = None) -> str:
        self.accept(name, destination, at=at)
        writes.prepare(self.connection, f"{name}-1", b"{}", picture, at)
        return f"{name}-1"

    def balance(self) -> dict[str, int]:
        accounting = reads.accounting(self.connection)
        self.assertEqual(accounting.imbalance, 0)
        return {name: getattr(accounting, name) for name in State if getattr(accounting, name)}


class AcceptTests(OperationsCase):
    """
    An event, its keys and its deliveries are kept together.
    """

    def test_everything_is_kept(self) -> None:
        """
        After an accept there are the event as it was given, all its keys and one delivery for each destination.
        """
        self.assertTrue(self.accept("e1", "a", "b"))
        self.assertEqual(reads.event(self.connection, "e1"), event("e1"))
        self.assertEqual(sorted(reads.seen(self.connection, 1000.0)), sorted((k, 8200.0) for k in event("e1").keys))
        self.assertEqual(
            [delivery for _, delivery in reads.unprepared(self.connection, 1000.0, 9)],
            deliveries(event("e1"), "a", "b"),
        )

    def test_same_broadcast_is_kept_once(self) -> None:
        """
        Another message about the same broadcast changes nothing.
        """
        self.accept("e1", "a")
        again = event("e2", stream_id=event("e1").stream_id)
        self.assertFalse(accept(self.connection, again, deliveries(again, "a"), 9999.0, 1001.0))
        self.assertEqual(self.balance(), {"accepted": 1})
        self.assertEqual(len(reads.seen(self.connection, 0.0)), 3)

    def test_same_broadcast_is_kept_once_whatever_its_time(self) -> None:
        """
        A broadcast that is told of with another time, by a message and by Get Streams, is kept once, whoever is first.
        """
        for first, second in ((False, True), (True, False)):
            told = {False: {}, True: {"message_id": "", "recovered": True, "started_at": "2026-01-02T03:04:06Z"}}
            news = event(f"first {first}", **told[first])
            copy = event(f"second {first}", stream_id=news.stream_id, **told[second])
            self.assertTrue(accept(self.connection, news, [], 9999.0, 1001.0))
            self.assertFalse(accept(self.connection, copy, [], 9999.0, 1001.0))
            self.assertEqual(reads.event(self.connection, news.id), news)

    def test_broadcasts_without_a_message_are_told_apart(self) -> None:
        """
        What was found by asking has no message, and is not the same news as everything else that was found so.
        """
        for name in ("e1", "e2"):
            found = event(name, message_id="", recovered=True)
            self.assertTrue(accept(self.connection, found, [], 9999.0, 1001.0))

    def test_same_message_is_kept_once(self) -> None:
        """
        A message that is sent again under its id changes nothing, whatever it says.
        """
        self.accept("e1", "a")
        again = event("e2", message_id=event("e1").message_id)
        self.assertFalse(accept(self.connection, again, deliveries(again, "a"), 9999.0, 1001.0))

    def test_expired_keys_are_as_good_as_none(self) -> None:
        """
        A key counts until the moment at which it expires, and not from then on.
        """
        self.accept("e1", "a")
        again = evolve(event("e1"), id="e2")
        self.assertFalse(accept(self.connection, again, deliveries(again, "a"), 9999.0, 8199.0))
        self.assertTrue(accept(self.connection, again, deliveries(again, "a"), 9999.0, 8200.0))
        self.assertEqual({expiry for _, expiry in reads.seen(self.connection, 8200.0)}, {9999.0})

    def test_an_id_that_is_taken_is_refused(self) -> None:
        """
        Two events under one id are a defect, and the database says so.
        """
        self.accept("e1", "a")
        with self.assertRaises(IntegrityError):
            accept(self.connection, event("e1", message_id="2", stream_id="2"), [], 9999.0, 1000.0)


class CensusTests(OperationsCase):
    """
    Where everything stands.
    """

    def test_nothing(self) -> None:
        """
        An empty journal has nothing that waits, and no news.
        """
        found = reads.census(self.connection)
        self.assertEqual((found.pending, found.oldest_at, found.dead, found.newest_at), ({}, None, 0, None))

    def test_what_has_not_ended(self) -> None:
        """
        What waits is counted by destination, the oldest of all is found, and those that were given up.
        """
        for number, at in enumerate((1000.0, 1010.0, 1020.0, 1030.0)):
            self.accept(f"e{number}", "a", "b", at=at)
        for delivery_id in ("e0-1", "e1-1", "e1-2", "e2-1"):
            writes.prepare(self.connection, delivery_id, b"{}", None, 1040.0)
        writes.settle(self.connection, "e0-1", State.DEAD, "exhausted", 1050.0)
        writes.settle(self.connection, "e0-2", State.EXPIRED, "too old to be news", 1050.0)
        found = reads.census(self.connection)
        self.assertEqual((found.pending, found.dead, found.undelivered), ({"a": 2, "b": 1}, 1, 2))
        self.assertEqual(found.newest_at, 1030.0)
        self.assertEqual(found.oldest_at, 1010.0)
        self.assertEqual((found.accounting.wanted, found.accounting.imbalance), (8, 0))
        for delivery_id in ("e1-1", "e1-2"):
            writes.settle(self.connection, delivery_id, State.DELIVERED, "delivered", 1060.0)
        self.assertEqual(reads.census(self.connection).oldest_at, 1020.0)


class PrepareTests(OperationsCase):
    """
    From accepted to pending.
    """

    def test_payload_and_picture_are_kept(self) -> None:
        """
        A prepared delivery is pending with its payload, and its picture comes with a load.
        """
        self.accept("e1", "a")
        self.assertTrue(writes.prepare(self.connection, "e1-1", b"{}", b"png", 1001.0))
        delivery = reads.load(self.connection, "e1-1")
        self.assertEqual(
            delivery,
            evolve(
                deliveries(event("e1"), "a")[0], state=State.PENDING, body=b"{}", picture=b"png", next_attempt_at=1001.0
            ),
        )
        self.assertEqual(reads.unprepared(self.connection, 9999.0, 9), [])

    def test_title_and_category_are_the_events(self) -> None:
        """
        The first delivery whose title or category is known gives them to its event; one that has ended gives none.
        """
        self.accept("e1", "a", "b", "c", "d")
        writes.settle(self.connection, "e1-1", State.FILTERED, "no tag", 1000.0)
        found = []
        for name, title, category in (
            ("e1-1", "no", ""),
            ("e1-2", "", ""),
            ("e1-3", "Pottery", ""),
            ("e1-4", "x", "y"),
        ):
            writes.prepare(self.connection, name, b"{}", None, 1001.0, title, category)
            history = history_reads.event(self.connection, "e1")
            assert history is not None
            found.append((history.title, history.category))
        self.assertEqual(found, [("", ""), ("", ""), ("Pottery", ""), ("Pottery", "")])

    def test_only_once(self) -> None:
        """
        A delivery that is no longer accepted keeps what it has.
        """
        self.pending("e1")
        self.assertFalse(writes.prepare(self.connection, "e1-1", b"other", b"png", 1002.0))
        delivery = reads.load(self.connection, "e1-1")
        assert delivery is not None
        self.assertEqual((delivery.body, delivery.picture), (b"{}", None))

    def test_pending_needs_a_payload(self) -> None:
        """
        Nothing can be pending without a payload.
        """
        self.accept("e1", "a")
        with self.assertRaises(IntegrityError):
            writes.prepare(self.connection, "e1-1", b"", None, 1001.0)

    def test_held_deliveries_come_back_in_time(self) -> None:
        """
        A delivery that is held is not listed before its moment, and then after those that wait longer.
        """
        self.accept("e1", "a")
        self.accept("e2", "a", at=1010.0)
        writes.hold(self.connection, "e1-1", 1030.0, "no tags")
        listed = lambda now: [d.id for _, d in reads.unprepared(self.connection, now, 9)]  # noqa: E731
        self.assertEqual(listed(1029.0), ["e2-1"])
        self.assertEqual(listed(1030.0), ["e2-1", "e1-1"])
        self.assertEqual(
            reads.unprepared(self.connection, 1030.0, 1)[0][0],
            event("e2", received_at=1010.0, trace="trace of e2"),
        )

    def test_hold_leaves_others_alone(self) -> None:
        """
        What is not accepted any more cannot be held.
        """
        self.pending("e1")
        writes.hold(self.connection, "e1-1", 5000.0, "no tags")
        self.assertEqual(reads.due(self.connection, "a", None, 9), [Due(1000.0, "e1-1")])


class SettleTests(OperationsCase):
    """
    What became of a delivery.
    """

    def test_attempt_is_counted_and_kept(self) -> None:
        """
        A failed attempt leaves the delivery pending for later, one attempt older.
        """
        self.pending("e1", picture=b"png")
        failed = attempt(retry_after=7.5, response="busy")
        settled = writes.settle(self.connection, "e1-1", State.PENDING, "http_503", 1001.0, failed, 1031.0)
        self.assertEqual(
            settled,
            evolve(
                deliveries(event("e1"), "a")[0],
                state=State.PENDING,
                body=b"{}",
                attempts=1,
                reason="http_503",
                next_attempt_at=1031.0,
            ),
        )
        self.assertEqual(reads.load(self.connection, "e1-1"), evolve(settled, picture=b"png"))
        self.assertEqual(reads.attempts(self.connection, "e1-1"), (failed,))

    def test_cancelled_stays_cancelled(self) -> None:
        """
        An attempt that was under way when the operator cancelled is kept, but does not undo that.
        """
        self.pending("e1")
        delivery = reads.get(self.connection, "e1-1")
        assert delivery is not None
        writes.cancel(self.connection, delivery, "by hand", 1001.0)
        settled = writes.settle(self.connection, "e1-1", State.PENDING, "http_503", 1002.0, attempt(), 1030.0)
        self.assertEqual((settled.state, settled.reason, settled.attempts), (State.CANCELLED, "by hand", 1))
        self.assertEqual(settled, reads.get(self.connection, "e1-1"))
        self.assertEqual(self.balance(), {"cancelled": 1})

    def test_cancelled_but_delivered_is_delivered(self) -> None:
        """
        An attempt that succeeded after the operator cancelled is the truth.
        """
        self.pending("e1")
        delivery = reads.get(self.connection, "e1-1")
        assert delivery is not None
        writes.cancel(self.connection, delivery, "by hand", 1001.0)
        writes.settle(self.connection, "e1-1", State.DELIVERED, "delivered", 1002.0, attempt(ok=True))
        self.assertEqual(self.balance(), {"delivered": 1})

    def test_delivered_stays_delivered(self) -> None:
        """
        A second attempt that fails, or succeeds as well, takes nothing back.
        """
        self.pending("e1")
        writes.settle(self.connection, "e1-1", State.DELIVERED, "first", 1002.0, attempt(ok=True))
        writes.settle(self.connection, "e1-1", State.DEAD, "exhausted", 1003.0, attempt())
        settled = writes.settle(self.connection, "e1-1", State.DELIVERED, "second", 1004.0, attempt(ok=True))
        self.assertEqual((settled.state, settled.reason, settled.attempts), (State.DELIVERED, "first", 3))

    def test_only_what_may_be_sent_keeps_its_picture(self) -> None:
        """
        A picture goes with the end of its delivery, except that the dead keep theirs.
        """
        for state in State:
            if state.is_final:
                name = self.pending(state.value, picture=b"png")
                writes.settle(self.connection, name, state, "", 1002.0)
                delivery = reads.load(self.connection, name)
                assert delivery is not None
                self.assertEqual(delivery.picture, b"png" if state is State.DEAD else None)

    def test_unknown_delivery(self) -> None:
        """
        To settle what does not exist is an error that names it.
        """
        with self.assertRaisesRegex(LookupError, "nothing-1"):
            writes.settle(self.connection, "nothing-1", State.DEAD, "", 1002.0)

    def test_load_of_nothing(self) -> None:
        """
        To load what does not exist answers with nothing.
        """
        self.assertIsNone(reads.load(self.connection, "nothing-1"))


class RetryTests(OperationsCase):
    """
    An operator's second chance.
    """

    def retry(self, name: str, now: float) -> State:
        delivery = reads.get(self.connection, name)
        assert delivery is not None
        revived = writes.retry(self.connection, delivery, now)
        self.assertEqual(revived, reads.get(self.connection, name))
        return revived.state

    def test_begins_anew(self) -> None:
        """
        A dead delivery is pending at once, as if just accepted, with its payload, its picture and its history.
        """
        self.pending("e1", picture=b"png")
        writes.settle(self.connection, "e1-1", State.DEAD, "exhausted", 1001.0, attempt())
        self.assertEqual(self.retry("e1-1", 50000.0), State.PENDING)
        delivery = reads.load(self.connection, "e1-1")
        assert delivery is not None
        self.assertEqual((delivery.attempts, delivery.accepted_at, delivery.reason), (0, 50000.0, ""))
        self.assertEqual(delivery.picture, b"png")
        self.assertEqual(reads.due(self.connection, "a", None, 9), [Due(50000.0, "e1-1")])
        writes.settle(self.connection, "e1-1", State.DELIVERED, "", 50001.0, attempt(ok=True))
        self.assertEqual(reads.attempts(self.connection, "e1-1"), (attempt(), attempt(ok=True)))
        self.assertEqual(self.balance(), {"delivered": 1})

    def test_without_payload(self) -> None:
        """
        A delivery that ended before it had a payload is to be prepared again.
        """
        self.accept("e1", "a")
        writes.settle(self.connection, "e1-1", State.FILTERED, "no tag matches", 1001.0)
        self.assertEqual(self.retry("e1-1", 2000.0), State.ACCEPTED)
        self.assertEqual(self.balance(), {"accepted": 1})


class QueueTests(OperationsCase):
    """
    Places in line.
    """

    def test_destinations_with_something_pending(self) -> None:
        """
        Each destination with a pending delivery is named once, others not at all.
        """
        self.assertEqual(reads.destinations(self.connection), [])
        for name, destination in {"e1": "b", "e2": "a", "e3": "b", "e4": "c"}.items():
            self.pending(name, destination)
        self.accept("e5", "d")
        writes.settle(self.connection, "e4-1", State.DEAD, "", 1001.0)
        self.assertEqual(reads.destinations(self.connection), ["a", "b"])

    def test_next_due(self) -> None:
        """
        The first moment at which something was due, accepted or pending, to whomever; none when all has ended.
        """
        self.assertIsNone(reads.next_due(self.connection))
        self.pending("e1", "b", at=1003.0)
        self.pending("e2", "a", at=1002.0)
        self.assertEqual(reads.next_due(self.connection), 1002.0)
        self.assertIsNone(reads.next_due(self.connection, lambda _: False), "nothing that is suspended is overdue")
        self.accept("e3", "c")
        self.accept("e4", "c", at=1009.0)
        self.assertEqual(reads.next_due(self.connection), 1000.0)
        for name in ("e1", "e2", "e3", "e4"):
            writes.settle(self.connection, f"{name}-1", State.CANCELLED, "", 1001.0)
        self.assertIsNone(reads.next_due(self.connection))

    def test_pages_follow_each_other(self) -> None:
        """
        Page after page lists every pending delivery of a destination once, in order, those due at one moment too.
        """
        for number in range(10):
            self.pending(f"e{number}", at=1000.0 + number // 4)
        self.pending("other", "b")
        everything = reads.due(self.connection, "a", None, 99)
        self.assertEqual(everything, sorted(everything))
        self.assertEqual(len(everything), 10)
        pages: list[Due] = []
        while page := reads.due(self.connection, "a", pages[-1] if pages else None, 3):
            pages += page
        self.assertEqual(pages, everything)

    def test_outcomes_in_order_of_their_attempts(self) -> None:
        """
        The last outcomes come oldest first, each delivery once, as it stands now, with its last attempt.
        """
        for name in ("e1", "e2", "e3", "e4"):
            self.pending(name)
        for number, name in enumerate(("e1", "e2", "e3", "e1")):
            writes.settle(
                self.connection, f"{name}-1", State.PENDING, "http_503", 1001.0, attempt(status=500 + number), 2000.0
            )
        writes.settle(self.connection, "e2-1", State.EXPIRED, "too old", 1005.0)
        found = reads.outcomes(self.connection, 2)
        self.assertEqual([outcome.delivery.id for outcome in found], ["e3-1", "e1-1"])
        delivery = reads.get(self.connection, "e1-1")
        assert delivery is not None
        self.assertEqual(found[1], Outcome(delivery=delivery, attempt=attempt(status=503), at=1001.0))
        self.assertEqual(reads.outcomes(self.connection, 3)[0].delivery.state, State.EXPIRED)

    def test_numbers_are_remembered(self) -> None:
        """
        The last value of a kind and key is there with its time, others are not.
        """
        self.assertIsNone(reads.recall(self.connection, "followers", "1"))
        writes.remember(self.connection, "followers", "1", 5, 1000.0)
        writes.remember(self.connection, "followers", "1", 6, 1001.0)
        self.assertEqual(reads.recall(self.connection, "followers", "1"), (6, 1001.0))
        self.assertIsNone(reads.recall(self.connection, "views", "1"))

    def test_many_numbers_are_remembered_until_they_are_forgotten(self) -> None:
        """
        The numbers of one kind are listed together; those that are forgotten are not, and others stay.
        """
        writes.remember(self.connection, "views", "a", 9, 1000.0)
        writes.remember_all(self.connection, "ids", {"a": 1, "b": 2, "c": 3}, 1001.0)
        writes.forget(self.connection, "ids", ["b", "unknown"])
        self.assertEqual(reads.recall_all(self.connection, "ids"), {"a": (1, 1001.0), "c": (3, 1001.0)})
        self.assertEqual(reads.recall_all(self.connection, "views"), {"a": (9, 1000.0)})


class PurgeTests(OperationsCase):
    """
    What is old goes, but stays counted.
    """

    def test_only_what_ended_long_ago(self) -> None:
        """
        Old ended deliveries go with their attempts, events and expired keys; what is recent or unfinished stays.
        """
        self.pending("old", picture=b"png")
        writes.settle(self.connection, "old-1", State.DEAD, "", 1001.0, attempt())
        self.pending("recent")
        writes.settle(self.connection, "recent-1", State.DELIVERED, "", 5000.0, attempt(ok=True))
        self.pending("unfinished")
        self.accept("wanted by nobody")
        self.assertFalse(writes.purge(self.connection, 2000.0, 8200.0, 100))
        counted = {
            table: self.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608
            for table in ("events", "deliveries", "attempts", "pictures", "keys")
        }
        self.assertEqual(counted, {"events": 2, "deliveries": 2, "attempts": 1, "pictures": 0, "keys": 0})
        self.assertEqual(self.balance(), {"dead": 1, "delivered": 1, "pending": 1})
        self.assertIsNone(reads.get(self.connection, "old-1"))

    def test_an_event_stays_while_any_of_its_deliveries_does(self) -> None:
        """
        An event goes with the last of its deliveries.
        """
        self.accept("e1", "a", "b")
        writes.settle(self.connection, "e1-1", State.FILTERED, "", 1001.0)
        writes.purge(self.connection, 2000.0, 2000.0, 100)
        self.assertEqual(reads.event(self.connection, "e1"), event("e1"))
        self.assertEqual(self.balance(), {"accepted": 1, "filtered": 1})

    def test_a_little_at_a_time(self) -> None:
        """
        No more than the limit goes at once, and the answer says whether to go on.
        """
        for number in range(5):
            self.accept(f"e{number}", "a")
            writes.settle(self.connection, f"e{number}-1", State.EXPIRED, "", 1001.0)
        rounds = 1
        while writes.purge(self.connection, 2000.0, 9000.0, 2):
            rounds += 1
        self.assertEqual(reads.seen(self.connection, 0.0), [])
        self.assertEqual(list(reads.events(self.connection)), [])
        self.assertEqual(self.balance(), {"expired": 5})
        self.assertEqual(rounds, 8)


class AccountingTests(OperationsCase):
    """
    The conservation law can be broken, and is seen to be.
    """

    def test_a_lost_delivery_is_missed(self) -> None:
        """
        A delivery that vanishes without having ended leaves an imbalance.
        """
        self.accept("e1", "a", "b")
        self.connection.execute("DELETE FROM deliveries WHERE id = 'e1-2'")
        self.assertEqual(reads.accounting(self.connection).imbalance, 1)

    def test_a_delivery_nobody_wanted_is_noticed(self) -> None:
        """
        A delivery that appears from nowhere leaves an imbalance.
        """
        self.accept("e1", "a")
        writes.insert_deliveries(self.connection, [evolve(deliveries(event("e1"), "b")[0], id="e1-2")])
        self.assertEqual(reads.accounting(self.connection).imbalance, -1)

    def test_a_copy_has_an_id_of_its_own(self) -> None:
        """
        The number after the largest, though a delivery of the event was removed meanwhile.
        """
        self.accept("e1", "a", "b")
        self.connection.execute("DELETE FROM deliveries WHERE id = 'e1-1'")
        writes.prepare(self.connection, "e1-2", b"{}", None, 1000.0)
        left = reads.get(self.connection, "e1-2")
        assert left is not None
        self.assertEqual(writes.resend(self.connection, left, 2000.0).id, "e1-3")


class PlanTests(OperationsCase):
    """
    Nothing that is asked while the daemon runs walks through the whole journal.
    """

    def test_a_hundred_thousand_pending(self) -> None:
        """
        With 100,000 deliveries pending, every question is answered through an index.
        """
        self.accept("e1")
        self.connection.execute(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)"
            " INSERT INTO deliveries (id, event_id, streamer, destination, accepted_at, next_attempt_at, state, body)"
            " SELECT 'e1-' || i, 'e1', 'cool', 'a', 0, i, 'pending', x'7b7d' FROM n"
        )
        writes.count_wanted(self.connection, 100_000)
        self.connection.close()

        asked: list[str] = []
        self.connection = create(self.path)
        dedup_keys.known(self.connection, (), 0.0)
        self.connection.set_trace_callback(asked.append)
        self.assertEqual(reads.due(self.connection, "a", None, 1000)[-1], Due(1000.0, "e1-1000"))
        reads.due(self.connection, "a", Due(1000.0, "e1-1000"), 1000)
        self.assertEqual(reads.destinations(self.connection), ["a"])
        reads.unprepared(self.connection, 1e9, 1000)
        reads.outcomes(self.connection, 1000)
        self.assertEqual(self.balance(), {"pending": 100_000})
        reads.seen(self.connection, 0.0)
        writes.settle(self.connection, "e1-1", State.DELIVERED, "", 1.0, attempt(ok=True))
        writes.purge(self.connection, 1e9, 1e9, 100)
        for states in (UNDELIVERED, *((state,) for state in State if state.is_final)):
            reads.deliveries(self.connection, states, None, None, 10)
        self.connection.set_trace_callback(None)

        # One row for each state, destination and temporary table; of the keys, the expired go within the hour.
        small = {"states", "found", "keys", "temp.sqlite_schema"}
        for statement in asked:
            if not statement.startswith("--"):
                plan = self.connection.execute("EXPLAIN QUERY PLAN " + statement.replace("-Inf", "-1e999"))
                steps = [step["detail"].split() for step in plan]
                self.assertEqual([step for step in steps if step[0] == "SCAN" and step[1] not in small], [], statement)
        self.assertGreater(len(asked), 12)
