"""
The real daemon, and the command line tool that Twitch itself offers for testing webhooks (dev.twitch.tv, Twitch CLI).

The tool ends with status 0 whatever it was answered; what it thinks of the answer is in what it prints.
:mod:`tests.functional.test_twitch_requests` sends the same requests where the tool is not at hand.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.task import deferLater
from twisted.web.client import Agent, ResponseFailed, readBody

from itsjustintv.simulator.loopback import free_port
from tests.functional.official import nanoseconds
from tests.functional.run import Background, Ended, run
from tests.functional.stage import SECRET, Stage, StageCase, tool

GOOD = "✔"
BAD = "✗"


class ToolCase(StageCase):
    """
    Tests with the tool.
    """

    def setUp(self) -> None:
        """
        These tests need the tool, and a home for what it keeps.
        """
        self.tool = tool("twitch")
        self.home = Path(self.mktemp()).absolute()
        self.home.mkdir()

    @property
    def environment(self) -> Mapping[str, str]:
        """
        Of the tool: a home of its own, and no questions about newer versions.
        """
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TWITCH_")}
        folders = dict.fromkeys(("HOME", "XDG_CONFIG_HOME"), str(self.home))
        return {**kept, **folders, "CI": "true", "TWITCH_DISABLE_UPDATE_CHECKS": "true"}

    async def twitch(self, stage: Stage, *arguments: str) -> Ended:
        """
        Run the tool.
        """
        ended = await run(stage.reactor, [self.tool, *arguments], self.home, self.environment)
        self.assertEqual(ended.status, 0, ended)
        return ended

    async def trigger(self, stage: Stage, *arguments: str, secret: str = SECRET, times: int = 1) -> list[str]:
        """
        Let the tool send ``stream.online`` for tanuki: the statuses of the answers.
        """
        user = stage.twitch.world.channel("tanuki").id
        ended = await self.twitch(
            stage,
            *("event", "trigger", "stream.online", "-F", stage.callback, "-s", secret, "-t", user, "-c", str(times)),
            *arguments,
        )
        mark = "Received Status Code: "
        return [line.partition(mark)[2].strip() for line in ended.out.splitlines() if mark in line]

    async def daemon(self) -> Stage:
        """
        A daemon for one streamer.
        """
        stage = self.stage()
        stage.add_streamer("tanuki")
        await stage.started()
        return stage

    async def told(self, stage: Stage) -> int:
        """
        How many deliveries there have been, once one that is sent last has arrived.
        """
        self.assertEqual(await self.trigger(stage), ["200"])
        await stage.settled(stage.reactor)
        return len(stage.receiver.received) - 1


class EventTests(ToolCase):
    """
    ``twitch event``.
    """

    def test_all_checks_of_a_subscription_pass(self) -> Deferred[None]:
        """
        ``twitch event verify-subscription stream.online`` finds challenge, content type and status right.
        """

        async def scenario() -> None:
            stage = await self.daemon()
            ended = await self.twitch(
                stage, "event", "verify-subscription", "stream.online", "-F", stage.callback, "-s", SECRET
            )
            self.assertEqual((ended.out.count(GOOD), ended.out.count(BAD)), (3, 0), ended)

        return Deferred.fromCoroutine(scenario())

    def test_an_event_is_delivered(self) -> Deferred[None]:
        """
        ``twitch event trigger stream.online`` is answered 200 and delivered.
        """

        async def scenario() -> None:
            stage = await self.daemon()
            self.assertEqual(await self.trigger(stage), ["200"])
            told = (await stage.receiver.delivery("/tanuki")).payload
            self.assertEqual(told["streamer_id"], stage.twitch.world.channel("tanuki").id)

        return Deferred.fromCoroutine(scenario())

    def test_one_message_sent_twice_is_delivered_once(self) -> Deferred[None]:
        """
        ``-I same-id -c 2`` is acknowledged twice and delivered once.
        """

        async def scenario() -> None:
            stage = await self.daemon()
            self.assertEqual(await self.trigger(stage, "-I", "same-id", times=2), ["200", "200"])
            self.assertEqual(await self.told(stage), 1)

        return Deferred.fromCoroutine(scenario())

    def test_a_message_that_is_triggered_again(self) -> Deferred[None]:
        """
        ``twitch event retrigger -i ID``, which has the same id and body, is acknowledged and not delivered again.
        """

        async def scenario() -> None:
            stage = await self.daemon()
            self.assertEqual(await self.trigger(stage, "-I", "again"), ["200"])
            ended = await self.twitch(stage, "event", "retrigger", "-i", "again", "-F", stage.callback, "-s", SECRET)
            self.assertIn("[200] Endpoint received refired event", ended.out)
            self.assertEqual(await self.told(stage), 1)

        return Deferred.fromCoroutine(scenario())

    def test_a_wrong_secret_is_refused(self) -> Deferred[None]:
        """
        ``-s`` with another secret is answered 403, and nothing is delivered.
        """

        async def scenario() -> None:
            stage = await self.daemon()
            self.assertEqual(await self.trigger(stage, secret="somebody else's"), ["403"])
            self.assertEqual(await self.told(stage), 0)

        return Deferred.fromCoroutine(scenario())

    def test_an_old_message_is_refused(self) -> Deferred[None]:
        """
        ``--timestamp`` eleven minutes ago is answered 403, and nothing is delivered.
        """

        async def scenario() -> None:
            stage = await self.daemon()
            timestamp = nanoseconds(stage.reactor.seconds() - 660)
            self.assertEqual(await self.trigger(stage, "--timestamp", timestamp), ["403"])
            self.assertEqual(await self.told(stage), 0)

        return Deferred.fromCoroutine(scenario())

    def test_a_revocation_is_acknowledged(self) -> Deferred[None]:
        """
        ``-r user_removed`` is answered 200, and nothing is delivered.
        """

        async def scenario() -> None:
            stage = await self.daemon()
            self.assertEqual(await self.trigger(stage, "-r", "user_removed"), ["200"])
            self.assertEqual(await self.told(stage), 0)

        return Deferred.fromCoroutine(scenario())


class MockTests(ToolCase):
    """
    ``twitch mock-api start``.
    """

    async def units(self, stage: Stage, url: str, kind: str) -> list[dict[str, Any]]:
        """
        What the mock has made up, once it is there to be asked.
        """
        agent = Agent(stage.reactor)
        while True:
            try:
                answer = await agent.request(b"GET", f"{url}/units/{kind}".encode())
                body = await readBody(answer)
            except (ConnectError, ResponseFailed):
                await deferLater(stage.reactor, 0.05)
            else:
                units: list[dict[str, Any]] = json.loads(body)["data"]
                return units

    def test_an_event_is_enriched(self) -> Deferred[None]:
        """
        With its URLs pointing at the mock, the daemon tells of somebody the mock calls live with the mock's title.
        """

        async def scenario() -> None:
            stage = self.stage()
            port = free_port()
            mock = Background(stage.reactor, [self.tool, "mock-api", "start", "-p", str(port)], self.home)
            self.addCleanup(lambda: Deferred.fromCoroutine(mock.kill()))
            mock.start(self.environment)
            url = f"http://127.0.0.1:{port}"
            (client, *_) = await self.units(stage, url, "clients")
            (live, *_) = await self.units(stage, url, "streams")
            stage.add_streamer("tanuki", user_id=live["user_id"])
            daemon = stage.daemon(
                env={
                    "ITSJUSTINTV_TWITCH_API_URL": f"{url}/mock",
                    "ITSJUSTINTV_TWITCH_AUTH_URL": f"{url}/auth",
                    "ITSJUSTINTV_TWITCH_CLIENT_ID": client["ID"],
                    "ITSJUSTINTV_TWITCH_CLIENT_SECRET": client["Secret"],
                    # The mock's pictures are on the real Twitch.
                    "ITSJUSTINTV_IMAGE": "url",
                }
            )
            daemon.start()
            await daemon.ready()
            self.assertEqual(await self.trigger(stage), ["200"])
            payload = (await stage.receiver.delivery("/tanuki")).payload
            self.assertEqual(payload["stream"]["title"], live["title"], daemon.output)
            self.assertTrue(payload["image"]["url"].startswith("https://"), payload)

        return Deferred.fromCoroutine(scenario())
