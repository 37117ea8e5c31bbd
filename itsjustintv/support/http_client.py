"""
HTTP requests to other servers, bounded in time and size.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from hyperlink import EncodedURL
from treq.client import HTTPClient
from treq.cookies import IndexableCookieJar
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IResponse

from itsjustintv import __version__
from itsjustintv.errors import TwitchError, TwitchUnavailable
from itsjustintv.support.causes import cause
from itsjustintv.support.durations import duration
from itsjustintv.support.http_response import Response, one_line

__all__ = [
    "BodyTooLong",
    "bounded",
    "exchange",
    "make_http_client",
    "read_beginning",
    "read_body",
    "request",
    "request_url",
    "unavailable",
]

T = TypeVar("T")


class BodyTooLong(Exception):
    """
    A body is longer than its limit.
    """


async def bounded(
    work: Coroutine[Deferred[Any], Any, T],
    clock: IReactorTime,
    timeout: float,
    known: type[Exception],
    failed: Callable[[str], Exception],
) -> T:
    """
    Limit the time of some work, and turn its errors into one kind.

    :param timeout: seconds.
    :param known: errors that are raised as they are.
    :param failed: makes the error for any other cause.
    """
    working = Deferred.fromCoroutine(work)
    deadline = clock.callLater(timeout, working.cancel)
    try:
        return await working
    except known:
        raise
    except Exception as error:
        # The error of a cancelled request depends on how far it got.
        if not deadline.active():
            raise failed(f"no answer within {duration(timeout)}") from None
        first = _first(error)
        # Twisted's client wraps a cancellation from outside.
        if isinstance(first, CancelledError):
            raise first from None
        raise failed(one_line(cause(error))) from error
    finally:
        if deadline.active():
            deadline.cancel()


def _first(error: BaseException) -> BaseException:
    """
    Unwrap an error from the lists of failures of Twisted's HTTP client.
    """
    reasons = getattr(error, "reasons", None)
    return _first(reasons[0].value) if reasons else error


def read_body(response: IResponse, limit: int) -> Deferred[bytes]:
    """
    Read a body of at most ``limit`` bytes. When it is longer, or on cancellation, the connection is aborted. The
    response must not be one that treq buffers.

    :return: fails with :class:`BodyTooLong`, or with the error that ended the body early.
    """
    reader = _BodyReader(limit, cut=False)
    response.deliverBody(reader)
    return reader.ended


def read_beginning(response: IResponse, limit: int) -> Deferred[bytes]:
    """
    Read the first ``limit`` bytes of a body. When it is longer, or on cancellation, the connection is closed.

    :return: never fails: it fires with what was received, also when it is cancelled.
    """
    reader = _BodyReader(limit, cut=True)
    response.deliverBody(reader)
    return reader.ended


class _BodyReader(Protocol):
    """
    Collects a body up to a limit.

    :param cut: whether the beginning of a body is enough.
    """

    def __init__(self, limit: int, *, cut: bool) -> None:
        self.ended: Deferred[bytes] = Deferred(lambda _: self._close())
        self._limit = self._room = limit
        self._cut = cut
        self._parts: list[bytes] = []

    def dataReceived(self, data: bytes) -> None:
        if self.ended.called:
            return
        self._parts.append(data[: self._room])
        self._room -= len(data)
        if self._room < 0 and not self._cut:
            self._parts.clear()
            # In this order: a connection may end inside this call.
            self.ended.errback(BodyTooLong(f"the answer has more than {self._limit} bytes"))
            self._close()
        elif self._room <= 0 and self._cut:
            self._close()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Finish with the body, or with the error that ended it early. A body without a length ends with its connection.
        """
        if self.ended.called:
            return
        if self._cut or reason.check(ResponseDone, PotentialDataLoss):
            self.ended.callback(b"".join(self._parts))
        else:
            self.ended.errback(reason)

    def _close(self) -> None:
        if self.transport is not None:
            # Not everything that delivers a body can abort its connection.
            abort = None if self._cut else getattr(self.transport, "abortConnection", None)
            (abort or self.transport.loseConnection)()
        if self._cut:
            self.connectionLost()


async def request(
    http: HTTPClient,
    clock: IReactorTime,
    method: str,
    url: str,
    *,
    timeout: float,
    limit: int,
    known: type[Exception],
    failed: Callable[[str], Exception],
    headers: Mapping[str, str] = {},
    params: Sequence[tuple[str, str]] = (),
    data: Any = None,
    hide: Sequence[str] = (),
) -> Response:
    """
    Send a request and read the whole response. Redirects are not followed. Cancelling closes the connection.

    :param timeout: seconds from the look-up of the name to the last byte.
    :param limit: bytes of the response's body at the most, once unpacked.
    :param known: as for :func:`bounded`, and so is ``failed``.
    :param hide: secrets in the request, which :attr:`Response.message` must not repeat.
    :raises Exception: there is no whole response.
    """

    async def exchanged() -> Response:
        response = await http.request(
            method,
            request_url(url, params),
            headers=Headers(
                {"User-Agent": [f"itsjustintv/{__version__}"], **{name: [value] for name, value in headers.items()}}
            ),
            data=data,
            allow_redirects=False,
            unbuffered=True,
            reactor=clock,  # type: ignore[arg-type]  # only its time is used
        )
        return Response(response.code, response.headers, await read_body(response, limit), hide)

    return await bounded(exchanged(), clock, timeout, known, failed)


async def exchange(
    http: HTTPClient, clock: IReactorTime, method: str, url: str, *, what: str, **options: Any
) -> Response:
    """
    Send a request to Twitch, as :func:`request` does.

    :param what: how an error names the request.
    :raises TwitchUnavailable: there is no whole response.
    """
    return await request(http, clock, method, url, known=TwitchError, failed=unavailable(what), **options)


def unavailable(what: str) -> Callable[[str], TwitchUnavailable]:
    """
    Name errors after a request.
    """
    return lambda reason: TwitchUnavailable(f"{what}: {reason}")


def make_http_client(agent: IAgent) -> HTTPClient:
    """
    Make a client that keeps no cookies: no server that the daemon asks has any.
    """
    return HTTPClient(agent, _NoCookies())


class _NoCookies(IndexableCookieJar):
    """
    To find out that there are no cookies for a request takes longer than to send it.
    """

    def add_cookie_header(self, request: Any) -> None:
        pass

    def extract_cookies(self, response: Any, request: Any) -> None:
        pass


def request_url(text: str, params: Sequence[tuple[str, str]] = ()) -> EncodedURL:
    """
    Make a URL for treq, which by itself refuses every host name that is not one of the internet (IDNA), such as
    ``my_service``, and encodes the same name anew for each request.
    """
    encoded = _encode(text)
    if not params:
        return _ReadyURL(encoded)
    parts = [f"{name}={value}" for name, value in params]
    query = "&".join(parts if all(map(_PLAIN.fullmatch, parts)) else [urlencode(params, quote_via=quote)])
    return _ReadyURL(f"{encoded}{'&' if '?' in encoded else '?'}{query}")


# Names and values of ids and logins, which need not be quoted.
_PLAIN = re.compile(r"[A-Za-z0-9_.~-]+=[A-Za-z0-9_.~-]*")


@lru_cache(maxsize=256)
def _encode(text: str) -> str:
    url = EncodedURL.from_text(text)
    try:
        return url.to_uri().to_text()
    except UnicodeError:
        return url.to_text()


class _ReadyURL(EncodedURL):
    """
    A URL that is encoded already.
    """

    def __init__(self, text: str) -> None:
        self._text = text

    def to_uri(self) -> EncodedURL:
        return self

    def to_text(self, with_password: bool = False) -> str:  # noqa: ARG002
        return self._text
