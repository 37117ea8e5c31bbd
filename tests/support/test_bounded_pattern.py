"""
Tests of :mod:`itsjustintv.support.bounded_pattern`.
"""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.support.bounded_pattern import BoundedPattern

_PATTERNS = (
    "a+b",
    "(a|ab)(c|bcd)(d*)",
    "^foo|bar$",
    r"\bre-?run\b",
    r"\Brun",
    "[^a-c]x",
    "a{2,3}b?",
    "(x+x+)+y",
    r"\d{2}:\d{2}",
    "(?:ab)*c",
    r"\w+\s\W",
    r"[\w.]\D\S",
    "a.c",
    "ß|straße",
    "[À-Ý]",
    "(a?){3}b",
    "",
    "(a*)*b",
    "(|a)b",
    "a*?b{2,}",
)


class BoundedPatternTests(SynchronousTestCase):
    """
    Searching.
    """

    @given(st.sampled_from(_PATTERNS), st.text("abcdxyfor 1:2-_RßEéÉ", max_size=12))
    def test_finds_what_python_finds(self, pattern: str, text: str) -> None:
        """
        The answer is that of Python's engine, in any case.
        """
        self.assertIs(bool(re.search(pattern, text, re.IGNORECASE)), BoundedPattern.parse(pattern).search(text))

    def test_what_takes_other_engines_years(self) -> None:
        """
        Nested repetition is as fast as any other.
        """
        self.assertFalse(BoundedPattern.parse("(a+)+b|(a|a)*c|(a?){30}a{30}d").search("a" * 400))

    def test_what_is_refused(self) -> None:
        """
        What would need memory, is too large, or is no pattern is refused with the reason.
        """
        for pattern, reason in (
            ("(", "is not a regular expression: missing ), unterminated subpattern"),
            ("(?=a)", "cannot look around"),
            ("(?<!a)", "cannot look around"),
            (r"(a)\1", "cannot refer to a group"),
            ("a*+", "cannot use this syntax"),
            ("a{5000}", "is too large"),
            ("(a{0}){4000000000}", "is too large"),
            ("((a{50}){50}){50}", "is too large"),
            ("(" * 5000 + ")" * 5000, "is too large"),
        ):
            error = self.assertRaises(ValueError, BoundedPattern.parse, pattern)
            self.assertIn(reason, str(error), pattern[:20])
