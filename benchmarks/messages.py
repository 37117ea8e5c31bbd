"""
EventSub messages as Twitch would POST them, signed before the clock runs so that the load generator has only to write.
"""

from __future__ import annotations

import hmac
import itertools
import json
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from attrs import field, frozen

__all__ = ["CALLBACK", "SECRET", "SUBSCRIPTION", "Message", "sign", "streamers"]

#: What every server is told to verify with.
SECRET = "a-secret-for-benchmarks-only"

#: Where Twitch believes the server to be.
CALLBACK = "https://bench.example/twitch"

#: pyTwitchAPI finds its callback by the subscription's id.
SUBSCRIPTION = "f1c2a387-161a-49f9-a165-0f21d7a4e1c4"

_stream_ids = itertools.count(time.time_ns())


@frozen
class Message:
    """
    One ``stream.online`` notification.

    :ivar request: the whole HTTP request.
    :ivar frame: the same news as a message on a WebSocket.
    """

    streamer: str
    stream_id: str
    started_at: str
    request: bytes = field(repr=False)
    frame: str = field(repr=False)


def streamers(count: int) -> list[str]:
    """
    Name some broadcasters by their user id.
    """
    return [str(100_000_000 + number) for number in range(count)]


def sign(count: int, who: Sequence[str], path: str) -> list[Message]:
    """
    Let streamers go live, in turn, each message with an id, a timestamp and a broadcast of its own.

    The signature covers id, timestamp and body (dev.twitch.tv, Handling webhook events).
    """
    return [_message(streamer, path) for streamer in itertools.islice(itertools.cycle(who), count)]


def _message(streamer: str, path: str) -> Message:
    stream_id = str(next(_stream_ids))
    nanoseconds = time.time_ns()
    second = datetime.fromtimestamp(nanoseconds // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    timestamp = f"{second}.{nanoseconds % 1_000_000_000:09}Z"
    started_at = f"{second}Z"
    payload = {
        "subscription": {
            "id": SUBSCRIPTION,
            "status": "enabled",
            "type": "stream.online",
            "version": "1",
            "condition": {"broadcaster_user_id": streamer},
            "transport": {"method": "webhook", "callback": CALLBACK},
            "created_at": "2026-01-02T03:04:05.123456789Z",
            "cost": 1,
        },
        "event": {
            "id": stream_id,
            "broadcaster_user_id": streamer,
            "broadcaster_user_login": f"login{streamer}",
            "broadcaster_user_name": f"Login{streamer}",
            "type": "live",
            "started_at": started_at,
        },
    }
    body = json.dumps(payload, separators=(",", ":")).encode()
    message_id = str(uuid.uuid4())
    signature = hmac.digest(SECRET.encode(), f"{message_id}{timestamp}".encode() + body, "sha256").hex()
    head = (
        f"POST {path} HTTP/1.1\r\n"
        "Host: bench.example\r\n"
        "User-Agent: benchmark\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Accept-Encoding: gzip\r\n"
        "Content-Type: application/json\r\n"
        f"Twitch-Eventsub-Message-Id: {message_id}\r\n"
        "Twitch-Eventsub-Message-Retry: 0\r\n"
        "Twitch-Eventsub-Message-Type: notification\r\n"
        f"Twitch-Eventsub-Message-Signature: sha256={signature}\r\n"
        f"Twitch-Eventsub-Message-Timestamp: {timestamp}\r\n"
        "Twitch-Eventsub-Subscription-Type: stream.online\r\n"
        "Twitch-Eventsub-Subscription-Version: 1\r\n\r\n"
    ).encode()
    metadata = {
        "message_id": message_id,
        "message_type": "notification",
        "message_timestamp": timestamp,
        "subscription_type": "stream.online",
        "subscription_version": "1",
    }
    frame = json.dumps({"metadata": metadata, "payload": payload}, separators=(",", ":"))
    return Message(streamer, stream_id, started_at, head + body, frame)
