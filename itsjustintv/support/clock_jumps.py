"""
Notices that the machine's clock was set while the daemon runs.
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

# At most so many lines in so many seconds, should something set the clock repeatedly.
_LINES = 5
_WINDOW = 600.0


@define(eq=False)
class ClockJumps(MultiService):
    """
    Compares the machine's clock with the steady clock, and reports when it was set. Waits and ages go by the steady
    clock and are not affected.

    :ivar record: stores by how many seconds the clock is ahead of the steady one.
    :ivar least: seconds; a smaller step is a correction, such as NTP makes.
    :ivar count: how often the clock was set.
    """

    _steady: SteadyClock
    _clock: IReactorTime
    _record: Callable[[float], Deferred[None]]
    _every: float = 1.0
    _least: float = 1.0
    count: int = field(default=0, init=False)
    _ahead: float = field(default=0.0, init=False)
    _recorded: float = field(default=0.0, init=False)
    _listeners: list[Callable[[], Any]] = field(factory=list, init=False)
    _logged_at: deque[float] = field(factory=lambda: deque(maxlen=_LINES), init=False)
    _steps: int = field(default=0, init=False)
    _moved_by: float = field(default=0.0, init=False)

    log = Logger()

    def __attrs_post_init__(self) -> None:
        super().__init__()
        PeriodicService(self._clock, self._every, "record that the clock was set", self._check).setServiceParent(self)

    @property
    def ahead(self) -> float:
        """
        By how many seconds the clock was set forward in all, as of the last look; negative if back.
        """
        return self._ahead

    def add_listener(self, listener: Callable[[], Any]) -> None:
        """
        Call a function each time the clock was set.
        """
        self._listeners.append(listener)

    async def _check(self) -> None:
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
            self._moved_by += by
            for listener in self._listeners:
                try:
                    listener()
                except Exception:  # noqa: BLE001 - the others must be called all the same
                    self.log.failure("{listener} did not apply the clock change; restart the daemon", listener=listener)
        self._log_steps()
        if self._recorded != self._ahead:
            ahead = self._ahead
            await self._record(ahead)
            self._recorded = ahead

    def _log_steps(self) -> None:
        """
        Log the steps that were not logged yet, as one line if there were many.
        """
        now = self._clock.seconds()
        if not self._steps or (len(self._logged_at) == _LINES and now < self._logged_at[0] + _WINDOW):
            return
        self._logged_at.append(now)
        steps, by = self._steps, self._moved_by
        self._steps, self._moved_by = 0, 0.0
        direction = "forward" if by > 0 else "back"
        if steps == 1:
            self.log.warn(
                "the clock of this machine was set {direction} by {by}: waits and expiry are not affected. If this"
                " was not intended, check what sets it (timedatectl, chronyc tracking)",
                direction=direction,
                by=Seconds(round(abs(by), 1)),
            )
        else:
            self.log.warn(
                "the clock of this machine was set {count} times in a short while, {direction} by {by} in all;"
                " check what sets it repeatedly (timedatectl, chronyc tracking)",
                count=steps,
                direction=direction,
                by=Seconds(round(abs(by), 1)),
            )
