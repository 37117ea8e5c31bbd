"""
Tests for :mod:`itsjustintv.support.http_agents`, on real sockets and with names that only the test resolves.
"""

from __future__ import annotations

from pathlib import Path
from time import time
from typing import Any

from attrs import define, field
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL.crypto import X509, PKey
from treq.client import HTTPClient
from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IHostnameResolver, IReactorPluggableNameResolver
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, CertificateOptions, trustRootFromCertificates
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.client import Agent, BrowserLikePolicyForHTTPS, HTTPConnectionPool, ResponseNeverReceived, readBody
from twisted.web.error import SchemeNotSupported
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site
from zope.interface import implementer

from itsjustintv.errors import CertificateUnusable
from itsjustintv.support.http_agents import AUTHORITY, DELIVERIES, TWITCH, Endpoints, ExactAgent, make_agent, policy_for
from itsjustintv.support.http_client import exchange, request_url
from itsjustintv.tls.acme.http import AcmeTransport
from itsjustintv.tls.certificate import KEY_TYPES, format_key
from tests.support.test_http_url import SENT
from tests.tls.authority import DAY, Issuer
from tests.tls.doubles import ISSUER

_ANSWER = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"


@implementer(IHostnameResolver)
@define(eq=False)
class Here:
    """
    Knows every name as this machine.
    """

    asked: list[str] = field(factory=list)

    def resolveHostName(self, receiver: Any, name: str, portNumber: int = 0, *_: Any, **__: Any) -> Any:
        self.asked.append(name)
        receiver.resolutionBegan(self)
        receiver.addressResolved(IPv4Address("TCP", "127.0.0.1", portNumber))
        receiver.resolutionComplete()
        return receiver


@implementer(IReactorPluggableNameResolver)
class Resolving:
    """
    The reactor, with another resolver.
    """

    def __init__(self, resolver: Here) -> None:
        self.nameResolver = resolver

    def installNameResolver(self, resolver: Any) -> Any:
        raise NotImplementedError

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)


@define(eq=False)
class Hearing(Protocol):
    """
    Keeps the head of a request, and answers.
    """

    heard: list[bytes]
    _head: bytes = b""

    def dataReceived(self, data: bytes) -> None:
        self._head += data
        if b"\r\n\r\n" in self._head:
            assert self.transport is not None
            self.heard.append(self._head)
            self.transport.write(_ANSWER)
            self.transport.loseConnection()


class AgentTestCase(TestCase):
    """
    An agent that finds every name on this machine.
    """

    timeout = 20

    def setUp(self) -> None:
        self.resolver = Here()
        self.heard: list[bytes] = []

    def agent(self, policy: Any = None) -> ExactAgent:
        """
        Make it.
        """
        resolving: Any = Resolving(self.resolver)
        endpoints = Endpoints(resolving, policy or BrowserLikePolicyForHTTPS())
        return ExactAgent.usingEndpointFactory(resolving, endpoints, HTTPConnectionPool(reactor, persistent=False))

    def listening(self, options: CertificateOptions | None = None) -> int:
        """
        Listen on a port.
        """
        factory = Factory()
        factory.noisy = False
        factory.protocol = lambda: Hearing(self.heard)  # type: ignore[assignment]
        where: Any = reactor
        port = (
            where.listenSSL(0, factory, options, interface="127.0.0.1")
            if options
            else where.listenTCP(0, factory, interface="127.0.0.1")
        )
        self.addCleanup(port.stopListening)
        return int(port.getHost().port)


class WireTests(AgentTestCase):
    """
    What arrives.
    """

    async def test_every_form_of_url(self) -> None:
        """
        The request line has the target, and the header Host the authority, of every form of URL.
        """
        port = self.listening()
        for text, (authority, target) in SENT.items():
            url = at_port(text, port)
            await readBody(await self.agent().request(b"POST", url.encode()))
            lines = self.heard.pop().decode().split("\r\n")
            self.assertEqual(lines[0], f"POST {target} HTTP/1.1", url)
            name = authority if authority.endswith("]") else authority.rpartition(":")[0] or authority
            hosts = [line for line in lines if line.startswith("Host:")]
            if not name.startswith("["):
                self.assertEqual(hosts, [f"Host: {name}:{port}"], url)

    async def test_names_that_only_the_resolver_knows(self) -> None:
        """
        Underscores, hyphens at the edge of a label and a dot at the end are looked up as they are written; with treq,
        too.
        """
        port = self.listening()
        names = ["my_service", "project_receiver_1", "a-", "_a.b_", "h.example.", "x--y"]
        for name in names:
            await readBody(await self.agent().request(b"GET", f"http://{name}:{port}/".encode()))
            await HTTPClient(self.agent()).get(request_url(f"http://{name}:{port}/a", [("b", "c")]))
            self.assertEqual(
                [head.split(b"\r\n")[0] for head in self.heard], [b"GET / HTTP/1.1", b"GET /a?b=c HTTP/1.1"]
            )
            self.heard.clear()
        self.assertEqual(self.resolver.asked, [name for name in names for _ in range(2)])

    async def test_another_scheme(self) -> None:
        """
        What is no URL of HTTP is refused as by Twisted's own agent.
        """
        with self.assertRaises(SchemeNotSupported):
            await self.agent().request(b"GET", b"ftp://h.example/")


class TlsTests(AgentTestCase):
    """
    Names in TLS.
    """

    def serving(self, names: list[str]) -> tuple[int, Any, list[bytes | None]]:
        """
        Serve a certificate for these names.

        :return: the port, who trusts the certificate, and the names that callers ask for.
        """
        key, issuer = KEY_TYPES["p256"](), Issuer()
        leaf = issuer.issue(names, key.public_key(), time() - DAY, time() + DAY)
        signers = [X509.from_cryptography(issuer.intermediate)]
        options = CertificateOptions(
            PKey.from_cryptography_key(key), X509.from_cryptography(leaf), extraCertChain=signers
        )
        asked: list[bytes | None] = []
        options.getContext().set_tlsext_servername_callback(lambda each: asked.append(each.get_servername()))
        port = self.listening(options)
        root = Certificate.loadPEM(issuer.root.public_bytes(Encoding.PEM))
        return port, BrowserLikePolicyForHTTPS(trustRootFromCertificates([root])), asked

    async def test_the_certificate_must_have_the_name(self) -> None:
        """
        With an underscore or with a dot at the end, a name is asked for without the dot, and its certificate is taken.
        """
        port, policy, asked = self.serving(["my_service", "h.example"])
        for host in ("my_service", "h.example.", "MY_Service."):
            await readBody(await self.agent(policy).request(b"GET", f"https://{host}:{port}/".encode()))
        self.assertEqual(asked, [b"my_service", b"h.example", b"my_service"])

    async def test_the_certificate_of_another_name_is_refused(self) -> None:
        """
        A name that IDNA does not take is verified like every other.
        """
        port, policy, _ = self.serving(["other_service", "stand-in.invalid", "h.example"])
        for host in ("my_service", "g.example."):
            with self.assertRaises(ResponseNeverReceived):
                await self.agent(policy).request(b"GET", f"https://{host}:{port}/".encode())
        self.assertEqual(self.heard, [])


def at_port(text: str, port: int) -> str:
    """
    The same URL at another port, in plain HTTP.
    """
    scheme, _, rest = text.partition("://")
    cut = min([rest.find(mark) for mark in "/?#" if mark in rest] or [len(rest)])
    authority, rest = rest[:cut], rest[cut:]
    if authority.startswith("["):
        # The test listens on IPv4 only.
        authority = "h.example"
    host = authority.partition(":")[0]
    return f"{'HTTP' if scheme.isupper() else 'http'}://{host}:{port}{rest}"


CROWD = 20


@define(eq=False)
class Counting(Site):
    """
    Answers requests once a crowd of them is there.

    :ivar connections: that were ever made.
    """

    connections: int = 0
    waiting: list[Request] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        resource = Resource()
        resource.isLeaf = True
        resource.render = self.gather  # type: ignore[method-assign]
        super().__init__(resource)

    def buildProtocol(self, addr: Any) -> Any:
        self.connections += 1
        return super().buildProtocol(addr)

    def log(self, request: Any) -> None:
        """
        Keep no access log.
        """

    def gather(self, request: Request) -> int:
        """
        Answer if this is the last.
        """
        self.waiting.append(request)
        if len(self.waiting) == CROWD:
            for one in self.waiting:
                one.finish()
            self.waiting.clear()
        return NOT_DONE_YET


class ConnectionTests(TestCase):
    """
    How many connections are opened.
    """

    timeout = 20

    async def crowds(self, agent: Agent) -> int:
        """
        Have two crowds of requests made, one after the other.

        :return: how many connections that took.
        """
        site = Counting()
        port = await serverFromString(reactor, "tcp:0:interface=127.0.0.1").listen(site)
        self.addCleanup(port.stopListening)
        self.addCleanup(agent._pool.closeCachedConnections)
        url = f"http://127.0.0.1:{port.getHost().port}/".encode()

        async def ask() -> None:
            await readBody(await agent.request(b"GET", url))

        for _ in range(2):
            await gatherResults([Deferred.fromCoroutine(ask()) for _ in range(CROWD)])
        return site.connections

    async def test_a_second_crowd_needs_no_new_connections(self) -> None:
        """
        What a crowd of requests has opened serves the next crowd, with Twitch as with receivers.
        """
        self.assertEqual(await self.crowds(make_agent(reactor, TWITCH)), CROWD)
        self.assertEqual(await self.crowds(make_agent(reactor, DELIVERIES)), CROWD)


class NameTests(TestCase):
    """
    Whom the clients find.
    """

    timeout = 20

    async def test_a_name_that_only_the_resolver_knows(self) -> None:
        """
        Twitch, an authority and a receiver are found in Compose, by names that are none on the internet; what is asked
        of them is a path, also when their address has a query only.
        """
        heard: list[bytes] = []
        listener = Factory()
        listener.noisy = False
        listener.protocol = lambda: Hearing(heard)  # type: ignore[assignment]
        port: Any = await serverFromString(reactor, "tcp:0:interface=127.0.0.1").listen(listener)
        self.addCleanup(port.stopListening)
        url = f"http://the_twitch_1:{port.getHost().port}?a=b"
        resolving: Any = Resolving(Here())

        http = HTTPClient(make_agent(resolving, TWITCH))
        await exchange(http, resolving, "GET", url, what="twitch", timeout=5.0, limit=100, params=[("c", "d")])
        agent = make_agent(resolving, AUTHORITY)
        await AcmeTransport(HTTPClient(agent), resolving).request("GET", url)
        await readBody(await make_agent(resolving, DELIVERIES).request(b"POST", url.encode()))
        lines = [head.split(b"\r\n")[0] for head in heard]
        self.assertEqual(lines, [b"GET /?a=b&c=d HTTP/1.1", b"GET /?a=b HTTP/1.1", b"POST /?a=b HTTP/1.1"])


@define(eq=False)
class Eavesdropper(Protocol):
    """
    Keeps what it is told.
    """

    heard: list[bytes]

    def dataReceived(self, data: bytes) -> None:
        self.heard.append(data)


class TrustTests(TestCase):
    """
    Whom the clients believe.
    """

    async def test_a_false_twitch_learns_nothing(self) -> None:
        """
        Somebody with a certificate of no known authority, where Twitch should be, gets no byte of a request.
        """
        key, issuer = KEY_TYPES["p256"](), Issuer()
        leaf = issuer.issue(["127.0.0.1"], key.public_key(), time() - DAY, time() + DAY)
        pem = Path(self.mktemp())
        pem.write_bytes(issuer.chain(leaf) + format_key(key))
        heard: list[bytes] = []
        listener = Factory()
        listener.protocol = lambda: Eavesdropper(heard)  # type: ignore[assignment]
        endpoint = serverFromString(reactor, f"ssl:0:interface=127.0.0.1:privateKey={pem}:certKey={pem}")
        port: Any = await endpoint.listen(listener)
        self.addCleanup(port.stopListening)
        url = f"https://127.0.0.1:{port.getHost().port}/oauth2/token?client_secret=a-secret"
        with self.assertRaises(ResponseNeverReceived) as caught:
            await make_agent(reactor, TWITCH).request(b"POST", url.encode())
        self.assertIn("certificate verify failed", str(caught.exception.reasons[0].value))
        self.assertEqual(heard, [])


class PolicyTests(SynchronousTestCase):
    """
    ``server.tls.ca_bundle``.
    """

    def test_without_one_the_system_decides(self) -> None:
        """
        And with one, its certificates.
        """
        self.assertIsInstance(policy_for(""), BrowserLikePolicyForHTTPS)
        path = Path(self.mktemp())
        path.write_bytes(ISSUER.root.public_bytes(Encoding.PEM))
        self.assertIsInstance(policy_for(str(path)), BrowserLikePolicyForHTTPS)

    def test_a_file_of_no_use_is_named(self) -> None:
        """
        One that is not there, an empty one, and one with a certificate that cannot be read.
        """
        path = Path(self.mktemp())
        for text, words in (
            (None, "cannot be read"),
            (b"", "holds no certificate"),
            (b"-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n", "holds a certificate that"),
        ):
            if text is not None:
                path.write_bytes(text)
            with self.assertRaises(CertificateUnusable) as caught:
                policy_for(str(path))
            self.assertIn(str(path), str(caught.exception))
            self.assertIn(words, str(caught.exception))
