"""
Tests of what the configuration says of ``[broadcast]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.diff import changes
from itsjustintv.config.load import parse
from itsjustintv.config.sections import Broadcast, Config
from itsjustintv.destinations.kinds import KINDS
from itsjustintv.errors import ConfigError
from tests.config.test_load import REQUIRED


def config(lines: str = "", environ: Mapping[str, str] = {}) -> Config:
    """
    A configuration with these keys in ``[broadcast]``.
    """
    return parse(f"{REQUIRED}\n[broadcast]\n{lines}\n", environ, kinds=KINDS).config


class RefreshTests(SynchronousTestCase):
    """
    When posts are refreshed.
    """

    def test_times(self) -> None:
        """
        Both lists hold durations, in the file as in the environment; an empty one is possible.
        """
        self.assertEqual(config().broadcast, Broadcast())
        found = config('refresh_preview = ["90s", 300, "1h"]\nrefresh_recording = []').broadcast
        self.assertEqual((found.refresh_preview, found.refresh_recording), ((90.0, 300.0, 3600.0), ()))
        found = config(environ={"ITSJUSTINTV_BROADCAST_REFRESH_RECORDING": "5m, 600"}).broadcast
        self.assertEqual(found.refresh_recording, (300.0, 600.0))

    def test_wrong(self) -> None:
        """
        What is no list of durations within bounds is an error that names the entry.
        """
        bounds = "must be a list of durations above 0, each at most 1 h: correct number 2"
        wrong: tuple[tuple[Any, str], ...] = (
            ('"2m"', 'must be a list of durations in square brackets, such as ["2m", "6m"]'),
            ('["2m", "1 h"]', "must be a list of durations: number 2 must be a duration without blanks: write 1h"),
            ('["2m", "0s"]', bounds),
            ('["2m", "61m"]', bounds),
            (str([60] * 11), "must have at most 10 entries"),
        )
        for value, message in wrong:
            with self.assertRaises(ConfigError, msg=value) as raised:
                config(f"refresh_preview = {value}")
            self.assertIn(f"broadcast.refresh_preview: {message}", str(raised.exception))
        config('refresh_recording = ["24h"]')

    def test_change(self) -> None:
        """
        A reload says what has changed, in the same form.
        """
        [line] = changes(config(), config('refresh_preview = ["90s"]')).lines()
        self.assertEqual(line, 'broadcast.refresh_preview: ["2 min", "6 min"] -> ["1 min 30 s"]')
