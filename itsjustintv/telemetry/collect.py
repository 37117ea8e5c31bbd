"""
One reading of every metric, shared by all who ask at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from itsjustintv.errors import JournalUnavailable
from itsjustintv.model import Census
from itsjustintv.support.file_thread_pool import InThread
from itsjustintv.support.waiters import SingleFlight
from itsjustintv.telemetry.instruments import Reading, Registry
from itsjustintv.telemetry.prometheus import render

__all__ = ["Collection"]

# Seconds for which an answer of the journal is reused, and the longest wait for one.
_FRESH = 1.0
_CENSUS_TIMEOUT = 2.0


@define(eq=False)
class Collection:
    """
    Reads the instruments after a query of the journal. Concurrent calls share the answer.

    :ivar ask: queries the journal for everything that has not ended.
    :ivar census: its last answer; ``None`` before the first.
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
        Read everything; if the journal does not answer in time, with its previous answer.
        """
        await self._read_census()
        return self.current()

    def current(self) -> Sequence[Reading]:
        """
        Read everything without waiting, with the previous answer of the journal.
        """
        return self._registry.read()

    def text(self) -> Deferred[bytes]:
        """
        Every metric in the text format of Prometheus.
        """
        return self._rendering.join("metrics", self._render)

    async def _render(self) -> bytes:
        text: bytes = await self._in_thread(render, await self.read())
        return text

    async def _read_census(self) -> None:
        now = self._clock.seconds()
        if now - self._asked_at < _FRESH and now >= self._asked_at:
            return
        with suppress(DeferredTimeout):  # the previous answer is used
            await self._counting.join("census", self._count).addTimeout(_CENSUS_TIMEOUT, self._clock)

    async def _count(self) -> None:
        try:
            self.census = await self._ask()
        except (JournalUnavailable, CancelledError):
            return
        except Exception:  # noqa: BLE001 - metrics of everything else are read all the same
            self.log.failure(
                "cannot count the deliveries for the metrics; the previous counts are exposed until the next reading"
            )
            return
        self._asked_at = self._clock.seconds()
