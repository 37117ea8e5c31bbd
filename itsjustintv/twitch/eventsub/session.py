"""
The sessions of one shard of a conduit: one after the other, for as long as the daemon runs.

dev.twitch.tv, "Handling WebSocket events" and "Handling conduit events". Nothing is sent on the socket, and Twitch
sends nothing twice: what is missed while no session is assigned is a gap, and the owner has to ask who is live.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from attrs import define, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from itsjustintv.support.websocket import Dialer
from itsjustintv.twitch.eventsub.messages import Frame

__all__ = ["EventSubSession", "Gap", "SessionOwner", "SessionStatus"]


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

    log = Logger()

    def start(self) -> None:
        """
        Dial. Does nothing while it is running.
        """
        raise NotImplementedError

    def stop(self) -> Deferred[None]:
        """
        Close every connection, politely. The owner is not called any more.

        :return: fires when they are gone, within about two seconds.
        """
        raise NotImplementedError

    def assigned(self, session_id: str) -> None:
        """
        The assignment of a session was confirmed. Does nothing if that session is gone.
        """
        raise NotImplementedError

    def drop(self, session_id: str, reason: str) -> None:
        """
        A session could not be assigned, or is not assigned any more: close it, and dial after a pause. Does nothing if
        it is gone.

        :param reason: in plain words, without a full stop.
        """
        raise NotImplementedError

    def pause(self) -> None:
        """
        Stop reading, until :meth:`resume`; Twitch's messages wait in the connection. Silence is not counted meanwhile.
        """
        raise NotImplementedError

    def resume(self) -> None:
        """
        Read on.
        """
        raise NotImplementedError

    def status(self) -> SessionStatus:
        """
        Say how things stand.
        """
        raise NotImplementedError
