"""
Requests to Helix, Twitch's API (dev.twitch.tv, "API guide").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from attrs import define, field
from treq.client import HTTPClient
from twisted.internet.defer import DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.web.http_headers import Headers

from itsjustintv.errors import TwitchRejected, TwitchUnavailable
from itsjustintv.support.http_client import exchange
from itsjustintv.support.http_response import Response
from itsjustintv.telemetry.tracing import ApiCall, OnCall, requesters
from itsjustintv.twitch.api.oauth import AppToken, TwitchSettings
from itsjustintv.twitch.api.rate_limit import RateBucket

__all__ = ["Helix", "Params"]

#: A name is repeated for each of its values.
Params = Sequence[tuple[str, str]]

_TIMEOUT = 5.0

# Requests under way at once, of those that leave points for others.
_CONCURRENCY = 24
_LIMIT = 1024 * 1024

# How a 429 begins that is not about the rate limit, but about how many conduits, or subscriptions of a kind, there may
# be (dev.twitch.tv, API reference, "Create EventSub Subscription", "Create Conduits"). Waiting does not help.
_TOO_MANY = ("maximum ", "conduit ")


@define(eq=False)
class Helix:
    """
    Sends requests to Helix, with the token and within the rate limit.

    Requests that leave points for others leave connections as well: there can be hundreds at a time, and a connection
    for each would cost more than to take turns.

    :ivar http: must not follow redirects on its own.
    :ivar settings: Helix's address and the client id.
    :ivar on_call: called after every request, answered or not.
    :ivar on_answer: called with the headers of every answer.
    """

    _http: HTTPClient
    _settings: TwitchSettings
    _token: AppToken
    _bucket: RateBucket
    _clock: IReactorTime
    _on_call: OnCall = lambda _: None
    _on_answer: Callable[[Headers], None] = lambda _: None
    _slots: DeferredSemaphore = field(factory=lambda: DeferredSemaphore(_CONCURRENCY), init=False)
    _answered: bool = field(default=False, init=False)

    @property
    def limit(self) -> int:
        """
        Points that the rate bucket holds when it is full.
        """
        return self._bucket.limit

    def problem(self) -> str | None:
        """
        That Twitch has not answered since the start; ``None`` once it has.
        """
        return None if self._answered else "Twitch has not answered yet"

    async def get(self, path: str, params: Params = (), spare: int = 0) -> Any:
        """
        :param path: below ``api_url``, ``/users`` say.
        :param spare: points to leave in the rate bucket for other requests.
        :return: the answer, parsed.
        :raises TwitchUnavailable: worth another try.
        :raises TwitchRejected: not worth another try.
        """
        return await self.call("GET", path, params, spare=spare)

    async def call(self, method: str, path: str, params: Params = (), content: Any = None, spare: int = 0) -> Any:
        """
        Send a request as soon as the rate limit allows.

        It is repeated once with another token after a 401, once as it is after a 503, and once after a 429 when the
        bucket has been refilled.

        :param content: sent as JSON, unless it is ``None``.
        :param spare: points to leave in the rate bucket for other requests.
        :return: the answer, parsed; ``None`` when it is empty.
        :raises TwitchUnavailable: worth another try.
        :raises TwitchRejected: not worth another try.
        """
        request = _HelixRequest(self._settings, self._http, self._clock, method, path, params, content)
        seen: set[int] = set()
        while True:
            token = await self._token.get()
            cost = await self._bucket.take(spare=spare)
            try:
                answer = await self._send(request, token, spare)
            except BaseException:
                self._bucket.lost(cost)
                raise
            self._answered = self._answered or answer.status < HTTPStatus.INTERNAL_SERVER_ERROR
            first_time = answer.status not in seen
            seen.add(answer.status)
            if _out_of_points(answer):
                delay = self._bucket.refused(cost, answer)
                if not first_time:
                    raise TwitchUnavailable(request.failure(answer), delay)
                continue
            self._bucket.answered(cost, answer)
            if answer.status == HTTPStatus.UNAUTHORIZED and self._token.rejected(token) and first_time:
                continue
            if answer.status == HTTPStatus.SERVICE_UNAVAILABLE and first_time:
                continue
            return request.result(answer)

    async def _send(self, request: _HelixRequest, token: str, spare: int) -> Response:
        if not spare:
            return await self._send_now(request, token)
        await self._slots.acquire()
        try:
            return await self._send_now(request, token)
        finally:
            self._slots.release()

    async def _send_now(self, request: _HelixRequest, token: str) -> Response:
        started_at = self._clock.seconds()
        status: int | None = None
        try:
            answer = await request.send(token)
            status = answer.status
            self._on_answer(answer.headers)
        finally:
            self._on_call(
                ApiCall(
                    method=request.method,
                    path=request.path,
                    started_at=started_at,
                    duration=max(0.0, self._clock.seconds() - started_at),
                    status=status,
                    requesters=requesters(),
                )
            )
        return answer


@define(eq=False)
class _HelixRequest:
    """
    A request, which may be sent more than once.
    """

    _settings: TwitchSettings
    _http: HTTPClient
    _clock: IReactorTime
    method: str
    path: str
    _params: Params
    _content: Any
    _name: str = field(init=False)

    @_name.default
    def _named(self) -> str:
        return f"{self.method} {self.path}"

    async def send(self, token: str) -> Response:
        """
        :raises TwitchUnavailable: there is no whole answer.
        """
        settings = self._settings()
        headers = {"Authorization": f"Bearer {token}", "Client-Id": settings.client_id}
        if self._content is not None:
            headers["Content-Type"] = "application/json"
        return await exchange(
            self._http,
            self._clock,
            self.method,
            settings.api_url.rstrip("/") + self.path,
            what=self._name,
            timeout=_TIMEOUT,
            limit=_LIMIT,
            headers=headers,
            params=self._params,
            data=None if self._content is None else orjson.dumps(self._content),
            hide=(token, settings.webhook_secret),
        )

    def result(self, answer: Response) -> Any:
        """
        :raises TwitchUnavailable: 5xx, or a 2xx that is not JSON.
        :raises TwitchRejected: any other status but 2xx.
        """
        if 200 <= answer.status < 300:
            try:
                return orjson.loads(answer.body) if answer.body else None
            except orjson.JSONDecodeError:
                raise TwitchUnavailable(f"{self._name}: the answer is not JSON") from None
        if answer.status >= 500:
            raise TwitchUnavailable(self.failure(answer))
        raise TwitchRejected(self.failure(answer), answer.status, answer.body)

    def failure(self, answer: Response) -> str:
        """
        The error message for an answer.
        """
        return f"{self._name} answered {answer.status}" + (f" ({answer.message})" if answer.message else "")


def _out_of_points(answer: Response) -> bool:
    """
    Whether a request was refused because of the rate limit. A 429 with points left has another reason.
    """
    return (
        answer.status == HTTPStatus.TOO_MANY_REQUESTS
        and not answer.number("Ratelimit-Remaining")
        and not answer.message.lower().startswith(_TOO_MANY)
    )
