"""
What arrives on an HTTP/2 connection, no faster than is good for others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import inf
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from itsjustintv.web.frames import Frames

__all__ = ["Inflow"]

# Frames that are taken before others have their turn. A few bytes may be many requests.
_AT_ONCE = 32


class Inflow:
    """
    Hands frames on, some in each turn of the reactor, and has nothing read while there are more.

    :param frames: cuts what arrives.
    :param hear: takes some of them. What it does not take, since it has ended this, is lost.
    :param transport: what is read from.
    :param patience: seconds that what has begun may take to be whole.
    :ivar due: when what has begun must be whole; infinite while nothing has, or it is we who are late.
    """

    def __init__(
        self,
        frames: Frames,
        hear: Callable[[Iterable[bytes]], None],
        transport: Any,
        clock: IReactorTime,
        patience: float,
    ) -> None:
        self.due = inf
        self._frames = frames
        self._hear = hear
        self._transport = transport
        self._clock = clock
        self._patience = patience
        self._turn: IDelayedCall | None = None
        self._blocked = self._paused = self._ended = False

    def add(self, data: bytes) -> None:
        """
        Take what has arrived.
        """
        self._frames.add(data)
        self._go_on()

    def block(self) -> None:
        """
        Take nothing until the peer has read what it was told.
        """
        self._blocked = True
        self._pace()

    def unblock(self) -> None:
        """
        Take what is there.
        """
        self._blocked = False
        self._go_on()

    def end(self) -> None:
        """
        Take nothing more. What arrives is not stopped: there may be a farewell to be heard by those below.
        """
        self.lose()
        if self._paused:
            self._paused = False
            self._transport.resumeProducing()

    def lose(self) -> None:
        """
        Take nothing more, and leave the transport alone: it is gone.
        """
        self._ended = True
        self.due = inf
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None

    def _go_on(self) -> None:
        if self._turn is None:
            self._read()

    def _read(self) -> None:
        self._turn = None
        count = self._frames.count
        self._hear(self._some())
        if self._ended:
            return
        if not self._frames.unfinished or self._turn is not None or self._blocked:
            self.due = inf
        elif self._frames.count > count or self.due == inf:
            self.due = self._clock.seconds() + self._patience
        self._pace()

    def _some(self) -> Iterator[bytes]:
        for _ in range(_AT_ONCE):
            frame = None if self._blocked or self._ended else self._frames.take()
            if frame is None:
                return
            yield frame
        if not self._ended:
            self._turn = self._clock.callLater(0, self._read)

    def _pace(self) -> None:
        pause = self._blocked or self._turn is not None
        if pause and not self._paused:
            self._transport.pauseProducing()
        elif self._paused and not pause:
            self._transport.resumeProducing()
        self._paused = pause
