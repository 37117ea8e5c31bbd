"""
What every group of parts stands on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

from attrs import define, field, frozen
from twisted.internet.interfaces import IReactorTime

from itsjustintv.config.sections import Config
from itsjustintv.config.service import ConfigService
from itsjustintv.journal.sqlite.journal import SQLiteJournal
from itsjustintv.routing import Routing
from itsjustintv.support.clock_jumps import ClockJumps
from itsjustintv.support.clocks import SteadyClock, WallClock
from itsjustintv.support.services import FileThreadPool
from itsjustintv.telemetry.event_spans import EventSpans
from itsjustintv.telemetry.metrics import Metrics
from itsjustintv.telemetry.tracing import Tracer

__all__ = ["Context", "EventIds"]


@frozen(kw_only=True)
class Context:
    """
    Handed to each group.

    :ivar reactor: its time is steady: waits and ages go by it, and whatever is dated within the daemon.
    :ivar steady: the same time, and what the wall clock makes of it.
    :ivar wall: the time of the machine, for what is compared with what others date.
    :ivar jumps: hears of it when the clock of the machine is set.
    :ivar random: answers with a number from 0 up to 1.
    :ivar disk: runs what may block on files.
    :ivar settings: the configuration and its changes.
    :ivar new_id: names an event.
    :ivar hide: keeps texts out of the log from now on.
    :ivar metrics: counts what happens.
    :ivar tracer: begins traces and spans.
    :ivar following: makes the spans of an event.
    """

    reactor: Any
    steady: SteadyClock
    wall: WallClock
    jumps: ClockJumps
    random: Callable[[], float]
    disk: FileThreadPool
    settings: ConfigService
    journal: SQLiteJournal
    routing: Routing
    new_id: EventIds
    hide: Callable[[Iterable[str]], None]
    metrics: Metrics
    tracer: Tracer
    following: EventSpans

    def config(self) -> Config:
        """
        The configuration of the moment.
        """
        return self.settings.config


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
