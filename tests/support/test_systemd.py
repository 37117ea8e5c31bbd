"""
Tests for :mod:`itsjustintv.support.systemd`.
"""

from __future__ import annotations

import socket
from tempfile import TemporaryDirectory

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.support.systemd import SystemdNotifier, find_systemd, watchdog_interval


@define(eq=False)
class Ears:
    """
    A supervisor that remembers what it is told, unless it is deaf.
    """

    heard: list[str] = field(factory=list)
    deaf: bool = False

    def tell(self, message: str) -> None:
        if self.deaf:
            raise ConnectionRefusedError(111, "Connection refused")
        self.heard.append(message)


class SupervisorTests(SynchronousTestCase):
    """
    What a supervisor hears.
    """

    def setUp(self) -> None:
        """
        Put one above a daemon of which one part can die.
        """
        self.reactor = MemoryReactorClock()  # type: ignore[no-untyped-call]
        self.ears = Ears()
        self.died: str | None = None
        self.supervisor = self.above(self.ears)
        self.events: list[LogEvent] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)

    def above(self, ears: Ears, interval: float | None = 30.0) -> SystemdNotifier:
        """
        A supervisor over that daemon.
        """
        vitals = (("pipeline", lambda: self.died), ("journal", lambda: None))
        return SystemdNotifier(ears.tell, interval, vitals, self.reactor, lambda: 7_000_000)

    def run_reactor(self) -> None:
        """
        Let the reactor begin to run.
        """
        self.reactor.hasRun = True
        for function, arguments, keywords in self.reactor.whenRunningHooks:
            function(*arguments, **keywords)

    def lines(self, namespace: str = "itsjustintv.support.systemd.SystemdNotifier") -> list[str]:
        """
        What the log said.
        """
        return [str(event["log_format"]) for event in self.events if event["log_namespace"] == namespace]

    def test_ready_once_the_reactor_runs(self) -> None:
        """
        READY is said when the reactor runs, not when the services have started.
        """
        self.supervisor.startService()
        self.assertEqual(self.ears.heard, [])
        self.run_reactor()
        self.assertEqual(self.ears.heard[0], "READY=1")

    def test_a_daemon_that_stops_before_it_runs_is_never_ready(self) -> None:
        """
        After a stop nobody is told that the daemon is ready or alive.
        """
        self.supervisor.startService()
        self.supervisor.stopService()
        self.run_reactor()
        self.reactor.advance(100)
        self.assertEqual(self.ears.heard, ["STOPPING=1"])

    def test_signs_of_life(self) -> None:
        """
        WATCHDOG is said at once and then at every interval, until the daemon stops.
        """
        self.supervisor.startService()
        self.run_reactor()
        self.reactor.pump([30, 30])
        self.assertEqual(self.ears.heard, ["READY=1"] + 3 * ["WATCHDOG=1"])
        self.supervisor.stopService()
        self.reactor.pump([30, 30])
        self.assertEqual(self.ears.heard[4:], ["STOPPING=1"])

    def test_no_sign_of_life_is_asked_for(self) -> None:
        """
        Without an interval none is given.
        """
        quiet = self.above(self.ears, None)
        quiet.startService()
        self.run_reactor()
        self.reactor.advance(100)
        self.assertEqual(self.ears.heard, ["READY=1"])

    def test_a_dead_part_means_no_life(self) -> None:
        """
        While a vital part is dead there is no sign of life; the reason is told to both, supervisor and log, once.
        """
        self.supervisor.startService()
        self.run_reactor()
        self.ears.heard.clear()
        self.died = "the loop has ended"
        self.reactor.pump([30, 30])
        self.assertEqual(self.ears.heard, ["STATUS=pipeline: the loop has ended"])
        self.assertEqual(len(self.lines()), 1)
        self.died = None
        self.reactor.advance(30)
        self.assertEqual(self.ears.heard[1:], ["STATUS=", "WATCHDOG=1"])

    def test_who_cannot_answer_may_be_dead(self) -> None:
        """
        A vital part that raises when it is asked counts as dead, and does not end the questions.
        """

        def broken() -> None:
            raise RuntimeError("nobody home")

        supervisor = SystemdNotifier(self.ears.tell, 5.0, (("journal", broken),), self.reactor, lambda: 0)
        supervisor.startService()
        self.run_reactor()
        self.reactor.pump([5, 5])
        self.assertNotIn("WATCHDOG=1", self.ears.heard)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 3)

    def test_a_reload(self) -> None:
        """
        RELOADING comes with the system's monotonic clock in microseconds, and READY follows whatever came of it.
        """
        for end in (lambda reload: reload.callback("done"), lambda reload: reload.errback(ValueError())):
            supervisor, reload = self.above(self.ears), Deferred[object]()
            supervisor.startService()
            self.run_reactor()
            self.ears.heard.clear()
            supervisor.reloading(reload)
            self.assertEqual(self.ears.heard, ["RELOADING=1\nMONOTONIC_USEC=7000"])
            end(reload)
            reload.addErrback(lambda failure: failure.trap(ValueError))
            self.assertEqual(self.ears.heard[1:], ["READY=1"])

    def test_reloads_that_overlap(self) -> None:
        """
        The daemon is ready when the last of several reloads is over.
        """
        self.supervisor.startService()
        first, second = Deferred[object](), Deferred[object]()
        self.supervisor.reloading(first)
        self.supervisor.reloading(second)
        self.ears.heard.clear()
        first.callback(None)
        self.assertEqual(self.ears.heard, [])
        second.callback(None)
        self.assertEqual(self.ears.heard, ["READY=1"])

    def test_a_reload_that_ends_after_the_stop(self) -> None:
        """
        A daemon that stops is not ready any more.
        """
        reload = Deferred[object]()
        self.supervisor.startService()
        self.supervisor.reloading(reload)
        self.supervisor.stopService()
        reload.callback(None)
        self.assertEqual(self.ears.heard[1:], ["STOPPING=1"])

    def test_a_supervisor_that_cannot_be_told(self) -> None:
        """
        What cannot be told is a warning, once for a reason, and changes nothing else.
        """
        self.ears.deaf = True
        self.supervisor.startService()
        self.run_reactor()
        self.reactor.pump([30, 30])
        self.assertEqual(self.lines(), ["cannot notify systemd of {word}: {reason}"])
        self.ears.deaf = False
        self.reactor.advance(30)
        self.ears.deaf = True
        self.reactor.advance(30)
        self.assertEqual(len(self.lines()), 2)

    def test_nobody_supervises(self) -> None:
        """
        Without a supervisor nothing happens.
        """
        alone = SystemdNotifier(None, 1.0, (), self.reactor, lambda: 0)
        alone.startService()
        self.run_reactor()
        self.reactor.advance(10)
        alone.stopService()
        self.assertEqual(self.lines(), [])


class EnvironmentTests(SynchronousTestCase):
    """
    What the supervisor says in the environment.
    """

    def receive(self, bound: str, named: str) -> bytes:
        """
        Listen at an address, and say something to what the environment calls it.
        """
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
            listening.bind(bound)
            tell = find_systemd({"NOTIFY_SOCKET": named})
            assert tell is not None
            tell("READY=1")
            return listening.recv(100)

    def test_a_socket_in_the_file_system(self) -> None:
        """
        A path is a socket's.
        """
        # A socket's path may not have more than about a hundred bytes, and trial's folders are deep.
        with TemporaryDirectory() as folder:
            self.assertEqual(self.receive(f"{folder}/notify", f"{folder}/notify"), b"READY=1")

    def test_an_abstract_socket(self) -> None:
        """
        A name with "@" is one of Linux's abstract ones.
        """
        name = f"itsjustintv-test-{id(self)}"
        self.assertEqual(self.receive(f"\0{name}", f"@{name}"), b"READY=1")

    def test_a_full_queue_does_not_block(self) -> None:
        """
        A supervisor that reads nothing is given up on, not waited for.
        """
        name = f"itsjustintv-test-{id(self)}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
            listening.bind(f"\0{name}")
            tell = find_systemd({"NOTIFY_SOCKET": f"@{name}"})
            assert tell is not None
            with self.assertRaises(BlockingIOError):
                for _ in range(100_000):
                    tell("WATCHDOG=1")

    def test_no_supervisor(self) -> None:
        """
        Without a socket, or with one of a family that is not known here, there is nobody to tell.
        """
        for environ in ({}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1234"}):
            self.assertIsNone(find_systemd(environ))

    def test_the_interval(self) -> None:
        """
        Signs of life are given twice in the time that the supervisor names, when it means this process.
        """
        self.assertEqual(watchdog_interval({"WATCHDOG_USEC": "60000000"}, 7), 30)
        self.assertEqual(watchdog_interval({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "7"}, 7), 30)
        for environ in (
            {},
            {"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "8"},
            {"WATCHDOG_USEC": "0"},
            {"WATCHDOG_USEC": "a minute"},
        ):
            self.assertIsNone(watchdog_interval(environ, 7), environ)
