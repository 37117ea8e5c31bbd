"""
Tests of :mod:`itsjustintv.support.periodic_service`.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.errors import JournalUnavailable
from itsjustintv.support.periodic_service import PeriodicService


class PeriodicServiceTests(SynchronousTestCase):
    """
    On time, one call at a time, for as long as the service runs.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.calls: list[float] = []
        self.result: Any = None

    def work(self) -> Any:
        self.calls.append(self.clock.seconds())
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    def started(self, *, now: bool = True) -> PeriodicService:
        service = PeriodicService(self.clock, 10.0, "do it", self.work, now=now)
        service.startService()
        return service

    def test_on_time(self) -> None:
        """
        It is called at the start and then at each interval, until it is stopped; it can be started again.
        """
        service = self.started()
        self.clock.pump([9.0, 1.0, 10.0])
        self.assertEqual(self.calls, [0.0, 10.0, 20.0])
        self.successResultOf(service.stopService())
        self.clock.advance(100.0)
        self.assertEqual(self.calls, [0.0, 10.0, 20.0])
        service.startService()
        self.assertEqual(self.calls, [0.0, 10.0, 20.0, 120.0])

    def test_later(self) -> None:
        """
        The first call can be that of the end of the first interval.
        """
        self.started(now=False)
        self.assertEqual(self.calls, [])
        self.clock.pump([10.0, 10.0])
        self.assertEqual(self.calls, [10.0, 20.0])

    def test_one_at_a_time(self) -> None:
        """
        A call that takes long is not joined by another, and the next one is at the next interval after it.
        """
        self.result = Deferred()
        self.started()
        self.clock.advance(25.0)
        self.assertEqual(self.calls, [0.0])
        self.result.callback(None)
        self.clock.advance(5.0)
        self.assertEqual(self.calls, [0.0, 30.0])

    def test_stop_cancels(self) -> None:
        """
        The stop cancels the call under way without a word, and nothing is called after that.
        """
        self.result = Deferred()
        service = self.started()
        self.successResultOf(service.stopService())
        self.assertTrue(self.result.called)
        self.clock.advance(100.0)
        self.assertEqual(self.calls, [0.0])

    def test_stop_waits(self) -> None:
        """
        The stop has ended when the call has, should that take longer.
        """
        last: Deferred[None] = Deferred()

        async def work() -> None:
            try:
                await Deferred()
            finally:
                await last

        service = PeriodicService(self.clock, 10.0, "do it", work)
        service.startService()
        stopping = service.stopService()
        self.assertNoResult(stopping)
        last.callback(None)
        self.successResultOf(stopping)

    def test_problem(self) -> None:
        """
        It says why nothing is called any more.
        """
        service = PeriodicService(self.clock, 10.0, "do it", self.work)
        self.assertEqual(service.problem(), "not running")
        service.startService()
        self.assertIsNone(service.problem())
        service._loop.stop()
        self.assertEqual(service.problem(), "the loop has ended")

    def test_failures(self) -> None:
        """
        An exception is logged with what could not be done and when it is tried again, whether it is raised at once or
        later; one of the journal is not, for the journal does that. The next call comes on time.
        """
        with capturedLogs() as logged:
            for result in (ZeroDivisionError("at once"), fail(ZeroDivisionError("later")), JournalUnavailable("away")):
                self.calls.clear()
                self.result = result
                service = self.started()
                self.result = None
                self.clock.advance(10.0)
                self.assertEqual(len(self.calls), 2)
                service.stopService()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        self.assertEqual({(each["what"], each["delay"]) for each in logged}, {("do it", 10.0)})

    def test_never_started(self) -> None:
        """
        What was never started can be stopped.
        """
        self.successResultOf(PeriodicService(self.clock, 10.0, "do it", self.work).stopService())
