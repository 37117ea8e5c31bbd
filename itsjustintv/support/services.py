"""
Services that start and stop others: in order, when something is ready, and as the root of a process.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TypeVar

from twisted.application.service import MultiService, Service
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred, succeed
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized
from twisted.python.failure import Failure

from itsjustintv.errors import ItsJustInTVError
from itsjustintv.support.foreign_text import visible

__all__ = ["OrderedServices", "RootService", "StartWhenReady"]

T = TypeVar("T")


class OrderedServices(MultiService):
    """
    A ``MultiService`` whose children depend on those before them. They stop in reverse order, each when the one after
    it has stopped. ``MultiService`` stops all of them at once, which would close the journal while attempts still have
    to be stored in it.
    """

    log = Logger()

    def stopService(self) -> Deferred[None]:
        """
        Stop the children in reverse order. If one fails to stop, that is logged and the next one is stopped.
        """
        self.running = 0
        return Deferred.fromCoroutine(self._stop_children())

    async def _stop_children(self) -> None:
        for service in reversed(list(self)):
            try:
                await maybeDeferred(service.stopService)
            except Exception:  # noqa: BLE001 - the services before it must still be stopped
                self.log.failure("{service} did not stop cleanly", service=service.name)


class StartWhenReady(Service):
    """
    Starts something once everything it needs is ready, however long that takes.

    :param needs: called in order; each returns a Deferred that fires when what it stands for is ready.
    :param start: called once after that.
    :param stop: called when this is stopped, if ``start`` was called.
    """

    log = Logger()

    def __init__(
        self,
        needs: Sequence[Callable[[], Deferred[None]]],
        start: Callable[[], object],
        stop: Callable[[], object] = lambda: None,
    ) -> None:
        self._needs = needs
        self._start = start
        self._stop = stop
        self._started = False
        self._waiting: Deferred[None] | None = None

    def startService(self) -> None:
        super().startService()
        self._started = False
        self.refresh()

    def stopService(self) -> Deferred[object]:
        """
        Stop waiting, or stop what was started.
        """
        super().stopService()
        self._stop_waiting()
        return maybeDeferred(self._stop) if self._started else succeed(None)

    def refresh(self) -> None:
        """
        Call ``needs`` again, unless it has started: they may stand for something else by now, and what was waited for
        may never be ready.
        """
        if self.running and not self._started:
            self._stop_waiting()
            self._waiting = Deferred.fromCoroutine(self._wait())
            self._waiting.addErrback(self._failed)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()

    async def _wait(self) -> None:
        for need in self._needs:
            await need()
        self._started = True
        self._start()

    def _failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self.log.failure("cannot start {service}; restart the daemon", failure, service=self.name)


class RootService(OrderedServices):
    """
    The root of a process. An :class:`~itsjustintv.errors.ItsJustInTVError` at the start ends the process with one line
    on standard error and status 1.

    A clean stop by SIGTERM or SIGINT ends with status 0. After Twisted's own handlers the process would die of the
    signal, which systemd counts as a failure.

    :param observer: makes the log observer of the application that this is added to, unless it has one.
    """

    def __init__(self, reactor: Any, observer: Callable[[], ILogObserver] | None = None) -> None:
        super().__init__()
        self._reactor = reactor
        self._observer = observer

    def setServiceParent(self, parent: Any) -> None:
        if (
            self._observer is not None
            and isinstance(parent, Componentized)
            and parent.getComponent(ILogObserver) is None
        ):
            parent.setComponent(ILogObserver, self._observer())
        super().setServiceParent(parent)

    def privilegedStartService(self) -> None:
        """
        Bind the ports, while the process may still have the privileges for that.

        :raises ItsJustInTVError: a port cannot be bound; it ends the process.
        """
        with _one_line_errors():
            super().privilegedStartService()

    def startService(self) -> None:
        """
        Start every child in order.

        :raises ItsJustInTVError: one of them cannot start; it ends the process.
        """
        with _one_line_errors():
            super().startService()
        self._reactor.callWhenRunning(self._handle_signals)

    def _handle_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: self._reactor.callFromThread(self._stop, number))

    def _stop(self, number: int) -> None:
        if self.running:
            self.log.info("stopping on {signal}", signal=signal.Signals(number).name)
            self._reactor.stop()


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """
    End the process with one line for an error of this package.

    ``SystemExit`` would not do: after one twistd leaves its pid file behind and, in the background, waits for ever for
    the process it started.
    """
    try:
        yield
    except ItsJustInTVError:
        sys.excepthook = _print_error
        raise


def _print_error(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """
    Print the error that ends the process. By now twistd has made standard error a part of its log, which is on standard
    output, with prefixes or in JSON; in the background, though, only the log can be read.
    """
    if not isinstance(error, ItsJustInTVError):
        sys.__excepthook__(kind, error, traceback)
        return
    print(visible(f"itsjustintv: {error}"), file=sys.stderr if _is_stderr_discarded() else sys.__stderr__)


def _is_stderr_discarded() -> bool:
    try:
        return os.path.samestat(os.fstat(2), os.stat(os.devnull))  # noqa: PTH116 - of a descriptor
    except OSError:
        return True
