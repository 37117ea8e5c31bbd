"""
Everything that can be read, brought together when somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from itsjustintv.errors import JournalUnavailable
from itsjustintv.model import Census
from itsjustintv.support.waiters import SingleFlight
from itsjustintv.telemetry.instruments import Reading, Registry
from itsjustintv.telemetry.prometheus import render

__all__ = ["Collection", "InThread"]

#: Runs a function with its arguments away from the reactor.
InThread = Callable[..., Deferred[Any]]

# Seconds for which what the journal said is used again, and for which it is waited for at the most.
_FRESH = 1.0
_PATIENCE = 2.0


@define(eq=False)
class Collection:
    """
    Reads the instruments, after a look into the journal. Whoever asks while that is being done shares the answer.

    :ivar ask: looks at everything in the journal that has not ended.
    :ivar census: what it said last; ``None`` before the first time.
    """

    _registry: Registry
    _ask: Callable[[], Deferred[Census]]
    _clock: IReactorTime
    _in_thread: InThread
    census: Census | None = field(default=None, init=False)
    _asked_at: float = field(default=float("-inf"), init=False)
    _counting: SingleFlight[None] = field(factory=SingleFlight, init=False)
    _rendering: SingleFlight[bytes] = field(factory=SingleFlight, init=False)

    log = Logger()

    async def read(self) -> Sequence[Reading]:
        """
        Read everything as it is now; what the journal does not say in time, as it was.
        """
        await self._look()
        return self.current()

    def current(self) -> Sequence[Reading]:
        """
        Read everything at once, as it is now; what the journal says, as it was at the last look.
        """
        return self._registry.read()

    def text(self) -> Deferred[bytes]:
        """
        Everything as Prometheus reads it.
        """
        return self._rendering.join("metrics", self._render)

    async def _render(self) -> bytes:
        text: bytes = await self._in_thread(render, await self.read())
        return text

    async def _look(self) -> None:
        now = self._clock.seconds()
        if now - self._asked_at < _FRESH and now >= self._asked_at:
            return
        with suppress(DeferredTimeout):  # what was known before will do
            await self._counting.join("census", self._count).addTimeout(_PATIENCE, self._clock)

    async def _count(self) -> None:
        try:
            self.census = await self._ask()
        except (JournalUnavailable, CancelledError):
            return
        except Exception:  # noqa: BLE001 - metrics of everything else are read all the same
            self.log.failure("the journal could not be counted for the metrics, will try again")
            return
        self._asked_at = self._clock.seconds()
