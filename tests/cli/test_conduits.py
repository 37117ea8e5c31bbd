"""
Tests for :mod:`itsjustintv.cli.conduits`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.cli import conduits
from itsjustintv.cli.main import main
from itsjustintv.twitch.eventsub.conduit_file import ConduitFile, RememberedConduit
from tests.twitch.fake import Asked, Reply, World

CONDUITS = "/helix/eventsub/conduits"
SHARDS = "/helix/eventsub/conduits/shards"
SUBSCRIPTIONS = "/helix/eventsub/subscriptions"


def subscription(number: int, transport: dict[str, str]) -> dict[str, object]:
    """
    What Helix lists of a subscription.
    """
    about = {"id": f"sub-{number}", "status": "enabled", "type": "stream.online", "version": "1"}
    return {**about, "condition": {"broadcaster_user_id": f"{number}"}, "transport": transport, "cost": 1}


class ConduitsTests(SynchronousTestCase):
    """
    Two conduits: one of this daemon, with one shard of two enabled, and one of another program.
    """

    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()))
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.transport = "conduit"
        self.file = ConduitFile(self.folder / "conduit.json")
        self.file.write(RememberedConduit(client_id="an-id", conduit_id="ours", created_at="2026-01-02T03:04:05Z"))
        twitch = self.world.twitch
        shards = {
            "ours": [("0", "enabled"), ("1", "websocket_disconnected"), ("2", "enabled")],
            "theirs": [],
        }

        def listed(asked: Asked) -> Reply:
            found = [{"id": name, "status": state} for name, state in shards[asked.values("conduit_id")[0]]]
            return Reply(200, {"data": found})

        twitch.usual[CONDUITS] = Reply(
            200, {"data": [{"id": "ours", "shard_count": 2}, {"id": "theirs", "shard_count": 3}]}
        )
        twitch.usual[SHARDS] = listed
        mine = {"method": "conduit", "conduit_id": "ours"}
        callback = {"method": "webhook", "callback": "https://a.example/twitch"}
        found = [subscription(1, mine), subscription(2, mine), subscription(3, callback)]
        twitch.usual[SUBSCRIPTIONS] = Reply(200, {"data": found, "total": 3})

        def at_once(work: Callable[[Any], Coroutine[Deferred[Any], Any, Any]], *_: str) -> Any:
            done: list[Any] = []
            Deferred.fromCoroutine(work(None)).addBoth(done.append)
            if hasattr(done[0], "raiseException"):
                done[0].raiseException()
            return done[0]

        self.patch(conduits, "in_reactor", at_once)
        self.patch(conduits, "make_helix", lambda *_: self.world.helix)

    def run_command(self, *arguments: str, typed: str | None = None) -> Result:
        """
        Run a subcommand.

        :param typed: what is answered at a terminal; without it there is none.
        """
        path = self.folder / "config.toml"
        path.write_text(
            '[twitch]\nclient_id = "an-id"\nclient_secret = "a-secret-of-tests"\n'
            f'webhook_secret = "a-secret-of-tests"\ntransport = "{self.transport}"\n'
            f'[twitch.conduit]\nstate_file = "{self.file.path}"\n'
        )
        self.patch(conduits, "_has_terminal", lambda: typed is not None)
        return CliRunner().invoke(main, ["conduits", *arguments, "--config", str(path)], input=typed)

    def deleted(self) -> list[str]:
        """
        The conduits that Twitch was asked to delete.
        """
        return [each.values("id")[0] for each in self.world.twitch.to(CONDUITS) if each.method == "DELETE"]

    def test_a_list_for_people(self) -> None:
        """
        Each conduit has its shards in Twitch's words, its subscriptions, and whether this daemon remembers it; shards
        of an earlier size do not count.
        """
        result = self.run_command("list")
        self.assertEqual(result.exit_code, 0, result.output)
        heading, ours, theirs, _, total = result.stdout.splitlines()
        self.assertEqual(heading.split("  ")[0], "ID")
        self.assertEqual(" ".join(ours.split()), "ours 1 of 2 1 enabled, 1 websocket_disconnected 2 by this daemon")
        self.assertEqual(" ".join(theirs.split()), "theirs 0 of 3 3 not assigned 0")
        self.assertEqual(total, "2 conduits of 5 that a client id can have")

    def test_a_list_for_programs(self) -> None:
        """
        JSON has the same, with every shard.
        """
        content = json.loads(self.run_command("list", "--json").stdout)
        self.assertEqual((content["remembered"], content["max_conduits"]), ("ours", 5))
        ours, theirs = content["conduits"]
        self.assertEqual([each["status"] for each in ours["shards"]], ["enabled", "websocket_disconnected"])
        kept = {key: ours[key] for key in ("id", "shard_count", "enabled", "subscriptions", "remembered")}
        self.assertEqual(kept, {"id": "ours", "shard_count": 2, "enabled": 1, "subscriptions": 2, "remembered": True})
        self.assertEqual((theirs["shards"], theirs["remembered"]), ([], False))

    def test_a_remembered_conduit_that_is_gone(self) -> None:
        """
        The list warns when Twitch has deleted the conduit of this daemon.
        """
        self.world.twitch.usual[CONDUITS] = Reply(200, {"data": []})
        result = self.run_command("list")
        self.assertIn("Twitch no longer has the remembered conduit ours: the daemon creates another", result.stderr)
        self.assertEqual(result.stdout, "0 conduits of 5 that a client id can have\n")

    def test_a_file_that_cannot_be_used(self) -> None:
        """
        Damaged, it is a warning, and no conduit is this daemon's.
        """
        self.file.path.write_text("{")
        result = self.run_command("list")
        self.assertIn(f"twitch.conduit.state_file {self.file.path} is not JSON", result.stderr)
        self.assertNotIn("by this daemon", result.stdout)

    def test_the_conduit_in_use_is_kept(self) -> None:
        """
        The daemon's own is deleted only with ``--force``, and the refusal says what would happen.
        """
        result = self.run_command("delete", "ours", "--yes")
        self.assertEqual((result.exit_code, self.deleted()), (1, []))
        self.assertIn("creates another conduit and all subscriptions anew", result.stderr)
        result = self.run_command("delete", "ours", "--yes", "--force")
        self.assertEqual((result.exit_code, self.deleted()), (0, ["ours"]), result.output)
        self.assertEqual(result.stdout, "deleted ours and 2 subscriptions\n")

    def test_a_conduit_that_webhooks_have_replaced(self) -> None:
        """
        With ``transport = "webhook"`` the remembered conduit is not used, and can be deleted like any other.
        """
        self.transport = "webhook"
        self.assertEqual(self.run_command("delete", "ours", "--yes").exit_code, 0)
        self.assertEqual(self.deleted(), ["ours"])

    def test_a_question_comes_first(self) -> None:
        """
        At a terminal the command asks, with what would be deleted; without one it needs ``--yes``.
        """
        result = self.run_command("delete", "theirs", typed="n\n")
        self.assertIn("It has 0 enabled shards and 0 subscriptions. Delete it?", result.output)
        self.assertIn("nothing was deleted", result.output)
        self.assertEqual((result.exit_code, self.deleted()), (1, []))
        self.assertEqual(self.run_command("delete", "theirs").exit_code, 2)
        self.assertEqual(self.run_command("delete", "theirs", typed="y\n").exit_code, 0)
        self.assertEqual(self.deleted(), ["theirs"])

    def test_a_conduit_that_does_not_exist(self) -> None:
        """
        An unknown id is an error, with the id that is nearly the same.
        """
        result = self.run_command("delete", "their", "--yes")
        self.assertEqual((result.exit_code, self.deleted()), (1, []))
        self.assertIn("the application has no conduit their; did you mean theirs?", result.stderr)
