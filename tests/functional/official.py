"""
What Twitch's own command line tool does, for when it is not at hand: its requests to the byte, and its mock of Helix.

The facts are from its source, twitchdev/twitch-cli 1.1.25; the files are named beside them. Without a secret the tool
sends neither signature nor timestamp. It signs the timestamp as it would write it itself, whatever it was given.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from random import Random
from typing import Any, ClassVar
from uuid import UUID

from attrs import define, field, frozen
from klein import Klein
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.server import Request

__all__ = ["Answer", "MockAPI", "Tool", "canonical", "nanoseconds"]


def nanoseconds(seconds: float) -> str:
    """
    A moment as Go's RFC3339Nano: nine digits of a second, without the zeros at their end.
    """
    whole, fraction = divmod(int(seconds * 1_000_000_000), 1_000_000_000)
    return canonical(f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:09}Z")


def canonical(timestamp: str) -> str:
    """
    The same moment as Go writes it again after reading it.
    """
    if "." not in timestamp:
        return timestamp
    return timestamp.removesuffix("Z").rstrip("0").removesuffix(".") + "Z"


@frozen
class Answer:
    """
    What the daemon answered.

    :ivar headers: by lower-case name.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Reading(Protocol):
    """
    Reads one answer of announced length.
    """

    def __init__(self) -> None:
        self.done: Deferred[Answer] = Deferred()
        self._said = b""

    def dataReceived(self, data: bytes) -> None:
        self._said += data
        head, separator, body = self._said.partition(b"\r\n\r\n")
        if not separator:
            return
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if len(body) >= int(headers["content-length"]) and not self.done.called:
            self.done.callback(Answer(int(status.split()[1]), headers, body))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.done.called:
            self.done.errback(reason)


@define(eq=False)
class Tool:
    """
    ``twitch event``. Its options have the names of the tool's.

    :ivar reactor: connects, over IPv4 alone, and tells the time.
    """

    _reactor: Any
    _port: int
    _random: Random = field(factory=lambda: Random(2))

    def trigger(
        self,
        *,
        to_user: str,
        secret: str,
        event_id: str = "",
        timestamp: str = "",
        subscription_status: str = "enabled",
        topic: str = "stream.online",
    ) -> bytes:
        """
        The request of ``twitch event trigger``.

        ``internal/events/types/streamup/streamup.go``, ``streamdown.go``: the broadcast's id is drawn each time, the
        callback is the text ``null``, and whatever status is not ``enabled`` makes a revocation: written again from a
        map, so that its keys are in alphabetical order, and without ``event``.
        """
        timestamp = timestamp or nanoseconds(self._reactor.seconds())
        enabled = subscription_status.lower() == "enabled"
        broadcaster = {
            "broadcaster_user_id": to_user,
            "broadcaster_user_login": "testBroadcaster",
            "broadcaster_user_name": "testBroadcaster",
        }
        online = {"id": str(self._random.randrange(10**8)), **broadcaster, "type": "live", "started_at": timestamp}
        body: dict[str, Any] = {
            "subscription": self._subscription(subscription_status, topic, to_user, "null", timestamp),
            **({"event": online if topic == "stream.online" else broadcaster} if enabled else {}),
        }
        return self._request(
            "notification" if enabled else "revocation",
            json.dumps(body, separators=(",", ":"), sort_keys=not enabled).encode(),
            topic=topic,
            secret=secret,
            message_id=event_id or self._guid(),
            timestamp=timestamp,
        )

    def verify_subscription(self, *, broadcaster: str, secret: str) -> tuple[bytes, str]:
        """
        The request of ``twitch event verify-subscription``, and its challenge.

        ``internal/events/verify/subscription_verify.go``: a random GUID is the challenge, and comes first.
        """
        timestamp = nanoseconds(self._reactor.seconds())
        status = "webhook_callback_verification_pending"
        challenge = self._guid()
        subscription = self._subscription(status, "stream.online", broadcaster, self._url, timestamp)
        request = self._request(
            "webhook_callback_verification",
            json.dumps({"challenge": challenge, "subscription": subscription}, separators=(",", ":")).encode(),
            topic="stream.online",
            secret=secret,
            message_id=self._guid(),
            timestamp=timestamp,
        )
        return request, challenge

    def retrigger(self, request: bytes, *, secret: str) -> bytes:
        """
        The request of ``twitch event retrigger`` for one that was sent.

        ``internal/events/trigger/retrigger_event.go``: the same id and body, at another time.
        """
        head, _, body = request.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
        return self._request(
            "notification",
            body,
            topic=headers["Twitch-Eventsub-Subscription-Type"],
            secret=secret,
            message_id=headers["Twitch-Eventsub-Message-Id"],
            timestamp=nanoseconds(self._reactor.seconds()),
        )

    async def send(self, request: bytes) -> Answer:
        """
        Send a request and read the answer, for ten seconds at the most, as the tool does.
        """
        reading = _Reading()
        await connectProtocol(TCP4ClientEndpoint(self._reactor, "127.0.0.1", self._port), reading)
        assert reading.transport is not None
        reading.transport.write(request)
        try:
            return await reading.done.addTimeout(10, self._reactor)
        finally:
            reading.transport.loseConnection()

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self._port}/twitch"

    def _guid(self) -> str:
        """
        ``internal/util/random.go``: sixteen random bytes, of no version.
        """
        return str(UUID(int=self._random.getrandbits(128)))

    def _subscription(
        self, status: str, topic: str, broadcaster: str, callback: str, timestamp: str
    ) -> Mapping[str, object]:
        """
        ``internal/models/eventsub.go``: the keys in this order, and no other key in the condition.
        """
        return {
            "id": self._guid(),
            "status": status,
            "type": topic,
            "version": "1",
            "condition": {"broadcaster_user_id": broadcaster},
            "transport": {"method": "webhook", "callback": callback},
            "created_at": timestamp,
            "cost": 0,
        }

    def _request(self, kind: str, body: bytes, *, topic: str, secret: str, message_id: str, timestamp: str) -> bytes:
        """
        ``internal/events/trigger/forward_event.go``; Go's HTTP client writes the host, the agent and the length first,
        then everything else by name, and asks for gzip last.
        """
        headers = {
            "Content-Type": "application/json",
            "Twitch-Eventsub-Message-Id": message_id,
            "Twitch-Eventsub-Message-Retry": "0",
            "Twitch-Eventsub-Message-Type": kind,
            "Twitch-Eventsub-Subscription-Type": topic,
            "Twitch-Eventsub-Subscription-Version": "1",
        }
        if secret:
            signed = message_id.encode() + canonical(timestamp).encode() + body
            digest = hmac.digest(secret.encode(), signed, "sha256").hex()
            headers["Twitch-Eventsub-Message-Timestamp"] = timestamp
            headers["Twitch-Eventsub-Message-Signature"] = f"sha256={digest}"
        lines = [
            "POST /twitch HTTP/1.1",
            f"Host: 127.0.0.1:{self._port}",
            "User-Agent: twitch-cli/1.1.25",
            f"Content-Length: {len(body)}",
            *(f"{name}: {value}" for name, value in sorted(headers.items())),
            "Accept-Encoding: gzip",
        ]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@define(eq=False)
class MockAPI:
    """
    ``twitch mock-api``: OAuth at ``/auth``, Helix at ``/mock``, one streamer who is live.

    Where it differs from Twitch (``internal/mock_auth/app_access_token.go``, ``internal/mock_api``): a form is read
    under its bare content type only, followers are not told to an app, ids of broadcasts are GUIDs, nothing is said of
    the rate limit nor, at the end of a list, of pages, and there is no EventSub.

    :ivar tokens: how many were given.
    :ivar asked: the paths that were asked for.
    """

    user_id: str = "80808080"
    client_id: str = "a1b2c3d4e5f60718293a4b5c6d7e8f"
    client_secret: str = "f8e7d6c5b4a3928170f6e5d4c3b2a1"
    tokens: int = field(default=0, init=False)
    asked: list[str] = field(factory=list, init=False)

    app: ClassVar[Klein] = Klein()

    @app.route("/auth/token", methods=["POST"])
    def _token(self, request: Request) -> bytes:
        form = request.getHeader("content-type") == "application/x-www-form-urlencoded"
        asked = {name.decode(): values[0].decode() for name, values in request.args.items()}
        wanted = {"client_id": self.client_id, "client_secret": self.client_secret, "grant_type": "client_credentials"}
        if not form or asked != wanted:
            request.setResponseCode(400)
            return b""
        self.tokens += 1
        return _json(
            {"access_token": f"{self.tokens:015x}", "refresh_token": "", "expires_in": 86399, "scope": []}
            | {"token_type": "bearer"}
        )

    @app.route("/mock/<path:path>", methods=["GET"])
    def _helix(self, request: Request, path: str) -> bytes:
        self.asked.append(path)
        request.setHeader("content-type", "application/json")
        token = f"{self.tokens:015x}"
        if (request.getHeader("client-id"), request.getHeader("authorization")) != (self.client_id, f"Bearer {token}"):
            return _refuse(request, 401, "Unauthorized", "Invalid OAuth token")
        if path == "channels/followers":
            return _refuse(request, 401, "Unauthorized", "Missing required scope moderator:read:followers")
        if path not in _UNITS:
            request.setResponseCode(404)
            request.setHeader("content-type", "text/plain; charset=utf-8")
            return b"404 page not found\n"
        parameter, unit = _UNITS[path]
        ids = [each.decode() for each in request.args.get(parameter, [])]
        return _json({"data": [{**unit, parameter.decode(): self.user_id}] if self.user_id in ids else []})


#: By path: the parameter that chooses, which is a field too, and the other fields.
_UNITS: Mapping[str, tuple[bytes, Mapping[str, object]]] = {
    "users": (
        b"id",
        {
            "login": "tanuki",
            "display_name": "Tanuki",
            "type": "",
            "broadcaster_type": "partner",
            "description": "",
            "profile_image_url": "https://static-cdn.jtvnw.net/jtv_user_pictures/profile_image-300x300.png",
            "offline_image_url": "https://static-cdn.jtvnw.net/jtv_user_pictures/offline_image-1920x1080.png",
            "view_count": 0,
            "created_at": "2026-01-02T03:04:05Z",
        },
    ),
    "channels": (
        b"broadcaster_id",
        {
            "broadcaster_login": "tanuki",
            "broadcaster_name": "Tanuki",
            "game_id": "509658",
            "game_name": "Just Chatting",
            "title": "Sample stream!",
            "broadcaster_language": "en",
            "delay": 0,
        },
    ),
    "streams": (
        b"user_id",
        {
            "id": "0c1c0f3a-3e2d-3b5c-0a4c-d6b2a1f00e11",
            "user_login": "tanuki",
            "user_name": "Tanuki",
            "type": "live",
            "viewer_count": 4711,
            "started_at": "2026-01-02T03:04:05Z",
            "is_mature": False,
            "tag_ids": [],
            "game_id": "509658",
            "game_name": "Just Chatting",
            "title": "Sample stream!",
            "language": "en",
            "thumbnail_url": "https://static-cdn.jtvnw.net/previews-ttv/live_user_tanuki-{width}x{height}.jpg",
        },
    ),
}


def _json(content: object) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def _refuse(request: Request, status: int, error: str, message: str) -> bytes:
    request.setResponseCode(status)
    return _json({"status": status, "error": error, "message": message})
