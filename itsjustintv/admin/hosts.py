"""
Reading ``Host`` and ``Origin`` (RFC 9110, sections 7.2 and 4.2.3; RFC 6454), strictly: what two programs could read in
two ways is no name at all.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Address, ip_address

from attrs import frozen

__all__ = ["Authority", "authority", "origin"]

# A name, or four numbers, or what a literal of IPv6 is made of; then perhaps a port. Nothing of it is percent-encoded,
# quoted, or beside a user name, and browsers write all of it in ASCII.
_FORM = re.compile(rb"([A-Za-z0-9_.-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?")
_ORIGIN = re.compile(rb"(https?)://([^/?#]+)")

_LOOPBACK = IPv4Network("127.0.0.0/8")
_DEFAULTS = {"http": 80, "https": 443}


@frozen
class Authority:
    """
    A host and a port.

    :ivar host: in lower case, a literal of IPv6 without its brackets and in its shortest form.
    :ivar port: ``None`` where none is said.
    """

    host: str
    port: int | None = None

    @property
    def is_loopback(self) -> bool:
        """
        Whether this can only be the machine itself: ``localhost``, an address in ``127.0.0.0/8`` written as four
        numbers, or ``::1``. Names that only resolve to such an address can be made to do so by their owner (DNS
        rebinding), and other ways to write an address are read differently by different programs.
        """
        if self.host == "localhost":
            return True
        try:
            address = ip_address(self.host)
        except ValueError:
            return False
        return address == IPv6Address("::1") if address.version == 6 else address in _LOOPBACK


def authority(text: bytes) -> Authority | None:
    """
    Read a host with an optional port, or ``None`` when it is not exactly one.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    host, port = found[1].decode("ascii").lower(), None if found[2] is None else int(found[2])
    if port is not None and not 0 < port < 1 << 16:
        return None
    if host.startswith("["):
        try:
            host = str(IPv6Address(host[1:-1]))
        except ValueError:
            return None
    return Authority(host, port)


def origin(text: bytes) -> tuple[Authority, int] | None:
    """
    Read an origin, or the beginning of a ``Referer``: who, and the port that its scheme has by default.

    :return: ``None`` for ``null`` and whatever else is no page on the web.
    """
    found = _ORIGIN.match(text)
    who = None if found is None else authority(found[2])
    return None if found is None or who is None else (who, _DEFAULTS[found[1].decode("ascii")])
