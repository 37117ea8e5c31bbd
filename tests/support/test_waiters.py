"""
Tests of :mod:`itsjustintv.support.waiters`.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.support.waiters import SingleFlight, Waiters


class WaitersTests(SynchronousTestCase):
    """
    Each one who waits is answered once.
    """

    def test_answer(self) -> None:
        """
        Everyone who waits gets the answer, a failure too, and nobody who comes later.
        """
        waiters: Waiters[int] = Waiters()
        waiting = [waiters.wait(), waiters.wait()]
        self.assertEqual(len(waiters), 2)
        waiters.answer(1)
        self.assertEqual([self.successResultOf(each) for each in waiting], [1, 1])
        later = waiters.wait()
        self.assertNoResult(later)
        waiters.answer(Failure(ZeroDivisionError()))
        self.failureResultOf(later, ZeroDivisionError)
        self.assertFalse(waiters)

    def test_cancelled(self) -> None:
        """
        Who gives up is forgotten, and the others are answered, even if one gives up on another's answer.
        """
        waiters: Waiters[int] = Waiters()
        first, second, third = waiters.wait(), waiters.wait(), waiters.wait()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        second.addCallback(lambda _: third.cancel())
        waiters.answer(1)
        self.successResultOf(second)
        self.failureResultOf(third, CancelledError)

    def test_during_the_answer(self) -> None:
        """
        Who begins to wait while others are answered waits for the next answer.
        """
        waiters: Waiters[int] = Waiters()
        again: list[Deferred[int]] = []
        waiters.wait().addCallback(lambda _: again.append(waiters.wait()))
        waiters.answer(1)
        self.assertNoResult(again[0])
        waiters.answer(2)
        self.assertEqual(self.successResultOf(again[0]), 2)

    def test_all_cancelled(self) -> None:
        """
        Every wait can be ended.
        """
        waiters: Waiters[int] = Waiters()
        failures: list[Failure] = []
        waiters.wait().addErrback(failures.append)
        waiters.wait()
        waiters.cancel()
        self.assertTrue(failures[0].check(CancelledError))
        self.assertFalse(waiters)


class SingleFlightTests(SynchronousTestCase):
    """
    Work that several ask for is done once.
    """

    def setUp(self) -> None:
        self.work: list[Deferred[int]] = []
        self.flights: SingleFlight[int] = SingleFlight()

    async def begin(self) -> int:
        self.work.append(Deferred())
        return await self.work[-1]

    def test_shared(self) -> None:
        """
        Those who ask for the same share its result, even if the first one gives up; those who ask afterwards do not.
        """
        first, second = self.flights.join("a", self.begin), self.flights.join("a", self.begin)
        other = self.flights.join("b", self.begin)
        self.assertEqual(len(self.work), 2)
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.work[0].callback(1)
        self.assertEqual(self.successResultOf(second), 1)
        self.assertNoResult(other)
        self.flights.join("a", self.begin)
        self.assertEqual(len(self.work), 3)

    def test_failure(self) -> None:
        """
        A failure is everyone's.
        """
        waiting = [self.flights.join("a", self.begin), self.flights.join("a", self.begin)]
        self.work[0].errback(ZeroDivisionError())
        for each in waiting:
            self.failureResultOf(each, ZeroDivisionError)
