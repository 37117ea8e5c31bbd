"""
Tests for :mod:`itsjustintv.config.example`, the copies in etc/ and the reference in docs/.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.destination_tables import EVENTS, table_class
from itsjustintv.config.example import example, write_example
from itsjustintv.config.keys import Keys, Leaf, leaves
from itsjustintv.config.load import load, parse
from itsjustintv.config.parse import structure
from itsjustintv.config.parse_state import ParseState
from itsjustintv.config.sections import Config, DestinationEntry, StreamerEntry
from itsjustintv.destinations.discord import Settings
from itsjustintv.destinations.kinds import KINDS
from itsjustintv.model import DestinationFilter, DestinationPolicy

_ROOT = Path(__file__).parents[2]
_PLACEHOLDERS = {"client_id", "client_secret", "webhook_secret"}


def _uncommented() -> str:
    return re.sub(r"^#(?=[a-z0-9_]+ = |\[)", "", example(), flags=re.MULTILINE)


def _value(tables: Any, keys: Keys) -> object:
    for key in keys:
        tables = tables[key]
    return tables


class ExampleTests(SynchronousTestCase):
    """
    The example that operators start from.
    """

    def test_is_valid_as_it_is(self) -> None:
        """
        With its placeholders it is loaded, and says nothing but the defaults.
        """
        config = parse(example(), {}).config
        self.assertEqual(Config(twitch=config.twitch), config)
        blank = evolve(config.twitch, client_id="", client_secret="", webhook_secret="")
        self.assertEqual(Config().twitch, blank)

    def test_shows_every_key_with_its_default(self) -> None:
        """
        With the comment signs removed, every key is there, and each has the default as its value.
        """
        tables = tomllib.loads(_uncommented())
        for leaf in leaves():
            self.assertIn(leaf.keys[-1], _value(tables, leaf.keys[:-1]), leaf)  # type: ignore[arg-type]
        streamer = tables["streamers"]["example"]
        self.assertEqual({attribute.name for attribute in attrs.fields(StreamerEntry)}, set(streamer))
        config = parse(_uncommented(), {}, kinds=KINDS).config
        own = Config(twitch=config.twitch, streamers=config.streamers, destinations=config.destinations)
        self.assertEqual(own, config)

    def test_shows_every_key_of_a_destination(self) -> None:
        """
        With the comment signs removed, the destination has every key that any type has, but for the messages, and each
        has the default as its value.
        """
        table = tomllib.loads(_uncommented())["destinations"]["main"]
        self.assertEqual({each.name for each in attrs.fields(table_class(KINDS["discord"]))} - {"messages"}, set(table))
        conditions = {each.name for each in attrs.fields(DestinationFilter)}
        self.assertEqual(conditions, set(table["filter"]))
        written = parse(_uncommented(), {}, kinds=KINDS).config.destinations["main"]
        settings = Settings(url="https://discord.com/api/webhooks/1/a")
        policy = DestinationPolicy(events=EVENTS)
        plain = DestinationEntry(type="discord", policy=policy, settings=settings, kind=KINDS["discord"])
        self.assertEqual(plain, written)

    def test_every_key_has_a_word_of_why(self) -> None:
        """
        Each key stands below a line that explains it or the key before it.
        """
        lines = example().splitlines()
        for before, line in pairwise(lines):
            if re.match(r"#?[a-z0-9_]+ = ", line):
                self.assertRegex(before, r"^# |^#?[a-z0-9_]+ = ", line)

    def test_written_for_its_owner_only(self) -> None:
        """
        The file that is written can be loaded, and read by its owner only, whatever the umask.
        """
        path = Path(self.mktemp())
        self.addCleanup(os.umask, os.umask(0))
        write_example(path)
        self.assertEqual(0o600, stat.S_IMODE(path.stat().st_mode))
        self.assertEqual("your-client-id", load(path, {}).config.twitch.client_id)

    def test_overwrites_nothing(self) -> None:
        """
        A file that is there stays as it is.
        """
        path = Path(self.mktemp())
        path.write_text("mine", encoding="utf-8")
        self.assertRaises(FileExistsError, write_example, path)
        self.assertEqual("mine", path.read_text(encoding="utf-8"))


class CopiesTests(SynchronousTestCase):
    """
    What must not drift apart.
    """

    def test_etc_holds_the_same_example(self) -> None:
        """
        The file in etc/ is a link to the example in the package.
        """
        self.assertTrue(
            (_ROOT / "etc" / "itsjustintv.toml").samefile(_ROOT / "itsjustintv" / "config" / "example.toml")
        )

    def test_environment_file(self) -> None:
        """
        The environment file in etc/ makes an empty configuration valid, without a variable that sets nothing. Its
        placeholders are warned of.
        """
        text = (_ROOT / "etc" / "itsjustintv.env").read_text(encoding="utf-8")
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        environ = {"ITSJUSTINTV_SERVER_EXTERNAL_DOMAIN": "hooks.example.org"}
        environ |= dict(line.split("=", 1) for line in lines)
        told = {(each.path, each.message) for each in parse("", environ).warnings}
        names = ("CLIENT_ID", "CLIENT_SECRET", "WEBHOOK_SECRET")
        wanted = "is a placeholder: replace it with the real value"
        self.assertEqual({(f"ITSJUSTINTV_TWITCH_{name}", wanted) for name in names}, told)


class ReferenceTests(SynchronousTestCase):
    """
    The reference in docs/configuration.md.
    """

    def test_every_key_default_and_variable(self) -> None:
        """
        Each key has a row in the table of its section, with its default and its variable.
        """
        tables: dict[str, Any] = {}
        for leaf in leaves():
            rows = _rows(leaf.keys[:-1])
            self.assertIn(leaf.keys[-1], rows, leaf)
            default, variable = rows[leaf.keys[-1]][:2]
            self.assertEqual(f"`{leaf.variable}`", variable)
            if leaf.keys[-1] in _PLACEHOLDERS:
                self.assertEqual("required", default)
            else:
                _put(tables, leaf, default)
        self.assertEqual(Config(), structure(ParseState(tables)))

    def test_no_other_key(self) -> None:
        """
        The tables have no row about a key that is not there any more.
        """
        sections: dict[Keys, set[str]] = {}
        for leaf in leaves():
            sections.setdefault(leaf.keys[:-1], set()).add(leaf.keys[-1])
        self.assertEqual(sections, {section: set(_rows(section)) for section in sections})
        text = (_ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
        of_names = {"streamers.NAME", "destinations.NAME", "destinations.NAME.filter"}
        tables = set(re.findall(r"^### `\[([\w.]+)\]`$", text, re.MULTILINE)) - of_names
        self.assertEqual(tables, {".".join(section) for section in sections if section})

    def test_every_key_of_a_streamer(self) -> None:
        """
        Each key of a streamer has a row with its default.
        """
        rows = _rows(("streamers", "NAME"))
        self.assertEqual({attribute.name for attribute in attrs.fields(StreamerEntry)}, set(rows))
        entry: dict[str, Any] = {}
        for leaf in leaves(StreamerEntry):
            _put(entry, leaf, rows[leaf.keys[-1]][0])
        self.assertEqual(StreamerEntry(), structure(ParseState({"streamers": {"a": entry}})).streamers["a"])

    def test_every_key_of_a_destination(self) -> None:
        """
        Each key that all types have is in the table of destinations, and each condition of a filter in the one below.
        """
        common = {each.name for each in attrs.fields(DestinationPolicy)} | {"type", "default"}
        self.assertEqual(common, set(_rows(("destinations", "NAME"))) & common)
        conditions = {each.name for each in attrs.fields(DestinationFilter)}
        self.assertEqual(conditions, set(_rows(("destinations", "NAME", "filter"))))


def _put(tables: dict[str, Any], leaf: Leaf, default: str) -> None:
    for key in leaf.keys[:-1]:
        tables = tables.setdefault(key, {})
    tables[leaf.keys[-1]] = tomllib.loads(f"x = {default.strip('`')}")["x"]


def _rows(section: Keys) -> dict[str, list[str]]:
    text = (_ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    heading = f"### `[{'.'.join(section)}]`\n" if section else "### Top level\n"
    body = text.split(heading, 1)[1].split("\n#", 1)[0]
    cells = [line.strip("| ").split(" | ") for line in body.splitlines() if line.startswith("| `")]
    return {row[0].strip("`"): row[1:] for row in cells}
