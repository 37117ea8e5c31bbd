"""
The PROXY protocol, by which a proxy that does not look into a connection tells whose it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.internet.interfaces import IAddress, ILoggingContext, IProtocol, IProtocolFactory

# What is public wraps a whole endpoint, for whoever connects.
from twisted.protocols.haproxy._wrapper import HAProxyProtocolWrapper, HAProxyWrappingFactory
from zope.interface import implementer

from itsjustintv.web.clients import Clients

__all__ = ["Introduced"]

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


@implementer(IProtocolFactory, ILoggingContext)
@define(eq=False)
class Introduced:
    """
    Lets trusted proxies introduce every connection with a header of the PROXY protocol, version 1 or 2.

    The header must be there when it is expected and is never looked for otherwise, as the protocol demands: whoever may
    choose could claim to be anybody. A connection of anybody else begins as usual.

    :ivar factory: of what is inside.
    :ivar clients: says who is trusted.
    :ivar enabled: asked for each connection.
    """

    _factory: Any
    _clients: Clients
    _enabled: Callable[[], bool]
    _introduced: _Introductions = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._introduced = _Introductions(self._factory)

    def doStart(self) -> None:
        """
        Tell the factory that a port is opened.
        """
        self._factory.doStart()

    def doStop(self) -> None:
        """
        Tell the factory that a port is closed.
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
        Build the protocol of a connection.
        """
        introduced = self._enabled() and self._clients.trusts(addr)
        factory: IProtocolFactory = self._introduced if introduced else self._factory
        return factory.buildProtocol(addr)
