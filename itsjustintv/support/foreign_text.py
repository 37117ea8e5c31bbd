"""
Shows text from outside so that nothing in it can control a terminal or be invisible.

Escaped are: control characters (C0, C1, U+007F), the controls of bidirectional text (Unicode Standard Annex 9), line
and paragraph separators, whatever has no glyph of its own (``Default_Ignorable_Code_Point`` of the Unicode Character
Database), and lone surrogates. What words and emoji need stays: a joiner inside an emoji or after a letter
of a script that joins, one variation selector after a character that has variations, and the tags of the three flags
that are written with tags.
"""

from __future__ import annotations

import re

__all__ = ["quote", "visible", "visible_json", "without_hidden"]

_VARIATION, _IDEOGRAPHIC_VARIATION = "\ufe00-\ufe0f", "\U000e0100-\U000e01ef"

_HIDDEN = (
    "\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
) + _VARIATION

_EMOJI = "\u00a9\u00ae\u203c-\u2049\u2100-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001fbff"
_IDEOGRAPHS = "\u2e80-\u2fdf\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003fffd"
_BURMESE, _MONGOLIAN = "\u1000-\u109f", "\u1807\u1820-\u18aa"

# Arabic and its neighbours, the scripts of India and Sri Lanka, Tibetan, Burmese, Khmer, Mongolian.
_JOINING = (
    "\u0620-\u0dff\u0f00-\u109f\u1780-\u17b3\u17b6-\u17ff\u1820-\u18aa\ufb50-\ufdff\ufe70-\ufefc\U00011000-\U00011fff"
)


def _flag(region: str) -> str:
    """
    A flag as a sequence of tags (Unicode Technical Standard 51, section C.1).
    """
    return "\U0001f3f4" + "".join(chr(0xE0000 + ord(letter)) for letter in region) + "\U000e007f"


_SOUND = "|".join(
    [
        *map(_flag, ("gbeng", "gbsct", "gbwls")),
        f"(?<=[{_EMOJI}\ufe0f])\u200d(?=[{_EMOJI}])",
        f"(?<=[{_JOINING}])[\u200c\u200d]",
        f"(?<=[{_MONGOLIAN}])[\u180b-\u180f]",
        f"(?<=[#*0-9{_EMOJI}{_IDEOGRAPHS}{_BURMESE}])[{_VARIATION}]",
        f"(?<=[{_IDEOGRAPHS}])[{_IDEOGRAPHIC_VARIATION}]",
    ]
)

_ANY_HIDDEN = re.compile(f"[{_HIDDEN}]")
_EACH = re.compile(f"{_SOUND}|([{_HIDDEN}])")
# In a document the line ends between values are its own, and those in strings are escaped already. Every line of the
# log has one, so that it must not count as hidden: the thorough search takes many times as long.
_ANY_HIDDEN_IN_JSON = re.compile("[" + _HIDDEN.replace("\x00-\x1f", "\x00-\x09\x0b-\x1f") + "]")
_EACH_IN_JSON = re.compile(f"{_SOUND}|\n|([{_HIDDEN}])")


def visible(text: str) -> str:
    r"""
    Write a text as one line, with invisible characters as Python's escapes: ``\n``, ``\x1b``, ``\u202e``,
    ``\U000e0041``.

    :return: a text without line ends that UTF-8 can encode.
    """
    return _EACH.sub(_escaped, text) if _ANY_HIDDEN.search(text) else text


def without_hidden(text: str) -> str:
    """
    Leave out what :func:`visible` writes as escapes, line ends included.
    """
    return _EACH.sub(lambda found: "" if found[1] else found[0], text) if _ANY_HIDDEN.search(text) else text


def visible_json(document: str) -> str:
    r"""
    Write an equal JSON document, with invisible characters in its strings as ``\uXXXX`` (RFC 8259, section 7).

    :param document: as a serializer wrote it, which escapes characters below U+0020 in strings itself.
    """
    return _EACH_IN_JSON.sub(_escaped_in_json, document) if _ANY_HIDDEN_IN_JSON.search(document) else document


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii") if found[1] else found[0]


def _escaped_in_json(found: re.Match[str]) -> str:
    if not found[1]:
        return found[0]
    units = found[1].encode("utf-16-be", "surrogatepass")
    return "".join(rf"\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


_LONGEST = 200


def quote(text: str) -> str:
    """
    Quote the first 200 characters of a text, as one line with invisible characters as escapes; empty for an empty text.
    """
    line = " ".join(text[: 2 * _LONGEST].split())
    return f"'{visible(line[:_LONGEST])}{'...' if len(line) > _LONGEST else ''}'" if line else ""
