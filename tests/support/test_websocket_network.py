"""
Tests of :mod:`itsjustintv.support.websocket` over real connections, with and without TLS.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from time import time
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL.crypto import X509, PKey
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, CertificateOptions, trustRootFromCertificates
from twisted.trial.unittest import SkipTest, TestCase
from twisted.web.client import BrowserLikePolicyForHTTPS

from itsjustintv.support.http_agents import Endpoints
from itsjustintv.support.websocket import Closed, WebSocket, WebSocketDialer
from itsjustintv.tls.certificate import KEY_TYPES
from tests.support.peers import OfWsproto
from tests.support.test_http_agents import Here, Resolving
from tests.tls.authority import DAY, Issuer


class Serving(Protocol):
    """
    A server on a connection.
    """

    def __init__(self, begin: Callable[[Serving], object], received: list[bytes]) -> None:
        self.server = OfWsproto()
        self.begin = begin
        self.received = received
        self.lost: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        first = not self.received
        self.received.append(data)
        if not data.startswith(b"GET ") and first:
            self.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            return
        if answer := self.server.receive(data):
            self.transport.write(answer)
        if first:
            self.begin(self)

    def connectionLost(self, reason: Any = None) -> None:
        self.lost.callback(None)

    def reset(self) -> None:
        """
        End the connection by a RST.
        """
        transport: Any = self.transport
        transport.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abortConnection()


class Waiting:
    """
    A listener whose ends can be waited for.
    """

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.open: Deferred[None] = Deferred()
        self.end: Deferred[Closed] = Deferred()
        self.then: Callable[[], object] = lambda: None

    def opened(self) -> None:
        self.open.callback(None)

    def received(self, text: str) -> None:
        self.texts.append(text)
        self.then()

    def closed(self, closed: Closed) -> None:
        self.end.callback(closed)


class NetworkTestCase(TestCase):
    """
    A port, and a client that finds every name on this machine.
    """

    timeout = 20

    def setUp(self) -> None:
        self.received: list[bytes] = []
        self.served: list[Serving] = []
        self.listener = Waiting()

    def listen(
        self, begin: Callable[[Serving], object] = lambda _: None, options: Any = None, interface: str = "127.0.0.1"
    ) -> int:
        """
        Serve, and begin to talk once the request has come.
        """

        def build(_address: Any) -> Serving:
            self.served.append(Serving(begin, self.received))
            return self.served[-1]

        factory: Any = Factory()
        factory.noisy = False
        factory.buildProtocol = build
        where: Any = reactor
        port = (
            where.listenSSL(0, factory, options, interface=interface)
            if options
            else where.listenTCP(0, factory, interface=interface)
        )
        self.addCleanup(port.stopListening)
        return int(port.getHost().port)

    def dial(self, url: str, policy: Any = None) -> WebSocket:
        resolving: Any = Resolving(Here())
        endpoints = Endpoints(resolving, policy or BrowserLikePolicyForHTTPS())
        return WebSocketDialer(resolving, endpoints).dial(url, self.listener)


class TcpTests(NetworkTestCase):
    """
    Without TLS.
    """

    async def test_from_the_opening_to_the_end(self) -> None:
        """
        Messages come, and the close code.
        """

        def talk(serving: Serving) -> None:
            serving.transport.write(serving.server.text(["a", "b"]) + serving.server.close(4004, "too late"))

        port = self.listen(talk)
        self.dial(f"ws://example.org:{port}/ws")
        end = await self.listener.end
        self.assertEqual(self.listener.texts, ["ab"])
        self.assertEqual((end.code, end.opened), (4004, True))
        await self.served[0].lost
        self.assertEqual(self.served[0].server.seen, ["close:4004:too late"])

    async def test_ipv6(self) -> None:
        """
        An address in brackets is dialled.
        """
        try:
            port = self.listen(interface="::1")
        except Exception as error:
            raise SkipTest("this machine has no IPv6") from error
        resolver: Any = reactor
        dialer = WebSocketDialer(resolver, Endpoints(resolver, BrowserLikePolicyForHTTPS()))
        dialer.dial(f"ws://[::1]:{port}/", self.listener)
        await self.listener.open
        self.assertIn(f"Host: [::1]:{port}\r\n".encode(), self.received[0])
        self.served[0].transport.loseConnection()
        await self.listener.end

    async def test_ends_without_a_close_frame(self) -> None:
        """
        A FIN and a RST.
        """
        acts: list[Callable[[Serving], object]] = [
            lambda serving: serving.transport.loseConnection(),
            lambda serving: serving.reset(),
        ]
        for act in acts:
            self.listener = Waiting()
            self.received.clear()
            port = self.listen()
            self.dial(f"ws://example.org:{port}/")
            await self.listener.open
            act(self.served[-1])
            end = await self.listener.end
            self.assertEqual(
                end, Closed(None, f"example.org:{port} closed the connection without a close code", opened=True)
            )

    async def test_a_port_where_nobody_listens(self) -> None:
        """
        A refused connection is told.
        """
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
            self.dial(f"ws://example.org:{port}/")
            end = await self.listener.end
        self.assertEqual(end.reason, f"cannot connect to example.org:{port}: connection refused")

    async def test_a_message_without_end(self) -> None:
        """
        Of 8 MiB the client takes what it needs to see that it is too much.
        """

        def talk(serving: Serving) -> None:
            serving.transport.write(serving.server.text(["x" * (8 << 20)]))

        port = self.listen(talk)
        self.dial(f"ws://example.org:{port}/")
        end = await self.listener.end
        self.assertEqual((end.reason, self.listener.texts), ("a message had more than 256 KiB", []))
        await self.served[0].lost

    async def test_a_pause(self) -> None:
        """
        A client that reads nothing fills the buffers up to its server; afterwards everything arrives.
        """
        message, count = "x" * 100_000, 200
        done: Deferred[None] = Deferred()

        def talk(serving: Serving) -> None:
            serving.transport.write(b"".join(serving.server.text([message]) for _ in range(count)))

        def got() -> None:
            if len(self.listener.texts) == 1:
                connection.pause()
                reactor.callLater(0.2, resume)  # type: ignore[attr-defined]
            if len(self.listener.texts) == count:
                done.callback(None)

        def resume() -> None:
            self.assertEqual(len(self.listener.texts), 1)
            connection.resume()

        self.listener.then = got
        port = self.listen(talk)
        connection = self.dial(f"ws://example.org:{port}/")
        await done
        connection.close()
        await self.listener.end


class TlsTests(NetworkTestCase):
    """
    With TLS.
    """

    def serve(self, begin: Callable[[Serving], object] = lambda _: None) -> tuple[int, Any]:
        """
        Serve a certificate for ``example.org``.

        :return: the port, and a policy that trusts who issued it.
        """
        key, issuer = KEY_TYPES["p256"](), Issuer()
        leaf = issuer.issue(["example.org"], key.public_key(), time() - DAY, time() + DAY)
        options = CertificateOptions(
            PKey.from_cryptography_key(key),
            X509.from_cryptography(leaf),
            extraCertChain=[X509.from_cryptography(issuer.intermediate)],
        )
        root = Certificate.loadPEM(issuer.root.public_bytes(Encoding.PEM))
        return self.listen(begin, options), BrowserLikePolicyForHTTPS(trustRootFromCertificates([root]))

    async def test_the_right_name(self) -> None:
        """
        Messages come, and the connection is closed politely.
        """

        def talk(serving: Serving) -> None:
            serving.transport.write(serving.server.text(["a"]))

        port, policy = self.serve(talk)
        connection = self.dial(f"wss://example.org:{port}/ws", policy)
        await self.listener.open
        connection.close(1000, "done")
        self.assertEqual(await self.listener.end, Closed(None, "it was closed here", opened=True))
        self.assertEqual(self.listener.texts, ["a"])
        await self.served[0].lost
        self.assertEqual(self.served[0].server.seen, ["close:1000:done"])

    async def test_whom_it_does_not_believe(self) -> None:
        """
        A certificate of another name or of an unknown authority ends the connection before a byte of the request.
        """
        port, policy = self.serve()
        cases = (
            ("example.net", policy, "its certificate is for another name"),
            ("example.org", None, "its certificate cannot be verified: no known authority, not valid now, or this"),
        )
        for host, trusted, reason in cases:
            self.listener = Waiting()
            self.dial(f"wss://{host}:{port}/ws", trusted)
            end = await self.listener.end
            self.assertTrue(end.reason.startswith(f"cannot connect to {host}:{port}: {reason}"), end.reason)
            self.assertFalse(end.opened)
        self.assertEqual(self.received, [])

    async def test_a_server_without_tls(self) -> None:
        """
        What is no TLS is told as the reason.
        """
        port = self.listen()
        self.dial(f"wss://example.org:{port}/ws")
        end = await self.listener.end
        self.assertTrue(end.reason.startswith(f"cannot connect to example.org:{port}: TLS failed"), end.reason)

    async def test_an_end_without_a_close_frame(self) -> None:
        """
        An abrupt end is told like that of a connection without TLS.
        """
        port, policy = self.serve()
        self.dial(f"wss://example.org:{port}/ws", policy)
        await self.listener.open
        transport: Any = self.served[0].transport
        transport.abortConnection()
        end = await self.listener.end
        self.assertEqual(end.reason, f"example.org:{port} closed the connection without a close code")
