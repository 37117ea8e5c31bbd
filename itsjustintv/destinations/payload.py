"""
The JSON that the kinds ``webhook`` and ``cloudevents`` send: the original program's fields in its order, then what it
did not have. ``docs/payload.md`` describes every field.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from typing import Any

import orjson
from attrs import evolve

from itsjustintv.model import CHANNEL_UPDATE, Event, Notice, Picture, StreamDetails, rfc3339

__all__ = ["build_payload", "embed_picture"]

#: The tags by which the original knows a language.
_LANGUAGES = {
    "english": "en",
    "german": "de",
    "deutsch": "de",
    "spanish": "es",
    "español": "es",
    "french": "fr",
    "français": "fr",
    "italian": "it",
    "italiano": "it",
    "portuguese": "pt",
    "português": "pt",
    "russian": "ru",
    "русский": "ru",
    "japanese": "ja",
    "日本語": "ja",
    "korean": "ko",
    "한국어": "ko",
    "chinese": "zh",
    "中文": "zh",
}


def build_payload(notice: Notice) -> bytes:
    """
    Render the payload, without the bytes of its picture (see :func:`embed_picture`).

    The same notice gives the same bytes. Half a surrogate pair, which is no Unicode text, becomes U+FFFD.
    """
    event, streamer, enrichment = notice.event, notice.streamer, notice.enrichment
    stream = _stream(event, enrichment.stream)
    login = event.broadcaster_login or streamer.login
    content: dict[str, Any] = {
        "streamer_login": login,
        "streamer_name": event.broadcaster_name or login,
        "streamer_id": event.broadcaster_id,
        "url": f"https://twitch.tv/{login}",
        **_present(
            view_count=stream.viewer_count,
            followers_count=enrichment.followers_count,
            tags=None if enrichment.tags is None else _merged(enrichment.tags, streamer.additional_tags),
            language=_language(enrichment.tags, stream.language),
            description=enrichment.description,
            image=None if enrichment.picture is None else _image(enrichment.picture),
        ),
        "timestamp": rfc3339(notice.built_at, "microseconds"),
        **_present(additional_tags=streamer.additional_tags),
        "event": event.event_type,
        "id": event.id,
        **_present(recovered=event.recovered, test=notice.test),
        # Of what a stream.online says itself by started_at.
        **_present(occurred_at=event.occurred_at and rfc3339(event.occurred_at, "milliseconds"), vods=enrichment.vods),
        "stream": {
            "id": event.stream_id,
            "type": event.type,
            "started_at": event.started_at,
            "title": stream.title,
            "game_id": stream.game_id,
            "game_name": stream.game_name,
            "viewer_count": stream.viewer_count,
            "language": stream.language,
            "tags": enrichment.tags,
            "thumbnail_url": stream.thumbnail_url,
        },
    }
    try:
        return orjson.dumps(content)
    except orjson.JSONEncodeError:
        return orjson.dumps(_cleaned(content))


def embed_picture(body: bytes, picture: bytes) -> bytes:
    """
    Put a picture's bytes into a payload, as base64 in ``image.data``. The same arguments give the same bytes, so that
    every attempt sends the same payload.

    :param body: as :func:`build_payload` made it. One that has no ``image`` stays as it is.
    """
    content = orjson.loads(body)
    if "image" not in content:
        return body
    content["image"]["data"] = b64encode(picture).decode("ascii")
    return orjson.dumps(content)


def _stream(event: Event, stream: StreamDetails) -> StreamDetails:
    """
    What is known of the stream; what a ``channel.update`` says is newer than what was asked for.
    """
    if event.event_type != CHANNEL_UPDATE:
        return stream
    return evolve(
        stream,
        title=event.title,
        game_id=event.category_id,
        game_name=event.category,
        language=event.language or stream.language,
    )


def _present(**fields: Any) -> dict[str, Any]:
    """
    Leave out what is empty, unknown or zero, as the original does.
    """
    return {name: value for name, value in fields.items() if value}


def _merged(*lists: Iterable[str]) -> list[str]:
    """
    Join lists of tags. A tag that is there already, in whatever case, keeps its first spelling and place.
    """
    tags: dict[str, str] = {}
    for each in lists:
        for tag in each:
            tags.setdefault(tag.casefold(), tag)
    return list(tags.values())


def _language(tags: Iterable[str] | None, language: str) -> str:
    """
    The language of the first of Twitch's tags that names one, else the channel's, else English. ISO 639-1.
    """
    named = (_LANGUAGES.get(tag.casefold()) for tag in tags or ())
    return next(filter(None, named), None) or language or "en"


def _image(picture: Picture) -> dict[str, Any]:
    return {
        "url": picture.url,
        "width": picture.width,
        "height": picture.height,
        "mime_type": picture.mime_type,
    }


def _cleaned(value: Any) -> Any:
    """
    Make every text in a JSON value one that has a UTF-8 form.
    """
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case dict():
            return {name: _cleaned(each) for name, each in value.items()}
        case list() | tuple():
            return [_cleaned(each) for each in value]
        case _:
            return value
