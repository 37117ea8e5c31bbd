"""
Tests for :mod:`itsjustintv.delivery.attempt`.
"""

from __future__ import annotations

from attrs import evolve
from twisted.logger import LogEvent, Logger, LogLevel, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.delivery.attempt import report
from itsjustintv.model import UNDELIVERED, Action, Attempt, Delivery, Outcome, State

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
                self.assertTrue(line.endswith(f"main answered 503. Retrying in {text}"), line)
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
        self.assertIn("to main expired: accepted 6 h 1 min ago (limit 6 h).", line)
        self.assertTrue(line.endswith("itsjustintv deliveries retry event1-1"), line)

    def ended(self, state: State, attempt: Attempt | None, before: Delivery = BEFORE) -> str:
        """
        The line about an end.
        """
        events: list[LogEvent] = []
        after = evolve(before, state=state, reason="why")
        report(
            Logger("test", observer=events.append), before, Outcome(delivery=after, attempt=attempt, at=1000.0), 60.0
        )
        (event,) = events
        self.assertEqual(event["log_level"], LogLevel.warn)
        return formatEvent(event)

    def test_refreshed(self) -> None:
        """
        A refresh is not logged as the announcement was, also where it was rejected.
        """
        events: list[LogEvent] = []
        for state in (State.DELIVERED, State.SUPERSEDED):
            after = evolve(BEFORE, state=state, action=Action.REFRESH)
            outcome = Outcome(delivery=after, attempt=FAILED, at=1000.0)
            report(Logger("test", observer=events.append), BEFORE, outcome, 60.0)
        first, second = map(formatEvent, events)
        self.assertEqual(first, "refreshed the post of event1 of tanuki at main, attempt 0")
        self.assertEqual(second, "the post of event1 of tanuki at main stays as it is: main answered 503.")

    def test_each_undelivered_end_names_the_command(self) -> None:
        """
        What is dead or expired can be requeued, and the line says how, with or without an attempt.
        """
        for state in UNDELIVERED:
            for attempt in (FAILED, None):
                line = self.ended(state, attempt)
                self.assertTrue(line.endswith(": itsjustintv deliveries retry event1-1"), line)
        tried = evolve(BEFORE, attempts=3, reason="http_503")
        self.assertIn("The last attempt ended with http_503.", self.ended(State.EXPIRED, None, tried))
        self.assertIn("There was no attempt.", self.ended(State.EXPIRED, None))

    def test_the_receivers_own_words(self) -> None:
        """
        A failed attempt is told with the beginning of what the receiver said, on the same line.
        """
        said = evolve(FAILED, response="no such\nhook \x1b[2J" + "x" * 999)
        line = self.ended(State.DEAD, said)
        self.assertIn(r"main answered 503. It said: 'no such hook \x1b[2Jx", line)
        self.assertIn("xxx...'. To requeue it", line)
        self.assertLess(len(line), 400)
        self.assertNotIn("It said", self.ended(State.DEAD, FAILED))
