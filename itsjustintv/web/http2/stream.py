"""
One request of an HTTP/2 connection: what Twisted's request sees as its channel.
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

from itsjustintv.web.client_address import ClientAddresses
from itsjustintv.web.connection_limits import ConnectionRegistry

__all__ = ["Field", "HTTP2Stream", "size_of"]

#: A name and its value.
Field = tuple[bytes, bytes]

# RFC 9110, section 9.1, and what Twisted takes for a target in HTTP/1.1.
_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET = re.compile(rb"[!-~]+")
_LENGTH = re.compile(rb"[0-9]{1,15}")
# The size of a field besides its bytes (RFC 9113, section 6.5.2).
_FIELD = 32


def size_of(fields: Sequence[Field]) -> int:
    """
    Bytes of a head, as HTTP/2 counts them.
    """
    return sum(len(name) + len(value) + _FIELD for name, value in fields)


class _Connection(Protocol):
    site: server.Site
    registry: ConnectionRegistry
    client_addresses: ClientAddresses
    requestFactory: Any

    def getPeer(self) -> IAddress: ...

    def getHost(self) -> IAddress: ...

    def isSecure(self) -> bool: ...

    def send_head(self, stream: HTTP2Stream, fields: Sequence[Field]) -> None: ...

    def send_body(self, stream: HTTP2Stream) -> None: ...

    def reset(self, stream: HTTP2Stream) -> None: ...


class HTTP2Stream:
    """
    A request, from its head to the end of its answer. Producers are not supported: an answer is written.

    :ivar number: the stream's, given by the peer.
    :ivar due: when the peer must have sent or read more; infinite while the request is processed.
    :ivar buffered: bytes of the request in memory.
    :ivar is_received: whether the request is complete.
    :ivar answered: whether the answer is written completely.
    :ivar unsent: the part of the answer for which the peer's window has no room yet.
    :ivar discarded: bytes of the request that came after the answer.
    """

    #: Twisted's request looks for it.
    transport = None

    def __init__(self, number: int, connection: _Connection, due: float, buffered: int) -> None:
        self.number = number
        self.due = due
        self.buffered = buffered
        self.discarded = 0
        self.is_received = self.answered = False
        self.unsent = bytearray()
        self._connection = connection
        self._method = self._target = b""
        self._lengths: set[int] = set()
        self.site, self.registry, self.client_addresses = (
            connection.site,
            connection.registry,
            connection.client_addresses,
        )
        self.getPeer, self.getHost, self.isSecure = connection.getPeer, connection.getHost, connection.isSecure
        self._request: Any = connection.requestFactory(self)

    @property
    def is_sent(self) -> bool:
        """
        Whether all of the answer has been sent.
        """
        return self.answered and not self.unsent

    # Receiving

    @property
    def declared_length(self) -> int:
        """
        The length of the body, as the head says; 0 if it does not.
        """
        return max(self._lengths, default=0)

    def receive_head(self, fields: Sequence[Field]) -> int | None:
        """
        Take the head of a request. h2 has checked that it is complete and has nothing that only HTTP/1.1 has.

        :return: the status to reject it with, or ``None``.
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
        self._lengths = {int(each) for each in lengths}
        if any(each > self.registry.limits.body for each in self._lengths):
            return http.REQUEST_ENTITY_TOO_LARGE
        self._request.gotLength(None)
        return None

    def expects_continue(self) -> bool:
        """
        Whether the peer waits for ``100 Continue`` before it sends a body (RFC 9110, section 10.1.1).
        """
        expected: Sequence[bytes] = self._request.requestHeaders.getRawHeaders(b"expect", ())
        return any(each.lower() == b"100-continue" for each in expected)

    def receive_body(self, data: bytes) -> None:
        """
        Take a part of the body.

        :raises BodyTooLong: the body exceeds the limit.
        """
        self._request.handleContentChunk(data)
        self.buffered += len(data)

    @property
    def has_declared_length(self) -> bool:
        """
        Whether the body has the length that the head says, if it says one (RFC 9113, section 8.1.1).
        """
        return self._lengths <= {self._request.content.tell()}

    def complete(self) -> None:
        self.due = inf
        self._request.requestReceived(self._method, self._target, b"HTTP/2")

    def discard_request(self) -> int:
        """
        Drop a rejected request. Returns the bytes that it held.
        """
        buffered, self.buffered, self._request = self.buffered, 0, None
        self.answered = True
        return buffered

    def connection_lost(self, reason: Failure) -> None:
        """
        Tell the request that its client is gone.
        """
        if not self.answered:
            self._request.connectionLost(reason)

    # Twisted's channel interface

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Headers) -> None:  # noqa: ARG002
        named = [(name.lower(), value) for name, values in headers.getAllRawHeaders() for value in values]
        self._connection.send_head(self, [(b":status", code), *self.registry.header_fields(), *named])

    def write(self, data: bytes) -> None:
        self.unsent += data
        self._connection.send_body(self)

    def writeSequence(self, parts: Iterable[bytes]) -> None:
        self.write(b"".join(parts))

    def requestDone(self, request: http.Request) -> None:  # noqa: ARG002 - the names are Twisted's
        self.answered = True
        self._connection.send_body(self)

    def loseConnection(self) -> None:
        """
        Reset this stream; the connection and its other streams go on.
        """
        self._connection.reset(self)
