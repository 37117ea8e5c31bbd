"""
Whether HTTPS will work as ``[server.tls]`` has it, as far as can be seen from here before it is tried.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from ipaddress import ip_address
from pathlib import Path

from attrs import frozen

from itsjustintv.config.hosts import is_address
from itsjustintv.config.sections import TLS, Server
from itsjustintv.config.tls import http_needed, http_place
from itsjustintv.errors import CertificateError, CertificateUnusable
from itsjustintv.support.causes import cause
from itsjustintv.tls.acme.http import AcmeTransport
from itsjustintv.tls.acme.messages import read_directory
from itsjustintv.tls.key_folder import require_private
from itsjustintv.tls.operator_files import read_pair
from itsjustintv.tls.settings import directory_url

__all__ = ["Finding", "Severity", "addresses", "authority", "keys", "names", "ports", "seen"]

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class Severity(Enum):
    """
    What is to be done about something.
    """

    OK = "ok"
    HINT = "hint"
    MEND = "mend"


@frozen
class Finding:
    """
    Something that was looked at.

    :ivar text: what was found, and what to do about it; without secrets.
    """

    verdict: Severity
    text: str

    def __str__(self) -> str:
        return f"{self.verdict.value}: {self.text}"


def seen(path: Path) -> bool:
    """
    Whether there is something at a path, as far as this user may see.
    """
    try:
        path.stat()
    except OSError:
        return False
    return True


def keys(tls: TLS, now: float) -> Iterator[Finding]:
    """
    Look at the folder of the certificates, or at the operator's own files. Changes nothing.

    :param now: in seconds since the epoch.
    """
    yield from _own(tls, now) if tls.mode == "files" else _folder(Path(tls.cert_dir))


def _folder(root: Path) -> Iterator[Finding]:
    what = f"server.tls.cert_dir {root}"
    if not seen(root):
        above = next(folder for folder in root.absolute().parents if seen(folder))
        if os.access(above, os.W_OK | os.X_OK):
            yield Finding(Severity.OK, f"{what} is made at the first start")
        else:
            yield Finding(Severity.MEND, f"{what} cannot be made in {above}: create it, owned by the daemon's user")
        return
    if not root.is_dir() or not os.access(root, os.R_OK | os.W_OK | os.X_OK):
        yield Finding(Severity.MEND, f"{what} is no folder that this user can write in: let the daemon's user own it")
        return
    try:
        require_private(root)
    except CertificateError as error:
        yield Finding(Severity.MEND, str(error))
        return
    if root.stat().st_mode & _OTHERS:
        yield Finding(Severity.HINT, f"{what} is open to others, though the files in it are not: chmod 700 {root}")
    else:
        yield Finding(Severity.OK, f"{what} and the keys in it are private")


def _own(tls: TLS, now: float) -> Iterator[Finding]:
    try:
        bundle = read_pair(Path(tls.cert_file), Path(tls.key_file), now)
    except CertificateUnusable as error:
        yield Finding(Severity.MEND, str(error))
        return
    missing = [name for name in tls.domains if not bundle.covers(name)]
    if missing:
        yield Finding(
            Severity.MEND,
            f"{tls.cert_file} is not for {', '.join(missing)}: use one that is, or correct server.tls.domains",
        )
    else:
        yield Finding(Severity.OK, f"{tls.cert_file} with {tls.key_file} can be served")


def ports(server: Server, running: bool | None) -> Iterator[Finding]:
    """
    Try to bind what the daemon binds, and let go of it at once.

    :param running: whether a daemon runs, which then has these ports; ``None`` when nobody knows.
    """
    yield _port("server.port", server.listen_addr, server.port, running)
    place = http_place(server.tls)
    if place is None:
        return
    found = _port("server.tls.http_listen", *place, running)
    if found.verdict is Severity.MEND and not http_needed(server.tls):
        found = Finding(
            Severity.HINT,
            f'{found.text}, or set it to "" for none: it only leads those who ask by http:// to https, which is served'
            " all the same",
        )
    yield found


def _port(key: str, host: str, port: int, running: bool | None) -> Finding:
    what = f"{key}: port {port} on {host or 'every interface'}"
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            host or "0.0.0.0",  # noqa: S104 - what the daemon would listen on
            port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )[0]
        with socket.socket(family, kind, protocol) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(where)
    except OSError as error:
        return _unbound(what, key, error, running)
    return Finding(Severity.OK, f"{what} can be bound")


def _unbound(what: str, key: str, error: OSError, running: bool | None) -> Finding:
    if error.errno == errno.EADDRINUSE:
        if running:
            return Finding(Severity.OK, f"{what} is taken, and a daemon runs with this configuration")
        if running is None:
            return Finding(Severity.HINT, f"{what} is taken: `ss -ltnp` names who has it; a running daemon is fine")
        return Finding(
            Severity.MEND,
            f"{what} is taken, and not by the daemon: `ss -ltnp` names who has it; end it or change {key}",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        if running:
            return Finding(Severity.OK, f"{what} takes a privilege, which the running daemon has")
        return Finding(
            Severity.HINT,
            f"{what} takes a privilege that this user does not have: the unit of systemd gives it to the daemon;"
            " otherwise give it CAP_NET_BIND_SERVICE, or start it as root with twistd --uid",
        )
    return Finding(Severity.MEND, f"{what} cannot be bound: {cause(error)}; correct {key}")


def addresses(name: str) -> Sequence[str]:
    """
    Look a name up as the system does. Blocks.

    :raises OSError: it cannot be resolved.
    """
    return sorted({str(found[4][0]) for found in socket.getaddrinfo(name, 443, type=socket.SOCK_STREAM)})


def names(server: Server, resolve: Callable[[str], Sequence[str]]) -> Iterator[Finding]:
    """
    See where the domains lead.

    :param resolve: answers with addresses, or raises ``OSError``.
    """
    for name in server.tls.domains:
        if not is_address(name):
            yield _name(name, server, resolve)


def _name(name: str, server: Server, resolve: Callable[[str], Sequence[str]]) -> Finding:
    try:
        found = [ip_address(each.partition("%")[0]) for each in resolve(name)]
    except OSError as error:
        return Finding(
            Severity.MEND,
            f"{name} cannot be resolved ({error.strerror or error}): give it an A record that leads to this machine",
        )
    shown = ", ".join(map(str, found))
    if not any(each.is_global for each in found):
        return Finding(
            Severity.HINT,
            f"{name} leads to {shown or 'nowhere'} from here, which is not on the internet: is that so outside?",
        )
    if any(each.version == 6 for each in found) and ":" not in server.listen_addr:
        return Finding(
            Severity.HINT,
            f"{name} leads to {shown}, but server.listen_addr is not IPv6: if no proxy is in front, set it to ::, or"
            " remove the AAAA record",
        )
    return Finding(Severity.OK, f"{name} leads to {shown}: see that it is this machine")


async def authority(tls: TLS, exchange: AcmeTransport) -> Finding:
    """
    Ask the authority for its directory, which costs nothing and counts towards no limit of certificates.
    """
    url = directory_url(tls)
    try:
        answer = await exchange.ask("GET", url)
        if answer.status != 200:
            raise answer.problem()
        directory = read_directory(answer)
    except CertificateError as error:
        return Finding(
            Severity.MEND,
            f"the authority {url} cannot be used: {error}; see server.tls.directory, server.tls.ca_bundle and"
            " the firewall",
        )
    if directory.needs_binding and not tls.eab_kid:
        return Finding(
            Severity.MEND,
            f"the authority {url} wants an account that you have with it: set server.tls.eab_kid and"
            " server.tls.eab_hmac_file",
        )
    if tls.profile and tls.profile not in directory.profiles:
        return Finding(
            Severity.MEND,
            f"the authority {url} has no profile {tls.profile}, but {', '.join(sorted(directory.profiles)) or 'none'}:"
            " correct server.tls.profile",
        )
    return Finding(Severity.OK, f"the authority {url} answers")
