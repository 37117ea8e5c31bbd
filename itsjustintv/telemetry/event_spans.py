"""
The spans of one event: receive, journal, enrich with each request to Helix, and every delivery attempt. The parts that
do the work know nothing of it.

Names and attributes follow OpenTelemetry's semantic conventions (opentelemetry.io, "Semantic conventions", HTTP
and messaging) where they exist, else they start with ``itsjustintv``. No URL is an attribute: a webhook's is a secret.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from itsjustintv.interfaces import Accept, IEnricher, IOutcomeSink, Resolve
from itsjustintv.model import Acceptance, Attempt, Broadcast, Enrichment, Event, Outcome, Streamer
from itsjustintv.telemetry.tracing import ApiCall, Attribute, Span, SpanKind, Tracer, on_behalf_of

__all__ = ["EventSpans", "TracedEnricher"]

_PORTS = {"http": 80, "https": 443}


@implementer(IOutcomeSink)
@define(eq=False)
class EventSpans:
    """
    Makes the spans of an event.

    :ivar resolve: finds a destination by name.
    :ivar api_url: of Helix, at this moment.
    """

    _tracer: Tracer
    _clock: IReactorTime
    _resolve: Resolve
    _api_url: Callable[[], str]

    def accepting(self, accept: Accept, *, through_conduit: bool = False) -> Accept:
        """
        Wrap ``accept``, to start the trace of each event.

        :param through_conduit: the events come from a WebSocket. One that is not accepted is held and comes again, so
            its first span ends only when it is.
        """

        def followed(event: Event) -> Deferred[Acceptance]:
            trace = self._tracer.begin(event.id)
            if not trace:
                return accept(event)
            traced = event.with_trace(trace)

            def ended(result: Acceptance | Failure) -> Acceptance | Failure:
                if not (through_conduit and isinstance(result, Failure)):
                    verdict = None if isinstance(result, Failure) else result
                    self._received(traced, verdict, through_conduit=through_conduit)
                return result

            return accept(traced).addBoth(ended)

        return followed

    def stored(self, event: Event, asked_at: float) -> None:
        """
        End the span of the commit of an event to the journal.
        """
        context = self._tracer.begin_span(event.trace)
        if context:
            self._end(
                "journal accept",
                SpanKind.INTERNAL,
                context,
                event.trace,
                asked_at,
                {"db.system.name": "sqlite", "db.operation.name": "accept"},
            )

    def called(self, call: ApiCall) -> None:
        """
        Add a span for a request to Helix to the trace of each event for which it was made.
        """
        attributes: dict[str, Attribute] = {
            "http.request.method": call.method,
            "url.template": call.path,
            **_server(self._api_url()),
            "itsjustintv.events": len(call.requesters),
        }
        error = ""
        if call.status is None:
            error = attributes["error.type"] = "no_answer"
        else:
            attributes["http.response.status_code"] = call.status
            if call.status >= 400:
                error = attributes["error.type"] = str(call.status)
        for parent in call.requesters:
            context = self._tracer.begin_span(parent)
            if context:
                self._tracer.end(
                    Span(
                        name=f"{call.method} {call.path}",
                        kind=SpanKind.CLIENT,
                        context=context,
                        parent=parent,
                        started_at=call.started_at,
                        ended_at=call.started_at + call.duration,
                        attributes=attributes,
                        error=error,
                    )
                )

    def record(self, outcome: Outcome) -> None:
        """
        End the span of an attempt that is recorded in the journal.
        """
        attempt = outcome.attempt
        if attempt is None or not attempt.trace:
            return
        delivery = outcome.delivery
        destination = self._resolve(delivery.destination, delivery.streamer)
        self._tracer.end(
            Span(
                name="POST",
                kind=SpanKind.CLIENT,
                context=attempt.trace,
                parent=delivery.trace,
                started_at=attempt.started_at,
                ended_at=attempt.started_at + attempt.duration,
                attributes={
                    "http.request.method": "POST",
                    **({} if destination is None else _server(destination.url)),
                    **({} if delivery.attempts < 2 else {"http.request.resend_count": delivery.attempts - 1}),
                    **_answer(attempt),
                    "itsjustintv.event.id": delivery.event_id,
                    "itsjustintv.delivery.id": delivery.id,
                    "itsjustintv.delivery.state": delivery.state.value,
                    "itsjustintv.destination": delivery.destination,
                    "itsjustintv.streamer": delivery.streamer,
                },
                error="" if attempt.ok else attempt.detail,
            )
        )

    def enriched(self, event: Event, streamer: Streamer, context: str, begun_at: float, found: Enrichment) -> None:
        """
        End the span of the enrichment of an event.
        """
        attributes: dict[str, Attribute] = {
            "itsjustintv.streamer": streamer.key,
            "itsjustintv.listed": found.stream.listed,
        }
        if found.problems:
            attributes["itsjustintv.problems"] = found.problems
        self._end("enrich", SpanKind.INTERNAL, context, event.trace, begun_at, attributes)

    def _received(self, event: Event, verdict: Acceptance | None, *, through_conduit: bool) -> None:
        attributes: dict[str, Attribute] = {
            "itsjustintv.event.id": event.id,
            "itsjustintv.streamer": event.broadcaster_login or event.broadcaster_id,
            "itsjustintv.verdict": "unavailable" if verdict is None else verdict.name.lower(),
        }
        error = "" if verdict is not None else "the journal could not store it"
        if event.recovered:
            self._end("catch up", SpanKind.INTERNAL, event.trace, "", event.received_at, attributes, error)
            return
        attributes |= {"messaging.system": "twitch_eventsub", "messaging.message.id": event.message_id}
        if through_conduit:
            attributes |= {
                "messaging.operation.name": "process",
                "messaging.operation.type": "process",
                "network.protocol.name": "websocket",
            }
            self._end("process eventsub", SpanKind.CONSUMER, event.trace, "", event.received_at, attributes, error)
            return
        attributes |= {
            "http.request.method": "POST",
            "http.route": "/twitch",
            "url.path": "/twitch",
            "http.response.status_code": 503 if verdict is None else 200,
        }
        self._end("POST /twitch", SpanKind.SERVER, event.trace, "", event.received_at, attributes, error)

    def _end(  # noqa: PLR0917 - the fields of a span
        self,
        name: str,
        kind: SpanKind,
        context: str,
        parent: str,
        started_at: float,
        attributes: dict[str, Attribute],
        error: str = "",
    ) -> None:
        self._tracer.end(
            Span(
                name=name,
                kind=kind,
                context=context,
                parent=parent,
                started_at=started_at,
                ended_at=self._clock.seconds(),
                attributes=attributes,
                error=error,
            )
        )


@implementer(IEnricher)
@define(eq=False)
class TracedEnricher:
    """
    Wraps an enricher, to put its work and its requests to Helix into the trace of the event.
    """

    _enricher: IEnricher
    _event_spans: EventSpans
    _tracer: Tracer
    _clock: IReactorTime

    def enrich(self, event: Event, streamer: Streamer, broadcast: Broadcast | None = None) -> Deferred[Enrichment]:
        context = self._tracer.begin_span(event.trace)
        if not context:
            return self._enricher.enrich(event, streamer, broadcast)
        begun_at = self._clock.seconds()
        with on_behalf_of([context]):
            enriching = self._enricher.enrich(event, streamer, broadcast)

        def found(enrichment: Enrichment) -> Enrichment:
            self._event_spans.enriched(event, streamer, context, begun_at, enrichment)
            return enrichment

        return enriching.addCallback(found)


def _server(url: str) -> dict[str, Attribute]:
    parts = urlsplit(url)
    return {"server.address": parts.hostname or "", "server.port": parts.port or _PORTS.get(parts.scheme, 0)}


def _answer(attempt: Attempt) -> dict[str, Attribute]:
    status: dict[str, Attribute] = {} if attempt.status is None else {"http.response.status_code": attempt.status}
    failure: dict[str, Attribute] = {} if attempt.ok else {"error.type": attempt.reason}
    return {**status, **failure}
