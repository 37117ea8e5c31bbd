"""
The rules of ``[server.tls]``: for single keys, and between keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from itsjustintv.config.hosts import host_and_port, is_address, is_loopback, is_name, listen, public_name
from itsjustintv.config.lint import describe_unexpected, edge_mistakes
from itsjustintv.config.parse_state import ConfigProblem
from itsjustintv.config.sections import TLS, Server
from itsjustintv.config.urls import host_url
from itsjustintv.config.values import Rule, between, file_name, one_of, optional, visible

__all__ = ["TLS_RULES", "check_tls", "host_and_port", "http_address", "needs_http", "not_txacme", "tls_warnings"]

_HTTP_01 = ("http-01", "both")
_HTTPS_PORT = 443

_IN_NAMES = "abcdefghijklmnopqrstuvwxyz0123456789-."
_WRONG_NAMES = (
    ("begins with a scheme such as https://", re.compile("://")),
    ("has a path", re.compile("/")),
    ("is an email address", re.compile("@")),
    ("has a port", re.compile(r"\A[^:]+:[0-9]*\Z")),
    ("has an underscore, for which no authority issues a certificate", re.compile("_")),
)
_LOCAL_PART = re.compile(r"[!-~]+")
_NOT_IN_CONTACT = frozenset('@,:;?<>()"\\')
_BASE64URL = re.compile("([A-Za-z0-9_-]+)={0,2}")


_TXACME = (
    "must not be an endpoint of txacme: set server.tls.enabled, list the names in server.tls.domains, and choose the"
    ' authority with server.tls.directory, "production" or "staging"'
)


def not_txacme(rule: Rule) -> Rule:
    """
    Reject an endpoint string of txacme, and name the keys that replace it.
    """

    def check(value: str) -> Iterable[str]:
        if value.lower().startswith(("le:", "lets:")):
            return [_TXACME]
        return rule(value)

    return check


def http_address(tls: TLS) -> tuple[str, int] | None:
    """
    Where plain HTTP is served for http-01 and redirects; ``None`` for nowhere.
    """
    return host_and_port(tls.http_listen) if tls.enabled else None


def needs_http(tls: TLS) -> bool:
    """
    Whether certificates depend on plain HTTP. Otherwise it only redirects to HTTPS.
    """
    return tls.enabled and tls.mode == "acme" and tls.challenge in _HTTP_01


def _domains(names: tuple[str, ...]) -> Iterator[str]:
    wildcards = [number for number, name in enumerate(names, 1) if "*" in name]
    if wildcards:
        yield (
            f"must not hold a wildcard ({_numbers(wildcards)}): wildcards require the challenge dns-01, which"
            " is not supported; list each name"
        )
    for number, name in enumerate(names, 1):
        if number not in wildcards and not is_name(name) and not is_address(name):
            yield f"must be host names such as hooks.example.org: number {number} {_wrong_name(name)}"
    first: dict[str, int] = {}
    for number, name in enumerate(names, 1):
        if first.setdefault(name, number) != number:
            yield f"must hold each name once: {_numbers([first[name], number])} are the same; remove one"


def _wrong_name(name: str) -> str:
    """
    Say why a text is not a domain, without a subject.
    """
    for sentence in edge_mistakes(name):
        return sentence
    for sentence, wrong in _WRONG_NAMES:
        if wrong.search(name):
            return sentence
    if odd := describe_unexpected(name, _IN_NAMES):
        return f"holds {odd}"
    return "is not a name of letters, digits and inner hyphens, in parts of at most 63 characters"


def _directory(value: str) -> Iterator[str]:
    if value in ("production", "staging"):
        return
    if "://" not in value:
        yield 'must be "production" or "staging" of Let\'s Encrypt, or the URL of an ACME directory'
        return
    faults = list(host_url(value))
    if faults:
        yield from faults
        return
    url = urlsplit(value)
    if url.scheme == "http" and not is_loopback(url.hostname or ""):
        yield (
            "must begin with https://, unless the authority is on this machine: otherwise an attacker on the path could"
            " obtain certificates for your names"
        )


def _email(value: str) -> Iterator[str]:
    if value.lower().startswith("mailto:"):
        yield "must be an address without mailto:"
        value = value[len("mailto:") :]
    name, at, host = value.rpartition("@")
    if not at or not name:
        yield "must be one address such as ops@example.org"
        return
    if not _LOCAL_PART.fullmatch(name) or not _NOT_IN_CONTACT.isdisjoint(name):
        yield "must be one address such as ops@example.org, in ASCII, without blanks and without a display name"
    yield from public_name(host)


def _eab_hmac(value: str) -> Iterator[str]:
    match = _BASE64URL.fullmatch(value)
    if not match:
        yield "must be the base64url text that the authority shows with the key id: letters, digits, - and _"
    elif len(match[1]) % 4 == 1:
        yield "must be the full base64url text that the authority shows with the key id: a part is missing"


#: By the names of the keys of ``[server.tls]``.
TLS_RULES: Mapping[str, Rule] = {
    "mode": one_of("acme", "files"),
    "domains": _domains,
    "cert_dir": not_txacme(file_name),
    "cert_file": optional(file_name),
    "key_file": optional(file_name),
    "directory": not_txacme(_directory),
    "email": optional(_email),
    "challenge": one_of("http-01", "tls-alpn-01", "both"),
    "http_listen": not_txacme(optional(listen('"0.0.0.0:80" or "[::]:80"'))),
    "profile": optional(visible),
    "key_type": one_of("p256", "p384", "rsa2048", "rsa3072"),
    "ca_bundle": optional(file_name),
    "eab_kid": optional(visible),
    "eab_hmac": optional(_eab_hmac),
    "renew_fraction": optional(between(0.05, 0.9)),
}


def check_tls(server: Server) -> Iterator[ConfigProblem]:
    """
    Check the rules between the keys of ``[server.tls]``, if it is enabled.
    """
    tls = server.tls
    if not tls.enabled:
        return
    if not tls.domains:
        yield _problem("domains", "must name at least one domain when TLS is enabled", "enabled")
    elif tls.default_name and tls.default_name not in tls.domains:
        yield _problem("default_name", "must be one of server.tls.domains: add it there, or remove this", "domains")
    if tls.mode == "files":
        for key in ("cert_file", "key_file"):
            if not getattr(tls, key):
                message = (
                    'must name a PEM file, since mode is "files"; set mode = "acme" to order certificates automatically'
                )
                yield _problem(key, message, "mode")
    elif tls.mode == "acme":
        yield from _check_acme(server)
    yield from _check_http_listen(server)


def tls_warnings(server: Server) -> Iterator[ConfigProblem]:
    """
    Find what is valid in ``[server.tls]`` but probably wrong.
    """
    tls = server.tls
    if not tls.enabled or tls.mode != "acme":
        return
    if tls.challenge == "tls-alpn-01" and server.port != _HTTPS_PORT:
        yield _problem(
            "challenge",
            "requires port 443, where authorities verify tls-alpn-01: set server.port to 443, forward port 443 to it,"
            ' or set challenge = "http-01"',
        )
    for key in ("cert_file", "key_file"):
        if getattr(tls, key):
            yield _problem(key, 'is not used, since mode is "acme": set mode = "files" to use your own certificate')


def _check_acme(server: Server) -> Iterator[ConfigProblem]:
    tls = server.tls
    if not tls.agree_to_terms:
        yield _problem(
            "agree_to_terms",
            "must be true: if you agree to the terms of service of the authority, add this line to [server.tls]:"
            " agree_to_terms = true (or set ITSJUSTINTV_SERVER_TLS_AGREE_TO_TERMS=true)",
            "enabled",
            "mode",
        )
    addresses = [number for number, name in enumerate(tls.domains, 1) if is_address(name)]
    if addresses and tls.profile != "shortlived":
        yield _problem(
            "domains",
            f"must not hold an address ({_numbers(addresses)}): those require"
            ' profile = "shortlived"; add this line to [server.tls], or use a name',
            "mode",
            "profile",
        )
    if needs_http(tls) and not tls.http_listen:
        yield _problem(
            "http_listen",
            "must not be empty for http-01: remove it, which means 0.0.0.0:80, or set"
            ' challenge = "tls-alpn-01", which needs only the port of HTTPS',
            "mode",
            "challenge",
        )
    yield from _external_account(tls)


def _check_http_listen(server: Server) -> Iterator[ConfigProblem]:
    place = http_address(server.tls)
    if place is not None and place[1] == server.port and _overlap(place[0], server.listen_addr):
        nowhere = "" if needs_http(server.tls) else ', or to "" for none'
        yield ConfigProblem(
            "server.tls.http_listen",
            "must not be the address of HTTPS: set server.port to another port, such as 443, or http_listen to one to"
            f" which you forward port 80{nowhere}",
            ("server.port", "server.listen_addr", "server.tls.mode", "server.tls.challenge"),
        )


def _external_account(tls: TLS) -> Iterator[ConfigProblem]:
    if tls.eab_kid and not tls.eab_hmac:
        yield _problem(
            "eab_hmac",
            "must be given with eab_kid, here or in eab_hmac_file: the authority shows both",
            "eab_kid",
            "eab_hmac_file",
        )
    if tls.eab_hmac and not tls.eab_kid:
        message = "must be given with eab_hmac: it is the key id that the authority shows with the secret"
        yield _problem("eab_kid", message, "eab_hmac", "eab_hmac_file")


def _overlap(one: str, other: str) -> bool:
    """
    Whether two addresses conflict on the same port. On Linux ``::`` includes IPv4.
    """
    hosts = {"0.0.0.0" if not host else host.lower() for host in (one, other)}  # noqa: S104 - it is compared
    hosts = {str(ip_address(host)) if is_address(host) else host for host in hosts}
    if len(hosts) == 1 or "::" in hosts:
        return True
    return "0.0.0.0" in hosts and not any(":" in host for host in hosts)  # noqa: S104


def _problem(key: str, message: str, *involves: str) -> ConfigProblem:
    return ConfigProblem(f"server.tls.{key}", message, tuple(f"server.tls.{other}" for other in involves))


def _numbers(numbers: list[int]) -> str:
    """
    Name entries of a list by their numbers, without quoting them.
    """
    return " and ".join(f"number {number}" for number in numbers)
