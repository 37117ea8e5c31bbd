"""
Whether a line is written: not each time when something is repeated often, and not again while nothing has changed.
"""

from __future__ import annotations

from collections.abc import Hashable

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

__all__ = ["LogOnChange", "LogThrottle"]


@define(eq=False)
class LogThrottle:
    """
    One line for each kind of event in each interval, with the number of events it stands for.

    :ivar interval: in seconds.
    """

    _clock: IReactorTime
    _interval: float = 10.0
    _quiet_until: dict[str, float] = field(init=False, factory=dict)
    _unlogged: dict[str, int] = field(init=False, factory=dict)

    def count(self, kind: str) -> int:
        """
        Count an event.

        :param kind: one of a few fixed texts.
        :return: how many there were since the last line, this one included; 0 while no line is due.
        """
        now = self._clock.seconds()
        count = self._unlogged.get(kind, 0) + 1
        if now < self._quiet_until.get(kind, now):
            self._unlogged[kind] = count
            return 0
        self._unlogged[kind] = 0
        self._quiet_until[kind] = now + self._interval
        return count


@define(eq=False)
class LogOnChange:
    """
    One line for as long as a subject stays in the same state.
    """

    _logged: dict[Hashable, Hashable] = field(init=False, factory=dict)

    def is_new(self, state: Hashable = True, subject: Hashable = None) -> bool:
        """
        Whether a subject is in another state than when this was asked the last time.

        :param state: what the line says about the subject.
        """
        if subject in self._logged and self._logged[subject] == state:
            return False
        self._logged[subject] = state
        return True

    def reset(self, subject: Hashable = None) -> None:
        """
        Forget a subject: the next state is new, even if it is the same.
        """
        self._logged.pop(subject, None)
