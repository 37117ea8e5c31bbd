"""
The names of hosts, as DNS and certificates have them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address

import idna

__all__ = ["dns_name", "dns_names", "is_address", "is_name"]

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


def is_address(text: str) -> bool:
    """
    Whether this is an IP address. One with a zone is not: it means something on one machine only.
    """
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text
