"""
``itsjustintv subscriptions`` against a simulated Twitch, beside the real daemon and without it.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from twisted.internet.defer import Deferred

from itsjustintv.simulator.behaviour import Behaviour
from itsjustintv.simulator.process import environment
from tests.functional.stage import SECRET, Stage
from tests.functional.terminal import Terminal
from tests.functional.test_commands import CommandCase

OTHER = "https://elsewhere.example.net/twitch"


class SubscriptionsTests(CommandCase):
    """
    ``itsjustintv subscriptions``.
    """

    def foreign(self, stage: Stage, login: str) -> str:
        """
        A subscription of another program: its id.
        """
        broadcaster = stage.twitch.world.channel(login).id
        made = stage.twitch.subscriptions.add("stream.online", "1", broadcaster, OTHER, SECRET)
        stage.twitch.subscriptions.set_status(made.id, "enabled")
        return made.id

    async def prepared(self) -> Stage:
        """
        A daemon that has run, subscribed to one streamer, and stopped; and a configuration with another streamer.
        """
        stage = self.stage()
        stage.add_streamer("tanuki")
        stage.twitch.world.add_streamer("mujina")
        daemon = await stage.started()
        await stage.subscribed()
        await daemon.stop()
        stage.streamers.clear()
        stage.add_streamer("kitsune")
        stage.configure()
        return stage

    def test_a_dry_run_and_a_sync(self) -> Deferred[None]:
        """
        What a dry run announces and does not do, a sync does; the daemon then has nothing left to do.
        """

        async def scenario() -> None:
            stage = await self.prepared()
            other = self.foreign(stage, "kitsune")
            (tanuki,) = (each.id for each in stage.twitch.subscriptions if each.id != other)
            planned = self.assert_done(await stage.command("subscriptions", "sync", "--dry-run"))
            self.assertIn(f"delete {tanuki} of ", planned)
            self.assertIn("create kitsune: there is no subscription", planned)
            self.assertIn("nothing was changed", planned)
            self.assertEqual({each.id for each in stage.twitch.subscriptions}, {tanuki, other})
            done = self.assert_done(await stage.command("subscriptions", "sync"))
            self.assertIn("0 current, 1 created, 1 deleted, 0 failed", done)
            (created,) = (each.id for each in stage.twitch.subscriptions if each.id != other)
            self.assertIn(f"created {created} of kitsune", done)
            # Nobody was there to answer the challenge.
            await stage.until(lambda: any("failed" in each.status for each in stage.twitch.subscriptions))
            stage.twitch.subscriptions.set_status(created, "enabled")
            daemon = await stage.started()
            await stage.until(lambda: "subscriptions: " in daemon.output)
            self.assertIn("subscriptions: 1 of 1 enabled", daemon.output)
            self.assertEqual({each.id for each in stage.twitch.subscriptions}, {created, other})

        return Deferred.fromCoroutine(scenario())

    def test_the_list(self) -> Deferred[None]:
        """
        Every subscription is listed, with what the operator calls the streamer and whether it is ours; as JSON too.
        """

        async def scenario() -> None:
            stage = self.stage()
            stage.add_streamer("tanuki")
            await stage.started()
            await stage.subscribed()
            other = self.foreign(stage, "tanuki")
            listed = self.assert_done(await stage.command("subscriptions", "list"))
            lines = {line.split()[0]: line for line in listed.splitlines() if line}
            (ours,) = (each.id for each in stage.twitch.subscriptions if each.id != other)
            self.assertRegex(lines[ours], r"tanuki +stream.online v1 +enabled .* ours$")
            self.assertRegex(lines[other], rf"tanuki .* {OTHER}$")
            self.assertIn("2 subscriptions, total cost 2 of 10000", listed)
            content: Any = json.loads(self.assert_done(await stage.command("subscriptions", "list", "--json")))
            self.assertEqual(
                {each["id"]: (each["streamer"], each["ours"]) for each in content["subscriptions"]},
                {ours: ("tanuki", True), other: ("tanuki", False)},
            )
            self.assertNotIn(SECRET, json.dumps(content))

        return Deferred.fromCoroutine(scenario())

    def test_prune(self) -> Deferred[None]:
        """
        Only what nobody wants goes, nothing is created, and the others stay.
        """

        async def scenario() -> None:
            stage = await self.prepared()
            other = self.foreign(stage, "kitsune")
            self.assertIn("delete ", self.assert_done(await stage.command("subscriptions", "prune", "--dry-run")))
            self.assertEqual(len(list(stage.twitch.subscriptions)), 2)
            done = self.assert_done(await stage.command("subscriptions", "prune"))
            self.assertIn("0 current, 0 created, 1 deleted, 0 failed", done)
            self.assertEqual([each.id for each in stage.twitch.subscriptions], [other])

        return Deferred.fromCoroutine(scenario())

    def test_explain(self) -> Deferred[None]:
        """
        Of a streamer it says whether it is wanted, what there is, since when, why not, and what comes next; what is
        neither configured nor subscribed to is an error with the nearest name.
        """

        async def scenario() -> None:
            stage = await self.prepared()
            told = self.assert_done(await stage.command("subscriptions", "explain", "KITSUNE"))
            for text in ("yes, by streamers.kitsune", "none with this callback", "the daemon will create it"):
                self.assertIn(text, told)
            told = self.assert_done(await stage.command("subscriptions", "explain", "tanuki"))
            for text in ("wanted:       no", "enabled", "since:", "no longer configured", "subscriptions prune"):
                self.assertIn(text, told)
            declined = await stage.command("subscriptions", "explain", "kitsun")
            self.assert_declined(declined, "no streamer kitsun in the configuration")
            self.assertIn("did you mean kitsune?", declined.err)

        return Deferred.fromCoroutine(scenario())

    def test_what_can_go_wrong_is_one_line(self) -> Deferred[None]:
        """
        Twitch away, credentials that are wrong, and no journal to remember in are said in a line each.
        """

        async def scenario() -> None:
            stage = self.stage()
            stage.add_streamer("tanuki")
            stage.configure()
            self.assert_declined(await stage.command("subscriptions", "sync"), "there is no journal")
            stage.twitch.faults.plan("eventsub/subscriptions", then=Behaviour(status=500))
            self.assert_declined(await stage.command("subscriptions", "list"), "answered 500")
            stage.twitch.faults.plan("eventsub/subscriptions")
            (stage.folder / "data" / "tokens.json").unlink()
            stage.twitch.tokens.client_secret = "another"
            self.assert_declined(await stage.command("subscriptions", "list"), "invalid client secret")
            self.assertEqual(list(stage.twitch.subscriptions), [])

        return Deferred.fromCoroutine(scenario())

    def terminal(self, stage: Stage, *arguments: str) -> Terminal:
        """
        A command at a terminal.
        """
        terminal = Terminal(stage.reactor)
        self.addCleanup(lambda: Deferred.fromCoroutine(terminal.kill()))
        terminal.start([sys.executable, "-m", "itsjustintv", *arguments], stage.folder, environment(os.environ))
        return terminal

    def test_somebody_watches(self) -> Deferred[None]:
        """
        At a terminal a sync shows for how many streamers it has done its work, up to the last.
        """

        async def scenario() -> None:
            stage = await self.prepared()
            terminal = self.terminal(stage, "subscriptions", "sync")
            self.assertEqual(await terminal.ended(), 0, terminal.seen)
            for text in ("0/2", "2/2", "0 current, 1 created, 1 deleted, 0 failed"):
                self.assertIn(text, terminal.seen)

        return Deferred.fromCoroutine(scenario())

    def test_somebody_does_not_wait(self) -> Deferred[None]:
        """
        Ctrl-C while Twitch does not answer ends a command with 130, and says how things stand.
        """

        async def scenario() -> None:
            stage = self.stage()
            stage.add_streamer("tanuki")
            stage.configure()
            asked: Deferred[None] = Deferred()
            stage.twitch.faults.plan("token", then=Behaviour(after=asked))
            terminal = self.terminal(stage, "subscriptions", "list")
            await stage.until(lambda: "POST /oauth2/token" in stage.twitch.requests)
            await terminal.answer("", "\x03")
            self.assertEqual(await terminal.ended(), 130, terminal.seen)
            self.assertIn("Error: interrupted; requests in progress may still take effect", terminal.seen)

        return Deferred.fromCoroutine(scenario())
