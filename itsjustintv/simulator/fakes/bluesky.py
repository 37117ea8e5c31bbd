"""
A personal data server of Bluesky's network, and what the app makes of its posts.

Written after https://docs.bsky.app, https://atproto.com/specs and the server's source (``packages/pds``, 2026).
"""

from __future__ import annotations

import re
from base64 import b32encode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any, ClassVar, Literal

import orjson
from attrs import define, field, frozen

from itsjustintv.simulator.fakes.lexicon import COLLECTION, problem_of_post
from itsjustintv.simulator.fakes.rate_limits import Quota
from itsjustintv.simulator.fakes.service import FakeAnswer, FakeRequest, FakeService, Ping, json_answer

__all__ = ["BlueskyAccount", "FakeBluesky"]

#: Seconds that tokens last, and that an old refresh token still works after its successor was given.
_ACCESS = 2 * 3600
_REFRESH = 90 * 24 * 3600
_GRACE = 2 * 3600

#: Bytes of a picture in a card, and of any upload.
_LARGEST_THUMB = 1_000_000
_LARGEST_BLOB = 5 * 1024 * 1024

_TID = re.compile(r"[234567abcdefghij][234567abcdefghijklmnopqrstuvwxyz]{12}")
_MENTION = "app.bsky.richtext.facet#mention"
_LINK = "app.bsky.richtext.facet#link"


@frozen(kw_only=True)
class BlueskyAccount:
    """
    An account of the server.

    :ivar password: an app password.
    """

    did: str
    handle: str
    password: str = field(repr=False)


class _Refused(Exception):
    def __init__(self, status: int, error: str, message: str, headers: Mapping[str, str] = {}) -> None:
        super().__init__(message)
        self.answer = json_answer(status, {"error": error, "message": message}, headers)


@define(eq=False)
class _Session:
    """
    What a refresh token opens.

    :ivar until: when it ends.
    :ivar successor: the token that replaced it.
    """

    account: BlueskyAccount
    until: float
    successor: str = ""


@define(eq=False, kw_only=True)
class FakeBluesky(FakeService):
    """
    Sessions and posts; the pings are ``user:DID``, by facets of new posts alone.

    A message has ``uri``, ``record`` as it is stored, ``text`` as the app shows it, which later edits do not change,
    ``links``: addresses by the text that they underlie, ``broken``: facets that the app does not show, and ``card``.

    :ivar blobs: what was uploaded, by its CID.
    """

    name: ClassVar[str] = "bluesky"

    accounts: list[BlueskyAccount] = field(
        factory=lambda: [
            BlueskyAccount(
                did="did:plc:ewvi7nxzyoun6zhxrhs64oiz",
                handle="itsjustintv.test",
                password="abcd-efgh-ijkl-mnop",  # noqa: S106 - of a fake
            )
        ]
    )
    blobs: dict[str, tuple[str, bytes]] = field(factory=dict, init=False)
    #: By network address.
    requests: Quota = field(factory=lambda: Quota(3000, 300), init=False)
    #: By what the client calls itself when it logs in.
    logins: Quota = field(factory=lambda: Quota(30, 300), init=False)
    logins_of_day: Quota = field(factory=lambda: Quota(300, 86_400), init=False)
    #: By account: an update or ``putRecord`` is 2 points, a deletion 1.
    points_of_hour: Quota = field(factory=lambda: Quota(5000, 3600), init=False)
    points_of_day: Quota = field(factory=lambda: Quota(35_000, 86_400), init=False)
    _access: dict[str, tuple[BlueskyAccount, float]] = field(factory=dict, init=False)
    _sessions: dict[str, _Session] = field(factory=dict, init=False)
    _tokens: int = field(default=0, init=False)

    def endpoint(self, request: FakeRequest) -> str:
        """
        The last part of the method's name, such as ``putRecord``.
        """
        return request.path[-1].rpartition(".")[2] if request.path else request.method

    def answer(self, request: FakeRequest) -> FakeAnswer:
        headers: dict[str, str] = {}
        try:
            self._spend(headers, request.at, "client", 1, self.requests)
            answer = self._answer(request, headers)
        except _Refused as refused:
            answer = refused.answer
        return FakeAnswer(answer.status, (*answer.headers, *headers.items()), answer.body)

    def expire(self) -> None:
        """
        Let every access token end now; refresh tokens stay.
        """
        self._access = {token: (account, 0.0) for token, (account, _until) in self._access.items()}

    def _answer(self, request: FakeRequest, headers: dict[str, str]) -> FakeAnswer:
        method = request.path[-1] if request.path[:1] == ("xrpc",) and len(request.path) == 2 else ""
        match request.method, method.removeprefix("com.atproto."):
            case "POST", "server.createSession":
                return self._create_session(request, headers)
            case "POST", "server.refreshSession":
                return self._refresh_session(request)
            case "GET", "server.getSession":
                account = self._account(request)
                return json_answer(200, {"did": account.did, "handle": account.handle, "active": True})
            case "POST", _:
                return self._write(request, method, headers)
            case "GET", "repo.getRecord":
                return self._get(request.query)
        raise _Refused(501, "MethodNotImplemented", "Method Not Implemented")

    def _write(self, request: FakeRequest, method: str, headers: dict[str, str]) -> FakeAnswer:
        match method.removeprefix("com.atproto."):
            case "repo.putRecord":
                return self._put(self._account(request), _input(request, "repo", "collection", "rkey", "record"),
                                 request.at, headers)  # fmt: skip
            case "repo.deleteRecord":
                return self._delete(self._account(request), _input(request, "repo", "collection", "rkey"),
                                    request.at, headers)  # fmt: skip
            case "repo.uploadBlob":
                self._account(request)
                return self._upload(request)
        raise _Refused(501, "MethodNotImplemented", "Method Not Implemented")

    def _spend(self, headers: dict[str, str], now: float, key: str, points: int, *quotas: Quota) -> None:
        """
        Count points, and let the headers tell of the quota that is nearest to its end.
        """
        results = [(quota.take(key, now, points), quota) for quota in quotas]
        if any(not taken for taken, _quota in results):
            nearest = next(quota for taken, quota in results if not taken)
        else:
            nearest = min(quotas, key=lambda each: each.remaining(key, now))
        headers |= {
            "RateLimit-Limit": str(nearest.limit),
            "RateLimit-Remaining": str(nearest.remaining(key, now)),
            "RateLimit-Reset": str(int(nearest.reset(key, now))),
            "RateLimit-Policy": f"{nearest.limit};w={nearest.seconds}",
        }
        if not all(taken for taken, _quota in results):
            raise _Refused(429, "RateLimitExceeded", "Rate Limit Exceeded")

    def _create_session(self, request: FakeRequest, headers: dict[str, str]) -> FakeAnswer:
        given = _input(request, "identifier", "password")
        name = str(given["identifier"]).lower()
        self._spend(headers, request.at, name, 1, self.logins_of_day, self.logins)
        for account in self.accounts:
            if name in (account.handle, account.did) and given["password"] == account.password:
                return json_answer(200, self._new_session(account, request.at))
        raise _Refused(401, "AuthenticationRequired", "Invalid identifier or password")

    def _refresh_session(self, request: FakeRequest) -> FakeAnswer:
        token = _bearer(request)
        if token in self._access:
            raise _Refused(400, "InvalidToken", "Bad token scope")
        session = self._sessions.get(token)
        if session is None:
            raise _Refused(400, "InvalidToken", "Token could not be verified")
        if request.at >= session.until:
            raise _Refused(400, "ExpiredToken", "Token has been revoked" if session.successor else "Token has expired")
        about = self._new_session(session.account, request.at)
        session.until = min(session.until, request.at + _GRACE)
        session.successor = about["refreshJwt"]
        return json_answer(200, about)

    def _new_session(self, account: BlueskyAccount, now: float) -> dict[str, Any]:
        access, refresh = (self._token(kind, account, now) for kind in ("access", "refresh"))
        self._access[access] = (account, now + _ACCESS)
        self._sessions[refresh] = _Session(account, now + _REFRESH)
        return {
            "did": account.did,
            "handle": account.handle,
            "accessJwt": access,
            "refreshJwt": refresh,
            "active": True,
        }

    def _token(self, kind: Literal["access", "refresh"], account: BlueskyAccount, now: float) -> str:
        """
        Make a JWT, with a signature that is none.
        """
        self._tokens += 1
        until = int(now) + (_ACCESS if kind == "access" else _REFRESH)
        claims = {"scope": f"com.atproto.{kind}", "sub": account.did, "iat": int(now), "exp": until}
        parts = ({"typ": f"{'at' if kind == 'access' else kind}+jwt", "alg": "HS256"}, claims | {"jti": self._tokens})
        return ".".join(urlsafe_b64encode(orjson.dumps(part)).decode().rstrip("=") for part in parts) + ".fake"

    def _account(self, request: FakeRequest) -> BlueskyAccount:
        token = _bearer(request)
        if token in self._sessions:
            raise _Refused(400, "InvalidToken", "Bad token scope")
        if token not in self._access:
            raise _Refused(400, "InvalidToken", "Token could not be verified")
        account, until = self._access[token]
        if request.at >= until:
            raise _Refused(400, "ExpiredToken", "Token has expired")
        return account

    def _own(self, account: BlueskyAccount, repo: object) -> None:
        if repo not in (account.did, account.handle):
            raise _Refused(401, "AuthenticationRequired", "Authentication Required")

    def _put(
        self, account: BlueskyAccount, given: Mapping[str, Any], now: float, headers: dict[str, str]
    ) -> FakeAnswer:
        self._spend(headers, now, account.did, 2, self.points_of_day, self.points_of_hour)
        self._own(account, given["repo"])
        if given["collection"] != COLLECTION:
            raise _Refused(400, "InvalidRequest", f"Lexicon not found: lex:{given['collection']}")
        if not _TID.fullmatch(str(given["rkey"])):
            raise _Refused(400, "InvalidRequest", "Invalid record key: it is not a TID")
        record = given["record"]
        problem = problem_of_post(record)
        if problem:
            raise _Refused(400, "InvalidRequest", f"Invalid {COLLECTION} record: {problem}")
        card = record.get("embed", {}).get("external", {})
        if "thumb" in card:
            self._check_thumb(card["thumb"])
        uri = f"at://{account.did}/{COLLECTION}/{given['rkey']}"
        cid = _cid(0x71, orjson.dumps(record, option=orjson.OPT_SORT_KEYS))
        about = {"uri": uri, "cid": cid, "validationStatus": "valid"}
        before = self.messages.get(uri)
        if before is not None and before["cid"] == cid:
            return json_answer(200, about)
        if before is not None:
            before |= {"record": record, "cid": cid}
        else:
            self._show(uri, cid, record, now)
        return json_answer(200, {**about, "commit": {"cid": _cid(0x71, cid.encode()), "rev": given["rkey"]}})

    def _check_thumb(self, thumb: Mapping[str, Any]) -> None:
        stored = self.blobs.get(thumb["ref"]["$link"])
        if stored is None:
            raise _Refused(400, "BlobNotFound", f"Could not find blob: {thumb['ref']['$link']}")
        kind, content = stored
        if len(content) > _LARGEST_THUMB:
            size = f"It is {len(content)} bytes but the maximum size is {_LARGEST_THUMB} bytes"
            raise _Refused(400, "BlobTooLarge", f"This file is too large. {size}.")
        if not kind.startswith("image/"):
            raise _Refused(400, "InvalidMimeType", f"Wrong type of file. It is {kind} but it must match image/*.")

    def _show(self, uri: str, cid: str, record: Mapping[str, Any], now: float) -> None:
        text = record["text"].encode()
        links: dict[str, str] = {}
        broken: list[Any] = []
        for facet in record.get("facets", []):
            part = _part(text, facet["index"])
            for feature in facet["features"]:
                if part is None:
                    broken.append(facet)
                elif feature["$type"] == _LINK:
                    links[part] = feature["uri"]
        self.messages[uri] = {
            "uri": uri,
            "cid": cid,
            "record": record,
            "text": record["text"],
            "links": links,
            "broken": broken,
            "card": record.get("embed", {}).get("external"),
        }
        self.pings += [Ping(message=uri, whom=f"user:{did}", at=now) for did in _mentioned(record)]

    def _delete(
        self, account: BlueskyAccount, given: Mapping[str, Any], now: float, headers: dict[str, str]
    ) -> FakeAnswer:
        """
        Delete a record. One that is not there is no error.
        """
        self._spend(headers, now, account.did, 1, self.points_of_day, self.points_of_hour)
        self._own(account, given["repo"])
        self.messages.pop(f"at://{account.did}/{given['collection']}/{given['rkey']}", None)
        return json_answer(200, {})

    def _get(self, query: Mapping[str, str]) -> FakeAnswer:
        names = {each.handle: each.did for each in self.accounts}
        repo = query.get("repo", "")
        uri = f"at://{names.get(repo, repo)}/{query.get('collection')}/{query.get('rkey')}"
        message = self.messages.get(uri)
        if message is None:
            raise _Refused(400, "RecordNotFound", f"Could not locate record: {uri}")
        return json_answer(200, {"uri": uri, "cid": message["cid"], "value": message["record"]})

    def _upload(self, request: FakeRequest) -> FakeAnswer:
        if len(request.body) > _LARGEST_BLOB:
            raise _Refused(413, "PayloadTooLarge", "request entity too large")
        kind = request.headers.get("content-type", "application/octet-stream")
        cid = _cid(0x55, request.body)
        self.blobs[cid] = (kind, request.body)
        blob = {"$type": "blob", "ref": {"$link": cid}, "mimeType": kind, "size": len(request.body)}
        return json_answer(200, {"blob": blob})


def _bearer(request: FakeRequest) -> str:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind != "Bearer" or not token:
        raise _Refused(401, "AuthMissing", "Authentication Required")
    return token


def _input(request: FakeRequest, *required: str) -> Mapping[str, Any]:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise _Refused(400, "InvalidRequest", "Request encoding (Content-Type) required but not provided")
    try:
        given = request.json
    except ValueError:
        raise _Refused(400, "InvalidRequest", "Malformed JSON") from None
    if not isinstance(given, dict):
        raise _Refused(400, "InvalidRequest", "Input must be an object")
    for name in required:
        if name not in given:
            raise _Refused(400, "InvalidRequest", f'Input must have the property "{name}"')
    return given


def _part(text: bytes, index: Mapping[str, int]) -> str | None:
    """
    The text below a facet: none if its bytes are not there, or cut a character in two.
    """
    start, end = index["byteStart"], index["byteEnd"]
    if not 0 <= start < end <= len(text):
        return None
    try:
        return text[start:end].decode()
    except UnicodeDecodeError:
        return None


def _mentioned(record: Mapping[str, Any]) -> Iterator[str]:
    for facet in record.get("facets", []):
        yield from (each["did"] for each in facet["features"] if each["$type"] == _MENTION)


def _cid(codec: int, content: bytes) -> str:
    """
    The CID, version 1, of what hashes to this by SHA-256. Records are hashed as JSON here, not as DAG-CBOR.
    """
    digest = bytes((1, codec, 0x12, 32)) + sha256(content).digest()
    return "b" + b32encode(digest).decode().lower().rstrip("=")
