"""
The server's side of WebSocket connections (RFC 6455), which can also misbehave. Knows nothing of EventSub.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from logging import CRITICAL
from logging import Logger as SilentLogger
from typing import Any, Protocol

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime, ISSLTransport
from twisted.internet.protocol import Factory
from twisted.internet.protocol import Protocol as WireProtocol
from twisted.python.failure import Failure
from websockets.exceptions import InvalidState
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

__all__ = ["ServerSocket", "SocketListener", "WebSocketFactory"]

#: Seconds that a client has to answer a close frame (RFC 6455, 7.1.1), before the connection is aborted.
_CLOSING = 2.0

# What clients do wrong is answered, and is no failure of the simulator.
_SILENT = SilentLogger("websockets", CRITICAL + 1)  # noqa: LOG001 - one that no configuration reaches


class SocketListener(Protocol):
    """
    Is called with what happens on the sockets of a server.
    """

    def asked(self, socket: ServerSocket, request: Request) -> None:
        """
        A client wants to open a WebSocket; answered by :meth:`ServerSocket.accept` or :meth:`ServerSocket.refuse`.
        """

    def received(self, socket: ServerSocket, opcode: Opcode) -> None:
        """
        The client sent a text, a binary frame or a ping, which has been answered.
        """

    def ponged(self, socket: ServerSocket) -> None:
        """
        The client answered a ping.
        """

    def ended(self, socket: ServerSocket, *, orderly: bool) -> None:
        """
        The client closed the socket, or the connection is gone; called once, for sockets that were asked for.

        :param orderly: whether it ended with a close frame or at least with a FIN.
        """


class ServerSocket(WireProtocol):
    """
    One WebSocket.

    :ivar silent: whether nothing is sent and everything that arrives is ignored, as behind a network that is gone.
    """

    def __init__(self, clock: IReactorTime, listener: SocketListener) -> None:
        self._clock = clock
        self._listener = listener
        self._engine = ServerProtocol(logger=_SILENT)
        self._request: Request | None = None
        self._deadline: IDelayedCall | None = None
        self._over = False
        self.silent = False

    @property
    def open(self) -> bool:
        """
        Whether frames can be sent; a silent socket looks open.
        """
        return self._engine.state is OPEN and not self._over

    @property
    def scheme(self) -> str:
        """
        Of its URL: ``wss`` if the connection is encrypted.
        """
        return "wss" if ISSLTransport.providedBy(self.transport) else "ws"

    def dataReceived(self, data: bytes) -> None:
        """
        Read what the client sent.
        """
        if self.silent:
            return
        self._engine.receive_data(data)
        for event in self._engine.events_received():
            if isinstance(event, Request):
                self._request = event
                self._listener.asked(self, event)
            elif isinstance(event, Frame):
                self._heard(event)
        self._flush()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """
        Let the listener know.
        """
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        if self.silent:
            # What a client does at its end of a dead connection cannot be seen at this one.
            return
        self._engine.receive_eof()
        self._end(orderly=bool(reason.check(ConnectionDone)))

    def accept(self) -> None:
        """
        Open the WebSocket, or say what is wrong with the request.
        """
        if self._request is not None:
            self._engine.send_response(self._engine.accept(self._request))
            self._flush()

    def refuse(self, status: int, body: str, headers: Mapping[str, str]) -> None:
        """
        Answer a request with an HTTP status instead.
        """
        response = self._engine.reject(HTTPStatus(status), body)
        for name, value in headers.items():
            response.headers[name] = value
        self._engine.send_response(response)
        self._flush()

    def send_text(self, text: bytes) -> None:
        """
        Send one text message, UTF-8; nothing if the socket is closing.
        """
        if self.open:
            self._engine.send_text(text)
            self._flush()

    def send_binary(self, data: bytes) -> None:
        """
        Send one binary message, which Twitch never does.
        """
        if self.open:
            self._engine.send_binary(data)
            self._flush()

    def send_bytes(self, data: bytes) -> None:
        """
        Write bytes that need not be a frame.
        """
        if not self.silent:
            self._wire.write(data)

    def ping(self, payload: bytes) -> None:
        """
        Ask for a pong.
        """
        if self.open:
            self._engine.send_ping(payload)
            self._flush()

    def close(self, code: int, reason: str = "") -> None:
        """
        Send a close frame; the connection ends when the client has answered it, or after two seconds.
        """
        try:
            self._engine.send_close(code, reason)
        except InvalidState:
            return
        self._flush()
        if not self.silent:
            self._deadline = self._clock.callLater(_CLOSING, self.abort)

    def finish(self) -> None:
        """
        End the connection with a FIN, without a close frame.
        """
        self._wire.loseConnection()

    def abort(self) -> None:
        """
        End the connection with an RST.
        """
        self._wire.abortConnection()

    @property
    def _wire(self) -> Any:
        return self.transport

    def _heard(self, frame: Frame) -> None:
        if frame.opcode is Opcode.PONG:
            self._listener.ponged(self)
        elif frame.opcode is Opcode.CLOSE:
            self._end(orderly=True)
        else:
            self._listener.received(self, frame.opcode)

    def _end(self, *, orderly: bool) -> None:
        if self._request is not None and not self._over:
            self._over = True
            self._listener.ended(self, orderly=orderly)

    def _flush(self) -> None:
        for data in self._engine.data_to_send():
            if self.silent:
                continue
            if data:
                self._wire.write(data)
            else:
                # What the sans-I/O core says for: end the connection.
                self._wire.loseConnection()


class WebSocketFactory(Factory):
    """
    Makes a socket for each connection.
    """

    noisy = False

    def __init__(self, clock: IReactorTime, listener: SocketListener) -> None:
        self._clock = clock
        self._listener = listener

    def buildProtocol(self, addr: IAddress | None) -> ServerSocket:  # noqa: ARG002 - all are treated alike
        """
        Make one.
        """
        socket = ServerSocket(self._clock, self._listener)
        socket.factory = self
        return socket
