"""
Tests for :mod:`itsjustintv.support.foreign_text`.
"""

from __future__ import annotations

import json
from unicodedata import bidirectional, category

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.support.foreign_text import visible, visible_json

HOSTILE = (
    *map(chr, (*range(0x20), 0x7F, *range(0x80, 0xA0))),
    *"\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
    *"\u2028\u2029\u00ad\u034f\u115f\u1160\u3164\uffa0\u180e\u200b\u200c\u200d\u2060\u2061\u2064\u206a\ufeff\ufff9\ufffb",
    *"\ufe0f\U000e0001\U000e0041\U000e007f\U000e0100",
    "\ud800",
    "\udc9b",
)

SOUND = (
    "Pottery — all night, 100 % “clay”",
    "夜ふかし　葛\U000e0100飾",
    "e\u0301 n\u0303 Z\u0335\u0322",
    "שלום, עולם",
    "مرحبا بالعالم",
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "ක\u0dca\u200dෂ",
    "नमस्ते क्\u200dष",
    "\u182d\u180b",
    "👨\u200d👩\u200d👧 🏳\ufe0f\u200d🌈 👩🏽\u200d💻 1\ufe0f\u20e3 ❤\ufe0f\u200d🔥 🏃\u200d♀\ufe0f 🐈\u200d⬛ 🇯🇵",
    "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    # Emoji of a Unicode later than the one Python 3.11 knows.
    "\U0001fae8 \U0001fa77",
    "back\\slash \\u202e",
)

texts = st.lists(st.sampled_from((*HOSTILE, *SOUND, "a", " ", '"', "\\")) | st.characters(), max_size=8).map("".join)


class VisibleTests(SynchronousTestCase):
    """
    On a terminal.
    """

    def test_what_steers_or_hides_is_escaped(self) -> None:
        """
        Each such character between letters is written as its code.
        """
        for each in HOSTILE:
            shown = visible(f"a{each}b")
            self.assertTrue(shown.isprintable() and shown.isascii(), ascii(each))
            self.assertEqual(shown.encode().decode("unicode_escape"), f"a{each}b")
        self.assertEqual(visible("a\nb\x1b[2J\x9b\u202e\U000e0041\ud800"), r"a\nb\x1b[2J\x9b\u202e\U000e0041\ud800")

    def test_ordinary_text_is_readable(self) -> None:
        """
        Words of all scripts and emoji stay as they are.
        """
        for each in SOUND:
            self.assertEqual(visible(each), each)

    def test_what_may_stand_once_cannot_carry_a_text(self) -> None:
        """
        Selectors and joiners in a row, tags that are no flag, and any of them that changes nothing, are shown.
        """
        for hidden in ("\ufe0f\ufe0f", "\U000e0100\U000e0101", "\u200d\u200c", "\U000e0067\U000e0062", "\u180b\u180c"):
            for before in ("", " ", "\u202e", "a", "葛", "क", "😀", "\u182d", "\U0001f3f4"):
                self.assertIn("\\", visible(before + hidden + "\u200d"), ascii(before + hidden))

    @given(texts)
    def test_any_text_is_one_line_that_steers_nothing(self, text: str) -> None:
        """
        Whatever the text: no control, no line end, no change of direction, and UTF-8 can say it.
        """
        shown = visible(text)
        self.assertLessEqual(len(shown.splitlines()), 1)
        self.assertFalse([each for each in shown if category(each) in ("Cc", "Cs", "Zl", "Zp")])
        self.assertFalse({*map(bidirectional, shown)} & {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
        shown.encode()
        self.assertEqual(visible(shown), shown)


class JSONTests(SynchronousTestCase):
    """
    In a document for programs.
    """

    @given(st.dictionaries(texts, texts | st.lists(texts, max_size=2), max_size=3), st.sampled_from((None, 2)))
    def test_it_means_the_same(self, value: object, indent: int | None) -> None:
        """
        A program reads what was there, and a terminal that shows the document is steered by nothing but its line ends.
        """
        document = visible_json(json.dumps(value, ensure_ascii=False, indent=indent))
        again = json.dumps(json.loads(document))
        # Two lone surrogates that make a pair are a character to whoever reads JSON.
        self.assertEqual(again, json.dumps(json.loads(json.dumps(value))))
        self.assertEqual(document, "\n".join(map(visible, document.split("\n"))))

    def test_ordinary_text_is_readable(self) -> None:
        """
        Words and emoji are not escaped, what hides is, and beyond U+FFFF as a pair.
        """
        self.assertEqual(
            visible_json(json.dumps([*SOUND[:9]], ensure_ascii=False)), json.dumps([*SOUND[:9]], ensure_ascii=False)
        )
        self.assertEqual(visible_json('"\x7f\x9b\u2028\U000e0041"'), r'"\u007f\u009b\u2028\udb40\udc41"')
