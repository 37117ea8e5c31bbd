"""
Secrets, and texts without them.
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

# Below this many characters a secret is part of too many innocent words to be taken out of them.
_SHORTEST = 6

# So many secrets are looked for one by one in less time than all at once.
_FEW = 16

# What is written the same in an address (RFC 3986, section 2.3), and in a page and a text in quotes.
_UNRESERVED = re.compile("[A-Za-z0-9_.~-]*")
_UNESCAPED = re.compile("[ !#$%(-;=?-\\[\\]-~]*")

_ENCODED = re.compile("%[0-9A-F]{2}")

# Letters from one place of a text that is looked at to the next.
_STEP = 4


@define(eq=False)
class Redactor:
    """
    Knows the secrets, and takes them out of texts, in a time that does not grow with their number.

    A secret stays known after it was replaced: what was signed with it may still fail, and be logged.
    """

    _secrets: set[str] = field(factory=set, repr=False, init=False)
    _known: set[str] = field(factory=set, repr=False, init=False)
    _short: _Finder = field(factory=lambda: _Finder(3), repr=False, init=False)
    _long: _Finder = field(factory=lambda: _Finder(8), repr=False, init=False)

    def learn(self, secrets: Iterable[str]) -> None:
        """
        Add secrets, as they are and as they look inside an address, a page or a text in quotes. Those shorter than six
        characters are not taken.
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
        Replace every known secret; those that overlap, all of it by one mask.
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
    # There are thousands, and these look the same everywhere.
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
    Finds texts that are not shorter than a number of letters in other texts.

    Each is known by groups of ``size`` letters near its end, where addresses differ: as many groups, one letter apart,
    as there are letters from one look at a text to the next. So one of them is looked at, wherever it stands.
    """

    size: int
    _groups: dict[str, list[tuple[int, str]]] = field(factory=dict, init=False)

    @property
    def shortest(self) -> int:
        """
        How many letters there must be.
        """
        return self.size + _STEP - 1

    def add(self, wanted: str) -> None:
        """
        Find this one too.
        """
        first = len(wanted) - self.shortest
        for offset in range(first, first + _STEP):
            self._groups.setdefault(wanted[offset : offset + self.size], []).append((offset, wanted))

    def find(self, text: str) -> list[tuple[int, int]]:
        """
        Say where they are in a text: the beginning of each and its end.
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
