"""
Tests of :mod:`itsjustintv.telemetry.metrics`.
"""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import fail, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from itsjustintv.errors import JournalUnavailable
from itsjustintv.interfaces import IOutcomeSink
from itsjustintv.model import Acceptance, Attempt, Outcome, State
from itsjustintv.telemetry.instruments import HistogramValue
from itsjustintv.telemetry.metrics import Metrics
from itsjustintv.telemetry.tracing import ApiCall
from tests.journal.values import attempt, deliveries, event

[DELIVERY] = deliveries(event(), "streamers.cool")


class MetricsTests(SynchronousTestCase):
    """
    What moves what.
    """

    def setUp(self) -> None:
        self.metrics = Metrics()
        self.before = self.values()

    def values(self) -> dict[tuple[str, ...], Any]:
        """
        Every value by its name, without what all have in common, and its labels.
        """
        return {
            (reading.family.name.removeprefix("itsjustintv."), *labels): value
            for reading in self.metrics.registry.read()
            for labels, value in reading.points
        }

    def moved(self) -> dict[tuple[str, ...], Any]:
        """
        What is not as it was: numbers as they are now, histograms as count and sum.
        """
        return {
            name: (sum(value.counts), value.sum) if isinstance(value, HistogramValue) else value
            for name, value in self.values().items()
            if value != self.before.get(name, 0)
        }

    def attempted(self, state: State, ended: Attempt, attempts: int = 1) -> Outcome:
        """
        An attempt on a delivery that was accepted at 1000.
        """
        return Outcome(delivery=evolve(DELIVERY, state=state, attempts=attempts), attempt=ended, at=1002.0)

    def test_is_a_sink(self) -> None:
        """
        It can be told of outcomes.
        """
        self.assertTrue(verifyObject(IOutcomeSink, self.metrics))

    def test_destinations_are_there_from_the_start(self) -> None:
        """
        Nothing was sent to a destination yet, and that can be read.
        """
        self.metrics.expect(["streamers.cool"])
        self.assertEqual(self.values()["attempts", "streamers.cool", "failed"], 0)

    def test_a_first_attempt_that_succeeds(self) -> None:
        """
        It counts as an attempt, its times are measured, and the delivery has ended.
        """
        self.metrics.record(self.attempted(State.DELIVERED, attempt(ok=True)))
        self.assertEqual(
            self.moved(),
            {
                ("attempts", "streamers.cool", "delivered"): 1,
                ("attempt.duration",): (1, 0.25),
                ("deliveries.ended", "delivered"): 1,
                ("event_to_first_attempt",): (1, 0.5),
                ("event_to_delivered",): (1, 2.0),
            },
        )

    def test_an_attempt_that_fails(self) -> None:
        """
        It counts under its reason, and the destination is failing until it takes something.
        """
        for ended, reason in (
            (attempt(), "http_5xx"),
            (attempt(status=404, reason="http_404"), "http_4xx"),
            (attempt(status=429, reason="http_429"), "rate_limited"),
            (attempt(status=410, reason="gone"), "gone"),
            (attempt(status=None, reason="timeout"), "timeout"),
        ):
            self.metrics.record(self.attempted(State.PENDING, ended, attempts=2))
            self.assertEqual(self.moved()["attempt.failures", reason], 1)
        self.assertEqual(self.moved()["attempts", "streamers.cool", "failed"], 5)
        self.assertNotIn(("event_to_first_attempt",), self.moved())
        self.assertEqual(self.metrics.failing, {"streamers.cool"})
        self.metrics.record(self.attempted(State.DELIVERED, attempt(ok=True), attempts=3))
        self.assertEqual(self.metrics.failing, set())

    def test_an_end_without_an_attempt(self) -> None:
        """
        What is filtered has ended, and nothing was attempted.
        """
        self.metrics.record(Outcome(delivery=evolve(DELIVERY, state=State.FILTERED), attempt=None, at=1001.0))
        self.assertEqual(self.moved(), {("deliveries.ended", "filtered"): 1})

    def test_calls(self) -> None:
        """
        A request to Helix counts by how it was answered.
        """
        for status, outcome in (
            (200, "ok"),
            (202, "ok"),
            (401, "unauthorized"),
            (404, "rejected"),
            (429, "rate_limited"),
            (503, "unavailable"),
            (None, "no_answer"),
        ):
            before = self.values()["helix.calls", "GET /users", outcome]
            self.metrics.called(ApiCall(method="GET", path="/users", started_at=0.0, duration=0.5, status=status))
            self.assertEqual(self.values()["helix.calls", "GET /users", outcome], before + 1)
        self.assertEqual(self.moved()["helix.call.duration",], (7, 3.5))

    def test_the_rest(self) -> None:
        """
        Messages, events, transactions and gaps are counted by what they are.
        """
        self.metrics.message("forged")
        for answer in (succeed(Acceptance.DUPLICATE), fail(JournalUnavailable("full"))):
            accepting = self.metrics.recovering(lambda _, answer=answer: answer)(event())  # type: ignore[misc]
            accepting.addErrback(lambda failure: failure.trap(JournalUnavailable))
        self.metrics.committed(3, 0.125)
        self.metrics.gap("user", "timeout")
        self.assertEqual(
            self.moved(),
            {
                ("messages", "forged"): 1,
                ("recovered", "duplicate"): 1,
                ("recovered", "unavailable"): 1,
                ("journal.operations",): 3,
                ("journal.commit.duration",): (1, 0.125),
                ("enrichment.gaps", "user", "timeout"): 1,
            },
        )
