"""
What is measured: looked at where it is, brought together, shown and sent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice

from attrs import frozen

from itsjustintv import __version__
from itsjustintv.app.context import Context
from itsjustintv.app.delivery import Deliveries
from itsjustintv.app.twitch import SubscriptionParts, TwitchParts
from itsjustintv.app.web import Web
from itsjustintv.config.secrets import given_to_collectors
from itsjustintv.config.sections import Config
from itsjustintv.model import Census, State
from itsjustintv.telemetry import catalogue
from itsjustintv.telemetry.collect import Collection
from itsjustintv.telemetry.export_service import TelemetryService
from itsjustintv.telemetry.instruments import OTHER, Labels
from itsjustintv.telemetry.otlp_settings import Settings
from itsjustintv.telemetry.prometheus import MetricsResource

__all__ = ["TelemetryParts"]

_STATES = ("healthy", "failing", "paused")

_Values = Iterable[tuple[Labels, float]]


@frozen
class TelemetryParts:
    """
    Its parts.

    :ivar resource: ``/metrics``.
    """

    service: TelemetryService
    resource: MetricsResource

    @classmethod
    def of(
        cls,
        ground: Context,
        twitch: TwitchParts,
        deliveries: Deliveries,
        subscriptions: SubscriptionParts,
        *,
        web: Web,
        environ: Mapping[str, str],
    ) -> TelemetryParts:
        """
        Put them together.

        :param environ: the variables ``OTEL_*`` are in it.
        """
        metrics = ground.metrics
        collection = Collection(metrics.registry, ground.journal.census, ground.reactor, ground.disk.run)
        service = TelemetryService(
            lambda: _settings(ground.config(), environ),
            ground.tracer,
            collection,
            metrics.spans,
            ground.reactor,
            ground.disk.run,
            ahead=ground.steady.ahead,
        )
        metrics.expect(ground.routing.destinations())
        _observe_journal(ground, collection)
        _observe_deliveries(ground, deliveries)
        _observe_twitch(ground, twitch, subscriptions)
        _observe_daemon(ground, web, service)
        return cls(service, MetricsResource(collection.text))


def _settings(config: Config, environ: Mapping[str, str]) -> Settings:
    section = config.telemetry
    return Settings(
        enabled=section.enabled,
        endpoint=section.endpoint,
        service_name=section.service_name,
        service_version=section.service_version,
        environ=environ,
        secrets=tuple(given_to_collectors(config, environ)),
    )


def _observe_journal(ground: Context, collection: Collection) -> None:
    registry, now = ground.metrics.registry, ground.reactor.seconds

    def counted(count: Callable[[Census], int]) -> float | None:
        return None if collection.census is None else count(collection.census)

    def deliveries() -> _Values:
        if collection.census is not None:
            for state in State:
                yield (state.value,), getattr(collection.census.accounting, state.value)

    def pending() -> _Values:
        waiting = {} if collection.census is None else collection.census.pending
        shown = _shown(ground)
        yield from (((name,), waiting.get(name, 0)) for name in shown)
        # Those that are not configured any more, and those of a crowd.
        yield from (((name,), count) for name, count in waiting.items() if name not in shown)

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


def _shown(ground: Context) -> Mapping[str, None]:
    """
    The destinations that are told apart, in their order: to look at each of a crowd would hold up the reactor.
    """
    return dict.fromkeys(islice(ground.routing.destinations(), catalogue.DESTINATIONS))


def _observe_deliveries(ground: Context, deliveries: Deliveries) -> None:
    registry, queue = ground.metrics.registry, deliveries.queue

    def states() -> _Values:
        known = ground.routing.destinations()
        troubled = {name: "failing" for name in ground.metrics.failing if name in known}
        troubled.update((name, "paused") for name in queue.paused() if name in known)
        shown = _shown(ground)
        for name in shown:
            state = troubled.pop(name, "healthy")
            yield from (((name, each), float(each == state)) for each in _STATES)
        rest = Counter({"healthy": len(known) - len(shown) - len(troubled), **Counter(troubled.values())})
        if len(known) > len(shown):
            yield from (((OTHER, each), rest[each]) for each in _STATES)

    registry.observe(catalogue.DESTINATION_STATE, states)
    registry.observe_one(catalogue.ATTEMPTS_UNDER_WAY, lambda: queue.under_way)


def _observe_twitch(ground: Context, twitch: TwitchParts, subscriptions: SubscriptionParts) -> None:
    registry, keeper = ground.metrics.registry, subscriptions.keeper

    def standing() -> _Values:
        report = keeper.report()
        for state in ("wanted", "enabled", "pending", "broken", "unknown"):
            yield (state,), getattr(report, state)

    registry.observe(catalogue.SUBSCRIPTIONS, standing)
    registry.observe_one(catalogue.SUBSCRIPTIONS_CHECKED, lambda: _wall(ground, keeper.report().at))
    registry.observe_one(catalogue.TOKEN_EXPIRY, lambda: _wall(ground, twitch.token.expires_at))
    registry.observe_one(catalogue.CLOCK_AHEAD, twitch.time.ahead)
    registry.observe_one(catalogue.HELIX_POINTS, lambda: twitch.bucket.points)
    registry.observe_one(catalogue.HELIX_LIMIT, lambda: twitch.bucket.limit)


def _wall(ground: Context, at: float | None) -> float | None:
    """
    A moment as the clock of the machine has it.
    """
    return None if at is None else at + ground.jumps.ahead


def _observe_daemon(ground: Context, web: Web, service: TelemetryService) -> None:
    registry, status, traffic = ground.metrics.registry, ground.settings.status, web.traffic
    started_at = ground.reactor.seconds()

    def expiries() -> _Values:
        for each in web.https.metrics():
            if each.not_after is not None:
                yield (each.name,), each.not_after

    def orders() -> _Values:
        for each in web.https.metrics():
            yield (each.name, "succeeded"), each.succeeded
            yield (each.name, "failed"), each.failed

    def refused() -> _Values:
        yield ("too_many_connections",), traffic.turned_away
        yield ("slow",), traffic.slow
        for number, count in list(traffic.refused.items()):
            yield (str(number),), count

    def problems() -> Iterator[tuple[Labels, float]]:
        for name, problem in (*web.health.checks, ("telemetry", service.problem)):
            yield (name,), float(problem() is not None)

    registry.observe(catalogue.CERTIFICATE_EXPIRY, expiries)
    registry.observe(catalogue.CERTIFICATE_ORDERS, orders)
    registry.observe(catalogue.HTTP_REFUSED, refused)
    registry.observe_one(catalogue.HTTP_CONNECTIONS, lambda: len(traffic.open))
    registry.observe(catalogue.RELOADS, lambda: ((("applied",), status().applied), (("failed",), status().failed)))
    registry.observe_one(catalogue.RELOAD_SUCCESSFUL, lambda: float(not status().problems))
    registry.observe_one(catalogue.RELOAD_SUCCESS, lambda: _wall(ground, status().succeeded_at))
    registry.observe(catalogue.PROBLEM, problems)
    registry.observe(catalogue.BUILD, lambda: (((__version__,), 1.0),))
    registry.observe_one(catalogue.STARTED, lambda: _wall(ground, started_at))
    registry.observe_one(catalogue.CLOCK_SET, lambda: ground.jumps.count)
