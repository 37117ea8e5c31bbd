"""
What a reader takes for one character: grapheme clusters (Unicode, UAX 29), without the rules for Indic conjuncts.
"""

from __future__ import annotations

import unicodedata
from enum import Enum, auto

__all__ = ["graphemes"]

_JOINER = "\N{ZERO WIDTH JOINER}"


class _Class(Enum):
    """
    How a character breaks (UAX 29, table 2).
    """

    OTHER = auto()
    CONTROL = auto()
    EXTEND = auto()
    FLAG = auto()
    PICTURE = auto()
    L = auto()
    V = auto()
    T = auto()
    LV = auto()
    LVT = auto()


#: Hangul: what may follow in the same syllable (GB6 to GB8).
_SYLLABLE = {
    _Class.L: {_Class.L, _Class.V, _Class.LV, _Class.LVT},
    _Class.LV: {_Class.V, _Class.T},
    _Class.V: {_Class.V, _Class.T},
    _Class.LVT: {_Class.T},
    _Class.T: {_Class.T},
}

_RANGES = (
    (0x1100, 0x115F, _Class.L),
    (0x1160, 0x11A7, _Class.V),
    (0x11A8, 0x11FF, _Class.T),
    (0x200C, 0x200D, _Class.EXTEND),
    (0xFF9E, 0xFF9F, _Class.EXTEND),
    (0x1F1E6, 0x1F1FF, _Class.FLAG),
    (0x1F3FB, 0x1F3FF, _Class.EXTEND),
    (0xE0020, 0xE007F, _Class.EXTEND),
    (0x00A9, 0x00A9, _Class.PICTURE),
    (0x00AE, 0x00AE, _Class.PICTURE),
    (0x203C, 0x203C, _Class.PICTURE),
    (0x2049, 0x2049, _Class.PICTURE),
    (0x2122, 0x2122, _Class.PICTURE),
    (0x2139, 0x2139, _Class.PICTURE),
    (0x2194, 0x21AA, _Class.PICTURE),
    (0x231A, 0x23FF, _Class.PICTURE),
    (0x25AA, 0x27BF, _Class.PICTURE),
    (0x2934, 0x2935, _Class.PICTURE),
    (0x2B05, 0x2B55, _Class.PICTURE),
    (0x3030, 0x303D, _Class.PICTURE),
    (0x3297, 0x3299, _Class.PICTURE),
    (0x1F000, 0x1FAFF, _Class.PICTURE),
)


def _class(character: str) -> _Class:
    code = ord(character)
    for first, last, kind in _RANGES:
        if first <= code <= last:
            return kind
    if 0xAC00 <= code <= 0xD7A3:
        return _Class.LV if (code - 0xAC00) % 28 == 0 else _Class.LVT
    category = unicodedata.category(character)
    if category in ("Mn", "Me", "Mc"):
        return _Class.EXTEND
    return _Class.CONTROL if category in ("Cc", "Cf", "Zl", "Zp") else _Class.OTHER


def graphemes(text: str) -> list[str]:
    """
    Split a text. The parts joined give the text again.
    """
    clusters: list[str] = []
    for character in text:
        if clusters and _joins(clusters[-1], character):
            clusters[-1] += character
        else:
            clusters.append(character)
    return clusters


def _joins(cluster: str, character: str) -> bool:
    """
    Whether a character belongs to the cluster before it.
    """
    last, kind = _class(cluster[-1]), _class(character)
    if cluster[-1] == "\r" and character == "\n":
        return True
    if _Class.CONTROL in (last, kind):
        return False
    if kind is _Class.EXTEND:
        return True
    if kind in _SYLLABLE.get(last, ()):
        return True
    if kind is _Class.FLAG:
        return len(cluster) == 1 and last is _Class.FLAG
    # GB11: pictures that joiners put together.
    return kind is _Class.PICTURE and cluster[-1] == _JOINER and _class(cluster[0]) is _Class.PICTURE
