"""
How often a service may be called.
"""

from __future__ import annotations

from attrs import define, field

__all__ = ["Quota"]


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
