"""
An agent that sends each URL as RFC 9112 has it, to each host that the resolver knows.

Twisted's own sends ``POST ?a=b HTTP/1.1`` when there is a query and no path, leaves ``//a/b`` to whatever the version
of Python makes of it, puts the dot at the end of a name into TLS, and takes only names that IDNA takes: ``my_service``,
as Compose names containers, is none.
"""

from __future__ import annotations

from typing import cast

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IReactorTime, IStreamClientEndpoint
from twisted.web.client import URI, Agent, HTTPConnectionPool
from twisted.web.error import SchemeNotSupported
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory, IBodyProducer, IPolicyForHTTPS, IResponse
from zope.interface import implementer

from itsjustintv.support.http_url import HttpUrl

__all__ = ["AnyHostEndpoints", "ExactAgent"]

# A name that IDNA takes; it is never looked up, sent or verified.
_STAND_IN = b"stand-in.invalid"


class ExactAgent(Agent):
    """
    Sends requests; see above.
    """

    @classmethod
    def connecting(
        cls, reactor: IReactorTime, endpoints: IAgentEndpointFactory, pool: HTTPConnectionPool
    ) -> ExactAgent:
        """
        Make one.
        """
        return cast("ExactAgent", cls.usingEndpointFactory(reactor, endpoints, pool))

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """
        Send one.
        """
        try:
            url = HttpUrl.parse(uri.decode("ascii"))
        except ValueError:
            # Twisted says what is wrong with it.
            return super().request(method, uri, headers, bodyProducer)
        parsed = URI.fromBytes(str(url).encode("ascii"))
        key = (parsed.scheme, parsed.host, parsed.port)
        endpoint = self._getEndpoint(parsed)
        target = url.target.encode("ascii")
        return self._requestWithEndpoint(key, endpoint, method, parsed, headers, bodyProducer, target)


@implementer(IAgentEndpointFactory)
@define(eq=False)
class AnyHostEndpoints:
    """
    Connects an agent to ``http`` and ``https``, by whatever name the resolver takes.

    :ivar reactor: opens the connections.
    :ivar policy: decides which certificates are believed.
    """

    _reactor: IReactorTime
    _policy: IPolicyForHTTPS

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """
        Find the way to a host.

        :raises SchemeNotSupported: when it is neither ``http`` nor ``https``.
        """
        host = uri.host.decode("ascii")
        endpoint: IStreamClientEndpoint = _AnyHostEndpoint(self._reactor, host, uri.port)
        if uri.scheme == b"https":
            name = host.removesuffix(".").encode("ascii")
            return wrapClientTLS(_creator(self._policy, name, uri.port), endpoint)
        if uri.scheme != b"http":
            raise SchemeNotSupported("only http and https are supported")
        return endpoint


class _AnyHostEndpoint(HostnameEndpoint):
    @staticmethod
    def _hostAsBytesAndText(host: bytes | str) -> tuple[bool, bytes, str]:
        text = host if isinstance(host, str) else host.decode("ascii")
        return False, text.encode("ascii"), text


def _creator(policy: IPolicyForHTTPS, name: bytes, port: int) -> IOpenSSLClientConnectionCreator:
    """
    Verify a certificate for a name, which IDNA need not take: the certificate must have exactly that name.
    """
    try:
        return policy.creatorForNetloc(name, port)
    except UnicodeError:
        options = policy.creatorForNetloc(_STAND_IN, port)
        options._hostname = options._hostnameASCII = name.decode("ascii")  # type: ignore[attr-defined]  # noqa: SLF001
        options._hostnameBytes = name  # type: ignore[attr-defined]  # noqa: SLF001
        return options
