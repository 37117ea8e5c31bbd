"""
How much is borne from one peer that is of no use to anybody.
"""

from __future__ import annotations

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

__all__ = ["Patience"]

# What is there at first and at most, and what comes back each second.
_MOST = 1000.0
_EACH_SECOND = 100.0


@define(eq=False)
class Patience:
    """
    A bucket of it: worn out by what costs us something and is not a request, restored by time and by requests.

    Frames without end that are cheap to send and not to read are how servers of HTTP/2 are overwhelmed (RFC 9113,
    section 10.5).
    """

    _clock: IReactorTime
    _left: float = field(default=_MOST, init=False)
    _at: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._at = self._clock.seconds()

    @property
    def exhausted(self) -> bool:
        """
        Whether there is none left.
        """
        return self._left < 0

    def wear(self, much: float) -> None:
        """
        Bear something.
        """
        now = self._clock.seconds()
        self._left -= much
        # The clock may be set back.
        self.restore(max(now - self._at, 0) * _EACH_SECOND)
        self._at = now

    def restore(self, much: float) -> None:
        """
        Be glad of something.
        """
        self._left = min(self._left + much, _MOST)
