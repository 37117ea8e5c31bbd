"""
Tests of :mod:`itsjustintv.support.foreign_text`.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.support.foreign_text import quote


class QuoteTests(SynchronousTestCase):
    """
    What others said.
    """

    def test_it_is_one_line(self) -> None:
        """
        Line ends are blanks, and what steers a terminal is seen.
        """
        self.assertEqual(quote("no such\n hook \x1b[2J\u202e"), r"'no such hook \x1b[2J\u202e'")
        self.assertEqual((quote(""), quote(" \n")), ("", ""))

    def test_it_is_cut(self) -> None:
        """
        Only the first 200 characters are quoted, and that there are more is shown.
        """
        self.assertEqual(quote("x" * 200), f"'{'x' * 200}'")
        self.assertEqual(quote("x" * 5000), f"'{'x' * 200}...'")
