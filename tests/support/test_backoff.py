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
from itsjustintv.support.backoff import KeyedBackoff, RetryingTask, exponential, varied


class PauseTests(SynchronousTestCase):
    """
    The lengths of pauses.
    """

    def test_exponential(self) -> None:
        """
        Each pause is a multiple of the one before it, up to the longest, however many there were.
        """
        self.assertEqual([exponential(each, 1.0, 7.0) for each in (0, 1, 2, 3, 10**9)], [1.0, 2.0, 4.0, 7.0, 7.0])
        self.assertEqual(exponential(5, 3.0, 7.0, 1.0), 3.0)
        self.assertEqual(exponential(100, 1e300, 7.0, 1e10), 7.0)

    def test_varied(self) -> None:
        """
        A pause is as much longer as shorter at the most.
        """
        self.assertEqual([varied(10.0, 0.5, lambda random=each: random) for each in (0.0, 0.5, 1.0)], [5.0, 10.0, 15.0])


class KeyedBackoffTests(SynchronousTestCase):
    """
    A pause for each key.
    """

    def test_pauses(self) -> None:
        """
        They grow with the attempts up to an hour, each for itself, and begin anew after a reset.
        """
        clock = Clock()
        backoff = KeyedBackoff(clock, lambda: 1.0)
        pauses = []
        for _ in range(8):
            backoff.attempted("a")
            pauses.append(round(backoff.remaining("a")))
        self.assertEqual(pauses, [66, 132, 264, 528, 1056, 2112, 3960, 3960])
        self.assertEqual((backoff.attempts("a"), backoff.attempts("b"), backoff.remaining("b")), (8, 0, 0.0))
        clock.advance(4000.0)
        self.assertEqual(backoff.remaining("a"), 0.0)
        backoff.reset("a")
        backoff.attempted("a")
        self.assertEqual(round(backoff.remaining("a")), 66)

    def test_forgotten(self) -> None:
        """
        Keys that are not retained are forgotten, and all of them when it is cleared.
        """
        backoff = KeyedBackoff(Clock(), lambda: 0.0)
        for key in "abc":
            backoff.attempted(key)
        backoff.retain(["a", "b", "d"])
        self.assertEqual([backoff.attempts(key) for key in "abcd"], [1, 1, 0, 0])
        backoff.clear()
        self.assertEqual(backoff.remaining("a"), 0.0)


class RetryingTaskTests(SynchronousTestCase):
    """
    Done in the end, and once for each time it is asked for.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.begun: list[float] = []
        self.outcome: Callable[[], Deferred[None] | None] = lambda: None
        self.task = RetryingTask(self.clock, "do it", self.work, lambda: 0.0)

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
            self.task.run()
            self.clock.pump([1.0, 1.0, 3.0, 1.0])
            self.outcome = lambda: None
            self.clock.pump([7.0, 1.0, 1000.0])
            self.assertEqual([at - start for at in self.begun], [0.0, 2.0, 6.0, 14.0])

    def test_twitch_may_ask_for_a_longer_pause(self) -> None:
        """
        What Twitch asks for counts when it is more than the pause that is due, and not when it is less.
        """
        self.fails(TwitchUnavailable("later", retry_after=3.0))
        self.task.run()
        self.clock.pump([2.0, 1.0, 3.0, 1.0])
        self.assertEqual(self.begun, [0.0, 3.0, 7.0])

    def test_an_error_nobody_foresaw_does_not_end_it(self) -> None:
        """
        A defect is logged with its traceback, and the task goes on.
        """
        self.fails(ZeroDivisionError("a defect"))
        self.task.run()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertIn("an unexpected error, see the log", self.task.problem() or "")
        self.outcome = lambda: None
        self.clock.advance(300.0)
        self.assertEqual(len(self.begun), 2)
        self.assertIsNone(self.task.problem())

    def test_one_at_a_time(self) -> None:
        """
        Asked for while it is under way, however often, it is done once more afterwards.
        """
        first: Deferred[None] = Deferred()
        self.outcome = lambda: first
        self.task.run()
        self.task.run()
        self.task.run()
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
        self.task.run()
        self.clock.advance(1.0)
        self.task.run()
        self.clock.pump([1.0, 2.0, 1.0])
        self.assertEqual(self.begun, [0.0, 1.0, 5.0])

    def test_stopped(self) -> None:
        """
        A stop ends the pause and what is under way, silently; it can be begun again.
        """
        self.fails(TwitchUnavailable("away"))
        self.task.run()
        self.task.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        cancelled: list[object] = []
        self.outcome = lambda: Deferred(cancelled.append)
        self.task.run()
        self.task.run()
        self.task.stop()
        self.assertEqual(len(cancelled), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.outcome = lambda: None
        self.task.run()
        self.assertEqual(len(self.begun), 3)

    def test_each_reason_is_said_once(self) -> None:
        """
        The same reason twice in a row is one warning, another one is another, and the success is told.
        """
        with capturedLogs() as logged:
            for reason in ("away", "away", "hanging"):
                self.fails(TwitchUnavailable(reason))
                self.task.run()
            self.assertEqual(self.task.problem(), "cannot do it: hanging")
            self.outcome = lambda: None
            self.task.run()
            self.task.run()
        warned = [each["reason"] for each in logged if each["log_level"] is LogLevel.warn]
        self.assertEqual(warned, ["away", "hanging"])
        self.assertEqual([each["count"] for each in logged if each["log_level"] is LogLevel.info], [3])
        self.assertIsNone(self.task.problem())
