"""
All groups of parts together: what a change means to each, and the order in which they start.
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
from itsjustintv.app.delivery import Deliveries
from itsjustintv.app.removal_grace import RemovalGrace
from itsjustintv.app.systemd import SystemdNotifier
from itsjustintv.app.telemetry import TelemetryParts
from itsjustintv.app.twitch import SubscriptionParts, TwitchParts
from itsjustintv.app.web import Web, vitals
from itsjustintv.config.sections import Config, callback_url
from itsjustintv.support.file_watch import Hangup
from itsjustintv.support.services import StartWhenReady

__all__ = ["Daemon"]


@frozen(kw_only=True)
class Daemon:
    """
    Every group.
    """

    ground: Context
    twitch: TwitchParts
    deliveries: Deliveries
    subscriptions: SubscriptionParts
    web: Web
    telemetry: TelemetryParts
    admin: AdminParts

    @classmethod
    def of(cls, ground: Context, environ: Mapping[str, str]) -> Daemon:
        """
        Put them together, from the end of an event's way to its beginning.

        :param environ: the variables ``OTEL_*`` are in it.
        :raises CertificateUnusable: HTTPS cannot be served as the configuration says.
        """
        twitch = TwitchParts.of(ground)
        history = RecentStats(ground.reactor, ground.journal.outcomes)
        deliveries = Deliveries.of(ground, twitch.enricher, (history,))
        subscriptions = SubscriptionParts.of(ground, twitch, ground.metrics.recovering(deliveries.accept))
        web = Web.of(ground, twitch, deliveries, subscriptions)
        telemetry = TelemetryParts.of(ground, twitch, deliveries, subscriptions, web=web, environ=environ)
        showing = AdminSources(ground, twitch, deliveries, subscriptions, web, history)
        admin = AdminParts.of(ground, history, showing.sources(), {b"/metrics": telemetry.resource})
        return cls(
            ground=ground,
            twitch=twitch,
            deliveries=deliveries,
            subscriptions=subscriptions,
            web=web,
            telemetry=telemetry,
            admin=admin,
        )

    def follow(self, noted: Callable[[Config], None]) -> None:
        """
        Let each part hear of a new configuration.

        :param noted: told first.
        """

        def follow(old: Config, new: Config) -> None:
            noted(new)
            Deferred.fromCoroutine(settle())
            before = self.ground.routing.wanted()
            self.ground.routing.configure(new)
            for absences in self._absences.values():
                absences.refresh()
            self.ground.metrics.expect(self.ground.routing.destinations())
            self.telemetry.service.refresh()
            self.deliveries.queue.refresh()
            self.subscriptions.identities.refresh()
            # What went live while it was not configured was ignored.
            self.subscriptions.catch_up.ask(self.ground.routing.wanted().keys() - before.keys())
            if old.admin.token != new.admin.token:
                self.admin.pulse.dismiss()
            if callback_url(old) == callback_url(new):
                self.subscriptions.keeper.reconcile("the configuration was reloaded")
            else:
                # Twitch verifies the new one at once, so it must be served. Whoever gives up waiting has changed it
                # again.
                self._reachable(new).addCallbacks(
                    lambda _: called_back(), lambda failure: failure.trap(CancelledError) and None
                )

        async def settle() -> None:
            await self.admin.door.settled()
            await self.web.settle()

        def called_back() -> None:
            self.subscriptions.preflight.look()
            self.subscriptions.keeper.reconcile("the callback has changed")

        self.ground.settings.precede(lambda _, new: Deferred.fromCoroutine(self.admin.prepare(new)))
        self.ground.settings.precede(lambda _, new: Deferred.fromCoroutine(self.web.https.prepare(new.server.tls)))
        # The last one, and it does not wait: nobody may come in at a new port before it is decided how to serve.
        self.ground.settings.precede(lambda _, new: Deferred.fromCoroutine(self.web.prepare(new)))
        self.ground.settings.subscribe(follow)

    def vitals(self) -> Sequence[tuple[str, Callable[[], str | None]]]:
        """
        What must live for the daemon to be alive: what only a restart can mend.
        """
        return (
            ("http", self.web.listener.problem),
            *((each.name, each.check) for each in vitals(self.ground, self.deliveries)),
        )

    def storeys(self, supervisor: SystemdNotifier) -> Mapping[str, IService]:
        """
        Every service by its name, in the order of the start: each stands on those before it.

        :param supervisor: hears of a reload, and comes last.
        """
        keeper, preflight = self.subscriptions.keeper, self.subscriptions.preflight

        def hang_up() -> None:
            supervisor.reloading(self.ground.settings.request("SIGHUP"))
            self.subscriptions.identities.refresh()
            keeper.reconcile("SIGHUP")
            # What an authority refused for good may be worth another try, though nothing of it is in the configuration.
            self.web.https.refresh()

        def reachable() -> Deferred[None]:
            return self._reachable(self.ground.config())

        def subscribe() -> None:
            keeper.startService()
            self.subscriptions.catch_up.ask(self.ground.routing.wanted())

        examined = StartWhenReady((reachable,), preflight.startService, preflight.stopService)
        # Twitch verifies a callback at once, so there must be somebody to answer.
        subscribed = StartWhenReady((self.subscriptions.identities.whenReady, reachable), subscribe, keeper.stopService)

        def again(_old: Config, _new: Config) -> None:
            examined.again()
            subscribed.again()

        # There may be another callback by now, or another way to serve it.
        self.ground.settings.subscribe(again)
        self.ground.jumps.subscribe(self._clock_was_set)
        return {
            "journal": self.ground.journal,
            "jumps": self.ground.jumps,
            "disk": self.ground.disk,
            "telemetry": self.telemetry.service,
            **self._absences,
            "output": self.deliveries.output,
            "ids": self.subscriptions.identities,
            "followers": self.twitch.followers,
            "images": self.twitch.images,
            "deliveries": self.deliveries.queue,
            "pipeline": self.deliveries.pipeline,
            "backlog": self.deliveries.backlog,
            "catch_up": self.subscriptions.catch_up,
            "https": self.web.https,
            "http": self.web.listener,
            "roster": self.twitch.roster,
            "history": self.admin.history,
            "pulse": self.admin.pulse,
            "admin": self.admin.door,
            "configuration": self.ground.settings,
            "preflight": examined,
            "subscriptions": subscribed,
            "hangup": Hangup(self.ground.reactor, hang_up),
            "supervisor": supervisor,
        }

    def _clock_was_set(self) -> None:
        """
        See what was judged by the wrong time anew: whether messages are refused, who has gone live while they were,
        what subscriptions and certificates are worth.
        """
        self.twitch.time.look()
        self.subscriptions.catch_up.ask(self.ground.routing.wanted())
        self.subscriptions.keeper.reconcile("the clock was set")
        self.web.https.refresh()

    @property
    def _absences(self) -> Mapping[str, RemovalGrace]:
        return {
            "destinations": self.deliveries.destinations,
            "streamers": self.deliveries.streamers,
            "channels": self.subscriptions.channels,
            "logins": self.subscriptions.logins,
        }

    def _reachable(self, config: Config) -> Deferred[None]:
        """
        Fires when the callback of a configuration can be served.
        """
        return self.web.https.when_ready(urlsplit(callback_url(config)).hostname or "")
