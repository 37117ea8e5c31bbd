"""
Rules for hosts and ports: in URLs, where to listen, and the public name. Each rule that is broken is one sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address
from string import ascii_letters, digits

import idna

from itsjustintv.config.lint import describe_unexpected

__all__ = [
    "address",
    "authority",
    "dns_name",
    "dns_names",
    "host_and_port",
    "host_faults",
    "is_address",
    "is_loopback",
    "is_name",
    "listen",
    "port_faults",
    "public_name",
]

_LETTERS = frozenset(ascii_letters + digits + "-_.")
_NUMBERS = re.compile(r"[0-9]+(?:\.[0-9]+){3}")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_LAST_PORT = 65535


def host_faults(host: str) -> Iterator[str]:
    """
    Find what keeps a host, without brackets, from being looked up. Whatever the resolver takes is taken: underscores,
    which Compose puts into names, and a dot at the end. Letters of other alphabets it does not take the same way
    everywhere, so these are written in their ``xn--`` form (RFC 5890).
    """
    if not host.isascii():
        yield from _alphabet(host)
    elif ":" in host:
        if not _is_ip(host):
            yield "must have a valid IPv6 address, such as ::1"
    elif _NUMBERS.fullmatch(host):
        if not _is_ip(host):
            yield "must have an IPv4 address of four numbers from 0 to 255, without leading zeros"
    else:
        yield from _name(host)


def port_faults(port: str) -> Iterator[str]:
    """
    Find what is wrong with the port after a colon.
    """
    if not re.fullmatch("[0-9]+", port):
        yield "must have a port in digits after the colon"
    elif not 1 <= int(port[:20]) <= _LAST_PORT:
        yield f"must have a port from 1 to {_LAST_PORT}"


def address(value: str) -> Iterator[str]:
    """
    An IP address to listen on, or a name of this machine.
    """
    if found := _SCHEME.match(value):
        yield f"must be an address alone, without {found[0].lower()}"
        return
    if value.startswith("[") or value.endswith("]"):
        yield "must be an address without brackets"
        return
    if value.count(":") == 1:
        yield "must be an address alone, without a port: the port is set separately"
        value = value.partition(":")[0]
    if value:
        yield from host_faults(value)


def listen(example: str) -> Callable[[str], Iterator[str]]:
    """
    A place to listen on, ``host:port``, with an IPv6 address in brackets.

    :param example: shown where there is none to be seen.
    """

    def rule(value: str) -> Iterator[str]:
        if found := _SCHEME.match(value):
            yield f"must be host:port, without {found[0].lower()}"
            value = value[found.end() :]
        value, slash, path = value.partition("/")
        if path or slash:
            yield "must be host:port, without a path"
        if value.count(":") > 1 and not value.startswith("["):
            yield 'must have brackets around its IPv6 address, as in "[::1]:8081"'
            return
        host, colon, port = value.rpartition(":")
        if not colon or port.endswith("]"):
            missing = "host" if re.fullmatch("[0-9]+", value) else "port"
            yield f"must be host:port, such as {example}: the {missing} is missing"
            return
        yield from port_faults(port)
        bracketed = host.startswith("[") and host.endswith("]")
        if not host.strip("[]"):
            yield f"must be host:port, such as {example}: the host is missing"
        elif bracketed != (":" in host):
            yield "must have brackets around an IPv6 address only"
        else:
            yield from host_faults(host[1:-1] if bracketed else host)

    return rule


def host_and_port(value: str) -> tuple[str, int] | None:
    """
    Take ``host:port`` apart; an IPv6 address stands in brackets, and comes without. ``None`` when it is not that.
    """
    if next(iter(listen("")(value)), None) is not None:
        return None
    host, _, port = value.rpartition(":")
    return host.strip("[]"), int(port)


def authority(value: str) -> Iterator[str]:
    """
    A public host name, perhaps with a port: one that an authority gives a certificate for.
    """
    if found := _SCHEME.match(value):
        yield f"must be a host name alone, without {found[0].lower()}"
        value = value[found.end() :]
    name, user, rest = value.rpartition("@")
    if user or name:
        yield "must be a host name alone, without a user name"
    host, mark, rest = re.fullmatch(r"(?s)([^/?#]*)([/?#]?)(.*)", rest).groups()  # type: ignore[union-attr]
    if mark:
        yield "must be a host name alone, without a path: /twitch is added to it"
    if host.startswith("[") or host.count(":") > 1:
        yield "must be a host name, not an IPv6 address"
        return
    name, colon, port = host.partition(":")
    if colon:
        yield from port_faults(port)
    yield from public_name(name)


def public_name(name: str) -> Iterator[str]:
    """
    A name of DNS, by the stricter rules for public ones (RFC 1123, section 2.1).
    """
    if not name:
        yield "must have a host name such as hooks.example.org"
    elif name.endswith(".") and name.strip("."):
        yield "must have its host name without a dot at the end"
    elif "_" in name:
        yield "must not hold an underscore in its host name: no public name has one"
    elif "*" in name:
        yield "must not hold a wildcard: Twitch needs one name to call"
    elif faults := list(host_faults(name)):
        yield from faults
    elif not is_name(name.lower()) and not is_address(name):
        yield "must have a host name such as hooks.example.org, in parts of letters, digits and inner hyphens"


def _alphabet(host: str) -> Iterator[str]:
    try:
        parts = (each if each.isascii() else idna.encode(each, uts46=True).decode("ascii") for each in host.split("."))
        name = ".".join(parts).lower()
    except UnicodeError:
        name = ""
    if name and not list(host_faults(name)):
        yield f"must have its host name in ASCII: write {name}"
    else:
        yield f"must not hold {describe_unexpected(host, _LETTERS)} in its host name: write it in ASCII"


def _name(host: str) -> Iterator[str]:
    if odd := describe_unexpected(host, _LETTERS):
        yield f"must not hold {odd} in its host name"
    parts = host.removesuffix(".").split(".")
    if not all(parts):
        yield "must not have an empty part in its host name: remove the extra dot"
    if any(len(part) > 63 for part in parts):
        yield "must not have a part of more than 63 characters in its host name"
    if len(host.removesuffix(".")) > 253:
        yield "must not have more than 253 characters in its host name"
    if host.startswith("-"):
        yield "must not have a hyphen at the beginning of its host name"


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# A last label of digits would make an address of it (RFC 1123, section 2.1).
_NAME = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)*(?![0-9]+\Z){_LABEL}")


def dns_name(text: str) -> str:
    """
    Write a name in the one way in which it can be compared: in lower case, labels of other alphabets as ``xn--``
    (RFC 5891, with the mapping of UTS 46), and without the dot at the end. An address is written as short as it can be,
    without brackets. What is neither is not refused here: see :func:`is_name` and :func:`is_address`.
    """
    try:
        name = text if text.isascii() else idna.encode(text, uts46=True).decode("ascii")
    except UnicodeError:
        return text
    name = name.lower().removesuffix(".")
    bare = name[1:-1] if name.startswith("[") and name.endswith("]") else name
    return str(ip_address(bare)) if is_address(bare) else name


def dns_names(texts: Iterable[str]) -> tuple[str, ...]:
    """
    Write each as :func:`dns_name` does, in the same order.
    """
    return tuple(map(dns_name, texts))


def is_name(text: str) -> bool:
    """
    Whether this is the name of a host, as :func:`dns_name` writes it. ASCII labels that begin with ``xn--`` are taken
    as they are: whether they mean anything is for the authority to say.
    """
    return _NAME.fullmatch(text) is not None


def is_loopback(host: str) -> bool:
    """
    Whether a host, without brackets, is this machine only: a loopback address or ``localhost``, in any case.
    """
    return ip_address(host).is_loopback if is_address(host) else host.lower() == "localhost"


def is_address(text: str) -> bool:
    """
    Whether this is an IP address. One with a zone is not: it means something on one machine only.
    """
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text
