"""
Tests for :mod:`itsjustintv.config.durations`.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.durations import ALLOWED, seconds

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class SecondsTests(SynchronousTestCase):
    """
    What a duration may look like.
    """

    def test_notation_of_go(self) -> None:
        """
        Numbers with units add up, in any order and with fractions.
        """
        for text, expected in (
            ("1h15m", 4500.0),
            ("500ms", 0.5),
            ("1.5h", 5400.0),
            (".5s", 0.5),
            ("1.s", 1.0),
            ("15m1h", 4500.0),
            ("700ms", 0.7),
            ("1us", 1e-6),
            ("0s", 0.0),
        ):
            with self.subTest(text):
                self.assertEqual(expected, seconds(text))

    @settings(deadline=None)
    @given(st.sampled_from(sorted(_UNITS)), st.integers(0, 10**6))
    def test_every_unit(self, unit: str, number: int) -> None:
        """
        Each unit scales its number.
        """
        self.assertAlmostEqual(number * _UNITS[unit], seconds(f"{number}{unit}"))

    @settings(deadline=None)
    @given(st.one_of(st.integers(0, 10**9), st.floats(0, 1e9)))
    def test_numbers_are_seconds(self, number: float) -> None:
        """
        A bare number is a number of seconds.
        """
        self.assertEqual(float(number), seconds(number))

    def test_text_without_unit_is_seconds(self) -> None:
        """
        An environment variable can say seconds without a unit.
        """
        self.assertEqual(90.5, seconds("90.5"))

    def test_everything_else_is_refused(self) -> None:
        """
        A sign, a space, an unknown unit, a type that is no duration: refused, saying what is allowed.
        """
        refused = (
            *("", "-1s", "-", "+1s", "1d", "1 h", "h", "1h ", "1H", ".", ".s", "1e3", "1e3s", "٣s", "1hh", "2562048h"),
            *("9" * 5000, "9" * 5000 + "h", -1, -0.5, float("nan"), float("inf"), 10**400, True, None, [], {}),
        )
        for value in refused:
            with self.subTest(value):
                with self.assertRaises(ValueError) as caught:
                    seconds(value)
                self.assertEqual(ALLOWED, str(caught.exception))

    @settings(deadline=None)
    @given(st.text())
    def test_any_text_is_a_duration_or_refused(self, text: str) -> None:
        """
        Whatever the text, the answer is a length of time or a ``ValueError``.
        """
        try:
            self.assertGreaterEqual(seconds(text), 0)
        except ValueError as error:
            self.assertEqual(ALLOWED, str(error))
