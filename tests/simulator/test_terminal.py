"""
What the demonstration writes, and the configuration of its daemon.
"""

from __future__ import annotations

import tomllib
from io import StringIO

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.simulator.demo_script import Terminal, duration, wants_colour
from itsjustintv.simulator.stage import toml


class Console(StringIO):
    """
    A terminal.
    """

    def isatty(self) -> bool:
        return True


class TerminalTests(SynchronousTestCase):
    """
    The text is the same with and without colour.
    """

    def write(self, colour: bool) -> str:
        out = StringIO()
        terminal = Terminal(out, colour)
        terminal.heading("Part")
        terminal.step(1.234, "done")
        terminal.block("one\ntwo")
        terminal.table([("who", "when"), ("tanuki", "now")])
        terminal.good("well")
        terminal.bad("ill")
        return out.getvalue()

    def test_plain_text_has_no_control_characters(self) -> None:
        """
        Without colour everything can be read in a file.
        """
        self.assertEqual(
            self.write(colour=False),
            "\nPart\n   1.23 s  done\n           one\n           two\n  who     when\n  tanuki  now\nwell\nill\n",
        )

    def test_colour_adds_nothing_but_colour(self) -> None:
        """
        Without its escape sequences the coloured text is the plain one.
        """
        text = self.write(colour=True)
        for code in ("0", "1", "2", "31", "32"):
            self.assertIn(f"\x1b[{code}m", text)
            text = text.replace(f"\x1b[{code}m", "")
        self.assertEqual(text, self.write(colour=False))

    def test_colour_is_for_terminals_that_want_it(self) -> None:
        """
        Colour needs a terminal, and is switched off by ``NO_COLOR`` and by a dumb terminal.
        """
        for out, environment, wanted in (
            (Console(), {}, True),
            (Console(), {"NO_COLOR": ""}, True),
            (Console(), {"NO_COLOR": "1"}, False),
            (Console(), {"TERM": "dumb"}, False),
            (StringIO(), {}, False),
        ):
            self.assertEqual(wants_colour(out, environment), wanted)

    def test_durations_are_short(self) -> None:
        """
        Below a second they are in milliseconds.
        """
        self.assertEqual([duration(0.0042), duration(0.9994), duration(3.14159)], ["4 ms", "999 ms", "3.14 s"])


class TomlTests(SynchronousTestCase):
    """
    The written configuration means what was meant.
    """

    @given(
        st.dictionaries(
            st.sampled_from(["retry", "streamers.tanuki", "server.tls"]),
            st.dictionaries(
                st.from_regex(r"[a-z_]{1,9}", fullmatch=True),
                st.text() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.lists(st.text()),
            ),
        )
    )
    def test_what_is_written_is_read(self, tables: dict[str, dict[str, object]]) -> None:
        """
        Any text, number, boolean or list comes back from a TOML parser as it was.
        """
        read = tomllib.loads(toml(tables))
        for name, table in tables.items():
            found = read
            for part in name.split("."):
                found = found[part]
            self.assertEqual(found, table)
