"""
A Twitch in memory, for whoever asks it something.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import parse_qsl, urlsplit

import orjson
from attrs import define, evolve, field, frozen
from treq.client import HTTPClient
from treq.testing import StubTreq
from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from itsjustintv.config.sections import Twitch
from itsjustintv.twitch.api.batching import BatchInterval
from itsjustintv.twitch.api.helix import Helix
from itsjustintv.twitch.api.oauth import AppToken
from itsjustintv.twitch.api.rate_limit import RateBucket

T = TypeVar("T")

SETTINGS = Twitch(
    client_id="an-id",
    client_secret="a-secret-nobody-sees",
    api_url="https://api.example.net/helix",
    auth_url="https://id.example.net/oauth2",
)

NOW = 1_767_322_800.0


@frozen
class Asked:
    """
    A request as it came.
    """

    method: str
    path: str
    params: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes

    def values(self, name: str) -> list[str]:
        """
        Every value of a parameter.
        """
        return [value for key, value in self.params if key == name]


@frozen
class Reply:
    """
    What to answer. A body that is not bytes is sent as JSON.
    """

    status: int = 200
    body: Any = b""
    headers: dict[str, str] = field(factory=dict)


HANG = Reply(status=0)

Answering = Reply | Callable[[Asked], Reply]


class FakeTwitch(Resource):
    """
    Answers what a test tells it to: for each path the queued replies, then the usual one.

    :ivar asked: every request so far.
    :ivar hanging: requests that were not answered.
    """

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Asked] = []
        self.hanging: list[Request] = []
        self.usual: dict[str, Answering] = {"/oauth2/token": token("token-1")}
        self._next: dict[str, list[Answering]] = {}

    def then(self, path: str, *replies: Answering) -> None:
        """
        Queue replies.
        """
        self._next.setdefault(path, []).extend(replies)

    def to(self, path: str) -> list[Asked]:
        """
        The requests for a path.
        """
        return [asked for asked in self.asked if asked.path == path]

    def render(self, request: Request) -> Any:
        uri = urlsplit(request.uri.decode("ascii"))
        headers = {
            name.decode().lower(): values[-1].decode() for name, values in request.requestHeaders.getAllRawHeaders()
        }
        asked = Asked(request.method.decode(), uri.path, parse_qsl(uri.query), headers, request.content.read())
        self.asked.append(asked)
        queued = self._next.get(uri.path)
        reply = queued.pop(0) if queued else self.usual.get(uri.path, Reply(404, {"message": "no such thing"}))
        if not isinstance(reply, Reply):
            reply = reply(asked)
        if reply is HANG:
            self.hanging.append(request)
            return NOT_DONE_YET
        return self.answer(request, reply)

    @staticmethod
    def answer(request: Request, reply: Reply) -> bytes:
        """
        Set status and headers.
        """
        request.setResponseCode(reply.status)
        for name, value in reply.headers.items():
            request.setHeader(name, value)
        return reply.body if isinstance(reply.body, bytes) else orjson.dumps(reply.body)


def token(value: str, lifetime: int = 5_000_000) -> Reply:
    """
    What the token endpoint answers.
    """
    return Reply(200, {"access_token": value, "expires_in": lifetime, "token_type": "bearer"})


def at_once(work: Callable[..., T], *args: Any) -> Deferred[T]:
    """
    A thread that has nothing else to do.
    """
    return execute(work, *args)


def run(work: Coroutine[Deferred[Any], Any, T]) -> Deferred[T]:
    """
    Begin a coroutine.
    """
    return Deferred.fromCoroutine(work)


@define(eq=False)
class World:
    """
    Everything between a test and the fake Twitch.
    """

    path: Path
    clock: Clock = field(factory=Clock)
    twitch: FakeTwitch = field(factory=FakeTwitch)
    settings: Twitch = SETTINGS
    in_thread: Callable[..., Deferred[Any]] = at_once
    hidden: list[str] = field(factory=list)
    stub: StubTreq = field(init=False)
    token: AppToken = field(init=False)
    bucket: RateBucket = field(init=False)
    pace: BatchInterval = field(init=False)
    helix: Helix = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.clock.advance(NOW)
        self.stub = StubTreq(self.twitch)
        self.token = self.new_token()
        self.bucket = RateBucket(self.clock)
        self.pace = BatchInterval(self.bucket, self.clock)
        self.helix = Helix(self.http, lambda: self.settings, self.token, self.bucket, self.clock)

    @property
    def http(self) -> HTTPClient:
        """
        The client.
        """
        return cast("HTTPClient", self.stub)

    def new_token(self) -> AppToken:
        """
        A token as the next start of the process would have it.
        """

        def settings() -> Twitch:
            return evolve(self.settings, token_file=str(self.path))

        return AppToken(self.http, settings, self.clock, self.in_thread, self.hidden.extend)
