"""
The identity of a span, as one HTTP header carries it (W3C Trace Context, "traceparent").
"""

from __future__ import annotations

import re

from attrs import frozen

__all__ = ["Traceparent", "child", "is_one", "of_event", "parse", "write"]

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
