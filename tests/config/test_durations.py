"""
Tests for :mod:`itsjustintv.config.values`.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.values import DURATION_SYNTAX, parse_duration

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
                self.assertEqual(expected, parse_duration(text))

    @settings(deadline=None)
    @given(st.sampled_from(sorted(_UNITS)), st.integers(0, 10**6))
    def test_every_unit(self, unit: str, number: int) -> None:
        """
        Each unit scales its number.
        """
        self.assertAlmostEqual(number * _UNITS[unit], parse_duration(f"{number}{unit}"))

    @settings(deadline=None)
    @given(st.one_of(st.integers(0, 10**9), st.floats(0, 1e9)))
    def test_numbers_are_seconds(self, number: float) -> None:
        """
        A bare number is a number of seconds.
        """
        self.assertEqual(float(number), parse_duration(number))

    def test_text_without_unit_is_seconds(self) -> None:
        """
        An environment variable can say seconds without a unit.
        """
        self.assertEqual(90.5, parse_duration("90.5"))

    def test_everything_else_is_refused(self) -> None:
        """
        What is no duration is refused with the rule that it breaks, and with what to write where that is known.
        """
        hours = "in hours or smaller units, since there is no unit"
        units = "with no other units than ns, us, ms, s, m and h"
        refused: dict[str, tuple[object, ...]] = {
            DURATION_SYNTAX: ("", "-", "h", ".", ".s", "soon", "٣s", True, None, [], {}, float("nan"), "h1"),
            "must be a duration without a sign": ("-1s", "+1s", "-5", "-1h15m"),
            "must be a duration without blanks: write 1h": ("1 h", "1h ", " 1h"),
            "must be a duration without blanks: write 1h15m": ("1h 15m",),
            "must be a duration without blanks and with the unit h in place of hours": ("2 hours",),
            f"must be a duration without blanks and {hours} days: write 168h": ("7 days",),
            "must be a duration without blanks": ("very soon",),
            "must be a duration without quotes around it: write 1h": ('"1h"', "'1h'", '" 1h"'),
            'must be a duration with a decimal point, as in "1.5h"': ("1,5h", "1,5"),
            'must be a duration with a unit after each number, as in "1h15m"': ("1h15", "1s5.5"),
            f"must be a duration {hours} d: write 24h": ("1d",),
            f"must be a duration {hours} d: write 36h": ("1d12h", "12h1D", "1.5d"),
            f"must be a duration {hours} w: write 216h30m": ("1w2d30m",),
            f"must be a duration {hours} d": ("1d5", "1d5x", "999999999d"),
            f"must be a duration {hours} days: write 72h": ("3days", "3Days"),
            "must be a duration with the unit h in place of H": ("1H",),
            "must be a duration with the unit m in place of min": ("5min", "1h5min"),
            "must be a duration with the unit s in place of sec": ("5sec",),
            f"must be a duration {units}": ("1hh", "1e3s", "1e3", "1_0", "5x"),
            "must not be a negative duration": (-1, -0.5, -(10**400)),
            "must not be a duration above 2562047h": ("2562048h", "9" * 5000, "9" * 5000 + "h", float("inf"), 10**400),
        }
        for message, values in refused.items():
            for value in values:
                with self.subTest(value):
                    with self.assertRaises(ValueError) as caught:
                        parse_duration(value)
                    self.assertEqual(message, str(caught.exception))

    @settings(deadline=None)
    @given(st.text())
    def test_any_text_is_a_duration_or_refused(self, text: str) -> None:
        """
        Whatever the text, the answer is a length of time or a ``ValueError``.
        """
        try:
            self.assertGreaterEqual(parse_duration(text), 0)
        except ValueError as error:
            self.assertRegex(str(error), r"^must (?:not )?be a (?:negative )?duration")
