"""
The control API of the simulated Twitch: JSON over HTTP, for scripts and for programs in other languages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, cast

import orjson
from attrs import define, evolve
from klein import Klein
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.web import http
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request

from itsjustintv.simulator.behaviour import Behaviour
from itsjustintv.simulator.eventsub import channel_update, stream_offline, stream_online
from itsjustintv.simulator.responses import Rejection, send_json
from itsjustintv.simulator.sessions import Undelivered
from itsjustintv.simulator.twitch import SimulatedTwitch

__all__ = ["Control", "with_control"]

# The attributes of a behaviour that can be set.
_BEHAVIOUR: Mapping[str, type | tuple[type, ...]] = {
    "status": int,
    "body": str,
    "headers": dict,
    "delay": (int, float),
    "hang": bool,
    "drop": bool,
    "lost": bool,
}

# The settings: the part of the simulator that has each, and its type.
_SETTINGS: Mapping[str, tuple[str, type | tuple[type, ...]]] = {
    "per_page": ("subscriptions", int),
    "total_lag": ("subscriptions", (int, float)),
    "max_total_cost": ("subscriptions", int),
    "conflict_names_id": ("subscriptions", bool),
    "lenient_tokens": ("subscriptions", bool),
    "conduit_limit": ("conduits", int),
    "ghosts": ("conduits", bool),
    "shards_answered_after": ("conduits", (int, float)),
    "keepalive": ("sessions", (int, float)),
    "ping_interval": ("sessions", (int, float)),
    "pong_timeout": ("sessions", (int, float)),
    "unused_after": ("sessions", (int, float)),
    "reconnect_grace": ("sessions", (int, float)),
    "welcome_after": ("sessions", (int, float)),
    "frame_delay": ("sessions", (int, float)),
    "strict_pings": ("sessions", bool),
    "limit": ("bucket", int),
    "lag": ("world", (int, float)),
    "flickers": ("world", bool),
    "stale": ("world", bool),
    "records": ("world", bool),
    "recording_lag": ("world", (int, float)),
    "resend_after": ("eventsub", list),
    "timeout": ("eventsub", (int, float)),
    "challenge_after": ("", (int, float)),
    "challenge_again": ("", bool),
    "patience": ("", int),
}


@define(eq=False)
class Control:
    """
    ``GET /state``, and everything else is a POST of a JSON object:

    - ``/streamers``: adds a channel, with the parameters of :meth:`World.add_streamer`; a known ``user_id`` replaces
      that channel.
    - ``/change``: changes the channel ``login``: ``title``, ``game``, ``new_login``, or another parameter of
      :meth:`World.change`; sends ``channel.update`` unless ``announce`` is false. With ``delay`` only after so many
      seconds: a title that comes late.
    - ``/remove``: removes the channel ``login`` and revokes its subscriptions, without messages if ``silently``.
    - ``/live`` and ``/offline``: start or end a broadcast of ``login``, and notify after ``delay`` seconds unless
      ``announce`` is false. ``lag``, ``ago`` and ``again`` are those of :meth:`World.go_live`, ``type`` is its kind.
      ``copies`` is the number of messages with different ids for one start; ``offline_first`` sends ``stream.offline``
      just before it (pyTwitchAPI, issue 124).
    - ``/flap``: ends the broadcast of ``login`` and begins another one after ``seconds``, the same one if ``again``,
      both with messages.
    - ``/notify``: sends ``stream.online`` of the last broadcast of ``login``, or the ``type`` ``stream.offline`` or
      ``channel.update``, to every enabled subscription: with this ``id``, to repeat a message, ``times`` times, with a
      timestamp ``age`` seconds old, or ``forged``.
    - ``/subscriptions``: creates a subscription for ``login`` with ``callback`` and ``secret`` without any check, and
      sends the challenge unless it has a ``status``; optional are ``type``, ``version``, ``cost``, and ``hidden`` from
      the list.
    - ``/revoke``: ends the subscription ``id`` with ``status``, without a message if ``silently``.
    - ``/break``: breaks the socket of a session as ``how`` says: ``close`` with ``code``, ``fin``, ``rst``, or
      ``silence``, which Twitch only notices when no pong comes.
    - ``/reconnect``: sends ``session_reconnect`` to a session, with another ``url`` if one is given.
    - ``/frame``: sends to a session what Twitch does not send: ``what`` is ``garbage``, ``unknown``, ``huge`` with at
      least ``size`` bytes, ``binary``, ``bytes``, or ``text`` with that ``text``.
    - These three mean the session with the id ``session``, or those that serve the shard ``shard``, else all.
    - ``/conduits``: deletes the conduit ``delete``, or lets ``hours`` pass for conduits without an enabled shard, of
      which they survive 71.
    - ``/tokens``: issues a user access token for ``login``, with which WebSocket subscriptions are created.
    - ``/faults``: the endpoint ``name`` treats its next requests as the behaviours in ``next`` say, and all further
      ones as ``then`` says, else normally. ``*`` stands for every endpoint without a plan.
    - ``/limits``: ``per_page``, ``total_lag``, ``max_total_cost`` and ``conflict_names_id`` of
      :class:`SimulatedSubscriptions`, ``removed`` types with their versions, ``lenient_tokens``; ``conduit_limit`` and
      ``ghosts`` of :class:`SimulatedConduits`; the rate limit's ``limit``, and the ``points`` that are left.
    - ``/timing``: ``lag``, ``flickers``, ``stale`` and ``records`` of :class:`World`; ``resend_after`` and ``timeout``
      of :class:`EventSub`; ``challenge_after``, ``challenge_again`` and ``patience`` of
      :class:`SimulatedTwitch`; ``shards_answered_after`` of :class:`SimulatedConduits`; ``keepalive``,
      ``ping_interval``, ``pong_timeout``, ``unused_after``, ``reconnect_grace``, ``welcome_after``, ``frame_delay`` and
      ``strict_pings`` of :class:`SimulatedSessions`.
    """

    _twitch: SimulatedTwitch

    app: ClassVar[Klein] = Klein()

    @app.route("/state", methods=["GET"])
    def state(self, request: Request) -> bytes:
        """
        Show the channels, the subscriptions, the conduits, the sessions, the requests and the messages: those that were
        ``sent``, those that no shard took (``dropped``), and those that were written to a dead socket (``lost``).
        """
        twitch = self._twitch
        return send_json(
            request,
            http.OK,
            {
                "streamers": [{"id": each.id, "login": each.login} for each in twitch.world.all_channels()],
                "live": [each.channel.login for each in twitch.world.listed()],
                "subscriptions": [each.public() for each in twitch.subscriptions],
                "conduits": [
                    {
                        **each.public(),
                        "enabled": each.dark_since is None,
                        "shards": [shard.public() for _, shard in sorted(each.shards.items())],
                    }
                    for each in twitch.conduits
                ],
                "sessions": [
                    {
                        "id": each.id,
                        "status": each.status,
                        "sockets": twitch.sessions.sockets(each.id),
                        "silent": each.silent,
                        "frames": each.frames,
                        "shards": [shard for _, shard in twitch.conduits.shards_of(each.id)],
                    }
                    for each in twitch.sessions
                ],
                "closed": [{"session": session, "code": code} for session, code in twitch.sessions.closed],
                "dropped": [_undelivered(each) for each in twitch.dropped],
                "lost": [_undelivered(each) for each in twitch.sessions.lost],
                "requests": twitch.requests,
                "points_taken": twitch.bucket.taken,
                "requests_refused": twitch.bucket.refused,
                "messages": [
                    {"id": message_id, "type": kind, "try": number, "status": status}
                    for message_id, kind, number, status in twitch.eventsub.sent
                ],
            },
        )

    @app.route("/<what>", methods=["POST"])
    def change(self, request: Request, what: str) -> bytes:
        """
        Change something; an answer of 400 says what is wrong with the request.
        """
        content: Any = request.content
        change = {
            "streamers": self._streamer,
            "change": self._change,
            "remove": self._remove,
            "notify": self._notify,
            "live": self._live,
            "offline": self._offline,
            "flap": self._flap,
            "subscriptions": self._subscription,
            "revoke": self._revoke,
            "break": self._break,
            "reconnect": self._reconnect,
            "frame": self._frame,
            "conduits": self._conduits,
            "tokens": self._token,
            "faults": self._faults,
            "limits": self._set,
            "timing": self._set,
        }.get(what)
        try:
            if change is None:
                raise Rejection(http.NOT_FOUND, f"unknown command {what}")
            asked = orjson.loads(content.read() or b"{}")
            if not isinstance(asked, dict):
                raise Rejection(http.BAD_REQUEST, "the body must be a JSON object")
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

    def _change(self, asked: Mapping[str, Any]) -> object:
        if delay := float(asked.get("delay", 0.0)):
            channel = self._twitch.world.channel(asked["login"])
            rest = {name: value for name, value in asked.items() if name != "delay"}

            def change_later() -> Deferred[Any]:
                self._change(rest)
                return succeed(None)

            self._twitch.after(delay, change_later)
            return {"id": channel.id, "login": channel.login}
        about = {name: value for name, value in asked.items() if name not in ("login", "announce", "id", "delay")}
        if "new_login" in about:
            about["login"] = about.pop("new_login")
        if "tags" in about:
            about["tags"] = tuple(about["tags"])
        channel = self._twitch.world.change(asked["login"], **about)
        if asked.get("announce", True):
            _unattended(self._twitch.announce_change(channel))
        return {"id": channel.id, "login": channel.login}

    def _remove(self, asked: Mapping[str, Any]) -> object:
        _unattended(self._twitch.remove(asked["login"], silently=bool(asked.get("silently", False))))
        return {}

    def _live(self, asked: Mapping[str, Any]) -> object:
        twitch = self._twitch
        how = {name: asked[name] for name in ("lag", "ago", "again") if name in asked}
        stream = twitch.world.go_live(asked["login"], kind=asked.get("type", "live"), **how)
        if asked.get("offline_first", False):
            self._later(asked, lambda: twitch.announce_end(stream.channel))
        for _ in range(int(asked.get("copies", 1))):
            self._later(asked, lambda: twitch.announce(stream))
        return {"id": stream.id, "started_at": stream.started_at}

    def _offline(self, asked: Mapping[str, Any]) -> object:
        twitch = self._twitch
        channel = twitch.world.channel(asked["login"])
        twitch.world.go_offline(channel.login)
        self._later(asked, lambda: twitch.announce_end(channel))
        return {}

    def _flap(self, asked: Mapping[str, Any]) -> object:
        twitch, again = self._twitch, bool(asked.get("again", False))
        channel = twitch.world.channel(asked["login"])
        twitch.world.go_offline(channel.login)
        _unattended(twitch.announce_end(channel))
        twitch.after(
            float(asked.get("seconds", 0.0)),
            lambda: twitch.announce(twitch.world.go_live(channel.login, again=again)),
        )
        return {}

    def _later(self, asked: Mapping[str, Any], send: Callable[[], Deferred[Any]]) -> None:
        if asked.get("announce", True):
            delay = float(asked.get("delay", 0.0))
            if delay:
                self._twitch.after(delay, send)
            else:
                _unattended(send())

    def _notify(self, asked: Mapping[str, Any]) -> object:
        twitch = self._twitch
        kind = asked.get("type", "stream.online")
        channel = twitch.world.channel(asked["login"])
        makers: Mapping[str, Callable[[], Mapping[str, object]]] = {
            "stream.online": lambda: stream_online(twitch.world.last(asked["login"])),
            "stream.offline": lambda: stream_offline(channel),
            "channel.update": lambda: channel_update(channel),
        }
        event = makers[kind]()
        found = []
        for each in twitch.subscriptions.enabled(kind, channel.id):
            message = twitch.eventsub.notification(each, event)
            message = evolve(message, id=str(asked.get("id", message.id)))
            for number in range(int(asked.get("times", 1))):
                age, forged = float(asked.get("age", 0.0)), bool(asked.get("forged", False))
                _unattended(twitch.send(message, number=number, again=False, age=age, forged=forged))
            found.append(message.id)
        return {"ids": found}

    def _subscription(self, asked: Mapping[str, Any]) -> object:
        twitch = self._twitch
        broadcaster = twitch.world.channel(asked["login"]).id
        kind, version = asked.get("type", "stream.online"), asked.get("version", "1")
        made = twitch.subscriptions.add(kind, version, broadcaster, asked["callback"], asked["secret"])
        about = {name: asked[name] for name in ("status", "cost", "hidden") if name in asked}
        made = twitch.subscriptions.change(made.id, **about) or made
        if "status" not in asked:
            _unattended(twitch.verify(made))
        return made.public()

    def _revoke(self, asked: Mapping[str, Any]) -> object:
        found = [each for each in self._twitch.subscriptions if each.id == asked["id"]]
        if not found:
            raise Rejection(http.NOT_FOUND, "subscription not found")
        if asked.get("silently", False):
            self._twitch.subscriptions.set_status(asked["id"], asked["status"])
        else:
            _unattended(self._twitch.revoke(found[0], asked["status"]))
        return {}

    def _sessions(self, asked: Mapping[str, Any]) -> Sequence[str]:
        twitch = self._twitch
        if "session" in asked:
            return [str(asked["session"])]
        shard = asked.get("shard")
        return [
            each.id
            for each in twitch.sessions
            if shard is None or str(shard) in [number for _, number in twitch.conduits.shards_of(each.id)]
        ]

    def _break(self, asked: Mapping[str, Any]) -> object:
        found = self._sessions(asked)
        for each in found:
            self._twitch.sessions.sever(each, asked["how"], int(asked.get("code", 4000)))
        return {"sessions": found}

    def _reconnect(self, asked: Mapping[str, Any]) -> object:
        found = self._sessions(asked)
        return {"urls": [self._twitch.sessions.reconnect(each, str(asked.get("url", ""))) for each in found]}

    def _frame(self, asked: Mapping[str, Any]) -> object:
        found = self._sessions(asked)
        text, size = str(asked.get("text", "")), int(asked.get("size", 1 << 20))
        for each in found:
            self._twitch.sessions.write(each, asked["what"], text=text, size=size)
        return {"sessions": found}

    def _conduits(self, asked: Mapping[str, Any]) -> object:
        conduits = self._twitch.conduits
        if "delete" in asked:
            conduits.delete(str(asked["delete"]))
        if "hours" in asked:
            conduits.let_pass(float(asked["hours"]) * 3600)
        return {"conduits": [each.id for each in conduits]}

    def _token(self, asked: Mapping[str, Any]) -> object:
        channel = self._twitch.world.channel(asked["login"])
        return {"access_token": self._twitch.tokens.issue_to_user(channel.id, channel.login), "user_id": channel.id}

    def _faults(self, asked: Mapping[str, Any]) -> object:
        faults, then = self._twitch.faults, asked.get("then")
        lasting = None if then is None else _behaviour(then)
        if asked["name"] == "*":
            faults.usually = lasting or Behaviour()
        else:
            faults.plan(asked["name"], *(_behaviour(each) for each in asked.get("next", ())), then=lasting)
        return {}

    def _set(self, asked: Mapping[str, Any]) -> object:
        twitch = self._twitch
        for name, value in asked.items():
            if name == "points":
                twitch.bucket.empty(float(value))
            elif name == "removed":
                twitch.subscriptions.removed = {(str(kind), str(version)) for kind, version in value}
            else:
                where, kind = _SETTINGS[name]
                if not isinstance(value, kind):
                    raise TypeError(f"{name} has the wrong type")
                setattr(getattr(twitch, where) if where else twitch, name, value)
        return {}


class _Root(Resource):
    def __init__(self, twitch: SimulatedTwitch) -> None:
        super().__init__()
        self._twitch = twitch

    def getChild(self, path: bytes, request: Request) -> IResource:
        if path == b"simulator":
            return cast("IResource", Control(self._twitch).app.resource())
        unread: Any = request
        unread.postpath.insert(0, unread.prepath.pop())
        return self._twitch.resource()


def with_control(twitch: SimulatedTwitch) -> IResource:
    """
    Everything that a Twitch serves, and its control API at ``/simulator``.
    """
    return cast("IResource", _Root(twitch))


def _behaviour(given: Mapping[str, Any]) -> Behaviour:
    for name, value in given.items():
        if not isinstance(value, _BEHAVIOUR[name]):
            raise TypeError(f"{name} has the wrong type")
    return Behaviour(**{**given, "body": str(given.get("body", "")).encode()})


def _undelivered(message: Undelivered) -> Mapping[str, str]:
    return {"id": message.id, "type": message.type, "reason": message.reason}


def _unattended(work: Deferred[Any]) -> None:
    """
    Let something continue after the answer.
    """
    work.addErrback(lambda failure: failure.trap(CancelledError))
