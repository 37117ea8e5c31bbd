"""
Who is live now, for the admin page. Nothing that is delivered depends on it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence, Set
from math import inf
from typing import Any

from attrs import define, field, frozen
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from itsjustintv.errors import TwitchError
from itsjustintv.model import Enrichment, Event, Picture, Presence
from itsjustintv.twitch.api.batching import all_of, full_calls
from itsjustintv.twitch.api.lookups import Lookups, Stream

__all__ = ["LiveStatus"]

# Seconds between two refreshes: at least as many, and for each streamer, so that ten thousand cost no more than 20
# points of the 800 in a minute.
_INTERVAL = 60.0
_INTERVAL_PER_STREAMER = 0.03

# Get Streams lists a broadcast up to a minute after its start (observed; nothing official): for so long, in seconds, an
# event overrules the list.
_LIST_DELAY = 75.0


@frozen
class _Profile:
    """
    A streamer's display name and picture.
    """

    name: str
    image_url: str


_UNKNOWN = _Profile("", "")


@frozen(kw_only=True)
class _Started:
    """
    A broadcast that has just begun: only what is shown of it, since the enrichment may hold a picture.
    """

    stream_id: str
    at: float
    presence: Presence


@define(eq=False)
class LiveStatus(Service):
    """
    Asks Twitch who is live while someone looks at the admin page, and learns from events.

    :ivar streamers: keys of the configuration by user id.
    :ivar picture: fetches the profile image of a user id at an address.
    :ivar version: another number whenever something has changed.
    """

    _lookups: Lookups
    _streamers: Callable[[], Mapping[str, str]]
    _picture: Callable[[str, str], Coroutine[Deferred[Any], Any, Picture]]
    _clock: IReactorTime
    version: int = field(default=0, init=False)
    _profiles: dict[str, _Profile] = field(factory=dict, init=False)
    _streams: dict[str, Stream] = field(factory=dict, init=False)
    _started: dict[str, _Started] = field(factory=dict, init=False)
    _asked: set[str] = field(factory=set, init=False)
    _refreshed_at: float = field(default=-inf, init=False)
    _refreshing: Deferred[None] | None = field(default=None, init=False)

    log = Logger()

    def stopService(self) -> None:
        super().stopService()
        if self._refreshing is not None:
            self._refreshing.cancel()

    def refresh_if_old(self) -> None:
        """
        Refresh what is known if it is old: someone is looking. Never raises.
        """
        now = self._clock.seconds()
        streamers = self._streamers()
        interval = max(_INTERVAL, len(streamers) * _INTERVAL_PER_STREAMER)
        if self.running and self._refreshing is None and now - self._refreshed_at >= interval:
            self._refreshed_at = now
            refreshing = self._refreshing = Deferred.fromCoroutine(self._refresh(list(streamers)))
            refreshing.addCallback(self._refreshed)

    def went_live(self, event: Event, found: Enrichment) -> None:
        """
        Learn that a streamer has just gone live. Never raises.

        :param found: what is known of the broadcast so far.
        """
        now, user_id = self._clock.seconds(), event.broadcaster_id
        if found.picture is not None:
            self._profiles[user_id] = _Profile(event.broadcaster_name, found.picture.url)
        profile = self._profiles.get(user_id, _UNKNOWN)
        # The dictionary is in the order of time.
        self._started.pop(user_id, None)
        while self._started and now - next(iter(self._started.values())).at >= _LIST_DELAY:
            del self._started[next(iter(self._started))]
        self._started[user_id] = _Started(
            stream_id=event.stream_id,
            at=now,
            presence=Presence(
                live=True,
                name=profile.name or event.broadcaster_name,
                title=found.stream.title,
                game=found.stream.game_name,
                viewers=found.stream.viewer_count,
                started_at=event.started_at,
                pictured=bool(profile.image_url),
            ),
        )
        self.version += 1

    def live(self) -> Set[str]:
        """
        The user ids of all who are live.
        """
        since = self._clock.seconds() - _LIST_DELAY
        return self._streams.keys() | {each for each, started in self._started.items() if started.at > since}

    def display_name(self, user_id: str) -> str:
        """
        The display name of a streamer; empty while it is not known.
        """
        return self._profiles.get(user_id, _UNKNOWN).name

    def presence(self, user_id: str) -> Presence:
        """
        What is known of a streamer now.
        """
        profile, stream = self._profiles.get(user_id, _UNKNOWN), self._streams.get(user_id)
        started = self._started.get(user_id)
        fresh = started is not None and self._clock.seconds() - started.at < _LIST_DELAY
        if started is not None and fresh and (stream is None or stream.id != started.stream_id):
            return started.presence
        if stream is not None:
            return Presence(
                live=True,
                name=profile.name or stream.user_name,
                title=stream.title,
                game=stream.game_name,
                viewers=stream.viewer_count,
                started_at=stream.started_at,
                pictured=bool(profile.image_url),
            )
        live = False if user_id in self._asked else None
        return Presence(live=live, name=profile.name, pictured=bool(profile.image_url))

    async def picture(self, user_id: str) -> Picture | None:
        """
        The profile image of a configured streamer, or ``None``.
        """
        profile = self._profiles.get(user_id)
        if profile is None or not profile.image_url or user_id not in self._streamers():
            return None
        try:
            return await self._picture(user_id, profile.image_url)
        except TwitchError:
            return None

    async def _refresh(self, ids: Sequence[str]) -> None:
        """
        Ask for everyone. Never raises: without an answer the page shows what was known before.
        """
        try:
            for known in (self._profiles, self._streams):
                for gone in known.keys() - set(ids):
                    del known[gone]
            self._asked.intersection_update(ids)
            for call in full_calls(ids):
                await self._ask(call)
        except (TwitchError, CancelledError) as error:
            self.log.debug("cannot ask Twitch who is live: {reason}", reason=str(error))
        except Exception:  # noqa: BLE001 - nothing waits for this
            self.log.failure("cannot find out who is live; the admin page shows what was known before")

    def _refreshed(self, _: None) -> None:
        self._refreshing = None

    async def _ask(self, ids: Sequence[str]) -> None:
        found = await all_of(self._lookups.stream(each) for each in ids)
        before = {each: self._streams.get(each) for each in ids}
        for each, stream in zip(ids, found, strict=True):
            self._streams.pop(each, None)
            if stream is not None and stream.type == "live":
                self._streams[each] = stream
        changed = any(self._streams.get(each) != before[each] for each in ids) or not self._asked.issuperset(ids)
        self._asked.update(ids)
        unknown = [each for each in ids if each not in self._profiles]
        for user in await all_of(self._lookups.user(each) for each in unknown):
            if user is not None:
                self._profiles[user.id] = _Profile(user.name, user.image_url)
                changed = True
        self.version += changed
