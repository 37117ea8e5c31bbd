"""
The client's address: the peer, or what a trusted proxy says in ``X-Forwarded-For`` or ``Forwarded`` (RFC 7239).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from attrs import frozen
from twisted.internet import address
from twisted.internet.interfaces import IAddress
from twisted.web.http_headers import Headers

__all__ = ["NO_PROXIES", "ClientAddresses"]

_Address = IPv4Address | IPv6Address
_Networks = tuple[IPv4Network | IPv6Network, ...]

# Elements between commas, and pairs between semicolons, unless quoted. A quote without an end goes on to the end:
# searching for it again at each place after would block the reactor for seconds.
_QUOTED = r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)'
_ELEMENT = re.compile(rf'(?:[^,"]|{_QUOTED})+')
_PAIR = re.compile(rf'(?:[^;"]|{_QUOTED})+')


@frozen
class ClientAddresses:
    """
    Finds the client behind trusted proxies.

    :ivar trusted: returns the proxies' networks, ``server.trusted_proxies`` as it is now.
    """

    _trusted: Callable[[], tuple[str, ...]] = lambda: ()

    def trusts(self, peer: IAddress) -> bool:
        """
        Whether the peer is a trusted proxy.
        """
        host = _address(getattr(peer, "host", ""))
        return host is not None and _is_in(host, _networks(self._trusted()))

    def resolve(self, peer: IAddress, headers: Headers) -> IAddress:
        """
        Find the client of a request.

        Each proxy appends to the list, so it is read from the end for as long as the addresses are trusted; what stands
        before the first untrusted one is its own claim. A proxy that knows only one of the two headers passes the other
        one on as it came: if both are present and do not agree, the peer is the client.
        """
        if not self.trusts(peer):
            return peer
        networks = _networks(self._trusted())
        found = {
            _first_untrusted(nodes, networks)
            for nodes in (
                list(_x_forwarded_for(_values(headers, b"X-Forwarded-For"))),
                list(_forwarded(_values(headers, b"Forwarded"))),
            )
            if nodes
        }
        host = found.pop() if len(found) == 1 else None
        if host is None:
            return peer
        return (address.IPv4Address if host.version == 4 else address.IPv6Address)("TCP", str(host), 0)


#: Trusts no proxy.
NO_PROXIES = ClientAddresses()


def _first_untrusted(nodes: Sequence[_Address | None], networks: _Networks) -> _Address | None:
    """
    The last address that is no trusted proxy; without one, the first of all. Reading stops at an invalid entry.
    """
    farthest: _Address | None = None
    for node in reversed(nodes):
        if node is None:
            break
        farthest = node
        if not _is_in(node, networks):
            break
    return farthest


def _values(headers: Headers, name: bytes) -> Iterator[str]:
    yield from (value.decode("latin-1") for value in headers.getRawHeaders(name, []))


def _x_forwarded_for(values: Iterable[str]) -> Iterator[_Address | None]:
    for value in values:
        yield from (_node(each) for each in value.split(","))


def _forwarded(values: Iterable[str]) -> Iterator[_Address | None]:
    for value in values:
        for element in _ELEMENT.findall(value):
            pairs = (each.partition("=") for each in _PAIR.findall(element))
            named = [node for name, _, node in pairs if name.strip().lower() == "for"]
            yield _node(named[0].strip().strip('"')) if len(named) == 1 and named[0].count('"') != 1 else None


def _node(text: str) -> _Address | None:
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    return _address(text)


def _address(text: str) -> _Address | None:
    try:
        host = ip_address(text)
    except ValueError:
        return None
    # IPv4 on a dual-stack socket.
    mapped = host.ipv4_mapped if isinstance(host, IPv6Address) else None
    return host if mapped is None else mapped


@lru_cache(maxsize=2)
def _networks(texts: tuple[str, ...]) -> _Networks:
    return tuple(ip_network(text) for text in texts)


def _is_in(host: _Address, networks: _Networks) -> bool:
    return any(host in network for network in networks)
