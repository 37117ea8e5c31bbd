"""
Tests for :mod:`itsjustintv.cli.console`.
"""

from __future__ import annotations

import os
from io import StringIO

import click
from click.testing import CliRunner
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.cli.console import colour_in, echo, progress, table


class Screen(StringIO):
    """
    A terminal.
    """

    def isatty(self) -> bool:
        return True


class ColourTests(SynchronousTestCase):
    """
    Colour is for those who can see it.
    """

    def painted(self, *, color: bool) -> str:
        """
        A table and a line as they are written.
        """

        @click.command()
        def command() -> None:
            table([("STATE", "NAME"), ("dead", "dead\x1b[2J"), ("other", "tanuki")], {"dead": "bad"})
            echo("all is\nwell\x07", "good")

        return CliRunner().invoke(command, color=color).stdout

    def test_nobody_who_reads_a_file_sees_any(self) -> None:
        """
        Without a terminal there is not a single control character, whatever the texts hold; no line ends in blanks.
        """
        written = "STATE  NAME\ndead   dead\\x1b[2J\nother  tanuki\nall is\\nwell\\x07\n"
        self.assertEqual(self.painted(color=False), written)

    def test_on_a_terminal(self) -> None:
        """
        A state is painted by what it means.
        """
        self.assertIn("\x1b[31mdead \x1b[0m", self.painted(color=True))
        self.assertIn("\x1b[32mall is\\nwell\\x07\x1b[0m", self.painted(color=True))

    def test_nobody_is_forced(self) -> None:
        """
        ``NO_COLOR`` and a terminal without colour are respected.
        """
        self.assertIs(colour_in({"NO_COLOR": "1", "TERM": "xterm"}), False)
        self.assertIs(colour_in({"TERM": "dumb"}), False)
        self.assertIs(colour_in({"NO_COLOR": "", "TERM": "xterm"}), None)


class ProgressTests(SynchronousTestCase):
    """
    Progress is for those who wait.
    """

    def watched(self, out: StringIO, length: int) -> str:
        """
        What is seen of work.
        """
        with progress(length, "at work", out) as advance:
            for _ in range(length):
                advance()
        return out.getvalue()

    def test_on_a_terminal(self) -> None:
        """
        How much is done of how much can be seen, unless the terminal cannot go back on a line.
        """
        self.patch(os, "environ", {"TERM": "dumb"})
        self.assertEqual(self.watched(Screen(), 3), "")
        self.patch(os, "environ", {"TERM": "xterm"})
        self.assertIn("3/3", self.watched(Screen(), 3))

    def test_elsewhere(self) -> None:
        """
        Without a terminal, or for a single step, nothing is written.
        """
        self.assertEqual(self.watched(StringIO(), 3), "")
        self.assertEqual(self.watched(Screen(), 1), "")
