"""
The rate limit of Helix.
"""

from __future__ import annotations

from math import ceil

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

__all__ = ["Bucket"]


@define(eq=False)
class Bucket:
    """
    A bucket of points that refills steadily and is full again after a minute (dev.twitch.tv, API guide, "Rate limits").

    :ivar limit: points it holds.
    :ivar taken: points taken so far.
    :ivar refused: requests that came when there was no point left.
    """

    _clock: IReactorTime
    limit: int = 800
    taken: int = field(default=0, init=False)
    refused: int = field(default=0, init=False)
    _points: float = field(init=False)
    _since: float = field(init=False)

    @_points.default
    def _full(self) -> float:
        return float(self.limit)

    @_since.default
    def _now(self) -> float:
        return self._clock.seconds()

    def take(self) -> bool:
        """
        Take one point, if there is one.
        """
        self._refill()
        if self._points < 1:
            self.refused += 1
            return False
        self._points -= 1
        self.taken += 1
        return True

    def empty(self, left: float = 0.0) -> None:
        """
        Take all points, or all but some, as another program under the same client id would.
        """
        self._refill()
        self._points = min(left, self._points)

    def headers(self) -> dict[str, str]:
        """
        What Helix says about it, with every answer; ``Ratelimit-Reset`` is the second at which it is full again.
        """
        self._refill()
        missing = self.limit - self._points
        return {
            "Ratelimit-Limit": str(self.limit),
            "Ratelimit-Remaining": str(int(self._points)),
            "Ratelimit-Reset": str(ceil(self._since + missing * 60 / self.limit)),
        }

    def _refill(self) -> None:
        now = self._clock.seconds()
        self._points = min(float(self.limit), self._points + (now - self._since) * self.limit / 60)
        self._since = now
