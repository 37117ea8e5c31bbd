"""
Answers of other servers, bounded in time and size.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IResponse

from itsjustintv.support.causes import cause
from itsjustintv.support.durations import duration
from itsjustintv.support.foreign_text import visible

__all__ = ["TooLong", "bounded", "one_line", "read_body"]

T = TypeVar("T")


class TooLong(Exception):
    """
    A body is longer than what is read of it.
    """


async def bounded(
    work: Coroutine[Deferred[Any], Any, T],
    clock: IReactorTime,
    timeout: float,
    known: type[Exception],
    failed: Callable[[str], Exception],
) -> T:
    """
    Give a request and the reading of its answer a limited time, and what can go wrong with them one name.

    :param timeout: seconds.
    :param known: an error that stays what it is.
    :param failed: makes an error of what went wrong otherwise.
    :raises Exception: of these two kinds.
    """
    working = Deferred.fromCoroutine(work)
    deadline = clock.callLater(timeout, working.cancel)
    try:
        return await working
    except known:
        raise
    except Exception as error:
        # What a cancelled request fails with depends on how far it got.
        if not deadline.active():
            raise failed(f"no answer within {duration(timeout)}") from None
        first = _first(error)
        # Twisted's client wraps the cancelling of whoever waits for us.
        if isinstance(first, CancelledError):
            raise first from None
        raise failed(one_line(cause(error))) from error
    finally:
        if deadline.active():
            deadline.cancel()


def one_line(text: str) -> str:
    """
    Make one line of what others wrote: line ends and blanks as one blank, and what steers or hides as its code.
    """
    return visible(" ".join(text.split()))


def _first(error: BaseException) -> BaseException:
    """
    Take an error out of the lists of failures in which Twisted's HTTP client wraps it.
    """
    reasons = getattr(error, "reasons", None)
    return _first(reasons[0].value) if reasons else error


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
        self._limit = self._room = limit
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
            # In this order: a connection may end while it is told to.
            self.ended.errback(TooLong(f"the answer has more than {self._limit} bytes"))
            self._hang_up()
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
            # A body may come from something that knows no way to break off at once.
            abort = getattr(self.transport, "abortConnection", None)
            (abort or self.transport.loseConnection)()
