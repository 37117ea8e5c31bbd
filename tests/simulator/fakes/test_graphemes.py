"""
Counting what readers take for characters.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.simulator.fakes.graphemes import graphemes


class GraphemesTests(SynchronousTestCase):
    """
    Grapheme clusters.
    """

    def test_one_cluster_each(self) -> None:
        """
        A letter with accents, a family, a flag, a skin tone, a keycap, a syllable of jamo and a line end are one each.
        """
        for text in (
            "e\u0301\u0323",
            "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466",
            "\U0001f1e9\U0001f1ea",
            "\U0001f44d\U0001f3fd",
            "1\ufe0f\u20e3",
            "\u1112\u1161\u11ab",
            "\uac00\u11a8",
            "\U0001f3f4\U000e0067\U000e0062\U000e007f",
            "\u2764\ufe0f\u200d\U0001f525",
            "\r\n",
        ):
            self.assertEqual(graphemes(text), [text])

    def test_clusters_of_their_own(self) -> None:
        """
        Letters, four regional indicators, pictures without a joiner, and what a control character divides are not.
        """
        for text, count in (
            ("abc", 3),
            ("\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7", 2),
            ("\U0001f468\U0001f469", 2),
            ("\n\u0301", 2),
            ("a\u200b", 2),
            ("a\u200d\U0001f469", 2),
            ("\U0001f468\u200da", 2),
            ("\uac01\uac01", 2),
        ):
            self.assertEqual(len(graphemes(text)), count, ascii(text))

    @given(st.text())
    def test_nothing_is_lost(self, text: str) -> None:
        """
        The clusters of any text, joined, are the text.
        """
        self.assertEqual("".join(graphemes(text)), text)
