"""
Tests of :mod:`itsjustintv.web.factories`.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import ILoggingContext
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Request

from itsjustintv.web.client_address import ClientAddresses
from itsjustintv.web.connection_limits import ConnectionLimits
from itsjustintv.web.factories import ProxyProtocol
from itsjustintv.web.site import make_site

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
V1 = b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 443\r\n"
V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack(
    "!H4s4sHH", 12, socket.inet_aton("203.0.113.9"), socket.inet_aton("192.0.2.1"), 4711, 443
)


class Who(Resource):
    """
    Answers with the client's address.
    """

    isLeaf = True

    def render(self, request: Request) -> bytes:
        address: str = request.getClientAddress().host
        return address.encode()


class ProxyProtocolTests(SynchronousTestCase):
    """
    Connections with a header of the PROXY protocol, and without.
    """

    def setUp(self) -> None:
        """
        Build a site that expects it of 10.0.0.1.
        """
        self.enabled = True
        self.clock = Clock()
        client_addresses = ClientAddresses(lambda: ("10.0.0.1",))
        self.site = make_site(Who(), self.clock, ConnectionLimits(), client_addresses)
        self.factory = ProxyProtocol(self.site, client_addresses, lambda: self.enabled)
        self.factory.doStart()
        self.addCleanup(self.factory.doStop)

    def test_ports_go_by_the_name_of_what_is_inside(self) -> None:
        """
        In the lines that Twisted writes about them.
        """
        self.assertEqual(ILoggingContext(self.factory).logPrefix(), "http")

    def connect(self, peer: str = "10.0.0.1") -> tuple[Callable[[bytes], None], StringTransport]:
        """
        Open a connection.
        """
        address = IPv4Address("TCP", peer, 1)
        protocol, transport = self.factory.buildProtocol(address), StringTransport(peerAddress=address)
        assert protocol is not None
        protocol.makeConnection(transport)
        return protocol.dataReceived, transport

    def answer(self, data: bytes, peer: str = "10.0.0.1") -> bytes:
        """
        Send something over a connection of its own; the body of what comes back.
        """
        say, transport = self.connect(peer)
        say(data)
        head, _, body = transport.value().partition(b"\r\n\r\n")
        return body if b" 200 " in head else head

    def test_both_versions(self) -> None:
        """
        The client is the one that the header names, whatever the request claims.
        """
        for header in (V1, V2):
            self.assertEqual(self.answer(header + REQUEST), b"203.0.113.9")

    def test_several_requests(self) -> None:
        """
        The header comes once, and holds for every request of the connection.
        """
        say, transport = self.connect()
        say(V1)
        say(REQUEST)
        say(REQUEST)
        self.assertEqual(transport.value().count(b"203.0.113.9"), 2)

    def test_a_header_that_names_nobody(self) -> None:
        """
        A proxy that asks for itself, as for a check of health, is the client.
        """
        local = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\0\0"
        for header in (b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ::1 ::1 1 2\r\n", local):
            self.assertEqual(self.answer(header + REQUEST), b"10.0.0.1")

    def test_without_the_header(self) -> None:
        """
        A connection of a trusted proxy that does not begin with it is closed, and nothing is answered.
        """
        say, transport = self.connect()
        say(REQUEST)
        self.assertEqual((transport.value(), transport.disconnecting), (b"", True))

    def test_a_stranger(self) -> None:
        """
        Anybody else is served as usual, and a header from there is no request.
        """
        self.assertEqual(self.answer(REQUEST, "198.51.100.7"), b"198.51.100.7")
        self.assertIn(b" 400 ", self.answer(V1 + REQUEST, "198.51.100.7"))

    def test_switched_off(self) -> None:
        """
        When it is not expected the header is never looked for.
        """
        self.enabled = False
        self.assertEqual(self.answer(REQUEST), b"10.0.0.1")
        self.assertIn(b" 400 ", self.answer(V1 + REQUEST))

    def test_a_header_that_never_comes(self) -> None:
        """
        The time in which a request must arrive includes its header.
        """
        _, transport = self.connect()
        self.clock.pump([1.0] * 12)
        self.assertTrue(transport.disconnecting)

    def test_its_name_in_the_log(self) -> None:
        """
        It goes by the name of what is inside.
        """
        self.assertEqual(self.factory.logPrefix(), "http")
