"""
``itsjustintv migrate``: from a folder of the original program to a daemon that goes on where it was.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from twisted.internet.defer import Deferred

from itsjustintv.model import State
from tests.functional.run import Ended
from tests.functional.stage import Stage
from tests.functional.test_import import OriginalCase


class MigrateTests(OriginalCase):
    """
    The folder in which the original ran is the stage's; the daemon runs in another.
    """

    def left(self, more: str = "") -> tuple[Stage, Path]:
        """
        A folder as the original leaves it, and one beside it.
        """
        stage = self.original(settings=more)
        self.cached(stage, (stage.twitch.world.go_live("tanuki"), 3600))
        self.queued(stage)
        self.token(stage)
        old = stage.folder
        stage.configure()
        stage.folder = old / ".." / "new"
        stage.folder.mkdir()
        return stage, old

    def photograph(self, folder: Path) -> Mapping[str, tuple[str, int, int]]:
        """
        Every file with its hash, its time and its mode.
        """
        return {
            str(path.relative_to(folder)): (
                sha256(path.read_bytes()).hexdigest(),
                path.stat().st_mtime_ns,
                stat.S_IMODE(path.stat().st_mode),
            )
            for path in folder.rglob("*")
            if path.is_file()
        }

    async def migrate(self, stage: Stage, old: Path, *more: str) -> Ended:
        """
        Run the command in the new folder.
        """
        return await stage.command("migrate", "--from", str(old), *more)

    def test_everything_is_taken_over(self) -> Deferred[None]:
        """
        The configuration is the same, readable for its owner only; what was announced and what is to be sent are in the
        journal, the token is in its place, the differences are told, and not a byte of the old folder has changed. A
        daemon that is started in the new folder delivers what was queued, and announces nothing again. A second time
        nothing is taken over.
        """

        async def scenario() -> None:
            stage, old = self.left()
            before = self.photograph(old)
            ended = await self.migrate(stage, old)
            self.assertEqual(ended.status, 0, ended)
            for text in (
                "Wrote ",
                "Imported 1 announced broadcast and 1 pending delivery",
                "retry.max_attempts: is not set: the default is now unlimited, retry.max_age ends the retries;",
                "403 instead of 401",
                "redirects: count as failures",
            ):
                self.assertIn(text, ended.out)
            self.assertEqual(ended.out.splitlines()[-1], "Next: itsjustintv run")
            written = stage.folder / "config.toml"
            self.assertEqual(written.read_text(), (old / "config.toml").read_text())
            self.assertEqual(stat.S_IMODE(written.stat().st_mode), 0o600)
            [pending] = stage.journal.list(State.PENDING)
            self.assertEqual((pending.streamer, pending.attempts), ("tanuki", 2))
            token = json.loads((stage.folder / "data" / "tokens.json").read_bytes())
            self.assertEqual(token["access_token"], json.loads((old / "data/tokens.json").read_bytes())["access_token"])
            again = await self.migrate(stage, old)
            self.assertIn("Using the existing ", again.out)
            self.assertIn("already has data: the state was not imported again", again.out)
            self.assertEqual(self.photograph(old), before)
            await stage.started()
            await stage.receiver.delivery("/tanuki")
            account = await stage.settled(stage.reactor)
            self.assertEqual((account.wanted, account.delivered, account.imbalance), (1, 1, 0))
            self.assertEqual(self.photograph(old), before)

        return Deferred.fromCoroutine(scenario())

    def test_what_the_original_ignored(self) -> Deferred[None]:
        """
        A look changes nothing at all; then what the original ignored is a comment, and is told.
        """

        async def scenario() -> None:
            stage, old = self.left(more="[discord]\nid = 5\n")
            before = self.photograph(old.parent)
            looked = await self.migrate(stage, old, "--dry-run", "--json")
            self.assertEqual((looked.status, looked.err), (0, ""), looked)
            told = json.loads(looked.out)
            self.assertEqual([each["path"] for each in told["repairs"]], ["discord"])
            self.assertEqual((told["problems"], told["state"]), ([], None))
            self.assertIn("redirects", [each["about"] for each in told["differences"]])
            self.assertEqual(self.photograph(old.parent), before)
            ended = await self.migrate(stage, old)
            self.assertEqual(ended.status, 0, ended)
            self.assertIn("discord: unknown key, which the original ignored", ended.out)
            self.assertIn("# [discord]\n# id = 5", (stage.folder / "config.toml").read_text())

        return Deferred.fromCoroutine(scenario())

    def test_what_a_person_has_to_decide(self) -> Deferred[None]:
        """
        Two entries for one broadcaster are told with what the original did; the state waits until the new file is
        mended, and is then taken over.
        """

        async def scenario() -> None:
            stage, old = self.left(more='[streamers.twin]\nlogin = "TANUKI"\n')
            ended = await self.migrate(stage, old)
            self.assertEqual(ended.status, 1, ended)
            self.assertIn("streamers.twin: is the same broadcaster as tanuki: the original chose one", ended.out)
            self.assertIn("config.toml, then run this again", ended.err)
            self.assertFalse((stage.folder / "data").exists())
            written = stage.folder / "config.toml"
            written.write_text(written.read_text().replace('[streamers.twin]\nlogin = "TANUKI"\n', ""))
            ended = await self.migrate(stage, old)
            self.assertEqual(ended.status, 0, ended)
            self.assertIn("1 pending delivery", ended.out)

        return Deferred.fromCoroutine(scenario())

    def test_a_folder_of_somebody_else(self) -> Deferred[None]:
        """
        A folder without a configuration is one line, and nothing is made.
        """

        async def scenario() -> None:
            stage, old = self.left()
            (old / "config.toml").unlink()
            ended = await self.migrate(stage, old)
            self.assertEqual((ended.status, len(ended.err.splitlines())), (1, 1), ended)
            self.assertEqual(list(stage.folder.iterdir()), [])

        return Deferred.fromCoroutine(scenario())
