"""
How fast to ask about events.
"""

from __future__ import annotations

from collections import deque

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from itsjustintv.twitch.api.batching import INTERVAL
from itsjustintv.twitch.api.rate_limit import RateBucket

__all__ = ["Pace"]

# Seconds between two calls of a kind while there are points for more than a crowd needs.
_PROMPT = 0.02

# The share of the limit that prompt calls and calls for a single event may take of a minute: what the others leave.
_SHARE = 0.25

# The share of the limit that must be left, whoever has used the rest.
_LEFT = 0.5

_MINUTE = 60.0


@define(eq=False)
class Pace:
    """
    Knows what was spent on events within the last minute, and so whether more may be spent than must be.

    Three kinds of calls, one each :data:`~itsjustintv.twitch.api.batching.INTERVAL` at the most, and as much generosity as
    fits beside them: a minute in which any number of streamers go live does not need more than the limit.
    """

    _bucket: RateBucket
    _clock: IReactorTime
    _spent_at: deque[float] = field(factory=deque, init=False)

    def spend(self) -> None:
        """
        Note that a point is being spent.
        """
        self._spent_at.append(self._clock.seconds())

    def generous(self) -> bool:
        """
        Tell whether there are points for more than what a crowd needs.
        """
        since = self._clock.seconds() - _MINUTE
        while self._spent_at and self._spent_at[0] <= since:
            self._spent_at.popleft()
        limit = self._bucket.limit
        return len(self._spent_at) < limit * _SHARE and self._bucket.can_spare(1, int(limit * _LEFT))

    def interval(self) -> float:
        """
        Tell how many seconds two calls of a kind must be apart.
        """
        return _PROMPT if self.generous() else INTERVAL
