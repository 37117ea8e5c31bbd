"""
Builds the public site, its listener and its health checks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from attrs import frozen
from twisted.logger import Logger

from itsjustintv.app.context import Context
from itsjustintv.app.delivery import DeliveryParts
from itsjustintv.app.twitch import SubscriptionParts, TwitchParts
from itsjustintv.config.sections import Config
from itsjustintv.errors import ConfigError
from itsjustintv.support.clocks import shift_times
from itsjustintv.support.file_watch import FileWatch
from itsjustintv.tls.modes import ModeFactory
from itsjustintv.tls.service import TLSService
from itsjustintv.twitch.eventsub.status import SubscriptionCounts
from itsjustintv.twitch.eventsub.webhook import TwitchResource
from itsjustintv.web.client_address import ClientAddresses
from itsjustintv.web.connection_limits import ConnectionLimits, ConnectionRegistry
from itsjustintv.web.factories import make_chain
from itsjustintv.web.health import HealthResource, ProbeCheck, ProbeResource
from itsjustintv.web.listener import Listener, tcp
from itsjustintv.web.site import HandlerResource, RootResource, make_site

__all__ = ["WebParts", "make_livez", "make_readyz", "vital_checks"]


@frozen
class WebParts:
    """
    The public site.

    :ivar https: the TLS service.
    :ivar connections: the open connections and the counts.
    """

    https: TLSService
    listener: Listener
    health: HealthResource
    connections: ConnectionRegistry
    _config: Callable[[], Config]

    log: ClassVar[Logger] = Logger()

    @classmethod
    def of(
        cls,
        context: Context,
        twitch: TwitchParts,
        deliveries: DeliveryParts,
        subscriptions: SubscriptionParts,
    ) -> WebParts:
        """
        Build the resources, the site, the chain of factories and the listener.

        :raises CertificateUnusable: HTTPS cannot be served as the configuration says.
        """
        reactor, config, disk = context.reactor, context.config, context.file_threads
        modes = ModeFactory(reactor, disk, context.random, lambda: FileWatch(reactor, disk.run), context.wall)
        https = TLSService(config().server.tls, modes, reactor)
        events = TwitchResource(
            subscriptions.reconciler.secrets,
            subscriptions.intake,
            reactor,
            context.new_event_id,
            context.wall.seconds,
        )
        health = _health(context, twitch, deliveries, subscriptions, https)
        root = RootResource(
            {
                b"/twitch": HandlerResource(events.receive),
                b"/health": health,
                b"/livez": make_livez(context, deliveries),
                b"/readyz": make_readyz(context, twitch, deliveries, subscriptions, https),
            }
        )
        client_addresses = ClientAddresses(lambda: config().server.trusted_proxies)
        site = make_site(root, reactor, ConnectionLimits(), client_addresses)
        site.registry.wall = context.wall.seconds
        chain = make_chain(
            site, https.encrypt, https.offers_http2, client_addresses, lambda: config().server.proxy_protocol
        )
        return cls(https, Listener(lambda: _description(config()), chain, reactor), health, site.registry, config)

    async def prepare(self, config: Config) -> Callable[[bool], None]:
        """
        Bind the port of a new configuration as well, and wait for the decision.

        :return: to be called with whether the configuration takes effect.
        :raises ConfigError: the port cannot be bound.
        """
        return await self.listener.prepare(_description(config))

    async def follow(self) -> None:
        """
        Listen where the current configuration says, if it is elsewhere. Never fails.
        """
        try:
            await self.listener.move(_description(self._config()))
        except ConfigError as error:
            self.log.error(  # noqa: TRY400 - the reason is in the line
                "cannot leave the port that webhooks came to: {reason}; trying again in an hour", reason=str(error)
            )

    async def settle(self) -> None:
        """
        After the decision: bind what could not be bound while another part still had the port.
        """
        await self.listener.settled()
        await self.https.settle()


def _health(
    context: Context,
    twitch: TwitchParts,
    deliveries: DeliveryParts,
    subscriptions: SubscriptionParts,
    https: TLSService,
) -> HealthResource:
    return HealthResource(
        (
            ("journal", context.journal.problem),
            ("pipeline", deliveries.pipeline.problem),
            ("deliveries", deliveries.queue.problem),
        ),
        context.wall,
        others=(
            ("clock", twitch.time.problem),
            ("twitch", twitch.problem),
            ("ids", subscriptions.user_ids.problem),
            ("streamers", context.routing.problem),
            ("logins", subscriptions.unknown_users.problem),
            ("conduit", subscriptions.conduit_problem),
            ("memory", subscriptions.conduit.frames.problem),
            ("subscriptions", subscriptions.reconciler.problem),
            ("catch_up", subscriptions.catch_up.problem),
            ("configuration", context.config_service.problem),
            ("certificates", https.problem),
        ),
        details=(
            ("configuration", lambda: shift_times(context.config_service.status(), context.clock_jumps.ahead).public()),
            ("deliveries", deliveries.stall_check.public),
            ("conduit", subscriptions.conduit.public),
            (
                "subscriptions",
                lambda: shift_times(subscriptions.reconciler.report(), context.clock_jumps.ahead).public(),
            ),
        ),
    )


def _description(config: Config) -> str:
    return tcp(config.server.listen_addr, config.server.port)


def vital_checks(context: Context, deliveries: DeliveryParts) -> Sequence[ProbeCheck]:
    """
    What ``/livez`` and the supervisor check: only a restart helps when one of these fails.
    """
    return (
        ProbeCheck("journal", "a thread has ended", context.journal.fatal_problem),
        ProbeCheck("pipeline", "nothing is prepared", deliveries.pipeline.problem),
        ProbeCheck("deliveries", "nothing is sent", deliveries.queue.problem),
    )


def make_livez(context: Context, deliveries: DeliveryParts) -> ProbeResource:
    """
    ``/livez``. That the reactor runs is proved by any answer.
    """
    return ProbeResource("alive", "dead", vital_checks(context, deliveries))


def make_readyz(
    context: Context, twitch: TwitchParts, deliveries: DeliveryParts, subscriptions: SubscriptionParts, tls: TLSService
) -> ProbeResource:
    """
    ``/readyz``.
    """

    def twitch_problem() -> str | None:
        return twitch.problem() or subscriptions.user_ids.problem() or subscriptions.catch_up.problem()

    return ProbeResource(
        "ready",
        "not ready",
        (
            ProbeCheck("journal", "the journal cannot be used", context.journal.problem),
            ProbeCheck("intake", "nothing is prepared", deliveries.pipeline.problem),
            ProbeCheck("deliveries", "nothing is sent", deliveries.queue.problem),
            ProbeCheck("backlog", "deliveries are long overdue", deliveries.stall_check.problem),
            ProbeCheck("twitch", "Twitch is unavailable", twitch_problem),
            ProbeCheck("conduit", "no message arrives", subscriptions.deaf),
            ProbeCheck("memory", "events are held in memory", subscriptions.conduit.frames.problem),
            ProbeCheck("logins", "some streamers are unknown to Twitch", subscriptions.unknown_users.problem),
            ProbeCheck("subscriptions", "some streamers have no working subscription", _missing(subscriptions)),
            ProbeCheck("certificates", "a certificate is missing or about to expire", tls.critical),
            ProbeCheck("configuration", "the configuration on disk cannot be used", context.config_service.problem),
        ),
    )


def _missing(subscriptions: SubscriptionParts) -> Callable[[], str | None]:
    def missing() -> str | None:
        report: SubscriptionCounts = subscriptions.reconciler.report()
        if report.at is None:
            return "not checked yet"
        possible = report.wanted - report.unknown
        return subscriptions.reconciler.critical() or (
            f"{report.enabled} of {possible} enabled" if report.enabled < possible else None
        )

    return missing
