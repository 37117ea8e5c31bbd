"""
Whether ``[admin]`` lets in nobody but whom it should.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address

from itsjustintv.config.folding_draft_parse import Finding
from itsjustintv.config.folding_names_hosts import is_address
from itsjustintv.config.hosts import host_and_port, listen
from itsjustintv.config.sections import Admin, Server
from itsjustintv.config.values import Rule, optional, token

__all__ = ["ADMIN_RULES", "check_admin"]

# With as many random characters it cannot be guessed over a network.
_SHORTEST = 16


def check_admin(admin: Admin, server: Server) -> Iterator[Finding]:
    """
    Find what must be changed before the page can be served.
    """
    place = host_and_port(admin.listen)
    if not admin.enabled or place is None:
        return
    if not admin.token and not _is_loopback(place[0]):
        yield Finding(
            "admin.token",
            "must be given when admin.listen is not a loopback address such as 127.0.0.1, or everyone who reaches the"
            " port could cancel deliveries; openssl rand -hex 32 makes one",
            ("admin.enabled", "admin.listen", "admin.token_file"),
        )
    if place == (server.listen_addr, server.port):
        yield Finding(
            "admin.listen",
            "must not be where Twitch is listened to: use a port of its own",
            ("server.listen_addr", "server.port"),
        )


def _is_loopback(host: str) -> bool:
    return ip_address(host).is_loopback if is_address(host) else host.lower() == "localhost"


#: By key of ``[admin]``.
ADMIN_RULES: Mapping[str, Rule] = {
    "listen": listen('"127.0.0.1:8081" or "[::1]:8081"'),
    "token": optional(token(_SHORTEST)),
}
