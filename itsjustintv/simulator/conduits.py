"""
The conduits of one application and their shards, as Helix of Twitch manages them.

The rules are those of dev.twitch.tv, "Getting Events Using Conduits" and the API reference. Which hash chooses a shard,
and which other shard is tried when that one is disabled, is not documented; neither is what Get Conduit Shards answers
about a shard that was never assigned: here it is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from http import HTTPStatus
from random import Random
from typing import Any
from uuid import UUID

import orjson
from attrs import define, evolve, field, frozen
from twisted.internet.interfaces import IReactorTime
from twisted.web import http

from itsjustintv.simulator.responses import Query, Rejection, page
from itsjustintv.simulator.sessions import SimulatedSession
from itsjustintv.simulator.subscriptions import ENABLED, FAILED, PENDING, check_secret
from itsjustintv.simulator.world import rfc3339

__all__ = ["SimulatedConduit", "SimulatedConduits", "SimulatedShard", "shard_number"]

# "Getting Events Using Conduits", "Limits".
_MAX_SHARDS = 20_000
# API reference, "Update Conduit Shards".
_MAX_AT_ONCE = 100
# "Failure scenarios and cleanup".
_PATIENCE = 72 * 3600.0
_PER_PAGE = 100
# The only code that was observed (github.com/twitchdev, issues 1198).
_INVALID = "invalid_parameter"


@frozen(kw_only=True)
class SimulatedShard:
    """
    The transport of one shard: a session, or a callback.
    """

    id: str
    status: str
    session_id: str = ""
    connected_at: str = ""
    disconnected_at: str = ""
    callback: str = ""
    secret: str = field(default="", repr=False)

    def public(self) -> dict[str, object]:
        """
        Its public fields (API reference, "Get Conduit Shards").
        """
        about: dict[str, object] = {"method": "webhook", "callback": self.callback}
        if self.session_id:
            about = {"method": "websocket", "session_id": self.session_id, "connected_at": self.connected_at}
            if self.disconnected_at:
                about["disconnected_at"] = self.disconnected_at
        return {"id": self.id, "status": self.status, "transport": about}


@define(eq=False)
class SimulatedConduit:
    """
    One conduit.

    :ivar shards: those that were ever assigned, by number; also ghosts.
    :ivar dark_since: when the last enabled shard was lost, or the conduit was created; ``None`` while one is enabled.
    """

    id: str
    shard_count: int
    dark_since: float | None
    shards: dict[int, SimulatedShard] = field(factory=dict)

    def public(self) -> dict[str, object]:
        return {"id": self.id, "shard_count": self.shard_count}


def shard_number(channel_id: str, shard_count: int) -> int:
    """
    Which shard gets the notifications of a channel.
    """
    return int.from_bytes(sha256(channel_id.encode()).digest()[:8]) % shard_count


@define(eq=False)
class SimulatedConduits:
    """
    Stores conduits, and chooses the shard of a message.

    :ivar conduit_limit: the number of conduits that there may be.
    :ivar ghosts: whether shards stay in the list after the conduit was scaled down (github.com/twitchdev, issues 914).
    :ivar shards_answered_after: seconds by which the answer to an update of shards is late; its effect is not.
    :ivar on_delete: called with the id of each conduit that is gone.
    :ivar on_callback: called with a conduit and a shard whose callback has to be verified.
    """

    _clock: IReactorTime
    _random: Random
    _use_session: Callable[[str], SimulatedSession | None]
    _callback_is_allowed: Callable[[str], bool]
    conduit_limit: int = 5
    ghosts: bool = False
    shards_answered_after: float = 0.0
    on_delete: list[Callable[[str], object]] = field(factory=list)
    on_callback: list[Callable[[str, SimulatedShard], object]] = field(factory=list)
    _conduits: dict[str, SimulatedConduit] = field(factory=dict, init=False)

    def create(self, body: bytes, query: Query) -> dict[str, object]:
        """
        Create Conduits. As in every call here, what belongs into the body can be in the query instead: the reference
        does not say so, but a library sends it there (TwitchIO).

        :raises Rejection: 400 or 429.
        """
        count = _count(_asked(body, query))
        self._lapse()
        if len(self._conduits) >= self.conduit_limit:
            raise Rejection(HTTPStatus.TOO_MANY_REQUESTS, "Conduit limit reached")
        conduit = SimulatedConduit(
            id=str(UUID(int=self._random.getrandbits(128), version=4)),
            shard_count=count,
            dark_since=self._clock.seconds(),
        )
        self._conduits[conduit.id] = conduit
        return {"data": [conduit.public()]}

    def update(self, body: bytes, query: Query) -> dict[str, object]:
        """
        Update Conduits: change the number of shards. Those that are too many are disabled.

        :raises Rejection: 400 or 404.
        """
        asked = _asked(body, query)
        conduit = self._found(_text(asked, "id"))
        conduit.shard_count = _count(asked)
        if not self.ghosts:
            for number in [each for each in conduit.shards if each >= conduit.shard_count]:
                del conduit.shards[number]
        self._look(conduit)
        return {"data": [conduit.public()]}

    def delete(self, conduit_id: str) -> None:
        """
        Delete Conduit; its subscriptions are disabled.

        :raises Rejection: 400 or 404.
        """
        if not conduit_id:
            raise Rejection(http.BAD_REQUEST, 'The parameter "id" is required')
        self._drop(self._found(conduit_id))

    def list(self) -> dict[str, object]:
        """
        Get Conduits.
        """
        self._lapse()
        return {"data": [each.public() for each in self._conduits.values()]}

    def shards(self, query: Query) -> dict[str, object]:
        """
        Get Conduit Shards.

        :raises Rejection: 400 or 404.
        """
        if not query.one("conduit_id"):
            raise Rejection(http.BAD_REQUEST, 'The parameter "conduit_id" is required')
        conduit, status = self._found(query.one("conduit_id")), query.one("status")
        shown = [shard for _, shard in sorted(conduit.shards.items()) if not status or shard.status == status]
        data, pagination = page(shown, _PER_PAGE, query.one("after"))
        return {"data": [each.public() for each in data], "pagination": pagination}

    def assign(self, body: bytes, query: Query) -> dict[str, object]:
        """
        Update Conduit Shards. What is wrong with one shard is in ``errors`` and does not keep others from success.

        :raises Rejection: 400 or 404.
        """
        asked = _asked(body, query)
        conduit_id, shards = _text(asked, "conduit_id"), asked.get("shards")
        if not isinstance(shards, list) or not shards:
            raise Rejection(http.BAD_REQUEST, 'Missing required parameter "shards"')
        if len(shards) > _MAX_AT_ONCE:
            raise Rejection(http.BAD_REQUEST, f"At most {_MAX_AT_ONCE} shards can be updated at once")
        for each in shards:
            if not (isinstance(each, dict) and isinstance(each.get("id"), str) and _transport_is_whole(each)):
                # This message was observed, with the empty name (github.com/twitchdev, issues 1200).
                raise Rejection(http.BAD_REQUEST, 'Missing required parameter ""')
        conduit = self._found(conduit_id)
        data, errors = [], []
        for each in shards:
            try:
                data.append(self._assign(conduit, each["id"], each["transport"]).public())
            except _Invalid as problem:
                errors.append({"id": each["id"], "message": str(problem), "code": _INVALID})
        self._look(conduit)
        return {"data": data, "errors": errors}

    def get(self, conduit_id: str) -> SimulatedConduit | None:
        """
        A conduit, unless it is gone.
        """
        self._lapse()
        return self._conduits.get(conduit_id)

    def __iter__(self) -> Any:
        self._lapse()
        return iter(list(self._conduits.values()))

    def route(self, conduit_id: str, channel_id: str) -> SimulatedShard | None:
        """
        Choose the shard for a message: by a hash of the channel's id; if that is disabled, one other.

        :return: ``None`` if both are disabled: then Twitch drops the message.
        """
        conduit = self.get(conduit_id)
        if conduit is None:
            return None
        first = shard_number(channel_id, conduit.shard_count)
        for number in dict.fromkeys((first, (first + 1) % conduit.shard_count)):
            shard = conduit.shards.get(number)
            if shard is not None and shard.status == ENABLED:
                return shard
        return None

    def shards_of(self, session_id: str) -> Sequence[tuple[str, str]]:
        """
        The conduits and shards that a session serves.
        """
        return [
            (conduit.id, shard.id)
            for conduit in self._conduits.values()
            for shard in conduit.shards.values()
            if shard.session_id == session_id and shard.status == ENABLED
        ]

    def session_ended(self, session_id: str, status: str) -> None:
        """
        Disable the shards of a session, with the reason.
        """
        now = rfc3339(self._clock.seconds())
        for conduit in self._conduits.values():
            for number, shard in conduit.shards.items():
                if shard.session_id == session_id and shard.status == ENABLED:
                    conduit.shards[number] = evolve(shard, status=status, disconnected_at=now)
            self._look(conduit)

    def set_shard_status(self, conduit_id: str, shard: SimulatedShard, status: str) -> None:
        """
        Change the status of a shard, unless it has been assigned to another transport since.
        """
        conduit = self._conduits.get(conduit_id)
        if conduit is None:
            return
        now = conduit.shards.get(int(shard.id))
        if now is not None and (now.callback, now.secret) == (shard.callback, shard.secret):
            conduit.shards[int(shard.id)] = evolve(now, status=status)
            self._look(conduit)

    def verified(self, conduit_id: str, shard: SimulatedShard, *, right: bool) -> None:
        """
        Enable a shard whose callback has answered its challenge, or note that it failed.
        """
        self.set_shard_status(conduit_id, shard, ENABLED if right else FAILED)

    def let_pass(self, seconds: float) -> None:
        """
        Treat conduits without an enabled shard as if so much more time had passed for them.
        """
        for each in self._conduits.values():
            if each.dark_since is not None:
                each.dark_since -= seconds
        self._lapse()

    def _assign(self, conduit: SimulatedConduit, shard_id: str, transport: Any) -> SimulatedShard:
        if not shard_id.isdecimal() or int(shard_id) >= conduit.shard_count:
            raise _Invalid("The shard id is outside the conduit's range")
        if transport["method"] == "websocket":
            session = self._use_session(transport["session_id"])
            if session is None:
                raise _Invalid("websocket transport session does not exist or has already disconnected")
            shard = SimulatedShard(
                id=shard_id, status=ENABLED, session_id=session.id, connected_at=session.connected_at
            )
        else:
            if not self._callback_is_allowed(transport["callback"]):
                raise _Invalid("callback must provide valid https callback with standard port")
            if not check_secret(transport["secret"]):
                raise _Invalid("The secret must be an ASCII string of 10 to 100 characters")
            shard = SimulatedShard(
                id=shard_id, status=PENDING, callback=transport["callback"], secret=transport["secret"]
            )
            for each in self.on_callback:
                each(conduit.id, shard)
        conduit.shards[int(shard_id)] = shard
        return shard

    def _found(self, conduit_id: str) -> SimulatedConduit:
        self._lapse()
        conduit = self._conduits.get(conduit_id)
        if conduit is None:
            # This message was observed (github.com/twitchdev, issues 940).
            raise Rejection(http.NOT_FOUND, "not found")
        return conduit

    def _look(self, conduit: SimulatedConduit) -> None:
        """
        Note since when a conduit has had no enabled shard.
        """
        lit = any(each.status == ENABLED for number, each in conduit.shards.items() if number < conduit.shard_count)
        if lit:
            conduit.dark_since = None
        elif conduit.dark_since is None:
            conduit.dark_since = self._clock.seconds()

    def _lapse(self) -> None:
        """
        Delete the conduits that have had no enabled shard for too long.
        """
        end = self._clock.seconds() - _PATIENCE
        for each in list(self._conduits.values()):
            if each.dark_since is not None and each.dark_since <= end:
                self._drop(each)

    def _drop(self, conduit: SimulatedConduit) -> None:
        del self._conduits[conduit.id]
        for told in self.on_delete:
            told(conduit.id)


class _Invalid(Exception):
    """
    What is wrong with one shard of an update.
    """


def _asked(body: bytes, query: Query) -> dict[str, Any]:
    try:
        asked = orjson.loads(body or b"{}")
    except ValueError:
        asked = None
    if not isinstance(asked, dict):
        raise Rejection(http.BAD_REQUEST, "The request body is not a JSON object")
    found: dict[str, Any] = {name: query.one(name) for name in ("id", "conduit_id") if query.one(name)}
    if query.one("shard_count").isdecimal():
        found["shard_count"] = int(query.one("shard_count"))
    return {**found, **asked}


def _text(asked: dict[str, Any], name: str) -> str:
    value = asked.get(name)
    if not isinstance(value, str) or not value:
        raise Rejection(http.BAD_REQUEST, f'Missing required parameter "{name}"')
    return value


def _count(asked: dict[str, Any]) -> int:
    count = asked.get("shard_count")
    if type(count) is not int or not 1 <= count <= _MAX_SHARDS:
        raise Rejection(http.BAD_REQUEST, f"The shard count must be a number from 1 to {_MAX_SHARDS}")
    return count


def _transport_is_whole(shard: dict[str, Any]) -> bool:
    match shard.get("transport"):
        case {"method": "websocket", "session_id": str(session_id)}:
            return bool(session_id)
        case {"method": "webhook", "callback": str(), "secret": str()}:
            return True
    return False
