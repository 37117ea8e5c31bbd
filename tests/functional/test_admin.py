"""
The admin page of the real daemon.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from typing import Any

import treq
from jsonschema_rs import Draft202012Validator
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.task import deferLater
from twisted.web.client import ResponseNeverReceived

from itsjustintv.simulator.behaviour import Behaviour
from itsjustintv.simulator.loopback import free_port
from tests.documents import ROOT
from tests.functional.run import run
from tests.functional.stage import SECRET, Stage, StageCase, tool

TOKEN = "an-admin-token-of-the-stage"


class AdminTests(StageCase):
    """
    The page and its API, from outside.
    """

    def setUp(self) -> None:
        self.port = free_port()

    def section(self, token: str = TOKEN) -> str:
        """
        The part of the configuration that opens the page.
        """
        return f'[admin]\nenabled = true\nlisten = "127.0.0.1:{self.port}"\ntoken = "{token}"\n'

    async def ask(self, path: str, method: str = "GET", token: str = TOKEN) -> Any:
        """
        Ask for something; answers with the status and what is in the answer.
        """
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = await treq.request(
            method, f"http://127.0.0.1:{self.port}{path}", headers=headers, persistent=False, allow_redirects=False
        )
        text = await answer.text()
        json_like = "json" in (answer.headers.getRawHeaders("Content-Type") or [""])[0]
        return answer.code, json.loads(text) if json_like else text

    async def opened(self, settings: str = "") -> Stage:
        """
        A stage with two streamers, of whom the second one's receiver is away, and a daemon that has tried both.
        """
        stage = self.stage(settings=self.section() + settings)
        for login in ("tanuki", "kitsune"):
            stage.add_streamer(login, title=f"<b>{login}</b> & friends")
        stage.receiver.script.plan("/kitsune", then=Behaviour(status=503))
        await stage.started()
        await stage.subscribed()
        for login in stage.streamers:
            await stage.twitch.announce(stage.twitch.world.go_live(login))
        await stage.settled(stage.reactor)
        return stage

    def test_what_is_asked_is_answered(self) -> Deferred[None]:
        """
        Streamers, events with each attempt, deliveries by state and destinations are there, each as the document has
        it; a dead letter is sent again; a test arrives, signed and marked, and changes no count.
        """

        async def scenario() -> None:
            stage = await self.opened("[retry]\nmax_attempts = 1\n")
            account = stage.accounting()
            _, document = await self.ask("/api/v1/openapi.json")
            for path in document["paths"]:
                if "{" not in path:
                    status, answer = await self.ask(f"/api/v1{path}")
                    self.assertEqual(status, 200, path)
                    schema = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
                    Draft202012Validator({**schema, "components": document["components"]}).validate(answer)
            _, streamers = await self.ask("/api/v1/streamers")
            told = {
                each["key"]: (each["live"], each["title"], each["subscription"]["state"]) for each in streamers["items"]
            }
            self.assertEqual(told["tanuki"][:2], (True, "<b>tanuki</b> & friends"))
            # The keeper looks again some seconds after it has created one.
            self.assertIn(told["tanuki"][2], ("pending", "enabled"))
            _, dead = await self.ask("/api/v1/deliveries?state=dead")
            [letter] = dead["items"]
            self.assertEqual((letter["streamer"], letter["reason"]), ("kitsune", "exhausted"))
            self.assertEqual((await self.ask(f"/api/v1/deliveries/{letter['id']}/cancel", "POST"))[0], 409)
            # The beginning of an id is enough, unless several begin so.
            event_id = letter["event_id"]
            self.assertEqual((await self.ask(f"/api/v1/deliveries/{event_id}"))[1]["id"], letter["id"])
            self.assertEqual((await self.ask(f"/deliveries/{event_id}"))[0], 200)
            for path in (f"/api/v1/deliveries/{event_id[:8]}", f"/api/v1/events/{event_id[:8]}"):
                status, answer = await self.ask(path)
                self.assertEqual((status, "is ambiguous" in answer["detail"]), (409, True))
            self.assertEqual((await self.ask(f"/deliveries/{event_id[:8]}"))[0], 409)
            self.assertEqual((await self.ask("/api/v1/deliveries/nothing/retry", "POST"))[0], 404)
            stage.receiver.script.plan("/kitsune", then=Behaviour())
            self.assertEqual((await self.ask(f"/api/v1/deliveries/{letter['id']}/retry", "POST"))[0], 200)
            await stage.receiver.delivery("/kitsune", 2)
            before = await stage.settled(stage.reactor)
            self.assertEqual((before.delivered, before.wanted), (2, account.wanted))
            _, delivered = await self.ask("/api/v1/deliveries?state=delivered&streamer=tanuki")
            [one] = delivered["items"]
            self.assertEqual((await self.ask(f"/api/v1/deliveries/{letter['id']}/retry", "POST"))[0], 409)
            status, again = await self.ask(f"/api/v1/deliveries/{one['id']}/resend", "POST")
            self.assertEqual((status, again["event_id"], again["id"] != one["id"]), (200, one["event_id"], True))
            self.assertEqual((await stage.receiver.delivery("/tanuki", 2)).payload["id"], one["event_id"])
            before = await stage.settled(stage.reactor)
            self.assertEqual((before.delivered, before.imbalance), (3, 0))
            status, attempt = await self.ask("/api/v1/destinations/streamers.tanuki/test", "POST")
            self.assertEqual((status, attempt["ok"], attempt["status"]), (200, True, 200))
            arrived = await stage.receiver.delivery("/tanuki", 3)
            self.assertEqual((arrived.payload["test"], arrived.payload["id"][:5]), (True, "test-"))
            self.assertEqual(stage.accounting(), before)
            everything = json.dumps([await self.ask(f"/api/v1{path}") for path in document["paths"] if "{" not in path])
            for secret in (stage.hook, '/kitsune"', TOKEN, SECRET, stage.twitch.client_secret):
                self.assertNotIn(secret, everything)

        return Deferred.fromCoroutine(scenario())

    def test_what_the_document_types(self) -> Deferred[None]:
        """
        Each curl in docs/admin.md is answered with what the API has, for the token in TOKEN.
        """

        async def scenario() -> None:
            tool("curl")
            stage = await self.opened("[retry]\nmax_attempts = 1\n")
            text = (ROOT / "docs" / "admin.md").read_text(encoding="utf-8")
            lines = [line for line in text.splitlines() if line.startswith("curl ")]
            answers = []
            for line in lines:
                typed = line.replace("127.0.0.1:8081", f"127.0.0.1:{self.port}")
                ended = await run(stage.reactor, ["/bin/sh", "-c", typed], stage.folder, {**os.environ, "TOKEN": TOKEN})
                self.assertEqual(ended.status, 0, ended)
                answers.append(json.loads(ended.out))
            status, undelivered, attempt = answers
            self.assertEqual(status["undelivered"], 1, status)
            self.assertEqual([each["streamer"] for each in undelivered["items"]], ["kitsune"])
            self.assertTrue(attempt["ok"], attempt)

        return Deferred.fromCoroutine(scenario())

    def test_the_document_is_kept(self) -> Deferred[None]:
        """
        Whatever the document of the API allows is answered as it says, and whatever it does not allow is refused.
        """

        async def scenario() -> None:
            stage = await self.opened("[retry]\nmax_attempts = 1\n")
            url = f"http://127.0.0.1:{self.port}/api/v1/openapi.json"
            command = [
                sys.executable,
                "-m",
                "schemathesis.cli",
                "run",
                url,
                "--header",
                f"Authorization: Bearer {TOKEN}",
                "--max-examples",
                "10",
                "--phases",
                "examples,coverage,fuzzing",
                "--generation-deterministic",
                "--request-timeout",
                "20",
                "--no-color",
            ]
            ended = await run(stage.reactor, command, stage.folder, dict(os.environ), patience=90)
            self.assertEqual(ended.status, 0, ended)

        return Deferred.fromCoroutine(scenario())

    def test_a_thousand_streams(self) -> Deferred[None]:
        """
        A program that opens a thousand event streams, and leaves them and what refuses them open, gets a few; the page
        and the API go on to answer others, from the same address too.
        """

        async def scenario() -> None:
            stage = self.stage(settings=self.section(""))
            await stage.started()
            request = b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"
            sockets = [socket.create_connection(("127.0.0.1", self.port)) for _ in range(200)]
            for _ in range(4):
                for each in sockets:
                    with contextlib.suppress(OSError):
                        each.send(request)
                sockets += [socket.create_connection(("127.0.0.1", self.port)) for _ in range(200)]
            self.addCleanup(lambda: [each.close() for each in sockets])
            for path in ("/api/v1/status", "/", "/api/v1/events"):
                self.assertEqual((await self.ask(path, token=""))[0], 200)
            streaming = 0
            for each in sockets:
                each.setblocking(False)
                with contextlib.suppress(OSError):
                    streaming += b"text/event-stream" in each.recv(4096)
            self.assertEqual(streaming, 8)

        return Deferred.fromCoroutine(scenario())

    def test_opened_and_shut_while_it_runs(self) -> Deferred[None]:
        """
        A reload opens the page, changes its token at once, and shuts it.
        """

        async def becomes(stage: Stage, wanted: int, token: str) -> None:
            status = None
            while status != wanted:
                await deferLater(stage.reactor, 0.05)
                try:
                    status, _ = await self.ask("/nothing", token=token)
                except (ConnectError, ResponseNeverReceived):
                    status = 0

        async def scenario() -> None:
            stage = self.stage()
            stage.add_streamer("tanuki")
            daemon = await stage.started()
            for settings, token, wanted in (
                (self.section(), TOKEN, 404),
                (self.section("another-token-for-it"), TOKEN, 401),
                (self.section("another-token-for-it"), "another-token-for-it", 404),
                ("", TOKEN, 0),
            ):
                stage.settings = settings
                stage.configure()
                await becomes(stage, wanted, token)
            self.assertNotIn("another-token", daemon.output)

        return Deferred.fromCoroutine(scenario())
