"""
What happened on Twitch, whom it concerns, and what is found out about it.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from enum import Enum, StrEnum
from hashlib import sha256

from attrs import Factory, asdict, field, frozen

from itsjustintv.model.broadcasts import Broadcast
from itsjustintv.model.deliveries import Action

__all__ = [
    "CHANNEL_UPDATE",
    "STREAM_OFFLINE",
    "STREAM_ONLINE",
    "Acceptance",
    "Enrichment",
    "Event",
    "Notice",
    "Owner",
    "Picture",
    "Presence",
    "StreamDetails",
    "Streamer",
    "Subscribed",
    "broadcast_key",
    "broadcast_keys",
    "end_key",
]


def broadcast_key(user_id: str, stream_id: str, started_at: str) -> str:
    """
    Name one broadcast, whatever message announced it.

    The form is that of the original program's ``cache.json`` (hex SHA-256 of
    ``user_id:stream_id:unix(started_at)``), so that its memory can be taken over.

    :param started_at: RFC 3339; a text that is not a time is used as it is.
    """
    try:
        started = str(int(datetime.fromisoformat(started_at).timestamp()))
    except ValueError:
        started = started_at
    return sha256(f"{user_id}:{stream_id}:{started}".encode()).hexdigest()


def broadcast_keys(user_id: str, stream_id: str, started_at: str, message_id: str) -> tuple[str, ...]:
    """
    Make the deduplication keys of a broadcast's start: the broadcast, the message itself if there is one, and the
    stream.

    Twitch redelivers a message under its id, and sometimes sends one broadcast under two ids. The last key is for a
    broadcast that is reported twice with different times, by a message and by Get Streams.
    """
    return (
        broadcast_key(user_id, stream_id, started_at),
        *((message_key(message_id),) if message_id else ()),
        f"stream:{user_id}:{stream_id}",
    )


def message_key(message_id: str) -> str:
    """
    Make the deduplication key of a message.
    """
    return f"message:{message_id}"


def return_key(broadcast_id: str, ended_at: float) -> str:
    """
    Make the deduplication key of a stream's return under its id after an end of its broadcast.
    """
    return f"return:{broadcast_id}:{ended_at:.3f}"


def end_key(broadcast_id: str, stream_id: str) -> str:
    """
    Make the deduplication key of an end that no message reported.
    """
    return f"offline:{broadcast_id}:{stream_id}"


#: EventSub's names of what happens: the values of ``Event.event_type``.
STREAM_ONLINE = "stream.online"


STREAM_OFFLINE = "stream.offline"


CHANNEL_UPDATE = "channel.update"


_NOT_PUBLIC = frozenset({"keys", "sent_at"})
_OF_OTHER_TYPES = frozenset({"event_type", "occurred_at", "title", "category_id", "category", "language"})


@frozen(kw_only=True)
class Event:
    """
    Something that happened on Twitch.

    :ivar id: ours; unique, the same in every attempt to every destination. Holds no ``.`` (Standard Webhooks).
    :ivar message_id: ``Twitch-Eventsub-Message-Id``, opaque; empty when it was recovered.
    :ivar stream_id: ``event.id``, the stream; empty for events that name none.
    :ivar type: ``live``, or whatever else Twitch says; empty unless a stream began.
    :ivar started_at: RFC 3339 as Twitch wrote it; empty unless a stream began.
    :ivar received_at: when the request was read, or Twitch's answer.
    :ivar recovered: whether it was found by asking Twitch who is live, since no message came.
    :ivar trace: the trace of what is done for it, as a ``traceparent``; empty for none. The journal stores it with the
        deliveries.
    :ivar event_type: the EventSub subscription type.
    :ivar occurred_at: when it happened, for events that say so by their message alone; 0 where ``started_at`` does.
    :ivar title: of the channel after a ``channel.update``; otherwise empty. So are the next three.
    :ivar category_id: of the category (once: game).
    :ivar category: its name.
    :ivar language: ISO 639-1, as Twitch wrote it.
    :ivar sent_at: when Twitch sent the message about a start; 0 when there was none. Not stored.
    :ivar keys: deduplication keys; two events that share one are the same news.
    """

    id: str
    message_id: str
    stream_id: str
    broadcaster_id: str
    broadcaster_login: str
    broadcaster_name: str
    type: str
    started_at: str
    received_at: float
    recovered: bool = False
    trace: str = ""
    event_type: str = STREAM_ONLINE
    occurred_at: float = 0.0
    title: str = ""
    category_id: str = ""
    category: str = ""
    language: str = ""
    sent_at: float = field(default=0.0, eq=False)
    keys: tuple[str, ...] = field(
        default=Factory(
            lambda self: broadcast_keys(self.broadcaster_id, self.stream_id, self.started_at, self.message_id),
            takes_self=True,
        ),
        eq=False,
        repr=False,
    )

    @property
    def action(self) -> str:
        """
        What a log says that the streamer did. A message without a type counts as ``live``.
        """
        if self.event_type == STREAM_OFFLINE:
            return "went offline"
        if self.event_type == CHANNEL_UPDATE:
            return "changed the title or the category"
        return "went live" if self.type in ("", "live") else f"began a broadcast of type {self.type}"

    def public(self) -> dict[str, object]:
        """
        Everything about it that is stored, as JSON; of a ``stream.online`` without what only other types have.
        """
        hidden = _NOT_PUBLIC | _OF_OTHER_TYPES if self.event_type == STREAM_ONLINE else _NOT_PUBLIC
        return asdict(self, filter=lambda attribute, _: attribute.name not in hidden)

    def with_trace(self, trace: str) -> Event:
        """
        The same event in a trace. Written out: it is made for every message, and ``evolve`` takes four times as long.
        """
        return Event(
            id=self.id,
            message_id=self.message_id,
            stream_id=self.stream_id,
            broadcaster_id=self.broadcaster_id,
            broadcaster_login=self.broadcaster_login,
            broadcaster_name=self.broadcaster_name,
            type=self.type,
            started_at=self.started_at,
            received_at=self.received_at,
            recovered=self.recovered,
            trace=trace,
            event_type=self.event_type,
            occurred_at=self.occurred_at,
            title=self.title,
            category_id=self.category_id,
            category=self.category,
            language=self.language,
            sent_at=self.sent_at,
            keys=self.keys,
        )


class Acceptance(Enum):
    """
    What became of an event: stored, known already, or of no configured streamer.
    """

    ACCEPTED = "processed"
    DUPLICATE = "duplicate"
    IGNORED = "ignored"


@frozen(kw_only=True)
class Streamer:
    """
    A configured streamer.

    :ivar key: the name of the table in the configuration, ``foo`` in ``[streamers.foo]``.
    :ivar user_id: empty while unknown.
    :ivar login: lower-case, empty when only the id is configured.
    :ivar tag_filter: at least one of these must be a tag of the broadcast; empty lets everything through.
    :ivar types: of broadcasts that are announced; empty for all.
    :ivar destinations: names, resolved when something is sent.
    """

    key: str
    user_id: str = ""
    login: str = ""
    tag_filter: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    additional_tags: tuple[str, ...] = ()
    destinations: tuple[str, ...] = ()


@frozen
class Owner:
    """
    The channel of a destination that is not configured any more.

    :ivar user_id: empty if not known; so is ``login``.
    :ivar others: keys of streamers that had deliveries to other destinations at the same time.
    """

    user_id: str
    login: str
    others: Collection[str] = ()

    def is_now(self, streamer: Streamer) -> bool:
        """
        Whether a new entry of the configuration is the same channel. A login counts only where an id is not known: it
        can have passed to another user.
        """
        if streamer.key in self.others:
            return False
        if self.user_id and streamer.user_id:
            return self.user_id == streamer.user_id
        return bool(self.login) and self.login == streamer.login


@frozen(kw_only=True)
class Picture:
    """
    A profile image.

    :ivar data: the bytes, or ``None`` when only the address is known.
    """

    url: str
    mime_type: str = ""
    width: int = 300
    height: int = 300
    data: bytes | None = field(default=None, repr=False)


@frozen(kw_only=True)
class StreamDetails:
    """
    What Helix knows about the broadcast; an absent value is ``None`` or empty.

    :ivar listed: whether Get Streams listed this very broadcast; otherwise title, game and tags are the channel's. Of
        an event that names no stream: whether it listed any of the channel.
    """

    listed: bool = False
    title: str = ""
    game_id: str = ""
    game_name: str = ""
    viewer_count: int | None = None
    language: str = ""
    thumbnail_url: str = ""


@frozen(kw_only=True)
class Enrichment:
    """
    Everything Helix added to an event, best effort.

    :ivar tags: Twitch's own tags; ``None`` when they could not be fetched, which is not the same as none.
    :ivar vods: addresses of the recordings of a broadcast that has ended, in the order of its streams.
    :ivar problems: one short reason for each thing that could not be had, for the log.
    """

    stream: StreamDetails = StreamDetails()
    tags: tuple[str, ...] | None = None
    followers_count: int | None = None
    description: str = ""
    picture: Picture | None = None
    vods: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


@frozen(kw_only=True)
class Notice:
    """
    What a destination renders: an event, the streamer's entry in the configuration, and the details from Twitch.

    :ivar built_at: when it was put together.
    :ivar test: whether it is a test notification.
    :ivar action: what is done with the post; ``CREATE`` where there are no posts.
    :ivar broadcast: what the event belongs to; ``None`` where there are no posts.
    :ivar mention: whether the text mentions those whom the policy names. Only a ``CREATE`` may notify them: in an
        ``EDIT`` the text stays as it was.
    :ivar silent: whether devices make no sound: it is a quiet hour, a follow-up, or late.
    """

    event: Event
    streamer: Streamer
    enrichment: Enrichment
    built_at: float
    test: bool = False
    action: Action = Action.CREATE
    broadcast: Broadcast | None = None
    mention: bool = False
    silent: bool = False


@frozen(kw_only=True)
class Presence:
    """
    What is known of a streamer at this moment. An absent text is empty.

    :ivar live: ``None`` while unknown.
    :ivar viewers: ``None`` while unknown.
    :ivar started_at: RFC 3339 as Twitch wrote it.
    :ivar pictured: whether there is a profile image.
    """

    live: bool | None = None
    name: str = ""
    title: str = ""
    game: str = ""
    viewers: int | None = None
    started_at: str = ""
    pictured: bool = False


class Subscribed(StrEnum):
    """
    Whether the events of a streamer arrive.
    """

    ENABLED = "enabled"
    PENDING = "pending"
    BROKEN = "broken"
    UNKNOWN = "unknown"
    UNKNOWN_LOGIN = "unknown login"
