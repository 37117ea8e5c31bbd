"""
Builds the admin site, with a listener of its own.
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
from itsjustintv.web.client_address import ClientAddresses
from itsjustintv.web.connection_limits import ConnectionLimits, client_network
from itsjustintv.web.listener import Listener, tcp
from itsjustintv.web.site import make_site

__all__ = ["AdminParts"]

# Only operators send requests here, and small ones; curl -X POST sends no Content-Length. Idle connections last as long
# as new ones, so that the one closed for a new one is the one that has been silent the longest.
_LIMITS = ConnectionLimits(body=16 * 1024, connections=100, idle=10.0, require_length=False, evict_idle=True)


@frozen
class AdminParts:
    """
    The admin page and its API.
    """

    recent_stats: RecentStats
    live_updates: LiveUpdates
    listener: Listener

    @classmethod
    def of(
        cls, context: Context, recent_stats: RecentStats, sources: Sources, more: Mapping[bytes, IResource]
    ) -> AdminParts:
        """
        :param sources: what the page and the API show.
        :param more: other resources to serve with the same access control, by whole path: ``/metrics``.
        """
        config = context.config
        access = Access(lambda: config().admin.token, context.reactor, os.urandom(32), _client)
        live_updates = LiveUpdates(sources.mark, context.reactor, os.urandom(6).hex())
        actions = ActionResource(sources, access)
        root = AdminResource(
            access,
            {**ASSETS, b"/login": LoginResource(access)},
            {
                b"/": PageResource(sources, access, live_updates),
                b"/events": EventsResource(live_updates, _client),
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
        site = make_site(root, context.reactor, _LIMITS, ClientAddresses(lambda: config().server.trusted_proxies))
        key = "admin.listen"
        listener = Listener(lambda: _description(config()), site, context.reactor, key, (key,))
        return cls(recent_stats, live_updates, listener)

    async def prepare(self, config: Config) -> Callable[[bool], None]:
        """
        Bind the address of a new configuration, besides the current one.

        :return: to be called with whether the configuration takes effect; closes the other address.
        :raises ConfigError: the address cannot be bound.
        """
        return await self.listener.prepare(_description(config))


def _client(request: Request) -> str:
    return client_network(request.getClientAddress())


def _description(config: Config) -> str:
    """
    The endpoint to listen at; empty for none.
    """
    place = host_and_port(config.admin.listen)
    if not config.admin.enabled or place is None:
        return ""
    host, port = place
    return tcp("127.0.0.1" if host == "localhost" else host, port)
