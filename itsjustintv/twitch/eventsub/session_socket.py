"""
One connection to Twitch, and the session that Twitch opens on it.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from itsjustintv.errors import Unreadable
from itsjustintv.support.durations import duration
from itsjustintv.support.websocket import Closed, WebSocket
from itsjustintv.twitch.eventsub.messages import Frame, parse_frame

__all__ = ["SessionSocket"]

# Seconds from the opening of a connection to the welcome.
_WELCOME = 10.0

# Silence is borne for half as long again as Twitch is asked for a keepalive, but for no more than 5 s longer.
_FACTOR = 1.5
_SLACK = 5.0
# What Twitch can be asked for at the most.
_MOST_SECONDS = 600


@define(eq=False)
class SessionSocket:
    """
    One connection, and the session on it.

    :ivar welcomed: called once, when :attr:`id` is known.
    :ivar received: is called with each frame but welcomes and keepalives.
    :ivar failed: a deadline has passed; called with the reason.
    :ivar gone: called once, as the last.
    :ivar replaces: the id of the session that is expected on it; empty for a fresh one.
    :ivar id: of its session; empty before the welcome.
    :ivar heard_at: when the last frame came.
    """

    _clock: IReactorTime
    _asked: int
    _welcomed: Callable[[SessionSocket], None]
    _received: Callable[[SessionSocket, Frame], None]
    _unreadable: Callable[[str], None]
    _failed: Callable[[SessionSocket, str], None]
    _gone: Callable[[SessionSocket, Closed], None]
    replaces: str
    id: str = field(default="", init=False)
    heard_at: float | None = field(default=None, init=False)
    connection: WebSocket = field(init=False)
    _deadline: IDelayedCall | None = field(default=None, init=False)
    _patience: float = field(default=0.0, init=False)
    _closing: bool = field(default=False, init=False)
    _quiet_since: float = field(default=0.0, init=False)

    def opened(self) -> None:
        self._deadline = self._clock.callLater(
            _WELCOME, lambda: self._failed(self, f"no welcome within {duration(_WELCOME)}")
        )

    def received(self, text: str) -> None:
        self.heard_at = self._quiet_since = self._clock.seconds()
        try:
            frame = parse_frame(text)
            if frame.kind == "session_welcome" and not self.id:
                self._welcome(frame)
                return
        except Unreadable as error:
            self._unreadable(str(error))
            return
        if frame.kind not in ("session_welcome", "session_keepalive"):
            self._received(self, frame)

    def closed(self, closed: Closed) -> None:
        self._cancel_deadline()
        self._gone(self, closed)

    def pause(self) -> None:
        """
        Stop reading. Silence is not counted meanwhile. One that is being closed is read to its end.
        """
        if not self._closing:
            self._cancel_deadline()
            self.connection.pause()

    def resume(self) -> None:
        """
        Read on, and count silence from now.
        """
        if self._patience and self._deadline is None and not self._closing:
            self._quiet_since = self._clock.seconds()
            self._listen()
        self.connection.resume()

    def close(self) -> None:
        """
        Close politely. Deadlines do not count any more.
        """
        self._closing = True
        self._cancel_deadline()
        self.connection.close()

    def abort(self) -> None:
        """
        Close at once.
        """
        self._closing = True
        self._cancel_deadline()
        self.connection.abort()

    def _welcome(self, frame: Frame) -> None:
        session = frame.payload.object("session")
        self.id = session.required_text("id")
        seconds = session.count("keepalive_timeout_seconds") or self._asked
        if seconds > _MOST_SECONDS:
            seconds = self._asked
        self._patience = min(seconds * _FACTOR, seconds + _SLACK)
        self._cancel_deadline()
        if not self._closing:
            self._listen()
        self._welcomed(self)

    def _listen(self, *, has_read: bool = False) -> None:
        """
        Wait for the next frame, from the last one on.

        :param has_read: whether everything was read that has arrived.
        """
        left = self._quiet_since + self._patience - self._clock.seconds()
        if left > 0:
            self._deadline = self._clock.callLater(left, self._listen)
        elif not has_read:
            # After a process was suspended, or busy, the reactor calls this before it reads what has arrived meanwhile.
            self._deadline = self._clock.callLater(0, self._listen, has_read=True)
        else:
            self._deadline = None
            self._failed(self, f"not even a keepalive within {duration(self._patience)}")

    def _cancel_deadline(self) -> None:
        deadline, self._deadline = self._deadline, None
        if deadline is not None and deadline.active():
            deadline.cancel()
