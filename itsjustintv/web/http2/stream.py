"""
One request of an HTTP/2 connection: to the request, the channel it came by.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from math import inf
from typing import Any, Protocol

from twisted.internet.interfaces import IAddress
from twisted.python.failure import Failure
from twisted.web import http, server
from twisted.web.http_headers import Headers, InvalidHeaderName

from itsjustintv.web.client_address import Clients
from itsjustintv.web.connection_limits import ConnectionRegistry

__all__ = ["Field", "HTTP2Stream", "size_of"]

#: A name and its value.
Field = tuple[bytes, bytes]

# RFC 9110, section 9.1, and what Twisted takes for a target in HTTP/1.1.
_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET = re.compile(rb"[!-~]+")
_LENGTH = re.compile(rb"[0-9]{1,15}")
# What each field costs beside its bytes (RFC 9113, section 6.5.2).
_FIELD = 32


def size_of(fields: Sequence[Field]) -> int:
    """
    Bytes of a head, as HTTP/2 counts them.
    """
    return sum(len(name) + len(value) + _FIELD for name, value in fields)


class _Carrier(Protocol):
    """
    The connection, as a stream of it sees it.
    """

    site: server.Site
    traffic: ConnectionRegistry
    clients: Clients
    requestFactory: Any

    def getPeer(self) -> IAddress: ...

    def getHost(self) -> IAddress: ...

    def isSecure(self) -> bool: ...

    def answer(self, stream: HTTP2Stream, fields: Sequence[Field]) -> None: ...

    def pour(self, stream: HTTP2Stream) -> None: ...

    def reset(self, stream: HTTP2Stream) -> None: ...


class HTTP2Stream:
    """
    A request, from its head to the end of its answer. An answer is written, and not produced: there is no room for a
    producer.

    :ivar number: as the peer has numbered it.
    :ivar due: when the peer must have sent or taken more; infinite while the request is answered.
    :ivar held: bytes of it that are in memory.
    :ivar arrived: whether the request is complete.
    :ivar answered: whether the answer is.
    :ivar waiting: what of the answer the peer has not allowed us to send yet.
    :ivar drained: bytes of the request that came after the answer, and were thrown away.
    """

    #: Requests look for it, and find the channel's own.
    transport = None

    def __init__(self, number: int, carrier: _Carrier, due: float, held: int) -> None:
        self.number = number
        self.due = due
        self.held = held
        self.drained = 0
        self.arrived = self.answered = False
        self.waiting = bytearray()
        self._carrier = carrier
        self._method = self._target = b""
        self._declared: set[int] = set()
        self.site, self.traffic, self.clients = carrier.site, carrier.traffic, carrier.clients
        self.getPeer, self.getHost, self.isSecure = carrier.getPeer, carrier.getHost, carrier.isSecure
        self._request: Any = carrier.requestFactory(self)

    @property
    def over(self) -> bool:
        """
        Whether all of the answer has been sent.
        """
        return self.answered and not self.waiting

    # What arrives

    @property
    def announced(self) -> int:
        """
        How many bytes its head says that its body has; 0 if it does not.
        """
        return max(self._declared, default=0)

    def begin(self, fields: Sequence[Field]) -> int | None:
        """
        Take the head of a request. What it must have, and nothing that only HTTP/1.1 has, has been seen to by h2.

        :return: the status to refuse it with, if it is to be refused.
        """
        headers: Headers = self._request.requestHeaders
        special: dict[bytes, bytes] = {}
        for name, value in fields:
            if name.startswith(b":"):
                special[name] = value
                continue
            try:
                headers.addRawHeader(name, value)
            except InvalidHeaderName:
                return http.BAD_REQUEST
        if b":authority" in special and not headers.hasHeader(b"host"):
            headers.addRawHeader(b"host", special[b":authority"])
        self._method, self._target = special.get(b":method", b""), special.get(b":path", b"")
        if not (_METHOD.fullmatch(self._method) and _TARGET.fullmatch(self._target)) or b":protocol" in special:
            return http.BAD_REQUEST
        lengths = headers.getRawHeaders(b"content-length", ())
        if any(not _LENGTH.fullmatch(each) for each in lengths):
            return http.BAD_REQUEST
        self._declared = {int(each) for each in lengths}
        if any(each > self.traffic.limits.body for each in self._declared):
            return http.REQUEST_ENTITY_TOO_LARGE
        self._request.gotLength(None)
        return None

    def invites(self) -> bool:
        """
        Whether the peer waits for an invitation before it sends a body (RFC 9110, section 10.1.1).
        """
        expected: Sequence[bytes] = self._request.requestHeaders.getRawHeaders(b"expect", ())
        return any(each.lower() == b"100-continue" for each in expected)

    def take(self, data: bytes) -> None:
        """
        Take a part of the body.

        :raises TooLong: it is one part too many.
        """
        self._request.handleContentChunk(data)
        self.held += len(data)

    @property
    def as_declared(self) -> bool:
        """
        Whether the body has the length that the head says, if it says one (RFC 9113, section 8.1.1).
        """
        return self._declared <= {self._request.content.tell()}

    def complete(self) -> None:
        """
        Have the request answered.
        """
        self.due = inf
        self._request.requestReceived(self._method, self._target, b"HTTP/2")

    def let_go(self) -> int:
        """
        Keep nothing of the request, which is refused.

        :return: the bytes that were held.
        """
        held, self.held, self._request = self.held, 0, None
        self.answered = True
        return held

    def lost(self, reason: Failure) -> None:
        """
        Tell the request that nobody waits for its answer any more.
        """
        if not self.answered:
            self._request.connectionLost(reason)

    # What a request asks of its channel

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Headers) -> None:  # noqa: ARG002
        """
        Send the head of an answer.
        """
        named = [(name.lower(), value) for name, values in headers.getAllRawHeaders() for value in values]
        self._carrier.answer(self, [(b":status", code), *self.traffic.imprinted(), *named])

    def write(self, data: bytes) -> None:
        """
        Send a part of an answer.
        """
        self.waiting += data
        self._carrier.pour(self)

    def writeSequence(self, parts: Iterable[bytes]) -> None:
        """
        Send parts of an answer.
        """
        self.write(b"".join(parts))

    def requestDone(self, request: http.Request) -> None:  # noqa: ARG002 - the names are Twisted's
        """
        Send the end of an answer.
        """
        self.answered = True
        self._carrier.pour(self)

    def loseConnection(self) -> None:
        """
        End this stream alone.
        """
        self._carrier.reset(self)
