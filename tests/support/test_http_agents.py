"""
Tests for :mod:`itsjustintv.support.http_agents`, on real sockets and with names that only the test resolves.
"""

from __future__ import annotations

from time import time
from typing import Any

from attrs import define, field
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL.crypto import X509, PKey
from treq.client import HTTPClient
from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IHostnameResolver, IReactorPluggableNameResolver
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, CertificateOptions, trustRootFromCertificates
from twisted.trial.unittest import TestCase
from twisted.web.client import BrowserLikePolicyForHTTPS, HTTPConnectionPool, ResponseNeverReceived, readBody
from twisted.web.error import SchemeNotSupported
from zope.interface import implementer

from itsjustintv.support.http_agents import AnyHostEndpoints, ExactAgent
from itsjustintv.support.http_url import request_url
from itsjustintv.tls.certificate import KEY_TYPES
from tests.support.test_http_url import SENT
from tests.tls.authority import DAY, Issuer

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
        endpoints = AnyHostEndpoints(resolving, policy or BrowserLikePolicyForHTTPS())
        return ExactAgent.connecting(resolving, endpoints, HTTPConnectionPool(reactor, persistent=False))

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
            await HTTPClient(self.agent()).get(request_url(f"http://{name}:{port}/a"), params=[("b", "c")])
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
