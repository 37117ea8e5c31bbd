"""
One attempt of a delivery, and what follows from it: recorded in the journal before it is logged and reported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import define, evolve
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger, LogLevel

from itsjustintv.config.sections import Retry
from itsjustintv.delivery import retry_policy
from itsjustintv.delivery.lane import Lane
from itsjustintv.delivery.places import Places
from itsjustintv.delivery.retry_policy import Next
from itsjustintv.errors import JournalUnavailable
from itsjustintv.interfaces import GraceEnd, IDeliveryJournal, IOutcomeSink, Resolve, Send
from itsjustintv.model import Action, Attempt, Delivery, Due, Outcome, State, Verdict
from itsjustintv.support.backoff import exponential
from itsjustintv.support.counts import Counted
from itsjustintv.support.durations import Seconds

__all__ = ["DESTINATION_REMOVED", "AttemptRunner", "Orphaned", "report", "report_unprepared"]

#: When a delivery ends because its streamer is not configured, as :data:`~itsjustintv.interfaces.GraceEnd`; ``None``
#: while the streamer is.
Orphaned = Callable[[Delivery], float | None]

#: Why a delivery was cancelled: stable words for the journal, logs and metrics.
DESTINATION_REMOVED = "destination removed"
STREAMER_REMOVED = "streamer removed from the configuration"

# Seconds until a delivery whose streamer is not configured is checked again.
_HOLD = 30.0

# What has no plain form, and what would replace a better one by it.
_AS_THEY_ARE = (Action.DELETE, Action.REFRESH)

# Seconds between two tries to store an outcome.
_FIRST_WAIT = 1.0
_LONGEST_WAIT = 30.0


@define(eq=False)
class AttemptRunner:
    """
    Runs one attempt of a delivery: send, decide what follows, record it in the journal, report the outcome.

    :ivar send: makes the request.
    :ivar policy: the current ``[retry]``.
    :ivar sinks: notified of every outcome, once it is stored.
    :ivar random: from 0 to 1.
    :ivar running: whether an attempt may still begin.
    :ivar grace_end: by the name of a destination.
    :ivar orphaned: when a delivery whose streamer is not configured ends.
    :ivar places: what services have said of destinations.
    """

    _journal: IDeliveryJournal
    _send: Send
    _resolve: Resolve
    _policy: Callable[[], Retry]
    _sinks: Sequence[IOutcomeSink]
    _clock: IReactorTime
    _random: Callable[[], float]
    _running: Callable[[], bool]
    _grace_end: GraceEnd
    _orphaned: Orphaned
    _places: Places

    log = Logger()

    async def run(  # noqa: PLR0911 - each a reason not to send
        self, lane: Lane, due: Due, submitted: Delivery | None = None
    ) -> Due | None:
        """
        Attempt a delivery, unless the journal says that it is not due, or has ended.

        :param submitted: the delivery, if it was prepared this very moment; otherwise it is read from the journal.
        :param lane: is paused when the receiver asks to wait.
        :return: when it is due next, if it is still pending.
        :raises JournalUnavailable: it could not be read, and nothing was attempted.
        """
        delivery = await self._journal.load(due.id) if submitted is None else submitted
        if delivery is None or delivery.state is not State.PENDING or not self._running():
            return None
        # As it is configured now: a retry goes to the current address and is signed with the current secret.
        destination = self._resolve(delivery.destination, delivery.streamer)
        if destination is None:
            return await self._hold(delivery, self._grace_end(delivery.destination), DESTINATION_REMOVED, lane)
        if submitted is None and (end := self._orphaned(delivery)) is not None:
            return await self._hold(delivery, end, STREAMER_REMOVED)
        if delivery.form and delivery.form != destination.form:
            await self._unprepare(delivery)
            return None
        if not self._places.is_loaded:
            await self._places.load()
        lane.pause_until(self._places.paused_until(destination))
        if (submitted is None or lane.paused_until > self._clock.seconds()) and (
            max(delivery.next_attempt_at, lane.paused_until) > self._clock.seconds()
        ):
            return Due(delivery.next_attempt_at, delivery.id)
        retry = self._policy()
        if delivery.action in (Action.EDIT, Action.DELETE, Action.REFRESH):
            retry = evolve(retry, max_age=destination.policy.edit_max_age)
        if retry_policy.is_too_old(retry, delivery.accepted_at, self._clock.seconds()):
            return await self._settle(delivery, Next(state=State.EXPIRED, reason=retry_policy.TOO_OLD))
        if self._places.refusal(destination) is not None:
            # An operator may have asked for it since.
            await self._places.load()
        if (refusal := self._places.refusal(destination)) is not None:
            return await self._settle(delivery, Next(state=State.DEAD, reason=refusal.value))
        self._places.begin(destination)
        # A refresh is an edit to all that sends it.
        sent = evolve(delivery, action=Action.EDIT) if delivery.action is Action.REFRESH else delivery
        attempt = await self._send(sent, self._places.current(destination))
        self._places.learn(destination, attempt)
        lane.pause_until(self._clock.seconds() + retry_policy.pause_after(attempt))
        lane.pause_until(self._places.paused_until(destination))
        decision = retry_policy.decide_next(
            attempt,
            delivery.attempts + 1,
            accepted_at=delivery.accepted_at,
            now=self._clock.seconds(),
            retry=retry,
            random=self._random,
            can_degrade=destination.keeps_posts and not delivery.plain and delivery.action not in _AS_THEY_ARE,
        )
        if delivery.action is Action.REFRESH and attempt.verdict is Verdict.REJECTED:
            # Twitch's preview may not be there yet. The post stands as it was, and nothing is lost.
            decision = Next(state=State.SUPERSEDED, reason=attempt.verdict.value)
        creates = delivery.action in (Action.CREATE, Action.FOLLOW_UP) and destination.keeps_posts
        may_double = creates and attempt.is_uncertain and not destination.has_key
        return await self._settle(delivery, decision, attempt, may_double=may_double)

    async def _hold(self, delivery: Delivery, end: float, reason: str, lane: Lane | None = None) -> Due | None:
        """
        Leave a delivery pending until its grace ends, since what it lacks in the configuration may return.

        :param lane: to pause, when nothing in it can be sent.
        """
        now = self._clock.seconds()
        if end <= now:
            return await self._settle(delivery, Next(state=State.CANCELLED, reason=reason))
        if lane is not None:
            # Otherwise it would be due again at once, without end.
            lane.pause_until(now + _FIRST_WAIT)
            return Due(delivery.next_attempt_at, delivery.id)
        later = min(end, max(now + _HOLD, delivery.next_attempt_at))
        after = await self._journal.settle(delivery.id, delivery.state, delivery.reason, now, None, later)
        return Due(after.next_attempt_at, after.id) if after.state is State.PENDING else None

    async def _unprepare(self, delivery: Delivery) -> None:
        """
        Have a payload made again: what it was made for is no longer there.
        """
        await self._journal.unprepare(delivery.id, self._clock.seconds())
        self.log.info(
            "delivery of {event_id} ({streamer}) to {destination} is prepared again, since the type or the address of"
            " the destination has changed",
            event_id=delivery.event_id,
            delivery=delivery.id,
            streamer=delivery.streamer,
            destination=delivery.destination,
        )

    async def _settle(
        self, before: Delivery, decision: Next, attempt: Attempt | None = None, *, may_double: bool = False
    ) -> Due | None:
        now = self._clock.seconds()
        after = await self._store(before, decision, attempt, now)
        may_double = may_double and after.state is State.PENDING
        outcome = Outcome(delivery=after, attempt=attempt, at=now, may_double=may_double)
        report(self.log, before, outcome, self._policy().max_age)
        for sink in self._sinks:
            try:
                sink.record(outcome)
            except Exception:  # noqa: BLE001 - the outcome is stored all the same
                self.log.failure(
                    "cannot report the outcome of {event_id} to {sink}", sink=sink, event_id=before.event_id
                )
        return Due(after.next_attempt_at, after.id) if after.state is State.PENDING else None

    async def _store(self, before: Delivery, decision: Next, attempt: Attempt | None, now: float) -> Delivery:
        """
        Store a decision, however long that takes: an attempt that is forgotten would be made twice.
        """
        failures = 0
        while True:
            wait = exponential(failures, _FIRST_WAIT, _LONGEST_WAIT)
            try:
                return await self._journal.settle(
                    before.id, decision.state, decision.reason, now, attempt, decision.at, plain=decision.plain
                )
            except CancelledError:
                raise
            except JournalUnavailable as error:
                if not failures:
                    self.log.warn(
                        "cannot store the outcome of {event_id} for {destination}: {reason}; it waits for the journal",
                        event_id=before.event_id,
                        streamer=before.streamer,
                        destination=before.destination,
                        reason=str(error),
                    )
            except Exception:  # noqa: BLE001 - without the record the same thing would be sent again and again
                self.log.failure(
                    "cannot store the outcome of {event_id} for {destination}; retrying in {delay}",
                    event_id=before.event_id,
                    destination=before.destination,
                    delay=Seconds(wait),
                )
            await deferLater(self._clock, wait)
            failures += 1


_MESSAGES = {
    State.DELIVERED: "delivered {event_id} of {streamer} to {destination}, attempt {attempt}",
    State.PENDING: (
        "delivery of {event_id} ({streamer}) to {destination} failed, attempt {attempt}: {detail} Retrying in {delay}"
    ),
    State.DEAD: (
        "delivery of {event_id} ({streamer}) to {destination} is dead after {tries}: {detail} To requeue it:"
        " itsjustintv deliveries retry {delivery}"
    ),
    State.EXPIRED: (
        "delivery of {event_id} ({streamer}) to {destination} expired: accepted {age} ago (limit {limit}). {detail} To"
        " requeue it: itsjustintv deliveries retry {delivery}"
    ),
    State.CANCELLED: "delivery of {event_id} ({streamer}) to {destination} is cancelled: {reason}",
    State.SUPERSEDED: "delivery of {event_id} ({streamer}) to {destination} is not needed any more: {detail}",
}

_NOT_REFRESHED = "the post of {event_id} of {streamer} at {destination} stays as it is: {detail}"
_REFRESHED = "refreshed the post of {event_id} of {streamer} at {destination}, attempt {attempt}"
_DEGRADED = (
    "delivery of {event_id} ({streamer}) to {destination} failed, attempt {attempt}: {detail} Sending it as plain text"
)


def report(log: Logger, before: Delivery, outcome: Outcome, limit: float) -> None:
    """
    Log an outcome. A failed attempt is a warning, unless the one before failed for the same reason; so is an end
    without delivery, unless it was asked for.

    :param before: the delivery as it was.
    :param limit: ``retry.max_age``, in seconds.
    """
    after, attempt = outcome.delivery, outcome.attempt
    reason = after.reason if attempt is None else attempt.reason
    level = LogLevel.warn
    if after.state in (State.DELIVERED, State.CANCELLED, State.SUPERSEDED):
        level = LogLevel.info
    elif after.state is State.PENDING and before.reason == reason:
        level = LogLevel.debug
    message = _MESSAGES.get(after.state, "delivery of {event_id} ({streamer}) to {destination} ended as {state}")
    is_degraded = after.plain and not before.plain and after.state is State.PENDING
    refreshes = after.action is Action.REFRESH
    is_refreshed = refreshes and after.state is State.DELIVERED
    is_unchanged = refreshes and after.state is State.SUPERSEDED
    log.emit(
        level,
        _DEGRADED if is_degraded else _REFRESHED if is_refreshed else _NOT_REFRESHED if is_unchanged else message,
        event_id=after.event_id,
        delivery=after.id,
        streamer=after.streamer,
        destination=after.destination,
        state=after.state.value,
        attempt=after.attempts,
        tries=Counted(after.attempts, "attempt"),
        reason=reason,
        detail=_last_attempt(before) if attempt is None else attempt.explanation,
        status=None if attempt is None else attempt.status,
        age=Seconds(max(0.0, outcome.at - after.accepted_at)),
        limit=Seconds(limit),
        delay=Seconds(max(0.0, after.next_attempt_at - outcome.at)),
    )


def report_unprepared(log: Logger, delivery: Delivery) -> None:
    """
    Log the end of a delivery that was not prepared.
    """
    fields = {
        "event_id": delivery.event_id,
        "delivery": delivery.id,
        "streamer": delivery.streamer,
        "destination": delivery.destination,
        "state": delivery.state.value,
        "reason": delivery.reason,
    }
    if delivery.state.is_undelivered:
        log.warn(
            "delivery of {event_id} ({streamer}) to {destination} expired before it was prepared: {reason}. To"
            " requeue it: itsjustintv deliveries retry {delivery}",
            **fields,
        )
    elif delivery.action is Action.REFRESH:
        log.debug(
            "the post of {event_id} of {streamer} at {destination} is not refreshed ({state}): {reason}", **fields
        )
    else:
        log.info("{event_id} of {streamer} is not sent to {destination} ({state}): {reason}", **fields)


def _last_attempt(delivery: Delivery) -> str:
    """
    Say how the last attempt of a delivery ended.
    """
    return f"The last attempt ended with {delivery.reason}." if delivery.attempts else "There was no attempt."
