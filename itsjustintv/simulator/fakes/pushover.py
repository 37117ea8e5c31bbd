"""
Pushover's message API (https://pushover.net/api).

The errors of ``token``, ``user`` and the empty message have Pushover's texts. Those of the others are not known: they
have the same form, and a client should look at the status and at the keys alone.
"""

from __future__ import annotations

import binascii
import json
from base64 import b64decode
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, ClassVar
from urllib.parse import parse_qsl
from uuid import UUID

from attrs import define, field

from itsjustintv.simulator.fakes.service import FakeAnswer, FakeRequest, FakeService, Ping, json_answer

__all__ = ["FakePushover"]

#: Characters of each field.
_LENGTHS = {"message": 1024, "title": 250, "url": 512, "url_title": 100}
_LARGEST_ATTACHMENT = 5_242_880
_EMERGENCY = 2
#: The month of the quota begins at midnight there.
_CENTRAL = timezone(timedelta(hours=-6))

_ALERTS = {-2: "none", -1: "quiet", 0: "normal", 1: "high", 2: "emergency"}


@define(eq=False, kw_only=True)
class FakePushover(FakeService):
    """
    Messages have the fields as they were sent, ``alert`` and ``expires``. Nothing in a text notifies; the pings are
    ``user:KEY`` of messages that break through quiet hours: priorities 1 and 2.

    :ivar tokens: of applications.
    :ivar users: keys of users and groups, and the names of their devices.
    :ivar limit: messages of an application in a month.
    :ivar sent: how many there were this month.
    """

    name: ClassVar[str] = "pushover"

    tokens: set[str] = field(factory=lambda: {"azGDORePK8gMaC0QOYAMyEEuzJnyUi"})
    users: dict[str, tuple[str, ...]] = field(factory=lambda: {"uQiRzpo4DXghDmr9QzzfQu27cmVRsG": ("phone",)})
    limit: int = 10_000
    sent: int = 0
    _requests: int = field(default=0, init=False)
    _resets_at: float = field(default=0.0, init=False)

    def endpoint(self, request: FakeRequest) -> str:
        """
        ``messages``, ``validate``, ``limits``; the method otherwise.
        """
        known = request.path[-1].removesuffix(".json") if request.path else ""
        return known if known in ("messages", "validate", "limits") else request.method

    def answer(self, request: FakeRequest) -> FakeAnswer:
        self._pass_time(request.at)
        match request.method, request.path:
            case "POST", ("1", "messages.json"):
                return self._send(_parameters(request), request.at)
            case "POST", ("1", "users", "validate.json"):
                return self._validate(_parameters(request))
            case "GET", ("1", "apps", "limits.json"):
                return self._limits(request.query.get("token", ""))
        return json_answer(404, {"status": 0, "errors": ["resource not found"]})

    def _pass_time(self, now: float) -> None:
        for message in [each for each in self.messages.values() if each["expires"] and each["expires"] <= now]:
            del self.messages[message["id"]]
        if now >= self._resets_at:
            self.sent = 0
            self._resets_at = _next_month(now)

    @property
    def _quota(self) -> dict[str, str]:
        return {
            "X-Limit-App-Limit": str(self.limit),
            "X-Limit-App-Remaining": str(max(0, self.limit - self.sent)),
            "X-Limit-App-Reset": str(int(self._resets_at)),
        }

    def _answered(self, status: int, about: Mapping[str, Any], headers: Mapping[str, str] = {}) -> FakeAnswer:
        self._requests += 1
        return json_answer(
            status, {"status": int(status == 200), "request": str(UUID(int=self._requests)), **about}, headers
        )

    def _refused(self, status: int, key: str, value: str, error: str, headers: Mapping[str, str] = {}) -> FakeAnswer:
        return self._answered(status, {key: value, "errors": [error]} if key else {"errors": [error]}, headers)

    def _who_is_wrong(self, sent: Mapping[str, str]) -> FakeAnswer | None:
        if sent.get("token") not in self.tokens:
            return self._refused(400, "token", "invalid", "application token is invalid")
        if sent.get("user") not in self.users:
            error = "user identifier is not a valid user, group, or subscribed user key"
            return self._refused(400, "user", "invalid", error)
        return None

    def _validate(self, sent: Mapping[str, str]) -> FakeAnswer:
        return self._who_is_wrong(sent) or self._answered(200, {"devices": list(self.users[sent["user"]]), "group": 0})

    def _limits(self, token: str) -> FakeAnswer:
        if token not in self.tokens:
            return self._refused(400, "token", "invalid", "application token is invalid")
        left = max(0, self.limit - self.sent)
        return self._answered(200, {"limit": self.limit, "remaining": left, "reset": int(self._resets_at)})

    def _send(self, sent: Mapping[str, str], now: float) -> FakeAnswer:
        wrong = self._who_is_wrong(sent)
        if wrong is not None:
            return wrong
        for key, error in _problems(sent):
            return self._refused(400, key, error, f"{key} {error}")
        if self.sent >= self.limit:
            error = "application has exceeded its monthly message limit"
            return self._refused(429, "", "", error, self._quota)
        self.sent += 1
        priority = int(sent.get("priority", "0"))
        emergency = priority == _EMERGENCY
        answer = self._answered(200, {"receipt": f"r{self.sent:029}"} if emergency else {}, self._quota)
        identity = answer.json["request"]
        lasts = 0 if emergency else int(sent.get("ttl", "0"))
        public = {key: value for key, value in sent.items() if key != "token"}
        self.messages[identity] = {
            **public,
            "id": identity,
            "alert": _ALERTS[priority],
            "expires": now + lasts if lasts else 0,
        }
        if priority > 0:
            self.pings.append(Ping(message=identity, whom=f"user:{sent['user']}", at=now))
        return answer


def _next_month(now: float) -> float:
    day = datetime.fromtimestamp(now, UTC).astimezone(_CENTRAL).replace(day=1, hour=0, minute=0, second=0)
    return (day.replace(microsecond=0) + timedelta(days=32)).replace(day=1).timestamp()


def _parameters(request: FakeRequest) -> Mapping[str, str]:
    """
    The parameters, as text: of JSON only if the content type says so.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
    try:
        content = json.loads(request.body)
    except ValueError:
        return {}
    return {key: str(value) for key, value in content.items()} if isinstance(content, dict) else {}


def _problems(sent: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """
    What is wrong with a message: the parameter, and what follows its name in the error.
    """
    if not sent.get("message", "").strip():
        yield "message", "cannot be blank"
    for key, most in _LENGTHS.items():
        if len(sent.get(key, "")) > most:
            yield key, f"is too long (maximum is {most} characters)"
    priority = sent.get("priority", "0")
    if priority not in {str(each) for each in _ALERTS}:
        yield "priority", "is invalid"
    elif int(priority) == _EMERGENCY:
        yield from _emergency_problems(sent)
    for key in ("ttl", "timestamp"):
        if key in sent and not (sent[key].isascii() and sent[key].isdecimal() and int(sent[key]) > 0):
            yield key, "must be a positive number"
    if sent.get("html") == "1" and sent.get("monospace") == "1":
        yield "html", "cannot be used with monospace"
    if "attachment_base64" in sent:
        yield from _attachment_problems(sent)


def _emergency_problems(sent: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for key, least, most in (("retry", 30, None), ("expire", 1, 10_800)):
        value = sent.get(key, "")
        if not value.isdecimal():
            yield key, "must be supplied with emergency priority"
        elif int(value) < least:
            yield key, f"must be at least {least} seconds"
        elif most is not None and int(value) > most:
            yield key, f"must be at most {most} seconds"


def _attachment_problems(sent: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if not sent.get("attachment_type", "").startswith("image/"):
        yield "attachment_type", "must be the type of an image"
    try:
        size = len(b64decode(sent["attachment_base64"], validate=True))
    except binascii.Error:
        yield "attachment_base64", "is invalid"
    else:
        if size > _LARGEST_ATTACHMENT:
            yield "attachment", f"is too large (maximum is {_LARGEST_ATTACHMENT} bytes)"
