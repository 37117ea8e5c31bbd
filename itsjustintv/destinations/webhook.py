"""
The kind ``webhook``: a signed POST of JSON, with the original program's fields in its order, then what it did not have.
``docs/payload.md`` describes every field.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from typing import Any

import orjson
from attrs import frozen
from zope.interface import implementer

from itsjustintv import __version__
from itsjustintv.destinations.response import classify_status
from itsjustintv.interfaces import IDestination
from itsjustintv.model import Delivery, Destination, Enrichment, Notice, OutgoingRequest, Picture, Result, rfc3339
from itsjustintv.support.http_client import Response, header_values, retry_after
from itsjustintv.support.signatures import SIGNERS, Signable

__all__ = ["Webhook", "build_payload", "embed_picture"]

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


@implementer(IDestination)
@frozen
class Webhook:
    """
    A receiver that takes the payload of the original program.
    """

    _destination: Destination

    def render(self, notice: Notice) -> bytes:
        return build_payload(notice)

    def make_request(self, delivery: Delivery, now: float) -> OutgoingRequest:
        """
        Sign the exact bytes that are sent, anew for each attempt: a verifier rejects a timestamp that is minutes old.

        The picture and the signature take about a millisecond for a picture of half a megabyte, less than a thread
        would cost.
        """
        destination = self._destination
        body = delivery.body if delivery.picture is None else embed_picture(delivery.body, delivery.picture)
        signable = Signable(
            secret=destination.secret,
            header=destination.header,
            hashing=destination.hashing,
            message_id=delivery.event_id,
            timestamp=int(now),
            body=body,
        )
        headers = [("Content-Type", "application/json"), ("User-Agent", f"itsjustintv/{__version__}")]
        for signer in SIGNERS[destination.signature]:
            if destination.secret or not signer.optional:
                headers += signer.headers(signable)
        return OutgoingRequest(method="POST", url=destination.url, headers=headers, body=body)

    def interpret(self, response: Response, delivery: Delivery, now: float) -> Result:
        """
        Go by the status alone: 2xx is success, 410 is final, anything else is tried again.
        """
        wait = retry_after(header_values(response.headers, b"Retry-After"), now)
        return classify_status(response.status, self._destination.name, wait)


def build_payload(notice: Notice) -> bytes:
    """
    Render the payload, without the bytes of its picture (see :func:`embed_picture`).

    The same notice gives the same bytes. Half a surrogate pair, which is no Unicode text, becomes U+FFFD.
    """
    event, streamer, enrichment = notice.event, notice.streamer, notice.enrichment
    stream = enrichment.stream
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
            language=_language(enrichment),
            description=enrichment.description,
            image=None if enrichment.picture is None else _image(enrichment.picture),
        ),
        "timestamp": rfc3339(notice.built_at, "microseconds"),
        **_present(additional_tags=streamer.additional_tags),
        "event": event.event_type,
        "id": event.id,
        **_present(recovered=event.recovered, test=notice.test),
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


def _language(enrichment: Enrichment) -> str:
    """
    The language of the first of Twitch's tags that names one, else the channel's, else English. ISO 639-1.
    """
    named = (_LANGUAGES.get(tag.casefold()) for tag in enrichment.tags or ())
    return next(filter(None, named), None) or enrichment.stream.language or "en"


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
