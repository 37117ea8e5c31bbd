"""
The simulated Twitch at the hand of a script: a small HTTP API, in JSON, for programs that are not written in Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import orjson
from attrs import define
from klein import Klein
from twisted.internet.defer import CancelledError, Deferred
from twisted.web import http
from twisted.web.server import Request

from itsjustintv.simulator.answers import Rejection, send_json
from itsjustintv.simulator.behaviour import Behaviour

if TYPE_CHECKING:
    from itsjustintv.simulator.twitch import SimulatedTwitch

__all__ = ["Control"]

# What a script may say of a behaviour; the rest needs Python.
_BEHAVIOUR: Mapping[str, type | tuple[type, ...]] = {
    "status": int,
    "body": str,
    "delay": (int, float),
    "hang": bool,
    "drop": bool,
    "lost": bool,
}


@define(eq=False)
class Control:
    """
    ``GET /state``, and everything else is a POST of a JSON object:

    - ``/streamers``: somebody streams from now on, as :meth:`World.add_streamer` takes it.
    - ``/live`` and ``/offline``: ``login`` begins or ends a broadcast; its beginning is announced unless ``announce``
      is false.
    - ``/subscriptions``: a subscription for ``login`` with ``callback`` and ``secret``, verified unless ``status`` says
      what it is instead; past every check, as if it had always been there.
    - ``/revoke``: ends the subscription ``id`` with ``status``; told unless ``silently``.
    - ``/faults``: the endpoint ``name`` treats its next requests in ``next`` ways, and then all of them as ``then``
      says, or well.
    - ``/limits``: ``per_page``, ``total_lag``, ``max_total_cost``; ``points``, which can only be 0.
    """

    _twitch: SimulatedTwitch

    app: ClassVar[Klein] = Klein()

    @app.route("/state", methods=["GET"])
    def state(self, request: Request) -> bytes:
        """
        What there is, and what was asked for.
        """
        twitch = self._twitch
        return send_json(
            request,
            http.OK,
            {
                "streamers": [{"id": each.id, "login": each.login} for each in twitch.world.everybody()],
                "live": [each.channel.login for each in twitch.world.listed()],
                "subscriptions": [each.public() for each in twitch.subscriptions],
                "requests": twitch.requests,
                "points_taken": twitch.bucket.taken,
                "requests_refused": twitch.bucket.refused,
            },
        )

    @app.route("/<what>", methods=["POST"])
    def change(self, request: Request, what: str) -> bytes:
        """
        Change something; an answer of 400 says what was not understood.
        """
        content: Any = request.content
        change = {
            "streamers": self._streamer,
            "live": self._live,
            "offline": self._offline,
            "subscriptions": self._subscription,
            "revoke": self._revoke,
            "faults": self._faults,
            "limits": self._limits,
        }.get(what)
        try:
            if change is None:
                raise Rejection(http.NOT_FOUND, f"there is no {what}")
            asked = orjson.loads(content.read() or b"{}")
            if not isinstance(asked, dict):
                raise Rejection(http.BAD_REQUEST, "a JSON object is needed")
            return send_json(request, http.OK, change(asked))
        except Rejection as rejection:
            return send_json(request, rejection.status, {"message": rejection.message})
        except KeyError as missing:
            return send_json(request, http.BAD_REQUEST, {"message": f"{missing.args[0]} is missing or unknown"})
        except (ValueError, TypeError, LookupError) as error:
            return send_json(request, http.BAD_REQUEST, {"message": str(error)})

    def _streamer(self, asked: Mapping[str, Any]) -> object:
        channel = self._twitch.world.add_streamer(**asked)
        return {"id": channel.id, "login": channel.login}

    def _live(self, asked: Mapping[str, Any]) -> object:
        stream = self._twitch.world.go_live(asked["login"])
        if asked.get("announce", True):
            _alone(self._twitch.announce(stream))
        return {"id": stream.id, "started_at": stream.started_at}

    def _offline(self, asked: Mapping[str, Any]) -> object:
        self._twitch.world.go_offline(asked["login"])
        return {}

    def _subscription(self, asked: Mapping[str, Any]) -> object:
        twitch = self._twitch
        broadcaster = twitch.world.channel(asked["login"]).id
        made = twitch.subscriptions.add("stream.online", "1", broadcaster, asked["callback"], asked["secret"])
        if "status" in asked:
            made = twitch.subscriptions.set_status(made.id, asked["status"]) or made
        else:
            _alone(twitch.verify(made))
        return made.public()

    def _revoke(self, asked: Mapping[str, Any]) -> object:
        found = [each for each in self._twitch.subscriptions if each.id == asked["id"]]
        if not found:
            raise Rejection(http.NOT_FOUND, "subscription not found")
        if asked.get("silently", False):
            self._twitch.subscriptions.set_status(asked["id"], asked["status"])
        else:
            _alone(self._twitch.revoke(found[0], asked["status"]))
        return {}

    def _faults(self, asked: Mapping[str, Any]) -> object:
        then = asked.get("then")
        self._twitch.faults.plan(
            asked["name"],
            *(_behaviour(each) for each in asked.get("next", ())),
            then=None if then is None else _behaviour(then),
        )
        return {}

    def _limits(self, asked: Mapping[str, Any]) -> object:
        for name, value in asked.items():
            if name == "points" and value == 0:
                self._twitch.bucket.empty()
            elif name in ("per_page", "total_lag", "max_total_cost"):
                setattr(self._twitch.subscriptions, name, value)
            else:
                raise KeyError(name)
        return {}


def _behaviour(told: Mapping[str, Any]) -> Behaviour:
    for name, value in told.items():
        if not isinstance(value, _BEHAVIOUR[name]):
            raise TypeError(f"{name} is of another type")
    return Behaviour(**{**told, "body": str(told.get("body", "")).encode()})


def _alone(work: Deferred[Any]) -> None:
    """
    Let something go on when the answer is given.
    """
    work.addErrback(lambda failure: failure.trap(CancelledError))
