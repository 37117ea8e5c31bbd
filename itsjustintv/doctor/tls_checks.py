"""
Checks for HTTPS: keys, ports, names and the certificate authority. They change nothing and order nothing.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address
from pathlib import Path

from itsjustintv.config.hosts import is_address
from itsjustintv.config.sections import TLS, Server
from itsjustintv.config.tls import http_address, needs_http
from itsjustintv.doctor.findings import Finding, Severity, is_visible
from itsjustintv.errors import CertificateError, CertificateUnusable
from itsjustintv.support.causes import cause
from itsjustintv.support.files import is_open_to_others
from itsjustintv.tls.acme.http import AcmeTransport
from itsjustintv.tls.acme.messages import read_directory
from itsjustintv.tls.key_folder import require_private
from itsjustintv.tls.operator_files import read_pair
from itsjustintv.tls.settings import directory_url

__all__ = ["addresses", "authority", "keys", "names", "ports"]


def keys(tls: TLS, now: float) -> Iterator[Finding]:
    """
    Check the folder of the certificates, or the operator's own files.

    :param now: in seconds since the epoch.
    """
    yield from _own(tls, now) if tls.mode == "files" else _folder(Path(tls.cert_dir))


def _folder(root: Path) -> Iterator[Finding]:
    what = f"server.tls.cert_dir {root}"
    if not is_visible(root):
        above = next(folder for folder in root.absolute().parents if is_visible(folder))
        if os.access(above, os.W_OK | os.X_OK):
            yield Finding(Severity.OK, f"{what} does not exist yet; the daemon creates it at the first start")
        else:
            yield Finding(Severity.ERROR, f"cannot create {what} in {above}: create it as the daemon's user")
        return
    if not root.is_dir() or not os.access(root, os.R_OK | os.W_OK | os.X_OK):
        yield Finding(
            Severity.ERROR, f"{what} is not a folder that this user can write to: make the daemon's user its owner"
        )
        return
    try:
        require_private(root)
    except CertificateError as error:
        yield Finding(Severity.ERROR, str(error))
        return
    if is_open_to_others(root):
        yield Finding(
            Severity.WARNING, f"{what} is open to other users, although the files in it are not: chmod 700 {root}"
        )
    else:
        yield Finding(Severity.OK, f"{what} and the keys in it are private")


def _own(tls: TLS, now: float) -> Iterator[Finding]:
    try:
        bundle = read_pair(Path(tls.cert_file), Path(tls.key_file), now)
    except CertificateUnusable as error:
        yield Finding(Severity.ERROR, str(error))
        return
    missing = [name for name in tls.domains if not bundle.covers(name)]
    if missing:
        yield Finding(
            Severity.ERROR,
            f"{tls.cert_file} is not valid for {', '.join(missing)}: use another certificate, or"
            " correct server.tls.domains",
        )
    else:
        yield Finding(Severity.OK, f"{tls.cert_file} and {tls.key_file} can be used")


def ports(server: Server, running: bool | None) -> Iterator[Finding]:
    """
    Bind each port of the daemon for a moment.

    :param running: whether a daemon runs, which then holds these ports; ``None`` if unknown.
    """
    yield _port("server.port", server.listen_addr, server.port, running)
    place = http_address(server.tls)
    if place is None:
        return
    found = _port("server.tls.http_listen", *place, running)
    if found.severity is Severity.ERROR and not needs_http(server.tls):
        found = Finding(
            Severity.WARNING,
            f'{found.text}, or set it to "" for none: it only redirects http:// to https://, and'
            " HTTPS works without it",
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
            return Finding(Severity.OK, f"{what} is in use, and a daemon runs with this configuration")
        if running is None:
            return Finding(
                Severity.WARNING, f"{what} is in use: `ss -ltnp` names the process; a running daemon is fine"
            )
        return Finding(
            Severity.ERROR,
            f"{what} is in use, and not by the daemon: `ss -ltnp` names the process; stop it or change {key}",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        if running:
            return Finding(Severity.OK, f"{what} needs a privilege, which the running daemon has")
        return Finding(
            Severity.WARNING,
            f"{what} needs a privilege that this user does not have: the systemd unit gives it to the daemon;"
            " without the unit, give it CAP_NET_BIND_SERVICE, or start it as root with twistd --uid",
        )
    return Finding(Severity.ERROR, f"cannot bind {what}: {cause(error)}; correct {key}")


def addresses(name: str) -> Sequence[str]:
    """
    Resolve a name with the system's resolver. Blocks.

    :raises OSError: it cannot be resolved.
    """
    return sorted({str(found[4][0]) for found in socket.getaddrinfo(name, 443, type=socket.SOCK_STREAM)})


def names(server: Server, resolve: Callable[[str], Sequence[str]]) -> Iterator[Finding]:
    """
    Check to which addresses the domains resolve.

    :param resolve: returns addresses, or raises ``OSError``.
    """
    for name in server.tls.domains:
        if not is_address(name):
            yield _name(name, server, resolve)


def _name(name: str, server: Server, resolve: Callable[[str], Sequence[str]]) -> Finding:
    try:
        found = [ip_address(each.partition("%")[0]) for each in resolve(name)]
    except OSError as error:
        return Finding(
            Severity.ERROR,
            f"cannot resolve {name}: {error.strerror or error}; add an A record that points to this machine",
        )
    shown = ", ".join(map(str, found))
    if not any(each.is_global for each in found):
        return Finding(
            Severity.WARNING,
            f"{name} resolves to {shown or 'no address'} here, which is not a public address: check it from outside",
        )
    if any(each.version == 6 for each in found) and ":" not in server.listen_addr:
        return Finding(
            Severity.WARNING,
            f"{name} resolves to {shown}, but server.listen_addr is not IPv6: without a proxy in"
            " front, set it to ::, or"
            " remove the AAAA record",
        )
    return Finding(Severity.OK, f"{name} resolves to {shown}: check that this is your machine")


async def authority(tls: TLS, exchange: AcmeTransport) -> Finding:
    """
    Fetch the directory of the certificate authority, which counts towards no rate limit.
    """
    url = directory_url(tls)
    try:
        answer = await exchange.request("GET", url)
        if answer.status != 200:
            raise answer.problem()
        directory = read_directory(answer)
    except CertificateError as error:
        return Finding(
            Severity.ERROR,
            f"cannot use the certificate authority {url}: {error}; check server.tls.directory, server.tls.ca_bundle and"
            " the firewall",
        )
    if directory.needs_binding and not tls.eab_kid:
        return Finding(
            Severity.ERROR,
            f"the certificate authority {url} requires an account of yours: set server.tls.eab_kid and"
            " server.tls.eab_hmac_file",
        )
    if tls.profile and tls.profile not in directory.profiles:
        return Finding(
            Severity.ERROR,
            f"the certificate authority {url} has no profile {tls.profile}; it has"
            f" {', '.join(sorted(directory.profiles)) or 'none'}: correct server.tls.profile",
        )
    return Finding(Severity.OK, f"the certificate authority {url} answers")
