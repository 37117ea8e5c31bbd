"""
The two ends of the wire beside EventSub, on loopback and answering at once: a Helix that counts the points, and a
receiver that keeps what it gets. Not a faithful Twitch: just enough of one to be fast.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

from attrs import define, field, frozen

from benchmarks.messages import Message

__all__ = ["BOUNDLESS", "TWITCH", "Answer", "Bucket", "Helix", "Receiver", "listen"]

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_PAGE = 100

#: Points a minute that no program here can spend. There is always a limit, for a client to know that it may hurry.
BOUNDLESS = 100_000_000

#: Points a minute that Twitch gives to an application (dev.twitch.tv, Twitch API concepts, rate limits).
TWITCH = 800


@frozen
class Answer:
    """
    An HTTP answer.
    """

    status: int
    body: bytes = b""
    headers: str = ""

    def encode(self) -> bytes:
        """
        Write it down as HTTP/1.1.
        """
        return (
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(self.body)}\r\n{self.headers}\r\n"
        ).encode() + self.body


#: Method, target and body to an answer.
Respond = Callable[[str, str, bytes], Answer]


@define(eq=False)
class _Conversation(asyncio.Protocol):
    """
    Answers requests with a Content-Length, or with no body, in the order they come.
    """

    _respond: Respond
    _buffer: bytes = field(default=b"", init=False)
    _transport: asyncio.WriteTransport | None = field(default=None, init=False)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._buffer += data
        while True:
            head, separator, rest = self._buffer.partition(b"\r\n\r\n")
            found = _LENGTH.search(head)
            length = int(found[1]) if found else 0
            if not separator or len(rest) < length:
                return
            method, target, _ = head.partition(b"\r\n")[0].decode().split(" ")
            self._buffer = rest[length:]
            self._transport.write(self._respond(method, target, rest[:length]).encode())


@asynccontextmanager
async def listen(respond: Respond) -> AsyncIterator[str]:
    """
    Serve on loopback until the block ends; the base URL is what is yielded.
    """
    server = await asyncio.get_running_loop().create_server(lambda: _Conversation(respond), "127.0.0.1", 0)
    try:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}"
    finally:
        server.close()


@define(eq=False)
class Bucket:
    """
    Twitch's rate limit: points come back evenly over a minute, up to as many as a minute has (dev.twitch.tv, Twitch API
    concepts, rate limits).

    :ivar limit: points a minute.
    :ivar endless: whether it is always full, whatever is taken.
    """

    limit: int
    endless: bool = False
    _left: float = field(init=False)
    _counted_at: float = field(factory=time.time, init=False)

    @_left.default
    def _full(self) -> float:
        return self.limit

    def take(self) -> bool:
        """
        Spend a point, if there is one.
        """
        if self.endless:
            return True
        now = time.time()
        self._left = min(self.limit, self._left + (now - self._counted_at) * self.limit / 60)
        self._counted_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def empty(self) -> None:
        """
        Lose all points.
        """
        self._left, self._counted_at = 0.0, time.time()

    def headers(self) -> str:
        """
        Say where the bucket stands, as Helix does with every answer.
        """
        full_at = time.time() + (self.limit - self._left) * 60 / self.limit
        return (
            f"Ratelimit-Limit: {self.limit}\r\nRatelimit-Remaining: {int(self._left)}\r\n"
            f"Ratelimit-Reset: {int(full_at) + 1}\r\n"
        )


@define(eq=False)
class Helix:
    """
    The parts of Twitch's API that the daemon asks, and its tokens.

    :ivar live: who is live with which broadcast.
    :ivar exhausted: whether the points of this minute are always spent, by whomever: every question is answered 429.
    :ivar points: what was asked and granted, by path.
    :ivar refused: how often the answer was 429.
    :ivar subscribed: what was subscribed to, by the id of the subscription.
    :ivar shards: the sessions of the shards of the only conduit.
    """

    live: Mapping[str, Message] = field(factory=dict)
    bucket: Bucket = field(factory=lambda: Bucket(BOUNDLESS))
    exhausted: bool = False
    points: Counter[str] = field(factory=Counter, init=False)
    refused: int = field(default=0, init=False)
    subscribed: dict[str, dict[str, Any]] = field(factory=dict, init=False)
    shards: dict[str, str] = field(factory=dict, init=False)

    def respond(self, method: str, target: str, body: bytes) -> Answer:
        """
        Answer one request.
        """
        url = urlsplit(target)
        if url.path == "/oauth2/token":
            return _json(200, {"access_token": "token", "expires_in": 5_000_000, "token_type": "bearer"})
        if url.path == "/oauth2/validate":
            return _json(
                200, {"client_id": "client-id", "login": "", "scopes": [], "user_id": "", "expires_in": 5_000_000}
            )
        if self.exhausted:
            self.bucket.empty()
        if not self.bucket.take():
            self.refused += 1
            return _json(429, _error(429, "Too Many Requests"), self.bucket.headers())
        path = url.path.removeprefix("/helix")
        self.points[path] += 1
        headers = self.bucket.headers()
        query = parse_qs(url.query)
        if path.startswith("/eventsub/conduits"):
            return self._conduits(method, path, body, headers)
        if path == "/eventsub/subscriptions":
            return self._subscriptions(method, query, body, headers)
        answer = self._get(path, query)
        return _json(404, _error(404, "not found"), headers) if answer is None else _json(200, answer, headers)

    def _get(self, path: str, query: Mapping[str, Sequence[str]]) -> dict[str, Any] | None:
        match path:
            case "/users":
                logins = (login.removeprefix("login") for login in query.get("login", ()))
                return {"data": [_user(streamer) for streamer in [*query.get("id", ()), *logins]]}
            case "/channels":
                return {"data": [_channel(streamer) for streamer in query["broadcaster_id"]]}
            case "/streams":
                return {"data": list(self._streams(query["user_id"])), "pagination": {}}
            case "/channels/followers":
                return {"total": 4321, "data": [], "pagination": {}}
        return None

    def _streams(self, streamers: Iterable[str]) -> Iterable[dict[str, Any]]:
        return (_stream(self.live[streamer]) for streamer in streamers if streamer in self.live)

    def _subscriptions(self, method: str, query: Mapping[str, Sequence[str]], body: bytes, headers: str) -> Answer:
        """
        List, create and delete subscriptions; a callback is taken to be verified as soon as it is asked for.
        """
        if method == "DELETE":
            gone = self.subscribed.pop(query["id"][0], None)
            return Answer(204, headers=headers) if gone else _json(404, _error(404, "not found"), headers)
        if method == "POST":
            made = _subscription(json.loads(body))
            self.subscribed[made["id"]] = made
            return _json(202, {"data": [made], **self._total()}, headers)
        first = int(query.get("after", ["0"])[0])
        page = list(itertools.islice(self.subscribed.values(), first, first + _PAGE))
        more = first + _PAGE < len(self.subscribed)
        cursor = {"cursor": str(first + _PAGE)} if more else {}
        return _json(200, {"data": page, "pagination": cursor, **self._total()}, headers)

    def _conduits(self, method: str, path: str, body: bytes, headers: str) -> Answer:
        """
        Have one conduit, whatever is asked, and note the sessions of its shards.
        """
        if path == "/eventsub/conduits":
            return _json(200, {"data": [{"id": "a-conduit", "shard_count": 2}]}, headers)
        if method == "PATCH":
            asked = json.loads(body)["shards"]
            self.shards.update((each["id"], each["transport"]["session_id"]) for each in asked)
            return _json(202, {"data": asked, "errors": []}, headers)
        data = [
            {"id": shard, "status": "enabled", "transport": {"method": "websocket", "session_id": session}}
            for shard, session in self.shards.items()
        ]
        return _json(200, {"data": data, "pagination": {}}, headers)

    def _total(self) -> dict[str, int]:
        return {"total": len(self.subscribed), "total_cost": 0, "max_total_cost": 10_000}


def _subscription(wanted: dict[str, Any]) -> dict[str, Any]:
    wanted["transport"].pop("secret", None)
    return {
        "id": str(uuid.uuid4()),
        "status": "enabled",
        "cost": 0,
        "created_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        **wanted,
    }


def _user(streamer: str) -> dict[str, Any]:
    return {
        "id": streamer,
        "login": f"login{streamer}",
        "display_name": f"Login{streamer}",
        "type": "",
        "broadcaster_type": "affiliate",
        "description": "Pottery, and the occasional tanuki.",
        "profile_image_url": f"https://static-cdn.jtvnw.net/jtv_user_pictures/{streamer}-profile_image-300x300.png",
        "offline_image_url": "",
        "view_count": 0,
        "created_at": "2016-12-14T20:32:28Z",
    }


def _channel(streamer: str) -> dict[str, Any]:
    return {
        "broadcaster_id": streamer,
        "broadcaster_login": f"login{streamer}",
        "broadcaster_name": f"Login{streamer}",
        "broadcaster_language": "en",
        "game_id": "509660",
        "game_name": "Art",
        "title": "Pottery night, come in",
        "delay": 0,
        "tags": ["English", "Pottery", "Cozy"],
        "content_classification_labels": [],
        "is_branded_content": False,
    }


def _stream(live: Message) -> dict[str, Any]:
    return {
        "id": live.stream_id,
        "user_id": live.streamer,
        "user_login": f"login{live.streamer}",
        "user_name": f"Login{live.streamer}",
        "game_id": "509660",
        "game_name": "Art",
        "type": "live",
        "title": "Pottery night, come in",
        "tags": ["English", "Pottery", "Cozy"],
        "viewer_count": 12,
        "started_at": live.started_at,
        "language": "en",
        "thumbnail_url": f"https://static-cdn.jtvnw.net/previews-ttv/live_user_{live.streamer}-{{width}}x{{height}}.jpg",
        "tag_ids": [],
        "is_mature": False,
    }


def _error(status: int, message: str) -> dict[str, Any]:
    return {"error": HTTPStatus(status).phrase, "status": status, "message": message}


def _json(status: int, value: dict[str, Any], headers: str = "") -> Answer:
    return Answer(status, json.dumps(value, separators=(",", ":")).encode(), headers)


@define(eq=False)
class Receiver:
    """
    Takes deliveries.

    :ivar bodies: each with the moment of its arrival on the event loop's clock.
    """

    bodies: list[tuple[float, bytes]] = field(factory=list, init=False)

    def respond(self, _method: str, _target: str, body: bytes) -> Answer:
        """
        Keep one, and say yes.
        """
        self.bodies.append((asyncio.get_running_loop().time(), body))
        return Answer(204)
