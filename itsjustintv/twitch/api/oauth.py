"""
The app access token, from the client credentials, stored on disk (dev.twitch.tv, "Getting OAuth Access Tokens").
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from math import inf
from pathlib import Path
from typing import Any

import orjson
from attrs import define, evolve, field, frozen
from treq.client import HTTPClient
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web.http_headers import Headers

from itsjustintv.config.sections import Twitch
from itsjustintv.errors import TwitchError, TwitchRejected, TwitchUnavailable
from itsjustintv.model import rfc3339
from itsjustintv.support.durations import Seconds
from itsjustintv.support.file_thread_pool import InThread
from itsjustintv.support.files import replace
from itsjustintv.support.http_client import exchange
from itsjustintv.support.http_response import Response
from itsjustintv.support.log_throttle import LogOnChange
from itsjustintv.support.regular_files import read
from itsjustintv.support.waiters import SingleFlight

__all__ = ["AppToken", "TwitchSettings", "as_original"]

#: The current ``[twitch]``.
TwitchSettings = Callable[[], Twitch]

_TIMEOUT = 5.0
_LIMIT = 64 * 1024

_VALUE = re.compile(r"[!-~]+")

# Share of a token's life after which another one is requested.
_RENEW_AT = 0.9

# Seconds during which a failure is raised again without a request: wrong credentials, and Twitch being unavailable.
_REJECTED = 60.0
_UNAVAILABLE = 1.0

# Seconds within which a third token is not requested when Helix has refused two.
_DROP_EVERY = 60.0


@frozen(kw_only=True)
class _Token:
    """
    A token.

    :ivar lifetime: seconds from its making to ``expires_at``.
    :ivar owner: fingerprint of the credentials it was made for; empty in a file of the original program.
    """

    value: str = field(repr=False)
    type: str
    lifetime: int
    expires_at: float
    owner: str

    def is_valid_for(self, owner: str, now: float) -> bool:
        return self.owner in ("", owner) and now < self.expires_at

    def is_due_for_renewal(self, now: float) -> bool:
        return now >= self.expires_at - (1 - _RENEW_AT) * self.lifetime

    def dump(self) -> bytes:
        """
        Write it as the original program does, and the owner, if it has one.
        """
        expires_at = rfc3339(self.expires_at, "auto")
        content = {
            "access_token": self.value,
            "token_type": self.type,
            "expires_in": self.lifetime,
            "expires_at": expires_at,
            **({"owner": self.owner} if self.owner else {}),
        }
        return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

    @classmethod
    def load(cls, text: bytes, now: float | None = None, owner: str = "") -> _Token:
        """
        Read Twitch's answer of this moment, or without one a file.

        :raises ValueError: it is not what Twitch answers, :meth:`dump` or the original program writes. Never quotes it.
        """
        try:
            content = orjson.loads(text)
        except orjson.JSONDecodeError:
            raise ValueError("it is not JSON") from None
        if not isinstance(content, dict):
            raise ValueError("it is not an object")  # noqa: TRY004 - one error for whatever is wrong with it
        value, lifetime = content.get("access_token"), content.get("expires_in")
        # It becomes a header.
        if not isinstance(value, str) or not _VALUE.fullmatch(value):
            raise ValueError("access_token is not a token")
        if type(lifetime) is not int or not 0 < lifetime < 1 << 31:
            raise ValueError("expires_in is not a number of seconds")
        if now is None:
            expires_at = _moment(content.get("expires_at"))
            owner = str(content.get("owner", ""))
        else:
            expires_at = now + lifetime
        return cls(
            value=value,
            type=str(content.get("token_type", "bearer")),
            lifetime=lifetime,
            expires_at=expires_at,
            owner=owner,
        )


def as_original(path: Path) -> bytes | None:
    """
    Read a token file and write it as the original program does. Blocks.

    :return: ``None`` when there is no such file.
    :raises OSError: it cannot be read.
    :raises ValueError: it is not a token file; never quotes it.
    """
    text = _read(path)
    return None if text is None else evolve(_Token.load(text), owner="").dump()


@frozen
class _Failure:
    """
    Why there was no token, for which credentials, and until when it is not requested again.
    """

    owner: str
    until: float
    error: TwitchError


@define(eq=False)
class AppToken:
    """
    The token for Helix.

    :ivar settings: ``client_id``, ``client_secret`` and ``auth_url`` may change at any time; a token of other
        credentials is not used. It is stored in ``token_file``.
    :ivar in_thread: reads and writes the file.
    :ivar hide: called with each token, which must appear nowhere.
    :ivar on_answer: called with the headers of every answer.
    """

    _http: HTTPClient
    _settings: TwitchSettings
    _clock: IReactorTime
    _in_thread: InThread
    _hide: Callable[[Sequence[str]], object] = lambda _: None
    _on_answer: Callable[[Headers], None] = lambda _: None
    _token: _Token | None = field(default=None, init=False)
    _loaded: bool = field(default=False, init=False)
    _failed: _Failure | None = field(default=None, init=False)
    _logged: LogOnChange = field(factory=LogOnChange, init=False)
    _dropped_at: float = field(default=-inf, init=False)
    _loading: SingleFlight[None] = field(factory=SingleFlight, init=False)
    _renewing: SingleFlight[str] = field(factory=SingleFlight, init=False)

    log = Logger()

    async def get(self) -> str:
        """
        The token, from memory, from the file or from Twitch. Callers share one request to Twitch, which goes on when
        they stop waiting. During the last tenth of its life a token is returned at once, and another one is requested
        meanwhile.

        :raises TwitchUnavailable: worth another try.
        :raises TwitchRejected: the credentials are wrong. This is remembered for a minute, unless they change.
        """
        if not self._loaded:
            await self._loading.join("", self._load)
        settings = self._settings()
        owner = _fingerprint(settings)
        token, now = self._token, self._clock.seconds()
        if token is None or not token.is_valid_for(owner, now):
            return await self._renewing.join(owner, lambda: self._renew(settings, owner))
        if token.is_due_for_renewal(now):
            renewal = self._renewing.join(owner, lambda: self._renew(settings, owner))
            renewal.addErrback(lambda failure: failure.trap(TwitchError))
        return token.value

    def problem(self) -> str | None:
        """
        Why there is no token, or ``None``.
        """
        failed = self._failed
        if failed is None or failed.owner != _fingerprint(self._settings()):
            return None
        if isinstance(failed.error, TwitchRejected):
            return "Twitch rejects twitch.client_id and twitch.client_secret"
        return "Twitch does not issue an access token"

    @property
    def expires_at(self) -> float | None:
        """
        When the token expires, in seconds since the epoch; ``None`` while there is none.
        """
        return None if self._token is None else self._token.expires_at

    def rejected(self, value: str) -> bool:
        """
        Note that Helix answered 401 to a token.

        :return: whether the request can be repeated with another token from :meth:`get`. ``False`` when a token was
            rejected less than a minute ago: then the token is not the cause, and not every request must get a new one.
        """
        if self._token is None or self._token.value != value:
            return True
        now = self._clock.seconds()
        if now - self._dropped_at < _DROP_EVERY:
            return False
        self._dropped_at = now
        self._token = None
        return True

    async def _load(self) -> None:
        path = Path(self._settings().token_file)
        try:
            text = await self._in_thread(_read, path)
            if text is not None:
                self._token = _Token.load(text)
                self._hide((self._token.value,))
        except (OSError, ValueError) as error:
            self.log.warn(
                "invalid token file {path}: {reason}; requesting a new token",
                path=str(path),
                reason=_reason(error),
            )
        self._loaded = True

    async def _renew(self, settings: Twitch, owner: str) -> str:
        failed = self._failed
        if failed is not None and failed.owner == owner and self._clock.seconds() < failed.until:
            raise failed.error.with_traceback(None)
        try:
            token = await self._ask(settings, owner)
        except TwitchUnavailable as error:
            self._failed = _Failure(owner, self._clock.seconds() + (error.retry_after or _UNAVAILABLE), error)
            raise
        except TwitchRejected as error:
            self._failed = _Failure(owner, self._clock.seconds() + _REJECTED, error)
            if self._logged.is_new((owner, str(error))):
                self.log.error(  # noqa: TRY400 - the reason is in the line
                    "cannot get an access token: {reason}; check twitch.client_id and twitch.client_secret",
                    reason=str(error),
                )
            raise
        self._hide((token.value,))
        self._token, self._failed = token, None
        self._logged.reset()
        await self._save(token)
        return token.value

    async def _ask(self, settings: Twitch, owner: str) -> _Token:
        answer = await exchange(
            self._http,
            self._clock,
            "POST",
            f"{settings.auth_url.rstrip('/')}/token",
            what="the token endpoint",
            timeout=_TIMEOUT,
            limit=_LIMIT,
            data={
                "client_id": settings.client_id,
                "client_secret": settings.client_secret,
                "grant_type": "client_credentials",
            },
            hide=(settings.client_secret,),
        )
        self._on_answer(answer.headers)
        if answer.status != 200:
            raise _refusal(answer)
        try:
            token = _Token.load(answer.body, self._clock.seconds(), owner)
        except ValueError as error:
            raise TwitchUnavailable(f"the token endpoint: the answer cannot be used: {error}") from None
        self.log.info("got an access token; it expires in {delay}", delay=Seconds(token.lifetime))
        return token

    async def _save(self, token: _Token) -> None:
        path = Path(self._settings().token_file)
        try:
            await self._in_thread(replace, path, token.dump())
        except OSError as error:
            self.log.warn(
                "cannot write the token file {path}: {reason}; the token is used until the next start",
                path=str(path),
                reason=_reason(error),
            )


def _refusal(answer: Response) -> TwitchError:
    message = f"the token endpoint answered {answer.status}" + (f" ({answer.message})" if answer.message else "")
    if answer.status == 429 or answer.status >= 500:
        after = answer.number("Retry-After")
        return TwitchUnavailable(message, None if after is None else float(after))
    return TwitchRejected(message, answer.status)


def _fingerprint(settings: Twitch) -> str:
    """
    A fingerprint of the credentials and the server they are for.
    """
    return hmac.digest(
        settings.client_secret.encode("utf-8"), f"{settings.auth_url} {settings.client_id}".encode(), "sha256"
    ).hex()


def _read(path: Path) -> bytes | None:
    try:
        return read(path, _LIMIT)
    except FileNotFoundError:
        return None


def _moment(text: Any) -> float:
    moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    if moment is None or moment.tzinfo is None:
        raise ValueError("expires_at is not a moment")
    return moment.timestamp()


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
