"""
A tree of services that starts from the ground up and is taken down from the top, one storey at a time.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from threading import Thread
from types import TracebackType
from typing import Any, TypeVar

from twisted.application.service import MultiService, Service
from twisted.internet.defer import CancelledError, Deferred, fail, maybeDeferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from itsjustintv.errors import ItsJustInTVError
from itsjustintv.support.durations import Seconds
from itsjustintv.support.foreign_text import visible

__all__ = ["FileThreadPool", "OrderedServices", "RootService", "StartWhenReady"]

T = TypeVar("T")


class OrderedServices(MultiService):
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


class FileThreadPool(Service):
    """
    A few threads for work on files, apart from those in which the reactor looks up names: a name server that does not
    answer must not hold up a file, nor the other way round.

    :param reactor: hears of the results.
    :param patience: seconds after which a stop no longer waits for work under way: a network file system that does not
        answer can hold a thread for ever, and nothing can end that thread.
    """

    log = Logger()

    def __init__(self, reactor: Any, patience: float = 10.0) -> None:
        self._reactor = reactor
        self._patience = patience
        self._asked: set[Deferred[Any]] = set()
        self._abandoned = False
        self._ended: Deferred[None] | None = None
        self._trigger: Any = None
        self._deadline: IDelayedCall | None = None
        # One that hangs must not hold up the others: configuration, certificates, token, pictures and output may each
        # be on a network file system of their own.
        self._pool = ThreadPool(0, 16, "disk")
        # Whoever ends the process in good order waits for them; a start that failed must not.
        self._pool.threadFactory = partial(Thread, daemon=True)  # type: ignore[assignment]

    def startService(self) -> None:
        """
        Begin to work.
        """
        super().startService()
        self._pool.start()
        # What stands above stops first, and may wait for its own work.
        self._trigger = self._reactor.addSystemEventTrigger("before", "shutdown", self._hurry)

    def stopService(self) -> Deferred[None]:
        """
        End when everything that was asked is done, or was abandoned.
        """
        super().stopService()
        if self._abandoned:
            return succeed(None)
        ended: Deferred[None] = Deferred()
        ended.addCallback(lambda _: self._relax())

        def end() -> None:
            self._pool.stop()
            self._reactor.callFromThread(lambda: None if ended.called else ended.callback(None))

        # stop() waits for the threads, and the end of the process would wait for a thread of the reactor.
        Thread(target=end, daemon=True, name="disk-stop").start()
        self._ended = ended
        return ended

    def run(self, work: Callable[..., T], *args: object) -> Deferred[T]:
        """
        Run something that may block, and answer with its result.
        """
        if self._abandoned:
            return fail(_no_answer())
        done: Deferred[T] = Deferred()
        self._asked.add(done)
        done.addBoth(self._over, done)

        def ended(result: Any) -> None:
            # It may have been cancelled or abandoned.
            if not done.called:
                done.callback(result)

        deferToThreadPool(self._reactor, self._pool, work, *args).addBoth(ended)
        return done

    def _over(self, result: Any, done: Deferred[Any]) -> Any:
        self._asked.discard(done)
        return result

    def _hurry(self) -> None:
        self._trigger = None
        self._deadline = self._reactor.callLater(self._patience, self._abandon)

    def _relax(self) -> None:
        if self._trigger is not None:
            self._reactor.removeSystemEventTrigger(self._trigger)
            self._trigger = None
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()

    def _abandon(self) -> None:
        self._abandoned = True
        left = [each for each in self._asked if not each.called]
        if left:
            self.log.warn(
                "{count} operations on files did not end within {seconds} of the stop: their disk or network file"
                " system does not answer; stopping without them",
                count=len(left),
                seconds=Seconds(self._patience),
            )
        for each in left:
            if not each.called:
                each.errback(_no_answer())
        if self._ended is not None and not self._ended.called:
            self._ended.callback(None)


def _no_answer() -> OSError:
    return OSError(errno.ETIMEDOUT, "the disk or network file system does not answer")


class StartWhenReady(Service):
    """
    Begins something once everything it needs is there, however long that takes.

    :param needs: each is asked, in order, for a Deferred that fires when it is there.
    :param begin: called once after that.
    :param end: called when this is stopped, if it has begun.
    """

    log = Logger()

    def __init__(
        self,
        needs: Sequence[Callable[[], Deferred[None]]],
        begin: Callable[[], object],
        end: Callable[[], object] = lambda: None,
    ) -> None:
        self._needs = needs
        self._begin = begin
        self._end = end
        self._begun = False
        self._waiting: Deferred[None] | None = None

    def startService(self) -> None:
        """
        Begin to wait.
        """
        super().startService()
        self._begun = False
        self.again()

    def stopService(self) -> Deferred[object]:
        """
        Wait no more, or end what has begun.
        """
        super().stopService()
        self._cease()
        return maybeDeferred(self._end) if self._begun else succeed(None)

    def again(self) -> None:
        """
        Ask once more for what it needs, which may be something else by now, unless it has begun: what was asked for
        before may never be there.
        """
        if self.running and not self._begun:
            self._cease()
            self._waiting = Deferred.fromCoroutine(self._wait())
            self._waiting.addErrback(self._failed)

    def _cease(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()

    async def _wait(self) -> None:
        for need in self._needs:
            await need()
        self._begun = True
        self._begin()

    def _failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self.log.failure("{service} could not begin; restart the daemon", failure, service=self.name)


class RootService(OrderedServices):
    """
    The whole tree. What an operator can meet at start ends the process with one line on standard error and status 1.

    A stop that was asked for by a signal, and went well, ends with status 0: Twisted's own handlers would make the
    process die of that signal after a clean stop, which a supervisor counts as a failure.

    :param reactor: what runs the daemon, to be stopped by SIGTERM and SIGINT.
    :param observer: makes the log of the application that this becomes a part of, unless it has one.
    """

    def __init__(self, reactor: Any, observer: Callable[[], ILogObserver] | None = None) -> None:
        super().__init__()
        self._reactor = reactor
        self._observer = observer

    def setServiceParent(self, parent: Any) -> None:
        """
        Become a part of an application.
        """
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

        :raises ItsJustInTVError: when a port cannot be had; it ends the process.
        """
        with _explained():
            super().privilegedStartService()

    def startService(self) -> None:
        """
        Start every child in order.

        :raises ItsJustInTVError: when one of them cannot start, saying why; it ends the process.
        """
        with _explained():
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
def _explained() -> Iterator[None]:
    """
    Let an error that has a name end the process with one line.

    It is no ``SystemExit``: after one twistd leaves its pid file behind and, in the background, waits for ever for the
    process it started.
    """
    try:
        yield
    except ItsJustInTVError:
        sys.excepthook = _say
        raise


def _say(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """
    Tell of the error that ends the process. By now twistd has made standard error a part of its log, which is on
    standard output, with prefixes or in JSON; in the background, though, the log is all that can be read.
    """
    if not isinstance(error, ItsJustInTVError):
        sys.__excepthook__(kind, error, traceback)
        return
    print(visible(f"itsjustintv: {error}"), file=sys.stderr if _stderr_leads_nowhere() else sys.__stderr__)


def _stderr_leads_nowhere() -> bool:
    try:
        return os.path.samestat(os.fstat(2), os.stat(os.devnull))  # noqa: PTH116 - of a descriptor
    except OSError:
        return True
