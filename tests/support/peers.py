"""
Two servers of WebSockets that are not ours, and a client's connection to one of them without a network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.client import URI
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Event,
    Message,
    Ping,
    Pong,
    TextMessage,
)
from wsproto.events import Request as Asked

from itsjustintv.support.websocket import Closed, WebSocket, WebSocketDialer

URL = "ws://example.org/ws"


class Server(Protocol):
    """
    The server's end of one connection. Each method returns the bytes that it sends.

    :ivar seen: what the client sent: ``ping:...``, ``pong:...``, ``close:1000:...`` and ``text:...``.
    """

    seen: list[str]

    def receive(self, data: bytes) -> bytes: ...

    def text(self, parts: Sequence[str]) -> bytes: ...

    def ping(self, payload: bytes) -> bytes: ...

    def close(self, code: int, reason: str) -> bytes: ...


class OfWsproto:
    """
    The server of wsproto.
    """

    def __init__(self) -> None:
        self._engine = WSConnection(ConnectionType.SERVER)
        self.seen: list[str] = []

    def receive(self, data: bytes) -> bytes:
        """
        Answer what a server has to answer.
        """
        self._engine.receive_data(data)
        return b"".join(self._engine.send(answer) for event in self._engine.events() for answer in self._answers(event))

    def _answers(self, event: Event) -> list[Event]:
        if isinstance(event, Asked):
            return [AcceptConnection()]
        if isinstance(event, CloseConnection):
            self.seen.append(f"close:{event.code}:{event.reason or ''}")
            return [] if self._engine.state.name == "CLOSED" else [event.response()]
        if isinstance(event, Ping | Pong):
            self.seen.append(f"{type(event).__name__.lower()}:{bytes(event.payload).decode()}")
        elif isinstance(event, Message):
            self.seen.append(f"text:{event.data}")
        return []

    def text(self, parts: Sequence[str]) -> bytes:
        last = len(parts) - 1
        return b"".join(
            self._engine.send(TextMessage(part, message_finished=number == last)) for number, part in enumerate(parts)
        )

    def ping(self, payload: bytes) -> bytes:
        return self._engine.send(Ping(payload))

    def close(self, code: int, reason: str) -> bytes:
        return self._engine.send(CloseConnection(code, reason))


class OfWebsockets:
    """
    The server of websockets.
    """

    def __init__(self) -> None:
        self._engine = ServerProtocol()
        self.seen: list[str] = []

    def receive(self, data: bytes) -> bytes:
        """
        Answer what a server has to answer.
        """
        self._engine.receive_data(data)
        for event in self._engine.events_received():
            if isinstance(event, Request):
                self._engine.send_response(self._engine.accept(event))
            elif isinstance(event, Frame):
                self._saw(event)
        return self._sent()

    def _saw(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE:
            close = self._engine.close_rcvd
            assert close is not None
            self.seen.append(f"close:{close.code}:{close.reason}")
        else:
            self.seen.append(f"{frame.opcode.name.lower()}:{bytes(frame.data).decode()}")

    def text(self, parts: Sequence[str]) -> bytes:
        last = len(parts) - 1
        for number, part in enumerate(parts):
            send = self._engine.send_text if number == 0 else self._engine.send_continuation
            send(part.encode(), fin=number == last)
        return self._sent()

    def ping(self, payload: bytes) -> bytes:
        self._engine.send_ping(payload)
        return self._sent()

    def close(self, code: int, reason: str) -> bytes:
        self._engine.send_close(code, reason)
        return self._sent()

    def _sent(self) -> bytes:
        return b"".join(self._engine.data_to_send())


#: Both of them.
SERVERS: Sequence[Callable[[], Server]] = (OfWsproto, OfWebsockets)


@define(eq=False)
class Listener:
    """
    Remembers what it is called for, and may do something meanwhile.
    """

    events: list[str] = field(factory=list)
    closes: list[Closed] = field(factory=list)
    then: Callable[[str], object] = lambda text: None

    def opened(self) -> None:
        assert not self.closes
        self.events.append("opened")

    def received(self, text: str) -> None:
        assert self.events and not self.closes
        self.events.append(text)
        self.then(text)

    def closed(self, closed: Closed) -> None:
        self.closes.append(closed)

    @property
    def end(self) -> Closed:
        """
        How it ended; told exactly once.
        """
        [closed] = self.closes
        return closed


class MemoryTransport(StringTransport):
    """
    Counts what is asked of it. The end of the connection is told by a test, or by an abortion at once.
    """

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True
        self.disconnecting = True
        self.lose(ConnectionAborted())

    def lose(self, error: Exception) -> None:
        """
        Tell the protocol that the connection is lost.
        """
        protocol, self.protocol = self.protocol, None
        if protocol is not None:
            protocol.connectionLost(Failure(error))

    def taken(self) -> bytes:
        """
        What was written since the last time.
        """
        data = self.value()
        self.clear()
        return data


@define(eq=False)
class MemoryEndpoints:
    """
    Makes endpoints whose connections a test makes.
    """

    uris: list[bytes] = field(factory=list)
    factories: list[Any] = field(factory=list)
    connecting: list[Deferred[Any]] = field(factory=list)
    cancelled: int = 0
    fault: Exception | None = None

    def endpointForURI(self, uri: URI) -> Any:
        if self.fault is not None:
            raise self.fault
        self.uris.append(uri.toBytes())
        return self

    def connect(self, factory: Any) -> Deferred[Any]:
        def cancel(_: object) -> None:
            self.cancelled += 1

        self.factories.append(factory)
        self.connecting.append(Deferred(cancel))
        return self.connecting[-1]

    def establish(self, *, secure: bool = False) -> MemoryTransport:
        """
        Let the last attempt succeed, even if it was cancelled just before.

        :param secure: whether TLS follows, which is then complete.
        """
        protocol = self.factories[-1].buildProtocol(None)
        transport = MemoryTransport()
        transport.protocol = protocol
        protocol.makeConnection(transport)
        if not self.connecting[-1].called:
            self.connecting[-1].callback(protocol)
        if secure:
            protocol.handshakeCompleted()
        return transport


@define(eq=False)
class Connected:
    """
    A client and a server, and what is between them.
    """

    server: Server
    clock: Clock
    listener: Listener
    websocket: WebSocket
    transport: MemoryTransport
    protocol: Any

    @classmethod
    def to(cls, server: Server, url: str = URL) -> Connected:
        """
        Connect; the request of the client waits to be sent.
        """
        clock, listener, endpoints = Clock(), Listener(), MemoryEndpoints()
        websocket = WebSocketDialer(clock, endpoints).dial(url, listener)
        clock.advance(0)
        transport = endpoints.establish(secure=url.startswith("wss"))
        return cls(server, clock, listener, websocket, transport, transport.protocol)

    @classmethod
    def opened(cls, server: Server) -> Connected:
        """
        Connect, and complete the handshake.
        """
        made = cls.to(server)
        made.receive(made.answer())
        assert made.listener.events == ["opened"]
        return made

    def answer(self) -> bytes:
        """
        What the server answers to what the client has sent.
        """
        return self.server.receive(self.transport.taken())

    def receive(self, data: bytes) -> None:
        """
        Let data arrive at the client, unless its connection is gone.
        """
        if self.transport.protocol is not None and data:
            self.protocol.dataReceived(data)

    def exchange(self) -> None:
        """
        Let both talk until neither has anything to say.
        """
        while (data := self.transport.taken()) and (answer := self.server.receive(data)):
            self.receive(answer)

    def fin(self) -> None:
        """
        The server ends the TCP connection.
        """
        self.transport.lose(ConnectionDone())
