"""
Work that is done again and again, at a fixed interval.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
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
        self._ended: Deferred[Any] = succeed(None)

    def startService(self) -> None:
        super().startService()
        self._loop = LoopingCall(lambda: Deferred.fromCoroutine(self._call()))
        self._loop.clock = self._clock
        self._ended = self._loop.start(self._interval, now=self._now)

    def stopService(self) -> Deferred[None]:
        """
        Make no more calls.

        :return: fires when the call that is being made has ended.
        """
        super().stopService()
        if self._loop is not None and self._loop.running:
            self._loop.stop()
        stopped: Deferred[None] = Deferred()
        self._ended.addCallback(lambda _: stopped.callback(None))
        return stopped

    async def _call(self) -> None:
        try:
            result = self._work()
            if result is not None:
                await result
        except JournalUnavailable:
            pass
        except Exception:  # noqa: BLE001 - an exception would end the loop
            self.log.failure("cannot {what}; retrying in {delay}", what=self._what, delay=Seconds(self._interval))
