"""
A client of WebSockets (RFC 6455) on Twisted. The protocol itself is the core of ``websockets``, which does no I/O.

Text messages come in; nothing goes out but the handshake, pongs and the close frame. Extensions are not offered:
``permessage-deflate`` would take a dozen times the memory of an idle connection.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from logging import CRITICAL
from logging import Logger as SilentLogger
from typing import Protocol, cast

from attrs import define, frozen
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHandshakeListener,
    IProtocol,
    IProtocolFactory,
    IPushProducer,
    IReactorTime,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import URI
from twisted.web.iweb import IAgentEndpointFactory
from websockets.client import ClientProtocol
from websockets.exceptions import PayloadTooBig
from websockets.frames import Close, CloseCode, Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import WebSocketURI
from zope.interface import implementer

from itsjustintv import __version__
from itsjustintv.support.causes import cause
from itsjustintv.support.durations import duration
from itsjustintv.support.foreign_text import quote
from itsjustintv.support.http_response import one_line
from itsjustintv.support.http_url import HttpUrl, after_host

__all__ = [
    "Closed",
    "Dialer",
    "WebSocket",
    "WebSocketConnection",
    "WebSocketDialer",
    "WebSocketListener",
    "websocket_url",
]

#: Bytes of a message at the most.
_LARGEST = 256 * 1024
# In seconds: the look-up, TCP and TLS together; then the opening handshake; and from the first close frame, or a
# request to close, until the connection is gone.
_CONNECT = 10.0
_HANDSHAKE = 10.0
_GRACE = 2.0

# Faults of the peer are told to the listener, and nothing else is worth a line.
_SILENT = SilentLogger("websockets", CRITICAL + 1)  # noqa: LOG001 - one that no configuration reaches

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})[ \r\n]")
_STATUS_LENGTH = 13

_CLOSED_HERE = "it was closed here"


@frozen
class Closed:
    """
    How a connection ended, or why there was none.

    :ivar code: the close code that the peer sent (RFC 6455, section 7.4), 1005 for a close frame without one; ``None``
        if it sent none, or only in answer to ours.
    :ivar reason: in plain words, without a full stop.
    :ivar opened: whether the opening handshake had succeeded.
    """

    code: int | None
    reason: str
    opened: bool


class WebSocketListener(Protocol):
    """
    Is called by a connection, from :meth:`opened` to :meth:`closed`.
    """

    def opened(self) -> None:
        """
        The opening handshake succeeded.
        """

    def received(self, text: str) -> None:
        """
        A message arrived. This may still be called after a :meth:`WebSocket.close`: the peer had sent it before.
        """

    def closed(self, closed: Closed) -> None:
        """
        The connection is gone, or the dialling failed. Called exactly once, as the last, and for each dialling.
        """


class WebSocket(Protocol):
    """
    A connection as its listener sees it.
    """

    def close(self, code: int = 1000, reason: str = "") -> None:
        """
        Close politely. Ends a pause. ``closed`` is called within two seconds.
        """

    def abort(self) -> None:
        """
        Close at once, and tell nothing but ``closed``, possibly before this returns.
        """

    def pause(self) -> None:
        """
        Stop reading. Nothing is told to the listener before :meth:`resume`, not even a loss.
        """

    def resume(self) -> None:
        """
        Read on. What had been received is told before this returns.
        """


class Dialer(Protocol):
    """
    Makes connections.
    """

    def dial(self, url: str, listener: WebSocketListener) -> WebSocket:
        """
        Begin to connect. Never raises, and calls the listener only after it has returned.
        """


def websocket_url(text: str) -> HttpUrl:
    """
    Parse a ``ws`` or ``wss`` URL, as the ``http`` or ``https`` URL that its handshake is a request for.

    :raises ValueError: it is neither, or as :meth:`HttpUrl.parse` says.
    """
    if not text[:6].lower().startswith(("ws://", "wss://")):
        raise ValueError("not a ws or wss URL")
    try:
        return HttpUrl.parse(f"http{text[2:]}")
    except ValueError as error:
        raise ValueError(str(error).replace("an http or https", "a ws or wss")) from None


@define(eq=False)
class WebSocketDialer:
    """
    Connects to WebSocket servers.

    :ivar endpoints: makes the endpoint for an ``http`` or ``https`` URL, the latter with TLS that verifies the name.
    """

    _clock: IReactorTime
    _endpoints: IAgentEndpointFactory

    def dial(self, url: str, listener: WebSocketListener) -> WebSocket:
        """
        Begin to connect. The request has the path and the query of the URL exactly as they are written.
        """
        try:
            target = _Target.of(url)
        except ValueError as error:
            closed = Closed(None, f"the address cannot be used: {error}", opened=False)
            self._clock.callLater(0, listener.closed, closed)
            return _NoConnection()
        connection = WebSocketConnection(self._clock, target, listener)
        # In a turn of its own, so that the caller has the connection before its listener is called.
        self._clock.callLater(0, connection.connect, self._endpoints)
        return connection


@frozen
class _Target:
    """
    Where a connection goes.

    :ivar path: the request target (RFC 9112, section 3.2.1), as it is written in the URL.
    """

    url: HttpUrl
    path: str

    @classmethod
    def of(cls, text: str) -> _Target:
        """
        :raises ValueError: nothing can be sent there.
        """
        url = websocket_url(text)
        path = after_host(text).partition("#")[0]
        if not path.isprintable() or " " in path:
            raise ValueError("not a ws or wss URL")
        return cls(url, path if path.startswith("/") else f"/{path}")

    @property
    def secure(self) -> bool:
        return self.url.scheme == "https"


@frozen
class _NoConnection:
    """
    Stands for a connection that cannot be.
    """

    def close(self, code: int = 1000, reason: str = "") -> None:
        pass

    def abort(self) -> None:
        pass

    def pause(self) -> None:
        pass

    def resume(self) -> None:
        pass


@implementer(IProtocolFactory)
@frozen
class _OneConnection:
    """
    Has one protocol, which exists already.
    """

    _connection: IProtocol

    def doStart(self) -> None:
        pass

    def doStop(self) -> None:
        pass

    def buildProtocol(self, addr: IAddress | None) -> IProtocol:  # noqa: ARG002
        return self._connection


@implementer(IHandshakeListener)
class WebSocketConnection(TwistedProtocol):
    """
    One connection, from the dialling to its end.
    """

    log = Logger()

    def __init__(self, clock: IReactorTime, target: _Target, listener: WebSocketListener) -> None:
        self._clock = clock
        self._target = target
        self._listener = listener
        self._core = ClientProtocol(
            WebSocketURI(target.secure, target.url.host, target.url.port, target.path, ""),
            max_size=_LARGEST,
            logger=_SILENT,
        )
        self._connecting: Deferred[IProtocol] | None = None
        self._deadline: IDelayedCall | None = None
        # How far it has come.
        self._requested = self._opened = self._failed = self._aborted = False
        # The beginning of the answer, and the message that is being received.
        self._head, self._text = b"", bytearray()
        # Why it ends, from when that is known, and the code that the peer gave.
        self._reason = ""
        self._code: int | None = None
        # What the listener is still to be told, and the last of it.
        self._events: deque[Callable[[], None]] = deque()
        self._closed: Closed | None = None
        self._paused = self._telling = self._over = False

    def connect(self, endpoints: IAgentEndpointFactory) -> None:
        """
        Connect, once.
        """
        if self._aborted:
            self._finish("")
            return
        url = URI.fromBytes(str(self._target.url).encode("ascii"))
        self._within(_CONNECT, lambda: self._break_off(self._no_connection(f"no answer within {duration(_CONNECT)}")))
        self._connecting = maybeDeferred(lambda: endpoints.endpointForURI(url).connect(_OneConnection(self)))
        self._connecting.addErrback(self._not_connected)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """
        Close politely.
        """
        if not self._opened:
            self.abort()
            return
        if self._core.state is State.OPEN and self._live:
            self._core.send_close(code, reason)
            self._end(_CLOSED_HERE)
        self.resume()

    def abort(self) -> None:
        """
        Close at once.
        """
        self._events.clear()
        self._break_off(_CLOSED_HERE)
        self._paused = False
        self._tell()

    def pause(self) -> None:
        """
        Stop reading. The opening handshake is read to its end.
        """
        self._paused = True
        if self._opened and self._live:
            cast("IPushProducer", self.transport).pauseProducing()

    def resume(self) -> None:
        """
        Read on.
        """
        if not self._paused:
            return
        self._paused = False
        self._tell()
        # The listener may have paused it again, or ended it.
        if self._opened and self._live and not self._paused:
            cast("IPushProducer", self.transport).resumeProducing()

    def connectionMade(self) -> None:
        if self._aborted:
            self._io.abortConnection()
        elif not self._target.secure:
            self._request()

    def handshakeCompleted(self) -> None:
        """
        TLS is established, and the certificate is verified.
        """
        if not self._aborted:
            self._request()

    def dataReceived(self, data: bytes) -> None:
        if self._aborted:
            return
        if not self._opened and (status := self._refusal(data)):
            self._break_off(f"{self._peer} answered with HTTP status {status} instead of opening a WebSocket")
            return
        self._core.receive_data(data)
        if self._core.handshake_exc is not None:
            self._break_off(f"the answer of {self._peer} does not open a WebSocket")
            return
        # What the listener does shall not delay a pong.
        self._write()
        for event in self._core.events_received():
            if self._failed or self._aborted:
                return
            if isinstance(event, Response):
                self._open()
            elif isinstance(event, Frame):
                self._handle(event)
        if self._core.parser_exc is not None and not self._failed and not self._aborted:
            self._failed = True
            self._end(_fault(self._core.parser_exc))

    def _not_connected(self, failure: Failure) -> None:
        self._finish(self._no_connection(cause(cast("BaseException", failure.value))))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._opened:
            self._finish(f"{self._peer} closed the connection without a close code")
        elif self._requested:
            self._finish(f"{self._peer} closed the connection during the WebSocket handshake")
        else:
            self._not_connected(reason)

    @property
    def _io(self) -> ITCPTransport:
        return cast("ITCPTransport", self.transport)

    @property
    def _live(self) -> bool:
        """
        Whether the transport can still be used.
        """
        return self._closed is None and not self._aborted

    @property
    def _peer(self) -> str:
        return self._target.url.authority

    def _no_connection(self, reason: str) -> str:
        return f"cannot connect to {self._peer}: {one_line(reason)}"

    def _request(self) -> None:
        """
        Begin the opening handshake (RFC 6455, section 4.1).
        """
        self._requested = True
        request = self._core.connect()
        request.headers["User-Agent"] = f"itsjustintv/{__version__}"
        self._core.send_request(request)
        reason = f"{self._peer} did not answer the WebSocket handshake within {duration(_HANDSHAKE)}"
        self._within(_HANDSHAKE, lambda: self._break_off(reason))
        self._write()

    def _refusal(self, data: bytes) -> int:
        """
        Find an HTTP status other than 101 at the beginning of the answer, however long the rest of it may be.

        :return: 0 while there is none.
        """
        self._head += data[: _STATUS_LENGTH - len(self._head)]
        found = _STATUS.match(self._head)
        return int(found[1]) if found and found[1] != b"101" else 0

    def _open(self) -> None:
        self._cancel_deadline()
        self._opened = True
        if self._paused:
            cast("IPushProducer", self.transport).pauseProducing()
        self._tell(self._listener.opened)

    def _handle(self, frame: Frame) -> None:
        """
        Handle a frame in turn; the core has answered a ping already, and a close frame.
        """
        if frame.opcode is Opcode.CLOSE:
            close = cast("Close", self._core.close_rcvd)
            self._code = self._code if self._reason else close.code
            self._end(_closing(self._peer, close))
            self._io.loseConnection()
        elif frame.opcode is Opcode.BINARY:
            self._fail(CloseCode.UNSUPPORTED_DATA, "a message was binary")
        elif frame.opcode in (Opcode.TEXT, Opcode.CONT):
            self._text += frame.data
            if frame.fin:
                content, self._text = self._text, bytearray()
                try:
                    text = content.decode()
                except UnicodeDecodeError:
                    self._fail(CloseCode.INVALID_DATA, "a message was not UTF-8")
                else:
                    self._tell(lambda: self._listener.received(text))

    def _fail(self, code: CloseCode, reason: str) -> None:
        """
        Refuse to go on (RFC 6455, section 7.1.7).
        """
        self._failed = True
        self._core.fail(code, reason)
        self._end(reason)

    def _end(self, reason: str) -> None:
        """
        Send the close frame, and give the peer some time to end the connection. The first reason counts.
        """
        if not self._reason:
            self._reason = reason
            self._within(_GRACE, lambda: self._break_off(reason))
        self._write()

    def _break_off(self, reason: str) -> None:
        """
        End the connection, or the attempt to have one, now.
        """
        self._reason = self._reason or reason
        if not self._live:
            return
        self._aborted = True
        if self.transport is not None:
            self._io.abortConnection()
        elif self._connecting is not None:
            self._connecting.cancel()

    def _finish(self, reason: str) -> None:
        """
        Have the listener told that it is over.
        """
        self._cancel_deadline()
        if self._closed is None:
            self._closed = Closed(self._code, self._reason or reason, self._opened)
            self._tell()

    def _tell(self, event: Callable[[], None] | None = None) -> None:
        """
        Call the listener: one event after the other, and none during a pause.
        """
        if event is not None:
            self._events.append(event)
        if self._telling:
            return
        self._telling = True
        while self._events and not self._paused:
            self._call(self._events.popleft())
        if (closed := self._closed) is not None and not self._paused and not self._over:
            self._over = True
            self._call(lambda: self._listener.closed(closed))
        self._telling = False

    def _call(self, event: Callable[[], None]) -> None:
        try:
            event()
        except Exception:  # noqa: BLE001 - an exception here would end the connection
            self.log.failure("cannot handle what arrived from {peer}", peer=self._peer)

    def _write(self) -> None:
        if data := b"".join(self._core.data_to_send()):
            self._io.write(data)

    def _within(self, seconds: float, then: Callable[[], None]) -> None:
        self._cancel_deadline()
        self._deadline = self._clock.callLater(seconds, then)

    def _cancel_deadline(self) -> None:
        deadline, self._deadline = self._deadline, None
        if deadline is not None and deadline.active():
            deadline.cancel()


def _closing(peer: str, close: Close) -> str:
    """
    Say how the peer closed the connection.
    """
    if close.code == CloseCode.NO_STATUS_RCVD:
        return f"{peer} closed the connection without a reason"
    return f"{peer} closed the connection with code {close.code}" + (f": {quote(close.reason)}" if close.reason else "")


def _fault(error: Exception) -> str:
    """
    Say why the core did not go on.
    """
    if isinstance(error, PayloadTooBig):
        return f"a message had more than {_LARGEST // 1024} KiB"
    if isinstance(error, UnicodeDecodeError):
        return "the reason of a close frame was not UTF-8"
    return f"a frame broke the WebSocket protocol: {one_line(str(error))}"
