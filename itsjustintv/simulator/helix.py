"""
The simulated ``https://api.twitch.tv/helix``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, ClassVar

from attrs import define
from klein import Klein
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.web import http
from twisted.web.server import Request

from itsjustintv.simulator import folding_catalogue_helix
from itsjustintv.simulator.behaviour import Behaviour, Script, act
from itsjustintv.simulator.folding_bucket_responses import Bucket
from itsjustintv.simulator.oauth import Tokens
from itsjustintv.simulator.responses import Query, Rejection, send_json
from itsjustintv.simulator.subscriptions import Subscription, Subscriptions
from itsjustintv.simulator.world import World

__all__ = ["Helix"]

#: What an endpoint does once the request has come through the door: a status and the answer.
_Answer = Callable[[Request], tuple[int, Any]]


@define(eq=False)
class Helix:
    """
    Answers Helix requests. In the script its endpoints are called by path: ``users``, ``eventsub/subscriptions``.

    A fault comes before anything else, then the token, then the rate limit, as from an edge in front of the API. An
    error is an object of ``error``, ``status`` and ``message`` (dev.twitch.tv, API reference); a 5xx may be anything
    (github.com/twitchdev, issues 451), which a fault can be told to be.
    """

    _clock: IReactorTime
    _world: World
    _tokens: Tokens
    _bucket: Bucket
    _script: Script
    _subscriptions: Subscriptions
    _created: Callable[[Subscription], None]

    app: ClassVar[Klein] = Klein()

    @app.route("/users", methods=["GET"])
    async def users(self, request: Request) -> bytes:
        """
        Get Users.
        """
        origin = f"http://{request.getHeader('host')}"
        return await self._serve(
            request,
            "users",
            lambda asked: (http.OK, folding_catalogue_helix.users(self._world, Query(asked.args), origin)),
        )

    @app.route("/channels", methods=["GET"])
    async def channels(self, request: Request) -> bytes:
        """
        Get Channel Information.
        """
        return await self._serve(
            request,
            "channels",
            lambda asked: (http.OK, folding_catalogue_helix.channels(self._world, Query(asked.args))),
        )

    @app.route("/streams", methods=["GET"])
    async def streams(self, request: Request) -> bytes:
        """
        Get Streams.
        """
        return await self._serve(
            request, "streams", lambda asked: (http.OK, folding_catalogue_helix.streams(self._world, Query(asked.args)))
        )

    @app.route("/channels/followers", methods=["GET"])
    async def followers(self, request: Request) -> bytes:
        """
        Get Channel Followers.
        """
        return await self._serve(
            request,
            "channels/followers",
            lambda asked: (http.OK, folding_catalogue_helix.followers(self._world, Query(asked.args))),
        )

    @app.route("/eventsub/subscriptions", methods=["GET"])
    async def list_subscriptions(self, request: Request) -> bytes:
        """
        Get EventSub Subscriptions.
        """
        return await self._serve(
            request, "eventsub/subscriptions", lambda asked: (http.OK, self._subscriptions.list(Query(asked.args)))
        )

    @app.route("/eventsub/subscriptions", methods=["POST"])
    async def create_subscription(self, request: Request) -> bytes:
        """
        Create EventSub Subscription.
        """

        def create(request: Request) -> tuple[int, Any]:
            content: Any = request.content
            subscription = self._subscriptions.create(content.read())
            self._created(subscription)
            return http.ACCEPTED, self._subscriptions.answer([subscription])

        return await self._serve(request, "eventsub/subscriptions", create)

    @app.route("/eventsub/subscriptions", methods=["DELETE"])
    async def delete_subscription(self, request: Request) -> bytes:
        """
        Delete EventSub Subscription.
        """

        def delete(request: Request) -> tuple[int, Any]:
            self._subscriptions.delete(Query(request.args).one("id"))
            return http.NO_CONTENT, None

        return await self._serve(request, "eventsub/subscriptions", delete)

    async def _serve(self, request: Request, name: str, answer: _Answer) -> bytes:
        behaviour: Behaviour = self._script.next(name)
        body = await act(behaviour, request, self._clock)
        if not behaviour.well:
            return body or self._error(request, behaviour.status, "the simulator was asked to fail")
        try:
            self._admit(request)
            status, found = answer(request)
        except Rejection as rejection:
            return self._error(request, rejection.status, rejection.message, rejection.more)
        if behaviour.lost:
            await Deferred()
        if status == http.NO_CONTENT:
            request.setResponseCode(status)
            return b""
        return send_json(request, status, found)

    def _admit(self, request: Request) -> None:
        """
        Ask for a token and the client id it is for (dev.twitch.tv, "Authentication"), and for a point (API guide, "Rate
        limits"). The words are those that libraries know.

        :raises Rejection: 401 or 429.
        """
        scheme, _, token = (request.getHeader("authorization") or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Rejection(http.UNAUTHORIZED, "OAuth token is missing")
        if self._tokens.remaining(token) <= 0:
            raise Rejection(http.UNAUTHORIZED, "Invalid OAuth token")
        client_id = request.getHeader("client-id")
        if not client_id:
            raise Rejection(http.UNAUTHORIZED, "Client ID is missing")
        if client_id != self._tokens.client_id:
            raise Rejection(http.UNAUTHORIZED, "Client ID and OAuth token do not match")
        admitted = self._bucket.take()
        for name, value in self._bucket.headers().items():
            request.setHeader(name, value)
        if not admitted:
            raise Rejection(HTTPStatus.TOO_MANY_REQUESTS, "Too Many Requests")

    def _error(self, request: Request, status: int, message: str, more: Mapping[str, str] = {}) -> bytes:
        told = {"error": HTTPStatus(status).phrase, "status": status, "message": message, **more}
        return send_json(request, status, told)
