"""
Tests for :mod:`itsjustintv.support.http_client`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from math import isfinite

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.support.http_response import retry_after

#: Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110.
EXAMPLE = 784111777.0


class RetryAfterTests(SynchronousTestCase):
    """
    Receivers write ``Retry-After`` in many ways.
    """

    def test_numbers(self) -> None:
        """
        Whole seconds and fractions are taken as they are, spaces around them or not.
        """
        for value, seconds in [("120", 120.0), ("0", 0.0), ("0.376", 0.376), (" 3600 ", 3600.0), ("007", 7.0)]:
            with self.subTest(value):
                self.assertEqual(retry_after([value], EXAMPLE), seconds)

    def test_dates(self) -> None:
        """
        The three forms of an HTTP-date mean the same moment.
        """
        for value in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ]:
            with self.subTest(value):
                self.assertEqual(retry_after([value], EXAMPLE - 90.0), 90.0)

    def test_past_date_is_now(self) -> None:
        """
        A date that has passed asks for nothing more.
        """
        self.assertEqual(retry_after(["Sun, 06 Nov 1994 08:49:37 GMT"], EXAMPLE + 1), 0.0)

    def test_nonsense_says_nothing(self) -> None:
        """
        What is neither a number of seconds nor a date is as good as absent.
        """
        for value in [
            "",
            "-1",
            "-0.5",
            "NaN",
            "inf",
            "1e308",
            "9" * 400,
            "x" * 99,
            "soon",
            "1.",
            ".5",
            "+5",
            "5 s",
            "5, 6",
        ]:
            with self.subTest(value):
                self.assertIsNone(retry_after([value], EXAMPLE))
        for value in [
            "Sun, 99 Xxx 1994 08:49:37 GMT",
            "Sun",
            "Sun, 06 Nov 1950 08:49:37 GMT",
            "\u0665",
            "1" + " " * 99,
        ]:
            with self.subTest(value):
                self.assertIn(retry_after([value], EXAMPLE), (None, 1.0))

    def test_largest_of_several(self) -> None:
        """
        Of several headers the most patient valid one counts; none at all says nothing.
        """
        self.assertEqual(retry_after(["5", "inf", "30", "7"], EXAMPLE), 30.0)
        self.assertIsNone(retry_after(["x", "-3"], EXAMPLE))
        self.assertIsNone(retry_after([], EXAMPLE))

    @given(st.lists(st.text()), st.floats(0, 4e9))
    def test_any_text(self, values: list[str], now: float) -> None:
        """
        Whatever is in the header, the answer is nothing or a finite number that is not negative.
        """
        seconds = retry_after(values, now)
        self.assertTrue(seconds is None or (isfinite(seconds) and seconds >= 0))

    @given(st.text("SunModay, 0123456789-:GMTecNov", max_size=40), st.floats(0, 4e9))
    def test_almost_dates(self, value: str, now: float) -> None:
        """
        What looks like a date and is none does no harm either.
        """
        seconds = retry_after([value], now)
        self.assertTrue(seconds is None or (isfinite(seconds) and seconds >= 0))

    @given(st.integers(86_400, 253_402_300_799), st.integers(0, 10**9))
    def test_every_date(self, moment: int, early: int) -> None:
        """
        Every date that the standard library writes is understood to the second.
        """
        value = format_datetime(datetime.fromtimestamp(moment, UTC), usegmt=True)
        self.assertEqual(retry_after([value], moment - early), early)
