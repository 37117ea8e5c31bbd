"""
Gotify, as its server's source has it: messages by an application's token, deletion by a client's.
"""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from attrs import define, field

from itsjustintv.simulator.fakes.service import FakeAnswer, FakeRequest, FakeService, json_answer

__all__ = ["FakeGotify"]

_MISSING = "you need to provide a valid access token or user credentials to access this api"


class _BadBody(Exception):
    """
    The body is not what its Content-Type says, or a field has the wrong type.
    """


@define(eq=False, kw_only=True)
class FakeGotify(FakeService):
    """
    One server with one application, one client and one user. It has no limits, and its texts notify no one.

    :ivar app_name: stands for a title that is missing or blank.
    """

    name: ClassVar[str] = "gotify"

    app_token: str = field(default="AFakeAppToken.1")
    client_token: str = field(default="CFakeClientTok1")
    user: tuple[str, str] = ("admin", "fake")
    app_name: str = "itsjustintv"
    default_priority: int = 0
    _count: int = field(default=0, init=False)

    def answer(self, request: FakeRequest) -> FakeAnswer:
        match (request.method, *request.path):
            case ("POST", "message"):
                return self._create(request)
            case ("DELETE", "message", number):
                return self._delete(request, number)
            case ("GET", "version"):
                return json_answer(200, {"version": "2.9.1", "commit": "fake", "buildDate": "2026-07-24"})
            case ("GET", "health"):
                return json_answer(200, {"health": "green", "database": "green"})
        return _error(404, "page not found")

    def _create(self, request: FakeRequest) -> FakeAnswer:
        role = self._role(request)
        if not role:
            return _error(401, _MISSING)
        try:
            given = _read(request)
        except _BadBody as error:
            return _error(400, str(error))
        if not given.get("message"):
            return _error(400, "Field 'message' is required")
        if role != "app" and given.get("appid") != 1:
            known = "appid not found" if given.get("appid") else ""
            return _error(400, known or "appid is required when not authenticating with an application token")
        self._count += 1
        title = given.get("title") or ""
        message: dict[str, Any] = {
            "id": self._count,
            "appid": 1,
            "message": given["message"],
            "title": title if title.strip() else self.app_name,
            "priority": self.default_priority if given.get("priority") is None else given["priority"],
            "date": datetime.fromtimestamp(request.at, UTC).isoformat(),
        }
        if given.get("extras"):
            message["extras"] = given["extras"]
        self.messages[str(self._count)] = message
        return json_answer(200, message)

    def _delete(self, request: FakeRequest, number: str) -> FakeAnswer:
        if self._role(request) not in ("client", "user"):
            return _error(401, _MISSING)
        if not number.isdecimal():
            return _error(400, "invalid id")
        if self.messages.pop(number, None) is None:
            return _error(404, "message does not exist")
        return FakeAnswer(200)

    def _role(self, request: FakeRequest) -> str:
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        bearer = credentials if scheme.lower() == "bearer" else ""
        token = request.query.get("token") or request.headers.get("x-gotify-key") or bearer
        if token == self.app_token:
            return "app"
        if token == self.client_token:
            return "client"
        if scheme.lower() == "basic" and credentials == b64encode(":".join(self.user).encode()).decode():
            return "user"
        return ""


_FIELDS: dict[str, type] = {"message": str, "title": str, "priority": int, "extras": dict, "appid": int}


def _read(request: FakeRequest) -> dict[str, Any]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        form: dict[str, Any] = dict(parse_qsl(request.body.decode("utf-8", "replace")))
        if not form.get("priority", "0").removeprefix("-").isdecimal():
            raise _BadBody('strconv.ParseInt: parsing "priority": invalid syntax')
        numbers = {name: int(form[name]) for name in ("priority", "appid") if name in form}
        return {name: value for name, value in form.items() if name in ("message", "title")} | numbers
    if not request.body:
        raise _BadBody("EOF")
    try:
        given = request.json
    except ValueError:
        raise _BadBody("invalid character in the body") from None
    if not isinstance(given, dict):
        raise _BadBody(f"json: cannot unmarshal {type(given).__name__} into Go value of type model.CreateMessage")
    for name, wanted in _FIELDS.items():
        value = given.get(name)
        if value is not None and (not isinstance(value, wanted) or isinstance(value, bool)):
            raise _BadBody(
                f"json: cannot unmarshal into Go struct field CreateMessage.{name} of type {wanted.__name__}"
            )
    return given


def _error(status: int, description: str) -> FakeAnswer:
    body = {"error": HTTPStatus(status).phrase, "errorCode": status, "errorDescription": description}
    return json_answer(status, body)
