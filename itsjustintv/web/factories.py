"""
Which version of HTTP a connection speaks is agreed upon with TLS.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IAddress, IHandshakeListener, IProtocol, IProtocolNegotiationFactory
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from itsjustintv.web.folding_passage_factories import Passage
from itsjustintv.web.http1 import Channel
from itsjustintv.web.http2.connection import HTTP2Channel

__all__ = ["Versions"]

_HTTP_1 = b"http/1.1"
_HTTP_2 = b"h2"


@implementer(IProtocolNegotiationFactory)
class Versions(Passage):
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
        return _Version(channel) if isinstance(channel, Channel) else channel


@implementer(IHandshakeListener)
class _Version(Protocol):
    """
    A connection, from before it is known what it speaks.
    """

    transport: Any

    def __init__(self, channel: Channel) -> None:
        self._channel: Channel | HTTP2Channel = channel

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
        if self.transport.negotiatedProtocol == _HTTP_2 and isinstance(channel, Channel):
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
