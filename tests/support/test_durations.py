"""
Tests for :mod:`itsjustintv.support.durations`.
"""

from __future__ import annotations

import ast
import io
import json
import math
import re
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase

import itsjustintv
from itsjustintv.logs.observer import json_logger
from itsjustintv.support.durations import Seconds, duration

# Who has a reason to write them otherwise.
_OWN_WAYS = {"admin/chart.py", "config/diff.py", "config/values.py", "support/durations.py"}

_UNITS = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "day": 86400.0, "days": 86400.0}


def read(text: str) -> float:
    """
    How many seconds a written duration says.
    """
    return sum(float(each) * _UNITS[of] for each, of in re.findall(r"([0-9.]+) (ms|s|min|h|days?)(?: |$)", text))


class DurationTests(SynchronousTestCase):
    """
    How a duration is written.
    """

    def test_as_people_say_it(self) -> None:
        """
        One unit, or two where the smaller one matters.
        """
        for seconds, text in (
            (0, "0 s"),
            (0.25, "250 ms"),
            (1, "1 s"),
            (1.5, "1.5 s"),
            (45, "45 s"),
            (60, "1 min"),
            (90, "1 min 30 s"),
            (660, "11 min"),
            (3600, "1 h"),
            (7500, "2 h 5 min"),
            (86400, "1 day"),
            (97200, "1 day 3 h"),
            (259200, "3 days"),
            (30 * 86400, "30 days"),
        ):
            with self.subTest(text):
                self.assertEqual(text, duration(seconds))

    def test_rounding_is_upwards_and_carries(self) -> None:
        """
        What is cut off makes the last digit one more, which may make it the next unit.
        """
        for seconds, text in (
            (1e-9, "1 ms"),
            (0.0004, "1 ms"),
            (0.9999, "1 s"),
            (1.55, "1.6 s"),
            (59.99, "1 min"),
            (3599.5, "1 h"),
            (7501, "2 h 6 min"),
            (86399, "1 day"),
            (2 * 86400 - 1, "2 days"),
        ):
            with self.subTest(seconds):
                self.assertEqual(text, duration(seconds))

    def test_noise_of_arithmetic_is_not_shown(self) -> None:
        """
        A difference of two moments is what it was meant to be.
        """
        self.assertEqual("1.5 s", duration((1_800_000_000.1 + 1.5) - 1_800_000_000.1))
        self.assertEqual("300 ms", duration(0.1 + 0.2))

    def test_no_number_fails(self) -> None:
        """
        Negative, huge, infinite and unknown ones are written too, none of them at length.
        """
        for seconds, text in (
            (-1.5, "-1.5 s"),
            (-0.0, "0 s"),
            (1e300, "more than 1000000 days"),
            (10**400, "more than 1000000 days"),
            (math.inf, "an infinite time"),
            (-math.inf, "-an infinite time"),
            (math.nan, "an unknown time"),
        ):
            with self.subTest(seconds):
                self.assertEqual(text, duration(seconds))

    @settings(deadline=None)
    @given(st.floats(1e-6, 8e10))
    @example(1.5)
    @example(59.95)
    def test_never_shorter_than_it_is(self, seconds: float) -> None:
        """
        What is written is never less than what is meant, and not more by a tenth, or by a millisecond.
        """
        told = read(duration(seconds))
        self.assertGreaterEqual(told, seconds - 1e-6)
        self.assertLess(told - seconds, max(0.001001, seconds / 10))

    @settings(deadline=None)
    @given(st.floats(allow_nan=True, allow_infinity=True))
    def test_every_float_is_written_shortly(self, seconds: float) -> None:
        """
        Whatever the number, a few characters; ``0 s`` for nothing only.
        """
        text = duration(seconds)
        self.assertLess(len(text), 26)
        self.assertEqual(seconds == 0, text == "0 s")


class TextsTests(SynchronousTestCase):
    """
    Who writes durations.
    """

    def test_no_other_text_writes_one(self) -> None:
        """
        Nothing in the package puts a unit of time behind a number by itself: that is how 1.5 s became "2 s", or
        "1 s". The charts of the admin page write in as few letters as fit below a bar, and a change of the
        configuration to the last digit; what is to be written there is in its own notation.
        """
        package = Path(itsjustintv.__file__).parent
        by_hand = re.compile(r"""\{[^{}"']*\} ?(?:ms|s|sec|seconds?|min|minutes?|h|hours?|days?)\b(?!\{)""")
        wrong = []
        for path in sorted(package.rglob("*.py")):
            name = path.relative_to(package).as_posix()
            if name.startswith("simulator/") or name in _OWN_WAYS:
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                text = ast.unparse(node) if isinstance(node, ast.JoinedStr) else getattr(node, "value", None)
                if isinstance(text, str) and by_hand.search(text):
                    wrong.append(f"{name}:{node.lineno}: {text}")  # type: ignore[attr-defined]
        self.assertEqual(wrong, [])


class SecondsTests(SynchronousTestCase):
    """
    A duration in a log line.
    """

    def test_sentence_for_people_number_for_programs(self) -> None:
        """
        The message has the duration with its unit, the field is the number of seconds.
        """
        out = io.BytesIO()
        log = Logger("itsjustintv.test", observer=json_logger(out))
        log.info("retrying in {delay}", delay=Seconds(1.5))
        line = json.loads(out.getvalue())
        self.assertEqual("retrying in 1.5 s", line["message"])
        self.assertEqual(1.5, line["delay"])

    def test_an_explicit_form_is_that_of_the_number(self) -> None:
        """
        A format that names its form gets the number in it.
        """
        self.assertEqual("1.50 1.5 s", f"{Seconds(1.5):.2f} {Seconds(1.5)}")
