"""
ntfy, as its server's source has it: notes as JSON or by headers, with and without sequences, and numbered errors.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from posixpath import basename
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

import orjson
from attrs import define, field, frozen

from itsjustintv.simulator.fakes.rate_limits import TokenBucket
from itsjustintv.simulator.fakes.service import FakeAnswer, FakeRequest, FakeService, json_answer

__all__ = ["JSON_LIMIT", "MESSAGE_LIMIT", "FakeNtfy"]

#: Bytes of a message. The server reads up to here, and takes what is as long as this or longer for a file.
MESSAGE_LIMIT: Final = 4096

#: Bytes of a body of JSON, at which it is too large.
JSON_LIMIT: Final = 2 * MESSAGE_LIMIT

_ACTIONS = 3
_FILE_LIMIT = 15 << 20
_DAY = 86_400
_NAME = re.compile(r"[-_A-Za-z0-9]{1,64}")
_RESERVED = ("docs", "static", "file", "app", "metrics", "account", "settings", "signup", "login", "v1")
_PRIORITIES = {
    "": 0,
    "min": 1,
    "low": 2,
    "default": 3,
    "high": 4,
    "max": 5,
    "urgent": 5,
    **{str(n): n for n in range(1, 6)},
}

#: The fields of a body of JSON, each with its type and the header that it stands for.
_FIELDS: Final[Mapping[str, tuple[type, str]]] = {
    "topic": (str, ""),
    "message": (str, ""),
    "title": (str, "x-title"),
    "priority": (int, "x-priority"),
    "tags": (list, "x-tags"),
    "attach": (str, "x-attach"),
    "filename": (str, "x-filename"),
    "click": (str, "x-click"),
    "icon": (str, "x-icon"),
    "markdown": (bool, "x-markdown"),
    "actions": (list, "x-actions"),
    "delay": (str, "x-delay"),
    "sequence_id": (str, "x-sequence-id"),
}

#: By code: text, and the part of the documentation that explains it.
_ERRORS: Final[Mapping[int, tuple[str, str]]] = {
    40004: ("invalid delay parameter: unable to parse delay", "publish/#scheduled-delivery"),
    40007: ("invalid priority parameter", "publish/#message-priority"),
    40009: ("invalid request: topic invalid", ""),
    40010: ("invalid request: topic name is not allowed", ""),
    40011: ("invalid request: message must be UTF-8 encoded", ""),
    40013: ("invalid request: attachment URL is invalid", "publish/#attachments"),
    40014: ("invalid request: attachments not allowed", "config/#attachments"),
    40018: ("invalid request: actions invalid", "publish/#action-buttons"),
    40021: ("invalid request: icon URL is invalid", "publish/#icons"),
    40024: ("invalid request: request body must be valid JSON", ""),
    40049: ("invalid request: sequence ID invalid", "publish/#updating-deleting-notifications"),
    40101: ("unauthorized", "publish/#authentication"),
    40301: ("forbidden", "publish/#authentication"),
    40401: ("page not found", ""),
    41301: ("attachment too large, or bandwidth limit reached", "publish/#limitations"),
    41303: ("JSON body too large", ""),
    42901: ("limit reached: too many requests", "publish/#limitations"),
    42908: ("limit reached: daily message quota reached", "publish/#limitations"),
    42909: ("limit reached: too many auth failures", "publish/#limitations"),
}


class _Failed(Exception):
    """
    A request ends with a numbered error.
    """

    def __init__(self, code: int, detail: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail


@define(eq=False, kw_only=True)
class FakeNtfy(FakeService):
    """
    One server. A note has the key ``TOPIC/SEQUENCE``, or ``TOPIC/ID`` without a sequence. No text notifies a user by
    name.

    :ivar sequences: whether the server can change and remove notes, as those from 2.16 on can.
    :ivar attachments: whether files may be attached.
    :ivar protected: topics for which an account is needed.
    :ivar daily_limit: messages until midnight, UTC.
    :ivar files: what was attached, by the id of the note.
    """

    name: ClassVar[str] = "ntfy"

    sequences: bool = True
    attachments: bool = True
    protected: set[str] = field(factory=set)
    token: str = field(default="tk_fakefakefakefakefakefakefake")
    user: tuple[str, str] = ("announcer", "fake")
    daily_limit: int = 250
    requests: TokenBucket = field(factory=lambda: TokenBucket(60, 5.0))
    auth_failures: TokenBucket = field(factory=lambda: TokenBucket(30, 60.0))
    files: dict[str, bytes] = field(factory=dict, init=False)
    _count: int = field(default=0, init=False)
    _today: tuple[int, int] = field(default=(0, 0), init=False)

    def answer(self, request: FakeRequest) -> FakeAnswer:
        try:
            known = self._authenticate(request)
            return json_answer(200, self._route(request, known=known))
        except _Failed as failed:
            text, link = _ERRORS[failed.code]
            text = f"{text}; {failed.detail}" if failed.detail else text
            body: dict[str, Any] = {"code": failed.code, "http": failed.code // 100, "error": text}
            if link:
                body["link"] = f"https://ntfy.sh/docs/{link}"
            return json_answer(failed.code // 100, body)

    def _route(self, request: FakeRequest, *, known: bool) -> dict[str, Any]:
        match (request.method, *request.path):
            case ("GET", "v1", "health"):
                return {"healthy": True}
            case ("GET", topic, "auth") if _NAME.fullmatch(topic):
                self._admit(topic, request, known=known)
                return {"success": True}
            case ("POST" | "PUT",):
                return self._publish_json(request, known=known)
            case ("POST" | "PUT", topic) if _NAME.fullmatch(topic):
                self._admit(topic, request, known=known)
                return self._publish(topic, _Parameters.read(request), request)
            case (method, topic, sequence, *rest) if self.sequences and _NAME.fullmatch(topic):
                return self._route_sequence(method, topic, sequence, rest, request, known=known)
        raise _Failed(40401)

    def _route_sequence(
        self, method: str, topic: str, sequence: str, rest: Sequence[str], request: FakeRequest, *, known: bool
    ) -> dict[str, Any]:
        if not _NAME.fullmatch(sequence):
            raise _Failed(40401)
        if method in ("POST", "PUT") and not rest:
            self._admit(topic, request, known=known)
            return self._publish(topic, _Parameters.read(request), request, sequence)
        if (method, list(rest)) not in (("DELETE", []), ("PUT", ["clear"]), ("PUT", ["read"])):
            raise _Failed(40401)
        self._admit(topic, request, known=known)
        self.messages.pop(f"{topic}/{sequence}", None)
        event = "message_delete" if method == "DELETE" else "message_clear"
        return {**self._identify(request), "event": event, "topic": topic, "sequence_id": sequence}

    def _publish_json(self, request: FakeRequest, *, known: bool) -> dict[str, Any]:
        if len(request.body) >= JSON_LIMIT:
            raise _Failed(41303)
        given = _read_json(request)
        topic = given.get("topic") or ""
        if not _NAME.fullmatch(topic):
            raise _Failed(40009)
        self._admit(topic, request, known=known)
        values = {
            header: _to_header(given[name]) for name, (_, header) in _FIELDS.items() if header and given.get(name)
        }
        message = (given.get("message") or "triggered").encode("utf-8", "surrogatepass")
        return self._publish(topic, _Parameters(values=values, body=message), request)

    def _publish(self, topic: str, given: _Parameters, request: FakeRequest, sequence: str = "") -> dict[str, Any]:
        if self.sequences and not sequence:
            sequence = given.text("x-sequence-id", "sequence-id", "sid")
            if sequence and not _NAME.fullmatch(sequence):
                raise _Failed(40049)
        note = {**self._identify(request), "event": "message", "topic": topic, **given.describe()}
        self._count_message(request.at)
        note = {name: value for name, value in note.items() if value} | {"expires": note["time"] + 43_200}
        self._add_body(note, given.body)
        if sequence:
            note["sequence_id"] = sequence
        self.messages[f"{topic}/{sequence or note['id']}"] = note
        return note

    def _identify(self, request: FakeRequest) -> dict[str, Any]:
        self._count += 1
        return {"id": f"fake{self._count:08d}", "time": int(request.at)}

    def _add_body(self, note: dict[str, Any], body: bytes) -> None:
        """
        Take the body for a message, or for a file if it is long or has a name.
        """
        attached = note.get("attachment") or {}
        if "url" not in attached and (attached or len(body) >= MESSAGE_LIMIT or not _is_utf8(body)):
            self._attach(note, body)
            return
        message = body[:MESSAGE_LIMIT]
        if not _is_utf8(message):
            raise _Failed(40011)
        if message:
            note["message"] = message.decode().strip()
        if not note.get("message"):
            note["message"] = f"You received a file: {attached['name']}" if attached else "triggered"

    def _attach(self, note: dict[str, Any], body: bytes) -> None:
        if not self.attachments:
            raise _Failed(40014)
        if len(body) > _FILE_LIMIT:
            raise _Failed(41301)
        extension = ".txt" if _is_utf8(body) else ".bin"
        attached = note.setdefault("attachment", {})
        attached.setdefault("name", f"attachment{extension}")
        attached |= {"url": f"https://ntfy.example.net/file/{note['id']}{extension}", "size": len(body)}
        self.files[note["id"]] = body
        if not note.get("message"):
            note["message"] = f"You received a file: {attached['name']}"

    def _authenticate(self, request: FakeRequest) -> bool:
        """
        Whether the request has valid credentials; wrong ones are an error even where none are needed.
        """
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() not in ("basic", "bearer"):
            return False
        basic = b64encode(":".join(self.user).encode()).decode()
        right = credentials == (basic if scheme.lower() == "basic" else self.token)
        if not right:
            raise _Failed(40101 if self.auth_failures.take(request.at) else 42909)
        return True

    def _admit(self, topic: str, request: FakeRequest, *, known: bool) -> None:
        if topic in _RESERVED:
            raise _Failed(40010)
        if not self.requests.take(request.at):
            raise _Failed(42901)
        if topic in self.protected and not known:
            raise _Failed(40301)

    def _count_message(self, now: float) -> None:
        day, count = self._today
        if day != int(now // _DAY):
            day, count = int(now // _DAY), 0
        if count >= self.daily_limit:
            raise _Failed(42908)
        self._today = (day, count + 1)


@frozen(kw_only=True)
class _Parameters:
    """
    What a note is made of, by the names of headers, whichever way it came.
    """

    values: Mapping[str, str]
    body: bytes = field(repr=False)

    @classmethod
    def read(cls, request: FakeRequest) -> _Parameters:
        headers = {name: _decode(value) for name, value in request.headers.items()}
        return cls(values={**request.query, **headers}, body=request.body)

    def text(self, *names: str) -> str:
        return next((value for name in names if (value := self.values.get(name, "").strip())), "")

    def describe(self) -> dict[str, Any]:
        """
        :raises _Failed: a value is not one that the server takes.
        """
        attachment: dict[str, Any] = {}
        if name := self.text("x-filename", "filename", "file", "f"):
            attachment["name"] = name
        if url := self.text("x-attach", "attach", "a"):
            if not re.match(r"https?://", url):
                raise _Failed(40013)
            attachment = {"name": basename(urlsplit(url).path) or "attachment", **attachment, "url": url}
        icon = self.text("x-icon", "icon")
        if icon and not re.match(r"https?://", icon):
            raise _Failed(40021)
        priority = self.text("x-priority", "priority", "prio", "p").lower()
        if priority not in _PRIORITIES:
            raise _Failed(40007)
        markdown = self.text("x-markdown", "markdown", "md").lower() in ("1", "yes", "true")
        return {
            "title": self.text("x-title", "title", "t"),
            "message": self.text("x-message", "message", "m").replace("\\n", "\n"),
            "priority": _PRIORITIES[priority],
            "tags": [each.strip() for each in self.text("x-tags", "tags", "tag", "ta").split(",") if each],
            "click": self.text("x-click", "click"),
            "icon": icon,
            "attachment": attachment,
            "actions": _read_actions(self.text("x-actions", "actions", "action")),
            "content_type": "text/markdown" if markdown else "",
        }


def _read_json(request: FakeRequest) -> dict[str, Any]:
    try:
        given = request.json
    except ValueError:
        raise _Failed(40024) from None
    if not isinstance(given, dict):
        raise _Failed(40024)
    for name, (wanted, _) in _FIELDS.items():
        value = given.get(name)
        right = isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool))
        if value is not None and not right:
            raise _Failed(40024)
    if not all(isinstance(tag, str) for tag in given.get("tags") or ()):
        raise _Failed(40024)
    return given


def _to_header(value: Any) -> str:
    if value is True:
        return "yes"
    if isinstance(value, list):
        return ",".join(value) if isinstance(value[0], str) else orjson.dumps(value).decode()
    return str(value)


def _decode(value: str) -> str:
    """
    Decode the words of RFC 2047 in a header; what is none stays as its bytes are in Latin-1.
    """
    if "=?" not in value:
        return value
    try:
        return str(make_header(decode_header(value)))
    except (HeaderParseError, LookupError, ValueError):
        return value


def _read_actions(text: str) -> list[dict[str, Any]]:
    if not text:
        return []
    actions = (
        _read_action_list(text) if text.startswith("[") else [_read_short_action(each) for each in text.split(";")]
    )
    if len(actions) > _ACTIONS:
        raise _Failed(40018, f"only {_ACTIONS} actions allowed")
    for action in actions:
        kind = str(action.get("action", "")).lower()
        if kind not in ("view", "broadcast", "http"):
            raise _Failed(40018, f"parameter 'action' cannot be '{kind}'")
        if not action.get("label"):
            raise _Failed(40018, "parameter 'label' is required")
        if kind != "broadcast" and not action.get("url"):
            raise _Failed(40018, f"parameter 'url' is required for action '{kind}'")
    return [{"clear": False, **action, "action": str(action["action"]).lower()} for action in actions]


def _read_action_list(text: str) -> list[dict[str, Any]]:
    try:
        actions = orjson.loads(text)
    except ValueError:
        raise _Failed(40018, "JSON error") from None
    if not all(isinstance(action, dict) for action in actions):
        raise _Failed(40018, "JSON error")
    return list(actions)


def _read_short_action(text: str) -> dict[str, Any]:
    parts = [part.strip().removeprefix('"').removesuffix('"') for part in text.split(",")]
    return dict(zip(("action", "label", "url"), parts, strict=False))


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True
