"""
What an operator reads of a delivery: one line for each thing worth knowing, and none twice.
"""

from __future__ import annotations

from twisted.logger import Logger, LogLevel

from itsjustintv.model import Delivery, Outcome, State
from itsjustintv.support.counts import Counted
from itsjustintv.support.durations import Seconds

__all__ = ["report"]

_TOLD = {
    State.DELIVERED: "delivered {event_id} of {streamer} to {destination}, attempt {attempt}",
    State.PENDING: "{event_id} of {streamer} is not at {destination} yet: {detail} Trying again in {delay}",
    State.DEAD: (
        "gave up on {event_id} of {streamer} to {destination} after {tries}: {detail} To requeue it:"
        " itsjustintv deliveries retry {delivery}"
    ),
    State.EXPIRED: (
        "{event_id} of {streamer} is too old to be news and does not go to {destination}: accepted {age} ago (limit"
        " {limit}). {detail} If it is still news: itsjustintv deliveries retry {delivery}"
    ),
    State.CANCELLED: "{event_id} of {streamer} does not go to {destination}: {reason}",
}


def report(log: Logger, before: Delivery, outcome: Outcome, limit: float) -> None:
    """
    Log an outcome: a failure is a warning unless the attempt before failed in the same way, and an end always is one,
    unless it is a delivery or was asked for.

    :param before: the delivery as it was.
    :param limit: ``retry.max_age``, in seconds.
    """
    after, attempt = outcome.delivery, outcome.attempt
    reason = after.reason if attempt is None else attempt.reason
    level = LogLevel.warn
    if after.state in (State.DELIVERED, State.CANCELLED):
        level = LogLevel.info
    elif after.state is State.PENDING and before.reason == reason:
        level = LogLevel.debug
    log.emit(
        level,
        _TOLD.get(after.state, "{event_id} of {streamer} to {destination}: {state}"),
        event_id=after.event_id,
        delivery=after.id,
        streamer=after.streamer,
        destination=after.destination,
        state=after.state.value,
        attempt=after.attempts,
        tries=Counted(after.attempts, "attempt"),
        reason=reason,
        detail=_last(before) if attempt is None else attempt.told,
        status=None if attempt is None else attempt.status,
        age=Seconds(max(0.0, outcome.at - after.accepted_at)),
        limit=Seconds(limit),
        delay=Seconds(max(0.0, after.next_attempt_at - outcome.at)),
    )


def _last(delivery: Delivery) -> str:
    """
    Say how the last attempt ended, of what is not attempted any more.
    """
    return f"The last attempt ended with {delivery.reason}." if delivery.attempts else "There was no attempt."
