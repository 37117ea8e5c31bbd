"""
Names for events.
"""

from __future__ import annotations

from itertools import count

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

__all__ = ["EventIds"]


@define(eq=False)
class EventIds:
    """
    Makes ids that nobody else makes, and that sort by the time at which they were made.

    New rows of the journal then stand beside each other in every index on an id. With random ones each event touches
    pages of its own all over the file, and all of them are written for it.

    :ivar clock: tells milliseconds since the epoch: the first twelve hexadecimal digits.
    :ivar name: of this process, random: the next digits. The last eight count.
    """

    _clock: IReactorTime
    _name: str
    _numbers: count[int] = field(factory=count, init=False)

    def __call__(self) -> str:
        """
        Make another one.
        """
        milliseconds = int(self._clock.seconds() * 1000)
        return f"{milliseconds:012x}{self._name}{next(self._numbers):08x}"
