"""
Tests of :mod:`itsjustintv.web.side_door`: on real sockets, since the claims are about them.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor as real
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.wire import Echo
from twisted.trial.unittest import TestCase

from itsjustintv.errors import CannotServe, ConfigError
from itsjustintv.web.side_door import SideDoor

# mypy takes the module for what it installs.
reactor: Any = real

SOMEWHERE = "tcp:0:interface=127.0.0.1"


class SideDoorTests(TestCase):
    """
    A door that may be shut.
    """

    timeout = 20

    def make(self, description: str) -> SideDoor:
        """
        A door that is started, and stopped with the test.
        """
        door = SideDoor(lambda: description, Factory.forProtocol(Echo), reactor, "admin.listen")
        door.startService()
        self.addCleanup(door.stopService)
        return door

    def taken(self) -> int:
        """
        The number of a port that somebody else holds.
        """
        port = reactor.listenTCP(0, Factory.forProtocol(Echo), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return int(port.getHost().port)

    async def answers(self, number: int) -> bool:
        """
        Whether somebody listens on a port.
        """
        try:
            caller = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", number, timeout=5), Protocol())
        except ConnectError:
            return False
        caller.transport.abortConnection()  # type: ignore[union-attr]
        return True

    async def test_shut_at_first_and_opened(self) -> None:
        """
        A door that is shut listens nowhere, until it is decided to open it.
        """
        door = self.make("")
        self.assertIsNone(door.port)
        (await door.prepare(SOMEWHERE))(False)
        self.assertIsNone(door.port)
        (await door.prepare(SOMEWHERE))(True)
        self.assertTrue(await self.answers(door.port.getHost().port))

    async def test_opened_at_first_and_shut(self) -> None:
        """
        A door that is open is shut only if that is decided.
        """
        door = self.make(SOMEWHERE)
        number = door.port.getHost().port
        (await door.prepare(""))(False)
        self.assertTrue(await self.answers(number))
        (await door.prepare(""))(True)
        self.assertIsNone(door.port)
        self.assertFalse(await self.answers(number))
        (await door.prepare(""))(True)

    async def test_moved(self) -> None:
        """
        A door that moves is open at the new place and shut at the old one.
        """
        door = self.make(SOMEWHERE)
        before = door.port.getHost().port
        (await door.prepare(SOMEWHERE + ":backlog=10"))(True)
        self.assertNotEqual(door.port.getHost().port, before)
        self.assertFalse(await self.answers(before))

    async def test_a_taken_place_changes_nothing(self) -> None:
        """
        A place that somebody else holds is refused by the name of its key, whether the door was shut or open.
        """
        taken = f"tcp:{self.taken()}:interface=127.0.0.1"
        for door in (self.make(""), self.make(SOMEWHERE)):
            before = door.port
            with self.assertRaises(ConfigError) as caught:
                await door.prepare(taken)
            [problem] = caught.exception.problems
            self.assertEqual(problem.path, "admin.listen")
            self.assertIn("address already in use", problem.message)
            self.assertNotIn("server.", problem.message)
            self.assertIs(door.port, before)

    def test_a_taken_place_at_the_start(self) -> None:
        """
        At the start such a place ends the process with its key named.
        """
        door = SideDoor(
            lambda: f"tcp:{self.taken()}:interface=127.0.0.1", Factory.forProtocol(Echo), reactor, "admin.listen"
        )
        error = self.assertRaises(CannotServe, door.privilegedStartService)
        self.assertIn("or change admin.listen.", str(error))

    async def test_stopped(self) -> None:
        """
        Once it is stopped it listens nowhere, and opens no more.
        """
        door = self.make(SOMEWHERE)
        number = door.port.getHost().port
        await door.stopService()
        (await door.prepare(SOMEWHERE))(True)
        self.assertIsNone(door.port)
        self.assertFalse(await self.answers(number))
