"""
How services count requests.
"""

from __future__ import annotations

from collections import deque

from attrs import define, field

__all__ = ["SlidingWindow", "TokenBucket"]


@define(eq=False)
class SlidingWindow:
    """
    Allows a number of requests within any span of time.

    :ivar seconds: the length of the span.
    """

    count: int
    seconds: float
    _taken: deque[float] = field(factory=deque, init=False)

    def wait(self, now: float) -> float:
        """
        How long until a request is allowed: 0 if it is allowed now. Takes nothing.
        """
        while self._taken and self._taken[0] <= now - self.seconds:
            self._taken.popleft()
        return 0.0 if len(self._taken) < self.count else self._taken[-self.count] + self.seconds - now

    def take(self, now: float) -> None:
        """
        Count a request.
        """
        self._taken.append(now)


@define(eq=False)
class TokenBucket:
    """
    Allows a burst, and then one request for each interval.

    :ivar every: seconds after which one more is allowed.
    """

    burst: int
    every: float
    _used: float = field(default=0.0, init=False)
    _at: float = field(default=0.0, init=False)

    def take(self, now: float) -> bool:
        """
        Count a request if it is allowed.
        """
        self._used = max(0.0, self._used - max(0.0, now - self._at) / self.every)
        self._at = now
        # One part in a million for sums that are not exact.
        if self._used > self.burst - 1 + 1e-6:
            return False
        self._used += 1
        return True
