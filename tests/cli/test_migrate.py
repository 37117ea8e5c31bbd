"""
Tests for :mod:`itsjustintv.cli.migrate`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.cli.main import main
from itsjustintv.journal.sqlite.offline_journal import SQLiteOfflineJournal
from itsjustintv.model import State

CONFIG = (
    '[storage]\npath = "{folder}/new.db"\n'
    '[twitch]\nclient_id = "an-id-of-tests"\nclient_secret = "a-secret-of-tests"\n'
    'webhook_secret = "a secret of tests"\ntoken_file = "tokens.json"\n'
    "[catch_up]\nmax_age = 9000\n"
    '[streamers.tanuki]\nlogin = "tanuki"\ntarget_webhook_url = "https://receiver.example.org/live"\n'
)


class MigrateTests(SynchronousTestCase):
    """
    What is told of a folder that is not quite as it should be.
    """

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.old = self.folder / "old"
        (self.old / "data").mkdir(parents=True)
        (self.old / "config.toml").write_text(CONFIG.format(folder=self.folder), encoding="utf-8")
        self.config = self.folder / "below" / "config.toml"

    def migrate(self, *more: str) -> Result:
        """
        Run the command.
        """
        return CliRunner().invoke(main, ["migrate", "--from", str(self.old), "--config", str(self.config), *more])

    def told(self) -> Any:
        """
        What a program is told.
        """
        return json.loads(self.migrate("--json").stdout)

    def queue(self, url: str) -> None:
        """
        Leave one delivery to be made.
        """
        entry = {"webhook_url": url, "payload": {"streamer_id": "1"}, "streamer_key": "tanuki", "attempt": 1}
        (self.old / "data" / "retry_state.json").write_text(json.dumps({"queue": [entry]}), encoding="utf-8")

    def test_a_webhook_that_is_gone(self) -> None:
        """
        What was meant for an address that is not configured is told to be cancelled; so is what cannot be read.
        """
        self.queue("https://elsewhere.example.org/")
        (self.old / "data" / "cache.json").write_text("{", encoding="utf-8")
        (self.old / "tokens.json").write_text('{"access_token": 5}', encoding="utf-8")
        result = self.migrate()
        self.assertEqual(result.exit_code, 0, result.output)
        self.assertIn("1 delivery is cancelled: the webhook is not configured", result.stdout)
        for text in ("cache.json is not JSON", "tokens.json: access_token is not", "Warning: catch_up.max_age"):
            self.assertIn(text, result.stderr)
        self.assertTrue(result.stdout.rstrip().endswith(f"Next: itsjustintv run --config {self.config}"))
        [delivery] = SQLiteOfflineJournal.open(self.folder / "new.db", lambda: 0.0).list()
        self.assertIs(delivery.state, State.CANCELLED)

    def test_for_programs(self) -> None:
        """
        As JSON there is the same: what was taken over, and that a second time nothing is.
        """
        self.queue("https://receiver.example.org/live")
        first, second = self.told(), self.told()
        self.assertEqual([each["state"]["new"] for each in (first, second)], [True, False])
        self.assertEqual((first["state"]["pending"], first["config"]), (1, str(self.config)))
        self.assertEqual([first["repairs"], first["problems"]], [[], []])
        self.assertTrue(any("catch_up" in each for each in first["warnings"]))

    def test_a_configuration_that_is_there(self) -> None:
        """
        A configuration that is there is not changed, not even where the original's would be: it is told, and nothing is
        taken over.
        """
        self.config.parent.mkdir()
        text = CONFIG.format(folder=self.folder) + '[discord]\nid = "5"\n'
        self.config.write_text(text, encoding="utf-8")
        result = self.migrate()
        self.assertEqual(result.exit_code, 1, result.output)
        self.assertIn("discord: unknown key", result.stderr)
        self.assertEqual(self.config.read_text(encoding="utf-8"), text)
        self.assertFalse((self.folder / "new.db").exists())

    def test_a_journal_that_is_none(self) -> None:
        """
        A file that is no journal is left as it is, and told in one line.
        """
        (self.folder / "new.db").write_bytes(b"mine, and no database at all" * 100)
        result = self.migrate()
        self.assertEqual(result.exit_code, 1, result.output)
        self.assertIn("is not a journal of itsjustintv", result.stderr)
        self.assertEqual((self.folder / "new.db").read_bytes(), b"mine, and no database at all" * 100)

    def test_a_token_that_is_there(self) -> None:
        """
        A token that is in its place stays, whatever the original has left.
        """
        self.config.parent.mkdir()
        text = CONFIG.format(folder=self.folder).replace('"tokens.json"', f'"{self.folder}/tokens.json"')
        self.config.write_text(text, encoding="utf-8")
        (self.folder / "tokens.json").write_text("mine", encoding="utf-8")
        (self.old / "tokens.json").write_text("theirs", encoding="utf-8")
        self.assertEqual(self.told()["state"]["problems"], [])
        self.assertEqual((self.folder / "tokens.json").read_text(encoding="utf-8"), "mine")

    def test_what_is_no_configuration(self) -> None:
        """
        What cannot be read as a configuration is told of in two lines, and nothing is made, whoever's it is.
        """
        theirs = self.old / "config.toml"
        good = theirs.read_bytes()
        for content, told in (
            ("title = 'Gr\u00fc\u00dfe'".encode("latin-1"), "is not UTF-8 (at byte 11)"),
            (b"a = ", "is not TOML"),
            (b"a = " + b"[" * 5000, "is not TOML"),
        ):
            theirs.write_bytes(content)
            result = self.migrate()
            self.assertEqual((result.exit_code, len(result.stderr.splitlines())), (1, 2), result.output)
            self.assertIn(f"{theirs}: {told}", result.stderr)
            self.assertFalse(self.config.exists())
        theirs.write_bytes(good)
        self.config.parent.mkdir()
        self.config.write_bytes(b"\xff")
        result = self.migrate()
        self.assertIn(f"{self.config}: is not UTF-8 (at byte 0)", result.stderr)
        self.assertEqual(self.config.read_bytes(), b"\xff")
