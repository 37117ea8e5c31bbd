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

# What is public wraps a whole endpoint, for whoever connects.
from twisted.protocols.haproxy._wrapper import HAProxyProtocolWrapper, HAProxyWrappingFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from itsjustintv.web.client_address import NO_PROXIES, Clients
from itsjustintv.web.http1 import HTTP1Connection
from itsjustintv.web.http2.connection import HTTP2Channel
from itsjustintv.web.site import LimitedSite

__all__ = ["AlpnFactory", "FactoryWrapper", "ProxyProtocol", "make_chain"]

_HTTP_1 = b"http/1.1"
_HTTP_2 = b"h2"


def make_chain(
    site: LimitedSite,
    encrypt: Callable[[IProtocolFactory, IProtocolFactory], IProtocolFactory],
    http2: Callable[[], bool],
    clients: Clients = NO_PROXIES,
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
    :param clients: which proxies are trusted in step 1.
    """
    negotiated = AlpnFactory(site, http2)
    plain_or_encrypted = encrypt(site, negotiated)
    return ProxyProtocol(plain_or_encrypted, clients, proxy_protocol)


@implementer(IProtocolFactory, ILoggingContext)
class FactoryWrapper:
    """
    Passes on to another factory what there is to know of ports, and connections as its subclasses have it.

    :param factory: of what is inside.
    """

    def __init__(self, factory: Any) -> None:
        self._factory = factory

    def doStart(self) -> None:
        """
        Tell the factory that a port more is listened on.
        """
        self._factory.doStart()

    def doStop(self) -> None:
        """
        Tell the factory of a port less.
        """
        self._factory.doStop()

    def logPrefix(self) -> str:
        """
        Go by the name of the factory, in the lines that Twisted writes about ports.
        """
        prefix: str = self._factory.logPrefix()
        return prefix

    def buildProtocol(self, addr: IAddress) -> IProtocol | None:
        """
        Let a connection pass as it is.
        """
        protocol: IProtocol | None = self._factory.buildProtocol(addr)
        return protocol


@implementer(IProtocolNegotiationFactory)
class AlpnFactory(FactoryWrapper):
    """
    Lets connections under TLS speak HTTP/2 or HTTP/1.1, the first of them that the client speaks (RFC 7301).

    :param factory: builds channels of HTTP/1.1.
    :param http2: whether HTTP/2 is spoken, asked for each connection.
    """

    def __init__(self, factory: Any, http2: Callable[[], bool]) -> None:
        super().__init__(factory)
        self._http2 = http2

    def acceptableProtocols(self) -> list[bytes]:
        """
        Name the versions by what ALPN calls them, the best first.
        """
        return [_HTTP_2, _HTTP_1] if self._http2() else [_HTTP_1]

    def buildProtocol(self, addr: IAddress) -> IProtocol | None:
        """
        Build a channel of HTTP/1.1, which makes room for another if that is what is agreed upon.
        """
        channel = super().buildProtocol(addr)
        return _Version(channel) if isinstance(channel, HTTP1Connection) else channel


@implementer(IHandshakeListener)
class _Version(Protocol):
    """
    A connection, from before it is known what it speaks.
    """

    transport: Any

    def __init__(self, channel: HTTP1Connection) -> None:
        self._channel: HTTP1Connection | HTTP2Channel = channel

    def connectionMade(self) -> None:
        """
        Count it, and its time, from here on.
        """
        self._channel.makeConnection(self.transport)

    def handshakeCompleted(self) -> None:
        """
        Speak as agreed upon.
        """
        channel = self._channel
        if self.transport.negotiatedProtocol == _HTTP_2 and isinstance(channel, HTTP1Connection):
            channel.give_way()
            self._channel = HTTP2Channel(channel)
            self._channel.makeConnection(self.transport)

    def dataReceived(self, data: bytes) -> None:
        """
        Pass on what is said.
        """
        self._channel.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Pass on that it is over.
        """
        self._channel.connectionLost(reason)


# A proxy that asks for itself, as the standard has it (PROXY protocol, section 2.1), and as Twisted's parser wants it.
_UNKNOWN = b"PROXY UNKNOWN\r\n"
_UNDERSTOOD = b"PROXY UNKNOWN \r\n"


class _Introduction(HAProxyProtocolWrapper):
    _begun = False

    def dataReceived(self, data: bytes) -> None:
        """
        Read the header, then pass everything on.
        """
        if not self._begun:
            self._begun = True
            if data.startswith(_UNKNOWN):
                data = _UNDERSTOOD + data[len(_UNKNOWN) :]
        super().dataReceived(data)


class _Introductions(HAProxyWrappingFactory):
    protocol = _Introduction  # type: ignore[assignment]


class ProxyProtocol(FactoryWrapper):
    """
    Lets trusted proxies introduce every connection with a header of the PROXY protocol, version 1 or 2.

    The header must be there when it is expected and is never looked for otherwise, as the protocol demands: whoever may
    choose could claim to be anybody. A connection of anybody else begins as usual.

    :param factory: of what is inside.
    :param clients: says who is trusted.
    :param enabled: asked for each connection.
    """

    def __init__(self, factory: Any, clients: Clients, enabled: Callable[[], bool]) -> None:
        super().__init__(factory)
        self._clients = clients
        self._enabled = enabled
        self._introduced = _Introductions(factory)

    def buildProtocol(self, addr: IAddress) -> IProtocol | None:
        """
        Build the protocol of a connection.
        """
        if self._enabled() and self._clients.trusts(addr):
            protocol: IProtocol | None = self._introduced.buildProtocol(addr)
            return protocol
        return super().buildProtocol(addr)
