"""
How the real daemon is, by its own account.
"""

from __future__ import annotations

import json

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.web.client import Agent, readBody

from tests.functional.stage import Stage, StageCase


class HealthTests(StageCase):
    """
    ``/livez``, ``/readyz`` and ``itsjustintv health``.
    """

    async def says(self, stage: Stage, *arguments: str) -> tuple[int, list[str]]:
        """
        What the command says, and how it ends.
        """
        ended = await stage.command("health", *arguments)
        return ended.status, (ended.out + ended.err).splitlines()

    async def ready(self, stage: Stage) -> list[str]:
        """
        Which checks of ``/readyz`` are not content.
        """
        answer = await Agent(stage.reactor).request(b"GET", f"{stage.url}/readyz".encode())
        content = json.loads(await readBody(answer))
        self.assertEqual(answer.code, 503 if content.get("reasons") else 200)
        return [each["check"] for each in content.get("reasons", ())]

    async def comes_to(self, stage: Stage, expected: list[str], patience: float = 30.0) -> None:
        """
        Wait until exactly these checks are not content.
        """
        until = stage.reactor.seconds() + patience
        while (found := await self.ready(stage)) != expected:
            if stage.reactor.seconds() > until:
                self.fail(f"still {found}")
            await deferLater(stage.reactor, 0.05)

    def test_from_the_start_to_the_end(self) -> Deferred[None]:
        """
        It is ready when all subscriptions work, not ready when one is missing, and alive all the time; and nobody
        answers when it has stopped.
        """

        async def scenario() -> None:
            stage = self.stage()
            stage.add_streamer("tanuki")
            daemon = await stage.started()
            await stage.subscribed()
            await self.comes_to(stage, [])
            self.assertEqual(await self.says(stage, "--ready"), (0, ["ready"]))
            stage.configure_streamer("kitsune", 'user_id = "987654321"')
            path = stage.configure()
            await daemon.said("1 streamer added: kitsune")
            await self.comes_to(stage, ["logins", "subscriptions"])
            expected = [
                "not ready",
                "logins: some streamers are unknown to Twitch",
                "subscriptions: some streamers have no working subscription",
            ]
            self.assertEqual(await self.says(stage, "--ready"), (1, expected))
            # Not even a file that cannot be used keeps the command from finding the daemon.
            path.write_text(path.read_text().replace("user_id", "usr_id"))
            await daemon.said("nothing was changed")
            self.assertEqual(await self.ready(stage), ["logins", "subscriptions", "configuration"])
            self.assertEqual(await self.says(stage, "--live"), (0, ["alive"]))
            status, lines = await self.says(stage)
            self.assertEqual((status, lines[0]), (0, "degraded"))
            await daemon.stop()
            status, lines = await self.says(stage)
            self.assertEqual(status, 1)
            self.assertIn("does not answer", lines[0])

        return Deferred.fromCoroutine(scenario())
