"""
What becomes of a delivery after an attempt: pure decisions over ``[retry]``.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from itsjustintv.config.sections import Retry
from itsjustintv.model import Attempt, State, Verdict
from itsjustintv.support.backoff import exponential, varied

__all__ = ["EXHAUSTED", "GONE", "TOO_OLD", "Next", "decide_next", "delay", "is_too_old", "pause_after"]

#: Why a delivery ended: stable words for the journal, logs and metrics.
EXHAUSTED = "exhausted"
GONE = "gone"
TOO_OLD = "too old to be news"

# No receiver may pause a destination for longer than this, in seconds.
_LONGEST_PAUSE = 3600.0

# So many attempts may follow a Retry-After that is shorter than the configured delay; then that delay is the least, or
# a receiver that always says 0 would use up all attempts within a second.
_TRUSTED = 3

# Where only the age ends a delivery, attempts after so many are at least so many seconds apart: short delays would
# otherwise make hundreds of thousands of attempts a day, each of them stored in the journal.
_EAGER = 10
_LEAST_DELAY = 30.0

# The last attempt is made so many seconds before a delivery expires, or a hundredth of its life if that is less.
_MARGIN = 60.0


@frozen(kw_only=True)
class Next:
    """
    What to record about a delivery.

    :ivar reason: of its state; while it is pending, that of the last attempt.
    :ivar at: when to try again, if it is pending.
    :ivar plain: whether the plain form is sent then.
    """

    state: State
    reason: str
    at: float | None = None
    plain: bool = False


# A post that is gone, or cannot be changed any more, needs no change.
_ENDS = {
    Verdict.REJECTED: State.DEAD,
    Verdict.DESTINATION_GONE: State.DEAD,
    Verdict.UNAUTHORIZED: State.DEAD,
    Verdict.MESSAGE_GONE: State.SUPERSEDED,
    Verdict.SKIPPED: State.SUPERSEDED,
}


def delay(retry: Retry, attempts: int, random: Callable[[], float]) -> float:
    """
    How long to wait after so many attempts: the initial delay after the first, multiplied after each further one up to
    the largest, and then moved up or down by no more than the share ``retry.jitter``.

    :param attempts: how many have ended, at least 1.
    :param random: answers with a number from 0 to 1.
    :return: seconds.
    """
    seconds = exponential(attempts - 1, retry.initial_delay, retry.max_delay, retry.backoff_factor)
    return varied(seconds, retry.jitter, random)


def pause_after(attempt: Attempt) -> float:
    """
    For how many seconds the whole destination gets no attempt after this one; at most an hour.
    """
    if attempt.ok or attempt.retry_after is None:
        return 0.0
    return min(attempt.retry_after, _LONGEST_PAUSE)


def is_too_old(retry: Retry, accepted_at: float, now: float) -> bool:
    """
    Whether an event is no longer news.
    """
    return now - accepted_at >= retry.max_age


def decide_next(  # noqa: PLR0911 - a table
    attempt: Attempt,
    attempts: int,
    *,
    accepted_at: float,
    now: float,
    retry: Retry,
    random: Callable[[], float],
    can_degrade: bool = False,
) -> Next:
    """
    Decide what becomes of a delivery.

    The next attempt comes after :func:`delay`, or later if the receiver asked for that. A receiver that asks for less
    than the configured delay, as a rate limit does, gets that for the first attempts. If the next attempt would come
    too late, and half of the delay is left, the last one is made just in time. Otherwise the delivery expires at once:
    its end is certain, and the operator should not wait to learn it.

    :param attempts: how many have ended, this one included.
    :param accepted_at: when the event was accepted.
    :param can_degrade: whether a plain form can be sent of what was rejected.
    """
    if attempt.ok:
        return Next(state=State.DELIVERED, reason=attempt.reason)
    if attempt.verdict is Verdict.REJECTED and can_degrade:
        return Next(state=State.PENDING, reason=attempt.reason, at=now, plain=True)
    if attempt.verdict is Verdict.MOVED and attempts <= _TRUSTED:
        return Next(state=State.PENDING, reason=attempt.reason, at=now)
    if attempt.verdict in _ENDS:
        return Next(state=_ENDS[attempt.verdict], reason=attempt.verdict.value)
    if attempt.final:
        return Next(state=State.DEAD, reason=GONE if attempt.reason == GONE else EXHAUSTED)
    if retry.max_attempts and attempts >= retry.max_attempts:
        return Next(state=State.DEAD, reason=EXHAUSTED)
    wait = delay(retry, attempts, random)
    if not retry.max_attempts and attempts >= _EAGER:
        wait = max(wait, _LEAST_DELAY)
    least = wait / 2
    if attempt.retry_after is not None:
        asked = pause_after(attempt)
        wait = asked if attempts <= _TRUSTED else max(wait, asked)
        least = asked if attempts <= _TRUSTED else max(least, asked)
    left = accepted_at + retry.max_age - now - min(_MARGIN, retry.max_age / 100)
    if left < wait and left >= least:
        wait = left
    if is_too_old(retry, accepted_at, now + wait):
        return Next(state=State.EXPIRED, reason=TOO_OLD)
    return Next(state=State.PENDING, reason=attempt.reason, at=now + wait)
