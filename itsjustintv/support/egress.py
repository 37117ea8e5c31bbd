"""
Which addresses the daemon may connect to, decided on what a name was resolved to. Pure: the connections are made in
:mod:`itsjustintv.support.http_agents`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from attrs import frozen

__all__ = ["Address", "EgressPolicy", "EgressRefused"]

#: Of either version.
Address = IPv4Address | IPv6Address
_Network = IPv4Network | IPv6Network


class EgressRefused(Exception):
    """
    No connection was made, since each address of the name is refused.

    :ivar addresses: these, as the resolver wrote them.
    """

    def __init__(self, addresses: Sequence[str]) -> None:
        super().__init__(f"every address is refused: {', '.join(addresses)}")
        self.addresses = tuple(addresses)


@frozen
class EgressPolicy:
    """
    Judges single addresses.

    :ivar allow: networks that are never refused.
    :ivar public_only: whether private addresses are refused too, as those that come from content must be.
    """

    allow: tuple[_Network, ...] = ()
    public_only: bool = False

    @classmethod
    def of(cls, allow: Sequence[str] = (), *, public_only: bool = False) -> EgressPolicy:
        """
        Make one of networks as texts.

        :raises ValueError: one of them is no network.
        """
        return cls(_parsed(tuple(allow)), public_only)

    def refuses(self, address: str) -> bool:
        """
        Whether no connection may be made to an address. One that cannot be read is refused.

        An IPv6 address that stands for an IPv4 address is judged by that one too: some router or kernel on the way may
        take it for that.

        :param address: as a resolver gives it, perhaps with a zone: ``fe80::1%eth0``.
        """
        try:
            parsed = ip_address(address)
        except ValueError:
            return True
        if _within(parsed, self.allow):
            return False
        embedded = list(_embedded(parsed))
        if any(self._refuses(each) and not _within(each, self.allow) for each in embedded):
            return True
        return not (embedded and _within(parsed, _TRANSLATED)) and self._refuses(parsed)

    def _refuses(self, address: Address) -> bool:
        if _within(address, _NEVER):
            return True
        if not self.public_only:
            return False
        return _within(address, _PRIVATE) or (address.version == 6 and address not in _GLOBAL_UNICAST)


def _networks(*texts: str) -> tuple[_Network, ...]:
    return tuple(map(ip_network, texts))


@lru_cache(maxsize=8)
def _parsed(allow: tuple[str, ...]) -> tuple[_Network, ...]:
    return _networks(*allow)


def _within(address: Address, networks: Iterable[_Network]) -> bool:
    return any(address in each for each in networks)


# No receiver is there. Link-local addresses include the metadata service of most clouds (169.254.169.254); it hands out
# the machine's credentials to any program that makes it answer.
_NEVER = _networks(
    "0.0.0.0/8",  # this machine, on Linux
    "169.254.0.0/16",  # link-local
    "100.100.100.200/32",  # metadata of Alibaba Cloud
    "168.63.129.16/32",  # the platform of Azure
    "192.0.0.192/32",  # metadata of Oracle Cloud
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, and broadcast
    "::/128",  # this machine, on Linux
    "fe80::/10",  # link-local
    "fd00:ec2::/32",  # metadata and other services of Amazon EC2
    "fd20:ce::254/128",  # metadata of Google Cloud
    "fd00:42::42/128",  # metadata of Scaleway
    "ff00::/8",  # multicast
)

# IANA's registries of special-purpose addresses: what is not globally reachable.
_PRIVATE = _networks(
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "2001::/23",
    "2001:db8::/32",
    "3fff::/20",
)

_GLOBAL_UNICAST = IPv6Network("2000::/3")

_MAPPED = IPv6Network("::ffff:0:0/96")  # RFC 4291, 2.5.5.2
_COMPATIBLE = IPv6Network("::/96")  # RFC 4291, 2.5.5.1
_SIIT = IPv6Network("::ffff:0:0:0/96")  # RFC 7915
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")  # RFC 8215
_6TO4 = IPv6Network("2002::/16")  # RFC 3056
_TEREDO = IPv6Network("2001::/32")  # RFC 4380

# Nothing but another notation of the IPv4 address that they hold: that one alone is judged.
_TRANSLATED = (_MAPPED, _SIIT, _NAT64, _LOCAL_NAT64)

_32_BITS = 0xFFFF_FFFF

# The two marks in front of an IPv4 address in the interface identifier (RFC 5214, 6.1).
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)


def _embedded(address: Address) -> Iterator[IPv4Address]:
    """
    Every IPv4 address that an IPv6 address may stand for.
    """
    if address.version == 4:
        return
    bits = int(address)
    if _within(address, (_MAPPED, _SIIT, _NAT64)) or (address in _COMPATIBLE and bits > 1):
        yield IPv4Address(bits & _32_BITS)
    elif address in _LOCAL_NAT64:
        # The prefix may be as long as /48, /56, /64 or /96; bits 64 to 71 are left out (RFC 6052, 2.2).
        without_gap = (bits >> 64 << 56) | (bits & ((1 << 56) - 1))
        found = [*(without_gap >> shift for shift in (40, 32, 24)), bits]
        # What begins with 0 is the rest of a shorter prefix.
        yield from (IPv4Address(each & _32_BITS) for each in found if each >> 24 & 0xFF)
    elif address in _6TO4:
        yield IPv4Address(bits >> 80 & _32_BITS)
    elif address in _TEREDO:
        yield IPv4Address(bits >> 64 & _32_BITS)
        yield IPv4Address(~bits & _32_BITS)
    if bits >> 32 & _32_BITS in _ISATAP:
        yield IPv4Address(bits & _32_BITS)
