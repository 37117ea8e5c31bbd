"""
What arrives on an HTTP/2 connection, no faster than is good for others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import inf
from typing import Any, ClassVar

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from itsjustintv.web.http2.frames import Frames

__all__ = ["AbuseBudget", "FrameReader"]

# Frames that are taken before others have their turn. A few bytes may be many requests.
_AT_ONCE = 32


class FrameReader:
    """
    Hands frames on, some in each turn of the reactor, and has nothing read while there are more.

    :param frames: cuts what arrives.
    :param hear: takes some of them. What it does not take, since it has ended this, is lost.
    :param transport: what is read from.
    :param patience: seconds that what has begun may take to be whole.
    :ivar due: when what has begun must be whole; infinite while nothing has, or it is we who are late.
    """

    _log: ClassVar[Logger] = Logger()

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
        self._left = _AT_ONCE
        self._turn: IDelayedCall | None = None
        self._more = False
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
        if not self._more:
            self._read()

    def _read(self) -> None:
        self._more = False
        count = self._frames.count
        self._hear(self._some())
        if self._ended:
            return
        if self._blocked or not self._frames.unfinished:
            self.due = inf
        elif self._frames.count > count or self.due == inf:
            # What has not been looked at is nobody's fault but ours.
            self.due = inf if self._more else self._clock.seconds() + self._patience
        self._pace()

    def _some(self) -> Iterator[bytes]:
        while self._left:
            frame = None if self._blocked or self._ended else self._frames.take()
            if frame is None:
                return
            self._left -= 1
            if self._turn is None:
                # TLS may bring a hundred parts in one turn, so those are counted and not the parts.
                self._turn = self._clock.callLater(0, self._renew)
            yield frame
        self._more = True

    def _renew(self) -> None:
        self._turn, self._left = None, _AT_ONCE
        if self._more:
            try:
                self._read()
            except Exception:  # noqa: BLE001 - nobody else would end the connection
                self._log.failure("cannot read an HTTP/2 connection; it was dropped")
                self._transport.abortConnection()

    def _pace(self) -> None:
        pause = self._blocked or self._more
        if pause and not self._paused:
            self._transport.pauseProducing()
        elif self._paused and not pause:
            self._transport.resumeProducing()
        self._paused = pause


# What is there at first and at most, and what comes back each second.
_MOST = 1000.0
_EACH_SECOND = 100.0


@define(eq=False)
class AbuseBudget:
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
