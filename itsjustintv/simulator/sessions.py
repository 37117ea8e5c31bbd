"""
EventSub over WebSockets as Twitch serves it at ``wss://eventsub.wss.twitch.tv/ws``: sessions, each on one socket after
the other.

The rules are those of dev.twitch.tv, "Handling WebSocket Events" and "WebSocket reference". How long Twitch waits for a
pong is not documented.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from random import Random
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import UUID

import orjson
from attrs import define, field, frozen
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.web import http
from websockets.frames import Opcode
from websockets.http11 import Request

from itsjustintv.simulator.behaviour import Behaviour, Script
from itsjustintv.simulator.websockets import ServerSocket
from itsjustintv.simulator.world import rfc3339

__all__ = ["DISCONNECTED", "SimulatedSession", "SimulatedSessions", "Undelivered"]

DISCONNECTED = "websocket_disconnected"
_NETWORK_ERROR = "websocket_network_error"

#: The close codes, each with its text and the status of what the session served ("WebSocket reference", "Close codes").
_CODES: Mapping[int, tuple[str, str]] = {
    4000: ("internal server error", "websocket_internal_error"),
    4001: ("client sent inbound traffic", "websocket_received_inbound_traffic"),
    4002: ("client failed ping-pong", "websocket_failed_ping_pong"),
    4003: ("connection unused", "websocket_connection_unused"),
    4004: ("client reconnect grace time expired", "websocket_failed_to_reconnect"),
    4005: ("network timeout", "websocket_network_timeout"),
    4006: ("network error", _NETWORK_ERROR),
    4007: ("invalid reconnect attempt", DISCONNECTED),
}

_LEAST, _MOST, _USUAL = 10, 600, 10
_REMEMBERED = 1000


@define(eq=False)
class SimulatedSession:
    """
    One session.

    :ivar keepalive: seconds without a message after which a keepalive is sent.
    :ivar used: whether it was assigned to a shard or to a subscription.
    :ivar status: ``connected``, ``reconnecting``, or the reason for its end.
    :ivar over: whether it has ended.
    :ivar frames: the number of notifications and revocations written to its sockets.
    :ivar connection: the socket on which messages are sent.
    :ivar token: makes the ``reconnect_url`` good; empty when it was used.
    """

    id: str
    keepalive: float
    connected_at: str
    used: bool = False
    status: str = "connected"
    over: bool = False
    frames: int = 0
    connection: _Connection | None = field(default=None, repr=False)
    token: str = field(default="", repr=False)

    @property
    def silent(self) -> bool:
        """
        Whether its socket is dead without Twitch knowing it.
        """
        return self.connection is not None and self.connection.socket.silent


@define(eq=False)
class _Connection:
    """
    One socket, and the calls that are planned for it.
    """

    socket: ServerSocket
    host: str
    session: SimulatedSession | None = None
    unanswered_since: float | None = None
    calls: dict[str, IDelayedCall] = field(factory=dict)

    @property
    def current(self) -> bool:
        """
        Whether notifications go here.
        """
        return self.session is not None and self.session.connection is self and not self.session.over

    def plan(self, clock: IReactorTime, what: str, seconds: float, call: Callable[[], object]) -> None:
        self.cancel(what)
        self.calls[what] = clock.callLater(seconds, call)

    def cancel(self, *which: str) -> None:
        for name in which or list(self.calls):
            call = self.calls.pop(name, None)
            if call is not None and call.active():
                call.cancel()


@frozen
class Undelivered:
    """
    A message that no client received.

    :ivar reason: why, for people.
    """

    id: str
    type: str
    reason: str


@define(eq=False)
class SimulatedSessions:
    """
    Serves ``/ws``. A handshake is an endpoint with the name ``ws`` of the script: it can be refused with a status, come
    late, hang or drop.

    :ivar on_end: called with the id of each session that has ended, and the status of what it served.
    :ivar keepalive: seconds between keepalives, whatever a client asks for; else 10 to 600 as asked for.
    :ivar ping_interval: seconds between pings.
    :ivar pong_timeout: seconds that a ping may be unanswered.
    :ivar unused_after: seconds from the welcome until a session that serves nothing is closed.
    :ivar reconnect_grace: seconds from ``session_reconnect`` until the old socket is closed.
    :ivar welcome_after: seconds from the handshake to the welcome.
    :ivar frame_delay: seconds by which notifications and revocations are late.
    :ivar strict_pings: whether a ping from the client counts as inbound traffic; the documents allow only pongs, while
        clients that ping live.
    :ivar lost: the messages that were written to a dead socket, or came too late for one.
    """

    _clock: IReactorTime
    _random: Random
    _script: Script
    on_end: list[Callable[[str, str], object]] = field(factory=list)
    keepalive: float | None = None
    ping_interval: float = 5.0
    pong_timeout: float = 10.0
    unused_after: float = 10.0
    reconnect_grace: float = 30.0
    welcome_after: float = 0.0
    frame_delay: float = 0.0
    strict_pings: bool = False
    lost: deque[Undelivered] = field(factory=lambda: deque(maxlen=_REMEMBERED), init=False)
    closed: deque[tuple[str, int]] = field(factory=lambda: deque(maxlen=_REMEMBERED), init=False)
    _sessions: dict[str, SimulatedSession] = field(factory=dict, init=False)
    _connections: dict[ServerSocket, _Connection] = field(factory=dict, init=False)
    _late: set[IDelayedCall] = field(factory=set, init=False)

    # The sessions, for those who assign them.

    def get(self, session_id: str) -> SimulatedSession | None:
        """
        The session with this id, unless it has ended.
        """
        return self._sessions.get(session_id)

    def use(self, session_id: str) -> SimulatedSession | None:
        """
        Note that a session serves something; ``None`` if it has ended or never began.
        """
        session = self.get(session_id)
        if session is not None:
            session.used = True
            if session.connection is not None:
                session.connection.cancel("unused")
        return session

    def __iter__(self) -> Any:
        return iter(list(self._sessions.values()))

    def sockets(self, session_id: str) -> int:
        """
        The number of sockets of a session: two while it changes from one to another.
        """
        return sum(each.session is not None and each.session.id == session_id for each in self._connections.values())

    def send(self, session_id: str, message_id: str, kind: str, text: bytes) -> bool:
        """
        Write a notification or a revocation to a session.

        :return: whether Twitch believes that there is a client.
        """
        session = self.get(session_id)
        if session is None:
            return False

        def write() -> None:
            connection = session.connection
            if session.over or connection is None or not connection.socket.open:
                self.lost.append(Undelivered(message_id, kind, "the session had ended when the message was due"))
                return
            if connection.socket.silent:
                self.lost.append(Undelivered(message_id, kind, "the socket was dead"))
            session.frames += 1
            self._write(connection, text)

        if self.frame_delay > 0:
            self._later(self.frame_delay, write)
        else:
            write()
        return True

    # What a test or a script does to sessions.

    def reconnect(self, session_id: str, url: str = "") -> str:
        """
        Ask the client to change to another socket.

        :param url: another one than the right one.
        :return: the right ``reconnect_url``, which is good once.
        :raises LookupError: there is no such session.
        """
        session, connection = self._found(session_id)
        session.token = f"{self._random.getrandbits(128):032x}"
        session.status = "reconnecting"
        right = f"{connection.host}/ws?{urlencode({'challenge': session.token, 'id': session.id})}"
        self._about(connection, session, "session_reconnect", url or right)
        # A client that is asked again has no more time.
        if "grace" not in connection.calls:
            connection.plan(self._clock, "grace", self.reconnect_grace, lambda: self._close(connection, 4004))
        return right

    def sever(self, session_id: str, how: str, code: int = 4000) -> None:
        """
        Break the socket of a session.

        :param how: ``close`` with this code, ``fin``, ``rst``, or ``silence``: it dies without a word, and Twitch finds
            out when no pong comes.
        :raises LookupError: there is no such session.
        :raises ValueError: there is no such way.
        """
        _, connection = self._found(session_id)
        match how:
            case "close":
                self._close(connection, code)
            case "fin":
                self._over(connection, _NETWORK_ERROR)
                connection.socket.finish()
            case "rst":
                self._over(connection, _NETWORK_ERROR)
                connection.socket.abort()
            case "silence":
                connection.socket.silent = True
            case _:
                raise ValueError(f"unknown way to break a socket: {how}")

    def write(self, session_id: str, what: str, *, text: str = "", size: int = 1 << 20) -> None:
        """
        Send what Twitch does not send, or not today.

        :param what: ``text``: this text; ``garbage``: a text that is not JSON; ``unknown``: a message of an unknown
            type; ``huge``: one of at least this size; ``binary``: a binary message; ``bytes``: no frame at all.
        :raises LookupError: there is no such session.
        :raises ValueError: there is nothing of that name.
        """
        _, connection = self._found(session_id)
        match what:
            case "text":
                self._write(connection, text.encode())
            case "garbage":
                self._write(connection, b"{]")
            case "unknown":
                self._write(connection, self._own("session_surprise", {}))
            case "huge":
                self._write(connection, self._own("session_surprise", {"padding": "x" * size}))
            case "binary":
                connection.socket.send_binary(b"\x00\x01")
            case "bytes":
                # A frame with reserved bits set (RFC 6455, 5.2).
                connection.socket.send_bytes(b"\xff\xff\xff\xff")
            case _:
                raise ValueError(f"unknown message: {what}")

    def stop(self) -> None:
        """
        Plan nothing more, and abort every connection.
        """
        for call in self._late:
            call.cancel()
        self._late.clear()
        for socket, connection in list(self._connections.items()):
            connection.cancel()
            socket.abort()

    # The listener of the sockets.

    def asked(self, socket: ServerSocket, request: Request) -> None:
        """
        Answer a handshake.
        """
        behaviour = self._script.next("ws")
        if behaviour.drop:
            socket.abort()
        elif behaviour.hang:
            pass
        elif behaviour.delay > 0:
            self._later(behaviour.delay, lambda: self._answer(socket, request, behaviour))
        else:
            self._answer(socket, request, behaviour)

    def received(self, socket: ServerSocket, opcode: Opcode) -> None:
        """
        Close the socket of a client that speaks.
        """
        connection = self._connections.get(socket)
        if connection is not None and (opcode is not Opcode.PING or self.strict_pings):
            self._close(connection, 4001)

    def ponged(self, socket: ServerSocket) -> None:
        """
        Note that the client is alive.
        """
        connection = self._connections.get(socket)
        if connection is not None:
            connection.unanswered_since = None

    def ended(self, socket: ServerSocket, *, orderly: bool) -> None:
        """
        End the session of a socket, unless another socket has taken over.
        """
        connection = self._connections.pop(socket, None)
        if connection is not None:
            self._over(connection, DISCONNECTED if orderly else _NETWORK_ERROR)

    # Inside.

    def _answer(self, socket: ServerSocket, request: Request, behaviour: Behaviour) -> None:
        if behaviour.status != http.OK:
            socket.refuse(behaviour.status, behaviour.body.decode(), behaviour.headers)
            return
        url = urlsplit(request.path)
        if url.path != "/ws":
            socket.refuse(http.NOT_FOUND, "Not Found\n", {})
            return
        socket.accept()
        if not socket.open:
            return
        host = f"{socket.scheme}://{request.headers.get('Host', '')}"
        connection = self._connections[socket] = _Connection(socket, host)
        query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        if "challenge" in query:
            self._resume(connection, query)
        else:
            self._begin(connection, query.get("keepalive_timeout_seconds", ""))

    def _begin(self, connection: _Connection, asked: str) -> None:
        keepalive = float(min(_MOST, max(_LEAST, int(asked)))) if asked.isdecimal() else float(_USUAL)
        session = SimulatedSession(
            id=f"AgoQ{self._random.getrandbits(200):050x}",
            keepalive=keepalive if self.keepalive is None else self.keepalive,
            connected_at=rfc3339(self._clock.seconds()),
        )
        self._sessions[session.id] = session
        self._take(connection, session)

    def _resume(self, connection: _Connection, query: Mapping[str, str]) -> None:
        """
        Move a session to this socket, if the url is good.
        """
        session = self.get(query.get("id", ""))
        if session is None or not session.token or session.token != query["challenge"]:
            self._close(connection, 4007)
            return
        session.token, session.status = "", "connected"
        self._take(connection, session)

    def _take(self, connection: _Connection, session: SimulatedSession) -> None:
        connection.session = session
        if self.welcome_after > 0:
            connection.plan(self._clock, "welcome", self.welcome_after, lambda: self._welcome(connection, session))
        else:
            self._welcome(connection, session)

    def _welcome(self, connection: _Connection, session: SimulatedSession) -> None:
        if session.over:
            return
        # From now on nothing is sent on the socket before.
        if (before := session.connection) is not None:
            before.cancel("keepalive")
        session.connection = connection
        self._about(connection, session, "session_welcome", None)
        if not session.used:
            connection.plan(self._clock, "unused", self.unused_after, lambda: self._close(connection, 4003))
        self._ping_later(connection)

    def _about(self, connection: _Connection, session: SimulatedSession, kind: str, url: str | None) -> None:
        whole = int(session.keepalive) == session.keepalive
        seconds = int(session.keepalive) if whole else session.keepalive
        about = {
            "id": session.id,
            "status": session.status,
            "connected_at": session.connected_at,
            "keepalive_timeout_seconds": seconds if url is None else None,
            "reconnect_url": url,
        }
        self._write(connection, self._own(kind, {"session": about}))

    def _own(self, kind: str, payload: Mapping[str, object]) -> bytes:
        metadata = {
            "message_id": str(UUID(int=self._random.getrandbits(128), version=4)),
            "message_type": kind,
            "message_timestamp": rfc3339(self._clock.seconds()),
        }
        return orjson.dumps({"metadata": metadata, "payload": payload})

    def _write(self, connection: _Connection, text: bytes) -> None:
        """
        Send a message, which puts off the next keepalive.
        """
        connection.socket.send_text(text)
        if connection.current and connection.session is not None:
            connection.plan(
                self._clock,
                "keepalive",
                connection.session.keepalive,
                lambda: self._write(connection, self._own("session_keepalive", {})),
            )

    def _ping_later(self, connection: _Connection) -> None:
        connection.plan(self._clock, "ping", self.ping_interval, lambda: self._ping(connection))

    def _ping(self, connection: _Connection) -> None:
        now = self._clock.seconds()
        if connection.unanswered_since is None:
            connection.unanswered_since = now
        elif now - connection.unanswered_since >= self.pong_timeout:
            self._close(connection, 4002)
            return
        connection.socket.ping(b"%016x" % self._random.getrandbits(64))
        self._ping_later(connection)

    def _close(self, connection: _Connection, code: int) -> None:
        reason, status = _CODES.get(code, ("", "websocket_internal_error"))
        self.closed.append((connection.session.id if connection.session else "", code))
        self._over(connection, status)
        self._connections.pop(connection.socket, None)
        connection.socket.close(code, reason)

    def _over(self, connection: _Connection, status: str) -> None:
        """
        Plan nothing more for a socket; if it was the current one, its session has ended.
        """
        connection.cancel()
        session = connection.session
        if session is None or not (connection.current or session.connection is None) or session.over:
            return
        session.over, session.status, session.token = True, status, ""
        self._sessions.pop(session.id, None)
        for told in self.on_end:
            told(session.id, status)

    def _found(self, session_id: str) -> tuple[SimulatedSession, _Connection]:
        session = self.get(session_id)
        if session is None or session.connection is None:
            raise LookupError(f"unknown session {session_id}")
        return session, session.connection

    def _later(self, seconds: float, work: Callable[[], object]) -> None:
        def begin() -> None:
            self._late.discard(call)
            work()

        call = self._clock.callLater(seconds, begin)
        self._late.add(call)
