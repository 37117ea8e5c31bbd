"""
Tests for :mod:`itsjustintv.delivery.report`.
"""

from __future__ import annotations

from attrs import evolve
from twisted.logger import LogEvent, Logger, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.delivery.report import report
from itsjustintv.model import Attempt, Delivery, Outcome, State

BEFORE = Delivery(
    id="event1-1",
    event_id="event1",
    streamer="tanuki",
    destination="main",
    accepted_at=1000.0,
    next_attempt_at=1000.0,
    state=State.PENDING,
)
FAILED = Attempt(ok=False, reason="5xx", detail="main answered 503.", started_at=1000.0, duration=0.1)


class ReportTests(SynchronousTestCase):
    """
    What an operator reads of a delivery.
    """

    def said(self, wait: float) -> tuple[str, object]:
        """
        The line about a failed attempt with so many seconds to the next, and the field that says so.
        """
        events: list[LogEvent] = []
        after = evolve(BEFORE, attempts=1, reason="5xx", next_attempt_at=1000.0 + wait)
        report(
            Logger("test", observer=events.append), BEFORE, Outcome(delivery=after, attempt=FAILED, at=1000.0), 21600.0
        )
        (event,) = events
        return formatEvent(event), float(event["delay"])

    def test_the_wait_is_never_cut(self) -> None:
        """
        Half a second is no 0 s, and one and a half no 1 s; programs read the number.
        """
        for wait, text in ((0.4, "400 ms"), (1.5, "1.5 s"), (30.0, "30 s"), (5400.0, "1 h 30 min")):
            with self.subTest(wait):
                line, delay = self.said(wait)
                self.assertTrue(line.endswith(f"main answered 503. Trying again in {text}"), line)
                self.assertAlmostEqual(wait, float(str(delay)))

    def test_how_old_is_too_old(self) -> None:
        """
        The end for its age has the age, the limit, and what sends it all the same.
        """
        events: list[LogEvent] = []
        after = evolve(BEFORE, state=State.EXPIRED, reason="too old to be news")
        outcome = Outcome(delivery=after, attempt=None, at=1000.0 + 21660.0)
        report(Logger("test", observer=events.append), BEFORE, outcome, 21600.0)
        line = formatEvent(events[0])
        self.assertIn("does not go to main: accepted 6 h 1 min ago (limit 6 h).", line)
        self.assertTrue(line.endswith("itsjustintv deliveries retry event1-1"), line)
