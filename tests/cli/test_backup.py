"""
Tests for :mod:`itsjustintv.cli.backup`.
"""

from __future__ import annotations

import os
from pathlib import Path

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.cli.main import main
from itsjustintv.journal.sqlite.database import create, lock

CONFIG = """
[storage]
path = "data/journal.db"
[twitch]
client_id = "an-id-of-tests"
client_secret = "a-secret-of-tests"
webhook_secret = "a secret of tests"
[streamers.tanuki]
login = "tanuki"
target_webhook_url = "https://receiver.example.org/live"
"""


class BackupTests(SynchronousTestCase):
    """
    There and back, from another directory.
    """

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        (self.folder / "config.toml").write_text(CONFIG, encoding="utf-8")
        self.path = self.folder / "data" / "journal.db"
        self.file = self.folder / "backup.db"

    def run_command(self, *arguments: str) -> Result:
        """
        Run a command with the configuration.
        """
        return CliRunner().invoke(main, [*arguments, "--config", str(self.folder / "config.toml")])

    def test_there_and_back(self) -> None:
        """
        Both say what they did, by absolute paths, and a restore says what is sent, what is forgotten and what is kept.
        """
        connection = create(self.path)
        self.addCleanup(connection.close)
        relative = os.path.relpath(self.file)
        made = self.run_command("backup", relative)
        self.assertEqual(made.exit_code, 0, made.output)
        self.assertIn(f"Copied {self.path} to {self.file} and verified the copy.", made.stdout)
        again = self.run_command("backup", relative)
        self.assertEqual(again.exit_code, 1)
        self.assertIn("exists already and was not changed", again.stderr)
        tried = self.run_command("restore", relative, "--dry-run")
        self.assertEqual(tried.exit_code, 0, tried.output)
        self.assertIn(f"{self.file} can be restored to {self.path}.", tried.stdout)
        self.assertFalse(list(self.path.parent.glob("*before-restore*")))
        done = self.run_command("restore", relative)
        self.assertEqual(done.exit_code, 0, done.output)
        self.assertIn(f"Restored {self.path} from {self.file}.", done.stdout)
        self.assertIn("Unfinished deliveries: 0.", done.stdout)
        self.assertIn("Events accepted after the backup are lost", done.stdout)
        for kept in self.path.parent.glob("*before-restore*"):
            self.assertIn(f"Previous file: {kept}\n", done.stdout)

    def test_while_a_daemon_runs(self) -> None:
        """
        A restore is refused in one line.
        """
        create(self.path).close()
        self.run_command("backup", str(self.file))
        held = lock(self.path)
        self.addCleanup(os.close, held)
        refused = self.run_command("restore", str(self.file))
        self.assertEqual(refused.exit_code, 1)
        self.assertIn(f"{self.path} is in use by another itsjustintv: stop that one", refused.stderr)

    def test_without_a_journal(self) -> None:
        """
        The path that was looked at is named.
        """
        refused = self.run_command("backup", str(self.file))
        self.assertEqual(refused.exit_code, 1)
        self.assertIn(f"there is no journal at {self.path}", refused.stderr)
