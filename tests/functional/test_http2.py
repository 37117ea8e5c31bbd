"""
The real daemon and HTTP/2, with clients that nobody here wrote.
"""

from __future__ import annotations

import hmac
import os
from datetime import UTC, datetime

from itsjustintv.simulator.eventsub import Message
from itsjustintv.simulator.process import environment
from tests.functional.run import run
from tests.functional.stage import SECRET, Stage, tool
from tests.functional.test_https import FILES, NAME, HttpsCase
from tests.tls.authority import Issuer

# How many messages come at once. Twitch sends as many when many streamers go live.
MANY = 50


class HTTP2Tests(HttpsCase):
    """
    A daemon that serves HTTPS.
    """

    timeout = 120

    def house(self) -> Stage:
        """
        A stage whose daemon has a certificate.
        """
        stage = self.begin(FILES)
        self.issue(stage, Issuer())
        return stage

    def request(self, stage: Stage, message: Message, number: int) -> str:
        """
        What lets curl send a message, as its configuration has it.
        """
        sent_at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        signature = hmac.digest(SECRET.encode(), f"{message.id}{sent_at}".encode() + message.body, "sha256").hex()
        (stage.folder / f"body-{number}").write_bytes(message.body)
        headers = {"Id": message.id, "Timestamp": sent_at, "Type": message.type, "Signature": f"sha256={signature}"}
        return "\n".join(
            [
                f"url = https://{NAME}:{stage.port}/twitch",
                f"resolve = {NAME}:{stage.port}:127.0.0.1",
                "cacert = root.pem",
                "max-time = 60",
                f"data-binary = @body-{number}",
                *(f'header = "Twitch-Eventsub-Message-{name}: {value}"' for name, value in headers.items()),
                r'write-out = "\nversion %{http_version}, connections %{num_connects}\n"',
            ]
        )

    async def test_many_messages_at_once(self) -> None:
        """
        On few connections: each is accepted, and delivered once, although all of them come twice.
        """
        stage = self.house()
        daemon = await self.started(stage)
        messages = [stage.message(stage.twitch.world.go_live("tanuki")) for _ in range(MANY)]
        requests = [self.request(stage, message, number) for number, message in enumerate(messages)]
        (stage.folder / "many").write_text("\nnext\n".join(requests), encoding="utf-8")
        command = [self.curl, "--silent", "--show-error", "--parallel", "--parallel-max", str(MANY), "--config", "many"]
        for _ in range(2):
            ended = await run(stage.reactor, command, stage.folder, environment(os.environ))
            self.assertEqual(ended.status, 0, ended)
            self.assertEqual(ended.out.count('{"status":"processed"}'), MANY, ended.out)
            self.assertEqual(ended.out.count("version 2, "), MANY, ended.out)
            # curl opens some more while it does not know yet what the first one speaks.
            self.assertLess(ended.out.count("connections 1\n"), MANY / 2, ended.out)
            await stage.receiver.delivery("/tanuki", MANY).addTimeout(60, stage.reactor)
        self.assertEqual(await daemon.stop(), 0)
        self.assertEqual(len(stage.receiver.received), MANY)

    async def test_speaks_as_the_standard_has_it(self) -> None:
        """
        Each of the cases of h2spec, most of which are a client that does wrong; the daemon serves on, and has
        nothing to complain of but refusals.
        """
        h2spec = tool("h2spec")
        stage = self.house()
        daemon = await self.started(stage)
        command = [h2spec, "-h", "127.0.0.1", "-p", str(stage.port), "-P", "/health", "-t", "-k"]
        ended = await run(stage.reactor, command, stage.folder, environment(os.environ))
        self.assertIn("145 tests, 145 passed, 0 skipped, 0 failed", ended.out)
        self.assertEqual(ended.status, 0)
        await self.deliver(stage)
        self.assertEqual(await daemon.stop(), 0)
        for word in ("Traceback", "Unhandled", '"critical"'):
            self.assertNotIn(word, daemon.output)

    async def test_can_be_switched_off(self) -> None:
        """
        At a reload, for whoever comes then.
        """
        stage = self.house()
        daemon = await self.started(stage)
        version = "--write-out", "%{http_version}", "--output", "/dev/null"
        self.assertEqual((await self.ask(stage, "/health", *version)).out, "2")
        self.assertEqual((await self.ask(stage, "/health", "--http1.1", *version)).out, "1.1")
        stage.settings += "http2 = false\n"
        stage.configure()
        await daemon.said("configuration reloaded")
        self.assertEqual((await self.ask(stage, "/health", *version)).out, "1.1")
