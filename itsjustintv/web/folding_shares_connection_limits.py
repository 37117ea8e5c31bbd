"""
Who holds how many connections, so that one caller cannot keep all others out.
"""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv6Address, ip_address

from attrs import define, field
from twisted.internet.interfaces import IAddress

__all__ = ["Shares", "neighbourhood"]

# Whoever has one IPv6 address has all that begin with the same so many bits.
_HOST_BITS = 64


def neighbourhood(peer: IAddress | None) -> str:
    """
    Name whoever is behind an address: an IPv4 address, or the network of an IPv6 address.
    """
    host: str = getattr(peer, "host", "")
    if ":" not in host:
        return host
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if not isinstance(address, IPv6Address):
        return host
    return str(address.ipv4_mapped or IPv6Address(int(address) >> _HOST_BITS << _HOST_BITS))


@define(eq=False)
class Shares:
    """
    Counts.
    """

    _counts: Counter[str] = field(factory=Counter, init=False)

    def add(self, who: str) -> None:
        """
        Count one more.
        """
        self._counts[who] += 1

    def remove(self, who: str) -> None:
        """
        Count one less.
        """
        self._counts[who] -= 1
        if self._counts[who] <= 0:
            del self._counts[who]

    def greediest(self, who: str) -> str | None:
        """
        Tell who should give one up to somebody: the one who holds the most, if that is still no less than the other
        has, afterwards.
        """
        if not self._counts:
            return None
        ((most, count),) = self._counts.most_common(1)
        return most if count > self._counts[who] + 1 else None
