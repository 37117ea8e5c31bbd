"""
Tests of :mod:`itsjustintv.twitch.eventsub.callback_check`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, cast

from attrs import define, field
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st
from treq.client import HTTPClient
from treq.testing import StubTreq
from twisted.internet import reactor
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, fail
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.error import NoRouteError
from twisted.internet.interfaces import IHostnameResolver
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, CertificateOptions, optionsForClientTLS, trustRootFromCertificates
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.client import URI, Agent, ResponseNeverReceived
from twisted.web.iweb import IAgent, IAgentEndpointFactory
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site
from zope.interface import implementer
from zope.interface.verify import verifyObject

from itsjustintv.config.sections import Config, callback_url
from itsjustintv.twitch.eventsub.callback_check import CallbackCheck, CallbackWarning, url_warnings
from tests.destinations.test_hostile_receivers import Authority

URL = "https://hooks.example.org/twitch"


class UrlWarningsTests(SynchronousTestCase):
    """
    What the address alone tells.
    """

    def test_a_good_callback(self) -> None:
        """
        There is nothing to say about a public name or address over https, with or without its usual port.
        """
        for url in (
            URL,
            "https://hooks.example.org:443/twitch",
            "https://8.8.8.8/twitch",
            "https://xn--bcher-kva.ch/t",
        ):
            self.assertEqual(url_warnings(url), (), url)

    def test_what_twitch_refuses(self) -> None:
        """
        Each thing that Twitch refuses is named, with nothing else.
        """
        for url, *expected in (
            ("http://hooks.example.org/twitch", "plain http"),
            ("https://hooks.example.org:8443/twitch", "port 8443"),
            ("http://hooks.example.org:8080/twitch", "plain http", "port 8080"),
            ("https://localhost/twitch", "localhost, which is not a public name"),
            ("https://server/twitch", "server, which is not a public name"),
            ("https://server.local/twitch", "server.local, which is not a public name"),
            ("https://box.home.arpa/twitch", "box.home.arpa, which is not a public name"),
            ("https://127.0.0.1/twitch", "127.0.0.1, which is not a public address"),
            ("https://192.168.1.5/twitch", "192.168.1.5, which is not a public address"),
            ("https://100.64.0.1/twitch", "100.64.0.1, which is not a public address"),
            ("https://224.0.0.1/twitch", "224.0.0.1, which is not a public address"),
            ("https://[::1]/twitch", "::1, which is not a public address"),
            ("https://[fd00::1]/twitch", "fd00::1, which is not a public address"),
            ("https://[2606:4700::1]/twitch", "only an IPv6 address"),
        ):
            found = url_warnings(url)
            self.assertEqual(len(found), len(expected), url)
            for doubt, words in zip(found, expected, strict=True):
                self.assertIn(words, doubt.what)

    def test_the_callback_of_no_configuration(self) -> None:
        """
        A daemon that was not told its public name has a callback with every fault there is.
        """
        self.assertEqual(len(url_warnings(callback_url(Config()))), 3)

    def test_one_line_for_a_person(self) -> None:
        """
        What, why, and what to do.
        """
        self.assertEqual(
            str(CallbackWarning("it is so", "they mind", "do something")), "it is so: they mind; do something"
        )

    @given(st.sampled_from(["http", "https"]), st.ip_addresses(), st.none() | st.integers(1, 65535))
    def test_any_address(self, scheme: str, address: Any, port: int | None) -> None:
        """
        Whatever address and port, the answer is at most one doubt for each part of it.
        """
        host = f"[{address}]" if address.version == 6 else str(address)
        found = url_warnings(f"{scheme}://{host}{'' if port is None else f':{port}'}/twitch")
        self.assertLessEqual(len(found), 3)
        public = address.version == 4 and address.is_global and not address.is_multicast
        self.assertEqual(found == (), scheme == "https" and port in (None, 443) and public)


@implementer(IHostnameResolver)
@define(eq=False)
class Names:
    """
    A name server.

    :ivar silent: never answers.
    """

    addresses: Sequence[str] = ("203.0.112.7",)
    silent: bool = False
    asked: list[str] = field(factory=list)

    def resolveHostName(
        self,
        resolutionReceiver: Any,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Any = None,
        transportSemantics: str = "TCP",
    ) -> Any:
        """
        Answer at once, once for each kind of transport as a system's resolver does.
        """
        self.asked.append(hostName)
        resolutionReceiver.resolutionBegan(self)
        for address in () if self.silent else (*self.addresses, *self.addresses):
            kind = IPv6Address if ":" in address else IPv4Address
            resolutionReceiver.addressResolved(kind("TCP", address, 0))
        if not self.silent:
            resolutionReceiver.resolutionComplete()
        return self


class Callback(Resource):
    """
    What is at the callback.
    """

    isLeaf = True
    status = 405
    body = b'{"status":"method not allowed"}'

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[bytes, bytes]] = []

    def render(self, request: Request) -> Any:
        self.asked.append((request.method, request.uri))
        if not self.status:
            return NOT_DONE_YET
        request.setResponseCode(self.status)
        request.setHeader("Location", "https://elsewhere.example.org/twitch")
        return self.body


@implementer(IAgent)
@define(eq=False)
class Broken:
    """
    An agent that gets no answer.
    """

    why: Exception

    def request(self, *_: Any, **__: Any) -> Deferred[Any]:
        """
        Fail.
        """
        return fail(self.why)


class CallbackCheckTests(SynchronousTestCase):
    """
    What the name and an answer tell.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.names = Names()
        verifyObject(IHostnameResolver, self.names)
        self.callback = Callback()
        self.http: Any = StubTreq(self.callback)
        self.url = URL

    def check(self) -> CallbackCheck:
        """
        One that looks at ``url``.
        """
        return CallbackCheck(
            cast("HTTPClient", self.http), cast("IHostnameResolver", self.names), self.clock, lambda: self.url
        )

    def look(self, url: str = URL, wait: float = 0.0) -> list[str]:
        """
        What there is to doubt, as a person reads it.
        """
        looking = Deferred.fromCoroutine(self.check().examine(url))
        self.clock.pump([wait / 2, wait / 2])
        found = [str(each) for each in self.successResultOf(looking)]
        self.assertEqual(self.clock.getDelayedCalls(), [])
        return found

    def only(self, **more: Any) -> str:
        [doubt] = self.look(**more)
        return doubt

    def test_all_is_well(self) -> None:
        """
        A name with a public address and an answer as ours is nothing to doubt; the callback itself is asked, once.
        """
        self.assertEqual(self.look(), [])
        self.assertEqual(self.callback.asked, [(b"GET", b"/twitch")])
        self.assertEqual(self.names.asked, ["hooks.example.org"])

    def test_what_the_address_tells_is_enough(self) -> None:
        """
        A callback that cannot be right is not looked at any further; a public address needs no name server.
        """
        self.assertEqual(len(self.look("http://localhost:8080/twitch")), 3)
        self.assertEqual((self.callback.asked, self.names.asked), ([], []))
        self.assertEqual(self.look("https://8.8.8.8/twitch"), [])
        self.assertEqual((len(self.callback.asked), self.names.asked), (1, []))

    def test_a_name_that_leads_nowhere(self) -> None:
        """
        Without an address nothing else is asked, whether there is none or the name server is silent.
        """
        self.names.addresses = ()
        self.assertIn("cannot be resolved on this machine", self.only())
        self.names.silent = True
        self.assertIn("cannot be resolved on this machine", self.only(wait=10.0))
        self.assertEqual(self.callback.asked, [])

    def test_a_name_that_leads_inside(self) -> None:
        """
        Each private address is named, with the way in which it may be right all the same; IPv6 ones do not matter.
        """
        self.names.addresses = ("10.0.0.7", "203.0.112.7", "fd00::1")
        self.assertIn("resolves to 10.0.0.7", self.only())

    def test_a_name_without_ipv4(self) -> None:
        """
        An address of the kind that Twitch does not call is told.
        """
        self.names.addresses = ("2606:4700::1",)
        self.assertIn("A record", self.only())

    def test_answers_that_are_not_ours(self) -> None:
        """
        Redirects, guards, proxies without us behind them and strangers are told apart.
        """
        for status, words in (
            (301, "redirect (301)"),
            (308, "redirect (308)"),
            (401, "requires authentication"),
            (403, "requires authentication"),
            (404, "another server seems to answer"),
            (200, "another server seems to answer"),
            (500, "another server seems to answer"),
            (502, "the proxy there does not reach this daemon"),
            (503, "the proxy there does not reach this daemon"),
            (504, "the proxy there does not reach this daemon"),
        ):
            self.callback.status = status
            self.assertIn(words, self.only())
            self.assertEqual(len(self.callback.asked), 1, "redirects are not followed")
            self.callback.asked.clear()

    def test_a_long_answer(self) -> None:
        """
        Whoever sends a whole page is somebody else, and the page is not read to its end.
        """
        self.callback.body = b"x" * 200_000
        self.assertIn("a long answer", self.only())

    def test_no_answer(self) -> None:
        """
        An answer that takes too long is told, with what to look at.
        """
        self.callback.status = 0
        self.assertIn("did not answer within 10 s", self.only(wait=10.0))

    def test_no_connection(self) -> None:
        """
        A refusal is told apart from other reasons for which nobody is reached.
        """
        for why, words in (
            (Refused(), "refuses the connection"),
            (NoRouteError(), "cannot be reached from here"),
            (ResponseNeverReceived([Failure(Refused())]), "refuses the connection"),
        ):
            self.http = HTTPClient(Broken(why))
            doubt = self.only()
            self.assertIn(words, doubt)
            self.assertIn("try from another network", doubt)

    def test_it_never_fails(self) -> None:
        """
        A defect on the way is logged, and there is nothing to tell.
        """
        self.names.addresses = ("no address",)
        self.assertEqual(self.look(), [])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_a_later_look_counts(self) -> None:
        """
        A look that is still under way says nothing any more when there is another one, or a stop.
        """
        self.http = StubTreq(self.callback)
        self.names.silent = True
        check = self.check()
        with capturedLogs() as logged:
            check.startService()
            check.check()
            check.stopService()
            self.clock.advance(3600)
        self.assertEqual(([*logged], self.clock.getDelayedCalls()), ([], []))

    def test_the_report(self) -> None:
        """
        Each doubt is one warning in the log, at the start and whenever somebody asks for another look.
        """
        check = self.check()
        with capturedLogs() as logged:
            self.url = "http://localhost/twitch"
            check.startService()
            self.url = URL
            check.check()
            check.stopService()
        lines = [each["log_format"].format(**each) for each in logged if each["log_level"] is LogLevel.warn]
        self.assertEqual(
            lines, [f"Twitch may reject the callback: {each}" for each in url_warnings("http://localhost/twitch")]
        )


@implementer(IAgentEndpointFactory)
@define(eq=False)
class Home:
    """
    Leads to a port of this machine, whatever the name, and verifies the certificate for that name.
    """

    port: int
    trusted: Certificate

    def endpointForURI(self, uri: URI) -> Any:
        """
        Lead home.
        """
        options = optionsForClientTLS(uri.host.decode(), trustRootFromCertificates([self.trusted]))
        return wrapClientTLS(options, TCP4ClientEndpoint(reactor, "127.0.0.1", self.port))


class Plain(Protocol):
    """
    Answers a handshake as a web server without TLS does.
    """

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        self.transport.loseConnection()


class CertificateTests(TestCase):
    """
    Real handshakes.
    """

    timeout = 10
    authority = Authority()

    async def look(self, options: CertificateOptions | None) -> list[str]:
        port = (
            reactor.listenTCP(0, Factory.forProtocol(Plain), interface="127.0.0.1")
            if options is None
            else reactor.listenSSL(0, Site(Callback()), options, interface="127.0.0.1")
        )
        self.addCleanup(port.stopListening)
        agent = Agent.usingEndpointFactory(reactor, Home(port.getHost().port, self.authority.trusted))
        check = CallbackCheck(HTTPClient(agent), cast("IHostnameResolver", Names()), reactor, lambda: URL)
        return [str(each) for each in await check.examine(URL)]

    async def test_believed(self) -> None:
        """
        A certificate of a known authority for the name of the callback is nothing to doubt.
        """
        self.assertEqual(await self.look(self.authority.issue(san=x509.DNSName("hooks.example.org"))), [])

    async def test_not_believed(self) -> None:
        """
        One that is expired, self-signed or for another name is, and so is none at all.
        """
        name = x509.DNSName("hooks.example.org")
        for options, words in (
            (self.authority.issue(san=x509.DNSName("elsewhere.example.org")), "for another name"),
            (self.authority.issue(san=name, self_signed=True), "cannot be verified"),
            (self.authority.issue(san=name, lasts=timedelta(days=-1)), "cannot be verified"),
            (None, "cannot be verified, or no TLS"),
        ):
            [doubt] = await self.look(options)
            self.assertIn(words, doubt)
