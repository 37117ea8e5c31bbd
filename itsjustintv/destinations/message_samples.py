"""
Notices for which templates are tried before there is a real one.
"""

from __future__ import annotations

from attrs import evolve, frozen

from itsjustintv.model import (
    CHANNEL_UPDATE,
    STREAM_OFFLINE,
    Broadcast,
    Destination,
    Enrichment,
    Event,
    Notice,
    Picture,
    StreamDetails,
    Streamer,
)

__all__ = ["HOSTILE_WORDS", "SAMPLES", "SAMPLE_DESTINATION", "MessageSample"]


@frozen(kw_only=True)
class MessageSample:
    """
    A notice to try templates with.

    :ivar event: as the configuration calls it.
    :ivar description: what it is, after "a broadcast".
    """

    event: str
    description: str
    notice: Notice


SAMPLE_DESTINATION = Destination(name="sample", url="")

#: Words that would notify, link, mark up or reach further where they are not escaped.
HOSTILE_WORDS = "@everyone @here <@&1> <@1> <!here> ](http://x) </b> {{7*7}} {% x %} \\ ` * _ & \u202e"

_LONG = (HOSTILE_WORDS * (10_000 // len(HOSTILE_WORDS) + 1))[:10_000]

_BEGAN = 1_767_355_445.0

_USUAL = Event(
    id="sample",
    message_id="sample",
    stream_id="1",
    broadcaster_id="1",
    broadcaster_login="tanuki",
    broadcaster_name="Tanuki",
    type="live",
    started_at="2026-01-02T12:04:05Z",
    received_at=_BEGAN + 1,
)
_BROADCAST = Broadcast(
    id="sample",
    broadcaster_id="1",
    streamer="tanuki",
    started_at=_USUAL.started_at,
    stream_ids=("1",),
    title="Drawing until dawn",
    category="Art",
)
_DETAILS = Enrichment(
    stream=StreamDetails(
        listed=True,
        title="Drawing until dawn",
        game_id="509660",
        game_name="Art",
        viewer_count=42,
        language="en",
        thumbnail_url="https://static-cdn.jtvnw.net/previews-ttv/live_user_tanuki-{width}x{height}.jpg",
    ),
    tags=("English", "Watercolour"),
    followers_count=1234,
    picture=Picture(url="https://static-cdn.jtvnw.net/jtv_user_pictures/tanuki-profile_image-300x300.png"),
)
_LONG_DETAILS = Enrichment(
    stream=StreamDetails(listed=True, title=_LONG, game_name=_LONG, language=_LONG, viewer_count=10**9),
    tags=(_LONG, HOSTILE_WORDS),
    followers_count=10**9,
)
_STREAMER = Streamer(key="tanuki", user_id="1", login="tanuki")


def _notice(event: Event, details: Enrichment, broadcast: Broadcast | None = _BROADCAST) -> Notice:
    return Notice(event=event, streamer=_STREAMER, enrichment=details, built_at=_BEGAN + 2, broadcast=broadcast)


def _as_offline(event: Event) -> Event:
    end = evolve(event, id="sample-end", event_type=STREAM_OFFLINE, stream_id="", type="", started_at="")
    return evolve(end, occurred_at=_BEGAN + 11313)


def _as_update(event: Event, title: str, category: str) -> Event:
    update = evolve(event, id="sample-update", event_type=CHANNEL_UPDATE, stream_id="", type="", started_at="")
    return evolve(update, occurred_at=_BEGAN + 600, title=title, category_id="1", category=category, language="en")


_HOSTILE = evolve(_USUAL, broadcaster_name=_LONG, broadcaster_login=HOSTILE_WORDS, type=HOSTILE_WORDS)
_HOSTILE_BROADCAST = evolve(_BROADCAST, title=_LONG, category=_LONG)
_ENDED = evolve(_BROADCAST, offline_at=_BEGAN + 11313)
_VOD = evolve(_DETAILS, vods=("https://www.twitch.tv/videos/1",))

SAMPLES = (
    MessageSample(event="online", description="as usual", notice=_notice(_USUAL, _DETAILS)),
    MessageSample(
        event="online",
        description="of which nothing is known",
        notice=_notice(evolve(_USUAL, type=""), Enrichment(), None),
    ),
    MessageSample(
        event="online",
        description="with hostile and very long words",
        notice=_notice(_HOSTILE, _LONG_DETAILS, _HOSTILE_BROADCAST),
    ),
    MessageSample(event="offline", description="that has ended", notice=_notice(_as_offline(_USUAL), _VOD, _ENDED)),
    MessageSample(
        event="offline",
        description="that has ended, of which nothing is known",
        notice=_notice(_as_offline(_USUAL), Enrichment(), None),
    ),
    MessageSample(
        event="offline",
        description="that has ended, with hostile and very long words",
        notice=_notice(_as_offline(_HOSTILE), _LONG_DETAILS, evolve(_HOSTILE_BROADCAST, offline_at=_BEGAN + 11313)),
    ),
    MessageSample(
        event="update",
        description="with a new title",
        notice=_notice(_as_update(_USUAL, "Now in colour", "Art"), _DETAILS),
    ),
    MessageSample(
        event="update",
        description="with a new title, of which nothing else is known",
        notice=_notice(_as_update(_USUAL, "", ""), Enrichment(), None),
    ),
    MessageSample(
        event="update",
        description="with hostile and very long words",
        notice=_notice(_as_update(_HOSTILE, _LONG, _LONG), _LONG_DETAILS, _HOSTILE_BROADCAST),
    ),
)
