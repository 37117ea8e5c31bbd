r"""
Masks secrets that other servers quote in their error pages, in any notation that such pages use.

Decoded are, in any order and up to four deep: percent-encoding (RFC 3986, in either case of its digits, and
``%uXXXX``), references of HTML, escapes of JSON, JavaScript and C (``\/``, ``\u0026``, ``\x26``, ``\046``), ``+`` for a
blank, base64 in both of its alphabets (RFC 4648) at any alignment and broken into lines, and hexadecimal digits. Case
does not matter.
"""

from __future__ import annotations

import re
from array import array
from base64 import b64decode
from collections.abc import Iterable, Iterator
from html import unescape

from attrs import define, field

__all__ = ["SHORTEST", "QuotedSecrets"]

#: A part of a secret is hidden if it has so many characters.
SHORTEST = 6

_MASK = b"[redacted]"

# Shorter words are hidden only between characters that are not letters or digits.
_LONG = 8

_DEEPEST = 4
_DEEPEST_ENCODED = 2

# Bytes that are searched for one text; a text that takes more is masked as a whole.
_MOST = 512 * 1024

_ESCAPE = re.compile(
    rb"%u[0-9a-f]{4}|%[0-9a-f]{2}|\\u[0-9a-f]{4}|\\u\{[0-9a-f]{1,6}\}|\\x[0-9a-f]{2}|\\[0-3][0-7]{2}|\\."
    rb"|&#x[0-9a-f]{1,6};?|&#[0-9]{1,7};?|&[a-z][a-z0-9]{1,30};",
    re.IGNORECASE | re.DOTALL,
)
_BLANKS = re.compile(rb"\s+")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{8,}")
_HEXADECIMAL = re.compile(rb"[0-9A-Fa-f]{12,}")
_URL_SAFE = bytes.maketrans(b"-_", b"+/")

_CONTROLS = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b" ", b"f": b" "}

_Span = tuple[int, int]


class _TooMuch(Exception):
    """
    A text takes more work than it is worth.
    """


@define
class _View:
    """
    A text with some of its escapes decoded.

    :ivar begins: for each byte, the position in the original text where its escape begins; ``ends``, where that ends.
    """

    text: bytes
    begins: array[int]
    ends: array[int]

    @classmethod
    def of(cls, text: bytes) -> _View:
        return cls(text, array("L", range(len(text))), array("L", range(1, len(text) + 1)))

    def replaced(self, pattern: re.Pattern[bytes], means: Iterable[bytes]) -> _View:
        """
        The text with each match of a pattern replaced.
        """
        parts: list[bytes] = []
        begins, ends = array("L"), array("L")
        rest = 0
        for found, meaning in zip(pattern.finditer(self.text), means, strict=True):
            start, end = found.span()
            parts += self.text[rest:start], meaning
            begins += self.begins[rest:start] + array("L", [self.begins[start]]) * len(meaning)
            ends += self.ends[rest:start] + array("L", [self.ends[end - 1]]) * len(meaning)
            rest = end
        parts.append(self.text[rest:])
        return _View(b"".join(parts), begins + self.begins[rest:], ends + self.ends[rest:])

    def span(self, begin: int, end: int) -> _Span:
        """
        The position in the original text of a part of this view that is not empty.
        """
        return self.begins[begin], self.ends[end - 1]


@define(eq=False)
class QuotedSecrets:
    """
    Masks secrets in foreign texts.

    :ivar secrets: any :data:`SHORTEST` consecutive characters of these are masked.
    :ivar wholes: these are masked only as a whole, anywhere.
    :ivar words: likewise, but short ones only where they are a word.
    """

    _secrets: Iterable[str] = field(repr=False)
    _wholes: Iterable[str] = field(default=(), repr=False)
    _words: Iterable[str] = field(default=(), repr=False)
    _pieces: frozenset[bytes] = field(init=False, repr=False)
    _pattern: re.Pattern[bytes] | None = field(init=False, repr=False)
    _left: int = field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        secrets = [each for each in self._secrets if each]
        self._pieces = frozenset(
            form[at : at + SHORTEST]
            for each in secrets
            for form in _forms(each)
            for at in range(len(form) - SHORTEST + 1)
        )
        short = [each for each in secrets if len(each) < SHORTEST]
        wholes = {re.escape(form) for each in (*self._wholes, *short) if each for form in _forms(each)}
        words = {
            re.escape(form) if len(each) >= _LONG else rb"(?<![0-9a-z])" + re.escape(form) + rb"(?![0-9a-z])"
            for each in self._words
            if each
            for form in _forms(each)
        }
        # The longest first, since what is found does not overlap.
        every = sorted(wholes | words, key=len, reverse=True)
        self._pattern = re.compile(b"|".join(every)) if every else None

    def hide(self, text: bytes) -> bytes:
        """
        Mask all secrets in a text.

        :param text: in any encoding, a few KiB: the time grows with the length.
        """
        self._left = _MOST
        try:
            spans = sorted(self._find(text, 0))
        except _TooMuch:
            return _MASK
        parts, rest, masked = [], 0, -1
        for begin, end in spans:
            if begin > masked:
                parts += [text[rest:begin], _MASK]
            rest = masked = max(rest, end)
        return b"".join([*parts, text[rest:]])

    def _find(self, text: bytes, depth: int) -> Iterator[_Span]:
        for view in _views(text):
            self._left -= len(view.text)
            if self._left < 0:
                raise _TooMuch
            yield from (view.span(*each) for each in self._plain(view.text))
            if depth < _DEEPEST_ENCODED:
                yield from (view.span(*each) for each in self._encoded(view.text, depth))

    def _plain(self, text: bytes) -> Iterator[_Span]:
        folded, pieces = _folded(text), self._pieces
        if pieces:
            for at in range(len(folded) - SHORTEST + 1):
                if folded[at : at + SHORTEST] in pieces:
                    yield at, at + SHORTEST
        if self._pattern is not None:
            yield from (found.span() for found in self._pattern.finditer(folded))

    def _encoded(self, text: bytes, depth: int) -> Iterator[_Span]:
        joined = _without_blanks(_View.of(text))
        for run in _BASE64.finditer(joined.text):
            for shift in range(4):
                begin = run.start() + shift
                length = run.end() - begin
                length -= length % 4 == 1
                if length < _LONG:
                    continue
                piece = joined.text[begin : begin + length].translate(_URL_SAFE)
                for start, end in self._find(b64decode(piece + b"=" * (-length % 4)), depth + 1):
                    yield joined.span(begin + start // 3 * 4, begin + min(length, (end + 2) // 3 * 4))
        for run in _HEXADECIMAL.finditer(joined.text):
            for shift in range(2):
                begin = run.start() + shift
                length = (run.end() - begin) // 2 * 2
                for start, end in self._find(bytes.fromhex(joined.text[begin : begin + length].decode()), depth + 1):
                    yield joined.span(begin + 2 * start, begin + 2 * end)


def _views(text: bytes) -> Iterator[_View]:
    """
    The text, and the text with its escapes decoded once, twice, and so on.
    """
    view = _View.of(text)
    for _ in range(_DEEPEST):
        yield view
        escapes = [_meaning(found[0]) for found in _ESCAPE.finditer(view.text)]
        if not escapes:
            return
        view = view.replaced(_ESCAPE, escapes)
    yield view


def _without_blanks(view: _View) -> _View:
    blanks = sum(1 for _ in _BLANKS.finditer(view.text))
    return view.replaced(_BLANKS, [b""] * blanks) if blanks else view


def _meaning(escape: bytes) -> bytes:
    """
    Decode an escape, to UTF-8 or to the byte that it names by number.
    """
    if escape[:1] == b"&":
        return unescape(escape.decode()).encode("utf-8", "replace")
    if escape[:2].lower() in (b"%u", b"\\u", b"\\x") and len(escape) > 2:
        return _character(escape[2:].strip(b"{}").decode())
    if escape[:1] == b"%":
        return bytes.fromhex(escape[1:].decode())
    if len(escape) > 2:
        return bytes([int(escape[1:], 8)])
    return _CONTROLS.get(escape[1:], escape[1:])


def _character(digits: str) -> bytes:
    number = int(digits, 16)
    return chr(number).encode("utf-8", "replace") if number < 0x110000 else b""


def _forms(secret: str) -> set[bytes]:
    """
    The forms of a secret in a view: as it is, and with its own escapes decoded.
    """
    return {_folded(view.text) for view in _views(secret.encode("utf-8", "backslashreplace"))} - {b""}


def _folded(text: bytes) -> bytes:
    return text.lower().replace(b"+", b" ")
