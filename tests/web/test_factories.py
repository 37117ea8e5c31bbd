"""
Tests of :mod:`itsjustintv.web.factories`.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.web.client_address import ClientAddresses
from itsjustintv.web.factories import AlpnFactory, make_chain
from tests.web.test_http1 import Server, post

ADDRESS = IPv4Address("TCP", "192.0.2.1", 4711)
#: How HTTP/2 begins, and how our answer to that does: with a frame of settings, of 18 bytes and more.
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
SETTINGS = b"\x04\x00\x00\x00\x00\x00"


class Agreed(StringTransport):
    """
    A transport whose two ends have agreed on something, or on nothing.
    """

    def __init__(self, agreed: bytes | None) -> None:
        super().__init__()
        self.negotiatedProtocol = agreed


class ChainTests(SynchronousTestCase):
    """
    What a connection passes between the socket and the site.
    """

    def setUp(self) -> None:
        self.server = Server()
        self.plain: Any = None
        self.encrypted: Any = None
        self.expects_header = True
        self.chain = make_chain(
            self.server.site,
            self.choose,
            lambda: False,
            ClientAddresses(lambda: ("192.0.2.1",)),
            lambda: self.expects_header,
        )

    def choose(self, plain: Any, encrypted: Any) -> Any:
        """
        Serve in plain HTTP, and note both factories.
        """
        self.plain, self.encrypted = plain, encrypted
        return plain

    def test_tls_is_put_before_alpn_and_plain_http_before_the_site(self) -> None:
        """
        The step of TLS is given the site itself, and one that negotiates the version, as HTTP/2 is configured.
        """
        self.assertIs(self.plain, self.server.site)
        self.assertIsInstance(self.encrypted, AlpnFactory)
        self.assertEqual(self.encrypted.acceptableProtocols(), [b"http/1.1"])

    def test_the_header_of_a_proxy_comes_first(self) -> None:
        """
        A trusted proxy states the client before TLS would begin, if that is configured.
        """
        for expects_header in (True, False):
            self.expects_header = expects_header
            transport = StringTransport()
            protocol = self.chain.buildProtocol(ADDRESS)
            assert protocol is not None
            protocol.makeConnection(transport)
            protocol.dataReceived(b"PROXY TCP4 198.51.100.7 192.0.2.1 1 2\r\n" * expects_header + post(b"hello"))
            self.assertTrue(transport.value().startswith(b"HTTP/1.1 200 OK"), transport.value())


class VersionTests(SynchronousTestCase):
    """
    What is spoken after the handshake.
    """

    def setUp(self) -> None:
        self.server = Server()
        self.registry = self.server.site.registry

    def connect(self, agreed: bytes | None) -> tuple[Any, Agreed]:
        """
        Open a connection, up to the end of its handshake.
        """
        protocol = AlpnFactory(self.server.site, lambda: True).buildProtocol(ADDRESS)
        assert protocol is not None
        transport = Agreed(agreed)
        protocol.makeConnection(transport)
        self.assertEqual(len(self.registry.open), 1)
        protocol.handshakeCompleted()  # type: ignore[attr-defined]
        return protocol, transport

    def test_http_1_1_unless_http_2_was_agreed_upon(self) -> None:
        """
        As when nothing was.
        """
        for agreed in (None, b"http/1.1"):
            protocol, transport = self.connect(agreed)
            protocol.dataReceived(post(b"hello"))
            self.assertTrue(transport.value().endswith(b"POST hello"))
            protocol.connectionLost(Failure(ConnectionDone()))

    def test_http_2_when_it_was(self) -> None:
        """
        And the connection is counted once, and no more when it is over.
        """
        protocol, transport = self.connect(b"h2")
        protocol.dataReceived(GREETING)
        self.assertEqual(transport.value()[3:9], SETTINGS)
        self.assertEqual(len(self.registry.open), 1)
        protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(len(self.registry.open), 0)

    def test_a_handshake_has_the_time_of_a_request(self) -> None:
        """
        Whoever does not come to its end is not waited for.
        """
        protocol = AlpnFactory(self.server.site, lambda: True).buildProtocol(ADDRESS)
        assert protocol is not None
        transport = Agreed(None)
        protocol.makeConnection(transport)
        self.server.pass_time(10)
        self.assertTrue(transport.disconnecting)

    def test_one_too_many_is_turned_away_before(self) -> None:
        """
        Whatever it would have spoken.
        """
        for number in range(3):
            self.server.site.buildProtocol(ADDRESS).makeConnection(Agreed(None))
            self.assertEqual(len(self.registry.open), number + 1)
        protocol = AlpnFactory(self.server.site, lambda: True).buildProtocol(ADDRESS)
        assert protocol is not None
        transport = Agreed(b"h2")
        protocol.makeConnection(transport)
        self.assertTrue(transport.disconnected)

    def test_what_is_offered_is_asked_for_each_connection(self) -> None:
        """
        HTTP/2 first, and not at all once it is switched off.
        """
        switches = iter((True, False, True))
        versions = AlpnFactory(self.server.site, lambda: next(switches))
        both, one = [b"h2", b"http/1.1"], [b"http/1.1"]
        self.assertEqual([versions.acceptableProtocols() for _ in range(3)], [both, one, both])
