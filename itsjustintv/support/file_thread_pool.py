"""
Threads for blocking work on files.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from functools import partial
from threading import Thread
from typing import Any, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from itsjustintv.support.durations import Seconds

__all__ = ["FileThreadPool", "InThread"]

T = TypeVar("T")

#: Runs a function with its arguments in a thread, where it may block.
InThread = Callable[..., Deferred[Any]]


class FileThreadPool(Service):
    """
    A thread pool for blocking work on files. The reactor's own pool resolves names, and a name server that does not
    answer must not hold up files, nor the other way round.

    :param timeout: seconds after which a stop no longer waits for work under way: a network file system that does not
        answer can hold a thread for ever, and nothing can end that thread.
    """

    log = Logger()

    def __init__(self, reactor: Any, timeout: float = 10.0) -> None:
        self._reactor = reactor
        self._timeout = timeout
        self._pending: set[Deferred[Any]] = set()
        self._abandoned = False
        self._stopped: Deferred[None] | None = None
        self._trigger: Any = None
        self._deadline: IDelayedCall | None = None
        # Enough that one file system that hangs does not hold up the others: configuration, certificates, token, images
        # and output file may each be on one of their own.
        self._pool = ThreadPool(0, 16, "disk")
        # A regular stop waits for the threads; the end of a process that could not start must not.
        self._pool.threadFactory = partial(Thread, daemon=True)  # type: ignore[assignment]

    def startService(self) -> None:
        super().startService()
        self._pool.start()
        # The services above this one stop first, and may wait for their own work.
        self._trigger = self._reactor.addSystemEventTrigger("before", "shutdown", self._start_deadline)

    def stopService(self) -> Deferred[None]:
        """
        Stop the threads.

        :return: fires when all work has ended, or was abandoned.
        """
        super().stopService()
        if self._abandoned:
            return succeed(None)
        stopped: Deferred[None] = Deferred()
        stopped.addCallback(lambda _: self._cancel_deadline())

        def end() -> None:
            self._pool.stop()
            self._reactor.callFromThread(lambda: None if stopped.called else stopped.callback(None))

        # stop() waits for the threads, and the end of the process would wait for a thread of the reactor.
        Thread(target=end, daemon=True, name="disk-stop").start()
        self._stopped = stopped
        return stopped

    def run(self, work: Callable[..., T], *args: object) -> Deferred[T]:
        """
        Run something that may block, in a thread.

        :return: fires with its result; fails with ``OSError`` when the pool was stopped and did not wait for it.
        """
        if self._abandoned:
            return fail(_no_answer())
        done: Deferred[T] = Deferred()
        self._pending.add(done)
        done.addBoth(self._forget, done)

        def ended(result: Any) -> None:
            # It may have been cancelled or abandoned.
            if not done.called:
                done.callback(result)

        deferToThreadPool(self._reactor, self._pool, work, *args).addBoth(ended)
        return done

    def _forget(self, result: Any, done: Deferred[Any]) -> Any:
        self._pending.discard(done)
        return result

    def _start_deadline(self) -> None:
        self._trigger = None
        self._deadline = self._reactor.callLater(self._timeout, self._abandon)

    def _cancel_deadline(self) -> None:
        if self._trigger is not None:
            self._reactor.removeSystemEventTrigger(self._trigger)
            self._trigger = None
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()

    def _abandon(self) -> None:
        self._abandoned = True
        left = [each for each in self._pending if not each.called]
        if left:
            self.log.warn(
                "{count} operations on files did not end within {seconds} of the stop: their disk or network file"
                " system does not answer; stopping without them",
                count=len(left),
                seconds=Seconds(self._timeout),
            )
        for each in left:
            if not each.called:
                each.errback(_no_answer())
        if self._stopped is not None and not self._stopped.called:
            self._stopped.callback(None)


def _no_answer() -> OSError:
    return OSError(errno.ETIMEDOUT, "the disk or network file system does not answer")
