"""
A load generator for one server on loopback: hand-written HTTP/1.1 over kept-alive connections, one request under way
on each. Closed loop (as fast as the answers come) or open loop (at an offered rate, whatever the answers do).
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter, deque
from collections.abc import Callable, Sequence
from functools import partial

from attrs import Factory, define, field, frozen

__all__ = ["Load", "apply_load"]

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)


@frozen
class Load:
    """
    What a server did with some requests; times are the event loop's, in seconds.

    :ivar sent: for each request when it was sent, or at an offered rate when it was due: a server that falls behind
        must not make the generator forgive it.
    :ivar latencies: from there to the end of the answer.
    :ivar answers: how often which status and body came.
    """

    started: float
    finished: float
    sent: Sequence[float]
    latencies: Sequence[float]
    answers: Counter[tuple[int, bytes]]

    @property
    def rate(self) -> float:
        """
        Answers a second.
        """
        return len(self.latencies) / (self.finished - self.started)

    @property
    def refused(self) -> int:
        """
        How many answers were not 2xx.
        """
        return sum(count for (status, _), count in self.answers.items() if not 200 <= status < 300)


async def apply_load(port: int, requests: Sequence[bytes], *, connections: int = 16, rate: float | None = None) -> Load:
    """
    Send every request once and wait for its answer.

    :param rate: requests offered a second; ``None`` for as fast as the answers come.
    :raises ConnectionError: the server cannot be reached, or hung up.
    """
    loop = asyncio.get_running_loop()
    run = _Run(requests, rate, loop)
    transports = []
    try:
        for _ in range(connections):
            transport, connection = await loop.create_connection(partial(_Connection, run.lost), "127.0.0.1", port)
            transports.append(transport)
            run.idle.append(connection)
        return await run.measure()
    finally:
        for transport in transports:
            transport.abort()


@define(eq=False)
class _Connection(asyncio.Protocol):
    """
    One connection, one request at a time.
    """

    _lost: Callable[[], None]
    _answered: Callable[[int, bytes], None] | None = field(default=None, init=False)
    _buffer: bytes = field(default=b"", init=False)
    _transport: asyncio.WriteTransport | None = field(default=None, init=False)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def send(self, request: bytes, answered: Callable[[int, bytes], None]) -> None:
        """
        Send a request and tell its status and body.
        """
        assert self._transport is not None
        self._answered = answered
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator or not _complete(head, body):
            return
        answered, self._answered, self._buffer = self._answered, None, b""
        assert answered is not None
        answered(int(head[9:12]), body)

    def connection_lost(self, _reason: Exception | None) -> None:
        self._lost()


def _complete(head: bytes, body: bytes) -> bool:
    if length := _LENGTH.search(head):
        return len(body) >= int(length[1])
    return not _CHUNKED.search(head) or body.endswith(b"0\r\n\r\n")


@define(eq=False)
class _Run:
    """
    Hands requests to idle connections.

    :ivar idle: connections with nothing under way. They take turns: at a low rate each must be used before the server
        takes it for forgotten and hangs up.
    """

    _requests: Sequence[bytes]
    _rate: float | None
    _loop: asyncio.AbstractEventLoop
    idle: deque[_Connection] = field(factory=deque, init=False)
    _due: deque[int] = field(factory=deque, init=False)
    _released: int = field(default=0, init=False)
    _started: float = field(default=0.0, init=False)
    _sent: list[float] = field(factory=list, init=False)
    _latencies: list[float] = field(factory=list, init=False)
    _answers: Counter[tuple[int, bytes]] = field(factory=Counter, init=False)
    _done: asyncio.Future[float] = field(
        default=Factory(lambda self: self._loop.create_future(), takes_self=True), init=False
    )

    async def measure(self) -> Load:
        """
        Run, and sum up.
        """
        self._started = self._loop.time()
        self._sent = [0.0] * len(self._requests)
        if self._rate is None:
            self._due.extend(range(len(self._requests)))
            self._feed()
        else:
            self._release(self._rate)
        finished = await self._done
        return Load(self._started, finished, self._sent, self._latencies, self._answers)

    def lost(self) -> None:
        """
        A connection ended before the run did.
        """
        if not self._done.done():
            self._done.set_exception(ConnectionError("the server hung up"))

    def _release(self, rate: float) -> None:
        now = self._loop.time()
        while self._released < len(self._requests):
            due = self._started + self._released / rate
            if due > now:
                self._loop.call_at(due, self._release, rate)
                break
            self._sent[self._released] = due
            self._due.append(self._released)
            self._released += 1
        self._feed()

    def _feed(self) -> None:
        while self.idle and self._due:
            connection, index = self.idle.popleft(), self._due.popleft()
            if self._rate is None:
                self._sent[index] = self._loop.time()
            connection.send(self._requests[index], partial(self._answered, connection, index))

    def _answered(self, connection: _Connection, index: int, status: int, body: bytes) -> None:
        now = self._loop.time()
        self._latencies.append(now - self._sent[index])
        self._answers[status, body] += 1
        self.idle.append(connection)
        if len(self._latencies) == len(self._requests) and not self._done.done():
            self._done.set_result(now)
        else:
            self._feed()
