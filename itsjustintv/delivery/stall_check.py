"""
Whether what is due is being sent, and how much was not.
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

    log = Logger()

    def __attrs_post_init__(self) -> None:
        super().__init__()
        PeriodicService(self._clock, self._every, "look for deliveries that are due", self._look).setServiceParent(self)

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
        Look once.

        :raises JournalUnavailable: what was due is still due.
        """
        self._due_at = await self._earliest()
        self._count = await self._undelivered()
