"""
The values behind the names of a template: what is known of a notice, cleaned.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, tzinfo
from types import MappingProxyType
from zoneinfo import ZoneInfo

from itsjustintv.destinations.message_names import Link, Moment, Trusted, make_link
from itsjustintv.destinations.text import clean
from itsjustintv.model import (
    CHANNEL_UPDATE,
    STREAM_OFFLINE,
    STREAM_ONLINE,
    Destination,
    Notice,
    parse_rfc3339,
)
from itsjustintv.support.durations import Seconds

__all__ = ["EVENTS", "message_event", "message_values"]

#: What the configuration calls EventSub's types.
EVENTS: Mapping[str, str] = MappingProxyType(
    {STREAM_ONLINE: "online", STREAM_OFFLINE: "offline", CHANNEL_UPDATE: "update"}
)

_LOGIN = re.compile(r"[A-Za-z0-9_]{1,64}")

# Of a preview, in pixels.
_WIDTH, _HEIGHT = 1280, 720

# Twitch allows ten tags.
_MOST_TAGS = 30


def message_event(notice: Notice) -> str:
    """
    The event of a notice, as the configuration calls it: ``online``, ``offline`` or ``update``.
    """
    return EVENTS.get(notice.event.event_type, "online")


def message_values(notice: Notice, destination: Destination, mentions: str = "") -> dict[str, object]:
    """
    Everything that a template can name, see :data:`~itsjustintv.destinations.message_names.NAMES`. Texts are cleaned; a
    text that is not known is empty, any other value ``None``.

    :param mentions: what notifies those who are configured, in the format of the fields that can notify. It must be
        made of the configuration alone.
    """
    event, streamer, enrichment, broadcast = notice.event, notice.streamer, notice.enrichment, notice.broadcast
    stream = enrichment.stream
    zone = _zone(destination.policy.timezone)
    login = clean(event.broadcaster_login or streamer.login)
    is_live = event.event_type != STREAM_OFFLINE and (broadcast is None or broadcast.is_live)
    before = ("", "") if broadcast is None else (clean(broadcast.title), clean(broadcast.category))
    if event.event_type == CHANNEL_UPDATE:
        title, category = clean(event.title), clean(event.category)
        changes = tuple(
            name for name, old, new in zip(("title", "category"), before, (title, category), strict=True) if old != new
        )
    else:
        title, category = clean(stream.title), clean(stream.game_name)
        changes = ()
        if event.event_type == STREAM_OFFLINE:
            # What Twitch says after the end is what the channel will show next.
            title, category = before[0] or title, before[1] or category
        before = ("", "")
    started = None if broadcast is None else parse_rfc3339(broadcast.started_at)
    if started is None:
        started = parse_rfc3339(event.started_at)
    ended = (broadcast.offline_at if broadcast is not None else None) or (event.occurred_at if not is_live else None)
    vods = tuple(link for each in enrichment.vods if (link := make_link(each)) is not None)
    thumbnail = _preview(stream.thumbnail_url, notice.built_at) if is_live else None
    profile = None if enrichment.picture is None else make_link(enrichment.picture.url)
    lasted = max(0.0, ended - started) if ended and started is not None and not is_live else None
    return {
        "name": clean(event.broadcaster_name) or login or clean(streamer.key),
        "login": login,
        "url": make_link(f"https://twitch.tv/{login}") if _LOGIN.fullmatch(login) else None,
        "title": title,
        "category": category,
        "type": clean(event.type),
        "tags": _tags(enrichment.tags or (), streamer.additional_tags),
        "language": clean(event.language or stream.language),
        "viewers": stream.viewer_count if is_live else None,
        "followers": enrichment.followers_count,
        "started": None if started is None else Moment(started, zone),
        "ended": Moment(ended, zone) if ended and not is_live else None,
        "duration": None if lasted is None else Seconds(lasted),
        "vod": vods[0] if vods else None,
        "vods": vods,
        "picture": thumbnail or profile,
        "thumbnail": thumbnail,
        "profile": profile,
        "event": message_event(notice),
        "streamer": clean(streamer.key),
        "test": notice.test,
        "recovered": event.recovered,
        "previous_title": before[0],
        "previous_category": before[1],
        "changes": changes,
        "mentions": Trusted(mentions),
    }


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return UTC


def _tags(*lists: Iterable[str]) -> tuple[str, ...]:
    """
    Join lists of tags, each in its first spelling.
    """
    tags: dict[str, str] = {}
    for each in lists:
        for tag in each:
            cleaned = clean(tag)
            if cleaned and len(tags) < _MOST_TAGS:
                tags.setdefault(cleaned.casefold(), cleaned)
    return tuple(tags.values())


def _preview(address: str, at: float) -> Link | None:
    """
    The address of a preview in its full size. Services keep a picture by its address, at which Twitch shows newer ones.
    So a time is added: that of the state, so that every attempt sends the same.
    """
    if not address:
        return None
    sized = address.replace("{width}", str(_WIDTH)).replace("{height}", str(_HEIGHT))
    return make_link(f"{sized}{'&' if '?' in sized else '?'}t={int(at)}")
