"""
Tests for :mod:`itsjustintv.support.services`.
"""

from __future__ import annotations

import contextlib
import errno
import sys
import time
from collections.abc import Callable
from io import StringIO
from queue import Empty, SimpleQueue
from threading import Event
from typing import Any

from attrs import define, field
from twisted.application.service import Application, MultiService, Service
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import ILogObserver, capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from itsjustintv.errors import CannotServe, JournalInUse
from itsjustintv.support.services import FileThreadPool, OrderedServices, RootService, StartWhenReady


@define(eq=False)
class Storey(Service):
    """
    A service that tells when it is started and stopped, and stops when it is let go.
    """

    name: str
    story: list[str]
    may_stop: Deferred[None] = field(factory=Deferred)

    def startService(self) -> None:
        """
        Start.
        """
        super().startService()
        self.story.append(f"{self.name} starts")

    def stopService(self) -> Deferred[None]:
        """
        Stop, some time.
        """
        super().stopService()
        self.story.append(f"{self.name} stops")
        return self.may_stop


@define(eq=False)
class Broken(Service):
    """
    A service that cannot be started.
    """

    error: Exception
    privileged: bool = False

    def privilegedStartService(self) -> None:
        """
        Fail, when that is where it fails.
        """
        if self.privileged:
            raise self.error

    def startService(self) -> None:
        """
        Fail.
        """
        raise self.error


class StoreysTests(SynchronousTestCase):
    """
    A house is built from the ground up and taken down from the top.
    """

    def setUp(self) -> None:
        """
        A house of two storeys.
        """
        self.story: list[str] = []
        self.house = OrderedServices()
        self.ground, self.upper = Storey("ground", self.story), Storey("upper", self.story)
        self.house.addService(self.ground)
        self.house.addService(self.upper)
        self.house.startService()

    def test_children_start_in_order(self) -> None:
        """
        The first child starts first.
        """
        self.assertEqual(self.story, ["ground starts", "upper starts"])

    def test_a_child_stops_only_when_the_one_above_has_stopped(self) -> None:
        """
        The ground stands until the upper storey is gone.
        """
        self.story.clear()
        stopped = self.house.stopService()
        self.assertEqual(self.story, ["upper stops"])
        self.upper.may_stop.callback(None)
        self.assertEqual(self.story, ["upper stops", "ground stops"])
        self.assertNoResult(stopped)
        self.ground.may_stop.callback(None)
        self.successResultOf(stopped)

    def test_a_child_that_fails_to_stop_does_not_keep_the_others_up(self) -> None:
        """
        A failure to stop is logged, and the children below are stopped all the same.
        """
        stopped = self.house.stopService()
        self.upper.may_stop.errback(ZeroDivisionError())
        self.ground.may_stop.callback(None)
        self.successResultOf(stopped)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class DaemonTests(SynchronousTestCase):
    """
    What an operator can meet at start is one line.
    """

    def setUp(self) -> None:
        """
        A failed start changes how the process tells of its end.
        """
        self.patch(sys, "excepthook", sys.excepthook)

    def daemon(self, child: Service) -> RootService:
        """
        A daemon with one child.
        """
        daemon = RootService(MemoryReactorClock())
        daemon.addService(child)
        return daemon

    def test_an_error_before_privileges_are_given_up_is_one_line_too(self) -> None:
        """
        Ports are bound before anything else, and what goes wrong there ends the process in the same way.
        """
        self.patch(sys, "__stderr__", StringIO())
        with self.assertRaises(CannotServe) as caught:
            self.daemon(Broken(CannotServe("the port is taken"), privileged=True)).privilegedStartService()
        sys.excepthook(CannotServe, caught.exception, None)
        self.assertEqual(sys.__stderr__.getvalue(), "itsjustintv: the port is taken\n")

    def test_a_named_error_is_one_line(self) -> None:
        """
        An error that this program has a name for ends the process with its text, on the real standard error.
        """
        self.patch(sys, "__stderr__", StringIO())
        with self.assertRaises(JournalInUse) as caught:
            self.daemon(Broken(JournalInUse("somebody else is here"))).startService()
        sys.excepthook(JournalInUse, caught.exception, None)
        self.assertEqual(sys.__stderr__.getvalue(), "itsjustintv: somebody else is here\n")

    def test_a_defect_is_not_hidden(self) -> None:
        """
        An error without a name keeps its traceback.
        """
        with self.assertRaises(ZeroDivisionError):
            self.daemon(Broken(ZeroDivisionError())).startService()


class _Reactor(MemoryReactorClock):  # type: ignore[misc]
    """
    One that can be called from threads.
    """

    def __init__(self) -> None:
        super().__init__()
        self.heard: SimpleQueue[Callable[[], object]] = SimpleQueue()

    def callFromThread(self, call: Callable[..., object], *args: object, **more: object) -> None:
        self.heard.put(lambda: call(*args, **more))

    def heed(self, seconds: float) -> None:
        """
        Wait for a call from a thread, and make it.
        """
        with contextlib.suppress(Empty):
            self.heard.get(timeout=seconds)()


class DiskThreadsTests(SynchronousTestCase):
    """
    Work on files, some of which never ends.
    """

    def setUp(self) -> None:
        self.reactor: Any = _Reactor()
        self.disk = FileThreadPool(self.reactor, patience=10.0)
        self.disk.startService()
        self.hung, self.begun = Event(), Event()
        self.addCleanup(self.hung.set)

    def hang(self) -> None:
        """
        Wait as a thread does for a network file system that does not answer.
        """
        self.begun.set()
        self.hung.wait()

    def test_a_stop_does_not_wait_for_ever(self) -> None:
        """
        After ten seconds of a stop whoever waits for a file hears that the disk does not answer, new work fails at
        once, the stop ends, and one line says so.
        """
        waiting = self.disk.run(self.hang)
        self.begun.wait()
        [(hurry, _, _)] = self.reactor.triggers["before"]["shutdown"]
        hurry()
        self.reactor.advance(9.9)
        stopped = self.disk.stopService()
        self.assertNoResult(waiting)
        self.assertNoResult(stopped)
        with capturedLogs() as events:
            self.reactor.advance(0.1)
        self.assertEqual(self.failureResultOf(waiting, OSError).value.errno, errno.ETIMEDOUT)
        self.successResultOf(stopped)
        self.failureResultOf(self.disk.run(self.hang), OSError)
        [event] = events
        self.assertEqual(event["count"], 1)

    def test_a_stop_ends_when_the_work_has(self) -> None:
        """
        Nothing is abandoned that ends in time, and nothing is left to do afterwards.
        """
        waiting = self.disk.run(self.hang)
        self.begun.wait()
        [(hurry, _, _)] = self.reactor.triggers["before"]["shutdown"]
        hurry()
        stopped = self.disk.stopService()
        self.assertNoResult(stopped)
        self.hung.set()
        end = time.monotonic() + 10
        while not stopped.called and time.monotonic() < end:
            self.reactor.heed(0.1)
        self.successResultOf(waiting)
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class LogTests(SynchronousTestCase):
    """
    The log of the application.
    """

    def test_of_an_application_without_one(self) -> None:
        """
        An application gets the daemon's log, unless it has one; a service that it is a part of gets none.
        """
        ours, theirs = (implementer(ILogObserver)(lambda event: None) for _ in range(2))
        for before, after in ((None, ours), (theirs, theirs)):
            application: Any = Application("x")
            if before is not None:
                application.setComponent(ILogObserver, before)
            RootService(MemoryReactorClock(), lambda: ours).setServiceParent(application)
            self.assertIs(application.getComponent(ILogObserver), after)
        RootService(MemoryReactorClock(), self.fail).setServiceParent(MultiService())


class AfterwardsTests(SynchronousTestCase):
    """
    What begins when what it needs is there.
    """

    def setUp(self) -> None:
        self.story: list[str] = []
        self.needs: list[Deferred[None]] = [Deferred(), Deferred()]
        self.afterwards = StartWhenReady(
            [lambda: self.needs[0], lambda: self.needs[1]],
            lambda: self.story.append("begins"),
            lambda: self.story.append("ends"),
        )
        self.afterwards.setName("it")

    def test_begins_when_everything_is_there(self) -> None:
        """
        It begins once, after the last need; and what has begun is ended at the stop.
        """
        self.afterwards.startService()
        self.needs[0].callback(None)
        self.assertEqual(self.story, [])
        self.needs[1].callback(None)
        self.assertEqual(self.story, ["begins"])
        self.successResultOf(self.afterwards.stopService())
        self.assertEqual(self.story, ["begins", "ends"])

    def test_stopped_before_it_began(self) -> None:
        """
        A stop ends the waiting, and nothing else.
        """
        self.afterwards.startService()
        self.successResultOf(self.afterwards.stopService())
        self.assertEqual(self.story, [])
        self.assertTrue(self.needs[0].called, "the wait was given up")

    def test_what_is_needed_may_be_something_else(self) -> None:
        """
        Whoever asks again waits for what is needed by now, also when the former was given up; what has begun, or was
        stopped, has nothing to wait for.
        """
        self.afterwards.startService()
        self.needs[0].callback(None)
        first, self.needs[1] = self.needs[1], Deferred()
        self.afterwards.again()
        self.assertTrue(first.called, "the wait was given up")
        self.needs[1].cancel()
        self.needs[1] = Deferred()
        self.afterwards.again()
        self.assertEqual(self.story, [])
        self.needs[1].callback(None)
        self.afterwards.again()
        self.assertEqual(self.story, ["begins"])
        self.successResultOf(self.afterwards.stopService())
        self.afterwards.again()
        self.assertEqual(self.story, ["begins", "ends"])

    def test_a_defect_is_told(self) -> None:
        """
        A need that fails is a defect, which is logged with the name of what could not begin.
        """
        self.afterwards.startService()
        self.needs[0].errback(RuntimeError("defect"))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(self.story, [])
