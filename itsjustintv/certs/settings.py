"""
What an operator decides about HTTPS, and which decisions cannot be followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha256
from ipaddress import ip_address
from urllib.parse import urlsplit

from attrs import field, frozen

from itsjustintv.certs.bundle import KEY_TYPES
from itsjustintv.errors import Problem

__all__ = ["CHALLENGES", "DIRECTORIES", "CertSettings", "host_and_port", "refusals"]

#: Authorities that have a name.
DIRECTORIES = {
    "production": "https://acme-v02.api.letsencrypt.org/directory",
    "staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
}

#: Types of challenges by what the configuration calls them.
CHALLENGES = {
    "http-01": ("http-01",),
    "tls-alpn-01": ("tls-alpn-01",),
    "both": ("http-01", "tls-alpn-01"),
}

_LABEL = "(?!-)[a-z0-9-]{1,63}(?<!-)"
_HOSTNAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})+")


@frozen(kw_only=True)
class CertSettings:
    """
    ``[server.tls]``, while it is enabled.

    :ivar mode: ``acme`` orders certificates, ``files`` uses those of the operator.
    :ivar directory: ``production`` and ``staging`` are Let's Encrypt; anything else is the URL of an ACME directory.
    :ivar http_listen: where to answer http-01, and to lead everybody else to HTTPS.
    :ivar ca_bundle: file of the certificates by which the authority itself is believed; empty for the system's.
    :ivar eab_hmac_key: the content of ``eab_hmac_file``.
    :ivar default_name: whose certificate is served to those who name nobody; empty for the first of ``domains``.
    """

    domains: tuple[str, ...] = ()
    cert_dir: str = "data/acme_certs"
    mode: str = "acme"
    certificate_file: str = ""
    key_file: str = ""
    directory: str = "production"
    email: str = ""
    agree_to_terms: bool = False
    challenge: str = "http-01"
    http_listen: str = "0.0.0.0:80"
    profile: str = ""
    key_type: str = "p256"
    ca_bundle: str = ""
    eab_kid: str = ""
    eab_hmac_key: str = field(default="", repr=False)
    default_name: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """
        The domains as DNS compares them: in lower case, without a dot at the end.
        """
        return tuple(dict.fromkeys(name.lower().removesuffix(".") for name in self.domains))

    @property
    def directory_url(self) -> str:
        """
        Of the authority.
        """
        return DIRECTORIES.get(self.directory, self.directory)

    @property
    def types(self) -> tuple[str, ...]:
        """
        The challenges that can be met.
        """
        return CHALLENGES[self.challenge]

    def fingerprint(self, name: str) -> str:
        """
        Name everything that may decide whether an authority gives a certificate for a name.
        """
        parts = (
            name,
            self.directory_url,
            self.email,
            str(self.agree_to_terms),
            self.profile,
            self.key_type,
            self.eab_kid,
            self.eab_hmac_key,
            self.challenge,
        )
        return sha256("\0".join(parts).encode("utf-8")).hexdigest()


def refusals(settings: CertSettings) -> Iterator[Problem]:
    """
    Find what cannot be followed; each problem says what to do instead.
    """
    if settings.mode == "files":
        for key in ("certificate_file", "key_file"):
            if not getattr(settings, key):
                yield _problem(key, 'must name a file in PEM, since server.tls.mode is "files"')
    elif settings.mode == "acme":
        yield from _acme(settings)
    else:
        yield _problem("mode", 'must be "acme", to have certificates ordered, or "files", to use your own')
    if settings.default_name and settings.default_name not in settings.names:
        yield _problem("default_name", "must be one of server.tls.domains")


def host_and_port(value: str) -> tuple[str, int] | None:
    """
    Take ``host:port`` apart; an IPv6 address stands in brackets. ``None`` when it is not that.
    """
    host, colon, port = value.rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or not 1 <= int(port) <= 65535:
        return None
    bare = host.removeprefix("[").removesuffix("]") if host.startswith("[") and host.endswith("]") else host
    if not bare or (":" in bare and bare == host):
        return None
    return bare, int(port)


def _problem(key: str, message: str) -> Problem:
    return Problem(f"server.tls.{key}", message)


def _acme(settings: CertSettings) -> Iterator[Problem]:
    if not settings.domains:
        yield _problem("domains", "must name at least one domain when TLS is enabled")
    for name in settings.names:
        reason = _why_no_certificate(name)
        if reason:
            yield _problem("domains", f"{name}: {reason}")
    if not settings.agree_to_terms:
        yield _problem(
            "agree_to_terms", "must be true: read the authority's terms of service, then set it to say that you agree"
        )
    reason = _why_no_directory(settings.directory)
    if reason:
        yield _problem("directory", reason)
    if settings.challenge not in CHALLENGES:
        yield _problem("challenge", 'must be "http-01", "tls-alpn-01" or "both"')
    elif "http-01" in settings.types and host_and_port(settings.http_listen) is None:
        yield _problem(
            "http_listen", 'must be host:port, such as "0.0.0.0:80"; without a port 80, set challenge to "tls-alpn-01"'
        )
    if settings.key_type not in KEY_TYPES:
        yield _problem("key_type", f"must be one of {', '.join(KEY_TYPES)}")
    if bool(settings.eab_kid) != bool(settings.eab_hmac_key):
        missing = "eab_hmac_file" if settings.eab_kid else "eab_kid"
        yield _problem(missing, "must be given as well: an external account has a key id and a secret")


def _why_no_certificate(name: str) -> str:
    if "*" in name:
        return (
            "a wildcard needs the challenge dns-01, which is not offered: list every name, or bring your own"
            ' certificate with server.tls.mode = "files"'
        )
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        pass
    else:
        return (
            "certificates are ordered for names, not for addresses: use a name, or bring your own certificate with"
            ' server.tls.mode = "files"'
        )
    if not name.isascii():
        return "write it in its xn-- form"
    if not _HOSTNAME.fullmatch(name):
        return "is not a public host name such as hooks.example.org"
    return ""


def _why_no_directory(directory: str) -> str:
    if directory in DIRECTORIES:
        return ""
    if directory.startswith(("le:", "lets:")):
        return 'is an endpoint of txacme: say "production" or "staging", and list the names in server.tls.domains'
    try:
        url = urlsplit(directory)
        host = url.hostname or ""
    except ValueError:
        host = ""
    if not host or url.scheme not in ("http", "https"):
        return 'must be "production", "staging" or the https:// URL of an ACME directory'
    if url.scheme == "http" and not _is_loopback(host):
        return "must be an https:// URL: over http:// anybody on the way could order certificates in your name"
    return ""


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
