"""
The Twitch clients of a command, with the credentials of the configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Coroutine, Mapping
from typing import Any, TypeVar

from attrs import define
from treq.client import HTTPClient
from twisted.internet.defer import Deferred, execute

from itsjustintv.cli.console import echo, in_reactor, load_config
from itsjustintv.config.load import Loaded
from itsjustintv.errors import TwitchError
from itsjustintv.interfaces import IKeyValues
from itsjustintv.journal.offline_key_values import OfflineKeyValues
from itsjustintv.journal.storage import open_storage
from itsjustintv.routing import Routes
from itsjustintv.support.http_agents import TWITCH, make_agent
from itsjustintv.twitch.api.batching import BatchInterval, all_of
from itsjustintv.twitch.api.helix import Helix
from itsjustintv.twitch.api.lookups import Lookups
from itsjustintv.twitch.api.oauth import AppToken
from itsjustintv.twitch.api.rate_limit import RateBucket
from itsjustintv.twitch.eventsub.manual import ManualSubscriptions, Snapshot
from itsjustintv.twitch.eventsub.secret_rotation import Fingerprints
from itsjustintv.twitch.eventsub.subscriptions_api import SubscriptionsAPI
from itsjustintv.twitch.eventsub.transport import configured_transport
from itsjustintv.twitch.user_ids import KIND

__all__ = ["TwitchSession", "open_session", "run_session"]

T = TypeVar("T")


@define(eq=False)
class TwitchSession:
    """
    :ivar lost: why Twitch has no user for a streamer, by key.
    """

    subscriptions: ManualSubscriptions
    lookups: Lookups
    routes: Routes
    lost: Mapping[str, str]
    key_values: OfflineKeyValues

    async def take_snapshot(self) -> Snapshot:
        """
        List the subscriptions, and warn of the streamers that Twitch does not know.
        """
        for key, reason in self.lost.items():
            echo(f"Warning: streamers.{key}: {reason}", "doubtful", err=True)
        return await self.subscriptions.take_snapshot()


async def open_session(reactor: Any, settings: Loaded) -> TwitchSession:
    """
    Create the clients, and look up the ids of the streamers.

    :raises TwitchError: the look-up failed.
    """
    config = settings.config
    key_values = OfflineKeyValues.of(open_storage(config.storage), reactor.seconds)
    http = HTTPClient(make_agent(reactor, TWITCH))
    token = AppToken(http, lambda: config.twitch, reactor, execute)
    bucket = RateBucket(reactor)
    helix = Helix(http, lambda: config.twitch, token, bucket, reactor)
    lookups = Lookups(helix, reactor, BatchInterval(bucket, reactor))
    routes, lost = await _identified(Routes.of(config), lookups, key_values)
    subscriptions = ManualSubscriptions(
        SubscriptionsAPI(helix),
        Fingerprints(key_values, reactor),
        reactor,
        configured_transport(config),
        routes.keys_by_user_id(),
        wanted=routes.wanted_types(),
    )
    return TwitchSession(subscriptions, lookups, routes, lost, key_values)


async def _identified(routes: Routes, lookups: Lookups, key_values: IKeyValues) -> tuple[Routes, Mapping[str, str]]:
    """
    Find the ids of the streamers that are configured by login, in the journal or else at Twitch; and why Twitch has no
    user for a streamer, by key.
    """
    ids = {login: str(user_id) for login, (user_id, _) in (await key_values.recall_all(KIND)).items()}
    asked = [
        login
        for login in dict.fromkeys(each.login for each in routes.streamers if not each.user_id)
        if login and login not in ids
    ]
    users = await all_of(lookups.user_by_login(login) for login in asked)
    ids.update((login, user.id) for login, user in zip(asked, users, strict=True) if user is not None)
    by_id = {each.key for each in routes.streamers if each.user_id}
    routes = routes.with_ids(ids)
    unknown = {each.key: f"no such user at Twitch: {each.login}" for each in routes.streamers if not each.user_id}
    return routes, {**unknown, **await _missing(routes, lookups, by_id)}


async def _missing(routes: Routes, lookups: Lookups, by_id: Container[str]) -> Mapping[str, str]:
    """
    Find the streamers whose id Twitch does not have; none if the look-up failed.

    :param by_id: the keys of those that are configured by id, which may be wrong.
    """
    known = [each for each in routes.streamers if each.user_id]
    try:
        users = await all_of(lookups.user(each.user_id) for each in known)
    except TwitchError:
        return {}
    return {
        each.key: f"no such user at Twitch: id {each.user_id} is wrong, or the channel is closed or suspended"
        if each.key in by_id
        else f"closed or suspended: Twitch no longer has {each.login}, user {each.user_id}"
        for each, user in zip(known, users, strict=True)
        if user is None
    }


def run_session(given: str | None, work: Callable[[TwitchSession], Coroutine[Deferred[Any], Any, T]]) -> T:
    """
    Run a coroutine with a session.

    :param given: the value of ``--config``, if any.
    :raises click.ClickException: the error, in one line.
    """
    settings = load_config(given)

    async def whole(reactor: Any) -> T:
        return await work(await open_session(reactor, settings))

    return in_reactor(whole, "interrupted; requests in progress may still take effect")
