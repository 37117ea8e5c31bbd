"""
The admin page of the real daemon.
"""

from __future__ import annotations

import json
from typing import Any

import treq
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.task import deferLater
from twisted.web.client import ResponseNeverReceived

from itsjustintv.simulator.loopback import free_port
from tests.functional.stage import Stage, StageCase

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
