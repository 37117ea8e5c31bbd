"""
Tests of :mod:`itsjustintv.admin.recent_stats`.
"""

from __future__ import annotations

from attrs import evolve
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from itsjustintv.admin.recent_stats import RecentStats
from itsjustintv.errors import JournalUnavailable
from itsjustintv.interfaces import IOutcomeSink
from itsjustintv.model import Attempt, Outcome, State
from tests.journal.values import attempt, deliveries, event

NOW = 1_000_000_200.0  # the middle of a span


def outcome(state: State, at: float, took: float = 1.0, tried: Attempt | None = None, where: str = "a") -> Outcome:
    """
    A step in a delivery's life.
    """
    [delivery] = deliveries(event(), where, at=at - took)
    return Outcome(delivery=evolve(delivery, state=state), attempt=tried, at=at)


class HistoryTests(SynchronousTestCase):
    """
    The last day in numbers.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.history = RecentStats(self.clock, lambda _: succeed([]))
        verifyObject(IOutcomeSink, self.history)

    def test_counts_fall_into_their_minutes(self) -> None:
        """
        What was delivered, what failed and what was given up on is counted where it happened; the rest is 0.
        """
        self.history.record(outcome(State.DELIVERED, NOW, 2.0, attempt(ok=True)))
        self.history.record(outcome(State.PENDING, NOW - 300, tried=attempt()))
        self.history.record(outcome(State.DEAD, NOW - 300, tried=attempt()))
        self.history.record(outcome(State.EXPIRED, NOW - 300))
        self.history.record(outcome(State.CANCELLED, NOW))
        points = self.history.series(1800)
        self.assertEqual(
            [(p.delivered, p.failed, p.undelivered) for p in points], [(0, 0, 0)] * 4 + [(0, 2, 2), (1, 0, 0)]
        )
        self.assertEqual((points[-1].median, points[-2].median), (2.0, None))
        self.assertEqual((points[-1].at, points[-1].seconds), ("2001-09-09T01:50:00.000Z", 300))

    def test_slow_ones_show(self) -> None:
        """
        The median is that of most, and the slowest twentieth is told beside it.
        """
        for took in (*[0.2] * 18, 9.0, 10.0):
            self.history.record(outcome(State.DELIVERED, NOW, took, attempt(ok=True)))
        point = self.history.series(300)[-1]
        self.assertEqual((point.median, point.slow), (0.2, 10.0))

    def test_a_day_is_kept(self) -> None:
        """
        What is older than a day is forgotten, and no more than a day is told.
        """
        self.history.record(outcome(State.DELIVERED, NOW, tried=attempt(ok=True)))
        self.clock.advance(25 * 3600)
        self.history.record(outcome(State.DELIVERED, NOW + 25 * 3600, tried=attempt(ok=True)))
        points = self.history.series(99 * 3600)
        self.assertEqual((len(points), sum(point.delivered for point in points)), (288, 1))

    def test_the_last_attempt_at_a_destination(self) -> None:
        """
        The last attempt is remembered of each destination, and what ended without one changes nothing.
        """
        self.history.record(outcome(State.PENDING, NOW, tried=attempt()))
        self.history.record(outcome(State.DELIVERED, NOW + 1, tried=attempt(ok=True)))
        self.history.record(outcome(State.EXPIRED, NOW + 2))
        last = self.history.last("a")
        assert last is not None
        self.assertEqual((last.ok, last.status), (True, 204))
        self.assertIsNone(self.history.last("b"))

    def test_destinations_are_bounded(self) -> None:
        """
        Of very many destinations those that were attempted last are remembered.
        """
        self.patch(__import__("itsjustintv.admin.recent_stats", fromlist=["x"]), "_DESTINATIONS", 2)
        for where in "abac":
            self.history.record(outcome(State.PENDING, NOW, tried=attempt(), where=where))
        self.assertEqual([bool(self.history.last(each)) for each in "abc"], [True, False, True])

    def test_what_was_before_the_start(self) -> None:
        """
        After a start the last outcomes of the journal are there, and nothing counts twice.
        """
        reading: Deferred[list[Outcome]] = Deferred()
        history = RecentStats(self.clock, lambda _: reading)
        history.startService()
        after = outcome(State.DELIVERED, NOW + 1, tried=attempt(ok=True))
        self.clock.advance(1)
        history.record(after)
        reading.callback([outcome(State.DELIVERED, NOW - 1, tried=attempt(ok=True)), after])
        self.assertEqual(sum(point.delivered for point in history.series(3600)), 2)

    def test_a_journal_that_is_away(self) -> None:
        """
        When the journal cannot be read the day begins with the start.
        """
        history = RecentStats(self.clock, lambda _: fail(JournalUnavailable("away")))
        history.startService()
        self.assertEqual(len(self.flushLoggedErrors()), 0)
