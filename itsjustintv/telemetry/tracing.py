"""
Traces: which event is followed, and the spans of what is done for it.

Nothing here knows of OpenTelemetry, and while nobody collects spans nothing here costs anything. A trace is begun at
the door and never adopted from a request: whoever sends one would decide what is recorded of us.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Protocol

from attrs import define, field

from itsjustintv.telemetry.folding_traceparent_tracing import child, is_one, of_event, write
from itsjustintv.telemetry.instruments import Counter

__all__ = ["Attribute", "Span", "SpanKind", "Spans", "Tracer"]

Attribute = str | int | float | bool | tuple[str, ...]


class SpanKind(Enum):
    """
    Where a span stands between us and others (OpenTelemetry, "SpanKind").
    """

    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"


@define(eq=False, kw_only=True)  # not frozen, which takes thrice as long to make
class Span:
    """
    Something that was done for an event, and is over.

    :ivar name: says what kind of thing; there are few.
    :ivar context: its own ``traceparent``.
    :ivar parent: that of what it is a part of; empty for the first span of a trace.
    :ivar started_at: seconds since the epoch.
    :ivar ended_at: seconds since the epoch.
    :ivar attributes: by the names of OpenTelemetry's conventions where there are any. No secrets.
    :ivar error: why it failed; empty if it did not.
    """

    name: str
    kind: SpanKind
    context: str
    parent: str
    started_at: float
    ended_at: float
    attributes: Mapping[str, Attribute]
    error: str = ""


class Spans(Protocol):
    """
    Whoever collects them.
    """

    def samples(self, number: int) -> bool:
        """
        Decide whether a trace is recorded.

        :param number: 128 random bits.
        """

    def has_room(self) -> bool:
        """
        Whether another trace would not be too much.
        """

    def put(self, span: Span) -> bool:
        """
        Take a span, at once.

        :return: ``False`` if there was no room for it.
        """


@define(eq=False)
class Tracer:
    """
    Begins traces and spans, and hands on those that have ended.

    A trace is recorded as a whole or not at all. When spans come faster than they are sent no new trace is begun, so
    that those under way have room to be finished. An event without a trace costs next to nothing.

    :ivar bits: answers with so many random bits.
    :ivar traces: counts events by what was decided.
    :ivar spans: counts those that had to be dropped.
    :ivar ahead: by how many seconds the clock of the machine is ahead of that of the spans.
    :ivar collector: takes the spans; ``None`` while nobody does.
    """

    _bits: Callable[[int], int]
    _traces: Counter
    _spans: Counter
    _ahead: Callable[[], float] = lambda: 0.0
    collector: Spans | None = field(default=None, init=False)

    def begin(self, event_id: str) -> str:
        """
        Begin the trace of an event, which has the same id.

        :return: the ``traceparent`` of its first span; empty when it is not recorded.
        """
        if self.collector is None:
            return ""
        if not self.collector.has_room():
            self._traces.add("passed_over")
            return ""
        if not self.collector.samples(self._bits(128)):
            self._traces.add("not_sampled")
            return ""
        self._traces.add("recorded")
        return of_event(event_id) or write(self._id(128), self._id(64), sampled=True)

    def begin_span(self, parent: str) -> str:
        """
        Begin a span of a trace that has begun, be it before a restart.

        :return: its ``traceparent``; empty while nobody collects, or if there is no such trace.
        """
        if not parent or self.collector is None or not is_one(parent):
            return ""
        return child(parent, self._id(64))

    def end(self, span: Span) -> None:
        """
        Hand on a span that has ended.
        """
        if self.collector is None:
            return
        ahead = self._ahead()
        span.started_at += ahead
        span.ended_at += ahead
        if not self.collector.put(span):
            self._spans.add("dropped")

    def _id(self, bits: int) -> int:
        return self._bits(bits) or 1
