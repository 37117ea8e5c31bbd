"""
The agents of all outgoing HTTP requests, and everything between an agent and its connection.

From a request inwards: :class:`ExactAgent` writes the request target, its pool lends an open connection or has one
made, and :meth:`Endpoints.endpointForURI` stacks up what a connection consists of. What differs from peer to peer is in
:data:`TWITCH`, :data:`PICTURES`, :data:`DELIVERIES` and :data:`AUTHORITY`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import pem
from attrs import define, field, frozen
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import (
    IAddress,
    IHostnameResolver,
    IHostResolution,
    IOpenSSLClientConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IResolutionReceiver,
    IStreamClientEndpoint,
)
from twisted.internet.ssl import Certificate, trustRootFromCertificates
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent, BrowserLikePolicyForHTTPS, HTTPConnectionPool, _HTTP11ClientFactory
from twisted.web.error import SchemeNotSupported
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory, IBodyProducer, IPolicyForHTTPS, IResponse
from zope.interface import implementer

from itsjustintv.errors import CertificateUnusable
from itsjustintv.support.egress import EgressPolicy, EgressRefused
from itsjustintv.support.http_url import HttpUrl
from itsjustintv.support.regular_files import read
from itsjustintv.support.strict_endpoint import StrictEndpoint

__all__ = [
    "AUTHORITY",
    "DELIVERIES",
    "PICTURES",
    "TWITCH",
    "AgentSettings",
    "Endpoints",
    "ExactAgent",
    "PolicyOf",
    "host_endpoint",
    "make_agent",
    "make_endpoints",
    "policy_for",
    "tls_creator",
]

#: Which addresses a host may be connected at, by its origin as it is in the URL: ``("https", "example.org", 443)``.
#: Asked for every connection.
PolicyOf = Callable[[tuple[str, str, int]], EgressPolicy]


@frozen
class AgentSettings:
    """
    What differs from peer to peer.

    :ivar idle: seconds for which a connection that is not used stays open.
    :ivar per_host: so many unused connections stay open to each host.
    :ivar strict: whether connections are those of :class:`~itsjustintv.support.strict_endpoint.StrictEndpoint`.
    """

    idle: int
    per_host: int
    strict: bool = False


#: Twitch: as many connections stay as are used at once, for with TLS a new one costs more than what is sent over it.
TWITCH = AgentSettings(idle=60, per_host=32)
#: Pictures whose address Twitch gives.
PICTURES = AgentSettings(idle=60, per_host=8)
#: Receivers of deliveries: for a burst only, since one that the receiver is about to close would cost an attempt.
DELIVERIES = AgentSettings(idle=2, per_host=64, strict=True)
#: A certificate authority.
AUTHORITY = AgentSettings(idle=60, per_host=2)


def make_agent(
    reactor: Any, settings: AgentSettings, ca_bundle: str = "", egress: PolicyOf | None = None
) -> ExactAgent:
    """
    Make an agent with a pool of its own.

    :param ca_bundle: as for :func:`policy_for`.
    :param egress: by default that of an operator's own addresses, without exceptions, for receivers; for others, every
        address is connected to.
    :raises CertificateUnusable: that file cannot be used.
    """
    pool = HTTPConnectionPool(reactor, persistent=True)
    pool.cachedConnectionTimeout = settings.idle
    pool.maxPersistentPerHost = settings.per_host
    pool._factory = _QuietFactory  # noqa: SLF001 - there is no other way to it
    if egress is None and settings.strict:
        egress = _without_exceptions
    endpoints = Endpoints(reactor, policy_for(ca_bundle), settings.strict, egress)
    return cast("ExactAgent", ExactAgent.usingEndpointFactory(reactor, endpoints, pool))


def make_endpoints(reactor: Any) -> IAgentEndpointFactory:
    """
    Make what connects to Twitch without HTTP: certificates are verified as for :data:`TWITCH`.
    """
    return Endpoints(reactor, policy_for(""))


def host_endpoint(reactor: Any, host: str, port: int, policy: Callable[[], EgressPolicy]) -> IStreamClientEndpoint:
    """
    Make an endpoint that looks up a host and connects to an address that a policy lets through, for protocols other
    than HTTP.
    """
    return _CheckedEndpoint(reactor, host, port, policy)


def tls_creator(policy: IPolicyForHTTPS, host: str, port: int) -> IOpenSSLClientConnectionCreator:
    """
    Make what verifies the certificate of a host.
    """
    return _creator(policy, host.removesuffix(".").encode("ascii"), port)


def _without_exceptions(_origin: tuple[str, str, int]) -> EgressPolicy:
    return EgressPolicy()


# A query of characters that are sent as they are.
_PLAIN_QUERY = re.compile(rb"[A-Za-z0-9_.~&=%-]*")


@lru_cache(maxsize=1024)
def _parse(uri: bytes) -> tuple[URI, bytes]:
    """
    Parse a URL, for Twisted and as a request target.

    :raises ValueError: it is neither http nor https, or has no host.
    """
    url = HttpUrl.parse(uri.decode("ascii"))
    return URI.fromBytes(str(url).encode("ascii")), url.target.encode("ascii")


@implementer(IStreamClientEndpoint)
@frozen
class _LazyEndpoint:
    """
    An endpoint that is made when a connection is needed: as a rule there is one.
    """

    _make: Callable[[URI], IStreamClientEndpoint]
    _uri: URI

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        return self._make(self._uri).connect(protocolFactory)


class _QuietFactory(_HTTP11ClientFactory):
    """
    Does not log the address of each connection that it opens.
    """

    noisy = False


class ExactAgent(Agent):
    """
    An agent that sends each URL as RFC 9112 has it. Twisted's own sends ``POST ?a=b HTTP/1.1`` when there is a query
    and no path, and leaves ``//a/b`` to whatever the version of Python makes of it.
    """

    @property
    def pool(self) -> HTTPConnectionPool:
        """
        Its connections, to be closed at the end.
        """
        return self._pool

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        # What is asked of Helix differs in its query only.
        base, mark, query = uri.partition(b"?")
        if b"#" in base or not _PLAIN_QUERY.fullmatch(query):
            base, mark, query = uri, b"", b""
        try:
            parsed, target = _parse(base)
        except ValueError:
            # Twisted says what is wrong with it.
            return super().request(method, uri, headers, bodyProducer)
        key = (parsed.scheme, parsed.host, parsed.port)
        endpoint = _LazyEndpoint(self._getEndpoint, parsed)
        return self._requestWithEndpoint(key, endpoint, method, parsed, headers, bodyProducer, target + mark + query)


@implementer(IAgentEndpointFactory)
@define(eq=False)
class Endpoints:
    """
    Stacks up the endpoint for a URL.

    :ivar policy: decides which certificates are trusted.
    :ivar strict: as in :class:`AgentSettings`.
    :ivar egress: as for :func:`make_agent`.
    """

    _reactor: IReactorTime
    _policy: IPolicyForHTTPS
    _strict: bool = False
    _egress: PolicyOf | None = None

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """
        Make an endpoint that looks up the host and connects, has TLS in that connection for ``https``, and around both
        the checks of a strict one.

        :raises SchemeNotSupported: the scheme is neither ``http`` nor ``https``.
        """
        if uri.scheme not in (b"http", b"https"):
            raise SchemeNotSupported("only http and https are supported")
        host = uri.host.decode("ascii")
        endpoint: IStreamClientEndpoint = self._endpoint((uri.scheme.decode("ascii"), host, uri.port))
        if uri.scheme == b"https":
            name = host.removesuffix(".").encode("ascii")
            endpoint = wrapClientTLS(_creator(self._policy, name, uri.port), endpoint)
        return StrictEndpoint(self._reactor, endpoint) if self._strict else endpoint

    def _endpoint(self, origin: tuple[str, str, int]) -> IStreamClientEndpoint:
        egress = self._egress
        if egress is None:
            return _AnyHostEndpoint(self._reactor, *origin[1:])
        return _CheckedEndpoint(self._reactor, *origin[1:], lambda: egress(origin))


class _AnyHostEndpoint(HostnameEndpoint):
    """
    Looks up any name that the resolver knows. Twisted's own takes only names that IDNA takes: ``my_service``, as
    Compose names containers, is none.
    """

    @staticmethod
    def _hostAsBytesAndText(host: bytes | str) -> tuple[bool, bytes, str]:
        text = host if isinstance(host, str) else host.decode("ascii")
        return False, text.encode("ascii"), text


class _CheckedEndpoint(_AnyHostEndpoint):
    """
    Connects only to addresses that a policy lets through.

    What was resolved is what is checked, and what is checked is what is connected to: there is no second look-up, to
    which a name server could give another answer. A host that is an address, in whatever notation, passes the same
    way.

    :param policy: asked once for each connection.
    """

    def __init__(self, reactor: Any, host: str, port: int, policy: Callable[[], EgressPolicy]) -> None:
        self._screen = _Screen(EgressPolicy())
        self._policy = policy
        super().__init__(reactor, host, port)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        :raises EgressRefused: the name has addresses, and all of them are refused.
        """
        self._screen = screen = _Screen(self._policy())
        return super().connect(protocolFactory).addErrback(screen.explain)

    def _getNameResolverAndMaybeWarn(self, reactor: object) -> IHostnameResolver:
        return _ScreenedResolver(super()._getNameResolverAndMaybeWarn(reactor), self._screen)


@define(eq=False)
class _Screen:
    """
    The policy for one connection, and the addresses that it refused.
    """

    policy: EgressPolicy
    refused: list[str] = field(factory=list)

    def passes(self, address: IAddress) -> bool:
        """
        Whether an address may be connected to.
        """
        host = address.host if isinstance(address, IPv4Address | IPv6Address) else ""
        if self.policy.refuses(host):
            self.refused.append(host)
            return False
        return True

    def explain(self, failure: Failure) -> Failure:
        """
        Name the addresses that were refused, if that left none.
        """
        if self.refused and failure.check(DNSLookupError):
            raise EgressRefused(self.refused)
        return failure


@implementer(IHostnameResolver)
@frozen
class _ScreenedResolver:
    """
    Another resolver's answers, without what is refused.
    """

    _resolver: IHostnameResolver
    _screen: _Screen

    def resolveHostName(self, resolutionReceiver: IResolutionReceiver, *args: Any, **options: Any) -> IHostResolution:
        return self._resolver.resolveHostName(_Screened(resolutionReceiver, self._screen), *args, **options)


@implementer(IResolutionReceiver)
@frozen
class _Screened:
    """
    Hands on only the addresses that the egress policy allows.
    """

    _receiver: IResolutionReceiver
    _screen: _Screen

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        self._receiver.resolutionBegan(resolutionInProgress)

    def addressResolved(self, address: IAddress) -> None:
        if self._screen.passes(address):
            self._receiver.addressResolved(address)

    def resolutionComplete(self) -> None:
        self._receiver.resolutionComplete()


# A name that IDNA takes; it is never looked up, sent or verified.
_STAND_IN = b"stand-in.invalid"


def _creator(policy: IPolicyForHTTPS, name: bytes, port: int) -> IOpenSSLClientConnectionCreator:
    """
    Verify certificates for a name, which IDNA need not take: a certificate must have exactly that name.
    """
    try:
        return policy.creatorForNetloc(name, port)
    except UnicodeError:
        options = policy.creatorForNetloc(_STAND_IN, port)
        options._hostname = options._hostnameASCII = name.decode("ascii")  # type: ignore[attr-defined]  # noqa: SLF001
        options._hostnameBytes = name  # type: ignore[attr-defined]  # noqa: SLF001
        return options


# Bytes; a system's own bundle has 300 KiB.
_LARGEST = 4 * 1024 * 1024


def policy_for(ca_bundle: str) -> IPolicyForHTTPS:
    """
    Trust the certificates of ``server.tls.ca_bundle``, as a private authority needs, or without that file those of the
    system. Blocks for a moment.

    :raises CertificateUnusable: there are no certificates in that file, or it cannot be read.
    """
    if not ca_bundle:
        return BrowserLikePolicyForHTTPS()
    try:
        text = read(Path(ca_bundle), _LARGEST)
        found = [Certificate.loadPEM(each.as_bytes()) for each in pem.parse(text) if isinstance(each, pem.Certificate)]
    except OSError as error:
        raise CertificateUnusable(f"server.tls.ca_bundle {ca_bundle} cannot be read: {error.strerror}") from None
    except Exception as error:
        raise CertificateUnusable(
            f"server.tls.ca_bundle {ca_bundle} holds a certificate that cannot be read"
        ) from error
    if not found:
        raise CertificateUnusable(f"server.tls.ca_bundle {ca_bundle} holds no certificate in PEM")
    return BrowserLikePolicyForHTTPS(trustRootFromCertificates(found))
