"""
The door: what is answered to Twitch and to whoever asks how the daemon is, over HTTP or HTTPS.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from itsjustintv.assembly.deliveries import Deliveries
from itsjustintv.assembly.ground import Ground
from itsjustintv.assembly.probes import alive, ready
from itsjustintv.assembly.subscriptions import Subscriptions
from itsjustintv.assembly.twitch import Twitch
from itsjustintv.config.sections import Config
from itsjustintv.https import HTTPS
from itsjustintv.journal.timeline import moved
from itsjustintv.serving import Ways
from itsjustintv.twitch.resource import TwitchResource
from itsjustintv.watching import FileWatch
from itsjustintv.web.clients import Clients
from itsjustintv.web.exact import ExactResource
from itsjustintv.web.health import HealthResource
from itsjustintv.web.listening import Listener, tcp
from itsjustintv.web.proxies import Introduced
from itsjustintv.web.site import RootResource, make_site
from itsjustintv.web.traffic import Limits, Traffic

__all__ = ["Web"]


@frozen
class Web:
    """
    Its parts.

    :ivar https: what stands between the socket and the site.
    :ivar traffic: the connections at the door.
    """

    https: HTTPS
    listener: Listener
    health: HealthResource
    traffic: Traffic

    @classmethod
    def of(cls, ground: Ground, twitch: Twitch, deliveries: Deliveries, subscriptions: Subscriptions) -> Web:
        """
        Put them together.

        :raises CertificateUnusable: HTTPS cannot be served as the configuration says.
        """
        reactor, config, disk = ground.reactor, ground.config, ground.disk
        ways = Ways(reactor, disk, ground.random, lambda: FileWatch(reactor, disk.run), ground.wall)
        https = HTTPS(config().server.tls, ways, reactor)
        events = TwitchResource(
            subscriptions.keeper.secrets,
            deliveries.accept,
            subscriptions.keeper.revoked,
            reactor,
            ground.new_id,
            ground.metrics.message,
            ground.wall.seconds,
        )
        health = _health(ground, twitch, deliveries, subscriptions, https)
        root = RootResource(
            {
                b"/twitch": ExactResource(events.app),
                b"/health": ExactResource(health.app),
                b"/livez": alive(ground, deliveries),
                b"/readyz": ready(ground, twitch, deliveries, subscriptions, https),
            }
        )
        clients = Clients(lambda: config().server.trusted_proxies)
        site = make_site(root, reactor, Limits(), clients)
        site.traffic.wall = ground.wall.seconds
        door = Introduced(https.secure(site), clients, lambda: config().server.proxy_protocol)
        return cls(https, Listener(lambda: _description(config()), door, reactor), health, site.traffic)

    async def prepare(self, config: Config) -> Callable[[bool], None]:
        """
        Listen where a new configuration says as well, until it is decided.

        :return: to be called with whether it takes effect.
        :raises ConfigError: nobody can listen there, or not we.
        """
        return await self.listener.prepare(_description(config))

    async def settle(self) -> None:
        """
        After that was decided: a port that was given up may be what somebody else waits for.
        """
        await self.listener.settled()
        await self.https.settle()


def _health(
    ground: Ground, twitch: Twitch, deliveries: Deliveries, subscriptions: Subscriptions, https: HTTPS
) -> HealthResource:
    return HealthResource(
        (
            ("journal", ground.journal.problem),
            ("pipeline", deliveries.pipeline.problem),
            ("deliveries", deliveries.queue.problem),
        ),
        ground.wall,
        concerns=(
            ("clock", twitch.time.problem),
            ("twitch", twitch.problem),
            ("ids", subscriptions.identities.problem),
            ("streamers", ground.routing.problem),
            ("logins", subscriptions.unknown_users.problem),
            ("subscriptions", subscriptions.keeper.problem),
            ("catch_up", subscriptions.catch_up.problem),
            ("configuration", ground.settings.problem),
            ("certificates", https.problem),
        ),
        details=(
            ("configuration", lambda: moved(ground.settings.status(), ground.jumps.ahead).public()),
            ("deliveries", deliveries.backlog.public),
            ("subscriptions", lambda: moved(subscriptions.keeper.report(), ground.jumps.ahead).public()),
        ),
    )


def _description(config: Config) -> str:
    """
    Where to listen, as an endpoint's description.
    """
    return tcp(config.server.listen_addr, config.server.port)
