"""
What is known of a streamer at this moment.
"""

from __future__ import annotations

from enum import StrEnum

from attrs import frozen

__all__ = ["Presence", "Subscribed"]


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
