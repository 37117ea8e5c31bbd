"""
What an operator sees of the journal at a glance.
"""

from __future__ import annotations

from enum import StrEnum

from attrs import frozen

from itsjustintv.model import Attempt, Delivery, Event

__all__ = ["DeliveryStory", "EventStory", "Place", "Presence", "Subscribed", "Waiting"]

#: Where a list that is read in parts goes on: the values that order it, of the last entry read so far.
Place = tuple[float | str, ...]


@frozen(kw_only=True)
class DeliveryStory:
    """
    A delivery and what was tried.

    :ivar delivery: without its picture; its payload is there only where a single event or delivery was asked for.
    :ivar finished_at: when it ended, or ``None``.
    :ivar attempts: in order, those of earlier rounds included; of very many the last, in lists of deliveries only one.
    """

    delivery: Delivery
    finished_at: float | None
    attempts: tuple[Attempt, ...] = ()


@frozen(kw_only=True)
class EventStory:
    """
    An event and what became of it.
    """

    event: Event
    deliveries: tuple[DeliveryStory, ...]


@frozen(kw_only=True)
class Waiting:
    """
    What waits to be sent to a destination.

    :ivar next_at: when the first of it is due.
    """

    destination: str
    count: int
    next_at: float


@frozen(kw_only=True)
class Presence:
    """
    What is known of a streamer at this moment. An absent text is empty.

    :ivar live: ``None`` while it is not known.
    :ivar viewers: ``None`` while nobody has counted.
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
