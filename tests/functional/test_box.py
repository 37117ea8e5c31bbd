"""
``itsjustintv simulate`` and ``itsjustintv receive``, alone and with the real daemon between them.
"""

from __future__ import annotations

import json
import os
import socket
import stat
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import treq
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent, HTTPConnectionPool

from itsjustintv.simulator.eventsub import Posted, post
from itsjustintv.simulator.loopback import free_port
from itsjustintv.simulator.process import environment
from itsjustintv.support.signatures import sign_hub, sign_standard
from tests.functional.run import until
from tests.functional.terminal import Terminal

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"event":"stream.online","id":"e1","streamer_name":"Tanuki","stream":{"title":"Pottery"}}'


class BoxCase(TestCase):
    """
    Commands at terminals, which end with the test.
    """

    timeout = 120

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: PLC0415 - trial has installed it by now

        self.reactor: Any = reactor
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.agent = Agent(reactor, pool=HTTPConnectionPool(reactor, persistent=False))

    def command(self, *arguments: str, env: Mapping[str, str] = {}) -> Terminal:
        """
        Start ``itsjustintv`` at a terminal.
        """
        terminal = Terminal(self.reactor)
        self.addCleanup(lambda: Deferred.fromCoroutine(terminal.kill()))
        command = [sys.executable, "-m", "itsjustintv", *arguments]
        terminal.start(command, self.folder, {**environment(os.environ), **env})
        return terminal

    async def post(self, port: int, body: bytes, **headers: str) -> Posted:
        """
        Send something to a receiver.
        """
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await post(self.agent, self.reactor, f"http://127.0.0.1:{port}/live", named, body, timeout=30)


class ReceiveTests(BoxCase):
    """
    ``itsjustintv receive``.
    """

    async def receiving(self, *arguments: str) -> tuple[Terminal, int]:
        """
        A receiver that listens, and where.
        """
        port = free_port()
        terminal = self.command("receive", "--port", str(port), *arguments)
        await terminal.answer(f"at any path of http://127.0.0.1:{port}", "")
        return terminal, port

    def test_genuine_and_forged(self) -> Deferred[None]:
        """
        What is signed with the secret, in either way, is shown as valid and answered 200; what is not, or in no
        way, is answered 401, and counts at the end.
        """

        async def scenario() -> None:
            terminal, port = await self.receiving("--secret", SECRET, "--count", "4")
            now = int(self.reactor.seconds())
            first = await self.post(port, BODY, x_hub_signature_256=sign_hub(SECRET, BODY))
            again = await self.post(
                port,
                BODY,
                webhook_id="e1",
                webhook_timestamp=str(now),
                webhook_signature=sign_standard(SECRET, "e1", now, BODY),
            )
            forged = await self.post(port, BODY + b" ", x_hub_signature_256=sign_hub(SECRET, BODY))
            unsigned = await self.post(port, b"[]")
            self.assertEqual([each.status for each in (first, again, forged, unsigned)], [200, 200, 401, 401])
            self.assertEqual(await terminal.ended(), 1, terminal.seen)
            for text in (
                "stream.online: Tanuki, Pottery",
                "signature: hub: valid",
                "signature: standard: valid",
                "received before",
                "X-Hub-Signature-256 is wrong",
                "2 bytes, not a JSON object",
                "neither X-Hub-Signature-256 nor webhook-signature is present",
                "4 received, 2 rejected",
            ):
                self.assertIn(text, terminal.seen)

        return Deferred.fromCoroutine(scenario())

    def test_refusals_to_practise_with(self) -> Deferred[None]:
        """
        The first so many are refused as was asked for, with the time to wait; Ctrl-C is a good end.
        """

        async def scenario() -> None:
            terminal, port = await self.receiving("--fail", "1", "--status", "429", "--retry-after", "7")
            answers = [await self.post(port, BODY) for _ in range(2)]
            self.assertEqual([(each.status, each.retry_after) for each in answers], [(429, "7"), (200, "")])
            await terminal.answer("answered 200", "\x03")
            self.assertEqual(await terminal.ended(), 0, terminal.seen)
            self.assertIn("2 received, 0 rejected", terminal.seen)

        return Deferred.fromCoroutine(scenario())

    def test_a_port_that_is_taken(self) -> Deferred[None]:
        """
        Somebody else at the port is one line.
        """

        async def scenario() -> None:
            _, port = await self.receiving()
            for command in ("receive", "simulate"):
                terminal = self.command(command, "--port", str(port))
                self.assertEqual(await terminal.ended(), 1, terminal.seen)
                self.assertEqual(len(terminal.seen.splitlines()), 1, terminal.seen)
                self.assertIn(f"port {port}: address already in use; choose another", terminal.seen)

        return Deferred.fromCoroutine(scenario())


class BoxTests(BoxCase):
    """
    All of it on one machine.
    """

    def test_a_daemon_between_the_two(self) -> Deferred[None]:
        """
        The daemon starts with the configuration that was written; who goes live at the one is told by the other, again
        after a refusal, and genuine.
        """
        return self.between("webhook")

    def test_a_configuration_with_a_conduit(self) -> Deferred[None]:
        """
        What is written for a conduit is valid, and needs no secret of a webhook.
        """

        async def scenario() -> None:
            twitch = self.command(
                "simulate", "--port", "0", "--write", "box.toml", "--webhook", "http://127.0.0.1:9/", "--transport",
                "conduit",
            )  # fmt: skip
            await twitch.answer("itsjustintv run --config box.toml", "\x03")
            await twitch.ended()
            check = self.command("config", "validate", "--config", "box.toml")
            self.assertEqual(await check.ended(), 0, check.seen)
            with (self.folder / "box.toml").open("rb") as file:
                found = tomllib.load(file)["twitch"]
            self.assertEqual(found["transport"], "conduit")
            self.assertRegex(found["conduit"]["websocket_url"], r"^ws://127\.0\.0\.1:\d+/ws$")
            self.assertNotIn("webhook_secret", found)

        return Deferred.fromCoroutine(scenario())

    def test_a_daemon_with_a_conduit(self) -> Deferred[None]:
        """
        The same through a conduit, with two sessions.
        """
        return self.between("conduit")

    def between(self, transport: str) -> Deferred[None]:
        async def scenario() -> None:
            ports = [free_port() for _ in range(3)]
            simulate, receive, daemon = map(str, ports)
            receiver = self.command(
                "receive", "--port", receive, "--secret", SECRET, "--json", "--count", "2", "--fail", "1"
            )
            url = f"http://127.0.0.1:{receive}/live"
            twitch = self.command(
                "simulate", "--port", simulate, "--streamer", "Tanuki", "--write", "box.toml", "--webhook", url,
                "--webhook-secret", SECRET, "--transport", transport,
            )  # fmt: skip
            await twitch.answer("itsjustintv run --config box.toml", "")
            self.assertEqual(stat.S_IMODE((self.folder / "box.toml").stat().st_mode), 0o600)
            quick = {"ITSJUSTINTV_SERVER_PORT": daemon, "ITSJUSTINTV_RETRY_INITIAL_DELAY": "50ms"}
            running = self.command("run", "--config", "box.toml", env=quick)
            control = f"http://127.0.0.1:{simulate}/simulator"
            while (await self.state(control))["subscriptions"] != ["enabled"]:
                await deferLater(self.reactor, 0.05)
            sessions = (await self.state(control))["sessions"]
            self.assertEqual(sessions, {"webhook": [], "conduit": [["0"], ["1"]]}[transport])
            response = await treq.post(f"{control}/live", json={"login": "tanuki"}, agent=self.agent)
            self.assertEqual(response.code, 200)
            self.assertEqual(await receiver.ended(), 0, receiver.seen)
            told = [json.loads(line) for line in receiver.seen.splitlines()]
            self.assertEqual([each["status"] for each in told], [500, 200])
            self.assertEqual([each["again"] for each in told], [False, True])
            self.assertEqual([each["verified"] for each in told], [["hub", "standard"]] * 2)
            self.assertEqual(told[1]["payload"]["streamer_login"], "tanuki")
            for each in (running, twitch):
                await each.answer("", "\x03")
                await each.ended()
            self.assertEqual(await twitch.ended(), 0, twitch.seen)

        return Deferred.fromCoroutine(scenario())

    async def state(self, control: str) -> Mapping[str, Any]:
        """
        The status of each subscription, and the shards of each session.
        """
        response = await treq.get(f"{control}/state", agent=self.agent)
        found = await response.json()
        return {
            "subscriptions": [each["status"] for each in found["subscriptions"]],
            "sessions": sorted(each["shards"] for each in found["sessions"]),
        }

    def test_somebody_goes_live_again_and_again(self) -> Deferred[None]:
        """
        For a program there is one line that says where all is, and streamers take turns until the end.
        """

        async def scenario() -> None:
            twitch = self.command("simulate", "--port", "0", "--json", "--every", "0.1")
            await until(self.reactor, lambda: "kitsune goes live" in twitch.seen)
            told = json.loads(twitch.seen.splitlines()[0])
            self.assertEqual(
                set(told),
                {"api_url", "auth_url", "websocket_url", "control_url", "client_id", "client_secret"},
                twitch.seen,
            )
            self.assertLess(twitch.seen.index("tanuki goes live"), twitch.seen.index("kitsune goes live"))
            await twitch.answer("", "\x03")
            self.assertEqual(await twitch.ended(), 0, twitch.seen)

        return Deferred.fromCoroutine(scenario())

    def test_a_port_of_the_simulator_that_is_taken(self) -> Deferred[None]:
        """
        The problem names the port, and the option that chooses another.
        """

        async def scenario() -> None:
            with socket.socket() as other:
                other.bind(("127.0.0.1", 0))
                other.listen()
                port = other.getsockname()[1]
                for arguments in (("--port", str(port)), ("--port", "0", "--websocket-port", str(port))):
                    terminal = self.command("simulate", *arguments)
                    self.assertEqual(await terminal.ended(), 1, terminal.seen)
                    self.assertIn(f"cannot listen on port {port}: ", terminal.seen)
                    self.assertIn(f"choose another with {arguments[-2]}", terminal.seen)
                    self.assertNotIn("Warning", terminal.seen)

        return Deferred.fromCoroutine(scenario())

    def test_a_file_is_never_replaced(self) -> Deferred[None]:
        """
        A configuration that is there stays; a webhook without one makes no sense, nor does a login that cannot be one.
        """

        async def scenario() -> None:
            (self.folder / "box.toml").write_text("mine", encoding="utf-8")
            for arguments, status in (
                (("--write", "box.toml", "--webhook", "http://127.0.0.1:9/"), 1),
                (("--write", "x"), 2),
                (("--streamer", "not-a-login"), 2),
            ):
                terminal = self.command("simulate", "--port", "0", *arguments)
                self.assertEqual(await terminal.ended(), status, terminal.seen)
            self.assertEqual((self.folder / "box.toml").read_text(encoding="utf-8"), "mine")

        return Deferred.fromCoroutine(scenario())
