"""
Tests for :mod:`itsjustintv.support.services`.
"""

from __future__ import annotations

import sys
from io import StringIO
from typing import Any

from attrs import define, field
from twisted.application.service import Application, MultiService, Service
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import ILogObserver
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from itsjustintv.errors import CannotServe, JournalInUse
from itsjustintv.support.services import OrderedServices, RootService, StartWhenReady


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


class OrderedServicesTests(SynchronousTestCase):
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


class RootServiceTests(SynchronousTestCase):
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


class StartWhenReadyTests(SynchronousTestCase):
    """
    What begins when what it needs is there.
    """

    def setUp(self) -> None:
        self.story: list[str] = []
        self.needs: list[Deferred[None]] = [Deferred(), Deferred()]
        self.service = StartWhenReady(
            [lambda: self.needs[0], lambda: self.needs[1]],
            lambda: self.story.append("begins"),
            lambda: self.story.append("ends"),
        )
        self.service.setName("it")

    def test_begins_when_everything_is_there(self) -> None:
        """
        It begins once, after the last need; and what has begun is ended at the stop.
        """
        self.service.startService()
        self.needs[0].callback(None)
        self.assertEqual(self.story, [])
        self.needs[1].callback(None)
        self.assertEqual(self.story, ["begins"])
        self.successResultOf(self.service.stopService())
        self.assertEqual(self.story, ["begins", "ends"])

    def test_stopped_before_it_began(self) -> None:
        """
        A stop ends the waiting, and nothing else.
        """
        self.service.startService()
        self.successResultOf(self.service.stopService())
        self.assertEqual(self.story, [])
        self.assertTrue(self.needs[0].called, "the wait was given up")

    def test_what_is_needed_may_be_something_else(self) -> None:
        """
        Whoever asks again waits for what is needed by now, also when the former was given up; what has begun, or was
        stopped, has nothing to wait for.
        """
        self.service.startService()
        self.needs[0].callback(None)
        first, self.needs[1] = self.needs[1], Deferred()
        self.service.refresh()
        self.assertTrue(first.called, "the wait was given up")
        self.needs[1].cancel()
        self.needs[1] = Deferred()
        self.service.refresh()
        self.assertEqual(self.story, [])
        self.needs[1].callback(None)
        self.service.refresh()
        self.assertEqual(self.story, ["begins"])
        self.successResultOf(self.service.stopService())
        self.service.refresh()
        self.assertEqual(self.story, ["begins", "ends"])

    def test_a_defect_is_told(self) -> None:
        """
        A need that fails is a defect, which is logged with the name of what could not begin.
        """
        self.service.startService()
        self.needs[0].errback(RuntimeError("defect"))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(self.story, [])
