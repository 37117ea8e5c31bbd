"""
The EventSub subscription types that the daemon can subscribe to: one row each in :data:`EVENT_TYPES`.

A row is all that EventSub needs to know of a type: subscriptions, messages and the catch-up read it from here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import frozen

from itsjustintv.model import CHANNEL_UPDATE as UPDATE
from itsjustintv.model import STREAM_OFFLINE as OFFLINE
from itsjustintv.model import STREAM_ONLINE as ONLINE
from itsjustintv.model import Event, broadcast_keys, end_key, message_key
from itsjustintv.twitch.json_fields import JSONFields

__all__ = [
    "CHANNEL_UPDATE",
    "EVENT_TYPES",
    "STREAM_OFFLINE",
    "STREAM_ONLINE",
    "EventType",
    "Occurrence",
    "Topic",
    "broadcaster_in",
    "name_topic",
]


@frozen(kw_only=True)
class Occurrence:
    """
    What happened, as Twitch says: the part of an :class:`~itsjustintv.model.Event` that is Twitch's. What a type of
    event does not have is empty.

    :ivar started_at: RFC 3339 as Twitch wrote it.
    :ivar type: of the broadcast: ``live``, say.
    :ivar occurred_at: when Twitch sent the message, in seconds since the epoch, for what has no time of its own; 0 when
        that is not known, and of a start.
    :ivar sent_at: when Twitch sent the message about a start, in seconds since the epoch; 0 when there was none.
    :ivar ended: what has ended, when it was found out without a message: the broadcast's id, and its last stream.
    """

    broadcaster_id: str
    broadcaster_login: str
    broadcaster_name: str
    stream_id: str = ""
    started_at: str = ""
    type: str = ""
    occurred_at: float = 0.0
    title: str = ""
    category_id: str = ""
    category: str = ""
    language: str = ""
    sent_at: float = 0.0
    ended: tuple[str, str] = ("", "")


@frozen(kw_only=True, eq=False)
class EventType:
    """
    One subscription type (dev.twitch.tv, "EventSub subscription types").

    :ivar condition_key: the field of the condition that holds the broadcaster's user id.
    :ivar parse: reads ``event`` of a notification that was sent at a time, in seconds since the epoch; raises
        :class:`~itsjustintv.errors.Unreadable` for what cannot be announced.
    :ivar deduplication_keys: makes them of an occurrence and the id of its message; two events that share one are the
        same news.
    """

    name: str
    version: str
    condition_key: str
    parse: Callable[[JSONFields, float], Occurrence]
    deduplication_keys: Callable[[Occurrence, str], tuple[str, ...]]

    def condition(self, broadcaster_id: str) -> Mapping[str, str]:
        """
        Make the condition of a subscription.
        """
        return {self.condition_key: broadcaster_id}

    def event(
        self, occurrence: Occurrence, event_id: str, message_id: str, received_at: float, *, recovered: bool = False
    ) -> Event:
        """
        Make the event of an occurrence.

        :param message_id: empty when no message reported it.
        :param received_at: seconds since the epoch.
        """
        return Event(
            id=event_id,
            message_id=message_id,
            stream_id=occurrence.stream_id,
            broadcaster_id=occurrence.broadcaster_id,
            broadcaster_login=occurrence.broadcaster_login,
            broadcaster_name=occurrence.broadcaster_name,
            type=occurrence.type,
            started_at=occurrence.started_at,
            received_at=received_at,
            recovered=recovered,
            event_type=self.name,
            occurred_at=occurrence.occurred_at,
            title=occurrence.title,
            category_id=occurrence.category_id,
            category=occurrence.category,
            language=occurrence.language,
            sent_at=occurrence.sent_at,
            keys=self.deduplication_keys(occurrence, message_id),
        )


@frozen
class Topic:
    """
    What one subscription is for: events of a type, of a broadcaster.
    """

    event_type: EventType
    broadcaster_id: str


def _stream_online(event: JSONFields, sent_at: float) -> Occurrence:
    """
    Read a Stream Online Event. One without a type counts as ``live``: refusing it would lose it, since Twitch does not
    send a refused message again.
    """
    return Occurrence(
        stream_id=event.required_text("id"),
        broadcaster_id=event.required_text("broadcaster_user_id"),
        broadcaster_login=event.text("broadcaster_user_login"),
        broadcaster_name=event.text("broadcaster_user_name"),
        type=event.text("type"),
        started_at=event.required_text("started_at"),
        sent_at=sent_at,
    )


def _stream_offline(event: JSONFields, sent_at: float) -> Occurrence:
    """
    Read a Stream Offline Event, which names neither the stream nor a time.
    """
    return Occurrence(
        broadcaster_id=event.required_text("broadcaster_user_id"),
        broadcaster_login=event.text("broadcaster_user_login"),
        broadcaster_name=event.text("broadcaster_user_name"),
        occurred_at=sent_at,
    )


def _channel_update(event: JSONFields, sent_at: float) -> Occurrence:
    """
    Read a Channel Update Event, version 2. Title and category can be empty.
    """
    return Occurrence(
        broadcaster_id=event.required_text("broadcaster_user_id"),
        broadcaster_login=event.text("broadcaster_user_login"),
        broadcaster_name=event.text("broadcaster_user_name"),
        occurred_at=sent_at,
        title=event.text("title"),
        category_id=event.text("category_id"),
        category=event.text("category_name"),
        language=event.text("language"),
    )


def _broadcast_keys(occurrence: Occurrence, message_id: str) -> tuple[str, ...]:
    return broadcast_keys(occurrence.broadcaster_id, occurrence.stream_id, occurrence.started_at, message_id)


def _message_key(_: Occurrence, message_id: str) -> tuple[str, ...]:
    return (message_key(message_id),)


def _end_key(occurrence: Occurrence, message_id: str) -> tuple[str, ...]:
    return (message_key(message_id) if message_id else end_key(*occurrence.ended),)


STREAM_ONLINE = EventType(
    name=ONLINE,
    version="1",
    condition_key="broadcaster_user_id",
    parse=_stream_online,
    deduplication_keys=_broadcast_keys,
)

STREAM_OFFLINE = EventType(
    name=OFFLINE,
    version="1",
    condition_key="broadcaster_user_id",
    parse=_stream_offline,
    deduplication_keys=_end_key,
)

CHANNEL_UPDATE = EventType(
    name=UPDATE,
    version="2",
    condition_key="broadcaster_user_id",
    parse=_channel_update,
    deduplication_keys=_message_key,
)

#: By the name that Twitch gives them; the most important first, which every streamer has a subscription of.
EVENT_TYPES: Mapping[str, EventType] = {each.name: each for each in (STREAM_ONLINE, STREAM_OFFLINE, CHANNEL_UPDATE)}


def name_topic(topic: Topic | None, name: str) -> str:
    """
    Add to a name what a subscription is for, unless it is for the start of broadcasts.
    """
    return name if topic is None or topic.event_type is STREAM_ONLINE else f"{name} ({topic.event_type.name})"


def broadcaster_in(condition: JSONFields, name: str) -> str:
    """
    Read whom a subscription is for; empty when its condition does not say.

    :param name: the subscription type, with a row here or not.
    """
    return condition.text(EVENT_TYPES.get(name, STREAM_ONLINE).condition_key)
