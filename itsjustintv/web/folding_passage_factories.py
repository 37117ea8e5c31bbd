"""
A factory in front of another one.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IAddress, ILoggingContext, IProtocol, IProtocolFactory
from zope.interface import implementer

__all__ = ["Passage"]


@implementer(IProtocolFactory, ILoggingContext)
class Passage:
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
