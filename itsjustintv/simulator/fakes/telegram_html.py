"""
Telegram's HTML: text with a fixed list of tags, parsed as strictly as TDLib's ``parse_html`` does it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from attrs import define, evolve, field, frozen

__all__ = ["Entity", "FormattedText", "HtmlError", "find_mentions", "parse_html", "utf16_length"]


class HtmlError(ValueError):
    """
    The text is not HTML as Telegram takes it.
    """


@frozen
class Entity:
    """
    A formatted part of a text.

    :ivar kind: as the Bot API names it, such as ``bold`` and ``text_link``.
    :ivar offset: in UTF-16 units.
    :ivar length: in UTF-16 units.
    :ivar url: of a ``text_link``.
    """

    kind: str
    offset: int
    length: int
    url: str = ""


@frozen
class FormattedText:
    """
    What readers see.
    """

    text: str
    entities: tuple[Entity, ...] = ()

    def strip(self) -> FormattedText:
        """
        Remove the white space at both ends, as Telegram does.
        """
        text = self.text.strip()
        first = utf16_length(self.text) - utf16_length(self.text.lstrip())
        size = utf16_length(text)
        moved = []
        for entity in self.entities:
            start = max(0, entity.offset - first)
            end = min(size, entity.offset + entity.length - first)
            if end > start:
                moved.append(evolve(entity, offset=start, length=end - start))
        return FormattedText(text, tuple(moved))


def utf16_length(text: str) -> int:
    """
    Count the UTF-16 units of a text, the unit of all lengths and offsets of the Bot API.
    """
    return len(text) + sum(character > "\uffff" for character in text)


def parse_html(source: str) -> FormattedText:
    """
    :raises HtmlError: a tag is unknown, badly written or not closed.
    """
    return _Parser(source).parse()


def find_mentions(formatted: FormattedText) -> tuple[str, ...]:
    """
    Find who is notified by a text: ``@name`` for every user name outside code and links, ``user:ID`` for every
    link to a user.
    """
    units = formatted.text.encode("utf-16-le", "surrogatepass")
    hidden = bytearray(units)
    names = []
    for entity in formatted.entities:
        if entity.kind in _CLOSED:
            start, end = entity.offset * 2, (entity.offset + entity.length) * 2
            hidden[start:end] = b"|\0" * entity.length
        if found := _USER_LINK.fullmatch(entity.url):
            names.append(f"user:{found[1]}")
    text = hidden.decode("utf-16-le", "surrogatepass")
    return (*(f"@{found[1]}" for found in _MENTION.finditer(text)), *names)


_KINDS: Final[Mapping[str, str]] = {
    "a": "text_link",
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "u": "underline",
    "ins": "underline",
    "s": "strikethrough",
    "strike": "strikethrough",
    "del": "strikethrough",
    "tg-spoiler": "spoiler",
    "span": "spoiler",
    "tg-emoji": "custom_emoji",
    "pre": "pre",
    "code": "code",
    "blockquote": "blockquote",
}

#: Inside these an ``@name`` is only text.
_CLOSED = ("text_link", "text_mention", "pre", "code")

_MENTION = re.compile(r"(?<!\w)@([A-Za-z0-9_]{3,32})(?![A-Za-z0-9_])")
_USER_LINK = re.compile(r"tg://user\?id=(\d+)")
_CHARACTER = re.compile(r"&(?:#x([0-9a-fA-F]{1,6})|#([0-9]{1,7})|(lt|gt|amp|quot)(?![A-Za-z]));?")
_NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}
_SPACES = " \t\r\n\0\v"


def _decode(text: str) -> str:
    return _CHARACTER.sub(_decode_one, text)


def _decode_one(found: re.Match[str]) -> str:
    hexadecimal, decimal, name = found.groups()
    if name:
        return _NAMED[name]
    code = int(hexadecimal, 16) if hexadecimal else int(decimal)
    if not 0 < code < 0x10FFFF:
        return found[0]
    if 0xD800 <= code <= 0xDFFF:
        raise HtmlError("Text contains invalid Unicode characters after decoding HTML entities")
    return chr(code)


@frozen
class _Open:
    tag: str
    argument: str
    offset: int
    position: int


@define(eq=False)
class _Parser:
    """
    One pass over a text.

    :ivar at: the index of the next character of the source.
    """

    source: str
    at: int = 0
    text: list[str] = field(factory=list)
    offset: int = 0
    opened: list[_Open] = field(factory=list)
    entities: list[Entity] = field(factory=list)

    def parse(self) -> FormattedText:
        while self.at < len(self.source):
            if self.source[self.at] != "<":
                end = self.source.find("<", self.at)
                end = len(self.source) if end < 0 else end
                self._add(_decode(self.source[self.at : end]))
                self.at = end
            elif self.source.startswith("</", self.at):
                self._close()
            else:
                self._open()
        if self.opened:
            raise HtmlError(f'Can\'t find end tag corresponding to start tag "{self.opened[-1].tag}"')
        self.entities.sort(key=lambda entity: (entity.offset, -entity.length))
        return FormattedText("".join(self.text), tuple(self.entities))

    def _add(self, text: str) -> None:
        self.text.append(text)
        self.offset += utf16_length(text)

    def _bytes(self, index: int) -> int:
        return len(self.source[:index].encode("utf-8", "surrogatepass"))

    def _word(self, stops: str) -> str:
        start = self.at
        while self.at < len(self.source) and self.source[self.at] not in stops:
            self.at += 1
        return self.source[start : self.at]

    def _skip_spaces(self) -> None:
        while self.at < len(self.source) and self.source[self.at] in _SPACES:
            self.at += 1

    def _peek(self) -> str:
        return self.source[self.at] if self.at < len(self.source) else ""

    def _open(self) -> None:
        begin = self._bytes(self.at)
        self.at += 1
        tag = self._word(_SPACES + ">").lower()
        if not self._peek():
            raise HtmlError(f"Unclosed start tag at byte offset {begin}")
        if tag not in _KINDS:
            raise HtmlError(f'Unsupported start tag "{tag}" at byte offset {begin}')
        attributes = self._attributes(tag, begin)
        argument = attributes.get("href", "") if tag == "a" else attributes.get("emoji-id", "")
        if tag == "span" and attributes.get("class") != "tg-spoiler":
            raise HtmlError(f'Tag "span" must have class "tg-spoiler" at byte offset {begin}')
        self.opened.append(_Open(tag, argument, self.offset, len(self.text)))

    def _attributes(self, tag: str, begin: int) -> Mapping[str, str]:
        attributes: dict[str, str] = {}
        while True:
            self._skip_spaces()
            if self._peek() == ">":
                self.at += 1
                return attributes
            name = self._word(_SPACES + "=>")
            if not name:
                raise HtmlError(f'Empty attribute name in the tag "{tag}" at byte offset {begin}')
            self._skip_spaces()
            if tag == "blockquote" and name == "expandable" and self._peek() != "=":
                continue
            if self._peek() != "=":
                raise HtmlError(
                    f'Expected equal sign in declaration of an attribute of the tag "{tag}" at byte offset {begin}'
                )
            self.at += 1
            self._skip_spaces()
            attributes[name] = self._value(begin)

    def _value(self, begin: int) -> str:
        quote = self._peek()
        if quote in ("'", '"') and quote:
            self.at += 1
            value = self._word(quote)
            self.at += 1
            if not self._peek():
                raise HtmlError(f"Unclosed start tag at byte offset {begin}")
            return _decode(value)
        start = self._bytes(self.at)
        found = re.compile(r"[A-Za-z0-9.-]*").match(self.source, self.at)
        value = found[0] if found else ""
        self.at += len(value)
        if self._peek() not in (*_SPACES, ">"):
            raise HtmlError(f"Unexpected end of name token at byte offset {start}")
        return value.lower()

    def _close(self) -> None:
        begin = self._bytes(self.at)
        if not self.opened:
            raise HtmlError(f"Unexpected end tag at byte offset {begin}")
        self.at += 2
        tag = self._word(_SPACES + ">").lower()
        self._skip_spaces()
        if self._peek() != ">":
            raise HtmlError(f"Unclosed end tag at byte offset {begin}")
        self.at += 1
        opened = self.opened.pop()
        if tag not in ("", opened.tag):
            raise HtmlError(f'Unmatched end tag at byte offset {begin}, expected "</{opened.tag}>", found "</{tag}>"')
        if self.offset > opened.offset:
            self._add_entity(opened)

    def _add_entity(self, opened: _Open) -> None:
        kind, url = _KINDS[opened.tag], ""
        if kind == "custom_emoji" and not (opened.argument.isdecimal() and int(opened.argument)):
            raise HtmlError("Invalid custom emoji identifier specified")
        if kind == "text_link":
            url = opened.argument or "".join(self.text[opened.position :])
            if _USER_LINK.fullmatch(url):
                kind = "text_mention"
            elif not _is_link(url):
                return  # Telegram drops a link that leads nowhere, and keeps its text.
        self.entities.append(Entity(kind, opened.offset, self.offset - opened.offset, url))


def _is_link(url: str) -> bool:
    return re.fullmatch(r"(?:(?:https?|tg|ton|tonsite)://)?[^\s/@]+\.[^\s]+|tg://\S+", url, re.IGNORECASE) is not None
