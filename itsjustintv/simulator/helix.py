"""
The simulated Helix API, ``https://api.twitch.tv/helix``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, ClassVar

from attrs import define
from klein import Klein
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.web import http
from twisted.web.server import Request

from itsjustintv.simulator.behaviour import Behaviour, Script, act
from itsjustintv.simulator.conduits import SimulatedConduits
from itsjustintv.simulator.oauth import Tokens
from itsjustintv.simulator.responses import Bucket, Query, Rejection, page, send_json
from itsjustintv.simulator.subscriptions import PENDING, SimulatedSubscription, SimulatedSubscriptions
from itsjustintv.simulator.world import SimulatedChannel, SimulatedStream, SimulatedVideo, World

__all__ = ["SimulatedHelix", "channels", "followers", "streams", "users", "videos"]

#: What an endpoint does with an authorized request: a status and the answer.
_Answer = Callable[[Request], tuple[int, Any]]


@define(eq=False)
class SimulatedHelix:
    """
    Answers Helix requests. The script names its endpoints by path: ``users``, ``eventsub/subscriptions``.

    Planned faults come first, then the check of the token, then the rate limit. An error is an object of ``error``,
    ``status`` and ``message`` (dev.twitch.tv, API reference); a 5xx can be anything (github.com/twitchdev, issues 451).
    """

    _clock: IReactorTime
    _world: World
    _tokens: Tokens
    _bucket: Bucket
    _script: Script
    _subscriptions: SimulatedSubscriptions
    _conduits: SimulatedConduits
    _created: Callable[[SimulatedSubscription], None]

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
            lambda asked: (http.OK, users(self._world, Query(asked.args), origin)),
        )

    @app.route("/channels", methods=["GET"])
    async def channels(self, request: Request) -> bytes:
        """
        Get Channel Information.
        """
        return await self._serve(
            request,
            "channels",
            lambda asked: (http.OK, channels(self._world, Query(asked.args))),
        )

    @app.route("/streams", methods=["GET"])
    async def streams(self, request: Request) -> bytes:
        """
        Get Streams.
        """
        return await self._serve(request, "streams", lambda asked: (http.OK, streams(self._world, Query(asked.args))))

    @app.route("/channels/followers", methods=["GET"])
    async def followers(self, request: Request) -> bytes:
        """
        Get Channel Followers.
        """
        return await self._serve(
            request,
            "channels/followers",
            lambda asked: (http.OK, followers(self._world, Query(asked.args))),
        )

    @app.route("/videos", methods=["GET"])
    async def videos(self, request: Request) -> bytes:
        """
        Get Videos.
        """
        return await self._serve(
            request, "videos", lambda asked: (http.OK, videos(self._world, Query(asked.args), self._clock.seconds()))
        )

    @app.route("/eventsub/subscriptions", methods=["GET"])
    async def list_subscriptions(self, request: Request) -> bytes:
        """
        Get EventSub Subscriptions.
        """
        return await self._serve(
            request,
            "eventsub/subscriptions",
            lambda asked: (http.OK, self._subscriptions.list(Query(asked.args), self._user(asked))),
        )

    @app.route("/eventsub/subscriptions", methods=["POST"])
    async def create_subscription(self, request: Request) -> bytes:
        """
        Create EventSub Subscription.
        """

        def create(request: Request) -> tuple[int, Any]:
            subscription = self._subscriptions.create(_body(request), self._user(request))
            if subscription.status == PENDING:
                self._created(subscription)
            return http.ACCEPTED, self._subscriptions.answer([subscription], self._user(request))

        return await self._serve(request, "eventsub/subscriptions", create)

    @app.route("/eventsub/subscriptions", methods=["DELETE"])
    async def delete_subscription(self, request: Request) -> bytes:
        """
        Delete EventSub Subscription.
        """

        def delete(request: Request) -> tuple[int, Any]:
            self._subscriptions.delete(Query(request.args).one("id"), self._user(request))
            return http.NO_CONTENT, None

        return await self._serve(request, "eventsub/subscriptions", delete)

    @app.route("/eventsub/conduits", methods=["GET"])
    async def list_conduits(self, request: Request) -> bytes:
        """
        Get Conduits.
        """
        return await self._serve_app(request, "eventsub/conduits", lambda _: (http.OK, self._conduits.list()))

    @app.route("/eventsub/conduits", methods=["POST"])
    async def create_conduit(self, request: Request) -> bytes:
        """
        Create Conduits.
        """
        return await self._serve_app(
            request,
            "eventsub/conduits",
            lambda asked: (http.OK, self._conduits.create(_body(asked), Query(asked.args))),
        )

    @app.route("/eventsub/conduits", methods=["PATCH"])
    async def update_conduit(self, request: Request) -> bytes:
        """
        Update Conduits.
        """
        return await self._serve_app(
            request,
            "eventsub/conduits",
            lambda asked: (http.OK, self._conduits.update(_body(asked), Query(asked.args))),
        )

    @app.route("/eventsub/conduits", methods=["DELETE"])
    async def delete_conduit(self, request: Request) -> bytes:
        """
        Delete Conduit.
        """

        def delete(request: Request) -> tuple[int, Any]:
            self._conduits.delete(Query(request.args).one("id"))
            return http.NO_CONTENT, None

        return await self._serve_app(request, "eventsub/conduits", delete)

    @app.route("/eventsub/conduits/shards", methods=["GET"])
    async def list_shards(self, request: Request) -> bytes:
        """
        Get Conduit Shards.
        """
        return await self._serve_app(
            request, "eventsub/conduits/shards", lambda asked: (http.OK, self._conduits.shards(Query(asked.args)))
        )

    @app.route("/eventsub/conduits/shards", methods=["PATCH"])
    async def assign_shards(self, request: Request) -> bytes:
        """
        Update Conduit Shards.
        """
        return await self._serve_app(
            request,
            "eventsub/conduits/shards",
            lambda asked: (http.ACCEPTED, self._conduits.assign(_body(asked), Query(asked.args))),
            self._conduits.shards_answered_after,
        )

    async def _serve_app(self, request: Request, name: str, answer: _Answer, late: float = 0.0) -> bytes:
        """
        Serve what only an app access token is good for (dev.twitch.tv, "Getting Events Using Conduits").
        """

        def answer_app(asked: Request) -> tuple[int, Any]:
            if self._user(asked):
                raise Rejection(http.UNAUTHORIZED, "The token must be an app access token")
            return answer(asked)

        return await self._serve(request, name, answer_app, late)

    async def _serve(self, request: Request, name: str, answer: _Answer, late: float = 0.0) -> bytes:
        behaviour: Behaviour = self._script.next(name)
        body = await act(behaviour, request, self._clock)
        if not behaviour.well:
            return body or self._error(request, behaviour.status, "the simulator was told to fail")
        try:
            self._admit(request)
            status, found = answer(request)
        except Rejection as rejection:
            return self._error(request, rejection.status, rejection.message, rejection.more)
        if behaviour.lost:
            await Deferred()
        if late > 0:
            await deferLater(self._clock, late)
        if status == http.NO_CONTENT:
            request.setResponseCode(status)
            return b""
        return send_json(request, status, found)

    def _user(self, request: Request) -> str:
        """
        The id of the user whose token a request has; empty for an app access token.
        """
        user = self._tokens.user((request.getHeader("authorization") or "").partition(" ")[2])
        return "" if user is None else user[0]

    def _admit(self, request: Request) -> None:
        """
        Check the token and the client id that it belongs to (dev.twitch.tv, "Authentication"), and take a point (API
        guide, "Rate limits"). The messages are those that client libraries look for.

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
        answer = {"error": HTTPStatus(status).phrase, "status": status, "message": message, **more}
        return send_json(request, status, answer)


def _body(request: Request) -> bytes:
    content: Any = request.content
    body: bytes = content.read()
    return body


_MAX_IDS = 100


def users(world: World, query: Query, origin: str) -> dict[str, Any]:
    """
    Get Users: by id, by login, or both; unknown ones are left out.

    :param origin: scheme, host and port of the profile images.
    """
    ids, logins = query.all("id"), query.all("login")
    if not 1 <= len(ids) + len(logins) <= _MAX_IDS:
        raise Rejection(http.BAD_REQUEST, "The ids and logins must be 1 to 100 together")
    return {
        "data": [
            {
                "id": each.id,
                "login": each.login,
                "display_name": each.name,
                "type": "",
                "broadcaster_type": "affiliate",
                "description": each.description,
                "profile_image_url": f"{origin}/images/{each.id}.png",
                "offline_image_url": "",
                "view_count": 0,
                "created_at": each.created_at,
            }
            for each in world.channels(ids=ids, logins=logins)
        ]
    }


def channels(world: World, query: Query) -> dict[str, Any]:
    """
    Get Channel Information, for live and offline channels.
    """
    return {"data": [_channel(each) for each in world.channels(ids=_required(query, "broadcaster_id"))]}


def streams(world: World, query: Query) -> dict[str, Any]:
    """
    Get Streams: the broadcasts of the given channels, or of all; offline ones are left out. Without ``first`` a page
    has 20, however many channels are given.
    """
    ids, logins = query.all("user_id"), {each.lower() for each in query.all("user_login")}
    games, languages = query.all("game_id"), query.all("language")
    if any(len(each) > _MAX_IDS for each in (ids, logins, games, languages)):
        raise Rejection(http.BAD_REQUEST, "Of each there must be 100 at the most")
    found = [
        each
        for each in world.listed()
        if (not (ids or logins) or each.channel.id in ids or each.channel.login in logins)
        and (not games or each.channel.game_id in games)
        and (not languages or each.channel.language in languages)
    ]
    data, pagination = page(found, query.first(), query.one("after"))
    return {"data": [_stream(each) for each in data], "pagination": pagination}


def followers(world: World, query: Query) -> dict[str, Any]:
    """
    Get Channel Followers: the total alone, since the token is not a moderator's. That an app access token suffices is
    documented by pyTwitchAPI; the reference requires a user's.
    """
    if query.one("user_id"):
        raise Rejection(http.UNAUTHORIZED, "The user_id query parameter requires a user access token")
    (broadcaster_id, *_) = _required(query, "broadcaster_id")
    query.first()
    return {"total": sum(each.followers for each in world.channels(ids=[broadcaster_id])), "data": [], "pagination": {}}


def videos(world: World, query: Query, now: float) -> dict[str, Any]:
    """
    Get Videos of a channel: recordings of its broadcasts, the newest first. One that goes on is listed too, as long as
    it is by now.

    :raises Rejection: another one than ``user_id`` is asked for, or a type that there is not.
    """
    if len([name for name in ("id", "user_id", "game_id") if query.one(name)]) != 1 or not query.one("user_id"):
        raise Rejection(
            http.BAD_REQUEST, "Exactly one of id, user_id and game_id must be given; only user_id is simulated"
        )
    kind = query.one("type", "all")
    if kind not in ("all", "archive", "highlight", "upload"):
        raise Rejection(http.BAD_REQUEST, 'The parameter "type" was malformed')
    found = world.videos(query.one("user_id")) if kind in ("all", "archive") else []
    data, pagination = page(found, query.first(), query.one("after"))
    return {"data": [_video(each, now) for each in data], "pagination": pagination}


def _video(video: SimulatedVideo, now: float) -> dict[str, Any]:
    channel = video.stream.channel
    return {
        "id": video.id,
        "stream_id": video.stream.id,
        "user_id": channel.id,
        "user_login": channel.login,
        "user_name": channel.name,
        "title": channel.title,
        "description": "",
        "created_at": video.stream.started_at,
        "published_at": video.stream.started_at,
        "url": f"https://www.twitch.tv/videos/{video.id}",
        "thumbnail_url": ""
        if video.ended_at is None
        else f"https://static-cdn.jtvnw.net/{video.id}-%{{width}}x%{{height}}.jpg",
        "viewable": "public",
        "view_count": 0,
        "language": channel.language,
        "type": "archive",
        "duration": _duration((now if video.ended_at is None else video.ended_at) - video.began_at),
        "muted_segments": None,
    }


def _duration(seconds: float) -> str:
    """
    Write a duration as Helix does: ``3h8m33s``, without the units that it does not reach.
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{rest}s"


def _required(query: Query, name: str) -> Sequence[str]:
    values = query.all(name)
    if not 1 <= len(values) <= _MAX_IDS:
        raise Rejection(http.BAD_REQUEST, f'The parameter "{name}" must be given 1 to 100 times')
    return values


def _channel(channel: SimulatedChannel) -> dict[str, Any]:
    return {
        "broadcaster_id": channel.id,
        "broadcaster_login": channel.login,
        "broadcaster_name": channel.name,
        "broadcaster_language": channel.language,
        "game_id": channel.game_id,
        "game_name": channel.game_name,
        "title": channel.title,
        "delay": 0,
        "tags": channel.tags,
        "content_classification_labels": [],
        "is_branded_content": False,
    }


def _stream(stream: SimulatedStream) -> dict[str, Any]:
    channel = stream.channel
    return {
        "id": stream.id,
        "user_id": channel.id,
        "user_login": channel.login,
        "user_name": channel.name,
        "game_id": channel.game_id,
        "game_name": channel.game_name,
        "type": stream.type,
        "title": channel.title,
        "tags": channel.tags,
        "viewer_count": channel.viewers,
        "started_at": stream.started_at,
        "language": channel.language,
        "thumbnail_url": (
            f"https://static-cdn.jtvnw.net/previews-ttv/live_user_{channel.login}-{{width}}x{{height}}.jpg"
        ),
        "tag_ids": [],
        "is_mature": False,
    }
