"""
Tests for :mod:`itsjustintv.web.listener`: on real sockets, since the claims are about them.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor as real
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import capturedLogs, formatEvent
from twisted.protocols.wire import Echo
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from itsjustintv.errors import CannotServe, ConfigError
from itsjustintv.web.listener import Listener

# mypy takes the module for what it installs.
reactor: Any = real


class Caller(Protocol):
    """
    Somebody who says something and waits for the echo.
    """

    def __init__(self) -> None:
        self._heard: Deferred[bytes] = Deferred()
        self.left: Deferred[None] = Deferred()

    def ask(self, words: bytes) -> Deferred[bytes]:
        """
        Say something; answers with the echo.
        """
        assert self.transport is not None
        self._heard = Deferred()
        self.transport.write(words)
        return self._heard

    def dataReceived(self, data: bytes) -> None:
        self._heard.callback(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.left.callback(None)


class ListenerTests(TestCase):
    """
    A listener that moves.
    """

    timeout = 20

    def setUp(self) -> None:
        self.factory = Factory.forProtocol(Echo)
        self.listener = self.make("tcp:0:interface=127.0.0.1")
        self.listener.startService()

    def make(self, description: str) -> Listener:
        """
        A listener that is stopped with the test.
        """
        listener = Listener(lambda: description, self.factory, reactor)
        self.addCleanup(lambda: listener.stopService() if listener.running else None)
        return listener

    def number(self, port: IListeningPort | None = None) -> int:
        """
        The number of a port, or of the one listened on.
        """
        port = port or self.listener.port
        assert port is not None
        return int(port.getHost().port)

    async def call(self, port: int) -> Caller:
        """
        Open a connection that is closed with the test.
        """
        network = Caller()
        await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port, timeout=5), network)

        def leave() -> Deferred[None]:
            assert network.transport is not None
            network.transport.loseConnection()
            return network.left

        self.addCleanup(leave)
        return network

    async def refused(self, port: int) -> None:
        """
        Fail unless nothing listens there.
        """
        with self.assertRaises(ConnectError):
            await self.call(port)

    def taken(self, interface: str = "127.0.0.1") -> int:
        """
        The number of a port that somebody else holds.
        """
        port = reactor.listenTCP(0, Factory.forProtocol(Echo), interface=interface)
        self.addCleanup(port.stopListening)
        return self.number(port)

    async def free(self) -> int:
        """
        The number of a port that nobody holds.
        """
        port = reactor.listenTCP(0, Factory.forProtocol(Echo), interface="127.0.0.1")
        number = self.number(port)
        await port.stopListening()
        return number

    async def test_the_place_is_in_the_log(self) -> None:
        """
        Where it listens is said by address and port.
        """
        listener = self.make("tcp:0:interface=127.0.0.1")
        with capturedLogs() as logs:
            listener.startService()
        self.assertIn(f"listening on 127.0.0.1:{self.number(listener.port)}", [formatEvent(event) for event in logs])

    async def test_after_a_move_the_new_place_is_open_and_the_old_one_closed(self) -> None:
        """
        New connections are taken at the new place only, and the log says so.
        """
        old, new = self.number(), await self.free()
        with capturedLogs() as logs:
            await self.listener.move(f"tcp:{new}:interface=127.0.0.1")
        said = [formatEvent(event) for event in logs]
        self.assertIn(f"listening on 127.0.0.1:{new} instead of 127.0.0.1:{old}; open connections continue", said)
        self.assertEqual(await (await self.call(new)).ask(b"hello"), b"hello")
        await self.refused(old)

    async def test_open_connections_go_on(self) -> None:
        """
        Whoever is connected when the listener moves is still served.
        """
        network = await self.call(self.number())
        self.assertEqual(await network.ask(b"before"), b"before")
        await self.listener.move(f"tcp:{await self.free()}:interface=127.0.0.1")
        self.assertEqual(await network.ask(b"after"), b"after")

    async def test_a_taken_port_keeps_the_old_place(self) -> None:
        """
        A port that cannot be had is an error that names it, the cause and the way out; the old place stays open.
        """
        taken = self.taken()
        with self.assertRaises(ConfigError) as caught:
            await self.listener.move(f"tcp:{taken}:interface=127.0.0.1")
        self.assertEqual(
            str(caught.exception),
            f"server: cannot listen on 127.0.0.1:{taken}: address already in use;"
            " stop what holds it, or change server.listen_addr and server.port",
        )
        self.assertEqual(await (await self.call(self.number())).ask(b"hello"), b"hello")

    async def test_our_own_port_on_every_interface(self) -> None:
        """
        The old port is in the way of the same one at another address: it is closed first, once that is decided.
        """
        here = self.number()
        network = await self.call(here)
        (await self.listener.prepare(f"tcp:{here}:interface=0.0.0.0"))(False)
        self.assertEqual(self.host(), "127.0.0.1")
        with capturedLogs() as logs:
            for host, old in (("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "0.0.0.0")):  # noqa: S104
                await self.listener.move(f"tcp:{here}:interface={host}")
                self.assertEqual(self.host(), host)
                line = f"listening on {host}:{here} instead of {old}:{here}; open connections continue"
                self.assertIn(line, [formatEvent(event) for event in logs])
                self.assertEqual(await (await self.call(here)).ask(b"hello"), b"hello")
        self.assertEqual(await network.ask(b"still"), b"still")

    async def test_a_place_that_another_program_has_too(self) -> None:
        """
        If the new port cannot be bound even then, the listener goes back, and says why.
        """
        here = await self.free()
        await self.listener.move(f"tcp:{here}:interface=127.0.0.1")
        other = reactor.listenTCP(here, self.factory, interface="127.0.0.2")
        self.addCleanup(other.stopListening)
        with capturedLogs() as logs:
            await self.listener.move(f"tcp:{here}:interface=0.0.0.0")
        said = [formatEvent(event) for event in logs]
        self.assertIn(
            f"cannot listen on 0.0.0.0:{here}: address already in use; stop what holds it, or change server.listen_addr"
            " and server.port",
            said,
        )
        self.assertIn(f"listening on 127.0.0.1:{here}", said)
        self.assertEqual(await (await self.call(here)).ask(b"hello"), b"hello")

    async def test_a_stop_during_such_a_move(self) -> None:
        """
        Nothing is bound any more.
        """
        here = self.number()
        (await self.listener.prepare(f"tcp:{here}:interface=0.0.0.0"))(True)
        await self.listener.stopService()
        await self.refused(here)

    def host(self) -> str:
        """
        The address at which it listens.
        """
        assert self.listener.port is not None
        return str(self.listener.port.getHost().host)

    async def test_both_places_are_open_until_it_is_decided(self) -> None:
        """
        Between making ready and the decision there is no moment in which nothing listens; a decision against it closes
        the new place.
        """
        old, new = self.number(), await self.free()
        decide = await self.listener.prepare(f"tcp:{new}:interface=127.0.0.1")
        self.assertEqual(await (await self.call(old)).ask(b"hello"), b"hello")
        self.assertEqual(await (await self.call(new)).ask(b"hello"), b"hello")
        decide(False)
        await self.refused(new)
        self.assertEqual(await (await self.call(old)).ask(b"hello"), b"hello")

    async def test_the_same_place_is_no_move(self) -> None:
        """
        A move to where we are leaves the port as it is.
        """
        where = f"tcp:{await self.free()}:interface=127.0.0.1"
        await self.listener.move(where)
        before = self.listener.port
        await self.listener.move(where)
        self.assertIs(self.listener.port, before)

    async def test_nowhere_is_a_place(self) -> None:
        """
        A listener with nowhere to listen starts and stops, comes to a place, and leaves it again; the log tells.
        """
        listener = self.make("")
        listener.privilegedStartService()
        listener.startService()
        self.assertIsNone(listener.port)
        new = await self.free()
        with capturedLogs() as logs:
            await listener.move(f"tcp:{new}:interface=127.0.0.1")
            network = await self.call(new)
            (await listener.prepare(""))(False)
            await self.call(new)
            await listener.move("")
        await self.refused(new)
        self.assertEqual(await network.ask(b"hello"), b"hello")
        said = [formatEvent(event) for event in logs]
        self.assertIn(f"listening on 127.0.0.1:{new}", said)
        self.assertIn(f"stopped listening on 127.0.0.1:{new}; open connections continue", said)
        await listener.stopService()

    async def test_the_keys_to_change_are_those_that_say_where(self) -> None:
        """
        A listener of other keys names them, at a start and at a move.
        """
        taken = f"tcp:{self.taken()}:interface=127.0.0.1"
        listener = Listener(lambda: taken, self.factory, reactor, "server.tls.http_listen", ["server.tls.http_listen"])
        error = self.assertRaises(CannotServe, listener.startService)
        self.assertTrue(str(error).endswith("or change server.tls.http_listen"), error)
        with self.assertRaises(ConfigError) as caught:
            await listener.prepare(f"{taken}:backlog=1")
        self.assertTrue(str(caught.exception).startswith("server.tls.http_listen: cannot listen"), caught.exception)

    async def test_where_it_is_not_needed_it_does_without(self) -> None:
        """
        Neither a start nor a move fails for a port that somebody else holds. Who wants to know is told of it, once for
        each place, and it is had at the next try after the other has left it.
        """
        holder = reactor.listenTCP(0, self.factory, interface="127.0.0.1")
        buffered, also = self.number(holder), self.taken()
        told: list[tuple[str, str]] = []
        listener = Listener(
            lambda: f"tcp:{buffered}:interface=127.0.0.1",
            self.factory,
            reactor,
            is_required=lambda: False,
            on_missing=lambda *what: told.append(what),
        )
        self.addCleanup(listener.stopService)
        listener.privilegedStartService()
        listener.startService()
        listener.retry()
        for port in (also, buffered):
            (await listener.prepare(f"tcp:{port}:interface=127.0.0.1", needed=False))(True)
            listener.retry()
        self.assertEqual(told, [(f"127.0.0.1:{port}", "address already in use") for port in (buffered, also, buffered)])
        self.assertIsNone(listener.port)
        await holder.stopListening()
        with capturedLogs() as logs:
            listener.retry()
        self.assertIn(f"listening on 127.0.0.1:{buffered}", [formatEvent(event) for event in logs])
        self.assertEqual(await (await self.call(buffered)).ask(b"hello"), b"hello")

    async def test_our_own_port_on_every_interface_where_it_is_not_needed(self) -> None:
        """
        The same port on other interfaces is had once it was given up where it was.
        """
        here, told = self.number(), list[tuple[str, str]]()
        self.listener._without = lambda *what: told.append(what)
        (await self.listener.prepare(f"tcp:{here}:interface=0.0.0.0", needed=False))(True)
        await self.listener.settled()
        self.listener.retry()
        self.assertEqual(told, [])
        assert self.listener.port is not None
        self.assertEqual(self.listener.port.getHost().host, "0.0.0.0")  # noqa: S104
        self.assertEqual(await (await self.call(here)).ask(b"hello"), b"hello")

    async def test_a_stop_closes_everything(self) -> None:
        """
        After a stop nothing listens, not even where a decision came too late.
        """
        old, new = self.number(), await self.free()
        decide = await self.listener.prepare(f"tcp:{new}:interface=127.0.0.1")
        await self.listener.stopService()
        decide(True)
        await self.refused(new)
        await self.refused(old)
        self.assertIsNone(self.listener.port)

    async def test_there_is_no_move_after_a_stop(self) -> None:
        """
        A stopped listener does not listen anywhere.
        """
        await self.listener.stopService()
        new = await self.free()
        await self.listener.move(f"tcp:{new}:interface=127.0.0.1")
        await self.refused(new)

    def test_a_start_that_cannot_listen_fails(self) -> None:
        """
        Whoever starts the daemon hears at once that the port is taken, in either phase of the start.
        """
        listener = self.make(f"tcp:{self.taken()}:interface=127.0.0.1")
        for start in (listener.privilegedStartService, listener.startService):
            error = self.assertRaises(CannotServe, start)
            self.assertIn("address already in use; stop what holds it, or change server.listen_addr", str(error))

    def test_the_first_port_is_opened_with_privileges(self) -> None:
        """
        The port is open before privileges are given up, and opened once.
        """
        listener = self.make("tcp:0:interface=127.0.0.1")
        listener.privilegedStartService()
        port = listener.port
        self.assertIsNotNone(port)
        listener.startService()
        self.assertIs(listener.port, port)
