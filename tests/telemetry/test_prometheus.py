"""
Tests of :mod:`itsjustintv.telemetry.prometheus`.
"""

from __future__ import annotations

import re
import subprocess
from math import inf, nan

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.telemetry.catalogue import ALL
from itsjustintv.telemetry.instruments import Family, HistogramValue, Kind, Reading
from itsjustintv.telemetry.prometheus import render
from tests.functional.stage import tool

GAUGE = Family(name="a.depth", kind=Kind.GAUGE, unit="s", help="How\ndeep \\ it is.", labels=("of", "in"))
TIME = Family(name="a.time", kind=Kind.HISTOGRAM, unit="s", help="Time.", labels=("of",), bounds=(0.5, 1.0))

_ESCAPED = {r"\\": "\\", r"\"": '"', r"\n": "\n"}


class RenderTests(SynchronousTestCase):
    """
    Metrics as text.
    """

    def test_a_gauge(self) -> None:
        """
        Name, help, kind, and a line for each set of labels.
        """
        points = ((("x", "y"), 1.0), (("x", "z"), 2.5), (("y", "z"), inf), (("z", "z"), nan), (("z", "y"), -inf))
        self.assertEqual(
            render([Reading(GAUGE, points)]).decode().splitlines(),
            [
                "# HELP a_depth_seconds How\\ndeep \\\\ it is.",
                "# TYPE a_depth_seconds gauge",
                'a_depth_seconds{of="x",in="y"} 1',
                'a_depth_seconds{of="x",in="z"} 2.5',
                'a_depth_seconds{of="y",in="z"} +Inf',
                'a_depth_seconds{of="z",in="z"} NaN',
                'a_depth_seconds{of="z",in="y"} -Inf',
            ],
        )

    def test_a_histogram(self) -> None:
        """
        Buckets add up, the last has no end, and sum and count follow.
        """
        [_, _, *lines] = render([Reading(TIME, ((("x",), HistogramValue((1, 0, 2), 7.25)),))]).decode().splitlines()
        self.assertEqual(
            lines,
            [
                'a_time_seconds_bucket{of="x",le="0.5"} 1',
                'a_time_seconds_bucket{of="x",le="1"} 1',
                'a_time_seconds_bucket{of="x",le="+Inf"} 3',
                'a_time_seconds_sum{of="x"} 7.25',
                'a_time_seconds_count{of="x"} 3',
            ],
        )

    @given(st.text())
    def test_a_label_may_be_any_text(self, text: str) -> None:
        """
        Whatever a streamer is called, a value is one line, and says what it was.
        """
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            return
        body = render([Reading(TIME, ()), Reading(GAUGE, (((text, ""), 1.0),))]).decode("utf-8")
        [line] = [line for line in body.split("\n") if line and not line.startswith("#")]
        found = re.fullmatch(r'a_depth_seconds\{of="((?:[^"\\\n]|\\.)*)",in=""\} 1', line)
        assert found is not None
        self.assertEqual(re.sub(r"\\.", lambda match: _ESCAPED[match[0]], found[1]), text)

    def test_prometheus_finds_no_fault(self) -> None:
        """
        Prometheus' own tool has nothing to say against any name, help text or unit of ours.
        """
        promtool = tool("promtool")
        readings = [
            Reading(
                family,
                (
                    (
                        tuple("x" for _ in family.labels),
                        HistogramValue((1,) * (len(family.bounds) + 1), 3.0) if family.bounds else 1.0,
                    ),
                ),
            )
            for family in ALL.values()
        ]
        checked = subprocess.run(
            [promtool, "check", "metrics"], input=render(readings), capture_output=True, check=False
        )
        self.assertEqual((checked.returncode, checked.stdout, checked.stderr), (0, b"", b""))
