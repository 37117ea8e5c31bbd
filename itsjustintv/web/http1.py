"""
One HTTP/1.1 connection, held to limits before any resource hears of a request.
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

__all__ = ["HTTP1Connection", "HeadTooLong", "Refusal", "SingleReadRequest", "read"]


class HeadTooLong(Exception):
    """
    A body without a declared length has outgrown the limit.
    """


class Refusal(Protocol):
    """
    A connection that is one too many.

    Under TLS the factory of the listener cannot decline by building no protocol, so this is built and hangs up.
    """

    # What aborts a connection is in no interface that TCP's and TLS's transports share.
    transport: Any

    def connectionMade(self) -> None:
        """
        Hang up.
        """
        self.transport.abortConnection()


class HTTP1Connection(BaseConnection, http.HTTPChannel):
    """
    Twisted's channel, with a deadline, and with an eye on a request's head before its body is read.

    :ivar site: what built it.
    """

    site: server.Site
    transport: Any
    _reading = False

    def connectionMade(self) -> None:
        """
        Start the time in which the first request must arrive.
        """
        self.traffic.enter(self)
        self._grant(self.traffic.limits.request)
        super().connectionMade()

    def give_way(self) -> None:
        """
        Be no connection any more: it is to speak another version of HTTP.
        """
        self.traffic.leave(self)
        self.transport.unregisterProducer()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Make room for another connection.
        """
        self.traffic.leave(self)
        super().connectionLost(reason)

    def dataReceived(self, data: bytes) -> None:
        """
        Read on, unless the connection is being closed; TLS goes on to deliver what a peer sends after that.
        """
        if self._leaving:
            self._drain(len(data))
            return
        if self._take(data):
            return
        self._begin()
        try:
            super().dataReceived(data)
        except ValueError:
            # int() takes no more than some thousand digits, and Content-Length may have more.
            self._respondToBadRequestAndDisconnect()
        if self._buffer:
            self._begin()

    def rawDataReceived(self, data: bytes) -> None:
        """
        Read a body, up to the limit.
        """
        try:
            super().rawDataReceived(data)
        except HeadTooLong:
            self._refuse(http.REQUEST_ENTITY_TOO_LARGE)

    def allHeadersReceived(self) -> None:
        """
        Refuse from the head alone what can be refused, which includes not inviting a body by ``100 Continue``.
        """
        refusal = self._why_not()
        if refusal is None:
            super().allHeadersReceived()
        else:
            too_large = refusal == http.REQUEST_ENTITY_TOO_LARGE
            self._refuse(refusal, (self.length or 0) if too_large else 0)

    def allContentReceived(self) -> None:
        """
        Stop the clock while the request is answered.
        """
        if not self._leaving:
            self._reading = False
            self._until = inf
            super().allContentReceived()

    def requestDone(self, request: http.Request) -> None:
        """
        Start the time in which the next request must begin.
        """
        self._grant(self.traffic.limits.idle)
        super().requestDone(request)

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Headers) -> None:
        """
        Write a head in one piece; the transport looks at every piece it is given.
        """
        lines = [b"%b %b %b" % (version, code, reason), self.traffic.imprint()]
        lines += [b"%b: %b" % (name, value) for name, values in headers.getAllRawHeaders() for value in values]
        self.transport.write(b"\r\n".join([*lines, b"", b""]))

    def lineLengthExceeded(self, line: bytes) -> None:  # noqa: ARG002 - the name is Twisted's
        """
        Refuse a line that does not end.
        """
        self._respondToBadRequestAndDisconnect()

    def loseConnection(self) -> None:
        """
        Close, and allow the peer some time to take its leave.
        """
        self._leaving = True
        self._grant(self.traffic.limits.request)
        super().loseConnection()

    def expire(self, now: float) -> None:
        """
        End the connection if its time is up: an idle one politely, a slow one at once.
        """
        if now < self._until:
            return
        if self._reading or self._leaving:
            self.traffic.slow += not self._leaving
            self._leaving = True
            self.transport.abortConnection()
        else:
            self.loseConnection()

    def _take(self, data: bytes) -> bool:
        """
        Begin to answer a request that has arrived in one piece, if this is one.

        :return: whether it was; otherwise nothing has happened.
        """
        if self._reading or self._handlingRequest or self._busyReceiving or self._buffer:
            return False
        whole = read(data)
        if whole is None or len(whole.body) > self.traffic.limits.body:
            return False
        request = self.requestFactory(self)
        request.requestHeaders = whole.headers
        request.gotLength(len(whole.body))
        request.handleContentChunk(whole.body)
        self.requests.append(request)
        self._command, self._path, self._version = b"POST", whole.path, b"HTTP/1.1"
        self.allContentReceived()
        return True

    def _why_not(self) -> int | None:
        """
        Judge a head: the status to refuse with, or ``None``.
        """
        if self.length is None:
            return None  # chunked, and counted while it is read
        if self.requests[-1].requestHeaders.hasHeader(b"Transfer-Encoding"):
            # Twisted takes "identity" for nothing at all; whoever stands before us may take it for something.
            return http.BAD_REQUEST
        if self._command == b"POST" and self._transferDecoder is None and self.traffic.limits.declared:
            return http.LENGTH_REQUIRED
        return http.REQUEST_ENTITY_TOO_LARGE if self.length > self.traffic.limits.body else None

    def _begin(self) -> None:
        """
        Start the time in which a request must be complete, when this is its first byte.
        """
        if not (self._reading or self._handlingRequest or self._leaving):
            self._reading = True
            self._grant(self.traffic.limits.request)

    def _respondToBadRequestAndDisconnect(self) -> None:
        """
        Twisted's hook for broken framing; its own answer has no length.
        """
        self._refuse(http.BAD_REQUEST)

    def _refuse(self, status: int, size: int = 0) -> None:
        """
        Answer without making anything of what follows, and close.

        To close a socket with unread bytes is to reset the connection, which may overtake the answer (RFC 9112, section
        9.6). So only our half is closed at first: a proxy that is still sending a body hears 413, and not that we are
        gone. TLS waits for the peer's farewell by itself.
        """
        body = self.traffic.refuse(status, size)
        self.transport.write(
            b"HTTP/1.1 %d %b\r\n%b\r\nConnection: close\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (status, http.RESPONSES[status], self.traffic.imprint(), len(body), body)
        )
        if ITCPTransport.providedBy(self.transport):
            self._leaving = self.paused = True  # what has arrived already is not looked at either
            self._grant(self.traffic.limits.request)
            self.transport.loseWriteConnection()
        else:
            self.loseConnection()


#: Bytes of a head, and lines. Twisted allows more.
_LONGEST = 8 * 1024
_MOST = 100

_LINE = re.compile(rb"POST (/[!-~]*) HTTP/1\.1")
_LENGTH = re.compile(rb"[0-9]{1,9}")

#: What a head may say about its connection or the framing of its body, beside Content-Length.
_ELSEWHERE = frozenset(
    {b"Connection", b"Cookie", b"Expect", b"Keep-Alive", b"TE", b"Trailer", b"Transfer-Encoding", b"Upgrade"}
)

#: Names as they were written, and as Twisted has them. Strangers may invent names, so not all are kept.
_NAMES: dict[bytes, bytes] = {}
_KEPT = 1000


@frozen
class SingleReadRequest:
    """
    A ``POST`` in HTTP/1.1 whose connection stays.
    """

    path: bytes
    headers: Headers
    body: bytes


def read(data: bytes) -> SingleReadRequest | None:
    """
    Read a request from all that has arrived.

    :return: ``None`` when this is not one request, no more and no less, or not one of the plain kind.
    """
    head, end, body = data.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    line = _LINE.fullmatch(first)
    # Neither a line end that only one of two readers takes for one, nor a byte that no head may have.
    clean = head.count(b"\r") == head.count(b"\n") == len(lines) and b"\x00" not in head
    if line is None or not end or not clean or len(head) > _LONGEST or len(lines) > _MOST:
        return None
    values: dict[bytes, list[bytes]] = {}
    for each in lines:
        written, colon, value = each.partition(b":")
        name = _NAMES.get(written) or _name(written)
        if not colon or name is None or name in _ELSEWHERE:
            return None
        values.setdefault(name, []).append(value.strip(b" \t"))
    lengths = values.get(b"Content-Length", ())
    if len(lengths) != 1 or not _LENGTH.fullmatch(lengths[0]) or int(lengths[0]) != len(body):
        return None
    headers = Headers()
    # Its own methods would check and write each name again.
    headers._rawHeaders = values  # noqa: SLF001
    return SingleReadRequest(line[1], headers, body)


def _name(written: bytes) -> bytes | None:
    """
    The name of a header as Twisted has it; ``None`` when it is not one.
    """
    try:
        [(name, _)] = Headers({written: ()}).getAllRawHeaders()
    except InvalidHeaderName:
        return None
    if len(_NAMES) < _KEPT:
        _NAMES[written] = name
    return name
