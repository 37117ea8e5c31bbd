"""
The PROXY protocol, by which a proxy that does not look into a connection tells whose it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IAddress, IProtocol

# What is public wraps a whole endpoint, for whoever connects.
from twisted.protocols.haproxy._wrapper import HAProxyProtocolWrapper, HAProxyWrappingFactory

from itsjustintv.web.client_address import Clients
from itsjustintv.web.folding_passage_factories import Passage

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


class Introduced(Passage):
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
