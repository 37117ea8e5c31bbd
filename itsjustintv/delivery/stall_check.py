"""
A health check: whether due deliveries are being sent, and how many ended undelivered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil

from attrs import define, field
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from itsjustintv.support.durations import duration
from itsjustintv.support.periodic_service import PeriodicService

__all__ = ["StallCheck"]


@define(eq=False)
class StallCheck(MultiService):
    """
    Checks at an interval for how long the oldest due delivery has been due.

    A retry is due when its delay is over, so a receiver that is down does not fail the check; one that is too slow for
    its deliveries, or asked for a long pause, does.

    :ivar earliest: when the first delivery that has not ended was, or will be, due; ``None`` when all have ended.
    :ivar undelivered: counts the dead and the expired deliveries in the journal.
    :ivar limit: seconds for which a delivery may be due.
    """

    _earliest: Callable[[], Deferred[float | None]]
    _undelivered: Callable[[], Deferred[int]]
    _clock: IReactorTime
    _interval: float = 15.0
    _limit: float = 300.0
    _due_at: float | None = field(default=None, init=False)
    _count: int | None = field(default=None, init=False)

    log = Logger()

    def __attrs_post_init__(self) -> None:
        super().__init__()
        PeriodicService(self._clock, self._interval, "check for stalled deliveries", self._check).setServiceParent(self)

    def problem(self) -> str | None:
        """
        Say for how long something has been due, if that is too long. Answers at once.
        """
        late = 0.0 if self._due_at is None else self._clock.seconds() - self._due_at
        if late <= self._limit:
            return None
        # By the minute, so that the text does not change at every check.
        return f"a delivery has been due for {duration(ceil(late / 60) * 60)} (limit {duration(self._limit)})"

    def public(self) -> Mapping[str, object]:
        """
        What ``/health`` shows to anyone, as of the last check; ``None`` before the first.
        """
        return {"undelivered": self._count}

    async def _check(self) -> None:
        """
        Read what the check is about.

        :raises JournalUnavailable: the last values stand.
        """
        self._due_at = await self._earliest()
        self._count = await self._undelivered()
