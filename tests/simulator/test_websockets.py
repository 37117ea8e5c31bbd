"""
The server's side of a WebSocket: what its listener is called with.
"""

from __future__ import annotations

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from websockets.client import ClientProtocol
from websockets.frames import Opcode
from websockets.http11 import Request
from websockets.uri import parse_uri

from itsjustintv.simulator.websockets import ServerSocket, WebSocketFactory


class Recorder:
    """
    Accepts every socket, and remembers what it was called with.
    """

    def __init__(self) -> None:
        self.calls: list[object] = []

    def asked(self, socket: ServerSocket, request: Request) -> None:
        self.calls.append(request.path)
        socket.accept()

    def received(self, _socket: ServerSocket, opcode: Opcode) -> None:
        self.calls.append(opcode)

    def ponged(self, _socket: ServerSocket) -> None:
        self.calls.append("pong")

    def ended(self, _socket: ServerSocket, *, orderly: bool) -> None:
        self.calls.append(orderly)


class ServerSocketTests(SynchronousTestCase):
    """
    One socket, and bytes.
    """

    def setUp(self) -> None:
        self.recorder = Recorder()
        self.wire = StringTransport()
        self.socket = WebSocketFactory(Clock(), self.recorder).buildProtocol(None)
        self.socket.makeConnection(self.wire)
        self.client = ClientProtocol(parse_uri("ws://twitch.test/somewhere?x=y"))
        self.client.send_request(self.client.connect())

    def push(self) -> None:
        """
        Let the server have what the client sent, byte by byte.
        """
        for data in self.client.data_to_send():
            for each in data:
                self.socket.dataReceived(bytes([each]))
        self.client.receive_data(self.wire.value())
        self.wire.clear()

    def end(self, reason: Exception) -> None:
        self.socket.connectionLost(Failure(reason))

    def test_all_that_a_client_sends(self) -> None:
        """
        A request, messages, a ping that is answered, and a pong, also one byte at a time.
        """
        self.push()
        self.client.send_text(b"ahoy")
        self.client.send_binary(b"\0")
        self.client.send_ping(b"?")
        self.push()
        self.socket.ping(b"!")
        self.push()
        self.push()
        self.assertEqual(self.recorder.calls, ["/somewhere?x=y", Opcode.TEXT, Opcode.BINARY, Opcode.PING, "pong"])
        self.assertTrue(self.socket.open)

    def test_an_end_is_told_once(self) -> None:
        """
        A close frame is an orderly end, and what happens to the connection afterwards is none.
        """
        self.push()
        self.client.send_close(1000)
        self.push()
        self.end(ConnectionLost())
        self.assertEqual(self.recorder.calls[1:], [True])
        self.assertFalse(self.socket.open)

    def test_a_connection_that_ends(self) -> None:
        """
        A FIN is orderly, an RST is not.
        """
        for reason, orderly in ((ConnectionDone(), True), (ConnectionLost(), False)):
            self.setUp()
            self.push()
            self.end(reason)
            self.assertEqual(self.recorder.calls[1:], [orderly])

    def test_who_asks_nothing_is_not_told_of(self) -> None:
        """
        A connection without a whole request leaves no trace.
        """
        self.socket.dataReceived(b"GET / HT")
        self.end(ConnectionDone())
        self.assertEqual(self.recorder.calls, [])

    def test_nothing_is_sent_to_a_closing_socket(self) -> None:
        """
        After a close frame there are no messages, no pings, and no second close frame.
        """
        self.push()
        self.socket.close(4000, "over")
        self.assertFalse(self.socket.open)
        sent = self.wire.value()
        self.socket.send_text(b"late")
        self.socket.send_binary(b"late")
        self.socket.ping(b"late")
        self.socket.close(4001)
        self.assertEqual(self.wire.value(), sent)
