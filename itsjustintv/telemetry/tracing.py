"""
Traces: which event is followed, and the spans of what is done for it.

Nothing here knows of OpenTelemetry, and while nobody collects spans nothing here costs anything. A trace is begun at
the door and never adopted from a request: whoever sends one would decide what is recorded of us.
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
    "child",
    "is_one",
    "of_event",
    "on_behalf_of",
    "parse",
    "requesters",
    "write",
]

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


_EVENT = re.compile(r"(?=.{16}0*[1-9a-f])[0-9a-f]{32}", re.ASCII)
_FORM = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-(0[01])", re.ASCII)


@frozen
class Traceparent:
    """
    What it says.

    :ivar sampled: whether the trace is recorded.
    """

    trace_id: int
    span_id: int
    sampled: bool


def write(trace_id: int, span_id: int, *, sampled: bool) -> str:
    """
    Write it down.

    :param trace_id: 128 bits, not all of them 0; of ``span_id`` 64.
    """
    return f"00-{trace_id:032x}-{span_id:016x}-0{sampled:d}"


def parse(text: str) -> Traceparent | None:
    """
    Read what :func:`write` wrote; ``None`` if it is something else.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    trace_id, span_id = int(found[1], 16), int(found[2], 16)
    return Traceparent(trace_id, span_id, found[3] == "01") if trace_id and span_id else None


def is_one(text: str) -> bool:
    """
    Whether a text has the form of one: quicker than to read it.
    """
    return _FORM.fullmatch(text) is not None


def of_event(event_id: str) -> str | None:
    """
    Name the first span of a recorded trace by the id of its event, which is as long as that of a trace: so whoever
    reads one in the log finds the other. ``None`` for an id of another form.
    """
    return f"00-{event_id}-{event_id[16:]}-01" if _EVENT.fullmatch(event_id) else None


def child(parent: str, span_id: int) -> str:
    """
    Name another span of the same trace.
    """
    return f"{parent[:36]}{span_id:016x}{parent[52:]}"


_REQUESTERS: ContextVar[tuple[str, ...]] = ContextVar("requesters", default=())


def requesters() -> tuple[str, ...]:
    """
    The spans for which something is being asked at this moment, each as a ``traceparent``. What is begun with
    ``Deferred.fromCoroutine`` keeps those of whoever began it; what the reactor calls later has none.
    """
    return _REQUESTERS.get()


@contextmanager
def on_behalf_of(spans: Iterable[str]) -> Iterator[None]:
    """
    Begin something for these spans.
    """
    token = _REQUESTERS.set(tuple(spans))
    try:
        yield
    finally:
        _REQUESTERS.reset(token)


@frozen(kw_only=True)
class ApiCall:
    """
    One request, and how it ended.

    :ivar path: without anything that changes from call to call.
    :ivar started_at: seconds since the epoch.
    :ivar duration: seconds.
    :ivar status: of the answer, or ``None`` when there was none.
    :ivar requesters: the spans for which it was made.
    """

    method: str
    path: str
    started_at: float
    duration: float
    status: int | None
    requesters: tuple[str, ...] = ()


#: Is told of every call. Returns at once, never raises.
OnCall = Callable[[ApiCall], None]
