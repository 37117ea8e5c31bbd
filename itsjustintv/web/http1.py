"""
One HTTP/1.1 connection, with limits that apply before any resource sees a request.
"""

from __future__ import annotations

import re
from math import inf
from typing import Any

from attrs import frozen
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web import http, server
from twisted.web.http_headers import Headers, InvalidHeaderName

from itsjustintv.web.connection import BaseConnection

__all__ = ["HTTP1Connection", "RejectedConnection", "RequestBodyTooLong", "SingleReadRequest", "parse_single_read"]


class RequestBodyTooLong(Exception):
    """
    A body without a declared length exceeds the limit.
    """


class RejectedConnection(Protocol):
    """
    A connection that is one too many. Within TLS a factory cannot reject by building no protocol.
    """

    # abortConnection is in no interface that TCP and TLS transports share.
    transport: Any

    def connectionMade(self) -> None:
        self.transport.abortConnection()


class HTTP1Connection(BaseConnection, http.HTTPChannel):
    """
    Twisted's HTTP channel with a deadline, and with checks of the head before the body is read.
    """

    site: server.Site
    transport: Any
    _reading = False

    def connectionMade(self) -> None:
        self.registry.add(self)
        self._expire_in(self.registry.limits.request)
        super().connectionMade()

    def detach(self) -> None:
        """
        Leave the registry and the transport: the connection will speak HTTP/2.
        """
        self.registry.remove(self)
        self.transport.unregisterProducer()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.registry.remove(self)
        super().connectionLost(reason)

    def dataReceived(self, data: bytes) -> None:
        """
        Read, unless the connection is being closed: TLS still delivers what the peer sends then.
        """
        if self._closing:
            self._discard(len(data))
            return
        if self._answer_single_read(data):
            return
        self._start_request()
        try:
            super().dataReceived(data)
        except ValueError:
            # int() accepts a few thousand digits, and Content-Length may have more.
            self._respondToBadRequestAndDisconnect()
        if self._buffer:
            self._start_request()

    def rawDataReceived(self, data: bytes) -> None:
        try:
            super().rawDataReceived(data)
        except RequestBodyTooLong:
            self._refuse(http.REQUEST_ENTITY_TOO_LARGE)

    def allHeadersReceived(self) -> None:
        """
        Reject by the head what can be rejected, before ``100 Continue`` asks for the body.
        """
        refusal = self._rejection_status()
        if refusal is None:
            super().allHeadersReceived()
        else:
            too_large = refusal == http.REQUEST_ENTITY_TOO_LARGE
            self._refuse(refusal, (self.length or 0) if too_large else 0)

    def allContentReceived(self) -> None:
        if not self._closing:
            self._reading = False
            self._expires_at = inf
            super().allContentReceived()

    def requestDone(self, request: http.Request) -> None:
        self._expire_in(self.registry.limits.idle)
        super().requestDone(request)

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Headers) -> None:
        """
        Write the head in one piece; the transport does work for each piece.
        """
        lines = [b"%b %b %b" % (version, code, reason), self.registry.header_lines()]
        lines += [b"%b: %b" % (name, value) for name, values in headers.getAllRawHeaders() for value in values]
        self.transport.write(b"\r\n".join([*lines, b"", b""]))

    def lineLengthExceeded(self, line: bytes) -> None:  # noqa: ARG002 - the name is Twisted's
        self._respondToBadRequestAndDisconnect()

    def loseConnection(self) -> None:
        """
        Close, and give the peer time to close its side.
        """
        self._closing = True
        self._expire_in(self.registry.limits.request)
        super().loseConnection()

    def expire(self, now: float) -> None:
        """
        Close an idle connection politely, drop a slow one.
        """
        if now < self._expires_at:
            return
        if self._reading or self._closing:
            self.registry.timed_out += not self._closing
            self._closing = True
            self.transport.abortConnection()
        else:
            self.loseConnection()

    def _answer_single_read(self, data: bytes) -> bool:
        """
        Process a request that has arrived in one piece. Returns ``False``, having done nothing, if this is none.
        """
        if self._reading or self._handlingRequest or self._busyReceiving or self._buffer:
            return False
        single = parse_single_read(data)
        if single is None or len(single.body) > self.registry.limits.body:
            return False
        request = self.requestFactory(self)
        request.requestHeaders = single.headers
        request.gotLength(len(single.body))
        request.handleContentChunk(single.body)
        self.requests.append(request)
        self._command, self._path, self._version = b"POST", single.path, b"HTTP/1.1"
        self.allContentReceived()
        return True

    def _rejection_status(self) -> int | None:
        if self.length is None:
            return None  # chunked, and counted while it is read
        if self.requests[-1].requestHeaders.hasHeader(b"Transfer-Encoding"):
            # Twisted ignores "identity"; a proxy in front may not.
            return http.BAD_REQUEST
        if self._command == b"POST" and self._transferDecoder is None and self.registry.limits.require_length:
            return http.LENGTH_REQUIRED
        return http.REQUEST_ENTITY_TOO_LARGE if self.length > self.registry.limits.body else None

    def _start_request(self) -> None:
        """
        Start the time in which a request must be complete, at its first byte.
        """
        if not (self._reading or self._handlingRequest or self._closing):
            self._reading = True
            self._expire_in(self.registry.limits.request)

    def _respondToBadRequestAndDisconnect(self) -> None:
        """
        Twisted's hook for broken framing; its own answer has no length.
        """
        self._refuse(http.BAD_REQUEST)

    def _refuse(self, status: int, size: int = 0) -> None:
        """
        Answer, ignore what follows, and close.

        Closing a socket with unread bytes resets the connection, which may overtake the answer (RFC 9112, section 9.6).
        So only our half is closed at first: a proxy that is still sending a body receives the 413. TLS waits for the
        peer's close by itself.
        """
        body = self.registry.refuse(status, size)
        self.transport.write(
            b"HTTP/1.1 %d %b\r\n%b\r\nConnection: close\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (status, http.RESPONSES[status], self.registry.header_lines(), len(body), body)
        )
        if ITCPTransport.providedBy(self.transport):
            self._closing = self.paused = True  # what has arrived already is not looked at either
            self._expire_in(self.registry.limits.request)
            self.transport.loseWriteConnection()
        else:
            self.loseConnection()


#: Bytes of a head, and lines. Twisted allows more.
_MAX_HEAD = 8 * 1024
_MAX_LINES = 100

_LINE = re.compile(rb"POST (/[!-~]*) HTTP/1\.1")
_LENGTH = re.compile(rb"[0-9]{1,9}")

#: Headers about connection or framing, which the fast path leaves to Twisted.
_EXCLUDED = frozenset(
    {b"Connection", b"Cookie", b"Expect", b"Keep-Alive", b"TE", b"Trailer", b"Transfer-Encoding", b"Upgrade"}
)

#: Header names as they were sent, and as Twisted spells them. Bounded, since clients may invent names.
_NAME_CACHE: dict[bytes, bytes] = {}
_NAME_CACHE_SIZE = 1000


@frozen
class SingleReadRequest:
    """
    A ``POST`` in HTTP/1.1 that has arrived in one piece, on a connection that stays open.
    """

    path: bytes
    headers: Headers
    body: bytes


def parse_single_read(data: bytes) -> SingleReadRequest | None:
    """
    Parse a request from all bytes that have arrived.

    :return: ``None`` unless this is exactly one request, of the plain kind.
    """
    head, end, body = data.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    line = _LINE.fullmatch(first)
    # No line end that another parser may not see as one, and no NUL.
    clean = head.count(b"\r") == head.count(b"\n") == len(lines) and b"\x00" not in head
    if line is None or not end or not clean or len(head) > _MAX_HEAD or len(lines) > _MAX_LINES:
        return None
    values: dict[bytes, list[bytes]] = {}
    for each in lines:
        written, colon, value = each.partition(b":")
        name = _NAME_CACHE.get(written) or _name(written)
        if not colon or name is None or name in _EXCLUDED:
            return None
        values.setdefault(name, []).append(value.strip(b" \t"))
    lengths = values.get(b"Content-Length", ())
    if len(lengths) != 1 or not _LENGTH.fullmatch(lengths[0]) or int(lengths[0]) != len(body):
        return None
    headers = Headers()
    # Its methods would check and spell each name again.
    headers._rawHeaders = values  # noqa: SLF001
    return SingleReadRequest(line[1], headers, body)


def _name(written: bytes) -> bytes | None:
    """
    The header name as Twisted spells it; ``None`` if it is invalid.
    """
    try:
        [(name, _)] = Headers({written: ()}).getAllRawHeaders()
    except InvalidHeaderName:
        return None
    if len(_NAME_CACHE) < _NAME_CACHE_SIZE:
        _NAME_CACHE[written] = name
    return name
