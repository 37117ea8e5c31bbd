"""
Tests for :mod:`itsjustintv.delivery.stall_check`.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.delivery.stall_check import StallCheck
from itsjustintv.errors import JournalUnavailable


class BacklogTests(SynchronousTestCase):
    """
    Whether what is due is sent.
    """

    def setUp(self) -> None:
        """
        A backlog that looks at what this test says.
        """
        self.clock = Clock()
        self.clock.advance(1000)
        self.undelivered = 0
        self.answer: Deferred[float | None] = succeed(None)
        self.backlog = StallCheck(lambda: self.answer, lambda: succeed(self.undelivered), self.clock)
        self.backlog.startService()

    def look(self, answer: Deferred[float | None], seconds: float = 15) -> str | None:
        """
        Let it look at something, and ask it.
        """
        self.answer = answer
        self.clock.advance(seconds)
        return self.backlog.problem()

    def test_what_was_not_delivered(self) -> None:
        """
        The number of undelivered ones is that of the last look.
        """
        self.assertEqual(self.backlog.public(), {"undelivered": 0})
        self.undelivered = 4
        self.look(succeed(None))
        self.assertEqual(self.backlog.public(), {"undelivered": 4})

    def test_overdue(self) -> None:
        """
        It is a problem once something has been due for five minutes, and none when that has ended.
        """
        self.assertIsNone(self.backlog.problem())
        self.assertIsNone(self.look(succeed(800.0)))
        self.assertIsNone(self.look(succeed(2000.0)))
        self.assertEqual(self.look(succeed(700.0)), "a delivery has been due for 6 min (limit 5 min)")
        self.assertIsNone(self.look(succeed(None)))

    def test_grows_between_two_looks(self) -> None:
        """
        The time since the last look counts as well.
        """
        self.assertIsNone(self.look(succeed(720.0)))
        self.clock.advance(10)
        self.assertIsNotNone(self.backlog.problem())

    def test_a_journal_that_is_away(self) -> None:
        """
        What was due is still due while nobody can look; nor does a defect end the looking.
        """
        self.look(succeed(700.0))
        self.assertIsNotNone(self.look(fail(JournalUnavailable("full"))))
        self.assertIsNotNone(self.look(fail(ZeroDivisionError())))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertIsNone(self.look(succeed(None)))

    def test_stops(self) -> None:
        """
        Nothing is left when it has stopped.
        """
        self.backlog.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])
