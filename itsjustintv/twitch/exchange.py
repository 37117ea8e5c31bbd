"""
One HTTP request to Twitch, bounded in time and size.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar

import orjson
from attrs import field, frozen
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IResponse

from itsjustintv import __version__
from itsjustintv.errors import TwitchError, TwitchUnavailable

__all__ = ["Answer", "TooLong", "bounded", "exchange", "read_body"]

T = TypeVar("T")

# As much of Twitch's own words is repeated in ours, in characters.
_QUOTED = 200


class TooLong(Exception):
    """
    A body is longer than what is read of it.
    """


@frozen
class Answer:
    """
    A whole answer.

    :ivar hide: secrets that the request held, and that an error page might quote.
    """

    status: int
    headers: Headers
    body: bytes
    hide: Sequence[str] = field(default=(), repr=False)

    @property
    def message(self) -> str:
        """
        What Twitch says about an error, as one line without secrets; empty when it says nothing. 5xx may come as HTML.
        """
        try:
            content = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return ""
        message = content.get("message") if isinstance(content, dict) else None
        if not isinstance(message, str):
            return ""
        for secret in filter(None, self.hide):
            message = message.replace(secret, "[redacted]")
        return " ".join("".join(letter if letter.isprintable() else " " for letter in message).split())[:_QUOTED]

    def number(self, header: str) -> int | None:
        """
        Read a header that is a whole number, not negative.
        """
        values = self.headers.getRawHeaders(header) or [""]
        return int(values[-1]) if values[-1].isascii() and values[-1].isdecimal() else None


async def exchange(
    http: HTTPClient,
    clock: IReactorTime,
    method: str,
    url: str,
    *,
    what: str,
    timeout: float,
    limit: int,
    headers: Mapping[str, str] = {},
    params: Sequence[tuple[str, str]] = (),
    data: Any = None,
    hide: Sequence[str] = (),
) -> Answer:
    """
    Ask and read the answer. Redirects are not followed.

    :param what: how an error names the request.
    :param timeout: seconds from the look-up of the name to the last byte.
    :param limit: bytes of the answer's body at the most, once unpacked.
    :param hide: secrets in the request, which the answer must not tell.
    :raises TwitchUnavailable: when there is no whole answer.
    """

    async def whole() -> Answer:
        response = await http.request(
            method,
            url,
            headers=Headers(
                {"User-Agent": [f"itsjustintv/{__version__}"], **{name: [value] for name, value in headers.items()}}
            ),
            params=list(params),
            data=data,
            allow_redirects=False,
            unbuffered=True,
            reactor=clock,  # type: ignore[arg-type]  # only its time is used
        )
        return Answer(response.code, response.headers, await read_body(response, limit), hide)

    return await bounded(whole(), clock, what=what, timeout=timeout)


async def bounded(work: Coroutine[Deferred[Any], Any, T], clock: IReactorTime, *, what: str, timeout: float) -> T:
    """
    Give a request and the reading of its answer a limited time, and what can go wrong with them one name.

    :param what: how an error names the request.
    :param timeout: seconds.
    :raises TwitchUnavailable: whatever it was; a :class:`~itsjustintv.errors.TwitchError` stays what it is.
    """
    working = Deferred.fromCoroutine(work)
    deadline = clock.callLater(timeout, working.cancel)
    try:
        return await working
    except TwitchError:
        raise
    except Exception as error:
        # What a cancelled request fails with depends on how far it got.
        if not deadline.active():
            raise TwitchUnavailable(f"{what}: no answer within {timeout:g} s") from None
        cause = _cause(error)
        if isinstance(cause, CancelledError):
            raise cause from None
        raise TwitchUnavailable(f"{what}: {str(cause).rstrip('.') or type(cause).__name__}") from error
    finally:
        if deadline.active():
            deadline.cancel()


def _cause(error: BaseException) -> BaseException:
    """
    Take an error out of the lists of failures in which Twisted's HTTP client wraps it.
    """
    reasons = getattr(error, "reasons", None)
    return _cause(reasons[0].value) if reasons else error


def read_body(response: IResponse, limit: int) -> Deferred[bytes]:
    """
    Read a body that is ``limit`` bytes long at the most. Never holds more; a longer one is cut off together with its
    connection. Cancelling closes the connection too.

    The response must not be one that treq buffers.

    :return: fails with :class:`TooLong`, or with what broke the body off.
    """
    reading = _Reading(limit)
    response.deliverBody(reading)
    return reading.ended


class _Reading(Protocol):
    """
    Collects a body.
    """

    def __init__(self, limit: int) -> None:
        self.ended: Deferred[bytes] = Deferred(lambda _: self._hang_up())
        self._room = limit
        self._parts: list[bytes] = []

    def dataReceived(self, data: bytes) -> None:
        """
        Keep it, if there is room.
        """
        if self.ended.called:
            return
        self._room -= len(data)
        if self._room < 0:
            self._parts.clear()
            self._hang_up()
            self.ended.errback(TooLong("the answer is too long"))
        else:
            self._parts.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Answer with the whole, or with what broke it off. A body without a length ends with its connection.
        """
        if self.ended.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.ended.callback(b"".join(self._parts))
        else:
            self.ended.errback(reason)

    def _hang_up(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()
