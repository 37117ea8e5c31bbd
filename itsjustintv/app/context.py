"""
What every part of the daemon may use: time, storage, configuration, routing, telemetry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

from attrs import define, field, frozen
from twisted.internet.interfaces import IReactorTime

from itsjustintv.config.reload import ConfigService
from itsjustintv.config.sections import Config
from itsjustintv.journal.interfaces import IJournal
from itsjustintv.routing import Routing
from itsjustintv.support.clock_jumps import ClockJumps
from itsjustintv.support.clocks import SteadyClock, WallClock
from itsjustintv.support.file_thread_pool import FileThreadPool
from itsjustintv.telemetry.event_spans import EventSpans
from itsjustintv.telemetry.metrics import Metrics
from itsjustintv.telemetry.tracing import Tracer

__all__ = ["Context", "EventIds"]


@frozen(kw_only=True)
class Context:
    """
    Handed to each group of parts.

    :ivar reactor: its time is steady: it cannot be set, and is used for waits, ages and times within the daemon.
    :ivar steady: the same time, and how to convert it to the wall clock's.
    :ivar wall: the machine's clock, for times that are compared with others' or read by others.
    :ivar clock_jumps: notices when the machine's clock is set.
    :ivar random: returns a number from 0 up to 1.
    :ivar file_threads: runs functions that may block on files.
    :ivar config_service: the configuration and its changes.
    :ivar new_event_id: makes the id of an event.
    :ivar hide_secrets: keeps texts out of the log from now on.
    """

    reactor: Any
    steady: SteadyClock
    wall: WallClock
    clock_jumps: ClockJumps
    random: Callable[[], float]
    file_threads: FileThreadPool
    config_service: ConfigService
    journal: IJournal
    routing: Routing
    new_event_id: EventIds
    hide_secrets: Callable[[Iterable[str]], None]
    metrics: Metrics
    tracer: Tracer
    event_spans: EventSpans

    def config(self) -> Config:
        return self.config_service.config


@define(eq=False)
class EventIds:
    """
    Makes unique ids that sort by the time at which they were made.

    New rows of the journal are then neighbours in every index on an id. With random ids each event would touch, and
    write, pages all over the file.

    :ivar clock: its milliseconds since the epoch are the first twelve hexadecimal digits.
    :ivar name: random, of this process: the next digits. The last eight are a counter.
    """

    _clock: IReactorTime
    _name: str
    _numbers: count[int] = field(factory=count, init=False)

    def __call__(self) -> str:
        milliseconds = int(self._clock.seconds() * 1000)
        return f"{milliseconds:012x}{self._name}{next(self._numbers):08x}"
