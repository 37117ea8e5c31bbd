"""
Helix's requests about conduits and their shards (dev.twitch.tv, API reference: "Create", "Get", "Update" and "Delete
Conduits", "Get" and "Update Conduit Shards"). Decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from attrs import define, frozen

from itsjustintv.errors import TwitchRejected, TwitchUnavailable
from itsjustintv.twitch.api.helix import Helix
from itsjustintv.twitch.json_fields import JSONFields

__all__ = [
    "MAX_CONDUITS",
    "SHARD_ENABLED",
    "Conduit",
    "ConduitGone",
    "ConduitsAPI",
    "Shard",
    "TooManyConduits",
    "current_shards",
]

SHARD_ENABLED = "enabled"

#: Conduits that a client id can have (dev.twitch.tv, "Handling Conduit Events").
MAX_CONDUITS = 5

_CONDUITS = "/eventsub/conduits"
_SHARDS = "/eventsub/conduits/shards"


@frozen(kw_only=True)
class Conduit:
    """
    One conduit.

    :ivar shard_count: its shards are called ``0`` to ``shard_count - 1``.
    """

    id: str
    shard_count: int


@frozen(kw_only=True)
class Shard:
    """
    One shard of a conduit. What Twitch does not say is empty.

    :ivar status: :data:`SHARD_ENABLED`, or why it gets no messages.
    :ivar session_id: of the WebSocket that it sends to; empty when it sends elsewhere or nowhere.
    :ivar method: ``websocket`` or ``webhook``.
    """

    id: str
    status: str
    session_id: str = ""
    method: str = ""


def current_shards(conduit: Conduit, listed: Sequence[Shard]) -> Sequence[Shard]:
    """
    Leave out the shards of an earlier size, which Twitch may still list.
    """
    return [each for each in listed if each.id.isdecimal() and int(each.id) < conduit.shard_count]


class ConduitGone(TwitchRejected):
    """
    There is no such conduit: Twitch deletes one whose shards were all disabled for 72 hours.
    """


class TooManyConduits(TwitchRejected):
    """
    The client id has as many conduits as Twitch allows: one must be deleted. Waiting does not help.
    """


@define(eq=False)
class ConduitsAPI:
    """
    Lists, creates, resizes and deletes conduits, and assigns their shards.

    Every method raises :class:`~itsjustintv.errors.TwitchUnavailable` for what is worth another try, and
    :class:`~itsjustintv.errors.TwitchRejected` for what is not.
    """

    _helix: Helix

    async def list(self) -> Sequence[Conduit]:
        """
        Fetch all conduits of the client id, whichever program created them.
        """
        return _conduits(await self._helix.call("GET", _CONDUITS), f"GET {_CONDUITS}")

    async def create(self, shard_count: int) -> Conduit:
        """
        :raises TooManyConduits: there are as many as Twitch allows.
        """
        try:
            content = await self._helix.call("POST", _CONDUITS, content={"shard_count": shard_count})
        except TwitchRejected as error:
            # The other 429 is waited out by Helix, and ends as TwitchUnavailable.
            if error.status == HTTPStatus.TOO_MANY_REQUESTS:
                raise TooManyConduits(str(error), error.status, error.body) from None
            raise
        return _one(content, f"POST {_CONDUITS}")

    async def resize(self, conduit_id: str, shard_count: int) -> Conduit:
        """
        :raises ConduitGone: there is no such conduit.
        """
        content = {"id": conduit_id, "shard_count": shard_count}
        return _one(await self._call("PATCH", _CONDUITS, content=content), f"PATCH {_CONDUITS}")

    async def delete(self, conduit_id: str) -> None:
        """
        Delete a conduit, and with it its subscriptions; one that does not exist is no error.
        """
        try:
            await self._call("DELETE", _CONDUITS, params=[("id", conduit_id)])
        except ConduitGone:
            return

    async def shards(self, conduit_id: str) -> Sequence[Shard]:
        """
        Fetch every page of shards. Some may be left of an earlier size: their ids are not below the count.

        :raises ConduitGone: there is no such conduit.
        """
        found: dict[str, Shard] = {}
        cursor, seen = "", set[str]()
        while True:
            params = [("conduit_id", conduit_id), *([("after", cursor)] if cursor else [])]
            content = JSONFields.of(await self._call("GET", _SHARDS, params=params))
            found.update((each.id, each) for each in map(_shard, _data(content, f"GET {_SHARDS}")))
            cursor = content.object("pagination").text("cursor")
            if not cursor:
                return tuple(found.values())
            if cursor in seen:
                raise TwitchUnavailable(f"GET {_SHARDS}: the list of pages does not end")
            seen.add(cursor)

    async def assign(self, conduit_id: str, sessions: Mapping[str, str]) -> Mapping[str, str]:
        """
        Let shards send to WebSockets, at most a hundred.

        :param sessions: ids of sessions by the ids of shards.
        :return: why a shard was not assigned, by its id; the call succeeds although some were not.
        :raises ConduitGone: there is no such conduit.
        """
        shards = [
            {"id": shard, "transport": {"method": "websocket", "session_id": session}}
            for shard, session in sessions.items()
        ]
        answer = await self._call("PATCH", _SHARDS, content={"conduit_id": conduit_id, "shards": shards})
        errors = JSONFields.of(answer).value("errors")
        faults = [JSONFields.of(each) for each in errors] if isinstance(errors, list) else []
        return {each.text("id"): each.text("message") or each.text("code") or "without a reason" for each in faults}

    async def _call(self, method: str, path: str, **more: Any) -> Any:
        try:
            return await self._helix.call(method, path, **more)
        except TwitchRejected as error:
            if error.status == HTTPStatus.NOT_FOUND:
                raise ConduitGone(str(error), error.status, error.body) from None
            raise


def _data(content: JSONFields, what: str) -> Sequence[JSONFields]:
    data = content.value("data")
    if not isinstance(data, list):
        raise TwitchUnavailable(f"{what}: the answer has no data")
    return [JSONFields(each) for each in data if isinstance(each, dict)]


def _conduits(content: Any, what: str) -> Sequence[Conduit]:
    return [
        Conduit(id=each.text("id"), shard_count=each.count("shard_count") or 0)
        for each in _data(JSONFields.of(content), what)
        if each.text("id")
    ]


def _one(content: Any, what: str) -> Conduit:
    for each in _conduits(content, what):
        return each
    raise TwitchUnavailable(f"{what}: the answer has no conduit")


def _shard(fields: JSONFields) -> Shard:
    transport = fields.object("transport")
    return Shard(
        id=fields.text("id"),
        status=fields.text("status"),
        session_id=transport.text("session_id"),
        method=transport.text("method"),
    )
