"""
Tests of :mod:`itsjustintv.telemetry.tracing` and :mod:`itsjustintv.telemetry.tracing`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.telemetry import catalogue
from itsjustintv.telemetry.instruments import Counter
from itsjustintv.telemetry.tracing import (
    Span,
    SpanKind,
    Traceparent,
    Tracer,
    format_traceparent,
    is_traceparent,
    make_child,
    parse_traceparent,
)

__all__ = ["Shelf", "a_tracer"]

EVENT = "01a21227f0ceeb038f5e42c400000001"


@define(eq=False)
class Shelf:
    """
    Keeps spans.

    :ivar room: how many more it takes.
    """

    spans: list[Span] = field(factory=list)
    room: int = 1000
    sampling: bool = True
    closed: bool = False

    def samples(self, trace_id: int) -> bool:
        return self.sampling

    def has_room(self) -> bool:
        return self.room > 1

    def put(self, span: Span) -> bool:
        if self.room < 1:
            return False
        self.room -= 1
        self.spans.append(span)
        return True


def a_tracer(shelf: Shelf | None = None) -> Tracer:
    """
    A tracer whose ids count up.
    """
    numbers: Iterator[int] = count(1)
    tracer = Tracer(lambda _: next(numbers), Counter(catalogue.TRACES), Counter(catalogue.SPANS))
    tracer.collector = shelf
    return tracer


def a_span(context: str) -> Span:
    """
    Something that was done.
    """
    return Span(
        name="x", kind=SpanKind.INTERNAL, context=context, parent="", started_at=1.0, ended_at=2.0, attributes={}
    )


class TraceparentTests(SynchronousTestCase):
    """
    The header.
    """

    @given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.booleans())
    def test_there_and_back(self, trace_id: int, span_id: int, sampled: bool) -> None:
        """
        What was written is read again, and a child differs in nothing but its own id.
        """
        text = format_traceparent(trace_id, span_id, sampled=sampled)
        self.assertEqual(parse_traceparent(text), Traceparent(trace_id, span_id, sampled))
        self.assertEqual(parse_traceparent(make_child(text, 7)), Traceparent(trace_id, 7, sampled))

    @given(st.text(max_size=60) | st.from_regex(r"\A[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\Z"))
    def test_anything_else_is_nothing(self, text: str) -> None:
        """
        Whatever else may be in the journal is no trace.
        """
        found = parse_traceparent(text)
        if found is None:
            self.assertFalse(is_traceparent(text) and int(text[3:35], 16) and int(text[36:52], 16))
        else:
            self.assertTrue(is_traceparent(text))
            self.assertEqual(text, format_traceparent(found.trace_id, found.span_id, sampled=found.sampled))

    def test_no_identity_is_all_zeros(self) -> None:
        """
        The ids that the standard forbids are not read.
        """
        self.assertIsNone(parse_traceparent(f"00-{0:032x}-{1:016x}-01"))
        self.assertIsNone(parse_traceparent(f"00-{1:032x}-{0:016x}-01"))


class TracerTests(SynchronousTestCase):
    """
    What is recorded.
    """

    def decided(self, tracer: Tracer) -> dict[str, float]:
        """
        What was decided, and how often.
        """
        return {labels[0]: float(value) for labels, value in tracer._traces.read() if value}  # type: ignore[arg-type]

    def test_nobody_collects(self) -> None:
        """
        Without a collector there is no trace, nor does one of before go on.
        """
        tracer = a_tracer()
        self.assertEqual((tracer.begin(EVENT), tracer.begin_span(format_traceparent(1, 2, sampled=True))), ("", ""))
        tracer.end(a_span(format_traceparent(1, 2, sampled=True)))
        self.assertEqual(self.decided(tracer), {})

    def test_a_trace_is_begun(self) -> None:
        """
        A trace has the id of its event, its spans have ids within it, and what has ended is collected.
        """
        shelf = Shelf()
        tracer = a_tracer(shelf)
        trace = tracer.begin(EVENT)
        span = tracer.begin_span(trace)
        self.assertEqual(trace, f"00-{EVENT}-{EVENT[16:]}-01")
        self.assertEqual(parse_traceparent(span), Traceparent(int(EVENT, 16), 2, sampled=True))
        tracer.end(a_span(span))
        self.assertEqual([each.context for each in shelf.spans], [span])
        self.assertEqual(self.decided(tracer), {"recorded": 1})

    def test_an_event_with_another_id(self) -> None:
        """
        An id that cannot be that of a trace is no hindrance.
        """
        tracer = a_tracer(Shelf())
        for event_id in ("e1", "0" * 32, "A" * 32, EVENT[:16] + "0" * 16):
            trace = parse_traceparent(tracer.begin(event_id))
            assert trace is not None
            self.assertTrue(trace.sampled)

    def test_a_trace_that_is_not_sampled(self) -> None:
        """
        There is none then.
        """
        tracer = a_tracer(Shelf(sampling=False))
        self.assertEqual(tracer.begin(EVENT), "")
        self.assertEqual(self.decided(tracer), {"not_sampled": 1})

    def test_too_much_to_collect(self) -> None:
        """
        When there is hardly any room no trace is begun; one that has begun may be finished, until there is none.
        """
        shelf = Shelf(room=2)
        tracer = a_tracer(shelf)
        trace = tracer.begin(EVENT)
        tracer.end(a_span(trace))
        self.assertEqual(tracer.begin(EVENT), "")
        tracer.end(a_span(trace))
        tracer.end(a_span(trace))
        self.assertEqual(len(shelf.spans), 2)
        self.assertEqual(self.decided(tracer), {"recorded": 1, "passed_over": 1})
        self.assertEqual(dict(tracer._spans.read())["dropped",], 1)

    def test_what_is_no_trace_is_not_continued(self) -> None:
        """
        Something else in the place of a trace begins nothing.
        """
        tracer = a_tracer(Shelf())
        self.assertEqual((tracer.begin_span("rubbish"), tracer.begin_span("")), ("", ""))
