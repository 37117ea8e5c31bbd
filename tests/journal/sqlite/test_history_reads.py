"""
Tests of :mod:`itsjustintv.journal.sqlite.history_reads`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attrs import evolve

from itsjustintv.journal.history import HistoryFilter, Place
from itsjustintv.journal.sqlite import history_reads, operations, reads, writes
from itsjustintv.model import UNDELIVERED, State
from tests.journal import values
from tests.journal.sqlite.test_writes import OperationsCase
from tests.journal.sqlite.values import accept
from tests.journal.values import attempt, event


class EventsTests(OperationsCase):
    """
    What happened, the latest first.
    """

    def test_an_event_with_all_that_was_tried(self) -> None:
        """
        An event comes with its deliveries, when they ended, and every attempt in order.
        """
        self.accept("e1", "a", "b")
        writes.prepare(self.connection, "e1-1", b'{"id":"e1"}', None, 1001.0)
        writes.settle(self.connection, "e1-1", State.PENDING, "http_503", 1002.0, attempt(), 1032.0)
        writes.settle(self.connection, "e1-1", State.DELIVERED, "delivered", 1033.0, attempt(ok=True))
        story = history_reads.event(self.connection, "e1")
        assert story is not None
        self.assertEqual(story.event, event("e1"))
        first, second = story.deliveries
        self.assertEqual((first.delivery.state, first.finished_at), (State.DELIVERED, 1033.0))
        self.assertEqual(first.attempts, (attempt(), attempt(ok=True)))
        self.assertEqual(first.delivery.body, b'{"id":"e1"}')
        self.assertEqual((second.delivery.state, second.finished_at, second.attempts), (State.ACCEPTED, None, ()))
        [whole], _ = history_reads.events(self.connection, None, 9)
        self.assertEqual(whole, story)
        one = history_reads.delivery(self.connection, "e1-1")
        assert one is not None
        self.assertEqual((one.event, one.deliveries), (story.event, (first,)))

    def test_what_is_not_there(self) -> None:
        """
        An event or delivery that nobody knows is ``None``.
        """
        self.assertIsNone(history_reads.event(self.connection, "e1"))
        self.assertIsNone(history_reads.delivery(self.connection, "e1-1"))
        self.assertEqual(history_reads.events(self.connection, None, 9), ([], None))

    def test_a_list_in_parts(self) -> None:
        """
        Read in parts of any size it is the same list, the latest first, also where two came at the same time.
        """
        for number in range(7):
            self.accept(f"e{number}", at=1000.0 + number // 2)
        for limit in (1, 2, 3, 7, 8):
            found, after = [], None
            while True:
                part, after = history_reads.events(self.connection, after, limit)
                found += [each.event.id for each in part]
                if after is None:
                    break
            self.assertEqual(found, [f"e{number}" for number in reversed(range(7))], limit)


class FilteredEventsTests(OperationsCase):
    """
    Events that are looked for.
    """

    def setUp(self) -> None:
        super().setUp()
        for number in range(12):
            key = ("tanuki", "kitsune", "mujina")[number % 3]
            news = event(
                f"e{number:02}",
                received_at=1000.0 + number // 2,
                broadcaster_login=f"login_of_{key}",
                broadcaster_name=f"NAME {key.upper()} \u00df",
                broadcaster_id=str(number % 3),
            )
            where = ("a", "b") if number % 2 else ("a",)
            wanted = [evolve(each, streamer=key) for each in values.deliveries(news, *where)]
            accept(self.connection, news, wanted, 1000.0, 1000.0)
        for number, state in ((1, State.DEAD), (2, State.EXPIRED), (7, State.DEAD)):
            writes.prepare(self.connection, f"e{number:02}-1", b"{}", None, 1001.0)
            writes.settle(self.connection, f"e{number:02}-1", state, "x", 2000.0, attempt())

    def read(self, limit: int = 50, **filters: Any) -> list[int]:
        """
        The whole list, in parts of a size.
        """
        found: list[int] = []
        after: Place | None = None
        while True:
            part, after = history_reads.events(self.connection, after, limit, HistoryFilter(**filters))
            self.assertLessEqual(len(part), limit)
            found += [int(each.event.id[1:]) for each in part]
            if after is None:
                return found

    def test_filters(self) -> None:
        """
        By any name of a streamer, by destination and by state, and by all of them together: of one and the same
        delivery. Parts of any size make the same list.
        """
        for filters, expected in (
            ({}, [*range(11, -1, -1)]),
            ({"streamer": "tanuki"}, [9, 6, 3, 0]),
            ({"streamer": "LOGIN_OF_TAN"}, [9, 6, 3, 0]),
            ({"streamer": "name kitsune ss"}, [10, 7, 4, 1]),
            ({"streamer": "2"}, [11, 8, 5, 2]),
            ({"streamer": "%"}, []),
            ({"destination": "b"}, [11, 9, 7, 5, 3, 1]),
            ({"destination": "B"}, []),
            ({"states": (State.DEAD,)}, [7, 1]),
            ({"states": UNDELIVERED}, [7, 2, 1]),
            ({"states": UNDELIVERED, "destination": "b"}, []),
            ({"states": UNDELIVERED, "destination": "a", "streamer": "kitsune"}, [7, 1]),
            ({"states": (State.ACCEPTED,), "destination": "b", "streamer": "tanuki"}, [9, 3]),
        ):
            for limit in (1, 2, 3, 50):
                self.assertEqual(self.read(limit, **filters), expected, (filters, limit))

    def test_so_much_at_a_time(self) -> None:
        """
        However rare what is looked for, only so many events are read at a time; the list then says where it goes on.
        """
        self.patch(history_reads, "_MOST_EVENTS", 5)
        part, after = history_reads.events(self.connection, None, 50, HistoryFilter(states=(State.EXPIRED,)))
        self.assertEqual((part, bool(after)), ([], True))
        self.assertEqual(self.read(states=(State.EXPIRED,)), [2])

    def test_it_reads_no_more_than_that(self) -> None:
        """
        Neither the beginning nor the end of a long list is sorted or scanned: each step is one of an index.
        """
        asked: list[str] = []
        self.connection.set_trace_callback(asked.append)
        history_reads.events(
            self.connection, (1003.0, "e07"), 5, HistoryFilter(states=UNDELIVERED, streamer="x", destination="a")
        )
        self.connection.set_trace_callback(None)
        for statement in asked:
            for row in self.connection.execute(f"EXPLAIN QUERY PLAN {statement}"):
                self.assertNotRegex(row["detail"], "^SCAN|TEMP B-TREE", statement)


class DeliveriesTests(OperationsCase):
    """
    Deliveries by state, destination and streamer.
    """

    def setUp(self) -> None:
        super().setUp()
        for number in range(6):
            self.pending(f"e{number}", "ab"[number % 2], at=1000.0 + number)
        for number in (4, 1, 2):
            writes.settle(self.connection, f"e{number}-1", State.DEAD, "http_503", 2000.0 - number, attempt())
        self.accept("f0", "a", "b", at=3000.0)

    def read(self, limit: int, **filters: Any) -> list[str]:
        """
        The whole list, in parts of a size.
        """
        found: list[str] = []
        after: Place | None = None
        while True:
            part, after = history_reads.deliveries(self.connection, after, limit, HistoryFilter(**filters))
            self.assertLessEqual(len(part), limit)
            found += [each.delivery.id for each in part]
            if after is None:
                return found

    def test_each_list_has_its_order(self) -> None:
        """
        All come by acceptance and what has ended by its end, the latest first; what is pending by destination and time,
        what is accepted by time. Parts of any size make the same list.
        """
        for limit in (1, 2, 3, 50):
            self.assertEqual(self.read(limit), ["f0-2", "f0-1", "e5-1", "e4-1", "e3-1", "e2-1", "e1-1", "e0-1"], limit)
            self.assertEqual(self.read(limit, states=(State.DEAD,)), ["e1-1", "e2-1", "e4-1"], limit)
            self.assertEqual(self.read(limit, states=(State.PENDING,)), ["e0-1", "e3-1", "e5-1"], limit)
            self.assertEqual(self.read(limit, states=(State.ACCEPTED,)), ["f0-1", "f0-2"], limit)
            self.assertEqual(self.read(limit, states=(State.DELIVERED,)), [], limit)

    def test_the_undelivered_are_one_list(self) -> None:
        """
        The dead and the expired come in one list by their end, whatever the parts, and are counted together.
        """
        writes.settle(self.connection, "e3-1", State.EXPIRED, "too old to be news", 1997.0)
        writes.settle(self.connection, "e5-1", State.DELIVERED, "delivered", 1997.5)
        for limit in (1, 2, 3, 50):
            self.assertEqual(self.read(limit, states=UNDELIVERED), ["e1-1", "e2-1", "e3-1", "e4-1"], limit)
        self.assertEqual(self.read(2, states=UNDELIVERED, destination="b"), ["e1-1", "e3-1"])
        self.assertEqual(reads.undelivered(self.connection), 4)

    def test_filters(self) -> None:
        """
        Filters can be put together; nobody's name is part of the statement.
        """
        self.assertEqual(self.read(2, destination="b"), ["f0-2", "e5-1", "e3-1", "e1-1"])
        self.assertEqual(self.read(2, destination="b", states=(State.DEAD,)), ["e1-1"])
        self.assertEqual(self.read(50, streamer="cool"), self.read(50))
        self.assertEqual(self.read(50, streamer="' OR 1 --"), [])

    def test_a_filter_looks_at_so_much_at_a_time(self) -> None:
        """
        However rare what is looked for, only so many rows are read at a time; the list then says where it goes on.
        """
        self.patch(history_reads, "_MOST_ROWS", 3)
        part, after = history_reads.deliveries(self.connection, None, 50, HistoryFilter(destination="c"))
        self.assertEqual((part, bool(after)), ([], True))
        self.assertEqual(self.read(50, streamer="cool", destination="b"), ["f0-2", "e5-1", "e3-1", "e1-1"])

    def test_no_list_sorts(self) -> None:
        """
        Every order is that of an index, so that a full journal costs no more than an empty one.
        """
        asked: list[str] = []
        self.connection.set_trace_callback(asked.append)
        after: dict[State | None, Place] = {None: (5,), State.PENDING: ("a", 1.0, "x"), State.ACCEPTED: (1.0, "x")}
        for state in (None, *State):
            states = () if state is None else (state,)
            history_reads.deliveries(self.connection, None, 5, HistoryFilter(states=states))
            history_reads.deliveries(self.connection, after.get(state, (1.0, 5)), 5, HistoryFilter(states=states))
        history_reads.deliveries(self.connection, None, 5, HistoryFilter(states=UNDELIVERED))
        history_reads.deliveries(self.connection, (1.0, 5), 5, HistoryFilter(states=UNDELIVERED))
        history_reads.events(self.connection, (1000.0, "e1"), 5)
        history_reads.version(self.connection)
        history_reads.backlogs(self.connection)
        self.connection.set_trace_callback(None)
        for statement in asked:
            for row in self.connection.execute(f"EXPLAIN QUERY PLAN {statement}"):
                self.assertNotIn("TEMP B-TREE", row["detail"], statement)

    def test_no_payload_in_a_list(self) -> None:
        """
        A list does not read payloads, which are most of the file.
        """
        part, _ = history_reads.deliveries(self.connection, None, 50)
        self.assertEqual({each.delivery.body for each in part}, {b""})

    def test_what_waits(self) -> None:
        """
        What is pending is counted for each destination, with the moment at which the first of it is due.
        """
        found = {each.destination: (each.count, each.next_at) for each in history_reads.backlogs(self.connection)}
        self.assertEqual(found, {"a": (1, 1000.0), "b": (2, 1003.0)})


class MarkTests(OperationsCase):
    """
    Whether anything is different.
    """

    def test_everything_that_happens_shows(self) -> None:
        """
        The mark is another one after an event, each step of a delivery, and what an operator does; else it is the same.
        """
        steps: Sequence[Callable[[], object]] = (
            lambda: self.accept("e0", at=999.0),
            lambda: self.pending("e1"),
            lambda: writes.settle(self.connection, "e1-1", State.PENDING, "timeout", 1001.0, attempt(), 1031.0),
            lambda: writes.settle(self.connection, "e1-1", State.DEAD, "timeout", 1002.0, attempt()),
            lambda: operations.retry(self.connection, "e1-1", 1003.0),
        )
        seen = [history_reads.version(self.connection)]
        for step in steps:
            step()
            seen.append(history_reads.version(self.connection))
            self.assertNotIn(seen[-1], seen[:-1])
            self.assertEqual(history_reads.version(self.connection), seen[-1])
