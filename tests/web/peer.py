"""
A client of HTTP/2: that of h2, which may be made to do wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import define, field
from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from hyperframe.frame import (
    Frame,
)
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.web.connection_limits import ConnectionLimits
from itsjustintv.web.factories import AlpnFactory
from itsjustintv.web.http2.connection import HTTP2Connection
from tests.web.test_http1 import Echo, Server

LIMITS = ConnectionLimits(
    body=1000,
    request=10.0,
    idle=60.0,
    connections=5,
    busy_from=5,
    streams=10,
    busy_streams=2,
    buffered=3000,
    discarded=5000,
)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

Fields = Sequence[tuple[bytes, bytes]]


class Secured(StringTransport):
    """
    A transport whose two ends have agreed on HTTP/2.
    """

    negotiatedProtocol = b"h2"


def head(method: bytes = b"POST", path: bytes = b"/", *more: tuple[bytes, bytes]) -> Fields:
    """
    The head of a request.
    """
    named = (b":method", method), (b":scheme", b"https"), (b":authority", b"x.example"), (b":path", path)
    return [*named, *more]


@define(eq=False)
class Answer:
    """
    What has come back on one stream.
    """

    status: int = 0
    headers: dict[bytes, bytes] = field(factory=dict)
    body: bytes = b""
    ended: bool = False
    reset: int | None = None
    invited: bool = False


@define(eq=False)
class Peer:
    """
    A connection of a client to a site.
    """

    server: Server
    #: Takes what it reads as read, and so lets more come.
    reads: bool = True
    answers: dict[int, Answer] = field(factory=dict, init=False)
    goodbye: int | None = field(default=None, init=False)
    h2: H2Connection = field(init=False)
    transport: Secured = field(factory=Secured, init=False)
    protocol: Any = field(init=False)

    def __attrs_post_init__(self) -> None:
        # What is malformed must be possible to send.
        config = H2Configuration(
            header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self.h2 = H2Connection(config)
        site = AlpnFactory(self.server.site, lambda: True)
        self.protocol = site.buildProtocol(IPv4Address("TCP", "192.0.2.1", 4711))
        self.protocol.makeConnection(self.transport)
        self.protocol.handshakeCompleted()
        self.h2.initiate_connection()

    @property
    def channel(self) -> HTTP2Connection:
        """
        The server's end.
        """
        channel: HTTP2Connection = self.protocol._channel
        return channel

    def flush(self) -> None:
        """
        Say what there is to say, and hear the answers.
        """
        while data := self.h2.data_to_send():
            self.protocol.dataReceived(data)
            self.server.clock.pump([0] * 10)
            self.hear()

    def give(self, data: bytes) -> None:
        """
        Say something in bytes, and let a turn of the reactor go by.
        """
        self.protocol.dataReceived(data)
        self.server.clock.advance(0)

    def send(self, *frames: Frame) -> None:
        """
        Say something that the client of h2 would not.
        """
        self.flush()
        self.protocol.dataReceived(b"".join(frame.serialize() for frame in frames))
        self.server.clock.pump([0] * 10)
        self.hear()
        self.flush()

    def hear(self) -> None:
        """
        Hear what there is to hear.
        """
        data = self.transport.value()
        self.transport.clear()
        for event in self.h2.receive_data(data):
            number = getattr(event, "stream_id", None)
            answer = self.answers.setdefault(number, Answer()) if number else Answer()
            if isinstance(event, events.ResponseReceived):
                answer.headers = dict(event.headers or ())
                answer.status = int(answer.headers[b":status"])
            elif isinstance(event, events.InformationalResponseReceived):
                answer.invited = True
            elif isinstance(event, events.DataReceived):
                answer.body += event.data or b""
                if self.reads and number:
                    self.h2.acknowledge_received_data(event.flow_controlled_length or 0, number)
            elif isinstance(event, events.StreamEnded):
                answer.ended = True
            elif isinstance(event, events.StreamReset):
                answer.reset = int(event.error_code or 0)
            elif isinstance(event, events.ConnectionTerminated):
                self.goodbye = int(event.error_code or 0)

    def begin(self, fields: Fields, *, end: bool = False) -> int:
        """
        Send a head.
        """
        number = self.h2.get_next_available_stream_id()
        self.h2.send_headers(number, fields, end_stream=end)
        self.flush()
        return number

    def data(self, number: int, data: bytes, *, end: bool = False) -> None:
        """
        Send a part of a body.
        """
        self.h2.send_data(number, data, end_stream=end)
        self.flush()

    def ask(self, body: bytes = b"", *more: tuple[bytes, bytes], method: bytes = b"POST", path: bytes = b"/") -> Answer:
        """
        Send a request, and take what comes back at once.
        """
        number = self.begin(head(method, path, *more))
        self.data(number, body, end=True)
        return self.answers.get(number, Answer())

    def lose(self) -> None:
        """
        Be gone.
        """
        self.protocol.connectionLost(Failure(ConnectionDone()))


class HTTP2Case(SynchronousTestCase):
    """
    A test with one connection.
    """

    limits = LIMITS
    patient = False

    def setUp(self) -> None:
        self.resource = Echo(self.patient)
        self.server = Server(self.resource, limits=self.limits)
        self.peer = Peer(self.server)
        self.registry = self.server.site.registry
