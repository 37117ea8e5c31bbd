"""
Work that is done again and again, at a fixed interval.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from itsjustintv.errors import JournalUnavailable
from itsjustintv.support.durations import Seconds

__all__ = ["PeriodicService"]


class PeriodicService(Service):
    """
    Calls something at a fixed interval, never twice at the same time. Unlike Twisted's ``TimerService`` it goes on
    after an exception, which it logs; a :class:`JournalUnavailable` it does not log, since the journal does.

    :param interval: in seconds.
    :param what: completes "cannot ...", for the log.
    :param work: may return an awaitable; the next call waits until that has ended.
    :param now: whether the first call is made at the start, rather than one interval later.
    """

    log = Logger()

    def __init__(
        self, clock: IReactorTime, interval: float, what: str, work: Callable[[], Any], *, now: bool = True
    ) -> None:
        self._clock = clock
        self._interval = interval
        self._what = what
        self._work = work
        self._now = now
        self._loop: LoopingCall | None = None
        self._under_way: Deferred[None] | None = None
        self._ended: Deferred[Any] = succeed(None)

    def startService(self) -> None:
        super().startService()
        self._loop = LoopingCall(self._begin)
        self._loop.clock = self._clock
        self._ended = self._loop.start(self._interval, now=self._now)

    def stopService(self) -> Deferred[None]:
        """
        Make no more calls, and cancel the one under way: a disk or a server that does not answer must not hold up the
        stop.

        :return: fires when that call has ended.
        """
        super().stopService()
        if self._loop is not None and self._loop.running:
            self._loop.stop()
        if self._under_way is not None:
            self._under_way.cancel()
        stopped: Deferred[None] = Deferred()
        self._ended.addCallback(lambda _: stopped.callback(None))
        return stopped

    def problem(self) -> str | None:
        """
        Why nothing is called any more, or ``None`` while all is well.
        """
        if not self.running:
            return "not running"
        if self._loop is None or not self._loop.running:
            return "the loop has ended"
        return None

    def _begin(self) -> Deferred[None]:
        self._under_way = Deferred.fromCoroutine(self._call())
        return self._under_way

    async def _call(self) -> None:
        try:
            result = self._work()
            if result is not None:
                await result
        except JournalUnavailable:
            pass
        except Exception as error:  # noqa: BLE001 - an exception would end the loop
            if isinstance(error, CancelledError) and not self.running:
                return
            self.log.failure("cannot {what}; retrying in {delay}", what=self._what, delay=Seconds(self._interval))
