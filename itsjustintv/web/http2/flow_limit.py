"""
The rate of what arrives on an HTTP/2 connection: frames per reactor turn, and a budget for useless frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import inf
from typing import Any, ClassVar

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from itsjustintv.web.http2.frames import FrameSplitter

__all__ = ["AbuseBudget", "FrameReader"]

# Frames taken in one turn of the reactor. A few bytes may be many requests.
_PER_TURN = 32


class FrameReader:
    """
    Passes frames on, a limited number in each turn of the reactor, and pauses the transport while there are more.

    :param frames: splits what arrives.
    :param receive: takes an iterable of frames. Those that it does not take, having stopped this, are lost.
    :param transport: what is read from.
    :param timeout: seconds in which a frame must be complete.
    :ivar due: when the frame that has begun must be complete; infinite while there is none, or the delay is ours.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        frames: FrameSplitter,
        receive: Callable[[Iterable[bytes]], None],
        transport: Any,
        clock: IReactorTime,
        timeout: float,
    ) -> None:
        self.due = inf
        self._frames = frames
        self._receive = receive
        self._transport = transport
        self._clock = clock
        self._timeout = timeout
        self._left = _PER_TURN
        self._next_turn: IDelayedCall | None = None
        self._more = False
        self._blocked = self._paused = self._ended = False

    def add(self, data: bytes) -> None:
        self._frames.add(data)
        self._continue()

    def pause(self) -> None:
        """
        Take no frames until the peer has read what was sent to it.
        """
        self._blocked = True
        self._update_transport()

    def resume(self) -> None:
        self._blocked = False
        self._continue()

    def stop(self) -> None:
        """
        Take no more frames. The transport goes on: the layers below may need the peer's close.
        """
        self.abandon()
        if self._paused:
            self._paused = False
            self._transport.resumeProducing()

    def abandon(self) -> None:
        """
        Take no more frames, and leave the transport alone: it is gone.
        """
        self._ended = True
        self.due = inf
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None

    def _continue(self) -> None:
        if not self._more:
            self._read()

    def _read(self) -> None:
        self._more = False
        count = self._frames.count
        self._receive(self._take_some())
        if self._ended:
            return
        if self._blocked or not self._frames.is_incomplete:
            self.due = inf
        elif self._frames.count > count or self.due == inf:
            # Frames that are complete and not taken are our delay.
            self.due = inf if self._more else self._clock.seconds() + self._timeout
        self._update_transport()

    def _take_some(self) -> Iterator[bytes]:
        while self._left:
            frame = None if self._blocked or self._ended else self._frames.take()
            if frame is None:
                return
            self._left -= 1
            if self._next_turn is None:
                # TLS may bring a hundred parts in one turn, so frames are counted and not parts.
                self._next_turn = self._clock.callLater(0, self._start_turn)
            yield frame
        self._more = True

    def _start_turn(self) -> None:
        self._next_turn, self._left = None, _PER_TURN
        if self._more:
            try:
                self._read()
            except Exception:  # noqa: BLE001 - nothing else would end the connection
                self._log.failure("cannot read an HTTP/2 connection; it was dropped")
                self._transport.abortConnection()

    def _update_transport(self) -> None:
        pause = self._blocked or self._more
        if pause and not self._paused:
            self._transport.pauseProducing()
        elif self._paused and not pause:
            self._transport.resumeProducing()
        self._paused = pause


# The full budget, and what comes back each second.
_FULL = 1000.0
_REFILL = 100.0


@define(eq=False)
class AbuseBudget:
    """
    Abuse budget of one connection (RFC 9113, section 10.5): what costs us and is no request spends it, time and
    requests restore it.
    """

    _clock: IReactorTime
    _left: float = field(default=_FULL, init=False)
    _at: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._at = self._clock.seconds()

    @property
    def is_exhausted(self) -> bool:
        return self._left < 0

    def spend(self, amount: float) -> None:
        now = self._clock.seconds()
        self._left -= amount
        # The clock may be set back.
        self.restore(max(now - self._at, 0) * _REFILL)
        self._at = now

    def restore(self, amount: float) -> None:
        self._left = min(self._left + amount, _FULL)
