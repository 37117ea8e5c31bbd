"""
A Mastodon server: posting, editing and deleting statuses.

Written after https://docs.joinmastodon.org and, for texts and headers, the source (``api/error_handling.rb``,
``rack_attack.rb``, ``rate_limiter.rb``, ``status_length_validator.rb``, ``account.rb``, ``tag.rb``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import parse_qs

from attrs import define, field

from itsjustintv.simulator.fakes.graphemes import graphemes
from itsjustintv.simulator.fakes.rate_limits import Quota
from itsjustintv.simulator.fakes.service import FakeAnswer, FakeRequest, FakeService, Ping, json_answer

__all__ = ["FakeMastodon"]

_VISIBILITIES = ("public", "unlisted", "private", "direct")

#: Seconds for which an Idempotency-Key is remembered.
_KEY_LASTS = 3600

_URL = re.compile(r"https?://[^\s<>\"]+", re.IGNORECASE)
_MENTION = re.compile(r"(?<![=/\w])@([a-z0-9_]+(?:[a-z0-9_.-]+[a-z0-9_]+)?)(@\w+(?:[.-]+\w+)*)?", re.IGNORECASE)
_TAG = re.compile(r"(?<![=/)\w])#(\w*[^\W\d_]\w*)")


class _Refused(Exception):
    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.answer = json_answer(status, {"error": error})


@define(eq=False, kw_only=True)
class FakeMastodon(FakeService):
    """
    Statuses of one account. The text alone decides whom it mentions and what it tags, as on the server.

    A message is the status as the API shows it, with its ``text``, ``mentions`` and ``tags``. Pings are ``user:NAME``
    of everyone a text names, ``tag:WORD`` of a public status, for those who follow the tag, and ``booster:NAME`` of an
    edit, for each in :attr:`boosters`. An edit notifies of new mentions only.

    :ivar tokens: the scopes of each access token.
    :ivar max_characters: of a status and its warning together; an address counts :attr:`per_url`.
    :ivar boosters: who boosted a status, by its id.
    """

    name: ClassVar[str] = "mastodon"

    account: str = "itsjustintv"
    tokens: dict[str, frozenset[str]] = field(
        factory=lambda: {"mastodon-token": frozenset(("read:accounts", "write:statuses"))}
    )
    max_characters: int = 500
    per_url: int = 23
    boosters: dict[str, list[str]] = field(factory=dict, init=False)
    #: By token.
    requests: Quota = field(factory=lambda: Quota(300, 300, aligned=True), init=False)
    #: By account.
    deletions: Quota = field(factory=lambda: Quota(30, 1800, aligned=True), init=False)
    statuses: Quota = field(factory=lambda: Quota(300, 3 * 3600, aligned=True), init=False)
    _keys: dict[str, tuple[str, float]] = field(factory=dict, init=False)
    _number: int = field(default=0, init=False)

    def endpoint(self, request: FakeRequest) -> str:
        """
        ``create``, ``edit``, ``delete``, ``show``, ``instance``, ``verify_credentials``; the method otherwise.
        """
        if request.path[2:3] == ("statuses",):
            return {"POST": "create", "PUT": "edit", "DELETE": "delete", "GET": "show"}.get(request.method, "")
        return request.path[-1] if request.path else request.method

    def answer(self, request: FakeRequest) -> FakeAnswer:
        headers: dict[str, str] = {}
        try:
            answer = self._answer(request, headers)
        except _Refused as refused:
            answer = refused.answer
        return FakeAnswer(answer.status, (*answer.headers, *headers.items()), answer.body)

    def boost(self, status: str, who: str) -> None:
        """
        Let a user boost a status.
        """
        self.boosters.setdefault(status, []).append(who)

    def length(self, text: str) -> int:
        """
        Count characters as the server does: an address is :attr:`per_url`, of a remote user only the name counts.
        """
        without = _URL.sub(lambda found: "x" * self.per_url + _trailing(found[0]), text)
        return len(graphemes(_MENTION.sub(lambda found: f"@{found[1]}", without)))

    def _answer(self, request: FakeRequest, headers: dict[str, str]) -> FakeAnswer:
        if (request.method, request.path) == ("GET", ("api", "v2", "instance")):
            return json_answer(200, self._instance())
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        self._spend(headers, self.requests, token if token in self.tokens else "address", request.at)
        match request.method, *request.path:
            case "GET", "api", "v1", "accounts", "verify_credentials":
                self._authorize(token, "read:accounts")
                return json_answer(200, {"id": "1", "username": self.account, "acct": self.account, "bot": True})
            case "POST", "api", "v1", "statuses":
                self._authorize(token, "write:statuses")
                return self._create(request, headers)
            case "GET", "api", "v1", "statuses", status:
                return json_answer(200, self._find(status))
            case "PUT", "api", "v1", "statuses", status:
                self._authorize(token, "write:statuses")
                return self._edit(request, status)
            case "DELETE", "api", "v1", "statuses", status:
                self._authorize(token, "write:statuses")
                self._spend(headers, self.deletions, self.account, request.at)
                return json_answer(200, self._delete(status))
        raise _Refused(404, "The page you are looking for isn't here.")

    def _instance(self) -> dict[str, Any]:
        limits = {"max_characters": self.max_characters, "characters_reserved_per_url": self.per_url}
        return {
            "domain": "mastodon.test",
            "title": "Mastodon",
            "version": "4.4.0",
            "configuration": {"statuses": {**limits, "max_media_attachments": 4}},
        }

    @staticmethod
    def _spend(headers: dict[str, str], quota: Quota, key: str, now: float) -> None:
        enough = quota.take(key, now)
        headers |= {
            "X-RateLimit-Limit": str(quota.limit),
            "X-RateLimit-Remaining": str(quota.remaining(key, now)),
            # Time#iso8601(6): not seconds.
            "X-RateLimit-Reset": f"{datetime.fromtimestamp(quota.reset(key, now), UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
        }
        if not enough:
            raise _Refused(429, "Too many requests")

    def _authorize(self, token: str, scope: str) -> None:
        if not token or token not in self.tokens:
            raise _Refused(401, "The access token is invalid")
        if not {scope, scope.partition(":")[0]} & self.tokens[token]:
            raise _Refused(403, "This action is outside the authorized scopes")

    def _create(self, request: FakeRequest, headers: dict[str, str]) -> FakeAnswer:
        key = request.headers.get("idempotency-key", "")
        known, until = self._keys.get(key, ("", 0.0))
        if known and request.at < until:
            return json_answer(200, self._find(known))
        given = _parameters(request)
        visibility = given.get("visibility") or "public"
        if visibility not in _VISIBILITIES:
            raise _Refused(422, "Validation failed: Visibility is not included in the list")
        text, warning = self._checked(given)
        self._spend(headers, self.statuses, self.account, request.at)
        self._number += 1
        identity = str(115_000_000_000_000_000 + self._number)
        url = f"https://mastodon.test/@{self.account}/{identity}"
        self.messages[identity] = {
            "id": identity,
            "url": url,
            "uri": f"https://mastodon.test/users/{self.account}/statuses/{identity}",
            "created_at": _iso(request.at),
            "edited_at": None,
            "visibility": visibility,
            "language": given.get("language"),
            "sensitive": _true(given.get("sensitive")),
            **self._content(text, warning),
        }
        if key:
            self._keys[key] = (identity, request.at + _KEY_LASTS)
        self._notify(identity, self.messages[identity]["mentions"], request.at)
        return json_answer(200, self.messages[identity])

    def _edit(self, request: FakeRequest, status: str) -> FakeAnswer:
        message = self._find(status)
        text, warning = self._checked(_parameters(request))
        before = message["mentions"]
        content = self._content(text, warning)
        if any(message[key] != content[key] for key in ("text", "spoiler_text")):
            message |= {**content, "edited_at": _iso(request.at)}
            self._notify(status, [each for each in message["mentions"] if each not in before], request.at, edit=True)
        return json_answer(200, message)

    def _delete(self, status: str) -> dict[str, Any]:
        found = self._find(status)
        del self.messages[status]
        return found

    def _find(self, status: str) -> dict[str, Any]:
        if status not in self.messages:
            raise _Refused(404, "Record not found")
        return self.messages[status]

    def _checked(self, given: Mapping[str, Any]) -> tuple[str, str]:
        """
        The text and the warning of a status.
        """
        text, warning = str(given.get("status") or ""), str(given.get("spoiler_text") or "")
        if given.get("media_ids"):
            raise _Refused(422, "Validation failed: this fake takes no media")
        if not text.strip() and not warning.strip():
            raise _Refused(422, "Validation failed: Text can't be blank")
        if self.length(warning + text) > self.max_characters:
            raise _Refused(422, f"Validation failed: Text character limit of {self.max_characters} exceeded")
        return text, warning

    def _content(self, text: str, warning: str) -> dict[str, Any]:
        # The server looks for neither inside an address.
        prose = _URL.sub(" ", text)
        return {
            "text": text,
            "spoiler_text": warning,
            "mentions": list(dict.fromkeys(f"{name}{server}" for name, server in _MENTION.findall(prose))),
            "tags": list(dict.fromkeys(each.lower() for each in _TAG.findall(prose))),
        }

    def _notify(self, status: str, mentions: list[str], now: float, *, edit: bool = False) -> None:
        message = self.messages[status]
        whom = [f"user:{each}" for each in mentions]
        if edit:
            whom += [f"booster:{each}" for each in self.boosters.get(status, ())]
        elif message["visibility"] == "public":
            whom += [f"tag:{each}" for each in message["tags"]]
        self.pings += [Ping(message=status, whom=each, at=now) for each in whom]


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _true(value: object) -> bool:
    return value is True or value in ("true", "1", "on")


def _trailing(url: str) -> str:
    """
    What stands at the end of an address and does not belong to it.
    """
    return url[len(url.rstrip(".,:;!?)'")) :]


def _parameters(request: FakeRequest) -> Mapping[str, Any]:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        form = parse_qs(request.body.decode("utf-8", "replace"), keep_blank_values=True)
        return {name.removesuffix("[]"): values if name.endswith("[]") else values[0] for name, values in form.items()}
    try:
        given = request.json
    except ValueError:
        raise _Refused(400, "Error occurred while parsing request parameters") from None
    return given if isinstance(given, dict) else {}
