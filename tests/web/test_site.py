"""
Tests of :mod:`itsjustintv.web.site`: on real sockets where the claim is about them.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from resource import RLIMIT_NOFILE, getrlimit, setrlimit
from typing import Any
from unittest import SkipTest

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL.crypto import X509, PKey
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import Clock, deferLater
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request

from itsjustintv.web.connection_limits import ConnectionLimits
from itsjustintv.web.health import HealthResource
from itsjustintv.web.site import RootResource, make_site
from tests.web.test_http1 import LIMITS, Echo, Server, post


class Broken(Resource):
    """
    A resource with a defect.
    """

    isLeaf = True

    def render(self, request: Request) -> bytes:
        raise ZeroDivisionError("in the resource")


class Recorder(Protocol):
    """
    A client that keeps what it is sent.

    :ivar closed: fires with everything once the server has closed.
    :ivar reason: how it closed.
    """

    transport: Any
    reason: Failure

    def __init__(self) -> None:
        self.received = b""
        self.closed: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reason = reason
        self.closed.callback(self.received)


class RootTests(SynchronousTestCase):
    """
    Which path leads where.
    """

    def ask(self, path: bytes, method: bytes = b"GET", host: bytes = b"x") -> tuple[bytes, bytes]:
        """
        Ask a site with the resources of two paths; the answer's head and body.
        """
        server = Server()
        health = HealthResource(vital=[], clock=server.clock)
        resources: dict[bytes, IResource] = {
            b"/echo": Echo(),
            b"/health": health,
            b"/broken": Broken(),
        }
        server.site.resource = RootResource(resources)
        request = b"%b %b HTTP/1.1\r\nHost: %b\r\nContent-Length: 0\r\n\r\n" % (method, path, host)
        head, _, body = server.exchange(request).partition(b"\r\n\r\n")
        return head, body

    def test_banner(self) -> None:
        """
        The root says what this is, whatever the method.
        """
        for method in (b"GET", b"POST", b"DELETE"):
            head, body = self.ask(b"/", method)
            self.assertTrue(head.startswith(b"HTTP/1.1 200 OK"))
            self.assertIn(b"Content-Type: text/plain", head)
            self.assertEqual(body, b"itsjustintv - Twitch EventSub webhook bridge")

    def test_head_has_a_length_and_no_body(self) -> None:
        """
        HEAD is answered like GET, without the body.
        """
        for path in (b"/", b"/nowhere", b"/health"):
            head, body = self.ask(path, b"HEAD")
            self.assertIn(b"Content-Length: %d" % len(self.ask(path)[1]), head)
            self.assertEqual(body, b"")

    def test_head_is_not_worth_a_line(self) -> None:
        """
        A container's health check asks by HEAD all day long, and nothing is logged.
        """
        with capturedLogs() as logs:
            for path in (b"/", b"/nowhere", b"/health", b"/echo"):
                self.ask(path, b"HEAD")
        self.assertEqual(logs, [])

    def test_only_the_exact_path(self) -> None:
        """
        No other path leads to a resource, nor to a redirect, which Twitch would not follow.
        """
        self.assertEqual(self.ask(b"/echo?a=b"), (self.ask(b"/echo")))
        for path in (
            b"/nowhere",
            b"/echo/",
            b"//echo",
            b"/Echo",
            b"/%65cho",
            b"/echo/x",
            b"/%ff",
            b"*",
            b"http://x/echo",
        ):
            head, body = self.ask(path)
            self.assertTrue(head.startswith(b"HTTP/1.1 404 "), path)
            self.assertIn(b"Content-Type: application/json", head)
            self.assertEqual(body, b'{"status":"not found"}')

    def test_host_is_not_believed(self) -> None:
        """
        Klein is not troubled by a host that is no name.
        """
        for host in (b"", b"x" * 300, b"\xff", b"a..b"):
            head, _ = self.ask(b"/health", host=host)
            self.assertTrue(head.startswith(b"HTTP/1.1 200 OK"), host)

    def test_answers_tell_no_version(self) -> None:
        """
        The server has a name and a date, and every answer a length.
        """
        for path in (b"/", b"/echo", b"/health", b"/nowhere"):
            head, _ = self.ask(path)
            lines = head.split(b"\r\n")
            self.assertEqual([line for line in lines if line.lower().startswith(b"server")], [b"Server: itsjustintv"])
            self.assertIn(b"Date: Fri, 02 Jan 2026 03:04:06 GMT", lines)
            self.assertNotIn(b"chunked", head)
            self.assertIn(b"content-length:", head.lower())

    def test_defect_of_a_resource(self) -> None:
        """
        A resource that fails is a 500, and a traceback in the log only.
        """
        head, body = self.ask(b"/broken")
        self.assertTrue(head.startswith(b"HTTP/1.1 500 "))
        self.assertNotIn(b"ZeroDivision", body)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class SiteTests(SynchronousTestCase):
    """
    The factory.
    """

    def test_speaks_http_1_only(self) -> None:
        """
        By itself it offers nothing else, and its requests have limits in no other version.
        """
        self.assertEqual(make_site(Echo(), Clock(), LIMITS).acceptableProtocols(), [b"http/1.1"])

    def test_requests_are_not_logged(self) -> None:
        """
        There is no access log.
        """
        server = Server()
        with capturedLogs() as logs:
            server.exchange(post(b"x"))
        self.assertEqual(logs, [])

    def test_form_is_a_body_like_any_other(self) -> None:
        """
        No body is parsed before a resource asks for it.
        """
        form = post(b"a=b", b"Content-Type: application/x-www-form-urlencoded")
        self.assertTrue(Server().exchange(form).endswith(b"POST a=b"))

    def test_full_house_is_logged(self) -> None:
        """
        That connections are turned away is said at once, and then no more than once in ten seconds.
        """
        server = Server()
        kept = [server.connect() for _ in range(LIMITS.connections)]
        with capturedLogs() as logs:
            for _ in range(11):
                server.connect()
                server.pass_time(1)
                for channel, _ in kept:
                    channel.dataReceived(post(b""))
        self.assertEqual([(line["count"], line["limit"]) for line in logs], [(1, 3), (10, 3)])
        self.assertEqual({line["log_level"] for line in logs}, {LogLevel.warn})

    def test_what_no_resource_heard_of_is_logged(self) -> None:
        """
        Requests that were refused by their head, and connections that were cut, are counted in the log every ten
        seconds at the most.
        """
        server = Server()

        def send(data: bytes) -> None:
            channel, _ = server.connect()
            channel.dataReceived(data)
            channel.connectionLost(Failure(ConnectionDone()))

        with capturedLogs() as logs:
            for _ in range(2):
                send(post(b"x" * 1001))
                send(b"no request at all\r\n\r\n")
            server.exchange(b"POST / HTTP/1.1\r\n")
            server.pass_time(12)
            send(b"no request at all\r\n\r\n")
            server.pass_time(8)
            self.assertEqual(len(logs), 3)
            server.pass_time(1)
        self.assertEqual(
            [formatEvent(line) for line in logs],
            [
                "rejected 2 requests before routing: 400 bad request",
                (
                    "rejected 2 requests before routing: 413 request entity too large"
                    " (1,001 bytes announced, limit 1,000 bytes)"
                ),
                "dropped 1 connection: a request had not arrived within 10 s",
                "rejected 1 request before routing: 400 bad request",
            ],
        )


def context_factory() -> CertificateOptions:
    """
    A certificate of our own making.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    expiry = moment + timedelta(days=3650)
    certificate = x509.CertificateBuilder(name, name, key.public_key(), 1, moment, expiry).sign(key, hashes.SHA256())
    return CertificateOptions(PKey.from_cryptography_key(key), X509.from_cryptography(certificate))


class SocketTests(TestCase):
    """
    The limits, on loopback; time is a clock's.
    """

    timeout = 30

    def listen(
        self, limits: ConnectionLimits, wrap: Callable[[IProtocolFactory], IProtocolFactory] = lambda site: site
    ) -> int:
        """
        Listen on a port that the kernel picks.
        """
        self.clock = Clock()
        self.site = make_site(Echo(), self.clock, limits)
        port = reactor.listenTCP(0, wrap(self.site), interface="127.0.0.1")  # type: ignore[attr-defined]
        self.addCleanup(port.stopListening)
        self.endpoint: IStreamClientEndpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
        number: int = port.getHost().port
        return number

    async def connect(self) -> Recorder:
        """
        Open a connection, and close it after the test.
        """
        client = Recorder()
        await connectProtocol(self.endpoint, client)
        self.addCleanup(self.leave, client)
        return client

    async def leave(self, client: Recorder) -> None:
        """
        Close both ends of a connection.
        """
        if not client.closed.called:
            client.transport.abortConnection()
            await client.closed

    async def until(self, fact: Callable[[], bool]) -> None:
        """
        Let the reactor turn until something is so; the time limit of the test ends a wait in vain.
        """
        while not fact():
            await deferLater(reactor, 0.001, lambda: None)

    async def test_slow_sender_is_cut_off(self) -> None:
        """
        A request that trickles in is cut off, however steadily.
        """
        self.listen(ConnectionLimits())
        client = await self.connect()
        for number, byte in enumerate(post(b"x" * 1000)[:10]):
            client.transport.write(bytes([byte]))
            await self.until(lambda: any(channel._reading for channel in self.site.registry.open))
            self.assertFalse(client.closed.called, number)
            self.clock.advance(1)
        self.assertEqual(await client.closed, b"")
        self.assertEqual(self.site.registry.timed_out, 1)

    async def test_server_stops_reading_what_is_too_long(self) -> None:
        """
        Of a body without end the server takes no more than fits into the kernel's buffers, and closes.
        """
        number = self.listen(ConnectionLimits())
        chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        for head in (
            b"POST / HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        ):
            with socket.create_connection(("127.0.0.1", number)) as client:
                client.setblocking(False)
                client.sendall(head)
                sent = 0
                while sent < 1_000_000_000:
                    try:
                        sent += client.send(chunk)
                    except BlockingIOError:
                        pass
                    except (BrokenPipeError, ConnectionResetError):
                        break
                    await deferLater(reactor, 0, lambda: None)
            self.assertLess(sent, 16_000_000)
        self.assertEqual(self.site.registry.refused, {413: 2})

    async def test_refusal_reaches_the_sender(self) -> None:
        """
        Who waits for an answer before sending a body that is too long gets it, and the end of the connection.
        """
        self.listen(ConnectionLimits())
        client = await self.connect()
        client.transport.write(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1000000000\r\n\r\n")
        answer = await client.closed
        self.assertTrue(answer.startswith(b"HTTP/1.1 413 "))
        self.assertTrue(answer.endswith(b'{"status":"request entity too large"}'))

    async def test_refusal_reaches_who_sends_first(self) -> None:
        """
        Who sends all of a body that is too long before listening gets the answer, and then an orderly end.
        """
        self.listen(ConnectionLimits())
        for head in (
            b"POST / HTTP/1.1\r\nContent-Length: 600000\r\n\r\n",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n927c0\r\n",
        ):
            client = await self.connect()
            client.transport.pauseProducing()
            client.transport.write(head + b"x" * 600_000)
            await self.until(lambda: any(channel._discarded > 100_000 for channel in self.site.registry.open))
            client.transport.resumeProducing()
            self.assertTrue((await client.closed).startswith(b"HTTP/1.1 413 "))
            self.assertTrue(client.reason.check(ConnectionDone), client.reason)
            await self.until(lambda: not self.site.registry.open)

    async def test_one_connection_too_many(self) -> None:
        """
        A thousand connections are served; the next one is closed, and the others go on.
        """
        soft, hard = getrlimit(RLIMIT_NOFILE)
        if soft < 2100:
            if hard < 2100:
                raise SkipTest("a process may not have this many connections here")
            setrlimit(RLIMIT_NOFILE, (2100, hard))
            self.addCleanup(setrlimit, RLIMIT_NOFILE, (soft, hard))
        self.listen(ConnectionLimits())
        client_addresses = [await self.connect() for _ in range(1000)]
        await self.until(lambda: len(self.site.registry.open) == 1000)
        one_too_many = await self.connect()
        self.assertEqual(await one_too_many.closed, b"")
        self.assertEqual(self.site.registry.rejected, 1)
        client_addresses[999].transport.write(post(b"still here"))
        await self.until(lambda: client_addresses[999].received.endswith(b"POST still here"))

    async def test_limits_hold_behind_tls(self) -> None:
        """
        TLS changes neither the answers nor the limits.
        """
        options = context_factory()
        self.listen(ConnectionLimits(connections=1), lambda site: TLSMemoryBIOFactory(options, False, site))
        self.endpoint = wrapClientTLS(CertificateOptions(), self.endpoint)
        client = await self.connect()
        client.transport.write(post(b"hello"))
        await self.until(lambda: client.received.endswith(b"POST hello"))
        one_too_many = await self.connect()
        self.assertEqual(await one_too_many.closed, b"")
        client.transport.write(b"POST / HTTP/1.1\r\n\r\n" + post(b"again") * 2)
        answer = await client.closed
        self.assertEqual(answer.count(b"HTTP/1.1"), 2)
        self.assertIn(b"HTTP/1.1 411 ", answer)
        await self.until(lambda: not self.site.registry.open)
