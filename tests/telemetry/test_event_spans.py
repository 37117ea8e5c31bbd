"""
Tests of :mod:`itsjustintv.telemetry.event_spans`.
"""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from itsjustintv.errors import JournalUnavailable
from itsjustintv.interfaces import IEnricher, IOutcomeSink
from itsjustintv.model import Acceptance, Broadcast, Destination, Enrichment, Event, Outcome, State, Streamer
from itsjustintv.telemetry.event_spans import EventSpans, TracedEnricher
from itsjustintv.telemetry.tracing import ApiCall, Span, SpanKind, format_traceparent, parse_traceparent, requesters
from tests.journal.values import attempt, deliveries, event
from tests.telemetry.test_tracing import Shelf, a_tracer

SECRET_URL = "https://receiver.example:8443/hooks/a-secret?token=another"
TRACE = format_traceparent(0xABC, 0xDEF, sampled=True)


@implementer(IEnricher)
class Enricher:
    """
    Asks for something with each enrichment.
    """

    asked_for: tuple[str, ...] = ()
    answer: Deferred[Enrichment]

    def enrich(self, event: Event, streamer: Streamer, broadcast: Broadcast | None = None) -> Deferred[Enrichment]:
        self.answer = Deferred()
        return Deferred.fromCoroutine(self._enrich())

    async def _enrich(self) -> Enrichment:
        self.asked_for = requesters()
        return await self.answer


class FollowingCase(SynchronousTestCase):
    """
    Somebody who follows events, and keeps what was seen.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000.0)
        self.shelf = Shelf()
        self.tracer = a_tracer(self.shelf)
        self.destinations: dict[str, Destination] = {"a": Destination(name="a", url=SECRET_URL)}
        self.following = EventSpans(
            self.tracer,
            self.clock,
            lambda name, _key: self.destinations.get(name),
            lambda: "https://api.twitch.tv/helix",
        )

    def span(self) -> Span:
        """
        The only span there is.
        """
        [span] = self.shelf.spans
        return span


class AcceptingTests(FollowingCase):
    """
    At the door.
    """

    def accept(self, given: Event, answer: Deferred[Acceptance], **how: bool) -> Deferred[Acceptance]:
        """
        Hand an event in.
        """
        self.handed: list[Event] = []

        def accept(event: Event) -> Deferred[Acceptance]:
            self.handed.append(event)
            return answer

        return self.following.accepting(accept, **how)(given)

    def test_an_event_gets_a_trace(self) -> None:
        """
        The event that is handed on has a trace, whose first span is from the receipt to the answer.
        """
        answer: Deferred[Acceptance] = Deferred()
        accepting = self.accept(event(received_at=999.5), answer)
        self.clock.advance(0.25)
        answer.callback(Acceptance.ACCEPTED)
        self.assertEqual(self.successResultOf(accepting), Acceptance.ACCEPTED)
        [handed], span = self.handed, self.span()
        self.assertEqual(evolve(handed, trace=""), event(received_at=999.5))
        self.assertEqual((span.context, span.parent), (handed.trace, ""))
        self.assertEqual((span.name, span.kind, span.error), ("POST /twitch", SpanKind.SERVER, ""))
        self.assertEqual((span.started_at, span.ended_at), (999.5, 1000.25))
        self.assertEqual(span.attributes["messaging.message.id"], handed.message_id)
        self.assertEqual(span.attributes["http.response.status_code"], 200)

    def test_a_trace_of_somebody_else_is_not_adopted(self) -> None:
        """
        What an event claims to belong to does not count.
        """
        self.accept(event(trace=TRACE), succeed(Acceptance.ACCEPTED))
        self.assertNotEqual(self.handed[0].trace[:36], TRACE[:36])

    def test_an_event_that_cannot_be_kept(self) -> None:
        """
        The journal's failure is passed on, and the span has failed.
        """
        accepting = self.accept(event(), fail(JournalUnavailable("full")))
        self.failureResultOf(accepting, JournalUnavailable)
        self.assertEqual(self.span().attributes["http.response.status_code"], 503)
        self.assertEqual(self.span().error, "the journal could not store it")

    def test_an_event_that_was_asked_for(self) -> None:
        """
        What no message told of came by no request.
        """
        self.accept(event(recovered=True, message_id=""), succeed(Acceptance.DUPLICATE))
        self.assertEqual((self.span().name, self.span().kind), ("catch up", SpanKind.INTERNAL))
        self.assertEqual(self.span().attributes["itsjustintv.verdict"], "duplicate")
        self.assertNotIn("http.route", self.span().attributes)

    def test_an_event_from_a_conduit(self) -> None:
        """
        It came by no HTTP request: its first span is that of a message, with the protocol, and the rest is alike.
        """
        self.accept(event(received_at=999.5), succeed(Acceptance.ACCEPTED), through_conduit=True)
        [handed], span = self.handed, self.span()
        self.assertEqual((span.name, span.kind, span.error), ("process eventsub", SpanKind.CONSUMER, ""))
        self.assertEqual((span.context, span.parent, span.started_at), (handed.trace, "", 999.5))
        self.assertEqual(span.attributes["network.protocol.name"], "websocket")
        self.assertEqual(span.attributes["messaging.message.id"], handed.message_id)
        self.assertEqual(span.attributes["itsjustintv.event.id"], handed.id)
        self.assertEqual([each for each in span.attributes if each.startswith(("http", "url"))], [])

    def test_an_event_that_is_held(self) -> None:
        """
        While it is held in memory there is no span; the one of its acceptance begins with its receipt.
        """
        refused = self.accept(event(received_at=999.5), fail(JournalUnavailable("full")), through_conduit=True)
        self.failureResultOf(refused, JournalUnavailable)
        self.assertEqual(self.shelf.spans, [])
        self.clock.advance(30.0)
        self.accept(event(received_at=999.5), succeed(Acceptance.ACCEPTED), through_conduit=True)
        self.assertEqual((self.span().started_at, self.span().ended_at), (999.5, 1030.0))

    def test_nobody_collects(self) -> None:
        """
        Without a collector the very same event is handed on.
        """
        self.tracer.collector = None
        given = event()
        self.accept(given, succeed(Acceptance.IGNORED))
        self.assertIs(self.handed[0], given)

    def test_kept(self) -> None:
        """
        The journal's part is a span within.
        """
        self.following.stored(event(trace=TRACE), 999.75)
        span = self.span()
        self.assertEqual((span.name, span.parent, span.started_at), ("journal accept", TRACE, 999.75))
        self.following.stored(event(), 999.75)
        self.assertEqual(len(self.shelf.spans), 1)


class EnrichTests(FollowingCase):
    """
    While something is found out.
    """

    def enrich(self, given: Event) -> tuple[Enricher, Deferred[Enrichment]]:
        """
        Have an event enriched.
        """
        inner = Enricher()
        followed = TracedEnricher(inner, self.following, self.tracer, self.clock)
        self.assertTrue(verifyObject(IEnricher, followed))
        return inner, followed.enrich(given, Streamer(key="cool"))

    def test_what_is_asked_is_asked_for_the_event(self) -> None:
        """
        Calls are made on behalf of the span of the enrichment, which lasts until everything is there.
        """
        inner, enriching = self.enrich(event(trace=TRACE))
        self.clock.advance(0.5)
        found = Enrichment(problems=("user: not in time",))
        inner.answer.callback(found)
        self.assertIs(self.successResultOf(enriching), found)
        span = self.span()
        self.assertEqual(inner.asked_for, (span.context,))
        self.assertEqual((span.name, span.parent, span.ended_at), ("enrich", TRACE, 1000.5))
        self.assertEqual(span.attributes["itsjustintv.problems"], ("user: not in time",))
        self.assertEqual(requesters(), ())

    def test_an_event_without_a_trace(self) -> None:
        """
        It is enriched all the same, on behalf of nobody.
        """
        inner, enriching = self.enrich(event())
        inner.answer.callback(Enrichment())
        self.successResultOf(enriching)
        self.assertEqual((inner.asked_for, self.shelf.spans), ((), []))

    def call(self, **changes: Any) -> list[Span]:
        """
        Have a call made.
        """
        more: dict[str, Any] = {"status": 200, "requesters": (TRACE,), **changes}
        self.following.called(ApiCall(method="GET", path="/users", started_at=1000.0, duration=0.5, **more))
        return self.shelf.spans

    def test_a_call_is_in_the_trace_of_each_event(self) -> None:
        """
        Each event that it was made for has the call as a span within that of its enrichment.
        """
        other = format_traceparent(0x123, 0x456, sampled=True)
        first, second = self.call(requesters=(TRACE, other))
        self.assertEqual((first.parent, second.parent), (TRACE, other))
        for span in (first, second):
            mine, parent = parse_traceparent(span.context), parse_traceparent(span.parent)
            assert mine is not None
            assert parent is not None
            self.assertEqual(mine.trace_id, parent.trace_id)
            self.assertEqual((span.name, span.kind), ("GET /users", SpanKind.CLIENT))
            self.assertEqual((span.started_at, span.ended_at, span.error), (1000.0, 1000.5, ""))
            self.assertEqual(span.attributes["server.address"], "api.twitch.tv")
            self.assertEqual(span.attributes["server.port"], 443)

    def test_a_call_that_fails(self) -> None:
        """
        An error of Twitch's is told by its status, and no answer as that.
        """
        [span] = self.call(status=503)
        self.assertEqual((span.error, span.attributes["error.type"]), ("503", "503"))
        _, span = self.call(status=None)
        self.assertEqual((span.error, span.attributes["error.type"]), ("no_answer", "no_answer"))
        self.assertNotIn("http.response.status_code", span.attributes)


class AttemptTests(FollowingCase):
    """
    On the way out.
    """

    def record(self, *, trace: str = TRACE, attempts: int = 1, **changes: Any) -> None:
        """
        Tell of an attempt.
        """
        [delivery] = deliveries(event(), "a")
        delivery = evolve(delivery, state=State.PENDING, attempts=attempts, trace=trace)
        ended = attempt(trace=self.tracer.begin_span(trace), **changes)
        self.following.record(Outcome(delivery=delivery, attempt=ended, at=1001.0))

    def test_is_a_sink(self) -> None:
        """
        It can be told of outcomes.
        """
        self.assertTrue(verifyObject(IOutcomeSink, self.following))

    def test_an_attempt_that_fails(self) -> None:
        """
        It says where, how often before, and why, and nothing of a URL but its host.
        """
        self.record(attempts=3)
        span = self.span()
        self.assertEqual((span.name, span.kind, span.parent), ("POST", SpanKind.CLIENT, TRACE))
        self.assertEqual((span.started_at, span.ended_at), (1000.5, 1000.75))
        self.assertEqual(span.error, "the receiver answered")
        self.assertEqual(
            {name: value for name, value in span.attributes.items() if not name.startswith("itsjustintv")},
            {
                "http.request.method": "POST",
                "server.address": "receiver.example",
                "server.port": 8443,
                "http.request.resend_count": 2,
                "http.response.status_code": 503,
                "error.type": "http_503",
            },
        )
        self.assertNotIn("secret", repr(span))
        self.assertNotIn("another", repr(span))

    def test_an_attempt_that_succeeds(self) -> None:
        """
        It has no error, and the first was not sent before.
        """
        self.record(ok=True)
        self.assertEqual(self.span().error, "")
        self.assertNotIn("http.request.resend_count", self.span().attributes)
        self.assertNotIn("error.type", self.span().attributes)

    def test_an_attempt_without_an_answer(self) -> None:
        """
        It has no status; a destination that is gone meanwhile has no place.
        """
        self.destinations.clear()
        self.record(status=None, reason="timeout")
        self.assertEqual(self.span().attributes["error.type"], "timeout")
        self.assertNotIn("server.address", self.span().attributes)
        self.assertNotIn("http.response.status_code", self.span().attributes)

    def test_what_is_no_attempt_of_a_trace(self) -> None:
        """
        An end without an attempt, and an attempt of no trace, are no spans.
        """
        self.record(trace="")
        [delivery] = deliveries(event(), "a")
        self.following.record(Outcome(delivery=delivery, attempt=None, at=1001.0))
        self.assertEqual(self.shelf.spans, [])
