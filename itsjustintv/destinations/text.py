"""
Text that a streamer controls, on its way into a message: cleaned, counted and cut.

A grapheme cluster is what a reader takes for one character (Unicode Standard Annex 29). Its exact rules need tables
that Python does not have. So two approximations stand in for it, each wrong on its safe side: a text is cut only where
a cluster certainly ends, and never counts fewer graphemes than it has.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from unicodedata import category, combining

from attrs import Factory, field, frozen

from itsjustintv.support.foreign_text import without_hidden

__all__ = [
    "CHARACTERS",
    "ELLIPSIS",
    "GRAPHEMES",
    "LONGEST",
    "TOOTS",
    "UTF8",
    "UTF16",
    "Counter",
    "Shortenable",
    "boundaries",
    "clean",
]

ELLIPSIS = "…"

#: No value is longer, in characters: Twitch's titles have 140, descriptions 300.
LONGEST = 4096

# Letters of no language carry more marks than this, in the spellings that people type.
_MARKS = 4

_FIRST_MARK = "\u0300"


def clean(text: str, longest: int = LONGEST) -> str:
    """
    Make one line of a text from outside: no control or invisible characters, no controls of bidirectional text, no lone
    surrogates, no piles of combining marks, and one space for any run of spaces and line breaks.

    :param longest: what is longer than so many characters is cut first, so that the work is bounded.
    """
    line = " ".join(without_hidden(" ".join(text[: longest + 1].split())).split())
    if line and max(line) >= _FIRST_MARK:
        line = "".join(_without_piles(line))
    return CHARACTERS.cut(line, longest)


def _without_piles(text: str) -> Iterator[str]:
    run = 0
    for each in text:
        run = run + 1 if each >= _FIRST_MARK and category(each) in ("Mn", "Me") else 0
        if run <= _MARKS:
            yield each


def boundaries(text: str) -> list[int]:
    """
    The places in a text at which it can be cut without breaking a grapheme cluster, both ends included. A place that
    is in doubt is left out.
    """
    if text.isascii() and "\r" not in text:
        return list(range(len(text) + 1))
    found = [0]
    flags = 0  # how many letters of flags stand before here, without anything between
    conjunct = False  # whether a virama stands before here, with nothing but marks since
    before = ""
    for at, each in enumerate(text):
        if at and not _joins(before, each, flags, conjunct):
            found.append(at)
        flags = flags + 1 if _is_flag_letter(each) else 0
        if combining(each) == _VIRAMA:
            conjunct = True
        elif not _extends(each):
            conjunct = False
        before = each
    if text:
        found.append(len(text))
    return found


@frozen
class Shortenable:
    """
    A text with the places at which it can be cut, for one that is cut more than once.
    """

    text: str
    _places: list[int] = field(init=False, default=Factory(lambda self: boundaries(self.text), takes_self=True))

    def cut(self, longest: int) -> str:
        """
        As :meth:`Counter.cut` in characters.
        """
        if len(self.text) <= longest:
            return self.text
        if longest <= 0:
            return ""
        return self.text[: self._places[bisect_right(self._places, longest - 1) - 1]].rstrip() + ELLIPSIS


_VIRAMA = 9  # a canonical combining class
_JOINER = "\u200d"

# Characters of other categories that belong to the previous one: non-joiner, two vowels of Thai and Lao, two
# Japanese marks, skin tones, tags.
_OTHER_EXTENDERS = re.compile("[\u200c\u200d\u0e33\u0eb3\uff9e\uff9f\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]")

# Grapheme_Cluster_Break=Prepend.
_PREPENDED = re.compile(
    "[\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u0d4e\U000110bd\U000110cd\U000111c2\U000111c3\U000113d1\U0001193f"
    "\U00011941\U00011a3a\U00011a84-\U00011a89\U00011d46\U00011f02]"
)

_LEADING_JAMO = re.compile("[\u1100-\u115f\ua960-\ua97c]")
_TRAILING_JAMO = re.compile("[\u1160-\u11ff\ud7b0-\ud7fb]")
_HANGUL = re.compile("[\u1100-\u11ff\ua960-\ua97c\uac00-\ud7fb]")


def _extends(each: str) -> bool:
    # What Python's Unicode does not know yet may be a mark in a later one.
    return each >= _FIRST_MARK and (
        category(each) in ("Mn", "Mc", "Me", "Cn") or _OTHER_EXTENDERS.match(each) is not None
    )


def _is_flag_letter(each: str) -> bool:
    return "\U0001f1e6" <= each <= "\U0001f1ff"


def _joins(before: str, each: str, flags: int, conjunct: bool) -> bool:
    """
    Whether a character may belong to the cluster of the previous one.
    """
    if each < _FIRST_MARK and before < _FIRST_MARK:
        return before == "\r" and each == "\n"
    if _is_flag_letter(each) and flags % 2:
        return True
    return (
        _extends(each)
        or before == _JOINER
        or (conjunct and category(each)[0] == "L")
        or _PREPENDED.match(before) is not None
        or (_TRAILING_JAMO.match(each) is not None and _HANGUL.match(before) is not None)
        or (_LEADING_JAMO.match(before) is not None and _HANGUL.match(each) is not None)
    )


def _count_graphemes(text: str) -> int:
    """
    Never fewer than there are. Counted are all characters but those that certainly belong to the previous one.
    """
    if text.isascii():
        return len(text)
    count, flags, before = 0, 0, "\n"
    for each in text:
        flags = flags + 1 if _is_flag_letter(each) else 0
        mark = each >= _FIRST_MARK and (category(each) in ("Mn", "Me") or _CERTAIN_EXTENDERS.match(each) is not None)
        if not ((mark and category(before) not in ("Cc", "Cf", "Zl", "Zp", "Cn")) or (flags and flags % 2 == 0)):
            count += 1
        before = "x" if mark else each
    return count


_CERTAIN_EXTENDERS = re.compile("[\u200c\u200d\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]")

# Mastodon's length of an address, however long it is.
_ADDRESS = 23
_PLAIN_ADDRESS = re.compile(r"(?<!\S)https?://[A-Za-z0-9.-]+(?:/[A-Za-z0-9_./-]*)?(?!\S)")


def _count_toots(text: str) -> int:
    """
    Characters, an address being 23; one that Mastodon may read in another way counts as more than it can be.
    """
    rest, plain = _PLAIN_ADDRESS.subn("", text)
    return len(rest) + _ADDRESS * (plain + rest.count("://"))


@frozen(eq=False)
class Counter:
    """
    How a service measures the length of a text.

    :ivar unit: the word for what is counted, plural.
    :ivar count: of a text; what stands around it is for the caller to trim.
    """

    unit: str
    count: Callable[[str], int]

    def fits(self, text: str, limit: int) -> bool:
        """
        Whether a text without the spaces around it has no more than so many units.
        """
        return self.count(text.strip()) <= limit

    def cut(self, text: str, limit: int) -> str:
        """
        Shorten a text to a limit, at the end of a grapheme cluster and with an ellipsis; one that fits stays as it is.
        Empty when not even the ellipsis fits.
        """
        if self.fits(text, limit):
            return text
        places = boundaries(text)
        low, high = 0, len(places) - 1
        while high - low > 1:
            middle = (low + high) // 2
            if self.fits(text[: places[middle]] + ELLIPSIS, limit):
                low = middle
            else:
                high = middle
        shortened = text[: places[low]].rstrip() + ELLIPSIS
        return shortened if self.fits(shortened, limit) else ""


def _count_utf16(text: str) -> int:
    return len(text) + sum(each > "\uffff" for each in text)


def _count_utf8(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


#: Code points, as Slack, Pushover and Matrix count.
CHARACTERS = Counter("characters", len)

#: Code units of UTF-16, as Telegram and JavaScript count: never fewer than the code points.
UTF16 = Counter("UTF-16 units", _count_utf16)

#: Bytes, as ntfy counts.
UTF8 = Counter("bytes", _count_utf8)

#: What readers take for characters, as Bluesky counts; never fewer than there are.
GRAPHEMES = Counter("graphemes", _count_graphemes)

#: Characters as Mastodon counts them.
TOOTS = Counter("characters", _count_toots)
