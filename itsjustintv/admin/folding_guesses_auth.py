"""
How many wrong tokens a client may send.
"""

from __future__ import annotations

from collections import OrderedDict
from math import ceil

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

__all__ = ["Guesses"]


@define(eq=False)
class Guesses:
    """
    Counts wrong tokens of each client. After some in a row a client has to wait before its next one is looked at at
    all; others do not, nor does who has a session already. Nothing here waits: who comes too early is told so.

    :ivar burst: how many wrong ones are looked at without a pause.
    :ivar pause: seconds that each further one takes.
    :ivar most: clients that are remembered, at the most; the one that was wrong the longest ago is forgotten first.
    """

    _clock: IReactorTime
    _burst: int = 20
    _pause: float = 1.0
    _most: int = 1024
    # By client, until when what it did is made up for: a bucket that leaks, as one number.
    _until: OrderedDict[str, float] = field(factory=OrderedDict, init=False)

    def wait(self, client: str) -> int:
        """
        Whole seconds until the next token of a client is looked at; 0 for now.
        """
        early = self._until.get(client, 0.0) - self._clock.seconds() - (self._burst - 1) * self._pause
        # No more than all of it, should the clock be set back.
        return max(0, min(ceil(early), ceil(self._burst * self._pause)))

    def wrong(self, client: str) -> None:
        """
        Take note of a wrong token.
        """
        now = self._clock.seconds()
        until = max(now, min(self._until.pop(client, now), now + self._burst * self._pause))
        self._until[client] = until + self._pause
        while len(self._until) > self._most:
            self._until.popitem(last=False)
