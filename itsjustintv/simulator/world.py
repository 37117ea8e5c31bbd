"""
Who streams on the simulated Twitch, and who is live.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from random import Random

from attrs import define, field, frozen
from twisted.internet.interfaces import IReactorTime

__all__ = ["Channel", "Stream", "World", "rfc3339"]


def rfc3339(seconds: float) -> str:
    """
    Write a time as Twitch does in headers and subscriptions: UTC, nine digits of a second.
    """
    whole, fraction = divmod(seconds, 1)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}.{int(fraction * 1e9):09}Z"


@frozen(kw_only=True)
class Channel:
    """
    A streamer.
    """

    id: str
    login: str
    name: str
    title: str
    game_id: str
    game_name: str
    tags: tuple[str, ...]
    language: str
    followers: int
    viewers: int
    description: str
    created_at: str


@frozen(kw_only=True)
class Stream:
    """
    One broadcast.

    :ivar started_at: RFC 3339, whole seconds.
    :ivar listed_at: when Get Streams begins to list it, seconds since the epoch.
    """

    id: str
    channel: Channel
    started_at: str
    listed_at: float


@define(eq=False)
class World:
    """
    The streamers and their broadcasts.

    :ivar lag: seconds from a broadcast's start until Get Streams lists it; on the real Twitch up to a minute.
    """

    _clock: IReactorTime
    _random: Random
    lag: float = 0.0
    _channels: dict[str, Channel] = field(factory=dict, init=False)
    _live: dict[str, Stream] = field(factory=dict, init=False)
    _games: dict[str, str] = field(factory=dict, init=False)

    def add_streamer(
        self,
        login: str,
        name: str = "",
        *,
        user_id: str = "",
        title: str = "",
        game: str = "",
        tags: Iterable[str] = (),
        language: str = "en",
        followers: int = 0,
        viewers: int = 0,
        description: str = "",
    ) -> Channel:
        """
        Let somebody stream from now on.

        :param name: the display name; the login unless given.
        :param user_id: drawn unless given.
        """
        channel = Channel(
            id=user_id or str(self._random.randrange(10**7, 10**9)),
            login=login,
            name=name or login,
            title=title,
            game_id=self._games.setdefault(game, str(self._random.randrange(10**4, 10**6))) if game else "",
            game_name=game,
            tags=tuple(tags),
            language=language,
            followers=followers,
            viewers=viewers,
            description=description,
            created_at=rfc3339(self._clock.seconds() - 10**8),
        )
        self._channels[channel.id] = channel
        return channel

    def go_live(self, login: str, *, lag: float | None = None, ago: float = 0.0) -> Stream:
        """
        Begin a broadcast; one that was still running ends.

        :param lag: seconds, instead of the usual ones.
        :param ago: seconds that it has been on already.
        :raises LookupError: nobody is called that.
        """
        channel = self.channel(login)
        now = self._clock.seconds() - ago
        stream = Stream(
            id=str(self._random.randrange(10**10, 10**11)),
            channel=channel,
            started_at=f"{datetime.fromtimestamp(now, UTC):%Y-%m-%dT%H:%M:%SZ}",
            listed_at=now + (self.lag if lag is None else lag),
        )
        self._live[channel.id] = stream
        return stream

    def go_offline(self, login: str) -> None:
        """
        End the broadcast, if there is one.
        """
        self._live.pop(self.channel(login).id, None)

    def channel(self, login: str) -> Channel:
        """
        Find somebody by login.

        :raises LookupError: nobody is called that.
        """
        for channel in self._channels.values():
            if channel.login == login.lower():
                return channel
        raise LookupError(f"there is no streamer called {login}")

    def everybody(self) -> Sequence[Channel]:
        """
        All who stream.
        """
        return list(self._channels.values())

    def channels(self, *, ids: Iterable[str] = (), logins: Iterable[str] = ()) -> Sequence[Channel]:
        """
        Everybody among these ids and logins who exists, once each.
        """
        called = {login.lower() for login in logins}
        found = dict.fromkeys(each for each in ids if each in self._channels)
        if called:
            found.update((each.id, None) for each in self._channels.values() if each.login in called)
        return [self._channels[each] for each in found]

    def listed(self) -> Sequence[Stream]:
        """
        The broadcasts that Get Streams knows of by now, oldest first.
        """
        now = self._clock.seconds()
        return [stream for stream in self._live.values() if stream.listed_at <= now]
