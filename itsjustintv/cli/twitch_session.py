"""
The Twitch clients of a command, with the credentials of the configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Coroutine, Mapping
from typing import Any, TypeVar

from attrs import define
from twisted.internet.defer import Deferred, execute

from itsjustintv.cli.console import echo, in_reactor, load_config
from itsjustintv.config.load import Loaded
from itsjustintv.config.sections import CONDUIT, Config, Twitch
from itsjustintv.errors import TwitchError
from itsjustintv.interfaces import IKeyValues
from itsjustintv.journal.offline_key_values import OfflineKeyValues
from itsjustintv.journal.storage import open_storage
from itsjustintv.routing import Routes
from itsjustintv.support.causes import cause
from itsjustintv.support.http_agents import TWITCH, make_agent
from itsjustintv.support.http_client import make_http_client
from itsjustintv.twitch.api.batching import BatchInterval, all_of
from itsjustintv.twitch.api.helix import Helix
from itsjustintv.twitch.api.lookups import Lookups
from itsjustintv.twitch.api.oauth import AppToken
from itsjustintv.twitch.api.rate_limit import RateBucket
from itsjustintv.twitch.eventsub.conduit_file import ConduitFile, RememberedConduit
from itsjustintv.twitch.eventsub.manual import ManualSubscriptions, Snapshot
from itsjustintv.twitch.eventsub.secret_rotation import Fingerprints
from itsjustintv.twitch.eventsub.subscriptions_api import SubscriptionsAPI
from itsjustintv.twitch.eventsub.transport import ConduitTransport, Transport, configured_transport
from itsjustintv.twitch.user_ids import KIND

__all__ = ["NO_CONDUIT", "TwitchSession", "make_helix", "open_session", "remembered_conduit", "run_session"]

T = TypeVar("T")

#: Why a command creates no subscriptions.
NO_CONDUIT = "there is no conduit to create subscriptions with: start the daemon, which creates it and them"


@define(eq=False)
class TwitchSession:
    """
    :ivar lost: why Twitch has no user for a streamer, by key.
    :ivar can_create: whether subscriptions can be created; not before there is a conduit for them.
    """

    subscriptions: ManualSubscriptions
    lookups: Lookups
    routes: Routes
    lost: Mapping[str, str]
    key_values: OfflineKeyValues
    can_create: bool = True

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
    bucket = RateBucket(reactor)
    helix = make_helix(reactor, config.twitch, bucket)
    transport = _transport(config)
    lookups = Lookups(helix, reactor, BatchInterval(bucket, reactor))
    routes, lost = await _identified(Routes.of(config), lookups, key_values)
    subscriptions = ManualSubscriptions(
        SubscriptionsAPI(helix),
        Fingerprints(key_values, reactor),
        reactor,
        transport,
        routes.keys_by_user_id(),
        wanted=routes.wanted_types(),
    )
    can_create = transport != ConduitTransport("")
    return TwitchSession(subscriptions, lookups, routes, lost, key_values, can_create)


def make_helix(reactor: Any, twitch: Twitch, bucket: RateBucket | None = None) -> Helix:
    """
    Create a client of Helix.
    """
    http = make_http_client(make_agent(reactor, TWITCH))
    token = AppToken(http, lambda: twitch, reactor, execute)
    return Helix(http, lambda: twitch, token, RateBucket(reactor) if bucket is None else bucket, reactor)


def remembered_conduit(config: Config) -> RememberedConduit | None:
    """
    Read which conduit is the daemon's. What is wrong with the file is a warning.
    """
    file = ConduitFile.of(config)
    try:
        return file.read(config.twitch.client_id)
    except OSError as error:
        problem = f"cannot be read: {cause(error)}"
    except ValueError as error:
        problem = f"{file.path} {error}"
    echo(f"Warning: twitch.conduit.state_file {problem}", "doubtful", err=True)
    return None


def _transport(config: Config) -> Transport:
    remembered = remembered_conduit(config) if config.twitch.transport == CONDUIT else None
    return configured_transport(config, "" if remembered is None else remembered.conduit_id)


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
