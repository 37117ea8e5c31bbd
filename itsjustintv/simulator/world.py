"""
The channels of the simulated Twitch, and their broadcasts.

It is not documented how soon Get Streams lists a new broadcast. The simulator follows github.com/twitchdev, issues 558:
for up to a minute the answers vary while caches fill.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any

from attrs import define, evolve, field, frozen
from twisted.internet.interfaces import IReactorTime

__all__ = ["SimulatedChannel", "SimulatedStream", "SimulatedVideo", "World", "rfc3339"]


def rfc3339(seconds: float) -> str:
    """
    Format a time as in headers and subscriptions: UTC, nanoseconds (dev.twitch.tv, "Handling
    webhook events": RFC 3339, with nanoseconds in its examples).
    """
    whole, fraction = divmod(seconds, 1)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}.{int(fraction * 1e9):09}Z"


@frozen(kw_only=True)
class SimulatedChannel:
    """
    A channel. Its login can change, its id never does (dev.twitch.tv, API reference, "Get Users").
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
class SimulatedStream:
    """
    One broadcast.

    :ivar started_at: RFC 3339, whole seconds.
    :ivar listed_at: when Get Streams starts to list it, in seconds since the epoch.
    :ivar type: ``live``, or ``rerun``, ``premiere``, ...
    """

    id: str
    channel: SimulatedChannel
    started_at: str
    listed_at: float
    type: str = "live"


@frozen(kw_only=True)
class SimulatedVideo:
    """
    The recording of a broadcast, from its start until it ends.

    :ivar began_at: in seconds since the epoch, as is ``ended_at``, which is ``None`` while it goes on.
    """

    id: str
    stream: SimulatedStream
    began_at: float
    ended_at: float | None = None


@define(eq=False)
class World:
    """
    The channels and their broadcasts.

    :ivar lag: seconds from the start of a broadcast until Get Streams lists it; at Twitch up to a minute.
    :ivar flickers: whether until then it is listed in half of the answers.
    :ivar stale: whether until then the previous broadcast is listed.
    :ivar records: whether broadcasts that begin are recorded; a channel decides that itself.
    :ivar recording_lag: seconds from the end of a broadcast until Get Videos lists its recording; ``None`` when it does
        from the start, as usual.
    """

    _clock: IReactorTime
    _random: Random
    lag: float = 0.0
    flickers: bool = False
    stale: bool = False
    records: bool = True
    recording_lag: float | None = None
    _channels: dict[str, SimulatedChannel] = field(factory=dict, init=False)
    _live: dict[str, SimulatedStream] = field(factory=dict, init=False)
    _last: dict[str, SimulatedStream] = field(factory=dict, init=False)
    _before: dict[str, SimulatedStream] = field(factory=dict, init=False)
    _games: dict[str, str] = field(factory=dict, init=False)
    _videos: dict[str, list[SimulatedVideo]] = field(factory=dict, init=False)

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
    ) -> SimulatedChannel:
        """
        Add a channel.

        :param name: the display name; the login unless given.
        :param user_id: random unless given.
        """
        channel = SimulatedChannel(
            id=user_id or str(self._random.randrange(10**7, 10**9)),
            login=login,
            name=name or login,
            title=title,
            **self._game(game),
            tags=tuple(tags),
            language=language,
            followers=followers,
            viewers=viewers,
            description=description,
            created_at=_whole(self._clock.seconds() - 10**8),
        )
        self._channels[channel.id] = channel
        return channel

    def change(self, login: str, /, **about: Any) -> SimulatedChannel:
        """
        Change a channel: ``title``, ``game``, ``tags``, ``login``, ...

        :raises LookupError: no channel has this login.
        :raises TypeError: a channel has no such attribute.
        """
        if "game" in about:
            about.update(self._game(about.pop("game")))
        channel = evolve(self.channel(login), **about)
        self._channels[channel.id] = channel
        for streams in (self._live, self._last):
            if channel.id in streams:
                streams[channel.id] = evolve(streams[channel.id], channel=channel)
        return channel

    def remove(self, login: str) -> SimulatedChannel:
        """
        Remove a channel; Get Users then leaves it out.

        :raises LookupError: no channel has this login.
        """
        channel = self._channels.pop(self.channel(login).id)
        self._live.pop(channel.id, None)
        return channel

    def go_live(
        self, login: str, *, lag: float | None = None, ago: float = 0.0, again: bool = False, kind: str = "live"
    ) -> SimulatedStream:
        """
        Start a broadcast; one that is live ends.

        :param lag: seconds, instead of :attr:`lag`.
        :param ago: seconds since it started.
        :param again: whether the last broadcast continues with its id and start, as after a short break
            (github.com/twitchdev, issues 230).
        :param kind: the type of a new broadcast.
        :raises LookupError: no channel has this login, or it has no broadcast to continue.
        """
        channel = self.channel(login)
        now = self._clock.seconds() - ago
        listed_at = now + (self.lag if lag is None else lag)
        if again:
            if channel.id not in self._last:
                raise LookupError(f"{login} has no broadcast to continue")
            stream = evolve(self._last[channel.id], listed_at=listed_at)
        else:
            stream = SimulatedStream(
                id=str(self._random.randrange(10**10, 10**11)),
                channel=channel,
                started_at=_whole(now),
                listed_at=listed_at,
                type=kind,
            )
            if channel.id in self._last:
                self._before[channel.id] = self._last[channel.id]
        self._end_video(channel.id)
        self._live[channel.id] = self._last[channel.id] = stream
        videos = self._videos.setdefault(channel.id, [])
        if videos and videos[-1].stream.id == stream.id:
            videos[-1] = evolve(videos[-1], ended_at=None)
        elif self.records:
            videos.append(SimulatedVideo(id=stream.id[::-1], stream=stream, began_at=now))
        return stream

    def last(self, login: str) -> SimulatedStream:
        """
        The current or the last broadcast.

        :raises LookupError: no channel has this login, or it never was live.
        """
        stream = self._last.get(self.channel(login).id)
        if stream is None:
            raise LookupError(f"{login} has not been live yet")
        return stream

    def go_offline(self, login: str) -> None:
        """
        End the broadcast, if the channel is live.
        """
        channel_id = self.channel(login).id
        self._end_video(channel_id)
        self._live.pop(channel_id, None)

    def videos(self, user_id: str) -> Sequence[SimulatedVideo]:
        """
        The recordings of a channel, the newest first.
        """
        found = self._videos.get(user_id, [])[::-1]
        if self.recording_lag is None:
            return found
        before = self._clock.seconds() - self.recording_lag
        return [each for each in found if each.ended_at is not None and each.ended_at <= before]

    def _end_video(self, channel_id: str) -> None:
        videos = self._videos.get(channel_id)
        if videos and videos[-1].ended_at is None:
            videos[-1] = evolve(videos[-1], ended_at=self._clock.seconds())

    def _game(self, name: str) -> dict[str, str]:
        game_id = self._games.setdefault(name, str(self._random.randrange(10**4, 10**6))) if name else ""
        return {"game_id": game_id, "game_name": name}

    def channel(self, login: str) -> SimulatedChannel:
        """
        Find a channel by login.

        :raises LookupError: no channel has this login.
        """
        for channel in self._channels.values():
            if channel.login == login.lower():
                return channel
        raise LookupError(f"unknown streamer {login}")

    def all_channels(self) -> Sequence[SimulatedChannel]:
        return list(self._channels.values())

    def channels(self, *, ids: Iterable[str] = (), logins: Iterable[str] = ()) -> Sequence[SimulatedChannel]:
        """
        The channels with these ids and logins, each once.
        """
        wanted = {login.lower() for login in logins}
        found = dict.fromkeys(each for each in ids if each in self._channels)
        if wanted:
            found.update((each.id, None) for each in self._channels.values() if each.login in wanted)
        return [self._channels[each] for each in found]

    def listed(self) -> Sequence[SimulatedStream]:
        """
        The broadcasts that Get Streams lists now, oldest first.
        """
        found = (self._as_listed(stream) for stream in self._live.values())
        return [stream for stream in found if stream is not None]

    def _as_listed(self, stream: SimulatedStream) -> SimulatedStream | None:
        if stream.listed_at <= self._clock.seconds() or (self.flickers and self._random.random() < 0.5):
            return stream
        return self._before.get(stream.channel.id) if self.stale else None


def _whole(seconds: float) -> str:
    """
    Format a time as Helix does: UTC, whole seconds.
    """
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
