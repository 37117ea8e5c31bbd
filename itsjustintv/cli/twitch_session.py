"""
What asks Twitch on behalf of a command, with the credentials of the configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

from attrs import define
from treq.client import HTTPClient
from twisted.internet.defer import Deferred, execute

from itsjustintv.cli.console import in_reactor, loaded, tell
from itsjustintv.config.load import Loaded
from itsjustintv.errors import TwitchError
from itsjustintv.interfaces import ILastKnown
from itsjustintv.journal.offline import KeyValues
from itsjustintv.routing import Routes
from itsjustintv.support.http_agents import twitch_agent
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

__all__ = ["TwitchSession", "in_office", "office_of"]

T = TypeVar("T")


@define(eq=False)
class TwitchSession:
    """
    Everything a command needs.

    :ivar lost: why Twitch has no user for a streamer, by key.
    """

    desk: ManualSubscriptions
    directory: Lookups
    routes: Routes
    lost: Mapping[str, str]
    kept: KeyValues

    async def look(self) -> Snapshot:
        """
        See how things stand, and name who is left out of it.
        """
        for key, reason in self.lost.items():
            tell(f"Warning: streamers.{key}: {reason}", "doubtful", err=True)
        return await self.desk.look()


async def office_of(reactor: Any, settings: Loaded) -> TwitchSession:
    """
    Set everything up, and find out who is who.

    :raises TwitchError: Twitch does not tell.
    """
    config = settings.config
    kept = KeyValues.at(Path(config.storage.path), reactor.seconds)
    http = HTTPClient(twitch_agent(reactor))
    token = AppToken(http, lambda: config.twitch, reactor, execute)
    bucket = RateBucket(reactor)
    helix = Helix(http, lambda: config.twitch, token, bucket, reactor)
    directory = Lookups(helix, reactor, BatchInterval(bucket, reactor))
    routes, lost = await _identified(Routes.of(config), directory, kept)
    desk = ManualSubscriptions(
        SubscriptionsAPI(helix),
        Fingerprints(kept, reactor),
        reactor,
        configured_transport(config),
        routes.wanted(),
    )
    return TwitchSession(desk, directory, routes, lost, kept)


async def _identified(routes: Routes, directory: Lookups, kept: ILastKnown) -> tuple[Routes, Mapping[str, str]]:
    """
    Find the ids of those who are configured by login: as the daemon keeps them, else as Twitch says; and why Twitch has
    no user for a streamer, by key.
    """
    ids = {login: str(user_id) for login, (user_id, _) in (await kept.recall_all(KIND)).items()}
    asked = [
        login
        for login in dict.fromkeys(each.login for each in routes.streamers if not each.user_id)
        if login and login not in ids
    ]
    users = await all_of(directory.user_by_login(login) for login in asked)
    ids.update((login, user.id) for login, user in zip(asked, users, strict=True) if user is not None)
    by_id = {each.key for each in routes.streamers if each.user_id}
    routes = routes.with_ids(ids)
    unknown = {each.key: f"no such user at Twitch: {each.login}" for each in routes.streamers if not each.user_id}
    return routes, {**unknown, **await _gone(routes, directory, by_id)}


async def _gone(routes: Routes, directory: Lookups, by_id: Container[str]) -> Mapping[str, str]:
    """
    Whose id Twitch does not have; none, when Twitch does not tell.

    :param by_id: the keys of those who are configured by id, which may be wrong.
    """
    known = [each for each in routes.streamers if each.user_id]
    try:
        users = await all_of(directory.user(each.user_id) for each in known)
    except TwitchError:
        return {}
    return {
        each.key: f"no such user at Twitch: id {each.user_id} is wrong, or the channel is closed or suspended"
        if each.key in by_id
        else f"closed or suspended: Twitch does not have {each.login}, user {each.user_id}, any more"
        for each, user in zip(known, users, strict=True)
        if user is None
    }


def in_office(given: str | None, work: Callable[[TwitchSession], Coroutine[Deferred[Any], Any, T]]) -> T:
    """
    Do something at Twitch.

    :param given: what ``--config`` says, if anything.
    :raises click.ClickException: what can go wrong, in one line.
    """
    settings = loaded(given)

    async def whole(reactor: Any) -> T:
        return await work(await office_of(reactor, settings))

    return in_reactor(whole, "interrupted: what was begun may be done or not")
