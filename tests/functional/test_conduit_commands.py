"""
What an operator does about conduits outside the daemon, against a simulated Twitch.
"""

from __future__ import annotations

import json
from typing import Any

from itsjustintv.config.sections import CONDUIT
from itsjustintv.journal.sqlite.database import create
from itsjustintv.simulator.responses import Query
from itsjustintv.twitch.eventsub.conduit_file import ConduitFile, RememberedConduit
from tests.functional.stage import Stage, StageCase


class ConduitCommandCase(StageCase):
    """
    Tests with a configuration that chooses a conduit, and no daemon.
    """

    def conduit_stage(self) -> Stage:
        """
        A stage with a streamer and a configuration.
        """
        stage = self.stage(transport=CONDUIT)
        stage.add_streamer("tanuki")
        stage.configure().chmod(0o600)
        return stage

    def create(self, stage: Stage) -> str:
        """
        Create a conduit at Twitch; return its id.
        """
        made: Any = stage.twitch.conduits.create(b'{"shard_count": 2}', Query({}))
        conduit_id: str = made["data"][0]["id"]
        return conduit_id

    def remember(self, stage: Stage, conduit_id: str) -> None:
        """
        Write the file that the daemon writes.
        """
        conduit = RememberedConduit(
            client_id=stage.twitch.client_id, conduit_id=conduit_id, created_at="2026-01-02T03:04:05Z"
        )
        ConduitFile(stage.folder / "data" / "conduit.json").write(conduit)


class ConduitsTests(ConduitCommandCase):
    """
    ``itsjustintv conduits``.
    """

    async def test_list_and_delete(self) -> None:
        """
        All conduits are listed, ours is marked and kept, and another one is deleted.
        """
        stage = self.conduit_stage()
        ours, other = self.create(stage), self.create(stage)
        self.remember(stage, ours)
        listed = await stage.command("conduits", "list", "--json")
        self.assertEqual(listed.status, 0, listed)
        found = {each["id"]: each["remembered"] for each in json.loads(listed.out)["conduits"]}
        self.assertEqual(found, {ours: True, other: False})
        kept = await stage.command("conduits", "delete", ours, "--yes")
        self.assertEqual(kept.status, 1, kept)
        deleted = await stage.command("conduits", "delete", other, "--yes")
        self.assertEqual((deleted.status, deleted.out), (0, f"deleted {other} and 0 subscriptions\n"), deleted)
        self.assertEqual([each.id for each in stage.twitch.conduits], [ours])


class SubscriptionsTests(ConduitCommandCase):
    """
    ``itsjustintv subscriptions`` with a conduit.
    """

    async def test_only_with_a_conduit(self) -> None:
        """
        Without a conduit ``sync`` creates nothing and says what to do; with one it creates a subscription on it, which
        works at once.
        """
        stage = self.conduit_stage()
        explained = await stage.command("subscriptions", "explain", "tanuki")
        self.assertIn("transport:    through a conduit that the daemon creates", explained.out)
        refused = await stage.command("subscriptions", "sync")
        self.assertEqual(refused.status, 1, refused)
        self.assertIn("start the daemon, which creates it and them", refused.err)
        ours = self.create(stage)
        self.remember(stage, ours)
        # A daemon has run here.
        create(stage.folder / stage.journal_file).close()
        done = await stage.command("subscriptions", "sync")
        self.assertEqual(done.status, 0, done)
        self.assertRegex(done.out, r"created \S+ of tanuki\n0 current, 1 created")
        listed = await stage.command("subscriptions", "list")
        self.assertRegex(listed.out, r"tanuki +stream.online v1 +enabled .* through conduit, ours\n")
        found = json.loads((await stage.command("subscriptions", "list", "--json")).out)["subscriptions"]
        about = {key: found[0][key] for key in ("method", "conduit_id", "callback", "ours")}
        self.assertEqual(about, {"method": "conduit", "conduit_id": ours, "callback": "", "ours": True})
        explained = await stage.command("subscriptions", "explain", "tanuki")
        self.assertIn(f"through conduit {ours}", explained.out)


class DoctorTests(ConduitCommandCase):
    """
    ``itsjustintv doctor`` with a conduit.
    """

    async def test_before_the_daemon(self) -> None:
        """
        The connection works, nothing is said of a callback, and nothing is left at Twitch.
        """
        stage = self.conduit_stage()
        ended = await stage.command("doctor", "--json")
        self.assertEqual(ended.status, 0, ended)
        found = {each["area"]: (each["verdict"], each["text"]) for each in json.loads(ended.out)["findings"]}
        self.assertNotIn("callback", found)
        self.assertEqual(found["connection"][0], "ok", found["connection"])
        self.assertEqual(found["conduit"][0], "hint")
        self.assertIn("no conduit is remembered yet: the daemon creates one", found["conduit"][1])
        self.assertEqual([*stage.twitch.conduits], [])
        self.remember(stage, self.create(stage))
        told = await stage.command("doctor")
        self.assertIn("ok: conduit: conduit ", told.out)
        self.assertIn("0 of 2 shards enabled (2 not assigned), since no daemon runs", told.out)
        checked = await stage.command("config", "validate")
        self.assertEqual((checked.status, checked.err), (0, ""), checked)
