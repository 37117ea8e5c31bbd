"""
The sessions of one shard of a conduit: one after the other, for as long as the daemon runs.

dev.twitch.tv, "Handling WebSocket events" and "Handling conduit events". Nothing is sent on the socket, and Twitch
sends nothing twice: what is missed while no session is assigned is a gap, and the owner has to ask who is live.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Protocol

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from itsjustintv.support.backoff import exponential, varied
from itsjustintv.support.counts import Counted
from itsjustintv.support.durations import Seconds, duration
from itsjustintv.support.foreign_text import quote
from itsjustintv.support.log_throttle import LogOnChange, LogThrottle
from itsjustintv.support.waiters import Waiters
from itsjustintv.support.websocket import Closed, Dialer, websocket_url
from itsjustintv.twitch.eventsub.messages import Frame
from itsjustintv.twitch.eventsub.session_socket import SessionSocket

__all__ = ["EventSubSession", "Gap", "SessionOwner", "SessionStatus"]

# In seconds: from the welcome to the assignment, for which Twitch allows 10; and for how long a session must have been
# assigned before the next loss counts as the first.
_ASSIGNMENT = 8.0
_PROVEN = 60.0

# Of the pauses before dialling, in seconds.
_FIRST = 1.0
_LONGEST = 60.0
_JITTER = 0.2

# dev.twitch.tv, "EventSub WebSocket reference": close codes.
_TRAFFIC = 4001
_MEANINGS: Mapping[int, str] = {
    4000: "an internal error at Twitch",
    _TRAFFIC: "Twitch received something from this daemon, which it does not allow",
    4002: "Twitch received no answer to its pings",
    4003: "the session was not assigned to the shard in time",
    4004: "the connection was not changed in time, as Twitch had asked",
    4005: "a timeout in Twitch's network",
    4006: "an error in Twitch's network",
    4007: "Twitch did not accept the address that it had given",
}

_LOST = "{shard} lost its session: {reason}; {dialling}"
_NOT_HAD = "{shard} cannot get a session: {reason}; {dialling}"
_NOT_CHANGED = "{shard} cannot change to another connection: {reason}; {dialling}"

_OF_TWITCH = re.compile(r"[a-z0-9.-]+\.twitch\.tv")


@frozen
class Gap:
    """
    A time in which messages may have been missed. It began with the last frame, and lasts until the next session of the
    shard is assigned.

    :ivar since: seconds by the clock of the session.
    :ivar reason: why the session was lost, in plain words, without a full stop.
    :ivar code: the close code of Twitch, if there was one.
    """

    since: float
    reason: str
    code: int | None


@frozen(kw_only=True)
class SessionStatus:
    """
    What is to be known of a shard's sessions. Times are in seconds by the clock of the session.

    :ivar state: ``stopped``; ``waiting`` to dial again; ``connecting`` until the welcome; ``welcomed`` until the
        assignment is confirmed; ``assigned``.
    :ivar since: when that state began.
    :ivar session_id: of the session that is assigned, or else to be assigned; empty without one.
    :ivar last_frame: when the last frame of any kind came; ``None`` before the first.
    :ivar paused: whether reading is suspended.
    :ivar losses: how many sessions were lost that were assigned; each left a gap.
    :ivar moves: how often Twitch had it change to another connection, which left none.
    :ivar reason: why the last session was lost, or none could be had; empty if there was no such case.
    :ivar code: the close code of Twitch that belongs to it, if there was one.
    """

    state: str
    since: float
    session_id: str
    last_frame: float | None
    paused: bool
    losses: int
    moves: int
    reason: str
    code: int | None


class SessionOwner(Protocol):
    """
    Is called by a session until it is stopped, possibly from within a call to it.
    """

    def welcomed(self, session: EventSubSession, session_id: str) -> None:
        """
        A session must be assigned to the shard, and the outcome be passed to :meth:`EventSubSession.assigned` or
        :meth:`EventSubSession.drop` within 8 seconds: Twitch closes one that is unused for 10.
        """

    def received(self, session: EventSubSession, frame: Frame) -> None:
        """
        A notification, a revocation or a message of a type that is not known here arrived. During a change of the
        connection one may arrive twice.
        """

    def lost(self, session: EventSubSession, gap: Gap) -> None:
        """
        An assigned session was lost. Called once for each gap, as soon as it is noticed.
        """


@define(eq=False)
class EventSubSession:
    """
    Keeps one shard supplied with a session.

    There are at most two connections. Where a session is assigned and another connection is made, since Twitch asked
    for it, both are read until the new one has the session.

    :ivar random: from 0 to 1.
    :ivar url: the configured address, read for each dialling.
    :ivar keepalive: after how many seconds of silence Twitch is to send a keepalive; likewise.
    :ivar name: of the shard, for the log: ``shard 0``.
    """

    _dialer: Dialer
    _clock: IReactorTime
    _random: Callable[[], float]
    _url: Callable[[], str]
    _keepalive: Callable[[], int]
    _owner: SessionOwner
    name: str
    # The connection with the session that is assigned; the one that is to have it; the one that had it.
    _serving: SessionSocket | None = field(default=None, init=False)
    _coming: SessionSocket | None = field(default=None, init=False)
    _leaving: SessionSocket | None = field(default=None, init=False)
    # Every connection that is not gone.
    _open: list[SessionSocket] = field(factory=list, init=False)
    _assignment: IDelayedCall | None = field(default=None, init=False)
    _redial: IDelayedCall | None = field(default=None, init=False)
    _dialled_at: float = field(default=0.0, init=False)
    _running: bool = field(default=False, init=False)
    _paused: bool = field(default=False, init=False)
    _failures: int = field(default=0, init=False)
    _assigned_at: float = field(default=0.0, init=False)
    _deaf_since: float | None = field(default=None, init=False)
    _state: str = field(default="stopped", init=False)
    _since: float = field(init=False)
    _last_frame: float | None = field(default=None, init=False)
    _losses: int = field(default=0, init=False)
    _moves: int = field(default=0, init=False)
    _reason: str = field(default="", init=False)
    _code: int | None = field(default=None, init=False)
    _unreadable: LogThrottle = field(init=False)
    _logged: LogOnChange = field(factory=LogOnChange, init=False)
    _stopping: Waiters[None] = field(factory=Waiters, init=False)

    log = Logger()

    def __attrs_post_init__(self) -> None:
        self._since = self._clock.seconds()
        self._unreadable = LogThrottle(self._clock)

    def start(self) -> None:
        """
        Dial. Called once.
        """
        self._running = True
        self._dial()

    def stop(self) -> Deferred[None]:
        """
        Close every connection, politely. The owner is not called any more.

        :return: fires when they are gone, within about two seconds.
        """
        self._running = False
        self._cancel_redial()
        self._cancel_assignment()
        self._serving = self._coming = self._leaving = self._deaf_since = None
        self._note()
        for socket in list(self._open):
            socket.close()
        return self._stopping.wait() if self._open else succeed(None)

    def assigned(self, session_id: str) -> None:
        """
        The assignment of a session was confirmed. Does nothing if that session is gone.
        """
        coming = self._coming
        if coming is None or not coming.id or coming.id != session_id:
            return
        self._assigned_at = self._clock.seconds()
        if self._serving is not None:
            self._changed(coming)
            return
        self._serve(coming)
        self._logged.reset()
        if self._deaf_since is None:
            self.log.info("{shard} has a session", shard=self.name)
        else:
            age = Seconds(self._clock.seconds() - self._deaf_since)
            self.log.info("{shard} has a session again, after {age}", shard=self.name, age=age)
        self._deaf_since = None

    def holds(self, session_id: str) -> bool:
        """
        Whether a session is assigned, or is still to be.
        """
        return any(socket is not None and socket.id == session_id for socket in (self._coming, self._serving))

    def drop(self, session_id: str, reason: str) -> None:
        """
        A session could not be assigned, or is not assigned any more: close it, and dial after a pause. Does nothing if
        it is gone.

        :param reason: in plain words, without a full stop.
        """
        for socket in (self._coming, self._serving):
            if socket is not None and session_id and socket.id == session_id:
                served = self._release(socket)
                self._leave(socket)
                self._lost(socket, served, reason, None)
                return

    def pause(self) -> None:
        """
        Stop reading, until :meth:`resume`; Twitch's messages wait in the connection. Silence is not counted meanwhile.
        """
        if self._running and not self._paused:
            self._paused = True
            for socket in self._open:
                if socket.id:
                    socket.pause()

    def resume(self) -> None:
        """
        Read on.
        """
        if not self._paused:
            return
        self._paused = False
        for socket in list(self._open):
            # What had been received may cause another pause.
            if not self._paused and socket.id:
                socket.resume()
        if not self._paused and self._leaving is not None:
            self._leaving.close()

    def status(self) -> SessionStatus:
        """
        Say how things stand.
        """
        session = self._serving or self._coming
        return SessionStatus(
            state=self._state,
            since=self._since,
            session_id=session.id if session else "",
            last_frame=self._heard(),
            paused=self._paused,
            losses=self._losses,
            moves=self._moves,
            reason=self._reason,
            code=self._code,
        )

    def _dial(self, url: str = "", replaces: str = "") -> None:
        """
        Make a connection, while there is none or the one that is to be replaced.

        :param url: that Twitch gave; by default the configured one.
        :param replaces: the id of the session that is to move there.
        """
        self._cancel_redial()
        if self._serving is not None and self._leaving is not None:
            leaving, self._leaving = self._leaving, None
            leaving.abort()
        self._dialled_at = self._clock.seconds()
        socket = SessionSocket(
            self._clock,
            self._keepalive(),
            self._welcomed,
            self._received,
            self._skipped,
            self._failed,
            self._gone,
            replaces,
        )
        self._open.append(socket)
        self._coming = socket
        socket.connection = self._dialer.dial(url or self._address(), socket)
        self._note()

    def _address(self) -> str:
        url = self._url()
        return f"{url}{'&' if '?' in url else '?'}keepalive_timeout_seconds={self._keepalive()}"

    def _welcomed(self, socket: SessionSocket) -> None:
        if socket is not self._coming:
            return
        if self._paused:
            socket.pause()
        if socket.replaces and socket.replaces == socket.id:
            self._changed(socket)
            return
        self._assignment = self._clock.callLater(
            _ASSIGNMENT, self.drop, socket.id, f"the session was not assigned within {duration(_ASSIGNMENT)}"
        )
        self._note()
        self._call(self._owner.welcomed, socket.id)

    def _changed(self, socket: SessionSocket) -> None:
        self._moves += 1
        self._serve(socket)
        self.log.info("{shard} has changed to another connection, as Twitch asked", shard=self.name)

    def _serve(self, socket: SessionSocket) -> None:
        """
        Let a connection be the one that counts, and the one that did until now leave.
        """
        before, self._serving, self._coming = self._serving, socket, None
        self._cancel_assignment()
        self._note()
        if before is not None:
            self._leave(before)

    def _leave(self, socket: SessionSocket) -> None:
        """
        Close a connection politely, once nothing waits in it.
        """
        if self._leaving is not None:
            self._leaving.abort()
        self._leaving = socket
        if not self._paused:
            socket.close()

    def _received(self, socket: SessionSocket, frame: Frame) -> None:
        if not self._running:
            return
        if frame.kind == "session_reconnect":
            self._move(socket, frame.payload.object("session").text("reconnect_url"))
        else:
            self._call(self._owner.received, frame)

    def _move(self, socket: SessionSocket, url: str) -> None:
        """
        Twitch wants another connection for a session, and closes this one in 30 seconds.
        """
        if socket is self._coming:
            self._failed(socket, "Twitch asked for another connection before the session was assigned")
        if socket is not self._serving or self._coming is not None:
            return
        self._prove()
        if reason := self._refusal(url):
            self.log.warn(
                "Twitch gave {shard} an address that is not used: {reason}; dialling the configured one",
                shard=self.name,
                reason=reason,
            )
            url = ""
        # No more than one in a second, however often Twitch asks.
        self._schedule(max(0.0, self._dialled_at + _FIRST - self._clock.seconds()), url, socket.id if url else "")

    def _refusal(self, url: str) -> str:
        """
        Say why a session must not move to an address: what answers there is believed.
        """
        try:
            found = websocket_url(url)
        except ValueError:
            # Not quoted, since what it holds may be a secret.
            return "it is not a ws or wss URL"
        try:
            configured = websocket_url(self._url())
        except ValueError:
            configured = None
        if found.scheme == "https" and _OF_TWITCH.fullmatch(found.host):
            return ""
        if configured is not None and configured.host == found.host:
            return "" if found.scheme in ("https", configured.scheme) else f"{found.host} without TLS"
        return f"{quote(found.host)} is neither below twitch.tv nor the configured host"

    def _skipped(self, reason: str) -> None:
        if count := self._unreadable.count("frame"):
            self.log.warn(
                "skipped {count} on the socket of {shard}, the last because {reason}",
                count=Counted(count, "message"),
                shard=self.name,
                reason=reason,
            )

    def _failed(self, socket: SessionSocket, reason: str) -> None:
        """
        A connection is of no more use.
        """
        if socket in (self._coming, self._serving):
            served = self._release(socket)
            socket.abort()
            self._lost(socket, served, reason, None)

    def _gone(self, socket: SessionSocket, closed: Closed) -> None:
        self._last_frame = self._heard()
        self._open.remove(socket)
        if socket is self._leaving:
            self._leaving = None
        elif socket in (self._coming, self._serving):
            meaning = _MEANINGS.get(closed.code or 0)
            reason = f"{closed.reason} ({meaning})" if meaning else closed.reason
            self._lost(socket, self._release(socket), reason, closed.code)
        if not self._open and not self._running:
            self._stopping.answer(None)

    def _release(self, socket: SessionSocket) -> bool:
        """
        Let a connection be none of those that count.

        :return: whether its session was assigned.
        """
        if socket is not self._serving:
            self._coming = None
            self._cancel_assignment()
            return False
        self._serving = None
        if self._coming is not None:
            # Its session is not taken as assigned now: a change that was too late may leave none.
            self._coming.replaces = ""
        return True

    def _lost(self, socket: SessionSocket, served: bool, reason: str, code: int | None) -> None:
        since = self._clock.seconds() if socket.heard_at is None else socket.heard_at
        self._reason, self._code = reason, code
        if served:
            self._losses += 1
            self._deaf_since = since
            self._prove()
        if self._coming is None:
            self._schedule(self._pause(code))
        self._note()
        self._tell_loss(served, reason, code)
        if served:
            self._call(self._owner.lost, Gap(since, reason, code))

    def _tell_loss(self, served: bool, reason: str, code: int | None) -> None:
        # What cannot be had is told once, not each minute.
        if not served and self._serving is None and not self._logged.is_new(reason) and code != _TRAFFIC:
            return
        line = _LOST if served else _NOT_HAD if self._serving is None else _NOT_CHANGED
        dialling = "its next connection is being made"
        if self._redial is not None:
            dialling = f"dialling again in {duration(self._redial.getTime() - self._clock.seconds())}"
        if code == _TRAFFIC:
            self.log.error(
                "Twitch closed the connection of {shard} because it received something from this daemon; {dialling}",
                shard=self.name,
                dialling=dialling,
            )
        else:
            self.log.warn(line, shard=self.name, reason=reason, dialling=dialling)

    def _prove(self) -> None:
        """
        Begin with the shortest pause again, if a session has lived for long enough.
        """
        if self._clock.seconds() - self._assigned_at >= _PROVEN:
            self._failures = 0

    def _pause(self, code: int | None) -> float:
        """
        Seconds until the next dialling.
        """
        pause = _LONGEST if code == _TRAFFIC else exponential(self._failures, _FIRST, _LONGEST)
        self._failures += 1
        return varied(pause, _JITTER, self._random)

    def _schedule(self, delay: float, url: str = "", replaces: str = "") -> None:
        self._cancel_redial()
        if delay > 0:
            self._redial = self._clock.callLater(delay, self._dial, url, replaces)
        else:
            self._dial(url, replaces)

    def _cancel_redial(self) -> None:
        redial, self._redial = self._redial, None
        if redial is not None and redial.active():
            redial.cancel()

    def _cancel_assignment(self) -> None:
        assignment, self._assignment = self._assignment, None
        if assignment is not None and assignment.active():
            assignment.cancel()

    def _heard(self) -> float | None:
        heard = [socket.heard_at for socket in self._open if socket.heard_at is not None]
        return max([*heard, *([] if self._last_frame is None else [self._last_frame])], default=None)

    def _note(self) -> None:
        """
        Note the state, and since when.
        """
        if not self._running:
            state = "stopped"
        elif self._serving is not None:
            state = "assigned"
        elif self._coming is not None:
            state = "welcomed" if self._coming.id else "connecting"
        else:
            state = "waiting"
        if state != self._state:
            self._state, self._since = state, self._clock.seconds()

    def _call(self, method: Callable[..., None], *arguments: object) -> None:
        """
        Call the owner, whose exceptions must not stop what is under way here.
        """
        try:
            method(self, *arguments)
        except Exception:  # noqa: BLE001
            self.log.failure("cannot handle what happened to {shard}", shard=self.name)
