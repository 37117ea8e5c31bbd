"""
EventSub's messages: a webhook's headers and raw body, or a frame of a WebSocket in; one of four frozen values out.

Pure. Nothing of a webhook is parsed before its signature is verified (dev.twitch.tv, "Handling webhook events"). A
frame has no signature: what comes over a connection whose certificate was verified is Twitch's ("Handling WebSocket
events").
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
from attrs import frozen
from twisted.web.http_headers import Headers

from itsjustintv.errors import Forged, Stale, Unreadable
from itsjustintv.model import Event
from itsjustintv.support.durations import duration
from itsjustintv.support.signatures import verify_eventsub
from itsjustintv.twitch.eventsub.event_types import EVENT_TYPES, broadcaster_in
from itsjustintv.twitch.json_fields import JSONFields

__all__ = [
    "WINDOW",
    "Challenge",
    "Frame",
    "Message",
    "Notification",
    "Other",
    "Revocation",
    "open_message",
    "parse_frame",
    "read_frame",
]

#: Seconds by which a message may be older or newer than now (dev.twitch.tv, "EventSub": guard against replays).
WINDOW = 600.0

_ID = b"Twitch-Eventsub-Message-Id"
_TIMESTAMP = b"Twitch-Eventsub-Message-Timestamp"
_SIGNATURE = b"Twitch-Eventsub-Message-Signature"
_TYPE = b"Twitch-Eventsub-Message-Type"

# Id, timestamp and body are signed without a separator. The fixed form of the timestamp prevents moving a byte from one
# to another under the same signature.
_RFC3339 = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")


@frozen
class Challenge:
    """
    Twitch verifies the callback.

    :ivar text: to be sent back, exactly.
    :ivar subscription_id: empty when it is not for a subscription, but for a conduit's shard.
    """

    text: str
    subscription_id: str = ""


@frozen
class Notification:
    """
    An event of a type in :data:`EVENT_TYPES`.
    """

    event: Event


@frozen(kw_only=True)
class Revocation:
    """
    Twitch has revoked a subscription; no further events arrive for it.

    :ivar type: the subscription type, ``stream.online`` say.
    :ivar status: the reason; any text, ``user_removed`` say.
    :ivar broadcaster_id: empty when Twitch does not say.
    """

    subscription_id: str
    type: str
    status: str
    broadcaster_id: str


@frozen
class Other:
    """
    An authentic message that the daemon does not act upon.

    :ivar kind: the type of the message or of the subscription.
    """

    kind: str


Message = Challenge | Notification | Revocation | Other


@frozen(kw_only=True)
class Frame:
    """
    One message on a WebSocket (dev.twitch.tv, "EventSub WebSocket reference").

    :ivar kind: ``message_type``: ``session_welcome``, say.
    :ivar sent_at: seconds since the epoch.
    """

    kind: str
    message_id: str
    sent_at: float
    payload: JSONFields


def parse_frame(text: str) -> Frame:
    """
    Read the envelope of a frame.

    :raises Unreadable: it is not what EventSub documents.
    """
    content = JSONFields.required(_parse(text.encode("utf-8", "surrogatepass")), "the frame")
    metadata = JSONFields.required(content.value("metadata"), "the metadata")
    return Frame(
        kind=metadata.required_text("message_type"),
        message_id=metadata.required_text("message_id"),
        sent_at=_moment(metadata.required_text("message_timestamp").encode("utf-8", "surrogatepass")),
        payload=content.object("payload"),
    )


def read_frame(frame: Frame, event_id: str, received_at: float) -> Message:
    """
    Read a notification or a revocation; any other frame is :class:`Other`. The age of a frame does not matter: nothing
    is sent a second time on a connection.

    :param event_id: the id of the event, if the frame has one.
    :param received_at: seconds since the epoch.
    :raises Unreadable: it is not what EventSub documents.
    """
    if frame.kind == "notification":
        return _notification(frame.payload, frame.sent_at, frame.message_id, event_id, received_at)
    if frame.kind == "revocation":
        return _revocation(JSONFields.required(frame.payload.value("subscription"), "the subscription"))
    return Other(frame.kind)


def open_message(
    headers: Headers,
    body: bytes,
    secrets: Sequence[bytes],
    now: float,
    event_id: str,
    *,
    received_at: float | None = None,
) -> Message:
    """
    Authenticate and read a message.

    The type of a message is a header that the signature does not cover, so the body must agree with it: a challenge
    is a body with ``challenge``, a notification one with ``event`` or ``events``, a revocation one with neither.

    :param body: as received, to the byte.
    :param secrets: every secret that Twitch may sign with, old and new during a rotation. Empty ones are skipped:
        anyone can sign with an empty secret.
    :param now: seconds since the epoch.
    :param event_id: the id of the event, if the message has one.
    :param received_at: when the event was received, if that is measured by another clock than ``now``.
    :raises Forged: no secret matches the signature, or one of the headers it needs is missing or repeated.
    :raises Stale: sent more than :data:`WINDOW` seconds before or after ``now``.
    :raises Unreadable: authentic, but not what EventSub documents.
    """
    message_id, timestamp = _authenticate(headers, body, secrets)
    sent_at = _moment(timestamp)
    age = now - sent_at
    if age > WINDOW:
        raise Stale(f"the message was sent {duration(age)} ago (limit {duration(WINDOW)}): check this machine's clock")
    if age < -WINDOW:
        raise Stale(
            f"the message is dated {duration(-age)} from now (limit {duration(WINDOW)}): check this machine's clock"
        )
    kind = _single(headers, _TYPE)
    content = JSONFields.required(_parse(body), "the body")
    if "challenge" in content:
        shape = b"webhook_callback_verification"
    elif "event" in content or "events" in content:
        shape = b"notification"
    else:
        shape = b"revocation"
    if kind not in (b"webhook_callback_verification", b"notification", b"revocation"):
        if kind is None:
            raise Unreadable("the message has no type")
        return Other(kind.decode("latin-1"))
    if kind != shape:
        raise Unreadable("the message type does not match the body")
    if shape == b"webhook_callback_verification":
        return _challenge(content)
    if shape == b"revocation":
        return _revocation(JSONFields.required(content.value("subscription"), "the subscription"))
    # Latin-1 keeps every byte of a header that promises no alphabet.
    return _notification(
        content, sent_at, message_id.decode("latin-1"), event_id, now if received_at is None else received_at
    )


def _notification(
    content: JSONFields, sent_at: float, message_id: str, event_id: str, received_at: float
) -> Notification | Other:
    """
    Read a subscription and its event.
    """
    name = JSONFields.required(content.value("subscription"), "the subscription").required_text("type")
    event_type = EVENT_TYPES.get(name)
    if event_type is None:
        return Other(name)
    occurrence = event_type.parse(JSONFields.required(content.value("event"), "the event"), sent_at)
    return Notification(event_type.event(occurrence, event_id, message_id, received_at))


def _authenticate(headers: Headers, body: bytes, secrets: Sequence[bytes]) -> tuple[bytes, bytes]:
    """
    Find the secret that the message was signed with.

    :return: the id and the timestamp that were signed.
    """
    message_id = _single(headers, _ID)
    timestamp = _single(headers, _TIMESTAMP)
    signature = _single(headers, _SIGNATURE)
    if not message_id or not timestamp:
        raise Forged("the id or timestamp header is missing")
    refusal = Forged("no webhook secret is configured")
    for secret in filter(None, secrets):
        try:
            verify_eventsub(secret, message_id, timestamp, body, signature)
        except Forged as error:
            refusal = error
        else:
            return message_id, timestamp
    raise refusal


def _single(headers: Headers, name: bytes) -> bytes | None:
    """
    Read a header that must not be repeated.
    """
    values = headers.getRawHeaders(name)
    if values is None:
        return None
    if len(values) > 1:
        raise Forged("a signature or type header is repeated")
    return values[0]


def _moment(timestamp: bytes) -> float:
    """
    Read RFC 3339 with any number of fraction digits as seconds since the epoch.
    """
    if _RFC3339.fullmatch(timestamp):
        try:
            return datetime.fromisoformat(timestamp.decode("ascii")).timestamp()
        except ValueError:
            pass
    raise Unreadable("the timestamp is not RFC 3339")


def _parse(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        # The parser's own words quote the body.
        raise Unreadable("the body is not JSON") from None


def _challenge(content: JSONFields) -> Challenge:
    """
    Read a challenge. It is answered whatever it is about.
    """
    return Challenge(content.required_text("challenge"), content.object("subscription").text("id"))


def _revocation(subscription: JSONFields) -> Revocation:
    """
    Read the subscription that Twitch has ended.
    """
    name = subscription.required_text("type")
    return Revocation(
        subscription_id=subscription.required_text("id"),
        type=name,
        status=subscription.required_text("status"),
        broadcaster_id=broadcaster_in(subscription.object("condition"), name),
    )
