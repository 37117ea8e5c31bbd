"""
Saying the same thing only now and then, so that a flood of it does not become a flood of lines.
"""

from __future__ import annotations

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

__all__ = ["LogThrottle"]


@define(eq=False)
class LogThrottle:
    """
    Counts what happens, and tells when it is time to say so.

    :ivar interval: seconds in which one thing is said once.
    """

    _clock: IReactorTime
    _interval: float = 10.0
    _quiet_until: dict[str, float] = field(init=False, factory=dict)
    _unsaid: dict[str, int] = field(init=False, factory=dict)

    def count(self, what: str) -> int:
        """
        Take note that something has happened.

        :param what: one of a few fixed texts.
        :return: how often it has happened since it was last said, this time included; 0 while it is not to be said.
        """
        now = self._clock.seconds()
        count = self._unsaid.get(what, 0) + 1
        if now < self._quiet_until.get(what, now):
            self._unsaid[what] = count
            return 0
        self._unsaid[what] = 0
        self._quiet_until[what] = now + self._interval
        return count
