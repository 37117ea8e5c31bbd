"""
Tests for :mod:`itsjustintv.cli`.
"""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.cli import main


class ExampleTests(SynchronousTestCase):
    """
    ``itsjustintv config example``.
    """

    def test_says_that_a_file_is_in_the_way(self) -> None:
        """
        A file that is there is named, in words, and stays as it is.
        """
        path = Path(self.mktemp())
        path.write_text("mine", encoding="utf-8")
        result = CliRunner().invoke(main, ["config", "example", str(path)])
        self.assertEqual(result.exit_code, 1)
        self.assertEqual(result.stderr, f"Error: {path} is already there, and is left as it is\n")
        self.assertEqual(path.read_text(encoding="utf-8"), "mine")
