"""
How services count requests.
"""

from __future__ import annotations

from collections import deque

from attrs import define, field

__all__ = ["Quota", "SlidingWindow", "TokenBucket"]


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


@define(eq=False)
class Quota:
    """
    So many points in each window of time. Every key, which is an address, an account or a token, has its own.

    :ivar limit: points.
    :ivar seconds: length of a window.
    :ivar aligned: windows begin at multiples of their length since the epoch; otherwise with the first point.
    """

    limit: int
    seconds: int
    aligned: bool = False
    _windows: dict[str, tuple[float, int]] = field(factory=dict, init=False)

    def take(self, key: str, now: float, points: int = 1) -> bool:
        """
        Count points; they count even when they are too many.

        :return: whether they were there.
        """
        began, used = self._window(key, now)
        self._windows[key] = (began, used + points)
        return used + points <= self.limit

    def remaining(self, key: str, now: float) -> int:
        return max(0, self.limit - self._window(key, now)[1])

    def reset(self, key: str, now: float) -> float:
        """
        When the present window ends, in seconds since the epoch.
        """
        return self._window(key, now)[0] + self.seconds

    def _window(self, key: str, now: float) -> tuple[float, int]:
        start = now - now % self.seconds if self.aligned else now
        began, used = self._windows.get(key, (start, 0))
        return (start, 0) if now >= began + self.seconds else (began, used)
