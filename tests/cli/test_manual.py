"""
Tests for :mod:`itsjustintv.cli.manual`.
"""

from __future__ import annotations

import subprocess

import click
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.cli.main import main
from itsjustintv.cli.manual import STATUSES, man, markdown
from tests.documents import ROOT
from tests.functional.stage import tool


class ManualTests(SynchronousTestCase):
    """
    The manual is what the help says.
    """

    def test_nothing_is_left_out(self) -> None:
        """
        Every command has its heading in both, and those that are hidden have none.
        """
        page, text = man(main, "1"), markdown(main)
        for name in ("init", "deliveries retry", "subscriptions explain"):
            self.assertIn(f'.SS "{name}"', page)
            self.assertIn(f"### itsjustintv {name}\n", text)
        self.assertNotIn("itsjustintv manual", page + text)

    def test_statuses_are_those_of_the_help(self) -> None:
        """
        The help of the whole names the same statuses.
        """
        for status, _ in STATUSES:
            self.assertRegex(main.epilog or "", rf"\b{status}\b")

    def test_whatever_the_help_holds(self) -> None:
        """
        A text that begins like a request, or holds what both forms take for markup, stays a text.
        """

        @click.command(help=".so /etc/passwd\n\n'a-b \\n *c* |d|", epilog="\b\n  $ itsjustintv x")
        @click.option("--this", type=click.Choice(["a", "b"]), help="<i>")
        def command(this: str) -> None:
            """
            Do nothing.
            """

        page = man(click.Group(commands={"x": command}, help="Whole."), "1")
        self.assertIn("\n\\&.so /etc/passwd\n", page)
        self.assertIn("\n\\&'a\\-b \\en *c* |d|\n", page)
        text = markdown(command)
        self.assertIn("'a-b \\n \\*c\\* \\|d\\|", text)
        self.assertIn("| `--this [a\\|b]` | \\<i\\> |", text)

    def test_man_can_read_it(self) -> None:
        """
        ``groff`` has no complaint about the page.
        """
        ended = subprocess.run(
            [tool("groff"), "-man", "-ww", "-z", "-Tutf8", str(ROOT / "etc/man/itsjustintv.1")],
            capture_output=True,
            timeout=60,
            check=True,
        )
        self.assertEqual((ended.stdout, ended.stderr), (b"", b""))
