"""
A tree of services that starts from the ground up and is taken down from the top, one storey at a time.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from itsjustintv.errors import ItsJustInTVError

__all__ = ["Daemon", "DiskThreads", "Storeys"]

T = TypeVar("T")


class Storeys(MultiService):
    """
    Services of which each stands on those before it.

    ``MultiService`` tells all its children to stop at once and waits for them together, so that the journal would be
    closed under deliveries that are still to be recorded. Here the last child stops first, and the one before it only
    when that has ended.
    """

    log = Logger()

    def stopService(self) -> Deferred[None]:
        """
        Stop the children in reverse order, each when the one above it has stopped. One that fails to stop is logged and
        does not keep the others up.
        """
        self.running = 0
        return Deferred.fromCoroutine(self._take_down())

    async def _take_down(self) -> None:
        for service in reversed(list(self)):
            try:
                await maybeDeferred(service.stopService)
            except Exception:  # noqa: BLE001 - whatever it was, the services below must still be stopped
                self.log.failure("{service} did not stop cleanly", service=service.name)


class DiskThreads(Service):
    """
    A few threads for work on files, apart from those in which the reactor looks up names: a name server that does not
    answer must not hold up a file, nor the other way round.

    :param reactor: hears of the results.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._pool = ThreadPool(0, 4, "disk")

    def startService(self) -> None:
        """
        Begin to work.
        """
        super().startService()
        self._pool.start()

    def stopService(self) -> Deferred[None]:
        """
        End when everything that was asked is done.
        """
        super().stopService()
        # stop() waits for the threads, so it is called in one of the reactor's.
        stopped: Deferred[None] = deferToThreadPool(self._reactor, self._reactor.getThreadPool(), self._pool.stop)
        return stopped

    def run(self, work: Callable[..., T], *args: object) -> Deferred[T]:
        """
        Run something that may block, and answer with its result.
        """
        done: Deferred[T] = deferToThreadPool(self._reactor, self._pool, work, *args)
        return done


class Daemon(Storeys):
    """
    The whole tree. What an operator can meet at start ends the process with one line on standard error and status 1.

    ``SystemExit`` is what twistd, twist and a .tac all let through without a traceback.

    A stop that was asked for by a signal, and went well, ends with status 0: Twisted's own handlers would make the
    process die of that signal after a clean stop, which a supervisor counts as a failure.

    :param reactor: what runs the daemon, to be stopped by SIGTERM and SIGINT.
    """

    def __init__(self, reactor: Any) -> None:
        super().__init__()
        self._reactor = reactor

    def privilegedStartService(self) -> None:
        """
        Bind the ports, while the process may still have the privileges for that.

        :raises SystemExit: when a port cannot be had.
        """
        try:
            super().privilegedStartService()
        except CannotListenError as error:
            raise _cannot_listen(error) from None

    def startService(self) -> None:
        """
        Start every child in order.

        :raises SystemExit: when one of them cannot start, saying why.
        """
        try:
            super().startService()
        except CannotListenError as error:
            raise _cannot_listen(error) from None
        except ItsJustInTVError as error:
            raise SystemExit(f"itsjustintv: {error}") from None
        self._reactor.callWhenRunning(self._handle_signals)

    def _handle_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: self._reactor.callFromThread(self._stop, number))

    def _stop(self, number: int) -> None:
        if self.running:
            self.log.info("stopping on {signal}", signal=signal.Signals(number).name)
            self._reactor.stop()


def _cannot_listen(error: CannotListenError) -> SystemExit:
    cause = error.socketError
    reason = getattr(cause, "strerror", None) or str(cause)
    return SystemExit(
        f"itsjustintv: cannot listen on {error.interface or '0.0.0.0'}:{error.port}: {reason.lower()}."  # noqa: S104
        " Stop what holds it, or change server.listen_addr and server.port."
    )
