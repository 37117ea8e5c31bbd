"""
Removes secrets from every text that leaves the process: log lines, errors, previews.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from html import escape
from urllib.parse import quote

from attrs import define, field

__all__ = ["REDACTOR", "Redactor"]

_MASK = "[redacted]"

# A shorter secret would be found in too many ordinary words.
_SHORTEST = 6

# Up to this number, searching secret by secret is faster than the index.
_FEW = 16

# Characters that are never escaped in a URL (RFC 3986, section 2.3); in HTML and quoted text.
_UNRESERVED = re.compile("[A-Za-z0-9_.~-]*")
_UNESCAPED = re.compile("[ !#$%(-;=?-\\[\\]-~]*")

_ENCODED = re.compile("%[0-9A-F]{2}")

# Characters between two places of a text that are looked up.
_STEP = 4


@define(eq=False)
class Redactor:
    """
    Replaces secrets in texts, in a time that does not depend on their number.

    A secret stays known after it was rotated: what was signed with it may still fail, and be logged.
    """

    _secrets: set[str] = field(factory=set, repr=False, init=False)
    _known: set[str] = field(factory=set, repr=False, init=False)
    _short: _Finder = field(factory=lambda: _Finder(3), repr=False, init=False)
    _long: _Finder = field(factory=lambda: _Finder(8), repr=False, init=False)

    def learn(self, secrets: Iterable[str]) -> None:
        """
        Add secrets, with their escaped forms in URLs, HTML and quoted text. Those shorter than six characters are
        ignored.
        """
        for secret in secrets:
            if len(secret) < _SHORTEST or secret in self._secrets:
                continue
            self._secrets.add(secret)
            for form in _forms(secret) - self._known:
                self._known.add(form)
                (self._long if len(form) >= self._long.shortest else self._short).add(form)

    def redact(self, text: str) -> str:
        """
        Replace every known secret; overlapping ones by one mask.
        """
        if len(self._known) <= _FEW and not any(secret in text for secret in self._known):
            return text
        found = self._long.find(text) + self._short.find(text)
        if not found:
            return text
        parts, rest = [], 0
        for begin, end in sorted(found):
            if begin >= rest:
                parts += [text[rest:begin], _MASK]
            rest = max(rest, end)
        return "".join([*parts, text[rest:]])


def _forms(secret: str) -> set[str]:
    # The usual case, for thousands of secrets: no form differs.
    if _UNRESERVED.fullmatch(secret):
        return {secret}
    encoded = quote(secret, safe="", errors="backslashreplace")
    lower = _ENCODED.sub(lambda found: found[0].lower(), encoded)
    if _UNESCAPED.fullmatch(secret):
        return {secret, encoded, lower}
    return {secret, encoded, lower, escape(secret), json.dumps(secret)[1:-1], repr(secret)[1:-1]}


@define(eq=False)
class _Finder:
    """
    Finds known texts of a minimum length in other texts.

    The index has ``_STEP`` groups of ``size`` characters near the end of each known text, where URLs differ, one
    character apart. A search looks up every ``_STEP``-th group of a text, so it meets one of them wherever the text is.
    """

    size: int
    _groups: dict[str, list[tuple[int, str]]] = field(factory=dict, init=False)

    @property
    def shortest(self) -> int:
        """
        The minimum length of a known text.
        """
        return self.size + _STEP - 1

    def add(self, wanted: str) -> None:
        first = len(wanted) - self.shortest
        for offset in range(first, first + _STEP):
            self._groups.setdefault(wanted[offset : offset + self.size], []).append((offset, wanted))

    def find(self, text: str) -> list[tuple[int, int]]:
        """
        Find all known texts: the start and end of each.
        """
        if not self._groups:
            return []
        size, groups = self.size, self._groups
        return [
            (place - offset, place - offset + len(wanted))
            for place in range(0, len(text) - size + 1, _STEP)
            for offset, wanted in groups.get(text[place : place + size], ())
            if place >= offset and text.startswith(wanted, place - offset)
        ]


#: The redactor of the process, as there is one log in a process: ``twistd --logger`` hands no argument to its factory.
REDACTOR = Redactor()
