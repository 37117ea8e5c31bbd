"""
Tests of itsjustintv.destinations.text.
"""

from __future__ import annotations

from time import process_time
from unicodedata import category

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.destinations.text import (
    CHARACTERS,
    ELLIPSIS,
    GRAPHEMES,
    LONGEST,
    TOOTS,
    UTF8,
    UTF16,
    Shortenable,
    boundaries,
    clean,
)

#: Texts with much of what breaks programs: half pairs, flags, families, marks, overrides, jamo.
HARD = st.text(
    st.one_of(
        st.characters(exclude_categories=()),
        st.sampled_from("\ud83d\ude00\r\n\t\u0301\u0e33\u094d\u0915\u200d\u202e\u2066\u1100\u1161\u11a8\ufe0f@#<&]"),
        st.sampled_from("\U0001f1e9\U0001f1ea\U0001f468\U0001f3fd\U0001f3f4\U000e0067\U000e007f"),
    ),
    max_size=60,
)
COUNTERS = (CHARACTERS, UTF16, UTF8, GRAPHEMES, TOOTS)

#: What readers take for one character.
CLUSTERS = (
    "e\u0301",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "\U0001f1e9\U0001f1ea",
    "\U0001f44d\U0001f3fd",
    "1\ufe0f\u20e3",
    "\u0915\u094d\u0937",
    "\u1100\u1161\u11a8",
    "\u0e01\u0e33",
    "\r\n",
    "\u0600\u0661",
    "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
)


class CleanTests(SynchronousTestCase):
    """
    What is left of a text from outside.
    """

    @given(HARD)
    def test_nothing_invisible_is_left(self, text: str) -> None:
        """
        It has one line, no control characters, overrides or lone surrogates, and no space at its ends.
        """
        found = clean(text)
        self.assertEqual(found, found.strip())
        self.assertEqual(found.splitlines()[1:], [])
        for each in found:
            self.assertNotIn(category(each), ("Cc", "Cs", "Zl", "Zp"))
            self.assertFalse("\u202a" <= each <= "\u202e" or "\u2066" <= each <= "\u2069", repr(found))

    def test_line_breaks_are_spaces(self) -> None:
        """
        A run of spaces and line breaks becomes one space.
        """
        self.assertEqual(clean(" a\r\n\u2028 b\tc\x00d "), "a b cd")

    def test_piles_of_marks_are_reduced(self) -> None:
        """
        Four combining marks stay on a letter, no more.
        """
        self.assertEqual(clean("e" + "\u0301" * 50 + "f"), "e" + "\u0301" * 4 + "f")

    def test_emoji_stay(self) -> None:
        """
        Families, flags, skin tones and keycaps are not taken apart.
        """
        for each in CLUSTERS[:5]:
            self.assertEqual(clean(each), each)

    def test_a_text_has_a_greatest_length(self) -> None:
        """
        What is longer than any value should be is cut, and that takes no time worth mentioning.
        """
        begin = process_time()
        self.assertIn(len(clean("e\u0301" * 1_000_000)), (LONGEST - 1, LONGEST))
        self.assertLess(process_time() - begin, 1)


class CutTests(SynchronousTestCase):
    """
    Texts that are too long for a field.
    """

    @given(HARD, st.integers(0, 80), st.sampled_from(COUNTERS))
    def test_a_cut_text_fits(self, text: str, limit: int, counter: object) -> None:
        """
        By every way of counting, a text is no longer than its limit, and what fits stays as it is.
        """
        found = counter.cut(text, limit)  # type: ignore[attr-defined]
        self.assertLessEqual(counter.count(found.strip()), limit)  # type: ignore[attr-defined]
        if counter.fits(text, limit):  # type: ignore[attr-defined]
            self.assertEqual(found, text)
        elif found:
            self.assertTrue(found.endswith(ELLIPSIS))
            self.assertTrue(text.startswith(found[:-1]))

    @given(HARD, st.integers(0, 70))
    def test_cutting_again_and_again(self, text: str, longest: int) -> None:
        """
        A text that is prepared for cutting is cut at places of its own, and fits as well.
        """
        found = Shortenable(text).cut(longest)
        self.assertLessEqual(len(found), longest)
        if len(text) <= longest:
            self.assertEqual(found, text)
        else:
            places = [len(text[:place].rstrip()) for place in boundaries(text)]
            self.assertIn(len(found.removesuffix(ELLIPSIS)), places)

    def test_no_cluster_is_broken(self) -> None:
        """
        Between the parts of what a reader takes for one character there is no place to cut.
        """
        for each in CLUSTERS:
            with self.subTest(each):
                self.assertEqual(boundaries(f"a{each}b"), [0, 1, 1 + len(each), 2 + len(each)])

    def test_two_flags_are_two(self) -> None:
        """
        Four letters of flags are cut in their middle.
        """
        self.assertEqual(boundaries("\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7"), [0, 2, 4])

    @given(HARD)
    def test_graphemes_are_never_fewer_than_parts(self, text: str) -> None:
        """
        The count of graphemes is at least that of the parts that a text can be cut into.
        """
        self.assertGreaterEqual(GRAPHEMES.count(text), len(boundaries(text)) - 1)

    def test_units(self) -> None:
        """
        One emoji is one character, two UTF-16 units, four bytes and one grapheme; so is it with a skin tone.
        """
        self.assertEqual([each.count("\U0001f600") for each in COUNTERS], [1, 2, 4, 1, 1])
        self.assertEqual(GRAPHEMES.count("\U0001f44d\U0001f3fd\U0001f1e9\U0001f1eae\u0301"), 3)

    def test_an_address_has_23_characters_for_mastodon(self) -> None:
        """
        Whatever its length; one that is part of a word counts as more than it can be.
        """
        self.assertEqual(TOOTS.count("https://twitch.tv/a_rather_long_name now"), 23 + 4)
        self.assertEqual(TOOTS.count("xhttp://a.b"), 11 + 23)
