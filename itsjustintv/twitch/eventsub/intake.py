"""
Where EventSub messages become accepted events, whichever way they came.

Twitch sends a webhook's message again until it is answered with 2xx. Nothing is sent again on a WebSocket, so what
cannot be stored at once is held in memory and stored later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from attrs import Factory, define, field
from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from itsjustintv.errors import JournalUnavailable, Unreadable
from itsjustintv.interfaces import Accept
from itsjustintv.model import STREAM_ONLINE, Acceptance, Event
from itsjustintv.support.backoff import exponential
from itsjustintv.support.counts import Counted
from itsjustintv.support.log_throttle import LogThrottle
from itsjustintv.twitch.eventsub.messages import Frame, Notification, Revocation, read_frame

__all__ = ["MOST_HELD", "CountMessage", "FrameIntake", "Intake", "OnRevocation", "log_fields"]

#: Counts a message by its outcome, one word.
CountMessage = Callable[[str], None]
#: Called with a revocation. Returns at once.
OnRevocation = Callable[[Revocation], None]

_RESULTS = {
    Acceptance.ACCEPTED: ("accepted", "accepted {event_id}: {streamer} {action}"),
    Acceptance.DUPLICATE: ("duplicate", "dropped {event_id} of {streamer}: it was accepted before"),
    Acceptance.IGNORED: ("ignored", "ignored {event_id}: {streamer} is not configured"),
}

#: Events in memory, being stored or held, from which on no more are read.
MOST_HELD = 1000

# Seconds until what is held is tried again.
_FIRST_DELAY = 1.0
_LONGEST_DELAY = 30.0


@define(eq=False)
class Intake:
    """
    Hands events to ``accept``; counts and logs what became of each.

    :ivar accept: stores an event.
    :ivar count: called for each message with ``accepted``, ``duplicate``, ``ignored``, ``challenge``, ``revocation``,
        ``other``, ``forged``, ``stale``, ``unreadable``, ``unavailable`` or ``failed``.
    """

    log: ClassVar[Logger] = Logger()

    _accept: Accept
    _on_revocation: OnRevocation
    count: CountMessage = lambda _: None

    async def accept_event(self, event: Event) -> Acceptance:
        """
        :raises JournalUnavailable: it could not be stored; neither counted nor logged.
        """
        result = await self._accept(event)
        outcome, sentence = _RESULTS[result]
        self.count(outcome)
        if result is Acceptance.IGNORED and event.event_type != STREAM_ONLINE:
            # It is unsubscribed soon.
            self.log.info(
                "ignored {event_id}: no destination of {streamer} is configured for {event_type}",
                event_type=event.event_type,
                **log_fields(event),
            )
        else:
            self.log.info(sentence, action=event.action, **log_fields(event))
        return result

    def revoked(self, revocation: Revocation, request_id: str) -> None:
        """
        Pass on that Twitch has revoked a subscription.
        """
        self.count("revocation")
        self.log.warn(
            "Twitch revoked subscription {subscription_id} ({kind} of {streamer}): {reason}",
            subscription_id=revocation.subscription_id,
            kind=revocation.type,
            streamer=revocation.broadcaster_id,
            reason=revocation.status,
            request_id=request_id,
        )
        self._on_revocation(revocation)

    def ignored(self, kind: str, request_id: str, *, in_log: bool = True) -> None:
        """
        Note an authentic message that the daemon does not act upon.
        """
        self.count("other")
        if in_log:
            self.log.info("ignored a message of type {kind}", kind=kind, request_id=request_id)


def log_fields(event: Event) -> Mapping[str, Any]:
    """
    What a line about an event says of it.
    """
    return {
        "event_id": event.id,
        "message_id": event.message_id,
        "streamer": event.broadcaster_login or event.broadcaster_id,
    }


@define(eq=False)
class FrameIntake(Service):
    """
    Takes frames, which Twitch does not send again: an event that cannot be stored is held in memory and tried again
    after a second, then after twice as long each time, up to half a minute.

    :ivar new_id: makes the ids of events.
    :ivar on_pressure: called with ``True`` when so much is in memory that no more should be read, with ``False`` when
        reading may go on.
    """

    log: ClassVar[Logger] = Logger()

    _intake: Intake
    _clock: IReactorTime
    _new_id: Callable[[], str]
    _on_pressure: Callable[[bool], None] = lambda _: None
    # What is to be tried again; the ids of all that ever failed and is not stored yet.
    _held: dict[str, Event] = field(factory=dict, init=False)
    _unstored: set[str] = field(factory=set, init=False)
    _under_way: dict[str, Deferred[None]] = field(factory=dict, init=False)
    _retry: IDelayedCall | None = field(default=None, init=False)
    _failures: int = field(default=0, init=False)
    _reason: str = field(default="", init=False)
    _pressed: bool = field(default=False, init=False)
    _throttle: LogThrottle = field(init=False, default=Factory(lambda self: LogThrottle(self._clock), takes_self=True))

    def received(self, frame: Frame) -> None:
        """
        Take a frame that is not about the session. Never raises.
        """
        event_id = self._new_id()
        try:
            message = read_frame(frame, event_id, self._clock.seconds())
        except Unreadable as error:
            self._intake.count("unreadable")
            if count := self._throttle.count(str(error)):
                self.log.warn(
                    "ignored {count} from Twitch's WebSocket: {reason}",
                    count=Counted(count, "message"),
                    reason=str(error),
                    message_id=frame.message_id,
                )
            return
        if isinstance(message, Notification):
            self._store(message.event)
        elif isinstance(message, Revocation):
            self._intake.revoked(message, event_id)
        else:
            in_log = self._throttle.count("other") > 0
            self._intake.ignored(getattr(message, "kind", frame.kind), event_id, in_log=in_log)

    @property
    def held(self) -> int:
        """
        How many events are in memory that could not be stored at once, those that are being tried again included.
        """
        return len(self._unstored)

    def problem(self) -> str | None:
        """
        Why events wait in memory, or ``None``.
        """
        if not self._unstored:
            return None
        return f"{Counted(len(self._unstored), 'event')} held in memory, not stored yet: {self._reason}"

    def stopService(self) -> Deferred[None]:
        """
        Try once more to store what is held.
        """
        super().stopService()
        return Deferred.fromCoroutine(self._finish())

    async def _finish(self) -> None:
        self._store_held()
        await gatherResults(list(self._under_way.values()))
        self._cancel_retry()
        if self._held:
            self.log.error(
                "lost {count} that could not be stored ({streamers}): {reason}; the next start announces those who are"
                " still live",
                count=Counted(len(self._held), "event"),
                streamers=", ".join(dict.fromkeys(log_fields(each)["streamer"] for each in self._held.values())),
                reason=self._reason,
            )

    def _store(self, event: Event) -> None:
        storing = Deferred.fromCoroutine(self._try(event))
        if not storing.called:
            self._under_way[event.id] = storing
            storing.addCallback(lambda _: self._stored(event))
        self._note_pressure()

    def _stored(self, event: Event) -> None:
        del self._under_way[event.id]
        self._note_pressure()

    async def _try(self, event: Event) -> None:
        """
        Store an event, or hold it. Never fails.
        """
        try:
            await self._intake.accept_event(event)
        except JournalUnavailable as error:
            self._hold(event, str(error))
        except Exception:  # noqa: BLE001 - it may work the next time
            if event.id not in self._unstored:
                self.log.failure("cannot accept {event_id} of {streamer}; it is held in memory", **log_fields(event))
            self._hold(event, "an unexpected error, see the log", "failed")
        else:
            self._unstored.discard(event.id)
            if self._failures and not self._unstored:
                self.log.info("stored every event that was held in memory")
                self._failures = 0

    def _hold(self, event: Event, reason: str, outcome: str = "unavailable") -> None:
        self._reason = reason
        self._held[event.id] = event
        is_new = event.id not in self._unstored
        self._unstored.add(event.id)
        if is_new:
            self._intake.count(outcome)
        if is_new and outcome == "unavailable" and (count := self._throttle.count("unavailable")):
            self.log.error(
                "cannot store {count}, the last {event_id} of {streamer}: {reason}; held in memory and tried again",
                count=Counted(count, "event"),
                reason=reason,
                **log_fields(event),
            )
        if self.running and (self._retry is None or not self._retry.active()):
            delay = exponential(self._failures, _FIRST_DELAY, _LONGEST_DELAY)
            self._failures += 1
            self._retry = self._clock.callLater(delay, self._store_held)

    def _store_held(self) -> None:
        self._cancel_retry()
        held, self._held = self._held, {}
        for event in held.values():
            self._store(event)

    def _note_pressure(self) -> None:
        """
        Ask for no more frames, or for more again once half of the memory is free.
        """
        count = len(self._held) + len(self._under_way)
        pressed = count >= MOST_HELD or (self._pressed and count > MOST_HELD // 2)
        if pressed is not self._pressed:
            self._pressed = pressed
            self._on_pressure(pressed)

    def _cancel_retry(self) -> None:
        retry, self._retry = self._retry, None
        if retry is not None and retry.active():
            retry.cancel()
