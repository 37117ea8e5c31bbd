"""
A Matrix homeserver: the part of the client-server API (v1.11) that sends into rooms, as Synapse 1.163 answers.

What people see and who is notified follows the specification: an edit is an event that clients show in place of its
first event, and a message without ``m.mentions`` notifies whom its text names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import orjson
from attrs import define, field, frozen

from itsjustintv.simulator.fakes.service import FakeAnswer, FakeRequest, FakeService, Ping, json_answer

__all__ = ["FakeMatrix", "MatrixRoom"]

#: Bytes of an event as servers exchange it.
_LARGEST = 65_536
#: What an event has beside its content: ids, hashes, a signature. Measured with Synapse.
_ENVELOPE = 580

_LARGEST_INTEGER = 2**53 - 1


@frozen(kw_only=True)
class MatrixRoom:
    """
    A room of the server.

    :ivar members: display names, by user id.
    :ivar moderators: the members who may notify the whole room and redact what others wrote.
    """

    id: str
    alias: str = ""
    members: Mapping[str, str]
    moderators: frozenset[str] = frozenset()
    encrypted: bool = False


class _Refused(Exception):
    def __init__(self, status: int, code: str, error: str, **more: Any) -> None:
        super().__init__(error)
        self.answer = json_answer(status, {"errcode": code, "error": error, **more})


@define(eq=False, kw_only=True)
class FakeMatrix(FakeService):
    """
    Sending, editing and redacting; pings are ``room`` and ``user:ID``.

    A message has ``id``, ``room``, ``sender``, ``content`` as it is shown, ``edits``, and ``warned``: clients warn of
    it, as it is not encrypted in a room that is.

    :ivar tokens: user ids, by access token.
    :ivar burst: messages that a user may send at once; after that, :attr:`per_second` on average.
    :ivar wait_in_body: whether M_LIMIT_EXCEEDED has ``retry_after_ms``, which the specification deprecates.
    :ivar wait_in_header: whether it has ``Retry-After``, which older servers do not send.
    :ivar ignored: edits that clients do not show, by the reason.
    """

    name: ClassVar[str] = "matrix"

    tokens: dict[str, str] = field(factory=lambda: {"syt_token": "@itsjustintv:matrix.test"})
    rooms: dict[str, MatrixRoom] = field(
        factory=lambda: {
            "!lounge:matrix.test": MatrixRoom(
                id="!lounge:matrix.test",
                alias="#lounge:matrix.test",
                members={"@itsjustintv:matrix.test": "itsjustintv", "@ada:matrix.test": "Ada"},
            )
        }
    )
    burst: int = 10
    per_second: float = 0.2
    wait_in_body: bool = True
    wait_in_header: bool = True
    ignored: dict[str, str] = field(factory=dict, init=False)
    _events: dict[str, dict[str, Any]] = field(factory=dict, init=False)
    _transactions: dict[tuple[str, ...], str] = field(factory=dict, init=False)
    #: Messages of a user and since when they are counted (Synapse, ``api/ratelimiting.py``).
    _sent: dict[str, tuple[float, float]] = field(factory=dict, init=False)

    def endpoint(self, request: FakeRequest) -> str:
        """
        ``send``, ``redact``, ``state``, ``whoami``, ``directory``; the method otherwise.
        """
        known = ("send", "redact", "state", "whoami", "directory")
        return next((each for each in request.path if each in known), request.method)

    def answer(self, request: FakeRequest) -> FakeAnswer:
        try:
            return self._answer(request)
        except _Refused as refused:
            return refused.answer

    def redact(self, event: str) -> None:
        """
        Remove a message, as a moderator does.
        """
        self._events[event].setdefault("redacted_because", {"type": "m.room.redaction"})
        self.messages.pop(event, None)

    def _answer(self, request: FakeRequest) -> FakeAnswer:
        path = request.path
        if path == ("_matrix", "client", "versions"):
            return json_answer(200, {"versions": ["v1.10", "v1.11"]})
        if path[:3] != ("_matrix", "client", "v3"):
            raise _Refused(404, "M_UNRECOGNIZED", "Unrecognized request")
        return self._write(request, path[3:]) if request.method == "PUT" else self._read(request, path[3:])

    def _read(self, request: FakeRequest, path: tuple[str, ...]) -> FakeAnswer:
        match request.method, *path:
            case "GET", "directory", "room", alias:
                return self._alias(alias)
            case "GET", "account", "whoami":
                about = {"user_id": self._user(request), "is_guest": False, "device_id": "FAKEDEVICE"}
                return json_answer(200, about)
            case "GET", "joined_rooms":
                user = self._user(request)
                joined = [each.id for each in self.rooms.values() if user in each.members]
                return json_answer(200, {"joined_rooms": joined})
            case "GET", "rooms", room, "state", "m.room.encryption":
                return self._encryption(self._joined(self._user(request), room, ", and room previews are disabled"))
            case "GET", "rooms", room, "event", event:
                return self._event(self._joined(self._user(request), room), event)
        raise _Refused(404, "M_UNRECOGNIZED", "Unrecognized request")

    def _write(self, request: FakeRequest, path: tuple[str, ...]) -> FakeAnswer:
        match path:
            case "rooms", room, "send", kind, transaction:
                return self._send(request, room, kind, transaction)
            case "rooms", room, "redact", event, transaction:
                return self._redact(request, room, event, transaction)
        raise _Refused(404, "M_UNRECOGNIZED", "Unrecognized request")

    def _user(self, request: FakeRequest) -> str:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind != "Bearer" or not token:
            raise _Refused(401, "M_MISSING_TOKEN", "Missing access token")
        if token not in self.tokens:
            raise _Refused(401, "M_UNKNOWN_TOKEN", "Invalid access token passed.", soft_logout=False)
        return self.tokens[token]

    def _joined(self, user: str, room: str, more: str = "") -> MatrixRoom:
        there = self.rooms.get(room)
        if there is None or user not in there.members:
            raise _Refused(403, "M_FORBIDDEN", f"User {user} not in room {room}{more}")
        return there

    def _alias(self, alias: str) -> FakeAnswer:
        if not re.fullmatch(r"#[^:]+:.+", alias):
            raise _Refused(400, "M_INVALID_PARAM", "Room alias invalid")
        for each in self.rooms.values():
            if each.alias == alias:
                return json_answer(200, {"room_id": each.id, "servers": [each.id.partition(":")[2] or "matrix.test"]})
        raise _Refused(404, "M_NOT_FOUND", f"Room alias {alias} not found")

    @staticmethod
    def _encryption(room: MatrixRoom) -> FakeAnswer:
        if not room.encrypted:
            raise _Refused(404, "M_NOT_FOUND", "Event not found.")
        return json_answer(200, {"algorithm": "m.megolm.v1.aes-sha2"})

    def _event(self, room: MatrixRoom, event: str) -> FakeAnswer:
        there = self._events.get(event)
        if there is None or there["room_id"] != room.id:
            raise _Refused(404, "M_NOT_FOUND", "Event not found.")
        if "redacted_because" in there:
            there = {**there, "content": {}}
        return json_answer(200, there)

    def _send(self, request: FakeRequest, room: str, kind: str, transaction: str) -> FakeAnswer:
        user = self._user(request)
        key = (request.headers["authorization"], "send", room, kind, transaction)
        if key in self._transactions:
            return json_answer(200, {"event_id": self._transactions[key]})
        content = _content(request)
        if kind == "m.room.message":
            _check_message(content)
        there = self._joined(user, room)
        relation = content.get("m.relates_to")
        if isinstance(relation, dict) and "event_id" in relation:
            self._check_relation(there, relation["event_id"])
        self._count(user, request.at)
        if len(orjson.dumps(content)) + _ENVELOPE > _LARGEST:
            raise _Refused(413, "M_TOO_LARGE", "event too large")
        event = self._store(there, user, kind, content, request.at)
        self._transactions[key] = event
        self._show(there, user, event, content, request.at)
        return json_answer(200, {"event_id": event})

    def _redact(self, request: FakeRequest, room: str, event: str, transaction: str) -> FakeAnswer:
        user = self._user(request)
        key = (request.headers["authorization"], "redact", room, event, transaction)
        if key in self._transactions:
            return json_answer(200, {"event_id": self._transactions[key]})
        content = _content(request)
        there = self._joined(user, room)
        self._count(user, request.at)
        target = self._events.get(event)
        if target is not None and target["sender"] != user and user not in there.moderators:
            raise _Refused(403, "M_FORBIDDEN", "You don't have permission to redact events")
        redaction = self._store(there, user, "m.room.redaction", {**content, "redacts": event}, request.at)
        self._transactions[key] = redaction
        if target is not None and target["room_id"] == there.id:
            self.redact(event)
        return json_answer(200, {"event_id": redaction})

    def _check_relation(self, room: MatrixRoom, event: object) -> None:
        target = self._events.get(str(event))
        if target is None:
            raise _Refused(400, "M_UNKNOWN", "Can't send relation to unknown event")
        if target["room_id"] != room.id:
            raise _Refused(400, "M_UNKNOWN", "Relations must be in the same room")

    def _count(self, user: str, now: float) -> None:
        count, since = self._sent.get(user, (0.0, now))
        left = count - (now - since) * self.per_second
        if left < 0:
            count, since, left = 0.0, now, 0.0
        if left > self.burst - 1:
            wait = since + (count - self.burst + 1) / self.per_second - now
            raise self._limited(math.ceil(wait * 1000))
        self._sent[user] = (count + 1, since)

    def _limited(self, milliseconds: int) -> _Refused:
        more = {"retry_after_ms": milliseconds} if self.wait_in_body else {}
        refused = _Refused(429, "M_LIMIT_EXCEEDED", "Too Many Requests", **more)
        if self.wait_in_header:
            headers = (*refused.answer.headers, ("Retry-After", str(math.ceil(milliseconds / 1000))))
            refused.answer = FakeAnswer(429, headers, refused.answer.body)
        return refused

    def _store(self, room: MatrixRoom, user: str, kind: str, content: dict[str, Any], now: float) -> str:
        event = f"$event{len(self._events) + 1:037}"
        self._events[event] = {
            "event_id": event,
            "room_id": room.id,
            "sender": user,
            "type": kind,
            "content": content,
            "origin_server_ts": int(now * 1000),
        }
        return event

    def _show(self, room: MatrixRoom, user: str, event: str, content: dict[str, Any], now: float) -> None:
        """
        Show a message or an edit, and notify the others (client-server API, "Event replacements", "Push rules").
        """
        if self._events[event]["type"] != "m.room.message":
            return
        relation = content.get("m.relates_to")
        replaced = relation["event_id"] if isinstance(relation, dict) and _replaces(relation) else None
        self.pings += [Ping(message=replaced or event, whom=each, at=now) for each in _notified(room, user, content)]
        if replaced is None:
            self.messages[event] = {
                "id": event,
                "room": room.id,
                "sender": user,
                "content": content,
                "edits": 0,
                "warned": room.encrypted,
            }
            return
        problem = self._edit_problem(user, replaced, content)
        if problem:
            self.ignored[event] = problem
        elif replaced in self.messages:
            shown = self.messages[replaced]
            shown["content"] = content["m.new_content"]
            shown["edits"] += 1

    def _edit_problem(self, user: str, replaced: str, content: dict[str, Any]) -> str:
        target = self._events[replaced]
        relation = target["content"].get("m.relates_to")
        if not isinstance(content.get("m.new_content"), dict):
            return "it has no m.new_content"
        if target["sender"] != user:
            return "it edits what another user wrote"
        if target["type"] != "m.room.message":
            return "it edits an event of another type"
        return "it edits an edit" if isinstance(relation, dict) and _replaces(relation) else ""


def _replaces(relation: Mapping[str, Any]) -> bool:
    return relation.get("rel_type") == "m.replace" and "event_id" in relation


def _content(request: FakeRequest) -> dict[str, Any]:
    try:
        content = request.json
    except ValueError:
        raise _Refused(400, "M_NOT_JSON", "Content not JSON.") from None
    if not isinstance(content, dict):
        raise _Refused(400, "M_BAD_JSON", "Content must be a JSON object.")
    for value in _leaves(content):
        if isinstance(value, float):
            raise _Refused(400, "M_BAD_JSON", "Bad JSON value: float")
        if isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
            raise _Refused(400, "M_BAD_JSON", "JSON integer out of range")
    return content


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _leaves(each)
    else:
        yield value


def _check_message(content: Mapping[str, Any]) -> None:
    for key in ("body", "msgtype"):
        if key not in content:
            raise _Refused(400, "M_UNKNOWN", f"'{key}' not in content")
        if not isinstance(content[key], str):
            raise _Refused(400, "M_UNKNOWN", f"'{key}' not a string type")
    mentions = content.get("m.mentions", {})
    if not isinstance(mentions, dict):
        raise _Refused(400, "M_BAD_JSON", f"{mentions!r} is not of type 'object'")
    if not isinstance(mentions.get("room", False), bool):
        raise _Refused(400, "M_BAD_JSON", f"\"room\": {mentions['room']!r} is not of type 'boolean'")


def _notified(room: MatrixRoom, sender: str, content: Mapping[str, Any]) -> Iterator[str]:
    """
    Who is notified: of a notice no one; otherwise whom ``m.mentions`` lists, and without it whom the text names.
    """
    if content["msgtype"] == "m.notice":
        return
    mentions = content.get("m.mentions")
    others = {user: name for user, name in room.members.items() if user != sender}
    if mentions is not None:
        whole, named = mentions.get("room") is True, [user for user in others if user in mentions.get("user_ids", [])]
    else:
        text = content["body"]
        whole = _word("@room", text)
        named = [
            user
            for user, display in others.items()
            if _word(display, text) or _word(user.removeprefix("@").partition(":")[0], text)
        ]
    if whole and sender in room.moderators:
        yield "room"
    yield from (f"user:{user}" for user in named)


def _word(word: str, text: str) -> bool:
    """
    Whether a text has a word, in any case, that nothing else of a word adjoins.
    """
    return bool(word) and re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) is not None
