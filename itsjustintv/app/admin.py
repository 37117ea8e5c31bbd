"""
The admin page and its API, behind a door of their own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from attrs import frozen
from twisted.web.resource import IResource
from twisted.web.server import Request

from itsjustintv.admin.api import ROOT, ApiResource
from itsjustintv.admin.assets import ASSETS, AvatarResource
from itsjustintv.admin.auth import Access, LoginResource, LogoutResource
from itsjustintv.admin.delivery_page import DeliveryResource
from itsjustintv.admin.live_updates import EventsResource, LiveUpdates
from itsjustintv.admin.page import ACTIONS, ActionResource, PageResource
from itsjustintv.admin.recent_stats import RecentStats
from itsjustintv.admin.site import AdminResource
from itsjustintv.admin.sources import Sources
from itsjustintv.app.context import Context
from itsjustintv.config.hosts import host_and_port
from itsjustintv.config.sections import Config
from itsjustintv.web.client_address import Clients
from itsjustintv.web.connection_limits import ConnectionLimits, client_network
from itsjustintv.web.listener import Listener, tcp
from itsjustintv.web.site import make_site

__all__ = ["AdminParts"]

#: Only operators send requests here, and small ones; curl -X POST says nothing at all. Idle connections are
#: kept for as long as new ones, so that the one that gives way is the one that has been silent the longest.
_LIMITS = ConnectionLimits(body=16 * 1024, connections=100, idle=10.0, declared=False, yielding=True)


@frozen
class AdminParts:
    """
    Its parts.
    """

    history: RecentStats
    pulse: LiveUpdates
    door: Listener

    @classmethod
    def of(cls, ground: Context, history: RecentStats, sources: Sources, more: Mapping[bytes, IResource]) -> AdminParts:
        """
        Put them together.

        :param history: to be started and stopped with it.
        :param sources: what is shown.
        :param more: what else is served here to whoever may see the page, by whole path: ``/metrics`` say.
        """
        config = ground.config
        access = Access(lambda: config().admin.token, ground.reactor, os.urandom(32), _client)
        pulse = LiveUpdates(sources.mark, ground.reactor, os.urandom(6).hex())
        actions = ActionResource(sources, access)
        root = AdminResource(
            access,
            {**ASSETS, b"/login": LoginResource(access)},
            {
                b"/": PageResource(sources, access, pulse),
                b"/events": EventsResource(pulse, _client),
                **{f"/actions/{each}".encode("ascii"): actions for each in ACTIONS},
                b"/logout": LogoutResource(),
                **more,
            },
            {
                f"{ROOT}/".encode("ascii"): ApiResource(sources),
                b"/avatars/": AvatarResource(sources),
                b"/deliveries/": DeliveryResource(sources, access),
            },
        )
        site = make_site(root, ground.reactor, _LIMITS, Clients(lambda: config().server.trusted_proxies))
        key = "admin.listen"
        return cls(history, pulse, Listener(lambda: _description(config()), site, ground.reactor, key, (key,)))

    async def prepare(self, config: Config) -> Callable[[bool], None]:
        """
        Listen where a new configuration says as well, until it is decided.

        :return: to be called with whether it takes effect.
        :raises ConfigError: nobody can listen there, or not we.
        """
        return await self.door.prepare(_description(config))


def _client(request: Request) -> str:
    return client_network(request.getClientAddress())


def _description(config: Config) -> str:
    """
    Where to listen, as an endpoint's description; empty for nowhere.
    """
    place = host_and_port(config.admin.listen)
    if not config.admin.enabled or place is None:
        return ""
    host, port = place
    return tcp("127.0.0.1" if host == "localhost" else host, port)
