"""
Rules for single values. Each answers with what is allowed, or ``None`` when the value is; none quotes the value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

from itsjustintv.signature import HASHINGS

__all__ = [
    "LOG_LEVELS",
    "Rule",
    "above",
    "absolute",
    "address",
    "authority",
    "between",
    "eventsub_secret",
    "file_name",
    "hashing",
    "header",
    "host_url",
    "log_levels",
    "login",
    "networks",
    "one_of",
    "optional",
    "user_id",
    "visible",
]

Rule = Callable[[Any], str | None]

#: What Twisted calls the levels of its log, the least first.
LOG_LEVELS = ("debug", "info", "warn", "error", "critical")

_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOSTNAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_DIGITS = re.compile("[0-9]+")
_LOGIN = re.compile("[A-Za-z0-9_]{1,25}")
_LOG_LEVEL = re.compile(rf"[\w.-]+=(?:{'|'.join(LOG_LEVELS)})")
_LAST_PORT = 65535
_URL = (
    "must be a URL in ASCII: http:// or https://, a host name (an international one in its xn-- form) or an address,"
    " and no user name"
)

# What a delivery says itself: two values, or ours in their place, would spoil the request.
_TAKEN = frozenset(
    {"connection", "content-encoding", "content-length", "content-type", "host", "transfer-encoding", "user-agent"}
)


def optional(rule: Rule) -> Rule:
    """
    Let an empty text through: it stands for "not given".
    """
    return lambda value: rule(value) if value else None


def above(limit: float) -> Rule:
    """
    A number greater than ``limit``.
    """
    return lambda value: None if value > limit else f"must be above {limit}"


def between(lowest: float, highest: float | None = None) -> Rule:
    """
    A number from ``lowest`` to ``highest``, both included; without ``highest``, there is no upper bound.
    """
    if highest is None:
        return lambda value: None if value >= lowest else f"must be at least {lowest}"
    return lambda value: None if lowest <= value <= highest else f"must be from {lowest} to {highest}"


def networks(values: tuple[str, ...]) -> str | None:
    """
    Addresses and networks, as ``192.0.2.1`` or ``192.0.2.0/24``.
    """
    for number, value in enumerate(values, 1):
        try:
            ip_network(value)
        except ValueError:
            return (
                f"must be a list of addresses and networks such as 10.0.0.0/8, without bits beyond the mask; number"
                f" {number} is none"
            )
    return None


def one_of(*allowed: str) -> Rule:
    """
    One of a few words, as they are written.
    """
    words = " or ".join(f'"{word}"' for word in allowed)
    return lambda value: None if value in allowed else f"must be {words}"


def hashing(value: str) -> str | None:
    """
    The original's names of hash functions, in any case.
    """
    return None if value.upper() in HASHINGS else f"must be {' or '.join(HASHINGS)}, in any case"


def header(value: str) -> str | None:
    """
    The name of a header that a delivery does not carry already (RFC 9110, section 5.6.2, "token").
    """
    if not _TOKEN.fullmatch(value):
        return "must be the name of an HTTP header"
    if value.lower() in _TAKEN or value.lower().startswith("webhook-"):
        return "must be a header of its own, not one that every delivery carries"
    return None


def host_url(value: str) -> str | None:
    """
    An http or https URL that Twisted's agent can call: it takes ASCII only, and takes a user name for a part of the
    host name.
    """
    try:
        url = urlsplit(value)
        host, port = url.hostname or "", url.port
    except ValueError:
        return _URL
    sound = value.isascii() and value.isprintable() and " " not in value and "@" not in url.netloc and port != 0
    if sound and url.scheme in ("http", "https") and address(host) is None:
        return None
    return _URL


def address(value: str) -> str | None:
    """
    An IP address to listen on, or a name of this machine.
    """
    try:
        ip_address(value)
    except ValueError:
        return None if _HOSTNAME.fullmatch(value) else "must be an IP address, such as 127.0.0.1 or ::"
    return None


def authority(value: str) -> str | None:
    """
    A host name, perhaps with a port.
    """
    name, separator, port = value.partition(":")
    if _HOSTNAME.fullmatch(name) and (not separator or _is_port(port)):
        return None
    return "must be a host name such as hooks.example.org, without https:// and without a path"


def eventsub_secret(value: str) -> str | None:
    """
    What Twitch takes as the secret of a subscription (dev.twitch.tv, "Create EventSub Subscription").
    """
    return None if value.isascii() and 10 <= len(value) <= 100 else "must be 10 to 100 ASCII characters"


def visible(value: str) -> str | None:
    """
    A text that can stand in an HTTP header.
    """
    return None if value.isascii() and value.isprintable() and " " not in value else "must be ASCII without spaces"


def file_name(value: str) -> str | None:
    """
    A path. Whether it can be written shows when it is.
    """
    return None if value and "\0" not in value else "must name a file or folder"


def absolute(value: str) -> str | None:
    """
    A folder at which other paths start.
    """
    return None if value.startswith("/") and "\0" not in value else "must be the whole path of a folder, from / on"


def log_levels(value: Sequence[str]) -> str | None:
    """
    Loggers and the least level that is written of each.
    """
    if all(_LOG_LEVEL.fullmatch(each) for each in value):
        return None
    return f'must be a list of texts like "twisted=warn"; the levels are {", ".join(LOG_LEVELS)}'


def user_id(value: str) -> str | None:
    """
    Twitch's id of a user.
    """
    return None if _DIGITS.fullmatch(value) else "must be digits: the id of the user, not the name"


def login(value: str) -> str | None:
    """
    Twitch's login name of a user.
    """
    return None if _LOGIN.fullmatch(value) else "must be 1 to 25 letters, digits and underscores: the name in the URL"


def _is_port(text: str) -> bool:
    return bool(_DIGITS.fullmatch(text)) and len(text) <= 5 and 1 <= int(text) <= _LAST_PORT
