"""
The names that a template can use, and the values behind them that are more than texts and numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, tzinfo
from types import MappingProxyType
from urllib.parse import quote

from attrs import frozen

__all__ = ["NAMES", "SHORTENED", "STREAMER_CONTROLLED", "STYLES", "Link", "Moment", "Trusted", "make_link"]

#: Every name with its meaning, in the order of ``docs/templates.md``.
NAMES: Mapping[str, str] = MappingProxyType(
    {
        "name": "the streamer's display name",
        "login": "the streamer's login name",
        "url": "address of the channel",
        "title": "title of the broadcast",
        "category": "name of the category (game)",
        "type": "type of the broadcast, such as live or rerun",
        "tags": "list of the broadcast's tags",
        "language": "language of the broadcast, such as en",
        "viewers": "number of viewers",
        "followers": "number of followers",
        "started": "when the broadcast began",
        "ended": "when it ended",
        "duration": "how long it lasted",
        "vod": "address of its recording",
        "vods": "list of the addresses of all its recordings",
        "picture": "address of the picture to show",
        "thumbnail": "address of a preview of the broadcast, while it is live",
        "profile": "address of the streamer's profile image",
        "event": "online, offline or update",
        "streamer": "name of the streamer's table in the configuration",
        "test": "whether it is a test notification",
        "recovered": "whether the broadcast was found by asking Twitch, not by its message",
        "previous_title": "title before an update",
        "previous_category": "category before an update",
        "changes": "list of what an update changed: title, category",
        "mentions": "text that notifies those who are configured, where the post is new",
    }
)

#: The names whose words a streamer chooses, or could choose.
STREAMER_CONTROLLED = frozenset(
    {"name", "login", "title", "category", "type", "tags", "language", "previous_title", "previous_category"}
)

#: Those of them that are shortened when a text is too long for its field.
SHORTENED = STREAMER_CONTROLLED - {"login", "type", "language"}


class Trusted(str):
    """
    A text in the format of its field, made from the configuration: it is printed as it is.
    """

    __slots__ = ()


class Link(str):
    """
    An address of the web, of characters that end no address in any format; see :func:`make_link`.
    """

    __slots__ = ()


_WEB = re.compile(r"https?://[^\s/?#]+", re.IGNORECASE)

# RFC 3986 without what Markdown and HTML give a meaning, and without what could be a mention.
_IN_ADDRESSES = "-._~:/?#!$&+,;=%"

# Browsers and services take no longer ones.
_LONGEST_ADDRESS = 2000


def make_link(address: str) -> Link | None:
    """
    Make a link of an address, or ``None`` of what is none. Other characters are percent-encoded (RFC 3986, 2.1).
    """
    if len(address) > _LONGEST_ADDRESS or not _WEB.match(address):
        return None
    encoded = quote(address.strip(), safe=_IN_ADDRESSES, errors="replace")
    return Link(encoded) if len(encoded) <= _LONGEST_ADDRESS else None


#: The ways to write a time, by the letters that Discord gave them.
STYLES: Mapping[str, str] = MappingProxyType(
    {
        "t": "{at:%H:%M} {zone}",
        "T": "{at:%H:%M:%S} {zone}",
        "d": "{at:%Y-%m-%d}",
        "D": "{at.day} {month} {at.year}",
        "f": "{at.day} {month} {at.year}, {at:%H:%M} {zone}",
        "F": "{weekday}, {at.day} {month} {at.year}, {at:%H:%M} {zone}",
        "R": "{at.day} {month} {at.year}, {at:%H:%M} {zone}",
    }
)

_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@frozen(order=True)
class Moment:
    """
    A time, as a value of a template.

    :ivar at: seconds since the epoch.
    :ivar zone: of those who read it, where a service does not write times in each reader's own.
    """

    at: float
    zone: tzinfo

    def write(self, style: str) -> str:
        """
        Write it in its zone, in English.

        :param style: a key of :data:`STYLES`.
        """
        try:
            at = datetime.fromtimestamp(self.at, self.zone)
        except (OverflowError, ValueError, OSError):
            return ""
        return STYLES[style].format(
            at=at, zone=at.tzname() or "", month=_MONTHS[at.month - 1], weekday=_WEEKDAYS[at.weekday()]
        )

    def __str__(self) -> str:
        return self.write("f")
