"""
Everything that can be read, brought together when somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from itsjustintv.errors import JournalUnavailable
from itsjustintv.model import Census
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
    _looking: Deferred[Census] | None = field(default=None, init=False)
    _reading: bool = field(default=False, init=False)
    _waiting: list[Deferred[bytes]] = field(factory=list, init=False)

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
        waiting: Deferred[bytes] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        if not self._reading:
            self._reading = True
            Deferred.fromCoroutine(self._write()).addBoth(self._answer)
        return waiting

    async def _write(self) -> bytes:
        text: bytes = await self._in_thread(render, await self.read())
        return text

    def _answer(self, result: Any) -> None:
        waiting, self._waiting, self._reading = self._waiting, [], False
        for each in waiting:
            each.callback(result)

    async def _look(self) -> None:
        now = self._clock.seconds()
        if now - self._asked_at < _FRESH and now >= self._asked_at:
            return
        looking = self._looking
        if looking is None:
            looking = self._looking = self._ask()
            looking.addCallbacks(self._found, self._failed)
        waiting: Deferred[None] = Deferred()
        looking.addCallback(_tell, waiting)
        deadline = self._clock.callLater(_PATIENCE, waiting.cancel)
        try:
            await waiting
        except CancelledError:
            pass  # what was known before will do
        finally:
            if deadline.active():
                deadline.cancel()

    def _found(self, census: Census) -> None:
        self._looking, self.census, self._asked_at = None, census, self._clock.seconds()

    def _failed(self, failure: Any) -> None:
        self._looking = None
        if not failure.check(JournalUnavailable, CancelledError):
            self.log.failure("the journal could not be counted for the metrics, will try again", failure)


def _tell(result: Any, waiting: Deferred[None]) -> Any:
    if not waiting.called:
        waiting.callback(None)
    return result
