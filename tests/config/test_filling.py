"""
Tests for :mod:`itsjustintv.config.example`.
"""

from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.example import example, fill_in, to_toml
from itsjustintv.config.keys import leaves


class FilledTests(SynchronousTestCase):
    """
    The example with somebody's own values.
    """

    def test_a_key_that_is_not_needed(self) -> None:
        """
        ``None`` comments a key out, and leaves nothing of its example.
        """
        tables = tomllib.loads(fill_in(example(), {("twitch", "webhook_secret"): None}, {}))
        self.assertEqual(set(tables["twitch"]), {"client_id", "client_secret", "conduit"})

    def test_every_key_has_its_place(self) -> None:
        """
        A value for any key, whatever its type, is found under that key, once, and every comment stays.
        """
        values = {leaf.keys: "x" if leaf.type is str else 7 for leaf in leaves()}
        text = fill_in(example(), values, {})
        tables = tomllib.loads(text)
        for keys, value in values.items():
            found = tables
            for key in keys:
                found = found[key]
            self.assertEqual(found, value, keys)
        comments = [line for line in example().splitlines() if line.startswith("# ")]
        self.assertEqual([line for line in text.splitlines() if line.startswith("# ")], comments)

    def test_nothing_to_fill_in(self) -> None:
        """
        Without values it is the example to the letter.
        """
        self.assertEqual(fill_in(example(), {}, {}), example())

    def test_a_key_that_is_not_there(self) -> None:
        """
        A key that the example does not know is a mistake, and is named.
        """
        self.assertIn("server.prot", str(self.assertRaises(KeyError, fill_in, example(), {("server", "prot"): 1}, {})))

    @given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
    def test_streamers(self, name: str, value: str) -> None:
        """
        A streamer's table comes after all others, whatever the name and the values hold.
        """
        tables = tomllib.loads(fill_in(example(), {}, {name: {"login": value, "tag_filter": ("a", value)}}))
        self.assertEqual(tables["streamers"], {name: {"login": value, "tag_filter": ["a", value]}})

    def test_values(self) -> None:
        """
        A truth, a number and a text are written as TOML has them.
        """
        self.assertEqual([to_toml(each) for each in (True, 1.5, 'a"\x7f')], ["true", "1.5", '"a\\"\\u007f"'])
