"""
``itsjustintv init`` against a Twitch, at a terminal and without one.
"""

from __future__ import annotations

import os
import stat
import sys
import tomllib
from typing import Any

from twisted.internet.defer import Deferred

from itsjustintv.simulator.behaviour import Behaviour
from itsjustintv.simulator.fakes.discord import FakeDiscord
from itsjustintv.simulator.fakes.site import FakeSite
from itsjustintv.simulator.loopback import free_port, listen
from itsjustintv.simulator.process import environment
from itsjustintv.support.signatures import sign_hub
from tests.functional.run import Ended, run
from tests.functional.stage import Stage, StageCase
from tests.functional.terminal import Terminal

DISCORD = {"type": "discord", "default": True}


class InitCase(StageCase):
    """
    Tests with a Twitch that knows one streamer.
    """

    def peopled(self) -> Stage:
        """
        A stage with nothing in its folder.
        """
        stage = self.stage()
        stage.twitch.world.add_streamer("tanuki", user_id="42")
        return stage

    def environ(self, stage: Stage, secret: str = "") -> dict[str, str]:
        """
        What leads a command to the Twitch of the stage.
        """
        variables = {"ITSJUSTINTV_TWITCH_API_URL": f"{stage.twitch_url}/helix"}
        variables["ITSJUSTINTV_TWITCH_AUTH_URL"] = f"{stage.twitch_url}/oauth2"
        variables["ITSJUSTINTV_TWITCH_CONDUIT_WEBSOCKET_URL"] = stage.websocket_url
        if secret:
            variables["ITSJUSTINTV_TWITCH_CLIENT_SECRET"] = secret
        return {**environment(os.environ), **variables}

    def configuration(self, stage: Stage) -> Any:
        """
        What was written, for nobody else to read.
        """
        path = stage.folder / "config.toml"
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        return tomllib.loads(path.read_text(encoding="utf-8"))


class FlagsTests(InitCase):
    """
    Without a terminal.
    """

    async def told(self, stage: Stage, *more: str, secret: str = "") -> Ended:
        """
        Say everything on the command line, and the secret in the environment.
        """
        arguments = ["--client-id", stage.twitch.client_id, "--domain", "localhost"]
        arguments += ["--webhook", f"{stage.hook}/live", "--test", *more]
        environ = self.environ(stage, secret or stage.twitch.client_secret)
        return await run(
            stage.reactor, [sys.executable, "-m", "itsjustintv", "init", *arguments], stage.folder, environ
        )

    def test_all_is_right(self) -> Deferred[None]:
        """
        The file has what was said, what Twitch knows, and secrets that were made up; a test has arrived, signed; the
        last line is the next command, and the daemon's own check is content.
        """

        async def scenario() -> None:
            stage = self.peopled()
            ended = await self.told(stage, "--streamer", "tanuki")
            self.assertEqual((ended.status, len(ended.err.splitlines())), (0, 1), ended)
            self.assertIn("which is not a public name", ended.err)
            self.assertEqual(ended.out.splitlines()[-1], "Next: itsjustintv run")
            self.assertEqual([path.name for path in stage.folder.iterdir()], ["config.toml"])
            found = self.configuration(stage)
            self.assertEqual(found["streamers"], {"tanuki": {"login": "tanuki", "user_id": "42"}})
            self.assertEqual(found["server"]["external_domain"], "localhost")
            self.assertEqual(len(found["twitch"]["webhook_secret"]), 64)
            [test] = stage.receiver.at("/live")
            signed = sign_hub(found["global_webhook"]["target_webhook_secret"], test.body)
            self.assertEqual((test.payload["test"], test.headers["x-hub-signature-256"]), (True, signed))
            self.assertIn("webhook-signature", test.headers)
            checked = await stage.command("config", "validate")
            self.assertEqual(checked.status, 0, checked)
            again = await self.told(stage, "--streamer", "tanuki")
            self.assertIn("config.toml exists already", again.err)

        return Deferred.fromCoroutine(scenario())

    async def test_an_address_of_discord(self) -> None:
        """
        The URL of a Discord webhook becomes the destination of every streamer, and a card marked as a test has come.
        """
        stage, discord = self.peopled(), FakeDiscord()
        listening = listen(stage.reactor, FakeSite(stage.reactor, [discord]).resource())
        self.addCleanup(listening.stop)
        url = discord.add_webhook().url
        ended = await self.told(
            stage, "--streamer", "tanuki", "--destination", url, "--key", f"url={self.local(url, listening.url)}"
        )
        self.assertEqual(ended.status, 0, ended)
        found = self.configuration(stage)
        self.assertEqual({key: found["destinations"]["main"][key] for key in ("type", "default")}, DISCORD)
        self.assertNotIn("enabled", found["global_webhook"])
        [message] = discord.messages.values()
        self.assertIn("test notification", message["embeds"][0]["title"])
        self.assertEqual((await stage.command("config", "validate")).status, 0)

    def local(self, url: str, site: str) -> str:
        return url.replace("https://discord.com", f"{site}/discord")

    async def test_no_domain(self) -> None:
        """
        Without a domain a conduit is chosen once Twitch's WebSocket has sent its welcome; if it cannot be reached,
        nothing is written.
        """
        stage = self.peopled()
        arguments = ["--client-id", stage.twitch.client_id, "--streamer", "tanuki", "--webhook", f"{stage.hook}/live"]
        command = [sys.executable, "-m", "itsjustintv", "init", *arguments]
        environ = self.environ(stage, stage.twitch.client_secret)
        elsewhere = {"ITSJUSTINTV_TWITCH_CONDUIT_WEBSOCKET_URL": f"ws://127.0.0.1:{free_port()}/ws"}
        ended = await run(stage.reactor, command, stage.folder, {**environ, **elsewhere})
        self.assertEqual((ended.status, list(stage.folder.iterdir())), (1, []), ended)
        self.assertIn("--conduit: no messages can arrive from ws://127.0.0.1", ended.err)
        ended = await run(stage.reactor, command, stage.folder, environ)
        self.assertEqual((ended.status, ended.err), (0, ""), ended)
        twitch = self.configuration(stage)["twitch"]
        self.assertEqual((twitch["transport"], "webhook_secret" in twitch), ("conduit", False))

    def test_everything_that_is_wrong(self) -> Deferred[None]:
        """
        Somebody nobody knows and a receiver that refuses are named together, and nothing is written.
        """

        async def scenario() -> None:
            stage = self.peopled()
            stage.receiver.script.plan("/live", Behaviour(status=500))
            ended = await self.told(stage, "--streamer", "tanuki", "--streamer", "nobody")
            self.assertEqual((ended.status, ended.out), (1, ""), ended)
            self.assertIn("no such user at Twitch: nobody", ended.err)
            self.assertIn("answered 500", ended.err)
            self.assertEqual(list(stage.folder.iterdir()), [])

        return Deferred.fromCoroutine(scenario())

    def test_credentials_that_are_wrong(self) -> Deferred[None]:
        """
        Twitch is asked for a token; its no is told, and nothing is written.
        """

        async def scenario() -> None:
            stage = self.peopled()
            ended = await self.told(stage, "--streamer", "tanuki", secret="of-another-application")
            self.assertEqual(ended.status, 1, ended)
            self.assertIn("--client-id, --client-secret: Twitch rejects this client id", ended.err)
            self.assertNotIn("of-another-application", ended.err)
            self.assertEqual(list(stage.folder.iterdir()), [])

        return Deferred.fromCoroutine(scenario())

    def test_what_is_missing(self) -> Deferred[None]:
        """
        What must be given is listed, and the status is 2.
        """

        async def scenario() -> None:
            stage = self.peopled()
            ended = await self.told(stage)
            self.assertEqual(ended.status, 2, ended)
            self.assertIn("--streamer: required without a terminal", ended.err)

        return Deferred.fromCoroutine(scenario())


class TerminalTests(InitCase):
    """
    At a terminal.
    """

    def terminal(self, stage: Stage) -> Terminal:
        """
        The command, with nothing said.
        """
        terminal = Terminal(stage.reactor)
        self.addCleanup(lambda: Deferred.fromCoroutine(terminal.kill()))
        terminal.start([sys.executable, "-m", "itsjustintv", "init"], stage.folder, self.environ(stage))
        return terminal

    def test_questions_and_second_answers(self) -> Deferred[None]:
        """
        Everything is asked for; what is wrong is asked for again, a secret is not shown, and what is written is what
        was answered last.
        """

        async def scenario() -> None:
            stage = self.peopled()
            terminal = self.terminal(stage)
            await terminal.answer("Address: ", f"{stage.hook}/live\n")
            await terminal.answer("Send a test notification to it now? [y/N]: ", "y\n")
            await terminal.answer("Client id: ", f"{stage.twitch.client_id}\n")
            await terminal.answer("Client secret: ", f"{stage.twitch.client_secret}\n")
            await terminal.answer("Domain (Enter for none): ", "https://localhost\n")
            await terminal.answer("Domain (Enter for none): ", "localhost\n")
            await terminal.answer("proxy in front of this machine serve HTTPS? [Y/n]: ", "\n")
            await terminal.answer("separated by spaces): ", "tanuki nobody\n")
            await terminal.answer("Use it anyway? [y/N]: ", "n\n")
            await terminal.answer("separated by spaces): ", "Tanuki\n")
            self.assertEqual(await terminal.ended(), 0, terminal.seen)
            self.assertNotIn(stage.twitch.client_secret, terminal.seen)
            self.assertIn("no such user at Twitch: nobody", terminal.seen)
            found = self.configuration(stage)
            self.assertEqual(found["streamers"], {"tanuki": {"login": "tanuki", "user_id": "42"}})
            self.assertEqual(found["twitch"]["client_secret"], stage.twitch.client_secret)
            self.assertEqual(len(stage.receiver.at("/live")), 1)

        return Deferred.fromCoroutine(scenario())

    def test_somebody_changes_his_mind(self) -> Deferred[None]:
        """
        Ctrl-C at a question ends it with 130, says so, and writes nothing.
        """

        async def scenario() -> None:
            stage = self.peopled()
            terminal = self.terminal(stage)
            await terminal.answer("Address: ", "\x03")
            self.assertEqual(await terminal.ended(), 130, terminal.seen)
            self.assertIn("interrupted; nothing was written", terminal.seen)
            self.assertEqual(list(stage.folder.iterdir()), [])

        return Deferred.fromCoroutine(scenario())
