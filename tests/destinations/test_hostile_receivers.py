"""
Hostile receivers on real sockets, and the row that each leaves in the journal.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any, ClassVar

from attrs import evolve
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from twisted.internet import reactor as _reactor
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import Certificate, CertificateOptions, PrivateCertificate, trustRootFromCertificates
from twisted.internet.task import LoopingCall
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from twisted.web.client import URI, Agent, BrowserLikePolicyForHTTPS, HTTPConnectionPool
from twisted.web.error import SchemeNotSupported

from itsjustintv.destinations.http_sender import HttpSender
from itsjustintv.model import Attempt, Delivery, Destination, State
from itsjustintv.support.http_agents import Endpoints

reactor: Any = _reactor

#: The deadline of an attempt here, in seconds.
DEADLINE = 0.3

DELIVERY = Delivery(
    id="e1-1",
    event_id="e1",
    streamer="foo",
    destination="home",
    accepted_at=0.0,
    next_attempt_at=0.0,
    state=State.PENDING,
    body=b'{"streamer_login":"foo"}',
)

Behaviour = Callable[["Persona"], None]


class Persona(Protocol):
    """
    A receiver that does one thing when a request has arrived, and then again after each ``every`` seconds.
    """

    factory: Zoo

    def connectionMade(self) -> None:
        self.factory.connections.append(self)
        self.gone: Deferred[None] = Deferred()
        self.received = b""
        self.loop: LoopingCall | None = None

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        if self.received.endswith(DELIVERY.body):
            self.factory.behaviour(self)

    def say(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)

    def answer(self, status: int, *headers: str, body: bytes = b"") -> None:
        lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *headers, "", ""]
        self.say("\r\n".join(lines).encode() + body)

    def drip(self, data: bytes, every: float) -> None:
        self.loop = LoopingCall(self.say, data)
        self.loop.start(every)

    def hang_up(self) -> None:
        assert self.transport is not None
        self.transport.loseConnection()

    def reset_later(self) -> None:
        # What is reset at once may never be read.
        reactor.callLater(0.1, self.reset)

    def reset(self) -> None:
        transport: Any = self.transport
        transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.loop is not None and self.loop.running:
            self.loop.stop()
        self.gone.callback(None)


class Zoo(Factory[Persona]):
    """
    Listens for one persona.
    """

    protocol = Persona

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.connections: list[Persona] = []


class ZooTestCase(TestCase):
    """
    A sender on the real reactor.
    """

    timeout = 10

    def setUp(self) -> None:
        self.zoos: list[Zoo] = []
        self.ports: list[int] = []
        self.pool = HTTPConnectionPool(reactor)
        self.pool.cachedConnectionTimeout = 2
        self.addCleanup(self.closed)

    async def _closed(self) -> None:
        await self.pool.closeCachedConnections()
        for zoo in self.zoos:
            await DeferredList([each.gone for each in zoo.connections])

    def closed(self) -> Deferred[None]:
        """
        Every connection has to come to its end, whatever the receiver does.
        """
        return Deferred.fromCoroutine(self._closed())

    def listen(self, behaviour: Behaviour, options: CertificateOptions | None = None) -> tuple[Zoo, int]:
        """
        Open a port for one persona.
        """
        zoo = Zoo(behaviour)
        self.zoos.append(zoo)
        if options is None:
            port = reactor.listenTCP(0, zoo, interface="127.0.0.1")
        else:
            port = reactor.listenSSL(0, zoo, options, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.ports.append(port.getHost().port)
        return zoo, self.ports[-1]

    def send(self, url: str, trusted: Certificate | None = None, deadline: float = DEADLINE) -> Deferred[Attempt]:
        """
        Send something as the daemon would.
        """
        root = None if trusted is None else trustRootFromCertificates([trusted])
        policy = BrowserLikePolicyForHTTPS(root)
        agent = Agent.usingEndpointFactory(reactor, Endpoints(reactor, policy, strict=True), self.pool)
        sender = HttpSender(agent, reactor, lambda: deadline)
        return sender.send(DELIVERY, Destination(name="home", url=url, secret="s3cret"))

    async def meet(self, behaviour: Behaviour, deadline: float = DEADLINE) -> tuple[Attempt, Zoo]:
        """
        Send something to a persona.
        """
        zoo, port = self.listen(behaviour)
        return await self.send(f"http://127.0.0.1:{port}/hook", deadline=deadline), zoo

    def open(self) -> set[object]:
        """
        Every connection that the reactor is reading from or writing to.
        """
        return {each for each in (*reactor.getReaders(), *reactor.getWriters()) if hasattr(each, "getPeer")}

    def row(self, attempt: Attempt) -> tuple[bool, str, int | None]:
        """
        What the journal would keep of an attempt.
        """
        return attempt.ok, attempt.reason, attempt.status


class PlainTests(ZooTestCase):
    """
    Receivers without TLS.
    """

    async def test_refuse(self) -> None:
        """
        A port that nobody listens on refuses.
        """
        port = reactor.listenTCP(0, Factory(), interface="127.0.0.1")
        number = port.getHost().port
        await port.stopListening()
        attempt = await self.send(f"http://127.0.0.1:{number}/", deadline=5.0)
        self.assertEqual(self.row(attempt), (False, "refused", None))

    async def test_a_connection_that_the_receiver_was_closing(self) -> None:
        """
        A connection that is closed without a byte as it is used again costs no attempt: the request goes over another.
        One that is closed so the first time it is used is the receiver's failure.
        """

        def once(persona: Persona) -> None:
            if persona.received.count(DELIVERY.body) > 1:
                persona.hang_up()
            else:
                persona.answer(200)

        first, zoo = await self.meet(once, 5.0)
        again = await self.send(f"http://127.0.0.1:{self.ports[-1]}/hook", deadline=5.0)
        self.assertEqual((self.row(first), self.row(again)), ((True, "delivered", 200),) * 2)
        self.assertEqual([each.received.count(DELIVERY.body) for each in zoo.connections], [2, 1])

    async def test_silence_on_a_connection_that_is_used_again(self) -> None:
        """
        The deadline ends an attempt on such a connection too; nothing is sent after it.
        """
        first, zoo = await self.meet(lambda it: it.answer(200) if it.received.count(DELIVERY.body) == 1 else None, 5.0)
        again = await self.send(f"http://127.0.0.1:{self.ports[-1]}/hook")
        self.assertEqual((self.row(first), self.row(again)), ((True, "delivered", 200), (False, "timeout", None)))
        self.assertEqual([each.received.count(DELIVERY.body) for each in zoo.connections], [2])

    async def test_unknown_name(self) -> None:
        """
        A name that does not exist cannot be resolved.
        """
        attempt = await self.send("http://nobody.invalid/", deadline=5.0)
        self.assertEqual(self.row(attempt), (False, "dns", None))

    async def test_personas(self) -> None:
        """
        Every way to misbehave has its row, and none takes longer than the deadline.
        """
        chunk = b"5\r\nhello\r\n"
        for name, behaviour, row in [
            ("blackhole", lambda _: None, (False, "timeout", None)),
            ("hang up", Persona.hang_up, (False, "reset", None)),
            ("reset", Persona.reset, (False, "reset", None)),
            ("good", lambda it: it.answer(200, body=b"thanks"), (True, "delivered", 200)),
            ("no content", lambda it: it.answer(204), (True, "delivered", 204)),
            ("continue", lambda it: it.say(b"HTTP/1.1 100 Continue\r\n\r\n" * 9), (False, "timeout", 100)),
            ("busy", lambda it: it.answer(503), (False, "http_503", 503)),
            ("gone", lambda it: it.answer(410), (False, "gone", 410)),
            ("not HTTP", lambda it: it.say(b"220 mail.example.org ESMTP\r\n"), (False, "error", None)),
            ("no number", lambda it: it.say(b"HTTP/1.1 two Hundred\r\n\r\n"), (False, "error", None)),
            ("own status", lambda it: it.answer(999), (False, "error", 999)),
            ("negative", lambda it: it.say(b"HTTP/1.1 -200 OK\r\nContent-Length: 0\r\n\r\n"), (False, "error", None)),
            ("half a line", lambda it: it.say(b"HTTP/1.1 2"), (False, "timeout", None)),
            ("endless line", lambda it: it.drip(b"x" * 65536, 0), (False, "error", None)),
            ("slow line", lambda it: it.drip(b"H", 0.05), (False, "error", None)),
            (
                "slow headers",
                lambda it: (it.say(b"HTTP/1.1 200 OK\r\n"), it.drip(b"H", 0.05)),
                (True, "delivered", 200),
            ),
            (
                "two lengths",
                lambda it: it.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc"),
                (True, "delivered", 200),
            ),
            (
                "bad length",
                lambda it: it.say(b"HTTP/1.1 503 No\r\nContent-Length: -4\r\n\r\n"),
                (False, "http_503", 503),
            ),
            (
                "broken off",
                lambda it: (it.say(b"HTTP/1.1 200 OK\r\nContent-"), it.hang_up()),
                (True, "delivered", 200),
            ),
            ("switches", lambda it: it.say(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"), (False, "http_101", 101)),
            ("HTTP/2", lambda it: it.say(b"\0\0\6\4\0\0\0\0\0\0\3\0\0\0\1"), (False, "error", None)),
            ("TLS", lambda it: it.say(b"\x15\x03\x01\0\2\2\x16"), (False, "error", None)),
            (
                "bad chunk",
                lambda it: it.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
                (True, "delivered", 200),
            ),
            (
                "too short",
                lambda it: (it.say(b"HTTP/1.1 500 No\r\nContent-Length: 100\r\n\r\nhalf"), it.hang_up()),
                (False, "http_500", 500),
            ),
            (
                "reset in the body",
                lambda it: (it.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"), it.reset_later()),
                (True, "delivered", 200),
            ),
            (
                "slow body",
                lambda it: (it.say(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"), it.drip(b"x", 0.05)),
                (True, "delivered", 200),
            ),
            (
                "slow failure",
                lambda it: (it.say(b"HTTP/1.1 500 No\r\nContent-Length: 99\r\n\r\n"), it.drip(b"x", 0.05)),
                (False, "http_500", 500),
            ),
            (
                "endless body",
                lambda it: (
                    it.say(b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n"),
                    it.drip(chunk * 5000, 0),
                ),
                (False, "http_500", 500),
            ),
        ]:
            with self.subTest(name):
                begun = reactor.seconds()
                attempt, zoo = await self.meet(behaviour)  # type: ignore[arg-type]
                self.assertLess(reactor.seconds() - begun, DEADLINE + 1.0)
                self.assertEqual(self.row(attempt), row, name)
                self.assertEqual(len(zoo.connections), 1)
                self.assertLessEqual(len(attempt.response), 2048)

    async def test_cancelled(self) -> None:
        """
        An attempt that is cancelled while the receiver hangs says so, and hangs up at once.
        """
        reached: Deferred[None] = Deferred()
        zoo, port = self.listen(lambda _: reached.callback(None))
        sending = self.send(f"http://127.0.0.1:{port}/", deadline=60.0)
        await reached
        sending.cancel()
        await self.assertFailure(sending, CancelledError)
        await zoo.connections[0].gone

    async def test_endless_headers(self) -> None:
        """
        Headers without an end are cut off long before the deadline, and so fill no memory; the status counts, and who
        cut the connection is said.
        """
        attempt, zoo = await self.meet(
            lambda it: (it.say(b"HTTP/1.1 200 OK\r\n"), it.drip(b"X-More: of this\r\n" * 1000, 0)),  # type: ignore[arg-type, func-returns-value]
            deadline=8.0,
        )
        self.assertEqual(self.row(attempt), (True, "delivered", 200))
        self.assertIn("is larger than 256 KiB, and the daemon cut the connection", attempt.detail)
        self.assertLess(attempt.duration, 4.0)
        await zoo.connections[0].gone

    async def test_gzip_bomb(self) -> None:
        """
        A compressed answer is not expanded, though nobody had asked for it.
        """
        bomb = gzip.compress(b"A" * 10_000_000)
        attempt, _ = await self.meet(lambda it: it.answer(200, "Content-Encoding: gzip", body=bomb))
        self.assertEqual(self.row(attempt), (True, "delivered", 200))
        self.assertNotIn("AAAA", attempt.response)

    async def test_redirects(self) -> None:
        """
        No redirect is success, and its target is not visited.
        """
        target, port = self.listen(lambda it: it.answer(200))
        for status in range(300, 400):
            location = f"Location: http://127.0.0.1:{port}/login"
            attempt, zoo = await self.meet(lambda it, status=status, to=location: it.answer(status, to))  # type: ignore[misc]
            self.assertEqual(self.row(attempt), (False, "redirect", status))
            self.assertEqual(len(zoo.connections), 1)
        self.assertEqual(target.connections, [])

    async def test_rate_limits(self) -> None:
        """
        What 429 says about the time is understood in all its forms.
        """
        later = datetime.now(UTC) + timedelta(seconds=90)
        for value, least, most in [
            ("0.376", 0.376, 0.376),
            ("3600", 3600.0, 3600.0),
            (later.strftime("%a, %d %b %Y %H:%M:%S GMT"), 80.0, 90.0),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 0.0, 0.0),
        ]:
            attempt, _ = await self.meet(lambda it, value=value: it.answer(429, f"Retry-After: {value}"))  # type: ignore[misc]
            self.assertEqual(self.row(attempt), (False, "http_429", 429))
            assert attempt.retry_after is not None
            self.assertTrue(least <= attempt.retry_after <= most, value)
        for value in ("-1", "NaN", "inf", "1e308", "soon"):
            attempt, _ = await self.meet(lambda it, value=value: it.answer(429, f"Retry-After: {value}"))  # type: ignore[misc]
            self.assertEqual((attempt.reason, attempt.retry_after), ("http_429", None))

    async def test_connection_is_used_again(self) -> None:
        """
        A receiver that behaves gets the next delivery through the same connection.
        """
        zoo, port = self.listen(lambda it: it.answer(204))
        for _ in range(3):
            self.assertTrue((await self.send(f"http://127.0.0.1:{port}/")).ok)
        self.assertEqual(len(zoo.connections), 1)

    async def test_connection_is_closed_each_time(self) -> None:
        """
        A receiver that wants a connection for each delivery gets one.
        """
        zoo, port = self.listen(lambda it: (it.answer(204, "Connection: close"), it.hang_up()))  # type: ignore[arg-type, func-returns-value]
        for _ in range(3):
            self.assertTrue((await self.send(f"http://127.0.0.1:{port}/")).ok)
        self.assertEqual(len(zoo.connections), 3)

    async def test_refuses_to_read(self) -> None:
        """
        A receiver that answers without reading cannot keep the connection: it is gone a second after it was to end.
        """
        zoo, port = self.listen(lambda _: None)
        self.patch(Persona, "dataReceived", lambda it, _: (it.transport.pauseProducing(), it.answer(200)))
        large = Destination(name="home", url=f"http://127.0.0.1:{port}/")
        agent = Agent.usingEndpointFactory(
            reactor,
            Endpoints(reactor, BrowserLikePolicyForHTTPS(), strict=True),
            HTTPConnectionPool(reactor, persistent=False),
        )
        body = b"x" * 20_000_000
        sender = HttpSender(agent, reactor, lambda: 5.0)
        before = self.open()
        attempt = await sender.send(evolve(DELIVERY, body=body), large)
        self.assertEqual(
            self.row(attempt), (False, "reset", None) if attempt.status is None else (True, "delivered", 200)
        )
        gone: Deferred[None] = Deferred()
        reactor.callLater(1.2, gone.callback, None)
        await gone
        self.assertEqual(self.open() - before, set())
        zoo.connections[0].reset()


class Authority:
    """
    A certificate authority for one test run.
    """

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "the zoo's authority")])
        self.certificate = self.sign(self.key, self.name, self.name, authority=True)

    def sign(
        self,
        key: ec.EllipticCurvePrivateKey,
        subject: x509.Name,
        issuer: x509.Name,
        *,
        authority: bool = False,
        **more: Any,
    ) -> x509.Certificate:
        """
        Sign a certificate, by default for 127.0.0.1 and from yesterday to tomorrow.
        """
        now = datetime.now(UTC)
        san = more.get("san", x509.IPAddress(ip_address("127.0.0.1")))
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=30))
            .not_valid_after(now + more.get("lasts", timedelta(days=1)))
            .add_extension(x509.SubjectAlternativeName([san]), False)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), True)
            .sign(more.get("signer", key), SHA256())
        )

    def issue(self, **more: Any) -> CertificateOptions:
        """
        Issue what a receiver needs to speak TLS.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "receiver")])
        issuer = name if more.get("self_signed") else self.name
        signer = key if more.get("self_signed") else self.key
        certificate = self.sign(key, name, issuer, signer=signer, **more)
        pem = certificate.public_bytes(Encoding.PEM) + key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        return PrivateCertificate.loadPEM(pem).options()

    @property
    def trusted(self) -> Certificate:
        """
        Itself, as somebody to trust.
        """
        return Certificate.loadPEM(self.certificate.public_bytes(Encoding.PEM))


class EncryptedTests(ZooTestCase):
    """
    Receivers with TLS.
    """

    authority: ClassVar[Authority] = Authority()

    async def meet_encrypted(self, behaviour: Behaviour | None = None, **more: Any) -> tuple[Attempt, Zoo]:
        """
        Send something to a receiver with a certificate.
        """
        zoo, port = self.listen(behaviour or (lambda it: it.answer(200)), self.authority.issue(**more))
        return await self.send(f"https://127.0.0.1:{port}/hook", self.authority.trusted), zoo

    async def test_valid(self) -> None:
        """
        A certificate of a known authority for the right name is believed.
        """
        attempt, _ = await self.meet_encrypted()
        self.assertEqual(self.row(attempt), (True, "delivered", 200))

    async def test_not_believed(self) -> None:
        """
        A certificate that is expired, signed by itself or for another name is not, and the receiver learns nothing.
        """
        for name, more in {
            "expired": {"lasts": timedelta(days=-1)},
            "self-signed": {"self_signed": True},
            "another name": {"san": x509.DNSName("elsewhere.example.org")},
            "another address": {"san": x509.IPAddress(ip_address("127.0.0.2"))},
        }.items():
            with self.subTest(name):
                attempt, zoo = await self.meet_encrypted(**more)
                self.assertEqual(self.row(attempt), (False, "tls", None))
                self.assertEqual([each.received for each in zoo.connections], [b""])
                self.assertIn("home", attempt.detail)
                self.assertEqual("another name" in attempt.detail, name.startswith("another"))

    async def test_no_tls_there(self) -> None:
        """
        A port that speaks plain HTTP is told from one whose certificate is bad only by its sentence, not by its row.
        """
        _, port = self.listen(lambda _: None)
        self.patch(Persona, "dataReceived", lambda it, _: it.answer(400))
        attempt = await self.send(f"https://127.0.0.1:{port}/hook", self.authority.trusted)
        self.assertEqual(self.row(attempt), (False, "tls", None))

    async def test_stalled_handshake(self) -> None:
        """
        A port that never answers the handshake is a timeout.
        """
        _, port = self.listen(lambda _: None)
        attempt = await self.send(f"https://127.0.0.1:{port}/hook", self.authority.trusted)
        self.assertEqual(self.row(attempt), (False, "timeout", None))

    async def test_endless_body(self) -> None:
        """
        A receiver that sends for ever and never agrees to the end of the connection cannot keep it.
        """
        attempt, zoo = await self.meet_encrypted(
            lambda it: (it.say(b"HTTP/1.1 500 No\r\n\r\n"), it.drip(b"x" * 16384, 0.01))  # type: ignore[arg-type, func-returns-value]
        )
        self.assertEqual(self.row(attempt), (False, "http_500", 500))
        await zoo.connections[0].gone


class EndpointTests(ZooTestCase):
    """
    What the endpoints are asked for.
    """

    def test_other_schemes(self) -> None:
        """
        Only http and https lead anywhere.
        """
        endpoints = Endpoints(reactor, BrowserLikePolicyForHTTPS(), strict=True)
        self.assertRaises(SchemeNotSupported, endpoints.endpointForURI, URI.fromBytes(b"ftp://example.org/"))

    async def test_opening_and_closing_are_not_logged(self) -> None:
        """
        A delivery that goes well leaves no line about its connection in the log.
        """
        with capturedLogs() as logged:
            _, zoo = await self.meet(lambda it: it.answer(200, "Connection: close"))
            await zoo.connections[0].gone
        lines = [formatEvent(event) for event in logged]
        self.assertEqual([line for line in lines if "FirmFactory" in line], [])
