"""
What a connection passes between the socket and the site: see :func:`make_chain`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import (
    IAddress,
    IHandshakeListener,
    ILoggingContext,
    IProtocol,
    IProtocolFactory,
    IProtocolNegotiationFactory,
)
from twisted.internet.protocol import Protocol, connectionDone

# The public API wraps a whole endpoint, and so every client.
from twisted.protocols.haproxy._wrapper import HAProxyProtocolWrapper, HAProxyWrappingFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from itsjustintv.web.client_address import NO_PROXIES, ClientAddresses
from itsjustintv.web.http1 import HTTP1Connection
from itsjustintv.web.http2.connection import HTTP2Connection
from itsjustintv.web.site import LimitedSite

__all__ = ["AlpnFactory", "FactoryWrapper", "ProxyProtocol", "make_chain"]

_HTTP_1 = b"http/1.1"
_HTTP_2 = b"h2"


def make_chain(
    site: LimitedSite,
    encrypt: Callable[[IProtocolFactory, IProtocolFactory], IProtocolFactory],
    http2: Callable[[], bool],
    client_addresses: ClientAddresses = NO_PROXIES,
    proxy_protocol: Callable[[], bool] = lambda: False,
) -> IProtocolFactory:
    """
    Build the factory that a port of the public site listens with. Each connection passes, from the socket inwards:

    1. PROXY protocol: a trusted proxy may say whose connection it is.
    2. TLS, or nothing in plain HTTP, as ``[server.tls]`` says when the connection comes. ``encrypt`` wraps this step.
    3. Within TLS, ALPN: the client's choice of HTTP/2 or HTTP/1.1.
    4. The site: HTTP/1.1, which ALPN replaces by HTTP/2; both are held to the same limits.

    :param encrypt: given the factory for plain HTTP and the one for HTTPS, returns the one that chooses.
    :param http2: whether step 3 offers HTTP/2; called for each connection, as is ``proxy_protocol``.
    :param client_addresses: which proxies are trusted in step 1.
    """
    negotiated = AlpnFactory(site, http2)
    plain_or_encrypted = encrypt(site, negotiated)
    return ProxyProtocol(plain_or_encrypted, client_addresses, proxy_protocol)


@implementer(IProtocolFactory, ILoggingContext)
class FactoryWrapper:
    """
    Wraps a factory: ports and names are the factory's, and subclasses decide how connections are built.
    """

    def __init__(self, factory: Any) -> None:
        self._factory = factory

    def doStart(self) -> None:
        self._factory.doStart()

    def doStop(self) -> None:
        self._factory.doStop()

    def logPrefix(self) -> str:
        prefix: str = self._factory.logPrefix()
        return prefix

    def buildProtocol(self, addr: IAddress) -> IProtocol | None:
        protocol: IProtocol | None = self._factory.buildProtocol(addr)
        return protocol


@implementer(IProtocolNegotiationFactory)
class AlpnFactory(FactoryWrapper):
    """
    Lets the client choose HTTP/2 or HTTP/1.1 within TLS (ALPN, RFC 7301).
    """

    def __init__(self, factory: Any, http2: Callable[[], bool]) -> None:
        super().__init__(factory)
        self._http2 = http2

    def acceptableProtocols(self) -> list[bytes]:
        """
        What is offered, the preferred version first.
        """
        return [_HTTP_2, _HTTP_1] if self._http2() else [_HTTP_1]

    def buildProtocol(self, addr: IAddress) -> IProtocol | None:
        channel = super().buildProtocol(addr)
        return _NegotiatingProtocol(channel) if isinstance(channel, HTTP1Connection) else channel


@implementer(IHandshakeListener)
class _NegotiatingProtocol(Protocol):
    """
    An HTTP/1.1 connection that becomes an HTTP/2 connection if the handshake says so.
    """

    transport: Any

    def __init__(self, channel: HTTP1Connection) -> None:
        self._channel: HTTP1Connection | HTTP2Connection = channel

    def connectionMade(self) -> None:
        self._channel.makeConnection(self.transport)

    def handshakeCompleted(self) -> None:
        channel = self._channel
        if self.transport.negotiatedProtocol == _HTTP_2 and isinstance(channel, HTTP1Connection):
            channel.detach()
            self._channel = HTTP2Connection(channel)
            self._channel.makeConnection(self.transport)

    def dataReceived(self, data: bytes) -> None:
        self._channel.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._channel.connectionLost(reason)


# The header of a proxy's own request: as specified (PROXY protocol, section 2.1), and as Twisted's parser expects it.
_UNKNOWN = b"PROXY UNKNOWN\r\n"
_UNDERSTOOD = b"PROXY UNKNOWN \r\n"


class _ProxyProtocolConnection(HAProxyProtocolWrapper):
    _begun = False

    def dataReceived(self, data: bytes) -> None:
        if not self._begun:
            self._begun = True
            if data.startswith(_UNKNOWN):
                data = _UNDERSTOOD + data[len(_UNKNOWN) :]
        super().dataReceived(data)


class _ProxyProtocolFactory(HAProxyWrappingFactory):
    protocol = _ProxyProtocolConnection  # type: ignore[assignment]


class ProxyProtocol(FactoryWrapper):
    """
    Reads a PROXY protocol header, version 1 or 2, from trusted proxies.

    Where it is expected it must be there, and elsewhere it is not looked for, as the specification demands: a client
    that could choose could claim any address.
    """

    def __init__(self, factory: Any, client_addresses: ClientAddresses, enabled: Callable[[], bool]) -> None:
        super().__init__(factory)
        self._client_addresses = client_addresses
        self._enabled = enabled
        self._proxy_protocol = _ProxyProtocolFactory(factory)

    def buildProtocol(self, addr: IAddress) -> IProtocol | None:
        if self._enabled() and self._client_addresses.trusts(addr):
            protocol: IProtocol | None = self._proxy_protocol.buildProtocol(addr)
            return protocol
        return super().buildProtocol(addr)
