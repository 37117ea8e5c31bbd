"""
Rules for URLs. Each rule that is broken is one sentence, which quotes at most the host and single characters: the rest
of a webhook's URL is a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote

from itsjustintv.config.hosts import host_faults, is_address, port_faults
from itsjustintv.config.lint import describe, edge_mistakes, is_invisible, trim

__all__ = ["base_url", "host_url", "receiver_url", "websocket_url"]

_WEBSOCKET = re.compile(r"(?i)ws(s?)(://.*)", re.DOTALL)
_URL = re.compile(r"(?is)(https?)://([^/?#]*)(.*)")
_NEARLY = re.compile(r"(?is)https?(?::|//|:/|;|$)")
_USER = "must not hold a user name or a password: they would not be sent"
_BAD_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")


def host_url(value: str) -> Iterator[str]:
    """
    An http or https URL that a request can be sent to.
    """
    edges = list(edge_mistakes(value))
    if edges:
        yield f"must hold the URL alone: it {edges[0]}"
        value = trim(value)
    found = _URL.fullmatch(value)
    if found is None:
        if _NEARLY.match(value):
            yield "must have :// after http or https"
        else:
            yield "must begin with https:// or http://"
        return
    scheme, place, rest = found.groups()
    if place.lower() in ("http:", "https:") and rest.startswith("//"):
        yield "must have http:// or https:// once"
        return
    yield from _place(place, scheme.lower())
    yield from _rest(rest)


def receiver_url(value: str) -> Iterator[str]:
    """
    The address of a receiver, which can do without a password.
    """
    for sentence in host_url(value):
        yield f"{sentence}; a receiver can check the signature" if sentence == _USER else sentence


def base_url(value: str) -> Iterator[str]:
    """
    A URL to which paths are added.
    """
    yield from host_url(value)
    if "?" in value.partition("#")[0]:
        yield "must not have a query: paths are added to it"


def websocket_url(value: str) -> Iterator[str]:
    """
    The URL of a WebSocket, to which parameters are added.
    """
    found = _WEBSOCKET.fullmatch(trim(value))
    if found is None:
        yield "must begin with wss:// or ws://"
        return
    yield from edge_mistakes(value)
    for sentence in base_url(f"http{found[1]}{found[2]}"):
        yield sentence.replace("https://", "wss://").replace("http://", "ws://")


def _place(place: str, scheme: str) -> Iterator[str]:
    user, at, place = place.rpartition("@")
    if at or user:
        yield _USER
    if "\\" in place:
        yield "must be written with /, not with a backslash"
        return
    if place.startswith("["):
        yield from _bracketed(place)
        return
    if "[" in place or "]" in place:
        yield "must have brackets around an IPv6 address only, as in https://[::1]:8443/"
        return
    if place.count(":") > 1:
        bare = place if is_address(place) else place.rpartition(":")[0]
        if is_address(bare):
            yield f"must have brackets around its IPv6 address: [{bare}]"
        else:
            yield "must not have more than one colon between host and path"
        return
    host, colon, port = place.partition(":")
    if colon and port:
        yield from port_faults(port)
    if host:
        yield from host_faults(host)
    else:
        yield f"must name a host after {scheme}://"


def _bracketed(place: str) -> Iterator[str]:
    inside, closed, after = place[1:].partition("]")
    if not closed:
        yield "must close the bracket after its IPv6 address"
        return
    if "%" in inside:
        yield "must not name a zone (%) in its IPv6 address: it means something on one machine only"
    elif ":" not in inside or not is_address(inside):
        yield "must have an IPv6 address in its brackets, and nothing else"
    if after.startswith(":") and after != ":":
        yield from port_faults(after[1:])
    elif after and after != ":":
        yield "must have nothing but a port after the bracket of its IPv6 address"


def _rest(rest: str) -> Iterator[str]:
    before, fragment, _ = rest.partition("#")
    if fragment:
        yield "must not have a fragment: what follows # is never sent; write %23 if the character is meant"
    if " " in before:
        yield "must not hold a space: write %20"
    characters = dict.fromkeys(before) if not (before.isascii() and before.isprintable()) else ()
    if unseen := [c for c in characters if is_invisible(c)]:
        yield f"must not hold {describe(unseen)}: remove it"
    if others := [c for c in characters if not c.isascii() and not is_invisible(c)]:
        shown = " and ".join(f"{c} as {quote(c)}" for c in others[:3])
        yield f"must be ASCII after the host: write {shown}{', and similar ones' if len(others) > 3 else ''}"
    if _BAD_PERCENT.search(before):
        yield "must have two hexadecimal digits after each %: write %25 if the character itself is meant"
