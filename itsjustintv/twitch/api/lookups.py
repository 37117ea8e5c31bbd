"""
Look-ups of users, channels, streams, recordings and followers (dev.twitch.tv, "Twitch API reference").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from attrs import Factory, define, field, frozen
from twisted.internet.defer import Deferred, succeed
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime

from itsjustintv.errors import TwitchUnavailable
from itsjustintv.model import parse_rfc3339
from itsjustintv.support.waiters import SingleFlight
from itsjustintv.twitch.api.batching import FULL_CALL, BatchedLookup, BatchInterval
from itsjustintv.twitch.api.helix import Helix, Params
from itsjustintv.twitch.json_fields import JSONFields

__all__ = ["Channel", "Lookups", "Stream", "User", "Video"]

# One impossible name makes Helix reject the whole call.
_ID = re.compile(r"[0-9]{1,20}")
_LOGIN = re.compile(r"[a-z0-9_]{1,25}")

# Such as 3h8m33s.
_DURATION = re.compile(r"(?:(\d{1,4})h)?(?:(\d{1,4})m)?(?:(\d{1,6})s)?")

# The share of the rate limit that a look-up of recordings leaves for others: it costs a point for each channel.
_RESERVE = 0.25

# Seconds after which a look-up of recordings is given up that has waited for the rate limit.
_PATIENCE = 15.0

Item = TypeVar("Item")


@frozen(kw_only=True)
class User:
    """
    From Get Users. An absent text is empty, here and below.
    """

    id: str
    login: str
    name: str
    description: str
    image_url: str


@frozen(kw_only=True)
class Channel:
    """
    From Get Channel Information: the settings of a channel, live or not.
    """

    id: str
    language: str
    title: str
    game_id: str
    game_name: str
    tags: tuple[str, ...]


@frozen(kw_only=True)
class Stream:
    """
    From Get Streams: a broadcast of now, or of a minute ago.

    :ivar type: ``live``, or empty when Twitch itself is in trouble.
    :ivar started_at: RFC 3339 as Twitch wrote it.
    :ivar thumbnail_url: holds ``{width}x{height}`` to be filled in.
    """

    id: str
    user_id: str
    user_login: str
    user_name: str
    type: str
    started_at: str
    language: str
    title: str
    game_id: str
    game_name: str
    tags: tuple[str, ...]
    viewer_count: int | None
    thumbnail_url: str


@frozen(kw_only=True)
class Video:
    """
    From Get Videos: the recording of a stream, which may go on.

    :ivar created_at: RFC 3339 as Twitch wrote it.
    :ivar duration: seconds; ``None`` when Twitch does not say.
    """

    stream_id: str
    url: str
    created_at: str
    duration: float | None

    @property
    def ended_at(self) -> float | None:
        """
        When the stream ended, in seconds since the epoch, or until when it is recorded; ``None`` if that is unknown.
        """
        began_at = parse_rfc3339(self.created_at)
        return None if began_at is None or self.duration is None else began_at + self.duration


@define(eq=False)
class Lookups:
    """
    Looks up many at once. Every look-up answers ``None`` for what Helix does not know, and fails with a
    :class:`~itsjustintv.errors.TwitchError`.

    :ivar interval: decides the seconds between two calls of one kind; each call is reported to it.
    """

    _helix: Helix
    _clock: IReactorTime
    _interval: BatchInterval
    _users: BatchedLookup[tuple[str, str], User] = field(
        init=False, default=Factory(lambda self: self._batch(self._ask_users), takes_self=True)
    )
    _channels: BatchedLookup[str, Channel] = field(
        init=False, default=Factory(lambda self: self._batch(self._ask_channels), takes_self=True)
    )
    _streams: BatchedLookup[str, Stream] = field(
        init=False, default=Factory(lambda self: self._batch(self._ask_streams), takes_self=True)
    )

    _asking: SingleFlight[Sequence[Video]] = field(factory=SingleFlight, init=False)

    def user(self, user_id: str) -> Deferred[User | None]:
        """
        Find a user by id.
        """
        return self._users.get(("id", user_id)) if _ID.fullmatch(user_id) else succeed(None)

    def user_by_login(self, login: str) -> Deferred[User | None]:
        """
        Find a user by login, in whatever case. A login that cannot be one is unknown.
        """
        login = login.lower()
        return self._users.get(("login", login)) if _LOGIN.fullmatch(login) else succeed(None)

    def channel(self, user_id: str) -> Deferred[Channel | None]:
        """
        Find the channel of a user.
        """
        return self._channels.get(user_id) if _ID.fullmatch(user_id) else succeed(None)

    def stream(self, user_id: str) -> Deferred[Stream | None]:
        """
        Find what a user is streaming. For up to a minute after a start it is ``None``, or the broadcast before.
        """
        return self._streams.get(user_id) if _ID.fullmatch(user_id) else succeed(None)

    async def followers(self, user_id: str, spare: int = 0) -> int:
        """
        Count the followers of a channel. Costs a point of the rate limit each time.

        :param spare: points to leave in the rate bucket for other requests.
        """
        self._interval.spend()
        answer = await self._helix.get(
            "/channels/followers", [("broadcaster_id", user_id), ("first", "1")], spare=spare
        )
        total = JSONFields.of(answer).count("total")
        if total is None:
            raise TwitchUnavailable("GET /channels/followers: the answer has no total")
        return total

    async def recordings(self, user_id: str) -> Sequence[Video]:
        """
        List the newest recordings of a channel's streams, the newest first. Costs a point of the rate limit for each
        channel; those who ask at the same time share the answer.
        """
        return await self._asking.join(user_id, lambda: self._ask_recordings(user_id))

    async def _ask_recordings(self, user_id: str) -> Sequence[Video]:
        if not _ID.fullmatch(user_id):
            return ()
        params = [("user_id", user_id), ("type", "archive"), ("first", str(FULL_CALL))]
        asking = Deferred.fromCoroutine(self._items("/videos", params, _video, spare=int(self._helix.limit * _RESERVE)))
        try:
            return await asking.addTimeout(_PATIENCE, self._clock)
        except DeferredTimeout:
            raise TwitchUnavailable("GET /videos: the rate limit had no point to spare in time") from None

    def _batch(self, ask: Any) -> BatchedLookup[Any, Any]:
        return BatchedLookup(ask, self._clock, interval=self._interval.interval)

    async def _ask_users(self, keys: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], User]:
        users = await self._items("/users", keys, _user)
        return {key: user for user in users for key in (("id", user.id), ("login", user.login.lower()))}

    async def _ask_channels(self, ids: Sequence[str]) -> Mapping[str, Channel]:
        channels = await self._items("/channels", [("broadcaster_id", each) for each in ids], _channel)
        return {channel.id: channel for channel in channels}

    async def _ask_streams(self, ids: Sequence[str]) -> Mapping[str, Stream]:
        # Without "first" only 20 are answered.
        params = [("first", str(FULL_CALL)), *(("user_id", each) for each in ids)]
        return {stream.user_id: stream for stream in await self._items("/streams", params, _stream)}

    async def _items(
        self, path: str, params: Params, read: Callable[[JSONFields], Item], spare: int = 0
    ) -> Sequence[Item]:
        self._interval.spend()
        answer = await self._helix.get(path, params, spare=spare)
        data = JSONFields.of(answer).value("data")
        if not isinstance(data, list):
            raise TwitchUnavailable(f"GET {path}: the answer has no data")
        return [read(JSONFields(item)) for item in data if isinstance(item, dict)]


def _user(item: JSONFields) -> User:
    return User(
        id=item.text("id"),
        login=item.text("login"),
        name=item.text("display_name"),
        description=item.text("description"),
        image_url=item.text("profile_image_url"),
    )


def _video(item: JSONFields) -> Video:
    return Video(
        stream_id=item.text("stream_id"),
        url=item.text("url"),
        created_at=item.text("created_at"),
        duration=_seconds(item.text("duration")),
    )


def _seconds(text: str) -> float | None:
    found = _DURATION.fullmatch(text)
    if found is None or not text:
        return None
    hours, minutes, seconds = (int(each or 0) for each in found.groups())
    return float(hours * 3600 + minutes * 60 + seconds)


def _channel(item: JSONFields) -> Channel:
    return Channel(
        id=item.text("broadcaster_id"),
        language=item.text("broadcaster_language"),
        title=item.text("title"),
        game_id=item.text("game_id"),
        game_name=item.text("game_name"),
        tags=item.texts("tags"),
    )


def _stream(item: JSONFields) -> Stream:
    return Stream(
        id=item.text("id"),
        user_id=item.text("user_id"),
        user_login=item.text("user_login"),
        user_name=item.text("user_name"),
        type=item.text("type"),
        started_at=item.text("started_at"),
        language=item.text("language"),
        title=item.text("title"),
        game_id=item.text("game_id"),
        game_name=item.text("game_name"),
        tags=item.texts("tags"),
        viewer_count=item.count("viewer_count"),
        thumbnail_url=item.text("thumbnail_url"),
    )
