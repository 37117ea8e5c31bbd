"""
The clock on the wall, when it is set while the daemon runs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from itsjustintv.support.clocks import SteadyClock
from itsjustintv.support.durations import Seconds
from itsjustintv.support.periodic_service import PeriodicService

__all__ = ["ClockJumps"]

# Where something sets the clock again and again, so many lines are written in so many seconds.
_LINES = 5
_WITHIN = 600.0


@define(eq=False)
class ClockJumps(MultiService):
    """
    Notices that the clock of the machine was set, and passes it on. Waits and ages go by the steady clock and are not
    affected.

    :ivar note: writes down by how many seconds the clock is ahead of the steady one.
    :ivar least: seconds; a clock that is moved by less is being kept right.
    :ivar count: how often it was set.
    """

    _steady: SteadyClock
    _clock: IReactorTime
    _note: Callable[[float], Deferred[None]]
    _every: float = 1.0
    _least: float = 1.0
    count: int = field(default=0, init=False)
    _ahead: float = field(default=0.0, init=False)
    _noted: float = field(default=0.0, init=False)
    _listeners: list[Callable[[], Any]] = field(factory=list, init=False)
    _said: deque[float] = field(factory=lambda: deque(maxlen=_LINES), init=False)
    _steps: int = field(default=0, init=False)
    _moved: float = field(default=0.0, init=False)

    log = Logger()

    def __attrs_post_init__(self) -> None:
        super().__init__()
        PeriodicService(self._clock, self._every, "record that the clock was set", self._look).setServiceParent(self)

    @property
    def ahead(self) -> float:
        """
        By how many seconds the clock was set forward in all, as last looked; negative if back.
        """
        return self._ahead

    def subscribe(self, listener: Callable[[], Any]) -> None:
        """
        Call something after each time that the clock was set.
        """
        self._listeners.append(listener)

    async def _look(self) -> None:
        """
        Look once.

        :raises JournalUnavailable: what was found is not recorded yet.
        """
        ahead = self._steady.ahead()
        by = ahead - self._ahead
        if abs(by) >= self._least:
            self._ahead = ahead
            self.count += 1
            self._steps += 1
            self._moved += by
            for listener in self._listeners:
                try:
                    listener()
                except Exception:  # noqa: BLE001 - the others must hear of it all the same
                    self.log.failure("{listener} has not followed the clock; restart the daemon", listener=listener)
        self._say()
        if self._noted != self._ahead:
            ahead = self._ahead
            await self._note(ahead)
            self._noted = ahead

    def _say(self) -> None:
        """
        Say what was not said yet, several steps in one line if there were many lines.
        """
        now = self._clock.seconds()
        if not self._steps or (len(self._said) == _LINES and now < self._said[0] + _WITHIN):
            return
        self._said.append(now)
        steps, by = self._steps, self._moved
        self._steps, self._moved = 0, 0.0
        direction = "forward" if by > 0 else "back"
        if steps == 1:
            self.log.warn(
                "the clock of this machine was set {direction} by {by}: nothing waits longer or expires because of"
                " that; if it was not meant, check what sets it (timedatectl, chronyc tracking)",
                direction=direction,
                by=Seconds(round(abs(by), 1)),
            )
        else:
            self.log.warn(
                "the clock of this machine was set {count} times in a short while, {direction} by {by} in all:"
                " something sets it again and again; check what (timedatectl, chronyc tracking)",
                count=steps,
                direction=direction,
                by=Seconds(round(abs(by), 1)),
            )
