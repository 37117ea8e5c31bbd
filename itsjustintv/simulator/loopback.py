"""
Listening on 127.0.0.1, with every connection closed at the end; and helpers for Deferreds.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred, gatherResults, maybeDeferred
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IReactorTime
from twisted.internet.task import deferLater
from twisted.protocols.policies import WrappingFactory
from twisted.python.failure import Failure
from twisted.web.resource import IResource
from twisted.web.server import Site

__all__ = ["Listening", "all_of", "cancelling", "free_port", "listen", "listen_with"]

#: Ports that were found free, the latest at the end.
_RESERVED: deque[socket.socket] = deque()
_KEPT = 128


@frozen
class Listening:
    """
    A server on a port of this machine.
    """

    _port: IListeningPort
    _connections: WrappingFactory

    @property
    def port(self) -> int:
        number: int = self._port.getHost().port  # type: ignore[attr-defined]
        return number

    @property
    def url(self) -> str:
        """
        The URL, without a trailing slash.
        """
        return f"http://127.0.0.1:{self.port}"

    @property
    def websocket_url(self) -> str:
        """
        The URL of EventSub's WebSockets, if that is what is served.
        """
        return f"ws://127.0.0.1:{self.port}/ws"

    async def finish(self, clock: IReactorTime, patience: float = 1.0) -> None:
        """
        Stop listening, and close every connection when its data has been sent, or after so many seconds.
        """
        await maybeDeferred(self._port.stopListening)
        for connection in list(self._connections.protocols):
            connection.transport.loseConnection()
        end = clock.seconds() + patience
        while self._connections.protocols and clock.seconds() < end:
            await deferLater(clock, 0.01)
        await self.stop()

    async def stop(self) -> None:
        """
        Stop listening, and abort every connection.
        """
        await maybeDeferred(self._port.stopListening)
        for connection in list(self._connections.protocols):
            connection.transport.abortConnection()


def listen(reactor: Any, resource: IResource, port: int = 0, interface: str = "127.0.0.1") -> Listening:
    """
    Serve a resource, on loopback unless another address is given.

    :param port: 0 for any free port.
    """
    return listen_with(reactor, Site(resource, reactor=reactor), port, interface)


def listen_with(reactor: Any, factory: IProtocolFactory, port: int = 0, interface: str = "127.0.0.1") -> Listening:
    """
    Serve with any protocol, on loopback unless another address is given.

    :param port: 0 for any free port.
    """
    connections = WrappingFactory(factory)
    return Listening(reactor.listenTCP(port, connections, interface=interface), connections)


def free_port() -> int:
    """
    Find a free port for a process that must be given a number.

    A socket stays bound to it for a while, without listening. So the kernel gives the port to no one who asks for any
    port, while a server that asks for this one gets it: servers set ``SO_REUSEADDR`` (socket(7)).
    """
    reservation = socket.socket()
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reservation.bind(("127.0.0.1", 0))
    _RESERVED.append(reservation)
    if len(_RESERVED) > _KEPT:
        _RESERVED.popleft().close()
    number: int = reservation.getsockname()[1]
    return number


_Result = TypeVar("_Result")


def all_of(waiting: Iterable[Deferred[_Result]]) -> Deferred[list[_Result]]:
    """
    Wait for all. Fails as the first one that fails, not with a ``FirstError`` that would hide a cancellation.
    """

    def unwrap(failure: Failure) -> Failure:
        first: Any = failure.value
        unwrapped: Failure = first.subFailure
        return unwrapped

    return gatherResults(list(waiting), consumeErrors=True).addErrback(unwrap)


def cancelling(exchange: Coroutine[Any, Any, _Result]) -> Deferred[_Result]:
    """
    Start an HTTP exchange that fails with ``CancelledError`` when it is cancelled. A cancelled request of
    :class:`twisted.web.client.Agent` fails with one of several network errors instead.
    """
    inner = Deferred.fromCoroutine(exchange)

    def abandon(outer: Deferred[_Result]) -> None:
        outer.errback(CancelledError())
        inner.cancel()

    outer: Deferred[_Result] = Deferred(abandon)

    def succeeded(result: _Result) -> None:
        if not outer.called:
            outer.callback(result)

    def failed(failure: Failure) -> None:
        if not outer.called:
            outer.errback(failure)

    inner.addCallbacks(succeeded, failed)
    return outer
