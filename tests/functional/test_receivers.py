"""
The receivers in examples/receivers believe what the daemon signs, and nothing else.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent, HTTPConnectionPool

from itsjustintv.destinations.http_sender import HttpSender
from itsjustintv.model import Delivery, Destination
from itsjustintv.simulator.eventsub import post
from itsjustintv.simulator.loopback import free_port
from itsjustintv.support.signatures import sign_hub, sign_standard
from tests.documents import ROOT, Document
from tests.functional.run import run, until
from tests.functional.stage import tool
from tests.functional.terminal import Terminal

HUB = "a secret of receivers, ä"
STANDARD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
RECEIVERS = ROOT / "examples" / "receivers"

#: The sample of docs/payload.md, on one line as the daemon sends it.
SAMPLE = next(str(block) for block in Document(ROOT / "docs" / "payload.md").blocks if block.language == "json")
BODY = json.dumps(json.loads(SAMPLE), ensure_ascii=False, separators=(",", ":")).encode()
NEWS = "Tanuki is live: https://twitch.tv/tanuki"


class ReceiverTests(TestCase):
    """
    One receiver after the other, each with both kinds of signatures.
    """

    timeout = 240

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: PLC0415 - trial has installed it by now

        self.reactor: Any = reactor
        self.agent = Agent(reactor, pool=HTTPConnectionPool(reactor, persistent=False))
        self.send = HttpSender(self.agent, reactor, lambda: 30.0).send

    async def started(self, command: Sequence[str], secret: str, port: int) -> Terminal:
        """
        A receiver that listens.
        """
        terminal = Terminal(self.reactor)
        self.addCleanup(lambda: Deferred.fromCoroutine(terminal.kill()))
        env = {**os.environ, "TARGET_WEBHOOK_SECRET": secret, "PORT": str(port)}
        terminal.start(command, ROOT, env)
        endpoint = HostnameEndpoint(self.reactor, "127.0.0.1", port)
        for _ in range(1200):
            try:
                there = await connectProtocol(endpoint, Protocol())
            except ConnectError:
                await deferLater(self.reactor, 0.05)
            else:
                assert there.transport is not None
                there.transport.loseConnection()
                return terminal
        raise AssertionError(f"it does not listen: {terminal.seen}")

    async def delivered(self, port: int, secret: str, signature: str) -> str:
        """
        Send the sample as the daemon does: how that ended.
        """
        delivery = Delivery(
            id="e-1", event_id="5f0c6a3e9d7b4c1c8a52", streamer="tanuki", destination="d", accepted_at=0,
            next_attempt_at=0, body=BODY,
        )  # fmt: skip
        url = f"http://127.0.0.1:{port}/live"
        attempt = await self.send(delivery, Destination(name="d", url=url, secret=secret, signature=signature))
        return attempt.reason

    async def forged(self, port: int, body: bytes = BODY, **headers: str) -> int | None:
        """
        Send something else: what is answered.
        """
        named = {"Content-Type": "application/json", **{name.replace("_", "-"): each for name, each in headers.items()}}
        answer = await post(self.agent, self.reactor, f"http://127.0.0.1:{port}/live", named, body, timeout=30)
        self.assertEqual(answer.problem, "")
        return answer.status

    async def tried(self, command: Sequence[str]) -> None:
        """
        Send a receiver all there is, genuine and forged.

        :param command: ``{port}`` in it stands for where to listen.
        """
        now, event_id = int(self.reactor.seconds()), "e1"
        port = free_port()
        receiver = await self.started([word.format(port=port) for word in command], HUB, port)
        self.assertEqual(await self.delivered(port, HUB, "hub"), "delivered", receiver.seen)
        await until(self.reactor, lambda: NEWS in receiver.seen)
        self.assertEqual(await self.forged(port), 401)
        self.assertEqual(await self.forged(port, BODY + b" ", x_hub_signature_256=sign_hub(HUB, BODY)), 401)
        self.assertEqual(await self.forged(port, x_hub_signature_256=sign_hub("another", BODY)), 401)
        self.assertEqual(await self.forged(port, x_hub_signature_256=sign_hub(HUB, BODY, "sha1")), 401)
        self.assertEqual(await self.forged(port, b"{", x_hub_signature_256=sign_hub(HUB, b"{")), 400)

        port = free_port()
        receiver = await self.started([word.format(port=port) for word in command], STANDARD, port)
        self.assertEqual(await self.delivered(port, STANDARD, "both"), "delivered", receiver.seen)
        self.assertEqual(await self.delivered(port, STANDARD, "standard"), "delivered", receiver.seen)
        await until(self.reactor, lambda: NEWS in receiver.seen)
        for at, signed, status in (
            (now, (event_id, now, BODY), 204),
            (now, (event_id, now, BODY + b" "), 401),
            (now, ("e2", now, BODY), 401),
            (now, (event_id, now + 1, BODY), 401),
            (now - 400, (event_id, now - 400, BODY), 401),
            (now + 400, (event_id, now + 400, BODY), 401),
        ):
            headers = {"webhook_id": event_id, "webhook_timestamp": str(at)}
            found = await self.forged(port, **headers, webhook_signature=sign_standard(STANDARD, *signed))
            self.assertEqual(found, status, (at, signed[:2]))
        # While secrets change, there are two: any that is right will do, and what is of another version is passed over.
        two = f"v1a,{'A' * 88} {sign_standard(STANDARD, event_id, now, BODY)}"
        headers = {"webhook_id": event_id, "webhook_timestamp": str(now)}
        self.assertEqual(await self.forged(port, **headers, webhook_signature=two), 204)
        self.assertEqual(await self.forged(port, **headers), 401)
        self.assertEqual(await self.forged(port, x_hub_signature_256=sign_hub(STANDARD, BODY)), 401)
        if "php" not in command[0]:
            self.assertEqual(receiver.seen.count(NEWS), 1, receiver.seen)

    def test_python(self) -> Deferred[None]:
        """
        The receiver in Python.
        """
        return Deferred.fromCoroutine(self.tried([sys.executable, str(RECEIVERS / "python" / "receiver.py")]))

    def test_node(self) -> Deferred[None]:
        """
        The receiver in JavaScript.
        """
        return Deferred.fromCoroutine(self.tried([tool("node"), str(RECEIVERS / "node" / "receiver.mjs")]))

    def test_go(self) -> Deferred[None]:
        """
        The receiver in Go, built.
        """

        async def scenario() -> None:
            built = Path(self.mktemp()).absolute()
            command = [tool("go"), "build", "-o", str(built), str(RECEIVERS / "go" / "receiver.go")]
            ended = await run(self.reactor, command, ROOT, os.environ, patience=180)
            self.assertEqual(ended.status, 0, ended)
            await self.tried([str(built)])

        return Deferred.fromCoroutine(scenario())

    def test_php(self) -> Deferred[None]:
        """
        The receiver in PHP, with the server that PHP brings.
        """
        command = [tool("php"), "-S", "127.0.0.1:{port}", str(RECEIVERS / "php" / "receiver.php")]
        return Deferred.fromCoroutine(self.tried(command))

    def test_node_red(self) -> Deferred[None]:
        """
        The function of the flow for Node-RED passes on what is genuine, once, and answers 401 to anything else.
        """
        flow = json.loads((RECEIVERS / "node-red" / "flow.json").read_text(encoding="utf-8"))
        [function] = [node for node in flow if node["type"] == "function"]
        [door] = [node for node in flow if node["type"] == "http in"]
        self.assertTrue(door["skipBodyParsing"])
        tries = [
            {"body": BODY.decode(), "signature": sign_hub(HUB, BODY)},
            {"body": BODY.decode(), "signature": sign_hub(HUB, BODY)},
            {"body": BODY.decode() + " ", "signature": sign_hub(HUB, BODY)},
            {"body": BODY.decode()},
        ]
        script = """
            const [func, secret, tries] = JSON.parse(process.argv[1]);
            const kept = {};
            const flow = { get: (name) => kept[name], set: (name, value) => { kept[name] = value; } };
            const run = new Function("msg", "env", "flow", "crypto", func);
            console.log(JSON.stringify(tries.map((each) => {
                const headers = each.signature ? { "x-hub-signature-256": each.signature } : {};
                const msg = { payload: Buffer.from(each.body), req: { headers } };
                const [answer, told] = run(msg, { get: () => secret }, flow, require("crypto"));
                return [answer.statusCode, told && told.payload.streamer_login];
            })));
        """

        async def scenario() -> None:
            command = [tool("node"), "-e", script, json.dumps([function["func"], HUB, tries])]
            ended = await run(self.reactor, command, ROOT, os.environ)
            self.assertEqual((ended.status, ended.err), (0, ""), ended)
            self.assertEqual(json.loads(ended.out), [[204, "tanuki"], [204, None], [401, None], [401, None]])

        return Deferred.fromCoroutine(scenario())

    def test_n8n(self) -> Deferred[None]:
        """
        The expressions for n8n tell what is genuine from what is not, and name what a payload has.
        """
        text = (ROOT / "docs" / "receivers.md").read_text(encoding="utf-8").partition("## n8n")[2]
        signed, header, once = re.findall(r"\{\{ (.+?) \}\}", text)
        tries = [{"body": BODY.decode(), "signature": sign_hub(HUB, each)} for each in (BODY, BODY + b" ")]
        # What the nodes leave behind: Webhook the headers, Crypto the mac, Extract from File the payload.
        script = """
            const [secret, tries, signed, header, once] = JSON.parse(process.argv[1]);
            const of = (expression, $json) => new Function("$json", `return ${expression}`)($json);
            console.log(JSON.stringify(tries.map(({ body, signature }) => {
                const mac = require("crypto").createHmac("sha256", secret).update(body).digest("hex");
                const genuine = { mac, headers: { "x-hub-signature-256": signature } };
                return [of(signed, genuine) === of(header, genuine), of(once, { data: JSON.parse(body) })];
            })));
        """

        async def scenario() -> None:
            command = [tool("node"), "-e", script, json.dumps([HUB, tries, signed, header, once])]
            ended = await run(self.reactor, command, ROOT, os.environ)
            self.assertEqual((ended.status, ended.err), (0, ""), ended)
            event_id = json.loads(BODY)["id"]
            self.assertEqual(json.loads(ended.out), [[True, event_id], [False, event_id]])

        return Deferred.fromCoroutine(scenario())

    def test_home_assistant(self) -> None:
        """
        The automation for Home Assistant asks for what a payload has, and is not for everybody who finds the port.
        """
        [automation] = yaml.safe_load((RECEIVERS / "home-assistant" / "automation.yaml").read_text(encoding="utf-8"))
        [trigger] = automation["triggers"]
        self.assertEqual((trigger["trigger"], trigger["allowed_methods"]), ("webhook", ["POST"]))
        payload = json.loads(BODY)
        for path in re.findall(r"trigger\.json\.([\w.]+)", json.dumps(automation)):
            value = payload
            for key in path.split("."):
                value = value[key]
            self.assertIsInstance(value, str, path)
