"""
Sockets without a network, for tests of what listens to them.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.internet.task import Clock

from itsjustintv.support.websocket import Closed, WebSocketListener
from itsjustintv.twitch.eventsub.messages import Frame
from itsjustintv.twitch.eventsub.session import EventSubSession, Gap

URL = "wss://eventsub.wss.twitch.tv/ws"


def message(kind: str, payload: Any = None, number: int = 0) -> str:
    """
    A frame as Twitch sends it.
    """
    metadata = {
        "message_id": f"m-{kind}-{number}",
        "message_type": kind,
        "message_timestamp": "2026-01-02T03:04:05.678901234Z",
    }
    return json.dumps({"metadata": metadata, "payload": payload or {}})


def welcome(session_id: str, keepalive: Any = 10) -> str:
    """
    The frame that opens a session.
    """
    session = {
        "id": session_id,
        "status": "connected",
        "connected_at": "2026-01-02T03:04:05.678901234Z",
        "keepalive_timeout_seconds": keepalive,
        "reconnect_url": None,
    }
    return message("session_welcome", {"session": session})


def reconnect(session_id: str, url: Any = f"{URL}?challenge=abc") -> str:
    """
    The frame that asks for another connection.
    """
    session = {
        "id": session_id,
        "status": "reconnecting",
        "keepalive_timeout_seconds": None,
        "reconnect_url": url,
    }
    return message("session_reconnect", {"session": session})


@define(eq=False)
class FakeSocket:
    """
    Keeps the contract of :class:`itsjustintv.support.websocket.WebSocket`. A test is the server.
    """

    clock: Clock
    url: str
    listener: WebSocketListener
    is_open: bool = False
    closing: bool = False
    aborted: bool = False
    paused: bool = False
    over: bool = False
    told: bool = False
    said: list[str] = field(factory=list)
    events: deque[Callable[[], None]] = field(factory=deque)

    @property
    def live(self) -> bool:
        return not self.over and not self.aborted

    def open(self) -> None:
        self.is_open = True
        self._tell(self.listener.opened)

    def say(self, text: str) -> None:
        """
        The server sends a message.
        """
        assert self.is_open and self.live
        self.said.append(text)
        self._tell(lambda: self.listener.received(text))

    def end(self, code: int | None = None, reason: str = "it was cut") -> None:
        """
        The connection ends, or cannot be had.
        """
        if not self.over:
            self.over = True
            self._tell(lambda: self._closed(Closed(code, reason, self.is_open)))

    def close(self, code: int = 1000, reason: str = "") -> None:
        if not self.is_open:
            self.abort()
            return
        self.closing = True
        self.clock.callLater(2.0, self.end)
        self.resume()

    def abort(self) -> None:
        if not self.aborted and not self.told:
            self.aborted, self.paused = True, False
            self.events.clear()
            if self.over:
                self._closed(Closed(None, "it was closed here", self.is_open))
            else:
                self.clock.callLater(0, self.end)

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False
        self._tell(None)

    def _closed(self, closed: Closed) -> None:
        assert not self.told
        self.told = True
        self.listener.closed(closed)

    def _tell(self, event: Callable[[], None] | None) -> None:
        if event is not None:
            self.events.append(event)
        while self.events and not self.paused:
            self.events.popleft()()


@define(eq=False)
class FakeDialer:
    """
    Makes such sockets, which are neither opened nor refused by themselves.
    """

    clock: Clock
    sockets: list[FakeSocket] = field(factory=list)

    def dial(self, url: str, listener: WebSocketListener) -> FakeSocket:
        self.sockets.append(FakeSocket(self.clock, url, listener))
        return self.sockets[-1]

    @property
    def live(self) -> list[FakeSocket]:
        return [socket for socket in self.sockets if socket.live]


@define(eq=False)
class Owner:
    """
    Remembers what it is called for, and assigns what it is given unless it is told otherwise.

    :ivar answers: what it does with a session that must be assigned.
    :ivar then: what it does with each frame.
    :ivar fault: what it raises.
    """

    answers: Callable[[EventSubSession, str], None] = lambda session, session_id: session.assigned(session_id)
    welcomes: list[str] = field(factory=list)
    frames: list[Frame] = field(factory=list)
    gaps: list[Gap] = field(factory=list)
    fault: Exception | None = None
    then: Callable[[], object] = lambda: None

    def welcomed(self, session: EventSubSession, session_id: str) -> None:
        self.welcomes.append(session_id)
        self.answers(session, session_id)
        self._fail()

    def received(self, session: EventSubSession, frame: Frame) -> None:
        self.frames.append(frame)
        self.then()
        self._fail()

    def lost(self, session: EventSubSession, gap: Gap) -> None:
        self.gaps.append(gap)
        self._fail()

    def _fail(self) -> None:
        if self.fault is not None:
            raise self.fault
