"""
Where telemetry joins the parts: the wrappers through which events are traced, and where each gauge is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice

from attrs import frozen

from itsjustintv import __version__
from itsjustintv.app.conduit import ConduitParts
from itsjustintv.app.context import Context
from itsjustintv.app.delivery import DeliveryParts
from itsjustintv.app.twitch import SubscriptionParts, TwitchParts
from itsjustintv.app.web import WebParts
from itsjustintv.config.secrets import telemetry_secrets
from itsjustintv.config.sections import Config
from itsjustintv.interfaces import Accept, IEnricher
from itsjustintv.model import Census, State
from itsjustintv.telemetry import catalogue
from itsjustintv.telemetry.collect import Collection
from itsjustintv.telemetry.event_spans import TracedEnricher
from itsjustintv.telemetry.export_service import TelemetryService
from itsjustintv.telemetry.instruments import OTHER, Labels
from itsjustintv.telemetry.otlp_settings import Settings
from itsjustintv.telemetry.prometheus import MetricsResource

__all__ = ["TelemetryParts", "counted_recovery", "traced_accept", "traced_enricher"]

_STATES = ("healthy", "failing", "paused")

_Values = Iterable[tuple[Labels, float]]


def traced_accept(context: Context, accept: Accept, *, through_conduit: bool = False) -> Accept:
    """
    Begin a trace for each event on its way to ``accept``.

    :param through_conduit: the events come from a WebSocket.
    """
    return context.event_spans.accepting(accept, through_conduit=through_conduit)


def counted_recovery(context: Context, accept: Accept) -> Accept:
    """
    Count the events that the catch-up recovers, by what ``accept`` answers.
    """
    return context.metrics.recovering(accept)


def traced_enricher(context: Context, enricher: IEnricher) -> IEnricher:
    """
    Show in the trace of each event how it was enriched, with the calls made for it.
    """
    return TracedEnricher(enricher, context.event_spans, context.tracer, context.reactor)


@frozen
class TelemetryParts:
    """
    The export of telemetry, and ``/metrics``.

    :ivar resource: ``/metrics``.
    """

    service: TelemetryService
    resource: MetricsResource

    @classmethod
    def of(
        cls,
        context: Context,
        twitch: TwitchParts,
        delivery: DeliveryParts,
        subscriptions: SubscriptionParts,
        *,
        web: WebParts,
        environ: Mapping[str, str],
    ) -> TelemetryParts:
        """
        :param environ: holds the variables ``OTEL_*``.
        """
        metrics = context.metrics
        collection = Collection(metrics.registry, context.journal.census, context.reactor, context.file_threads.run)
        service = TelemetryService(
            lambda: _settings(context.config(), environ),
            context.tracer,
            collection,
            metrics.spans,
            context.reactor,
            context.file_threads.run,
            ahead=context.steady.ahead,
        )
        metrics.expect(context.routing.destinations())
        _observe_journal(context, collection)
        _observe_deliveries(context, delivery)
        _observe_twitch(context, twitch, subscriptions)
        _observe_conduit(context, subscriptions.conduit)
        _observe_daemon(context, web, service)
        return cls(service, MetricsResource(collection.text))


def _settings(config: Config, environ: Mapping[str, str]) -> Settings:
    section = config.telemetry
    return Settings(
        enabled=section.enabled,
        endpoint=section.endpoint,
        service_name=section.service_name,
        service_version=section.service_version,
        environ=environ,
        secrets=tuple(telemetry_secrets(config, environ)),
    )


def _observe_journal(context: Context, collection: Collection) -> None:
    registry, now = context.metrics.registry, context.reactor.seconds

    def counted(count: Callable[[Census], int]) -> float | None:
        return None if collection.census is None else count(collection.census)

    def deliveries() -> _Values:
        if collection.census is not None:
            for state in State:
                yield (state.value,), getattr(collection.census.accounting, state.value)

    def pending() -> _Values:
        by_destination = {} if collection.census is None else collection.census.pending
        shown = _shown(context)
        yield from (((name,), by_destination.get(name, 0)) for name in shown)
        # Destinations that were removed, and those beyond the limit that have deliveries pending.
        yield from (((name,), count) for name, count in by_destination.items() if name not in shown)

    def oldest() -> float | None:
        census = collection.census
        if census is None:
            return None
        return 0.0 if census.oldest_at is None else max(0.0, now() - census.oldest_at)

    def last_event() -> float | None:
        census = collection.census
        return None if census is None or census.newest_at is None else max(0.0, now() - census.newest_at)

    registry.observe(catalogue.DELIVERIES, deliveries)
    registry.observe(catalogue.PENDING, pending)
    registry.observe_one(catalogue.OLDEST_AGE, oldest)
    registry.observe_one(catalogue.LAST_EVENT_AGE, last_event)
    registry.observe_one(catalogue.WANTED, lambda: counted(lambda census: census.accounting.wanted))
    registry.observe_one(catalogue.IMBALANCE, lambda: counted(lambda census: census.accounting.imbalance))
    registry.observe_one(catalogue.DEAD_LETTERS, lambda: counted(lambda census: census.dead))
    registry.observe_one(catalogue.UNDELIVERED, lambda: counted(lambda census: census.undelivered))


def _shown(context: Context) -> Mapping[str, None]:
    """
    The destinations with metrics of their own, in order; limited, since a look at each of many would block the reactor.
    """
    return dict.fromkeys(islice(context.routing.destinations(), catalogue.DESTINATIONS))


def _observe_deliveries(context: Context, delivery: DeliveryParts) -> None:
    registry, queue = context.metrics.registry, delivery.queue

    def states() -> _Values:
        known = context.routing.destinations()
        troubled = {name: "failing" for name in context.metrics.failing if name in known}
        troubled.update((name, "paused") for name in queue.paused() if name in known)
        shown = _shown(context)
        for name in shown:
            state = troubled.pop(name, "healthy")
            yield from (((name, each), float(each == state)) for each in _STATES)
        rest = Counter({"healthy": len(known) - len(shown) - len(troubled), **Counter(troubled.values())})
        if len(known) > len(shown):
            yield from (((OTHER, each), rest[each]) for each in _STATES)

    registry.observe(catalogue.DESTINATION_STATE, states)
    registry.observe_one(catalogue.ATTEMPTS_UNDER_WAY, lambda: queue.under_way)


def _observe_twitch(context: Context, twitch: TwitchParts, subscriptions: SubscriptionParts) -> None:
    registry, reconciler = context.metrics.registry, subscriptions.reconciler

    def subscription_counts() -> _Values:
        report = reconciler.report()
        for state in ("wanted", "enabled", "pending", "broken", "unknown", "incomplete"):
            yield (state,), getattr(report, state)

    registry.observe(catalogue.SUBSCRIPTIONS, subscription_counts)
    registry.observe_one(catalogue.SUBSCRIPTIONS_CHECKED, lambda: _wall(context, reconciler.report().at))
    registry.observe_one(catalogue.TOKEN_EXPIRY, lambda: _wall(context, twitch.token.expires_at))
    registry.observe_one(catalogue.CLOCK_AHEAD, twitch.time.ahead)
    registry.observe_one(catalogue.HELIX_POINTS, lambda: twitch.bucket.points)
    registry.observe_one(catalogue.HELIX_LIMIT, lambda: twitch.bucket.limit)


def _observe_conduit(context: Context, conduit: ConduitParts) -> None:
    registry, shards, counts = context.metrics.registry, conduit.shards, conduit.shards.counts

    def states() -> _Values:
        found = shards.status()
        yield ("configured",), shards.configured()
        yield ("enabled",), sum(each.enabled for each in found)
        yield ("standing_by",), sum(each.standing_by for each in found)

    def ages() -> _Values:
        now = context.reactor.seconds()
        for each in shards.status():
            if each.session.last_frame is not None:
                yield (each.id,), max(0.0, now - each.session.last_frame)

    def losses() -> _Values:
        found: Counter[str] = Counter()
        for code, count in counts.losses.items():
            name = "none" if code is None else str(code)
            found[name if name in catalogue.CLOSE_CODES else "other"] += count
        return [((name,), count) for name, count in found.items()]

    registry.observe(catalogue.CONDUIT_SHARDS, states)
    registry.observe(catalogue.LAST_FRAME_AGE, ages)
    registry.observe(catalogue.SESSIONS_LOST, losses)
    registry.observe_one(catalogue.SESSION_MOVES, shards.moves)
    registry.observe(
        catalogue.ASSIGNMENTS,
        lambda: ((("succeeded",), counts.assigned), (("failed",), counts.not_assigned)),
    )
    registry.observe_one(catalogue.GAP_SECONDS, counts.gap_seconds)
    registry.observe_one(catalogue.EVENTS_HELD, lambda: conduit.frames.held)


def _wall(context: Context, at: float | None) -> float | None:
    """
    Convert a steady time to the wall clock.
    """
    return None if at is None else at + context.clock_jumps.ahead


def _observe_daemon(context: Context, web: WebParts, service: TelemetryService) -> None:
    registry, status, connections = context.metrics.registry, context.config_service.status, web.connections
    started_at = context.reactor.seconds()

    def expiries() -> _Values:
        for each in web.https.metrics():
            if each.not_after is not None:
                yield (each.name,), each.not_after

    def orders() -> _Values:
        for each in web.https.metrics():
            yield (each.name, "succeeded"), each.succeeded
            yield (each.name, "failed"), each.failed

    def refused() -> _Values:
        yield ("too_many_connections",), connections.rejected
        yield ("slow",), connections.timed_out
        for number, count in list(connections.refused.items()):
            yield (str(number),), count

    def problems() -> Iterator[tuple[Labels, float]]:
        for name, problem in (*web.health.checks, ("telemetry", service.problem)):
            yield (name,), float(problem() is not None)

    registry.observe(catalogue.CERTIFICATE_EXPIRY, expiries)
    registry.observe(catalogue.CERTIFICATE_ORDERS, orders)
    registry.observe(catalogue.HTTP_REFUSED, refused)
    registry.observe_one(catalogue.HTTP_CONNECTIONS, lambda: len(connections.open))
    registry.observe(catalogue.RELOADS, lambda: ((("applied",), status().applied), (("failed",), status().failed)))
    registry.observe_one(catalogue.RELOAD_SUCCESSFUL, lambda: float(not status().problems))
    registry.observe_one(catalogue.RELOAD_SUCCESS, lambda: _wall(context, status().succeeded_at))
    registry.observe(catalogue.PROBLEM, problems)
    registry.observe(catalogue.BUILD, lambda: (((__version__,), 1.0),))
    registry.observe_one(catalogue.STARTED, lambda: _wall(context, started_at))
    registry.observe_one(catalogue.CLOCK_SET, lambda: context.clock_jumps.count)
