"""
How the daemon is put together, in which order its services start and stop, and what a reload means to each part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

from attrs import frozen
from twisted.application.service import IService
from twisted.internet.defer import CancelledError, Deferred

from itsjustintv.admin.recent_stats import RecentStats
from itsjustintv.app.admin import AdminParts
from itsjustintv.app.admin_sources import AdminSources
from itsjustintv.app.context import Context
from itsjustintv.app.delivery import DeliveryParts
from itsjustintv.app.telemetry import TelemetryParts, counted_recovery, traced_accept, traced_enricher
from itsjustintv.app.twitch import SubscriptionParts, TwitchParts
from itsjustintv.app.web import WebParts, vital_checks
from itsjustintv.config.removal_grace import RemovalGrace
from itsjustintv.config.sections import CONDUIT, WEBHOOK, Config, callback_url
from itsjustintv.support.file_watch import SighupHandler
from itsjustintv.support.services import StartWhenReady
from itsjustintv.support.systemd import SystemdNotifier

__all__ = ["Daemon"]


@frozen(kw_only=True)
class Daemon:
    """
    All parts of the daemon.
    """

    context: Context
    twitch: TwitchParts
    delivery: DeliveryParts
    subscriptions: SubscriptionParts
    web: WebParts
    telemetry: TelemetryParts
    admin: AdminParts

    @classmethod
    def of(cls, context: Context, environ: Mapping[str, str]) -> Daemon:
        """
        Build every part. An event passes them in the opposite order: each part is handed the next step.

        :param environ: holds the variables ``OTEL_*``.
        :raises CertificateUnusable: HTTPS cannot be served as configured.
        """
        recent_stats = RecentStats(context.reactor, context.journal.outcomes)
        twitch = TwitchParts.of(context)
        delivery = DeliveryParts.of(context, traced_enricher(context, twitch.enricher), (recent_stats,))
        accept = traced_accept(context, delivery.pipeline.accept)
        accept_frame = traced_accept(context, delivery.pipeline.accept, through_conduit=True)
        recover = counted_recovery(context, accept)
        subscriptions = SubscriptionParts.of(context, twitch, accept, accept_frame, recover)
        web = WebParts.of(context, twitch, delivery, subscriptions)
        telemetry = TelemetryParts.of(context, twitch, delivery, subscriptions, web=web, environ=environ)
        sources = AdminSources(context, twitch, delivery, subscriptions, web, recent_stats).sources()
        admin = AdminParts.of(context, recent_stats, sources, {b"/metrics": telemetry.resource})
        return cls(
            context=context,
            twitch=twitch,
            delivery=delivery,
            subscriptions=subscriptions,
            web=web,
            telemetry=telemetry,
            admin=admin,
        )

    def services(self, systemd: SystemdNotifier) -> Mapping[str, IService]:
        """
        Every service by its name, in the order in which they start; they stop in the opposite order.

        :param systemd: also notified of reloads.
        """
        context, subscriptions = self.context, self.subscriptions
        examined = StartWhenReady(
            (self._when_open,), subscriptions.callback_check.startService, subscriptions.callback_check.stopService
        )
        # Twitch verifies a callback at once, so it must be served before; and drops what no shard of a conduit takes.
        subscribed = StartWhenReady(
            (subscriptions.user_ids.whenReady, self._when_open),
            self._start_subscribing,
            subscriptions.reconciler.stopService,
        )

        def restart_when_ready(_old: Config, _new: Config) -> None:
            examined.refresh()
            subscribed.refresh()

        # The callback may be another one, or be served by another TLS mode.
        context.config_service.add_listener(restart_when_ready)
        subscriptions.reconciler.add_listener(self._close_unused_port)
        context.clock_jumps.add_listener(self._check_again_after_clock_jump)
        return {
            # Storage, time and threads, which everything else uses.
            "journal": context.journal,
            "clock_jumps": context.clock_jumps,
            "file_threads": context.file_threads,
            "telemetry": self.telemetry.service,
            # An event's steps, the last one first: each is ready before the one that hands it work.
            **self._removal_graces,
            "output_file": self.delivery.output,
            "user_ids": subscriptions.user_ids,
            "followers": self.twitch.followers,
            "profile_images": self.twitch.profile_images,
            "senders": self.delivery.senders,
            "delivery_queue": self.delivery.queue,
            "pipeline": self.delivery.pipeline,
            "stall_check": self.delivery.stall_check,
            "catch_up": subscriptions.catch_up,
            # From here on messages arrive.
            "tls": self.web.https,
            "http": self.web.listener,
            "frames": subscriptions.conduit.frames,
            "shards": subscriptions.conduit.shards,
            # The admin page.
            "live_status": self.twitch.live_status,
            "recent_stats": self.admin.recent_stats,
            "live_updates": self.admin.live_updates,
            "admin": self.admin.listener,
            # Changes from outside.
            "configuration": context.config_service,
            "callback_check": examined,
            "subscriptions": subscribed,
            "hangup": SighupHandler(context.reactor, lambda: self._reload_on_sighup(systemd)),
            # READY=1 when all of that has started, STOPPING=1 before any of it stops.
            "systemd": systemd,
        }

    def follow_configuration(self, first: Callable[[Config], None]) -> None:
        """
        Hand every new configuration to each part.

        :param first: called with it before any part.
        """
        service = self.context.config_service
        service.add_preparer(lambda _, new: Deferred.fromCoroutine(self.admin.prepare(new)))
        service.add_preparer(lambda _, new: Deferred.fromCoroutine(self.web.https.prepare(new.server.tls)))
        # The last one, and it does not wait: a new port must not answer before its TLS mode is decided.
        service.add_preparer(lambda old, new: Deferred.fromCoroutine(self._prepare_port(old, new)))

        def follow(old: Config, new: Config) -> None:
            first(new)
            self._reconfigure(old, new)

        service.add_listener(follow)

    def liveness_checks(self) -> Sequence[tuple[str, Callable[[], str | None]]]:
        """
        What must work for the daemon to be alive; only a restart repairs it.
        """
        return (
            ("http", self.web.listener.problem),
            *((each.name, each.check) for each in vital_checks(self.context, self.delivery)),
        )

    def _reconfigure(self, old: Config, new: Config) -> None:
        Deferred.fromCoroutine(self._close_old_ports())
        routing = self.context.routing
        before = routing.keys_by_user_id()
        routing.configure(new)
        for grace in self._removal_graces.values():
            grace.refresh()
        self.context.metrics.expect(routing.destinations())
        self.telemetry.service.refresh()
        self.delivery.senders.refresh()
        self.delivery.queue.refresh()
        self.subscriptions.user_ids.refresh()
        # A streamer may have gone live before it was configured: that message was ignored.
        self.subscriptions.catch_up.ask(routing.keys_by_user_id().keys() - before.keys())
        if old.admin.token != new.admin.token:
            self.admin.live_updates.dismiss()
        self.subscriptions.conduit.shards.refresh()
        if _address(old) == _address(new):
            self.subscriptions.reconciler.reconcile("the configuration was reloaded")
        else:
            # As at the start. Cancelled when it changes again.
            self._when_open(new).addCallbacks(
                lambda _: self._change_transport(), lambda failure: failure.trap(CancelledError) and None
            )

    async def _close_old_ports(self) -> None:
        await self.admin.listener.settled()
        await self.web.settle()

    async def _prepare_port(self, old: Config, new: Config) -> Callable[[bool], None]:
        """
        Bind the new port; unless webhooks arrive at the old one, until messages come through a conduit instead.
        """
        methods = self.subscriptions.reconciler.methods or {old.twitch.transport}
        if new.twitch.transport == CONDUIT and WEBHOOK in methods:
            return lambda _: None
        return await self.web.prepare(new)

    def _close_unused_port(self) -> None:
        """
        Listen where a conduit needs it, as soon as no webhook can arrive any more.
        """
        if self.context.config().twitch.transport == CONDUIT and WEBHOOK not in self.subscriptions.reconciler.methods:
            Deferred.fromCoroutine(self.web.follow())

    def _change_transport(self) -> None:
        self.subscriptions.callback_check.check()
        self.subscriptions.reconciler.reconcile("the transport has changed")

    def _start_subscribing(self) -> None:
        self.subscriptions.reconciler.startService()
        self.subscriptions.catch_up.ask(self.context.routing.keys_by_user_id())

    def _reload_on_sighup(self, systemd: SystemdNotifier) -> None:
        systemd.reloading(self.context.config_service.request("SIGHUP"))
        self.subscriptions.user_ids.refresh()
        self.subscriptions.reconciler.reconcile("SIGHUP")
        # A certificate order that was refused may succeed now, for reasons that are not in the configuration.
        self.web.https.refresh()

    def _check_again_after_clock_jump(self) -> None:
        """
        Check again what was judged by the wrong time: the age of messages, and with it who went live while they were
        refused; subscriptions; certificates.
        """
        self.twitch.time.log_change()
        self.subscriptions.catch_up.ask(self.context.routing.keys_by_user_id())
        self.subscriptions.reconciler.reconcile("the clock was set")
        self.web.https.refresh()

    @property
    def _removal_graces(self) -> Mapping[str, RemovalGrace]:
        return {
            "removed_destinations": self.delivery.removed_destinations,
            "removed_streamers": self.delivery.removed_streamers,
            "removed_channels": self.subscriptions.removed_channels,
            "removed_logins": self.subscriptions.removed_logins,
        }

    def _when_open(self, config: Config | None = None) -> Deferred[None]:
        """
        Fires when messages can arrive as a configuration, otherwise the current one, says: the callback can be served,
        or a shard of the conduit is assigned.
        """
        config = config or self.context.config()
        if config.twitch.transport == CONDUIT:
            return self.subscriptions.conduit.shards.when_open()
        return self.web.https.when_ready(urlsplit(callback_url(config)).hostname or "")


def _address(config: Config) -> str:
    """
    Where Twitch sends messages, as far as the configuration says.
    """
    return callback_url(config) if config.twitch.transport == WEBHOOK else CONDUIT
