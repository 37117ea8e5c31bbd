"""
Traces and spans: which events are traced, and what is done for each. Knows nothing of OpenTelemetry, and costs next to
nothing while no collector is set.

A trace starts with the incoming message. A ``traceparent`` in a request is ignored: its sender would decide what the
daemon records.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from enum import Enum
from typing import Protocol

from attrs import define, field, frozen

from itsjustintv.telemetry.instruments import Counter

__all__ = [
    "ApiCall",
    "Attribute",
    "OnCall",
    "Span",
    "SpanKind",
    "Spans",
    "Traceparent",
    "Tracer",
    "format_traceparent",
    "is_traceparent",
    "make_child",
    "on_behalf_of",
    "parse_traceparent",
    "requesters",
    "traceparent_of_event",
]

Attribute = str | int | float | bool | tuple[str, ...]


class SpanKind(Enum):
    """
    Whether a span is internal, a request received or sent, or a message received (OpenTelemetry, "SpanKind").
    """

    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"
    CONSUMER = "consumer"


@define(eq=False, kw_only=True)  # not frozen: that takes three times as long to create
class Span:
    """
    A step in the handling of an event that has ended.

    :ivar name: one of a few.
    :ivar context: its ``traceparent``.
    :ivar parent: the ``traceparent`` of its parent; empty for the first span of a trace.
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
    Decides which traces are recorded, and takes their spans.
    """

    def samples(self, number: int) -> bool:
        """
        Decide whether a trace is recorded.

        :param number: 128 random bits.
        """

    def has_room(self) -> bool:
        """
        Whether there is room for another trace.
        """

    def put(self, span: Span) -> bool:
        """
        Take a span without blocking.

        :return: ``False`` if the queue is full.
        """


@define(eq=False)
class Tracer:
    """
    Starts traces and spans, and hands ended spans to the collector.

    A trace is recorded completely or not at all. When spans come faster than they are sent, no new trace is recorded,
    so that the started ones have room. An event without a trace costs next to nothing.

    :ivar bits: returns so many random bits.
    :ivar traces: counts events by decision.
    :ivar spans: counts dropped spans.
    :ivar ahead: seconds by which the clock of the machine is ahead of that of the spans.
    :ivar collector: takes the spans; ``None`` while telemetry is off.
    """

    _bits: Callable[[int], int]
    _traces: Counter
    _spans: Counter
    _ahead: Callable[[], float] = lambda: 0.0
    collector: Spans | None = field(default=None, init=False)

    def begin(self, event_id: str) -> str:
        """
        Start the trace of an event. Its id is that of the event.

        :return: the ``traceparent`` of its first span; empty if it is not recorded.
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
        return traceparent_of_event(event_id) or format_traceparent(self._id(128), self._id(64), sampled=True)

    def begin_span(self, parent: str) -> str:
        """
        Start a span of a trace that has started, perhaps before a restart.

        :return: its ``traceparent``; empty without a collector or a trace.
        """
        if not parent or self.collector is None or not is_traceparent(parent):
            return ""
        return make_child(parent, self._id(64))

    def end(self, span: Span) -> None:
        """
        Hand a span that has ended to the collector.
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


_EVENT = re.compile(r"(?=.{16}0*[1-9a-f])[0-9a-f]{32}", re.ASCII)
_FORM = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-(0[01])", re.ASCII)


@frozen
class Traceparent:
    """
    A parsed ``traceparent`` (W3C Trace Context).

    :ivar sampled: whether the trace is recorded.
    """

    trace_id: int
    span_id: int
    sampled: bool


def format_traceparent(trace_id: int, span_id: int, *, sampled: bool) -> str:
    """
    Format a ``traceparent``.

    :param trace_id: 128 bits, not all 0.
    :param span_id: 64 bits, not all 0.
    """
    return f"00-{trace_id:032x}-{span_id:016x}-0{sampled:d}"


def parse_traceparent(text: str) -> Traceparent | None:
    """
    Parse what :func:`format_traceparent` returns; ``None`` for anything else.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    trace_id, span_id = int(found[1], 16), int(found[2], 16)
    return Traceparent(trace_id, span_id, found[3] == "01") if trace_id and span_id else None


def is_traceparent(text: str) -> bool:
    """
    Whether a text has the form of a ``traceparent``; faster than :func:`parse_traceparent`.
    """
    return _FORM.fullmatch(text) is not None


def traceparent_of_event(event_id: str) -> str | None:
    """
    The ``traceparent`` of the first span of an event, with the event id as trace id: the id in the log finds the trace.
    ``None`` for an id of another form.
    """
    return f"00-{event_id}-{event_id[16:]}-01" if _EVENT.fullmatch(event_id) else None


def make_child(parent: str, span_id: int) -> str:
    """
    The ``traceparent`` of another span of the same trace.
    """
    return f"{parent[:36]}{span_id:016x}{parent[52:]}"


_REQUESTERS: ContextVar[tuple[str, ...]] = ContextVar("requesters", default=())


def requesters() -> tuple[str, ...]:
    """
    The spans on whose behalf the current code runs, each as a ``traceparent``. A coroutine started with
    ``Deferred.fromCoroutine`` inherits those of its caller; calls from the reactor have none.
    """
    return _REQUESTERS.get()


@contextmanager
def on_behalf_of(spans: Iterable[str]) -> Iterator[None]:
    """
    Run the block on behalf of these spans.
    """
    token = _REQUESTERS.set(tuple(spans))
    try:
        yield
    finally:
        _REQUESTERS.reset(token)


@frozen(kw_only=True)
class ApiCall:
    """
    One request to Helix and its result.

    :ivar path: the template, without parameters.
    :ivar started_at: seconds since the epoch.
    :ivar duration: seconds.
    :ivar status: of the answer, or ``None`` if there was none.
    :ivar requesters: the spans for which it was made.
    """

    method: str
    path: str
    started_at: float
    duration: float
    status: int | None
    requesters: tuple[str, ...] = ()


#: Called with every request. Returns at once, never raises.
OnCall = Callable[[ApiCall], None]
