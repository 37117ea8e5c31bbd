"""
Tests for :mod:`itsjustintv.twitch.eventsub.conduit_file`.
"""

from __future__ import annotations

import json
import stat
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as some
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.sections import Conduit, Config, Twitch
from itsjustintv.twitch.eventsub.conduit_file import ConduitFile, RememberedConduit
from tests import examples

CONDUIT = RememberedConduit(client_id="an-id", conduit_id="c-1", created_at="2026-01-02T03:04:05Z")


class ConduitFileTests(SynchronousTestCase):
    """
    What is remembered, and what is not.
    """

    def setUp(self) -> None:
        self.file = ConduitFile(Path(self.mktemp()) / "data" / "conduit.json")

    def test_what_was_written_is_read(self) -> None:
        """
        A conduit is read as it was written, from a file that only its owner can read.
        """
        self.file.write(CONDUIT)
        self.assertEqual(self.file.read("an-id"), CONDUIT)
        self.assertEqual(stat.S_IMODE(self.file.path.stat().st_mode), 0o600)
        wanted = {"client_id": "an-id", "conduit_id": "c-1", "created_at": "2026-01-02T03:04:05Z"}
        self.assertEqual(json.loads(self.file.path.read_text()), wanted)

    def test_the_configuration_says_where_it_is(self) -> None:
        """
        The path is ``twitch.conduit.state_file``.
        """
        found = ConduitFile.of(Config(twitch=Twitch(conduit=Conduit(state_file="/a/b.json"))))
        self.assertEqual(found.path, Path("/a/b.json"))

    def test_a_conduit_of_another_application_is_not_used(self) -> None:
        """
        Without a file there is no conduit, and the one of another client id is not this daemon's.
        """
        self.assertIsNone(self.file.read("an-id"))
        self.file.write(CONDUIT)
        self.assertIsNone(self.file.read("another-id"))

    def test_a_forgotten_conduit_is_gone(self) -> None:
        """
        To forget removes the file; when there is none, nothing happens.
        """
        self.file.write(CONDUIT)
        self.file.forget()
        self.file.forget()
        self.assertIsNone(self.file.read("an-id"))

    @settings(max_examples=examples(60))
    @given(
        some.one_of(
            some.binary(max_size=60),
            some.recursive(
                some.none() | some.booleans() | some.text(max_size=5) | some.integers(),
                lambda inner: (
                    some.lists(inner, max_size=3)
                    | some.dictionaries(
                        some.sampled_from(["client_id", "conduit_id", "created_at", "x"]), inner, max_size=4
                    )
                ),
            ).map(lambda value: json.dumps(value).encode()),
        )
    )
    def test_any_other_content_is_a_value_error(self, content: bytes) -> None:
        """
        Whatever the file holds, it is a conduit, none, or a ``ValueError``.
        """
        self.file.path.parent.mkdir(parents=True, exist_ok=True)
        self.file.path.write_bytes(content)
        try:
            found = self.file.read("an-id")
        except ValueError as error:
            self.assertIn(str(error), ("is not JSON", "does not hold client_id and conduit_id"))
        else:
            self.assertTrue(found is None or found.client_id == "an-id")
