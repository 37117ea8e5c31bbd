"""
Tests of :mod:`itsjustintv.support.backoff`.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.errors import JournalUnavailable, TwitchRejected, TwitchUnavailable
from itsjustintv.support.backoff import RetryingTask


class ErrandTests(SynchronousTestCase):
    """
    Done in the end, and once for each time it is asked for.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.begun: list[float] = []
        self.outcome: Callable[[], Deferred[None] | None] = lambda: None
        self.errand = RetryingTask(self.clock, "do it", self.work, lambda failures: 10.0 * 2**failures)

    async def work(self) -> None:
        self.begun.append(self.clock.seconds())
        waiting = self.outcome()
        if waiting is not None:
            await waiting

    def fails(self, error: Exception) -> None:
        def fail() -> None:
            raise error

        self.outcome = fail

    def test_a_failure_is_tried_again_until_it_works(self) -> None:
        """
        The pauses grow from failure to failure; a success ends it, and the next failure begins with the first pause.
        """
        for error in (TwitchUnavailable("away"), JournalUnavailable("full"), TwitchRejected("no", 403)):
            self.begun.clear()
            self.fails(error)
            start = self.clock.seconds()
            self.errand.go()
            self.clock.pump([9.0, 1.0, 19.0, 1.0])
            self.outcome = lambda: None
            self.clock.pump([39.0, 1.0, 1000.0])
            self.assertEqual([at - start for at in self.begun], [0.0, 10.0, 30.0, 70.0])

    def test_twitch_may_ask_for_a_longer_pause(self) -> None:
        """
        What Twitch asks for counts when it is more than the pause that is due, and not when it is less.
        """
        self.fails(TwitchUnavailable("later", retry_after=15.0))
        self.errand.go()
        self.clock.pump([14.0, 1.0, 15.0, 5.0])
        self.assertEqual(self.begun, [0.0, 15.0, 35.0])

    def test_an_error_nobody_foresaw_does_not_end_it(self) -> None:
        """
        A defect is logged with its traceback, and the errand goes on.
        """
        self.fails(ZeroDivisionError("a defect"))
        self.errand.go()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertIn("an unexpected error, see the log", self.errand.problem() or "")
        self.outcome = lambda: None
        self.clock.advance(300.0)
        self.assertEqual(len(self.begun), 2)
        self.assertIsNone(self.errand.problem())

    def test_one_at_a_time(self) -> None:
        """
        Asked for while it is under way, however often, it is done once more afterwards.
        """
        first: Deferred[None] = Deferred()
        self.outcome = lambda: first
        self.errand.go()
        self.errand.go()
        self.errand.go()
        self.clock.advance(100.0)
        self.assertEqual(self.begun, [0.0])
        self.outcome = lambda: None
        first.callback(None)
        self.clock.pump([0.0, 1000.0])
        self.assertEqual(self.begun, [0.0, 100.0])

    def test_asked_for_it_does_not_wait(self) -> None:
        """
        A pause ends when somebody asks, and the next one is not shortened by it.
        """
        self.fails(TwitchUnavailable("away"))
        self.errand.go()
        self.clock.advance(3.0)
        self.errand.go()
        self.clock.pump([7.0, 12.0, 1.0])
        self.assertEqual(self.begun, [0.0, 3.0, 23.0])

    def test_stopped(self) -> None:
        """
        A stop ends the pause and what is under way, silently; it can be begun again.
        """
        self.fails(TwitchUnavailable("away"))
        self.errand.go()
        self.errand.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        cancelled: list[object] = []
        self.outcome = lambda: Deferred(cancelled.append)
        self.errand.go()
        self.errand.go()
        self.errand.stop()
        self.assertEqual(len(cancelled), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.outcome = lambda: None
        self.errand.go()
        self.assertEqual(len(self.begun), 3)

    def test_each_reason_is_said_once(self) -> None:
        """
        The same reason twice in a row is one warning, another one is another, and the success is told.
        """
        with capturedLogs() as logged:
            for reason in ("away", "away", "hanging"):
                self.fails(TwitchUnavailable(reason))
                self.errand.go()
            self.assertEqual(self.errand.problem(), "cannot do it: hanging")
            self.outcome = lambda: None
            self.errand.go()
            self.errand.go()
        warned = [each["reason"] for each in logged if each["log_level"] is LogLevel.warn]
        self.assertEqual(warned, ["away", "hanging"])
        self.assertEqual([each["count"] for each in logged if each["log_level"] is LogLevel.info], [3])
        self.assertIsNone(self.errand.problem())
