"""
Our client of WebSockets, and the server of Twitch's own command line tool (dev.twitch.tv, Twitch CLI) in strict mode.

The tool knows no conduits: a session is used by a subscription instead of an assignment. Its sessions get another id
when they move to another connection.
"""

from __future__ import annotations

import json
import os
import socket
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from treq import content
from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import SkipTest, TestCase

from itsjustintv.simulator.loopback import free_port
from itsjustintv.support.http_agents import TWITCH, Endpoints, make_agent, policy_for
from itsjustintv.support.websocket import WebSocketDialer
from itsjustintv.twitch.eventsub.messages import Frame, Notification, read_frame
from itsjustintv.twitch.eventsub.session import EventSubSession, Gap
from tests.functional.run import Background, run, until
from tests.functional.stage import tool

#: The tool's commands reach its server here: there is one on a machine.
RPC = 44747

CLIENT = "0123456789abcdefghijABCDEFGHIJ"
BROADCASTER = "40401"


class Subscriber:
    """
    An owner that subscribes with each session, unless it only says so.
    """

    def __init__(self, http: HTTPClient, url: str) -> None:
        self.http = http
        self.url = url
        self.honest = True
        self.welcomes: list[str] = []
        self.frames: list[Frame] = []
        self.gaps: list[Gap] = []

    def welcomed(self, session: EventSubSession, session_id: str) -> None:
        self.welcomes.append(session_id)
        if self.honest:
            Deferred.fromCoroutine(self.subscribe(session, session_id))
        else:
            session.assigned(session_id)

    def received(self, session: EventSubSession, frame: Frame) -> None:
        self.frames.append(frame)

    def lost(self, session: EventSubSession, gap: Gap) -> None:
        self.gaps.append(gap)

    async def subscribe(self, session: EventSubSession, session_id: str) -> None:
        body = {
            "type": "stream.online",
            "version": "1",
            "condition": {"broadcaster_user_id": BROADCASTER},
            "transport": {"method": "websocket", "session_id": session_id},
        }
        headers = {"Client-Id": CLIENT, "Authorization": "Bearer token", "Content-Type": "application/json"}
        response = await self.http.post(self.url, json.dumps(body).encode(), headers=headers)
        said = await content(response)
        # A session that has moved has its subscriptions already.
        if response.code in (202, 409):
            session.assigned(session_id)
        else:
            session.drop(session_id, said.decode())


class ToolTests(TestCase):
    """
    What the tool's server does.
    """

    timeout = 180

    async def setUp(self) -> None:
        """
        Start it, and connect.
        """
        from twisted.internet import reactor  # noqa: PLC0415 - trial has installed it by now

        self.tool = tool("twitch")
        self.reactor: Any = reactor
        await self.alone()
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TWITCH_")}
        homes = dict.fromkeys(("HOME", "XDG_CONFIG_HOME"), str(self.folder))
        self.environment = {**kept, **homes, "CI": "true", "TWITCH_DISABLE_UPDATE_CHECKS": "true"}
        port = free_port()
        serving = ["event", "websocket", "start-server", "-p", str(port), "--require-subscription", "--debug"]
        server = Background(reactor, [self.tool, *serving], self.folder)
        server.start(self.environment)
        self.addCleanup(lambda: Deferred.fromCoroutine(server.kill()))
        self.server = server
        await until(reactor, lambda: "Started WebSocket server" in server.output or not server.running)

        agent = make_agent(self.reactor, TWITCH)
        self.addCleanup(agent.pool.closeCachedConnections)
        self.owner = Subscriber(HTTPClient(agent), f"http://127.0.0.1:{port}/eventsub/subscriptions")
        self.session = EventSubSession(
            WebSocketDialer(self.reactor, Endpoints(self.reactor, policy_for(""))),
            self.reactor,
            lambda: 0.5,
            lambda: f"ws://127.0.0.1:{port}/ws",
            lambda: 10,
            self.owner,
            "shard 0",
        )
        self.addCleanup(self.session.stop)

    async def alone(self) -> None:
        """
        Wait until no other process runs a test of this module, and none but a test such a server.
        """
        lock = (Path(gettempdir()) / "itsjustintv-twitch-websocket.lock").open("w", encoding="utf-8")
        self.addCleanup(lock.close)

        def locked() -> bool:
            try:
                flock(lock, LOCK_EX | LOCK_NB)
            except BlockingIOError:
                return False
            return True

        await until(self.reactor, locked, 120.0)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", RPC)) == 0:
                raise SkipTest("another server of the twitch command runs on this machine")

    def more_on_failure(self) -> str:
        """
        What the tool said.
        """
        return self.server.output

    async def twitch(self, *arguments: str) -> None:
        """
        Run a command of the tool.
        """
        ended = await run(self.reactor, [self.tool, "event", *arguments], self.folder, self.environment)
        self.assertEqual(ended.status, 0, ended)

    async def announce(self) -> None:
        """
        Let a stream start, and be received.
        """
        before = len(self.owner.frames)
        await self.twitch("trigger", "stream.online", "--transport=websocket", f"--to-user={BROADCASTER}")
        await until(self.reactor, lambda: len(self.owner.frames) > before)
        message = read_frame(self.owner.frames[-1], "e-1", 0.0)
        assert isinstance(message, Notification)
        self.assertEqual(message.event.broadcaster_id, BROADCASTER)

    async def assigned(self) -> None:
        await until(self.reactor, lambda: self.session.status().state == "assigned")

    async def test_from_the_welcome_on(self) -> None:
        """
        The session is welcomed and used in time, notifications arrive, and pings and keepalives keep it alive for
        longer than silence is borne.
        """
        self.session.start()
        await self.assigned()
        await self.announce()
        heard = self.session.status().last_frame
        await deferLater(self.reactor, 17.0)
        await self.announce()
        status = self.session.status()
        self.assertEqual((status.losses, status.reason, len(self.owner.welcomes)), (0, "", 1))
        self.assertGreater(status.last_frame, heard)

    async def test_a_change_of_the_connection(self) -> None:
        """
        When the server asks for it, the session moves without a gap, and notifications go on.
        """
        self.session.start()
        await self.assigned()
        await self.announce()
        await self.twitch("websocket", "reconnect")
        await until(self.reactor, lambda: self.session.status().moves == 1)
        await self.announce()
        self.assertEqual((self.owner.gaps, len(self.owner.frames)), ([], 2))
        await deferLater(self.reactor, 3.0)
        self.assertEqual(self.session.status().state, "assigned")

    async def test_close_codes(self) -> None:
        """
        A close code is told, and another session had; one that nothing uses is closed with 4003.
        """
        self.session.start()
        await self.assigned()
        await self.twitch("websocket", "close", f"--session={self.owner.welcomes[-1]}", "--reason=4006")
        await until(self.reactor, lambda: self.owner.gaps)
        self.assertEqual(self.owner.gaps[0].code, 4006)
        await self.assigned()
        await self.announce()
        self.owner.honest = False
        await self.twitch("websocket", "close", f"--session={self.owner.welcomes[-1]}", "--reason=4000")
        await until(self.reactor, lambda: len(self.owner.gaps) == 3)
        self.assertEqual([gap.code for gap in self.owner.gaps], [4006, 4000, 4003])
