"""
Whether what is due is being sent, and how much was not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil

from attrs import define, field
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from itsjustintv.errors import JournalUnavailable
from itsjustintv.support.durations import duration

__all__ = ["StallCheck"]


@define(eq=False)
class StallCheck(Service):
    """
    Looks from time to time for how long the delivery that should have been the next one has been due.

    A retry is due when its pause is over, so a receiver that is away is no backlog; one that is too slow for what is to
    be sent to it, or asked to be left alone for long, is one.

    :ivar earliest: when the first delivery that has not ended was, or will be, due; ``None`` when all have ended.
    :ivar undelivered: counts the dead and the expired deliveries that are kept.
    :ivar patience: seconds for which something may be due.
    """

    _earliest: Callable[[], Deferred[float | None]]
    _undelivered: Callable[[], Deferred[int]]
    _clock: IReactorTime
    _every: float = 15.0
    _patience: float = 300.0
    _due_at: float | None = field(default=None, init=False)
    _count: int | None = field(default=None, init=False)
    _looking: LoopingCall | None = field(default=None, init=False)

    log = Logger()

    def startService(self) -> None:
        """
        Begin to look.
        """
        super().startService()
        self._looking = LoopingCall(lambda: Deferred.fromCoroutine(self._look()))
        self._looking.clock = self._clock
        self._looking.start(self._every)

    def stopService(self) -> None:
        """
        Look no more.
        """
        super().stopService()
        if self._looking is not None and self._looking.running:
            self._looking.stop()

    def problem(self) -> str | None:
        """
        Say for how long something has been due, if that is too long. Answers at once.
        """
        late = 0.0 if self._due_at is None else self._clock.seconds() - self._due_at
        if late <= self._patience:
            return None
        # By the minute, so that it is not something else at every look.
        return f"a delivery has been due for {duration(ceil(late / 60) * 60)} (limit {duration(self._patience)})"

    def public(self) -> Mapping[str, object]:
        """
        What anyone may know, as of the last look; ``None`` before the first.
        """
        return {"undelivered": self._count}

    async def _look(self) -> None:
        """
        Look once. Never raises: the loop must not end.
        """
        try:
            self._due_at = await self._earliest()
            self._count = await self._undelivered()
        except JournalUnavailable:
            # The journal says so itself. What was due is still due.
            pass
        except Exception:  # noqa: BLE001 - a defect here must not end the loop
            self.log.failure("cannot look for what is due, will try again")
